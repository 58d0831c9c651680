//! The report as one page of HTML that works offline and without scripts.
//!
//! All text from a scenario is escaped by maud, attributes too; only charts, which this program
//! drew, are inserted as they are. The content security policy forbids everything but the page's
//! own style, by its hash.

mod accounts;
mod assumptions;
mod baseline;
mod expectations;
mod failures;
mod head;
mod map;
mod points;
mod qos_choice;
mod source;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::chart::Chart;
use super::charts::ChartOptions;
use super::choice::ChoiceSummary;
use super::labels;
use qoslab_core::base::QoS;
use qoslab_study::baseline::BaselineComparison;
use qoslab_study::{Study, StudyCell, Verdict};

/// The content of a page.
#[derive(Clone, Copy, Debug)]
pub struct Page<'a> {
    /// The results; a study without cells has nothing to show.
    pub study: &'a Study,
    /// The charts, in their order.
    pub charts: &'a [Chart],
    /// The criteria by which the map chooses.
    pub options: &'a ChartOptions,
    /// The command that made all of it, as the user typed it.
    pub command: &'a str,
    /// The setting that was chosen, if a choice was requested.
    pub decision: Option<&'a ChoiceSummary>,
    /// The differences from an earlier study, if one was given.
    pub baseline: Option<&'a BaselineComparison>,
}

/// The page. The same study gives the same bytes.
#[must_use]
pub fn page(page: &Page) -> String {
    let Some(middle) = middle_cell(page.study) else { return String::new() };
    let markup = html! {
        (DOCTYPE)
        html lang="en" {
            (head::head(&middle.result.scenario.name))
            body {
                a.skip href="#main" { "Skip to the results" }
                (head::banner(page, middle))
                main #main tabindex="-1" {
                    (qos_choice::section(page, middle))
                    (accounts::section(page.study))
                    (assumptions::section(page.study, middle))
                    (charts(page.charts))
                    (map::section(page.study, page.options))
                    (points::section(page.study))
                    (expectations::section(page.study))
                    (failures::section(page.study))
                    @if let Some(comparison) = page.baseline { (baseline::section(comparison)) }
                    (source::section(page.study))
                }
                footer { p { "Made by qoslab " (env!("CARGO_PKG_VERSION")) ". The same model, \
                    scenario and seeds give this page again, byte for byte." } }
            }
        }
    };
    markup.into_string()
}

/// The cell in the middle of every axis, which represents the study where only one is shown.
fn middle_cell(study: &Study) -> Option<&StudyCell> {
    let values = || study.axes.iter().map(|axis| &axis.values[(axis.values.len() - 1) / 2]);
    let in_the_middle = |cell: &&StudyCell| cell.values.iter().eq(values());
    study.cells.iter().find(in_the_middle).or(study.cells.first())
}

fn charts(charts: &[Chart]) -> Markup {
    html! {
        @if !charts.is_empty() {
            section #charts aria-labelledby="charts-title" {
                h2 #charts-title { "Charts" }
                @for chart in charts { (chart_figure(chart)) }
            }
        }
    }
}

/// A chart with its finding above it, and below it how to read it and where its numbers are.
fn chart_figure(chart: &Chart) -> Markup {
    let title = format!("chart-{}", chart.id);
    html! {
        figure aria-labelledby=(title) {
            h3 id=(title) { (chart.title) }
            @let picture = format!("Picture: {}", chart.title);
            div.picture tabindex="0" role="region" aria-label=(picture) {
                (PreEscaped(&chart.svg))
            }
            figcaption { (chart.caption) }
            details {
                summary { "Numbers" }
                p { (chart.alt) }
                p { "Every number is in " a href="#points" { "the table of all points" } "." }
            }
        }
    }
}

/// A table that scrolls by itself where the page is too narrow, by keyboard too.
fn scrollable(name: &str, table: &Markup) -> Markup {
    html! { div.scroll tabindex="0" role="region" aria-label=(name) { (table) } }
}

/// A verdict as a word in a frame; the colour only repeats it.
fn verdict_badge(verdict: Verdict) -> Markup {
    html! { span.badge.(verdict_class(verdict)) { (labels::verdict_mark(verdict)) } }
}

const fn verdict_class(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Holds => "good",
        Verdict::Inconclusive => "doubtful",
        Verdict::Violated | Verdict::NotDeterministic | Verdict::Bug => "bad",
    }
}

/// A cell's values as people read them: `loss 5%, retry 1s`; empty without axes.
fn cell_name(study: &Study, cell: &StudyCell) -> String {
    let named = study.axes.iter().zip(&cell.values);
    let named = named.map(|(axis, value)| format!("{} {}", axis.field(), value.text));
    named.collect::<Vec<_>>().join(", ")
}

/// The small shape and colour of a QoS, beside its name: for the eye only.
fn qos_marker(qos: QoS) -> Markup {
    html! { span.qos.(format!("qos{qos}")) aria-hidden="true" {} }
}

/// A command to copy, behind a word that opens it.
fn command_details(command: &str) -> Markup {
    html! { details { summary { "command" } code.command tabindex="0" { (command) } } }
}

#[cfg(test)]
mod tests;
