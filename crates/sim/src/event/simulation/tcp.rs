//! Events on TCP connections.

use super::{Simulation, receiver_of};
use crate::event::connections::EndState;
use crate::event::links::PacketInFlight;
use crate::event::node_driver::NodeDriver;
use crate::event::queue::EventClass;
use crate::event::tcp_connection::TcpItem;
use qoslab_core::base::{
    ClientIndex, CloseReason, ConnectionNumber, Direction, Event, Fate, MessageTag, Node, Observer,
    OverheadPurpose, PacketKind, SilentDeathCause,
};
use qoslab_core::network::tcp::{StreamItem, TcpActivity, tls_bytes};

impl<D: NodeDriver, O: Observer> Simulation<'_, D, O> {
    // ---- opening ----

    pub(super) fn begin_handshake(&mut self, client: ClientIndex, connection: ConnectionNumber) {
        self.network.open_tcp(client, connection);
        self.send_handshake_flight(connection, 0);
    }

    /// Sends a flight of the handshake, if there is one of this number.
    fn send_handshake_flight(&mut self, connection: ConnectionNumber, nth: u8) {
        let Some(tcp_connection) = self.network.tcp_connection(connection) else { return };
        let Some(&flight) = tcp_connection.handshake.get(usize::from(nth)) else { return };
        let item = TcpItem::Handshake(nth);
        self.write_control(connection, flight.direction, item, flight.bytes);
    }

    /// Writes something that is no packet of MQTT's, of so many bytes above TCP.
    fn write_control(
        &mut self,
        connection: ConnectionNumber,
        direction: Direction,
        item: TcpItem,
        bytes: u32,
    ) {
        let (now, client) = (self.timeline.now, self.network.connections.client_of(connection));
        let name = self.network.next_control_name(client, direction, PacketKind::Handshake);
        let item = StreamItem { value: item, bytes, name, publisher_key: None };
        let Some(activity) = self.network.write_tcp(now, connection, item) else { return };
        let segments = activity[direction].segments;
        let headers = self.network.link(client).headers * segments;
        let purpose = OverheadPurpose::Handshake;
        self.notify_overhead(client, direction, purpose, (segments, bytes + headers));
        self.report_tcp_activity(connection, &activity, Some(direction));
        self.network.schedule_tcp_wakeup(&mut self.timeline, connection);
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

    // ---- carrying ----

    /// A node writes a packet into a connection.
    pub(super) fn send_over_tcp(&mut self, node: Node, in_flight: PacketInFlight, tag: MessageTag) {
        let PacketInFlight { name, connection, serial, ref packet, .. } = in_flight;
        let (now, direction) = (self.timeline.now, name.direction);
        let link = self.network.link(name.client);
        let length = self.nodes.driver.frame_length(serial).unwrap_or_else(|| {
            packet.as_ref().map_or(0, |packet| packet.encoded_len(link.version))
        });
        let tls = link.tcp.and_then(|tcp| tcp.tls);
        // It matters that a NAT forgets a connection when something is sent, and is looked at then.
        let is_forgotten = self.network.has_nat_expired(now, connection)
            && self.network.kill_silently(&mut self.timeline, connection).is_some();
        let bytes = length + tls_bytes(tls, length);
        let (value, publisher_key) = (TcpItem::Packet(in_flight), self.publisher_key(tag));
        let item = StreamItem { value, bytes, name, publisher_key };
        let Some(activity) = self.network.write_tcp(now, connection, item) else { return };
        self.report_written_packet(node, connection, direction, (length, &activity));
        if D::IS_TOLD_OF_SOCKETS {
            self.network.watch_socket(node, connection, direction);
        }
        if is_forgotten {
            let (client, why) = (name.client, SilentDeathCause::NatTimeout);
            self.notify_observers(&Event::DiedSilently { connection, client, why });
        }
        self.report_tcp_activity(connection, &activity, Some(direction));
        self.network.schedule_tcp_wakeup(&mut self.timeline, connection);
    }

    /// The packet that was just written, with what it has put on the link.
    fn report_written_packet(
        &mut self,
        node: Node,
        connection: ConnectionNumber,
        direction: Direction,
        (length, activity): (u32, &TcpActivity),
    ) {
        self.reporter.packets += 1;
        let written = (length, activity[direction].segments);
        let Some(record) = self.network.describe_written(connection, direction, written) else {
            return;
        };
        let fate = Fate::Streamed;
        let event = Event::Sent { node, connection, packet: &record, fate: &fate };
        self.reporter.notify(self.timeline.now, &event);
    }

    /// Reports what a connection put on the link beside what was `written` in one direction, of
    /// which the first sendings were reported.
    fn report_tcp_activity(
        &mut self,
        connection: ConnectionNumber,
        activity: &TcpActivity,
        written: Option<Direction>,
    ) {
        if activity.is_empty() {
            return;
        }
        let client = self.network.connections.client_of(connection);
        let headers = self.network.link(client).headers;
        for direction in [Direction::Up, Direction::Down] {
            let did = activity[direction];
            let late = if written == Some(direction) { 0 } else { did.segments };
            if late + did.retransmissions + did.acknowledgements > 0 {
                let acks = did.acknowledgements;
                for (purpose, count, bytes) in [
                    (OverheadPurpose::LateSegment, late, late * headers),
                    (OverheadPurpose::Retransmission, did.retransmissions, did.retransmitted_bytes),
                    (OverheadPurpose::Acknowledgement, acks, acks * headers),
                ] {
                    if count > 0 {
                        self.notify_overhead(client, direction, purpose, (count, bytes));
                    }
                }
            } else if did.segments == 0 {
                continue;
            }
            self.reset_from_restarted_host(connection, client, direction);
        }
    }

    fn notify_overhead(
        &mut self,
        client: ClientIndex,
        direction: Direction,
        purpose: OverheadPurpose,
        (segments, bytes): (u32, u32),
    ) {
        self.notify_observers(&Event::Overhead { client, direction, purpose, segments, bytes });
    }

    /// Something is due on a connection.
    pub(super) fn tcp_due(&mut self, connection: ConnectionNumber) {
        let now = self.timeline.now;
        if !self.network.take_tcp_wakeup(now, connection) {
            return;
        }
        let Some(activity) = self.network.wake_tcp(now, connection) else { return };
        self.report_tcp_activity(connection, &activity, None);
        for direction in [Direction::Up, Direction::Down] {
            if activity[direction].gave_up {
                self.give_up(connection, direction);
            }
            self.read_arrived(connection, direction);
            if D::IS_TOLD_OF_SOCKETS {
                self.report_part_of_packet(connection, direction);
                self.offer_room(connection, direction);
            }
        }
        self.network.schedule_tcp_wakeup(&mut self.timeline, connection);
    }

    /// A node reads what has arrived for it.
    fn read_arrived(&mut self, connection: ConnectionNumber, direction: Direction) {
        let now = self.timeline.now;
        while let Some(item) = self.network.pop_arrived_item(now, connection, direction) {
            self.count_dispatch(EventClass::Arrival);
            match item {
                TcpItem::Handshake(nth) => self.handshake_flight_arrived(connection, nth),
                TcpItem::Packet(in_flight) => {
                    self.packet_arrived(receiver_of(in_flight.name), in_flight);
                }
                TcpItem::Fin => self.fin_arrived(connection, direction),
            }
        }
    }

    /// A sender's patience is over.
    fn give_up(&mut self, connection: ConnectionNumber, direction: Direction) {
        self.count_dispatch(EventClass::Arrival);
        let client = self.network.connections.client_of(connection);
        let is_up = direction == Direction::Up;
        let sender = if is_up { Node::Client(client) } else { Node::Broker };
        self.close_end(sender, connection, CloseReason::UserTimeout);
        // An end that had closed before has nothing more to learn, and tries no longer.
        self.discard_in_flight(connection, direction);
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
        } else if sends_fin(why) && is_peer_reachable && !self.network.is_silently_dead(connection)
        {
            self.send_fin(connection, direction);
        } else {
            self.discard_in_flight(connection, direction);
        }
    }

    /// The end of the stream goes the way of the packets before it.
    pub(super) fn send_fin(&mut self, connection: ConnectionNumber, direction: Direction) {
        self.network.await_fin(connection, direction);
        self.write_control(connection, direction, TcpItem::Fin, 0);
    }

    /// Discards everything in transit in one direction.
    pub(super) fn discard_in_flight(&mut self, connection: ConnectionNumber, direction: Direction) {
        for in_flight in self.network.take_undelivered(connection, direction) {
            self.discard(in_flight);
        }
    }

    /// The end of a stream arrived, behind all that was sent before.
    fn fin_arrived(&mut self, connection: ConnectionNumber, direction: Direction) {
        let client = self.network.connections.client_of(connection);
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
