//! Simulation context of tasks on simulated hosts: the simulation, and a clock.
//!
//! A system under test may need its socket to be `Send`, and no simulation is. So a socket holds
//! names alone, and looks up its thread's context when it is used, as turmoil's own sockets do.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, Waker};

use super::node_factories::RunProgress;
use crate::event::remote::SimHandle;
use qoslab_core::base::{ConnectionNumber, Node, Span, Time, Transmission};
use qoslab_core::mqtt::Packet;
use qoslab_core::shell::Clock;

thread_local! {
    static CURRENT: RefCell<Option<Rc<SimContext>>> = const { RefCell::new(None) };
}

/// State that the tasks of one trial share.
pub(super) struct SimContext {
    sim: Rc<RefCell<dyn SimHandle>>,
    pub(super) progress: Arc<RunProgress>,
    /// Sleeping tasks by wake-up time, then in order of their going to sleep.
    sleepers: RefCell<BTreeMap<(Time, u64), Waker>>,
    sleeper_count: Cell<u64>,
    /// How many tasks wait for turmoil alone.
    tasks_waiting_for_turmoil: Cell<usize>,
    /// From where each connection was opened.
    addresses: RefCell<BTreeMap<ConnectionNumber, SocketAddr>>,
    /// Names of packets that are about to be written, or were just read.
    packet_tags: RefCell<BTreeMap<ConnectionEnd, PacketTags>>,
}

/// One end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ConnectionEnd {
    pub(super) connection: ConnectionNumber,
    pub(super) node: Node,
}

/// Data of a packet where it was sent.
#[derive(Clone, Debug)]
pub(super) struct PacketTag {
    pub(super) packet: Packet,
    pub(super) transmission: Transmission,
}

#[derive(Default)]
struct PacketTags {
    outgoing: VecDeque<PacketTag>,
    arrived: Option<PacketTag>,
}

/// Removes the thread's context when dropped.
pub(super) struct ContextGuard(());

impl Drop for ContextGuard {
    fn drop(&mut self) {
        CURRENT.with_borrow_mut(|sim_context| *sim_context = None);
    }
}

impl SimContext {
    /// Installs the context for the trial that runs on this thread from now on.
    pub(super) fn enter(
        sim: Rc<RefCell<dyn SimHandle>>,
        progress: Arc<RunProgress>,
    ) -> (Rc<Self>, ContextGuard) {
        let sim_context = Rc::new(Self {
            sim,
            progress,
            sleepers: RefCell::default(),
            sleeper_count: Cell::new(0),
            tasks_waiting_for_turmoil: Cell::new(0),
            addresses: RefCell::default(),
            packet_tags: RefCell::default(),
        });
        CURRENT.set(Some(Rc::clone(&sim_context)));
        (sim_context, ContextGuard(()))
    }

    /// The context of this thread; `None` once it was removed.
    pub(super) fn current() -> Option<Rc<Self>> {
        CURRENT.with_borrow(Option::clone)
    }

    /// Does something with the simulation.
    pub(super) fn with<T>(&self, act: impl FnOnce(&mut dyn SimHandle) -> T) -> T {
        act(&mut *self.sim.borrow_mut())
    }

    // ---- time ----

    /// Wakes those whose time has come.
    pub(super) fn wake_sleepers(&self, now: Time) {
        let mut sleepers = self.sleepers.borrow_mut();
        while let Some(entry) = sleepers.first_entry().filter(|entry| entry.key().0 <= now) {
            entry.remove().wake();
        }
    }

    /// Wakes a task once turmoil has gone on by a tick.
    pub(super) fn wake_next_tick(&self, waker: &Waker) {
        let soon = self.with(|sim| sim.now()) + Span::from_nanos(1);
        let key = self.new_sleeper_key(soon);
        self.sleepers.borrow_mut().insert(key, waker.clone());
    }

    fn new_sleeper_key(&self, until: Time) -> (Time, u64) {
        self.sleeper_count.set(self.sleeper_count.get() + 1);
        (until, self.sleeper_count.get())
    }

