//! The network's part in TCP connections. Methods return what is to be reported.

use super::Network;
use crate::event::connections::EndState;
use crate::event::links::PacketInFlight;
use crate::event::queue::QueuedEvent;
use crate::event::tcp_connection::{TcpConnection, TcpItem, handshake_flights};
use crate::event::timeline::Timeline;
use crate::trial::Setup;
use qoslab_core::base::{
    ClientIndex, ConnectionNumber, Direction, Node, PacketKind, PacketMeta, Span, Time,
};
use qoslab_core::network::tcp::{StreamItem, TcpActivity, TcpContext, tls_bytes};

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
        self.tcp_connection(connection).is_some_and(|it| it.streams.is_silently_dead())
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

    // ---- carrying ----

    /// Writes into a connection. What that puts on the link; `None` if there is no such connection.
    pub(in crate::event) fn write_tcp(
        &mut self,
        now: Time,
        connection: ConnectionNumber,
        item: StreamItem<TcpItem>,
    ) -> Option<TcpActivity> {
        let tcp_connection = self.tcp_connections.get_mut(connection.0 as usize)?.as_mut()?;
        let client = tcp_connection.client;
        let link = &mut self.links[client.index()];
        let tcp = link.tcp.as_ref()?;
        if let TcpItem::Packet(in_flight) = &item.value {
            self.tcp_awaited += awaited_weight(in_flight.name.kind);
        }
        let context = TcpContext { link: &mut link.link_state, tcp, client };
        Some(tcp_connection.streams.write(now, context, item))
    }

    /// The packet of that length that was just written, as an observer sees it: its transport adds
    /// TLS's bytes, and the headers of the segments that went at once.
    pub(in crate::event) fn describe_written(
        &mut self,
        connection: ConnectionNumber,
        direction: Direction,
        (length, segments): (u32, u32),
    ) -> Option<PacketMeta<'_>> {
        let tcp_connection = self.tcp_connections.get_mut(connection.0 as usize)?.as_mut()?;
        let link = &self.links[tcp_connection.client.index()];
        let tcp = link.tcp.as_ref()?;
        let TcpItem::Packet(in_flight) = tcp_connection.streams.newest_mut(direction)? else {
            return None;
        };
        in_flight.overhead = tls_bytes(tcp.tls, length) + tcp.headers * segments;
        let packet = in_flight.packet.as_ref()?;
        Some(link.describe(packet, in_flight.name, Some(length), in_flight.overhead))
    }

    /// The end of a stream is under way, and awaited.
    pub(in crate::event) fn await_fin(
        &mut self,
        connection: ConnectionNumber,
        direction: Direction,
    ) {
        let Some(tcp_connection) = self.tcp_connection_mut(connection) else { return };
        if !tcp_connection.streams.is_silently_dead() {
            tcp_connection.fin_awaited[direction as usize] = true;
            self.tcp_awaited += 1;
        }
    }

    /// Whether a NAT has forgotten a connection, on which nothing was sent for too long.
    pub(in crate::event) fn has_nat_expired(
        &self,
        now: Time,
        connection: ConnectionNumber,
    ) -> bool {
        self.tcp_connection(connection).is_some_and(|tcp_connection| {
            let idle = now.since(tcp_connection.streams.last_sent());
            let nat_idle = self.link(tcp_connection.client).tcp.and_then(|tcp| tcp.nat_idle);
            nat_idle.is_some_and(|limit| idle >= limit)
        })
    }

    /// Does what is due on a connection: segments arrive, timers expire.
    pub(in crate::event) fn wake_tcp(
        &mut self,
        now: Time,
        connection: ConnectionNumber,
    ) -> Option<TcpActivity> {
        let tcp_connection = self.tcp_connections.get_mut(connection.0 as usize)?.as_mut()?;
        let client = tcp_connection.client;
        let link = &mut self.links[client.index()];
        let context = TcpContext { link: &mut link.link_state, tcp: link.tcp.as_ref()?, client };
        Some(tcp_connection.streams.wake(now, context))
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
        let tcp = link.tcp.as_ref()?;
        if !link.reads(now, tcp_connection, direction) {
            return None;
        }
        let item = tcp_connection.streams.pop_arrived(now, tcp, direction)?;
        let is_packet = matches!(item, TcpItem::Packet(_));
        if is_packet && direction == Direction::Down && link.read_interval() > Span::ZERO {
            tcp_connection.next_read_at = now + link.read_interval();
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
    ) -> bool {
        let Some(tcp_connection) = self.tcp_connection_mut(connection) else { return false };
        let counts = tcp_connection.wakes_at == now;
        if counts {
            tcp_connection.wakes_at = Time::NEVER;
        }
        counts
    }

    /// Sees to it that a connection is looked at when something is due on it.
    pub(in crate::event) fn schedule_tcp_wakeup(
        &mut self,
        timeline: &mut Timeline,
        connection: ConnectionNumber,
    ) {
        let now = timeline.now;
        let place = self.tcp_connections.get_mut(connection.0 as usize);
        let Some(tcp_connection) = place.and_then(Option::as_mut) else { return };
        let link = &self.links[tcp_connection.client.index()];
        let streams = &tcp_connection.streams;
        let mut due = streams.next_wake().max(now);
        // A link that stalls is looked at again when the stall is over.
        if link.stall_count == 0 {
            if streams.has_unread(Direction::Up) {
                due = now;
            }
            if streams.has_unread(Direction::Down) {
                let is_slow = link.read_interval() > Span::ZERO;
                due = due.min(if is_slow { tcp_connection.next_read_at.max(now) } else { now });
            }
        }
        if due < tcp_connection.wakes_at {
            tcp_connection.wakes_at = due;
            timeline.schedule(due, QueuedEvent::TcpDue(connection.0));
        }
    }

    /// Looks at all connections of a client again.
    pub(in crate::event) fn repoll_connections(
        &mut self,
        timeline: &mut Timeline,
        client: ClientIndex,
    ) {
        for connection in self.link(client).tcp_connections.clone() {
            self.schedule_tcp_wakeup(timeline, connection);
        }
    }

    // ---- ending ----

    /// A connection dies, and no end is notified. Returns its client, unless it was dead already.
    pub(in crate::event) fn kill_silently(
        &mut self,
        timeline: &mut Timeline,
        connection: ConnectionNumber,
    ) -> Option<ClientIndex> {
        let client = self.tcp_connection(connection)?.client;
        let tcp = self.link(client).tcp?;
        let live = self.tcp_connection_mut(connection)?;
        if live.streams.is_silently_dead() {
            return None;
        }
        live.streams.die_silently(timeline.now, &tcp);
        self.clear_fin_awaited(connection, Direction::Up);
        self.clear_fin_awaited(connection, Direction::Down);
        self.schedule_tcp_wakeup(timeline, connection);
        Some(client)
    }

    /// The packets under way in one direction, which never arrive.
    pub(in crate::event) fn take_undelivered(
        &mut self,
        connection: ConnectionNumber,
        direction: Direction,
    ) -> Vec<PacketInFlight> {
        let Some(tcp_connection) = self.tcp_connection_mut(connection) else { return Vec::new() };
        let lost = tcp_connection.streams.abandon(direction);
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
        let fin_awaited = &mut tcp_connection.fin_awaited[direction as usize];
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
            (EndState::Open, EndState::Open) => tcp_connection.streams.is_silently_dead(),
            (EndState::Open, EndState::Closed) | (EndState::Closed, EndState::Open) => true,
            _ => false,
        }
    }
}

fn awaited_weight(kind: PacketKind) -> usize {
    usize::from(!matches!(kind, PacketKind::PingReq | PacketKind::PingResp))
}
