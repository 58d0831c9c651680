//! `qoslab sweep`: numbers over parameters.

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::{env, fs};

use anyhow::{Context, bail};
use clap::Args;
use clap::builder::PathBufValueParser;

#[cfg(feature = "parquet")]
use super::files::PendingFile;
use super::files::writable_folder;
use super::optional_feature::OptionalFeature;
use super::options::{PrintOptions, StudyOptions};
use super::progress::StudyProgress;
use super::selection::selection_flags;
use super::studies::{self, DrawOptions, PAGE_NAME, StudyReport};
use super::study_setup::Planned;
use super::terminal::{StandardOutput, print_stderr};
use super::{exit, interrupt, load, study_setup};
use crate::base::units::parse_percent;
use crate::report::{commands, comparison, escape};
use crate::scenario::{Axis, AxisValue, Problem, Scenario, parse_design};
use crate::study::store::FILE_NAME;
use crate::study::{Precision, Runner, Shard, ShardError, Study, StudyResult, StudyRun, baseline};

const EXAMPLES: &str = "\
Examples:
  qoslab sweep scenarios/lossy-uplink.toml --vary link.sensor.loss=0%..30%:5%
  qoslab sweep scenarios/half-open-nat.toml --vary client.valve-patient.keep_alive=1m,2m,5m \\
      --vary link.valve.nat_idle=90s,150s
  qoslab sweep FILE                       the axes of the file's [sweep]
  qoslab sweep FILE --points design.csv   the cells of a table
  qoslab sweep FILE --estimate            how much it would be, without running it
  qoslab sweep FILE --shard 3/64          one of 64 parts; qoslab merge joins them

A path names a field of the file: client.NAME.FIELD, link.NAME.FIELD, broker.FIELD, fault.1.FIELD.
A value is a list 1m,5m,20m or a range with a step 0%..30%:5% or a factor 16B..4KiB:x4. Workloads
that publish with one level are compared at QoS 0, 1 and 2, with the same random draws.";

/// Simulate a scenario at many values of its parameters, and print and write the numbers.
///
/// Needs are judged in each cell and do not fail a sweep; a broken promise does.
/// Results go to reports/SCENARIO/sweep/: report.html, charts, points.csv, trials.csv,
/// results.json, and trials.store, from which a sweep that was stopped goes on, and one with more
/// seeds or values runs only those.
#[derive(Debug, Args)]
#[command(after_help = concat_help())]
pub(super) struct SweepArguments {
    /// Vary a numeric field: PATH=0%..30%:5%, or PATH=1m,5m,20m; again for another axis
    #[arg(long, value_name = "PATH=VALUES", help_heading = "What to run")]
    vary: Vec<String>,
    /// Run the cells of a table instead: a CSV file with a column for each field, such as
    /// link.sensor.loss, and a row for each cell
    #[arg(long, value_name = "FILE", conflicts_with = "vary", help_heading = "What to run")]
    points: Option<PathBuf>,
    #[command(flatten, next_help_heading = "What to run")]
    study: StudyOptions,
    /// Add no more seeds to a cell when its 95 % intervals are this narrow, such as 1%
    #[arg(long, value_name = "PERCENT", value_parser = parse_precision,
        help_heading = "What to run")]
    precision: Option<Precision>,
    /// Run one part of several, such as 3/64, for `qoslab merge`; in an array job of Slurm or an
    /// indexed job of Kubernetes that sets `JOB_COMPLETIONS` it is read from the environment
    #[arg(long, value_name = "N/OF", help_heading = "What to run")]
    shard: Option<Shard>,

    /// Where the results go [default: reports/SCENARIO/sweep]
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    out: Option<PathBuf>,
    /// Tell what is different from an earlier sweep in another folder
    #[arg(long, value_name = "DIR", conflicts_with = "shard", help_heading = "Output")]
    baseline: Option<PathBuf>,
    /// Write the table of points as Apache Parquet too (needs a build with `--features parquet`)
    #[arg(long, value_name = "FILE", value_parser = parquet_file(), help_heading = "Output")]
    export_parquet: Option<PathBuf>,
    #[command(flatten)]
    drawing: DrawOptions,
    #[command(flatten)]
    printing: PrintOptions,
}

