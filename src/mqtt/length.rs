//! How long a packet is on the wire, without writing it.

use super::packet::{Ack, Connect, Packet, Payload, Publish};
use super::settings::Version;

/// A packet identifier, and the length before a string.
const TWO: u32 = 2;
/// The length of an empty property list, which 5.0 writes as one byte.
const NO_PROPERTIES: u32 = 1;

impl Packet {
    /// The exact length in bytes of the packet as `version` writes it, fixed header included.
    ///
    /// A packet of MQTT is below 256 MiB (MQTT 3.1.1, section 2.2.3); for longer values the
    /// result saturates and means nothing, and `wire::encode` refuses them.
    #[must_use]
    #[inline]
    pub fn encoded_len(&self, version: Version) -> u32 {
        let remaining = self.remaining_len(version);
        remaining.saturating_add(1 + variable_byte_integer_len(remaining))
    }

    /// The packet's Remaining Length: all that follows the fixed header.
    #[must_use]
    #[inline]
    pub fn remaining_len(&self, version: Version) -> u32 {
        let v5 = version == Version::V5;
        let properties = if v5 { NO_PROPERTIES } else { 0 };
        match self {
            Self::Publish(publish) => publish_len(publish).saturating_add(properties),
            Self::PubAck(ack) | Self::PubRec(ack) | Self::PubRel(ack) | Self::PubComp(ack) => {
                ack_len(ack, v5)
            }
            Self::Connect(connect) => connect_len(connect, version),
            Self::ConnAck(_) => 2 + properties,
            Self::Subscribe(subscribe) => {
                let filters =
                    subscribe.requests.iter().map(|request| text_len(&request.filter) + 1);
                TWO + properties + filters.sum::<u32>()
            }
            Self::SubAck(ack) => TWO + properties + count(ack.codes.len()),
            Self::Unsubscribe(unsubscribe) => {
                let filters = unsubscribe.filters.iter().map(|filter| text_len(filter));
                TWO + properties + filters.sum::<u32>()
            }
            // Only 5.0 has reason codes here [MQTT-3.11.3-1].
            Self::UnsubAck(ack) => TWO + properties + if v5 { count(ack.codes.len()) } else { 0 },
            Self::Disconnect(reason) if v5 => reason_len(*reason),
            Self::PingReq | Self::PingResp | Self::Disconnect(_) => 0,
        }
    }

    /// The length of the application payload within it: 0 for all but PUBLISH.
    #[must_use]
    pub fn payload_len(&self) -> u32 {
        match self {
            Self::Publish(publish) => publish.message.payload.len(),
            _ => 0,
        }
    }
}

fn publish_len(publish: &Publish) -> u32 {
    let id = if publish.level.id().is_some() { TWO } else { 0 };
    let payload: &Payload = &publish.message.payload;
    (text_len(&publish.message.topic) + id).saturating_add(payload.len())
}

fn ack_len(ack: &Ack, v5: bool) -> u32 {
    TWO + if v5 { reason_len(ack.reason) } else { 0 }
}

/// 5.0 leaves out a reason code of 0 together with the empty property list behind it. Behind
/// another code the list could be left out as well (MQTT 5.0, section 3.4.2.2.1), but the codec
/// behind `wire` writes it.
const fn reason_len(reason: u8) -> u32 {
    if reason == 0 { 0 } else { 1 + NO_PROPERTIES }
}

fn connect_len(connect: &Connect, version: Version) -> u32 {
    let protocol = match version {
        Version::V31 => text_len("MQIsdp"),
        Version::V311 | Version::V5 => text_len("MQTT"),
    };
    let properties = match (version, connect.session_expiry) {
        (Version::V31 | Version::V311, _) => 0,
        (Version::V5, 0) => NO_PROPERTIES,
        // An identifier and four bytes.
        (Version::V5, _) => NO_PROPERTIES + 5,
    };
    // Then the protocol level, the flags and two bytes of keep alive.
    protocol + 1 + 1 + TWO + properties + text_len(&connect.client_id)
}

fn text_len(text: &str) -> u32 {
    TWO + count(text.len())
}

fn count(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX - 64)
}

/// The bytes that `value` takes as a variable byte integer (MQTT 5.0, section 1.5.5): 1 to 4.
#[must_use]
pub(super) const fn variable_byte_integer_len(value: u32) -> u32 {
    match value {
        0..=0x7F => 1,
        0x80..=0x3FFF => 2,
        0x4000..=0x1F_FFFF => 3,
        _ => 4,
    }
}
