//! Trials told by hand, event by event.

use std::sync::Arc;

use super::recorder::Recorder;
use super::roster::{ClientFacts, Roster, StreamFacts};
use super::verdict::{Blame, Breach, Outcome, Promise, Violation};
use super::watch::Watch;
use qoslab_core::base::ending::Ended;
use qoslab_core::base::ending::Ending;
use qoslab_core::base::event::{
    Arrival, Body, Close, Dropped, Event, Fate, Loss, Observer, Phase, Record, Size,
    SubscriptionRequest,
};
use qoslab_core::base::name::{
    ClientIndex, Connection, Hop, Kind, Node, PacketName, StreamIndex, Subject, Tag, Transmission,
    Way,
};
use qoslab_core::base::qos::QoS;
use qoslab_core::base::time::{Span, Time};
use qoslab_core::mqtt::settings::{Store, Version};

mod crashes;
mod every_rule;
mod patterns;
mod promises;
mod rules;
mod sessions;
mod shared;
mod silence;
mod wire;

const SENSOR: ClientIndex = ClientIndex(0);
const DASHBOARD: ClientIndex = ClientIndex(1);

/// A sensor that publishes to `a` and a dashboard that may subscribe.
fn roster(published: QoS) -> Roster {
    let client = |name: &str| ClientFacts {
        name: name.into(),
        clean: false,
        version: Version::V311,
        resends_by_timer: true,
        delivers_on_release: false,
        over_stream: false,
        keep_alive: false,
        store: Store::Durable,
        radio: None,
    };
    Roster {
        clients: vec![client("sensor"), client("dashboard")],
        streams: vec![StreamFacts {
            name: "sensor".into(),
            client: SENSOR,
            topic: "a".into(),
            qos: published,
            retain: false,
            count: 10,
            will: false,
            empty: false,
            denied: false,
        }],
        ..Roster::default()
    }
}

/// The same over byte streams, where the broker and the clients send again on reconnecting.
fn over_streams(mut roster: Roster) -> Roster {
    for client in &mut roster.clients {
        client.over_stream = true;
        client.keep_alive = true;
        client.resends_by_timer = false;
    }
    roster
}

