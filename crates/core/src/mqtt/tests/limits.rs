//! What 5.0 lets a receiver set, and how long a message is worth sending.

use super::hop_world::{HopWorld, SECOND};
use crate::base::QoS::{self, AtLeastOnce, AtMostOnce, ExactlyOnce};
use crate::mqtt::settings::{
    HopSettings, IdPolicy, OnFull, ReceiverLimits, RetryRule, RetryTimer, Version,
};

/// Connected to a receiver with such limits.
fn with_receiver_limits(limits: ReceiverLimits) -> HopWorld {
    let mut hop = HopWorld::plain(Version::V5);
    hop.limits = limits;
    hop.reconnect();
    hop
}

fn receive_maximum(receive_maximum: u16) -> ReceiverLimits {
    ReceiverLimits { receive_maximum, ..ReceiverLimits::NONE }
}

#[test]
fn the_window_is_the_smaller_of_the_senders_and_the_receivers() {
    for (own, peers, window) in [(2, 3, 2), (3, 2, 2)] {
        let mut hop = with_receiver_limits(receive_maximum(peers));
        hop.sender_settings.max_inflight = own;
        hop.lose(&["> PUBLISH"; 4]);
        for _ in 0..4 {
            hop.publish(AtLeastOnce);
        }
        assert_eq!(hop.backlog(), (window, 4 - window));
    }
}

#[test]
fn a_qos_2_message_has_its_place_in_the_window_until_pubcomp() {
    let mut hop = with_receiver_limits(receive_maximum(1));
    hop.lose(&["< PUBCOMP"]);
    hop.publish(ExactlyOnce);
    hop.publish(ExactlyOnce);
    assert_eq!(hop.take_lines("> PUBLISH"), ["#1 q2 id1"]);
    hop.reconnect();
    assert_eq!(hop.take_lines("> PUBLISH"), ["#2 q2 id2"]);
}

#[test]
fn qos_0_does_not_wait_for_a_place_in_the_window() {
    let mut hop = with_receiver_limits(receive_maximum(1));
    hop.lose(&["> PUBLISH"]);
    hop.publish(AtLeastOnce);
    hop.publish(AtMostOnce);
    assert_eq!(hop.deliveries(), ["#2 q0"]);
}

#[test]
fn a_peer_that_takes_less_than_before_gets_what_is_in_flight_bit_by_bit_and_in_order() {
    let mut hop = HopWorld::plain(Version::V5);
    for (qos, lost) in [
        (AtLeastOnce, "> PUBLISH"),
        (ExactlyOnce, "> PUBREL"),
        (AtLeastOnce, "> PUBLISH"),
        (ExactlyOnce, "> PUBLISH"),
    ] {
        hop.lose(&[lost]);
        hop.publish(qos);
    }
    hop.lose(&["< PUBACK", "< PUBCOMP"]);
    hop.limits = receive_maximum(1);
    hop.take_log();
    hop.reconnect();
    // The first PUBLISH has the only place; PUBREL needs none.
    let sent = hop.take_lines("> PUB");
    assert_eq!(sent, ["LISH #1 q1 id1 dup", "REL id2"]);
    hop.publish(AtLeastOnce);
    assert!(hop.take_lines("> ").is_empty(), "what was sent before comes first");
    hop.reconnect();
    assert_eq!(hop.deliveries(), ["#1 q1", "#3 q1", "#4 q2", "#5 q1"]);
    assert_eq!(hop.backlog(), (0, 0));
}

#[test]
fn limits_end_with_their_connection() {
    let mut hop = with_receiver_limits(receive_maximum(1));
    hop.lose(&["> PUBLISH"]);
    hop.publish(AtLeastOnce);
    hop.publish(AtLeastOnce);
    assert_eq!(hop.backlog(), (1, 1));
    hop.limits = ReceiverLimits::NONE;
    hop.lose(&["> PUBLISH", "> PUBLISH"]);
    hop.reconnect();
    assert_eq!(hop.backlog(), (2, 0));
}

