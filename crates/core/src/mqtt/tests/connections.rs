//! When clients and the broker open connections, give them up, and stay without one.

use super::mqtt_world::{MqttWorld, broker, client, stream_broker, stream_client};
use crate::base::QoS::{AtLeastOnce, AtMostOnce, ExactlyOnce};
use crate::base::{ConnectionNumber, Span, Time, Transmission};
use crate::mqtt::broker::Broker;
use crate::mqtt::endpoint::{Endpoint, Input};
use crate::mqtt::packet::{Connect, Packet};
use crate::mqtt::settings::{Backoff, ClientRequest, ClientSettings, ReceiverLimits, Version};

const SECOND: Span = Span::from_secs(1);

fn kept_alive(name: &str) -> ClientSettings {
    ClientSettings { keep_alive: SECOND.times(10), ..stream_client(name) }
}

fn on_demand(name: &str) -> ClientSettings {
    ClientSettings { on_demand: true, ..stream_client(name) }
}

fn single_client(settings: ClientSettings) -> MqttWorld {
    let mut world = MqttWorld::new(stream_broker(), vec![settings]);
    world.take_log();
    world
}

#[test]
fn a_client_gives_up_a_connection_whose_pingresp_takes_as_long_as_keep_alive() {
    let mut world = single_client(kept_alive("a"));
    world.lose(&["0 < PINGRESP"]);
    world.wait(SECOND.times(20) - Span::from_nanos(1));
    assert_eq!(world.take_log(), ["0 > PINGREQ", "0 < PINGRESP LOST"]);
    world.wait(SECOND);
    let log = world.take_log();
    assert_eq!(log[..2], ["close by 0 KeepAlive", "0 > CONNECT"]);
    assert!(log.contains(&"0 < CONNACK present".into()));
}

#[test]
fn an_answered_pingreq_is_no_reason_to_close() {
    let mut world = single_client(kept_alive("a"));
    world.wait(SECOND.times(100));
    assert_eq!(world.take_log(), ["0 > PINGREQ", "0 < PINGRESP"].repeat(10));
}

#[test]
fn the_broker_closes_a_connection_that_is_silent_for_one_and_a_half_times_keep_alive() {
    let mut world = single_client(kept_alive("a"));
    world.wait(SECOND.times(9));
    world.publish(0, AtMostOnce);
    world.take_log();
    world.set_unreachable(true);
    // The last that the broker heard was the PUBLISH, and the client pings in vain.
    world.wait(SECOND.times(15) - Span::from_nanos(1));
    assert_eq!(world.take_log(), ["0 > PINGREQ LOST"]);
    world.wait(Span::from_nanos(1));
    assert_eq!(world.take_log(), ["close 0 KeepAlive"]);
}

#[test]
fn without_keep_alive_no_timeout_is_set() {
    let mut world = single_client(stream_client("a"));
    assert_eq!(world.broker().next_timeout(), Time::NEVER);
    assert_eq!(world.client(0).next_timeout(), Time::NEVER);
    world.set_unreachable(true);
    world.wait(SECOND.times(1_000_000));
    assert!(world.take_log().is_empty());
}

#[test]
fn received_packets_arm_no_keep_alive_timer_of_their_own() {
    let mut broker = Broker::new(stream_broker());
    let connection = ConnectionNumber(0);
    let transmission = Transmission::default();
    let receive = |broker: &mut Broker, secs: u64, packet: Packet| {
        let now = Time::ZERO + SECOND.times(secs);
        broker.handle(now, Input::Packet { connection, packet, transmission });
        while broker.poll_output().is_some() {}
        broker.next_timeout()
    };
    let connect = Connect {
        client_id: "a".into(),
        version: Version::V311,
        clean: false,
        session_expiry: 0,
        keep_alive: 10,
        will: None,
        limits: ReceiverLimits::NONE,
    };
    let first = Time::ZERO + SECOND.times(15);
    assert_eq!(receive(&mut broker, 0, Packet::Connect(Box::new(connect))), first);
    assert_eq!(receive(&mut broker, 14, Packet::PingReq), first);
    broker.handle(first, Input::Timeout);
    assert!(broker.poll_output().is_none());
    assert_eq!(broker.next_timeout(), Time::ZERO + SECOND.times(14 + 15));
    assert!(!broker.backlog().has_armed_timer, "keep alive is nothing to wait for");
}

#[test]
fn a_client_without_a_connack_closes_and_tries_again() {
    let settings = ClientSettings { connect_timeout: Some(SECOND.times(5)), ..stream_client("a") };
    let mut world = MqttWorld::new(stream_broker(), vec![settings]);
    world.lose(&["0 < CONNACK"]);
    world.ask(0, ClientRequest::Reconnect);
    assert!(world.client(0).backlog().has_armed_timer);
    world.take_log();
    world.wait(SECOND.times(5));
    assert_eq!(world.take_log()[..1], ["0 > CONNECT"]);
    assert!(!world.client(0).backlog().has_armed_timer);
}

