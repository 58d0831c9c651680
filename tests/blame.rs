//! Blame on random worlds: endpoints that keep every rule are never blamed, whatever the network
//! and the settings do to their packets, and nothing is left without an explanation.

mod common;

use std::sync::atomic::AtomicBool;

use proptest::prelude::*;
use proptest::sample::select;
use qoslab::guarantee::verdict::{Blame, Ending, Outcome, StoryLine, Violation};
use qoslab::scenario::trial::Trial;
use qoslab::study::judge::judge_trial;

/// One direction of a link, with everything that a network may do.
fn link(between: &'static str) -> impl Strategy<Value = String> {
    let delay = (1..400_u32, 0..=100_u32).prop_map(|(mean, share)| {
        let jitter = mean * share / 100;
        format!("{{ time = \"{mean}ms\", jitter = \"{jitter}ms\", distribution = \"uniform\" }}")
    });
    let loss = prop_oneof![
        Just("0%".to_owned()).prop_map(|rate| format!("\"{rate}\"")),
        (1..45_u32).prop_map(|rate| format!("\"{rate}%\"")),
        (50..3_000_u32)
            .prop_map(|bad| format!("{{ burst = {{ good = \"2s\", bad = \"{bad}ms\" }} }}")),
    ];
    let duplicate = prop_oneof![Just(0), 1..40_u32];
    let outage = prop_oneof![
        3 => Just(""),
        1 => Just("outage = { every = \"exp 4s\", lasts = \"exp 2s\" }"),
    ];
    (delay, loss.clone(), loss, duplicate, outage).prop_map(
        move |(delay, up, down, duplicate, outage)| {
            format!(
                "[[link]]\nbetween = [\"{between}\", \"broker\"]\ndelay = {delay}\n\
                 duplicate = \"{duplicate}%\"\nup = {{ loss = {up} }}\n\
                 down = {{ loss = {down} }}\n{outage}\n"
            )
        },
    )
}

/// A retry rule by the timer, sometimes far too early, sometimes with a limit.
fn retry() -> impl Strategy<Value = String> {
    let limit =
        prop_oneof![3 => Just(String::new()), 1 => (1..5_u32).prop_map(|n| format!(", max = {n}"))];
    (20..900_u32, select(vec![1.0, 1.5, 2.0]), limit).prop_map(|(every, backoff, limit)| {
        format!("retry = {{ every = \"{every}ms\", backoff = {backoff:?}{limit} }}\n")
    })
}

/// How one end keeps ids, windows and QoS 2 messages.
fn hop() -> impl Strategy<Value = String> {
    let ids = select(vec!["cyclic", "lowest-free"]);
    let deliver_on = select(vec!["publish", "pubrel"]);
    (retry(), ids, deliver_on, 1..8_u32).prop_map(|(retry, ids, deliver_on, window)| {
        format!("{retry}ids = \"{ids}\"\ndeliver_on = \"{deliver_on}\"\nmax_inflight = {window}\n")
    })
}

/// Absences and the kind of session.
fn presence() -> impl Strategy<Value = String> {
    let away = prop_oneof![
        2 => Just(String::new()),
        1 => (0..3_000_u32, 1..3_000_u32).prop_map(|(at, lasts)| {
            format!("away = [{{ at = \"{at}ms\", lasts = \"{lasts}ms\" }}]\n")
        }),
    ];
    let session = prop_oneof![3 => Just("persistent"), 1 => Just("clean")];
    let keep_alive = prop_oneof![3 => Just("0s"), 1 => Just("1s")];
    (away, session, keep_alive).prop_map(|(away, session, keep_alive)| {
        format!("{away}session = \"{session}\"\nkeep_alive = \"{keep_alive}\"\n")
    })
}

