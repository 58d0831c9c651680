//! Random packets of every kind and version, and random bytes.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::base::event::SubscriptionRequest;
use crate::base::name::StreamIndex;
use crate::base::time::Time;
use crate::mqtt::packet::{
    Ack, ConnAck, Connect, Message, Publish, SubAck, Subscribe, UnsubAck, Unsubscribe,
};
use crate::mqtt::settings::Limits;

const VERSIONS: [Version; 3] = [Version::V31, Version::V311, Version::V5];

fn id() -> impl Strategy<Value = PacketId> {
    (1..=u16::MAX).prop_map(|id| PacketId(NonZeroU16::new(id).expect("the range begins at 1")))
}

fn text() -> impl Strategy<Value = Arc<str>> {
    let long = "[a-zäß€𝄞/ ]{1,200}";
    prop_oneof!["[a-z0-9/]{1,30}".prop_map(Arc::from), long.prop_map(Arc::from)]
}

fn tag() -> impl Strategy<Value = Tag> {
    (0..9_u32, 0..9_u32).prop_map(|(stream, sequence)| {
        Tag::new(StreamIndex(stream), sequence, QoS::AtLeastOnce, Time::from_nanos(7))
    })
}

fn payload() -> impl Strategy<Value = Payload> {
    prop_oneof![
        (0..20_000_u32).prop_map(Payload::Filler),
        vec(any::<u8>(), 0..300).prop_map(|bytes| Payload::Bytes(bytes.into())),
    ]
}

fn publish() -> impl Strategy<Value = Packet> {
    let level = prop_oneof![
        Just(Level::AtMostOnce),
        id().prop_map(Level::AtLeastOnce),
        id().prop_map(Level::ExactlyOnce),
    ];
    (level, any::<bool>(), any::<bool>(), text(), payload(), tag()).prop_map(
        |(level, dup, retain, topic, payload, tag)| {
            // QoS 0 has no DUP [MQTT-3.3.1-2].
            let dup = dup && level != Level::AtMostOnce;
            Packet::Publish(Publish {
                level,
                dup,
                retain,
                message: Message { topic, payload, tag },
                properties: None,
            })
        },
    )
}

fn ack(version: Version, reasons: &'static [u8]) -> impl Strategy<Value = Ack> {
    let reason = if version == Version::V5 { select(reasons).boxed() } else { Just(0).boxed() };
    (id(), reason, tag()).prop_map(|(id, reason, tag)| Ack { id, reason, tag })
}

fn connect(version: Version) -> impl Strategy<Value = Packet> {
    let expiry = if version == Version::V5 { any::<u32>().boxed() } else { Just(0).boxed() };
    (text(), any::<bool>(), prop_oneof![Just(0), expiry], any::<u16>()).prop_map(
        move |(client_id, clean, session_expiry, keep_alive)| {
            Packet::Connect(Box::new(Connect {
                client_id,
                version,
                clean,
                session_expiry,
                keep_alive,
                will: None,
                limits: Limits::NONE,
            }))
        },
    )
}

fn requests() -> impl Strategy<Value = Vec<SubscriptionRequest>> {
    let request = (text(), select(&QoS::ALL[..]))
        .prop_map(|(filter, qos)| SubscriptionRequest::new(filter, qos));
    vec(request, 1..5)
}

