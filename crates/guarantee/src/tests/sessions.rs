//! Take windows, epochs and retained copies.

use super::*;
use crate::verdict::Excuse;
use QoS::{AtLeastOnce, ExactlyOnce};

#[test]
fn a_message_taken_before_the_subscription_is_not_owed() {
    let outcome = judge(roster(AtLeastOnce), Ending::Quiescent, |stage| {
        stage.connect(SENSOR, false);
        stage.connect(DASHBOARD, false);
        stage.first_hop(0);
        stage.subscribe("a", AtLeastOnce);
    });
    assert!(outcome.violations.is_empty());
    assert_eq!(outcome.metrics.qos[1].counts.units, 0);
}

#[test]
fn a_resend_that_arrives_after_the_subscription_may_be_delivered_and_need_not() {
    for delivers in [true, false] {
        let found = violations(roster(AtLeastOnce), |stage| {
            stage.connect(SENSOR, false);
            stage.connect(DASHBOARD, false);
            stage.submit(0);
            stage.hop1(Kind::Publish, 0, 0, &OK);
            stage.hop1(Kind::PubAck, 0, 0, &LOST);
            stage.subscribe("a", AtLeastOnce);
            stage.qos = Some(AtLeastOnce);
            stage.shake1(0, 1);
            stage.complete(0);
            if delivers {
                stage.second_hop(0, 1);
            }
        });
        assert_eq!(found, []);
    }
}

#[test]
fn an_unsubscribe_withdraws_what_the_broker_has_not_begun_to_send() {
    let script = |begins: bool| {
        move |stage: &mut Stage<'_>| {
            stage.ready(AtLeastOnce);
            stage.first_hop(0);
            if begins {
                stage.hop2(Kind::Publish, 0, 0, 0, &LOST);
            }
            stage.unsubscribe("a");
        }
    };
    assert_eq!(violations(roster(AtLeastOnce), script(false)), []);
    let lost = (Promise::AtLeastOnce, Breach::Lost, Blame::Network);
    assert_eq!(violations(roster(AtLeastOnce), script(true)), [lost]);
}

#[test]
fn a_message_that_first_reaches_the_broker_after_a_new_subscription_is_owed() {
    let found = violations(roster(AtLeastOnce), |stage| {
        stage.ready(AtLeastOnce);
        stage.submit(0);
        stage.hop1(Kind::Publish, 0, 0, &LOST);
        stage.unsubscribe("a");
        stage.subscribe("a", AtLeastOnce);
        stage.shake1(0, 1);
        stage.complete(0);
    });
    assert_eq!(found, [(Promise::AtLeastOnce, Breach::Lost, Blame::Broker)]);
}

#[test]
fn a_message_published_after_the_unsubscribe_is_unexpected() {
    let outcome = judge(roster(AtLeastOnce), Ending::Quiescent, |stage| {
        stage.ready(AtLeastOnce);
        stage.unsubscribe("a");
        stage.first_hop(0);
        stage.second_hop(0, 0);
    });
    assert_eq!(outcome.findings[0].rule, Some("MQTT-3.10.4-2"));
    assert_eq!(outcome.metrics.qos[1].counts.unexpected, 1);
    assert_eq!(outcome.sometimes["unsubscribe"], 1);
}

#[test]
fn what_an_ended_session_did_not_get_is_excused() {
    let outcome = judge(roster(AtLeastOnce), Ending::Quiescent, |stage| {
        stage.ready(AtLeastOnce);
        stage.first_hop(0);
        stage.hop2(Kind::Publish, 0, 0, 0, &LOST);
        stage.disconnect(DASHBOARD);
        stage.connect(DASHBOARD, false);
    });
    assert!(outcome.violations.is_empty(), "{:?}", outcome.violations);
    assert_eq!(outcome.excuses.get(&Excuse::SessionEnded), Some(&1));
    assert_eq!(outcome.sometimes["reconnect"], 1);
}

#[test]
fn what_a_kept_session_did_not_get_is_owed() {
    let outcome = judge(roster(AtLeastOnce), Ending::Quiescent, |stage| {
        stage.ready(AtLeastOnce);
        stage.first_hop(0);
        stage.hop2(Kind::Publish, 0, 0, 0, &LOST);
        stage.disconnect(DASHBOARD);
        stage.connect(DASHBOARD, true);
    });
    assert_eq!(outcome.violations.values().sum::<u64>(), 1);
    assert_eq!(outcome.sometimes["session-resumed"], 1);
}

#[test]
fn a_copy_of_a_message_of_an_ended_session_is_unexpected() {
    let found = violations(roster(AtLeastOnce), |stage| {
        stage.ready(AtLeastOnce);
        stage.first_hop(0);
        stage.hop2(Kind::Publish, 0, 0, 0, &LOST);
        stage.disconnect(DASHBOARD);
        stage.connect(DASHBOARD, false);
        stage.subscribe("a", AtLeastOnce);
        stage.hop2(Kind::Publish, 0, 0, 1, &OK);
        stage.deliver(0, 0);
        stage.hop2(Kind::PubAck, 0, 0, 1, &OK);
    });
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].1, Breach::Unexpected);
}

