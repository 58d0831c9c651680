//! Needs and expectations of a scenario, judged over all its trials.

use crate::scenario::{Bound, BreakTarget, Comparison, Metric, Need, Statistic};
use qoslab_core::base::radio_use::RadioUse;
use qoslab_core::base::{QoS, Span};
use qoslab_guarantee::DeliveryCounts;

use super::plan::Plan;
use super::result::{MergedTimes, PointResult, QosRow, ScenarioResult, Verdict};
use super::statistics::to_f64;
use super::verdicts;

/// A need and the value that comes nearest to breaking it.
#[derive(Clone, Debug)]
pub struct NeedResult {
    /// The need.
    pub need: Need,
    /// Whether it is met.
    pub verdict: Verdict,
    /// Where it is broken, or else where the measured value is the worst; `None` if nothing
    /// could be measured, which proves nothing.
    pub worst: Option<NeedMeasurement>,
}

/// One measured value beside the bound it was compared with.
#[derive(Clone, Debug, PartialEq)]
pub struct NeedMeasurement {
    /// The point's name.
    pub label: String,
    /// The published QoS.
    pub qos: QoS,
    /// What was measured.
    pub value: MetricValue,
    /// The bound in the same unit.
    pub bound: f64,
}

/// A number with its unit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum MetricValue {
    /// A count, or a number for each message.
    Number(f64),
    /// A share from 0 to 1.
    Share(f64),
    /// Seconds; infinite for never.
    Seconds(f64),
}

impl MetricValue {
    /// The bare number, without its unit.
    #[must_use]
    pub const fn number(self) -> f64 {
        match self {
            Self::Number(number) | Self::Share(number) | Self::Seconds(number) => number,
        }
    }

    /// Another number with the same unit.
    #[must_use]
    pub const fn with_number(self, number: f64) -> Self {
        match self {
            Self::Number(_) => Self::Number(number),
            Self::Share(_) => Self::Share(number),
            Self::Seconds(_) => Self::Seconds(number),
        }
    }
}

/// Judges a scenario whose trials are all folded: needs, `sometimes` and expected breaks are taken
/// over all points. In a narrowed run nothing is proved by a need without anything to measure, a
/// `sometimes` that never happened or a break that is absent: the whole run may well show them, so
/// they are not judged. `planned` trials were to run.
#[must_use]
pub(crate) fn judge_scenario(
    plan: Plan,
    planned: usize,
    points: Vec<PointResult>,
) -> ScenarioResult {
    let Plan { scenario, narrowed, engine, .. } = plan;
    let needs: Vec<NeedResult> =
        scenario.expect.needs.iter().map(|need| judge_need(need, &points)).collect();
    let counted = |names: &[String]| -> Vec<(String, u64)> {
        let count = |name: &String| {
            let counts = points.iter().filter_map(|point| point.sometimes.get(name.as_str()));
            (name.clone(), counts.sum())
        };
        names.iter().map(count).collect()
    };
    let sometimes = counted(&scenario.expect.sometimes);
    let never = counted(&scenario.expect.never);
    let seen = |what: &BreakTarget| -> u64 {
        points
            .iter()
            .map(|point| verdicts::occurrences(what, &point.violations, &point.rules))
            .sum()
    };
    let expected: Vec<_> =
        scenario.expect.broken.iter().map(|it| (it.clone(), seen(&it.what))).collect();
    let known = scenario.expect.known.iter().map(|it| (it.clone(), seen(&it.what))).collect();
    let missed = sometimes.iter().map(|(_, n)| n).chain(expected.iter().map(|(_, n)| n));
    let missed = !narrowed && missed.into_iter().any(|count| *count == 0);
    let judged = needs.iter().filter(|need| !(narrowed && need.worst.is_none()));
    let finished = points.iter().map(|point| point.trials.len()).sum();
    let verdict = points
        .iter()
        .map(PointResult::verdict)
        .chain(judged.map(|need| need.verdict))
        .chain((missed || finished < planned).then_some(Verdict::Inconclusive))
        .chain(never.iter().map(|(_, count)| ScenarioResult::never_verdict(*count)))
        .max()
        .unwrap_or(Verdict::Inconclusive);
    ScenarioResult {
        engine,
        scenario,
        planned,
        finished,
        narrowed,
        points,
        needs,
        sometimes,
        never,
        expected,
        known,
        verdict,
    }
}

impl ScenarioResult {
    /// The verdict on something that must never happen and happened this often.
    #[must_use]
    pub const fn never_verdict(count: u64) -> Verdict {
        if count == 0 { Verdict::Holds } else { Verdict::Violated }
    }

    /// Whether it was interrupted before all its trials had run.
    #[must_use]
    pub const fn was_interrupted(&self) -> bool {
        self.finished < self.planned
    }

    /// The verdict on a need; `None` if this narrowed run had nothing to measure.
    #[must_use]
    pub fn need_verdict(&self, need: &NeedResult) -> Option<Verdict> {
        (!self.narrowed || need.worst.is_some()).then_some(need.verdict)
    }

