//! The congestion window of a sender, in segments, as Linux counts it.
//!
//! Slow start and congestion avoidance are those of RFC 5681, with the initial window of RFC 6928
//! and, after an idle time, its restart (RFC 5681, 4.1). CUBIC is RFC 9438 with Linux's constants,
//! and leaves slow start early when the round trip grows (`HyStart`, RFC 9406). After a loss the
//! window comes down with what is delivered (proportional rate reduction, RFC 6937). The window
//! grows only where it was the limit (RFC 7661, in Linux `tcp_is_cwnd_limited`): who sends little
//! keeps the initial one.

mod cubic;

use self::cubic::Cubic;
use crate::base::{Span, Time};
use crate::impl_fingerprint;
use crate::network::settings::CongestionControl;

/// The initial window in segments (RFC 6928).
pub const INITIAL_WINDOW: u32 = 10;
/// No threshold was found yet.
const NO_THRESHOLD: u32 = u32::MAX;
/// RFC 5681, (4): the least threshold.
const MIN_THRESHOLD: u32 = 2;
/// `HyStart` leaves windows below this alone (Linux's `hystart_low_window`; RFC 9406 has none).
const HYSTART_MIN_WINDOW: u32 = 16;
/// Round trips that `HyStart` takes of each round (RFC 9406, `N_RTT_SAMPLE`).
const HYSTART_SAMPLES: u8 = 8;

/// How many segments a sender may have in flight.
#[derive(Clone, Copy, Debug)]
pub(super) struct CongestionWindow {
    segments: u32,
    /// Slow start ends here (`ssthresh`).
    threshold: u32,
    /// Segments acknowledged since the window last grew by one, in congestion avoidance.
    acknowledged: u32,
    /// Whether the window was what limited a sending since the use of it was last reckoned anew.
    is_limit: bool,
    /// If it was not: the most segments that were unacknowledged since.
    peak_unacked: u32,
    /// The use of the window is reckoned anew when all before this is acknowledged.
    use_ends_at: u64,
    stage: Stage,
    cubic: Cubic,
    rounds: Rounds,
}

impl_fingerprint! {
    struct CongestionWindow {
        plain segments, threshold, acknowledged, is_limit, peak_unacked, use_ends_at, stage, cubic,
            rounds;
    }
}

/// What a sender makes of its losses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Open,
    /// Fast recovery, until all before `end` is acknowledged.
    Recovery {
        end: u64,
        window_before: u32,
        delivered: u32,
        sent: u32,
    },
    /// After a timeout, until all before `end` is acknowledged.
    Timeout {
        end: u64,
    },
}

impl_fingerprint! {
    enum Stage {
        Open,
        Recovery { end, window_before, delivered, sent },
        Timeout { end },
    }
}

/// Rounds of slow start: each ends when what was sent at its start is acknowledged.
#[derive(Clone, Copy, Debug)]
struct Rounds {
    /// The first byte that was not sent yet when the round began.
    ends_at: u64,
    /// Round trips measured in it, and the shortest.
    samples: u8,
    shortest: Span,
    /// The shortest round trip of all.
    shortest_ever: Span,
}

impl_fingerprint! {
    struct Rounds {
        plain ends_at, samples, shortest, shortest_ever;
    }
}

/// How much of the window a sender uses.
#[derive(Clone, Copy, Debug)]
pub(super) struct WindowUse {
    /// Segments in flight.
    pub(super) in_flight: u32,
    /// Segments from the first that is not acknowledged on.
    pub(super) unacked_segments: u32,
    /// All bytes before this one are acknowledged.
    pub(super) first_unacked: u64,
    /// The first byte that was not sent yet.
    pub(super) next_unsent: u64,
}

