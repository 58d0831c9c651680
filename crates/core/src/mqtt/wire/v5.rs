//! Our packets as the codec's packets of MQTT 5.0, and back.
//!
//! Of 5.0's properties those are modelled that bear on delivery: expiry, limits, topic aliases,
//! subscription identifiers and the will's delay. A packet with others is refused, not read in
//! part, unless a third-party implementation wrote it.

use std::num::NonZeroU16;

use flowsdk::mqtt_serde::control_packet::MqttPacket;
use flowsdk::mqtt_serde::mqttv5::{
    Property, connackv5, connectv5, disconnectv5, pingreqv5, pingrespv5, pubackv5, pubcompv5,
    publishv5, pubrecv5, pubrelv5, subackv5, subscribev5, unsubackv5, unsubscribev5, willv5,
};
use flowsdk::mqtt_serde::parser::ParseOk;

use super::{
    UnmodelledParts, WireError, read_id, read_level, read_payload, read_qos, write_payload,
};
use crate::base::{
    MessageTag, PacketKind, RetainHandling, SubscriptionOptions, SubscriptionRequest,
};
use crate::mqtt::packet::{
    ConnAck, Connect, Message, Packet, Publish, PublishAck, PublishProperties, SubAck, Subscribe,
    TopicAlias, UnsubAck, Unsubscribe,
};
use crate::mqtt::settings::{ReceiverLimits, Version, Will};

/// The protocol level that CONNECT announces.
const PROTOCOL_LEVEL: u8 = 5;
/// What is said of a property that bears on nothing here.
const UNMODELLED_PROPERTY: &str = "a property";

pub(super) fn to_codec(packet: &Packet) -> MqttPacket {
    let none = Vec::new;
    let parts = |ack: &PublishAck| (ack.id.0.get(), ack.reason);
    match packet {
        Packet::Connect(connect) => MqttPacket::Connect5(write_connect(connect)),
        Packet::ConnAck(ack) => {
            let limits = write_limits(ack.limits);
            let present = ack.session_present;
            MqttPacket::ConnAck5(connackv5::MqttConnAck::new(present, ack.code, Some(limits)))
        }
        Packet::Publish(publish) => MqttPacket::Publish5(write_publish(publish)),
        Packet::PubAck(ack) => {
            let (id, reason) = parts(ack);
            MqttPacket::PubAck5(pubackv5::MqttPubAck::new(id, reason, none()))
        }
        Packet::PubRec(ack) => {
            let (id, reason) = parts(ack);
            MqttPacket::PubRec5(pubrecv5::MqttPubRec::new(id, reason, none()))
        }
        Packet::PubRel(ack) => {
            let (id, reason) = parts(ack);
            MqttPacket::PubRel5(pubrelv5::MqttPubRel::new(id, reason, none()))
        }
        Packet::PubComp(ack) => {
            let (id, reason) = parts(ack);
            MqttPacket::PubComp5(pubcompv5::MqttPubComp::new(id, reason, none()))
        }
        Packet::Subscribe(subscribe) => MqttPacket::Subscribe5(write_subscribe(subscribe)),
        Packet::SubAck(ack) => {
            let codes = ack.codes.clone();
            MqttPacket::SubAck5(subackv5::MqttSubAck::new(ack.id.0.get(), codes, none()))
        }
        Packet::Unsubscribe(unsubscribe) => {
            let filters = unsubscribe.filters.iter().map(ToString::to_string).collect();
            let id = unsubscribe.id.0.get();
            MqttPacket::Unsubscribe5(unsubscribev5::MqttUnsubscribe::new(id, filters, none()))
        }
        Packet::UnsubAck(ack) => {
            let codes = ack.codes.clone();
            MqttPacket::UnsubAck5(unsubackv5::MqttUnsubAck::new(ack.id.0.get(), codes, none()))
        }
        Packet::PingReq => MqttPacket::PingReq5(pingreqv5::MqttPingReq::new()),
        Packet::PingResp => MqttPacket::PingResp5(pingrespv5::MqttPingResp::new()),
        Packet::Disconnect(reason) => {
            MqttPacket::Disconnect5(disconnectv5::MqttDisconnect::new(*reason, none()))
        }
    }
}

