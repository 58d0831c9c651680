//! The data of lines and bars: the figures of each QoS along one axis.

use std::collections::BTreeSet;

use crate::chart::axis::{AxisRange, ChartAxis as Scale, NumberFormat};
use crate::point_summary::PointSummary;
use crate::{describe, number};
use qoslab_core::base::QoS;
use qoslab_study::scenario::{Axis, Unit};
use qoslab_study::statistics::to_f64;
use qoslab_study::{PointResult, Study, StudyCell, Theory, theory};

/// The cells along a study's first axis, with all other axes at one value each.
pub(super) struct AxisSlice<'a> {
    /// The axis; `None` if there is but one cell.
    pub(super) axis: Option<&'a Axis>,
    /// The cells, from the least value to the greatest.
    pub(super) cells: Vec<&'a StudyCell>,
    /// The fixed parameters: `client.sensor.retry 1s`.
    fixed_values: Vec<String>,
}

/// One QoS along a slice.
pub(super) struct Series<'a> {
    /// `QoS 1`; with the granted QoS where that is an axis: `QoS 1, granted 0`.
    pub(super) name: String,
    pub(super) qos: QoS,
    pub(super) points: Vec<SeriesPoint<'a>>,
}

/// One QoS in one cell.
pub(super) struct SeriesPoint<'a> {
    /// The position on the axis, in its unit.
    pub(super) x: f64,
    pub(super) point: &'a PointResult,
    pub(super) summary: PointSummary,
    pub(super) theory: Option<Theory>,
}

impl<'a> AxisSlice<'a> {
    /// The slice with the most cells; of several such, the middle one.
    pub(super) fn longest(study: &'a Study) -> Self {
        let others = |cell: &'a StudyCell| {
            cell.values.iter().skip(1).map(|value| value.text.as_str()).collect::<Vec<_>>()
        };
        let mut groups: Vec<(Vec<&str>, Vec<&StudyCell>)> = Vec::new();
        for cell in &study.cells {
            let held = others(cell);
            match groups.iter_mut().find(|(known, _)| *known == held) {
                Some((_, cells)) => cells.push(cell),
                None => groups.push((held, vec![cell])),
            }
        }
        let most = groups.iter().map(|(_, cells)| cells.len()).max().unwrap_or(0);
        groups.retain(|(_, cells)| cells.len() == most);
        if groups.is_empty() {
            return Self { axis: None, cells: Vec::new(), fixed_values: Vec::new() };
        }
        let (values, mut cells) = groups.swap_remove(groups.len() / 2);
        let named = study.axes.iter().skip(1).zip(values);
        let mut held: Vec<_> = named.map(|(axis, text)| format!("{} {text}", axis.path)).collect();
        let axis = study.axes.first().filter(|_| cells.len() > 1);
        if let (None, Some(first), Some(cell)) = (axis, study.axes.first(), cells.first()) {
            held.insert(0, format!("{} {}", first.path, cell.values[0].text));
        }
        cells.sort_by(|one, other| x_value(one).total_cmp(&x_value(other)));
        Self { axis, cells, fixed_values: held }
    }

    /// The subtitle: the parameters that hold for the whole slice.
    pub(super) fn subtitle(&self) -> String {
        subtitle(&self.cells, &self.fixed_values)
    }

    /// The horizontal axis.
    pub(super) fn x_axis(&self) -> Option<Scale> {
        let axis = self.axis?;
        let (title, kind) = axis_title(axis);
        let values: Vec<f64> = self.cells.iter().map(|cell| x_value(cell)).collect();
        // Values that go up by factors are to stand apart, and not crowd at one end.
        let by_factors = values.windows(2).all(|pair| pair[0] > 0.0 && pair[1] >= 1.5 * pair[0]);
        let range =
            if by_factors && values.len() > 3 { AxisRange::TightLog } else { AxisRange::Tight };
        Some(Scale::covering(title, kind, range, values))
    }

    /// The place of a finding: `at loss 30%`, the last value of the axis; empty without one.
    pub(super) fn place_name(&self) -> String {
        let last = self.axis.zip(self.cells.last());
        last.map(|(axis, cell)| format!("at {} {}", axis.field(), cell.values[0].text))
            .unwrap_or_default()
    }
}

