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
use super::sut_nodes::SutNodes;
use crate::event::connections::EndState;
use crate::event::links::PacketInFlight;
use qoslab_core::base::event::{CloseReason, Observer};
use qoslab_core::base::name::{ClientIndex, Connection, Node, PacketKind};
use qoslab_core::base::time::Time;
use qoslab_core::mqtt::endpoint::{Backlog, Endpoint, Input, Output};
use qoslab_core::mqtt::settings::ClientRequest;

/// What waits for nodes that are driven elsewhere, and what is to be done with them there.
#[derive(Default)]
pub(super) struct Inboxes {
    /// By connection, whether it is the broker's end.
    by_end: BTreeMap<(Connection, bool), Inbox>,
    /// How many things wait, at doors and as mail.
    waiting_count: Rc<Cell<usize>>,
    /// Nodes that crash once their turn is over.
    pub(super) pending_crashes: Vec<PendingCrash>,
    pub(super) commands: Vec<HostCommand>,
    /// How many packets were written.
    pub(super) packets_written: u32,
    /// The nodes under test.
    pub(super) sut_nodes: Option<Box<SutNodes>>,
}

/// One end of a connection.
#[derive(Default)]
struct Inbox {
    items: VecDeque<InboxItem>,
    waker: Option<Waker>,
}

/// What waits at a door, in the order in which it came.
pub(super) enum InboxItem {
    Packet(PacketInFlight),
    /// The connection is gone.
    Closed(CloseReason),
}

/// A node that crashes in the middle of its turn.
#[derive(Clone, Copy)]
pub(super) struct PendingCrash {
    pub(super) node: Node,
    /// How many more packets it may send.
    pub(super) sends_left: u32,
    /// The fault by which it crashes.
    pub(super) fault: u32,
}

/// What is to be done with a node where it is driven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HostCommand {
    /// It crashed: what its storage does not hold is gone.
    Crash(Node),
    /// It starts again.
    Restart(Node),
    /// Its storage is written.
    Save(Node),
}

/// A node that is driven elsewhere, as the simulation knows it: what it is told waits as mail.
#[derive(Clone)]
pub(crate) struct ProxyEndpoint<R> {
    queues: Rc<RefCell<NodeQueues<R>>>,
    waiting_count: Rc<Cell<usize>>,
}

struct NodeQueues<R> {
    /// What its application asks for.
    requests: WakerQueue<R>,
    /// How opening connections ended; at the broker, those that opened.
    opened: WakerQueue<Result<Connection, Connection>>,
    backlog: Backlog,
}

/// Letters of one kind, and who waits for them.
struct WakerQueue<T> {
    items: VecDeque<T>,
    waker: Option<Waker>,
}

impl<T> WakerQueue<T> {
    const EMPTY: Self = Self { items: VecDeque::new(), waker: None };

    fn push(&mut self, item: T) {
        self.items.push_back(item);
        wake(&mut self.waker);
    }

    fn poll_pop(&mut self, context: &Context<'_>) -> Option<T> {
        let item = self.items.pop_front();
        if item.is_none() {
            self.waker = Some(context.waker().clone());
        }
        item
    }
}

fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}

impl<R> ProxyEndpoint<R> {
    fn new(waiting: &Rc<Cell<usize>>) -> Self {
        let (requests, opened) = (WakerQueue::EMPTY, WakerQueue::EMPTY);
        let queues = NodeQueues { requests, opened, backlog: Backlog::default() };
        Self { queues: Rc::new(RefCell::new(queues)), waiting_count: Rc::clone(waiting) }
    }

    /// The next thing that its application asks for.
    pub(super) fn poll_request(&self, context: &Context<'_>) -> Option<R> {
        let request = self.queues.borrow_mut().requests.poll_pop(context);
        self.waiting_count.set(self.waiting_count.get() - usize::from(request.is_some()));
        request
    }

