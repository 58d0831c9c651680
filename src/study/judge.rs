//! One trial, run to its outcome.

use std::sync::atomic::AtomicBool;

use thiserror::Error;

use crate::guarantee::verdict::Outcome;
use crate::scenario::trial::Trial;

/// Why a trial has no outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum JudgeError {
    /// The second pass, which is to find who is to blame, was not the same trial.
    #[error("the trial gave the trace {first:016x} and then {second:016x}")]
    NotDeterministic {
        /// The trace hash of the first pass.
        first: u64,
        /// The trace hash of the second.
        second: u64,
    },
}

/// Runs a trial and judges it. If promises were broken, runs it once more and watches the
/// messages concerned, to tell what happened and whose fault it was.
///
/// # Errors
/// If the two passes differ, which is a bug in qoslab.
pub fn judge_trial(trial: &Trial, interrupt: &AtomicBool) -> Result<Outcome, JudgeError> {
    let _ = (trial, interrupt);
    unreachable!("the engine is not built yet")
}
