//! Each rule fires where it is broken, alone, and is silent where a correct peer comes close.

use std::collections::BTreeSet;

use super::wire::{Told, Wire, broken, facts, forward, message, publish};
use super::*;
use crate::rules::{ALL, Rule};
use Kind::{PubAck, PubComp, PubRec, PubRel};
use qoslab_core::base::event::{RetainHandling, SubscriptionOptions};

mod connections;
mod first_bytes;
mod receiver;
mod sender;
mod subscriptions;

use connections::CONNECTIONS;
use first_bytes::FIRST_BYTES;
use receiver::RECEIVER;
use sender::SENDER;
use subscriptions::SUBSCRIPTIONS;

/// A rule, what a wrong endpoint does, and what a correct one does that looks like it.
type Case = (Rule, fn(&mut Wire), fn(&mut Wire));

const PLAIN: SubscriptionOptions = SubscriptionOptions {
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
        shake(wire, id);
    }
}

/// Messages 1 and 2 of QoS 2, whose PUBRECs come in this order and whose PUBRELs are lost, and then
/// come again in that order.
fn release_again(wire: &mut Wire, recorded: [u16; 2], released: [u16; 2]) {
    wire.connect(false);
    for id in [1, 2] {
        wire.up(publish(2, id));
    }
    for id in recorded {
        wire.down(message(PubRec, id));
        wire.up_lost(message(PubRel, id));
    }
    wire.resume();
    for id in released {
        wire.up(message(PubRel, id).again());
        wire.down(message(PubComp, id));
    }
}

#[test]
fn releases_come_again_in_the_order_of_pubrecs_or_of_messages() {
    for released in [[2, 1], [1, 2]] {
        let found = broken(facts(), |wire| release_again(wire, [2, 1], released));
        // The broker is at fault for its PUBRECs.
        assert_eq!(found, [Rule::RecordOutOfOrder]);
    }
}

/// QoS 2 from PUBREC on.
fn shake(wire: &mut Wire, id: u16) {
    wire.down(message(PubRec, id));
    wire.up(message(PubRel, id));
    wire.down(message(PubComp, id));
}

fn cases() -> impl Iterator<Item = Case> {
    let all = [&FIRST_BYTES[..], &SENDER, &RECEIVER, &CONNECTIONS, &SUBSCRIPTIONS];
    all.into_iter().flatten().copied()
}

/// The facts for a rule: sessions that end with their connection where it is about those.
fn facts_for(rule: Rule) -> Roster {
    let mut facts = facts();
    facts.clients[SENSOR.index()].clean = rule == Rule::OldStateAfterClean;
    facts
}

#[test]
fn every_rule_fires_alone_where_it_is_broken() {
    for (rule, fires, _) in cases() {
        assert_eq!(broken(facts_for(rule), fires), [rule], "{}", rule.name());
    }
}

#[test]
fn every_rule_is_silent_where_a_correct_peer_comes_close() {
    for (rule, _, silent) in cases() {
        assert_eq!(broken(facts_for(rule), silent), [], "{}", rule.name());
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
        Rule::NeverForwarded,
        Rule::NeverDelivered,
    ];
    rules.extend(second_pass);
    assert_eq!(rules, ALL.into_iter().collect());
}

#[test]
fn a_retained_message_without_its_flag_breaks_a_rule_of_3_1_1_alone() {
    for (version, expected) in
        [(Version::V311, vec![Rule::RetainedWithoutFlag]), (Version::V5, vec![])]
    {
        let mut facts = facts();
        facts.clients[SENSOR.index()].version = version;
        let found = broken(facts, |wire| {
            wire.connect(false);
            wire.down(forward(0, 1).retained(false));
        });
        assert_eq!(found, expected);
    }
    let found = broken(facts(), |wire| {
        wire.connect(false);
        wire.down(forward(0, 1).retained(true));
    });
    assert_eq!(found, []);
}

