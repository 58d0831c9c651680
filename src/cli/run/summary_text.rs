//! The text that `run` prints at the end: tables and failures, then a summary.

use std::sync::atomic::Ordering;

use super::{RunArguments, RunResults};
use crate::base::units::format_count;
use crate::cli::interrupt;
use crate::cli::studies::PAGE_NAME;
use crate::cli::terminal::print_stderr;
use crate::report::number::counted;
use crate::report::{comparison, escape, failure, summary, table};
use crate::study::Verdict;
use crate::study::baseline::BaselineComparison;

/// Each on a line of its own.
pub(super) fn join_lines(skipped: &[String]) -> String {
    skipped.iter().flat_map(|line| [line.as_str(), "\n"]).collect()
}

/// The text of skipped scenarios, tables and failures.
pub(super) fn tables(arguments: &RunArguments, found: &RunResults) -> String {
    let layout = arguments.printing.layout();
    let style = layout.style;
    let flags = arguments.trials.flags();
    let mut text = String::new();
    if !arguments.printing.quiet {
        text += &join_lines(&found.skipped);
    }
    for (result, baseline) in found.with_baselines() {
        let is_same = baseline.is_none_or(BaselineComparison::is_identical);
        if arguments.printing.quiet && result.verdict == Verdict::Holds && is_same {
            continue;
        }
        text.push('\n');
        text.push_str(&table::table(result, layout));
        text.push_str(&summary::expectations(result, style));
        text.push_str(&baseline.map(|it| comparison::text(it, style)).unwrap_or_default());
        let failures = failure::failures(result, &flags, style);
        if !failures.is_empty() {
            text.push('\n');
            text.push_str(&failures);
        }
    }
    text
}

/// Prints on standard error the number of scenarios by verdict, what did not run, and where the
/// reports are.
pub(super) fn print_summary(arguments: &RunArguments, found: &RunResults, planned: usize) {
    let results = &found.results;
    print_stderr(&format!(
        "\n   Summary [{:>6.2}s] {}",
        found.seconds,
        summary::run_count_sentence(results)
    ));
    if let Some(partial) = results.iter().find(|result| result.was_interrupted()) {
        let (done, all) = (partial.finished as u64, partial.planned as u64);
        let name = escape::terminal(&partial.scenario.name);
        let (done, all) = (format_count(done), format_count(all));
        print_stderr(&format!(
            "           partial: {name}, interrupted after {done} of {all} runs"
        ));
    }
    if !found.skipped.is_empty() {
        let skipped = format_count(found.skipped.len() as u64);
        let engine = arguments.engine_option.engine.name();
        print_stderr(&format!("           {skipped} skipped: the {engine} engine cannot run them"));
    }
    if results.len() < planned {
        let left = counted((planned - results.len()) as u64, "scenario");
        let why = if interrupt::flag().load(Ordering::SeqCst) {
            "interrupted"
        } else {
            "one failed; --no-fail-fast goes on"
        };
        print_stderr(&format!("           {left} not run: {why}"));
    }
    if let Some(out) = arguments.reports_folder() {
        let only = results.first().filter(|_| results.len() == 1);
        match only.map(|it| escape::file_name(&it.scenario.name)) {
            Some(name) => {
                let page = out.join(name).join(PAGE_NAME);
                print_stderr(&format!("           report: {}", page.display()));
            }
            None => print_stderr(&format!("           reports: {}", out.display())),
        }
    }
}
