//! Output of `run` while trials run: a folder for each scenario's report, and progress.

use super::RunArguments;
use crate::cli::artifacts::{begin_failures, write_failures};
use crate::cli::progress::ProgressDisplay;
use crate::cli::studies::StudyReport;
use crate::cli::unused_entries::warn_unused_entries;
use crate::scenario::Scenario;
use crate::sim::EngineKind;
use crate::study::{Failure, OutputError, RunOutput, RunSize, ShrinkSize, StudyResult};

/// Output of `run` while trials run. Each report is written as soon as its scenario is done.
#[derive(Debug)]
pub(super) struct FolderOutput<'a> {
    arguments: &'a RunArguments,
    display: Option<ProgressDisplay>,
    /// The time that the run took on this machine.
    pub(super) seconds: f64,
}

impl<'a> FolderOutput<'a> {
    /// The output before the trials start.
    pub(super) const fn new(arguments: &'a RunArguments) -> Self {
        Self { arguments, display: None, seconds: 0.0 }
    }
}

impl RunOutput for FolderOutput<'_> {
    fn started(&mut self, size: RunSize) {
        self.display = Some(ProgressDisplay::start(size, "scenario", &self.arguments.printing));
    }

    fn trial_done(&self, _: bool) {
        self.display.iter().for_each(ProgressDisplay::trial_done);
    }

    fn unused_entries(&mut self, entries: &[String]) {
        warn_unused_entries(entries);
    }

    fn shrinking(&mut self, scenario: &Scenario, size: ShrinkSize) -> Result<(), OutputError> {
        let folder = self.arguments.report_folder(scenario);
        Ok(begin_failures(folder.as_deref(), size, self.arguments.printing.quiet)?)
    }

    fn failure_minimised(
        &mut self,
        scenario: &Scenario,
        engine: EngineKind,
        failure: &mut Failure,
    ) -> Result<(), OutputError> {
        let Some(folder) = self.arguments.report_folder(scenario) else { return Ok(()) };
        let flags = self.arguments.trials.flags();
        Ok(write_failures(&folder, scenario, engine, failure, &flags)?)
    }

    fn study_done(&mut self, result: &StudyResult) -> Result<(), OutputError> {
        let StudyResult { study, baseline } = result;
        for cell in &study.cells {
            let scenario = &cell.result.scenario;
            if let Some(folder) = self.arguments.report_folder(scenario) {
                let command = self.arguments.command(scenario);
                let report = StudyReport::new(study, &command, self.arguments.drawing);
                StudyReport { baseline: baseline.as_ref(), ..report }.write(&folder)?;
            }
            self.display.iter().for_each(|display| display.scenario_done(&cell.result));
        }
        Ok(())
    }

    fn trials_done(&mut self) {
        self.seconds = self.display.as_ref().map_or(0.0, ProgressDisplay::finish);
    }
}
