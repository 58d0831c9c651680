//! Names packets of a system under test as if it were one of our own endpoints.

mod forwarding;
mod payload_id;
mod published_messages;
mod receiver;
mod sender;

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use crate::trial::Setup;
use forwarding::ForwardTracker;
use published_messages::{PublishedMessages, message_key, message_key_in};
use qoslab_core::base::{
    ClientIndex, ConnectionNumber, DropReason, MessageTag, Node, PublisherIndex, QoS, Time,
    Transmission,
};
use qoslab_core::mqtt::{ConnAck, DeliverOn, Packet, Payload, Publish, StorePolicy, Version, Will};
use receiver::TrackedReceiver;
use sender::{FIRST_FAILURE_REASON, TrackedSender};

use payload_id::read_payload_id;

pub use payload_id::payload_with_id;

/// Names the packets of nodes under test as if they were our own endpoints'.
///
/// Our endpoints carry a [`MessageTag`] beside each message and its acknowledgements and say which
/// sending a packet is, so that it has a [name](qoslab_core::base::PacketName). A system under test
/// writes bytes. A packet tracker sees what it writes and reads, and a mark at the front of each
/// payload, and finds out the same:
///
/// | of | is known by |
/// |---|---|
/// | a PUBLISH | its mark; on the second hop, the arrival that made the broker forward it |
/// | a resend | its packet id, which is in use for the same message |
/// | an acknowledgement | the arrival that it answers, by kind and packet id |
/// | a PUBREL | its packet id, or the PUBREC that it answers |
/// | a will | its client's connection |
///
/// [`PacketTracker::packet_written`] and [`PacketTracker::packet_read`] are to be called in the
/// order in which a node writes and reads. What cannot be seen from outside is guessed: a copy that
/// the broker dropped unsent, what a store that is written now and then had kept, and whom of a
/// group that was away a message waits for.
pub struct PacketTracker {
    setup: Arc<Setup>,
    published: PublishedMessages,
    forwards: ForwardTracker,
    clients: Vec<TrackedClient>,
    /// The broker's ends of the clients' sessions.
    broker_sessions: Vec<TrackedSession>,
}

/// One end of a client's session.
#[derive(Default)]
struct TrackedSession {
    sender: TrackedSender,
    receiver: TrackedReceiver,
    /// The last connection that carries the session: at a client since CONNACK, at the broker since
    /// CONNECT.
    connection: Option<ConnectionNumber>,
    /// The connection that the broker has sent CONNACK on.
    connack_connection: Option<ConnectionNumber>,
}

/// A client's own end, and its application.
#[derive(Default)]
struct TrackedClient {
    session: TrackedSession,
    has_connected: bool,
    /// Packets that it has read and not yet delivered, with their RETAIN flag.
    undelivered: VecDeque<(MessageTag, bool)>,
    /// How many connections it began to open.
    connections_started: u32,
}

/// The tracker's data on a packet that was written, beside its tags.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TrackedPacket {
    /// The transmission of the packet.
    pub transmission: Transmission,
    /// The message that it ends at its publisher: one of QoS 0 is complete when it is sent.
    pub publish_outcome: Option<PublishOutcome>,
    /// The will that the broker has published, if this is the first that was seen of it.
    pub will: Option<MessageTag>,
}

/// The outcome of a message at its publisher.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PublishOutcome {
    /// Its handshake ended well.
    Completed(MessageTag),
    /// The broker did not take it.
    Refused(MessageTag, DropReason),
}

impl PacketTracker {
    /// A tracker of a trial in which nothing has happened yet.
    #[must_use]
    pub fn new(setup: &Arc<Setup>) -> Self {
        Self {
            setup: Arc::clone(setup),
            published: PublishedMessages::new(setup),
            forwards: ForwardTracker::new(setup),
            clients: setup.clients.iter().map(|_| TrackedClient::default()).collect(),
            broker_sessions: setup.clients.iter().map(|_| TrackedSession::default()).collect(),
        }
    }

    /// The application handed a message to a client under test, or it is known that the broker
    /// published a will.
    pub fn message_submitted(&mut self, tag: MessageTag) {
        self.published.record(tag);
    }

    /// A client began to open a connection, whether that comes about or not: its will is named by
    /// how many there were.
    pub fn connect_started(&mut self, client: ClientIndex) {
        self.clients[client.index()].connections_started += 1;
    }

