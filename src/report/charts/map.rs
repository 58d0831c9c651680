//! The map over two axes: the cheapest QoS that meets the needs, in each cell.

use super::ChartOptions;
use super::sentences::together;
use super::series::subtitle;
use crate::base::qos::QoS;
use crate::report::chart::map::{self, Map};
use crate::report::chart::{Chart, Words};
use crate::report::number;
use crate::scenario::axis::Axis;
use crate::scenario::expect::{Metric, Need};
use crate::study::needs::{Value, measure, meets};
use crate::study::sweep::{Cell, Study};

/// `None` without two axes and a whole grid over them, or without any need.
pub(super) fn map(study: &Study, options: &ChartOptions) -> Option<Chart> {
    let [x, y] = study.axes.as_slice() else { return None };
    let needs = match options.needs.as_slice() {
        [] => &study.cells.first()?.result.scenario.expect.needs,
        needs => needs,
    };
    let is_flat = x.values.len() < 2 || y.values.len() < 2;
    if is_flat || needs.is_empty() || study.cells.len() != x.values.len() * y.values.len() {
        return None;
    }
    let chosen: Vec<_> =
        study.cells.iter().map(|cell| cheapest(cell, needs, options.objective)).collect();
    let rows = y.values.len();
    let cells = chosen.chunks(rows).map(|column| {
        let named = |it: &Option<(QoS, Value)>| it.map(|(qos, value)| (qos, number::value(value)));
        column.iter().map(named).collect()
    });
    let names = |axis: &Axis| axis.values.iter().map(|value| value.text.clone()).collect();
    let map = Map {
        x_title: x.path.clone(),
        y_title: y.path.clone(),
        columns: names(x),
        rows: names(y),
        cells: cells.collect(),
    };
    let said = finding(&chosen, objective_name(options.objective));
    let needed = needs.iter().map(|need| need.text.as_str()).collect::<Vec<_>>().join(", ");
    let all: Vec<&Cell> = study.cells.iter().collect();
    let words = Words {
        id: "map",
        title: said.clone(),
        subtitle: subtitle(&all, &[format!("needs: {needed}")]),
        alt: format!("{} against {}. {said}.", map.y_title, map.x_title),
        caption: format!(
            "In each cell the QoS with the least {} of those that meet all needs, with that \
             number. Hatched: none does.",
            objective_name(options.objective)
        ),
    };
    Some(map::draw(words, &map))
}

/// The QoS that meets all needs at the least cost; of equals, the lower one.
fn cheapest(cell: &Cell, needs: &[Need], objective: Metric) -> Option<(QoS, Value)> {
    let points = &cell.result.points;
    let mut best: Option<(QoS, Value)> = None;
    for point in points {
        for qos in point.levels() {
            let asked = |need: &&Need| need.qos.is_none_or(|wanted| wanted == qos);
            let mut asked = needs.iter().filter(asked);
            if !asked.all(|need| meets(need, point, points, qos) == Some(true)) {
                continue;
            }
            let Some(cost) = measure(point, qos, objective, false) else { continue };
            if best.is_none_or(|(_, least)| cost.number() < least.number()) {
                best = Some((qos, cost));
            }
        }
    }
    best
}

/// In how many cells which QoS is the choice.
fn finding(chosen: &[Option<(QoS, Value)>], least: &str) -> String {
    let count = |of: Option<QoS>| chosen.iter().filter(|it| it.map(|(qos, _)| qos) == of).count();
    let all = chosen.len();
    let found = QoS::ALL.map(|qos| (qos, count(Some(qos))));
    let won: Vec<_> = found.into_iter().filter(|(_, cells)| *cells > 0).collect();
    if won.is_empty() {
        return "No QoS meets the needs anywhere".to_owned();
    }
    let names: Vec<String> =
        won.iter().map(|(qos, cells)| format!("QoS {qos} in {cells}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let none = match count(None) {
        0 => String::new(),
        none => format!(", none in {none}"),
    };
    format!("Least {least} within the needs: {} of {all} cells{none}", together(&names))
}

/// A metric in words.
const fn objective_name(metric: Metric) -> &'static str {
    match metric {
        Metric::Packets => "packets for each message",
        Metric::Bytes => "bytes for each message",
        Metric::Overhead => "bytes for each payload byte",
        Metric::Latency(_) => "latency",
        Metric::Completion(_) => "time to the end of the handshake",
        Metric::Delivered => "deliveries",
        Metric::Lost => "losses",
        Metric::Duplicated => "duplicates",
        Metric::Copies => "copies for each unit",
        Metric::Unexpected => "unexpected deliveries",
        Metric::Stuck => "messages never acknowledged",
        Metric::Reordered => "deliveries out of order",
        Metric::InFlight => "messages in flight",
        Metric::Queued => "messages queued",
        Metric::Recovery => "time to recover",
        Metric::Energy => "energy for each message",
        Metric::Power => "mean power of a radio",
        Metric::Battery => "battery life",
    }
}
