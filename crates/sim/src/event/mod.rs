//! The event engine: the default, and the one for statistics.
//!
//! One queue orders all events by time, class (arrival, application, fault, timer) and
//! insertion; one thread takes one event after the other, hands it to an endpoint, and does
//! what the endpoint wants done. Nothing here reads a clock or a generator: random draws are keyed
//! by names ([`qoslab_core::base::draw`]), so a [`Trial`] always runs the same.
//!
//! ```text
//! Connecting      all clients connect and subscribe; none publishes
//!    |            all are connected, all subscriptions acknowledged
//! Traffic         the workload runs; bursts and outages count from here
//!    |            the last message is published, the last absence is over
//! Drain           outages have ended; until nothing is left to do
//!    |
//! ReconnectDrain  every persistent session reconnects once; until nothing is left to do
//!    |
//! Over
//! ```
//!
//! Nothing is left to do (*quiescent*) when no packet but pings is in transit, no client is about
//! to connect and no endpoint has a timer armed, keep alive apart. A trial that is not quiescent
//! at its deadline, or at its limit of events, ends there.
//!
//! # Connections over datagrams
//! Opening is instant and local: a client has its connection at once, the broker has it when the
//! first CONNECT arrives. Whatever else arrives for a connection that the receiver does not have,
//! or has no longer, does not reach its endpoint and is not reported as [`Event::Arrived`]; it is
//! answered by a reset one delay later, which ends the connection at the other side.
//!
//! # Connections over TCP
//! A client has its connection when the handshake is done, the broker when CONNECT arrives. Its
//! two directions are [`TcpStreams`](qoslab_core::network::tcp::TcpStreams): nothing is lost or
//! overtaken there, and what is lost on the link comes later. Only the end of a connection loses
//! what is in transit on it, reported as
//! [`Event::Discarded`](qoslab_core::base::Event::Discarded). An end that closes tells the
//! other after all that it sent; one that crashes or gives up may not, and then what reaches it is
//! answered by a reset, unless the connection is silently dead: no end is notified of it.
//!
//! # Crashes
//! A crash takes a node's connections and timers, and of its state all that its storage does not
//! hold. It falls between two events, or at one of the three points that the endpoint contract
//! leaves in one: before what follows from a packet is stored, after it and before anything is
//! sent, or between two sends.
//!
//! [`Event::Arrived`]: qoslab_core::base::Event::Arrived

use self::simulation::{RunContext, Simulation};
use self::workload::Workload;
use crate::engine::Options;
use crate::schedule::RecordedRun;
use crate::trial::Trial;
use qoslab_core::base::{Observer, RunSummary};
use qoslab_core::network::FateOverride;

mod connections;
pub mod explore;
mod faults;
mod host;
mod links;
mod network;
mod node_driver;
mod nodes;
mod queue;
mod readiness;
#[cfg(feature = "turmoil")]
pub(crate) mod remote;
mod reporter;
mod search_hook;
mod simulation;
mod tcp_connection;
#[cfg(test)]
mod tests;
mod timeline;
mod workload;

/// Runs a trial and reports every event to `observer`. Returns the observer.
///
/// # Panics
/// On a bug in qoslab: an endpoint that breaks its contract, or with
/// [`Setup::wire`](crate::trial::Setup::wire) a packet that its encoding changes.
pub fn run<O: Observer>(trial: &Trial, observer: O, options: Options<'_>) -> (RunSummary, O) {
    simulate(trial, observer, options, None)
}

/// As [`run`], with a caller that decides the fates of single datagrams.
///
/// # Panics
/// As [`run`].
pub fn run_with_override<O: Observer>(
    trial: &Trial,
    observer: O,
    fate_override: &mut dyn FateOverride,
) -> (RunSummary, O) {
    simulate(trial, observer, Options::default(), Some(fate_override))
}

fn simulate<'t, O: Observer>(
    trial: &Trial,
    observer: O,
    options: Options<'t>,
    fate_override: Option<&'t mut dyn FateOverride>,
) -> (RunSummary, O) {
    let Options { interrupt, transcript: slot, packet_tap } = options;
    let transcript = slot.is_some().then(RecordedRun::default);
    let run_context = RunContext { fate_override, interrupt, transcript, packet_tap };
    let result = Simulation::of_endpoints(trial, observer, run_context).run();
    if let (Some(slot), Some(transcript)) = (slot, result.transcript) {
        *slot = transcript;
    }
    (result.summary, result.observer)
}

/// Returns the trial with everything that was drawn at random in a run of it, on any engine, fixed
/// in its schedule.
pub(super) fn to_deterministic(trial: &Trial, transcript: &RecordedRun) -> Trial {
    trial.to_deterministic(transcript, Workload::message_timings(&trial.setup, trial.seed))
}
