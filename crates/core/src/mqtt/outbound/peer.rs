//! The other end of a connection: what it takes, and which topic aliases it knows.

use std::collections::BTreeMap;
use std::num::NonZeroU16;
use std::sync::Arc;

use super::QueuedMessage;
use crate::base::{Span, Time};
use crate::impl_fingerprint;
use crate::mqtt::packet::{Packet, PacketId, Publish, PublishLevel, PublishProperties, TopicAlias};
use crate::mqtt::session_context::SessionContext;
use crate::mqtt::settings::{ReceiverLimits, RetryRule, Version};

/// Maximum that a Topic Alias adds to a PUBLISH: the property's three bytes, and one byte more of
/// the Property Length and of the Remaining Length each.
const ALIAS_MAX_LEN: u32 = 3 + 1 + 1;

#[derive(Clone, Debug)]
pub(super) struct Peer {
    limits: ReceiverLimits,
    /// The topics for which it was given a number, on this connection.
    aliases: BTreeMap<Arc<str>, NonZeroU16>,
}

impl_fingerprint! { struct Peer { plain limits, aliases; } }

impl Peer {
    pub(super) const fn new(limits: ReceiverLimits) -> Self {
        Self { limits, aliases: BTreeMap::new() }
    }

    /// Limit of messages of QoS 1 and 2 that were sent on this connection and may be
    /// unacknowledged [MQTT-3.3.4-7] [MQTT-3.3.4-9].
    pub(super) fn receive_maximum(&self) -> usize {
        usize::from(self.limits.receive_maximum)
    }

    /// Whether the message has no room in a packet that the peer takes [MQTT-3.1.2-24]: then it is
    /// let go of as if it had been sent [MQTT-3.1.2-25]. It is judged without a topic alias, so
    /// that its end does not depend on which messages came before.
    pub(super) fn is_too_large(
        &self,
        context: &SessionContext<'_>,
        outgoing: &QueuedMessage,
    ) -> bool {
        self.is_too_large_with(0, context, outgoing)
    }

    /// 5.0's properties for a PUBLISH that is sent now; `None` if there are none to say.
    #[inline]
    pub(super) fn properties(
        &mut self,
        context: &SessionContext<'_>,
        outgoing: &QueuedMessage,
    ) -> Option<Box<PublishProperties>> {
        if context.version != Version::V5 {
            return None;
        }
        let alias = self.topic_alias(context, outgoing);
        let properties = PublishProperties { alias, ..properties_without_alias(context, outgoing) };
        (properties != PublishProperties::default()).then(|| Box::new(properties))
    }

    /// The number for the topic: given with its first PUBLISH, used from its second on. Only where
    /// nothing that is sent gets lost: a number whose first PUBLISH is lost means nothing.
    fn topic_alias(
        &mut self,
        context: &SessionContext<'_>,
        outgoing: &QueuedMessage,
    ) -> Option<TopicAlias> {
        let maximum = self.limits.topic_alias_maximum;
        if maximum == 0 || context.settings.retry != RetryRule::Reconnect {
            return None;
        }
        let topic = &outgoing.message.topic;
        if let Some(&number) = self.aliases.get(topic) {
            return Some(TopicAlias::Use(number));
        }
        let next = u16::try_from(self.aliases.len() + 1).ok().and_then(NonZeroU16::new)?;
        if next.get() > maximum || self.is_too_large_with(ALIAS_MAX_LEN, context, outgoing) {
            return None;
        }
        self.aliases.insert(Arc::clone(topic), next);
        Some(TopicAlias::Set(next))
    }

    fn is_too_large_with(
        &self,
        extra: u32,
        context: &SessionContext<'_>,
        outgoing: &QueuedMessage,
    ) -> bool {
        let limit = self.limits.max_packet_size;
        limit < u32::MAX && len_without_alias(context, outgoing).saturating_add(extra) > limit
    }
}

/// The length of a PUBLISH without a topic alias.
fn len_without_alias(context: &SessionContext<'_>, outgoing: &QueuedMessage) -> u32 {
    let level = match outgoing.qos.number() {
        0 => PublishLevel::AtMostOnce,
        _ => PublishLevel::AtLeastOnce(PacketId::MIN),
    };
    let properties = match context.version {
        Version::V31 | Version::V311 => None,
        Version::V5 => Some(Box::new(properties_without_alias(context, outgoing))),
    };
    let (retain, message) = (outgoing.retain, outgoing.message.clone());
    let packet = Packet::Publish(Publish { level, dup: false, retain, message, properties });
    packet.encoded_len(context.version)
}

/// The properties without a topic alias.
fn properties_without_alias(
    context: &SessionContext<'_>,
    outgoing: &QueuedMessage,
) -> PublishProperties {
    PublishProperties {
        expiry: remaining_secs(outgoing.expires, context.now),
        alias: None,
        subscription_ids: outgoing.subscription_ids.to_vec(),
    }
}

/// Returns the seconds that a message has left, rounded up, which is what a receiver gets
/// [MQTT-3.3.2-6]. What expired after it was first sent has one left: it must still arrive.
fn remaining_secs(expires: Time, now: Time) -> Option<u32> {
    if expires == Time::NEVER {
        return None;
    }
    let second = Span::from_secs(1).as_nanos();
    let left = expires.as_nanos().saturating_sub(now.as_nanos()).div_ceil(second);
    Some(u32::try_from(left).unwrap_or(u32::MAX).max(1))
}
