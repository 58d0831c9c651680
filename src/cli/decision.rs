//! A choice made from a study, told and written: for `choose`, and for `report` on its folder.

use std::path::Path;
use std::sync::atomic::Ordering;

use super::files::PendingFile;
use super::github::GitHub;
use super::studies::{DrawOptions, StudyReport};
use super::{exit, interrupt};
use crate::report::charts::ChartOptions;
use crate::report::choice::{self, Decision};
use crate::report::escape;
use crate::study::choose::{Choice, ChoiceCriteria, Crossovers, choose, find_crossovers};
use crate::study::plan::Selection;
use crate::study::result::Verdict;
use crate::study::store::StoreError;
use crate::study::sweep::{Study, StudyPlan};

/// A choice, where it would flip, and the words for it.
#[derive(Debug)]
pub(super) struct ChoiceReport {
    choice: Choice,
    crossovers: Vec<Crossovers>,
    decision: Decision,
}

impl ChoiceReport {
    /// Chooses; `simulate` runs the trials by which it is seen where the choice would flip.
    ///
    /// # Errors
    /// If nothing can be chosen by, or the trials' store cannot be used.
    pub(super) fn new(
        study: &Study,
        wanted: &ChoiceCriteria,
        selection: &Selection,
        simulate: impl FnMut(StudyPlan) -> Result<Study, StoreError>,
    ) -> anyhow::Result<Self> {
        let choice = choose(study, wanted)
            .map_err(|error| anyhow::anyhow!("{}", escape::terminal(&error.to_string())))?;
        let crossovers = find_crossovers(study, &choice, wanted, selection, simulate)?;
        let decision = Decision::new(study, &choice, &crossovers);
        Ok(Self { choice, crossovers, decision })
    }

    /// Writes the study's files with the decision on top of the page, and the choice for
    /// machines.
    ///
    /// # Errors
    /// If one cannot be written.
    pub(super) fn write(
        &self,
        study: &Study,
        wanted: &ChoiceCriteria,
        command: &str,
        drawing: DrawOptions,
        folder: &Path,
    ) -> anyhow::Result<()> {
        let ChoiceCriteria { needs, objective } = wanted.clone();
        let options = ChartOptions { needs, objective };
        let decision = Some(&self.decision);
        StudyReport { options, decision, ..StudyReport::new(study, command, drawing) }
            .write(folder)?;
        let json = choice::json(study, &self.choice, &self.crossovers);
        PendingFile::open(&folder.join("choice.json"))?.write(&json)
    }

    /// Prints the answer.
    ///
    /// # Errors
    /// If standard output cannot be written.
    pub(super) fn print(&self) -> anyhow::Result<()> {
        GitHub::from_environment().print(&self.decision.text())
    }

    /// The exit code: whether there is an answer.
    pub(super) fn exit_code(&self, study: &Study) -> u8 {
        let worst = study.points().map(|(_, point)| point.verdict()).max();
        match (worst, self.choice.best) {
            _ if interrupt::flag().load(Ordering::SeqCst) => exit::INTERRUPTED,
            (Some(Verdict::Bug), _) => exit::BUG,
            (Some(Verdict::NotDeterministic), _) => exit::NOT_DETERMINISTIC,
            (_, Some(_)) => exit::HOLDS,
            // Trials that did not drain say nothing of what would meet the needs.
            (Some(Verdict::Inconclusive), None) => exit::INCONCLUSIVE,
            (_, None) => exit::VIOLATED,
        }
    }
}
