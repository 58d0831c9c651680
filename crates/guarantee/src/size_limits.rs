//! Messages that are larger than their receiver takes, by what crossed the wire.

use std::collections::BTreeMap;
use std::num::NonZeroU16;
use std::sync::Arc;

use super::delivery_unit::DeliveryState;
use super::ledger::Ledger;
use qoslab_core::base::{ClientIndex, MessageId, MessageTag, PublisherIndex};
use qoslab_core::impl_fingerprint;
use qoslab_core::mqtt::{
    Message, Packet, PacketId, Payload, Publish, PublishLevel, PublishProperties, Version,
};

/// The Maximum Packet Sizes that were stated, of those that stated one.
#[derive(Clone, Debug, Default)]
pub(super) struct SizeLimits {
    /// By client: what it takes.
    of_clients: BTreeMap<ClientIndex, u32>,
    /// By client: what the broker takes from it.
    of_broker: BTreeMap<ClientIndex, u32>,
    /// The payloads of QoS 2 messages whose PUBREL is awaited, where clients have limits.
    held_payloads: BTreeMap<(PublisherIndex, u32), u32>,
}

impl_fingerprint! {
    struct SizeLimits {
        plain of_clients, of_broker, held_payloads;
    }
}

impl SizeLimits {
    /// A client's CONNECT came to the broker.
    pub(super) fn on_connect(&mut self, client: ClientIndex, limit: u32) {
        set_limit(&mut self.of_clients, client, limit);
    }

    /// The broker's CONNACK came to a client.
    pub(super) fn on_connack(&mut self, client: ClientIndex, limit: u32) {
        set_limit(&mut self.of_broker, client, limit);
    }

    /// What a client takes at most.
    pub(super) fn of_client(&self, client: ClientIndex) -> u32 {
        self.of_clients.get(&client).copied().unwrap_or(u32::MAX)
    }

    /// What the broker takes at most from a client.
    pub(super) fn of_broker_for(&self, client: ClientIndex) -> u32 {
        self.of_broker.get(&client).copied().unwrap_or(u32::MAX)
    }
}

impl Ledger {
    /// The broker took a message with a payload of this length: clients that take nothing so large
    /// are owed no copy [MQTT-3.1.2-25].
    pub(super) fn excuse_too_large(&mut self, message_id: &MessageId, payload: u32) {
        if self.size_limits.of_clients.is_empty() {
            return;
        }
        let Self { trial, subscriptions, publishers, shared, size_limits, .. } = self;
        let facts = &trial.publishers[message_id.publisher.index()];
        if trial.broker_delivers_on_pubrel {
            let key = (message_id.publisher, message_id.sequence);
            size_limits.held_payloads.insert(key, payload);
        }
        for (client, limit) in &size_limits.of_clients {
            let version = trial.clients[client.index()].version;
            let ids = subscriptions.identifiers(*client, facts);
            let length = publish_len(version, &facts.topic, payload, facts.expiry.is_some(), ids);
            if length <= *limit {
                continue;
            }
            let stream = &mut publishers[message_id.publisher.index()];
            if let Some(unit) = stream.unit_mut(*client, message_id.sequence)
                && unit.state() == DeliveryState::MustDeliver
            {
                unit.set_state(DeliveryState::TooLarge, unit.granted());
            }
            shared.on_too_large(*client, message_id);
        }
    }

    /// The same, of a message whose payload came with its PUBLISH.
    pub(super) fn excuse_too_large_held(&mut self, message_id: &MessageId) {
        let key = (message_id.publisher, message_id.sequence);
        if let Some(payload) = self.size_limits.held_payloads.remove(&key) {
            self.excuse_too_large(message_id, payload);
            self.size_limits.held_payloads.remove(&key);
        }
    }

    /// Whether the broker takes no packet as large as the largest message of a stream.
    pub(super) fn may_exceed_brokers_limit(&self, message_id: &MessageId) -> bool {
        let facts = &self.trial.publishers[message_id.publisher.index()];
        let version = self.trial.clients[facts.client.index()].version;
        let expires = facts.expiry.is_some();
        let length = publish_len(version, &facts.topic, facts.max_payload, expires, Vec::new());
        length > self.size_limits.of_broker_for(facts.client)
    }
}

/// The length of a PUBLISH of QoS 1 or 2 without a topic alias.
pub(super) fn publish_len(
    version: Version,
    topic: &Arc<str>,
    payload: u32,
    expires: bool,
    subscription_ids: Vec<u32>,
) -> u32 {
    let tag = MessageTag::NONE;
    let message = Message { topic: Arc::clone(topic), payload: Payload::Filler(payload), tag };
    let properties =
        PublishProperties { expiry: expires.then_some(1), alias: None, subscription_ids };
    let properties = (version == Version::V5 && properties != PublishProperties::default())
        .then_some(properties);
    let packet = Packet::Publish(Publish {
        level: PublishLevel::AtLeastOnce(PacketId(NonZeroU16::MIN)),
        dup: false,
        retain: false,
        message,
        properties: properties.map(Box::new),
    });
    packet.encoded_len(version)
}

fn set_limit(limits: &mut BTreeMap<ClientIndex, u32>, client: ClientIndex, limit: u32) {
    if limit < u32::MAX {
        limits.insert(client, limit);
    } else {
        limits.remove(&client);
    }
}
