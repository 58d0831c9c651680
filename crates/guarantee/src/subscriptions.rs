//! The subscriptions at the broker: a mirror kept from the packets it handles and answers.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use super::promise::delivery_terms;
use super::shared_subscriptions::parse_shared_filter;
use super::trial_facts::{PublisherFacts, TrialFacts};
use qoslab_core::base::{ClientIndex, PublisherIndex, QoS, RetainHandling, SubscriptionRequest};
use qoslab_core::impl_fingerprint;
use qoslab_core::mqtt::topics::matches;

/// The subscriptions of all sessions. They change at the instant at which the broker answers:
/// SUBACK sent, UNSUBACK sent, session ended.
#[derive(Clone, Debug)]
pub(super) struct Subscriptions {
    clients: Vec<Vec<HeldSubscription>>,
    pending: Vec<PendingSubscriptionRequest>,
    topics: BTreeMap<Arc<str>, Vec<PublisherIndex>>,
}

impl_fingerprint! {
    struct Subscriptions {
        plain clients, pending;
        skip topics: "the same in all states of a trial";
    }
}

/// A request that reached the broker and was not answered yet.
#[derive(Clone, Debug)]
struct PendingSubscriptionRequest {
    client: ClientIndex,
    id: u16,
    changes: Vec<SubscriptionChange>,
}

impl_fingerprint! {
    struct PendingSubscriptionRequest {
        plain client, id, changes;
    }
}

/// One filter of a request: to subscribe to it as it says, or to end the subscription.
#[derive(Clone, Debug)]
enum SubscriptionChange {
    Subscribe(SubscriptionRequest),
    Unsubscribe(Arc<str>),
}

impl_fingerprint! {
    enum SubscriptionChange {
        Subscribe(request),
        Unsubscribe(filter),
    }
}

/// One subscription of a client.
#[derive(Clone, Debug)]
struct HeldSubscription {
    filter: Arc<str>,
    qos: QoS,
    no_local: bool,
    shared: bool,
    /// 5.0's Subscription Identifier; 0 for none.
    identifier: u32,
}

impl_fingerprint! {
    struct HeldSubscription {
        plain filter, qos, no_local, shared, identifier;
    }
}

/// A subscription that the broker has just granted.
#[derive(Clone, Debug)]
pub(super) struct GrantedSubscription {
    pub(super) filter: Arc<str>,
    pub(super) qos: QoS,
    /// What it owes of the retained messages that match.
    pub(super) retained: RetainedSend,
    /// 5.0's Subscription Identifier; 0 for none.
    pub(super) identifier: u32,
}

/// Whether retained copies are owed because of a SUBSCRIBE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RetainedSend {
    /// One each.
    Owed,
    /// None, and none may come.
    Never,
}

impl Subscriptions {
    /// No subscriptions yet.
    pub(super) fn new(trial: &TrialFacts) -> Self {
        let mut topics = BTreeMap::<Arc<str>, Vec<PublisherIndex>>::new();
        for (stream, facts) in (0..).map(PublisherIndex).zip(&trial.publishers) {
            topics.entry(Arc::clone(&facts.topic)).or_default().push(stream);
        }
        Self { clients: vec![Vec::new(); trial.clients.len()], pending: Vec::new(), topics }
    }

    /// A SUBSCRIBE reached the broker.
    pub(super) fn on_subscribe(
        &mut self,
        client: ClientIndex,
        id: u16,
        requests: &[SubscriptionRequest],
    ) {
        let changes = requests.iter().map(|request| SubscriptionChange::Subscribe(request.clone()));
        self.add_pending(client, id, changes.collect());
    }

    /// An UNSUBSCRIBE reached the broker.
    pub(super) fn on_unsubscribe(&mut self, client: ClientIndex, id: u16, filters: &[Arc<str>]) {
        let changes =
            filters.iter().map(|filter| SubscriptionChange::Unsubscribe(Arc::clone(filter)));
        self.add_pending(client, id, changes.collect());
    }