    /// A node under test wrote a packet on a connection of `client`'s link at `now`. Puts in the
    /// tags of a PUBLISH, of its acknowledgements and of the will in a CONNECT, and a will's mark:
    /// that names its connection, which the application cannot know.
    pub fn packet_written(
        &mut self,
        now: Time,
        node: Node,
        client: ClientIndex,
        connection: ConnectionNumber,
        packet: &mut Packet,
    ) -> TrackedPacket {
        let kind = packet.kind();
        match packet {
            Packet::Connect(connect) => {
                if let Some(will) = &mut connect.will {
                    self.tag_will(client, will);
                }
                TrackedPacket::default()
            }
            Packet::ConnAck(ack) => {
                self.connack_written(client, connection, *ack);
                TrackedPacket::default()
            }
            Packet::Publish(publish) => match node {
                Node::Broker => self.broker_forwarded(now, client, publish),
                Node::Client(_) => self.client_published(client, publish),
            },
            Packet::PubRel(ack) => {
                let (tag, transmission) =
                    self.session_mut(node, client).sender.pubrel_written(ack.id);
                ack.tag = tag;
                TrackedPacket { transmission, ..TrackedPacket::default() }
            }
            Packet::PubAck(ack) | Packet::PubRec(ack) | Packet::PubComp(ack) => {
                let (tag, transmission) =
                    self.session_mut(node, client).receiver.ack_written(kind, ack);
                ack.tag = tag;
                if node == Node::Broker
                    && ack.reason >= FIRST_FAILURE_REASON
                    && let Some(parts) = tag.message_id()
                {
                    self.forwards.record_refusal(message_key(&parts));
                }
                TrackedPacket { transmission, ..TrackedPacket::default() }
            }
            _ => TrackedPacket::default(),
        }
    }

    /// A packet with its tags reached a node under test: what that ends at a publisher.
    pub fn packet_read(
        &mut self,
        node: Node,
        client: ClientIndex,
        connection: ConnectionNumber,
        packet: &Packet,
        transmission: Transmission,
    ) -> Option<PublishOutcome> {
        match node {
            Node::Broker => {
                self.packet_read_by_broker(client, connection, packet, transmission);
                None
            }
            Node::Client(_) => self.packet_read_by_client(client, connection, packet, transmission),
        }
    }

    /// A client under test handed a payload to its application, with this RETAIN flag. Its tag;
    /// `None` if it is no payload of this trial.
    pub fn payload_delivered(
        &mut self,
        client: ClientIndex,
        payload: &[u8],
        retain: bool,
    ) -> Option<MessageTag> {
        let id = read_payload_id(payload)?;
        let inbox = &mut self.clients[client.index()].undelivered;
        let is_match = |&(tag, flag): &(MessageTag, bool)| {
            flag == retain && tag.message_id().is_some_and(|parts| message_key(&parts) == id)
        };
        match inbox.iter().position(is_match) {
            Some(index) => inbox.remove(index).map(|(tag, _)| tag),
            // Delivered once more than it should be.
            None => self.published.tag_of(id),
        }
    }

    /// A node closed a connection, or learnt that it is gone.
    pub fn connection_closed(&mut self, node: Node, connection: ConnectionNumber) {
        match node {
            Node::Broker => self.forwards.clear_latest_arrival(),
            Node::Client(client) => {
                let session = &mut self.clients[client.index()].session;
                session.connection.take_if(|it| *it == connection);
            }
        }
    }

    /// A node crashed. What one without a store knew is gone; the others are taken to have kept
    /// all.
    pub fn node_crashed(&mut self, node: Node) {
        match node {
            Node::Broker => {
                self.forwards.clear_latest_arrival();
                if self.setup.broker_store == StorePolicy::Volatile {
                    self.forwards = ForwardTracker::new(&self.setup);
                    self.broker_sessions.fill_with(TrackedSession::default);
                }
                for session in &mut self.broker_sessions {
                    session.sender.node_crashed();
                }
            }
            Node::Client(client) => {
                if self.setup.clients[client.index()].store == StorePolicy::Volatile {
                    let client_state = &mut self.clients[client.index()];
                    *client_state = TrackedClient {
                        connections_started: client_state.connections_started,
                        ..TrackedClient::default()
                    };
                }
                self.clients[client.index()].session.sender.node_crashed();
            }
        }
    }

    // ---- what was written ----

