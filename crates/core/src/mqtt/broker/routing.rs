//! Routing of a message: to every session with a matching subscription, and to later subscribers.

use std::sync::Arc;

use super::{Broker, RetainedMessage};
use crate::base::{CloseReason, ConnectionNumber, QoS, SubscriptionOptions, Time, Transmission};
use crate::impl_fingerprint;
use crate::mqtt::inbound::ReceivedMessage;
use crate::mqtt::outbound::{QueuedMessage, SharedOrigin};
use crate::mqtt::packet::{Message, Publish};
use crate::mqtt::quirks::{Quirk, Quirks};
use crate::mqtt::settings::{OnFull, OverlappingFilters, Version};
use crate::mqtt::topics;

/// 5.0's reason for a topic to which its sender may not publish.
const NOT_AUTHORIZED: u8 = 0x87;
/// 5.0's reason for a message that a subscriber's queue has no room for.
const QUOTA_EXCEEDED: u8 = 0x97;
/// Reason codes from here on refuse (MQTT 5.0, section 2.4).
const FIRST_FAILURE_REASON: u8 = 0x80;

/// Terms that a session was granted for one filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Subscription {
    pub(super) granted: QoS,
    pub(super) options: SubscriptionOptions,
}

impl_fingerprint! { struct Subscription { plain granted, options; } }

/// A session's share in the messages to one topic, over all its matching filters.
#[derive(Clone, Debug)]
pub(super) struct SessionRoute {
    session: u32,
    granted: QoS,
    retain_as_published: bool,
    subscription_ids: Vec<u32>,
    senders: SenderFilter,
    /// How many copies for the session come before this one.
    nth: u32,
}

/// Publishers whose messages a route takes. A session with a matching No Local filter has two
/// routes: over all its filters, and for its own messages over the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SenderFilter {
    Anyone,
    OnlyOthers,
    OnlyOwn,
}

impl SenderFilter {
    /// Of a route over filters of which one has No Local, or none.
    const fn for_no_local(no_local: bool) -> Self {
        if no_local { Self::OnlyOthers } else { Self::Anyone }
    }
}

impl Broker {
    /// A PUBLISH came from a session.
    pub(super) fn publish(
        &mut self,
        now: Time,
        from: ConnectionNumber,
        index: u32,
        publish: Publish,
        arrival: Transmission,
    ) {
        let refusal = self.refusal_reason(now, index, &publish);
        let session = &mut self.sessions[index as usize];
        let (_, inbound, context) = session.split(now, index, &self.settings.hop, &mut self.outbox);
        let Some(reason) = refusal else {
            let response = inbound.on_publish(&context, publish, arrival);
            self.respond(now, from, response, arrival);
            return;
        };
        let version = context.version;
        let response = inbound.refuse(&context, &publish, reason);
        let is_refused =
            response.answer.as_ref().is_some_and(|it| it.reason() >= FIRST_FAILURE_REASON);
        if is_refused && version != Version::V5 {
            // It cannot be said; without an acknowledgement the sender will try again.
            self.close_connection(now, index, CloseReason::Requested);
        } else {
            self.respond(now, from, response, arrival);
        }
    }

    /// Why the broker does not take a message, if so.
    fn refusal_reason(&mut self, now: Time, index: u32, publish: &Publish) -> Option<u8> {
        let version = self.sessions[index as usize].version;
        if version == Version::V5 && self.is_denied(&publish.message.topic) {
            return Some(NOT_AUTHORIZED);
        }
        let must_fit = self.rejects_when_full() && publish.level.qos() != QoS::AtMostOnce;
        if must_fit && !self.has_room_for(now, index, publish) {
            Some(QUOTA_EXCEEDED)
        } else {
            None
        }
    }