    /// The next connection that opened, or did not.
    pub(super) fn poll_opened(
        &self,
        context: &Context<'_>,
    ) -> Option<Result<Connection, Connection>> {
        let opened = self.queues.borrow_mut().opened.poll_pop(context);
        self.waiting_count.set(self.waiting_count.get() - usize::from(opened.is_some()));
        opened
    }

    pub(super) fn set_backlog(&self, backlog: Backlog) {
        self.queues.borrow_mut().backlog = backlog;
    }
}

impl<R> Endpoint for ProxyEndpoint<R> {
    type Request = R;

    fn handle(&mut self, _: Time, input: Input<R>) {
        let mut queues = self.queues.borrow_mut();
        match input {
            Input::Application(request) => queues.requests.push(request),
            Input::Opened(connection) => queues.opened.push(Ok(connection)),
            Input::Closed(connection) => queues.opened.push(Err(connection)),
            Input::Packet { .. } => unreachable!("packets wait at doors"),
            Input::Timeout => unreachable!("its timers are its own"),
        }
        self.waiting_count.set(self.waiting_count.get() + 1);
    }

    /// What it does it tells by itself.
    fn poll_output(&mut self) -> Option<Output> {
        None
    }

    fn next_timeout(&self) -> Time {
        Time::NEVER
    }

    fn backlog(&self) -> Backlog {
        self.queues.borrow().backlog
    }

    /// Mail of its last life is lost.
    fn restart(&mut self, _: Time) {
        let mut queues = self.queues.borrow_mut();
        let lost = queues.requests.items.len() + queues.opened.items.len();
        self.waiting_count.set(self.waiting_count.get() - lost);
        queues.requests = WakerQueue::EMPTY;
        queues.opened = WakerQueue::EMPTY;
        queues.backlog.has_armed_timer = false;
    }
}

impl Inboxes {
    /// A node that takes what it gets when its turn comes.
    pub(super) fn new_proxy<R>(&self) -> ProxyEndpoint<R> {
        ProxyEndpoint::new(&self.waiting_count)
    }

    /// Whether nothing waits for anybody.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting_count.get() == 0 && self.commands.is_empty() && self.pending_crashes.is_empty()
    }

    fn push(&mut self, node: Node, connection: Connection, item: InboxItem) {
        let inbox = self.by_end.entry(inbox_key(node, connection)).or_default();
        if let Some(InboxItem::Closed(_)) = inbox.items.back() {
            return;
        }
        inbox.items.push_back(item);
        wake(&mut inbox.waker);
        self.waiting_count.set(self.waiting_count.get() + 1);
    }

    /// The next thing at a door; `None` if the node has to wait, or is about to crash.
    pub(super) fn pop(
        &mut self,
        node: Node,
        connection: Connection,
        context: &Context<'_>,
    ) -> Option<InboxItem> {
        let is_dying = self.pending_crashes.iter().any(|dying| dying.node == node);
        let inbox = self.by_end.entry(inbox_key(node, connection)).or_default();
        let taken = if is_dying { None } else { inbox.items.pop_front() };
        if taken.is_some() {
            self.waiting_count.set(self.waiting_count.get() - 1);
        } else {
            inbox.waker = Some(context.waker().clone());
        }
        taken
    }

    /// The door is shut: what waited there, and whoever waits there learns of it.
    fn close(&mut self, node: Node, connection: Connection) -> VecDeque<InboxItem> {
        let Some(mut inbox) = self.by_end.remove(&inbox_key(node, connection)) else {
            return VecDeque::new();
        };
        wake(&mut inbox.waker);
        self.waiting_count.set(self.waiting_count.get() - inbox.items.len());
        inbox.items
    }
}

const fn inbox_key(node: Node, connection: Connection) -> (Connection, bool) {
    (connection, matches!(node, Node::Broker))
}

