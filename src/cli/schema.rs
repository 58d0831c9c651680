//! `qoslab schema`.

use clap::Args;

use super::exit;
use super::terminal::StandardOutput;
use crate::scenario::schema;

/// Print the JSON Schema of scenario files, for editors.
///
/// An editor with a TOML language server completes and checks a scenario whose first line is
/// `#:schema ./scenario.schema.json`.
#[derive(Debug, Args)]
pub(super) struct SchemaArguments {}

/// Prints the schema.
///
/// # Errors
/// If it cannot be written.
pub(super) fn execute(_: &SchemaArguments) -> anyhow::Result<u8> {
    StandardOutput::default().print(&schema())?;
    Ok(exit::HOLDS)
}
