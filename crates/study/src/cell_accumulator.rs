//! One cell of a study while its trials come in.

use super::needs;
use super::plan::{Plan, PlannedTrial};
use super::precision::{FIRST_SEEDS, MORE_SEEDS};
use super::result::{PointResult, TrialResult};
use super::sweep::StudyCell;
use super::trial_key::TrialKey;
use crate::scenario::AxisValue;
use qoslab_guarantee::Outcome;
use qoslab_sim::MetricScope;

/// A cell whose trials are folded into its points as they finish.
#[derive(Debug)]
pub(super) struct CellAccumulator {
    values: Vec<AxisValue>,
    pub(super) plan: Plan,
    /// The plan's points, in order.
    pub(super) points: Vec<PointResult>,
}

impl CellAccumulator {
    pub(super) fn new((values, plan): (Vec<AxisValue>, Plan)) -> Self {
        let points = plan.trials.chunk_by(|a, b| a.point == b.point);
        let points = points.map(|trials| PointResult::new(&plan.scenario, trials[0].point));
        let points = points.collect();
        Self { values, plan, points }
    }

    /// The identity of a trial.
    pub(super) fn key(&self, selected: PlannedTrial) -> TrialKey {
        let point = &self.plan.scenario.points[selected.point];
        TrialKey::new(self.plan.engine, point, selected.seed)
    }

    /// Whether an earlier outcome of a trial is what it would give now: it came to its end within
    /// the limit of events, and it kept all metrics apart that are asked for.
    pub(super) fn is_usable(&self, selected: PlannedTrial, outcome: &Outcome) -> bool {
        let setup = &self.plan.scenario.points[selected.point].setup;
        let is_measured = |scope: &MetricScope| {
            let name = scope.to_string();
            outcome.metrics.groups.iter().any(|group| group.name == name)
        };
        outcome.events <= setup.max_events && setup.scopes.iter().all(is_measured)
    }

    /// How many trials have come to an end.
    pub(super) fn finished(&self) -> usize {
        self.points.iter().map(|point| point.trials.len()).sum()
    }

    /// The trials in the order in which a precision asks for them: some seeds of all points, then
    /// some more.
    pub(super) fn seed_blocks(&self) -> Vec<Vec<PlannedTrial>> {
        let points: Vec<&[PlannedTrial]> =
            self.plan.trials.chunk_by(|a, b| a.point == b.point).collect();
        let seeds = points.iter().map(|trials| trials.len()).max().unwrap_or(0);
        let (first, more) = (FIRST_SEEDS as usize, MORE_SEEDS as usize);
        let starts = std::iter::once(0).chain((first..).step_by(more));
        let starts: Vec<usize> = starts.take_while(|start| *start < seeds).collect();
        let block = |start: usize| {
            let size = if start == 0 { first } else { more };
            let of_point = move |all: &&[PlannedTrial]| {
                all.iter().skip(start).take(size).copied().collect::<Vec<_>>()
            };
            points.iter().flat_map(of_point).collect()
        };
        starts.into_iter().map(block).collect()
    }

    /// Adds a trial; those of one point come in the order of their seeds.
    pub(super) fn add(&mut self, selected: PlannedTrial, name: String, result: TrialResult) {
        let expect = &self.plan.scenario.expect;
        let at = self.points.binary_search_by_key(&selected.point, |point| point.index);
        let point = &mut self.points[at.expect("every planned point is there")];
        point.add_trial(name, selected.seed, result, expect);
    }

    /// The cell's result, of which that many trials were to run; with fewer than the plan has it
    /// `is_part` of the whole, or else shows all that the whole would.
    pub(super) fn into_cell(mut self, planned: usize, is_part: bool) -> StudyCell {
        self.plan.narrowed |= is_part && planned < self.plan.trials.len();
        self.points.retain(|point| !point.trials.is_empty());
        let result = needs::judge_scenario(self.plan, planned, self.points);
        StudyCell { values: self.values, result }
    }
}
