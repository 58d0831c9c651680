//! The ledger: which client is owed which message, and how many copies came.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use super::delivery_unit::{DeliveryState, DeliveryUnit, HandshakeEnd, MessageProgress};
use super::open_connections::OpenConnections;
use super::retained::{IncomingRetained, RetainedMessages};
use super::shared_subscriptions::SharedSubscriptions;
use super::subscriptions::Subscriptions;
use super::trial_facts::TrialFacts;
use super::verdict::{Breach, Promise};
use qoslab_core::base::{
    ClientIndex, ConnectionNumber, DropReason, Hop, MessageId, MessageTag, Node, PacketBody,
    PacketKind, PacketMeta, PacketSubject, Phase, PublisherIndex, QoS, Span, Time,
};
use qoslab_core::impl_fingerprint;
use qoslab_core::mqtt::StorePolicy;

/// The number of messages of a stream for which room is reserved in advance; beyond, it grows.
const MAX_RESERVED_MESSAGES: u32 = 1 << 16;

/// A byte for each message and a byte for each unit, and what sessions are doing.
#[derive(Clone, Debug)]
pub(super) struct Ledger {
    pub(super) trial: Arc<TrialFacts>,
    pub(super) phase: Phase,
    pub(super) phase_began: Time,
    pub(super) publishers: Vec<PublisherLedger>,
    pub(super) sessions: Vec<SessionLedger>,
    pub(super) open_connections: OpenConnections,
    pub(super) subscriptions: Subscriptions,
    pub(super) retained: RetainedMessages,
    pub(super) shared: SharedSubscriptions,
    /// Units of epochs that ended, whose message was taken again in a later one.
    pub(super) past_epoch_units: Vec<(PublisherIndex, u32, ClientIndex, DeliveryUnit)>,
    /// What was broken and seen at once, by message, subscriber and how.
    pub(super) observed_breaches:
        BTreeMap<(PublisherIndex, u32, Option<ClientIndex>, Breach), Promise>,
    /// QoS 2 messages to be retained whose PUBREL is awaited, by publisher and packet id.
    pub(super) retained_awaiting_pubrel: BTreeMap<(ClientIndex, u16), IncomingRetained>,
}

impl_fingerprint! {
    struct Ledger {
        plain phase, publishers, sessions, open_connections, subscriptions, retained,
            shared, past_epoch_units, observed_breaches, retained_awaiting_pubrel;
        published phase_began;
        skip trial: "the same in all states of a trial";
    }
}

/// One publishing workload.
#[derive(Clone, Debug, Default)]
pub(super) struct PublisherLedger {
    /// By sequence number.
    pub(super) messages: Vec<MessageProgress>,
    /// Sorted by client: every client that ever had a live subscription to the topic.
    pub(super) subscribers: Vec<SubscriberLedger>,
    /// Every message before this one has reached its end on the first hop.
    pub(super) first_unfinished: u32,
}

impl_fingerprint! {
    struct PublisherLedger {
        plain messages, subscribers;
        skip first_unfinished: "follows from the rest";
    }
}

/// One subscriber of one stream.
#[derive(Clone, Debug)]
pub(super) struct SubscriberLedger {
    pub(super) client: ClientIndex,
    /// The QoS granted now; `None` while not subscribed.
    pub(super) granted: Option<QoS>,
    /// Whether the broker is known to have the subscription. After some crashes that shows only
    /// when it welcomes the client, or answers it; what it takes until then is not owed.
    pub(super) confirmed: bool,
    /// Messages before this one belong to an earlier epoch, but for those in `readmitted`.
    pub(super) epoch_start: u32,
    /// For each QoS of delivery, the sequence number after the highest first copy.
    pub(super) next_sequence: [u32; 3],
    /// Older messages that the broker took again in this epoch, in order.
    pub(super) readmitted: Vec<u32>,
    pub(super) units: Vec<DeliveryUnit>,
}

impl_fingerprint! {
    struct SubscriberLedger {
        plain client, granted, confirmed, epoch_start, next_sequence, readmitted, units;
    }
}

