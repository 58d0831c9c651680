//! What a product would say if it were an endpoint of ours.
//!
//! Our endpoints carry a [`Tag`] beside each message and its acknowledgements and say which sending
//! a packet is, so that it has a name ([`qoslab_core::base::name`]). A product writes bytes. A witness
//! sees what it writes and reads, and a mark at the front of each payload, and finds out the same:
//!
//! | of | is known by |
//! |---|---|
//! | a PUBLISH | its mark; on the second hop, the arrival that made the broker forward it |
//! | a resend | its packet id, which is in use for the same message |
//! | an acknowledgement | the arrival that it answers, by kind and packet id |
//! | a PUBREL | its packet id, or the PUBREC that it answers |
//! | a will | its client's connection |
//!
//! [`Witness::wrote`] and [`Witness::read`] are to be called in the order in which a node writes
//! and reads. What cannot be seen from outside is guessed: a copy that the broker dropped unsent,
//! what a store that is written now and then had kept, and whom of a group that was away a message
//! waits for.

mod copies;
mod mark;
mod messages;
mod receiver;
mod sender;

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use crate::trial::Setup;
use copies::Copies;
use messages::{Messages, id_in, id_of};
use qoslab_core::base::event::Dropped;
use qoslab_core::base::name::{ClientIndex, Connection, Node, StreamIndex, Tag, Transmission};
use qoslab_core::base::qos::QoS;
use qoslab_core::base::time::Time;
use qoslab_core::mqtt::packet::{ConnAck, Packet, Payload, Publish};
use qoslab_core::mqtt::settings::{DeliverOn, Store, Version, Will};
use receiver::Receiver;
use sender::{FAILURE, Sender};

pub use mark::{MARK_LEN, mark, read_mark};

/// Sees what nodes under test write and read; see the [module](self).
pub struct Witness {
    setup: Arc<Setup>,
    messages: Messages,
    copies: Copies,
    clients: Vec<ClientSide>,
    /// The broker's ends of the clients' sessions.
    sessions: Vec<End>,
}

/// One end of a client's session.
#[derive(Default)]
struct End {
    sender: Sender,
    receiver: Receiver,
    /// The last connection that carries the session: at a client since CONNACK, at the broker since
    /// CONNECT.
    connection: Option<Connection>,
    /// The connection that the broker has sent CONNACK on.
    accepted: Option<Connection>,
}

/// A client's own end, and its application.
#[derive(Default)]
struct ClientSide {
    end: End,
    has_connected: bool,
    /// What it has read and not yet delivered, with its RETAIN flag.
    inbox: VecDeque<(Tag, bool)>,
    /// How many connections it began to open.
    dialled: u32,
}

/// What a witness knows of a packet that was written, beside its tags.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Which sending of it this is.
    pub transmission: Transmission,
    /// The message that it ends at its publisher: one of QoS 0 is complete when it is sent.
    pub ended: Option<Ended>,
    /// The will that the broker has published, if this is the first that was seen of it.
    pub will: Option<Tag>,
}

/// How a message ended at its publisher.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ended {
    /// Its handshake ended well.
    Completed(Tag),
    /// The broker did not take it.
    Refused(Tag, Dropped),
}

impl Witness {
    /// A witness of a trial in which nothing has happened yet.
    #[must_use]
    pub fn new(setup: &Arc<Setup>) -> Self {
        Self {
            setup: Arc::clone(setup),
            messages: Messages::new(setup),
            copies: Copies::new(setup),
            clients: setup.clients.iter().map(|_| ClientSide::default()).collect(),
            sessions: setup.clients.iter().map(|_| End::default()).collect(),
        }
    }

    /// The application handed a message to a client under test, or it is known that the broker
    /// published a will.
    pub fn submitted(&mut self, tag: Tag) {
        self.messages.learn(tag);
    }

    /// A client began to open a connection, whether that comes about or not: its will is named by
    /// how many there were.
    pub fn dialled(&mut self, client: ClientIndex) {
        self.clients[client.index()].dialled += 1;
    }

