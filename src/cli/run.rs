//! `qoslab run`: the gate.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use anyhow::bail;
use clap::{Args, ValueEnum};
use rayon::ThreadPool;

use super::engine_option::EngineOption;
use super::github::GitHub;
use super::options::{
    PrintOptions, RunOptions, parse_qos, parse_seeds, parse_setting, parse_trial_name,
    selection_flags,
};
use super::progress::{ProgressDisplay, ScenarioOutput};
use super::studies::{DrawOptions, PAGE_NAME};
use super::terminal::{print_stderr, style};
use super::{exit, interrupt, known_bugs, load};
use crate::base::qos::QoS;
use crate::base::units::format_count;
use crate::report::{self, commands, comparison, escape, failure, summary, table};
use crate::scenario::Scenario;
use crate::scenario::axis::Setting;
use crate::scenario::known_bugs::Day;
use crate::study::baseline::BaselineComparison;
use crate::study::judge_trial::judge_trial;
use crate::study::plan::{Plan, Seeds, Selection, SelectionError, plan};
use crate::study::result::{ScenarioResult, Verdict};
use crate::study::runner::{ProgressListener, Runner};
use exports::ExportFiles;
use folder::ReportFolders;

mod exports;
mod folder;

const EXAMPLES: &str = "\
Examples:
  qoslab run scenarios/                       every scenario below a folder
  qoslab run lossy.toml --seeds 1000          narrower intervals
  qoslab run lossy.toml --seeds 1..50         seeds 1 to 50, both included
  qoslab run lossy.toml --trial 3f9c          one trial again, as a failure names it
  qoslab run scenarios/ --qos 2 -q            only QoS 2, and only what fails
  qoslab run scenarios/ --engine turmoil      the same as async code on simulated hosts
  qoslab run scenarios/ --junit junit.xml     for CI
  qoslab run scenarios/ --baseline main/      compared with the reports of an earlier run
  qoslab run scenarios/ --known known.toml    bugs in it are told and fail nothing until a day

Standard output holds the tables and failures, the same bytes for the same seeds; progress and
times of this machine go to standard error. On GitHub Actions failures become remarks at the files
too, and the tables go to the step's summary.";

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

    /// Set a field of the files to another value, such as link.meter.loss=5%
    #[arg(long, value_name = "PATH=VALUE", value_parser = parse_setting, help_heading = "What to run")]
    set: Vec<Setting>,
    /// Only this seed
    #[arg(long, value_name = "N", conflicts_with = "seeds", help_heading = "What to run")]
    seed: Option<u64>,
    /// How many seeds, or which: 1000, or 1..50
    #[arg(long, value_name = "N or A..B", value_parser = parse_seeds, help_heading = "What to run")]
    seeds: Option<Seeds>,
    /// Only the trial whose name begins so
    #[arg(long, value_name = "NAME", value_parser = parse_trial_name, help_heading = "What to run")]
    trial: Option<String>,
    /// Only points that publish with this QoS: 2, or 0,1
    #[arg(long, value_name = "QOS", value_delimiter = ',', value_parser = parse_qos,
        help_heading = "What to run")]
    qos: Vec<QoS>,

    /// Go on with the next scenario after one that failed
    #[arg(long, help_heading = "How to run")]
    no_fail_fast: bool,
    /// What a scenario is that proves nothing: not drained, or something expected never happened
    #[arg(long, value_name = "HOW", value_enum, default_value_t, help_heading = "How to run")]
    inconclusive: InconclusivePolicy,
    /// A list of bugs that are known until a day: told, and no failure before it has passed
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
    running: RunOptions,

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

