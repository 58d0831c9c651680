//! Benefit and cost of each QoS: a row and a sentence each.

use maud::{Markup, html};

use super::{Page, cell_name, qos_marker, scrollable};
use crate::choice::ChoiceSummary;
use crate::number::{format_time, format_value, percent_bound};
use crate::point_summary::PointSummary;
use crate::{describe, escape};
use qoslab_core::base::units::{format_count, format_share};
use qoslab_core::base::{QoS, Span};
use qoslab_study::scenario::Metric;
use qoslab_study::statistics::{to_f64, upper_bound_when_none};
use qoslab_study::{PointResult, Study, StudyCell, Verdict, measure_metric};

/// The section that answers the question.
pub(super) fn section(page: &Page, middle: &StudyCell) -> Markup {
    let rows: Vec<(&PointResult, PointSummary)> = middle
        .result
        .points
        .iter()
        .flat_map(|point| PointSummary::for_point(point).map(move |figures| (point, figures)))
        .collect();
    let plain = rows.iter().find(|(_, figures)| figures.published.number() == 0);
    let plain = plain.map(|(_, figures)| figures);
    let untested = page.study.is_delivery_untested();
    html! {
        section #choosing aria-labelledby="choosing-title" {
            h2 #choosing-title { "Which QoS?" }
            @if untested && page.decision.is_none() {
                p.note { strong { (describe::DELIVERY_UNTESTED) } }
            }
            @if let Some(decision) = page.decision { (decision_section(decision)) }
            (scrollable("What each QoS gives and costs", &table(page.study, middle, &rows)))
            dl.sentences {
                @for (_, figures) in &rows {
                    dt { (qos_marker(figures.published)) "QoS " (figures.name()) }
                    dd { (qos_sentence(figures, plain, untested)) }
                }
            }
        }
    }
}

fn decision_section(decision: &ChoiceSummary) -> Markup {
    html! {
        div.decision {
            @if let Some(caveat) = decision.caveat { p { strong { (caveat) } } }
            h3 { (escape::multiline(&decision.title)) }
            @for paragraph in &decision.paragraphs { p { (escape::multiline(paragraph)) } }
            @if !decision.rows.is_empty() {
                (scrollable("What was compared", &html! { table {
                    caption { "What was compared." }
                    thead { tr { @for name in &decision.header { th scope="col" { (name) } } } }
                    tbody { @for row in &decision.rows { tr {
                        @for (nth, text) in row.iter().enumerate() {
                            @if nth == 0 { th scope="row" { (escape::multiline(text)) } }
                            @else { td { (escape::multiline(text)) } }
                        }
                    } } }
                } }))
            }
        }
    }
}

/// A column: its header, and the value for a row; `None` for no value, infinite for never.
type QosColumn = (&'static str, fn(&PointResult, &PointSummary) -> Option<f64>, fn(f64) -> String);

const COLUMNS: [QosColumn; 10] = [
    (
        "delivered",
        |_, row| (row.totals.units > 0).then_some(row.delivered.value),
        |share| format_share(share, 1),
    ),
    ("duplicates per run", |_, row| Some(row.duplicated.value), |number| format!("{number:.1}")),
    ("packets per message", |_, row| Some(row.packets.value), |number| format!("{number:.2}")),
    ("bytes per message", |_, row| Some(row.bytes.value), |number| format!("{number:.0}")),
    ("p50", |_, row| latency(row, row.latency.p50), format_seconds),
    ("p90", |_, row| latency(row, row.latency.p90), format_seconds),
    ("p95", |_, row| latency(row, row.latency.p95), format_seconds),
    ("p99", |_, row| latency(row, row.latency.p99), format_seconds),
    ("p99.9", |_, row| latency(row, row.latency.p999), format_seconds),
    (
        "peak in flight",
        |point, row| Some(measure_metric(point, row.published, Metric::InFlight, false)?.number()),
        |number| format!("{number:.0}"),
    ),
];

/// Seconds, infinite for never; `None` where nobody was owed anything.
fn latency(row: &PointSummary, span: Option<Span>) -> Option<f64> {
    (row.totals.units > 0).then(|| span.map_or(f64::INFINITY, Span::as_secs_f64))
}

fn format_seconds(seconds: f64) -> String {
    format_value(qoslab_study::MetricValue::Seconds(seconds))
}

fn table(study: &Study, middle: &StudyCell, rows: &[(&PointResult, PointSummary)]) -> Markup {
    html! {
        table {
            caption { span {
                "Means over all seeds"
                @if !study.axes.is_empty() {
                    " at " (cell_name(study, middle)) "; below them the range over all cells"
                }
                ". A share is of what was owed: one delivery for each message and each subscriber \
                 to it. Latency is from publish() to the first delivery."
            } }
            thead { tr {
                th scope="col" { "QoS" }
                @for (name, ..) in COLUMNS { th.number scope="col" { (name) } }
            } }
            tbody { @for (point, row) in rows { tr {
                th scope="row" { (qos_marker(row.published)) (row.name()) }
                @for (_, number, told) in COLUMNS {
                    td.number {
                        (number(point, row).map_or_else(|| "-".to_owned(), told))
                        @if !study.axes.is_empty() {
                            span.range { (range(study, row, number, told)) }
                        }
                    }
                }
            } } }
        }
    }
}

/// The range from the least to the most over all cells.
fn range(
    study: &Study,
    row: &PointSummary,
    get_number: fn(&PointResult, &PointSummary) -> Option<f64>,
    write_value: fn(f64) -> String,
) -> String {
    let of_cells = study.points().flat_map(|(_, point)| {
        PointSummary::for_point(point)
            .filter(|it| it.name() == row.name())
            .filter_map(|it| get_number(point, &it))
    });
    let ends = of_cells.fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), number| {
        (least.min(number), most.max(number))
    });
    let (least, most) = (write_value(ends.0), write_value(ends.1));
    if least == most { least } else { format!("{least} to {most}") }
}

