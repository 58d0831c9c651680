//! Packets told to the monitor one by one, at either end of one client's link.

use std::sync::Arc;

use super::{DASHBOARD, SENSOR, roster};
use crate::monitor::Monitor;
use crate::roster::Roster;
use crate::rules::Rule;
use qoslab_core::base::event::{
    Body, Close, Dropped, Event, Fate, Observer, Record, Size, SubscriptionOptions,
    SubscriptionRequest,
};
use qoslab_core::base::name::{
    Connection, Hop, Kind, Node, PacketName, StreamIndex, Subject, Tag, Transmission, Way,
};
use qoslab_core::base::qos::QoS;
use qoslab_core::base::time::{Span, Time};
use qoslab_core::mqtt::settings::Version;

/// The sensor's link: the sensor publishes stream 0, and may get messages of the dashboard's
/// stream 1.
pub(super) struct Wire {
    monitor: Monitor,
    now: Time,
    connection: Connection,
    nth: u32,
    topic: Arc<str>,
    requests: Vec<SubscriptionRequest>,
}

/// A packet to be told of.
#[derive(Clone, Copy)]
pub(super) struct Told {
    kind: Kind,
    flags: u8,
    id: u16,
    tag: Tag,
    attempt: u32,
    reason: u8,
    size: u32,
    codes: usize,
    expiry: Option<u32>,
}

/// What a CONNECT says.
#[derive(Clone, Copy)]
pub(super) struct Hello {
    pub(super) clean: bool,
    pub(super) session_expiry: u32,
    pub(super) keep_alive: u16,
    pub(super) receive_maximum: u16,
    pub(super) max_packet_size: u32,
}

pub(super) const HELLO: Hello = Hello {
    clean: false,
    session_expiry: u32::MAX,
    keep_alive: 0,
    receive_maximum: u16::MAX,
    max_packet_size: u32::MAX,
};

/// The facts of the trial: version 5.0 over tcp with the reconnect rule, unless changed.
pub(super) fn facts() -> Roster {
    let mut facts = roster(QoS::ExactlyOnce);
    let mut other = facts.streams[0].clone();
    other.client = DASHBOARD;
    facts.streams.push(other);
    for client in &mut facts.clients {
        client.version = Version::V5;
        client.over_stream = true;
        client.resends_by_timer = false;
    }
    facts
}

/// The rules that a script breaks.
pub(super) fn broken(facts: Roster, script: impl FnOnce(&mut Wire)) -> Vec<Rule> {
    let mut wire = Wire {
        monitor: Monitor::new(&Arc::new(facts)),
        now: Time::ZERO,
        connection: Connection(0),
        nth: 0,
        topic: "a".into(),
        requests: Vec::new(),
    };
    script(&mut wire);
    wire.monitor.finish();
    wire.monitor.take_breaks().iter().map(|it| it.rule).collect()
}

/// A control packet.
pub(super) fn control(kind: Kind) -> Told {
    let flags = match kind {
        Kind::PubRel | Kind::Subscribe | Kind::Unsubscribe => 0b0010,
        _ => 0,
    };
    let tag = Tag::NONE;
    let codes = 1;
    Told { kind, flags, id: 0, tag, attempt: 0, reason: 0, size: 20, codes, expiry: None }
}

/// The sensor's message, by its packet id.
pub(super) fn message(kind: Kind, id: u16) -> Told {
    let tag = Tag::new(StreamIndex(0), u32::from(id), QoS::ExactlyOnce, Time::ZERO);
    control(kind).id(id).tag(tag)
}

/// Its PUBLISH.
pub(super) fn publish(qos: u8, id: u16) -> Told {
    message(Kind::Publish, id).flags(qos << 1)
}

/// A message that the broker forwards, of the dashboard's stream.
pub(super) fn forward(qos: u8, id: u16) -> Told {
    let tag = Tag::new(StreamIndex(1), u32::from(id), QoS::ExactlyOnce, Time::ZERO);
    control(Kind::Publish).id(if qos == 0 { 0 } else { id }).flags(qos << 1).tag(tag)
}

impl Told {
    pub(super) fn id(self, id: u16) -> Self {
        Self { id, ..self }
    }

    /// The same message in a packet of another kind.
    pub(super) fn kind(self, kind: Kind) -> Self {
        Self { kind, flags: control(kind).flags, ..self }
    }

    pub(super) fn flags(self, flags: u8) -> Self {
        Self { flags, ..self }
    }

    pub(super) fn tag(self, tag: Tag) -> Self {
        Self { tag, ..self }
    }

    /// Sent before, and with the DUP flag that a PUBLISH then needs.
    pub(super) fn again(self) -> Self {
        let dup = u8::from(self.kind == Kind::Publish) << 3;
        Self { attempt: self.attempt + 1, flags: self.flags | dup, ..self }
    }

    pub(super) fn refused(self) -> Self {
        Self { reason: 0x97, ..self }
    }

    pub(super) fn size(self, size: u32) -> Self {
        Self { size, ..self }
    }

    /// A SUBACK with so many codes.
    pub(super) fn codes(self, codes: usize) -> Self {
        Self { codes, ..self }
    }

    pub(super) fn expiry(self, seconds: u32) -> Self {
        Self { expiry: Some(seconds), ..self }
    }

    /// A retained message that answers a SUBSCRIBE.
    pub(super) fn retained(self, retain: bool) -> Self {
        Self { tag: self.tag.retained(1), flags: self.flags | u8::from(retain), ..self }
    }

    /// With the RETAIN flag.
    pub(super) fn retain(self) -> Self {
        Self { flags: self.flags | 1, ..self }
    }
}

impl Wire {
    fn event(&mut self, event: &Event<'_>) {
        self.monitor.observe(self.now, event);
    }

