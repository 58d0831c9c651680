//! Crashes and what stores keep, sessions that expire, silent deaths, wills.

use super::*;
use crate::verdict::Excuse;
use QoS::{AtLeastOnce, AtMostOnce, ExactlyOnce};
use qoslab_core::base::event::{Dark, SubscriptionOptions};

const SNAPSHOT: Store = Store::Snapshot(Span::from_secs(30));

fn with_broker_store(published: QoS, store: Store) -> Roster {
    Roster { broker_store: store, ..over_streams(roster(published)) }
}

fn with_client_store(published: QoS, client: ClientIndex, store: Store) -> Roster {
    let mut roster = over_streams(roster(published));
    roster.clients[client.index()].store = store;
    roster
}

/// The broker takes a message for a dashboard that is away, and crashes.
fn taken_and_crashed(stage: &mut Stage<'_>) {
    stage.ready(AtLeastOnce);
    stage.disconnect(DASHBOARD);
    stage.first_hop(0);
    stage.crash(Node::Broker);
}

#[test]
fn what_a_volatile_broker_forgot_in_a_crash_is_lost_by_configuration() {
    let roster = with_broker_store(AtLeastOnce, Store::Volatile);
    let outcome = judge(roster, Ending::Quiescent, |stage| {
        taken_and_crashed(stage);
        stage.connect(DASHBOARD, false);
        stage.subscribe("a", AtLeastOnce);
    });
    assert_eq!(outcome.findings.len(), 1);
    let finding = &outcome.findings[0];
    assert_eq!(finding.violation.breach, Breach::Lost);
    assert_eq!(finding.violation.blame, Blame::Configuration);
    assert_eq!(finding.because, "the broker's store forgets in a crash: store = \"volatile\"");
    assert!(finding.story.iter().any(|line| line.text == "broker crashes"));
    assert!(outcome.excuses.is_empty());
}

#[test]
fn what_a_durable_broker_did_not_send_on_after_a_crash_is_its_own_fault() {
    let outcome =
        judge(with_broker_store(AtLeastOnce, Store::Durable), Ending::Quiescent, |stage| {
            taken_and_crashed(stage);
            stage.connect(DASHBOARD, true);
        });
    let finding = &outcome.findings[0];
    assert_eq!((finding.violation.breach, finding.violation.blame), (Breach::Lost, Blame::Broker));
    assert_eq!(finding.rule, Some("MQTT-4.5.0-1"));
}

#[test]
fn what_a_durable_broker_did_not_send_again_after_a_crash_is_its_own_fault() {
    let outcome =
        judge(with_broker_store(AtLeastOnce, Store::Durable), Ending::Quiescent, |stage| {
            stage.ready(AtLeastOnce);
            stage.first_hop(0);
            stage.hop2(Kind::Publish, 0, 0, 0, &Fate::Stream);
            stage.crash(Node::Broker);
            stage.connect(DASHBOARD, true);
        });
    let finding = &outcome.findings[0];
    assert_eq!((finding.violation.breach, finding.violation.blame), (Breach::Lost, Blame::Broker));
    assert_eq!(finding.rule, Some("MQTT-4.4.0-1"));
}

#[test]
fn after_a_crash_that_took_the_subscription_messages_are_owed_from_the_next_suback_on() {
    let roster = with_broker_store(AtLeastOnce, Store::Volatile);
    let outcome = judge(roster, Ending::Quiescent, |stage| {
        stage.ready(AtLeastOnce);
        stage.crash(Node::Broker);
        stage.connect(SENSOR, false);
        stage.connect(DASHBOARD, false);
        stage.first_hop(0);
        stage.subscribe("a", AtLeastOnce);
        stage.first_hop(1);
        stage.second_hop(1, 0);
        stage.first_hop(2);
    });
    let lost: Vec<_> = outcome.findings.iter().map(|it| (it.sequence, it.violation)).collect();
    let violation =
        Violation { promise: Promise::AtLeastOnce, breach: Breach::Lost, blame: Blame::Broker };
    assert_eq!(lost, [(2, violation)], "the third was taken after the SUBACK");
    assert_eq!(outcome.sometimes["session-lost"], 2);
}

