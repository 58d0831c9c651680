//! qoslab.
pub mod base;
pub mod engine;
pub mod guarantee;
pub mod mqtt;
pub mod network;
pub mod scenario;
