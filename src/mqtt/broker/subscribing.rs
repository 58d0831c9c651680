//! SUBSCRIBE and UNSUBSCRIBE, and the retained messages that answer the first.

use std::sync::Arc;

use super::Broker;
use crate::base::name::Connection;
use crate::base::qos::QoS;
use crate::base::time::Time;
use crate::mqtt::outbound::Outgoing;
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
        from: Connection,
        index: u32,
        subscribe: &Subscribe,
    ) {
        let session = &mut self.sessions[index as usize];
        self.routed = None;
        let max_qos = self.settings.max_qos;
        let mut codes = Vec::with_capacity(subscribe.requests.len());
        for request in &subscribe.requests {
            if topics::validate_filter(&request.filter).is_err() {
                codes.push(SUBSCRIPTION_REFUSED);
                continue;
            }
            let granted = request.qos.min(max_qos);
            codes.push(granted.number());
            // The same filter again replaces the subscription [MQTT-3.8.4-3].
            if self.subscriptions.insert(&request.filter, index, granted).is_none() {
                session.filters.push(Arc::clone(&request.filter));
            }
        }
        let suback = SubAck { id: subscribe.id, codes };
        let granted = suback.codes.clone();
        self.outbox.send_control(from, Packet::SubAck(Box::new(suback)));
        for (request, code) in subscribe.requests.iter().zip(granted) {
            if let Some(granted) = QoS::from_number(code) {
                self.send_retained(now, index, &request.filter, granted);
            }
        }
    }

    /// Every filter of a SUBSCRIBE is answered by the retained messages it matches
    /// [MQTT-3.8.4-3], with RETAIN=1 [MQTT-3.3.1-8].
    fn send_retained(&mut self, now: Time, index: u32, filter: &str, granted: QoS) {
        let session = &mut self.sessions[index as usize];
        session.filters_asked += 1;
        let nth = session.filters_asked;
        let (outbound, _, mut host) =
            session.split(now, index, &self.settings.hop, &mut self.outbox);
        for retained in self.retained.values() {
            if retained.expires > now && topics::matches(filter, &retained.message.topic) {
                let mut message = retained.message.clone();
                message.tag = message.tag.retained(nth);
                let qos = retained.qos.min(granted);
                let expires = retained.expires;
                let outgoing = Outgoing { expires, ..Outgoing::new(message, qos, true) };
                outbound.publish(&mut host, outgoing);
            }
        }
    }

    pub(super) fn unsubscribe(&mut self, from: Connection, index: u32, unsubscribe: &Unsubscribe) {
        let session = &mut self.sessions[index as usize];
        let mut codes = Vec::new();
        self.routed = None;
        for filter in &unsubscribe.filters {
            let removed = self.subscriptions.remove(filter, &index).is_some();
            session.filters.retain(|other| other != filter);
            if session.version == Version::V5 {
                codes.push(if removed { 0 } else { NO_SUBSCRIPTION });
            }
        }
        let ack = UnsubAck { id: unsubscribe.id, codes };
        self.outbox.send_control(from, Packet::UnsubAck(Box::new(ack)));
    }
}
