//! One message on its way, and what is said when a packet is lost.

use super::mqtt_world::{MqttWorld, broker, client, hop};
use crate::base::QoS::{AtLeastOnce, AtMostOnce, ExactlyOnce};
use crate::base::Span;
use crate::mqtt::endpoint::Endpoint;
use crate::mqtt::quirks::Quirk;
use crate::mqtt::settings::{
    ClientSettings, DeliverOn, HopSettings, OnFull, RepeatedPubrec, RetryRule, RetryTimer, Version,
};

const SECOND: Span = Span::from_secs(1);

fn client_with(change: impl FnOnce(&mut HopSettings)) -> ClientSettings {
    let mut hop = hop();
    change(&mut hop);
    ClientSettings { hop, ..client("a") }
}

#[test]
fn qos_0_is_one_packet_a_hop() {
    let mut world = MqttWorld::plain_pair();
    world.publish(0, AtMostOnce);
    let expected = ["0 > PUBLISH #1 q0", "complete 0", "1 < PUBLISH #1 q0", "deliver 1 #1 q0"];
    assert_eq!(world.take_log(), expected);
}

#[test]
fn qos_1_is_two_packets_a_hop() {
    let mut world = MqttWorld::plain_pair();
    world.publish(0, AtLeastOnce);
    let expected = [
        "0 > PUBLISH #1 q1 id1",
        "1 < PUBLISH #1 q1 id1",
        "0 < PUBACK id1",
        "deliver 1 #1 q1",
        "1 > PUBACK id1",
        "complete 0",
    ];
    assert_eq!(world.take_log(), expected);
}

#[test]
fn qos_2_is_four_packets_a_hop_and_the_broker_forwards_on_publish() {
    let mut world = MqttWorld::plain_pair();
    world.publish(0, ExactlyOnce);
    let expected = [
        "0 > PUBLISH #1 q2 id1",
        "1 < PUBLISH #1 q2 id1",
        "0 < PUBREC id1",
        "deliver 1 #1 q2",
        "1 > PUBREC id1",
        "0 > PUBREL id1",
        "1 < PUBREL id1",
        "0 < PUBCOMP id1 0x0",
        "1 > PUBCOMP id1 0x0",
        "complete 0",
    ];
    assert_eq!(world.take_log(), expected);
}

#[test]
fn a_receiver_that_delivers_on_pubrel_delivers_then_and_once() {
    let mut settings = broker();
    settings.hop.deliver_on = DeliverOn::Release;
    let mut world = MqttWorld::pair(settings, client("a"), ExactlyOnce);
    world.lose(&["0 < PUBREC", "0 > PUBREL"]);
    world.publish(0, ExactlyOnce);
    assert!(world.deliveries().is_empty());
    world.wait(SECOND);
    assert!(world.deliveries().is_empty());
    world.wait(SECOND);
    assert_eq!(world.deliveries(), ["1 #1 q2"]);
}

#[test]
fn a_lost_publish_is_sent_again_with_dup_and_the_same_id() {
    for qos in [AtLeastOnce, ExactlyOnce] {
        let mut world = MqttWorld::plain_pair();
        world.lose(&["0 > PUBLISH"]);
        world.publish(0, qos);
        assert_eq!(world.take_log(), [format!("0 > PUBLISH #1 q{qos} id1 LOST")]);
        world.wait(SECOND);
        let log = world.take_log();
        assert_eq!(log[0], format!("0 > PUBLISH #1 q{qos} id1 dup"));
        // The broker's own PUBLISH is a first one: its DUP flag is independent [MQTT-3.3.1-3].
        assert_eq!(log[1], format!("1 < PUBLISH #1 q{qos} id1"));
    }
}

#[test]
fn a_lost_puback_makes_a_duplicate() {
    let mut world = MqttWorld::plain_pair();
    world.lose(&["0 < PUBACK"]);
    world.publish(0, AtLeastOnce);
    world.wait(SECOND);
    assert_eq!(world.deliveries(), ["1 #1 q1", "1 #1 q1"]);
    assert_eq!(world.client(0).backlog().in_flight, 0);
}

