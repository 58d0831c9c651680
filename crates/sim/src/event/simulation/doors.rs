//! Doors, for nodes that are not driven here: what reaches such a node waits at its door until the
//! node takes it.
//!
//! The event engine tells an endpoint of a packet in the very happening that brings it. Code that
//! runs on a host of its own takes it when its turn comes, a tick later at most, and only then is
//! it told as arrived: so observers see each node's acts in the order in which they follow from
//! each other. All else, the links, faults, phases and crashes, is the same for both.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::rc::Rc;
use std::task::{Context, Waker};

use super::Simulation;
use super::foreign::Foreign;
use crate::event::connections::End;
use crate::event::lines::Envelope;
use qoslab_core::base::event::{Close, Observer};
use qoslab_core::base::name::{ClientIndex, Connection, Kind, Node};
use qoslab_core::base::time::Time;
use qoslab_core::mqtt::endpoint::{Backlog, Endpoint, Input, Output};
use qoslab_core::mqtt::settings::Request;
use qoslab_core::network::overrule::Overrule;

/// What waits for nodes that are driven elsewhere, and what is to be done with them there.
#[derive(Default)]
pub(super) struct Doors {
    /// By connection, whether it is the broker's end.
    ends: BTreeMap<(Connection, bool), Door>,
    /// How many things wait, at doors and as mail.
    waiting: Rc<Cell<usize>>,
    /// Nodes that crash once their turn is over.
    pub(super) dying: Vec<Dying>,
    pub(super) errands: Vec<Errand>,
    /// How many packets were written.
    pub(super) serial: u32,
    /// The nodes under test.
    pub(super) foreign: Option<Box<Foreign>>,
}

/// One end of a connection.
#[derive(Default)]
struct Door {
    waiting: VecDeque<Waiting>,
    waker: Option<Waker>,
}

/// What waits at a door, in the order in which it came.
pub(super) enum Waiting {
    Packet(Envelope),
    /// The connection is gone.
    Closed(Close),
}

/// A node that crashes in the middle of its turn.
#[derive(Clone, Copy)]
pub(super) struct Dying {
    pub(super) node: Node,
    /// How many more packets it may send.
    pub(super) may_send: u32,
    /// The fault by which it crashes.
    pub(super) fault: u32,
}

/// What is to be done with a node where it is driven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Errand {
    /// It crashed: what its storage does not hold is gone.
    Crash(Node),
    /// It starts again.
    Restart(Node),
    /// Its storage is written.
    Save(Node),
}

/// A node that is driven elsewhere, as the simulation knows it: what it is told waits as mail.
#[derive(Clone)]
pub(crate) struct Remote<R> {
    mailbox: Rc<RefCell<Mailbox<R>>>,
    waiting: Rc<Cell<usize>>,
}

struct Mailbox<R> {
    /// What its application asks for.
    requests: Letters<R>,
    /// How opening connections ended; at the broker, those that opened.
    opened: Letters<Result<Connection, Connection>>,
    backlog: Backlog,
}

/// Letters of one kind, and who waits for them.
struct Letters<T> {
    waiting: VecDeque<T>,
    waker: Option<Waker>,
}

impl<T> Letters<T> {
    const NONE: Self = Self { waiting: VecDeque::new(), waker: None };

    fn put(&mut self, letter: T) {
        self.waiting.push_back(letter);
        wake(&mut self.waker);
    }

    fn take(&mut self, context: &Context<'_>) -> Option<T> {
        let letter = self.waiting.pop_front();
        if letter.is_none() {
            self.waker = Some(context.waker().clone());
        }
        letter
    }
}

fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}

impl<R> Remote<R> {
    fn new(waiting: &Rc<Cell<usize>>) -> Self {
        let (requests, opened) = (Letters::NONE, Letters::NONE);
        let mailbox = Mailbox { requests, opened, backlog: Backlog::default() };
        Self { mailbox: Rc::new(RefCell::new(mailbox)), waiting: Rc::clone(waiting) }
    }

