//! The recommendation as a user meets it, against what the textbooks say.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::fs;
use std::process::{Command, Output};

const LOSSY: &str = r#"
schema = 1
name = "textbook"
[[client]]
name = "sensor"
publish = [{ topic = "t", qos = 1, count = 200, every = "100ms", payload = "64B" }]
retry = "1s"
max_inflight = 1000
[[client]]
name = "dashboard"
subscribe = [{ filter = "t", qos = 2 }]
[[link]]
between = ["sensor", "broker"]
delay = "40ms"
loss = "10%"
[[link]]
between = ["dashboard", "broker"]
delay = "1ms"
"#;

fn choose(scenario: &str, arguments: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("s.toml"), scenario).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_qoslab"));
    command.args(["choose", "s.toml", "--seeds", "5"]).args(arguments);
    command.current_dir(folder.path()).output().unwrap()
}

#[track_caller]
fn assert_answer(scenario: &str, arguments: &[&str], code: i32, answer: &str) -> String {
    let output = choose(scenario, arguments);
    let text = String::from_utf8(output.stdout).unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{text}{error}");
    assert!(text.starts_with(answer), "{text}{error}");
    text
}

#[test]
fn tolerable_loss_takes_qos_0() {
    let stable = LOSSY.replace("loss = \"10%\"", "loss = \"0.1%\"");
    assert_answer(&stable, &["--need", "lost <= 2%"], 0, "Choose QoS 0.\n");
}

#[test]
fn no_loss_takes_qos_1_and_says_how_sure_that_is() {
    let text = assert_answer(LOSSY, &["--need", "lost <= 0"], 0, "Choose QoS 1.\n");
    // 1 - 0.05^(1/1000) is 0.299 %.
    assert!(text.contains("0 of 1,000, which proves at most 0.3 % at 95 %"), "{text}");
}

#[test]
fn neither_loss_nor_duplicates_takes_qos_2() {
    let needs = ["--need", "lost <= 0", "--need", "duplicated <= 0"];
    assert_answer(LOSSY, &needs, 0, "Choose QoS 2.\n");
}

#[test]
fn a_subscription_at_qos_0_is_named_as_the_cap() {
    let capped = LOSSY
        .replace("qos = 2 }", "qos = 0 }")
        .replace("delay = \"1ms\"", "delay = \"1ms\"\nloss = \"10%\"");
    let text = assert_answer(&capped, &["--need", "lost <= 0"], 1, "No QoS meets all needs.\n");
    assert!(text.contains("The subscription of `dashboard` caps it at QoS 0"), "{text}");
}

#[test]
fn what_cannot_be_chosen_by_is_a_usage_error() {
    for (needs, told) in [
        (&["--need", "lots <= 0"][..], "lots"),
        (&["--need", "lost <= 1%", "--need", "lost >= 5%"], "contradict"),
        (&["--need", "lost <= 1%", "--minimise", "energy"], "radio"),
        (&[], "--need"),
    ] {
        let output = choose(LOSSY, needs);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(error.contains(told), "{error}");
    }
}
