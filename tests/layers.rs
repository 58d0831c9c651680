//! What Cargo does not enforce of the workspace's order: what the lower layers keep out, how rules
//! of the standard are cited, and how long files and lines may be.

use std::fs;
use std::path::{Path, PathBuf};

/// Crates that know no threads, clocks, files or sockets, so that they run anywhere, a browser
/// included. Of what threads share they know atomics alone, by which a trial is told to stop.
const PURE_CRATES: [&str; 3] = ["crates/core", "crates/guarantee", "crates/sim"];
/// What is there to run on tokio, and is left out without the feature of that name.
const ASYNC_FOLDERS: [&str; 3] =
    ["crates/core/src/shell", "crates/sim/src/turmoil", "crates/sim/src/engine.rs"];

const MAX_FILE_LINES: usize = 500;
const MAX_COLUMNS: usize = 100;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// All sources of the workspace but the tests beside the command.
fn sources() -> Vec<(PathBuf, String)> {
    let folders = ["src", "crates", "interop", "benches", "tests/mutants"];
    let found: Vec<_> = folders.iter().flat_map(|folder| files_below(folder, "rs")).collect();
    assert!(found.len() > 300, "only {} source files found", found.len());
    found
}

fn pages() -> Vec<(PathBuf, String)> {
    let found = files_below("docs", "md");
    assert!(!found.is_empty(), "no documentation found");
    found
}

/// All files in and below a folder whose names end so; their paths start at the workspace.
fn files_below(folder: &str, ending: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::from(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root().join(&folder)).expect("the folder can be read") {
            let entry = entry.expect("the folder can be read");
            let path = folder.join(entry.file_name());
            if entry.path().is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == ending) {
                let text = fs::read_to_string(entry.path()).expect("such a file is text");
                found.push((path, text));
            }
        }
    }
    found.sort();
    found
}

fn is_below(path: &Path, folders: &[&str]) -> bool {
    folders.iter().any(|folder| path.starts_with(folder))
}

fn is_test(path: &Path) -> bool {
    let name = |part: std::path::Component<'_>| part.as_os_str().to_string_lossy().into_owned();
    path.components().map(name).any(|part| part.starts_with("tests"))
}

#[test]
fn the_lower_layers_use_no_threads_clocks_files_or_sockets() {
    let forbidden = [
        "tokio",
        "turmoil",
        "rayon",
        "anyhow",
        "std::env",
        "std::fs",
        "std::io",
        "std::net",
        "std::process",
        "std::thread",
        "std::time",
        "Instant",
        "SystemTime",
        "Mutex",
        "RwLock",
        "Condvar",
        "mpsc",
        "HashMap",
        "HashSet",
    ];
    let mut looked_at = 0;
    for (path, text) in sources() {
        if !is_below(&path, &PURE_CRATES) || is_below(&path, &ASYNC_FOLDERS) || is_test(&path) {
            continue;
        }
        looked_at += 1;
        // A crate's own tests may read the documents that they hold the code to.
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        for (number, line) in code.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            if let Some(word) = forbidden.iter().find(|word| code.contains(**word)) {
                let is_module = ["mod turmoil", "crate::turmoil", "self::turmoil"];
                let is_feature = code.contains("feature = \"")
                    || is_module.iter().any(|name| code.contains(name));
                assert!(
                    is_feature,
                    "{}:{}: `{word}` has no place here",
                    path.display(),
                    number + 1
                );
            }
        }
    }
    assert!(looked_at > 100, "only {looked_at} files of the lower layers found");
}

/// Whether this is `MQTT-d.d.d-n`, as the OASIS standards number their statements.
fn is_statement(id: &str) -> bool {
    let Some((section, number)) = id.strip_prefix("MQTT-").and_then(|id| id.split_once('-')) else {
        return false;
    };
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    section.split('.').count() == 3 && section.split('.').all(is_number) && is_number(number)
}

#[test]
fn rules_of_mqtt_are_cited_by_the_ids_of_the_standards() {
    assert!(is_statement("MQTT-4.3.3-12"));
    let wrong = ["MQTT-4.3", "MQTT-3.1.2.10", "MQTT-2.2.3", "MQTT-3.3.1-1..3", "MQTT-3.3.1-x"];
    assert!(!wrong.into_iter().any(is_statement));
    let mut found = Vec::new();
    for (path, text) in sources().into_iter().chain(pages()) {
        for (number, line) in text.lines().enumerate() {
            for part in line.split("[MQTT-").skip(1) {
                let all = part.split(']').next().unwrap_or_default();
                // Some say in which standard: `[MQTT-4.3.3-12 of 5.0]`.
                for id in format!("MQTT-{all}").split(", ") {
                    let bare = [" of 5.0", " of 3.1.1"].iter().find_map(|of| id.strip_suffix(of));
                    if !is_statement(bare.unwrap_or(id)) {
                        found.push(format!("{}:{}: {id}", path.display(), number + 1));
                    }
                }
            }
        }
    }
    assert!(found.is_empty(), "no statements of a standard:\n{}", found.join("\n"));
}

#[test]
fn endpoints_never_read_message_tags() {
    let mut looked_at = 0;
    for (path, text) in sources() {
        // The metadata is what observers see of a packet; tests are their own observers.
        let is_meta = path.ends_with("mqtt/meta.rs");
        if path.starts_with("crates/core/src/mqtt") && !is_meta && !is_test(&path) {
            looked_at += 1;
            assert!(!text.contains(".message_id()"), "{} reads a tag", path.display());
        }
    }
    assert!(looked_at > 20, "only {looked_at} files of endpoints found");
}

#[test]
fn files_and_lines_stay_short() {
    for (path, text) in sources() {
        let lines = text.lines().count();
        assert!(lines <= MAX_FILE_LINES, "{} has {lines} lines", path.display());
        // Snapshots of what people see are as wide as that is.
        if is_test(&path) {
            continue;
        }
        for (number, line) in text.lines().enumerate() {
            let columns = line.chars().count();
            assert!(columns <= MAX_COLUMNS, "{}:{}: {columns} columns", path.display(), number + 1);
        }
    }
}
