//! `qoslab run`: the gate.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use anyhow::bail;
use clap::{Args, ValueEnum};
use rayon::ThreadPool;

use super::engines::OnEngine;
use super::github::GitHub;
use super::options::{Printing, Running, qos, seeds, selected, setting, trial_name};
use super::progress::{Progress, Told};
use super::studies::{Drawing, PAGE_NAME};
use super::terminal::{note, style};
use super::{exit, interrupt, known, load};
use crate::base::qos::QoS;
use crate::base::units::format_count;
use crate::report::{self, commands, comparison, escape, failure, summary, table};
use crate::scenario::Scenario;
use crate::scenario::axis::Setting;
use crate::scenario::known::Day;
use crate::study::baseline::Comparison;
use crate::study::gate::{Gate, Spectator};
use crate::study::judge::judge_trial;
use crate::study::plan::{Plan, Seeds, Selection, SelectionError, plan};
use crate::study::result::{ScenarioResult, Verdict};
use exports::Exports;
use folder::Folders;

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
pub(super) struct Arguments {
    /// Scenario files, or folders of them
    #[arg(required = true, value_name = "FILE or DIR")]
    paths: Vec<PathBuf>,

    /// Set a field of the files to another value, such as link.meter.loss=5%
    #[arg(long, value_name = "PATH=VALUE", value_parser = setting, help_heading = "What to run")]
    set: Vec<Setting>,
    /// Only this seed
    #[arg(long, value_name = "N", conflicts_with = "seeds", help_heading = "What to run")]
    seed: Option<u64>,
    /// How many seeds, or which: 1000, or 1..50
    #[arg(long, value_name = "N or A..B", value_parser = seeds, help_heading = "What to run")]
    seeds: Option<Seeds>,
    /// Only the trial whose name begins so
    #[arg(long, value_name = "NAME", value_parser = trial_name, help_heading = "What to run")]
    trial: Option<String>,
    /// Only points that publish with this QoS: 2, or 0,1
    #[arg(long, value_name = "QOS", value_delimiter = ',', value_parser = qos,
        help_heading = "What to run")]
    qos: Vec<QoS>,

    /// Go on with the next scenario after one that failed
    #[arg(long, help_heading = "How to run")]
    no_fail_fast: bool,
    /// What a scenario is that proves nothing: not drained, or something expected never happened
    #[arg(long, value_name = "HOW", value_enum, default_value_t, help_heading = "How to run")]
    inconclusive: Inconclusive,
    /// A list of bugs that are known until a day: told, and no failure before it has passed
    #[arg(long, value_name = "FILE", help_heading = "How to run")]
    known: Option<PathBuf>,
    /// The day by which known bugs are judged, such as 2027-03-01 [default: today, in UTC]
    #[arg(long, value_name = "DAY", value_parser = day, requires = "known",
        help_heading = "How to run")]
    today: Option<Day>,
    /// Leave failures as large as they are
    #[arg(long, help_heading = "How to run")]
    no_shrink: bool,
    #[command(flatten)]
    on: OnEngine,
    #[command(flatten)]
    running: Running,

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
    drawing: Drawing,
    #[command(flatten)]
    printing: Printing,
}

/// What a scenario that proves nothing does to the exit code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Inconclusive {
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
pub(super) fn execute(arguments: &Arguments) -> anyhow::Result<u8> {
    let Some(mut scenarios) = load::all(&arguments.paths, &arguments.set, arguments.printing.color)
    else {
        return Ok(exit::USAGE);
    };
    for scenario in &mut scenarios {
        arguments.running.overrule(scenario);
    }
    refuse_namesakes(&scenarios)?;
    if let Some(known) = &arguments.known
        && !known::apply(known, arguments.today, &mut scenarios, arguments.printing.color)
    {
        return Ok(exit::USAGE);
    }
    let pool = arguments.running.pool()?;
    for scenario in &scenarios {
        arguments.running.refuse_larger(scenario, &pool)?;
    }
    let mut plans = match plan(scenarios, &arguments.selection()) {
        Ok(plans) => plans,
        Err(error) => {
            note(&format!("error: {error}"));
            return Ok(match error {
                SelectionError::Nothing(_) | SelectionError::UnknownTrial(_) => exit::NOTHING,
                SelectionError::TooMany { .. }
                | SelectionError::PrecisionOfShard
                | SelectionError::AmbiguousTrial { .. } => exit::USAGE,
            });
        }
    };
    let skipped: Vec<String> = plans.iter_mut().flat_map(|plan| arguments.on.put(plan)).collect();
    plans.retain(|plan| !plan.trials.is_empty());
    let github = GitHub::from_environment();
    if plans.is_empty() {
        github.print(&lines(&skipped))?;
        return Ok(exit::NOTHING);
    }
    let exports = Exports::open(arguments)?;
    let folders = Folders::open(arguments, &plans)?;
    let planned = plans.len();
    let found = Found { skipped, ..simulate(arguments, &pool, plans, folders)? };
    let flags = arguments.running.flags();
    exports.write(&found, &flags)?;
    github.print(&text(arguments, &found))?;
    let is_lenient = arguments.inconclusive == Inconclusive::Warn;
    github.remark(&found.results, &flags, is_lenient)?;
    github.summarise(|| found.markdown())?;
    summarise(arguments, &found, planned);
    let verdicts = found.results.iter().map(|result| arguments.weighed(result.verdict));
    let interrupted = interrupt::flag().load(Ordering::SeqCst);
    Ok(if interrupted { exit::INTERRUPTED } else { exit::worst(verdicts) })
}

