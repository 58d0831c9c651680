//! The main loop of the engine: handles one event after the other.
//!
//! A [`Simulation`] is made of parts that each own their state: the timeline, the nodes, the
//! network, the faults, the workload, the hook of a search, and the reporter. What one part does
//! alone is its method; this file holds what takes several.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::connections::EndState;
use super::faults::Faults;
use super::links::{PacketInFlight, reset_meta};
use super::network::Network;
use super::node_driver::{DirectDriver, NodeDriver};
use super::nodes::{Nodes, from_node_number};
use super::queue::{EventClass, QueuedEvent};
use super::reporter::Reporter;
use super::search_hook::SearchHook;
use super::timeline::Timeline;
use super::workload::Workload;
use crate::engine::PacketTap;
use crate::schedule::{RecordedRun, ScheduledOutage};
use crate::trial::{PublisherSetup, Setup, Trial};
use qoslab_core::base::RunSummary;
use qoslab_core::base::draw::DrawKey;
use qoslab_core::base::{
    ClientIndex, CloseReason, ConnectionNumber, Direction, Ending, Event, Node, Observer,
    PacketKind, PacketName, Phase,
};
use qoslab_core::mqtt::{Broker, Client, ClientRequest, Input, Packet};
use qoslab_core::network::FateOverride;

mod connection_lifecycle;
mod crashes;
mod endpoint_io;
mod explore;
mod fates;
mod faults;
mod phases;
mod recording;
mod sockets;
mod tcp;

/// A running trial, generic over how its nodes are driven and over its observer.
pub(crate) struct Simulation<'t, D: NodeDriver, O> {
    pub(super) setup: Arc<Setup>,
    pub(super) run_context: RunContext<'t>,
    pub(super) timeline: Timeline,
    pub(super) nodes: Nodes<D>,
    pub(super) network: Network,
    pub(super) faults: Faults,
    pub(super) workload: Workload,
    pub(super) search_hook: SearchHook,
    pub(super) reporter: Reporter<O>,
}

/// Run options that are not part of the trial.
#[derive(Default)]
pub(crate) struct RunContext<'t> {
    pub(crate) fate_override: Option<&'t mut dyn FateOverride>,
    pub(crate) interrupt: Option<&'t AtomicBool>,
    /// Recording of everything that is drawn at random.
    pub(crate) transcript: Option<RecordedRun>,
    pub(crate) packet_tap: Option<Rc<dyn PacketTap>>,
}

/// A simulation that is over.
pub(crate) struct RunResult<O> {
    pub(crate) summary: RunSummary,
    pub(crate) observer: O,
    pub(crate) transcript: Option<RecordedRun>,
}

/// The interrupt is checked once per this number of events; a power of two.
const INTERRUPT_CHECK_INTERVAL: u64 = 4096;

impl<'t, O: Observer> Simulation<'t, DirectDriver, O> {
    /// A simulation of our own endpoints.
    pub(super) fn of_endpoints(trial: &Trial, observer: O, run_context: RunContext<'t>) -> Self {
        let setup = &trial.setup;
        let settings = setup.clients.iter().map(|client| Arc::new(client.settings.clone()));
        let clients = settings.map(Client::new).collect();
        let broker = Broker::new(setup.broker.clone());
        Self::new(trial, (DirectDriver, clients, broker), observer, run_context)
    }
}

impl<'t, D: NodeDriver, O: Observer> Simulation<'t, D, O> {
    pub(super) fn new(
        trial: &Trial,
        (driver, clients, broker): (D, Vec<D::Client>, D::Broker),
        observer: O,
        run_context: RunContext<'t>,
    ) -> Self {
        let setup = &trial.setup;
        let root = DrawKey::new(trial.seed);
        Self {
            timeline: Timeline::new(setup),
            nodes: Nodes::new(setup, root, driver, clients, broker),
            network: Network::new(setup, root, run_context.transcript.is_some()),
            faults: Faults::new(setup, root),
            workload: Workload::new(setup, trial.seed),
            search_hook: SearchHook::default(),
            reporter: Reporter::new(observer),
            run_context,
            setup: Arc::clone(setup),
        }
    }

    /// Runs to the end.
    pub(super) fn run(mut self) -> RunResult<O> {
        self.start();
        let ending = loop {
            if let Some(ending) = self.dispatch_next() {
                break ending;
            }
        };
        self.finish(ending)
    }

