//! A packet as an observer sees it.

use super::packet::{Packet, PacketId, PublishLevel};
use super::settings::Version;
use crate::base::{MessageTag, PacketBody, PacketKind, PacketMeta, PacketName, PacketSize};

impl Packet {
    /// Returns the kind of the packet.
    #[must_use]
    pub const fn kind(&self) -> PacketKind {
        match self {
            Self::Connect(_) => PacketKind::Connect,
            Self::ConnAck(_) => PacketKind::ConnAck,
            Self::Publish(_) => PacketKind::Publish,
            Self::PubAck(_) => PacketKind::PubAck,
            Self::PubRec(_) => PacketKind::PubRec,
            Self::PubRel(_) => PacketKind::PubRel,
            Self::PubComp(_) => PacketKind::PubComp,
            Self::Subscribe(_) => PacketKind::Subscribe,
            Self::SubAck(_) => PacketKind::SubAck,
            Self::Unsubscribe(_) => PacketKind::Unsubscribe,
            Self::UnsubAck(_) => PacketKind::UnsubAck,
            Self::PingReq => PacketKind::PingReq,
            Self::PingResp => PacketKind::PingResp,
            Self::Disconnect(_) => PacketKind::Disconnect,
        }
    }

    /// The message that it carries or acknowledges; [`MessageTag::NONE`] for control packets.
    #[must_use]
    pub const fn tag(&self) -> MessageTag {
        match self {
            Self::Publish(publish) => publish.message.tag,
            Self::PubAck(ack) | Self::PubRec(ack) | Self::PubRel(ack) | Self::PubComp(ack) => {
                ack.tag
            }
            _ => MessageTag::NONE,
        }
    }

    /// Its packet id, where its kind and QoS have one [MQTT-2.3.1-1].
    #[must_use]
    pub const fn id(&self) -> Option<PacketId> {
        match self {
            Self::Publish(publish) => publish.level.id(),
            Self::PubAck(ack) | Self::PubRec(ack) | Self::PubRel(ack) | Self::PubComp(ack) => {
                Some(ack.id)
            }
            Self::Subscribe(subscribe) => Some(subscribe.id),
            Self::SubAck(ack) => Some(ack.id),
            Self::Unsubscribe(unsubscribe) => Some(unsubscribe.id),
            Self::UnsubAck(ack) => Some(ack.id),
            Self::Connect(_)
            | Self::ConnAck(_)
            | Self::PingReq
            | Self::PingResp
            | Self::Disconnect(_) => None,
        }
    }

    /// Its one reason or return code; 0 where there is none. SUBACK and UNSUBACK have one for
    /// each filter and are 0 here.
    #[must_use]
    pub const fn reason(&self) -> u8 {
        match self {
            Self::ConnAck(ack) => ack.code,
            Self::PubAck(ack) | Self::PubRec(ack) | Self::PubRel(ack) | Self::PubComp(ack) => {
                ack.reason
            }
            Self::Disconnect(reason) => *reason,
            _ => 0,
        }
    }

    /// The first byte as `version` writes it: the type in the high half, the flags in the low.
    ///
    /// PUBREL, SUBSCRIBE and UNSUBSCRIBE have the flags 0010 [MQTT-2.2.2-1]; MQTT 3.1 calls that
    /// QoS 1, and there a repeated SUBSCRIBE or UNSUBSCRIBE has DUP as well.
    #[must_use]
    pub const fn first_byte(&self, version: Version) -> u8 {
        let flags = match self {
            Self::Publish(publish) => {
                let qos = match publish.level {
                    PublishLevel::AtMostOnce => 0,
                    PublishLevel::AtLeastOnce(_) => 1,
                    PublishLevel::ExactlyOnce(_) => 2,
                };
                (publish.dup as u8) << 3 | qos << 1 | publish.retain as u8
            }
            Self::PubRel(_) => 0b0010,
            Self::Subscribe(subscribe) => request_flags(version, subscribe.dup),
            Self::Unsubscribe(unsubscribe) => request_flags(version, unsubscribe.dup),
            _ => 0,
        };
        (self.kind() as u8) << 4 | flags
    }

    /// The packet as an observer sees it: `name` says what it is, and `headers` how many bytes
    /// the transport adds to it.
    #[must_use]
    #[inline]
    pub fn meta(&self, version: Version, name: PacketName, headers: u32) -> PacketMeta<'_> {
        PacketMeta {
            name,
            tag: self.tag(),
            first_byte: self.first_byte(version),
            id: self.id().map_or(0, |id| id.0.get()),
            reason: self.reason(),
            size: PacketSize {
                mqtt: self.encoded_len(version),
                payload: self.payload_len(),
                headers,
            },
            body: self.body(),
        }
    }

    fn body(&self) -> PacketBody<'_> {
        match self {
            Self::Connect(connect) => PacketBody::Connect {
                clean: connect.clean,
                session_expiry: connect.session_expiry,
                keep_alive: connect.keep_alive,
                receive_maximum: connect.limits.receive_maximum,
                max_packet_size: connect.limits.max_packet_size,
                will_delay: connect.will.as_ref().map(|will| will.delay),
            },
            Self::ConnAck(ack) => PacketBody::ConnAck {
                session_present: ack.session_present,
                receive_maximum: ack.limits.receive_maximum,
                max_packet_size: ack.limits.max_packet_size,
            },
            Self::Publish(publish) => PacketBody::Publish {
                topic: &publish.message.topic,
                expiry: publish.properties.as_ref().and_then(|properties| properties.expiry),
            },
            Self::Subscribe(subscribe) => PacketBody::Subscribe(&subscribe.requests),
            Self::SubAck(ack) => PacketBody::SubAck(&ack.codes),
            Self::Unsubscribe(unsubscribe) => PacketBody::Unsubscribe(&unsubscribe.filters),
            _ => PacketBody::None,
        }
    }
}

const fn request_flags(version: Version, dup: bool) -> u8 {
    match version {
        Version::V31 => (dup as u8) << 3 | 0b0010,
        Version::V311 | Version::V5 => 0b0010,
    }
}
