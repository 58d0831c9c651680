//! The ground floor: time, units, names, draws, and the events that everything above is told of.

pub mod draw;
pub mod ending;
pub mod event;
pub mod fingerprint;
pub mod name;
pub mod packet_meta;
pub mod qos;
pub mod time;
pub mod units;
