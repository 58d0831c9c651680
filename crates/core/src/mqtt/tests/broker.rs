//! Subscriptions and retained messages.

use super::mqtt_world::{MqttWorld, broker, client};
use crate::base::QoS;
use crate::base::QoS::{AtLeastOnce, AtMostOnce, ExactlyOnce};
use crate::mqtt::packet::Payload;
use crate::mqtt::quirks::Quirk;
use crate::mqtt::settings::ClientRequest;

#[test]
fn the_received_qos_is_the_lower_of_published_and_granted() {
    for published in QoS::ALL {
        for granted in QoS::ALL {
            let mut world = MqttWorld::pair(broker(), client("a"), granted);
            world.publish(0, published);
            let received = published.min(granted);
            assert_eq!(world.deliveries(), [format!("1 #1 q{received}")]);
        }
    }
}

#[test]
fn the_broker_grants_no_more_than_its_maximum() {
    let mut settings = broker();
    settings.max_qos = AtLeastOnce;
    let mut world = MqttWorld::new(settings, vec![client("a")]);
    world.take_log();
    world.subscribe(0, "t", ExactlyOnce);
    assert_eq!(world.take_log(), ["0 > SUBSCRIBE", "0 < SUBACK [1]"]);
}

#[test]
fn the_quirk_forwards_above_the_granted_qos() {
    let mut settings = broker();
    settings.hop.quirks = Quirk::NoQosCap.into();
    let mut world = MqttWorld::pair(settings, client("a"), AtMostOnce);
    world.publish(0, ExactlyOnce);
    assert_eq!(world.deliveries(), ["1 #1 q2"]);
}

#[test]
fn overlapping_subscriptions_get_one_copy_at_the_highest_qos() {
    let mut world = MqttWorld::plain_pair();
    world.subscribe(1, "#", AtMostOnce);
    world.subscribe(1, "+", AtLeastOnce);
    world.take_log();
    world.publish(0, ExactlyOnce);
    assert_eq!(world.deliveries(), ["1 #1 q2"]);
}

#[test]
fn subscribing_again_replaces_the_granted_qos() {
    let mut world = MqttWorld::plain_pair();
    world.subscribe(1, "t", AtMostOnce);
    world.take_log();
    world.publish(0, ExactlyOnce);
    assert_eq!(world.deliveries(), ["1 #1 q0"]);
}

#[test]
fn an_invalid_filter_is_refused_and_not_asked_for_again() {
    let mut world = MqttWorld::plain_pair();
    world.subscribe(1, "t/#/u", AtLeastOnce);
    assert_eq!(world.take_log(), ["1 > SUBSCRIBE", "1 < SUBACK [128]"]);
    world.ask(1, ClientRequest::Reconnect);
    assert!(!world.take_log().contains(&"1 > SUBSCRIBE".into()));
}

#[test]
fn nothing_is_forwarded_after_unsubscribing() {
    let mut world = MqttWorld::plain_pair();
    world.ask(1, ClientRequest::Unsubscribe(vec!["t".into()]));
    assert_eq!(world.take_log(), ["1 > UNSUBSCRIBE", "1 < UNSUBACK"]);
    world.publish(0, AtLeastOnce);
    assert!(world.deliveries().is_empty());
}

#[test]
fn every_subscribe_is_answered_by_the_retained_message() {
    let mut world = MqttWorld::new(broker(), vec![client("a"), client("b")]);
    world.publish_to(0, "t", Payload::Filler(7), ExactlyOnce, true);
    world.take_log();
    world.subscribe(1, "+", AtLeastOnce);
    assert_eq!(world.deliveries(), ["1 #7 q1 retained"]);
    world.subscribe(1, "+", AtLeastOnce);
    assert_eq!(world.deliveries(), ["1 #7 q1 retained"]);
    // A live copy of a retained message has RETAIN=0 [MQTT-3.3.1-9].
    world.publish_to(0, "t", Payload::Filler(8), AtMostOnce, true);
    assert_eq!(world.deliveries(), ["1 #8 q0"]);
}

#[test]
fn an_empty_payload_removes_the_retained_message() {
    let mut world = MqttWorld::new(broker(), vec![client("a"), client("b")]);
    world.publish_to(0, "t", Payload::Filler(7), AtLeastOnce, true);
    world.publish_to(0, "t", Payload::Filler(0), AtLeastOnce, true);
    world.take_log();
    world.subscribe(1, "t", AtLeastOnce);
    assert!(world.deliveries().is_empty());
}
