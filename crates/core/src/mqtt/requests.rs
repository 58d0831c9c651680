//! A client's SUBSCRIBEs and UNSUBSCRIBEs: what it wants, and what it waits for.

use std::collections::VecDeque;
use std::sync::Arc;

use super::outbound::Outbound;
use super::packet::{Packet, PacketId, Subscribe, Unsubscribe};
use super::session_context::EndpointOutbox;
use super::settings::Version;
use crate::base::{ConnectionNumber, Span, SubscriptionRequest, Time};
use crate::impl_fingerprint;

/// SUBACK's codes from here on refuse a filter.
const FIRST_FAILURE_CODE: u8 = 0x80;

/// Filters that the application wants, whatever becomes of connections and sessions.
#[derive(Clone, Debug)]
pub(crate) struct SubscriptionRequests {
    subscriptions: Vec<WantedFilter>,
    unsubscribes: Vec<(Arc<str>, RequestProgress)>,
    /// Sent and not yet answered; all wait equally long, so the first is the first to be repeated.
    pending: VecDeque<PendingRequest>,
    /// Whether any filter is [`RequestProgress::Due`].
    has_due: bool,
    /// `None` where the transport loses nothing.
    retry: Option<Span>,
    version: Version,
}

impl_fingerprint! {
    struct SubscriptionRequests {
        plain subscriptions, unsubscribes, pending, has_due;
        skip retry, version: "the same in all states of a trial";
    }
}

#[derive(Clone, Debug)]
struct WantedFilter {
    request: SubscriptionRequest,
    progress: RequestProgress,
}

impl_fingerprint! { struct WantedFilter { plain request, progress; } }

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RequestProgress {
    /// To be sent.
    Due,
    /// In the packet with this id.
    Sent(PacketId),
    Acknowledged,
}

impl_fingerprint! {
    enum RequestProgress {
        Due,
        Sent(id),
        Acknowledged,
    }
}

#[derive(Clone, Debug)]
struct PendingRequest {
    packet: Packet,
    id: PacketId,
    resend_at: Time,
}

impl_fingerprint! {
    struct PendingRequest {
        plain packet, id, resend_at;
    }
}

impl SubscriptionRequests {
    pub(crate) const fn new(retry: Option<Span>, version: Version) -> Self {
        Self {
            subscriptions: Vec::new(),
            unsubscribes: Vec::new(),
            pending: VecDeque::new(),
            has_due: false,
            retry,
            version,
        }
    }

    /// The application subscribes.
    pub(crate) fn subscribe(&mut self, requests: Vec<SubscriptionRequest>) {
        for request in requests {
            self.unsubscribes.retain(|(filter, _)| *filter != request.filter);
            self.subscriptions.retain(|wanted| wanted.request.filter != request.filter);
            self.subscriptions.push(WantedFilter { request, progress: RequestProgress::Due });
        }
        self.has_due = true;
    }

    /// The application unsubscribes.
    pub(crate) fn unsubscribe(&mut self, filters: &[Arc<str>]) {
        self.subscriptions.retain(|wanted| !filters.contains(&wanted.request.filter));
        self.unsubscribes.retain(|(filter, _)| !filters.contains(filter));
        self.unsubscribes
            .extend(filters.iter().map(|filter| (Arc::clone(filter), RequestProgress::Due)));
        self.has_due = true;
    }

    /// The broker has no session, and so no subscriptions: ask for all of them again, if the
    /// client does that by itself.
    pub(crate) fn on_session_lost(&mut self, resubscribe: bool) {
        if resubscribe {
            for wanted in &mut self.subscriptions {
                wanted.progress = RequestProgress::Due;
            }
        }
        self.unsubscribes.clear();
        self.has_due = self.has_due_filter();
    }

    /// The connection is gone: what was not answered is asked again on the next.
    pub(crate) fn suspend(&mut self) {
        self.pending.clear();
        let wanted = self.subscriptions.iter_mut().map(|wanted| &mut wanted.progress);
        let unwanted = self.unsubscribes.iter_mut().map(|(_, progress)| progress);
        for progress in wanted.chain(unwanted) {
            if let RequestProgress::Sent(_) = progress {
                *progress = RequestProgress::Due;
            }
        }
        self.has_due = self.has_due_filter();
    }

