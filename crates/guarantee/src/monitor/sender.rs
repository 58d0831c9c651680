//! The sender's half of a hop, judged by the ids that it has in use *by what it was told*.

use serde::{Serialize, Serializer};

use super::book::{Book, Place, packet_id};
use crate::rules::Rule;
use qoslab_core::base::event::{Close, Dropped, Record};
use qoslab_core::base::fingerprint::{Since, ranks};
use qoslab_core::base::name::{Kind, Tag};
use qoslab_core::base::qos::QoS;
use qoslab_core::base::time::Time;
use qoslab_core::mqtt::ids::IdRing;
use qoslab_core::mqtt::packet::PacketId;
use qoslab_core::mqtt::settings::Version;

/// At most so many refused messages are remembered.
const MAX_REFUSED: usize = 256;

/// What one end sends on one link.
#[derive(Clone, Debug)]
pub(super) struct Sender {
    open: IdRing<Exchange>,
    /// Exchanges that must not go on.
    over: Vec<Over>,
    /// How many messages were sent for the first time.
    launched: u32,
    /// The place in the original order of what was resent last on this connection.
    resent: u32,
    /// How many PUBRECs came, and the last one that was answered by PUBREL on this connection.
    recorded: u32,
    released: u32,
    /// The greatest place in the original order of what was released on this connection.
    released_of: u32,
    /// Open exchanges of which nothing was sent on this connection yet.
    owing: u32,
    /// PUBRECs that are not answered by PUBREL yet.
    due: u32,
    due_since: Time,
    /// Messages of QoS 1 and 2 sent on this connection and not yet acknowledged.
    unacknowledged: u32,
    /// The peer's Receive Maximum.
    pub(super) receive_maximum: u16,
    resumed_at: Time,
}

/// A message that a sender has under way.
#[derive(Clone, Copy, Debug)]
struct Exchange {
    tag: Tag,
    qos: QoS,
    /// PUBREL was sent for it.
    released: bool,
    /// An acknowledgement came that does not fit its state: some endpoints take it as the end.
    doubtful: bool,
    /// PUBREC came and PUBREL was not sent since.
    due: bool,
    /// Something of it was sent on this connection.
    here: bool,
    /// Its PUBLISH was sent on this connection.
    counted: bool,
    /// Repeated PUBRECs that may each be answered by one more PUBREL.
    repeats: u8,
    /// Its place in the original order, from 1; 0 where that was not seen.
    order: u32,
    /// Which PUBREC was the first for it, from 1; 0 for none.
    recorded: u32,
}

/// An exchange that must not go on.
#[derive(Clone, Copy, Debug, Serialize)]
struct Over {
    id: u16,
    tag: Tag,
    because: Because,
}

/// Why an exchange must not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) enum Because {
    /// The receiver refused it.
    Refused,
    /// The peer has no session.
    Reset,
    /// The session began with a clean start.
    Clean,
}

impl Sender {
    pub(super) const fn new() -> Self {
        Self {
            open: IdRing::new(),
            over: Vec::new(),
            launched: 0,
            resent: 0,
            recorded: 0,
            released: 0,
            released_of: 0,
            owing: 0,
            due: 0,
            due_since: Time::ZERO,
            unacknowledged: 0,
            receive_maximum: u16::MAX,
            resumed_at: Time::ZERO,
        }
    }

