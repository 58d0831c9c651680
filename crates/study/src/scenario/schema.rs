//! The JSON Schema of scenario files, with which editors complete and check.

use super::file::ScenarioFile;

/// The schema as JSON, ending with a line feed.
#[must_use]
pub fn schema() -> String {
    let schema = schemars::schema_for!(ScenarioFile);
    format!("{:#}\n", schema.as_value())
}
