//! The life of a client's connections: when it opens one, how long it waits, when it goes.

use std::sync::Arc;

use super::Client;
use crate::base::{CloseReason, ConnectionNumber, Span, Time};
use crate::impl_fingerprint;
use crate::mqtt::endpoint::Output;
use crate::mqtt::packet::{ConnAck, Connect, Packet};
use crate::mqtt::quirks::Quirk;
use crate::mqtt::settings::{ClientSettings, PingRule, ReceiverLimits, Version};

/// State of a client's connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ConnectionState {
    /// It wants no connection.
    Disconnected,
    /// A connection was asked for; if it is not open at this time, it is asked for again.
    Opening(Time),
    /// CONNECT was sent; without an answer it is sent again at this time, over datagrams, or the
    /// connection is given up.
    Connecting(ConnectionNumber, Time),
    /// CONNACK came.
    Connected(ConnectionNumber),
}

impl_fingerprint! {
    enum ConnectionState {
        Disconnected,
        Opening(asked_again_at),
        Connecting(connection, answer_due),
        Connected(connection),
    }
}

/// A PINGREQ that waits for its PINGRESP.
#[derive(Clone, Copy, Debug)]
pub(super) struct PendingPing {
    /// When the connection is taken for dead, by the rule that looks at nothing else.
    answer_due: Time,
    /// When it is sent again: where it can get lost and is asked for on the client's way out.
    repeat_due: Time,
    /// Whether anything else came meanwhile.
    had_traffic: bool,
}

impl_fingerprint! {
    struct PendingPing {
        plain answer_due, repeat_due, had_traffic;
    }
}

impl Client {
    pub(super) fn connect(&mut self, now: Time) {
        self.should_connect = true;
        self.connect_once = true;
        if self.connection_state == ConnectionState::Disconnected {
            self.request_connection(now, 0);
        }
    }

    pub(super) fn reconnect(&mut self, now: Time) {
        if self.should_connect {
            self.connect_once = true;
            self.close_connection(now);
            self.request_connection(now, 0);
        }
    }

    pub(super) fn disconnect(&mut self, now: Time) {
        if let ConnectionState::Connected(connection) = self.connection_state {
            self.outbox.send_control(connection, Packet::Disconnect(0));
        }
        self.close_connection(now);
    }

    /// The transport opened a connection. It takes the place of one that is there: that was an
    /// attempt which this client had given up, and which came about after all.
    pub(super) fn opened(&mut self, now: Time, connection: ConnectionNumber) {
        if self.connection_state == ConnectionState::Disconnected {
            self.outbox.close(connection, CloseReason::Requested);
            return;
        }
        if self.connection().is_some() {
            self.close_connection(now);
        }
        self.send_connect(now, connection);
    }

    /// The transport closed a connection, or could not open one.
    pub(super) fn closed(&mut self, now: Time, connection: ConnectionNumber) {
        let is_opening = matches!(self.connection_state, ConnectionState::Opening(_));
        if is_opening || self.connection() == Some(connection) {
            self.connection_lost(now);
        }
    }

    /// The broker sent DISCONNECT.
    pub(super) fn on_disconnect(&mut self, now: Time) {
        self.abort_connection(now, CloseReason::Requested);
    }

    fn send_connect(&mut self, now: Time, connection: ConnectionNumber) {
        let ClientSettings { client_id, version, clean, session_expiry, keep_alive, .. } =
            &*self.settings;
        // Over datagrams packets are lost all the time, and silence says nothing: it asks for no
        // watch over it.
        let is_reliable = self.settings.request_retry.is_none();
        let keep_alive = keep_alive.as_nanos() / Span::from_secs(1).as_nanos();
        let is_v5 = *version == Version::V5;
        let mut will = self.settings.will.clone();
        if let Some(will) = &mut will {
            will.delay = if is_v5 { will.delay } else { 0 };
        }
        let connect = Connect {
            client_id: Arc::clone(client_id),
            version: *version,
            clean: *clean || self.clean_start_next,
            session_expiry: if *clean || !is_v5 { 0 } else { *session_expiry },
            keep_alive: u16::try_from(keep_alive)
                .map_or(u16::MAX, |secs| if is_reliable { secs } else { 0 }),
            will,
            limits: if is_v5 { self.settings.limits } else { ReceiverLimits::NONE },
        };
        self.outbox.send_control(connection, Packet::Connect(Box::new(connect)));
        let timeout = self.settings.request_retry.or(self.settings.connect_timeout);
        let until = timeout.map_or(Time::NEVER, |patience| now + patience);
        self.connection_state = ConnectionState::Connecting(connection, until);
    }

