//! STUB
use std::path::PathBuf;

use super::terminal::When;
use crate::scenario::Scenario;

pub(super) fn all(files: &[PathBuf], color: When) -> Option<Vec<Scenario>> {
    let _ = (files, color);
    None
}
pub(super) fn schema() -> String {
    String::new()
}
pub(super) fn show(scenario: &Scenario) -> String {
    scenario.source.clone()
}

pub(super) fn memory(text: &str) -> Result<u64, String> {
    crate::base::units::parse_bytes(text).map(u64::from).map_err(|e| e.to_string())
}
pub(super) fn refuse_larger(_: &[Scenario], _: u64) -> anyhow::Result<()> {
    Ok(())
}
