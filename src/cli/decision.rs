//! A choice made from a study, printed and written: for `choose`, and for `report` on its folder.

use std::path::Path;
use std::sync::atomic::Ordering;

use super::files::PendingFile;
use super::github::GitHub;
use super::studies::{DrawOptions, StudyReport};
use super::{exit, interrupt};
use crate::report::choice::{self, ChoiceSummary};
use crate::report::{ChartOptions, escape};
use crate::study::choose::ChoiceCriteria;
use crate::study::{ChoiceResult, RunError, Study, Verdict};

/// A choice and the words for it.
#[derive(Debug)]
pub(super) struct ChoiceReport {
    result: ChoiceResult,
    summary: ChoiceSummary,
}

impl ChoiceReport {
    /// The words for a choice.
    ///
    /// # Errors
    /// If there is none: what is wrong, with names as a terminal may show them.
    pub(super) fn new(result: Result<ChoiceResult, RunError>) -> anyhow::Result<Self> {
        let result = result.map_err(|error| match error {
            RunError::Choose(error) => {
                anyhow::anyhow!("{}", escape::terminal(&error.to_string()))
            }
            other => other.into(),
        })?;
        let summary = ChoiceSummary::new(&result.study, &result.choice, &result.crossovers);
        Ok(Self { result, summary })
    }

    /// The options that were compared.
    pub(super) const fn study(&self) -> &Study {
        &self.result.study
    }

    /// Writes the study's files with the decision on top of the page, and the choice for
    /// machines.
    ///
    /// # Errors
    /// If one cannot be written.
    pub(super) fn write(
        &self,
        criteria: &ChoiceCriteria,
        command: &str,
        drawing: DrawOptions,
        folder: &Path,
    ) -> anyhow::Result<()> {
        let ChoiceResult { study, choice, crossovers } = &self.result;
        let ChoiceCriteria { needs, objective } = criteria.clone();
        let options = ChartOptions { needs, objective };
        let decision = Some(&self.summary);
        StudyReport { options, decision, ..StudyReport::new(study, command, drawing) }
            .write(folder)?;
        let json = choice::json(study, choice, crossovers);
        PendingFile::open(&folder.join("choice.json"))?.write(&json)
    }

    /// Prints the answer.
    ///
    /// # Errors
    /// If standard output cannot be written.
    pub(super) fn print(&self) -> anyhow::Result<()> {
        GitHub::from_environment().print(&self.summary.text())
    }

    /// The exit code: whether there is an answer.
    pub(super) fn exit_code(&self) -> u8 {
        let worst = self.study().points().map(|(_, point)| point.verdict()).max();
        match (worst, self.result.choice.best) {
            _ if interrupt::flag().load(Ordering::SeqCst) => exit::INTERRUPTED,
            (Some(Verdict::Bug), _) => exit::BUG,
            (Some(Verdict::NotDeterministic), _) => exit::NOT_DETERMINISTIC,
            (_, Some(_)) => exit::HOLDS,
            // Trials that did not drain are no evidence of what would meet the needs.
            (Some(Verdict::Inconclusive), None) => exit::INCONCLUSIVE,
            (_, None) => exit::VIOLATED,
        }
    }
}
