//! What each QoS gives and what it costs: a row and a sentence each.

use maud::{Markup, html};

use super::{Page, cell_name, marker, scrolling};
use crate::choice::Decision;
use crate::escape;
use crate::figures::Figures;
use crate::number::{percent_bound, time, value};
use qoslab_core::base::units::{format_count, format_share};
use qoslab_study::needs::measure;
use qoslab_study::result::{PointResult, Verdict};
use qoslab_study::scenario::expect::Metric;
use qoslab_study::statistics::at_most_when_none;
use qoslab_study::sweep::{Cell, Study};

/// The section that answers the question.
pub(super) fn section(page: &Page, middle: &Cell) -> Markup {
    let rows: Vec<(&PointResult, Figures)> = middle
        .result
        .points
        .iter()
        .flat_map(|point| Figures::of(point).map(move |figures| (point, figures)))
        .collect();
    let plain = rows.iter().find(|(_, figures)| figures.published.number() == 0);
    let plain = plain.map(|(_, figures)| figures);
    html! {
        section #choosing aria-labelledby="choosing-title" {
            h2 #choosing-title { "Which QoS?" }
            @if let Some(decision) = page.decision { (decided(decision)) }
            (scrolling("What each QoS gives and costs", &table(page.study, middle, &rows)))
            dl.sentences {
                @for (_, figures) in &rows {
                    dt { (marker(figures.published)) "QoS " (figures.name()) }
                    dd { (sentence(figures, plain)) }
                }
            }
        }
    }
}

fn decided(decision: &Decision) -> Markup {
    html! {
        div.decision {
            h3 { (escape::visible(&decision.title)) }
            @for paragraph in &decision.paragraphs { p { (escape::visible(paragraph)) } }
            @if !decision.rows.is_empty() {
                (scrolling("What was compared", &html! { table {
                    caption { "What was compared." }
                    thead { tr { @for name in &decision.header { th scope="col" { (name) } } } }
                    tbody { @for row in &decision.rows { tr {
                        @for (nth, text) in row.iter().enumerate() {
                            @if nth == 0 { th scope="row" { (escape::visible(text)) } }
                            @else { td { (escape::visible(text)) } }
                        }
                    } } }
                } }))
            }
        }
    }
}

/// A column: its header, and the number of a row; `None` where there is none, infinite for never.
type Column = (&'static str, fn(&PointResult, &Figures) -> Option<f64>, fn(f64) -> String);

const COLUMNS: [Column; 7] = [
    ("delivered", |_, row| Some(row.delivered.value), |share| format_share(share, 1)),
    ("duplicates a run", |_, row| Some(row.duplicated.value), |number| format!("{number:.1}")),
    ("packets a message", |_, row| Some(row.packets.value), |number| format!("{number:.2}")),
    ("bytes a message", |_, row| Some(row.bytes.value), |number| format!("{number:.0}")),
    ("p50", |_, row| Some(seconds(row.latency.p50)), told_seconds),
    ("p99", |_, row| Some(seconds(row.latency.p99)), told_seconds),
    (
        "peak in flight",
        |point, row| Some(measure(point, row.published, Metric::InFlight, false)?.number()),
        |number| format!("{number:.0}"),
    ),
];

fn seconds(span: Option<qoslab_core::base::time::Span>) -> f64 {
    span.map_or(f64::INFINITY, qoslab_core::base::time::Span::as_secs_f64)
}

fn told_seconds(seconds: f64) -> String {
    value(qoslab_study::needs::Value::Seconds(seconds))
}

fn table(study: &Study, middle: &Cell, rows: &[(&PointResult, Figures)]) -> Markup {
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
                th scope="row" { (marker(row.published)) (row.name()) }
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

/// From the least to the most over all cells.
fn range(
    study: &Study,
    row: &Figures,
    number: fn(&PointResult, &Figures) -> Option<f64>,
    told: fn(f64) -> String,
) -> String {
    let of_cells = study.points().flat_map(|(_, point)| {
        Figures::of(point).filter(|it| it.name() == row.name()).filter_map(|it| number(point, &it))
    });
    let ends = of_cells.fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), number| {
        (least.min(number), most.max(number))
    });
    let (least, most) = (told(ends.0), told(ends.1));
    if least == most { least } else { format!("{least} to {most}") }
}

/// What a QoS gives, with its bound where a zero is claimed, and what it costs.
fn sentence(row: &Figures, plain: Option<&Figures>) -> String {
    if row.totals.units == 0 {
        return "Nobody was owed a message.".to_owned();
    }
    let told = format!("{} {} {}", gives(row), costs(row, plain), waits(row));
    match row.verdict {
        Verdict::Holds => told,
        Verdict::Inconclusive => told + " Not every run was finished, so this proves nothing.",
        _ => told + " It did not keep what was promised here: see the failures.",
    }
}

fn gives(row: &Figures) -> String {
    let (totals, units) = (&row.totals, format_count(row.totals.units));
    let bound = percent_bound(at_most_when_none(totals.units));
    let proof = |what: &str| format!("(0 of {units} {what}, at most {bound} at 95 %)");
    let share = |count: u64| share(count, totals.units);
    match (totals.lost, totals.duplicated) {
        (0, 0) => format!("Delivers each message exactly once {}", proof("lost or duplicated")),
        (0, twice) => format!(
            "Delivers each message {}, and {} of them more than once,",
            proof("lost"),
            share(twice)
        ),
        (lost, 0) => format!("Loses {} and repeats none {},", share(lost), proof("duplicated")),
        (lost, twice) => format!("Loses {} and repeats {},", share(lost), share(twice)),
    }
}

#[expect(clippy::cast_precision_loss, reason = "display only")]
fn share(count: u64, all: u64) -> String {
    format_share(count as f64 / all as f64, 1)
}

fn costs(row: &Figures, plain: Option<&Figures>) -> String {
    let (packets, bytes) = (row.packets.value, row.bytes.value);
    match plain {
        Some(plain) if row.published != plain.published && plain.packets.value > 0.0 => format!(
            "for {:.1} times the packets and {:.1} times the bytes of QoS 0.",
            packets / plain.packets.value,
            bytes / plain.bytes.value
        ),
        _ => format!("for {packets:.2} packets and {bytes:.0} bytes a message."),
    }
}

fn waits(row: &Figures) -> String {
    match (row.latency.p50, row.latency.p99) {
        (Some(p50), Some(p99)) => format!("Half arrive within {p50}, 99 of 100 within {p99}."),
        (Some(p50), None) => {
            format!("Half arrive within {p50}; more than one in 100 never does.")
        }
        (None, _) => format!("The median time is {}: half or more never arrive.", time(None)),
    }
}
