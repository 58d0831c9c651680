//! Trials that go on for ever: what they do again and again is told, and no longer deadline is
//! advised.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::fs;
use std::process::Command;

/// A picture of 300 kB takes 150 s on this link, and the broker waits 45 s for a whole packet: it
/// closes the connection, and the camera begins anew.
const TOO_SLOW: &str = r#"
schema   = 1
name     = "too-slow"
deadline = "20m"
[broker]
sign_of_life = "packets"
[[client]]
name       = "camera"
session    = "persistent"
keep_alive = "30s"
[[client.publish]]
topic   = "yard/picture"
qos     = 1
count   = 1
every   = "1s"
payload = "300000B"
[[client]]
name    = "viewer"
session = "persistent"
[[client.subscribe]]
filter = "yard/#"
qos    = 1
[[link]]
between   = ["camera", "broker"]
transport = "tcp"
delay     = "100ms"
up        = { rate = "16kbit/s", queue = 100 }
[[link]]
between   = ["viewer", "broker"]
transport = "tcp"
delay     = "5ms"
"#;

/// What a run of this scenario with one seed prints, progress after it, with its lines joined, and
/// its exit code.
fn run(scenario: &str) -> (String, Option<i32>) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("scenario.toml"), scenario).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_qoslab"))
        .args(["run", "scenario.toml", "--seeds", "1", "--out", "out"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    let longest = printed.lines().map(|line| line.chars().count()).max();
    assert!(longest <= Some(80), "{printed}");
    let all = printed + &String::from_utf8(output.stderr).unwrap();
    (all.split_whitespace().collect::<Vec<_>>().join(" "), output.status.code())
}

#[test]
fn a_packet_that_is_begun_again_and_again_in_vain_is_called_a_livelock() {
    let (printed, code) = run(TOO_SLOW);
    assert_eq!(code, Some(3), "nothing is proved: {printed}");
    let told = "livelock: the same PUBLISH (message #0 of `camera`, from `camera` to the broker) \
                was begun 16 times and never finished; 16 connections of `camera` were closed \
                because nothing was heard for too long (keep alive)";
    assert!(printed.contains(told), "{printed}");
    assert!(printed.contains("1 of 1 run in a livelock"), "{printed}");
    assert!(!printed.contains("raise `deadline`"), "{printed}");
}

#[test]
fn a_trial_that_only_needs_more_time_is_advised_to_take_it() {
    let patient = TOO_SLOW.replace("\"30s\"", "\"0s\"");
    let (printed, code) = run(&patient);
    assert_eq!(code, Some(0), "without a keep alive it is heard to its end: {printed}");
    let (printed, code) = run(&patient.replace("\"20m\"", "\"2m\""));
    assert_eq!(code, Some(3));
    assert!(printed.contains("raise `deadline`") && !printed.contains("livelock"), "{printed}");
}
