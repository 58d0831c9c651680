//! Every quirk makes a named check fail, in the scenario of its bug class, and the endpoint that
//! has it is blamed. Without it every seed of that scenario holds.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use crate::common::judge;
use qoslab::base::Ending;
use qoslab::guarantee::{Blame, Breach, Outcome, Promise, RuleViolationKind};
use qoslab::mqtt::{ClientSettings, Quirk, QuirkSide};
use qoslab::scenario::{Point, Scenario, find_scenarios};
use qoslab::sim::{Setup, Trial};

/// A promise that breaks, and the kind of break.
type ExpectedBreach = Option<(Promise, Breach)>;

const DUPLICATED: ExpectedBreach = Some((Promise::ExactlyOnce, Breach::Duplicated));
const LOST: ExpectedBreach = Some((Promise::ExactlyOnce, Breach::Lost));
const STUCK: ExpectedBreach = Some((Promise::Acknowledged, Breach::Stuck));
const REORDERED: ExpectedBreach = Some((Promise::Ordered, Breach::Reordered));
const LOST_AT_LEAST_ONCE: ExpectedBreach = Some((Promise::AtLeastOnce, Breach::Lost));
const ABOVE_GRANTED_QOS: ExpectedBreach = Some((Promise::OnlySubscribed, Breach::Unexpected));

/// The quirk, the endpoint that has it, the scenario, the promise that breaks and the rule that is
/// cited for it or is broken by itself.
const TABLE: [(Quirk, Blame, &str, ExpectedBreach, Option<&str>); 49] = {
    use Blame::{Broker, Publisher, Subscriber};
    use Quirk::*;
    [
        (NoDedupe, Broker, "01", DUPLICATED, Some("MQTT-4.3.3-2")),
        (NoDedupe, Subscriber, "01", DUPLICATED, Some("MQTT-4.3.3-2")),
        (DedupeTtl, Broker, "02", DUPLICATED, Some("MQTT-4.3.3-2")),
        (DedupeTtl, Subscriber, "02", DUPLICATED, Some("MQTT-4.3.3-2")),
        (DedupeLostOnRestart, Broker, "02", DUPLICATED, Some("MQTT-4.3.3-2")),
        (DedupeLostOnRestart, Subscriber, "02", DUPLICATED, Some("MQTT-4.3.3-2")),
        (ReplayPublishAfterPubrel, Publisher, "03", DUPLICATED, Some("MQTT-4.3.3-6")),
        (ReplayPublishAfterPubrel, Broker, "03", DUPLICATED, Some("MQTT-4.3.3-6")),
        (DropOwedPubrel, Publisher, "04", LOST, Some("MQTT-4.4.0-1")),
        (DropOwedPubrel, Broker, "04", LOST, Some("MQTT-4.4.0-1")),
        (DisconnectOnUnknownPubrel, Broker, "05", STUCK, Some("MQTT-4.3.3-2")),
        (DisconnectOnUnknownPubrel, Subscriber, "05", None, Some("MQTT-4.3.3-2")),
        (DropInflightOnResume, Publisher, "06", STUCK, Some("MQTT-4.4.0-1")),
        (DropInflightOnResume, Broker, "06", LOST_AT_LEAST_ONCE, Some("MQTT-4.4.0-1")),
        (DupNeverSet, Publisher, "07", None, Some("MQTT-3.3.1-1")),
        (DupNeverSet, Broker, "07", None, Some("MQTT-3.3.1-1")),
        (NewIdsOnResume, Publisher, "08-packet-ids-renumbered", DUPLICATED, Some("MQTT-2.3.1-3")),
        (NewIdsOnResume, Broker, "08-packet-ids-renumbered", DUPLICATED, Some("MQTT-2.3.1-4")),
        (IdWrapNoCheck, Publisher, "08-packet-ids-wrap", STUCK, Some("MQTT-2.3.1-2")),
        (IdWrapNoCheck, Broker, "08-packet-ids-wrap", LOST_AT_LEAST_ONCE, Some("MQTT-2.3.1-4")),
        (QuotaNotReset, Publisher, "09", STUCK, None),
        (QuotaNotReset, Broker, "09", LOST, Some("MQTT-4.5.0-1")),
        (QuotaLeakOnErrorPubrec, Publisher, "09", STUCK, None),
        (ResendUnordered, Publisher, "10", REORDERED, Some("MQTT-4.6.0-1")),
        (ResendUnordered, Broker, "10", REORDERED, Some("MQTT-4.6.0-1")),
        (NewBeforeStored, Publisher, "10", REORDERED, None),
        (NewBeforeStored, Broker, "10", REORDERED, None),
        (IgnoreSessionPresent, Publisher, "11", None, Some("MQTT-3.2.2-5")),
        (IgnoreSessionPresent, Subscriber, "11", LOST, None),
        (AckThenDropOnFull, Broker, "12", LOST_AT_LEAST_ONCE, Some("MQTT-4.5.0-1")),
        (AckBeforeStore, Broker, "12", LOST_AT_LEAST_ONCE, Some("MQTT-4.5.0-1")),
        (NoQosCap, Broker, "13", ABOVE_GRANTED_QOS, Some("MQTT-3.8.4-6")),
        (OverlapMinQos, Broker, "13", DUPLICATED, Some("MQTT-3.3.5-1")),
        (ExpireInflightQos2, Publisher, "14", None, Some("MQTT-4.3.3-7")),
        (ExpireInflightQos2, Broker, "14", LOST, Some("MQTT-4.3.3-7")),
        (TimerResend, Publisher, "15", None, Some("MQTT-4.4.0-1")),
        (TimerResend, Broker, "15", None, Some("MQTT-4.4.0-1")),
        (EarlyExpiry, Publisher, "16", STUCK, None),
        (EarlyExpiry, Broker, "16", LOST_AT_LEAST_ONCE, Some("MQTT-4.5.0-1")),
        (QueueUnordered, Publisher, "10", REORDERED, None),
        (QueueUnordered, Broker, "10", REORDERED, Some("MQTT-4.6.0-6")),
        (ResendAllButLast, Publisher, "06", STUCK, Some("MQTT-4.4.0-1")),
        (ResendAllButLast, Broker, "06", LOST_AT_LEAST_ONCE, Some("MQTT-4.4.0-1")),
        (ForgetSession, Broker, "17", LOST_AT_LEAST_ONCE, Some("MQTT-3.2.2-2")),
        (ForgetLastFilter, Broker, "17", LOST_AT_LEAST_ONCE, Some("MQTT-4.5.0-1")),
        (KeepOldRetained, Broker, "18", ABOVE_GRANTED_QOS, Some("MQTT-3.3.1-5")),
        (NoQosCap, Broker, "18", ABOVE_GRANTED_QOS, Some("MQTT-3.8.4-6")),
        (WillAfterDisconnect, Broker, "19", None, Some("MQTT-3.1.2-10")),
        (DropWill, Broker, "19", None, Some("MQTT-3.1.2-8")),
    ]
};

