//! `trials.csv`: one row for each trial and published QoS, in the fixed order of cells, points
//! and seeds. A trial that crashed has one row without figures.

use super::{Column, Field, FieldKind, Table, points};
use crate::describe::{self, Rules};
use crate::words;
use qoslab_core::base::name::Kind;
use qoslab_core::base::time::Span;
use qoslab_guarantee::metrics::{Counts, MESSAGE_KINDS, Purposes};
use qoslab_study::result::{PointResult, QosRow, TrialFacts, TrialRow};
use qoslab_study::scenario::MODEL;
use qoslab_study::sweep::{Cell, Study};

/// One trial and one published QoS.
#[derive(Clone, Debug)]
pub struct Line<'a> {
    cell: &'a Cell,
    rules: Rules,
    point: &'a PointResult,
    trial: &'a TrialRow,
    row: Option<&'a QosRow>,
}

/// The table of all trials.
#[must_use]
pub fn trials(study: &Study) -> Table<'_, Line<'_>> {
    let rows = study.cells.iter().flat_map(|cell| {
        let rules = describe::rules(&cell.result.scenario);
        cell.result.points.iter().flat_map(move |point| {
            let rules = rules.clone();
            point.trials.iter().flat_map(move |trial| lines(cell, &rules, point, trial))
        })
    });
    Table { rows: rows.collect(), columns: columns(study) }
}

fn lines<'a>(
    cell: &'a Cell,
    rules: &Rules,
    point: &'a PointResult,
    trial: &'a TrialRow,
) -> Vec<Line<'a>> {
    let line = |row| Line { cell, rules: rules.clone(), point, trial, row };
    match trial.qos.as_slice() {
        [] => vec![line(None)],
        rows => rows.iter().map(|row| line(Some(row))).collect(),
    }
}

fn columns(study: &Study) -> Vec<Column<'_, Line<'_>>> {
    let mut columns = identity();
    columns.extend(points::parameters(study, |line: &Line<'_>| line.cell));
    columns.extend(facts());
    columns.extend(counts());
    columns.extend(ratios());
    for (what, about) in points::TIMES {
        columns.extend(times(what, about));
    }
    columns.extend(traffic());
    columns.extend(control());
    columns.extend(purposes());
    columns
}

/// A column of the row itself.
fn own<'a>(
    kind: FieldKind,
    name: &'static str,
    about: &'static str,
    of: impl Fn(&Line<'a>) -> Field + 'a,
) -> Column<'a, Line<'a>> {
    Column::new(kind, name, about, of)
}

fn identity<'a>() -> Vec<Column<'a, Line<'a>>> {
    use FieldKind::{Flag, Text, Whole};
    vec![
        own(Text, "scenario", "the scenario's name", |line| {
            line.cell.result.scenario.name.as_str().into()
        }),
        own(Whole, "model", "the version of the model; others are not comparable", |_| {
            u64::from(MODEL).into()
        }),
        own(Text, "mqtt", "the version of MQTT", |line| line.rules.mqtt.as_str().into()),
        own(Text, "transport", "how packets are carried", |line| {
            line.rules.transport.as_str().into()
        }),
        own(Text, "retry", "when a packet is sent again", |line| line.rules.retry.as_str().into()),
        own(Text, "point", "the point of the scenario's axes of QoS", |line| {
            line.point.label.as_str().into()
        }),
        own(Whole, "published_qos", "the QoS of the messages that the row counts", |line| {
            let published = line.row.map(|row| row.qos).or(line.point.published);
            published.map(|qos| u64::from(qos.number())).into()
        }),
        own(Whole, "granted_qos", "the QoS asked for by subscribers, where it is an axis", |l| {
            l.point.granted.map(|qos| u64::from(qos.number())).into()
        }),
        own(Whole, "seed", "the seed of all luck", |line| line.trial.seed.into()),
        own(Text, "trial", "the trial's name: a hash of its content and seed", |line| {
            line.trial.name.as_str().into()
        }),
        own(Text, "verdict", "how the trial stands", |line| {
            words::verdict(line.trial.verdict).into()
        }),
        own(Flag, "partial", "whether the run was interrupted before all trials ran", |line| {
            line.cell.result.is_partial().into()
        }),
    ]
}

/// A column of what is known of the whole trial.
fn fact<'a, F: Into<Field>>(
    kind: FieldKind,
    name: &'static str,
    about: &'static str,
    of: impl Fn(&TrialFacts) -> F + 'a,
) -> Column<'a, Line<'a>> {
    Column::new(kind, name, about, move |line: &Line<'a>| line.trial.facts.as_ref().map(&of).into())
}

fn facts<'a>() -> Vec<Column<'a, Line<'a>>> {
    use FieldKind::{Text, Time, Whole};
    vec![
        fact(Text, "ending", "how the trial ended", |facts| words::ending(facts.ending)),
        fact(Time, "ended_at_s", "when it ended, in virtual time", |facts| {
            Span::from_nanos(facts.ended_at.as_nanos())
        }),
        fact(Whole, "events", "events that the engine handled", |facts| facts.events),
        fact(Whole, "packets_all_phases", "packets of every kind, calms included", |facts| {
            facts.packets
        }),
        fact(Text, "trace_hash", "a hash over everything that happened", |facts| {
            format!("{:016x}", facts.trace_hash)
        }),
        fact(Whole, "in_flight_peak", "the most messages unacknowledged at one time", |facts| {
            facts.in_flight_peak
        }),
        fact(Whole, "queued_peak", "the most messages waiting at one time", |f| f.queued_peak),
        fact(Time, "recovery_s", "from the last fault's end to an empty backlog", |facts| {
            facts.recovery
        }),
        fact(Whole, "breaks_expected", "promises broken as the scenario declares", |facts| {
            facts.breaks_expected
        }),
        fact(Whole, "breaks_unexpected", "promises broken otherwise", |f| f.breaks_unexpected),
        fact(Whole, "rules_broken", "rules of the standard broken", |facts| facts.rules_broken),
        fact(Whole, "excused_units", "units owed but for an accepted reason", |f| f.excused),
    ]
}

