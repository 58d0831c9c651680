//! A broker: sessions, subscriptions, retained messages, and the way from one to the other.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;

use super::deadlines::Deadlines;
use super::endpoint::{Backlog, Endpoint, Input, Output};
use super::inbound::InboundActions;
use super::packet::{Message, Packet};
use super::session::Session;
use super::session_context::EndpointOutbox;
use super::settings::{BrokerSettings, SignOfLife};
use super::topics::FilterTree;
use crate::base::fingerprint::Fingerprinter;
use crate::base::{CloseReason, ConnectionNumber, QoS, Time, Transmission};
use crate::impl_fingerprint;
use routing::{SessionRoute, Subscription};
use shared::SharedGroups;

mod connections;
mod routing;
mod shared;
mod subscribing;

/// A sans-IO MQTT broker; see [`Endpoint`] for how to drive it.
#[derive(Clone, Debug)]
pub struct Broker {
    settings: BrokerSettings,
    /// Never shrinks: a client that comes back finds its place again.
    sessions: Vec<Session>,
    by_client_id: BTreeMap<Arc<str>, u32>,
    /// By connection number: whose session it carries, once CONNECT came.
    connections: Vec<Option<u32>>,
    /// When connected sessions have been silent for too long, at the earliest.
    keep_alive_deadlines: Deadlines,
    /// When sessions without a connection end.
    session_expiries: Deadlines,
    /// When wills that wait are published.
    wills: Deadlines,
    /// For each filter, the sessions that subscribed to it and what they were granted.
    subscriptions: FilterTree<u32, Subscription>,
    /// The shared subscriptions.
    shared_groups: SharedGroups,
    retained: BTreeMap<Arc<str>, RetainedMessage>,
    outbox: EndpointOutbox,
    /// Where messages to `routed_topic` go: a topic that comes again, as a publisher's does, is not
    /// looked up again.
    routes: Vec<SessionRoute>,
    /// The groups that get one copy each.
    shared_routes: Vec<Arc<str>>,
    /// Room for looking routes up.
    matching_buffer: Vec<(u32, Subscription)>,
    /// `None` once a subscription has changed.
    routed_topic: Option<Arc<str>>,
}

impl_fingerprint! {
    struct Broker {
        plain sessions, keep_alive_deadlines, session_expiries, wills, subscriptions,
            shared_groups, retained, outbox;
        with(write_used) connections;
        skip settings: "the same in all states of a trial";
        skip by_client_id, routes, shared_routes, matching_buffer, routed_topic:
            "follows from the rest";
    }
}

/// Writes the connections that carry a session. The numbers of the others never come back.
fn write_used(connections: &[Option<u32>], into: &mut Fingerprinter) {
    let numbered = (0..).map(ConnectionNumber).zip(connections);
    let used: Vec<_> = numbered.filter(|(_, session)| session.is_some()).collect();
    into.plain(&used);
}

#[derive(Clone, Debug)]
struct RetainedMessage {
    message: Message,
    qos: QoS,
    expires: Time,
}

impl_fingerprint! {
    struct RetainedMessage {
        plain message, qos, expires;
    }
}

impl Broker {
    /// A broker without sessions.
    #[must_use]
    pub fn new(settings: BrokerSettings) -> Self {
        Self {
            sessions: Vec::new(),
            by_client_id: BTreeMap::new(),
            connections: Vec::new(),
            keep_alive_deadlines: Deadlines::default(),
            session_expiries: Deadlines::default(),
            wills: Deadlines::default(),
            subscriptions: FilterTree::new(),
            shared_groups: SharedGroups::new(),
            retained: BTreeMap::new(),
            outbox: EndpointOutbox::new(&settings.hop),
            routes: Vec::new(),
            shared_routes: Vec::new(),
            matching_buffer: Vec::new(),
            routed_topic: None,
            settings,
        }
    }

