//! Tests of the simulation against theory, against the standard, and against itself.

mod blame;
mod closed_forms;
mod common;
mod engine_parity;
mod explore;
mod false_alarms;
mod field_reports;
mod filters;
mod limits;
mod overlapping_filters;
mod packet_tracker;
mod planted_bugs;
mod properties;
mod quirks;
mod quirks_everywhere;
mod random_draws;
mod schedules;
mod shrink;
mod tcp_closed_forms;
mod wire;
