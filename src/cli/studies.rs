//! What the commands on studies share: the folder of a study, and what is printed of it.

use std::path::Path;
use std::sync::atomic::Ordering;

use anyhow::{Context, bail};
use clap::Args;
use clap::builder::{BoolValueParser, TypedValueParser};

use super::files::{PendingFile, writable_folder};
use super::github::GitHub;
use super::interrupt;
use super::options::PrintOptions;
use super::terminal::print_stderr;
use crate::base::units::format_count;
use crate::report::charts::{ChartOptions, charts};
use crate::report::choice::Decision;
use crate::report::page::{self, Page};
use crate::report::{columns, failure, json, number, table};
use crate::sim::EngineKind;
use crate::study::baseline::BaselineComparison;
use crate::study::manifest::Manifest;
use crate::study::result::{ScenarioResult, Verdict};
use crate::study::runner::Runner;
use crate::study::store::{FILE_NAME, TrialKey, TrialStore};
use crate::study::sweep::{Study, StudyCell};
use crate::study::timeline::record_timelines;

/// The page's name in a report's folder.
pub(super) const PAGE_NAME: &str = "report.html";

/// At most so many cells tell their failures on a terminal.
const MAX_FAILED_CELLS: usize = 3;

/// What is drawn of a study.
#[derive(Clone, Copy, Debug, Args)]
pub(super) struct DrawOptions {
    /// Write each chart as PNG too (needs a build with `--features png`)
    #[arg(long, value_parser = png_flag(), help_heading = "Output")]
    pub png: bool,
}

/// The flag `--png`. A program without the feature says how to get it.
fn png_flag() -> impl TypedValueParser<Value = bool> {
    BoolValueParser::new().try_map(|wanted| {
        if wanted && !cfg!(feature = "png") {
            return Err("this program was built without it: build it with `--features png`");
        }
        Ok(wanted)
    })
}

/// What the report of a study shows.
#[derive(Clone, Debug)]
pub(super) struct StudyReport<'a> {
    /// What was found.
    pub study: &'a Study,
    /// The command that made it.
    pub command: &'a str,
    /// What is drawn.
    pub drawing: DrawOptions,
    /// By which the map chooses.
    pub options: ChartOptions,
    /// The setting that was chosen, where one was to be.
    pub decision: Option<&'a Decision>,
    /// What is different from an earlier study, where one was given.
    pub baseline: Option<&'a BaselineComparison>,
}

impl<'a> StudyReport<'a> {
    /// The report of a study alone.
    pub(super) fn new(study: &'a Study, command: &'a str, drawing: DrawOptions) -> Self {
        let options = ChartOptions::default();
        Self { study, command, drawing, options, decision: None, baseline: None }
    }

    /// Writes the files of a study into its folder, each whole or not at all: numbers, charts, and
    /// the page with all of it.
    ///
    /// # Errors
    /// If one cannot be written.
    pub(super) fn write(&self, folder: &Path) -> anyhow::Result<()> {
        let &Self { study, command, drawing, ref options, decision, baseline } = self;
        let write = |name: &str, bytes: &[u8]| PendingFile::open(&folder.join(name))?.write(bytes);
        write("results.json", &json::study_json(study))?;
        write("points.csv", &columns::points(std::slice::from_ref(study)).csv())?;
        write("trials.csv", &columns::trials(study).csv())?;
        let charts = charts(study, options);
        writable_folder(&folder.join("charts"))?;
        for chart in &charts {
            write(&format!("charts/{}.svg", chart.id), chart.svg.as_bytes())?;
            #[cfg(feature = "png")]
            if drawing.png {
                let picture = crate::report::png::png(&chart.svg)
                    .with_context(|| format!("failed to draw {}", chart.id))?;
                write(&format!("charts/{}.png", chart.id), &picture)?;
            }
        }
        let page = Page { study, charts: &charts, options, command, decision, baseline };
        write(PAGE_NAME, page::page(&page).as_bytes())
    }
}

