//! Who subscribes to what at the broker: a mirror kept from the packets it handles and answers.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use serde::Serialize;

use super::roster::{Roster, StreamFacts};
use super::shared::group_of;
use qoslab_core::base::event::{RetainHandling, SubscriptionRequest};
use qoslab_core::base::name::{ClientIndex, StreamIndex};
use qoslab_core::base::qos::QoS;
use qoslab_core::mqtt::topics::matches;

/// The subscriptions of all sessions. They change at the instant at which the broker answers:
/// SUBACK sent, UNSUBACK sent, session ended.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Subscriptions {
    clients: Vec<Vec<Held>>,
    pending: Vec<Pending>,
    // The same in all states of a trial.
    #[serde(skip)]
    topics: BTreeMap<Arc<str>, Vec<StreamIndex>>,
}

/// A request that reached the broker and was not answered yet.
#[derive(Clone, Debug, Serialize)]
struct Pending {
    client: ClientIndex,
    id: u16,
    asks: Vec<Ask>,
}

/// One filter of a request: to subscribe to it as it says, or to end the subscription.
#[derive(Clone, Debug, Serialize)]
enum Ask {
    Begin(SubscriptionRequest),
    End(Arc<str>),
}

/// One subscription of a client.
#[derive(Clone, Debug, Serialize)]
struct Held {
    filter: Arc<str>,
    qos: QoS,
    no_local: bool,
    shared: bool,
}

/// A subscription that the broker has just granted.
#[derive(Clone, Debug)]
pub(super) struct Granted {
    pub(super) filter: Arc<str>,
    pub(super) qos: QoS,
    /// What it owes of the retained messages that match.
    pub(super) retained: Due,
}

/// Whether retained copies are owed because of a SUBSCRIBE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// One each.
    Owed,
    /// None, and none may come.
    Never,
}

impl Subscriptions {
    /// Nobody subscribes to anything.
    pub(super) fn new(roster: &Roster) -> Self {
        let mut topics = BTreeMap::<Arc<str>, Vec<StreamIndex>>::new();
        for (stream, facts) in (0..).map(StreamIndex).zip(&roster.streams) {
            topics.entry(Arc::clone(&facts.topic)).or_default().push(stream);
        }
        Self { clients: vec![Vec::new(); roster.clients.len()], pending: Vec::new(), topics }
    }

    /// A SUBSCRIBE reached the broker.
    pub(super) fn asked(&mut self, client: ClientIndex, id: u16, requests: &[SubscriptionRequest]) {
        let asks = requests.iter().map(|request| Ask::Begin(request.clone()));
        self.pend(client, id, asks.collect());
    }

    /// An UNSUBSCRIBE reached the broker.
    pub(super) fn asked_to_end(&mut self, client: ClientIndex, id: u16, filters: &[Arc<str>]) {
        let asks = filters.iter().map(|filter| Ask::End(Arc::clone(filter)));
        self.pend(client, id, asks.collect());
    }

    /// The broker sent a SUBACK with these codes: gives the filters that are subscribed to now,
    /// with the granted QoS. Codes of 0x80 and above leave things as they were.
    pub(super) fn granted(&mut self, client: ClientIndex, id: u16, codes: &[u8]) -> Vec<Granted> {
        let Some(pending) = self.take(client, id) else { return Vec::new() };
        let held = &mut self.clients[client.index()];
        let mut granted = Vec::new();
        for (ask, code) in pending.asks.into_iter().zip(codes) {
            let (Ask::Begin(request), Some(qos)) = (ask, QoS::from_number(*code)) else { continue };
            let SubscriptionRequest { filter, options, .. } = request;
            let old = held.iter().position(|other| other.filter == filter);
            let retained = match options.retain_handling {
                RetainHandling::Send => Due::Owed,
                RetainHandling::SendIfNew if old.is_none() => Due::Owed,
                RetainHandling::SendIfNew | RetainHandling::DoNotSend => Due::Never,
            };
            let entry = Held {
                filter: Arc::clone(&filter),
                qos,
                no_local: options.no_local,
                shared: group_of(&filter).is_some(),
            };
            match old {
                Some(place) => held[place] = entry,
                None => held.push(entry),
            }
            granted.push(Granted { filter, qos, retained });
        }
        granted
    }

