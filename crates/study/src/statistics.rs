//! Means and shares with their 95 % intervals.
//!
//! Shares have Wilson's interval, and over runs [`share_over_runs`]'s. A share of which nothing was
//! seen is reported by its upper end alone, with all 5 % of doubt on that one side: see
//! [`upper_bound_when_none`].
//!
//! Student's quantile is our own and small: `statrs` and its like take `ln` and `exp` from the
//! platform as soon as any crate turns on the `std` of num-traits, and those differ in the last bit
//! from machine to machine.

use std::f64::consts::PI;

use super::result::{PointResult, QosRow};
use qoslab_core::base::QoS;

/// The 97.5 % quantile of the standard normal distribution.
const Z: f64 = 1.959_963_984_540_054;

/// An estimate and the interval that holds the true value with 95 % confidence.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ConfidenceInterval {
    /// The estimate.
    pub value: f64,
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

/// The mean of `values` with Student's t interval.
///
/// One value says nothing about the spread, so its interval has infinite ends; of no values the
/// mean is NaN.
#[must_use]
pub fn mean(values: &[f64]) -> ConfidenceInterval {
    let n = to_f64(values.len() as u64);
    let value = values.iter().sum::<f64>() / n;
    if values.len() < 2 {
        return ConfidenceInterval { value, low: f64::NEG_INFINITY, high: f64::INFINITY };
    }
    let squares: f64 = values.iter().map(|each| (each - value) * (each - value)).sum();
    let error = (squares / (n - 1.0) / n).sqrt();
    let half = t_quantile(values.len() as u64 - 1) * error;
    ConfidenceInterval { value, low: value - half, high: value + half }
}

/// The share of `hits` in `trials` with Wilson's score interval (E. B. Wilson, 1927), without
/// continuity correction: its ends are within 0 and 1, also where all or none are hits.
///
/// Of no trials nothing is known: the value is 0 and the interval 0 to 1.
#[must_use]
pub fn wilson(hits: u64, trials: u64) -> ConfidenceInterval {
    if trials == 0 {
        return ConfidenceInterval { value: 0.0, low: 0.0, high: 1.0 };
    }
    let n = to_f64(trials);
    let value = to_f64(hits) / n;
    let z2 = Z * Z;
    let centre = (value + z2 / (2.0 * n)) / (1.0 + z2 / n);
    let half = Z / (1.0 + z2 / n) * (value * (1.0 - value) / n + z2 / (4.0 * n * n)).sqrt();
    // At the ends the formula gives 0 and 1 but for rounding.
    let low = if hits == 0 { 0.0 } else { centre - half };
    let high = if hits == trials { 1.0 } else { centre + half };
    ConfidenceInterval { value, low, high }
}

/// The share of hits over runs, each with its hits and its trials, whose trials may not be
/// independent: one outage loses many messages of one run. Each end is the farther of
/// Wilson's over all trials and Student's t over the runs' shares, about the share of all.
///
/// One run says nothing about the spread between runs, so its interval is 0 to 1.
#[must_use]
pub fn share_over_runs(runs: &[(u64, u64)]) -> ConfidenceInterval {
    let (hits, trials) = runs.iter().fold((0, 0), |sum, run| (sum.0 + run.0, sum.1 + run.1));
    let independent = wilson(hits, trials);
    let shares: Vec<f64> = runs
        .iter()
        .filter(|(_, trials)| *trials > 0)
        .map(|(hits, trials)| to_f64(*hits) / to_f64(*trials))
        .collect();
    let spread = mean(&shares);
    let (value, half) = (independent.value, (spread.high - spread.low) / 2.0);
    // Of no run the half is NaN, which `min` and `max` pass over.
    let low = independent.low.min(value - half).max(0.0);
    let high = independent.high.max(value + half).min(1.0);
    ConfidenceInterval { value, low, high }
}

/// The share of units delivered at one published QoS of a point.
#[must_use]
pub fn delivered_share(point: &PointResult, qos: QoS) -> ConfidenceInterval {
    let run = |row: &QosRow| (row.counts.delivered, row.counts.units);
    share_over_runs(&point.rows(qos).map(run).collect::<Vec<_>>())
}

/// The share of units duplicated at one published QoS of a point.
#[must_use]
pub fn duplicated_share(point: &PointResult, qos: QoS) -> ConfidenceInterval {
    let run = |row: &QosRow| (row.counts.duplicated, row.counts.units);
    share_over_runs(&point.rows(qos).map(run).collect::<Vec<_>>())
}

/// Packets for each message at one published QoS of a point, the mean a run.
#[must_use]
pub fn packets_per_message(point: &PointResult, qos: QoS) -> ConfidenceInterval {
    let run = |row: &QosRow| to_f64(row.total_sent().packets) / to_f64(row.counts.messages);
    mean(&point.rows(qos).map(run).collect::<Vec<_>>())
}

