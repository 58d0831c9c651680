//! A client: one session, one connection at a time, and the application behind it.

use std::sync::Arc;

use super::endpoint::{Backlog, Endpoint, Input, Output};
use super::host::{Host, Outbox, Owner};
use super::inbound::{Inbound, Reaction};
use super::outbound::{Outbound, Outgoing};
use super::packet::{ConnAck, Connect, Packet, PacketId};
use super::requests::Requests;
use super::settings::{ClientSettings, Request, Version};
use crate::base::event::Close;
use crate::base::name::{Connection, Transmission};
use crate::base::time::{Span, Time};

/// A sans-IO MQTT client; see [`Endpoint`] for how to drive it.
#[derive(Clone, Debug)]
pub struct Client {
    settings: Arc<ClientSettings>,
    state: State,
    outbound: Outbound,
    inbound: Inbound,
    requests: Requests,
    outbox: Outbox,
    /// When it last sent anything, for keep alive.
    last_sent: Time,
    /// Connections that ended before their CONNACK, since the last that did not.
    failures: u32,
    has_connected: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The application wants no connection.
    Away,
    /// A connection was asked for.
    Opening,
    /// CONNECT was sent; it is sent again at this time.
    Connecting(Connection, Time),
    /// CONNACK came.
    Connected(Connection),
}

impl Client {
    /// A client that is away until [`Request::Connect`].
    #[must_use]
    pub fn new(settings: Arc<ClientSettings>) -> Self {
        Self {
            state: State::Away,
            outbound: Outbound::new(&settings.hop),
            inbound: Inbound::new(),
            requests: Requests::new(settings.request_retry, settings.version),
            outbox: Outbox::new(&settings.hop),
            last_sent: Time::ZERO,
            failures: 0,
            has_connected: false,
            settings,
        }
    }

    fn application(&mut self, now: Time, request: Request) {
        match request {
            Request::Connect => {
                if self.state == State::Away {
                    self.open(0);
                }
            }
            Request::Disconnect => self.disconnect(),
            Request::Reconnect => {
                if self.state != State::Away {
                    self.leave();
                    self.open(0);
                }
            }
            Request::Publish { message, qos, retain, expiry } => {
                let expires = self.expires(now, expiry);
                let (outbound, _, mut host) = self.split(now);
                let outgoing = Outgoing { expires, ..Outgoing::new(message, qos, retain) };
                outbound.publish(&mut host, outgoing);
            }
            Request::Subscribe(requests) => {
                self.requests.want(requests);
                self.ask(now);
            }
            Request::Unsubscribe(filters) => {
                self.requests.no_longer_want(&filters);
                self.ask(now);
            }
        }
    }

    fn packet(&mut self, now: Time, packet: Packet, arrival: Transmission) {
        if let (State::Connecting(..), Packet::ConnAck(answer)) = (self.state, &packet) {
            self.connack(now, *answer);
            return;
        }
        // Over datagrams others may overtake CONNACK; their senders will send them again.
        if !matches!(self.state, State::Connected(_)) {
            return;
        }
        let (outbound, inbound, mut host) = self.split(now);
        let reaction = match packet {
            Packet::Publish(publish) => inbound.publish(&host, publish, arrival),
            Packet::PubRel(ack) => inbound.pubrel(&host, ack),
            Packet::PubAck(ack) => return outbound.puback(&mut host, ack),
            Packet::PubRec(ack) => return outbound.pubrec(&mut host, ack),
            Packet::PubComp(ack) => return outbound.pubcomp(&mut host, ack),
            Packet::SubAck(ack) => return self.answered(now, ack.id, &ack.codes),
            Packet::UnsubAck(ack) => return self.answered(now, ack.id, &[]),
            Packet::Disconnect(_) => return self.lost(),
            _ => return,
        };
        self.react(reaction, arrival);
    }

