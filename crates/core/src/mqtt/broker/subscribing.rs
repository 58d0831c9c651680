//! SUBSCRIBE and UNSUBSCRIBE, and the retained messages that answer the first.

use std::sync::Arc;

use super::Broker;
use super::routing::{Subscription, forwarded_qos};
use crate::base::{ConnectionNumber, QoS, RetainHandling, SubscriptionRequest, Time};
use crate::mqtt::outbound::QueuedMessage;
use crate::mqtt::packet::{Packet, SubAck, Subscribe, UnsubAck, Unsubscribe};
use crate::mqtt::settings::Version;
use crate::mqtt::topics;

/// SUBACK's return code for a filter that is refused.
const SUBSCRIPTION_REFUSED: u8 = 0x80;
/// 5.0's UNSUBACK reason for a filter that was not subscribed to.
const NO_SUBSCRIPTION: u8 = 0x11;

impl Broker {
    pub(super) fn subscribe(
        &mut self,
        now: Time,
        from: ConnectionNumber,
        index: u32,
        subscribe: &Subscribe,
    ) {
        let granted: Vec<_> = subscribe
            .requests
            .iter()
            .map(|request| self.add_subscription(index, request))
            .collect();
        let code =
            |it: &Option<GrantedFilter>| it.map_or(SUBSCRIPTION_REFUSED, |it| it.qos.number());
        let codes = granted.iter().map(code).collect();
        let suback = SubAck { id: subscribe.id, codes };
        self.outbox.send_control(from, Packet::SubAck(Box::new(suback)));
        for (request, granted) in subscribe.requests.iter().zip(granted) {
            if let Some(granted) = granted {
                self.send_retained(now, index, request, granted);
            }
        }
    }

    /// Takes a subscription up; `None` if the filter is refused. The same filter again replaces
    /// the subscription [MQTT-3.8.4-3].
    fn add_subscription(
        &mut self,
        index: u32,
        request: &SubscriptionRequest,
    ) -> Option<GrantedFilter> {
        let filter = &request.filter;
        let is_shared = topics::split_shared(filter).is_some();
        // No Local on a shared subscription is an error [MQTT-3.8.3-4].
        let is_wrong = is_shared && request.options.no_local;
        if is_wrong || topics::validate_filter(filter).is_err() {
            return None;
        }
        self.routed_topic = None;
        let qos = request.qos.min(self.settings.max_qos);
        let subscription = Subscription { granted: qos, options: request.options };
        let is_new = if is_shared {
            self.shared_groups.join(filter, index, subscription)
        } else {
            self.subscriptions.insert(filter, index, subscription).is_none()
        };
        if is_new {
            self.sessions[index as usize].filters.push(Arc::clone(filter));
        }
        Some(GrantedFilter { qos, is_new, is_shared })
    }

    /// Every filter of a SUBSCRIBE is answered by the retained messages it matches
    /// [MQTT-3.8.4-3], with RETAIN=1 [MQTT-3.3.1-8], unless it asks for none [MQTT-3.3.1-10]
    /// [MQTT-3.3.1-11] or is shared (MQTT 5.0, section 4.8.2).
    fn send_retained(
        &mut self,
        now: Time,
        index: u32,
        request: &SubscriptionRequest,
        granted: GrantedFilter,
    ) {
        let session = &mut self.sessions[index as usize];
        session.filters_requested += 1;
        let nth = session.filters_requested;
        let wants = match request.options.retain_handling {
            RetainHandling::Send => true,
            RetainHandling::SendIfNew => granted.is_new,
            RetainHandling::DoNotSend => false,
        };
        if !wants || granted.is_shared {
            return;
        }
        let quirks = self.settings.hop.quirks;
        let (outbound, _, mut context) =
            session.split(now, index, &self.settings.hop, &mut self.outbox);
        let subscription = Subscription { granted: granted.qos, options: request.options };
        for retained in self.retained.values() {
            let is_wanted = topics::matches(&request.filter, &retained.message.topic);
            if retained.expires > now && is_wanted {
                let mut message = retained.message.clone();
                message.tag = message.tag.for_retained(nth);
                let qos = forwarded_qos(quirks, retained.qos, granted.qos);
                let outgoing = QueuedMessage {
                    expires: retained.expires,
                    subscription_ids: subscription.identifiers().collect(),
                    ..QueuedMessage::new(message, qos, true)
                };
                outbound.publish(&mut context, outgoing);
            }
        }
    }

    pub(super) fn unsubscribe(
        &mut self,
        from: ConnectionNumber,
        index: u32,
        unsubscribe: &Unsubscribe,
    ) {
        let mut codes = Vec::new();
        for filter in &unsubscribe.filters {
            let removed = self.remove_subscription(index, filter);
            let session = &mut self.sessions[index as usize];
            session.filters.retain(|other| other != filter);
            if session.version == Version::V5 {
                codes.push(if removed { 0 } else { NO_SUBSCRIPTION });
            }
        }
        let ack = UnsubAck { id: unsubscribe.id, codes };
        self.outbox.send_control(from, Packet::UnsubAck(Box::new(ack)));
    }

    /// The session is not subscribed to the filter any more; whether it was.
    pub(super) fn remove_subscription(&mut self, index: u32, filter: &Arc<str>) -> bool {
        self.routed_topic = None;
        if topics::split_shared(filter).is_some() {
            self.shared_groups.leave(filter, index)
        } else {
            self.subscriptions.remove(filter, &index).is_some()
        }
    }
}

/// A filter that the broker took up.
#[derive(Clone, Copy)]
struct GrantedFilter {
    qos: QoS,
    /// Whether the session was not subscribed to it before.
    is_new: bool,
    is_shared: bool,
}