fn write_connect(connect: &Connect) -> connectv5::MqttConnect {
    let mut properties = write_limits(connect.limits);
    if connect.session_expiry != 0 {
        properties.push(Property::SessionExpiryInterval(connect.session_expiry));
    }
    let will = connect.will.as_ref().map(|it| willv5::Will {
        will_qos: it.qos.number(),
        will_retain: it.retain,
        will_topic: it.message.topic.to_string(),
        will_message: write_payload(&it.message.payload),
        properties: willv5::WillProperties {
            will_delay_interval: (it.delay != 0).then_some(it.delay),
            ..willv5::WillProperties::default()
        },
    });
    connectv5::MqttConnect {
        protocol_name: "MQTT".to_owned(),
        protocol_version: PROTOCOL_LEVEL,
        keep_alive: connect.keep_alive,
        client_id: connect.client_id.to_string(),
        will,
        username: None,
        password: None,
        properties,
        clean_start: connect.clean,
    }
}

/// The limits that differ from what holds where nothing is said.
fn write_limits(limits: ReceiverLimits) -> Vec<Property> {
    let ReceiverLimits { receive_maximum, max_packet_size, topic_alias_maximum } = limits;
    let mut properties = Vec::new();
    if receive_maximum != ReceiverLimits::NONE.receive_maximum {
        properties.push(Property::ReceiveMaximum(receive_maximum));
    }
    if max_packet_size != ReceiverLimits::NONE.max_packet_size {
        properties.push(Property::MaximumPacketSize(max_packet_size));
    }
    if topic_alias_maximum != ReceiverLimits::NONE.topic_alias_maximum {
        properties.push(Property::TopicAliasMaximum(topic_alias_maximum));
    }
    properties
}

fn write_publish(publish: &Publish) -> publishv5::MqttPublish {
    let mut topic_name = publish.message.topic.to_string();
    let mut properties = Vec::new();
    if let Some(values) = &publish.properties {
        properties.extend(values.expiry.map(Property::MessageExpiryInterval));
        match values.alias {
            None => {}
            Some(TopicAlias::Set(number)) => properties.push(Property::TopicAlias(number.get())),
            Some(TopicAlias::Use(number)) => {
                topic_name.clear();
                properties.push(Property::TopicAlias(number.get()));
            }
        }
        let ids = values.subscription_ids.iter();
        properties.extend(ids.map(|&id| Property::SubscriptionIdentifier(id)));
    }
    publishv5::MqttPublish {
        topic_name,
        qos: publish.level.qos().number(),
        dup: publish.dup,
        retain: publish.retain,
        packet_id: publish.level.id().map(|id| id.0.get()),
        payload: write_payload(&publish.message.payload),
        properties,
    }
}

fn write_subscribe(subscribe: &Subscribe) -> subscribev5::MqttSubscribe {
    let subscriptions = subscribe.requests.iter().map(|request| {
        let SubscriptionOptions { no_local, retain_as_published, retain_handling, .. } =
            request.options;
        let retain_handling = match retain_handling {
            RetainHandling::Send => 0,
            RetainHandling::SendIfNew => 1,
            RetainHandling::DoNotSend => 2,
        };
        let filter = request.filter.to_string();
        let qos = request.qos.number();
        subscribev5::TopicSubscription::new(
            filter,
            qos,
            no_local,
            retain_as_published,
            retain_handling,
        )
    });
    let identifier = subscribe.requests.first().map_or(0, |it| it.options.identifier);
    let properties = match identifier {
        0 => Vec::new(),
        _ => vec![Property::SubscriptionIdentifier(identifier)],
    };
    subscribev5::MqttSubscribe::new(subscribe.id.0.get(), subscriptions.collect(), properties)
}

