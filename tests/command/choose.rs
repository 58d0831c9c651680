//! `qoslab choose` from a user's point of view, against what the textbooks say.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use crate::files::files;

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
transport = "datagram"
delay = "40ms"
loss = "10%"
[[link]]
between = ["dashboard", "broker"]
transport = "datagram"
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
fn a_subscription_at_qos_0_is_reported_as_the_limit() {
    let capped = LOSSY
        .replace("qos = 2 }", "qos = 0 }")
        .replace("delay = \"1ms\"", "delay = \"1ms\"\nloss = \"10%\"");
    let text = assert_answer(&capped, &["--need", "lost <= 0"], 1, "No QoS meets all needs.\n");
    assert!(text.contains("The subscription of `dashboard` caps it at QoS 0"), "{text}");
}

#[test]
fn an_unusable_criterion_is_a_usage_error_with_help() {
    for (more, told) in [
        (&["--need", "lots <= 0"][..], "did you mean `lost`?"),
        (&[], "--need \"lost <= 0\""),
        (&["--need", "lost <= 1%", "--need", "lost >= 5%"], "contradict each other"),
        (&["--need", "lost < 0"], "can never be met"),
        (&["--need", "qos1.lost <= 0"], "--need \"lost <= 0\""),
        (&["--need", "lost <= 1%", "--minimise", "energy"], "radio = \"lte-m\""),
        (&["--need", "battery >= 2"], "radio = \"lte-m\""),
        (&["--need", "lost <= 1%", "--minimise", "money"], "add --price"),
        (&["--need", "lost <= 1%", "--price", "dashbord=1EUR/MB"], "did you mean `dashboard`?"),
        (&["--need", "lost <= 1%", "--price", "X=1EUR/MB"], "--price `X=1EUR/MB` is for no link"),
        (&["--need", "lost <= 1%", "--fleet", "7"], "--minimise money"),
        (&["--need", "lost <= 1%", "--minimise", "money", "--price", "-1EUR/MB"], "more than 0"),
        (&["--need", "lost <= 1%", "--minimise", "money", "--price", "NaN"], "0.40EUR/MB"),
        (&["--need", "lost <= 1%", "--over", "qos=1"], "use --qos"),
        (&["--need", "lost <= 1%", "--over", "link.sensor.los=1%"], "did you mean `loss`?"),
    ] {
        let output = choose(LOSSY, more);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{more:?}: {error}");
        assert!(error.contains(told), "{more:?}: {error}");
    }
    let unheard = LOSSY.replace("subscribe = [{ filter = \"t\"", "subscribe = [{ filter = \"u\"");
    let output = choose(&unheard, &["--need", "lost <= 1%"]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(error.contains("see that somebody subscribes"), "{error}");
}

#[test]
fn an_answer_says_where_it_flips_and_fits_a_screen() {
    let stable = LOSSY.replace("loss = \"10%\"", "loss = \"0.1%\"");
    let text = assert_answer(&stable, &["--need", "lost <= 2%"], 0, "Choose QoS 0.\n");
    let output_text = text.replace('\n', " ");
    assert!(
        output_text.contains("link.sensor.loss is above 2 %: then QoS 1 (closed form)."),
        "{text}"
    );
    for needs in
        [&["--need", "lost <= 0"][..], &["--need", "lost <= 0", "--need", "duplicated <= 0"]]
    {
        let output = choose(LOSSY, needs);
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        assert!(text.lines().count() <= 26, "{text}");
        assert!(text.replace('\n', " ").contains("is 0 %: then QoS 0"), "{text}");
    }
}

#[test]
fn money_is_reported_per_message_and_per_month() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("s.toml"), LOSSY).unwrap();
    let money = ["--minimise", "money", "--price", "0.40EUR/MB", "--fleet", "5000"];
    let output = run(folder.path(), &[&CHOOSE[..], &money].concat());
    let text = String::from_utf8(output.stdout).unwrap().replace('\n', " ");
    assert!(text.starts_with("Choose QoS 1. "), "{text}");
    assert!(text.contains(" EUR a month for 5,000 devices."), "{text}");
    let json = fs::read(folder.path().join("out/choice.json")).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    for option in json["options"].as_array().unwrap() {
        let (message, month) = (&option["cost"], &option["month"]["cost"]);
        // Ten messages a second for 30 days from each device.
        let all = message.as_f64().unwrap() * 10.0 * 30.0 * 86_400.0 * 5_000.0;
        assert!((month.as_f64().unwrap() / all - 1.0).abs() < 1e-9, "{option}");
    }
}