    fn react(&mut self, reaction: Reaction, arrival: Transmission) {
        if let Some(delivery) = reaction.deliver {
            self.outbox.push(Output::Deliver {
                message: delivery.message,
                qos: delivery.qos,
                retain: delivery.retain,
            });
        }
        if let (Some(packet), State::Connected(connection)) = (reaction.answer, self.state) {
            self.outbox.send(connection, packet, arrival);
        }
        if let (true, State::Connected(connection)) = (reaction.close, self.state) {
            self.outbox.close(connection, Close::Protocol);
            self.lost();
        }
    }

    /// When a message of the application expires: outside 5.0 never.
    fn expires(&self, now: Time, expiry: Option<u32>) -> Time {
        let seconds = expiry.filter(|_| self.settings.version == Version::V5);
        seconds.map_or(Time::NEVER, |seconds| now + Span::from_secs(u64::from(seconds)))
    }

    /// A SUBACK or UNSUBACK came: the next request may follow.
    fn answered(&mut self, now: Time, id: PacketId, codes: &[u8]) {
        if self.requests.answered(id, codes) {
            let (outbound, _, mut host) = self.split(now);
            outbound.free_id(&mut host, id);
        }
    }

    fn opened(&mut self, now: Time, connection: Connection) {
        if self.state == State::Opening {
            self.send_connect(now, connection);
        }
    }

    fn send_connect(&mut self, now: Time, connection: Connection) {
        let ClientSettings { client_id, version, clean, session_expiry, keep_alive, .. } =
            &*self.settings;
        let keep_alive = keep_alive.as_nanos() / Span::from_secs(1).as_nanos();
        let connect = Connect {
            client_id: Arc::clone(client_id),
            version: *version,
            clean: *clean,
            session_expiry: if *clean || *version != Version::V5 { 0 } else { *session_expiry },
            keep_alive: u16::try_from(keep_alive).unwrap_or(u16::MAX),
            will: self.settings.will.clone(),
            limits: self.settings.limits,
        };
        self.outbox.send_control(connection, Packet::Connect(Box::new(connect)));
        let again = self.settings.request_retry.map_or(Time::NEVER, |after| now + after);
        self.state = State::Connecting(connection, again);
    }

    fn connack(&mut self, now: Time, answer: ConnAck) {
        let State::Connecting(connection, _) = self.state else { return };
        if answer.code != 0 {
            self.lost();
            self.outbox.close(connection, Close::Asked);
            return;
        }
        self.state = State::Connected(connection);
        self.failures = 0;
        self.outbound.set_peer_limits(answer.limits);
        if self.is_new_session(answer) {
            // The broker knows nothing of this session, so neither may the client
            // [MQTT-3.2.2-5 of 5.0].
            self.inbound.end_session();
            self.requests.forget_answers();
            let (outbound, _, mut host) = self.split(now);
            outbound.end_session(&mut host);
        }
        self.has_connected = true;
        self.ask(now);
        let (outbound, _, mut host) = self.split(now);
        outbound.resume(&mut host);
    }

    /// Whether the broker kept nothing. MQTT 3.1 has no way to say so: there a client without
    /// Clean Session has to trust that its session is still there, once it has been.
    fn is_new_session(&self, answer: ConnAck) -> bool {
        match self.settings.version {
            Version::V31 => self.settings.clean || !self.has_connected,
            Version::V311 | Version::V5 => !answer.session_present,
        }
    }

    /// Sends the SUBSCRIBE or UNSUBSCRIBE that is due.
    fn ask(&mut self, now: Time) {
        if let State::Connected(connection) = self.state {
            self.requests.ask(now, connection, &mut self.outbound, &mut self.outbox);
        }
    }

    fn disconnect(&mut self) {
        if let State::Connected(connection) = self.state {
            self.outbox.send_control(connection, Packet::Disconnect(0));
        }
        self.leave();
    }

