//! Events at nodes and connections: for the histories of the messages that travelled there, and for
//! the blame.

use std::collections::{BTreeMap, BTreeSet};

use super::trial_facts::TrialFacts;
use qoslab_core::base::{
    ClientIndex, CloseReason, ConnectionNumber, Event, Impairment, Node, Phase, SilentDeathCause,
    Time,
};
use qoslab_core::mqtt::StorePolicy;

/// The greatest number of events kept of one link, or of the broker.
const MAX_LOGGED_EVENTS: usize = 10_000;

/// The events of the links that matter, in order.
#[derive(Clone, Debug, Default)]
pub(super) struct EventLog {
    watched: BTreeSet<ClientIndex>,
    links: BTreeMap<ClientIndex, Vec<(Time, LoggedEvent)>>,
    broker: Vec<(Time, LoggedEvent)>,
    /// When the broker sent each client a CONNACK.
    connacks_sent: BTreeMap<ClientIndex, Vec<Time>>,
    reconnect_drain_at: Option<Time>,
    /// Which connection is open at which end of a link.
    open: BTreeMap<(ClientIndex, Node), ConnectionNumber>,
    /// Connections that died silently.
    dead_connections: BTreeMap<ClientIndex, Vec<DeadConnection>>,
}

/// A connection that died silently.
#[derive(Clone, Copy, Debug)]
struct DeadConnection {
    connection: ConnectionNumber,
    /// When no end believed in it any more.
    believed_until: Option<Time>,
}

/// An event at a node or a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LoggedEvent {
    /// An end of a connection closed.
    Closed(Node, CloseReason),
    /// The client was welcomed, and its session resumed or not.
    Connected { resumed: bool },
    /// The connection died, and neither end was notified.
    DiedSilently(SilentDeathCause),
    /// The link stopped or slowed down.
    Impaired(Impairment),
    /// The link works as before.
    ImpairmentEnded(Impairment),
    /// A node crashed.
    Crashed(Node),
    /// The node is running again.
    Restarted(Node),
    /// The broker ended a session that had expired.
    SessionExpired,
    /// All clients reconnect.
    ReconnectDrain,
}

impl EventLog {
    /// Watches the links of these clients.
    pub(super) fn new(watched: BTreeSet<ClientIndex>) -> Self {
        Self { watched, ..Self::default() }
    }

    /// Keeps what an event reports about a link or a node.
    pub(super) fn record(&mut self, now: Time, event: &Event<'_>) {
        match *event {
            Event::Opened { node, connection, client } if self.watched.contains(&client) => {
                self.open.insert((client, node), connection);
                self.update_believed_until(now, client);
            }
            Event::Closed { node, connection, client, why } => {
                self.add_for_link(now, client, LoggedEvent::Closed(node, why));
                self.on_connection_closed(now, client, node, connection);
            }
            Event::DiedSilently { connection, client, why } => {
                self.add_for_link(now, client, LoggedEvent::DiedSilently(why));
                self.on_connection_died(now, client, connection);
            }
            Event::Impaired { client, impairment: how } => {
                self.add_for_link(now, client, LoggedEvent::Impaired(how));
            }
            Event::ImpairmentEnded { client, impairment: how } => {
                self.add_for_link(now, client, LoggedEvent::ImpairmentEnded(how));
            }
            Event::SessionExpired { client } => {
                self.add_for_link(now, client, LoggedEvent::SessionExpired);
            }
            Event::Crashed { node } => self.add_for_node(now, node, LoggedEvent::Crashed(node)),
            Event::Restarted { node } => self.add_for_node(now, node, LoggedEvent::Restarted(node)),
            Event::Phase(Phase::ReconnectDrain) => {
                self.reconnect_drain_at = Some(now);
                self.add_for_node(now, Node::Broker, LoggedEvent::ReconnectDrain);
            }
            _ => {}
        }
    }

    /// A CONNACK reached a client.
    pub(super) fn on_connack_received(&mut self, now: Time, client: ClientIndex, resumed: bool) {
        self.add_for_link(now, client, LoggedEvent::Connected { resumed });
    }

    /// The broker sent a client a CONNACK, and what it resumes follows at once.
    pub(super) fn on_connack_sent(&mut self, now: Time, client: ClientIndex) {
        if self.watched.contains(&client) {
            push_bounded(self.connacks_sent.entry(client).or_default(), now);
        }
    }

    /// The events at the broker and these links, not before a time, in order.
    pub(super) fn events_since(
        &self,
        time: Time,
        links: &[ClientIndex],
    ) -> Vec<(Time, Option<ClientIndex>, LoggedEvent)> {
        let broker = self.broker.iter().map(|(at, moment)| (*at, None, *moment));
        let links = links.iter().flat_map(|link| {
            let moments = self.links.get(link).into_iter().flatten();
            moments.map(|(at, moment)| (*at, Some(*link), *moment))
        });
        let mut all: Vec<_> = broker.chain(links).filter(|(at, ..)| *at >= time).collect();
        all.sort_by_key(|(at, ..)| *at);
        all
    }

