//! Shared subscriptions.

use super::*;
use crate::verdict::Excuse;
use QoS::{AtLeastOnce, ExactlyOnce};

/// The sensor is a member of the group, too: its own copies come as the dashboard's do.
fn grouped(stage: &mut Stage<'_>, qos: QoS) {
    stage.connect(SENSOR, false);
    stage.connect(DASHBOARD, false);
    stage.subscribe("$share/group/a", qos);
    let requests = [SubscriptionRequest::new("$share/group/a".into(), qos)];
    stage.control(SENSOR, Kind::Subscribe, Body::Subscribe(&requests));
    stage.control(SENSOR, Kind::SubAck, Body::SubAck(&[qos.number()]));
    stage.qos = Some(qos);
    stage.event(&Event::Phase(Phase::Traffic));
}

#[test]
fn a_message_to_a_group_is_owed_once_whoever_gets_it() {
    for member in [Some(SENSOR), Some(DASHBOARD), None] {
        let outcome = judge(over_streams(roster(ExactlyOnce)), Ending::Quiescent, |stage| {
            grouped(stage, ExactlyOnce);
            stage.first_hop(0);
            if let Some(client) = member {
                let tag = stage.tag(0).forwarded(Transmission::default());
                stage.event(&Event::Delivered { client, tag, qos: ExactlyOnce, retain: false });
            }
        });
        let breaches: Vec<_> = outcome.violations.keys().map(|it| it.breach).collect();
        let expected = if member.is_some() { vec![] } else { vec![Breach::Lost] };
        assert_eq!(breaches, expected, "{member:?}: {:?}", outcome.findings);
        assert_eq!(outcome.metrics.qos[2].counts.units, 1);
    }
}

#[test]
fn a_copy_for_each_of_two_members_is_a_duplicate() {
    let found = violations(over_streams(roster(ExactlyOnce)), |stage| {
        grouped(stage, ExactlyOnce);
        stage.first_hop(0);
        for client in [SENSOR, DASHBOARD] {
            let tag = stage.tag(0).forwarded(Transmission::default());
            stage.event(&Event::Delivered { client, tag, qos: ExactlyOnce, retain: false });
        }
    });
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].1, Breach::Duplicated);
}

#[test]
fn a_client_with_a_subscription_of_its_own_is_owed_its_copy_beside_the_groups() {
    let found = violations(over_streams(roster(ExactlyOnce)), |stage| {
        grouped(stage, ExactlyOnce);
        stage.subscribe("a", ExactlyOnce);
        stage.first_hop(0);
        stage.second_hop(0, 0);
        stage.id = Some(77);
        stage.second_hop(0, 0);
    });
    assert_eq!(found, []);
}

#[test]
fn what_a_group_did_not_get_because_the_chosen_members_session_ended_is_excused() {
    let outcome = judge(over_streams(roster(AtLeastOnce)), Ending::Quiescent, |stage| {
        grouped(stage, AtLeastOnce);
        stage.disconnect(DASHBOARD);
        stage.first_hop(0);
        stage.drop_copy(0, Dropped::SessionEnded);
        stage.event(&Event::SessionExpired { client: DASHBOARD });
    });
    assert!(outcome.violations.is_empty(), "{:?}", outcome.findings);
    assert_eq!(outcome.excuses.get(&Excuse::SessionEnded), Some(&1));
}

#[test]
fn a_copy_for_somebody_outside_the_group_is_unexpected() {
    let found = violations(over_streams(roster(AtLeastOnce)), |stage| {
        stage.connect(SENSOR, false);
        stage.connect(DASHBOARD, false);
        stage.subscribe("$share/group/b", AtLeastOnce);
        stage.qos = Some(AtLeastOnce);
        stage.first_hop(0);
        stage.second_hop(0, 0);
    });
    assert_eq!(found, [(Promise::OnlySubscribed, Breach::Unexpected, Blame::Broker)]);
}
