//! Where messages went, as a run tells it: none goes missing without a word.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::fs;
use std::process::Command;

/// A sensor whose own queue takes a hundred messages of the 300 of an outage.
const FULL_QUEUE: &str = r#"
schema   = 1
name     = "full-queue"
deadline = "4h"
[[client]]
name    = "sensor"
session = "persistent"
offline = { max = 100 }
[[client.publish]]
topic   = "plant/temp"
qos     = 1
count   = 2000
every   = "1s"
[[client]]
name    = "dashboard"
session = "persistent"
[[client.subscribe]]
filter = "plant/+"
qos    = 1
[[link]]
between   = ["sensor", "broker"]
transport = "tcp"
delay     = "40ms"
outage    = { every = "10m", lasts = "5m" }
[[link]]
between   = ["dashboard", "broker"]
transport = "tcp"
delay     = "1ms"
"#;

/// A dashboard that comes to 300 retained messages, of which its queue takes 100 beside the window.
const RETAINED: &str = r#"
schema   = 1
name     = "retained-copies"
[broker]
max_inflight = 20
max_queued   = 100
on_full      = "drop-newest"
[[client]]
name    = "sensor-{i}"
count   = 300
session = "persistent"
[[client.publish]]
topic  = "state/{i}"
qos    = 1
count  = 1
every  = "1s"
retain = true
[[client]]
name    = "dashboard"
session = "persistent"
[[client.subscribe]]
filter = "state/+"
qos    = 1
at     = "30s"
[[link]]
between   = ["*", "broker"]
transport = "tcp"
delay     = "20ms"
[expect]
allow = ["queue-overflow"]
"#;

/// A subscriber without keep alive: it does not notice that its broker crashed and forgot it.
const UNNOTICED_CRASH: &str = r#"
schema = 1
name   = "unnoticed-crash"
[broker]
store = "volatile"
[[client]]
name       = "sensor"
session    = "persistent"
keep_alive = "10s"
[[client.publish]]
topic = "plant/temp"
qos   = 1
count = 120
every = "1s"
[[client]]
name       = "dashboard"
session    = "persistent"
keep_alive = "0s"
[[client.subscribe]]
filter = "plant/+"
qos    = 1
[[link]]
between   = ["*", "broker"]
transport = "tcp"
delay     = "20ms"
[[fault]]
at = "30500ms"
on = "broker"
do = { crash = { down = "3s", peers = "silence" } }
"#;

