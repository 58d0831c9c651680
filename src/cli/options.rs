//! Options that several commands share: how trials are run, and what is printed.

use std::io;
use std::path::PathBuf;

use crate::study::{Storage, ThreadPool, TrialOverrides};
use anyhow::Context;
use clap::Args;

use super::progress::ProgressMode;
use super::selection::SelectionOptions;
use super::terminal::{ColorMode, style, width};
use crate::report::escape;
use crate::report::table::TableLayout;
use crate::scenario::{Scenario, SizeLimits};

/// How trials are run.
#[derive(Debug, Args)]
pub(super) struct TrialOptions {
    /// How many trials at a time [default: one a processor]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024),
        help_heading = "How to run")]
    jobs: Option<u16>,
    /// Encode and decode every simulated packet on its way
    #[arg(long, help_heading = "How to run")]
    wire: bool,
    /// Refuse scenarios of which one trial would have more events, and stop a trial there
    /// [default: 1000000000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..),
        help_heading = "How to run")]
    max_events: Option<u64>,
    /// Refuse scenarios that would need more memory for the trials of all jobs [default: 4000]
    #[arg(long, value_name = "MB", value_parser = clap::value_parser!(u64).range(1..),
        help_heading = "How to run")]
    max_memory: Option<u64>,
}

/// What a sweep and a choice are made of.
#[derive(Debug, Args)]
pub(super) struct StudyOptions {
    /// The scenario file
    // Not under the heading that the command gives to the selection.
    #[arg(value_name = "SCENARIO", help_heading = None::<&str>)]
    pub scenario: PathBuf,
    #[command(flatten)]
    pub selection: SelectionOptions,
    #[command(flatten)]
    pub trials: TrialOptions,
    /// Simulate all of it again, whatever the folder holds
    #[arg(long, help_heading = "How to run")]
    fresh: bool,
    /// Only tell how many trials, events, bytes of memory and seconds it would take
    #[arg(long, help_heading = "How to run")]
    pub estimate: bool,
}

impl StudyOptions {
    /// The storage of the outcomes in a file.
    pub(super) fn storage(&self, file: PathBuf) -> Storage {
        if self.fresh { Storage::Replace(file) } else { Storage::Resume(file) }
    }
}

/// What is printed, and how.
#[derive(Debug, Args)]
pub(super) struct PrintOptions {
    /// Print only what fails, and the summary
    #[arg(short, long, conflicts_with = "verbose", help_heading = "Output")]
    pub quiet: bool,
    /// Print 95 % intervals though they make the table wide
    #[arg(short, long, help_heading = "Output")]
    pub verbose: bool,
    /// Colour the output
    #[arg(long, value_name = "WHEN", value_enum, default_value_t, help_heading = "Output")]
    pub color: ColorMode,
    /// Show how far the run is
    #[arg(long, value_name = "HOW", value_enum, default_value_t, help_heading = "Output")]
    pub progress: ProgressMode,
}

impl TrialOptions {
    /// The threads that trials run on.
    ///
    /// # Errors
    /// If they cannot be started.
    pub(super) fn pool(&self) -> anyhow::Result<ThreadPool> {
        ThreadPool::new(self.jobs).context("failed to start threads")
    }

    /// The settings that override the scenarios' own.
    pub(super) const fn overrides(&self) -> TrialOverrides {
        TrialOverrides { wire: self.wire, max_events: self.max_events }
    }

    /// Refuses a scenario that is larger than the limits.
    ///
    /// # Errors
    /// If it is.
    pub(super) fn check_size_limits(
        &self,
        scenario: &Scenario,
        pool: &ThreadPool,
    ) -> anyhow::Result<()> {
        let path = escape::terminal(&scenario.path);
        scenario
            .check_size(&self.limits(), pool.jobs() as u64)
            .with_context(|| format!("`{path}` is larger than --max-events and --max-memory allow"))
    }

    fn limits(&self) -> SizeLimits {
        let default = SizeLimits::default();
        SizeLimits {
            events: self.max_events.unwrap_or(default.events),
            memory: self.max_memory.map_or(default.memory, |mega| mega.saturating_mul(1_000_000)),
        }
    }

    /// The options, as given, that belong to a command which reproduces a result.
    pub(super) fn flags(&self) -> String {
        let mut flags = String::new();
        if self.wire {
            flags += " --wire";
        }
        if let Some(events) = self.max_events {
            flags.push_str(" --max-events ");
            flags.push_str(&events.to_string());
        }
        flags
    }
}

impl PrintOptions {
    /// The layout of tables on standard output.
    pub(super) fn layout(&self) -> TableLayout {
        let style = style(self.color, &io::stdout());
        TableLayout { width: width(), verbose: self.verbose, style }
    }
}
