//! Retained messages: which one a topic holds, and which copies a SUBSCRIBE is owed.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::metrics::Metrics;
use super::promise::{DeliveryTerms, delivery_terms};
use super::subscriptions::{GrantedSubscription, RetainedSend, matching_topics};
use super::trial_facts::TrialFacts;
use super::verdict::{Breach, Excuse, Promise};
use qoslab_core::base::{ClientIndex, MessageId, PublisherIndex, QoS, Time};
use qoslab_core::impl_fingerprint;

/// A subscriber and a message.
pub(super) type RetainedCopyKey = (ClientIndex, PublisherIndex, u32);

/// The retained messages at the broker, and the copies owed because of a SUBSCRIBE. These copies
/// never count as duplicates of live ones.
#[derive(Clone, Debug, Default)]
pub(super) struct RetainedMessages {
    by_topic: BTreeMap<Arc<str>, RetainedEntry>,
    owed_copies: BTreeMap<RetainedCopyKey, OwedCopies>,
    /// What was broken in sessions that have ended.
    ended_session_breaches: Vec<(RetainedCopyKey, Promise, Breach)>,
    /// Copies that were owed and never came, because their session ended.
    pub(super) excused: u64,
    /// Messages that were owed in sessions that have ended, and how many of them came.
    ended_session_totals: BTreeMap<(ClientIndex, PublisherIndex), OwedTotals>,
    /// A store brought an older state back: which messages the broker retains is not known any
    /// more, so no copy of one is owed, and any may come.
    contents_unknown: bool,
}

impl_fingerprint! {
    struct RetainedMessages {
        plain by_topic, owed_copies, ended_session_breaches, contents_unknown;
        skip excused, ended_session_totals: "only for statistics and reports";
    }
}

/// A message with RETAIN=1 that reached the broker.
#[derive(Clone, Copy, Debug)]
pub(super) struct IncomingRetained {
    pub(super) message_id: MessageId,
    /// The length of its payload: without one it clears its topic.
    pub(super) payload: u32,
    /// From when on it is not sent any more.
    pub(super) expires: Time,
}

impl_fingerprint! {
    struct IncomingRetained {
        plain message_id, payload, expires;
    }
}

/// A topic's retained message.
#[derive(Clone, Copy, Debug)]
struct RetainedEntry {
    publisher: PublisherIndex,
    sequence: u32,
    qos: QoS,
    payload: u32,
    expires: Time,
}

impl_fingerprint! {
    struct RetainedEntry {
        plain publisher, sequence, qos, payload, expires;
    }
}

/// The copies of one retained message that one subscriber is owed and has received.
#[derive(Clone, Copy, Debug)]
struct OwedCopies {
    /// The most copies that may come: one a SUBSCRIBE and matching filter.
    max_copies: u32,
    copies: u32,
    qos: QoS,
    /// The highest QoS granted by a filter that it is owed for.
    granted: QoS,
    /// Whether one of these filters was granted a QoS that allows duplicates.
    may_repeat: bool,
    expires: Time,
    /// The broker began to send one.
    sent: bool,
    excuse: Option<Excuse>,
    withdrawn: bool,
}

impl_fingerprint! {
    struct OwedCopies {
        plain max_copies, copies, qos, granted, may_repeat, expires, sent, excuse, withdrawn;
    }
}

/// Retained messages that one subscriber was owed of one stream.
#[derive(Clone, Copy, Debug, Default)]
struct OwedTotals {
    owed: u64,
    delivered: u64,
}

impl RetainedMessages {
    /// The broker took a message with RETAIN=1; without a payload it clears its topic
    /// [MQTT-3.3.1-10].
    pub(super) fn store(&mut self, topic: &Arc<str>, message: &IncomingRetained) {
        let IncomingRetained { message_id: parts, payload, expires } = *message;
        if payload == 0 {
            self.by_topic.remove(topic);
        } else if !self.contents_unknown {
            let MessageId { publisher: stream, sequence, qos, .. } = parts;
            let held = RetainedEntry { publisher: stream, sequence, qos, payload, expires };
            self.by_topic.insert(Arc::clone(topic), held);
        }
    }

    /// The broker granted a subscription: it owes a copy of each retained message that matches
    /// [MQTT-3.3.1-6], unless it is larger than the client takes: `fits` gets the topic, the length
    /// of the payload and whether it expires. Gives how many copies are to come.
    pub(super) fn on_subscribed(
        &mut self,
        now: Time,
        client: ClientIndex,
        subscription: &GrantedSubscription,
        fits: impl Fn(&Arc<str>, u32, bool) -> bool,
    ) -> usize {
        let GrantedSubscription { filter, qos: granted, retained, .. } = subscription;
        let mut copies = 0;
        if *retained == RetainedSend::Never {
            return copies;
        }
        for (topic, held) in
            matching_topics(&self.by_topic, filter).filter(|(_, held)| held.expires > now)
        {
            copies += 1;
            let is_too_large = !fits(topic, held.payload, held.expires < Time::NEVER);
            let owed = self.owed_copies.entry((client, held.publisher, held.sequence)).or_insert(
                OwedCopies {
                    max_copies: 0,
                    copies: 0,
                    qos: held.qos,
                    granted: *granted,
                    may_repeat: false,
                    expires: held.expires,
                    sent: false,
                    excuse: is_too_large.then_some(Excuse::TooLarge),
                    withdrawn: false,
                },
            );
            owed.max_copies += 1;
            owed.granted = owed.granted.max(*granted);
            owed.may_repeat |= delivery_terms(held.qos, *granted).may_repeat;
            owed.withdrawn = false;
        }
        copies
    }

