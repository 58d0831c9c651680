//! Lengths of time drawn by index: when an outage begins and ends, when the next message comes.

use super::settings::IntervalDistribution;
use crate::base::Span;
use crate::base::draw::{DrawKey, uniform_open_unit};

impl IntervalDistribution {
    /// The mean length.
    #[must_use]
    pub const fn mean(self) -> Span {
        match self {
            Self::Fixed(span) | Self::Exponential(span) => span,
            Self::Uniform(low, high) => Span::from_nanos(low.as_nanos() / 2 + high.as_nanos() / 2),
        }
    }

    /// Whether nothing is drawn.
    #[must_use]
    pub const fn is_fixed(self) -> bool {
        matches!(self, Self::Fixed(_))
    }

    /// Returns the length with this index, drawn with `key`; the same whenever and in whatever
    /// order it is asked for.
    #[must_use]
    pub fn sample_at(self, key: DrawKey, index: u64) -> Span {
        match self {
            Self::Fixed(span) => span,
            Self::Uniform(low, high) => uniform(low, high, draw_words(key, index)),
            Self::Exponential(mean) => exponential(mean, draw_words(key, index)[0]),
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "splits the index into its halves")]
fn draw_words(key: DrawKey, index: u64) -> [u32; 4] {
    key.draw([index as u32, (index >> 32) as u32, 0, 0])
}

/// A length evenly from `low` to `high`, both included; `low` if they are the wrong way round.
fn uniform(low: Span, high: Span, words: [u32; 4]) -> Span {
    let lengths = u128::from((high - low).as_nanos()) + 1;
    let word = u128::from(words[0]) << 32 | u128::from(words[1]);
    low + Span::from_nanos(((lengths * word) >> 64) as u64)
}

/// An exponential length by inversion. One word in 2^32 makes the longest 22.9 means.
pub(super) fn exponential(mean: Span, word: u32) -> Span {
    Span::from_secs_f64(-mean.as_secs_f64() * libm::log(uniform_open_unit(word)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::network::test_support::{assert_mean, mean};

    const N: u64 = 100_000;

    fn lengths(interval: IntervalDistribution) -> impl Iterator<Item = f64> {
        let key = DrawKey::new(3).child(b"test");
        (0..N).map(move |n| interval.sample_at(key, n).as_secs_f64())
    }

    #[test]
    fn a_fixed_interval_never_varies() {
        let interval = IntervalDistribution::Fixed(Span::from_secs(7));
        assert!(lengths(interval).all(|length| length.total_cmp(&7.0).is_eq()));
    }

    #[test]
    fn a_uniform_interval_has_the_mean_and_spread_of_its_bounds() {
        let interval = IntervalDistribution::Uniform(Span::from_secs(5), Span::from_secs(15));
        let sd = 10.0 / 12_f64.sqrt();
        assert_mean(lengths(interval), 10.0, sd);
        // The square of a uniform deviation has standard deviation w^2 sqrt(1/80 - 1/144).
        let squares = lengths(interval).map(|x| (x - 10.0) * (x - 10.0));
        assert_mean(squares, sd * sd, 100.0 * (1.0 / 80.0 - 1.0 / 144.0_f64).sqrt());
    }

    #[test]
    fn an_exponential_interval_has_its_mean_and_no_memory() {
        let interval = IntervalDistribution::Exponential(Span::from_secs(10));
        assert_mean(lengths(interval), 10.0, 10.0);
        let late = lengths(interval).filter(|x| *x > 10.0).collect::<Vec<_>>();
        let share = mean(&lengths(interval).map(|x| f64::from(x > 10.0)).collect::<Vec<_>>());
        let expected = libm::exp(-1.0);
        assert!((share - expected).abs() < 4.5 * (expected / 100_000.0).sqrt(), "{share}");
        assert_mean(late.into_iter().map(|x| x - 10.0), 10.0, 10.0);
    }

    proptest! {
        #[test]
        fn a_uniform_interval_stays_within_its_bounds(
            seed: u64, index: u64, low in 0..u64::MAX / 2, width in 0..u64::MAX / 2,
        ) {
            let (low, high) = (Span::from_nanos(low), Span::from_nanos(low + width));
            let distribution = IntervalDistribution::Uniform(low, high);
            let length = distribution.sample_at(DrawKey::new(seed), index);
            prop_assert!((low..=high).contains(&length));
        }
    }
}