#[test]
fn a_client_that_cannot_connect_waits_longer_each_time() {
    let settings = ClientSettings {
        connect_timeout: Some(SECOND.times(5)),
        reconnect: Backoff { min: SECOND, max: SECOND.times(4), jitter: true },
        ..stream_client("a")
    };
    let mut world = single_client(settings);
    world.set_unreachable(true);
    world.cut(0);
    assert_eq!(world.take_log(), ["connect 0 after 1"]);
    // The longest pause and the time for connecting: 1 + 5 s, 2 + 5 s, and then 4 + 5 s.
    for (attempt, pause) in [(2, 6), (3, 7), (4, 9), (5, 9)] {
        world.wait(SECOND.times(pause) - Span::from_nanos(1));
        assert!(world.take_log().is_empty());
        world.wait(Span::from_nanos(1));
        assert_eq!(world.take_log(), [format!("connect 0 after {attempt}")]);
    }
}

#[test]
fn a_client_on_demand_connects_once_to_have_its_session() {
    let mut world = MqttWorld::new(stream_broker(), vec![on_demand("a")]);
    assert_eq!(world.take_log(), ["0 > CONNECT", "0 < CONNACK", "0 > DISCONNECT", "close 0"]);
    assert!(!world.client(0).backlog().has_armed_timer);
}

#[test]
fn a_client_on_demand_connects_to_send_and_leaves_when_all_is_acknowledged() {
    for (qos, middle) in [
        (AtMostOnce, &["0 > PUBLISH #1 q0", "complete 0"][..]),
        (AtLeastOnce, &["0 > PUBLISH #1 q1 id1", "0 < PUBACK id1", "complete 0"][..]),
        (ExactlyOnce, &["0 > PUBLISH #1 q2 id1", "0 < PUBREC id1"][..]),
    ] {
        let mut world = single_client(on_demand("a"));
        world.publish(0, qos);
        let log = world.take_log();
        assert_eq!(log[..2], ["0 > CONNECT", "0 < CONNACK present"], "{qos}");
        assert_eq!(log[2..2 + middle.len()], *middle, "{qos}");
        assert!(log.contains(&"complete 0".into()), "{qos}");
        assert_eq!(log[log.len() - 2..], ["0 > DISCONNECT", "close 1"], "{qos}");
    }
}

#[test]
fn a_subscriber_on_demand_fetches_all_that_waits_for_it_when_it_comes() {
    let b = on_demand("b");
    let mut world = MqttWorld::new(stream_broker(), vec![stream_client("a"), b]);
    world.subscribe(1, "t", ExactlyOnce);
    assert_eq!(world.take_log().last(), Some(&"close 2".into()));
    for _ in 0..50 {
        world.publish(0, ExactlyOnce);
    }
    assert_eq!(world.broker().backlog().queued, 50);
    world.take_log();
    world.ask(1, ClientRequest::Reconnect);
    let log = world.take_log();
    assert_eq!(log.iter().filter(|line| line.starts_with("deliver 1")).count(), 50);
    assert_eq!(log.last(), Some(&"close 3".into()));
    let backlog = world.broker().backlog();
    assert_eq!((backlog.queued, backlog.in_flight), (0, 0));
}

#[test]
fn over_datagrams_a_subscriber_on_demand_repeats_its_pingreq_and_goes() {
    for lost in ["0 > PINGREQ", "0 < PINGRESP"] {
        let settings = ClientSettings { on_demand: true, ..client("a") };
        let mut world = MqttWorld::new(broker(), vec![settings]);
        world.lose(&[lost, lost]);
        world.take_log();
        world.subscribe(0, "t", AtLeastOnce);
        world.wait(SECOND.times(2) - Span::from_nanos(1));
        assert!(!world.take_log().contains(&"0 > DISCONNECT".into()), "{lost}");
        world.wait(Span::from_nanos(1));
        let expected = ["0 > PINGREQ", "0 < PINGRESP", "0 > DISCONNECT", "close 1"];
        assert_eq!(world.take_log(), expected, "{lost}");
        assert_eq!(world.client(0).next_timeout(), Time::NEVER);
    }
}

#[test]
fn a_client_on_demand_that_was_told_to_leave_stays_away() {
    let mut world = single_client(on_demand("a"));
    world.ask(0, ClientRequest::Disconnect);
    world.publish(0, AtLeastOnce);
    assert!(world.take_log().is_empty());
    assert_eq!(world.client(0).backlog().queued, 1);
    world.ask(0, ClientRequest::Connect);
    assert!(world.take_log().contains(&"complete 0".into()));
}

#[test]
fn a_client_on_demand_whose_connection_dies_comes_back_only_with_something_to_send() {
    let mut world = single_client(on_demand("a"));
    world.lose(&["0 > PUBLISH"]);
    world.publish(0, AtLeastOnce);
    world.take_log();
    world.cut_both(0);
    let log = world.take_log();
    assert_eq!(log[..3], ["0 > CONNECT", "0 < CONNACK present", "0 > PUBLISH #1 q1 id1 dup"]);
    assert_eq!(log[log.len() - 2..], ["0 > DISCONNECT", "close 2"]);
}
