//! Tests of brokers' grants, forwarding and refusals: options of subscriptions, groups, limits.

use super::mqtt_world::{MqttWorld, stream_broker, stream_client, will};
use crate::base::QoS::{self, AtLeastOnce, AtMostOnce, ExactlyOnce};
use crate::base::{RetainHandling, SubscriptionOptions, SubscriptionRequest};
use crate::mqtt::endpoint::Endpoint;
use crate::mqtt::packet::Payload;
use crate::mqtt::quirks::Quirk;
use crate::mqtt::settings::{
    BrokerSettings, ClientRequest, ClientSettings, DeliverOn, OnFull, OverlappingFilters,
    ReceiverLimits, Version,
};

fn v5(name: &str) -> ClientSettings {
    ClientSettings { version: Version::V5, ..stream_client(name) }
}

fn pair_of(version: Version, settings: BrokerSettings) -> MqttWorld {
    let clients = ["a", "b"].map(|name| ClientSettings { version, ..stream_client(name) });
    let mut world = MqttWorld::new(settings, clients.into());
    world.take_log();
    world
}

fn subscribe(
    world: &mut MqttWorld,
    client: usize,
    filter: &str,
    qos: QoS,
    options: SubscriptionOptions,
) {
    let request = SubscriptionRequest { options, ..SubscriptionRequest::new(filter.into(), qos) };
    world.ask(client, ClientRequest::Subscribe(vec![request]));
}

fn has_line(log: &[String], line: &str) -> bool {
    log.iter().any(|other| other == line)
}

#[test]
fn no_local_keeps_a_clients_own_messages_away() {
    let mut world = pair_of(Version::V5, stream_broker());
    let no_local = SubscriptionOptions { no_local: true, ..SubscriptionOptions::default() };
    subscribe(&mut world, 0, "t", ExactlyOnce, no_local);
    world.publish(0, AtLeastOnce);
    assert!(world.deliveries().is_empty());
    world.publish(1, AtLeastOnce);
    assert_eq!(world.deliveries(), ["0 #2 q1"]);
    // Another filter lets its own through, at what it was granted.
    subscribe(&mut world, 0, "+", AtMostOnce, SubscriptionOptions::default());
    world.publish(0, AtLeastOnce);
    world.publish(1, AtLeastOnce);
    assert_eq!(world.deliveries(), ["0 #3 q0", "0 #4 q1"]);
}

#[test]
fn retain_as_published_keeps_the_flag() {
    let mut world = pair_of(Version::V5, stream_broker());
    let kept = SubscriptionOptions { retain_as_published: true, ..SubscriptionOptions::default() };
    subscribe(&mut world, 1, "t", AtLeastOnce, kept);
    world.take_log();
    for (retain, expected) in [(true, "1 #7 q1 retained"), (false, "1 #7 q1")] {
        world.publish_to(0, "t", Payload::Filler(7), AtLeastOnce, retain);
        assert_eq!(world.deliveries(), [expected]);
    }
}

#[test]
fn retain_handling_says_when_retained_messages_come() {
    for (retain_handling, first, again) in [
        (RetainHandling::Send, 1, 1),
        (RetainHandling::SendIfNew, 1, 0),
        (RetainHandling::DoNotSend, 0, 0),
    ] {
        let mut world = pair_of(Version::V5, stream_broker());
        world.publish_to(0, "t", Payload::Filler(7), AtLeastOnce, true);
        let options = SubscriptionOptions { retain_handling, ..SubscriptionOptions::default() };
        for expected in [first, again] {
            world.take_log();
            subscribe(&mut world, 1, "t", AtLeastOnce, options);
            assert_eq!(world.deliveries().len(), expected, "{retain_handling:?}");
        }
    }
}

#[test]
fn one_copy_names_all_the_subscriptions_it_is_for() {
    let mut world = pair_of(Version::V5, stream_broker());
    for (filter, identifier) in [("t", 3), ("+", 5), ("#", 0)] {
        let options = SubscriptionOptions { identifier, ..SubscriptionOptions::default() };
        subscribe(&mut world, 1, filter, AtLeastOnce, options);
    }
    world.take_log();
    world.publish(0, AtLeastOnce);
    let mut ids = world.subscription_ids().to_vec();
    ids.sort_unstable();
    assert_eq!(ids, [3, 5]);
    assert_eq!(world.deliveries(), ["1 #1 q1"]);
}