/// One client's session.
#[derive(Clone, Debug, Default)]
pub(super) struct SessionLedger {
    /// The connection whose CONNACK the broker sent last.
    pub(super) connack_sent_on: Option<ConnectionNumber>,
    /// The connection whose CONNACK reached the client last.
    pub(super) connack_received_on: Option<ConnectionNumber>,
    /// The broker ended the session and the client has not learnt of it: copies that are on
    /// their way still belong to the old one.
    pub(super) ended_unknown_to_client: bool,
    /// The broker's store forgot it, or gave back an older state of it, in a crash. If it turns
    /// out to be gone, that is no excuse.
    pub(super) forgotten_by_broker: bool,
    /// The client's store did.
    pub(super) forgotten_by_client: bool,
    /// A connection of it that died silently.
    pub(super) silently_dead: Option<ConnectionNumber>,
    /// When all clients reconnected, an end still believed in such a connection, and its keep alive
    /// would have shown it in time: what waits for that is late, and no endpoint held it back.
    pub(super) death_unnoticed: bool,
    /// The streams that its subscriptions ever matched.
    pub(super) matched_publishers: Vec<PublisherIndex>,
    /// The streams that it publishes.
    pub(super) own_publishers: Vec<PublisherIndex>,
}

impl_fingerprint! {
    struct SessionLedger {
        plain connack_sent_on, connack_received_on, ended_unknown_to_client,
            forgotten_by_broker, forgotten_by_client, silently_dead, death_unnoticed,
            matched_publishers, own_publishers;
    }
}

/// What the arrival of a packet at the broker made of a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Acceptance {
    /// A QoS 2 message came again and is not passed on again.
    pub(super) is_suppressed_duplicate: bool,
    /// How many copies have to wait because their subscribers are not connected.
    pub(super) copies_waiting: u64,
}

impl Ledger {
    /// A ledger before anything happened.
    pub(super) fn new(trial: &Arc<TrialFacts>) -> Self {
        let mut sessions = vec![SessionLedger::default(); trial.clients.len()];
        for (stream, facts) in (0..).map(PublisherIndex).zip(&trial.publishers) {
            sessions[facts.client.index()].own_publishers.push(stream);
        }
        Self {
            trial: Arc::clone(trial),
            phase: Phase::Connecting,
            phase_began: Time::ZERO,
            publishers: vec![PublisherLedger::default(); trial.publishers.len()],
            sessions,
            open_connections: OpenConnections::new(trial.clients.len()),
            subscriptions: Subscriptions::new(trial),
            retained: RetainedMessages::default(),
            shared: SharedSubscriptions::default(),
            past_epoch_units: Vec::new(),
            observed_breaches: BTreeMap::new(),
            retained_awaiting_pubrel: BTreeMap::new(),
        }
    }

    /// An application called `publish()`: a unit for each live subscription. Says whether the
    /// message has to wait because the publisher is not connected.
    #[inline]
    pub(super) fn on_submitted(&mut self, message_id: &MessageId) -> bool {
        let facts = &self.trial.publishers[message_id.publisher.index()];
        let waits = message_id.qos != QoS::AtMostOnce
            && !self.open_connections.is_connected(Node::Client(facts.client), facts.client);
        let reserved = facts.count.min(MAX_RESERVED_MESSAGES) as usize;
        let stream = &mut self.publishers[message_id.publisher.index()];
        let end = message_id.sequence as usize + 1;
        if stream.messages.is_empty() {
            stream.messages.reserve_exact(reserved.max(end));
        }
        if stream.messages.len() < end {
            stream.messages.resize(end, MessageProgress::default());
        }
        stream.messages[end - 1].finish_handshake(HandshakeEnd::Open);
        for subscriber in &mut stream.subscribers {
            if subscriber.units.is_empty() {
                subscriber.units.reserve_exact(reserved.max(end));
            }
            subscriber.units.resize(end, DeliveryUnit::default());
            if let Some(granted) = subscriber.granted {
                subscriber.units[end - 1].set_state(DeliveryState::Submitted, granted);
            }
        }
        waits
    }

