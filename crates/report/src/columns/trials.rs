//! `trials.csv`: one row for each trial and published QoS, in the fixed order of cells, points
//! and seeds. A trial that crashed has one row without figures.

use super::identity::{IdentifiedRow, identity_columns, parameter_columns, partial_column};
use super::{ColumnTable, FieldKind, FieldValue, TableColumn, points};
use crate::describe::{self, ScenarioProperties};
use crate::labels;
use qoslab_core::base::{PacketKind, QoS, Span};
use qoslab_guarantee::{BytesByPurpose, DeliveryCounts, MESSAGE_KINDS};
use qoslab_study::statistics::to_f64;
use qoslab_study::{PointResult, QosRow, Study, StudyCell, TrialRow, TrialSummary};

/// One trial and one published QoS.
#[derive(Clone, Debug)]
pub struct TrialQosRow<'a> {
    cell: &'a StudyCell,
    rules: ScenarioProperties,
    point: &'a PointResult,
    trial: &'a TrialRow,
    row: Option<&'a QosRow>,
}

impl IdentifiedRow for TrialQosRow<'_> {
    fn cell(&self) -> &StudyCell {
        self.cell
    }

    fn rules(&self) -> &ScenarioProperties {
        &self.rules
    }

    fn point(&self) -> &PointResult {
        self.point
    }

    fn published(&self) -> Option<QoS> {
        self.row.map(|row| row.qos).or(self.point.published)
    }
}

/// The table of all trials.
#[must_use]
pub fn trials(study: &Study) -> ColumnTable<'_, TrialQosRow<'_>> {
    let rows = study.cells.iter().flat_map(|cell| {
        let rules = describe::scenario_properties(&cell.result.scenario);
        cell.result.points.iter().flat_map(move |point| {
            let rules = rules.clone();
            point.trials.iter().flat_map(move |trial| trial_rows(cell, &rules, point, trial))
        })
    });
    ColumnTable { rows: rows.collect(), columns: columns(study) }
}

fn trial_rows<'a>(
    cell: &'a StudyCell,
    rules: &ScenarioProperties,
    point: &'a PointResult,
    trial: &'a TrialRow,
) -> Vec<TrialQosRow<'a>> {
    let line = |row| TrialQosRow { cell, rules: rules.clone(), point, trial, row };
    match trial.qos.as_slice() {
        [] => vec![line(None)],
        rows => rows.iter().map(|row| line(Some(row))).collect(),
    }
}

fn columns(study: &Study) -> Vec<TableColumn<'_, TrialQosRow<'_>>> {
    let mut columns = Vec::from(identity_columns());
    columns.extend(trial_columns());
    columns.push(partial_column());
    columns.extend(parameter_columns(study));
    columns.extend(fact_columns());
    columns.extend(count_columns());
    columns.extend(ratio_columns());
    for (what, about) in points::TIMES {
        columns.extend(time_columns(what, about));
    }
    columns.extend(traffic_columns());
    columns.extend(control_columns());
    columns.extend(purpose_columns());
    columns
}

fn trial_columns<'a>() -> [TableColumn<'a, TrialQosRow<'a>>; 3] {
    let trial = "the trial's name: a hash of its content and seed";
    [
        TableColumn::new(
            FieldKind::Whole,
            "seed",
            "the seed of all random draws",
            |line: &TrialQosRow<'a>| line.trial.seed.into(),
        ),
        TableColumn::new(FieldKind::Text, "trial", trial, |line: &TrialQosRow<'a>| {
            line.trial.name.as_str().into()
        }),
        TableColumn::new(
            FieldKind::Text,
            "verdict",
            "how the trial stands",
            |line: &TrialQosRow<'a>| labels::verdict(line.trial.verdict).into(),
        ),
    ]
}

/// A column of data about the whole trial.
fn fact_column<'a, F: Into<FieldValue>>(
    kind: FieldKind,
    name: &'static str,
    about: &'static str,
    getter: impl Fn(&TrialSummary) -> F + 'a,
) -> TableColumn<'a, TrialQosRow<'a>> {
    TableColumn::new(kind, name, about, move |line: &TrialQosRow<'a>| {
        line.trial.summary.as_ref().map(&getter).into()
    })
}

fn fact_columns<'a>() -> Vec<TableColumn<'a, TrialQosRow<'a>>> {
    use FieldKind::{Text, Time, Whole};
    vec![
        fact_column(Text, "ending", "how the trial ended", |facts| labels::ending(facts.ending)),
        fact_column(Time, "ended_at_s", "when it ended, in virtual time", |facts| {
            Span::from_nanos(facts.ended_at.as_nanos())
        }),
        fact_column(Whole, "events", "events that the engine handled", |facts| facts.events),
        fact_column(
            Whole,
            "packets_all_phases",
            "packets of every kind, calms included",
            |facts| facts.packets,
        ),
        fact_column(Text, "trace_hash", "a hash over everything that happened", |facts| {
            format!("{:016x}", facts.trace_hash)
        }),
        fact_column(
            Whole,
            "in_flight_peak",
            "the most messages unacknowledged at one time",
            |facts| facts.in_flight_peak,
        ),
        fact_column(Whole, "queued_peak", "the most messages waiting at one time", |f| {
            f.queued_peak
        }),
        fact_column(Time, "recovery_s", "from the last fault's end to an empty backlog", |facts| {
            facts.recovery
        }),
        fact_column(
            Whole,
            "breaks_expected",
            "promises broken as the scenario declares",
            |facts| facts.breaks_expected,
        ),
        fact_column(Whole, "breaks_unexpected", "promises broken otherwise", |f| {
            f.breaks_unexpected
        }),
        fact_column(Whole, "rules_broken", "rules of the standard broken", |facts| {
            facts.rules_broken
        }),
        fact_column(Whole, "excused_units", "units owed but for an accepted reason", |f| f.excused),
    ]
}

