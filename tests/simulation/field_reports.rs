//! Inputs from the field, whose answers hang on TCP's window and buffers and on clients' habits.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::sync::atomic::AtomicBool;

use qoslab::base::Ending;
use qoslab::guarantee::Outcome;
use qoslab::scenario::Scenario;
use qoslab::sim::EventEngine;
use qoslab::study::judge_trial;

/// A publisher on a link of its own, and a subscriber beside the broker.
#[derive(Clone, Copy, Default)]
struct Report<'a> {
    broker: &'a str,
    sensor: &'a str,
    publish: &'a str,
    link: &'a str,
    app: &'a str,
    rest: &'a str,
}

impl Report<'_> {
    /// What comes of it at QoS 0, 1 and 2.
    fn outcomes(&self) -> [Outcome; 3] {
        [0, 1, 2].map(|qos| {
            let outcome = self.outcome(qos);
            assert_eq!(outcome.ending, Ending::Quiescent, "QoS {qos}");
            outcome
        })
    }

    /// What comes of it at one QoS.
    fn outcome(&self, qos: usize) -> Outcome {
        let Self { broker, sensor, publish, link, app, rest } = self;
        let text = format!(
            r#"
schema = 1
name = "report"
deadline = "3h"
[broker]
{broker}
[[client]]
name = "sensor"
{sensor}
publish = [{{ topic = "t", qos = [0, 1, 2], {publish} }}]
[[client]]
name = "app"
subscribe = [{{ filter = "t", qos = 2 }}]
{app}
[[link]]
between = ["sensor", "broker"]
transport = "tcp"
{link}
[[link]]
between = ["app", "broker"]
transport = "tcp"
delay = "1us"
{rest}
"#
        );
        let scenario = Scenario::parse("report.toml", &text).unwrap_or_else(|e| panic!("{e}"));
        let trial = scenario.points[qos].trial(1);
        let outcome = judge_trial(&EventEngine, &trial, &AtomicBool::new(false)).unwrap();
        assert!(outcome.violations.is_empty(), "{:?}", outcome.violations);
        outcome
    }

    /// How many messages were lost.
    fn lost(&self) -> [u64; 3] {
        self.outcomes().map(|outcome| outcome.metrics.qos.iter().map(|qos| qos.counts.lost).sum())
    }
}

/// How late the last message was, in milliseconds.
fn latest_millis(outcome: &Outcome) -> u64 {
    let qos = outcome.metrics.qos.iter().find(|qos| qos.counts.units > 0).unwrap();
    qos.latency.quantile(1.0, qos.counts.delivered).unwrap().as_nanos() / 1_000_000
}

#[test]
fn one_big_message_fills_a_narrow_line_whatever_the_queue() {
    for queue in [20, 100, 1_000] {
        let link = format!("delay = \"50ms\"\nup = {{ rate = \"512kbit/s\", queue = {queue} }}");
        let report = Report {
            publish: "count = 1, every = \"1s\", payload = \"300000B\"",
            link: &link,
            ..Report::default()
        };
        for outcome in report.outcomes() {
            // The line needs 4.85 s; the kernel took 4.92 s with 20 and 4.93 s with 100.
            let millis = latest_millis(&outcome);
            assert!((4_800..5_100).contains(&millis), "queue {queue}: {millis} ms");
        }
    }
}

#[test]
fn a_line_that_is_too_narrow_is_full_and_starves_no_keep_alive() {
    let report = |sensor| Report {
        sensor,
        publish: "count = 6000, every = \"10ms\", payload = \"1000B\"",
        link: "delay = \"10ms\"\nup = { rate = \"256kbit/s\", queue = 100 }",
        rest: "[expect]\nallow = [\"queue-overflow\"]",
        ..Report::default()
    };
    for outcome in report("keep_alive = \"5s\"\nsocket = { when_full = \"wait\" }").outcomes() {
        assert_eq!(outcome.counters["keep-alive-expired"], 0);
        assert!(outcome.counters["retransmission"] < 300, "{:?}", outcome.counters);
        let lost: u64 = outcome.metrics.qos.iter().map(|qos| qos.counts.lost).sum();
        assert_eq!(lost, 0, "an application that waits loses nothing on a line that loses nothing");
    }
    // In a minute the line takes some 1,800 messages; 1,000 wait, and 65 in the socket.
    let [lost, ..] = report("keep_alive = \"5s\"").lost();
    assert!((2_800..3_200).contains(&lost), "{lost}");
}

