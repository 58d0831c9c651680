//! Our packets as the codec's packets of MQTT 3.1 and 3.1.1, and back.

use flowsdk::mqtt_serde::control_packet::MqttPacket;
use flowsdk::mqtt_serde::mqttv3::{
    connackv3, connectv3, disconnectv3, pingreqv3, pingrespv3, pubackv3, pubcompv3, publishv3,
    pubrecv3, pubrelv3, subackv3, subscribev3, unsubackv3, unsubscribev3,
};

use super::{
    UnmodelledParts, WireError, read_id, read_level, read_payload, read_qos, write_payload,
};
use crate::base::{MessageTag, SubscriptionOptions, SubscriptionRequest};
use crate::mqtt::packet::{
    ConnAck, Connect, Message, Packet, Publish, PublishAck, SubAck, Subscribe, UnsubAck,
    Unsubscribe,
};
use crate::mqtt::settings::{ReceiverLimits, Version, Will};

/// The protocol name and level that CONNECT announces: 3.1 has a name of its own.
const fn protocol(version: Version) -> (&'static str, u8) {
    match version {
        Version::V31 => ("MQIsdp", 3),
        Version::V311 | Version::V5 => ("MQTT", 4),
    }
}

pub(super) fn to_codec(packet: &Packet, version: Version) -> MqttPacket {
    match packet {
        Packet::Connect(connect) => MqttPacket::Connect3(write_connect(connect, version)),
        Packet::ConnAck(ack) => {
            MqttPacket::ConnAck3(connackv3::MqttConnAck::new(ack.session_present, ack.code))
        }
        Packet::Publish(publish) => MqttPacket::Publish3(publishv3::MqttPublish {
            dup: publish.dup,
            qos: publish.level.qos().number(),
            retain: publish.retain,
            topic_name: publish.message.topic.to_string(),
            message_id: publish.level.id().map(|id| id.0.get()),
            payload: write_payload(&publish.message.payload),
        }),
        Packet::PubAck(ack) => MqttPacket::PubAck3(pubackv3::MqttPubAck::new(ack.id.0.get())),
        Packet::PubRec(ack) => MqttPacket::PubRec3(pubrecv3::MqttPubRec::new(ack.id.0.get())),
        Packet::PubRel(ack) => MqttPacket::PubRel3(pubrelv3::MqttPubRel::new(ack.id.0.get())),
        Packet::PubComp(ack) => MqttPacket::PubComp3(pubcompv3::MqttPubComp::new(ack.id.0.get())),
        Packet::Subscribe(subscribe) => {
            let topics = subscribe.requests.iter().map(|request| subscribev3::SubscriptionTopic {
                topic_filter: request.filter.to_string(),
                qos: request.qos.number(),
            });
            let id = subscribe.id.0.get();
            MqttPacket::Subscribe3(subscribev3::MqttSubscribe::new(id, topics.collect()))
        }
        Packet::SubAck(ack) => {
            MqttPacket::SubAck3(subackv3::MqttSubAck::new(ack.id.0.get(), ack.codes.clone()))
        }
        Packet::Unsubscribe(unsubscribe) => {
            let filters = unsubscribe.filters.iter().map(ToString::to_string).collect();
            let id = unsubscribe.id.0.get();
            MqttPacket::Unsubscribe3(unsubscribev3::MqttUnsubscribe::new(id, filters))
        }
        Packet::UnsubAck(ack) => {
            MqttPacket::UnsubAck3(unsubackv3::MqttUnsubAck::new(ack.id.0.get()))
        }
        Packet::PingReq => MqttPacket::PingReq3(pingreqv3::MqttPingReq::new()),
        Packet::PingResp => MqttPacket::PingResp3(pingrespv3::MqttPingResp::new()),
        Packet::Disconnect(_) => MqttPacket::Disconnect3(disconnectv3::MqttDisconnect::new()),
    }
}

fn write_connect(connect: &Connect, version: Version) -> connectv3::MqttConnect {
    let (protocol_name, protocol_version) = protocol(version);
    connectv3::MqttConnect {
        protocol_name: protocol_name.to_owned(),
        protocol_version,
        clean_session: connect.clean,
        keep_alive: connect.keep_alive,
        client_id: connect.client_id.to_string(),
        will: connect.will.as_ref().map(|will| connectv3::Will {
            retain: will.retain,
            qos: will.qos.number(),
            topic: will.message.topic.to_string(),
            message: write_payload(&will.message.payload),
        }),
        username: None,
        password: None,
    }
}