fn packet(version: Version) -> impl Strategy<Value = Packet> {
    let v5 = version == Version::V5;
    let refusals: &'static [u8] = if v5 { &[0x80, 0x87] } else { &[1, 5] };
    let conn_ack = prop_oneof![
        any::<bool>().prop_map(move |present| (present && version != Version::V31, 0)),
        select(refusals).prop_map(|code| (false, code)),
    ];
    let unsub_codes =
        if v5 { vec(select(&[0, 0x11][..]), 1..5).boxed() } else { Just(vec![]).boxed() };
    let goodbye = if v5 { select(&[0, 4, 0x8E][..]).boxed() } else { Just(0).boxed() };
    prop_oneof![
        6 => publish(),
        1 => ack(version, &[0, 0x10, 0x97]).prop_map(Packet::PubAck),
        1 => ack(version, &[0, 0x10, 0x97]).prop_map(Packet::PubRec),
        1 => ack(version, &[0, 0x92]).prop_map(Packet::PubRel),
        1 => ack(version, &[0, 0x92]).prop_map(Packet::PubComp),
        1 => connect(version),
        1 => conn_ack.prop_map(|(session_present, code)| {
            Packet::ConnAck(ConnAck { session_present, code, limits: Limits::NONE })
        }),
        1 => (id(), any::<bool>(), requests()).prop_map(|(id, dup, requests)| {
            Packet::Subscribe(Box::new(Subscribe { id, dup, requests }))
        }),
        1 => (id(), vec(select(&[0, 1, 2, 0x80][..]), 1..5)).prop_map(|(id, codes)| {
            Packet::SubAck(Box::new(SubAck { id, codes }))
        }),
        1 => (id(), any::<bool>(), vec(text(), 1..5)).prop_map(|(id, dup, filters)| {
            Packet::Unsubscribe(Box::new(Unsubscribe { id, dup, filters }))
        }),
        1 => (id(), unsub_codes).prop_map(|(id, codes)| {
            Packet::UnsubAck(Box::new(UnsubAck { id, codes }))
        }),
        1 => Just(Packet::PingReq),
        1 => Just(Packet::PingResp),
        1 => goodbye.prop_map(Packet::Disconnect),
    ]
}

fn versioned() -> impl Strategy<Value = (Version, Packet)> {
    select(&VERSIONS[..]).prop_flat_map(|version| (Just(version), packet(version)))
}

fn plain(bytes: u32, level: Level, topic: &str) -> Packet {
    let message = Message { topic: topic.into(), payload: Payload::Filler(bytes), tag: Tag::NONE };
    Packet::Publish(Publish { level, dup: false, retain: false, message, properties: None })
}

const ONE: PacketId = PacketId(NonZeroU16::MIN);

proptest! {
    #[test]
    fn every_packet_has_the_length_that_is_counted_and_comes_back(
        (version, packet) in versioned(),
    ) {
        let bytes = encode(&packet, version).expect("the strategy makes packets of the version");
        prop_assert_eq!(bytes.len(), packet.encoded_len(version) as usize);
        prop_assert_eq!(bytes[0], packet.first_byte(version));
        let read = decode(&bytes, version).expect("what was written can be read");
        prop_assert_eq!(read.tag(), Tag::NONE);
        prop_assert_eq!(read.id(), packet.id());
        prop_assert_eq!(round_trip(&packet, version), Ok(packet));
    }

    #[test]
    fn random_bytes_never_panic(
        bytes in vec(any::<u8>(), 0..64),
        version in select(&VERSIONS[..]),
    ) {
        let _ = decode(&bytes, version);
    }

    #[test]
    fn a_framed_random_body_never_panics(
        first in any::<u8>(),
        body in vec(prop_oneof![0..8_u8, any::<u8>()], 0..100),
        version in select(&VERSIONS[..]),
    ) {
        let mut bytes = vec![first, u8::try_from(body.len()).expect("below 100")];
        bytes.extend(&body);
        if let Ok(packet) = decode(&bytes, version) {
            prop_assert_eq!(packet.first_byte(version) >> 4, first >> 4);
        }
    }

    #[test]
    fn one_changed_byte_never_panics(
        (version, packet) in versioned(),
        place in any::<proptest::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut bytes = encode(&packet, version).expect("a packet of the version");
        let place = place.index(bytes.len());
        bytes[place] = byte;
        let _ = decode(&bytes, version);
    }
}

#[test]
fn lengths_are_those_of_the_closed_forms() {
    // Topic 20 B, payload 64 B: QoS 0 takes 88 B, QoS 1 with its PUBACK 94, QoS 2 in all 102.
    let topic = "plant/1234/line/temp";
    assert_eq!(topic.len(), 20);
    let id = ONE;
    let ack = Ack { id, reason: 0, tag: Tag::NONE };
    for (version, extra) in [(Version::V31, 0), (Version::V311, 0), (Version::V5, 1)] {
        let bytes = |level| plain(64, level, topic).encoded_len(version);
        assert_eq!(bytes(Level::AtMostOnce), 88 + extra);
        let acks = [Packet::PubRec(ack), Packet::PubRel(ack), Packet::PubComp(ack)];
        let acks: u32 = acks.iter().map(|packet| packet.encoded_len(version)).sum();
        let first_ack = Packet::PubAck(ack).encoded_len(version);
        assert_eq!(bytes(Level::AtLeastOnce(id)) + first_ack, 94 + extra);
        assert_eq!(bytes(Level::ExactlyOnce(id)) + acks, 102 + extra);
    }
}

