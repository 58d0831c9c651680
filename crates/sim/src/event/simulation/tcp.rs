//! Events on TCP connections.

use super::{Simulation, receiver_of};
use crate::event::connections::EndState;
use crate::event::links::PacketInFlight;
use crate::event::node_driver::NodeDriver;
use crate::event::queue::EventClass;
use crate::event::tcp_connection::{TcpItem, from_direction_number};
use qoslab_core::base::{
    ClientIndex, CloseReason, ConnectionNumber, Direction, Event, MessageTag, Node, Observer,
    OverheadPurpose, SilentDeathCause,
};

impl<D: NodeDriver, O: Observer> Simulation<'_, D, O> {
    // ---- opening ----

    pub(super) fn begin_handshake(&mut self, client: ClientIndex, connection: ConnectionNumber) {
        self.network.open_tcp(client, connection);
        self.send_handshake_flight(connection, 0);
    }

    fn send_handshake_flight(&mut self, connection: ConnectionNumber, nth: u8) {
        let sent = self.network.send_handshake_flight(&mut self.timeline, connection, nth);
        self.notify_overhead(sent);
    }

    fn handshake_flight_arrived(&mut self, connection: ConnectionNumber, nth: u8) {
        let Some(tcp_connection) = self.network.tcp_connection(connection) else { return };
        let client = tcp_connection.client;
        let is_open = tcp_connection.is_open_after_flight(nth);
        let is_down = tcp_connection.handshake[usize::from(nth)].direction == Direction::Down;
        let at_broker = self.network.connections.end(Node::Broker, connection);
        if !is_down && (self.nodes.broker.is_down || at_broker == EndState::Closed) {
            self.refuse_handshake(client, connection);
            return;
        }
        let at_client = self.network.connections.end(Node::Client(client), connection);
        if is_down && at_client != EndState::Unknown {
            return;
        }
        self.send_handshake_flight(connection, nth + 1);
        if is_open {
            self.network.link_mut(client).has_tls_session = true;
            self.client_opened(client, connection);
        }
    }

    /// There is no listener: the handshake is answered by a reset.
    fn refuse_handshake(&mut self, client: ClientIndex, connection: ConnectionNumber) {
        *self.network.end_mut(Node::Broker, connection) = EndState::Closed;
        self.send_reset(Node::Broker, client, connection);
    }

    fn notify_overhead(&mut self, overhead: Option<Event<'static>>) {
        if let Some(overhead) = overhead {
            self.notify_observers(&overhead);
        }
    }

    // ---- carrying ----

    /// A node wrote a packet into a connection.
    pub(super) fn write_to_tcp(&mut self, in_flight: PacketInFlight, tag: MessageTag, mqtt: u32) {
        let (name, connection) = (in_flight.name, in_flight.connection);
        // It matters that a NAT forgets a connection when something is sent, and is looked at then.
        if self.network.has_nat_expired(self.timeline.now, connection) {
            self.kill_silently(connection, SilentDeathCause::NatTimeout);
        }
        let publisher_key = self.publisher_key(tag);
        self.network.write_tcp(self.timeline.now, in_flight, publisher_key, mqtt);
        self.reset_from_restarted_host(connection, name.client, name.direction);
        self.network.schedule_tcp_wakeup(&mut self.timeline, connection, name.direction);
    }

    /// Something is due on a direction of a connection.
    pub(super) fn tcp_due(&mut self, number: u32) {
        let (connection, direction) = from_direction_number(number);
        let now = self.timeline.now;
        if !self.network.take_tcp_wakeup(now, connection, direction) {
            return;
        }
        let client = self.network.connections.client_of(connection);
        self.count_dispatch(EventClass::Arrival);
        if self.retransmit_due(connection, client, direction) {
            let is_up = direction == Direction::Up;
            let sender = if is_up { Node::Client(client) } else { Node::Broker };
            self.close_end(sender, connection, CloseReason::UserTimeout);
            // An end that had closed before has nothing more to learn, and tries no longer.
            self.discard_in_flight(connection, direction);
            return;
        }
        while let Some(item) = self.network.pop_arrived_item(now, connection, direction) {
            match item {
                TcpItem::Handshake(nth) => self.handshake_flight_arrived(connection, nth),
                TcpItem::Packet(in_flight) => {
                    self.packet_arrived(receiver_of(in_flight.name), in_flight);
                }
                TcpItem::Fin => self.fin_arrived(connection, client, direction),
            }
        }
        self.network.schedule_tcp_wakeup(&mut self.timeline, connection, direction);
    }

    /// Sends again what is due; whether the sender gave up.
    fn retransmit_due(
        &mut self,
        connection: ConnectionNumber,
        client: ClientIndex,
        direction: Direction,
    ) -> bool {
        let now = self.timeline.now;
        let Some(wakeup) = self.network.retransmit_due(now, connection, direction) else {
            return false;
        };
        if wakeup.retransmitted > 0 {
            let (bytes, purpose) = (wakeup.retransmitted, OverheadPurpose::Retransmission);
            self.notify_observers(&Event::Overhead { client, direction, purpose, bytes });
            self.reset_from_restarted_host(connection, client, direction);
        }
        wakeup.gave_up
    }

    // ---- ending ----

    /// A connection dies, and neither end is notified.
    pub(super) fn kill_silently(&mut self, connection: ConnectionNumber, why: SilentDeathCause) {
        if let Some(client) = self.network.kill_silently(&mut self.timeline, connection) {
            self.notify_observers(&Event::DiedSilently { connection, client, why });
        }
    }

    /// A node's end of a connection has closed: it notifies the other end, if it can.
    pub(super) fn tcp_end_closed(
        &mut self,
        node: Node,
        connection: ConnectionNumber,
        why: CloseReason,
        was_open: bool,
    ) {
        let Some(tcp_connection) = self.network.tcp_connection(connection) else { return };
        let (direction, peer) = match node {
            Node::Broker => (Direction::Down, Node::Client(tcp_connection.client)),
            Node::Client(_) => (Direction::Up, Node::Broker),
        };
        let peer_end = self.network.connections.end(peer, connection);
        // What a client has written before the broker knew of it may yet get there.
        let sends_fin_first = was_open && sends_fin(why);
        let is_peer_reachable =
            peer_end == EndState::Open || peer_end == EndState::Unknown && sends_fin_first;
        let is_peer_pending = peer_end == EndState::Unknown && node == Node::Broker;
        if !is_peer_reachable && !is_peer_pending {
            self.drop_tcp_connection(connection);
        } else if sends_fin(why) && is_peer_reachable {
            self.send_fin(connection, direction);
        } else {
            self.discard_in_flight(connection, direction);
        }
    }

    /// The end of the stream goes the way of the packets before it.
    pub(super) fn send_fin(&mut self, connection: ConnectionNumber, direction: Direction) {
        let sent = self.network.send_fin(&mut self.timeline, connection, direction);
        self.notify_overhead(sent);
    }

    /// Discards everything in transit in one direction.
    pub(super) fn discard_in_flight(&mut self, connection: ConnectionNumber, direction: Direction) {
        for in_flight in self.network.take_undelivered(connection, direction) {
            self.discard(in_flight);
        }
    }

    /// The end of a stream arrived, behind all that was sent before.
    fn fin_arrived(
        &mut self,
        connection: ConnectionNumber,
        client: ClientIndex,
        direction: Direction,
    ) {
        self.network.clear_fin_awaited(connection, direction);
        let node = if direction == Direction::Up { Node::Broker } else { Node::Client(client) };
        self.close_end(node, connection, CloseReason::Peer);
        let end = self.network.end_mut(node, connection);
        if *end == EndState::Unknown {
            // It closed before it said CONNECT.
            *end = EndState::Closed;
            self.drop_tcp_connection(connection);
        }
    }

    /// Something was sent to a host that had lost its power and is back: it knows nothing of the
    /// connection.
    fn reset_from_restarted_host(
        &mut self,
        connection: ConnectionNumber,
        client: ClientIndex,
        direction: Direction,
    ) {
        let Some(node) = self.network.powered_off_receiver(connection, direction) else { return };
        if self.nodes.is_down(node) {
            return;
        }
        if let Some(tcp_connection) = self.network.tcp_connection_mut(connection) {
            tcp_connection.powered_off_node = None;
        }
        self.send_reset(node, client, connection);
    }

    /// Both ends are done with a connection.
    fn drop_tcp_connection(&mut self, connection: ConnectionNumber) {
        self.discard_in_flight(connection, Direction::Up);
        self.discard_in_flight(connection, Direction::Down);
        self.network.remove_tcp(connection);
    }
}

/// Whether an end that closes for this reason notifies the other end in order.
const fn sends_fin(why: CloseReason) -> bool {
    matches!(
        why,
        CloseReason::Requested
            | CloseReason::KeepAlive
            | CloseReason::TakenOver
            | CloseReason::Protocol
    )
}
