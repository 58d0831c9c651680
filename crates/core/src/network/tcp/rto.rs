//! Retransmission timeout of a sender: RFC 6298.

use crate::base::Span;
use crate::impl_fingerprint;

/// Before any round trip was measured (RFC 6298, 2.1).
const INITIAL_TIMEOUT: Span = Span::from_secs(1);
/// Doubling ends here (RFC 6298, 2.5).
const MAX_TIMEOUT: Span = Span::from_secs(60);

/// The retransmission timeout of one direction, as Linux computes it: the variation rises at once
/// with a late acknowledgement, and falls by a quarter a round trip.
///
/// The clock is exact, so that the RFC's granularity `G` is nothing. An acknowledgement of new data
/// ends the doubling at once, as it does where TCP has timestamps (RFC 7323), which every current
/// system sends; without them the doubled timeout would stay until the next measurement.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rto {
    measured: Option<Measured>,
    /// How often it is doubled.
    doublings: u32,
}

/// What round trips say. Variations are four times a mean deviation.
#[derive(Clone, Copy, Debug)]
struct Measured {
    smoothed: Span,
    deviation: Span,
    /// The largest deviation of this round trip.
    largest: Span,
    variation: Span,
    /// The first byte that was not sent when this round trip began.
    round_ends_at: u64,
}

impl_fingerprint! { struct Rto { plain measured, doublings; } }
impl_fingerprint! {
    struct Measured { plain smoothed, deviation, largest, variation, round_ends_at; }
}

impl Rto {
    pub(super) const fn new() -> Self {
        Self { measured: None, doublings: 0 }
    }

    /// Learns a round trip, when all before `unacked` is acknowledged and all before `next` sent.
    pub(super) fn record_round_trip(&mut self, round_trip: Span, unacked: u64, next: u64) {
        let Some(old) = &mut self.measured else {
            let twice = round_trip.times(2);
            self.measured = Some(Measured {
                smoothed: round_trip,
                deviation: twice,
                largest: twice,
                variation: twice,
                round_ends_at: next,
            });
            return;
        };
        let error = (old.smoothed - round_trip).max(round_trip - old.smoothed);
        // Four times the new mean deviation, of which the error is a quarter. A shorter round trip
        // counts an eighth as much where it would make it larger.
        let quarter = Span::from_nanos(old.deviation.as_nanos() / 4);
        let is_shorter = round_trip < old.smoothed;
        old.deviation = if error > quarter {
            let more = error - quarter;
            let parts = if is_shorter { 8 } else { 1 };
            old.deviation + Span::from_nanos(more.as_nanos() / parts)
        } else {
            old.deviation - (quarter - error)
        };
        old.smoothed = weighted_average(old.smoothed, 8, round_trip);
        old.largest = old.largest.max(old.deviation);
        old.variation = old.variation.max(old.largest);
        if unacked > old.round_ends_at {
            let excess = old.variation - old.largest;
            old.variation = old.variation - Span::from_nanos(excess.as_nanos() / 4);
            old.round_ends_at = next;
            old.largest = Span::ZERO;
        }
    }

    /// The smoothed round trip, if any was measured.
    pub(super) const fn smoothed(&self) -> Option<Span> {
        match self.measured {
            Some(measured) => Some(measured.smoothed),
            None => None,
        }
    }

    /// New data was acknowledged.
    pub(super) const fn reset_backoff(&mut self) {
        self.doublings = 0;
    }

    /// The timer expired (RFC 6298, 5.5).
    pub(super) const fn back_off(&mut self) {
        self.doublings = self.doublings.saturating_add(1);
    }

    /// How long to wait now: the round trip, and `min` at the least (Linux's `tcp_rto_min`).
    pub(super) fn timeout(&self, min: Span) -> Span {
        let plain = self
            .measured
            .map_or(INITIAL_TIMEOUT.max(min), |it| it.smoothed + it.variation.max(min));
        let factor = 1_u64.checked_shl(self.doublings).unwrap_or(u64::MAX);
        plain.times(factor).min(MAX_TIMEOUT.max(min))
    }
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
        rto.record_round_trip(Span::from_millis(400), 0, 1);
        // 400 + 4 * 200.
        assert_eq!(rto.timeout(MIN), Span::from_millis(1_200));
        // The deviation is 3 / 4 * 800 + 80, less than it was in this round trip; the round trip
        // (7 * 400 + 480) / 8.
        rto.record_round_trip(Span::from_millis(480), 1, 2);
        assert_eq!(rto.timeout(MIN), Span::from_millis(410 + 800));
        for n in 0..1_000 {
            rto.record_round_trip(Span::from_millis(20), 2 + n, 3 + n);
        }
        assert_eq!(rto.timeout(MIN), Span::from_millis(20) + MIN);
    }

    #[test]
    fn one_late_acknowledgement_raises_the_variation_at_once_and_it_falls_slowly() {
        let mut rto = Rto::new();
        (0..1_000).for_each(|n| rto.record_round_trip(Span::from_millis(80), n, n + 1));
        rto.record_round_trip(Span::from_millis(480), 1_000, 1_001);
        // 80 + 400 / 8, and the error of 400.
        assert_eq!(rto.timeout(MIN).as_nanos() / 1_000_000, 130 + 400);
        let timeouts = [1, 2, 3, 4].map(|n| {
            rto.record_round_trip(Span::from_millis(80), 1_000 + 2 * n, 1_001 + 2 * n);
            rto.timeout(MIN)
        });
        assert!(timeouts.windows(2).all(|pair| pair[0] > pair[1]));
        assert!(timeouts[3] > Span::from_millis(300), "{timeouts:?}");
    }

    #[test]
    fn the_timeout_doubles_up_to_a_minute_until_an_acknowledgement() {
        let mut rto = Rto::new();
        rto.record_round_trip(Span::from_millis(1), 0, 1);
        let waits = [0; 10].map(|_| {
            let wait = rto.timeout(MIN);
            rto.back_off();
            wait.as_nanos() / 1_000_000
        });
        assert_eq!(waits, [201, 402, 804, 1608, 3216, 6432, 12864, 25728, 51456, 60000]);
        (0..100).for_each(|_| rto.back_off());
        assert_eq!(rto.timeout(MIN), Span::from_secs(60));
        rto.reset_backoff();
        assert_eq!(rto.timeout(MIN), Span::from_millis(1) + MIN);
    }
}
