//! What endpoints are told of their sockets: that one is full, has room again, or has part of a
//! packet.

use super::Simulation;
use crate::event::node_driver::NodeDriver;
use qoslab_core::base::{ConnectionNumber, Direction, Event, Node, Observer};
use qoslab_core::mqtt::{Input, SignOfLife};

impl<D: NodeDriver, O: Observer> Simulation<'_, D, O> {
    /// All that a node wanted to send is written: it learns which of its sockets that has filled.
    #[inline]
    pub(super) fn report_full_sockets(&mut self) {
        while let Some((node, connection)) = self.network.take_newly_full() {
            let client = self.network.connections.client_of(connection);
            self.notify_observers(&Event::SocketFull { node, client });
            self.handle_input(node, Input::SocketFull(connection));
        }
    }

    /// Something was acknowledged: an endpoint that waits for room writes until there is none, or
    /// it has nothing more.
    pub(super) fn offer_room(&mut self, connection: ConnectionNumber, direction: Direction) {
        if !self.network.is_writable_again(connection, direction) {
            return;
        }
        let client = self.network.connections.client_of(connection);
        let node = if direction == Direction::Up { Node::Client(client) } else { Node::Broker };
        while !self.network.is_socket_full(connection, direction) {
            let written = self.reporter.packets;
            self.handle_input(node, Input::Writable(connection));
            if self.reporter.packets == written {
                self.network.stop_awaiting_room(connection, direction);
                return;
            }
        }
        self.handle_input(node, Input::SocketFull(connection));
    }

    /// If part of a packet has come for an endpoint that takes this for a sign of life, it is told.
    pub(super) fn report_part_of_packet(
        &mut self,
        connection: ConnectionNumber,
        direction: Direction,
    ) {
        let client = self.network.connections.client_of(connection);
        let (node, rule) = match direction {
            Direction::Up => (Node::Broker, self.setup.broker.sign_of_life),
            Direction::Down => {
                let settings = &self.setup.clients[client.index()].settings;
                (Node::Client(client), settings.sign_of_life)
            }
        };
        if rule == SignOfLife::Packets
            || !self.network.takes_part_of_packet(self.timeline.now, connection, direction)
        {
            return;
        }
        self.handle_input(node, Input::PartOfPacket(connection));
    }
}
