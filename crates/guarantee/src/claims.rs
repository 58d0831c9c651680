//! What endpoints say of messages that they let go of, held against what the judge has seen.
//!
//! An excuse is a fact, and no endpoint's word: times, sizes, counts and what crossed the wire.
//! What an endpoint says only tells when it let go of a message, and why it believes that it may.

use super::delivery_unit::{DeliveryState, HandshakeEnd, MessageProgress};
use super::ledger::Ledger;
use super::verdict::Excuse;
use qoslab_core::base::{
    ClientIndex, DropReason, Hop, MessageId, MessageTag, Node, PacketKind, PacketMeta,
    PacketSubject, QoS, Span, Time,
};
use qoslab_core::mqtt::Version;

/// Reason codes from here on refuse (MQTT 5.0, section 2.4).
pub(super) const FIRST_FAILURE_REASON: u8 = 0x80;
/// The reason codes by which PUBACK and PUBREC may refuse (MQTT 5.0, sections 3.4.2.1, 3.5.2.1).
const REFUSALS: [u8; 7] = [0x80, 0x83, 0x87, 0x90, 0x91, QUOTA_EXCEEDED, 0x99];
const NOT_AUTHORIZED: u8 = 0x87;
const QUOTA_EXCEEDED: u8 = 0x97;

/// A message that an endpoint let go of for a reason that was none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RefutedClaim {
    pub(super) at: Time,
    pub(super) why: DropReason,
    /// It had expired, but might have been sent before.
    pub(super) was_held_back: bool,
}

impl Ledger {
    /// The publisher's endpoint says that it let go of a message. Of QoS 0 nothing is promised.
    pub(super) fn on_refused(&mut self, now: Time, tag: MessageTag, why: DropReason) {
        let Some(message_id) = tag.message_id() else { return };
        let Some(progress) = self.progress(tag).copied() else { return };
        let end = if message_id.qos == QoS::AtMostOnce {
            Some(HandshakeEnd::Refused)
        } else {
            self.refusal_end(now, &message_id, progress, why)
        };
        if !progress.has_all(MessageProgress::SENT) {
            let publisher = self.trial.publishers[message_id.publisher.index()].client;
            self.sessions[publisher.index()].own_queue.remove();
        }
        match (end, self.progress(tag)) {
            (Some(end), Some(progress)) => progress.finish_handshake(end),
            _ if progress.handshake_end() == HandshakeEnd::Rejected => {}
            _ => {
                let key = (message_id.publisher, message_id.sequence, None);
                let claim = RefutedClaim { at: now, why, was_held_back: false };
                self.refuted_claims.entry(key).or_insert(claim);
            }
        }
    }

    /// The end that a publisher's word stands for, if the facts bear it out.
    fn refusal_end(
        &self,
        now: Time,
        message_id: &MessageId,
        progress: MessageProgress,
        why: DropReason,
    ) -> Option<HandshakeEnd> {
        let stream = &self.trial.publishers[message_id.publisher.index()];
        let facts = &self.trial.clients[stream.client.index()];
        let session = &self.sessions[stream.client.index()];
        let is_unsent = !progress.has_all(MessageProgress::SENT);
        let (is_so, end) = match why {
            DropReason::QueueFull => {
                let may_be_full = session.own_queue.may_have_overflowed(facts.max_queued);
                (is_unsent && may_be_full, HandshakeEnd::Refused)
            }
            DropReason::GaveUp => {
                let node = Node::Client(stream.client);
                (
                    self.has_given_up(node, stream.client, Hop::First, message_id),
                    HandshakeEnd::GaveUp,
                )
            }
            DropReason::Expired => {
                let expires = |secs: u32| message_id.published + Span::from_secs(secs.into());
                let is_over = stream.expiry.is_some_and(|secs| expires(secs) <= now);
                (is_unsent && is_over, HandshakeEnd::Expired)
            }
            DropReason::TooLarge => {
                (self.may_exceed_brokers_limit(message_id), HandshakeEnd::TooLarge)
            }
            DropReason::SessionEnded => {
                let lost = session.publishing_lost_at;
                (lost.is_some_and(|at| at >= message_id.published), HandshakeEnd::Refused)
            }
            // The refusal is on the wire, and was seen there.
            DropReason::Rejected => (false, HandshakeEnd::Rejected),
            // QoS 1 and 2 wait for a connection, and for room in its socket.
            DropReason::Offline | DropReason::SocketFull => (false, HandshakeEnd::Refused),
        };
        is_so.then_some(end)
    }

