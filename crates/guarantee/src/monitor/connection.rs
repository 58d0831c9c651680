//! One end of one client's connections: which is open, what may be said on it, and how long an end
//! may be silent.

use super::violation_log::{EventContext, ViolationLog};
use crate::rules::Rule;
use qoslab_core::base::{ConnectionNumber, Node, PacketBody, PacketKind, PacketMeta, Span, Time};
use qoslab_core::impl_fingerprint;
use qoslab_core::mqtt::Version;

/// How much later than due a timer may be seen to act: keep alive counts in whole seconds.
const TOLERANCE: Span = Span::from_secs(1);

/// The known state of the connection that is open at one end, if one is.
#[derive(Clone, Debug, Default)]
pub(super) struct ConnectionMonitor {
    pub(super) open: Option<ConnectionNumber>,
    /// The last connection whose CONNACK accepted it.
    pub(super) accepted_connection: Option<ConnectionNumber>,
    /// CONNECT was sent (at a client) on the connection that is open.
    connect_sent: bool,
    /// CONNACK crossed this interface on it.
    connack_seen: bool,
    /// This end sent DISCONNECT on it.
    disconnect_sent: bool,
    /// What the client's CONNECT asked for, in seconds.
    requested_keep_alive: u16,
    /// The keep alive in force: 0 for none, before CONNACK, or once it was seen to be broken.
    keep_alive: u16,
    /// When a packet crossed last in the client's direction.
    last_heard: Time,
    /// When a client sent the PINGREQ that is not answered yet.
    ping_sent_at: Option<Time>,
    /// The peer's Maximum Packet Size; 0 for no limit.
    pub(super) max_packet_size: u32,
}

impl_fingerprint! {
    struct ConnectionMonitor {
        plain open, accepted_connection, connect_sent, connack_seen, disconnect_sent,
            requested_keep_alive, keep_alive, ping_sent_at, max_packet_size;
        skip last_heard: "only matters to keep alive, which is off where states are compared";
    }
}

impl ConnectionMonitor {
    /// A connection opened at this end.
    pub(super) fn on_opened(&mut self, now: Time, connection: ConnectionNumber) {
        *self = Self {
            open: Some(connection),
            accepted_connection: self.accepted_connection,
            last_heard: now,
            ..Self::default()
        };
    }

    /// This end sent a packet on its connection.
    #[inline]
    pub(super) fn on_sent(
        &mut self,
        context: EventContext,
        packet: &PacketMeta<'_>,
        log: &mut ViolationLog,
    ) {
        if self.max_packet_size != 0 && packet.size.mqtt > self.max_packet_size {
            log.report_sender(context, Rule::TooLarge, packet.tag);
        }
        if self.disconnect_sent {
            log.report_endpoint(context, Rule::SentAfterDisconnect);
        }
        match context.node {
            Node::Broker => {
                if !self.connack_seen && packet.kind() != PacketKind::ConnAck {
                    self.connack_seen = true;
                    log.report_endpoint(context, Rule::ConnAckNotFirst);
                }
            }
            Node::Client(_) => {
                if !self.connect_sent && packet.kind() != PacketKind::Connect {
                    self.connect_sent = true;
                    log.report_endpoint(context, Rule::ConnectNotFirst);
                }
                if self.keep_alive != 0 {
                    self.check_silence(context, log);
                }
                self.last_heard = context.at;
            }
        }
        match packet.kind() {
            PacketKind::Connect => {
                if self.connect_sent {
                    log.report_endpoint(context, Rule::SecondConnect);
                }
                self.connect_sent = true;
                self.on_connect(packet);
            }
            PacketKind::ConnAck => {
                if self.connack_seen {
                    log.report_endpoint(context, Rule::SecondConnAck);
                }
                self.connack_seen = true;
            }
            PacketKind::PingReq => self.ping_sent_at = self.ping_sent_at.or(Some(context.at)),
            PacketKind::Disconnect => self.disconnect_sent = true,
            _ => {}
        }
    }

    /// A packet came to this end on its connection.
    #[inline]
    pub(super) fn on_arrived(
        &mut self,
        context: EventContext,
        packet: &PacketMeta<'_>,
        log: &mut ViolationLog,
    ) {
        if context.node == Node::Broker {
            if self.keep_alive != 0 {
                self.check_silence(context, log);
            }
            self.last_heard = context.at;
        }
        match packet.kind() {
            PacketKind::Connect => self.on_connect(packet),
            PacketKind::PingResp => self.ping_sent_at = None,
            _ => {}
        }
    }

    const fn on_connect(&mut self, packet: &PacketMeta<'_>) {
        if let PacketBody::Connect { keep_alive, .. } = packet.body {
            self.requested_keep_alive = keep_alive;
        }
    }

    /// A CONNACK accepted the client: from now on its Keep Alive counts.
    pub(super) fn on_accepted(&mut self, now: Time) {
        self.accepted_connection = self.open;
        self.keep_alive = self.requested_keep_alive;
        self.last_heard = now;
    }

