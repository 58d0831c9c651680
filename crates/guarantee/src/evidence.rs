//! The evidence kept for one suspected message in the second pass.

use std::collections::{BTreeMap, BTreeSet};

use super::monitor::RuleViolation;
use super::rules::Rule;
use super::subscriptions::Subscriptions;
use super::trial_facts::PublisherFacts;
use qoslab_core::base::{
    ClientIndex, Direction, DropReason, Fate, Hop, Node, PacketKind, PacketMeta, PublisherIndex,
    QoS, Time,
};

/// The greatest number of acts of one message that are kept for its history.
const MAX_MESSAGE_EVENTS: usize = 200;

/// How many delivery times are kept of one subscriber.
const MAX_DELIVERY_TIMES: usize = 8;

/// One suspected message.
#[derive(Clone, Debug, Default)]
pub(super) struct Evidence {
    /// The published QoS and time, once it was submitted.
    pub(super) published: Option<(QoS, Time)>,
    /// When its publisher's handshake was complete.
    pub(super) completed_at: Option<Time>,
    /// The subscribers whose units are suspected violations.
    pub(super) subscribers: Vec<ClientIndex>,
    /// What happened, in order.
    pub(super) events: Vec<(Time, MessageEvent)>,
    /// The rules broken that concern it, in the order in which they were seen.
    pub(super) rule_violations: Vec<RuleViolation>,
    /// What the network did to its packets, by link and hop.
    pub(super) damage: BTreeMap<(ClientIndex, Hop), NetworkDamage>,
    /// What endpoints let go of: the subscriber, or `None` for the publisher, and why.
    pub(super) dropped: Vec<(Option<ClientIndex>, DropReason)>,
    /// Negative acknowledgements of it that were read: on whose link and hop, and the reason code.
    pub(super) refusals: Vec<(ClientIndex, Hop, u8)>,
    /// The subscribers for whom a full queue dropped what the broker could have refused: a copy of
    /// what its publisher sends, and neither a will nor a retained message that a SUBSCRIBE asks
    /// for.
    pub(super) not_refused: Vec<ClientIndex>,
    /// What subscribers got.
    pub(super) deliveries: BTreeMap<ClientIndex, Deliveries>,
    /// A receiver took it for another message, whose packet id it still held.
    pub(super) id_collision: Option<IdCollision>,
    /// Its sender took an acknowledgement of another message for its own.
    pub(super) stale_ack: Option<StaleAck>,
    /// How often the broker had reason to forward it.
    pub(super) forward_causes: u32,
    /// When the broker acknowledged it as new.
    pub(super) broker_acknowledged_at: Option<Time>,
    /// What the broker did for each subscriber.
    pub(super) second_hops: BTreeMap<ClientIndex, SecondHop>,
    /// The copies that the broker sent to each subscriber.
    pub(super) copies: BTreeSet<(ClientIndex, u32)>,
    /// When its PUBLISH or PUBREL was sent, in order: all of them, where the history has the first.
    sends: BTreeMap<(ClientIndex, Hop), Vec<Time>>,
}

/// Something that happened to a message.
#[derive(Clone, Copy, Debug)]
pub(super) enum MessageEvent {
    /// Its application published it.
    Published,
    /// The broker published it as a will.
    WillPublished,
    /// Its publisher's handshake is complete.
    Completed,
    /// A packet was sent.
    Sent {
        link: ClientIndex,
        direction: Direction,
        hop: Hop,
        first_byte: u8,
        id: u16,
        kind: PacketKind,
        fate: Fate,
    },
    /// A packet arrived where its connection was gone.
    Discarded { link: ClientIndex, direction: Direction, hop: Hop, kind: PacketKind },
    /// A receiver took it for another message.
    IdCollision(IdCollision),
    /// Its sender took an acknowledgement of another message for its own.
    StaleAck(StaleAck),
    /// A subscriber's application got it.
    Delivered { client: ClientIndex },
    /// An endpoint let go of it.
    Dropped { client: Option<ClientIndex>, why: DropReason },
}

/// A QoS 2 message whose packet id the receiver still held for another one.
#[derive(Clone, Copy, Debug)]
pub(super) struct IdCollision {
    pub(super) link: ClientIndex,
    pub(super) hop: Hop,
    pub(super) id: u16,
    /// The message that it was taken for.
    pub(super) other_message: (PublisherIndex, u32),
    /// Why the sender no longer held the id for it.
    pub(super) release_cause: IdReleaseCause,
}

