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

use std::collections::VecDeque;

use super::host::Host;
use super::ids::{IdAllocator, IdRing};
use super::packet::{Ack, Level, Message, Packet, PacketId, Publish};
use super::quirks::Quirk;
use super::retry::{Armed, Stamp};
use super::settings::{HopSettings, OnFull, RepeatedPubrec, Version};
use crate::base::event::Dropped;
use crate::base::name::{Tag, Transmission};
use crate::base::qos::QoS;

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
#[derive(Clone, Debug)]
pub(crate) struct Outbound {
    in_flight: IdRing<InFlight>,
    /// What waits for a place in the window or for a connection, in order.
    waiting: VecDeque<Waiting>,
    ids: IdAllocator,
    /// Ids that SUBSCRIBE and UNSUBSCRIBE hold; they come from the same set [MQTT-2.3.1-2].
    reserved: Vec<PacketId>,
    launched: u64,
    /// How many PUBRECs of no known exchange were answered, which names the answers.
    strays: u32,
}

#[derive(Clone, Debug)]
struct InFlight {
    state: State,
    /// How often the state's packet was sent before the last time.
    attempt: u32,
    /// How often it was sent by the retry rule's count: since the last connect, and without
    /// repeats that a repeated PUBREC asked for.
    transmissions: u32,
    /// Its place in the original order.
    order: u64,
    timer: Stamp,
}

#[derive(Clone, Debug)]
enum State {
    Publish(Waiting),
    Release(Tag),
}

#[derive(Clone, Debug)]
struct Waiting {
    message: Message,
    qos: QoS,
    retain: bool,
}

impl Outbound {
    pub(crate) const fn new(settings: &HopSettings) -> Self {
        Self {
            in_flight: IdRing::new(),
            waiting: VecDeque::new(),
            ids: IdAllocator::new(settings.ids),
            reserved: Vec::new(),
            launched: 0,
            strays: 0,
        }
    }

    /// Takes a message: sends it, lets it wait, or refuses it.
    pub(crate) fn publish(
        &mut self,
        host: &mut Host<'_>,
        message: Message,
        qos: QoS,
        retain: bool,
    ) {
        let publish = Waiting { message, qos, retain };
        if qos == QoS::AtMostOnce {
            self.publish_unacknowledged(host, publish);
        } else if self.waiting.is_empty() && self.has_room(host) {
            self.launch(host, publish);
        } else {
            self.enqueue(host, publish);
        }
    }

    /// QoS 1 ends with PUBACK. Any other PUBACK is a stale one, and nothing waits for it.
    pub(crate) fn puback(&mut self, host: &mut Host<'_>, ack: Ack) {
        if self.awaits(ack.id, QoS::AtLeastOnce) {
            self.settle(host, ack);
        }
    }

    /// QoS 2's middle: store the id instead of the message, and answer with PUBREL [MQTT-4.3.3-1].
    pub(crate) fn pubrec(&mut self, host: &mut Host<'_>, version: Version, ack: Ack) {
        if self.awaits(ack.id, QoS::ExactlyOnce) {
            if ack.reason >= FAILURE {
                // [MQTT-4.4.0-2]: refused counts as acknowledged, and there is no PUBREL.
                self.settle(host, ack);
                return;
            }
            if let Some(entry) = self.in_flight.get_mut(ack.id) {
                entry.release();
                entry.send(host, ack.id);
            }
            return;
        }
        match self.in_flight.get_mut(ack.id) {
            // Every successful PUBREC is answered [MQTT-4.3.3-4], but the retry timer runs on.
            Some(entry) if matches!(entry.state, State::Release(_)) => {
                if host.settings.repeated_pubrec == RepeatedPubrec::Answer {
                    entry.attempt += 1;
                    entry.transmit(host, ack.id);
                }
            }
            // An id of another exchange: this PUBREC is stale, and a PUBREL would be a lie.
            Some(_) => {}
            None => self.release_stray(host, version, ack),
        }
    }

