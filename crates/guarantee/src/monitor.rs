//! The monitor: every endpoint judged by what crossed its own interface, and by nothing else.
//!
//! Over datagrams a correct endpoint may see packets that are late, repeated or out of order. So a
//! sender is judged by the ids that it has in use *by what it was told*, and a receiver by the ids
//! that it holds, whatever its peer meant. Which rules there are, [`super::rules`] says.

use std::sync::Arc;

use serde::Serialize;

use self::book::{Book, Place};
use self::connection::{Life, Line};
use self::forward::{Expiring, Wishes};
use self::receiver::Receiver;
use self::sender::{Because, Sender};
use super::roster::Roster;
use super::rules::Rule;
use qoslab_core::base::event::{Body, Close, Event, Observer, Record};
use qoslab_core::base::name::{ClientIndex, Connection, Kind, Node, Tag};
use qoslab_core::base::qos::QoS;
use qoslab_core::base::time::Time;
use qoslab_core::mqtt::settings::Version;

mod book;
mod conformance;
mod connection;
mod forward;
mod receiver;
mod sender;

pub use self::book::Break;
pub(super) use self::book::message;
pub use self::conformance::Conformance;

/// Watches every connection of a trial. It remembers what is in flight and no more.
#[derive(Clone, Debug, Serialize)]
pub struct Monitor {
    /// By client: what the broker's end and the client's end of its link have seen.
    links: Vec<Link>,
    /// The last packet that reached an endpoint: what it delivers now is because of it.
    // Set anew before it is used.
    #[serde(skip)]
    cause: Option<(Node, ClientIndex, u16)>,
    // Set anew before it is used.
    #[serde(skip)]
    fresh: Option<Tag>,
    // Set anew before it is used.
    #[serde(skip)]
    answered: Option<Tag>,
    // Set anew before it is used.
    #[serde(skip)]
    welcome: bool,
    expiring: Expiring,
    // Set anew before it is used.
    #[serde(skip)]
    now: Time,
    // Empty between two happenings.
    #[serde(skip)]
    book: Book,
}

/// The link of one client.
#[derive(Clone, Debug, Serialize)]
struct Link {
    ends: [End; 2],
    life: Life,
    wishes: Wishes,
}

/// One end of a link.
#[derive(Clone, Debug, Serialize)]
struct End {
    line: Line,
    sender: Sender,
    receiver: Receiver,
}

impl Monitor {
    /// Nothing seen yet.
    #[must_use]
    pub fn new(roster: &Arc<Roster>) -> Self {
        let end =
            || End { line: Line::default(), sender: Sender::new(), receiver: Receiver::new() };
        let link = |_| Link { ends: [end(), end()], life: Life::default(), wishes: Wishes::NONE };
        Self {
            links: roster.clients.iter().map(link).collect(),
            cause: None,
            fresh: None,
            answered: None,
            welcome: false,
            expiring: Expiring::default(),
            now: Time::ZERO,
            book: Book { roster: Arc::clone(roster), breaks: Vec::new() },
        }
    }

    /// The rules broken since the last call, in order.
    pub fn take_breaks(&mut self) -> Vec<Break> {
        std::mem::take(&mut self.book.breaks)
    }

    /// The trial is over: what was not done by now never will be.
    pub fn finish(&mut self) {
        let Self { links, book, now, .. } = self;
        for (n, link) in (0..).zip(links) {
            let client = ClientIndex(n);
            for (node, end) in [Node::Broker, Node::Client(client)].into_iter().zip(&mut link.ends)
            {
                let place = Place { at: *now, node, link: client };
                if end.line.open.is_some() {
                    end.line.watch(place, book);
                    end.sender.closed(place, None, book);
                }
                end.receiver.finish(place, book);
            }
            link.life.finish(Place { at: *now, node: Node::Broker, link: client }, book);
        }
    }

    /// Whether a packet that arrives is read by this end. A client reads nothing but a CONNACK on
    /// a connection that is not accepted yet: what overtook the CONNACK, it lets pass.
    pub(super) fn reads(&self, node: Node, connection: Connection, record: &Record<'_>) -> bool {
        let line = &self.end(node, record.name.client).line;
        let accepted = node == Node::Broker
            || record.kind() == Kind::ConnAck
            || line.accepted == Some(connection);
        accepted && line.open == Some(connection)
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
        self.end(node, client).receiver.holder(id)
    }

    /// Whether any connection is open at this end.
    pub(super) fn is_connected(&self, node: Node, client: ClientIndex) -> bool {
        self.end(node, client).line.open.is_some()
    }

    /// Whether the CONNACK that the broker has just sent to a client was the first on its
    /// connection, and not the answer to a repeated CONNECT.
    pub(super) const fn was_welcome(&self) -> bool {
        self.welcome
    }

    fn end(&self, node: Node, client: ClientIndex) -> &End {
        &self.links[client.index()].ends[side(node)]
    }

    // ---- packets ----

