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

use super::application::Audience;
use super::carrier::{Carrier, Gone};
use super::clock::Clock;
use crate::base::event::Close;
use crate::base::name::{Connection, Transmission};
use crate::base::time::Time;
use crate::mqtt::endpoint::{Endpoint, Input, Output};
use crate::mqtt::packet::Packet;

/// Attends to one connection: hands each packet to the endpoint as it comes, writes what could not
/// be written at once, and in the end closes it.
pub(super) async fn attend<E, C, K, A>(
    connections: Rc<RefCell<Connections<E, C, K, A>>>,
    clock: K,
    connection: Connection,
) where
    E: Endpoint,
    C: Carrier,
    K: Clock,
    A: Audience,
{
    while poll_fn(|cx| connections.borrow_mut().poll_packet(connection, cx)).await {
        yield_now().await;
    }
    let mut carrier = connections.borrow_mut().take(connection);
    let patience = clock.sleep_until(clock.now() + carrier.linger());
    select! {
        biased;
        () = poll_fn(|cx| carrier.poll_close(cx)) => {}
        () = patience => {}
    }
}

/// An endpoint, its connections, and who is told.
pub(super) struct Connections<E, C, K, A> {
    endpoint: Rc<RefCell<E>>,
    clock: K,
    audience: A,
    lines: BTreeMap<Connection, Line<C>>,
    next: Connection,
    /// How many dials have failed, where the endpoint wants another one.
    wanted: Option<u32>,
    /// When the loop will look at the time again.
    wakes: Time,
    /// Wakes the loop before that.
    changed: Rc<Notify>,
}

impl<E: Endpoint, C: Carrier, K: Clock, A: Audience> Connections<E, C, K, A> {
    pub(super) fn new(endpoint: Rc<RefCell<E>>, clock: K, audience: A) -> Self {
        Self {
            endpoint,
            clock,
            audience,
            lines: BTreeMap::new(),
            next: Connection(0),
            wanted: None,
            wakes: Time::NEVER,
            changed: Rc::default(),
        }
    }

    /// Hands the endpoint one thing that happened, and does all that follows: a transaction, and
    /// nothing else happens meanwhile.
    pub(super) fn tell(&mut self, input: Input<E::Request>) {
        self.endpoint.borrow_mut().handle(self.clock.now(), input);
        loop {
            let output = self.endpoint.borrow_mut().poll_output();
            let Some(output) = output else { break };
            self.carry_out(output);
        }
        let (backlog, due) = (self.endpoint.borrow().backlog(), self.next_timeout());
        self.audience.settled(backlog, due);
        if due < self.wakes || self.wanted.is_some() {
            self.changed.notify_one();
        }
    }

    fn carry_out(&mut self, output: Output) {
        match output {
            Output::Send { connection, packet, transmission } => {
                if let Some(line) = self.lines.get_mut(&connection) {
                    line.send(&packet, transmission);
                }
            }
            Output::Connect { attempt } => self.wanted = Some(attempt),
            Output::Close { connection, why } => {
                if let Some(line) = self.lines.get_mut(&connection) {
                    line.close(why);
                }
            }
            output => self.audience.told(output),
        }
    }

    // ---- for the loop ----

    pub(super) fn next_timeout(&self) -> Time {
        self.endpoint.borrow().next_timeout()
    }

    /// The attempt at a connection that the endpoint asked for last, once.
    pub(super) const fn wanted(&mut self) -> Option<u32> {
        self.wanted.take()
    }

    /// The loop will rest until this time, or until it is notified.
    pub(super) fn rests(&mut self) -> (Time, Rc<Notify>) {
        self.wakes = self.next_timeout();
        (self.wakes, Rc::clone(&self.changed))
    }

    /// The transport opened a connection.
    pub(super) fn open(&mut self, carrier: C) -> Connection {
        let connection = self.number();
        let line = Line { carrier, state: State::Open, task: Waker::noop().clone() };
        self.lines.insert(connection, line);
        self.tell(Input::Opened(connection));
        connection
    }

    /// The transport could not open one.
    pub(super) fn failed_to_open(&mut self) {
        let connection = self.number();
        self.tell(Input::Closed(connection));
    }

    /// Closes what is open to make room for another connection.
    pub(super) fn close_all(&mut self) {
        for line in self.lines.values_mut() {
            line.close(Close::Asked);
        }
    }

    fn number(&mut self) -> Connection {
        let following = Connection(self.next.0 + 1);
        mem::replace(&mut self.next, following)
    }

    // ---- for a connection's task ----

    /// Hands the next packet of a connection to the endpoint; false once it is over.
    fn poll_packet(&mut self, connection: Connection, cx: &mut Context<'_>) -> Poll<bool> {
        let line = self.line(connection);
        line.task.clone_from(cx.waker());
        match ready!(line.poll_receive(cx)) {
            Some(Ok((packet, transmission))) => {
                self.tell(Input::Packet { connection, packet, transmission });
                Poll::Ready(true)
            }
            Some(Err(gone)) => {
                line.state = State::Closed;
                if let Some(why) = gone.closes() {
                    line.carrier.closes(why);
                }
                self.tell(Input::Closed(connection));
                Poll::Ready(false)
            }
            None => Poll::Ready(false),
        }
    }

    /// Takes a connection that is over.
    fn take(&mut self, connection: Connection) -> C {
        self.lines.remove(&connection).expect("its task alone takes it").carrier
    }

    fn line(&mut self, connection: Connection) -> &mut Line<C> {
        self.lines.get_mut(&connection).expect("it is there until its task takes it")
    }
}

/// One connection.
struct Line<C> {
    carrier: C,
    state: State,
    /// Wakes its task.
    task: Waker,
}

enum State {
    Open,
    /// Something could not be sent, which the endpoint does not know yet.
    Failed(Gone),
    /// The endpoint knows that it is over; its task is yet to see to that.
    Closed,
}

impl<C: Carrier> Line<C> {
    /// The next packet, or why none will come; `None` if the endpoint wants none.
    fn poll_receive(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<(Packet, Transmission), Gone>>> {
        match &self.state {
            State::Closed => return Poll::Ready(None),
            State::Failed(gone) => return Poll::Ready(Some(Err(gone.clone()))),
            State::Open => {}
        }
        let flushed = self.carrier.poll_flush(cx);
        match (self.carrier.poll_receive(cx), flushed) {
            (Poll::Ready(received), _) => Poll::Ready(Some(received)),
            // What the peer had sent before it went was read first.
            (Poll::Pending, Poll::Ready(Err(gone))) => Poll::Ready(Some(Err(gone))),
            (Poll::Pending, _) => Poll::Pending,
        }
    }

    fn send(&mut self, packet: &Packet, transmission: Transmission) {
        if let State::Open = self.state
            && let Err(gone) = self.carrier.send(packet, transmission)
        {
            self.state = State::Failed(gone);
            self.task.wake_by_ref();
        }
    }

    fn close(&mut self, why: Close) {
        if !matches!(mem::replace(&mut self.state, State::Closed), State::Closed) {
            self.carrier.closes(why);
            self.task.wake_by_ref();
        }
    }
}