#[test]
fn a_copy_that_a_snapshot_brings_back_is_a_duplicate_by_configuration() {
    let found = violations(with_broker_store(ExactlyOnce, SNAPSHOT), |stage| {
        stage.ready(ExactlyOnce);
        stage.first_hop(0);
        stage.second_hop(0, 0);
        stage.crash(Node::Broker);
        stage.connect(DASHBOARD, true);
        stage.id = Some(7);
        stage.second_hop(0, 0);
    });
    assert_eq!(found, [(Promise::ExactlyOnce, Breach::Duplicated, Blame::Configuration)]);
}

#[test]
fn what_came_after_the_snapshot_is_lost_by_configuration() {
    let outcome = judge(with_broker_store(AtLeastOnce, SNAPSHOT), Ending::Quiescent, |stage| {
        taken_and_crashed(stage);
        stage.connect(DASHBOARD, true);
    });
    let finding = &outcome.findings[0];
    assert_eq!(finding.violation.blame, Blame::Configuration);
    assert!(finding.because.ends_with("store = { snapshot = \"30s\" }"), "{}", finding.because);
}

#[test]
fn until_the_subscriber_is_back_nobody_knows_what_a_snapshot_restored() {
    for delivers in [false, true] {
        let found = violations(with_broker_store(AtLeastOnce, SNAPSHOT), |stage| {
            stage.ready(AtLeastOnce);
            stage.crash(Node::Broker);
            stage.connect(SENSOR, true);
            stage.first_hop(0);
            stage.connect(DASHBOARD, true);
            if delivers {
                stage.second_hop(0, 0);
            }
        });
        assert_eq!(found, []);
    }
    let lost = violations(with_broker_store(AtLeastOnce, SNAPSHOT), |stage| {
        stage.ready(AtLeastOnce);
        stage.crash(Node::Broker);
        stage.connect(SENSOR, true);
        stage.connect(DASHBOARD, true);
        stage.first_hop(0);
    });
    assert_eq!(lost, [(Promise::AtLeastOnce, Breach::Lost, Blame::Configuration)]);
}

#[test]
fn a_subscription_that_a_broker_was_asked_for_before_it_crashed_may_be_live_after() {
    for delivers in [false, true] {
        let found = violations(with_broker_store(AtLeastOnce, Store::Durable), |stage| {
            stage.connect(SENSOR, false);
            stage.connect(DASHBOARD, false);
            let requests = [SubscriptionRequest::new("a".into(), AtLeastOnce)];
            stage.control(DASHBOARD, Kind::Subscribe, Body::Subscribe(&requests));
            stage.crash(Node::Broker);
            stage.connect(SENSOR, true);
            stage.qos = Some(AtLeastOnce);
            stage.first_hop(0);
            stage.connect(DASHBOARD, true);
            if delivers {
                stage.second_hop(0, 0);
            }
        });
        // Of the blame for a copy that may come, nothing is asked.
        assert_eq!(found, []);
    }
}

#[test]
fn what_a_volatile_publisher_forgot_unacknowledged_is_stuck_by_configuration() {
    let script = |stage: &mut Stage<'_>| {
        stage.ready(AtLeastOnce);
        stage.submit(0);
        stage.hop1(Kind::Publish, 0, 0, &Fate::Stream);
        stage.crash(Node::Client(SENSOR));
        stage.connect(SENSOR, true);
    };
    let volatile = with_client_store(AtLeastOnce, SENSOR, Store::Volatile);
    let stuck = |blame| (Promise::Acknowledged, Breach::Stuck, blame);
    assert_eq!(violations(volatile, script), [stuck(Blame::Configuration)]);
    let durable = over_streams(roster(AtLeastOnce));
    assert_eq!(violations(durable, script), [stuck(Blame::Publisher)]);
}

#[test]
fn a_forgetting_client_that_starts_anew_does_not_excuse_what_its_session_was_owed() {
    let script = |stage: &mut Stage<'_>| {
        stage.ready(AtLeastOnce);
        stage.first_hop(0);
        stage.hop2(Kind::Publish, 0, 0, 0, &Fate::Stream);
        stage.crash(Node::Client(DASHBOARD));
        stage.first_hop(1);
        stage.connect(DASHBOARD, true);
        stage.hop2(Kind::Publish, 0, 0, 1, &Fate::Stream);
        stage.hop2(Kind::Publish, 1, 0, 0, &Fate::Stream);
        stage.disconnect(DASHBOARD);
        stage.drop_copy(1, Dropped::SessionEnded);
        stage.connect(DASHBOARD, false);
    };
    let volatile = with_client_store(AtLeastOnce, DASHBOARD, Store::Volatile);
    let lost = (Promise::AtLeastOnce, Breach::Lost, Blame::Configuration);
    assert_eq!(violations(volatile, script), [lost]);
}

