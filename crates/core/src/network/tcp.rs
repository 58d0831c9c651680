//! One direction of one TCP connection: an ordered stream in which loss costs time, not data.
//!
//! An item of `bytes` bytes is cut into segments of at most the MSS, of its own: segments align
//! with items. Each segment meets the link's line, loss, delay and jitter when it is sent
//! ([`LinkState::segment_fate`]), and items arrive in order: a lost segment holds up whatever is
//! behind it. A segment that was lost is sent again
//!
//! - when it is the oldest unacknowledged one and the **retransmission timer** (RFC 6298) expires,
//!   which doubles the timeout;
//! - by **fast retransmit** (RFC 5681, RFC 6675): when three later segments were acknowledged;
//! - when a segment that was **sent again** is acknowledged: every hole that was sent before it
//!   (RFC 6675 and, in its notion of time, RFC 8985).
//!
//! Every retransmission meets the link of that moment, so an outage swallows it too. A segment
//! unacknowledged for longer than the user timeout (RFC 5482) ends the sender's patience.
//!
//! | where TCP differs | TCP | here |
//! |---|---|---|
//! | acknowledgements | may be lost, cost bytes | come back after the reverse mean delay, free |
//! | congestion and receive window | limit what is under way | none |
//! | a segment that is only late | may be sent again needlessly | is not: the timer backs off |
//! | small items | share a segment (Nagle, coalescing) | each has its own |

use crate::impl_fingerprint;

mod rto;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::mem;

use self::rto::Rto;
use super::link::LinkState;
use super::settings::{TcpSettings, TlsSettings, TlsVersion};
use crate::base::draw::DrawKey;
use crate::base::{Direction, Fate, PacketName, Span, Time};

/// Bytes of IP and TCP headers that `bytes` bytes of a stream need: those of one segment, if not
/// of more.
#[must_use]
pub fn header_bytes(tcp: &TcpSettings, bytes: u32) -> u32 {
    tcp.headers.saturating_mul(segment_count(tcp, bytes))
}

/// Bytes of TLS records around one MQTT packet of `bytes` bytes. A record carries at most 16 KiB.
/// With AES-GCM each adds 5 bytes of header, 8 of nonce and 16 of tag in TLS 1.2 (RFC 5288), and 5
/// of header, 1 of content type and 16 of tag in TLS 1.3 (RFC 8446, section 5.2).
#[must_use]
pub fn tls_bytes(tls: Option<TlsSettings>, bytes: u32) -> u32 {
    let record = match tls.map(|tls| tls.version) {
        None => return 0,
        Some(TlsVersion::V12) => 5 + 8 + 16,
        Some(TlsVersion::V13) => 5 + 1 + 16,
    };
    record * bytes.div_ceil(1 << 14).max(1)
}

fn segment_count(tcp: &TcpSettings, bytes: u32) -> u32 {
    bytes.div_ceil(tcp.mss.max(1)).max(1)
}

/// Context of a pipe for one call.
#[derive(Debug)]
pub struct TcpContext<'a> {
    /// The link that the connection is on.
    pub link: &'a mut LinkState,
    /// Settings of the connection; the same in every call.
    pub tcp: &'a TcpSettings,
    /// In which direction the pipe leads; the same in every call.
    pub direction: Direction,
}

/// Result of [`TcpDirection::wake`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wakeup {
    /// Bytes on the wire that were sent again, all headers included.
    pub retransmitted: u32,
    /// Whether the sender gave the connection up: the user timeout has passed. Said once.
    pub gave_up: bool,
}

/// One direction of one connection, carrying items of type `T`.
///
/// The caller sends, and at [`Self::next_wake`] wakes the pipe and pops what has arrived. Calls
/// come in order of time. Where nothing is lost, acknowledgements are read at the next sending
/// only: they cost no events.
#[derive(Clone, Debug)]
pub struct TcpDirection<T> {
    /// Items that have not been popped, in order.
    items: VecDeque<StreamItem<T>>,
    /// How many items were popped: the number of the front one.
    popped_items: u64,
    /// Segments that the sender holds as unacknowledged, in order of the stream.
    segments: VecDeque<Segment>,
    /// The number of the front segment; the first of all is 1.
    first_unacked: u64,
    /// The segments of which every sending was lost so far, in order.
    holes: Vec<u64>,
    /// The acknowledgements that are to come, in order of time.
    acks: VecDeque<SegmentAck>,
    /// The three highest segments that were acknowledged while there were holes, highest first.
    highest_acked: [u64; 3],
    /// When the latest of the acknowledged retransmissions was sent.
    last_recovered_sent: Time,
    rto: Rto,
    /// When the retransmission timer expires. It matters only while there are holes.
    retransmit_at: Time,
    user_timeout: Span,
    last_sent: Time,
    /// When the sender has something to do.
    next_due: Time,
    is_silently_dead: bool,
    gave_up: bool,
}