/// The reason why a packet id is free at its sender while its receiver still holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum IdReleaseCause {
    /// An acknowledgement came, perhaps of an older message of the same id.
    Acknowledged,
    /// The sender had given its message up, after the set number of transmissions.
    GivenUp,
    /// The sender's store had forgotten it in a crash.
    Forgotten,
}

/// An acknowledgement of an older message of the same packet id that came for a message.
#[derive(Clone, Copy, Debug)]
pub(super) struct StaleAck {
    pub(super) link: ClientIndex,
    pub(super) hop: Hop,
    pub(super) id: u16,
    pub(super) kind: PacketKind,
    /// The message that was acknowledged.
    pub(super) other_message: (PublisherIndex, u32),
}

/// What the network did to a message's packets on one hop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct NetworkDamage {
    pub(super) lost: u32,
    /// No endpoint read them: their connection was gone when they came, or ended before.
    pub(super) discarded: u32,
    pub(super) duplicated: u32,
    pub(super) reordered: u32,
}

/// The copies that one subscriber got.
#[derive(Clone, Debug, Default)]
pub(super) struct Deliveries {
    pub(super) times: Vec<Time>,
    pub(super) copies: u32,
    /// When the last copy came.
    pub(super) last: Time,
}

/// The second hop to one subscriber, as the broker and the subscriber see it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SecondHop {
    /// The highest QoS granted at an arrival of the message at the broker.
    pub(super) highest_granted: Option<QoS>,
    /// The lowest of what was granted at its arrivals; `None` where that is not sure.
    pub(super) lowest_granted: Option<QoS>,
    /// Copies that the broker sent, and how many it had reason to send.
    pub(super) sent: u32,
    pub(super) allowed: u32,
    /// The highest QoS among them, and when that was sent last.
    pub(super) highest_sent: Option<(QoS, Time)>,
    /// It was sent as a retained message, or the broker let go of it as one.
    pub(super) sent_retained: bool,
    pub(super) dropped_retained: bool,
    /// The highest QoS granted to a filter that asks for what is retained.
    pub(super) retained_granted: Option<QoS>,
    /// Whether it was the retained message when the last such filter was granted.
    pub(super) was_latest_retained: bool,
    /// When a SUBSCRIBE was answered that asks for it, while it was the retained message.
    pub(super) retained_owed_at: Option<Time>,
    /// It arrived and was new to the subscriber's endpoint.
    pub(super) received_as_new: bool,
    /// A PUBREL came for it under the packet id that the subscriber held it by.
    pub(super) released: bool,
    /// The subscriber answered a PUBREL for it under a packet id that it did not hold.
    pub(super) released_by_wrong_id: bool,
    /// When the subscriber's endpoint reported to the broker that it is done.
    pub(super) acknowledged: Option<Time>,
}

impl SecondHop {
    /// The subscriber's endpoint reported that it is done; by PUBCOMP if it was asked by PUBREL.
    pub(super) fn on_answered(&mut self, now: Time, by_pubrel: bool) {
        // What answers for another message of the same id is not about this one.
        if self.received_as_new && (!by_pubrel || self.released) {
            self.acknowledged.get_or_insert(now);
        } else {
            self.released_by_wrong_id |= self.received_as_new;
        }
    }
}

impl Evidence {
    /// Keeps an act for the history.
    pub(super) fn add_event(&mut self, now: Time, event: MessageEvent) {
        if self.events.len() < MAX_MESSAGE_EVENTS {
            self.events.push((now, event));
        }
    }

    /// Keeps what the network decided for a packet.
    pub(super) fn on_sent(&mut self, now: Time, packet: &PacketMeta<'_>, hop: Hop, fate: &Fate) {
        let harm = self.damage.entry((packet.name.client, hop)).or_default();
        match fate {
            Fate::Streamed => {}
            Fate::Lost(_) => harm.lost += 1,
            Fate::Arrives(arrival) => {
                harm.duplicated += u32::from(arrival.duplicate_at.is_some());
                harm.reordered += u32::from(arrival.overtakes);
            }
        }
        if matches!(packet.kind(), PacketKind::Publish | PacketKind::PubRel) {
            self.sends.entry((packet.name.client, hop)).or_default().push(now);
        }
        let event = MessageEvent::Sent {
            link: packet.name.client,
            direction: packet.name.direction,
            hop,
            first_byte: packet.first_byte,
            id: packet.id,
            kind: packet.kind(),
            fate: *fate,
        };
        self.add_event(now, event);
    }