/// A column of what was measured of one published QoS.
fn measure<'a, F: Into<Field>>(
    kind: FieldKind,
    name: impl Into<std::borrow::Cow<'static, str>>,
    about: impl Into<std::borrow::Cow<'static, str>>,
    of: impl Fn(&QosRow) -> F + 'a,
) -> Column<'a, Line<'a>> {
    Column::new(kind, name, about, move |line: &Line<'a>| line.row.map(&of).into())
}

fn counts<'a>() -> impl Iterator<Item = Column<'a, Line<'a>>> {
    points::COUNTS.into_iter().map(|(name, about, of): (_, _, fn(&Counts) -> u64)| {
        measure(FieldKind::Whole, name, about, move |row| of(&row.counts))
    })
}

#[expect(clippy::cast_precision_loss, reason = "a ratio")]
fn ratios<'a>() -> Vec<Column<'a, Line<'a>>> {
    use FieldKind::Number;
    let ratio = |part: f64, whole: f64| (whole > 0.0).then(|| part / whole);
    vec![
        measure(Number, "copies_per_delivered", "copies of each unit delivered", move |row| {
            let Counts { delivered, extra_copies, .. } = row.counts;
            ratio((delivered + extra_copies) as f64, delivered as f64)
        }),
        measure(Number, "packets_per_message", "message packets a message", move |row| {
            ratio(row.sent().packets as f64, row.counts.messages as f64)
        }),
        measure(Number, "bytes_per_message", "their bytes on the wire a message", move |row| {
            ratio(row.sent().bytes as f64, row.counts.messages as f64)
        }),
        measure(Number, "overhead", "wire bytes a payload byte delivered once", move |row| {
            ratio(row.sent().bytes as f64, row.delivered_payload)
        }),
    ]
}

fn times<'a>(what: &'static str, about: &str) -> Vec<Column<'a, Line<'a>>> {
    let of = move |row: &QosRow| match what {
        "latency" => row.latency,
        _ => row.completion,
    };
    points::STATISTICS
        .into_iter()
        .map(|(name, words)| {
            let value = move |line: &Line<'a>| {
                line.row.map_or(Field::Empty, |row| points::statistic(of(row), name))
            };
            let (name, about) = (format!("{what}_{name}_s"), format!("{about}: {words}"));
            Column::new(FieldKind::Time, name, about, value)
        })
        .collect()
}

fn traffic<'a>() -> Vec<Column<'a, Line<'a>>> {
    let hops = [("hop1", "from publishers to the broker"), ("hop2", "from the broker on")];
    let mut columns = Vec::new();
    for (hop, (hop_name, way)) in hops.into_iter().enumerate() {
        for (nth, kind) in MESSAGE_KINDS.into_iter().enumerate() {
            let (kind, label) = (kind.label().to_lowercase(), kind.label());
            let mut column = |what: &str, about: &str, of: fn(&Cells) -> u64| {
                let name = format!("{hop_name}_{kind}_{what}");
                let about = format!("{label} {way}: {about}");
                columns.push(measure(FieldKind::Whole, name, about, move |row| {
                    of(&row.traffic[hop][nth])
                }));
            };
            column("packets", "first sendings", |cell| cell.first.packets);
            column("bytes", "their bytes on the wire", |cell| cell.first.bytes);
            column("resent_packets", "resends", |cell| cell.resent.packets);
            column("resent_bytes", "their bytes on the wire", |cell| cell.resent.bytes);
        }
    }
    columns
}

type Cells = qoslab_guarantee::metrics::KindTraffic;

/// Packets that belong to no message are the whole trial's, so they stand in each of its rows.
fn control<'a>() -> Vec<Column<'a, Line<'a>>> {
    let kinds = Kind::ALL.into_iter().filter(|kind| !kind.is_delivery());
    let columns = kinds.flat_map(|kind| {
        let (name, label) = (kind.label().to_lowercase(), kind.label());
        let of = move |line: &Line<'a>, bytes: bool| {
            let Some(facts) = line.row.and(line.trial.facts.as_ref()) else { return Field::Empty };
            let count = facts.control[kind as usize];
            (if bytes { count.bytes } else { count.packets }).into()
        };
        let about = format!("{label} in the whole trial");
        let (packets, bytes) = (format!("{name}_packets"), format!("{name}_bytes"));
        [
            Column::new(FieldKind::Whole, packets, about.clone(), move |l| of(l, false)),
            Column::new(FieldKind::Whole, bytes, about + ", on the wire", move |l| of(l, true)),
        ]
    });
    columns.collect()
}

fn purposes<'a>() -> Vec<Column<'a, Line<'a>>> {
    let columns = Purposes::EACH.into_iter().map(|(name, about, of)| {
        let about = format!("wire bytes of the whole trial: {about}");
        Column::new(FieldKind::Whole, format!("all_{name}_bytes"), about, move |l: &Line<'a>| {
            l.row.and(l.trial.facts.as_ref()).map(|facts| of(&facts.bytes)).into()
        })
    });
    columns.collect()
}
