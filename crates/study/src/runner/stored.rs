//! Studies that are simulated already: what `qoslab report` and `merge` do.

use std::path::{Path, PathBuf};

use super::{ChoiceResult, RunError, Runner};
use crate::choose::ChoiceCriteria;
use crate::manifest::Manifest;
use crate::store::{TrialStore, merge};
use crate::sweep::Study;

impl Runner<'_> {
    /// The study that a store keeps, without running anything.
    ///
    /// # Errors
    /// If the store has none, or this version reads its scenario otherwise.
    pub fn load(&self, store: &mut TrialStore) -> Result<(Study, Manifest), RunError> {
        let manifest = store.manifest()?.ok_or(RunError::NoManifest)?;
        let plan = manifest.plan()?;
        Ok((self.trial_runner(false).load_study(plan, store)?, manifest))
    }

    /// The choice that a store keeps, without running anything.
    ///
    /// # Errors
    /// If the store cannot be read, or nothing can be chosen by what it has.
    pub fn load_choice(
        &self,
        study: Study,
        manifest: &Manifest,
        criteria: &ChoiceCriteria,
        store: &mut TrialStore,
    ) -> Result<ChoiceResult, RunError> {
        let trials = self.trial_runner(false);
        ChoiceResult::new(study, criteria, &manifest.selection(), |plan| {
            trials.load_study(plan, store)
        })
    }

    /// Joins the stores of shards into the store of the whole, as if one machine had run it.
    ///
    /// # Errors
    /// If they are not all the shards of one study, or one cannot be read or the whole not be
    /// written.
    pub fn merge(&self, shards: &[PathBuf], whole: &Path) -> Result<(), RunError> {
        merge(shards, whole)?;
        let mut store = TrialStore::open(whole)?;
        let (mut study, _) = self.load(&mut store)?;
        self.record_timelines(&mut study, &mut store)?;
        store.finish()?;
        Ok(())
    }
}