#[test]
fn every_quirk_is_in_the_table_wherever_it_can_be_seen() {
    let sides: BTreeSet<_> = TABLE.iter().map(|row| (row.0, row.1 == Blame::Broker)).collect();
    for quirk in Quirk::ALL {
        let on_client = quirk.side() != QuirkSide::Broker;
        // No client of qoslab refuses a message, so no broker can lose a window slot by that.
        let on_broker = quirk.side() != QuirkSide::Client && quirk != Quirk::QuotaLeakOnErrorPubrec;
        assert_eq!(sides.contains(&(quirk, false)), on_client, "{}", quirk.label());
        assert_eq!(sides.contains(&(quirk, true)), on_broker, "{}", quirk.label());
    }
}

#[test]
fn every_quirk_breaks_what_it_is_said_to_break_and_is_blamed() {
    let scenarios = scenarios();
    for (quirk, blame, class, promise, rule) in TABLE {
        let scenario = &scenarios[class];
        let outcomes = trials(scenario).map(|(point, seed)| {
            judge(&with_quirk(point.trial(seed), quirk, blame, &scenario.name))
        });
        let failing: Vec<_> = outcomes.filter(has_failures).take(4).collect();
        let label = format!("{} on the {blame:?} in {}", quirk.label(), scenario.name);
        assert!(!failing.is_empty(), "{label}: nothing breaks");
        assert!(
            failing.iter().any(|it| has_expected_break(it, blame, promise, rule)),
            "{label}: {}",
            findings_text(&failing[0])
        );
        for outcome in &failing {
            let others = blamed_nodes(outcome).into_iter().filter(|whom| *whom != blame);
            assert_eq!(others.count(), 0, "{label}: {}", findings_text(outcome));
        }
    }
}

