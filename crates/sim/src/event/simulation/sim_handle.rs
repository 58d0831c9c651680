//! The simulation as those see it who drive its nodes elsewhere.

use std::cell::RefCell;
use std::convert::Infallible;
use std::rc::Rc;
use std::task::Context;

use super::inboxes::{HostCommand, InboxItem, Inboxes, PendingCrash, ProxyEndpoint};
use super::sut_nodes::WriteOutcome;
use super::{BROKER_NUMBER, RunContext, RunResult, Simulation};
use crate::event::connections::EndState;
use crate::event::links::PacketInFlight;
use crate::sut_error::{SutError, SutErrorKind};
use crate::trial::Trial;
use qoslab_core::base::ending::Ending;
use qoslab_core::base::event::{CloseReason, Observer, Phase};
use qoslab_core::base::name::{ClientIndex, Connection, Node, Transmission};
use qoslab_core::base::qos::QoS;
use qoslab_core::base::time::Time;
use qoslab_core::mqtt::endpoint::{Backlog, Output};
use qoslab_core::mqtt::packet::Packet;
use qoslab_core::mqtt::settings::ClientRequest;

/// What a node that is driven elsewhere may ask of the simulation. Whatever is not there yet is
/// `None`, and wakes the task of `context` when it comes.
pub(crate) trait SimHandle {
    /// The time of the simulation.
    fn now(&self) -> Time;
    /// The next thing that a client's application asks for.
    fn poll_request(&mut self, client: ClientIndex, context: &Context<'_>)
    -> Option<ClientRequest>;
    /// A client wants to open a connection when `attempt` of them have failed.
    fn connect(&mut self, client: ClientIndex, attempt: u32);
    /// How the opening of a client's connection ended.
    fn poll_opened(
        &mut self,
        client: ClientIndex,
        context: &Context<'_>,
    ) -> Option<Result<Connection, Connection>>;
    /// The next connection on which a CONNECT came to the broker.
    fn poll_incoming(&mut self, context: &Context<'_>) -> Option<Connection>;
    /// What comes next on a node's end of a connection.
    fn poll_receive(
        &mut self,
        node: Node,
        connection: Connection,
        context: &Context<'_>,
    ) -> Option<ReceivedItem>;
    /// A node writes a packet: the number under which it is carried; `None` if it goes nowhere.
    fn write_packet(
        &mut self,
        node: Node,
        connection: Connection,
        packet: Packet,
        transmission: Transmission,
    ) -> Option<u32>;
    /// A node under test writes bytes that are to be a packet.
    fn write_frame(&mut self, node: Node, connection: Connection, frame: &[u8]) -> WriteOutcome;
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
    fn close(&mut self, node: Node, connection: Connection, why: CloseReason);
    /// An endpoint did something that is neither sending nor opening nor closing.
    fn apply_output(&mut self, node: Node, output: Output);
    /// A node has done all that follows from what it was told.
    fn set_backlog(&mut self, node: Node, backlog: Backlog);
}

/// What a node took from its end of a connection.
#[derive(Debug)]
pub(crate) enum ReceivedItem {
    /// A packet.
    Packet {
        /// The number under which its bytes were carried.
        serial: u32,
        /// What was sent.
        packet: Packet,
        /// Which sending of it.
        transmission: Transmission,
    },
    /// Nothing more will come, and this is why.
    Closed(CloseReason),
}

/// A simulation whose nodes are driven elsewhere. It is compiled once, for whoever watches: such
/// trials are not for statistics.
pub(crate) type ProxySimulation =
    Simulation<'static, ProxyEndpoint<ClientRequest>, ProxyEndpoint<Infallible>, SharedObserver>;

/// Who watches, and is also held by who wants it back.
pub(crate) type SharedObserver = Rc<RefCell<dyn Observer>>;

impl ProxySimulation {
    /// Sets the stage; nothing has happened yet.
    pub(crate) fn set(
        trial: &Trial,
        observer: SharedObserver,
        run_context: RunContext<'static>,
    ) -> Self {
        let inboxes = Inboxes::default();
        let clients = trial.setup.clients.iter().map(|_| inboxes.new_proxy()).collect();
        let broker = inboxes.new_proxy();
        let mut sim = Self::new(trial, clients, broker, observer, run_context);
        sim.inboxes = Some(Box::new(inboxes));
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
            if self.events >= self.setup.max_events || self.queue.is_exhausted() {
                return Some(Ending::EventLimit);
            }
            let Some((now, happening)) = self.queue.pop_until(until.min(self.deadline)) else {
                break;
            };
            self.now = now;
            self.dispatch(happening);
        }
        self.now = until.min(self.deadline);
        (until >= self.deadline).then_some(Ending::Deadline)
    }

    /// Enters the phases that are due; whether the trial is over.
    pub(crate) fn is_over(&mut self) -> bool {
        self.apply_pending_crashes();
        self.advance_phase()
    }

    /// What is to be done with nodes, in order.
    pub(crate) fn take_host_commands(&mut self) -> Vec<HostCommand> {
        self.inboxes
            .as_mut()
            .map(|inboxes| std::mem::take(&mut inboxes.commands))
            .unwrap_or_default()
    }

    /// Whether anything waits for a node to take it.
    pub(crate) fn has_waiting_items(&self) -> bool {
        self.inboxes.as_ref().is_some_and(|inboxes| !inboxes.is_empty())
    }

    /// When anything happens next that is not a node's own doing.
    pub(crate) fn next_event_time(&self) -> Time {
        self.queue.next_event_time().min(self.deadline)
    }

    /// The trial is over, which is to be told together with what nodes under test did amiss.
    pub(crate) fn into_result(
        mut self,
        ending: Ending,
    ) -> (RunResult<SharedObserver>, Vec<SutError>) {
        self.attribute_ending(ending);
        let errors = self.take_sut_errors();
        (self.finish(ending), errors)
    }

    fn client_proxy(&self, client: ClientIndex) -> &ProxyEndpoint<ClientRequest> {
        &self.clients[client.index()].endpoint
    }

    /// A node gets a packet that waited at its door.
    fn receive_packet(&mut self, node: Node, in_flight: PacketInFlight) -> Option<ReceivedItem> {
        self.events += 1;
        let fault = self.trigger_faults_on_arrival(&in_flight.name);
        if self.is_crash_before_reading(fault) {
            self.discard(in_flight);
            self.apply_crash_fault(fault);
            return None;
        }
        let PacketInFlight { name, connection, transmission, serial, packet } = in_flight;
        let packet = packet.expect("a reset waits at no door");
        self.record_arrival(node, connection, name, &packet, serial);
        self.track_read(node, connection, &packet, transmission);
        if let Some(fault) = fault {
            self.set_pending_crash(node, fault);
        }
        Some(ReceivedItem::Packet { serial, packet, transmission })
    }

    /// A node is to crash once its turn is over, and may send only so much until then.
    fn set_pending_crash(&mut self, node: Node, fault: u32) {
        let may_send = self.sends_left.take().unwrap_or(u32::MAX);
        if let Some(inboxes) = &mut self.inboxes {
            inboxes.pending_crashes.push(PendingCrash { node, sends_left: may_send, fault });
        }
    }

    /// Whether a node that is about to crash may send this packet too.
    fn take_last_send_permit(&mut self, node: Node) -> bool {
        let crashes = self.inboxes.iter_mut().flat_map(|inboxes| &mut inboxes.pending_crashes);
        let mut is_permitted = true;
        for dying in crashes.filter(|dying| dying.node == node) {
            is_permitted &= dying.sends_left > 0;
            dying.sends_left = dying.sends_left.saturating_sub(1);
        }
        is_permitted
    }
}

impl SimHandle for ProxySimulation {
    fn now(&self) -> Time {
        self.now
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
        if !self.is_down(Node::Client(client)) {
            self.schedule_connect(client, attempt);
        }
    }

