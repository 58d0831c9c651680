//! The monitor: every endpoint judged by what crossed its own interface, and by nothing else.
//!
//! Over datagrams a correct endpoint may see packets that are late, repeated or out of order. So a
//! sender is judged by the ids that it has in use *by what it was told*, and a receiver by the ids
//! that it holds, whatever its peer meant.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::links::Links;
use super::roster::Roster;
use super::rules::Rule;
use crate::base::event::{Body, Event, Observer, Record};
use crate::base::name::{ClientIndex, Connection, Hop, Kind, Node, StreamIndex, Tag};
use crate::base::qos::QoS;
use crate::base::time::Time;

/// A rule that an endpoint broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Break {
    /// When; for an answer that never came, when it became due.
    pub at: Time,
    /// Who.
    pub node: Node,
    /// On whose link.
    pub link: ClientIndex,
    /// On which hop of the message.
    pub hop: Hop,
    /// Which rule.
    pub rule: Rule,
    /// The message it concerns, if it is one that is watched.
    pub message: Option<(StreamIndex, u32)>,
    /// A second message it concerns: the one that used the id before.
    pub other: Option<(StreamIndex, u32)>,
}

/// Watches every connection of a trial. It remembers what is in flight and no more.
#[derive(Clone, Debug)]
pub struct Monitor {
    roster: Arc<Roster>,
    links: Links,
    /// By sender, link and packet id.
    sending: BTreeMap<(Node, ClientIndex, u16), Sending>,
    /// By receiver, link and packet id: QoS 2 ids that are held.
    held: BTreeMap<(Node, ClientIndex, u16), Held>,
    /// By receiver, link, kind of the answer and packet id.
    due: BTreeMap<(Node, ClientIndex, Kind, u16), Due>,
    /// The last packet that reached an endpoint: what it delivers now is because of it.
    cause: Option<(Node, ClientIndex, u16)>,
    /// The connections whose CONNACK was sent and received last, by client.
    welcomed: Vec<[Option<Connection>; 2]>,
    fresh: Option<Tag>,
    answered: Option<Tag>,
    welcome: bool,
    breaks: Vec<Break>,
}

/// A message that a sender has under way.
#[derive(Clone, Copy, Debug)]
struct Sending {
    tag: Tag,
    qos: QoS,
    /// PUBREL was sent for it.
    released: bool,
    /// An acknowledgement came that does not fit its state: some endpoints take it as the end.
    doubtful: bool,
}

/// A QoS 2 id that a receiver holds.
#[derive(Clone, Copy, Debug)]
struct Held {
    tag: Tag,
    onward: u32,
}

/// An answer that an endpoint owes.
#[derive(Clone, Copy, Debug)]
struct Due {
    tag: Tag,
    since: Time,
    times: u32,
}

impl Monitor {
    /// Nothing seen yet.
    #[must_use]
    pub fn new(roster: &Arc<Roster>) -> Self {
        let clients = roster.clients.len();
        Self {
            roster: Arc::clone(roster),
            links: Links::new(clients),
            sending: BTreeMap::new(),
            held: BTreeMap::new(),
            due: BTreeMap::new(),
            cause: None,
            welcomed: vec![[None; 2]; clients],
            fresh: None,
            answered: None,
            welcome: false,
            breaks: Vec::new(),
        }
    }

    /// The rules broken since the last call, in order.
    pub fn take_breaks(&mut self) -> Vec<Break> {
        std::mem::take(&mut self.breaks)
    }

    /// The trial is over: what was not answered by now never will be.
    pub fn finish(&mut self) {
        for (key, due) in std::mem::take(&mut self.due) {
            self.unanswered(key, due);
        }
    }

