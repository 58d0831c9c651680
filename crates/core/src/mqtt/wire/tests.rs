//! Random packets of every kind and version, and random bytes.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

mod lenient;

use super::*;
use crate::base::{PublisherIndex, RetainHandling, SubscriptionRequest, Time};
use crate::mqtt::packet::{
    ConnAck, Connect, Publish, PublishAck, PublishProperties, SubAck, UnsubAck, Unsubscribe,
};

const VERSIONS: [Version; 3] = [Version::V31, Version::V311, Version::V5];

fn id() -> impl Strategy<Value = PacketId> {
    (1..=u16::MAX).prop_map(|id| PacketId(NonZeroU16::new(id).expect("the range begins at 1")))
}

fn text() -> impl Strategy<Value = Arc<str>> {
    let long = "[a-zäß€𝄞/ ]{1,200}";
    prop_oneof!["[a-z0-9/]{1,30}".prop_map(Arc::from), long.prop_map(Arc::from)]
}

fn tag() -> impl Strategy<Value = MessageTag> {
    (0..9_u32, 0..9_u32).prop_map(|(stream, sequence)| {
        MessageTag::new(PublisherIndex(stream), sequence, QoS::AtLeastOnce, Time::from_nanos(7))
    })
}

fn payload() -> impl Strategy<Value = Payload> {
    prop_oneof![
        (0..20_000_u32).prop_map(Payload::Filler),
        vec(any::<u8>(), 0..300).prop_map(|bytes| Payload::Bytes(bytes.into())),
    ]
}

fn subscription_id() -> impl Strategy<Value = u32> {
    prop_oneof![1..200_u32, 1..=MAX_REMAINING_LENGTH]
}

fn properties() -> impl Strategy<Value = Option<Box<PublishProperties>>> {
    let alias = (1..=u16::MAX, any::<bool>()).prop_map(|(number, set)| {
        let number = NonZeroU16::new(number).expect("the range begins at 1");
        if set { TopicAlias::Set(number) } else { TopicAlias::Use(number) }
    });
    let ids = prop_oneof![vec(subscription_id(), 0..3), vec(subscription_id(), 50..60)];
    let parts = (prop::option::of(any::<u32>()), prop::option::of(alias), ids);
    parts.prop_map(|(expiry, alias, subscription_ids)| {
        let properties = PublishProperties { expiry, alias, subscription_ids };
        (properties != PublishProperties::default()).then(|| Box::new(properties))
    })
}

fn publish(version: Version) -> impl Strategy<Value = Packet> {
    let properties = if version == Version::V5 { properties().boxed() } else { Just(None).boxed() };
    let level = prop_oneof![
        Just(PublishLevel::AtMostOnce),
        id().prop_map(PublishLevel::AtLeastOnce),
        id().prop_map(PublishLevel::ExactlyOnce),
    ];
    (level, any::<bool>(), any::<bool>(), text(), payload(), tag(), properties).prop_map(
        |(level, dup, retain, topic, payload, tag, properties)| {
            // QoS 0 has no DUP [MQTT-3.3.1-2].
            let dup = dup && level != PublishLevel::AtMostOnce;
            let message = Message { topic, payload, tag };
            Packet::Publish(Publish { level, dup, retain, message, properties })
        },
    )
}

fn ack(version: Version, reasons: &'static [u8]) -> impl Strategy<Value = PublishAck> {
    let reason = if version == Version::V5 { select(reasons).boxed() } else { Just(0).boxed() };
    (id(), reason, tag()).prop_map(|(id, reason, tag)| PublishAck { id, reason, tag })
}

/// Only 5.0 has a number there, and 0 is not written.
fn seconds(version: Version) -> BoxedStrategy<u32> {
    if version == Version::V5 {
        prop_oneof![Just(0), any::<u32>()].boxed()
    } else {
        Just(0).boxed()
    }
}

fn limits(version: Version) -> BoxedStrategy<ReceiverLimits> {
    if version != Version::V5 {
        return Just(ReceiverLimits::NONE).boxed();
    }
    let window = prop_oneof![Just(u16::MAX), 1..=u16::MAX];
    let size = prop_oneof![Just(u32::MAX), 1..=u32::MAX];
    let limits = (window, size, prop_oneof![Just(0), any::<u16>()]);
    limits
        .prop_map(|(receive_maximum, max_packet_size, topic_alias_maximum)| ReceiverLimits {
            receive_maximum,
            max_packet_size,
            topic_alias_maximum,
        })
        .boxed()
}

