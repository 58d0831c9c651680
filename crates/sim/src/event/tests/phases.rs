//! Tests of the phases of trials, and of connections.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::fixtures::{
    TrialLog, bad_link, client, link, pair, run_trial, run_with_override, setup, subscription,
};
use crate::engine::Options;
use crate::event::run;
use crate::trial::{OfflinePeriod, Trial};
use qoslab_core::base::draw::Chance;
use qoslab_core::base::{
    ClientIndex, ConnectionNumber, Direction, Ending, Fate, LossReason, Node, PacketKind,
    PacketName, Phase, QoS, Span, Time,
};
use qoslab_core::network::{
    ForcedFate, IntervalDistribution, LinkSettings, LossModel, OutageModel,
};

fn millis(millis: u64) -> Time {
    Time::ZERO + Span::from_millis(millis)
}

#[test]
fn a_trial_without_messages_passes_through_all_phases() {
    let (ended, log) = run_trial(pair(&link(|_| {}), QoS::AtLeastOnce, 0), 1);
    assert_eq!(ended.ending, Ending::Quiescent);
    // CONNECT and CONNACK, SUBSCRIBE and SUBACK; then CONNECT and CONNACK again.
    let expected = [
        (Phase::Connecting, millis(0)),
        (Phase::Traffic, millis(160)),
        (Phase::Drain, millis(160)),
        (Phase::ReconnectDrain, millis(160)),
        (Phase::Over, millis(240)),
    ];
    assert_eq!(log.phases, expected);
    assert_eq!(ended.packets, 10);
    assert!(log.delivered.is_empty());
}

#[test]
fn a_trial_without_clients_is_over_at_once() {
    let (ended, log) = run_trial(setup(vec![], vec![]), 1);
    assert_eq!((ended.ending, ended.at, ended.packets), (Ending::Quiescent, Time::ZERO, 0));
    assert_eq!(log.phases.len(), 5);
}

#[test]
fn the_traffic_waits_for_lost_connects_and_subscribes() {
    let lose_first = |_: Time, name: &PacketName, _: Time| {
        let lost = [PacketKind::Connect, PacketKind::SubAck];
        let is_first = name.draw_counter(0)[0] == 0 && lost.contains(&name.kind);
        is_first.then_some(ForcedFate::Lost(LossReason::Forced))
    };
    let (ended, log) = run_with_override(pair(&link(|_| {}), QoS::AtMostOnce, 1), 1, lose_first);
    assert_eq!(ended.ending, Ending::Quiescent);
    assert_eq!(log.phase_start(Phase::Traffic), millis(1000 + 80 + 1000 + 80));
}

#[test]
fn a_trial_in_which_nobody_connects_ends_at_the_deadline() {
    let dead = link(|direction| direction.loss = LossModel::Random(Chance::ALWAYS));
    let setup = pair(&dead, QoS::AtLeastOnce, 5);
    let deadline = Time::ZERO + setup.deadline;
    let (ended, log) = run_trial(setup, 1);
    assert_eq!((ended.ending, ended.at), (Ending::Deadline, deadline));
    let phases = [(Phase::Connecting, Time::ZERO), (Phase::Over, deadline)];
    assert_eq!(log.phases, phases);
}

#[test]
fn the_limit_of_events_ends_a_trial() {
    let mut setup = pair(&link(|_| {}), QoS::AtLeastOnce, 500);
    setup.max_events = 100;
    let (ended, _) = run_trial(setup, 1);
    assert_eq!((ended.ending, ended.events), (Ending::EventLimit, 100));
}

#[test]
fn an_interrupt_ends_a_trial() {
    let setup = Arc::new(pair(&link(|_| {}), QoS::AtLeastOnce, 5000));
    let trial = Trial { setup, seed: 1, name: "test".into() };
    let interrupt = AtomicBool::new(true);
    let options = Options::with_interrupt(&interrupt);
    assert_eq!(run(&trial, (), options).0.ending, Ending::Interrupted);
}

#[test]
fn only_persistent_sessions_reconnect_in_the_reconnect_drain() {
    let link = link(|_| {});
    let mut clean = client("c", &link);
    clean.settings.clean = true;
    let (_, log) = run_trial(setup(vec![clean, client("p", &link)], vec![]), 1);
    let calm = log.phase_start(Phase::ReconnectDrain);
    let again = log.opened.iter().filter(|(node, _, at)| *at >= calm && *node != Node::Broker);
    let again: Vec<_> = again.map(|(node, ..)| *node).collect();
    assert_eq!(again, [Node::Client(ClientIndex(1))]);
}

#[test]
fn pings_do_not_keep_a_trial_from_ending() {
    let mut setup = pair(&bad_link(), QoS::ExactlyOnce, 20);
    setup.clients[1].settings.keep_alive = Span::from_secs(1);
    setup.publishers[0].every = IntervalDistribution::Fixed(Span::from_secs(5));
    let (ended, log) = run_trial(setup, 3);
    assert_eq!(ended.ending, Ending::Quiescent);
    assert!(log.sent_count(PacketKind::PingReq) > 0);
}