    /// The publisher's endpoint refused a message or gave it up.
    pub(super) fn on_refused(&mut self, tag: MessageTag, why: DropReason) {
        if let Some(progress) = self.progress(tag) {
            progress.finish_handshake(match why {
                DropReason::GaveUp => HandshakeEnd::GaveUp,
                DropReason::Rejected => HandshakeEnd::Rejected,
                DropReason::Expired => HandshakeEnd::Expired,
                DropReason::TooLarge => HandshakeEnd::TooLarge,
                DropReason::QueueFull
                | DropReason::Offline
                | DropReason::SocketFull
                | DropReason::SessionEnded => HandshakeEnd::Refused,
            });
        }
    }

    /// The publisher's handshake ended well. Gives the message that it completed, if it is known.
    #[inline]
    pub(super) fn on_completed(&mut self, tag: MessageTag) -> Option<MessageId> {
        let message_id = tag.message_id()?;
        let publisher = self.trial.publishers[message_id.publisher.index()].client;
        let is_stalled = self.phase == Phase::ReconnectDrain
            && self.trial.publish_needs_no_reconnect(publisher)
            && !self.sessions[publisher.index()].death_unnoticed;
        let progress = self.progress(tag)?;
        progress.set(MessageProgress::ACKNOWLEDGED);
        progress.finish_handshake(HandshakeEnd::Completed);
        if is_stalled && message_id.qos != QoS::AtMostOnce {
            self.record_breach(&message_id, None, Promise::Acknowledged, Breach::Stalled);
        }
        Some(message_id)
    }

    /// A client handed a PUBLISH of its own to the network.
    #[inline]
    pub(super) fn on_sent_by_publisher(&mut self, packet: &PacketMeta<'_>) {
        if let Some(progress) = self.progress(packet.tag) {
            progress.set(MessageProgress::SENT);
        }
    }

    /// The broker handed a PUBLISH to the network: from now on it must see a QoS 1 or 2 message
    /// through, whatever is unsubscribed [MQTT-3.10.4-3].
    #[inline]
    pub(super) fn on_sent_by_broker(&mut self, packet: &PacketMeta<'_>) {
        let Some(message_id) = packet.tag.message_id() else { return };
        if packet.qos() == Some(QoS::AtMostOnce)
            || packet.is_resend()
            || message_id.is_retained_copy()
        {
            return;
        }
        self.shared.on_sending_began(packet.name.client, &message_id);
        let stream = &mut self.publishers[message_id.publisher.index()];
        if let Some(unit) = stream.unit_mut(packet.name.client, message_id.sequence)
            && matches!(unit.state(), DeliveryState::MustDeliver | DeliveryState::Withdrawn)
        {
            unit.set_state(DeliveryState::ForwardingStarted, unit.granted());
        }
    }

    /// A packet of a publisher's hop reached the broker, on an open connection. Each client
    /// subscribed at that instant may get a copy because of it, and must if it is the first.
    #[inline]
    pub(super) fn on_reached_broker(&mut self, now: Time, packet: &PacketMeta<'_>) -> Acceptance {
        let mut acceptance = Acceptance::default();
        let Some(message_id) = packet.tag.message_id() else { return acceptance };
        let on_pubrel = self.trial.broker_delivers_on_pubrel && message_id.qos == QoS::ExactlyOnce;
        match packet.kind() {
            PacketKind::Publish => {
                acceptance.is_suppressed_duplicate = self.is_suppressed_duplicate(&message_id);
                acceptance.copies_waiting = self.on_accepted_by_broker(&message_id);
                if packet.is_retain() {
                    self.store_retained(now, &message_id, on_pubrel, packet);
                }
            }
            PacketKind::PubRel => {
                if let Some(progress) = self.progress(packet.tag) {
                    progress.set(MessageProgress::PUBREL_REACHED_BROKER);
                }
                if on_pubrel {
                    acceptance.copies_waiting = self.on_accepted_by_broker(&message_id);
                }
                // It releases what is held by its id, whatever its sender meant.
                let held = self.retained_awaiting_pubrel.remove(&(packet.name.client, packet.id));
                if let Some(held) = held.filter(|_| on_pubrel) {
                    let topic = &self.trial.publishers[held.message_id.publisher.index()].topic;
                    self.retained.store(topic, &held);
                }
            }
            _ => {}
        }
        acceptance
    }

