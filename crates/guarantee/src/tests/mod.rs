//! Trials written by hand, event by event.

use std::sync::Arc;

use super::evidence_recorder::EvidenceRecorder;
use super::first_pass::FirstPassObserver;
use super::trial_facts::{ClientFacts, PublisherFacts, TrialFacts};
use super::verdict::{Blame, Breach, Outcome, Promise, Violation};
use qoslab_core::base::{
    Arrival, ClientIndex, CloseReason, ConnectionNumber, Direction, DropReason, Ending, Event,
    Fate, Hop, LossReason, MessageTag, Node, Observer, PacketBody, PacketKind, PacketMeta,
    PacketName, PacketSize, PacketSubject, Phase, PublisherIndex, QoS, RunSummary, Span,
    SubscriptionRequest, Time, Transmission,
};
use qoslab_core::mqtt::{StorePolicy, Version};

mod counters;
mod crashes;
mod dead_connections;
mod every_rule;
mod excuses;
mod promises;
mod rule_harness;
mod rules;
mod sessions;
mod shared_subscriptions;

const SENSOR: ClientIndex = ClientIndex(0);
const DASHBOARD: ClientIndex = ClientIndex(1);

/// A sensor that publishes to `a` and a dashboard that may subscribe.
fn trial_facts(published: QoS) -> TrialFacts {
    let client = |name: &str| ClientFacts {
        name: name.into(),
        clean_session: false,
        version: Version::V311,
        resends_by_timer: true,
        delivers_on_pubrel: false,
        over_tcp: false,
        keep_alive: false,
        store: StorePolicy::Durable,
        billed: None,
        max_transmissions: None,
        max_queued: 1_000,
        subscriptions: Vec::new(),
    };
    TrialFacts {
        clients: vec![client("sensor"), client("dashboard")],
        publishers: vec![PublisherFacts {
            name: "sensor".into(),
            client: SENSOR,
            topic: "a".into(),
            qos: published,
            retain: false,
            count: 10,
            expiry: None,
            max_payload: 10,
            will: false,
            publish_denied: false,
        }],
        broker_max_queued: 1_000,
        ..TrialFacts::default()
    }
}

/// The same over byte streams, where the broker and the clients send again on reconnecting.
fn over_tcp(mut facts: TrialFacts) -> TrialFacts {
    for client in &mut facts.clients {
        client.over_tcp = true;
        client.keep_alive = true;
        client.resends_by_timer = false;
    }
    facts
}