    /// The broker has a reason to forward it, to those who have a subscription now.
    pub(super) fn on_forward_cause(
        &mut self,
        publisher: &PublisherFacts,
        subscriptions: &Subscriptions,
        for_each_filter: bool,
    ) {
        self.forward_causes += 1;
        for client in &self.subscribers {
            let second_hop = self.second_hops.entry(*client).or_default();
            second_hop.allowed +=
                subscriptions.copies_of_arrival(*client, publisher, for_each_filter);
            let least = subscriptions.lowest_owed_qos(*client, publisher);
            second_hop.lowest_granted =
                if self.forward_causes == 1 { least } else { second_hop.lowest_granted.min(least) };
            second_hop.highest_granted = second_hop
                .highest_granted
                .max(subscriptions.highest_granted_qos(*client, publisher));
        }
    }

    /// The broker broke a rule by what it sent, or did not send, to a subscriber.
    pub(super) fn add_brokers_violation(
        &mut self,
        at: Time,
        link: ClientIndex,
        rule: Rule,
        message: (PublisherIndex, u32),
    ) {
        let (node, hop, message) = (Node::Broker, Hop::Second, Some(message));
        let broken = RuleViolation { at, node, link, hop, rule, message, other_message: None };
        self.rule_violations.push(broken);
    }

    /// When its PUBLISH or PUBREL was last sent in one direction of a link before a time.
    pub(super) fn last_sent(&self, client: ClientIndex, hop: Hop, before: Time) -> Option<Time> {
        self.sends.get(&(client, hop))?.iter().rev().find(|at| **at < before).copied()
    }

    /// Keeps a delivery.
    pub(super) fn on_delivered(&mut self, now: Time, client: ClientIndex) {
        let deliveries = self.deliveries.entry(client).or_default();
        deliveries.copies += 1;
        deliveries.last = now;
        if deliveries.times.len() < MAX_DELIVERY_TIMES {
            deliveries.times.push(now);
        }
        self.add_event(now, MessageEvent::Delivered { client });
    }

    /// The harm done on the way from the publisher to one subscriber, on those links that count.
    pub(super) fn damage_on_path(
        &self,
        publisher: ClientIndex,
        subscriber: Option<ClientIndex>,
        counts: impl Fn(ClientIndex) -> bool,
    ) -> NetworkDamage {
        let on = |link: ClientIndex, hop| self.damage.get(&(link, hop)).filter(|_| counts(link));
        let first = on(publisher, Hop::First);
        let second = subscriber.and_then(|client| on(client, Hop::Second));
        first.into_iter().chain(second).fold(NetworkDamage::default(), |sum, harm| NetworkDamage {
            lost: sum.lost + harm.lost,
            discarded: sum.discarded + harm.discarded,
            duplicated: sum.duplicated + harm.duplicated,
            reordered: sum.reordered + harm.reordered,
        })
    }

    /// The first broken rule, in causal order, that concerns the message on its way to one
    /// subscriber.
    pub(super) fn first_violation(
        &self,
        subscriber: Option<ClientIndex>,
        counts: impl Fn(&RuleViolation) -> bool,
    ) -> Option<&RuleViolation> {
        let concerns =
            |broken: &&RuleViolation| broken.hop == Hop::First || Some(broken.link) == subscriber;
        // Of equals, `min_by_key` gives the one that was seen first.
        self.rule_violations
            .iter()
            .filter(concerns)
            .filter(|it| counts(it))
            .min_by_key(|broken| broken.at)
    }

    /// Whether an endpoint let go of what a subscriber, or the publisher itself, waited for.
    pub(super) fn was_dropped(&self, client: Option<ClientIndex>, why: DropReason) -> bool {
        self.dropped
            .iter()
            .any(|(whom, reason)| *reason == why && (*whom == client || whom.is_none()))
    }
}

impl NetworkDamage {
    /// Whether the network did anything at all.
    pub(super) const fn has_any(self) -> bool {
        self.lost + self.discarded + self.duplicated + self.reordered > 0
    }
}

/// Whose end of a link a way leads to.
pub(super) const fn receiving_node(link: ClientIndex, direction: Direction) -> Node {
    match direction {
        Direction::Up => Node::Broker,
        Direction::Down => Node::Client(link),
    }
}