impl_fingerprint! {
    struct TcpDirection<T> {
        plain items, user_timeout, next_due, is_silently_dead, gave_up;
        loss_recovery popped_items, segments, first_unacked, holes, acks, highest_acked,
            last_recovered_sent, rto, retransmit_at, last_sent;
    }
}

/// An item in the stream, and what delays it.
#[derive(Clone, Debug)]
struct StreamItem<T> {
    value: T,
    /// How many of its segments are holes.
    lost_segments: u32,
    /// When the last of its other segments arrives.
    latest_arrival: Time,
}

impl_fingerprint! {
    struct StreamItem<T> {
        plain value, lost_segments;
        future_only latest_arrival;
    }
}

/// A segment that the sender has not seen the end of.
#[derive(Clone, Debug)]
struct Segment {
    name: PacketName,
    origin: Option<DrawKey>,
    /// The number of the item it is of.
    item: u64,
    /// Index of the segment in its item.
    index: u32,
    wire_bytes: u32,
    /// How often it was sent again.
    attempt: u32,
    first_sent: Time,
    last_sent: Time,
    is_acknowledged: bool,
}

impl_fingerprint! {
    struct Segment {
        plain name, item, index, wire_bytes, attempt, first_sent, last_sent, is_acknowledged;
        skip origin: "nothing is drawn at random where states are compared";
    }
}

/// The acknowledgement of one segment.
#[derive(Clone, Copy, Debug)]
struct SegmentAck {
    at: Time,
    segment: u64,
}

impl_fingerprint! { struct SegmentAck { plain at, segment; } }

