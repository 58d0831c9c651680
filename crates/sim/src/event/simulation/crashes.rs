//! Crashes and restarts of nodes.

use super::Simulation;
use crate::event::connections::EndState;
use crate::event::faults::FaultEnd;
use crate::event::node_driver::{HostCommand, NodeDriver};
use crate::event::nodes::node_number;
use crate::event::queue::{EventClass, QueuedEvent};
use crate::trial::{PeerVisibility, SubscriptionSetup};
use qoslab_core::base::{
    ClientIndex, CloseReason, ConnectionNumber, Direction, Event, Node, Observer, Phase,
    SilentDeathCause, Span,
};
use qoslab_core::mqtt::{ClientRequest, StorePolicy};

impl<D: NodeDriver, O: Observer> Simulation<'_, D, O> {
    // ---- in the middle of an event ----

    /// A fault that fell into an event takes its node.
    #[inline]
    pub(in crate::event) fn apply_crash_fault(&mut self, fault: Option<u32>) {
        if let Some(fault) = fault {
            self.faults.take_sends_left();
            self.fault_due(fault);
        }
    }

    /// A node that crashes at a packet which it sent itself.
    #[inline]
    pub(super) fn crash_if_pending(&mut self) {
        let fault = self.faults.take_pending_crash();
        self.apply_crash_fault(fault);
    }

    // ---- crash and restart ----

    /// A node crashes. One that is down already stays so.
    pub(super) fn crash(&mut self, node: Node, downtime: Span, peers: PeerVisibility) {
        if self.nodes.is_down(node) {
            return;
        }
        self.notify_observers(&Event::Crashed { node });
        self.nodes.driver.push_host_command(HostCommand::Crash(node));
        let change = self.nodes.crash(node);
        self.backlog_changed(node, &change);
        for connection in self.connections_open_at(node) {
            self.drop_crashed_connection(node, connection, peers);
        }
        self.faults.schedule_end(&mut self.timeline, downtime, FaultEnd::Restart(node));
    }

    /// The connections that a node has open, or is opening.
    fn connections_open_at(&self, node: Node) -> Vec<ConnectionNumber> {
        let clients = match node {
            Node::Broker => 0..self.nodes.connectors.len(),
            Node::Client(client) => client.index()..client.index() + 1,
        };
        let mut open = Vec::new();
        for client in clients {
            open.extend(self.nodes.connectors[client].current_connection);
            for &stream in &self.network.links[client].tcp_connections {
                if !open.contains(&stream) {
                    open.push(stream);
                }
            }
        }
        let connections = &self.network.connections;
        open.retain(|connection| connections.end(node, *connection) != EndState::Closed);
        open
    }

    fn drop_crashed_connection(
        &mut self,
        node: Node,
        connection: ConnectionNumber,
        peers: PeerVisibility,
    ) {
        let client = self.network.connections.client_of(connection);
        let over_tcp = self.network.link(client).tcp.is_some();
        let (direction, peer) = match node {
            Node::Broker => (Direction::Down, Node::Client(client)),
            Node::Client(_) => (Direction::Up, Node::Broker),
        };
        let is_shared = self.network.connections.is_open(peer, connection);
        if over_tcp && is_shared && peers == PeerVisibility::Silence {
            self.kill_silently(connection, SilentDeathCause::HalfOpen(node));
            if let Some(tcp_connection) = self.network.tcp_connection_mut(connection) {
                tcp_connection.powered_off_node = Some(node);
            }
        }
        if over_tcp
            && is_shared
            && peers == PeerVisibility::Close
            && !self.network.is_silently_dead(connection)
        {
            self.send_fin(connection, direction);
            self.close_after_fin(node, connection);
        } else {
            self.discard_in_flight(connection, direction);
            self.close_local_end(node, connection, CloseReason::Crash);
            if over_tcp
                && peers == PeerVisibility::Reset
                && !self.network.is_silently_dead(connection)
            {
                self.send_reset(node, client, connection);
            }
        }
    }

    /// The node is gone, and its system has said goodbye for it.
    fn close_after_fin(&mut self, node: Node, connection: ConnectionNumber) {
        let client = self.network.connections.client_of(connection);
        let end = self.network.end_mut(node, connection);
        let was_open = std::mem::replace(end, EndState::Closed) == EndState::Open;
        self.discard_untaken(node, connection);
        if let Node::Client(_) = node {
            self.nodes.connectors[client.index()].current_connection = None;
        }
        if was_open {
            self.notify_observers(&Event::Closed {
                node,
                connection,
                client,
                why: CloseReason::Crash,
            });
        }
    }

    /// A crashed node starts again, with what its storage kept.
    pub(super) fn restart(&mut self, node: Node) {
        self.notify_observers(&Event::Restarted { node });
        self.nodes.driver.push_host_command(HostCommand::Restart(node));
        self.nodes.restart(self.timeline.now, node);
        if let Node::Client(client) = node {
            self.resume_application(client);
        }
        self.sync_after_drain(node);
    }

    /// A client's application starts again: it connects, unless it meant to be away, and asks
    /// again for its subscriptions where its client has forgotten them.
    fn resume_application(&mut self, client: ClientIndex) {
        let setup = &self.setup.clients[client.index()];
        let forgot = setup.store != StorePolicy::Durable || setup.settings.clean;
        let has_begun = self.timeline.phase > Phase::Connecting;
        let since = if has_begun { self.timeline.since_traffic_start() } else { Span::ZERO };
        let is_current = |it: &&SubscriptionSetup| {
            it.from.is_none_or(|from| has_begun && from <= since)
                && it.until.is_none_or(|until| since < until)
        };
        let subscriptions = setup.subscriptions.iter().filter(is_current).filter(|_| forgot);
        let requests: Vec<_> = subscriptions.map(|it| it.request.clone()).collect();
        if self.nodes.connectors[client.index()].is_wanted {
            self.request_client(client, ClientRequest::Connect);
        }
        if !requests.is_empty() {
            self.request_client(client, ClientRequest::Subscribe(requests));
        }
        for request in std::mem::take(&mut self.nodes.connectors[client.index()].missed_requests) {
            self.request_client(client, request);
        }
    }

    // ---- snapshots ----

    pub(super) fn schedule_snapshots(&mut self) {
        let clients = self.nodes.client_indices().map(Node::Client);
        for node in std::iter::once(Node::Broker).chain(clients) {
            self.take_snapshot(node);
        }
    }

    /// A node's storage is written, and will be again.
    pub(super) fn snapshot_due(&mut self, node: Node) {
        if self.timeline.phase == Phase::Traffic {
            self.count_dispatch(EventClass::Fault);
            self.take_snapshot(node);
        }
    }

    /// Writes the storage of a node that takes snapshots, and sees to the next.
    fn take_snapshot(&mut self, node: Node) {
        let store = match node {
            Node::Broker => self.setup.broker_store,
            Node::Client(client) => self.setup.clients[client.index()].store,
        };
        if let StorePolicy::Snapshot(every) = store {
            self.nodes.save(node);
            self.nodes.driver.push_host_command(HostCommand::Save(node));
            self.timeline.schedule_after(every, QueuedEvent::Snapshot(node_number(node)));
        }
    }
}