    /// Whether a packet that arrives is read by this end. A client reads nothing but a CONNACK on
    /// a connection that is not accepted yet: what overtook the CONNACK, it lets pass.
    pub(super) fn reads(&self, node: Node, connection: Connection, record: &Record<'_>) -> bool {
        let client = record.name.client;
        let accepted = node == Node::Broker
            || record.kind() == Kind::ConnAck
            || self.welcomed[client.index()][0] == Some(connection);
        accepted && self.links.is_open(node, client, connection)
    }

    /// The message that the receiver had reason to pass on because of what arrived last, by its own
    /// knowledge: a PUBLISH of QoS 0 or 1, one of QoS 2 whose id was not held, or what it held
    /// under the id of a PUBREL.
    pub(super) const fn fresh(&self) -> Option<Tag> {
        self.fresh
    }

    /// The message that its sender took on, or took as done, because of the acknowledgement that
    /// arrived last. It goes by the packet id alone, whatever message the receiver meant.
    pub(super) const fn answered(&self) -> Option<Tag> {
        self.answered
    }

    /// The message for which a receiver holds a packet id.
    pub(super) fn holder(&self, node: Node, client: ClientIndex, id: u16) -> Option<Tag> {
        self.held.get(&(node, client, id)).map(|held| held.tag)
    }

    /// Whether any connection is open at this end.
    pub(super) fn is_connected(&self, node: Node, client: ClientIndex) -> bool {
        self.links.is_connected(node, client)
    }

    /// Whether the CONNACK that the broker has just sent to a client was the first on its
    /// connection, and not the answer to a repeated CONNECT.
    pub(super) const fn was_welcome(&self) -> bool {
        self.welcome
    }

    fn report(&mut self, at: Time, node: Node, link: ClientIndex, hop: Hop, rule: Rule, tag: Tag) {
        let message = message(tag);
        self.breaks.push(Break { at, node, link, hop, rule, message, other: None });
    }

    fn sent(&mut self, now: Time, node: Node, record: &Record<'_>) {
        let link = record.name.client;
        match record.kind() {
            Kind::Publish => self.sent_publish(now, node, record),
            Kind::PubRel => {
                if let Some(sending) = self.sending.get_mut(&(node, link, record.id)) {
                    sending.released = true;
                }
            }
            Kind::PubAck | Kind::PubRec | Kind::PubComp => self.sent_answer(now, node, record),
            Kind::ConnAck => self.welcome(node, record),
            _ => {}
        }
    }

    fn sent_publish(&mut self, now: Time, node: Node, record: &Record<'_>) {
        let (link, hop, tag) = (record.name.client, sender_hop(node), record.tag);
        let qos = record.qos().unwrap_or(QoS::AtMostOnce);
        if qos == QoS::AtMostOnce {
            if record.dup() {
                self.report(now, node, link, hop, Rule::QosZeroWithDup, tag);
            }
            return;
        }
        let key = (node, link, record.id);
        match self.sending.get(&key).copied() {
            Some(old) if old.tag == tag => {
                if !record.dup() {
                    self.report(now, node, link, hop, Rule::ResendWithoutDup, tag);
                }
                if old.released && !old.doubtful {
                    self.report(now, node, link, hop, Rule::PublishAfterRelease, tag);
                }
                return;
            }
            Some(old) if !old.doubtful => {
                let (rule, message, other) = (Rule::IdInUse, message(tag), message(old.tag));
                self.breaks.push(Break { at: now, node, link, hop, rule, message, other });
            }
            _ => {}
        }
        if record.dup() && !record.is_resend() {
            let two = qos == QoS::ExactlyOnce;
            let rule = if two { Rule::FirstOfQosTwoWithDup } else { Rule::FirstWithDup };
            self.report(now, node, link, hop, rule, tag);
        }
        // A resend of what the sender was told is complete is no rule's business here: the id
        // may have been freed by a stale acknowledgement of another message.
        self.sending.insert(key, Sending { tag, qos, released: false, doubtful: false });
    }

