//! The receiver's half of a hop: QoS 0, 1 and 2 from the side that gets the message.
//!
//! Written once: a client receives through it, and a broker receives through it, one for each
//! session. Its whole memory is the set of QoS 2 packet ids between PUBLISH and PUBREL:
//!
//! | arrives | id not held | id held |
//! |---|---|---|
//! | PUBLISH QoS 0 | deliver | - |
//! | PUBLISH QoS 1 | deliver, PUBACK | - |
//! | PUBLISH QoS 2 | hold the id, deliver now or on PUBREL, PUBREC | PUBREC |
//! | PUBREL | PUBCOMP | let go of the id, deliver if not yet done, PUBCOMP |
//!
//! The DUP flag decides nothing: a receiver must not take it for a sign that it has seen the
//! message before (MQTT 3.1.1, section 3.3.1.1).

use super::ids::IdRing;
use super::outbound::ID_NOT_FOUND;
use super::packet::{Ack, Level, Message, Packet, PacketId, Publish};
use super::quirks::Quirk;
use super::settings::{DeliverOn, HopSettings, Version};
use crate::base::name::Transmission;
use crate::base::qos::QoS;

/// One session's QoS 2 messages between PUBLISH and PUBREL.
#[derive(Clone, Debug)]
pub(crate) struct Inbound {
    /// `None` where the message was delivered already and only the id is left.
    held: IdRing<Option<Delivery>>,
}

/// A message to hand on.
#[derive(Clone, Debug)]
pub(crate) struct Delivery {
    pub(crate) message: Message,
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    /// Which sending of the PUBLISH brought it.
    pub(crate) arrival: Transmission,
}

/// What to do about a packet: the delivery comes before the answer, because the answer tells the
/// sender that the receiver has taken the message over [MQTT-4.3.2-2].
#[derive(Clone, Debug)]
pub(crate) struct Reaction {
    pub(crate) deliver: Option<Delivery>,
    pub(crate) answer: Option<Packet>,
}

impl Inbound {
    pub(crate) const fn new() -> Self {
        Self { held: IdRing::new() }
    }

    /// A PUBLISH arrived.
    pub(crate) fn publish(
        &mut self,
        settings: &HopSettings,
        publish: Publish,
        arrival: Transmission,
    ) -> Reaction {
        let tag = publish.message.tag;
        let ack = |id| Ack { id, reason: 0, tag };
        let level = publish.level;
        let delivery = Delivery {
            message: publish.message,
            qos: level.qos(),
            retain: publish.retain,
            arrival,
        };
        match level {
            Level::AtMostOnce => Reaction { deliver: Some(delivery), answer: None },
            // Once acknowledged, the next PUBLISH with this id is a new message, whatever its DUP
            // flag says [MQTT-4.3.2-2]: there is nothing to remember.
            Level::AtLeastOnce(id) => {
                Reaction { deliver: Some(delivery), answer: Some(Packet::PubAck(ack(id))) }
            }
            Level::ExactlyOnce(id) => Reaction {
                deliver: self.take(settings, id, delivery),
                answer: Some(Packet::PubRec(ack(id))),
            },
        }
    }

    /// A PUBREL arrived. Every one is answered, known or not: the PUBCOMP before may be lost.
    pub(crate) fn pubrel(&mut self, version: Version, ack: Ack) -> Reaction {
        let held = self.held.remove(ack.id);
        let reason = match held {
            None if version == Version::V5 => ID_NOT_FOUND,
            _ => 0,
        };
        let answer = Some(Packet::PubComp(Ack { reason, ..ack }));
        Reaction { deliver: held.flatten(), answer }
    }

    /// The session is gone.
    pub(crate) fn end_session(&mut self) {
        self.held.clear();
    }

    /// Holds a QoS 2 message's id until PUBREL, and says what to deliver now. While the id is held,
    /// a PUBLISH with it is a repeat and must not be delivered again [MQTT-4.3.3-2].
    fn take(
        &mut self,
        settings: &HopSettings,
        id: PacketId,
        delivery: Delivery,
    ) -> Option<Delivery> {
        if self.held.contains(id) && !settings.quirks.has(Quirk::NoDedupe) {
            return None;
        }
        match settings.deliver_on {
            DeliverOn::Publish => {
                self.held.insert(id, None);
                Some(delivery)
            }
            DeliverOn::Release => {
                self.held.insert(id, Some(delivery));
                None
            }
        }
    }
}