    fn tag_will(&self, client: ClientIndex, will: &mut Will) {
        let publishers = (0..).zip(&self.setup.publishers);
        let mut wills = publishers.filter(|(_, stream)| stream.is_will && stream.client == client);
        let Some((index, stream)) = wills.next() else { return };
        let nth = self.clients[client.index()].connections_started.saturating_sub(1);
        let tag = MessageTag::new(PublisherIndex(index), 0, stream.qos, Time::ZERO)
            .for_will_of_connection(nth);
        will.message.tag = tag;
        will.message.payload =
            Payload::Bytes(payload_with_id(tag, will.message.payload.len()).into());
    }

    /// The broker answered a CONNECT.
    fn connack_written(&mut self, client: ClientIndex, connection: ConnectionNumber, ack: ConnAck) {
        let session = &mut self.broker_sessions[client.index()];
        // Over datagrams a CONNECT may come again, and is answered again.
        if ack.code != 0 || session.connack_connection.replace(connection) == Some(connection) {
            return;
        }
        if self.is_new_session(client, ack) {
            self.end_broker_session(client);
        }
    }

    /// A client wrote a PUBLISH.
    fn client_published(&mut self, client: ClientIndex, publish: &mut Publish) -> TrackedPacket {
        let message = message_key_in(&publish.message);
        let tag = message.and_then(|id| self.published.tag_of(id)).unwrap_or(MessageTag::NONE);
        let sender = &mut self.clients[client.index()].session.sender;
        publish.message.tag = tag;
        let Some(id) = publish.level.id() else {
            let ended = tag.message_id().map(|_| PublishOutcome::Completed(tag));
            return TrackedPacket { publish_outcome: ended, ..TrackedPacket::default() };
        };
        let again =
            sender.publish_resent(id, message, publish.dup).map(|(_, transmission)| transmission);
        let transmission = again.unwrap_or_else(|| {
            sender.publish_first_sent(id, message, tag, publish.level.qos(), publish.dup)
        });
        TrackedPacket { transmission, ..TrackedPacket::default() }
    }

    /// The broker wrote a PUBLISH.
    fn broker_forwarded(
        &mut self,
        now: Time,
        client: ClientIndex,
        publish: &mut Publish,
    ) -> TrackedPacket {
        let message = message_key_in(&publish.message);
        let (dup, qos) = (publish.dup, publish.level.qos());
        if let Some(id) = publish.level.id() {
            let again =
                self.broker_sessions[client.index()].sender.publish_resent(id, message, dup);
            if let Some((tag, transmission)) = again {
                publish.message.tag = tag;
                return TrackedPacket { transmission, ..TrackedPacket::default() };
            }
        }
        let known = message.and_then(|id| self.published.tag_of(id));
        let will =
            if known.is_none() { message.and_then(|id| self.will_tag(id, now)) } else { None };
        if let Some(will) = will {
            self.published.record(will);
        }
        let tag = known.or(will).unwrap_or(MessageTag::NONE);
        let tag = self.forwards.tag_forwarded(client, tag, publish);
        publish.message.tag = tag;
        let sender = &mut self.broker_sessions[client.index()].sender;
        let id = publish.level.id();
        let transmission = id.map(|id| sender.publish_first_sent(id, message, tag, qos, dup));
        TrackedPacket {
            transmission: transmission.unwrap_or_default(),
            publish_outcome: None,
            will,
        }
    }

    /// The tag of a will that was published by now.
    fn will_tag(
        &self,
        (stream, nth): published_messages::MessageKey,
        now: Time,
    ) -> Option<MessageTag> {
        let setup = self.setup.publishers.get(stream.index())?;
        let is_known =
            setup.is_will && nth < self.clients[setup.client.index()].connections_started;
        is_known.then(|| MessageTag::new(stream, nth, setup.qos, now))
    }

    // ---- what was read ----

