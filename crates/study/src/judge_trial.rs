//! Running of one trial to its outcome.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use thiserror::Error;

use super::trial_facts::trial_facts;
use qoslab_core::base::Ending;
use qoslab_guarantee::{
    ConformanceObserver, EvidenceRecorder, FirstPassObserver, LivelockObserver, Outcome, TrialFacts,
};
use qoslab_sim::Options;
use qoslab_sim::{Engine, Trial};

/// The reason why a trial has no outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum JudgeError {
    /// The second pass, which is to assign the blame, was not the same trial.
    #[error("the trial gave the trace {first:016x} and then {second:016x}")]
    NotDeterministic {
        /// The trace hash of the first pass.
        first: u64,
        /// The trace hash of the second.
        second: u64,
    },
}

/// Runs a trial on an engine and judges it. If promises were broken, runs it once more and watches
/// the messages concerned, to report what happened and which part is to blame. If it came to a
/// limit before its end, runs it once more too, to see what it did in vain. Once `interrupt` is
/// true the outcome may end as [`Ending::Interrupted`], and then says nothing.
///
/// # Errors
/// If the two passes differ, which is a bug in qoslab.
pub fn judge_trial<E: Engine>(
    engine: &E,
    trial: &Trial,
    interrupt: &AtomicBool,
) -> Result<Outcome, JudgeError> {
    let facts = trial_facts(&trial.setup);
    let mut outcome = judge_promises(engine, trial, &facts, interrupt)?;
    if matches!(outcome.ending, Ending::Deadline | Ending::EventLimit) {
        let observer = LivelockObserver::new(&facts);
        let (again, observer) = engine.run(trial, observer, Options::with_interrupt(interrupt));
        if again.ending == Ending::Interrupted {
            outcome.ending = Ending::Interrupted;
        }
        outcome.livelock = observer.finish();
    }
    Ok(outcome)
}

fn judge_promises<E: Engine>(
    engine: &E,
    trial: &Trial,
    facts: &Arc<TrialFacts>,
    interrupt: &AtomicBool,
) -> Result<Outcome, JudgeError> {
    let observers = (FirstPassObserver::new(facts), ConformanceObserver::new(facts));
    let (ended, (watch, conformance)) =
        engine.run_specialized(trial, observers, Options::with_interrupt(interrupt));
    let first_pass = watch.finish(&ended);
    if first_pass.suspects.is_empty() || ended.ending == Ending::Interrupted {
        let mut outcome = first_pass.into_unexplained_outcome();
        conformance.add_to_outcome(&mut outcome);
        return Ok(outcome);
    }
    let recorder = EvidenceRecorder::new(facts, &first_pass.suspects);
    let (again, recorder) = engine.run(trial, recorder, Options::with_interrupt(interrupt));
    let mut outcome = recorder.into_outcome(first_pass);
    conformance.add_to_outcome(&mut outcome);
    if again.ending == Ending::Interrupted {
        outcome.ending = Ending::Interrupted;
    } else if again.trace_hash != ended.trace_hash {
        let (first, second) = (ended.trace_hash, again.trace_hash);
        return Err(JudgeError::NotDeterministic { first, second });
    }
    Ok(outcome)
}
