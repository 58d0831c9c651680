//! The stores of a study's shards, joined into the store that one machine would have written.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::{Key, Next, Store, StoreError, Subject, encode};
use crate::manifest::Manifest;
use qoslab_core::base::units::format_count;

/// Why stores are not the shards of one study.
#[derive(Debug, Error)]
pub enum MergeError {
    /// A store cannot be read, or the result not be written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is nothing to merge.
    #[error("no store is given")]
    Nothing,
    /// A store has trials and no study.
    #[error("{} does not say what was studied", .0.display())]
    NoStudy(PathBuf),
    /// Two stores are of two studies.
    #[error("{} and {} are not of one study: {what} differ", one.display(), other.display())]
    OtherStudy {
        /// The first store.
        one: PathBuf,
        /// One that differs.
        other: PathBuf,
        /// In what.
        what: &'static str,
    },
    /// Two stores are of two versions of qoslab.
    #[error(
        "{} was written by qoslab {first} and {} by qoslab {second}",
        one.display(), other.display()
    )]
    OtherVersion {
        /// The first store.
        one: PathBuf,
        /// Its version.
        first: String,
        /// One that differs.
        other: PathBuf,
        /// Its version.
        second: String,
    },
    /// A part is there twice.
    #[error("{} and {} both are shard {shard}", one.display(), other.display())]
    SameShard {
        /// The first store.
        one: PathBuf,
        /// The other.
        other: PathBuf,
        /// Which shard.
        shard: String,
    },
    /// A trial is there twice.
    #[error("{} and {} both have the trial with seed {seed}", one.display(), other.display())]
    SameTrial {
        /// The first store.
        one: PathBuf,
        /// The other.
        other: PathBuf,
        /// The trial's seed.
        seed: u64,
    },
    /// Parts are not there.
    #[error("of {count} shards these are missing: {}", missing.join(", "))]
    MissingShards {
        /// How many shards there are.
        count: u32,
        /// Which are missing.
        missing: Vec<String>,
    },
    /// Trials are not there.
    #[error(
        "{} of the trials are missing, such as {example}: run the shards again, each goes on \
         where it ended", format_count(*.trials)
    )]
    MissingTrials {
        /// How many.
        trials: u64,
        /// One of them, in words.
        example: String,
    },
}

/// Joins the stores of all shards of a study into one, which is the same to the last byte as if
/// one machine had run it all.
///
/// # Errors
/// If the stores are not the shards of one study, each once and with all its trials, or are
/// damaged. Nothing is written then.
pub fn merge(stores: &[PathBuf], to: &Path) -> Result<Manifest, MergeError> {
    let mut parts = Vec::with_capacity(stores.len());
    for path in stores {
        let mut store = Store::read(path)?;
        let manifest = store.manifest()?.ok_or_else(|| MergeError::NoStudy(path.clone()))?;
        parts.push((store, manifest));
    }
    let whole = one_study(&parts)?;
    let owners = owners(&parts)?;
    nothing_missing(&whole, &owners)?;
    let rank = whole.rank();
    let mut order: Vec<Subject> = owners.keys().copied().collect();
    order.sort_by_key(|subject| subject.rank(&rank));
    let mut merged = Next::beside(to)?;
    merged.add(&encode(Subject::Manifest, &whole))?;
    for subject in order {
        merged.add(&parts[owners[&subject]].0.raw(subject)?)?;
    }
    merged.replace()?;
    Ok(whole)
}

/// The study of which all parts are shards, each once.
fn one_study(parts: &[(Store, Manifest)]) -> Result<Manifest, MergeError> {
    let Some((first, manifest)) = parts.first() else { return Err(MergeError::Nothing) };
    let mut seen: BTreeMap<u32, &Path> = BTreeMap::new();
    let shards =
        |manifest: &Manifest| manifest.shard.map_or((1, 1), |it| (it.number(), it.count()));
    let (_, count) = shards(manifest);
    for (store, other) in parts {
        let (one, path) = (first.path.clone(), store.path.clone());
        if store.header != first.header {
            let (first, second) = (first.qoslab().to_owned(), store.qoslab().to_owned());
            return Err(MergeError::OtherVersion { one, first, other: path, second });
        }
        let (number, of) = shards(other);
        let what =
            if of == count { manifest.difference(other) } else { Some("the shards' counts") };
        if let Some(what) = what {
            return Err(MergeError::OtherStudy { one, other: path, what });
        }
        if let Some(twin) = seen.insert(number, &store.path) {
            let shard = format!("{number}/{count}");
            return Err(MergeError::SameShard { one: twin.to_owned(), other: path, shard });
        }
    }
    let missing: Vec<String> = (1..=count)
        .filter(|number| !seen.contains_key(number))
        .map(|number| format!("{number}/{count}"))
        .collect();
    if missing.is_empty() {
        Ok(Manifest { shard: None, ..manifest.clone() })
    } else {
        Err(MergeError::MissingShards { count, missing })
    }
}

/// Which part has what.
fn owners(parts: &[(Store, Manifest)]) -> Result<BTreeMap<Subject, usize>, MergeError> {
    let mut owners: BTreeMap<Subject, usize> = BTreeMap::new();
    for (nth, (store, _)) in parts.iter().enumerate() {
        for subject in store.places.keys() {
            let (Subject::Trial(Key { seed, .. }) | Subject::Timeline(Key { seed, .. })) = *subject
            else {
                continue;
            };
            if let Some(twin) = owners.insert(*subject, nth) {
                let (one, other) = (parts[twin].0.path.clone(), store.path.clone());
                return Err(MergeError::SameTrial { one, other, seed });
            }
        }
    }
    Ok(owners)
}

fn nothing_missing(whole: &Manifest, owners: &BTreeMap<Subject, usize>) -> Result<(), MergeError> {
    if whole.precision.is_some() {
        return Ok(());
    }
    let is_missing = |key: &Key| !owners.contains_key(&Subject::Trial(*key));
    let mut missing = whole.keys().filter(is_missing);
    let Some(key) = missing.next() else { return Ok(()) };
    let trials = 1 + missing.count() as u64;
    Err(MergeError::MissingTrials { trials, example: whole.describe(key) })
}