    /// The next thing that its application asks for.
    pub(super) fn request(&self, context: &Context<'_>) -> Option<R> {
        let request = self.mailbox.borrow_mut().requests.take(context);
        self.waiting.set(self.waiting.get() - usize::from(request.is_some()));
        request
    }

    /// The next connection that opened, or did not.
    pub(super) fn opened(&self, context: &Context<'_>) -> Option<Result<Connection, Connection>> {
        let opened = self.mailbox.borrow_mut().opened.take(context);
        self.waiting.set(self.waiting.get() - usize::from(opened.is_some()));
        opened
    }

    pub(super) fn set_backlog(&self, backlog: Backlog) {
        self.mailbox.borrow_mut().backlog = backlog;
    }
}

impl<R> Endpoint for Remote<R> {
    type Request = R;

    fn handle(&mut self, _: Time, input: Input<R>) {
        let mut mailbox = self.mailbox.borrow_mut();
        match input {
            Input::Application(request) => mailbox.requests.put(request),
            Input::Opened(connection) => mailbox.opened.put(Ok(connection)),
            Input::Closed(connection) => mailbox.opened.put(Err(connection)),
            Input::Packet { .. } => unreachable!("packets wait at doors"),
            Input::Timeout => unreachable!("its timers are its own"),
        }
        self.waiting.set(self.waiting.get() + 1);
    }

    /// What it does it tells by itself.
    fn poll_output(&mut self) -> Option<Output> {
        None
    }

    fn next_timeout(&self) -> Time {
        Time::NEVER
    }

    fn backlog(&self) -> Backlog {
        self.mailbox.borrow().backlog
    }

    /// Mail of its last life is lost.
    fn restart(&mut self, _: Time) {
        let mut mailbox = self.mailbox.borrow_mut();
        let lost = mailbox.requests.waiting.len() + mailbox.opened.waiting.len();
        self.waiting.set(self.waiting.get() - lost);
        mailbox.requests = Letters::NONE;
        mailbox.opened = Letters::NONE;
        mailbox.backlog.armed = false;
    }
}

impl Doors {
    /// A node that takes what it gets when its turn comes.
    pub(super) fn remote<R>(&self) -> Remote<R> {
        Remote::new(&self.waiting)
    }

    /// Whether nothing waits for anybody.
    pub(super) fn are_empty(&self) -> bool {
        self.waiting.get() == 0 && self.errands.is_empty() && self.dying.is_empty()
    }

    fn put(&mut self, node: Node, connection: Connection, waiting: Waiting) {
        let door = self.ends.entry(place(node, connection)).or_default();
        if let Some(Waiting::Closed(_)) = door.waiting.back() {
            return;
        }
        door.waiting.push_back(waiting);
        wake(&mut door.waker);
        self.waiting.set(self.waiting.get() + 1);
    }

    /// The next thing at a door; `None` if the node has to wait, or is about to crash.
    pub(super) fn take(
        &mut self,
        node: Node,
        connection: Connection,
        context: &Context<'_>,
    ) -> Option<Waiting> {
        let is_dying = self.dying.iter().any(|dying| dying.node == node);
        let door = self.ends.entry(place(node, connection)).or_default();
        let taken = if is_dying { None } else { door.waiting.pop_front() };
        if taken.is_some() {
            self.waiting.set(self.waiting.get() - 1);
        } else {
            door.waker = Some(context.waker().clone());
        }
        taken
    }

    /// The door is shut: what waited there, and whoever waits there learns of it.
    fn shut(&mut self, node: Node, connection: Connection) -> VecDeque<Waiting> {
        let Some(mut door) = self.ends.remove(&place(node, connection)) else {
            return VecDeque::new();
        };
        wake(&mut door.waker);
        self.waiting.set(self.waiting.get() - door.waiting.len());
        door.waiting
    }
}