#[test]
fn a_larger_window_is_never_slower_over_a_narrow_radio() {
    let millis = [1, 5, 20, 100, 500].map(|window: u32| {
        let sensor = format!("max_inflight = {window}");
        let broker = format!("max_inflight = {window}");
        let report = Report {
            broker: &broker,
            sensor: &sensor,
            publish: "count = 500, every = \"1ms\", payload = \"200B\"",
            link: "preset = \"nb-iot\"",
            ..Report::default()
        };
        latest_millis(&report.outcomes()[1])
    });
    // The jitter of the last message may be a second.
    assert!(millis.is_sorted_by(|small, large| small + 1_000 >= *large), "{millis:?}");
    // The line needs 62 s.
    assert!((55_000..75_000).contains(&millis[4]), "{millis:?}");
}

/// A kilobyte a second into an outage of a minute, and room for ten messages that wait.
const OUTAGE: Report<'_> = Report {
    broker: "",
    sensor: "",
    publish: "count = 300, every = \"1s\", payload = \"1000B\"",
    link: "delay = \"40ms\"",
    app: "",
    rest: "[[fault]]\nat = \"100s\"\non = \"sensor\"\ndo = { outage = \"60s\" }\n\
           [expect]\nallow = [\"queue-overflow\"]",
};

#[test]
fn what_a_socket_holds_decides_what_qos_0_loses_in_an_outage() {
    // The first segment that gets through after the outage leaves 72 s after the first that does
    // not: the timeout doubles. Then QoS 1 has 20 in flight and 10 that wait, and loses the rest;
    // QoS 0 has the socket and 10 that wait.
    let [linux, esp, lwip] = ["linux", "esp-idf", "lwip"].map(|buffer| {
        let sensor = format!(
            "keep_alive = \"60s\"\noffline = {{ max = 10 }}\n\
             socket = {{ send_buffer = \"{buffer}\" }}"
        );
        Report { sensor: &sensor, ..OUTAGE }.lost()
    });
    assert_eq!(linux, [0, 42, 48]);
    assert_eq!(esp, [56, 42, 48]);
    assert_eq!(lwip, [59, 42, 48]);
}

#[test]
fn a_full_socket_drops_queues_or_holds_up_as_it_is_set() {
    let [queue, drop, wait] = ["queue", "drop", "wait"].map(|when_full| {
        let sensor = format!(
            "keep_alive = \"60s\"\noffline = {{ max = 10 }}\n\
             socket = {{ send_buffer = \"esp-idf\", when_full = \"{when_full}\" }}"
        );
        Report { sensor: &sensor, ..OUTAGE }.lost()
    });
    assert_eq!((queue, drop, wait), ([56, 42, 48], [66, 42, 48], [0, 0, 0]));
}

#[test]
fn a_broker_drops_qos_0_for_a_consumer_that_is_too_slow() {
    let report = |broker| Report {
        broker,
        publish: "count = 2000, every = \"50ms\", payload = \"1000B\"",
        link: "delay = \"10ms\"",
        app: "socket = { read_every = \"200ms\" }",
        rest: "[expect]\nallow = [\"queue-overflow\"]",
        ..Report::default()
    };
    let outcomes = report("max_queued = 100").outcomes();
    for outcome in &outcomes {
        assert!(outcome.counters["queue-overflow"] > 1_000, "{:?}", outcome.counters);
    }
    assert_eq!(outcomes[0].counters["socket-full"], 1);
    // It reads 500 of the 2,000 while they come, two sockets hold 64 KiB each, and the queue 100.
    let [lost, ..] = report("max_queued = 100").lost();
    assert!((1_250..1_300).contains(&lost), "{lost}");
    let [dropped, ..] = report("max_queued = 100\nsocket = { when_full = \"drop\" }").lost();
    assert!((1_300..1_450).contains(&dropped), "{dropped}");
}

#[test]
fn a_consumer_that_reads_slowly_still_gets_its_connection() {
    let report = Report {
        publish: "count = 3, every = \"1s\", payload = \"10B\"",
        link: "delay = \"10ms\"",
        app: "socket = { read_every = \"20s\" }",
        rest: "[[fault]]\nat = \"1ms\"\non = \"app\"\ndo = \"cut\"",
        ..Report::default()
    };
    assert_eq!(report.outcomes()[1].counters["reconnect"], 1);
}

#[test]
fn a_reader_that_is_back_takes_up_what_filled_its_window_at_once() {
    let report = Report {
        publish: "count = 60, every = \"1s\", payload = \"300kB\"",
        link: "delay = \"10ms\"",
        rest: "[[fault]]\nat = \"1ms\"\non = \"sensor\"\ndo = { stall = \"50s\" }",
        ..Report::default()
    };
    for outcome in report.outcomes() {
        let millis = latest_millis(&outcome);
        // A window probe alone would have come up to a minute later.
        assert!((50_000..50_500).contains(&millis), "{millis} ms");
    }
}