    /// The broker's negative acknowledgement reached the publisher.
    pub(super) fn on_refusal_reached_publisher(&mut self, packet: &PacketMeta<'_>) {
        let Some(message_id) = packet.tag.message_id() else { return };
        let version = self.trial.clients[packet.name.client.index()].version;
        if is_legal_refusal(packet, version)
            && self.allows_refusal(&message_id, packet.reason)
            && let Some(progress) = self.progress(packet.tag)
        {
            progress.finish_handshake(HandshakeEnd::Rejected);
        }
    }

    /// Whether the scenario lets the broker refuse a message with this reason.
    fn allows_refusal(&self, message_id: &MessageId, reason: u8) -> bool {
        let stream = &self.trial.publishers[message_id.publisher.index()];
        match reason {
            NOT_AUTHORIZED => stream.publish_denied,
            QUOTA_EXCEEDED => self.trial.broker_refuses_on_full && self.may_lack_room(message_id),
            _ => false,
        }
    }

    /// Whether a subscriber's queue may have had no room for a message. The message was counted
    /// when it came; a group may give a subscriber one more copy.
    fn may_lack_room(&self, message_id: &MessageId) -> bool {
        let stream = &self.publishers[message_id.publisher.index()];
        let limit = self.trial.broker_max_queued;
        let plain = stream.subscribers.iter().filter(|it| it.granted.is_some()).map(|it| it.client);
        let copies = self.shared.groups_of(message_id.publisher);
        let members = self.shared.members_of(message_id.publisher);
        // What has its PUBREC and no PUBREL yet has its place too.
        self.trial.broker_delivers_on_pubrel
            || plain.chain(members).any(|client| {
                self.sessions[client.index()].broker_queue.may_lack_room_for(copies, limit)
            })
    }

    /// A subscriber's negative acknowledgement reached the broker.
    pub(super) fn on_refused_by_subscriber(&mut self, now: Time, packet: &PacketMeta<'_>) {
        let client = packet.name.client;
        let Some(message_id) = packet.tag.message_id() else { return };
        if is_legal_refusal(packet, self.trial.clients[client.index()].version) {
            let (state, excuse) = (DeliveryState::Rejected, Excuse::Rejected);
            let why = DropReason::Rejected;
            self.excuse_unit(now, client, &message_id, (why, state, excuse));
        }
    }

    /// The broker says that it dropped a copy it owed.
    pub(super) fn on_dropped(
        &mut self,
        now: Time,
        client: ClientIndex,
        tag: MessageTag,
        why: DropReason,
    ) {
        let Some(message_id) = tag.message_id() else { return };
        self.check_chances(now, client);
        let excuse = self.borne_out_excuse(now, client, &message_id, why);
        match excuse {
            Some((state, excuse)) => {
                self.excuse_unit(now, client, &message_id, (why, state, excuse));
            }
            None => self.refute(now, client, &message_id, why),
        }
        let was_queued =
            !matches!(why, DropReason::Rejected | DropReason::GaveUp | DropReason::SessionEnded);
        if was_queued {
            self.sessions[client.index()].broker_queue.remove();
        }
    }

    /// The excuse that the broker's word stands for, if the facts bear it out.
    fn borne_out_excuse(
        &self,
        now: Time,
        client: ClientIndex,
        message_id: &MessageId,
        why: DropReason,
    ) -> Option<(DeliveryState, Excuse)> {
        let session = &self.sessions[client.index()];
        let (is_so, excuse) = match why {
            DropReason::GaveUp => (
                self.has_given_up(Node::Broker, client, Hop::Second, message_id),
                (DeliveryState::GaveUp, Excuse::GaveUp),
            ),
            DropReason::QueueFull => (
                self.trial.allow_queue_overflow && self.may_have_overflowed(client),
                (DeliveryState::Overflowed, Excuse::QueueOverflow),
            ),
            DropReason::Expired => {
                (self.has_expired(now, message_id), (DeliveryState::Expired, Excuse::Expired))
            }
            DropReason::SessionEnded => (
                session.clock.may_be_gone(now),
                (DeliveryState::MemberSessionEnded, Excuse::SessionEnded),
            ),
            // What is too large, or refused, was seen when it crossed the wire.
            DropReason::TooLarge
            | DropReason::Rejected
            | DropReason::Offline
            | DropReason::SocketFull => return None,
        };
        is_so.then_some(excuse)
    }

    /// Whether a copy of a message has expired, if not all of them.
    fn has_expired(&self, now: Time, message_id: &MessageId) -> bool {
        let stream = &self.publishers[message_id.publisher.index()];
        stream.expiry(message_id.sequence).is_some_and(|expiry| expiry.first <= now)
    }

