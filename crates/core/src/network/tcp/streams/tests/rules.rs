//! Rules of a connection, each by an example. A round trip is 100 ms, so that the timeout is 300 ms
//! and a probe goes after 300 ms for a lone segment, and after 200 ms for several.

use super::*;
use crate::network::link::publisher_key;
use crate::network::recorded_fates::SendAttempt;

const PATIENT: TcpSettings = TcpSettings { mss: 1_000, headers: 40, ..TCP };

fn world() -> World {
    World::new(1, &line(50, 0.0, None, None), PATIENT)
}

#[test]
fn without_loss_items_arrive_after_the_delay_and_nothing_is_sent_again() {
    let mut world = world();
    for n in 0..100 {
        world.advance_to_millis(10 * n);
        world.send(100);
        assert_eq!(world.streams.last_sent(), world.now);
    }
    world.finish();
    assert_eq!(world.arrival_millis(), (0..100).map(|n| 50 + 10 * n).collect::<Vec<_>>());
    assert_eq!((world.up().segments, world.up().retransmissions), (100, 0));
    assert_eq!(world.streams.next_wake(), Time::NEVER);
}

#[test]
fn a_lone_segment_that_is_lost_is_probed_and_then_sent_at_doubling_timeouts() {
    let mut world = world();
    world.link.set_down(true);
    world.send(100);
    world.advance_to_millis(2_000);
    world.link.set_down(false);
    world.finish();
    assert_eq!(world.resent, [300, 600, 1_200, 2_400]);
    assert_eq!(world.up().retransmitted_bytes, 4 * 140);
    // The timeout is short again.
    world.advance_to_millis(10_000);
    world.send_lost(100);
    world.finish();
    assert_eq!(world.arrival_millis(), [2_450, 10_350]);
}

#[test]
fn a_later_arrival_shows_a_loss_after_a_quarter_of_a_round_trip_more() {
    let mut world = world();
    world.send_lost(100);
    world.advance_to_millis(20);
    world.send(100);
    world.finish();
    assert_eq!(world.resent, [125]);
    assert_eq!(world.arrival_millis(), [175; 2], "the other waits for it");
}

#[test]
fn three_later_arrivals_show_a_loss_at_once() {
    let mut world = world();
    world.send_lost(100);
    for n in 1..4 {
        world.advance_to_millis(n);
        world.send(100);
    }
    world.finish();
    // The third of them was sent at 3 ms; its acknowledgement is back at 103 ms.
    assert_eq!(world.resent, [103]);
    assert_eq!(world.arrival_millis(), [153; 4]);
}

#[test]
fn a_burst_that_is_lost_whole_is_found_out_by_a_probe() {
    let mut world = world();
    (0..5).for_each(|_| world.send_lost(100));
    world.finish();
    // The last goes again after two round trips; its acknowledgement shows that all others are
    // lost, a round trip later.
    assert_eq!(world.resent[..2], [200, 300]);
    assert_eq!(world.arrived.len(), 5);
    assert!(*world.arrival_millis().last().unwrap() < 800, "{:?}", world.arrival_millis());
}

#[test]
fn a_segment_that_is_only_late_costs_no_window() {
    // A kilobyte and its headers take 2.08 s at 4 kbit/s: the timers expire for nothing.
    let slow = line(50, 0.0, Some(4_000), None);
    let mut world = World::new(1, &slow, PATIENT);
    (0..3).for_each(|_| world.send(1_000));
    world.finish();
    assert_eq!(world.arrival_millis()[0], 2_130);
    let late = *world.arrival_millis().last().unwrap();
    // The timestamp of the first acknowledgement tells that nothing was lost.
    assert!(world.up().retransmissions < 6 && late < 15_000, "{:?}", world.activity);
}

#[test]
fn an_item_arrives_with_its_last_segment() {
    // 1,000 bytes and 40 of headers at 832 kbit/s: 10 ms a segment.
    let mut world = World::new(1, &line(50, 0.0, Some(832_000), None), PATIENT);
    world.send(3_000);
    world.send(1);
    world.finish();
    assert_eq!(world.arrival_millis(), [80, 80]);
    assert_eq!(world.up().segments, 4);
}

