//! Each rule of the monitor fires when it is broken, and stays silent in a close but correct case.

use super::*;
use crate::monitor::Monitor;
use crate::rules::Rule;
use QoS::{AtLeastOnce, AtMostOnce, ExactlyOnce};

fn broken_rules(published: QoS, script: impl Fn(&mut TestTrial<'_>)) -> Vec<(Rule, Node)> {
    let facts = Arc::new(trial_facts(published));
    let mut monitor = Monitor::new(&facts);
    run_script(&facts, &mut monitor, &script);
    monitor.finish();
    monitor.take_violations().iter().map(|it| (it.rule, it.node)).collect()
}

const BY_SENSOR: Node = Node::Client(SENSOR);
const BY_DASHBOARD: Node = Node::Client(DASHBOARD);

#[test]
fn a_resend_without_dup() {
    for (dup, expected) in [(true, vec![]), (false, vec![(Rule::ResendWithoutDup, BY_SENSOR)])] {
        let found = broken_rules(AtLeastOnce, |trial| {
            trial.connect_and_subscribe(AtLeastOnce);
            trial.submit(0);
            trial.first_hop_packet(PacketKind::Publish, 0, 0, &LOST);
            trial.dup = Some(dup);
            trial.first_hop_handshake(0, 1);
        });
        assert_eq!(found, expected);
    }
}

#[test]
fn a_first_sending_with_dup() {
    for (qos, rule) in [
        (AtMostOnce, Rule::QosZeroWithDup),
        (AtLeastOnce, Rule::FirstWithDup),
        (ExactlyOnce, Rule::FirstOfQosTwoWithDup),
    ] {
        let found = broken_rules(qos, |trial| {
            trial.connect_and_subscribe(qos);
            trial.dup = Some(true);
            trial.first_hop_handshake(0, 0);
        });
        assert_eq!(found, [(rule, BY_SENSOR)]);
    }
}

#[test]
fn an_id_in_use_given_to_another_message_concerns_both() {
    for (acknowledged, expected) in [(true, vec![]), (false, vec![(Rule::IdInUse, BY_SENSOR)])] {
        let found = broken_rules(AtLeastOnce, |trial| {
            trial.connect_and_subscribe(AtLeastOnce);
            trial.id = Some(7);
            trial.first_hop_packet(PacketKind::Publish, 0, 0, &ARRIVES);
            trial.first_hop_packet(
                PacketKind::PubAck,
                0,
                0,
                if acknowledged { &ARRIVES } else { &LOST },
            );
            trial.first_hop_handshake(1, 0);
        });
        assert_eq!(found, expected);
    }
}

#[test]
fn a_publish_after_its_pubrel() {
    for (released, expected) in
        [(false, vec![]), (true, vec![(Rule::PublishAfterRelease, BY_SENSOR)])]
    {
        let found = broken_rules(ExactlyOnce, |trial| {
            trial.connect_and_subscribe(ExactlyOnce);
            trial.first_hop_packet(PacketKind::Publish, 0, 0, &ARRIVES);
            trial.first_hop_packet(
                PacketKind::PubRec,
                0,
                0,
                if released { &ARRIVES } else { &LOST },
            );
            if released {
                trial.first_hop_packet(PacketKind::PubRel, 0, 0, &LOST);
            }
            trial.first_hop_handshake(0, 1);
        });
        assert_eq!(found, expected);
    }
}

#[test]
fn a_second_delivery_while_the_id_is_held() {
    let found = broken_rules(ExactlyOnce, |trial| {
        trial.connect_and_subscribe(ExactlyOnce);
        trial.second_hop_packet(PacketKind::Publish, 0, 0, 0, &ARRIVES);
        trial.deliver(0, 0);
        trial.second_hop_packet(PacketKind::PubRec, 0, 0, 0, &LOST);
        trial.second_hop_packet(PacketKind::Publish, 0, 0, 1, &ARRIVES);
        trial.deliver(0, 0);
        trial.second_hop_packet(PacketKind::PubRec, 0, 0, 1, &ARRIVES);
        trial.second_hop_packet(PacketKind::PubRel, 0, 0, 0, &LOST);
    });
    assert_eq!(found, [(Rule::SecondDelivery, BY_DASHBOARD)]);
}

#[test]
fn a_late_publish_after_pubcomp_is_a_new_message_and_nobody_broke_a_rule() {
    let found = broken_rules(ExactlyOnce, |trial| {
        trial.connect_and_subscribe(ExactlyOnce);
        trial.second_hop(0, 0);
        let publish = trial.tag(0).forwarded(Transmission::default());
        let late = (publish, ExactlyOnce, 100);
        // The network's duplicate: it arrives, though it was not sent again.
        trial.arrive_unsent(PacketKind::Publish, late);
        trial.deliver(0, 0);
        trial.second_hop_packet(PacketKind::PubRec, 0, 0, 0, &ARRIVES);
    });
    assert_eq!(found, []);
}

#[test]
fn packets_left_unanswered_to_the_end() {
    let cases = [
        (AtLeastOnce, vec![PacketKind::Publish], Rule::PublishUnacknowledged),
        (ExactlyOnce, vec![PacketKind::Publish], Rule::PublishUnrecorded),
        (
            ExactlyOnce,
            vec![PacketKind::Publish, PacketKind::PubRec, PacketKind::PubRel],
            Rule::ReleaseUnanswered,
        ),
    ];
    for (qos, kinds, rule) in cases {
        let found = broken_rules(qos, |trial| {
            trial.connect_and_subscribe(qos);
            for kind in &kinds {
                trial.first_hop_packet(*kind, 0, 0, &ARRIVES);
            }
        });
        assert_eq!(found, [(rule, Node::Broker)]);
    }
}

#[test]
fn a_connection_that_closed_before_the_answer_excuses_one_packet_and_not_two() {
    for (times, expected) in [(1, vec![]), (2, vec![(Rule::PublishUnacknowledged, Node::Broker)])] {
        let found = broken_rules(AtLeastOnce, |trial| {
            trial.connect_and_subscribe(AtLeastOnce);
            for attempt in 0..times {
                trial.first_hop_packet(PacketKind::Publish, 0, attempt, &ARRIVES);
            }
            trial.disconnect(SENSOR);
        });
        assert_eq!(found, expected);
    }
}

#[test]
fn an_acknowledgement_of_an_id_that_never_came() {
    let found = broken_rules(AtLeastOnce, |trial| {
        trial.connect_and_subscribe(AtLeastOnce);
        trial.first_hop_packet(PacketKind::Publish, 0, 0, &ARRIVES);
        trial.id = Some(9);
        trial.first_hop_packet(PacketKind::PubAck, 0, 0, &LOST);
        trial.id = None;
        trial.first_hop_packet(PacketKind::PubAck, 0, 0, &ARRIVES);
    });
    assert_eq!(found, [(Rule::AnswerUnasked, Node::Broker)]);
}

#[test]
fn a_resend_after_a_lost_session_is_no_broken_rule_but_losing_it_is() {
    let found = broken_rules(ExactlyOnce, |trial| {
        trial.connect_and_subscribe(ExactlyOnce);
        trial.first_hop_packet(PacketKind::Publish, 0, 0, &LOST);
        trial.disconnect(SENSOR);
        trial.connect(SENSOR, false);
        trial.dup = Some(false);
        trial.first_hop_handshake(0, 1);
    });
    assert_eq!(found, [(Rule::SessionLost, Node::Broker)]);
}

#[test]
fn the_first_broken_rule_in_causal_order_is_blamed_before_the_network() {
    let outcome = run_both_passes(trial_facts(ExactlyOnce), Ending::Quiescent, |trial| {
        trial.connect_and_subscribe(ExactlyOnce);
        trial.submit(0);
        trial.first_hop_packet(PacketKind::Publish, 0, 0, &ARRIVES);
        trial.second_hop(0, 0);
        trial.first_hop_packet(PacketKind::PubRec, 0, 0, &LOST);
        trial.first_hop_handshake(0, 1);
        trial.second_hop(0, 1);
        trial.complete(0);
    });
    let finding = &outcome.findings[0];
    assert_eq!((finding.violation.blame, finding.rule), (Blame::Broker, Some("MQTT-4.3.3-2")));
    assert_eq!((finding.copies, finding.deliveries.len()), (2, 2));
    insta::assert_snapshot!(
        finding.reason,
        @"broker passed a QoS 2 message on again although it held its packet id at 0.039s"
    );
    let story: Vec<&str> = finding.history.iter().map(|line| line.text.as_str()).collect();
    assert!(story.contains(&"broker -> sensor: PUBREC id 1, lost: random loss"), "{story:?}");
    assert_eq!(story.iter().filter(|text| **text == "dashboard delivers it").count(), 2);
    assert!(story.iter().any(|text| text.ends_with("[MQTT-4.3.3-2]")), "{story:?}");
}

#[test]
fn an_acknowledgement_without_the_action_is_blamed_on_the_endpoint_that_sent_it() {
    let broker = run_both_passes(trial_facts(AtLeastOnce), Ending::Quiescent, |trial| {
        trial.connect_and_subscribe(AtLeastOnce);
        trial.first_hop(0);
    });
    assert_eq!(broker.findings[0].violation.blame, Blame::Broker);
    assert_eq!(broker.findings[0].rule, Some("MQTT-4.5.0-1"));
    let subscriber = run_both_passes(trial_facts(AtLeastOnce), Ending::Quiescent, |trial| {
        trial.connect_and_subscribe(AtLeastOnce);
        trial.first_hop(0);
        trial.second_hop_packet(PacketKind::Publish, 0, 0, 0, &ARRIVES);
        trial.second_hop_packet(PacketKind::PubAck, 0, 0, 0, &ARRIVES);
    });
    assert_eq!(subscriber.findings[0].violation.blame, Blame::Subscriber);
    assert_eq!(subscriber.findings[0].rule, None, "no single sentence says it");
}

#[test]
fn a_trial_stopped_early_shows_a_stuck_message_only_if_an_endpoint_broke_a_rule() {
    let script = |answered: bool| {
        move |trial: &mut TestTrial<'_>| {
            trial.connect_and_subscribe(ExactlyOnce);
            trial.submit(0);
            for kind in [PacketKind::Publish, PacketKind::PubRec, PacketKind::PubRel] {
                trial.first_hop_packet(kind, 0, 0, &ARRIVES);
            }
            trial.second_hop(0, 0);
            if answered {
                trial.first_hop_packet(PacketKind::PubComp, 0, 0, &LOST);
            }
        }
    };
    let slow = run_both_passes(trial_facts(ExactlyOnce), Ending::Deadline, script(true));
    assert!(slow.violations.is_empty());
    let broken = run_both_passes(trial_facts(ExactlyOnce), Ending::Deadline, script(false));
    assert_eq!(broken.findings[0].violation.breach, Breach::Stuck);
    assert_eq!(broken.findings[0].violation.blame, Blame::Broker);
}

