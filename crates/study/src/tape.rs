//! One trial from its beginning to its end, moment by moment: for ladders, captures and raw events.
//!
//! The trial runs once more, the same to the last event, and what a [`Scope`] wants of it is kept.
//! A packet is kept once, as a [`Flight`] with both its ends: over a stream its arrival is known
//! only when it comes.

use std::rc::Rc;
use std::sync::atomic::AtomicBool;

use self::recorder::{Recorder, Slot};
use qoslab_core::base::event::{Close, Dark, Dropped, Hindrance, Phase};
use qoslab_core::base::name::{ClientIndex, Connection, Node, Parts};
use qoslab_core::base::qos::QoS;
use qoslab_core::base::time::Time;
use qoslab_sim::Engine;
use qoslab_sim::event::{Ended, Options};
use qoslab_sim::trial::Trial;

pub use flight::{Cause, End, Flight};
pub use scope::{Route, Scope, route};

mod flight;
mod recorder;
mod scope;
#[cfg(test)]
mod tests;

/// What was recorded of a trial.
#[derive(Clone, Debug)]
pub struct Tape {
    /// What happened, in order.
    pub moments: Vec<Moment>,
    /// The packets that moments tell of, in the order of their sending.
    pub flights: Vec<Flight>,
    /// CONNECTs and CONNACKs from before the scope, of the connections that its packets use.
    pub context: Vec<Flight>,
    /// How many more moments there were than the scope had room for.
    pub left_out: u64,
    /// How the trial ended.
    pub ended: Ended,
}

/// Something that happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// When.
    pub at: Time,
    /// What.
    pub what: What,
}

/// What happened. Packets are told by their places in [`Tape::flights`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "as the events of the same names")]
pub enum What {
    Phase(Phase),
    Submitted(Parts),
    Refused(Parts, Dropped),
    Completed(Parts),
    WillPublished(Parts),
    Sent(usize),
    Arrived(usize),
    Unread(usize),
    Delivered { client: ClientIndex, message: Parts, qos: QoS, retain: bool },
    Dropped { client: ClientIndex, message: Parts, why: Dropped },
    Opened { node: Node, connection: Connection, client: ClientIndex },
    Closed { node: Node, connection: Connection, client: ClientIndex, why: Close },
    WentDark { connection: Connection, client: ClientIndex, why: Dark },
    Hampered(ClientIndex, Hindrance),
    Unhampered(ClientIndex, Hindrance),
    OutageBegan(ClientIndex),
    OutageEnded(ClientIndex),
    Crashed(Node),
    Restarted(Node),
    SessionExpired(ClientIndex),
}

/// Runs a trial on an engine and records it. Once `interrupt` is true, it ends early.
#[must_use]
pub fn record<E: Engine>(engine: &E, trial: &Trial, scope: &Scope, interrupt: &AtomicBool) -> Tape {
    let slot = Rc::new(Slot::default());
    let recorder = Recorder::new(scope, &slot);
    let options = Options { tap: Some(slot), ..Options::until(interrupt) };
    let (ended, recorder) = engine.run(trial, recorder, options);
    recorder.finish(ended)
}