/// Runs the gate, to the exit code.
///
/// # Errors
/// If something cannot be read or written, or arguments contradict each other.
pub(super) fn execute(arguments: &RunArguments) -> anyhow::Result<u8> {
    let Some(mut scenarios) =
        load::load_all(&arguments.paths, &arguments.set, arguments.printing.color)
    else {
        return Ok(exit::USAGE);
    };
    for scenario in &mut scenarios {
        arguments.running.apply_overrides(scenario);
    }
    refuse_duplicate_names(&scenarios)?;
    if let Some(known) = &arguments.known
        && !known_bugs::apply_known_bugs(
            known,
            arguments.today,
            &mut scenarios,
            arguments.printing.color,
        )
    {
        return Ok(exit::USAGE);
    }
    let pool = arguments.running.pool()?;
    for scenario in &scenarios {
        arguments.running.check_size_limits(scenario, &pool)?;
    }
    let mut plans = match plan(scenarios, &arguments.selection()) {
        Ok(plans) => plans,
        Err(error) => {
            print_stderr(&format!("error: {error}"));
            return Ok(match error {
                SelectionError::Nothing(_) | SelectionError::UnknownTrial(_) => {
                    exit::NOTHING_TO_RUN
                }
                SelectionError::TooMany { .. }
                | SelectionError::PrecisionWithShard
                | SelectionError::AmbiguousTrial { .. } => exit::USAGE,
            });
        }
    };
    let skipped: Vec<String> =
        plans.iter_mut().flat_map(|plan| arguments.engine_option.select_engine(plan)).collect();
    plans.retain(|plan| !plan.trials.is_empty());
    let github = GitHub::from_environment();
    if plans.is_empty() {
        github.print(&join_lines(&skipped))?;
        return Ok(exit::NOTHING_TO_RUN);
    }
    let exports = ExportFiles::open(arguments)?;
    let folders = ReportFolders::open(arguments, &plans)?;
    let planned = plans.len();
    let found = RunResults { skipped, ..run_plans(arguments, &pool, plans, folders)? };
    let flags = arguments.running.flags();
    exports.write(&found, &flags)?;
    github.print(&render_text(arguments, &found))?;
    let is_lenient = arguments.inconclusive == InconclusivePolicy::Warn;
    github.annotate(&found.results, &flags, is_lenient)?;
    github.append_summary(|| found.markdown())?;
    print_summary(arguments, &found, planned);
    let verdicts = found.results.iter().map(|result| arguments.effective_verdict(result.verdict));
    let interrupted = interrupt::flag().load(Ordering::SeqCst);
    Ok(if interrupted { exit::INTERRUPTED } else { exit::worst_code(verdicts) })
}

/// What was found of each scenario, in order.
#[derive(Debug, Default)]
struct RunResults {
    results: Vec<ScenarioResult>,
    /// A line for each scenario or point that the engine cannot run.
    skipped: Vec<String>,
    /// What is different from the baseline, where there is one; one for each result.
    baselines: Vec<Option<BaselineComparison>>,
    /// How long it took on this machine.
    seconds: f64,
}

impl RunResults {
    fn with_baselines(
        &self,
    ) -> impl Iterator<Item = (&ScenarioResult, Option<&BaselineComparison>)> {
        self.results.iter().zip(self.baselines.iter().map(Option::as_ref))
    }

    fn markdown(&self) -> String {
        report::markdown::document(self.with_baselines())
    }
}

/// Runs and judges every plan, and writes its report as soon as it is done.
fn run_plans(
    arguments: &RunArguments,
    pool: &ThreadPool,
    plans: Vec<Plan>,
    mut folders: ReportFolders,
) -> anyhow::Result<RunResults> {
    let interrupt = interrupt::install_handler();
    let total = plans.iter().map(|plan| plan.trials.len()).sum::<usize>() as u64;
    let printing = &arguments.printing;
    let style = style(printing.color, &io::stderr());
    if !printing.quiet {
        let runs = report::number::counted(total, "run");
        let scenarios = report::number::counted(plans.len() as u64, "scenario");
        let jobs = report::number::counted(pool.current_num_threads() as u64, "job");
        print_stderr(&format!("  Starting {runs} of {scenarios} ({jobs})"));
    }
    let progress = ProgressDisplay::start(
        total,
        printing.progress,
        printing.quiet,
        ScenarioOutput::Line,
        style,
    );
    let gate = Runner { pool, fail_fast: !arguments.no_fail_fast, interrupt };
    let mut found = RunResults::default();
    for plan in plans {
        let last = found.results.last().map(|last| arguments.effective_verdict(last.verdict));
        if gate.stops_after(last) {
            break;
        }
        let judge = |trial: &_| judge_trial(&arguments.engine_option.engine, trial, interrupt);
        let folder = folders.take_folder(&plan.scenario);
        let (result, baseline) = folder.run(arguments, &gate, plan, &judge, &progress)?;
        progress.scenario_done(&result);
        found.results.push(result);
        found.baselines.push(baseline);
    }
    found.seconds = progress.finish();
    Ok(found)
}

