//! The heart of the engine: takes up one happening after the other.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::connections::{Connections, EndState};
use super::faults::Faults;
use super::host::Host;
use super::links::{ClientLink, PacketInFlight, PacketsInFlight, reset_meta};
use super::queue::{EventClass, EventQueue, QueuedEvent};
use super::readiness::Readiness;
use super::tcp_connection::TcpConnection;
use super::workload::Workload;
use super::{PacketTap, RunSummary};
use crate::schedule::{RecordedRun, ScheduledOutage};
use crate::trace::TraceHash;
use crate::trial::{PublisherSetup, Setup, Trial};
use delayed::SearchHook;
use inboxes::Inboxes;
use qoslab_core::base::draw::DrawKey;
use qoslab_core::base::ending::Ending;
use qoslab_core::base::event::{CloseReason, Event, Observer, Phase};
use qoslab_core::base::name::{ClientIndex, Connection, Direction, Node, PacketKind, PacketName};
use qoslab_core::base::time::Time;
use qoslab_core::mqtt::endpoint::{Endpoint, Input};
use qoslab_core::mqtt::packet::Packet;
use qoslab_core::mqtt::settings::ClientRequest;
use qoslab_core::network::fate_override::FateOverride;
use recording::install_recorded_fates;

mod connection_lifecycle;
mod crashes;
mod delayed;
mod endpoint_io;
mod explore;
mod faults;
pub(crate) mod inboxes;
mod phases;
mod recording;
pub(crate) mod sim_handle;
pub(crate) mod sut_nodes;
mod tcp;

/// Everything of a running trial. Generic over the endpoints, so that tests can put others in.
pub(crate) struct Simulation<'t, C, B, O> {
    setup: Arc<Setup>,
    run_context: RunContext<'t>,
    now: Time,
    deadline: Time,
    phase: Phase,
    queue: EventQueue,
    broker: Host<B>,
    clients: Vec<Host<C>>,
    connectors: Vec<Connector>,
    links: Vec<ClientLink>,
    in_flight: PacketsInFlight,
    connections: Connections,
    /// By connection number: those over TCP that are not over.
    tcp_connections: Vec<Option<Box<TcpConnection>>>,
    /// How many packets are in streams that quiescence waits for.
    tcp_awaited: usize,
    /// How many nodes have messages in flight or queued.
    nodes_with_backlog: usize,
    /// A dead connection that one end still takes for alive, the last that was found.
    unnoticed_death: Option<Connection>,
    faults: Faults,
    /// How many crashed nodes are to start again.
    restarts_pending: usize,
    /// How many more packets the node that is being told may send: it will crash.
    sends_left: Option<u32>,
    /// The fault by which it will.
    pending_crash: Option<u32>,
    traffic_began: Time,
    /// When the traffic begins at the earliest, and whether a happening waits for that.
    traffic_not_before: Time,
    is_traffic_start_queued: bool,
    workload: Workload,
    readiness: Readiness,
    /// How many nodes have a timer armed that quiescence waits for.
    nodes_with_timer: usize,
    /// How many clients are about to open a connection.
    clients_connecting: usize,
    by_client_id: BTreeMap<Arc<str>, ClientIndex>,
    trace: TraceHash,
    /// What an explorer has it do, and sees of it.
    search_hook: Option<Box<SearchHook>>,
    /// What waits for the nodes, where they are driven elsewhere.
    inboxes: Option<Box<Inboxes>>,
    observer: O,
    events: u64,
    packets: u64,
}

/// What a trial does not say about its run.
#[derive(Default)]
pub(crate) struct RunContext<'t> {
    pub(crate) fate_override: Option<&'t mut dyn FateOverride>,
    pub(crate) interrupt: Option<&'t AtomicBool>,
    /// Where all that luck decided is written down.
    pub(crate) transcript: Option<RecordedRun>,
    pub(crate) packet_tap: Option<Rc<dyn PacketTap>>,
}

/// A simulation that is over.
pub(crate) struct RunResult<O> {
    pub(crate) summary: RunSummary,
    pub(crate) observer: O,
    pub(crate) transcript: Option<RecordedRun>,
}

