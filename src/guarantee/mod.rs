//! What was owed, what happened, and whose fault it was.

pub mod metrics;
pub mod verdict;
