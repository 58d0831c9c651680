//! One scenario at many values of its axes: each combination is a cell, and a plain run is a
//! single cell without axes.

#[cfg(feature = "studies")]
use crate::scenario::Need;
use crate::scenario::{Axis, AxisValue, Diagnostics, Scenario};
use qoslab_core::base::QoS;
use qoslab_guarantee::BacklogTimeline;
use qoslab_sim::EngineKind;

use super::plan::{MAX_TRIALS, Plan, PlannedTrial, Selection, SelectionError, plan_each};
use super::precision::Precision;
use super::result::{PointResult, ScenarioResult, Verdict};
use super::shard::Shard;

/// A cell's values and its scenario.
pub(crate) type CellScenario = (Vec<AxisValue>, Scenario);

/// Each cell of a scenario, which publishes at all levels: the scenario with one combination of
/// the axes' values set.
///
/// # Errors
/// In each item, what is wrong with the scenario at these values.
pub fn cell_scenarios(
    scenario: &Scenario,
    axes: &[Axis],
    values: Vec<Vec<AxisValue>>,
) -> impl Iterator<Item = Result<CellScenario, Diagnostics>> {
    let all_levels = scenario.all_qos_settings();
    values.into_iter().map(move |values| {
        let mut settings = all_levels.clone();
        settings.extend(axes.iter().zip(&values).map(|(axis, value)| axis.setting(value)));
        Ok((values, scenario.with_settings(&settings)?))
    })
}

/// The complete result of one scenario.
#[derive(Clone, Debug)]
pub struct Study {
    /// The axes that were varied; empty for a plain run.
    pub axes: Vec<Axis>,
    /// Every combination of the axes' values, the last axis fastest; at least one.
    pub cells: Vec<StudyCell>,
    /// How a few trials went over time, for the chart of backlogs.
    pub timelines: Vec<TrialBacklog>,
}

/// One combination of the axes' values, with all its points and seeds.
#[derive(Clone, Debug)]
pub struct StudyCell {
    /// One value for each axis.
    pub values: Vec<AxisValue>,
    /// The result there. Its scenario is the file with these values set.
    pub result: ScenarioResult,
}

/// The course of one trial over time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrialBacklog {
    /// The position in [`Study::cells`].
    pub cell: usize,
    /// The published QoS.
    pub qos: QoS,
    /// The point's name for people.
    pub point: String,
    /// The trial's name.
    pub trial: String,
    /// Its seed.
    pub seed: u64,
    /// The timeline.
    pub timeline: BacklogTimeline,
}

/// The plan of a study: the trials of each cell.
#[derive(Clone, Debug)]
pub struct StudyPlan {
    /// The axes that are varied; empty for a plain run.
    pub axes: Vec<Axis>,
    /// The cells in order, each with one value for each axis and its trials.
    pub cells: Vec<(Vec<AxisValue>, Plan)>,
    /// The precision to reach; `None` to run all seeds.
    precision: Option<Precision>,
    /// The part that is to run; `None` for the whole. Never beside a precision.
    shard: Option<Shard>,
}

impl StudyPlan {
    /// The trials that a selection leaves of all cells, each with its values and its scenario.
    ///
    /// # Errors
    /// If no trial is left, if there are too many, or if the name of a trial fits none or several.
    pub fn new(
        axes: Vec<Axis>,
        cells: Vec<CellScenario>,
        selection: &Selection,
    ) -> Result<Self, SelectionError> {
        let (values, scenarios): (Vec<_>, Vec<_>) = cells.into_iter().unzip();
        let mut cells: Vec<_> = values.into_iter().zip(plan_each(scenarios, selection)?).collect();
        cells.retain(|(_, plan)| !plan.trials.is_empty());
        let trials: u64 = cells.iter().map(|(_, plan)| plan.trials.len() as u64).sum();
        if trials > MAX_TRIALS {
            let scenario = cells[0].1.scenario.name.clone();
            return Err(SelectionError::TooMany { scenario, trials });
        }
        // One cell of many need not show what the scenario expects to happen now and then.
        for (_, plan) in &mut cells {
            plan.narrowed |= !axes.is_empty();
        }
        Ok(Self { axes, cells, precision: None, shard: None })
    }