/// One subscription, sometimes late, sometimes given up.
fn subscription() -> impl Strategy<Value = String> {
    let from = prop_oneof![3 => Just(None), 1 => (0..2_000_u32).prop_map(Some)];
    let until = prop_oneof![3 => Just(None), 1 => (2_000..5_000_u32).prop_map(Some)];
    let filter = select(vec!["t", "#"]);
    (filter, 0..3_u32, from, until).prop_map(|(filter, qos, from, until)| {
        let from = from.map(|at| format!("at = \"{at}ms\"\n")).unwrap_or_default();
        let until = until.map(|at| format!("until = \"{at}ms\"\n")).unwrap_or_default();
        format!("[[client.subscribe]]\nfilter = \"{filter}\"\nqos = {qos}\n{from}{until}")
    })
}

fn publishing() -> impl Strategy<Value = String> {
    (0..3_u32, 1..30_u32, 1..400_u32, prop::bool::weighted(0.2)).prop_map(
        |(qos, count, every, retain)| {
            format!(
                "[[client.publish]]\ntopic = \"t\"\nqos = {qos}\ncount = {count}\n\
                 every = \"{every}ms\"\npayload = \"64B\"\nretain = {retain}\n"
            )
        },
    )
}

prop_compose! {
    /// A whole world of a publisher and one or two subscribers with correct endpoints.
    fn world()(
        mqtt in select(vec!["3.1", "3.1.1", "5.0"]),
        broker in hop(),
        queue in prop_oneof![2 => Just(1_000), 1 => 1..4_u32],
        on_full in select(vec!["drop-newest", "drop-oldest"]),
        allow in select(vec!["", "allow = [\"queue-overflow\"]"]),
        queue_qos0 in any::<bool>(),
        sensor in (hop(), presence(), publishing(), link("sensor")),
        app in (hop(), presence(), prop::collection::vec(subscription(), 1..3), link("app")),
        offline in prop_oneof![2 => Just(1_000), 1 => 1..4_u32],
    ) -> String {
        // A second subscription of one client must not be to the same filter.
        let subscriptions = match app.2.as_slice() {
            [one, two] if filter(one) == filter(two) => one.clone(),
            more => more.concat(),
        };
        let allow = if queue < 1_000 { allow } else { "" };
        format!(
            "schema = 1\nname = \"world\"\nmqtt = \"{mqtt}\"\ndeadline = \"1h\"\n\
             [broker]\n{broker}max_queued = {queue}\non_full = \"{on_full}\"\n\
             queue_qos0 = {queue_qos0}\n\
             [expect]\n{allow}\n\
             [[client]]\nname = \"sensor\"\n{}{}offline = {{ max = {offline}, on_full = \"{on_full}\" }}\n{}\
             [[client]]\nname = \"app\"\n{}{}{}{}{}",
            sensor.0, sensor.1, sensor.2, app.0, app.1, subscriptions, sensor.3, app.3,
        )
    }
}

fn filter(subscription: &str) -> Option<&str> {
    subscription.lines().nth(1)
}

fn judge(trial: &Trial) -> Outcome {
    judge_trial(trial, &AtomicBool::new(false)).expect("both passes are the same trial")
}

/// The first finding of a violation, for a failure's message.
fn story(outcome: &Outcome, violation: Violation) -> String {
    let found = outcome.findings.iter().find(|finding| finding.violation == violation);
    let finding = found.expect("the first findings of every violation are kept");
    let line = |line: &StoryLine| format!("{}  {}\n", line.at, line.text);
    finding.story.iter().map(line).collect::<String>() + &finding.because
}

fn cases(count: u32) -> ProptestConfig {
    let count = std::env::var("QOSLAB_CASES").map_or(count, |text| text.parse().unwrap_or(count));
    ProptestConfig { cases: count, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn only_the_network_and_the_settings_are_blamed_where_endpoints_are_correct(
        text in world(),
        seed in any::<u32>(),
    ) {
        let outcome = judge(&common::trial(&text, u64::from(seed)));
        for violation in outcome.violations.keys() {
            prop_assert!(
                matches!(violation.blame, Blame::Network | Blame::Configuration),
                "{violation:?}\n{}\n{text}",
                story(&outcome, *violation),
            );
        }
        prop_assert_ne!(outcome.ending, Ending::Interrupted);
    }
}