fn concat_help() -> String {
    format!("{EXAMPLES}\n\n{}", exit::HELP)
}

/// Runs the sweep and returns the exit code.
///
/// # Errors
/// If something cannot be read or written, or an axis is invalid.
pub(super) fn execute(arguments: &SweepArguments) -> anyhow::Result<u8> {
    let SweepArguments { study: options, printing, .. } = arguments;
    let Some(scenario) = load::load_one(&options.scenario, &options.selection.set, printing.color)
    else {
        return Ok(exit::USAGE);
    };
    let shard = arguments.shard()?;
    let axes = arguments.axes(&scenario)?;
    let pool = options.trials.pool()?;
    let limits = (arguments.precision, shard);
    let plan = match options.plan(&scenario, axes, limits, printing.color, &pool)? {
        Planned::Study(plan) => plan,
        Planned::Exit(code) => return Ok(code),
    };
    let folder = arguments.folder(&scenario, shard);
    writable_folder(&folder)?;
    let path = folder.join(FILE_NAME);
    let baseline = arguments.baseline.as_ref();
    let baseline = baseline.map(|it| baseline::open(it, Some(&path), plan.engine())).transpose()?;
    let run = StudyRun::of_cells(plan, &scenario, &options.selection.selection())
        .with_command(arguments.command())
        .with_storage(options.storage(path.clone()))
        .with_baseline(baseline);
    let overrides = options.trials.overrides();
    let runner = Runner { overrides, ..Runner::new(&pool, interrupt::install_handler()) };
    let mut progress = StudyProgress::new(printing);
    let result = runner.sweep(run, &mut progress).map_err(|error| {
        let stopped = format!("the sweep stopped; {}", study_setup::how_to_go_on(&path));
        study_setup::run_error(error, stopped)
    })?;
    arguments.report(&result, &folder, shard, progress.seconds)?;
    if interrupt::flag().load(Ordering::SeqCst) {
        return Ok(exit::INTERRUPTED);
    }
    // Unmet needs are a result of a sweep; a broken promise is a failure.
    Ok(exit::worst_code(result.study.points().map(|(_, point)| point.verdict())))
}

impl SweepArguments {
    /// The axes, and each cell's values.
    fn axes(&self, scenario: &Scenario) -> anyhow::Result<(Vec<Axis>, Vec<Vec<AxisValue>>)> {
        let (axes, cells) = if let Some(path) = &self.points {
            read_design_table(path)?
        } else {
            let axes = self.varied_axes(scenario)?;
            let cells = study_setup::axis_combinations(&axes)?;
            (axes, cells)
        };
        study_setup::refuse_set_axes(&axes, &self.study.selection.set)?;
        Ok((axes, cells))
    }

    fn varied_axes(&self, scenario: &Scenario) -> anyhow::Result<Vec<Axis>> {
        if self.vary.is_empty() && scenario.axes.is_empty() {
            bail!(
                "nothing is varied: use --vary PATH=VALUES, such as \
                 --vary link.NAME.loss=0%..30%:5%, or --points, or write [sweep] into the file"
            );
        }
        let given = study_setup::parse_all("--vary", &self.vary, Axis::parse)?;
        Ok(if given.is_empty() { scenario.axes.clone() } else { given })
    }

    /// Writes the files of the sweep and prints its tables.
    fn report(
        &self,
        result: &StudyResult,
        folder: &Path,
        shard: Option<Shard>,
        seconds: f64,
    ) -> anyhow::Result<()> {
        let StudyResult { study, baseline } = result;
        let printing = &self.printing;
        if let Some(shard) = shard {
            print_stderr(&format!(
                "   Shard {shard} is in {}: `qoslab merge` joins them",
                folder.display()
            ));
        } else {
            let command = self.command();
            let report = StudyReport::new(study, &command, self.drawing);
            StudyReport { baseline: baseline.as_ref(), ..report }.write(folder)?;
            self.export(study)?;
        }
        studies::print_tables(study, printing, &self.study.trials.flags())?;
        if let Some(baseline) = baseline {
            let style = printing.layout().style;
            StandardOutput::default().print(&format!("\n{}", comparison::text(baseline, style)))?;
        }
        let shown = if shard.is_some() { FILE_NAME } else { PAGE_NAME };
        studies::print_summary(study, Some(seconds), &folder.join(shown));
        Ok(())
    }

