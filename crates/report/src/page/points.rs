//! Every cell and QoS with its numbers and its command.

use maud::{Markup, html};

use super::{badge, command, marker, scrolling};
use crate::commands;
use crate::figures::Figures;
use crate::number::{counted, time};
use qoslab_core::base::units::{format_count, format_share};
use qoslab_study::result::PointResult;
use qoslab_study::statistics::Interval;
use qoslab_study::sweep::{Cell, Study};

/// A page with more rows is slow to open.
pub(super) const MOST_ROWS: usize = 2_000;

const COLUMNS: [&str; 9] = [
    "delivered",
    "lost/run",
    "dup/run",
    "packets/msg",
    "bytes/msg",
    "overhead",
    "p50",
    "p99",
    "max",
];

/// The section with the table of all points.
pub(super) fn section(study: &Study) -> Markup {
    let all = study.points().map(|(_, point)| point.levels().count()).sum::<usize>();
    html! {
        section #points aria-labelledby="points-title" {
            h2 #points-title { "All points" }
            (scrolling("All points", &table(study)))
            @if all > MOST_ROWS {
                p.note { "These are the first " (format_count(MOST_ROWS as u64)) " of "
                    (counted(all as u64, "row")) "; points.csv has them all." }
            }
        }
    }
}

fn table(study: &Study) -> Markup {
    let rows = study
        .points()
        .flat_map(|(cell, point)| Figures::of(point).map(move |figures| (cell, point, figures)));
    html! {
        table {
            caption { span {
                "Means a run with their 95 % intervals. Overhead: bytes sent for each payload byte \
                 delivered. p50, p99 and max: latency over all seeds; what never came counts."
            } }
            thead { tr {
                @for axis in &study.axes { th scope="col" { (axis.field()) } }
                th scope="col" { "QoS" }
                @for name in COLUMNS { th.number scope="col" { (name) } }
                th scope="col" { "gate" }
                th scope="col" { "again" }
            } }
            tbody {
                @for (cell, point, figures) in rows.take(MOST_ROWS) { (row(cell, point, &figures)) }
            }
        }
    }
}

fn row(cell: &Cell, point: &PointResult, figures: &Figures) -> Markup {
    html! {
        tr {
            @for value in &cell.values { th scope="row" { (value.text) } }
            th scope="row" { (marker(figures.published)) (figures.name()) }
            @for text in numbers(figures) { td.number { (text) } }
            td { (badge(figures.verdict)) }
            td { (command(&commands::point(&cell.result, point, figures.published))) }
        }
    }
}

fn numbers(figures: &Figures) -> [String; COLUMNS.len()] {
    [
        format_share(figures.delivered.value, 1),
        with(figures.lost, 1),
        with(figures.duplicated, 1),
        with(figures.packets, 2),
        with(figures.bytes, 0),
        figures.overhead.map_or_else(|| "-".to_owned(), |overhead| with(overhead, 2)),
        time(figures.latency.p50),
        time(figures.latency.p99),
        time(figures.latency.max),
    ]
}

fn with(interval: Interval, decimals: usize) -> String {
    let half = (interval.high - interval.low) / 2.0;
    if half.is_finite() {
        format!("{:.decimals$} ±{half:.decimals$}", interval.value)
    } else {
        format!("{:.decimals$}", interval.value)
    }
}
