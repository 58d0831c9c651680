//! Inboxes, for nodes that are not driven here: what reaches such a node waits in the inbox of its
//! connection until the node takes it.
//!
//! The event engine hands an endpoint a packet in the very event that brings it. Code that
//! runs on a host of its own takes it when its turn comes, a tick later at most, and only then is
//! it reported as arrived: so observers see each node's acts in the order in which they follow from
//! each other. All else, the links, faults, phases and crashes, is the same for both.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::rc::Rc;
use std::task::{Context, Waker};

use super::sut_nodes::SutNodes;
use crate::event::links::PacketInFlight;
use crate::event::node_driver::{HostCommand, NodeDriver};
use crate::packet_tracker::payload_with_id;
use qoslab_core::base::{ClientIndex, CloseReason, ConnectionNumber, Node, PacketKind, Time};
use qoslab_core::mqtt::{Backlog, ClientRequest, Endpoint, Input, Message, Output, Payload};

/// The driver of nodes that are driven elsewhere: the input that waits for them, and the work to be
/// done on them there.
#[derive(Default)]
pub(crate) struct Inboxes {
    /// By connection, whether it is the broker's end.
    by_end: BTreeMap<(ConnectionNumber, bool), Inbox>,
    /// How many items wait, in inboxes and in the queues of nodes.
    waiting_count: Rc<Cell<usize>>,
    /// Nodes that crash once their turn is over.
    pub(super) pending_crashes: Vec<PendingCrash>,
    pub(super) commands: Vec<HostCommand>,
    /// How many packets were written.
    pub(super) packets_written: u32,
    /// The nodes under test.
    pub(super) sut_nodes: Option<SutNodes>,
}

/// One end of a connection.
#[derive(Default)]
struct Inbox {
    items: VecDeque<InboxItem>,
    waker: Option<Waker>,
}

/// Input that waits in an inbox, in order of arrival.
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

/// A node that is driven elsewhere, as the simulation sees it: its input waits in queues.
#[derive(Clone)]
pub(crate) struct ProxyEndpoint<R> {
    queues: Rc<RefCell<NodeQueues<R>>>,
    waiting_count: Rc<Cell<usize>>,
}

struct NodeQueues<R> {
    /// Requests of its application.
    requests: WakerQueue<R>,
    /// Results of opening connections; at the broker, those that opened.
    opened: WakerQueue<Result<ConnectionNumber, ConnectionNumber>>,
    backlog: Backlog,
}

/// Items of one kind, and the task that waits for them.
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
    ) -> Option<Result<ConnectionNumber, ConnectionNumber>> {
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
            Input::SocketFull(_) | Input::Writable(_) | Input::PartOfPacket(_) => {
                unreachable!("it is not told of its sockets")
            }
            Input::Packet { .. } => unreachable!("packets wait in inboxes"),
            Input::Timeout => unreachable!("its timers are its own"),
        }
        self.waiting_count.set(self.waiting_count.get() + 1);
    }

    /// It reports its acts itself.
    fn poll_output(&mut self) -> Option<Output> {
        None
    }

    fn next_timeout(&self) -> Time {
        Time::NEVER
    }

    fn backlog(&self) -> Backlog {
        self.queues.borrow().backlog
    }

    /// What waited for its last life is lost.
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

    /// Whether nothing waits for any node.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting_count.get() == 0 && self.commands.is_empty() && self.pending_crashes.is_empty()
    }

    fn push(&mut self, node: Node, connection: ConnectionNumber, item: InboxItem) {
        let inbox = self.by_end.entry(inbox_key(node, connection)).or_default();
        if let Some(InboxItem::Closed(_)) = inbox.items.back() {
            return;
        }
        inbox.items.push_back(item);
        wake(&mut inbox.waker);
        self.waiting_count.set(self.waiting_count.get() + 1);
    }

    /// The next item of an inbox; `None` if the node has to wait, or is about to crash.
    pub(super) fn pop(
        &mut self,
        node: Node,
        connection: ConnectionNumber,
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

    /// Counts down the packets that a node about to crash may send; whether this is one of them.
    pub(super) fn take_last_send_permit(&mut self, node: Node) -> bool {
        let mut is_permitted = true;
        for dying in self.pending_crashes.iter_mut().filter(|dying| dying.node == node) {
            is_permitted &= dying.sends_left > 0;
            dying.sends_left = dying.sends_left.saturating_sub(1);
        }
        is_permitted
    }
}

const fn inbox_key(node: Node, connection: ConnectionNumber) -> (ConnectionNumber, bool) {
    (connection, matches!(node, Node::Broker))
}

impl NodeDriver for Inboxes {
    type Client = ProxyEndpoint<ClientRequest>;
    type Broker = ProxyEndpoint<Infallible>;

    const IS_TOLD_OF_SOCKETS: bool = false;

    fn accept_packet(&mut self, node: Node, packet: PacketInFlight) -> Option<PacketInFlight> {
        self.push(node, packet.connection, InboxItem::Packet(packet));
        None
    }

    fn accept_close(&mut self, node: Node, connection: ConnectionNumber, why: CloseReason) -> bool {
        self.push(node, connection, InboxItem::Closed(why));
        true
    }

    /// The inbox is gone, and the task that waits for it is woken to learn that.
    fn close_end(&mut self, node: Node, connection: ConnectionNumber) -> VecDeque<PacketInFlight> {
        if let Some(sut) = self.sut_nodes.as_mut().filter(|sut| sut.contains(node)) {
            sut.tracker.connection_closed(node, connection);
        }
        let Some(mut inbox) = self.by_end.remove(&inbox_key(node, connection)) else {
            return VecDeque::new();
        };
        wake(&mut inbox.waker);
        self.waiting_count.set(self.waiting_count.get() - inbox.items.len());
        let packets = inbox.items.into_iter().filter_map(|item| match item {
            InboxItem::Packet(packet) => Some(packet),
            InboxItem::Closed(_) => None,
        });
        packets.collect()
    }

    fn push_host_command(&mut self, command: HostCommand) {
        if let (HostCommand::Crash(node), Some(sut)) = (command, &mut self.sut_nodes)
            && sut.contains(node)
        {
            sut.tracker.node_crashed(node);
        }
        self.commands.push(command);
    }

    fn is_sut(&self, node: Node) -> bool {
        self.sut_nodes.as_ref().is_some_and(|sut| sut.contains(node))
    }

    fn is_idle(&self, now: Time) -> bool {
        self.is_empty() && self.sut_nodes.as_ref().is_none_or(|sut| sut.is_idle(now))
    }

    fn connect_started(&mut self, now: Time, client: ClientIndex) {
        if let Some(sut) = &mut self.sut_nodes {
            sut.tracker.connect_started(client);
            sut.mark_activity(now, PacketKind::Connect);
        }
    }

    fn connection_opened(&mut self, now: Time) {
        if let Some(sut) = &mut self.sut_nodes {
            sut.last_activity = now;
        }
    }

    /// Where systems are under test, every message must be known by its payload.
    fn identified(&self, message: Message) -> Message {
        if self.sut_nodes.is_none() {
            return message;
        }
        let payload = payload_with_id(message.tag, message.payload.len());
        Message { payload: Payload::Bytes(payload.into()), ..message }
    }

    fn packet_number(&self) -> u32 {
        self.packets_written
    }

    fn frame_length(&self, number: u32) -> Option<u32> {
        self.sut_nodes.as_ref()?.frame_length(number)
    }
}
