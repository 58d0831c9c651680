//! What happens on TCP connections.

use std::convert::Infallible;

use super::{Simulation, client_index};
use crate::event::connections::End;
use crate::event::lines::Envelope;
use crate::event::queue::{Class, Happening};
use crate::event::streams::{Item, Stream, flights, number, numbered, side};
use qoslab_core::base::event::{Close, Dark, Event, Observer, Overhead};
use qoslab_core::base::name::{ClientIndex, Connection, Kind, Node, Tag, Transmission, Way};
use qoslab_core::base::time::{Span, Time};
use qoslab_core::mqtt::endpoint::Endpoint;
use qoslab_core::mqtt::settings::Request;
use qoslab_core::network::overrule::Overrule;
use qoslab_core::network::tcp::{Ride, header_bytes, tls_bytes};

impl<C, B, O, R> Simulation<'_, C, B, O, R>
where
    C: Endpoint<Request = Request> + Clone,
    B: Endpoint<Request = Infallible> + Clone,
    O: Observer,
    R: Overrule,
{
    // ---- opening ----

    pub(super) fn begin_handshake(&mut self, client: ClientIndex, connection: Connection) {
        let line = &mut self.lines[client.index()];
        line.streams.push(connection);
        let tls = line.tcp.and_then(|tcp| tcp.tls);
        let flights = flights(tls, line.has_tls_session);
        let place = connection.0 as usize;
        if self.streams.len() <= place {
            self.streams.resize_with(place + 1, || None);
        }
        self.streams[place] = Some(Box::new(Stream::new(client, flights)));
        self.send_flight(connection, 0);
    }

    fn send_flight(&mut self, connection: Connection, nth: u8) {
        let Some(stream) = self.stream(connection) else { return };
        let client = stream.client;
        let Some(flight) = stream.flights.get(usize::from(nth)).copied() else { return };
        let line = &mut self.lines[client.index()];
        let Some(tcp) = line.tcp else { return };
        let none = Transmission::default();
        let name = line.name(client, flight.way, Kind::Handshake, Tag::NONE, none);
        let bytes = flight.bytes + header_bytes(&tcp, flight.bytes);
        let (way, purpose) = (flight.way, Overhead::Handshake);
        self.tell(&Event::Overhead { client, way, purpose, bytes });
        let item = Item::Flight(nth);
        if let Some(stream) = self.streams[connection.0 as usize].as_mut() {
            let ride = Ride { link: &mut self.lines[client.index()].link, tcp: &tcp, way };
            stream.pipe(way).send(self.now, ride, item, &name, None, flight.bytes);
        }
        self.wake_stream(connection, way);
    }

    fn flight_arrived(&mut self, connection: Connection, nth: u8) {
        let Some(stream) = self.stream(connection) else { return };
        let (client, opens) = (stream.client, stream.opens_with(nth));
        let downwards = stream.flights[usize::from(nth)].way == Way::Down;
        let at_broker = *self.connections.at(Node::Broker, connection);
        if !downwards && (self.broker.is_down || at_broker == End::Closed) {
            self.refuse(client, connection);
            return;
        }
        let waits = *self.connections.at(Node::Client(client), connection) == End::Unknown;
        if downwards && !waits {
            return;
        }
        self.send_flight(connection, nth + 1);
        if opens {
            self.lines[client.index()].has_tls_session = true;
            self.opened(client, connection);
        }
    }

    /// Nobody listens: the handshake is answered by a reset.
    fn refuse(&mut self, client: ClientIndex, connection: Connection) {
        *self.connections.at(Node::Broker, connection) = End::Closed;
        self.send_reset(Node::Broker, client, connection);
    }

    // ---- carrying ----

    /// A node wrote a packet into a connection.
    pub(super) fn put_into_stream(&mut self, envelope: Envelope, tag: Tag, mqtt: u32) {
        let Envelope { name, connection, .. } = envelope;
        self.forget_if_idle(connection);
        let origin = self.origin(tag);
        let line = &mut self.lines[name.client.index()];
        let Some(tcp) = line.tcp else { return };
        let Some(stream) = &mut self.streams[connection.0 as usize] else { return };
        self.streaming += is_awaited(name.kind);
        let bytes = mqtt + tls_bytes(tcp.tls, mqtt);
        let ride = Ride { link: &mut line.link, tcp: &tcp, way: name.way };
        let pipe = stream.pipe(name.way);
        pipe.send(self.now, ride, Item::Packet(envelope), &name, origin, bytes);
        self.ask_lost_host(connection, name.client, name.way);
        self.wake_stream(connection, name.way);
    }

    /// A NAT forgets a connection on which nothing was sent for too long. It matters when
    /// something is, and is looked at then.
    fn forget_if_idle(&mut self, connection: Connection) {
        let now = self.now;
        let Some(stream) = self.stream(connection).filter(|stream| !stream.is_dark) else { return };
        let (client, idle) = (stream.client, now.since(stream.last_sent()));
        let nat_idle = self.lines[client.index()].tcp.and_then(|tcp| tcp.nat_idle);
        if nat_idle.is_some_and(|limit| idle >= limit) {
            self.darken(connection, Dark::NatForgot);
        }
    }

    /// Something is due on a direction of a connection.
    pub(super) fn stream_due(&mut self, number: u32) {
        let (connection, way) = numbered(number);
        let now = self.now;
        let Some(stream) = self.stream(connection) else { return };
        if stream.wakes_at[side(way)] != now {
            return;
        }
        stream.wakes_at[side(way)] = Time::NEVER;
        let client = stream.client;
        self.turn(Class::Arrival);
        if self.retransmit(connection, client, way) {
            let sender = if way == Way::Up { Node::Client(client) } else { Node::Broker };
            self.hang(sender, connection, Close::UserTimeout);
            // An end that had closed before has nothing more to learn, and tries no longer.
            self.lose(connection, way);
            return;
        }
        while let Some(item) = self.next_arrived(connection, way) {
            match item {
                Item::Flight(nth) => self.flight_arrived(connection, nth),
                Item::Packet(envelope) => {
                    self.streaming -= is_awaited(envelope.name.kind);
                    let node = super::receiver(envelope.name);
                    self.packet_arrived(node, envelope);
                }
                Item::End => self.end_arrived(connection, client, way),
            }
        }
        self.wake_stream(connection, way);
    }

    /// Sends again what is due; whether the sender gave up.
    fn retransmit(&mut self, connection: Connection, client: ClientIndex, way: Way) -> bool {
        let line = &mut self.lines[client.index()];
        let Some(tcp) = line.tcp else { return false };
        let Some(stream) = &mut self.streams[connection.0 as usize] else { return false };
        let woke = stream.pipe(way).wake(self.now, Ride { link: &mut line.link, tcp: &tcp, way });
        if woke.retransmitted > 0 {
            let (bytes, purpose) = (woke.retransmitted, Overhead::Retransmission);
            self.tell(&Event::Overhead { client, way, purpose, bytes });
            self.ask_lost_host(connection, client, way);
        }
        woke.gave_up
    }

    /// What arrived next, unless its receiver does not read now.
    fn next_arrived(&mut self, connection: Connection, way: Way) -> Option<Item> {
        let now = self.now;
        let stream = self.streams.get_mut(connection.0 as usize)?.as_deref_mut()?;
        let line = &self.lines[stream.client.index()];
        let slow = line.slowed > 0 && way == Way::Down;
        if line.stalls > 0 || slow && stream.reads_at > now {
            return None;
        }
        let item = stream.pipe(way).pop_arrived(now)?;
        if slow {
            stream.reads_at = now + line.pace;
        }
        Some(item)
    }

    /// Sees to it that a direction is looked at when something is due on it.
    pub(super) fn wake_stream(&mut self, connection: Connection, way: Way) {
        let now = self.now;
        let Some(stream) = self.streams.get_mut(connection.0 as usize).and_then(Option::as_mut)
        else {
            return;
        };
        let line = &self.lines[stream.client.index()];
        let mut due = stream.pipe(way).next_wake().max(now);
        if line.slowed > 0 && way == Way::Down {
            due = due.max(stream.reads_at);
        }
        if line.stalls > 0 && due <= now {
            // It is looked at again when the stall is over.
            return;
        }
        let wakes_at = &mut stream.wakes_at[side(way)];
        if due < *wakes_at {
            *wakes_at = due;
            self.queue.push(due, Happening::Stream(number(connection, way)));
        }
    }

    // ---- ending ----

    /// A connection dies, and nobody is told.
    pub(super) fn darken(&mut self, connection: Connection, why: Dark) {
        let Some(stream) = self.stream(connection).filter(|stream| !stream.is_dark) else { return };
        let client = stream.client;
        stream.go_dark();
        self.tell(&Event::WentDark { connection, client, why });
        self.no_end_comes(connection, Way::Up);
        self.no_end_comes(connection, Way::Down);
        for way in [Way::Up, Way::Down] {
            self.wake_stream(connection, way);
        }
    }

    pub(super) fn is_dark(&self, connection: Connection) -> bool {
        let stream = self.streams.get(connection.0 as usize).and_then(Option::as_ref);
        stream.is_some_and(|stream| stream.is_dark)
    }

    /// Whether a connection is dead, and an end that does not know will find out by its keep
    /// alive: until then it does not send again what it owes.
    pub(super) fn awaits_keep_alive(&mut self) -> bool {
        if self.unnoticed.is_some_and(|connection| self.is_unnoticed(connection)) {
            return true;
        }
        let mut all = (0..).map(Connection).take(self.streams.len());
        self.unnoticed = all.find(|connection| self.is_unnoticed(*connection));
        self.unnoticed.is_some()
    }

    fn is_unnoticed(&mut self, connection: Connection) -> bool {
        let Some(stream) = self.stream(connection) else { return false };
        let (client, is_dark) = (stream.client, stream.is_dark);
        if self.setup.clients[client.index()].settings.keep_alive == Span::ZERO {
            return false;
        }
        let at_client = *self.connections.at(Node::Client(client), connection);
        let at_broker = *self.connections.at(Node::Broker, connection);
        match (at_client, at_broker) {
            (End::Open, End::Open) => is_dark,
            (End::Open, End::Closed) | (End::Closed, End::Open) => true,
            _ => false,
        }
    }

    /// A node's end of a connection has closed: it tells the other end, if it can.
    pub(super) fn end_of_stream(
        &mut self,
        node: Node,
        connection: Connection,
        why: Close,
        was_open: bool,
    ) {
        let Some(stream) = self.stream(connection) else { return };
        let client = stream.client;
        let (way, other) = match node {
            Node::Broker => (Way::Down, Node::Client(client)),
            Node::Client(_) => (Way::Up, Node::Broker),
        };
        let other = *self.connections.at(other, connection);
        // What a client has written before the broker knew of it may still get there.
        let speaks = was_open && says_goodbye(why);
        let is_heard = other == End::Open || other == End::Unknown && speaks;
        let waits = other == End::Unknown && node == Node::Broker;
        if !is_heard && !waits {
            self.release(connection);
        } else if says_goodbye(why) && is_heard {
            self.send_end(connection, client, way);
        } else {
            self.lose(connection, way);
        }
    }

    /// The end of the stream goes the way of the packets before it.
    pub(super) fn send_end(&mut self, connection: Connection, client: ClientIndex, way: Way) {
        let line = &mut self.lines[client.index()];
        let Some(tcp) = line.tcp else { return };
        let none = Transmission::default();
        let name = line.name(client, way, Kind::Handshake, Tag::NONE, none);
        let Some(stream) = &mut self.streams[connection.0 as usize] else { return };
        let ride = Ride { link: &mut line.link, tcp: &tcp, way };
        stream.pipe(way).send(self.now, ride, Item::End, &name, None, 0);
        if !stream.is_dark {
            stream.ends[side(way)] = true;
            self.streaming += 1;
        }
        let (bytes, purpose) = (tcp.headers, Overhead::Handshake);
        self.tell(&Event::Overhead { client, way, purpose, bytes });
        self.wake_stream(connection, way);
    }

    /// What is under way in one direction never arrives.
    pub(super) fn lose(&mut self, connection: Connection, way: Way) {
        let Some(stream) = self.stream(connection) else { return };
        let lost: Vec<_> = stream.pipe(way).drain().collect();
        self.no_end_comes(connection, way);
        for item in lost {
            if let Item::Packet(envelope) = item {
                self.streaming -= is_awaited(envelope.name.kind);
                self.nobody_reads(envelope);
            }
        }
    }

    /// The end of a stream arrived, behind all that was sent before.
    fn end_arrived(&mut self, connection: Connection, client: ClientIndex, way: Way) {
        self.no_end_comes(connection, way);
        let node = if way == Way::Up { Node::Broker } else { Node::Client(client) };
        self.hang(node, connection, Close::Peer);
        let end = self.connections.at(node, connection);
        if *end == End::Unknown {
            // It closed before it said CONNECT.
            *end = End::Closed;
            self.release(connection);
        }
    }

    /// The end of one direction has come, or never will.
    fn no_end_comes(&mut self, connection: Connection, way: Way) {
        let Some(stream) = self.stream(connection) else { return };
        let awaited = std::mem::take(&mut stream.ends[side(way)]);
        self.streaming -= usize::from(awaited);
    }

    /// Something was sent to a host that had lost its power and is back: it knows nothing of the
    /// connection.
    fn ask_lost_host(&mut self, connection: Connection, client: ClientIndex, way: Way) {
        let Some(node) = self.stream(connection).and_then(|stream| stream.lost_host) else {
            return;
        };
        let leads_there = (way == Way::Up) == (node == Node::Broker);
        let is_blocked = self.lines[client.index()].link.is_blocked(way);
        if leads_there && !is_blocked && !self.is_down(node) {
            if let Some(stream) = self.stream(connection) {
                stream.lost_host = None;
            }
            self.send_reset(node, client, connection);
        }
    }

    /// Both ends are done with a connection.
    fn release(&mut self, connection: Connection) {
        self.lose(connection, Way::Up);
        self.lose(connection, Way::Down);
        if let Some(stream) = self.streams[connection.0 as usize].take() {
            self.lines[stream.client.index()].streams.retain(|other| *other != connection);
        }
    }

    pub(super) fn stream(&mut self, connection: Connection) -> Option<&mut Stream> {
        self.streams.get_mut(connection.0 as usize)?.as_deref_mut()
    }

    /// Looks at all streams of a client again.
    pub(super) fn look_again(&mut self, client: usize) {
        let streams = self.lines[client_index(client).index()].streams.clone();
        for connection in streams {
            for way in [Way::Up, Way::Down] {
                self.wake_stream(connection, way);
            }
        }
    }
}

/// Whether an end that closed so tells the other end in order.
const fn says_goodbye(why: Close) -> bool {
    matches!(why, Close::Asked | Close::KeepAlive | Close::TakenOver | Close::Protocol)
}

fn is_awaited(kind: Kind) -> usize {
    usize::from(!matches!(kind, Kind::PingReq | Kind::PingResp))
}
