//! The life of a client's connections: when it opens one, how long it waits, when it goes.

use std::sync::Arc;

use serde::Serialize;

use super::Client;
use crate::base::event::Close;
use crate::base::name::Connection;
use crate::base::time::{Span, Time};
use crate::mqtt::endpoint::Output;
use crate::mqtt::packet::{ConnAck, Connect, Packet};
use crate::mqtt::quirks::Quirk;
use crate::mqtt::settings::{ClientSettings, Limits, Version};

/// How far a client is with its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) enum State {
    /// It wants no connection.
    Away,
    /// A connection was asked for; if it is not open at this time, it is asked for again.
    Opening(Time),
    /// CONNECT was sent; without an answer it is sent again at this time, over datagrams, or the
    /// connection is given up.
    Connecting(Connection, Time),
    /// CONNACK came.
    Connected(Connection),
}

/// A PINGREQ that waits for its PINGRESP.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Ping {
    /// When the connection is taken for dead.
    answer_due: Time,
    /// When it is sent again: where it can get lost and is asked for on the client's way out.
    repeat_due: Time,
    /// Whether anything else came meanwhile.
    disturbed: bool,
}

impl Client {
    pub(super) fn connect(&mut self, now: Time) {
        self.wanted = true;
        self.visits = true;
        if self.state == State::Away {
            self.open(now, 0);
        }
    }

    pub(super) fn reconnect(&mut self, now: Time) {
        if self.wanted {
            self.visits = true;
            self.leave();
            self.open(now, 0);
        }
    }

    pub(super) fn disconnect(&mut self) {
        if let State::Connected(connection) = self.state {
            self.outbox.send_control(connection, Packet::Disconnect(0));
        }
        self.leave();
    }

    /// The transport opened a connection. It takes the place of one that is there: that was an
    /// attempt which this client had given up, and which came about after all.
    pub(super) fn opened(&mut self, now: Time, connection: Connection) {
        if self.state == State::Away {
            self.outbox.close(connection, Close::Asked);
            return;
        }
        if self.connection().is_some() {
            self.leave();
        }
        self.send_connect(now, connection);
    }

    /// The transport closed a connection, or could not open one.
    pub(super) fn closed(&mut self, now: Time, connection: Connection) {
        let is_opening = matches!(self.state, State::Opening(_));
        if is_opening || self.connection() == Some(connection) {
            self.lost(now);
        }
    }

    /// The broker sent DISCONNECT.
    pub(super) fn dismissed(&mut self, now: Time) {
        self.hang_up(now, Close::Asked);
    }

    fn send_connect(&mut self, now: Time, connection: Connection) {
        let ClientSettings { client_id, version, clean, session_expiry, keep_alive, .. } =
            &*self.settings;
        // Over datagrams packets are lost all the time, and silence says nothing: it asks for no
        // watch over it.
        let is_told = self.settings.request_retry.is_none();
        let keep_alive = keep_alive.as_nanos() / Span::from_secs(1).as_nanos();
        let is_v5 = *version == Version::V5;
        let mut will = self.settings.will.clone();
        if let Some(will) = &mut will {
            will.delay = if is_v5 { will.delay } else { 0 };
        }
        let connect = Connect {
            client_id: Arc::clone(client_id),
            version: *version,
            clean: *clean || self.starts_anew,
            session_expiry: if *clean || !is_v5 { 0 } else { *session_expiry },
            keep_alive: u16::try_from(keep_alive)
                .map_or(u16::MAX, |secs| if is_told { secs } else { 0 }),
            will,
            limits: if is_v5 { self.settings.limits } else { Limits::NONE },
        };
        self.outbox.send_control(connection, Packet::Connect(Box::new(connect)));
        let patience = self.settings.request_retry.or(self.settings.connect_timeout);
        let until = patience.map_or(Time::NEVER, |patience| now + patience);
        self.state = State::Connecting(connection, until);
    }

    pub(super) fn connack(&mut self, now: Time, answer: ConnAck) {
        let State::Connecting(connection, _) = self.state else { return };
        if answer.code != 0 {
            self.hang_up(now, Close::Asked);
            return;
        }
        if self.is_foreign_session(answer) {
            self.starts_anew = true;
            self.hang_up(now, Close::Protocol);
            return;
        }
        self.state = State::Connected(connection);
        self.failures = 0;
        self.outbound.set_peer_limits(answer.limits);
        self.starts_anew = false;
        self.visits = false;
        if self.is_new_session(answer) && !self.ignores_session_present() {
            // The broker knows nothing of this session, so neither may the client
            // [MQTT-3.2.2-5 of 5.0].
            self.inbound.end_session();
            self.requests.forget_answers(self.settings.resubscribe);
            let (outbound, _, mut host) = self.split(now);
            outbound.end_session(&mut host);
        }
        self.has_connected = true;
        self.ask(now);
        let (outbound, _, mut host) = self.split(now);
        outbound.resume(&mut host);
    }

    /// Whether the broker has a session that this client, which has none, knows nothing of: then
    /// it must close the connection and may start anew ([MQTT-3.2.2-4] of 5.0). Before 5.0 it may
    /// go on (MQTT 3.1.1, section 3.2.2.2), and does.
    fn is_foreign_session(&self, answer: ConnAck) -> bool {
        self.settings.version == Version::V5 && answer.session_present && !self.has_connected
    }

