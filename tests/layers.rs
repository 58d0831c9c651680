//! The house's order: a floor uses only the floors below it, and stays readable.

use std::fs;
use std::path::{Path, PathBuf};

/// The rooms from the ground up; `main.rs` and `lib.rs` are the doors.
const LAYERS: [&str; 10] = [
    "base",
    "mqtt",
    "network",
    "guarantee",
    "scenario",
    "engine",
    "study",
    "report",
    "testing",
    "cli",
];
/// Rooms beside the stairs: the floor up to which they may use others, and the floor from which
/// on others may use them.
const SIDE_MODULES: [(&str, &str, &str); 2] =
    [("closed_form", "base", "mqtt"), ("shell", "mqtt", "engine")];
/// Code above this floor may know threads, wall clocks and terminals. Of what threads share, code
/// up to here knows atomics alone, by which a trial is told to stop.
const TOP_PURE_LAYER: &str = "engine";
/// Code that is there to run on tokio, what runs in it, and the door to that.
const ASYNC_PATHS: [&str; 3] = ["src/shell", "src/engine/turmoil", "src/engine/mod.rs"];

const MAX_FILE_LINES: usize = 500;
const MAX_COLUMNS: usize = 100;

fn sources() -> Vec<(PathBuf, String)> {
    let found = texts("src", "rs");
    assert!(found.len() > 40, "only {} source files found", found.len());
    found
}

fn pages() -> Vec<(PathBuf, String)> {
    let found = texts("docs", "md");
    assert!(!found.is_empty(), "no documentation found");
    found
}

/// All files in and below a folder whose names end so.
fn texts(folder: &str, ending: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("the folder can be read") {
            let path = entry.expect("the folder can be read").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == ending) {
                let text = fs::read_to_string(&path).expect("such a file is text");
                found.push((path, text));
            }
        }
    }
    found.sort();
    found
}

/// The room a file stands in: the first folder or file name below `src`.
fn top_module(path: &Path) -> String {
    let below = path.strip_prefix(Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    let first = below.expect("sources are below src").components().next();
    let name = first.expect("a file has a name").as_os_str().to_string_lossy();
    name.trim_end_matches(".rs").to_owned()
}

fn layer_index(module: &str) -> Option<usize> {
    let beside = SIDE_MODULES.iter().find(|(name, ..)| *name == module).map(|(_, floor, _)| *floor);
    LAYERS.iter().position(|name| *name == beside.unwrap_or(module))
}

/// The rooms that a source names as `crate::room`.
fn modules_used(text: &str) -> Vec<String> {
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    let mut modules = Vec::new();
    for line in code {
        for part in line.split("crate::").skip(1) {
            let name = |text: &str| -> String {
                text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
            };
            match part.strip_prefix('{') {
                Some(list) => modules.extend(list.split(',').map(|item| name(item.trim()))),
                None => modules.push(name(part)),
            }
        }
    }
    modules
}

#[test]
fn a_layer_uses_only_the_layers_below_it() {
    for (path, text) in sources() {
        let here = top_module(&path);
        let Some(height) = layer_index(&here) else {
            assert!(here == "main" || here == "lib", "{} is in no known room", path.display());
            continue;
        };
        for used in modules_used(&text) {
            if used == here {
                continue;
            }
            if let Some((.., from)) = SIDE_MODULES.iter().find(|(name, ..)| *name == used) {
                let is_above = layer_index(from).is_some_and(|from| from <= height);
                assert!(is_above, "{} is below those who may use `{used}`", path.display());
            } else if let Some(other) = layer_index(&used) {
                assert!(other <= height, "{} looks up to `{used}`", path.display());
            }
        }
    }
}

#[test]
fn the_lower_layers_use_no_threads_clocks_or_runtimes() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let limit = layer_index(TOP_PURE_LAYER).expect("a floor");
    let forbidden = [
        "tokio",
        "turmoil",
        "rayon",
        "anyhow",
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
    for (path, text) in sources() {
        let is_async = ASYNC_PATHS.iter().any(|folder| path.starts_with(root.join(folder)));
        if is_async || layer_index(&top_module(&path)).is_none_or(|height| height > limit) {
            continue;
        }
        for (number, line) in text.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            if let Some(word) = forbidden.iter().find(|word| code.contains(**word)) {
                panic!("{}:{}: `{word}` has no place here", path.display(), number + 1);
            }
        }
    }
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
    for (path, text) in sources() {
        // The record is what observers see of a packet; tests are their own observers.
        let readers = ["mqtt/record.rs", "mqtt/tests/world.rs", "mqtt/tests/hop.rs"];
        let may = readers.iter().any(|reader| path.ends_with(reader));
        if top_module(&path) == "mqtt" && !may {
            assert!(!text.contains(".parts()"), "{} reads a tag", path.display());
        }
    }
}

#[test]
fn files_and_lines_stay_short() {
    for (path, text) in sources() {
        let lines = text.lines().count();
        assert!(lines <= MAX_FILE_LINES, "{} has {lines} lines", path.display());
        // Snapshots of what people see are as wide as that is.
        if path.components().any(|part| part.as_os_str().to_string_lossy().starts_with("tests")) {
            continue;
        }
        for (number, line) in text.lines().enumerate() {
            let columns = line.chars().count();
            assert!(columns <= MAX_COLUMNS, "{}:{}: {columns} columns", path.display(), number + 1);
        }
    }
}
