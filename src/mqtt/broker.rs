//! A broker: sessions, subscriptions, retained messages, and the way from one to the other.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;

use super::endpoint::{Backlog, Endpoint, Input, Output};
use super::host::Outbox;
use super::inbound::{Delivery, Reaction};
use super::outbound::Outgoing;
use super::packet::{ConnAck, Connect, Message, Packet, SubAck, Subscribe, UnsubAck, Unsubscribe};
use super::quirks::Quirk;
use super::session::Session;
use super::settings::{BrokerSettings, Version};
use super::topics::{self, FilterTree};
use crate::base::event::Close;
use crate::base::name::{Connection, Transmission};
use crate::base::qos::QoS;
use crate::base::time::Time;

/// SUBACK's return code for a filter that is refused.
const SUBSCRIPTION_REFUSED: u8 = 0x80;
/// 5.0's UNSUBACK reason for a filter that was not subscribed to.
const NO_SUBSCRIPTION: u8 = 0x11;
/// 5.0's DISCONNECT reason for the connection that a new one replaces.
const TAKEN_OVER: u8 = 0x8E;

/// A sans-IO MQTT broker; see [`Endpoint`] for how to drive it.
#[derive(Clone, Debug)]
pub struct Broker {
    settings: BrokerSettings,
    /// Never shrinks: a client that comes back finds its place again.
    sessions: Vec<Session>,
    by_client_id: BTreeMap<Arc<str>, u32>,
    /// By connection number: whose session it carries, once CONNECT came.
    connections: Vec<Option<u32>>,
    /// For each filter, the sessions that subscribed to it and the QoS granted.
    subscriptions: FilterTree<u32, QoS>,
    retained: BTreeMap<Arc<str>, Retained>,
    outbox: Outbox,
    /// Where messages to `routed` go: a topic that comes again, as a publisher's does, is not
    /// looked up again.
    routes: Vec<(u32, QoS)>,
    /// `None` once a subscription has changed.
    routed: Option<Arc<str>>,
}

#[derive(Clone, Debug)]
struct Retained {
    message: Message,
    qos: QoS,
    expires: Time,
}

impl Broker {
    /// A broker without sessions.
    #[must_use]
    pub fn new(settings: BrokerSettings) -> Self {
        Self {
            sessions: Vec::new(),
            by_client_id: BTreeMap::new(),
            connections: Vec::new(),
            subscriptions: FilterTree::new(),
            retained: BTreeMap::new(),
            outbox: Outbox::new(&settings.hop),
            routes: Vec::new(),
            routed: None,
            settings,
        }
    }

    fn packet(&mut self, now: Time, from: Connection, packet: Packet, arrival: Transmission) {
        if let Packet::Connect(connect) = packet {
            self.connect(now, from, &connect);
            return;
        }
        // The first packet of a connection must be CONNECT [MQTT-3.1.0-1].
        let Some(index) = self.session_of(from) else {
            self.outbox.close(from, Close::Protocol);
            return;
        };
        let session = &mut self.sessions[index as usize];
        let (outbound, inbound, mut host) =
            session.split(now, index, &self.settings.hop, &mut self.outbox);
        match packet {
            Packet::Publish(publish) => {
                let reaction = inbound.publish(&host, publish, arrival);
                self.react(now, from, reaction, arrival);
            }
            Packet::PubRel(ack) => {
                let reaction = inbound.pubrel(&host, ack);
                self.react(now, from, reaction, arrival);
            }
            Packet::PubAck(ack) => outbound.puback(&mut host, ack),
            Packet::PubRec(ack) => outbound.pubrec(&mut host, ack),
            Packet::PubComp(ack) => outbound.pubcomp(&mut host, ack),
            Packet::Subscribe(subscribe) => self.subscribe(now, from, index, &subscribe),
            Packet::Unsubscribe(unsubscribe) => self.unsubscribe(from, index, &unsubscribe),
            Packet::PingReq => self.outbox.send_control(from, Packet::PingResp),
            // DISCONNECT, or something that only a server may send.
            _ => {
                self.outbox.close(from, Close::Asked);
                self.detach(now, index);
            }
        }
    }

    fn connect(&mut self, now: Time, from: Connection, connect: &Connect) {
        let index = self.session_for(&connect.client_id);
        let current = self.sessions[index as usize].connection;
        if current == Some(from) {
            if self.settings.datagram {
                // The client's retry: its CONNACK was lost, or is on its way.
                self.accept(now, from, index);
            } else {
                // [MQTT-3.1.0-2]
                self.outbox.close(from, Close::Protocol);
                self.detach(now, index);
            }
            return;
        }
        if let Some(old) = current {
            self.take_over(now, index, old);
        }
        if connect.clean {
            self.end_session(now, index);
        }
        self.sessions[index as usize].attach(from, connect);
        let slot = from.0 as usize;
        if self.connections.len() <= slot {
            self.connections.resize(slot + 1, None);
        }
        self.connections[slot] = Some(index);
        self.accept(now, from, index);
    }