    /// The broker sent a SUBACK with these codes: gives the filters that are subscribed to now,
    /// with the granted QoS. Codes of 0x80 and above leave things as they were.
    pub(super) fn on_suback(
        &mut self,
        client: ClientIndex,
        id: u16,
        codes: &[u8],
    ) -> Vec<GrantedSubscription> {
        let Some(pending) = self.take_pending(client, id) else { return Vec::new() };
        let held = &mut self.clients[client.index()];
        let mut granted = Vec::new();
        for (ask, code) in pending.changes.into_iter().zip(codes) {
            let (SubscriptionChange::Subscribe(request), Some(qos)) =
                (ask, QoS::from_number(*code))
            else {
                continue;
            };
            let SubscriptionRequest { filter, options, .. } = request;
            let old = held.iter().position(|other| other.filter == filter);
            let retained = match options.retain_handling {
                RetainHandling::Send => RetainedSend::Owed,
                RetainHandling::SendIfNew if old.is_none() => RetainedSend::Owed,
                RetainHandling::SendIfNew | RetainHandling::DoNotSend => RetainedSend::Never,
            };
            let entry = HeldSubscription {
                filter: Arc::clone(&filter),
                qos,
                no_local: options.no_local,
                shared: parse_shared_filter(&filter).is_some(),
                identifier: options.identifier,
            };
            match old {
                Some(place) => held[place] = entry,
                None => held.push(entry),
            }
            let identifier = options.identifier;
            granted.push(GrantedSubscription { filter, qos, retained, identifier });
        }
        granted
    }

    /// The broker sent an UNSUBACK: gives the filters that are no longer subscribed to.
    pub(super) fn on_unsuback(&mut self, client: ClientIndex, id: u16) -> Vec<Arc<str>> {
        let Some(pending) = self.take_pending(client, id) else { return Vec::new() };
        let filters: Vec<_> =
            pending.changes.into_iter().map(SubscriptionChange::into_filter).collect();
        self.clients[client.index()].retain(|held| !filters.contains(&held.filter));
        filters
    }

    /// The broker crashed: gives the requests that it had not answered, by client and filter, with
    /// the QoS asked for, or `None` if the subscription was to end.
    pub(super) fn take_unanswered(&mut self) -> Vec<(ClientIndex, Arc<str>, Option<QoS>)> {
        let pending = std::mem::take(&mut self.pending);
        let changes = pending
            .into_iter()
            .flat_map(|it| it.changes.into_iter().map(move |ask| (it.client, ask)));
        changes
            .map(|(client, ask)| {
                let qos = match &ask {
                    SubscriptionChange::Subscribe(request) => Some(request.qos),
                    SubscriptionChange::Unsubscribe(_) => None,
                };
                (client, ask.into_filter(), qos)
            })
            .collect()
    }

    /// The session ended, and its subscriptions with it.
    pub(super) fn forget_client(&mut self, client: ClientIndex) {
        self.clients[client.index()].clear();
    }

    /// The QoS granted to a client for a stream by itself: the highest over its matching filters
    /// [MQTT-3.3.5-1]; `None` if it has none.
    pub(super) fn own_granted_qos(
        &self,
        client: ClientIndex,
        publisher: &PublisherFacts,
    ) -> Option<QoS> {
        self.matching_subscriptions(client, publisher)
            .filter(|held| !held.shared)
            .map(|held| held.qos)
            .max()
    }

    /// How many copies a client gets by itself of one arrival of a stream's message, and whether
    /// one of them may come again.
    pub(super) fn own_copies(
        &self,
        client: ClientIndex,
        publisher: &PublisherFacts,
        for_each_filter: bool,
    ) -> (u8, bool) {
        let own = self.matching_subscriptions(client, publisher).filter(|held| !held.shared);
        if !for_each_filter {
            return (1, false);
        }
        let (count, may_repeat) = own.fold((0_u8, false), |(count, may_repeat), held| {
            let terms = delivery_terms(publisher.qos, held.qos);
            (count.saturating_add(1), may_repeat || terms.may_repeat)
        });
        (count.max(1), may_repeat)
    }

