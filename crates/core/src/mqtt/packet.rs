//! MQTT control packets as values.

use std::num::NonZeroU16;
use std::sync::Arc;

use super::settings::{ReceiverLimits, Version, Will};
use crate::base::{MessageTag, QoS, SubscriptionRequest};
use crate::impl_fingerprint;

/// Packets and messages are copied wherever they are queued.
const _: () = assert!(size_of::<Packet>() <= 80 && size_of::<Message>() <= 64);

/// A packet identifier: 1 to 65,535 [MQTT-2.3.1-1].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PacketId(pub NonZeroU16);

impl_fingerprint! { struct PacketId(number) { plain number; } }

/// An application message: topic and payload, with the tag that travels beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The topic name.
    pub topic: Arc<str>,
    /// The payload.
    pub payload: Payload,
    /// The tag of the message; endpoints carry it unread.
    pub tag: MessageTag,
}

impl_fingerprint! { struct Message { plain topic, payload, tag; } }

/// A payload, shared and never copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payload {
    /// The given number of bytes whose content is never read; written as zeros.
    Filler(u32),
    /// Real bytes.
    Bytes(Arc<[u8]>),
}

impl_fingerprint! {
    enum Payload {
        Filler(length),
        Bytes(bytes),
    }
}

/// A control packet.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "MQTT's own names")]
pub enum Packet {
    Connect(Box<Connect>),
    ConnAck(ConnAck),
    Publish(Publish),
    PubAck(PublishAck),
    PubRec(PublishAck),
    PubRel(PublishAck),
    PubComp(PublishAck),
    Subscribe(Box<Subscribe>),
    SubAck(Box<SubAck>),
    Unsubscribe(Box<Unsubscribe>),
    UnsubAck(Box<UnsubAck>),
    PingReq,
    PingResp,
    /// The reason code is written only in 5.0, and there only if it is not 0.
    Disconnect(u8),
}

impl_fingerprint! {
    enum Packet {
        Connect(packet),
        ConnAck(packet),
        Publish(packet),
        PubAck(packet),
        PubRec(packet),
        PubRel(packet),
        PubComp(packet),
        Subscribe(packet),
        SubAck(packet),
        Unsubscribe(packet),
        UnsubAck(packet),
        PingReq,
        PingResp,
        Disconnect(reason),
    }
}

/// CONNECT, without credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connect {
    /// The client that connects.
    pub client_id: Arc<str>,
    /// Its protocol version; CONNECT is the only packet that carries it.
    pub version: Version,
    /// Clean Session (3.1, 3.1.1) or Clean Start (5.0).
    pub clean: bool,
    /// 5.0's Session Expiry Interval in seconds; 0 is not written.
    pub session_expiry: u32,
    /// Keep Alive in seconds; 0 turns it off.
    pub keep_alive: u16,
    /// The will.
    pub will: Option<Will>,
    /// What the client takes; written only in 5.0, and there only what differs from
    /// [`ReceiverLimits::NONE`].
    pub limits: ReceiverLimits,
}

impl_fingerprint! {
    struct Connect {
        plain client_id, version, clean, session_expiry, keep_alive, will, limits;
    }
}

/// CONNACK.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnAck {
    /// Whether the broker kept a session for this client.
    pub session_present: bool,
    /// The return or reason code; 0 accepts.
    pub code: u8,
    /// What the broker takes; written only in 5.0, and there only what differs from
    /// [`ReceiverLimits::NONE`].
    pub limits: ReceiverLimits,
}

impl_fingerprint! {
    struct ConnAck {
        plain session_present, code, limits;
    }
}

/// PUBLISH.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publish {
    /// The level, with its packet id where the level has one.
    pub level: PublishLevel,
    /// The DUP flag.
    pub dup: bool,
    /// The RETAIN flag.
    pub retain: bool,
    /// The message that is published.
    pub message: Message,
    /// 5.0's properties, where there are any.
    pub properties: Option<Box<PublishProperties>>,
}

