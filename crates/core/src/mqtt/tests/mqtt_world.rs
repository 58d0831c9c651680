//! A broker and its clients in one process: packets arrive at once, in order, unless a test loses
//! them, and everything sent is recorded.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::base::{
    CloseReason, ConnectionNumber, MessageTag, PublisherIndex, QoS, Span, SubscriptionRequest,
    Time, Transmission,
};
use crate::mqtt::broker::Broker;
use crate::mqtt::client::Client;
use crate::mqtt::endpoint::{Endpoint, Input, Output};
use crate::mqtt::packet::{Message, Packet, PacketId, Payload, Publish, PublishAck, PublishLevel};
use crate::mqtt::quirks::Quirks;
use crate::mqtt::settings::{
    BrokerSettings, ClientRequest, ClientSettings, DeliverOn, HopSettings, IdPolicy, OnFull,
    RepeatedPubrec, RetryRule, RetryTimer, Will,
};

pub(super) struct MqttWorld {
    now: Time,
    broker: Broker,
    clients: Vec<Client>,
    /// The current connection of each client.
    connections: Vec<Option<ConnectionNumber>>,
    owners: Vec<usize>,
    in_transit: VecDeque<PacketInTransit>,
    lose_starts: Vec<&'static str>,
    duplicate_starts: Vec<&'static str>,
    log: Vec<String>,
    published: u32,
    /// The Subscription Identifiers of the last PUBLISH that had any.
    subscription_ids: Vec<u32>,
    /// Faults, each after this number of further arrivals, in order.
    faults: VecDeque<(usize, Fault)>,
    /// How many packets have arrived.
    arrived: usize,
    /// Whether connections cannot be opened.
    unreachable: bool,
}

/// An event of a connection between two packets; what is on its way is lost.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fault {
    /// Both ends of a client's connection learn that it is gone.
    Cut(usize),
    /// Only the client does.
    HalfOpen(usize),
    /// The broker crashes and starts again at once.
    BrokerCrash,
    /// A client crashes, starts again at once and connects.
    ClientCrash(usize),
}

#[derive(Clone)]
struct PacketInTransit {
    to_broker: bool,
    connection: ConnectionNumber,
    packet: Packet,
    transmission: Transmission,
}

/// Timer retries each second without a limit, and room for everything.
pub(super) fn hop() -> HopSettings {
    let timer = RetryTimer { every: Span::from_secs(1), backoff: 1.0, max_transmissions: None };
    HopSettings {
        retry: RetryRule::Timer(timer),
        ids: IdPolicy::Cyclic,
        max_inflight: 20,
        max_queued: 100,
        on_full: OnFull::DropNewest,
        queue_qos0: false,
        when_socket_full: crate::mqtt::WhenSocketFull::Queue,
        keep_outbox: false,
        deliver_on: DeliverOn::Publish,
        repeated_pubrec: RepeatedPubrec::Answer,
        quirks: Quirks::NONE,
    }
}

pub(super) fn client(name: &str) -> ClientSettings {
    ClientSettings {
        request_retry: Some(Span::from_secs(1)),
        connect_timeout: None,
        hop: hop(),
        ..ClientSettings::new(name.into())
    }
}

/// A client over a byte stream: it sends again on reconnecting, and at no other time.
pub(super) fn stream_client(name: &str) -> ClientSettings {
    ClientSettings::new(name.into())
}

/// A broker for such clients.
pub(super) fn stream_broker() -> BrokerSettings {
    BrokerSettings::default()
}

/// A will of QoS 1 for topic `t`: message 99.
pub(super) fn will(delay: u32) -> Will {
    let tag = MessageTag::new(PublisherIndex(9), 0, QoS::AtLeastOnce, Time::ZERO);
    let message = Message { topic: "t".into(), payload: Payload::Filler(99), tag };
    Will { message, qos: QoS::AtLeastOnce, retain: false, delay }
}

pub(super) fn broker() -> BrokerSettings {
    BrokerSettings {
        hop: hop(),
        max_qos: QoS::ExactlyOnce,
        datagram: true,
        ..BrokerSettings::default()
    }
}

