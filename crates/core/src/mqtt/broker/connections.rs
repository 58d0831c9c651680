//! The life of connections and of the sessions behind them: CONNECT, what ends a connection, and
//! what that ends in turn.
//!
//! A connection ends well by DISCONNECT with reason 0, and then its will is gone. However else it
//! ends, its will is published [MQTT-3.1.2-8]: at once before 5.0, and there after its delay or
//! with the session, whichever is first, unless a new connection comes before [MQTT-3.1.3-9].

use super::Broker;
use crate::base::{CloseReason, ConnectionNumber, DropReason, Span, Time, Transmission};
use crate::mqtt::deadlines::Deadlines;
use crate::mqtt::endpoint::Output;
use crate::mqtt::inbound::ReceivedMessage;
use crate::mqtt::packet::{ConnAck, Connect, Packet};
use crate::mqtt::quirks::Quirk;
use crate::mqtt::session::{NEVER_EXPIRES, Session};
use crate::mqtt::settings::{ReceiverLimits, Version, Will};

/// 5.0's DISCONNECT reason for the connection that a new one replaces.
const TAKEN_OVER: u8 = 0x8E;

impl Broker {
    pub(super) fn connect(&mut self, now: Time, from: ConnectionNumber, connect: &Connect) {
        let index = self.find_or_create_session(connect);
        let current = self.sessions[index as usize].connection;
        if current == Some(from) {
            if self.settings.datagram {
                // The client's retry: its CONNACK was lost, or is on its way.
                self.send_connack(now, from, index);
            } else {
                // [MQTT-3.1.0-2]
                self.close_connection(now, index, CloseReason::Protocol);
            }
            return;
        }
        if current.is_some() {
            self.take_over(now, index);
        }
        // The quirk: the session is deleted with its connection's state.
        if connect.clean || self.settings.hop.quirks.has(Quirk::ForgetSession) {
            self.end_session(now, index);
        }
        self.attach(now, from, index, connect);
        self.send_connack(now, from, index);
    }

    fn attach(&mut self, now: Time, from: ConnectionNumber, index: u32, connect: &Connect) {
        // The quirk: the list of filters is read back without its last entry.
        if self.settings.hop.quirks.has(Quirk::ForgetLastFilter)
            && let Some(filter) = self.sessions[index as usize].filters.pop()
        {
            self.remove_subscription(index, &filter);
        }
        let session = &mut self.sessions[index as usize];
        session.attach(now, from, connect);
        if session.max_silence > Span::ZERO {
            self.keep_alive_deadlines.set(index, now + session.max_silence);
        }
        self.wills.clear(index);
        self.session_expiries.clear(index);
        let slot = from.0 as usize;
        if self.connections.len() <= slot {
            self.connections.resize(slot + 1, None);
        }
        self.connections[slot] = Some(index);
    }

    /// Answers a CONNECT and carries on with what the session still has to send.
    fn send_connack(&mut self, now: Time, to: ConnectionNumber, index: u32) {
        let session = &mut self.sessions[index as usize];
        // MQTT 3.1 has no Session Present flag: the bit is reserved there.
        let session_present = session.present_at_connect && session.version != Version::V31;
        // Only where CONNECT may come again is it answered again.
        session.present_at_connect &= self.settings.datagram;
        let limits = match session.version {
            Version::V31 | Version::V311 => ReceiverLimits::NONE,
            Version::V5 => self.settings.limits,
        };
        let answer = ConnAck { session_present, code: 0, limits };
        self.outbox.send_control(to, Packet::ConnAck(answer));
        let (outbound, _, mut context) =
            session.split(now, index, &self.settings.hop, &mut self.outbox);
        outbound.resume(&mut context);
    }

    /// A second connection with the same client id ends the first [MQTT-3.1.4-2].
    fn take_over(&mut self, now: Time, index: u32) {
        let session = &self.sessions[index as usize];
        if let (Some(old), Version::V5) = (session.connection, session.version) {
            self.outbox.send_control(old, Packet::Disconnect(TAKEN_OVER));
        }
        self.close_connection(now, index, CloseReason::TakenOver);
    }

    /// DISCONNECT came. Reason 0 takes the will away [MQTT-3.1.2-10]; any other leaves it.
    pub(super) fn on_disconnect(&mut self, now: Time, index: u32, reason: u8) {
        // The quirk: every end of a connection is treated alike.
        if reason == 0 && !self.settings.hop.quirks.has(Quirk::WillAfterDisconnect) {
            self.sessions[index as usize].will = None;
        }
        self.close_connection(now, index, CloseReason::Requested);
    }

    /// Ends a session's connection from this side.
    pub(super) fn close_connection(&mut self, now: Time, index: u32, why: CloseReason) {
        if let Some(connection) = self.sessions[index as usize].connection {
            self.outbox.close(connection, why);
        }
        self.detach(now, index);
    }

