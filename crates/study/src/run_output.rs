//! The output of a run: shows, writes or counts what happens.

use std::error::Error;

#[cfg(feature = "studies")]
use super::baseline::BaselineComparison;
use super::result::Failure;
use super::sweep::Study;
use crate::scenario::Scenario;
use qoslab_sim::EngineKind;

/// Error of an output, such as a file that cannot be written.
pub type OutputError = Box<dyn Error + Send + Sync>;

/// Output of a run. Each method is called when what its name says has happened; those that are
/// not written do nothing.
///
/// [`RunOutput::trial_done`] is called from the threads that run trials, all others from the
/// thread that called the runner. An error ends the run and becomes
/// `RunError::Output`.
pub trait RunOutput: Sync {
    /// The trials are about to run.
    fn started(&mut self, _size: RunSize) {}

    /// A trial is finished, in any order; or taken `from_store` without running it.
    fn trial_done(&self, _from_store: bool) {}

    /// That many trials need not run: their cell is known as precisely as was asked for.
    fn trials_skipped(&self, _count: usize) {}

    /// Entries of a scenario's schedule, in words, that matched nothing or changed nothing.
    fn unused_entries(&mut self, _entries: &[String]) {}

    /// The failures of a scenario are about to be shrunk, of which there may be none.
    ///
    /// # Errors
    /// If the output fails.
    fn shrinking(
        &mut self,
        _scenario: &Scenario,
        _failures: ShrinkSize,
    ) -> Result<(), OutputError> {
        Ok(())
    }

    /// A failing trial has its [minimal failures](Failure::minimal_failures), of which there may
    /// be none.
    ///
    /// # Errors
    /// If the output fails.
    fn failure_minimised(
        &mut self,
        _scenario: &Scenario,
        _engine: EngineKind,
        _failure: &mut Failure,
    ) -> Result<(), OutputError> {
        Ok(())
    }

    /// A study is judged, shrunk and compared.
    ///
    /// # Errors
    /// If the output fails.
    fn study_done(&mut self, _result: &StudyResult) -> Result<(), OutputError> {
        Ok(())
    }

    /// No more trials will run.
    fn trials_done(&mut self) {}
}

/// No output at all.
impl RunOutput for () {}

/// Size of a run before it starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunSize {
    /// Trials over all cells, those that the store has included.
    pub trials: usize,
    /// Cells over all studies; a plain scenario is one.
    pub cells: usize,
    /// Trials at a time.
    pub jobs: usize,
}

/// How many failures of a scenario are shrunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShrinkSize {
    /// The first failure of each kind.
    pub failures: usize,
    /// Failing trials that have too many events to be shrunk.
    pub too_large: usize,
}

/// A finished study, and how it differs from its baseline.
#[derive(Clone, Debug)]
pub struct StudyResult {
    /// The result of the study.
    pub study: Study,
    /// The differences from the baseline; `None` without one.
    #[cfg(feature = "studies")]
    pub baseline: Option<BaselineComparison>,
}
