//! The simulation as those see it who drive its nodes elsewhere.

use std::cell::RefCell;
use std::convert::Infallible;
use std::rc::Rc;
use std::task::Context;

use super::doors::{Doors, Dying, Errand, Remote, Waiting};
use super::foreign::Fared;
use super::{BROKER, Ran, Simulation, Terms};
use crate::event::connections::End;
use crate::event::lines::Envelope;
use crate::mishap::{Mishap, MishapKind};
use crate::trial::Trial;
use qoslab_core::base::ending::Ending;
use qoslab_core::base::event::{Close, Observer, Phase};
use qoslab_core::base::name::{ClientIndex, Connection, Node, Transmission};
use qoslab_core::base::qos::QoS;
use qoslab_core::base::time::Time;
use qoslab_core::mqtt::endpoint::{Backlog, Output};
use qoslab_core::mqtt::packet::Packet;
use qoslab_core::mqtt::settings::Request;

/// What a node that is driven elsewhere may ask of the simulation. Whatever is not there yet is
/// `None`, and wakes the task of `context` when it comes.
pub(crate) trait Stage {
    /// The time of the simulation.
    fn now(&self) -> Time;
    /// The next thing that a client's application asks for.
    fn request(&mut self, client: ClientIndex, context: &Context<'_>) -> Option<Request>;
    /// A client wants to open a connection when `attempt` of them have failed.
    fn dial(&mut self, client: ClientIndex, attempt: u32);
    /// How the opening of a client's connection ended.
    fn opened(
        &mut self,
        client: ClientIndex,
        context: &Context<'_>,
    ) -> Option<Result<Connection, Connection>>;
    /// The next connection on which a CONNECT came to the broker.
    fn called(&mut self, context: &Context<'_>) -> Option<Connection>;
    /// What comes next on a node's end of a connection.
    fn take(&mut self, node: Node, connection: Connection, context: &Context<'_>) -> Option<Taken>;
    /// A node writes a packet: the number under which it is carried; `None` if it goes nowhere.
    fn write(
        &mut self,
        node: Node,
        connection: Connection,
        packet: Packet,
        transmission: Transmission,
    ) -> Option<u32>;
    /// A node under test writes bytes that are to be a packet.
    fn write_frame(&mut self, node: Node, connection: Connection, frame: &[u8]) -> Fared;
    /// A client under test hands a payload to its application.
    fn delivered(&mut self, client: ClientIndex, payload: &[u8], qos: QoS, retain: bool);
    /// A node under test did something that it may not.
    fn mishap(&mut self, node: Node, what: MishapKind);
    /// A node closes its end of a connection.
    fn close(&mut self, node: Node, connection: Connection, why: Close);
    /// An endpoint did something that is neither sending nor opening nor closing.
    fn told(&mut self, node: Node, output: Output);
    /// A node has done all that follows from what it was told.
    fn settled(&mut self, node: Node, backlog: Backlog);
}

/// What a node took from its end of a connection.
#[derive(Debug)]
pub(crate) enum Taken {
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
    Closed(Close),
}

/// A simulation whose nodes are driven elsewhere. It is compiled once, for whoever watches: such
/// trials are not for statistics.
pub(crate) type Remotely = Simulation<'static, Remote<Request>, Remote<Infallible>, Watcher, ()>;

/// Who watches, and is also held by who wants it back.
pub(crate) type Watcher = Rc<RefCell<dyn Observer>>;

impl Remotely {
    /// Sets the stage; nothing has happened yet.
    pub(crate) fn set(trial: &Trial, observer: Watcher, terms: Terms<'static, ()>) -> Self {
        let doors = Doors::default();
        let clients = trial.setup.clients.iter().map(|_| doors.remote()).collect();
        let broker = doors.remote();
        let mut stage = Self::new(trial, clients, broker, observer, terms);
        stage.doors = Some(Box::new(doors));
        stage.begin();
        stage
    }

    /// Takes up all that comes up to a time; how the trial ended, if it did.
    pub(crate) fn run_until(&mut self, until: Time) -> Option<Ending> {
        self.crash_the_dying();
        loop {
            if self.advance() {
                return Some(Ending::Quiescent);
            }
            if self.events >= self.setup.max_events || self.queue.is_exhausted() {
                return Some(Ending::EventLimit);
            }
            let Some((now, happening)) = self.queue.pop_until(until.min(self.deadline)) else {
                break;
            };
            self.now = now;
            self.take_up(happening);
        }
        self.now = until.min(self.deadline);
        (until >= self.deadline).then_some(Ending::Deadline)
    }

    /// Enters the phases that are due; whether the trial is over.
    pub(crate) fn is_over(&mut self) -> bool {
        self.crash_the_dying();
        self.advance()
    }

    /// What is to be done with nodes, in order.
    pub(crate) fn take_errands(&mut self) -> Vec<Errand> {
        self.doors.as_mut().map(|doors| std::mem::take(&mut doors.errands)).unwrap_or_default()
    }

    /// Whether anything waits for a node to take it.
    pub(crate) fn waits(&self) -> bool {
        self.doors.as_ref().is_some_and(|doors| !doors.are_empty())
    }

    /// When anything happens next that is not a node's own doing.
    pub(crate) fn next_time(&self) -> Time {
        self.queue.next_time().min(self.deadline)
    }

    /// The trial is over, which is to be told together with what nodes under test did amiss.
    pub(crate) fn end(mut self, ending: Ending) -> (Ran<Watcher>, Vec<Mishap>) {
        self.blame_for_ending(ending);
        let mishaps = self.take_mishaps();
        (self.finish(ending), mishaps)
    }

    fn remote_client(&self, client: ClientIndex) -> &Remote<Request> {
        &self.clients[client.index()].endpoint
    }

    /// A node gets a packet that waited at its door.
    fn take_packet(&mut self, node: Node, envelope: Envelope) -> Option<Taken> {
        self.events += 1;
        let fault = self.fault_on_arrival(&envelope.name);
        if self.dies_before_reading(fault) {
            self.nobody_reads(envelope);
            self.crash_by(fault);
            return None;
        }
        let Envelope { name, connection, transmission, serial, packet } = envelope;
        let packet = packet.expect("a reset waits at no door");
        self.announce(node, connection, name, &packet, serial);
        self.witness_read(node, connection, &packet, transmission);
        if let Some(fault) = fault {
            self.will_die(node, fault);
        }
        Some(Taken::Packet { serial, packet, transmission })
    }

    /// A node is to crash once its turn is over, and may send only so much until then.
    fn will_die(&mut self, node: Node, fault: u32) {
        let may_send = self.may_send.take().unwrap_or(u32::MAX);
        if let Some(doors) = &mut self.doors {
            doors.dying.push(Dying { node, may_send, fault });
        }
    }

    /// Whether a node that is about to crash may send this packet too.
    fn spend_a_last_send(&mut self, node: Node) -> bool {
        let dying = self.doors.iter_mut().flat_map(|doors| &mut doors.dying);
        let mut may = true;
        for dying in dying.filter(|dying| dying.node == node) {
            may &= dying.may_send > 0;
            dying.may_send = dying.may_send.saturating_sub(1);
        }
        may
    }
}

impl Stage for Remotely {
    fn now(&self) -> Time {
        self.now
    }

    fn request(&mut self, client: ClientIndex, context: &Context<'_>) -> Option<Request> {
        let request = self.remote_client(client).request(context)?;
        self.hand_out(client, &request);
        Some(request)
    }

    fn dial(&mut self, client: ClientIndex, attempt: u32) {
        if !self.is_down(Node::Client(client)) {
            self.plan_dial(client, attempt);
        }
    }

    fn opened(
        &mut self,
        client: ClientIndex,
        context: &Context<'_>,
    ) -> Option<Result<Connection, Connection>> {
        self.remote_client(client).opened(context)
    }

    fn called(&mut self, context: &Context<'_>) -> Option<Connection> {
        let called = self.broker.endpoint.opened(context)?;
        Some(called.unwrap_or_else(|connection| connection))
    }

    fn take(&mut self, node: Node, connection: Connection, context: &Context<'_>) -> Option<Taken> {
        if *self.connections.at(node, connection) == End::Closed {
            return Some(Taken::Closed(Close::Reset));
        }
        let doors = self.doors.as_mut()?;
        match doors.take(node, connection, context)? {
            Waiting::Packet(envelope) => self.take_packet(node, envelope),
            Waiting::Closed(why) => {
                self.close(node, connection, why);
                Some(Taken::Closed(why))
            }
        }
    }

    fn write(
        &mut self,
        node: Node,
        connection: Connection,
        packet: Packet,
        transmission: Transmission,
    ) -> Option<u32> {
        let is_open = *self.connections.at(node, connection) == End::Open;
        if !is_open || !self.spend_a_last_send(node) {
            return None;
        }
        let serial = {
            let doors = self.doors.as_mut()?;
            doors.serial += 1;
            doors.serial
        };
        self.send(node, connection, packet, transmission);
        if let Some(fault) = self.doom.take() {
            self.will_die(node, fault);
            return None;
        }
        Some(serial)
    }

    fn write_frame(&mut self, node: Node, connection: Connection, frame: &[u8]) -> Fared {
        Self::write_frame(self, node, connection, frame)
    }

    fn delivered(&mut self, client: ClientIndex, payload: &[u8], qos: QoS, retain: bool) {
        self.hand_over_payload(client, payload, qos, retain);
    }

    fn mishap(&mut self, node: Node, what: MishapKind) {
        self.note_mishap(node, what);
    }

    fn close(&mut self, node: Node, connection: Connection, why: Close) {
        Simulation::close(self, node, connection, why);
    }

    fn told(&mut self, node: Node, output: Output) {
        if self.is_down(node) {
            return;
        }
        match node {
            Node::Broker => self.do_for_broker(output),
            Node::Client(client) => self.do_for_client(client, output),
        }
    }

    fn settled(&mut self, node: Node, backlog: Backlog) {
        if self.is_down(node) {
            return;
        }
        match node {
            Node::Broker => {
                self.broker.endpoint.set_backlog(backlog);
                if let Some(change) = self.broker.settle(self.now, &mut self.queue, BROKER) {
                    self.backlog_changed(node, &change);
                }
            }
            Node::Client(client) => {
                self.remote_client(client).set_backlog(backlog);
                let host = &mut self.clients[client.index()];
                if let Some(change) = host.settle(self.now, &mut self.queue, client.0 + 1) {
                    self.backlog_changed(node, &change);
                }
                if self.phase == Phase::Connecting {
                    self.muster.settled(client, backlog.armed);
                }
            }
        }
    }
}
