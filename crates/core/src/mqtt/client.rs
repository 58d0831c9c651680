//! A client: one session, one connection at a time, and the application behind it.

use std::sync::Arc;

use serde::Serialize;

use super::endpoint::{Backlog, Endpoint, Input, Output};
use super::host::{Host, Outbox, Owner};
use super::inbound::{Inbound, Reaction};
use super::outbound::{Outbound, Outgoing};
use super::packet::{Packet, PacketId};
use super::requests::Requests;
use super::settings::{ClientSettings, Request, Version};
use crate::base::event::Close;
use crate::base::name::Transmission;
use crate::base::time::{Span, Time};
use connecting::{Ping, State};

mod connecting;

/// A sans-IO MQTT client; see [`Endpoint`] for how to drive it.
#[derive(Clone, Debug, Serialize)]
pub struct Client {
    // The same in all states of a trial.
    #[serde(skip)]
    settings: Arc<ClientSettings>,
    state: State,
    outbound: Outbound,
    inbound: Inbound,
    requests: Requests,
    outbox: Outbox,
    /// When it last sent anything, for keep alive.
    // Matters to keep alive alone, which is off where states are compared.
    #[serde(skip)]
    last_sent: Time,
    /// The PINGREQ that is not answered yet.
    ping: Option<Ping>,
    /// Connections that ended before their CONNACK, since the last that did not.
    failures: u32,
    /// Whether it has state of a session: it was connected, if never again.
    has_connected: bool,
    /// Whether the next CONNECT asks for a new session, because the broker has one that this
    /// client knows nothing of.
    starts_anew: bool,
    /// Whether the application wants a connection; one that is `on_demand` need not be open.
    wanted: bool,
    /// Whether a client that is `on_demand` is to connect though it has nothing to send.
    visits: bool,
    /// Whether the last PINGREQ was answered and nothing came since it was sent.
    quiet: bool,
}

impl Client {
    /// A client that is away until [`Request::Connect`].
    #[must_use]
    pub fn new(mut settings: Arc<ClientSettings>) -> Self {
        if settings.on_demand {
            Arc::make_mut(&mut settings).hop.queue_qos0 = true;
        }
        Self {
            state: State::Away,
            outbound: Outbound::new(&settings.hop),
            inbound: Inbound::new(),
            requests: Requests::new(settings.request_retry, settings.version),
            outbox: Outbox::new(&settings.hop),
            last_sent: Time::ZERO,
            ping: None,
            failures: 0,
            has_connected: false,
            starts_anew: false,
            wanted: false,
            visits: false,
            quiet: false,
            settings,
        }
    }

    fn application(&mut self, now: Time, request: Request) {
        match request {
            Request::Connect => self.connect(now),
            Request::Disconnect => {
                self.wanted = false;
                self.disconnect();
            }
            Request::Reconnect => self.reconnect(now),
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
        if let Packet::PingResp = packet {
            self.pinged();
            return;
        }
        self.stirred();
        let (outbound, inbound, mut host) = self.split(now);
        let reaction = match packet {
            Packet::Publish(publish) => inbound.publish(&host, publish, arrival),
            Packet::PubRel(ack) => inbound.pubrel(&host, ack),
            Packet::PubAck(ack) => return outbound.puback(&mut host, ack),
            Packet::PubRec(ack) => return outbound.pubrec(&mut host, ack),
            Packet::PubComp(ack) => return outbound.pubcomp(&mut host, ack),
            Packet::SubAck(ack) => return self.answered(now, ack.id, &ack.codes),
            Packet::UnsubAck(ack) => return self.answered(now, ack.id, &[]),
            Packet::Disconnect(_) => return self.dismissed(now),
            _ => return,
        };
        self.react(now, reaction, arrival);
    }

    fn react(&mut self, now: Time, reaction: Reaction, arrival: Transmission) {
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
        if reaction.close {
            self.hang_up(now, Close::Protocol);
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

    /// Sends the SUBSCRIBE or UNSUBSCRIBE that is due.
    fn ask(&mut self, now: Time) {
        if let State::Connected(connection) = self.state {
            self.requests.ask(now, connection, &mut self.outbound, &mut self.outbox);
        }
    }

    fn timeout(&mut self, now: Time) {
        while let Some(armed) = self.outbox.timers.pop_due(now) {
            let (outbound, _, mut host) = self.split(now);
            outbound.timer(&mut host, &armed);
        }
        if let State::Connected(connection) = self.state {
            self.requests.repeat(now, connection, &mut self.outbox);
        }
        self.watch_connection(now);
    }

    /// Whether anything of the application's is not yet done.
    fn has_work(&self) -> bool {
        self.outbox.in_flight > 0
            || self.outbox.queued > 0
            || self.requests.are_due()
            || self.requests.are_pending()
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

    /// Forgets the timers of what was answered meanwhile.
    fn prune_timers(&mut self) {
        let outbound = &self.outbound;
        self.outbox.timers.prune(|armed| outbound.is_armed(armed));
    }
}

impl Endpoint for Client {
    type Request = Request;

    fn handle(&mut self, now: Time, input: Input<Request>) {
        match input {
            Input::Opened(connection) => self.opened(now, connection),
            Input::Closed(connection) => self.closed(now, connection),
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
        if self.settings.on_demand {
            self.come_or_go(now);
        }
        if self.settings.keep_alive > Span::ZERO && self.outbox.has_sends() {
            self.last_sent = now;
        }
        self.prune_timers();
    }

    fn poll_output(&mut self) -> Option<Output> {
        self.outbox.pop()
    }

    fn next_timeout(&self) -> Time {
        let retry = self.outbox.timers.next_deadline();
        retry.min(self.requests.next_deadline()).min(self.connection_due())
    }

    /// It is away afterwards. What a clean session had in flight is refused when the next CONNACK
    /// shows that the session is gone, as after any loss of the connection.
    fn restart(&mut self, _: Time) {
        self.suspend(State::Away);
        self.wanted = false;
        self.failures = 0;
        self.outbound.restart();
        self.inbound.restart(&self.settings.hop);
        self.outbox.restart();
    }

    fn backlog(&self) -> Backlog {
        let connecting = matches!(self.state, State::Opening(_) | State::Connecting(..));
        self.outbox.backlog(connecting || self.requests.are_pending())
    }
}