impl_fingerprint! {
    struct Publish {
        plain level, dup, retain, message, properties;
    }
}

/// 5.0's properties of a PUBLISH.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PublishProperties {
    /// The Message Expiry Interval, or the rest of it, in seconds.
    pub expiry: Option<u32>,
    /// The Topic Alias.
    pub alias: Option<TopicAlias>,
    /// The Subscription Identifiers, in any order, of the subscriptions that made it go out.
    pub subscription_ids: Vec<u32>,
}

impl_fingerprint! {
    struct PublishProperties {
        plain expiry, alias, subscription_ids;
    }
}

/// A topic alias in a PUBLISH.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TopicAlias {
    /// The topic name is written too, and the number stands for it from now on.
    Set(NonZeroU16),
    /// The number alone.
    Use(NonZeroU16),
}

impl_fingerprint! {
    enum TopicAlias {
        Set(alias),
        Use(alias),
    }
}

/// A PUBLISH's QoS: an id exists exactly where the QoS is not 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the QoS's own names")]
pub enum PublishLevel {
    AtMostOnce,
    AtLeastOnce(PacketId),
    ExactlyOnce(PacketId),
}

impl_fingerprint! {
    enum PublishLevel {
        AtMostOnce,
        AtLeastOnce(id),
        ExactlyOnce(id),
    }
}

/// PUBACK, PUBREC, PUBREL or PUBCOMP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublishAck {
    /// The packet id of its exchange.
    pub id: PacketId,
    /// 5.0's reason code; written only there, and only if it is not 0.
    pub reason: u8,
    /// The message that it acknowledges; endpoints carry it unread.
    pub tag: MessageTag,
}

impl_fingerprint! { struct PublishAck { plain id, reason, tag; } }

/// SUBSCRIBE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscribe {
    /// The id that SUBACK repeats.
    pub id: PacketId,
    /// Whether it is a repeat, which only MQTT 3.1 can say.
    pub dup: bool,
    /// At least one filter.
    pub requests: Vec<SubscriptionRequest>,
}

impl_fingerprint! { struct Subscribe { plain id, dup, requests; } }

/// SUBACK.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubAck {
    /// The id of the SUBSCRIBE.
    pub id: PacketId,
    /// For each request the granted QoS, or 0x80 and above for a failure.
    pub codes: Vec<u8>,
}

impl_fingerprint! { struct SubAck { plain id, codes; } }

/// UNSUBSCRIBE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsubscribe {
    /// The id that UNSUBACK repeats.
    pub id: PacketId,
    /// Whether it is a repeat, which only MQTT 3.1 can say.
    pub dup: bool,
    /// At least one filter.
    pub filters: Vec<Arc<str>>,
}

impl_fingerprint! { struct Unsubscribe { plain id, dup, filters; } }

/// UNSUBACK.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnsubAck {
    /// The id of the UNSUBSCRIBE.
    pub id: PacketId,
    /// 5.0 only: a reason code for each filter; empty before 5.0.
    pub codes: Vec<u8>,
}

impl_fingerprint! { struct UnsubAck { plain id, codes; } }

impl Payload {
    /// Its length in bytes.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "MQTT packets are below 256 MiB")]
    pub fn len(&self) -> u32 {
        match self {
            Self::Filler(len) => *len,
            Self::Bytes(bytes) => bytes.len() as u32,
        }
    }

    /// Whether it has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl PublishLevel {
    /// The QoS alone.
    #[must_use]
    pub const fn qos(self) -> QoS {
        match self {
            Self::AtMostOnce => QoS::AtMostOnce,
            Self::AtLeastOnce(_) => QoS::AtLeastOnce,
            Self::ExactlyOnce(_) => QoS::ExactlyOnce,
        }
    }

    /// The packet id, where there is one.
    #[must_use]
    pub const fn id(self) -> Option<PacketId> {
        match self {
            Self::AtMostOnce => None,
            Self::AtLeastOnce(id) | Self::ExactlyOnce(id) => Some(id),
        }
    }
}
