//! Error for trials that an engine cannot run.

use thiserror::Error;

use qoslab_core::base::Span;

/// Reason why turmoil cannot carry a trial.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the link of `{client}` has a delay of {delay} {direction}: {reason}")]
pub struct Unsupported {
    /// The client whose link it is.
    pub client: String,
    /// Its delay.
    pub delay: Span,
    /// `up` or `down`.
    pub direction: &'static str,
    /// The reason.
    pub reason: &'static str,
}
