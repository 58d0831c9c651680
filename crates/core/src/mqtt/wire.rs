//! Packets as bytes, through the crate `flowsdk`.
//!
//! The simulation hands packets over as values and counts their bytes with
//! [`Packet::encoded_len`]. This room writes and reads them for real: [`round_trip`] shows that
//! nothing was counted or carried that the wire could not carry.
//!
//! What the codec leaves to us: the size limit of the fixed header is checked before it sees a
//! frame, and MQTT 3.1's DUP on SUBSCRIBE and UNSUBSCRIBE is put in and taken out here.

mod v3;
mod v5;

#[cfg(test)]
mod tests;

use std::num::NonZeroU16;
use std::sync::Arc;

use flowsdk::mqtt_serde::control_packet::MqttPacket;
use flowsdk::mqtt_serde::parser::ParseOk;
use thiserror::Error;

use super::length::variable_byte_integer_len;
use super::packet::{Message, Packet, PacketId, Payload, PublishLevel, Subscribe, TopicAlias};
use super::settings::{ReceiverLimits, Version, Will};
use crate::base::{MessageTag, PacketKind, QoS, SubscriptionOptions};

/// The largest Remaining Length: four bytes of a variable byte integer (MQTT 3.1.1, table 2.4).
pub const MAX_REMAINING_LENGTH: u32 = 268_435_455;

/// DUP in the first byte.
const DUP: u8 = 0b1000;

/// Why a packet cannot be written, or bytes not be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum WireError {
    /// The packet is larger than MQTT allows.
    #[error("is larger than the 268,435,455 bytes that MQTT allows")]
    TooLarge,
    /// The packet holds something that this version has no field for.
    #[error("has {what}, which this version cannot say")]
    Unrepresentable {
        /// What it is.
        what: &'static str,
    },
    /// The bytes are not exactly one frame with a well-formed length.
    #[error("is not one whole frame")]
    MalformedFrame,
    /// The bytes use a part of MQTT that the simulation does not model.
    #[error("uses {what}, which is not modelled")]
    NotModelled {
        /// Which part.
        what: &'static str,
    },
    /// The codec refuses it, in its own words.
    #[error("is refused by the codec: {0}")]
    Refused(String),
    /// The bytes written are not as many as [`Packet::encoded_len`] said.
    #[error("was counted as {counted} bytes but written as {written}")]
    Miscounted {
        /// What was counted.
        counted: u32,
        /// What was written.
        written: usize,
    },
    /// The packet that was read differs from the one that was written.
    #[error("was read back as another packet")]
    RoundTripMismatch,
}

/// Writes a packet. Tags do not travel, and a [`Payload::Filler`] is written as zeros.
///
/// # Errors
/// If the packet is too large, says something that `version` cannot, or breaks a rule of MQTT.
pub fn encode(packet: &Packet, version: Version) -> Result<Vec<u8>, WireError> {
    if packet.remaining_len(version) > MAX_REMAINING_LENGTH {
        return Err(WireError::TooLarge);
    }
    check_representable(packet, version)?;
    let frame = match version {
        Version::V31 | Version::V311 => v3::to_codec(packet, version),
        Version::V5 => v5::to_codec(packet),
    };
    let mut bytes = frame.to_bytes().map_err(|error| WireError::Refused(error.to_string()))?;
    if let Some(first) = bytes.first_mut() {
        // The codec knows 3.1.1, where a repeated SUBSCRIBE has no DUP.
        *first = packet.first_byte(version);
    }
    Ok(bytes)
}

/// Treatment of the parts of a packet that the simulation does not model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum UnmodelledParts {
    /// They are an error: [`WireError::NotModelled`].
    Reject,
    /// They are left out.
    Ignore,
}

/// Reads exactly one packet. Its tag is [`MessageTag::NONE`], its payload [`Payload::Bytes`].
///
/// # Errors
/// If `bytes` are not exactly one well-formed packet of `version`, or one with parts that the
/// simulation does not model.
pub fn decode(bytes: &[u8], version: Version) -> Result<Packet, WireError> {
    decode_with(bytes, version, UnmodelledParts::Reject)
}