    fn sent_answer(&mut self, now: Time, node: Node, record: &Record<'_>) {
        let (link, kind) = (record.name.client, record.kind());
        let key = (node, link, record.id);
        match self.due.get_mut(&(node, link, kind, record.id)) {
            Some(due) if due.times > 1 => due.times -= 1,
            Some(_) => {
                self.due.remove(&(node, link, kind, record.id));
            }
            // Repeating a PUBREC for an id that is held is nobody's harm; some brokers do so
            // when a client comes back.
            None if kind == Kind::PubRec && self.held.contains_key(&key) => {}
            None => {
                self.report(now, node, link, receiver_hop(node), Rule::AnswerUnasked, record.tag);
            }
        }
        // After PUBCOMP, or a PUBREC that refuses, the id is a new message's
        // [MQTT-4.3.3-12], [MQTT-4.3.3-9].
        if kind == Kind::PubComp || kind == Kind::PubRec && record.reason >= 0x80 {
            self.held.remove(&key);
        }
    }

    fn arrived(&mut self, now: Time, node: Node, record: &Record<'_>) {
        let link = record.name.client;
        let key = (node, link, record.id);
        match record.kind() {
            Kind::Publish => {
                self.cause = Some(key);
                self.fresh = Some(record.tag);
                match record.qos() {
                    Some(QoS::AtLeastOnce) => self.owe(now, key, Kind::PubAck, record.tag),
                    Some(QoS::ExactlyOnce) => {
                        self.fresh = (!self.held.contains_key(&key)).then_some(record.tag);
                        self.held.entry(key).or_insert(Held { tag: record.tag, onward: 0 });
                        self.owe(now, key, Kind::PubRec, record.tag);
                    }
                    _ => {}
                }
            }
            Kind::PubRel => {
                self.cause = Some(key);
                self.fresh = self.held.get(&key).map(|held| held.tag);
                self.owe(now, key, Kind::PubComp, record.tag);
            }
            Kind::PubAck | Kind::PubRec | Kind::PubComp => self.arrived_answer(key, record),
            Kind::ConnAck => self.welcome(node, record),
            _ => {}
        }
    }

    fn arrived_answer(&mut self, key: (Node, ClientIndex, u16), record: &Record<'_>) {
        self.answered = None;
        let Some(sending) = self.sending.get_mut(&key) else { return };
        let ends = match (record.kind(), sending.qos) {
            (Kind::PubAck, QoS::AtLeastOnce) => true,
            (Kind::PubRec, QoS::ExactlyOnce) if !sending.released => {
                self.answered = Some(sending.tag);
                record.reason >= 0x80
            }
            (Kind::PubRec, QoS::ExactlyOnce) => false,
            (Kind::PubComp, QoS::ExactlyOnce) if sending.released => true,
            _ => {
                sending.doubtful = true;
                false
            }
        };
        if ends {
            self.answered = Some(sending.tag);
            self.sending.remove(&key);
        }
    }

    fn owe(&mut self, now: Time, key: (Node, ClientIndex, u16), kind: Kind, tag: Tag) {
        let (node, link, id) = key;
        let due = Due { tag, since: now, times: 0 };
        self.due.entry((node, link, kind, id)).or_insert(due).times += 1;
    }

    fn delivered(&mut self, now: Time, client: ClientIndex, tag: Tag, qos: QoS) {
        let node = Node::Client(client);
        let Some(key) = self.cause.filter(|cause| cause.0 == node) else { return };
        if qos != QoS::ExactlyOnce {
            return;
        }
        let Some(held) = self.held.get_mut(&key) else { return };
        held.onward += 1;
        if held.onward > 1 {
            self.report(now, node, client, Hop::Second, Rule::SecondDelivery, tag);
        }
    }

