//! What follows from a happening: what endpoints are told, and what they want done.

use std::convert::Infallible;

use super::{BROKER_NUMBER, Simulation};
use crate::event::connections::EndState;
use crate::event::host::BacklogChange;
use crate::event::links::{PacketInFlight, reset_meta};
use crate::event::queue::QueuedEvent;
use crate::trial::PacketAction;
use qoslab_core::base::draw::DrawKey;
use qoslab_core::base::event::{Arrival, Event, Fate, LossReason, Observer, PacketMeta, Phase};
use qoslab_core::base::name::{
    ClientIndex, Connection, Direction, MessageTag, Node, PacketKind, PacketName, Transmission,
};
use qoslab_core::mqtt::endpoint::{Backlog, Endpoint, Input, Output};
use qoslab_core::mqtt::packet::Packet;
use qoslab_core::mqtt::settings::ClientRequest;
use qoslab_core::mqtt::wire;

impl<C, B, O> Simulation<'_, C, B, O>
where
    C: Endpoint<Request = ClientRequest> + Clone,
    B: Endpoint<Request = Infallible> + Clone,
    O: Observer,
{
    // ---- endpoints ----

    pub(super) fn request_client(&mut self, client: ClientIndex, request: ClientRequest) {
        if matches!(request, ClientRequest::Disconnect) {
            self.cancel_connect(client);
        }
        self.handle_client_input(client, Input::Application(request));
    }

    /// Tells a node's endpoint that a connection is gone.
    pub(super) fn handle_closed(&mut self, node: Node, connection: Connection) {
        match node {
            Node::Broker => self.handle_broker_input(Input::Closed(connection)),
            Node::Client(index) => self.handle_client_input(index, Input::Closed(connection)),
        }
    }

    pub(super) fn handle_broker_input(&mut self, input: Input<Infallible>) {
        if self.broker.is_down {
            return;
        }
        self.broker.endpoint.handle(self.now, input);
        while let Some(output) = self.broker.endpoint.poll_output() {
            self.apply_broker_output(output);
        }
        if let Some(change) = self.broker.sync_after_drain(self.now, &mut self.queue, BROKER_NUMBER)
        {
            self.backlog_changed(Node::Broker, &change);
        }
        self.crash_if_pending();
    }

    pub(super) fn handle_client_input(&mut self, client: ClientIndex, input: Input<ClientRequest>) {
        if self.clients[client.index()].is_down {
            return;
        }
        self.clients[client.index()].endpoint.handle(self.now, input);
        while let Some(output) = self.clients[client.index()].endpoint.poll_output() {
            self.apply_client_output(client, output);
        }
        let host = &mut self.clients[client.index()];
        if let Some(change) = host.sync_after_drain(self.now, &mut self.queue, client.0 + 1) {
            self.backlog_changed(Node::Client(client), &change);
        }
        if self.phase == Phase::Connecting {
            let armed = self.clients[client.index()].endpoint.backlog().has_armed_timer;
            self.readiness.update(client, armed);
        }
        self.crash_if_pending();
    }

    pub(super) fn apply_broker_output(&mut self, output: Output) {
        match output {
            Output::Send { connection, packet, transmission } => {
                self.send_packet(Node::Broker, connection, packet, transmission);
            }
            Output::Drop { client_id, tag, why } => {
                if let Some(&client) = self.by_client_id.get(&client_id) {
                    self.notify_observers(&Event::Dropped { client, tag, why });
                }
            }
            Output::Close { connection, why } => {
                self.close_local_end(Node::Broker, connection, why);
            }
            Output::Will(tag) => self.notify_observers(&Event::WillPublished { tag }),
            Output::SessionExpired { client_id } => {
                if let Some(&client) = self.by_client_id.get(&client_id) {
                    self.notify_observers(&Event::SessionExpired { client });
                }
            }
            Output::Deliver { .. }
            | Output::Complete(_)
            | Output::Refuse { .. }
            | Output::Connect { .. } => unreachable!("a broker has no application: {output:?}"),
        }
    }

    pub(super) fn apply_client_output(&mut self, client: ClientIndex, output: Output) {
        match output {
            Output::Send { connection, packet, transmission } => {
                self.send_packet(Node::Client(client), connection, packet, transmission);
            }
            Output::Deliver { message, qos, retain } => {
                self.notify_observers(&Event::Delivered { client, tag: message.tag, qos, retain });
            }
            Output::Complete(tag) => self.notify_observers(&Event::Completed { tag }),
            Output::Refuse { tag, why } => self.notify_observers(&Event::Refused { tag, why }),
            Output::Connect { attempt } => self.schedule_connect(client, attempt),
            Output::Close { connection, why } => {
                self.close_local_end(Node::Client(client), connection, why);
            }
            Output::Drop { .. } | Output::Will(_) | Output::SessionExpired { .. } => {
                unreachable!("a client has no subscribers: {output:?}")
            }
        }
    }

    pub(super) fn backlog_changed(&mut self, node: Node, change: &BacklogChange) {
        let BacklogChange { before, after } = change;
        match (before.has_armed_timer, after.has_armed_timer) {
            (false, true) => self.nodes_with_timer += 1,
            (true, false) => self.nodes_with_timer -= 1,
            _ => {}
        }
        let has_backlog = |backlog: &Backlog| backlog.in_flight > 0 || backlog.queued > 0;
        match (has_backlog(before), has_backlog(after)) {
            (false, true) => self.nodes_with_backlog += 1,
            (true, false) => self.nodes_with_backlog -= 1,
            _ => {}
        }
        if (before.in_flight, before.queued) != (after.in_flight, after.queued) {
            let (in_flight, queued) = (after.in_flight, after.queued);
            self.notify_observers(&Event::Backlog { node, in_flight, queued });
        }
    }

    // ---- packets ----

    #[inline]
    pub(super) fn send_packet(
        &mut self,
        node: Node,
        connection: Connection,
        packet: Packet,
        transmission: Transmission,
    ) {
        if !self.take_send_permit() {
            return;
        }
        assert!(
            *self.connections.end_mut(node, connection) == EndState::Open,
            "an endpoint sent on a connection that it does not have: {packet:?}"
        );
        let client = self.connections.client_of(connection);
        let direction = if node == Node::Broker { Direction::Down } else { Direction::Up };
        let packet = self.tag_will(client, packet);
        let link = &mut self.links[client.index()];
        let packet = if self.setup.wire {
            wire::round_trip(&packet, link.version)
                .unwrap_or_else(|error| panic!("--wire: {error}: {packet:?}"))
        } else {
            packet
        };
        let tag = packet.tag();
        let name = link.next_packet_name(client, direction, packet.kind(), tag, transmission);
        let link = &self.links[client.index()];
        let record = link.describe(&packet, name, self.sut_length(self.written_serial()));
        if let Some(tap) = &self.run_context.packet_tap {
            tap.packet_sent(&packet);
        }
        let action = self.trigger_faults_on_send(node, &name);
        if self.is_crash_before_sending() {
            return;
        }
        if self.links[client.index()].tcp.is_some() {
            self.packets += 1;
            let fate = Fate::Streamed;
            self.notify_observers(&Event::Sent { node, connection, packet: &record, fate: &fate });
            let bytes = record.size.mqtt;
            let in_flight = self.in_flight_packet(name, connection, transmission, Some(packet));
            self.write_to_tcp(in_flight, tag, bytes);
        } else {
            let fate = self.decide_fate(node, connection, tag, &record, action);
            let in_flight = self.in_flight_packet(name, connection, transmission, Some(packet));
            let rest = self.delay_if_ruled(fate, in_flight);
            if let Some((fate, envelope)) = rest {
                self.schedule_arrivals(fate, envelope);
            }
        }
    }

    #[inline]
    fn in_flight_packet(
        &self,
        name: PacketName,
        connection: Connection,
        transmission: Transmission,
        packet: Option<Packet>,
    ) -> PacketInFlight {
        PacketInFlight { name, connection, transmission, serial: self.written_serial(), packet }
    }

    /// A will is named by its connection, of which only the engine has seen all.
    #[inline]
    fn tag_will(&self, client: ClientIndex, mut packet: Packet) -> Packet {
        if let Packet::Connect(connect) = &mut packet
            && let Some(will) = &mut connect.will
        {
            let nth = self.connectors[client.index()].connections_opened - 1;
            will.message.tag = will.message.tag.for_will_of_connection(nth);
        }
        packet
    }

    pub(super) fn send_reset(&mut self, node: Node, client: ClientIndex, connection: Connection) {
        let direction = if node == Node::Broker { Direction::Down } else { Direction::Up };
        let link = &mut self.links[client.index()];
        let transmission = Transmission::default();
        let name = link.next_packet_name(
            client,
            direction,
            PacketKind::Reset,
            MessageTag::NONE,
            transmission,
        );
        let record = reset_meta(name, link.headers);
        let fate = self.decide_fate(node, connection, MessageTag::NONE, &record, None);
        let in_flight = self.in_flight_packet(name, connection, transmission, None);
        self.schedule_arrivals(fate, in_flight);
    }

    /// The network takes a packet over and decides what becomes of it.
    #[inline]
    fn decide_fate(
        &mut self,
        node: Node,
        connection: Connection,
        tag: MessageTag,
        record: &PacketMeta<'_>,
        action: Option<PacketAction>,
    ) -> Fate {
        let origin = self.publisher_key(tag);
        let link = &mut self.links[record.name.client.index()].link_state;
        let fate = link.fate_with_override(
            self.run_context.fate_override.as_deref_mut(),
            self.now,
            origin,
            &record.name,
            record.wire_bytes(),
        );
        let fate = action.map_or(fate, |action| apply_packet_action(fate, action));
        self.packets += 1;
        self.notify_observers(&Event::Sent { node, connection, packet: record, fate: &fate });
        fate
    }

    /// Whose luck a message's packets share.
    pub(super) fn publisher_key(&self, tag: MessageTag) -> Option<DrawKey> {
        tag.message_id().map(|parts| self.workload.draw_key_of(parts.publisher))
    }

    #[inline]
    pub(super) fn schedule_arrivals(&mut self, fate: Fate, in_flight: PacketInFlight) {
        let Fate::Arrives(arrival) = fate else { return };
        self.release_after_next_packet(&in_flight.name, arrival.at);
        let slot = self.in_flight.insert(in_flight, arrival.duplicate_at.is_some());
        self.queue.push(arrival.at, QueuedEvent::Arrival(slot));
        if let Some(again) = arrival.duplicate_at {
            self.queue.push(again, QueuedEvent::Arrival(slot));
        }
    }
}

/// The fate of a packet that a fault picks out. One that the link loses stays lost.
fn apply_packet_action(fate: Fate, action: PacketAction) -> Fate {
    match (fate, action) {
        (Fate::Arrives(_), PacketAction::Drop) => Fate::Lost(LossReason::Forced),
        (Fate::Arrives(arrival), PacketAction::Duplicate { after }) => {
            Fate::Arrives(Arrival { duplicate_at: Some(arrival.at + after), ..arrival })
        }
        (Fate::Arrives(arrival), PacketAction::Delay { by }) => {
            let again = arrival.duplicate_at.map(|again| again + by);
            Fate::Arrives(Arrival { at: arrival.at + by, duplicate_at: again, ..arrival })
        }
        (fate, _) => fate,
    }
}
