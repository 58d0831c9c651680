//! Checks of the delivery guarantees: what was owed, what happened, and which part is to blame.
//!
//! Two observers do the work. [`first_pass::FirstPassObserver`] sees the first pass of a trial: it
//! keeps a byte for each message and each unit, measures, and names the suspected violations.
//! [`evidence_recorder::EvidenceRecorder`] sees a second, identical pass if there are any, keeps
//! the evidence for them alone, and assigns the blame.

mod blame;
pub mod counters;
mod crashes;
mod deliveries;
mod delivery_unit;
mod evaluation;
mod event_log;
mod evidence;
pub mod evidence_recorder;
mod findings;
pub mod first_pass;
mod ledger;
pub mod message_history;
pub mod metrics;
mod metrics_collector;
pub mod monitor;
mod open_connections;
mod pattern_counters;
mod promise;
mod retained;
pub mod rules;
mod session_endings;
mod sessions;
mod shared_subscriptions;
mod subscriptions;
#[cfg(test)]
mod tests;
pub mod timeline;
pub mod trial_facts;
pub mod verdict;
