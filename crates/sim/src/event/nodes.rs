//! The broker, the clients and their applications.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::connections::Connections;
use super::host::{BacklogChange, Host};
use super::node_driver::{DirectDriver, NodeDriver};
use super::queue::QueuedEvent;
use super::readiness::Readiness;
use super::timeline::Timeline;
use crate::trial::Setup;
use qoslab_core::base::draw::DrawKey;
use qoslab_core::base::fingerprint::{Fingerprint, Fingerprinter};
use qoslab_core::base::{ClientIndex, ConnectionNumber, Node, Span, Time};
use qoslab_core::mqtt::{Backlog, ClientRequest};

/// The broker's number among the nodes in the queue; a client's is one more than its index.
const BROKER_NUMBER: u32 = 0;

/// All nodes of a trial, and what the drain waits for at them.
pub(super) struct Nodes<D: NodeDriver> {
    pub(super) broker: Host<D::Broker>,
    pub(super) clients: Vec<Host<D::Client>>,
    pub(super) connectors: Vec<Connector>,
    pub(super) readiness: Readiness,
    pub(super) driver: D,
    by_client_id: BTreeMap<Arc<str>, ClientIndex>,
    /// How many nodes have messages in flight or queued.
    with_backlog: usize,
    /// How many nodes have a timer armed that quiescence waits for.
    with_timer: usize,
    /// How many clients are about to open a connection.
    clients_connecting: usize,
    /// How many crashed nodes are to start again.
    restarts_pending: usize,
}

impl Fingerprint for Nodes<DirectDriver> {
    fn fingerprint(&self, into: &mut Fingerprinter) {
        let Self {
            broker,
            clients,
            // They count as far as the phase and the wills ask for them.
            connectors: _,
            readiness: _,
            // Without a state.
            driver: DirectDriver,
            // The same in all states of a trial.
            by_client_id: _,
            // What follows from the rest.
            with_backlog: _,
            with_timer: _,
            clients_connecting: _,
            restarts_pending: _,
        } = self;
        into.plain(broker);
        into.plain(clients);
    }
}

/// State of a client's attempts to connect.
pub(super) struct Connector {
    pub(super) current_connection: Option<ConnectionNumber>,
    /// When it opens the next; other such events in the queue are stale.
    pub(super) connects_at: Time,
    /// How many it has opened.
    pub(super) connections_opened: u32,
    /// Whether its application wants it connected.
    pub(super) is_wanted: bool,
    /// Requests that its application would have made while its node was down.
    pub(super) missed_requests: Vec<ClientRequest>,
    pub(super) draw_key: DrawKey,
}

impl<D: NodeDriver> Nodes<D> {
    pub(super) fn new(
        setup: &Setup,
        root: DrawKey,
        driver: D,
        clients: Vec<D::Client>,
        broker: D::Broker,
    ) -> Self {
        let client_keys = root.child(b"client");
        let connectors = setup.clients.iter().map(|client| Connector {
            current_connection: None,
            connects_at: Time::NEVER,
            connections_opened: 0,
            is_wanted: true,
            missed_requests: Vec::new(),
            draw_key: client_keys.child(client.name.as_bytes()),
        });
        let ids = (0..).map(ClientIndex).zip(&setup.clients);
        let clients = clients.into_iter().zip(&setup.clients);
        Self {
            broker: Host::new(broker, setup.broker_store),
            clients: clients.map(|(endpoint, it)| Host::new(endpoint, it.store)).collect(),
            connectors: connectors.collect(),
            readiness: Readiness::new(setup),
            driver,
            by_client_id: ids.map(|(n, it)| (Arc::clone(&it.settings.client_id), n)).collect(),
            with_backlog: 0,
            with_timer: 0,
            clients_connecting: 0,
            restarts_pending: 0,
        }
    }

    /// The indices of all clients.
    pub(super) fn client_indices(&self) -> impl Iterator<Item = ClientIndex> + use<D> {
        (0..).map(ClientIndex).take(self.clients.len())
    }

    pub(super) fn client_by_id(&self, client_id: &str) -> Option<ClientIndex> {
        self.by_client_id.get(client_id).copied()
    }

    pub(super) fn is_down(&self, node: Node) -> bool {
        match node {
            Node::Broker => self.broker.is_down,
            Node::Client(client) => self.clients[client.index()].is_down,
        }
    }

    /// Whether all that a trial waits for before it drains further has happened at the nodes.
    pub(super) fn is_idle(&self, now: Time, connections: &Connections) -> bool {
        self.with_timer == 0
            && self.clients_connecting == 0
            && self.restarts_pending == 0
            && self.driver.is_idle(now)
            && !self.client_indices().any(|client| {
                self.driver.is_sut(Node::Client(client))
                    && self.is_missing_connection(client, connections)
            })
    }