    fn packet_read_by_broker(
        &mut self,
        client: ClientIndex,
        connection: ConnectionNumber,
        packet: &Packet,
        transmission: Transmission,
    ) {
        self.forwards.clear_latest_arrival();
        if let Packet::Connect(connect) = packet {
            let is_new = self.broker_sessions[client.index()].connection != Some(connection);
            if is_new && connect.clean {
                self.end_broker_session(client);
            }
            self.broker_sessions[client.index()].connection = Some(connection);
            return;
        }
        let session = &mut self.broker_sessions[client.index()];
        if session.connection != Some(connection) {
            return;
        }
        match packet {
            Packet::Publish(publish) => {
                let tag = publish.message.tag;
                self.published.record(tag);
                let is_new =
                    session.receiver.publish_read(connection, publish.level, tag, transmission);
                let waits_for_pubrel = publish.level.qos() == QoS::ExactlyOnce
                    && self.setup.broker.hop.deliver_on == DeliverOn::Release;
                if is_new && !waits_for_pubrel {
                    self.forward(tag, transmission);
                }
            }
            Packet::PubRel(ack) => {
                let released = session.receiver.pubrel_read(connection, ack, transmission);
                if let Some((tag, arrival)) = released
                    && self.setup.broker.hop.deliver_on == DeliverOn::Release
                {
                    self.forward(tag, arrival);
                }
            }
            // What ends at the broker is nothing that a publisher waits for.
            Packet::PubAck(ack) => _ = session.sender.puback_read(ack),
            Packet::PubRec(ack) => {
                _ = session.sender.pubrec_read(ack, self.setup.broker.hop.repeated_pubrec);
            }
            Packet::PubComp(ack) => _ = session.sender.pubcomp_read(ack),
            Packet::Subscribe(subscribe) => self.forwards.record_subscribe(client, subscribe),
            Packet::Unsubscribe(unsubscribe) => {
                self.forwards.record_unsubscribe(client, &unsubscribe.filters);
            }
            _ => {}
        }
    }

    /// The broker hands a message to its subscribers.
    fn forward(&mut self, tag: MessageTag, arrival: Transmission) {
        let Some(parts) = tag.message_id() else { return };
        let id = message_key(&parts);
        self.forwards.record_arrival(id, arrival);
        if self.setup.publishers.get(parts.publisher.index()).is_some_and(|stream| stream.retain) {
            self.forwards.record_retained(id);
        }
    }

    fn packet_read_by_client(
        &mut self,
        client: ClientIndex,
        connection: ConnectionNumber,
        packet: &Packet,
        transmission: Transmission,
    ) -> Option<PublishOutcome> {
        let client_state = &mut self.clients[client.index()];
        if client_state.session.connection != Some(connection) {
            // Over datagrams others may overtake CONNACK; a client does not take them.
            if let Packet::ConnAck(ack) = packet
                && ack.code == 0
            {
                self.connack_read(client, connection, *ack);
            }
            return None;
        }
        match packet {
            Packet::Publish(publish) => {
                let tag = publish.message.tag;
                self.published.record(tag);
                let receiver = &mut client_state.session.receiver;
                if receiver.publish_read(connection, publish.level, tag, transmission) {
                    client_state.undelivered.push_back((tag, publish.retain));
                }
                None
            }
            Packet::PubRel(ack) => {
                client_state.session.receiver.pubrel_read(connection, ack, transmission);
                None
            }
            Packet::PubAck(ack) => client_state.session.sender.puback_read(ack),
            Packet::PubRec(ack) => {
                let repeated = self.setup.clients[client.index()].settings.hop.repeated_pubrec;
                client_state.session.sender.pubrec_read(ack, repeated)
            }
            Packet::PubComp(ack) => client_state.session.sender.pubcomp_read(ack),
            _ => None,
        }
    }

    /// A client has its CONNACK.
    fn connack_read(&mut self, client: ClientIndex, connection: ConnectionNumber, ack: ConnAck) {
        let settings = &self.setup.clients[client.index()].settings;
        let is_first = !self.clients[client.index()].has_connected;
        // MQTT 3.1 does not say whether the session is new.
        let is_new = match settings.version {
            Version::V31 => settings.clean || is_first,
            Version::V311 | Version::V5 => !ack.session_present,
        };
        let client_state = &mut self.clients[client.index()];
        client_state.has_connected = true;
        client_state.session.connection = Some(connection);
        if is_new {
            client_state.session.sender.end_session();
            client_state.session.receiver.end_session();
            client_state.undelivered.clear();
        }
    }

    // ---- sessions ----

    fn is_new_session(&self, client: ClientIndex, ack: ConnAck) -> bool {
        self.setup.clients[client.index()].settings.version != Version::V31 && !ack.session_present
    }

    fn end_broker_session(&mut self, client: ClientIndex) {
        let session = &mut self.broker_sessions[client.index()];
        session.sender.end_session();
        session.receiver.end_session();
        self.forwards.end_session(client);
    }

    fn session_mut(&mut self, node: Node, client: ClientIndex) -> &mut TrackedSession {
        match node {
            Node::Broker => &mut self.broker_sessions[client.index()],
            Node::Client(_) => &mut self.clients[client.index()].session,
        }
    }
}

impl fmt::Debug for PacketTracker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Witness").finish_non_exhaustive()
    }
}
