//! The network's part in TCP connections. Methods return what is to be reported.

use super::Network;
use crate::event::connections::EndState;
use crate::event::links::PacketInFlight;
use crate::event::queue::QueuedEvent;
use crate::event::tcp_connection::{
    TcpConnection, TcpItem, direction_index, direction_number, handshake_flights,
};
use crate::event::timeline::Timeline;
use crate::trial::Setup;
use qoslab_core::base::draw::DrawKey;
use qoslab_core::base::{
    ClientIndex, ConnectionNumber, Direction, Event, Node, OverheadPurpose, PacketKind, Span, Time,
};
use qoslab_core::network::tcp::{TcpContext, Wakeup, header_bytes, tls_bytes};

impl Network {
    // ---- which there are ----

    pub(in crate::event) fn tcp_connection(
        &self,
        connection: ConnectionNumber,
    ) -> Option<&TcpConnection> {
        self.tcp_connections.get(connection.0 as usize)?.as_deref()
    }

    pub(in crate::event) fn tcp_connection_mut(
        &mut self,
        connection: ConnectionNumber,
    ) -> Option<&mut TcpConnection> {
        self.tcp_connections.get_mut(connection.0 as usize)?.as_deref_mut()
    }

    /// All that are not over.
    pub(in crate::event) fn live_tcp_connections(
        &self,
    ) -> impl Iterator<Item = (ConnectionNumber, &TcpConnection)> {
        let numbered = (0..).map(ConnectionNumber).zip(&self.tcp_connections);
        numbered.filter_map(|(number, connection)| Some((number, connection.as_deref()?)))
    }

    pub(in crate::event) fn is_silently_dead(&self, connection: ConnectionNumber) -> bool {
        self.tcp_connection(connection).is_some_and(|it| it.is_silently_dead)
    }

    // ---- opening ----

    /// A client begins to open a connection.
    pub(in crate::event) fn open_tcp(&mut self, client: ClientIndex, connection: ConnectionNumber) {
        let link = self.link_mut(client);
        link.tcp_connections.push(connection);
        let tls = link.tcp.and_then(|tcp| tcp.tls);
        let handshake = handshake_flights(tls, link.has_tls_session);
        let index = connection.0 as usize;
        if self.tcp_connections.len() <= index {
            self.tcp_connections.resize_with(index + 1, || None);
        }
        self.tcp_connections[index] = Some(Box::new(TcpConnection::new(client, handshake)));
    }

