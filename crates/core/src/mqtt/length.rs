//! Length of a packet on the wire, without writing it.

use super::packet::{
    Connect, Packet, Payload, Publish, PublishAck, PublishProperties, Subscribe, TopicAlias,
};
use super::settings::{ReceiverLimits, Version, Will};

/// A packet identifier, and the length before a string.
const U16_LEN: u32 = 2;
/// A property of two bytes, with its identifier.
const U16_PROPERTY_LEN: u32 = 1 + 2;
/// A property of four bytes, with its identifier.
const U32_PROPERTY_LEN: u32 = 1 + 4;
/// The length of an empty property list, which 5.0 writes as one byte.
const EMPTY_PROPERTIES_LEN: u32 = 1;

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
        let properties = if v5 { EMPTY_PROPERTIES_LEN } else { 0 };
        match self {
            Self::Publish(publish) => publish_len(publish, v5),
            Self::PubAck(ack) | Self::PubRec(ack) | Self::PubRel(ack) | Self::PubComp(ack) => {
                ack_len(ack, v5)
            }
            Self::Connect(connect) => connect_len(connect, version),
            Self::ConnAck(ack) if v5 => 2 + properties_len(limits_len(ack.limits)),
            Self::ConnAck(_) => 2,
            Self::Subscribe(subscribe) => subscribe_len(subscribe, v5),
            Self::SubAck(ack) => U16_LEN + properties + len_to_u32(ack.codes.len()),
            Self::Unsubscribe(unsubscribe) => {
                let filters = unsubscribe.filters.iter().map(|filter| string_len(filter));
                U16_LEN + properties + filters.sum::<u32>()
            }
            // Only 5.0 has reason codes here [MQTT-3.11.3-1].
            Self::UnsubAck(ack) => {
                U16_LEN + properties + if v5 { len_to_u32(ack.codes.len()) } else { 0 }
            }
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

fn publish_len(publish: &Publish, v5: bool) -> u32 {
    let id = if publish.level.id().is_some() { U16_LEN } else { 0 };
    let payload: &Payload = &publish.message.payload;
    let topic = string_len(&publish.message.topic);
    let (topic, properties) = match &publish.properties {
        _ if !v5 => (topic, 0),
        None => (topic, EMPTY_PROPERTIES_LEN),
        Some(properties) => {
            // An alias that is used stands for the topic name, which is then empty.
            let is_used = matches!(properties.alias, Some(TopicAlias::Use(_)));
            let properties = properties_len(publish_properties_len(properties));
            (if is_used { string_len("") } else { topic }, properties)
        }
    };
    (topic + id + properties).saturating_add(payload.len())
}

fn publish_properties_len(properties: &PublishProperties) -> u32 {
    let expiry = if properties.expiry.is_some() { U32_PROPERTY_LEN } else { 0 };
    let alias = if properties.alias.is_some() { U16_PROPERTY_LEN } else { 0 };
    let ids = properties.subscription_ids.iter().map(|&id| subscription_id_len(id));
    expiry + alias + ids.sum::<u32>()
}

/// All filters of a SUBSCRIBE share its one Subscription Identifier.
fn subscribe_len(subscribe: &Subscribe, v5: bool) -> u32 {
    let filters = subscribe.requests.iter().map(|request| string_len(&request.filter) + 1);
    let properties = match subscribe.requests.first().map_or(0, |it| it.options.identifier) {
        _ if !v5 => 0,
        0 => EMPTY_PROPERTIES_LEN,
        id => properties_len(subscription_id_len(id)),
    };
    U16_LEN + properties + filters.sum::<u32>()
}

const fn subscription_id_len(id: u32) -> u32 {
    1 + variable_byte_integer_len(id)
}

fn ack_len(ack: &PublishAck, v5: bool) -> u32 {
    U16_LEN + if v5 { reason_len(ack.reason) } else { 0 }
}

/// 5.0 leaves out a reason code of 0 together with the empty property list behind it. Behind
/// another code the list could be left out as well (MQTT 5.0, section 3.4.2.2.1), but the codec
/// behind `wire` writes it.
const fn reason_len(reason: u8) -> u32 {
    if reason == 0 { 0 } else { 1 + EMPTY_PROPERTIES_LEN }
}

fn connect_len(connect: &Connect, version: Version) -> u32 {
    let protocol = match version {
        Version::V31 => string_len("MQIsdp"),
        Version::V311 | Version::V5 => string_len("MQTT"),
    };
    let v5 = version == Version::V5;
    let expiry = if connect.session_expiry == 0 { 0 } else { U32_PROPERTY_LEN };
    let properties = if v5 { properties_len(expiry + limits_len(connect.limits)) } else { 0 };
    let will = connect.will.as_ref().map_or(0, |will| will_len(will, v5));
    // Then the protocol level, the flags and two bytes of keep alive.
    let header = protocol + 1 + 1 + U16_LEN + properties + string_len(&connect.client_id);
    header.saturating_add(will)
}

fn will_len(will: &Will, v5: bool) -> u32 {
    let delay = if will.delay == 0 { 0 } else { U32_PROPERTY_LEN };
    let properties = if v5 { properties_len(delay) } else { 0 };
    // The payload has its length before it, as a string has.
    (properties + string_len(&will.message.topic) + U16_LEN)
        .saturating_add(will.message.payload.len())
}

/// Each limit is written only where it differs from what holds without it.
const fn limits_len(limits: ReceiverLimits) -> u32 {
    let none = ReceiverLimits::NONE;
    let window = if limits.receive_maximum == none.receive_maximum { 0 } else { U16_PROPERTY_LEN };
    let size = if limits.max_packet_size == none.max_packet_size { 0 } else { U32_PROPERTY_LEN };
    let aliases = if limits.topic_alias_maximum == 0 { 0 } else { U16_PROPERTY_LEN };
    window + size + aliases
}

/// Returns the length of a property list whose properties have the given number of bytes.
const fn properties_len(bytes: u32) -> u32 {
    variable_byte_integer_len(bytes) + bytes
}

fn string_len(text: &str) -> u32 {
    U16_LEN + len_to_u32(text.len())
}

fn len_to_u32(len: usize) -> u32 {
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
