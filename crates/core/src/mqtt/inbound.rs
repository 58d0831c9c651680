//! The receiver's half of a hop: QoS 0, 1 and 2 from the side that gets the message.

use super::ids::IdRing;
use super::outbound::ID_NOT_FOUND;
use super::packet::{Message, Packet, PacketId, Publish, PublishAck, PublishLevel};
use super::quirks::Quirk;
use super::session_context::SessionContext;
use super::settings::{DeliverOn, HopSettings, Version};
use crate::base::{QoS, Span, Time, Transmission};
use crate::impl_fingerprint;

/// How long a receiver with the quirk remembers an id.
const QUIRK_DEDUPE_TTL: Span = Span::from_secs(5);

/// One session's QoS 2 messages between PUBLISH and PUBREL: the receiver's half of a hop.
///
/// Written once: a client receives through it, and a broker receives through it, one for each
/// session. Its whole memory is the set of QoS 2 packet ids between PUBLISH and PUBREL:
///
/// | arrives | id not held | id held |
/// |---|---|---|
/// | PUBLISH QoS 0 | deliver | - |
/// | PUBLISH QoS 1 | deliver, PUBACK | - |
/// | PUBLISH QoS 2 | hold the id, deliver now or on PUBREL, PUBREC | PUBREC |
/// | PUBREL | PUBCOMP | let go of the id, deliver if not yet done, PUBCOMP |
///
/// The DUP flag decides nothing: a receiver must not take it for a sign that it has seen the
/// message before (MQTT 3.1.1, section 3.3.1.1).
#[derive(Clone, Debug)]
pub struct Inbound {
    unreleased: IdRing<Qos2Exchange>,
}

impl_fingerprint! { struct Inbound { plain unreleased; } }

/// A QoS 2 exchange that awaits its PUBREL.
#[derive(Clone, Debug)]
struct Qos2Exchange {
    /// When a receiver with the quirk forgets it.
    forget_at: Time,
    /// `None` where the message was delivered already and only the id is left.
    undelivered: Option<ReceivedMessage>,
}

impl_fingerprint! {
    struct Qos2Exchange {
        plain forget_at, undelivered;
    }
}

/// A message to hand on.
#[derive(Clone, Debug)]
pub struct ReceivedMessage {
    /// The message.
    pub message: Message,
    /// The QoS of the PUBLISH that brought it.
    pub qos: QoS,
    /// Its RETAIN flag.
    pub retain: bool,
    /// When it expires by 5.0's Message Expiry Interval; [`Time::NEVER`] if it has none.
    pub expires: Time,
    /// The transmission of the PUBLISH that brought it.
    pub arrival: Transmission,
}

impl_fingerprint! {
    struct ReceivedMessage {
        plain message, qos, retain, expires, arrival;
    }
}

/// What to do about a packet: the delivery comes before the answer, because the answer tells the
/// sender that the receiver has taken the message over [MQTT-4.3.2-2].
#[derive(Clone, Debug, Default)]
pub struct InboundActions {
    /// The message to hand on, if there is one.
    pub deliver: Option<ReceivedMessage>,
    /// The packet to answer with, if there is one.
    pub answer: Option<Packet>,
    /// Whether to close the connection: the peer is taken to have broken the protocol.
    pub close: bool,
}

impl Default for Inbound {
    fn default() -> Self {
        Self::new()
    }
}

impl Inbound {
    /// A receiver that has seen nothing yet.
    pub const fn new() -> Self {
        Self { unreleased: IdRing::new() }
    }

    /// A PUBLISH arrived.
    pub fn on_publish(
        &mut self,
        context: &SessionContext<'_>,
        publish: Publish,
        arrival: Transmission,
    ) -> InboundActions {
        let level = publish.level;
        let answer = acknowledgement(&publish, 0);
        let delivery = ReceivedMessage {
            expires: expiry_time(context.now, &publish),
            message: publish.message,
            qos: level.qos(),
            retain: publish.retain,
            arrival,
        };
        let deliver = match level {
            // Once a QoS 1 message is acknowledged, the next PUBLISH with its id is a new message,
            // whatever its DUP flag says [MQTT-4.3.2-2]: there is nothing to remember.
            PublishLevel::AtMostOnce | PublishLevel::AtLeastOnce(_) => Some(delivery),
            PublishLevel::ExactlyOnce(id) => self.accept_qos2(context, id, delivery),
        };
        InboundActions { deliver, answer, close: false }
    }

