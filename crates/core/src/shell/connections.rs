//! An endpoint and its connections, between two polls.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::mem;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use tokio::select;
use tokio::sync::Notify;
use tokio::task::yield_now;

use super::application::OutputHandler;
use super::clock::Clock;
use super::packet_transport::{PacketTransport, TransportClosed};
use crate::base::{CloseReason, ConnectionNumber, Time, Transmission};
use crate::mqtt::{Endpoint, Input, Output, Packet};

/// Attends to one connection: hands each packet to the endpoint as it comes, writes what could not
/// be written at once, and in the end closes it.
pub(super) async fn run_connection<E, C, K, A>(
    connections: Rc<RefCell<Connections<E, C, K, A>>>,
    clock: K,
    connection: ConnectionNumber,
) where
    E: Endpoint,
    C: PacketTransport,
    K: Clock,
    A: OutputHandler,
{
    while poll_fn(|cx| connections.borrow_mut().poll_packet(connection, cx)).await {
        yield_now().await;
    }
    let mut transport = connections.borrow_mut().remove(connection);
    let close_deadline = clock.sleep_until(clock.now() + transport.close_timeout());
    select! {
        biased;
        () = poll_fn(|cx| transport.poll_close(cx)) => {}
        () = close_deadline => {}
    }
}

/// An endpoint, its connections, and its output handler.
pub(super) struct Connections<E, C, K, A> {
    endpoint: Rc<RefCell<E>>,
    clock: K,
    output_handler: A,
    transports: BTreeMap<ConnectionNumber, ConnectionTransport<C>>,
    next_connection: ConnectionNumber,
    /// How many dials have failed, where the endpoint wants another one.
    connect_attempt: Option<u32>,
    /// When the loop will look at the time again.
    wakes_at: Time,
    /// Wakes the loop before that.
    changed: Rc<Notify>,
}

impl<E: Endpoint, C: PacketTransport, K: Clock, A: OutputHandler> Connections<E, C, K, A> {
    pub(super) fn new(endpoint: Rc<RefCell<E>>, clock: K, output_handler: A) -> Self {
        Self {
            endpoint,
            clock,
            output_handler,
            transports: BTreeMap::new(),
            next_connection: ConnectionNumber(0),
            connect_attempt: None,
            wakes_at: Time::NEVER,
            changed: Rc::default(),
        }
    }

    /// Hands the endpoint one thing that happened, and does all that follows: a transaction, and
    /// nothing else happens meanwhile.
    pub(super) fn handle_input(&mut self, input: Input<E::Request>) {
        self.endpoint.borrow_mut().handle(self.clock.now(), input);
        loop {
            let output = self.endpoint.borrow_mut().poll_output();
            let Some(output) = output else { break };
            self.perform(output);
        }
        let (backlog, due) = (self.endpoint.borrow().backlog(), self.next_timeout());
        self.output_handler.input_done(backlog, due);
        if due < self.wakes_at || self.connect_attempt.is_some() {
            self.changed.notify_one();
        }
    }

    fn perform(&mut self, output: Output) {
        match output {
            Output::Send { connection, packet, transmission } => {
                if let Some(line) = self.transports.get_mut(&connection) {
                    line.send(&packet, transmission);
                }
            }
            Output::Connect { attempt } => self.connect_attempt = Some(attempt),
            Output::Close { connection, why } => {
                if let Some(line) = self.transports.get_mut(&connection) {
                    line.close(why);
                }
            }
            output => self.output_handler.handle_output(output),
        }
    }

    // ---- for the loop ----

    pub(super) fn next_timeout(&self) -> Time {
        self.endpoint.borrow().next_timeout()
    }

    /// The attempt at a connection that the endpoint asked for last, once.
    pub(super) const fn take_connect_attempt(&mut self) -> Option<u32> {
        self.connect_attempt.take()
    }

    /// The loop will rest until this time, or until it is notified.
    pub(super) fn prepare_wait(&mut self) -> (Time, Rc<Notify>) {
        self.wakes_at = self.next_timeout();
        (self.wakes_at, Rc::clone(&self.changed))
    }