    #[inline]
    fn sent(&mut self, node: Node, connection: Connection, record: &Record<'_>) {
        let place = Place { at: self.now, node, link: record.name.client };
        let Self { links, book, expiring, .. } = self;
        let link = &mut links[place.link.index()];
        let end = &mut link.ends[side(node)];
        if end.line.open != Some(connection) {
            return;
        }
        check_flags(place, record, book);
        end.line.sent(place, record, book);
        match record.kind() {
            Kind::Publish => {
                if node == Node::Broker && !record.is_resend() {
                    link.wishes.forwarded(place, record, book);
                    expiring.forwarded(place, record, book);
                }
                match record.qos() {
                    Some(QoS::AtMostOnce) => check_unacknowledged(place, record, book),
                    Some(qos) => end.sender.publish(place, record, qos, book),
                    None => book.by_sender(place, Rule::ReservedQos, record.tag),
                }
            }
            Kind::PubRel => end.sender.release(place, record, book),
            Kind::Subscribe | Kind::Unsubscribe if record.id == 0 => {
                book.by_peer(place, Rule::IdZero);
            }
            Kind::ConnAck => {
                end.receiver.answer(place, record, book);
                self.welcome(place, record);
            }
            Kind::PubAck
            | Kind::PubRec
            | Kind::PubComp
            | Kind::SubAck
            | Kind::UnsubAck
            | Kind::PingResp => end.receiver.answer(place, record, book),
            _ => {}
        }
    }

    #[inline]
    fn arrived(&mut self, node: Node, record: &Record<'_>) {
        let (now, client) = (self.now, record.name.client);
        let place = Place { at: now, node, link: client };
        let link = &mut self.links[client.index()];
        let end = &mut link.ends[side(node)];
        end.line.arrived(place, record, &mut self.book);
        match record.kind() {
            Kind::Publish => {
                self.cause = Some((node, client, record.id));
                self.fresh = end.receiver.publish(now, record);
                if node == Node::Broker {
                    self.expiring.came(now, record);
                }
            }
            Kind::PubRel => {
                self.cause = Some((node, client, record.id));
                self.fresh = end.receiver.release(now, record);
            }
            Kind::PubAck | Kind::PubRec | Kind::PubComp => {
                self.answered = end.sender.answered(now, record);
            }
            Kind::ConnAck => self.welcome(place, record),
            Kind::Connect => {
                end.receiver.owe(now, Kind::ConnAck, record);
                link.introduced(record);
            }
            Kind::Subscribe => {
                end.receiver.owe(now, Kind::SubAck, record);
                if let Body::Subscribe(requests) = record.body {
                    link.wishes.asked(requests);
                }
            }
            Kind::Unsubscribe => end.receiver.owe(now, Kind::UnsubAck, record),
            Kind::PingReq => end.receiver.owe(now, Kind::PingResp, record),
            _ => {}
        }
    }

    fn delivered(&mut self, client: ClientIndex, tag: Tag, qos: QoS) {
        let node = Node::Client(client);
        if let Some((_, _, id)) = self.cause.filter(|cause| cause.0 == node)
            && qos == QoS::ExactlyOnce
        {
            let place = Place { at: self.now, node, link: client };
            let end = &mut self.links[client.index()].ends[side(node)];
            end.receiver.delivered(place, id, tag, &mut self.book);
        }
    }

    // ---- connections and sessions ----

    /// A CONNACK crossed the interface of either end. Without a session, all of the old one is
    /// forgotten.
    fn welcome(&mut self, place: Place, record: &Record<'_>) {
        let Body::ConnAck { session_present, receive_maximum, max_packet_size } = record.body
        else {
            return;
        };
        let Self { links, book, .. } = self;
        let link = &mut links[place.link.index()];
        let end = &mut link.ends[side(place.node)];
        let repeat = end.line.accepted == end.line.open;
        self.welcome = !repeat;
        if record.reason != 0 {
            return;
        }
        if repeat {
            // A broker that gets CONNECT again answers it as the first time, and sends again too.
            if place.node == Node::Broker {
                end.sender.resumed(place.at, false);
            }
            return;
        }
        end.line.accepted(place.at);
        let clean = book.client(place).clean;
        if place.node == Node::Broker {
            link.life.accepted(place, session_present, book);
        } else {
            end.sender.receive_maximum = receive_maximum;
            end.line.max_packet_size = max_packet_size;
        }
        if !book.roster.carries_on(place.link, session_present) {
            end.forget(match place.node {
                _ if clean => Some(Because::Clean),
                Node::Client(_) => Some(Because::Reset),
                Node::Broker => None,
            });
        }
        end.sender.resumed(place.at, true);
    }

    fn opened(&mut self, node: Node, client: ClientIndex, connection: Connection) {
        let old = self.end(node, client).line.open;
        if let Some(old) = old {
            self.closed(node, client, old, Close::TakenOver);
        }
        let link = &mut self.links[client.index()];
        if let (Some(old), Node::Broker) = (old, node) {
            link.life.replaces(old);
        }
        link.ends[side(node)].line.opened(self.now, connection);
    }

