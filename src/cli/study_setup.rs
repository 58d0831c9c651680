//! What `sweep` and `choose` share on the way from a scenario to a study: axes, cells, the plan,
//! and running it.

use std::io;

use anyhow::bail;
use rayon::ThreadPool;

use super::options::{PrintOptions, RunOptions};
use super::progress::{ProgressDisplay, ScenarioOutput};
use super::terminal::{StandardOutput, print_stderr, style};
use super::{exit, interrupt, load};
use crate::base::time::Span;
use crate::base::units::format_bytes;
use crate::report::{commands, escape, number};
use crate::scenario::axis::{Axis, AxisValue, Setting};
use crate::scenario::problem::Problem;
use crate::scenario::{Scenario, grid};
use crate::sim::EventEngine;
use crate::study::judge_trial::judge_trial;
use crate::study::plan::SelectionError;
use crate::study::runner::Runner;
use crate::study::store::TrialStore;
use crate::study::sweep::{Study, StudyPlan};

/// A cell's values and its scenario.
pub(super) type CellScenario = (Vec<AxisValue>, Scenario);

/// Reads all texts of one option.
///
/// # Errors
/// What is wrong with the first wrong one, with its cure.
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

/// Refuses an axis whose field is set to one value too.
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
/// If there are too many, or an axis stands there twice.
pub(super) fn axis_combinations(axes: &[Axis]) -> anyhow::Result<Vec<Vec<AxisValue>>> {
    grid(axes).map_err(|problem| anyhow::anyhow!("the study {}", problem_text(&problem)))
}

/// Each cell's values and scenario, which publishes at all levels; `None` if one is wrong, which
/// has been told by then.
///
/// # Errors
/// If one is too large.
pub(super) fn cell_scenarios(
    scenario: &Scenario,
    axes: &[Axis],
    values: Vec<Vec<AxisValue>>,
    running: &RunOptions,
    printing: &PrintOptions,
    pool: &ThreadPool,
) -> anyhow::Result<Option<Vec<CellScenario>>> {
    let mut cells = Vec::with_capacity(values.len());
    for values in values {
        let mut settings = scenario.all_qos_settings();
        settings.extend(axes.iter().zip(&values).map(|(axis, value)| axis.setting(value)));
        let mut cell = match scenario.with_settings(&settings) {
            Ok(cell) => cell,
            Err(diagnostics) => {
                load::print_diagnostics(&diagnostics, printing.color);
                return Ok(None);
            }
        };
        running.apply_overrides(&mut cell);
        running.check_size_limits(&cell, pool)?;
        cells.push((values, cell));
    }
    Ok(Some(cells))
}

/// Tells why there is no plan, to the exit code.
pub(super) fn report_selection_error(error: &SelectionError) -> u8 {
    print_stderr(&format!("error: {error}"));
    if matches!(error, SelectionError::Nothing(_)) { exit::NOTHING_TO_RUN } else { exit::USAGE }
}

/// What one job handles in a second on a machine of these years: docs/speed.md.
const EVENTS_PER_SECOND: u64 = 4_000_000;

/// Tells how much a study would be.
///
/// # Errors
/// If standard output cannot be written.
pub(super) fn print_estimate(
    scenario: &Scenario,
    plan: &StudyPlan,
    pool: &ThreadPool,
) -> anyhow::Result<()> {
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
    let jobs = pool.current_num_threads() as u64;
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

/// Runs what the store does not have of a study, and tells how it gets on. The seconds that it
/// took come with it.
///
/// # Errors
/// If the store cannot be used.
pub(super) fn simulate_study(
    plan: StudyPlan,
    printing: &PrintOptions,
    pool: &ThreadPool,
    store: &mut TrialStore,
) -> anyhow::Result<(Study, f64)> {
    let interrupt = interrupt::install_handler();
    let total = plan.trials().len() as u64;
    if !printing.quiet {
        let runs = number::counted(total, "run");
        let cells = number::counted(plan.cells.len() as u64, "cell");
        let jobs = number::counted(pool.current_num_threads() as u64, "job");
        print_stderr(&format!("  Starting {runs} of {cells} ({jobs})"));
    }
    let style = style(printing.color, &io::stderr());
    let progress = ProgressDisplay::start(
        total,
        printing.progress,
        printing.quiet,
        ScenarioOutput::Nothing,
        style,
    );
    let gate = Runner { pool, fail_fast: false, interrupt };
    let study = gate.run_study(
        plan,
        store,
        &|trial| judge_trial(&EventEngine, trial, interrupt),
        &progress,
    );
    let seconds = progress.finish();
    Ok((study?, seconds))
}

/// Adds an option to a command that is shown.
pub(super) fn push_option(command: &mut String, option: &str, value: &dyn std::fmt::Display) {
    let value = commands::quote_argument(value);
    command.extend([" --", option, " ", value.as_str()]);
}

/// A problem in one text, its cure on a line of its own.
pub(super) fn problem_text(problem: &Problem) -> String {
    let help = if problem.help.is_empty() { String::new() } else { format!("\n{}", problem.help) };
    format!("{}: {}{help}", problem.message, problem.label)
}
