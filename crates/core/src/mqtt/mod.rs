//! Sans-IO MQTT endpoints: the subject of the simulation.

pub mod broker;
pub mod client;
mod deadlines;
pub mod endpoint;
pub mod ids;
pub mod inbound;
mod length;
mod meta;
pub mod outbound;
pub mod packet;
pub mod quirks;
mod requests;
pub mod retry;
mod session;
pub mod session_context;
pub mod settings;
#[cfg(test)]
mod tests;
pub mod topics;
#[cfg(feature = "wire")]
pub mod wire;
