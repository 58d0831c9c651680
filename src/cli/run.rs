//! `qoslab run`: the gate.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use anyhow::{Context, bail};
use clap::Args;
use rayon::{ThreadPool, ThreadPoolBuilder};

use super::files::{Pending, writable_folder};
use super::progress::{Progress, Shown};
use super::terminal::{Output, When, note, style, width};
use super::{exit, interrupt, load};
use crate::base::qos::QoS;
use crate::base::units::format_count;
use crate::report::table::Layout;
use crate::report::{self, columns, escape, failure, junit, markdown, summary, table};
use crate::scenario::Scenario;
use crate::scenario::estimate::Limits;
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

    /// How many trials at a time [default: one a processor]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024),
        help_heading = "How to run")]
    jobs: Option<u16>,
    /// Go on with the next scenario after one that failed
    #[arg(long, help_heading = "How to run")]
    no_fail_fast: bool,
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
    /// Print only what fails, and the summary
    #[arg(short, long, conflicts_with = "verbose", help_heading = "Output")]
    quiet: bool,
    /// Print 95 % intervals though they make the table wide
    #[arg(short, long, help_heading = "Output")]
    verbose: bool,
    /// Colour the output
    #[arg(long, value_name = "WHEN", value_enum, default_value_t, help_heading = "Output")]
    color: When,
    /// Show how far the run is
    #[arg(long, value_name = "HOW", value_enum, default_value_t, help_heading = "Output")]
    progress: Shown,
}

fn concat_help() -> String {
    format!("{EXAMPLES}\n\n{}", exit::HELP)
}

/// Runs the gate, to the exit code.
///
/// # Errors
/// If something cannot be read or written, or arguments contradict each other.
pub(super) fn execute(arguments: &Arguments) -> anyhow::Result<u8> {
    let Some(mut scenarios) = load::all(&arguments.paths, arguments.color) else {
        return Ok(exit::USAGE);
    };
    for scenario in &mut scenarios {
        arguments.overrule(scenario);
    }
    refuse_namesakes(&scenarios)?;
    let pool = pool(arguments.jobs)?;
    refuse_larger(&scenarios, arguments.limits(), pool.current_num_threads())?;
    let plans = match plan(scenarios, &arguments.selection()) {
        Ok(plans) => plans,
        Err(error) => {
            note(&format!("error: {error}"));
            return Ok(match error {
                SelectionError::Nothing(_) | SelectionError::UnknownTrial(_) => exit::NOTHING,
                SelectionError::TooMany { .. } | SelectionError::AmbiguousTrial { .. } => {
                    exit::USAGE
                }
            });
        }
    };
    let exports = Exports::open(arguments, &plans)?;
    let planned = plans.len();
    let (results, seconds) = simulate(arguments, &pool, plans);
    exports.write(&results, &arguments.flags())?;
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
    let style = style(arguments.color, &io::stderr());
    if !arguments.quiet {
        let runs = report::number::counted(total as u64, "run");
        let scenarios = report::number::counted(plans.len() as u64, "scenario");
        let jobs = report::number::counted(pool.current_num_threads() as u64, "job");
        note(&format!("  Starting {runs} of {scenarios} ({jobs})"));
    }
    let progress = Progress::start(total as u64, arguments.progress, arguments.quiet, style);
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

fn refuse_larger(scenarios: &[Scenario], limits: Limits, jobs: usize) -> anyhow::Result<()> {
    for scenario in scenarios {
        let path = escape::terminal(&scenario.path);
        scenario.check_size(&limits, jobs as u64).with_context(|| {
            format!("`{path}` is larger than --max-events and --max-memory allow")
        })?;
    }
    Ok(())
}

fn pool(jobs: Option<u16>) -> anyhow::Result<ThreadPool> {
    // Zero leaves the number to rayon: one a processor.
    let threads = jobs.map_or(0, usize::from);
    ThreadPoolBuilder::new().num_threads(threads).build().context("failed to start threads")
}

fn print(arguments: &Arguments, results: &[ScenarioResult]) -> anyhow::Result<()> {
    let style = style(arguments.color, &io::stdout());
    let layout = Layout { width: width(), verbose: arguments.verbose, style };
    let flags = arguments.flags();
    let mut output = Output::default();
    for result in results {
        let failures = failure::failures(result, &flags, style);
        if arguments.quiet && result.verdict == Verdict::Holds {
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

    /// The options that change what a trial is go over what the scenario says.
    fn overrule(&self, scenario: &mut Scenario) {
        for point in &mut scenario.points {
            let setup = Arc::make_mut(&mut point.setup);
            setup.wire |= self.wire;
            setup.max_events = self.max_events.unwrap_or(setup.max_events);
        }
    }

    fn limits(&self) -> Limits {
        let default = Limits::default();
        Limits {
            events: self.max_events.unwrap_or(default.events),
            memory: self.max_memory.map_or(default.memory, |mega| mega.saturating_mul(1_000_000)),
        }
    }

    /// Those options as they were given, for the command that shows a failure again.
    fn flags(&self) -> String {
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

fn seeds(text: &str) -> Result<Seeds, String> {
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

fn qos(text: &str) -> Result<QoS, String> {
    let level = text.parse().ok().and_then(QoS::from_number);
    level.ok_or_else(|| "a QoS is 0, 1 or 2".to_owned())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_a_count_or_a_range_with_both_ends() {
        assert_eq!(seeds("200"), Ok(Seeds::Count(200)));
        assert_eq!(seeds("3..5"), Ok(Seeds::Range { first: 3, count: 3 }));
        assert_eq!(seeds("7..7"), Ok(Seeds::Range { first: 7, count: 1 }));
        let wrong = ["0", "5..3", "", "x", "-1", "1..", "0..18446744073709551615"];
        assert!(wrong.iter().all(|text| seeds(text).is_err()));
    }
}
