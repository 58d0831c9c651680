//! The sending side of one direction: which bytes go on the link, and when.
//!
//! Bytes wait until the congestion window has room; then they are cut into segments of at most the
//! MSS, whatever they are of. What is sent again keeps its borders.

use std::collections::VecDeque;

use super::congestion::{Acknowledged, CongestionWindow, WindowUse};
use super::rack::Rack;
use super::receiver::Acknowledgement;
use super::rto::Rto;
use crate::base::{Span, Time};
use crate::impl_fingerprint;
use crate::network::settings::{SocketBuffer, TcpSettings};

/// Bytes that a new connection of Linux takes: from 61,856 to 74,752 with writes of 100 B to 20 kB
/// on 6.18, when nothing is acknowledged.
const AUTOTUNED_START: u64 = 64 << 10;
/// How far that grows: `tcp_wmem`'s maximum (tcp(7)).
const AUTOTUNED_LIMIT: u64 = 4 << 20;

mod timers;

/// The sending side of one direction.
#[derive(Clone, Debug)]
pub(super) struct Sender {
    /// Bytes that were handed over, with one each for SYN and FIN.
    written: u64,
    /// The first byte that was never sent.
    next: u64,
    /// All bytes before this one are acknowledged.
    unacked: u64,
    /// What was sent since, in order of the stream.
    segments: VecDeque<Segment>,
    /// How many of them the sender takes for under way, for arrived, and for lost.
    in_flight: u32,
    arrived: u32,
    lost: u32,
    congestion: CongestionWindow,
    rto: Rto,
    rack: Rack,
    timer: Timer,
    /// When a segment counts as lost that another has overtaken.
    overtaken_at: Time,
    /// The end of a probe that was sent and not acknowledged.
    probe: Option<u64>,
    /// The window before it was reduced: if that was for nothing, the reduction is taken back.
    before_reduction: Option<CongestionWindow>,
    last_sent: Time,
    /// The end of the last segment that was smaller than the MSS.
    small_end: u64,
    /// Up to there nothing waits because it is small.
    urgent_end: u64,
    /// The first byte for which the receiver has no room.
    window_end: u64,
    /// The largest congestion window so far, in segments.
    largest_window: u32,
    /// Since when nothing was heard of a receiver that has no room.
    unheard_since: Time,
}

impl_fingerprint! {
    struct Sender {
        plain written, next, unacked, segments, in_flight, arrived, lost, congestion, rto, rack,
            timer, overtaken_at, probe, before_reduction, last_sent, small_end, urgent_end,
            window_end, largest_window, unheard_since;
    }
}

/// A run of bytes that was sent together.
#[derive(Clone, Debug)]
struct Segment {
    start: u64,
    end: u64,
    state: SegmentState,
    /// How often it was sent again.
    attempt: u32,
    first_sent: Time,
    last_sent: Time,
}

impl_fingerprint! {
    struct Segment { plain start, end, state, attempt, first_sent, last_sent; }
}

/// What the sender takes a segment for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SegmentState {
    InFlight,
    Arrived,
    Lost,
}

impl_fingerprint! { fieldless SegmentState }

/// The one timer of a sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Timer {
    Off,
    /// Tail loss probe (RFC 8985, 7).
    Probe(Time),
    /// Retransmission timeout (RFC 6298).
    Timeout(Time),
    /// The receiver has no room: it is asked whether it has again (RFC 9293, 3.8.6.1).
    Persist(Time),
}

impl_fingerprint! { enum Timer { Off, Probe(at), Timeout(at), Persist(at) } }

/// What an acknowledgement says has arrived anew.
struct Delivered {
    segments: u32,
    /// When the first segment beyond a hole was sent, of those that were sent once.
    first_sent: Option<Time>,
}

/// What goes on the link now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transmission {
    /// Bytes, and how often they were sent before.
    Data { start: u64, end: u64, attempt: u32 },
    /// A number that the receiver knows makes it say how much room it has.
    WindowProbe { number: u64 },
}

