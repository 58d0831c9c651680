//! Every word of a verdict, and every cell of the promise table.

use super::*;
use crate::promise::delivery_terms;
use QoS::{AtLeastOnce, AtMostOnce, ExactlyOnce};

#[test]
fn a_message_that_came_once_breaks_no_promise_at_any_qos() {
    for published in QoS::ALL {
        for granted in QoS::ALL {
            let outcome = run_both_passes(trial_facts(published), Ending::Quiescent, |trial| {
                trial.connect_and_subscribe(granted);
                trial.first_hop(0);
                trial.second_hop(0, 0);
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
            let found = violations(trial_facts(published), |trial| {
                trial.connect_and_subscribe(granted);
                trial.first_hop(0);
                trial.second_hop_packet(PacketKind::Publish, 0, 0, 0, &LOST);
            });
            let promise = delivery_terms(published, granted).promise;
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
fn the_table_allows_a_duplicate_exactly_where_at_least_once_is_published_or_granted() {
    for published in QoS::ALL {
        for granted in QoS::ALL {
            let found = violations(trial_facts(published), |trial| {
                trial.connect_and_subscribe(granted);
                trial.first_hop(0);
                let at = trial.now;
                let twice = Fate::Arrives(Arrival { at, duplicate_at: Some(at), overtakes: false });
                trial.second_hop_packet(PacketKind::Publish, 0, 0, 0, &twice);
                trial.deliver(0, 0);
                trial.now += Span::from_secs(1);
                for kind in &handshake(trial.qos.expect("ready"))[1..] {
                    trial.second_hop_packet(*kind, 0, 0, 0, &ARRIVES);
                }
                trial.deliver(0, 0);
            });
            let repeats = [(1, 0), (1, 1), (1, 2), (2, 1)];
            if repeats.contains(&(published.number(), granted.number())) {
                assert_eq!(found, [], "{published}/{granted}");
            } else {
                let promise = delivery_terms(published, granted).promise;
                let duplicated = (promise, Breach::Duplicated, Blame::Network);
                assert_eq!(found, [duplicated], "{published}/{granted}");
            }
        }
    }
}

#[test]
fn a_message_without_acknowledgement_is_stuck_and_its_loss_is_not_counted_too() {
    let found = violations(trial_facts(AtLeastOnce), |trial| {
        trial.connect_and_subscribe(AtLeastOnce);
        trial.submit(0);
        trial.first_hop_packet(PacketKind::Publish, 0, 0, &LOST);
    });
    assert_eq!(found, [(Promise::Acknowledged, Breach::Stuck, Blame::Network)]);
}

#[test]
fn an_acknowledged_message_that_never_reached_the_broker_is_lost() {
    let found = violations(trial_facts(AtLeastOnce), |trial| {
        trial.connect_and_subscribe(AtLeastOnce);
        trial.submit(0);
        trial.first_hop_packet(PacketKind::Publish, 0, 0, &LOST);
        trial.complete(0);
    });
    assert_eq!(found, [(Promise::AtLeastOnce, Breach::Lost, Blame::Network)]);
}

#[test]
fn a_copy_for_somebody_without_a_subscription_is_unexpected() {
    let found = violations(trial_facts(AtLeastOnce), |trial| {
        trial.connect(SENSOR, false);
        trial.connect(DASHBOARD, false);
        trial.qos = Some(AtLeastOnce);
        trial.first_hop(0);
        trial.second_hop(0, 0);
    });
    assert_eq!(found, [(Promise::OnlySubscribed, Breach::Unexpected, Blame::Broker)]);
}

#[test]
fn a_copy_above_the_granted_qos_is_unexpected_and_the_broker_is_to_blame() {
    let outcome = run_both_passes(trial_facts(ExactlyOnce), Ending::Quiescent, |trial| {
        trial.connect_and_subscribe(AtLeastOnce);
        trial.qos = Some(ExactlyOnce);
        trial.first_hop(0);
        trial.second_hop(0, 0);
    });
    let finding = &outcome.findings[0];
    assert_eq!(finding.violation.blame, Blame::Broker);
    assert_eq!(finding.violation.breach, Breach::Unexpected);
    assert_eq!(finding.rule, Some("MQTT-3.8.4-6"));
    assert_eq!(outcome.metrics.qos[2].counts.delivered, 1, "it is a copy all the same");
}

#[test]
fn a_delivery_that_the_publisher_never_learnt_of_is_recovered() {
    let outcome = run_both_passes(trial_facts(AtLeastOnce), Ending::Deadline, |trial| {
        trial.connect_and_subscribe(AtLeastOnce);
        trial.submit(0);
        trial.first_hop_packet(PacketKind::Publish, 0, 0, &ARRIVES);
        trial.first_hop_packet(PacketKind::PubAck, 0, 0, &LOST);
        trial.second_hop(0, 0);
    });
    assert_eq!(outcome.metrics.qos[1].counts.recovered, 1);
    assert_eq!(outcome.metrics.qos[1].counts.stuck, 1);
    assert!(outcome.violations.is_empty(), "stopped early, it is not known to be stuck");
}

#[test]
fn order_is_judged_on_first_copies_and_only_where_it_is_promised() {
    let script = |trial: &mut TestTrial<'_>| {
        trial.connect_and_subscribe(AtLeastOnce);
        trial.first_hop(0);
        trial.first_hop(1);
        trial.second_hop_packet(PacketKind::Publish, 0, 0, 0, &LOST);
        trial.second_hop(1, 0);
        trial.second_hop_packet(PacketKind::Publish, 0, 0, 1, &ARRIVES);
        trial.deliver(0, 0);
        trial.second_hop_packet(PacketKind::PubAck, 0, 0, 1, &ARRIVES);
        trial.deliver(1, 0);
    };
    assert_eq!(violations(trial_facts(AtLeastOnce), script), []);
    let ordered = TrialFacts { promises_order: true, ..trial_facts(AtLeastOnce) };
    let outcome = run_both_passes(ordered, Ending::Quiescent, script);
    assert_eq!(outcome.metrics.qos[1].counts.reordered, 1);
    let violation =
        Violation { promise: Promise::Ordered, breach: Breach::Reordered, blame: Blame::Network };
    assert_eq!(outcome.violations.get(&violation), Some(&1));
    assert_eq!(outcome.findings[0].sequence, 0);
}

#[test]
fn pubrels_resent_out_of_order_are_to_blame_for_reordered_messages() {
    let ordered = TrialFacts { promises_order: true, ..over_tcp(trial_facts(ExactlyOnce)) };
    let outcome = run_both_passes(ordered, Ending::Quiescent, |trial| {
        trial.connect_and_subscribe(ExactlyOnce);
        for sequence in [0, 1] {
            trial.first_hop(sequence);
        }
        for kind in [PacketKind::Publish, PacketKind::PubRec] {
            for sequence in [0, 1] {
                trial.second_hop_packet(kind, sequence, 0, 0, &ARRIVES);
            }
        }
        for sequence in [0, 1] {
            trial.second_hop_packet(PacketKind::PubRel, sequence, 0, 0, &LOST);
        }
        trial.cut(DASHBOARD);
        trial.connect(DASHBOARD, true);
        for sequence in [1, 0] {
            trial.second_hop_packet(PacketKind::PubRel, sequence, 0, 1, &ARRIVES);
            trial.deliver(sequence, 0);
            trial.second_hop_packet(PacketKind::PubComp, sequence, 0, 1, &ARRIVES);
        }
    });
    let violation =
        Violation { promise: Promise::Ordered, breach: Breach::Reordered, blame: Blame::Broker };
    assert_eq!(outcome.violations.get(&violation), Some(&1));
    assert_eq!(outcome.findings[0].rule, Some("MQTT-4.6.0-4"));
}

#[test]
fn over_tcp_what_completes_only_in_the_reconnect_drain_was_stalled() {
    let script = |trial: &mut TestTrial<'_>| {
        trial.connect_and_subscribe(AtMostOnce);
        trial.submit(0);
        trial.emit(&Event::Phase(Phase::ReconnectDrain));
        trial.first_hop_handshake(0, 0);
        trial.complete(0);
    };
    assert_eq!(violations(trial_facts(AtLeastOnce), script), []);
    let stalled = (Promise::Acknowledged, Breach::Stalled, Blame::Publisher);
    assert_eq!(violations(over_tcp(trial_facts(AtLeastOnce)), script), [stalled]);
}

#[test]
fn traffic_is_counted_by_hop_kind_and_purpose_until_the_reconnect_drain() {
    let outcome = run_both_passes(trial_facts(AtLeastOnce), Ending::Quiescent, |trial| {
        trial.connect_and_subscribe(AtLeastOnce);
        trial.submit(0);
        trial.first_hop_packet(PacketKind::Publish, 0, 0, &LOST);
        trial.first_hop_handshake(0, 1);
        trial.complete(0);
        trial.emit(&Event::Phase(Phase::ReconnectDrain));
        trial.second_hop(0, 1);
    });
    let [first, second] = outcome.metrics.qos[1].traffic;
    assert_eq!((first[0].first.packets, first[0].resent.packets), (1, 1));
    assert_eq!(first[1].first.packets, 1);
    assert_eq!(second[0].first.packets, 0);
    let bytes = outcome.metrics.bytes;
    assert_eq!((bytes.payload, bytes.framing, bytes.acknowledgements), (10, 38, 48));
    assert_eq!((bytes.resends, bytes.connecting), (48, 6 * 38));
    assert_eq!(outcome.metrics.qos[1].counts.delivered, 1, "deliveries count to the end");
    assert_eq!((outcome.counters["loss"], outcome.counters["dup-resend"]), (1, 1));
}