    /// Whether an acknowledgement says that there is room for the message.
    pub(super) fn rejects_when_full(&self) -> bool {
        let hop = &self.settings.hop;
        // The quirk: acknowledged, and dropped where it does not fit.
        hop.on_full == OnFull::Reject && !hop.quirks.has(Quirk::AckThenDropOnFull)
    }

    /// Whether every subscriber has room for all its copies of a message, and for those of what was
    /// acknowledged by PUBREC and is not yet delivered.
    fn has_room_for(&mut self, now: Time, publisher: u32, publish: &Publish) -> bool {
        self.find_routes(&publish.message.topic);
        let routes = self.routes.iter().filter(|route| route.accepts_from(publisher));
        let plain = routes.map(|route| (route.session, route.granted));
        let sessions = &self.sessions;
        let is_connected = |index: u32| sessions[index as usize].connection.is_some();
        let groups = self.shared_routes.iter();
        let turns =
            groups.filter_map(|filter| self.shared_groups.next_member(filter, is_connected));
        let shared = turns.map(|(session, it)| (session, it.granted));
        let (quirks, qos) = (self.settings.hop.quirks, publish.level.qos());
        let need_queue_space =
            plain.chain(shared).filter(|it| forwarded_qos(quirks, qos, it.1) > QoS::AtMostOnce);
        let mut copies: Vec<_> = need_queue_space.map(|(session, _)| session).collect();
        copies.sort_unstable();
        let has_reserved_copies =
            sessions.iter().any(|it| it.inbound.undelivered_topics().next().is_some());
        copies.chunk_by(|a, b| a == b).all(|copies| {
            let (index, needed) = (copies[0], copies.len());
            let session = &mut self.sessions[index as usize];
            let (outbound, _, mut context) =
                session.split(now, index, &self.settings.hop, &mut self.outbox);
            let room = outbound.free_slots(&mut context);
            let reserved = if has_reserved_copies { self.reserved_copies(index) } else { 0 };
            room >= needed + reserved
        })
    }

    /// How many copies of what was acknowledged by PUBREC, and is delivered on PUBREL, may come to
    /// a session: of a group's, each member is taken to be the one.
    fn reserved_copies(&self, index: u32) -> usize {
        let filters = &self.sessions[index as usize].filters;
        let copies = |topic: &str| {
            let matching = |filter: &&Arc<str>| {
                let inner = topics::split_shared(filter).map_or(&***filter, |(_, inner)| inner);
                topics::matches(inner, topic)
            };
            let is_shared = |filter: &&Arc<str>| topics::split_shared(filter).is_some();
            let shared = filters.iter().filter(is_shared).filter(matching).count();
            let plain = filters.iter().filter(|it| !is_shared(it) && matching(it)).count();
            let each = self.settings.overlapping == OverlappingFilters::Each;
            shared + if each { plain } else { plain.min(1) }
        };
        let undelivered = self.sessions.iter().flat_map(|it| it.inbound.undelivered_topics());
        undelivered.map(copies).sum()
    }

    /// Whether publishing to a topic is denied to all clients.
    fn is_denied(&self, topic: &str) -> bool {
        self.settings.denied_filters.iter().any(|filter| topics::matches(filter, topic))
    }