    /// Answers a CONNECT and carries on with what the session still has to send.
    fn accept(&mut self, now: Time, to: Connection, index: u32) {
        let session = &mut self.sessions[index as usize];
        // MQTT 3.1 has no Session Present flag: the bit is reserved there.
        let session_present = session.was_present && session.version != Version::V31;
        self.outbox.send_control(
            to,
            Packet::ConnAck(ConnAck { session_present, code: 0, limits: self.settings.limits }),
        );
        let (outbound, _, mut host) =
            session.split(now, index, &self.settings.hop, &mut self.outbox);
        outbound.resume(&mut host);
    }

    /// A second connection with the same client id ends the first [MQTT-3.1.4-2].
    fn take_over(&mut self, now: Time, index: u32, old: Connection) {
        if self.sessions[index as usize].version == Version::V5 {
            self.outbox.send_control(old, Packet::Disconnect(TAKEN_OVER));
        }
        self.outbox.close(old, Close::TakenOver);
        self.detach(now, index);
    }

    /// The session has no connection any more, and may end with it.
    fn detach(&mut self, now: Time, index: u32) {
        let session = &mut self.sessions[index as usize];
        if let Some(connection) = session.connection.take() {
            self.connections[connection.0 as usize] = None;
        }
        session.outbound.suspend();
        if session.ends_with_connection {
            self.end_session(now, index);
        }
    }

    fn end_session(&mut self, now: Time, index: u32) {
        let session = &mut self.sessions[index as usize];
        session.exists = false;
        self.routed = None;
        for filter in session.filters.drain(..) {
            self.subscriptions.remove(&filter, &index);
        }
        let (outbound, inbound, mut host) =
            session.split(now, index, &self.settings.hop, &mut self.outbox);
        outbound.discard(&mut host);
        inbound.end_session();
    }

    fn react(&mut self, now: Time, to: Connection, reaction: Reaction, arrival: Transmission) {
        if let Some(delivery) = reaction.deliver {
            self.route(now, delivery);
        }
        if let Some(packet) = reaction.answer {
            self.outbox.send(to, packet, arrival);
        }
        if let (true, Some(index)) = (reaction.close, self.session_of(to)) {
            self.outbox.close(to, Close::Protocol);
            self.detach(now, index);
        }
    }

    /// Hands a message to every session with a matching subscription [MQTT-3.3.5-1]: one copy, at
    /// the highest QoS granted among its matching filters.
    fn route(&mut self, now: Time, delivery: Delivery) {
        let Delivery { mut message, qos, retain, expires, arrival } = delivery;
        message.tag = message.tag.forwarded(arrival);
        self.find_routes(&message.topic);
        if retain {
            self.retain(message.clone(), qos, expires);
        }
        let Some((&last, others)) = self.routes.split_last() else { return };
        let sessions = &mut self.sessions;
        let outbox = &mut self.outbox;
        let hop = &self.settings.hop;
        let mut forward = |(index, granted): (u32, QoS), message| {
            let (outbound, _, mut host) = sessions[index as usize].split(now, index, hop, outbox);
            let qos = if hop.quirks.has(Quirk::NoQosCap) { qos } else { qos.min(granted) };
            // RETAIN is 0 for a subscription that existed before [MQTT-3.3.1-9].
            outbound.publish(&mut host, Outgoing { expires, ..Outgoing::new(message, qos, false) });
        };
        for &route in others {
            forward(route, message.clone());
        }
        forward(last, message);
    }

    /// Fills `routes`: each session once, with the highest QoS granted to it.
    fn find_routes(&mut self, topic: &Arc<str>) {
        if self.routed.as_ref().is_some_and(|routed| Arc::ptr_eq(routed, topic)) {
            return;
        }
        let routes = &mut self.routes;
        routes.clear();
        self.subscriptions
            .for_each_match(topic, |&session, &granted| routes.push((session, granted)));
        if routes.len() > 1 {
            routes.sort_unstable_by(|a, b| (a.0, b.1).cmp(&(b.0, a.1)));
            routes.dedup_by_key(|route| route.0);
        }
        self.routed = Some(Arc::clone(topic));
    }

    /// The last retained message of a topic; an empty payload removes it [MQTT-3.3.1-10].
    fn retain(&mut self, message: Message, qos: QoS, expires: Time) {
        if message.payload.is_empty() {
            self.retained.remove(&message.topic);
        } else {
            self.retained.insert(Arc::clone(&message.topic), Retained { message, qos, expires });
        }
    }

