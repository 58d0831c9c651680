//! The head of a direction: how fast bytes leave, and how many packets may wait to.

use std::collections::VecDeque;

use serde::Serialize;

use super::settings::DirectionSettings;
use crate::base::fingerprint;
use crate::base::time::{Span, Time};

/// The packets that wait to leave in one direction. Without a rate it is empty and free.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Line {
    /// When the last packet that was let in has left.
    #[serde(serialize_with = "fingerprint::due")]
    free: Time,
    /// When each packet that was let in leaves, while it has not; kept only under a limit.
    waiting: VecDeque<Time>,
}

impl Line {
    /// Lets a packet in at `now` and tells when its last bit leaves. Calls come in order of time.
    ///
    /// # Errors
    /// If `queue` packets wait, the packet is dropped: the time at which it would have left.
    #[inline]
    pub fn enter(
        &mut self,
        settings: &DirectionSettings,
        now: Time,
        wire_bytes: u32,
    ) -> Result<Time, Time> {
        let Some(rate) = settings.rate else { return Ok(now) };
        let leaves = self.free.max(now) + transmission(wire_bytes, rate);
        if let Some(places) = settings.queue {
            while self.waiting.front().is_some_and(|left| *left <= now) {
                self.waiting.pop_front();
            }
            if self.waiting.len() >= places as usize {
                return Err(leaves);
            }
            self.waiting.push_back(leaves);
        }
        self.free = leaves;
        Ok(leaves)
    }
}

/// How long a line of `rate` bits a second is busy with so many bytes: rounded up to the
/// nanosecond, so that it never carries more than its rate. A rate of zero, which a scenario
/// refuses, counts as one.
#[must_use]
pub fn transmission(wire_bytes: u32, rate: u64) -> Span {
    let bits = u64::from(wire_bytes) * 8;
    Span::from_nanos(bits.saturating_mul(1_000_000_000).div_ceil(rate.max(1)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::testing::direction;

    fn limited(rate: u64, queue: Option<u32>) -> DirectionSettings {
        DirectionSettings { rate: Some(rate), queue, ..direction() }
    }

    const fn millis(millis: u64) -> Time {
        Time::from_nanos(millis * 1_000_000)
    }

    #[test]
    fn a_packet_takes_its_bits_over_the_rate() {
        assert_eq!(transmission(125, 1_000), Span::from_secs(1));
        assert_eq!(transmission(1, 3), Span::from_nanos(2_666_666_667));
        assert_eq!(transmission(0, 1), Span::ZERO);
        assert_eq!(transmission(u32::MAX, u64::MAX), Span::from_nanos(1));
    }

    #[test]
    fn packets_leave_one_after_the_other() {
        // 100 bytes at 8 kbit/s are 100 ms.
        let settings = limited(8_000, None);
        let mut line = Line::default();
        let leaves = [(0, 100), (0, 100), (50, 10), (400, 100)]
            .map(|(at, bytes)| line.enter(&settings, millis(at), bytes));
        assert_eq!(leaves, [100, 200, 210, 500].map(|at| Ok(millis(at))));
    }

    #[test]
    fn one_too_many_is_dropped_and_takes_no_time() {
        let settings = limited(8_000, Some(2));
        let mut line = Line::default();
        let enter = |line: &mut Line, at| line.enter(&settings, millis(at), 100);
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
        let settings = DirectionSettings { queue: Some(0), ..direction() };
        let mut line = Line::default();
        for _ in 0..10 {
            assert_eq!(line.enter(&settings, millis(3), u32::MAX), Ok(millis(3)));
        }
    }
}