impl Sender {
    pub(super) const fn new() -> Self {
        Self {
            written: 0,
            next: 0,
            unacked: 0,
            segments: VecDeque::new(),
            in_flight: 0,
            arrived: 0,
            lost: 0,
            congestion: CongestionWindow::new(),
            rto: Rto::new(),
            rack: Rack::new(),
            timer: Timer::Off,
            overtaken_at: Time::NEVER,
            probe: None,
            before_reduction: None,
            last_sent: Time::ZERO,
            small_end: 0,
            urgent_end: 0,
            window_end: u64::MAX,
            largest_window: 0,
            unheard_since: Time::ZERO,
        }
    }

    /// How many bytes were handed over.
    pub(super) const fn written(&self) -> u64 {
        self.written
    }

    /// All bytes before this one are acknowledged.
    pub(super) const fn unacked(&self) -> u64 {
        self.unacked
    }

    /// The shortest round trip so far: both ends measure the same.
    pub(super) const fn shortest_round_trip(&self) -> Span {
        self.rack.shortest_round_trip()
    }

    /// How many bytes take up room in the socket: what was handed over and is not acknowledged.
    pub(super) const fn buffered(&self) -> u64 {
        self.written - self.unacked
    }

    /// The size of the socket's buffer. Linux keeps room for two windows of full segments, each
    /// with as much again for its bookkeeping (`tcp_sndbuf_expand`); a window that shrinks leaves
    /// it as it was.
    pub(super) fn buffer_size(&self, mss: u32, buffer: SocketBuffer) -> u64 {
        match buffer {
            SocketBuffer::Bytes(bytes) => bytes.into(),
            SocketBuffer::Autotuned => {
                let windows = 4 * u64::from(self.largest_window) * u64::from(mss);
                windows.clamp(AUTOTUNED_START, AUTOTUNED_LIMIT)
            }
        }
    }

    /// Whether all is sent that was handed over, and an acknowledgement is for all of it.
    pub(super) const fn is_settled_by(&self, ack: &Acknowledgement) -> bool {
        self.next == self.written && ack.next >= self.next
    }

    /// Sends nothing more.
    pub(super) fn stop(&mut self) {
        *self = Self { written: self.next, next: self.next, unacked: self.next, ..Self::new() };
    }

    /// Hands over bytes. They go when [`Self::next_transmission`] says so; what is urgent does not
    /// wait for acknowledgements of what is small.
    pub(super) fn write(&mut self, now: Time, bytes: u64, is_urgent: bool, tcp: &TcpSettings) {
        if self.segments.is_empty() && self.last_sent > Time::ZERO {
            let idle = now.since(self.last_sent);
            self.congestion.on_restart(idle, self.rto.timeout(tcp.rto_min));
        }
        self.written += bytes;
        if is_urgent {
            self.urgent_end = self.written;
        }
    }

    /// The next segment that may go now: first what is lost, then what was never sent. It counts
    /// as sent.
    pub(super) fn next_transmission(
        &mut self,
        now: Time,
        tcp: &TcpSettings,
        nodelay: bool,
    ) -> Option<Transmission> {
        if self.lost == 0 && self.next == self.written {
            return None;
        }
        let has_room = self.in_flight < self.congestion.segments();
        if !has_room {
            self.report_use();
            return None;
        }
        if self.lost > 0 {
            let place = self.segments.iter().position(|it| it.state == SegmentState::Lost)?;
            self.lost -= 1;
            return Some(self.resend(now, place, tcp));
        }
        if self.may_send_new(tcp, nodelay) {
            return Some(self.send_new(now, tcp));
        }
        if self.timer == Timer::Off && self.end_of_next(tcp) == self.next {
            self.timer = Timer::Persist(now + self.rto.timeout(tcp.rto_min));
            self.unheard_since = now;
        }
        None
    }

    /// Whether the receiver has room for the next segment, and Nagle's algorithm lets it go.
    fn may_send_new(&self, tcp: &TcpSettings, nodelay: bool) -> bool {
        let end = self.end_of_next(tcp);
        let is_small = end - self.next < u64::from(tcp.mss);
        let is_urgent = self.next < self.urgent_end;
        let is_held = !nodelay && is_small && !is_urgent && self.small_end > self.unacked;
        end > self.next && !is_held
    }

