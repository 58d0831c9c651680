//! Runner of whole studies: all that `qoslab run`, `sweep` and `choose` do between the arguments
//! and the output.

use std::sync::atomic::{AtomicBool, Ordering};

use super::backlog::record_backlogs;
use super::baseline::compare;
use super::judge_trial::judge_trial;
use super::minimal_failures;
use super::result::{ScenarioResult, Verdict};
use super::store::{StoreError, TrialStore};
use super::sweep::{Study, StudyPlan};
use super::thread_pool::ThreadPool;
use super::trial_key::TrialKey;
use super::trial_runner::TrialRunner;
use super::unused_entries::unused_schedule_entries;
use qoslab_sim::Trial;

mod choice;
mod error;
mod overrides;
mod stored;
mod study_run;

use super::run_output::{OutputError, RunOutput, RunSize, ShrinkSize, StudyResult};
pub use choice::ChoiceResult;
pub use error::RunError;
pub use overrides::TrialOverrides;
pub use study_run::{Storage, StudyRun};

/// Runner of studies.
///
/// Each study takes the same steps: its trials are simulated or taken from a store, judged, shrunk
/// where they failed, and compared with a baseline; a [`RunOutput`] is notified of each step. What
/// `qoslab run` does to a file, on all processors and without a report, is this:
///
/// ```
/// use std::sync::atomic::AtomicBool;
///
/// use qoslab_study::scenario::Scenario;
/// use qoslab_study::{
///     OutputError, RunOptions, RunOutput, Runner, Selection, StudyResult, StudyRun, ThreadPool,
///     Verdict, plan,
/// };
///
/// /// Prints a line for each scenario.
/// struct Lines;
///
/// impl RunOutput for Lines {
///     fn study_done(&mut self, result: &StudyResult) -> Result<(), OutputError> {
///         let scenario = &result.study.cells[0].result;
///         println!("{}: {:?}", scenario.scenario.name, scenario.verdict);
///         Ok(())
///     }
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let text = include_str!("../../../scenarios/lossy-uplink.toml");
/// # let load = |path| Scenario::parse(path, text).map_err(|errors| errors.to_string());
/// # let _ = Scenario::load;
/// let scenario = load("lossy-uplink.toml")?; // or Scenario::load
/// let (pool, interrupt) = (ThreadPool::new(None)?, AtomicBool::new(false));
/// let runner = Runner::new(&pool, &interrupt);
/// let selection = Selection::default();
/// let plans = plan(vec![scenario], &selection)?.into_iter();
/// let runs = plans.map(|plan| StudyRun::of_scenario(plan, &selection)).collect();
/// let results = runner.run(runs, RunOptions::default(), &mut Lines)?;
/// assert_eq!(results[0].study.verdict(), Verdict::Holds);
/// # Ok(())
/// # }
/// ```
///
/// And this is `qoslab sweep lossy-uplink.toml --vary link.sensor.loss=0%..30%:10% --seeds 5`,
/// with a store from which it goes on if it is stopped:
///
/// ```
/// # use std::sync::atomic::AtomicBool;
/// # use qoslab_study::{Runner, ThreadPool};
/// use qoslab_study::scenario::{Axis, Scenario, combine_axes};
/// use qoslab_study::{Seeds, Selection, Storage, StudyPlan, StudyRun, cell_scenarios};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let text = include_str!("../../../scenarios/lossy-uplink.toml");
/// # let scenario = Scenario::parse("lossy-uplink.toml", text).map_err(|it| it.to_string())?;
/// # let folder = tempfile::tempdir()?;
/// # let (pool, interrupt) = (ThreadPool::new(None)?, AtomicBool::new(false));
/// # let runner = Runner::new(&pool, &interrupt);
/// let axes = vec![Axis::parse("link.sensor.loss=0%..30%:10%").map_err(|it| it.message)?];
/// let values = combine_axes(&axes).map_err(|problem| problem.message)?;
/// let cells: Result<Vec<_>, _> = cell_scenarios(&scenario, &axes, values).collect();
/// let selection = Selection { seeds: Some(Seeds::Count(5)), ..Selection::default() };
/// let plan = StudyPlan::new(axes, cells.map_err(|errors| errors.to_string())?, &selection)?;
/// let store = Storage::Resume(folder.path().join("trials.store"));
/// let run = StudyRun::of_cells(plan, &scenario, &selection).with_storage(store);
/// let study = runner.sweep(run, &mut ())?.study;
/// for (cell, point) in study.points() {
///     println!("loss {}, {}: {} trials", cell.values[0].text, point.label, point.trials.len());
/// }
/// # assert_eq!(study.cells.len(), 4);
/// # Ok(())
/// # }
/// ```
///
/// Trials of something that is not a scenario's own engine run on a
/// [`TrialRunner`], with a judge of one's own.
#[derive(Clone, Copy, Debug)]
pub struct Runner<'a> {
    /// The threads that trials run on: see [`ThreadPool::new`].
    pub pool: &'a ThreadPool,
    /// Set by another thread to stop: what is finished is kept, nothing more is started.
    pub interrupt: &'a AtomicBool,
    /// Settings that override the scenarios' own choices.
    pub overrides: TrialOverrides,
}