#[test]
fn a_subscriber_that_forgot_its_ids_gets_a_duplicate_by_configuration() {
    let volatile = with_client_store(ExactlyOnce, DASHBOARD, Store::Volatile);
    let found = violations(volatile, |stage| {
        stage.ready(ExactlyOnce);
        stage.first_hop(0);
        stage.hop2(Kind::Publish, 0, 0, 0, &OK);
        stage.deliver(0, 0);
        stage.crash(Node::Client(DASHBOARD));
        stage.connect(DASHBOARD, true);
        stage.hop2(Kind::Publish, 0, 0, 1, &OK);
        stage.deliver(0, 0);
        for kind in &handshake(ExactlyOnce)[1..] {
            stage.hop2(*kind, 0, 0, 0, &OK);
        }
    });
    assert_eq!(found, [(Promise::ExactlyOnce, Breach::Duplicated, Blame::Configuration)]);
}

#[test]
fn what_an_expired_session_did_not_get_is_excused() {
    let outcome = judge(over_streams(roster(AtLeastOnce)), Ending::Quiescent, |stage| {
        stage.ready(AtLeastOnce);
        stage.disconnect(DASHBOARD);
        stage.first_hop(0);
        stage.event(&Event::SessionExpired { client: DASHBOARD });
        stage.connect(DASHBOARD, false);
    });
    assert!(outcome.violations.is_empty(), "{:?}", outcome.findings);
    assert_eq!(outcome.excuses.get(&Excuse::SessionEnded), Some(&1));
    assert_eq!(outcome.sometimes["session-expired"], 1);
}

#[test]
fn a_message_may_expire_until_the_broker_has_begun_to_send_it() {
    let script = |begun: bool| {
        move |stage: &mut Stage<'_>| {
            stage.ready(AtLeastOnce);
            stage.first_hop(0);
            if begun {
                stage.hop2(Kind::Publish, 0, 0, 0, &Fate::Stream);
                stage.cut(DASHBOARD);
            }
            stage.drop_copy(0, Dropped::Expired);
        }
    };
    let outcome = judge(over_streams(roster(AtLeastOnce)), Ending::Quiescent, script(false));
    assert!(outcome.violations.is_empty());
    assert_eq!(outcome.excuses.get(&Excuse::Expired), Some(&1));
    assert_eq!(outcome.sometimes["message-expired"], 1);
    let outcome = judge(over_streams(roster(AtLeastOnce)), Ending::Quiescent, script(true));
    assert_eq!(outcome.findings[0].violation.blame, Blame::Broker);
    assert_eq!(outcome.findings[0].rule, Some("MQTT-4.3.3-7"));
}

#[test]
fn a_message_too_large_for_its_receiver_or_refused_by_the_broker_is_excused_and_counted() {
    let outcome = judge(over_streams(roster(AtLeastOnce)), Ending::Quiescent, |stage| {
        stage.ready(AtLeastOnce);
        stage.first_hop(0);
        stage.drop_copy(0, Dropped::TooLarge);
        stage.submit(1);
        stage.refuse(1, Dropped::Rejected);
        stage.submit(2);
        stage.refuse(2, Dropped::Expired);
    });
    assert!(outcome.violations.is_empty(), "{:?}", outcome.findings);
    let excused = [Excuse::TooLarge, Excuse::Rejected, Excuse::Expired];
    assert_eq!(excused.map(|excuse| outcome.excuses.get(&excuse).copied()), [Some(1); 3]);
}

#[test]
fn what_a_broker_of_3_1_1_must_acknowledge_and_may_not_pass_on_is_excused() {
    let mut denied = over_streams(roster(AtLeastOnce));
    denied.streams[0].denied = true;
    let outcome = judge(denied, Ending::Quiescent, |stage| {
        stage.ready(AtLeastOnce);
        stage.first_hop(0);
    });
    assert!(outcome.violations.is_empty());
    assert_eq!(outcome.excuses.get(&Excuse::Rejected), Some(&1));
}