/// Meters that report once an hour over NB-IoT and TLS.
const METERS: &str = r#"
schema = 1
name = "meters"
deadline = "30d"
seeds = { from = 1, count = 6 }
[[client]]
name = "meter-{i}"
count = 3
radio = { preset = "nb-iot", battery = "18Wh" }
session = "persistent"
keep_alive = "2h"
publish = [{ topic = "meters/{i}", qos = [0, 1, 2], count = 48, every = "1h", payload = "100B" }]
[[client]]
name = "dashboard"
subscribe = [{ filter = "meters/+", qos = 2 }]
[[link]]
between = ["meter-*", "broker"]
transport = "tcp"
tls = "1.2"
delay = "800ms"
up = { rate = "16kbit/s" }
down = { rate = "24kbit/s" }
price = "0.40EUR/MB"
[[link]]
between = ["dashboard", "broker"]
transport = "tcp"
preset = "lan"
"#;

#[test]
fn a_choice_over_tcp_in_which_nothing_breaks_says_so_and_where_breaks_would_change_it() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("s.toml"), METERS).unwrap();
    let fleet = ["--need", "lost <= 1%", "--minimise", "money", "--fleet", "2000"];
    let command = [&["choose", "s.toml", "--out", "out", "-q"][..], &fleet].concat();
    let text_of = |more: &[&str]| {
        let output = run(folder.path(), &[&command[..], more].concat());
        String::from_utf8(output.stdout).unwrap().replace('\n', " ")
    };
    let quiet = text_of(&[]);
    assert!(quiet.starts_with("No connection ended in these runs"), "{quiet}");
    assert!(quiet.contains("Choose QoS 0."), "{quiet}");
    for flip in ["link.meter-*.outage.lasts is above", "link.meter-*.nat_idle is below"] {
        let (_, after) = quiet.split_once(flip).unwrap_or_else(|| panic!("no {flip}: {quiet}"));
        let (flip, _) = after.split_once(". ").unwrap();
        assert!(flip.contains("then QoS 1"), "{flip}");
    }
    // By hand: PUBLISH of 112 B and TCP's acknowledgement, with 29 B of TLS and 40 B of headers,
    // 720 times a month for each of 2,000 devices.
    let by_hand = f64::from(112 + 29 + 40 + 40) * 720.0 * 2_000.0 / 1e6 * 0.40;
    let json = fs::read(folder.path().join("out/choice.json")).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    let month = json["options"][0]["month"]["cost"].as_f64().unwrap();
    assert!((month / by_hand - 1.0).abs() < 0.01, "{month} EUR, by hand {by_hand} EUR");
    let buffer = "It stays so with client.meter-{i}.socket.send_buffer from 2.9 kB to 4.2 MB";
    assert!(quiet.contains(buffer), "{quiet}");
    // A NAT that forgets a connection between two reports, as they all do; so does the preset's.
    for field in ["link.meter-*.nat_idle=5m", "link.meter-*.preset=nb-iot-field"] {
        let broken = text_of(&["--set", field]);
        assert!(broken.starts_with("Choose QoS 1."), "{field}: {broken}");
    }
}

