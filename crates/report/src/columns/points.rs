//! `points.csv`: one row for each cell, point and published QoS, over all seeds, with both ends
//! of every 95 % interval.

use super::{Column, Field, FieldKind, Named, Table};
use crate::describe::{self, Rules};
use crate::figures::Figures;
use crate::words;
use qoslab_core::base::time::Span;
use qoslab_guarantee::metrics::{Counts, Purposes};
use qoslab_study::needs::{Value, measure};
use qoslab_study::result::{PointResult, Quantiles};
use qoslab_study::scenario::MODEL;
use qoslab_study::scenario::expect::Metric;
use qoslab_study::statistics::Interval;
use qoslab_study::sweep::{Cell, Study};

/// One published QoS of one point of one cell.
#[derive(Clone, Debug)]
pub struct Line<'a> {
    cell: &'a Cell,
    point: &'a PointResult,
    rules: Rules,
    figures: Figures,
}

/// The table of all points. The columns of parameters are the first study's: give studies
/// together that vary the same.
#[must_use]
pub fn points(studies: &[Study]) -> Table<'_, Line<'_>> {
    let cells = studies.iter().flat_map(|study| &study.cells);
    let rows = cells.flat_map(|cell| {
        let rules = describe::rules(&cell.result.scenario);
        let points = cell.result.points.iter();
        let figures = points.flat_map(|point| Figures::of(point).map(move |it| (point, it)));
        figures.map(move |(point, figures)| Line { cell, point, rules: rules.clone(), figures })
    });
    Table { rows: rows.collect(), columns: columns(studies.first()) }
}

type OfCounts = fn(&Counts) -> u64;

/// Counts of messages and units: name, meaning, value.
pub(super) const COUNTS: [Named<OfCounts>; 11] = [
    ("messages", "calls to publish()", |counts| counts.messages),
    ("units", "messages times the subscribers to whom each is owed", |counts| counts.units),
    ("delivered", "units with at least one copy", |counts| counts.delivered),
    ("lost", "units without a copy", |counts| counts.lost),
    ("duplicated", "units with more copies than one", |counts| counts.duplicated),
    ("extra_copies", "copies beyond the first, over all units", |counts| counts.extra_copies),
    ("unexpected", "deliveries that nobody was owed", |counts| counts.unexpected),
    ("recovered", "units delivered though the publisher never learnt of it", |c| c.recovered),
    ("stuck", "messages accepted and never acknowledged", |counts| counts.stuck),
    ("reordered", "first copies after the first copy of a later message", |c| c.reordered),
    ("refused", "messages that the publisher's endpoint refused or gave up", |c| c.refused),
];

/// The two times that are measured, with what they are.
pub(super) const TIMES: [(&str, &str); 2] = [
    ("latency", "from publish() to the first delivery, in seconds"),
    ("completion", "from publish() to the end of the publisher's handshake, in seconds"),
];

/// The numbers of a distribution of times.
pub(super) const STATISTICS: [(&str, &str); 4] = [
    ("mean", "the mean of those that came"),
    ("p50", "the median; what never came counts as infinite"),
    ("p99", "the 99 % quantile; what never came counts as infinite"),
    ("max", "the largest; inf if one never came"),
];

/// One of [`STATISTICS`].
pub(super) fn statistic(quantiles: Quantiles, name: &str) -> Field {
    let never = |span: Option<Span>| span.map_or(Field::Never, Field::Time);
    match name {
        "mean" => quantiles.mean.into(),
        "p50" => never(quantiles.p50),
        "p99" => never(quantiles.p99),
        _ => never(quantiles.max),
    }
}

/// A column for each axis, with the cell's value in the axis's unit.
pub(super) fn parameters<'a, R: 'a>(
    study: &'a Study,
    cell: impl Fn(&R) -> &Cell + Copy + 'a,
) -> impl Iterator<Item = Column<'a, R>> {
    study.axes.iter().enumerate().map(move |(nth, axis)| {
        let name = format!("parameter_{}{}", axis.path, axis.unit.column());
        let about = format!("the value of `{}`", axis.path);
        Column::new(FieldKind::Number, name, about, move |row: &R| {
            cell(row).values.get(nth).map(|value| value.number).into()
        })
    })
}

