//! The receiving side of one direction: what has arrived, and when it is acknowledged.

use std::ops::Range;

use crate::base::{Span, Time};
use crate::impl_fingerprint;
use crate::network::settings::SocketBuffer;

/// How long an acknowledgement waits for data to ride on (RFC 9293, 3.8.6.3; Linux's
/// `TCP_ATO_MIN`).
pub(super) const DELAYED_ACK: Span = Span::from_millis(40);
/// The window of a new connection of Linux: half of `tcp_rmem`'s default (tcp(7)).
const AUTOTUNED_START: u64 = 64 << 10;
/// How far it grows: half of `tcp_rmem`'s maximum.
const AUTOTUNED_LIMIT: u64 = 3 << 20;
/// What counts as the least that arrives in a round trip (Linux's `TCP_INIT_CWND`).
const INITIAL_WINDOW_SEGMENTS: u64 = 10;
/// Stands for a window of which the sender was not told yet.
const NOTHING_ADVERTISED: u64 = u64::MAX;
/// Blocks that fit an acknowledgement beside the timestamps (RFC 2018, 3).
const SACK_BLOCKS: usize = 3;

/// What an acknowledgement says: all bytes before `next` have arrived, and those blocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Acknowledgement {
    pub(super) next: u64,
    /// From and to, the latest change first; empty ones at the end.
    pub(super) blocks: [(u64, u64); SACK_BLOCKS],
    /// When the segment was sent that caused it (RFC 7323): the one that arrived first of those
    /// that it acknowledges anew.
    pub(super) echo: Time,
    /// The first byte for which there is no room.
    pub(super) window_end: u64,
}

impl_fingerprint! { struct Acknowledgement { plain next, blocks, echo, window_end; } }

/// The receiving side of one direction.
#[derive(Clone, Debug)]
pub(super) struct Receiver {
    /// All bytes before this one have arrived.
    next: u64,
    /// What arrived beyond a hole: apart from each other, ascending.
    beyond: Vec<Range<u64>>,
    /// The start of the block in `beyond` that changed last.
    latest_block: u64,
    /// Bytes that arrived in order and were not acknowledged.
    unacknowledged: u64,
    /// When the oldest of them was sent.
    echo: Time,
    /// When an acknowledgement is due that no data took along.
    acks_at: Time,
    /// Bytes that the application has read.
    read: u64,
    /// The end of the window that the sender knows of; before it knows of any,
    /// [`NOTHING_ADVERTISED`].
    advertised: u64,
    /// The size of a window that is autotuned.
    window: u64,
    /// When that was last looked at, and what had arrived by then.
    tuned_at: Time,
    tuned_next: u64,
    /// The most that has arrived in a round trip.
    most_a_round_trip: u64,
    /// All bytes before this one had arrived before the instant of the last arrival.
    arrived_before: u64,
    /// Whether the application answers what arrives, so that an acknowledgement is worth waiting
    /// for its answer (Linux's pingpong mode).
    is_interactive: bool,
    last_arrival: Time,
}

impl_fingerprint! {
    struct Receiver {
        plain next, beyond, latest_block, unacknowledged, echo, acks_at, read, advertised,
            window, tuned_at, tuned_next, most_a_round_trip, arrived_before, is_interactive,
            last_arrival;
    }
}

impl Receiver {
    pub(super) const fn new() -> Self {
        Self {
            next: 0,
            beyond: Vec::new(),
            latest_block: 0,
            unacknowledged: 0,
            echo: Time::ZERO,
            acks_at: Time::NEVER,
            read: 0,
            advertised: NOTHING_ADVERTISED,
            window: AUTOTUNED_START,
            tuned_at: Time::ZERO,
            tuned_next: 0,
            most_a_round_trip: 0,
            arrived_before: 0,
            is_interactive: true,
            last_arrival: Time::ZERO,
        }
    }

    /// All bytes before this one have arrived.
    pub(super) const fn next(&self) -> u64 {
        self.next
    }

    /// Whether anything in order is unread.
    pub(super) const fn has_unread(&self) -> bool {
        self.read < self.next
    }

    /// When an acknowledgement goes alone; [`Time::NEVER`] if none is owed.
    pub(super) const fn acks_at(&self) -> Time {
        self.acks_at
    }

