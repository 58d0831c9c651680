//! `qoslab sweep`: numbers over parameters.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use anyhow::{Context, bail};
use clap::Args;
use rayon::ThreadPool;

use super::files::{Pending, writable_folder};
use super::options::{Printing, Running, qos, seeds, setting};
use super::progress::{Progress, Told};
use super::terminal::{Output, note, style};
use super::{exit, interrupt, load};
use crate::base::qos::QoS;
use crate::base::units::{format_bytes, format_count};
use crate::report::{columns, escape, failure, json, number, table};
use crate::scenario::axis::{Axis, AxisValue, Setting};
use crate::scenario::{Scenario, grid};
use crate::study::gate::Gate;
use crate::study::judge::judge_trial;
use crate::study::plan::{MOST_TRIALS, Plan, Seeds, Selection, plan};
use crate::study::result::{ScenarioResult, Verdict};
use crate::study::sweep::{Cell, Study};

const EXAMPLES: &str = "\
Examples:
  qoslab sweep lossy.toml --vary link.sensor.loss=0%..30%:5%
  qoslab sweep meter.toml --vary client.meter.keep_alive=1m,5m,20m --vary link.meter.nat_idle=2m,10m
  qoslab sweep lossy.toml              the axes of the file's [sweep]
  qoslab sweep lossy.toml --estimate   how much it would be, without running it

A path names a field of the file: client.NAME.FIELD, link.NAME.FIELD, broker.FIELD, fault.1.FIELD.
A value is a list 1m,5m,20m or a range with a step 0%..30%:5% or a factor 16B..4KiB:x4. Workloads
that publish with one level are compared at QoS 0, 1 and 2, on the same luck.";

/// Simulate a scenario at many values of its parameters, and print and write the numbers.
///
/// Needs are judged in each cell and do not fail a sweep; a broken promise does.
/// Results go to reports/SCENARIO/sweep/: points.csv, trials.csv and results.json.
#[derive(Debug, Args)]
#[command(after_help = concat_help())]
pub(super) struct Arguments {
    /// The scenario file
    #[arg(value_name = "SCENARIO")]
    scenario: PathBuf,

    /// Vary a numeric field: PATH=0%..30%:5%, or PATH=1m,5m,20m; again for another axis
    #[arg(long, value_name = "PATH=VALUES", help_heading = "What to run")]
    vary: Vec<String>,
    /// Set a field of the file to another value in all cells
    #[arg(long, value_name = "PATH=VALUE", value_parser = setting, help_heading = "What to run")]
    set: Vec<Setting>,
    /// How many seeds, or which: 1000, or 1..50
    #[arg(long, value_name = "N or A..B", value_parser = seeds, help_heading = "What to run")]
    seeds: Option<Seeds>,
    /// Publish with these levels only: 2, or 0,1
    #[arg(long, value_name = "QOS", value_delimiter = ',', value_parser = qos,
        help_heading = "What to run")]
    qos: Vec<QoS>,

    #[command(flatten)]
    running: Running,
    /// Only tell how many trials, events and bytes of memory it would take
    #[arg(long, help_heading = "How to run")]
    estimate: bool,

    /// Where the results go [default: reports/SCENARIO/sweep]
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    out: Option<PathBuf>,
    /// Write the table of points as Apache Parquet too
    #[cfg(feature = "parquet")]
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    export_parquet: Option<PathBuf>,
    #[command(flatten)]
    printing: Printing,
}

fn concat_help() -> String {
    format!("{EXAMPLES}\n\n{}", exit::HELP)
}

