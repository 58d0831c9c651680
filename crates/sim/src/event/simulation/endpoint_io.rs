//! Input to endpoints, and handling of their outputs.

use std::convert::Infallible;

use super::Simulation;
use crate::event::host::BacklogChange;
use crate::event::links::{PacketInFlight, reset_meta};
use crate::event::node_driver::NodeDriver;
use qoslab_core::base::{
    ClientIndex, ConnectionNumber, Direction, Event, MessageTag, Node, Observer, PacketKind,
    PacketName, Phase, Transmission,
};
use qoslab_core::mqtt::{ClientRequest, Endpoint, Input, Output, Packet, wire};
use qoslab_core::network::fate::PacketAction;

impl<D: NodeDriver, O: Observer> Simulation<'_, D, O> {
    // ---- endpoints ----

    pub(super) fn request_client(&mut self, client: ClientIndex, request: ClientRequest) {
        if matches!(request, ClientRequest::Disconnect) {
            self.nodes.cancel_connect(client);
        }
        self.handle_client_input(client, Input::Application(request));
    }

    /// Hands a node's endpoint what is no application's.
    pub(super) fn handle_input(&mut self, node: Node, input: Input<Infallible>) {
        match node {
            Node::Broker => self.handle_broker_input(input),
            Node::Client(client) => self.handle_client_input(client, input.with_application()),
        }
    }

    pub(super) fn handle_broker_input(&mut self, input: Input<Infallible>) {
        if self.nodes.broker.is_down {
            return;
        }
        self.nodes.broker.endpoint.handle(self.timeline.now, input);
        while let Some(output) = self.nodes.broker.endpoint.poll_output() {
            self.apply_broker_output(output);
        }
        self.sync_after_drain(Node::Broker);
        self.report_full_sockets();
        self.crash_if_pending();
    }

    pub(super) fn handle_client_input(&mut self, client: ClientIndex, input: Input<ClientRequest>) {
        if self.nodes.clients[client.index()].is_down {
            return;
        }
        self.nodes.clients[client.index()].endpoint.handle(self.timeline.now, input);
        while let Some(output) = self.nodes.clients[client.index()].endpoint.poll_output() {
            self.apply_client_output(client, output);
        }
        self.sync_after_drain(Node::Client(client));
        if self.timeline.phase == Phase::Connecting {
            let armed = self.nodes.clients[client.index()].endpoint.backlog().has_armed_timer;
            self.nodes.readiness.update(client, armed);
        }
        self.report_full_sockets();
        self.crash_if_pending();
    }

    pub(in crate::event) fn apply_broker_output(&mut self, output: Output) {
        match output {
            Output::Send { connection, packet, transmission } => {
                self.send_packet(Node::Broker, connection, packet, transmission);
            }
            Output::Drop { client_id, tag, why } => {
                if let Some(client) = self.nodes.client_by_id(&client_id) {
                    self.notify_observers(&Event::Dropped { client, tag, why });
                }
            }
            Output::Close { connection, why } => {
                self.close_local_end(Node::Broker, connection, why);
            }
            Output::Will(tag) => self.notify_observers(&Event::WillPublished { tag }),
            Output::SessionExpired { client_id } => {
                if let Some(client) = self.nodes.client_by_id(&client_id) {
                    self.notify_observers(&Event::SessionExpired { client });
                }
            }
            Output::Deliver { .. }
            | Output::Complete(_)
            | Output::Refuse { .. }
            | Output::Connect { .. } => unreachable!("a broker has no application: {output:?}"),
        }
    }

    pub(in crate::event) fn apply_client_output(&mut self, client: ClientIndex, output: Output) {
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

    /// After a node's endpoint was drained: sees to its wake-up and its backlog.
    #[inline]
    pub(in crate::event) fn sync_after_drain(&mut self, node: Node) {
        if let Some(change) = self.nodes.sync_after_drain(&mut self.timeline, node) {
            self.backlog_changed(node, &change);
        }
    }

    pub(super) fn backlog_changed(&mut self, node: Node, change: &BacklogChange) {
        self.nodes.count_backlog(change);
        let BacklogChange { before, after } = change;
        if (before.in_flight, before.queued) != (after.in_flight, after.queued) {
            let (in_flight, queued) = (after.in_flight, after.queued);
            self.notify_observers(&Event::Backlog { node, in_flight, queued });
        }
    }

    // ---- packets ----

    #[inline]
    pub(in crate::event) fn send_packet(
        &mut self,
        node: Node,
        connection: ConnectionNumber,
        packet: Packet,
        transmission: Transmission,
    ) {
        if !self.faults.take_send_permit() {
            return;
        }
        assert!(
            self.network.connections.is_open(node, connection),
            "an endpoint sent on a connection that it does not have: {packet:?}"
        );
        let client = self.network.connections.client_of(connection);
        let direction = if node == Node::Broker { Direction::Down } else { Direction::Up };
        let packet = self.tag_will(client, packet);
        let link = self.network.link_mut(client);
        let packet = if self.setup.wire {
            wire::round_trip(&packet, link.version)
                .unwrap_or_else(|error| panic!("--wire: {error}: {packet:?}"))
        } else {
            packet
        };
        let tag = packet.tag();
        let name = link.next_packet_name(client, direction, packet.kind(), tag, transmission);
        if let Some(tap) = &self.run_context.packet_tap {
            tap.packet_sent(&packet);
        }
        let action = self.trigger_faults_on_send(node, &name);
        if self.faults.is_crash_before_sending() {
            return;
        }
        let in_flight = self.in_flight_packet(name, connection, transmission, Some(packet));
        if self.network.link(client).tcp.is_some() {
            self.send_over_tcp(node, in_flight, tag);
        } else {
            self.send_datagram(node, in_flight, tag, action);
        }
    }

    fn send_datagram(
        &mut self,
        node: Node,
        in_flight: PacketInFlight,
        tag: MessageTag,
        action: Option<PacketAction>,
    ) {
        let PacketInFlight { name, connection, serial, overhead, ref packet, .. } = in_flight;
        let packet = packet.as_ref().expect("a reset is sent elsewhere");
        let length = self.nodes.driver.frame_length(serial);
        let link = self.network.link(name.client);
        let record = link.describe(packet, name, length, overhead);
        let fate = self.decide_fate(node, connection, tag, &record, action);
        self.carry_datagram(fate, in_flight);
    }

    /// A packet, with the overhead of a datagram; over TCP it is known once the packet is written.
    #[inline]
    fn in_flight_packet(
        &self,
        name: PacketName,
        connection: ConnectionNumber,
        transmission: Transmission,
        packet: Option<Packet>,
    ) -> PacketInFlight {
        let serial = self.nodes.driver.packet_number();
        let overhead = self.network.link(name.client).headers;
        PacketInFlight { name, connection, transmission, serial, overhead, packet }
    }

    /// A will is named by its connection, of which only the engine has seen all.
    #[inline]
    fn tag_will(&self, client: ClientIndex, mut packet: Packet) -> Packet {
        if let Packet::Connect(connect) = &mut packet
            && let Some(will) = &mut connect.will
        {
            let nth = self.nodes.connectors[client.index()].connections_opened - 1;
            will.message.tag = will.message.tag.for_will_of_connection(nth);
        }
        packet
    }

    pub(super) fn send_reset(
        &mut self,
        node: Node,
        client: ClientIndex,
        connection: ConnectionNumber,
    ) {
        let direction = if node == Node::Broker { Direction::Down } else { Direction::Up };
        let name = self.network.next_control_name(client, direction, PacketKind::Reset);
        let record = reset_meta(name, self.network.link(client).headers);
        let fate = self.decide_fate(node, connection, MessageTag::NONE, &record, None);
        let in_flight = self.in_flight_packet(name, connection, Transmission::default(), None);
        self.schedule_arrivals(fate, in_flight);
    }
}