/// What was found of each scenario, in order.
#[derive(Debug, Default)]
struct Found {
    results: Vec<ScenarioResult>,
    /// A line for each scenario or point that the engine cannot run.
    skipped: Vec<String>,
    /// What is different from the baseline, where there is one; one for each result.
    baselines: Vec<Option<Comparison>>,
    /// How long it took on this machine.
    seconds: f64,
}

impl Found {
    fn each(&self) -> impl Iterator<Item = (&ScenarioResult, Option<&Comparison>)> {
        self.results.iter().zip(self.baselines.iter().map(Option::as_ref))
    }

    fn markdown(&self) -> String {
        report::markdown::document(self.each())
    }
}

/// Runs and judges every plan, and writes its report as soon as it is done.
fn simulate(
    arguments: &Arguments,
    pool: &ThreadPool,
    plans: Vec<Plan>,
    mut folders: Folders,
) -> anyhow::Result<Found> {
    let interrupt = interrupt::watch();
    let total = plans.iter().map(|plan| plan.trials.len()).sum::<usize>() as u64;
    let printing = &arguments.printing;
    let style = style(printing.color, &io::stderr());
    if !printing.quiet {
        let runs = report::number::counted(total, "run");
        let scenarios = report::number::counted(plans.len() as u64, "scenario");
        let jobs = report::number::counted(pool.current_num_threads() as u64, "job");
        note(&format!("  Starting {runs} of {scenarios} ({jobs})"));
    }
    let progress = Progress::start(total, printing.progress, printing.quiet, Told::Line, style);
    let gate = Gate { pool, fail_fast: !arguments.no_fail_fast, interrupt };
    let mut found = Found::default();
    for plan in plans {
        let last = found.results.last().map(|last| arguments.weighed(last.verdict));
        if gate.stops_after(last) {
            break;
        }
        let judge = |trial: &_| judge_trial(&arguments.on.engine, trial, interrupt);
        let folder = folders.take(&plan.scenario);
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
fn refuse_namesakes(scenarios: &[Scenario]) -> anyhow::Result<()> {
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
fn lines(skipped: &[String]) -> String {
    skipped.iter().flat_map(|line| [line.as_str(), "\n"]).collect()
}

/// What was skipped, tables and failures.
fn text(arguments: &Arguments, found: &Found) -> String {
    let layout = arguments.printing.layout();
    let style = layout.style;
    let flags = arguments.running.flags();
    let mut text = String::new();
    if !arguments.printing.quiet {
        text += &lines(&found.skipped);
    }
    for (result, baseline) in found.each() {
        let is_same = baseline.is_none_or(Comparison::is_identical);
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

fn summarise(arguments: &Arguments, found: &Found, planned: usize) {
    let results = &found.results;
    note(&format!("\n   Summary [{:>6.2}s] {}", found.seconds, summary::counts(results)));
    if let Some(partial) = results.iter().find(|result| result.is_partial()) {
        let (done, all) = (partial.finished as u64, partial.planned as u64);
        let name = escape::terminal(&partial.scenario.name);
        let (done, all) = (format_count(done), format_count(all));
        note(&format!("           partial: {name}, interrupted after {done} of {all} runs"));
    }
    if !found.skipped.is_empty() {
        let skipped = format_count(found.skipped.len() as u64);
        let engine = arguments.on.engine.name();
        note(&format!("           {skipped} skipped: the {engine} engine cannot run them"));
    }
    if results.len() < planned {
        let left = report::number::counted((planned - results.len()) as u64, "scenario");
        let why = if interrupt::flag().load(Ordering::SeqCst) {
            "interrupted"
        } else {
            "one failed; --no-fail-fast goes on"
        };
        note(&format!("           {left} not run: {why}"));
    }
    if let Some(out) = arguments.reports() {
        let only = results.first().filter(|_| results.len() == 1);
        match only.map(|it| escape::file_name(&it.scenario.name)) {
            Some(name) => {
                let page = out.join(name).join(PAGE_NAME);
                note(&format!("           report: {}", page.display()));
            }
            None => note(&format!("           reports: {}", out.display())),
        }
    }
}

impl Arguments {
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
    fn weighed(&self, verdict: Verdict) -> Verdict {
        match (verdict, self.inconclusive) {
            (Verdict::Inconclusive, Inconclusive::Warn) => Verdict::Holds,
            _ => verdict,
        }
    }

    /// The command for one scenario, without what is this machine's alone.
    fn command(&self, scenario: &Scenario) -> String {
        commands::run(
            scenario,
            self.on.engine,
            &(selected(self.selection().seeds, &self.qos) + &self.running.flags()),
        )
    }

    /// The folder for reports; a single trial is a look and not a result, and leaves none unless
    /// it is told where.
    fn reports(&self) -> Option<&Path> {
        match (&self.out, &self.trial) {
            (Some(out), _) => Some(out),
            (None, Some(_)) => None,
            (None, None) => Some(Path::new("reports")),
        }
    }
}

/// Reads a day.
fn day(text: &str) -> Result<Day, String> {
    Day::read(text).ok_or_else(|| "a day is written as in 2027-03-01".to_owned())
}
