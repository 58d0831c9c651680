//! What becomes of messages while the connection's socket has no room.

use super::hop_world::HopWorld;
use crate::base::{QoS, Span};
use crate::mqtt::settings::{HopSettings, OnFull, RetryRule, RetryTimer, Version, WhenSocketFull};

const QOS0: QoS = QoS::AtMostOnce;
const QOS1: QoS = QoS::AtLeastOnce;

fn world(when_socket_full: WhenSocketFull, change: impl FnOnce(&mut HopSettings)) -> HopWorld {
    let mut sending =
        HopSettings { when_socket_full, max_queued: 2, max_inflight: 2, ..HopSettings::default() };
    change(&mut sending);
    let mut world = HopWorld::new(Version::V311, sending, HopSettings::default());
    world.connect();
    world.socket_full();
    world
}

#[test]
fn qos_0_waits_in_the_queue_and_then_goes_one_at_a_time() {
    let mut world = world(WhenSocketFull::Queue, |_| {});
    (0..3).for_each(|_| world.publish(QOS0));
    assert_eq!(world.take_log(), ["refuse #3 QueueFull"]);
    assert_eq!(world.backlog(), (0, 2));
    world.writable();
    assert_eq!(world.deliveries(), ["#1 q0"]);
    // It still waits for the word that there is more room.
    world.publish(QOS0);
    assert_eq!(world.take_log(), Vec::<String>::new());
    world.writable();
    world.writable();
    assert_eq!(world.deliveries(), ["#2 q0", "#4 q0"]);
    world.publish(QOS0);
    assert_eq!(world.deliveries(), ["#5 q0"]);
}

#[test]
fn a_full_queue_drops_its_oldest_where_that_is_set() {
    let mut world = world(WhenSocketFull::Queue, |hop| hop.on_full = OnFull::DropOldest);
    (0..3).for_each(|_| world.publish(QOS0));
    assert_eq!(world.take_log(), ["refuse #1 QueueFull"]);
}

#[test]
fn qos_0_is_dropped_where_that_is_set_and_qos_1_keeps_to_its_window() {
    let mut world = world(WhenSocketFull::Drop, |_| {});
    world.publish(QOS0);
    assert_eq!(world.take_log(), ["refuse #1 SocketFull"]);
    world.publish(QOS1);
    assert_eq!(world.deliveries(), ["#2 q1"]);
}

#[test]
fn an_application_that_waits_loses_nothing_whatever_the_qos() {
    let mut world = world(WhenSocketFull::Wait, |_| {});
    for qos in [QOS0, QOS1, QOS0, QOS1, QOS1] {
        world.publish(qos);
    }
    assert_eq!((world.backlog(), world.take_log()), ((0, 5), vec![]));
    for _ in 0..6 {
        world.writable();
    }
    assert_eq!(world.deliveries(), ["#1 q0", "#2 q1", "#3 q0", "#4 q1", "#5 q1"]);
    assert_eq!(world.backlog(), (0, 0));
}

#[test]
fn what_waited_for_the_socket_goes_with_the_connection_unless_it_may_wait_for_the_next() {
    let mut world = world(WhenSocketFull::Queue, |_| {});
    world.publish(QOS0);
    world.disconnect();
    world.connect();
    assert_eq!(world.take_log(), ["refuse #1 SocketFull"]);

    let mut world = self::world(WhenSocketFull::Queue, |hop| hop.queue_qos0 = true);
    world.publish(QOS0);
    world.disconnect();
    world.connect();
    assert_eq!(world.deliveries(), ["#1 q0"]);
}

#[test]
fn no_qos_0_message_overtakes_one_that_waits_behind_a_full_window() {
    let mut world = world(WhenSocketFull::Queue, |hop| hop.max_queued = 10);
    world.lose(&["< PUBACK", "< PUBACK"]);
    (0..3).for_each(|_| world.publish(QOS1));
    world.publish(QOS0);
    assert_eq!(world.deliveries(), ["#1 q1", "#2 q1"]);
    world.writable();
    world.publish(QOS0);
    assert_eq!((world.backlog(), world.deliveries()), ((2, 3), vec![]));
    world.reconnect();
    let lines = world.take_log();
    assert!(lines.starts_with(&["refuse #4 SocketFull".into(), "refuse #5 SocketFull".into()]));
}

#[test]
fn a_retry_timer_sends_no_copy_behind_the_one_that_waits_to_be_written() {
    let every = Span::from_secs(1);
    let timer = RetryTimer { every, backoff: 1.0, max_transmissions: Some(3) };
    let mut world = world(WhenSocketFull::Queue, |hop| hop.retry = RetryRule::Timer(timer));
    world.lose(&["> PUBLISH"]);
    world.publish(QOS1);
    world.wait(5);
    assert_eq!(world.take_log(), ["> PUBLISH #1 q1 id1 LOST"]);
    world.writable();
    world.wait(1);
    assert_eq!(world.deliveries(), ["#1 q1"]);
}

#[test]
fn a_new_connection_has_room() {
    let mut world = world(WhenSocketFull::Drop, |_| {});
    world.reconnect();
    world.publish(QOS0);
    assert_eq!(world.deliveries(), ["#1 q0"]);
}
