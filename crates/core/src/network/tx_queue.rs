//! The head of a direction: how fast bytes leave, and how many packets may wait to.

use std::collections::VecDeque;

use super::settings::DirectionSettings;
use crate::base::{Span, Time};
use crate::impl_fingerprint;

/// The packets that wait to leave in one direction. Without a rate it is empty and free.
#[derive(Clone, Debug, Default)]
pub(super) struct TxQueue {
    /// When the last packet that was let in has left.
    free_at: Time,
    /// When each packet that was let in leaves, while it has not; kept only under a limit.
    departures: VecDeque<Time>,
}

impl_fingerprint! {
    struct TxQueue {
        plain departures;
        future_only free_at;
    }
}

impl TxQueue {
    /// Lets a packet in at `now`; returns when its last bit leaves. Calls come in order of time.
    ///
    /// # Errors
    /// If `queue` packets wait, the packet is dropped: the time at which it would have left.
    #[inline]
    pub(super) fn enqueue(
        &mut self,
        settings: &DirectionSettings,
        now: Time,
        wire_bytes: u32,
    ) -> Result<Time, Time> {
        let Some(rate) = settings.rate else { return Ok(now) };
        let leaves = self.free_at.max(now) + transmission_time(wire_bytes, rate);
        if let Some(limit) = settings.queue {
            while self.departures.front().is_some_and(|left| *left <= now) {
                self.departures.pop_front();
            }
            if self.departures.len() >= limit as usize {
                return Err(leaves);
            }
            self.departures.push_back(leaves);
        }
        self.free_at = leaves;
        Ok(leaves)
    }
}

/// Returns how long a line of `rate` bits a second is busy with `bytes`: rounded up to the
/// nanosecond, so that it never carries more than its rate. A rate of zero, which a scenario
/// refuses, counts as one.
#[must_use]
pub(super) fn transmission_time(wire_bytes: u32, rate: u64) -> Span {
    let bits = u64::from(wire_bytes) * 8;
    Span::from_nanos(bits.saturating_mul(1_000_000_000).div_ceil(rate.max(1)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::test_support::plain_direction;

    fn limited(rate: u64, queue: Option<u32>) -> DirectionSettings {
        DirectionSettings { rate: Some(rate), queue, ..plain_direction() }
    }

    const fn millis(millis: u64) -> Time {
        Time::from_nanos(millis * 1_000_000)
    }

    #[test]
    fn a_packet_takes_its_bits_over_the_rate() {
        assert_eq!(transmission_time(125, 1_000), Span::from_secs(1));
        assert_eq!(transmission_time(1, 3), Span::from_nanos(2_666_666_667));
        assert_eq!(transmission_time(0, 1), Span::ZERO);
        assert_eq!(transmission_time(u32::MAX, u64::MAX), Span::from_nanos(1));
    }

    #[test]
    fn packets_leave_one_after_the_other() {
        // 100 bytes at 8 kbit/s are 100 ms.
        let settings = limited(8_000, None);
        let mut line = TxQueue::default();
        let leaves = [(0, 100), (0, 100), (50, 10), (400, 100)]
            .map(|(at, bytes)| line.enqueue(&settings, millis(at), bytes));
        assert_eq!(leaves, [100, 200, 210, 500].map(|at| Ok(millis(at))));
    }

    #[test]
    fn a_packet_beyond_the_queue_limit_is_dropped_and_takes_no_time() {
        let settings = limited(8_000, Some(2));
        let mut line = TxQueue::default();
        let enter = |line: &mut TxQueue, at| line.enqueue(&settings, millis(at), 100);
        assert_eq!(enter(&mut line, 0), Ok(millis(100)));
        assert_eq!(enter(&mut line, 0), Ok(millis(200)));
        assert_eq!(enter(&mut line, 0), Err(millis(300)));
        assert_eq!(enter(&mut line, 99), Err(millis(300)));
        // The first leaves at 100 ms and its place is free at that very instant.
        assert_eq!(enter(&mut line, 100), Ok(millis(300)));
        assert_eq!(enter(&mut line, 100), Err(millis(400)));
    }

    #[test]
    fn without_a_rate_nothing_waits() {
        let settings = DirectionSettings { queue: Some(0), ..plain_direction() };
        let mut line = TxQueue::default();
        for _ in 0..10 {
            assert_eq!(line.enqueue(&settings, millis(3), u32::MAX), Ok(millis(3)));
        }
    }
}
