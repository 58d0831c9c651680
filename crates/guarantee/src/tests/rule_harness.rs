//! Packets reported to the monitor one by one, at either end of one client's link.

use std::sync::Arc;

use super::{DASHBOARD, SENSOR, trial_facts};
use crate::monitor::Monitor;
use crate::rules::Rule;
use crate::trial_facts::TrialFacts;
use qoslab_core::base::{
    CloseReason, ConnectionNumber, Direction, DropReason, Event, Fate, Hop, MessageTag, Node,
    Observer, PacketBody, PacketKind, PacketMeta, PacketName, PacketSize, PacketSubject,
    PublisherIndex, QoS, Span, SubscriptionOptions, SubscriptionRequest, Time, Transmission,
};
use qoslab_core::mqtt::Version;

/// The sensor's link: the sensor publishes stream 0, and may get messages of the dashboard's
/// stream 1.
pub(super) struct Wire {
    monitor: Monitor,
    now: Time,
    connection: ConnectionNumber,
    nth: u32,
    topic: Arc<str>,
    requests: Vec<SubscriptionRequest>,
}

/// A packet to be reported.
#[derive(Clone, Copy)]
pub(super) struct PacketSpec {
    kind: PacketKind,
    flags: u8,
    id: u16,
    tag: MessageTag,
    attempt: u32,
    reason: u8,
    size: u32,
    codes: usize,
    expiry: Option<u32>,
}

/// What a CONNECT says.
#[derive(Clone, Copy)]
pub(super) struct ConnectInfo {
    pub(super) clean: bool,
    pub(super) session_expiry: u32,
    pub(super) keep_alive: u16,
    pub(super) receive_maximum: u16,
    pub(super) max_packet_size: u32,
    pub(super) will_delay: Option<u32>,
}

pub(super) const CONNECT_INFO: ConnectInfo = ConnectInfo {
    clean: false,
    session_expiry: u32::MAX,
    keep_alive: 0,
    receive_maximum: u16::MAX,
    max_packet_size: u32::MAX,
    will_delay: None,
};

/// With a will that is delayed by so many seconds.
pub(super) const fn with_will(delay: u32) -> ConnectInfo {
    ConnectInfo { will_delay: Some(delay), ..CONNECT_INFO }
}

/// The facts of the trial: version 5.0 over tcp with the reconnect rule, unless changed.
pub(super) fn tcp_v5_facts() -> TrialFacts {
    let mut trial = trial_facts(QoS::ExactlyOnce);
    let mut other = trial.publishers[0].clone();
    other.client = DASHBOARD;
    trial.publishers.push(other);
    for client in &mut trial.clients {
        client.version = Version::V5;
        client.over_tcp = true;
        client.resends_by_timer = false;
    }
    trial
}

/// The rules that a script breaks.
pub(super) fn broken_rules(facts: TrialFacts, script: impl FnOnce(&mut Wire)) -> Vec<Rule> {
    let mut wire = Wire {
        monitor: Monitor::new(&Arc::new(facts)),
        now: Time::ZERO,
        connection: ConnectionNumber(0),
        nth: 0,
        topic: "a".into(),
        requests: Vec::new(),
    };
    script(&mut wire);
    wire.monitor.finish();
    wire.monitor.take_violations().iter().map(|it| it.rule).collect()
}

/// A control packet.
pub(super) fn control(kind: PacketKind) -> PacketSpec {
    let flags = match kind {
        PacketKind::PubRel | PacketKind::Subscribe | PacketKind::Unsubscribe => 0b0010,
        _ => 0,
    };
    let tag = MessageTag::NONE;
    let codes = 1;
    PacketSpec { kind, flags, id: 0, tag, attempt: 0, reason: 0, size: 20, codes, expiry: None }
}

/// The sensor's message, by its packet id.
pub(super) fn message(kind: PacketKind, id: u16) -> PacketSpec {
    let tag = MessageTag::new(PublisherIndex(0), u32::from(id), QoS::ExactlyOnce, Time::ZERO);
    control(kind).id(id).tag(tag)
}

/// Its PUBLISH.
pub(super) fn publish(qos: u8, id: u16) -> PacketSpec {
    message(PacketKind::Publish, id).flags(qos << 1)
}

