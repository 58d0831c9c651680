//! Where a message goes: to every session with a matching subscription, and to who asks later.

use std::sync::Arc;

use super::{Broker, Retained};
use crate::base::qos::QoS;
use crate::base::time::Time;
use crate::mqtt::inbound::Delivery;
use crate::mqtt::outbound::Outgoing;
use crate::mqtt::packet::Message;
use crate::mqtt::quirks::Quirk;

impl Broker {
    /// Hands a message to every session with a matching subscription [MQTT-3.3.5-1]: one copy, at
    /// the highest QoS granted among its matching filters.
    pub(super) fn route(&mut self, now: Time, delivery: Delivery) {
        let Delivery { mut message, qos, retain, expires, arrival } = delivery;
        message.tag = message.tag.forwarded(arrival);
        self.find_routes(&message.topic);
        if retain {
            self.retain(message.clone(), qos, expires);
        }
        let Some((&last, others)) = self.routes.split_last() else { return };
        let sessions = &mut self.sessions;
        let outbox = &mut self.outbox;
        let hop = &self.settings.hop;
        let mut forward = |(index, granted): (u32, QoS), message| {
            let (outbound, _, mut host) = sessions[index as usize].split(now, index, hop, outbox);
            let qos = if hop.quirks.has(Quirk::NoQosCap) { qos } else { qos.min(granted) };
            // RETAIN is 0 for a subscription that existed before [MQTT-3.3.1-9].
            outbound.publish(&mut host, Outgoing { expires, ..Outgoing::new(message, qos, false) });
        };
        for &route in others {
            forward(route, message.clone());
        }
        forward(last, message);
    }

    /// Fills `routes`: each session once, with the highest QoS granted to it.
    fn find_routes(&mut self, topic: &Arc<str>) {
        if self.routed.as_ref().is_some_and(|routed| Arc::ptr_eq(routed, topic)) {
            return;
        }
        let routes = &mut self.routes;
        routes.clear();
        self.subscriptions
            .for_each_match(topic, |&session, &granted| routes.push((session, granted)));
        if routes.len() > 1 {
            routes.sort_unstable_by(|a, b| (a.0, b.1).cmp(&(b.0, a.1)));
            routes.dedup_by_key(|route| route.0);
        }
        self.routed = Some(Arc::clone(topic));
    }

    /// The last retained message of a topic; an empty payload removes it [MQTT-3.3.1-10].
    fn retain(&mut self, message: Message, qos: QoS, expires: Time) {
        if message.payload.is_empty() {
            self.retained.remove(&message.topic);
        } else {
            self.retained.insert(Arc::clone(&message.topic), Retained { message, qos, expires });
        }
    }
}