/// A column measured for one published QoS.
fn qos_column<'a, F: Into<FieldValue>>(
    kind: FieldKind,
    name: impl Into<std::borrow::Cow<'static, str>>,
    about: impl Into<std::borrow::Cow<'static, str>>,
    getter: impl Fn(&QosRow) -> F + 'a,
) -> TableColumn<'a, TrialQosRow<'a>> {
    TableColumn::new(kind, name, about, move |line: &TrialQosRow<'a>| line.row.map(&getter).into())
}

fn count_columns<'a>() -> impl Iterator<Item = TableColumn<'a, TrialQosRow<'a>>> {
    points::counts().map(|(name, about, of)| {
        qos_column(FieldKind::Whole, name, about, move |row| of(&row.counts))
    })
}

fn ratio_columns<'a>() -> Vec<TableColumn<'a, TrialQosRow<'a>>> {
    use FieldKind::Number;
    let ratio = |part: f64, whole: f64| (whole > 0.0).then(|| part / whole);
    vec![
        qos_column(Number, "copies_per_delivered", "copies of each unit delivered", move |row| {
            let DeliveryCounts { delivered, extra_copies, .. } = row.counts;
            ratio(to_f64(delivered + extra_copies), to_f64(delivered))
        }),
        qos_column(Number, "packets_per_message", "message packets per message", move |row| {
            ratio(to_f64(row.total_sent().packets), to_f64(row.counts.messages))
        }),
        qos_column(
            Number,
            "bytes_per_message",
            "their bytes on the wire per message",
            move |row| ratio(to_f64(row.total_sent().bytes), to_f64(row.counts.messages)),
        ),
        qos_column(Number, "overhead", "wire bytes a payload byte delivered once", move |row| {
            ratio(to_f64(row.total_sent().bytes), row.delivered_payload)
        }),
    ]
}

fn time_columns<'a>(what: &'static str, about: &str) -> Vec<TableColumn<'a, TrialQosRow<'a>>> {
    let of = move |row: &QosRow| match what {
        "latency" => row.latency,
        _ => row.completion,
    };
    points::STATISTICS
        .into_iter()
        .map(|(name, words)| {
            let value = move |line: &TrialQosRow<'a>| {
                line.row.map_or(FieldValue::Empty, |row| points::statistic_field(of(row), name))
            };
            let (name, about) = (format!("{what}_{name}_s"), format!("{about}: {words}"));
            TableColumn::new(FieldKind::Time, name, about, value)
        })
        .collect()
}

fn traffic_columns<'a>() -> Vec<TableColumn<'a, TrialQosRow<'a>>> {
    let hops = [("hop1", "from publishers to the broker"), ("hop2", "from the broker on")];
    let mut columns = Vec::new();
    for (hop, (hop_name, way)) in hops.into_iter().enumerate() {
        for (nth, kind) in MESSAGE_KINDS.into_iter().enumerate() {
            let (kind, label) = (kind.label().to_lowercase(), kind.label());
            let mut column = |what: &str, about: &str, of: fn(&PacketTraffic) -> u64| {
                let name = format!("{hop_name}_{kind}_{what}");
                let about = format!("{label} {way}: {about}");
                columns.push(qos_column(FieldKind::Whole, name, about, move |row| {
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

type PacketTraffic = qoslab_guarantee::KindTraffic;

/// Packets that belong to no message are the whole trial's, so they stand in each of its rows.
fn control_columns<'a>() -> Vec<TableColumn<'a, TrialQosRow<'a>>> {
    let kinds = PacketKind::ALL.into_iter().filter(|kind| !kind.carries_message());
    let columns = kinds.flat_map(|kind| {
        let (name, label) = (kind.label().to_lowercase(), kind.label());
        let of = move |line: &TrialQosRow<'a>, bytes: bool| {
            let Some(facts) = line.row.and(line.trial.summary.as_ref()) else {
                return FieldValue::Empty;
            };
            let count = facts.control[kind as usize];
            (if bytes { count.bytes } else { count.packets }).into()
        };
        let about = format!("{label} in the whole trial");
        let (packets, bytes) = (format!("{name}_packets"), format!("{name}_bytes"));
        [
            TableColumn::new(FieldKind::Whole, packets, about.clone(), move |l| of(l, false)),
            TableColumn::new(FieldKind::Whole, bytes, about + ", on the wire", move |l| {
                of(l, true)
            }),
        ]
    });
    columns.collect()
}

fn purpose_columns<'a>() -> Vec<TableColumn<'a, TrialQosRow<'a>>> {
    let columns = BytesByPurpose::PURPOSES.into_iter().map(|(name, about, of)| {
        let about = format!("wire bytes of the whole trial: {about}");
        TableColumn::new(
            FieldKind::Whole,
            format!("all_{name}_bytes"),
            about,
            move |l: &TrialQosRow<'a>| {
                l.row.and(l.trial.summary.as_ref()).map(|facts| of(&facts.bytes)).into()
            },
        )
    });
    columns.collect()
}