    /// Sends the next packet that is due, unless one is unanswered: one request at a time
    /// keeps a repeated SUBSCRIBE from undoing the UNSUBSCRIBE that followed it.
    pub(crate) fn send_due(
        &mut self,
        now: Time,
        connection: ConnectionNumber,
        ids: &mut Outbound,
        outbox: &mut EndpointOutbox,
    ) {
        if !self.can_send() {
            return;
        }
        let Some(id) = ids.reserve_id() else { return };
        let filters =
            mark_sent(self.unsubscribes.iter_mut().map(|(filter, due)| (due, &*filter)), id);
        let packet = if filters.is_empty() {
            // One SUBSCRIBE has one Subscription Identifier for all its filters (5.0).
            let first =
                self.subscriptions.iter().find(|wanted| wanted.progress == RequestProgress::Due);
            let identifier = first.map(|wanted| wanted.request.options.identifier);
            let alike = |it: &&mut WantedFilter| Some(it.request.options.identifier) == identifier;
            let wanted = self.subscriptions.iter_mut().filter(alike);
            let requests = mark_sent(wanted.map(|w| (&mut w.progress, &w.request)), id);
            Packet::Subscribe(Box::new(Subscribe { id, dup: false, requests }))
        } else {
            Packet::Unsubscribe(Box::new(Unsubscribe { id, dup: false, filters }))
        };
        self.has_due = self.has_due_filter();
        self.send(now, connection, outbox, id, packet);
    }

    /// A SUBACK or UNSUBACK came; says whether it was awaited. A filter that the broker refused,
    /// by a code of 0x80 or more, is not asked for again.
    pub(crate) fn on_ack(&mut self, id: PacketId, codes: &[u8]) -> bool {
        let Some(place) = self.pending.iter().position(|pending| pending.id == id) else {
            return false;
        };
        let Some(pending) = self.pending.remove(place) else { return false };
        self.unsubscribes.retain(|(_, progress)| *progress != RequestProgress::Sent(id));
        let Packet::Subscribe(subscribe) = pending.packet else { return true };
        for (request, code) in subscribe.requests.iter().zip(codes) {
            let asked = RequestProgress::Sent(id);
            let is_same_request = |wanted: &WantedFilter| {
                wanted.request.filter == request.filter && wanted.progress == asked
            };
            if *code >= FIRST_FAILURE_CODE {
                self.subscriptions.retain(|wanted| !is_same_request(wanted));
            } else if let Some(wanted) =
                self.subscriptions.iter_mut().find(|wanted| is_same_request(wanted))
            {
                wanted.progress = RequestProgress::Acknowledged;
            }
        }
        true
    }

    /// Sends again what has waited long enough.
    pub(crate) fn resend_due(
        &mut self,
        now: Time,
        connection: ConnectionNumber,
        outbox: &mut EndpointOutbox,
    ) {
        while let Some(pending) = self.pending.pop_front_if(|pending| pending.resend_at <= now) {
            let PendingRequest { mut packet, id, .. } = pending;
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
        self.pending.front().map_or(Time::NEVER, |pending| pending.resend_at)
    }

    /// Whether [`SubscriptionRequests::send_due`] would send something, given a connection and an
    /// id.
    pub(crate) fn can_send(&self) -> bool {
        self.has_due && self.pending.is_empty()
    }

    /// Whether the client has or wants any subscription.
    pub(crate) fn has_subscriptions(&self) -> bool {
        !self.subscriptions.is_empty()
    }

    pub(crate) fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    fn send(
        &mut self,
        now: Time,
        connection: ConnectionNumber,
        outbox: &mut EndpointOutbox,
        id: PacketId,
        packet: Packet,
    ) {
        outbox.send_control(connection, packet.clone());
        let again = self.retry.map_or(Time::NEVER, |after| now + after);
        self.pending.push_back(PendingRequest { packet, id, resend_at: again });
    }

    fn has_due_filter(&self) -> bool {
        let wanted = self.subscriptions.iter().map(|wanted| wanted.progress);
        let unwanted = self.unsubscribes.iter().map(|(_, progress)| *progress);
        wanted.chain(unwanted).any(|progress| progress == RequestProgress::Due)
    }
}

/// Marks what is due as asked in packet `id`, and returns it.
fn mark_sent<'a, T: Clone + 'a>(
    items: impl Iterator<Item = (&'a mut RequestProgress, &'a T)>,
    id: PacketId,
) -> Vec<T> {
    let due = items.filter(|(progress, _)| **progress == RequestProgress::Due);
    due.map(|(progress, item)| {
        *progress = RequestProgress::Sent(id);
        item.clone()
    })
    .collect()
}
