//! The counters that `sometimes` asks for.

use super::*;
use QoS::{AtLeastOnce, ExactlyOnce};
use qoslab_core::base::event::{Dark, Hindrance, Overhead};

fn counted(published: QoS, word: &str, script: impl Fn(&mut Stage<'_>)) -> u64 {
    judge(over_streams(roster(published)), Ending::Quiescent, script).sometimes[word]
}

#[test]
fn a_qos_two_message_that_comes_again_and_is_not_passed_on_again_is_suppressed() {
    let at_broker = |released: bool| {
        counted(ExactlyOnce, "duplicate-suppressed", |stage| {
            stage.ready(ExactlyOnce);
            stage.submit(0);
            stage.hop1(Kind::Publish, 0, 0, &OK);
            stage.hop1(Kind::PubRec, 0, 0, &OK);
            if released {
                stage.hop1(Kind::PubRel, 0, 0, &OK);
            }
            stage.hop1(Kind::Publish, 0, 1, &OK);
            stage.hop1(Kind::PubRec, 0, 1, &OK);
        })
    };
    assert_eq!((at_broker(false), at_broker(true)), (1, 0));
    let at_subscriber = counted(ExactlyOnce, "duplicate-suppressed", |stage| {
        stage.ready(ExactlyOnce);
        stage.first_hop(0);
        stage.hop2(Kind::Publish, 0, 0, 0, &OK);
        stage.deliver(0, 0);
        stage.hop2(Kind::PubRec, 0, 0, 0, &OK);
        stage.hop2(Kind::Publish, 0, 0, 1, &OK);
        stage.hop2(Kind::PubRec, 0, 0, 1, &OK);
    });
    assert_eq!(at_subscriber, 1);
}

#[test]
fn a_message_that_an_acknowledgement_made_room_for_has_met_a_full_window() {
    let windows = |waits: bool| {
        counted(AtLeastOnce, "window-full", |stage| {
            stage.ready(AtLeastOnce);
            stage.submit(0);
            stage.hop1(Kind::Publish, 0, 0, &OK);
            stage.submit(1);
            stage.hop1(Kind::PubAck, 0, 0, &OK);
            if waits {
                stage.now = Time::from_nanos(stage.now.as_nanos() - 1_000_000);
            } else {
                stage.now += Span::from_millis(1);
            }
            stage.hop1(Kind::Publish, 1, 0, &OK);
        })
    };
    assert_eq!((windows(true), windows(false)), (1, 0));
}

#[test]
fn packet_ids_that_begin_again_have_wrapped() {
    let wraps = counted(AtLeastOnce, "id-wrap", |stage| {
        stage.ready(AtLeastOnce);
        for (sequence, id) in [(0, 65_534), (1, 65_535), (2, 1), (3, 2)] {
            stage.id = Some(id);
            stage.first_hop(sequence);
        }
    });
    assert_eq!(wraps, 1);
}

#[test]
fn a_cut_and_a_half_open_connection_are_counted_apart() {
    let script = |stage: &mut Stage<'_>| {
        stage.ready(AtLeastOnce);
        stage.cut(DASHBOARD);
        let (connection, client) = (stage.connections[0], SENSOR);
        let dead = Node::Client(SENSOR);
        stage.event(&Event::WentDark { connection, client, why: Dark::HalfOpen(dead) });
        stage.event(&Event::Closed { node: dead, connection, client, why: Close::Cut });
        stage.event(&Event::WentDark { connection, client, why: Dark::NatForgot });
    };
    for word in ["cut", "half-open", "nat-forgot"] {
        assert_eq!(counted(AtLeastOnce, word, script), 1, "{word}");
    }
}

#[test]
fn what_befalls_links_and_nodes_is_counted_and_what_a_stream_adds_is_paid_for() {
    let script = |stage: &mut Stage<'_>| {
        stage.ready(AtLeastOnce);
        let client = SENSOR;
        for how in [Hindrance::Partition(Way::Up), Hindrance::Stall, Hindrance::Slow] {
            stage.event(&Event::Hampered { client, how });
            stage.event(&Event::Unhampered { client, how });
        }
        for (node, why) in
            [(Node::Client(SENSOR), Close::UserTimeout), (Node::Broker, Close::KeepAlive)]
        {
            let connection = stage.connections[0];
            stage.event(&Event::Closed { node, connection, client, why });
        }
        stage.crash(Node::Broker);
        for (purpose, bytes) in [(Overhead::Handshake, 120), (Overhead::Retransmission, 50)] {
            stage.event(&Event::Overhead { client, way: Way::Up, purpose, bytes });
        }
    };
    let outcome = judge(over_streams(roster(AtLeastOnce)), Ending::Quiescent, script);
    for word in [
        "partition",
        "stall",
        "slow",
        "user-timeout",
        "keep-alive-expired",
        "crash",
        "retransmission",
    ] {
        assert_eq!(outcome.sometimes[word], 1, "{word}");
    }
    let handshake = outcome.metrics.control[Kind::Handshake as usize];
    assert_eq!((handshake.packets, handshake.bytes), (1, 120));
    assert_eq!(outcome.metrics.bytes.resends, 50);
}

#[test]
fn recovery_counts_from_the_restart_of_a_node_that_crashed() {
    let outcome = judge(over_streams(roster(AtLeastOnce)), Ending::Quiescent, |stage| {
        stage.ready(AtLeastOnce);
        let node = Node::Client(SENSOR);
        stage.event(&Event::Backlog { node, in_flight: 1, queued: 0 });
        stage.event(&Event::Crashed { node: Node::Broker });
        stage.now += Span::from_secs(1);
        stage.event(&Event::Restarted { node: Node::Broker });
        stage.now += Span::from_millis(4);
        stage.event(&Event::Backlog { node, in_flight: 0, queued: 0 });
    });
    assert_eq!(outcome.metrics.recovery, Some(Span::from_millis(5)));
}
