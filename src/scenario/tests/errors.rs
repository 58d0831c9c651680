//! Each thing that can be wrong, as it is shown.

use super::super::*;
use super::SMALL;

fn refused(text: &str) -> String {
    Scenario::parse("test.toml", text).expect_err("this should be refused").render(false)
}

/// The small scenario with one text replaced.
fn with(old: &str, new: &str) -> String {
    assert!(SMALL.contains(old), "{old} is not in the scenario");
    refused(&SMALL.replace(old, new))
}
