//! The receiver's half of a hop, judged by the ids that it holds, whatever its peer meant; and all
//! other answers that an endpoint owes.

use serde::{Serialize, Serializer};

use super::book::{Book, Place, packet_id};
use crate::rules::Rule;
use qoslab_core::base::event::{Body, Close, Record};
use qoslab_core::base::fingerprint::ranks;
use qoslab_core::base::name::{Kind, Tag};
use qoslab_core::base::qos::QoS;
use qoslab_core::base::time::Time;
use qoslab_core::mqtt::ids::IdRing;

/// What one end receives on one link.
#[derive(Clone, Debug)]
pub(super) struct Receiver {
    /// QoS 2 ids between PUBLISH and PUBREL.
    held: IdRing<Held>,
    /// Answers that are owed, by kind and id. Most endpoints answer at once, so these are few.
    due: Vec<Due>,
    arrivals: u32,
    /// Which arrival was answered last on this connection: by PUBACK, by PUBREC.
    answered: [u32; 2],
}

/// A QoS 2 id that a receiver holds.
#[derive(Clone, Copy, Debug)]
struct Held {
    tag: Tag,
    onward: u32,
}

/// An answer that an endpoint owes.
#[derive(Clone, Copy, Debug)]
struct Due {
    tag: Tag,
    since: Time,
    kind: Kind,
    id: u16,
    times: u32,
    /// Which arrival was the first to ask for it.
    arrival: u32,
    /// How many codes a SUBACK needs.
    codes: usize,
}

impl Receiver {
    pub(super) const fn new() -> Self {
        Self { held: IdRing::new(), due: Vec::new(), arrivals: 0, answered: [0; 2] }
    }

    /// A PUBLISH came. Gives the message that the receiver has reason to pass on because of it,
    /// by its own knowledge: one whose id it does not hold.
    #[inline]
    pub(super) fn publish(&mut self, now: Time, record: &Record<'_>) -> Option<Tag> {
        match record.qos() {
            Some(QoS::AtLeastOnce) => self.owe(now, Kind::PubAck, record),
            Some(QoS::ExactlyOnce) => {
                self.owe(now, Kind::PubRec, record);
                let id = packet_id(record.id)?;
                if self.held.contains(id) {
                    return None;
                }
                self.held.insert(id, Held { tag: record.tag, onward: 0 });
            }
            _ => {}
        }
        Some(record.tag)
    }

    /// A PUBREL came. Gives the message that was held under its id.
    pub(super) fn release(&mut self, now: Time, record: &Record<'_>) -> Option<Tag> {
        self.owe(now, Kind::PubComp, record);
        self.holder(record.id)
    }

    /// Something came that wants an answer of this kind.
    #[inline]
    pub(super) fn owe(&mut self, now: Time, kind: Kind, record: &Record<'_>) {
        self.arrivals += 1;
        let codes = match record.body {
            Body::Subscribe(requests) => requests.len(),
            _ => 0,
        };
        match self.find(kind, record.id) {
            Ok(place) => self.due[place].times += 1,
            Err(place) => {
                let arrival = self.arrivals;
                let due = Due {
                    tag: record.tag,
                    since: now,
                    kind,
                    id: record.id,
                    times: 1,
                    arrival,
                    codes,
                };
                self.due.insert(place, due);
            }
        }
    }

    /// An answer was sent.
    #[inline]
    pub(super) fn answer(&mut self, place: Place, record: &Record<'_>, book: &mut Book) {
        let kind = record.kind();
        match self.find(kind, record.id) {
            Ok(nth) if self.due[nth].times > 1 => self.due[nth].times -= 1,
            Ok(nth) => {
                let due = self.due.remove(nth);
                self.in_order(place, &due, book);
                if let Body::SubAck(codes) = record.body
                    && codes.len() != due.codes
                {
                    book.by_peer(place, Rule::SubackIncomplete);
                }
            }
            Err(_) => self.unasked(place, record, book),
        }
        // After PUBCOMP, or a PUBREC that refuses, the id is a new message's
        // [MQTT-4.3.3-12], [MQTT-4.3.3-9].
        let ends = kind == Kind::PubComp || kind == Kind::PubRec && record.reason >= 0x80;
        if let Some(id) = packet_id(record.id).filter(|_| ends) {
            self.held.remove(id);
        }
    }

