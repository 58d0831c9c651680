//! The sender's half of a hop as seen from outside: which message has which packet id, and how
//! often each packet was sent.

use std::collections::BTreeMap;

use super::PublishOutcome;
use super::published_messages::MessageKey;
use qoslab_core::base::{DropReason, MessageTag, QoS, Transmission};
use qoslab_core::mqtt::{PacketId, PublishAck, RepeatedPubrec};

/// Reason codes from here on refuse (MQTT 5.0, section 2.4).
pub(super) const FIRST_FAILURE_REASON: u8 = 0x80;
/// Marks the answer to a packet of no exchange; see [`Transmission::duplicate_index`].
pub(super) const UNMATCHED: u8 = 2;

/// One session's messages on their way out.
#[derive(Default)]
pub(super) struct TrackedSender {
    exchanges: BTreeMap<PacketId, SenderExchange>,
    /// Packet id of the PUBREC read last, if no PUBREL was written since.
    unanswered_pubrec: Option<PacketId>,
    /// PUBRECs of no known exchange that were not answered yet.
    unknown_pubrecs: BTreeMap<PacketId, MessageTag>,
    /// How many of them were answered, which names the answers.
    unmatched_pubrels: u32,
}

/// A message between its first PUBLISH and its last acknowledgement.
struct SenderExchange {
    /// `None` for a message that belongs to no publisher.
    message: Option<MessageKey>,
    tag: MessageTag,
    qos: QoS,
    is_released: bool,
    publish_count: u32,
    pubrel_count: u32,
}

impl TrackedSender {
    /// A PUBLISH of QoS 1 or 2 was written. Its tag and number if it repeats one, by its id or,
    /// with DUP=1 and another id, by its message.
    pub(super) fn publish_resent(
        &mut self,
        id: PacketId,
        message: Option<MessageKey>,
        dup: bool,
    ) -> Option<(MessageTag, Transmission)> {
        let is_known = self.exchanges.get(&id).is_some_and(|it| it.message == message);
        if !is_known {
            let mut others = self.exchanges.iter();
            let (&other, _) =
                others.find(|(_, it)| dup && message.is_some() && it.message == message)?;
            let exchange = self.exchanges.remove(&other)?;
            self.exchanges.insert(id, exchange);
        }
        let exchange = self.exchanges.get_mut(&id)?;
        exchange.is_released = false;
        exchange.publish_count += 1;
        Some((exchange.tag, for_attempt(exchange.publish_count - 1)))
    }

    /// A PUBLISH of QoS 1 or 2 was written that repeats none. With DUP=1 its sender has counted a
    /// first sending that never left it.
    pub(super) fn publish_first_sent(
        &mut self,
        id: PacketId,
        message: Option<MessageKey>,
        tag: MessageTag,
        qos: QoS,
        dup: bool,
    ) -> Transmission {
        let attempt = u32::from(dup);
        let publishes = attempt + 1;
        let exchange = SenderExchange {
            message,
            tag,
            qos,
            is_released: false,
            publish_count: publishes,
            pubrel_count: 0,
        };
        self.exchanges.insert(id, exchange);
        for_attempt(attempt)
    }

    /// A PUBREL was written.
    pub(super) fn pubrel_written(&mut self, id: PacketId) -> (MessageTag, Transmission) {
        self.unanswered_pubrec = None;
        if let Some(exchange) = self.exchanges.get_mut(&id) {
            exchange.is_released = true;
            exchange.pubrel_count += 1;
            return (exchange.tag, for_attempt(exchange.pubrel_count - 1));
        }
        let tag = self.unknown_pubrecs.remove(&id).unwrap_or(MessageTag::NONE);
        self.unmatched_pubrels += 1;
        (tag, Transmission { attempt: self.unmatched_pubrels - 1, duplicate_index: UNMATCHED })
    }

    /// A PUBACK was read.
    pub(super) fn puback_read(&mut self, ack: &PublishAck) -> Option<PublishOutcome> {
        let is_awaited = self.is_awaiting(ack.id, QoS::AtLeastOnce);
        if is_awaited { self.finish(ack.id, ack.reason) } else { None }
    }

    /// A PUBREC was read; `repeated` is what becomes of one that comes again.
    pub(super) fn pubrec_read(
        &mut self,
        ack: &PublishAck,
        repeated: RepeatedPubrec,
    ) -> Option<PublishOutcome> {
        let is_first = self.is_awaiting(ack.id, QoS::ExactlyOnce);
        let is_answered = is_first || repeated == RepeatedPubrec::Answer;
        self.unanswered_pubrec = is_answered.then_some(ack.id);
        if is_first {
            if ack.reason >= FIRST_FAILURE_REASON {
                return self.finish(ack.id, ack.reason);
            }
            if let Some(exchange) = self.exchanges.get_mut(&ack.id) {
                exchange.is_released = true;
            }
        } else if !self.exchanges.contains_key(&ack.id) && ack.reason < FIRST_FAILURE_REASON {
            self.unknown_pubrecs.insert(ack.id, ack.tag);
        }
        None
    }

    /// A PUBCOMP was read: it ends the exchange, whatever its reason.
    pub(super) fn pubcomp_read(&mut self, ack: &PublishAck) -> Option<PublishOutcome> {
        let is_awaited = self.exchanges.get(&ack.id).is_some_and(|it| it.is_released);
        if is_awaited { self.finish(ack.id, 0) } else { None }
    }

    /// Its node crashed and has kept all. A PUBREC is read and answered in one step, so a PUBREL
    /// that did not come is taken to have been stored as sent.
    pub(super) fn node_crashed(&mut self) {
        if let Some(id) = self.unanswered_pubrec.take()
            && let Some(exchange) = self.exchanges.get_mut(&id)
        {
            exchange.pubrel_count += 1;
        }
    }

    /// The session is gone.
    pub(super) fn end_session(&mut self) {
        self.exchanges.clear();
        self.unanswered_pubrec = None;
        self.unknown_pubrecs.clear();
    }

    fn is_awaiting(&self, id: PacketId, qos: QoS) -> bool {
        self.exchanges.get(&id).is_some_and(|it| it.qos == qos && !it.is_released)
    }

    fn finish(&mut self, id: PacketId, reason: u8) -> Option<PublishOutcome> {
        let tag = self.exchanges.remove(&id)?.tag;
        tag.message_id()?;
        Some(if reason >= FIRST_FAILURE_REASON {
            PublishOutcome::Refused(tag, DropReason::Rejected)
        } else {
            PublishOutcome::Completed(tag)
        })
    }
}

const fn for_attempt(attempt: u32) -> Transmission {
    Transmission { attempt, duplicate_index: 0 }
}
