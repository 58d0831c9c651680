//! Sans-IO MQTT endpoints: the subject of the simulation.

pub mod endpoint;
pub mod packet;
pub mod settings;