/// Wire bytes for each message at one published QoS of a point, the mean a run.
#[must_use]
pub fn bytes_per_message(point: &PointResult, qos: QoS) -> ConfidenceInterval {
    let run = |row: &QosRow| to_f64(row.total_sent().bytes) / to_f64(row.counts.messages);
    mean(&point.rows(qos).map(run).collect::<Vec<_>>())
}

/// What TCP itself sent again, in wire bytes for each message published: what messages took beyond
/// their own packets. 0 without messages.
#[must_use]
pub fn tcp_resends_per_message(point: &PointResult) -> f64 {
    let rows = || point.trials.iter().flat_map(|trial| &trial.qos);
    let messages: u64 = rows().map(|row| row.counts.messages).sum();
    let packets: u64 = rows().map(|row| row.total_sent().bytes).sum();
    let summaries = point.trials.iter().filter_map(|trial| trial.summary.as_ref());
    let all: u64 = summaries.map(|summary| summary.bytes.of_messages()).sum();
    if messages == 0 { 0.0 } else { to_f64(all.saturating_sub(packets)) / to_f64(messages) }
}

/// The share that is not exceeded at 95 % confidence when none of `trials` was a hit: the
/// one-sided bound of Clopper and Pearson, `1 - 0.05^(1/n)`, nearly 3/n (the "rule of three").
///
/// This is the "at most 0.003 %" of "0 of 100,000 lost". It is below Wilson's upper end, which
/// leaves 2.5 % on that side, not 5 %. The same number says how many may have been missed where
/// all were hits.
#[must_use]
pub fn upper_bound_when_none(trials: u64) -> f64 {
    if trials == 0 { 1.0 } else { -libm::expm1(libm::log(0.05) / to_f64(trials)) }
}

/// The 97.5 % quantile of Student's t distribution, which a two-sided 95 % interval needs, to a
/// relative error below 1e-9. `degrees` of freedom are at least 1.
#[must_use]
pub fn t_quantile(degrees: u64) -> f64 {
    const EXACT: u64 = 200;
    if degrees > EXACT {
        return t_expansion(to_f64(degrees));
    }
    // Bisection on the exact distribution; 60 halvings use up an f64's digits.
    let (mut low, mut high) = (Z, 13.0);
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if t_within(middle, degrees) < 0.95 {
            low = middle;
        } else {
            high = middle;
        }
    }
    f64::midpoint(low, high)
}

/// The probability that Student's t is within `-t` and `t`: Abramowitz and Stegun 26.7.3 and
/// 26.7.4, finite sums for whole degrees of freedom.
fn t_within(t: f64, degrees: u64) -> f64 {
    let angle = libm::atan(t / to_f64(degrees).sqrt());
    let (sin, cos) = (libm::sin(angle), libm::cos(angle));
    let odd = degrees % 2;
    // The terms cos^k with k = 1, 3, 5 .. or 0, 2, 4 .., each with its fraction, up to degrees-2.
    let mut term = if odd == 1 { cos } else { 1.0 };
    let mut sum = 0.0;
    let mut exponent = odd;
    while exponent + 2 <= degrees {
        sum += term;
        term *= cos * cos * to_f64(exponent + 1) / to_f64(exponent + 2);
        exponent += 2;
    }
    if odd == 1 { 2.0 / PI * (angle + sin * sum) } else { sin * sum }
}

/// The quantile for many degrees of freedom: Abramowitz and Stegun 26.7.5.
fn t_expansion(degrees: f64) -> f64 {
    let z2 = Z * Z;
    let first = Z * (z2 + 1.0) / 4.0;
    let second = Z * ((5.0 * z2 + 16.0) * z2 + 3.0) / 96.0;
    let third = Z * (((3.0 * z2 + 19.0) * z2 + 17.0) * z2 - 15.0) / 384.0;
    Z + (first + (second + third / degrees) / degrees) / degrees
}