#[test]
fn a_message_above_the_maximum_packet_size_is_let_go_of_unsent() {
    // With the topic `t`: 3 bytes, an id where there is one, no properties, 1 byte of payload.
    for (qos, len) in [(AtMostOnce, 7), (AtLeastOnce, 9), (ExactlyOnce, 9)] {
        for (limit, fits) in [(len, true), (len - 1, false)] {
            let mut hop = with_receiver_limits(ReceiverLimits {
                max_packet_size: limit,
                ..ReceiverLimits::NONE
            });
            hop.publish(qos);
            let log = hop.take_log();
            assert_eq!(log[0].starts_with("> PUBLISH"), fits, "{qos} {limit}: {log:?}");
            assert_eq!(log == ["refuse #1 TooLarge"], !fits, "{log:?}");
            assert_eq!(hop.backlog(), (0, 0));
        }
    }
}

#[test]
fn a_place_in_the_window_is_kept_when_the_connection_is_only_confirmed() {
    let mut hop = with_receiver_limits(receive_maximum(1));
    hop.lose(&["< PUBCOMP", "< PUBCOMP"]);
    hop.publish(ExactlyOnce);
    hop.publish(ExactlyOnce);
    hop.take_log();
    hop.resume();
    assert_eq!(hop.take_log(), ["> PUBREL id1", "< PUBCOMP id1 0x92 LOST"]);
    hop.resume();
    assert_eq!(hop.take_lines("> PUBLISH"), ["#2 q2 id2"], "PUBCOMP came");
}

#[test]
fn what_is_sent_again_on_the_same_connection_takes_no_second_place() {
    let mut hop = with_receiver_limits(receive_maximum(2));
    hop.lose(&["< PUBACK"; 4]);
    hop.publish(AtLeastOnce);
    hop.resume();
    hop.resume();
    hop.take_log();
    hop.publish(AtLeastOnce);
    assert_eq!(hop.take_lines("> PUBLISH"), ["#2 q1 id2"]);
}

#[test]
fn what_is_too_large_does_not_hold_up_what_is_not() {
    let mut hop =
        with_receiver_limits(ReceiverLimits { max_packet_size: 10, ..receive_maximum(1) });
    hop.lose(&["> PUBLISH"]);
    for _ in 0..2 {
        hop.publish(AtLeastOnce);
    }
    hop.publish_with(AtLeastOnce, |outgoing| outgoing.subscription_ids = Box::new([7; 9]));
    hop.publish(AtLeastOnce);
    hop.take_log();
    hop.limits.max_packet_size = 12;
    hop.reconnect();
    let log = hop.take_log();
    let ends: Vec<_> = log.iter().filter(|line| !line.starts_with(['>', '<'])).collect();
    let expected = [
        "deliver #1 q1",
        "complete #1",
        "deliver #2 q1",
        "complete #2",
        "refuse #3 TooLarge",
        "deliver #4 q1",
        "complete #4",
    ];
    assert_eq!(ends, expected);
}

#[test]
fn what_is_in_flight_is_given_up_when_the_next_connection_takes_less() {
    let mut hop = HopWorld::plain(Version::V5);
    hop.lose(&["> PUBLISH"]);
    hop.publish(AtLeastOnce);
    hop.take_log();
    hop.limits.max_packet_size = 8;
    hop.reconnect();
    assert_eq!(hop.take_log(), ["refuse #1 TooLarge"]);
    assert_eq!(hop.backlog(), (0, 0));
}

#[test]
fn a_refused_message_is_finished_and_its_id_free() {
    for (qos, kind) in [(AtLeastOnce, "PUBACK"), (ExactlyOnce, "PUBREC")] {
        let mut hop = HopWorld::plain(Version::V5);
        hop.refuse_reason = Some(0x87);
        hop.publish(qos);
        let expected = [
            format!("> PUBLISH #1 q{qos} id1"),
            format!("< {kind} id1 0x87"),
            "refuse #1 Rejected".into(),
        ];
        assert_eq!(hop.take_log(), expected);
        hop.refuse_reason = None;
        hop.reconnect();
        assert!(hop.take_log().is_empty(), "[MQTT-4.4.0-2]: never again");
    }
}