fn will(version: Version) -> impl Strategy<Value = Will> {
    let message = (text(), payload(), tag()).prop_map(|(topic, payload, tag)| Message {
        topic,
        payload,
        tag,
    });
    (message, select(&QoS::ALL[..]), any::<bool>(), seconds(version))
        .prop_map(|(message, qos, retain, delay)| Will { message, qos, retain, delay })
}

fn connect(version: Version) -> impl Strategy<Value = Packet> {
    let will = prop::option::of(will(version));
    (text(), any::<bool>(), seconds(version), any::<u16>(), will, limits(version)).prop_map(
        move |(client_id, clean, session_expiry, keep_alive, will, limits)| {
            Packet::Connect(Box::new(Connect {
                client_id,
                version,
                clean,
                session_expiry,
                keep_alive,
                will,
                limits,
            }))
        },
    )
}

fn options(version: Version) -> BoxedStrategy<SubscriptionOptions> {
    if version != Version::V5 {
        return Just(SubscriptionOptions::default()).boxed();
    }
    let handling =
        select(&[RetainHandling::Send, RetainHandling::SendIfNew, RetainHandling::DoNotSend][..]);
    (any::<bool>(), any::<bool>(), handling)
        .prop_map(|(no_local, retain_as_published, retain_handling)| SubscriptionOptions {
            no_local,
            retain_as_published,
            retain_handling,
            identifier: 0,
        })
        .boxed()
}

fn subscribe(version: Version) -> impl Strategy<Value = Packet> {
    let request = (text(), select(&QoS::ALL[..]), options(version))
        .prop_map(|(filter, qos, options)| SubscriptionRequest { filter, qos, options });
    let identifier = prop_oneof![Just(0), subscription_id()];
    (id(), any::<bool>(), vec(request, 1..5), identifier).prop_map(
        move |(id, dup, mut requests, identifier)| {
            for request in &mut requests {
                request.options.identifier = if version == Version::V5 { identifier } else { 0 };
            }
            Packet::Subscribe(Box::new(Subscribe { id, dup, requests }))
        },
    )
}