    fn handle_packet(
        &mut self,
        now: Time,
        from: ConnectionNumber,
        packet: Packet,
        arrival: Transmission,
    ) {
        if let Packet::Connect(connect) = packet {
            self.connect(now, from, &connect);
            return;
        }
        // The first packet of a connection must be CONNECT [MQTT-3.1.0-1].
        let Some(index) = self.session_of(from) else {
            self.outbox.close(from, CloseReason::Protocol);
            return;
        };
        let session = &mut self.sessions[index as usize];
        session.last_heard = now;
        let (outbound, inbound, mut context) =
            session.split(now, index, &self.settings.hop, &mut self.outbox);
        match packet {
            Packet::Publish(publish) => self.publish(now, from, index, publish, arrival),
            Packet::PubRel(ack) => {
                let reaction = inbound.on_pubrel(&context, ack);
                self.respond(now, from, reaction, arrival);
            }
            Packet::PubAck(ack) => outbound.on_puback(&mut context, ack),
            Packet::PubRec(ack) => outbound.on_pubrec(&mut context, ack),
            Packet::PubComp(ack) => outbound.on_pubcomp(&mut context, ack),
            Packet::Subscribe(subscribe) => self.subscribe(now, from, index, &subscribe),
            Packet::Unsubscribe(unsubscribe) => self.unsubscribe(from, index, &unsubscribe),
            Packet::PingReq => self.outbox.send_control(from, Packet::PingResp),
            Packet::Disconnect(reason) => self.on_disconnect(now, index, reason),
            // Something that only a server may send.
            _ => self.close_connection(now, index, CloseReason::Protocol),
        }
    }

    fn respond(
        &mut self,
        now: Time,
        to: ConnectionNumber,
        response: InboundActions,
        arrival: Transmission,
    ) {
        let Some(index) = self.session_of(to) else { return };
        if let Some(delivery) = response.deliver {
            let is_accepted = self.rejects_when_full() && delivery.qos != QoS::AtMostOnce;
            self.route(now, index, delivery, is_accepted);
        }
        if let Some(packet) = response.answer {
            self.outbox.send(to, packet, arrival);
        }
        if response.close {
            self.close_connection(now, index, CloseReason::Protocol);
        }
    }

    fn handle_timeout(&mut self, now: Time) {
        while let Some(armed) = self.outbox.timers.pop_due(now) {
            let session = &mut self.sessions[armed.session as usize];
            let (outbound, _, mut context) =
                session.split(now, armed.session, &self.settings.hop, &mut self.outbox);
            outbound.on_retry_timer(&mut context, &armed);
        }
        self.close_silent_connections(now);
        self.publish_wills(now);
        self.expire_sessions(now);
    }

    fn on_writable(&mut self, now: Time, connection: ConnectionNumber) {
        let Some(index) = self.session_of(connection) else { return };
        let session = &mut self.sessions[index as usize];
        let (outbound, _, mut context) =
            session.split(now, index, &self.settings.hop, &mut self.outbox);
        outbound.on_writable(&mut context);
    }

    fn session_of(&self, connection: ConnectionNumber) -> Option<u32> {
        self.connections.get(connection.0 as usize).copied().flatten()
    }

    /// Forgets the timers of what was answered meanwhile.
    fn prune_timers(&mut self) {
        let sessions = &self.sessions;
        self.outbox
            .timers
            .prune(|armed| sessions[armed.session as usize].outbound.is_live_timer(armed));
    }
}

impl Endpoint for Broker {
    /// A broker has no application of its own.
    type Request = Infallible;

    fn handle(&mut self, now: Time, input: Input<Infallible>) {
        match input {
            Input::Opened(_) => {}
            Input::Closed(connection) => {
                if let Some(index) = self.session_of(connection) {
                    self.detach(now, index);
                }
            }
            Input::SocketFull(connection) => {
                if let Some(index) = self.session_of(connection) {
                    self.sessions[index as usize].outbound.on_socket_full();
                }
            }
            Input::Writable(connection) => self.on_writable(now, connection),
            Input::PartOfPacket(connection) => {
                if self.settings.sign_of_life == SignOfLife::Bytes
                    && let Some(index) = self.session_of(connection)
                {
                    self.sessions[index as usize].last_heard = now;
                }
            }
            Input::Packet { connection, packet, transmission } => {
                self.handle_packet(now, connection, packet, transmission);
            }
            Input::Application(never) => match never {},
            Input::Timeout => self.handle_timeout(now),
        }
        self.prune_timers();
    }

    fn poll_output(&mut self) -> Option<Output> {
        self.outbox.pop()
    }

    fn next_timeout(&self) -> Time {
        let retry = self.outbox.timers.next_deadline();
        retry
            .min(self.keep_alive_deadlines.next())
            .min(self.session_expiries.next())
            .min(self.wills.next())
    }

    fn backlog(&self) -> Backlog {
        self.outbox.backlog(!self.session_expiries.is_empty() || !self.wills.is_empty())
    }

    fn restart(&mut self, now: Time) {
        self.restart_sessions(now);
    }
}