const fn place(node: Node, connection: Connection) -> (Connection, bool) {
    (connection, matches!(node, Node::Broker))
}

impl<C, B, O, R> Simulation<'_, C, B, O, R>
where
    C: Endpoint<Request = Request> + Clone,
    B: Endpoint<Request = Infallible> + Clone,
    O: Observer,
    R: Overrule,
{
    /// The nodes under test, where there are any.
    #[inline]
    pub(super) fn products(&self) -> Option<&Foreign> {
        self.doors.as_ref()?.foreign.as_deref()
    }

    pub(super) fn products_mut(&mut self) -> Option<&mut Foreign> {
        self.doors.as_mut()?.foreign.as_deref_mut()
    }

    /// The number of the packet that is being written.
    #[inline]
    pub(super) fn serial(&self) -> u32 {
        self.doors.as_ref().map_or(0, |doors| doors.serial)
    }

    /// How long a packet is, where we would write it otherwise.
    #[inline]
    pub(super) fn length_of(&self, serial: u32) -> Option<u32> {
        self.products()?.length(serial)
    }

    /// A node that has a connection open gets a packet, at once or when it takes it.
    #[inline]
    pub(super) fn bring(&mut self, node: Node, envelope: Envelope) {
        match &mut self.doors {
            None => self.read(node, envelope),
            Some(doors) => {
                doors.put(node, envelope.connection, Waiting::Packet(envelope));
            }
        }
    }

    /// A node with a door learns of the end of its connection when it gets there.
    pub(super) fn tells_at_door(&mut self, node: Node, connection: Connection, why: Close) -> bool {
        let is_open = *self.connections.at(node, connection) == End::Open;
        let Some(doors) = self.doors.as_mut().filter(|_| is_open) else { return false };
        doors.put(node, connection, Waiting::Closed(why));
        true
    }

    /// A node's end of a connection is gone: what waited at its door is read by nobody.
    pub(super) fn shut_door(&mut self, node: Node, connection: Connection) {
        let Some(doors) = &mut self.doors else { return };
        if let Some(foreign) = doors.foreign.as_mut().filter(|foreign| foreign.is(node)) {
            foreign.witness.closed(node, connection);
        }
        for waiting in doors.shut(node, connection) {
            if let Waiting::Packet(envelope) = waiting {
                self.nobody_reads(envelope);
            }
        }
    }

    pub(super) fn run_errand(&mut self, errand: Errand) {
        let Some(doors) = &mut self.doors else { return };
        if let (Errand::Crash(node), Some(foreign)) = (errand, &mut doors.foreign)
            && foreign.is(node)
        {
            foreign.witness.crashed(node);
        }
        doors.errands.push(errand);
    }

    /// A client begins to open a connection.
    pub(super) fn note_dial(&mut self, client: ClientIndex) {
        let doors = self.doors.as_mut();
        if let Some(foreign) = doors.and_then(|doors| doors.foreign.as_mut()) {
            foreign.witness.dialled(client);
            foreign.stir(self.now, Kind::Connect);
        }
    }

    /// Whether every node under test has been quiet for long enough to be done, and none is away.
    pub(super) fn products_are_quiet(&self) -> bool {
        self.products().is_none_or(|foreign| {
            let mut clients = (0..).map(ClientIndex).take(self.ways.len());
            let is_missed = |it| foreign.is(Node::Client(it)) && self.is_away(it);
            foreign.is_quiet(self.now) && !clients.any(is_missed)
        })
    }

    /// Whether a node is under test.
    pub(super) fn is_foreign(&self, node: Node) -> bool {
        self.products().is_some_and(|foreign| foreign.is(node))
    }

    /// The nodes that are about to crash have had their turn.
    pub(super) fn crash_the_dying(&mut self) {
        let dying = self.doors.as_mut().map(|doors| std::mem::take(&mut doors.dying));
        for Dying { fault, .. } in dying.into_iter().flatten() {
            self.fault_due(fault);
        }
    }
}