    /// The shard to run: as asked for, or from a scheduler's environment.
    fn shard(&self) -> anyhow::Result<Option<Shard>> {
        let shard = match (self.shard, Shard::from_environment(|name| env::var(name).ok())) {
            (Some(shard), _) => shard,
            (None, Err(ShardError::NoScheduler)) => return Ok(None),
            (None, found) => {
                let shard = found.context("failed to read which part of an array job this is")?;
                print_stderr(&format!("   Shard {shard}, as the scheduler's environment says"));
                shard
            }
        };
        Ok(Some(shard))
    }

    /// The results folder: a shard alone has a folder of its own.
    fn folder(&self, scenario: &Scenario, shard: Option<Shard>) -> PathBuf {
        if let Some(out) = &self.out {
            return out.clone();
        }
        let own = Path::new("reports").join(escape::file_name(&scenario.name)).join("sweep");
        shard.map_or_else(
            || own.clone(),
            |it| own.join("shards").join(format!("{}-of-{}", it.number(), it.count())),
        )
    }

    /// The command, without options that concern only this machine.
    fn command(&self) -> String {
        let mut command =
            format!("qoslab sweep {}", commands::quote_argument(&self.study.scenario.display()));
        let mut add = |option: &str, value: &dyn std::fmt::Display| {
            study_setup::push_option(&mut command, option, value);
        };
        self.points.iter().for_each(|path| add("points", &path.display()));
        self.vary.iter().for_each(|axis| add("vary", axis));
        self.study.selection.set.iter().for_each(|setting| add("set", setting));
        command.push_str(&selection_flags(&self.study.selection.selection()));
        if let Some(precision) = self.precision {
            let percent = precision.share() * 100.0;
            command.extend([" --precision ", &percent.to_string(), "%"]);
        }
        command
    }

    /// Writes the exports that were asked for.
    #[cfg(feature = "parquet")]
    fn export(&self, study: &Study) -> anyhow::Result<()> {
        let Some(path) = &self.export_parquet else { return Ok(()) };
        let points = crate::report::columns::points(std::slice::from_ref(study));
        PendingFile::open(path)?.write(&crate::report::parquet::table(&points)?)
    }

    /// Without the feature there are no exports: the option was refused before.
    #[cfg(not(feature = "parquet"))]
    fn export(&self, _: &Study) -> anyhow::Result<()> {
        anyhow::ensure!(self.export_parquet.is_none(), "built without the feature `parquet`");
        Ok(())
    }
}

/// Parser of the option `--export-parquet`.
fn parquet_file() -> OptionalFeature<PathBufValueParser> {
    OptionalFeature {
        parser: PathBufValueParser::new(),
        option: "--export-parquet",
        feature: "parquet",
        is_built: cfg!(feature = "parquet"),
        needs_it: |_| true,
    }
}

/// The cells of a table.
fn read_design_table(path: &Path) -> anyhow::Result<(Vec<Axis>, Vec<Vec<AxisValue>>)> {
    let shown = path.display();
    let text = fs::read_to_string(path).with_context(|| format!("failed to read `{shown}`"))?;
    parse_design(&text).map_err(|problem| {
        let label = escape::terminal(&problem.label).into_owned();
        anyhow::anyhow!("`{shown}` {}", study_setup::problem_text(&Problem { label, ..problem }))
    })
}

/// Reads a precision such as `1%`.
fn parse_precision(text: &str) -> Result<Precision, String> {
    let percent = parse_percent(text).map_err(|error| error.to_string())?;
    let wrong = || "write a percentage above 0 and below 100, such as 1%".to_owned();
    Precision::new(percent / 100.0).ok_or_else(wrong)
}