    /// A PUBLISH with a packet id was sent.
    #[inline]
    pub(super) fn publish(&mut self, place: Place, record: &Record<'_>, qos: QoS, book: &mut Book) {
        let Some(id) = packet_id(record.id) else {
            book.by_sender(place, Rule::IdZero, record.tag);
            return;
        };
        if let Some(old) = self.open.get_mut(id) {
            if old.tag == record.tag {
                self.resend(place, id, record, book);
                return;
            }
            if !old.here {
                let tag = old.tag;
                let late = Place { at: self.resumed_at, ..place };
                book.by_sender(late, Rule::PublishNotResent, tag);
            } else if !old.doubtful {
                let tags = [record.tag, old.tag];
                book.by_sender_of_two(place, Rule::IdInUse, tags);
            }
            self.end(id);
        }
        let again = record.dup() || record.is_resend();
        if record.dup() && !record.is_resend() {
            let two = qos == QoS::ExactlyOnce;
            let rule = if two { Rule::FirstOfQosTwoWithDup } else { Rule::FirstWithDup };
            book.by_sender(place, rule, record.tag);
        }
        if again || self.owing > 0 || !self.over.is_empty() {
            self.renewed(place, id, record, book);
        }
        // A resend of what the sender was told is complete is no rule's business here: the id
        // may have been freed by a stale acknowledgement of another message.
        self.launched += 1;
        let exchange = Exchange {
            tag: record.tag,
            qos,
            released: false,
            doubtful: false,
            due: false,
            here: true,
            counted: true,
            repeats: 0,
            order: if record.is_resend() { 0 } else { self.launched },
            recorded: 0,
        };
        self.open.insert(id, exchange);
        self.count(place, record.tag, book);
    }

    /// A PUBLISH was sent again under the id of its exchange.
    fn resend(&mut self, place: Place, id: PacketId, record: &Record<'_>, book: &mut Book) {
        let Some(exchange) = self.open.get_mut(id) else { return };
        if !record.dup() {
            book.by_sender(place, Rule::ResendWithoutDup, record.tag);
        }
        if exchange.released && !exchange.doubtful {
            book.by_sender(place, Rule::PublishAfterRelease, record.tag);
        } else if exchange.here {
            if !book.resends_by_timer(place) {
                book.by_sender(place, Rule::ResentAlive, record.tag);
            }
        } else if exchange.order != 0 {
            if exchange.order < self.resent {
                book.by_sender(place, Rule::ResendOutOfOrder, record.tag);
            }
            self.resent = self.resent.max(exchange.order);
        }
        self.owing -= u32::from(!exchange.here);
        exchange.here = true;
        if !exchange.counted {
            exchange.counted = true;
            self.count(place, record.tag, book);
        }
    }

    /// One more is unacknowledged on this connection.
    fn count(&mut self, place: Place, tag: Tag, book: &mut Book) {
        self.unacknowledged += 1;
        if self.unacknowledged > u32::from(self.receive_maximum) {
            book.by_sender(place, Rule::ReceiveMaximumExceeded, tag);
        }
    }

    /// A message came under an id that was free: perhaps not for the first time.
    #[cold]
    fn renewed(&mut self, place: Place, id: PacketId, record: &Record<'_>, book: &mut Book) {
        if record.dup() || record.is_resend() || self.owing > 0 {
            let is_same = |it: &Exchange| it.tag == record.tag && !it.released && !it.doubtful;
            let old = self.open.iter_mut().find(|(_, exchange)| is_same(exchange));
            if let Some(old) = old.map(|(id, _)| id) {
                book.by_sender(place, Rule::IdChanged, record.tag);
                self.end(old);
            }
        }
        let wrong = self.over.iter().find(|over| match over.because {
            Because::Refused => over.tag == record.tag,
            Because::Reset | Because::Clean => {
                over.tag == record.tag && over.id == id.get() && record.dup()
            }
        });
        if let Some(over) = wrong {
            book.by_sender(place, over.because.rule(), record.tag);
        }
        self.over.retain(|over| over.id != id.get());
    }