    /// Whether this end was silent, or tolerated silence, for too long by now; reported once a
    /// connection.
    pub(super) fn check_silence(&mut self, context: EventContext, log: &mut ViolationLog) {
        if self.keep_alive == 0 || self.open.is_none() {
            return;
        }
        let half = Span::from_millis(500 * u64::from(self.keep_alive));
        let has_passed =
            |since: Time, halves: u64| context.at > since + half.times(halves) + TOLERANCE;
        let (limit, rule) = match context.node {
            Node::Broker if log.trial.broker_hears_bytes => return,
            Node::Broker => (3, Rule::SilenceIgnored),
            Node::Client(_) => (2, Rule::ClientSilent),
        };
        if has_passed(self.last_heard, limit) {
            log.report_endpoint(context, rule);
            self.keep_alive = 0;
        }
        if self.ping_sent_at.is_some_and(|since| has_passed(since, 4)) {
            log.report_endpoint(context, Rule::PingUnheeded);
            self.ping_sent_at = None;
        }
    }
}

/// One life after the other of a client's session, as the broker has to know it.
#[derive(Clone, Debug, Default)]
pub(super) struct SessionMonitor {
    session: SessionPresence,
    /// What the CONNECT asked for that has no CONNACK yet: a clean start, and 5.0's expiry.
    pending_connect: Option<(bool, u32)>,
    ends_with_connection: bool,
    /// 5.0's Session Expiry Interval in seconds; `u32::MAX` for never.
    expiry: u32,
    /// When it ends without a connection; never while it has one.
    expires_at: Time,
    /// The connection that the client had open when it opened another.
    replaced_connection: Option<ConnectionNumber>,
    /// It, where the broker accepted the client before closing it, and since when.
    old_left_open: Option<ConnectionNumber>,
    old_left_open_at: Time,
}

impl_fingerprint! {
    struct SessionMonitor {
        plain session, pending_connect, ends_with_connection, expiry, replaced_connection,
            old_left_open;
        future_only expires_at;
        skip old_left_open_at: "only compared with the present time";
    }
}

/// Whether the broker has a session for a client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum SessionPresence {
    #[default]
    None,
    Kept,
    /// A crash may have lost it.
    Unknown,
}

impl_fingerprint! { fieldless SessionPresence }

impl SessionMonitor {
    /// A CONNECT came.
    pub(super) const fn on_connect(&mut self, clean: bool, expiry: u32) {
        self.pending_connect = Some((clean, expiry));
    }

    /// The client opened a connection while another was open.
    pub(super) const fn on_connection_replaced(&mut self, old: ConnectionNumber) {
        self.replaced_connection = Some(old);
    }

    /// A connection closed at the broker; `is_current` if it was the client's newest.
    pub(super) fn on_closed(
        &mut self,
        context: EventContext,
        connection: ConnectionNumber,
        is_current: bool,
        log: &mut ViolationLog,
    ) {
        let now = context.at;
        if self.replaced_connection == Some(connection) {
            self.replaced_connection = None;
        }
        // A broker may close the old one in another task, just after it accepted the client.
        if self.old_left_open == Some(connection) && now == self.old_left_open_at {
            self.old_left_open = None;
        }
        self.report_left_open(context, log);
        if !is_current {
            return;
        }
        self.expires_at = match self.expiry {
            u32::MAX => Time::NEVER,
            expiry => now + Span::from_secs(u64::from(expiry)),
        };
        if self.pending_connect.take().is_some() {
            // It is unknown whether that CONNECT still began something.
            self.session = SessionPresence::Unknown;
        } else if self.ends_with_connection {
            self.session = SessionPresence::None;
        }
    }

    /// The broker crashed, and no connection outlived that.
    pub(super) const fn on_broker_crashed(&mut self) {
        (self.replaced_connection, self.old_left_open) = (None, None);
    }

    /// Any connection left open now was not closed in time.
    pub(super) fn report_left_open(&mut self, context: EventContext, log: &mut ViolationLog) {
        if self.old_left_open.take().is_some() {
            log.report_endpoint(
                EventContext { at: self.old_left_open_at, ..context },
                Rule::OldLeftOpen,
            );
        }
    }

    /// The broker's store forgot, or may have.
    pub(super) const fn on_state_lost(&mut self) {
        self.session = SessionPresence::Unknown;
    }

    /// The broker ended the session because its time was over.
    pub(super) fn on_expired(&mut self, now: Time) {
        if self.session == SessionPresence::Kept && self.is_expired(now) {
            self.session = SessionPresence::None;
        }
    }

    /// The broker accepted the client, for the first time on this connection.
    pub(super) fn on_accepted(
        &mut self,
        context: EventContext,
        session_present: bool,
        log: &mut ViolationLog,
    ) {
        let Some((clean, expiry)) = self.pending_connect.take() else { return };
        self.report_left_open(context, log);
        if let Some(old) = self.replaced_connection.take() {
            (self.old_left_open, self.old_left_open_at) = (Some(old), context.at);
        }
        let rule = match (session_present, clean, self.session) {
            (true, true, _) => Some(Rule::PresentAfterClean),
            (true, false, SessionPresence::None) => Some(Rule::PresentWithoutSession),
            (false, false, SessionPresence::Kept) if !self.is_expired(context.at) => {
                Some(Rule::SessionLost)
            }
            _ => None,
        };
        if let Some(rule) = rule {
            log.report_endpoint(context, rule);
        }
        self.session = SessionPresence::Kept;
        self.expires_at = Time::NEVER;
        (self.ends_with_connection, self.expiry) = match log.version(context) {
            Version::V31 | Version::V311 => (clean, u32::MAX),
            Version::V5 => (expiry == 0, expiry),
        };
    }

    /// Whether the session may have expired by now.
    fn is_expired(&self, now: Time) -> bool {
        now >= self.expires_at
    }
}