    /// The transport opened a connection.
    pub(super) fn open(&mut self, transport: C) -> ConnectionNumber {
        let connection = self.next_number();
        let line = ConnectionTransport {
            transport,
            state: TransportState::Open,
            task: Waker::noop().clone(),
        };
        self.transports.insert(connection, line);
        self.handle_input(Input::Opened(connection));
        connection
    }

    /// The transport could not open one.
    pub(super) fn failed_to_open(&mut self) {
        let connection = self.next_number();
        self.handle_input(Input::Closed(connection));
    }

    /// Closes what is open to make room for another connection.
    pub(super) fn close_all(&mut self) {
        for line in self.transports.values_mut() {
            line.close(CloseReason::Requested);
        }
    }

    fn next_number(&mut self) -> ConnectionNumber {
        let following = ConnectionNumber(self.next_connection.0 + 1);
        mem::replace(&mut self.next_connection, following)
    }

    // ---- for a connection's task ----

    /// Hands the next packet of a connection to the endpoint; false once it is over.
    fn poll_packet(&mut self, connection: ConnectionNumber, cx: &mut Context<'_>) -> Poll<bool> {
        let line = self.transport_mut(connection);
        line.task.clone_from(cx.waker());
        match ready!(line.poll_receive(cx)) {
            Some(Ok((packet, transmission))) => {
                self.handle_input(Input::Packet { connection, packet, transmission });
                Poll::Ready(true)
            }
            Some(Err(gone)) => {
                line.state = TransportState::Closed;
                if let Some(why) = gone.close_reason() {
                    line.transport.on_local_close(why);
                }
                self.handle_input(Input::Closed(connection));
                Poll::Ready(false)
            }
            None => Poll::Ready(false),
        }
    }

    /// Takes a connection that is over.
    fn remove(&mut self, connection: ConnectionNumber) -> C {
        self.transports.remove(&connection).expect("its task alone takes it").transport
    }

    fn transport_mut(&mut self, connection: ConnectionNumber) -> &mut ConnectionTransport<C> {
        self.transports.get_mut(&connection).expect("it is there until its task takes it")
    }
}

/// One connection.
struct ConnectionTransport<C> {
    transport: C,
    state: TransportState,
    /// Wakes its task.
    task: Waker,
}

enum TransportState {
    Open,
    /// A packet could not be sent, which the endpoint does not know yet.
    Failed(TransportClosed),
    /// The endpoint knows that it is over; its task is yet to see to that.
    Closed,
}

impl<C: PacketTransport> ConnectionTransport<C> {
    /// The next packet, or why none will come; `None` if the endpoint wants none.
    fn poll_receive(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<(Packet, Transmission), TransportClosed>>> {
        match &self.state {
            TransportState::Closed => return Poll::Ready(None),
            TransportState::Failed(gone) => return Poll::Ready(Some(Err(gone.clone()))),
            TransportState::Open => {}
        }
        let flushed = self.transport.poll_flush(cx);
        match (self.transport.poll_receive(cx), flushed) {
            (Poll::Ready(received), _) => Poll::Ready(Some(received)),
            // What the peer had sent before it went was read first.
            (Poll::Pending, Poll::Ready(Err(gone))) => Poll::Ready(Some(Err(gone))),
            (Poll::Pending, _) => Poll::Pending,
        }
    }

    fn send(&mut self, packet: &Packet, transmission: Transmission) {
        if let TransportState::Open = self.state
            && let Err(gone) = self.transport.send(packet, transmission)
        {
            self.state = TransportState::Failed(gone);
            self.task.wake_by_ref();
        }
    }

    fn close(&mut self, why: CloseReason) {
        if !matches!(mem::replace(&mut self.state, TransportState::Closed), TransportState::Closed)
        {
            self.transport.on_local_close(why);
            self.task.wake_by_ref();
        }
    }
}
