//! One study for the runner: its trials, its storage, and its baseline.

use std::path::PathBuf;

use crate::manifest::Manifest;
use crate::plan::{Plan, Selection};
use crate::scenario::{Scenario, Setting};
use crate::store::{StoreError, TrialStore};
use crate::sweep::StudyPlan;

/// Study for the runner.
#[derive(Debug)]
pub struct StudyRun {
    /// The trials.
    pub plan: StudyPlan,
    /// The manifest, as the store keeps it.
    pub manifest: Manifest,
    /// The storage of outcomes.
    pub storage: Storage,
    /// The store of an earlier study that this one is compared with.
    pub baseline: Option<TrialStore>,
}

/// The storage of outcomes from one run to the next.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Storage {
    /// Nowhere.
    #[default]
    Nowhere,
    /// In this file, whose earlier outcomes are thrown away: all trials are simulated.
    Replace(PathBuf),
    /// In this file, and trials that it has are not simulated again.
    Resume(PathBuf),
}

impl StudyRun {
    /// A scenario without axes, whose plan was made by this selection. It is not stored.
    #[must_use]
    pub fn of_scenario(plan: Plan, selection: &Selection) -> Self {
        let settings = plan.scenario.settings.clone();
        Self::new(StudyPlan::from_plan(plan), settings, selection)
    }

    /// The [cells](crate::sweep::cell_scenarios) of a scenario, whose plan was made by this
    /// selection. They are not stored.
    #[must_use]
    pub fn of_cells(plan: StudyPlan, scenario: &Scenario, selection: &Selection) -> Self {
        let settings = [scenario.settings.clone(), scenario.all_qos_settings()].concat();
        Self::new(plan, settings, selection)
    }

    fn new(plan: StudyPlan, settings: Vec<Setting>, selection: &Selection) -> Self {
        let manifest = Manifest::new(&plan, settings, selection, String::new());
        Self { plan, manifest, storage: Storage::Nowhere, baseline: None }
    }

    /// The same study, shown as found by this command.
    #[must_use]
    pub fn with_command(mut self, command: String) -> Self {
        self.manifest.command = command;
        self
    }

    /// The same study, kept in this storage.
    #[must_use]
    pub fn with_storage(self, storage: Storage) -> Self {
        Self { storage, ..self }
    }

    /// The same study, compared with an earlier one: see
    /// [`baseline::open`](crate::baseline::open).
    #[must_use]
    pub fn with_baseline(self, baseline: Option<TrialStore>) -> Self {
        Self { baseline, ..self }
    }

    /// Opens the store, if there is to be one, and writes the manifest into it.
    pub(super) fn open_store(&self) -> Result<Option<TrialStore>, StoreError> {
        let mut store = match &self.storage {
            Storage::Nowhere => return Ok(None),
            Storage::Replace(path) => TrialStore::create(path)?,
            Storage::Resume(path) => TrialStore::open(path)?,
        };
        store.write_manifest(&self.manifest)?;
        Ok(Some(store))
    }
}