#[test]
fn a_connection_that_dies_while_its_window_is_closed_is_given_up() {
    let report = Report {
        publish: "count = 100, every = \"1s\", payload = \"10kB\"",
        link: "delay = \"10ms\"\nuser_timeout = \"30s\"",
        rest: "[[fault]]\nat = \"1ms\"\non = \"sensor\"\ndo = { stall = \"30s\" }\n\
               [[fault]]\nat = \"25s\"\non = \"sensor\"\ndo = { half-open = \"broker\" }",
        ..Report::default()
    };
    let outcomes = report.outcomes();
    for outcome in &outcomes {
        assert_eq!(outcome.counters["user-timeout"], 1, "{:?}", outcome.counters);
    }
    // What was in the socket, and what waited for it, goes with the connection at QoS 0.
    let lost =
        outcomes.map(|outcome| outcome.metrics.qos.iter().map(|qos| qos.counts.lost).sum::<u64>());
    assert!(lost[0] > 20 && lost[1..] == [0, 0], "{lost:?}");
}

#[test]
fn paho_finds_a_dead_connection_out_and_keeps_its_outbox() {
    let report = |at: &str| {
        let rest =
            format!("[[fault]]\nat = \"{at}\"\non = \"sensor\"\ndo = {{ half-open = \"broker\" }}");
        Report {
            sensor: "profile = \"paho-python-2\"\nkeep_alive = \"15s\"",
            publish: "count = 300, every = \"2s\", payload = \"64B\"",
            link: "delay = \"1ms\"",
            rest: &rest,
            ..Report::default()
        }
        .lost()
    };
    // It pings each 15 s, because nothing comes; the one at 2 min is not answered.
    assert_eq!(report("2m"), [9, 0, 0]);
    // It dies just after an answer: 15 s to the ping, 15 s to its timeout, a pause of 1 s.
    assert_eq!(report("121s"), [15, 0, 0]);
}

#[test]
fn a_long_publish_on_a_slow_line_is_a_sign_of_life_or_not() {
    let report = |broker| Report {
        broker,
        sensor: "keep_alive = \"5s\"\nping_timeout = \"1m\"",
        publish: "count = 1, every = \"1s\", payload = \"60kB\"",
        link: "delay = \"50ms\"\nup = { rate = \"32kbit/s\", queue = 100 }",
        ..Report::default()
    };
    let broken = report("sign_of_life = \"bytes\"").outcome(1).rule_violations;
    assert!(broken.is_empty(), "{broken:?}");
    // It takes 15 s, and the broker waits for 7.5 s.
    let expired = |broker, qos| report(broker).outcome(qos).counters["keep-alive-expired"];
    for qos in [0, 1, 2] {
        assert_eq!(expired("sign_of_life = \"bytes\"", qos), 0);
    }
    assert_eq!(expired("sign_of_life = \"packets\"", 0), 1);
    // What is sent again takes as long again.
    assert!(expired("sign_of_life = \"packets\"", 1) > 100);
}

#[test]
fn what_a_member_of_a_group_leaves_reaches_another_one() {
    let text = r#"
schema = 1
name = "group"
deadline = "1h"
[[client]]
name = "sensor"
publish = [{ topic = "t", qos = [1, 2], count = 100, every = "1s" }]
[[client]]
name = "worker-{i}"
count = 2
session = "clean"
subscribe = [{ filter = "$share/g/t", qos = 2 }]
[[link]]
between = ["*", "broker"]
transport = "tcp"
delay = "40ms"
[[fault]]
at = "50.0s"
on = "worker-1"
do = { outage = "30s" }
[[fault]]
at = "60s"
on = "worker-1"
do = "cut"
[[fault]]
at = "60.001s"
on = "worker-2"
do = { outage = "1s" }
"#;
    let scenario = Scenario::parse("group.toml", text).unwrap_or_else(|e| panic!("{e}"));
    let lost = scenario.points.iter().map(|point| {
        let outcome = judge_trial(&EventEngine, &point.trial(1), &AtomicBool::new(false)).unwrap();
        assert!(outcome.violations.is_empty(), "{:?}", outcome.violations);
        outcome.metrics.qos.iter().map(|qos| qos.counts.lost).sum::<u64>()
    });
    let lost: Vec<_> = lost.collect();
    // Of what was under way to the first worker QoS 1 goes to the second; QoS 2 must not.
    assert_eq!(lost[0], 0, "QoS 1");
    assert!(lost[1] > 0, "QoS 2");
}
