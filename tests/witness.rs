//! What a witness finds out about packets whose tags were taken away, held against what our
//! endpoints say of them.

mod common;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use qoslab::base::event::{Dropped, Event, Observer, Record};
use qoslab::base::name::{
    ClientIndex, Connection, Kind, Node, PacketName, Parts, StreamIndex, Subject, Tag, Transmission,
};
use qoslab::base::qos::QoS;
use qoslab::base::time::Time;
use qoslab::mqtt::packet::{Ack, Level, Message, Packet, PacketId, Payload, Publish};
use qoslab::mqtt::wire::restore_tag;
use qoslab::scenario::{Scenario, find};
use qoslab::sim::event::{Options, Tap, run};
use qoslab::sim::trial::{Setup, Trial};
use qoslab::sim::witness::{Ended, Witness, mark};

/// Holds the packets that endpoints wanted to send and that were not yet told as sent: more than one
/// where a fault takes the node away before it sends them.
#[derive(Debug, Default)]
struct Slot(RefCell<Vec<Packet>>);

impl Tap for Slot {
    fn tap(&self, packet: &Packet) {
        self.0.borrow_mut().push(packet.clone());
    }
}

/// Shows a witness what products would have written, and compares.
struct Examiner<'a> {
    setup: &'a Setup,
    slot: &'a Slot,
    witness: Witness,
    /// What is under way as the witness says it is, and how often it arrived.
    under_way: BTreeMap<(Connection, PacketName), (Packet, Transmission, u8)>,
    dialled: BTreeMap<ClientIndex, u32>,
    /// Each client's last connection.
    opened: BTreeMap<ClientIndex, Connection>,
    /// How messages ended: more often in truth, or more often for the witness.
    ended: BTreeMap<Ended, i32>,
    score: Score,
}

/// How many answers of the witness were right.
#[derive(Clone, Debug, Default)]
struct Score {
    right: u32,
    wrong: u32,
    /// The first that was wrong.
    example: Option<String>,
}