#[test]
fn an_unknown_connection_is_answered_by_a_reset() {
    let mut setup = pair(&link(|_| {}), QoS::AtLeastOnce, 1);
    setup.publishers[0].spread = Span::ZERO;
    // The broker sends on at 40 ms; the subscriber, gone by then, gets it at 80 ms.
    setup.clients[1].offline_periods =
        vec![OfflinePeriod { at: Span::from_millis(60), lasts: Span::from_millis(940) }];
    let lose_disconnect = |_: Time, name: &PacketName, _: Time| {
        (name.kind == PacketKind::Disconnect).then_some(ForcedFate::Lost(LossReason::Forced))
    };
    let (ended, log) = run_with_override(setup, 1, lose_disconnect);
    assert_eq!(ended.ending, Ending::Quiescent);
    let start = log.phase_start(Phase::Traffic);
    let resets: Vec<_> =
        log.sent.iter().filter(|(name, ..)| name.kind == PacketKind::Reset).collect();
    let [(reset, sent_at, Fate::Arrives(arrival))] = resets[..] else { panic!("{resets:?}") };
    assert_eq!((reset.direction, *sent_at), (Direction::Up, start + Span::from_millis(80)));
    let old = ConnectionNumber(1);
    assert!(log.closed.contains(&(Node::Broker, old, arrival.at)), "{:?}", log.closed);
    // It never reached the endpoint; it came again with the new connection.
    let publishes = log
        .arrived
        .iter()
        .filter(|(it, _)| it.kind == PacketKind::Publish && it.direction == Direction::Down);
    let at: Vec<_> = publishes.map(|(_, at)| *at).collect();
    assert_eq!(at, [start + Span::from_millis(1080)]);
    assert_eq!(log.sequences(1), [0]);
}

#[test]
fn a_client_that_was_reset_reconnects_after_a_backoff() {
    let mut setup = pair(&link(|_| {}), QoS::AtLeastOnce, 1);
    // Two clients of one id: the second takes the first's connection away.
    setup.clients[0].settings.client_id = "s".into();
    setup.deadline = Span::from_secs(20);
    let (_, log) = run_trial(setup, 1);
    let node = Node::Client(ClientIndex(0));
    let closed = log.closed.iter().find(|(it, ..)| *it == node).unwrap().2;
    let again = log.opened.iter().find(|(it, _, at)| *it == node && *at > closed).unwrap().2;
    let pause = again.since(closed);
    assert!((Span::from_millis(500)..=Span::from_secs(1)).contains(&pause), "{pause:?}");
}

#[test]
fn outages_fill_the_traffic_and_end_with_it() {
    let every = IntervalDistribution::Fixed(Span::from_secs(2));
    let outage =
        Some(OutageModel { every, lasts: IntervalDistribution::Fixed(Span::from_secs(1)) });
    let link = Arc::new(LinkSettings { outage, ..(*link(|_| {})).clone() });
    let mut setup = pair(&link, QoS::ExactlyOnce, 201);
    setup.publishers[0].every = IntervalDistribution::Fixed(Span::from_millis(10));
    setup.publishers[0].spread = Span::ZERO;
    setup.clients[1].link = super::fixtures::link(|_| {});
    setup.clients[1].offline_periods =
        vec![OfflinePeriod { at: Span::from_millis(5100), lasts: Span::from_millis(400) }];
    let (ended, log) = run_trial(setup, 1);
    assert_eq!(ended.ending, Ending::Quiescent);
    let start = log.phase_start(Phase::Traffic);
    let outages = [(true, 2000), (false, 3000), (true, 5000), (false, 5500)];
    assert_eq!(log.outages, outages.map(|(began, at)| (began, start + Span::from_millis(at))));
    assert_eq!(log.phase_start(Phase::Drain), start + Span::from_millis(5500));
    assert_eq!(log.sequences(1), (0..=200).collect::<Vec<_>>());
}

#[test]
fn a_late_subscriber_gets_what_is_published_until_it_unsubscribes() {
    let mut setup = pair(&link(|_| {}), QoS::AtLeastOnce, 10);
    setup.publishers[0].every = IntervalDistribution::Fixed(Span::from_secs(1));
    setup.publishers[0].spread = Span::ZERO;
    let mut late = subscription("topic/+", QoS::AtLeastOnce);
    late.from = Some(Span::from_millis(2500));
    late.until = Some(Span::from_millis(6500));
    setup.clients[1].subscriptions = vec![late];
    let (_, log) = run_trial(setup, 1);
    assert_eq!(log.sequences(1), [3, 4, 5, 6]);
}

#[test]
fn a_backlog_is_reported_when_it_changes() {
    let (_, TrialLog { backlog, .. }) = run_trial(pair(&bad_link(), QoS::ExactlyOnce, 50), 1);
    let of = |node| backlog.iter().filter(move |(it, ..)| *it == node);
    for node in [Node::Broker, Node::Client(ClientIndex(0))] {
        assert_eq!(of(node).next(), Some(&(node, 1, 0)));
        assert_eq!(of(node).next_back(), Some(&(node, 0, 0)));
        assert!(of(node).zip(of(node).skip(1)).all(|(before, after)| before != after));
    }
}
