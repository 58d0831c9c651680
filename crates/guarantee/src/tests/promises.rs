//! Every word of a verdict, and every cell of the promise table.

use super::*;
use crate::promise::terms;
use crate::verdict::Excuse;
use QoS::{AtLeastOnce, AtMostOnce, ExactlyOnce};

#[test]
fn a_message_that_came_once_breaks_no_promise_at_any_qos() {
    for published in QoS::ALL {
        for granted in QoS::ALL {
            let outcome = judge(roster(published), Ending::Quiescent, |stage| {
                stage.ready(granted);
                stage.first_hop(0);
                stage.second_hop(0, 0);
            });
            assert!(outcome.violations.is_empty(), "{published}/{granted}: {outcome:?}");
            let metrics = &outcome.metrics.qos[published.index()];
            assert_eq!(
                (metrics.counts.units, metrics.counts.delivered, metrics.counts.lost),
                (1, 1, 0)
            );
            assert_eq!(metrics.latency.count(), 1);
        }
    }
}

#[test]
fn the_table_allows_a_loss_exactly_where_one_of_the_two_is_zero() {
    for published in QoS::ALL {
        for granted in QoS::ALL {
            let found = violations(roster(published), |stage| {
                stage.ready(granted);
                stage.first_hop(0);
                stage.hop2(Kind::Publish, 0, 0, 0, &LOST);
            });
            let promise = terms(published, granted).promise;
            if published == AtMostOnce || granted == AtMostOnce {
                assert_eq!(found, [], "{published}/{granted}");
            } else {
                let lost = (promise, Breach::Lost, Blame::Network);
                assert_eq!(found, [lost], "{published}/{granted}");
            }
        }
    }
}

#[test]
fn the_table_allows_a_duplicate_exactly_where_at_least_once_has_a_part() {
    for published in QoS::ALL {
        for granted in QoS::ALL {
            let found = violations(roster(published), |stage| {
                stage.ready(granted);
                stage.first_hop(0);
                let at = stage.now;
                let twice = Fate::Arrives(Arrival { at, again: Some(at), overtakes: false });
                stage.hop2(Kind::Publish, 0, 0, 0, &twice);
                stage.deliver(0, 0);
                stage.now += Span::from_secs(1);
                for kind in &handshake(stage.qos.expect("ready"))[1..] {
                    stage.hop2(*kind, 0, 0, 0, &OK);
                }
                stage.deliver(0, 0);
            });
            let repeats = [(1, 0), (1, 1), (1, 2), (2, 1)];
            if repeats.contains(&(published.number(), granted.number())) {
                assert_eq!(found, [], "{published}/{granted}");
            } else {
                let promise = terms(published, granted).promise;
                let duplicated = (promise, Breach::Duplicated, Blame::Network);
                assert_eq!(found, [duplicated], "{published}/{granted}");
            }
        }
    }
}

#[test]
fn a_message_without_acknowledgement_is_stuck_and_its_loss_is_not_counted_too() {
    let found = violations(roster(AtLeastOnce), |stage| {
        stage.ready(AtLeastOnce);
        stage.submit(0);
        stage.hop1(Kind::Publish, 0, 0, &LOST);
    });
    assert_eq!(found, [(Promise::Acknowledged, Breach::Stuck, Blame::Network)]);
}

#[test]
fn a_refused_message_is_not_stuck() {
    let outcome = judge(roster(AtLeastOnce), Ending::Quiescent, |stage| {
        stage.ready(AtLeastOnce);
        stage.submit(0);
        stage.refuse(0, Dropped::QueueFull);
    });
    assert!(outcome.violations.is_empty());
    assert_eq!(outcome.metrics.qos[1].counts.refused, 1);
    assert_eq!(outcome.sometimes["queue-overflow"], 1);
}

#[test]
fn an_acknowledged_message_that_never_reached_the_broker_is_lost() {
    let found = violations(roster(AtLeastOnce), |stage| {
        stage.ready(AtLeastOnce);
        stage.submit(0);
        stage.hop1(Kind::Publish, 0, 0, &LOST);
        stage.complete(0);
    });
    assert_eq!(found, [(Promise::AtLeastOnce, Breach::Lost, Blame::Network)]);
}

#[test]
fn a_copy_for_somebody_without_a_subscription_is_unexpected() {
    let found = violations(roster(AtLeastOnce), |stage| {
        stage.connect(SENSOR, false);
        stage.connect(DASHBOARD, false);
        stage.qos = Some(AtLeastOnce);
        stage.first_hop(0);
        stage.second_hop(0, 0);
    });
    assert_eq!(found, [(Promise::OnlySubscribed, Breach::Unexpected, Blame::Broker)]);
}

#[test]
fn a_copy_above_the_granted_qos_is_unexpected_and_the_broker_is_to_blame() {
    let outcome = judge(roster(ExactlyOnce), Ending::Quiescent, |stage| {
        stage.ready(AtLeastOnce);
        stage.qos = Some(ExactlyOnce);
        stage.first_hop(0);
        stage.second_hop(0, 0);
    });
    let finding = &outcome.findings[0];
    assert_eq!(finding.violation.blame, Blame::Broker);
    assert_eq!(finding.violation.breach, Breach::Unexpected);
    assert_eq!(finding.rule, Some("MQTT-3.8.4-6"));
    assert_eq!(outcome.metrics.qos[2].counts.delivered, 1, "it is a copy all the same");
}

