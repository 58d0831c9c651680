//! `qoslab check`.

use std::path::PathBuf;

use clap::Args;

use super::selection::parse_setting;
use super::terminal::{ColorMode, StandardOutput};
use super::{exit, load};
use crate::base::units::format_bytes;
use crate::report::escape;
use crate::report::number::counted;
use crate::scenario::{Setting, SizeLimits};

const EXAMPLES: &str = "\
Examples:
  qoslab check scenarios/                          every scenario below a folder
  qoslab check --show scenarios/lossy-uplink.toml  with every assumed default written out";

/// Check scenario files without running them.
///
/// Prints every mistake with its place, and how many trials, events and bytes of memory a run
/// would take.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct CheckArguments {
    /// Scenario files, or folders of them
    #[arg(required = true, value_name = "FILE or DIR")]
    paths: Vec<PathBuf>,
    /// Print the whole scenario with every assumed default
    #[arg(long)]
    show: bool,
    /// Set a field of the files to another value, such as link.meter.loss=5%
    #[arg(long, value_name = "PATH=VALUE", value_parser = parse_setting)]
    set: Vec<Setting>,
    /// Colour the output
    #[arg(long, value_name = "WHEN", value_enum, default_value_t)]
    color: ColorMode,
}

/// Checks the files.
///
/// # Errors
/// If a file cannot be found, or the output not be written.
pub(super) fn execute(arguments: &CheckArguments) -> anyhow::Result<u8> {
    let Some(scenarios) = load::load_all(&arguments.paths, &arguments.set, arguments.color) else {
        return Ok(exit::USAGE);
    };
    let mut output = StandardOutput::default();
    for scenario in &scenarios {
        if arguments.show {
            output.print(&scenario.to_full_toml())?;
            continue;
        }
        let runs = scenario.points.len() as u64 * u64::from(scenario.seed_count);
        let estimate = scenario.estimate(1);
        output.print(&format!(
            "{}: ok, {} x {} = {}; at most about {}, {}, {} a job\n",
            escape::terminal(&scenario.path),
            counted(scenario.points.len() as u64, "point"),
            counted(scenario.seed_count.into(), "seed"),
            counted(runs, "run"),
            counted(estimate.packets, "packet"),
            counted(estimate.events, "event"),
            format_bytes(estimate.memory),
        ))?;
        if let Err(too_large) = scenario.check_size(&SizeLimits::default(), 1) {
            output.print(&format!(
                "  too large to run as it is: {too_large} (--max-events, --max-memory)\n"
            ))?;
        }
    }
    Ok(exit::HOLDS)
}
