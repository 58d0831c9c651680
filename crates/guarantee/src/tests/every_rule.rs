//! Each rule fires where it is broken, alone, and is silent where a correct peer comes close.

use std::collections::BTreeSet;

use super::rule_harness::{
    PacketSpec, Wire, broken_rules, forward, message, publish, tcp_v5_facts,
};
use super::*;
use crate::rules::{ALL_RULES, Rule};
use PacketKind::{PubAck, PubComp, PubRec, PubRel};
use qoslab_core::base::{RetainHandling, SubscriptionOptions};

mod connections;
mod first_bytes;
mod receiver;
mod sender;
mod subscriptions;
mod wills;

use connections::CONNECTIONS;
use first_bytes::FIRST_BYTES;
use receiver::RECEIVER;
use sender::SENDER;
use subscriptions::SUBSCRIPTIONS;
use wills::WILLS;

/// A rule, what a wrong endpoint does, and what a correct one does that looks like it.
type RuleCase = (Rule, fn(&mut Wire), fn(&mut Wire));

const DEFAULT_OPTIONS: SubscriptionOptions = SubscriptionOptions {
    no_local: false,
    retain_as_published: false,
    retain_handling: RetainHandling::Send,
    identifier: 0,
};

/// A whole exchange of the sensor's.
fn exchange(wire: &mut Wire, qos: u8, id: u16) {
    wire.up(publish(qos, id));
    if qos == 1 {
        wire.down(message(PubAck, id));
    } else {
        finish_qos2(wire, id);
    }
}

/// Messages 1 and 2 of QoS 2, whose PUBRECs come in this order and whose PUBRELs are lost, and then
/// come again in that order.
fn resend_pubrels(wire: &mut Wire, recorded: [u16; 2], released: [u16; 2]) {
    wire.connect(false);
    for id in [1, 2] {
        wire.up(publish(2, id));
    }
    for id in recorded {
        wire.down(message(PubRec, id));
        wire.up_lost(message(PubRel, id));
    }
    wire.cut_and_resume();
    for id in released {
        wire.up(message(PubRel, id).resent());
        wire.down(message(PubComp, id));
    }
}

#[test]
fn pubrels_are_resent_in_the_order_of_pubrecs_or_of_messages() {
    for released in [[2, 1], [1, 2]] {
        let found = broken_rules(tcp_v5_facts(), |wire| resend_pubrels(wire, [2, 1], released));
        // The broker is at fault for its PUBRECs.
        assert_eq!(found, [Rule::RecordOutOfOrder]);
    }
}

/// QoS 2 from PUBREC on.
fn finish_qos2(wire: &mut Wire, id: u16) {
    wire.down(message(PubRec, id));
    wire.up(message(PubRel, id));
    wire.down(message(PubComp, id));
}

fn cases() -> impl Iterator<Item = RuleCase> {
    let all = [&FIRST_BYTES[..], &SENDER, &RECEIVER, &CONNECTIONS, &SUBSCRIPTIONS, &WILLS];
    all.into_iter().flatten().copied()
}

/// The facts for a rule: sessions that end with their connection where it is about those.
fn facts_for_rule(rule: Rule) -> TrialFacts {
    let mut facts = tcp_v5_facts();
    facts.clients[SENSOR.index()].clean_session = rule == Rule::OldStateAfterClean;
    facts
}

#[test]
fn every_rule_fires_alone_where_it_is_broken() {
    for (rule, fires, _) in cases() {
        assert_eq!(broken_rules(facts_for_rule(rule), fires), [rule], "{}", rule.name());
    }
}

#[test]
fn every_rule_is_silent_where_a_correct_peer_comes_close() {
    for (rule, _, silent) in cases() {
        assert_eq!(broken_rules(facts_for_rule(rule), silent), [], "{}", rule.name());
    }
}

/// Those of the second pass and of MQTT 3.1.1 alone are below.
#[test]
fn every_rule_has_its_cases() {
    let mut rules: BTreeSet<_> = cases().map(|(rule, ..)| rule).collect();
    rules.insert(Rule::RetainedWithoutFlag);
    let second_pass = [
        Rule::AboveGranted,
        Rule::BelowGranted,
        Rule::NotSubscribed,
        Rule::ForwardedOutOfOrder,
        Rule::RetainedNotReplaced,
        Rule::RetainedNotSent,
        Rule::NeverForwarded,
        Rule::NeverDelivered,
    ];
    rules.extend(second_pass);
    assert_eq!(rules, ALL_RULES.into_iter().collect());
}

#[test]
fn a_retained_message_without_its_flag_breaks_a_rule_of_3_1_1_alone() {
    for (version, expected) in
        [(Version::V311, vec![Rule::RetainedWithoutFlag]), (Version::V5, vec![])]
    {
        let mut facts = tcp_v5_facts();
        facts.clients[SENSOR.index()].version = version;
        let found = broken_rules(facts, |wire| {
            wire.connect(false);
            wire.down(forward(0, 1).retained(false));
        });
        assert_eq!(found, expected);
    }
    let found = broken_rules(tcp_v5_facts(), |wire| {
        wire.connect(false);
        wire.down(forward(0, 1).retained(true));
    });
    assert_eq!(found, []);
}

