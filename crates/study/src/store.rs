//! The trial store: the outcome of each trial of a study, in one file that outlives a crash.
//!
//! An outcome is kept under what the trial *is* ([`TrialKey`]) and before anything is expected of
//! it, so a run that was stopped goes on where it ended, machines share a study, and reports are
//! drawn again without a simulation. While a study runs the file only grows, a batch at a time; in
//! the end [`TrialStore::finish`] puts it in order, so that the same trials make the same bytes
//! regardless of how they came together. Panics and interrupted trials are not kept: they are run
//! again.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::manifest::Manifest;
use super::trial_key::TrialKey;
use qoslab_core::base::QoS;
use qoslab_guarantee::{BacklogTimeline, Outcome};

mod error;
mod format;
mod merge;
#[cfg(test)]
mod tests;

pub use error::StoreError;
use format::{Header, RecordLocation, StoreContents};
pub use merge::{MergeError, merge};

/// The store's name in a report's folder.
pub const FILE_NAME: &str = "trials.store";

/// The contents of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum RecordKey {
    Manifest,
    Trial(TrialKey),
    Timeline(TrialKey),
}

/// An open store.
#[derive(Debug)]
pub struct TrialStore {
    path: PathBuf,
    file: File,
    header: Header,
    /// The places of the records by what they hold; of manifests the last one.
    locations: BTreeMap<RecordKey, RecordLocation>,
    /// Where the next record goes.
    end: u64,
    /// Bytes of a record that was cut off while it was written.
    truncated_bytes: u64,
}