    /// Whether a QoS 2 PUBLISH came again before its PUBREL, to a broker that still holds its id.
    fn is_suppressed_duplicate(&self, message_id: &MessageId) -> bool {
        let held = |progress: &MessageProgress| {
            progress.has_all(MessageProgress::REACHED_BROKER)
                && !progress.has_all(MessageProgress::PUBREL_REACHED_BROKER)
                && !progress.has_all(MessageProgress::SESSION_LOST)
        };
        let stream = &self.publishers[message_id.publisher.index()];
        message_id.qos == QoS::ExactlyOnce
            && self.phase < Phase::ReconnectDrain
            && self.trial.broker_store == StorePolicy::Durable
            && stream.messages.get(message_id.sequence as usize).is_some_and(held)
    }

    /// A repeat of a QoS 2 message stores nothing until its PUBREL; after that it is a new message
    /// [MQTT-4.3.3-12].
    fn store_retained(
        &mut self,
        now: Time,
        message_id: &MessageId,
        on_pubrel: bool,
        packet: &PacketMeta<'_>,
    ) {
        let stream = &self.trial.publishers[message_id.publisher.index()];
        if stream.publish_denied {
            return;
        }
        let expires = match packet.body {
            PacketBody::Publish { expiry: Some(seconds), .. } => {
                now + Span::from_secs(seconds.into())
            }
            _ => Time::NEVER,
        };
        let incoming = IncomingRetained {
            message_id: *message_id,
            empty_payload: packet.size.payload == 0,
            expires,
        };
        let held = self.retained_awaiting_pubrel.entry((packet.name.client, packet.id));
        let is_new = match held {
            _ if message_id.qos != QoS::ExactlyOnce => true,
            Entry::Occupied(_) => false,
            Entry::Vacant(place) => {
                place.insert(incoming);
                !on_pubrel
            }
        };
        if is_new {
            self.retained.store(&stream.topic, &incoming);
        }
    }

    /// The broker took a message. Gives how many copies have to wait because their subscribers
    /// are not connected.
    #[inline]
    pub(super) fn on_accepted_by_broker(&mut self, message_id: &MessageId) -> u64 {
        let mut copies_waiting = 0;
        let stream = &mut self.publishers[message_id.publisher.index()];
        let Some(progress) = stream.messages.get_mut(message_id.sequence as usize) else {
            return copies_waiting;
        };
        let first = !progress.has_all(MessageProgress::REACHED_BROKER);
        progress.set(MessageProgress::REACHED_BROKER);
        self.shared.on_accepted_by_broker(message_id, first);
        for subscriber in &mut stream.subscribers {
            let Some(unit) = subscriber.units.get_mut(message_id.sequence as usize) else {
                continue;
            };
            let Some(granted) = subscriber.granted else {
                if first && unit.state() == DeliveryState::Submitted {
                    unit.set_state(DeliveryState::UnsubscribedInTransit, unit.granted());
                }
                continue;
            };
            let waits = message_id.qos.min(granted) > QoS::AtMostOnce;
            if first
                && waits
                && !self.open_connections.is_connected(Node::Broker, subscriber.client)
            {
                copies_waiting += 1;
            }
            if message_id.sequence < subscriber.epoch_start
                && let Err(place) = subscriber.readmitted.binary_search(&message_id.sequence)
            {
                subscriber.readmitted.insert(place, message_id.sequence);
                if unit.state() > DeliveryState::UnsubscribedInTransit {
                    self.past_epoch_units.push((
                        message_id.publisher,
                        message_id.sequence,
                        subscriber.client,
                        *unit,
                    ));
                }
                *unit = DeliveryUnit::default();
            }
            if first && subscriber.confirmed {
                unit.set_state(DeliveryState::MustDeliver, granted);
            } else if unit.state() < DeliveryState::MayDeliver {
                unit.set_state(DeliveryState::MayDeliver, granted);
            } else if granted > unit.granted() {
                unit.mark_grant_raised();
            }
        }
        copies_waiting
    }

