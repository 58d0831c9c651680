//! The choice that the closed forms make, without any trial.

use super::candidate::Candidate;
use super::criteria::{ChoiceCriteria, Objective};
use super::crossovers::{ChosenQos, QosChoice};
use crate::needs::is_bound_met;
use crate::scenario::{Bound, Metric, Need, Point, Scenario, Statistic};
use crate::statistics::to_f64;
use crate::theory::{Theory, theory};
use qoslab_core::base::QoS;

/// The cheapest level by theory; `None` where theory does not know. Of the options' costs only
/// packets have a closed form: other costs are taken to be in the order in which they were
/// measured.
pub(super) fn closed_form_choice(
    scenario: &Scenario,
    options: &[&Candidate],
    criteria: &ChoiceCriteria,
) -> Option<ChosenQos> {
    let mut best: Option<(f64, QosChoice)> = None;
    for option in options {
        let level = option.level();
        let point = find_point(scenario, level)?;
        let theory = theory(point, level.qos)?;
        let mut meets = true;
        for need in &criteria.needs {
            meets &= is_met(need, scenario, point, level)?;
        }
        let cost = match criteria.objective {
            Objective::Packets => theory.packets,
            Objective::Bytes | Objective::Energy | Objective::Money { .. } => option.cost.value,
        };
        if meets && best.is_none_or(|(least, it)| (cost, level.qos) < (least, it.qos)) {
            best = Some((cost, level));
        }
    }
    Some(ChosenQos(best.map(|(_, level)| level)))
}

fn find_point(scenario: &Scenario, level: QosChoice) -> Option<&Point> {
    let mut points = scenario.points.iter();
    points.find(|it| it.published == Some(level.qos) && it.granted == level.granted)
}

fn is_met(need: &Need, scenario: &Scenario, point: &Point, level: QosChoice) -> Option<bool> {
    let as_share = matches!(need.bound, Bound::Share(_));
    let value = |point: &Point, qos: QoS| expected_value(need.metric, point, qos, as_share);
    let bound = match need.bound {
        Bound::Number(number) | Bound::Share(number) => number,
        Bound::Span(span) => span.as_secs_f64(),
        Bound::TimesOther(factor, qos) => {
            let other = find_point(scenario, QosChoice { qos, granted: level.granted })?;
            factor * value(other, qos)?
        }
    };
    Some(is_bound_met(need.comparison, value(point, level.qos)?, bound))
}

/// The prediction of theory for a metric, in the unit in which it is measured; `None` where no form
/// is known.
fn expected_value(metric: Metric, point: &Point, qos: QoS, as_share: bool) -> Option<f64> {
    let theory: Theory = theory(point, qos)?;
    let streams = point.setup.publishers.iter().filter(|stream| stream.qos == qos);
    // Each stream has one subscription, as theory assumes: a unit for each message.
    let units = to_f64(streams.map(|stream| u64::from(stream.count)).sum());
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
