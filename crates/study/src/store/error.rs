//! Errors of a store.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::format::FORMAT;

/// Error of a store.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The file cannot be read or written.
    #[error("failed to use {}: {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The reason.
        error: io::Error,
    },
    /// It does not begin as a store does.
    #[error(
        "{} is no trial store: choose another folder, or replace it with --fresh", .0.display()
    )]
    NotAStore(PathBuf),
    /// Another version of qoslab wrote it in another way.
    #[error(
        "{} has format {stored}, and this qoslab reads format {FORMAT}: choose another folder, \
         or start again with --fresh", path.display()
    )]
    OtherFormat {
        /// The file.
        path: PathBuf,
        /// Its format.
        stored: u32,
    },
    /// Its trials are of another model.
    #[error(
        "{} has trials of model {stored}, and this qoslab simulates model {current}, so they \
         cannot be mixed: choose another folder, or start again with --fresh", path.display()
    )]
    OtherModel {
        /// The file.
        path: PathBuf,
        /// Its model.
        stored: u32,
        /// This qoslab's.
        current: u32,
    },
    /// Bytes are not as they were written: the file is damaged.
    #[error(
        "{} is damaged at byte {at}: restore it, or start again with --fresh", path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The place of the damage.
        at: u64,
    },
    /// Another process writes it.
    #[error("{} is in use by another qoslab: wait for it, or choose another folder", .0.display())]
    InUse(PathBuf),
}

impl StoreError {
    pub(super) fn io_at(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |error| Self::Io { path, error }
    }

    pub(super) fn damaged(path: &Path, at: u64) -> Self {
        Self::Damaged { path: path.to_owned(), at }
    }
}