    /// Whether any node has messages in flight or queued.
    pub(super) const fn has_backlog(&self) -> bool {
        self.with_backlog > 0
    }

    /// Whether a client has no connection, or none yet, though its application wants one.
    pub(super) fn is_missing_connection(
        &self,
        client: ClientIndex,
        connections: &Connections,
    ) -> bool {
        let (node, connector) = (Node::Client(client), &self.connectors[client.index()]);
        let is_open = |connection| connections.is_open(node, connection);
        connector.is_wanted
            && !connector.current_connection.is_some_and(is_open)
            && !self.is_down(node)
    }

    // ---- connecting ----

    /// A client opens its next connection after a delay.
    pub(super) fn schedule_connect(
        &mut self,
        timeline: &mut Timeline,
        client: ClientIndex,
        delay: Span,
    ) {
        let connects_at = timeline.now + delay;
        self.connectors[client.index()].connects_at = connects_at;
        self.clients_connecting += 1;
        timeline.schedule(connects_at, QueuedEvent::Connect(client.0));
    }

    /// The client is not, or no longer, about to open a connection.
    pub(super) fn cancel_connect(&mut self, client: ClientIndex) {
        let connector = &mut self.connectors[client.index()];
        if connector.connects_at != Time::NEVER {
            connector.connects_at = Time::NEVER;
            self.clients_connecting -= 1;
        }
    }

    // ---- wake-ups and backlog ----

    /// After a node's endpoint was drained: sees to its wake-up and its backlog.
    #[inline]
    pub(super) fn sync_after_drain(
        &mut self,
        timeline: &mut Timeline,
        node: Node,
    ) -> Option<BacklogChange> {
        match node {
            Node::Broker => self.broker.sync_after_drain(timeline, BROKER_NUMBER),
            Node::Client(client) => {
                self.clients[client.index()].sync_after_drain(timeline, node_number(node))
            }
        }
    }

    /// Handles a wake-up: returns whether the endpoint is to be called.
    #[inline]
    pub(super) fn take_wakeup(&mut self, timeline: &mut Timeline, node: Node) -> bool {
        match node {
            Node::Broker => self.broker.take_wakeup(timeline, BROKER_NUMBER),
            Node::Client(client) => {
                self.clients[client.index()].take_wakeup(timeline, node_number(node))
            }
        }
    }

    /// The backlog of a node changed.
    pub(super) fn count_backlog(&mut self, change: &BacklogChange) {
        let BacklogChange { before, after } = change;
        match (before.has_armed_timer, after.has_armed_timer) {
            (false, true) => self.with_timer += 1,
            (true, false) => self.with_timer -= 1,
            _ => {}
        }
        let has_backlog = |backlog: &Backlog| backlog.in_flight > 0 || backlog.queued > 0;
        match (has_backlog(before), has_backlog(after)) {
            (false, true) => self.with_backlog += 1,
            (true, false) => self.with_backlog -= 1,
            _ => {}
        }
    }

    /// From now on no wake-up comes too early.
    pub(super) fn require_exact_wakeups(&mut self) {
        self.broker.require_exact_wakeups();
        self.clients.iter_mut().for_each(Host::require_exact_wakeups);
    }

    // ---- crashes ----

    /// A node crashes, and is to start again.
    pub(super) fn crash(&mut self, node: Node) -> BacklogChange {
        self.restarts_pending += 1;
        match node {
            Node::Broker => self.broker.crash(),
            Node::Client(client) => {
                self.cancel_connect(client);
                self.clients[client.index()].crash()
            }
        }
    }

    /// A crashed node starts again.
    pub(super) fn restart(&mut self, now: Time, node: Node) {
        self.restarts_pending -= 1;
        match node {
            Node::Broker => self.broker.restart(now),
            Node::Client(client) => self.clients[client.index()].restart(now),
        }
    }

    /// A node's storage is written.
    pub(super) fn save(&mut self, node: Node) {
        match node {
            Node::Broker => self.broker.save(),
            Node::Client(client) => self.clients[client.index()].save(),
        }
    }
}

/// Returns the number of a node in the queue.
pub(super) const fn node_number(node: Node) -> u32 {
    match node {
        Node::Broker => BROKER_NUMBER,
        Node::Client(client) => client.0 + 1,
    }
}

/// Returns the node of a number.
pub(super) const fn from_node_number(number: u32) -> Node {
    match number {
        BROKER_NUMBER => Node::Broker,
        _ => Node::Client(ClientIndex(number - 1)),
    }
}