    /// A PUBLISH arrived that this endpoint does not take: `reason`, 0x80 or more, says why to
    /// the sender of QoS 1 or 2 (5.0). Its id is not held, and the next PUBLISH with it is a new
    /// message [MQTT-4.3.3-9]. A repeat of what was taken before is acknowledged as then.
    pub fn refuse(
        &mut self,
        context: &SessionContext<'_>,
        publish: &Publish,
        reason: u8,
    ) -> InboundActions {
        self.expire_held_ids(context);
        let is_taken = match publish.level {
            PublishLevel::ExactlyOnce(id) => self.unreleased.contains(id),
            PublishLevel::AtMostOnce | PublishLevel::AtLeastOnce(_) => false,
        };
        let answer = acknowledgement(publish, if is_taken { 0 } else { reason });
        InboundActions { answer, ..InboundActions::default() }
    }

    /// A PUBREL arrived. Every one is answered, known or not: the PUBCOMP before may be lost.
    pub fn on_pubrel(&mut self, context: &SessionContext<'_>, ack: PublishAck) -> InboundActions {
        self.expire_held_ids(context);
        let held = self.unreleased.remove(ack.id);
        // The quirk: an id that is not in the receiver's books is a violation there, and a sender
        // that repeats its PUBREL after reconnecting is thrown out again and again.
        if held.is_none() && context.settings.quirks.has(Quirk::DisconnectOnUnknownPubrel) {
            return InboundActions { close: true, ..InboundActions::default() };
        }
        let reason = match held {
            None if context.version == Version::V5 => ID_NOT_FOUND,
            _ => 0,
        };
        let answer = Some(Packet::PubComp(PublishAck { reason, ..ack }));
        let deliver = held.and_then(|held| held.undelivered);
        InboundActions { deliver, answer, close: false }
    }

    /// The topics of the messages that were acknowledged by PUBREC and will be delivered on PUBREL.
    pub fn undelivered_topics(&self) -> impl Iterator<Item = &str> {
        let held = self.unreleased.values().filter_map(|held| held.undelivered.as_ref());
        held.map(|delivery| &*delivery.message.topic)
    }

    /// The session is gone.
    pub fn end_session(&mut self) {
        self.unreleased.clear();
    }

    /// The endpoint has crashed and starts again with what its store kept.
    pub fn restart(&mut self, settings: &HopSettings) {
        // The quirk: messages are stored and the ids of received ones are not.
        if settings.quirks.has(Quirk::DedupeLostOnRestart) {
            self.unreleased.clear();
        }
    }

    /// Holds a QoS 2 message's id until PUBREL, and says what to deliver now. While the id is held,
    /// a PUBLISH with it is a repeat and must not be delivered again [MQTT-4.3.3-2].
    fn accept_qos2(
        &mut self,
        context: &SessionContext<'_>,
        id: PacketId,
        delivery: ReceivedMessage,
    ) -> Option<ReceivedMessage> {
        self.expire_held_ids(context);
        // The quirk: every PUBLISH is handed on, and its repeats with it.
        if self.unreleased.contains(id) && !context.settings.quirks.has(Quirk::NoDedupe) {
            return None;
        }
        let (deliver, undelivered) = match context.settings.deliver_on {
            DeliverOn::Publish => (Some(delivery), None),
            DeliverOn::Release => (None, Some(delivery)),
        };
        let ttl = context.settings.quirks.has(Quirk::DedupeTtl).then_some(QUIRK_DEDUPE_TTL);
        let forgotten = ttl.map_or(Time::NEVER, |ttl| context.now + ttl);
        self.unreleased.insert(id, Qos2Exchange { forget_at: forgotten, undelivered });
        deliver
    }

    /// The quirk: so that senders which never release do not fill the memory, ids that wait for
    /// PUBREL are forgotten after a time, though MQTT knows no such time.
    fn expire_held_ids(&mut self, context: &SessionContext<'_>) {
        if context.settings.quirks.has(Quirk::DedupeTtl) {
            self.unreleased.retain(|held| held.forget_at > context.now);
        }
    }
}

/// Returns the acknowledgement that a PUBLISH gets.
fn acknowledgement(publish: &Publish, reason: u8) -> Option<Packet> {
    let ack = |id| PublishAck { id, reason, tag: publish.message.tag };
    match publish.level {
        PublishLevel::AtMostOnce => None,
        PublishLevel::AtLeastOnce(id) => Some(Packet::PubAck(ack(id))),
        PublishLevel::ExactlyOnce(id) => Some(Packet::PubRec(ack(id))),
    }
}

/// When a PUBLISH that arrives now expires.
fn expiry_time(now: Time, publish: &Publish) -> Time {
    let seconds = publish.properties.as_ref().and_then(|properties| properties.expiry);
    seconds.map_or(Time::NEVER, |seconds| now + Span::from_secs(u64::from(seconds)))
}
