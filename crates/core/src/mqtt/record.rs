//! A packet as an observer sees it.

use super::packet::{Level, Packet, PacketId};
use super::settings::Version;
use crate::base::event::{Body, Record, Size};
use crate::base::name::{Kind, PacketName, Tag};

impl Packet {
    /// What kind of packet it is.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Connect(_) => Kind::Connect,
            Self::ConnAck(_) => Kind::ConnAck,
            Self::Publish(_) => Kind::Publish,
            Self::PubAck(_) => Kind::PubAck,
            Self::PubRec(_) => Kind::PubRec,
            Self::PubRel(_) => Kind::PubRel,
            Self::PubComp(_) => Kind::PubComp,
            Self::Subscribe(_) => Kind::Subscribe,
            Self::SubAck(_) => Kind::SubAck,
            Self::Unsubscribe(_) => Kind::Unsubscribe,
            Self::UnsubAck(_) => Kind::UnsubAck,
            Self::PingReq => Kind::PingReq,
            Self::PingResp => Kind::PingResp,
            Self::Disconnect(_) => Kind::Disconnect,
        }
    }

    /// The message that it carries or acknowledges; [`Tag::NONE`] for control packets.
    #[must_use]
    pub const fn tag(&self) -> Tag {
        match self {
            Self::Publish(publish) => publish.message.tag,
            Self::PubAck(ack) | Self::PubRec(ack) | Self::PubRel(ack) | Self::PubComp(ack) => {
                ack.tag
            }
            _ => Tag::NONE,
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
                    Level::AtMostOnce => 0,
                    Level::AtLeastOnce(_) => 1,
                    Level::ExactlyOnce(_) => 2,
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
    pub fn describe(&self, version: Version, name: PacketName, headers: u32) -> Record<'_> {
        Record {
            name,
            tag: self.tag(),
            first: self.first_byte(version),
            id: self.id().map_or(0, |id| id.0.get()),
            reason: self.reason(),
            size: Size { mqtt: self.encoded_len(version), payload: self.payload_len(), headers },
            body: self.body(),
        }
    }

    fn body(&self) -> Body<'_> {
        match self {
            Self::Connect(connect) => Body::Connect {
                clean: connect.clean,
                session_expiry: connect.session_expiry,
                keep_alive: connect.keep_alive,
                receive_maximum: connect.limits.receive_maximum,
                max_packet_size: connect.limits.max_packet_size,
                will: connect.will.is_some(),
            },
            Self::ConnAck(ack) => Body::ConnAck {
                session_present: ack.session_present,
                receive_maximum: ack.limits.receive_maximum,
                max_packet_size: ack.limits.max_packet_size,
            },
            Self::Publish(publish) => Body::Publish {
                topic: &publish.message.topic,
                expiry: publish.properties.as_ref().and_then(|properties| properties.expiry),
            },
            Self::Subscribe(subscribe) => Body::Subscribe(&subscribe.requests),
            Self::SubAck(ack) => Body::SubAck(&ack.codes),
            Self::Unsubscribe(unsubscribe) => Body::Unsubscribe(&unsubscribe.filters),
            _ => Body::None,
        }
    }
}

const fn request_flags(version: Version, dup: bool) -> u8 {
    match version {
        Version::V31 => (dup as u8) << 3 | 0b0010,
        Version::V311 | Version::V5 => 0b0010,
    }
}
