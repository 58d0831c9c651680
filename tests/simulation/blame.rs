//! Blame in random scenarios: endpoints that keep every rule are never blamed, whatever the network
//! and the settings do to their packets, and no finding is left without an explanation.

use crate::common::{TwoHopScenario, finding_text, judge};
use proptest::prelude::*;
use proptest::sample::select;
use qoslab::base::{Ending, PacketName, PacketSubject, Time};
use qoslab::guarantee::{
    Blame, Breach, Finding, FirstPassObserver, Promise, SuspectedViolation, Violation,
};
use qoslab::network::ForcedFate;
use qoslab::sim::Trial;
use qoslab::study::trial_facts;

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
                "[[link]]\nbetween = [\"{between}\", \"broker\"]\n\
                 transport = \"datagram\"\ndelay = {delay}\n\
                 duplicate = \"{duplicate}%\"\nup = {{ loss = {up} }}\n\
                 down = {{ loss = {down} }}\n{outage}\n"
            )
        },
    )
}

/// A retry rule by the timer, sometimes far too early, sometimes with a limit.
fn retry_key() -> impl Strategy<Value = String> {
    let limit =
        prop_oneof![3 => Just(String::new()), 1 => (1..5_u32).prop_map(|n| format!(", max = {n}"))];
    (20..900_u32, select(vec![1.0, 1.5, 2.0]), limit).prop_map(|(every, backoff, limit)| {
        format!("retry = {{ every = \"{every}ms\", backoff = {backoff:?}{limit} }}\n")
    })
}

/// The settings of one end for ids, windows and QoS 2 messages.
fn hop_keys() -> impl Strategy<Value = String> {
    let ids = select(vec!["cyclic", "lowest-free"]);
    let deliver_on = select(vec!["publish", "pubrel"]);
    (retry_key(), ids, deliver_on, 1..8_u32).prop_map(|(retry, ids, deliver_on, window)| {
        format!("{retry}ids = \"{ids}\"\ndeliver_on = \"{deliver_on}\"\nmax_inflight = {window}\n")
    })
}