/// The title of a horizontal axis, with the unit where the numbers do not have it.
fn axis_title(axis: &Axis) -> (String, NumberFormat) {
    match axis.unit {
        Unit::Seconds => (axis.path.clone(), NumberFormat::Seconds),
        Unit::Plain => (axis.path.clone(), NumberFormat::Plain),
        unit => (format!("{} ({})", axis.path, unit.symbol()), NumberFormat::Plain),
    }
}

fn x_value(cell: &StudyCell) -> f64 {
    cell.values.first().map_or(0.0, |value| value.number)
}

/// The parameters that are fixed over some cells: the scenario, and transport, retry rule and size
/// where they are the same in all.
pub(super) fn subtitle(cells: &[&StudyCell], fixed_values: &[String]) -> String {
    let Some(first) = cells.first() else { return String::new() };
    let scenario = &first.result.scenario;
    let same = |of: &dyn Fn(&StudyCell) -> String| {
        let texts: BTreeSet<String> = cells.iter().map(|cell| of(cell)).collect();
        if texts.len() == 1 { texts.into_iter().next() } else { None }
    };
    let setup = |cell: &StudyCell| cell.result.scenario.points.first().map(|it| it.setup.clone());
    let seeds = |cell: &StudyCell| {
        let most = cell.result.points.iter().map(|point| point.trials.len()).max();
        number::counted(most.unwrap_or(0) as u64, "seed")
    };
    let parts = [
        Some(scenario.name.clone()),
        same(&|cell| describe::scenario_properties(&cell.result.scenario).transport),
        same(&|cell| {
            format!("retry {}", describe::scenario_properties(&cell.result.scenario).retry)
        }),
        same(&|cell| setup(cell).map(|it| describe::workload_size(&it)).unwrap_or_default()),
        same(&seeds),
    ];
    let parts = parts.into_iter().flatten().chain(fixed_values.iter().cloned());
    parts.filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" · ")
}

/// The QoS of a slice, each with all cells in which it was published.
pub(super) fn all_series<'a>(slice: &AxisSlice<'a>) -> Vec<Series<'a>> {
    let mut all: Vec<(Option<QoS>, Series<'a>)> = Vec::new();
    for cell in &slice.cells {
        for point in &cell.result.points {
            for figures in PointSummary::for_point(point) {
                let (qos, granted) = (figures.published, figures.granted);
                let theory = theory(&cell.result.scenario.points[point.index], qos);
                let spot = SeriesPoint { x: x_value(cell), point, summary: figures, theory };
                let mut same = all.iter_mut();
                let known = same.find(|(other, it)| *other == granted && it.qos == qos);
                if let Some((_, series)) = known {
                    series.points.push(spot);
                    continue;
                }
                let name = match granted {
                    None => format!("QoS {qos}"),
                    Some(granted) => format!("QoS {qos}, granted {granted}"),
                };
                all.push((granted, Series { name, qos, points: vec![spot] }));
            }
        }
    }
    all.into_iter().map(|(_, series)| series).collect()
}

impl SeriesPoint<'_> {
    /// A number of units as a share of all.
    pub(super) fn share_of_units(&self, count: u64) -> f64 {
        if self.summary.totals.units == 0 {
            0.0
        } else {
            to_f64(count) / to_f64(self.summary.totals.units)
        }
    }
}

impl<'a> Series<'a> {
    /// The end of a series: its cell of the greatest value.
    pub(super) fn last(&self) -> &SeriesPoint<'a> {
        self.points.last().expect("a series is made with its first spot")
    }
}