/// The output of a run of this scenario with one seed, its exit code, and `points.csv`, `results.json`
/// and the page.
fn run(scenario: &str) -> (String, Option<i32>, [String; 3]) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("scenario.toml"), scenario).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_qoslab"))
        .args(["run", "scenario.toml", "--seeds", "1", "--out", "out"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    let results = fs::read_dir(folder.path().join("out")).unwrap().next().unwrap().unwrap().path();
    let file = |name| fs::read_to_string(results.join(name)).unwrap();
    (printed, output.status.code(), ["points.csv", "results.json", "report.html"].map(file))
}

/// The value of a column in the first row.
fn column(points: &str, name: &str) -> String {
    let mut lines = points.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let place = lines.next().unwrap().iter().position(|column| *column == name).unwrap();
    lines.next().unwrap()[place].to_owned()
}

fn on_one_line(printed: &str) -> String {
    printed.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn assert_fits(printed: &str) {
    let longest = printed.lines().map(|line| line.chars().count()).max();
    assert!(longest <= Some(80), "{printed}");
}

#[test]
fn messages_that_the_publishers_own_queue_refuses_are_told() {
    let (printed, code, [points, json, page]) = run(FULL_QUEUE);
    assert_eq!(code, Some(0), "{printed}");
    let refused = column(&points, "refused_queue_full");
    assert_ne!(refused, "0");
    // As many as have no copy: the dashboard is always there.
    assert_eq!(refused, column(&points, "lost"));
    let line = format!("\n           {refused} of 2,000 (19.2 %) refused by the publisher's own");
    assert!(printed.contains(&line), "{printed}");
    assert!(on_one_line(&printed).contains("own full queue (offline.max = 100)"), "{printed}");
    assert!(json.contains(&format!("\"refused_queue_full\": {refused}")));
    assert!(page.contains("Where messages went"));
    assert!(page.contains("refused by the publisher's own full queue (offline.max = 100)"));
    assert_fits(&printed);
}

#[test]
fn retained_copies_are_counted_as_owed_and_delivered() {
    let (printed, code, [points, json, page]) = run(RETAINED);
    assert_eq!(code, Some(0), "{printed}");
    let counts = ["nobody_subscribed", "retained_owed", "retained_delivered", "dropped_queue_full"];
    assert_eq!(counts.map(|name| column(&points, name)), ["300", "300", "120", "180"]);
    for line in [
        "300 of 300 (100.0 %) published while nobody was subscribed, in no share",
        "180 of 300 (60.0 %) dropped by the broker's full queue (max_queued = 100)",
        "120 of 300 (40.0 %) retained messages delivered to new subscriptions",
    ] {
        assert!(on_one_line(&printed).contains(line), "{line} is not in\n{printed}");
        assert!(page.contains(line), "{line}");
    }
    // Nobody was owed a live copy: there is no share of them, and nothing that was lost.
    let row = printed.lines().find(|line| line.starts_with("    1 ")).unwrap();
    let cells: Vec<&str> = row.split_whitespace().collect();
    assert_eq!(cells[..4], ["1", "-", "-", "-"], "{row}");
    assert_eq!(column(&points, "delivered_share"), "");
    assert!(json.contains("\"delivered_share\": null"));
    assert_fits(&printed);
}

#[test]
fn messages_published_after_a_subscription_was_forgotten_are_told() {
    let (printed, code, [points, ..]) = run(UNNOTICED_CRASH);
    assert_eq!(code, Some(0), "{printed}");
    let count = |name| column(&points, name).parse::<u32>().unwrap();
    let (nobody, given_up) = (count("nobody_subscribed"), count("refused_session_ended"));
    assert_eq!(nobody + given_up + count("units"), 120, "none is missing");
    let told = on_one_line(&printed);
    assert!(
        told.contains(&format!("{nobody} of 120 (70.8 %) published while nobody")),
        "{printed}"
    );
    let line = format!("{given_up} of 120 (3.3 %) given up by the publisher with its session");
    assert!(told.contains(&line), "{printed}");
    assert_fits(&printed);
}

#[test]
fn a_subscriber_that_was_forgotten_is_told_beside_one_that_was_not() {
    let other = UNNOTICED_CRASH.replace(
        "[[link]]",
        "[[client]]\nname = \"archive\"\nsession = \"persistent\"\nkeep_alive = \"5s\"\n\
         subscribe = [{ filter = \"plant/#\", qos = 1 }]\n[[link]]",
    );
    let (printed, _, [points, ..]) = run(&other);
    let count = |name| column(&points, name).parse::<u32>().unwrap();
    // What reached the archive was published while the dashboard was not subscribed.
    let missed = count("not_subscribed");
    let nobody_and_given_up = count("nobody_subscribed") + count("refused_session_ended");
    assert_eq!(count("units") + missed + 2 * nobody_and_given_up, 240, "{printed}");
    assert!(missed > 80, "{printed}");
    let told = on_one_line(&printed);
    assert!(told.contains("published while their subscriber was not subscribed"), "{printed}");
    assert_fits(&printed);
}

#[test]
fn a_sweep_and_a_choice_say_where_messages_went_too() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("scenario.toml"), FULL_QUEUE).unwrap();
    let printed = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_qoslab"))
            .args(arguments)
            .args(["--seeds", "1", "--out", "out"])
            .current_dir(folder.path())
            .output()
            .unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        assert_fits(&printed);
        on_one_line(&printed)
    };
    let vary = "client.sensor.offline.max=50,100";
    let swept = printed(&["sweep", "scenario.toml", "--vary", vary]);
    assert!(swept.contains("refused by the publisher's own full queue"), "{swept}");
    let chosen = printed(&["choose", "scenario.toml", "--need", "lost <= 50%", "--qos", "1"]);
    let line =
        "Messages with QoS 1: 384 of 2,000 (19.2 %) refused by the publisher's own full queue";
    assert!(chosen.contains(line), "{chosen}");
}
