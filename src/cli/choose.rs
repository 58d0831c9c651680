//! `qoslab choose`: the cheapest QoS that meets the needs.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};

use super::files::{Pending, writable_folder};
use super::options::{Printing, Running, seeds, setting};
use super::progress::{Progress, Told};
use super::terminal::{Output, note, style};
use super::{exit, interrupt, load};
use crate::report::{choice, columns, escape};
use crate::scenario::axis::{Axis, Setting};
use crate::scenario::expect::Need;
use crate::scenario::grid;
use crate::scenario::problem::Problem;
use crate::study::choose::{self, Objective};
use crate::study::gate::Gate;
use crate::study::judge::judge_trial;
use crate::study::plan::{MOST_TRIALS, Seeds, Selection, plan};
use crate::study::result::Verdict;
use crate::study::sweep::{Cell, Study};

const HELP: &str = "\
Examples:
  qoslab choose meter.toml --need \"lost <= 0\"
  qoslab choose meter.toml --need \"lost <= 1%\" --need \"latency.p99 <= 2s\" --minimise energy
  qoslab choose meter.toml --need \"qos1.duplicated <= 1%\" --over client.meter.retry=1s,5s

A need is METRIC <= BOUND, of each level, or of one with qos0., qos1. or qos2. before it; those of
the file's [expect] count too. Of the levels that meet all needs the cheapest is chosen.

Exit codes: 0 an answer; 1 nothing meets the needs; 2 wrong arguments or scenario; 130 interrupted";

/// Find the cheapest QoS that meets the needs, by simulation, or say why none does.
///
/// Results go to reports/SCENARIO/choose/: choice.json and points.csv.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(super) struct Arguments {
    /// The scenario file
    #[arg(value_name = "SCENARIO")]
    scenario: PathBuf,
    /// What must hold, such as "lost <= 1%"; again for another
    #[arg(long, value_name = "NEED")]
    need: Vec<String>,
    /// What the best has least of
    #[arg(long, value_enum, default_value_t = Cost::Packets)]
    minimise: Cost,
    /// Compare values of a field too: PATH=1s,5s; again for another
    #[arg(long, value_name = "PATH=VALUES")]
    over: Vec<String>,
    /// Set a field of the file to another value
    #[arg(long, value_name = "PATH=VALUE", value_parser = setting)]
    set: Vec<Setting>,
    /// How many seeds, or which: 1000, or 1..50
    #[arg(long, value_name = "N or A..B", value_parser = seeds)]
    seeds: Option<Seeds>,
    /// Where the results go [default: reports/SCENARIO/choose]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    #[command(flatten)]
    running: Running,
    #[command(flatten)]
    printing: Printing,
}

/// What to have least of, for each message.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Cost {
    /// Message packets on both hops
    Packets,
    /// All wire bytes
    Bytes,
    /// Joules of the clients' radios
    Energy,
}

/// Runs the trials and chooses, to the exit code.
///
/// # Errors
/// If something cannot be read or written, or nothing can be chosen by.
pub(super) fn execute(arguments: &Arguments) -> anyhow::Result<u8> {
    let Some(scenario) = load::one(&arguments.scenario, &arguments.set, arguments.printing.color)
    else {
        return Ok(exit::USAGE);
    };
    let needs: Vec<Need> = read("--need", &arguments.need, Need::parse)?;
    let axes: Vec<Axis> = read("--over", &arguments.over, Axis::parse)?;
    if needs.is_empty() && scenario.expect.needs.is_empty() {
        return Err(choose::ChooseError::NoNeed.into());
    }
    let pool = arguments.running.pool()?;
    let cells = grid(&axes).map_err(|problem| anyhow::anyhow!("{}", told(&problem)))?;
    let selection = Selection { seeds: arguments.seeds, ..Selection::default() };
    let (mut values, mut plans) = (Vec::new(), Vec::new());
    let mut trials = 0;
    for cell in cells {
        let mut settings = scenario.every_qos();
        settings.extend(axes.iter().zip(&cell).map(|(axis, value)| axis.setting(value)));
        let mut one = match scenario.with(&settings) {
            Ok(one) => one,
            Err(wrong) => {
                note(&wrong.render(style(arguments.printing.color, &io::stderr()).colour));
                return Ok(exit::USAGE);
            }
        };
        arguments.running.overrule(&mut one);
        arguments.running.refuse_larger(&one, &pool)?;
        let mut plan = plan(vec![one], &selection)?.pop().context("no trial is selected")?;
        plan.narrowed = true;
        trials += plan.trials.len() as u64;
        if trials > MOST_TRIALS {
            bail!("there are too many runs: choose fewer values or seeds");
        }
        values.push(cell);
        plans.push(plan);
    }
    let own = || Path::new("reports").join(escape::file_name(&scenario.name)).join("choose");
    let folder = arguments.out.clone().unwrap_or_else(own);
    writable_folder(&folder)?;
    let interrupt = interrupt::watch();
    let printing = &arguments.printing;
    let style = style(printing.color, &io::stderr());
    let progress = Progress::start(trials, printing.progress, printing.quiet, Told::Nothing, style);
    let gate = Gate { pool: &pool, fail_fast: false, interrupt };
    let results = gate.run(plans, &|trial| judge_trial(trial, interrupt), &progress);
    progress.finish();
    if interrupt::flag().load(Ordering::SeqCst) {
        return Ok(exit::INTERRUPTED);
    }
    let cells = values.into_iter().zip(results).map(|(values, result)| Cell { values, result });
    let study = Study { axes, cells: cells.collect(), timelines: Vec::new() };
    tell(arguments, &study, &needs, &folder)
}

fn tell(arguments: &Arguments, study: &Study, needs: &[Need], folder: &Path) -> anyhow::Result<u8> {
    let objective = match arguments.minimise {
        Cost::Packets => Objective::Packets,
        Cost::Bytes => Objective::Bytes,
        Cost::Energy => Objective::Energy,
    };
    let chosen = choose::choose(study, needs, objective)
        .map_err(|error| anyhow::anyhow!("{}", escape::terminal(&error.to_string())))?;
    let write = |name, bytes: Vec<u8>| Pending::open(&folder.join(name))?.write(&bytes);
    write("choice.json", choice::json(&chosen))?;
    write("points.csv", columns::points(std::slice::from_ref(study)).csv())?;
    Output::default().print(&choice::text(&chosen))?;
    note(&format!("results: {}", folder.display()));
    let worst = study.points().map(|(_, point)| point.verdict()).max();
    Ok(match (worst, chosen.best) {
        (Some(Verdict::Bug), _) => exit::BUG,
        (Some(Verdict::NotDeterministic), _) => exit::NOT_DETERMINISTIC,
        (_, Some(_)) => exit::HOLDS,
        (_, None) => exit::VIOLATED,
    })
}

fn read<T>(
    option: &str,
    texts: &[String],
    parse: fn(&str) -> Result<T, Problem>,
) -> anyhow::Result<Vec<T>> {
    let each = texts.iter().map(|text| {
        let shown = escape::terminal(text);
        parse(text).map_err(|problem| anyhow::anyhow!("{option} `{shown}` {}", told(&problem)))
    });
    each.collect()
}

fn told(problem: &Problem) -> String {
    let help = if problem.help.is_empty() { String::new() } else { format!("\n{}", problem.help) };
    format!("{}: {}{help}", problem.what, problem.label)
}
