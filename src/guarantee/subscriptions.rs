//! Who subscribes to what at the broker: a mirror kept from the packets it handles and answers.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use super::roster::Roster;
use crate::base::event::SubscriptionRequest;
use crate::base::name::{ClientIndex, StreamIndex};
use crate::base::qos::QoS;
use crate::mqtt::topics::matches;

/// The subscriptions of all sessions. They change at the instant at which the broker answers:
/// SUBACK sent, UNSUBACK sent, session ended.
#[derive(Clone, Debug)]
pub(super) struct Subscriptions {
    clients: Vec<Vec<(Arc<str>, QoS)>>,
    pending: Vec<Pending>,
    topics: BTreeMap<Arc<str>, Vec<StreamIndex>>,
}

/// A request that reached the broker and was not answered yet.
#[derive(Clone, Debug)]
struct Pending {
    client: ClientIndex,
    id: u16,
    filters: Vec<Arc<str>>,
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
        let filters = requests.iter().map(|request| Arc::clone(&request.filter));
        self.pend(client, id, filters.collect());
    }

    /// An UNSUBSCRIBE reached the broker.
    pub(super) fn asked_to_end(&mut self, client: ClientIndex, id: u16, filters: &[Arc<str>]) {
        self.pend(client, id, filters.to_vec());
    }

    /// The broker sent a SUBACK with these codes: gives the filters that are subscribed to now,
    /// with the granted QoS. Codes of 0x80 and above leave things as they were.
    pub(super) fn granted(
        &mut self,
        client: ClientIndex,
        id: u16,
        codes: &[u8],
    ) -> Vec<(Arc<str>, QoS)> {
        let Some(pending) = self.take(client, id) else { return Vec::new() };
        let held = &mut self.clients[client.index()];
        let mut granted = Vec::new();
        for (filter, code) in pending.filters.into_iter().zip(codes) {
            let Some(qos) = QoS::from_number(*code) else { continue };
            match held.iter_mut().find(|(other, _)| *other == filter) {
                Some(entry) => entry.1 = qos,
                None => held.push((Arc::clone(&filter), qos)),
            }
            granted.push((filter, qos));
        }
        granted
    }

    /// The broker sent an UNSUBACK: gives the filters that are no longer subscribed to.
    pub(super) fn ended(&mut self, client: ClientIndex, id: u16) -> Vec<Arc<str>> {
        let Some(pending) = self.take(client, id) else { return Vec::new() };
        let filters = pending.filters;
        self.clients[client.index()].retain(|(filter, _)| !filters.contains(filter));
        filters
    }

    /// The session ended, and its subscriptions with it.
    pub(super) fn forget(&mut self, client: ClientIndex) {
        self.clients[client.index()].clear();
    }

    /// The QoS granted to a client for a topic: the highest over its matching filters
    /// [MQTT-3.3.5-1]; `None` if it has none.
    pub(super) fn level(&self, client: ClientIndex, topic: &str) -> Option<QoS> {
        let held = self.clients[client.index()].iter();
        held.filter(|(filter, _)| matches(filter, topic)).map(|(_, qos)| *qos).max()
    }

    /// The streams whose topic matches a filter, topic by topic.
    pub(super) fn streams(&self, filter: &str) -> Vec<StreamIndex> {
        matching(&self.topics, filter).flat_map(|(_, streams)| streams.iter().copied()).collect()
    }

    fn pend(&mut self, client: ClientIndex, id: u16, filters: Vec<Arc<str>>) {
        self.take(client, id);
        self.pending.push(Pending { client, id, filters });
    }

    fn take(&mut self, client: ClientIndex, id: u16) -> Option<Pending> {
        let found = self.pending.iter().position(|it| it.client == client && it.id == id)?;
        Some(self.pending.swap_remove(found))
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
