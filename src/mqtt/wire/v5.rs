//! Our packets as the codec's packets of MQTT 5.0, and back.
//!
//! The one property that is modelled is CONNECT's Session Expiry Interval; a packet with others
//! is refused, not read in part.

use flowsdk::mqtt_serde::control_packet::MqttPacket;
use flowsdk::mqtt_serde::mqttv5::{
    Property, connackv5, connectv5, disconnectv5, pingreqv5, pingrespv5, pubackv5, pubcompv5,
    publishv5, pubrecv5, pubrelv5, subackv5, subscribev5, unsubackv5, unsubscribev5,
};

use super::{WireError, read_id, read_level, read_payload, read_qos, write_payload};
use crate::base::event::{SubscriptionOptions, SubscriptionRequest};
use crate::base::name::Tag;
use crate::mqtt::packet::{
    Ack, ConnAck, Connect, Message, Packet, Publish, SubAck, Subscribe, UnsubAck, Unsubscribe,
};
use crate::mqtt::settings::{Limits, Version};

/// The protocol level that CONNECT announces.
const LEVEL: u8 = 5;

pub(super) fn write(packet: &Packet) -> MqttPacket {
    let none = Vec::new;
    let parts = |ack: &Ack| (ack.id.0.get(), ack.reason);
    match packet {
        Packet::Connect(connect) => MqttPacket::Connect5(write_connect(connect)),
        Packet::ConnAck(ack) => {
            MqttPacket::ConnAck5(connackv5::MqttConnAck::new(ack.session_present, ack.code, None))
        }
        Packet::Publish(publish) => MqttPacket::Publish5(publishv5::MqttPublish {
            topic_name: publish.message.topic.to_string(),
            qos: publish.level.qos().number(),
            dup: publish.dup,
            retain: publish.retain,
            packet_id: publish.level.id().map(|id| id.0.get()),
            payload: write_payload(&publish.message.payload),
            properties: none(),
        }),
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
    let expiry = connect.session_expiry;
    let properties =
        if expiry == 0 { Vec::new() } else { vec![Property::SessionExpiryInterval(expiry)] };
    connectv5::MqttConnect {
        protocol_name: "MQTT".to_owned(),
        protocol_version: LEVEL,
        keep_alive: connect.keep_alive,
        client_id: connect.client_id.to_string(),
        will: None,
        username: None,
        password: None,
        properties,
        clean_start: connect.clean,
    }
}

fn write_subscribe(subscribe: &Subscribe) -> subscribev5::MqttSubscribe {
    let subscriptions = subscribe.requests.iter().map(|request| {
        let filter = request.filter.to_string();
        subscribev5::TopicSubscription::new_simple(filter, request.qos.number())
    });
    subscribev5::MqttSubscribe::new(subscribe.id.0.get(), subscriptions.collect(), Vec::new())
}

pub(super) fn read(packet: MqttPacket) -> Result<Packet, WireError> {
    Ok(match packet {
        MqttPacket::Connect5(connect) => Packet::Connect(Box::new(read_connect(connect)?)),
        MqttPacket::ConnAck5(ack) => {
            check_none(&ack.properties.unwrap_or_default())?;
            let session_present = ack.session_present;
            Packet::ConnAck(ConnAck {
                session_present,
                code: ack.reason_code,
                limits: Limits::NONE,
            })
        }
        MqttPacket::Publish5(publish) => Packet::Publish(read_publish(publish)?),
        MqttPacket::PubAck5(ack) => {
            Packet::PubAck(read_ack(ack.packet_id, ack.reason_code, &ack.properties)?)
        }
        MqttPacket::PubRec5(ack) => {
            Packet::PubRec(read_ack(ack.packet_id, ack.reason_code, &ack.properties)?)
        }
        MqttPacket::PubRel5(ack) => {
            Packet::PubRel(read_ack(ack.packet_id, ack.reason_code, &ack.properties)?)
        }
        MqttPacket::PubComp5(ack) => {
            Packet::PubComp(read_ack(ack.packet_id, ack.reason_code, &ack.properties)?)
        }
        MqttPacket::Subscribe5(subscribe) => {
            Packet::Subscribe(Box::new(read_subscribe(subscribe)?))
        }
        MqttPacket::SubAck5(ack) => {
            check_none(&ack.properties)?;
            let id = read_id(ack.packet_id)?;
            Packet::SubAck(Box::new(SubAck { id, codes: ack.reason_codes }))
        }
        MqttPacket::Unsubscribe5(unsubscribe) => {
            check_none(&unsubscribe.properties)?;
            Packet::Unsubscribe(Box::new(Unsubscribe {
                id: read_id(unsubscribe.packet_id)?,
                dup: false,
                filters: unsubscribe.topic_filters.into_iter().map(Into::into).collect(),
            }))
        }
        MqttPacket::UnsubAck5(ack) => {
            check_none(&ack.properties)?;
            let id = read_id(ack.packet_id)?;
            Packet::UnsubAck(Box::new(UnsubAck { id, codes: ack.reason_codes }))
        }
        MqttPacket::PingReq5(_) => Packet::PingReq,
        MqttPacket::PingResp5(_) => Packet::PingResp,
        MqttPacket::Disconnect5(disconnect) => {
            check_none(&disconnect.properties)?;
            Packet::Disconnect(disconnect.reason_code)
        }
        _ => return Err(WireError::Refused("a packet of another version".into())),
    })
}

fn read_connect(connect: connectv5::MqttConnect) -> Result<Connect, WireError> {
    if connect.protocol_version != LEVEL {
        return Err(WireError::Refused("a CONNECT of another version".into()));
    }
    if connect.will.is_some() || connect.username.is_some() || connect.password.is_some() {
        return Err(WireError::NotModelled { what: "a will or credentials" });
    }
    let session_expiry = match connect.properties.as_slice() {
        [] => 0,
        [Property::SessionExpiryInterval(seconds)] => *seconds,
        _ => return Err(WireError::NotModelled { what: "a property" }),
    };
    Ok(Connect {
        client_id: connect.client_id.into(),
        version: Version::V5,
        clean: connect.clean_start,
        session_expiry,
        keep_alive: connect.keep_alive,
        will: None,
        limits: Limits::NONE,
    })
}

fn read_publish(publish: publishv5::MqttPublish) -> Result<Publish, WireError> {
    check_none(&publish.properties)?;
    Ok(Publish {
        level: read_level(publish.qos, publish.packet_id)?,
        dup: publish.dup,
        retain: publish.retain,
        message: Message {
            topic: publish.topic_name.into(),
            payload: read_payload(publish.payload),
            tag: Tag::NONE,
        },
        properties: None,
    })
}

fn read_subscribe(subscribe: subscribev5::MqttSubscribe) -> Result<Subscribe, WireError> {
    check_none(&subscribe.properties)?;
    let requests = subscribe.subscriptions.into_iter().map(|subscription| {
        if subscription.no_local
            || subscription.retain_as_published
            || subscription.retain_handling != 0
        {
            return Err(WireError::NotModelled { what: "a subscription option" });
        }
        let qos = read_qos(subscription.qos)?;
        Ok(SubscriptionRequest {
            filter: subscription.topic_filter.into(),
            qos,
            options: SubscriptionOptions::default(),
        })
    });
    let requests = requests.collect::<Result<_, _>>()?;
    Ok(Subscribe { id: read_id(subscribe.packet_id)?, dup: false, requests })
}

fn read_ack(id: u16, reason: u8, properties: &[Property]) -> Result<Ack, WireError> {
    check_none(properties)?;
    Ok(Ack { id: read_id(id)?, reason, tag: Tag::NONE })
}

const fn check_none(properties: &[Property]) -> Result<(), WireError> {
    if properties.is_empty() { Ok(()) } else { Err(WireError::NotModelled { what: "a property" }) }
}
