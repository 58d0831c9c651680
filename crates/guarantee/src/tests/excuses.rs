//! Every excuse: where the facts bear it out, and where it is an endpoint's word alone.

use super::*;
use crate::verdict::Excuse;
use QoS::{AtLeastOnce, ExactlyOnce};

const LOST_BY_BROKER: (Promise, Breach, Blame) =
    (Promise::AtLeastOnce, Breach::Lost, Blame::Broker);

/// Byte streams of MQTT 5.0, whose messages live for a minute.
fn v5_facts() -> TrialFacts {
    let mut facts = over_tcp(trial_facts(AtLeastOnce));
    for client in &mut facts.clients {
        client.version = Version::V5;
    }
    facts.publishers[0].expiry = Some(60);
    facts
}

/// The one excuse that a script is given, and no broken promise.
#[track_caller]
fn assert_excused(
    facts: TrialFacts,
    excuse: Excuse,
    count: u64,
    script: impl Fn(&mut TestTrial<'_>),
) {
    let outcome = run_both_passes(facts, Ending::Quiescent, script);
    assert!(outcome.violations.is_empty(), "{:?}", outcome.findings);
    assert_eq!(outcome.excuses.into_iter().collect::<Vec<_>>(), [(excuse, count)]);
}

/// The one promise that a script breaks, with the reason for the blame.
#[track_caller]
fn assert_broken(
    facts: TrialFacts,
    broken: (Promise, Breach, Blame),
    reason: &str,
    script: impl Fn(&mut TestTrial<'_>),
) {
    let outcome = run_both_passes(facts, Ending::Quiescent, script);
    let kinds: Vec<_> =
        outcome.violations.keys().map(|it| (it.promise, it.breach, it.blame)).collect();
    assert_eq!(kinds, [broken], "{:?}", outcome.findings);
    assert!(outcome.findings[0].reason.contains(reason), "{}", outcome.findings[0].reason);
    assert!(outcome.excuses.is_empty(), "{:?}", outcome.excuses);
}

// ---- expired ----

/// The dashboard is away while a message comes that lives for a minute.
fn expiring_message(trial: &mut TestTrial<'_>) {
    trial.connect_and_subscribe(AtLeastOnce);
    trial.disconnect(DASHBOARD);
    trial.expiry = Some(60);
    trial.first_hop(0);
}

#[test]
fn what_expired_while_its_subscriber_was_away_is_excused_whether_or_not_the_broker_says_so() {
    for says_so in [true, false] {
        assert_excused(v5_facts(), Excuse::Expired, 1, |trial| {
            expiring_message(trial);
            trial.now += Span::from_secs(61);
            trial.connect(DASHBOARD, true);
            if says_so {
                trial.drop_copy(0, DropReason::Expired);
            }
            trial.emit(&Event::Phase(Phase::Over));
        });
    }
}

#[test]
fn a_broker_that_drops_a_message_before_it_expires_has_no_excuse() {
    assert_broken(v5_facts(), LOST_BY_BROKER, "it had not expired", |trial| {
        expiring_message(trial);
        trial.now += Span::from_secs(40);
        trial.drop_copy(0, DropReason::Expired);
        trial.now += Span::from_secs(60);
        trial.connect(DASHBOARD, true);
        trial.emit(&Event::Phase(Phase::Over));
    });
}

#[test]
fn a_broker_that_lets_a_message_wait_beside_an_idle_connection_has_no_excuse() {
    for says_so in [true, false] {
        let reason = if says_so { "nothing had kept it" } else { "never sent it" };
        assert_broken(v5_facts(), LOST_BY_BROKER, reason, |trial| {
            trial.connect_and_subscribe(AtLeastOnce);
            trial.expiry = Some(60);
            trial.first_hop(0);
            trial.now += Span::from_secs(61);
            if says_so {
                trial.drop_copy(0, DropReason::Expired);
            }
            trial.emit(&Event::Phase(Phase::Over));
        });
    }
}

#[test]
fn a_full_window_is_no_chance_to_send_what_then_expires() {
    assert_excused(v5_facts(), Excuse::Expired, 1, |trial| {
        trial.connect_and_subscribe(AtLeastOnce);
        trial.expiry = Some(60);
        trial.first_hop(0);
        trial.second_hop_packet(PacketKind::Publish, 0, 0, 0, &ARRIVES);
        trial.deliver(0, 0);
        trial.first_hop(1);
        trial.now += Span::from_secs(61);
        trial.drop_copy(1, DropReason::Expired);
        trial.second_hop_packet(PacketKind::PubAck, 0, 0, 0, &ARRIVES);
        trial.emit(&Event::Phase(Phase::Over));
    });
}

#[test]
fn a_message_that_does_not_expire_cannot_have_expired() {
    assert_broken(v5_facts(), LOST_BY_BROKER, "it had not expired", |trial| {
        trial.connect_and_subscribe(AtLeastOnce);
        trial.disconnect(DASHBOARD);
        trial.first_hop(0);
        trial.now += Span::from_secs(1_000);
        trial.drop_copy(0, DropReason::Expired);
    });
}

#[test]
fn a_publisher_may_let_expire_what_it_has_not_sent() {
    let stuck = (Promise::Acknowledged, Breach::Stuck, Blame::Publisher);
    let script = |seconds: u64| {
        move |trial: &mut TestTrial<'_>| {
            trial.connect_and_subscribe(AtLeastOnce);
            trial.submit(0);
            trial.now += Span::from_secs(seconds);
            trial.refuse(0, DropReason::Expired);
        }
    };
    assert_excused(v5_facts(), Excuse::Expired, 1, script(60));
    assert_broken(v5_facts(), stuck, "it had not expired", script(40));
}

// ---- queue overflow ----

/// A queue for two messages, which may overflow.
fn small_queue() -> TrialFacts {
    TrialFacts { allow_queue_overflow: true, broker_max_queued: 2, ..trial_facts(AtLeastOnce) }
}

/// So many messages come while the dashboard is away, and the broker drops the last.
fn dropped_for_a_full_queue(messages: u32) -> impl Fn(&mut TestTrial<'_>) {
    move |trial| {
        trial.connect_and_subscribe(AtLeastOnce);
        trial.disconnect(DASHBOARD);
        for sequence in 0..messages {
            trial.first_hop(sequence);
        }
        trial.drop_copy(messages - 1, DropReason::QueueFull);
        trial.connect(DASHBOARD, true);
        for sequence in 0..messages - 1 {
            trial.second_hop(sequence, 0);
        }
    }
}

#[test]
fn a_queue_that_is_full_may_drop_a_message_where_the_scenario_says_so() {
    assert_excused(small_queue(), Excuse::QueueOverflow, 1, dropped_for_a_full_queue(3));
    let lost = (Promise::AtLeastOnce, Breach::Lost, Blame::Configuration);
    let forbidden = TrialFacts { allow_queue_overflow: false, ..small_queue() };
    assert_broken(forbidden, lost, "max_queued is too small", dropped_for_a_full_queue(3));
}

#[test]
fn a_queue_with_room_may_drop_nothing() {
    let reason = "the queue had room";
    assert_broken(small_queue(), LOST_BY_BROKER, reason, dropped_for_a_full_queue(2));
    let forbidden = TrialFacts { allow_queue_overflow: false, ..small_queue() };
    assert_broken(forbidden, LOST_BY_BROKER, reason, dropped_for_a_full_queue(2));
}

#[test]
fn a_publisher_may_refuse_what_its_own_queue_has_no_room_for() {
    let refused = |limit: u32| {
        let mut facts = trial_facts(AtLeastOnce);
        facts.clients[0].max_queued = limit;
        run_both_passes(facts, Ending::Quiescent, |trial| {
            trial.connect_and_subscribe(AtLeastOnce);
            for sequence in [0, 1, 2] {
                trial.submit(sequence);
            }
            trial.refuse(2, DropReason::QueueFull);
            for sequence in [0, 1] {
                trial.first_hop_handshake(sequence, 0);
                trial.complete(sequence);
                trial.second_hop(sequence, 0);
            }
        })
    };
    let outcome = refused(2);
    assert!(outcome.violations.is_empty(), "{:?}", outcome.findings);
    assert_eq!(outcome.metrics.qos[1].counts.refused, 1);
    assert_eq!(outcome.counters["queue-overflow"], 1);
    let outcome = refused(3);
    assert_eq!(outcome.findings[0].violation.breach, Breach::Stuck);
    assert_eq!(outcome.findings[0].violation.blame, Blame::Publisher);
    assert!(outcome.findings[0].reason.contains("the queue had room"));
}

// ---- too large ----

/// The message of 10 B is 16 B on the wire, and the dashboard takes packets of such a size.
fn limited_to(limit: u32, says_so: bool) -> impl Fn(&mut TestTrial<'_>) {
    move |trial| {
        trial.connect(SENSOR, false);
        trial.connect_as(DASHBOARD, (false, u32::MAX, limit), false);
        trial.subscribe("a", AtLeastOnce);
        trial.qos = Some(AtLeastOnce);
        trial.first_hop(0);
        if says_so {
            trial.drop_copy(0, DropReason::TooLarge);
        }
    }
}

#[test]
fn only_what_is_larger_than_its_receiver_takes_is_too_large() {
    let mut facts = v5_facts();
    facts.publishers[0].expiry = None;
    for says_so in [true, false] {
        assert_excused(facts.clone(), Excuse::TooLarge, 1, limited_to(17, says_so));
    }
    assert_broken(facts, LOST_BY_BROKER, "packets of that size", limited_to(18, true));
}

#[test]
fn a_publisher_may_refuse_only_what_the_broker_does_not_take() {
    let stuck = (Promise::Acknowledged, Breach::Stuck, Blame::Publisher);
    assert_broken(v5_facts(), stuck, "packets of that size", |trial| {
        trial.connect_and_subscribe(AtLeastOnce);
        trial.submit(0);
        trial.refuse(0, DropReason::TooLarge);
    });
}

// ---- gave up ----

/// The broker sends the message so often, and gives up.
fn given_up_after(transmissions: u32) -> impl Fn(&mut TestTrial<'_>) {
    move |trial| {
        trial.connect_and_subscribe(AtLeastOnce);
        trial.first_hop(0);
        for attempt in 0..transmissions {
            trial.second_hop_packet(PacketKind::Publish, 0, 0, attempt, &LOST);
        }
        trial.drop_copy(0, DropReason::GaveUp);
    }
}

#[test]
fn a_sender_may_give_up_once_it_has_sent_as_often_as_it_is_set_to() {
    let limited = TrialFacts { broker_max_transmissions: Some(3), ..trial_facts(AtLeastOnce) };
    assert_excused(limited.clone(), Excuse::GaveUp, 1, given_up_after(3));
    assert_broken(limited, LOST_BY_BROKER, "as often as it is set to", given_up_after(2));
    assert_broken(
        trial_facts(AtLeastOnce),
        LOST_BY_BROKER,
        "as often as it is set to",
        given_up_after(3),
    );
}

#[test]
fn a_publisher_that_gives_up_early_leaves_its_message_stuck() {
    let stuck = (Promise::Acknowledged, Breach::Stuck, Blame::Publisher);
    let script = |trial: &mut TestTrial<'_>| {
        trial.connect_and_subscribe(AtLeastOnce);
        trial.submit(0);
        for attempt in [0, 1] {
            trial.first_hop_packet(PacketKind::Publish, 0, attempt, &LOST);
        }
        trial.refuse(0, DropReason::GaveUp);
    };
    let mut facts = trial_facts(AtLeastOnce);
    facts.clients[0].max_transmissions = Some(2);
    assert_excused(facts.clone(), Excuse::GaveUp, 1, script);
    facts.clients[0].max_transmissions = Some(3);
    assert_broken(facts, stuck, "as often as it is set to", script);
}

