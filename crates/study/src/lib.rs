//! Many trials: which ones, run in parallel, accumulated in a fixed order, judged together.
//!
//! [`runner`] is where to start: it does what the commands do, and its page shows how in a dozen
//! lines.

#[cfg(feature = "files")]
pub mod baseline;
mod cell_accumulator;
pub mod choose;
pub mod closed_form;
pub mod explore;
pub mod judge_trial;
pub mod manifest;
pub mod minimal_failures;
pub mod needs;
pub mod plan;
pub mod precision;
mod quantiles;
pub mod recording;
pub mod result;
pub mod run_output;
#[cfg(feature = "files")]
pub mod runner;
pub mod scenario;
pub mod shard;
pub mod shrink;
pub mod statistics;
#[cfg(feature = "files")]
pub mod store;
pub mod sweep;
pub mod theory;
pub mod thread_pool;
pub mod timeline;
pub mod trial_facts;
pub mod trial_key;
pub mod trial_runner;
pub mod unused_entries;
mod verdicts;

#[cfg(any(test, feature = "fixtures"))]
pub mod fixtures;
#[cfg(test)]
mod radio_tests;
#[cfg(test)]
mod tests;
