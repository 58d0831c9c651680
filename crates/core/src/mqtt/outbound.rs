//! The sender's half of a hop: QoS 0, 1 and 2 from the side that has the message.
//!
//! Written once: a client publishes through it, and a broker forwards through it, one for each
//! session. What is in flight is in one of two states, as in MQTT 3.1.1 section 4.3:
//!
//! | state | sent | ends by | QoS |
//! |---|---|---|---|
//! | `Publish` | PUBLISH | PUBACK (QoS 1), PUBREC (QoS 2, on to `Release`) | 1, 2 |
//! | `Release` | PUBREL | PUBCOMP | 2 |
//!
//! Whatever gets no answer is sent again by the retry rule, and by that alone: after a time
//! ([`Retry::Timer`](super::settings::Retry)), or on reconnecting ([`Outbound::resume`]).

mod in_flight;
mod peer;
mod resume;

use std::collections::VecDeque;

use serde::Serialize;

use self::in_flight::{InFlight, State};
use self::peer::Peer;
use super::host::Host;
use super::ids::{IdAllocator, IdRing};
use super::packet::{Ack, Level, Message, Packet, PacketId, Publish};
use super::quirks::Quirk;
use super::retry::Armed;
use super::settings::{HopSettings, Limits, OnFull, RepeatedPubrec, Version};
use crate::base::event::Dropped;
use crate::base::fingerprint;
use crate::base::name::Transmission;
use crate::base::qos::QoS;
use crate::base::time::Time;

/// Reason codes from here on refuse (MQTT 5.0, section 2.4).
const FAILURE: u8 = 0x80;
/// 5.0's "Packet Identifier not found".
pub(crate) const ID_NOT_FOUND: u8 = 0x92;
/// The echo of a PUBREL that answers a PUBREC of no known exchange, so that its name differs from
/// those of the exchange's own PUBRELs.
const STRAY: u8 = 2;
/// How many packet ids there are.
const IDS: usize = 65_535;

/// One session's messages on their way out.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Outbound {
    #[serde(serialize_with = "in_flight::in_order")]
    in_flight: IdRing<InFlight>,
    /// What waits for a place in the window or for a connection, in order.
    waiting: VecDeque<Outgoing>,
    /// Nothing that waits expires before this.
    #[serde(serialize_with = "fingerprint::due")]
    next_expiry: Time,
    /// How many messages were sent on this connection and are unacknowledged: what the peer's
    /// Receive Maximum limits.
    placed: usize,
    /// What is in flight and was not yet sent again on this connection, in order: this peer's
    /// Receive Maximum is smaller than the last one's.
    owed: VecDeque<PacketId>,
    ids: IdAllocator,
    /// Ids that SUBSCRIBE and UNSUBSCRIBE hold; they come from the same set [MQTT-2.3.1-2].
    reserved: Vec<PacketId>,
    // The order of what is in flight is written with it.
    #[serde(skip)]
    launched: u64,
    /// How many PUBRECs of no known exchange were answered, which names the answers.
    #[serde(serialize_with = "fingerprint::name")]
    strays: u32,
    peer: Peer,
    /// Places in the window that nobody has and nobody gets: quirks lose them.
    leaked: usize,
}

/// A message to send, and how.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Outgoing {
    pub(crate) message: Message,
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    /// From then on it is no longer worth sending for the first time; [`Time::NEVER`] for no end.
    pub(crate) expires: Time,
    /// 5.0's Subscription Identifiers of the subscriptions that it is sent for.
    pub(crate) subscription_ids: Box<[u32]>,
    /// Whether it was acknowledged to its publisher because there was room: then it is queued
    /// though what was room is none any more.
    pub(crate) is_promised: bool,
}

impl Outbound {
    pub(crate) const fn new(settings: &HopSettings) -> Self {
        Self {
            in_flight: IdRing::new(),
            waiting: VecDeque::new(),
            next_expiry: Time::NEVER,
            placed: 0,
            owed: VecDeque::new(),
            ids: IdAllocator::new(settings.ids),
            reserved: Vec::new(),
            launched: 0,
            strays: 0,
            peer: Peer::new(Limits::NONE),
            leaked: 0,
        }
    }

