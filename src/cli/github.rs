//! Output for GitHub Actions: annotations at the files, and the summary of the step
//! (docs.github.com, "Workflow commands for GitHub Actions").

use std::borrow::Cow;
use std::env;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::PathBuf;

use anyhow::Context;
use xxhash_rust::xxh3::xxh3_64;

use super::terminal::{StandardOutput, print_stderr};
use crate::report::annotations;
use crate::study::ScenarioResult;

/// The largest summary of a step, in bytes.
const MAX_SUMMARY_BYTES: u64 = 1024 * 1024;

/// The workflow that the process runs in.
#[derive(Debug)]
pub(super) struct GitHub {
    /// Whether there is one.
    is_active: bool,
    /// The file whose Markdown is shown beside the step.
    summary: Option<PathBuf>,
}

impl GitHub {
    /// Reads the workflow from the environment.
    pub(super) fn from_environment() -> Self {
        let is_there = env::var_os("GITHUB_ACTIONS").is_some_and(|value| value == "true");
        let summary = env::var_os("GITHUB_STEP_SUMMARY").filter(|path| !path.is_empty());
        Self { is_active: is_there, summary: summary.filter(|_| is_there).map(PathBuf::from) }
    }

    /// Prints text on standard output. Nothing in it is taken for a command of the workflow: those
    /// are off until a token comes, which is a hash of the text and so not part of it.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(super) fn print(&self, text: &str) -> anyhow::Result<()> {
        StandardOutput::default().print(&self.with_commands_disabled(text))
    }

    /// Prints text on standard error, which the workflow reads too; a failure of that cannot be
    /// reported and is ignored.
    pub(super) fn print_stderr(&self, text: &str) {
        print_stderr(&self.with_commands_disabled(text));
    }

    fn with_commands_disabled<'t>(&self, text: &'t str) -> Cow<'t, str> {
        if !self.is_active || text.is_empty() {
            return Cow::Borrowed(text);
        }
        let word = format!("qoslab-{:016x}", xxh3_64(text.as_bytes()));
        Cow::Owned(format!("::stop-commands::{word}\n{text}\n::{word}::\n"))
    }

    /// Prints failures as annotations at the files. With `is_lenient`, an inconclusive result is
    /// only a warning.
    ///
    /// # Errors
    /// If standard output cannot be written.
    pub(super) fn annotate(
        &self,
        results: &[ScenarioResult],
        flags: &str,
        is_lenient: bool,
    ) -> anyhow::Result<()> {
        if self.is_active {
            StandardOutput::default().print(&annotations(results, flags, is_lenient))?;
        }
        Ok(())
    }

    /// Adds Markdown to the step's summary, if there is one; if it is too large, a note that it is.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(super) fn append_summary(&self, markdown: impl FnOnce() -> String) -> anyhow::Result<()> {
        let Some(path) = &self.summary else { return Ok(()) };
        let markdown = markdown();
        let there = fs::metadata(path).map_or(0, |metadata| metadata.len());
        let fits = there.saturating_add(markdown.len() as u64) <= MAX_SUMMARY_BYTES;
        let text = if fits { &*markdown } else { "The tables of qoslab are too large for here.\n" };
        let file = OpenOptions::new().create(true).append(true).open(path);
        file.and_then(|mut file| file.write_all(text.as_bytes()))
            .with_context(|| format!("failed to write the summary `{}`", path.display()))
    }
}
