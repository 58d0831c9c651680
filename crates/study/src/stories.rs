//! The first failure of each kind: shrunk, and recorded to be shown.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

use rayon::ThreadPool;
use rayon::prelude::*;

use super::result::{Cause, Failure, PointResult, ScenarioResult};
use super::shrink::{Bug, MOST_EVENTS, Shrunk, Size, shrink};
use super::tape::{Scope, Tape, record};
use qoslab_guarantee::verdict::Outcome;
use qoslab_sim::Engine;
use qoslab_sim::trial::Trial;

/// The smallest trial in which something breaks as it did, and what happens in it.
#[derive(Clone, Debug)]
pub struct Story {
    /// The trial.
    pub shrunk: Shrunk,
    /// What of it is shown.
    pub scope: Scope,
    /// What happens in it.
    pub tape: Tape,
    /// The folder that keeps it, as people would write it; `None` if nothing does.
    pub folder: Option<String>,
}

/// Trials of more events are not shrunk.
pub const LARGEST: u64 = MOST_EVENTS / 4;

/// A failure to be shrunk: its place among the points and their failures, and what broke.
struct Job {
    place: (usize, usize),
    bug: Bug,
    trial: Trial,
}

/// Gives the first failure of each kind its story, on the engine that found it. Nothing is said of
/// what was interrupted.
pub fn tell<E: Engine>(
    engine: &E,
    result: &mut ScenarioResult,
    pool: &ThreadPool,
    interrupt: &AtomicBool,
) {
    let jobs = jobs(result);
    let story = |job: &Job| story(engine, &job.trial, job.bug, interrupt);
    let stories: Vec<_> = pool.install(|| jobs.par_iter().map(story).collect());
    for (job, story) in jobs.iter().zip(stories) {
        let (point, failure) = job.place;
        result.points[point].failures[failure].stories.extend(story);
    }
}

/// How many kinds of failure there are to be shrunk.
#[must_use]
pub fn count(result: &ScenarioResult) -> usize {
    jobs(result).len()
}

/// How many failing trials are too large to be shrunk.
#[must_use]
pub fn too_large(result: &ScenarioResult) -> usize {
    let failures = |point: &PointResult| {
        let is_left = |it: &&Failure| !bugs(it).is_empty() && is_too_large(point, it);
        point.failures.iter().filter(is_left).count()
    };
    result.points.iter().map(failures).sum()
}

/// Writing down what luck decided takes memory for each packet.
fn is_too_large(point: &PointResult, failure: &Failure) -> bool {
    let row = point.trials.iter().find(|row| row.seed == failure.seed);
    let facts = row.and_then(|row| row.facts.as_ref());
    facts.is_some_and(|facts| facts.events > LARGEST)
}

fn jobs(result: &ScenarioResult) -> Vec<Job> {
    let mut seen = BTreeSet::new();
    let mut jobs = Vec::new();
    for (n, point) in result.points.iter().enumerate() {
        for (nth, failure) in point.failures.iter().enumerate() {
            if is_too_large(point, failure) {
                continue;
            }
            for bug in bugs(failure).into_iter().filter(|bug| seen.insert(*bug)) {
                let trial = result.scenario.points[point.index].trial(failure.seed);
                jobs.push(Job { place: (n, nth), bug, trial });
            }
        }
    }
    jobs
}

/// The kinds of broken promises, and where there are none those of broken rules.
fn bugs(failure: &Failure) -> Vec<Bug> {
    match &failure.cause {
        Cause::Broken { violations, rules, .. } if violations.is_empty() => {
            rules.keys().copied().map(Bug::Rule).collect()
        }
        Cause::Broken { violations, .. } => violations.keys().copied().map(Bug::Promise).collect(),
        Cause::NotDrained { .. } | Cause::NotDeterministic { .. } | Cause::Panicked(_) => {
            Vec::new()
        }
    }
}

/// The story of a trial that is as small as it gets, with what came of it. `None` if nothing broke.
#[must_use]
pub fn of_trial<E: Engine>(
    engine: &E,
    trial: &Trial,
    outcome: &Outcome,
    interrupt: &AtomicBool,
) -> Option<Story> {
    let bug = Bug::of(outcome).into_iter().next()?;
    let size = Size::of(&trial.setup);
    let (trial, outcome) = (trial.clone(), outcome.clone());
    let shrunk = Shrunk { trial, outcome, bug, before: size, after: size, stopped_early: false };
    Some(record_story(engine, shrunk, interrupt))
}

fn story<E: Engine>(engine: &E, trial: &Trial, bug: Bug, interrupt: &AtomicBool) -> Option<Story> {
    let shrunk = shrink(engine, trial, bug, MOST_EVENTS, interrupt)?;
    let story = record_story(engine, shrunk, interrupt);
    // An interrupted recording ends anywhere.
    (!interrupt.load(Ordering::Relaxed)).then_some(story)
}

fn record_story<E: Engine>(engine: &E, shrunk: Shrunk, interrupt: &AtomicBool) -> Story {
    let of = |finding| Scope::of_finding(engine, &shrunk.trial, finding, interrupt);
    let scope = shrunk.finding().and_then(of);
    let scope = scope.unwrap_or(Scope::WHOLE);
    let tape = record(engine, &shrunk.trial, &scope, interrupt);
    Story { shrunk, scope, tape, folder: None }
}