    /// A new connection is up, and this is what its other end takes. Called before
    /// [`Outbound::resume`]: limits, topic aliases and places in the window live as long as their
    /// connection [MQTT-3.3.2-7] [MQTT-4.9.0-1].
    pub(crate) fn set_peer_limits(&mut self, limits: Limits) {
        self.peer = Peer::new(limits);
        self.free_places();
    }

    /// Takes a message: sends it, lets it wait, or refuses it.
    pub(crate) fn publish(&mut self, host: &mut Host<'_>, outgoing: Outgoing) {
        if outgoing.expires <= host.now {
            host.give_up(outgoing.message.tag, Dropped::Expired);
        } else if outgoing.qos == QoS::AtMostOnce {
            self.publish_unacknowledged(host, outgoing);
        } else if self.waiting.is_empty() && self.has_room(host) {
            self.launch(host, outgoing);
        } else {
            self.enqueue(host, outgoing);
        }
    }

    /// How many messages more of QoS 1 or 2 there is room for, in the window and in the queue.
    pub(crate) fn room(&mut self, host: &mut Host<'_>) -> usize {
        let limit = host.settings.max_queued as usize;
        if self.waiting.len() >= limit {
            self.drop_expired(host);
        }
        let at_once = if self.waiting.is_empty() { self.window(host) } else { 0 };
        at_once + limit.saturating_sub(self.waiting.len())
    }

    /// QoS 1 ends with PUBACK. Any other PUBACK is a stale one, and nothing waits for it.
    pub(crate) fn puback(&mut self, host: &mut Host<'_>, ack: Ack) {
        if self.awaits(ack.id, QoS::AtLeastOnce) {
            self.settle(host, ack);
        }
    }

    /// QoS 2's middle: store the id instead of the message, and answer with PUBREL [MQTT-4.3.3-1].
    pub(crate) fn pubrec(&mut self, host: &mut Host<'_>, ack: Ack) {
        if self.awaits(ack.id, QoS::ExactlyOnce) {
            if ack.reason >= FAILURE {
                // [MQTT-4.4.0-2]: refused counts as acknowledged, and there is no PUBREL.
                self.settle(host, ack);
                return;
            }
            self.owed.retain(|&owed| owed != ack.id);
            let Some(entry) = self.in_flight.get_mut(ack.id) else { return };
            entry.release(host.settings.quirks);
            if entry.expires_in_flight(host) {
                self.forget(host, ack.id, Dropped::Expired);
            } else {
                entry.send(host, &mut self.peer, ack.id);
            }
            return;
        }
        match self.in_flight.get_mut(ack.id) {
            // Every successful PUBREC is answered [MQTT-4.3.3-4], but the retry timer runs on.
            Some(entry) if entry.is_released() => {
                if host.settings.repeated_pubrec == RepeatedPubrec::Answer {
                    entry.attempt += 1;
                    entry.transmit(host, &mut self.peer, ack.id);
                }
            }
            // An id of another exchange: this PUBREC is stale, and a PUBREL would be a lie.
            Some(_) => {}
            None => self.release_stray(host, ack),
        }
    }

    /// QoS 2 ends with PUBCOMP.
    pub(crate) fn pubcomp(&mut self, host: &mut Host<'_>, ack: Ack) {
        if self.in_flight.get(ack.id).is_some_and(InFlight::is_released) {
            // 5.0's only failure here, ID_NOT_FOUND, still ends the exchange: the receiver has
            // nothing of it left.
            self.settle(host, Ack { reason: 0, ..ack });
        }
    }

    /// A retry timer fired: send again, or give up at the limit.
    pub(crate) fn timer(&mut self, host: &mut Host<'_>, armed: &Armed) {
        let Some(entry) = self.in_flight.get_mut(armed.id) else { return };
        if entry.timer != armed.stamp {
            return;
        }
        if host.outbox.timers.is_exhausted(entry.transmissions) {
            self.forget(host, armed.id, Dropped::GaveUp);
        } else {
            entry.attempt += 1;
            entry.send(host, &mut self.peer, armed.id);
        }
    }

    /// An id for a SUBSCRIBE or UNSUBSCRIBE; `None` if all are in use.
    pub(crate) fn reserve_id(&mut self) -> Option<PacketId> {
        let id = self.next_id(true)?;
        self.reserved.push(id);
        Some(id)
    }