#[test]
fn the_quirk_takes_the_lowest_qos_of_overlapping_filters() {
    let mut settings = stream_broker();
    settings.hop.quirks = Quirk::OverlapMinQos.into();
    let mut world = pair_of(Version::V311, settings);
    world.subscribe(1, "t", ExactlyOnce);
    world.subscribe(1, "+", AtLeastOnce);
    world.take_log();
    world.publish(0, ExactlyOnce);
    assert_eq!(world.deliveries(), ["1 #1 q1"]);
}

fn group_of(names: &[&str]) -> MqttWorld {
    let clients = names.iter().map(|name| v5(name)).collect();
    let mut world = MqttWorld::new(stream_broker(), clients);
    for member in 1..names.len() {
        world.subscribe(member, "$share/g/t", AtLeastOnce);
    }
    world.take_log();
    world
}

#[test]
fn a_group_takes_turns() {
    let mut world = group_of(&["a", "b", "c", "d"]);
    for _ in 0..4 {
        world.publish(0, AtLeastOnce);
    }
    assert_eq!(world.deliveries(), ["1 #1 q1", "2 #2 q1", "3 #3 q1", "1 #4 q1"]);
    world.ask(2, ClientRequest::Unsubscribe(vec!["$share/g/t".into()]));
    for _ in 0..2 {
        world.publish(0, AtLeastOnce);
    }
    assert_eq!(world.deliveries(), ["3 #5 q1", "1 #6 q1"]);
}

#[test]
fn a_groups_messages_go_to_a_connected_member_or_wait_for_one() {
    let mut world = group_of(&["a", "b", "c"]);
    world.ask(1, ClientRequest::Disconnect);
    for _ in 0..2 {
        world.publish(0, AtLeastOnce);
    }
    assert_eq!(world.deliveries(), ["2 #1 q1", "2 #2 q1"]);
    world.ask(2, ClientRequest::Disconnect);
    world.publish(0, AtLeastOnce);
    assert_eq!(world.broker().backlog().queued, 1);
    world.take_log();
    world.ask(1, ClientRequest::Connect);
    world.ask(2, ClientRequest::Connect);
    assert_eq!(world.deliveries().len(), 1);
}

#[test]
fn what_a_member_leaves_unacknowledged_goes_to_another_but_qos_2_that_was_sent() {
    let clean = |name: &str| ClientSettings { clean: true, ..v5(name) };
    for (qos, redispatched) in [(AtLeastOnce, true), (ExactlyOnce, false)] {
        let mut world = MqttWorld::new(stream_broker(), vec![v5("a"), clean("b"), clean("c")]);
        for member in [1, 2] {
            world.subscribe(member, "$share/g/t", qos);
        }
        world.take_log();
        world.lose(&["1 < PUBLISH"]);
        world.publish(0, qos);
        assert!(world.deliveries().is_empty());
        world.cut_both(1);
        let log = world.take_log();
        let deliveries: Vec<_> = log.iter().filter(|line| line.starts_with("deliver")).collect();
        if redispatched {
            assert_eq!(deliveries, ["deliver 2 #1 q1"], "{log:?}");
        } else {
            assert!(deliveries.is_empty(), "{log:?}");
            assert!(log.iter().any(|line| line.contains("SessionEnded")), "{log:?}");
        }
        assert_eq!(world.broker().backlog().in_flight, 0);
    }
}

#[test]
fn what_waits_for_a_member_whose_session_ends_goes_to_another_behind_its_own() {
    let mut world = group_of(&["a", "b", "c"]);
    world.ask(1, ClientRequest::Disconnect);
    world.ask(2, ClientRequest::Disconnect);
    for _ in 0..4 {
        world.publish(0, AtLeastOnce);
    }
    assert_eq!(world.broker().backlog().queued, 4);
    world.take_log();
    let clean = ClientSettings { clean: true, ..v5("b") };
    world.replace_client(1, clean);
    world.ask(1, ClientRequest::Connect);
    world.ask(2, ClientRequest::Connect);
    let deliveries = world.deliveries();
    assert_eq!(deliveries, ["2 #2 q1", "2 #4 q1", "2 #1 q1", "2 #3 q1"]);
}

#[test]
fn a_new_group_member_gets_no_retained_messages() {
    let mut world = group_of(&["a", "b"]);
    world.publish_to(0, "u", Payload::Filler(7), AtLeastOnce, true);
    world.subscribe(1, "$share/g/u", AtLeastOnce);
    assert!(world.deliveries().is_empty());
}

