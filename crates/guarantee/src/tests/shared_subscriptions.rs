//! Shared subscriptions.

use super::*;
use crate::verdict::Excuse;
use QoS::{AtLeastOnce, ExactlyOnce};

/// The sensor is a member of the group, too: its own copies come as the dashboard's do.
fn connect_group(trial: &mut TestTrial<'_>, qos: QoS) {
    trial.connect(SENSOR, false);
    trial.connect(DASHBOARD, false);
    trial.subscribe("$share/group/a", qos);
    let requests = [SubscriptionRequest::new("$share/group/a".into(), qos)];
    trial.control_packet(SENSOR, PacketKind::Subscribe, PacketBody::Subscribe(&requests));
    trial.control_packet(SENSOR, PacketKind::SubAck, PacketBody::SubAck(&[qos.number()]));
    trial.qos = Some(qos);
    trial.emit(&Event::Phase(Phase::Traffic));
}

#[test]
fn a_message_to_a_group_is_owed_once_whoever_gets_it() {
    for member in [Some(SENSOR), Some(DASHBOARD), None] {
        let outcome =
            run_both_passes(over_tcp(trial_facts(ExactlyOnce)), Ending::Quiescent, |trial| {
                connect_group(trial, ExactlyOnce);
                trial.first_hop(0);
                if let Some(client) = member {
                    let tag = trial.tag(0).forwarded(Transmission::default());
                    trial.emit(&Event::Delivered { client, tag, qos: ExactlyOnce, retain: false });
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
    let found = violations(over_tcp(trial_facts(ExactlyOnce)), |trial| {
        connect_group(trial, ExactlyOnce);
        trial.first_hop(0);
        for client in [SENSOR, DASHBOARD] {
            let tag = trial.tag(0).forwarded(Transmission::default());
            trial.emit(&Event::Delivered { client, tag, qos: ExactlyOnce, retain: false });
        }
    });
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].1, Breach::Duplicated);
}

#[test]
fn a_client_with_a_subscription_of_its_own_is_owed_its_copy_beside_the_groups() {
    let found = violations(over_tcp(trial_facts(ExactlyOnce)), |trial| {
        connect_group(trial, ExactlyOnce);
        trial.subscribe("a", ExactlyOnce);
        trial.first_hop(0);
        trial.second_hop(0, 0);
        trial.id = Some(77);
        trial.second_hop(0, 0);
    });
    assert_eq!(found, []);
}

#[test]
fn what_a_group_did_not_get_because_the_chosen_members_session_ended_is_excused() {
    let outcome = run_both_passes(over_tcp(trial_facts(AtLeastOnce)), Ending::Quiescent, |trial| {
        connect_group(trial, AtLeastOnce);
        trial.disconnect(DASHBOARD);
        trial.first_hop(0);
        trial.drop_copy(0, DropReason::SessionEnded);
        trial.emit(&Event::SessionExpired { client: DASHBOARD });
    });
    assert!(outcome.violations.is_empty(), "{:?}", outcome.findings);
    assert_eq!(outcome.excuses.get(&Excuse::SessionEnded), Some(&1));
}

#[test]
fn what_another_member_was_to_have_instead_and_could_not_get_is_excused_by_its_reason() {
    for (why, excuse) in
        [(DropReason::Expired, Excuse::Expired), (DropReason::SessionEnded, Excuse::SessionEnded)]
    {
        let facts = over_tcp(trial_facts(AtLeastOnce));
        let outcome = run_both_passes(facts, Ending::Quiescent, |trial| {
            connect_group(trial, AtLeastOnce);
            trial.first_hop(0);
            // It is sent to the dashboard, whose session ends; the sensor is to get it then.
            trial.second_hop_packet(PacketKind::Publish, 0, 0, 0, &LOST);
            trial.disconnect(DASHBOARD);
            trial.emit(&Event::SessionExpired { client: DASHBOARD });
            let tag = trial.tag(0).forwarded(Transmission::default());
            trial.emit(&Event::Dropped { client: SENSOR, tag, why });
        });
        assert!(outcome.violations.is_empty(), "{why:?}: {:?}", outcome.findings);
        assert_eq!(outcome.excuses.get(&excuse), Some(&1), "{why:?}");
    }
}

#[test]
fn a_copy_for_somebody_outside_the_group_is_unexpected() {
    let found = violations(over_tcp(trial_facts(AtLeastOnce)), |trial| {
        trial.connect(SENSOR, false);
        trial.connect(DASHBOARD, false);
        trial.subscribe("$share/group/b", AtLeastOnce);
        trial.qos = Some(AtLeastOnce);
        trial.first_hop(0);
        trial.second_hop(0, 0);
    });
    assert_eq!(found, [(Promise::OnlySubscribed, Breach::Unexpected, Blame::Broker)]);
}
