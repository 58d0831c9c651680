//! What can be changed, and what is drawn of it.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// The protocol and its endpoints, and what judges them.
const ENDPOINTS: &str = "crates/core/src/mqtt/";
const JUDGE: &str = "crates/guarantee/src/";

/// A change of one place.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Mutant {
    /// From 1, in the order of the sample.
    #[serde(default)]
    pub(crate) number: u32,
    pub(crate) name: String,
    pub(crate) file: String,
    pub(crate) genre: Genre,
    pub(crate) span: Span,
    pub(crate) replacement: String,
}

impl Mutant {
    /// Whether it is a change of an endpoint, which qoslab should notice by what the endpoint does.
    pub(crate) fn is_of_an_endpoint(&self) -> bool {
        self.file.starts_with(ENDPOINTS)
    }
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
pub(crate) enum Genre {
    BinaryOperator,
    FnValue,
    MatchArm,
    MatchArmGuard,
    StructField,
    UnaryOperator,
}

#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) struct Span {
    pub(crate) start: Place,
    pub(crate) end: Place,
}

/// Line and column count from 1; a column is a character.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) line: usize,
    pub(crate) column: usize,
}

/// All that cargo-mutants can change in the endpoints and the judge.
pub(crate) fn list(tree: &Path) -> Result<Vec<Mutant>> {
    let mut command = Command::new("cargo");
    command.current_dir(tree).args(["mutants", "--list", "--json"]);
    command.args(["-p", "qoslab-core", "-p", "qoslab-guarantee"]);
    for folder in [ENDPOINTS, JUDGE] {
        command.args(["-f", &format!("{folder}**")]);
    }
    let output = command.output().context("cannot start cargo")?;
    let why = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "cargo mutants --list failed; `cargo install cargo-mutants --locked` gets it\n{why}"
    );
    serde_json::from_slice(&output.stdout).context("cargo-mutants lists what is not understood")
}

/// A sample without replacement: those whose names a hash with that seed puts first, so that a
/// change elsewhere in the code leaves most of the sample as it was.
pub(crate) fn draw(all: &[Mutant], count: usize, seed: u64) -> Vec<Mutant> {
    let mut ranked: Vec<&Mutant> = all.iter().collect();
    ranked.sort_by_key(|mutant| (xxh3_64_with_seed(mutant.name.as_bytes(), seed), &mutant.name));
    let mut sample: Vec<Mutant> = ranked.into_iter().take(count).cloned().collect();
    sample.sort_by(|a, b| (&a.file, a.span.start).cmp(&(&b.file, b.span.start)));
    for (number, mutant) in (1..).zip(&mut sample) {
        mutant.number = number;
    }
    sample
}