// ---- rejected ----

/// The dashboard refuses a message with a reason code, and the broker lets go of it.
fn rejected_with(reason: u8) -> impl Fn(&mut TestTrial<'_>) {
    move |trial| {
        trial.connect_and_subscribe(AtLeastOnce);
        trial.first_hop(0);
        trial.second_hop_packet(PacketKind::Publish, 0, 0, 0, &ARRIVES);
        trial.reason = reason;
        trial.second_hop_packet(PacketKind::PubAck, 0, 0, 0, &ARRIVES);
        trial.drop_copy(0, DropReason::Rejected);
    }
}

#[test]
fn a_refusal_counts_as_seen_on_the_wire_and_where_mqtt_knows_it() {
    assert_excused(v5_facts(), Excuse::Rejected, 1, rejected_with(0x83));
    let reason = "nobody had refused it";
    assert_broken(v5_facts(), LOST_BY_BROKER, reason, |trial| {
        trial.connect_and_subscribe(AtLeastOnce);
        trial.first_hop(0);
        trial.drop_copy(0, DropReason::Rejected);
    });
    let by_subscriber = (Promise::AtLeastOnce, Breach::Lost, Blame::Subscriber);
    assert_broken(v5_facts(), by_subscriber, "never handed it", rejected_with(0x92));
    let v311 = over_tcp(trial_facts(AtLeastOnce));
    assert_broken(v311, by_subscriber, "never handed it", rejected_with(0x83));
}