#[test]
fn one_that_reads_two_messages_before_it_passes_them_on_delivers_each_once() {
    let two = [forward(2, 1), forward(2, 2)];
    let found = |passed_on: &[Told]| {
        broken(facts(), |wire| {
            wire.connect(false);
            for told in two {
                wire.down(told);
            }
            for told in two {
                wire.up(told.kind(PubRec));
            }
            for told in passed_on {
                wire.delivered(*told);
            }
            for told in two {
                wire.down(told.kind(PubRel));
                wire.up(told.kind(PubComp));
            }
        })
    };
    assert_eq!(found(&two), []);
    assert_eq!(found(&[two[0], two[1], two[0]]), [Rule::SecondDelivery]);
}

#[test]
fn a_repeated_connack_is_no_resumption_at_the_client() {
    let mut facts = facts();
    facts.clients[SENSOR.index()].over_stream = false;
    facts.clients[SENSOR.index()].resends_by_timer = true;
    let found = broken(facts, |wire| {
        wire.connect(false);
        wire.up_lost(publish(1, 1));
        wire.up_lost(publish(1, 2));
        wire.welcome(false);
        for id in [2, 1] {
            wire.up(publish(1, id).again());
            wire.down(message(PubAck, id));
        }
    });
    assert_eq!(found, []);
}

#[test]
fn a_forward_that_nobody_asked_for_or_above_the_grant_breaks_a_rule_and_a_right_one_does_not() {
    let rule = |granted: Option<QoS>, forwarded: QoS| {
        let outcome = judge(roster(QoS::ExactlyOnce), Ending::Quiescent, |stage| {
            if let Some(granted) = granted {
                stage.ready(granted);
            } else {
                stage.connect(SENSOR, false);
                stage.connect(DASHBOARD, false);
                stage.event(&Event::Phase(Phase::Traffic));
            }
            stage.first_hop(0);
            stage.qos = Some(forwarded);
            stage.second_hop(0, 0);
        });
        outcome.findings.first().and_then(|finding| finding.rule)
    };
    assert_eq!(rule(None, QoS::AtMostOnce), Some("MQTT-3.10.4-2"));
    assert_eq!(rule(Some(QoS::AtLeastOnce), QoS::ExactlyOnce), Some("MQTT-3.8.4-6"));
    assert_eq!(rule(Some(QoS::AtLeastOnce), QoS::AtLeastOnce), None);
}

#[test]
fn a_forward_below_the_grant_is_to_blame_for_the_second_copy_that_comes_of_it() {
    let rule = |forwarded: QoS| {
        let outcome = judge(roster(QoS::ExactlyOnce), Ending::Quiescent, |stage| {
            stage.ready(QoS::ExactlyOnce);
            stage.first_hop(0);
            stage.qos = Some(forwarded);
            for attempt in [0, 1] {
                stage.hop2(Kind::Publish, 0, 0, attempt, &OK);
                stage.deliver(0, 0);
            }
        });
        outcome.findings.first().and_then(|finding| finding.rule)
    };
    assert_eq!(rule(QoS::AtLeastOnce), Some("MQTT-3.3.5-1"));
    assert_eq!(rule(QoS::ExactlyOnce), Some("MQTT-4.3.3-2"));
}

#[test]
fn a_declared_timer_may_send_again_and_a_store_that_forgets_is_not_held_to_what_it_forgot() {
    let mut timer = facts();
    timer.clients[SENSOR.index()].resends_by_timer = true;
    let (_, resent, _) = cases().find(|(rule, ..)| *rule == Rule::ResentAlive).unwrap();
    assert_eq!(broken(timer, resent), []);
    let mut forgetful = facts();
    forgetful.broker_store = Store::Volatile;
    let lost = |wire: &mut Wire| {
        wire.connect(false);
        wire.crash(Node::Broker);
        wire.connect(false);
    };
    assert_eq!(broken(forgetful, lost), []);
    assert_eq!(broken(facts(), lost), [Rule::SessionLost]);
}

#[test]
fn mqtt_3_1_has_no_ids_and_less_rules() {
    let mut old = facts();
    old.clients[SENSOR.index()].version = Version::V31;
    let (rule, resent, _) = FIRST_BYTES[0];
    assert_eq!(broken(old.clone(), resent), [rule]);
    assert_eq!(rule.id(Version::V31, Node::Broker), None);
    let (_, reordered, _) = SENDER[6];
    assert_eq!(broken(old, reordered), []);
}