    /// A segment has arrived that was sent at `sent`. It is acknowledged at once if it is out of
    /// order, fills a hole, is known already, or is the second of full size (RFC 9293, 3.8.6.3;
    /// RFC 5681, 4.2), and otherwise later.
    pub(super) fn on_segment(&mut self, now: Time, segment: Range<u64>, sent: Time, mss: u32) {
        let length = segment.end - segment.start;
        let is_new = segment.end > self.next;
        let is_in_order = segment.start <= self.next && is_new;
        let had_hole = !self.beyond.is_empty();
        if now > self.last_arrival {
            self.arrived_before = self.next;
        }
        if self.unacknowledged == 0 || !is_in_order {
            self.echo = sent;
        }
        if is_in_order {
            self.unacknowledged += segment.end - self.next;
            self.next = segment.end;
            self.take_what_follows();
        } else if is_new {
            self.insert_beyond(segment);
        }
        self.last_arrival = now;
        let is_small = length < u64::from(mss);
        let at_once = !is_in_order
            || had_hole
            || self.unacknowledged >= 2 * u64::from(mss)
            || !self.is_interactive && is_small;
        let due = if at_once { now } else { now + DELAYED_ACK };
        self.acks_at = self.acks_at.min(due);
    }

    /// The application has read the stream up to there. If that opens a window that was small by a
    /// segment or half the buffer, the sender hears of it at once (RFC 9293, 3.8.6.2.2): whether it
    /// does.
    pub(super) fn on_read(&mut self, now: Time, read: u64, mss: u32, buffer: SocketBuffer) -> bool {
        self.read = read;
        let step = u64::from(mss).min(self.size(buffer) / 2).max(1);
        let was_small = self.advertised < self.next + step;
        let opens = was_small && self.window_end(buffer) >= self.advertised + step;
        if opens {
            self.acks_at = now;
        }
        opens
    }

    /// Makes an autotuned window larger, once a round trip, where a reader that is not behind has
    /// got more in one than before: room for twice as much, and ahead of a sender that doubles
    /// what it sends (Linux's `tcp_rcv_space_adjust`).
    pub(super) fn tune_window(&mut self, now: Time, round_trip: Span, mss: u32) {
        if now < self.tuned_at + round_trip {
            return;
        }
        let arrived = self.next - self.tuned_next;
        (self.tuned_at, self.tuned_next) = (now, self.next);
        if arrived > self.most_a_round_trip && !self.is_reader_behind() {
            let least = INITIAL_WINDOW_SEGMENTS * u64::from(mss);
            let before = self.most_a_round_trip.max(least);
            let room = 2 * arrived + 16 * u64::from(mss);
            let growth = room * arrived.saturating_sub(before) / before;
            self.window = self.window.max(room + 2 * growth).min(AUTOTUNED_LIMIT);
            self.most_a_round_trip = arrived;
        }
    }

    /// Whether anything is unread that did not come just now.
    const fn is_reader_behind(&self) -> bool {
        self.read < self.arrived_before
    }

    /// What has just arrived is read at once, unless the reader is behind.
    fn window_end(&self, buffer: SocketBuffer) -> u64 {
        match buffer {
            SocketBuffer::Autotuned if !self.is_reader_behind() => self.next + self.window,
            _ => self.read + self.size(buffer),
        }
    }

    fn size(&self, buffer: SocketBuffer) -> u64 {
        match buffer {
            SocketBuffer::Autotuned => self.window,
            SocketBuffer::Bytes(bytes) => bytes.into(),
        }
    }

    /// This end sends data: soon after some arrived, it is an answer.
    pub(super) fn on_data_sent(&mut self, now: Time) {
        if now.since(self.last_arrival) < DELAYED_ACK {
            self.is_interactive = true;
        }
    }

    /// Whether an acknowledgement that is due now has waited.
    pub(super) fn has_waited(&self, now: Time) -> bool {
        self.last_arrival < now
    }

    /// The wait for data to ride on was for nothing.
    pub(super) const fn on_wait_over(&mut self) {
        self.is_interactive = false;
    }

