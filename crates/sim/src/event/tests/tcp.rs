//! Connections over TCP.

use super::fixtures::{HOP, run_trial, tcp, tcp_pair};
use crate::trial::{FaultAction, FaultSetup, Trigger};
use qoslab_core::base::draw::Chance;
use qoslab_core::base::{
    ClientIndex, CloseReason, Ending, Fate, Node, OverheadPurpose, PacketKind, Phase, QoS,
    SilentDeathCause, Span, Time,
};
use qoslab_core::mqtt::{HopSettings, RetryRule};
use qoslab_core::network::{IntervalDistribution, LossModel, TlsSettings, TlsVersion};

const CLIENT: Node = Node::Client(ClientIndex(0));

fn millis(millis: u64) -> Time {
    Time::ZERO + Span::from_millis(millis)
}

fn at_secs(secs: u64, action: FaultAction) -> FaultSetup {
    let trigger = Trigger::At(Span::from_secs(secs));
    FaultSetup { name: format!("at-{secs}").into(), trigger, action }
}

#[test]
fn a_connection_costs_the_round_trips_of_its_handshake() {
    for (tls, open) in [(None, 80), (Some(TlsVersion::V13), 160), (Some(TlsVersion::V12), 240)] {
        let tls = tls.map(|version| TlsSettings { version, resumption: true });
        let link = tcp(|tcp, _| tcp.tls = tls);
        let (ended, log) = run_trial(tcp_pair(&link, QoS::AtLeastOnce, 0), 1);
        assert_eq!(ended.ending, Ending::Quiescent);
        assert_eq!(log.opened[0].2, millis(open), "{tls:?}");
        // Then CONNECT and CONNACK, SUBSCRIBE and SUBACK.
        assert_eq!(log.phase_start(Phase::Traffic), millis(open + 160));
        let reopened = log.opened.iter().rev().find(|(node, ..)| *node == CLIENT).unwrap().2;
        let resumed = if tls.is_some() { 160 } else { 80 };
        assert_eq!(
            reopened.since(log.phase_start(Phase::ReconnectDrain)),
            Span::from_millis(resumed)
        );
    }
}

#[test]
fn loss_costs_time_and_nothing_else() {
    let link = tcp(|tcp, way| {
        // Six timeouts in a row are no rarity here, and take a minute.
        tcp.user_timeout = Span::from_secs(900);
        way.loss = LossModel::Random(Chance::from_share(0.2));
    });
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
        let mut setup = tcp_pair(&link, qos, 300);
        // So far apart that hardly two messages are ever sent again in one segment.
        setup.publishers[0].every = IntervalDistribution::Fixed(Span::from_secs(5));
        let (ended, log) = run_trial(setup, 3);
        assert_eq!(ended.ending, Ending::Quiescent);
        let received: Vec<_> = log.delivered.iter().map(|(_, it, _)| it.sequence).collect();
        assert_eq!(received, (0..300).collect::<Vec<_>>(), "once each, and in order");
        assert!(log.discarded.is_empty());
        assert_eq!(log.sent_count(PacketKind::Publish), 600, "nothing is published again");
        let again =
            log.overhead.iter().filter(|(it, _)| *it == OverheadPurpose::Retransmission).count();
        // A fifth of 600 segments at the least.
        assert!(again > 100, "{again} retransmissions");
        assert!(log.sent.iter().all(|(_, _, fate)| *fate == Fate::Streamed));
    }
}

#[test]
fn a_cut_loses_packets_in_flight_and_a_new_connection_resends_them() {
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
        let mut setup = tcp_pair(&tcp(|_, _| {}), qos, 300);
        let every = Trigger::Every(IntervalDistribution::Exponential(Span::from_secs(2)));
        for n in [0, 1] {
            let action = FaultAction::Cut { client: ClientIndex(n), after: false };
            setup.faults.push(FaultSetup {
                name: format!("cut-{n}").into(),
                trigger: every.clone(),
                action,
            });
        }
        let (ended, log) = run_trial(setup, 2);
        assert_eq!(ended.ending, Ending::Quiescent);
        assert!(log.close_reasons.iter().filter(|(_, why)| *why == CloseReason::Cut).count() > 20);
        assert!(!log.discarded.is_empty());
        let mut received = log.sequences(1);
        let copies = received.len();
        received.dedup();
        match qos {
            QoS::AtMostOnce => assert!(received.len() < 300 && copies == received.len()),
            QoS::AtLeastOnce => assert!(received.len() == 300 && copies > 300),
            QoS::ExactlyOnce => assert!(received.len() == 300 && copies == 300),
        }
    }
}

