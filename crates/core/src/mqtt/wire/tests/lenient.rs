//! Packets of third-party implementations, with parts that are not modelled.

use flowsdk::mqtt_serde::mqttv5::Property;

use super::*;

/// Parts that others may add to a 5.0 packet, and the simulation leaves out: a property and, in a
/// CONNECT, credentials.
fn with_unmodelled_parts(packet: &Packet) -> MqttPacket {
    let user_property = || Property::UserProperty("made by".into(), "a product".into());
    let mut written = v5::to_codec(packet);
    match &mut written {
        MqttPacket::Connect5(connect) => {
            connect.username = Some("user".into());
            connect.password = Some(b"secret".to_vec());
            connect.properties.push(user_property());
            if let Some(will) = &mut connect.will {
                will.properties.content_type = Some("text/plain".into());
            }
        }
        MqttPacket::ConnAck5(ack) => ack.properties.get_or_insert_default().push(user_property()),
        MqttPacket::Publish5(publish) => publish.properties.push(user_property()),
        MqttPacket::PubAck5(ack) => ack.properties.push(user_property()),
        MqttPacket::PubRec5(ack) => ack.properties.push(user_property()),
        MqttPacket::PubRel5(ack) => ack.properties.push(user_property()),
        MqttPacket::PubComp5(ack) => ack.properties.push(user_property()),
        MqttPacket::Subscribe5(subscribe) => subscribe.properties.push(user_property()),
        MqttPacket::SubAck5(ack) => ack.properties.push(user_property()),
        MqttPacket::Unsubscribe5(unsubscribe) => unsubscribe.properties.push(user_property()),
        MqttPacket::UnsubAck5(ack) => ack.properties.push(user_property()),
        MqttPacket::Disconnect5(disconnect) => disconnect.properties.push(user_property()),
        _ => {}
    }
    written
}

/// Whether its will is one that the codec refuses before a user name.
fn has_empty_will(packet: &Packet) -> bool {
    let Packet::Connect(connect) = packet else { return false };
    connect.will.as_ref().is_some_and(|will| will.message.payload.is_empty())
}

proptest! {
    #[test]
    fn the_lenient_decoder_reads_modelled_packets_like_the_strict_one(
        (version, packet) in any_packet(),
        place in any::<proptest::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut bytes = encode(&packet, version).expect("a packet of the version");
        let read = decode(&bytes, version);
        prop_assert!(read.is_ok());
        prop_assert_eq!(decode_lenient(&bytes, version), read);
        // And what is not read here is read there only where it is not modelled.
        let place = place.index(bytes.len());
        bytes[place] = byte;
        match decode(&bytes, version) {
            Err(WireError::NotModelled { .. }) => {}
            read => prop_assert_eq!(decode_lenient(&bytes, version), read),
        }
    }

    #[test]
    fn unmodelled_parts_are_left_out(packet in packet(Version::V5)) {
        prop_assume!(!has_empty_will(&packet));
        let bytes = with_unmodelled_parts(&packet).to_bytes().expect("5.0 allows it");
        let plain = encode(&packet, Version::V5).expect("a packet of the version");
        let read = decode(&plain, Version::V5);
        if bytes != plain {
            let is_refused =
                matches!(decode(&bytes, Version::V5), Err(WireError::NotModelled { .. }));
            prop_assert!(is_refused);
        }
        prop_assert_eq!(decode_lenient(&bytes, Version::V5), read);
    }
}

#[test]
fn credentials_are_left_out_before_5_0() {
    for (version, name) in [(Version::V31, "MQIsdp"), (Version::V311, "MQTT")] {
        let level = if version == Version::V31 { 3 } else { 4 };
        let mut body = vec![0, u8::try_from(name.len()).expect("short")];
        body.extend(name.bytes());
        // User name, password and Clean Session; then the client id, both credentials.
        body.extend([level, 0b1100_0010, 0, 60, 0, 1, b'c', 0, 1, b'u', 0, 1, b'p']);
        let mut bytes = vec![0x10, u8::try_from(body.len()).expect("short")];
        bytes.extend(body);
        let what = "credentials";
        assert_eq!(decode(&bytes, version), Err(WireError::NotModelled { what }));
        let Ok(Packet::Connect(connect)) = decode_lenient(&bytes, version) else {
            panic!("{version:?}: it is a CONNECT")
        };
        assert_eq!((&*connect.client_id, connect.clean, connect.keep_alive), ("c", true, 60));
    }
}

#[test]
fn auth_is_always_refused() {
    let what = "AUTH";
    assert_eq!(decode_lenient(&[0xF0, 0], Version::V5), Err(WireError::NotModelled { what }));
    assert_eq!(decode_lenient(&[0xC0, 0, 0], Version::V5), Err(WireError::MalformedFrame));
}