    /// A node under test wrote a packet on a connection of `client`'s link at `now`. Puts in the
    /// tags of a PUBLISH, of its acknowledgements and of the will in a CONNECT, and a will's mark:
    /// that names its connection, which the application cannot know.
    pub fn wrote(
        &mut self,
        now: Time,
        node: Node,
        client: ClientIndex,
        connection: Connection,
        packet: &mut Packet,
    ) -> Written {
        let kind = packet.kind();
        match packet {
            Packet::Connect(connect) => {
                if let Some(will) = &mut connect.will {
                    self.name_will(client, will);
                }
                Written::default()
            }
            Packet::ConnAck(ack) => {
                self.accepted(client, connection, *ack);
                Written::default()
            }
            Packet::Publish(publish) => match node {
                Node::Broker => self.forwarded(now, client, publish),
                Node::Client(_) => self.published(client, publish),
            },
            Packet::PubRel(ack) => {
                let (tag, transmission) = self.end(node, client).sender.release(ack.id);
                ack.tag = tag;
                Written { transmission, ..Written::default() }
            }
            Packet::PubAck(ack) | Packet::PubRec(ack) | Packet::PubComp(ack) => {
                let (tag, transmission) = self.end(node, client).receiver.answer(kind, ack);
                ack.tag = tag;
                if node == Node::Broker
                    && ack.reason >= FAILURE
                    && let Some(parts) = tag.parts()
                {
                    self.copies.refused(id_of(&parts));
                }
                Written { transmission, ..Written::default() }
            }
            _ => Written::default(),
        }
    }

    /// A packet with its tags reached a node under test: what that ends at a publisher.
    pub fn read(
        &mut self,
        node: Node,
        client: ClientIndex,
        connection: Connection,
        packet: &Packet,
        transmission: Transmission,
    ) -> Option<Ended> {
        match node {
            Node::Broker => {
                self.broker_read(client, connection, packet, transmission);
                None
            }
            Node::Client(_) => self.client_read(client, connection, packet, transmission),
        }
    }

    /// A client under test handed a payload to its application, with this RETAIN flag. Its tag;
    /// `None` if it is no payload of this trial.
    pub fn delivered(&mut self, client: ClientIndex, payload: &[u8], retain: bool) -> Option<Tag> {
        let id = read_mark(payload)?;
        let inbox = &mut self.clients[client.index()].inbox;
        let is_it = |&(tag, flag): &(Tag, bool)| {
            flag == retain && tag.parts().is_some_and(|parts| id_of(&parts) == id)
        };
        match inbox.iter().position(is_it) {
            Some(place) => inbox.remove(place).map(|(tag, _)| tag),
            // Delivered once more than it should be.
            None => self.messages.tag(id),
        }
    }

    /// A node closed a connection, or learnt that it is gone.
    pub fn closed(&mut self, node: Node, connection: Connection) {
        match node {
            Node::Broker => self.copies.turn(),
            Node::Client(client) => {
                let end = &mut self.clients[client.index()].end;
                end.connection.take_if(|it| *it == connection);
            }
        }
    }

    /// A node crashed. What one without a store knew is gone; the others are taken to have kept
    /// all.
    pub fn crashed(&mut self, node: Node) {
        match node {
            Node::Broker => {
                self.copies.turn();
                if self.setup.broker_store == Store::Volatile {
                    self.copies = Copies::new(&self.setup);
                    self.sessions.fill_with(End::default);
                }
                for session in &mut self.sessions {
                    session.sender.crashed();
                }
            }
            Node::Client(client) => {
                if self.setup.clients[client.index()].store == Store::Volatile {
                    let side = &mut self.clients[client.index()];
                    *side = ClientSide { dialled: side.dialled, ..ClientSide::default() };
                }
                self.clients[client.index()].end.sender.crashed();
            }
        }
    }

    // ---- what was written ----