    /// The broker sent an UNSUBACK: gives the filters that are no longer subscribed to.
    pub(super) fn ended(&mut self, client: ClientIndex, id: u16) -> Vec<Arc<str>> {
        let Some(pending) = self.take(client, id) else { return Vec::new() };
        let filters: Vec<_> = pending.asks.into_iter().map(Ask::into_filter).collect();
        self.clients[client.index()].retain(|held| !filters.contains(&held.filter));
        filters
    }

    /// The broker crashed: gives the requests that it had not answered, by client and filter, with
    /// the QoS asked for, or `None` if the subscription was to end.
    pub(super) fn crashed(&mut self) -> Vec<(ClientIndex, Arc<str>, Option<QoS>)> {
        let pending = std::mem::take(&mut self.pending);
        let asks =
            pending.into_iter().flat_map(|it| it.asks.into_iter().map(move |ask| (it.client, ask)));
        asks.map(|(client, ask)| {
            let qos = match &ask {
                Ask::Begin(request) => Some(request.qos),
                Ask::End(_) => None,
            };
            (client, ask.into_filter(), qos)
        })
        .collect()
    }

    /// The session ended, and its subscriptions with it.
    pub(super) fn forget(&mut self, client: ClientIndex) {
        self.clients[client.index()].clear();
    }

    /// The QoS granted to a client for a stream by itself: the highest over its matching filters
    /// [MQTT-3.3.5-1]; `None` if it has none.
    pub(super) fn level(&self, client: ClientIndex, stream: &StreamFacts) -> Option<QoS> {
        self.matching(client, stream).filter(|held| !held.shared).map(|held| held.qos).max()
    }

    /// The same, or as a member of a group.
    pub(super) fn any_level(&self, client: ClientIndex, stream: &StreamFacts) -> Option<QoS> {
        self.matching(client, stream).map(|held| held.qos).max()
    }

    /// What a client is owed at least: `None` without a subscription, or where it is a member of a
    /// group too, whose copies have a QoS of their own.
    pub(super) fn least_level(&self, client: ClientIndex, stream: &StreamFacts) -> Option<QoS> {
        let shares = self.matching(client, stream).any(|held| held.shared);
        self.level(client, stream).filter(|_| !shares)
    }

    /// A client's filters that match, but for those that keep its own messages from it
    /// [MQTT-3.8.3-3].
    fn matching(&self, client: ClientIndex, stream: &StreamFacts) -> impl Iterator<Item = &Held> {
        let own = stream.client == client;
        self.clients[client.index()].iter().filter(move |held| {
            let filter = group_of(&held.filter).map_or(&*held.filter, |(_, filter)| filter);
            matches(filter, &stream.topic) && !(held.no_local && own)
        })
    }

    /// The streams whose topic matches a filter, topic by topic.
    pub(super) fn streams(&self, filter: &str) -> Vec<StreamIndex> {
        let filter = group_of(filter).map_or(filter, |(_, filter)| filter);
        matching(&self.topics, filter).flat_map(|(_, streams)| streams.iter().copied()).collect()
    }

    fn pend(&mut self, client: ClientIndex, id: u16, asks: Vec<Ask>) {
        self.take(client, id);
        self.pending.push(Pending { client, id, asks });
    }

    fn take(&mut self, client: ClientIndex, id: u16) -> Option<Pending> {
        let found = self.pending.iter().position(|it| it.client == client && it.id == id)?;
        Some(self.pending.swap_remove(found))
    }
}

impl Ask {
    fn into_filter(self) -> Arc<str> {
        match self {
            Self::Begin(request) => request.filter,
            Self::End(filter) => filter,
        }
    }
}

/// The entries of a map by topic that match a filter. Only topics that begin with what stands
/// before the filter's first wildcard are looked at.
pub(super) fn matching<'a, V>(
    map: &'a BTreeMap<Arc<str>, V>,
    filter: &str,
) -> impl Iterator<Item = (&'a Arc<str>, &'a V)> {
    let end = filter.find(['+', '#']).unwrap_or(filter.len());
    let prefix = if end < filter.len() { filter[..end].trim_end_matches('/') } else { filter };
    map.range::<str, _>((Bound::Included(prefix), Bound::Unbounded))
        .take_while(move |(topic, _)| topic.starts_with(prefix))
        .filter(move |(topic, _)| matches(filter, topic))
}
