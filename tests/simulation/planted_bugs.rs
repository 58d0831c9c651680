//! Planted bugs, one at a time: each makes a named check fail, and the same trial without the bug
//! is clean.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::common::{TwoHopScenario, judge, run_observed};
use qoslab::guarantee::rules::Rule;
use qoslab::guarantee::{Blame, Breach, Monitor, Promise, Violation};
use qoslab::mqtt::Quirk;
use qoslab::sim::{Setup, Trial};
use qoslab::study::trial_facts;

/// Many messages over links that lose a quarter of all packets, in order and without duplicates.
const LOSSY: TwoHopScenario<'_> = TwoHopScenario {
    published: 2,
    granted: 2,
    count: 60,
    every: "3s",
    broker: "retry = \"1s\"",
    sensor: "",
    app: "",
    first: "delay = \"50ms\"\nloss = \"25%\"",
    second: "delay = \"50ms\"\nloss = \"25%\"",
};

fn with_bug(trial: &Trial, add_bug: impl FnOnce(&mut Setup)) -> Trial {
    let mut setup = Setup::clone(&trial.setup);
    add_bug(&mut setup);
    Trial { setup: Arc::new(setup), ..trial.clone() }
}

/// The bug is found as this violation alone, by these rules, and without it nothing is found.
fn assert_found(
    trial: &Trial,
    add_bug: impl FnOnce(&mut Setup),
    (promise, breach, blame): (Promise, Breach, Blame),
    rules: &[&str],
) {
    assert_eq!(judge(trial).violations.len(), 0, "without the bug");
    let outcome = judge(&with_bug(trial, add_bug));
    let violation = Violation { promise, breach, blame };
    assert_eq!(outcome.violations.keys().collect::<Vec<_>>(), [&violation]);
    let found: BTreeSet<_> = outcome.findings.iter().filter_map(|finding| finding.rule).collect();
    assert_eq!(found.into_iter().collect::<Vec<_>>(), rules);
}

#[test]
fn a_broker_without_dedupe_is_found_by_a_duplicate() {
    assert_found(
        &LOSSY.trial(1),
        |setup| setup.broker.hop.quirks = Quirk::NoDedupe.into(),
        (Promise::ExactlyOnce, Breach::Duplicated, Blame::Broker),
        &["MQTT-4.3.3-2"],
    );
}

#[test]
fn a_subscriber_without_dedupe_is_found_by_a_duplicate() {
    assert_found(
        &LOSSY.trial(1),
        |setup| {
            setup.clients[1].settings.hop.quirks = Quirk::NoDedupe.into();
        },
        (Promise::ExactlyOnce, Breach::Duplicated, Blame::Subscriber),
        &["MQTT-4.3.3-2"],
    );
}

#[test]
fn a_broker_that_forwards_above_the_granted_qos_is_found_by_unexpected_copies() {
    assert_found(
        &TwoHopScenario { granted: 1, ..LOSSY }.trial(1),
        |setup| setup.broker.hop.quirks = Quirk::NoQosCap.into(),
        (Promise::OnlySubscribed, Breach::Unexpected, Blame::Broker),
        &["MQTT-3.8.4-6"],
    );
}

#[test]
fn resends_without_dup_break_no_promise_and_are_found_by_the_monitor() {
    let broken = |trial: &Trial| {
        let (_, mut monitor) = run_observed(trial, Monitor::new(&trial_facts(&trial.setup)), ());
        monitor.finish();
        monitor.take_violations().iter().map(|broken| broken.rule).collect::<BTreeSet<_>>()
    };
    let trial = LOSSY.trial(1);
    assert_eq!(broken(&trial), BTreeSet::new());
    let without_dup = with_bug(&trial, |setup| {
        setup.clients[0].settings.hop.quirks = Quirk::DupNeverSet.into();
    });
    assert_eq!(broken(&without_dup), BTreeSet::from([Rule::ResendWithoutDup]));
    assert!(judge(&without_dup).violations.is_empty());
}

/// At 1,000 messages a second ids wrap after 66 s, and a lost message is sent again after 100 s.
#[test]
fn an_allocator_that_gives_out_ids_in_use_is_found_by_losses() {
    let trial = TwoHopScenario {
        published: 1,
        granted: 1,
        count: 70_000,
        every: "1ms",
        sensor: "retry = \"100s\"",
        first: "delay = \"1ms\"\nup = { loss = \"1%\" }",
        second: "delay = \"1us\"",
        ..LOSSY
    }
    .trial(1);
    assert_eq!(judge(&trial).violations.len(), 0, "without the bug");
    let outcome = judge(&with_bug(&trial, |setup| {
        setup.clients[0].settings.hop.quirks = Quirk::IdWrapNoCheck.into();
    }));
    let (promise, breach, blame) = (Promise::Acknowledged, Breach::Stuck, Blame::Publisher);
    assert_eq!(
        outcome.violations.keys().collect::<Vec<_>>(),
        [&Violation { promise, breach, blame }]
    );
    assert!(outcome.metrics.qos[1].counts.lost > 0, "and the overwritten messages never arrived");
    assert!(outcome.findings.iter().all(|finding| finding.rule == Some("MQTT-2.3.1-2")));
}
