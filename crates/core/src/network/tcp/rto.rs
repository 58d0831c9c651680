//! Retransmission timeout of a sender: RFC 6298.

use crate::base::Span;
use crate::impl_fingerprint;

/// Before any round trip was measured (RFC 6298, 2.1).
const INITIAL_TIMEOUT: Span = Span::from_secs(1);
/// Doubling ends here (RFC 6298, 2.5).
const MAX_TIMEOUT: Span = Span::from_secs(60);

/// The retransmission timeout of one direction.
///
/// The clock is exact, so that the RFC's granularity `G` is nothing. An acknowledgement of new data
/// ends the doubling at once, as it does where TCP has timestamps (RFC 7323), which every current
/// system sends; without them the doubled timeout would stay until the next measurement.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rto {
    /// The smoothed round trip and its variation.
    srtt_and_variation: Option<(Span, Span)>,
    /// How often it is doubled.
    doublings: u32,
}

impl_fingerprint! {
    struct Rto {
        plain srtt_and_variation, doublings;
    }
}

impl Rto {
    pub(super) const fn new() -> Self {
        Self { srtt_and_variation: None, doublings: 0 }
    }

    /// Learns the round trip of a segment that was sent once (Karn's rule; RFC 6298, 2.2 and 2.3).
    pub(super) fn record_round_trip(&mut self, round_trip: Span) {
        let next = match self.srtt_and_variation {
            None => (round_trip, half(round_trip)),
            Some((smooth, variation)) => {
                let deviation = (smooth - round_trip).max(round_trip - smooth);
                (weighted_average(smooth, 8, round_trip), weighted_average(variation, 4, deviation))
            }
        };
        self.srtt_and_variation = Some(next);
    }

    /// New data was acknowledged.
    pub(super) const fn reset_backoff(&mut self) {
        self.doublings = 0;
    }

    /// The timer expired (RFC 6298, 5.5).
    pub(super) const fn back_off(&mut self) {
        self.doublings = self.doublings.saturating_add(1);
    }

    /// How long to wait now; never less than `min`.
    pub(super) fn timeout(&self, min: Span) -> Span {
        let plain = self
            .srtt_and_variation
            .map_or(INITIAL_TIMEOUT, |(smooth, var)| smooth + var.times(4))
            .max(min);
        let factor = 1_u64.checked_shl(self.doublings).unwrap_or(u64::MAX);
        plain.times(factor).min(MAX_TIMEOUT.max(min))
    }
}

const fn half(span: Span) -> Span {
    Span::from_nanos(span.as_nanos() / 2)
}

/// `old` with a new value that weighs one part in `parts`.
fn weighted_average(old: Span, parts: u64, new: Span) -> Span {
    let sum = u128::from(old.as_nanos()) * u128::from(parts - 1) + u128::from(new.as_nanos());
    Span::from_nanos(u64::try_from(sum / u128::from(parts)).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIN: Span = Span::from_millis(200);

    #[test]
    fn the_timeout_is_one_second_before_any_measurement() {
        assert_eq!(Rto::new().timeout(MIN), Span::from_secs(1));
        assert_eq!(Rto::new().timeout(Span::from_secs(3)), Span::from_secs(3));
    }

    #[test]
    fn the_timeout_follows_the_round_trip_and_its_variation() {
        let mut rto = Rto::new();
        rto.record_round_trip(Span::from_millis(400));
        // 400 + 4 * 200.
        assert_eq!(rto.timeout(MIN), Span::from_millis(1_200));
        rto.record_round_trip(Span::from_millis(480));
        // The variation is (3 * 200 + 80) / 4 = 170, the round trip (7 * 400 + 480) / 8 = 410.
        assert_eq!(rto.timeout(MIN), Span::from_millis(1_090));
        for _ in 0..100 {
            rto.record_round_trip(Span::from_millis(20));
        }
        assert_eq!(rto.timeout(MIN), MIN);
    }

    #[test]
    fn the_timeout_doubles_up_to_a_minute_until_an_acknowledgement() {
        let mut rto = Rto::new();
        rto.record_round_trip(Span::from_millis(1));
        let waits = [0; 10].map(|_| {
            let wait = rto.timeout(MIN);
            rto.back_off();
            wait.as_nanos() / 1_000_000
        });
        assert_eq!(waits, [200, 400, 800, 1600, 3200, 6400, 12800, 25600, 51200, 60000]);
        (0..100).for_each(|_| rto.back_off());
        assert_eq!(rto.timeout(MIN), Span::from_secs(60));
        rto.reset_backoff();
        assert_eq!(rto.timeout(MIN), MIN);
    }
}
