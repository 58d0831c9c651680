//! What was owed, what happened, and whose fault it was.
//!
//! Two observers do the work. [`watch::Watch`] sees the first pass of a trial: it keeps a byte
//! for each message and each unit, measures, and names the offenders. [`recorder::Recorder`] sees
//! a second, identical pass if there are any, keeps the evidence for them alone, and blames.

mod blame;
mod chronicle;
pub mod counters;
mod crashes;
mod deliveries;
mod endings;
mod evidence;
mod findings;
mod judge;
mod ledger;
mod links;
mod meter;
pub mod metrics;
pub mod monitor;
mod patterns;
pub mod promise;
pub mod recorder;
mod retained;
pub mod roster;
pub mod rules;
mod sessions;
mod shared;
pub mod story;
mod subscriptions;
#[cfg(test)]
mod tests;
pub mod timeline;
mod unit;
pub mod verdict;
pub mod watch;