    /// An acknowledgement leaves, alone or with data.
    pub(super) fn acknowledge(&mut self, buffer: SocketBuffer) -> Acknowledgement {
        let window_end = self.window_end(buffer);
        self.advertised = match self.advertised {
            NOTHING_ADVERTISED => window_end,
            // What was offered is not taken back (RFC 9293, 3.8.6).
            before => before.max(window_end),
        };
        self.acks_at = Time::NEVER;
        self.unacknowledged = 0;
        let mut blocks = [(0, 0); SACK_BLOCKS];
        let latest = self.beyond.iter().filter(|block| block.start == self.latest_block);
        let others = self.beyond.iter().rev().filter(|block| block.start != self.latest_block);
        for (place, block) in blocks.iter_mut().zip(latest.chain(others)) {
            *place = (block.start, block.end);
        }
        let window_end = self.advertised;
        Acknowledgement { next: self.next, blocks, echo: self.echo, window_end }
    }

    fn take_what_follows(&mut self) {
        let next = &mut self.next;
        self.beyond.retain(|block| {
            let follows = block.start <= *next;
            if follows {
                *next = (*next).max(block.end);
            }
            !follows
        });
    }

    fn insert_beyond(&mut self, segment: Range<u64>) {
        let mut whole = segment;
        self.beyond.retain(|block| {
            let is_apart = block.end < whole.start || whole.end < block.start;
            if !is_apart {
                whole = whole.start.min(block.start)..whole.end.max(block.end);
            }
            is_apart
        });
        self.latest_block = whole.start;
        let place = self.beyond.partition_point(|block| block.start < whole.start);
        self.beyond.insert(place, whole);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MSS: u32 = 1_000;
    const BUFFER: SocketBuffer = SocketBuffer::Autotuned;

    const fn millis(millis: u64) -> Time {
        Time::from_nanos(millis * 1_000_000)
    }

    #[test]
    fn a_lone_segment_is_acknowledged_after_40_ms_and_two_full_ones_at_once() {
        let mut receiver = Receiver::new();
        receiver.on_segment(millis(10), 0..100, millis(0), MSS);
        assert_eq!(receiver.acks_at(), millis(50));
        receiver.on_segment(millis(20), 100..1_100, millis(10), MSS);
        assert_eq!(receiver.acks_at(), millis(50));
        receiver.on_segment(millis(30), 1_100..2_100, millis(20), MSS);
        assert_eq!(receiver.acks_at(), millis(30));
        let ack = receiver.acknowledge(BUFFER);
        assert_eq!((ack.next, ack.blocks, ack.echo), (2_100, [(0, 0); 3], millis(0)));
        assert_eq!(receiver.acks_at(), Time::NEVER);
    }

    #[test]
    fn what_is_out_of_order_fills_a_hole_or_is_known_is_acknowledged_at_once() {
        let mut receiver = Receiver::new();
        receiver.on_segment(millis(10), 100..200, millis(1), MSS);
        assert_eq!(receiver.acks_at(), millis(10));
        assert_eq!(receiver.acknowledge(BUFFER).blocks[0], (100, 200));
        receiver.on_segment(millis(20), 300..400, millis(2), MSS);
        assert_eq!(receiver.acknowledge(BUFFER).blocks, [(300, 400), (100, 200), (0, 0)]);
        receiver.on_segment(millis(30), 100..200, millis(3), MSS);
        assert_eq!(receiver.acks_at(), millis(30));
        receiver.acknowledge(BUFFER);
        receiver.on_segment(millis(40), 0..100, millis(4), MSS);
        assert_eq!((receiver.acks_at(), receiver.next()), (millis(40), 200));
        assert_eq!(receiver.acknowledge(BUFFER).blocks[0], (300, 400));
    }

    proptest! {
        #[test]
        fn segments_in_any_order_and_again_come_to_the_whole(
            order in prop::collection::vec(0..20_u64, 0..200)
        ) {
            let mut receiver = Receiver::new();
            let mut seen = [false; 20];
            for part in order {
                receiver.on_segment(Time::ZERO, part * 10..part * 10 + 10, Time::ZERO, MSS);
                seen[usize::try_from(part).unwrap()] = true;
                let whole = seen.iter().take_while(|seen| **seen).count() as u64;
                prop_assert_eq!(receiver.next(), whole * 10);
                let ack = receiver.acknowledge(BUFFER);
                for (from, to) in ack.blocks.into_iter().filter(|(from, to)| from < to) {
                    prop_assert!(from > ack.next);
                    let mut parts = from / 10..to / 10;
                    prop_assert!(parts.all(|part| seen[usize::try_from(part).unwrap()]));
                }
            }
        }
    }
}