#[test]
fn a_delivery_that_the_publisher_never_learnt_of_is_recovered() {
    let outcome = judge(roster(AtLeastOnce), Ending::Deadline, |stage| {
        stage.ready(AtLeastOnce);
        stage.submit(0);
        stage.hop1(Kind::Publish, 0, 0, &OK);
        stage.hop1(Kind::PubAck, 0, 0, &LOST);
        stage.second_hop(0, 0);
    });
    assert_eq!(outcome.metrics.qos[1].counts.recovered, 1);
    assert_eq!(outcome.metrics.qos[1].counts.stuck, 1);
    assert!(outcome.violations.is_empty(), "stopped early, it is not known to be stuck");
}

#[test]
fn order_is_judged_on_first_copies_and_only_where_it_is_promised() {
    let script = |stage: &mut Stage<'_>| {
        stage.ready(AtLeastOnce);
        stage.first_hop(0);
        stage.first_hop(1);
        stage.hop2(Kind::Publish, 0, 0, 0, &LOST);
        stage.second_hop(1, 0);
        stage.hop2(Kind::Publish, 0, 0, 1, &OK);
        stage.deliver(0, 0);
        stage.hop2(Kind::PubAck, 0, 0, 1, &OK);
        stage.deliver(1, 0);
    };
    assert_eq!(violations(roster(AtLeastOnce), script), []);
    let ordered = Roster { order: true, ..roster(AtLeastOnce) };
    let outcome = judge(ordered, Ending::Quiescent, script);
    assert_eq!(outcome.metrics.qos[1].counts.reordered, 1);
    let violation =
        Violation { promise: Promise::Ordered, breach: Breach::Reordered, blame: Blame::Network };
    assert_eq!(outcome.violations.get(&violation), Some(&1));
    assert_eq!(outcome.findings[0].sequence, 0);
}

#[test]
fn pubrels_that_come_again_in_another_order_are_to_blame_for_messages_that_do() {
    let ordered = Roster { order: true, ..over_streams(roster(ExactlyOnce)) };
    let outcome = judge(ordered, Ending::Quiescent, |stage| {
        stage.ready(ExactlyOnce);
        for sequence in [0, 1] {
            stage.first_hop(sequence);
        }
        for kind in [Kind::Publish, Kind::PubRec] {
            for sequence in [0, 1] {
                stage.hop2(kind, sequence, 0, 0, &OK);
            }
        }
        for sequence in [0, 1] {
            stage.hop2(Kind::PubRel, sequence, 0, 0, &LOST);
        }
        stage.cut(DASHBOARD);
        stage.connect(DASHBOARD, true);
        for sequence in [1, 0] {
            stage.hop2(Kind::PubRel, sequence, 0, 1, &OK);
            stage.deliver(sequence, 0);
            stage.hop2(Kind::PubComp, sequence, 0, 1, &OK);
        }
    });
    let violation =
        Violation { promise: Promise::Ordered, breach: Breach::Reordered, blame: Blame::Broker };
    assert_eq!(outcome.violations.get(&violation), Some(&1));
    assert_eq!(outcome.findings[0].rule, Some("MQTT-4.6.0-4"));
}

#[test]
fn over_a_reliable_transport_what_completes_only_in_the_second_calm_was_stalled() {
    let script = |stage: &mut Stage<'_>| {
        stage.ready(AtMostOnce);
        stage.submit(0);
        stage.event(&Event::Phase(Phase::CalmTwo));
        stage.shake1(0, 0);
        stage.complete(0);
    };
    assert_eq!(violations(roster(AtLeastOnce), script), []);
    let stalled = (Promise::Acknowledged, Breach::Stalled, Blame::Publisher);
    assert_eq!(violations(over_streams(roster(AtLeastOnce)), script), [stalled]);
}

#[test]
fn a_drop_is_excused_only_where_it_is_declared() {
    let drop = |why: Dropped| {
        move |stage: &mut Stage<'_>| {
            stage.ready(AtLeastOnce);
            stage.first_hop(0);
            stage.drop_copy(0, why);
        }
    };
    let lost = (Promise::AtLeastOnce, Breach::Lost, Blame::Configuration);
    assert_eq!(violations(roster(AtLeastOnce), drop(Dropped::QueueFull)), [lost]);
    let cases = [
        (Dropped::QueueFull, Excuse::QueueOverflow),
        (Dropped::GaveUp, Excuse::GaveUp),
        (Dropped::Rejected, Excuse::Rejected),
    ];
    for (why, excuse) in cases {
        let lenient = Roster { allow_queue_overflow: true, gives_up: true, ..roster(AtLeastOnce) };
        let outcome = judge(lenient, Ending::Quiescent, drop(why));
        assert!(outcome.violations.is_empty(), "{why:?}");
        assert_eq!(outcome.excuses.get(&excuse), Some(&1), "{why:?}");
    }
}

#[test]
fn traffic_is_counted_by_hop_kind_and_purpose_until_the_second_calm() {
    let outcome = judge(roster(AtLeastOnce), Ending::Quiescent, |stage| {
        stage.ready(AtLeastOnce);
        stage.submit(0);
        stage.hop1(Kind::Publish, 0, 0, &LOST);
        stage.shake1(0, 1);
        stage.complete(0);
        stage.event(&Event::Phase(Phase::CalmTwo));
        stage.second_hop(0, 1);
    });
    let [first, second] = outcome.metrics.qos[1].traffic;
    assert_eq!((first[0].first.packets, first[0].resent.packets), (1, 1));
    assert_eq!(first[1].first.packets, 1);
    assert_eq!(second[0].first.packets, 0);
    let bytes = outcome.metrics.bytes;
    assert_eq!((bytes.payload, bytes.framing, bytes.acknowledgements), (10, 38, 48));
    assert_eq!((bytes.resends, bytes.connecting), (48, 6 * 38));
    assert_eq!(outcome.metrics.qos[1].counts.delivered, 1, "deliveries count to the end");
    assert_eq!((outcome.sometimes["loss"], outcome.sometimes["dup-resend"]), (1, 1));
}