/// Runs the sweep, to the exit code.
///
/// # Errors
/// If something cannot be read or written, or an axis is none.
pub(super) fn execute(arguments: &Arguments) -> anyhow::Result<u8> {
    let Some(scenario) = load::one(&arguments.scenario, &arguments.set, arguments.printing.color)
    else {
        return Ok(exit::USAGE);
    };
    let axes = arguments.axes(&scenario)?;
    let pool = arguments.running.pool()?;
    let Some(cells) = arguments.cells(&scenario, &axes, &pool)? else { return Ok(exit::USAGE) };
    if cells.iter().all(|(_, plan)| plan.trials.is_empty()) {
        note("error: no trial is selected");
        return Ok(exit::NOTHING);
    }
    if arguments.estimate {
        estimate(&scenario, &cells)?;
        return Ok(exit::HOLDS);
    }
    let files = Files::open(arguments, &scenario)?;
    let (values, plans): (Vec<_>, Vec<_>) = cells.into_iter().unzip();
    let (results, seconds) = simulate(arguments, &pool, plans);
    let cells = values.into_iter().zip(results).map(|(values, result)| Cell { values, result });
    let study = Study { axes, cells: cells.collect(), timelines: Vec::new() };
    let folder = files.folder.clone();
    files.write(&study)?;
    print(arguments, &study)?;
    let trials: usize = study.cells.iter().map(|cell| cell.result.finished).sum();
    let runs = number::counted(trials as u64, "run");
    let cells = number::counted(study.cells.len() as u64, "cell");
    note(&format!("\n   Summary [{seconds:>6.2}s] {runs} of {cells}"));
    note(&format!("           results: {}", folder.display()));
    if interrupt::flag().load(Ordering::SeqCst) {
        return Ok(exit::INTERRUPTED);
    }
    // Whether a need is met is what a sweep is to find out; a broken promise is a failure.
    Ok(exit::worst(study.points().map(|(_, point)| point.verdict())))
}

/// The values of a cell, and what is to run there.
type Planned = (Vec<AxisValue>, Plan);

impl Arguments {
    fn axes(&self, scenario: &Scenario) -> anyhow::Result<Vec<Axis>> {
        if self.vary.is_empty() && scenario.axes.is_empty() {
            bail!(
                "nothing is varied: use --vary PATH=VALUES, such as --vary link.NAME.loss=0%..30%:5%, \
                 or write [sweep] into the file"
            );
        }
        let mut axes = Vec::new();
        for text in &self.vary {
            let axis = Axis::parse(text).map_err(|problem| {
                let help = if problem.help.is_empty() { String::new() } else { "\n".to_owned() };
                let text = escape::terminal(text);
                let help = format!("{help}{}", problem.help);
                anyhow::anyhow!("--vary {text} {}: {}{help}", problem.what, problem.label)
            })?;
            axes.push(axis);
        }
        let axes = if axes.is_empty() { scenario.axes.clone() } else { axes };
        if let Some(axis) = axes.iter().find(|axis| self.set.iter().any(|it| it.path == axis.path))
        {
            bail!("`{}` is both set and varied: leave one out", escape::terminal(&axis.path));
        }
        Ok(axes)
    }

    /// The plan of each cell; `None` if a scenario is wrong, which has been told by then.
    fn cells(
        &self,
        scenario: &Scenario,
        axes: &[Axis],
        pool: &ThreadPool,
    ) -> anyhow::Result<Option<Vec<Planned>>> {
        let grid = grid(axes)
            .map_err(|problem| anyhow::anyhow!("the sweep {}: {}", problem.what, problem.label))?;
        let selection =
            Selection { seeds: self.seeds, qos: self.qos.clone(), ..Selection::default() };
        let mut cells = Vec::with_capacity(grid.len());
        let mut trials = 0;
        for values in grid {
            let pairs = axes.iter().zip(&values);
            let mut settings = scenario.every_qos();
            settings.extend(pairs.map(|(axis, value)| axis.setting(value)));
            let mut cell = match scenario.with(&settings) {
                Ok(cell) => cell,
                Err(diagnostics) => {
                    note(&diagnostics.render(style(self.printing.color, &io::stderr()).colour));
                    return Ok(None);
                }
            };
            self.running.overrule(&mut cell);
            self.running.refuse_larger(&cell, pool)?;
            let mut plans = plan(vec![cell], &selection)?;
            let mut plan = plans.pop().context("no trial is selected")?;
            // One cell need not show all that the whole scenario shows.
            plan.narrowed = true;
            trials += plan.trials.len() as u64;
            if trials > MOST_TRIALS {
                let most = format_count(MOST_TRIALS);
                bail!("the sweep has more than {most} runs: choose fewer values or seeds");
            }
            cells.push((values, plan));
        }
        Ok(Some(cells))
    }
}

