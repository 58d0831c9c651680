//! `qoslab explore`: every schedule of up to a given number of faults.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use clap::Args;

use super::artifacts::write_artifacts;

use super::progress::ProgressMode;
use super::selection::{parse_qos, parse_setting};
use super::terminal::{ColorMode, StandardOutput, print_stderr, style};
use super::{exit, interrupt, load};
use crate::base::units::{parse_span, span_literal};
use crate::base::{QoS, Span};
use crate::report::{ExploreSummary, commands};
use crate::scenario::{Point, Scenario, Setting};
use crate::sim::EventEngine;
use crate::study::ThreadPool;
use crate::study::explore::{ExploreReport, FaultKind, FaultOptions, Search, SearchSpace};
use crate::study::minimal_failures::{self, MinimalFailure};
use search_progress::SearchProgress;

mod search_progress;

const HELP: &str = "\
Examples:
  qoslab explore scenarios/explore/two-hops.toml --faults 3 --messages 1
  qoslab explore scenarios/explore/two-hops.toml --faults 2 --qos 2 --kinds cut,crash
  qoslab explore scenarios/explore/two-hops.toml --faults 2 --set broker.store=volatile

A schedule is a list of faults, each at one packet. Over TCP a connection is cut before or after a
packet; over datagrams a packet is lost, arrives twice, or late: after the next packet that way,
after the end of its handshake, after its sender's next timeout. Either way the receiver crashes in
the work on it, or the sender instead of sending it. What is random in the scenario is left out and
said to be. docs/explore.md says what a bound proves, and what it does not.

Exit codes: 0 proved; 1 a counterexample; 2 wrong arguments or scenario, or too many schedules;
3 inconclusive; 130 interrupted: what was searched is reported";

/// Try every schedule of up to K faults: a proof within that bound, or the least counterexample.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(super) struct ExploreArguments {
    /// The scenario file
    #[arg(value_name = "SCENARIO")]
    scenario: PathBuf,
    /// The most faults in one schedule
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u8).range(0..=16))]
    faults: u8,

    /// Only points that publish with these levels: 1,2
    #[arg(long, value_name = "QOS", value_delimiter = ',', value_parser = parse_qos,
        help_heading = "What to search")]
    qos: Vec<QoS>,
    /// Set a field of the file to another value
    #[arg(long, value_name = "PATH=VALUE", value_parser = parse_setting,
        help_heading = "What to search")]
    set: Vec<Setting>,
    /// Only the first N messages of each workload
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..),
        help_heading = "What to search")]
    messages: Option<u32>,
    /// Only these kinds of faults: drop, duplicate, delay, cut, crash [default: all]
    #[arg(long, value_name = "KINDS", value_delimiter = ',', value_parser = parse_kind,
        help_heading = "What to search")]
    kinds: Vec<FaultKind>,
    /// How long a crashed node is down
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = parse_downtime,
        help_heading = "What to search")]
    down: Span,

    /// How many schedules at a time [default: one a processor]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024),
        help_heading = "How to search")]
    jobs: Option<u16>,
    /// Refuse to search more schedules than these
    #[arg(long, value_name = "N", default_value_t = 5_000_000, help_heading = "How to search")]
    max_schedules: u64,
    /// Do not skip states that were seen before: slower, with the same result
    #[arg(long, help_heading = "How to search")]
    no_fingerprint: bool,

    /// Keep the counterexample in this folder, each QoS in one of its own: a file that repeats it,
    /// its ladder, its packets
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    out: Option<PathBuf>,
    /// Colour the output
    #[arg(long, value_name = "WHEN", value_enum, default_value_t, help_heading = "Output")]
    color: ColorMode,
    /// Show how far the search is
    #[arg(long, value_name = "HOW", value_enum, default_value_t, help_heading = "Output")]
    progress: ProgressMode,
}

/// Searches each point of the scenario and returns the exit code.
///
/// # Errors
/// If a counterexample cannot be reproduced, or standard output cannot be written.
pub(super) fn execute(arguments: &ExploreArguments) -> anyhow::Result<u8> {
    let Some(scenario) = load::load_one(&arguments.scenario, &arguments.set, arguments.color)
    else {
        return Ok(exit::USAGE);
    };
    let wanted = |point: &&Point| {
        arguments.qos.is_empty() || point.published.is_some_and(|it| arguments.qos.contains(&it))
    };
    let points: Vec<_> = scenario.points.iter().filter(wanted).collect();
    if points.is_empty() {
        print_stderr("error: no point of the scenario publishes with that QoS");
        return Ok(exit::NOTHING_TO_RUN);
    }
    let pool = ThreadPool::new(arguments.jobs).context("failed to start threads")?;
    interrupt::install_handler();
    let mut output = StandardOutput::default();
    let mut codes = Vec::new();
    for point in points {
        codes.push(arguments.search(&scenario, point, &pool, &mut output)?);
        if codes.ends_with(&[exit::INTERRUPTED]) {
            break;
        }
    }
    // Certain results come before uncertain ones.
    let order = [
        exit::INTERRUPTED,
        exit::BUG,
        exit::VIOLATED,
        exit::USAGE,
        exit::INCONCLUSIVE,
        exit::NOTHING_TO_RUN,
    ];
    Ok(order.into_iter().find(|code| codes.contains(code)).unwrap_or(exit::HOLDS))
}