    /// Hands a message to every session with a matching subscription [MQTT-3.3.5-1]: one copy, at
    /// the highest QoS granted among its matching filters. `publisher` is the session it came
    /// from. What may not be published goes nowhere, and before 5.0 its sender is not notified
    /// (MQTT 3.1.1, section 3.3.5.2). What `is_accepted` is queued at any length.
    pub(super) fn route(
        &mut self,
        now: Time,
        publisher: u32,
        delivery: ReceivedMessage,
        is_accepted: bool,
    ) {
        let ReceivedMessage { mut message, qos, retain, expires, arrival } = delivery;
        if self.is_denied(&message.topic) {
            return;
        }
        message.tag = message.tag.forwarded(arrival);
        self.find_routes(&message.topic);
        if retain {
            self.store_retained(message.clone(), qos, expires);
        }
        let outgoing =
            QueuedMessage { expires, is_accepted, ..QueuedMessage::new(message, qos, retain) };
        if !self.shared_routes.is_empty() {
            self.forward_shared(now, &outgoing);
        }
        let Some((last, others)) = self.routes.split_last() else { return };
        let sessions = &mut self.sessions;
        let outbox = &mut self.outbox;
        let hop = &self.settings.hop;
        let mut forward = |route: &SessionRoute, mut outgoing: QueuedMessage| {
            if route.accepts_from(publisher) {
                let session = &mut sessions[route.session as usize];
                let (outbound, _, mut context) = session.split(now, route.session, hop, outbox);
                outgoing.qos = forwarded_qos(hop.quirks, qos, route.granted);
                // RETAIN is 0 for a subscription that existed before [MQTT-3.3.1-9].
                outgoing.retain &= route.retain_as_published;
                outgoing.message.tag = outgoing.message.tag.for_further_copy(route.nth);
                if !route.subscription_ids.is_empty() {
                    outgoing.subscription_ids = route.subscription_ids.as_slice().into();
                }
                outbound.publish(&mut context, outgoing);
            }
        };
        for route in others {
            forward(route, outgoing.clone());
        }
        forward(last, outgoing);
    }

    /// Hands a message to one member of each group that it reaches.
    fn forward_shared(&mut self, now: Time, outgoing: &QueuedMessage) {
        let QueuedMessage { qos, retain, .. } = *outgoing;
        let mut recipients: Vec<u32> = Vec::new();
        for nth in 0..self.shared_routes.len() {
            let filter = Arc::clone(&self.shared_routes[nth]);
            let mut outgoing = outgoing.clone();
            // A member may get copies of its own, and those of other groups.
            if let Some((member, _)) = self.next_member(&filter) {
                let own = self.routes.iter().filter(|route| route.session == member).count();
                let others = recipients.iter().filter(|other| **other == member).count();
                let before = u32::try_from(own + others).unwrap_or(0);
                outgoing.message.tag = outgoing.message.tag.for_further_copy(before);
                recipients.push(member);
            }
            outgoing.shared = Some(Box::new(SharedOrigin { filter, qos, retain }));
            // A group without members has none to be told of it.
            let _ = self.dispatch(now, outgoing);
        }
    }

    /// Hands a message of a group to the member whose turn it is: the first, or another one when a
    /// member's session has ended. Gives it back if there is none.
    pub(super) fn dispatch(
        &mut self,
        now: Time,
        outgoing: QueuedMessage,
    ) -> Result<(), QueuedMessage> {
        let Some(SharedOrigin { filter, qos, retain }) = outgoing.shared.as_deref() else {
            return Err(outgoing);
        };
        let Some((index, subscription)) = self.next_member(filter) else { return Err(outgoing) };
        self.shared_groups.advance_turn(filter, index);
        let hop = &self.settings.hop;
        let member_copy = QueuedMessage {
            qos: forwarded_qos(hop.quirks, *qos, subscription.granted),
            retain: *retain && subscription.options.retain_as_published,
            subscription_ids: subscription.identifiers().collect(),
            ..outgoing
        };
        let (outbound, _, mut context) =
            self.sessions[index as usize].split(now, index, hop, &mut self.outbox);
        outbound.publish(&mut context, member_copy);
        Ok(())
    }

    /// The member of a filter's group whose turn it is.
    fn next_member(&self, filter: &str) -> Option<(u32, Subscription)> {
        let is_connected = |index: u32| self.sessions[index as usize].connection.is_some();
        self.shared_groups.next_member(filter, is_connected)
    }

