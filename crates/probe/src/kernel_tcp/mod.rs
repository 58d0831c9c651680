//! The simulated TCP held to the kernel's: the same messages over the same link, both ways.
//!
//! 1. A [`Cell`] says which messages go over which link; [`Cells`] are the ones that are compared.
//! 2. Its [`CellScenario`] is the same as a scenario file: simulated through many seeds, and the
//!    source of the settings of the real link.
//! 3. [`measure`] sends the messages from an unmodified `mosquitto_pub` to an unmodified
//!    `mosquitto` under the kernel's TCP.
//! 4. [`Comparison`] judges, and [`report()`] writes the page `docs/kernel-tcp.md`.
//!
//! Latency is from publish to delivery. The real subscriber sits beside the broker on a Unix
//! socket, the simulated one on a link that takes no time, so the link of the publisher is all that
//! there is to it.

pub use self::cell::{Bottleneck, Cell, Cells, UnknownCell, Workload};
pub use self::judgement::{Comparison, Figure, Judgement, Verdict};
#[cfg(target_os = "linux")]
pub use self::measured::{measure, missing};
pub use self::report::{Machine, report};
pub use self::simulated::CellScenario;

mod cell;
mod judgement;
mod line;
#[cfg(target_os = "linux")]
mod measured;
#[cfg(target_os = "linux")]
mod programs;
mod report;
mod simulated;

use qoslab_core::base::Span;
use qoslab_guarantee::LatencyHistogram;

/// What one run under the kernel's TCP came to.
#[derive(Clone, Debug)]
pub struct KernelRun {
    /// From publish to delivery, of each message.
    pub latency: LatencyHistogram,
    /// How late after it was due 99 of 100 packets were handed on, at the most: what the machine
    /// adds to the link.
    pub lateness: Span,
    /// Packets sent up and down, lost ones included.
    pub sent: [u64; 2],
    /// Packets lost up and down.
    pub lost: [u64; 2],
}

/// A span in milliseconds.
fn millis(span: Span) -> f64 {
    span.as_secs_f64() * 1_000.0
}
