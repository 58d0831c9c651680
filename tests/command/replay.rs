//! `qoslab replay` from a user's point of view.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_qoslab"));
    command.arg("replay").args(arguments).current_dir(root()).env_remove("CLICOLOR_FORCE");
    command
}

/// Returns exit code, standard output and standard error.
fn replay(arguments: &[&str]) -> (i32, String, String) {
    exit_and_output(&command(arguments).output().unwrap())
}

fn exit_and_output(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

/// A file with a broker that delivers each repeat; its PUBREC is cut off.
fn broken(folder: &Path) -> String {
    let text = fs::read_to_string(root().join("scenarios/examples/cut-before-pubcomp.toml"));
    let text = text.unwrap().replace("PUBCOMP", "PUBREC").replace("count = 1\n", "count = 3\n");
    let (text, _) = text.split_once("[expect]").unwrap();
    let quirk = "[broker]\nquirks = [\"no_dedupe\"]\n\n[[client]]\nname      = \"sensor\"";
    let text = text.replace("[[client]]\nname      = \"sensor\"", quirk);
    let path = folder.join("broken.toml");
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

const LOST: &str = "scenarios/examples/lost-pubrec.toml";
const UPLINK: &str = "scenarios/lossy-uplink.toml";

#[test]
fn a_file_of_one_trial_needs_no_option() {
    let (code, stdout, stderr) = replay(&[LOST]);
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.starts_with("PASS lost-pubrec  qos 2  trial "), "{stdout}");
    assert!(stdout.contains("lost: a fault took") && stdout.contains("traffic begins"));
}

#[test]
fn the_first_message_that_broke_a_promise_is_shown_and_said_to_be() {
    let folder = tempfile::tempdir().unwrap();
    let file = broken(folder.path());
    let (code, stdout, stderr) = replay(&[&file]);
    assert_eq!(code, 1, "{stderr}");
    for text in [
        "FAIL cut-before-pubcomp",
        "exactly-once broken: message #0 of `sensor` delivered twice",
        "blame: broker, MUST [MQTT-4.3.3-",
        "reproduce: qoslab run",
        "■✗",
        "delivers #0 again:",
        "--whole everything",
    ] {
        let words = stdout.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(stdout.contains(text) || words.contains(text), "no `{text}` in {stdout}");
    }
    assert!(!stdout.contains("#1") && !stdout.contains("traffic begins"), "{stdout}");
    let (code, stdout, _) = replay(&[&file, "--whole"]);
    assert!(code == 1 && stdout.contains("#1") && stdout.contains("traffic begins"));
    let (code, stdout, _) = replay(&[&file, "--message", "sensor#1"]);
    assert!(code == 1 && stdout.contains("publishes #1") && !stdout.contains("publishes #0"));
}

#[test]
fn an_inconclusive_replay_is_no_pass() {
    let folder = tempfile::tempdir().unwrap();
    let text = fs::read_to_string(root().join(LOST)).unwrap();
    let path = folder.path().join("short.toml");
    fs::write(&path, text.replace("seeds  =", "deadline = \"1s\"\nseeds  =")).unwrap();
    let (code, stdout, _) = replay(&[path.to_str().unwrap()]);
    assert_eq!(code, 3);
    assert!(stdout.contains("not drained") && stdout.contains("PUBREC"), "{stdout}");
}

#[test]
fn exactly_one_trial_must_be_selected() {
    let (code, stdout, stderr) = replay(&[UPLINK]);
    assert!(code == 2 && stdout.is_empty());
    for text in ["600 trials", "--trial", "--seed N (1 to 200)", "--qos N (there are qos 0; qos 1"]
    {
        assert!(stderr.contains(text), "no `{text}` in {stderr}");
    }
    let (code, _, stderr) = replay(&[UPLINK, "--seed", "4"]);
    assert!(code == 2 && stderr.contains("--qos") && !stderr.contains("--seed"), "{stderr}");
    let (code, _, stderr) = replay(&[UPLINK, "--trial", "00000000"]);
    assert!(code == 4 && stderr.contains("00000000"), "{stderr}");
    let (code, stdout, _) = replay(&[UPLINK, "--seed", "4", "--qos", "2", "--message", "7"]);
    assert_eq!(code, 0);
    let (_, name) = stdout.lines().next().unwrap().split_once("trial ").unwrap();
    let (code, again, _) = replay(&[UPLINK, "--trial", &name[..6], "--message", "sensor#7"]);
    assert_eq!((code, again), (0, stdout));
}

#[test]
fn missing_messages_and_invalid_ranges_are_refused() {
    for (arguments, text) in [
        (&["--message", "9"][..], "nobody publishes message #9 of `sensor`"),
        (&["--message", "meter#0"], "there are sensor"),
        (&["--message", "first"], "write sensor#7, or 7"),
        (&["--from", "2s", "--until", "1s"], "is after --until"),
        (&["--from", "soon"], "soon"),
        (&["--message", "0", "--whole"], "cannot be used"),
        (&["--svg", "missing/ladder.svg"], "missing/ladder.svg"),
    ] {
        let (code, stdout, stderr) = replay(&[&[LOST], arguments].concat());
        assert_eq!(code, 2, "{arguments:?}: {stderr}");
        assert!(stdout.is_empty() && stderr.contains(text), "{arguments:?}: {stderr}");
    }
    let two = "scenarios/fleet.toml";
    let (code, _, stderr) = replay(&[two, "--seed", "1", "--qos", "1", "--message", "0"]);
    assert!(code == 2 && stderr.contains("several publish"), "{stderr}");
}

#[test]
fn files_show_what_the_ladder_shows() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (svg, pcapng, json) = (path("a.svg"), path("a.pcapng"), path("a.json"));
    let options = ["--message", "0", "--svg", &svg, "--pcapng", &pcapng, "--json", &json];
    let (code, stdout, _) = replay(&[&[LOST], &options[..]].concat());
    assert!(code == 0 && stdout.contains("✗"));
    assert!(fs::read_to_string(&svg).unwrap().starts_with("<svg "));
    assert_eq!(fs::read(&pcapng).unwrap()[..4], [0x0A, 0x0D, 0x0D, 0x0A]);
    let (code, events, _) = replay(&[LOST, "--message", "0", "--json", "-"]);
    assert_eq!((code, &events), (0, &fs::read_to_string(&json).unwrap()));
    let events: Vec<Value> = events.lines().map(|it| serde_json::from_str(it).unwrap()).collect();
    assert!(events.iter().all(|it| it["time_ns"].is_string() && it["event"].is_string()));
    let lost: Vec<&Value> = events.iter().filter(|it| it["fate"] == "lost").collect();
    assert_eq!(lost.len(), 1);
    assert_eq!(lost[0]["packet"], "sensor#0 / broker / 0 / PUBREC / 0");
    let sent = events.iter().filter(|it| it["event"] == "sent").count();
    assert_eq!(sent, 10);
}

#[test]
fn the_same_trial_gives_the_same_bytes() {
    let arguments = [UPLINK, "--seed", "4", "--qos", "2", "--svg", "/dev/stdout"];
    assert_eq!(replay(&arguments), replay(&arguments));
}

#[test]
fn a_closed_output_pipe_is_no_failure() {
    let mut child = command(&[UPLINK, "--seed", "4", "--qos", "2", "--whole"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
