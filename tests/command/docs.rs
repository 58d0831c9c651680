//! Checks that the documents show the real output and the real code.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::AtomicBool;

use qoslab::guarantee::{Blame, Breach};
use qoslab::scenario::Scenario;
use qoslab::sim::EventEngine;
use qoslab::study::judge_trial;

const README: &str = include_str!("../../README.md");
const CABLE_PULL: &str = include_str!("../../scenarios/cable-pull.toml");
const CI: &str = include_str!("../../docs/ci.md");
const CONTRIBUTING: &str = include_str!("../../CONTRIBUTING.md");
const INDEX: &str = include_str!("../../docs/README.md");
const LIMITS: &str = include_str!("../../docs/limits.md");
const OUTPUT: &str = include_str!("../../docs/output.md");
const REPLAY: &str = include_str!("../../docs/replay.md");
const SCENARIOS: &str = include_str!("../../docs/scenarios.md");
const SWEEPS: &str = include_str!("../../docs/sweeps.md");

/// The fenced blocks of a document in this language.
fn blocks(document: &str, language: &str) -> Vec<String> {
    let fence = format!("```{language}\n");
    let starts = document.split(&fence).skip(1);
    starts.map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

fn the_scenario_in(document: &str) -> Scenario {
    read(&blocks(document, "toml")[0])
}

fn read(text: &str) -> Scenario {
    Scenario::parse("document.toml", text).unwrap_or_else(|errors| panic!("{errors}"))
}

/// The output that a document shows after this command, and the output of the command.
fn shown_and_printed(document: &str, arguments: &[&str]) -> (String, String) {
    let out = tempfile::tempdir().unwrap();
    let run = Command::new(env!("CARGO_BIN_EXE_qoslab"))
        .args(arguments)
        .arg("--out")
        .arg(out.path())
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let quoted = arguments.iter().map(|argument| {
        if argument.contains(' ') { format!("\"{argument}\"") } else { (*argument).to_owned() }
    });
    let command = format!("cargo run --release -- {}\n", quoted.collect::<Vec<_>>().join(" "));
    let (_, after) = document.split_once(&command).unwrap_or_else(|| panic!("no {command}"));
    let printed = String::from_utf8(run.stdout).unwrap();
    (blocks(after, "text")[0].trim().to_owned(), printed.trim().to_owned())
}

#[test]
fn the_tables_in_the_documents_are_what_their_commands_print() {
    for (document, arguments) in [
        (README, &["run", "scenarios/cable-pull.toml"][..]),
        (OUTPUT, &["run", "scenarios/lossy-uplink.toml"]),
        (SWEEPS, &["choose", "scenarios/lossy-uplink.toml", "--need", "lost <= 1%"]),
    ] {
        let (shown, printed) = shown_and_printed(document, arguments);
        assert_eq!(shown, printed);
    }
}

#[test]
fn the_readme_quotes_the_scenario_that_it_runs() {
    for table in blocks(README, "toml")[0].split("\n\n") {
        assert!(CABLE_PULL.contains(table.trim_end()), "{table}");
    }
}

#[test]
fn the_list_of_known_bugs_in_the_manual_can_be_read() {
    let known = qoslab::scenario::known_bugs::parse("known.toml", &blocks(CI, "toml")[0]).unwrap();
    assert_eq!(known.len(), 1);
}

#[test]
fn the_failure_in_the_manual_is_what_reordering_prints_where_it_is_not_declared() {
    let folder = tempfile::tempdir().unwrap();
    let text = include_str!("../../scenarios/reordering.toml");
    let (undeclared, _) = text.split_once("[[expect.broken]]").unwrap();
    fs::write(folder.path().join("reordering.toml"), undeclared).unwrap();
    let run = Command::new(env!("CARGO_BIN_EXE_qoslab"))
        .args(["run", "reordering.toml", "--seeds", "1"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert_eq!(run.status.code(), Some(1));
    let printed = String::from_utf8(run.stdout).unwrap();
    let shown = blocks(CI, "text").pop().unwrap();
    assert!(printed.contains(shown.trim_end()), "{printed}");
}

#[test]
fn the_scenario_in_the_manual_keeps_every_promise() {
    let scenario = the_scenario_in(SCENARIOS);
    assert_eq!(scenario.points.len(), 3);
    for point in &scenario.points {
        for seed in 1..=5 {
            let outcome =
                judge_trial(&EventEngine, &point.trial(seed), &AtomicBool::new(false)).unwrap();
            assert!(outcome.violations.is_empty(), "{} seed {seed}", point.label());
        }
    }
}

#[test]
fn the_faults_in_the_manual_can_be_added_to_a_scenario() {
    let faults = &blocks(SCENARIOS, "toml")[1];
    let scenario = read(&format!("{CABLE_PULL}\n{faults}"));
    assert_eq!(scenario.points[0].setup.faults.len(), 3);
}

#[test]
fn the_manual_lists_every_scenario() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let (_, listed) = SCENARIOS.split_once("| scenario | what it shows |\n").unwrap();
    let listed: String = listed.lines().take_while(|line| line.starts_with('|')).collect();
    for entry in fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let name = name.strip_suffix(".toml").unwrap_or(&name);
        assert!(listed.contains(name), "{name} is missing");
    }
}

/// The test programs and modules that a document names, as `simulation` or `simulation/quirks`.
fn tests_named_in(document: &str) -> impl Iterator<Item = String> {
    let rests = document.split("cargo test --test ").skip(1);
    rests.map(|rest| {
        let arguments = rest.split(['`', '\n', '#', ')']).next().unwrap().split_whitespace();
        arguments.take_while(|word| !word.starts_with('-')).collect::<Vec<_>>().join("/")
    })
}

#[test]
fn every_test_named_in_the_documents_exists() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let mut named = 0;
    for (path, text) in documents() {
        for test in tests_named_in(&text) {
            let files = [format!("{test}.rs"), format!("{test}/main.rs")];
            let exists = files.iter().any(|file| tests.join(file).exists());
            assert!(exists, "{}: {test}", path.display());
            named += 1;
        }
    }
    assert!(named > 10, "{named}");
}

