//! Connections that come and go, and what a session keeps over them.

use super::mqtt_world::{MqttWorld, broker, client, hop};
use crate::base::QoS::{AtLeastOnce, AtMostOnce, ExactlyOnce};
use crate::base::Span;
use crate::mqtt::endpoint::Endpoint;
use crate::mqtt::settings::{ClientRequest, ClientSettings, HopSettings, RetryRule, Version};

const SECOND: Span = Span::from_secs(1);

fn on_reconnect() -> HopSettings {
    HopSettings { retry: RetryRule::Reconnect, ..hop() }
}

#[test]
fn a_lost_connect_connack_subscribe_or_suback_is_asked_for_again() {
    for lost in ["0 > CONNECT", "0 < CONNACK", "0 > SUBSCRIBE", "0 < SUBACK"] {
        let mut world = MqttWorld::new(broker(), vec![]);
        assert!(world.take_log().is_empty());
        world = MqttWorld::new(broker(), vec![client("a")]);
        world.ask(0, ClientRequest::Disconnect);
        world.take_log();
        world.lose(&[lost]);
        world.ask(0, ClientRequest::Connect);
        world.subscribe(0, "t", AtLeastOnce);
        world.wait(SECOND);
        let log = world.take_log();
        assert!(log.iter().any(|line| line.ends_with("LOST")), "{lost}");
        assert!(log.contains(&"0 < SUBACK [1]".into()), "{lost}: {log:?}");
        assert!(!world.client(0).backlog().has_armed_timer, "{lost}");
    }
}

#[test]
fn an_unsubscribe_waits_until_the_subscribe_before_it_is_answered() {
    let mut world = MqttWorld::new(broker(), vec![client("a")]);
    world.lose(&["0 < SUBACK"]);
    world.subscribe(0, "t", AtLeastOnce);
    world.take_log();
    world.ask(0, ClientRequest::Unsubscribe(vec!["t".into()]));
    assert!(world.take_log().is_empty(), "else the repeated SUBSCRIBE would undo it");
    world.wait(SECOND);
    let expected = ["0 > SUBSCRIBE", "0 < SUBACK [1]", "0 > UNSUBSCRIBE", "0 < UNSUBACK"];
    assert_eq!(world.take_log(), expected);
}

#[test]
fn requests_share_the_packet_ids_and_messages_wait_for_the_last() {
    let mut settings = client("a");
    settings.hop.max_inflight = u16::MAX;
    let mut world = MqttWorld::new(broker(), vec![settings]);
    world.lose(&["0 > SUBSCRIBE"]);
    world.subscribe(0, "t", AtLeastOnce);
    world.lose(&vec!["0 > PUBLISH"; 65_536]);
    for _ in 0..65_536 {
        world.publish(0, AtLeastOnce);
    }
    assert_eq!(world.client(0).backlog().in_flight, 65_534);
    assert_eq!(world.client(0).backlog().queued, 2);
    world.wait(SECOND.times(3));
    assert_eq!(world.client(0).backlog().in_flight, 0);
    assert_eq!(world.client(0).backlog().queued, 0);
}

#[test]
fn only_mqtt_3_1_marks_a_repeated_subscribe() {
    for (version, again) in [(Version::V31, "SUBSCRIBE dup"), (Version::V311, "SUBSCRIBE")] {
        let settings = ClientSettings { version, ..client("a") };
        let mut world = MqttWorld::new(broker(), vec![settings]);
        world.lose(&["0 > SUBSCRIBE"]);
        world.subscribe(0, "t", AtLeastOnce);
        world.take_log();
        world.wait(SECOND);
        assert_eq!(world.take_log(), [format!("0 > {again}"), "0 < SUBACK [1]".into()]);
    }
}

#[test]
fn the_reconnect_rule_resends_on_reconnect_and_at_no_other_time() {
    let settings = ClientSettings { hop: on_reconnect(), ..client("a") };
    let mut world = MqttWorld::pair(broker(), settings, ExactlyOnce);
    world.lose(&["0 > PUBLISH", "0 > PUBREL"]);
    world.publish(0, AtLeastOnce);
    world.publish(0, ExactlyOnce);
    world.publish(0, AtLeastOnce);
    world.wait(SECOND.times(100));
    world.take_log();
    world.ask(0, ClientRequest::Reconnect);
    let log = world.take_log();
    let from_a: Vec<_> = log.iter().filter(|line| line.starts_with("0 >")).collect();
    // In the original order, with the original ids; what was released is not published again.
    assert_eq!(from_a, ["0 > CONNECT", "0 > PUBLISH #1 q1 id1 dup", "0 > PUBREL id2"]);
    assert_eq!(world.client(0).backlog().in_flight, 0);
}

#[test]
fn the_broker_resends_to_a_subscriber_that_comes_back() {
    let mut settings = broker();
    settings.hop = on_reconnect();
    let mut world = MqttWorld::pair(settings, client("a"), ExactlyOnce);
    world.lose(&["1 < PUBLISH", "1 > PUBACK", "1 > PUBREC"]);
    world.publish(0, AtLeastOnce);
    world.publish(0, AtLeastOnce);
    world.publish(0, ExactlyOnce);
    world.take_log();
    world.cut(1);
    let log = world.take_log();
    let to_b: Vec<_> = log.iter().filter(|line| line.starts_with("1 <")).collect();
    assert_eq!(
        to_b,
        [
            "1 < CONNACK present",
            "1 < PUBLISH #1 q1 id1 dup",
            "1 < PUBLISH #2 q1 id2 dup",
            "1 < PUBLISH #3 q2 id3 dup",
            "1 < PUBREL id3",
        ]
    );
    // #2 was delivered before, and again: QoS 1. #3 was delivered before, and not again: QoS 2.
    let delivered: Vec<_> = log.iter().filter(|line| line.starts_with("deliver")).collect();
    assert_eq!(delivered, ["deliver 1 #1 q1", "deliver 1 #2 q1"]);
}