#[test]
fn a_clean_session_explains_a_broken_promise_only_if_it_was_seen_to_end() {
    for (ends, blame) in [(false, Blame::Publisher), (true, Blame::Configuration)] {
        let mut clean = trial_facts(AtLeastOnce);
        clean.clients[SENSOR.index()].clean_session = true;
        let found = violations(clean, |trial| {
            trial.connect_and_subscribe(AtLeastOnce);
            trial.submit(0);
            if ends {
                trial.disconnect(SENSOR);
            }
        });
        assert_eq!(found, [(Promise::Acknowledged, Breach::Stuck, blame)]);
    }
}

#[test]
fn what_nothing_explains_is_a_bug_in_qoslab_only_where_every_endpoint_is_correct_and_ours() {
    let blame = |is_under_test: bool, has_quirks: bool| {
        let mut facts = TrialFacts { is_under_test, has_quirks, ..trial_facts(AtLeastOnce) };
        // Over datagrams, and without a timer, nothing says when it should have been sent.
        facts.clients[SENSOR.index()].resends_by_timer = false;
        let found = violations(facts, |trial| {
            trial.connect_and_subscribe(AtLeastOnce);
            trial.submit(0);
        });
        found[0].2
    };
    assert_eq!(blame(false, false), Blame::Unexplained);
    assert_eq!(blame(true, false), Blame::UnexplainedOnPath);
    assert_eq!(blame(false, true), Blame::UnexplainedOnPath);
}

#[test]
fn a_timer_is_named_as_the_exception_where_mqtt_5_forbids_it() {
    let because = |version: Version| {
        let mut facts = trial_facts(AtLeastOnce);
        facts.clients[SENSOR.index()].version = version;
        let outcome = run_both_passes(facts, Ending::Quiescent, |trial| {
            trial.connect_and_subscribe(AtLeastOnce);
            trial.submit(0);
            trial.first_hop_packet(PacketKind::Publish, 0, 0, &LOST);
        });
        outcome.findings[0].reason.clone()
    };
    assert_eq!(
        because(Version::V311),
        "every endpoint kept the rules, and the network lost 1 of its packets"
    );
    assert_eq!(
        because(Version::V5),
        "every endpoint kept the rules, but for the retry timer that the scenario sets, which \
         MQTT 5.0 forbids [MQTT-4.4.0-1], and the network lost 1 of its packets"
    );
}