#[test]
fn a_lost_pubrec_is_answered_again() {
    let mut world = MqttWorld::plain_pair();
    world.lose(&["0 < PUBREC"]);
    world.publish(0, ExactlyOnce);
    assert_eq!(world.deliveries(), ["1 #1 q2"]);
    world.wait(SECOND);
    let expected = [
        "0 > PUBLISH #1 q2 id1 dup",
        "0 < PUBREC id1",
        "0 > PUBREL id1",
        "0 < PUBCOMP id1 0x0",
        "complete 0",
    ];
    assert_eq!(world.take_log(), expected);
}

#[test]
fn a_lost_pubrel_or_pubcomp_is_followed_by_another_pubrel() {
    for (lost, reason) in [("0 > PUBREL", "0x0"), ("0 < PUBCOMP", "0x92")] {
        let v5 = ClientSettings { version: Version::V5, ..client("a") };
        let mut world = MqttWorld::pair(broker(), v5, ExactlyOnce);
        world.lose(&[lost]);
        world.publish(0, ExactlyOnce);
        world.take_log();
        world.wait(SECOND);
        // The second PUBREL finds the id gone if the first arrived; it is answered all the same.
        let pubcomp = format!("0 < PUBCOMP id1 {reason}");
        assert_eq!(world.take_log(), ["0 > PUBREL id1", &pubcomp, "complete 0"]);
    }
}

#[test]
fn before_5_0_an_unknown_pubrel_is_answered_without_a_reason() {
    let mut world = MqttWorld::plain_pair();
    world.lose(&["0 < PUBCOMP"]);
    world.publish(0, ExactlyOnce);
    world.take_log();
    world.wait(SECOND);
    assert_eq!(world.take_log(), ["0 > PUBREL id1", "0 < PUBCOMP id1 0x0", "complete 0"]);
}

#[test]
fn every_single_loss_on_either_hop_leaves_qos_2_exactly_once() {
    for hop in ["0", "1"] {
        for kind in ["PUBLISH", "PUBREC", "PUBREL", "PUBCOMP"] {
            let from_sender = matches!(kind, "PUBLISH" | "PUBREL") == (hop == "0");
            let start = format!("{hop} {} {kind}", if from_sender { ">" } else { "<" });
            for deliver_on in [DeliverOn::Publish, DeliverOn::Release] {
                let mut settings = broker();
                settings.hop.deliver_on = deliver_on;
                let mut world = MqttWorld::pair(settings, client("a"), ExactlyOnce);
                world.lose(&[start.clone().leak()]);
                world.publish(0, ExactlyOnce);
                world.wait(SECOND.times(3));
                let log = world.take_log();
                assert!(log.iter().any(|line| line.ends_with("LOST")), "{start}: {log:?}");
                let delivered = log.iter().filter(|line| line.starts_with("deliver")).count();
                assert_eq!(delivered, 1, "{start}");
                assert_eq!(world.client(0).backlog().in_flight, 0, "{start}");
                assert_eq!(world.broker().backlog().in_flight, 0, "{start}");
            }
        }
    }
}

#[test]
fn the_timer_waits_its_interval_and_backs_off() {
    let timer = RetryTimer { every: SECOND, backoff: 2.0, max_transmissions: None };
    let mut world = MqttWorld::pair(
        broker(),
        client_with(|hop| hop.retry = RetryRule::Timer(timer)),
        AtLeastOnce,
    );
    world.lose(&["0 > PUBLISH", "0 > PUBLISH", "0 > PUBLISH"]);
    world.publish(0, AtLeastOnce);
    for (wait, resends) in [(999, 0), (1, 1), (1_999, 0), (1, 1), (3_999, 0), (1, 1)] {
        world.take_log();
        world.wait(Span::from_millis(wait));
        let log = world.take_log();
        assert_eq!(log.iter().filter(|line| line.starts_with("0 > PUBLISH")).count(), resends);
    }
}

#[test]
fn a_limited_sender_gives_up_one_interval_after_its_last_transmission() {
    let timer = RetryTimer { every: SECOND, backoff: 1.0, max_transmissions: Some(2) };
    let mut world = MqttWorld::pair(
        broker(),
        client_with(|hop| hop.retry = RetryRule::Timer(timer)),
        ExactlyOnce,
    );
    world.lose(&["0 < PUBREC", "0 < PUBREC"]);
    world.publish(0, ExactlyOnce);
    world.wait(SECOND);
    world.take_log();
    world.wait(Span::from_millis(999));
    assert!(world.take_log().is_empty());
    world.wait(Span::from_millis(1));
    assert_eq!(world.take_log(), ["refuse 0 GaveUp"]);
    assert!(!world.client(0).backlog().has_armed_timer);
}

