//! The folder of each scenario's report, and the earlier report that it is compared with.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::bail;

use super::Arguments;
use crate::cli::files::writable_folder;
use crate::cli::progress::Progress;
use crate::cli::proofs::prove;
use crate::cli::studies::{self, Report, earlier};
use crate::cli::unmet;
use crate::guarantee::verdict::Outcome;
use crate::report::escape;
use crate::scenario::Scenario;
use crate::sim::trial::Trial;
use crate::study::baseline::{Comparison, compare};
use crate::study::gate::Gate;
use crate::study::judge::JudgeError;
use crate::study::manifest::Manifest;
use crate::study::plan::Plan;
use crate::study::result::ScenarioResult;
use crate::study::store::{FILE_NAME, Store};
use crate::study::sweep::StudyPlan;

/// The folders of all scenarios.
#[derive(Debug, Default)]
pub(super) struct Folders(BTreeMap<String, Folder>);

/// Where one scenario's report goes.
#[derive(Debug, Default)]
pub(super) struct Folder {
    /// `None` if there is to be no report.
    path: Option<PathBuf>,
    /// The store of the earlier report.
    baseline: Option<Store>,
}

impl Folders {
    /// Makes the folders, and opens what they are compared with.
    ///
    /// # Errors
    /// If a folder cannot be written into, or nothing can be compared with the baseline.
    pub(super) fn open(arguments: &Arguments, plans: &[Plan]) -> anyhow::Result<Self> {
        let mut folders = BTreeMap::new();
        for Plan { scenario, .. } in plans {
            let name = escape::file_name(&scenario.name);
            let path = arguments.reports().map(|out| out.join(&name));
            if let Some(path) = &path {
                writable_folder(path)?;
            }
            let own = path.as_deref().map(|path| path.join(FILE_NAME));
            let against = arguments.baseline.as_ref().map(|baseline| baseline.join(&name));
            let against = against.filter(|path| path.join(FILE_NAME).exists());
            let baseline = against
                .map(|against| earlier(&against, own.as_deref(), arguments.on.engine))
                .transpose()?;
            folders.insert(scenario.name.clone(), Folder { path, baseline });
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
    pub(super) fn take(&mut self, scenario: &Scenario) -> Folder {
        self.0.remove(&scenario.name).unwrap_or_default()
    }
}

impl Folder {
    /// Runs a scenario and writes its report. It is simulated whatever the folder holds: a gate
    /// takes nobody's word.
    ///
    /// # Errors
    /// If the report cannot be written, or the baseline not be read.
    pub(super) fn run(
        self,
        arguments: &Arguments,
        gate: &Gate<'_>,
        plan: Plan,
        judge: &(impl Fn(&Trial) -> Result<Outcome, JudgeError> + Sync),
        progress: &Progress,
    ) -> anyhow::Result<(ScenarioResult, Option<Comparison>)> {
        let command = arguments.command(&plan.scenario);
        unmet::tell(plan.engine, &plan.trial(plan.trials[0]), gate.interrupt);
        let settings = plan.scenario.settings.clone();
        let plan = StudyPlan::of_plan(plan);
        let store = self.path.as_deref().filter(|_| arguments.trial.is_none());
        let mut study = match store {
            Some(path) => {
                let mut store = Store::create(&path.join(FILE_NAME))?;
                let selection = arguments.selection();
                store.put_manifest(&Manifest::new(&plan, settings, &selection, command.clone()))?;
                let mut study = gate.run_study(plan, &mut store, judge, progress)?;
                studies::keep_timelines(&mut study, &mut store)?;
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
            let Gate { pool, interrupt, .. } = *gate;
            prove(result, self.path.as_deref(), pool, &flags, is_quiet, interrupt)?;
        }
        let baseline = self.baseline.map(|mut store| compare(&study, &mut store)).transpose()?;
        if let Some(path) = &self.path {
            let report = Report::new(&study, &command, arguments.drawing);
            Report { baseline: baseline.as_ref(), ..report }.write(path)?;
        }
        let cell = study.cells.pop().expect("a plain run is one cell");
        Ok((cell.result, baseline))
    }
}