    fn name_will(&self, client: ClientIndex, will: &mut Will) {
        let streams = (0..).zip(&self.setup.streams);
        let mut wills = streams.filter(|(_, stream)| stream.will && stream.client == client);
        let Some((place, stream)) = wills.next() else { return };
        let nth = self.clients[client.index()].dialled.saturating_sub(1);
        let tag = Tag::new(StreamIndex(place), 0, stream.qos, Time::ZERO).of_connection(nth);
        will.message.tag = tag;
        will.message.payload = Payload::Bytes(mark(tag, will.message.payload.len()).into());
    }

    /// The broker answered a CONNECT.
    fn accepted(&mut self, client: ClientIndex, connection: Connection, ack: ConnAck) {
        let session = &mut self.sessions[client.index()];
        // Over datagrams a CONNECT may come again, and is answered again.
        if ack.code != 0 || session.accepted.replace(connection) == Some(connection) {
            return;
        }
        if self.says_new_session(client, ack) {
            self.end_broker_session(client);
        }
    }

    /// A client wrote a PUBLISH.
    fn published(&mut self, client: ClientIndex, publish: &mut Publish) -> Written {
        let message = id_in(&publish.message);
        let tag = message.and_then(|id| self.messages.tag(id)).unwrap_or(Tag::NONE);
        let sender = &mut self.clients[client.index()].end.sender;
        publish.message.tag = tag;
        let Some(id) = publish.level.id() else {
            let ended = tag.parts().map(|_| Ended::Completed(tag));
            return Written { ended, ..Written::default() };
        };
        let again = sender.resend(id, message, publish.dup).map(|(_, transmission)| transmission);
        let transmission = again
            .unwrap_or_else(|| sender.launch(id, message, tag, publish.level.qos(), publish.dup));
        Written { transmission, ..Written::default() }
    }

    /// The broker wrote a PUBLISH.
    fn forwarded(&mut self, now: Time, client: ClientIndex, publish: &mut Publish) -> Written {
        let message = id_in(&publish.message);
        let (dup, qos) = (publish.dup, publish.level.qos());
        if let Some(id) = publish.level.id() {
            let again = self.sessions[client.index()].sender.resend(id, message, dup);
            if let Some((tag, transmission)) = again {
                publish.message.tag = tag;
                return Written { transmission, ..Written::default() };
            }
        }
        let known = message.and_then(|id| self.messages.tag(id));
        let will = if known.is_none() { message.and_then(|id| self.will(id, now)) } else { None };
        if let Some(will) = will {
            self.messages.learn(will);
        }
        let tag = known.or(will).unwrap_or(Tag::NONE);
        let tag = self.copies.forwarded(client, tag, publish);
        publish.message.tag = tag;
        let sender = &mut self.sessions[client.index()].sender;
        let id = publish.level.id();
        let transmission = id.map(|id| sender.launch(id, message, tag, qos, dup));
        Written { transmission: transmission.unwrap_or_default(), ended: None, will }
    }

    /// The tag of a will that was published by now.
    fn will(&self, (stream, nth): messages::Id, now: Time) -> Option<Tag> {
        let setup = self.setup.streams.get(stream.index())?;
        let is_known = setup.will && nth < self.clients[setup.client.index()].dialled;
        is_known.then(|| Tag::new(stream, nth, setup.qos, now))
    }

    // ---- what was read ----