    /// When a node first crashed, not before a time, and its store forgot. With an older state of
    /// the broker its older subscriptions come back, and that concerns later messages too.
    pub(super) fn state_lost_at(
        &self,
        trial: &TrialFacts,
        node: Node,
        since: Time,
    ) -> Option<Time> {
        let restores_old_state =
            node == Node::Broker && matches!(trial.broker_store, StorePolicy::Snapshot(_));
        self.state_lost_since(trial, node, if restores_old_state { Time::ZERO } else { since })
    }

    /// When a node first crashed, not before a time, and its store forgot.
    pub(super) fn state_lost_since(
        &self,
        trial: &TrialFacts,
        node: Node,
        since: Time,
    ) -> Option<Time> {
        let crashed = |(at, moment): &&(Time, LoggedEvent)| {
            *at >= since && *moment == LoggedEvent::Crashed(node)
        };
        let found = self.events_of(node).iter().find(crashed);
        found.filter(|_| trial.loses_state_in_crash(node)).map(|(at, _)| *at)
    }

    /// When the broker last accepted a client before a time.
    pub(super) fn connack_sent_before(&self, client: ClientIndex, time: Time) -> Option<Time> {
        self.connacks_sent.get(&client)?.iter().rev().find(|at| **at < time).copied()
    }

    /// When a client was last welcomed before a time.
    pub(super) fn connack_received_before(&self, client: ClientIndex, time: Time) -> Option<Time> {
        let mut moments = self.events_of(Node::Client(client)).iter().rev();
        let is_connack = |(at, moment): &&(Time, LoggedEvent)| {
            *at < time && matches!(moment, LoggedEvent::Connected { .. })
        };
        moments.find(is_connack).map(|(at, _)| *at)
    }

    /// Whether an end of this client's link believed in a connection that had died silently, after
    /// a time and up to another one at least; `Time::NEVER` is the end of the trial.
    pub(super) fn was_death_unnoticed(
        &self,
        client: ClientIndex,
        after: Time,
        up_to: Time,
    ) -> bool {
        let lasted = |until: Time| until > after && until >= up_to;
        self.dead_connections
            .get(&client)
            .into_iter()
            .flatten()
            .any(|it| it.believed_until.is_none_or(lasted))
    }

    /// When all clients reconnected.
    pub(super) const fn reconnect_drain_at(&self) -> Option<Time> {
        self.reconnect_drain_at
    }

    fn events_of(&self, node: Node) -> &[(Time, LoggedEvent)] {
        match node {
            Node::Broker => &self.broker,
            Node::Client(client) => self.links.get(&client).map_or(&[], Vec::as_slice),
        }
    }

    fn on_connection_died(&mut self, now: Time, client: ClientIndex, connection: ConnectionNumber) {
        if self.watched.contains(&client) {
            push_bounded(
                self.dead_connections.entry(client).or_default(),
                DeadConnection { connection, believed_until: None },
            );
            self.update_believed_until(now, client);
        }
    }

    fn on_connection_closed(
        &mut self,
        now: Time,
        client: ClientIndex,
        node: Node,
        connection: ConnectionNumber,
    ) {
        if self.open.get(&(client, node)) == Some(&connection) {
            self.open.remove(&(client, node));
            self.update_believed_until(now, client);
        }
    }

    /// Checks whether any end still believes in the dead connections of a client.
    fn update_believed_until(&mut self, now: Time, client: ClientIndex) {
        let Self { open, dead_connections: dead, .. } = self;
        let ends = [Node::Broker, Node::Client(client)].map(|end| open.get(&(client, end)));
        for it in dead.get_mut(&client).into_iter().flatten() {
            if !ends.contains(&Some(&it.connection)) {
                it.believed_until.get_or_insert(now);
            }
        }
    }

    fn add_for_node(&mut self, now: Time, node: Node, event: LoggedEvent) {
        match node {
            Node::Client(client) => self.add_for_link(now, client, event),
            Node::Broker => push_bounded(&mut self.broker, (now, event)),
        }
    }

    fn add_for_link(&mut self, now: Time, client: ClientIndex, event: LoggedEvent) {
        if self.watched.contains(&client) {
            push_bounded(self.links.entry(client).or_default(), (now, event));
        }
    }
}

fn push_bounded<T>(events: &mut Vec<T>, event: T) {
    if events.len() < MAX_LOGGED_EVENTS {
        events.push(event);
    }
}
