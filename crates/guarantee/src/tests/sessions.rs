//! Take windows, epochs and retained copies.

use super::*;
use crate::verdict::Excuse;
use QoS::{AtLeastOnce, ExactlyOnce};

#[test]
fn a_message_taken_before_the_subscription_is_not_owed() {
    let outcome = run_both_passes(trial_facts(AtLeastOnce), Ending::Quiescent, |trial| {
        trial.connect(SENSOR, false);
        trial.connect(DASHBOARD, false);
        trial.first_hop(0);
        trial.subscribe("a", AtLeastOnce);
    });
    assert!(outcome.violations.is_empty());
    assert_eq!(outcome.metrics.qos[1].counts.units, 0);
}

#[test]
fn a_resend_that_arrives_after_the_subscription_may_be_delivered_and_need_not() {
    for delivers in [true, false] {
        let found = violations(trial_facts(AtLeastOnce), |trial| {
            trial.connect(SENSOR, false);
            trial.connect(DASHBOARD, false);
            trial.submit(0);
            trial.first_hop_packet(PacketKind::Publish, 0, 0, &ARRIVES);
            trial.first_hop_packet(PacketKind::PubAck, 0, 0, &LOST);
            trial.subscribe("a", AtLeastOnce);
            trial.qos = Some(AtLeastOnce);
            trial.first_hop_handshake(0, 1);
            trial.complete(0);
            if delivers {
                trial.second_hop(0, 1);
            }
        });
        assert_eq!(found, []);
    }
}

#[test]
fn an_unsubscribe_withdraws_what_the_broker_has_not_begun_to_send() {
    let script = |begins: bool| {
        move |trial: &mut TestTrial<'_>| {
            trial.connect_and_subscribe(AtLeastOnce);
            trial.first_hop(0);
            if begins {
                trial.second_hop_packet(PacketKind::Publish, 0, 0, 0, &LOST);
            }
            trial.unsubscribe("a");
        }
    };
    assert_eq!(violations(trial_facts(AtLeastOnce), script(false)), []);
    let lost = (Promise::AtLeastOnce, Breach::Lost, Blame::Network);
    assert_eq!(violations(trial_facts(AtLeastOnce), script(true)), [lost]);
}

#[test]
fn a_message_that_first_reaches_the_broker_after_a_new_subscription_is_owed() {
    let found = violations(trial_facts(AtLeastOnce), |trial| {
        trial.connect_and_subscribe(AtLeastOnce);
        trial.submit(0);
        trial.first_hop_packet(PacketKind::Publish, 0, 0, &LOST);
        trial.unsubscribe("a");
        trial.subscribe("a", AtLeastOnce);
        trial.first_hop_handshake(0, 1);
        trial.complete(0);
    });
    assert_eq!(found, [(Promise::AtLeastOnce, Breach::Lost, Blame::Broker)]);
}

#[test]
fn a_message_published_after_the_unsubscribe_is_unexpected() {
    let outcome = run_both_passes(trial_facts(AtLeastOnce), Ending::Quiescent, |trial| {
        trial.connect_and_subscribe(AtLeastOnce);
        trial.unsubscribe("a");
        trial.first_hop(0);
        trial.second_hop(0, 0);
    });
    assert_eq!(outcome.findings[0].rule, Some("MQTT-3.10.4-2"));
    assert_eq!(outcome.metrics.qos[1].counts.unexpected, 1);
    assert_eq!(outcome.counters["unsubscribe"], 1);
}

#[test]
fn what_an_ended_session_did_not_get_is_excused() {
    let outcome = run_both_passes(trial_facts(AtLeastOnce), Ending::Quiescent, |trial| {
        trial.connect_and_subscribe(AtLeastOnce);
        trial.first_hop(0);
        trial.second_hop_packet(PacketKind::Publish, 0, 0, 0, &LOST);
        trial.disconnect(DASHBOARD);
        trial.connect_clean(DASHBOARD);
    });
    assert!(outcome.violations.is_empty(), "{:?}", outcome.violations);
    assert_eq!(outcome.excuses.get(&Excuse::SessionEnded), Some(&1));
    assert_eq!(outcome.counters["reconnect"], 1);
}

#[test]
fn what_a_kept_session_did_not_get_is_owed() {
    let outcome = run_both_passes(trial_facts(AtLeastOnce), Ending::Quiescent, |trial| {
        trial.connect_and_subscribe(AtLeastOnce);
        trial.first_hop(0);
        trial.second_hop_packet(PacketKind::Publish, 0, 0, 0, &LOST);
        trial.disconnect(DASHBOARD);
        trial.connect(DASHBOARD, true);
    });
    assert_eq!(outcome.violations.values().sum::<u64>(), 1);
    assert_eq!(outcome.counters["session-resumed"], 1);
}

#[test]
fn a_copy_of_a_message_of_an_ended_session_is_unexpected() {
    let found = violations(trial_facts(AtLeastOnce), |trial| {
        trial.connect_and_subscribe(AtLeastOnce);
        trial.first_hop(0);
        trial.second_hop_packet(PacketKind::Publish, 0, 0, 0, &LOST);
        trial.disconnect(DASHBOARD);
        trial.connect_clean(DASHBOARD);
        trial.subscribe("a", AtLeastOnce);
        trial.second_hop_packet(PacketKind::Publish, 0, 0, 1, &ARRIVES);
        trial.deliver(0, 0);
        trial.second_hop_packet(PacketKind::PubAck, 0, 0, 1, &ARRIVES);
    });
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].1, Breach::Unexpected);
}

