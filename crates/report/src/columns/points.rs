//! `points.csv`: one row for each cell, point and published QoS, over all seeds, with both ends
//! of every 95 % interval.

use super::identity::{IdentifiedRow, identity_columns, parameter_columns, partial_column};
use super::{ColumnSpec, ColumnTable, FieldKind, FieldValue, TableColumn};
use crate::accounts::ACCOUNTS;
use crate::describe::{self, ScenarioProperties};
use crate::labels;
use crate::point_summary::PointSummary;
use qoslab_core::base::{QoS, Span};
use qoslab_guarantee::{BytesByPurpose, DeliveryCounts};
use qoslab_study::scenario::Metric;
use qoslab_study::statistics::ConfidenceInterval;
use qoslab_study::{MetricValue, PointResult, Quantiles, Study, StudyCell, measure_metric};

/// One published QoS of one point of one cell.
#[derive(Clone, Debug)]
pub struct PointRow<'a> {
    cell: &'a StudyCell,
    point: &'a PointResult,
    rules: ScenarioProperties,
    summary: PointSummary,
}

impl IdentifiedRow for PointRow<'_> {
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
        Some(self.summary.published)
    }
}

/// The table of all points. The columns of parameters are the first study's: give studies
/// together that vary the same.
#[must_use]
pub fn points(studies: &[Study]) -> ColumnTable<'_, PointRow<'_>> {
    let cells = studies.iter().flat_map(|study| &study.cells);
    let rows = cells.flat_map(|cell| {
        let rules = describe::scenario_properties(&cell.result.scenario);
        let points = cell.result.points.iter();
        let figures =
            points.flat_map(|point| PointSummary::for_point(point).map(move |it| (point, it)));
        figures.map(move |(point, figures)| PointRow {
            cell,
            point,
            rules: rules.clone(),
            summary: figures,
        })
    });
    ColumnTable { rows: rows.collect(), columns: columns(studies.first()) }
}

type CountGetter = fn(&DeliveryCounts) -> u64;

/// Counts of messages and units, and where they went: name, meaning, value.
pub(super) fn counts() -> impl Iterator<Item = ColumnSpec<CountGetter>> {
    let accounts = ACCOUNTS.into_iter().map(|it| (it.name, it.about, it.count));
    COUNTS.into_iter().chain(accounts)
}

const COUNTS: [ColumnSpec<CountGetter>; 11] = [
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
pub(super) const STATISTICS: [(&str, &str); 7] = [
    ("mean", "the mean of those that came"),
    ("p50", "the median; what never came counts as infinite"),
    ("p90", "the 90 % quantile; what never came counts as infinite"),
    ("p95", "the 95 % quantile; what never came counts as infinite"),
    ("p99", "the 99 % quantile; what never came counts as infinite"),
    ("p99.9", "the 99.9 % quantile; what never came counts as infinite"),
    ("max", "the largest; inf if one never came"),
];

/// One of [`STATISTICS`].
pub(super) fn statistic_field(quantiles: Quantiles, name: &str) -> FieldValue {
    let never = |span: Option<Span>| span.map_or(FieldValue::Never, FieldValue::Time);
    match name {
        "mean" => quantiles.mean.into(),
        "p50" => never(quantiles.p50),
        "p90" => never(quantiles.p90),
        "p95" => never(quantiles.p95),
        "p99" => never(quantiles.p99),
        "p99.9" => never(quantiles.p999),
        _ => never(quantiles.max),
    }
}

fn columns<'a>(study: Option<&'a Study>) -> Vec<TableColumn<'a, PointRow<'a>>> {
    let mut columns = Vec::from(identity_columns());
    columns.extend(summary_columns());
    columns.push(partial_column());
    columns.extend(study.into_iter().flat_map(parameter_columns));
    columns.extend(counts().map(|(name, about, of)| {
        let about = format!("{about}, over all runs");
        TableColumn::new(FieldKind::Whole, name, about, move |line: &PointRow<'a>| {
            of(&line.summary.totals).into()
        })
    }));
    let copies = "copies of each unit delivered, over all runs";
    columns.push(TableColumn::new(
        FieldKind::Number,
        "copies_per_delivered",
        copies,
        |line: &PointRow<'a>| line.summary.copies.into(),
    ));
    for (name, about, of) in ESTIMATES {
        columns.extend(interval_columns(name, about, of));
    }
    for (what, about) in TIMES {
        columns.extend(STATISTICS.into_iter().map(|(name, words)| {
            let value = move |line: &PointRow<'a>| {
                let figures = &line.summary;
                let times = if what == "latency" { figures.latency } else { figures.completion };
                statistic_field(times, name)
            };
            let about = format!("{about}, over all runs together: {words}");
            TableColumn::new(FieldKind::Time, format!("{what}_{name}_s"), about, value)
        }));
    }
    columns.extend(whole_point_columns());
    columns
}

