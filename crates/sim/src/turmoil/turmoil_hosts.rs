//! The simulated hosts of one trial, and the contents of their storage.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use tokio::task::JoinSet;
use turmoil::{Builder, Sim};

use super::handles::{BrokerHandle, ClientHandle};
use super::node_factories::{ClientFactory, NodeFactories, run_guarded};
use super::own_nodes::{Acceptor, run_broker, run_client};
use super::{BROKER_HOST, TICK};
use crate::event::remote::HostCommand;
use crate::trial::{FaultAction, Setup, Trial};
use qoslab_core::base::{ClientIndex, Node, Time};
use qoslab_core::mqtt::{Backlog, Broker, Client, Endpoint, StorePolicy};

/// Capacity of turmoil's queues in packets: it does nothing to them here.
const CAPACITY: usize = 1 << 20;

/// turmoil's simulation, with a host for the broker, one for each client that a fault crashes, and
/// one for all those between two of them. Hosts have their turns in the order in which they were
/// added, here that of clients. Their cost is cubic.
pub(super) struct TurmoilHosts {
    sim: Sim<'static>,
    broker: StoredEndpoint<Broker>,
    clients: Vec<StoredEndpoint<Client>>,
}

/// An endpoint in its storage.
struct StoredEndpoint<E> {
    endpoint: Rc<RefCell<E>>,
    /// The contents of storage, unless always equal to the endpoint.
    stored: Option<E>,
}

impl TurmoilHosts {
    pub(super) fn new(trial: &Trial, factories: &NodeFactories) -> Self {
        let setup = &trial.setup;
        let broker = StoredEndpoint::new(Broker::new(setup.broker.clone()), setup.broker_store);
        let clients = setup.clients.iter().map(|client| {
            StoredEndpoint::new(Client::new(client.settings.clone().into()), client.store)
        });
        let mut hosts = Self { sim: build_sim(trial.seed), broker, clients: clients.collect() };
        hosts.add_broker(trial, factories);
        let all: Vec<_> = (0..).map(ClientIndex).take(setup.clients.len()).collect();
        for clients in all.chunk_by(|one, two| !may_crash(setup, *one) && !may_crash(setup, *two)) {
            hosts.add_clients(trial, factories, clients);
        }
        hosts
    }

    fn add_broker(&mut self, trial: &Trial, factories: &NodeFactories) {
        let endpoint = Rc::clone(&self.broker.endpoint);
        let (sut, starts) = (factories.broker_factory(), StartCounter::default());
        let (setup, seed) = (Arc::clone(&trial.setup), trial.seed);
        self.sim.host(BROKER_HOST, move || {
            let (endpoint, product) = (Rc::clone(&endpoint), sut.clone());
            let (setup, starts) = (Arc::clone(&setup), starts.count_start());
            async move {
                if let Some(start) = product {
                    let handle = BrokerHandle::new(&setup, seed, starts, Acceptor::open().await?);
                    run_guarded(Node::Broker, || start(handle)).await;
                }
                match run_broker(endpoint).await? {}
            }
        });
    }

    fn add_clients(&mut self, trial: &Trial, factories: &NodeFactories, clients: &[ClientIndex]) {
        let (setup, seed) = (Arc::clone(&trial.setup), trial.seed);
        let host = client_host_name(clients[0]);
        let programs: Vec<_> =
            clients.iter().map(|it| self.client_program(&setup, factories, *it)).collect();
        let starts = StartCounter::default();
        self.sim.host(host, move || {
            let (parts, setup, starts) =
                (programs.clone(), Arc::clone(&setup), starts.count_start());
            async move {
                let mut tasks = JoinSet::new();
                for (client, part) in parts {
                    let setup = Arc::clone(&setup);
                    tasks.spawn_local(async move {
                        match part {
                            ClientProgram::Sut(start) => {
                                let handle = ClientHandle::new(client, &setup, seed, starts);
                                run_guarded(Node::Client(client), || start(handle)).await;
                            }
                            ClientProgram::OwnEndpoint(endpoint) => {
                                match run_client(endpoint, client, &setup).await {}
                            }
                        }
                    });
                }
                // One that panicked is a bug in qoslab; none ends.
                while let Some(ended) = tasks.join_next().await {
                    ended?;
                }
                std::future::pending().await
            }
        });
    }

