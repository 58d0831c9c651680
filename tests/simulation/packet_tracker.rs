//! The packet tracker's findings on packets without tags, compared with what our endpoints report
//! of them.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use qoslab::base::{
    ClientIndex, ConnectionNumber, DropReason, Event, MessageId, MessageTag, Node, Observer,
    PacketKind, PacketMeta, PacketName, PacketSubject, PublisherIndex, QoS, Time, Transmission,
};
use qoslab::mqtt::wire::restore_tag;
use qoslab::mqtt::{Message, Packet, PacketId, Payload, Publish, PublishAck, PublishLevel};
use qoslab::scenario::{Scenario, find_scenarios};
use qoslab::sim::event::run;
use qoslab::sim::{Options, PacketTap};
use qoslab::sim::{PacketTracker, PublishOutcome, Setup, Trial, payload_with_id};

/// Holds the packets that endpoints wanted to send and that were not yet reported as sent: more
/// than one where a fault stops the node before it sends them.
#[derive(Debug, Default)]
struct SentPackets(RefCell<Vec<Packet>>);

impl PacketTap for SentPackets {
    fn packet_sent(&self, packet: &Packet) {
        self.0.borrow_mut().push(packet.clone());
    }
}

/// Shows a packet tracker what a third-party implementation would have written, and compares.
struct TrackerChecker<'a> {
    setup: &'a Setup,
    sent_packets: &'a SentPackets,
    tracker: PacketTracker,
    /// The packets in flight according to the tracker, and how often each arrived.
    in_flight: BTreeMap<(ConnectionNumber, PacketName), (Packet, Transmission, u8)>,
    connect_counts: BTreeMap<ClientIndex, u32>,
    /// Each client's last connection.
    opened: BTreeMap<ClientIndex, ConnectionNumber>,
    /// The outcomes of messages: positive if more frequent in truth, negative if for the tracker.
    ended: BTreeMap<PublishOutcome, i32>,
    score: Score,
}

/// The number of right and wrong answers of the tracker.
#[derive(Clone, Debug, Default)]
struct Score {
    right: u32,
    wrong: u32,
    /// The first wrong answer.
    example: Option<String>,
}

impl Score {
    fn record(&mut self, is_right: bool, example: impl FnOnce() -> String) {
        if is_right {
            self.right += 1;
        } else {
            self.wrong += 1;
            self.example.get_or_insert_with(example);
        }
    }

    fn add(&mut self, other: Self) {
        self.right += other.right;
        self.wrong += other.wrong;
        self.example = self.example.take().or(other.example);
    }
}

impl<'a> TrackerChecker<'a> {
    fn new(setup: &'a Arc<Setup>, sent_packets: &'a SentPackets) -> Self {
        Self {
            setup,
            sent_packets,
            tracker: PacketTracker::new(setup),
            in_flight: BTreeMap::new(),
            connect_counts: BTreeMap::new(),
            opened: BTreeMap::new(),
            ended: BTreeMap::new(),
            score: Score::default(),
        }
    }

    fn sent(
        &mut self,
        now: Time,
        node: Node,
        connection: ConnectionNumber,
        record: &PacketMeta<'_>,
    ) {
        if record.kind() == PacketKind::Reset {
            return;
        }
        let truth = self.sent_packets.0.borrow_mut().pop().expect("the tap comes before the event");
        let client = record.name.client;
        let mut packet = without_tags(&truth);
        let will = will_tag(&truth);
        if let Some(parts) = will.and_then(MessageTag::message_id) {
            // An engine knows how often it dialled; observers are not notified.
            let dialled = self.connect_counts.entry(client).or_default();
            while *dialled <= parts.sequence {
                self.tracker.connect_started(client);
                *dialled += 1;
            }
        }
        let written = self.tracker.packet_written(now, node, client, connection, &mut packet);
        if let Some(ended) = written.publish_outcome {
            *self.ended.entry(ended).or_default() -= 1;
        }
        let transmission = match record.name.subject {
            PacketSubject::Message { transmission, .. } => transmission,
            PacketSubject::Control { .. } => Transmission::default(),
        };
        let said = (packet.tag(), will_tag(&packet), written.transmission);
        let is_right = self.agrees(said.0, truth.tag()) && (said.1, said.2) == (will, transmission);
        self.score.record(is_right, || format!("{now:?} {:?} {truth:?}: {said:?}", record.name));
        self.in_flight.insert((connection, record.name), (packet, written.transmission, 0));
    }

    fn arrived(&mut self, node: Node, connection: ConnectionNumber, record: &PacketMeta<'_>) {
        if record.kind() == PacketKind::Reset {
            return;
        }
        let key = (connection, record.name);
        let (packet, transmission, arrivals) =
            self.in_flight.get_mut(&key).expect("what arrives was sent");
        let mut transmission = *transmission;
        transmission.duplicate_index |= *arrivals;
        *arrivals = 1;
        let client = record.name.client;
        if let Some(ended) =
            self.tracker.packet_read(node, client, connection, packet, transmission)
        {
            *self.ended.entry(ended).or_default() -= 1;
        }
    }