#[test]
fn a_persistent_session_keeps_what_comes_while_its_client_is_away() {
    let mut world = MqttWorld::plain_pair();
    world.ask(1, ClientRequest::Disconnect);
    for qos in [AtMostOnce, AtLeastOnce, ExactlyOnce] {
        world.publish(0, qos);
    }
    assert_eq!(world.broker().backlog().queued, 2);
    assert!(world.take_log().contains(&"drop b Offline".into()));
    world.ask(1, ClientRequest::Connect);
    assert_eq!(world.deliveries(), ["1 #2 q1", "1 #3 q2"]);
    assert_eq!(world.broker().backlog().queued, 0);
}

#[test]
fn qos_0_waits_too_where_the_queue_takes_it() {
    let mut settings = broker();
    settings.hop.queue_qos0 = true;
    let mut world = MqttWorld::pair(settings, client("a"), ExactlyOnce);
    world.ask(1, ClientRequest::Disconnect);
    world.publish(0, AtMostOnce);
    world.take_log();
    world.ask(1, ClientRequest::Connect);
    assert_eq!(world.deliveries(), ["1 #1 q0"]);
}

#[test]
fn a_clean_session_is_gone_with_its_connection() {
    let b = ClientSettings { clean: true, ..client("b") };
    let mut world = MqttWorld::new(broker(), vec![client("a"), b]);
    world.subscribe(1, "t", AtLeastOnce);
    world.ask(1, ClientRequest::Disconnect);
    world.publish(0, AtLeastOnce);
    world.take_log();
    world.ask(1, ClientRequest::Connect);
    // The client asks for its subscription again; what was published meanwhile is lost.
    let log = world.take_log();
    assert_eq!(log, ["1 > CONNECT clean", "1 < CONNACK", "1 > SUBSCRIBE", "1 < SUBACK [1]"]);
    world.publish(0, AtLeastOnce);
    assert_eq!(world.deliveries(), ["1 #2 q1"]);
}

#[test]
fn a_5_0_session_lives_by_its_expiry_and_not_by_clean_start() {
    let b = ClientSettings { version: Version::V5, ..client("b") };
    let mut world = MqttWorld::new(broker(), vec![client("a"), b]);
    world.subscribe(1, "t", AtLeastOnce);
    world.ask(1, ClientRequest::Disconnect);
    world.publish(0, AtLeastOnce);
    world.take_log();
    world.ask(1, ClientRequest::Connect);
    assert_eq!(world.deliveries(), ["1 #1 q1"]);
}

#[test]
fn a_3_1_client_trusts_that_its_session_is_still_there() {
    let a = ClientSettings { version: Version::V31, ..client("a") };
    let mut world = MqttWorld::pair(broker(), a, AtLeastOnce);
    world.lose(&["0 > PUBLISH"]);
    world.publish(0, AtLeastOnce);
    world.take_log();
    world.cut(0);
    let log = world.take_log();
    let expected = ["0 > CONNECT", "close 0", "0 < CONNACK", "0 > PUBLISH #1 q1 id1 dup"];
    assert_eq!(log[..4], expected);
}

#[test]
fn a_client_whose_session_is_lost_gives_up_what_was_in_flight() {
    let a = ClientSettings { clean: true, ..client("a") };
    let mut world = MqttWorld::pair(broker(), a, AtLeastOnce);
    world.lose(&["0 > PUBLISH"]);
    world.publish(0, AtLeastOnce);
    world.take_log();
    world.cut(0);
    let log = world.take_log();
    let expected = ["0 > CONNECT clean", "close 0", "0 < CONNACK", "refuse 0 SessionEnded"];
    assert_eq!(log, expected);
}

#[test]
fn a_second_connection_takes_the_first_one_over() {
    let mut world = MqttWorld::plain_pair();
    world.cut(1);
    // The broker learns of the cut only by the new CONNECT: connection 1 was b's first.
    let log = world.take_log();
    assert_eq!(log, ["1 > CONNECT", "close 1", "1 < CONNACK present"]);
    world.publish(0, AtLeastOnce);
    assert_eq!(world.deliveries(), ["1 #1 q1"]);
}

#[test]
fn a_second_connect_on_a_reliable_connection_closes_it() {
    let mut settings = broker();
    settings.datagram = false;
    let mut world = MqttWorld::new(settings, vec![client("a")]);
    world.take_log();
    world.ask(0, ClientRequest::Disconnect);
    world.lose(&["0 < CONNACK"]);
    world.ask(0, ClientRequest::Connect);
    world.take_log();
    world.wait(SECOND);
    assert_eq!(world.take_log()[..2], ["0 > CONNECT", "close 1"]);
}

#[test]
fn an_idle_client_pings_and_a_busy_one_does_not() {
    let a = ClientSettings { keep_alive: SECOND.times(10), ..client("a") };
    let mut world = MqttWorld::pair(broker(), a, AtLeastOnce);
    world.wait(SECOND.times(9));
    world.publish(0, AtMostOnce);
    world.take_log();
    world.wait(SECOND.times(9));
    assert!(world.take_log().is_empty());
    world.wait(SECOND);
    assert_eq!(world.take_log(), ["0 > PINGREQ", "0 < PINGRESP"]);
    assert!(!world.client(0).backlog().has_armed_timer, "keep alive is nothing to wait for");
}