    /// QoS 2 ends with PUBCOMP.
    pub(crate) fn pubcomp(&mut self, host: &mut Host<'_>, ack: Ack) {
        let released = |entry: &InFlight| matches!(entry.state, State::Release(_));
        if self.in_flight.get(ack.id).is_some_and(released) {
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
            let tag = entry.tag();
            self.in_flight.remove(armed.id);
            host.outbox.in_flight -= 1;
            host.give_up(tag, Dropped::GaveUp);
            self.fill(host);
        } else {
            entry.attempt += 1;
            entry.send(host, armed.id);
        }
    }

    /// A connection is up: everything unacknowledged again, in the original order and with the
    /// original ids [MQTT-4.4.0-1] [MQTT-4.6.0-1], then what waited.
    pub(crate) fn resume(&mut self, host: &mut Host<'_>) {
        let entries = self.in_flight.iter_mut();
        let mut by_order: Vec<_> = entries.map(|(id, entry)| (entry.order, id)).collect();
        by_order.sort_unstable();
        for (_, id) in by_order {
            if let Some(entry) = self.in_flight.get_mut(id) {
                entry.attempt += 1;
                entry.transmissions = 0;
                entry.send(host, id);
            }
        }
        self.fill(host);
    }

    /// The connection is gone: nothing is sent again before [`Outbound::resume`].
    pub(crate) fn suspend(&mut self) {
        for (_, entry) in self.in_flight.iter_mut() {
            entry.timer = Stamp::DISARMED;
        }
        self.reserved.clear();
    }

    /// The session is gone: what was in flight is forgotten.
    pub(crate) fn end_session(&mut self, host: &mut Host<'_>) {
        let tags: Vec<_> = self.in_flight.iter_mut().map(|(_, entry)| entry.tag()).collect();
        host.outbox.in_flight -= self.tally();
        self.in_flight.clear();
        for tag in tags {
            host.give_up(tag, Dropped::SessionEnded);
        }
    }