pub(super) fn from_codec(
    packet: MqttPacket,
    unmodelled: UnmodelledParts,
) -> Result<Packet, WireError> {
    Ok(match packet {
        MqttPacket::Connect5(connect) => {
            Packet::Connect(Box::new(read_connect(connect, unmodelled)?))
        }
        MqttPacket::ConnAck5(ack) => {
            let properties = ack.properties.unwrap_or_default();
            let mut limits = ReceiverLimits::NONE;
            for property in &properties {
                read_limit(&mut limits, property, unmodelled)?;
            }
            let session_present = ack.session_present;
            Packet::ConnAck(ConnAck { session_present, code: ack.reason_code, limits })
        }
        MqttPacket::Publish5(publish) => Packet::Publish(read_publish(publish, unmodelled)?),
        MqttPacket::PubAck5(ack) => {
            Packet::PubAck(read_ack(ack.packet_id, ack.reason_code, &ack.properties, unmodelled)?)
        }
        MqttPacket::PubRec5(ack) => {
            Packet::PubRec(read_ack(ack.packet_id, ack.reason_code, &ack.properties, unmodelled)?)
        }
        MqttPacket::PubRel5(ack) => {
            Packet::PubRel(read_ack(ack.packet_id, ack.reason_code, &ack.properties, unmodelled)?)
        }
        MqttPacket::PubComp5(ack) => {
            Packet::PubComp(read_ack(ack.packet_id, ack.reason_code, &ack.properties, unmodelled)?)
        }
        MqttPacket::Subscribe5(subscribe) => {
            Packet::Subscribe(Box::new(read_subscribe(subscribe, unmodelled)?))
        }
        MqttPacket::SubAck5(ack) => {
            check_no_properties(&ack.properties, unmodelled)?;
            let id = read_id(ack.packet_id)?;
            Packet::SubAck(Box::new(SubAck { id, codes: ack.reason_codes }))
        }
        MqttPacket::Unsubscribe5(unsubscribe) => {
            check_no_properties(&unsubscribe.properties, unmodelled)?;
            Packet::Unsubscribe(Box::new(Unsubscribe {
                id: read_id(unsubscribe.packet_id)?,
                dup: false,
                filters: unsubscribe.topic_filters.into_iter().map(Into::into).collect(),
            }))
        }
        MqttPacket::UnsubAck5(ack) => {
            check_no_properties(&ack.properties, unmodelled)?;
            let id = read_id(ack.packet_id)?;
            Packet::UnsubAck(Box::new(UnsubAck { id, codes: ack.reason_codes }))
        }
        MqttPacket::PingReq5(_) => Packet::PingReq,
        MqttPacket::PingResp5(_) => Packet::PingResp,
        MqttPacket::Disconnect5(disconnect) => {
            check_no_properties(&disconnect.properties, unmodelled)?;
            Packet::Disconnect(disconnect.reason_code)
        }
        _ => return Err(WireError::Refused("a packet of another version".into())),
    })
}

fn read_connect(
    connect: connectv5::MqttConnect,
    unmodelled: UnmodelledParts,
) -> Result<Connect, WireError> {
    if connect.protocol_version != PROTOCOL_LEVEL {
        return Err(WireError::Refused("a CONNECT of another version".into()));
    }
    if connect.username.is_some() || connect.password.is_some() {
        unmodelled.check_unmodelled("credentials")?;
    }
    let mut session_expiry = 0;
    let mut limits = ReceiverLimits::NONE;
    for property in &connect.properties {
        match property {
            Property::SessionExpiryInterval(seconds) => session_expiry = *seconds,
            other => read_limit(&mut limits, other, unmodelled)?,
        }
    }
    Ok(Connect {
        client_id: connect.client_id.into(),
        version: Version::V5,
        clean: connect.clean_start,
        session_expiry,
        keep_alive: connect.keep_alive,
        will: connect.will.map(|will| read_will(will, unmodelled)).transpose()?,
        limits,
    })
}

fn read_limit(
    limits: &mut ReceiverLimits,
    property: &Property,
    unmodelled: UnmodelledParts,
) -> Result<(), WireError> {
    match *property {
        Property::ReceiveMaximum(limit) => limits.receive_maximum = limit,
        Property::MaximumPacketSize(limit) => limits.max_packet_size = limit,
        Property::TopicAliasMaximum(limit) => limits.topic_alias_maximum = limit,
        _ => unmodelled.check_unmodelled(UNMODELLED_PROPERTY)?,
    }
    Ok(())
}

/// Reads a CONNECT whose will has no payload, which the codec refuses and MQTT 5.0 allows
/// (section 3.1.3.4): with one byte more, which is taken away again. `None` if the frame is
/// anything else. No user name comes after the will: none is modelled.
pub(super) fn parse_connect_with_empty_will(bytes: &[u8]) -> Option<MqttPacket> {
    let (&first, rest) = bytes.split_first()?;
    let length = 1 + rest.iter().position(|byte| byte & 0x80 == 0)?;
    let body = rest.get(length..)?.strip_suffix(&[0, 0])?;
    if first >> 4 != PacketKind::Connect as u8 {
        return None;
    }
    let mut filled = vec![first];
    write_remaining_length(&mut filled, body.len() + 3);
    filled.extend(body);
    filled.extend([0, 1, 0]);
    let Ok(ParseOk::Packet(MqttPacket::Connect5(mut connect), consumed)) =
        MqttPacket::from_bytes_v5(&filled)
    else {
        return None;
    };
    let will = connect.will.as_mut()?;
    if consumed != filled.len() || will.will_message.len() != 1 {
        return None;
    }
    will.will_message.clear();
    Some(MqttPacket::Connect5(connect))
}