    /// The broker sent a retained copy.
    pub(super) fn on_sent(&mut self, client: ClientIndex, message_id: &MessageId) {
        let key = (client, message_id.publisher, message_id.sequence);
        if let Some(owed) = self.owed_copies.get_mut(&key) {
            owed.sent = true;
        }
    }

    /// The client unsubscribed from the topics of some streams: copies that have not come are not
    /// owed any more.
    pub(super) fn on_unsubscribed(
        &mut self,
        client: ClientIndex,
        is_concerned: impl Fn(PublisherIndex) -> bool,
    ) {
        for (key, owed) in self.owed_to(client) {
            owed.withdrawn |= owed.copies == 0 && is_concerned(key.1);
        }
    }

    /// The client's session ended: what came is judged, and what did not is excused.
    pub(super) fn on_session_ended(&mut self, client: ClientIndex) {
        let keys: Vec<RetainedCopyKey> = self.owed_to(client).map(|(key, _)| *key).collect();
        for key in keys {
            let Some(owed) = self.owed_copies.remove(&key) else { continue };
            self.ended_session_totals.entry((key.0, key.1)).or_default().add(owed);
            match owed.breach() {
                Some(Breach::Lost) => self.excused += 1,
                Some(breach) => {
                    self.ended_session_breaches.push((key, owed.terms().promise, breach));
                }
                None => {}
            }
        }
    }

    /// The broker's store forgot in a crash: all of it, or what came after its last snapshot.
    pub(super) fn on_state_lost(&mut self, everything: bool) {
        self.by_topic.clear();
        self.contents_unknown |= !everything;
    }

    /// The broker dropped a copy, for a reason that excuses it.
    pub(super) fn excuse(&mut self, client: ClientIndex, message_id: &MessageId, excuse: Excuse) {
        if let Some(owed) =
            self.owed_copies.get_mut(&(client, message_id.publisher, message_id.sequence))
            && !(owed.sent && excuse == Excuse::Expired)
        {
            owed.excuse = Some(excuse);
        }
    }

    /// The trial is over: what expired before the broker began to send it is not owed.
    pub(super) fn excuse_expired(&mut self, now: Time) {
        for owed in self.owed_copies.values_mut() {
            if owed.expires <= now && !owed.sent {
                owed.excuse.get_or_insert(Excuse::Expired);
            }
        }
    }

    /// A retained copy was delivered; says whether it was owed and within its QoS.
    pub(super) fn on_delivered(
        &mut self,
        client: ClientIndex,
        message_id: &MessageId,
        qos: QoS,
    ) -> bool {
        if self.contents_unknown {
            return true;
        }
        match self.owed_copies.get_mut(&(client, message_id.publisher, message_id.sequence)) {
            None => false,
            Some(owed) => {
                owed.copies += 1;
                qos <= owed.qos.min(owed.granted)
            }
        }
    }

    /// What was broken, with the message and the subscriber.
    pub(super) fn breaches(&self) -> impl Iterator<Item = (RetainedCopyKey, Promise, Breach)> {
        let broken = self.owed_copies.iter().filter(|(_, owed)| owed.excuse.is_none());
        let broken =
            broken.filter_map(|(key, owed)| Some((*key, owed.terms().promise, owed.breach()?)));
        self.ended_session_breaches.iter().copied().chain(broken)
    }

    /// Counts the messages that were owed and those that came.
    pub(super) fn count_copies(&self, trial: &TrialFacts, metrics: &mut Metrics) {
        let mut totals = self.ended_session_totals.clone();
        for ((client, stream, _), owed) in &self.owed_copies {
            totals.entry((*client, *stream)).or_default().add(*owed);
        }
        for ((client, stream), total) in totals {
            for metrics in metrics.of_unit(trial, stream, client) {
                metrics.counts.retained_owed += total.owed;
                metrics.counts.retained_delivered += total.delivered;
            }
        }
    }

    /// The excuses for copies that never came, other than ended sessions.
    pub(super) fn excuses(&self) -> impl Iterator<Item = Excuse> {
        self.owed_copies.values().filter(|owed| owed.is_lost()).filter_map(|owed| owed.excuse)
    }

    fn owed_to(
        &mut self,
        client: ClientIndex,
    ) -> impl Iterator<Item = (&RetainedCopyKey, &mut OwedCopies)> {
        let next = ClientIndex(client.0.saturating_add(1));
        self.owed_copies.range_mut((client, PublisherIndex(0), 0)..(next, PublisherIndex(0), 0))
    }
}

impl OwedTotals {
    fn add(&mut self, copies: OwedCopies) {
        self.owed += u64::from(copies.copies > 0 || !copies.withdrawn);
        self.delivered += u64::from(copies.copies > 0);
    }
}

impl OwedCopies {
    fn terms(&self) -> DeliveryTerms {
        delivery_terms(self.qos, self.granted)
    }

    fn breach(&self) -> Option<Breach> {
        if self.is_lost() {
            Some(Breach::Lost)
        } else {
            (self.copies > self.max_copies && !self.may_repeat).then_some(Breach::Duplicated)
        }
    }

    fn is_lost(&self) -> bool {
        self.copies == 0 && !self.withdrawn && !self.terms().may_lose
    }
}