/// As [`decode`], for third-party packets: properties, user names and passwords that the
/// simulation does not model are left out.
///
/// # Errors
/// If `bytes` are not exactly one well-formed packet of `version`, or are an AUTH. One sound packet
/// is refused by the codec: a CONNECT of 5.0 with a will of no bytes and a user name.
pub fn decode_lenient(bytes: &[u8], version: Version) -> Result<Packet, WireError> {
    decode_with(bytes, version, UnmodelledParts::Ignore)
}

fn decode_with(
    bytes: &[u8],
    version: Version,
    unmodelled: UnmodelledParts,
) -> Result<Packet, WireError> {
    let first = check_frame(bytes)?;
    if first >> 4 == 15 {
        return Err(WireError::NotModelled { what: "AUTH" });
    }
    // MQTT 3.1 allows DUP there; the codec, which knows 3.1.1, does not.
    let repeatable = [PacketKind::PubRel, PacketKind::Subscribe, PacketKind::Unsubscribe]
        .map(|kind| kind as u8)
        .contains(&(first >> 4));
    let dup = version == Version::V31 && repeatable && first & DUP != 0;
    let parsed = if dup {
        let mut plain = bytes.to_vec();
        plain[0] &= !DUP;
        parse(&plain, version)
    } else {
        parse(bytes, version)
    }?;
    let mut packet = match version {
        Version::V31 | Version::V311 => v3::from_codec(parsed, version, unmodelled),
        Version::V5 => v5::from_codec(parsed, unmodelled),
    }?;
    set_request_dup(&mut packet, dup);
    Ok(packet)
}

/// How many bytes the frame has that begins like this, fixed header included; `None` if it takes
/// more bytes to know.
///
/// # Errors
/// If its Remaining Length takes more than four bytes, or more than it needs [MQTT-1.5.5-1].
pub fn frame_len(start: &[u8]) -> Result<Option<u32>, WireError> {
    let mut remaining = 0_u32;
    for (place, byte) in (0_u32..4).zip(start.iter().skip(1)) {
        remaining |= u32::from(byte & 0x7F) << (7 * place);
        if byte & 0x80 == 0 {
            let header = 1 + place;
            let is_shortest = variable_byte_integer_len(remaining) == header;
            return if is_shortest {
                Ok(Some(1 + header + remaining))
            } else {
                Err(WireError::MalformedFrame)
            };
        }
    }
    if start.len() > 4 { Err(WireError::MalformedFrame) } else { Ok(None) }
}

/// The version that a connection speaks whose first packet is this frame.
///
/// # Errors
/// If it is no CONNECT [MQTT-3.1.0-1], or one of another protocol.
pub fn connect_version(frame: &[u8]) -> Result<Version, WireError> {
    if check_frame(frame)? >> 4 != PacketKind::Connect as u8 {
        return Err(WireError::Refused("a first packet that is no CONNECT".into()));
    }
    // The length ends with the first byte that does not say that it goes on.
    let body = frame.iter().skip(1).skip_while(|byte| **byte & 0x80 != 0).skip(1);
    let speaks = |protocol: &[u8]| body.clone().take(protocol.len()).eq(protocol);
    if speaks(b"\0\x06MQIsdp\x03") {
        Ok(Version::V31)
    } else if speaks(b"\0\x04MQTT\x04") {
        Ok(Version::V311)
    } else if speaks(b"\0\x04MQTT\x05") {
        Ok(Version::V5)
    } else {
        Err(WireError::Refused("an unknown protocol name or level".into()))
    }
}

/// Writes and reads a packet, and checks that its length is what was counted and that it comes
/// back as it was.
///
/// What does not travel is put back first: tags, a [`Payload::Filler`], the topic that an alias
/// stands for, and outside MQTT 3.1 whether a SUBSCRIBE or UNSUBSCRIBE is a repeat.
///
/// # Errors
/// Those of [`encode`] and [`decode`], [`WireError::Miscounted`] and
/// [`WireError::RoundTripMismatch`].
pub fn round_trip(packet: &Packet, version: Version) -> Result<Packet, WireError> {
    let bytes = encode(packet, version)?;
    let counted = packet.encoded_len(version);
    if usize::try_from(counted) != Ok(bytes.len()) {
        return Err(WireError::Miscounted { counted, written: bytes.len() });
    }
    let mut read = decode(&bytes, version)?;
    let dup = request_dup(&read);
    restore_untransmitted(&mut read, packet);
    if version == Version::V31 {
        set_request_dup(&mut read, dup);
    }
    if read == *packet { Ok(read) } else { Err(WireError::RoundTripMismatch) }
}

