//! The ledger: which client is owed which message, and how many copies came.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::claims::{FIRST_FAILURE_REASON, RefutedClaim};
use super::delivery_unit::{DeliveryState, DeliveryUnit, HandshakeEnd, MessageProgress};
use super::first_chance::{Expiry, SubscriberWindow};
use super::open_connections::OpenConnections;
use super::queue_count::QueueCount;
use super::retained::{IncomingRetained, RetainedMessages};
use super::session_clock::SessionClock;
use super::shared_subscriptions::SharedSubscriptions;
use super::size_limits::SizeLimits;
use super::subscriptions::Subscriptions;
use super::trial_facts::TrialFacts;
use super::verdict::{Breach, Promise};
use qoslab_core::base::fingerprint::Fingerprinter;
use qoslab_core::base::{
    ClientIndex, ConnectionNumber, Hop, MessageId, MessageTag, Node, PacketKind, PacketMeta,
    PacketSubject, Phase, PublisherIndex, QoS, Time,
};
use qoslab_core::impl_fingerprint;

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
    /// By client: what the broker has under way to it. Empty where no message expires.
    pub(super) windows: Vec<SubscriberWindow>,
    pub(super) size_limits: SizeLimits,
    /// Of what several filters of a subscriber bring it: how many copies came, and how many may.
    pub(super) overlaps: BTreeMap<(PublisherIndex, u32, ClientIndex), OverlappingCopies>,
    /// How often PUBLISH and PUBREL were sent again, where a node is set to give up.
    pub(super) retransmissions: BTreeMap<(ClientIndex, Hop, PublisherIndex, u32), [u32; 2]>,
    /// Sessions that end by themselves, and when.
    pub(super) session_deadlines: BTreeSet<(Time, ClientIndex)>,
    /// The first of these times; never while the broker is down.
    pub(super) next_session_deadline: Time,
    /// What endpoints let go of without a reason that the facts bear out.
    pub(super) refuted_claims: BTreeMap<(PublisherIndex, u32, Option<ClientIndex>), RefutedClaim>,
}

impl_fingerprint! {
    struct Ledger {
        plain phase, publishers, sessions, open_connections, subscriptions, retained,
            shared, past_epoch_units, observed_breaches, retained_awaiting_pubrel, windows,
            size_limits, overlaps;
        with(write_retransmissions) retransmissions;
        published phase_began;
        skip trial: "the same in all states of a trial";
        skip session_deadlines, next_session_deadline: "follows from the sessions";
        skip refuted_claims: "the state of what was let go of says that it is owed";
    }
}

fn write_retransmissions(
    counts: &BTreeMap<(ClientIndex, Hop, PublisherIndex, u32), [u32; 2]>,
    into: &mut Fingerprinter,
) {
    for ((client, hop, publisher, sequence), [publish, release]) in counts {
        into.plain(&(client, *hop as u8, publisher, sequence));
        into.transmissions(publish);
        into.transmissions(release);
    }
}

/// One publishing workload.
#[derive(Clone, Debug, Default)]
pub(super) struct PublisherLedger {
    /// By sequence number.
    pub(super) messages: Vec<MessageProgress>,
    /// Sorted by client: every client that ever had a live subscription to the topic.
    pub(super) subscribers: Vec<SubscriberLedger>,
    /// By sequence number: when a message expires that came to the broker. Empty where none does.
    pub(super) expiries: Vec<Expiry>,
    /// Every message before this one has reached its end on the first hop.
    pub(super) first_unfinished: u32,
}

impl_fingerprint! {
    struct PublisherLedger {
        plain messages, subscribers, expiries;
        skip first_unfinished: "follows from the rest";
    }
}

/// One subscriber of one stream.
#[derive(Clone, Debug)]
pub(super) struct SubscriberLedger {
    pub(super) client: ClientIndex,
    /// The QoS granted now; `None` while not subscribed.
    pub(super) granted: Option<QoS>,
    /// How many copies an arrival of a message makes for it, and whether one of them may come
    /// again: more than one where the broker sends one for each of its filters.
    pub(super) copies: (u8, bool),
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
        plain client, granted, copies, confirmed, epoch_start, next_sequence, readmitted, units;
    }
}

/// The copies of one message that overlapping filters of one subscriber bring it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct OverlappingCopies {
    pub(super) copies: u32,
    pub(super) allowed: u32,
}

