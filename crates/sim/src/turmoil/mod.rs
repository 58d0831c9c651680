//! The turmoil engine: async code on simulated hosts, under the same scenarios and checks.
//!
//! The event engine's simulation decides everything here too: when messages are published, what
//! befalls packets, connections, links and nodes, and when a trial is over, by the same names and
//! so with the same luck. But its nodes are async code. Each runs on a host of
//! [turmoil](https://docs.rs/turmoil)'s, with a runtime of its own whose time is paused, and speaks
//! over turmoil's sockets; crashes and restarts of hosts are turmoil's.
//!
//! ```text
//! loop, a tick of 1 ms after the other:
//!   the simulation takes up all that is due by now: packets and ends of connections come to doors,
//!      applications ask for something, faults come, hosts crash and start again
//!   every host has a turn: nodes take what is at their doors, and what they write is given its
//!      fate there and then
//! ```
//!
//! # What is different
//! A node acts at ticks. What reaches it between two ticks it takes at the later one, so each hop
//! takes up to a tick longer, and what happens within one tick happens at one instant. A client has
//! its connection up to two ticks later than in the event engine: turmoil opens its own. Ticks in
//! which nobody has anything to do are left out, unless products are under test, whose timers
//! nobody knows.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::atomic::Ordering;

use self::scene::Scene;
use self::world::World;
use crate::Engine;
use crate::event::stage::{Remotely, Stage, Terms, Watcher};
use crate::event::{Ended, Options};
use crate::mishap::Mishap;
use crate::schedule::Transcript;
use crate::trial::Trial;
use qoslab_core::base::ending::Ending;
use qoslab_core::base::event::Observer;
use qoslab_core::base::time::Time;

pub use self::cast::{Cast, Ended as ProductEnded, Pulse};
pub use self::seats::{BrokerSeat, ClientSeat, Wish};
pub use self::socket::Socket;
pub use crate::carries::{NotCarried, TICK, check};

mod cast;
mod datagram;
mod hosts;
mod scene;
mod seats;
mod socket;
mod world;

/// The broker's host, and the port on which it listens.
const BROKER_HOST: &str = "broker";
const PORT: u16 = 1883;

/// Runs a trial of our own endpoints and tells `observer` of every event. Gives the observer back.
///
/// # Panics
/// On a bug in qoslab, as [`super::event::run`].
pub fn run<O: Observer + 'static>(trial: &Trial, observer: O, options: Options<'_>) -> (Ended, O) {
    let Performed { ended, observer, .. } = perform(trial, &Cast::default(), observer, options);
    (ended, observer)
}

/// A trial that was performed.
#[derive(Debug)]
pub struct Performed<O> {
    /// How it ended.
    pub ended: Ended,
    /// Who watched.
    pub observer: O,
    /// What products did that no endpoint may, in order of time.
    pub mishaps: Vec<Mishap>,
}

/// Runs a trial with products in some of its parts.
///
/// # Panics
/// On a bug in qoslab. What products do is told as [`Mishap`]s; only code that never gives control
/// back keeps this from returning.
pub fn perform<O: Observer + 'static>(
    trial: &Trial,
    cast: &Cast,
    observer: O,
    options: Options<'_>,
) -> Performed<O> {
    let watcher = Rc::new(RefCell::new(observer));
    let (ended, mishaps) = act(trial, cast, Rc::<RefCell<O>>::clone(&watcher), options);
    let observer = Rc::into_inner(watcher).expect("the stage is gone").into_inner();
    Performed { ended, observer, mishaps }
}

fn act(trial: &Trial, cast: &Cast, watcher: Watcher, options: Options<'_>) -> (Ended, Vec<Mishap>) {
    let Options { overrule, interrupt, transcript: slot, tap } = options;
    let transcript = slot.is_some().then(Transcript::default);
    let terms = Terms { overrule, interrupt: None, transcript, tap };
    let under_test = cast.nodes(&trial.setup);
    let leaves_out_ticks = under_test.is_empty();
    let mut stage = Remotely::set(trial, watcher, terms);
    if !under_test.is_empty() {
        stage.test(under_test);
    }
    let stage = Rc::new(RefCell::new(stage));
    let (scene, curtain) = Scene::set(Rc::<RefCell<Remotely>>::clone(&stage), cast.pulse());
    let mut world = World::new(trial, cast);
    let is_interrupted = || interrupt.is_some_and(|flag| flag.load(Ordering::Relaxed));
    let mut now = Time::ZERO;
    // What a tick costs counts as an event, where it is not left out.
    let mut ticks = 0;
    let ending = loop {
        scene.pulse.tell_time(now);
        let ended = stage.borrow_mut().run_until(now);
        run_errands(&stage, &mut world, now);
        if let Some(ending) = ended.or(is_interrupted().then_some(Ending::Interrupted)) {
            break ending;
        }
        scene.wake_sleepers(now);
        world.step();
        if stage.borrow_mut().is_over() {
            break Ending::Quiescent;
        }
        now = next_turn(&stage.borrow(), &scene, now, leaves_out_ticks);
        ticks += u64::from(!leaves_out_ticks);
    };
    drop(curtain);
    drop(world);
    drop(scene);
    let stage = Rc::into_inner(stage).expect("the hosts are gone");
    let (ran, mishaps) = stage.into_inner().end(ending);
    if let (Some(slot), Some(transcript)) = (slot, ran.transcript) {
        *slot = transcript;
    }
    let ended = Ended { events: ran.ended.events + ticks, ..ran.ended };
    (ended, mishaps)
}

/// The turmoil engine with a cast of products. What they do amiss is told by [`perform`] alone.
impl Engine for Cast {
    fn run<O: Observer + 'static>(
        &self,
        trial: &Trial,
        observer: O,
        options: Options<'_>,
    ) -> (Ended, O) {
        let Performed { ended, observer, .. } = perform(trial, self, observer, options);
        (ended, observer)
    }
}

fn run_errands(stage: &RefCell<Remotely>, world: &mut World, now: Time) {
    let errands = stage.borrow_mut().take_errands();
    for errand in errands {
        if let Some((node, backlog)) = world.run(errand, now) {
            stage.borrow_mut().settled(node, backlog);
        }
    }
}

/// The next tick, or the next at which anybody has anything to do.
fn next_turn(stage: &Remotely, scene: &Scene, now: Time, leaves_out_ticks: bool) -> Time {
    let following = now + TICK;
    if !leaves_out_ticks || stage.waits() || scene.waits_for_turmoil() {
        return following;
    }
    let due = stage.next_time().min(scene.next_wake()).as_nanos();
    let ticks = due.div_ceil(TICK.as_nanos());
    Time::from_nanos(ticks.saturating_mul(TICK.as_nanos())).max(following)
}
