//! Steps that `sweep` and `choose` share from a scenario to a study: axes, cells, the size
//! estimate, and how to resume where it stopped.

use std::path::Path;

use crate::study::{Precision, RunError, Shard, StudyPlan, ThreadPool, cell_scenarios};
use anyhow::bail;

use super::options::StudyOptions;
use super::selection::print_selection_error;
use super::terminal::{ColorMode, StandardOutput};
use super::{exit, load};
use crate::base::Span;
use crate::base::units::format_bytes;
use crate::report::{commands, escape, number};
use crate::scenario::{Axis, AxisValue, Problem, Scenario, Setting, combine_axes};

/// Reads all texts of one option.
///
/// # Errors
/// Describes the first invalid text and how to fix it.
pub(super) fn parse_all<T>(
    option: &str,
    texts: &[String],
    parse: impl Fn(&str) -> Result<T, Problem>,
) -> anyhow::Result<Vec<T>> {
    let each = texts.iter().map(|text| {
        let shown = escape::terminal(text);
        parse(text)
            .map_err(|problem| anyhow::anyhow!("{option} `{shown}` {}", problem_text(&problem)))
    });
    each.collect()
}

/// Refuses an axis whose field is also set to one value.
///
/// # Errors
/// If there is one.
pub(super) fn refuse_set_axes(axes: &[Axis], set: &[Setting]) -> anyhow::Result<()> {
    if let Some(axis) = axes.iter().find(|axis| set.iter().any(|it| it.path == axis.path)) {
        bail!("`{}` is both set and varied: leave one out", escape::terminal(&axis.path));
    }
    Ok(())
}

/// Every combination of the axes' values.
///
/// # Errors
/// If there are too many, or an axis is given twice.
pub(super) fn axis_combinations(axes: &[Axis]) -> anyhow::Result<Vec<Vec<AxisValue>>> {
    combine_axes(axes).map_err(|problem| anyhow::anyhow!("the study {}", problem_text(&problem)))
}

/// A study to run, or the exit code if there is none; the reason has then been printed.
#[derive(Debug)]
pub(super) enum Planned {
    Study(StudyPlan),
    Exit(u8),
}

impl StudyOptions {
    /// The plan of a scenario's cells: of each combination of the axes' values. Where only an
    /// estimate is asked for, prints it.
    ///
    /// # Errors
    /// If a cell is too large, or standard output cannot be written.
    pub(super) fn plan(
        &self,
        scenario: &Scenario,
        (axes, values): (Vec<Axis>, Vec<Vec<AxisValue>>),
        (precision, shard): (Option<Precision>, Option<Shard>),
        color: ColorMode,
        pool: &ThreadPool,
    ) -> anyhow::Result<Planned> {
        let mut cells = Vec::with_capacity(values.len());
        for cell in cell_scenarios(scenario, &axes, values) {
            match cell {
                Ok((values, cell)) => {
                    self.trials.check_size_limits(&cell, pool)?;
                    cells.push((values, cell));
                }
                Err(diagnostics) => {
                    load::print_diagnostics(&diagnostics, color);
                    return Ok(Planned::Exit(exit::USAGE));
                }
            }
        }
        let plan = StudyPlan::new(axes, cells, &self.selection.selection())
            .and_then(|plan| plan.with_precision_or_shard(precision, shard));
        Ok(match plan {
            Ok(plan) if self.estimate => {
                print_estimate(scenario, &plan, pool)?;
                Planned::Exit(exit::HOLDS)
            }
            Ok(plan) => Planned::Study(plan),
            Err(error) => Planned::Exit(print_selection_error(&error)),
        })
    }
}

/// Events that one job handles per second on a current machine: docs/speed.md.
const EVENTS_PER_SECOND: u64 = 4_000_000;

/// Prints the estimated size of a study.
///
/// # Errors
/// If standard output cannot be written.
fn print_estimate(scenario: &Scenario, plan: &StudyPlan, pool: &ThreadPool) -> anyhow::Result<()> {
    let (mut packets, mut events, mut memory) = (0, 0, 0);
    for (_, cell) in &plan.cells {
        let estimate = cell.scenario.estimate(1);
        // The scenario's own number of seeds is in its estimate.
        let all = cell.scenario.points.len() as u64 * u64::from(cell.scenario.seed_count);
        let share = |number: u64| number / all.max(1) * cell.trials.len() as u64;
        packets += share(estimate.packets);
        events += share(estimate.events);
        memory = memory.max(estimate.memory);
    }
    let jobs = pool.jobs() as u64;
    let seconds = events.div_ceil(EVENTS_PER_SECOND * jobs);
    StandardOutput::default().print(&format!(
        "{}: {} of {}; at most about {}, {}, {} a job, {} with {}\n",
        escape::terminal(&scenario.path),
        number::counted(plan.trials().len() as u64, "run"),
        number::counted(plan.cells.len() as u64, "cell"),
        number::counted(packets, "packet"),
        number::counted(events, "event"),
        format_bytes(memory),
        Span::from_secs(seconds),
        number::counted(jobs, "job"),
    ))
}

/// The text on how to resume a study that stopped before its end.
pub(super) fn how_to_go_on(store: &Path) -> String {
    format!("the same command goes on where `{}` ends", store.display())
}

/// The error that stopped a study; if a store failed while trials ran, with how to resume.
pub(super) fn run_error(error: RunError, how_to_go_on: String) -> anyhow::Error {
    match error {
        RunError::Stopped(error) => anyhow::Error::from(error).context(how_to_go_on),
        other => other.into(),
    }
}

/// Adds an option to a command that is shown.
pub(super) fn push_option(command: &mut String, option: &str, value: &dyn std::fmt::Display) {
    let value = commands::quote_argument(value);
    command.extend([" --", option, " ", value.as_str()]);
}

/// A problem in one text, with its fix on a line of its own.
pub(super) fn problem_text(problem: &Problem) -> String {
    let help = if problem.help.is_empty() { String::new() } else { format!("\n{}", problem.help) };
    format!("{}: {}{help}", problem.message, problem.label)
}
