//! Crashes and what stores keep, sessions that expire, silent deaths, wills.

use super::*;
use crate::verdict::Excuse;
use QoS::{AtLeastOnce, AtMostOnce, ExactlyOnce};
use qoslab_core::base::{SilentDeathCause, SubscriptionOptions};

const SNAPSHOT: StorePolicy = StorePolicy::Snapshot(Span::from_secs(30));

fn with_broker_store(published: QoS, store: StorePolicy) -> TrialFacts {
    TrialFacts { broker_store: store, ..over_tcp(trial_facts(published)) }
}

fn with_client_store(published: QoS, client: ClientIndex, store: StorePolicy) -> TrialFacts {
    let mut facts = over_tcp(trial_facts(published));
    facts.clients[client.index()].store = store;
    facts
}

/// The broker takes a message for a dashboard that is away, and crashes.
fn accepted_and_crashed(trial: &mut TestTrial<'_>) {
    trial.connect_and_subscribe(AtLeastOnce);
    trial.disconnect(DASHBOARD);
    trial.first_hop(0);
    trial.crash(Node::Broker);
}

#[test]
fn what_a_volatile_broker_forgot_in_a_crash_is_lost_by_configuration() {
    let facts = with_broker_store(AtLeastOnce, StorePolicy::Volatile);
    let outcome = run_both_passes(facts, Ending::Quiescent, |trial| {
        accepted_and_crashed(trial);
        trial.connect(DASHBOARD, false);
        trial.subscribe("a", AtLeastOnce);
    });
    assert_eq!(outcome.findings.len(), 1);
    let finding = &outcome.findings[0];
    assert_eq!(finding.violation.breach, Breach::Lost);
    assert_eq!(finding.violation.blame, Blame::Configuration);
    assert_eq!(finding.reason, "the broker's store forgets in a crash: store = \"volatile\"");
    assert!(finding.history.iter().any(|line| line.text == "broker crashes"));
    assert!(outcome.excuses.is_empty());
}

#[test]
fn what_a_durable_broker_did_not_send_on_after_a_crash_is_its_own_fault() {
    let outcome = run_both_passes(
        with_broker_store(AtLeastOnce, StorePolicy::Durable),
        Ending::Quiescent,
        |trial| {
            accepted_and_crashed(trial);
            trial.connect(DASHBOARD, true);
        },
    );
    let finding = &outcome.findings[0];
    assert_eq!((finding.violation.breach, finding.violation.blame), (Breach::Lost, Blame::Broker));
    assert_eq!(finding.rule, Some("MQTT-4.5.0-1"));
}

#[test]
fn what_a_durable_broker_did_not_send_again_after_a_crash_is_its_own_fault() {
    let outcome = run_both_passes(
        with_broker_store(AtLeastOnce, StorePolicy::Durable),
        Ending::Quiescent,
        |trial| {
            trial.connect_and_subscribe(AtLeastOnce);
            trial.first_hop(0);
            trial.second_hop_packet(PacketKind::Publish, 0, 0, 0, &Fate::Streamed);
            trial.crash(Node::Broker);
            trial.connect(DASHBOARD, true);
        },
    );
    let finding = &outcome.findings[0];
    assert_eq!((finding.violation.breach, finding.violation.blame), (Breach::Lost, Blame::Broker));
    assert_eq!(finding.rule, Some("MQTT-4.4.0-1"));
}

#[test]
fn after_a_crash_that_took_the_subscription_messages_are_owed_from_the_next_suback_on() {
    let facts = with_broker_store(AtLeastOnce, StorePolicy::Volatile);
    let outcome = run_both_passes(facts, Ending::Quiescent, |trial| {
        trial.connect_and_subscribe(AtLeastOnce);
        trial.crash(Node::Broker);
        trial.connect(SENSOR, false);
        trial.connect(DASHBOARD, false);
        trial.first_hop(0);
        trial.subscribe("a", AtLeastOnce);
        trial.first_hop(1);
        trial.second_hop(1, 0);
        trial.first_hop(2);
    });
    let lost: Vec<_> = outcome.findings.iter().map(|it| (it.sequence, it.violation)).collect();
    let violation =
        Violation { promise: Promise::AtLeastOnce, breach: Breach::Lost, blame: Blame::Broker };
    assert_eq!(lost, [(2, violation)], "the third was taken after the SUBACK");
    assert_eq!(outcome.counters["session-lost"], 2);
}