/// A message that the broker forwards, of the dashboard's stream.
pub(super) fn forward(qos: u8, id: u16) -> PacketSpec {
    let tag = MessageTag::new(PublisherIndex(1), u32::from(id), QoS::ExactlyOnce, Time::ZERO);
    control(PacketKind::Publish).id(if qos == 0 { 0 } else { id }).flags(qos << 1).tag(tag)
}

impl PacketSpec {
    pub(super) fn id(self, id: u16) -> Self {
        Self { id, ..self }
    }

    /// The same message in a packet of another kind.
    pub(super) fn kind(self, kind: PacketKind) -> Self {
        Self { kind, flags: control(kind).flags, ..self }
    }

    pub(super) fn flags(self, flags: u8) -> Self {
        Self { flags, ..self }
    }

    pub(super) fn tag(self, tag: MessageTag) -> Self {
        Self { tag, ..self }
    }

    /// Sent before, and with the DUP flag that a PUBLISH then needs.
    pub(super) fn resent(self) -> Self {
        let dup = u8::from(self.kind == PacketKind::Publish) << 3;
        Self { attempt: self.attempt + 1, flags: self.flags | dup, ..self }
    }

    pub(super) fn refused(self) -> Self {
        Self { reason: 0x97, ..self }
    }

    pub(super) fn size(self, size: u32) -> Self {
        Self { size, ..self }
    }

    /// A SUBACK with that many codes.
    pub(super) fn codes(self, codes: usize) -> Self {
        Self { codes, ..self }
    }

    pub(super) fn expiry(self, seconds: u32) -> Self {
        Self { expiry: Some(seconds), ..self }
    }

    /// A retained message that answers a SUBSCRIBE.
    pub(super) fn retained(self, retain: bool) -> Self {
        Self { tag: self.tag.for_retained(1), flags: self.flags | u8::from(retain), ..self }
    }

    /// With the RETAIN flag.
    pub(super) fn retain(self) -> Self {
        Self { flags: self.flags | 1, ..self }
    }
}

impl Wire {
    fn emit(&mut self, event: &Event<'_>) {
        self.monitor.observe(self.now, event);
    }

    pub(super) fn wait(&mut self, seconds: u64) {
        self.now += Span::from_secs(seconds);
    }

    /// A connection opens at both ends, and nothing is said yet.
    pub(super) fn open(&mut self) {
        self.wait(1);
        self.connection = ConnectionNumber(self.connection.0 + 1);
        let (connection, client) = (self.connection, SENSOR);
        for node in [Node::Client(SENSOR), Node::Broker] {
            self.emit(&Event::Opened { node, connection, client });
        }
    }

    /// The connection that was open before this one closes at the broker.
    pub(super) fn close_old_connection(&mut self) {
        let (connection, client) = (ConnectionNumber(self.connection.0 - 1), SENSOR);
        self.emit(&Event::Closed {
            node: Node::Broker,
            connection,
            client,
            why: CloseReason::TakenOver,
        });
    }

    pub(super) fn send_connect(&mut self, info: ConnectInfo) {
        let ConnectInfo {
            clean,
            session_expiry,
            keep_alive,
            receive_maximum,
            max_packet_size,
            will_delay,
        } = info;
        let body = PacketBody::Connect {
            clean,
            session_expiry,
            keep_alive,
            receive_maximum,
            max_packet_size,
            will_delay,
        };
        self.send_packet(control(PacketKind::Connect), Direction::Up, body, [true, true]);
    }

    pub(super) fn send_connack(&mut self, session_present: bool) {
        self.send_connack_with(session_present, u16::MAX, u32::MAX);
    }

    pub(super) fn send_connack_with(
        &mut self,
        session_present: bool,
        receive_maximum: u16,
        max_packet_size: u32,
    ) {
        let body = PacketBody::ConnAck { session_present, receive_maximum, max_packet_size };
        self.send_packet(control(PacketKind::ConnAck), Direction::Down, body, [true, true]);
    }

    /// The sensor connects.
    pub(super) fn connect(&mut self, session_present: bool) {
        self.connect_with(CONNECT_INFO, session_present);
    }

    pub(super) fn connect_with(&mut self, info: ConnectInfo, session_present: bool) {
        self.open();
        self.send_connect(info);
        self.send_connack(session_present);
    }

    /// Both ends learn that the connection is gone.
    pub(super) fn cut(&mut self) {
        self.close(CloseReason::Cut);
    }

