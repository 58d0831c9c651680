//! `trials.csv`, one row for each trial and published QoS, and the table of points as CSV.
//! Times are in seconds, `inf` for never; lengths in bytes; units stand in the column names.

use ::csv::Writer;

use super::describe::Rules;
use super::figures::Figures;
use super::{describe, escape, words};
use crate::base::name::Kind;
use crate::base::time::Span;
use crate::guarantee::metrics::MESSAGE_KINDS;
use crate::scenario::MODEL;
use crate::study::result::{PointResult, QosRow, Quantiles, ScenarioResult, TrialRow};
use crate::study::statistics::Interval;

/// One row for each trial and published QoS, in the fixed order of points and seeds; a trial
/// that crashed has one row with empty figures.
#[must_use]
pub fn trials(result: &ScenarioResult) -> Vec<u8> {
    let rows = result.points.iter().flat_map(|point| {
        point.trials.iter().flat_map(move |trial| {
            let rows: Vec<Option<&QosRow>> = match trial.qos.as_slice() {
                [] => vec![None],
                rows => rows.iter().map(Some).collect(),
            };
            rows.into_iter().map(move |row| trial_row(result, point, trial, row))
        })
    });
    write(trial_header(), rows)
}

/// One row for each row of the table, with both ends of every 95 % interval.
#[must_use]
pub fn points(results: &[ScenarioResult]) -> Vec<u8> {
    let rows = results.iter().flat_map(|result| {
        let points = result.points.iter().flat_map(Figures::of);
        points.map(move |figures| point_row(result, &figures))
    });
    write(point_header(), rows)
}

fn write(header: Vec<String>, rows: impl Iterator<Item = Vec<String>>) -> Vec<u8> {
    let mut writer = Writer::from_writer(Vec::new());
    for row in std::iter::once(header).chain(rows) {
        writer.write_record(&row).expect("all rows are as long as the header, in memory");
    }
    writer.into_inner().expect("memory takes every byte")
}

fn names(list: &[&str]) -> Vec<String> {
    list.iter().map(|name| (*name).to_owned()).collect()
}

fn trial_header() -> Vec<String> {
    let mut header = names(&[
        "scenario",
        "model",
        "mqtt",
        "transport",
        "retry",
        "point",
        "published_qos",
        "granted_qos",
        "seed",
        "trial",
        "verdict",
        "partial",
        "ending",
        "ended_at_s",
        "events",
        "packets_all_phases",
        "trace_hash",
        "in_flight_peak",
        "queued_peak",
        "recovery_s",
        "breaks_expected",
        "breaks_unexpected",
        "rules_broken",
        "excused_units",
    ]);
    header.extend(names(&[
        "messages",
        "units",
        "delivered",
        "lost",
        "duplicated",
        "extra_copies",
        "unexpected",
        "recovered",
        "stuck",
        "reordered",
        "refused",
        "copies_per_delivered",
        "packets_per_message",
        "bytes_per_message",
        "overhead",
    ]));
    for what in ["latency", "completion"] {
        header.extend(["mean", "p50", "p99", "max"].map(|name| format!("{what}_{name}_s")));
    }
    for hop in ["hop1", "hop2"] {
        for kind in MESSAGE_KINDS {
            let kind = kind.label().to_lowercase();
            for what in ["packets", "bytes", "resent_packets", "resent_bytes"] {
                header.push(format!("{hop}_{kind}_{what}"));
            }
        }
    }
    for kind in Kind::ALL.into_iter().filter(|kind| !kind.is_delivery()) {
        let kind = kind.label().to_lowercase();
        header.extend(["packets", "bytes"].map(|what| format!("{kind}_{what}")));
    }
    let purposes =
        ["payload", "framing", "acknowledgements", "resends", "keep_alive", "connecting"];
    header.extend(purposes.map(|purpose| format!("all_{purpose}_bytes")));
    header
}

fn trial_row(
    result: &ScenarioResult,
    point: &PointResult,
    trial: &TrialRow,
    row: Option<&QosRow>,
) -> Vec<String> {
    let Rules { mqtt, transport, retry, .. } = describe::rules(&result.scenario);
    let published = row.map(|row| row.qos).or(point.published);
    let mut cells = vec![
        escape::csv(&result.scenario.name).into_owned(),
        MODEL.to_string(),
        mqtt,
        transport,
        retry,
        escape::csv(&point.label).into_owned(),
        published.map(|qos| qos.to_string()).unwrap_or_default(),
        point.granted.map(|qos| qos.to_string()).unwrap_or_default(),
        trial.seed.to_string(),
        trial.name.clone(),
        words::verdict(trial.verdict).to_owned(),
        result.is_partial().to_string(),
    ];
    if let Some(facts) = &trial.facts {
        cells.extend([
            words::ending(facts.ending).to_owned(),
            seconds(Span::from_nanos(facts.ended_at.as_nanos())),
            facts.events.to_string(),
            facts.packets.to_string(),
            format!("{:016x}", facts.trace_hash),
            facts.in_flight_peak.to_string(),
            facts.queued_peak.to_string(),
            facts.recovery.map(seconds).unwrap_or_default(),
            facts.breaks_expected.to_string(),
            facts.breaks_unexpected.to_string(),
            facts.rules_broken.to_string(),
            facts.excused.to_string(),
        ]);
    }
    let Some((row, facts)) = row.zip(trial.facts.as_ref()) else {
        cells.resize(trial_header().len(), String::new());
        return cells;
    };
    cells.extend(qos_cells(row));
    for kind in Kind::ALL.into_iter().filter(|kind| !kind.is_delivery()) {
        let count = facts.control[kind as usize];
        cells.extend([count.packets.to_string(), count.bytes.to_string()]);
    }
    let bytes = &facts.bytes;
    let purposes = [
        bytes.payload,
        bytes.framing,
        bytes.acknowledgements,
        bytes.resends,
        bytes.keep_alive,
        bytes.connecting,
    ];
    cells.extend(purposes.map(|bytes| bytes.to_string()));
    cells
}

