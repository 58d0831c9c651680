//! The turmoil engine: async code on simulated hosts, under the same scenarios and checks.
//!
//! The event engine's simulation decides everything here too: when messages are published, what
//! happens to packets, connections, links and nodes, when a trial is over, by the same names and
//! so with the same random draws. But its nodes are async code. Each runs on a host of
//! [turmoil](https://docs.rs/turmoil)'s, with a runtime of its own whose time is paused, and speaks
//! over turmoil's sockets; crashes and restarts of hosts are turmoil's.
//!
//! ```text
//! loop, a tick of 1 ms after the other:
//!   the simulation handles all that is due by now: packets and ends of connections reach inboxes,
//!      applications ask for something, faults come, hosts crash and start again
//!   every host has a turn: nodes take what is in their inboxes, and what they write is given its
//!      fate there and then
//! ```
//!
//! # What is different
//! A node acts at ticks. What reaches it between two ticks it takes at the later one, so each hop
//! takes up to a tick longer, and what happens within one tick happens at one instant. A client has
//! its connection up to two ticks later than in the event engine: turmoil opens its own. Ticks in
//! which no node has anything to do are left out, unless systems are under test, whose timers
//! are unknown.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::atomic::Ordering;

use self::sim_context::SimContext;
use self::turmoil_hosts::TurmoilHosts;
use crate::engine::{Engine, Options, SharedObserver, lend_observer};
use crate::event::remote::{ProxySimulation, RunContext, SimHandle};
use crate::schedule::RecordedRun;
use crate::sut_error::SutError;
use crate::trial::Trial;
use qoslab_core::base::{Ending, Observer, RunSummary, Time};

pub use self::handles::{AppCommand, BrokerHandle, ClientHandle};
pub use self::node_factories::{NodeFactories, RunProgress, SutResult};
pub use self::socket::Socket;
pub use self::support::{TICK, check_support};

mod datagram;
mod handles;
mod node_factories;
mod own_nodes;
mod sim_context;
mod socket;
mod support;
mod turmoil_hosts;

/// The broker's host, and the port on which it listens.
const BROKER_HOST: &str = "broker";
const PORT: u16 = 1883;

/// The turmoil engine with our own endpoints.
#[derive(Clone, Copy, Debug, Default)]
pub struct TurmoilEngine;

impl Engine for TurmoilEngine {
    fn run_shared(
        &self,
        trial: &Trial,
        observer: SharedObserver,
        options: Options<'_>,
    ) -> RunSummary {
        NodeFactories::default().run_shared(trial, observer, options)
    }
}

/// The turmoil engine with systems under test. Their errors are reported by [`run_with_sut`]
/// alone.
impl Engine for NodeFactories {
    fn run_shared(
        &self,
        trial: &Trial,
        observer: SharedObserver,
        options: Options<'_>,
    ) -> RunSummary {
        simulate(trial, self, observer, options).0
    }
}

/// Result of a trial that was run.
#[derive(Debug)]
pub struct SutRun<O> {
    /// The summary of the run.
    pub summary: RunSummary,
    /// The observer.
    pub observer: O,
    /// Errors of systems under test, in order of time.
    pub errors: Vec<SutError>,
}

/// Runs a trial with systems under test in some of its parts.
///
/// # Panics
/// On a bug in qoslab. Errors of systems under test are reported as [`SutError`]s; only code that
/// never gives control back keeps this from returning.
pub fn run_with_sut<O: Observer + 'static>(
    trial: &Trial,
    factories: &NodeFactories,
    observer: O,
    options: Options<'_>,
) -> SutRun<O> {
    let ((summary, errors), observer) =
        lend_observer(observer, |shared| simulate(trial, factories, shared, options));
    SutRun { summary, observer, errors }
}

fn simulate(
    trial: &Trial,
    factories: &NodeFactories,
    observer: SharedObserver,
    options: Options<'_>,
) -> (RunSummary, Vec<SutError>) {
    let Options { interrupt, transcript: slot, packet_tap } = options;
    let transcript = slot.is_some().then(RecordedRun::default);
    let run_context = RunContext { transcript, packet_tap, ..RunContext::default() };
    let under_test = factories.sut_nodes(&trial.setup);
    let skips_idle_ticks = under_test.is_empty();
    let mut sim = ProxySimulation::build(trial, observer, run_context);
    if !under_test.is_empty() {
        sim.set_under_test(under_test);
    }
    let sim = Rc::new(RefCell::new(sim));
    let (sim_context, guard) =
        SimContext::enter(Rc::<RefCell<ProxySimulation>>::clone(&sim), factories.progress());
    let mut hosts = TurmoilHosts::new(trial, factories);
    let is_interrupted = || interrupt.is_some_and(|flag| flag.load(Ordering::Relaxed));
    let mut now = Time::ZERO;
    // What a tick costs counts as an event, where it is not left out.
    let mut ticks = 0;
    let ending = loop {
        sim_context.progress.set_now(now);
        let ending = sim.borrow_mut().run_until(now);
        run_host_commands(&sim, &mut hosts, now);
        if let Some(ending) = ending.or(is_interrupted().then_some(Ending::Interrupted)) {
            break ending;
        }
        sim_context.wake_sleepers(now);
        hosts.step();
        if sim.borrow_mut().enter_due_phases() {
            break Ending::Quiescent;
        }
        now = next_tick(&sim.borrow(), &sim_context, now, skips_idle_ticks);
        ticks += u64::from(!skips_idle_ticks);
    };
    drop(guard);
    drop(hosts);
    drop(sim_context);
    let sim = Rc::into_inner(sim).expect("the hosts are gone");
    let (result, errors) = sim.into_inner().into_result(ending);
    if let (Some(slot), Some(transcript)) = (slot, result.transcript) {
        *slot = transcript;
    }
    let summary = RunSummary { events: result.summary.events + ticks, ..result.summary };
    (summary, errors)
}

fn run_host_commands(sim: &RefCell<ProxySimulation>, hosts: &mut TurmoilHosts, now: Time) {
    let commands = sim.borrow_mut().take_host_commands();
    for command in commands {
        if let Some((node, backlog)) = hosts.execute(command, now) {
            sim.borrow_mut().set_backlog(node, backlog);
        }
    }
}

/// Returns the next tick, or the next at which there is anything to do.
fn next_tick(
    sim: &ProxySimulation,
    sim_context: &SimContext,
    now: Time,
    skips_idle_ticks: bool,
) -> Time {
    let following = now + TICK;
    if !skips_idle_ticks || sim.has_waiting_items() || sim_context.is_waiting_for_turmoil() {
        return following;
    }
    let due = sim.next_event_time().min(sim_context.next_wake()).as_nanos();
    let ticks = due.div_ceil(TICK.as_nanos());
    Time::from_nanos(ticks.saturating_mul(TICK.as_nanos())).max(following)
}