#[test]
fn every_scenario_that_a_sentence_runs_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (path, text) in documents() {
        for rest in text.split("`qoslab run ").skip(1) {
            let scenario = rest.split(['`', ' ', '\n']).next().unwrap();
            let is_shipped = scenario.starts_with("scenarios/");
            assert!(!is_shipped || root.join(scenario).exists(), "{}: {scenario}", path.display());
        }
    }
}

#[test]
fn the_scenario_of_lowest_free_ids_loses_what_was_acknowledged() {
    let scenario = the_scenario_in(LIMITS);
    let outcome =
        judge_trial(&EventEngine, &scenario.points[0].trial(1), &AtomicBool::new(false)).unwrap();
    let kinds: Vec<_> = outcome.violations.keys().map(|it| (it.breach, it.blame)).collect();
    assert_eq!(kinds, [(Breach::Lost, Blame::Network)]);
}

#[test]
fn the_ladders_in_the_manual_are_what_their_commands_print_and_draw() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = tempfile::tempdir().unwrap();
    let parts = REPLAY.split("```sh\ncargo run --release -- ").skip(1);
    let mut drawn = 0;
    for part in parts {
        let (command, after) = part.split_once('\n').unwrap();
        let (command, shown) = command.split_once(" --svg ").unwrap();
        let picture = folder.path().join("ladder.svg");
        let run = Command::new(env!("CARGO_BIN_EXE_qoslab"))
            .args(command.split(' '))
            .arg("--svg")
            .arg(&picture)
            .current_dir(root)
            .output()
            .unwrap();
        let printed = String::from_utf8(run.stdout).unwrap();
        assert_eq!(blocks(after, "text")[0].trim_end(), printed.trim_end(), "{command}");
        let [shown, drawn_now] = [root.join(shown), picture].map(|it| fs::read(it).unwrap());
        assert!(shown == drawn_now, "draw it again: {command}");
        drawn += 1;
    }
    assert_eq!(drawn, 4);
}

/// The documents, each with its folder.
fn documents() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let in_docs = fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let others = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "reports/examples/README.md"];
    let all = in_docs.chain(others.map(|path| root.join(path)));
    let documents = all.filter(|path| path.extension().is_some_and(|it| it == "md"));
    documents.map(|path| (path.clone(), fs::read_to_string(path).unwrap())).collect()
}

#[test]
fn every_link_and_picture_of_the_documents_exists() {
    let mut links = 0;
    for (path, text) in documents() {
        let named = text.split("](").skip(1).map(|rest| rest.split([')', ' ']).next().unwrap());
        let pictures = text.split("src=\"").skip(1).map(|rest| rest.split('"').next().unwrap());
        for link in named.chain(pictures) {
            let file = link.split('#').next().unwrap();
            if file.is_empty() || file.contains("://") {
                continue;
            }
            links += 1;
            let target = path.parent().unwrap().join(file);
            assert!(target.exists(), "{}: {link}", path.display());
        }
    }
    assert!(links > 50, "{links}");
}

#[test]
fn every_scenario_in_a_documented_command_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut commands = 0;
    for (path, text) in documents() {
        for word in blocks(&text, "sh").iter().flat_map(|block| block.split_whitespace()) {
            if word.starts_with("scenarios/") {
                commands += 1;
                assert!(root.join(word).exists(), "{}: {word}", path.display());
            }
        }
    }
    assert!(commands > 20, "{commands}");
}

#[test]
fn the_index_lists_every_page() {
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if Path::new(&name).extension().is_some_and(|it| it == "md") && name != "README.md" {
            assert!(INDEX.contains(&format!("({name})")), "{name} is missing");
        }
    }
}

/// The hops of the walks through the code: the source file of each, and its function.
fn walk_hops() -> impl Iterator<Item = (PathBuf, &'static str)> {
    let rows = CONTRIBUTING.lines().filter(|line| {
        let first = line.trim_start_matches('|').split('|').next().unwrap_or_default();
        first.trim().parse::<u32>().is_ok()
    });
    rows.map(|row| {
        let quoted: Vec<&str> = row.split('`').skip(1).step_by(2).take(3).collect();
        let [layer, file, function] = quoted[..] else { panic!("{row}") };
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let layer = if layer == "qoslab" { root.into() } else { root.join("crates").join(layer) };
        (layer.join("src").join(file), function.rsplit("::").next().unwrap())
    })
}

#[test]
fn every_hop_of_the_walks_through_the_code_exists() {
    for (file, function) in walk_hops() {
        let text = fs::read_to_string(&file).unwrap_or_else(|_| panic!("{}", file.display()));
        let defined = [format!("fn {function}("), format!("fn {function}<")];
        assert!(
            defined.iter().any(|it| text.contains(it)),
            "{} has no function `{function}`",
            file.display()
        );
    }
    assert_eq!(walk_hops().count(), 20);
}