/// Writes a Remaining Length as a variable byte integer (MQTT 5.0, section 1.5.5).
fn write_remaining_length(bytes: &mut Vec<u8>, mut length: usize) {
    while length > 0x7F {
        bytes.extend((length & 0x7F).to_le_bytes().first().map(|low| low | 0x80));
        length >>= 7;
    }
    bytes.extend(length.to_le_bytes().first());
}

fn read_will(will: willv5::Will, unmodelled: UnmodelledParts) -> Result<Will, WireError> {
    let delay = will.properties.will_delay_interval;
    let modelled =
        willv5::WillProperties { will_delay_interval: delay, ..willv5::WillProperties::default() };
    if will.properties != modelled {
        unmodelled.check_unmodelled(UNMODELLED_PROPERTY)?;
    }
    let (topic, payload) = (will.will_topic.into(), read_payload(will.will_message));
    Ok(Will {
        message: Message { topic, payload, tag: MessageTag::NONE },
        qos: read_qos(will.will_qos)?,
        retain: will.will_retain,
        delay: delay.unwrap_or(0),
    })
}

fn read_publish(
    publish: publishv5::MqttPublish,
    unmodelled: UnmodelledParts,
) -> Result<Publish, WireError> {
    let mut properties = PublishProperties::default();
    for property in &publish.properties {
        match *property {
            Property::MessageExpiryInterval(seconds) => properties.expiry = Some(seconds),
            Property::SubscriptionIdentifier(id) => properties.subscription_ids.push(id),
            Property::TopicAlias(number) => {
                let number = NonZeroU16::new(number)
                    .ok_or_else(|| WireError::Refused("topic alias 0".into()))?;
                let is_known = publish.topic_name.is_empty();
                let alias =
                    if is_known { TopicAlias::Use(number) } else { TopicAlias::Set(number) };
                properties.alias = Some(alias);
            }
            _ => unmodelled.check_unmodelled(UNMODELLED_PROPERTY)?,
        }
    }
    Ok(Publish {
        level: read_level(publish.qos, publish.packet_id)?,
        dup: publish.dup,
        retain: publish.retain,
        message: Message {
            topic: publish.topic_name.into(),
            payload: read_payload(publish.payload),
            tag: MessageTag::NONE,
        },
        properties: (properties != PublishProperties::default()).then(|| Box::new(properties)),
    })
}

fn read_subscribe(
    subscribe: subscribev5::MqttSubscribe,
    unmodelled: UnmodelledParts,
) -> Result<Subscribe, WireError> {
    let mut identifier = 0;
    for property in &subscribe.properties {
        match *property {
            Property::SubscriptionIdentifier(id) if identifier == 0 => identifier = id,
            _ => unmodelled.check_unmodelled(UNMODELLED_PROPERTY)?,
        }
    }
    let requests = subscribe.subscriptions.into_iter().map(|subscription| {
        let options = SubscriptionOptions {
            no_local: subscription.no_local,
            retain_as_published: subscription.retain_as_published,
            retain_handling: match subscription.retain_handling {
                0 => RetainHandling::Send,
                1 => RetainHandling::SendIfNew,
                2 => RetainHandling::DoNotSend,
                _ => return Err(WireError::Refused("Retain Handling 3".into())),
            },
            identifier,
        };
        let qos = read_qos(subscription.qos)?;
        Ok(SubscriptionRequest { filter: subscription.topic_filter.into(), qos, options })
    });
    let requests = requests.collect::<Result<_, _>>()?;
    Ok(Subscribe { id: read_id(subscribe.packet_id)?, dup: false, requests })
}

fn read_ack(
    id: u16,
    reason: u8,
    properties: &[Property],
    unmodelled: UnmodelledParts,
) -> Result<PublishAck, WireError> {
    check_no_properties(properties, unmodelled)?;
    Ok(PublishAck { id: read_id(id)?, reason, tag: MessageTag::NONE })
}

const fn check_no_properties(
    properties: &[Property],
    unmodelled: UnmodelledParts,
) -> Result<(), WireError> {
    if properties.is_empty() { Ok(()) } else { unmodelled.check_unmodelled(UNMODELLED_PROPERTY) }
}
