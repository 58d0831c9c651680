//! Faults: at a time, at a packet, crashes.

use super::fixtures::{TrialLog, link, pair, run_trial, tcp, tcp_pair};
use crate::trial::{
    CrashPoint, FaultAction, FaultSetup, PacketAction, PacketTrigger, PeerVisibility, Setup,
    Trigger,
};
use qoslab_core::base::{
    ClientIndex, CloseReason, Direction, Ending, Fate, Impairment, Node, PacketKind, PacketSubject,
    Phase, QoS, SilentDeathCause, Span,
};
use qoslab_core::mqtt::StorePolicy;
use qoslab_core::network::IntervalDistribution;

const PUBLISHER: ClientIndex = ClientIndex(0);
const SUBSCRIBER: ClientIndex = ClientIndex(1);

fn secs(secs: u64) -> IntervalDistribution {
    IntervalDistribution::Fixed(Span::from_secs(secs))
}

fn fault(trigger: Trigger, action: FaultAction) -> FaultSetup {
    FaultSetup { name: "fault".into(), trigger, action }
}

fn at_secs(secs: u64, action: FaultAction) -> FaultSetup {
    fault(Trigger::At(Span::from_secs(secs)), action)
}

fn at_packet(
    client: ClientIndex,
    way: Direction,
    kind: PacketKind,
    nth: u32,
    action: FaultAction,
) -> FaultSetup {
    fault(Trigger::NthPacket(PacketTrigger { client, direction: way, kind, nth }), action)
}

fn run_with_fault(mut setup: Setup, fault: FaultSetup) -> TrialLog {
    setup.faults.push(fault);
    let (ended, log) = run_trial(setup, 1);
    assert_eq!(ended.ending, Ending::Quiescent);
    log
}

#[test]
fn a_fault_at_a_packet_changes_the_fate_of_that_packet_alone() {
    let fates = |action| {
        let setup = pair(&link(|_| {}), QoS::AtLeastOnce, 20);
        let action = FaultAction::Packet(action);
        let log = run_with_fault(
            setup,
            at_packet(PUBLISHER, Direction::Up, PacketKind::Publish, 7, action),
        );
        let up = log
            .sent
            .iter()
            .filter(|it| it.0.kind == PacketKind::Publish && it.0.direction == Direction::Up);
        up.map(|(_, sent, fate)| match fate {
            Fate::Arrives(arrival) => {
                let again = arrival.duplicate_at.map_or(0, |again| again.since(*sent).as_nanos());
                (arrival.at.since(*sent).as_nanos() / 1_000_000, again / 1_000_000)
            }
            Fate::Lost(_) | Fate::Streamed => (0, 0),
        })
        .collect::<Vec<_>>()
    };
    let second = Span::from_secs(1);
    for (action, odd, sent) in [
        (PacketAction::Drop, (0, 0), 21),
        (PacketAction::Duplicate { after: second }, (40, 1040), 20),
        (PacketAction::Delay { by: second.times(2) }, (2040, 0), 21),
    ] {
        let fates = fates(action);
        assert_eq!(fates.len(), sent, "{action:?}");
        assert_eq!(fates[6], odd);
        assert_eq!(fates.iter().filter(|fate| **fate == (40, 0)).count(), sent - 1);
    }
}

#[test]
fn a_partition_blocks_one_direction_and_then_heals() {
    let how = Impairment::Partition(Direction::Down);
    let action = FaultAction::Impair {
        client: PUBLISHER,
        impairment: how,
        lasts: secs(5),
        read_interval: Span::ZERO,
    };
    let log = run_with_fault(pair(&link(|_| {}), QoS::AtLeastOnce, 100), at_secs(2, action));
    let lost: Vec<_> = log.sent.iter().filter(|it| matches!(it.2, Fate::Lost(_))).collect();
    assert!(lost.len() > 20 && lost.iter().all(|it| it.0.direction == Direction::Down));
    let last = lost.last().unwrap().1.since(log.phase_start(Phase::Traffic));
    assert!(last < Span::from_secs(7) && last > Span::from_secs(6), "{last:?}");
}

#[test]
fn a_stall_holds_everything_up_and_loses_nothing() {
    let run_impaired = |how, pace| {
        let action = FaultAction::Impair {
            client: SUBSCRIBER,
            impairment: how,
            lasts: secs(5),
            read_interval: pace,
        };
        run_with_fault(tcp_pair(&tcp(|_, _| {}), QoS::AtMostOnce, 100), at_secs(2, action))
    };
    let gap = |log: &TrialLog| {
        let times = log.delivered.windows(2).map(|pair| pair[1].2.since(pair[0].2));
        times.max().unwrap()
    };
    let stalled = run_impaired(Impairment::Stall, Span::ZERO);
    assert_eq!(stalled.sequences(1), (0..100).collect::<Vec<_>>());
    assert!(gap(&stalled) > Span::from_millis(4500), "{:?}", gap(&stalled));
    let slow = run_impaired(Impairment::Slow, Span::from_millis(400));
    assert_eq!(slow.sequences(1), (0..100).collect::<Vec<_>>());
    assert!(gap(&slow) <= Span::from_millis(1000), "{:?}", gap(&slow));
}