    fn client_program(
        &self,
        setup: &Setup,
        factories: &NodeFactories,
        client: ClientIndex,
    ) -> (ClientIndex, ClientProgram) {
        let own = || ClientProgram::OwnEndpoint(Rc::clone(&self.clients[client.index()].endpoint));
        (client, factories.client_factory(setup, client).map_or_else(own, ClientProgram::Sut))
    }

    /// Lets every host have a turn.
    ///
    /// # Panics
    /// If one of our own endpoints or the shell around it does, which is a bug in qoslab.
    pub(super) fn step(&mut self) {
        if let Err(error) = self.sim.step() {
            panic!("a simulated host failed: {error}");
        }
    }

    /// Executes a command for a node; returns the node's remaining work, if any.
    pub(super) fn execute(&mut self, command: HostCommand, now: Time) -> Option<(Node, Backlog)> {
        match command {
            HostCommand::Crash(node) => {
                self.sim.crash(host_name(node));
                match node {
                    Node::Broker => self.broker.crash(),
                    Node::Client(client) => self.clients[client.index()].crash(),
                }
                None
            }
            HostCommand::Restart(node) => {
                let backlog = match node {
                    Node::Broker => self.broker.restart(now),
                    Node::Client(client) => self.clients[client.index()].restart(now),
                };
                self.sim.bounce(host_name(node));
                Some((node, backlog))
            }
            HostCommand::Save(node) => {
                match node {
                    Node::Broker => self.broker.save(),
                    Node::Client(client) => self.clients[client.index()].save(),
                }
                None
            }
        }
    }
}

/// Builds a turmoil that does nothing of its own accord: loss and delay are decided elsewhere.
fn build_sim(seed: u64) -> Sim<'static> {
    Builder::new()
        .rng_seed(seed)
        .epoch(UNIX_EPOCH)
        .tick_duration(Duration::from_nanos(TICK.as_nanos()))
        .simulation_duration(Duration::from_secs(u64::from(u32::MAX)))
        .min_message_latency(Duration::ZERO)
        .max_message_latency(Duration::ZERO)
        .fail_rate(0.0)
        .repair_rate(0.0)
        .tcp_capacity(CAPACITY)
        .udp_capacity(CAPACITY)
        .build()
}

/// The code that runs as a client.
#[derive(Clone)]
enum ClientProgram {
    OwnEndpoint(Rc<RefCell<Client>>),
    Sut(Arc<ClientFactory>),
}

/// Counts the starts of a host.
#[derive(Default)]
struct StartCounter(Cell<u32>);

impl StartCounter {
    /// How many there were before this one.
    fn count_start(&self) -> u32 {
        self.0.replace(self.0.get() + 1)
    }
}

/// Whether a fault may crash a client.
fn may_crash(setup: &Setup, client: ClientIndex) -> bool {
    setup.faults.iter().any(|fault| match fault.action {
        FaultAction::Crash { node, .. } => node == Node::Client(client),
        _ => false,
    })
}

/// Returns the name of the host of clients of which this is the first.
fn client_host_name(client: ClientIndex) -> String {
    format!("client-{}", client.0)
}

fn host_name(node: Node) -> String {
    match node {
        Node::Broker => BROKER_HOST.to_owned(),
        Node::Client(client) => client_host_name(client),
    }
}

impl<E: Endpoint + Clone> StoredEndpoint<E> {
    fn new(endpoint: E, store: StorePolicy) -> Self {
        let stored = match store {
            StorePolicy::Durable => None,
            StorePolicy::Snapshot(_) | StorePolicy::Volatile => Some(endpoint.clone()),
        };
        Self { endpoint: Rc::new(RefCell::new(endpoint)), stored }
    }

    fn save(&mut self) {
        self.stored = Some(self.endpoint.borrow().clone());
    }

    fn crash(&mut self) {
        if let Some(kept) = &self.stored {
            *self.endpoint.borrow_mut() = kept.clone();
        }
    }

    fn restart(&mut self, now: Time) -> Backlog {
        let mut endpoint = self.endpoint.borrow_mut();
        endpoint.restart(now);
        endpoint.backlog()
    }
}
