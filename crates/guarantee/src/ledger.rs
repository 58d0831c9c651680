//! The ledger: who is owed which message, and how many copies came.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use serde::Serialize;

use super::links::Links;
use super::meter::Meter;
use super::retained::{Retainable, Retained};
use super::roster::Roster;
use super::shared::Shared;
use super::subscriptions::Subscriptions;
use super::unit::{End, Progress, Standing, Unit};
use super::verdict::{Breach, Promise};
use qoslab_core::base::event::{Body, Dropped, Phase, Record};
use qoslab_core::base::fingerprint;
use qoslab_core::base::name::{
    ClientIndex, Connection, Hop, Kind, Node, Parts, StreamIndex, Subject, Tag,
};
use qoslab_core::base::qos::QoS;
use qoslab_core::base::time::{Span, Time};
use qoslab_core::mqtt::settings::Store;

/// At most so many messages of a stream get their room in advance; beyond, it grows.
const ROOM: u32 = 1 << 16;

/// A byte for each message and a byte for each unit, and what sessions are doing.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Ledger {
    // The same in all states of a trial.
    #[serde(skip)]
    pub(super) roster: Arc<Roster>,
    pub(super) phase: Phase,
    #[serde(serialize_with = "fingerprint::published")]
    pub(super) phase_began: Time,
    pub(super) streams: Vec<Stream>,
    pub(super) sessions: Vec<Session>,
    pub(super) links: Links,
    pub(super) subscriptions: Subscriptions,
    pub(super) retained: Retained,
    pub(super) shared: Shared,
    /// Units of epochs that ended, whose message was taken again in a later one.
    pub(super) closed: Vec<(StreamIndex, u32, ClientIndex, Unit)>,
    /// What was broken and seen at once, by message, subscriber and how.
    pub(super) seen: BTreeMap<(StreamIndex, u32, Option<ClientIndex>, Breach), Promise>,
    /// QoS 2 messages to be retained whose PUBREL is awaited, by publisher and packet id.
    pub(super) retaining: BTreeMap<(ClientIndex, u16), Retainable>,
    /// Messages that had to wait because somebody was not connected.
    // For statistics and reports: decides nothing.
    #[serde(skip)]
    pub(super) offline_queued: u64,
    /// QoS 2 messages that came to the broker again and were not passed on again.
    // For statistics and reports: decides nothing.
    #[serde(skip)]
    pub(super) suppressed: u64,
}

/// One publishing workload.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Stream {
    /// By sequence number.
    pub(super) messages: Vec<Progress>,
    /// Sorted by client: whoever ever had a live subscription to the topic.
    pub(super) slots: Vec<Slot>,
    /// Every message before this one has reached its end on the first hop.
    // Follows from the rest.
    #[serde(skip)]
    pub(super) unfinished: u32,
}

/// One subscriber of one stream.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Slot {
    pub(super) client: ClientIndex,
    /// The QoS granted now; `None` while not subscribed.
    pub(super) granted: Option<QoS>,
    /// Whether the broker is known to have the subscription. After some crashes that shows only
    /// when it welcomes the client, or answers it; what it takes until then is not owed.
    pub(super) sure: bool,
    /// Messages before this one belong to an earlier epoch, but for those in `reopened`.
    pub(super) floor: u32,
    /// For each QoS of delivery, the sequence number after the highest first copy.
    pub(super) next: [u32; 3],
    /// Older messages that the broker took again in this epoch, in order.
    pub(super) reopened: Vec<u32>,
    pub(super) units: Vec<Unit>,
}

/// One client's session.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Session {
    /// The connection whose CONNACK the broker sent last.
    pub(super) answered: Option<Connection>,
    /// The connection whose CONNACK reached the client last.
    pub(super) accepted: Option<Connection>,
    /// The broker ended the session and the client has not learnt of it: copies that are on
    /// their way still belong to the old one.
    pub(super) ending: bool,
    /// The broker's store forgot it, or gave back an older state of it, in a crash. If it turns
    /// out to be gone, that is no excuse.
    pub(super) forgotten_by_broker: bool,
    /// The client's store did.
    pub(super) forgotten_by_client: bool,
    /// A connection of it that died silently.
    pub(super) dark: Option<Connection>,
    /// When everybody reconnected an end still believed in such a connection, and its keep alive
    /// would have shown it in time: what waits for that is late, and not held back by anybody.
    pub(super) unnoticed: bool,
    /// The streams that its subscriptions ever matched.
    pub(super) subscribed: Vec<StreamIndex>,
    /// The streams that it publishes.
    pub(super) publishes: Vec<StreamIndex>,
}

