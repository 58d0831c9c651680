//! `qoslab run`: the gate.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use anyhow::bail;
use clap::Args;
use rayon::ThreadPool;

use super::files::{Pending, writable_folder};
use super::options::{Printing, Running, qos, seeds, setting};
use super::progress::{Progress, Told};
use super::terminal::{Output, note, style};
use super::{exit, interrupt, load};
use crate::base::qos::QoS;
use crate::base::units::format_count;
use crate::report::{self, columns, escape, failure, junit, markdown, summary, table};
use crate::scenario::Scenario;
use crate::scenario::axis::Setting;
use crate::study::gate::Gate;
use crate::study::judge::judge_trial;
use crate::study::plan::{Plan, Seeds, Selection, SelectionError, plan};
use crate::study::result::{ScenarioResult, Verdict};
use crate::study::sweep::Study;

const EXAMPLES: &str = "\
Examples:
  qoslab run scenarios/                       every scenario below a folder
  qoslab run lossy.toml --seeds 1000          narrower intervals
  qoslab run lossy.toml --seeds 1..50         seeds 1 to 50, both included
  qoslab run lossy.toml --trial 3f9c          one trial again, as a failure names it
  qoslab run scenarios/ --qos 2 -q            only QoS 2, and only what fails
  qoslab run scenarios/ --junit junit.xml     for CI

Standard output holds the tables and failures, the same bytes for the same seeds; progress and
times of this machine go to standard error.";

/// Simulate every trial, judge it, print the tables, write the reports: the gate for CI.
///
/// A scenario stands for trials: each point of its axes (such as QoS 0, 1 and 2) with each seed.
/// Results go to reports/SCENARIO/results.json and trials.csv, except with --trial.
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
    #[command(flatten)]
    running: Running,

    /// Where the reports go [default: reports]
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    out: Option<PathBuf>,
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
    printing: Printing,
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
    let pool = arguments.running.pool()?;
    for scenario in &scenarios {
        arguments.running.refuse_larger(scenario, &pool)?;
    }
    let plans = match plan(scenarios, &arguments.selection()) {
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
    let exports = Exports::open(arguments, &plans)?;
    let planned = plans.len();
    let (results, seconds) = simulate(arguments, &pool, plans);
    exports.write(&results, &arguments.running.flags())?;
    let interrupted = interrupt::flag().load(Ordering::SeqCst);
    print(arguments, &results)?;
    summarise(arguments, &results, planned, seconds);
    Ok(if interrupted { exit::INTERRUPTED } else { exit::of(&results) })
}

fn simulate(
    arguments: &Arguments,
    pool: &ThreadPool,
    plans: Vec<Plan>,
) -> (Vec<ScenarioResult>, f64) {
    let interrupt = interrupt::watch();
    let total: usize = plans.iter().map(|plan| plan.trials.len()).sum();
    let style = style(arguments.printing.color, &io::stderr());
    if !arguments.printing.quiet {
        let runs = report::number::counted(total as u64, "run");
        let scenarios = report::number::counted(plans.len() as u64, "scenario");
        let jobs = report::number::counted(pool.current_num_threads() as u64, "job");
        note(&format!("  Starting {runs} of {scenarios} ({jobs})"));
    }
    let printing = &arguments.printing;
    let total = total as u64;
    let progress = Progress::start(total, printing.progress, printing.quiet, Told::Line, style);
    let gate = Gate { pool, fail_fast: !arguments.no_fail_fast, interrupt };
    let results = gate.run(plans, &|trial| judge_trial(trial, interrupt), &progress);
    (results, progress.finish())
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

fn print(arguments: &Arguments, results: &[ScenarioResult]) -> anyhow::Result<()> {
    let layout = arguments.printing.layout();
    let style = layout.style;
    let flags = arguments.running.flags();
    let mut output = Output::default();
    for result in results {
        let failures = failure::failures(result, &flags, style);
        if arguments.printing.quiet && result.verdict == Verdict::Holds {
            continue;
        }
        output.print(&format!(
            "\n{}{}",
            table::table(result, layout),
            summary::expectations(result, style)
        ))?;
        if !failures.is_empty() {
            output.print(&format!("\n{failures}"))?;
        }
    }
    Ok(())
}

fn summarise(arguments: &Arguments, results: &[ScenarioResult], planned: usize, seconds: f64) {
    note(&format!("\n   Summary [{seconds:>6.2}s] {}", summary::counts(results)));
    if let Some(partial) = results.iter().find(|result| result.is_partial()) {
        let (done, all) = (partial.finished as u64, partial.planned as u64);
        let name = escape::terminal(&partial.scenario.name);
        let (done, all) = (format_count(done), format_count(all));
        note(&format!("           partial: {name}, interrupted after {done} of {all} runs"));
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
        note(&format!("           reports: {}", out.display()));
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

    /// The files to export: CSV, JSON, Markdown, `JUnit`.
    fn exports(&self) -> [Option<&Path>; 4] {
        [&self.export_csv, &self.export_json, &self.export_markdown, &self.junit]
            .map(Option::as_deref)
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

/// The files that the user asked for.
#[derive(Debug)]
struct Exports {
    folders: BTreeMap<String, PathBuf>,
    csv: Option<Pending>,
    json: Option<Pending>,
    markdown: Option<Pending>,
    junit: Option<Pending>,
}

impl Exports {
    fn open(arguments: &Arguments, plans: &[Plan]) -> anyhow::Result<Self> {
        let pending = |path: Option<&Path>| path.map(Pending::open).transpose();
        let [csv, json, markdown, junit] = arguments.exports();
        for (nth, path) in arguments.exports().into_iter().flatten().enumerate() {
            let twice = arguments.exports().into_iter().flatten().skip(nth + 1).any(|p| p == path);
            if twice && !path.starts_with("/dev") {
                bail!("two exports would write `{}`: name two files", path.display());
            }
        }
        let mut folders = BTreeMap::new();
        if let Some(out) = arguments.reports() {
            for Plan { scenario, .. } in plans {
                let folder = out.join(escape::file_name(&scenario.name));
                folders.insert(scenario.name.clone(), folder);
            }
            for folder in folders.values() {
                writable_folder(folder)?;
            }
        }
        Ok(Self {
            folders,
            csv: pending(csv)?,
            json: pending(json)?,
            markdown: pending(markdown)?,
            junit: pending(junit)?,
        })
    }

    fn write(self, results: &[ScenarioResult], flags: &str) -> anyhow::Result<()> {
        for result in results {
            if let Some(folder) = self.folders.get(&result.scenario.name) {
                let write = |name, bytes: Vec<u8>| Pending::open(&folder.join(name))?.write(&bytes);
                write("results.json", report::json::scenario(result))?;
                let study = Study::of(result.clone());
                write("trials.csv", columns::trials(&study).csv())?;
            }
        }
        if let Some(file) = self.csv {
            let studies: Vec<Study> = results.iter().cloned().map(Study::of).collect();
            file.write(&columns::points(&studies).csv())?;
        }
        if let Some(file) = self.json {
            file.write(&report::json::scenarios(results))?;
        }
        if let Some(file) = self.markdown {
            file.write(markdown::document(results).as_bytes())?;
        }
        if let Some(file) = self.junit {
            file.write(&junit::document(results, flags))?;
        }
        Ok(())
    }
}

fn trial_name(text: &str) -> Result<String, String> {
    let is_name =
        !text.is_empty() && text.len() <= 8 && text.bytes().all(|b| b.is_ascii_hexdigit());
    if is_name {
        Ok(text.to_owned())
    } else {
        Err("a name is up to 8 hexadecimal digits".to_owned())
    }
}