/// Gives a packet that was read what `original` has and what does not travel: tags, a
/// [`Payload::Filler`], the topic that an alias stands for, and whether a SUBSCRIBE or UNSUBSCRIBE
/// is a repeat, which only MQTT 3.1 can say.
pub fn restore_untransmitted(read: &mut Packet, original: &Packet) {
    restore_tag(read, original.tag());
    restore_messages(read, original);
    set_request_dup(read, request_dup(original));
}

/// Gives a packet that carries or acknowledges a message its tag; leaves others alone.
pub fn restore_tag(packet: &mut Packet, tag: MessageTag) {
    match packet {
        Packet::Publish(publish) => publish.message.tag = tag,
        Packet::PubAck(ack) | Packet::PubRec(ack) | Packet::PubRel(ack) | Packet::PubComp(ack) => {
            ack.tag = tag;
        }
        _ => {}
    }
}

/// Gives back to messages what does not travel with them.
fn restore_messages(read: &mut Packet, original: &Packet) {
    match (read, original) {
        (Packet::Publish(read), Packet::Publish(original)) => {
            let alias = read.properties.as_ref().and_then(|properties| properties.alias);
            if matches!(alias, Some(TopicAlias::Use(_))) && read.message.topic.is_empty() {
                read.message.topic = Arc::clone(&original.message.topic);
            }
            restore_filler(&mut read.message, &original.message);
        }
        (Packet::Connect(read), Packet::Connect(original)) => {
            if let (Some(read), Some(original)) = (&mut read.will, &original.will) {
                read.message.tag = original.message.tag;
                restore_filler(&mut read.message, &original.message);
            }
        }
        _ => {}
    }
}

fn restore_filler(read: &mut Message, original: &Message) {
    let (Payload::Bytes(bytes), filler @ Payload::Filler(_)) = (&read.payload, &original.payload)
    else {
        return;
    };
    if filler.len() == read.payload.len() && bytes.iter().all(|byte| *byte == 0) {
        read.payload = filler.clone();
    }
}

const fn request_dup(packet: &Packet) -> bool {
    match packet {
        Packet::Subscribe(subscribe) => subscribe.dup,
        Packet::Unsubscribe(unsubscribe) => unsubscribe.dup,
        _ => false,
    }
}

fn set_request_dup(packet: &mut Packet, dup: bool) {
    match packet {
        Packet::Subscribe(subscribe) => subscribe.dup = dup,
        Packet::Unsubscribe(unsubscribe) => unsubscribe.dup = dup,
        _ => {}
    }
}

/// What the fields of [`Packet`] can hold and the version cannot write. A repeated SUBSCRIBE is
/// not in the list: outside 3.1 it is simply written without DUP.
fn check_representable(packet: &Packet, version: Version) -> Result<(), WireError> {
    let before_v5 = version != Version::V5;
    let what = match packet {
        Packet::Connect(connect) if connect.version != version => "another protocol version",
        Packet::Connect(connect) if before_v5 && connect.session_expiry != 0 => {
            "a Session Expiry Interval"
        }
        Packet::Connect(connect) if connect.will.as_ref().is_some_and(is_will_too_long) => {
            "a will of more than 65,535 bytes"
        }
        Packet::Connect(connect)
            if before_v5 && connect.will.as_ref().is_some_and(|will| will.delay != 0) =>
        {
            "a Will Delay Interval"
        }
        Packet::Connect(connect) if before_v5 && connect.limits != ReceiverLimits::NONE => "limits",
        Packet::ConnAck(ack) if before_v5 && ack.limits != ReceiverLimits::NONE => "limits",
        Packet::Publish(publish) if before_v5 && publish.properties.is_some() => "properties",
        Packet::Subscribe(subscribe) if before_v5 && has_options(subscribe) => {
            "subscription options"
        }
        Packet::Subscribe(subscribe) if !has_one_identifier(subscribe) => {
            "filters with different Subscription Identifiers"
        }
        Packet::ConnAck(ack) if version == Version::V31 && ack.session_present => "Session Present",
        Packet::PubAck(ack) | Packet::PubRec(ack) | Packet::PubRel(ack) | Packet::PubComp(ack)
            if before_v5 && ack.reason != 0 =>
        {
            "a reason code"
        }
        Packet::UnsubAck(ack) if before_v5 && !ack.codes.is_empty() => "reason codes",
        Packet::Disconnect(reason) if before_v5 && *reason != 0 => "a reason code",
        _ => return Ok(()),
    };
    Err(WireError::Unrepresentable { what })
}

