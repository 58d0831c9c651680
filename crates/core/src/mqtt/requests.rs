//! A client's SUBSCRIBEs and UNSUBSCRIBEs: what it wants, and what it waits for.

use std::collections::VecDeque;
use std::sync::Arc;

use serde::Serialize;

use super::host::Outbox;
use super::outbound::Outbound;
use super::packet::{Packet, PacketId, Subscribe, Unsubscribe};
use super::settings::Version;
use crate::base::event::SubscriptionRequest;
use crate::base::name::Connection;
use crate::base::time::{Span, Time};

/// SUBACK's codes from here on refuse a filter.
const REFUSED: u8 = 0x80;

/// Which filters the application wants, whatever becomes of connections and sessions.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Requests {
    wanted: Vec<Wanted>,
    unwanted: Vec<(Arc<str>, Progress)>,
    /// Sent and not yet answered; all wait equally long, so the first is the first to be repeated.
    pending: VecDeque<Pending>,
    /// Whether any filter is [`Progress::Due`].
    due: bool,
    /// `None` where the transport loses nothing.
    // The same in all states of a trial.
    #[serde(skip)]
    retry: Option<Span>,
    // The same in all states of a trial.
    #[serde(skip)]
    version: Version,
}

#[derive(Clone, Debug, Serialize)]
struct Wanted {
    request: SubscriptionRequest,
    progress: Progress,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
enum Progress {
    /// To be sent.
    Due,
    /// In the packet with this id.
    Asked(PacketId),
    Answered,
}

#[derive(Clone, Debug, Serialize)]
struct Pending {
    packet: Packet,
    id: PacketId,
    again: Time,
}

impl Requests {
    pub(crate) const fn new(retry: Option<Span>, version: Version) -> Self {
        Self {
            wanted: Vec::new(),
            unwanted: Vec::new(),
            pending: VecDeque::new(),
            due: false,
            retry,
            version,
        }
    }

    /// The application subscribes.
    pub(crate) fn want(&mut self, requests: Vec<SubscriptionRequest>) {
        for request in requests {
            self.unwanted.retain(|(filter, _)| *filter != request.filter);
            self.wanted.retain(|wanted| wanted.request.filter != request.filter);
            self.wanted.push(Wanted { request, progress: Progress::Due });
        }
        self.due = true;
    }

    /// The application unsubscribes.
    pub(crate) fn no_longer_want(&mut self, filters: &[Arc<str>]) {
        self.wanted.retain(|wanted| !filters.contains(&wanted.request.filter));
        self.unwanted.retain(|(filter, _)| !filters.contains(filter));
        self.unwanted.extend(filters.iter().map(|filter| (Arc::clone(filter), Progress::Due)));
        self.due = true;
    }

    /// The broker has no session, and so no subscriptions: ask for all of them again, if the
    /// client does that by itself.
    pub(crate) fn forget_answers(&mut self, resubscribe: bool) {
        if resubscribe {
            for wanted in &mut self.wanted {
                wanted.progress = Progress::Due;
            }
        }
        self.unwanted.clear();
        self.due = self.is_anything_due();
    }

    /// The connection is gone: what was not answered is asked again on the next.
    pub(crate) fn suspend(&mut self) {
        self.pending.clear();
        let wanted = self.wanted.iter_mut().map(|wanted| &mut wanted.progress);
        let unwanted = self.unwanted.iter_mut().map(|(_, progress)| progress);
        for progress in wanted.chain(unwanted) {
            if let Progress::Asked(_) = progress {
                *progress = Progress::Due;
            }
        }
        self.due = self.is_anything_due();
    }

