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

use serde::Serialize;

use super::host::Host;
use super::ids::IdRing;
use super::outbound::ID_NOT_FOUND;
use super::packet::{Ack, Level, Message, Packet, PacketId, Publish};
use super::quirks::Quirk;
use super::settings::{DeliverOn, HopSettings, Version};
use crate::base::name::Transmission;
use crate::base::qos::QoS;
use crate::base::time::{Span, Time};

/// How long a receiver with the quirk remembers an id.
const DEDUPE_TTL: Span = Span::from_secs(5);

/// One session's QoS 2 messages between PUBLISH and PUBREL.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Inbound {
    held: IdRing<Held>,
}

/// A QoS 2 exchange that awaits its PUBREL.
#[derive(Clone, Debug, Serialize)]
struct Held {
    /// When a receiver with the quirk forgets it.
    forgotten: Time,
    /// `None` where the message was delivered already and only the id is left.
    undelivered: Option<Delivery>,
}

/// A message to hand on.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Delivery {
    pub(crate) message: Message,
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    /// When it expires by 5.0's Message Expiry Interval; [`Time::NEVER`] if it has none.
    pub(crate) expires: Time,
    /// Which sending of the PUBLISH brought it.
    pub(crate) arrival: Transmission,
}

/// What to do about a packet: the delivery comes before the answer, because the answer tells the
/// sender that the receiver has taken the message over [MQTT-4.3.2-2].
#[derive(Clone, Debug, Default)]
pub(crate) struct Reaction {
    pub(crate) deliver: Option<Delivery>,
    pub(crate) answer: Option<Packet>,
    /// Whether to close the connection: the peer is taken to have broken the protocol.
    pub(crate) close: bool,
}

impl Inbound {
    pub(crate) const fn new() -> Self {
        Self { held: IdRing::new() }
    }

    /// A PUBLISH arrived.
    pub(crate) fn publish(
        &mut self,
        host: &Host<'_>,
        publish: Publish,
        arrival: Transmission,
    ) -> Reaction {
        let level = publish.level;
        let answer = answer(&publish, 0);
        let delivery = Delivery {
            expires: expires(host.now, &publish),
            message: publish.message,
            qos: level.qos(),
            retain: publish.retain,
            arrival,
        };
        let deliver = match level {
            // Once a QoS 1 message is acknowledged, the next PUBLISH with its id is a new message,
            // whatever its DUP flag says [MQTT-4.3.2-2]: there is nothing to remember.
            Level::AtMostOnce | Level::AtLeastOnce(_) => Some(delivery),
            Level::ExactlyOnce(id) => self.take(host, id, delivery),
        };
        Reaction { deliver, answer, close: false }
    }

    /// A PUBLISH arrived that this endpoint does not take: `reason`, 0x80 or more, says why to
    /// the sender of QoS 1 or 2 (5.0). Its id is not held, and the next PUBLISH with it is a new
    /// message [MQTT-4.3.3-9]. A repeat of what was taken before is acknowledged as then.
    pub(crate) fn refuse(&mut self, host: &Host<'_>, publish: &Publish, reason: u8) -> Reaction {
        self.forget_old(host);
        let is_taken = match publish.level {
            Level::ExactlyOnce(id) => self.held.contains(id),
            Level::AtMostOnce | Level::AtLeastOnce(_) => false,
        };
        let answer = answer(publish, if is_taken { 0 } else { reason });
        Reaction { answer, ..Reaction::default() }
    }

    /// A PUBREL arrived. Every one is answered, known or not: the PUBCOMP before may be lost.
    pub(crate) fn pubrel(&mut self, host: &Host<'_>, ack: Ack) -> Reaction {
        self.forget_old(host);
        let held = self.held.remove(ack.id);
        // The quirk: an id that is not in the receiver's books is a violation there, and a sender
        // that repeats its PUBREL after reconnecting is thrown out again and again.
        if held.is_none() && host.settings.quirks.has(Quirk::DisconnectOnUnknownPubrel) {
            return Reaction { close: true, ..Reaction::default() };
        }
        let reason = match held {
            None if host.version == Version::V5 => ID_NOT_FOUND,
            _ => 0,
        };
        let answer = Some(Packet::PubComp(Ack { reason, ..ack }));
        let deliver = held.and_then(|held| held.undelivered);
        Reaction { deliver, answer, close: false }
    }

    /// The topics of the messages that were acknowledged by PUBREC and will be delivered on PUBREL.
    pub(crate) fn undelivered(&self) -> impl Iterator<Item = &str> {
        let held = self.held.values().filter_map(|held| held.undelivered.as_ref());
        held.map(|delivery| &*delivery.message.topic)
    }

    /// The session is gone.
    pub(crate) fn end_session(&mut self) {
        self.held.clear();
    }

    /// The endpoint has crashed and starts again with what its store kept.
    pub(crate) fn restart(&mut self, settings: &HopSettings) {
        // The quirk: messages are stored and the ids of received ones are not.
        if settings.quirks.has(Quirk::DedupeLostOnRestart) {
            self.held.clear();
        }
    }

    /// Holds a QoS 2 message's id until PUBREL, and says what to deliver now. While the id is held,
    /// a PUBLISH with it is a repeat and must not be delivered again [MQTT-4.3.3-2].
    fn take(&mut self, host: &Host<'_>, id: PacketId, delivery: Delivery) -> Option<Delivery> {
        self.forget_old(host);
        // The quirk: every PUBLISH is handed on, and its repeats with it.
        if self.held.contains(id) && !host.settings.quirks.has(Quirk::NoDedupe) {
            return None;
        }
        let (deliver, undelivered) = match host.settings.deliver_on {
            DeliverOn::Publish => (Some(delivery), None),
            DeliverOn::Release => (None, Some(delivery)),
        };
        let ttl = host.settings.quirks.has(Quirk::DedupeTtl).then_some(DEDUPE_TTL);
        let forgotten = ttl.map_or(Time::NEVER, |ttl| host.now + ttl);
        self.held.insert(id, Held { forgotten, undelivered });
        deliver
    }

    /// The quirk: so that senders which never release do not fill the memory, ids that wait for
    /// PUBREL are forgotten after a time, though MQTT knows no such time.
    fn forget_old(&mut self, host: &Host<'_>) {
        if host.settings.quirks.has(Quirk::DedupeTtl) {
            self.held.retain(|held| held.forgotten > host.now);
        }
    }
}

/// What a PUBLISH is answered with.
fn answer(publish: &Publish, reason: u8) -> Option<Packet> {
    let ack = |id| Ack { id, reason, tag: publish.message.tag };
    match publish.level {
        Level::AtMostOnce => None,
        Level::AtLeastOnce(id) => Some(Packet::PubAck(ack(id))),
        Level::ExactlyOnce(id) => Some(Packet::PubRec(ack(id))),
    }
}

/// When a PUBLISH that arrives now expires.
fn expires(now: Time, publish: &Publish) -> Time {
    let seconds = publish.properties.as_ref().and_then(|properties| properties.expiry);
    seconds.map_or(Time::NEVER, |seconds| now + Span::from_secs(u64::from(seconds)))
}
