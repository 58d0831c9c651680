//! `qoslab choose`: the cheapest QoS that meets the needs.

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};

use super::decision::ChoiceReport;
use super::files::writable_folder;
use super::options::{
    PrintOptions, RunOptions, parse_qos, parse_seeds, parse_setting, selection_flags,
};
use super::studies::{self, DrawOptions, PAGE_NAME};
use super::terminal::print_stderr;
use super::{exit, interrupt, load, study_setup};
use crate::base::qos::QoS;
use crate::report::{commands, escape};
use crate::scenario::Scenario;
use crate::scenario::axis::{Axis, Setting};
use crate::scenario::expect::Need;
use crate::sim::EventEngine;
use crate::study::choose::{BytePrice, ChoiceCriteria, Objective};
use crate::study::judge_trial::judge_trial;
use crate::study::manifest::Manifest;
use crate::study::plan::{Seeds, Selection};
use crate::study::runner::Runner;
use crate::study::store::{FILE_NAME, TrialStore};
use crate::study::sweep::StudyPlan;

const HELP: &str = "\
Examples:
  qoslab choose meter.toml --need \"lost <= 0\"
  qoslab choose meter.toml --need \"lost <= 1%\" --need \"latency.p99 <= 2s\" --minimise energy
  qoslab choose meter.toml --need \"lost <= 0\" --over client.meter.keep_alive=1m,5m,20m
  qoslab choose meter.toml --need \"lost <= 0\" --minimise money --price 0.40EUR/MB --fleet 5000

A need is METRIC <= BOUND, and holds for whichever level is chosen. Without --need, those of the
file's [expect] count. Of the options that meet all needs and whose promises hold the cheapest is
chosen. Levels are always compared, on the same luck: those of the file's list, or else QoS 0, 1 and
2; --over adds what else is.

Money counts all wire bytes on all links, as --minimise bytes does: both hops, resends, keep alive,
connecting, headers. A month has 30 days in which each device publishes at the scenario's mean rate.

Exit codes: 0 an answer; 1 nothing meets the needs; 2 wrong arguments or scenario; 3 inconclusive:
a trial did not drain; 130 interrupted; others as of qoslab run";

/// Find the cheapest QoS that meets the needs, by simulation, or say why none does.
///
/// It says how sure that is and where it would flip. Results go to reports/SCENARIO/choose/:
/// report.html, charts, choice.json, points.csv, trials.csv, results.json, and trials.store, from
/// which a choice that was stopped goes on.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(super) struct ChooseArguments {
    /// The scenario file
    #[arg(value_name = "SCENARIO")]
    scenario: PathBuf,

    /// What must hold, such as "lost <= 1%"; again for another
    #[arg(long, value_name = "NEED", help_heading = "What is wanted")]
    need: Vec<String>,
    /// What the best has least of, for each message
    #[arg(long, value_enum, default_value_t = Cost::Packets, help_heading = "What is wanted")]
    minimise: Cost,
    /// With --minimise money: what bytes cost, such as 0.40EUR/MB; also /kB and /GB
    #[arg(long, value_name = "PRICE", allow_hyphen_values = true, help_heading = "What is wanted")]
    price: Option<String>,
    /// With --minimise money: how many devices publish [default: as many as the scenario has]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000_000),
        help_heading = "What is wanted")]
    fleet: Option<u64>,

    /// Compare values of a field too: PATH=1s,5s; again for another. `qos` stands for the levels,
    /// which are always compared
    #[arg(long, value_name = "PATH=VALUES", help_heading = "What to compare")]
    over: Vec<String>,
    /// Compare these levels only: 1,2
    #[arg(long, value_name = "QOS", value_delimiter = ',', value_parser = parse_qos,
        help_heading = "What to compare")]
    qos: Vec<QoS>,
    /// Set a field of the file to another value
    #[arg(long, value_name = "PATH=VALUE", value_parser = parse_setting,
        help_heading = "What to compare")]
    set: Vec<Setting>,
    /// How many seeds, or which: 1000, or 1..50
    #[arg(long, value_name = "N or A..B", value_parser = parse_seeds, help_heading = "What to compare")]
    seeds: Option<Seeds>,

    #[command(flatten)]
    running: RunOptions,
    /// Simulate all of it again, whatever the folder holds
    #[arg(long, help_heading = "How to run")]
    fresh: bool,
    /// Only tell how many trials, events, bytes of memory and seconds it would take
    #[arg(long, help_heading = "How to run")]
    estimate: bool,

    /// Where the results go [default: reports/SCENARIO/choose]
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    out: Option<PathBuf>,
    #[command(flatten)]
    drawing: DrawOptions,
    #[command(flatten)]
    printing: PrintOptions,
}

/// What to have least of, for each message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Cost {
    /// Message packets on both hops
    Packets,
    /// All wire bytes
    Bytes,
    /// Joules of the clients' radios
    Energy,
    /// The price of all wire bytes
    Money,
}

