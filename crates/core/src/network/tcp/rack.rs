//! Loss detection by time: RACK (RFC 8985).
//!
//! Once a segment was delivered, every one that was sent before it and is still missing after a
//! round trip and a little more is lost. How much more decides how far packets may overtake each
//! other: a quarter of the shortest round trip, and nothing once three segments are known to have
//! arrived beyond a hole, or while losses are being repaired.

use crate::base::{Span, Time};
use crate::impl_fingerprint;

/// Segments beyond a hole from which on nothing is waited for (RFC 8985, 6.2: `DupThresh`).
const ENOUGH_BEYOND: u32 = 3;

/// The segment sent last of those that are known to have arrived.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rack {
    sent: Time,
    end: u64,
    round_trip: Span,
    shortest: Span,
}

impl_fingerprint! { struct Rack { plain sent, end, round_trip, shortest; } }

impl Rack {
    pub(super) const fn new() -> Self {
        Self { sent: Time::ZERO, end: 0, round_trip: Span::ZERO, shortest: Span::LIMIT }
    }

    /// A segment that ends there is known to have arrived. One that was sent again and is
    /// acknowledged within less than the shortest round trip tells of its first sending.
    pub(super) fn on_delivered(&mut self, now: Time, sent: Time, end: u64, was_sent_again: bool) {
        let round_trip = now.since(sent);
        if was_sent_again && round_trip < self.shortest {
            return;
        }
        if !was_sent_again {
            self.shortest = self.shortest.min(round_trip);
        }
        if (sent, end) > (self.sent, self.end) {
            (self.sent, self.end, self.round_trip) = (sent, end, round_trip);
        }
    }

    /// The shortest round trip so far; [`Span::LIMIT`] before the first.
    pub(super) const fn shortest_round_trip(&self) -> Span {
        self.shortest
    }

    /// How long after its sending a segment counts as lost if one sent later has arrived.
    pub(super) fn patience(&self, beyond: u32, is_recovering: bool) -> Span {
        if is_recovering || beyond >= ENOUGH_BEYOND {
            return self.round_trip;
        }
        self.round_trip + Span::from_nanos(self.shortest.as_nanos() / 4)
    }

    /// Whether a segment was sent before the latest that arrived.
    pub(super) fn was_sent_before(&self, sent: Time, end: u64) -> bool {
        (sent, end) < (self.sent, self.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn millis(millis: u64) -> Time {
        Time::from_nanos(millis * 1_000_000)
    }

    #[test]
    fn a_segment_is_lost_a_round_trip_and_a_quarter_after_its_sending() {
        let mut rack = Rack::new();
        rack.on_delivered(millis(180), millis(100), 200, false);
        assert!(rack.was_sent_before(millis(0), 100) && !rack.was_sent_before(millis(110), 300));
        assert_eq!(rack.patience(1, false), Span::from_millis(100));
        assert_eq!(rack.patience(3, false), Span::from_millis(80));
        assert_eq!(rack.patience(1, true), Span::from_millis(80));
    }

    #[test]
    fn of_two_sent_at_once_the_later_in_the_stream_counts_as_later() {
        let mut rack = Rack::new();
        rack.on_delivered(millis(80), millis(0), 200, false);
        assert!(rack.was_sent_before(millis(0), 100) && !rack.was_sent_before(millis(0), 200));
    }

    #[test]
    fn an_acknowledgement_too_soon_for_a_second_sending_tells_of_the_first() {
        let mut rack = Rack::new();
        rack.on_delivered(millis(80), millis(0), 100, false);
        rack.on_delivered(millis(110), millis(100), 200, true);
        assert!(!rack.was_sent_before(millis(50), 150));
        rack.on_delivered(millis(185), millis(100), 200, true);
        assert!(rack.was_sent_before(millis(50), 150));
    }
}