#[test]
fn a_copy_that_a_snapshot_brings_back_is_a_duplicate_by_configuration() {
    let found = violations(with_broker_store(ExactlyOnce, SNAPSHOT), |trial| {
        trial.connect_and_subscribe(ExactlyOnce);
        trial.first_hop(0);
        trial.second_hop(0, 0);
        trial.crash(Node::Broker);
        trial.connect(DASHBOARD, true);
        trial.id = Some(7);
        trial.second_hop(0, 0);
    });
    assert_eq!(found, [(Promise::ExactlyOnce, Breach::Duplicated, Blame::Configuration)]);
}

#[test]
fn what_a_broker_took_after_its_snapshot_is_lost_by_configuration() {
    let outcome =
        run_both_passes(with_broker_store(AtLeastOnce, SNAPSHOT), Ending::Quiescent, |trial| {
            accepted_and_crashed(trial);
            trial.connect(DASHBOARD, true);
        });
    let finding = &outcome.findings[0];
    assert_eq!(finding.violation.blame, Blame::Configuration);
    assert!(finding.reason.ends_with("store = { snapshot = \"30s\" }"), "{}", finding.reason);
}

#[test]
fn until_the_subscriber_is_back_nobody_knows_what_a_snapshot_restored() {
    for delivers in [false, true] {
        let found = violations(with_broker_store(AtLeastOnce, SNAPSHOT), |trial| {
            trial.connect_and_subscribe(AtLeastOnce);
            trial.crash(Node::Broker);
            trial.connect(SENSOR, true);
            trial.first_hop(0);
            trial.connect(DASHBOARD, true);
            if delivers {
                trial.second_hop(0, 0);
            }
        });
        assert_eq!(found, []);
    }
    let lost = violations(with_broker_store(AtLeastOnce, SNAPSHOT), |trial| {
        trial.connect_and_subscribe(AtLeastOnce);
        trial.crash(Node::Broker);
        trial.connect(SENSOR, true);
        trial.connect(DASHBOARD, true);
        trial.first_hop(0);
    });
    assert_eq!(lost, [(Promise::AtLeastOnce, Breach::Lost, Blame::Configuration)]);
}

#[test]
fn a_subscription_that_a_broker_was_asked_for_before_it_crashed_may_be_live_after() {
    for delivers in [false, true] {
        let found = violations(with_broker_store(AtLeastOnce, StorePolicy::Durable), |trial| {
            trial.connect(SENSOR, false);
            trial.connect(DASHBOARD, false);
            let requests = [SubscriptionRequest::new("a".into(), AtLeastOnce)];
            trial.control_packet(
                DASHBOARD,
                PacketKind::Subscribe,
                PacketBody::Subscribe(&requests),
            );
            trial.crash(Node::Broker);
            trial.connect(SENSOR, true);
            trial.qos = Some(AtLeastOnce);
            trial.first_hop(0);
            trial.connect(DASHBOARD, true);
            if delivers {
                trial.second_hop(0, 0);
            }
        });
        // Of the blame for a copy that may come, nothing is asked.
        assert_eq!(found, []);
    }
}

#[test]
fn what_a_volatile_publisher_forgot_unacknowledged_is_stuck_by_configuration() {
    let script = |trial: &mut TestTrial<'_>| {
        trial.connect_and_subscribe(AtLeastOnce);
        trial.submit(0);
        trial.first_hop_packet(PacketKind::Publish, 0, 0, &Fate::Streamed);
        trial.crash(Node::Client(SENSOR));
        trial.connect(SENSOR, true);
    };
    let volatile = with_client_store(AtLeastOnce, SENSOR, StorePolicy::Volatile);
    let stuck = |blame| (Promise::Acknowledged, Breach::Stuck, blame);
    assert_eq!(violations(volatile, script), [stuck(Blame::Configuration)]);
    let durable = over_tcp(trial_facts(AtLeastOnce));
    assert_eq!(violations(durable, script), [stuck(Blame::Publisher)]);
}

