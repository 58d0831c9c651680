//! Connections that die silently: by a NAT, or because a node crashed and its peer was not
//! notified.

use super::*;
use QoS::{AtLeastOnce, AtMostOnce};
use qoslab_core::base::SilentDeathCause;

const STALLED: (Promise, Breach, Blame) =
    (Promise::AtLeastOnce, Breach::Stalled, Blame::Configuration);

/// Over byte streams, where no end has a keep alive.
fn without_keep_alive() -> TrialFacts {
    let mut facts = over_tcp(trial_facts(AtLeastOnce));
    for client in &mut facts.clients {
        client.keep_alive = false;
    }
    facts
}

fn nat_forgets(trial: &mut TestTrial<'_>, client: ClientIndex) {
    let connection = trial.connections[client.index()];
    trial.emit(&Event::DiedSilently { connection, client, why: SilentDeathCause::NatTimeout });
}

/// A node crashes and starts again, and the other ends of its connections are not notified.
fn crash_silently(trial: &mut TestTrial<'_>, node: Node) {
    let clients = [SENSOR, DASHBOARD].into_iter();
    let links: Vec<_> = clients
        .filter(|client| node == Node::Broker || node == Node::Client(*client))
        .map(|client| (client, trial.connections[client.index()]))
        .collect();
    for &(client, connection) in &links {
        trial.emit(&Event::DiedSilently {
            connection,
            client,
            why: SilentDeathCause::HalfOpen(node),
        });
    }
    trial.emit(&Event::Crashed { node });
    for (client, connection) in links {
        trial.emit(&Event::Closed { node, connection, client, why: CloseReason::Crash });
    }
    trial.emit(&Event::Restarted { node });
}

/// The broker sends a copy again, and it comes.
fn resend_copy(trial: &mut TestTrial<'_>) {
    trial.second_hop_packet(PacketKind::Publish, 0, 0, 1, &ARRIVES);
    trial.deliver(0, 0);
    trial.second_hop_packet(PacketKind::PubAck, 0, 0, 1, &ARRIVES);
}

#[test]
fn a_dead_connection_noticed_before_a_message_does_not_explain_its_stall() {
    let found = violations(without_keep_alive(), |trial| {
        trial.connect_and_subscribe(AtLeastOnce);
        nat_forgets(trial, DASHBOARD);
        trial.connect(DASHBOARD, true);
        trial.first_hop(0);
        trial.emit(&Event::Phase(Phase::ReconnectDrain));
        trial.second_hop(0, 0);
    });
    assert_eq!(found, [(Promise::AtLeastOnce, Breach::Stalled, Blame::Broker)]);
}

#[test]
fn what_was_not_resent_on_a_later_connection_is_the_senders_fault_and_not_the_dead_connections() {
    let outcome = run_both_passes(without_keep_alive(), Ending::Quiescent, |trial| {
        trial.connect_and_subscribe(AtLeastOnce);
        nat_forgets(trial, DASHBOARD);
        trial.first_hop(0);
        trial.second_hop_packet(PacketKind::Publish, 0, 0, 0, &Fate::Streamed);
        trial.connect(DASHBOARD, true);
    });
    let finding = &outcome.findings[0];
    assert_eq!((finding.violation.breach, finding.violation.blame), (Breach::Lost, Blame::Broker));
    assert_eq!(finding.rule, Some("MQTT-4.4.0-1"));
}

#[test]
fn what_waits_because_nobody_noticed_until_the_end_is_stuck_by_configuration() {
    let found = violations(without_keep_alive(), |trial| {
        trial.connect_and_subscribe(AtLeastOnce);
        nat_forgets(trial, SENSOR);
        trial.submit(0);
        trial.first_hop_packet(PacketKind::Publish, 0, 0, &Fate::Streamed);
    });
    assert_eq!(found, [(Promise::Acknowledged, Breach::Stuck, Blame::Configuration)]);
}

#[test]
fn a_subscriber_that_does_not_notice_a_crashed_broker_stalls_by_configuration() {
    let script = |trial: &mut TestTrial<'_>| {
        trial.connect_and_subscribe(AtLeastOnce);
        trial.first_hop(0);
        trial.second_hop_packet(PacketKind::Publish, 0, 0, 0, &Fate::Streamed);
        crash_silently(trial, Node::Broker);
        trial.connect(SENSOR, true);
        trial.emit(&Event::Phase(Phase::ReconnectDrain));
        trial.connect(DASHBOARD, true);
        resend_copy(trial);
    };
    assert_eq!(violations(without_keep_alive(), script), [STALLED]);
    assert_eq!(violations(over_tcp(trial_facts(AtLeastOnce)), script), []);
}

#[test]
fn a_publisher_that_does_not_notice_a_crashed_broker_stalls_by_configuration() {
    let script = |trial: &mut TestTrial<'_>| {
        trial.connect_and_subscribe(AtMostOnce);
        crash_silently(trial, Node::Broker);
        trial.connect(DASHBOARD, true);
        trial.submit(0);
        trial.first_hop_packet(PacketKind::Publish, 0, 0, &Fate::Streamed);
        trial.emit(&Event::Phase(Phase::ReconnectDrain));
        trial.connect(SENSOR, true);
        trial.first_hop_handshake(0, 1);
        trial.complete(0);
    };
    let stalled = (Promise::Acknowledged, Breach::Stalled, Blame::Configuration);
    assert_eq!(violations(without_keep_alive(), script), [stalled]);
    assert_eq!(violations(over_tcp(trial_facts(AtLeastOnce)), script), []);
}

#[test]
fn a_broker_that_does_not_notice_a_crashed_subscriber_stalls_by_configuration() {
    let script = |trial: &mut TestTrial<'_>| {
        trial.connect_and_subscribe(AtLeastOnce);
        crash_silently(trial, Node::Client(DASHBOARD));
        trial.first_hop(0);
        trial.second_hop_packet(PacketKind::Publish, 0, 0, 0, &Fate::Streamed);
        trial.emit(&Event::Phase(Phase::ReconnectDrain));
        trial.connect(DASHBOARD, true);
        resend_copy(trial);
    };
    assert_eq!(violations(without_keep_alive(), script), [STALLED]);
    assert_eq!(violations(over_tcp(trial_facts(AtLeastOnce)), script), []);
}

#[test]
fn a_silent_client_crash_is_counted_as_half_open_and_not_as_a_cut() {
    let outcome = run_both_passes(without_keep_alive(), Ending::Quiescent, |trial| {
        trial.connect_and_subscribe(AtLeastOnce);
        trial.cut(SENSOR);
        trial.connect(SENSOR, true);
        crash_silently(trial, Node::Client(SENSOR));
    });
    for (word, count) in [("cut", 1), ("half-open", 1), ("crash", 1)] {
        assert_eq!(outcome.counters[word], count, "{word}");
    }
}
