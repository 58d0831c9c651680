//! How connections begin and end.

use std::convert::Infallible;

use super::Simulation;
use crate::event::connections::End;
use crate::event::queue::{Class, Happening};
use qoslab_core::base::event::{Close, Event, Observer};
use qoslab_core::base::name::{ClientIndex, Connection, Node};
use qoslab_core::base::time::Time;
use qoslab_core::mqtt::endpoint::{Endpoint, Input};
use qoslab_core::mqtt::settings::Request;
use qoslab_core::network::overrule::Overrule;

impl<C, B, O, R> Simulation<'_, C, B, O, R>
where
    C: Endpoint<Request = Request> + Clone,
    B: Endpoint<Request = Infallible> + Clone,
    O: Observer,
    R: Overrule,
{
    /// An application does something that was planned.
    pub(super) fn act(&mut self, client: ClientIndex, request: Request) {
        match request {
            Request::Connect => self.ways[client.index()].wanted = true,
            Request::Disconnect => self.ways[client.index()].wanted = false,
            _ if self.clients[client.index()].is_down => {
                self.ways[client.index()].missed.push(request);
                return;
            }
            _ => {}
        }
        self.ask_client(client, request);
    }

    pub(super) fn plan_dial(&mut self, client: ClientIndex, attempt: u32) {
        self.hang_up(client);
        let pause = self.pause(client, attempt);
        let way = &mut self.ways[client.index()];
        way.dials_at = self.now + pause;
        self.dialling += 1;
        self.queue.push(way.dials_at, Happening::Dial(client.0));
    }

    /// The client is not, or no longer, about to open a connection.
    pub(super) fn hang_up(&mut self, client: ClientIndex) {
        let way = &mut self.ways[client.index()];
        if way.dials_at != Time::NEVER {
            way.dials_at = Time::NEVER;
            self.dialling -= 1;
        }
    }

    /// A client opens a connection; one that it has, or is opening, is given up.
    pub(super) fn dial(&mut self, client: ClientIndex) {
        if self.ways[client.index()].dials_at != self.now {
            return;
        }
        self.turn(Class::Application);
        self.hang_up(client);
        if let Some(old) = self.ways[client.index()].current {
            self.close(Node::Client(client), old, Close::Asked);
        }
        let connection = self.connections.add(client);
        self.note_dial(client);
        let way = &mut self.ways[client.index()];
        way.current = Some(connection);
        way.dialled += 1;
        if self.lines[client.index()].tcp.is_some() {
            self.begin_handshake(client, connection);
        } else {
            self.opened(client, connection);
        }
    }

    /// A client has its connection.
    pub(super) fn opened(&mut self, client: ClientIndex, connection: Connection) {
        // It comes in time after all: no other is needed.
        self.hang_up(client);
        let node = Node::Client(client);
        *self.connections.at(node, connection) = End::Open;
        let now = self.now;
        if let Some(foreign) = self.products_mut() {
            foreign.stirred = now;
        }
        self.tell(&Event::Opened { node, connection, client });
        self.tell_client(client, Input::Opened(connection));
    }

    /// One end of a connection is gone, and its endpoint learns of it.
    pub(super) fn hang(&mut self, node: Node, connection: Connection, why: Close) {
        if self.tells_at_door(node, connection, why) {
            return;
        }
        let end = *self.connections.at(node, connection);
        // A client whose handshake fails has waited for its connection.
        let waits = end == End::Open || end == End::Unknown && matches!(node, Node::Client(_));
        if waits {
            self.close(node, connection, why);
            self.tell_closed(node, connection);
        }
    }

    /// One end of a connection is no more. Over datagrams the other may learn of it by a reset.
    pub(super) fn close(&mut self, node: Node, connection: Connection, why: Close) {
        let end = self.connections.at(node, connection);
        let before = std::mem::replace(end, End::Closed);
        if before == End::Closed {
            return;
        }
        self.shut_door(node, connection);
        let client = self.connections.client(connection);
        if let Node::Client(_) = node {
            let way = &mut self.ways[client.index()];
            way.current = way.current.filter(|current| *current != connection);
            if self.phase == qoslab_core::base::event::Phase::Connecting {
                self.muster.lost(client);
            }
        }
        if before == End::Open {
            self.tell(&Event::Closed { node, connection, client, why });
        }
        self.end_of_stream(node, connection, why, before == End::Open);
    }
}
