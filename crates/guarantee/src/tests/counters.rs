//! The counters that `sometimes` asks for.

use super::*;
use QoS::{AtLeastOnce, ExactlyOnce};
use qoslab_core::base::{Impairment, OverheadPurpose, SilentDeathCause};

fn counter_value(published: QoS, word: &str, script: impl Fn(&mut TestTrial<'_>)) -> u64 {
    run_both_passes(over_tcp(trial_facts(published)), Ending::Quiescent, script).counters[word]
}

#[test]
fn a_qos_two_message_that_comes_again_and_is_not_passed_on_again_is_suppressed() {
    let at_broker = |released: bool| {
        counter_value(ExactlyOnce, "duplicate-suppressed", |trial| {
            trial.connect_and_subscribe(ExactlyOnce);
            trial.submit(0);
            trial.first_hop_packet(PacketKind::Publish, 0, 0, &ARRIVES);
            trial.first_hop_packet(PacketKind::PubRec, 0, 0, &ARRIVES);
            if released {
                trial.first_hop_packet(PacketKind::PubRel, 0, 0, &ARRIVES);
            }
            trial.first_hop_packet(PacketKind::Publish, 0, 1, &ARRIVES);
            trial.first_hop_packet(PacketKind::PubRec, 0, 1, &ARRIVES);
        })
    };
    assert_eq!((at_broker(false), at_broker(true)), (1, 0));
    let at_subscriber = counter_value(ExactlyOnce, "duplicate-suppressed", |trial| {
        trial.connect_and_subscribe(ExactlyOnce);
        trial.first_hop(0);
        trial.second_hop_packet(PacketKind::Publish, 0, 0, 0, &ARRIVES);
        trial.deliver(0, 0);
        trial.second_hop_packet(PacketKind::PubRec, 0, 0, 0, &ARRIVES);
        trial.second_hop_packet(PacketKind::Publish, 0, 0, 1, &ARRIVES);
        trial.second_hop_packet(PacketKind::PubRec, 0, 0, 1, &ARRIVES);
    });
    assert_eq!(at_subscriber, 1);
}

#[test]
fn a_message_sent_when_an_acknowledgement_frees_the_window_counts_as_window_full() {
    let windows = |waits: bool| {
        counter_value(AtLeastOnce, "window-full", |trial| {
            trial.connect_and_subscribe(AtLeastOnce);
            trial.submit(0);
            trial.first_hop_packet(PacketKind::Publish, 0, 0, &ARRIVES);
            trial.submit(1);
            trial.first_hop_packet(PacketKind::PubAck, 0, 0, &ARRIVES);
            if waits {
                trial.now = Time::from_nanos(trial.now.as_nanos() - 1_000_000);
            } else {
                trial.now += Span::from_millis(1);
            }
            trial.first_hop_packet(PacketKind::Publish, 1, 0, &ARRIVES);
        })
    };
    assert_eq!((windows(true), windows(false)), (1, 0));
}

#[test]
fn packet_ids_that_begin_again_have_wrapped() {
    let wraps = counter_value(AtLeastOnce, "id-wrap", |trial| {
        trial.connect_and_subscribe(AtLeastOnce);
        for (sequence, id) in [(0, 65_534), (1, 65_535), (2, 1), (3, 2)] {
            trial.id = Some(id);
            trial.first_hop(sequence);
        }
    });
    assert_eq!(wraps, 1);
}

#[test]
fn a_cut_and_a_half_open_connection_are_counted_apart() {
    let script = |trial: &mut TestTrial<'_>| {
        trial.connect_and_subscribe(AtLeastOnce);
        trial.cut(DASHBOARD);
        let (connection, client) = (trial.connections[0], SENSOR);
        let dead = Node::Client(SENSOR);
        trial.emit(&Event::DiedSilently {
            connection,
            client,
            why: SilentDeathCause::HalfOpen(dead),
        });
        trial.emit(&Event::Closed { node: dead, connection, client, why: CloseReason::Cut });
        trial.emit(&Event::DiedSilently { connection, client, why: SilentDeathCause::NatTimeout });
    };
    for word in ["cut", "half-open", "nat-forgot"] {
        assert_eq!(counter_value(AtLeastOnce, word, script), 1, "{word}");
    }
}

#[test]
fn link_and_node_faults_are_counted_and_tcp_overhead_adds_bytes() {
    let script = |trial: &mut TestTrial<'_>| {
        trial.connect_and_subscribe(AtLeastOnce);
        let client = SENSOR;
        for how in [Impairment::Partition(Direction::Up), Impairment::Stall, Impairment::Slow] {
            trial.emit(&Event::Impaired { client, impairment: how });
            trial.emit(&Event::ImpairmentEnded { client, impairment: how });
        }
        for (node, why) in [
            (Node::Client(SENSOR), CloseReason::UserTimeout),
            (Node::Broker, CloseReason::KeepAlive),
        ] {
            let connection = trial.connections[0];
            trial.emit(&Event::Closed { node, connection, client, why });
        }
        trial.crash(Node::Broker);
        for (purpose, bytes) in
            [(OverheadPurpose::Handshake, 120), (OverheadPurpose::Retransmission, 50)]
        {
            trial.emit(&Event::Overhead {
                client,
                direction: Direction::Up,
                purpose,
                segments: 1,
                bytes,
            });
        }
    };
    let outcome = run_both_passes(over_tcp(trial_facts(AtLeastOnce)), Ending::Quiescent, script);
    for word in [
        "partition",
        "stall",
        "slow",
        "user-timeout",
        "keep-alive-expired",
        "crash",
        "retransmission",
    ] {
        assert_eq!(outcome.counters[word], 1, "{word}");
    }
    let handshake = outcome.metrics.control[PacketKind::Handshake as usize];
    assert_eq!((handshake.packets, handshake.bytes), (1, 120));
    assert_eq!(outcome.metrics.bytes.resends, 50);
}

#[test]
fn recovery_counts_from_the_restart_of_a_node_that_crashed() {
    let outcome = run_both_passes(over_tcp(trial_facts(AtLeastOnce)), Ending::Quiescent, |trial| {
        trial.connect_and_subscribe(AtLeastOnce);
        let node = Node::Client(SENSOR);
        trial.emit(&Event::Backlog { node, in_flight: 1, queued: 0 });
        trial.emit(&Event::Crashed { node: Node::Broker });
        trial.now += Span::from_secs(1);
        trial.emit(&Event::Restarted { node: Node::Broker });
        trial.now += Span::from_millis(4);
        trial.emit(&Event::Backlog { node, in_flight: 0, queued: 0 });
    });
    assert_eq!(outcome.metrics.recovery, Some(Span::from_millis(5)));
}
