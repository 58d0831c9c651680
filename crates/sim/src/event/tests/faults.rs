//! Faults: at a time, at a packet, crashes.

use super::world::{Log, link, pair, play, tcp, tcp_pair};
use crate::trial::{
    Action, CrashPoint, FaultSetup, PacketAction, PacketTrigger, PeersSee, Setup, Trigger,
};
use qoslab_core::base::ending::Ending;
use qoslab_core::base::event::{Close, Dark, Fate, Hindrance, Phase};
use qoslab_core::base::name::{ClientIndex, Kind, Node, Subject, Way};
use qoslab_core::base::qos::QoS;
use qoslab_core::base::time::Span;
use qoslab_core::mqtt::settings::Store;
use qoslab_core::network::settings::Interval;

const PUBLISHER: ClientIndex = ClientIndex(0);
const SUBSCRIBER: ClientIndex = ClientIndex(1);

fn secs(secs: u64) -> Interval {
    Interval::Fixed(Span::from_secs(secs))
}

fn fault(trigger: Trigger, action: Action) -> FaultSetup {
    FaultSetup { name: "fault".into(), trigger, action }
}

fn at(secs: u64, action: Action) -> FaultSetup {
    fault(Trigger::At(Span::from_secs(secs)), action)
}

fn when(client: ClientIndex, way: Way, kind: Kind, nth: u32, action: Action) -> FaultSetup {
    fault(Trigger::Packet(PacketTrigger { client, way, kind, nth }), action)
}

fn run(mut setup: Setup, fault: FaultSetup) -> Log {
    setup.faults.push(fault);
    let (ended, log) = play(setup, 1);
    assert_eq!(ended.ending, Ending::Quiescent);
    log
}

