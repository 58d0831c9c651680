//! qoslab.
pub mod base;
pub mod cli;
pub mod closed_form;
pub mod engine;
pub mod guarantee;
pub mod mqtt;
pub mod network;
pub mod report;
pub mod scenario;
pub mod study;