#[test]
fn a_volatile_client_with_a_new_session_does_not_excuse_what_its_old_one_was_owed() {
    let script = |trial: &mut TestTrial<'_>| {
        trial.connect_and_subscribe(AtLeastOnce);
        trial.first_hop(0);
        trial.second_hop_packet(PacketKind::Publish, 0, 0, 0, &Fate::Streamed);
        trial.crash(Node::Client(DASHBOARD));
        trial.first_hop(1);
        trial.connect(DASHBOARD, true);
        trial.second_hop_packet(PacketKind::Publish, 0, 0, 1, &Fate::Streamed);
        trial.second_hop_packet(PacketKind::Publish, 1, 0, 0, &Fate::Streamed);
        trial.disconnect(DASHBOARD);
        trial.ask_to_connect(DASHBOARD, (true, u32::MAX, u32::MAX));
        trial.drop_copy(1, DropReason::SessionEnded);
        trial.welcome(DASHBOARD, false);
    };
    let volatile = with_client_store(AtLeastOnce, DASHBOARD, StorePolicy::Volatile);
    let lost = (Promise::AtLeastOnce, Breach::Lost, Blame::Configuration);
    assert_eq!(violations(volatile, script), [lost]);
}

#[test]
fn a_subscriber_that_forgot_its_ids_gets_a_duplicate_by_configuration() {
    let volatile = with_client_store(ExactlyOnce, DASHBOARD, StorePolicy::Volatile);
    let found = violations(volatile, |trial| {
        trial.connect_and_subscribe(ExactlyOnce);
        trial.first_hop(0);
        trial.second_hop_packet(PacketKind::Publish, 0, 0, 0, &ARRIVES);
        trial.deliver(0, 0);
        trial.crash(Node::Client(DASHBOARD));
        trial.connect(DASHBOARD, true);
        trial.second_hop_packet(PacketKind::Publish, 0, 0, 1, &ARRIVES);
        trial.deliver(0, 0);
        for kind in &handshake(ExactlyOnce)[1..] {
            trial.second_hop_packet(*kind, 0, 0, 0, &ARRIVES);
        }
    });
    assert_eq!(found, [(Promise::ExactlyOnce, Breach::Duplicated, Blame::Configuration)]);
}

#[test]
fn what_has_expired_once_the_broker_had_begun_to_send_it_is_lost_by_a_rule() {
    let mut facts = over_tcp(trial_facts(AtLeastOnce));
    facts.publishers[0].expiry = Some(60);
    let outcome = run_both_passes(facts, Ending::Quiescent, |trial| {
        trial.connect_and_subscribe(AtLeastOnce);
        trial.expiry = Some(60);
        trial.first_hop(0);
        trial.second_hop_packet(PacketKind::Publish, 0, 0, 0, &Fate::Streamed);
        trial.cut(DASHBOARD);
        trial.now += Span::from_secs(61);
        trial.drop_copy(0, DropReason::Expired);
    });
    assert_eq!(outcome.findings[0].violation.blame, Blame::Broker);
    assert_eq!(outcome.findings[0].rule, Some("MQTT-4.3.3-7"));
    assert_eq!(outcome.counters["message-expired"], 1);
}

#[test]
fn what_a_broker_of_3_1_1_must_acknowledge_and_may_not_pass_on_is_excused() {
    let mut denied = over_tcp(trial_facts(AtLeastOnce));
    denied.publishers[0].publish_denied = true;
    let outcome = run_both_passes(denied, Ending::Quiescent, |trial| {
        trial.connect_and_subscribe(AtLeastOnce);
        trial.first_hop(0);
    });
    assert!(outcome.violations.is_empty());
    assert_eq!(outcome.excuses.get(&Excuse::Rejected), Some(&1));
}

#[test]
fn a_will_is_owed_from_the_instant_at_which_the_broker_publishes_it() {
    let mut wills = over_tcp(trial_facts(ExactlyOnce));
    wills.publishers[0] = PublisherFacts { will: true, count: 0, ..wills.publishers[0].clone() };
    for delivers in [true, false] {
        let outcome = run_both_passes(wills.clone(), Ending::Quiescent, |trial| {
            trial.connect_and_subscribe(ExactlyOnce);
            trial.cut(SENSOR);
            trial.published[3] = trial.now + Span::from_millis(1);
            let tag = trial.tag(3);
            trial.emit(&Event::WillPublished { tag });
            if delivers {
                trial.second_hop(3, 0);
            }
        });
        assert_eq!(outcome.metrics.qos[2].counts.messages, 1);
        assert_eq!(outcome.counters["will"], 1);
        if delivers {
            assert!(outcome.violations.is_empty(), "{:?}", outcome.findings);
            assert_eq!(outcome.metrics.qos[2].latency.max(), Span::from_millis(3));
        } else {
            assert_eq!(outcome.findings[0].violation.breach, Breach::Lost);
            assert_eq!(outcome.findings[0].violation.blame, Blame::Broker);
        }
    }
}