/// A client's way to a connection.
struct Connector {
    current_connection: Option<Connection>,
    /// When it opens the next; other such happenings in the queue are stale.
    connects_at: Time,
    /// How many it has opened.
    connections_opened: u32,
    /// Whether its application wants it connected.
    is_wanted: bool,
    /// What its application would have asked for while its node was down.
    missed_requests: Vec<ClientRequest>,
    draw_key: DrawKey,
}

/// The broker's number among the nodes that wake up; a client's is one more than its index.
const BROKER_NUMBER: u32 = 0;
/// The interrupt is looked at once in so many happenings; a power of two.
const INTERRUPT_CHECK_INTERVAL: u64 = 4096;

impl<'t, C, B, O> Simulation<'t, C, B, O>
where
    C: Endpoint<Request = ClientRequest> + Clone,
    B: Endpoint<Request = Infallible> + Clone,
    O: Observer,
{
    pub(super) fn new(
        trial: &Trial,
        clients: Vec<C>,
        broker: B,
        observer: O,
        run_context: RunContext<'t>,
    ) -> Self {
        let setup = &trial.setup;
        let root = DrawKey::new(trial.seed);
        let client_keys = root.child(b"client");
        let connectors = setup.clients.iter().map(|client| Connector {
            current_connection: None,
            connects_at: Time::NEVER,
            connections_opened: 0,
            is_wanted: true,
            missed_requests: Vec::new(),
            draw_key: client_keys.child(client.name.as_bytes()),
        });
        let ids = (0..).zip(&setup.clients);
        let ids = ids.map(|(n, it)| (Arc::clone(&it.settings.client_id), ClientIndex(n)));
        let mut links: Vec<_> = setup.clients.iter().map(|it| ClientLink::new(root, it)).collect();
        install_recorded_fates(setup, run_context.transcript.is_some(), &mut links);
        Self {
            run_context,
            now: Time::ZERO,
            deadline: Time::ZERO + setup.deadline,
            phase: Phase::Connecting,
            queue: EventQueue::default(),
            broker: Host::new(broker, setup.broker_store),
            clients: clients
                .into_iter()
                .zip(&setup.clients)
                .map(|(endpoint, client)| Host::new(endpoint, client.store))
                .collect(),
            connectors: connectors.collect(),
            links,
            in_flight: PacketsInFlight::default(),
            connections: Connections::default(),
            tcp_connections: Vec::new(),
            tcp_awaited: 0,
            nodes_with_backlog: 0,
            unnoticed_death: None,
            faults: Faults::new(setup, root),
            restarts_pending: 0,
            sends_left: None,
            pending_crash: None,
            traffic_began: Time::ZERO,
            traffic_not_before: setup.schedule.as_ref().map_or(Time::ZERO, |it| it.traffic_start),
            is_traffic_start_queued: false,
            workload: Workload::new(setup, trial.seed),
            readiness: Readiness::new(setup),
            nodes_with_timer: 0,
            clients_connecting: 0,
            by_client_id: ids.collect(),
            trace: TraceHash::new(),
            search_hook: None,
            inboxes: None,
            observer,
            events: 0,
            packets: 0,
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

    /// Takes up one happening; how the trial ended, if there is none left.
    #[inline]
    fn dispatch_next(&mut self) -> Option<Ending> {
        if self.advance_phase() {
            return Some(Ending::Quiescent);
        }
        if self.events >= self.setup.max_events || self.queue.is_exhausted() {
            return Some(Ending::EventLimit);
        }
        if self.events.is_multiple_of(INTERRUPT_CHECK_INTERVAL) && self.is_interrupted() {
            return Some(Ending::Interrupted);
        }
        let Some((now, event)) = self.queue.pop_until(self.deadline) else {
            if self.release_all_delayed() {
                return None;
            }
            self.now = self.deadline;
            return Some(Ending::Deadline);
        };
        self.now = now;
        self.dispatch(event);
        None
    }

    fn finish(mut self, ending: Ending) -> RunResult<O> {
        self.enter_phase(Phase::Over);
        self.record_link_fates();
        let Self { now, events, packets, trace, observer, run_context: terms, .. } = self;
        let summary = RunSummary { ending, at: now, events, packets, trace_hash: trace.finish() };
        RunResult { summary, observer, transcript: terms.transcript }
    }

    fn is_interrupted(&self) -> bool {
        self.run_context.interrupt.is_some_and(|interrupt| interrupt.load(Ordering::Relaxed))
    }

    // ---- happenings ----

    fn dispatch(&mut self, event: QueuedEvent) {
        match event {
            QueuedEvent::Arrival(place) => self.arrival_due(place),
            QueuedEvent::TcpDue(number) => self.tcp_due(number),
            QueuedEvent::Publish(stream) => self.publish_due(stream),
            QueuedEvent::ApplicationAction(planned) => {
                self.count_dispatch(EventClass::Application);
                let (client, request) = self.workload.take_action(planned);
                self.apply_application_request(client, request);
            }
            QueuedEvent::Connect(client) => self.open_connection(ClientIndex(client)),
            // The phase changes before the next happening.
            QueuedEvent::TrafficStart => {}
            QueuedEvent::Outage(client) => self.toggle_outage(ClientIndex(client)),
            QueuedEvent::Fault(fault) => self.fault_due(fault),
            QueuedEvent::FaultEnd(remedy) => self.end_fault(remedy),
            QueuedEvent::Snapshot(node) => self.snapshot_due(node),
            QueuedEvent::NodeTimer(node) => self.timer_due(node),
        }
    }

    /// A happening that is not stale is taken up.
    fn count_dispatch(&mut self, class: EventClass) {
        self.events += 1;
        self.trace.record_dispatch(self.now, class as u8);
    }

    fn publish_due(&mut self, publisher: u32) {
        let step = self.workload.next_message(publisher);
        if let Some(next) = step.next_time {
            self.queue.push(next, QueuedEvent::Publish(publisher));
        }
        let Some(message) = step.publish else { return };
        let message = self.with_payload_id(message);
        let PublisherSetup { client, qos, retain, expiry, .. } =
            self.setup.publishers[publisher as usize];
        // An application crashes with its client.
        if self.clients[client.index()].is_down {
            return;
        }
        self.count_dispatch(EventClass::Application);
        self.notify_observers(&Event::Submitted { tag: message.tag });
        self.request_client(client, ClientRequest::Publish { message, qos, retain, expiry });
    }

    fn timer_due(&mut self, node: u32) {
        if node == BROKER_NUMBER {
            if self.broker.take_wakeup(self.now, &mut self.queue, BROKER_NUMBER) {
                self.count_dispatch(EventClass::Timer);
                self.handle_broker_input(Input::Timeout);
                self.release_after_timeout(Node::Broker);
            }
            return;
        }
        let client = ClientIndex(node - 1);
        if self.clients[client.index()].take_wakeup(self.now, &mut self.queue, node) {
            self.count_dispatch(EventClass::Timer);
            self.handle_client_input(client, Input::Timeout);
            self.release_after_timeout(Node::Client(client));
        }
    }

    fn toggle_outage(&mut self, client: ClientIndex) {
        if self.phase != Phase::Traffic {
            return;
        }
        self.count_dispatch(EventClass::Fault);
        let link = &mut self.links[client.index()];
        if link.link_state.is_down() {
            link.link_state.set_down(false);
            self.notify_observers(&Event::OutageEnded { client });
            self.schedule_outage(client.index());
        } else {
            link.link_state.set_down(true);
            let (at, duration) =
                (self.now.since(self.traffic_began), link.outage_ends.since(self.now));
            if let Some(transcript) = &mut self.run_context.transcript {
                let outages = transcript.schedule.outages.entry(client).or_default();
                outages.push(ScheduledOutage { at, lasts: duration });
            }
            self.queue.push(link.outage_ends, QueuedEvent::Outage(client.0));
            self.notify_observers(&Event::OutageBegan { client });
        }
    }

    fn schedule_outage(&mut self, client: usize) {
        let link = &mut self.links[client];
        if let Some((begins, ends)) = link.link_state.next_outage() {
            link.outage_ends = ends;
            self.queue.push(begins, QueuedEvent::Outage(client_index(client).0));
        }
    }

    fn arrival_due(&mut self, slot: u32) {
        self.count_dispatch(EventClass::Arrival);
        let in_flight = self.in_flight.take(slot);
        let (name, connection) = (in_flight.name, in_flight.connection);
        let node = receiver_of(name);
        if in_flight.packet.is_some() {
            self.packet_arrived(node, in_flight);
            return;
        }
        let open = *self.connections.end_mut(node, connection) == EndState::Open;
        if open {
            let link = &self.links[name.client.index()];
            let record = reset_meta(name, link.headers);
            self.notify_observers(&Event::Arrived { node, connection, packet: &record });
        }
        self.close_end(node, connection, CloseReason::Reset);
    }

    /// A packet reached a node.
    fn packet_arrived(&mut self, node: Node, in_flight: PacketInFlight) {
        let PacketInFlight { name, connection, .. } = in_flight;
        let end = *self.connections.end_mut(node, connection);
        if self.is_down(node) {
            self.discard(in_flight);
        } else if end == EndState::Unknown && name.kind == PacketKind::Connect {
            *self.connections.end_mut(node, connection) = EndState::Open;
            let client = name.client;
            self.notify_observers(&Event::Opened { node, connection, client });
            self.handle_broker_input(Input::Opened(connection));
            self.deliver_packet(node, in_flight);
        } else if end == EndState::Open {
            self.deliver_packet(node, in_flight);
        } else {
            self.discard(in_flight);
            if !self.is_silently_dead(connection) {
                self.send_reset(node, name.client, connection);
            }
        }
    }

    /// A node's endpoint gets a packet.
    fn hand_to_endpoint(&mut self, node: Node, in_flight: PacketInFlight) {
        let fault = self.trigger_faults_on_arrival(&in_flight.name);
        if self.is_crash_before_reading(fault) {
            self.discard(in_flight);
            self.apply_crash_fault(fault);
            return;
        }
        let PacketInFlight { name, connection, transmission, serial, packet } = in_flight;
        let packet = packet.expect("a reset is read by no endpoint");
        self.record_arrival(node, connection, name, &packet, serial);
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
        self.release_after_handshake(&name);
        self.apply_crash_fault(fault);
    }

    /// A packet is about to be handled.
    #[inline]
    fn record_arrival(
        &mut self,
        node: Node,
        connection: Connection,
        name: PacketName,
        packet: &Packet,
        serial: u32,
    ) {
        let link = &self.links[name.client.index()];
        let record = link.describe(packet, name, self.sut_length(serial));
        self.notify_observers(&Event::Arrived { node, connection, packet: &record });
        if let (Node::Client(client), Phase::Connecting) = (node, self.phase) {
            self.readiness.packet_arrived(client, packet);
        }
    }

    /// A packet is lost with its connection, or at a node that does not know it.
    fn discard(&mut self, in_flight: PacketInFlight) {
        let PacketInFlight { name, connection, serial, packet, .. } = in_flight;
        if let Some(packet) = packet {
            let link = &self.links[name.client.index()];
            let record = link.describe(&packet, name, self.sut_length(serial));
            self.notify_observers(&Event::Discarded {
                node: receiver_of(name),
                connection,
                packet: &record,
            });
        }
    }

    #[inline]
    fn notify_observers(&mut self, event: &Event<'_>) {
        self.trace.observe(self.now, event);
        self.observer.observe(self.now, event);
    }
}

/// The node that a packet is for.
const fn receiver_of(name: PacketName) -> Node {
    match name.direction {
        Direction::Up => Node::Broker,
        Direction::Down => Node::Client(name.client),
    }
}

#[expect(clippy::cast_possible_truncation, reason = "clients are numbered by u32")]
const fn client_index(n: usize) -> ClientIndex {
    ClientIndex(n as u32)
}
