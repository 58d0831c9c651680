//! Options that several commands share.

use std::io;
use std::sync::Arc;

use anyhow::Context;
use clap::Args;
use rayon::{ThreadPool, ThreadPoolBuilder};

use super::progress::ProgressMode;
use super::terminal::{ColorMode, style, width};
use crate::base::qos::QoS;
use crate::base::units::format_count;
use crate::report::escape;
use crate::report::table::TableLayout;
use crate::scenario::Scenario;
use crate::scenario::axis::Setting;
use crate::scenario::estimate::SizeLimits;
use crate::study::plan::Seeds;

/// How trials are run.
#[derive(Debug, Args)]
pub(super) struct RunOptions {
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

impl RunOptions {
    /// The threads that trials run on.
    ///
    /// # Errors
    /// If they cannot be started.
    pub(super) fn pool(&self) -> anyhow::Result<ThreadPool> {
        // Zero leaves the number to rayon: one a processor.
        let threads = self.jobs.map_or(0, usize::from);
        ThreadPoolBuilder::new().num_threads(threads).build().context("failed to start threads")
    }

    /// The options that change what a trial is go over what the scenario says.
    pub(super) fn apply_overrides(&self, scenario: &mut Scenario) {
        for point in &mut scenario.points {
            let setup = Arc::make_mut(&mut point.setup);
            setup.wire |= self.wire;
            setup.max_events = self.max_events.unwrap_or(setup.max_events);
        }
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
            .check_size(&self.limits(), pool.current_num_threads() as u64)
            .with_context(|| format!("`{path}` is larger than --max-events and --max-memory allow"))
    }

    fn limits(&self) -> SizeLimits {
        let default = SizeLimits::default();
        SizeLimits {
            events: self.max_events.unwrap_or(default.events),
            memory: self.max_memory.map_or(default.memory, |mega| mega.saturating_mul(1_000_000)),
        }
    }

    /// Those of the options that belong to a command which shows something again, as they were
    /// given.
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
    /// How tables are laid out on standard output.
    pub(super) fn layout(&self) -> TableLayout {
        let style = style(self.color, &io::stdout());
        TableLayout { width: width(), verbose: self.verbose, style }
    }
}

/// Reads `1000` or `1..50`.
///
/// # Errors
/// If it is neither, or none or too many.
pub(super) fn parse_seeds(text: &str) -> Result<Seeds, String> {
    let number = |text: &str| -> Result<u64, String> {
        text.trim().parse().map_err(|_| format!("`{text}` is not a whole number from 0"))
    };
    let count = |count: u64| match u32::try_from(count) {
        Ok(0) => Err("there must be at least one seed".to_owned()),
        Ok(count) => Ok(count),
        Err(_) => Err(format!("{} seeds are too many", format_count(count))),
    };
    let Some((first, last)) = text.split_once("..") else {
        return Ok(Seeds::Count(count(number(text)?)?));
    };
    let (first, last) = (number(first)?, number(last)?);
    let Some(span) = last.checked_sub(first) else {
        return Err(format!("{first}..{last} runs backwards"));
    };
    Ok(Seeds::Range { first, count: count(span.saturating_add(1))? })
}

/// The options that select seeds and levels, each with a space before it; empty for all.
pub(super) fn selection_flags(seeds: Option<Seeds>, qos: &[QoS]) -> String {
    let mut options = match seeds {
        None => String::new(),
        Some(Seeds::Count(count)) => format!(" --seeds {count}"),
        Some(Seeds::Range { first, count }) => {
            let last = first.saturating_add(u64::from(count).saturating_sub(1));
            format!(" --seeds {first}..{last}")
        }
    };
    if !qos.is_empty() {
        let levels: Vec<_> = qos.iter().map(ToString::to_string).collect();
        options.extend([" --qos ", &levels.join(",")]);
    }
    options
}

/// Reads a level.
///
/// # Errors
/// If it is none.
pub(super) fn parse_qos(text: &str) -> Result<QoS, String> {
    let level = text.parse().ok().and_then(QoS::from_number);
    level.ok_or_else(|| "a QoS is 0, 1 or 2".to_owned())
}

/// Reads the beginning of a trial's name.
///
/// # Errors
/// If it is none.
pub(super) fn parse_trial_name(text: &str) -> Result<String, String> {
    let is_name =
        !text.is_empty() && text.len() <= 8 && text.bytes().all(|b| b.is_ascii_hexdigit());
    if is_name {
        Ok(text.to_owned())
    } else {
        Err("a name is up to 8 hexadecimal digits".to_owned())
    }
}

/// Reads `PATH=VALUE`.
///
/// # Errors
/// If there is no `=`.
pub(super) fn parse_setting(text: &str) -> Result<Setting, String> {
    let (path, value) = text
        .split_once('=')
        .ok_or_else(|| "write it as PATH=VALUE, such as link.meter.loss=5%".to_owned())?;
    Ok(Setting { path: path.trim().to_owned(), value: value.trim().to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_a_count_or_a_range_with_both_ends() {
        assert_eq!(parse_seeds("200"), Ok(Seeds::Count(200)));
        assert_eq!(parse_seeds("3..5"), Ok(Seeds::Range { first: 3, count: 3 }));
        assert_eq!(parse_seeds("7..7"), Ok(Seeds::Range { first: 7, count: 1 }));
        let wrong = ["0", "5..3", "", "x", "-1", "1..", "0..18446744073709551615"];
        assert!(wrong.iter().all(|text| parse_seeds(text).is_err()));
    }
}
