//! Errors that stop a run.

use thiserror::Error;

use super::OutputError;
use crate::choose::ChooseError;
use crate::manifest::ManifestError;
use crate::store::{MergeError, StoreError};

/// Error that stops a run.
#[derive(Debug, Error)]
pub enum RunError {
    /// A store cannot be opened or finished, or a baseline cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store failed while trials ran: the same run goes on where it ends.
    #[error(transparent)]
    Stopped(StoreError),
    /// The output failed.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// Nothing can be chosen by.
    #[error(transparent)]
    Choose(#[from] ChooseError),
    /// The interrupt flag was set before there was an answer: the same run goes on from its store.
    #[error("interrupted before there is an answer")]
    Interrupted,
    /// A store keeps trials but not the study that they belong to.
    #[error("the store says nothing of what was studied")]
    NoManifest,
    /// A study cannot be planned again from its store.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// Shards cannot be joined.
    #[error(transparent)]
    Merge(#[from] MergeError),
}