impl TrialStore {
    /// Opens a file to read and to add to it, and makes it if there is none. What a killed process
    /// left half written is cut off.
    ///
    /// # Errors
    /// If it is no store, damaged, of another model or format, in use, or cannot be read; then it
    /// is left as it was.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let mut file = open_locked(path)?;
        let Some(scan) = format::read_contents(path, &mut file)? else {
            // Killed before the first record: nothing is lost by beginning again.
            return Self::write_header(path, file);
        };
        let store = Self::from_contents(path, file, scan);
        store.refuse_other_model()?;
        if store.truncated_bytes > 0 {
            store.file.set_len(store.end).map_err(StoreError::io_at(path))?;
        }
        Ok(store)
    }

    /// Opens a file to add to it and throws away its earlier contents.
    ///
    /// # Errors
    /// If it is in use or cannot be written.
    pub fn create(path: &Path) -> Result<Self, StoreError> {
        Self::write_header(path, open_locked(path)?)
    }

    /// Opens a file to read, which another process may be adding to.
    ///
    /// # Errors
    /// If it is no store, damaged, of another model or format, or cannot be read.
    pub fn read(path: &Path) -> Result<Self, StoreError> {
        let store = Self::read_any_model(path)?;
        store.refuse_other_model()?;
        Ok(store)
    }

    /// Opens a file to read, whichever model its trials are of: see [`TrialStore::model`].
    ///
    /// # Errors
    /// If it is no store, damaged, of another format, or cannot be read.
    pub fn read_any_model(path: &Path) -> Result<Self, StoreError> {
        let mut file = File::open(path).map_err(StoreError::io_at(path))?;
        let scan = format::read_contents(path, &mut file)?;
        let scan = scan.ok_or_else(|| StoreError::NotAStore(path.to_owned()))?;
        Ok(Self::from_contents(path, file, scan))
    }

    fn write_header(path: &Path, mut file: File) -> Result<Self, StoreError> {
        let header = Header::current();
        let bytes = header.encode();
        let cleared = file.set_len(0).and_then(|()| file.rewind());
        cleared.and_then(|()| file.write_all(&bytes)).map_err(StoreError::io_at(path))?;
        let (path, end) = (path.to_owned(), bytes.len() as u64);
        Ok(Self { path, file, header, locations: BTreeMap::new(), end, truncated_bytes: 0 })
    }

    fn from_contents(path: &Path, file: File, scan: StoreContents) -> Self {
        let StoreContents { header, locations: places, end, truncated_bytes: torn } = scan;
        Self { path: path.to_owned(), file, header, locations: places, end, truncated_bytes: torn }
    }

    fn refuse_other_model(&self) -> Result<(), StoreError> {
        let (stored, current) = (self.header.model, Header::current().model);
        let path = self.path.clone();
        if stored == current {
            Ok(())
        } else {
            Err(StoreError::OtherModel { path, stored, current })
        }
    }

    /// Where it is, as it was opened.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The model version of its trials.
    #[must_use]
    pub const fn model(&self) -> u32 {
        self.header.model
    }

    /// The version of qoslab that wrote it.
    #[must_use]
    pub fn qoslab_version(&self) -> &str {
        &self.header.qoslab_version
    }

    /// Whether it has this trial.
    #[must_use]
    pub fn has_trial(&self, key: TrialKey) -> bool {
        self.locations.contains_key(&RecordKey::Trial(key))
    }

    /// The study that was begun; `None` if there is none.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn manifest(&mut self) -> Result<Option<Manifest>, StoreError> {
        self.read_value(RecordKey::Manifest)
    }

    /// The outcome of a trial; `None` if it is not there.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn outcome(&mut self, key: TrialKey) -> Result<Option<Outcome>, StoreError> {
        self.read_value(RecordKey::Trial(key))
    }

    /// The timeline of a trial, with its published QoS; `None` if it is not there.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn timeline(
        &mut self,
        key: TrialKey,
    ) -> Result<Option<(QoS, BacklogTimeline)>, StoreError> {
        self.read_value(RecordKey::Timeline(key))
    }

    /// Records the study that follows.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write_manifest(&mut self, manifest: &Manifest) -> Result<(), StoreError> {
        if self.manifest()?.as_ref() == Some(manifest) {
            return Ok(());
        }
        self.append(vec![(RecordKey::Manifest, encode(RecordKey::Manifest, manifest))])
    }

    /// Keeps the outcomes of trials, all at once.
    ///
    /// # Errors
    /// If they cannot be written, as on a full disk: what was there before stays.
    pub fn append_outcomes(&mut self, outcomes: &[(TrialKey, &Outcome)]) -> Result<(), StoreError> {
        let record = |(key, outcome): &(TrialKey, &Outcome)| {
            let subject = RecordKey::Trial(*key);
            (subject, encode(subject, outcome))
        };
        self.append(outcomes.iter().map(record).collect())
    }

    /// Keeps the timeline of a trial.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn append_timeline(
        &mut self,
        key: TrialKey,
        qos: QoS,
        timeline: &BacklogTimeline,
    ) -> Result<(), StoreError> {
        let subject = RecordKey::Timeline(key);
        self.append(vec![(subject, encode(subject, &(qos, timeline)))])
    }

    fn append(&mut self, records: Vec<(RecordKey, Vec<u8>)>) -> Result<(), StoreError> {
        let mut bytes = Vec::new();
        let mut places = Vec::with_capacity(records.len());
        for (subject, payload) in records {
            let at = self.end + bytes.len() as u64;
            places.push((subject, format::append_frame(at, &payload, &mut bytes)));
        }
        let written = self.file.seek(SeekFrom::Start(self.end));
        let written = written.and_then(|_| self.file.write_all(&bytes));
        if let Err(error) = written {
            // Half a record is cut off when the file is opened next, if not now.
            let _ = self.file.set_len(self.end);
            return Err(StoreError::io_at(&self.path)(error));
        }
        self.end += bytes.len() as u64;
        self.locations.extend(places);
        Ok(())
    }

    fn read_value<T: for<'de> Deserialize<'de>>(
        &mut self,
        subject: RecordKey,
    ) -> Result<Option<T>, StoreError> {
        let Some(place) = self.locations.get(&subject).copied() else { return Ok(None) };
        let payload = self.read_payload(place)?;
        let decoded = postcard::from_bytes::<(RecordKey, T)>(&payload);
        let value = decoded.ok().filter(|(found, _)| *found == subject).map(|(_, value)| value);
        value.map(Some).ok_or_else(|| StoreError::damaged(&self.path, place.offset))
    }

    fn read_payload(&mut self, place: RecordLocation) -> Result<Vec<u8>, StoreError> {
        let mut payload = vec![0; place.length];
        let read = self.file.seek(SeekFrom::Start(place.offset));
        read.and_then(|_| self.file.read_exact(&mut payload))
            .map_err(StoreError::io_at(&self.path))?;
        Ok(payload)
    }

    /// A record as it stands in the file.
    fn read_record(&mut self, subject: RecordKey) -> Result<Vec<u8>, StoreError> {
        self.read_payload(self.locations[&subject])
    }

    /// Puts the file in order: what was studied, its trials in their order, other trials by key,
    /// timelines. It is replaced as a whole, unless it is in order already.
    ///
    /// # Errors
    /// If it cannot be written; then it is as it was before.
    pub fn finish(mut self) -> Result<(), StoreError> {
        let rank = self.manifest()?.map(|manifest| manifest.trial_order()).unwrap_or_default();
        let mut order: Vec<RecordKey> = self.locations.keys().copied().collect();
        order.sort_by_key(|subject| subject.sort_key(&rank));
        let places = order.iter().map(|subject| self.locations[subject]);
        if self.header == Header::current() && format::is_contiguous(&self.header, self.end, places)
        {
            return self.file.sync_all().map_err(StoreError::io_at(&self.path));
        }
        let mut next = ReplacementFile::create_beside(&self.path)?;
        for subject in order {
            next.add(&self.read_record(subject)?)?;
        }
        next.replace()
    }
}

