//! What the documents show is what happens.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::process::Command;
use std::sync::atomic::AtomicBool;

use qoslab::guarantee::verdict::{Blame, Breach};
use qoslab::scenario::Scenario;
use qoslab::study::judge::judge_trial;

const README: &str = include_str!("../README.md");
const LIMITS: &str = include_str!("../docs/limits.md");

/// The fenced blocks of a document in this language.
fn blocks(document: &str, language: &str) -> Vec<String> {
    let fence = format!("```{language}\n");
    let starts = document.split(&fence).skip(1);
    starts.map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

fn the_scenario_in(document: &str) -> Scenario {
    let blocks = blocks(document, "toml");
    assert_eq!(blocks.len(), 1);
    Scenario::parse("document.toml", &blocks[0]).unwrap_or_else(|errors| panic!("{errors}"))
}

#[test]
fn the_table_in_the_readme_is_what_its_command_prints() {
    let out = tempfile::tempdir().unwrap();
    let run = Command::new(env!("CARGO_BIN_EXE_qoslab"))
        .args(["run", "scenarios/lossy-uplink.toml", "--out"])
        .arg(out.path())
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(README.contains("cargo run --release -- run scenarios/lossy-uplink.toml\n"));
    let printed = String::from_utf8(run.stdout).unwrap();
    assert_eq!(blocks(README, "text")[0].trim(), printed.trim());
}

#[test]
fn the_scenario_in_the_readme_keeps_every_promise() {
    let scenario = the_scenario_in(README);
    assert_eq!(scenario.points.len(), 3);
    for point in &scenario.points {
        for seed in 1..=5 {
            let outcome = judge_trial(&point.trial(seed), &AtomicBool::new(false)).unwrap();
            assert!(outcome.violations.is_empty(), "{} seed {seed}", point.label());
        }
    }
}

#[test]
fn the_scenario_of_lowest_free_ids_loses_what_was_acknowledged() {
    let scenario = the_scenario_in(LIMITS);
    let outcome = judge_trial(&scenario.points[0].trial(1), &AtomicBool::new(false)).unwrap();
    let kinds: Vec<_> = outcome.violations.keys().map(|it| (it.breach, it.blame)).collect();
    assert_eq!(kinds, [(Breach::Lost, Blame::Network)]);
}