/// The facts of one acknowledged segment that matter here.
#[derive(Clone, Copy, Debug)]
pub(super) struct Acknowledged {
    pub(super) now: Time,
    /// All bytes before this one are acknowledged.
    pub(super) first_unacked: u64,
    /// The first byte that was not sent yet.
    pub(super) next_unsent: u64,
    /// Segments in flight without it.
    pub(super) in_flight: u32,
    /// Whether its acknowledgement moved `first_unacked` and showed no loss.
    pub(super) is_safe: bool,
    /// Its round trip, if it was sent once.
    pub(super) round_trip: Option<Span>,
}

impl CongestionWindow {
    pub(super) const fn new() -> Self {
        Self {
            segments: INITIAL_WINDOW,
            threshold: NO_THRESHOLD,
            acknowledged: 0,
            is_limit: false,
            peak_unacked: 0,
            use_ends_at: 0,
            stage: Stage::Open,
            cubic: Cubic::new(),
            rounds: Rounds {
                ends_at: 0,
                samples: 0,
                shortest: Span::LIMIT,
                shortest_ever: Span::LIMIT,
            },
        }
    }

    /// How many segments may be in flight.
    pub(super) const fn segments(&self) -> u32 {
        self.segments
    }

    /// Whether losses are being repaired by the acknowledgements of what was sent later.
    pub(super) const fn is_recovering(&self) -> bool {
        !matches!(self.stage, Stage::Open)
    }

    /// A segment was put on the link.
    pub(super) const fn on_sent(&mut self) {
        if let Stage::Recovery { sent, .. } = &mut self.stage {
            *sent += 1;
        }
    }

    /// A segment was sent, or one had to wait. That the window was the limit holds for a round trip
    /// (Linux's `tcp_cwnd_validate`).
    pub(super) const fn on_use(&mut self, used: WindowUse) {
        let WindowUse { in_flight, unacked_segments, first_unacked, next_unsent } = used;
        let is_limit = in_flight >= self.segments;
        let is_more = !self.is_limit && unacked_segments > self.peak_unacked;
        if is_limit || is_more || first_unacked >= self.use_ends_at {
            self.is_limit = is_limit;
            self.peak_unacked = unacked_segments;
            self.use_ends_at = next_unsent;
        }
    }

    /// Nothing was in flight or sent for `idle` before this sending: the window shrinks to a half
    /// for each timeout that passed, as far as the initial one, for it knows of the network less
    /// and less.
    pub(super) fn on_restart(&mut self, idle: Span, timeout: Span) {
        let least = self.segments.min(INITIAL_WINDOW);
        let mut left = idle;
        if left <= timeout {
            return;
        }
        self.threshold = self.threshold.max(self.segments / 4 * 3);
        while left > timeout && self.segments > least {
            self.segments /= 2;
            left = left - timeout;
        }
        self.segments = self.segments.max(least);
        self.cubic.forget_epoch();
    }

    /// A segment was acknowledged, and all that this shows to be lost is no longer in flight.
    pub(super) fn on_acknowledged(&mut self, control: CongestionControl, ack: Acknowledged) {
        if ack.first_unacked >= self.rounds.ends_at {
            self.rounds.ends_at = ack.next_unsent;
            self.rounds.samples = 0;
            self.rounds.shortest = Span::LIMIT;
        }
        match &mut self.stage {
            Stage::Recovery { end, .. } if ack.first_unacked >= *end => {
                self.stage = Stage::Open;
                self.segments = self.threshold;
            }
            Stage::Timeout { end } if ack.first_unacked >= *end => self.stage = Stage::Open,
            Stage::Recovery { .. } => return self.reduce(ack.in_flight, 1, ack.is_safe),
            Stage::Open | Stage::Timeout { .. } => {}
        }
        if let Some(round_trip) = ack.round_trip {
            self.watch_round_trip(control, round_trip);
        }
        self.grow(control, ack.now);
    }