#[expect(clippy::cast_precision_loss, reason = "a ratio")]
fn qos_cells(row: &QosRow) -> Vec<String> {
    let sent = row.sent();
    let counts = [
        row.counts.messages,
        row.counts.units,
        row.counts.delivered,
        row.counts.lost,
        row.counts.duplicated,
        row.counts.extra_copies,
        row.counts.unexpected,
        row.counts.recovered,
        row.counts.stuck,
        row.counts.reordered,
        row.counts.refused,
    ];
    let mut cells: Vec<String> = counts.iter().map(ToString::to_string).collect();
    let messages = row.counts.messages as f64;
    let copies = if row.counts.delivered > 0 {
        number(
            (row.counts.delivered + row.counts.extra_copies) as f64 / row.counts.delivered as f64,
        )
    } else {
        String::new()
    };
    let overhead = if row.delivered_payload > 0.0 {
        number(sent.bytes as f64 / row.delivered_payload)
    } else {
        String::new()
    };
    let (packets, bytes) = (sent.packets as f64 / messages, sent.bytes as f64 / messages);
    cells.extend([copies, number(packets), number(bytes), overhead]);
    cells.extend(quantiles(row.latency));
    cells.extend(quantiles(row.completion));
    for kind in row.traffic.iter().flatten() {
        let counts = [kind.first.packets, kind.first.bytes, kind.resent.packets, kind.resent.bytes];
        cells.extend(counts.map(|count| count.to_string()));
    }
    cells
}

fn point_header() -> Vec<String> {
    let mut header = names(&[
        "scenario",
        "model",
        "mqtt",
        "transport",
        "retry",
        "point",
        "published_qos",
        "granted_qos",
        "runs",
        "verdict",
        "partial",
        "messages",
        "units",
        "delivered",
        "lost",
        "duplicated",
        "extra_copies",
        "unexpected",
        "stuck",
        "copies_per_delivered",
    ]);
    let means = [
        "delivered_share",
        "lost_per_run",
        "duplicated_per_run",
        "packets_per_message",
        "bytes_per_message",
        "overhead",
    ];
    header.extend(
        means.iter().flat_map(|name| ["", "_low95", "_high95"].map(|end| format!("{name}{end}"))),
    );
    for what in ["latency", "completion"] {
        header.extend(["mean", "p50", "p99", "max"].map(|name| format!("{what}_{name}_s")));
    }
    header
}

fn point_row(result: &ScenarioResult, figures: &Figures) -> Vec<String> {
    let Rules { mqtt, transport, retry, .. } = describe::rules(&result.scenario);
    let totals = &figures.totals;
    let mut cells = vec![
        escape::csv(&result.scenario.name).into_owned(),
        MODEL.to_string(),
        mqtt,
        transport,
        retry,
        escape::csv(&figures.label).into_owned(),
        figures.published.to_string(),
        figures.granted.map(|qos| qos.to_string()).unwrap_or_default(),
        figures.runs.to_string(),
        words::verdict(figures.verdict).to_owned(),
        result.is_partial().to_string(),
        figures.totals.messages.to_string(),
    ];
    let counts = [
        totals.units,
        totals.delivered,
        totals.lost,
        totals.duplicated,
        totals.extra_copies,
        totals.unexpected,
        totals.stuck,
    ];
    cells.extend(counts.map(|count| count.to_string()));
    cells.push(figures.copies.map(number).unwrap_or_default());
    let means = [
        Some(figures.delivered),
        Some(figures.lost),
        Some(figures.duplicated),
        Some(figures.packets),
        Some(figures.bytes),
        figures.overhead,
    ];
    cells.extend(means.into_iter().flat_map(interval));
    cells.extend(quantiles(figures.latency));
    cells.extend(quantiles(figures.completion));
    cells
}

fn interval(interval: Option<Interval>) -> [String; 3] {
    let end = |end: f64| if end.is_finite() { number(end) } else { String::new() };
    interval.map_or_else(Default::default, |i| [end(i.value), end(i.low), end(i.high)])
}

fn quantiles(quantiles: Quantiles) -> [String; 4] {
    let Quantiles { mean, p50, p99, max } = quantiles;
    let never = |span: Option<Span>| span.map_or_else(|| "inf".to_owned(), seconds);
    [mean.map(seconds).unwrap_or_default(), never(p50), never(p99), never(max)]
}

/// Seconds with all nine digits after the point, so that nothing is lost.
fn seconds(span: Span) -> String {
    let nanos = span.as_nanos();
    format!("{}.{:09}", nanos / 1_000_000_000, nanos % 1_000_000_000)
}

/// The shortest text that reads back as the same number.
fn number(number: f64) -> String {
    format!("{number}")
}
