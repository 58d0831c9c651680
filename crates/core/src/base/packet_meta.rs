//! The plain record of a packet, as observers see it.

use std::sync::Arc;

use super::name::{MessageTag, PacketKind, PacketName, PacketSubject};
use super::qos::QoS;
use crate::impl_fingerprint;

/// A packet as an observer sees it: plain facts, filled from values or from raw frames.
#[derive(Clone, Copy, Debug)]
pub struct PacketMeta<'a> {
    /// The packet's name.
    pub name: PacketName,
    /// The message it carries or acknowledges; [`MessageTag::NONE`] for control packets.
    pub tag: MessageTag,
    /// The first byte: type and flags.
    pub first_byte: u8,
    /// The packet id; 0 where there is none.
    pub id: u16,
    /// The reason or return code; 0 where there is none.
    pub reason: u8,
    /// Its lengths in bytes.
    pub size: PacketSize,
    /// Data that only some kinds carry.
    pub body: PacketBody<'a>,
}

/// The lengths of a packet in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PacketSize {
    /// The whole encoded MQTT packet.
    pub mqtt: u32,
    /// The application payload within it.
    pub payload: u32,
    /// Bytes that the transport adds: IP and UDP headers, later TCP and TLS.
    pub headers: u32,
}

/// The parts of a packet that only some kinds carry and an observer needs.
#[derive(Clone, Copy, Debug)]
pub enum PacketBody<'a> {
    /// Nothing more.
    None,
    /// A CONNECT.
    Connect {
        /// Clean Session or Clean Start.
        clean: bool,
        /// 5.0's Session Expiry Interval in seconds.
        session_expiry: u32,
        /// Keep Alive in seconds; 0 for none.
        keep_alive: u16,
        /// The client's Receive Maximum; 65,535 where it sets none.
        receive_maximum: u16,
        /// The client's Maximum Packet Size; `u32::MAX` where it sets none.
        max_packet_size: u32,
        /// The Will Delay Interval in seconds, 0 before 5.0; `None` where it has no will.
        will_delay: Option<u32>,
    },
    /// A CONNACK.
    ConnAck {
        /// Session Present.
        session_present: bool,
        /// The broker's Receive Maximum; 65,535 where it sets none.
        receive_maximum: u16,
        /// The broker's Maximum Packet Size; `u32::MAX` where it sets none.
        max_packet_size: u32,
    },
    /// A PUBLISH.
    Publish {
        /// The topic.
        topic: &'a Arc<str>,
        /// 5.0's Message Expiry Interval in seconds, where it has one.
        expiry: Option<u32>,
    },
    /// A SUBSCRIBE.
    Subscribe(&'a [SubscriptionRequest]),
    /// A SUBACK: a granted QoS or a failure code of 0x80 or more for each request, in order.
    SubAck(&'a [u8]),
    /// An UNSUBSCRIBE: its filters.
    Unsubscribe(&'a [Arc<str>]),
}

/// One topic filter of a SUBSCRIBE, with the QoS asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscriptionRequest {
    /// The topic filter.
    pub filter: Arc<str>,
    /// The highest QoS wanted.
    pub qos: QoS,
    /// 5.0's options; the default outside 5.0.
    pub options: SubscriptionOptions,
}

impl_fingerprint! {
    struct SubscriptionRequest {
        plain filter, qos, options;
    }
}

impl SubscriptionRequest {
    /// A filter without options.
    #[must_use]
    pub const fn new(filter: Arc<str>, qos: QoS) -> Self {
        let options = SubscriptionOptions {
            no_local: false,
            retain_as_published: false,
            retain_handling: RetainHandling::Send,
            identifier: 0,
        };
        Self { filter, qos, options }
    }
}

/// 5.0's Subscription Options and Subscription Identifier (MQTT 5.0, section 3.8).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SubscriptionOptions {
    /// Do not send the client's own messages back to it.
    pub no_local: bool,
    /// Keep the RETAIN flag as it was published.
    pub retain_as_published: bool,
    /// The condition on which the SUBSCRIBE is answered by retained messages.
    pub retain_handling: RetainHandling,
    /// The Subscription Identifier; 0 for none.
    pub identifier: u32,
}

impl_fingerprint! {
    struct SubscriptionOptions {
        plain no_local, retain_as_published, retain_handling, identifier;
    }
}

/// Condition for answering a SUBSCRIBE by retained messages [MQTT-3.3.1-9] to [MQTT-3.3.1-11].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RetainHandling {
    /// Always.
    #[default]
    Send,
    /// Only if the subscription is new.
    SendIfNew,
    /// Never.
    DoNotSend,
}

impl_fingerprint! { fieldless RetainHandling }

impl PacketMeta<'_> {
    /// The packet's kind.
    #[must_use]
    pub const fn kind(&self) -> PacketKind {
        self.name.kind
    }

    /// The DUP flag of a PUBLISH (bit 3).
    #[must_use]
    pub const fn is_dup(&self) -> bool {
        self.first_byte & 0b1000 != 0
    }

    /// The QoS bits of a PUBLISH; `None` for the reserved value 3.
    #[must_use]
    pub const fn qos(&self) -> Option<QoS> {
        QoS::from_number(self.first_byte >> 1 & 0b11)
    }

    /// The RETAIN flag of a PUBLISH (bit 0).
    #[must_use]
    pub const fn is_retain(&self) -> bool {
        self.first_byte & 1 != 0
    }

    /// Whether it is a PUBLISH or PUBREL that its sender had sent before. The acknowledgement of
    /// a resend is none: it is sent once for what arrived.
    #[must_use]
    pub const fn is_resend(&self) -> bool {
        matches!(self.name.kind, PacketKind::Publish | PacketKind::PubRel)
            && match self.name.subject {
                PacketSubject::Message { transmission, .. } => transmission.attempt > 0,
                PacketSubject::Control { .. } => false,
            }
    }

    /// All its bytes on the wire.
    #[must_use]
    pub const fn wire_bytes(&self) -> u32 {
        self.size.mqtt + self.size.headers
    }
}
