//! Connections that die without a word: by a NAT, or because a node crashed and its peer was not
//! told.

use super::*;
use QoS::{AtLeastOnce, AtMostOnce};
use qoslab_core::base::event::Dark;

const STALLED: (Promise, Breach, Blame) =
    (Promise::AtLeastOnce, Breach::Stalled, Blame::Configuration);

/// Over byte streams, where nobody has a keep alive.
fn deaf() -> Roster {
    let mut deaf = over_streams(roster(AtLeastOnce));
    for client in &mut deaf.clients {
        client.keep_alive = false;
    }
    deaf
}

fn forget(stage: &mut Stage<'_>, client: ClientIndex) {
    let connection = stage.connections[client.index()];
    stage.event(&Event::WentDark { connection, client, why: Dark::NatForgot });
}

/// A node crashes and starts again, and the other ends of its connections are not told.
fn crash_silently(stage: &mut Stage<'_>, node: Node) {
    let clients = [SENSOR, DASHBOARD].into_iter();
    let links: Vec<_> = clients
        .filter(|client| node == Node::Broker || node == Node::Client(*client))
        .map(|client| (client, stage.connections[client.index()]))
        .collect();
    for &(client, connection) in &links {
        stage.event(&Event::WentDark { connection, client, why: Dark::HalfOpen(node) });
    }
    stage.event(&Event::Crashed { node });
    for (client, connection) in links {
        stage.event(&Event::Closed { node, connection, client, why: Close::Crash });
    }
    stage.event(&Event::Restarted { node });
}

/// The broker sends a copy again, and it comes.
fn send_again(stage: &mut Stage<'_>) {
    stage.hop2(Kind::Publish, 0, 0, 1, &OK);
    stage.deliver(0, 0);
    stage.hop2(Kind::PubAck, 0, 0, 1, &OK);
}

#[test]
fn a_silent_death_that_was_noticed_before_a_message_explains_nothing_of_it() {
    let found = violations(deaf(), |stage| {
        stage.ready(AtLeastOnce);
        forget(stage, DASHBOARD);
        stage.connect(DASHBOARD, true);
        stage.first_hop(0);
        stage.event(&Event::Phase(Phase::CalmTwo));
        stage.second_hop(0, 0);
    });
    assert_eq!(found, [(Promise::AtLeastOnce, Breach::Stalled, Blame::Broker)]);
}

#[test]
fn what_was_not_sent_again_on_a_later_connection_is_lost_by_its_sender_and_not_by_the_silence() {
    let outcome = judge(deaf(), Ending::Quiescent, |stage| {
        stage.ready(AtLeastOnce);
        forget(stage, DASHBOARD);
        stage.first_hop(0);
        stage.hop2(Kind::Publish, 0, 0, 0, &Fate::Stream);
        stage.connect(DASHBOARD, true);
    });
    let finding = &outcome.findings[0];
    assert_eq!((finding.violation.breach, finding.violation.blame), (Breach::Lost, Blame::Broker));
    assert_eq!(finding.rule, Some("MQTT-4.4.0-1"));
}

#[test]
fn what_waits_because_nobody_noticed_until_the_end_is_stuck_by_configuration() {
    let found = violations(deaf(), |stage| {
        stage.ready(AtLeastOnce);
        forget(stage, SENSOR);
        stage.submit(0);
        stage.hop1(Kind::Publish, 0, 0, &Fate::Stream);
    });
    assert_eq!(found, [(Promise::Acknowledged, Breach::Stuck, Blame::Configuration)]);
}

#[test]
fn a_subscriber_that_does_not_notice_a_crashed_broker_stalls_by_configuration() {
    let script = |stage: &mut Stage<'_>| {
        stage.ready(AtLeastOnce);
        stage.first_hop(0);
        stage.hop2(Kind::Publish, 0, 0, 0, &Fate::Stream);
        crash_silently(stage, Node::Broker);
        stage.connect(SENSOR, true);
        stage.event(&Event::Phase(Phase::CalmTwo));
        stage.connect(DASHBOARD, true);
        send_again(stage);
    };
    assert_eq!(violations(deaf(), script), [STALLED]);
    assert_eq!(violations(over_streams(roster(AtLeastOnce)), script), []);
}

#[test]
fn a_publisher_that_does_not_notice_a_crashed_broker_stalls_by_configuration() {
    let script = |stage: &mut Stage<'_>| {
        stage.ready(AtMostOnce);
        crash_silently(stage, Node::Broker);
        stage.connect(DASHBOARD, true);
        stage.submit(0);
        stage.hop1(Kind::Publish, 0, 0, &Fate::Stream);
        stage.event(&Event::Phase(Phase::CalmTwo));
        stage.connect(SENSOR, true);
        stage.shake1(0, 1);
        stage.complete(0);
    };
    let stalled = (Promise::Acknowledged, Breach::Stalled, Blame::Configuration);
    assert_eq!(violations(deaf(), script), [stalled]);
    assert_eq!(violations(over_streams(roster(AtLeastOnce)), script), []);
}

#[test]
fn a_broker_that_does_not_notice_a_crashed_subscriber_stalls_by_configuration() {
    let script = |stage: &mut Stage<'_>| {
        stage.ready(AtLeastOnce);
        crash_silently(stage, Node::Client(DASHBOARD));
        stage.first_hop(0);
        stage.hop2(Kind::Publish, 0, 0, 0, &Fate::Stream);
        stage.event(&Event::Phase(Phase::CalmTwo));
        stage.connect(DASHBOARD, true);
        send_again(stage);
    };
    assert_eq!(violations(deaf(), script), [STALLED]);
    assert_eq!(violations(over_streams(roster(AtLeastOnce)), script), []);
}

#[test]
fn a_client_that_crashes_silently_is_counted_and_takes_no_cut_away() {
    let outcome = judge(deaf(), Ending::Quiescent, |stage| {
        stage.ready(AtLeastOnce);
        stage.cut(SENSOR);
        stage.connect(SENSOR, true);
        crash_silently(stage, Node::Client(SENSOR));
    });
    for (word, count) in [("cut", 1), ("half-open", 1), ("crash", 1)] {
        assert_eq!(outcome.sometimes[word], count, "{word}");
    }
}
