//! Crashes of nodes, and how they start again.

use std::convert::Infallible;

use super::doors::Errand;
use super::{BROKER, Simulation, client_index};
use crate::event::connections::End;
use crate::event::faults::Remedy;
use crate::event::queue::{Class, Happening};
use crate::trial::{Action, CrashPoint, PeersSee, SubscriptionSetup};
use qoslab_core::base::event::{Close, Dark, Event, Observer, Phase};
use qoslab_core::base::name::{ClientIndex, Connection, Node, Way};
use qoslab_core::base::time::Span;
use qoslab_core::mqtt::endpoint::Endpoint;
use qoslab_core::mqtt::settings::{Request, Store};
use qoslab_core::network::overrule::Overrule;

impl<C, B, O, R> Simulation<'_, C, B, O, R>
where
    C: Endpoint<Request = Request> + Clone,
    B: Endpoint<Request = Infallible> + Clone,
    O: Observer,
    R: Overrule,
{
    // ---- in the middle of a happening ----

    /// Whether the packet may still be sent by a node that is about to crash.
    #[inline]
    pub(super) fn spend_a_send(&mut self) -> bool {
        let Some(left) = &mut self.may_send else { return true };
        let may = *left > 0;
        *left = left.saturating_sub(1);
        may
    }

    /// Whether a node crashes before it stores what follows from a packet.
    pub(super) fn dies_before_reading(&self, fault: Option<u32>) -> bool {
        fault.is_some_and(|fault| match self.faults.action(fault) {
            Action::Crash { point, .. } => *point == CrashPoint::BeforeCommit,
            _ => false,
        })
    }

    /// Whether a node crashes instead of sending the packet that it is about to send.
    pub(super) const fn dies_before_sending(&self) -> bool {
        self.doom.is_some()
    }

    /// A fault that fell into a happening takes its node.
    pub(super) fn crash_by(&mut self, fault: Option<u32>) {
        if let Some(fault) = fault {
            self.may_send = None;
            self.fault_due(fault);
        }
    }

    /// A node that crashes at a packet which it sent itself.
    pub(super) fn meet_doom(&mut self) {
        let doom = self.doom.take();
        self.crash_by(doom);
    }

    // ---- crash and restart ----

    pub(super) fn is_down(&self, node: Node) -> bool {
        match node {
            Node::Broker => self.broker.is_down,
            Node::Client(client) => self.clients[client.index()].is_down,
        }
    }

    /// A node crashes. One that is down already stays so.
    pub(super) fn crash(&mut self, node: Node, down: Span, peers: PeersSee) {
        if self.is_down(node) {
            return;
        }
        self.tell(&Event::Crashed { node });
        self.run_errand(Errand::Crash(node));
        let change = match node {
            Node::Broker => self.broker.crash(),
            Node::Client(client) => {
                self.hang_up(client);
                self.clients[client.index()].crash()
            }
        };
        self.backlog_changed(node, &change);
        for connection in self.open_at(node) {
            self.drop_connection(node, connection, peers);
        }
        self.restarting += 1;
        self.plan_mending(down, Remedy::Restart(node));
    }

    /// The connections that a node has open, or is opening.
    fn open_at(&mut self, node: Node) -> Vec<Connection> {
        let clients = match node {
            Node::Broker => 0..self.ways.len(),
            Node::Client(client) => client.index()..client.index() + 1,
        };
        let mut open = Vec::new();
        for client in clients {
            open.extend(self.ways[client].current);
            for &stream in &self.lines[client].streams {
                if !open.contains(&stream) {
                    open.push(stream);
                }
            }
        }
        open.retain(|connection| *self.connections.at(node, *connection) != End::Closed);
        open
    }

    fn drop_connection(&mut self, node: Node, connection: Connection, peers: PeersSee) {
        let client = self.connections.client(connection);
        let over_tcp = self.lines[client.index()].tcp.is_some();
        let (way, peer) = match node {
            Node::Broker => (Way::Down, Node::Client(client)),
            Node::Client(_) => (Way::Up, Node::Broker),
        };
        let is_shared = *self.connections.at(peer, connection) == End::Open;
        if over_tcp && is_shared && peers == PeersSee::Silence {
            self.darken(connection, Dark::HalfOpen(node));
            if let Some(stream) = self.stream(connection) {
                stream.lost_host = Some(node);
            }
        }
        if over_tcp && is_shared && peers == PeersSee::Close && !self.is_dark(connection) {
            self.send_end(connection, client, way);
            self.close_alone(node, connection);
        } else {
            self.lose(connection, way);
            self.close(node, connection, Close::Crash);
            if over_tcp && peers == PeersSee::Reset && !self.is_dark(connection) {
                self.send_reset(node, client, connection);
            }
        }
    }

    /// The node is gone, and its system has said goodbye for it.
    fn close_alone(&mut self, node: Node, connection: Connection) {
        let client = self.connections.client(connection);
        let end = self.connections.at(node, connection);
        let was_open = std::mem::replace(end, End::Closed) == End::Open;
        self.shut_door(node, connection);
        if let Node::Client(_) = node {
            self.ways[client.index()].current = None;
        }
        if was_open {
            self.tell(&Event::Closed { node, connection, client, why: Close::Crash });
        }
    }

    /// A crashed node starts again, with what its storage kept.
    pub(super) fn restart(&mut self, node: Node) {
        self.restarting -= 1;
        self.tell(&Event::Restarted { node });
        self.run_errand(Errand::Restart(node));
        match node {
            Node::Broker => {
                self.broker.restart(self.now);
                if let Some(change) = self.broker.settle(self.now, &mut self.queue, BROKER) {
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
        let forgot = setup.store != Store::Durable || setup.settings.clean;
        let began = (self.phase > Phase::Connecting).then_some(self.traffic_began);
        let since = began.map_or(Span::ZERO, |began| self.now.since(began));
        let is_live = |it: &&SubscriptionSetup| {
            it.from.is_none_or(|from| began.is_some() && from <= since)
                && it.until.is_none_or(|until| since < until)
        };
        let wanted = setup.subscriptions.iter().filter(is_live).filter(|_| forgot);
        let requests: Vec<_> = wanted.map(|it| it.request.clone()).collect();
        if self.ways[client.index()].wanted {
            self.ask_client(client, Request::Connect);
        }
        if !requests.is_empty() {
            self.ask_client(client, Request::Subscribe(requests));
        }
        for request in std::mem::take(&mut self.ways[client.index()].missed) {
            self.ask_client(client, request);
        }
        let host = &mut self.clients[client.index()];
        if let Some(change) = host.settle(self.now, &mut self.queue, client.0 + 1) {
            self.backlog_changed(Node::Client(client), &change);
        }
    }

    // ---- snapshots ----

    pub(super) fn plan_snapshots(&mut self) {
        let clients = (0..).zip(&self.setup.clients).map(|(n, client)| (n + 1, client.store));
        let nodes: Vec<_> =
            std::iter::once((BROKER, self.setup.broker_store)).chain(clients).collect();
        for (node, store) in nodes {
            if let Store::Snapshot(every) = store {
                self.save(node);
                self.queue.push(self.now + every, Happening::Snapshot(node));
            }
        }
    }

    /// A node's storage is written, and will be again.
    pub(super) fn snapshot(&mut self, node: u32) {
        if self.phase != Phase::Traffic {
            return;
        }
        self.turn(Class::Fault);
        self.save(node);
        let store = match node {
            BROKER => self.setup.broker_store,
            _ => self.setup.clients[node as usize - 1].store,
        };
        if let Store::Snapshot(every) = store {
            self.queue.push(self.now + every, Happening::Snapshot(node));
        }
    }

    fn save(&mut self, node: u32) {
        let node = if node == BROKER {
            self.broker.save();
            Node::Broker
        } else {
            let client = client_index(node as usize - 1);
            self.clients[client.index()].save();
            Node::Client(client)
        };
        self.run_errand(Errand::Save(node));
    }
}