    /// The session is gone, and what waited for it with it.
    pub(crate) fn discard(&mut self, host: &mut Host<'_>) {
        self.end_session(host);
        while let Some(publish) = self.dequeue(host) {
            host.give_up(publish.message.tag, Dropped::SessionEnded);
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
    fn publish_unacknowledged(&mut self, host: &mut Host<'_>, publish: Waiting) {
        // One that waits must not be overtaken by the next.
        let waits =
            host.settings.queue_qos0 && (host.connection.is_none() || !self.waiting.is_empty());
        if waits {
            self.enqueue(host, publish);
        } else if host.connection.is_some() {
            send_unacknowledged(host, publish);
        } else {
            host.give_up(publish.message.tag, Dropped::Offline);
        }
    }

    fn enqueue(&mut self, host: &mut Host<'_>, publish: Waiting) {
        if self.waiting.len() >= host.settings.max_queued as usize {
            let newest = publish.message.tag;
            let oldest = match host.settings.on_full {
                OnFull::DropNewest => None,
                OnFull::DropOldest => self.dequeue(host),
            };
            let Some(oldest) = oldest else {
                host.give_up(newest, Dropped::QueueFull);
                return;
            };
            host.give_up(oldest.message.tag, Dropped::QueueFull);
        }
        self.waiting.push_back(publish);
        host.outbox.queued += 1;
    }

    fn dequeue(&mut self, host: &mut Host<'_>) -> Option<Waiting> {
        let publish = self.waiting.pop_front()?;
        host.outbox.queued -= 1;
        Some(publish)
    }

    /// Sends what waits, as far as the window allows.
    fn fill(&mut self, host: &mut Host<'_>) {
        while host.connection.is_some() && !self.waiting.is_empty() {
            if self.waiting[0].qos != QoS::AtMostOnce && !self.has_room(host) {
                return;
            }
            let Some(publish) = self.dequeue(host) else { return };
            if publish.qos == QoS::AtMostOnce {
                send_unacknowledged(host, publish);
            } else {
                self.launch(host, publish);
            }
        }
    }

    fn has_room(&self, host: &Host<'_>) -> bool {
        host.connection.is_some()
            && self.in_flight.len() < usize::from(host.settings.max_inflight)
            && self.in_flight.len() + self.reserved.len() < IDS
    }

    /// First transmission of a QoS 1 or 2 message: an unused id, DUP=0 [MQTT-4.3.2-1].
    fn launch(&mut self, host: &mut Host<'_>, publish: Waiting) {
        let id = self.next_id(!host.settings.quirks.has(Quirk::IdWrapNoCheck));
        let id = id.expect("whoever launches has seen that there is room");
        let mut entry = InFlight {
            state: State::Publish(publish),
            attempt: 0,
            transmissions: 0,
            order: self.launched,
            timer: Stamp::DISARMED,
        };
        self.launched += 1;
        entry.send(host, id);
        if self.in_flight.insert(id, entry).is_none() {
            host.outbox.in_flight += 1;
        }
    }

    fn next_id(&mut self, check: bool) -> Option<PacketId> {
        let (in_flight, reserved) = (&self.in_flight, &self.reserved);
        self.ids.allocate(|id| check && (in_flight.contains(id) || reserved.contains(&id)))
    }

    /// Answers a PUBREC of an exchange that is over here, so that the receiver may forget it too.
    fn release_stray(&mut self, host: &mut Host<'_>, version: Version, ack: Ack) {
        let Some(connection) = host.connection else { return };
        if ack.reason >= FAILURE {
            return;
        }
        let reason = if version == Version::V5 { ID_NOT_FOUND } else { 0 };
        let packet = Packet::PubRel(Ack { reason, ..ack });
        host.outbox.send(connection, packet, Transmission { attempt: self.strays, echo: STRAY });
        self.strays += 1;
    }

    fn awaits(&self, id: PacketId, wanted: QoS) -> bool {
        let Some(entry) = self.in_flight.get(id) else { return false };
        matches!(&entry.state, State::Publish(publish) if publish.qos == wanted)
    }

    /// The exchange is over: the id is free, and there is room for the next.
    fn settle(&mut self, host: &mut Host<'_>, ack: Ack) {
        let Some(entry) = self.in_flight.remove(ack.id) else { return };
        host.outbox.in_flight -= 1;
        let tag = entry.tag();
        if ack.reason >= FAILURE {
            host.give_up(tag, Dropped::Rejected);
        } else {
            host.complete(tag);
        }
        self.fill(host);
    }

    #[expect(clippy::cast_possible_truncation, reason = "at most 65,535 ids are in use")]
    const fn tally(&self) -> u32 {
        self.in_flight.len() as u32
    }
}

impl InFlight {
    /// Sends by the retry rule: counted, and with the timer armed.
    fn send(&mut self, host: &mut Host<'_>, id: PacketId) {
        self.transmissions += 1;
        self.timer = host.outbox.timers.arm(host.now, host.session, id, self.transmissions);
        self.transmit(host, id);
    }

    fn transmit(&self, host: &mut Host<'_>, id: PacketId) {
        let Some(connection) = host.connection else { return };
        let packet = match &self.state {
            State::Publish(publish) => Packet::Publish(Publish {
                level: match publish.qos {
                    QoS::ExactlyOnce => Level::ExactlyOnce(id),
                    _ => Level::AtLeastOnce(id),
                },
                // [MQTT-3.3.1-1]: DUP is 1 on every re-delivery.
                dup: self.attempt > 0 && !host.settings.quirks.has(Quirk::DupNeverSet),
                retain: publish.retain,
                message: publish.message.clone(),
                properties: None,
            }),
            State::Release(tag) => Packet::PubRel(Ack { id, reason: 0, tag: *tag }),
        };
        host.outbox.send(connection, packet, Transmission { attempt: self.attempt, echo: 0 });
    }

    fn release(&mut self) {
        self.state = State::Release(self.tag());
        self.attempt = 0;
        self.transmissions = 0;
    }

    const fn tag(&self) -> Tag {
        match &self.state {
            State::Publish(publish) => publish.message.tag,
            State::Release(tag) => *tag,
        }
    }
}

fn send_unacknowledged(host: &mut Host<'_>, publish: Waiting) {
    let Some(connection) = host.connection else { return };
    let tag = publish.message.tag;
    let packet = Packet::Publish(Publish {
        level: Level::AtMostOnce,
        dup: false,
        retain: publish.retain,
        message: publish.message,
        properties: None,
    });
    host.outbox.send(connection, packet, Transmission::default());
    host.complete(tag);
}
