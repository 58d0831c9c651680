//! The files that `qoslab run` leaves of a failure, and that each line it prints works verbatim.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

const SCENARIO: &str = "bugs/01-qos2-receiver-does-not-dedupe.toml";
const QUIRK: &str = "broker.quirks=[\"no_dedupe\"]";

fn qoslab(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_qoslab"));
    command
        .current_dir(folder)
        .args(arguments)
        .output()
        .expect("the folder is there, and all is text")
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("the folder is there, and all is text")
}

/// A folder with the scenario, and the output of a failing run of it there.
fn failing_run(more: &[&str]) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().expect("the folder is there, and all is text");
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios").join(SCENARIO);
    fs::copy(shipped, folder.path().join("bug.toml"))
        .expect("the folder is there, and all is text");
    let arguments = [&["run", "bug.toml", "--set", QUIRK], more].concat();
    let output = qoslab(folder.path(), &arguments);
    assert_eq!(output.status.code(), Some(1));
    (folder, stdout(&output))
}

/// The only folder of a failure.
fn failure_folder(folder: &Path) -> std::path::PathBuf {
    let failures = folder.join("reports/qos2-receiver-does-not-dedupe/failures");
    let mut entries = fs::read_dir(failures).expect("the folder is there, and all is text");
    let own = entries.next().expect("there is a failure").expect("it can be read").path();
    assert!(entries.next().is_none());
    own
}

#[test]
fn a_failure_is_shrunk_and_each_line_printed_shows_it_again() {
    let (folder, printed) = failing_run(&[]);
    assert!(printed.contains("shrunk: 40 messages and "), "{printed}");
    assert!(printed.contains(" -> 1 message and 1 fault"), "{printed}");
    let commands: Vec<_> = printed
        .lines()
        .filter_map(|line| line.trim().split_once(": ").map(|(_, command)| command.trim()))
        .filter(|command| command.starts_with("qoslab "))
        .collect();
    assert!(commands.iter().any(|command| command.starts_with("qoslab replay reports/")));
    for command in commands {
        let own = command.replacen("qoslab", env!("CARGO_BIN_EXE_qoslab"), 1);
        let output = Command::new("sh").args(["-c", &own]).current_dir(folder.path()).output();
        let output = output.unwrap();
        assert_eq!(output.status.code(), Some(1), "{command}");
        assert!(stdout(&output).contains("exactly-once broken: message #"), "{command}");
    }
}

#[test]
fn a_failure_leaves_a_file_a_ladder_and_a_capture() {
    let (folder, printed) = failing_run(&[]);
    let own = failure_folder(folder.path());
    let read = |name: &str| fs::read(own.join(name)).unwrap();
    let ladder = String::from_utf8(read("ladder.txt")).unwrap();
    assert!(ladder.contains("PUBLISH #4"), "{ladder}");
    assert!(printed.contains(ladder.trim_end()), "{printed}");
    assert!(read("ladder.svg").starts_with(b"<svg"));
    // A section header block.
    assert!(read("packets.pcapng").starts_with(&[0x0a, 0x0d, 0x0d, 0x0a]));
    let file = String::from_utf8(read("failure.toml")).unwrap();
    assert!(file.contains("# exactly-once broken: message #4"), "{file}");
    let page = folder.path().join("reports/qos2-receiver-does-not-dedupe/report.html");
    let before = fs::read_to_string(&page).unwrap();
    assert!(before.contains("aria-labelledby=\"chart-ladder-"), "the page has the ladder");
    // Drawn again from the store, it is the same.
    let again = qoslab(folder.path(), &["report", "reports/qos2-receiver-does-not-dedupe"]);
    assert_eq!(again.status.code(), Some(1));
    assert_eq!(fs::read_to_string(&page).unwrap(), before);
}

#[test]
fn only_files_of_an_earlier_run_are_removed() {
    let (folder, _) = failing_run(&[]);
    let own = failure_folder(folder.path());
    fs::write(own.join("notes.txt"), "mine").unwrap();
    let output = qoslab(folder.path(), &["run", "bug.toml"]);
    assert_eq!(output.status.code(), Some(0));
    let left: Vec<_> = fs::read_dir(&own).unwrap().map(|it| it.unwrap().file_name()).collect();
    assert_eq!(left, ["notes.txt"]);
}

#[test]
fn without_shrinking_all_events_are_printed() {
    let (folder, printed) = failing_run(&["--no-shrink"]);
    assert!(!printed.contains("shrunk:"), "{printed}");
    assert!(printed.contains("meter -> broker: PUBLISH"), "{printed}");
    assert!(!folder.path().join("reports/qos2-receiver-does-not-dedupe/failures").exists());
}

#[test]
fn unused_schedule_entries_are_reported() {
    let (folder, _) = failing_run(&[]);
    let file = failure_folder(folder.path()).join("failure.toml");
    let text = fs::read_to_string(&file).unwrap();
    let fate = "fates = [{ packet = \"meter#4 / app / 9 / PUBREC / 3\", lost = \"random\" }]";
    let text = text.replace("[schedule]\n", &format!("[schedule]\n{fate}\n"));
    fs::write(&file, text).unwrap();
    let output = qoslab(folder.path(), &["replay", file.to_str().unwrap()]);
    let stderr = String::from_utf8(output.stderr.clone()).unwrap();
    assert!(stderr.contains("an entry of the schedule met nothing"), "{stderr}");
    assert!(stderr.contains("the fate of meter#4 / app / 9 / PUBREC / 3"), "{stderr}");
}