    /// A study of one cell without axes.
    #[must_use]
    pub fn from_plan(plan: Plan) -> Self {
        Self { axes: Vec::new(), cells: vec![(Vec::new(), plan)], precision: None, shard: None }
    }

    /// The same study, of which a precision or a shard leaves some trials.
    ///
    /// # Errors
    /// With both: whether a cell is known well enough is seen from all its trials.
    pub fn with_precision_or_shard(
        self,
        precision: Option<Precision>,
        shard: Option<Shard>,
    ) -> Result<Self, SelectionError> {
        if precision.is_some() && shard.is_some() {
            return Err(SelectionError::PrecisionWithShard);
        }
        Ok(Self { precision, shard, ..self })
    }

    /// Has the metrics of the clients and topics kept apart that needs name.
    #[cfg(feature = "studies")]
    pub(crate) fn keep_apart(&mut self, needs: &[Need]) {
        let points = self.cells.iter_mut().flat_map(|(_, plan)| &mut plan.scenario.points);
        points.for_each(|point| point.keep_apart(needs));
    }

    /// The engine that runs its trials; the same for all cells.
    #[must_use]
    pub fn engine(&self) -> EngineKind {
        self.cells.first().map(|(_, plan)| plan.engine).unwrap_or_default()
    }

    /// The precision to reach; `None` to run all seeds.
    #[must_use]
    pub const fn precision(&self) -> Option<Precision> {
        self.precision
    }

    /// The part that is to run; `None` for the whole.
    #[must_use]
    pub const fn shard(&self) -> Option<Shard> {
        self.shard
    }

    /// All trials that are to run, in order, each with its cell. With a precision the last seeds
    /// of a cell may not be needed.
    #[must_use]
    pub fn trials(&self) -> Vec<(usize, PlannedTrial)> {
        let cells = self.cells.iter().enumerate();
        let all = cells.flat_map(|(cell, (_, plan))| plan.trials.iter().map(move |it| (cell, *it)));
        let mine = |nth: usize| self.shard.is_none_or(|shard| shard.has_trial(nth));
        all.enumerate().filter_map(|(nth, trial)| mine(nth).then_some(trial)).collect()
    }
}

impl Study {
    /// The engine that ran its trials; the same for all cells.
    #[must_use]
    pub fn engine(&self) -> EngineKind {
        self.cells.first().map(|cell| cell.result.engine).unwrap_or_default()
    }

    /// The verdict over its cells: the worst of theirs.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        self.cells.iter().map(|cell| cell.result.verdict).max().unwrap_or_default()
    }

    /// A plain run: one cell without axes.
    #[must_use]
    pub fn from_result(result: ScenarioResult) -> Self {
        let cells = vec![StudyCell { values: Vec::new(), result }];
        Self { axes: Vec::new(), cells, timelines: Vec::new() }
    }

    /// The position of the cell in the middle: of a complete grid, the one with the middle value
    /// of each axis, the upper one of two.
    #[must_use]
    pub fn middle_cell(&self) -> usize {
        let mut middle = 0;
        for axis in &self.axes {
            middle = middle * axis.values.len() + axis.values.len() / 2;
        }
        let whole: usize = self.axes.iter().map(|axis| axis.values.len()).product();
        if self.cells.len() == whole { middle } else { self.cells.len() / 2 }
    }

    /// Every point of every cell, in order.
    pub fn points(&self) -> impl Iterator<Item = (&StudyCell, &PointResult)> {
        self.cells.iter().flat_map(|cell| cell.result.points.iter().map(move |point| (cell, point)))
    }
}