#[test]
fn a_will_is_owed_from_the_instant_at_which_the_broker_publishes_it() {
    let mut wills = over_streams(roster(ExactlyOnce));
    wills.streams[0] = StreamFacts { will: true, count: 0, ..wills.streams[0].clone() };
    for delivers in [true, false] {
        let outcome = judge(wills.clone(), Ending::Quiescent, |stage| {
            stage.ready(ExactlyOnce);
            stage.cut(SENSOR);
            stage.published[3] = stage.now + Span::from_millis(1);
            let tag = stage.tag(3);
            stage.event(&Event::WillPublished { tag });
            if delivers {
                stage.second_hop(3, 0);
            }
        });
        assert_eq!(outcome.metrics.qos[2].counts.messages, 1);
        assert_eq!(outcome.sometimes["will"], 1);
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
        let mut own = over_streams(roster(AtLeastOnce));
        own.streams[0].client = DASHBOARD;
        let found = violations(own, |stage| {
            stage.connect(SENSOR, false);
            stage.connect(DASHBOARD, false);
            let options = SubscriptionOptions { no_local, ..SubscriptionOptions::default() };
            let request = SubscriptionRequest::new("a".into(), AtLeastOnce);
            stage.subscribe_as(SubscriptionRequest { options, ..request });
            stage.submit(0);
            for kind in handshake(AtLeastOnce) {
                let tag = stage.tag(0);
                stage.packet(DASHBOARD, Hop::First, *kind, (tag, AtLeastOnce, 1), 0, &OK);
            }
            stage.complete(0);
        });
        assert_eq!(found.is_empty(), no_local);
    }
}

#[test]
fn over_a_stream_a_cut_is_told_and_never_to_blame() {
    let outcome = judge(over_streams(roster(AtLeastOnce)), Ending::Quiescent, |stage| {
        stage.ready(AtLeastOnce);
        stage.submit(0);
        stage.hop1(Kind::Publish, 0, 0, &Fate::Stream);
        stage.cut(SENSOR);
        stage.connect(SENSOR, true);
    });
    let finding = &outcome.findings[0];
    assert_eq!(finding.violation.blame, Blame::Publisher, "{}", finding.because);
    let told = |text: &str| finding.story.iter().any(|line| line.text == text);
    assert!(told("sensor learns that sensor's connection is cut"), "{:?}", finding.story);
    assert!(told("sensor is connected again, and its session goes on"));
}

#[test]
fn who_holds_a_message_back_until_everybody_reconnects_has_stalled_it() {
    let stalled = |promise, blame| (promise, Breach::Stalled, blame);
    let by_publisher = violations(over_streams(roster(AtLeastOnce)), |stage| {
        stage.ready(AtMostOnce);
        stage.submit(0);
        stage.event(&Event::Phase(Phase::CalmTwo));
        stage.shake1(0, 0);
        stage.complete(0);
    });
    assert_eq!(by_publisher, [stalled(Promise::Acknowledged, Blame::Publisher)]);
    let by_broker = violations(over_streams(roster(AtLeastOnce)), |stage| {
        stage.ready(AtLeastOnce);
        stage.first_hop(0);
        stage.event(&Event::Phase(Phase::CalmTwo));
        stage.second_hop(0, 0);
    });
    assert_eq!(by_broker, [stalled(Promise::AtLeastOnce, Blame::Broker)]);
}

#[test]
fn without_keep_alive_a_silent_death_stalls_by_configuration() {
    let script = |stage: &mut Stage<'_>| {
        stage.ready(AtLeastOnce);
        let (connection, client) = (stage.connections[1], DASHBOARD);
        stage.event(&Event::WentDark { connection, client, why: Dark::NatForgot });
        stage.first_hop(0);
        stage.hop2(Kind::Publish, 0, 0, 0, &Fate::Stream);
        stage.event(&Event::Phase(Phase::CalmTwo));
        stage.connect(DASHBOARD, true);
        stage.hop2(Kind::Publish, 0, 0, 1, &OK);
        stage.deliver(0, 0);
        stage.hop2(Kind::PubAck, 0, 0, 1, &OK);
    };
    let mut deaf = over_streams(roster(AtLeastOnce));
    deaf.clients[1].keep_alive = false;
    let stalled = (Promise::AtLeastOnce, Breach::Stalled, Blame::Configuration);
    assert_eq!(violations(deaf, script), [stalled]);
    let noticed_later = violations(over_streams(roster(AtLeastOnce)), script);
    assert_eq!(noticed_later, [], "its keep alive would have shown it");
}