#[test]
fn without_a_quirk_every_seed_of_every_bug_class_holds() {
    for scenario in scenarios().values() {
        for (point, seed) in trials(scenario) {
            let outcome = judge(&point.trial(seed));
            assert_eq!(outcome.ending, Ending::Quiescent, "{} seed {seed}", scenario.name);
            let is_clean = outcome.violations.is_empty() && outcome.rule_violations.is_empty();
            assert!(is_clean, "{} seed {seed}: {}", scenario.name, findings_text(&outcome));
        }
    }
}

/// The scenarios of the bug classes, by number; those of a class with several by their whole name.
fn scenarios() -> BTreeMap<String, Scenario> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/bugs");
    let files = find_scenarios(&folder).expect("the bug classes are shipped");
    let load = |path: &Path| {
        let stem = path.file_stem().and_then(|stem| stem.to_str()).expect("a plain name");
        let key = if stem.starts_with("08") { stem } else { &stem[..2] };
        let scenario =
            Scenario::load(path).unwrap_or_else(|wrong| panic!("{}", wrong.render(false)));
        (key.to_owned(), scenario)
    };
    files.iter().map(|path| load(path)).collect()
}

fn trials(scenario: &Scenario) -> impl Iterator<Item = (&Point, u64)> {
    let seeds = scenario.first_seed..scenario.first_seed + u64::from(scenario.seed_count);
    scenario.points.iter().flat_map(move |point| seeds.clone().map(move |seed| (point, seed)))
}

/// The same trial with a quirk on the endpoint that is to be blamed.
fn with_quirk(trial: Trial, quirk: Quirk, blamed: Blame, scenario: &str) -> Trial {
    let mut setup = Setup::clone(&trial.setup);
    let hop = match blamed {
        Blame::Broker => &mut setup.broker.hop,
        Blame::Publisher => &mut client(&mut setup, "meter", scenario).hop,
        _ => &mut client(&mut setup, "app", scenario).hop,
    };
    hop.quirks = hop.quirks.with(quirk);
    Trial { setup: Arc::new(setup), ..trial }
}

fn client<'a>(setup: &'a mut Setup, name: &str, scenario: &str) -> &'a mut ClientSettings {
    let found = setup.clients.iter_mut().find(|client| &*client.name == name);
    &mut found.unwrap_or_else(|| panic!("{scenario} has no {name}")).settings
}

fn has_failures(outcome: &Outcome) -> bool {
    !outcome.violations.is_empty()
        || outcome.rule_violations.keys().any(RuleViolationKind::fails_trial)
}

/// Whether this broke, by this rule if one is cited. A broken rule counts by itself where no
/// promise has to break.
fn has_expected_break(
    outcome: &Outcome,
    blame: Blame,
    promise: ExpectedBreach,
    rule: Option<&str>,
) -> bool {
    match promise {
        Some((promise, breach)) => outcome.findings.iter().any(|finding| {
            let found = finding.violation;
            (found.promise, found.breach, found.blame) == (promise, breach, blame)
                && finding.rule == rule
        }),
        None => outcome.rule_violations.keys().any(|it| it.blame == blame && it.id() == rule),
    }
}

fn blamed_nodes(outcome: &Outcome) -> BTreeSet<Blame> {
    let promises = outcome.violations.keys().map(|violation| violation.blame);
    promises.chain(outcome.rule_violations.keys().map(|broken| broken.blame)).collect()
}

fn findings_text(outcome: &Outcome) -> String {
    let findings = outcome
        .findings
        .iter()
        .map(|finding| format!("{:?} {:?}: {}", finding.violation, finding.rule, finding.reason));
    let rules = outcome.rule_findings.iter().map(|it| it.sentence.clone());
    findings.chain(rules).collect::<Vec<_>>().join("\n")
}