/// Plays a trial, and once more for the evidence if a promise was broken.
fn judge(roster: Roster, ending: Ending, script: impl Fn(&mut Stage<'_>)) -> Outcome {
    let roster = Arc::new(roster);
    let mut watch = Watch::new(&roster);
    let at = play(&roster, &mut watch, &script);
    let ended = Ended { ending, at, events: 0, packets: 0, trace_hash: 0 };
    let first = watch.finish(&ended);
    if first.offenders.is_empty() {
        return first.into_outcome();
    }
    let mut recorder = Recorder::new(&roster, &first.offenders);
    play(&roster, &mut recorder, &script);
    recorder.conclude(first)
}

/// A trial that ends well, and the one violation it has.
fn violations(roster: Roster, script: impl Fn(&mut Stage<'_>)) -> Vec<(Promise, Breach, Blame)> {
    let outcome = judge(roster, Ending::Quiescent, script);
    let kinds = outcome.violations.iter();
    kinds.map(|(Violation { promise, breach, blame }, _)| (*promise, *breach, *blame)).collect()
}

fn play(
    roster: &Arc<Roster>,
    observer: &mut impl Observer,
    script: &impl Fn(&mut Stage<'_>),
) -> Time {
    let mut tell = |now: Time, event: &Event<'_>| observer.observe(now, event);
    let mut stage = Stage {
        tell: &mut tell,
        roster: Arc::clone(roster),
        now: Time::ZERO,
        published: [Time::ZERO; 16],
        connections: [Connection(0), Connection(1)],
        next: 2,
        id: None,
        dup: None,
        qos: None,
    };
    script(&mut stage);
    stage.now
}

/// Tells a trial's events to an observer; each step takes a millisecond.
struct Stage<'a> {
    tell: &'a mut dyn FnMut(Time, &Event<'_>),
    roster: Arc<Roster>,
    now: Time,
    published: [Time; 16],
    connections: [Connection; 2],
    next: u32,
    /// The packet id of what is sent from now on, if not the usual one.
    id: Option<u16>,
    /// Its DUP flag, if not the right one.
    dup: Option<bool>,
    /// The QoS on the second hop, if not the lower of the two.
    qos: Option<QoS>,
}

impl Stage<'_> {
    fn event(&mut self, event: &Event<'_>) {
        self.now += Span::from_millis(1);
        (self.tell)(self.now, event);
    }

    fn tag(&self, sequence: u32) -> Tag {
        let qos = self.roster.streams[0].qos;
        Tag::new(StreamIndex(0), sequence, qos, self.published[sequence as usize])
    }

    /// A control packet, sent and received.
    fn control(&mut self, client: ClientIndex, kind: Kind, body: Body<'_>) {
        let way = match kind {
            Kind::ConnAck | Kind::SubAck | Kind::UnsubAck => Way::Down,
            _ => Way::Up,
        };
        let subject = Subject::Control { nth: 0 };
        let record = Record {
            name: PacketName { client, way, kind, subject },
            tag: Tag::NONE,
            first: (kind as u8) << 4 | Self::reserved(kind),
            id: 1,
            reason: 0,
            size: Size { mqtt: 10, payload: 0, headers: 28 },
            body,
        };
        self.transfer(&record, &Fate::at(self.now));
    }

    /// The reserved flags of kinds other than PUBLISH.
    const fn reserved(kind: Kind) -> u8 {
        match kind {
            Kind::PubRel | Kind::Subscribe | Kind::Unsubscribe => 0b0010,
            _ => 0,
        }
    }

    fn transfer(&mut self, record: &Record<'_>, fate: &Fate) {
        let client = record.name.client;
        let connection = self.connections[client.index()];
        let (from, to) = match record.name.way {
            Way::Up => (Node::Client(client), Node::Broker),
            Way::Down => (Node::Broker, Node::Client(client)),
        };
        self.event(&Event::Sent { node: from, connection, record, fate });
        if matches!(fate, Fate::Arrives(_)) {
            self.event(&Event::Arrived { node: to, connection, record });
        }
    }

    fn connect(&mut self, client: ClientIndex, session_present: bool) {
        self.connections[client.index()] = Connection(self.next);
        self.next += 1;
        let connection = self.connections[client.index()];
        for node in [Node::Client(client), Node::Broker] {
            self.event(&Event::Opened { node, connection, client });
        }
        self.control(
            client,
            Kind::Connect,
            Body::Connect {
                clean: false,
                session_expiry: u32::MAX,
                keep_alive: 0,
                receive_maximum: u16::MAX,
                max_packet_size: u32::MAX,
                will: false,
            },
        );
        self.control(
            client,
            Kind::ConnAck,
            Body::ConnAck { session_present, receive_maximum: u16::MAX, max_packet_size: u32::MAX },
        );
    }

    fn disconnect(&mut self, client: ClientIndex) {
        let connection = self.connections[client.index()];
        for node in [Node::Client(client), Node::Broker] {
            self.event(&Event::Closed { node, connection, client, why: Close::Asked });
        }
    }

    /// Both ends learn that the connection is cut.
    fn cut(&mut self, client: ClientIndex) {
        let connection = self.connections[client.index()];
        for node in [Node::Client(client), Node::Broker] {
            self.event(&Event::Closed { node, connection, client, why: Close::Cut });
        }
    }

    /// A node crashes and starts again; nobody is connected to it any more.
    fn crash(&mut self, node: Node) {
        self.event(&Event::Crashed { node });
        for client in [SENSOR, DASHBOARD] {
            let connection = self.connections[client.index()];
            if node == Node::Broker || node == Node::Client(client) {
                for (end, why) in [
                    (node, Close::Crash),
                    (Node::Client(client), Close::Peer),
                    (Node::Broker, Close::Peer),
                ] {
                    if end == node || node == Node::Broker || end == Node::Broker {
                        self.event(&Event::Closed { node: end, connection, client, why });
                    }
                }
            }
        }
        self.event(&Event::Restarted { node });
    }

    fn subscribe(&mut self, filter: &str, qos: QoS) {
        self.subscribe_as(SubscriptionRequest::new(filter.into(), qos));
    }

    fn subscribe_as(&mut self, request: SubscriptionRequest) {
        let qos = request.qos;
        let requests = [request];
        self.control(DASHBOARD, Kind::Subscribe, Body::Subscribe(&requests));
        self.control(DASHBOARD, Kind::SubAck, Body::SubAck(&[qos.number()]));
    }

    fn unsubscribe(&mut self, filter: &str) {
        self.control(DASHBOARD, Kind::Unsubscribe, Body::Unsubscribe(&[filter.into()]));
        self.control(DASHBOARD, Kind::UnsubAck, Body::None);
    }

    /// Both connect, and the dashboard subscribes.
    fn ready(&mut self, granted: QoS) {
        self.connect(SENSOR, false);
        self.connect(DASHBOARD, false);
        self.subscribe("a", granted);
        self.qos = Some(granted.min(self.roster.streams[0].qos));
        self.event(&Event::Phase(Phase::Traffic));
    }

    fn submit(&mut self, sequence: u32) {
        self.published[sequence as usize] = self.now;
        let tag = self.tag(sequence);
        self.event(&Event::Submitted { tag });
    }

    fn complete(&mut self, sequence: u32) {
        let tag = self.tag(sequence);
        self.event(&Event::Completed { tag });
    }

    fn refuse(&mut self, sequence: u32, why: Dropped) {
        let tag = self.tag(sequence);
        self.event(&Event::Refused { tag, why });
    }

    fn drop_copy(&mut self, sequence: u32, why: Dropped) {
        let tag = self.tag(sequence).forwarded(Transmission::default());
        self.event(&Event::Dropped { client: DASHBOARD, tag, why });
    }

    /// A packet of the sensor's hop, for the `attempt`-th time.
    fn hop1(&mut self, kind: Kind, sequence: u32, attempt: u32, fate: &Fate) {
        let qos = self.roster.streams[0].qos;
        let id = self.id.unwrap_or(u16::try_from(sequence + 1).unwrap());
        self.packet(SENSOR, Hop::First, kind, (self.tag(sequence), qos, id), attempt, fate);
    }

    /// A packet of the dashboard's hop, of the copy that arrival `copy` at the broker made.
    fn hop2(&mut self, kind: Kind, sequence: u32, copy: u32, attempt: u32, fate: &Fate) {
        let arrival = Transmission { attempt: copy, echo: 0 };
        let tag = self.tag(sequence).forwarded(arrival);
        let qos = self.qos.unwrap_or(QoS::ExactlyOnce);
        let id = self.id.unwrap_or(u16::try_from(100 + sequence * 10 + copy).unwrap());
        self.packet(DASHBOARD, Hop::Second, kind, (tag, qos, id), attempt, fate);
    }

    fn packet(
        &mut self,
        client: ClientIndex,
        hop: Hop,
        kind: Kind,
        (tag, qos, id): (Tag, QoS, u16),
        attempt: u32,
        fate: &Fate,
    ) {
        let record_of = (client, hop, kind, tag, qos, id, attempt);
        self.with_record(record_of, |stage, record| stage.transfer(record, fate));
    }

    /// A packet of the dashboard's hop arrives that was not sent just now.
    fn arrive_again(&mut self, kind: Kind, (tag, qos, id): (Tag, QoS, u16)) {
        let record_of = (DASHBOARD, Hop::Second, kind, tag, qos, id, 0);
        self.with_record(record_of, |stage, record| {
            let (node, connection) = (Node::Client(DASHBOARD), stage.connections[1]);
            stage.event(&Event::Arrived { node, connection, record });
        });
    }

    fn with_record(
        &mut self,
        (client, hop, kind, tag, qos, id, attempt): (ClientIndex, Hop, Kind, Tag, QoS, u16, u32),
        then: impl FnOnce(&mut Self, &Record<'_>),
    ) {
        let forth = matches!(kind, Kind::Publish | Kind::PubRel) == (hop == Hop::First);
        let parts = tag.parts().expect("the stage tells of watched messages only");
        let transmission = Transmission { attempt, echo: 0 };
        let Some(topic) = self.roster.streams.first().map(|it| Arc::clone(&it.topic)) else {
            return;
        };
        let dup = self.dup.unwrap_or(attempt > 0) && kind == Kind::Publish;
        let flags = match kind {
            Kind::Publish => qos.number() << 1,
            _ => Self::reserved(kind),
        };
        let retain = u8::from(self.roster.streams[0].retain && kind == Kind::Publish);
        let subject = Subject::Message {
            stream: parts.stream,
            sequence: parts.sequence,
            hop,
            copy: parts.copy,
            transmission,
        };
        let way = if forth { Way::Up } else { Way::Down };
        let record = Record {
            name: PacketName { client, way, kind, subject },
            tag,
            first: (kind as u8) << 4 | u8::from(dup) << 3 | flags | retain,
            id: if qos == QoS::AtMostOnce { 0 } else { id },
            reason: 0,
            size: Size { mqtt: 20, payload: 10, headers: 28 },
            body: if kind == Kind::Publish {
                Body::Publish { topic: &topic, expiry: None }
            } else {
                Body::None
            },
        };
        then(self, &record);
    }

    fn deliver(&mut self, sequence: u32, copy: u32) {
        let tag = self.tag(sequence).forwarded(Transmission { attempt: copy, echo: 0 });
        let qos = self.qos.unwrap_or(QoS::ExactlyOnce);
        self.event(&Event::Delivered { client: DASHBOARD, tag, qos, retain: false });
    }

    /// The whole handshake of the first hop, with nothing lost.
    fn first_hop(&mut self, sequence: u32) {
        self.submit(sequence);
        self.shake1(sequence, 0);
        self.complete(sequence);
    }

    fn shake1(&mut self, sequence: u32, attempt: u32) {
        for kind in handshake(self.roster.streams[0].qos) {
            self.hop1(*kind, sequence, attempt, &OK);
        }
    }

    /// The whole handshake of the second hop, with a delivery.
    fn second_hop(&mut self, sequence: u32, copy: u32) {
        for kind in handshake(self.qos.unwrap_or(QoS::ExactlyOnce)) {
            self.hop2(*kind, sequence, copy, 0, &OK);
            if *kind == Kind::Publish {
                self.deliver(sequence, copy);
            }
        }
    }
}

const OK: Fate = Fate::Arrives(Arrival { at: Time::NEVER, again: None, overtakes: false });
const LOST: Fate = Fate::Lost(Loss::Random);

const fn handshake(qos: QoS) -> &'static [Kind] {
    match qos {
        QoS::AtMostOnce => &[Kind::Publish],
        QoS::AtLeastOnce => &[Kind::Publish, Kind::PubAck],
        QoS::ExactlyOnce => &[Kind::Publish, Kind::PubRec, Kind::PubRel, Kind::PubComp],
    }
}