    /// The SUBACK or UNSUBACK came: its id is free, also for what waits.
    pub(crate) fn free_id(&mut self, host: &mut Host<'_>, id: PacketId) {
        self.reserved.retain(|&reserved| reserved != id);
        self.fill(host);
    }

    /// Whether a timer still means what it meant when it was armed.
    pub(crate) fn is_armed(&self, armed: &Armed) -> bool {
        self.in_flight.get(armed.id).is_some_and(|entry| entry.timer == armed.stamp)
    }

    /// QoS 0: sent and forgotten [MQTT-4.3.1-1].
    fn publish_unacknowledged(&mut self, host: &mut Host<'_>, outgoing: Outgoing) {
        // One that waits must not be overtaken by the next.
        let waits =
            host.settings.queue_qos0 && (host.connection.is_none() || !self.waiting.is_empty());
        if waits {
            self.enqueue(host, outgoing);
        } else if host.connection.is_some() {
            self.send_unacknowledged(host, outgoing);
        } else {
            host.give_up(outgoing.message.tag, Dropped::Offline);
        }
    }

    fn send_unacknowledged(&mut self, host: &mut Host<'_>, outgoing: Outgoing) {
        let Some(connection) = host.connection else { return };
        let tag = outgoing.message.tag;
        if self.peer.is_too_large(host, &outgoing) {
            host.give_up(tag, Dropped::TooLarge);
            return;
        }
        let packet = Packet::Publish(Publish {
            level: Level::AtMostOnce,
            dup: false,
            retain: outgoing.retain,
            properties: self.peer.properties(host, &outgoing),
            message: outgoing.message,
        });
        host.outbox.send(connection, packet, Transmission::default());
        host.complete(tag);
    }

    fn enqueue(&mut self, host: &mut Host<'_>, outgoing: Outgoing) {
        let limit = host.settings.max_queued as usize;
        if self.waiting.len() >= limit {
            self.drop_expired(host);
        }
        let is_promised = outgoing.is_promised && outgoing.qos != QoS::AtMostOnce;
        if self.waiting.len() >= limit && !is_promised {
            let newest = outgoing.message.tag;
            let oldest = match host.settings.on_full {
                OnFull::DropNewest | OnFull::Reject => None,
                OnFull::DropOldest => self.dequeue(host),
            };
            let Some(oldest) = oldest else {
                host.give_up(newest, Dropped::QueueFull);
                return;
            };
            host.give_up(oldest.message.tag, Dropped::QueueFull);
        }
        self.next_expiry = self.next_expiry.min(outgoing.expires);
        self.waiting.push_back(outgoing);
        host.outbox.queued += 1;
    }

    fn dequeue(&mut self, host: &mut Host<'_>) -> Option<Outgoing> {
        let outgoing = self.waiting.pop_front()?;
        host.outbox.queued -= 1;
        Some(outgoing)
    }

    /// Drops what waits and has expired: nothing of it was sent yet [MQTT-3.3.2-5].
    fn drop_expired(&mut self, host: &mut Host<'_>) {
        if host.now < self.next_expiry {
            return;
        }
        self.next_expiry = Time::NEVER;
        for _ in 0..self.waiting.len() {
            let Some(outgoing) = self.waiting.pop_front() else { return };
            if outgoing.expires <= host.now {
                host.outbox.queued -= 1;
                host.give_up(outgoing.message.tag, Dropped::Expired);
            } else {
                self.next_expiry = self.next_expiry.min(outgoing.expires);
                self.waiting.push_back(outgoing);
            }
        }
    }

    /// Sends what is owed and then what waits, as far as the window allows.
    fn fill(&mut self, host: &mut Host<'_>) {
        self.resend_owed(host);
        while host.connection.is_some() && !self.waiting.is_empty() {
            if self.waiting[0].qos != QoS::AtMostOnce && !self.has_room(host) {
                return;
            }
            let Some(outgoing) = self.dequeue(host) else { return };
            if outgoing.expires <= host.now {
                host.give_up(outgoing.message.tag, Dropped::Expired);
            } else if outgoing.qos == QoS::AtMostOnce {
                self.send_unacknowledged(host, outgoing);
            } else {
                self.launch(host, outgoing);
            }
        }
    }