    fn subscribe(&mut self, now: Time, from: Connection, index: u32, subscribe: &Subscribe) {
        let session = &mut self.sessions[index as usize];
        self.routed = None;
        let max_qos = self.settings.max_qos;
        let mut codes = Vec::with_capacity(subscribe.requests.len());
        for request in &subscribe.requests {
            if topics::validate_filter(&request.filter).is_err() {
                codes.push(SUBSCRIPTION_REFUSED);
                continue;
            }
            let granted = request.qos.min(max_qos);
            codes.push(granted.number());
            // The same filter again replaces the subscription [MQTT-3.8.4-3].
            if self.subscriptions.insert(&request.filter, index, granted).is_none() {
                session.filters.push(Arc::clone(&request.filter));
            }
        }
        let suback = SubAck { id: subscribe.id, codes };
        let granted = suback.codes.clone();
        self.outbox.send_control(from, Packet::SubAck(Box::new(suback)));
        for (request, code) in subscribe.requests.iter().zip(granted) {
            if let Some(granted) = QoS::from_number(code) {
                self.send_retained(now, index, &request.filter, granted);
            }
        }
    }

    /// Every filter of a SUBSCRIBE is answered by the retained messages it matches
    /// [MQTT-3.8.4-3], with RETAIN=1 [MQTT-3.3.1-8].
    fn send_retained(&mut self, now: Time, index: u32, filter: &str, granted: QoS) {
        let session = &mut self.sessions[index as usize];
        session.filters_asked += 1;
        let nth = session.filters_asked;
        let (outbound, _, mut host) =
            session.split(now, index, &self.settings.hop, &mut self.outbox);
        for retained in self.retained.values() {
            if retained.expires > now && topics::matches(filter, &retained.message.topic) {
                let mut message = retained.message.clone();
                message.tag = message.tag.retained(nth);
                let qos = retained.qos.min(granted);
                let expires = retained.expires;
                let outgoing = Outgoing { expires, ..Outgoing::new(message, qos, true) };
                outbound.publish(&mut host, outgoing);
            }
        }
    }

    fn unsubscribe(&mut self, from: Connection, index: u32, unsubscribe: &Unsubscribe) {
        let session = &mut self.sessions[index as usize];
        let mut codes = Vec::new();
        self.routed = None;
        for filter in &unsubscribe.filters {
            let removed = self.subscriptions.remove(filter, &index).is_some();
            session.filters.retain(|other| other != filter);
            if session.version == Version::V5 {
                codes.push(if removed { 0 } else { NO_SUBSCRIPTION });
            }
        }
        let ack = UnsubAck { id: unsubscribe.id, codes };
        self.outbox.send_control(from, Packet::UnsubAck(Box::new(ack)));
    }

    fn timeout(&mut self, now: Time) {
        while let Some(armed) = self.outbox.timers.pop_due(now) {
            let session = &mut self.sessions[armed.session as usize];
            let (outbound, _, mut host) =
                session.split(now, armed.session, &self.settings.hop, &mut self.outbox);
            outbound.timer(&mut host, &armed);
        }
    }

    fn session_of(&self, connection: Connection) -> Option<u32> {
        self.connections.get(connection.0 as usize).copied().flatten()
    }

    fn session_for(&mut self, client_id: &Arc<str>) -> u32 {
        if let Some(&index) = self.by_client_id.get(client_id) {
            return index;
        }
        let index = u32::try_from(self.sessions.len()).expect("fewer clients than 2^32");
        self.sessions.push(Session::new(&self.settings.hop, Arc::clone(client_id)));
        self.by_client_id.insert(Arc::clone(client_id), index);
        index
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
            Input::Packet { connection, packet, transmission } => {
                self.packet(now, connection, packet, transmission);
            }
            Input::Application(never) => match never {},
            Input::Timeout => self.timeout(now),
        }
        let sessions = &self.sessions;
        self.outbox.timers.prune(|armed| sessions[armed.session as usize].outbound.is_armed(armed));
    }

    fn poll_output(&mut self) -> Option<Output> {
        self.outbox.pop()
    }

    fn next_timeout(&self) -> Time {
        self.outbox.timers.next_deadline()
    }

    fn backlog(&self) -> Backlog {
        self.outbox.backlog(false)
    }

    fn restart(&mut self, now: Time) {
        let open: Vec<_> = (0..)
            .zip(&self.sessions)
            .filter(|(_, it)| it.connection.is_some())
            .map(|(n, _)| n)
            .collect();
        for index in open {
            self.detach(now, index);
        }
        for session in &mut self.sessions {
            session.outbound.restart();
            session.inbound.restart(&self.settings.hop);
        }
        self.outbox.restart();
    }
}
