//! What follows from a happening: what endpoints are told, and what they want done.

use std::convert::Infallible;

use super::{BROKER, Simulation};
use crate::event::connections::End;
use crate::event::host::Change;
use crate::event::lines::{Envelope, reset};
use crate::event::queue::Happening;
use crate::trial::PacketAction;
use qoslab_core::base::draw::Key;
use qoslab_core::base::event::{Arrival, Event, Fate, Loss, Observer, Phase, Record};
use qoslab_core::base::name::{
    ClientIndex, Connection, Kind, Node, PacketName, Tag, Transmission, Way,
};
use qoslab_core::mqtt::endpoint::{Backlog, Endpoint, Input, Output};
use qoslab_core::mqtt::packet::Packet;
use qoslab_core::mqtt::settings::Request;
use qoslab_core::mqtt::wire;
use qoslab_core::network::overrule::Overrule;

impl<C, B, O, R> Simulation<'_, C, B, O, R>
where
    C: Endpoint<Request = Request> + Clone,
    B: Endpoint<Request = Infallible> + Clone,
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

    /// Tells a node's endpoint that a connection is gone.
    pub(super) fn tell_closed(&mut self, node: Node, connection: Connection) {
        match node {
            Node::Broker => self.tell_broker(Input::Closed(connection)),
            Node::Client(index) => self.tell_client(index, Input::Closed(connection)),
        }
    }

    pub(super) fn tell_broker(&mut self, input: Input<Infallible>) {
        if self.broker.is_down {
            return;
        }
        self.broker.endpoint.handle(self.now, input);
        while let Some(output) = self.broker.endpoint.poll_output() {
            self.do_for_broker(output);
        }
        if let Some(change) = self.broker.settle(self.now, &mut self.queue, BROKER) {
            self.backlog_changed(Node::Broker, &change);
        }
        self.meet_doom();
    }

    pub(super) fn tell_client(&mut self, client: ClientIndex, input: Input<Request>) {
        if self.clients[client.index()].is_down {
            return;
        }
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
        self.meet_doom();
    }

    pub(super) fn do_for_broker(&mut self, output: Output) {
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

    pub(super) fn do_for_client(&mut self, client: ClientIndex, output: Output) {
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

    pub(super) fn backlog_changed(&mut self, node: Node, change: &Change) {
        let Change { before, after } = change;
        match (before.armed, after.armed) {
            (false, true) => self.armed += 1,
            (true, false) => self.armed -= 1,
            _ => {}
        }
        let owes = |backlog: &Backlog| backlog.in_flight > 0 || backlog.queued > 0;
        match (owes(before), owes(after)) {
            (false, true) => self.owing += 1,
            (true, false) => self.owing -= 1,
            _ => {}
        }
        if (before.in_flight, before.queued) != (after.in_flight, after.queued) {
            let (in_flight, queued) = (after.in_flight, after.queued);
            self.tell(&Event::Backlog { node, in_flight, queued });
        }
    }

    // ---- packets ----

    #[inline]
    pub(super) fn send(
        &mut self,
        node: Node,
        connection: Connection,
        packet: Packet,
        transmission: Transmission,
    ) {
        if !self.spend_a_send() {
            return;
        }
        assert!(
            *self.connections.at(node, connection) == End::Open,
            "an endpoint sent on a connection that it does not have: {packet:?}"
        );
        let client = self.connections.client(connection);
        let way = if node == Node::Broker { Way::Down } else { Way::Up };
        let packet = self.number_will(client, packet);
        let line = &mut self.lines[client.index()];
        let packet = if self.setup.wire {
            wire::round_trip(&packet, line.version)
                .unwrap_or_else(|error| panic!("--wire: {error}: {packet:?}"))
        } else {
            packet
        };
        let tag = packet.tag();
        let name = line.name(client, way, packet.kind(), tag, transmission);
        let line = &self.lines[client.index()];
        let record = line.record(&packet, name, self.length_of(self.serial()));
        if let Some(tap) = &self.terms.tap {
            tap.tap(&packet);
        }
        let action = self.fault_on_sending(node, &name);
        if self.dies_before_sending() {
            return;
        }
        if self.lines[client.index()].tcp.is_some() {
            self.packets += 1;
            let fate = Fate::Stream;
            self.tell(&Event::Sent { node, connection, record: &record, fate: &fate });
            let bytes = record.size.mqtt;
            let envelope = self.envelope(name, connection, transmission, Some(packet));
            self.put_into_stream(envelope, tag, bytes);
        } else {
            let fate = self.hand_over(node, connection, tag, &record, action);
            let envelope = self.envelope(name, connection, transmission, Some(packet));
            let rest = self.hold_back(fate, envelope);
            if let Some((fate, envelope)) = rest {
                self.carry(fate, envelope);
            }
        }
    }

    #[inline]
    fn envelope(
        &self,
        name: PacketName,
        connection: Connection,
        transmission: Transmission,
        packet: Option<Packet>,
    ) -> Envelope {
        Envelope { name, connection, transmission, serial: self.serial(), packet }
    }

    /// A will is named by its connection, of which only the engine has seen all.
    #[inline]
    fn number_will(&self, client: ClientIndex, mut packet: Packet) -> Packet {
        if let Packet::Connect(connect) = &mut packet
            && let Some(will) = &mut connect.will
        {
            let nth = self.ways[client.index()].dialled - 1;
            will.message.tag = will.message.tag.of_connection(nth);
        }
        packet
    }

    pub(super) fn send_reset(&mut self, node: Node, client: ClientIndex, connection: Connection) {
        let way = if node == Node::Broker { Way::Down } else { Way::Up };
        let line = &mut self.lines[client.index()];
        let transmission = Transmission::default();
        let name = line.name(client, way, Kind::Reset, Tag::NONE, transmission);
        let record = reset(name, line.headers);
        let fate = self.hand_over(node, connection, Tag::NONE, &record, None);
        let envelope = self.envelope(name, connection, transmission, None);
        self.carry(fate, envelope);
    }

    /// The network takes a packet over and decides what becomes of it.
    #[inline]
    fn hand_over(
        &mut self,
        node: Node,
        connection: Connection,
        tag: Tag,
        record: &Record<'_>,
        action: Option<PacketAction>,
    ) -> Fate {
        let origin = self.origin(tag);
        let link = &mut self.lines[record.name.client.index()].link;
        let overrule = &mut self.terms.overrule;
        let fate = link.fate_under(overrule, self.now, origin, &record.name, record.wire_bytes());
        let fate = action.map_or(fate, |action| meet(fate, action));
        self.packets += 1;
        self.tell(&Event::Sent { node, connection, record, fate: &fate });
        fate
    }

    /// Whose luck a message's packets share.
    pub(super) fn origin(&self, tag: Tag) -> Option<Key> {
        tag.parts().map(|parts| self.workload.origin(parts.stream))
    }

    #[inline]
    pub(super) fn carry(&mut self, fate: Fate, envelope: Envelope) {
        let Fate::Arrives(arrival) = fate else { return };
        self.follows(&envelope.name, arrival.at);
        let place = self.under_way.put(envelope, arrival.again.is_some());
        self.queue.push(arrival.at, Happening::Arrival(place));
        if let Some(again) = arrival.again {
            self.queue.push(again, Happening::Arrival(place));
        }
    }
}

/// The fate of a packet that a fault picks out. One that the link loses stays lost.
fn meet(fate: Fate, action: PacketAction) -> Fate {
    match (fate, action) {
        (Fate::Arrives(_), PacketAction::Drop) => Fate::Lost(Loss::Forced),
        (Fate::Arrives(arrival), PacketAction::Duplicate { after }) => {
            Fate::Arrives(Arrival { again: Some(arrival.at + after), ..arrival })
        }
        (Fate::Arrives(arrival), PacketAction::Delay { by }) => {
            let again = arrival.again.map(|again| again + by);
            Fate::Arrives(Arrival { at: arrival.at + by, again, ..arrival })
        }
        (fate, _) => fate,
    }
}
