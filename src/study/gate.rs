//! The gate: every trial of every plan, in parallel, judged in a fixed order.
//!
//! Trials run in batches. A batch is collected in the order of its trials and folded before the
//! next one starts, so the result is the same for any number of jobs, and only a batch of
//! outcomes is in memory at a time.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};

use rayon::ThreadPool;
use rayon::prelude::*;

use super::judge::JudgeError;
use super::needs;
use super::plan::{Plan, Selected};
use super::result::{Judged, PointResult, ScenarioResult, Verdict};
use crate::guarantee::verdict::{Ending, Outcome};
use crate::scenario::trial::Trial;

/// Trials of a batch for each job: enough that no job waits long for the last one.
const BATCH_PER_JOB: usize = 16;

/// How the gate is run.
#[derive(Clone, Copy, Debug)]
pub struct Gate<'a> {
    /// The threads to run on.
    pub pool: &'a ThreadPool,
    /// Whether to start the next scenario after one that failed. A scenario that began is always
    /// finished, so that its table is whole and the same for any number of jobs.
    pub fail_fast: bool,
    /// Set by the user's Ctrl-C: what is finished is kept, nothing more is started.
    pub interrupt: &'a AtomicBool,
}

/// Told how the gate gets on.
pub trait Spectator: Sync {
    /// A trial is finished; told on the thread that ran it, in any order.
    fn trial_done(&self);
    /// A scenario is judged.
    fn scenario_done(&self, result: &ScenarioResult);
}

impl Spectator for () {
    fn trial_done(&self) {}
    fn scenario_done(&self, _: &ScenarioResult) {}
}

impl Gate<'_> {
    /// Runs the plans with `judge`, which runs one trial to its outcome. A panic in it is caught
    /// and becomes a finding of its own.
    pub fn run<J, S>(&self, plans: Vec<Plan>, judge: &J, spectator: &S) -> Vec<ScenarioResult>
    where
        J: Fn(&Trial) -> Result<Outcome, JudgeError> + Sync,
        S: Spectator,
    {
        let mut results: Vec<ScenarioResult> = Vec::with_capacity(plans.len());
        for plan in plans {
            let failed = results.last().is_some_and(|last| last.verdict != Verdict::Holds);
            if self.is_interrupted() || (failed && self.fail_fast) {
                break;
            }
            let result = self.run_plan(plan, judge, spectator);
            spectator.scenario_done(&result);
            results.push(result);
        }
        results
    }

    fn run_plan<J, S>(&self, plan: Plan, judge: &J, spectator: &S) -> ScenarioResult
    where
        J: Fn(&Trial) -> Result<Outcome, JudgeError> + Sync,
        S: Spectator,
    {
        let mut points: Vec<PointResult> = Vec::new();
        for batch in plan.trials.chunks(self.pool.current_num_threads() * BATCH_PER_JOB) {
            if self.is_interrupted() {
                break;
            }
            let judged: Vec<(Selected, String, Judged)> = self.pool.install(|| {
                let trials = batch.par_iter().with_max_len(1);
                trials
                    .map(|selected| {
                        let trial = plan.trial(*selected);
                        let judged = self.judge_caught(&trial, judge);
                        spectator.trial_done();
                        (*selected, trial.name, judged)
                    })
                    .collect()
            });
            for (selected, name, judged) in judged {
                if points.last().is_none_or(|point| point.index != selected.point) {
                    points.push(PointResult::new(&plan.scenario, selected.point));
                }
                let point = points.last_mut().expect("one was pushed if there was none");
                point.fold(name, selected.seed, judged, &plan.scenario.expect);
            }
        }
        points.retain(|point| !point.trials.is_empty());
        needs::judge_scenario(plan, points)
    }

    fn judge_caught<J>(&self, trial: &Trial, judge: &J) -> Judged
    where
        J: Fn(&Trial) -> Result<Outcome, JudgeError> + Sync,
    {
        if self.is_interrupted() {
            return Judged::Interrupted;
        }
        match catch_unwind(AssertUnwindSafe(|| judge(trial))) {
            Ok(Ok(outcome)) if outcome.ending == Ending::Interrupted => Judged::Interrupted,
            Ok(Ok(outcome)) => Judged::Finished(Box::new(outcome)),
            Ok(Err(JudgeError::NotDeterministic { first, second })) => {
                Judged::NotDeterministic(first, second)
            }
            Err(payload) => Judged::Panicked(panic_message(payload.as_ref())),
        }
    }

    fn is_interrupted(&self) -> bool {
        self.interrupt.load(Ordering::Relaxed)
    }
}

fn panic_message(payload: &(dyn std::any::Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a panic without a message")
        .to_owned()
}