    /// Closes the connection from this side.
    fn leave(&mut self) {
        if let State::Connecting(connection, _) | State::Connected(connection) = self.state {
            self.outbox.close(connection, Close::Asked);
        }
        self.suspend(State::Away);
    }

    /// The connection ended from the other side: the application still wants one.
    fn lost(&mut self) {
        self.failures += 1;
        self.suspend(State::Opening);
        self.open(self.failures);
    }

    fn open(&mut self, attempt: u32) {
        self.state = State::Opening;
        self.outbox.push(Output::Connect { attempt });
    }

    fn suspend(&mut self, state: State) {
        self.state = state;
        self.outbound.suspend();
        self.requests.suspend();
    }

    fn timeout(&mut self, now: Time) {
        while let Some(armed) = self.outbox.timers.pop_due(now) {
            let (outbound, _, mut host) = self.split(now);
            outbound.timer(&mut host, &armed);
        }
        match self.state {
            State::Connecting(connection, again) if again <= now => {
                self.send_connect(now, connection);
            }
            State::Connected(connection) => {
                self.requests.repeat(now, connection, &mut self.outbox);
                if self.ping_due() <= now {
                    self.outbox.send_control(connection, Packet::PingReq);
                }
            }
            _ => {}
        }
    }

    fn ping_due(&self) -> Time {
        match self.state {
            State::Connected(_) if self.settings.keep_alive > Span::ZERO => {
                self.last_sent + self.settings.keep_alive
            }
            _ => Time::NEVER,
        }
    }

    fn connection(&self) -> Option<Connection> {
        match self.state {
            State::Connecting(connection, _) | State::Connected(connection) => Some(connection),
            State::Away | State::Opening => None,
        }
    }

    /// The halves of the hop, and what they need of this endpoint.
    fn split(&mut self, now: Time) -> (&mut Outbound, &mut Inbound, Host<'_>) {
        let connection = match self.state {
            State::Connected(connection) => Some(connection),
            _ => None,
        };
        let host = Host {
            now,
            settings: &self.settings.hop,
            version: self.settings.version,
            connection,
            outbox: &mut self.outbox,
            session: 0,
            owner: Owner::Application,
        };
        (&mut self.outbound, &mut self.inbound, host)
    }
}

impl Endpoint for Client {
    type Request = Request;

    fn handle(&mut self, now: Time, input: Input<Request>) {
        match input {
            Input::Opened(connection) => self.opened(now, connection),
            Input::Closed(connection) => {
                // While it waits for a connection, this is the one: it could not be opened.
                if self.connection() == Some(connection) || self.state == State::Opening {
                    self.lost();
                }
            }
            Input::Packet { connection, packet, transmission } => {
                if self.connection() == Some(connection) {
                    self.packet(now, packet, transmission);
                }
            }
            Input::Application(request) => self.application(now, request),
            Input::Timeout => self.timeout(now),
        }
        if self.requests.are_due() {
            self.ask(now);
        }
        if self.settings.keep_alive > Span::ZERO && self.outbox.has_sends() {
            self.last_sent = now;
        }
        let outbound = &self.outbound;
        self.outbox.timers.prune(|armed| outbound.is_armed(armed));
    }

    fn poll_output(&mut self) -> Option<Output> {
        self.outbox.pop()
    }

    fn next_timeout(&self) -> Time {
        let connect = match self.state {
            State::Connecting(_, again) => again,
            _ => Time::NEVER,
        };
        let retry = self.outbox.timers.next_deadline();
        retry.min(connect).min(self.requests.next_deadline()).min(self.ping_due())
    }

    fn restart(&mut self, _: Time) {
        self.suspend(State::Away);
        self.outbound.restart();
        self.inbound.restart(&self.settings.hop);
        self.outbox.restart();
    }

    fn backlog(&self) -> Backlog {
        let connecting = matches!(self.state, State::Opening | State::Connecting(..));
        self.outbox.backlog(connecting || self.requests.are_pending())
    }
}