/// The count as a number to calculate with; exact up to 2^53.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "statistics and display only")]
pub const fn to_f64(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn assert_near(found: f64, expected: f64, tolerance: f64) {
        assert!((found - expected).abs() <= tolerance, "{found} is not {expected} +- {tolerance}");
    }

    #[test]
    fn the_quantiles_of_t_are_those_of_the_tables() {
        // NIST/SEMATECH e-Handbook, 1.3.6.7.2, column 0.975.
        for (degrees, published) in [
            (1, 12.706),
            (2, 4.303),
            (3, 3.182),
            (4, 2.776),
            (5, 2.571),
            (6, 2.447),
            (9, 2.262),
            (10, 2.228),
            (15, 2.131),
            (19, 2.093),
            (29, 2.045),
            (30, 2.042),
            (60, 2.000),
            (99, 1.984),
            (100, 1.984),
        ] {
            assert_near(t_quantile(degrees), published, 5.1e-4);
        }
        assert_near(t_quantile(1), libm::tan(0.475 * PI), 1e-9);
        // Two degrees have the closed form (2p-1) / sqrt(2p(1-p)).
        assert_near(t_quantile(2), 0.95 / (2.0_f64 * 0.975 * 0.025).sqrt(), 1e-9);
        assert_near(t_quantile(u64::MAX), Z, 1e-12);
    }

    #[test]
    fn the_exact_and_the_expanded_quantile_agree() {
        assert_near(t_quantile(200), t_expansion(200.0), 2e-9);
        assert_near(t_quantile(199), t_expansion(199.0), 2e-9);
        assert!(t_quantile(201) < t_quantile(200));
    }

    #[test]
    fn a_mean_has_students_interval() {
        // Student's sleep data, the ten differences (Biometrika, 1908).
        let sleep = [1.2, 2.4, 1.3, 1.3, 0.0, 1.0, 1.8, 0.8, 4.6, 1.4];
        let found = mean(&sleep);
        assert_near(found.value, 1.58, 1e-12);
        assert_near(found.low, 0.700_114_2, 1e-6);
        assert_near(found.high, 2.459_885_8, 1e-6);
    }

    #[test]
    fn one_value_has_no_interval_and_none_has_no_mean() {
        let one = mean(&[3.0]);
        assert_near(one.value, 3.0, 0.0);
        assert!(one.low.is_infinite() && one.high.is_infinite());
        assert!(mean(&[]).value.is_nan());
        assert_eq!(mean(&[2.0; 5]), ConfidenceInterval { value: 2.0, low: 2.0, high: 2.0 });
    }

    #[test]
    fn a_share_has_wilsons_interval() {
        // Newcombe, "Two-sided confidence intervals for the single proportion", Statistics in
        // Medicine 17 (1998), table I, method 3.
        for (hits, trials, low, high) in [
            (81, 263, 0.2553, 0.3662),
            (15, 148, 0.0624, 0.1605),
            (0, 20, 0.0, 0.1611),
            (1, 29, 0.0061, 0.1718),
        ] {
            let found = wilson(hits, trials);
            assert_near(found.low, low, 5.1e-5);
            assert_near(found.high, high, 5.1e-5);
        }
    }

    #[test]
    fn runs_that_lose_together_widen_the_interval_of_a_share() {
        // Twice 100 units, once all lost and once none: as units 50 % +- 7 %, as runs anything.
        assert_eq!(
            share_over_runs(&[(0, 100), (100, 100)]),
            ConfidenceInterval { value: 0.5, low: 0.0, high: 1.0 }
        );
        // Shares 0.8, 0.9 and 1.0: their spread is 0.1, and t with two degrees is 4.303.
        let uneven = share_over_runs(&[(80, 100), (90, 100), (100, 100)]);
        assert_near(uneven.value, 0.9, 1e-12);
        assert_near(uneven.low, 0.9 - 4.303 * 0.1 / 3.0_f64.sqrt(), 1e-4);
        assert_near(uneven.high, 1.0, 0.0);
        // Runs that agree leave as much doubt as that number of units, and empty ones say nothing.
        assert_eq!(share_over_runs(&[(100, 100); 4]), wilson(400, 400));
        assert_eq!(share_over_runs(&[(50, 100), (50, 100), (0, 0)]), wilson(100, 200));
        assert_eq!(share_over_runs(&[]), wilson(0, 0));
        assert_eq!(
            share_over_runs(&[(5, 10)]),
            ConfidenceInterval { value: 0.5, low: 0.0, high: 1.0 }
        );
    }

    #[test]
    fn none_and_all_are_never_certain() {
        for trials in [1, 10, 100_000, 10_000_000] {
            let (none, all) = (wilson(0, trials), wilson(trials, trials));
            assert_near(none.low, 0.0, 0.0);
            assert_near(all.high, 1.0, 0.0);
            assert!(none.high > 0.0 && all.low < 1.0);
            assert_near(none.high, 1.0 - all.low, 1e-15);
        }
        assert_eq!(wilson(0, 0), ConfidenceInterval { value: 0.0, low: 0.0, high: 1.0 });
    }

    #[test]
    fn none_of_a_hundred_thousand_is_at_most_three_in_a_hundred_thousand() {
        assert_near(upper_bound_when_none(100_000), 2.9957e-5, 1e-9);
        assert_near(upper_bound_when_none(1), 0.95, 1e-15);
        assert_near(upper_bound_when_none(0), 1.0, 0.0);
        assert!(upper_bound_when_none(100_000) < wilson(0, 100_000).high);
    }
}
