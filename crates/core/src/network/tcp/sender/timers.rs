//! The timers of a sender: tail loss probe, retransmission timeout, window probe, user timeout.

use super::{SegmentState, Sender, Timer, Transmission};
use crate::base::{Span, Time};
use crate::network::settings::TcpSettings;

/// What a lone segment's probe adds for a delayed acknowledgement (RFC 8985, 7.2: `WCDelAckT`).
const WORST_DELAYED_ACK: Span = Span::from_millis(200);

impl Sender {
    /// When [`Self::on_due`] has something to do.
    pub(in crate::network::tcp) fn next_due(&self, tcp: &TcpSettings) -> Time {
        let timer = match self.timer {
            Timer::Off => Time::NEVER,
            Timer::Probe(at) | Timer::Timeout(at) | Timer::Persist(at) => at,
        };
        timer.min(self.overtaken_at).min(self.gives_up_at(tcp))
    }

    /// When the oldest byte was unacknowledged for the user timeout (RFC 5482), or no question for
    /// room was answered for as long.
    pub(in crate::network::tcp) fn gives_up_at(&self, tcp: &TcpSettings) -> Time {
        let oldest = self.segments.front();
        let since = match (oldest, self.timer) {
            (Some(oldest), _) => oldest.first_sent,
            (None, Timer::Persist(_)) => self.unheard_since,
            (None, _) => return Time::NEVER,
        };
        since + tcp.user_timeout
    }

    /// Does what is due. A probe goes out whatever the window says.
    pub(in crate::network::tcp) fn on_due(
        &mut self,
        now: Time,
        tcp: &TcpSettings,
    ) -> Option<Transmission> {
        if self.overtaken_at <= now {
            if self.find_lost(now) && !self.congestion.is_recovering() {
                self.before_reduction = Some(self.congestion);
                // As Linux counts it where no acknowledgement came.
                self.congestion.on_loss(tcp.congestion, self.next, self.in_flight, 1);
            }
            self.arm_timer(now, tcp);
        }
        match self.timer {
            Timer::Probe(at) if at <= now => Some(self.send_probe(now, tcp)),
            Timer::Timeout(at) if at <= now => {
                self.on_timeout(now, tcp);
                None
            }
            Timer::Persist(at) if at <= now => {
                self.rto.back_off();
                self.timer = Timer::Persist(now + self.rto.timeout(tcp.rto_min));
                Some(Transmission::WindowProbe { number: self.unacked - 1 })
            }
            _ => None,
        }
    }

    fn send_probe(&mut self, now: Time, tcp: &TcpSettings) -> Transmission {
        let probe = if self.end_of_next(tcp) > self.next {
            self.send_new(now, tcp)
        } else {
            // It is sent again though it may be under way: it must not count twice.
            self.in_flight -= 1;
            self.resend(now, self.segments.len() - 1, tcp)
        };
        self.probe = self.segments.back().map(|segment| segment.end);
        self.timer = Timer::Timeout(now + self.rto.timeout(tcp.rto_min));
        probe
    }

    /// The oldest segment is lost, and what was sent a round trip ago (RFC 6298, 5; RFC 8985, 6.3).
    fn on_timeout(&mut self, now: Time, tcp: &TcpSettings) {
        let patience = self.rack.patience(self.arrived, true);
        for (place, segment) in self.segments.iter_mut().enumerate() {
            let is_recent = place > 0 && segment.last_sent + patience > now;
            if segment.state == SegmentState::InFlight && !is_recent {
                segment.state = SegmentState::Lost;
                self.in_flight -= 1;
                self.lost += 1;
            }
        }
        self.rto.back_off();
        if self.before_reduction.is_none() {
            self.before_reduction = Some(self.congestion);
        }
        self.congestion.on_timeout(tcp.congestion, self.next, self.in_flight);
        self.overtaken_at = Time::NEVER;
        self.probe = None;
        self.timer = Timer::Timeout(now + self.rto.timeout(tcp.rto_min));
    }

    /// Starts the timer anew: a probe while nothing is known to be missing, and else a timeout.
    pub(super) fn arm_timer(&mut self, now: Time, tcp: &TcpSettings) {
        if self.segments.is_empty() {
            self.timer = Timer::Off;
            self.before_reduction = None;
            return;
        }
        let timeout = self.rto.timeout(tcp.rto_min);
        let is_calm = self.arrived == 0
            && self.lost == 0
            && self.probe.is_none()
            && !self.congestion.is_recovering();
        self.timer = match self.rto.smoothed().filter(|_| is_calm) {
            Some(smoothed) => {
                let alone = self.segments.len() == 1;
                let slack = if alone { WORST_DELAYED_ACK } else { Span::ZERO };
                Timer::Probe(now + (smoothed.times(2) + slack).min(timeout))
            }
            None => Timer::Timeout(now + timeout),
        };
    }
}