    /// The sender has found out, by acknowledgements, that segments before `end` are lost. What the
    /// same acknowledgement says to be `delivered` may be replaced at once, as what later ones do.
    pub(super) fn on_loss(
        &mut self,
        control: CongestionControl,
        end: u64,
        in_flight: u32,
        delivered: u32,
    ) {
        if self.is_recovering() {
            return;
        }
        let window_before = self.segments;
        self.threshold = self.reduced_threshold(control);
        self.stage = Stage::Recovery { end, window_before, delivered: 0, sent: 0 };
        self.reduce(in_flight, delivered, false);
        // The first retransmission goes out in any case.
        self.segments = self.segments.max(in_flight + 1);
    }

    /// The retransmission timer expired; `in_flight` is what may yet be acknowledged.
    pub(super) fn on_timeout(&mut self, control: CongestionControl, end: u64, in_flight: u32) {
        if !matches!(self.stage, Stage::Timeout { .. }) {
            self.threshold = self.reduced_threshold(control);
        }
        self.stage = Stage::Timeout { end };
        self.segments = in_flight + 1;
        self.acknowledged = 0;
        self.cubic.forget_epoch();
    }

    fn reduced_threshold(&mut self, control: CongestionControl) -> u32 {
        let reduced = match control {
            CongestionControl::Reno => self.segments / 2,
            CongestionControl::Cubic => self.cubic.reduce(self.segments),
        };
        reduced.max(MIN_THRESHOLD)
    }

    /// Proportional rate reduction (RFC 6937, 3.1, with its slow-start bound, which lets one more
    /// go where repair goes well, as in Linux's `tcp_cwnd_reduction`).
    fn reduce(&mut self, in_flight: u32, newly_delivered: u32, is_safe: bool) {
        let Stage::Recovery { window_before, delivered, sent, .. } = &mut self.stage else {
            return;
        };
        *delivered += newly_delivered;
        let may_send = if in_flight > self.threshold {
            let share = u64::from(*delivered) * u64::from(self.threshold);
            let due = share.div_ceil(u64::from(*window_before));
            u32::try_from(due).unwrap_or(u32::MAX).saturating_sub(*sent)
        } else {
            let due = delivered.saturating_sub(*sent).max(newly_delivered) + u32::from(is_safe);
            due.min(self.threshold - in_flight)
        };
        self.segments = (in_flight + may_send).max(1);
    }

    /// One more acknowledged segment lets the window grow, if it was the limit.
    fn grow(&mut self, control: CongestionControl, now: Time) {
        if self.segments < self.threshold {
            if self.is_limit || self.segments < 2 * self.peak_unacked {
                self.segments += 1;
            }
            return;
        }
        if !self.is_limit {
            return;
        }
        let per_step = match control {
            CongestionControl::Reno => self.segments,
            CongestionControl::Cubic => {
                self.cubic.acknowledgements_a_step(now, self.segments, self.rounds.shortest_ever)
            }
        };
        self.acknowledged += 1;
        if self.acknowledged >= per_step {
            self.acknowledged = 0;
            self.segments += 1;
        }
    }

    /// `HyStart`: leaves slow start once the shortest round trip of a round is well above the
    /// shortest of all, for then a queue is growing.
    fn watch_round_trip(&mut self, control: CongestionControl, round_trip: Span) {
        let rounds = &mut self.rounds;
        rounds.shortest_ever = rounds.shortest_ever.min(round_trip);
        rounds.shortest = rounds.shortest.min(round_trip);
        rounds.samples = rounds.samples.saturating_add(1);
        let watches = control == CongestionControl::Cubic
            && self.segments < self.threshold
            && self.segments >= HYSTART_MIN_WINDOW;
        if watches && rounds.samples >= HYSTART_SAMPLES {
            let eighth = Span::from_nanos(rounds.shortest_ever.as_nanos() / 8);
            let margin = eighth.max(Span::from_millis(4)).min(Span::from_millis(16));
            if rounds.shortest > rounds.shortest_ever + margin {
                self.threshold = self.segments;
            }
        }
    }
}

#[cfg(test)]
mod tests;