/// Runs the trials and chooses, to the exit code.
///
/// # Errors
/// If something cannot be read or written, or nothing can be chosen by.
pub(super) fn execute(arguments: &ChooseArguments) -> anyhow::Result<u8> {
    let (printing, running) = (&arguments.printing, &arguments.running);
    let Some(scenario) = load::load_one(&arguments.scenario, &arguments.set, printing.color) else {
        return Ok(exit::USAGE);
    };
    let wanted = arguments.criteria(&scenario)?;
    let axes = arguments.axes()?;
    let pool = running.pool()?;
    let settings = [arguments.set.clone(), scenario.all_qos_settings()].concat();
    let values = study_setup::axis_combinations(&axes)?;
    let Some(cells) =
        study_setup::cell_scenarios(&scenario, &axes, values, running, printing, &pool)?
    else {
        return Ok(exit::USAGE);
    };
    let (seeds, qos) = (arguments.seeds, arguments.qos.clone());
    let selection = Selection { seeds, qos, ..Selection::default() };
    let plan = match StudyPlan::new(axes, cells, &selection) {
        Ok(plan) => plan,
        Err(error) => return Ok(study_setup::report_selection_error(&error)),
    };
    if arguments.estimate {
        study_setup::print_estimate(&scenario, &plan, &pool)?;
        return Ok(exit::HOLDS);
    }
    let own = || Path::new("reports").join(escape::file_name(&scenario.name)).join("choose");
    let folder = arguments.out.clone().unwrap_or_else(own);
    writable_folder(&folder)?;
    let path = folder.join(FILE_NAME);
    let mut store =
        if arguments.fresh { TrialStore::create(&path) } else { TrialStore::open(&path) }?;
    let command = arguments.command();
    let manifest = Manifest::new(&plan, settings, &selection, command.clone());
    store.write_manifest(&Manifest { criteria: Some(wanted.clone()), ..manifest })?;
    let stopped = || format!("the same command goes on where `{}` ends", path.display());
    let (mut study, seconds) =
        study_setup::simulate_study(plan, printing, &pool, &mut store).with_context(stopped)?;
    studies::store_timelines(&mut study, &mut store)?;
    let interrupt = interrupt::flag();
    let gate = Runner { pool: &pool, fail_fast: false, interrupt };
    let decided = ChoiceReport::new(&study, &wanted, &selection, |mut plan| {
        plan.cells.iter_mut().for_each(|(_, plan)| running.apply_overrides(&mut plan.scenario));
        gate.run_study(plan, &mut store, &|trial| judge_trial(&EventEngine, trial, interrupt), &())
    });
    store.finish()?;
    if interrupt.load(Ordering::SeqCst) {
        print_stderr(&format!("   Stopped before there is an answer: {}", stopped()));
        return Ok(exit::INTERRUPTED);
    }
    let decided = decided?;
    decided.write(&study, &wanted, &command, arguments.drawing, &folder)?;
    decided.print()?;
    studies::print_summary(&study, Some(seconds), &folder.join(PAGE_NAME));
    Ok(decided.exit_code(&study))
}

impl ChooseArguments {
    /// By what to choose, checked as far as no trial is needed for it.
    fn criteria(&self, scenario: &Scenario) -> anyhow::Result<ChoiceCriteria> {
        let needs = study_setup::parse_all("--need", &self.need, Need::parse)?;
        let price: Vec<String> = self.price.iter().cloned().collect();
        let price =
            study_setup::parse_all("--price", &price, |text| BytePrice::parse(text, self.fleet))?
                .pop();
        let objective = match (self.minimise, price) {
            (Cost::Money, Some(money)) => Objective::Money(money),
            (Cost::Money, None) => bail!(
                "--minimise money needs the price of bytes: add --price, such as --price \
                 0.40EUR/MB"
            ),
            (_, Some(_)) => bail!("a price is for --minimise money: add it, or leave --price out"),
            (_, None) if self.fleet.is_some() => {
                bail!("a fleet is for --minimise money: add it and --price, or leave --fleet out")
            }
            (Cost::Packets, None) => Objective::Packets,
            (Cost::Bytes, None) => Objective::Bytes,
            (Cost::Energy, None) => Objective::Energy,
        };
        let wanted = ChoiceCriteria::new(needs, scenario, objective);
        wanted
            .check(scenario)
            .map_err(|error| anyhow::anyhow!("{}", escape::terminal(&error.to_string())))?;
        Ok(wanted)
    }

    /// What is compared beside the levels.
    fn axes(&self) -> anyhow::Result<Vec<Axis>> {
        let others: Vec<String> =
            self.over.iter().filter(|axis| axis.trim() != "qos").cloned().collect();
        if let Some(levels) = others.iter().find(|axis| axis.trim_start().starts_with("qos=")) {
            let levels = escape::terminal(levels);
            bail!("--over {levels}: all levels are compared; use --qos for some of them");
        }
        let axes = study_setup::parse_all("--over", &others, Axis::parse)?;
        study_setup::refuse_set_axes(&axes, &self.set)?;
        Ok(axes)
    }

    /// The command, without what is this machine's alone.
    fn command(&self) -> String {
        let mut command =
            format!("qoslab choose {}", commands::quote_argument(&self.scenario.display()));
        let mut add = |option: &str, value: &dyn std::fmt::Display| {
            study_setup::push_option(&mut command, option, value);
        };
        self.need.iter().for_each(|need| add("need", need));
        if self.minimise != Cost::Packets {
            let name = self.minimise.to_possible_value();
            add("minimise", &name.map(|it| it.get_name().to_owned()).unwrap_or_default());
        }
        self.price.iter().for_each(|price| add("price", price));
        self.fleet.iter().for_each(|fleet| add("fleet", fleet));
        self.over.iter().for_each(|axis| add("over", axis));
        self.set.iter().for_each(|setting| add("set", setting));
        command + &selection_flags(self.seeds, &self.qos)
    }
}