/// Runs the few trials that are shown over time once more, and keeps how they went.
///
/// # Errors
/// If the store cannot be written.
pub(super) fn store_timelines(study: &mut Study, store: &mut TrialStore) -> anyhow::Result<()> {
    // Of what was interrupted nobody knows how it goes on.
    if interrupt::flag().load(Ordering::SeqCst) {
        return Ok(());
    }
    let engine = study.engine();
    study.timelines = record_timelines(&engine, study, interrupt::flag());
    for it in &study.timelines {
        let points = &study.cells[it.cell].result.scenario.points;
        let point = points.iter().find(|point| point.label() == it.point);
        let point = point.context("a timeline belongs to no point")?;
        store.append_timeline(TrialKey::new(engine, point, it.seed), it.qos, &it.timeline)?;
    }
    Ok(())
}

/// The store of an earlier study on this engine, in its folder, or the store's own path; `own` is
/// the store that will be written.
///
/// # Errors
/// If it cannot be read, is of another engine, or is the one that will be written.
pub(super) fn open_baseline(
    path: &Path,
    own: Option<&Path>,
    engine: EngineKind,
) -> anyhow::Result<TrialStore> {
    let path = if path.is_dir() { path.join(FILE_NAME) } else { path.to_owned() };
    if own.is_some_and(|own| same_file::is_same_file(own, &path).unwrap_or(false)) {
        bail!(
            "the baseline `{}` is what this would write: copy its folder first, or use --out",
            path.display()
        );
    }
    let failed = || format!("failed to read the baseline `{}`", path.display());
    let mut store = TrialStore::read_any_model(&path).with_context(failed)?;
    let other = store.manifest().with_context(failed)?.map(|manifest| manifest.engine);
    if let Some(other) = other.filter(|other| *other != engine) {
        bail!(
            "the baseline `{}` is of the {} engine, and this run is on the {} engine: what differs \
             would say nothing",
            path.display(),
            other.name(),
            engine.name()
        );
    }
    Ok(store)
}

/// Prints the table, and whatever failed.
///
/// # Errors
/// If standard output cannot be written.
pub(super) fn print_tables(
    study: &Study,
    printing: &PrintOptions,
    flags: &str,
) -> anyhow::Result<()> {
    let layout = printing.layout();
    let mut text = String::new();
    if !printing.quiet {
        text.extend(["\n", &table::sweep(study, layout)]);
    }
    let has_failed = |cell: &&StudyCell| {
        cell.result.points.iter().any(|point| point.verdict() != Verdict::Holds)
    };
    let failed: Vec<&StudyCell> = study.cells.iter().filter(has_failed).collect();
    for cell in failed.iter().take(MAX_FAILED_CELLS) {
        text.extend(["\n", &failure::failures(&cell.result, flags, layout.style)]);
    }
    if failed.len() > MAX_FAILED_CELLS {
        let more = number::counted((failed.len() - MAX_FAILED_CELLS) as u64, "more cell");
        text.extend(["... and failures in ", &more, ": report.html and trials.csv\n"]);
    }
    GitHub::from_environment().print(&text)
}

/// Says how many runs there were, and which file shows them.
pub(super) fn print_summary(study: &Study, took: Option<f64>, report: &Path) {
    let count = |of: fn(&ScenarioResult) -> usize| -> u64 {
        study.cells.iter().map(|cell| of(&cell.result) as u64).sum()
    };
    let (done, planned) = (count(|it| it.finished), count(|it| it.planned));
    let runs = number::counted(done, "run");
    let cells = number::counted(study.cells.len() as u64, "cell");
    let took = took.map(|seconds| format!(" [{seconds:>6.2}s]")).unwrap_or_default();
    print_stderr(&format!("\n   Summary{took} {runs} of {cells}"));
    if done < planned {
        let planned = format_count(planned);
        print_stderr(&format!(
            "           partial: of {planned} runs; the same command goes on there"
        ));
    }
    print_stderr(&format!("           report: {}", report.display()));
}

/// The study that a store keeps, without running anything.
///
/// # Errors
/// If the store has none, or this version reads its scenario otherwise.
pub(super) fn load_stored_study(
    store: &mut TrialStore,
    gate: &Runner<'_>,
) -> anyhow::Result<(Study, Manifest)> {
    let manifest = store.manifest()?.context("the store says nothing of what was studied")?;
    let plan = manifest.plan()?;
    Ok((gate.load_study(plan, store)?, manifest))
}
