//! One trial of systems under test, run to its outcome whatever they do.

use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;
use std::{panic, thread};

use qoslab_core::base::{Ending, Node, RunSummary, Time};
use qoslab_guarantee::{
    ConformanceObserver, EvidenceRecorder, FirstPassObserver, Outcome, TrialFacts,
};
use qoslab_sim::Options;
use qoslab_sim::turmoil::{NodeFactories, RunProgress, SutRun, run_with_sut};
use qoslab_sim::{SutError, SutErrorKind, Trial};
use qoslab_study::{JudgeError, trial_facts};

/// Findings on a trial besides its outcome.
#[derive(Clone, Debug, Default)]
pub(super) struct SutNotes {
    /// Forbidden actions of systems under test.
    pub(super) errors: Vec<SutError>,
    /// The number of runs, and how many of them gave the trace of the reported one.
    pub(super) runs: usize,
    pub(super) agreeing_runs: usize,
}

/// Real time in which virtual time must go on. It decides nothing but that code which never gives
/// control back has hung.
pub(super) const HANG_TIMEOUT: Duration = Duration::from_secs(20);

/// The maximum number of runs, if successive runs have different suspected violations.
const MAX_RUNS: usize = 6;

/// Judges a trial on a thread of its own, which is left behind if a system under test hangs.
pub(super) fn judge_sut_trial(
    factories: &NodeFactories,
    trial: &Trial,
    hang_timeout: Duration,
) -> (Result<Outcome, JudgeError>, SutNotes) {
    let pulse = Arc::new(RunProgress::default());
    let (sender, receiver) = channel();
    let (cast, trial_of_thread) = (factories.clone().with_progress(&pulse), trial.clone());
    let name = thread::current().name().map(str::to_owned);
    let thread = thread::Builder::new().name(name.unwrap_or_else(|| "trial".to_owned()));
    let handle = thread
        .spawn(move || {
            // The receiver is gone if it took too long.
            let _ = sender.send(judge_on_this_thread(&cast, &trial_of_thread));
        })
        .expect("a thread can be started");
    let mut last = Time::NEVER;
    loop {
        match receiver.recv_timeout(hang_timeout) {
            Ok((outcome, notes)) => return (Ok(outcome), notes),
            Err(RecvTimeoutError::Disconnected) => {
                let panic = handle.join().expect_err("it sent nothing");
                panic::resume_unwind(panic);
            }
            Err(RecvTimeoutError::Timeout) => {
                let now = pulse.now();
                if now == last {
                    return hung_outcome(trial, pulse.node(), now);
                }
                last = now;
            }
        }
    }
}

/// The findings for a trial in which the code of a system under test does not return.
fn hung_outcome(trial: &Trial, node: Node, at: Time) -> (Result<Outcome, JudgeError>, SutNotes) {
    let ended = RunSummary {
        ending: Ending::Deadline,
        at,
        events: 0,
        packets: 0,
        trace_hash: 0,
        radio: None,
    };
    let outcome =
        FirstPassObserver::new(&facts_under_test(trial)).finish(&ended).into_unexplained_outcome();
    let sut_errors = vec![SutError { node, at, kind: SutErrorKind::Hung }];
    (Ok(outcome), SutNotes { errors: sut_errors, runs: 1, agreeing_runs: 1 })
}

/// Runs a trial at least twice. Systems under test may have randomness of their own, so what broke
/// in one run is explained by what was recorded in that very run: the next one records what broke
/// in the last.
fn judge_on_this_thread(factories: &NodeFactories, trial: &Trial) -> (Outcome, SutNotes) {
    let facts = facts_under_test(trial);
    let mut expected = Vec::new();
    let mut traces = Vec::new();
    loop {
        let observers = (
            FirstPassObserver::new(&facts),
            ConformanceObserver::new(&facts),
            EvidenceRecorder::new(&facts, &expected),
        );
        let performed = run_with_sut(trial, factories, observers, Options::default());
        let SutRun { summary: ended, observer: (watch, conformance, recorder), errors: mishaps } =
            performed;
        traces.push(ended.trace_hash);
        let first_pass = watch.finish(&ended);
        let is_recorded = first_pass.suspects.iter().all(|it| expected.contains(it));
        let is_last = traces.len() == MAX_RUNS;
        if (traces.len() > 1 && is_recorded) || is_last {
            let mut outcome = if is_recorded {
                recorder.into_outcome(first_pass)
            } else {
                first_pass.into_unexplained_outcome()
            };
            conformance.add_to_outcome(&mut outcome);
            let agree = traces.iter().filter(|trace| **trace == ended.trace_hash).count();
            return (
                outcome,
                SutNotes { errors: mishaps, runs: traces.len(), agreeing_runs: agree },
            );
        }
        expected = first_pass.suspects;
    }
}

/// The facts of a trial in which an endpoint is somebody else's.
fn facts_under_test(trial: &Trial) -> Arc<TrialFacts> {
    let mut facts = trial_facts(&trial.setup);
    Arc::make_mut(&mut facts).is_under_test = true;
    facts
}