/// Offline periods and the kind of session.
fn presence_keys() -> impl Strategy<Value = String> {
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

/// One subscription, sometimes late, sometimes cancelled.
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
    /// A whole scenario of a publisher and one or two subscribers with correct endpoints.
    fn random_scenario()(
        mqtt in select(vec!["3.1", "3.1.1", "5.0"]),
        broker in hop_keys(),
        queue in prop_oneof![2 => Just(1_000), 1 => 1..4_u32],
        on_full in select(vec!["drop-newest", "drop-oldest"]),
        allow in select(vec!["", "allow = [\"queue-overflow\"]"]),
        queue_qos0 in any::<bool>(),
        sensor in (hop_keys(), presence_keys(), publishing(), link("sensor")),
        app in (hop_keys(), presence_keys(), prop::collection::vec(subscription(), 1..3), link("app")),
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

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 200,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn correct_endpoints_are_never_blamed(
        text in random_scenario(),
        seed in any::<u32>(),
    ) {
        let outcome = judge(&crate::common::trial(&text, u64::from(seed)));
        for violation in outcome.violations.keys() {
            prop_assert!(
                matches!(violation.blame, Blame::Network | Blame::Configuration),
                "{violation:?}\n{}\n{text}",
                outcome
                    .findings
                    .iter()
                    .find(|finding| finding.violation == *violation)
                    .map(finding_text)
                    .unwrap_or_default(),
            );
        }
        prop_assert_ne!(outcome.ending, Ending::Interrupted);
    }
}

#[test]
fn a_broker_owes_no_retained_copy_of_what_waits_for_its_pubrel() {
    // The broker passes messages on at PUBREL, and all its PUBRECs are lost: a new filter comes
    // between PUBLISH and PUBREL, when nothing is retained yet. Later its queue is full.
    let lost = (1..=6).map(|nth| {
        format!(
            "[[fault]]\nwhen = {{ packet = \"PUBREC\", nth = {nth}, to = \"sensor\" }}\n\
             do = \"drop\"\n"
        )
    });
    let text = r##"
schema = 1
name = "unreleased"
broker = { deliver_on = "pubrel", max_inflight = 1, max_queued = 1 }
[[client]]
name = "sensor"
retry = "5s"
publish = [{ topic = "t", qos = 2, count = 6, every = "100ms", retain = true }]
[[client]]
name = "app"
retry = "10s"
subscribe = [{ filter = "t", qos = 2 }, { filter = "#", qos = 2, at = "2500ms" }]
[[link]]
between = ["sensor", "broker"]
transport = "datagram"
delay = "10ms"
[[link]]
between = ["app", "broker"]
transport = "datagram"
delay = "1s"
"##
    .to_owned()
        + &lost.collect::<String>();
    let outcome = judge(&crate::common::trial(&text, 1));
    let blamed: Vec<_> = outcome.violations.iter().map(|(it, count)| (it.blame, count)).collect();
    assert!(matches!(blamed[..], [(Blame::Configuration, _)]), "{blamed:?}");
}

/// Runs a trial again with the packets of one message undisturbed.
fn suspects_without_network_faults(trial: &Trial, finding: &Finding) -> Vec<SuspectedViolation> {
    let undo_faults = |_: Time, name: &PacketName, _: Time| match name.subject {
        PacketSubject::Message { publisher: stream, sequence, .. }
            if (stream, sequence) == (finding.publisher, finding.sequence) =>
        {
            Some(ForcedFate::Undisturbed)
        }
        _ => None,
    };
    let (ended, watched) = crate::common::run_observed(
        trial,
        FirstPassObserver::new(&trial_facts(&trial.setup)),
        undo_faults,
    );
    watched.finish(&ended).suspects
}

#[test]
fn a_duplicate_blamed_on_reordering_vanishes_without_network_faults() {
    let link = "delay = { time = \"1s\", jitter = \"1s\", distribution = \"uniform\" }";
    let line = TwoHopScenario {
        published: 2,
        count: 20,
        every: "30s",
        first: link,
        ..TwoHopScenario::default()
    };
    let mut found = 0;
    for seed in 1..=20 {
        let trial = line.trial(seed);
        for finding in judge(&trial).findings {
            assert_eq!(finding.violation.breach, Breach::Duplicated);
            assert_eq!(finding.violation.blame, Blame::Network);
            let suspects = suspects_without_network_faults(&trial, &finding);
            let offends = suspects.iter().any(|it| it.sequence == finding.sequence);
            assert!(!offends, "seed {seed}: {}", finding_text(&finding));
            found += 1;
        }
    }
    assert!(found > 20, "only {found}");
}

#[test]
fn a_loss_blamed_on_a_queue_limit_vanishes_when_the_limit_is_raised() {
    let tight = TwoHopScenario {
        published: 1,
        count: 30,
        every: "10ms",
        broker: "max_queued = 1",
        second: "delay = \"300ms\"",
        ..TwoHopScenario::default()
    };
    let text = tight.text().replacen("max_inflight = 65535", "max_inflight = 1", 1);
    let outcome = judge(&crate::common::trial(&text, 1));
    assert!(!outcome.violations.is_empty());
    for violation in outcome.violations.keys() {
        assert_eq!(violation.breach, Breach::Lost);
        assert_eq!(violation.blame, Blame::Configuration);
    }
    let roomy = text.replace("max_queued = 1\n", "max_queued = 1000\n");
    assert!(judge(&crate::common::trial(&roomy, 1)).violations.is_empty());
}

#[test]
fn an_acknowledged_loss_with_lowest_free_ids_vanishes_without_network_faults() {
    let line = TwoHopScenario {
        count: 300,
        every: "20ms",
        sensor: "ids = \"lowest-free\"\nretry = \"60ms\"",
        first: "delay = \"50ms\"\nloss = \"10%\"",
        ..TwoHopScenario::default()
    };
    let lost =
        Violation { promise: Promise::AtLeastOnce, breach: Breach::Lost, blame: Blame::Network };
    let mut found = 0;
    for seed in 1..=10 {
        let trial = line.trial(seed);
        let outcome = judge(&trial);
        assert_eq!(outcome.violations.keys().collect::<Vec<_>>(), [&lost]);
        assert_eq!(outcome.violations[&lost], outcome.metrics.qos[1].counts.lost);
        for finding in outcome.findings {
            let text = finding_text(&finding);
            assert!(
                finding.reason.starts_with("its PUBLISH was lost, and a late PUBACK"),
                "{text}"
            );
            assert!(finding.history.iter().any(|line| line.text.ends_with(", ends it")), "{text}");
            let suspects = suspects_without_network_faults(&trial, &finding);
            assert!(!suspects.iter().any(|it| it.sequence == finding.sequence), "{text}");
            found += 1;
        }
    }
    assert_eq!(found, 30);
}
