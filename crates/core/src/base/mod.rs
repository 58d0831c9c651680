//! The base layer: time, units, names, random draws, and the events that all other layers use.

pub mod draw;
pub mod ending;
pub mod event;
pub mod fingerprint;
pub mod name;
pub mod packet_meta;
pub mod qos;
pub mod time;
pub mod units;