#[test]
fn what_nobody_may_publish_is_refused_in_5_0_and_dropped_before() {
    let settings = || BrokerSettings { denied_filters: vec!["t/#".into()], ..stream_broker() };
    for qos in QoS::ALL {
        let mut world = pair_of(Version::V5, settings());
        world.subscribe(1, "#", ExactlyOnce);
        world.take_log();
        world.publish(0, qos);
        let log = world.take_log();
        assert_eq!(has_line(&log, "refuse 0 Rejected"), qos > AtMostOnce, "{log:?}");
        assert!(!log.iter().any(|line| line.contains("deliver") || line.contains("PUBREL")));
    }
    for deliver_on in [DeliverOn::Publish, DeliverOn::Release] {
        let mut settings = settings();
        settings.hop.deliver_on = deliver_on;
        let mut world = pair_of(Version::V311, settings);
        world.subscribe(1, "#", ExactlyOnce);
        world.take_log();
        world.publish(0, ExactlyOnce);
        let log = world.take_log();
        assert!(has_line(&log, "complete 0"), "{log:?}");
        assert!(!log.iter().any(|line| line.contains("deliver")), "{log:?}");
    }
}

fn rejecting_broker(quirk: Option<Quirk>) -> BrokerSettings {
    let mut settings = stream_broker();
    settings.hop.max_queued = 1;
    settings.hop.on_full = OnFull::Reject;
    if let Some(quirk) = quirk {
        settings.hop.quirks = quirk.into();
    }
    settings
}

/// `b` is away, and one message waits for it.
fn with_a_full_queue(version: Version, settings: BrokerSettings) -> MqttWorld {
    let mut world = pair_of(version, settings);
    world.subscribe(1, "t", ExactlyOnce);
    world.ask(1, ClientRequest::Disconnect);
    world.publish(0, AtLeastOnce);
    world.take_log();
    world
}

#[test]
fn a_broker_refuses_in_5_0_what_a_full_queue_has_no_room_for() {
    for qos in [AtLeastOnce, ExactlyOnce] {
        let mut world = with_a_full_queue(Version::V5, rejecting_broker(None));
        world.publish(0, qos);
        assert!(has_line(&world.take_log(), "refuse 0 Rejected"));
        assert_eq!(world.broker().backlog().queued, 1);
        world.ask(1, ClientRequest::Connect);
        assert_eq!(world.deliveries(), ["1 #1 q1"]);
    }
}

#[test]
fn before_5_0_it_closes_the_connection_and_the_message_comes_again() {
    let mut world = with_a_full_queue(Version::V311, rejecting_broker(None));
    world.publish(0, ExactlyOnce);
    assert_eq!(world.take_log(), ["0 > PUBLISH #2 q2 id2", "close 0"]);
    world.ask(1, ClientRequest::Connect);
    assert_eq!(world.deliveries(), ["1 #1 q1"]);
    world.cut(0);
    assert_eq!(world.deliveries(), ["1 #2 q2"]);
}

/// `b` is away, and `a` has a QoS 2 message for it whose PUBREL is lost.
fn with_an_unreleased_message(version: Version) -> MqttWorld {
    let mut settings = rejecting_broker(None);
    settings.hop.deliver_on = DeliverOn::Release;
    let mut world = pair_of(version, settings);
    world.subscribe(1, "t", ExactlyOnce);
    world.ask(1, ClientRequest::Disconnect);
    world.lose(&["0 > PUBREL"]);
    world.publish(0, ExactlyOnce);
    world.take_log();
    world
}

#[test]
fn what_is_acknowledged_by_pubrec_has_its_place_in_the_queue() {
    for qos in [AtLeastOnce, ExactlyOnce] {
        let mut world = with_an_unreleased_message(Version::V5);
        world.publish(0, qos);
        assert!(has_line(&world.take_log(), "refuse 0 Rejected"));
        world.ask(0, ClientRequest::Reconnect);
        assert!(has_line(&world.take_log(), "complete 0"));
        world.ask(1, ClientRequest::Connect);
        assert_eq!(world.deliveries(), ["1 #1 q2"]);
    }
}

#[test]
fn what_is_acknowledged_by_pubrec_is_not_refused_when_it_comes_again() {
    for version in [Version::V311, Version::V5] {
        let mut settings = rejecting_broker(None);
        settings.hop.deliver_on = DeliverOn::Release;
        let mut world = pair_of(version, settings);
        world.subscribe(1, "t", ExactlyOnce);
        world.ask(1, ClientRequest::Disconnect);
        world.lose(&["0 < PUBREC"]);
        world.publish(0, ExactlyOnce);
        world.ask(0, ClientRequest::Reconnect);
        assert!(has_line(&world.take_log(), "complete 0"), "{version:?}");
        world.ask(1, ClientRequest::Connect);
        assert_eq!(world.deliveries(), ["1 #1 q2"]);
    }
}

