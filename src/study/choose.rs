//! The cheapest QoS that meets all needs, or why none does.

use crate::base::qos::QoS;
use crate::scenario::axis::AxisValue;
use crate::scenario::expect::{Bound, Comparison, Metric, Need};

use super::needs::{NeedResult, judge_need};
use super::result::{PointResult, QosRow, TrialFacts, TrialRow, Verdict};
use super::statistics::{self, Interval};
use super::sweep::{Cell, Study};

mod reasons;

/// What the best option has least of, for each message published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Objective {
    /// Message packets (PUBLISH to PUBCOMP) on both hops, resends included.
    Packets,
    /// All wire bytes of the trial on all links, keep alive and connecting included.
    Bytes,
    /// Joules of all radios of the clients.
    Energy,
}

/// What was compared, and what came out best.
#[derive(Clone, Debug)]
pub struct Choice {
    /// What was minimised.
    pub objective: Objective,
    /// The needs, as they were written.
    pub needs: Vec<Need>,
    /// Each cell with each published QoS, in order; at least one.
    pub options: Vec<Candidate>,
    /// The position of the best; `None` if no option meets all needs.
    pub best: Option<usize>,
    /// Why none does, and what would help; empty with an answer. Names in it are as written in
    /// the scenario.
    pub reasons: Vec<String>,
}

/// One published QoS at one cell.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The values of the axes there.
    pub values: Vec<AxisValue>,
    /// The published QoS.
    pub qos: QoS,
    /// Each need that binds this QoS, with what shows how sure it is.
    pub needs: Vec<Judgement>,
    /// The objective for each message published, with the interval over runs.
    pub cost: Interval,
    /// Whether its trials ended and can be relied on.
    pub sound: bool,
}

/// A need at one option.
#[derive(Clone, Debug)]
pub struct Judgement {
    /// What was measured.
    pub result: NeedResult,
    /// How sure it is.
    pub doubt: Doubt,
}

/// How sure a judgement is at 95 % confidence.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Doubt {
    /// The interval is on one side of the bound.
    Settled(Interval),
    /// The bound is within the interval: more seeds would tell.
    Undecided(Interval),
    /// None of so many units was seen, which proves at most this share.
    NoneOf(u64, f64),
    /// The value has no interval: a quantile, a peak, or one run.
    Unknown,
}

/// Why there is nothing to choose by.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChooseError {
    /// Nothing says what is wanted.
    #[error("there is no need to choose by: use --need \"lost <= 0\", or write [expect] need")]
    NoNeed,
    /// Two needs exclude each other.
    #[error("`{0}` and `{1}` contradict each other: no value meets both")]
    Contradiction(String, String),
    /// A need that nothing measures.
    #[error("`{0}` has nothing to measure in this scenario: see that its QoS is published")]
    Unmeasured(String),
    /// The objective is not known.
    #[error(
        "no client has a radio: write radio = \"lte-m\" or another profile to a client, or \
             minimise packets or bytes"
    )]
    NoRadio,
    /// No trial finished.
    #[error("no trial finished")]
    Nothing,
}

impl Candidate {
    /// Whether it meets all needs by what was measured.
    #[must_use]
    pub fn meets(&self) -> bool {
        self.sound && self.missed().next().is_none()
    }

    /// The needs that it does not meet.
    pub fn missed(&self) -> impl Iterator<Item = &Judgement> {
        self.needs.iter().filter(|need| need.result.verdict != Verdict::Holds)
    }
}

/// Chooses among all cells and published levels.
///
/// # Errors
/// If there is no need, needs contradict each other, or something is not measured.
pub fn choose(study: &Study, more: &[Need], objective: Objective) -> Result<Choice, ChooseError> {
    let file = study.cells.first().map(|cell| cell.result.scenario.expect.needs.as_slice());
    let needs: Vec<Need> = file.unwrap_or_default().iter().chain(more).cloned().collect();
    check(&needs)?;
    let mut options = Vec::new();
    for cell in &study.cells {
        for qos in QoS::ALL {
            if cell.result.points.iter().any(|point| point.rows(qos).next().is_some()) {
                options.push(candidate(cell, qos, &needs, objective)?);
            }
        }
    }
    if options.is_empty() {
        return Err(ChooseError::Nothing);
    }
    for need in &needs {
        let mut judged = options.iter().flat_map(|option| &option.needs);
        if !judged.any(|it| it.result.need.text == need.text && it.result.worst.is_some()) {
            return Err(ChooseError::Unmeasured(need.text.clone()));
        }
    }
    let meeting = options.iter().enumerate().filter(|(_, option)| option.meets());
    let best = meeting
        .min_by(|(_, a), (_, b)| a.cost.value.total_cmp(&b.cost.value).then(a.qos.cmp(&b.qos)))
        .map(|(at, _)| at);
    let reasons = if best.is_none() { reasons::all(study, &options) } else { Vec::new() };
    Ok(Choice { objective, needs, options, best, reasons })
}

fn check(needs: &[Need]) -> Result<(), ChooseError> {
    if needs.is_empty() {
        return Err(ChooseError::NoNeed);
    }
    for (at, one) in needs.iter().enumerate() {
        for other in &needs[at + 1..] {
            let both = one.qos.is_none() || other.qos.is_none() || one.qos == other.qos;
            if both && one.metric == other.metric && apart(one, other) {
                return Err(ChooseError::Contradiction(one.text.clone(), other.text.clone()));
            }
        }
    }
    Ok(())
}