impl<T> Default for TcpDirection<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> TcpDirection<T> {
    /// With nothing in it and no round trip measured.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            items: VecDeque::new(),
            popped_items: 0,
            segments: VecDeque::new(),
            first_unacked: 1,
            holes: Vec::new(),
            acks: VecDeque::new(),
            highest_acked: [0; 3],
            last_recovered_sent: Time::ZERO,
            rto: Rto::new(),
            retransmit_at: Time::NEVER,
            user_timeout: Span::ZERO,
            last_sent: Time::ZERO,
            next_due: Time::NEVER,
            is_silently_dead: false,
            gave_up: false,
        }
    }

    /// Reports a round trip that was measured outside the pipe, such as the handshake's, from
    /// which TCP has its first retransmission timeout (RFC 6298, 2.2).
    pub fn record_round_trip(&mut self, round_trip: Span) {
        self.rto.record_round_trip(round_trip);
    }

    /// Hands an item of `bytes` bytes (MQTT and TLS, without the headers of IP and TCP) to the
    /// stream; `name` and `origin` name its random draws as in [`LinkState::fate`].
    pub fn send(
        &mut self,
        now: Time,
        mut context: TcpContext<'_>,
        item: T,
        name: &PacketName,
        origin: Option<DrawKey>,
        bytes: u32,
    ) {
        if self.holes.is_empty() {
            // Nothing that an acknowledgement says now makes the sender do anything.
            while let Some(ack) = self.acks.pop_front_if(|ack| ack.at <= now) {
                self.acknowledge(ack, context.tcp);
            }
            if self.segments.is_empty() || self.retransmit_at <= now {
                self.start_timer(now, context.tcp);
            }
        }
        let number = self.popped_items + self.items.len() as u64;
        self.items.push_back(StreamItem {
            value: item,
            lost_segments: 0,
            latest_arrival: Time::ZERO,
        });
        let mut left = bytes;
        for index in 0..segment_count(context.tcp, bytes) {
            let carried = left.min(context.tcp.mss);
            left -= carried;
            self.segments.push_back(Segment {
                name: *name,
                origin,
                item: number,
                index,
                wire_bytes: carried.saturating_add(context.tcp.headers),
                attempt: 0,
                first_sent: now,
                last_sent: now,
                is_acknowledged: false,
            });
            let segment = self.first_unacked + self.segments.len() as u64 - 1;
            if !self.transmit(now, &mut context, segment) {
                self.item_of(segment).lost_segments += 1;
                self.holes.push(segment);
            }
        }
        self.user_timeout = context.tcp.user_timeout;
        self.update_next_due();
    }

    /// When [`Self::wake`] or [`Self::pop_arrived`] has something to do: the front item arrives, an
    /// acknowledgement comes while something is lost, a timer expires. [`Time::NEVER`] if nothing;
    /// after [`Self::die_silently`] it may lie in the past, which means at once.
    #[must_use]
    #[inline]
    pub fn next_wake(&self) -> Time {
        let arrival = self.items.front().map_or(Time::NEVER, StreamItem::arrival);
        if self.is_silently_dead { self.next_due } else { arrival.min(self.next_due) }
    }

    /// Does what is due at the sender: reads acknowledgements and sends again what is.
    pub fn wake(&mut self, now: Time, mut context: TcpContext<'_>) -> Wakeup {
        let mut wakeup = Wakeup::default();
        while let Some(ack) = self.acks.pop_front_if(|ack| ack.at <= now) {
            wakeup.retransmitted += self.process_ack(ack, now, &mut context);
        }
        if !self.holes.is_empty() {
            if self.user_timeout_at() <= now {
                wakeup.gave_up = !mem::replace(&mut self.gave_up, true);
            } else if self.retransmit_at <= now {
                self.rto.back_off();
                self.start_timer(now, context.tcp);
                let oldest = self.first_unacked;
                wakeup.retransmitted +=
                    self.retransmit(now, &mut context, |number, _| number == oldest);
            }
        }
        self.update_next_due();
        wakeup
    }

    /// The next item in order that has arrived by `now`.
    #[inline]
    pub fn pop_arrived(&mut self, now: Time) -> Option<T> {
        if self.is_silently_dead {
            return None;
        }
        let item = self.items.pop_front_if(|item| item.arrival() <= now)?;
        self.popped_items += 1;
        Some(item.value)
    }

    /// The connection died silently: nothing arrives any more, what is under way included. What
    /// was popped gets acknowledged. The sender does not know, and keeps trying until its user
    /// timeout.
    pub fn die_silently(&mut self) {
        self.is_silently_dead = true;
        let Self { first_unacked: first, popped_items: popped, ref segments, .. } = *self;
        let is_popped = |number: u64| segments[queue_index(first, number)].item < popped;
        self.acks.retain(|ack| is_popped(ack.segment));
        self.holes.clear();
        let numbered = (first..).zip(segments);
        let missing = numbered.filter(|(_, it)| !it.is_acknowledged && it.item >= popped);
        self.holes.extend(missing.map(|(number, _)| number));
        self.update_next_due();
    }

    /// The connection ended: what never arrived, in order. The pipe is then as if new.
    pub fn take_undelivered(&mut self) -> impl Iterator<Item = T> {
        mem::take(self).items.into_iter().map(|item| item.value)
    }

    /// Returns the items that have not been popped, in order.
    pub fn items(&self) -> impl Iterator<Item = &T> {
        self.items.iter().map(|item| &item.value)
    }

    /// When anything was last handed over or sent again; [`Time::ZERO`] if nothing was.
    #[must_use]
    pub const fn last_sent(&self) -> Time {
        self.last_sent
    }

    /// Whether everything that was handed over has arrived, and was popped.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.items.is_empty()
    }

    /// Puts a segment on the link, and returns whether it gets through.
    fn transmit(&mut self, now: Time, context: &mut TcpContext<'_>, number: u64) -> bool {
        self.last_sent = now;
        let segment = &self.segments[queue_index(self.first_unacked, number)];
        let fate = context.link.segment_fate(
            now,
            segment.origin,
            &segment.name,
            segment.index,
            segment.attempt,
            segment.wire_bytes,
        );
        let Fate::Arrives(arrival) = fate else { return false };
        if self.is_silently_dead {
            return false;
        }
        let item = self.item_of(number);
        item.latest_arrival = item.latest_arrival.max(arrival.at);
        self.expect_ack(SegmentAck {
            at: arrival.at + context.link.mean_ack_delay(context.direction),
            segment: number,
        });
        true
    }

    fn expect_ack(&mut self, ack: SegmentAck) {
        // Without jitter they come in the order of sending.
        if self.acks.back().is_none_or(|last| last.at <= ack.at) {
            self.acks.push_back(ack);
        } else {
            let place = self.acks.partition_point(|other| other.at <= ack.at);
            self.acks.insert(place, ack);
        }
    }

    /// Reads an acknowledgement while something may be lost, and sends again what it shows to be.
    /// The bytes of that.
    fn process_ack(&mut self, ack: SegmentAck, now: Time, context: &mut TcpContext<'_>) -> u32 {
        let Segment { attempt, last_sent, .. } =
            self.segments[queue_index(self.first_unacked, ack.segment)];
        self.acknowledge(ack, context.tcp);
        let Some(&oldest) = self.holes.first() else { return 0 };
        let mut bytes = 0;
        if attempt > 0 && self.last_recovered_sent < last_sent {
            self.last_recovered_sent = last_sent;
            bytes += self.retransmit(now, context, |_, hole| hole.last_sent < last_sent);
        }
        let third = self.track_highest_acked(ack.segment);
        if oldest < third {
            bytes += self.retransmit(now, context, |hole, it| hole < third && it.attempt == 0);
        }
        bytes
    }

    /// The third highest segment that was acknowledged, this one included.
    fn track_highest_acked(&mut self, number: u64) -> u64 {
        let [a, b, c] = self.highest_acked;
        self.highest_acked = if number > a {
            [number, a, b]
        } else if number > b {
            [a, number, b]
        } else {
            [a, b, number.max(c)]
        };
        self.highest_acked[2]
    }

    /// Effect of every acknowledgement: it measures the round trip, and if it is of the oldest
    /// segment, the timer starts anew (RFC 6298, 5.3).
    fn acknowledge(&mut self, ack: SegmentAck, tcp: &TcpSettings) {
        let segment = &mut self.segments[queue_index(self.first_unacked, ack.segment)];
        segment.is_acknowledged = true;
        if segment.attempt == 0 {
            self.rto.record_round_trip(ack.at.since(segment.first_sent));
        }
        if ack.segment == self.first_unacked {
            while self.segments.pop_front_if(|segment| segment.is_acknowledged).is_some() {
                self.first_unacked += 1;
            }
            self.rto.reset_backoff();
            self.start_timer(ack.at, tcp);
        }
    }

    fn start_timer(&mut self, now: Time, tcp: &TcpSettings) {
        self.retransmit_at = now + self.rto.timeout(tcp.rto_min);
    }

    /// Sends such holes again, and starts the timer anew. The bytes on the wire.
    fn retransmit(
        &mut self,
        now: Time,
        context: &mut TcpContext<'_>,
        should_resend: impl Fn(u64, &Segment) -> bool,
    ) -> u32 {
        let mut bytes = 0_u32;
        let mut holes = mem::take(&mut self.holes);
        holes.retain(|&number| {
            let segment = &mut self.segments[queue_index(self.first_unacked, number)];
            if !should_resend(number, segment) {
                return true;
            }
            segment.attempt += 1;
            segment.last_sent = now;
            bytes = bytes.saturating_add(segment.wire_bytes);
            let gets_through = self.transmit(now, context, number);
            if gets_through {
                self.item_of(number).lost_segments -= 1;
            }
            !gets_through
        });
        self.holes = holes;
        if bytes > 0 {
            self.start_timer(now, context.tcp);
        }
        bytes
    }

    fn update_next_due(&mut self) {
        self.next_due = Time::NEVER;
        if self.gave_up || self.holes.is_empty() {
            return;
        }
        self.next_due = self.retransmit_at.min(self.user_timeout_at());
        if !self.is_silently_dead {
            self.next_due = self.next_due.min(self.acks.front().map_or(Time::NEVER, |ack| ack.at));
        }
    }

    /// When the user timeout of the oldest hole passes.
    fn user_timeout_at(&self) -> Time {
        let oldest = self
            .holes
            .first()
            .map(|&number| &self.segments[queue_index(self.first_unacked, number)]);
        oldest.map_or(Time::NEVER, |oldest| oldest.first_sent + self.user_timeout)
    }

    /// The item of a segment that has not arrived, and so has not been popped.
    fn item_of(&mut self, number: u64) -> &mut StreamItem<T> {
        let item = self.segments[queue_index(self.first_unacked, number)].item;
        &mut self.items[queue_index(self.popped_items, item)]
    }
}

impl<T> StreamItem<T> {
    const fn arrival(&self) -> Time {
        if self.lost_segments == 0 { self.latest_arrival } else { Time::NEVER }
    }
}

/// Returns the index of a number in a queue whose front has the number `first_unacked`.
#[expect(clippy::cast_possible_truncation, reason = "what is in memory fits a usize")]
const fn queue_index(first: u64, number: u64) -> usize {
    (number - first) as usize
}
