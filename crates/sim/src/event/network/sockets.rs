//! The room in the sockets of TCP connections.

use super::Network;
use crate::event::connections::EndState;
use crate::event::tcp_connection::TcpItem;
use qoslab_core::base::{ConnectionNumber, Direction, Node, Time};
use qoslab_core::network::TcpSettings;
use qoslab_core::network::tcp::TcpStreams;

impl Network {
    /// A node has written into a connection: if that has filled its socket, it is to be told.
    pub(in crate::event) fn watch_socket(
        &mut self,
        node: Node,
        connection: ConnectionNumber,
        direction: Direction,
    ) {
        let Some((streams, tcp)) = self.streams_of(connection) else { return };
        if !streams.awaits_room(direction) && streams.is_full(direction, tcp) {
            streams.set_awaits_room(direction, true, tcp);
            self.newly_full.push((node, connection));
        }
    }

    /// The next end whose socket was filled, while it is open.
    pub(in crate::event) fn take_newly_full(&mut self) -> Option<(Node, ConnectionNumber)> {
        while let Some((node, connection)) = self.newly_full.pop() {
            if self.connections.end(node, connection) == EndState::Open {
                return Some((node, connection));
            }
        }
        None
    }

    /// Whether an endpoint waits for room in the socket of a direction and there is enough.
    pub(in crate::event) fn is_writable_again(
        &mut self,
        connection: ConnectionNumber,
        direction: Direction,
    ) -> bool {
        self.streams_of(connection).is_some_and(|(streams, tcp)| {
            streams.awaits_room(direction) && streams.is_writable(direction, tcp)
        })
    }

    /// Whether the socket of a direction is full.
    pub(in crate::event) fn is_socket_full(
        &mut self,
        connection: ConnectionNumber,
        direction: Direction,
    ) -> bool {
        self.streams_of(connection).is_some_and(|(streams, tcp)| streams.is_full(direction, tcp))
    }

    /// Whether the reader of a direction has found part of a packet that it had not before.
    pub(in crate::event) fn takes_part_of_packet(
        &mut self,
        now: Time,
        connection: ConnectionNumber,
        direction: Direction,
    ) -> bool {
        let Some(tcp_connection) = self.tcp_connection(connection) else { return false };
        if !self.link(tcp_connection.client).reads(now, tcp_connection, direction) {
            return false;
        }
        self.tcp_connection_mut(connection)
            .is_some_and(|tcp_connection| tcp_connection.streams.takes_part_of_item(direction))
    }

    /// The endpoint that waited for room in the socket of a direction waits no longer.
    pub(in crate::event) fn stop_awaiting_room(
        &mut self,
        connection: ConnectionNumber,
        direction: Direction,
    ) {
        if let Some((streams, tcp)) = self.streams_of(connection) {
            streams.set_awaits_room(direction, false, tcp);
        }
    }

    fn streams_of(
        &mut self,
        connection: ConnectionNumber,
    ) -> Option<(&mut TcpStreams<TcpItem>, &TcpSettings)> {
        let tcp_connection = self.tcp_connections.get_mut(connection.0 as usize)?.as_deref_mut()?;
        let tcp = self.links[tcp_connection.client.index()].tcp.as_ref()?;
        Some((&mut tcp_connection.streams, tcp))
    }
}
