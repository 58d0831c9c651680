//! Packets in transit, in the order in which they are due.

use std::collections::BTreeMap;

use qoslab_core::base::{Direction, Time};

/// Packet that is due at the end of its direction.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Departure {
    pub(super) due: Time,
    pub(super) direction: Direction,
    pub(super) packet: Box<[u8]>,
}

/// Queue of packets by the time at which they are due; those due at the same time keep their order.
#[derive(Debug, Default)]
pub(super) struct Departures {
    /// By its due time, and by how many were queued before it.
    queue: BTreeMap<(Time, u64), Departure>,
    queued: u64,
}

impl Departures {
    pub(super) fn push(&mut self, due: Time, direction: Direction, packet: &[u8]) {
        let departure = Departure { due, direction, packet: packet.into() };
        self.queue.insert((due, self.queued), departure);
        self.queued += 1;
    }

    /// When the next packet is due.
    pub(super) fn next_due(&self) -> Option<Time> {
        self.queue.first_key_value().map(|((due, _), _)| *due)
    }

    /// The next packet, if it is due.
    pub(super) fn pop_due(&mut self, now: Time) -> Option<Departure> {
        let next = self.queue.first_entry().filter(|next| next.key().0 <= now)?;
        Some(next.remove())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn millis(millis: u64) -> Time {
        Time::from_nanos(millis * 1_000_000)
    }

    #[test]
    fn packets_leave_when_they_are_due_and_in_that_order() {
        let mut departures = Departures::default();
        departures.push(millis(30), Direction::Up, b"late");
        departures.push(millis(10), Direction::Down, b"early");
        assert_eq!(departures.next_due(), Some(millis(10)));
        assert_eq!(departures.pop_due(millis(9)), None);
        let mut pop = |now| departures.pop_due(now).map(|next| (next.due, next.packet));
        assert_eq!(pop(millis(10)), Some((millis(10), b"early"[..].into())));
        assert_eq!(pop(millis(29)), None);
        assert_eq!(pop(millis(31)), Some((millis(30), b"late"[..].into())));
        assert_eq!(pop(Time::NEVER), None);
        assert_eq!(departures.next_due(), None);
    }

    #[test]
    fn packets_due_at_the_same_time_keep_their_order() {
        let mut departures = Departures::default();
        for number in 0..100_u8 {
            departures.push(millis(5), Direction::Up, &[number]);
        }
        for number in 0..100_u8 {
            assert_eq!(*departures.pop_due(millis(5)).unwrap().packet, [number]);
        }
    }
}