    /// The verdict on something expected that happened this often; `None` if it never did, but this
    /// narrowed run need not show it.
    #[must_use]
    pub fn occurrence_verdict(&self, count: u64) -> Option<Verdict> {
        match count {
            0 if self.narrowed => None,
            0 => Some(Verdict::Inconclusive),
            _ => Some(Verdict::Holds),
        }
    }
}

/// Judges one need at one published QoS of a point, whichever QoS the need names. `points` are
/// all those of the scenario, for needs that compare.
#[cfg(feature = "studies")]
#[must_use]
pub(super) fn judge_need_at(
    need: &Need,
    point: &PointResult,
    points: &[PointResult],
    qos: QoS,
) -> NeedResult {
    let worst = measure_need(need, point, qos, points);
    let verdict = match &worst {
        Some(measured)
            if is_bound_met(need.comparison, measured.value.number(), measured.bound) =>
        {
            Verdict::Holds
        }
        Some(_) => Verdict::Violated,
        None => Verdict::Inconclusive,
    };
    NeedResult { need: need.clone(), verdict, worst }
}

/// Judges one need over points: where it is broken, or else comes nearest to it.
#[must_use]
fn judge_need(need: &Need, points: &[PointResult]) -> NeedResult {
    let mut worst: Option<(f64, NeedMeasurement)> = None;
    let mut unmeasured = false;
    for point in points {
        let levels = point.qos_levels().filter(|qos| need.qos.is_none_or(|wanted| wanted == *qos));
        for qos in levels.filter(|qos| has_anything_to_measure(need, point, *qos)) {
            let Some(measured) = measure_need(need, point, qos, points) else {
                unmeasured = true;
                continue;
            };
            let excess = excess(need.comparison, measured.value.number(), measured.bound);
            if worst.as_ref().is_none_or(|(most, _)| excess > *most) {
                worst = Some((excess, measured));
            }
        }
    }
    let verdict = match &worst {
        Some((_, measured))
            if !is_bound_met(need.comparison, measured.value.number(), measured.bound) =>
        {
            Verdict::Violated
        }
        Some(_) if !unmeasured => Verdict::Holds,
        _ => Verdict::Inconclusive,
    };
    NeedResult { need: need.clone(), verdict, worst: worst.map(|(_, measured)| measured) }
}

/// What a need compares for one published QoS of one point; `None` if there is nothing to measure.
fn measure_need(
    need: &Need,
    point: &PointResult,
    qos: QoS,
    points: &[PointResult],
) -> Option<NeedMeasurement> {
    let as_share = matches!(need.bound, Bound::Share(_));
    let value = measure_in_scope(need, point, qos, as_share)?;
    let bound = bound_number(need, point, points, as_share)?;
    Some(NeedMeasurement { label: point.label.clone(), qos, value, bound })
}

/// How far a value is beyond its bound, in the direction that breaks the need.
fn excess(comparison: Comparison, value: f64, bound: f64) -> f64 {
    match comparison {
        Comparison::Less | Comparison::AtMost => value - bound,
        Comparison::AtLeast | Comparison::Greater => bound - value,
        Comparison::Equal => (value - bound).abs(),
    }
}

/// Whether a value meets its bound.
#[expect(clippy::float_cmp, reason = "`==` in a need means just that")]
pub(super) fn is_bound_met(comparison: Comparison, value: f64, bound: f64) -> bool {
    match comparison {
        Comparison::Less => value < bound,
        Comparison::AtMost => value <= bound,
        Comparison::AtLeast => value >= bound,
        Comparison::Greater => value > bound,
        Comparison::Equal => value == bound,
    }
}

fn bound_number(
    need: &Need,
    point: &PointResult,
    points: &[PointResult],
    as_share: bool,
) -> Option<f64> {
    match need.bound {
        Bound::Number(number) | Bound::Share(number) => Some(number),
        Bound::Span(span) => Some(span.as_secs_f64()),
        Bound::TimesOther(factor, qos) => {
            let same = |other: &&PointResult| other.granted == point.granted;
            let other = points.iter().filter(same).find(|other| other.rows(qos).next().is_some());
            Some(factor * measure_in_scope(need, other?, qos, as_share)?.number())
        }
    }
}