fn packet(version: Version) -> impl Strategy<Value = Packet> {
    let v5 = version == Version::V5;
    let refusals: &'static [u8] = if v5 { &[0x80, 0x87, 0x88, 0x95, 0x97] } else { &[1, 5] };
    let publish_reasons: &'static [u8] = &[0, 0x10, 0x80, 0x83, 0x87, 0x91, 0x97];
    let sub_codes: &'static [u8] =
        if v5 { &[0, 1, 2, 0x80, 0x87, 0x8F, 0x97, 0x9E] } else { &[0, 1, 2, 0x80] };
    let conn_ack = prop_oneof![
        any::<bool>().prop_map(move |present| (present && version != Version::V31, 0)),
        select(refusals).prop_map(|code| (false, code)),
    ];
    let unsub_codes =
        if v5 { vec(select(&[0, 0x11][..]), 1..5).boxed() } else { Just(vec![]).boxed() };
    let disconnect_reasons: &'static [u8] =
        if v5 { &[0, 4, 0x82, 0x8D, 0x8E, 0x93, 0x95] } else { &[0] };
    prop_oneof![
        6 => publish(version),
        1 => ack(version, publish_reasons).prop_map(Packet::PubAck),
        1 => ack(version, publish_reasons).prop_map(Packet::PubRec),
        1 => ack(version, &[0, 0x92]).prop_map(Packet::PubRel),
        1 => ack(version, &[0, 0x92]).prop_map(Packet::PubComp),
        2 => connect(version),
        1 => (conn_ack, limits(version)).prop_map(|((session_present, code), limits)| {
            Packet::ConnAck(ConnAck { session_present, code, limits })
        }),
        2 => subscribe(version),
        1 => (id(), vec(select(sub_codes), 1..5)).prop_map(|(id, codes)| {
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
        1 => select(disconnect_reasons).prop_map(Packet::Disconnect),
    ]
}

fn any_packet() -> impl Strategy<Value = (Version, Packet)> {
    select(&VERSIONS[..]).prop_flat_map(|version| (Just(version), packet(version)))
}

fn plain_publish(bytes: u32, level: PublishLevel, topic: &str) -> Packet {
    let message =
        Message { topic: topic.into(), payload: Payload::Filler(bytes), tag: MessageTag::NONE };
    Packet::Publish(Publish { level, dup: false, retain: false, message, properties: None })
}

const FIRST_ID: PacketId = PacketId(NonZeroU16::MIN);

proptest! {
    #[test]
    fn every_packet_has_the_length_that_is_counted_and_comes_back(
        (version, packet) in any_packet(),
    ) {
        let bytes = encode(&packet, version).expect("the strategy makes packets of the version");
        prop_assert_eq!(bytes.len(), packet.encoded_len(version) as usize);
        prop_assert_eq!(bytes[0], packet.first_byte(version));
        let read = decode(&bytes, version).expect("what was written can be read");
        prop_assert_eq!(read.tag(), MessageTag::NONE);
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
        (version, packet) in any_packet(),
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
    let id = FIRST_ID;
    let ack = PublishAck { id, reason: 0, tag: MessageTag::NONE };
    for (version, extra) in [(Version::V31, 0), (Version::V311, 0), (Version::V5, 1)] {
        let bytes = |level| plain_publish(64, level, topic).encoded_len(version);
        assert_eq!(bytes(PublishLevel::AtMostOnce), 88 + extra);
        let acks = [Packet::PubRec(ack), Packet::PubRel(ack), Packet::PubComp(ack)];
        let acks: u32 = acks.iter().map(|packet| packet.encoded_len(version)).sum();
        let first_ack = Packet::PubAck(ack).encoded_len(version);
        assert_eq!(bytes(PublishLevel::AtLeastOnce(id)) + first_ack, 94 + extra);
        assert_eq!(bytes(PublishLevel::ExactlyOnce(id)) + acks, 102 + extra);
    }
}

#[test]
fn the_remaining_length_takes_a_byte_more_at_its_borders() {
    // MQTT 3.1.1, table 2.4.
    for (remaining, length) in
        [(127, 1), (128, 2), (16_383, 2), (16_384, 3), (2_097_151, 3), (2_097_152, 4)]
    {
        // The topic "a" takes three bytes.
        let packet = plain_publish(remaining - 3, PublishLevel::AtMostOnce, "a");
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
        limits: ReceiverLimits::NONE,
    }));
    let bytes = encode(&connect, Version::V31).expect("valid");
    assert_eq!(bytes, b"\x10\x13\0\x06MQIsdp\x03\x02\0\x3C\0\x05meter");
    assert_eq!(decode(&bytes, Version::V31), Ok(connect.clone()));
    assert!(matches!(decode(&bytes, Version::V311), Err(WireError::Refused(_))));
    let what = "another protocol version";
    assert_eq!(encode(&connect, Version::V5), Err(WireError::Unrepresentable { what }));
}

#[test]
fn only_mqtt_3_1_writes_the_dup_of_a_repeated_subscribe() {
    let requests = vec![SubscriptionRequest::new("a".into(), QoS::AtMostOnce)];
    let repeat = Packet::Subscribe(Box::new(Subscribe { id: FIRST_ID, dup: true, requests }));
    let first = |version| encode(&repeat, version).expect("valid")[0];
    assert_eq!(first(Version::V31), 0x8A);
    assert_eq!(first(Version::V311), 0x82);
    assert_eq!(first(Version::V5), 0x82);
    let bytes = encode(&repeat, Version::V31).expect("valid");
    assert_eq!(decode(&bytes, Version::V31), Ok(repeat));
    assert!(matches!(decode(&bytes, Version::V311), Err(WireError::Refused(_))));
}

#[test]
fn what_a_version_cannot_express_is_refused() {
    let refused = PublishAck { id: FIRST_ID, reason: 0x97, tag: MessageTag::NONE };
    for packet in [Packet::PubAck(refused), Packet::PubRec(refused), Packet::Disconnect(4)] {
        let what = "a reason code";
        assert_eq!(encode(&packet, Version::V311), Err(WireError::Unrepresentable { what }));
        assert!(encode(&packet, Version::V5).is_ok());
    }
    let present =
        Packet::ConnAck(ConnAck { session_present: true, code: 0, limits: ReceiverLimits::NONE });
    let what = "Session Present";
    assert_eq!(encode(&present, Version::V31), Err(WireError::Unrepresentable { what }));
    assert!(encode(&present, Version::V311).is_ok());
}

#[test]
fn a_will_may_have_no_payload() {
    for version in [Version::V31, Version::V311, Version::V5] {
        let message =
            Message { topic: "t".into(), payload: Payload::Filler(0), tag: MessageTag::NONE };
        // With a Remaining Length of one byte and of two.
        for client_id in ["c".into(), "c".repeat(200)] {
            let connect = Packet::Connect(Box::new(Connect {
                client_id: client_id.into(),
                version,
                clean: false,
                session_expiry: 0,
                keep_alive: 0,
                will: Some(Will {
                    message: message.clone(),
                    qos: QoS::AtMostOnce,
                    retain: false,
                    delay: 0,
                }),
                limits: ReceiverLimits::NONE,
            }));
            assert_eq!(round_trip(&connect, version), Ok(connect));
        }
    }
}

#[test]
fn what_only_5_0_can_express_is_refused_before() {
    let message =
        || Message { topic: "t".into(), payload: Payload::Filler(1), tag: MessageTag::NONE };
    let plain = Connect {
        client_id: "c".into(),
        version: Version::V311,
        clean: false,
        session_expiry: 0,
        keep_alive: 0,
        will: None,
        limits: ReceiverLimits::NONE,
    };
    let limits = ReceiverLimits { receive_maximum: 7, ..ReceiverLimits::NONE };
    let will = Will { message: message(), qos: QoS::AtLeastOnce, retain: false, delay: 5 };
    let long = Message { payload: Payload::Filler(65_536), ..message() };
    let long = Will { message: long, delay: 0, ..will.clone() };
    let mut request = SubscriptionRequest::new("a".into(), QoS::AtMostOnce);
    request.options.no_local = true;
    let connect = |connect: Connect| Packet::Connect(Box::new(connect));
    let expiring = PublishProperties { expiry: Some(1), ..PublishProperties::default() };
    let cases = [
        (connect(Connect { limits, ..plain.clone() }), "limits"),
        (connect(Connect { will: Some(will), ..plain.clone() }), "a Will Delay Interval"),
        (connect(Connect { will: Some(long), ..plain }), "a will of more than 65,535 bytes"),
        (Packet::ConnAck(ConnAck { session_present: false, code: 0, limits }), "limits"),
        (
            Packet::Publish(Publish {
                level: PublishLevel::AtMostOnce,
                dup: false,
                retain: false,
                message: message(),
                properties: Some(Box::new(expiring)),
            }),
            "properties",
        ),
        (
            Packet::Subscribe(Box::new(Subscribe {
                id: FIRST_ID,
                dup: false,
                requests: vec![request],
            })),
            "subscription options",
        ),
    ];
    for (packet, what) in cases {
        assert_eq!(encode(&packet, Version::V311), Err(WireError::Unrepresentable { what }));
    }
}

#[test]
fn a_subscribe_has_one_subscription_identifier() {
    let mut requests = ["a", "b"].map(|it| SubscriptionRequest::new(it.into(), QoS::AtMostOnce));
    requests[1].options.identifier = 7;
    let subscribe = Subscribe { id: FIRST_ID, dup: false, requests: requests.into() };
    let what = "filters with different Subscription Identifiers";
    let packet = Packet::Subscribe(Box::new(subscribe));
    assert_eq!(encode(&packet, Version::V5), Err(WireError::Unrepresentable { what }));
}

#[test]
fn a_topic_that_its_alias_stands_for_costs_nothing() {
    let number = NonZeroU16::MIN;
    let lengths =
        [None, Some(TopicAlias::Set(number)), Some(TopicAlias::Use(number))].map(|alias| {
            let Packet::Publish(publish) =
                plain_publish(64, PublishLevel::AtMostOnce, "plant/1234/line/temp")
            else {
                unreachable!("it is one")
            };
            let properties = PublishProperties { alias, ..PublishProperties::default() };
            let properties = Some(Box::new(properties));
            Packet::Publish(Publish { properties, ..publish }).encoded_len(Version::V5)
        });
    assert_eq!(lengths, [89, 92, 72]);
}

#[test]
fn a_packet_larger_than_mqtt_allows_is_refused_before_it_is_written() {
    for len in [MAX_REMAINING_LENGTH - 2, u32::MAX] {
        let packet = plain_publish(len, PublishLevel::AtMostOnce, "a");
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
        assert_eq!(decode(frame, Version::V311), Err(WireError::MalformedFrame), "{frame:?}");
    }
    let what = "AUTH";
    assert_eq!(decode(&[0xF0, 0], Version::V5), Err(WireError::NotModelled { what }));
}