    pub(super) fn wait(&mut self, seconds: u64) {
        self.now += Span::from_secs(seconds);
    }

    /// A connection opens at both ends, and nothing is said yet.
    pub(super) fn open(&mut self) {
        self.wait(1);
        self.connection = Connection(self.connection.0 + 1);
        let (connection, client) = (self.connection, SENSOR);
        for node in [Node::Client(SENSOR), Node::Broker] {
            self.event(&Event::Opened { node, connection, client });
        }
    }

    /// The connection that was open before this one closes at the broker.
    pub(super) fn old_closes(&mut self) {
        let (connection, client) = (Connection(self.connection.0 - 1), SENSOR);
        self.event(&Event::Closed {
            node: Node::Broker,
            connection,
            client,
            why: Close::TakenOver,
        });
    }

    pub(super) fn hello(&mut self, hello: Hello) {
        let Hello { clean, session_expiry, keep_alive, receive_maximum, max_packet_size } = hello;
        let body = Body::Connect {
            clean,
            session_expiry,
            keep_alive,
            receive_maximum,
            max_packet_size,
            will: false,
        };
        self.told(control(Kind::Connect), Way::Up, body, [true, true]);
    }

    pub(super) fn welcome(&mut self, session_present: bool) {
        self.welcome_with(session_present, u16::MAX, u32::MAX);
    }

    pub(super) fn welcome_with(
        &mut self,
        session_present: bool,
        receive_maximum: u16,
        max_packet_size: u32,
    ) {
        let body = Body::ConnAck { session_present, receive_maximum, max_packet_size };
        self.told(control(Kind::ConnAck), Way::Down, body, [true, true]);
    }

    /// The sensor connects.
    pub(super) fn connect(&mut self, session_present: bool) {
        self.connect_as(HELLO, session_present);
    }

    pub(super) fn connect_as(&mut self, hello: Hello, session_present: bool) {
        self.open();
        self.hello(hello);
        self.welcome(session_present);
    }

    /// Both ends learn that the connection is gone.
    pub(super) fn cut(&mut self) {
        self.close(Close::Cut);
    }

    pub(super) fn close(&mut self, why: Close) {
        self.wait(1);
        let (connection, client) = (self.connection, SENSOR);
        for node in [Node::Client(SENSOR), Node::Broker] {
            self.event(&Event::Closed { node, connection, client, why });
        }
    }

    /// The link dies between two sessions that go on.
    pub(super) fn resume(&mut self) {
        self.cut();
        self.connect(true);
    }

    /// A packet of the sensor that arrives.
    pub(super) fn up(&mut self, told: Told) {
        self.carry(told, Way::Up, [true, true]);
    }

    /// A packet of the broker that arrives.
    pub(super) fn down(&mut self, told: Told) {
        self.carry(told, Way::Down, [true, true]);
    }

    /// One that is lost.
    pub(super) fn up_lost(&mut self, told: Told) {
        self.carry(told, Way::Up, [true, false]);
    }

    pub(super) fn subscribe(&mut self, id: u16, options: &[SubscriptionOptions]) {
        let request = |options: &SubscriptionOptions| SubscriptionRequest {
            options: *options,
            ..SubscriptionRequest::new("a".into(), QoS::ExactlyOnce)
        };
        self.requests = options.iter().map(request).collect();
        self.up(control(Kind::Subscribe).id(id));
    }

    pub(super) fn delivered(&mut self, told: Told) {
        let qos = QoS::ExactlyOnce;
        self.event(&Event::Delivered { client: SENSOR, tag: told.tag, qos, retain: false });
    }

    /// The sensor's endpoint lets go of a message.
    pub(super) fn refused(&mut self, told: Told, why: Dropped) {
        self.event(&Event::Refused { tag: told.tag, why });
    }

    pub(super) fn crash(&mut self, node: Node) {
        self.event(&Event::Crashed { node });
    }

    fn carry(&mut self, told: Told, way: Way, ends: [bool; 2]) {
        let (topic, requests) = (Arc::clone(&self.topic), self.requests.clone());
        let codes = vec![0; told.codes];
        let body = match told.kind {
            Kind::Publish => Body::Publish { topic: &topic, expiry: told.expiry },
            Kind::Subscribe => Body::Subscribe(&requests),
            Kind::SubAck => Body::SubAck(&codes),
            _ => Body::None,
        };
        self.told(told, way, body, ends);
    }

    fn told(&mut self, told: Told, way: Way, body: Body<'_>, [sent, arrived]: [bool; 2]) {
        let (from, to) = match way {
            Way::Up => (Node::Client(SENSOR), Node::Broker),
            Way::Down => (Node::Broker, Node::Client(SENSOR)),
        };
        self.nth += 1;
        let subject = match told.tag.parts() {
            None => Subject::Control { nth: self.nth },
            Some(parts) => Subject::Message {
                stream: parts.stream,
                sequence: parts.sequence,
                hop: if way == Way::Up { Hop::First } else { Hop::Second },
                copy: parts.copy,
                transmission: Transmission { attempt: told.attempt, echo: 0 },
            },
        };
        let record = Record {
            name: PacketName { client: SENSOR, way, kind: told.kind, subject },
            tag: told.tag,
            first: (told.kind as u8) << 4 | told.flags,
            id: told.id,
            reason: told.reason,
            size: Size { mqtt: told.size, payload: 0, headers: 0 },
            body,
        };
        let connection = self.connection;
        if sent {
            let fate = Fate::Stream;
            let (node, record, fate) = (from, &record, &fate);
            self.event(&Event::Sent { node, connection, record, fate });
        }
        if arrived {
            self.event(&Event::Arrived { node: to, connection, record: &record });
        }
    }
}
