//! The engine option from a user's point of view: what is skipped, what is the same twice, and that
//! one engine's results are never taken for the other's.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

/// A network that reorders makes QoS 2 deliver twice, and the break is not declared.
const BREAKS: &str = r#"
schema = 1
name   = "breaks"
seeds  = { from = 1, count = 2 }
[[client]]
name = "sensor"
publish = [{ topic = "t", qos = 2, count = 12, every = "30s" }]
[[client]]
name = "dashboard"
subscribe = [{ filter = "t", qos = 2 }]
[[link]]
between = ["sensor", "broker"]
transport = "datagram"
delay   = { time = "1s", jitter = "1s", distribution = "uniform" }
[[link]]
between = ["dashboard", "broker"]
transport = "datagram"
delay   = "10ms"
"#;

/// Scenarios in a folder of their own.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("breaks.toml"), BREAKS).unwrap();
    let fast = BREAKS.replace("10ms", "1ms").replace("\"breaks\"", "\"fast\"");
    fs::write(folder.path().join("fast.toml"), fast).unwrap();
    folder
}

/// Returns exit code, standard output and standard error.
fn qoslab(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    let run = Command::new(env!("CARGO_BIN_EXE_qoslab"))
        .args(arguments)
        .current_dir(folder)
        .env_remove("CLICOLOR_FORCE")
        .env_remove("GITHUB_ACTIONS")
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (run.status.code().unwrap(), text(&run.stdout), text(&run.stderr))
}

/// All files below a folder.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().display().to_string();
                found.insert(name, fs::read(&path).unwrap());
            }
        }
    }
    found
}

#[test]
fn two_processes_with_one_job_and_two_print_and_write_the_same_on_turmoil() {
    let runs = ["-j1", "-j2"].map(|jobs| {
        let folder = folder();
        let arguments = [
            "run",
            ".",
            "--engine",
            "turmoil",
            jobs,
            "--export-csv",
            "points.csv",
            "--no-fail-fast",
        ];
        let (code, stdout, stderr) = qoslab(folder.path(), &arguments);
        assert_eq!(code, 1, "{stderr}");
        (stdout, files(folder.path()))
    });
    assert!(runs[0].1.keys().any(|name| name.ends_with("ladder.svg")), "{:?}", runs[0].1.keys());
    assert!(runs[0] == runs[1]);
}

#[test]
fn unsupported_scenarios_are_skipped_and_counted_on_turmoil() {
    let folder = folder();
    let fast = ["run", "fast.toml", "--engine", "turmoil"];
    let line = "SKIP fast: the link of `dashboard` has a delay of 1 ms up: turmoil needs at least \
                10ms\n";
    assert_eq!(qoslab(folder.path(), &fast).0, 4);
    assert_eq!(qoslab(folder.path(), &fast).1, line);
    let replay = ["replay", "fast.toml", "--seed", "1", "--engine", "turmoil"];
    let (code, stdout, _) = qoslab(folder.path(), &replay);
    assert_eq!((code, stdout.as_str()), (4, line));
    let both = ["run", ".", "--engine", "turmoil", "--no-fail-fast"];
    let (code, stdout, stderr) = qoslab(folder.path(), &both);
    assert_eq!(code, 1);
    assert!(stdout.starts_with(line), "{stdout}");
    assert!(stderr.contains("1 skipped: the turmoil engine cannot run them"), "{stderr}");
}

#[test]
fn a_failure_found_on_turmoil_is_shrunk_and_shown_again_on_turmoil() {
    let folder = folder();
    let (code, stdout, _) = qoslab(folder.path(), &["run", "breaks.toml", "--engine", "turmoil"]);
    assert_eq!(code, 1);
    let command = |label: &str| {
        let line = stdout.lines().find_map(|line| line.trim().strip_prefix(label)).unwrap();
        let words = line.trim().strip_prefix("qoslab ").unwrap().split(' ');
        words.map(str::to_owned).collect::<Vec<_>>()
    };
    for label in ["reproduce:", "shrunk:    "] {
        let again = command(label);
        assert!(
            again.ends_with(&["--engine".to_owned(), "turmoil".to_owned()])
                || label == "reproduce:"
        );
        let again: Vec<_> = again.iter().map(String::as_str).collect();
        let (code, stdout, stderr) = qoslab(folder.path(), &again);
        assert_eq!(code, 1, "{again:?}: {stderr}");
        assert!(stdout.contains("exactly-once broken"), "{again:?}: {stdout}");
    }
    assert!(command("reproduce:").contains(&"turmoil".to_owned()));
}

#[test]
fn results_of_different_engines_are_never_compared() {
    let folder = folder();
    for (engine, out) in [("event", "one"), ("turmoil", "two")] {
        let arguments = ["run", "breaks.toml", "--engine", engine, "--out", out, "--no-shrink"];
        assert_eq!(qoslab(folder.path(), &arguments).0, 1);
    }
    let results = ["one", "two"].map(|out| {
        let path = folder.path().join(out).join("breaks");
        ["results.json", "report.html"].map(|name| fs::read_to_string(path.join(name)).unwrap())
    });
    let [[event, event_page], [turmoil, turmoil_page]] = results;
    assert!(!event.contains("\"engine\"") && !event_page.contains("event engine"));
    assert!(turmoil.contains("\"engine\": \"turmoil\""));
    assert!(turmoil_page.contains("turmoil engine") && turmoil_page.contains("--engine turmoil"));

    let against = ["run", "breaks.toml", "--engine", "turmoil", "--baseline", "one"];
    let (code, _, stderr) = qoslab(folder.path(), &against);
    assert_eq!(code, 2);
    assert!(stderr.contains("is of the event engine"), "{stderr}");
    let against = ["run", "breaks.toml", "--engine", "turmoil", "--baseline", "two", "--no-shrink"];
    let (code, stdout, stderr) = qoslab(folder.path(), &against);
    assert_eq!(code, 1, "{stderr}");
    assert!(stdout.contains("Identical (same trace hash): 2 trials"), "{stdout}");

    let before = files(&folder.path().join("two"));
    assert_eq!(qoslab(folder.path(), &["report", "two/breaks"]).0, 1);
    assert!(files(&folder.path().join("two")) == before);
}
