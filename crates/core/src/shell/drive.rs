//! The two loops: a client's and a broker's.
//!
//! Each has a task of its own for each of its connections; see [`run_connection`]. What tokio does
//! for fairness, streams and channels that now and then say there is nothing, is turned off: what
//! is there is taken, and a packet for which there is room is written. Instead each task lets the
//! others have their turns after every packet, request and connection.

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::{self, Future};
use std::pin::Pin;
use std::rc::Rc;
use std::{io, panic};

use tokio::select;
use tokio::task::{JoinError, JoinSet, unconstrained, yield_now};

use super::application::{OutputHandler, RequestSource};
use super::clock::Clock;
use super::connection_sources::{Accept, Dial};
use super::connections::{Connections, run_connection};
use super::packet_transport::PacketTransport;
use crate::mqtt::{ClientRequest, Endpoint, Input};

/// Drives a client, for ever. Needs a [`LocalSet`](tokio::task::LocalSet) around it; its
/// connections are gone once it is dropped, and then another call may drive the same endpoint,
/// after its [`Endpoint::restart`].
///
/// Where more than one thing is there at once, the order is: a dial that ended, a request, the
/// endpoint's timeout.
///
/// # Panics
/// If the endpoint, the output handler or a transport does, and if the endpoint is borrowed
/// elsewhere while it is driven.
pub async fn drive_client<E, R, D, K, A>(
    endpoint: Rc<RefCell<E>>,
    mut requests: R,
    mut dial: D,
    clock: K,
    output_handler: A,
) -> Infallible
where
    E: Endpoint<Request = ClientRequest> + 'static,
    R: RequestSource,
    D: Dial,
    K: Clock,
    A: OutputHandler,
{
    let mut shell = Shell::new(endpoint, clock, output_handler);
    let mut dialling: Option<PendingDial<D::Transport>> = None;
    unconstrained(async {
        loop {
            select! {
                biased;
                dialled = dial_result(&mut dialling) => {
                    dialling = None;
                    shell.on_dial_result(dialled);
                }
                request = requests.next_request() => {
                    if let ClientRequest::Disconnect = request {
                        dialling = None;
                    }
                    shell.handle_input(Input::Application(request));
                }
                () = shell.wait_for_event() => {}
            }
            shell.handle_timeout();
            if let Some(attempt) = shell.connections.borrow_mut().take_connect_attempt() {
                dialling = Some(Box::pin(dial.dial(attempt)));
            }
            yield_turn().await;
        }
    })
    .await
}

/// Drives a broker until accepting fails; see [`drive_client`], also for its panics.
///
/// Where more than one thing is there at once, the order is: a connection, the endpoint's
/// timeout.
pub async fn drive_broker<E, L, K, A>(
    endpoint: Rc<RefCell<E>>,
    mut accept: L,
    clock: K,
    output_handler: A,
) -> io::Error
where
    E: Endpoint<Request = Infallible> + 'static,
    L: Accept,
    K: Clock,
    A: OutputHandler,
{
    let mut shell = Shell::new(endpoint, clock, output_handler);
    unconstrained(async {
        loop {
            select! {
                biased;
                accepted = accept.accept() => match accepted {
                    Ok(transport) => shell.open(transport),
                    Err(error) => return error,
                },
                () = shell.wait_for_event() => {}
            }
            shell.handle_timeout();
            yield_turn().await;
        }
    })
    .await
}

/// Lets all others go on as far as they can. tokio first wakes what yielded last: the second
/// time puts those who do so together in their order again.
async fn yield_turn() {
    yield_now().await;
    yield_now().await;
}

/// A dial under way.
type PendingDial<C> = Pin<Box<dyn Future<Output = io::Result<C>>>>;

/// How the dial under way ends, if there is one.
async fn dial_result<C>(dialling: &mut Option<PendingDial<C>>) -> io::Result<C> {
    match dialling {
        Some(dialling) => dialling.await,
        None => future::pending().await,
    }
}

/// An endpoint's connections, with the tasks that attend to them. The tasks end when it is
/// dropped.
struct Shell<E, C, K, A> {
    connections: Rc<RefCell<Connections<E, C, K, A>>>,
    clock: K,
    tasks: JoinSet<()>,
}

impl<E, C, K, A> Shell<E, C, K, A>
where
    E: Endpoint + 'static,
    C: PacketTransport,
    K: Clock,
    A: OutputHandler,
{
    fn new(endpoint: Rc<RefCell<E>>, clock: K, output_handler: A) -> Self {
        let connections = Connections::new(endpoint, clock.clone(), output_handler);
        Self { connections: Rc::new(RefCell::new(connections)), clock, tasks: JoinSet::new() }
    }

    fn handle_input(&self, input: Input<E::Request>) {
        self.connections.borrow_mut().handle_input(input);
    }

    /// Notifies the endpoint of its timeout, if that has come.
    fn handle_timeout(&self) {
        let mut connections = self.connections.borrow_mut();
        if connections.next_timeout() <= self.clock.now() {
            connections.handle_input(Input::Timeout);
        }
    }

    /// A client's dial ended. It has one connection at a time.
    fn on_dial_result(&mut self, dialled: io::Result<C>) {
        match dialled {
            Ok(transport) => {
                self.connections.borrow_mut().close_all();
                self.open(transport);
            }
            Err(_) => self.connections.borrow_mut().failed_to_open(),
        }
    }

    fn open(&mut self, transport: C) {
        let connection = self.connections.borrow_mut().open(transport);
        let task = run_connection(Rc::clone(&self.connections), self.clock.clone(), connection);
        self.tasks.spawn_local(unconstrained(task));
    }

    /// Waits until the timeout may have come, or something changed that the loop must see to.
    async fn wait_for_event(&mut self) {
        let (at, changed) = self.connections.borrow_mut().prepare_wait();
        select! {
            biased;
            () = changed.notified() => {}
            Some(ended) = self.tasks.join_next() => propagate_panic(ended),
            () = self.clock.sleep_until(at) => {}
        }
    }
}

/// Passes on a panic of a connection's task, so that it ends the shell.
fn propagate_panic(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && let Ok(panicked) = error.try_into_panic()
    {
        panic::resume_unwind(panicked);
    }
}
