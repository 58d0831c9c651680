//! What follows from a happening: what endpoints are told, and what they want done.

use std::convert::Infallible;

use super::{BROKER, Simulation};
use crate::base::event::{Close, Event, Fate, Observer, Phase, Record};
use crate::base::name::{ClientIndex, Connection, Kind, Node, Tag, Transmission, Way};
use crate::base::time::Time;
use crate::engine::event::connections::{End, pause};
use crate::engine::event::host::Change;
use crate::engine::event::lines::{Envelope, reset};
use crate::engine::event::queue::Happening;
use crate::mqtt::endpoint::{Endpoint, Input, Output};
use crate::mqtt::packet::Packet;
use crate::mqtt::settings::Request;
use crate::mqtt::wire;
use crate::network::overrule::Overrule;

impl<C, B, O, R> Simulation<'_, C, B, O, R>
where
    C: Endpoint<Request = Request>,
    B: Endpoint<Request = Infallible>,
    O: Observer,
    R: Overrule,
{
    // ---- endpoints ----

    pub(super) fn ask_client(&mut self, client: ClientIndex, request: Request) {
        if matches!(request, Request::Disconnect) {
            self.hang_up(client);
        }
        self.tell_client(client, Input::Application(request));
    }

    pub(super) fn tell_node(
        &mut self,
        node: Node,
        broker: Input<Infallible>,
        client: Input<Request>,
    ) {
        match node {
            Node::Broker => self.tell_broker(broker),
            Node::Client(index) => self.tell_client(index, client),
        }
    }

    pub(super) fn tell_broker(&mut self, input: Input<Infallible>) {
        self.broker.endpoint.handle(self.now, input);
        while let Some(output) = self.broker.endpoint.poll_output() {
            self.do_for_broker(output);
        }
        if let Some(change) = self.broker.settle(self.now, &mut self.queue, BROKER) {
            self.backlog_changed(Node::Broker, &change);
        }
    }

    pub(super) fn tell_client(&mut self, client: ClientIndex, input: Input<Request>) {
        self.clients[client.index()].endpoint.handle(self.now, input);
        while let Some(output) = self.clients[client.index()].endpoint.poll_output() {
            self.do_for_client(client, output);
        }
        let host = &mut self.clients[client.index()];
        if let Some(change) = host.settle(self.now, &mut self.queue, client.0 + 1) {
            self.backlog_changed(Node::Client(client), &change);
        }
        if self.phase == Phase::Connecting {
            let armed = self.clients[client.index()].endpoint.backlog().armed;
            self.muster.settled(client, armed);
        }
    }

    fn do_for_broker(&mut self, output: Output) {
        match output {
            Output::Send { connection, packet, transmission } => {
                self.send(Node::Broker, connection, packet, transmission);
            }
            Output::Drop { client_id, tag, why } => {
                if let Some(&client) = self.by_client_id.get(&client_id) {
                    self.tell(&Event::Dropped { client, tag, why });
                }
            }
            Output::Close { connection, why } => self.close(Node::Broker, connection, why),
            Output::Will(tag) => self.tell(&Event::WillPublished { tag }),
            Output::SessionExpired { client_id } => {
                if let Some(&client) = self.by_client_id.get(&client_id) {
                    self.tell(&Event::SessionExpired { client });
                }
            }
            Output::Deliver { .. }
            | Output::Complete(_)
            | Output::Refuse { .. }
            | Output::Connect { .. } => unreachable!("a broker has no application: {output:?}"),
        }
    }

    fn do_for_client(&mut self, client: ClientIndex, output: Output) {
        match output {
            Output::Send { connection, packet, transmission } => {
                self.send(Node::Client(client), connection, packet, transmission);
            }
            Output::Deliver { message, qos, retain } => {
                self.tell(&Event::Delivered { client, tag: message.tag, qos, retain });
            }
            Output::Complete(tag) => self.tell(&Event::Completed { tag }),
            Output::Refuse { tag, why } => self.tell(&Event::Refused { tag, why }),
            Output::Connect { attempt } => self.plan_dial(client, attempt),
            Output::Close { connection, why } => {
                self.close(Node::Client(client), connection, why);
            }
            Output::Drop { .. } | Output::Will(_) | Output::SessionExpired { .. } => {
                unreachable!("a client has no subscribers: {output:?}")
            }
        }
    }

    fn backlog_changed(&mut self, node: Node, change: &Change) {
        let Change { before, after } = change;
        match (before.armed, after.armed) {
            (false, true) => self.armed += 1,
            (true, false) => self.armed -= 1,
            _ => {}
        }
        if (before.in_flight, before.queued) != (after.in_flight, after.queued) {
            let (in_flight, queued) = (after.in_flight, after.queued);
            self.tell(&Event::Backlog { node, in_flight, queued });
        }
    }

    // ---- connections ----

    fn plan_dial(&mut self, client: ClientIndex, attempt: u32) {
        self.hang_up(client);
        let way = &mut self.ways[client.index()];
        way.dials_at = self.now + pause(way.luck, attempt);
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

    /// One end of a connection is no more; the other may learn of it by a reset.
    pub(super) fn close(&mut self, node: Node, connection: Connection, why: Close) {
        let end = self.connections.at(node, connection);
        if std::mem::replace(end, End::Closed) == End::Closed {
            return;
        }
        let client = self.connections.client(connection);
        if let Node::Client(_) = node {
            self.ways[client.index()].current = None;
            if self.phase == Phase::Connecting {
                self.muster.lost(client);
            }
        }
        self.tell(&Event::Closed { node, connection, client, why });
    }

    // ---- packets ----

    #[inline]
    fn send(
        &mut self,
        node: Node,
        connection: Connection,
        packet: Packet,
        transmission: Transmission,
    ) {
        assert!(
            *self.connections.at(node, connection) == End::Open,
            "an endpoint sent on a connection that it does not have: {packet:?}"
        );
        let client = self.connections.client(connection);
        let way = if node == Node::Broker { Way::Down } else { Way::Up };
        let line = &mut self.lines[client.index()];
        let packet = if self.setup.wire {
            wire::round_trip(&packet, line.version)
                .unwrap_or_else(|error| panic!("--wire: {error}: {packet:?}"))
        } else {
            packet
        };
        let tag = packet.tag();
        let name = line.name(client, way, packet.kind(), tag, transmission);
        let record = packet.describe(line.version, name, line.headers);
        let fate = self.hand_over(node, connection, tag, &record);
        self.carry(fate, Envelope { name, connection, transmission, packet: Some(packet) });
    }

    pub(super) fn send_reset(&mut self, node: Node, client: ClientIndex, connection: Connection) {
        let way = if node == Node::Broker { Way::Down } else { Way::Up };
        let line = &mut self.lines[client.index()];
        let transmission = Transmission::default();
        let name = line.name(client, way, Kind::Reset, Tag::NONE, transmission);
        let record = reset(name, line.headers);
        let fate = self.hand_over(node, connection, Tag::NONE, &record);
        self.carry(fate, Envelope { name, connection, transmission, packet: None });
    }

    /// The network takes a packet over and decides what becomes of it.
    #[inline]
    fn hand_over(
        &mut self,
        node: Node,
        connection: Connection,
        tag: Tag,
        record: &Record<'_>,
    ) -> Fate {
        let origin = tag.parts().map(|parts| self.workload.origin(parts.stream));
        let link = &mut self.lines[record.name.client.index()].link;
        let overrule = &mut self.options.overrule;
        let fate = link.fate_under(overrule, self.now, origin, &record.name, record.wire_bytes());
        self.packets += 1;
        self.tell(&Event::Sent { node, connection, record, fate: &fate });
        fate
    }

    #[inline]
    fn carry(&mut self, fate: Fate, envelope: Envelope) {
        let Fate::Arrives(arrival) = fate else { return };
        let place = self.under_way.put(envelope, arrival.again.is_some());
        self.queue.push(arrival.at, Happening::Arrival(place));
        if let Some(again) = arrival.again {
            self.queue.push(again, Happening::Arrival(place));
        }
    }
}
