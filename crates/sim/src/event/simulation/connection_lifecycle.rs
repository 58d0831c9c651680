//! How connections begin and end.

use std::convert::Infallible;

use super::Simulation;
use crate::event::connections::EndState;
use crate::event::queue::{EventClass, QueuedEvent};
use qoslab_core::base::event::{CloseReason, Event, Observer};
use qoslab_core::base::name::{ClientIndex, Connection, Node};
use qoslab_core::base::time::Time;
use qoslab_core::mqtt::endpoint::{Endpoint, Input};
use qoslab_core::mqtt::settings::ClientRequest;

impl<C, B, O> Simulation<'_, C, B, O>
where
    C: Endpoint<Request = ClientRequest> + Clone,
    B: Endpoint<Request = Infallible> + Clone,
    O: Observer,
{
    /// An application does something that was planned.
    pub(super) fn apply_application_request(
        &mut self,
        client: ClientIndex,
        request: ClientRequest,
    ) {
        match request {
            ClientRequest::Connect => self.connectors[client.index()].is_wanted = true,
            ClientRequest::Disconnect => self.connectors[client.index()].is_wanted = false,
            _ if self.clients[client.index()].is_down => {
                self.connectors[client.index()].missed_requests.push(request);
                return;
            }
            _ => {}
        }
        self.request_client(client, request);
    }

    pub(super) fn schedule_connect(&mut self, client: ClientIndex, attempt: u32) {
        self.cancel_connect(client);
        let delay = self.reconnect_delay(client, attempt);
        let connector = &mut self.connectors[client.index()];
        connector.connects_at = self.now + delay;
        self.clients_connecting += 1;
        self.queue.push(connector.connects_at, QueuedEvent::Connect(client.0));
    }

    /// The client is not, or no longer, about to open a connection.
    pub(super) fn cancel_connect(&mut self, client: ClientIndex) {
        let connector = &mut self.connectors[client.index()];
        if connector.connects_at != Time::NEVER {
            connector.connects_at = Time::NEVER;
            self.clients_connecting -= 1;
        }
    }

    /// A client opens a connection; one that it has, or is opening, is given up.
    pub(super) fn open_connection(&mut self, client: ClientIndex) {
        if self.connectors[client.index()].connects_at != self.now {
            return;
        }
        self.count_dispatch(EventClass::Application);
        self.cancel_connect(client);
        if let Some(old) = self.connectors[client.index()].current_connection {
            self.close_local_end(Node::Client(client), old, CloseReason::Requested);
        }
        let connection = self.connections.create(client);
        self.record_connect(client);
        let connector = &mut self.connectors[client.index()];
        connector.current_connection = Some(connection);
        connector.connections_opened += 1;
        if self.links[client.index()].tcp.is_some() {
            self.begin_handshake(client, connection);
        } else {
            self.client_opened(client, connection);
        }
    }

    /// A client has its connection.
    pub(super) fn client_opened(&mut self, client: ClientIndex, connection: Connection) {
        // It comes in time after all: no other is needed.
        self.cancel_connect(client);
        let node = Node::Client(client);
        *self.connections.end_mut(node, connection) = EndState::Open;
        let now = self.now;
        if let Some(sut) = self.sut_nodes_mut() {
            sut.last_activity = now;
        }
        self.notify_observers(&Event::Opened { node, connection, client });
        self.handle_client_input(client, Input::Opened(connection));
    }

    /// One end of a connection is gone, and its endpoint learns of it.
    pub(super) fn close_end(&mut self, node: Node, connection: Connection, why: CloseReason) {
        if self.deliver_close(node, connection, why) {
            return;
        }
        let end = *self.connections.end_mut(node, connection);
        // A client whose handshake fails has waited for its connection.
        let is_waiting =
            end == EndState::Open || end == EndState::Unknown && matches!(node, Node::Client(_));
        if is_waiting {
            self.close_local_end(node, connection, why);
            self.handle_closed(node, connection);
        }
    }

    /// One end of a connection is no more. Over datagrams the other may learn of it by a reset.
    pub(super) fn close_local_end(&mut self, node: Node, connection: Connection, why: CloseReason) {
        let end = self.connections.end_mut(node, connection);
        let before = std::mem::replace(end, EndState::Closed);
        if before == EndState::Closed {
            return;
        }
        self.close_inbox(node, connection);
        let client = self.connections.client_of(connection);
        if let Node::Client(_) = node {
            let connector = &mut self.connectors[client.index()];
            connector.current_connection =
                connector.current_connection.filter(|current| *current != connection);
            if self.phase == qoslab_core::base::event::Phase::Connecting {
                self.readiness.connection_lost(client);
            }
        }
        if before == EndState::Open {
            self.notify_observers(&Event::Closed { node, connection, client, why });
        }
        self.tcp_end_closed(node, connection, why, before == EndState::Open);
    }
}