/// One metric of one published QoS over all seeds of a point: counts are means a run, shares and
/// quantiles are taken over all runs together, peaks are the worst run's.
#[must_use]
pub fn measure_metric(
    point: &PointResult,
    qos: QoS,
    metric: Metric,
    as_share: bool,
) -> Option<MetricValue> {
    let sum = |of: fn(&QosRow) -> u64| to_f64(point.rows(qos).map(of).sum());
    let facts = || point.trials.iter().filter_map(|trial| trial.summary.as_ref());
    let messages = |row: &QosRow| row.counts.messages;
    match metric {
        Metric::Packets => {
            ratio(sum(|row| row.total_sent().packets), sum(messages)).map(MetricValue::Number)
        }
        Metric::Bytes => {
            ratio(sum(|row| row.total_sent().bytes), sum(messages)).map(MetricValue::Number)
        }
        Metric::Overhead => {
            let payload = point.rows(qos).map(|row| row.delivered_payload).sum();
            ratio(sum(|row| row.total_sent().bytes), payload).map(MetricValue::Number)
        }
        Metric::InFlight => {
            facts().map(|facts| facts.in_flight_peak).max().map(|n| MetricValue::Number(to_f64(n)))
        }
        Metric::Queued => {
            facts().map(|facts| facts.queued_peak).max().map(|n| MetricValue::Number(to_f64(n)))
        }
        Metric::Recovery => {
            let worst = facts().filter_map(|facts| facts.recovery).max();
            worst.map(|span| MetricValue::Seconds(span.as_secs_f64()))
        }
        Metric::Energy | Metric::Power | Metric::Battery => radio_metric(point, metric),
        _ => {
            let runs = point.rows(qos).count() as u64;
            let totals = point.rows(qos).map(|row| row.counts).sum();
            delivery_metric((totals, runs), &point.times[qos.index()], metric, as_share)
        }
    }
}

/// What a need bounds, of its clients and topics alone where it names some.
fn measure_in_scope(
    need: &Need,
    point: &PointResult,
    qos: QoS,
    as_share: bool,
) -> Option<MetricValue> {
    if need.scope.is_everything() {
        return measure_metric(point, qos, need.metric, as_share);
    }
    let group = point.groups.get(&need.scope.to_string())?;
    let rows = &group.counts[qos.index()];
    let totals = (rows.iter().copied().sum(), rows.len() as u64);
    delivery_metric(totals, &group.times[qos.index()], need.metric, as_share)
}

/// A metric of what was delivered and when, from the sums over a number of runs; `None` of any
/// other.
fn delivery_metric(
    (sum, runs): (DeliveryCounts, u64),
    times: &MergedTimes,
    metric: Metric,
    as_share: bool,
) -> Option<MetricValue> {
    let counted = |count: u64, population: u64| {
        if as_share {
            ratio(to_f64(count), to_f64(population)).map(MetricValue::Share)
        } else {
            ratio(to_f64(count), to_f64(runs)).map(MetricValue::Number)
        }
    };
    let DeliveryCounts { units, messages, .. } = sum;
    match metric {
        Metric::Delivered => counted(sum.delivered, units),
        Metric::Lost => counted(sum.lost, units),
        Metric::Duplicated => counted(sum.duplicated, units),
        Metric::Copies => {
            let copies = to_f64(sum.delivered) + to_f64(sum.extra_copies);
            ratio(copies, to_f64(sum.delivered)).map(MetricValue::Number)
        }
        Metric::Unexpected => counted(sum.unexpected, units),
        Metric::Stuck => counted(sum.stuck, messages),
        Metric::Reordered => counted(sum.reordered, units),
        Metric::Latency(statistic) => {
            time_statistic(&times.latency, units, statistic).map(MetricValue::Seconds)
        }
        Metric::Completion(statistic) => {
            time_statistic(&times.completion, messages, statistic).map(MetricValue::Seconds)
        }
        _ => None,
    }
}

/// Whether anything was published or owed at this QoS that a need asks about.
fn has_anything_to_measure(need: &Need, point: &PointResult, qos: QoS) -> bool {
    let group = point.groups.get(&need.scope.to_string());
    need.scope.is_everything()
        || group.is_none_or(|group| {
            group.counts[qos.index()].iter().any(|row| row.messages + row.units > 0)
        })
}

/// A metric of the radios of all trials of a point; `None` without any.
fn radio_metric(point: &PointResult, metric: Metric) -> Option<MetricValue> {
    let facts = point.trials.iter().filter_map(|trial| trial.summary.as_ref());
    let radios = RadioUse::total(facts.filter_map(|facts| facts.radio))?;
    let number = match metric {
        Metric::Power => radios.mean_watts_per_radio().map(|watts| watts * 1e3),
        Metric::Battery => radios.battery_years(),
        _ => {
            let rows = point.trials.iter().flat_map(|trial| &trial.qos);
            ratio(radios.energy(), to_f64(rows.map(|row| row.counts.messages).sum()))
        }
    };
    number.map(MetricValue::Number)
}

/// Seconds; infinite where the quantile falls among what never came. `None` without anything to
/// measure.
fn time_statistic(
    times: &qoslab_guarantee::LatencyHistogram,
    population: u64,
    statistic: Statistic,
) -> Option<f64> {
    if population == 0 {
        return None;
    }
    let span = match statistic {
        Statistic::Quantile(q) => times.quantile(q, population),
        Statistic::Max => times.quantile(1.0, population).map(|_| times.max()),
        Statistic::Mean => return times.mean().map(Span::as_secs_f64),
    };
    Some(span.map_or(f64::INFINITY, Span::as_secs_f64))
}

fn ratio(part: f64, whole: f64) -> Option<f64> {
    (whole > 0.0).then(|| part / whole)
}
