//! `qoslab replay`: shows one trial.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, bail};
use clap::Args;

use super::engine_option::EngineOption;
use super::selection::{parse_qos, parse_setting, parse_trial_name, print_selection_error};
use super::terminal::{ColorMode, StandardOutput, style};
use super::unused_entries::warn_unused_entries;
use super::{exit, interrupt, load};
use crate::base::units::parse_span;
use crate::base::{QoS, Span, Time};
use crate::guarantee::Outcome;
use crate::report::ladder::{self, Ladder, MAX_ROWS, TrialFindings};
use crate::report::{Style, escape, failure, summary, table};
use crate::scenario::{Scenario, Setting, SizeLimits};
use crate::sim::Trial;
use crate::study::{
    FailureCause, Plan, ScenarioResult, Seeds, Selection, ThreadPool, TrialRunner, judge_trial,
    plan, record_trial, unused_schedule_entries,
};
use files::OutputFiles;
use shown::recording_filter;

mod files;
mod shown;

const EXAMPLES: &str = "\
Examples:
  qoslab replay FILE --trial 3f9c                    as a failure names it
  qoslab replay scenarios/lossy-uplink.toml --seed 37 --qos 2      the same by its seed
  qoslab replay FILE --trial 3f9c --message sensor#7 one message's life
  qoslab replay FILE --trial 3f9c --from 8s --until 12s
  qoslab replay FILE --trial 3f9c --svg ladder.svg --pcapng packets.pcapng
  qoslab replay FILE --trial 3f9c --whole --json -   raw events, a JSON object a line

Where a promise broke and nothing says what to show, the first message concerned is shown. The files
show the same as the ladder. docs/replay.md tells how to read a ladder and what is in the files.";

/// Run one trial again and show it: its verdict, and a ladder of its packets.
///
/// Of a scenario that stands for several trials, --trial selects one, or --seed and --qos.
#[derive(Debug, Args)]
#[command(after_help = concat_help())]
pub(super) struct ReplayArguments {
    /// A scenario file
    #[arg(value_name = "FILE")]
    path: PathBuf,

    /// The trial whose name begins with this, as a failure prints it
    #[arg(long, value_name = "NAME", value_parser = parse_trial_name, help_heading = "Which trial")]
    trial: Option<String>,
    /// The trial of this seed
    #[arg(long, value_name = "N", help_heading = "Which trial")]
    seed: Option<u64>,
    /// The trial that publishes with this QoS
    #[arg(long, value_name = "QOS", value_parser = parse_qos, help_heading = "Which trial")]
    qos: Option<QoS>,
    /// Set a field of the file to another value, such as link.meter.loss=5%
    #[arg(long, value_name = "PATH=VALUE", value_parser = parse_setting,
        help_heading = "Which trial")]
    set: Vec<Setting>,
    /// Encode and decode every simulated packet on its way
    #[arg(long, help_heading = "Which trial")]
    wire: bool,
    #[command(flatten)]
    engine_option: EngineOption,

    /// Only this message, and what happened to nodes and connections on its way: sensor#7, or 7
    #[arg(long, value_name = "MESSAGE", help_heading = "What to show")]
    message: Option<String>,
    /// Nothing before this virtual time, such as 8s
    #[arg(long, value_name = "TIME", value_parser = parse_time, help_heading = "What to show")]
    from: Option<Time>,
    /// Nothing after this virtual time
    #[arg(long, value_name = "TIME", value_parser = parse_time, help_heading = "What to show")]
    until: Option<Time>,
    /// All messages, even if a promise broke [default then: only the first one concerned]
    #[arg(long, conflicts_with = "message", help_heading = "What to show")]
    whole: bool,
    /// The most rows of the ladder
    #[arg(long, value_name = "N", default_value_t = MAX_ROWS, help_heading = "What to show")]
    rows: usize,

    /// Write the ladder as a picture
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    svg: Option<PathBuf>,
    /// Write the packets as a capture that Wireshark opens
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pcapng: Option<PathBuf>,
    /// Write the raw events, a JSON object a line; - for standard output, in place of the ladder
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    json: Option<PathBuf>,
    /// Colour the output
    #[arg(long, value_name = "WHEN", value_enum, default_value_t, help_heading = "Output")]
    color: ColorMode,
}

fn concat_help() -> String {
    format!("{EXAMPLES}\n\n{}", exit::HELP)
}