    /// Whether a tag is the true one. The tracker is not notified when a will is published: it sees
    /// the first copy that is sent of it.
    fn agrees(&self, said: MessageTag, truth: MessageTag) -> bool {
        let is_will = |stream: PublisherIndex| self.setup.publishers[stream.index()].is_will;
        match (said.message_id(), truth.message_id()) {
            (Some(said), Some(parts)) if is_will(parts.publisher) => {
                said.published >= parts.published
                    && MessageId { published: parts.published, ..said } == parts
            }
            _ => said == truth,
        }
    }

    /// Handles a crash. A client's last packet has a number, though it was not sent.
    fn crashed(&mut self, now: Time, node: Node) {
        for packet in self.sent_packets.0.take() {
            if let Node::Client(client) = node
                && let Some(&connection) = self.opened.get(&client)
            {
                self.tracker.packet_written(
                    now,
                    node,
                    client,
                    connection,
                    &mut without_tags(&packet),
                );
            }
        }
        self.tracker.node_crashed(node);
    }

    fn finish(mut self) -> Score {
        for (ended, more) in &self.ended {
            self.score.record(*more == 0, || format!("{ended:?}: {more} too few"));
        }
        self.score
    }
}

impl Observer for TrackerChecker<'_> {
    fn observe(&mut self, now: Time, event: &Event<'_>) {
        match *event {
            Event::Submitted { tag } => self.tracker.message_submitted(tag),
            Event::Sent { node, connection, packet: record, .. } => {
                self.sent(now, node, connection, record);
            }
            Event::Arrived { node, connection, packet: record } => {
                self.arrived(node, connection, record);
            }
            Event::Delivered { client, tag, retain, .. } => {
                let said = self.tracker.payload_delivered(client, &payload_with_id(tag, 0), retain);
                let is_right = said.is_some_and(|said| self.agrees(said, tag));
                self.score.record(is_right, || {
                    format!("{now:?} delivered {client:?} {tag:?} {retain}: {said:?}")
                });
            }
            Event::Completed { tag } => {
                *self.ended.entry(PublishOutcome::Completed(tag)).or_default() += 1;
            }
            Event::Refused { tag, why: why @ DropReason::Rejected } => {
                *self.ended.entry(PublishOutcome::Refused(tag, why)).or_default() += 1;
            }
            Event::Closed { node, connection, .. } => {
                self.tracker.connection_closed(node, connection);
            }
            Event::Opened { node: Node::Client(client), connection, .. } => {
                self.opened.insert(client, connection);
            }
            Event::Crashed { node } => self.crashed(now, node),
            _ => {}
        }
    }
}

fn will_tag(packet: &Packet) -> Option<MessageTag> {
    match packet {
        Packet::Connect(connect) => connect.will.as_ref().map(|will| will.message.tag),
        _ => None,
    }
}

/// A packet as a third-party implementation would have written it.
fn without_tags(packet: &Packet) -> Packet {
    let marked =
        |tag, payload: &Payload| Payload::Bytes(payload_with_id(tag, payload.len()).into());
    let mut packet = packet.clone();
    match &mut packet {
        Packet::Publish(publish) => {
            let message = &mut publish.message;
            message.payload = marked(message.tag, &message.payload);
        }
        Packet::Connect(connect) => {
            if let Some(will) = &mut connect.will {
                // It is set once, before any connection.
                let tag = will.message.tag.for_will_of_connection(0);
                will.message.payload = marked(tag, &will.message.payload);
                will.message.tag = MessageTag::NONE;
            }
        }
        _ => {}
    }
    restore_tag(&mut packet, MessageTag::NONE);
    packet
}

fn check_trial(trial: &Trial) -> Score {
    let sent_packets = Rc::new(SentPackets::default());
    let checker = TrackerChecker::new(&trial.setup, &sent_packets);
    let tap: Rc<dyn PacketTap> = Rc::<SentPackets>::clone(&sent_packets);
    let options: Options<'_> = Options { packet_tap: Some(tap), ..Options::default() };
    let (_, checker) = run(trial, checker, options);
    checker.finish()
}

/// The maximum numbers of messages per stream and per trial.
const MESSAGES: usize = 60;
const MESSAGES_IN_ALL: usize = 1_000;

/// Unobservable facts: the scenario, how many of 10,000 answers may be wrong, and why.
const UNOBSERVABLE: [(&str, u32, &str); 3] = [
    ("broker-restart-snapshot", 5, "what the store had kept of what was sent"),
    ("swarm/datagrams-5.0", 15, "which member of a group that is away a message waits for"),
    ("swarm/small-queues-5.0", 10, "which copy was dropped from a queue unsent"),
];

