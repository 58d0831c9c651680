//! A message on its way out, before it is in flight.

use std::sync::Arc;

use crate::base::{QoS, Time};
use crate::impl_fingerprint;
use crate::mqtt::packet::Message;

/// A message to send, and how.
#[derive(Clone, Debug)]
pub struct QueuedMessage {
    /// The message.
    pub message: Message,
    /// The QoS to send it with.
    pub qos: QoS,
    /// The RETAIN flag to send it with.
    pub retain: bool,
    /// From then on it is no longer worth sending for the first time; [`Time::NEVER`] for no end.
    pub expires: Time,
    /// 5.0's Subscription Identifiers of the subscriptions that it is sent for.
    pub subscription_ids: Box<[u32]>,
    /// Whether it was acknowledged to its publisher because there was room: then it is queued
    /// though what was room is none any more.
    pub is_accepted: bool,
    /// What is sent to another member if this one's session ends, where it is sent for a shared
    /// subscription.
    pub shared: Option<Box<SharedOrigin>>,
}

impl_fingerprint! {
    struct QueuedMessage {
        plain message, qos, retain, expires, subscription_ids, is_accepted, shared;
    }
}

/// A message to a group, as it was published.
#[derive(Clone, Debug)]
pub struct SharedOrigin {
    /// The whole filter of the shared subscription.
    pub filter: Arc<str>,
    /// The QoS that it was published with.
    pub qos: QoS,
    /// The RETAIN flag that it was published with.
    pub retain: bool,
}

impl_fingerprint! { struct SharedOrigin { plain filter, qos, retain; } }

impl QueuedMessage {
    /// A message that does not expire.
    pub fn new(message: Message, qos: QoS, retain: bool) -> Self {
        let subscription_ids = Box::default();
        let expires = Time::NEVER;
        Self { message, qos, retain, expires, subscription_ids, is_accepted: false, shared: None }
    }
}