impl MqttWorld {
    pub(super) fn new(broker: BrokerSettings, clients: Vec<ClientSettings>) -> Self {
        let mut world = Self {
            now: Time::ZERO,
            broker: Broker::new(broker),
            connections: vec![None; clients.len()],
            clients: clients.into_iter().map(|settings| Client::new(Arc::new(settings))).collect(),
            owners: Vec::new(),
            in_transit: VecDeque::new(),
            lose_starts: Vec::new(),
            duplicate_starts: Vec::new(),
            log: Vec::new(),
            published: 0,
            subscription_ids: Vec::new(),
            faults: VecDeque::new(),
            arrived: 0,
            unreachable: false,
        };
        for client in 0..world.clients.len() {
            world.ask(client, ClientRequest::Connect);
        }
        world
    }

    /// A publisher `a` and a subscriber `b` of `t` with the QoS, all connected, the log empty.
    pub(super) fn pair(broker: BrokerSettings, a: ClientSettings, granted: QoS) -> Self {
        let b = ClientSettings { version: a.version, ..client("b") };
        let mut world = Self::new(broker, vec![a, b]);
        world.subscribe(1, "t", granted);
        world.take_log();
        world
    }

    pub(super) fn plain_pair() -> Self {
        Self::pair(broker(), client("a"), QoS::ExactlyOnce)
    }

