//! How long a sender waits for an acknowledgement: RFC 6298.

use serde::Serialize;

use crate::base::time::Span;

/// Before any round trip was measured (RFC 6298, 2.1).
const INITIAL: Span = Span::from_secs(1);
/// Doubling ends here (RFC 6298, 2.5).
const LONGEST: Span = Span::from_secs(60);

/// The retransmission timeout of one direction.
///
/// The clock is exact, so that the RFC's granularity `G` is nothing. An acknowledgement of new data
/// ends the doubling at once, as it does where TCP has timestamps (RFC 7323), which every current
/// system sends; without them the doubled timeout would stay until the next measurement.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Rto {
    /// The smoothed round trip and its variation.
    estimate: Option<(Span, Span)>,
    /// How often it is doubled.
    doublings: u32,
}

impl Rto {
    pub(super) const fn new() -> Self {
        Self { estimate: None, doublings: 0 }
    }

    /// Learns the round trip of a segment that was sent once (Karn's rule; RFC 6298, 2.2 and 2.3).
    pub(super) fn measured(&mut self, round_trip: Span) {
        let next = match self.estimate {
            None => (round_trip, half(round_trip)),
            Some((smooth, variation)) => {
                let off = (smooth - round_trip).max(round_trip - smooth);
                (weighted(smooth, 8, round_trip), weighted(variation, 4, off))
            }
        };
        self.estimate = Some(next);
    }

    /// New data was acknowledged.
    pub(super) const fn acknowledged(&mut self) {
        self.doublings = 0;
    }

    /// The timer expired (RFC 6298, 5.5).
    pub(super) const fn expired(&mut self) {
        self.doublings = self.doublings.saturating_add(1);
    }

    /// How long to wait now; never less than `least`.
    pub(super) fn timeout(&self, least: Span) -> Span {
        let plain = self.estimate.map_or(INITIAL, |(smooth, var)| smooth + var.times(4)).max(least);
        let factor = 1_u64.checked_shl(self.doublings).unwrap_or(u64::MAX);
        plain.times(factor).min(LONGEST.max(least))
    }
}

const fn half(span: Span) -> Span {
    Span::from_nanos(span.as_nanos() / 2)
}

/// `old` with a new value that weighs one part in `parts`.
fn weighted(old: Span, parts: u64, new: Span) -> Span {
    let sum = u128::from(old.as_nanos()) * u128::from(parts - 1) + u128::from(new.as_nanos());
    Span::from_nanos(u64::try_from(sum / u128::from(parts)).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: Span = Span::from_millis(200);

    #[test]
    fn it_is_a_second_before_any_round_trip_was_measured() {
        assert_eq!(Rto::new().timeout(LEAST), Span::from_secs(1));
        assert_eq!(Rto::new().timeout(Span::from_secs(3)), Span::from_secs(3));
    }

    #[test]
    fn it_follows_the_round_trip_and_its_variation() {
        let mut rto = Rto::new();
        rto.measured(Span::from_millis(400));
        // 400 + 4 * 200.
        assert_eq!(rto.timeout(LEAST), Span::from_millis(1_200));
        rto.measured(Span::from_millis(480));
        // The variation is (3 * 200 + 80) / 4 = 170, the round trip (7 * 400 + 480) / 8 = 410.
        assert_eq!(rto.timeout(LEAST), Span::from_millis(1_090));
        for _ in 0..100 {
            rto.measured(Span::from_millis(20));
        }
        assert_eq!(rto.timeout(LEAST), LEAST);
    }

    #[test]
    fn it_doubles_up_to_a_minute_and_an_acknowledgement_ends_that() {
        let mut rto = Rto::new();
        rto.measured(Span::from_millis(1));
        let waits = [0; 10].map(|_| {
            let wait = rto.timeout(LEAST);
            rto.expired();
            wait.as_nanos() / 1_000_000
        });
        assert_eq!(waits, [200, 400, 800, 1600, 3200, 6400, 12800, 25600, 51200, 60000]);
        (0..100).for_each(|_| rto.expired());
        assert_eq!(rto.timeout(LEAST), Span::from_secs(60));
        rto.acknowledged();
        assert_eq!(rto.timeout(LEAST), LEAST);
    }
}