fn columns<'a>(study: Option<&'a Study>) -> Vec<Column<'a, Line<'a>>> {
    let mut columns = identity();
    columns.extend(study.into_iter().flat_map(|study| parameters(study, |l: &Line<'_>| l.cell)));
    columns.extend(COUNTS.into_iter().map(|(name, about, of)| {
        let about = format!("{about}, over all runs");
        Column::new(FieldKind::Whole, name, about, move |line: &Line<'a>| {
            of(&line.figures.totals).into()
        })
    }));
    let copies = "copies of each unit delivered, over all runs";
    columns.push(Column::new(
        FieldKind::Number,
        "copies_per_delivered",
        copies,
        |line: &Line<'a>| line.figures.copies.into(),
    ));
    for (name, about, of) in MEANS {
        columns.extend(interval(name, about, of));
    }
    for (what, about) in TIMES {
        columns.extend(STATISTICS.into_iter().map(|(name, words)| {
            let value = move |line: &Line<'a>| {
                let figures = &line.figures;
                let times = if what == "latency" { figures.latency } else { figures.completion };
                statistic(times, name)
            };
            let about = format!("{about}, over all runs together: {words}");
            Column::new(FieldKind::Time, format!("{what}_{name}_s"), about, value)
        }));
    }
    columns.extend(of_points());
    columns
}

/// What belongs to whole trials and so to the point: bytes by purpose, and radios.
fn of_points<'a>() -> Vec<Column<'a, Line<'a>>> {
    let purposes = Purposes::EACH.into_iter().enumerate().map(|(nth, (name, about, _))| {
        let about = format!("wire bytes of the whole point for each message: {about}");
        let name = format!("all_{name}_bytes_per_message");
        Column::new(FieldKind::Number, name, about, move |line: &Line<'a>| {
            line.point.purposes().map(|all| all[nth]).into()
        })
    });
    let radios: [Named<Metric>; 3] = [
        ("energy_per_message_j", "joules of all clients' radios a message", Metric::Energy),
        ("radio_power_mw", "the mean power of one radio in milliwatts", Metric::Power),
        ("battery_years", "how long the radios' batteries last, in years", Metric::Battery),
    ];
    let radios = radios.into_iter().map(|(name, about, metric)| {
        Column::new(FieldKind::Number, name, about, move |line: &Line<'a>| {
            measure(line.point, line.figures.published, metric, false).map(Value::number).into()
        })
    });
    purposes.chain(radios).collect()
}

type OfFigures = fn(&Figures) -> Option<Interval>;

type OfInterval = fn(Interval) -> f64;

/// Estimates with their intervals.
const MEANS: [Named<OfFigures>; 6] = [
    ("delivered_share", "share of units delivered, 0 to 1", |figures| Some(figures.delivered)),
    ("lost_per_run", "units lost, the mean a run", |figures| Some(figures.lost)),
    ("duplicated_per_run", "units duplicated, the mean a run", |f| Some(f.duplicated)),
    ("packets_per_message", "message packets a message, the mean a run", |f| Some(f.packets)),
    ("bytes_per_message", "their wire bytes a message, the mean a run", |f| Some(f.bytes)),
    ("overhead", "wire bytes a payload byte delivered once, the mean a run", |f| f.overhead),
];

fn interval<'a>(
    name: &'static str,
    about: &'static str,
    of: OfFigures,
) -> [Column<'a, Line<'a>>; 3] {
    let ends: [Named<OfInterval>; 3] = [
        ("", "", |interval| interval.value),
        ("_low95", ": lower end of the 95 % interval", |interval| interval.low),
        ("_high95", ": upper end of the 95 % interval", |interval| interval.high),
    ];
    ends.map(|(end, words, pick)| {
        let value = move |line: &Line<'a>| of(&line.figures).map(pick).into();
        Column::new(FieldKind::Number, format!("{name}{end}"), format!("{about}{words}"), value)
    })
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
            line.figures.label.as_str().into()
        }),
        own(Whole, "published_qos", "the QoS of the messages that the row counts", |line| {
            u64::from(line.figures.published.number()).into()
        }),
        own(Whole, "granted_qos", "the QoS asked for by subscribers, where it is an axis", |l| {
            l.figures.granted.map(|qos| u64::from(qos.number())).into()
        }),
        own(Whole, "runs", "how many trials", |line| line.figures.runs.into()),
        own(Text, "verdict", "how the point stands: the worst of its trials", |line| {
            words::verdict(line.figures.verdict).into()
        }),
        own(Flag, "partial", "whether the run was interrupted before all trials ran", |line| {
            line.cell.result.is_partial().into()
        }),
    ]
}
