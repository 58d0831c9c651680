//! Presents results to people. Pure: results in, text out; the same results give the same bytes.
//! Nothing here reads the time of day, a terminal or a file, and all text that comes from a
//! scenario is escaped for its destination.

#![expect(clippy::format_push_string, reason = "text is put together here, and memory is no file")]

pub use self::annotations::annotations;
#[cfg(feature = "html")]
pub use self::chart::Chart;
#[cfg(feature = "html")]
pub use self::charts::{ChartOptions, charts};
#[cfg(feature = "files")]
pub use self::explore::ExploreSummary;
#[cfg(feature = "png")]
pub use self::png::{PngError, png};
pub use self::style::Style;

mod accounts;
mod annotations;
#[cfg(feature = "html")]
mod assumptions;
mod bill;
#[cfg(feature = "files")]
pub mod capture;
#[cfg(feature = "html")]
mod chart;
#[cfg(feature = "html")]
mod charts;
#[cfg(feature = "files")]
pub mod choice;
#[cfg(feature = "files")]
pub mod columns;
pub mod commands;
#[cfg(feature = "files")]
pub mod comparison;
mod describe;
pub mod escape;
#[cfg(feature = "files")]
pub mod events;
#[cfg(feature = "files")]
mod explore;
pub mod failure;
#[cfg(feature = "files")]
pub mod json;
#[cfg(feature = "files")]
pub mod junit;
pub mod labels;
pub mod ladder;
#[cfg(feature = "files")]
pub mod markdown;
pub mod minimal_failure;
pub mod number;
#[cfg(feature = "html")]
pub mod page;
#[cfg(feature = "parquet")]
pub mod parquet;
#[cfg(feature = "png")]
mod png;
mod point_summary;
mod style;
pub mod summary;
pub mod table;

#[cfg(test)]
#[cfg(all(feature = "files", feature = "html"))]
mod tests;