    /// Sends the next packet that is due, unless one is still unanswered: one request at a time
    /// keeps a repeated SUBSCRIBE from undoing the UNSUBSCRIBE that followed it.
    pub(crate) fn ask(
        &mut self,
        now: Time,
        connection: Connection,
        ids: &mut Outbound,
        outbox: &mut Outbox,
    ) {
        if !self.are_due() {
            return;
        }
        let Some(id) = ids.reserve_id() else { return };
        let filters = mark(self.unwanted.iter_mut().map(|(filter, due)| (due, &*filter)), id);
        let packet = if filters.is_empty() {
            // One SUBSCRIBE has one Subscription Identifier for all its filters (5.0).
            let first = self.wanted.iter().find(|wanted| wanted.progress == Progress::Due);
            let identifier = first.map(|wanted| wanted.request.options.identifier);
            let alike = |it: &&mut Wanted| Some(it.request.options.identifier) == identifier;
            let wanted = self.wanted.iter_mut().filter(alike);
            let requests = mark(wanted.map(|w| (&mut w.progress, &w.request)), id);
            Packet::Subscribe(Box::new(Subscribe { id, dup: false, requests }))
        } else {
            Packet::Unsubscribe(Box::new(Unsubscribe { id, dup: false, filters }))
        };
        self.due = self.is_anything_due();
        self.send(now, connection, outbox, id, packet);
    }

    /// A SUBACK or UNSUBACK came; says whether it was awaited. A filter that the broker refused,
    /// by a code of 0x80 or more, is not asked for again.
    pub(crate) fn answered(&mut self, id: PacketId, codes: &[u8]) -> bool {
        let Some(place) = self.pending.iter().position(|pending| pending.id == id) else {
            return false;
        };
        let Some(pending) = self.pending.remove(place) else { return false };
        self.unwanted.retain(|(_, progress)| *progress != Progress::Asked(id));
        let Packet::Subscribe(subscribe) = pending.packet else { return true };
        for (request, code) in subscribe.requests.iter().zip(codes) {
            let asked = Progress::Asked(id);
            let of = |wanted: &Wanted| {
                wanted.request.filter == request.filter && wanted.progress == asked
            };
            if *code >= REFUSED {
                self.wanted.retain(|wanted| !of(wanted));
            } else if let Some(wanted) = self.wanted.iter_mut().find(|wanted| of(wanted)) {
                wanted.progress = Progress::Answered;
            }
        }
        true
    }

    /// Sends again what has waited long enough.
    pub(crate) fn repeat(&mut self, now: Time, connection: Connection, outbox: &mut Outbox) {
        while let Some(pending) = self.pending.pop_front_if(|pending| pending.again <= now) {
            let Pending { mut packet, id, .. } = pending;
            // Only MQTT 3.1 has a DUP flag here.
            let dup = self.version == Version::V31;
            match &mut packet {
                Packet::Subscribe(subscribe) => subscribe.dup = dup,
                Packet::Unsubscribe(unsubscribe) => unsubscribe.dup = dup,
                _ => {}
            }
            self.send(now, connection, outbox, id, packet);
        }
    }

    pub(crate) fn next_deadline(&self) -> Time {
        self.pending.front().map_or(Time::NEVER, |pending| pending.again)
    }

    /// Whether [`Requests::ask`] would send something, given a connection and an id.
    pub(crate) fn are_due(&self) -> bool {
        self.due && self.pending.is_empty()
    }

    /// Whether the client has or wants any subscription.
    pub(crate) fn are_any_wanted(&self) -> bool {
        !self.wanted.is_empty()
    }

    pub(crate) fn are_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    fn send(
        &mut self,
        now: Time,
        connection: Connection,
        outbox: &mut Outbox,
        id: PacketId,
        packet: Packet,
    ) {
        outbox.send_control(connection, packet.clone());
        let again = self.retry.map_or(Time::NEVER, |after| now + after);
        self.pending.push_back(Pending { packet, id, again });
    }

    fn is_anything_due(&self) -> bool {
        let wanted = self.wanted.iter().map(|wanted| wanted.progress);
        let unwanted = self.unwanted.iter().map(|(_, progress)| *progress);
        wanted.chain(unwanted).any(|progress| progress == Progress::Due)
    }
}

/// Marks what is due as asked in packet `id`, and returns it.
fn mark<'a, T: Clone + 'a>(
    items: impl Iterator<Item = (&'a mut Progress, &'a T)>,
    id: PacketId,
) -> Vec<T> {
    let due = items.filter(|(progress, _)| **progress == Progress::Due);
    due.map(|(progress, item)| {
        *progress = Progress::Asked(id);
        item.clone()
    })
    .collect()
}