    /// Where the next segment that was never sent would end.
    fn end_of_next(&self, tcp: &TcpSettings) -> u64 {
        self.written.min(self.next + u64::from(tcp.mss)).min(self.window_end.max(self.next))
    }

    fn send_new(&mut self, now: Time, tcp: &TcpSettings) -> Transmission {
        let start = self.next;
        let end = self.end_of_next(tcp);
        if end - start < u64::from(tcp.mss) {
            self.small_end = end;
        }
        self.next = end;
        self.segments.push_back(Segment {
            start,
            end,
            state: SegmentState::InFlight,
            attempt: 0,
            first_sent: now,
            last_sent: now,
        });
        self.on_sent(now);
        if !matches!(self.timer, Timer::Timeout(_)) {
            self.arm_timer(now, tcp);
        }
        Transmission::Data { start, end, attempt: 0 }
    }

    fn resend(&mut self, now: Time, place: usize, tcp: &TcpSettings) -> Transmission {
        let segment = &mut self.segments[place];
        segment.state = SegmentState::InFlight;
        segment.attempt += 1;
        segment.last_sent = now;
        let Segment { start, end, attempt, .. } = *segment;
        self.on_sent(now);
        if place == 0 {
            self.timer = Timer::Timeout(now + self.rto.timeout(tcp.rto_min));
        }
        Transmission::Data { start, end, attempt }
    }

    fn on_sent(&mut self, now: Time) {
        self.last_sent = now;
        self.in_flight += 1;
        self.congestion.on_sent();
        self.report_use();
    }

    fn report_use(&mut self) {
        self.congestion.on_use(WindowUse {
            in_flight: self.in_flight,
            unacked_segments: self.in_flight + self.arrived + self.lost,
            first_unacked: self.unacked,
            next_unsent: self.next,
        });
    }

    // ---- acknowledgements ----

    /// An acknowledgement has arrived.
    pub(super) fn on_acknowledgement(
        &mut self,
        now: Time,
        ack: &Acknowledgement,
        tcp: &TcpSettings,
    ) {
        self.unheard_since = now;
        let window_end = self.window_end_after(ack);
        if matches!(self.timer, Timer::Persist(_)) && window_end > self.window_end {
            self.rto.reset_backoff();
        }
        self.window_end = window_end;
        let unacked_before = self.unacked;
        let was_needless = self.shows_a_needless_resending(ack);
        let Delivered { segments: delivered, first_sent } = self.take_delivered(now, ack);
        if delivered == 0 {
            return;
        }
        if was_needless {
            self.take_back_the_reduction();
        }
        let has_lost = self.find_lost(now);
        if has_lost && !self.congestion.is_recovering() {
            self.before_reduction = Some(self.congestion);
            self.congestion.on_loss(tcp.congestion, self.next, self.in_flight, delivered);
        } else {
            // The window counts segments; the round trip was taken above.
            for nth in 0..delivered {
                self.congestion.on_acknowledged(
                    tcp.congestion,
                    Acknowledged {
                        now,
                        first_unacked: self.unacked,
                        next_unsent: self.next,
                        in_flight: self.in_flight + (delivered - 1 - nth),
                        is_safe: !has_lost && self.unacked > unacked_before,
                        round_trip: (nth == 0).then(|| now.since(ack.echo)),
                    },
                );
            }
        }
        self.largest_window = self.largest_window.max(self.congestion.segments());
        if self.probe.is_some_and(|end| self.unacked >= end) {
            self.probe = None;
        }
        // What was sent after the oldest segment's last sending tells nothing of that: it must not
        // put the timeout off for ever (Linux's `tcp_clean_rtx_queue`).
        let oldest_sent = self.segments.front().map(|oldest| oldest.last_sent);
        let is_news = first_sent.is_some_and(|sent| oldest_sent.is_none_or(|oldest| sent < oldest));
        if self.unacked > unacked_before || is_news {
            self.arm_timer(now, tcp);
        } else if let (Timer::Probe(_), Some(sent)) = (self.timer, oldest_sent) {
            self.timer = Timer::Timeout(sent + self.rto.timeout(tcp.rto_min));
        }
    }