/// The same trial with few messages, unless a schedule lists them.
fn shortened(trial: &Trial) -> Trial {
    let mut setup = Setup::clone(&trial.setup);
    let most = (MESSAGES_IN_ALL / setup.publishers.len()).clamp(2, MESSAGES);
    if setup.schedule.is_none() {
        for stream in &mut setup.publishers {
            stream.count = stream.count.min(u32::try_from(most).expect("they are few"));
        }
    }
    Trial { setup: Arc::new(setup), ..trial.clone() }
}

#[test]
fn the_packet_tracker_agrees_with_the_endpoints() {
    for file in find_scenarios(Path::new("scenarios")).expect("scenarios are shipped") {
        let text = std::fs::read_to_string(&file).expect("a scenario can be read");
        let scenario =
            Scenario::parse("test.toml", &text).unwrap_or_else(|wrong| panic!("{wrong}"));
        let mut score = Score::default();
        for point in &scenario.points {
            for seed in 1..=8 {
                score.add(check_trial(&shortened(&point.trial(seed))));
            }
        }
        let Score { right, wrong, example } = score;
        let name = file.display().to_string();
        assert!(right > 0, "{name}: nothing was seen");
        match UNOBSERVABLE.iter().find(|(guessed, ..)| name.ends_with(&format!("{guessed}.toml"))) {
            None => assert_eq!(wrong, 0, "{name}: {wrong} wrong, {right} right: {example:?}"),
            Some((_, most, what)) => {
                let all = right + wrong;
                let share = wrong * 10_000;
                assert!(share > 0, "{name}: nothing is wrong any more: {what}");
                assert!(share <= most * all, "{name}: {wrong} wrong of {all}: {example:?}");
            }
        }
    }
}

fn setup() -> Arc<Setup> {
    Arc::clone(&crate::common::TwoHopScenario::default().trial(1).setup)
}

const SENSOR: ClientIndex = ClientIndex(0);
const APP: ClientIndex = ClientIndex(1);

fn ack() -> PublishAck {
    PublishAck { id: PacketId::MIN, reason: 0, tag: MessageTag::NONE }
}

fn publish(payload: Vec<u8>) -> Packet {
    let message = Message {
        topic: "t".into(),
        payload: Payload::Bytes(payload.into()),
        tag: MessageTag::NONE,
    };
    let level = PublishLevel::AtLeastOnce(PacketId::MIN);
    Packet::Publish(Publish { level, dup: false, retain: false, message, properties: None })
}

#[test]
fn packets_without_a_message_keep_no_tag() {
    let mut tracker = PacketTracker::new(&setup());
    let connection = ConnectionNumber(0);
    let unknown = MessageTag::new(PublisherIndex(0), 7, QoS::AtLeastOnce, Time::ZERO);
    for (node, client) in [(Node::Client(SENSOR), SENSOR), (Node::Broker, APP)] {
        for payload in [b"its own".to_vec(), payload_with_id(unknown, 64)] {
            let mut packet = publish(payload.clone());
            let written = tracker.packet_written(Time::ZERO, node, client, connection, &mut packet);
            assert_eq!(
                (packet.tag(), written.publish_outcome, written.will),
                (MessageTag::NONE, None, None)
            );
            assert_eq!(tracker.payload_delivered(client, &payload, false), None);
        }
        for packet in [Packet::PubAck, Packet::PubRec, Packet::PubRel, Packet::PubComp] {
            let mut numbers = [0, 0].map(|_| {
                let mut packet = packet(PublishAck { id: PacketId::MIN.next(), ..ack() });
                let written =
                    tracker.packet_written(Time::ZERO, node, client, connection, &mut packet);
                assert_eq!(packet.tag(), MessageTag::NONE);
                written.transmission
            });
            numbers.sort_unstable();
            assert_ne!(numbers[0], numbers[1], "two packets have one name");
        }
    }
}

#[test]
fn a_message_of_qos_0_is_complete_when_it_is_written() {
    let mut tracker = PacketTracker::new(&setup());
    let tag = MessageTag::new(PublisherIndex(0), 0, QoS::AtLeastOnce, Time::ZERO);
    tracker.message_submitted(tag);
    let Packet::Publish(message) = publish(payload_with_id(tag, 64)) else {
        unreachable!("it is one")
    };
    let mut packet = Packet::Publish(Publish { level: PublishLevel::AtMostOnce, ..message });
    let node = Node::Client(SENSOR);
    let written =
        tracker.packet_written(Time::ZERO, node, SENSOR, ConnectionNumber(0), &mut packet);
    assert_eq!(
        (packet.tag(), written.publish_outcome),
        (tag, Some(PublishOutcome::Completed(tag)))
    );
}