    /// Handles one event; how the trial ended, if there is none left.
    #[inline]
    fn dispatch_next(&mut self) -> Option<Ending> {
        if self.advance_phase() {
            return Some(Ending::Quiescent);
        }
        if self.is_at_event_limit() {
            return Some(Ending::EventLimit);
        }
        if self.reporter.events.is_multiple_of(INTERRUPT_CHECK_INTERVAL) && self.is_interrupted() {
            return Some(Ending::Interrupted);
        }
        let Some(event) = self.timeline.next_event() else {
            if self.release_all_delayed() {
                return None;
            }
            self.timeline.advance_to_deadline();
            return Some(Ending::Deadline);
        };
        self.dispatch(event);
        None
    }

    pub(super) fn finish(mut self, ending: Ending) -> RunResult<O> {
        self.enter_phase(Phase::Over);
        self.record_link_fates();
        let (summary, observer) = self.reporter.finish(ending, self.timeline.now);
        RunResult { summary, observer, transcript: self.run_context.transcript }
    }

    /// Whether the trial may handle no more events.
    #[inline]
    pub(super) fn is_at_event_limit(&self) -> bool {
        self.reporter.events >= self.setup.max_events || self.timeline.is_exhausted()
    }

    fn is_interrupted(&self) -> bool {
        self.run_context.interrupt.is_some_and(|interrupt| interrupt.load(Ordering::Relaxed))
    }

    // ---- events ----

    pub(super) fn dispatch(&mut self, event: QueuedEvent) {
        match event {
            QueuedEvent::Arrival(place) => self.arrival_due(place),
            QueuedEvent::TcpDue(number) => self.tcp_due(ConnectionNumber(number)),
            QueuedEvent::Publish(stream) => self.publish_due(stream),
            QueuedEvent::ApplicationAction(planned) => {
                self.count_dispatch(EventClass::Application);
                let (client, request) = self.workload.take_action(planned);
                self.apply_application_request(client, request);
            }
            QueuedEvent::Connect(client) => self.open_connection(ClientIndex(client)),
            // The phase changes before the next event.
            QueuedEvent::TrafficStart => {}
            QueuedEvent::Outage(client) => self.toggle_outage(ClientIndex(client)),
            QueuedEvent::Fault(fault) => self.fault_due(fault),
            QueuedEvent::FaultEnd(index) => self.end_fault(index),
            QueuedEvent::Snapshot(node) => self.snapshot_due(from_node_number(node)),
            QueuedEvent::NodeTimer(node) => self.timer_due(from_node_number(node)),
        }
    }

    /// An event that is not stale is handled.
    #[inline]
    pub(super) fn count_dispatch(&mut self, class: EventClass) {
        self.reporter.count_dispatch(self.timeline.now, class);
    }

    fn publish_due(&mut self, publisher: u32) {
        let step = self.workload.next_message(publisher);
        if let Some(next) = step.next_time {
            self.timeline.schedule(next, QueuedEvent::Publish(publisher));
        }
        let Some(message) = step.publish else { return };
        let message = self.nodes.driver.identified(message);
        let PublisherSetup { client, qos, retain, expiry, .. } =
            self.setup.publishers[publisher as usize];
        // An application crashes with its client.
        if self.nodes.clients[client.index()].is_down {
            return;
        }
        self.count_dispatch(EventClass::Application);
        self.notify_observers(&Event::Submitted { tag: message.tag });
        self.request_client(client, ClientRequest::Publish { message, qos, retain, expiry });
    }

    fn timer_due(&mut self, node: Node) {
        if !self.nodes.take_wakeup(&mut self.timeline, node) {
            return;
        }
        self.count_dispatch(EventClass::Timer);
        self.handle_input(node, Input::Timeout);
        let (timeline, in_flight) = (&mut self.timeline, &mut self.network.in_flight);
        self.search_hook.release_after_timeout(timeline, in_flight, node);
    }

    fn toggle_outage(&mut self, client: ClientIndex) {
        if self.timeline.phase != Phase::Traffic {
            return;
        }
        self.count_dispatch(EventClass::Fault);
        let link = self.network.link_mut(client);
        if link.link_state.is_down() {
            link.link_state.set_down(false);
            self.notify_observers(&Event::OutageEnded { client });
            self.network.schedule_outage(&mut self.timeline, client);
        } else {
            link.link_state.set_down(true);
            let ends = link.outage_ends;
            let at = self.timeline.since_traffic_start();
            let lasts = ends.since(self.timeline.now);
            if let Some(transcript) = &mut self.run_context.transcript {
                let outages = transcript.schedule.outages.entry(client).or_default();
                outages.push(ScheduledOutage { at, lasts });
            }
            self.timeline.schedule(ends, QueuedEvent::Outage(client.0));
            self.notify_observers(&Event::OutageBegan { client });
        }
    }