    fn closed(&mut self, node: Node, client: ClientIndex, connection: Connection, why: Close) {
        let place = Place { at: self.now, node, link: client };
        let Self { links, book, .. } = self;
        let link = &mut links[client.index()];
        let end = &mut link.ends[side(node)];
        let is_current = end.line.open == Some(connection);
        if node == Node::Broker {
            link.life.closed(place, connection, is_current, book);
        }
        if !is_current {
            return;
        }
        if why != Close::Crash {
            end.line.watch(place, book);
        }
        end.line.open = None;
        end.receiver.closed(place, why, book);
        end.sender.closed(place, Some(why), book);
        if book.client(place).clean {
            end.forget(Some(Because::Clean));
        }
    }

    /// A node crashed: what it forgets, it cannot be held to.
    fn crashed(&mut self, node: Node) {
        let clients = match node {
            Node::Broker => 0..self.links.len(),
            Node::Client(client) => client.index()..client.index() + 1,
        };
        for (n, client) in clients.clone().zip((0..).map(ClientIndex).skip(clients.start)) {
            if let Some(connection) = self.end(node, client).line.open {
                self.closed(node, client, connection, Close::Crash);
            }
            let roster = &self.book.roster;
            let link = &mut self.links[n];
            if node == Node::Broker {
                link.life.crashed();
            }
            if !roster.forgets(node) {
                continue;
            }
            if node == Node::Broker {
                link.life.forgotten();
            }
            link.ends[side(node)].forget(None);
        }
    }
}

impl Link {
    /// A CONNECT came to the broker.
    const fn introduced(&mut self, record: &Record<'_>) {
        let Body::Connect { clean, session_expiry, receive_maximum, max_packet_size, .. } =
            record.body
        else {
            return;
        };
        let [broker, _] = &mut self.ends;
        broker.sender.receive_maximum = receive_maximum;
        broker.line.max_packet_size = max_packet_size;
        self.life.asked(clean, session_expiry);
    }
}

impl End {
    /// Its session is over; `None` where it may know nothing of what was in it.
    fn forget(&mut self, because: Option<Because>) {
        self.sender.forget(because);
        self.receiver.forget();
    }
}

impl Observer for Monitor {
    #[inline]
    fn observe(&mut self, now: Time, event: &Event<'_>) {
        self.now = now;
        match *event {
            Event::Sent { node, connection, record, .. } => self.sent(node, connection, record),
            Event::Arrived { node, connection, record } if self.reads(node, connection, record) => {
                self.arrived(node, record);
            }
            Event::Delivered { client, tag, qos, .. } => self.delivered(client, tag, qos),
            Event::Refused { tag, why } => {
                if let Some(parts) = tag.parts() {
                    let link = self.book.roster.streams[parts.stream.index()].client;
                    let place = Place { at: now, node: Node::Client(link), link };
                    let end = &mut self.links[link.index()].ends[side(place.node)];
                    end.sender.let_go(place, tag, why, &mut self.book);
                }
            }
            Event::Dropped { client, tag, why } => {
                let place = Place { at: now, node: Node::Broker, link: client };
                let end = &mut self.links[client.index()].ends[side(place.node)];
                end.sender.let_go(place, tag, why, &mut self.book);
            }
            Event::Opened { node, connection, client } => self.opened(node, client, connection),
            Event::Closed { node, connection, client, why } => {
                self.closed(node, client, connection, why);
            }
            Event::Crashed { node } => self.crashed(node),
            Event::SessionExpired { client } => {
                let link = &mut self.links[client.index()];
                link.life.expired(now);
                link.ends[side(Node::Broker)].forget(None);
            }
            _ => {}
        }
    }
}

/// QoS 0 has no id and is never sent again.
fn check_unacknowledged(place: Place, record: &Record<'_>, book: &mut Book) {
    if record.dup() {
        book.by_sender(place, Rule::QosZeroWithDup, record.tag);
    }
    if record.id != 0 {
        book.by_sender(place, Rule::IdOnQosZero, record.tag);
    }
}

/// The flags of all kinds but PUBLISH are reserved. MQTT 3.1 has a DUP flag there.
#[inline]
fn check_flags(place: Place, record: &Record<'_>, book: &mut Book) {
    let (expected, rule) = match record.kind() {
        Kind::Publish => return,
        Kind::PubRel => (0b0010, Rule::ReleaseFlags),
        Kind::Subscribe => (0b0010, Rule::SubscribeFlags),
        Kind::Unsubscribe => (0b0010, Rule::UnsubscribeFlags),
        _ => (0, Rule::ReservedFlags),
    };
    let flags = record.first & 0b1111;
    if flags == expected {
        return;
    }
    if expected != 0 && flags & 0b0111 == expected && book.version(place) == Version::V31 {
        return;
    }
    match record.kind() {
        Kind::PubRel => book.by_sender(place, rule, record.tag),
        _ => book.by_peer(place, rule),
    }
}

const fn side(node: Node) -> usize {
    match node {
        Node::Broker => 0,
        Node::Client(_) => 1,
    }
}