/// The broker refuses a message of the sensor.
fn refused_with(reason: u8) -> impl Fn(&mut TestTrial<'_>) {
    move |trial| {
        trial.connect_and_subscribe(AtLeastOnce);
        trial.submit(0);
        trial.first_hop_packet(PacketKind::Publish, 0, 0, &ARRIVES);
        trial.reason = reason;
        trial.first_hop_packet(PacketKind::PubAck, 0, 0, &ARRIVES);
        trial.refuse(0, DropReason::Rejected);
    }
}

#[test]
fn a_broker_may_refuse_only_what_the_scenario_lets_it_refuse() {
    let stuck = (Promise::Acknowledged, Breach::Stuck, Blame::Broker);
    let mut denied = v5_facts();
    denied.publishers[0].publish_denied = true;
    assert_excused(denied.clone(), Excuse::Rejected, 1, refused_with(0x87));
    assert_broken(denied, stuck, "code 0x80", refused_with(0x80));
    assert_broken(v5_facts(), stuck, "code 0x87", refused_with(0x87));
    let full = |limit: u32| TrialFacts {
        broker_refuses_on_full: true,
        broker_max_queued: limit,
        ..v5_facts()
    };
    assert_excused(full(0), Excuse::Rejected, 1, refused_with(0x97));
    assert_broken(full(1), stuck, "code 0x97", refused_with(0x97));
}