impl Ledger {
    /// A ledger before anything happened.
    pub(super) fn new(roster: &Arc<Roster>) -> Self {
        let mut sessions = vec![Session::default(); roster.clients.len()];
        for (stream, facts) in (0..).map(StreamIndex).zip(&roster.streams) {
            sessions[facts.client.index()].publishes.push(stream);
        }
        Self {
            roster: Arc::clone(roster),
            phase: Phase::Connecting,
            phase_began: Time::ZERO,
            streams: vec![Stream::default(); roster.streams.len()],
            sessions,
            links: Links::new(roster.clients.len()),
            subscriptions: Subscriptions::new(roster),
            retained: Retained::default(),
            shared: Shared::default(),
            closed: Vec::new(),
            seen: BTreeMap::new(),
            retaining: BTreeMap::new(),
            offline_queued: 0,
            suppressed: 0,
        }
    }

    /// An application called `publish()`: a unit for each live subscription.
    #[inline]
    pub(super) fn submitted(&mut self, parts: &Parts) {
        let facts = &self.roster.streams[parts.stream.index()];
        if parts.qos != QoS::AtMostOnce
            && !self.links.is_connected(Node::Client(facts.client), facts.client)
        {
            self.offline_queued += 1;
        }
        let room = facts.count.min(ROOM) as usize;
        let stream = &mut self.streams[parts.stream.index()];
        let end = parts.sequence as usize + 1;
        if stream.messages.is_empty() {
            stream.messages.reserve_exact(room.max(end));
        }
        if stream.messages.len() < end {
            stream.messages.resize(end, Progress::default());
        }
        stream.messages[end - 1].finish(End::Open);
        for slot in &mut stream.slots {
            if slot.units.is_empty() {
                slot.units.reserve_exact(room.max(end));
            }
            slot.units.resize(end, Unit::default());
            if let Some(granted) = slot.granted {
                slot.units[end - 1].stand(Standing::Submitted, granted);
            }
        }
    }

    /// The publisher's endpoint refused a message or gave it up.
    pub(super) fn refused(&mut self, tag: Tag, why: Dropped) {
        if let Some(progress) = self.progress(tag) {
            progress.finish(match why {
                Dropped::GaveUp => End::GaveUp,
                Dropped::Rejected => End::Rejected,
                Dropped::Expired => End::Expired,
                Dropped::TooLarge => End::TooLarge,
                Dropped::QueueFull | Dropped::Offline | Dropped::SessionEnded => End::Refused,
            });
        }
    }

    /// The publisher's handshake ended well.
    #[inline]
    pub(super) fn completed(&mut self, now: Time, tag: Tag, meter: &mut Meter) {
        let Some(parts) = tag.parts() else { return };
        let publisher = self.roster.streams[parts.stream.index()].client;
        let stalls = self.phase == Phase::CalmTwo
            && self.roster.is_reliable_up(publisher)
            && !self.sessions[publisher.index()].unnoticed;
        let Some(progress) = self.progress(tag) else { return };
        progress.set(Progress::ACKNOWLEDGED);
        progress.finish(End::Completed);
        meter.metrics.qos[parts.qos.index()].completion.record(now.since(parts.published));
        if stalls && parts.qos != QoS::AtMostOnce {
            self.see(&parts, None, Promise::Acknowledged, Breach::Stalled);
        }
    }

    /// A client handed a PUBLISH of its own to the network.
    #[inline]
    pub(super) fn sent_first(&mut self, record: &Record<'_>) {
        if let Some(progress) = self.progress(record.tag) {
            progress.set(Progress::SENT);
        }
    }