    /// A CONNACK crossed the interface of either end. Without a session, all of the old one is
    /// forgotten.
    fn welcome(&mut self, node: Node, record: &Record<'_>) {
        let Body::ConnAck { session_present, .. } = record.body else { return };
        let client = record.name.client;
        let side = usize::from(node == Node::Broker);
        let current = self.links.current(node, client);
        let repeat = self.welcomed[client.index()][side] == current;
        self.welcome = !repeat;
        if record.reason == 0 && !repeat {
            self.welcomed[client.index()][side] = current;
            if !self.roster.carries_on(client, session_present) {
                self.forget(node, client);
            }
        }
    }

    fn closed(&mut self, node: Node, client: ClientIndex, connection: Connection) {
        if !self.links.closed(node, client, connection) {
            return;
        }
        let range = (node, client, Kind::Reset, 0)..=(node, client, Kind::Disconnect, u16::MAX);
        let keys: Vec<_> = self.due.range(range).map(|(key, _)| *key).collect();
        for key in keys {
            // The connection may have closed before the endpoint could answer once, but not
            // while it left repeats unanswered.
            if let Some(due) = self.due.remove(&key)
                && due.times > 1
            {
                self.unanswered(key, due);
            }
        }
        if self.roster.clients[client.index()].clean {
            self.forget(node, client);
        }
    }

    fn unanswered(&mut self, key: (Node, ClientIndex, Kind, u16), due: Due) {
        let (node, link, kind, _) = key;
        let rule = match kind {
            Kind::PubAck => Rule::PublishUnacknowledged,
            Kind::PubRec => Rule::PublishUnrecorded,
            _ => Rule::ReleaseUnanswered,
        };
        self.report(due.since, node, link, receiver_hop(node), rule, due.tag);
    }

    fn forget(&mut self, node: Node, client: ClientIndex) {
        let range = (node, client, 0)..=(node, client, u16::MAX);
        let sending: Vec<_> = self.sending.range(range.clone()).map(|(key, _)| *key).collect();
        let held: Vec<_> = self.held.range(range).map(|(key, _)| *key).collect();
        for key in sending {
            self.sending.remove(&key);
        }
        for key in held {
            self.held.remove(&key);
        }
    }

    /// A sender let go of a message: its id is free.
    fn let_go(&mut self, node: Node, client: ClientIndex, tag: Tag) {
        let range = (node, client, 0)..=(node, client, u16::MAX);
        let found = self.sending.range(range).find(|(_, sending)| sending.tag == tag);
        if let Some(key) = found.map(|(key, _)| *key) {
            self.sending.remove(&key);
        }
    }
}

impl Observer for Monitor {
    fn observe(&mut self, now: Time, event: &Event<'_>) {
        match *event {
            Event::Sent { node, record, .. } => self.sent(now, node, record),
            Event::Arrived { node, connection, record } if self.reads(node, connection, record) => {
                self.arrived(now, node, record);
            }
            Event::Delivered { client, tag, qos, .. } => self.delivered(now, client, tag, qos),
            Event::Refused { tag, .. } => {
                if let Some(parts) = tag.parts() {
                    let client = self.roster.streams[parts.stream.index()].client;
                    self.let_go(Node::Client(client), client, tag);
                }
            }
            Event::Dropped { client, tag, .. } => self.let_go(Node::Broker, client, tag),
            Event::Opened { node, connection, client } => {
                if let Some(old) = self.links.current(node, client) {
                    self.closed(node, client, old);
                }
                self.links.opened(node, client, connection);
            }
            Event::Closed { node, connection, client, .. } => self.closed(node, client, connection),
            _ => {}
        }
    }
}

/// The message of a mark.
pub(super) fn message(tag: Tag) -> Option<(StreamIndex, u32)> {
    tag.parts().map(|parts| (parts.stream, parts.sequence))
}

const fn sender_hop(node: Node) -> Hop {
    match node {
        Node::Broker => Hop::Second,
        Node::Client(_) => Hop::First,
    }
}

const fn receiver_hop(node: Node) -> Hop {
    match node {
        Node::Broker => Hop::First,
        Node::Client(_) => Hop::Second,
    }
}