pub(super) fn from_codec(
    packet: MqttPacket,
    version: Version,
    unmodelled: UnmodelledParts,
) -> Result<Packet, WireError> {
    Ok(match packet {
        MqttPacket::Connect3(connect) => {
            Packet::Connect(Box::new(read_connect(connect, version, unmodelled)?))
        }
        MqttPacket::ConnAck3(ack) => Packet::ConnAck(ConnAck {
            session_present: ack.session_present,
            code: ack.return_code,
            limits: ReceiverLimits::NONE,
        }),
        MqttPacket::Publish3(publish) => Packet::Publish(Publish {
            level: read_level(publish.qos, publish.message_id)?,
            dup: publish.dup,
            retain: publish.retain,
            message: Message {
                topic: publish.topic_name.into(),
                payload: read_payload(publish.payload),
                tag: MessageTag::NONE,
            },
            properties: None,
        }),
        MqttPacket::PubAck3(ack) => Packet::PubAck(read_ack(ack.message_id)?),
        MqttPacket::PubRec3(ack) => Packet::PubRec(read_ack(ack.message_id)?),
        MqttPacket::PubRel3(ack) => Packet::PubRel(read_ack(ack.message_id)?),
        MqttPacket::PubComp3(ack) => Packet::PubComp(read_ack(ack.message_id)?),
        MqttPacket::Subscribe3(subscribe) => Packet::Subscribe(Box::new(Subscribe {
            id: read_id(subscribe.message_id)?,
            dup: false,
            requests: subscribe
                .subscriptions
                .into_iter()
                .map(|topic| {
                    let qos = read_qos(topic.qos)?;
                    Ok(SubscriptionRequest {
                        filter: topic.topic_filter.into(),
                        qos,
                        options: SubscriptionOptions::default(),
                    })
                })
                .collect::<Result<_, WireError>>()?,
        })),
        MqttPacket::SubAck3(ack) => {
            let id = read_id(ack.message_id)?;
            Packet::SubAck(Box::new(SubAck { id, codes: ack.return_codes }))
        }
        MqttPacket::Unsubscribe3(unsubscribe) => Packet::Unsubscribe(Box::new(Unsubscribe {
            id: read_id(unsubscribe.message_id)?,
            dup: false,
            filters: unsubscribe.topic_filters.into_iter().map(Into::into).collect(),
        })),
        MqttPacket::UnsubAck3(ack) => {
            let id = read_id(ack.message_id)?;
            Packet::UnsubAck(Box::new(UnsubAck { id, codes: Vec::new() }))
        }
        MqttPacket::PingReq3(_) => Packet::PingReq,
        MqttPacket::PingResp3(_) => Packet::PingResp,
        MqttPacket::Disconnect3(_) => Packet::Disconnect(0),
        _ => return Err(WireError::Refused("a packet of another version".into())),
    })
}

fn read_connect(
    connect: connectv3::MqttConnect,
    version: Version,
    unmodelled: UnmodelledParts,
) -> Result<Connect, WireError> {
    if (connect.protocol_name.as_str(), connect.protocol_version) != protocol(version) {
        return Err(WireError::Refused("a CONNECT of another version".into()));
    }
    if connect.username.is_some() || connect.password.is_some() {
        unmodelled.check_unmodelled("credentials")?;
    }
    let will = connect.will.map(|will| {
        let (topic, payload) = (will.topic.into(), read_payload(will.message));
        let message = Message { topic, payload, tag: MessageTag::NONE };
        Ok(Will { message, qos: read_qos(will.qos)?, retain: will.retain, delay: 0 })
    });
    Ok(Connect {
        client_id: connect.client_id.into(),
        version,
        clean: connect.clean_session,
        session_expiry: 0,
        keep_alive: connect.keep_alive,
        will: will.transpose()?,
        limits: ReceiverLimits::NONE,
    })
}

fn read_ack(id: u16) -> Result<PublishAck, WireError> {
    Ok(PublishAck { id: read_id(id)?, reason: 0, tag: MessageTag::NONE })
}