#[test]
fn a_client_that_does_not_want_its_own_messages_is_not_owed_them() {
    for no_local in [true, false] {
        let mut own = over_tcp(trial_facts(AtLeastOnce));
        own.publishers[0].client = DASHBOARD;
        let found = violations(own, |trial| {
            trial.connect(SENSOR, false);
            trial.connect(DASHBOARD, false);
            let options = SubscriptionOptions { no_local, ..SubscriptionOptions::default() };
            let request = SubscriptionRequest::new("a".into(), AtLeastOnce);
            trial.subscribe_with(SubscriptionRequest { options, ..request });
            trial.submit(0);
            for kind in handshake(AtLeastOnce) {
                let tag = trial.tag(0);
                trial.packet(DASHBOARD, Hop::First, *kind, (tag, AtLeastOnce, 1), 0, &ARRIVES);
            }
            trial.complete(0);
        });
        assert_eq!(found.is_empty(), no_local);
    }
}

#[test]
fn over_tcp_a_cut_is_in_the_history_and_never_to_blame() {
    let outcome = run_both_passes(over_tcp(trial_facts(AtLeastOnce)), Ending::Quiescent, |trial| {
        trial.connect_and_subscribe(AtLeastOnce);
        trial.submit(0);
        trial.first_hop_packet(PacketKind::Publish, 0, 0, &Fate::Streamed);
        trial.cut(SENSOR);
        trial.connect(SENSOR, true);
    });
    let finding = &outcome.findings[0];
    assert_eq!(finding.violation.blame, Blame::Publisher, "{}", finding.reason);
    let has_line = |text: &str| finding.history.iter().any(|line| line.text == text);
    assert!(has_line("sensor learns that sensor's connection is cut"), "{:?}", finding.history);
    assert!(has_line("sensor is connected again, and its session goes on"));
}

#[test]
fn an_endpoint_that_holds_a_message_until_the_reconnect_drain_has_stalled_it() {
    let stalled = |promise, blame| (promise, Breach::Stalled, blame);
    let by_publisher = violations(over_tcp(trial_facts(AtLeastOnce)), |trial| {
        trial.connect_and_subscribe(AtMostOnce);
        trial.submit(0);
        trial.emit(&Event::Phase(Phase::ReconnectDrain));
        trial.first_hop_handshake(0, 0);
        trial.complete(0);
    });
    assert_eq!(by_publisher, [stalled(Promise::Acknowledged, Blame::Publisher)]);
    let by_broker = violations(over_tcp(trial_facts(AtLeastOnce)), |trial| {
        trial.connect_and_subscribe(AtLeastOnce);
        trial.first_hop(0);
        trial.emit(&Event::Phase(Phase::ReconnectDrain));
        trial.second_hop(0, 0);
    });
    assert_eq!(by_broker, [stalled(Promise::AtLeastOnce, Blame::Broker)]);
}

#[test]
fn without_keep_alive_a_silently_dead_connection_stalls_by_configuration() {
    let script = |trial: &mut TestTrial<'_>| {
        trial.connect_and_subscribe(AtLeastOnce);
        let (connection, client) = (trial.connections[1], DASHBOARD);
        trial.emit(&Event::DiedSilently { connection, client, why: SilentDeathCause::NatTimeout });
        trial.first_hop(0);
        trial.second_hop_packet(PacketKind::Publish, 0, 0, 0, &Fate::Streamed);
        trial.emit(&Event::Phase(Phase::ReconnectDrain));
        trial.connect(DASHBOARD, true);
        trial.second_hop_packet(PacketKind::Publish, 0, 0, 1, &ARRIVES);
        trial.deliver(0, 0);
        trial.second_hop_packet(PacketKind::PubAck, 0, 0, 1, &ARRIVES);
    };
    let mut without_keep_alive = over_tcp(trial_facts(AtLeastOnce));
    without_keep_alive.clients[1].keep_alive = false;
    let stalled = (Promise::AtLeastOnce, Breach::Stalled, Blame::Configuration);
    assert_eq!(violations(without_keep_alive, script), [stalled]);
    let noticed_later = violations(over_tcp(trial_facts(AtLeastOnce)), script);
    assert_eq!(noticed_later, [], "its keep alive would have shown it");
}