/// Describes what a QoS delivers, with the bound where zero is claimed, and what it costs.
fn qos_sentence(row: &PointSummary, qos0: Option<&PointSummary>, untested: bool) -> String {
    if row.totals.units == 0 {
        return "No message was owed to anybody.".to_owned();
    }
    let sentence = format!(
        "{} {} {}",
        delivery_sentence(row, untested),
        cost_sentence(row, qos0),
        latency_sentence(row)
    );
    match row.verdict {
        Verdict::Holds => sentence,
        Verdict::Inconclusive => sentence + " Not every run was finished, so this proves nothing.",
        _ => sentence + " It did not keep what was promised here: see the failures.",
    }
}

fn delivery_sentence(row: &PointSummary, untested: bool) -> String {
    let (totals, units) = (&row.totals, format_count(row.totals.units));
    let bound = percent_bound(upper_bound_when_none(totals.units));
    let proof = |what: &str| format!("(0 of {units} {what}, at most {bound} at 95 %)");
    let share = |count: u64| format_count_share(count, totals.units);
    match (totals.lost, totals.duplicated) {
        (0, 0) if untested => format!("Delivered all {units}, as nothing broke,"),
        (0, 0) if row.published == QoS::ExactlyOnce => {
            format!("Delivers each message exactly once {}", proof("lost or duplicated"))
        }
        (0, 0) => format!("Lost and repeated none here {}", proof("lost or duplicated")),
        (0, twice) => format!(
            "Delivers each message {}, and {} of them more than once,",
            proof("lost"),
            share(twice)
        ),
        (lost, 0) => format!("Loses {} and repeats none {},", share(lost), proof("duplicated")),
        (lost, twice) => format!("Loses {} and repeats {},", share(lost), share(twice)),
    }
}

fn format_count_share(count: u64, all: u64) -> String {
    format_share(to_f64(count) / to_f64(all), 1)
}

fn cost_sentence(row: &PointSummary, qos0: Option<&PointSummary>) -> String {
    let (packets, bytes) = (row.packets.value, row.bytes.value);
    match qos0 {
        Some(plain) if row.published != plain.published && plain.packets.value > 0.0 => format!(
            "for {:.1} times the packets and {:.1} times the bytes of QoS 0.",
            packets / plain.packets.value,
            bytes / plain.bytes.value
        ),
        _ => format!("for {packets:.2} packets and {bytes:.0} bytes per message."),
    }
}

fn latency_sentence(row: &PointSummary) -> String {
    match (row.latency.p50, row.latency.p99) {
        (Some(p50), Some(p99)) => format!("Half arrive within {p50}, 99 of 100 within {p99}."),
        (Some(p50), None) => {
            format!("Half arrive within {p50}; more than one in 100 never does.")
        }
        (None, _) => {
            format!("The median time is {}: half or more never arrive.", format_time(None))
        }
    }
}