    #[inline]
    fn has_room(&self, host: &Host<'_>) -> bool {
        self.window(host) > 0
    }

    /// How many messages more can be sent now.
    #[inline]
    fn window(&self, host: &Host<'_>) -> usize {
        if host.connection.is_none() || !self.owed.is_empty() {
            return 0;
        }
        let in_flight = self.in_flight.len();
        let own = usize::from(host.settings.max_inflight).saturating_sub(in_flight + self.leaked);
        let peers = self.peer.receive_maximum().saturating_sub(self.placed + self.leaked);
        own.min(peers).min(IDS.saturating_sub(in_flight + self.reserved.len()))
    }

    /// First transmission of a QoS 1 or 2 message: an unused id, DUP=0 [MQTT-4.3.2-1].
    fn launch(&mut self, host: &mut Host<'_>, outgoing: Outgoing) {
        if self.peer.is_too_large(host, &outgoing) {
            host.give_up(outgoing.message.tag, Dropped::TooLarge);
            return;
        }
        // The quirk: a counter of 16 bits that wraps round into what is still unacknowledged.
        let id = self.next_id(!host.settings.quirks.has(Quirk::IdWrapNoCheck));
        let id = id.expect("whoever launches has seen that there is room");
        let mut entry = InFlight::new(outgoing, self.launched);
        self.launched += 1;
        self.placed += 1;
        entry.placed = true;
        entry.send(host, &mut self.peer, id);
        match self.in_flight.insert(id, entry) {
            None => host.outbox.in_flight += 1,
            Some(overwritten) => self.placed -= usize::from(overwritten.placed),
        }
    }

    fn next_id(&mut self, check: bool) -> Option<PacketId> {
        let (in_flight, reserved) = (&self.in_flight, &self.reserved);
        self.ids.allocate(|id| check && (in_flight.contains(id) || reserved.contains(&id)))
    }

    /// Answers a PUBREC of an exchange that is over here, so that the receiver may forget it too.
    fn release_stray(&mut self, host: &mut Host<'_>, ack: Ack) {
        let Some(connection) = host.connection else { return };
        if ack.reason >= FAILURE {
            return;
        }
        let reason = if host.version == Version::V5 { ID_NOT_FOUND } else { 0 };
        let packet = Packet::PubRel(Ack { reason, ..ack });
        host.outbox.send(connection, packet, Transmission { attempt: self.strays, echo: STRAY });
        self.strays += 1;
    }

    fn awaits(&self, id: PacketId, wanted: QoS) -> bool {
        let Some(entry) = self.in_flight.get(id) else { return false };
        matches!(&entry.state, State::Publish(outgoing) if outgoing.qos == wanted)
    }

    /// The exchange is over: the id is free, and there is room for the next.
    fn settle(&mut self, host: &mut Host<'_>, ack: Ack) {
        let Some(entry) = self.remove(host, ack.id) else { return };
        if ack.reason >= FAILURE {
            // The quirk: the place is given back where the exchange ends well, and only there.
            if host.settings.quirks.has(Quirk::QuotaLeakOnErrorPubrec) {
                self.leaked += 1;
            }
            host.give_up(entry.tag(), Dropped::Rejected);
        } else {
            host.complete(entry.tag());
        }
        self.fill(host);
    }

    /// The exchange is given up.
    fn forget(&mut self, host: &mut Host<'_>, id: PacketId, why: Dropped) {
        let Some(entry) = self.remove(host, id) else { return };
        host.give_up(entry.tag(), why);
        self.fill(host);
    }

    fn remove(&mut self, host: &mut Host<'_>, id: PacketId) -> Option<InFlight> {
        let entry = self.in_flight.remove(id)?;
        host.outbox.in_flight -= 1;
        self.placed -= usize::from(entry.placed);
        self.owed.retain(|&owed| owed != id);
        Some(entry)
    }
}

impl Outgoing {
    /// A message that does not expire.
    pub(crate) fn new(message: Message, qos: QoS, retain: bool) -> Self {
        let subscription_ids = Box::default();
        let expires = Time::NEVER;
        Self { message, qos, retain, expires, subscription_ids, is_promised: false }
    }
}
