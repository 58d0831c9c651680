//! Real systems over simulated networks, in real time.
//!
//! | module | holds |
//! |---|---|
//! | [`mod@link`] | a link of IP packets between two network namespaces |
//! | [`mod@kernel_tcp`] | the simulated TCP, held to the kernel's over such a link |
//!
//! The network model, the scenarios and the statistics are the simulator's. What is real is the
//! rest: programs, their kernel and the time, so nothing here repeats exactly. It needs Linux and
//! root; nothing of that kind runs in `cargo test`.

pub use self::clock::Clock;
#[cfg(target_os = "linux")]
pub use self::process::{Process, Program};

mod clock;
pub mod kernel_tcp;
#[cfg(target_os = "linux")]
pub mod link;
#[cfg(target_os = "linux")]
mod process;
