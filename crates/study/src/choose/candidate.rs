//! One published QoS of one point: what it costs, and how it stands to each need.

use super::doubt::{self, Doubt};
use super::flips::Level;
use super::money;
use super::wanted::Objective;
use crate::needs::{NeedResult, judge_level};
use crate::result::{PointResult, ScenarioResult, TrialFacts, TrialRow, Verdict};
use crate::scenario::axis::AxisValue;
use crate::scenario::expect::Need;
use crate::statistics::{self, Interval};
use qoslab_core::base::qos::QoS;

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
    /// Each need that binds this QoS, with what shows how sure it is.
    pub needs: Vec<Judgement>,
    /// The objective for each message published, by seed.
    pub costs: Vec<(u64, f64)>,
    /// Its mean over runs; NaN where it is not known.
    pub cost: Interval,
    /// With a price for bytes, what a month costs; `None` where the scenario gives no rate.
    pub month: Option<Month>,
    /// How its trials stand: whether they ended, and whether promises hold.
    pub verdict: Verdict,
}

/// What a fleet pays in a month of 30 days.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Month {
    /// How many devices publish.
    pub devices: u64,
    /// What they pay together.
    pub cost: f64,
}

/// A need at one option.
#[derive(Clone, Debug)]
pub struct Judgement {
    /// What was measured.
    pub result: NeedResult,
    /// How sure it is.
    pub doubt: Doubt,
}

impl Candidate {
    /// Whether it meets all needs by what was measured, and can be relied on: its trials ended,
    /// and no promise was broken in them but as declared.
    #[must_use]
    pub fn meets(&self) -> bool {
        self.verdict == Verdict::Holds
            && self.cost.value.is_finite()
            && self.missed().next().is_none()
    }

    /// The levels that it stands for.
    #[must_use]
    pub const fn level(&self) -> Level {
        Level { qos: self.qos, granted: self.granted }
    }

    /// The needs that it does not meet.
    pub fn missed(&self) -> impl Iterator<Item = &Judgement> {
        self.needs.iter().filter(|need| need.result.verdict != Verdict::Holds)
    }
}

/// The position of the cheapest that meets all needs; of equals the lowest level, then the first.
#[must_use]
pub fn cheapest(options: &[Candidate]) -> Option<usize> {
    let meeting = options.iter().enumerate().filter(|(_, option)| option.meets());
    let best = meeting
        .min_by(|(_, a), (_, b)| a.cost.value.total_cmp(&b.cost.value).then(a.qos.cmp(&b.qos)));
    best.map(|(at, _)| at)
}

/// Every published QoS of every point of a cell. A need that speaks of one level binds that level
/// alone.
#[must_use]
pub fn candidates(result: &ScenarioResult, needs: &[Need], by: &Objective) -> Vec<Candidate> {
    let points = result.points.iter().enumerate();
    let all = points.flat_map(|(nth, point)| point.levels().map(move |qos| (nth, point, qos)));
    all.map(|(nth, point, qos)| {
        let binding = needs.iter().filter(|need| need.qos.is_none_or(|wanted| wanted == qos));
        let judged = binding.map(|need| {
            let result = judge_level(need, point, &result.points, qos);
            let doubt = doubt::of(&result, point, qos);
            Judgement { result, doubt }
        });
        let costs: Vec<(u64, f64)> = point
            .trials
            .iter()
            .filter_map(|trial| Some((trial.seed, cost(trial, qos, by)?)))
            .collect();
        let cost = statistics::mean(&costs.iter().map(|(_, cost)| *cost).collect::<Vec<_>>());
        Candidate {
            cell: 0,
            values: Vec::new(),
            point: nth,
            qos,
            granted: point.granted,
            needs: judged.collect(),
            month: month(result, point, by, cost.value),
            costs,
            cost,
            verdict: point.verdict(),
        }
    })
    .collect()
}

/// The cost of one message; `None` without facts, or of energy without a radio.
fn cost(trial: &TrialRow, qos: QoS, by: &Objective) -> Option<f64> {
    let facts = trial.facts.as_ref()?;
    let row = trial.qos.iter().find(|row| row.qos == qos)?;
    let all = float(trial.qos.iter().map(|row| row.counts.messages).sum());
    match by {
        Objective::Packets => Some(float(row.sent().packets) / float(row.counts.messages)),
        Objective::Bytes => Some(float(wire_bytes(facts)) / all),
        Objective::Energy => Some(facts.radio?.energy() / all),
        Objective::Money(money) => Some(float(wire_bytes(facts)) / all * money.per_megabyte / 1e6),
    }
}

fn month(result: &ScenarioResult, point: &PointResult, by: &Objective, cost: f64) -> Option<Month> {
    let Objective::Money(money) = by else { return None };
    let setup = &result.scenario.points[point.index].setup;
    let (messages, own) = money::a_month(setup)?;
    let devices = money.fleet.unwrap_or(own);
    Some(Month { devices, cost: cost * messages / float(own) * float(devices) })
}

const fn wire_bytes(facts: &TrialFacts) -> u64 {
    let it = &facts.bytes;
    it.payload + it.framing + it.acknowledgements + it.resends + it.keep_alive + it.connecting
}

#[expect(clippy::cast_precision_loss, reason = "statistics and display only")]
pub(super) const fn float(count: u64) -> f64 {
    count as f64
}
