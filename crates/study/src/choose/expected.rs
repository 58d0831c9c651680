//! The choice that the closed forms make, without any trial.

use super::candidate::{Candidate, float};
use super::flips::{Level, Picked};
use super::wanted::{Objective, Wanted};
use crate::needs::holds;
use crate::scenario::expect::{Bound, Metric, Need, Statistic};
use crate::scenario::{Point, Scenario};
use crate::theory::{Theory, theory};
use qoslab_core::base::qos::QoS;

/// The cheapest level by theory; `None` where theory does not know. Of the options' costs only
/// packets have a closed form: other costs are taken to be in the order in which they were
/// measured.
pub(super) fn choice(
    scenario: &Scenario,
    options: &[&Candidate],
    wanted: &Wanted,
) -> Option<Picked> {
    let mut best: Option<(f64, Level)> = None;
    for option in options {
        let level = option.level();
        let point = point(scenario, level)?;
        let theory = theory(point, level.qos)?;
        let mut meets = true;
        for need in &wanted.needs {
            meets &= met(need, scenario, point, level)?;
        }
        let cost = match wanted.objective {
            Objective::Packets => theory.packets,
            Objective::Bytes | Objective::Energy | Objective::Money(_) => option.cost.value,
        };
        if meets && best.is_none_or(|(least, it)| (cost, level.qos) < (least, it.qos)) {
            best = Some((cost, level));
        }
    }
    Some(Picked(best.map(|(_, level)| level)))
}

fn point(scenario: &Scenario, level: Level) -> Option<&Point> {
    let mut points = scenario.points.iter();
    points.find(|it| it.published == Some(level.qos) && it.granted == level.granted)
}

fn met(need: &Need, scenario: &Scenario, point: &Point, level: Level) -> Option<bool> {
    let as_share = matches!(need.bound, Bound::Share(_));
    let value = |point: &Point, qos: QoS| expected(need.metric, point, qos, as_share);
    let bound = match need.bound {
        Bound::Number(number) | Bound::Share(number) => number,
        Bound::Span(span) => span.as_secs_f64(),
        Bound::Times(factor, qos) => {
            let other = self::point(scenario, Level { qos, granted: level.granted })?;
            factor * value(other, qos)?
        }
    };
    Some(holds(need.comparison, value(point, level.qos)?, bound))
}

/// What theory expects of a metric, in the unit in which it is measured; `None` where no form is
/// known.
fn expected(metric: Metric, point: &Point, qos: QoS, as_share: bool) -> Option<f64> {
    let theory: Theory = theory(point, qos)?;
    let streams = point.setup.streams.iter().filter(|stream| stream.qos == qos);
    // Each stream has one subscription, as theory assumes: a unit for each message.
    let units = float(streams.map(|stream| u64::from(stream.count)).sum());
    let counted = |share: f64| Some(if as_share { share } else { share * units });
    match metric {
        Metric::Delivered => counted(theory.delivered),
        Metric::Lost => counted(1.0 - theory.delivered),
        Metric::Duplicated => counted(theory.duplicated),
        Metric::Copies => Some(1.0 + theory.extra_copies / theory.delivered),
        Metric::Packets => Some(theory.packets),
        Metric::Latency(Statistic::Quantile(share)) => theory.quantile(share),
        Metric::Latency(Statistic::Mean) => theory.latency,
        _ => None,
    }
}
