//! A client with several filters that match: one copy for all of them, or one for each.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::common::{judge, run_observed, trial};
use qoslab::base::{Event, Observer, PacketName, Time};
use qoslab::guarantee::{Blame, Breach, FirstPassObserver, Violation};
use qoslab::mqtt::{OverlappingFilters, Quirk};
use qoslab::sim::{Setup, Trial};
use qoslab::study::trial_facts;

/// A meter of QoS 2 and an app with these filters, whose connections are cut now and then.
fn with_filters(broker: &str, filters: &[(&str, u8)]) -> Trial {
    let tables = filters
        .iter()
        .map(|(filter, qos)| format!("[[client.subscribe]]\nfilter = \"{filter}\"\nqos = {qos}\n"));
    let filters = tables.collect::<Vec<_>>().concat();
    let text = format!(
        r#"
schema = 1
name = "overlapping"
[broker]
{broker}
[[client]]
name = "meter"
publish = [{{ topic = "site/energy", qos = 2, count = 40, every = "500ms" }}]
[[client]]
name = "app"
{filters}
[[link]]
between = ["*", "broker"]
transport = "tcp"
delay = "20ms"
[[fault]]
when = {{ packet = "PUBREC", nth = 5, to = "meter" }}
do = "cut"
[[fault]]
every = "exp 3s"
on = "*"
do = "cut"
"#
    );
    trial(&text, 1)
}

fn with_quirk(mut trial: Trial, quirk: Quirk) -> Trial {
    let mut setup = Setup::clone(&trial.setup);
    setup.broker.hop.quirks = quirk.into();
    trial.setup = Arc::new(setup);
    trial
}

/// Packet names that came twice.
#[derive(Default)]
struct NameChecker {
    names: BTreeSet<PacketName>,
    twice: Vec<PacketName>,
}

impl Observer for NameChecker {
    fn observe(&mut self, _: Time, event: &Event<'_>) {
        if let Event::Sent { packet, .. } = event
            && !self.names.insert(packet.name)
        {
            self.twice.push(packet.name);
        }
    }
}

const THREE: [(&str, u8); 3] = [("site/energy", 2), ("site/+", 2), ("#", 2)];

#[test]
fn a_broker_may_send_a_copy_for_each_filter_where_the_scenario_says_so() {
    let outcome = judge(&with_filters("overlapping = \"each\"", &THREE));
    assert!(outcome.violations.is_empty(), "{:?}", outcome.findings);
    assert!(outcome.rule_violations.is_empty(), "{:?}", outcome.rule_violations);
    let qos2 = &outcome.metrics.qos[2];
    assert_eq!((qos2.counts.units, qos2.counts.lost, qos2.counts.duplicated), (40, 0, 0));
}

#[test]
fn a_copy_for_each_filter_is_a_duplicate_where_one_copy_is_promised() {
    let each = with_filters("overlapping = \"each\"", &THREE);
    let once = with_filters("", &THREE);
    assert_eq!(each.setup.broker.overlapping, OverlappingFilters::Each);
    let observer = FirstPassObserver::new(&trial_facts(&once.setup));
    let (ended, observer) = run_observed(&each, observer, ());
    let suspects = observer.finish(&ended).suspects;
    assert_eq!(suspects.len(), 40);
    assert!(suspects.iter().all(|suspect| suspect.breach == Breach::Duplicated));
}

#[test]
fn more_copies_than_filters_are_duplicates() {
    let each = with_filters("overlapping = \"each\"", &THREE);
    let outcome = judge(&with_quirk(each, Quirk::NoDedupe));
    assert!(!outcome.violations.is_empty());
    for Violation { breach, blame, .. } in outcome.violations.keys() {
        assert_eq!((*breach, *blame), (Breach::Duplicated, Blame::Broker));
    }
}

#[test]
fn a_filter_of_qos_1_among_them_lets_copies_come_again() {
    let filters = [("site/energy", 2), ("site/+", 1)];
    let outcome = judge(&with_filters("overlapping = \"each\"", &filters));
    assert!(outcome.violations.is_empty(), "{:?}", outcome.findings);
}

#[test]
fn the_copies_of_one_arrival_have_names_of_their_own() {
    let shared = [("site/energy", 2), ("$share/group/site/+", 2), ("$share/other/#", 1)];
    for (broker, filters) in [("overlapping = \"each\"", &THREE), ("", &shared)] {
        let trial = with_filters(broker, filters);
        let (_, checker) = run_observed(&trial, NameChecker::default(), ());
        assert!(checker.twice.is_empty(), "{:?}", checker.twice[0]);
        let outcome = judge(&trial);
        assert!(outcome.violations.is_empty(), "{:?}", outcome.findings);
    }
}

#[test]
fn a_member_of_two_groups_is_owed_a_copy_for_each() {
    for (qos, name) in [(1, "$share/group/#"), (2, "$share/other/#")] {
        let groups = [("$share/group/site/+", qos), (name, qos)];
        let outcome = judge(&with_filters("", &groups));
        assert!(outcome.violations.is_empty(), "{:?}", outcome.findings);
        assert_eq!(outcome.metrics.qos[2].counts.lost, 0);
    }
}