    /// How many copies a client may get of one arrival: its own, and one by each of its groups.
    pub(super) fn copies_of_arrival(
        &self,
        client: ClientIndex,
        publisher: &PublisherFacts,
        for_each_filter: bool,
    ) -> u32 {
        let shared = self.matching_subscriptions(client, publisher).filter(|held| held.shared);
        let own = self
            .own_granted_qos(client, publisher)
            .map_or(0, |_| u32::from(self.own_copies(client, publisher, for_each_filter).0));
        own + u32::try_from(shared.count()).unwrap_or(u32::MAX)
    }

    /// The same, or as a member of a group.
    pub(super) fn highest_granted_qos(
        &self,
        client: ClientIndex,
        publisher: &PublisherFacts,
    ) -> Option<QoS> {
        self.matching_subscriptions(client, publisher).map(|held| held.qos).max()
    }

    /// The Subscription Identifiers of a client's own filters that match.
    pub(super) fn identifiers(&self, client: ClientIndex, publisher: &PublisherFacts) -> Vec<u32> {
        let own = self.matching_subscriptions(client, publisher).filter(|held| !held.shared);
        own.map(|held| held.identifier).filter(|id| *id != 0).collect()
    }

    /// What a client is owed at least: `None` without a subscription, or where it is a member of a
    /// group too, whose copies have a QoS of their own.
    pub(super) fn lowest_owed_qos(
        &self,
        client: ClientIndex,
        publisher: &PublisherFacts,
    ) -> Option<QoS> {
        let shares = self.matching_subscriptions(client, publisher).any(|held| held.shared);
        self.own_granted_qos(client, publisher).filter(|_| !shares)
    }

    /// A client's filters that match, but for those that keep its own messages from it
    /// [MQTT-3.8.3-3].
    fn matching_subscriptions(
        &self,
        client: ClientIndex,
        publisher: &PublisherFacts,
    ) -> impl Iterator<Item = &HeldSubscription> {
        let own = publisher.client == client;
        self.clients[client.index()].iter().filter(move |held| {
            let filter =
                parse_shared_filter(&held.filter).map_or(&*held.filter, |(_, filter)| filter);
            matches(filter, &publisher.topic) && !(held.no_local && own)
        })
    }

    /// The streams whose topic matches a filter, topic by topic.
    pub(super) fn matching_publishers(&self, filter: &str) -> Vec<PublisherIndex> {
        let filter = parse_shared_filter(filter).map_or(filter, |(_, filter)| filter);
        matching_topics(&self.topics, filter)
            .flat_map(|(_, streams)| streams.iter().copied())
            .collect()
    }

    fn add_pending(&mut self, client: ClientIndex, id: u16, changes: Vec<SubscriptionChange>) {
        self.take_pending(client, id);
        self.pending.push(PendingSubscriptionRequest { client, id, changes });
    }

    fn take_pending(&mut self, client: ClientIndex, id: u16) -> Option<PendingSubscriptionRequest> {
        let found = self.pending.iter().position(|it| it.client == client && it.id == id)?;
        Some(self.pending.swap_remove(found))
    }
}

impl SubscriptionChange {
    fn into_filter(self) -> Arc<str> {
        match self {
            Self::Subscribe(request) => request.filter,
            Self::Unsubscribe(filter) => filter,
        }
    }
}

/// The entries of a map by topic that match a filter. Only topics that begin with what stands
/// before the filter's first wildcard are looked at.
pub(super) fn matching_topics<'a, V>(
    map: &'a BTreeMap<Arc<str>, V>,
    filter: &str,
) -> impl Iterator<Item = (&'a Arc<str>, &'a V)> {
    let end = filter.find(['+', '#']).unwrap_or(filter.len());
    let prefix = if end < filter.len() { filter[..end].trim_end_matches('/') } else { filter };
    map.range::<str, _>((Bound::Included(prefix), Bound::Unbounded))
        .take_while(move |(topic, _)| topic.starts_with(prefix))
        .filter(move |(topic, _)| matches(filter, topic))
}