#[test]
fn a_receiver_that_reads_two_messages_before_it_delivers_any_delivers_each_once() {
    let two = [forward(2, 1), forward(2, 2)];
    let found = |passed_on: &[PacketSpec]| {
        broken_rules(tcp_v5_facts(), |wire| {
            wire.connect(false);
            for spec in two {
                wire.down(spec);
            }
            for spec in two {
                wire.up(spec.kind(PubRec));
            }
            for spec in passed_on {
                wire.delivered(*spec);
            }
            for spec in two {
                wire.down(spec.kind(PubRel));
                wire.up(spec.kind(PubComp));
            }
        })
    };
    assert_eq!(found(&two), []);
    assert_eq!(found(&[two[0], two[1], two[0]]), [Rule::SecondDelivery]);
}

#[test]
fn a_repeated_connack_is_no_resumption_at_the_client() {
    let mut facts = tcp_v5_facts();
    facts.clients[SENSOR.index()].over_tcp = false;
    facts.clients[SENSOR.index()].resends_by_timer = true;
    let found = broken_rules(facts, |wire| {
        wire.connect(false);
        wire.up_lost(publish(1, 1));
        wire.up_lost(publish(1, 2));
        wire.send_connack(false);
        for id in [2, 1] {
            wire.up(publish(1, id).resent());
            wire.down(message(PubAck, id));
        }
    });
    assert_eq!(found, []);
}

#[test]
fn a_forward_without_subscription_or_above_the_granted_qos_breaks_a_rule() {
    let rule = |granted: Option<QoS>, forwarded: QoS| {
        let outcome = run_both_passes(trial_facts(QoS::ExactlyOnce), Ending::Quiescent, |trial| {
            if let Some(granted) = granted {
                trial.connect_and_subscribe(granted);
            } else {
                trial.connect(SENSOR, false);
                trial.connect(DASHBOARD, false);
                trial.emit(&Event::Phase(Phase::Traffic));
            }
            trial.first_hop(0);
            trial.qos = Some(forwarded);
            trial.second_hop(0, 0);
        });
        outcome.findings.first().and_then(|finding| finding.rule)
    };
    assert_eq!(rule(None, QoS::AtMostOnce), Some("MQTT-3.10.4-2"));
    assert_eq!(rule(Some(QoS::AtLeastOnce), QoS::ExactlyOnce), Some("MQTT-3.8.4-6"));
    assert_eq!(rule(Some(QoS::AtLeastOnce), QoS::AtLeastOnce), None);
}

#[test]
fn a_forward_below_the_granted_qos_is_to_blame_for_a_second_copy() {
    let rule = |forwarded: QoS| {
        let outcome = run_both_passes(trial_facts(QoS::ExactlyOnce), Ending::Quiescent, |trial| {
            trial.connect_and_subscribe(QoS::ExactlyOnce);
            trial.first_hop(0);
            trial.qos = Some(forwarded);
            for attempt in [0, 1] {
                trial.second_hop_packet(PacketKind::Publish, 0, 0, attempt, &ARRIVES);
                trial.deliver(0, 0);
            }
        });
        outcome.findings.first().and_then(|finding| finding.rule)
    };
    assert_eq!(rule(QoS::AtLeastOnce), Some("MQTT-3.3.5-1"));
    assert_eq!(rule(QoS::ExactlyOnce), Some("MQTT-4.3.3-2"));
}

#[test]
fn a_declared_timer_may_resend_and_a_volatile_store_is_not_held_to_what_it_lost() {
    let mut timer = tcp_v5_facts();
    timer.clients[SENSOR.index()].resends_by_timer = true;
    let (_, resent, _) = cases().find(|(rule, ..)| *rule == Rule::ResentAlive).unwrap();
    assert_eq!(broken_rules(timer, resent), []);
    let mut forgetful = tcp_v5_facts();
    forgetful.broker_store = StorePolicy::Volatile;
    let lost = |wire: &mut Wire| {
        wire.connect(false);
        wire.crash(Node::Broker);
        wire.connect(false);
    };
    assert_eq!(broken_rules(forgetful, lost), []);
    assert_eq!(broken_rules(tcp_v5_facts(), lost), [Rule::SessionLost]);
}

#[test]
fn mqtt_3_1_has_no_rule_ids_and_fewer_rules() {
    let mut old = tcp_v5_facts();
    old.clients[SENSOR.index()].version = Version::V31;
    let (rule, resent, _) = FIRST_BYTES[0];
    assert_eq!(broken_rules(old.clone(), resent), [rule]);
    assert_eq!(rule.id(Version::V31, Node::Broker), None);
    let (_, reordered, _) = SENDER[6];
    assert_eq!(broken_rules(old, reordered), []);
}
