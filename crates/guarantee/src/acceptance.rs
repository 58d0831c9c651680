//! What the ledger learns from the messages that reach the broker.

use std::collections::btree_map::Entry;

use super::delivery_unit::{DeliveryState, DeliveryUnit, MessageProgress};
use super::ledger::{Ledger, OverlappingCopies};
use super::retained::IncomingRetained;
use qoslab_core::base::{
    MessageId, Node, PacketBody, PacketKind, PacketMeta, Phase, QoS, Span, Time,
};
use qoslab_core::mqtt::StorePolicy;

/// What the arrival of a packet at the broker made of a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Acceptance {
    /// A QoS 2 message came again and is not passed on again.
    pub(super) is_suppressed_duplicate: bool,
    /// How many copies have to wait because their subscribers are not connected.
    pub(super) copies_waiting: u64,
}

impl Ledger {
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
                let is_forwarded = !on_pubrel && !acceptance.is_suppressed_duplicate;
                acceptance.copies_waiting = self.on_accepted_by_broker(&message_id, is_forwarded);
                self.note_limits(now, &message_id, packet);
                if packet.is_retain() {
                    self.store_retained(now, &message_id, on_pubrel, packet);
                }
            }
            PacketKind::PubRel => {
                if let Some(progress) = self.progress(packet.tag) {
                    progress.set(MessageProgress::PUBREL_REACHED_BROKER);
                }
                if on_pubrel {
                    acceptance.copies_waiting = self.on_accepted_by_broker(&message_id, true);
                    self.await_expiry(now, &message_id);
                    self.excuse_too_large_held(&message_id);
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
        let incoming =
            IncomingRetained { message_id: *message_id, payload: packet.size.payload, expires };
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

    /// The broker took a message; `is_forwarded`: it sends it on because of that. Gives how many
    /// copies have to wait because their subscribers are not connected.
    #[inline]
    pub(super) fn on_accepted_by_broker(
        &mut self,
        message_id: &MessageId,
        is_forwarded: bool,
    ) -> u64 {
        let mut copies_waiting = 0;
        let stream = &mut self.publishers[message_id.publisher.index()];
        let Some(progress) = stream.messages.get_mut(message_id.sequence as usize) else {
            return copies_waiting;
        };
        let first = !progress.has_all(MessageProgress::REACHED_BROKER);
        progress.set(MessageProgress::REACHED_BROKER);
        let sessions = &mut self.sessions;
        self.shared.on_accepted_by_broker(message_id, first, |member| {
            if is_forwarded {
                sessions[member.index()].broker_queue.add(1);
            }
        });
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
            let (copies, may_repeat) = subscriber.copies;
            if is_forwarded {
                self.sessions[subscriber.client.index()].broker_queue.add(copies.into());
            }
            if first && (copies > 1 || may_repeat) {
                let key = (message_id.publisher, message_id.sequence, subscriber.client);
                let allowed = if may_repeat { u32::MAX } else { copies.into() };
                self.overlaps.insert(key, OverlappingCopies { copies: 0, allowed });
            }
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
}