#[test]
fn what_waits_for_the_window_leaves_in_full_segments() {
    let mut world = world();
    (0..100).for_each(|_| world.send(100));
    assert_eq!(world.up().segments, 10);
    world.finish();
    assert_eq!(world.up().segments, 19);
    let mut expected = vec![50; 10];
    expected.extend([150; 90]);
    assert_eq!(world.arrival_millis(), expected);
}

#[test]
fn nagle_holds_a_small_segment_while_another_is_under_way_but_not_the_end() {
    let mut world = World::new(1, &line(50, 0.0, None, None), NAGLE);
    (0..10).for_each(|_| world.send(10));
    assert_eq!(world.up().segments, 1);
    world.finish();
    assert_eq!(world.up().segments, 2);
    assert_eq!(world.arrival_millis()[..2], [50, 150]);
    world.advance_to_millis(1_000);
    world.send(10);
    world.send(10);
    world.send(0);
    assert_eq!(world.up().segments, 4, "with the end goes what is before it");
}

#[test]
fn every_second_full_segment_is_acknowledged_and_small_ones_at_once() {
    let acks = |bytes: u32| {
        let mut world = world();
        for n in 0..100 {
            world.advance_to_millis(10 * n);
            world.send(bytes);
        }
        world.finish();
        world.activity[Direction::Down].acknowledgements
    };
    assert_eq!(acks(1_000), 50);
    assert_eq!(acks(100), 100);
}

#[test]
fn an_answer_takes_the_acknowledgement_along() {
    let mut world = world();
    for n in 0..100 {
        world.advance_to_millis(200 * n);
        world.write(Direction::Up, 100);
        world.advance_to_millis(200 * n + 50);
        world.write(Direction::Down, 100);
    }
    world.finish();
    // The first went alone: only from then on is it known that there are answers.
    assert_eq!(world.activity[Direction::Down].acknowledgements, 1);
}

#[test]
fn acknowledgements_meet_the_link() {
    let mut world = world();
    world.link.set_partitioned(Direction::Down, true);
    world.send(100);
    world.advance_to_millis(5_000);
    assert_eq!(world.arrival_millis(), [50]);
    assert_eq!(world.resent, [300, 600, 1_200, 2_400, 4_800], "each is lost");
    world.link.set_partitioned(Direction::Down, false);
    world.finish();
    assert_eq!(world.arrived.len(), 1);
}

#[test]
fn segments_and_retransmissions_draw_independent_fates() {
    let mut link = link(1, &line(50, 0.5, None, None), PATIENT);
    let mut is_lost = |offset, attempt| {
        let sending = SendAttempt { packet: name(0), offset, attempt };
        matches!(link.segment_fate(Time::ZERO, None, sending, 100), Fate::Lost(_))
    };
    let segments = (0..64).map(|segment| is_lost(1_000 * segment, 0)).collect::<Vec<_>>();
    let attempts = (0..64).map(|attempt| is_lost(0, attempt)).collect::<Vec<_>>();
    assert_ne!(segments, attempts);
    for hits in [segments, attempts] {
        assert!((16..48).contains(&hits.iter().filter(|hit| **hit).count()), "{hits:?}");
    }
}

fn name(nth: u32) -> PacketName {
    let subject = PacketSubject::Control { nth };
    let (direction, kind) = (Direction::Up, PacketKind::Publish);
    PacketName { client: ClientIndex(0), direction, kind, subject }
}

#[test]
fn a_first_segment_has_the_fate_of_its_datagram() {
    let mut jittery = line(50, 0.3, None, None);
    jittery.jitter = Span::from_millis(20);
    let [mut stream, mut datagrams] = [(); 2].map(|()| link(1, &jittery, PATIENT));
    let key = Some(publisher_key(DrawKey::new(1), "meter"));
    for nth in 0..1_000 {
        let now = millis(u64::from(nth) * 100);
        let segment = stream.segment_fate(now, key, SendAttempt::first(name(nth)), 100);
        assert_eq!(segment, datagrams.fate(now, key, &name(nth), 100));
    }
}