    /// The session has no connection any more: its will is due, and it may end or begin to
    /// expire.
    pub(super) fn detach(&mut self, now: Time, index: u32) {
        let session = &mut self.sessions[index as usize];
        if let Some(connection) = session.connection.take() {
            self.connections[connection.0 as usize] = None;
        }
        let (outbound, _, mut context) =
            session.split(now, index, &self.settings.hop, &mut self.outbox);
        outbound.suspend(&mut context);
        let session = &mut self.sessions[index as usize];
        self.keep_alive_deadlines.clear(index);
        if session.expiry == 0 {
            self.end_session(now, index);
            return;
        }
        if session.expiry != NEVER_EXPIRES {
            self.session_expiries.set(index, now + Span::from_secs(session.expiry.into()));
        }
        match session.will.as_ref().map(|will| will.delay.min(session.expiry)) {
            None => {}
            Some(0) => self.publish_will_of(now, index),
            Some(delay) => self.wills.set(index, now + Span::from_secs(delay.into())),
        }
    }

    /// Forgets the whole session. A will that waits for its delay does not wait any longer.
    fn end_session(&mut self, now: Time, index: u32) {
        let session = &mut self.sessions[index as usize];
        session.has_state = false;
        for filter in std::mem::take(&mut session.filters) {
            self.remove_subscription(index, &filter);
        }
        let session = &mut self.sessions[index as usize];
        let (outbound, inbound, mut context) =
            session.split(now, index, &self.settings.hop, &mut self.outbox);
        let shared = outbound.take_shared(&mut context);
        outbound.discard_in_flight_and_queued(&mut context);
        inbound.end_session();
        for outgoing in shared {
            if let Err(outgoing) = self.dispatch(now, outgoing) {
                let session = &mut self.sessions[index as usize];
                let (_, _, mut context) =
                    session.split(now, index, &self.settings.hop, &mut self.outbox);
                context.report_dropped(outgoing.message.tag, DropReason::SessionEnded);
            }
        }
        self.session_expiries.clear(index);
        self.wills.clear(index);
        self.publish_will_of(now, index);
    }

    /// Closes connections on which nothing came for one and a half times their keep alive
    /// ([MQTT-3.1.2-24] of 3.1.1, [MQTT-3.1.2-22] of 5.0). A packet that arrives moves no
    /// deadline: that is done here, once it has come.
    pub(super) fn close_silent_connections(&mut self, now: Time) {
        while let Some(index) = self.keep_alive_deadlines.pop_due(now) {
            let session = &self.sessions[index as usize];
            let silent_deadline = session.last_heard + session.max_silence;
            if silent_deadline > now {
                self.keep_alive_deadlines.set(index, silent_deadline);
            } else {
                self.close_connection(now, index, CloseReason::KeepAlive);
            }
        }
    }

    /// Ends the sessions whose clients have been away for too long.
    pub(super) fn expire_sessions(&mut self, now: Time) {
        while let Some(index) = self.session_expiries.pop_due(now) {
            let client_id = self.sessions[index as usize].client_id.clone();
            self.outbox.push(Output::SessionExpired { client_id });
            self.end_session(now, index);
        }
    }

    /// Publishes the wills whose delays are over.
    pub(super) fn publish_wills(&mut self, now: Time) {
        while let Some(index) = self.wills.pop_due(now) {
            self.publish_will_of(now, index);
        }
    }

    fn publish_will_of(&mut self, now: Time, index: u32) {
        let Some(will) = self.sessions[index as usize].will.take() else { return };
        // The quirk: it is taken, and nothing comes of it.
        if self.settings.hop.quirks.has(Quirk::DropWill) {
            return;
        }
        let mut message = will.message;
        message.tag = message.tag.with_published_at(now);
        self.outbox.push(Output::Will(message.tag));
        let arrival = Transmission::default();
        let Will { qos, retain, .. } = *will;
        let expires = Time::NEVER;
        let delivery = ReceivedMessage { message, qos, retain, expires, arrival };
        // No sender could have been refused it, so no room was promised for it.
        self.route(now, index, delivery, false);
    }

    /// Every connection died with the broker, without a reason: their wills are not published,
    /// as mosquitto does not publish them either. Sessions that end with their connection are
    /// gone; all that waits for another, and a will whose delay runs, is kept, and the
    /// times until it expires run on. What was lost is not reported: a crash has no outputs.
    pub(super) fn restart_sessions(&mut self, now: Time) {
        self.keep_alive_deadlines = Deadlines::default();
        let numbered = (0..).zip(&mut self.sessions);
        let connected = numbered.filter_map(|(index, session)| {
            session.connection.take().map(|_| {
                session.will = None;
                index
            })
        });
        let connected: Vec<u32> = connected.collect();
        self.connections.fill(None);
        // None of them has a connection any more when the first session ends.
        for index in connected {
            self.detach(now, index);
        }
        for index in (0..).take(self.sessions.len()) {
            let session = &mut self.sessions[index as usize];
            let (outbound, inbound, mut context) =
                session.split(now, index, &self.settings.hop, &mut self.outbox);
            if context.settings.quirks.has(Quirk::AckBeforeStore) {
                outbound.discard_in_flight_and_queued(&mut context);
            }
            outbound.restart(&mut context);
            inbound.restart(context.settings);
        }
        self.outbox.restart();
    }

    fn find_or_create_session(&mut self, connect: &Connect) -> u32 {
        if let Some(&index) = self.by_client_id.get(&connect.client_id) {
            return index;
        }
        let index = u32::try_from(self.sessions.len()).expect("fewer clients than 2^32");
        self.sessions.push(Session::new(&self.settings.hop, connect.client_id.clone()));
        self.by_client_id.insert(connect.client_id.clone(), index);
        index
    }
}