/// Shows the trial and returns the exit code of its verdict.
///
/// # Errors
/// If something cannot be read or written, or not exactly one trial or message is selected.
pub(super) fn execute(arguments: &ReplayArguments) -> anyhow::Result<u8> {
    if let (Some(from), Some(until)) = (arguments.from, arguments.until)
        && from > until
    {
        bail!("--from {from} is after --until {until}");
    }
    let Some(mut scenario) = load::load_one(&arguments.path, &arguments.set, arguments.color)
    else {
        return Ok(exit::USAGE);
    };
    for point in &mut scenario.points {
        Arc::make_mut(&mut point.setup).wire |= arguments.wire;
    }
    scenario.check_size(&SizeLimits::default(), 1).context("the scenario is too large")?;
    let mut plan = match plan(vec![scenario], &arguments.selection()) {
        Ok(plans) => single_plan(plans)?,
        Err(error) => return Ok(print_selection_error(&error)),
    };
    let engine = arguments.engine_option.engine;
    if let Some(skipped) = arguments.engine_option.select_engine(&mut plan).pop() {
        StandardOutput::default().print(&(skipped + "\n"))?;
        return Ok(exit::NOTHING_TO_RUN);
    }
    let files = OutputFiles::open(arguments)?;
    let trial = plan.trial(plan.trials[0]);
    let interrupt = interrupt::install_handler();
    let judged = judge_trial(&engine, &trial, interrupt);
    warn_unused_entries(&unused_schedule_entries(&engine, &trial, interrupt));
    let pool = ThreadPool::new(Some(1)).context("failed to start threads")?;
    let never = AtomicBool::new(false);
    let runner = TrialRunner { pool: &pool, fail_fast: true, interrupt: &never };
    let mut results = runner.run(vec![plan], &|_| judged.clone(), &());
    let code = exit::code_of_results(&results);
    let result = results.pop().context("one trial has one result")?;
    if interrupt.load(Ordering::SeqCst) {
        return Ok(exit::INTERRUPTED);
    }
    show_trial(arguments, files, &trial, &result, judged.ok().as_ref(), interrupt)?;
    Ok(code)
}

/// Prints the verdict and the ladder, and writes the files.
fn show_trial(
    arguments: &ReplayArguments,
    files: OutputFiles,
    trial: &Trial,
    result: &ScenarioResult,
    outcome: Option<&Outcome>,
    interrupt: &AtomicBool,
) -> anyhow::Result<()> {
    let (findings, rules) =
        outcome.map_or((&[][..], &[][..]), |it| (&it.findings[..], &it.rule_findings[..]));
    let (filter, hint) = recording_filter(arguments, trial, findings, interrupt)?;
    let recording = record_trial(&arguments.engine_option.engine, trial, &filter, interrupt);
    let judged = TrialFindings { findings, rules };
    let ladder = Ladder::new(&recording, &filter, &trial.setup, judged, arguments.rows);
    if !arguments.prints_events() {
        let style = style(arguments.color, &io::stdout());
        let mut text = verdict_text(result, trial, &arguments.flags(), style);
        text.extend(["\n", &ladder::text(&ladder, style)]);
        for line in hint.iter().flat_map(|hint| table::wrap(hint, 78)) {
            text.extend(["  ", &style.muted(&line), "\n"]);
        }
        StandardOutput::default().print(&text)?;
    }
    files.write(&recording, &ladder, &trial.setup)
}

/// The text that `run` prints of a failure, without the messages' histories, as the ladder shows
/// one; or that all is well.
fn verdict_text(result: &ScenarioResult, trial: &Trial, flags: &str, style: Style) -> String {
    let mut result = result.clone();
    for failure in result.points.iter_mut().flat_map(|point| &mut point.failures) {
        if let FailureCause::Broken { findings, .. } = &mut failure.cause {
            for finding in findings {
                finding.history.clear();
            }
        }
    }
    let text = failure::failures(&result, flags, style);
    if !text.is_empty() {
        return format!("{}\n", text.trim_end());
    }
    let label = result.points.first().map(|point| point.label.as_str()).unwrap_or_default();
    let verdict = table::coloured_verdict(result.verdict, style);
    let name = escape::terminal(&result.scenario.name);
    let name = style.strong(&name);
    format!("{verdict} {name}  {label}  trial {} (seed {})\n", trial.name, trial.seed)
        + &summary::expectations(&result, style)
}

/// The plan, if it is of one trial.
fn single_plan(mut plans: Vec<Plan>) -> anyhow::Result<Plan> {
    let plan = plans.pop().context("one scenario has one plan")?;
    let [first, .., last] = plan.trials[..] else { return Ok(plan) };
    let Scenario { points, .. } = &plan.scenario;
    let mut hints = Vec::new();
    if first.seed != last.seed || plan.trials.iter().any(|it| it.seed != first.seed) {
        let seeds: Vec<u64> = plan.trials.iter().map(|it| it.seed).collect();
        let (least, most) = (seeds.iter().min(), seeds.iter().max());
        let least = least.copied().unwrap_or(first.seed);
        hints.push(format!("--seed N ({least} to {})", most.copied().unwrap_or(last.seed)));
    }
    if first.point != last.point {
        let labels: Vec<String> =
            points[first.point..=last.point].iter().map(crate::scenario::Point::label).collect();
        hints.push(format!("--qos N (there are {})", labels.join("; ")));
    }
    bail!(
        "{} trials are left, and one can be shown: select it by --trial NAME, as a failure and \
         trials.csv name it, or by {}",
        plan.trials.len(),
        hints.join(" and ")
    )
}

fn parse_time(text: &str) -> Result<Time, String> {
    let span: Span = parse_span(text).map_err(|error| error.to_string())?;
    Ok(Time::ZERO + span)
}

impl ReplayArguments {
    fn selection(&self) -> Selection {
        Selection {
            seeds: self.seed.map(|first| Seeds::Range { first, count: 1 }),
            qos: self.qos.into_iter().collect(),
            trial: self.trial.clone(),
            one_seed: self.seed.is_some(),
        }
    }

    /// The options that change what the trial is.
    fn flags(&self) -> String {
        if self.wire { " --wire".to_owned() } else { String::new() }
    }

    /// Whether standard output is for raw events.
    fn prints_events(&self) -> bool {
        self.json.as_ref().is_some_and(|path| path.as_os_str() == "-")
    }
}