impl_fingerprint! { struct OverlappingCopies { plain copies, allowed; } }

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
    /// How long the broker owes the client its session.
    pub(super) clock: SessionClock,
    /// What waits for the client at the broker.
    pub(super) broker_queue: QueueCount,
    /// What waits at the client.
    pub(super) own_queue: QueueCount,
    /// When the client last lost the publisher's half of its session.
    pub(super) publishing_lost_at: Option<Time>,
    /// The streams that its subscriptions ever matched.
    pub(super) matched_publishers: Vec<PublisherIndex>,
    /// The streams that it publishes.
    pub(super) own_publishers: Vec<PublisherIndex>,
}

impl_fingerprint! {
    struct SessionLedger {
        plain connack_sent_on, connack_received_on, ended_unknown_to_client,
            forgotten_by_broker, forgotten_by_client, silently_dead, death_unnoticed, clock,
            broker_queue, own_queue, matched_publishers, own_publishers;
        skip publishing_lost_at: "compared with when what is refused at once was published";
    }
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
            windows: SubscriberWindow::for_trial(trial),
            size_limits: SizeLimits::default(),
            overlaps: BTreeMap::new(),
            retransmissions: BTreeMap::new(),
            session_deadlines: BTreeSet::new(),
            next_session_deadline: Time::NEVER,
            refuted_claims: BTreeMap::new(),
        }
    }

    /// An application called `publish()`: a unit for each live subscription. Says whether the
    /// message has to wait because the publisher is not connected.
    #[inline]
    pub(super) fn on_submitted(&mut self, message_id: &MessageId) -> bool {
        let facts = &self.trial.publishers[message_id.publisher.index()];
        let waits = message_id.qos != QoS::AtMostOnce
            && !self.open_connections.is_connected(Node::Client(facts.client), facts.client);
        if !facts.will {
            self.sessions[facts.client.index()].own_queue.add(1);
        }
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
        if packet.is_resend() {
            self.count_retransmission(Hop::First, packet);
        }
        let Some(progress) = self.progress(packet.tag) else { return };
        let is_first = !progress.has_all(MessageProgress::SENT);
        progress.set(MessageProgress::SENT);
        if is_first {
            self.sessions[packet.name.client.index()].own_queue.remove();
        }
    }

    /// The broker handed a PUBLISH to the network: from now on it must see a QoS 1 or 2 message
    /// through, whatever is unsubscribed [MQTT-3.10.4-3].
    #[inline]
    pub(super) fn on_sent_by_broker(&mut self, now: Time, packet: &PacketMeta<'_>) {
        if packet.is_resend() {
            self.count_retransmission(Hop::Second, packet);
            self.on_window_used(now, packet.name.client, false);
            return;
        }
        let is_qos0 = packet.qos() == Some(QoS::AtMostOnce);
        self.sessions[packet.name.client.index()].broker_queue.remove();
        self.on_window_used(now, packet.name.client, !is_qos0);
        let Some(message_id) = packet.tag.message_id() else { return };
        if message_id.is_retained_copy() {
            self.retained.on_sent(packet.name.client, &message_id);
            return;
        }
        if is_qos0 {
            return;
        }
        self.shared.on_sending_began(packet.name.client, &message_id);
        let stream = &mut self.publishers[message_id.publisher.index()];
        if let Some(unit) = stream.unit_mut(packet.name.client, message_id.sequence)
            && matches!(
                unit.state(),
                DeliveryState::MustDeliver | DeliveryState::NoExcuse | DeliveryState::Withdrawn
            )
        {
            unit.set_state(DeliveryState::ForwardingStarted, unit.granted());
        }
    }

    /// An acknowledgement reached the publisher. PUBREC hands the message over where the broker
    /// forwards on PUBLISH; every other end is reported as a completion.
    #[inline]
    pub(super) fn on_ack_reached_publisher(&mut self, packet: &PacketMeta<'_>) {
        let first_hop =
            matches!(packet.name.subject, PacketSubject::Message { hop: Hop::First, .. });
        if first_hop && packet.reason >= FIRST_FAILURE_REASON {
            self.on_refusal_reached_publisher(packet);
            return;
        }
        if first_hop
            && packet.kind() == PacketKind::PubRec
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
    pub(super) fn progress(&mut self, tag: MessageTag) -> Option<&mut MessageProgress> {
        let message_id = tag.message_id()?;
        self.publishers[message_id.publisher.index()].messages.get_mut(message_id.sequence as usize)
    }
}

impl PublisherLedger {
    /// When a message expires that came to the broker; `None` if it never does.
    pub(super) fn expiry(&self, sequence: u32) -> Option<Expiry> {
        self.expiries.get(sequence as usize).filter(|it| it.last > Time::ZERO).copied()
    }

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
            copies: (1, false),
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
