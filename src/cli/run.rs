//! `qoslab run`: the gate.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use anyhow::bail;
use clap::{Args, ValueEnum};

use super::engine_option::EngineOption;
use super::github::GitHub;
use super::options::{PrintOptions, TrialOptions};
use super::selection::{
    SelectionOptions, parse_trial_name, print_selection_error, selection_flags,
};
use super::studies::DrawOptions;
use super::{exit, interrupt, known_bugs, load};
use crate::report::{self, commands, escape};
use crate::scenario::Scenario;
use crate::scenario::known_bugs::Day;
use crate::study::baseline::BaselineComparison;
use crate::study::{RunOptions, Runner, ScenarioResult, Seeds, Selection, StudyResult, plan};
use exports::ExportFiles;
use folder_output::FolderOutput;

mod exports;
mod folder_output;
mod study_runs;
mod summary_text;

const EXAMPLES: &str = "\
Examples:
  qoslab run scenarios/                       every scenario below a folder
  qoslab run FILE --seeds 1000                narrower intervals
  qoslab run FILE --seeds 1..50               seeds 1 to 50, both included
  qoslab run FILE --trial 3f9c                one trial again, as a failure names it
  qoslab run scenarios/ --qos 2 -q            only QoS 2, and only what fails
  qoslab run scenarios/swarm/ --engine turmoil  the same as async code on simulated hosts
  qoslab run scenarios/ --junit junit.xml     for CI
  qoslab run scenarios/ --baseline main/      compared with the reports of an earlier run
  qoslab run scenarios/ --known known.toml    known bugs, tolerated until a date

Standard output holds the tables and failures, the same bytes for the same seeds; progress and
times of this machine go to standard error. On GitHub Actions failures become annotations of the
files too, and the tables go to the step's summary.";

/// Simulate every trial, judge it, print the tables, write the reports: the gate for CI.
///
/// A scenario stands for trials: each point of its axes (such as QoS 0, 1 and 2) with each seed.
/// The first failure of each kind is shrunk to the fewest messages and faults that still fail the
/// same, and shown as a ladder.
///
/// Results go to reports/SCENARIO/: report.html, charts, points.csv, trials.csv, results.json,
/// failures/TRIAL/ with a file that repeats the failure, its ladder and its packets, and
/// trials.store for `qoslab report` and --baseline; except with --trial.
#[derive(Debug, Args)]
#[command(after_help = concat_help())]
pub(super) struct RunArguments {
    /// Scenario files, or folders of them
    #[arg(required = true, value_name = "FILE or DIR")]
    paths: Vec<PathBuf>,

    #[command(flatten, next_help_heading = "What to run")]
    selection: SelectionOptions,
    /// Only this seed
    #[arg(long, value_name = "N", conflicts_with = "seeds", help_heading = "What to run")]
    seed: Option<u64>,
    /// Only the trial whose name begins with this, as a failure prints it
    #[arg(long, value_name = "NAME", value_parser = parse_trial_name, help_heading = "What to run")]
    trial: Option<String>,

    /// Go on with the next scenario after one that failed
    #[arg(long, help_heading = "How to run")]
    no_fail_fast: bool,
    /// What a scenario is that proves nothing: work left at the deadline, or something expected
    /// never happened
    #[arg(long, value_name = "HOW", value_enum, default_value_t, help_heading = "How to run")]
    inconclusive: InconclusivePolicy,
    /// A list of known bugs: each is reported, and tolerated until its date
    #[arg(long, value_name = "FILE", help_heading = "How to run")]
    known: Option<PathBuf>,
    /// The day by which known bugs are judged, such as 2027-03-01 [default: today, in UTC]
    #[arg(long, value_name = "DAY", value_parser = parse_day, requires = "known",
        help_heading = "How to run")]
    today: Option<Day>,
    /// Leave failures as large as they are
    #[arg(long, help_heading = "How to run")]
    no_shrink: bool,
    #[command(flatten)]
    engine_option: EngineOption,
    #[command(flatten)]
    trials: TrialOptions,

    /// Where the reports go [default: reports]
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    out: Option<PathBuf>,
    /// Tell what is different from the reports in another folder
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    baseline: Option<PathBuf>,
    /// Write the tables of all scenarios as CSV
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    export_csv: Option<PathBuf>,
    /// Write the results of all scenarios as JSON
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    export_json: Option<PathBuf>,
    /// Write the tables of all scenarios as Markdown
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    export_markdown: Option<PathBuf>,
    /// Write test results as XML, as most CI servers read them
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    junit: Option<PathBuf>,
    #[command(flatten)]
    drawing: DrawOptions,
    #[command(flatten)]
    printing: PrintOptions,
}

/// What a scenario that proves nothing does to the exit code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum InconclusivePolicy {
    /// Exit with 3.
    #[default]
    Fail,
    /// Tell it, and exit as if it held.
    Warn,
}

fn concat_help() -> String {
    format!("{EXAMPLES}\n\n{}", exit::HELP)
}

