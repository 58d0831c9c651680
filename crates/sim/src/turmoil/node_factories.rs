//! Assigns the parts of a trial: to our own endpoints, or to systems under test.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::future::{Future, pending, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::task::Poll;

use super::handles::{BrokerHandle, ClientHandle};
use super::sim_context::SimContext;
use crate::sut_error::{SutErrorKind, panic_message};
use crate::trial::Setup;
use qoslab_core::base::{ClientIndex, Node, Time, matches_pattern};

/// Result of the code of a system under test, if it ends.
pub type SutResult = Result<(), Box<dyn Error>>;

/// The code of a system under test on its host.
pub(super) type SutFuture = Pin<Box<dyn Future<Output = SutResult>>>;
pub(super) type ClientFactory = dyn Fn(ClientHandle) -> SutFuture + Send + Sync;
pub(super) type BrokerFactory = dyn Fn(BrokerHandle) -> SutFuture + Send + Sync;

/// Assignment of parts. By default all parts are played by our own endpoints.
#[derive(Clone, Default)]
pub struct NodeFactories {
    /// By pattern of names; the last that matches counts.
    clients: Vec<(String, Arc<ClientFactory>)>,
    broker: Option<Arc<BrokerFactory>>,
    progress: Option<Arc<RunProgress>>,
}

/// Progress of a run, to be watched from another thread.
#[derive(Debug, Default)]
pub struct RunProgress {
    /// The virtual time in nanoseconds.
    now: AtomicU64,
    /// The node whose code runs: 0 for the broker, and a client's index plus one.
    running_node: AtomicU32,
}

impl RunProgress {
    /// The virtual time.
    #[must_use]
    pub fn now(&self) -> Time {
        Time::from_nanos(self.now.load(Ordering::Relaxed))
    }

    /// The system under test whose code had its last turn.
    #[must_use]
    pub fn node(&self) -> Node {
        match self.running_node.load(Ordering::Relaxed).checked_sub(1) {
            None => Node::Broker,
            Some(client) => Node::Client(ClientIndex(client)),
        }
    }

    pub(super) fn set_now(&self, now: Time) {
        self.now.store(now.as_nanos(), Ordering::Relaxed);
    }

    fn set_node(&self, node: Node) {
        let number = match node {
            Node::Broker => 0,
            Node::Client(client) => client.0 + 1,
        };
        self.running_node.store(number, Ordering::Relaxed);
    }
}

impl NodeFactories {
    /// Puts a system under test in place of the clients with a matching name: exact, or with `*`
    /// for any letters.
    pub fn set_client_factory<F, R>(&mut self, names: &str, start: F)
    where
        F: Fn(ClientHandle) -> R + Send + Sync + 'static,
        R: Future<Output = SutResult> + 'static,
    {
        let start = Arc::new(move |handle| Box::pin(start(handle)) as SutFuture);
        self.clients.push((names.to_owned(), start));
    }

    /// Puts a system under test in the broker's place.
    pub fn set_broker_factory<F, R>(&mut self, start: F)
    where
        F: Fn(BrokerHandle) -> R + Send + Sync + 'static,
        R: Future<Output = SutResult> + 'static,
    {
        self.broker = Some(Arc::new(move |handle| Box::pin(start(handle)) as SutFuture));
    }

    /// Lets a run report its progress.
    #[must_use]
    pub fn with_progress(self, progress: &Arc<RunProgress>) -> Self {
        Self { progress: Some(Arc::clone(progress)), ..self }
    }

    pub(super) fn progress(&self) -> Arc<RunProgress> {
        self.progress.clone().unwrap_or_default()
    }

    /// The parts of a trial that systems under test play.
    #[must_use]
    pub fn sut_nodes(&self, setup: &Setup) -> BTreeSet<Node> {
        let clients = (0..).map(ClientIndex).take(setup.clients.len());
        let clients =
            clients.filter(|it| self.client_factory(setup, *it).is_some()).map(Node::Client);
        clients.chain(self.broker.is_some().then_some(Node::Broker)).collect()
    }

    pub(super) fn client_factory(
        &self,
        setup: &Setup,
        client: ClientIndex,
    ) -> Option<Arc<ClientFactory>> {
        let name = &*setup.clients[client.index()].name;
        let found = self.clients.iter().rev().find(|(pattern, _)| matches_pattern(pattern, name));
        found.map(|(_, start)| Arc::clone(start))
    }

    pub(super) fn broker_factory(&self) -> Option<Arc<BrokerFactory>> {
        self.broker.clone()
    }
}

impl fmt::Debug for NodeFactories {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let clients: Vec<_> = self.clients.iter().map(|(names, _)| names).collect();
        f.debug_struct("Cast")
            .field("clients", &clients)
            .field("broker", &self.broker.is_some())
            .finish_non_exhaustive()
    }
}

/// Runs the code of a system under test. A panic or an early end is reported and does no harm; a
/// host whose code has ended is up and silent.
pub(super) async fn run_guarded(node: Node, start: impl FnOnce() -> SutFuture) -> Infallible {
    let kind = match catch_unwind(AssertUnwindSafe(start)) {
        Ok(running) => run_to_exit(node, running).await,
        Err(panic) => SutErrorKind::Panicked(panic_message(panic.as_ref())),
    };
    if let Some(sim_context) = SimContext::current() {
        sim_context.with(|sim| sim.report_sut_error(node, kind));
    }
    pending().await
}

/// Runs the code of a system under test, and returns how it ends.
async fn run_to_exit(node: Node, mut running: SutFuture) -> SutErrorKind {
    let polled = poll_fn(|context| {
        if let Some(sim_context) = SimContext::current() {
            sim_context.progress.set_node(node);
        }
        match catch_unwind(AssertUnwindSafe(|| running.as_mut().poll(context))) {
            Ok(polled) => polled.map(Ok),
            Err(panic) => Poll::Ready(Err(panic)),
        }
    });
    match polled.await {
        Ok(Ok(())) => SutErrorKind::Exited(None),
        Ok(Err(error)) => SutErrorKind::Exited(Some(error.to_string())),
        Err(panic) => SutErrorKind::Panicked(panic_message(panic.as_ref())),
    }
}
