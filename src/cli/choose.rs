//! `qoslab choose`: the cheapest QoS that meets the needs.

use std::path::{Path, PathBuf};

use anyhow::bail;
use clap::{Args, ValueEnum};

use super::decision::ChoiceReport;
use super::files::writable_folder;
use super::options::{PrintOptions, StudyOptions};
use super::progress::StudyProgress;
use super::selection::selection_flags;
use super::studies::{self, DrawOptions, PAGE_NAME};
use super::study_setup::Planned;
use super::terminal::print_stderr;
use super::{exit, interrupt, load, study_setup};
use crate::report::{commands, escape};
use crate::scenario::{Axis, BytePrice, Need, Scenario, Setting};
use crate::study::choose::{ChoiceCriteria, Objective};
use crate::study::store::FILE_NAME;
use crate::study::{RunError, Runner, StudyRun};

const HELP: &str = "\
Examples:
  qoslab choose scenarios/lossy-uplink.toml --need \"lost <= 0\"
  qoslab choose FILE --need \"lost <= 1%\" --need \"latency.p99 <= 2s\" --minimise energy
  qoslab choose FILE --need \"lost <= 0\" --over client.meter.keep_alive=1m,5m,20m
  qoslab choose FILE --need \"lost <= 0\" --minimise money --price 0.40EUR/MB --fleet 5000

A need is METRIC <= BOUND, and holds for whichever level is chosen. Without --need, those of the
file's [expect] count. Of the options that meet all needs and whose promises hold the cheapest is
chosen. Levels are always compared, with the same random draws: those of the file's list, or else
QoS 0, 1 and 2; --over adds what else is.

Money counts what devices send and receive on links with a price (`price` on a [[link]], or
--price), from the start of the traffic: resends, keep alive, connecting again, acknowledgements,
headers. Billed are the devices of such a link that publish, or all of it if none does. A month has
30 days in which each device publishes at the scenario's mean rate.

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
    /// What must hold, such as "lost <= 1%"; again for another
    #[arg(long, value_name = "NEED", help_heading = "What is wanted")]
    need: Vec<String>,
    /// What the best has least of, for each message
    #[arg(long, value_enum, default_value_t = Cost::Packets, help_heading = "What is wanted")]
    minimise: Cost,
    /// What bytes cost, such as 0.40EUR/MB (also /kB and /GB), on the links of devices that
    /// publish; or on one link, by its name: meter-*=0.40EUR/MB; again for another
    #[arg(
        long,
        value_name = "[LINK=]PRICE",
        allow_hyphen_values = true,
        help_heading = "What is wanted"
    )]
    price: Vec<String>,
    /// With --minimise money: how many devices pay [default: as many as the scenario bills]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000_000),
        help_heading = "What is wanted")]
    fleet: Option<u64>,

    /// Compare values of a field too: PATH=1s,5s; again for another. `qos` stands for the levels,
    /// which are always compared
    #[arg(long, value_name = "PATH=VALUES", help_heading = "What to compare")]
    over: Vec<String>,
    #[command(flatten, next_help_heading = "What to compare")]
    study: StudyOptions,

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
    /// The price of what the billed devices send and receive
    Money,
}