/// Plays a trial, and once more for the evidence if a promise was broken.
fn run_both_passes(
    facts: TrialFacts,
    ending: Ending,
    script: impl Fn(&mut TestTrial<'_>),
) -> Outcome {
    let facts = Arc::new(facts);
    let mut observer = FirstPassObserver::new(&facts);
    let at = run_script(&facts, &mut observer, &script);
    let summary = RunSummary { ending, at, events: 0, packets: 0, trace_hash: 0, radio: None };
    let first = observer.finish(&summary);
    if first.suspects.is_empty() {
        return first.into_unexplained_outcome();
    }
    let mut recorder = EvidenceRecorder::new(&facts, &first.suspects);
    run_script(&facts, &mut recorder, &script);
    recorder.into_outcome(first)
}

/// A trial that ends well, and the one violation it has.
fn violations(
    facts: TrialFacts,
    script: impl Fn(&mut TestTrial<'_>),
) -> Vec<(Promise, Breach, Blame)> {
    let outcome = run_both_passes(facts, Ending::Quiescent, script);
    let kinds = outcome.violations.iter();
    kinds.map(|(Violation { promise, breach, blame }, _)| (*promise, *breach, *blame)).collect()
}

fn run_script(
    facts: &Arc<TrialFacts>,
    observer: &mut impl Observer,
    script: &impl Fn(&mut TestTrial<'_>),
) -> Time {
    let mut observe = |now: Time, event: &Event<'_>| observer.observe(now, event);
    let mut trial = TestTrial {
        observe: &mut observe,
        facts: Arc::clone(facts),
        now: Time::ZERO,
        published: [Time::ZERO; 16],
        connections: [ConnectionNumber(0), ConnectionNumber(1)],
        next_connection: 2,
        id: None,
        dup: None,
        qos: None,
        expiry: None,
        reason: 0,
    };
    script(&mut trial);
    trial.now
}

/// Reports a trial's events to an observer; each step takes a millisecond.
struct TestTrial<'a> {
    observe: &'a mut dyn FnMut(Time, &Event<'_>),
    facts: Arc<TrialFacts>,
    now: Time,
    published: [Time; 16],
    connections: [ConnectionNumber; 2],
    next_connection: u32,
    /// The packet id of what is sent from now on, if not the usual one.
    id: Option<u16>,
    /// Its DUP flag, if not the right one.
    dup: Option<bool>,
    /// The QoS on the second hop, if not the lower of the two.
    qos: Option<QoS>,
    /// The Message Expiry Interval of what is published from now on, in seconds.
    expiry: Option<u32>,
    /// The reason code of the acknowledgements sent from now on.
    reason: u8,
}

impl TestTrial<'_> {
    fn emit(&mut self, event: &Event<'_>) {
        self.now += Span::from_millis(1);
        (self.observe)(self.now, event);
    }

    fn tag(&self, sequence: u32) -> MessageTag {
        let qos = self.facts.publishers[0].qos;
        MessageTag::new(PublisherIndex(0), sequence, qos, self.published[sequence as usize])
    }

    /// A control packet, sent and received.
    fn control_packet(&mut self, client: ClientIndex, kind: PacketKind, body: PacketBody<'_>) {
        let direction = match kind {
            PacketKind::ConnAck | PacketKind::SubAck | PacketKind::UnsubAck => Direction::Down,
            _ => Direction::Up,
        };
        let subject = PacketSubject::Control { nth: 0 };
        let packet = PacketMeta {
            name: PacketName { client, direction, kind, subject },
            tag: MessageTag::NONE,
            first_byte: (kind as u8) << 4 | Self::reserved_flags(kind),
            id: 1,
            reason: 0,
            size: PacketSize { mqtt: 10, payload: 0, headers: 28 },
            body,
        };
        self.send_and_receive(&packet, &Fate::arriving_at(self.now));
    }

    /// The reserved flags of kinds other than PUBLISH.
    const fn reserved_flags(kind: PacketKind) -> u8 {
        match kind {
            PacketKind::PubRel | PacketKind::Subscribe | PacketKind::Unsubscribe => 0b0010,
            _ => 0,
        }
    }

    fn send_and_receive(&mut self, packet: &PacketMeta<'_>, fate: &Fate) {
        let client = packet.name.client;
        let connection = self.connections[client.index()];
        let (from, to) = match packet.name.direction {
            Direction::Up => (Node::Client(client), Node::Broker),
            Direction::Down => (Node::Broker, Node::Client(client)),
        };
        self.emit(&Event::Sent { node: from, connection, packet, fate });
        if matches!(fate, Fate::Arrives(_)) {
            self.emit(&Event::Arrived { node: to, connection, packet });
        }
    }

    fn connect(&mut self, client: ClientIndex, session_present: bool) {
        self.connect_as(client, (false, u32::MAX, u32::MAX), session_present);
    }

    /// With a clean start, which ends the session that there was.
    fn connect_clean(&mut self, client: ClientIndex) {
        self.connect_as(client, (true, u32::MAX, u32::MAX), false);
    }

    /// With a clean start or not, a Session Expiry Interval, and a Maximum Packet Size.
    fn connect_as(&mut self, client: ClientIndex, wishes: (bool, u32, u32), session_present: bool) {
        self.ask_to_connect(client, wishes);
        self.welcome(client, session_present);
    }

    fn ask_to_connect(
        &mut self,
        client: ClientIndex,
        (clean, session_expiry, max_packet_size): (bool, u32, u32),
    ) {
        self.connections[client.index()] = ConnectionNumber(self.next_connection);
        self.next_connection += 1;
        let connection = self.connections[client.index()];
        for node in [Node::Client(client), Node::Broker] {
            self.emit(&Event::Opened { node, connection, client });
        }
        self.control_packet(
            client,
            PacketKind::Connect,
            PacketBody::Connect {
                clean,
                session_expiry,
                keep_alive: 0,
                receive_maximum: u16::MAX,
                max_packet_size,
                will_delay: None,
            },
        );
    }

    fn welcome(&mut self, client: ClientIndex, session_present: bool) {
        self.control_packet(
            client,
            PacketKind::ConnAck,
            PacketBody::ConnAck {
                session_present,
                receive_maximum: u16::MAX,
                max_packet_size: u32::MAX,
            },
        );
    }

    fn disconnect(&mut self, client: ClientIndex) {
        let connection = self.connections[client.index()];
        for node in [Node::Client(client), Node::Broker] {
            self.emit(&Event::Closed { node, connection, client, why: CloseReason::Requested });
        }
    }

    /// Both ends learn that the connection is cut.
    fn cut(&mut self, client: ClientIndex) {
        let connection = self.connections[client.index()];
        for node in [Node::Client(client), Node::Broker] {
            self.emit(&Event::Closed { node, connection, client, why: CloseReason::Cut });
        }
    }

    /// A node crashes and starts again; no client is connected to it any more.
    fn crash(&mut self, node: Node) {
        self.emit(&Event::Crashed { node });
        for client in [SENSOR, DASHBOARD] {
            let connection = self.connections[client.index()];
            if node == Node::Broker || node == Node::Client(client) {
                for (end, why) in [
                    (node, CloseReason::Crash),
                    (Node::Client(client), CloseReason::Peer),
                    (Node::Broker, CloseReason::Peer),
                ] {
                    if end == node || node == Node::Broker || end == Node::Broker {
                        self.emit(&Event::Closed { node: end, connection, client, why });
                    }
                }
            }
        }
        self.emit(&Event::Restarted { node });
    }

    fn subscribe(&mut self, filter: &str, qos: QoS) {
        self.subscribe_with(SubscriptionRequest::new(filter.into(), qos));
    }

    fn subscribe_with(&mut self, request: SubscriptionRequest) {
        let qos = request.qos;
        let requests = [request];
        self.control_packet(DASHBOARD, PacketKind::Subscribe, PacketBody::Subscribe(&requests));
        self.control_packet(DASHBOARD, PacketKind::SubAck, PacketBody::SubAck(&[qos.number()]));
    }

    fn unsubscribe(&mut self, filter: &str) {
        self.control_packet(
            DASHBOARD,
            PacketKind::Unsubscribe,
            PacketBody::Unsubscribe(&[filter.into()]),
        );
        self.control_packet(DASHBOARD, PacketKind::UnsubAck, PacketBody::None);
    }

    /// Both connect, and the dashboard subscribes.
    fn connect_and_subscribe(&mut self, granted: QoS) {
        self.connect(SENSOR, false);
        self.connect(DASHBOARD, false);
        self.subscribe("a", granted);
        self.qos = Some(granted.min(self.facts.publishers[0].qos));
        self.emit(&Event::Phase(Phase::Traffic));
    }

    fn submit(&mut self, sequence: u32) {
        self.published[sequence as usize] = self.now;
        let tag = self.tag(sequence);
        self.emit(&Event::Submitted { tag });
    }

    fn complete(&mut self, sequence: u32) {
        let tag = self.tag(sequence);
        self.emit(&Event::Completed { tag });
    }

    fn refuse(&mut self, sequence: u32, why: DropReason) {
        let tag = self.tag(sequence);
        self.emit(&Event::Refused { tag, why });
    }

    fn drop_copy(&mut self, sequence: u32, why: DropReason) {
        let tag = self.tag(sequence).forwarded(Transmission::default());
        self.emit(&Event::Dropped { client: DASHBOARD, tag, why });
    }

    /// A packet of the sensor's hop, for the `attempt`-th time.
    fn first_hop_packet(&mut self, kind: PacketKind, sequence: u32, attempt: u32, fate: &Fate) {
        let qos = self.facts.publishers[0].qos;
        let id = self.id.unwrap_or(u16::try_from(sequence + 1).unwrap());
        self.packet(SENSOR, Hop::First, kind, (self.tag(sequence), qos, id), attempt, fate);
    }

    /// A packet of the dashboard's hop, of the copy that arrival `copy` at the broker made.
    fn second_hop_packet(
        &mut self,
        kind: PacketKind,
        sequence: u32,
        copy: u32,
        attempt: u32,
        fate: &Fate,
    ) {
        let arrival = Transmission { attempt: copy, duplicate_index: 0 };
        let tag = self.tag(sequence).forwarded(arrival);
        let qos = self.qos.unwrap_or(QoS::ExactlyOnce);
        let id = self.id.unwrap_or(u16::try_from(100 + sequence * 10 + copy).unwrap());
        self.packet(DASHBOARD, Hop::Second, kind, (tag, qos, id), attempt, fate);
    }

    fn packet(
        &mut self,
        client: ClientIndex,
        hop: Hop,
        kind: PacketKind,
        (tag, qos, id): (MessageTag, QoS, u16),
        attempt: u32,
        fate: &Fate,
    ) {
        let record_of = (client, hop, kind, tag, qos, id, attempt);
        self.with_record(record_of, |trial, packet| trial.send_and_receive(packet, fate));
    }

    /// A packet of the dashboard's hop arrives that was not sent just now.
    fn arrive_unsent(&mut self, kind: PacketKind, (tag, qos, id): (MessageTag, QoS, u16)) {
        let record_of = (DASHBOARD, Hop::Second, kind, tag, qos, id, 0);
        self.with_record(record_of, |trial, packet| {
            let (node, connection) = (Node::Client(DASHBOARD), trial.connections[1]);
            trial.emit(&Event::Arrived { node, connection, packet });
        });
    }

    fn with_record(
        &mut self,
        (client, hop, kind, tag, qos, id, attempt): (
            ClientIndex,
            Hop,
            PacketKind,
            MessageTag,
            QoS,
            u16,
            u32,
        ),
        then: impl FnOnce(&mut Self, &PacketMeta<'_>),
    ) {
        let is_upward =
            matches!(kind, PacketKind::Publish | PacketKind::PubRel) == (hop == Hop::First);
        let message_id = tag.message_id().expect("the stage tells of watched messages only");
        let transmission = Transmission { attempt, duplicate_index: 0 };
        let Some(topic) = self.facts.publishers.first().map(|it| Arc::clone(&it.topic)) else {
            return;
        };
        let dup = self.dup.unwrap_or(attempt > 0) && kind == PacketKind::Publish;
        let flags = match kind {
            PacketKind::Publish => qos.number() << 1,
            _ => Self::reserved_flags(kind),
        };
        let retain = u8::from(self.facts.publishers[0].retain && kind == PacketKind::Publish);
        let subject = PacketSubject::Message {
            publisher: message_id.publisher,
            sequence: message_id.sequence,
            hop,
            copy: message_id.copy,
            transmission,
        };
        let direction = if is_upward { Direction::Up } else { Direction::Down };
        let packet = PacketMeta {
            name: PacketName { client, direction, kind, subject },
            tag,
            first_byte: (kind as u8) << 4 | u8::from(dup) << 3 | flags | retain,
            id: if qos == QoS::AtMostOnce { 0 } else { id },
            reason: if kind == PacketKind::Publish { 0 } else { self.reason },
            size: PacketSize { mqtt: 20, payload: 10, headers: 28 },
            body: if kind == PacketKind::Publish {
                PacketBody::Publish { topic: &topic, expiry: self.expiry }
            } else {
                PacketBody::None
            },
        };
        then(self, &packet);
    }

    fn deliver(&mut self, sequence: u32, copy: u32) {
        let tag = self.tag(sequence).forwarded(Transmission { attempt: copy, duplicate_index: 0 });
        let qos = self.qos.unwrap_or(QoS::ExactlyOnce);
        self.emit(&Event::Delivered { client: DASHBOARD, tag, qos, retain: false });
    }

    /// The whole handshake of the first hop, with nothing lost.
    fn first_hop(&mut self, sequence: u32) {
        self.submit(sequence);
        self.first_hop_handshake(sequence, 0);
        self.complete(sequence);
    }

    fn first_hop_handshake(&mut self, sequence: u32, attempt: u32) {
        for kind in handshake(self.facts.publishers[0].qos) {
            self.first_hop_packet(*kind, sequence, attempt, &ARRIVES);
        }
    }

    /// The whole handshake of the second hop, with a delivery.
    fn second_hop(&mut self, sequence: u32, copy: u32) {
        for kind in handshake(self.qos.unwrap_or(QoS::ExactlyOnce)) {
            self.second_hop_packet(*kind, sequence, copy, 0, &ARRIVES);
            if *kind == PacketKind::Publish {
                self.deliver(sequence, copy);
            }
        }
    }
}

const ARRIVES: Fate =
    Fate::Arrives(Arrival { at: Time::NEVER, duplicate_at: None, overtakes: false });
const LOST: Fate = Fate::Lost(LossReason::Random);

const fn handshake(qos: QoS) -> &'static [PacketKind] {
    match qos {
        QoS::AtMostOnce => &[PacketKind::Publish],
        QoS::AtLeastOnce => &[PacketKind::Publish, PacketKind::PubAck],
        QoS::ExactlyOnce => {
            &[PacketKind::Publish, PacketKind::PubRec, PacketKind::PubRel, PacketKind::PubComp]
        }
    }
}