#[test]
fn a_copy_in_each_of_two_epochs_is_no_duplicate() {
    let outcome = judge(roster(ExactlyOnce), Ending::Quiescent, |stage| {
        stage.ready(ExactlyOnce);
        stage.submit(0);
        stage.hop1(Kind::Publish, 0, 0, &OK);
        stage.second_hop(0, 0);
        stage.disconnect(DASHBOARD);
        stage.connect(DASHBOARD, false);
        stage.subscribe("a", ExactlyOnce);
        stage.shake1(0, 1);
        stage.complete(0);
        stage.second_hop(0, 1);
    });
    assert_eq!(outcome.metrics.qos[2].counts.units, 2, "one for each epoch");
    assert_eq!(outcome.metrics.qos[2].counts.delivered, 2);
    assert!(outcome.violations.is_empty(), "{:?}", outcome.findings);
}

#[test]
fn a_publisher_that_lost_its_session_owes_nothing() {
    let found = violations(roster(ExactlyOnce), |stage| {
        stage.ready(ExactlyOnce);
        stage.submit(0);
        stage.hop1(Kind::Publish, 0, 0, &OK);
        stage.second_hop(0, 0);
        stage.disconnect(SENSOR);
        stage.connect(SENSOR, false);
        stage.shake1(0, 0);
        stage.second_hop(0, 1);
    });
    assert_eq!(found, []);
}

#[test]
fn each_subscribe_owes_one_retained_copy_that_is_no_duplicate() {
    let retain = |mut roster: Roster| {
        roster.streams[0].retain = true;
        roster
    };
    for (copies, breach) in [(0, Some(Breach::Lost)), (1, None), (2, Some(Breach::Duplicated))] {
        let found = violations(retain(roster(ExactlyOnce)), |stage| {
            stage.ready(ExactlyOnce);
            stage.first_hop(0);
            stage.second_hop(0, 0);
            stage.subscribe("a", ExactlyOnce);
            for _ in 0..copies {
                let tag = stage.tag(0).retained(0);
                let (client, qos) = (DASHBOARD, ExactlyOnce);
                stage.event(&Event::Delivered { client, tag, qos, retain: true });
            }
        });
        assert_eq!(found.first().map(|it| it.1), breach, "{copies} copies");
    }
}

#[test]
fn a_retained_copy_may_repeat_if_one_of_its_filters_lets_it() {
    for (other, breach) in [(AtLeastOnce, None), (ExactlyOnce, Some(Breach::Duplicated))] {
        let mut roster = roster(ExactlyOnce);
        roster.streams[0].retain = true;
        let found = violations(roster, |stage| {
            stage.ready(ExactlyOnce);
            stage.first_hop(0);
            stage.second_hop(0, 0);
            stage.subscribe("a", ExactlyOnce);
            stage.subscribe("#", other);
            for _ in 0..3 {
                let tag = stage.tag(0).retained(0);
                let (client, qos) = (DASHBOARD, other);
                stage.event(&Event::Delivered { client, tag, qos, retain: true });
            }
        });
        assert_eq!(found.first().map(|it| it.1), breach, "{other:?}");
    }
}

#[test]
fn a_copy_by_the_lower_qos_may_repeat_though_a_higher_one_is_granted_meanwhile() {
    let found = violations(roster(ExactlyOnce), |stage| {
        stage.ready(AtLeastOnce);
        stage.submit(0);
        stage.hop1(Kind::Publish, 0, 0, &OK);
        stage.hop2(Kind::Publish, 0, 0, 0, &OK);
        stage.deliver(0, 0);
        stage.deliver(0, 0);
        stage.subscribe("#", ExactlyOnce);
        stage.hop1(Kind::Publish, 0, 1, &OK);
        stage.shake1(0, 1);
        stage.complete(0);
    });
    assert_eq!(found, []);
}

#[test]
fn a_unit_takes_one_byte_and_a_message_one_more() {
    assert_eq!(size_of::<crate::unit::Unit>(), 1);
    assert_eq!(size_of::<crate::unit::Progress>(), 1);
}

#[test]
fn recovery_counts_from_the_last_outage_until_nothing_is_left_to_do() {
    let outcome = judge(roster(AtLeastOnce), Ending::Quiescent, |stage| {
        stage.ready(AtLeastOnce);
        let (node, client) = (Node::Client(SENSOR), SENSOR);
        stage.event(&Event::OutageBegan { client });
        stage.event(&Event::Backlog { node, in_flight: 2, queued: 3 });
        stage.event(&Event::OutageEnded { client });
        stage.event(&Event::Backlog { node, in_flight: 1, queued: 0 });
        stage.now += Span::from_millis(7);
        stage.event(&Event::Backlog { node, in_flight: 0, queued: 0 });
    });
    let metrics = &outcome.metrics;
    assert_eq!((metrics.in_flight_peak, metrics.queued_peak), (2, 3));
    assert_eq!(metrics.recovery, Some(Span::from_millis(9)));
    assert_eq!(outcome.sometimes["outage"], 1);
}