fn summary_columns<'a>() -> [TableColumn<'a, PointRow<'a>>; 2] {
    let verdict = "how the point stands: the worst of its trials";
    [
        TableColumn::new(FieldKind::Whole, "runs", "how many trials", |line: &PointRow<'a>| {
            line.summary.runs.into()
        }),
        TableColumn::new(FieldKind::Text, "verdict", verdict, |line: &PointRow<'a>| {
            labels::verdict(line.summary.verdict).into()
        }),
    ]
}

/// Figures that belong to whole trials and so to the point: bytes by purpose, radios and bills.
fn whole_point_columns<'a>() -> Vec<TableColumn<'a, PointRow<'a>>> {
    let purposes =
        BytesByPurpose::PURPOSES.into_iter().enumerate().map(|(nth, (name, about, _))| {
            let about = format!("wire bytes of the whole point for each message: {about}");
            let name = format!("all_{name}_bytes_per_message");
            TableColumn::new(FieldKind::Number, name, about, move |line: &PointRow<'a>| {
                line.point.bytes_by_purpose().map(|all| all[nth]).into()
            })
        });
    let radios: [ColumnSpec<Metric>; 3] = [
        ("energy_per_message_j", "joules of all clients' radios per message", Metric::Energy),
        ("radio_power_mw", "the mean power of one radio in milliwatts", Metric::Power),
        ("battery_years", "how long the radios' batteries last, in years", Metric::Battery),
    ];
    let radios = radios.into_iter().map(|(name, about, metric)| {
        TableColumn::new(FieldKind::Number, name, about, move |line: &PointRow<'a>| {
            measure_metric(line.point, line.summary.published, metric, false)
                .map(MetricValue::number)
                .into()
        })
    });
    let device = "megabytes that a billed device sends and receives in a month of 30 days";
    let cost = "what they cost, in the currency of the prices";
    let bills = [
        TableColumn::new(FieldKind::Number, "device_mb_per_month", device, |it: &PointRow<'a>| {
            it.point.monthly_bill().map(|bill| bill.megabytes.value).into()
        }),
        TableColumn::new(FieldKind::Number, "device_cost_per_month", cost, |it: &PointRow<'a>| {
            it.point.monthly_bill().and_then(|bill| bill.cost).into()
        }),
    ];
    purposes.chain(radios).chain(bills).collect()
}

type EstimateGetter = fn(&PointSummary) -> Option<ConfidenceInterval>;

type IntervalPart = fn(ConfidenceInterval) -> f64;

/// Estimates with their intervals.
const ESTIMATES: [ColumnSpec<EstimateGetter>; 6] = [
    ("delivered_share", "share of units delivered, 0 to 1", |figures| {
        (figures.totals.units > 0).then_some(figures.delivered)
    }),
    ("lost_per_run", "units lost, the mean per run", |figures| Some(figures.lost)),
    ("duplicated_per_run", "units duplicated, the mean per run", |f| Some(f.duplicated)),
    ("packets_per_message", "message packets per message, the mean per run", |f| Some(f.packets)),
    ("bytes_per_message", "their wire bytes per message, the mean per run", |f| Some(f.bytes)),
    ("overhead", "wire bytes per payload byte delivered once, the mean per run", |f| f.overhead),
];

fn interval_columns<'a>(
    name: &'static str,
    about: &'static str,
    getter: EstimateGetter,
) -> [TableColumn<'a, PointRow<'a>>; 3] {
    let ends: [ColumnSpec<IntervalPart>; 3] = [
        ("", "", |interval| interval.value),
        ("_low95", ": lower end of the 95 % interval", |interval| interval.low),
        ("_high95", ": upper end of the 95 % interval", |interval| interval.high),
    ];
    ends.map(|(end, words, pick)| {
        let value = move |line: &PointRow<'a>| getter(&line.summary).map(pick).into();
        TableColumn::new(
            FieldKind::Number,
            format!("{name}{end}"),
            format!("{about}{words}"),
            value,
        )
    })
}
