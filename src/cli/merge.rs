//! `qoslab merge` and `qoslab report`: studies that were simulated before.

use std::path::{Path, PathBuf};

use anyhow::bail;
use clap::Args;

use super::artifacts::{self, begin_failures, write_failures};
use super::decision::ChoiceReport;
use super::files::writable_folder;
use super::options::PrintOptions;
use super::studies::{self, DrawOptions, PAGE_NAME, StudyReport};
use super::{exit, interrupt};
use crate::scenario::Scenario;
use crate::sim::EngineKind;
use crate::study::store::{FILE_NAME, TrialStore};
use crate::study::{Failure, OutputError, RunOutput, Runner, ShrinkSize, ThreadPool};

const EXAMPLES: &str = "\
Examples:
  parallel qoslab sweep s.toml --shard {}/4 --out shards/{} ::: 1 2 3 4
  qoslab merge shards/* --out reports/joined";

/// Join the shards of a sweep into the results of the whole.
///
/// The joined files are the same, byte for byte, as if one machine had run the sweep. Shards that
/// are missing, stand there twice, or belong to another sweep, model or version are refused.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct MergeArguments {
    /// The shards' folders, or their stores
    #[arg(required = true, value_name = "DIR")]
    shards: Vec<PathBuf>,
    /// Where the joined results go
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    #[command(flatten)]
    drawing: DrawOptions,
    #[command(flatten)]
    printing: PrintOptions,
}

/// Write the files of a sweep or a choice again from its trial store, without simulating.
#[derive(Debug, Args)]
pub(super) struct ReportArguments {
    /// The folder of a sweep or a choice
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Where the files go [default: the same folder]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    #[command(flatten)]
    drawing: DrawOptions,
    #[command(flatten)]
    printing: PrintOptions,
}

/// Joins shards and returns the exit code.
///
/// # Errors
/// If they are not the shards of one sweep, or something cannot be read or written.
pub(super) fn execute_merge(arguments: &MergeArguments) -> anyhow::Result<u8> {
    let stores = arguments.shards.iter().map(|shard| store_path(shard));
    let stores = stores.collect::<anyhow::Result<Vec<PathBuf>>>()?;
    let joined = arguments.out.join(FILE_NAME);
    if stores.iter().any(|store| same_file::is_same_file(store, &joined).unwrap_or(false)) {
        bail!("`{}` is one of the shards: join them elsewhere", arguments.out.display());
    }
    writable_folder(&arguments.out)?;
    Runner::new(&ThreadPool::new(Some(1))?, interrupt::flag()).merge(&stores, &joined)?;
    write_report(&joined, &arguments.out, arguments.drawing, &arguments.printing)
}

/// Writes the files again and returns the exit code.
///
/// # Errors
/// If the store cannot be read, or the files not be written.
pub(super) fn execute_report(arguments: &ReportArguments) -> anyhow::Result<u8> {
    let store = store_path(&arguments.folder)?;
    let out = arguments.out.as_ref().unwrap_or(&arguments.folder);
    if arguments.out.is_some() {
        writable_folder(out)?;
    }
    write_report(&store, out, arguments.drawing, &arguments.printing)
}

fn write_report(
    store: &Path,
    out: &Path,
    drawing: DrawOptions,
    printing: &PrintOptions,
) -> anyhow::Result<u8> {
    let pool = ThreadPool::new(Some(1))?;
    let runner = Runner::new(&pool, interrupt::flag());
    let folder = store.parent().unwrap_or(Path::new("."));
    let mut store = TrialStore::read(store)?;
    let (mut study, manifest) = runner.load(&mut store)?;
    let command = &manifest.command;
    if let Some(criteria) = &manifest.criteria {
        let chosen = runner.load_choice(study, &manifest, criteria, &mut store);
        let report = ChoiceReport::new(chosen)?;
        report.write(criteria, command, drawing, out)?;
        report.print()?;
        studies::print_summary(report.study(), None, &out.join(PAGE_NAME));
        return Ok(report.exit_code());
    }
    // Failures that were shrunk are shrunk again: their ladders are not in the store.
    if let [cell] = &mut study.cells[..]
        && folder.join(artifacts::FAILURES_FOLDER).exists()
    {
        interrupt::install_handler();
        let mut failures = FailureOutput { report_folder: out, is_quiet: printing.quiet };
        runner.shrink_failures(&mut cell.result, &mut failures)?;
    }
    StudyReport::new(&study, command, drawing).write(out)?;
    studies::print_tables(&study, printing, "")?;
    studies::print_summary(&study, None, &out.join(PAGE_NAME));
    Ok(exit::worst_code(study.points().map(|(_, point)| point.verdict())))
}

/// Output of failures that are shrunk once more.
struct FailureOutput<'a> {
    report_folder: &'a Path,
    is_quiet: bool,
}

impl RunOutput for FailureOutput<'_> {
    fn shrinking(&mut self, _: &Scenario, size: ShrinkSize) -> Result<(), OutputError> {
        Ok(begin_failures(Some(self.report_folder), size, self.is_quiet)?)
    }

    fn failure_minimised(
        &mut self,
        scenario: &Scenario,
        engine: EngineKind,
        failure: &mut Failure,
    ) -> Result<(), OutputError> {
        Ok(write_failures(self.report_folder, scenario, engine, failure, "")?)
    }
}

/// The store in a folder of results, or the path itself where it is a file.
fn store_path(path: &Path) -> anyhow::Result<PathBuf> {
    if !path.is_dir() {
        return Ok(path.to_owned());
    }
    let store = path.join(FILE_NAME);
    if !store.exists() {
        bail!("`{}` has no results of qoslab: there is no {FILE_NAME} in it", path.display());
    }
    Ok(store)
}
