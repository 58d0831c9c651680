//! The JSON Schema of scenario files, with which editors complete and check.

use std::sync::LazyLock;

#[cfg(feature = "studies")]
use schemars::Schema;

use super::file::ScenarioFile;

/// The schema, made once: it is the same for every file.
pub(super) static SCHEMA: LazyLock<Schema> = LazyLock::new(|| schemars::schema_for!(ScenarioFile));

/// The schema as JSON, ending with a line feed.
#[must_use]
pub fn schema() -> String {
    format!("{:#}\n", SCHEMA.as_value())
}
