//! The first failure of each kind: shrunk, and recorded to be shown.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

use super::recording::{RecordingFilter, TrialRecording, record_trial};
use super::result::{Failure, FailureCause, PointResult, ScenarioResult};
use super::shrink::{BrokenGuarantee, MAX_SHRINK_EVENTS, ShrunkTrial, TrialSize, shrink};
use super::thread_pool::ThreadPool;
use qoslab_guarantee::Outcome;
use qoslab_sim::{Engine, Trial};

/// The smallest trial in which something breaks as it did, and what happens in it.
#[derive(Clone, Debug)]
pub struct MinimalFailure {
    /// The trial.
    pub shrunk: ShrunkTrial,
    /// The part of it that is shown.
    pub filter: RecordingFilter,
    /// The recording of it.
    pub recording: TrialRecording,
    /// The folder in which it is saved, as shown to users; `None` if it is not saved.
    pub folder: Option<String>,
}

/// Trials of more events are not shrunk.
pub const MAX_TRIAL_EVENTS: u64 = MAX_SHRINK_EVENTS / 4;

/// A failure to be shrunk: its place among the points and their failures, and what broke.
struct ShrinkJob {
    indices: (usize, usize),
    broken: BrokenGuarantee,
    trial: Trial,
}

/// Shrinks the first failure of each kind to its minimal failures, on the engine that found it.
/// Interrupted ones are left out.
pub fn shrink_failures<E: Engine>(
    engine: &E,
    result: &mut ScenarioResult,
    pool: &ThreadPool,
    interrupt: &AtomicBool,
) {
    let jobs = shrink_jobs(result);
    let story = |job: &ShrinkJob| shrink_and_record(engine, &job.trial, job.broken, interrupt);
    let stories = pool.map(jobs.iter().collect(), story);
    for (job, story) in jobs.iter().zip(stories) {
        let (point, failure) = job.indices;
        result.points[point].failures[failure].minimal_failures.extend(story);
    }
}

/// How many kinds of failure there are to be shrunk.
#[must_use]
pub fn shrinkable_count(result: &ScenarioResult) -> usize {
    shrink_jobs(result).len()
}

/// How many failing trials are too large to be shrunk.
#[must_use]
pub fn too_large_count(result: &ScenarioResult) -> usize {
    let failures = |point: &PointResult| {
        let is_left = |it: &&Failure| !broken_guarantees(it).is_empty() && is_too_large(point, it);
        point.failures.iter().filter(is_left).count()
    };
    result.points.iter().map(failures).sum()
}

/// Recording the random draws takes memory for each packet.
fn is_too_large(point: &PointResult, failure: &Failure) -> bool {
    let row = point.trials.iter().find(|row| row.seed == failure.seed);
    let facts = row.and_then(|row| row.summary.as_ref());
    facts.is_some_and(|facts| facts.events > MAX_TRIAL_EVENTS)
}

fn shrink_jobs(result: &ScenarioResult) -> Vec<ShrinkJob> {
    let mut seen = BTreeSet::new();
    let mut jobs = Vec::new();
    for (n, point) in result.points.iter().enumerate() {
        for (nth, failure) in point.failures.iter().enumerate() {
            if is_too_large(point, failure) {
                continue;
            }
            for bug in broken_guarantees(failure).into_iter().filter(|bug| seen.insert(*bug)) {
                let trial = result.scenario.points[point.index].trial(failure.seed);
                jobs.push(ShrinkJob { indices: (n, nth), broken: bug, trial });
            }
        }
    }
    jobs
}

/// The kinds of broken promises, and where there are none those of broken rules.
fn broken_guarantees(failure: &Failure) -> Vec<BrokenGuarantee> {
    match &failure.cause {
        FailureCause::Broken { violations, rules, .. } if violations.is_empty() => {
            rules.keys().copied().map(BrokenGuarantee::Rule).collect()
        }
        FailureCause::Broken { violations, .. } => {
            violations.keys().copied().map(BrokenGuarantee::Promise).collect()
        }
        FailureCause::NotDrained { .. }
        | FailureCause::NotDeterministic { .. }
        | FailureCause::Panicked(_) => Vec::new(),
    }
}

/// The minimal failure of a trial, with its outcome. `None` if nothing broke.
#[must_use]
pub fn from_minimal_trial<E: Engine>(
    engine: &E,
    trial: &Trial,
    outcome: &Outcome,
    interrupt: &AtomicBool,
) -> Option<MinimalFailure> {
    let bug = BrokenGuarantee::of(outcome).into_iter().next()?;
    let size = TrialSize::of(&trial.setup);
    let (trial, outcome) = (trial.clone(), outcome.clone());
    let shrunk = ShrunkTrial {
        trial,
        outcome,
        broken: bug,
        before: size,
        after: size,
        stopped_early: false,
    };
    Some(record_minimal_failure(engine, shrunk, interrupt))
}

fn shrink_and_record<E: Engine>(
    engine: &E,
    trial: &Trial,
    broken: BrokenGuarantee,
    interrupt: &AtomicBool,
) -> Option<MinimalFailure> {
    let shrunk = shrink(engine, trial, broken, MAX_SHRINK_EVENTS, interrupt)?;
    let story = record_minimal_failure(engine, shrunk, interrupt);
    // An interrupted recording ends anywhere.
    (!interrupt.load(Ordering::Relaxed)).then_some(story)
}

fn record_minimal_failure<E: Engine>(
    engine: &E,
    shrunk: ShrunkTrial,
    interrupt: &AtomicBool,
) -> MinimalFailure {
    let of = |finding| RecordingFilter::for_finding(engine, &shrunk.trial, finding, interrupt);
    let scope = shrunk.finding().and_then(of);
    let scope = scope.unwrap_or(RecordingFilter::WHOLE_TRIAL);
    let tape = record_trial(engine, &shrunk.trial, &scope, interrupt);
    MinimalFailure { shrunk, filter: scope, recording: tape, folder: None }
}
