//! The simulation for engines that drive its nodes elsewhere, on hosts of their own.

use std::task::Context;

use self::inboxes::{InboxItem, Inboxes, PendingCrash, ProxyEndpoint};
use super::connections::EndState;
use super::links::PacketInFlight;
use super::simulation::{RunResult, Simulation};
use crate::engine::SharedObserver;
use crate::sut_error::{SutError, SutErrorKind};
use crate::trial::Trial;
use qoslab_core::base::{
    ClientIndex, CloseReason, ConnectionNumber, Ending, Node, Phase, QoS, Time, Transmission,
};
use qoslab_core::mqtt::{Backlog, ClientRequest, Output, Packet};

pub(crate) use self::sut_nodes::WriteOutcome;
pub(crate) use super::node_driver::HostCommand;
pub(crate) use super::simulation::RunContext;

mod inboxes;
mod sut_nodes;

/// What a node that is driven elsewhere may ask of the simulation. Anything not available yet is
/// `None`, and wakes the task of `context` when it comes.
pub(crate) trait SimHandle {
    /// The time of the simulation.
    fn now(&self) -> Time;
    /// The next thing that a client's application asks for.
    fn poll_request(&mut self, client: ClientIndex, context: &Context<'_>)
    -> Option<ClientRequest>;
    /// A client wants to open a connection when `attempt` of them have failed.
    fn connect(&mut self, client: ClientIndex, attempt: u32);
    /// Polls how the opening of a client's connection ended.
    fn poll_opened(
        &mut self,
        client: ClientIndex,
        context: &Context<'_>,
    ) -> Option<Result<ConnectionNumber, ConnectionNumber>>;
    /// The next connection on which a CONNECT came to the broker.
    fn poll_incoming(&mut self, context: &Context<'_>) -> Option<ConnectionNumber>;
    /// Polls the next input on a node's end of a connection.
    fn poll_receive(
        &mut self,
        node: Node,
        connection: ConnectionNumber,
        context: &Context<'_>,
    ) -> Option<ReceivedItem>;
    /// A node writes a packet: the number under which it is carried; `None` if it goes nowhere.
    fn write_packet(
        &mut self,
        node: Node,
        connection: ConnectionNumber,
        packet: Packet,
        transmission: Transmission,
    ) -> Option<u32>;
    /// A node under test writes bytes that are to be a packet.
    fn write_frame(
        &mut self,
        node: Node,
        connection: ConnectionNumber,
        frame: &[u8],
    ) -> WriteOutcome;
    /// A client under test hands a payload to its application.
    fn deliver_to_application(
        &mut self,
        client: ClientIndex,
        payload: &[u8],
        qos: QoS,
        retain: bool,
    );
    /// A node under test did something that it may not.
    fn report_sut_error(&mut self, node: Node, kind: SutErrorKind);
    /// A node closes its end of a connection.
    fn close(&mut self, node: Node, connection: ConnectionNumber, why: CloseReason);
    /// An endpoint did something that is neither sending nor opening nor closing.
    fn apply_output(&mut self, node: Node, output: Output);
    /// A node has finished its reaction to its input.
    fn set_backlog(&mut self, node: Node, backlog: Backlog);
}

/// Input that a node took from its end of a connection.
#[derive(Debug)]
pub(crate) enum ReceivedItem {
    /// A packet.
    Packet {
        /// The number under which its bytes were carried.
        serial: u32,
        /// The packet.
        packet: Packet,
        /// The transmission of the packet.
        transmission: Transmission,
    },
    /// Nothing more will come, and this is why.
    Closed(CloseReason),
}

/// A simulation whose nodes are driven elsewhere. It is compiled once for all observers: such
/// trials are not for statistics.
pub(crate) type ProxySimulation = Simulation<'static, Inboxes, SharedObserver>;

impl ProxySimulation {
    /// Sets up the simulation; nothing has happened yet.
    pub(crate) fn build(
        trial: &Trial,
        observer: SharedObserver,
        run_context: RunContext<'static>,
    ) -> Self {
        let inboxes = Inboxes::default();
        let clients = trial.setup.clients.iter().map(|_| inboxes.new_proxy()).collect();
        let broker = inboxes.new_proxy();
        let mut sim = Self::new(trial, (inboxes, clients, broker), observer, run_context);
        sim.start();
        sim
    }

    /// Takes up all that comes up to a time; how the trial ended, if it did.
    pub(crate) fn run_until(&mut self, until: Time) -> Option<Ending> {
        self.apply_pending_crashes();
        loop {
            if self.advance_phase() {
                return Some(Ending::Quiescent);
            }
            if self.is_at_event_limit() {
                return Some(Ending::EventLimit);
            }
            let Some(event) = self.timeline.next_event_until(until) else { break };
            self.dispatch(event);
        }
        self.timeline.advance_to(until).then_some(Ending::Deadline)
    }

    /// Enters the phases that are due; whether the trial is over.
    pub(crate) fn enter_due_phases(&mut self) -> bool {
        self.apply_pending_crashes();
        self.advance_phase()
    }

    /// Takes the commands for nodes, in order.
    pub(crate) fn take_host_commands(&mut self) -> Vec<HostCommand> {
        std::mem::take(&mut self.nodes.driver.commands)
    }

    /// Whether anything waits for a node to take it.
    pub(crate) fn has_waiting_items(&self) -> bool {
        !self.nodes.driver.is_empty()
    }

    /// Returns the time of the next event that is not a node's own doing.
    pub(crate) fn next_event_time(&self) -> Time {
        self.timeline.next_event_time()
    }

    /// Ends the trial, and returns its result with the errors of nodes under test.
    pub(crate) fn into_result(
        mut self,
        ending: Ending,
    ) -> (RunResult<SharedObserver>, Vec<SutError>) {
        self.attribute_ending(ending);
        let errors = self.take_sut_errors();
        (self.finish(ending), errors)
    }

    fn client_proxy(&self, client: ClientIndex) -> &ProxyEndpoint<ClientRequest> {
        &self.nodes.clients[client.index()].endpoint
    }

    /// A node gets a packet that waited in its inbox.
    fn receive_packet(&mut self, node: Node, in_flight: PacketInFlight) -> Option<ReceivedItem> {
        self.reporter.events += 1;
        let fault = self.trigger_faults_on_arrival(&in_flight.name);
        if self.faults.is_crash_before_reading(fault) {
            self.discard(in_flight);
            self.apply_crash_fault(fault);
            return None;
        }
        let PacketInFlight { name, connection, transmission, serial, overhead, packet } = in_flight;
        let packet = packet.expect("a reset waits in no inbox");
        self.record_arrival(node, connection, name, &packet, (serial, overhead));
        self.track_read(node, connection, &packet, transmission);
        if let Some(fault) = fault {
            self.set_pending_crash(node, fault);
        }
        Some(ReceivedItem::Packet { serial, packet, transmission })
    }

    /// A node is to crash once its turn is over, and may send a limited number of packets first.
    fn set_pending_crash(&mut self, node: Node, fault: u32) {
        let sends_left = self.faults.take_sends_left().unwrap_or(u32::MAX);
        self.nodes.driver.pending_crashes.push(PendingCrash { node, sends_left, fault });
    }

    /// The nodes that are about to crash have had their turn.
    fn apply_pending_crashes(&mut self) {
        for PendingCrash { fault, .. } in std::mem::take(&mut self.nodes.driver.pending_crashes) {
            self.fault_due(fault);
        }
    }
}

impl SimHandle for ProxySimulation {
    fn now(&self) -> Time {
        self.timeline.now
    }

    fn poll_request(
        &mut self,
        client: ClientIndex,
        context: &Context<'_>,
    ) -> Option<ClientRequest> {
        let request = self.client_proxy(client).poll_request(context)?;
        self.request_taken(client, &request);
        Some(request)
    }

    fn connect(&mut self, client: ClientIndex, attempt: u32) {
        if !self.nodes.is_down(Node::Client(client)) {
            self.schedule_connect(client, attempt);
        }
    }

    fn poll_opened(
        &mut self,
        client: ClientIndex,
        context: &Context<'_>,
    ) -> Option<Result<ConnectionNumber, ConnectionNumber>> {
        self.client_proxy(client).poll_opened(context)
    }

    fn poll_incoming(&mut self, context: &Context<'_>) -> Option<ConnectionNumber> {
        let called = self.nodes.broker.endpoint.poll_opened(context)?;
        Some(called.unwrap_or_else(|connection| connection))
    }

    fn poll_receive(
        &mut self,
        node: Node,
        connection: ConnectionNumber,
        context: &Context<'_>,
    ) -> Option<ReceivedItem> {
        if self.network.connections.end(node, connection) == EndState::Closed {
            return Some(ReceivedItem::Closed(CloseReason::Reset));
        }
        match self.nodes.driver.pop(node, connection, context)? {
            InboxItem::Packet(in_flight) => self.receive_packet(node, in_flight),
            InboxItem::Closed(why) => {
                self.close_local_end(node, connection, why);
                Some(ReceivedItem::Closed(why))
            }
        }
    }

    fn write_packet(
        &mut self,
        node: Node,
        connection: ConnectionNumber,
        packet: Packet,
        transmission: Transmission,
    ) -> Option<u32> {
        let is_open = self.network.connections.is_open(node, connection);
        if !is_open || !self.nodes.driver.take_last_send_permit(node) {
            return None;
        }
        self.nodes.driver.packets_written += 1;
        let serial = self.nodes.driver.packets_written;
        self.send_packet(node, connection, packet, transmission);
        if let Some(fault) = self.faults.take_pending_crash() {
            self.set_pending_crash(node, fault);
            return None;
        }
        Some(serial)
    }

    fn write_frame(
        &mut self,
        node: Node,
        connection: ConnectionNumber,
        frame: &[u8],
    ) -> WriteOutcome {
        Self::write_sut_frame(self, node, connection, frame)
    }

    fn deliver_to_application(
        &mut self,
        client: ClientIndex,
        payload: &[u8],
        qos: QoS,
        retain: bool,
    ) {
        self.deliver_payload(client, payload, qos, retain);
    }

    fn report_sut_error(&mut self, node: Node, what: SutErrorKind) {
        self.record_sut_error(node, what);
    }

    fn close(&mut self, node: Node, connection: ConnectionNumber, why: CloseReason) {
        Simulation::close_local_end(self, node, connection, why);
    }

    fn apply_output(&mut self, node: Node, output: Output) {
        if self.nodes.is_down(node) {
            return;
        }
        match node {
            Node::Broker => self.apply_broker_output(output),
            Node::Client(client) => self.apply_client_output(client, output),
        }
    }

    fn set_backlog(&mut self, node: Node, backlog: Backlog) {
        if self.nodes.is_down(node) {
            return;
        }
        match node {
            Node::Broker => self.nodes.broker.endpoint.set_backlog(backlog),
            Node::Client(client) => self.client_proxy(client).set_backlog(backlog),
        }
        self.sync_after_drain(node);
        if let (Node::Client(client), Phase::Connecting) = (node, self.timeline.phase) {
            self.nodes.readiness.update(client, backlog.has_armed_timer);
        }
    }
}
