//! The stores of a study's shards, joined into the store that one machine would have written.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::{RecordKey, ReplacementFile, StoreError, TrialKey, TrialStore, encode};
use crate::manifest::Manifest;
use qoslab_core::base::units::format_count;

/// The reason why stores are not the shards of one study.
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
    NoManifest(PathBuf),
    /// Two stores are of two studies.
    #[error("{} and {} are not of one study: {what} differ", one.display(), other.display())]
    OtherStudy {
        /// The first store.
        one: PathBuf,
        /// One that differs.
        other: PathBuf,
        /// The difference.
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
        /// The number of the shard.
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
        /// The missing shards.
        missing: Vec<String>,
    },
    /// Trials are not there.
    #[error(
        "{} of the trials are missing, such as {example}: run the shards again, each goes on \
         where it ended", format_count(*.trials)
    )]
    MissingTrials {
        /// The number of missing trials.
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
        let mut store = TrialStore::read(path)?;
        let manifest = store.manifest()?.ok_or_else(|| MergeError::NoManifest(path.clone()))?;
        parts.push((store, manifest));
    }
    let whole = common_manifest(&parts)?;
    let owners = record_owners(&parts)?;
    check_complete(&whole, &owners)?;
    let rank = whole.trial_order();
    let mut order: Vec<RecordKey> = owners.keys().copied().collect();
    order.sort_by_key(|subject| subject.sort_key(&rank));
    let mut merged = ReplacementFile::create_beside(to)?;
    merged.add(&encode(RecordKey::Manifest, &whole))?;
    for subject in order {
        merged.add(&parts[owners[&subject]].0.read_record(subject)?)?;
    }
    merged.replace()?;
    Ok(whole)
}

/// The study of which all parts are shards, each once.
fn common_manifest(parts: &[(TrialStore, Manifest)]) -> Result<Manifest, MergeError> {
    let Some((first, manifest)) = parts.first() else { return Err(MergeError::Nothing) };
    let mut seen: BTreeMap<u32, &Path> = BTreeMap::new();
    let shards =
        |manifest: &Manifest| manifest.shard.map_or((1, 1), |it| (it.number(), it.count()));
    let (_, count) = shards(manifest);
    for (store, other) in parts {
        let (one, path) = (first.path.clone(), store.path.clone());
        if store.header != first.header {
            let (first, second) =
                (first.qoslab_version().to_owned(), store.qoslab_version().to_owned());
            return Err(MergeError::OtherVersion { one, first, other: path, second });
        }
        let (number, of) = shards(other);
        let what =
            if of == count { manifest.first_difference(other) } else { Some("the shards' counts") };
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

/// Records which part holds each trial and timeline.
fn record_owners(
    parts: &[(TrialStore, Manifest)],
) -> Result<BTreeMap<RecordKey, usize>, MergeError> {
    let mut owners: BTreeMap<RecordKey, usize> = BTreeMap::new();
    for (nth, (store, _)) in parts.iter().enumerate() {
        for subject in store.locations.keys() {
            let (RecordKey::Trial(TrialKey { seed, .. })
            | RecordKey::Timeline(TrialKey { seed, .. })) = *subject
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

fn check_complete(whole: &Manifest, owners: &BTreeMap<RecordKey, usize>) -> Result<(), MergeError> {
    if whole.precision.is_some() {
        return Ok(());
    }
    let is_missing = |key: &TrialKey| !owners.contains_key(&RecordKey::Trial(*key));
    let mut missing = whole.keys().filter(is_missing);
    let Some(key) = missing.next() else { return Ok(()) };
    let trials = 1 + missing.count() as u64;
    Err(MergeError::MissingTrials { trials, example: whole.describe(key) })
}
