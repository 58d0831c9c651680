//! The trials of plans on threads, in parallel, judged in a fixed order.
//!
//! Trials run in batches. A batch is collected in the order of its trials and accumulated before
//! the next one starts, so the result is the same for any number of jobs, and only a batch of
//! outcomes is in memory at a time.

use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};

use super::cell_accumulator::CellAccumulator;
use super::judge_trial::JudgeError;
use super::plan::{Plan, PlannedTrial};
use super::result::{ScenarioResult, TrialResult, Verdict};
use super::run_output::RunOutput;
#[cfg(feature = "studies")]
use super::store::{StoreError, TrialStore};
#[cfg(feature = "studies")]
use super::sweep::TrialBacklog;
use super::sweep::{Study, StudyPlan};
use super::thread_pool::ThreadPool;
use super::trial_key::TrialKey;
use qoslab_core::base::Ending;
use qoslab_guarantee::Outcome;
use qoslab_sim::{Trial, panic_message};

/// Trials of a batch for each job: enough that no job waits long for the last one.
const BATCH_PER_JOB: usize = 16;

/// Runner of trials that says nothing of where they are kept or how they are shown: that is
/// `Runner`'s, which most users want.
#[derive(Clone, Copy, Debug)]
pub struct TrialRunner<'a> {
    /// The threads to run on.
    pub pool: &'a ThreadPool,
    /// Whether a scenario that failed is the last one. A scenario that began is always
    /// finished, so that its table is whole and the same for any number of jobs.
    pub fail_fast: bool,
    /// Set by the user's Ctrl-C: what is finished is kept, nothing more is started.
    pub interrupt: &'a AtomicBool,
}

/// A cache that keeps outcomes from one run to the next.
pub trait OutcomeCache {
    /// The reason why it cannot be used.
    type Error;

    /// The stored outcome of a trial; `None` if it is to run.
    ///
    /// # Errors
    /// If it cannot be read.
    fn fetch(&mut self, key: TrialKey) -> Result<Option<Outcome>, Self::Error>;

    /// Stores the outcomes of trials.
    ///
    /// # Errors
    /// If it cannot be written.
    fn insert(&mut self, outcomes: &[(TrialKey, &Outcome)]) -> Result<(), Self::Error>;
}

/// Keeps nothing.
impl OutcomeCache for () {
    type Error = Infallible;

    fn fetch(&mut self, _: TrialKey) -> Result<Option<Outcome>, Infallible> {
        Ok(None)
    }

    fn insert(&mut self, _: &[(TrialKey, &Outcome)]) -> Result<(), Infallible> {
        Ok(())
    }
}

/// Keeps nothing where there is none.
impl<C: OutcomeCache> OutcomeCache for Option<C> {
    type Error = C::Error;

    fn fetch(&mut self, key: TrialKey) -> Result<Option<Outcome>, C::Error> {
        self.as_mut().map_or(Ok(None), |cache| cache.fetch(key))
    }

    fn insert(&mut self, outcomes: &[(TrialKey, &Outcome)]) -> Result<(), C::Error> {
        self.as_mut().map_or(Ok(()), |cache| cache.insert(outcomes))
    }
}

#[cfg(feature = "studies")]
impl OutcomeCache for TrialStore {
    type Error = StoreError;

    fn fetch(&mut self, key: TrialKey) -> Result<Option<Outcome>, StoreError> {
        self.outcome(key)
    }

    fn insert(&mut self, outcomes: &[(TrialKey, &Outcome)]) -> Result<(), StoreError> {
        self.append_outcomes(outcomes)
    }
}

