//! Deviation of a delay from its mean, by an inverse-CDF table as netem's.
//!
//! netem ships tables of 16,384 samples of a normal and of a Pareto distribution, standardised to
//! a jitter of one, and picks from them evenly. So do we, with 4,096 entries: entry `i` is the
//! distribution's quantile at `(i + 1/2) / 4096`, and the whole table is then shifted and scaled
//! so that its mean is 0 and its standard deviation 1 (within 1e-6), which clipping the tails
//! would otherwise spoil. That stretches the normal distribution by less than 0.1 % and the
//! Pareto distribution, of whose variance the farthest 1/8192 holds much, by 6 %. The tables are
//! computed once a process, with `libm` only, so that they are the same on every machine.
//!
//! | distribution | least | greatest | mean | standard deviation |
//! |---|---|---|---|---|
//! | uniform (no table) | -1 | 1 | 0 | 0.577 |
//! | normal | -3.67 | 3.67 | 0 | 1 |
//! | pareto | -0.61 | 22.91 | 0 | 1 |
//!
//! The Pareto distribution has netem's shape, 3. netem scales it by 4/3 and cuts it at four
//! jitters, which gives it a standard deviation other than the jitter; ours is the jitter.
//!
//! A delay never falls below zero: a jitter near the delay or above it therefore makes the mean
//! delay longer than stated.

use std::array;
use std::sync::LazyLock;

use super::settings::{DirectionSettings, Distribution};
use crate::base::Span;
use crate::base::draw::uniform_open_unit;

const TABLE_INDEX_BITS: u32 = 12;
const TABLE_LEN: usize = 1 << TABLE_INDEX_BITS;

type QuantileTable = [f32; TABLE_LEN];

static NORMAL: LazyLock<QuantileTable> = LazyLock::new(normal_quantiles);
static PARETO: LazyLock<QuantileTable> = LazyLock::new(pareto_quantiles);

impl Distribution {
    /// Returns how many jitters a packet with this draw strays from the mean delay.
    #[must_use]
    pub fn sample_deviation(self, word: u32) -> f64 {
        let entry = (word >> (u32::BITS - TABLE_INDEX_BITS)) as usize;
        match self {
            Self::Uniform => 2.0 * uniform_open_unit(word) - 1.0,
            Self::Normal => f64::from(NORMAL[entry]),
            Self::Pareto => f64::from(PARETO[entry]),
        }
    }
}

impl DirectionSettings {
    /// The propagation delay of a packet with this draw, at least zero.
    #[must_use]
    #[inline]
    pub fn propagation_delay(&self, word: u32) -> Span {
        if self.jitter == Span::ZERO {
            return self.delay;
        }
        apply_deviation(self.delay, self.jitter, self.distribution.sample_deviation(word))
    }
}

#[expect(clippy::cast_possible_truncation, reason = "`as` saturates")]
#[expect(clippy::cast_precision_loss, reason = "jitter is no more precise than that")]
fn apply_deviation(delay: Span, jitter: Span, deviation: f64) -> Span {
    let offset = (jitter.as_nanos() as f64 * deviation) as i64;
    Span::from_nanos(delay.as_nanos().saturating_add_signed(offset))
}

/// The quantiles of the normal distribution, by Newton's method from the median outwards. There
/// its distribution function is concave, so that every step stays short of the quantile.
fn normal_quantiles() -> QuantileTable {
    let mut upper = [0.0; TABLE_LEN / 2];
    let mut x = 0.0;
    for (i, quantile) in upper.iter_mut().enumerate() {
        let share = 0.5 + midpoint_share(i);
        for _ in 0..8 {
            let below = 0.5 * libm::erfc(-x * std::f64::consts::FRAC_1_SQRT_2);
            let density = libm::exp(-0.5 * x * x) / std::f64::consts::TAU.sqrt();
            x += (share - below) / density;
        }
        *quantile = x;
    }
    standardize(&array::from_fn(|i| {
        if i < TABLE_LEN / 2 { -upper[TABLE_LEN / 2 - 1 - i] } else { upper[i - TABLE_LEN / 2] }
    }))
}

/// The quantiles of the Pareto distribution of shape 3 and least value 1.
fn pareto_quantiles() -> QuantileTable {
    standardize(&array::from_fn(|i| 1.0 / libm::cbrt(1.0 - midpoint_share(i))))
}

/// The share of a distribution below the middle of the `i`-th of its equal parts.
#[expect(clippy::cast_precision_loss, reason = "a small integer")]
fn midpoint_share(i: usize) -> f64 {
    (i as f64 + 0.5) / TABLE_LEN as f64
}