    fn poll_opened(
        &mut self,
        client: ClientIndex,
        context: &Context<'_>,
    ) -> Option<Result<Connection, Connection>> {
        self.client_proxy(client).poll_opened(context)
    }

    fn poll_incoming(&mut self, context: &Context<'_>) -> Option<Connection> {
        let called = self.broker.endpoint.poll_opened(context)?;
        Some(called.unwrap_or_else(|connection| connection))
    }

    fn poll_receive(
        &mut self,
        node: Node,
        connection: Connection,
        context: &Context<'_>,
    ) -> Option<ReceivedItem> {
        if *self.connections.end_mut(node, connection) == EndState::Closed {
            return Some(ReceivedItem::Closed(CloseReason::Reset));
        }
        let inboxes = self.inboxes.as_mut()?;
        match inboxes.pop(node, connection, context)? {
            InboxItem::Packet(envelope) => self.receive_packet(node, envelope),
            InboxItem::Closed(why) => {
                self.close_local_end(node, connection, why);
                Some(ReceivedItem::Closed(why))
            }
        }
    }

    fn write_packet(
        &mut self,
        node: Node,
        connection: Connection,
        packet: Packet,
        transmission: Transmission,
    ) -> Option<u32> {
        let is_open = *self.connections.end_mut(node, connection) == EndState::Open;
        if !is_open || !self.take_last_send_permit(node) {
            return None;
        }
        let serial = {
            let inboxes = self.inboxes.as_mut()?;
            inboxes.packets_written += 1;
            inboxes.packets_written
        };
        self.send_packet(node, connection, packet, transmission);
        if let Some(fault) = self.pending_crash.take() {
            self.set_pending_crash(node, fault);
            return None;
        }
        Some(serial)
    }

    fn write_frame(&mut self, node: Node, connection: Connection, frame: &[u8]) -> WriteOutcome {
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

    fn close(&mut self, node: Node, connection: Connection, why: CloseReason) {
        Simulation::close_local_end(self, node, connection, why);
    }

    fn apply_output(&mut self, node: Node, output: Output) {
        if self.is_down(node) {
            return;
        }
        match node {
            Node::Broker => self.apply_broker_output(output),
            Node::Client(client) => self.apply_client_output(client, output),
        }
    }

    fn set_backlog(&mut self, node: Node, backlog: Backlog) {
        if self.is_down(node) {
            return;
        }
        match node {
            Node::Broker => {
                self.broker.endpoint.set_backlog(backlog);
                if let Some(change) =
                    self.broker.sync_after_drain(self.now, &mut self.queue, BROKER_NUMBER)
                {
                    self.backlog_changed(node, &change);
                }
            }
            Node::Client(client) => {
                self.client_proxy(client).set_backlog(backlog);
                let host = &mut self.clients[client.index()];
                if let Some(change) = host.sync_after_drain(self.now, &mut self.queue, client.0 + 1)
                {
                    self.backlog_changed(node, &change);
                }
                if self.phase == Phase::Connecting {
                    self.readiness.update(client, backlog.has_armed_timer);
                }
            }
        }
    }
}