    fn in_order(&mut self, place: Place, due: &Due, book: &mut Book) {
        let (nth, rule) = match due.kind {
            Kind::PubAck => (0, Rule::AckOutOfOrder),
            Kind::PubRec => (1, Rule::RecordOutOfOrder),
            _ => return,
        };
        if due.arrival < self.answered[nth] {
            book.by_receiver(place, rule, due.tag);
        }
        self.answered[nth] = self.answered[nth].max(due.arrival);
    }

    #[cold]
    fn unasked(&self, place: Place, record: &Record<'_>, book: &mut Book) {
        match record.kind() {
            // Repeating a PUBREC for an id that is held is nobody's harm; some brokers do so
            // when a client comes back.
            Kind::PubRec if self.holder(record.id).is_some() => {}
            Kind::PubAck | Kind::PubRec | Kind::PubComp => {
                book.by_receiver(place, Rule::AnswerUnasked, record.tag);
            }
            Kind::SubAck | Kind::UnsubAck => book.by_peer(place, Rule::RequestAnswerUnasked),
            _ => {}
        }
    }

    /// The endpoint passed a message on because of a packet with this id, unless it holds another
    /// id for it: some read several packets before they pass any message on.
    pub(super) fn delivered(&mut self, place: Place, id: u16, tag: Tag, book: &mut Book) {
        let id = if self.holder(id) == Some(tag) {
            packet_id(id)
        } else {
            let of_it = self.held.iter().find(|(_, held)| held.tag == tag);
            of_it.map(|(id, _)| id).or_else(|| packet_id(id))
        };
        let Some(held) = id.and_then(|id| self.held.get_mut(id)) else { return };
        held.onward += 1;
        if held.onward > 1 {
            book.by_receiver(place, Rule::SecondDelivery, tag);
        }
    }

    /// The message for which an id is held.
    pub(super) fn holder(&self, id: u16) -> Option<Tag> {
        self.held.get(packet_id(id)?).map(|held| held.tag)
    }

    /// The connection is gone. It may have closed before the endpoint could answer once, but not
    /// while it left repeats unanswered; and no PUBREL is a reason to close it.
    pub(super) fn closed(&mut self, place: Place, why: Close, book: &mut Book) {
        for due in self.due.drain(..) {
            let refused = due.kind == Kind::PubComp && why == Close::Protocol;
            if due.times > 1 || refused {
                due.unanswered(place, book);
            }
        }
        self.answered = [0; 2];
    }

    /// The trial is over: what was not answered by now never will be.
    pub(super) fn finish(&mut self, place: Place, book: &mut Book) {
        for due in self.due.drain(..) {
            due.unanswered(place, book);
        }
    }

    /// The session is over.
    pub(super) fn forget(&mut self) {
        self.held.clear();
    }

    fn find(&self, kind: Kind, id: u16) -> Result<usize, usize> {
        self.due.binary_search_by_key(&(kind, id), |due| (due.kind, due.id))
    }
}

impl Serialize for Receiver {
    /// The numbers of arrivals are ranked: they would grow for ever. When an answer became due is
    /// told, and decides nothing.
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let rank = ranks(self.due.iter().map(|due| due.arrival));
        // Whatever arrives from now on is behind all that was answered.
        let before = |answered: u32| self.due.iter().filter(|due| due.arrival < answered).count();
        let held: Vec<_> = self.held.iter().map(|(id, it)| (id, it.tag, it.onward)).collect();
        let due = self.due.iter().map(|due| {
            let Due { tag, kind, id, times, arrival, codes, .. } = *due;
            (tag, kind, id, times, rank(arrival), codes)
        });
        let due: Vec<_> = due.collect();
        (held, due, self.answered.map(before)).serialize(to)
    }
}

impl Due {
    fn unanswered(&self, place: Place, book: &mut Book) {
        let place = Place { at: self.since, ..place };
        let rule = match self.kind {
            Kind::PubAck => Rule::PublishUnacknowledged,
            Kind::PubRec => Rule::PublishUnrecorded,
            Kind::PubComp => Rule::ReleaseUnanswered,
            Kind::SubAck => return book.by_peer(place, Rule::SubscribeUnanswered),
            Kind::UnsubAck => return book.by_peer(place, Rule::UnsubscribeUnanswered),
            Kind::PingResp => return book.by_peer(place, Rule::PingUnanswered),
            _ => return book.by_peer(place, Rule::ConnectUnanswered),
        };
        book.by_receiver(place, rule, self.tag);
    }
}
