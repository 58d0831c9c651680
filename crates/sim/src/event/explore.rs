//! Trials that are inspected between two events.

use std::fmt;
use std::ops::ControlFlow;

use super::simulation::{RunContext, Simulation};
use crate::trial::Trial;
use qoslab_core::base::RunSummary;
use qoslab_core::base::fingerprint::Fingerprint;
use qoslab_core::base::{Observer, PacketName, Span, Time};
use qoslab_core::impl_fingerprint;

/// The condition that releases a packet held back over datagrams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReleaseWhen {
    /// The next packet that goes the same way on that link has arrived.
    NextPacket,
    /// The last acknowledgement of its message's handshake on that hop was read.
    HandshakeEnd,
    /// A time that its sender set has come.
    Timeout,
}

impl_fingerprint! { fieldless ReleaseWhen }

/// The way in which a packet is held back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DelayRule {
    /// Until when. If that never comes, until nothing else is left to do.
    pub release_when: ReleaseWhen,
    /// Whether the packet itself is plain, and a copy of it is held back.
    pub delays_copy: bool,
}

/// A trial paused between two events.
pub struct PausedTrial<'a> {
    /// How many packets were sent since every fault met its packet.
    pub choices: usize,
    pub(super) take_fingerprint: &'a mut dyn FnMut() -> u128,
}

/// Result of a trial that was inspected.
#[derive(Debug)]
pub struct Explored<O> {
    /// Its summary; `None` if it was left before its end.
    pub summary: Option<RunSummary>,
    /// The observer.
    pub observer: O,
    /// The time at which it ended or was left.
    pub at: Time,
    /// The packets sent since every fault met its packet, until the end of the first calm.
    pub choices: Vec<PacketName>,
    /// The packets that were held back, and by how much they were late.
    pub delays: Vec<(PacketName, Span)>,
}

impl PausedTrial<'_> {
    /// The fingerprint of the state: where it is the same, all that follows is the same, and how
    /// it is judged.
    pub fn fingerprint(&mut self) -> u128 {
        (self.take_fingerprint)()
    }
}

impl fmt::Debug for PausedTrial<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PausedTrial").field("choices", &self.choices).finish_non_exhaustive()
    }
}

/// Runs a deterministic trial, and asks `at_pause` before each event whether to go on, once every
/// packet was sent that a fault waits for by its name. Keep alive must be off: how long a
/// connection has been idle is no part of a state. Faults at packets must all be by name, and
/// nothing may be drawn at random ([`Setup::deterministic`](crate::trial::Setup::deterministic)).
///
/// # Panics
/// As [`super::run`].
pub fn run_with_pauses<O: Observer + Fingerprint>(
    trial: &Trial,
    observer: O,
    delay_rules: &[(PacketName, DelayRule)],
    at_pause: &mut dyn FnMut(PausedTrial<'_>) -> ControlFlow<()>,
) -> Explored<O> {
    let run_context = RunContext::default();
    Simulation::of_endpoints(trial, observer, run_context).explore(delay_rules, at_pause)
}