    /// An acknowledgement reached the publisher. PUBREC hands the message over where the broker
    /// forwards on PUBLISH; every other end is reported as a completion.
    #[inline]
    pub(super) fn on_ack_reached_publisher(&mut self, packet: &PacketMeta<'_>) {
        let first_hop =
            matches!(packet.name.subject, PacketSubject::Message { hop: Hop::First, .. });
        if first_hop
            && packet.kind() == PacketKind::PubRec
            && packet.reason < 0x80
            && !self.trial.broker_delivers_on_pubrel
            && let Some(progress) = self.progress(packet.tag)
        {
            progress.set(MessageProgress::ACKNOWLEDGED);
        }
    }

    /// Notes something broken that is seen at once.
    pub(super) fn record_breach(
        &mut self,
        message_id: &MessageId,
        client: Option<ClientIndex>,
        promise: Promise,
        breach: Breach,
    ) {
        self.observed_breaches
            .insert((message_id.publisher, message_id.sequence, client, breach), promise);
    }

    #[inline]
    fn progress(&mut self, tag: MessageTag) -> Option<&mut MessageProgress> {
        let message_id = tag.message_id()?;
        self.publishers[message_id.publisher.index()].messages.get_mut(message_id.sequence as usize)
    }
}

impl PublisherLedger {
    /// A subscriber's slot and the place of a message's unit in it.
    #[inline]
    pub(super) fn find_unit(
        &mut self,
        client: ClientIndex,
        sequence: u32,
    ) -> Option<(&mut SubscriberLedger, usize)> {
        let place = match self.subscribers.as_slice() {
            [only] if only.client == client => 0,
            slots => slots.binary_search_by_key(&client, |slot| slot.client).ok()?,
        };
        let subscriber = &mut self.subscribers[place];
        let index = sequence as usize;
        (index < subscriber.units.len()).then_some((subscriber, index))
    }

    #[inline]
    pub(super) fn unit_mut(
        &mut self,
        client: ClientIndex,
        sequence: u32,
    ) -> Option<&mut DeliveryUnit> {
        self.find_unit(client, sequence).map(|(slot, index)| &mut slot.units[index])
    }

    /// The slot of a client that ever had a live subscription.
    pub(super) fn subscriber_mut(&mut self, client: ClientIndex) -> Option<&mut SubscriberLedger> {
        let place = self.subscribers.binary_search_by_key(&client, |slot| slot.client).ok()?;
        Some(&mut self.subscribers[place])
    }

    /// The slot of a client, made if there is none.
    pub(super) fn subscriber_or_insert(&mut self, client: ClientIndex) -> &mut SubscriberLedger {
        let place = match self.subscribers.binary_search_by_key(&client, |slot| slot.client) {
            Ok(place) => place,
            Err(place) => {
                if self.subscribers.is_empty() {
                    self.subscribers.reserve_exact(1);
                }
                // Earlier messages get a unit too: they may still be on their way to the broker.
                let units = vec![DeliveryUnit::default(); self.messages.len()];
                self.subscribers.insert(place, SubscriberLedger::new(client, units));
                place
            }
        };
        &mut self.subscribers[place]
    }
}

impl SubscriberLedger {
    fn new(client: ClientIndex, units: Vec<DeliveryUnit>) -> Self {
        Self {
            client,
            granted: None,
            confirmed: true,
            epoch_start: 0,
            next_sequence: [0; 3],
            readmitted: Vec::new(),
            units,
        }
    }

    /// Whether a message belongs to an earlier epoch.
    pub(super) fn is_past_epoch(&self, sequence: u32) -> bool {
        sequence < self.epoch_start && self.readmitted.binary_search(&sequence).is_err()
    }
}