#[test]
fn the_live_end_of_a_half_open_connection_notices_at_the_next_connect() {
    let mut setup = tcp_pair(&tcp(|_, _| {}), QoS::AtLeastOnce, 100);
    let client = ClientIndex(0);
    setup.faults.push(at_secs(3, FaultAction::HalfOpen { client, dead_node: CLIENT }));
    let (ended, log) = run_trial(setup, 1);
    assert_eq!(ended.ending, Ending::Quiescent);
    assert_eq!(log.silent_deaths, [SilentDeathCause::HalfOpen(CLIENT)]);
    assert_eq!(
        log.close_reasons[..2],
        [(CLIENT, CloseReason::Cut), (Node::Broker, CloseReason::TakenOver)]
    );
    assert_eq!(log.sequences(1).into_iter().collect::<std::collections::BTreeSet<_>>().len(), 100);
}

#[test]
fn the_drain_phase_lasts_until_keep_alive_ends_a_dead_connection() {
    let subscriber = ClientIndex(1);
    for keep_alive in [Span::ZERO, Span::from_secs(60)] {
        let link = tcp(|tcp, _| tcp.user_timeout = Span::from_secs(600));
        let mut setup = tcp_pair(&link, QoS::AtLeastOnce, 100);
        setup.clients[1].settings.keep_alive = keep_alive;
        let dead = FaultAction::HalfOpen { client: subscriber, dead_node: Node::Broker };
        setup.faults.push(at_secs(2, dead));
        let (ended, log) = run_trial(setup, 1);
        assert_eq!(ended.ending, Ending::Quiescent);
        assert_eq!(log.silent_deaths, [SilentDeathCause::HalfOpen(Node::Broker)]);
        let noticed =
            log.close_reasons.contains(&(Node::Client(subscriber), CloseReason::KeepAlive));
        assert_eq!(noticed, keep_alive > Span::ZERO, "what nobody would notice is not awaited");
    }
}

#[test]
fn a_sender_on_a_dead_connection_gives_up_after_the_user_timeout() {
    let mut setup = tcp_pair(&tcp(|_, _| {}), QoS::AtLeastOnce, 100);
    let client = ClientIndex(0);
    setup.faults.push(at_secs(3, FaultAction::HalfOpen { client, dead_node: Node::Broker }));
    let (ended, log) = run_trial(setup, 1);
    assert_eq!(ended.ending, Ending::Quiescent);
    assert!(
        log.close_reasons.contains(&(CLIENT, CloseReason::UserTimeout)),
        "{:?}",
        log.close_reasons
    );
    let gave_up = log.closed.iter().find(|(node, ..)| *node == CLIENT).unwrap().2;
    let after = gave_up.since(log.phase_start(Phase::Traffic));
    let (least, max) = (Span::from_secs(63), Span::from_secs(64));
    assert!((least..max).contains(&after), "{after:?}");
}

#[test]
fn a_nat_forgets_an_idle_connection() {
    let link = tcp(|tcp, _| tcp.nat_idle = Some(Span::from_secs(30)));
    let mut setup = tcp_pair(&link, QoS::AtLeastOnce, 5);
    setup.publishers[0].every = IntervalDistribution::Fixed(Span::from_secs(40));
    let (ended, log) = run_trial(setup, 1);
    assert_eq!(ended.ending, Ending::Quiescent);
    assert!(log.silent_deaths.contains(&SilentDeathCause::NatTimeout));
    assert!(log.close_reasons.contains(&(CLIENT, CloseReason::UserTimeout)));
}

#[test]
fn retry_timers_that_are_too_short_resend_over_tcp_what_was_not_lost() {
    let link = tcp(|_, way| way.delay = Span::from_millis(800));
    // So few that all fit the congestion window, also twice.
    let mut setup = tcp_pair(&link, QoS::AtLeastOnce, 4);
    setup.clients[0].settings.hop = HopSettings { ..HOP };
    assert!(matches!(setup.clients[0].settings.hop.retry, RetryRule::Timer(_)));
    let (_, log) = run_trial(setup, 1);
    assert_eq!(log.sequences(1).len(), 8, "the round trip takes 1.6 s, the timer 1 s");
}