#[test]
fn a_copy_in_each_of_two_epochs_is_no_duplicate() {
    let outcome = run_both_passes(trial_facts(ExactlyOnce), Ending::Quiescent, |trial| {
        trial.connect_and_subscribe(ExactlyOnce);
        trial.submit(0);
        trial.first_hop_packet(PacketKind::Publish, 0, 0, &ARRIVES);
        trial.second_hop(0, 0);
        trial.disconnect(DASHBOARD);
        trial.connect_clean(DASHBOARD);
        trial.subscribe("a", ExactlyOnce);
        trial.first_hop_handshake(0, 1);
        trial.complete(0);
        trial.second_hop(0, 1);
    });
    assert_eq!(outcome.metrics.qos[2].counts.units, 2, "one for each epoch");
    assert_eq!(outcome.metrics.qos[2].counts.delivered, 2);
    assert!(outcome.violations.is_empty(), "{:?}", outcome.findings);
}

#[test]
fn a_publisher_that_lost_its_session_owes_nothing() {
    let found = violations(trial_facts(ExactlyOnce), |trial| {
        trial.connect_and_subscribe(ExactlyOnce);
        trial.submit(0);
        trial.first_hop_packet(PacketKind::Publish, 0, 0, &ARRIVES);
        trial.second_hop(0, 0);
        trial.disconnect(SENSOR);
        trial.connect(SENSOR, false);
        trial.first_hop_handshake(0, 0);
        trial.second_hop(0, 1);
    });
    assert_eq!(found, []);
}

#[test]
fn each_subscribe_owes_one_retained_copy_that_is_no_duplicate() {
    let retain = |mut facts: TrialFacts| {
        facts.publishers[0].retain = true;
        facts
    };
    for (copies, breach) in [(0, Some(Breach::Lost)), (1, None), (2, Some(Breach::Duplicated))] {
        let found = violations(retain(trial_facts(ExactlyOnce)), |trial| {
            trial.connect_and_subscribe(ExactlyOnce);
            trial.first_hop(0);
            trial.second_hop(0, 0);
            trial.subscribe("a", ExactlyOnce);
            for _ in 0..copies {
                let tag = trial.tag(0).for_retained(0);
                let (client, qos) = (DASHBOARD, ExactlyOnce);
                trial.emit(&Event::Delivered { client, tag, qos, retain: true });
            }
        });
        assert_eq!(found.first().map(|it| it.1), breach, "{copies} copies");
    }
}

#[test]
fn a_retained_copy_may_repeat_if_one_of_its_filters_lets_it() {
    for (other, breach) in [(AtLeastOnce, None), (ExactlyOnce, Some(Breach::Duplicated))] {
        let mut facts = trial_facts(ExactlyOnce);
        facts.publishers[0].retain = true;
        let found = violations(facts, |trial| {
            trial.connect_and_subscribe(ExactlyOnce);
            trial.first_hop(0);
            trial.second_hop(0, 0);
            trial.subscribe("a", ExactlyOnce);
            trial.subscribe("#", other);
            for _ in 0..3 {
                let tag = trial.tag(0).for_retained(0);
                let (client, qos) = (DASHBOARD, other);
                trial.emit(&Event::Delivered { client, tag, qos, retain: true });
            }
        });
        assert_eq!(found.first().map(|it| it.1), breach, "{other:?}");
    }
}

#[test]
fn a_copy_by_the_lower_qos_may_repeat_though_a_higher_one_is_granted_meanwhile() {
    let found = violations(trial_facts(ExactlyOnce), |trial| {
        trial.connect_and_subscribe(AtLeastOnce);
        trial.submit(0);
        trial.first_hop_packet(PacketKind::Publish, 0, 0, &ARRIVES);
        trial.second_hop_packet(PacketKind::Publish, 0, 0, 0, &ARRIVES);
        trial.deliver(0, 0);
        trial.deliver(0, 0);
        trial.subscribe("#", ExactlyOnce);
        trial.first_hop_packet(PacketKind::Publish, 0, 1, &ARRIVES);
        trial.first_hop_handshake(0, 1);
        trial.complete(0);
    });
    assert_eq!(found, []);
}

#[test]
fn a_unit_takes_one_byte_and_a_message_one_more() {
    assert_eq!(size_of::<crate::delivery_unit::DeliveryUnit>(), 1);
    assert_eq!(size_of::<crate::delivery_unit::MessageProgress>(), 1);
}

#[test]
fn recovery_counts_from_the_last_outage_until_nothing_is_left_to_do() {
    let outcome = run_both_passes(trial_facts(AtLeastOnce), Ending::Quiescent, |trial| {
        trial.connect_and_subscribe(AtLeastOnce);
        let (node, client) = (Node::Client(SENSOR), SENSOR);
        trial.emit(&Event::OutageBegan { client });
        trial.emit(&Event::Backlog { node, in_flight: 2, queued: 3 });
        trial.emit(&Event::OutageEnded { client });
        trial.emit(&Event::Backlog { node, in_flight: 1, queued: 0 });
        trial.now += Span::from_millis(7);
        trial.emit(&Event::Backlog { node, in_flight: 0, queued: 0 });
    });
    let metrics = &outcome.metrics;
    assert_eq!((metrics.in_flight_peak, metrics.queued_peak), (2, 3));
    assert_eq!(metrics.recovery, Some(Span::from_millis(9)));
    assert_eq!(outcome.counters["outage"], 1);
}