impl TrialRunner<'_> {
    /// Runs the plans with `judge`, which runs one trial to its outcome. A panic in it is caught
    /// and becomes a finding of its own.
    pub fn run<J, O>(&self, plans: Vec<Plan>, judge: &J, output: &O) -> Vec<ScenarioResult>
    where
        J: Fn(&Trial) -> Result<Outcome, JudgeError> + Sync,
        O: RunOutput,
    {
        let mut results: Vec<ScenarioResult> = Vec::with_capacity(plans.len());
        for plan in plans {
            if self.stops_after(results.last().map(|last| last.verdict)) {
                break;
            }
            let Ok(study) = self.run_study(StudyPlan::from_plan(plan), &mut (), judge, output);
            results.extend(study.cells.into_iter().map(|cell| cell.result));
        }
        results
    }

    /// Whether nothing more is to start after a scenario with this verdict.
    #[must_use]
    pub fn stops_after(&self, last: Option<Verdict>) -> bool {
        let failed = last.is_some_and(|verdict| verdict != Verdict::Holds);
        self.is_interrupted() || (failed && self.fail_fast)
    }

    /// Runs the trials of a study that the cache does not have, and puts them there. As with
    /// [`TrialRunner::run`], the result is the same for any number of jobs, and whatever the cache
    /// has.
    ///
    /// # Errors
    /// If the cache cannot be used.
    pub fn run_study<J, O, C>(
        &self,
        plan: StudyPlan,
        cache: &mut C,
        judge: &J,
        output: &O,
    ) -> Result<Study, C::Error>
    where
        J: Fn(&Trial) -> Result<Outcome, JudgeError> + Sync,
        O: RunOutput,
        C: OutcomeCache,
    {
        let judge = |trial: &Trial| {
            let judged = self.judge_catching_panics(trial, judge);
            output.trial_done(false);
            judged
        };
        self.accumulate_study(plan, cache, &judge, &|| output.trial_done(true), &|skipped| {
            output.trials_skipped(skipped);
        })
    }

    /// The study as far as the store has it, timelines included, without running anything.
    ///
    /// # Errors
    /// If the store cannot be read.
    #[cfg(feature = "studies")]
    pub fn load_study(&self, plan: StudyPlan, store: &mut TrialStore) -> Result<Study, StoreError> {
        let never = |_: &Trial| TrialResult::Interrupted;
        let mut study = self.accumulate_study(plan, store, &never, &|| {}, &|_| {})?;
        for (cell, found) in study.cells.iter().enumerate() {
            for point in &found.result.points {
                for row in &point.trials {
                    let ScenarioResult { scenario, engine, .. } = &found.result;
                    let key = TrialKey::new(*engine, &scenario.points[point.index], row.seed);
                    let Some((qos, timeline)) = store.timeline(key)? else { continue };
                    let (point, trial) = (point.label.clone(), row.name.clone());
                    let seed = row.seed;
                    study.timelines.push(TrialBacklog { cell, qos, point, trial, seed, timeline });
                }
            }
        }
        Ok(study)
    }

    fn accumulate_study<C: OutcomeCache>(
        &self,
        plan: StudyPlan,
        cache: &mut C,
        judge: &(impl Fn(&Trial) -> TrialResult + Sync),
        on_cached: &impl Fn(),
        on_skipped: &impl Fn(usize),
    ) -> Result<Study, C::Error> {
        let trials = plan.trials();
        let precision = plan.precision();
        let StudyPlan { axes, cells, .. } = plan;
        let mut accumulators: Vec<CellAccumulator> =
            cells.into_iter().map(CellAccumulator::new).collect();
        let mut planned = vec![0; accumulators.len()];
        if let Some(precision) = precision {
            for (nth, planned) in planned.iter_mut().enumerate() {
                for block in accumulators[nth].seed_blocks() {
                    // After an interruption it is unknown whether more seeds are needed.
                    let is_whole = accumulators[nth].finished() == *planned;
                    if !is_whole
                        || (*planned > 0 && precision.is_reached(&accumulators[nth].points))
                    {
                        break;
                    }
                    *planned += block.len();
                    let block: Vec<_> = block.into_iter().map(|it| (nth, it)).collect();
                    self.run_batches(&block, &mut accumulators, cache, judge, on_cached)?;
                }
                on_skipped(accumulators[nth].plan.trials.len() - *planned);
            }
        } else {
            for (cell, _) in &trials {
                planned[*cell] += 1;
            }
            self.run_batches(&trials, &mut accumulators, cache, judge, on_cached)?;
        }
        let cells = accumulators.into_iter().zip(planned);
        let cells = cells.map(|(cell, planned)| cell.into_cell(planned, precision.is_none()));
        Ok(Study { axes, cells: cells.collect(), timelines: Vec::new() })
    }

    fn run_batches<C: OutcomeCache>(
        &self,
        trials: &[(usize, PlannedTrial)],
        accumulators: &mut [CellAccumulator],
        cache: &mut C,
        judge: &(impl Fn(&Trial) -> TrialResult + Sync),
        on_cached: &impl Fn(),
    ) -> Result<(), C::Error> {
        for batch in trials.chunks(self.pool.jobs() * BATCH_PER_JOB) {
            if self.is_interrupted() {
                break;
            }
            let mut cached = Vec::with_capacity(batch.len());
            for (cell, selected) in batch {
                let accumulator = &accumulators[*cell];
                let stored = cache.fetch(accumulator.key(*selected))?;
                cached.push(stored.filter(|outcome| accumulator.is_usable(*selected, outcome)));
                if cached.last().is_some_and(Option::is_some) {
                    on_cached();
                }
            }
            let is_new: Vec<bool> = cached.iter().map(Option::is_none).collect();
            let plans: &[CellAccumulator] = accumulators;
            let trials = batch.iter().zip(cached).collect();
            let judged: Vec<(String, TrialResult)> =
                self.pool.map(trials, |((cell, selected), in_cache)| {
                    let trial = plans[*cell].plan.trial(*selected);
                    let judged = match in_cache {
                        Some(outcome) => TrialResult::Finished(Box::new(outcome)),
                        None => judge(&trial),
                    };
                    (trial.name, judged)
                });
            let finished = batch.iter().zip(&judged).zip(is_new).filter(|(_, is_new)| *is_new);
            let new: Vec<(TrialKey, &Outcome)> = finished
                .filter_map(|(((cell, selected), (_, judged)), _)| match judged {
                    TrialResult::Finished(outcome) if outcome.ending != Ending::EventLimit => {
                        Some((accumulators[*cell].key(*selected), &**outcome))
                    }
                    _ => None,
                })
                .collect();
            cache.insert(&new)?;
            for ((cell, selected), (name, judged)) in batch.iter().zip(judged) {
                accumulators[*cell].add(*selected, name, judged);
            }
        }
        Ok(())
    }

    fn judge_catching_panics<J>(&self, trial: &Trial, judge: &J) -> TrialResult
    where
        J: Fn(&Trial) -> Result<Outcome, JudgeError> + Sync,
    {
        if self.is_interrupted() {
            return TrialResult::Interrupted;
        }
        match catch_unwind(AssertUnwindSafe(|| judge(trial))) {
            Ok(Ok(outcome)) if outcome.ending == Ending::Interrupted => TrialResult::Interrupted,
            Ok(Ok(outcome)) => TrialResult::Finished(Box::new(outcome)),
            Ok(Err(JudgeError::NotDeterministic { first, second })) => {
                TrialResult::NotDeterministic(first, second)
            }
            Err(payload) => TrialResult::Panicked(panic_message(payload.as_ref())),
        }
    }

    fn is_interrupted(&self) -> bool {
        self.interrupt.load(Ordering::Relaxed)
    }
}