    /// The broker handed a PUBLISH to the network: from now on it must see a QoS 1 or 2 message
    /// through, whatever is unsubscribed [MQTT-3.10.4-3].
    #[inline]
    pub(super) fn sent_onward(&mut self, record: &Record<'_>) {
        let Some(parts) = record.tag.parts() else { return };
        if record.qos() == Some(QoS::AtMostOnce) || record.is_resend() || parts.is_retained_copy() {
            return;
        }
        self.shared.begun(record.name.client, &parts);
        let stream = &mut self.streams[parts.stream.index()];
        if let Some(unit) = stream.unit_mut(record.name.client, parts.sequence)
            && matches!(unit.standing(), Standing::Must | Standing::Withdrawn)
        {
            unit.stand(Standing::Begun, unit.granted());
        }
    }

    /// A packet of a publisher's hop reached the broker, on an open connection. Whoever is
    /// subscribed at that instant may get a copy because of it, and must if it is the first.
    #[inline]
    pub(super) fn reached_broker(&mut self, now: Time, record: &Record<'_>) {
        let Some(parts) = record.tag.parts() else { return };
        let release = self.roster.broker_delivers_on_release && parts.qos == QoS::ExactlyOnce;
        match record.kind() {
            Kind::Publish => {
                self.suppressed += u64::from(self.is_suppressed(&parts));
                self.taken(&parts);
                if record.retain() {
                    self.retain(now, &parts, release, record);
                }
            }
            Kind::PubRel => {
                if let Some(progress) = self.progress(record.tag) {
                    progress.set(Progress::RELEASED);
                }
                if release {
                    self.taken(&parts);
                }
                // It releases what is held by its id, whatever its sender meant.
                let held = self.retaining.remove(&(record.name.client, record.id));
                if let Some(held) = held.filter(|_| release) {
                    let topic = &self.roster.streams[held.parts.stream.index()].topic;
                    self.retained.stored(topic, &held);
                }
            }
            _ => {}
        }
    }

    /// Whether a QoS 2 PUBLISH came again before its PUBREL, to a broker that still holds its id.
    fn is_suppressed(&self, parts: &Parts) -> bool {
        let held = |progress: &Progress| {
            progress.is(Progress::TAKEN)
                && !progress.is(Progress::RELEASED)
                && !progress.is(Progress::SESSION_LOST)
        };
        let stream = &self.streams[parts.stream.index()];
        parts.qos == QoS::ExactlyOnce
            && self.phase < Phase::CalmTwo
            && self.roster.broker_store == Store::Durable
            && stream.messages.get(parts.sequence as usize).is_some_and(held)
    }

    /// A repeat of a QoS 2 message stores nothing until its PUBREL; after that it is a new message
    /// [MQTT-4.3.3-12].
    fn retain(&mut self, now: Time, parts: &Parts, release: bool, record: &Record<'_>) {
        let stream = &self.roster.streams[parts.stream.index()];
        if stream.denied {
            return;
        }
        let expires = match record.body {
            Body::Publish { expiry: Some(seconds), .. } => now + Span::from_secs(seconds.into()),
            _ => Time::NEVER,
        };
        let message = Retainable { parts: *parts, empty: record.size.payload == 0, expires };
        let held = self.retaining.entry((record.name.client, record.id));
        let is_new = match held {
            _ if parts.qos != QoS::ExactlyOnce => true,
            Entry::Occupied(_) => false,
            Entry::Vacant(place) => {
                place.insert(message);
                !release
            }
        };
        if is_new {
            self.retained.stored(&stream.topic, &message);
        }
    }

