//! Bounds on how much later than in the event engine an event can occur if nodes act at ticks.
//!
//! What a node does follows from an event at the same instant: a packet that arrived, a request of
//! its application, a timer, a connection. It is late by as much as that event, and up to a tick,
//! for the node waits for the next one:
//!
//! | what | is late by up to |
//! |---|---|
//! | a phase of the trial | as all that was done before |
//! | a request of an application, a fault | as its phase, and a tick |
//! | a packet that arrives | as its sending, and a tick; in order, as the latest one before it |
//! | a timer | as the message's last transmission, or all that its node did before, and a tick |
//! | a connection of a client | as all that the client did before, and three ticks |
//!
//! A connection takes a tick for its timer, and two in which turmoil opens its own.

use std::collections::BTreeMap;

use qoslab::base::{
    ClientIndex, ConnectionNumber, Direction, Event, Node, Observer, PacketName, PacketSubject,
    PublisherIndex, Time,
};
use qoslab::network::Transport;
use qoslab::sim::Setup;

use super::UnitKey;

/// Bounds in ticks.
pub(super) type Ticks = u64;

/// Computes the bounds from a run of the event engine.
pub(super) struct LagBounds {
    /// The clients whose links keep packets in order: byte streams, and links with a rate.
    in_order: Vec<bool>,
    /// The publisher of each stream.
    publishers: Vec<ClientIndex>,
    /// The maximum delay of the phase's begin.
    phase: Ticks,
    /// The event that a node handles now: its time, and its maximum delay.
    causes: BTreeMap<Node, (Time, Ticks)>,
    /// The maximum delay of all that a node did for a client.
    max_lags: BTreeMap<(Node, ClientIndex), Ticks>,
    /// The maximum delay of each packet's sending.
    sent: BTreeMap<PacketName, Ticks>,
    /// The maximum delay in a direction of a connection, where packets stay in order.
    ordered_lags: BTreeMap<(ConnectionNumber, Direction), Ticks>,
    /// The maximum delay of the last transmission that concerns a message.
    messages: BTreeMap<(Node, ClientIndex, PublisherIndex, u32), Ticks>,
    /// The maximum delay of each unit's first delivery.
    pub(super) units: BTreeMap<UnitKey, Ticks>,
}

impl LagBounds {
    pub(super) fn new(setup: &Setup) -> Self {
        let in_order = setup.clients.iter().map(|client| {
            let link = &client.link;
            matches!(link.transport, Transport::Tcp(_))
                || link.up.rate.is_some()
                || link.down.rate.is_some()
        });
        Self {
            in_order: in_order.collect(),
            publishers: setup.publishers.iter().map(|stream| stream.client).collect(),
            phase: 0,
            causes: BTreeMap::new(),
            max_lags: BTreeMap::new(),
            sent: BTreeMap::new(),
            ordered_lags: BTreeMap::new(),
            messages: BTreeMap::new(),
            units: BTreeMap::new(),
        }
    }

    /// Records an event at a node with its maximum delay.
    fn record(&mut self, now: Time, node: Node, client: ClientIndex, lag: Ticks) {
        let cause = self.causes.entry(node).or_insert((now, lag));
        *cause = if cause.0 == now { (now, cause.1.max(lag)) } else { (now, lag) };
        let most = self.max_lags.entry((node, client)).or_default();
        *most = lag.max(*most);
    }

    fn max_lag(&self, node: Node, client: ClientIndex) -> Ticks {
        self.max_lags.get(&(node, client)).copied().unwrap_or(0)
    }

    /// The maximum delay of a node's current action for a client, and perhaps a message.
    fn cause(&self, now: Time, node: Node, client: ClientIndex, subject: PacketSubject) -> Ticks {
        match self.causes.get(&node) {
            Some((at, lag)) if *at == now => *lag,
            _ => {
                let last = message_key(node, client, subject).and_then(|it| self.messages.get(&it));
                1 + last.copied().unwrap_or_else(|| self.max_lag(node, client))
            }
        }
    }
}

/// A message at a node, with the client that it concerns.
fn message_key(
    node: Node,
    client: ClientIndex,
    subject: PacketSubject,
) -> Option<(Node, ClientIndex, PublisherIndex, u32)> {
    match subject {
        PacketSubject::Message { publisher: stream, sequence, .. } => {
            Some((node, client, stream, sequence))
        }
        PacketSubject::Control { .. } => None,
    }
}

impl Observer for LagBounds {
    fn observe(&mut self, now: Time, event: &Event<'_>) {
        match *event {
            Event::Phase(_) => {
                self.phase = self.max_lags.values().copied().max().unwrap_or(0);
            }
            Event::Submitted { tag } => {
                if let Some(parts) = tag.message_id() {
                    let client = self.publishers[parts.publisher.index()];
                    self.record(now, Node::Client(client), client, self.phase + 1);
                }
            }
            Event::Sent { node, connection, packet: record, .. } => {
                let PacketName { client, direction: way, subject, .. } = record.name;
                let lag = self.cause(now, node, client, subject);
                self.sent.insert(record.name, lag);
                let line = self.ordered_lags.entry((connection, way)).or_default();
                *line = lag.max(*line);
                if let Some(message) = message_key(node, client, subject) {
                    self.messages.insert(message, lag);
                }
            }
            Event::Arrived { node, connection, packet: record } => {
                let PacketName { client, direction: way, .. } = record.name;
                let sent = if self.in_order[client.index()] {
                    self.ordered_lags.get(&(connection, way))
                } else {
                    self.sent.get(&record.name)
                };
                let lag = 1 + sent.copied().unwrap_or(0);
                self.record(now, node, client, lag);
            }
            Event::Opened { node: Node::Client(client), .. } => {
                let lag = 3 + self.max_lag(Node::Client(client), client);
                self.record(now, Node::Client(client), client, lag);
            }
            Event::Closed { node, client, .. } => {
                let lag = 1 + self.phase.max(self.max_lag(node, client));
                self.record(now, node, client, lag);
            }
            Event::Delivered { client, tag, .. } => {
                let node = Node::Client(client);
                let lag = self.causes.get(&node).map_or(0, |(_, lag)| *lag);
                if let Some(parts) = tag.message_id() {
                    self.units.entry((client, parts.publisher, parts.sequence)).or_insert(lag);
                }
            }
            _ => {}
        }
    }
}
