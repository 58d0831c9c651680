//! Where messages went that were not lost on the way.

use maud::{Markup, html};

use super::{cell_name, qos_marker, scrollable};
use crate::accounts;
use crate::number::counted;
use crate::point_summary::PointSummary;
use qoslab_study::{Study, StudyCell};

/// The maximum number of lines that are listed; the rest is in points.csv.
const MAX_LINES: usize = 200;

/// The section about them; empty if there are none.
pub(super) fn section(study: &Study) -> Markup {
    let lines: Vec<(&StudyCell, PointSummary, String)> = study
        .points()
        .flat_map(|(cell, point)| PointSummary::for_point(point).map(move |it| (cell, it)))
        .flat_map(|(cell, figures)| {
            let setup = &cell.result.scenario.points[figures.point].setup;
            let lines = accounts::lines(&figures.totals, setup, figures.published);
            lines.into_iter().map(move |line| (cell, figures.clone(), line))
        })
        .collect();
    html! {
        @if !lines.is_empty() {
            section #accounts aria-labelledby="accounts-title" {
                h2 #accounts-title { "Where messages went" }
                (scrollable("Where messages went", &table(study, &lines)))
                @if lines.len() > MAX_LINES {
                    @let more = counted((lines.len() - MAX_LINES) as u64, "line");
                    p.note { "And " (more) " more: points.csv has all." }
                }
            }
        }
    }
}

fn table(study: &Study, lines: &[(&StudyCell, PointSummary, String)]) -> Markup {
    html! {
        table {
            caption { "Over all seeds. Losses on the way are not among them." }
            thead { tr {
                @if !study.axes.is_empty() { th scope="col" { "cell" } }
                th scope="col" { "QoS" }
                th scope="col" { "messages" }
            } }
            tbody { @for (cell, figures, line) in lines.iter().take(MAX_LINES) { tr {
                @if !study.axes.is_empty() { td { (cell_name(study, cell)) } }
                th scope="row" { (qos_marker(figures.published)) (figures.name()) }
                td { (line) }
            } } }
        }
    }
}