/// A will's payload has its length before it, in two bytes.
fn is_will_too_long(will: &Will) -> bool {
    will.message.payload.len() > u32::from(u16::MAX)
}

fn has_options(subscribe: &Subscribe) -> bool {
    subscribe.requests.iter().any(|request| request.options != SubscriptionOptions::default())
}

fn has_one_identifier(subscribe: &Subscribe) -> bool {
    subscribe.requests.windows(2).all(|two| {
        let [one, other] = two else { return true };
        one.options.identifier == other.options.identifier
    })
}

/// Checks that `bytes` are exactly one frame, and returns the first one.
fn check_frame(bytes: &[u8]) -> Result<u8, WireError> {
    let whole = frame_len(bytes)?.and_then(|len| usize::try_from(len).ok());
    match bytes.first() {
        Some(first) if whole == Some(bytes.len()) => Ok(*first),
        _ => Err(WireError::MalformedFrame),
    }
}

fn parse(bytes: &[u8], version: Version) -> Result<MqttPacket, WireError> {
    let parsed = match version {
        Version::V31 | Version::V311 => MqttPacket::from_bytes_v3(bytes),
        Version::V5 => MqttPacket::from_bytes_v5(bytes),
    };
    match parsed {
        Ok(ParseOk::Packet(packet, consumed)) if consumed == bytes.len() => Ok(packet),
        Ok(_) => Err(WireError::MalformedFrame),
        Err(error) => {
            let empty_will =
                v5::parse_connect_with_empty_will(bytes).filter(|_| version == Version::V5);
            empty_will.ok_or_else(|| WireError::Refused(error.to_string()))
        }
    }
}

impl UnmodelledParts {
    /// Lets go of a part that is not modelled.
    const fn check_unmodelled(self, what: &'static str) -> Result<(), WireError> {
        match self {
            Self::Reject => Err(WireError::NotModelled { what }),
            Self::Ignore => Ok(()),
        }
    }
}

fn read_id(id: u16) -> Result<PacketId, WireError> {
    let id = NonZeroU16::new(id);
    id.map(PacketId).ok_or_else(|| WireError::Refused("packet identifier 0".into()))
}

fn read_level(qos: u8, id: Option<u16>) -> Result<PublishLevel, WireError> {
    let id = || read_id(id.unwrap_or(0));
    Ok(match read_qos(qos)? {
        QoS::AtMostOnce => PublishLevel::AtMostOnce,
        QoS::AtLeastOnce => PublishLevel::AtLeastOnce(id()?),
        QoS::ExactlyOnce => PublishLevel::ExactlyOnce(id()?),
    })
}

fn read_qos(qos: u8) -> Result<QoS, WireError> {
    QoS::from_number(qos).ok_or_else(|| WireError::Refused("QoS 3".into()))
}

fn read_payload(bytes: Vec<u8>) -> Payload {
    Payload::Bytes(Arc::from(bytes))
}

fn write_payload(payload: &Payload) -> Vec<u8> {
    match payload {
        Payload::Filler(len) => vec![0; usize::try_from(*len).unwrap_or(usize::MAX)],
        Payload::Bytes(bytes) => bytes.to_vec(),
    }
}