#[test]
fn after_a_refusing_pubrec_the_id_is_that_of_a_new_message() {
    let sending = HopSettings { ids: IdPolicy::LowestFree, ..HopSettings::default() };
    let mut hop = HopWorld::new(Version::V5, sending, HopSettings::default());
    hop.refuse_reason = Some(0x97);
    hop.publish(ExactlyOnce);
    hop.refuse_reason = None;
    hop.take_log();
    hop.publish(ExactlyOnce);
    assert_eq!(hop.take_log()[..2], ["> PUBLISH #2 q2 id1", "deliver #2 q2"]);
}

#[test]
fn what_was_taken_is_not_refused_when_it_comes_again() {
    let mut hop = HopWorld::plain(Version::V5);
    hop.lose(&["< PUBREC"]);
    hop.publish(ExactlyOnce);
    hop.take_log();
    hop.refuse_reason = Some(0x97);
    hop.reconnect();
    assert_eq!(hop.take_log()[1], "< PUBREC id1");
}

#[test]
fn a_publish_says_how_many_seconds_the_message_has_left() {
    let mut hop = HopWorld::plain(Version::V5);
    hop.publish_expiring(AtMostOnce, 10);
    assert_eq!(hop.take_lines("> PUBLISH"), ["#1 q0 10s"]);
    hop.disconnect();
    hop.publish_expiring(AtLeastOnce, 10);
    hop.wait(3);
    hop.connect();
    assert_eq!(hop.take_lines("> PUBLISH"), ["#2 q1 id1 7s"]);
    // Before 5.0 there is no word for it.
    let mut hop = HopWorld::plain(Version::V311);
    hop.publish_expiring(AtMostOnce, 10);
    assert_eq!(hop.take_lines("> PUBLISH"), ["#1 q0"]);
}

#[test]
fn what_has_expired_before_it_was_sent_is_never_sent() {
    for (pause, sent) in [(1, true), (2, false)] {
        let mut hop = HopWorld::plain(Version::V5);
        hop.disconnect();
        hop.publish_expiring(AtLeastOnce, 2);
        hop.wait(pause);
        hop.connect();
        let log = hop.take_log();
        assert_eq!(log[0] == "> PUBLISH #1 q1 id1 1s", sent, "{log:?}");
        assert_eq!(log == ["refuse #1 Expired"], !sent, "{log:?}");
        assert_eq!(hop.backlog(), (0, 0));
    }
}

#[test]
fn what_was_sent_once_never_expires() {
    for (qos, lost) in
        [(AtLeastOnce, "> PUBLISH"), (ExactlyOnce, "> PUBLISH"), (ExactlyOnce, "> PUBREL")]
    {
        let mut hop = HopWorld::plain(Version::V5);
        hop.lose(&[lost]);
        hop.publish_expiring(qos, 2);
        hop.wait(100);
        hop.reconnect();
        let log = hop.take_log();
        let count = |start| log.iter().filter(|line| line.starts_with(start)).count();
        assert_eq!((count("deliver"), count("complete")), (1, 1), "{log:?}");
        if lost == "> PUBLISH" {
            assert!(log.iter().any(|line| line.ends_with("dup 1s")), "at least 1: {log:?}");
        }
    }
}

#[test]
fn expired_messages_make_room_in_a_full_queue() {
    for on_full in [OnFull::DropNewest, OnFull::DropOldest] {
        let mut hop = HopWorld::plain(Version::V5);
        hop.sender_settings.max_queued = 2;
        hop.sender_settings.on_full = on_full;
        hop.disconnect();
        hop.publish_expiring(AtLeastOnce, 2);
        hop.publish_expiring(AtLeastOnce, 9);
        hop.wait(2);
        hop.publish(AtLeastOnce);
        assert_eq!(hop.take_log(), ["refuse #1 Expired"]);
        hop.connect();
        assert_eq!(hop.deliveries(), ["#2 q1", "#3 q1"]);
    }
}