    pub(super) fn connack(&mut self, now: Time, answer: ConnAck) {
        let ConnectionState::Connecting(connection, _) = self.connection_state else { return };
        if answer.code != 0 {
            self.abort_connection(now, CloseReason::Requested);
            return;
        }
        if self.is_unknown_session(answer) {
            self.clean_start_next = true;
            self.abort_connection(now, CloseReason::Protocol);
            return;
        }
        self.connection_state = ConnectionState::Connected(connection);
        self.failed_connects = 0;
        self.outbound.set_peer_limits(answer.limits);
        self.clean_start_next = false;
        self.connect_once = false;
        if self.is_new_session(answer) && !self.ignores_session_present() {
            // The broker knows nothing of this session, so neither may the client
            // [MQTT-3.2.2-5 of 5.0].
            self.inbound.end_session();
            self.requests.on_session_lost(self.settings.resubscribe);
            if self.settings.hop.keep_outbox {
                self.outbound.start_again();
            } else {
                let (outbound, _, mut context) = self.split(now);
                outbound.discard_in_flight(&mut context);
            }
        }
        self.has_connected = true;
        self.send_due_request(now);
        let (outbound, _, mut context) = self.split(now);
        outbound.resume(&mut context);
    }

    /// Whether the broker has a session that this client, which has none, knows nothing of: then
    /// it must close the connection and may start anew ([MQTT-3.2.2-4] of 5.0). Before 5.0 it may
    /// go on (MQTT 3.1.1, section 3.2.2.2), and does.
    fn is_unknown_session(&self, answer: ConnAck) -> bool {
        self.settings.version == Version::V5 && answer.session_present && !self.has_connected
    }

    /// Whether the broker kept nothing. MQTT 3.1 has no way to say so: there a client without
    /// Clean Session has to trust that its session exists, once it has existed.
    fn is_new_session(&self, answer: ConnAck) -> bool {
        match self.settings.version {
            Version::V31 => self.settings.clean || !self.has_connected,
            Version::V311 | Version::V5 => !answer.session_present,
        }
    }

    fn ignores_session_present(&self) -> bool {
        self.settings.hop.quirks.has(Quirk::IgnoreSessionPresent)
    }

    /// Closes the connection from this side.
    fn close_connection(&mut self, now: Time) {
        if let Some(connection) = self.connection() {
            self.outbox.close(connection, CloseReason::Requested);
        }
        self.suspend(now, ConnectionState::Disconnected);
    }

    /// Gives the connection up from this side, though the application still wants one.
    pub(super) fn abort_connection(&mut self, now: Time, why: CloseReason) {
        if let Some(connection) = self.connection() {
            self.outbox.close(connection, why);
        }
        self.connection_lost(now);
    }

    /// The connection is no more, or did not come about: the application still wants one.
    fn connection_lost(&mut self, now: Time) {
        self.failed_connects += 1;
        self.suspend(now, ConnectionState::Disconnected);
        if !self.settings.on_demand || self.needs_connection() {
            self.request_connection(now, self.failed_connects);
        }
    }

    fn request_connection(&mut self, now: Time, attempt: u32) {
        let timeout = self.settings.connect_timeout;
        // The engine pauses before it begins; the time for connecting counts from then.
        let starts_at = now + self.settings.reconnect.max_pause(attempt);
        self.connection_state =
            ConnectionState::Opening(timeout.map_or(Time::NEVER, |patience| starts_at + patience));
        self.outbox.push(Output::Connect { attempt });
    }

    pub(super) fn suspend(&mut self, now: Time, state: ConnectionState) {
        self.connection_state = state;
        self.pending_ping = None;
        self.is_idle = false;
        let (outbound, _, mut context) = self.split(now);
        outbound.suspend(&mut context);
        self.requests.suspend();
    }

    // ---- on demand ----

    /// A client that is `on_demand` comes when it has something to do and goes when all is done.
    pub(super) fn connect_or_leave_on_demand(&mut self, now: Time) {
        match self.connection_state {
            ConnectionState::Disconnected if self.should_connect && self.needs_connection() => {
                self.request_connection(now, 0);
            }
            ConnectionState::Connected(connection) if !self.needs_connection() => {
                // What the broker has for a subscriber comes before the PINGRESP, so the client
                // asks until that comes alone.
                if self.is_idle || !self.requests.has_subscriptions() {
                    self.disconnect(now);
                } else if self.pending_ping.is_none() {
                    self.send_ping(now, connection);
                }
            }
            _ => {}
        }
    }

