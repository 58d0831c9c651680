//! A choice among the options of a study.

use super::{RunError, RunOutput, Runner, StudyRun};
use crate::choose::{Choice, ChoiceCriteria, Crossovers, choose, find_crossovers};
use crate::plan::Selection;
use crate::store::StoreError;
use crate::sweep::{Study, StudyPlan};

/// Choice among the options of a study.
#[derive(Clone, Debug)]
pub struct ChoiceResult {
    /// The study whose options were compared.
    pub study: Study,
    /// The best option.
    pub choice: Choice,
    /// The crossovers at which the choice changes.
    pub crossovers: Vec<Crossovers>,
}

impl ChoiceResult {
    /// Chooses; `simulate` runs the trials that show where the choice would change.
    pub(super) fn new(
        study: Study,
        criteria: &ChoiceCriteria,
        selection: &Selection,
        simulate: impl FnMut(StudyPlan) -> Result<Study, StoreError>,
    ) -> Result<Self, RunError> {
        let choice = choose(&study, criteria)?;
        let crossovers = find_crossovers(&study, &choice, criteria, selection, simulate)?;
        Ok(Self { study, choice, crossovers })
    }
}

impl Runner<'_> {
    /// Runs what the store does not have of a study and chooses among its cells and levels: what
    /// `qoslab choose` does. The selection is the one by which the plan was made.
    ///
    /// # Errors
    /// If a store or the output fails, if nothing can be chosen by these criteria, or if the run
    /// was interrupted.
    pub fn choose<O: RunOutput>(
        &self,
        mut run: StudyRun,
        criteria: &ChoiceCriteria,
        selection: &Selection,
        output: &mut O,
    ) -> Result<ChoiceResult, RunError> {
        run.manifest.criteria = Some(criteria.clone());
        run.plan.keep_apart(&criteria.needs);
        let mut store = run.open_store()?;
        let mut study = self.simulate_study(run.plan, &mut store, output)?;
        if let Some(store) = &mut store {
            self.record_timelines(&mut study, store)?;
        }
        let result = ChoiceResult::new(study, criteria, selection, |mut plan| {
            self.overrides.apply_to_plan(&mut plan);
            plan.keep_apart(&criteria.needs);
            self.simulate(plan, &mut store, &())
        });
        if let Some(store) = store {
            store.finish()?;
        }
        if self.is_interrupted() {
            return Err(RunError::Interrupted);
        }
        result
    }
}