#[test]
fn a_segment_is_named_by_the_packet_that_its_first_byte_is_of() {
    // What waits for the window is cut anew, in the middle of packets.
    let mut world = world();
    (0..10).for_each(|_| world.send(100));
    (0..3).for_each(|_| world.send(700));
    let first = world.names - 3;
    let before = world.start;
    world.advance_to(before + Span::from_millis(99));
    let stream = &world.streams.streams[0];
    let written = stream.sender.written();
    let of = |start| {
        let (sending, _) = stream.sending(start, 0);
        (sending.packet, sending.offset)
    };
    assert_eq!(of(written - 2_100), (name(first), 0));
    assert_eq!(of(written - 1_100), (name(first + 1), 300));
    assert_eq!(of(written - 100), (name(first + 2), 600));
}

#[test]
fn a_silently_dead_connection_is_given_up_at_the_user_timeout() {
    let mut world = world();
    world.tcp.user_timeout = Span::from_secs(100);
    world.send(100);
    world.advance_to_millis(60);
    world.send(100);
    world.streams.die_silently(world.now, &PATIENT);
    world.advance_to_millis(1_000);
    world.send(100);
    world.advance_to_millis(99_999);
    assert_eq!(world.arrival_millis(), [50]);
    assert!(!world.up().gave_up && world.resent.len() > 5);
    world.finish();
    assert!(world.up().gave_up);
    assert_eq!(world.streams.abandon(Direction::Up).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(world.streams.next_wake(), Time::NEVER);
}

#[test]
fn a_sender_that_gives_up_while_something_is_written_says_so_when_it_is_woken() {
    let mut world = world();
    world.tcp.user_timeout = Span::from_secs(100);
    world.streams.die_silently(world.now, &PATIENT);
    world.send(100);
    world.advance_to_millis(99_999);
    world.now = world.start + Span::from_secs(100);
    world.send(100);
    assert!(!world.up().gave_up && world.streams.next_wake() <= world.now);
    world.advance_to(world.now);
    assert!(world.up().gave_up);
}

#[test]
fn what_the_broker_sends_on_a_dead_connection_does_not_reach_the_line() {
    let slow = line(50, 0.0, Some(8_000), None);
    let mut world = World::new(1, &slow, PATIENT);
    world.streams.die_silently(world.now, &PATIENT);
    world.write(Direction::Down, 1_000);
    world.write(Direction::Up, 1_000);
    let arrival = |world: &mut World, direction| match world.link.ack_fate(
        world.now,
        ClientIndex(0),
        direction,
        40,
    ) {
        Fate::Arrives(arrival) => arrival.at.since(world.now).as_nanos() / 1_000_000,
        fate => panic!("{fate:?}"),
    };
    assert_eq!(arrival(&mut world, Direction::Down), 40 + 50);
    assert_eq!(arrival(&mut world, Direction::Up), 1_040 + 40 + 50);
}

#[test]
fn the_silent_death_of_an_idle_connection_goes_unnoticed() {
    let mut world = world();
    world.send(100);
    world.advance_to_millis(1_000);
    world.streams.die_silently(world.now, &PATIENT);
    world.finish();
    assert!(!world.up().gave_up && world.resent.is_empty());
}

#[test]
fn a_reader_that_does_not_read_stops_its_sender() {
    let receive_buffer = SocketBuffer::Bytes(8_000);
    let tcp = with_sockets(PATIENT, SocketSettings { receive_buffer, ..SocketSettings::LINUX });
    let mut world = World::new(1, &line(40, 0.0, None, None), tcp);
    world.reads = false;
    (0..50).for_each(|_| world.send(1_000));
    world.advance_to_millis(30_000);
    assert!(world.up().segments <= 9, "{:?}", world.activity);
    assert!(world.up().acknowledgements > 3, "it asks whether there is room");
    world.reads = true;
    world.read();
    world.finish();
    assert_eq!(world.arrived.len(), 50);
}