/// Options of [`Runner::run`]. The default is what `qoslab run` does without options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunOptions {
    /// Whether a scenario that failed is the last one.
    pub fail_fast: bool,
    /// Whether the first failure of each kind is shrunk.
    pub shrink: bool,
    /// Whether a scenario that proves nothing counts as one that holds.
    pub allow_inconclusive: bool,
}

impl Default for RunOptions {
    fn default() -> Self {
        Self { fail_fast: true, shrink: true, allow_inconclusive: false }
    }
}

impl RunOptions {
    /// How a verdict counts under these options.
    #[must_use]
    pub const fn effective_verdict(self, verdict: Verdict) -> Verdict {
        match verdict {
            Verdict::Inconclusive if self.allow_inconclusive => Verdict::Holds,
            _ => verdict,
        }
    }
}

impl<'a> Runner<'a> {
    /// A runner on these threads that stops when `interrupt` is set.
    #[must_use]
    pub fn new(pool: &'a ThreadPool, interrupt: &'a AtomicBool) -> Self {
        Self { pool, interrupt, overrides: TrialOverrides::default() }
    }

    /// Runs studies one after the other until one fails: what `qoslab run` does, each of whose
    /// scenarios is a study of one cell. Those that did not start have no result. Timelines are
    /// for the output alone, and are not kept.
    ///
    /// # Errors
    /// If a store or the output fails.
    pub fn run<O: RunOutput>(
        &self,
        runs: Vec<StudyRun>,
        options: RunOptions,
        output: &mut O,
    ) -> Result<Vec<StudyResult>, RunError> {
        output.started(self.size(&runs.iter().map(|run| &run.plan).collect::<Vec<_>>()));
        let trials = self.trial_runner(options.fail_fast);
        let mut results: Vec<StudyResult> = Vec::with_capacity(runs.len());
        for run in runs {
            let last = results.last().map(|last| options.effective_verdict(last.study.verdict()));
            if trials.stops_after(last) {
                break;
            }
            let mut result = self.run_study(run, options.shrink, output)?;
            output.study_done(&result)?;
            result.study.timelines.clear();
            results.push(result);
        }
        output.trials_done();
        Ok(results)
    }

    fn run_study<O: RunOutput>(
        &self,
        mut run: StudyRun,
        shrink: bool,
        output: &mut O,
    ) -> Result<StudyResult, RunError> {
        self.overrides.apply_to_plan(&mut run.plan);
        for (_, plan) in &run.plan.cells {
            let Some(first) = plan.trials.first() else { continue };
            let trial = plan.trial(*first);
            let entries = unused_schedule_entries(&plan.engine, &trial, self.interrupt);
            if !entries.is_empty() {
                output.unused_entries(&entries);
            }
        }
        let mut store = run.open_store()?;
        let mut study = self.simulate(run.plan, &mut store, output).map_err(RunError::Stopped)?;
        if let Some(mut store) = store {
            self.record_timelines(&mut study, &mut store)?;
            store.finish()?;
        }
        if shrink {
            for cell in &mut study.cells {
                self.shrink_failures(&mut cell.result, output)?;
            }
        }
        let baseline = run.baseline.map(|mut store| compare(&study, &mut store)).transpose()?;
        Ok(StudyResult { study, baseline })
    }