#[test]
fn a_timer_on_the_way_of_one_message_does_not_make_another_stall() {
    let mut mixed = over_streams(roster(AtLeastOnce));
    mixed.clients[0].resends_by_timer = true;
    let found = violations(mixed, |stage| {
        stage.ready(AtMostOnce);
        stage.submit(0);
        stage.event(&Event::Phase(Phase::CalmTwo));
        stage.shake1(0, 0);
        stage.complete(0);
    });
    assert_eq!(found, []);
}

#[test]
fn a_copy_that_was_stored_before_a_crash_counts_though_its_first_sending_was_never_seen() {
    let outcome =
        judge(with_broker_store(ExactlyOnce, Store::Durable), Ending::Quiescent, |stage| {
            stage.ready(ExactlyOnce);
            stage.submit(0);
            stage.hop1(Kind::Publish, 0, 0, &OK);
            stage.crash(Node::Broker);
            stage.connect(SENSOR, true);
            stage.shake1(0, 1);
            stage.complete(0);
            stage.connect(DASHBOARD, true);
            stage.hop2(Kind::Publish, 0, 0, 1, &OK);
            stage.deliver(0, 0);
            for answer in [Kind::PubRec, Kind::PubRel, Kind::PubComp] {
                stage.hop2(answer, 0, 0, 0, &OK);
            }
            stage.second_hop(0, 1);
        });
    let finding = &outcome.findings[0];
    assert_eq!(finding.violation.breach, Breach::Duplicated);
    assert_eq!(finding.violation.blame, Blame::Broker);
    assert_eq!(finding.rule, Some("MQTT-4.3.3-2"));
}

#[test]
fn who_had_not_yet_sent_a_message_when_a_trial_was_stopped_is_not_blamed() {
    for (ending, expected) in [
        (Ending::Quiescent, vec![(Promise::Acknowledged, Breach::Stuck, Blame::Publisher)]),
        (Ending::Deadline, vec![]),
    ] {
        let outcome = judge(over_streams(roster(AtLeastOnce)), ending, |stage| {
            stage.ready(AtLeastOnce);
            stage.submit(0);
        });
        let found = outcome.violations.keys().map(|it| (it.promise, it.breach, it.blame));
        assert_eq!(found.collect::<Vec<_>>(), expected);
    }
}

#[test]
fn a_will_that_no_broker_can_refuse_is_dropped_by_a_full_queue_that_is_too_small() {
    for (will, blame) in [(true, Blame::Configuration), (false, Blame::Broker)] {
        let mut refuses = over_streams(roster(AtLeastOnce));
        refuses.broker_refuses_on_full = true;
        refuses.streams[0].will = will;
        let found = violations(refuses, |stage| {
            stage.ready(AtLeastOnce);
            if will {
                stage.published[0] = stage.now + Span::from_millis(1);
                let tag = stage.tag(0);
                stage.event(&Event::WillPublished { tag });
            } else {
                stage.first_hop(0);
            }
            stage.drop_copy(0, Dropped::QueueFull);
        });
        assert_eq!(found, [(Promise::AtLeastOnce, Breach::Lost, blame)]);
    }
}

#[test]
fn a_retained_copy_that_no_broker_can_refuse_is_dropped_by_a_full_queue_that_is_too_small() {
    let mut refuses = over_streams(roster(AtLeastOnce));
    refuses.broker_refuses_on_full = true;
    refuses.streams[0].retain = true;
    let found = violations(refuses, |stage| {
        stage.connect(SENSOR, false);
        stage.connect(DASHBOARD, false);
        stage.first_hop(0);
        stage.subscribe("a", AtLeastOnce);
        let tag = stage.tag(0).retained(0);
        stage.event(&Event::Dropped { client: DASHBOARD, tag, why: Dropped::QueueFull });
    });
    assert_eq!(found, [(Promise::AtLeastOnce, Breach::Lost, Blame::Configuration)]);
}
