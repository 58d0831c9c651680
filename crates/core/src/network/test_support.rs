//! Helpers shared by the tests of this module.

use super::settings::DirectionSettings;
use crate::base::Span;
use crate::base::draw::Chance;

/// A direction that does nothing to a packet.
pub(super) const fn plain_direction() -> DirectionSettings {
    DirectionSettings::delay_only(Span::ZERO)
}

pub(super) fn chance(share: f64) -> Chance {
    Chance::from_share(share)
}

#[expect(clippy::cast_precision_loss, reason = "samples are few")]
pub(super) fn mean(samples: &[f64]) -> f64 {
    samples.iter().sum::<f64>() / samples.len() as f64
}

/// Fails if the samples' mean is 4.5 standard errors or more from the expected one.
#[expect(clippy::cast_precision_loss, reason = "samples are few")]
pub(super) fn assert_mean(samples: impl IntoIterator<Item = f64>, expected: f64, sd: f64) {
    let samples = samples.into_iter().collect::<Vec<_>>();
    let z = (mean(&samples) - expected) / (sd / (samples.len() as f64).sqrt());
    assert!(z.abs() < 4.5, "mean {} instead of {expected}: z = {z}", mean(&samples));
}

/// Fails if the share of hits is 4.5 standard errors or more from the expected one. `inflation`
/// is how many times the variance of independent hits theirs is.
pub(super) fn assert_share(hits: &[bool], expected: f64, inflation: f64) {
    let variance = expected * (1.0 - expected) * inflation;
    let hits = hits.iter().map(|hit| f64::from(u8::from(*hit)));
    // A share of 0 or 1 leaves no room for chance.
    assert_mean(hits, expected, variance.sqrt().max(1e-12));
}