    /// Sends a flight of the handshake, if there is one of this number.
    pub(in crate::event) fn send_handshake_flight(
        &mut self,
        timeline: &mut Timeline,
        connection: ConnectionNumber,
        nth: u8,
    ) -> Option<Event<'static>> {
        let tcp_connection = self.tcp_connection(connection)?;
        let flight = *tcp_connection.handshake.get(usize::from(nth))?;
        let item = TcpItem::Handshake(nth);
        self.send_control(timeline, connection, flight.direction, item, flight.bytes)
    }

    // ---- carrying ----

    /// Sends something that is no packet of MQTT's, with the given number of bytes above TCP.
    fn send_control(
        &mut self,
        timeline: &mut Timeline,
        connection: ConnectionNumber,
        direction: Direction,
        item: TcpItem,
        bytes: u32,
    ) -> Option<Event<'static>> {
        let client = self.tcp_connection(connection)?.client;
        let tcp = self.link(client).tcp?;
        let name = self.next_control_name(client, direction, PacketKind::Handshake);
        let tcp_connection = self.tcp_connections[connection.0 as usize].as_mut()?;
        let link = &mut self.links[client.index()].link_state;
        let context = TcpContext { link, tcp: &tcp, direction };
        let sender = tcp_connection.direction_mut(direction);
        sender.send(timeline.now, context, item, &name, None, bytes);
        self.schedule_tcp_wakeup(timeline, connection, direction);
        let bytes = bytes + header_bytes(&tcp, bytes);
        let purpose = OverheadPurpose::Handshake;
        Some(Event::Overhead { client, direction, purpose, bytes })
    }

    /// A node writes a packet into a connection. Its message draws by `publisher_key`.
    pub(in crate::event) fn write_tcp(
        &mut self,
        now: Time,
        in_flight: PacketInFlight,
        publisher_key: Option<DrawKey>,
        mqtt_bytes: u32,
    ) {
        let PacketInFlight { name, connection, .. } = in_flight;
        let link = &mut self.links[name.client.index()];
        let Some(tcp) = link.tcp else { return };
        let Some(tcp_connection) = &mut self.tcp_connections[connection.0 as usize] else { return };
        self.tcp_awaited += awaited_weight(name.kind);
        let bytes = mqtt_bytes + tls_bytes(tcp.tls, mqtt_bytes);
        let direction = name.direction;
        let context = TcpContext { link: &mut link.link_state, tcp: &tcp, direction };
        let sender = tcp_connection.direction_mut(direction);
        sender.send(now, context, TcpItem::Packet(in_flight), &name, publisher_key, bytes);
    }

    /// The end of the stream goes the way of the packets before it.
    pub(in crate::event) fn send_fin(
        &mut self,
        timeline: &mut Timeline,
        connection: ConnectionNumber,
        direction: Direction,
    ) -> Option<Event<'static>> {
        let told = self.send_control(timeline, connection, direction, TcpItem::Fin, 0)?;
        let tcp_connection = self.tcp_connection_mut(connection)?;
        if !tcp_connection.is_silently_dead {
            tcp_connection.fin_awaited[direction_index(direction)] = true;
            self.tcp_awaited += 1;
        }
        Some(told)
    }

    /// Whether a NAT has forgotten a connection, on which nothing was sent for too long.
    pub(in crate::event) fn has_nat_expired(
        &self,
        now: Time,
        connection: ConnectionNumber,
    ) -> bool {
        self.tcp_connection(connection).is_some_and(|tcp_connection| {
            let idle = now.since(tcp_connection.last_sent());
            let nat_idle = self.link(tcp_connection.client).tcp.and_then(|tcp| tcp.nat_idle);
            nat_idle.is_some_and(|limit| idle >= limit)
        })
    }

    /// Sends again what is due.
    pub(in crate::event) fn retransmit_due(
        &mut self,
        now: Time,
        connection: ConnectionNumber,
        direction: Direction,
    ) -> Option<Wakeup> {
        let tcp_connection = self.tcp_connections.get_mut(connection.0 as usize)?.as_mut()?;
        let link = &mut self.links[tcp_connection.client.index()];
        let tcp = link.tcp?;
        let context = TcpContext { link: &mut link.link_state, tcp: &tcp, direction };
        Some(tcp_connection.direction_mut(direction).wake(now, context))
    }

    /// Returns what arrived next, unless its receiver does not read now.
    pub(in crate::event) fn pop_arrived_item(
        &mut self,
        now: Time,
        connection: ConnectionNumber,
        direction: Direction,
    ) -> Option<TcpItem> {
        let tcp_connection = self.tcp_connections.get_mut(connection.0 as usize)?.as_deref_mut()?;
        let link = &self.links[tcp_connection.client.index()];
        let is_slow = link.slow_count > 0 && direction == Direction::Down;
        if link.stall_count > 0 || is_slow && tcp_connection.next_read_at > now {
            return None;
        }
        let item = tcp_connection.direction_mut(direction).pop_arrived(now)?;
        if is_slow {
            tcp_connection.next_read_at = now + link.slow_read_interval;
        }
        if let TcpItem::Packet(in_flight) = &item {
            self.tcp_awaited -= awaited_weight(in_flight.name.kind);
        }
        Some(item)
    }

    // ---- wake-ups ----

    /// Whether the wake-up that is due now is the one that counts.
    pub(in crate::event) fn take_tcp_wakeup(
        &mut self,
        now: Time,
        connection: ConnectionNumber,
        direction: Direction,
    ) -> bool {
        let Some(tcp_connection) = self.tcp_connection_mut(connection) else { return false };
        let wakeup_time = &mut tcp_connection.wakeup_times[direction_index(direction)];
        let counts = *wakeup_time == now;
        if counts {
            *wakeup_time = Time::NEVER;
        }
        counts
    }

    /// Sees to it that a direction is looked at when something is due on it.
    pub(in crate::event) fn schedule_tcp_wakeup(
        &mut self,
        timeline: &mut Timeline,
        connection: ConnectionNumber,
        direction: Direction,
    ) {
        let now = timeline.now;
        let place = self.tcp_connections.get_mut(connection.0 as usize);
        let Some(tcp_connection) = place.and_then(Option::as_mut) else { return };
        let link = &self.links[tcp_connection.client.index()];
        let mut due = tcp_connection.direction_mut(direction).next_wake().max(now);
        if link.slow_count > 0 && direction == Direction::Down {
            due = due.max(tcp_connection.next_read_at);
        }
        if link.stall_count > 0 && due <= now {
            // It is looked at again when the stall is over.
            return;
        }
        let wakes_at = &mut tcp_connection.wakeup_times[direction_index(direction)];
        if due < *wakes_at {
            *wakes_at = due;
            timeline.schedule(due, QueuedEvent::TcpDue(direction_number(connection, direction)));
        }
    }

    pub(in crate::event) fn schedule_tcp_wakeups(
        &mut self,
        timeline: &mut Timeline,
        connection: ConnectionNumber,
    ) {
        for direction in [Direction::Up, Direction::Down] {
            self.schedule_tcp_wakeup(timeline, connection, direction);
        }
    }

    /// Looks at all connections of a client again.
    pub(in crate::event) fn repoll_connections(
        &mut self,
        timeline: &mut Timeline,
        client: ClientIndex,
    ) {
        for connection in self.link(client).tcp_connections.clone() {
            self.schedule_tcp_wakeups(timeline, connection);
        }
    }

    // ---- ending ----

    /// A connection dies, and no end is notified. Returns its client, unless it was dead already.
    pub(in crate::event) fn kill_silently(
        &mut self,
        timeline: &mut Timeline,
        connection: ConnectionNumber,
    ) -> Option<ClientIndex> {
        let live = self.tcp_connection_mut(connection).filter(|it| !it.is_silently_dead)?;
        live.die_silently();
        let client = live.client;
        self.clear_fin_awaited(connection, Direction::Up);
        self.clear_fin_awaited(connection, Direction::Down);
        self.schedule_tcp_wakeups(timeline, connection);
        Some(client)
    }

    /// The packets under way in one direction, which never arrive.
    pub(in crate::event) fn take_undelivered(
        &mut self,
        connection: ConnectionNumber,
        direction: Direction,
    ) -> Vec<PacketInFlight> {
        let Some(tcp_connection) = self.tcp_connection_mut(connection) else { return Vec::new() };
        let lost = tcp_connection.direction_mut(direction).take_undelivered();
        let packets: Vec<_> = lost
            .filter_map(|item| match item {
                TcpItem::Packet(in_flight) => Some(in_flight),
                TcpItem::Handshake(_) | TcpItem::Fin => None,
            })
            .collect();
        self.clear_fin_awaited(connection, direction);
        self.tcp_awaited -= packets.iter().map(|it| awaited_weight(it.name.kind)).sum::<usize>();
        packets
    }

    /// The end of one direction has come, or never will.
    pub(in crate::event) fn clear_fin_awaited(
        &mut self,
        connection: ConnectionNumber,
        direction: Direction,
    ) {
        let Some(tcp_connection) = self.tcp_connection_mut(connection) else { return };
        let fin_awaited = &mut tcp_connection.fin_awaited[direction_index(direction)];
        self.tcp_awaited -= usize::from(std::mem::take(fin_awaited));
    }

    /// Both ends are done with a connection.
    pub(in crate::event) fn remove_tcp(&mut self, connection: ConnectionNumber) {
        if let Some(removed) = self.tcp_connections[connection.0 as usize].take() {
            self.link_mut(removed.client).tcp_connections.retain(|other| *other != connection);
        }
    }

    /// A node to which something is sent in this direction and that lost its power and is back, as
    /// far as the network knows: it knows nothing of the connection.
    pub(in crate::event) fn powered_off_receiver(
        &self,
        connection: ConnectionNumber,
        direction: Direction,
    ) -> Option<Node> {
        let tcp_connection = self.tcp_connection(connection)?;
        let node = tcp_connection.powered_off_node?;
        let is_towards_node = (direction == Direction::Up) == (node == Node::Broker);
        let is_blocked = self.link(tcp_connection.client).link_state.is_blocked(direction);
        (is_towards_node && !is_blocked).then_some(node)
    }

    /// Whether a connection is dead, and an end that does not know will find out by its keep
    /// alive: until then it does not send again what it owes.
    pub(in crate::event) fn is_awaiting_keep_alive(&mut self, setup: &Setup) -> bool {
        let known = self.unnoticed_death;
        if known.is_some_and(|connection| self.is_unnoticed_death(setup, connection)) {
            return true;
        }
        let mut all = (0..).map(ConnectionNumber).take(self.tcp_connections.len());
        self.unnoticed_death = all.find(|connection| self.is_unnoticed_death(setup, *connection));
        self.unnoticed_death.is_some()
    }

    fn is_unnoticed_death(&self, setup: &Setup, connection: ConnectionNumber) -> bool {
        let Some(tcp_connection) = self.tcp_connection(connection) else { return false };
        let client = tcp_connection.client;
        if setup.clients[client.index()].settings.keep_alive == Span::ZERO {
            return false;
        }
        let at_client = self.connections.end(Node::Client(client), connection);
        let at_broker = self.connections.end(Node::Broker, connection);
        match (at_client, at_broker) {
            (EndState::Open, EndState::Open) => tcp_connection.is_silently_dead,
            (EndState::Open, EndState::Closed) | (EndState::Closed, EndState::Open) => true,
            _ => false,
        }
    }
}

fn awaited_weight(kind: PacketKind) -> usize {
    usize::from(!matches!(kind, PacketKind::PingReq | PacketKind::PingResp))
}