    /// Returns when the next one wakes.
    pub(super) fn next_wake(&self) -> Time {
        self.sleepers.borrow().first_key_value().map_or(Time::NEVER, |((at, _), _)| *at)
    }

    // ---- turmoil ----

    /// Whether a task waits for turmoil, which must go on then.
    pub(super) fn is_waiting_for_turmoil(&self) -> bool {
        self.tasks_waiting_for_turmoil.get() > 0
    }

    pub(super) fn set_address(&self, connection: ConnectionNumber, address: SocketAddr) {
        self.addresses.borrow_mut().insert(connection, address);
    }

    pub(super) fn address(&self, connection: ConnectionNumber) -> Option<SocketAddr> {
        self.addresses.borrow().get(&connection).copied()
    }

    // ---- labels ----

    /// A packet is about to be written.
    pub(super) fn push_outgoing(&self, end: ConnectionEnd, tag: PacketTag) {
        self.packet_tags.borrow_mut().entry(end).or_default().outgoing.push_back(tag);
    }

    /// Returns the name of the packet that is being written.
    pub(super) fn pop_outgoing(&self, end: ConnectionEnd) -> Option<PacketTag> {
        self.packet_tags.borrow_mut().get_mut(&end)?.outgoing.pop_front()
    }

    /// A packet was read.
    pub(super) fn set_arrived(&self, end: ConnectionEnd, tag: PacketTag) {
        self.packet_tags.borrow_mut().entry(end).or_default().arrived = Some(tag);
    }

    /// Returns the name of the packet that was read last.
    pub(super) fn take_arrived(&self, end: ConnectionEnd) -> Option<PacketTag> {
        self.packet_tags.borrow_mut().get_mut(&end)?.arrived.take()
    }

    /// An end of a connection is no more.
    pub(super) fn remove_end(&self, end: ConnectionEnd) {
        self.packet_tags.borrow_mut().remove(&end);
        if let Node::Client(_) = end.node {
            self.addresses.borrow_mut().remove(&end.connection);
        }
    }
}

/// Waits for an operation of turmoil's.
pub(super) async fn wait_for_turmoil<T>(future: impl Future<Output = T>) -> T {
    struct WaitGuard;
    impl Drop for WaitGuard {
        fn drop(&mut self) {
            count(|waiting| waiting - 1);
        }
    }
    fn count(change: impl FnOnce(usize) -> usize) {
        if let Some(sim_context) = SimContext::current() {
            sim_context
                .tasks_waiting_for_turmoil
                .set(change(sim_context.tasks_waiting_for_turmoil.get()));
        }
    }
    count(|waiting| waiting + 1);
    let _waits = WaitGuard;
    future.await
}

/// The simulation's time, for code whose timers are known to it.
#[derive(Clone, Copy, Debug)]
pub(super) struct SimClock;

impl Clock for SimClock {
    fn now(&self) -> Time {
        SimContext::current().map_or(Time::NEVER, |sim_context| sim_context.with(|sim| sim.now()))
    }

    fn sleep_until(&self, at: Time) -> impl Future<Output = ()> + 'static {
        let mut sleeping = SleeperGuard(None);
        poll_fn(move |context| {
            let Some(sim_context) = SimContext::current() else { return Poll::Pending };
            if at <= sim_context.with(|sim| sim.now()) {
                return Poll::Ready(());
            }
            if at < Time::NEVER {
                let key = *sleeping.0.get_or_insert_with(|| sim_context.new_sleeper_key(at));
                sim_context.sleepers.borrow_mut().insert(key, context.waker().clone());
            }
            Poll::Pending
        })
    }
}

/// A sleeper's place among the sleepers, which it leaves when it is no longer wanted.
struct SleeperGuard(Option<(Time, u64)>);

impl Drop for SleeperGuard {
    fn drop(&mut self) {
        if let (Some(key), Some(sim_context)) = (self.0, SimContext::current()) {
            sim_context.sleepers.borrow_mut().remove(&key);
        }
    }
}
