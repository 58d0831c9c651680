//! Sans-IO MQTT endpoints: the subject of the simulation.

pub mod endpoint;
pub mod length;
pub mod packet;
pub mod record;
pub mod settings;
pub mod topics;
