//! Each way in which parts of a file can disagree with each other, as it is shown.

use super::super::*;
use super::SMALL;
use super::errors::{error_after_replacing, error_text};

/// Expectations that cannot apply, most of them not even with every QoS.
const EXPECTATIONS: &str = r#"[expect]
sometimes = ["outage", "los"]
allow = ["overflow"]
need = ["qos2.lost <= 0", "lost", "latency <= 2s", "latency.p99 <= 2", "loss <= 1%"]
[[expect.broken]]
promise = "exactly-once"
kind = "duplicated"
blame = "network"
why = "x"
[[expect.broken]]
promise = "at-least-once"
kind = "duplicated"
blame = "network"
why = "x"
"#;

#[test]
fn links_without_a_client_are_refused() {
    let text = SMALL.replace("[\"*\", \"broker\"]", "[\"senser\", \"broker\"]");
    insta::assert_snapshot!(error_text(&text), @r#"
    error: `sensor` has no link
     --> test.toml:5:8
      |
    5 | name = "sensor"
      |        ^^^^^^^^ it could reach nobody
      |
    help: add a [[link]] with `between = ["sensor", "broker"]`

    error: `dashboard` has no link
     --> test.toml:8:8
      |
    8 | name = "dashboard"
      |        ^^^^^^^^^^^ it could reach nobody
      |
    help: add a [[link]] with `between = ["dashboard", "broker"]`

    error: there is no client `senser`
      --> test.toml:11:11
       |
    11 | between = ["senser", "broker"]
       |           ^^^^^^^^^^^^^^^^^^^^ a link to nobody
       |
    help: did you mean `sensor`?
    "#);
    insta::assert_snapshot!(error_after_replacing("[\"*\", \"broker\"]", "[\"sensor\", \"dashboard\"]"), @r#"
    error: `sensor` has no link
     --> test.toml:5:8
      |
    5 | name = "sensor"
      |        ^^^^^^^^ it could reach nobody
      |
    help: add a [[link]] with `between = ["sensor", "broker"]`

    error: `dashboard` has no link
     --> test.toml:8:8
      |
    8 | name = "dashboard"
      |        ^^^^^^^^^^^ it could reach nobody
      |
    help: add a [[link]] with `between = ["dashboard", "broker"]`

    error: a link is between a client and the broker
      --> test.toml:11:11
       |
    11 | between = ["sensor", "dashboard"]
       |           ^^^^^^^^^^^^^^^^^^^^^^^
       |
    help: write it as in `between = ["sensor-*", "broker"]`
    "#);
}

#[test]
fn two_links_for_one_client() {
    let text = format!(
        "{SMALL}[[link]]\nbetween = [\"sensor\", \"broker\"]\ntransport = \"datagram\"\n\
         preset = \"lann\"\n"
    );
    insta::assert_snapshot!(error_text(&text), @r#"
    error: `sensor` has two links
      --> test.toml:15:11
       |
    15 | between = ["sensor", "broker"]
       |           ^^^^^^^^^^^^^^^^^^^^ the one at line 11 is for it too

    error: there is no preset `lann`
      --> test.toml:17:10
       |
    17 | preset = "lann"
       |          ^^^^^^ not a known network
       |
    help: did you mean `lan`?
    "#);
}

#[test]
fn a_link_without_a_delay_and_a_queue_without_a_rate() {
    insta::assert_snapshot!(error_after_replacing("delay = \"20ms\"", "queue = 5"), @r#"
    error: a link needs a delay
      --> test.toml:11:11
       |
    11 | between = ["*", "broker"]
       |           ^^^^^^^^^^^^^^^ this one takes no time
       |
    help: add `delay = "20ms"` or a preset: lan, wifi, lte, lte-field, nb-iot, nb-iot-field, satellite, lora-like

    error: a queue needs a rate
      --> test.toml:13:9
       |
    13 | queue = 5
       |         ^ without one nothing ever waits
       |
    help: add `rate = "256kbit/s"`, or leave the queue out
    "#);
}

#[test]
fn two_clients_of_one_name() {
    insta::assert_snapshot!(error_after_replacing("\"dashboard\"", "\"sensor\""), @r#"
    error: two clients have the name `sensor`
     --> test.toml:8:8
      |
    8 | name = "sensor"
      |        ^^^^^^^^ `sensor` also makes this name
    "#);
    let text =
        SMALL.replace("\"sensor\"", "\"c-{i}\"\ncount = 3").replace("\"dashboard\"", "\"c-2\"");
    insta::assert_snapshot!(error_text(&text), @r#"
    error: two clients have the name `c-2`
     --> test.toml:9:8
      |
    9 | name = "c-2"
      |        ^^^^^ `c-{i}` also makes this name
    "#);
}

#[test]
fn a_fleet_without_numbers_and_numbers_without_a_fleet() {
    let text = SMALL
        .replace("name = \"sensor\"", "name = \"sensor\"\ncount = 3")
        .replace("filter = \"t\"", "filter = \"t/{i}\"");
    insta::assert_snapshot!(error_text(&text), @r#"
    error: a fleet needs `{i}` in its name
     --> test.toml:5:8
      |
    5 | name = "sensor"
      |        ^^^^^^^^ 3 clients would share it
      |
    help: write `sensor-{i}`

    error: `{i}` needs a fleet
      --> test.toml:10:25
       |
    10 | subscribe = [{ filter = "t/{i}", qos = 2 }]
       |                         ^^^^^^^ this client has no number
       |
    help: add `count` to the client, or write the text without `{i}`
    "#);
}

#[test]
fn an_unknown_qos_and_axes_that_differ() {
    insta::assert_snapshot!(error_after_replacing("qos = 2", "qos = 3"), @r#"
    error: qos must be 0, 1 or 2
     --> test.toml:9:36
      |
    9 | subscribe = [{ filter = "t", qos = 3 }]
      |                                    ^ there is no QoS 3
    "#);
    let second = "every = \"1s\" }, { topic = \"u\", qos = [0, 1], count = 1, every = \"1s\" }";
    insta::assert_snapshot!(error_after_replacing("every = \"1s\" }", second), @r#"
    error: all lists of QoS on [[client.publish]] must be the same
     --> test.toml:6:92
      |
    6 | publish = [{ topic = "t", qos = [0, 1, 2], count = 3, every = "1s" }, { topic = "u", qos = [0, 1], count = 1, every = "1s" }]
      |                                                                                            ^^^^^^ this one differs from the first
      |
    help: they are one axis and move together; write a single QoS for what stays
    "#);
}

#[test]
fn contradictory_times_are_refused() {
    let text = SMALL
        .replace("filter = \"t\", qos = 2", "filter = \"t\", qos = 2, at = \"5s\", until = \"4s\"")
        .replace(
            "name = \"sensor\"",
            "name = \"sensor\"\naway = [{ at = \"1m\", lasts = \"30s\" }, { at = \"50s\", lasts = \"20s\" }]",
        )
        .replace("count = 3, every = \"1s\"", "count = 3, only = [1, 3], every = \"1d\"");
    insta::assert_snapshot!(error_text(&text), @r#"
    error: two absences overlap
     --> test.toml:6:16
      |
    6 | away = [{ at = "1m", lasts = "30s" }, { at = "50s", lasts = "20s" }]
      |                ^^^^ still away since 50 s

    error: `only` can name messages from 0 to 2
     --> test.toml:7:62
      |
    7 | publish = [{ topic = "t", qos = [0, 1, 2], count = 3, only = [1, 3], every = "1d" }]
      |                                                              ^^^^^^ there is no message 3

    error: this comes after the deadline of 1h
     --> test.toml:7:78
      |
    7 | publish = [{ topic = "t", qos = [0, 1, 2], count = 3, only = [1, 3], every = "1d" }]
      |                                                                              ^^^^ this is 2d after the start
      |
    help: raise `deadline`

    error: unsubscribes before it subscribes
      --> test.toml:10:58
       |
    10 | subscribe = [{ filter = "t", qos = 2, at = "5s", until = "4s" }]
       |                                                          ^^^^ it subscribes at 5 s
    "#);
}

#[test]
fn reconnect_counters_need_a_client_that_is_away() {
    let sometimes = |words: &str| format!("{SMALL}[expect]\nsometimes = [{words}]\n");
    let words = ["reconnect", "takeover", "offline-queued", "session-resumed"];
    let present = "name = \"dashboard\"\nkeep_alive = \"1s\"";
    let away = "name = \"dashboard\"\naway = [{ at = \"1s\", lasts = \"1s\" }]";
    let clean = format!("{away}\nsession = \"clean\"");
    for word in words {
        let text = sometimes(&format!("\"{word}\""))
            .replace("delay", "outage = { every = \"5s\", lasts = \"1s\" }\ndelay");
        let client = |table: &str| text.replace("name = \"dashboard\"", table);
        let told = error_text(&client(present));
        assert!(told.contains(&format!("`{word}` can never happen here")), "{told}");
        let with = |table: &str| Scenario::parse("test.toml", &client(table));
        with(away).unwrap_or_else(|errors| panic!("{word}: {errors}"));
        assert_eq!(with(&clean).is_err(), word == "session-resumed", "{word}");
    }
}

#[test]
fn words_of_never_are_those_of_sometimes_and_no_word_is_in_both() {
    let text =
        format!("{SMALL}[expect]\nsometimes = [\"loss\"]\nnever = [\"wil\", \"loss\", \"will\"]\n")
            .replace("delay", "loss = \"1%\"\ndelay");
    insta::assert_snapshot!(error_text(&text), @r#"
    error: never cannot be `wil`
      --> test.toml:17:10
       |
    17 | never = ["wil", "loss", "will"]
       |          ^^^^^ unknown word
       |
    help: did you mean `will`?

    error: `loss` must happen and must never happen
      --> test.toml:17:17
       |
    17 | never = ["wil", "loss", "will"]
       |                 ^^^^^^ it is in `sometimes` too
       |
    help: take it out of one of the two lists
    "#);
}

#[test]
fn expectations_that_cannot_apply() {
    let text = SMALL.replace("qos = [0, 1, 2]", "qos = 1") + EXPECTATIONS;
    insta::assert_snapshot!(error_text(&text), @r#"
    error: `outage` can never happen here
      --> test.toml:15:14
       |
    15 | sometimes = ["outage", "los"]
       |              ^^^^^^^^ nothing in this scenario causes it

    error: sometimes cannot be `los`
      --> test.toml:15:24
       |
    15 | sometimes = ["outage", "los"]
       |                        ^^^^^ unknown word
       |
    help: did you mean `loss`?

    error: allow cannot be `overflow`
      --> test.toml:16:10
       |
    16 | allow = ["overflow"]
       |          ^^^^^^^^^^ unknown word
       |
    help: known here: queue-overflow

    error: no trial publishes with QoS 2
      --> test.toml:17:9
       |
    17 | need = ["qos2.lost <= 0", "lost", "latency <= 2s", "latency.p99 <= 2", "loss <= 1%"]
       |         ^^^^^^^^^^^^^^^^ so this need can never be judged

    error: the need compares nothing
      --> test.toml:17:27
       |
    17 | need = ["qos2.lost <= 0", "lost", "latency <= 2s", "latency.p99 <= 2", "loss <= 1%"]
       |                           ^^^^^^ there is no <=, >=, <, > or ==
       |
    help: write it as in "qos1.latency.p99 <= 2s" or "lost <= 0.1%"

    error: the need names no statistic
      --> test.toml:17:35
       |
    17 | need = ["qos2.lost <= 0", "lost", "latency <= 2s", "latency.p99 <= 2", "loss <= 1%"]
       |                                   ^^^^^^^^^^^^^^^ a time has many values
       |
    help: write .p50, .p90, .p95, .p99, .p99.9, .max or .mean

    error: the need needs a unit
      --> test.toml:17:52
       |
    17 | need = ["qos2.lost <= 0", "lost", "latency <= 2s", "latency.p99 <= 2", "loss <= 1%"]
       |                                                    ^^^^^^^^^^^^^^^^^^ `2` has no unit
       |
    help: write "2ms" or "2s"

    error: the need names no metric
      --> test.toml:17:72
       |
    17 | need = ["qos2.lost <= 0", "lost", "latency <= 2s", "latency.p99 <= 2", "loss <= 1%"]
       |                                                                        ^^^^^^^^^^^^ there is no metric `loss`
       |
    help: did you mean `lost`?

    error: nobody is promised this here
      --> test.toml:18:1
       |
    18 | [[expect.broken]]
       | ^^^^^^^^^^^^^^^^^ no message is published and subscribed to with such a QoS

    error: this promise cannot break so
      --> test.toml:23:1
       |
    23 | [[expect.broken]]
       | ^^^^^^^^^^^^^^^^^ an expectation without a case
       |
    help: its kinds: lost
    "#);
}

#[test]
fn an_unknown_word_in_an_expected_break() {
    let (_, breaks) = EXPECTATIONS.split_once("[[expect.broken]]").unwrap();
    let text = format!("{SMALL}[[expect.broken]]{breaks}");
    let text = text.replace("at-least-once", "at-leats-once");
    insta::assert_snapshot!(error_text(&text), @r#"
    error: promise cannot be `at-leats-once`
      --> test.toml:20:11
       |
    20 | promise = "at-leats-once"
       |           ^^^^^^^^^^^^^^^ unknown word
       |
    help: did you mean `at-least-once`?
    "#);
}

#[test]
fn too_many_clients_and_nobody_who_publishes() {
    let text = SMALL.replace("name = \"sensor\"", "name = \"s-{i}\"\ncount = 999_999");
    insta::assert_snapshot!(error_text(&text), @r#"
    error: these are too many clients
     --> test.toml:9:8
      |
    9 | name = "dashboard"
      |        ^^^^^^^^^^^ 1,000,000 in all
      |
    help: at most 200,000
    "#);
    insta::assert_snapshot!(error_after_replacing("publish = [{ topic = \"t\", qos = [0, 1, 2], count = 3, every = \"1s\" }]", ""), @r#"
    error: nobody publishes
     --> test.toml:5:8
      |
    5 | name = "sensor"
      |        ^^^^^^^^ no client has a [[client.publish]]
      |
    help: add one to a client
    "#);
}

#[test]
fn an_expected_break_of_a_rule() {
    let text = |keys: &str, blame: &str| {
        format!("{SMALL}[[expect.broken]]\nblame = \"{blame}\"\nwhy = \"x\"\n{keys}")
    };
    let known = Scenario::parse("test.toml", &text("rule = \"MQTT-3.3.1-1\"", "broker"));
    assert_eq!(known.expect("an id is known").expect.broken.len(), 1);
    for (keys, blame, told) in [
        ("rule = \"MQTT-9.9.9-9\"", "broker", "no rule is called `MQTT-9.9.9-9`"),
        ("rule = \"resend-without-dup\"", "network", "only an endpoint can break a rule"),
        ("rule = \"id-in-use\"\nkind = \"lost\"", "broker", "what breaks is not clear"),
        ("kind = \"lost\"", "broker", "give `promise` and `kind`, or `rule` alone"),
    ] {
        let refused = error_text(&text(keys, blame));
        assert!(refused.contains(told), "{refused}");
    }
}