/// Whether no number meets both; bounds of different units are not compared.
fn apart(one: &Need, other: &Need) -> bool {
    let number = |need: &Need| match need.bound {
        Bound::Number(number) => Some((0, number)),
        Bound::Share(share) => Some((1, share)),
        Bound::Span(span) => Some((2, span.as_secs_f64())),
        Bound::Times(..) => None,
    };
    let (Some((unit, a)), Some((other_unit, b))) = (number(one), number(other)) else {
        return false;
    };
    let ends = |comparison, bound| match comparison {
        Comparison::Less => (f64::NEG_INFINITY, bound, true),
        Comparison::AtMost => (f64::NEG_INFINITY, bound, false),
        Comparison::AtLeast => (bound, f64::INFINITY, false),
        Comparison::Greater => (bound, f64::INFINITY, true),
        Comparison::Equal => (bound, bound, false),
    };
    let (first, second) = (ends(one.comparison, a), ends(other.comparison, b));
    let (low, high) = (first.0.max(second.0), first.1.min(second.1));
    unit == other_unit && (low > high || (low >= high && (first.2 || second.2)))
}

fn candidate(
    cell: &Cell,
    qos: QoS,
    needs: &[Need],
    objective: Objective,
) -> Result<Candidate, ChooseError> {
    let points = &cell.result.points;
    let binding = needs.iter().filter(|need| need.qos.is_none_or(|wanted| wanted == qos));
    let judged = binding.map(|need| {
        let bound_to = Need { qos: Some(qos), ..need.clone() };
        let result = judge_need(&bound_to, points);
        let doubt = doubt(&result, points);
        Judgement { result, doubt }
    });
    let here = || points.iter().filter(|point| point.rows(qos).next().is_some());
    let trials = here().flat_map(|point| &point.trials);
    let costs = trials.filter_map(|trial| cost(trial, qos, objective));
    let costs = costs.collect::<Result<Vec<f64>, _>>()?;
    Ok(Candidate {
        values: cell.values.clone(),
        qos,
        needs: judged.collect(),
        cost: statistics::mean(&costs),
        sound: here().all(|it| matches!(it.verdict(), Verdict::Holds | Verdict::Violated)),
    })
}

/// The cost of one message; `None` without facts.
///
/// # Errors
/// If it is energy and no client has a radio.
fn cost(trial: &TrialRow, qos: QoS, objective: Objective) -> Option<Result<f64, ChooseError>> {
    let facts = trial.facts.as_ref()?;
    let row = trial.qos.iter().find(|row| row.qos == qos)?;
    let all: u64 = trial.qos.iter().map(|row| row.counts.messages).sum();
    Some(match objective {
        Objective::Packets => Ok(float(row.sent().packets) / float(row.counts.messages)),
        Objective::Bytes => Ok(float(wire_bytes(facts)) / float(all)),
        Objective::Energy => match &facts.radio {
            Some(radio) => Ok(radio.energy() / float(all)),
            None => Err(ChooseError::NoRadio),
        },
    })
}

const fn wire_bytes(facts: &TrialFacts) -> u64 {
    let it = &facts.bytes;
    it.payload + it.framing + it.acknowledgements + it.resends + it.keep_alive + it.connecting
}

fn doubt(result: &NeedResult, points: &[PointResult]) -> Doubt {
    let Some(worst) = &result.worst else { return Doubt::Unknown };
    let Some(point) = points.iter().find(|point| point.label == worst.label) else {
        return Doubt::Unknown;
    };
    let count: Option<fn(&QosRow) -> u64> = match result.need.metric {
        Metric::Delivered => Some(|row| row.counts.delivered),
        Metric::Lost => Some(|row| row.counts.lost),
        Metric::Duplicated => Some(|row| row.counts.duplicated),
        Metric::Reordered => Some(|row| row.counts.reordered),
        _ => None,
    };
    let rows = || point.rows(worst.qos);
    let interval = match (count, result.need.metric) {
        (Some(count), _) => {
            let hits: u64 = rows().map(count).sum();
            let units = rows().map(|row| row.counts.units).sum();
            if hits == 0 && worst.bound <= 0.0 {
                return Doubt::NoneOf(units, statistics::at_most_when_none(units));
            }
            if matches!(result.need.bound, Bound::Share(_)) {
                statistics::wilson(hits, units)
            } else {
                mean(rows().map(|row| float(count(row))))
            }
        }
        (None, Metric::Packets) => {
            mean(rows().map(|row| float(row.sent().packets) / float(row.counts.messages)))
        }
        (None, Metric::Bytes) => {
            mean(rows().map(|row| float(row.sent().bytes) / float(row.counts.messages)))
        }
        _ => return Doubt::Unknown,
    };
    if !interval.low.is_finite() {
        return Doubt::Unknown;
    }
    if interval.low < worst.bound && worst.bound < interval.high {
        Doubt::Undecided(interval)
    } else {
        Doubt::Settled(interval)
    }
}

fn mean(values: impl Iterator<Item = f64>) -> Interval {
    statistics::mean(&values.collect::<Vec<_>>())
}

#[expect(clippy::cast_precision_loss, reason = "statistics and display only")]
const fn float(count: u64) -> f64 {
    count as f64
}
