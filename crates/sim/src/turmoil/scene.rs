//! What tasks on simulated hosts find around them: the simulation, and a clock.
//!
//! A product may want its socket to be `Send`, and no simulation is. So a socket holds names
//! alone, and looks the scene of its thread up when it is used, as turmoil's own sockets do.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, Waker};

use super::cast::Pulse;
use crate::event::stage::Stage;
use qoslab_core::base::name::{Connection, Node, Transmission};
use qoslab_core::base::time::{Span, Time};
use qoslab_core::mqtt::packet::Packet;
use qoslab_core::shell::Clock;

thread_local! {
    static SCENE: RefCell<Option<Rc<Scene>>> = const { RefCell::new(None) };
}

/// What the tasks of one trial share.
pub(super) struct Scene {
    stage: Rc<RefCell<dyn Stage>>,
    pub(super) pulse: Arc<Pulse>,
    /// Who sleeps until when, in order of their going to sleep.
    sleepers: RefCell<BTreeMap<(Time, u64), Waker>>,
    slept: Cell<u64>,
    /// How many tasks wait for turmoil alone.
    waits_for_turmoil: Cell<usize>,
    /// From where each connection was opened.
    addresses: RefCell<BTreeMap<Connection, SocketAddr>>,
    /// What packets are called that are about to be written, or were just read.
    labels: RefCell<BTreeMap<Place, Labels>>,
}

/// One end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) connection: Connection,
    pub(super) node: Node,
}

/// What a packet was where it was sent.
#[derive(Clone, Debug)]
pub(super) struct Label {
    pub(super) packet: Packet,
    pub(super) transmission: Transmission,
}

#[derive(Default)]
struct Labels {
    leaving: VecDeque<Label>,
    arrived: Option<Label>,
}

/// Takes the scene down.
pub(super) struct Curtain(());

impl Drop for Curtain {
    fn drop(&mut self) {
        SCENE.with_borrow_mut(|scene| *scene = None);
    }
}

impl Scene {
    /// Sets the scene for the trial that runs on this thread from now on.
    pub(super) fn set(stage: Rc<RefCell<dyn Stage>>, pulse: Arc<Pulse>) -> (Rc<Self>, Curtain) {
        let scene = Rc::new(Self {
            stage,
            pulse,
            sleepers: RefCell::default(),
            slept: Cell::new(0),
            waits_for_turmoil: Cell::new(0),
            addresses: RefCell::default(),
            labels: RefCell::default(),
        });
        SCENE.set(Some(Rc::clone(&scene)));
        (scene, Curtain(()))
    }

    /// The scene of this thread; `None` once it was taken down.
    pub(super) fn current() -> Option<Rc<Self>> {
        SCENE.with_borrow(Option::clone)
    }

    /// Does something with the simulation.
    pub(super) fn with<T>(&self, act: impl FnOnce(&mut dyn Stage) -> T) -> T {
        act(&mut *self.stage.borrow_mut())
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
        let soon = self.with(|stage| stage.now()) + Span::from_nanos(1);
        let key = self.sleeper(soon);
        self.sleepers.borrow_mut().insert(key, waker.clone());
    }

    fn sleeper(&self, until: Time) -> (Time, u64) {
        self.slept.set(self.slept.get() + 1);
        (until, self.slept.get())
    }

    /// When the next one wakes.
    pub(super) fn next_wake(&self) -> Time {
        self.sleepers.borrow().first_key_value().map_or(Time::NEVER, |((at, _), _)| *at)
    }

    // ---- turmoil ----

    /// Whether a task waits for turmoil, which must go on then.
    pub(super) fn waits_for_turmoil(&self) -> bool {
        self.waits_for_turmoil.get() > 0
    }

    pub(super) fn set_address(&self, connection: Connection, address: SocketAddr) {
        self.addresses.borrow_mut().insert(connection, address);
    }

    pub(super) fn address(&self, connection: Connection) -> Option<SocketAddr> {
        self.addresses.borrow().get(&connection).copied()
    }

    // ---- labels ----

    /// A packet is about to be written.
    pub(super) fn leaves(&self, place: Place, label: Label) {
        self.labels.borrow_mut().entry(place).or_default().leaving.push_back(label);
    }

    /// What the packet is that is being written.
    pub(super) fn leaving(&self, place: Place) -> Option<Label> {
        self.labels.borrow_mut().get_mut(&place)?.leaving.pop_front()
    }

    /// A packet was read.
    pub(super) fn arrives(&self, place: Place, label: Label) {
        self.labels.borrow_mut().entry(place).or_default().arrived = Some(label);
    }

    /// What the packet is that was read last.
    pub(super) fn arrived(&self, place: Place) -> Option<Label> {
        self.labels.borrow_mut().get_mut(&place)?.arrived.take()
    }

    /// An end of a connection is no more.
    pub(super) fn forget(&self, place: Place) {
        self.labels.borrow_mut().remove(&place);
        if let Node::Client(_) = place.node {
            self.addresses.borrow_mut().remove(&place.connection);
        }
    }
}

/// Waits for something of turmoil's.
pub(super) async fn wait_for_turmoil<T>(what: impl Future<Output = T>) -> T {
    struct Waits;
    impl Drop for Waits {
        fn drop(&mut self) {
            count(|waiting| waiting - 1);
        }
    }
    fn count(change: impl FnOnce(usize) -> usize) {
        if let Some(scene) = Scene::current() {
            scene.waits_for_turmoil.set(change(scene.waits_for_turmoil.get()));
        }
    }
    count(|waiting| waiting + 1);
    let _waits = Waits;
    what.await
}

/// The time of the simulation, for those whose timers are known to it.
#[derive(Clone, Copy, Debug)]
pub(super) struct SceneClock;

impl Clock for SceneClock {
    fn now(&self) -> Time {
        Scene::current().map_or(Time::NEVER, |scene| scene.with(|stage| stage.now()))
    }

    fn sleep_until(&self, at: Time) -> impl Future<Output = ()> + 'static {
        let mut sleeping = Sleeping(None);
        poll_fn(move |context| {
            let Some(scene) = Scene::current() else { return Poll::Pending };
            if at <= scene.with(|stage| stage.now()) {
                return Poll::Ready(());
            }
            if at < Time::NEVER {
                let key = *sleeping.0.get_or_insert_with(|| scene.sleeper(at));
                scene.sleepers.borrow_mut().insert(key, context.waker().clone());
            }
            Poll::Pending
        })
    }
}

/// A sleeper's place among the sleepers, which it leaves when it is no longer wanted.
struct Sleeping(Option<(Time, u64)>);

impl Drop for Sleeping {
    fn drop(&mut self) {
        if let (Some(key), Some(scene)) = (self.0, Scene::current()) {
            scene.sleepers.borrow_mut().remove(&key);
        }
    }
}
