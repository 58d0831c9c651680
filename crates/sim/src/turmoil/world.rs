//! The simulated hosts of one trial, and what their storage holds.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use tokio::task::JoinSet;
use turmoil::{Builder, Sim};

use super::cast::{Cast, StartClient, guarded};
use super::hosts::{Ears, run_broker, run_client};
use super::seats::{BrokerSeat, ClientSeat};
use super::{BROKER_HOST, TICK};
use crate::event::stage::Errand;
use crate::trial::{Action, Setup, Trial};
use qoslab_core::base::name::{ClientIndex, Node};
use qoslab_core::base::time::Time;
use qoslab_core::mqtt::broker::Broker;
use qoslab_core::mqtt::client::Client;
use qoslab_core::mqtt::endpoint::{Backlog, Endpoint};
use qoslab_core::mqtt::settings::Store;

/// So many packets wait in turmoil's queues: it does nothing to them here.
const CAPACITY: usize = 1 << 20;

/// turmoil's simulation, with a host for the broker, one for each client that a fault crashes, and
/// one for all those between two of them. Hosts have their turns in the order in which they were
/// added, here that of clients. Their cost is cubic.
pub(super) struct World {
    sim: Sim<'static>,
    broker: Disk<Broker>,
    clients: Vec<Disk<Client>>,
}

/// An endpoint in its storage.
struct Disk<E> {
    endpoint: Rc<RefCell<E>>,
    /// What storage holds, unless it is always what the endpoint holds.
    kept: Option<E>,
}

impl World {
    pub(super) fn new(trial: &Trial, cast: &Cast) -> Self {
        let setup = &trial.setup;
        let broker = Disk::new(Broker::new(setup.broker.clone()), setup.broker_store);
        let clients = setup
            .clients
            .iter()
            .map(|client| Disk::new(Client::new(client.settings.clone().into()), client.store));
        let mut world = Self { sim: simulation(trial.seed), broker, clients: clients.collect() };
        world.add_broker(setup, cast);
        let all: Vec<_> = (0..).map(ClientIndex).take(setup.clients.len()).collect();
        for clients in all.chunk_by(|one, two| !crashes(setup, *one) && !crashes(setup, *two)) {
            world.add_clients(setup, cast, clients);
        }
        world
    }

    fn add_broker(&mut self, setup: &Arc<Setup>, cast: &Cast) {
        let endpoint = Rc::clone(&self.broker.endpoint);
        let (product, starts) = (cast.of_broker(), Starts::default());
        let setup = Arc::clone(setup);
        self.sim.host(BROKER_HOST, move || {
            let (endpoint, product) = (Rc::clone(&endpoint), product.clone());
            let (setup, starts) = (Arc::clone(&setup), starts.one_more());
            async move {
                if let Some(start) = product {
                    let seat = BrokerSeat::new(&setup, starts, Ears::open().await?);
                    guarded(Node::Broker, || start(seat)).await;
                }
                match run_broker(endpoint).await? {}
            }
        });
    }

    fn add_clients(&mut self, setup: &Arc<Setup>, cast: &Cast, clients: &[ClientIndex]) {
        let host = host_of(clients[0]);
        let parts: Vec<_> = clients.iter().map(|it| self.part(setup, cast, *it)).collect();
        let (setup, starts) = (Arc::clone(setup), Starts::default());
        self.sim.host(host, move || {
            let (parts, setup, starts) = (parts.clone(), Arc::clone(&setup), starts.one_more());
            async move {
                let mut tasks = JoinSet::new();
                for (client, part) in parts {
                    let setup = Arc::clone(&setup);
                    tasks.spawn_local(async move {
                        match part {
                            Part::Product(start) => {
                                let seat = ClientSeat::new(client, &setup, starts);
                                guarded(Node::Client(client), || start(seat)).await;
                            }
                            Part::Own(endpoint) => {
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

    fn part(&self, setup: &Setup, cast: &Cast, client: ClientIndex) -> (ClientIndex, Part) {
        let own = || Part::Own(Rc::clone(&self.clients[client.index()].endpoint));
        (client, cast.of_client(setup, client).map_or_else(own, Part::Product))
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

    /// Does what is to be done with a node, and tells what is left for it to do.
    pub(super) fn run(&mut self, errand: Errand, now: Time) -> Option<(Node, Backlog)> {
        match errand {
            Errand::Crash(node) => {
                self.sim.crash(host_name(node));
                match node {
                    Node::Broker => self.broker.crash(),
                    Node::Client(client) => self.clients[client.index()].crash(),
                }
                None
            }
            Errand::Restart(node) => {
                let backlog = match node {
                    Node::Broker => self.broker.restart(now),
                    Node::Client(client) => self.clients[client.index()].restart(now),
                };
                self.sim.bounce(host_name(node));
                Some((node, backlog))
            }
            Errand::Save(node) => {
                match node {
                    Node::Broker => self.broker.save(),
                    Node::Client(client) => self.clients[client.index()].save(),
                }
                None
            }
        }
    }
}

/// turmoil does nothing of its own accord: what is lost and how long it takes is decided elsewhere.
fn simulation(seed: u64) -> Sim<'static> {
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

/// What runs as a client.
#[derive(Clone)]
enum Part {
    Own(Rc<RefCell<Client>>),
    Product(Arc<StartClient>),
}

/// Counts the starts of a host.
#[derive(Default)]
struct Starts(Cell<u32>);

impl Starts {
    /// How many there were before this one.
    fn one_more(&self) -> u32 {
        self.0.replace(self.0.get() + 1)
    }
}

/// Whether a fault may crash a client.
fn crashes(setup: &Setup, client: ClientIndex) -> bool {
    setup.faults.iter().any(|fault| match fault.action {
        Action::Crash { node, .. } => node == Node::Client(client),
        _ => false,
    })
}

/// The host of clients of which this is the first.
fn host_of(client: ClientIndex) -> String {
    format!("client-{}", client.0)
}

fn host_name(node: Node) -> String {
    match node {
        Node::Broker => BROKER_HOST.to_owned(),
        Node::Client(client) => host_of(client),
    }
}

impl<E: Endpoint + Clone> Disk<E> {
    fn new(endpoint: E, store: Store) -> Self {
        let kept = match store {
            Store::Durable => None,
            Store::Snapshot(_) | Store::Volatile => Some(endpoint.clone()),
        };
        Self { endpoint: Rc::new(RefCell::new(endpoint)), kept }
    }

    fn save(&mut self) {
        self.kept = Some(self.endpoint.borrow().clone());
    }

    fn crash(&mut self) {
        if let Some(kept) = &self.kept {
            *self.endpoint.borrow_mut() = kept.clone();
        }
    }

    fn restart(&mut self, now: Time) -> Backlog {
        let mut endpoint = self.endpoint.borrow_mut();
        endpoint.restart(now);
        endpoint.backlog()
    }
}