    pub(super) fn close(&mut self, why: CloseReason) {
        self.wait(1);
        let (connection, client) = (self.connection, SENSOR);
        for node in [Node::Client(SENSOR), Node::Broker] {
            self.emit(&Event::Closed { node, connection, client, why });
        }
    }

    /// The link dies between two sessions that go on.
    pub(super) fn cut_and_resume(&mut self) {
        self.cut();
        self.connect(true);
    }

    /// A packet of the sensor that arrives.
    pub(super) fn up(&mut self, spec: PacketSpec) {
        self.send_spec(spec, Direction::Up, [true, true]);
    }

    /// A packet of the broker that arrives.
    pub(super) fn down(&mut self, spec: PacketSpec) {
        self.send_spec(spec, Direction::Down, [true, true]);
    }

    /// One that is lost.
    pub(super) fn up_lost(&mut self, spec: PacketSpec) {
        self.send_spec(spec, Direction::Up, [true, false]);
    }

    pub(super) fn subscribe(&mut self, id: u16, options: &[SubscriptionOptions]) {
        let request = |options: &SubscriptionOptions| SubscriptionRequest {
            options: *options,
            ..SubscriptionRequest::new("a".into(), QoS::ExactlyOnce)
        };
        self.requests = options.iter().map(request).collect();
        self.up(control(PacketKind::Subscribe).id(id));
    }

    pub(super) fn delivered(&mut self, spec: PacketSpec) {
        let qos = QoS::ExactlyOnce;
        self.emit(&Event::Delivered { client: SENSOR, tag: spec.tag, qos, retain: false });
    }

    /// The sensor's endpoint lets go of a message.
    pub(super) fn refused(&mut self, spec: PacketSpec, why: DropReason) {
        self.emit(&Event::Refused { tag: spec.tag, why });
    }

    /// The broker publishes the sensor's will.
    pub(super) fn publish_will(&mut self) {
        let tag = MessageTag::new(PublisherIndex(0), 0, QoS::ExactlyOnce, self.now);
        self.emit(&Event::WillPublished { tag });
    }

    pub(super) fn crash(&mut self, node: Node) {
        self.emit(&Event::Crashed { node });
    }

    fn send_spec(&mut self, spec: PacketSpec, direction: Direction, ends: [bool; 2]) {
        let (topic, requests) = (Arc::clone(&self.topic), self.requests.clone());
        let codes = vec![0; spec.codes];
        let body = match spec.kind {
            PacketKind::Publish => PacketBody::Publish { topic: &topic, expiry: spec.expiry },
            PacketKind::Subscribe => PacketBody::Subscribe(&requests),
            PacketKind::SubAck => PacketBody::SubAck(&codes),
            _ => PacketBody::None,
        };
        self.send_packet(spec, direction, body, ends);
    }

    fn send_packet(
        &mut self,
        spec: PacketSpec,
        direction: Direction,
        body: PacketBody<'_>,
        [sent, arrived]: [bool; 2],
    ) {
        let (from, to) = match direction {
            Direction::Up => (Node::Client(SENSOR), Node::Broker),
            Direction::Down => (Node::Broker, Node::Client(SENSOR)),
        };
        self.nth += 1;
        let subject = match spec.tag.message_id() {
            None => PacketSubject::Control { nth: self.nth },
            Some(message_id) => PacketSubject::Message {
                publisher: message_id.publisher,
                sequence: message_id.sequence,
                hop: if direction == Direction::Up { Hop::First } else { Hop::Second },
                copy: message_id.copy,
                transmission: Transmission { attempt: spec.attempt, duplicate_index: 0 },
            },
        };
        let packet = PacketMeta {
            name: PacketName { client: SENSOR, direction, kind: spec.kind, subject },
            tag: spec.tag,
            first_byte: (spec.kind as u8) << 4 | spec.flags,
            id: spec.id,
            reason: spec.reason,
            size: PacketSize { mqtt: spec.size, payload: 0, headers: 0 },
            body,
        };
        let connection = self.connection;
        if sent {
            let fate = Fate::Streamed;
            let (node, record, fate) = (from, &packet, &fate);
            self.emit(&Event::Sent { node, connection, packet: record, fate });
        }
        if arrived {
            self.emit(&Event::Arrived { node: to, connection, packet: &packet });
        }
    }
}