impl ExploreArguments {
    /// Searches one point, prints the result and returns the exit code.
    fn search(
        &self,
        scenario: &Scenario,
        point: &Point,
        pool: &ThreadPool,
        output: &mut StandardOutput,
    ) -> anyhow::Result<u8> {
        let kinds =
            if self.kinds.is_empty() { FaultKind::ALL.to_vec() } else { self.kinds.clone() };
        let options = FaultOptions { kinds, crash_downtime: self.down };
        let space = SearchSpace::new(&point.setup, options, self.messages, !self.no_fingerprint);
        let setup = space.setup();
        if setup.messages().is_empty() && !setup.publishers.iter().any(|stream| stream.is_will) {
            print_stderr("error: nobody publishes anything, so there is nothing to prove");
            return Ok(exit::NOTHING_TO_RUN);
        }
        let faults = usize::from(self.faults);
        let search = Search {
            space: &space,
            expect: &scenario.expect,
            faults,
            max_schedules: self.max_schedules,
            pool,
            interrupt: interrupt::flag(),
        };
        let progress = SearchProgress::start(self.progress);
        let report = search.run(&progress);
        progress.finish();
        let report = match report {
            Ok(report) => report,
            Err(error) => {
                print_stderr(&format!("error: this is a bug in qoslab: {error}"));
                return Ok(exit::BUG);
            }
        };
        let minimal_failure = self.minimal_failure(scenario, point, &report)?;
        let summary = ExploreSummary {
            scenario,
            point,
            search_space: &space,
            faults,
            report: &report,
            minimal_failure: minimal_failure.as_ref(),
        };
        output.print(&(summary.text(style(self.color, &io::stdout())) + "\n"))?;
        Ok(exit_code(&report))
    }

    /// The counterexample that was found, written into a folder of its own if one is requested.
    fn minimal_failure(
        &self,
        scenario: &Scenario,
        point: &Point,
        report: &ExploreReport,
    ) -> anyhow::Result<Option<MinimalFailure>> {
        let mut failure = report.counterexample.as_ref().and_then(|found| {
            minimal_failures::from_minimal_trial(
                &EventEngine,
                &found.trial,
                &found.outcome,
                &AtomicBool::new(false),
            )
        });
        if let (Some(failure), Some(out)) = (&mut failure, &self.out) {
            let level = point.published.map_or("mixed".to_owned(), |qos| format!("qos{qos}"));
            write_artifacts(failure, scenario, &self.command(scenario, point), &out.join(level))?;
        }
        Ok(failure)
    }

    /// The command that repeats the search.
    fn command(&self, scenario: &Scenario, point: &Point) -> String {
        let mut command = commands::explore(scenario, self.faults);
        if let Some(qos) = point.published {
            command.extend([" --qos ", &qos.to_string()]);
        }
        if let Some(messages) = self.messages {
            command.extend([" --messages ", &messages.to_string()]);
        }
        let kinds: Vec<_> = self.kinds.iter().map(|kind| kind.label()).collect();
        if !kinds.is_empty() {
            command.extend([" --kinds ", &kinds.join(",")]);
        }
        command + " --down " + &span_literal(self.down)
    }
}

fn exit_code(report: &ExploreReport) -> u8 {
    if report.counterexample.is_some() {
        exit::VIOLATED
    } else if report.interrupted || interrupt::flag().load(Ordering::SeqCst) {
        exit::INTERRUPTED
    } else if report.estimate.is_some() {
        exit::USAGE
    } else if report.inconclusive > 0 {
        exit::INCONCLUSIVE
    } else {
        exit::HOLDS
    }
}

fn parse_kind(text: &str) -> Result<FaultKind, String> {
    let all = FaultKind::ALL.map(FaultKind::label).join(", ");
    FaultKind::ALL
        .into_iter()
        .find(|kind| kind.label() == text)
        .ok_or(format!("the kinds are {all}"))
}

fn parse_downtime(text: &str) -> Result<Span, String> {
    parse_span(text).map_err(|error| error.to_string())
}
