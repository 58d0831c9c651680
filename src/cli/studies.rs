//! Parts that the commands on studies share: the folder of a study, and its printed results.

use std::path::Path;

#[cfg(feature = "png")]
use anyhow::Context;
use clap::Args;
use clap::builder::BoolValueParser;

use super::files::{PendingFile, writable_folder};
use super::github::GitHub;
use super::optional_feature::OptionalFeature;
use super::options::PrintOptions;
use super::terminal::print_stderr;
use crate::base::units::format_count;
use crate::report::choice::ChoiceSummary;
use crate::report::page::{self, Page};
use crate::report::{Chart, ChartOptions, charts, columns, failure, json, number, table};
use crate::study::baseline::BaselineComparison;
use crate::study::{ScenarioResult, Study, StudyCell, Verdict};

/// The page's name in a report's folder.
pub(super) const PAGE_NAME: &str = "report.html";

/// The maximum number of cells whose failures are printed on a terminal.
const MAX_FAILED_CELLS: usize = 3;

/// What is drawn of a study.
#[derive(Clone, Copy, Debug, Args)]
pub(super) struct DrawOptions {
    /// Write each chart as PNG too (needs a build with `--features png`)
    #[arg(long, value_parser = png_flag(), help_heading = "Output")]
    pub png: bool,
}

/// Parser of the flag `--png`.
fn png_flag() -> OptionalFeature<BoolValueParser> {
    OptionalFeature {
        parser: BoolValueParser::new(),
        option: "--png",
        feature: "png",
        is_built: cfg!(feature = "png"),
        needs_it: |value| value == "true",
    }
}

/// A chart as PNG.
#[cfg(feature = "png")]
fn draw_png(chart: &Chart) -> anyhow::Result<Vec<u8>> {
    crate::report::png(&chart.svg).with_context(|| format!("failed to draw {}", chart.id))
}

/// A chart as PNG; never called, as the flag was refused before.
#[cfg(not(feature = "png"))]
fn draw_png(_: &Chart) -> anyhow::Result<Vec<u8>> {
    anyhow::bail!("built without the feature `png`")
}

/// The content of a study's report.
#[derive(Clone, Debug)]
pub(super) struct StudyReport<'a> {
    /// The results.
    pub study: &'a Study,
    /// The command that made it.
    pub command: &'a str,
    /// The options for drawing.
    pub drawing: DrawOptions,
    /// The criteria by which the map chooses.
    pub options: ChartOptions,
    /// The setting that was chosen, if a choice was requested.
    pub decision: Option<&'a ChoiceSummary>,
    /// The differences from an earlier study, if one was given.
    pub baseline: Option<&'a BaselineComparison>,
}

impl<'a> StudyReport<'a> {
    /// The report of a study without a choice or an earlier study.
    pub(super) fn new(study: &'a Study, command: &'a str, drawing: DrawOptions) -> Self {
        let options = ChartOptions::default();
        Self { study, command, drawing, options, decision: None, baseline: None }
    }

    /// Writes the files of a study into its folder, each completely or not at all: numbers, charts,
    /// and the page with all of it.
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
            if drawing.png {
                write(&format!("charts/{}.png", chart.id), &draw_png(chart)?)?;
            }
        }
        let page = Page { study, charts: &charts, options, command, decision, baseline };
        write(PAGE_NAME, page::page(&page).as_bytes())
    }
}

/// Prints the table, and all failures.
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

/// Prints the number of runs, and which file shows them.
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