impl<C, B, O> Simulation<'_, C, B, O>
where
    C: Endpoint<Request = ClientRequest> + Clone,
    B: Endpoint<Request = Infallible> + Clone,
    O: Observer,
{
    /// The nodes under test, where there are any.
    #[inline]
    pub(super) fn sut_nodes(&self) -> Option<&SutNodes> {
        self.inboxes.as_ref()?.sut_nodes.as_deref()
    }

    pub(super) fn sut_nodes_mut(&mut self) -> Option<&mut SutNodes> {
        self.inboxes.as_mut()?.sut_nodes.as_deref_mut()
    }

    /// The number of the packet that is being written.
    #[inline]
    pub(super) fn written_serial(&self) -> u32 {
        self.inboxes.as_ref().map_or(0, |inboxes| inboxes.packets_written)
    }

    /// How long a packet is, where we would write it otherwise.
    #[inline]
    pub(super) fn sut_length(&self, serial: u32) -> Option<u32> {
        self.sut_nodes()?.frame_length(serial)
    }

    /// A node that has a connection open gets a packet, at once or when it takes it.
    #[inline]
    pub(super) fn deliver_packet(&mut self, node: Node, in_flight: PacketInFlight) {
        match &mut self.inboxes {
            None => self.hand_to_endpoint(node, in_flight),
            Some(inboxes) => {
                inboxes.push(node, in_flight.connection, InboxItem::Packet(in_flight));
            }
        }
    }

    /// A node with a door learns of the end of its connection when it gets there.
    pub(super) fn deliver_close(
        &mut self,
        node: Node,
        connection: Connection,
        why: CloseReason,
    ) -> bool {
        let is_open = *self.connections.end_mut(node, connection) == EndState::Open;
        let Some(inboxes) = self.inboxes.as_mut().filter(|_| is_open) else { return false };
        inboxes.push(node, connection, InboxItem::Closed(why));
        true
    }

    /// A node's end of a connection is gone: what waited at its door is read by nobody.
    pub(super) fn close_inbox(&mut self, node: Node, connection: Connection) {
        let Some(inboxes) = &mut self.inboxes else { return };
        if let Some(sut) = inboxes.sut_nodes.as_mut().filter(|sut| sut.contains(node)) {
            sut.tracker.connection_closed(node, connection);
        }
        for waiting in inboxes.close(node, connection) {
            if let InboxItem::Packet(envelope) = waiting {
                self.discard(envelope);
            }
        }
    }

    pub(super) fn push_host_command(&mut self, command: HostCommand) {
        let Some(inboxes) = &mut self.inboxes else { return };
        if let (HostCommand::Crash(node), Some(sut)) = (command, &mut inboxes.sut_nodes)
            && sut.contains(node)
        {
            sut.tracker.node_crashed(node);
        }
        inboxes.commands.push(command);
    }

    /// A client begins to open a connection.
    pub(super) fn record_connect(&mut self, client: ClientIndex) {
        let inboxes = self.inboxes.as_mut();
        if let Some(sut) = inboxes.and_then(|inboxes| inboxes.sut_nodes.as_mut()) {
            sut.tracker.connect_started(client);
            sut.mark_activity(self.now, PacketKind::Connect);
        }
    }

    /// Whether every node under test has been quiet for long enough to be done, and none is away.
    pub(super) fn are_sut_nodes_idle(&self) -> bool {
        self.sut_nodes().is_none_or(|sut| {
            let mut clients = (0..).map(ClientIndex).take(self.connectors.len());
            let is_missing = |it| sut.contains(Node::Client(it)) && self.is_missing_connection(it);
            sut.is_idle(self.now) && !clients.any(is_missing)
        })
    }

    /// Whether a node is under test.
    pub(super) fn is_sut(&self, node: Node) -> bool {
        self.sut_nodes().is_some_and(|sut| sut.contains(node))
    }

    /// The nodes that are about to crash have had their turn.
    pub(super) fn apply_pending_crashes(&mut self) {
        let pending_crashes =
            self.inboxes.as_mut().map(|inboxes| std::mem::take(&mut inboxes.pending_crashes));
        for PendingCrash { fault, .. } in pending_crashes.into_iter().flatten() {
            self.fault_due(fault);
        }
    }
}
