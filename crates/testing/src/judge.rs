//! One trial of products, run to its outcome whatever they do.

use std::panic;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use qoslab_core::base::ending::{Ended, Ending};
use qoslab_core::base::name::Node;
use qoslab_core::base::time::Time;
use qoslab_guarantee::monitor::Conformance;
use qoslab_guarantee::recorder::Recorder;
use qoslab_guarantee::verdict::Outcome;
use qoslab_guarantee::watch::Watch;
use qoslab_sim::event::Options;
use qoslab_sim::mishap::{Mishap, MishapKind};
use qoslab_sim::trial::Trial;
use qoslab_sim::turmoil::{Cast, Performed, Pulse, perform};
use qoslab_study::judge::JudgeError;
use qoslab_study::roster::roster;

/// What there is to say of a trial beside its outcome.
#[derive(Clone, Debug, Default)]
pub(super) struct Notes {
    /// What products did that no endpoint may.
    pub(super) mishaps: Vec<Mishap>,
    /// How many runs were made, and how many of them gave the trace of the one that is told.
    pub(super) runs: usize,
    pub(super) agree: usize,
}

/// Real time in which virtual time must go on. It decides nothing but that code which never gives
/// control back has hung.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// Runs at most, where one after the other has other offenders.
const MOST_RUNS: usize = 6;

/// Judges a trial on a thread of its own, which is left behind if a product hangs.
pub(super) fn judge(
    cast: &Cast,
    trial: &Trial,
    patience: Duration,
) -> (Result<Outcome, JudgeError>, Notes) {
    let pulse = Arc::new(Pulse::default());
    let (sender, receiver) = channel();
    let (cast, trial_of_thread) = (cast.clone().with_pulse(&pulse), trial.clone());
    let name = thread::current().name().map(str::to_owned);
    let thread = thread::Builder::new().name(name.unwrap_or_else(|| "trial".to_owned()));
    let handle = thread
        .spawn(move || {
            // Nobody listens any more if it took too long.
            let _ = sender.send(judge_here(&cast, &trial_of_thread));
        })
        .expect("a thread can be started");
    let mut last = Time::NEVER;
    loop {
        match receiver.recv_timeout(patience) {
            Ok((outcome, notes)) => return (Ok(outcome), notes),
            Err(RecvTimeoutError::Disconnected) => {
                let panic = handle.join().expect_err("it sent nothing");
                panic::resume_unwind(panic);
            }
            Err(RecvTimeoutError::Timeout) => {
                let now = pulse.now();
                if now == last {
                    return hung(trial, pulse.node(), now);
                }
                last = now;
            }
        }
    }
}

/// What is to be said of a trial in which a product's code does not come back.
fn hung(trial: &Trial, node: Node, at: Time) -> (Result<Outcome, JudgeError>, Notes) {
    let ended = Ended { ending: Ending::Deadline, at, events: 0, packets: 0, trace_hash: 0 };
    let outcome = Watch::new(&roster(&trial.setup)).finish(&ended).into_outcome();
    let mishaps = vec![Mishap { node, at, what: MishapKind::Hung }];
    (Ok(outcome), Notes { mishaps, runs: 1, agree: 1 })
}

/// Runs a trial twice at least. Products may use luck of their own, so what broke in one run is
/// explained by what was recorded in that very run: the next one records what broke in the last.
fn judge_here(cast: &Cast, trial: &Trial) -> (Outcome, Notes) {
    let roster = roster(&trial.setup);
    let mut expected = Vec::new();
    let mut traces = Vec::new();
    loop {
        let observers =
            (Watch::new(&roster), Conformance::new(&roster), Recorder::new(&roster, &expected));
        let performed = perform(trial, cast, observers, Options::default());
        let Performed { ended, observer: (watch, conformance, recorder), mishaps } = performed;
        traces.push(ended.trace_hash);
        let first_pass = watch.finish(&ended);
        let is_recorded = first_pass.offenders.iter().all(|it| expected.contains(it));
        let is_last = traces.len() == MOST_RUNS;
        if (traces.len() > 1 && is_recorded) || is_last {
            let mut outcome =
                if is_recorded { recorder.conclude(first_pass) } else { first_pass.into_outcome() };
            conformance.conclude(&mut outcome);
            let agree = traces.iter().filter(|trace| **trace == ended.trace_hash).count();
            return (outcome, Notes { mishaps, runs: traces.len(), agree });
        }
        expected = first_pass.offenders;
    }
}