    fn broker_read(
        &mut self,
        client: ClientIndex,
        connection: Connection,
        packet: &Packet,
        transmission: Transmission,
    ) {
        self.copies.turn();
        if let Packet::Connect(connect) = packet {
            let is_new = self.sessions[client.index()].connection != Some(connection);
            if is_new && connect.clean {
                self.end_broker_session(client);
            }
            self.sessions[client.index()].connection = Some(connection);
            return;
        }
        let session = &mut self.sessions[client.index()];
        if session.connection != Some(connection) {
            return;
        }
        match packet {
            Packet::Publish(publish) => {
                let tag = publish.message.tag;
                self.messages.learn(tag);
                let is_new = session.receiver.publish(connection, publish.level, tag, transmission);
                let waits = publish.level.qos() == QoS::ExactlyOnce
                    && self.setup.broker.hop.deliver_on == DeliverOn::Release;
                if is_new && !waits {
                    self.pass_on(tag, transmission);
                }
            }
            Packet::PubRel(ack) => {
                let released = session.receiver.release(connection, ack, transmission);
                if let Some((tag, arrival)) = released
                    && self.setup.broker.hop.deliver_on == DeliverOn::Release
                {
                    self.pass_on(tag, arrival);
                }
            }
            // What ends at the broker is nothing that a publisher waits for.
            Packet::PubAck(ack) => _ = session.sender.puback(ack),
            Packet::PubRec(ack) => {
                _ = session.sender.pubrec(ack, self.setup.broker.hop.repeated_pubrec);
            }
            Packet::PubComp(ack) => _ = session.sender.pubcomp(ack),
            Packet::Subscribe(subscribe) => self.copies.asked(client, subscribe),
            Packet::Unsubscribe(it) => self.copies.no_longer_asked(client, &it.filters),
            _ => {}
        }
    }

    /// The broker hands a message to its subscribers.
    fn pass_on(&mut self, tag: Tag, arrival: Transmission) {
        let Some(parts) = tag.parts() else { return };
        let id = id_of(&parts);
        self.copies.arrived(id, arrival);
        if self.setup.streams.get(parts.stream.index()).is_some_and(|stream| stream.retain) {
            self.copies.retain(id);
        }
    }

    fn client_read(
        &mut self,
        client: ClientIndex,
        connection: Connection,
        packet: &Packet,
        transmission: Transmission,
    ) -> Option<Ended> {
        let side = &mut self.clients[client.index()];
        if side.end.connection != Some(connection) {
            // Over datagrams others may overtake CONNACK; a client does not take them.
            if let Packet::ConnAck(ack) = packet
                && ack.code == 0
            {
                self.connected(client, connection, *ack);
            }
            return None;
        }
        match packet {
            Packet::Publish(publish) => {
                let tag = publish.message.tag;
                self.messages.learn(tag);
                let receiver = &mut side.end.receiver;
                if receiver.publish(connection, publish.level, tag, transmission) {
                    side.inbox.push_back((tag, publish.retain));
                }
                None
            }
            Packet::PubRel(ack) => {
                side.end.receiver.release(connection, ack, transmission);
                None
            }
            Packet::PubAck(ack) => side.end.sender.puback(ack),
            Packet::PubRec(ack) => {
                let repeated = self.setup.clients[client.index()].settings.hop.repeated_pubrec;
                side.end.sender.pubrec(ack, repeated)
            }
            Packet::PubComp(ack) => side.end.sender.pubcomp(ack),
            _ => None,
        }
    }

    /// A client has its CONNACK.
    fn connected(&mut self, client: ClientIndex, connection: Connection, ack: ConnAck) {
        let settings = &self.setup.clients[client.index()].settings;
        let is_first = !self.clients[client.index()].has_connected;
        // MQTT 3.1 does not say whether the session is new.
        let is_new = match settings.version {
            Version::V31 => settings.clean || is_first,
            Version::V311 | Version::V5 => !ack.session_present,
        };
        let side = &mut self.clients[client.index()];
        side.has_connected = true;
        side.end.connection = Some(connection);
        if is_new {
            side.end.sender.end_session();
            side.end.receiver.end_session();
            side.inbox.clear();
        }
    }

    // ---- sessions ----

    fn says_new_session(&self, client: ClientIndex, ack: ConnAck) -> bool {
        self.setup.clients[client.index()].settings.version != Version::V31 && !ack.session_present
    }

    fn end_broker_session(&mut self, client: ClientIndex) {
        let session = &mut self.sessions[client.index()];
        session.sender.end_session();
        session.receiver.end_session();
        self.copies.end_session(client);
    }

    fn end(&mut self, node: Node, client: ClientIndex) -> &mut End {
        match node {
            Node::Broker => &mut self.sessions[client.index()],
            Node::Client(_) => &mut self.clients[client.index()].end,
        }
    }
}

impl fmt::Debug for Witness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Witness").finish_non_exhaustive()
    }
}