/// Runs the gate and returns the exit code.
///
/// # Errors
/// If something cannot be read or written, or arguments contradict each other.
pub(super) fn execute(arguments: &RunArguments) -> anyhow::Result<u8> {
    let Some(scenarios) = load_scenarios(arguments)? else { return Ok(exit::USAGE) };
    let pool = arguments.trials.pool()?;
    for scenario in &scenarios {
        arguments.trials.check_size_limits(scenario, &pool)?;
    }
    let mut plans = match plan(scenarios, &arguments.selection()) {
        Ok(plans) => plans,
        Err(error) => return Ok(print_selection_error(&error)),
    };
    let skipped: Vec<String> =
        plans.iter_mut().flat_map(|plan| arguments.engine_option.select_engine(plan)).collect();
    plans.retain(|plan| !plan.trials.is_empty());
    let github = GitHub::from_environment();
    if plans.is_empty() {
        github.print(&summary_text::join_lines(&skipped))?;
        return Ok(exit::NOTHING_TO_RUN);
    }
    let exports = ExportFiles::open(arguments)?;
    let planned = plans.len();
    let runs = study_runs::study_runs(arguments, plans)?;
    let overrides = arguments.trials.overrides();
    let runner = Runner { overrides, ..Runner::new(&pool, interrupt::install_handler()) };
    let mut output = FolderOutput::new(arguments);
    let studies = runner.run(runs, arguments.run_options(), &mut output)?;
    let found = RunResults::new(studies, skipped, output.seconds);
    let flags = arguments.trials.flags();
    exports.write(&found, &flags)?;
    github.print(&summary_text::tables(arguments, &found))?;
    let is_lenient = arguments.inconclusive == InconclusivePolicy::Warn;
    github.annotate(&found.results, &flags, is_lenient)?;
    github.append_summary(|| found.markdown())?;
    summary_text::print_summary(arguments, &found, planned);
    let options = arguments.run_options();
    let verdicts = found.results.iter().map(|result| options.effective_verdict(result.verdict));
    let interrupted = interrupt::flag().load(Ordering::SeqCst);
    Ok(if interrupted { exit::INTERRUPTED } else { exit::worst_code(verdicts) })
}

/// The scenarios, with the bugs that are known of them; `None` if anything is wrong with a file,
/// which has been printed by then.
fn load_scenarios(arguments: &RunArguments) -> anyhow::Result<Option<Vec<Scenario>>> {
    let color = arguments.printing.color;
    let Some(mut scenarios) = load::load_all(&arguments.paths, &arguments.selection.set, color)
    else {
        return Ok(None);
    };
    refuse_duplicate_names(&scenarios)?;
    let is_right = arguments.known.as_ref().is_none_or(|known| {
        known_bugs::apply_known_bugs(known, arguments.today, &mut scenarios, color)
    });
    Ok(is_right.then_some(scenarios))
}

/// The results of each scenario, in order.
#[derive(Debug)]
struct RunResults {
    results: Vec<ScenarioResult>,
    /// A line for each scenario or point that the engine cannot run.
    skipped: Vec<String>,
    /// The differences from the baseline, if there is one; one for each result.
    baselines: Vec<Option<BaselineComparison>>,
    /// The time that it took on this machine.
    seconds: f64,
}

impl RunResults {
    fn new(studies: Vec<StudyResult>, skipped: Vec<String>, seconds: f64) -> Self {
        let mut found = Self { results: Vec::new(), skipped, baselines: Vec::new(), seconds };
        for StudyResult { study, baseline } in studies {
            // Each scenario is a study of one cell.
            found.results.extend(study.cells.into_iter().map(|cell| cell.result));
            found.baselines.push(baseline);
        }
        found
    }

    fn with_baselines(
        &self,
    ) -> impl Iterator<Item = (&ScenarioResult, Option<&BaselineComparison>)> {
        self.results.iter().zip(self.baselines.iter().map(Option::as_ref))
    }

    fn markdown(&self) -> String {
        report::markdown::document(self.with_baselines())
    }
}

/// Two scenarios of one name would be indistinguishable in any output, and would write one folder;
/// names that differ by case alone are one folder on some systems.
fn refuse_duplicate_names(scenarios: &[Scenario]) -> anyhow::Result<()> {
    let mut paths: BTreeMap<String, &str> = BTreeMap::new();
    for scenario in scenarios {
        let folder = escape::file_name(&scenario.name).to_lowercase();
        if let Some(other) = paths.insert(folder, &scenario.path) {
            let name = escape::terminal(&scenario.name);
            let (one, two) = (escape::terminal(other), escape::terminal(&scenario.path));
            bail!(
                "`{one}` and `{two}` are both named `{name}`, so one's results would replace \
                 the other's: give one of them another `name`"
            );
        }
    }
    Ok(())
}

impl RunArguments {
    fn selection(&self) -> Selection {
        let selection = self.selection.selection();
        let one = self.seed.map(|first| Seeds::Range { first, count: 1 });
        Selection {
            seeds: one.or(selection.seeds),
            trial: self.trial.clone(),
            one_seed: self.seed.is_some(),
            ..selection
        }
    }

    fn run_options(&self) -> RunOptions {
        RunOptions {
            fail_fast: !self.no_fail_fast,
            shrink: !self.no_shrink,
            allow_inconclusive: self.inconclusive == InconclusivePolicy::Warn,
        }
    }

    /// The command for one scenario, without options that concern only this machine.
    fn command(&self, scenario: &Scenario) -> String {
        commands::run_command(
            scenario,
            self.engine_option.engine,
            &(selection_flags(&self.selection()) + &self.trials.flags()),
        )
    }

    /// The folder for reports; a single trial is only inspected, and writes no report unless a
    /// folder is given.
    fn reports_folder(&self) -> Option<&Path> {
        match (&self.out, &self.trial) {
            (Some(out), _) => Some(out),
            (None, Some(_)) => None,
            (None, None) => Some(Path::new("reports")),
        }
    }

    /// The folder for the report of one scenario, if one is to be written.
    fn report_folder(&self, scenario: &Scenario) -> Option<PathBuf> {
        self.reports_folder().map(|folder| folder.join(escape::file_name(&scenario.name)))
    }
}

/// Reads a day.
fn parse_day(text: &str) -> Result<Day, String> {
    Day::parse(text).ok_or_else(|| "a day is written as in 2027-03-01".to_owned())
}
