//! Many trials: which ones, run in parallel, folded in a fixed order, judged together.

pub mod baseline;
mod breaks;
pub mod choose;
pub mod closed_form;
pub mod explore;
mod folding;
pub mod gate;
pub mod judge;
pub mod manifest;
pub mod needs;
pub mod plan;
pub mod precision;
mod quantiles;
pub mod result;
pub mod roster;
pub mod scenario;
pub mod shard;
pub mod shrink;
pub mod statistics;
pub mod store;
pub mod stories;
pub mod sweep;
pub mod tape;
pub mod theory;
pub mod timeline;
pub mod unmet;

#[cfg(test)]
mod radio_tests;
#[cfg(any(test, feature = "fixtures"))]
pub mod testing;
#[cfg(test)]
mod tests;