    #[inline]
    pub(super) fn taken(&mut self, parts: &Parts) {
        let stream = &mut self.streams[parts.stream.index()];
        let Some(progress) = stream.messages.get_mut(parts.sequence as usize) else {
            return;
        };
        let first = !progress.is(Progress::TAKEN);
        progress.set(Progress::TAKEN);
        self.shared.taken(parts, first);
        for slot in &mut stream.slots {
            let Some(unit) = slot.units.get_mut(parts.sequence as usize) else { continue };
            let Some(granted) = slot.granted else {
                if first && unit.standing() == Standing::Submitted {
                    unit.stand(Standing::TooLate, unit.granted());
                }
                continue;
            };
            let waits = parts.qos.min(granted) > QoS::AtMostOnce;
            if first && waits && !self.links.is_connected(Node::Broker, slot.client) {
                self.offline_queued += 1;
            }
            if parts.sequence < slot.floor
                && let Err(place) = slot.reopened.binary_search(&parts.sequence)
            {
                slot.reopened.insert(place, parts.sequence);
                if unit.standing() > Standing::TooLate {
                    self.closed.push((parts.stream, parts.sequence, slot.client, *unit));
                }
                *unit = Unit::default();
            }
            if first && slot.sure {
                unit.stand(Standing::Must, granted);
            } else if unit.standing() < Standing::May {
                unit.stand(Standing::May, granted);
            } else if granted > unit.granted() {
                unit.rise();
            }
        }
    }

    /// An acknowledgement reached the publisher. PUBREC hands the message over where the broker
    /// forwards on PUBLISH; every other end is told as a completion.
    #[inline]
    pub(super) fn reached_client(&mut self, record: &Record<'_>) {
        let first_hop = matches!(record.name.subject, Subject::Message { hop: Hop::First, .. });
        if first_hop
            && record.kind() == Kind::PubRec
            && record.reason < 0x80
            && !self.roster.broker_delivers_on_release
            && let Some(progress) = self.progress(record.tag)
        {
            progress.set(Progress::ACKNOWLEDGED);
        }
    }

    /// Notes something broken that is seen at once.
    pub(super) fn see(
        &mut self,
        parts: &Parts,
        client: Option<ClientIndex>,
        promise: Promise,
        breach: Breach,
    ) {
        self.seen.insert((parts.stream, parts.sequence, client, breach), promise);
    }

    #[inline]
    fn progress(&mut self, tag: Tag) -> Option<&mut Progress> {
        let parts = tag.parts()?;
        self.streams[parts.stream.index()].messages.get_mut(parts.sequence as usize)
    }
}

impl Stream {
    /// A subscriber's slot and the place of a message's unit in it.
    #[inline]
    pub(super) fn find(
        &mut self,
        client: ClientIndex,
        sequence: u32,
    ) -> Option<(&mut Slot, usize)> {
        let place = match self.slots.as_slice() {
            [only] if only.client == client => 0,
            slots => slots.binary_search_by_key(&client, |slot| slot.client).ok()?,
        };
        let slot = &mut self.slots[place];
        let index = sequence as usize;
        (index < slot.units.len()).then_some((slot, index))
    }

    #[inline]
    pub(super) fn unit_mut(&mut self, client: ClientIndex, sequence: u32) -> Option<&mut Unit> {
        self.find(client, sequence).map(|(slot, index)| &mut slot.units[index])
    }

    /// The slot of a client that ever had a live subscription.
    pub(super) fn existing_slot(&mut self, client: ClientIndex) -> Option<&mut Slot> {
        let place = self.slots.binary_search_by_key(&client, |slot| slot.client).ok()?;
        Some(&mut self.slots[place])
    }

    /// The slot of a client, made if there is none.
    pub(super) fn slot(&mut self, client: ClientIndex) -> &mut Slot {
        let place = match self.slots.binary_search_by_key(&client, |slot| slot.client) {
            Ok(place) => place,
            Err(place) => {
                if self.slots.is_empty() {
                    self.slots.reserve_exact(1);
                }
                // Earlier messages get a unit too: they may still be on their way to the broker.
                let units = vec![Unit::default(); self.messages.len()];
                self.slots.insert(place, Slot::new(client, units));
                place
            }
        };
        &mut self.slots[place]
    }
}

impl Slot {
    fn new(client: ClientIndex, units: Vec<Unit>) -> Self {
        Self {
            client,
            granted: None,
            sure: true,
            floor: 0,
            next: [0; 3],
            reopened: Vec::new(),
            units,
        }
    }

    /// Whether a message belongs to an earlier epoch.
    pub(super) fn is_over(&self, sequence: u32) -> bool {
        sequence < self.floor && self.reopened.binary_search(&sequence).is_err()
    }
}