// ---- session ended ----

#[test]
fn a_session_that_the_broker_forgets_without_a_reason_is_not_over() {
    assert_broken(v5_facts(), LOST_BY_BROKER, "", |trial| {
        trial.connect_and_subscribe(AtLeastOnce);
        trial.disconnect(DASHBOARD);
        trial.first_hop(0);
        trial.connect(DASHBOARD, false);
        trial.subscribe("a", AtLeastOnce);
    });
}

/// The dashboard's session lives for ten seconds without a connection, and it comes back later.
fn back_after(seconds: u64, says_so: bool) -> impl Fn(&mut TestTrial<'_>) {
    move |trial| {
        trial.connect(SENSOR, false);
        trial.connect_as(DASHBOARD, (false, 10, u32::MAX), false);
        trial.subscribe("a", AtLeastOnce);
        trial.qos = Some(AtLeastOnce);
        trial.disconnect(DASHBOARD);
        trial.first_hop(0);
        trial.now += Span::from_secs(seconds);
        if says_so {
            trial.emit(&Event::SessionExpired { client: DASHBOARD });
        }
        trial.connect_as(DASHBOARD, (false, 10, u32::MAX), false);
    }
}

#[test]
fn a_session_expires_by_the_judges_own_clock() {
    for says_so in [true, false] {
        assert_excused(v5_facts(), Excuse::SessionEnded, 1, back_after(11, says_so));
        let outcome = run_both_passes(v5_facts(), Ending::Quiescent, back_after(11, says_so));
        assert_eq!(outcome.counters["session-expired"], u64::from(says_so));
        assert_broken(v5_facts(), LOST_BY_BROKER, "", back_after(9, says_so));
    }
}

#[test]
fn nothing_is_owed_to_a_session_that_expired_and_never_came_back() {
    assert_excused(v5_facts(), Excuse::SessionEnded, 1, |trial| {
        trial.connect(SENSOR, false);
        trial.connect_as(DASHBOARD, (false, 10, u32::MAX), false);
        trial.subscribe("a", AtLeastOnce);
        trial.disconnect(DASHBOARD);
        trial.first_hop(0);
        trial.now += Span::from_secs(11);
        trial.first_hop(1);
    });
}

#[test]
fn a_publisher_gives_up_with_its_session_and_not_without() {
    let script = |ends: bool| {
        move |trial: &mut TestTrial<'_>| {
            trial.connect_and_subscribe(ExactlyOnce);
            trial.submit(0);
            trial.first_hop_packet(PacketKind::Publish, 0, 0, &LOST);
            trial.disconnect(SENSOR);
            trial.connect(SENSOR, !ends);
            trial.refuse(0, DropReason::SessionEnded);
        }
    };
    assert_eq!(violations(over_tcp(trial_facts(ExactlyOnce)), script(true)), []);
    let stuck = (Promise::Acknowledged, Breach::Stuck, Blame::Publisher);
    let facts = over_tcp(trial_facts(ExactlyOnce));
    assert_broken(facts, stuck, "when the session was resumed", script(false));
}
