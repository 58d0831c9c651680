//! Begin and end of connections.

use super::Simulation;
use crate::event::connections::EndState;
use crate::event::node_driver::NodeDriver;
use crate::event::queue::EventClass;
use qoslab_core::base::{ClientIndex, CloseReason, ConnectionNumber, Event, Node, Observer, Phase};
use qoslab_core::mqtt::{ClientRequest, Input};

impl<D: NodeDriver, O: Observer> Simulation<'_, D, O> {
    /// An application does something that was planned.
    pub(super) fn apply_application_request(
        &mut self,
        client: ClientIndex,
        request: ClientRequest,
    ) {
        match request {
            ClientRequest::Connect => self.nodes.connectors[client.index()].is_wanted = true,
            ClientRequest::Disconnect => self.nodes.connectors[client.index()].is_wanted = false,
            _ if self.nodes.clients[client.index()].is_down => {
                self.nodes.connectors[client.index()].missed_requests.push(request);
                return;
            }
            _ => {}
        }
        self.request_client(client, request);
    }

    /// A client is to open a connection when `attempt` of them have failed.
    pub(in crate::event) fn schedule_connect(&mut self, client: ClientIndex, attempt: u32) {
        self.nodes.cancel_connect(client);
        let delay = self.reconnect_delay(client, attempt);
        self.nodes.schedule_connect(&mut self.timeline, client, delay);
    }

    /// A client opens a connection; one that it has, or is opening, is given up.
    pub(super) fn open_connection(&mut self, client: ClientIndex) {
        if self.nodes.connectors[client.index()].connects_at != self.timeline.now {
            return;
        }
        self.count_dispatch(EventClass::Application);
        self.nodes.cancel_connect(client);
        if let Some(old) = self.nodes.connectors[client.index()].current_connection {
            self.close_local_end(Node::Client(client), old, CloseReason::Requested);
        }
        let connection = self.network.connections.create(client);
        self.nodes.driver.connect_started(self.timeline.now, client);
        let connector = &mut self.nodes.connectors[client.index()];
        connector.current_connection = Some(connection);
        connector.connections_opened += 1;
        if self.network.link(client).tcp.is_some() {
            self.begin_handshake(client, connection);
        } else {
            self.client_opened(client, connection);
        }
    }

    /// A client has its connection.
    pub(super) fn client_opened(&mut self, client: ClientIndex, connection: ConnectionNumber) {
        // It comes in time after all: no other is needed.
        self.nodes.cancel_connect(client);
        let node = Node::Client(client);
        *self.network.end_mut(node, connection) = EndState::Open;
        self.nodes.driver.connection_opened(self.timeline.now);
        self.notify_observers(&Event::Opened { node, connection, client });
        self.handle_client_input(client, Input::Opened(connection));
    }

    /// One end of a connection is gone, and its endpoint learns of it.
    pub(super) fn close_end(&mut self, node: Node, connection: ConnectionNumber, why: CloseReason) {
        let end = self.network.connections.end(node, connection);
        if end == EndState::Open && self.nodes.driver.accept_close(node, connection, why) {
            return;
        }
        // A client whose handshake fails has waited for its connection.
        let is_waiting =
            end == EndState::Open || end == EndState::Unknown && matches!(node, Node::Client(_));
        if is_waiting {
            self.close_local_end(node, connection, why);
            self.handle_input(node, Input::Closed(connection));
        }
    }

    /// One end of a connection is no more. Over datagrams the other may learn of it by a reset.
    pub(in crate::event) fn close_local_end(
        &mut self,
        node: Node,
        connection: ConnectionNumber,
        why: CloseReason,
    ) {
        let end = self.network.end_mut(node, connection);
        let before = std::mem::replace(end, EndState::Closed);
        if before == EndState::Closed {
            return;
        }
        self.discard_untaken(node, connection);
        let client = self.network.connections.client_of(connection);
        if let Node::Client(_) = node {
            let connector = &mut self.nodes.connectors[client.index()];
            connector.current_connection =
                connector.current_connection.filter(|current| *current != connection);
            if self.timeline.phase == Phase::Connecting {
                self.nodes.readiness.connection_lost(client);
            }
        }
        if before == EndState::Open {
            self.notify_observers(&Event::Closed { node, connection, client, why });
        }
        self.tcp_end_closed(node, connection, why, before == EndState::Open);
    }

    /// A node's end of a connection is gone: what the node had not taken yet is lost.
    pub(super) fn discard_untaken(&mut self, node: Node, connection: ConnectionNumber) {
        for in_flight in self.nodes.driver.close_end(node, connection) {
            self.discard(in_flight);
        }
    }
}