#[test]
fn the_remaining_length_takes_a_byte_more_at_its_borders() {
    // MQTT 3.1.1, table 2.4.
    for (remaining, length) in
        [(127, 1), (128, 2), (16_383, 2), (16_384, 3), (2_097_151, 3), (2_097_152, 4)]
    {
        // The topic "a" takes three bytes.
        let packet = plain(remaining - 3, Level::AtMostOnce, "a");
        let whole = 1 + length + remaining;
        assert_eq!(packet.encoded_len(Version::V311), whole);
        assert_eq!(round_trip(&packet, Version::V311), Ok(packet));
    }
}

#[test]
fn an_mqtt_3_1_client_says_mqisdp() {
    let connect = Packet::Connect(Box::new(Connect {
        client_id: "meter".into(),
        version: Version::V31,
        clean: true,
        session_expiry: 0,
        keep_alive: 60,
        will: None,
        limits: Limits::NONE,
    }));
    let bytes = encode(&connect, Version::V31).expect("valid");
    assert_eq!(bytes, b"\x10\x13\0\x06MQIsdp\x03\x02\0\x3C\0\x05meter");
    assert_eq!(decode(&bytes, Version::V31), Ok(connect.clone()));
    assert!(matches!(decode(&bytes, Version::V311), Err(WireError::Refused(_))));
    let what = "another protocol version";
    assert_eq!(encode(&connect, Version::V5), Err(WireError::Unsayable { what }));
}

#[test]
fn only_mqtt_3_1_writes_the_dup_of_a_repeated_subscribe() {
    let requests = vec![SubscriptionRequest::new("a".into(), QoS::AtMostOnce)];
    let repeat = Packet::Subscribe(Box::new(Subscribe { id: ONE, dup: true, requests }));
    let first = |version| encode(&repeat, version).expect("valid")[0];
    assert_eq!(first(Version::V31), 0x8A);
    assert_eq!(first(Version::V311), 0x82);
    assert_eq!(first(Version::V5), 0x82);
    let bytes = encode(&repeat, Version::V31).expect("valid");
    assert_eq!(decode(&bytes, Version::V31), Ok(repeat));
    assert!(matches!(decode(&bytes, Version::V311), Err(WireError::Refused(_))));
}

#[test]
fn what_a_version_cannot_say_is_refused() {
    let refused = Ack { id: ONE, reason: 0x97, tag: Tag::NONE };
    for packet in [Packet::PubAck(refused), Packet::PubRec(refused), Packet::Disconnect(4)] {
        let what = "a reason code";
        assert_eq!(encode(&packet, Version::V311), Err(WireError::Unsayable { what }));
        assert!(encode(&packet, Version::V5).is_ok());
    }
    let present = Packet::ConnAck(ConnAck { session_present: true, code: 0, limits: Limits::NONE });
    let what = "Session Present";
    assert_eq!(encode(&present, Version::V31), Err(WireError::Unsayable { what }));
    assert!(encode(&present, Version::V311).is_ok());
}

#[test]
fn a_packet_that_mqtt_has_no_room_for_is_refused_before_it_is_written() {
    for len in [MAX_REMAINING - 2, u32::MAX] {
        let packet = plain(len, Level::AtMostOnce, "a");
        assert_eq!(encode(&packet, Version::V311), Err(WireError::TooLarge));
    }
}

#[test]
fn frames_that_are_cut_or_too_long_or_padded_are_refused() {
    let whole = encode(&Packet::PingReq, Version::V311).expect("valid");
    assert_eq!(whole, [0xC0, 0]);
    for frame in
        [&[][..], &[0xC0], &[0xC0, 0, 0], &[0xC0, 0x80, 0], &[0x30, 0xFF, 0xFF, 0xFF, 0xFF]]
    {
        assert_eq!(decode(frame, Version::V311), Err(WireError::Frame), "{frame:?}");
    }
    let what = "AUTH";
    assert_eq!(decode(&[0xF0, 0], Version::V5), Err(WireError::NotModelled { what }));
}
