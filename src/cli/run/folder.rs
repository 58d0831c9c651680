//! The folder of each scenario's report, and the earlier report that it is compared with.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::bail;

use super::RunArguments;
use crate::cli::artifacts::shrink_and_write;
use crate::cli::files::writable_folder;
use crate::cli::progress::ProgressDisplay;
use crate::cli::studies::{self, StudyReport, open_baseline};
use crate::cli::unused_entries;
use crate::guarantee::verdict::Outcome;
use crate::report::escape;
use crate::scenario::Scenario;
use crate::sim::trial::Trial;
use crate::study::baseline::{BaselineComparison, compare};
use crate::study::judge_trial::JudgeError;
use crate::study::manifest::Manifest;
use crate::study::plan::Plan;
use crate::study::result::ScenarioResult;
use crate::study::runner::Runner;
use crate::study::store::{FILE_NAME, TrialStore};
use crate::study::sweep::StudyPlan;

/// The folders of all scenarios.
#[derive(Debug, Default)]
pub(super) struct ReportFolders(BTreeMap<String, ReportFolder>);

/// Where one scenario's report goes.
#[derive(Debug, Default)]
pub(super) struct ReportFolder {
    /// `None` if there is to be no report.
    path: Option<PathBuf>,
    /// The store of the earlier report.
    baseline: Option<TrialStore>,
}

impl ReportFolders {
    /// Makes the folders, and opens what they are compared with.
    ///
    /// # Errors
    /// If a folder cannot be written into, or nothing can be compared with the baseline.
    pub(super) fn open(arguments: &RunArguments, plans: &[Plan]) -> anyhow::Result<Self> {
        let mut folders = BTreeMap::new();
        for Plan { scenario, .. } in plans {
            let name = escape::file_name(&scenario.name);
            let path = arguments.reports_folder().map(|out| out.join(&name));
            if let Some(path) = &path {
                writable_folder(path)?;
            }
            let own = path.as_deref().map(|path| path.join(FILE_NAME));
            let against = arguments.baseline.as_ref().map(|baseline| baseline.join(&name));
            let against = against.filter(|path| path.join(FILE_NAME).exists());
            let baseline = against
                .map(|against| {
                    open_baseline(&against, own.as_deref(), arguments.engine_option.engine)
                })
                .transpose()?;
            folders.insert(scenario.name.clone(), ReportFolder { path, baseline });
        }
        if let Some(against) = &arguments.baseline
            && folders.values().all(|folder| folder.baseline.is_none())
        {
            let against = against.display();
            bail!("the baseline `{against}` has no folder of these scenarios: name what --out was");
        }
        Ok(Self(folders))
    }

    /// The folder of a scenario.
    pub(super) fn take_folder(&mut self, scenario: &Scenario) -> ReportFolder {
        self.0.remove(&scenario.name).unwrap_or_default()
    }
}

impl ReportFolder {
    /// Runs a scenario and writes its report. It is simulated whatever the folder holds: a gate
    /// takes nobody's word.
    ///
    /// # Errors
    /// If the report cannot be written, or the baseline not be read.
    pub(super) fn run(
        self,
        arguments: &RunArguments,
        gate: &Runner<'_>,
        plan: Plan,
        judge: &(impl Fn(&Trial) -> Result<Outcome, JudgeError> + Sync),
        progress: &ProgressDisplay,
    ) -> anyhow::Result<(ScenarioResult, Option<BaselineComparison>)> {
        let command = arguments.command(&plan.scenario);
        unused_entries::warn_unused_entries(
            plan.engine,
            &plan.trial(plan.trials[0]),
            gate.interrupt,
        );
        let settings = plan.scenario.settings.clone();
        let plan = StudyPlan::from_plan(plan);
        let store = self.path.as_deref().filter(|_| arguments.trial.is_none());
        let mut study = match store {
            Some(path) => {
                let mut store = TrialStore::create(&path.join(FILE_NAME))?;
                let selection = arguments.selection();
                store.write_manifest(&Manifest::new(
                    &plan,
                    settings,
                    &selection,
                    command.clone(),
                ))?;
                let mut study = gate.run_study(plan, &mut store, judge, progress)?;
                studies::store_timelines(&mut study, &mut store)?;
                store.finish()?;
                study
            }
            // One trial alone is a look: no store could say which of a scenario's it was.
            None => match gate.run_study(plan, &mut (), judge, progress) {
                Ok(study) => study,
                Err(never) => match never {},
            },
        };
        if !arguments.no_shrink {
            let (result, flags) = (&mut study.cells[0].result, arguments.running.flags());
            let is_quiet = arguments.printing.quiet;
            let Runner { pool, interrupt, .. } = *gate;
            shrink_and_write(result, self.path.as_deref(), pool, &flags, is_quiet, interrupt)?;
        }
        let baseline = self.baseline.map(|mut store| compare(&study, &mut store)).transpose()?;
        if let Some(path) = &self.path {
            let report = StudyReport::new(&study, &command, arguments.drawing);
            StudyReport { baseline: baseline.as_ref(), ..report }.write(path)?;
        }
        let cell = study.cells.pop().expect("a plain run is one cell");
        Ok((cell.result, baseline))
    }
}
