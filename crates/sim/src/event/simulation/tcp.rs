//! What happens on TCP connections.

use std::convert::Infallible;

use super::{Simulation, client_index};
use crate::event::connections::EndState;
use crate::event::links::PacketInFlight;
use crate::event::queue::{EventClass, QueuedEvent};
use crate::event::tcp_connection::{
    TcpConnection, TcpItem, direction_index, direction_number, from_direction_number,
    handshake_flights,
};
use qoslab_core::base::event::{CloseReason, Event, Observer, OverheadPurpose, SilentDeathCause};
use qoslab_core::base::name::{
    ClientIndex, Connection, Direction, MessageTag, Node, PacketKind, Transmission,
};
use qoslab_core::base::time::{Span, Time};
use qoslab_core::mqtt::endpoint::Endpoint;
use qoslab_core::mqtt::settings::ClientRequest;
use qoslab_core::network::tcp::{TcpContext, header_bytes, tls_bytes};

impl<C, B, O> Simulation<'_, C, B, O>
where
    C: Endpoint<Request = ClientRequest> + Clone,
    B: Endpoint<Request = Infallible> + Clone,
    O: Observer,
{
    // ---- opening ----

    pub(super) fn begin_handshake(&mut self, client: ClientIndex, connection: Connection) {
        let link = &mut self.links[client.index()];
        link.tcp_connections.push(connection);
        let tls = link.tcp.and_then(|tcp| tcp.tls);
        let handshake = handshake_flights(tls, link.has_tls_session);
        let index = connection.0 as usize;
        if self.tcp_connections.len() <= index {
            self.tcp_connections.resize_with(index + 1, || None);
        }
        self.tcp_connections[index] = Some(Box::new(TcpConnection::new(client, handshake)));
        self.send_handshake_flight(connection, 0);
    }

    fn send_handshake_flight(&mut self, connection: Connection, nth: u8) {
        let Some(stream) = self.tcp_connection(connection) else { return };
        let client = stream.client;
        let Some(flight) = stream.handshake.get(usize::from(nth)).copied() else { return };
        let link = &mut self.links[client.index()];
        let Some(tcp) = link.tcp else { return };
        let first_transmission = Transmission::default();
        let name = link.next_packet_name(
            client,
            flight.direction,
            PacketKind::Handshake,
            MessageTag::NONE,
            first_transmission,
        );
        let bytes = flight.bytes + header_bytes(&tcp, flight.bytes);
        let (direction, purpose) = (flight.direction, OverheadPurpose::Handshake);
        self.notify_observers(&Event::Overhead { client, direction, purpose, bytes });
        let item = TcpItem::Handshake(nth);
        if let Some(stream) = self.tcp_connections[connection.0 as usize].as_mut() {
            let ride = TcpContext {
                link: &mut self.links[client.index()].link_state,
                tcp: &tcp,
                direction,
            };
            stream.direction_mut(direction).send(self.now, ride, item, &name, None, flight.bytes);
        }
        self.schedule_tcp_wakeup(connection, direction);
    }

    fn handshake_flight_arrived(&mut self, connection: Connection, nth: u8) {
        let Some(stream) = self.tcp_connection(connection) else { return };
        let (client, is_open) = (stream.client, stream.is_open_after_flight(nth));
        let is_down = stream.handshake[usize::from(nth)].direction == Direction::Down;
        let at_broker = *self.connections.end_mut(Node::Broker, connection);
        if !is_down && (self.broker.is_down || at_broker == EndState::Closed) {
            self.refuse_handshake(client, connection);
            return;
        }
        let is_waiting =
            *self.connections.end_mut(Node::Client(client), connection) == EndState::Unknown;
        if is_down && !is_waiting {
            return;
        }
        self.send_handshake_flight(connection, nth + 1);
        if is_open {
            self.links[client.index()].has_tls_session = true;
            self.client_opened(client, connection);
        }
    }

    /// Nobody listens: the handshake is answered by a reset.
    fn refuse_handshake(&mut self, client: ClientIndex, connection: Connection) {
        *self.connections.end_mut(Node::Broker, connection) = EndState::Closed;
        self.send_reset(Node::Broker, client, connection);
    }

    // ---- carrying ----

    /// A node wrote a packet into a connection.
    pub(super) fn write_to_tcp(&mut self, in_flight: PacketInFlight, tag: MessageTag, mqtt: u32) {
        let PacketInFlight { name, connection, .. } = in_flight;
        self.expire_nat_if_idle(connection);
        let origin = self.publisher_key(tag);
        let link = &mut self.links[name.client.index()];
        let Some(tcp) = link.tcp else { return };
        let Some(stream) = &mut self.tcp_connections[connection.0 as usize] else { return };
        self.tcp_awaited += awaited_weight(name.kind);
        let bytes = mqtt + tls_bytes(tcp.tls, mqtt);
        let ride = TcpContext { link: &mut link.link_state, tcp: &tcp, direction: name.direction };
        let pipe = stream.direction_mut(name.direction);
        pipe.send(self.now, ride, TcpItem::Packet(in_flight), &name, origin, bytes);
        self.reset_from_restarted_host(connection, name.client, name.direction);
        self.schedule_tcp_wakeup(connection, name.direction);
    }

    /// A NAT forgets a connection on which nothing was sent for too long. It matters when
    /// something is, and is looked at then.
    fn expire_nat_if_idle(&mut self, connection: Connection) {
        let now = self.now;
        let Some(stream) =
            self.tcp_connection(connection).filter(|stream| !stream.is_silently_dead)
        else {
            return;
        };
        let (client, idle) = (stream.client, now.since(stream.last_sent()));
        let nat_idle = self.links[client.index()].tcp.and_then(|tcp| tcp.nat_idle);
        if nat_idle.is_some_and(|limit| idle >= limit) {
            self.kill_silently(connection, SilentDeathCause::NatTimeout);
        }
    }

    /// Something is due on a direction of a connection.
    pub(super) fn tcp_due(&mut self, number: u32) {
        let (connection, way) = from_direction_number(number);
        let now = self.now;
        let Some(stream) = self.tcp_connection(connection) else { return };
        if stream.wakeup_times[direction_index(way)] != now {
            return;
        }
        stream.wakeup_times[direction_index(way)] = Time::NEVER;
        let client = stream.client;
        self.count_dispatch(EventClass::Arrival);
        if self.retransmit_due(connection, client, way) {
            let sender = if way == Direction::Up { Node::Client(client) } else { Node::Broker };
            self.close_end(sender, connection, CloseReason::UserTimeout);
            // An end that had closed before has nothing more to learn, and tries no longer.
            self.discard_in_flight(connection, way);
            return;
        }
        while let Some(item) = self.pop_arrived_item(connection, way) {
            match item {
                TcpItem::Handshake(nth) => self.handshake_flight_arrived(connection, nth),
                TcpItem::Packet(envelope) => {
                    self.tcp_awaited -= awaited_weight(envelope.name.kind);
                    let node = super::receiver_of(envelope.name);
                    self.packet_arrived(node, envelope);
                }
                TcpItem::Fin => self.fin_arrived(connection, client, way),
            }
        }
        self.schedule_tcp_wakeup(connection, way);
    }

    /// Sends again what is due; whether the sender gave up.
    fn retransmit_due(
        &mut self,
        connection: Connection,
        client: ClientIndex,
        direction: Direction,
    ) -> bool {
        let link = &mut self.links[client.index()];
        let Some(tcp) = link.tcp else { return false };
        let Some(stream) = &mut self.tcp_connections[connection.0 as usize] else { return false };
        let outcome = stream
            .direction_mut(direction)
            .wake(self.now, TcpContext { link: &mut link.link_state, tcp: &tcp, direction });
        if outcome.retransmitted > 0 {
            let (bytes, purpose) = (outcome.retransmitted, OverheadPurpose::Retransmission);
            self.notify_observers(&Event::Overhead { client, direction, purpose, bytes });
            self.reset_from_restarted_host(connection, client, direction);
        }
        outcome.gave_up
    }

    /// What arrived next, unless its receiver does not read now.
    fn pop_arrived_item(
        &mut self,
        connection: Connection,
        direction: Direction,
    ) -> Option<TcpItem> {
        let now = self.now;
        let stream = self.tcp_connections.get_mut(connection.0 as usize)?.as_deref_mut()?;
        let link = &self.links[stream.client.index()];
        let is_slow = link.slow_count > 0 && direction == Direction::Down;
        if link.stall_count > 0 || is_slow && stream.next_read_at > now {
            return None;
        }
        let item = stream.direction_mut(direction).pop_arrived(now)?;
        if is_slow {
            stream.next_read_at = now + link.slow_read_interval;
        }
        Some(item)
    }

    /// Sees to it that a direction is looked at when something is due on it.
    pub(super) fn schedule_tcp_wakeup(&mut self, connection: Connection, direction: Direction) {
        let now = self.now;
        let Some(stream) =
            self.tcp_connections.get_mut(connection.0 as usize).and_then(Option::as_mut)
        else {
            return;
        };
        let link = &self.links[stream.client.index()];
        let mut due = stream.direction_mut(direction).next_wake().max(now);
        if link.slow_count > 0 && direction == Direction::Down {
            due = due.max(stream.next_read_at);
        }
        if link.stall_count > 0 && due <= now {
            // It is looked at again when the stall is over.
            return;
        }
        let wakes_at = &mut stream.wakeup_times[direction_index(direction)];
        if due < *wakes_at {
            *wakes_at = due;
            self.queue.push(due, QueuedEvent::TcpDue(direction_number(connection, direction)));
        }
    }

    // ---- ending ----

    /// A connection dies, and nobody is told.
    pub(super) fn kill_silently(&mut self, connection: Connection, why: SilentDeathCause) {
        let Some(stream) =
            self.tcp_connection(connection).filter(|stream| !stream.is_silently_dead)
        else {
            return;
        };
        let client = stream.client;
        stream.die_silently();
        self.notify_observers(&Event::DiedSilently { connection, client, why });
        self.clear_fin_awaited(connection, Direction::Up);
        self.clear_fin_awaited(connection, Direction::Down);
        for direction in [Direction::Up, Direction::Down] {
            self.schedule_tcp_wakeup(connection, direction);
        }
    }

    pub(super) fn is_silently_dead(&self, connection: Connection) -> bool {
        let stream = self.tcp_connections.get(connection.0 as usize).and_then(Option::as_ref);
        stream.is_some_and(|stream| stream.is_silently_dead)
    }

    /// Whether a connection is dead, and an end that does not know will find out by its keep
    /// alive: until then it does not send again what it owes.
    pub(super) fn is_awaiting_keep_alive(&mut self) -> bool {
        if self.unnoticed_death.is_some_and(|connection| self.is_unnoticed_death(connection)) {
            return true;
        }
        let mut all = (0..).map(Connection).take(self.tcp_connections.len());
        self.unnoticed_death = all.find(|connection| self.is_unnoticed_death(*connection));
        self.unnoticed_death.is_some()
    }

    fn is_unnoticed_death(&mut self, connection: Connection) -> bool {
        let Some(stream) = self.tcp_connection(connection) else { return false };
        let (client, is_dark) = (stream.client, stream.is_silently_dead);
        if self.setup.clients[client.index()].settings.keep_alive == Span::ZERO {
            return false;
        }
        let at_client = *self.connections.end_mut(Node::Client(client), connection);
        let at_broker = *self.connections.end_mut(Node::Broker, connection);
        match (at_client, at_broker) {
            (EndState::Open, EndState::Open) => is_dark,
            (EndState::Open, EndState::Closed) | (EndState::Closed, EndState::Open) => true,
            _ => false,
        }
    }

    /// A node's end of a connection has closed: it tells the other end, if it can.
    pub(super) fn tcp_end_closed(
        &mut self,
        node: Node,
        connection: Connection,
        why: CloseReason,
        was_open: bool,
    ) {
        let Some(stream) = self.tcp_connection(connection) else { return };
        let client = stream.client;
        let (direction, other) = match node {
            Node::Broker => (Direction::Down, Node::Client(client)),
            Node::Client(_) => (Direction::Up, Node::Broker),
        };
        let other = *self.connections.end_mut(other, connection);
        // What a client has written before the broker knew of it may still get there.
        let sends_fin_first = was_open && sends_fin(why);
        let is_peer_reachable =
            other == EndState::Open || other == EndState::Unknown && sends_fin_first;
        let is_peer_pending = other == EndState::Unknown && node == Node::Broker;
        if !is_peer_reachable && !is_peer_pending {
            self.drop_tcp_connection(connection);
        } else if sends_fin(why) && is_peer_reachable {
            self.send_fin(connection, client, direction);
        } else {
            self.discard_in_flight(connection, direction);
        }
    }

    /// The end of the stream goes the way of the packets before it.
    pub(super) fn send_fin(
        &mut self,
        connection: Connection,
        client: ClientIndex,
        direction: Direction,
    ) {
        let link = &mut self.links[client.index()];
        let Some(tcp) = link.tcp else { return };
        let first_transmission = Transmission::default();
        let name = link.next_packet_name(
            client,
            direction,
            PacketKind::Handshake,
            MessageTag::NONE,
            first_transmission,
        );
        let Some(stream) = &mut self.tcp_connections[connection.0 as usize] else { return };
        let ride = TcpContext { link: &mut link.link_state, tcp: &tcp, direction };
        stream.direction_mut(direction).send(self.now, ride, TcpItem::Fin, &name, None, 0);
        if !stream.is_silently_dead {
            stream.fin_awaited[direction_index(direction)] = true;
            self.tcp_awaited += 1;
        }
        let (bytes, purpose) = (tcp.headers, OverheadPurpose::Handshake);
        self.notify_observers(&Event::Overhead { client, direction, purpose, bytes });
        self.schedule_tcp_wakeup(connection, direction);
    }

    /// What is under way in one direction never arrives.
    pub(super) fn discard_in_flight(&mut self, connection: Connection, direction: Direction) {
        let Some(stream) = self.tcp_connection(connection) else { return };
        let lost: Vec<_> = stream.direction_mut(direction).take_undelivered().collect();
        self.clear_fin_awaited(connection, direction);
        for item in lost {
            if let TcpItem::Packet(envelope) = item {
                self.tcp_awaited -= awaited_weight(envelope.name.kind);
                self.discard(envelope);
            }
        }
    }

    /// The end of a stream arrived, behind all that was sent before.
    fn fin_arrived(&mut self, connection: Connection, client: ClientIndex, direction: Direction) {
        self.clear_fin_awaited(connection, direction);
        let node = if direction == Direction::Up { Node::Broker } else { Node::Client(client) };
        self.close_end(node, connection, CloseReason::Peer);
        let end = self.connections.end_mut(node, connection);
        if *end == EndState::Unknown {
            // It closed before it said CONNECT.
            *end = EndState::Closed;
            self.drop_tcp_connection(connection);
        }
    }

    /// The end of one direction has come, or never will.
    fn clear_fin_awaited(&mut self, connection: Connection, direction: Direction) {
        let Some(stream) = self.tcp_connection(connection) else { return };
        let awaited = std::mem::take(&mut stream.fin_awaited[direction_index(direction)]);
        self.tcp_awaited -= usize::from(awaited);
    }

    /// Something was sent to a host that had lost its power and is back: it knows nothing of the
    /// connection.
    fn reset_from_restarted_host(
        &mut self,
        connection: Connection,
        client: ClientIndex,
        direction: Direction,
    ) {
        let Some(node) = self.tcp_connection(connection).and_then(|stream| stream.powered_off_node)
        else {
            return;
        };
        let is_towards_node = (direction == Direction::Up) == (node == Node::Broker);
        let is_blocked = self.links[client.index()].link_state.is_blocked(direction);
        if is_towards_node && !is_blocked && !self.is_down(node) {
            if let Some(stream) = self.tcp_connection(connection) {
                stream.powered_off_node = None;
            }
            self.send_reset(node, client, connection);
        }
    }

    /// Both ends are done with a connection.
    fn drop_tcp_connection(&mut self, connection: Connection) {
        self.discard_in_flight(connection, Direction::Up);
        self.discard_in_flight(connection, Direction::Down);
        if let Some(stream) = self.tcp_connections[connection.0 as usize].take() {
            self.links[stream.client.index()].tcp_connections.retain(|other| *other != connection);
        }
    }

    pub(super) fn tcp_connection(&mut self, connection: Connection) -> Option<&mut TcpConnection> {
        self.tcp_connections.get_mut(connection.0 as usize)?.as_deref_mut()
    }

    /// Looks at all streams of a client again.
    pub(super) fn repoll_connections(&mut self, client: usize) {
        let streams = self.links[client_index(client).index()].tcp_connections.clone();
        for connection in streams {
            for direction in [Direction::Up, Direction::Down] {
                self.schedule_tcp_wakeup(connection, direction);
            }
        }
    }
}

/// Whether an end that closed so tells the other end in order.
const fn sends_fin(why: CloseReason) -> bool {
    matches!(
        why,
        CloseReason::Requested
            | CloseReason::KeepAlive
            | CloseReason::TakenOver
            | CloseReason::Protocol
    )
}

fn awaited_weight(kind: PacketKind) -> usize {
    usize::from(!matches!(kind, PacketKind::PingReq | PacketKind::PingResp))
}
