//! Candidates: one published QoS of one point, with its cost and its verdict on each need.

use super::confidence::{self, Confidence};
use super::criteria::Objective;
use super::crossovers::QosChoice;
use crate::needs::{NeedResult, judge_need_at};
use crate::result::{PointResult, ScenarioResult, TrialRow, Verdict};
use crate::scenario::{AxisValue, Need};
use crate::statistics::{self, ConfidenceInterval, to_f64};
use qoslab_core::base::QoS;

/// One published QoS of one point.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The position of its cell in the study.
    pub cell: usize,
    /// The values of the axes there.
    pub values: Vec<AxisValue>,
    /// The position of its point in the cell's result.
    pub point: usize,
    /// The published QoS.
    pub qos: QoS,
    /// The granted QoS where it is an axis.
    pub granted: Option<QoS>,
    /// Each need that binds this QoS, with its measured value and confidence.
    pub needs: Vec<NeedJudgement>,
    /// The objective for each message published, by seed.
    pub costs: Vec<(u64, f64)>,
    /// Its mean over runs; NaN where it is not known.
    pub cost: ConfidenceInterval,
    /// With a price for bytes, the cost of a month; `None` where the scenario gives no rate.
    pub monthly_cost: Option<MonthlyCost>,
    /// The verdict over its trials: whether they ended, and whether promises hold.
    pub verdict: Verdict,
}

/// The monthly cost of a fleet, for 30 days.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MonthlyCost {
    /// The number of devices that publish.
    pub devices: u64,
    /// The total that they pay.
    pub cost: f64,
}

/// A need at one option.
#[derive(Clone, Debug)]
pub struct NeedJudgement {
    /// The measured value.
    pub result: NeedResult,
    /// The confidence in it.
    pub confidence: Confidence,
}

impl Candidate {
    /// Whether it meets all needs by what was measured, and can be relied on: its trials ended,
    /// and no promise was broken in them but as declared.
    #[must_use]
    pub fn is_acceptable(&self) -> bool {
        self.verdict == Verdict::Holds
            && self.cost.value.is_finite()
            && self.missed_needs().next().is_none()
    }

    /// The levels that it stands for.
    #[must_use]
    pub const fn level(&self) -> QosChoice {
        QosChoice { qos: self.qos, granted: self.granted }
    }

    /// The needs that it does not meet.
    pub fn missed_needs(&self) -> impl Iterator<Item = &NeedJudgement> {
        self.needs.iter().filter(|need| need.result.verdict != Verdict::Holds)
    }
}

/// The position of the cheapest that meets all needs; of equals the lowest level, then the first.
#[must_use]
pub fn cheapest(options: &[Candidate]) -> Option<usize> {
    let meeting = options.iter().enumerate().filter(|(_, option)| option.is_acceptable());
    let best = meeting
        .min_by(|(_, a), (_, b)| a.cost.value.total_cmp(&b.cost.value).then(a.qos.cmp(&b.qos)));
    best.map(|(at, _)| at)
}

/// Every published QoS of every point of a cell. A need that speaks of one level binds that level
/// alone.
#[must_use]
pub fn candidates(
    result: &ScenarioResult,
    needs: &[Need],
    objective: &Objective,
) -> Vec<Candidate> {
    let points = result.points.iter().enumerate();
    let all = points.flat_map(|(nth, point)| point.qos_levels().map(move |qos| (nth, point, qos)));
    all.map(|(nth, point, qos)| {
        let binding = needs.iter().filter(|need| need.qos.is_none_or(|wanted| wanted == qos));
        let judged = binding.map(|need| {
            let result = judge_need_at(need, point, &result.points, qos);
            let doubt = confidence::need_confidence(&result, point, qos);
            NeedJudgement { result, confidence: doubt }
        });
        let costs: Vec<(u64, f64)> = point
            .trials
            .iter()
            .filter_map(|trial| Some((trial.seed, cost(trial, qos, objective)?)))
            .collect();
        let cost = statistics::mean(&costs.iter().map(|(_, cost)| *cost).collect::<Vec<_>>());
        Candidate {
            cell: 0,
            values: Vec::new(),
            point: nth,
            qos,
            granted: point.granted,
            needs: judged.collect(),
            monthly_cost: monthly_cost(point, objective),
            costs,
            cost,
            verdict: point.verdict(),
        }
    })
    .collect()
}

/// The cost of one message; `None` without facts, or of energy without a radio.
fn cost(trial: &TrialRow, qos: QoS, objective: &Objective) -> Option<f64> {
    let facts = trial.summary.as_ref()?;
    let row = trial.qos.iter().find(|row| row.qos == qos)?;
    let all = to_f64(trial.qos.iter().map(|row| row.counts.messages).sum());
    match objective {
        Objective::Packets => Some(to_f64(row.total_sent().packets) / to_f64(row.counts.messages)),
        Objective::Bytes => Some(to_f64(facts.bytes.total()) / all),
        Objective::Energy => Some(facts.radio?.energy() / all),
        Objective::Money { .. } => Some(facts.bill.cost / all),
    }
}

fn monthly_cost(point: &PointResult, objective: &Objective) -> Option<MonthlyCost> {
    let Objective::Money { fleet } = objective else { return None };
    let bill = point.monthly_bill()?;
    let devices = fleet.unwrap_or(bill.devices);
    Some(MonthlyCost { devices, cost: bill.cost? * to_f64(devices) })
}
