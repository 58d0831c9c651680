//! Numbers to people. Pure: results in, text out; the same results give the same bytes. Nothing
//! here knows the time of day, a terminal or a file, and everything that comes from a scenario is
//! escaped for where it goes.

#![expect(clippy::format_push_string, reason = "text is put together here, and memory is no file")]

pub mod annotations;
pub mod assumptions;
pub mod capture;
pub mod chart;
pub mod charts;
pub mod choice;
pub mod columns;
pub mod commands;
pub mod comparison;
pub mod describe;
pub mod escape;
pub mod events;
pub mod explore;
pub mod failure;
pub mod json;
pub mod junit;
pub mod labels;
pub mod ladder;
pub mod markdown;
pub mod minimal_failure;
pub mod number;
pub mod page;
#[cfg(feature = "parquet")]
pub mod parquet;
pub mod png;
pub mod point_summary;
pub mod style;
pub mod summary;
pub mod table;

#[cfg(test)]
mod tests;