#[expect(clippy::cast_possible_truncation, reason = "a table of single precision is enough")]
#[expect(clippy::cast_precision_loss, reason = "a small integer")]
fn standardize(quantiles: &[f64; TABLE_LEN]) -> QuantileTable {
    let mean = quantiles.iter().sum::<f64>() / TABLE_LEN as f64;
    let variance =
        quantiles.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / TABLE_LEN as f64;
    quantiles.map(|x| ((x - mean) / variance.sqrt()) as f32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::draw::DrawKey;
    use crate::network::test_support::{assert_mean, mean, plain_direction};

    const TABLES: [Distribution; 2] = [Distribution::Normal, Distribution::Pareto];

    fn entries(distribution: Distribution) -> Vec<f64> {
        (0..4096_u32).map(|i| distribution.sample_deviation(i << 20)).collect()
    }

    #[test]
    fn a_table_has_mean_zero_and_standard_deviation_one() {
        for distribution in TABLES {
            let table = entries(distribution);
            let squares = table.iter().map(|x| x * x).collect::<Vec<_>>();
            assert!(mean(&table).abs() < 1e-6, "{distribution:?} {}", mean(&table));
            assert!((mean(&squares) - 1.0).abs() < 1e-6, "{distribution:?} {}", mean(&squares));
            assert!(table.is_sorted());
        }
    }

    #[test]
    fn a_table_follows_its_distribution_function() {
        // The share of each distribution below a few deviations, by its closed form.
        for x in [-2.0, -1.0, 0.0, 0.5, 2.0, 3.0_f64] {
            let table = entries(Distribution::Normal);
            let below =
                mean(&table.iter().map(|y| f64::from(u8::from(*y < x))).collect::<Vec<_>>());
            let expected = 0.5 * libm::erfc(-x / 2_f64.sqrt());
            assert!((below - expected).abs() < 1e-3, "normal {x}");
        }
        // Undo the shift and the stretch by the first and the last entry, then compare.
        let table = entries(Distribution::Pareto);
        let quantile = |i: u32| libm::pow(1.0 - (f64::from(i) + 0.5) / 4096.0, -1.0 / 3.0);
        let stretch = (quantile(4095) - quantile(0)) / (table[4095] - table[0]);
        for i in [1, 1_000, 2_048, 3_000, 4_000, 4_090] {
            let value = quantile(0) + (table[i as usize] - table[0]) * stretch;
            assert!((value - quantile(i)).abs() < 1e-5, "pareto {i}");
        }
        assert!((1.0 / stretch * 0.75_f64.sqrt() - 1.06).abs() < 0.01);
    }

    #[test]
    fn the_tails_end_where_the_module_doc_says() {
        let ends = TABLES.map(|distribution| {
            let table = entries(distribution);
            format!("{:.2} {:.2}", table[0], table[4095])
        });
        assert_eq!(ends, ["-3.67 3.67", "-0.61 22.91"]);
    }

    #[test]
    fn delays_have_the_stated_mean_and_standard_deviation() {
        let key = DrawKey::new(11);
        let word = |n| key.draw([n, 0, 0, 0])[1];
        for (distribution, sd) in [
            (Distribution::Uniform, 20.0 / 3_f64.sqrt()),
            (Distribution::Normal, 20.0),
            (Distribution::Pareto, 20.0),
        ] {
            let mut settings = plain_direction();
            settings.delay = Span::from_millis(100);
            settings.jitter = Span::from_millis(20);
            settings.distribution = distribution;
            let delays = (0..100_000)
                .map(|n| settings.propagation_delay(word(n)).as_secs_f64() * 1e3)
                .collect::<Vec<_>>();
            assert_mean(delays.iter().copied(), 100.0, sd);
            // The fourth moment bounds how far the sample's variance may stray; Pareto's is from
            // the table itself, since the distribution's own is infinite.
            let fourth = match distribution {
                Distribution::Uniform => 9.0 / 5.0,
                Distribution::Normal => 3.0,
                Distribution::Pareto => {
                    let table = entries(distribution);
                    mean(&table.iter().map(|x| x * x * x * x).collect::<Vec<_>>())
                }
            };
            let squares = delays.iter().map(|x| (x - 100.0) * (x - 100.0));
            assert_mean(squares, sd * sd, sd * sd * (fourth - 1.0).sqrt());
        }
    }

    #[test]
    fn a_delay_never_falls_below_zero() {
        let mut settings = plain_direction();
        settings.delay = Span::from_millis(1);
        settings.jitter = Span::from_secs(1);
        for distribution in [Distribution::Uniform, Distribution::Normal, Distribution::Pareto] {
            settings.distribution = distribution;
            assert_eq!(settings.propagation_delay(0), Span::ZERO);
            assert!(settings.propagation_delay(u32::MAX) > Span::from_millis(900));
        }
    }
}