    /// A PUBREL was sent.
    #[inline]
    pub(super) fn release(&mut self, place: Place, record: &Record<'_>, book: &mut Book) {
        let Some(id) = packet_id(record.id) else { return };
        let Some(exchange) = self.open.get_mut(id) else {
            if !self.over.is_empty() {
                let over = self.over.iter().find(|over| over.id == record.id);
                if let Some(over) = over.filter(|over| over.because != Because::Refused) {
                    book.by_sender(place, over.because.rule(), record.tag);
                }
            }
            return;
        };
        if exchange.qos != QoS::ExactlyOnce {
            return;
        }
        let is_late = exchange.recorded < self.released;
        if exchange.due && is_late {
            book.by_sender(place, Rule::ReleaseOutOfOrder, record.tag);
        } else if !exchange.here && is_late && (1..self.released_of).contains(&exchange.order) {
            // It may go by the order of the messages as well as by that of the PUBRECs.
            book.by_sender(place, Rule::ReleaseResentOutOfOrder, record.tag);
        }
        if exchange.due || !exchange.here {
            self.released = self.released.max(exchange.recorded);
            self.released_of = self.released_of.max(exchange.order);
        }
        if exchange.due {
            exchange.due = false;
            self.due -= 1;
        } else if exchange.released && exchange.here {
            if exchange.repeats > 0 {
                exchange.repeats -= 1;
            } else if !book.resends_by_timer(place) {
                book.by_sender(place, Rule::ResentAlive, record.tag);
            }
        } else if exchange.recorded == 0 && !exchange.doubtful && !exchange.released {
            book.by_sender(place, Rule::ReleaseUnasked, record.tag);
        }
        exchange.released = true;
        self.owing -= u32::from(!exchange.here);
        exchange.here = true;
    }

    /// PUBACK, PUBREC or PUBCOMP came. Gives the message that the sender took on, or took as done,
    /// because of it: it goes by the packet id alone, whatever message the receiver meant.
    #[inline]
    pub(super) fn answered(&mut self, now: Time, record: &Record<'_>) -> Option<Tag> {
        let id = packet_id(record.id)?;
        if !self.over.is_empty() {
            // A stray PUBREC may be answered by PUBREL.
            self.over.retain(|over| over.id != record.id || over.because == Because::Refused);
        }
        let exchange = self.open.get_mut(id)?;
        let refused = record.reason >= 0x80;
        let ends = match (record.kind(), exchange.qos) {
            (Kind::PubAck, QoS::AtLeastOnce) => true,
            (Kind::PubRec, QoS::ExactlyOnce) if !exchange.released => {
                if !refused && !exchange.due {
                    self.recorded += 1;
                    exchange.recorded = self.recorded;
                    exchange.due = true;
                    self.due += 1;
                    self.due_since = now;
                }
                if !refused {
                    return Some(exchange.tag);
                }
                true
            }
            (Kind::PubRec, QoS::ExactlyOnce) => {
                exchange.repeats = exchange.repeats.saturating_add(1);
                false
            }
            (Kind::PubComp, QoS::ExactlyOnce) if exchange.released => true,
            _ => {
                exchange.doubtful = true;
                false
            }
        };
        if !ends {
            return None;
        }
        let tag = exchange.tag;
        if refused && record.kind() != Kind::PubComp {
            self.over.truncate(MAX_REFUSED);
            self.over.insert(0, Over { id: record.id, tag, because: Because::Refused });
        }
        self.end(id);
        Some(tag)
    }

    fn end(&mut self, id: PacketId) {
        let Some(exchange) = self.open.remove(id) else { return };
        self.owing -= u32::from(!exchange.here);
        self.due -= u32::from(exchange.due);
        self.unacknowledged -= u32::from(exchange.counted);
    }

    /// The sender let go of a message: its id is free. What it says of a session's end is for its
    /// peer to see.
    pub(super) fn let_go(&mut self, place: Place, tag: Tag, why: Dropped, book: &mut Book) {
        if why == Dropped::SessionEnded {
            return;
        }
        let found = self.open.iter_mut().find(|(_, exchange)| exchange.tag == tag);
        let Some((id, qos)) = found.map(|(id, exchange)| (id, exchange.qos)) else { return };
        if why == Dropped::Expired && qos == QoS::ExactlyOnce {
            book.by_sender(place, Rule::ExpiredInFlight, tag);
        }
        self.end(id);
    }

