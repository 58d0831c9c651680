//! The map over two axes: the cheapest QoS that meets the needs, in each cell.

use super::ChartOptions;
use super::series::subtitle;
use crate::chart::map::{self, ChoiceMap};
use crate::chart::{Chart, ChartText};
use crate::{choice, number};
use qoslab_core::base::QoS;
use qoslab_study::choose::{Objective, candidates, cheapest};
use qoslab_study::scenario::{Axis, Need};
use qoslab_study::{MetricValue, Study, StudyCell};

/// `None` without two axes and a whole grid over them, or without any need.
pub(super) fn choice_map(study: &Study, options: &ChartOptions) -> Option<Chart> {
    let [x, y] = study.axes.as_slice() else { return None };
    let needs = options.needs(study);
    let is_flat = x.values.len() < 2 || y.values.len() < 2;
    if is_flat || needs.is_empty() || study.cells.len() != x.values.len() * y.values.len() {
        return None;
    }
    let chosen: Vec<_> =
        study.cells.iter().map(|cell| cheapest_in_cell(cell, needs, &options.objective)).collect();
    let rows = y.values.len();
    let cells = chosen.chunks(rows).map(|column| {
        let named = |it: &Option<(QoS, MetricValue)>| {
            it.map(|(qos, value)| (qos, number::format_value(value)))
        };
        column.iter().map(named).collect()
    });
    let names = |axis: &Axis| axis.values.iter().map(|value| value.text.clone()).collect();
    let map = ChoiceMap {
        x_title: x.path.clone(),
        y_title: y.path.clone(),
        columns: names(x),
        rows: names(y),
        cells: cells.collect(),
    };
    let summary = finding(&chosen);
    let least = choice::objective_phrase(&options.objective);
    let needed = needs.iter().map(|need| need.text.as_str()).collect::<Vec<_>>().join(", ");
    let all: Vec<&StudyCell> = study.cells.iter().collect();
    let chart_text = ChartText {
        id: "map".into(),
        title: summary.clone(),
        subtitle: subtitle(&all, &[format!("needs: {needed}"), format!("cheapest: least {least}")]),
        alt: format!("{} against {}. {summary}.", map.y_title, map.x_title),
        caption: format!(
            "In each cell the QoS with the least {least} of those whose promises hold and that \
             meet all needs, with that number. Hatched: none does."
        ),
    };
    Some(map::draw(chart_text, &map))
}

/// The cheapest QoS of a cell that meets all needs, with its cost.
fn cheapest_in_cell(
    cell: &StudyCell,
    needs: &[Need],
    objective: &Objective,
) -> Option<(QoS, MetricValue)> {
    let options = candidates(&cell.result, needs, objective);
    let best = &options[cheapest(&options)?];
    Some((best.qos, MetricValue::Number(best.cost.value)))
}

/// The number of cells in which each QoS is the choice.
fn finding(chosen: &[Option<(QoS, MetricValue)>]) -> String {
    let count = |of: Option<QoS>| chosen.iter().filter(|it| it.map(|(qos, _)| qos) == of).count();
    let all = chosen.len();
    let found = QoS::ALL.map(|qos| (qos, count(Some(qos))));
    let mut won = found.into_iter().filter(|(_, cells)| *cells > 0);
    let Some((first, cells)) = won.next() else {
        return "No QoS meets the needs anywhere".to_owned();
    };
    let of = if cells == all { format!("all {all}") } else { format!("{cells} of {all}") };
    let of = of.replace(' ', "\u{a0}");
    let others = won.map(|(qos, cells)| format!(", QoS\u{a0}{qos} in\u{a0}{cells}"));
    let none = match count(None) {
        0 => String::new(),
        none => format!("; none meets them in\u{a0}{none}"),
    };
    format!(
        "QoS\u{a0}{first} is the cheapest within the needs in\u{a0}{of} cells{}{none}",
        others.collect::<String>()
    )
}
