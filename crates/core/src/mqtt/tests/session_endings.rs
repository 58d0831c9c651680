//! Tests of the ends of sessions, and of what clients leave behind: expiry and wills.

use super::mqtt_world::{MqttWorld, client, stream_broker, stream_client, will};
use crate::base::QoS::AtLeastOnce;
use crate::base::Span;
use crate::mqtt::endpoint::Endpoint;
use crate::mqtt::quirks::Quirk;
use crate::mqtt::settings::{ClientRequest, ClientSettings, Version};

const SECOND: Span = Span::from_secs(1);

fn v5(name: &str, session_expiry: u32) -> ClientSettings {
    ClientSettings { version: Version::V5, session_expiry, ..stream_client(name) }
}

/// A subscriber of `t`, connected, and `b`, which never publishes.
fn with_subscriber(b: ClientSettings) -> MqttWorld {
    let witness = ClientSettings { version: b.version, ..stream_client("witness") };
    let mut world = MqttWorld::new(stream_broker(), vec![witness, b]);
    world.subscribe(0, "t", AtLeastOnce);
    world.take_log();
    world
}

#[test]
fn a_session_of_5_0_ends_when_its_client_is_away_for_too_long() {
    let mut world = MqttWorld::new(stream_broker(), vec![stream_client("a"), v5("b", 60)]);
    world.subscribe(1, "t", AtLeastOnce);
    world.ask(1, ClientRequest::Disconnect);
    world.publish(0, AtLeastOnce);
    assert!(world.broker().backlog().has_armed_timer, "an expiry is something to wait for");
    world.take_log();
    world.wait(SECOND.times(60) - Span::from_nanos(1));
    assert!(world.take_log().is_empty());
    world.wait(Span::from_nanos(1));
    assert_eq!(world.take_log(), ["expired b", "drop b SessionEnded"]);
    assert!(!world.broker().backlog().has_armed_timer);
    world.ask(1, ClientRequest::Connect);
    let expected = ["1 > CONNECT", "1 < CONNACK", "1 > SUBSCRIBE", "1 < SUBACK [1]"];
    assert_eq!(world.take_log(), expected);
}

#[test]
fn a_client_that_comes_back_in_time_keeps_its_session() {
    let mut world = MqttWorld::new(stream_broker(), vec![v5("b", 60)]);
    for _ in 0..3 {
        world.cut_both(0);
        world.ask(0, ClientRequest::Disconnect);
        world.take_log();
        world.wait(SECOND.times(59));
        world.ask(0, ClientRequest::Connect);
        assert_eq!(world.take_log(), ["0 > CONNECT", "0 < CONNACK present"]);
    }
    world.wait(SECOND.times(100));
    assert!(world.take_log().is_empty());
}

#[test]
fn a_session_without_end_is_nothing_to_wait_for() {
    for settings in [v5("b", u32::MAX), stream_client("b")] {
        let mut world = MqttWorld::new(stream_broker(), vec![settings]);
        world.ask(0, ClientRequest::Disconnect);
        assert!(!world.broker().backlog().has_armed_timer);
    }
}

#[test]
fn a_will_is_published_when_the_connection_dies_and_not_after_disconnect() {
    for version in [Version::V31, Version::V311, Version::V5] {
        let b = ClientSettings { version, will: Some(will(0)), ..stream_client("b") };
        let mut world = with_subscriber(b);
        world.wait(SECOND);
        world.ask(1, ClientRequest::Disconnect);
        assert!(world.deliveries().is_empty(), "{version:?}");
        world.ask(1, ClientRequest::Connect);
        world.take_log();
        world.cut_both(1);
        let log = world.take_log();
        // It is the will of b's second connection.
        assert_eq!(log[..2], ["will 0 at 1.000s", "0 < PUBLISH #99 q1 id1"], "{version:?}");
        assert!(log.contains(&"deliver 0 #99 q1".into()), "{version:?}");
    }
}

#[test]
fn keep_alive_and_takeover_are_abnormal_ends() {
    let b =
        ClientSettings { will: Some(will(0)), keep_alive: SECOND.times(10), ..stream_client("b") };
    let mut world = with_subscriber(b.clone());
    world.lose(&["1 > PINGREQ"]);
    world.wait(SECOND.times(15));
    assert_eq!(
        world.take_log()[..3],
        ["1 > PINGREQ LOST", "close 1 KeepAlive", "will 0 at 15.000s"]
    );

    let mut world = with_subscriber(b);
    world.cut(1);
    assert_eq!(world.take_log()[..3], ["1 > CONNECT", "close 1", "will 0 at 0.000s"]);
}

