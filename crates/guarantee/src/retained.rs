//! Retained messages: which one a topic holds, and which copies a SUBSCRIBE is owed.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use super::promise::{Terms, terms};
use super::subscriptions::{Due, Granted, matching};
use super::verdict::{Breach, Excuse, Promise};
use qoslab_core::base::name::{ClientIndex, Parts, StreamIndex};
use qoslab_core::base::qos::QoS;
use qoslab_core::base::time::Time;

/// A subscriber and a message.
pub(super) type Key = (ClientIndex, StreamIndex, u32);

/// The retained messages at the broker, and the copies owed because of a SUBSCRIBE. These copies
/// never count as duplicates of live ones.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Retained {
    held: BTreeMap<Arc<str>, Held>,
    owed: BTreeMap<Key, Owed>,
    /// What was broken in sessions that have ended.
    broken: Vec<(Key, Promise, Breach)>,
    /// Copies that were owed and never came, because their session ended.
    // For statistics and reports: decides nothing.
    #[serde(skip)]
    pub(super) excused: u64,
    /// A store brought an older state back: which messages the broker retains is not known any
    /// more, so no copy of one is owed, and any may come.
    unknown: bool,
}

/// A message with RETAIN=1 that reached the broker.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Retainable {
    pub(super) parts: Parts,
    /// Without a payload.
    pub(super) empty: bool,
    /// From when on it is not sent any more.
    pub(super) expires: Time,
}

/// A topic's retained message.
#[derive(Clone, Copy, Debug, Serialize)]
struct Held {
    stream: StreamIndex,
    sequence: u32,
    qos: QoS,
    expires: Time,
}

/// What one subscriber is owed of one retained message, and got.
#[derive(Clone, Copy, Debug, Serialize)]
struct Owed {
    /// The most copies that may come: one a SUBSCRIBE and matching filter.
    most: u32,
    copies: u32,
    qos: QoS,
    /// The highest QoS granted by a filter that it is owed for.
    granted: QoS,
    /// Whether one of these filters was granted a QoS that allows duplicates.
    may_repeat: bool,
    excuse: Option<Excuse>,
    withdrawn: bool,
}

impl Retained {
    /// The broker took a message with RETAIN=1; without a payload it clears its topic
    /// [MQTT-3.3.1-10].
    pub(super) fn stored(&mut self, topic: &Arc<str>, message: &Retainable) {
        let Retainable { parts, empty, expires } = *message;
        if empty {
            self.held.remove(topic);
        } else if !self.unknown {
            let Parts { stream, sequence, qos, .. } = parts;
            let held = Held { stream, sequence, qos, expires };
            self.held.insert(Arc::clone(topic), held);
        }
    }

    /// The broker granted a subscription: it owes a copy of each retained message that matches
    /// [MQTT-3.3.1-6].
    pub(super) fn subscribed(&mut self, now: Time, client: ClientIndex, subscription: &Granted) {
        let Granted { filter, qos: granted, retained } = subscription;
        if *retained == Due::Never {
            return;
        }
        for (_, held) in matching(&self.held, filter).filter(|(_, held)| held.expires > now) {
            let owed = self.owed.entry((client, held.stream, held.sequence)).or_insert(Owed {
                most: 0,
                copies: 0,
                qos: held.qos,
                granted: *granted,
                may_repeat: false,
                excuse: None,
                withdrawn: false,
            });
            owed.most += 1;
            owed.granted = owed.granted.max(*granted);
            owed.may_repeat |= terms(held.qos, *granted).may_repeat;
            owed.withdrawn = false;
        }
    }

    /// The client unsubscribed from the topics of some streams: copies that have not come are not
    /// owed any more.
    pub(super) fn unsubscribed(
        &mut self,
        client: ClientIndex,
        concerns: impl Fn(StreamIndex) -> bool,
    ) {
        for (key, owed) in self.of(client) {
            owed.withdrawn |= owed.copies == 0 && concerns(key.1);
        }
    }

    /// The client's session ended: what came is judged, and what did not is excused.
    pub(super) fn session_ended(&mut self, client: ClientIndex) {
        let keys: Vec<Key> = self.of(client).map(|(key, _)| *key).collect();
        for key in keys {
            let Some(owed) = self.owed.remove(&key) else { continue };
            match owed.breach() {
                Some(Breach::Lost) => self.excused += 1,
                Some(breach) => self.broken.push((key, owed.terms().promise, breach)),
                None => {}
            }
        }
    }

    /// The broker's store forgot in a crash: all of it, or what came after its last snapshot.
    pub(super) fn forgotten(&mut self, all: bool) {
        self.held.clear();
        self.unknown |= !all;
    }

    /// The broker dropped a copy, for a reason that excuses it.
    pub(super) fn excuse(&mut self, client: ClientIndex, parts: &Parts, excuse: Excuse) {
        if let Some(owed) = self.owed.get_mut(&(client, parts.stream, parts.sequence)) {
            owed.excuse = Some(excuse);
        }
    }

    /// A retained copy was delivered; says whether it was owed and within its QoS.
    pub(super) fn delivered(&mut self, client: ClientIndex, parts: &Parts, qos: QoS) -> bool {
        if self.unknown {
            return true;
        }
        match self.owed.get_mut(&(client, parts.stream, parts.sequence)) {
            None => false,
            Some(owed) => {
                owed.copies += 1;
                qos <= owed.qos.min(owed.granted)
            }
        }
    }

    /// What was broken, with the message and the subscriber.
    pub(super) fn breaches(&self) -> impl Iterator<Item = (Key, Promise, Breach)> {
        let broken = self.owed.iter().filter(|(_, owed)| owed.excuse.is_none());
        let broken =
            broken.filter_map(|(key, owed)| Some((*key, owed.terms().promise, owed.breach()?)));
        self.broken.iter().copied().chain(broken)
    }

    /// The excuses for copies that never came, other than ended sessions.
    pub(super) fn excuses(&self) -> impl Iterator<Item = Excuse> {
        self.owed.values().filter(|owed| owed.is_lost()).filter_map(|owed| owed.excuse)
    }

    fn of(&mut self, client: ClientIndex) -> impl Iterator<Item = (&Key, &mut Owed)> {
        let next = ClientIndex(client.0.saturating_add(1));
        self.owed.range_mut((client, StreamIndex(0), 0)..(next, StreamIndex(0), 0))
    }
}

impl Owed {
    fn terms(&self) -> Terms {
        terms(self.qos, self.granted)
    }

    fn breach(&self) -> Option<Breach> {
        if self.is_lost() {
            Some(Breach::Lost)
        } else {
            (self.copies > self.most && !self.may_repeat).then_some(Breach::Duplicated)
        }
    }

    fn is_lost(&self) -> bool {
        self.copies == 0 && !self.withdrawn && !self.terms().may_lose
    }
}