    fn needs_connection(&self) -> bool {
        self.connect_once || self.has_work()
    }

    // ---- keep alive ----

    /// Does what is due for the connection's sake.
    pub(super) fn check_connection_timers(&mut self, now: Time) {
        match self.connection_state {
            ConnectionState::Opening(until) if until <= now => self.connection_lost(now),
            ConnectionState::Connecting(connection, until) if until <= now => {
                if self.settings.request_retry.is_some() {
                    self.send_connect(now, connection);
                } else {
                    self.abort_connection(now, CloseReason::Requested);
                }
            }
            ConnectionState::Connected(_) if self.ping_answer_due() <= now => {
                self.abort_connection(now, CloseReason::KeepAlive);
            }
            ConnectionState::Connected(connection)
                if self.next_ping().min(self.next_ping_repeat()) <= now =>
            {
                self.send_ping(now, connection);
            }
            _ => {}
        }
    }

    /// When [`Client::check_connection_timers`] has something to do.
    pub(super) fn next_connection_timeout(&self) -> Time {
        match self.connection_state {
            ConnectionState::Disconnected => Time::NEVER,
            ConnectionState::Opening(until) | ConnectionState::Connecting(_, until) => until,
            ConnectionState::Connected(_) => {
                self.ping_answer_due().min(self.next_ping()).min(self.next_ping_repeat())
            }
        }
    }

    fn next_ping(&self) -> Time {
        match self.settings.keep_alive {
            Span::ZERO => Time::NEVER,
            // A second ping would put off the end of the wait for the first one's answer.
            _ if self.pending_ping.is_some()
                && self.settings.ping_rule == PingRule::NothingSentOrReceived =>
            {
                Time::NEVER
            }
            keep_alive => self.silent_since() + keep_alive,
        }
    }

    /// Since when there was silence, of the kind that it pings for.
    fn silent_since(&self) -> Time {
        match self.settings.ping_rule {
            PingRule::NothingSent => self.last_sent,
            PingRule::NothingSentOrReceived => self.last_sent.min(self.last_received),
        }
    }

    /// When the connection is taken for dead because of a PINGRESP that does not come.
    fn ping_answer_due(&self) -> Time {
        let Some(ping) = self.pending_ping else { return Time::NEVER };
        match self.settings.ping_rule {
            PingRule::NothingSent => ping.answer_due,
            PingRule::NothingSentOrReceived if ping.answer_due == Time::NEVER => Time::NEVER,
            PingRule::NothingSentOrReceived => self.silent_since() + self.ping_timeout(),
        }
    }

    fn ping_timeout(&self) -> Span {
        self.settings.ping_timeout.unwrap_or(self.settings.keep_alive)
    }

    fn next_ping_repeat(&self) -> Time {
        self.pending_ping.map_or(Time::NEVER, |ping| ping.repeat_due)
    }

    fn send_ping(&mut self, now: Time, connection: ConnectionNumber) {
        self.outbox.send_control(connection, Packet::PingReq);
        self.last_received = now;
        // Datagrams are lost all the time: there a missing PINGRESP says nothing.
        let is_reliable = self.settings.request_retry.is_none();
        let answer_due = match self.settings.keep_alive {
            keep_alive if is_reliable && keep_alive > Span::ZERO => now + self.ping_timeout(),
            _ => Time::NEVER,
        };
        let repeat_due = match self.settings.request_retry {
            Some(pause) if self.settings.on_demand => now + pause,
            _ => Time::NEVER,
        };
        let unanswered =
            self.pending_ping.unwrap_or(PendingPing { answer_due, repeat_due, had_traffic: false });
        self.pending_ping = Some(PendingPing { repeat_due, ..unanswered });
    }

    /// PINGRESP came.
    pub(super) fn on_pingresp(&mut self) {
        if let Some(ping) = self.pending_ping.take() {
            self.is_idle = !ping.had_traffic;
        }
    }

    /// Something other than PINGRESP came.
    pub(super) fn mark_activity(&mut self) {
        self.is_idle = false;
        if let Some(ping) = &mut self.pending_ping {
            ping.had_traffic = true;
        }
    }

    pub(super) fn connection(&self) -> Option<ConnectionNumber> {
        match self.connection_state {
            ConnectionState::Connecting(connection, _) | ConnectionState::Connected(connection) => {
                Some(connection)
            }
            ConnectionState::Disconnected | ConnectionState::Opening(_) => None,
        }
    }
}
