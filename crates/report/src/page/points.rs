//! Every cell and QoS with its numbers and its command.

use maud::{Markup, html};

use super::{command_details, qos_marker, scrollable, verdict_badge};
use crate::number::counted;
use crate::point_summary::PointSummary;
use crate::{bill, commands};
use qoslab_core::base::units::format_count;
use qoslab_study::{PointResult, Study, StudyCell};

/// A page with more rows is slow to open.
pub(super) const MAX_ROWS: usize = 2_000;

const COLUMNS: [&str; 12] = [
    "delivered",
    "lost/run",
    "dup/run",
    "packets/msg",
    "bytes/msg",
    "overhead",
    "p50",
    "p90",
    "p95",
    "p99",
    "p99.9",
    "max",
];

/// The section with the table of all points.
pub(super) fn section(study: &Study) -> Markup {
    let all = study.points().map(|(_, point)| point.qos_levels().count()).sum::<usize>();
    html! {
        section #points aria-labelledby="points-title" {
            h2 #points-title { "All points" }
            (scrollable("All points", &table(study)))
            @if all > MAX_ROWS {
                p.note { "These are the first " (format_count(MAX_ROWS as u64)) " of "
                    (counted(all as u64, "row")) "; points.csv has them all." }
            }
        }
    }
}

fn table(study: &Study) -> Markup {
    let has_battery = study.points().any(|(_, point)| bill::battery_years(point).is_some());
    let rows = study.points().flat_map(|(cell, point)| {
        PointSummary::for_point(point).map(move |figures| (cell, point, figures))
    });
    html! {
        table {
            caption { span {
                "Means a run with their 95 % intervals. Overhead: bytes sent for each payload byte \
                 delivered. p50 to max: latency over all seeds; what never came counts. Device and \
                 month: what one device that is billed sends and receives in 30 days."
            } }
            thead { tr {
                @for axis in &study.axes { th scope="col" { (axis.field()) } }
                th scope="col" { "QoS" }
                @for name in COLUMNS { th.number scope="col" { (name) } }
                th.number scope="col" { "device and month" }
                @if has_battery { th.number scope="col" { "battery" } }
                th scope="col" { "gate" }
                th scope="col" { "again" }
            } }
            tbody {
                @for (cell, point, figures) in rows.take(MAX_ROWS) {
                    (row(cell, point, &figures, has_battery))
                }
            }
        }
    }
}

/// What a device sends and receives in a month, and what that costs.
fn month_text(cell: &StudyCell, point: &PointResult) -> Option<String> {
    let (megabytes, cost) = bill::month_texts(&cell.result.scenario, point)?;
    Some(megabytes + &cost.map(|cost| format!(", {cost}")).unwrap_or_default())
}

fn row(cell: &StudyCell, point: &PointResult, figures: &PointSummary, has_battery: bool) -> Markup {
    let command = commands::point_run_command(&cell.result, point, figures.published);
    html! {
        tr {
            @for value in &cell.values { th scope="row" { (value.text) } }
            th scope="row" { (qos_marker(figures.published)) (figures.name()) }
            td.number { (figures.delivered_text()) }
            @for text in figures.table_cells(true) { td.number { (text) } }
            td.number { (month_text(cell, point).unwrap_or_else(|| "-".to_owned())) }
            @if has_battery {
                td.number {
                    (bill::battery_years(point).map_or_else(|| "-".to_owned(), bill::years_text))
                }
            }
            td { (verdict_badge(figures.verdict)) }
            td { (command_details(&command)) }
        }
    }
}
