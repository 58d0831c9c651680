//! What the broker forwards, and what it answers to those who subscribe.

use super::order::Passage;
use super::{EvidenceRecorder, message_key};
use crate::evidence::SecondHop;
use crate::rules::Rule;
use crate::shared_subscriptions::parse_shared_filter;
use crate::subscriptions::{GrantedSubscription, RetainedSend};
use qoslab_core::base::{ClientIndex, Node, PacketBody, PacketKind, PacketMeta, Time};
use qoslab_core::mqtt::topics::matches;

impl EvidenceRecorder {
    /// The broker sent a copy on. Where a crash fell between storing and sending, the first that is
    /// seen of a copy is a repeat.
    pub(super) fn on_forwarded(&mut self, now: Time, packet: &PacketMeta<'_>) {
        let Some(message_id) = packet.tag.message_id() else { return };
        let link = packet.name.client;
        let message = (message_id.publisher, message_id.sequence);
        let is_late = self.stream_order.is_forwarded_late(message, link)
            && !self.stream_order.is_late(message, Passage::Came);
        let Some(evidence) = self.evidence.get_mut(&message) else { return };
        // With an older state, older subscriptions and retained messages come back.
        let doubtful = self.event_log.state_lost_at(&self.trial, Node::Broker, now).is_some();
        if message_id.is_retained_copy() {
            let facts = &self.trial.publishers[message_id.publisher.index()];
            let latest = self.latest_retained.get(&facts.topic).copied().flatten();
            let is_replaced = facts.retain && latest != Some(message);
            let second_hop = evidence.second_hops.entry(link).or_default();
            second_hop.sent_retained = true;
            if !doubtful && let Some(rule) = retained_rule(*second_hop, packet, is_replaced) {
                evidence.add_brokers_violation(now, link, rule, message);
            }
            return;
        }
        if !evidence.subscribers.contains(&link) {
            return;
        }
        if !evidence.copies.insert((link, message_id.copy)) && packet.is_resend() {
            return;
        }
        let onward = evidence.second_hops.entry(link).or_default();
        onward.sent += 1;
        onward.highest_sent = onward.highest_sent.max(packet.qos().map(|qos| (qos, now)));
        let rule = match (onward.highest_granted, packet.qos()) {
            (None, _) if doubtful => return,
            (None, _) => Rule::NotSubscribed,
            (Some(granted), Some(qos)) if qos > granted.min(message_id.qos) => Rule::AboveGranted,
            _ if onward.sent > onward.allowed => Rule::SecondDelivery,
            _ if onward.sent == 1 && is_late => Rule::ForwardedOutOfOrder,
            _ => return,
        };
        evidence.add_brokers_violation(now, link, rule, message);
    }

    /// The broker answered a request about subscriptions, or a CONNECT.
    pub(super) fn on_broker_answer(&mut self, now: Time, packet: &PacketMeta<'_>) {
        let client = packet.name.client;
        match packet.body {
            PacketBody::SubAck(codes) => {
                let granted = self.subscriptions.on_suback(client, packet.id, codes);
                self.on_retained_owed(now, client, &granted);
            }
            PacketBody::ConnAck { session_present, .. }
                if packet.reason == 0 && self.monitor.was_first_connack() =>
            {
                self.event_log.on_connack_sent(now, client);
                if !self.trial.is_session_resumed(client, session_present) {
                    self.subscriptions.forget_client(client);
                    self.session_endings.on_session_began(now, Node::Broker, client);
                    self.stream_order.on_session_began(client);
                }
            }
            _ if packet.kind() == PacketKind::UnsubAck => {
                self.subscriptions.on_unsuback(client, packet.id);
            }
            _ => {}
        }
    }

    /// The broker granted subscriptions: notes which of the suspected messages it has to answer by.
    fn on_retained_owed(
        &mut self,
        now: Time,
        client: ClientIndex,
        granted: &[GrantedSubscription],
    ) {
        let plain = granted.iter().filter(|it| parse_shared_filter(&it.filter).is_none());
        let plain: Vec<_> = plain.collect();
        for (message, evidence) in &mut self.evidence {
            let facts = &self.trial.publishers[message.0.index()];
            if !facts.retain || !evidence.subscribers.contains(&client) {
                continue;
            }
            let is_latest = self.latest_retained.get(&facts.topic) == Some(&Some(*message));
            let second_hop = evidence.second_hops.entry(client).or_default();
            // What comes later is no answer to this.
            let has_come = evidence.forward_causes > 0;
            let asking = plain.iter().filter(|it| has_come && matches(&it.filter, &facts.topic));
            for it in asking {
                second_hop.retained_granted = second_hop.retained_granted.max(Some(it.qos));
                second_hop.was_latest_retained = is_latest;
                if is_latest && it.retained == RetainedSend::Owed {
                    second_hop.retained_owed_at.get_or_insert(now);
                }
            }
        }
    }

    /// A message with RETAIN=1 came to the broker as a new one, or the PUBREL that it waited for:
    /// it replaces its topic's, and without a payload it clears its topic.
    pub(super) fn on_retained_came(&mut self, packet: &PacketMeta<'_>) {
        let Some(message) = self.monitor.message_to_pass_on().and_then(message_key) else { return };
        let facts = &self.trial.publishers[message.0.index()];
        let is_kept = match packet.kind() {
            PacketKind::Publish if packet.is_retain() && !facts.publish_denied => {
                packet.size.payload > 0
            }
            PacketKind::PubRel => match self.unreleased_retained.remove(&message) {
                Some(is_kept) => is_kept,
                None => return,
            },
            _ => return,
        };
        if packet.kind() == PacketKind::Publish && self.waits_for_pubrel(message.0) {
            self.unreleased_retained.insert(message, is_kept);
        } else {
            self.latest_retained.insert(facts.topic.clone(), is_kept.then_some(message));
        }
    }
}

/// The rule that a retained copy breaks, as it is sent.
fn retained_rule(
    second_hop: SecondHop,
    packet: &PacketMeta<'_>,
    is_replaced: bool,
) -> Option<Rule> {
    let published = packet.tag.message_id()?.qos;
    match (second_hop.retained_granted, packet.qos()) {
        (None, _) => Some(Rule::NotSubscribed),
        (Some(granted), Some(qos)) if qos > granted.min(published) => Some(Rule::AboveGranted),
        _ if is_replaced && !second_hop.was_latest_retained => Some(Rule::RetainedNotReplaced),
        _ => None,
    }
}