#[test]
fn a_durable_store_keeps_every_promise_through_crashes_and_a_volatile_one_does_not() {
    let run_crashes = |store, node, qos| {
        let mut setup = tcp_pair(&tcp(|_, _| {}), qos, 200);
        setup.broker_store = store;
        setup.clients[1].store = store;
        let peers = PeerVisibility::Reset;
        let action =
            FaultAction::Crash { node, down: secs(3), peers, point: CrashPoint::BetweenEvents };
        run_with_fault(
            setup,
            fault(Trigger::Every(IntervalDistribution::Exponential(Span::from_secs(4))), action),
        )
    };
    for node in [Node::Broker, Node::Client(SUBSCRIBER)] {
        for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
            let log = run_crashes(StorePolicy::Durable, node, qos);
            assert!(log.crashes.len() > 2);
            let mut received = log.sequences(1);
            let copies = received.len();
            received.dedup();
            assert_eq!(received.len(), 200, "{node:?} {qos:?}");
            assert!(qos == QoS::AtLeastOnce || copies == 200, "{node:?} {copies}");
        }
    }
    let mut received =
        run_crashes(StorePolicy::Volatile, Node::Broker, QoS::ExactlyOnce).sequences(1);
    received.dedup();
    assert!(received.len() < 200, "what the broker had taken is gone");
}

#[test]
fn what_peers_see_of_a_crash_is_an_end_a_reset_or_nothing() {
    let first_close = |peers| {
        let node = Node::Broker;
        let action =
            FaultAction::Crash { node, down: secs(3), peers, point: CrashPoint::BetweenEvents };
        let log =
            run_with_fault(tcp_pair(&tcp(|_, _| {}), QoS::AtLeastOnce, 100), at_secs(2, action));
        let of_client = log.close_reasons.iter().zip(&log.closed);
        let mut of_client = of_client.filter(|(end, _)| end.0 == Node::Client(PUBLISHER));
        let (end, closed) = of_client.next().unwrap();
        (end.1, closed.2.since(log.crashes[0].1))
    };
    let delay = Span::from_millis(40);
    assert_eq!(first_close(PeerVisibility::Close), (CloseReason::Peer, delay));
    assert_eq!(first_close(PeerVisibility::Reset), (CloseReason::Reset, delay));
    let (end, after) = first_close(PeerVisibility::Silence);
    assert_eq!(end, CloseReason::Reset, "its packets find nobody once the broker is back");
    assert!(after > Span::from_secs(3), "{after:?}");
}

#[test]
fn at_every_point_of_a_crash_a_durable_store_delivers_exactly_once() {
    let points = [CrashPoint::BeforeCommit, CrashPoint::AfterCommit, CrashPoint::BetweenSends];
    let crash_packets = [
        (PUBLISHER, Direction::Up, PacketKind::Publish),
        (PUBLISHER, Direction::Up, PacketKind::PubRel),
        (PUBLISHER, Direction::Down, PacketKind::PubRec),
        (PUBLISHER, Direction::Down, PacketKind::PubComp),
        (SUBSCRIBER, Direction::Down, PacketKind::Publish),
        (SUBSCRIBER, Direction::Down, PacketKind::PubRel),
        (SUBSCRIBER, Direction::Up, PacketKind::PubRec),
        (SUBSCRIBER, Direction::Up, PacketKind::PubComp),
    ];
    let mut crashed = 0;
    for point in points {
        for (client, way, kind) in crash_packets {
            for node in [Node::Broker, Node::Client(client)] {
                let mut setup = tcp_pair(&tcp(|_, _| {}), QoS::ExactlyOnce, 3);
                setup.publishers[0].every = secs(5);
                let peers = PeerVisibility::Close;
                let action = FaultAction::Crash { node, down: secs(1), peers, point };
                let log = run_with_fault(setup, at_packet(client, way, kind, 1, action));
                crashed += log.crashes.len();
                let place = (point, client, way, kind, node);
                assert_eq!(log.sequences(1), [0, 1, 2], "{place:?}");
            }
        }
    }
    assert_eq!(crashed, points.len() * crash_packets.len() * 2);
}