    /// The receiver's window only moves forwards; what a late acknowledgement says of it is past.
    fn window_end_after(&self, ack: &Acknowledgement) -> u64 {
        match self.window_end {
            u64::MAX => ack.window_end,
            known => known.max(ack.window_end),
        }
    }

    /// Counts what the acknowledgement says has arrived.
    fn take_delivered(&mut self, now: Time, ack: &Acknowledgement) -> Delivered {
        let mut delivered = 0;
        // When the first segment was sent that is acknowledged anew, and was sent once only.
        let mut sent_once = [None; 2];
        let is_in_a_block = |segment: &Segment| {
            ack.blocks.iter().any(|(from, to)| *from <= segment.start && segment.end <= *to)
        };
        for segment in &mut self.segments {
            let is_in_order = segment.end <= ack.next;
            let has_arrived = is_in_order || is_in_a_block(segment);
            if !has_arrived || segment.state == SegmentState::Arrived {
                continue;
            }
            match segment.state {
                SegmentState::Lost => self.lost -= 1,
                _ => self.in_flight -= 1,
            }
            segment.state = SegmentState::Arrived;
            self.arrived += 1;
            delivered += 1;
            if segment.attempt == 0 {
                sent_once[usize::from(!is_in_order)].get_or_insert(segment.last_sent);
            }
            self.rack.on_delivered(now, segment.last_sent, segment.end, segment.attempt > 0);
        }
        // As Linux takes it: a lost acknowledgement makes the round trip longer. Of what was sent
        // again, timestamps tell which sending is acknowledged (RFC 7323).
        let [in_order, beyond] = sent_once;
        let by_timestamp = (ack.next > self.unacked).then_some(ack.echo);
        if let Some(sent) = in_order.or(beyond).or(by_timestamp) {
            let unacked = self.unacked.max(ack.next);
            self.rto.record_round_trip(now.since(sent), unacked, self.next);
        }
        if ack.next > self.unacked {
            self.unacked = ack.next;
            while self.segments.pop_front_if(|segment| segment.end <= ack.next).is_some() {
                self.arrived -= 1;
            }
            self.rto.reset_backoff();
        }
        Delivered { segments: delivered, first_sent: beyond }
    }

    /// Whether the oldest segment was sent again, and its first sending is acknowledged: nothing
    /// was lost (RFC 3522).
    fn shows_a_needless_resending(&self, ack: &Acknowledgement) -> bool {
        self.segments.front().is_some_and(|oldest| {
            oldest.attempt > 0 && oldest.end <= ack.next && ack.echo < oldest.last_sent
        })
    }

    /// The window is as before the reduction (RFC 4015).
    fn take_back_the_reduction(&mut self) {
        let Some(before) = self.before_reduction.take() else { return };
        self.congestion = before;
        for segment in &mut self.segments {
            if segment.state == SegmentState::Lost {
                segment.state = SegmentState::InFlight;
                self.lost -= 1;
                self.in_flight += 1;
            }
        }
    }

    /// Marks what others have overtaken for too long as lost, and returns whether there was any.
    fn find_lost(&mut self, now: Time) -> bool {
        let patience = self.rack.patience(self.arrived, self.congestion.is_recovering());
        let mut found = 0;
        self.overtaken_at = Time::NEVER;
        for segment in &mut self.segments {
            let is_overtaken = segment.state == SegmentState::InFlight
                && self.rack.was_sent_before(segment.last_sent, segment.end);
            if !is_overtaken {
                continue;
            }
            let lost_at = segment.last_sent + patience;
            if lost_at <= now {
                segment.state = SegmentState::Lost;
                found += 1;
            } else {
                self.overtaken_at = self.overtaken_at.min(lost_at);
            }
        }
        self.in_flight -= found;
        self.lost += found;
        found > 0
    }
}