    fn may_have_overflowed(&self, client: ClientIndex) -> bool {
        let queue = self.sessions[client.index()].broker_queue;
        queue.may_have_overflowed(self.trial.broker_max_queued)
    }

    fn excuse_unit(
        &mut self,
        now: Time,
        client: ClientIndex,
        message_id: &MessageId,
        (why, state, excuse): (DropReason, DeliveryState, Excuse),
    ) {
        if message_id.is_retained_copy() {
            if state != DeliveryState::MemberSessionEnded {
                self.retained.excuse(client, message_id, excuse);
            }
            return;
        }
        let unit =
            self.publishers[message_id.publisher.index()].unit_mut(client, message_id.sequence);
        let can_be_excused = |standing| match standing {
            DeliveryState::MustDeliver => true,
            // What it has begun to send it must see through [MQTT-4.3.3-7].
            DeliveryState::ForwardingStarted => why != DropReason::Expired,
            _ => false,
        };
        let key = (message_id.publisher, message_id.sequence, Some(client));
        match unit.filter(|unit| unit.state().is_owed()) {
            Some(unit) if unit.state() == DeliveryState::NoExcuse => {
                let claim = RefutedClaim { at: now, why, was_held_back: true };
                self.refuted_claims.entry(key).or_insert(claim);
            }
            // The end of a session is seen by itself.
            Some(unit) if state != DeliveryState::MemberSessionEnded => {
                if can_be_excused(unit.state()) {
                    unit.set_state(state, unit.granted());
                }
            }
            Some(_) => {}
            None => self.shared.on_dropped(client, message_id, state),
        }
    }

    /// The broker let go of a copy without a reason: whatever happens later is no excuse.
    fn refute(&mut self, now: Time, client: ClientIndex, message_id: &MessageId, why: DropReason) {
        // A full queue is a reason, though none that excuses.
        let is_setting = why == DropReason::QueueFull && self.may_have_overflowed(client);
        let claim = RefutedClaim { at: now, why, was_held_back: false };
        let stream = &mut self.publishers[message_id.publisher.index()];
        let unit = stream.unit_mut(client, message_id.sequence);
        let unit = unit.filter(|_| !message_id.is_retained_copy());
        let (is_known, is_lossless) = match unit {
            Some(unit) => {
                let excused = matches!(
                    unit.state(),
                    DeliveryState::TooLarge | DeliveryState::Rejected | DeliveryState::Expired
                );
                if unit.state() == DeliveryState::MustDeliver {
                    unit.set_state(DeliveryState::NoExcuse, unit.granted());
                }
                (!excused, !unit.terms(message_id.qos).may_lose)
            }
            None => (true, message_id.qos != QoS::AtMostOnce),
        };
        if is_known && is_lossless && !is_setting {
            let key = (message_id.publisher, message_id.sequence, Some(client));
            self.refuted_claims.entry(key).or_insert(claim);
        }
    }

    // ---- transmissions ----

    /// PUBLISH or PUBREL was sent again.
    pub(super) fn count_retransmission(&mut self, hop: Hop, packet: &PacketMeta<'_>) {
        let limited = match hop {
            Hop::First => self.trial.clients[packet.name.client.index()].max_transmissions,
            Hop::Second => self.trial.broker_max_transmissions,
        };
        let Some(message_id) = packet.tag.message_id().filter(|_| limited.is_some()) else {
            return;
        };
        let key = (packet.name.client, hop, message_id.publisher, message_id.sequence);
        let counts = self.retransmissions.entry(key).or_default();
        counts[usize::from(packet.kind() == PacketKind::PubRel)] += 1;
    }

    /// Whether a packet of a message was sent as often as its sender is set to send it.
    fn has_given_up(
        &self,
        node: Node,
        client: ClientIndex,
        hop: Hop,
        message_id: &MessageId,
    ) -> bool {
        let Some(limit) = self.trial.max_transmissions(node) else { return false };
        let key = (client, hop, message_id.publisher, message_id.sequence);
        let [publish, release] = self.retransmissions.get(&key).copied().unwrap_or_default();
        publish.max(release) + 1 >= limit
    }
}

/// Whether a packet refuses a message in a way that its version knows. PUBCOMP's only failure says
/// that an id is unknown, and refuses nothing.
fn is_legal_refusal(packet: &PacketMeta<'_>, version: Version) -> bool {
    let is_of_message = matches!(packet.name.subject, PacketSubject::Message { .. });
    let is_refusable = matches!(packet.kind(), PacketKind::PubAck | PacketKind::PubRec);
    is_of_message && is_refusable && version == Version::V5 && REFUSALS.contains(&packet.reason)
}