    /// The session goes on, on a new connection or, over datagrams, once more on the same.
    pub(super) fn resumed(&mut self, now: Time, is_new_connection: bool) {
        for (_, exchange) in self.open.iter_mut() {
            exchange.here = false;
            exchange.counted &= !is_new_connection;
            exchange.repeats = 0;
        }
        if is_new_connection {
            self.unacknowledged = 0;
        }
        self.owing = u32::try_from(self.open.len()).unwrap_or(u32::MAX);
        self.resent = 0;
        self.released = 0;
        self.released_of = 0;
        self.resumed_at = now;
    }

    /// The connection is gone, or the trial is over: what was not done by now was left undone.
    /// A crash may come between any two packets, and the network may cut at the very first.
    pub(super) fn closed(&mut self, place: Place, why: Option<Close>, book: &mut Book) {
        let crashed = why == Some(Close::Crash);
        let is_over = why.is_none();
        if self.due > 0 {
            let overdue = !crashed && (is_over || place.at > self.due_since);
            for (_, exchange) in self.open.iter_mut().filter(|(_, exchange)| exchange.due) {
                exchange.due = false;
                if overdue {
                    let since = Place { at: self.due_since, ..place };
                    book.by_sender(since, Rule::ReleaseMissing, exchange.tag);
                }
            }
            self.due = 0;
        }
        if std::mem::take(&mut self.owing) == 0 {
            return;
        }
        let overdue = !crashed && (is_over || place.at > self.resumed_at);
        // What waits for a place in the window waits by right.
        let is_full = book.version(place) == Version::V5
            && self.unacknowledged >= u32::from(self.receive_maximum);
        let late = Place { at: self.resumed_at, ..place };
        for (_, exchange) in self.open.iter_mut().filter(|(_, exchange)| !exchange.here) {
            exchange.here = true;
            if exchange.doubtful || !overdue {
                continue;
            }
            if exchange.released || exchange.recorded > 0 {
                book.by_sender(late, Rule::ReleaseNotResent, exchange.tag);
            } else if !is_full {
                book.by_sender(late, Rule::PublishNotResent, exchange.tag);
            }
        }
    }

    /// The session is over; `None` where nobody could know what was in it.
    pub(super) fn forget(&mut self, because: Option<Because>) {
        if because.is_none() || self.open.len() > 0 {
            self.over.clear();
        }
        if let Some(because) = because {
            let open = self.open.iter_mut();
            let over = open.map(|(id, it)| Over { id: id.get(), tag: it.tag, because });
            self.over.extend(over);
        }
        self.open.clear();
        self.owing = 0;
        self.due = 0;
        self.unacknowledged = 0;
    }
}

impl Serialize for Sender {
    /// The numbers that only give an order are ranked: they would grow for ever.
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let Self { ref open, ref over, resent, released, released_of, .. } = *self;
        let Self { owing, due, unacknowledged, receive_maximum, .. } = *self;
        let exchanges = || open.iter().map(|(_, exchange)| exchange);
        let sent = ranks(exchanges().map(|it| it.order));
        let recorded = ranks(exchanges().map(|it| it.recorded));
        // Whatever is sent or recorded from now on is behind all that was.
        let resent = exchanges().filter(|it| it.order < resent).count();
        let released = exchanges().filter(|it| it.recorded < released).count();
        let released_of = exchanges().filter(|it| it.order < released_of).count();
        let written = open.iter().map(|(id, it)| {
            let flags = [it.released, it.doubtful, it.due, it.here, it.counted];
            (id, it.tag, it.qos, flags, it.repeats, sent(it.order), recorded(it.recorded))
        });
        let written: Vec<_> = written.collect();
        // Both times are only compared with the present one.
        let times = (Since(self.due_since), Since(self.resumed_at));
        let counts = (owing, due, unacknowledged, receive_maximum);
        (written, over, [resent, released, released_of], times, counts).serialize(to)
    }
}

impl Because {
    const fn rule(self) -> Rule {
        match self {
            Self::Refused => Rule::RefusedResent,
            Self::Reset => Rule::OldStateAfterReset,
            Self::Clean => Rule::OldStateAfterClean,
        }
    }
}
