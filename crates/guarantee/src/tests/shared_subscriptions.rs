//! Shared subscriptions.

use super::*;
use crate::verdict::Excuse;
use QoS::{AtLeastOnce, ExactlyOnce};

/// The sensor is a member of the group, too: its own copies come as the dashboard's do.
fn connect_group(trial: &mut TestTrial<'_>, qos: QoS) {
    trial.connect(SENSOR, false);
    trial.connect(DASHBOARD, false);
    subscribe_to_group(trial, DASHBOARD, qos);
    subscribe_to_group(trial, SENSOR, qos);
    trial.qos = Some(qos);
    trial.emit(&Event::Phase(Phase::Traffic));
}

fn subscribe_to_group(trial: &mut TestTrial<'_>, client: ClientIndex, qos: QoS) {
    let requests = [SubscriptionRequest::new("$share/group/a".into(), qos)];
    trial.control_packet(client, PacketKind::Subscribe, PacketBody::Subscribe(&requests));
    trial.control_packet(client, PacketKind::SubAck, PacketBody::SubAck(&[qos.number()]));
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

/// Messages that live for a minute, in sessions that live for ten seconds without a connection.
fn short_lived() -> TrialFacts {
    let mut facts = over_tcp(trial_facts(AtLeastOnce));
    facts.publishers[0].expiry = Some(60);
    for client in &mut facts.clients {
        client.version = Version::V5;
    }
    facts
}

fn connect_short_lived_group(trial: &mut TestTrial<'_>) {
    for client in [SENSOR, DASHBOARD] {
        trial.connect_as(client, (false, 10, u32::MAX), false);
        subscribe_to_group(trial, client, AtLeastOnce);
    }
    trial.qos = Some(AtLeastOnce);
    trial.expiry = Some(60);
}

fn expire(trial: &mut TestTrial<'_>, client: ClientIndex) {
    trial.disconnect(client);
    trial.now += Span::from_secs(11);
    trial.emit(&Event::SessionExpired { client });
}

#[test]
fn what_a_group_did_not_get_because_the_chosen_members_session_ended_is_excused() {
    let script = |ends: bool| {
        move |trial: &mut TestTrial<'_>| {
            connect_short_lived_group(trial);
            trial.first_hop(0);
            if ends {
                expire(trial, DASHBOARD);
            }
            trial.drop_copy(0, DropReason::SessionEnded);
        }
    };
    let outcome = run_both_passes(short_lived(), Ending::Quiescent, script(true));
    assert!(outcome.violations.is_empty(), "{:?}", outcome.findings);
    assert_eq!(outcome.excuses.get(&Excuse::SessionEnded), Some(&1));
    let lost = (Promise::AtLeastOnce, Breach::Lost, Blame::Broker);
    assert_eq!(violations(short_lived(), script(false)), [lost]);
}

#[test]
fn what_another_member_was_to_have_instead_and_could_not_get_is_excused_by_its_reason() {
    for (why, excuse) in
        [(DropReason::Expired, Excuse::Expired), (DropReason::SessionEnded, Excuse::SessionEnded)]
    {
        let outcome = run_both_passes(short_lived(), Ending::Quiescent, |trial| {
            connect_short_lived_group(trial);
            trial.first_hop(0);
            // It is sent to the dashboard, whose session ends; the sensor is to get it then.
            trial.second_hop_packet(PacketKind::Publish, 0, 0, 0, &LOST);
            expire(trial, DASHBOARD);
            if why == DropReason::SessionEnded {
                expire(trial, SENSOR);
            } else {
                trial.now += Span::from_secs(60);
            }
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