#[test]
fn a_host_that_lost_its_power_leaves_connections_half_open_and_answers_later_with_a_reset() {
    let node = Node::Broker;
    let crash = |secs_down| {
        let (down, peers) = (secs(secs_down), PeerVisibility::Silence);
        FaultAction::Crash { node, down, peers, point: CrashPoint::BetweenEvents }
    };
    let log =
        run_with_fault(tcp_pair(&tcp(|_, _| {}), QoS::AtLeastOnce, 100), at_secs(2, crash(3)));
    assert_eq!(log.silent_deaths, [SilentDeathCause::HalfOpen(node); 2]);
    let publisher = Node::Client(PUBLISHER);
    assert!(
        log.close_reasons.contains(&(publisher, CloseReason::Reset)),
        "what it sends finds nobody"
    );
    let mut received = log.sequences(1);
    received.dedup();
    assert_eq!(received.len(), 100, "nothing that was sent meanwhile is taken for delivered");

    // A subscriber that sends nothing but pings learns by them.
    let mut setup = tcp_pair(&tcp(|_, _| {}), QoS::AtLeastOnce, 100);
    setup.clients[1].settings.keep_alive = Span::from_secs(20);
    let log = run_with_fault(setup, at_secs(2, crash(3)));
    let subscriber = Node::Client(SUBSCRIBER);
    assert!(
        log.close_reasons.contains(&(subscriber, CloseReason::Reset)),
        "{:?}",
        log.close_reasons
    );
}

#[test]
fn the_drain_phase_waits_for_a_fin_in_flight() {
    let mut setup = tcp_pair(&tcp(|_, _| {}), QoS::AtLeastOnce, 5);
    let peers = PeerVisibility::Close;
    let crash = FaultAction::Crash {
        node: Node::Broker,
        down: secs(1),
        peers,
        point: CrashPoint::BetweenEvents,
    };
    setup.faults.push(at_secs(10, crash));
    let outage = FaultAction::Outage { client: SUBSCRIBER, lasts: secs(20) };
    let log = run_with_fault(setup, FaultSetup { name: "outage".into(), ..at_secs(9, outage) });
    let learnt = log.closed.iter().zip(&log.close_reasons);
    let learnt = learnt.filter(|(_, end)| **end == (Node::Client(SUBSCRIBER), CloseReason::Peer));
    let times: Vec<_> = learnt.map(|(closed, _)| closed.2).collect();
    assert!(
        times.first().is_some_and(|at| *at < log.phase_start(Phase::ReconnectDrain)),
        "{times:?}"
    );
}

#[test]
fn packets_are_counted_from_the_start_and_may_trigger_several_faults() {
    let mut setup = tcp_pair(&tcp(|_, _| {}), QoS::AtLeastOnce, 5);
    let crash = FaultAction::Crash {
        node: Node::Broker,
        down: secs(1),
        peers: PeerVisibility::Close,
        point: CrashPoint::AfterCommit,
    };
    setup.faults.push(at_packet(SUBSCRIBER, Direction::Up, PacketKind::Subscribe, 1, crash));
    let cut = FaultAction::Cut { client: SUBSCRIBER, after: true };
    let cut = at_packet(SUBSCRIBER, Direction::Up, PacketKind::Subscribe, 1, cut);
    let log = run_with_fault(setup, FaultSetup { name: "cut".into(), ..cut });
    assert_eq!(log.crashes.len(), 1);
    assert!(log.crashes[0].1 < log.phase_start(Phase::Traffic));
    assert_eq!(log.sequences(1), [0, 1, 2, 3, 4]);
}

#[test]
fn a_node_that_crashes_at_a_packet_of_its_own_has_stored_it_and_does_not_send_it() {
    for (pair, way) in [
        (tcp_pair(&tcp(|_, _| {}), QoS::AtLeastOnce, 2), Direction::Up),
        (pair(&link(|_| {}), QoS::AtLeastOnce, 2), Direction::Down),
    ] {
        let (client, node) = match way {
            Direction::Up => (PUBLISHER, Node::Client(PUBLISHER)),
            Direction::Down => (SUBSCRIBER, Node::Broker),
        };
        let (down, peers, point) = (secs(1), PeerVisibility::Close, CrashPoint::BetweenEvents);
        let log = run_with_fault(
            pair,
            at_packet(
                client,
                way,
                PacketKind::Publish,
                1,
                FaultAction::Crash { node, down, peers, point },
            ),
        );
        let first = log
            .sent
            .iter()
            .find(|(name, ..)| name.kind == PacketKind::Publish && name.direction == way);
        let (first, at, _) = first.unwrap();
        let PacketSubject::Message { transmission, .. } = first.subject else {
            panic!("{first:?}")
        };
        assert_eq!(transmission.attempt, 1);
        assert!(*at > log.crashes[0].1);
        assert_eq!(log.sequences(1)[0], 0);
    }
}

#[test]
fn requests_missed_during_a_crash_are_made_after_the_restart() {
    let mut setup = tcp_pair(&tcp(|_, _| {}), QoS::AtLeastOnce, 100);
    setup.clients[1].subscriptions[0].from = Some(Span::from_secs(4));
    let node = Node::Client(SUBSCRIBER);
    let peers = PeerVisibility::Close;
    let action =
        FaultAction::Crash { node, down: secs(3), peers, point: CrashPoint::BetweenEvents };
    let log = run_with_fault(setup, at_secs(2, action));
    let back = log.crashes[0].1 + Span::from_secs(3);
    let late = log.submitted.iter().filter(|(_, at)| *at > back + Span::from_secs(1)).count();
    assert!(late > 20 && log.sequences(1).len() >= late, "{late}");
}
