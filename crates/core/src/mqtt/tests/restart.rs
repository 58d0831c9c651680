//! State of an endpoint that crashed and had a durable store.

use super::mqtt_world::{MqttWorld, stream_broker, stream_client, will};
use crate::base::QoS::{AtLeastOnce, ExactlyOnce};
use crate::base::{Span, Time};
use crate::mqtt::endpoint::Endpoint;
use crate::mqtt::packet::Payload;
use crate::mqtt::quirks::Quirk;
use crate::mqtt::settings::{ClientRequest, ClientSettings, Version};

const SECOND: Span = Span::from_secs(1);

fn pair() -> MqttWorld {
    MqttWorld::pair(stream_broker(), stream_client("a"), ExactlyOnce)
}

#[test]
fn a_broker_keeps_sessions_subscriptions_messages_and_retained() {
    let mut world = pair();
    world.publish_to(0, "u", Payload::Filler(7), AtLeastOnce, true);
    world.lose(&["1 < PUBLISH #1"]);
    world.publish(0, ExactlyOnce);
    world.ask(1, ClientRequest::Disconnect);
    world.publish(0, AtLeastOnce);
    world.take_log();
    world.restart_broker();
    let backlog = world.broker().backlog();
    assert_eq!((backlog.in_flight, backlog.queued, backlog.has_armed_timer), (1, 1, false));
    assert_eq!(world.broker().next_timeout(), Time::NEVER);
    world.ask(1, ClientRequest::Connect);
    assert_eq!(world.deliveries(), ["1 #1 q2", "1 #2 q1"]);
    world.subscribe(1, "u", AtLeastOnce);
    assert_eq!(world.deliveries(), ["1 #7 q1 retained"]);
}

#[test]
fn a_broker_remembers_the_ids_of_what_it_has_taken() {
    let mut world = pair();
    world.lose(&["0 < PUBREC"]);
    world.publish(0, ExactlyOnce);
    world.take_log();
    world.restart_broker();
    let log = world.take_log();
    assert!(log.contains(&"0 > PUBLISH #1 q2 id1 dup".into()), "{log:?}");
    assert!(log.contains(&"complete 0".into()), "{log:?}");
    assert!(!log.iter().any(|line| line.starts_with("deliver")), "{log:?}");
}

#[test]
fn clean_sessions_do_not_outlive_a_broker_and_nothing_is_reported() {
    let b = ClientSettings { clean: true, ..stream_client("b") };
    let mut world = MqttWorld::new(stream_broker(), vec![stream_client("a"), b]);
    world.subscribe(1, "t", AtLeastOnce);
    world.lose(&["1 < PUBLISH"]);
    world.publish(0, AtLeastOnce);
    world.take_log();
    world.set_unreachable(true);
    world.restart_broker();
    assert_eq!(world.take_log(), ["connect 0 after 1", "connect 1 after 1"]);
    assert_eq!(world.broker().backlog().in_flight, 0);
}

#[test]
fn the_wills_of_connections_that_die_with_the_broker_are_not_published() {
    let b = ClientSettings { will: Some(will(0)), ..stream_client("b") };
    let mut world = MqttWorld::new(stream_broker(), vec![stream_client("a"), b]);
    world.subscribe(0, "t", AtLeastOnce);
    world.restart_broker();
    assert!(world.deliveries().is_empty());
}

#[test]
fn the_time_until_a_session_expires_runs_on() {
    let b = ClientSettings {
        version: Version::V5,
        session_expiry: 60,
        will: Some(will(40)),
        ..stream_client("b")
    };
    let mut world = MqttWorld::new(stream_broker(), vec![b]);
    world.set_unreachable(true);
    world.cut_both(0);
    world.ask(0, ClientRequest::Disconnect);
    world.wait(SECOND.times(30));
    world.take_log();
    world.restart_broker();
    assert!(world.broker().backlog().has_armed_timer);
    world.wait(SECOND.times(30));
    assert_eq!(world.take_log(), ["will 0 at 40.000s", "expired b"]);
}

#[test]
fn a_session_whose_connection_died_with_the_broker_expires_from_then_on() {
    let b = ClientSettings { version: Version::V5, session_expiry: 60, ..stream_client("b") };
    let mut world = MqttWorld::new(stream_broker(), vec![b]);
    world.wait(SECOND.times(100));
    world.set_unreachable(true);
    world.restart_broker();
    world.ask(0, ClientRequest::Disconnect);
    world.take_log();
    world.wait(SECOND.times(59));
    assert!(world.take_log().is_empty());
    world.wait(SECOND);
    assert_eq!(world.take_log(), ["expired b"]);
}

#[test]
fn the_quirk_loses_what_the_broker_had_acknowledged() {
    let mut settings = stream_broker();
    settings.hop.quirks = Quirk::AckBeforeStore.into();
    let mut world = MqttWorld::pair(settings, stream_client("a"), ExactlyOnce);
    world.ask(1, ClientRequest::Disconnect);
    world.publish(0, AtLeastOnce);
    assert!(world.take_log().contains(&"complete 0".into()));
    world.restart_broker();
    assert_eq!(world.broker().backlog().queued, 0);
    world.ask(1, ClientRequest::Connect);
    let log = world.take_log();
    assert!(log.contains(&"1 < CONNACK present".into()), "its session is still there");
    assert!(!log.iter().any(|line| line.starts_with("deliver")), "{log:?}");
}

#[test]
fn a_client_is_away_and_has_its_messages_still() {
    let mut world = pair();
    world.lose(&["0 > PUBLISH #1", "0 > PUBREL"]);
    world.publish(0, AtLeastOnce);
    world.publish(0, ExactlyOnce);
    world.take_log();
    world.restart_client(0);
    let backlog = world.client(0).backlog();
    assert_eq!((backlog.in_flight, backlog.has_armed_timer), (2, false));
    assert_eq!(world.client(0).next_timeout(), Time::NEVER);
    world.publish(0, AtLeastOnce);
    assert!(world.take_log().is_empty());
    world.ask(0, ClientRequest::Connect);
    let log = world.take_log();
    let sent: Vec<_> = log.iter().filter(|line| line.starts_with("0 >")).collect();
    let resent = ["0 > CONNECT", "0 > PUBLISH #1 q1 id1 dup", "0 > PUBREL id2"];
    assert_eq!(sent, [resent[0], resent[1], resent[2], "0 > PUBLISH #3 q1 id3"]);
    assert_eq!(world.client(0).backlog().in_flight, 0);
}

#[test]
fn a_client_remembers_what_it_was_granted_and_what_was_delivered() {
    let mut world = pair();
    world.lose(&["1 > PUBREC"]);
    world.publish(0, ExactlyOnce);
    assert_eq!(world.deliveries(), ["1 #1 q2"]);
    world.restart_client(1);
    world.ask(1, ClientRequest::Connect);
    let log = world.take_log();
    assert!(log.contains(&"1 < PUBLISH #1 q2 id1 dup".into()), "{log:?}");
    assert!(!log.iter().any(|line| line.starts_with("deliver") || line.contains("SUBSCRIBE")));
}

#[test]
fn a_cloned_broker_restarts_with_its_earlier_state() {
    let mut world = pair();
    world.ask(1, ClientRequest::Disconnect);
    world.publish(0, AtLeastOnce);
    let mut snapshot = world.broker().clone();
    world.publish(0, AtLeastOnce);
    snapshot.restart(Time::ZERO + SECOND);
    assert_eq!(snapshot.backlog().queued, 1);
    assert_eq!(world.broker().backlog().queued, 2);
}