    fn arrival_due(&mut self, slot: u32) {
        self.count_dispatch(EventClass::Arrival);
        let in_flight = self.network.in_flight.take(slot);
        let (name, connection) = (in_flight.name, in_flight.connection);
        let node = receiver_of(name);
        if in_flight.packet.is_some() {
            self.packet_arrived(node, in_flight);
            return;
        }
        if self.network.connections.is_open(node, connection) {
            let record = reset_meta(name, self.network.link(name.client).headers);
            self.notify_observers(&Event::Arrived { node, connection, packet: &record });
        }
        self.close_end(node, connection, CloseReason::Reset);
    }

    /// A packet reached a node.
    pub(super) fn packet_arrived(&mut self, node: Node, in_flight: PacketInFlight) {
        let PacketInFlight { name, connection, .. } = in_flight;
        let end = self.network.connections.end(node, connection);
        if self.nodes.is_down(node) {
            self.discard(in_flight);
        } else if end == EndState::Unknown && name.kind == PacketKind::Connect {
            *self.network.end_mut(node, connection) = EndState::Open;
            let client = name.client;
            self.notify_observers(&Event::Opened { node, connection, client });
            self.handle_broker_input(Input::Opened(connection));
            self.deliver_packet(node, in_flight);
        } else if end == EndState::Open {
            self.deliver_packet(node, in_flight);
        } else {
            self.discard(in_flight);
            if !self.network.is_silently_dead(connection) {
                self.send_reset(node, name.client, connection);
            }
        }
    }

    /// A node that has a connection open gets a packet, at once or when it takes it.
    #[inline]
    fn deliver_packet(&mut self, node: Node, in_flight: PacketInFlight) {
        if let Some(in_flight) = self.nodes.driver.accept_packet(node, in_flight) {
            self.hand_to_endpoint(node, in_flight);
        }
    }

    /// A node's endpoint gets a packet.
    fn hand_to_endpoint(&mut self, node: Node, in_flight: PacketInFlight) {
        let fault = self.trigger_faults_on_arrival(&in_flight.name);
        if self.faults.is_crash_before_reading(fault) {
            self.discard(in_flight);
            self.apply_crash_fault(fault);
            return;
        }
        let PacketInFlight { name, connection, transmission, serial, overhead, packet } = in_flight;
        let packet = packet.expect("a reset is read by no endpoint");
        self.record_arrival(node, connection, name, &packet, (serial, overhead));
        match node {
            Node::Broker => {
                self.handle_broker_input(Input::Packet { connection, packet, transmission });
            }
            Node::Client(client) => {
                self.handle_client_input(
                    client,
                    Input::Packet { connection, packet, transmission },
                );
            }
        }
        let (timeline, in_flight) = (&mut self.timeline, &mut self.network.in_flight);
        self.search_hook.release_after_handshake(timeline, in_flight, &name);
        self.apply_crash_fault(fault);
    }

    /// A packet is about to be handled.
    #[inline]
    pub(super) fn record_arrival(
        &mut self,
        node: Node,
        connection: ConnectionNumber,
        name: PacketName,
        packet: &Packet,
        (serial, overhead): (u32, u32),
    ) {
        let length = self.nodes.driver.frame_length(serial);
        let record = self.network.link(name.client).describe(packet, name, length, overhead);
        self.notify_observers(&Event::Arrived { node, connection, packet: &record });
        if let (Node::Client(client), Phase::Connecting) = (node, self.timeline.phase) {
            self.nodes.readiness.packet_arrived(client, packet);
        }
    }

    /// A packet is lost with its connection, or at a node that does not know it.
    pub(super) fn discard(&mut self, in_flight: PacketInFlight) {
        let PacketInFlight { name, connection, serial, overhead, packet, .. } = in_flight;
        if let Some(packet) = packet {
            let length = self.nodes.driver.frame_length(serial);
            let link = self.network.link(name.client);
            let record = link.describe(&packet, name, length, overhead);
            self.notify_observers(&Event::Discarded {
                node: receiver_of(name),
                connection,
                packet: &record,
            });
        }
    }

    #[inline]
    pub(super) fn notify_observers(&mut self, event: &Event<'_>) {
        self.reporter.notify(self.timeline.now, event);
    }
}

/// Returns the node that a packet is for.
pub(super) const fn receiver_of(name: PacketName) -> Node {
    match name.direction {
        Direction::Up => Node::Broker,
        Direction::Down => Node::Client(name.client),
    }
}
