//! Overrides of the choices of scenarios.

use std::sync::Arc;

use crate::scenario::Scenario;
use crate::sweep::StudyPlan;

/// Overrides of the choices of scenarios. They change no trial's name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TrialOverrides {
    /// Whether every simulated packet is encoded and decoded on its way.
    pub wire: bool,
    /// The most events of a trial, which ends there; `None` for the scenario's own.
    pub max_events: Option<u64>,
}

impl TrialOverrides {
    /// Overrides a scenario's choices.
    pub fn apply(self, scenario: &mut Scenario) {
        if self == Self::default() {
            return;
        }
        for point in &mut scenario.points {
            let setup = Arc::make_mut(&mut point.setup);
            setup.wire |= self.wire;
            setup.max_events = self.max_events.unwrap_or(setup.max_events);
        }
    }

    /// Overrides the choices of all cells of a plan.
    pub fn apply_to_plan(self, plan: &mut StudyPlan) {
        for (_, plan) in &mut plan.cells {
            self.apply(&mut plan.scenario);
        }
    }
}