#[test]
fn wills_that_come_when_everybody_reconnects_are_no_messages_to_choose_by() {
    let lamp = r#"
        [[client]]
        name = "lamp"
        will = { topic = "gone", qos = 1 }
        [[link]]
        between = ["lamp", "broker"]
        transport = "tcp"
        delay = "1ms"
    "#;
    let with_will = LOSSY.replace("datagram", "tcp").replace("retry = \"1s\"\n", "") + lamp;
    let text = String::from_utf8(choose(&with_will, &["--need", "lost <= 0"]).stdout).unwrap();
    assert!(text.contains("\nChoose QoS 0.\n"), "{text}");
    assert!(!text.contains("NaN") && !text.contains("inf "), "{text}");
}

#[test]
fn a_volatile_broker_is_reported_as_beyond_any_qos() {
    let volatile = LOSSY
        .replace("name = \"textbook\"", "name = \"textbook\"\n[broker]\nstore = \"volatile\"")
        + "[[fault]]\nat = \"5s\"\non = \"broker\"\ndo = { crash = { down = \"3s\" } }\n";
    let text = assert_answer(&volatile, &["--need", "lost <= 0"], 1, "No QoS meets all needs.\n");
    let output_text = text.replace('\n', " ");
    assert!(output_text.contains("No QoS survives a broker that forgets"), "{text}");
    let text = assert_answer(LOSSY, &["--need", "lost <= 0"], 0, "Choose QoS 1.\n");
    assert!(!text.contains("forgets") && text.contains("Retry rule: timer 1 s"), "{text}");
}

#[test]
fn another_axis_is_chosen_along_with_the_level() {
    let over = ["--over", "qos", "--over", "client.sensor.retry=500ms,2s"];
    let needs = ["--need", "lost <= 0", "--need", "latency.p99 <= 2s"];
    let arguments = [&needs[..], &over].concat();
    let text = assert_answer(LOSSY, &arguments, 0, "Choose QoS 1 at retry 500ms.\n");
    assert!(text.contains("QoS 2 at retry 2s"), "{text}");
}

const CHOOSE: [&str; 8] =
    ["choose", "s.toml", "--need", "lost <= 0", "--seeds", "5", "--out", "out"];

fn run(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_qoslab"));
    command.args(arguments).current_dir(folder).output().unwrap()
}

#[test]
fn a_choice_is_the_same_on_any_jobs_resumed_and_drawn_again() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    // Jitter has no closed form: where it flips is simulated, and kept too.
    let jittery = LOSSY.replace("\"40ms\"", "{ time = \"40ms\", jitter = \"5ms\" }");
    fs::write(here.join("s.toml"), jittery).unwrap();
    let first = run(here, &[&CHOOSE[..], &["-j1"]].concat());
    assert_eq!(first.status.code(), Some(0), "{}", String::from_utf8_lossy(&first.stderr));
    let all_files = files(&here.join("out"));
    for name in ["report.html", "choice.json", "points.csv", "trials.csv", "results.json"] {
        assert!(all_files.contains_key(Path::new(name)), "{name}");
    }
    let page = String::from_utf8(all_files[Path::new("report.html")].clone()).unwrap();
    assert!(page.contains("Choose QoS 1."));
    // A rerun on two jobs, and one after a kill halfway.
    let store = &all_files[Path::new("trials.store")];
    for kept in [store.len(), store.len() / 2] {
        fs::write(here.join("out/trials.store"), &store[..kept]).unwrap();
        let again = run(here, &[&CHOOSE[..], &["-j2"]].concat());
        assert_eq!(again.stdout, first.stdout);
        assert!(files(&here.join("out")) == all_files, "with {kept} bytes of the store");
    }
    // No simulation is needed for it: the scenario is gone.
    fs::remove_file(here.join("s.toml")).unwrap();
    let report = run(here, &["report", "out", "--out", "drawn"]);
    assert_eq!(report.stdout, first.stdout, "{}", String::from_utf8_lossy(&report.stderr));
    let mut drawn = files(&here.join("drawn"));
    drawn.insert("trials.store".into(), store.clone());
    assert!(drawn == all_files);
}