#[test]
fn a_fault_at_a_packet_changes_the_fate_of_that_packet_alone() {
    let fates = |action| {
        let setup = pair(&link(|_| {}), QoS::AtLeastOnce, 20);
        let action = Action::Packet(action);
        let log = run(setup, when(PUBLISHER, Way::Up, Kind::Publish, 7, action));
        let up = log.sent.iter().filter(|it| it.0.kind == Kind::Publish && it.0.way == Way::Up);
        up.map(|(_, sent, fate)| match fate {
            Fate::Arrives(arrival) => {
                let again = arrival.again.map_or(0, |again| again.since(*sent).as_nanos());
                (arrival.at.since(*sent).as_nanos() / 1_000_000, again / 1_000_000)
            }
            Fate::Lost(_) | Fate::Stream => (0, 0),
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
fn a_partition_parts_one_direction_and_then_heals() {
    let how = Hindrance::Partition(Way::Down);
    let action = Action::Hamper { client: PUBLISHER, how, lasts: secs(5), pace: Span::ZERO };
    let log = run(pair(&link(|_| {}), QoS::AtLeastOnce, 100), at(2, action));
    let lost: Vec<_> = log.sent.iter().filter(|it| matches!(it.2, Fate::Lost(_))).collect();
    assert!(lost.len() > 20 && lost.iter().all(|it| it.0.way == Way::Down));
    let last = lost.last().unwrap().1.since(log.began(Phase::Traffic));
    assert!(last < Span::from_secs(7) && last > Span::from_secs(6), "{last:?}");
}

#[test]
fn a_stall_holds_everything_up_and_loses_nothing() {
    let hold = |how, pace| {
        let action = Action::Hamper { client: SUBSCRIBER, how, lasts: secs(5), pace };
        run(tcp_pair(&tcp(|_, _| {}), QoS::AtMostOnce, 100), at(2, action))
    };
    let gap = |log: &Log| {
        let times = log.delivered.windows(2).map(|pair| pair[1].2.since(pair[0].2));
        times.max().unwrap()
    };
    let stalled = hold(Hindrance::Stall, Span::ZERO);
    assert_eq!(stalled.sequences(1), (0..100).collect::<Vec<_>>());
    assert!(gap(&stalled) > Span::from_millis(4500), "{:?}", gap(&stalled));
    let slow = hold(Hindrance::Slow, Span::from_millis(400));
    assert_eq!(slow.sequences(1), (0..100).collect::<Vec<_>>());
    assert!(gap(&slow) <= Span::from_millis(1000), "{:?}", gap(&slow));
}

#[test]
fn a_durable_store_keeps_every_promise_through_crashes_and_a_volatile_one_does_not() {
    let with = |store, node, qos| {
        let mut setup = tcp_pair(&tcp(|_, _| {}), qos, 200);
        setup.broker_store = store;
        setup.clients[1].store = store;
        let peers = PeersSee::Reset;
        let action = Action::Crash { node, down: secs(3), peers, point: CrashPoint::Idle };
        run(setup, fault(Trigger::Every(Interval::Exponential(Span::from_secs(4))), action))
    };
    for node in [Node::Broker, Node::Client(SUBSCRIBER)] {
        for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
            let log = with(Store::Durable, node, qos);
            assert!(log.crashes.len() > 2);
            let mut received = log.sequences(1);
            let copies = received.len();
            received.dedup();
            assert_eq!(received.len(), 200, "{node:?} {qos:?}");
            assert!(qos == QoS::AtLeastOnce || copies == 200, "{node:?} {copies}");
        }
    }
    let mut received = with(Store::Volatile, Node::Broker, QoS::ExactlyOnce).sequences(1);
    received.dedup();
    assert!(received.len() < 200, "what the broker had taken is gone");
}

#[test]
fn what_peers_see_of_a_crash_is_an_end_a_reset_or_nothing() {
    let why = |peers| {
        let node = Node::Broker;
        let action = Action::Crash { node, down: secs(3), peers, point: CrashPoint::Idle };
        let log = run(tcp_pair(&tcp(|_, _| {}), QoS::AtLeastOnce, 100), at(2, action));
        let of_client = log.ends.iter().zip(&log.closed);
        let mut of_client = of_client.filter(|(end, _)| end.0 == Node::Client(PUBLISHER));
        let (end, closed) = of_client.next().unwrap();
        (end.1, closed.2.since(log.crashes[0].1))
    };
    let delay = Span::from_millis(40);
    assert_eq!(why(PeersSee::Close), (Close::Peer, delay));
    assert_eq!(why(PeersSee::Reset), (Close::Reset, delay));
    let (end, after) = why(PeersSee::Silence);
    assert_eq!(end, Close::Reset, "its packets find nobody once the broker is back");
    assert!(after > Span::from_secs(3), "{after:?}");
}

#[test]
fn at_every_point_of_a_crash_a_durable_store_delivers_exactly_once() {
    let points = [CrashPoint::BeforeCommit, CrashPoint::AfterCommit, CrashPoint::BetweenSends];
    let places = [
        (PUBLISHER, Way::Up, Kind::Publish),
        (PUBLISHER, Way::Up, Kind::PubRel),
        (PUBLISHER, Way::Down, Kind::PubRec),
        (PUBLISHER, Way::Down, Kind::PubComp),
        (SUBSCRIBER, Way::Down, Kind::Publish),
        (SUBSCRIBER, Way::Down, Kind::PubRel),
        (SUBSCRIBER, Way::Up, Kind::PubRec),
        (SUBSCRIBER, Way::Up, Kind::PubComp),
    ];
    let mut crashed = 0;
    for point in points {
        for (client, way, kind) in places {
            for node in [Node::Broker, Node::Client(client)] {
                let mut setup = tcp_pair(&tcp(|_, _| {}), QoS::ExactlyOnce, 3);
                setup.streams[0].every = secs(5);
                let peers = PeersSee::Close;
                let action = Action::Crash { node, down: secs(1), peers, point };
                let log = run(setup, when(client, way, kind, 1, action));
                crashed += log.crashes.len();
                let place = (point, client, way, kind, node);
                assert_eq!(log.sequences(1), [0, 1, 2], "{place:?}");
            }
        }
    }
    assert_eq!(crashed, points.len() * places.len() * 2);
}

#[test]
fn a_host_that_lost_its_power_leaves_connections_half_open_and_answers_later_with_a_reset() {
    let node = Node::Broker;
    let crash = |secs_down| {
        let (down, peers) = (secs(secs_down), PeersSee::Silence);
        Action::Crash { node, down, peers, point: CrashPoint::Idle }
    };
    let log = run(tcp_pair(&tcp(|_, _| {}), QoS::AtLeastOnce, 100), at(2, crash(3)));
    assert_eq!(log.dark, [Dark::HalfOpen(node); 2]);
    let publisher = Node::Client(PUBLISHER);
    assert!(log.ends.contains(&(publisher, Close::Reset)), "what it sends finds nobody");
    let mut received = log.sequences(1);
    received.dedup();
    assert_eq!(received.len(), 100, "nothing that was sent meanwhile is taken for delivered");

    // A subscriber that sends nothing but pings learns by them.
    let mut setup = tcp_pair(&tcp(|_, _| {}), QoS::AtLeastOnce, 100);
    setup.clients[1].settings.keep_alive = Span::from_secs(20);
    let log = run(setup, at(2, crash(3)));
    let subscriber = Node::Client(SUBSCRIBER);
    assert!(log.ends.contains(&(subscriber, Close::Reset)), "{:?}", log.ends);
}

#[test]
fn the_calm_waits_for_the_end_of_a_stream_that_is_still_under_way() {
    let mut setup = tcp_pair(&tcp(|_, _| {}), QoS::AtLeastOnce, 5);
    let peers = PeersSee::Close;
    let crash = Action::Crash { node: Node::Broker, down: secs(1), peers, point: CrashPoint::Idle };
    setup.faults.push(at(10, crash));
    let outage = Action::Outage { client: SUBSCRIBER, lasts: secs(20) };
    let log = run(setup, FaultSetup { name: "outage".into(), ..at(9, outage) });
    let learnt = log.closed.iter().zip(&log.ends);
    let learnt = learnt.filter(|(_, end)| **end == (Node::Client(SUBSCRIBER), Close::Peer));
    let times: Vec<_> = learnt.map(|(closed, _)| closed.2).collect();
    assert!(times.first().is_some_and(|at| *at < log.began(Phase::CalmTwo)), "{times:?}");
}

#[test]
fn packets_are_counted_from_the_start_and_may_trigger_several_faults() {
    let mut setup = tcp_pair(&tcp(|_, _| {}), QoS::AtLeastOnce, 5);
    let crash = Action::Crash {
        node: Node::Broker,
        down: secs(1),
        peers: PeersSee::Close,
        point: CrashPoint::AfterCommit,
    };
    setup.faults.push(when(SUBSCRIBER, Way::Up, Kind::Subscribe, 1, crash));
    let cut = Action::Cut { client: SUBSCRIBER, after: true };
    let cut = when(SUBSCRIBER, Way::Up, Kind::Subscribe, 1, cut);
    let log = run(setup, FaultSetup { name: "cut".into(), ..cut });
    assert_eq!(log.crashes.len(), 1);
    assert!(log.crashes[0].1 < log.began(Phase::Traffic));
    assert_eq!(log.sequences(1), [0, 1, 2, 3, 4]);
}

#[test]
fn a_node_that_crashes_at_a_packet_of_its_own_has_stored_it_and_does_not_send_it() {
    for (pair, way) in [
        (tcp_pair(&tcp(|_, _| {}), QoS::AtLeastOnce, 2), Way::Up),
        (pair(&link(|_| {}), QoS::AtLeastOnce, 2), Way::Down),
    ] {
        let (client, node) = match way {
            Way::Up => (PUBLISHER, Node::Client(PUBLISHER)),
            Way::Down => (SUBSCRIBER, Node::Broker),
        };
        let (down, peers, point) = (secs(1), PeersSee::Close, CrashPoint::Idle);
        let log = run(
            pair,
            when(client, way, Kind::Publish, 1, Action::Crash { node, down, peers, point }),
        );
        let first =
            log.sent.iter().find(|(name, ..)| name.kind == Kind::Publish && name.way == way);
        let (first, at, _) = first.unwrap();
        let Subject::Message { transmission, .. } = first.subject else { panic!("{first:?}") };
        assert_eq!(transmission.attempt, 1);
        assert!(*at > log.crashes[0].1);
        assert_eq!(log.sequences(1)[0], 0);
    }
}

#[test]
fn an_application_asks_after_a_crash_for_what_it_meant_to_ask_for_meanwhile() {
    let mut setup = tcp_pair(&tcp(|_, _| {}), QoS::AtLeastOnce, 100);
    setup.clients[1].subscriptions[0].from = Some(Span::from_secs(4));
    let node = Node::Client(SUBSCRIBER);
    let peers = PeersSee::Close;
    let action = Action::Crash { node, down: secs(3), peers, point: CrashPoint::Idle };
    let log = run(setup, at(2, action));
    let back = log.crashes[0].1 + Span::from_secs(3);
    let late = log.submitted.iter().filter(|(_, at)| *at > back + Span::from_secs(1)).count();
    assert!(late > 20 && log.sequences(1).len() >= late, "{late}");
}