impl RecordKey {
    /// The place of a record in a finished file, by the ranks of the planned trials.
    fn sort_key(&self, planned: &BTreeMap<TrialKey, usize>) -> (usize, usize, Self) {
        let nth = |key: &TrialKey| planned.get(key).copied().unwrap_or(usize::MAX);
        match self {
            Self::Manifest => (0, 0, *self),
            Self::Trial(key) => (1, nth(key), *self),
            Self::Timeline(key) => (2, nth(key), *self),
        }
    }
}

/// A file that will take a store's place, whole or not at all.
struct ReplacementFile {
    path: PathBuf,
    file: io::BufWriter<tempfile::NamedTempFile>,
}

impl ReplacementFile {
    fn create_beside(path: &Path) -> Result<Self, StoreError> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        let file = tempfile::NamedTempFile::new_in(folder).map_err(StoreError::io_at(folder))?;
        let mut file = io::BufWriter::new(file);
        file.write_all(&Header::current().encode()).map_err(StoreError::io_at(path))?;
        Ok(Self { path: path.to_owned(), file })
    }

    fn add(&mut self, payload: &[u8]) -> Result<(), StoreError> {
        let mut bytes = Vec::with_capacity(payload.len() + format::FRAME_HEADER_BYTES);
        format::append_frame(0, payload, &mut bytes);
        self.file.write_all(&bytes).map_err(StoreError::io_at(&self.path))
    }

    fn replace(self) -> Result<(), StoreError> {
        let fail = |error| StoreError::io_at(&self.path)(error);
        let file = self.file.into_inner().map_err(|error| fail(error.into_error()))?;
        file.as_file().sync_all().map_err(fail)?;
        file.persist(&self.path).map_err(|wrong| fail(wrong.error))?;
        Ok(())
    }
}

fn encode(subject: RecordKey, value: &impl Serialize) -> Vec<u8> {
    postcard::to_stdvec(&(subject, value)).expect("whatever is stored has a length known before")
}

/// Opens a file to write and keeps others from doing so too, until it is closed.
fn open_locked(path: &Path) -> Result<File, StoreError> {
    loop {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let file = options.open(path).map_err(StoreError::io_at(path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(StoreError::InUse(path.to_owned())),
            Err(TryLockError::Error(error)) => return Err(StoreError::io_at(path)(error)),
        }
        // The process that held it before may have put another file in its place.
        let locked = file.try_clone().and_then(same_file::Handle::from_file);
        let named = same_file::Handle::from_path(path);
        if locked.map_err(StoreError::io_at(path))? == named.map_err(StoreError::io_at(path))? {
            return Ok(file);
        }
    }
}