    /// Fills `routes` and `shared_routes`.
    fn find_routes(&mut self, topic: &Arc<str>) {
        if self.routed_topic.as_ref().is_some_and(|routed| Arc::ptr_eq(routed, topic)) {
            return;
        }
        let matching = &mut self.matching_buffer;
        matching.clear();
        self.subscriptions.for_each_match(topic, |&session, &it| matching.push((session, it)));
        matching.sort_unstable_by_key(|&(session, _)| session);
        let quirks = self.settings.hop.quirks;
        self.routes.clear();
        for filters in matching.chunk_by(|a, b| a.0 == b.0) {
            let session = filters[0].0;
            let filters = filters.iter().map(|&(_, it)| it);
            if self.settings.overlapping == OverlappingFilters::Each {
                let each = (0..).zip(filters).filter_map(|(nth, it)| {
                    let senders = SenderFilter::for_no_local(it.options.no_local);
                    let route = merge_filters(session, std::iter::once(it), senders, quirks)?;
                    Some(SessionRoute { nth, ..route })
                });
                self.routes.extend(each);
                continue;
            }
            let no_local = filters.clone().any(|it| it.options.no_local);
            let all = SenderFilter::for_no_local(no_local);
            self.routes.extend(merge_filters(session, filters.clone(), all, quirks));
            if no_local {
                let others = filters.filter(|it| !it.options.no_local);
                self.routes.extend(merge_filters(session, others, SenderFilter::OnlyOwn, quirks));
            }
        }
        let shared = &mut self.shared_routes;
        shared.clear();
        self.shared_groups.for_each_match(topic, |filter| shared.push(Arc::clone(filter)));
        self.routed_topic = Some(Arc::clone(topic));
    }

    /// The last retained message of a topic; an empty payload removes it [MQTT-3.3.1-10].
    fn store_retained(&mut self, message: Message, qos: QoS, expires: Time) {
        // The quirk: what is there is not replaced.
        let keeps_old = self.settings.hop.quirks.has(Quirk::KeepOldRetained)
            && self.retained.contains_key(&message.topic);
        if message.payload.is_empty() {
            self.retained.remove(&message.topic);
        } else if !keeps_old {
            self.retained
                .insert(Arc::clone(&message.topic), RetainedMessage { message, qos, expires });
        }
    }
}

impl Subscription {
    /// Its Subscription Identifier, if it has one.
    pub(super) fn identifiers(&self) -> impl Iterator<Item = u32> {
        Some(self.options.identifier).into_iter().filter(|&id| id != 0)
    }
}

impl SessionRoute {
    #[inline]
    fn accepts_from(&self, publisher: u32) -> bool {
        match self.senders {
            SenderFilter::Anyone => true,
            SenderFilter::OnlyOthers => self.session != publisher,
            SenderFilter::OnlyOwn => self.session == publisher,
        }
    }
}

/// One copy for all matching filters of a session, at the highest QoS granted among them
/// [MQTT-3.3.5-1], with the Subscription Identifiers of all [MQTT-3.3.4-4].
fn merge_filters(
    session: u32,
    mut filters: impl Iterator<Item = Subscription>,
    senders: SenderFilter,
    quirks: Quirks,
) -> Option<SessionRoute> {
    let first = filters.next()?;
    let mut route = SessionRoute {
        session,
        granted: first.granted,
        retain_as_published: first.options.retain_as_published,
        subscription_ids: first.identifiers().collect(),
        senders,
        nth: 0,
    };
    // The quirk: the copy is sent at the lowest.
    let lowest = quirks.has(Quirk::OverlapMinQos);
    for other in filters {
        let (low, high) = (route.granted.min(other.granted), route.granted.max(other.granted));
        route.granted = if lowest { low } else { high };
        route.retain_as_published |= other.options.retain_as_published;
        route.subscription_ids.extend(other.identifiers());
    }
    Some(route)
}

/// The QoS of a forwarded message.
pub(super) fn forwarded_qos(quirks: Quirks, published: QoS, granted: QoS) -> QoS {
    if quirks.has(Quirk::NoQosCap) { published } else { published.min(granted) }
}