/// Two scenarios of one name could not be told apart in any output, and would write one folder;
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

/// Each on a line of its own.
fn join_lines(skipped: &[String]) -> String {
    skipped.iter().flat_map(|line| [line.as_str(), "\n"]).collect()
}

/// What was skipped, tables and failures.
fn render_text(arguments: &RunArguments, found: &RunResults) -> String {
    let layout = arguments.printing.layout();
    let style = layout.style;
    let flags = arguments.running.flags();
    let mut text = String::new();
    if !arguments.printing.quiet {
        text += &join_lines(&found.skipped);
    }
    for (result, baseline) in found.with_baselines() {
        let is_same = baseline.is_none_or(BaselineComparison::is_identical);
        if arguments.printing.quiet && result.verdict == Verdict::Holds && is_same {
            continue;
        }
        text.push('\n');
        text.push_str(&table::table(result, layout));
        text.push_str(&summary::expectations(result, style));
        text.push_str(&baseline.map(|it| comparison::text(it, style)).unwrap_or_default());
        let failures = failure::failures(result, &flags, style);
        if !failures.is_empty() {
            text.push('\n');
            text.push_str(&failures);
        }
    }
    text
}

fn print_summary(arguments: &RunArguments, found: &RunResults, planned: usize) {
    let results = &found.results;
    print_stderr(&format!("\n   Summary [{:>6.2}s] {}", found.seconds, summary::counts(results)));
    if let Some(partial) = results.iter().find(|result| result.is_partial()) {
        let (done, all) = (partial.finished as u64, partial.planned as u64);
        let name = escape::terminal(&partial.scenario.name);
        let (done, all) = (format_count(done), format_count(all));
        print_stderr(&format!(
            "           partial: {name}, interrupted after {done} of {all} runs"
        ));
    }
    if !found.skipped.is_empty() {
        let skipped = format_count(found.skipped.len() as u64);
        let engine = arguments.engine_option.engine.name();
        print_stderr(&format!("           {skipped} skipped: the {engine} engine cannot run them"));
    }
    if results.len() < planned {
        let left = report::number::counted((planned - results.len()) as u64, "scenario");
        let why = if interrupt::flag().load(Ordering::SeqCst) {
            "interrupted"
        } else {
            "one failed; --no-fail-fast goes on"
        };
        print_stderr(&format!("           {left} not run: {why}"));
    }
    if let Some(out) = arguments.reports_folder() {
        let only = results.first().filter(|_| results.len() == 1);
        match only.map(|it| escape::file_name(&it.scenario.name)) {
            Some(name) => {
                let page = out.join(name).join(PAGE_NAME);
                print_stderr(&format!("           report: {}", page.display()));
            }
            None => print_stderr(&format!("           reports: {}", out.display())),
        }
    }
}

impl RunArguments {
    fn selection(&self) -> Selection {
        let one = self.seed.map(|first| Seeds::Range { first, count: 1 });
        Selection {
            seeds: one.or(self.seeds),
            qos: self.qos.clone(),
            trial: self.trial.clone(),
            one_seed: self.seed.is_some(),
        }
    }

    /// How a verdict counts for the gate.
    fn effective_verdict(&self, verdict: Verdict) -> Verdict {
        match (verdict, self.inconclusive) {
            (Verdict::Inconclusive, InconclusivePolicy::Warn) => Verdict::Holds,
            _ => verdict,
        }
    }

    /// The command for one scenario, without what is this machine's alone.
    fn command(&self, scenario: &Scenario) -> String {
        commands::run(
            scenario,
            self.engine_option.engine,
            &(selection_flags(self.selection().seeds, &self.qos) + &self.running.flags()),
        )
    }

    /// The folder for reports; a single trial is a look and not a result, and leaves none unless
    /// it is told where.
    fn reports_folder(&self) -> Option<&Path> {
        match (&self.out, &self.trial) {
            (Some(out), _) => Some(out),
            (None, Some(_)) => None,
            (None, None) => Some(Path::new("reports")),
        }
    }
}

/// Reads a day.
fn parse_day(text: &str) -> Result<Day, String> {
    Day::parse(text).ok_or_else(|| "a day is written as in 2027-03-01".to_owned())
}
