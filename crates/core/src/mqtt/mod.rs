//! Sans-IO MQTT endpoints: the subject of the simulation.

pub mod broker;
pub mod client;
mod deadlines;
pub mod endpoint;
mod host;
pub mod ids;
mod inbound;
mod length;
mod outbound;
pub mod packet;
pub mod quirks;
mod record;
mod requests;
mod retry;
mod session;
pub mod settings;
#[cfg(test)]
mod tests;
pub mod topics;
#[cfg(feature = "wire")]
pub mod wire;