    /// Runs what the store does not have of a study over parameters: what `qoslab sweep` does.
    /// Failures stay as large as they are.
    ///
    /// # Errors
    /// If a store or the output fails.
    pub fn sweep<O: RunOutput>(
        &self,
        run: StudyRun,
        output: &mut O,
    ) -> Result<StudyResult, RunError> {
        let mut store = run.open_store()?;
        // A shard has not all of what the timelines are chosen from.
        let is_whole = run.plan.shard().is_none();
        let mut study = self.simulate_study(run.plan, &mut store, output)?;
        if let Some(mut store) = store {
            if is_whole {
                self.record_timelines(&mut study, &mut store)?;
            }
            store.finish()?;
        }
        let baseline = run.baseline.map(|mut store| compare(&study, &mut store)).transpose()?;
        let result = StudyResult { study, baseline };
        output.study_done(&result)?;
        Ok(result)
    }

    /// Shrinks the first failure of each kind, and hands the output the result of each.
    ///
    /// # Errors
    /// If the output fails.
    pub fn shrink_failures<O: RunOutput>(
        &self,
        result: &mut ScenarioResult,
        output: &mut O,
    ) -> Result<(), RunError> {
        let failures = minimal_failures::shrinkable_count(result);
        let too_large = minimal_failures::too_large_count(result);
        output.shrinking(&result.scenario, ShrinkSize { failures, too_large })?;
        if failures == 0 {
            return Ok(());
        }
        let engine = result.engine;
        minimal_failures::shrink_failures(&engine, result, self.pool, self.interrupt);
        let ScenarioResult { scenario, points, .. } = result;
        for failure in points.iter_mut().flat_map(|point| &mut point.failures) {
            output.failure_minimised(scenario, engine, failure)?;
        }
        Ok(())
    }

    /// Runs one study from its start to the end of its trials, and notifies the output.
    fn simulate_study<O: RunOutput>(
        &self,
        mut plan: StudyPlan,
        store: &mut Option<TrialStore>,
        output: &mut O,
    ) -> Result<Study, RunError> {
        self.overrides.apply_to_plan(&mut plan);
        output.started(self.size(&[&plan]));
        let study = self.simulate(plan, store, output);
        output.trials_done();
        study.map_err(RunError::Stopped)
    }

    /// Runs what the store does not have of a study.
    fn simulate<O: RunOutput>(
        &self,
        plan: StudyPlan,
        store: &mut Option<TrialStore>,
        output: &O,
    ) -> Result<Study, StoreError> {
        let engine = plan.engine();
        let judge = |trial: &Trial| judge_trial(&engine, trial, self.interrupt);
        self.trial_runner(false).run_study(plan, store, &judge, output)
    }

    /// Runs the few trials that are shown over time once more, and keeps how they went.
    fn record_timelines(&self, study: &mut Study, store: &mut TrialStore) -> Result<(), RunError> {
        // How an interrupted trial would have gone on is unknown.
        if self.is_interrupted() {
            return Ok(());
        }
        let engine = study.engine();
        study.timelines = record_backlogs(&engine, study, self.interrupt);
        for recorded in &study.timelines {
            let points = &study.cells[recorded.cell].result.scenario.points;
            let point = points.iter().find(|point| point.label() == recorded.point);
            let point = point.expect("a timeline is of a point of its cell's scenario");
            let key = TrialKey::new(engine, point, recorded.seed);
            store.append_timeline(key, recorded.qos, &recorded.timeline)?;
        }
        Ok(())
    }

    fn size(&self, plans: &[&StudyPlan]) -> RunSize {
        RunSize {
            trials: plans.iter().map(|plan| plan.trials().len()).sum(),
            cells: plans.iter().map(|plan| plan.cells.len()).sum(),
            jobs: self.pool.jobs(),
        }
    }

    const fn trial_runner(&self, fail_fast: bool) -> TrialRunner<'a> {
        TrialRunner { pool: self.pool, fail_fast, interrupt: self.interrupt }
    }

    fn is_interrupted(&self) -> bool {
        self.interrupt.load(Ordering::SeqCst)
    }
}