#[test]
fn the_window_holds_back_what_is_beyond_it_and_lets_it_follow_in_order() {
    let mut world = MqttWorld::pair(broker(), client_with(|hop| hop.max_inflight = 2), AtLeastOnce);
    world.lose(&["0 > PUBLISH", "0 > PUBLISH"]);
    for _ in 0..4 {
        world.publish(0, AtLeastOnce);
    }
    assert_eq!(world.client(0).backlog().in_flight, 2);
    assert_eq!(world.client(0).backlog().queued, 2);
    world.take_log();
    world.wait(SECOND);
    assert_eq!(world.deliveries(), ["1 #1 q1", "1 #2 q1", "1 #3 q1", "1 #4 q1"]);
    assert_eq!(world.client(0).backlog().queued, 0);
}

#[test]
fn a_full_queue_drops_the_newest_or_the_oldest() {
    for (on_full, survivors) in [(OnFull::DropNewest, [1, 2, 3]), (OnFull::DropOldest, [1, 3, 4])] {
        let settings = client_with(|hop| {
            hop.max_inflight = 1;
            hop.max_queued = 2;
            hop.on_full = on_full;
        });
        let mut world = MqttWorld::pair(broker(), settings, AtLeastOnce);
        world.lose(&["0 > PUBLISH"]);
        for _ in 0..4 {
            world.publish(0, AtLeastOnce);
        }
        let log = world.take_log();
        assert_eq!(log.iter().filter(|line| *line == "refuse 0 QueueFull").count(), 1);
        world.wait(SECOND);
        assert_eq!(world.deliveries(), survivors.map(|number| format!("1 #{number} q1")));
    }
}

#[test]
fn a_repeated_pubrec_is_answered_unless_that_is_left_to_the_retry_rule() {
    for (answer, pubrels) in [(RepeatedPubrec::Answer, 2), (RepeatedPubrec::Ignore, 1)] {
        let mut world =
            MqttWorld::pair(broker(), client_with(|hop| hop.repeated_pubrec = answer), ExactlyOnce);
        world.duplicate(&["0 < PUBREC"]);
        world.publish(0, ExactlyOnce);
        let log = world.take_log();
        assert_eq!(log.iter().filter(|line| *line == "0 > PUBREL id1").count(), pubrels);
        assert_eq!(log.iter().filter(|line| *line == "complete 0").count(), 1);
    }
}

#[test]
fn a_pubrec_of_a_finished_exchange_is_answered_so_that_the_receiver_may_forget() {
    for (version, pubcomp) in [(Version::V311, "0x0"), (Version::V5, "0x92")] {
        let settings = ClientSettings { version, ..client("a") };
        let mut world = MqttWorld::pair(broker(), settings, ExactlyOnce);
        world.duplicate(&["0 > PUBLISH"]);
        world.lose(&["0 < PUBREC"]);
        world.publish(0, ExactlyOnce);
        // The second PUBREC came after the first was lost; now one more comes after PUBCOMP.
        world.take_log();
        world.deliver_unknown_pubrec(0);
        let expected = ["0 > PUBREL id1".into(), format!("0 < PUBCOMP id1 {pubcomp}")];
        assert_eq!(world.take_log(), expected);
    }
}

#[test]
fn each_quirk_breaks_the_rule_it_names() {
    let mut no_dup = MqttWorld::pair(
        broker(),
        client_with(|hop| hop.quirks = Quirk::DupNeverSet.into()),
        AtLeastOnce,
    );
    no_dup.lose(&["0 > PUBLISH"]);
    no_dup.publish(0, AtLeastOnce);
    no_dup.wait(SECOND);
    assert!(no_dup.take_log().contains(&"0 > PUBLISH #1 q1 id1".into()));

    let mut settings = broker();
    settings.hop.quirks = Quirk::NoDedupe.into();
    let mut no_dedupe = MqttWorld::pair(settings.clone(), client("a"), ExactlyOnce);
    no_dedupe.lose(&["0 < PUBREC"]);
    no_dedupe.publish(0, ExactlyOnce);
    no_dedupe.wait(SECOND);
    assert_eq!(no_dedupe.deliveries(), ["1 #1 q2", "1 #1 q2"]);
}