#[test]
fn a_connection_clears_expired_messages_that_the_window_would_keep_waiting() {
    let mut hop = HopWorld::plain(Version::V5);
    hop.sender_settings.max_inflight = 1;
    hop.lose(&["> PUBLISH", "> PUBLISH"]);
    hop.publish(AtLeastOnce);
    hop.publish_expiring(AtLeastOnce, 2);
    hop.wait(3);
    assert_eq!(hop.backlog(), (1, 1));
    hop.reconnect();
    assert_eq!(hop.backlog(), (1, 0));
    assert_eq!(hop.take_lines("refuse"), ["#2 Expired"]);
}

#[test]
fn subscription_identifiers_are_passed_on_in_5_0() {
    let sent_ids = |version| {
        let mut hop = HopWorld::plain(version);
        let ids = || Box::new([7, 300]);
        hop.publish_with(AtLeastOnce, |outgoing| outgoing.subscription_ids = ids());
        hop.take_lines("> PUBLISH")
    };
    assert_eq!(sent_ids(Version::V5), ["#1 q1 id1 sub7 sub300"]);
    assert_eq!(sent_ids(Version::V311), ["#1 q1 id1"]);
}

/// Publishes to a topic of its own.
fn publish_to(hop: &mut HopWorld, topic: &str, qos: QoS) {
    hop.publish_with(qos, |outgoing| outgoing.message.topic = topic.into());
}

#[test]
fn a_topic_alias_is_set_once_and_then_used() {
    let mut hop =
        with_receiver_limits(ReceiverLimits { topic_alias_maximum: 2, ..ReceiverLimits::NONE });
    for topic in ["a", "b", "c", "a", "b", "c"] {
        publish_to(&mut hop, topic, AtMostOnce);
    }
    let expected = ["#1 q0 set1", "#2 q0 set2", "#3 q0", "#4 q0 use1", "#5 q0 use2", "#6 q0"];
    assert_eq!(hop.take_lines("> PUBLISH"), expected);
}

#[test]
fn topic_aliases_end_with_their_connection() {
    let mut hop =
        with_receiver_limits(ReceiverLimits { topic_alias_maximum: 1, ..ReceiverLimits::NONE });
    hop.lose(&["< PUBACK", "< PUBACK"]);
    hop.publish(AtLeastOnce);
    hop.publish(AtLeastOnce);
    hop.take_log();
    hop.reconnect();
    assert_eq!(hop.take_lines("> PUBLISH"), ["#1 q1 id1 dup set1", "#2 q1 id2 dup use1"]);
}

#[test]
fn no_topic_alias_is_used_where_packets_get_lost() {
    let timer = RetryTimer { every: SECOND, backoff: 1.0, max_transmissions: None };
    let sending = HopSettings { retry: RetryRule::Timer(timer), ..HopSettings::default() };
    let mut hop = HopWorld::new(Version::V5, sending, HopSettings::default());
    hop.limits.topic_alias_maximum = 9;
    hop.reconnect();
    hop.publish(AtLeastOnce);
    assert_eq!(hop.take_lines("> PUBLISH"), ["#1 q1 id1"]);
    assert!(!hop.is_armed());
}

#[test]
fn a_topic_alias_never_makes_a_packet_too_large() {
    let mut hop = with_receiver_limits(ReceiverLimits {
        topic_alias_maximum: 9,
        max_packet_size: 9,
        receive_maximum: u16::MAX,
    });
    hop.publish(AtLeastOnce);
    assert_eq!(hop.take_lines("> PUBLISH"), ["#1 q1 id1"]);
}
