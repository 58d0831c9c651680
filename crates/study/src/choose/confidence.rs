//! Confidence that a need is met or missed, and the number of seeds that would decide it.

use crate::needs::NeedResult;
use crate::result::PointResult;
use crate::scenario::{Bound, Metric, Need};
use crate::statistics::{self, ConfidenceInterval, to_f64};
use qoslab_core::base::QoS;
use qoslab_guarantee::DeliveryCounts;

/// The greatest number of seeds that is suggested.
const MAX_SEEDS: f64 = 1e6;

/// The confidence of a judgement, at the 95 % level.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Confidence {
    /// The interval is on one side of the bound.
    Settled(ConfidenceInterval),
    /// The bound is within the interval: more seeds would decide.
    Undecided {
        /// What is known.
        interval: ConfidenceInterval,
        /// How many seeds would likely decide; `None` if no number in reach would.
        seeds: Option<u64>,
    },
    /// None of that many units was seen, which proves at most this share.
    NoneSeen(u64, f64),
    /// The value has no interval: a quantile, a peak, or one run.
    Unknown,
}

/// The confidence in a need at one published QoS of a point.
pub(super) fn need_confidence(result: &NeedResult, point: &PointResult, qos: QoS) -> Confidence {
    let Some(worst) = &result.worst else { return Confidence::Unknown };
    let count: Option<fn(&DeliveryCounts) -> u64> = match result.need.metric {
        Metric::Delivered => Some(|row| row.delivered),
        Metric::Lost => Some(|row| row.lost),
        Metric::Duplicated => Some(|row| row.duplicated),
        Metric::Reordered => Some(|row| row.reordered),
        _ => None,
    };
    let rows = rows_in_scope(&result.need, point, qos);
    let runs = rows.len();
    let interval = match (count, result.need.metric) {
        (Some(count), _) => {
            let rows: Vec<(u64, u64)> = rows.iter().map(|row| (count(row), row.units)).collect();
            let units = rows.iter().map(|(_, units)| units).sum();
            if worst.bound <= 0.0 && rows.iter().all(|(hits, _)| *hits == 0) {
                return Confidence::NoneSeen(units, statistics::upper_bound_when_none(units));
            }
            match result.need.bound {
                Bound::Share(_) => statistics::share_over_runs(&rows),
                _ => statistics::mean(
                    &rows.iter().map(|(hits, _)| to_f64(*hits)).collect::<Vec<_>>(),
                ),
            }
        }
        (None, Metric::Packets) => statistics::packets_per_message(point, qos),
        (None, Metric::Bytes) => statistics::bytes_per_message(point, qos),
        _ => return Confidence::Unknown,
    };
    if runs < 2 {
        Confidence::Unknown
    } else if interval.low < worst.bound && worst.bound < interval.high {
        Confidence::Undecided { interval, seeds: seeds_needed(runs, interval, worst.bound) }
    } else {
        Confidence::Settled(interval)
    }
}

/// A row for each run, of the clients and topics of a need alone where it names some.
fn rows_in_scope(need: &Need, point: &PointResult, qos: QoS) -> Vec<DeliveryCounts> {
    if need.scope.is_everything() {
        return point.rows(qos).map(|row| row.counts).collect();
    }
    let group = point.groups.get(&need.scope.to_string());
    group.map(|group| group.counts[qos.index()].clone()).unwrap_or_default()
}

/// How many seeds would make the interval so narrow that the bound is outside of it, if the value
/// stays what it is: an interval shrinks with the root of their number. To two digits, upwards.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "1 to a million")]
pub(super) fn seeds_needed(runs: usize, interval: ConfidenceInterval, bound: f64) -> Option<u64> {
    let ConfidenceInterval { value, low, high } = interval;
    let reach = if value > bound { value - low } else { high - value };
    let times = reach / (value - bound).abs();
    let seeds = to_f64(runs as u64) * times * times;
    if !(seeds.is_finite() && seeds <= MAX_SEEDS) {
        return None;
    }
    let mut step = 1.0;
    while seeds / step > 100.0 {
        step *= 10.0;
    }
    Some(((seeds / step).ceil() * step) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_times_the_seeds_halve_an_interval() {
        let interval = ConfidenceInterval { value: 1.0, low: 0.8, high: 1.2 };
        assert_eq!(seeds_needed(100, interval, 1.1), Some(400));
        assert_eq!(seeds_needed(10, interval, 0.93), Some(82));
        assert_eq!(seeds_needed(100, interval, 1.0), None, "no number tells what is equal");
        assert_eq!(seeds_needed(100, interval, 1.000_01), None, "beyond reach");
    }
}