impl Score {
    fn mark(&mut self, is_right: bool, example: impl FnOnce() -> String) {
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

impl<'a> Examiner<'a> {
    fn new(setup: &'a Arc<Setup>, slot: &'a Slot) -> Self {
        Self {
            setup,
            slot,
            witness: Witness::new(setup),
            under_way: BTreeMap::new(),
            dialled: BTreeMap::new(),
            opened: BTreeMap::new(),
            ended: BTreeMap::new(),
            score: Score::default(),
        }
    }

    fn sent(&mut self, now: Time, node: Node, connection: Connection, record: &Record<'_>) {
        if record.kind() == Kind::Reset {
            return;
        }
        let truth = self.slot.0.borrow_mut().pop().expect("the tap comes before the event");
        let client = record.name.client;
        let mut packet = stripped(&truth);
        let will = will_of(&truth);
        if let Some(parts) = will.and_then(Tag::parts) {
            // An engine knows how often it dialled; observers are not told.
            let dialled = self.dialled.entry(client).or_default();
            while *dialled <= parts.sequence {
                self.witness.dialled(client);
                *dialled += 1;
            }
        }
        let written = self.witness.wrote(now, node, client, connection, &mut packet);
        if let Some(ended) = written.ended {
            *self.ended.entry(ended).or_default() -= 1;
        }
        let transmission = match record.name.subject {
            Subject::Message { transmission, .. } => transmission,
            Subject::Control { .. } => Transmission::default(),
        };
        let said = (packet.tag(), will_of(&packet), written.transmission);
        let is_right = self.agrees(said.0, truth.tag()) && (said.1, said.2) == (will, transmission);
        self.score.mark(is_right, || format!("{now:?} {:?} {truth:?}: {said:?}", record.name));
        self.under_way.insert((connection, record.name), (packet, written.transmission, 0));
    }

    fn arrived(&mut self, node: Node, connection: Connection, record: &Record<'_>) {
        if record.kind() == Kind::Reset {
            return;
        }
        let key = (connection, record.name);
        let (packet, transmission, arrivals) =
            self.under_way.get_mut(&key).expect("what arrives was sent");
        let mut transmission = *transmission;
        transmission.echo |= *arrivals;
        *arrivals = 1;
        let client = record.name.client;
        if let Some(ended) = self.witness.read(node, client, connection, packet, transmission) {
            *self.ended.entry(ended).or_default() -= 1;
        }
    }

    /// Whether a tag is the true one. Nobody tells the witness when a will is published: it sees
    /// the first copy that is sent of it.
    fn agrees(&self, said: Tag, truth: Tag) -> bool {
        let is_will = |stream: StreamIndex| self.setup.streams[stream.index()].will;
        match (said.parts(), truth.parts()) {
            (Some(said), Some(parts)) if is_will(parts.stream) => {
                said.published >= parts.published
                    && Parts { published: parts.published, ..said } == parts
            }
            _ => said == truth,
        }
    }

    /// A node crashed. What a client wrote in its last moment has a number, though it was not sent.
    fn crashed(&mut self, now: Time, node: Node) {
        for packet in self.slot.0.take() {
            if let Node::Client(client) = node
                && let Some(&connection) = self.opened.get(&client)
            {
                self.witness.wrote(now, node, client, connection, &mut stripped(&packet));
            }
        }
        self.witness.crashed(node);
    }

    fn finish(mut self) -> Score {
        for (ended, more) in &self.ended {
            self.score.mark(*more == 0, || format!("{ended:?}: {more} too few"));
        }
        self.score
    }
}

impl Observer for Examiner<'_> {
    fn observe(&mut self, now: Time, event: &Event<'_>) {
        match *event {
            Event::Submitted { tag } => self.witness.submitted(tag),
            Event::Sent { node, connection, record, .. } => {
                self.sent(now, node, connection, record);
            }
            Event::Arrived { node, connection, record } => self.arrived(node, connection, record),
            Event::Delivered { client, tag, retain, .. } => {
                let said = self.witness.delivered(client, &mark(tag, 0), retain);
                let is_right = said.is_some_and(|said| self.agrees(said, tag));
                self.score.mark(is_right, || {
                    format!("{now:?} delivered {client:?} {tag:?} {retain}: {said:?}")
                });
            }
            Event::Completed { tag } => *self.ended.entry(Ended::Completed(tag)).or_default() += 1,
            Event::Refused { tag, why: why @ Dropped::Rejected } => {
                *self.ended.entry(Ended::Refused(tag, why)).or_default() += 1;
            }
            Event::Closed { node, connection, .. } => self.witness.closed(node, connection),
            Event::Opened { node: Node::Client(client), connection, .. } => {
                self.opened.insert(client, connection);
            }
            Event::Crashed { node } => self.crashed(now, node),
            _ => {}
        }
    }
}

fn will_of(packet: &Packet) -> Option<Tag> {
    match packet {
        Packet::Connect(connect) => connect.will.as_ref().map(|will| will.message.tag),
        _ => None,
    }
}

/// A packet as a product would have written it.
fn stripped(packet: &Packet) -> Packet {
    let marked = |tag, payload: &Payload| Payload::Bytes(mark(tag, payload.len()).into());
    let mut packet = packet.clone();
    match &mut packet {
        Packet::Publish(publish) => {
            let message = &mut publish.message;
            message.payload = marked(message.tag, &message.payload);
        }
        Packet::Connect(connect) => {
            if let Some(will) = &mut connect.will {
                // It is set once, before any connection.
                let tag = will.message.tag.of_connection(0);
                will.message.payload = marked(tag, &will.message.payload);
                will.message.tag = Tag::NONE;
            }
        }
        _ => {}
    }
    restore_tag(&mut packet, Tag::NONE);
    packet
}

fn examine(trial: &Trial) -> Score {
    let slot = Rc::new(Slot::default());
    let examiner = Examiner::new(&trial.setup, &slot);
    let tap: Rc<dyn Tap> = Rc::<Slot>::clone(&slot);
    let options: Options<'_> = Options { tap: Some(tap), ..Options::default() };
    let (_, examiner) = run(trial, examiner, options);
    examiner.finish()
}

/// At most so many messages a stream, and a trial.
const MESSAGES: usize = 60;
const MESSAGES_IN_ALL: usize = 1_000;

/// What cannot be seen from outside: where, how many of 10,000 answers may be wrong, and why.
const GUESSED: [(&str, u32, &str); 3] = [
    ("broker-restart-snapshot", 5, "what the store had kept of what was sent"),
    ("swarm/datagrams-5.0", 15, "which member of a group that is away a message waits for"),
    ("swarm/small-queues-5.0", 10, "which copy was dropped from a queue unsent"),
];

/// The same trial with few messages, unless a schedule lists them.
fn shortened(trial: &Trial) -> Trial {
    let mut setup = Setup::clone(&trial.setup);
    let most = (MESSAGES_IN_ALL / setup.streams.len()).clamp(2, MESSAGES);
    if setup.schedule.is_none() {
        for stream in &mut setup.streams {
            stream.count = stream.count.min(u32::try_from(most).expect("they are few"));
        }
    }
    Trial { setup: Arc::new(setup), ..trial.clone() }
}

#[test]
fn a_witness_finds_out_what_our_endpoints_say() {
    for file in find(Path::new("scenarios")).expect("scenarios are shipped") {
        let text = std::fs::read_to_string(&file).expect("a scenario can be read");
        let scenario =
            Scenario::parse("test.toml", &text).unwrap_or_else(|wrong| panic!("{wrong}"));
        let mut score = Score::default();
        for point in &scenario.points {
            for seed in 1..=8 {
                score.add(examine(&shortened(&point.trial(seed))));
            }
        }
        let Score { right, wrong, example } = score;
        let name = file.display().to_string();
        assert!(right > 0, "{name}: nothing was seen");
        match GUESSED.iter().find(|(guessed, ..)| name.ends_with(&format!("{guessed}.toml"))) {
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
    Arc::clone(&common::Line::default().trial(1).setup)
}

const SENSOR: ClientIndex = ClientIndex(0);
const APP: ClientIndex = ClientIndex(1);

fn ack() -> Ack {
    Ack { id: PacketId::MIN, reason: 0, tag: Tag::NONE }
}

fn publish(payload: Vec<u8>) -> Packet {
    let message =
        Message { topic: "t".into(), payload: Payload::Bytes(payload.into()), tag: Tag::NONE };
    let level = Level::AtLeastOnce(PacketId::MIN);
    Packet::Publish(Publish { level, dup: false, retain: false, message, properties: None })
}

#[test]
fn what_belongs_to_no_message_keeps_no_tag() {
    let mut witness = Witness::new(&setup());
    let connection = Connection(0);
    let unknown = Tag::new(StreamIndex(0), 7, QoS::AtLeastOnce, Time::ZERO);
    for (node, client) in [(Node::Client(SENSOR), SENSOR), (Node::Broker, APP)] {
        for payload in [b"its own".to_vec(), mark(unknown, 64)] {
            let mut packet = publish(payload.clone());
            let written = witness.wrote(Time::ZERO, node, client, connection, &mut packet);
            assert_eq!((packet.tag(), written.ended, written.will), (Tag::NONE, None, None));
            assert_eq!(witness.delivered(client, &payload, false), None);
        }
        for packet in [Packet::PubAck, Packet::PubRec, Packet::PubRel, Packet::PubComp] {
            let mut numbers = [0, 0].map(|_| {
                let mut packet = packet(Ack { id: PacketId::MIN.next(), ..ack() });
                let written = witness.wrote(Time::ZERO, node, client, connection, &mut packet);
                assert_eq!(packet.tag(), Tag::NONE);
                written.transmission
            });
            numbers.sort_unstable();
            assert_ne!(numbers[0], numbers[1], "two packets have one name");
        }
    }
}

#[test]
fn a_message_of_qos_0_is_complete_when_it_is_written() {
    let mut witness = Witness::new(&setup());
    let tag = Tag::new(StreamIndex(0), 0, QoS::AtLeastOnce, Time::ZERO);
    witness.submitted(tag);
    let Packet::Publish(message) = publish(mark(tag, 64)) else { unreachable!("it is one") };
    let mut packet = Packet::Publish(Publish { level: Level::AtMostOnce, ..message });
    let node = Node::Client(SENSOR);
    let written = witness.wrote(Time::ZERO, node, SENSOR, Connection(0), &mut packet);
    assert_eq!((packet.tag(), written.ended), (tag, Some(Ended::Completed(tag))));
}
