//! The heart of the engine: takes up one happening after the other.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::connections::{Connections, End};
use super::faults::Faults;
use super::host::Host;
use super::lines::{Envelope, Line, UnderWay, reset};
use super::muster::Muster;
use super::queue::{Class, Happening, Queue};
use super::streams::Stream;
use super::workload::Workload;
use super::{Ended, Tap};
use crate::schedule::{Outage, Transcript};
use crate::trace::TraceHash;
use crate::trial::{Setup, StreamSetup, Trial};
use doors::Doors;
use held::Probe;
use qoslab_core::base::draw::Key;
use qoslab_core::base::ending::Ending;
use qoslab_core::base::event::{Close, Event, Observer, Phase};
use qoslab_core::base::name::{ClientIndex, Connection, Kind, Node, PacketName, Way};
use qoslab_core::base::time::Time;
use qoslab_core::mqtt::endpoint::{Endpoint, Input};
use qoslab_core::mqtt::packet::Packet;
use qoslab_core::mqtt::settings::Request;
use qoslab_core::network::overrule::Overrule;
use scripts::script_links;

mod actions;
mod crashes;
mod dials;
pub(crate) mod doors;
mod explore;
mod faults;
pub(crate) mod foreign;
mod held;
mod phases;
mod scripts;
pub(crate) mod stage;
mod streams;

/// Everything of a running trial. Generic over the endpoints, so that tests can put others in.
pub(crate) struct Simulation<'t, C, B, O, R> {
    setup: Arc<Setup>,
    terms: Terms<'t, R>,
    now: Time,
    deadline: Time,
    phase: Phase,
    queue: Queue,
    broker: Host<B>,
    clients: Vec<Host<C>>,
    ways: Vec<WayOut>,
    lines: Vec<Line>,
    under_way: UnderWay,
    connections: Connections,
    /// By connection number: those over TCP that are not over.
    streams: Vec<Option<Box<Stream>>>,
    /// How many packets are in streams that quiescence waits for.
    streaming: usize,
    /// How many nodes have messages in flight or queued.
    owing: usize,
    /// A dead connection that one end still takes for alive, the last that was found.
    unnoticed: Option<Connection>,
    faults: Faults,
    /// How many crashed nodes are to start again.
    restarting: usize,
    /// How many more packets the node that is being told may send: it will crash.
    may_send: Option<u32>,
    /// The fault by which it will.
    doom: Option<u32>,
    traffic_began: Time,
    /// When the traffic begins at the earliest, and whether a happening waits for that.
    traffic_from: Time,
    awaits_traffic: bool,
    workload: Workload,
    muster: Muster,
    /// How many nodes have a timer armed that quiescence waits for.
    armed: usize,
    /// How many clients are about to open a connection.
    dialling: usize,
    by_client_id: BTreeMap<Arc<str>, ClientIndex>,
    trace: TraceHash,
    /// What an explorer has it do, and sees of it.
    probe: Option<Box<Probe>>,
    /// What waits for the nodes, where they are driven elsewhere.
    doors: Option<Box<Doors>>,
    observer: O,
    events: u64,
    packets: u64,
}

/// What a trial does not say about its run.
#[derive(Default)]
pub(crate) struct Terms<'t, R> {
    pub(crate) overrule: R,
    pub(crate) interrupt: Option<&'t AtomicBool>,
    /// Where all that luck decided is written down.
    pub(crate) transcript: Option<Transcript>,
    pub(crate) tap: Option<Rc<dyn Tap>>,
}

/// A simulation that is over.
pub(crate) struct Ran<O> {
    pub(crate) ended: Ended,
    pub(crate) observer: O,
    pub(crate) transcript: Option<Transcript>,
}

/// A client's way to a connection.
struct WayOut {
    current: Option<Connection>,
    /// When it opens the next; other such happenings in the queue are stale.
    dials_at: Time,
    /// How many it has opened.
    dialled: u32,
    /// Whether its application wants it connected.
    wanted: bool,
    /// What its application would have asked for while its node was down.
    missed: Vec<Request>,
    luck: Key,
}

/// The broker's number among the nodes that wake up; a client's is one more than its index.
const BROKER: u32 = 0;
/// The interrupt is looked at once in so many happenings; a power of two.
const INTERRUPT_EVERY: u64 = 4096;