/// Tells how much it would be.
fn estimate(scenario: &Scenario, cells: &[Planned]) -> anyhow::Result<()> {
    let (mut trials, mut packets, mut events, mut memory) = (0, 0, 0, 0);
    for (_, plan) in cells {
        let estimate = plan.scenario.estimate(1);
        // The scenario's own number of seeds is in its estimate.
        let all = plan.scenario.points.len() as u64 * u64::from(plan.scenario.seed_count);
        let share = |number: u64| number / all.max(1) * plan.trials.len() as u64;
        trials += plan.trials.len() as u64;
        packets += share(estimate.packets);
        events += share(estimate.events);
        memory = memory.max(estimate.memory);
    }
    Output::default().print(&format!(
        "{}: {} of {}; at most about {}, {}, {} a job\n",
        escape::terminal(&scenario.path),
        number::counted(trials, "run"),
        number::counted(cells.len() as u64, "cell"),
        number::counted(packets, "packet"),
        number::counted(events, "event"),
        format_bytes(memory),
    ))
}

fn simulate(
    arguments: &Arguments,
    pool: &ThreadPool,
    plans: Vec<Plan>,
) -> (Vec<ScenarioResult>, f64) {
    let interrupt = interrupt::watch();
    let total: usize = plans.iter().map(|plan| plan.trials.len()).sum();
    let printing = &arguments.printing;
    if !printing.quiet {
        let runs = number::counted(total as u64, "run");
        let cells = number::counted(plans.len() as u64, "cell");
        let jobs = number::counted(pool.current_num_threads() as u64, "job");
        note(&format!("  Starting {runs} of {cells} ({jobs})"));
    }
    let style = style(printing.color, &io::stderr());
    let total = total as u64;
    let progress = Progress::start(total, printing.progress, printing.quiet, Told::Nothing, style);
    let gate = Gate { pool, fail_fast: false, interrupt };
    let results = gate.run(plans, &|trial| judge_trial(trial, interrupt), &progress);
    (results, progress.finish())
}

fn print(arguments: &Arguments, study: &Study) -> anyhow::Result<()> {
    let layout = arguments.printing.layout();
    let mut output = Output::default();
    if !arguments.printing.quiet {
        output.print(&format!("\n{}", table::sweep(study, layout)))?;
    }
    let flags = arguments.running.flags();
    let failed = study
        .cells
        .iter()
        .filter(|cell| cell.result.points.iter().any(|point| point.verdict() != Verdict::Holds));
    for cell in failed {
        let failures = failure::failures(&cell.result, &flags, layout.style);
        output.print(&format!("\n{failures}"))?;
    }
    Ok(())
}

/// The files of a sweep, opened before the work so that a bad path fails at once.
#[derive(Debug)]
struct Files {
    folder: PathBuf,
    #[cfg(feature = "parquet")]
    parquet: Option<Pending>,
}

impl Files {
    fn open(arguments: &Arguments, scenario: &Scenario) -> anyhow::Result<Self> {
        let own = || Path::new("reports").join(escape::file_name(&scenario.name)).join("sweep");
        let folder = arguments.out.clone().unwrap_or_else(own);
        writable_folder(&folder)?;
        Ok(Self {
            folder,
            #[cfg(feature = "parquet")]
            parquet: arguments.export_parquet.as_deref().map(Pending::open).transpose()?,
        })
    }

    fn write(self, study: &Study) -> anyhow::Result<()> {
        let write = |name, bytes: Vec<u8>| Pending::open(&self.folder.join(name))?.write(&bytes);
        let points = columns::points(std::slice::from_ref(study));
        write("results.json", json::study(study))?;
        write("points.csv", points.csv())?;
        write("trials.csv", columns::trials(study).csv())?;
        #[cfg(feature = "parquet")]
        if let Some(file) = self.parquet {
            file.write(&crate::report::parquet::table(&points)?)?;
        }
        Ok(())
    }
}