    /// Loses the next packets whose log lines begin like these, each once.
    pub(super) fn lose(&mut self, starts: &[&'static str]) {
        self.lose_starts.extend(starts);
    }

    /// Delivers the next packets whose log lines begin like these twice, each once.
    pub(super) fn duplicate(&mut self, starts: &[&'static str]) {
        self.duplicate_starts.extend(starts);
    }

    pub(super) fn ask(&mut self, client: usize, request: ClientRequest) {
        self.clients[client].handle(self.now, Input::Application(request));
        self.drain_client(client);
        self.run_until_idle();
    }

    pub(super) fn subscribe(&mut self, client: usize, filter: &str, qos: QoS) {
        let request = SubscriptionRequest::new(filter.into(), qos);
        self.ask(client, ClientRequest::Subscribe(vec![request]));
    }

    /// Publishes to `t`; the payload's length is the message's number, from 1.
    pub(super) fn publish(&mut self, client: usize, qos: QoS) {
        self.published += 1;
        let payload = Payload::Filler(self.published);
        self.publish_to(client, "t", payload, qos, false);
    }

    pub(super) fn publish_to(
        &mut self,
        client: usize,
        topic: &str,
        payload: Payload,
        qos: QoS,
        retain: bool,
    ) {
        let tag = MessageTag::new(PublisherIndex(0), self.published, qos, self.now);
        let message = Message { topic: topic.into(), payload, tag };
        self.ask(client, ClientRequest::Publish { message, qos, retain, expiry: None });
    }

    /// The client's connection dies; only the client learns of it.
    pub(super) fn cut(&mut self, client: usize) {
        if let Some(connection) = self.connections[client].take() {
            self.clients[client].handle(self.now, Input::Closed(connection));
            self.drain_client(client);
            self.run_until_idle();
        }
    }

    /// The client's connection dies, and both ends learn of it at once.
    pub(super) fn cut_both(&mut self, client: usize) {
        let connection = self.connections[client].unwrap();
        self.broker.handle(self.now, Input::Closed(connection));
        self.drain_broker();
        self.cut(client);
    }

    /// From now on the broker cannot be reached, or can again: no connection opens, and none that
    /// is open carries anything.
    pub(super) const fn set_unreachable(&mut self, unreachable: bool) {
        self.unreachable = unreachable;
    }

    /// The broker crashes and starts again with a durable store; its clients learn of it.
    pub(super) fn restart_broker(&mut self) {
        self.broker.restart(self.now);
        self.drain_broker();
        for client in 0..self.clients.len() {
            self.cut(client);
        }
    }

    /// The client crashes and starts again with a durable store, away; the broker learns of it.
    pub(super) fn restart_client(&mut self, client: usize) {
        if let Some(connection) = self.connections[client].take() {
            self.broker.handle(self.now, Input::Closed(connection));
            self.drain_broker();
        }
        self.clients[client].restart(self.now);
        self.drain_client(client);
    }

    /// The client is another, which knows nothing of this one.
    pub(super) fn replace_client(&mut self, client: usize, settings: ClientSettings) {
        self.connections[client] = None;
        self.clients[client] = Client::new(Arc::new(settings));
    }

    /// Plans faults, each after the given number of packets, counted from the fault before.
    pub(super) fn plan_faults(&mut self, faults: &[(usize, Fault)]) {
        self.faults.extend(faults);
        self.arrived = 0;
    }

    pub(super) const fn arrived(&self) -> usize {
        self.arrived
    }

    fn inject(&mut self, fault: Fault) {
        let struck = match fault {
            Fault::Cut(client) | Fault::HalfOpen(client) | Fault::ClientCrash(client) => {
                client..client + 1
            }
            Fault::BrokerCrash => 0..self.clients.len(),
        };
        let owners = &self.owners;
        self.in_transit.retain(|flight| !struck.contains(&owners[flight.connection.0 as usize]));
        if let Fault::BrokerCrash = fault {
            self.broker.restart(self.now);
        }
        for client in struck {
            let Some(connection) = self.connections[client].take() else { continue };
            if let Fault::Cut(_) | Fault::ClientCrash(_) = fault {
                self.broker.handle(self.now, Input::Closed(connection));
                self.drain_broker();
            }
            let input = if let Fault::ClientCrash(_) = fault {
                self.clients[client].restart(self.now);
                Input::Application(ClientRequest::Connect)
            } else {
                Input::Closed(connection)
            };
            self.clients[client].handle(self.now, input);
            self.drain_client(client);
        }
    }

    /// A PUBREC with id 1 reaches a client out of the blue.
    pub(super) fn deliver_unknown_pubrec(&mut self, client: usize) {
        let packet =
            Packet::PubRec(PublishAck { id: PacketId::MIN, reason: 0, tag: MessageTag::NONE });
        let connection = self.connections[client].unwrap();
        let transmission = Transmission::default();
        self.in_transit.push_back(PacketInTransit {
            to_broker: false,
            connection,
            packet,
            transmission,
        });
        self.run_until_idle();
    }

    pub(super) fn wait(&mut self, span: Span) {
        let until = self.now + span;
        loop {
            let clients = self.clients.iter().map(Endpoint::next_timeout);
            let next = clients.fold(self.broker.next_timeout(), Time::min);
            if next > until {
                break;
            }
            self.now = next;
            for client in 0..self.clients.len() {
                if self.clients[client].next_timeout() <= next {
                    self.clients[client].handle(next, Input::Timeout);
                    self.drain_client(client);
                }
            }
            if self.broker.next_timeout() <= next {
                self.broker.handle(next, Input::Timeout);
                self.drain_broker();
            }
            self.run_until_idle();
        }
        self.now = until;
    }

    pub(super) fn take_log(&mut self) -> Vec<String> {
        std::mem::take(&mut self.log)
    }

    /// What was delivered since the log was last taken: `client message-number`.
    pub(super) fn deliveries(&mut self) -> Vec<String> {
        let log = self.take_log();
        log.into_iter().filter_map(|line| Some(line.strip_prefix("deliver ")?.into())).collect()
    }

    pub(super) fn subscription_ids(&self) -> &[u32] {
        &self.subscription_ids
    }

    pub(super) fn client(&self, client: usize) -> &Client {
        &self.clients[client]
    }

    pub(super) const fn broker(&self) -> &Broker {
        &self.broker
    }

    fn run_until_idle(&mut self) {
        loop {
            if let Some((_, fault)) = self.faults.pop_front_if(|(at, _)| *at == self.arrived) {
                self.arrived = 0;
                self.inject(fault);
            }
            let Some(flight) = self.in_transit.pop_front() else { break };
            self.arrived += 1;
            let PacketInTransit { to_broker, connection, packet, transmission } = flight;
            let client = self.owners[connection.0 as usize];
            if to_broker {
                self.broker.handle(self.now, Input::Packet { connection, packet, transmission });
                self.drain_broker();
            } else if self.connections[client] == Some(connection) {
                let input = Input::Packet { connection, packet, transmission };
                self.clients[client].handle(self.now, input);
                self.drain_client(client);
            }
        }
    }

    fn drain_client(&mut self, client: usize) {
        while let Some(output) = self.clients[client].poll_output() {
            match output {
                Output::Send { connection, packet, transmission } => {
                    self.send(true, connection, packet, transmission);
                }
                Output::Deliver { message, qos, retain } => {
                    let retained = if retain { " retained" } else { "" };
                    let number = message.payload.len();
                    self.log.push(format!("deliver {client} #{number} q{qos}{retained}"));
                }
                Output::Complete(_) => self.log.push(format!("complete {client}")),
                Output::Refuse { why, .. } => self.log.push(format!("refuse {client} {why:?}")),
                Output::Connect { attempt } if self.unreachable => {
                    self.log.push(format!("connect {client} after {attempt}"));
                }
                Output::Connect { .. } => {
                    let connection = ConnectionNumber(u32::try_from(self.owners.len()).unwrap());
                    self.owners.push(client);
                    self.connections[client] = Some(connection);
                    self.clients[client].handle(self.now, Input::Opened(connection));
                }
                Output::Close { why, .. } => {
                    self.connections[client] = None;
                    if why != CloseReason::Requested {
                        self.log.push(format!("close by {client} {why:?}"));
                    }
                }
                other => panic!("not a client's output: {other:?}"),
            }
        }
    }

    fn drain_broker(&mut self) {
        while let Some(output) = self.broker.poll_output() {
            match output {
                Output::Send { connection, packet, transmission } => {
                    self.send(false, connection, packet, transmission);
                }
                Output::Drop { client_id, why, .. } => {
                    self.log.push(format!("drop {client_id} {why:?}"));
                }
                Output::Close { connection, why: CloseReason::KeepAlive } => {
                    self.log.push(format!("close {} KeepAlive", connection.0));
                }
                Output::Close { connection, .. } => {
                    self.log.push(format!("close {}", connection.0));
                }
                Output::Will(tag) => {
                    let parts = tag.message_id().unwrap();
                    self.log.push(format!("will {} at {}", parts.sequence, parts.published));
                }
                Output::SessionExpired { client_id } => {
                    self.log.push(format!("expired {client_id}"));
                }
                other => panic!("not a broker's output: {other:?}"),
            }
        }
    }

    fn send(
        &mut self,
        to_broker: bool,
        connection: ConnectionNumber,
        packet: Packet,
        sending: Transmission,
    ) {
        let arrow = if to_broker { ">" } else { "<" };
        let line = format!("{} {arrow} {}", self.owners[connection.0 as usize], describe(&packet));
        if self.unreachable || take_match(&mut self.lose_starts, &line) {
            self.log.push(format!("{line} LOST"));
            return;
        }
        if let Packet::Publish(Publish { properties: Some(properties), .. }) = &packet {
            self.subscription_ids.clone_from(&properties.subscription_ids);
        }
        let flight = PacketInTransit { to_broker, connection, packet, transmission: sending };
        if take_match(&mut self.duplicate_starts, &line) {
            self.in_transit.push_back(flight.clone());
        }
        self.log.push(line);
        self.in_transit.push_back(flight);
    }
}

/// Whether one of the beginnings fits the line; it fits only once.
fn take_match(starts: &mut Vec<&'static str>, line: &str) -> bool {
    let found = starts.iter().position(|start| line.starts_with(start));
    found.map(|place| starts.swap_remove(place)).is_some()
}

fn describe(packet: &Packet) -> String {
    match packet {
        Packet::Connect(connect) if connect.clean => "CONNECT clean".into(),
        Packet::Connect(_) => "CONNECT".into(),
        Packet::ConnAck(ack) if ack.session_present => "CONNACK present".into(),
        Packet::ConnAck(_) => "CONNACK".into(),
        Packet::Publish(publish) => {
            let number = publish.message.payload.len();
            let dup = if publish.dup { " dup" } else { "" };
            match publish.level {
                PublishLevel::AtMostOnce => format!("PUBLISH #{number} q0{dup}"),
                PublishLevel::AtLeastOnce(id) => {
                    format!("PUBLISH #{number} q1 id{}{dup}", id.get())
                }
                PublishLevel::ExactlyOnce(id) => {
                    format!("PUBLISH #{number} q2 id{}{dup}", id.get())
                }
            }
        }
        Packet::PubAck(ack) => format!("PUBACK id{}", ack.id.get()),
        Packet::PubRec(ack) => format!("PUBREC id{}", ack.id.get()),
        Packet::PubRel(ack) => format!("PUBREL id{}", ack.id.get()),
        Packet::PubComp(ack) => format!("PUBCOMP id{} {:#x}", ack.id.get(), ack.reason),
        Packet::Subscribe(subscribe) if subscribe.dup => "SUBSCRIBE dup".into(),
        Packet::Subscribe(_) => "SUBSCRIBE".into(),
        Packet::SubAck(ack) => format!("SUBACK {:?}", ack.codes),
        Packet::Unsubscribe(_) => "UNSUBSCRIBE".into(),
        Packet::UnsubAck(_) => "UNSUBACK".into(),
        Packet::PingReq => "PINGREQ".into(),
        Packet::PingResp => "PINGRESP".into(),
        Packet::Disconnect(_) => "DISCONNECT".into(),
    }
}
