//! Foundation of all other crates: MQTT endpoints and networks as state machines.

pub mod base;
pub mod mqtt;
pub mod network;
#[cfg(feature = "tokio")]
pub mod shell;
