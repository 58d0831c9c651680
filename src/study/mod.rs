//! Many trials: which ones, run in parallel, folded in a fixed order, judged together.

pub mod statistics;
