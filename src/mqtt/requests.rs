//! A client's SUBSCRIBEs and UNSUBSCRIBEs: what it wants, and what it waits for.

use std::collections::VecDeque;
use std::sync::Arc;

use super::host::Outbox;
use super::outbound::Outbound;
use super::packet::{Packet, PacketId, SubAck, Subscribe, Unsubscribe};
use super::settings::Version;
use crate::base::event::SubscriptionRequest;
use crate::base::name::Connection;
use crate::base::time::{Span, Time};

/// Which filters the application wants, whatever becomes of connections and sessions.
#[derive(Clone, Debug)]
pub(crate) struct Requests {
    wanted: Vec<Wanted>,
    unwanted: Vec<(Arc<str>, Progress)>,
    /// Sent and not yet answered; all wait equally long, so the first is the first to be repeated.
    pending: VecDeque<Pending>,
    /// `None` where the transport loses nothing.
    retry: Option<Span>,
    version: Version,
}

#[derive(Clone, Debug)]
struct Wanted {
    request: SubscriptionRequest,
    progress: Progress,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// To be sent.
    Due,
    /// In the packet with this id.
    Asked(PacketId),
    Answered,
}

#[derive(Clone, Debug)]
struct Pending {
    packet: Packet,
    id: PacketId,
    again: Time,
}

impl Requests {
    pub(crate) const fn new(retry: Option<Span>, version: Version) -> Self {
        Self { wanted: Vec::new(), unwanted: Vec::new(), pending: VecDeque::new(), retry, version }
    }

    /// The application subscribes.
    pub(crate) fn want(&mut self, requests: Vec<SubscriptionRequest>) {
        for request in requests {
            self.unwanted.retain(|(filter, _)| *filter != request.filter);
            self.wanted.retain(|wanted| wanted.request.filter != request.filter);
            self.wanted.push(Wanted { request, progress: Progress::Due });
        }
    }

    /// The application unsubscribes.
    pub(crate) fn no_longer_want(&mut self, filters: &[Arc<str>]) {
        self.wanted.retain(|wanted| !filters.contains(&wanted.request.filter));
        self.unwanted.retain(|(filter, _)| !filters.contains(filter));
        self.unwanted.extend(filters.iter().map(|filter| (Arc::clone(filter), Progress::Due)));
    }

    /// The broker has no session: subscribe to everything again.
    pub(crate) fn forget_answers(&mut self) {
        for wanted in &mut self.wanted {
            wanted.progress = Progress::Due;
        }
        self.unwanted.clear();
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
    }

    /// Sends what is due, one packet of each kind.
    pub(crate) fn ask(
        &mut self,
        now: Time,
        connection: Connection,
        ids: &mut Outbound,
        outbox: &mut Outbox,
    ) {
        if self.unwanted.iter().any(|(_, progress)| *progress == Progress::Due)
            && let Some(id) = ids.reserve_id()
        {
            let filters = mark(self.unwanted.iter_mut().map(|(filter, p)| (p, &*filter)), id);
            let unsubscribe = Unsubscribe { id, dup: false, filters };
            self.send(now, connection, outbox, id, Packet::Unsubscribe(Box::new(unsubscribe)));
        }
        if self.wanted.iter().any(|wanted| wanted.progress == Progress::Due)
            && let Some(id) = ids.reserve_id()
        {
            let wanted = self.wanted.iter_mut();
            let requests = mark(wanted.map(|w| (&mut w.progress, &w.request)), id);
            let subscribe = Subscribe { id, dup: false, requests };
            self.send(now, connection, outbox, id, Packet::Subscribe(Box::new(subscribe)));
        }
    }

    pub(crate) fn suback(&mut self, ids: &mut Outbound, ack: &SubAck) {
        self.answered(ids, ack.id);
        let mut codes = ack.codes.iter();
        self.wanted.retain_mut(|wanted| {
            if wanted.progress != Progress::Asked(ack.id) {
                return true;
            }
            wanted.progress = Progress::Answered;
            // A refused filter is not asked for again.
            codes.next().is_none_or(|&code| code < 0x80)
        });
    }

    pub(crate) fn unsuback(&mut self, ids: &mut Outbound, id: PacketId) {
        self.answered(ids, id);
        self.unwanted.retain(|(_, progress)| *progress != Progress::Asked(id));
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

    fn answered(&mut self, ids: &mut Outbound, id: PacketId) {
        self.pending.retain(|pending| pending.id != id);
        ids.free_id(id);
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
