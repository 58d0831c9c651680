//! Crashes of nodes, and how they start again.

use std::convert::Infallible;

use super::inboxes::HostCommand;
use super::{BROKER_NUMBER, Simulation, client_index};
use crate::event::connections::EndState;
use crate::event::faults::FaultEnd;
use crate::event::queue::{EventClass, QueuedEvent};
use crate::trial::{Action, CrashPoint, PeerVisibility, SubscriptionSetup};
use qoslab_core::base::event::{CloseReason, Event, Observer, Phase, SilentDeathCause};
use qoslab_core::base::name::{ClientIndex, Connection, Direction, Node};
use qoslab_core::base::time::Span;
use qoslab_core::mqtt::endpoint::Endpoint;
use qoslab_core::mqtt::settings::{ClientRequest, StorePolicy};

impl<C, B, O> Simulation<'_, C, B, O>
where
    C: Endpoint<Request = ClientRequest> + Clone,
    B: Endpoint<Request = Infallible> + Clone,
    O: Observer,
{
    // ---- in the middle of a happening ----

    /// Whether the packet may still be sent by a node that is about to crash.
    #[inline]
    pub(super) fn take_send_permit(&mut self) -> bool {
        let Some(left) = &mut self.sends_left else { return true };
        let may = *left > 0;
        *left = left.saturating_sub(1);
        may
    }

    /// Whether a node crashes before it stores what follows from a packet.
    pub(super) fn is_crash_before_reading(&self, fault: Option<u32>) -> bool {
        fault.is_some_and(|fault| match self.faults.action(fault) {
            Action::Crash { point, .. } => *point == CrashPoint::BeforeCommit,
            _ => false,
        })
    }

    /// Whether a node crashes instead of sending the packet that it is about to send.
    pub(super) const fn is_crash_before_sending(&self) -> bool {
        self.pending_crash.is_some()
    }

    /// A fault that fell into a happening takes its node.
    pub(super) fn apply_crash_fault(&mut self, fault: Option<u32>) {
        if let Some(fault) = fault {
            self.sends_left = None;
            self.fault_due(fault);
        }
    }

    /// A node that crashes at a packet which it sent itself.
    pub(super) fn crash_if_pending(&mut self) {
        let fault = self.pending_crash.take();
        self.apply_crash_fault(fault);
    }

    // ---- crash and restart ----

    pub(super) fn is_down(&self, node: Node) -> bool {
        match node {
            Node::Broker => self.broker.is_down,
            Node::Client(client) => self.clients[client.index()].is_down,
        }
    }

    /// A node crashes. One that is down already stays so.
    pub(super) fn crash(&mut self, node: Node, downtime: Span, peers: PeerVisibility) {
        if self.is_down(node) {
            return;
        }
        self.notify_observers(&Event::Crashed { node });
        self.push_host_command(HostCommand::Crash(node));
        let change = match node {
            Node::Broker => self.broker.crash(),
            Node::Client(client) => {
                self.cancel_connect(client);
                self.clients[client.index()].crash()
            }
        };
        self.backlog_changed(node, &change);
        for connection in self.connections_open_at(node) {
            self.drop_crashed_connection(node, connection, peers);
        }
        self.restarts_pending += 1;
        self.schedule_fault_end(downtime, FaultEnd::Restart(node));
    }

    /// The connections that a node has open, or is opening.
    fn connections_open_at(&mut self, node: Node) -> Vec<Connection> {
        let clients = match node {
            Node::Broker => 0..self.connectors.len(),
            Node::Client(client) => client.index()..client.index() + 1,
        };
        let mut open = Vec::new();
        for client in clients {
            open.extend(self.connectors[client].current_connection);
            for &stream in &self.links[client].tcp_connections {
                if !open.contains(&stream) {
                    open.push(stream);
                }
            }
        }
        open.retain(|connection| *self.connections.end_mut(node, *connection) != EndState::Closed);
        open
    }

    fn drop_crashed_connection(
        &mut self,
        node: Node,
        connection: Connection,
        peers: PeerVisibility,
    ) {
        let client = self.connections.client_of(connection);
        let over_tcp = self.links[client.index()].tcp.is_some();
        let (direction, peer) = match node {
            Node::Broker => (Direction::Down, Node::Client(client)),
            Node::Client(_) => (Direction::Up, Node::Broker),
        };
        let is_shared = *self.connections.end_mut(peer, connection) == EndState::Open;
        if over_tcp && is_shared && peers == PeerVisibility::Silence {
            self.kill_silently(connection, SilentDeathCause::HalfOpen(node));
            if let Some(stream) = self.tcp_connection(connection) {
                stream.powered_off_node = Some(node);
            }
        }
        if over_tcp
            && is_shared
            && peers == PeerVisibility::Close
            && !self.is_silently_dead(connection)
        {
            self.send_fin(connection, client, direction);
            self.close_after_fin(node, connection);
        } else {
            self.discard_in_flight(connection, direction);
            self.close_local_end(node, connection, CloseReason::Crash);
            if over_tcp && peers == PeerVisibility::Reset && !self.is_silently_dead(connection) {
                self.send_reset(node, client, connection);
            }
        }
    }

    /// The node is gone, and its system has said goodbye for it.
    fn close_after_fin(&mut self, node: Node, connection: Connection) {
        let client = self.connections.client_of(connection);
        let end = self.connections.end_mut(node, connection);
        let was_open = std::mem::replace(end, EndState::Closed) == EndState::Open;
        self.close_inbox(node, connection);
        if let Node::Client(_) = node {
            self.connectors[client.index()].current_connection = None;
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
        self.restarts_pending -= 1;
        self.notify_observers(&Event::Restarted { node });
        self.push_host_command(HostCommand::Restart(node));
        match node {
            Node::Broker => {
                self.broker.restart(self.now);
                if let Some(change) =
                    self.broker.sync_after_drain(self.now, &mut self.queue, BROKER_NUMBER)
                {
                    self.backlog_changed(node, &change);
                }
            }
            Node::Client(client) => {
                self.clients[client.index()].restart(self.now);
                self.resume_application(client);
            }
        }
    }

    /// A client's application starts again: it connects, unless it meant to be away, and asks
    /// again for its subscriptions where its client has forgotten them.
    fn resume_application(&mut self, client: ClientIndex) {
        let setup = &self.setup.clients[client.index()];
        let forgot = setup.store != StorePolicy::Durable || setup.settings.clean;
        let began = (self.phase > Phase::Connecting).then_some(self.traffic_began);
        let since = began.map_or(Span::ZERO, |began| self.now.since(began));
        let is_current = |it: &&SubscriptionSetup| {
            it.from.is_none_or(|from| began.is_some() && from <= since)
                && it.until.is_none_or(|until| since < until)
        };
        let subscriptions = setup.subscriptions.iter().filter(is_current).filter(|_| forgot);
        let requests: Vec<_> = subscriptions.map(|it| it.request.clone()).collect();
        if self.connectors[client.index()].is_wanted {
            self.request_client(client, ClientRequest::Connect);
        }
        if !requests.is_empty() {
            self.request_client(client, ClientRequest::Subscribe(requests));
        }
        for request in std::mem::take(&mut self.connectors[client.index()].missed_requests) {
            self.request_client(client, request);
        }
        let host = &mut self.clients[client.index()];
        if let Some(change) = host.sync_after_drain(self.now, &mut self.queue, client.0 + 1) {
            self.backlog_changed(Node::Client(client), &change);
        }
    }

    // ---- snapshots ----

    pub(super) fn schedule_snapshots(&mut self) {
        let clients = (0..).zip(&self.setup.clients).map(|(n, client)| (n + 1, client.store));
        let nodes: Vec<_> =
            std::iter::once((BROKER_NUMBER, self.setup.broker_store)).chain(clients).collect();
        for (node, store) in nodes {
            if let StorePolicy::Snapshot(every) = store {
                self.save_node(node);
                self.queue.push(self.now + every, QueuedEvent::Snapshot(node));
            }
        }
    }

    /// A node's storage is written, and will be again.
    pub(super) fn snapshot_due(&mut self, node: u32) {
        if self.phase != Phase::Traffic {
            return;
        }
        self.count_dispatch(EventClass::Fault);
        self.save_node(node);
        let store = match node {
            BROKER_NUMBER => self.setup.broker_store,
            _ => self.setup.clients[node as usize - 1].store,
        };
        if let StorePolicy::Snapshot(every) = store {
            self.queue.push(self.now + every, QueuedEvent::Snapshot(node));
        }
    }

    fn save_node(&mut self, node: u32) {
        let node = if node == BROKER_NUMBER {
            self.broker.save();
            Node::Broker
        } else {
            let client = client_index(node as usize - 1);
            self.clients[client.index()].save();
            Node::Client(client)
        };
        self.push_host_command(HostCommand::Save(node));
    }
}