/// Runs the trials, chooses and returns the exit code.
///
/// # Errors
/// If something cannot be read or written, or there are no criteria to choose by.
pub(super) fn execute(arguments: &ChooseArguments) -> anyhow::Result<u8> {
    let ChooseArguments { study: options, printing, .. } = arguments;
    let Some(unpriced) = load::load_one(&options.scenario, &options.selection.set, printing.color)
    else {
        return Ok(exit::USAGE);
    };
    let prices = arguments.price_settings(&unpriced)?;
    let scenario = if prices.is_empty() { Ok(unpriced) } else { unpriced.with_settings(&prices) };
    let scenario = match scenario {
        Ok(scenario) => scenario,
        Err(errors) => {
            load::print_diagnostics(&errors, printing.color);
            return Ok(exit::USAGE);
        }
    };
    let criteria = arguments.criteria(&scenario)?;
    let axes = arguments.axes()?;
    let pool = options.trials.pool()?;
    let values = study_setup::axis_combinations(&axes)?;
    let no_limits = (None, None);
    let planned = options.plan(&scenario, (axes, values), no_limits, printing.color, &pool)?;
    let plan = match planned {
        Planned::Study(plan) => plan,
        Planned::Exit(code) => return Ok(code),
    };
    let folder = arguments.folder(&scenario);
    writable_folder(&folder)?;
    let path = folder.join(FILE_NAME);
    let (command, selection) = (arguments.command(), options.selection.selection());
    let run = StudyRun::of_cells(plan, &scenario, &selection)
        .with_command(command.clone())
        .with_storage(options.storage(path.clone()));
    let overrides = options.trials.overrides();
    let runner = Runner { overrides, ..Runner::new(&pool, interrupt::install_handler()) };
    let mut progress = StudyProgress::new(printing);
    let how_to_go_on = study_setup::how_to_go_on(&path);
    let report = match runner.choose(run, &criteria, &selection, &mut progress) {
        Err(RunError::Interrupted) => {
            print_stderr(&format!("   Stopped before there is an answer: {how_to_go_on}"));
            return Ok(exit::INTERRUPTED);
        }
        Err(error @ RunError::Stopped(_)) => {
            return Err(study_setup::run_error(error, how_to_go_on));
        }
        chosen => ChoiceReport::new(chosen)?,
    };
    report.write(&criteria, &command, arguments.drawing, &folder)?;
    report.print()?;
    studies::print_summary(report.study(), Some(progress.seconds), &folder.join(PAGE_NAME));
    Ok(report.exit_code())
}

impl ChooseArguments {
    /// The criteria of the choice, checked as far as no trial is needed for it.
    fn criteria(&self, scenario: &Scenario) -> anyhow::Result<ChoiceCriteria> {
        let needs = study_setup::parse_all("--need", &self.need, Need::parse)?;
        let objective = match self.minimise {
            Cost::Money => Objective::Money { fleet: self.fleet },
            _ if self.fleet.is_some() => {
                bail!("a fleet is for --minimise money: add it, or leave --fleet out")
            }
            Cost::Packets => Objective::Packets,
            Cost::Bytes => Objective::Bytes,
            Cost::Energy => Objective::Energy,
        };
        let wanted = ChoiceCriteria::new(needs, scenario, objective);
        wanted
            .check(scenario)
            .map_err(|error| anyhow::anyhow!("{}", escape::terminal(&error.to_string())))?;
        Ok(wanted)
    }

    /// The prices of the command, as fields of links.
    fn price_settings(&self, scenario: &Scenario) -> anyhow::Result<Vec<Setting>> {
        let split = |text: &str| match text.rsplit_once('=') {
            Some((link, price)) => (Some(link.trim().to_owned()), price.to_owned()),
            None => (None, text.to_owned()),
        };
        let read = |text: &str| {
            let (link, price) = split(text);
            BytePrice::parse(&price)?;
            scenario.price_settings(link.as_deref(), &price)
        };
        Ok(study_setup::parse_all("--price", &self.price, read)?.concat())
    }

    /// The results folder.
    fn folder(&self, scenario: &Scenario) -> PathBuf {
        let own = || Path::new("reports").join(escape::file_name(&scenario.name)).join("choose");
        self.out.clone().unwrap_or_else(own)
    }

    /// The fields that are compared besides the levels.
    fn axes(&self) -> anyhow::Result<Vec<Axis>> {
        let others: Vec<String> =
            self.over.iter().filter(|axis| axis.trim() != "qos").cloned().collect();
        if let Some(levels) = others.iter().find(|axis| axis.trim_start().starts_with("qos=")) {
            let levels = escape::terminal(levels);
            bail!("--over {levels}: all levels are compared; use --qos for some of them");
        }
        let axes = study_setup::parse_all("--over", &others, Axis::parse)?;
        study_setup::refuse_set_axes(&axes, &self.study.selection.set)?;
        Ok(axes)
    }

    /// The command, without options that concern only this machine.
    fn command(&self) -> String {
        let mut command =
            format!("qoslab choose {}", commands::quote_argument(&self.study.scenario.display()));
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
        self.study.selection.set.iter().for_each(|setting| add("set", setting));
        command + &selection_flags(&self.study.selection.selection())
    }
}