    /// Whether the broker kept nothing. MQTT 3.1 has no way to say so: there a client without
    /// Clean Session has to trust that its session is still there, once it has been.
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
    fn leave(&mut self) {
        if let Some(connection) = self.connection() {
            self.outbox.close(connection, Close::Asked);
        }
        self.suspend(State::Away);
    }

    /// Gives the connection up from this side, though the application still wants one.
    pub(super) fn hang_up(&mut self, now: Time, why: Close) {
        if let Some(connection) = self.connection() {
            self.outbox.close(connection, why);
        }
        self.lost(now);
    }

    /// The connection is no more, or did not come about: the application still wants one.
    fn lost(&mut self, now: Time) {
        self.failures += 1;
        self.suspend(State::Away);
        if !self.settings.on_demand || self.has_business() {
            self.open(now, self.failures);
        }
    }

    fn open(&mut self, now: Time, attempt: u32) {
        let patience = self.settings.connect_timeout;
        // The engine pauses before it begins; the time for connecting counts from then.
        let begins = now + self.settings.reconnect.longest(attempt);
        self.state = State::Opening(patience.map_or(Time::NEVER, |patience| begins + patience));
        self.outbox.push(Output::Connect { attempt });
    }

    pub(super) fn suspend(&mut self, state: State) {
        self.state = state;
        self.ping = None;
        self.quiet = false;
        self.outbound.suspend();
        self.requests.suspend();
    }

    // ---- on demand ----

    /// A client that is `on_demand` comes when it has something to do and goes when all is done.
    pub(super) fn come_or_go(&mut self, now: Time) {
        match self.state {
            State::Away if self.wanted && self.has_business() => self.open(now, 0),
            State::Connected(connection) if !self.has_business() => {
                // What the broker has for a subscriber comes before the PINGRESP, so the client
                // asks until that comes alone.
                if self.quiet || !self.requests.are_any_wanted() {
                    self.disconnect();
                } else if self.ping.is_none() {
                    self.send_ping(now, connection);
                }
            }
            _ => {}
        }
    }

    fn has_business(&self) -> bool {
        self.visits || self.has_work()
    }

    // ---- keep alive ----

    /// Does what is due for the connection's sake.
    pub(super) fn watch_connection(&mut self, now: Time) {
        match self.state {
            State::Opening(until) if until <= now => self.lost(now),
            State::Connecting(connection, until) if until <= now => {
                if self.settings.request_retry.is_some() {
                    self.send_connect(now, connection);
                } else {
                    self.hang_up(now, Close::Asked);
                }
            }
            State::Connected(_) if self.ping.is_some_and(|ping| ping.answer_due <= now) => {
                self.hang_up(now, Close::KeepAlive);
            }
            State::Connected(connection) if self.ping_due().min(self.repeat_due()) <= now => {
                self.send_ping(now, connection);
            }
            _ => {}
        }
    }

    /// When [`Client::watch_connection`] has something to do.
    pub(super) fn connection_due(&self) -> Time {
        match self.state {
            State::Away => Time::NEVER,
            State::Opening(until) | State::Connecting(_, until) => until,
            State::Connected(_) => {
                let answer_due = self.ping.map_or(Time::NEVER, |ping| ping.answer_due);
                answer_due.min(self.ping_due()).min(self.repeat_due())
            }
        }
    }

    fn ping_due(&self) -> Time {
        match self.settings.keep_alive {
            Span::ZERO => Time::NEVER,
            keep_alive => self.last_sent + keep_alive,
        }
    }

    fn repeat_due(&self) -> Time {
        self.ping.map_or(Time::NEVER, |ping| ping.repeat_due)
    }

    fn send_ping(&mut self, now: Time, connection: Connection) {
        self.outbox.send_control(connection, Packet::PingReq);
        // Datagrams are lost all the time: there a missing PINGRESP says nothing.
        let is_told = self.settings.request_retry.is_none();
        let answer_due = match self.settings.keep_alive {
            keep_alive if is_told && keep_alive > Span::ZERO => now + keep_alive,
            _ => Time::NEVER,
        };
        let repeat_due = match self.settings.request_retry {
            Some(pause) if self.settings.on_demand => now + pause,
            _ => Time::NEVER,
        };
        let unanswered = self.ping.unwrap_or(Ping { answer_due, repeat_due, disturbed: false });
        self.ping = Some(Ping { repeat_due, ..unanswered });
    }

    /// PINGRESP came.
    pub(super) fn pinged(&mut self) {
        if let Some(ping) = self.ping.take() {
            self.quiet = !ping.disturbed;
        }
    }

    /// Something other than PINGRESP came.
    pub(super) fn stirred(&mut self) {
        self.quiet = false;
        if let Some(ping) = &mut self.ping {
            ping.disturbed = true;
        }
    }

    pub(super) fn connection(&self) -> Option<Connection> {
        match self.state {
            State::Connecting(connection, _) | State::Connected(connection) => Some(connection),
            State::Away | State::Opening(_) => None,
        }
    }
}