#[test]
fn a_will_waits_for_its_delay_and_a_new_connection_cancels_it() {
    let mut world = with_subscriber(ClientSettings { will: Some(will(30)), ..v5("b", 60) });
    world.set_unreachable(true);
    world.cut_both(1);
    world.ask(1, ClientRequest::Disconnect);
    world.set_unreachable(false);
    world.take_log();
    assert!(world.broker().backlog().has_armed_timer);
    world.wait(SECOND.times(29));
    world.ask(1, ClientRequest::Connect);
    world.ask(1, ClientRequest::Disconnect);
    world.wait(SECOND.times(31));
    assert!(world.deliveries().is_empty());

    world.ask(1, ClientRequest::Connect);
    world.set_unreachable(true);
    world.cut_both(1);
    world.set_unreachable(false);
    world.ask(1, ClientRequest::Disconnect);
    world.take_log();
    world.wait(SECOND.times(30));
    assert_eq!(world.take_log()[..1], ["will 0 at 90.000s"]);
}

#[test]
fn a_will_does_not_wait_longer_than_its_session() {
    for (expiry, seconds) in [(10, 10), (0, 0)] {
        let mut world = with_subscriber(ClientSettings { will: Some(will(30)), ..v5("b", expiry) });
        world.set_unreachable(true);
        world.cut_both(1);
        world.set_unreachable(false);
        world.ask(1, ClientRequest::Disconnect);
        world.wait(SECOND.times(seconds));
        let log = world.take_log();
        assert!(log.contains(&format!("will 0 at {seconds}.000s")), "{log:?}");
    }
}

#[test]
fn a_new_session_in_place_of_the_old_one_lets_the_old_will_go_out() {
    let b = ClientSettings { will: Some(will(30)), ..v5("b", 60) };
    let mut world = with_subscriber(b.clone());
    world.set_unreachable(true);
    world.cut_both(1);
    world.set_unreachable(false);
    world.take_log();
    world.replace_client(1, ClientSettings { clean: true, ..b });
    world.ask(1, ClientRequest::Connect);
    assert_eq!(world.take_log()[..2], ["1 > CONNECT clean", "will 0 at 0.000s"]);
}

#[test]
fn a_client_of_5_0_without_state_starts_anew_where_the_broker_has_a_session() {
    let mut world = MqttWorld::new(stream_broker(), vec![v5("b", u32::MAX)]);
    world.replace_client(0, v5("b", u32::MAX));
    world.take_log();
    world.ask(0, ClientRequest::Connect);
    let expected = [
        "0 > CONNECT",
        "0 < DISCONNECT",
        "close 0",
        "0 < CONNACK present",
        "close by 0 Protocol",
        "0 > CONNECT clean",
        "0 < DISCONNECT",
        "close 1",
        "0 < CONNACK",
    ];
    assert_eq!(world.take_log(), expected);
    // That was for once.
    world.cut_both(0);
    assert_eq!(world.take_log(), ["0 > CONNECT", "0 < CONNACK present"]);
}

#[test]
fn before_5_0_a_client_without_state_goes_on_with_the_brokers_session() {
    let mut world = MqttWorld::new(stream_broker(), vec![stream_client("b")]);
    world.replace_client(0, stream_client("b"));
    world.take_log();
    world.ask(0, ClientRequest::Connect);
    assert_eq!(world.take_log(), ["0 > CONNECT", "close 0", "0 < CONNACK present"]);
}

#[test]
fn a_client_subscribes_again_only_if_it_is_set_to() {
    for (resubscribe, expected) in [(true, "1 < SUBACK [1]"), (false, "1 < CONNACK")] {
        let b = ClientSettings { clean: true, resubscribe, ..client("b") };
        let mut world = MqttWorld::new(super::mqtt_world::broker(), vec![client("a"), b]);
        world.subscribe(1, "t", AtLeastOnce);
        world.cut_both(1);
        assert_eq!(world.take_log().last(), Some(&expected.into()));
    }
}

#[test]
fn the_quirk_keeps_what_the_broker_has_forgotten() {
    let mut a = ClientSettings { clean: true, ..stream_client("a") };
    a.hop.quirks = Quirk::IgnoreSessionPresent.into();
    let mut world = MqttWorld::new(stream_broker(), vec![a]);
    world.subscribe(0, "u", AtLeastOnce);
    world.lose(&["0 > PUBLISH"]);
    world.publish(0, AtLeastOnce);
    world.take_log();
    world.cut_both(0);
    let log = world.take_log();
    assert_eq!(log[..3], ["0 > CONNECT clean", "0 < CONNACK", "0 > PUBLISH #1 q1 id2 dup"]);
    assert!(!log.contains(&"0 > SUBSCRIBE".into()));
}