impl<'t, C, B, O, R> Simulation<'t, C, B, O, R>
where
    C: Endpoint<Request = Request> + Clone,
    B: Endpoint<Request = Infallible> + Clone,
    O: Observer,
    R: Overrule,
{
    pub(super) fn new(
        trial: &Trial,
        clients: Vec<C>,
        broker: B,
        observer: O,
        terms: Terms<'t, R>,
    ) -> Self {
        let setup = &trial.setup;
        let root = Key::new(trial.seed);
        let luck = root.child(b"client");
        let ways = setup.clients.iter().map(|client| WayOut {
            current: None,
            dials_at: Time::NEVER,
            dialled: 0,
            wanted: true,
            missed: Vec::new(),
            luck: luck.child(client.name.as_bytes()),
        });
        let ids = (0..).zip(&setup.clients);
        let ids = ids.map(|(n, it)| (Arc::clone(&it.settings.client_id), ClientIndex(n)));
        let mut lines: Vec<_> = setup.clients.iter().map(|it| Line::new(root, it)).collect();
        script_links(setup, terms.transcript.is_some(), &mut lines);
        Self {
            terms,
            now: Time::ZERO,
            deadline: Time::ZERO + setup.deadline,
            phase: Phase::Connecting,
            queue: Queue::default(),
            broker: Host::new(broker, setup.broker_store),
            clients: clients
                .into_iter()
                .zip(&setup.clients)
                .map(|(endpoint, client)| Host::new(endpoint, client.store))
                .collect(),
            ways: ways.collect(),
            lines,
            under_way: UnderWay::default(),
            connections: Connections::default(),
            streams: Vec::new(),
            streaming: 0,
            owing: 0,
            unnoticed: None,
            faults: Faults::new(setup, root),
            restarting: 0,
            may_send: None,
            doom: None,
            traffic_began: Time::ZERO,
            traffic_from: setup.schedule.as_ref().map_or(Time::ZERO, |it| it.traffic),
            awaits_traffic: false,
            workload: Workload::new(setup, trial.seed),
            muster: Muster::new(setup),
            armed: 0,
            dialling: 0,
            by_client_id: ids.collect(),
            trace: TraceHash::new(),
            probe: None,
            doors: None,
            observer,
            events: 0,
            packets: 0,
            setup: Arc::clone(setup),
        }
    }

    /// Runs to the end.
    pub(super) fn run(mut self) -> Ran<O> {
        self.begin();
        let ending = loop {
            if let Some(ending) = self.step() {
                break ending;
            }
        };
        self.finish(ending)
    }

    /// Takes up one happening; how the trial ended, if there is none left.
    #[inline]
    fn step(&mut self) -> Option<Ending> {
        if self.advance() {
            return Some(Ending::Quiescent);
        }
        if self.events >= self.setup.max_events || self.queue.is_exhausted() {
            return Some(Ending::EventLimit);
        }
        if self.events.is_multiple_of(INTERRUPT_EVERY) && self.is_interrupted() {
            return Some(Ending::Interrupted);
        }
        let Some((now, happening)) = self.queue.pop_until(self.deadline) else {
            if self.release_all() {
                return None;
            }
            self.now = self.deadline;
            return Some(Ending::Deadline);
        };
        self.now = now;
        self.take_up(happening);
        None
    }

    fn finish(mut self, ending: Ending) -> Ran<O> {
        self.enter(Phase::Over);
        self.write_links_down();
        let Self { now, events, packets, trace, observer, terms, .. } = self;
        let ended = Ended { ending, at: now, events, packets, trace_hash: trace.finish() };
        Ran { ended, observer, transcript: terms.transcript }
    }

    fn is_interrupted(&self) -> bool {
        self.terms.interrupt.is_some_and(|interrupt| interrupt.load(Ordering::Relaxed))
    }

    // ---- happenings ----

    fn take_up(&mut self, happening: Happening) {
        match happening {
            Happening::Arrival(place) => self.arrive(place),
            Happening::Stream(number) => self.stream_due(number),
            Happening::Publish(stream) => self.publish(stream),
            Happening::Act(planned) => {
                self.turn(Class::Application);
                let (client, request) = self.workload.act(planned);
                self.act(client, request);
            }
            Happening::Dial(client) => self.dial(ClientIndex(client)),
            // The phase changes before the next happening.
            Happening::Begin => {}
            Happening::Outage(client) => self.change_outage(ClientIndex(client)),
            Happening::Fault(fault) => self.fault_due(fault),
            Happening::Mend(remedy) => self.mend(remedy),
            Happening::Snapshot(node) => self.snapshot(node),
            Happening::Wake(node) => self.wake(node),
        }
    }

    /// A happening that is not stale is taken up.
    fn turn(&mut self, class: Class) {
        self.events += 1;
        self.trace.turn(self.now, class as u8);
    }

    fn publish(&mut self, stream: u32) {
        let step = self.workload.step(stream);
        if let Some(next) = step.next {
            self.queue.push(next, Happening::Publish(stream));
        }
        let Some(message) = step.publish else { return };
        let message = self.marked(message);
        let StreamSetup { client, qos, retain, expiry, .. } = self.setup.streams[stream as usize];
        // An application crashes with its client.
        if self.clients[client.index()].is_down {
            return;
        }
        self.turn(Class::Application);
        self.tell(&Event::Submitted { tag: message.tag });
        self.ask_client(client, Request::Publish { message, qos, retain, expiry });
    }

    fn wake(&mut self, node: u32) {
        if node == BROKER {
            if self.broker.woke(self.now, &mut self.queue, BROKER) {
                self.turn(Class::Timer);
                self.tell_broker(Input::Timeout);
                self.timed_out(Node::Broker);
            }
            return;
        }
        let client = ClientIndex(node - 1);
        if self.clients[client.index()].woke(self.now, &mut self.queue, node) {
            self.turn(Class::Timer);
            self.tell_client(client, Input::Timeout);
            self.timed_out(Node::Client(client));
        }
    }

    fn change_outage(&mut self, client: ClientIndex) {
        if self.phase != Phase::Traffic {
            return;
        }
        self.turn(Class::Fault);
        let line = &mut self.lines[client.index()];
        if line.link.is_down() {
            line.link.set_down(false);
            self.tell(&Event::OutageEnded { client });
            self.plan_outage(client.index());
        } else {
            line.link.set_down(true);
            let (at, lasts) =
                (self.now.since(self.traffic_began), line.outage_ends.since(self.now));
            if let Some(transcript) = &mut self.terms.transcript {
                let outages = transcript.schedule.outages.entry(client).or_default();
                outages.push(Outage { at, lasts });
            }
            self.queue.push(line.outage_ends, Happening::Outage(client.0));
            self.tell(&Event::OutageBegan { client });
        }
    }

    fn plan_outage(&mut self, client: usize) {
        let line = &mut self.lines[client];
        if let Some((begins, ends)) = line.link.next_outage() {
            line.outage_ends = ends;
            self.queue.push(begins, Happening::Outage(client_index(client).0));
        }
    }

    fn arrive(&mut self, place: u32) {
        self.turn(Class::Arrival);
        let envelope = self.under_way.take(place);
        let (name, connection) = (envelope.name, envelope.connection);
        let node = receiver(name);
        if envelope.packet.is_some() {
            self.packet_arrived(node, envelope);
            return;
        }
        let open = *self.connections.at(node, connection) == End::Open;
        if open {
            let line = &self.lines[name.client.index()];
            let record = reset(name, line.headers);
            self.tell(&Event::Arrived { node, connection, record: &record });
        }
        self.hang(node, connection, Close::Reset);
    }

    /// A packet reached a node.
    fn packet_arrived(&mut self, node: Node, envelope: Envelope) {
        let Envelope { name, connection, .. } = envelope;
        let end = *self.connections.at(node, connection);
        if self.is_down(node) {
            self.nobody_reads(envelope);
        } else if end == End::Unknown && name.kind == Kind::Connect {
            *self.connections.at(node, connection) = End::Open;
            let client = name.client;
            self.tell(&Event::Opened { node, connection, client });
            self.tell_broker(Input::Opened(connection));
            self.bring(node, envelope);
        } else if end == End::Open {
            self.bring(node, envelope);
        } else {
            self.nobody_reads(envelope);
            if !self.is_dark(connection) {
                self.send_reset(node, name.client, connection);
            }
        }
    }

    /// A node's endpoint gets a packet.
    fn read(&mut self, node: Node, envelope: Envelope) {
        let fault = self.fault_on_arrival(&envelope.name);
        if self.dies_before_reading(fault) {
            self.nobody_reads(envelope);
            self.crash_by(fault);
            return;
        }
        let Envelope { name, connection, transmission, serial, packet } = envelope;
        let packet = packet.expect("a reset is read by no endpoint");
        self.announce(node, connection, name, &packet, serial);
        match node {
            Node::Broker => self.tell_broker(Input::Packet { connection, packet, transmission }),
            Node::Client(client) => {
                self.tell_client(client, Input::Packet { connection, packet, transmission });
            }
        }
        self.was_read(&name);
        self.crash_by(fault);
    }

    /// A packet is about to be handled.
    #[inline]
    fn announce(
        &mut self,
        node: Node,
        connection: Connection,
        name: PacketName,
        packet: &Packet,
        serial: u32,
    ) {
        let line = &self.lines[name.client.index()];
        let record = line.record(packet, name, self.length_of(serial));
        self.tell(&Event::Arrived { node, connection, record: &record });
        if let (Node::Client(client), Phase::Connecting) = (node, self.phase) {
            self.muster.arrived(client, packet);
        }
    }

    /// A packet is lost with its connection, or at a node that does not know it.
    fn nobody_reads(&mut self, envelope: Envelope) {
        let Envelope { name, connection, serial, packet, .. } = envelope;
        if let Some(packet) = packet {
            let line = &self.lines[name.client.index()];
            let record = line.record(&packet, name, self.length_of(serial));
            self.tell(&Event::Unread { node: receiver(name), connection, record: &record });
        }
    }

    #[inline]
    fn tell(&mut self, event: &Event<'_>) {
        self.trace.observe(self.now, event);
        self.observer.observe(self.now, event);
    }
}

/// The node that a packet is for.
const fn receiver(name: PacketName) -> Node {
    match name.way {
        Way::Up => Node::Broker,
        Way::Down => Node::Client(name.client),
    }
}

#[expect(clippy::cast_possible_truncation, reason = "clients are numbered by u32")]
const fn client_index(n: usize) -> ClientIndex {
    ClientIndex(n as u32)
}