#[test]
fn a_timer_on_the_way_of_one_message_does_not_make_another_stall() {
    let mut mixed = over_tcp(trial_facts(AtLeastOnce));
    mixed.clients[0].resends_by_timer = true;
    let found = violations(mixed, |trial| {
        trial.connect_and_subscribe(AtMostOnce);
        trial.submit(0);
        trial.emit(&Event::Phase(Phase::ReconnectDrain));
        trial.first_hop_handshake(0, 0);
        trial.complete(0);
    });
    assert_eq!(found, []);
}

#[test]
fn a_copy_that_was_stored_before_a_crash_counts_though_its_first_sending_was_never_seen() {
    let outcome = run_both_passes(
        with_broker_store(ExactlyOnce, StorePolicy::Durable),
        Ending::Quiescent,
        |trial| {
            trial.connect_and_subscribe(ExactlyOnce);
            trial.submit(0);
            trial.first_hop_packet(PacketKind::Publish, 0, 0, &ARRIVES);
            trial.crash(Node::Broker);
            trial.connect(SENSOR, true);
            trial.first_hop_handshake(0, 1);
            trial.complete(0);
            trial.connect(DASHBOARD, true);
            trial.second_hop_packet(PacketKind::Publish, 0, 0, 1, &ARRIVES);
            trial.deliver(0, 0);
            for answer in [PacketKind::PubRec, PacketKind::PubRel, PacketKind::PubComp] {
                trial.second_hop_packet(answer, 0, 0, 0, &ARRIVES);
            }
            trial.second_hop(0, 1);
        },
    );
    let finding = &outcome.findings[0];
    assert_eq!(finding.violation.breach, Breach::Duplicated);
    assert_eq!(finding.violation.blame, Blame::Broker);
    assert_eq!(finding.rule, Some("MQTT-4.3.3-2"));
}

#[test]
fn a_publisher_that_had_not_yet_sent_when_a_trial_was_stopped_is_not_blamed() {
    for (ending, expected) in [
        (Ending::Quiescent, vec![(Promise::Acknowledged, Breach::Stuck, Blame::Publisher)]),
        (Ending::Deadline, vec![]),
    ] {
        let outcome = run_both_passes(over_tcp(trial_facts(AtLeastOnce)), ending, |trial| {
            trial.connect_and_subscribe(AtLeastOnce);
            trial.submit(0);
        });
        let found = outcome.violations.keys().map(|it| (it.promise, it.breach, it.blame));
        assert_eq!(found.collect::<Vec<_>>(), expected);
    }
}

#[test]
fn a_will_that_no_broker_can_refuse_is_dropped_by_a_full_queue_that_is_too_small() {
    for (will, blame) in [(true, Blame::Configuration), (false, Blame::Broker)] {
        let mut refuses = over_tcp(trial_facts(AtLeastOnce));
        refuses.broker_refuses_on_full = true;
        refuses.broker_max_queued = 0;
        refuses.publishers[0].will = will;
        let found = violations(refuses, |trial| {
            trial.connect_and_subscribe(AtLeastOnce);
            if will {
                trial.published[0] = trial.now + Span::from_millis(1);
                let tag = trial.tag(0);
                trial.emit(&Event::WillPublished { tag });
            } else {
                trial.first_hop(0);
            }
            trial.drop_copy(0, DropReason::QueueFull);
        });
        assert_eq!(found, [(Promise::AtLeastOnce, Breach::Lost, blame)]);
    }
}

#[test]
fn a_retained_copy_that_no_broker_can_refuse_is_dropped_by_a_full_queue_that_is_too_small() {
    let mut refuses = over_tcp(trial_facts(AtLeastOnce));
    refuses.broker_refuses_on_full = true;
    refuses.broker_max_queued = 0;
    refuses.publishers[0].retain = true;
    let found = violations(refuses, |trial| {
        trial.connect(SENSOR, false);
        trial.connect(DASHBOARD, false);
        trial.first_hop(0);
        trial.subscribe("a", AtLeastOnce);
        let tag = trial.tag(0).for_retained(0);
        trial.emit(&Event::Dropped { client: DASHBOARD, tag, why: DropReason::QueueFull });
    });
    assert_eq!(found, [(Promise::AtLeastOnce, Breach::Lost, Blame::Configuration)]);
}