#[test]
fn what_is_acknowledged_by_pubrec_is_queued_though_a_will_has_taken_its_place() {
    let mut settings = rejecting_broker(None);
    settings.hop.deliver_on = DeliverOn::Release;
    let c = ClientSettings { will: Some(will(0)), ..v5("c") };
    let mut world = MqttWorld::new(settings, vec![v5("a"), v5("b"), c]);
    world.subscribe(1, "t", ExactlyOnce);
    world.ask(1, ClientRequest::Disconnect);
    world.lose(&["0 > PUBREL"]);
    world.publish(0, ExactlyOnce);
    world.cut_both(2);
    world.ask(0, ClientRequest::Reconnect);
    assert_eq!(world.broker().backlog().queued, 2);
    world.take_log();
    world.ask(1, ClientRequest::Connect);
    assert_eq!(world.deliveries(), ["1 #99 q1", "1 #1 q2"]);
}

#[test]
fn a_session_that_a_message_reaches_twice_needs_two_places() {
    for (max_queued, refused, queued) in [(1, true, 0), (2, false, 2)] {
        let mut settings = rejecting_broker(None);
        settings.hop.max_queued = max_queued;
        let mut world = pair_of(Version::V5, settings);
        for filter in ["t", "$share/g/t"] {
            world.subscribe(1, filter, AtLeastOnce);
        }
        world.ask(1, ClientRequest::Disconnect);
        world.take_log();
        world.publish(0, AtLeastOnce);
        let log = world.take_log();
        assert_eq!(has_line(&log, "refuse 0 Rejected"), refused, "{log:?}");
        assert!(!has_line(&log, "drop b QueueFull"), "{log:?}");
        assert_eq!(world.broker().backlog().queued, queued);
    }
}

#[test]
fn what_is_acknowledged_by_pubrec_has_a_place_for_each_filter_that_gets_a_copy() {
    for (overlapping, refused) in
        [(OverlappingFilters::Once, false), (OverlappingFilters::Each, true)]
    {
        let mut settings = BrokerSettings { overlapping, ..rejecting_broker(None) };
        settings.hop.deliver_on = DeliverOn::Release;
        settings.hop.max_queued = 3;
        let mut world = pair_of(Version::V5, settings);
        for filter in ["t", "#"] {
            world.subscribe(1, filter, ExactlyOnce);
        }
        world.ask(1, ClientRequest::Disconnect);
        world.lose(&["0 > PUBREL"]);
        world.publish(0, ExactlyOnce);
        world.take_log();
        world.publish(0, ExactlyOnce);
        let log = world.take_log();
        assert_eq!(has_line(&log, "refuse 0 Rejected"), refused, "{overlapping:?}: {log:?}");
    }
}

#[test]
fn the_quirk_acknowledges_what_it_drops() {
    let quirk = Some(Quirk::AckThenDropOnFull);
    let mut world = with_a_full_queue(Version::V5, rejecting_broker(quirk));
    world.publish(0, AtLeastOnce);
    let log = world.take_log();
    assert!(has_line(&log, "complete 0") && has_line(&log, "drop b QueueFull"), "{log:?}");
}

#[test]
fn each_side_keeps_to_the_others_receive_maximum() {
    let limits = ReceiverLimits { receive_maximum: 2, ..ReceiverLimits::NONE };
    for (version, expected) in [(Version::V5, 2), (Version::V311, 5)] {
        let a = ClientSettings { version, ..stream_client("a") };
        let b = ClientSettings { version, limits, ..stream_client("b") };
        let settings = BrokerSettings { limits, ..stream_broker() };
        let mut world = MqttWorld::new(settings, vec![a, b]);
        world.subscribe(1, "t", AtLeastOnce);
        world.lose(&["0 < PUBACK"; 5]);
        for _ in 0..5 {
            world.publish(0, AtLeastOnce);
        }
        assert_eq!(world.client(0).backlog().in_flight, expected, "{version:?}");
        let mut world = MqttWorld::new(
            stream_broker(),
            vec![
                ClientSettings { version, ..stream_client("a") },
                ClientSettings { version, limits, ..stream_client("b") },
            ],
        );
        world.subscribe(1, "t", AtLeastOnce);
        world.lose(&["1 > PUBACK"; 5]);
        for _ in 0..5 {
            world.publish(0, AtLeastOnce);
        }
        assert_eq!(world.broker().backlog().in_flight, expected, "{version:?}");
    }
}
