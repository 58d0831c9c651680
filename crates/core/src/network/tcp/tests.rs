//! Rules of a pipe, each by an example.

mod properties;

use std::sync::Arc;

use super::*;
use crate::base::{ClientIndex, Hop, PacketKind, PacketSubject, PublisherIndex, Transmission};
use crate::network::link::{LinkKeys, publisher_key};
use crate::network::settings::{DirectionSettings, LinkSettings, LossModel, Transport};
use crate::network::test_support::chance;

const TCP: TcpSettings = TcpSettings {
    headers: 40,
    mss: 1_000,
    tls: None,
    rto_min: Span::from_millis(200),
    user_timeout: Span::from_secs(100),
    nat_idle: None,
};
const DELAY: Span = Span::from_millis(50);

fn publish(sequence: u32) -> PacketName {
    let subject = PacketSubject::Message {
        publisher: PublisherIndex(0),
        sequence,
        hop: Hop::First,
        copy: 0,
        transmission: Transmission::default(),
    };
    PacketName {
        client: ClientIndex(0),
        direction: Direction::Up,
        kind: PacketKind::Publish,
        subject,
    }
}

const fn millis(millis: u64) -> Time {
    Time::from_nanos(millis * 1_000_000)
}

fn delay_only() -> DirectionSettings {
    DirectionSettings::delay_only(DELAY)
}

fn lossy(loss: f64) -> DirectionSettings {
    DirectionSettings { loss: LossModel::Random(chance(loss)), ..delay_only() }
}

/// One pipe upwards on its link, whose items are their sequence numbers.
struct TcpWorld {
    link: LinkState,
    tcp: TcpSettings,
    pipe: TcpDirection<u32>,
    now: Time,
    /// What arrived, and when.
    arrived: Vec<(u32, Time)>,
    /// When the sender sent something again, and how many bytes.
    retransmissions: Vec<(Time, u32)>,
    gave_up: Option<Time>,
    sent: u32,
    /// How often the pipe is woken without need.
    needless_wake_interval: Option<Span>,
}

impl TcpWorld {
    /// The way back takes 50 ms. A round trip of 100 ms has been measured often, so that the
    /// timeout is its minimum.
    fn new(seed: u64, up: DirectionSettings, tcp: TcpSettings) -> Self {
        let down = DirectionSettings::delay_only(DELAY);
        let transport = Transport::Tcp(tcp);
        let settings = LinkSettings { transport, up, down, outage: None };
        let mut link =
            LinkState::new(Arc::new(settings), LinkKeys::new(DrawKey::new(seed), "meter"));
        link.start_bursts_and_outages(Time::ZERO);
        let mut pipe = TcpDirection::new();
        (0..50).for_each(|_| pipe.record_round_trip(Span::from_millis(100)));
        Self {
            link,
            tcp,
            pipe,
            now: Time::ZERO,
            arrived: Vec::new(),
            retransmissions: Vec::new(),
            gave_up: None,
            sent: 0,
            needless_wake_interval: None,
        }
    }

    fn send(&mut self, bytes: u32) {
        let ride = TcpContext { link: &mut self.link, tcp: &self.tcp, direction: Direction::Up };
        let publisher_key = Some(publisher_key(DrawKey::new(1), "meter"));
        self.pipe.send(self.now, ride, self.sent, &publish(self.sent), publisher_key, bytes);
        self.sent += 1;
    }

    /// Sends while the link is down.
    fn send_lost(&mut self, bytes: u32) {
        self.link.set_down(true);
        self.send(bytes);
        self.link.set_down(false);
    }

    /// Lets time pass until then, with all that happens up to and at that time.
    fn advance_to(&mut self, until: Time) {
        loop {
            let polled = self.needless_wake_interval.map_or(Time::NEVER, |poll| self.now + poll);
            let next = self.pipe.next_wake().max(self.now).min(polled);
            if next > until {
                break;
            }
            self.now = next;
            self.wake();
            assert!(self.pipe.next_wake() > next, "a wake has done all there is to do");
        }
        self.now = until;
    }

    fn wake(&mut self) {
        let ride = TcpContext { link: &mut self.link, tcp: &self.tcp, direction: Direction::Up };
        let woke = self.pipe.wake(self.now, ride);
        if woke.retransmitted > 0 {
            self.retransmissions.push((self.now, woke.retransmitted));
        }
        if woke.gave_up {
            assert_eq!(self.gave_up.replace(self.now), None, "it is said once");
        }
        while let Some(item) = self.pipe.pop_arrived(self.now) {
            self.arrived.push((item, self.now));
        }
    }

    /// Lets time pass until nothing is left to do.
    fn finish(&mut self) {
        while self.pipe.next_wake() < Time::NEVER {
            self.advance_to(self.now.max(self.pipe.next_wake()));
        }
    }

    fn arrival_millis(&self) -> Vec<u64> {
        self.arrived.iter().map(|(_, at)| at.as_nanos() / 1_000_000).collect()
    }
}

#[test]
fn without_loss_items_arrive_after_the_delay_and_nothing_else_happens() {
    let mut world = TcpWorld::new(1, delay_only(), TCP);
    for _ in 0..100 {
        world.send(100);
        assert_eq!(world.pipe.last_sent(), world.now);
        world.advance_to(world.now + Span::from_millis(10));
    }
    world.finish();
    let expected = (0..100).map(|n| (n, millis(50 + 10 * u64::from(n)))).collect::<Vec<_>>();
    assert_eq!(world.arrived, expected);
    assert!(world.retransmissions.is_empty() && world.pipe.is_idle());
    assert_eq!(world.pipe.next_wake(), Time::NEVER);
}

#[test]
fn a_lost_item_comes_after_the_timeout_and_holds_up_those_behind_it() {
    let mut world = TcpWorld::new(1, delay_only(), TCP);
    world.send_lost(100);
    world.advance_to(millis(20));
    world.send(100);
    assert!(!world.pipe.is_idle());
    world.finish();
    // 200 ms of timeout and 50 ms of delay; the other, there since 70 ms, waits for it.
    assert_eq!(world.arrived, [(0, millis(250)), (1, millis(250))]);
    assert_eq!(world.retransmissions, [(millis(200), 140)]);
    assert_eq!(world.pipe.last_sent(), millis(200));
}

#[test]
fn the_timeout_doubles_through_an_outage_and_is_short_again_after_it() {
    let mut world = TcpWorld::new(1, delay_only(), TCP);
    world.link.set_down(true);
    world.send(100);
    world.advance_to(millis(2_000));
    world.link.set_down(false);
    world.finish();
    let again =
        world.retransmissions.iter().map(|(at, _)| at.as_nanos() / 1_000_000).collect::<Vec<_>>();
    assert_eq!(again, [200, 600, 1_400, 3_000]);
    world.advance_to(millis(10_000));
    world.send_lost(100);
    world.finish();
    assert_eq!(world.arrival_millis(), [3_050, 10_250]);
}

#[test]
fn only_segments_sent_once_measure_the_round_trip_and_only_when_acknowledged() {
    let mut world = TcpWorld::new(1, delay_only(), TCP);
    world.pipe = TcpDirection::new();
    world.send_lost(100);
    world.advance_to(millis(2_000));
    world.send_lost(100);
    world.advance_to(millis(4_000));
    // This one measures 100 ms, and the timeout is 100 + 4 * 50 ms from its acknowledgement on.
    world.send(100);
    world.advance_to(millis(4_090));
    world.send_lost(100);
    world.finish();
    assert_eq!(world.arrival_millis(), [1_050, 3_050, 4_050, 4_450]);
}

#[test]
fn the_timer_of_a_segment_that_is_only_late_backs_off() {
    // A kilobyte and its headers take 2.08 s at 4 kbit/s.
    let slow = DirectionSettings { rate: Some(4_000), ..delay_only() };
    let mut world = TcpWorld::new(1, slow, TCP);
    world.send(1_000);
    world.advance_to(millis(100));
    world.send_lost(100);
    world.finish();
    // The acknowledgement after 2.18 s makes the round trip (7 * 0.1 + 2.18) / 8 = 0.36 s, its
    // variation 2.08 / 4 = 0.52 s and the timeout 2.44 s.
    assert_eq!(world.retransmissions.len(), 1);
    assert_eq!(world.retransmissions[0].0.as_nanos() / 1_000_000, 2_180 + 2_440);
}

#[test]
fn a_timer_that_a_late_segment_has_let_pass_starts_anew_for_a_lost_one() {
    let slow = DirectionSettings { rate: Some(4_000), ..delay_only() };
    let mut world = TcpWorld::new(1, slow, TCP);
    world.send(1_000);
    world.advance_to(millis(2_100));
    world.send_lost(100);
    world.advance_to(millis(2_150));
    // It did not expire at once. The rest is as above.
    assert_eq!(world.pipe.last_sent(), millis(2_100));
    world.finish();
    assert_eq!(world.retransmissions.len(), 1);
    assert_eq!(world.retransmissions[0].0.as_nanos() / 1_000_000, 2_180 + 2_440);
}

#[test]
fn three_later_arrivals_trigger_fast_retransmit() {
    let mut world = TcpWorld::new(1, delay_only(), TCP);
    world.send_lost(100);
    for _ in 0..3 {
        world.advance_to(world.now + Span::from_millis(1));
        world.send(100);
    }
    world.finish();
    // The third of them was sent at 3 ms; its acknowledgement is back at 103 ms.
    assert_eq!(world.retransmissions, [(millis(103), 140)]);
    assert_eq!(world.arrival_millis(), [153; 4]);
}

#[test]
fn a_fast_retransmission_that_is_lost_too_waits_for_the_timer() {
    let mut world = TcpWorld::new(1, delay_only(), TCP);
    world.send_lost(100);
    (0..20).for_each(|_| world.send(100));
    world.link.set_down(true);
    world.advance_to(millis(150));
    world.link.set_down(false);
    world.finish();
    assert_eq!(world.retransmissions, [(millis(100), 140), (millis(300), 140)]);
    assert_eq!(world.arrival_millis(), [350; 21]);
}

#[test]
fn two_later_arrivals_trigger_no_fast_retransmit() {
    let mut world = TcpWorld::new(1, delay_only(), TCP);
    world.send_lost(100);
    (0..2).for_each(|_| world.send(100));
    world.finish();
    assert_eq!(world.arrival_millis(), [250; 3]);
}

#[test]
fn a_filled_hole_retransmits_all_the_others_at_once() {
    let mut world = TcpWorld::new(1, delay_only(), TCP);
    (0..5).for_each(|_| world.send_lost(100));
    world.finish();
    // The first at the timeout; the others when its acknowledgement is back, together.
    assert_eq!(world.retransmissions, [(millis(200), 140), (millis(300), 4 * 140)]);
    assert_eq!(world.arrival_millis(), [250, 350, 350, 350, 350]);
}

#[test]
fn what_is_sent_after_a_retransmission_is_not_taken_for_lost_by_it() {
    let mut world = TcpWorld::new(1, delay_only(), TCP);
    world.send_lost(100);
    world.advance_to(millis(210));
    world.send_lost(100);
    world.finish();
    // The acknowledgement at 300 ms says nothing of the second, but starts its timer anew.
    assert_eq!(world.arrival_millis(), [250, 550]);
}

#[test]
fn a_segment_that_is_only_late_is_not_sent_again() {
    // A kilobyte and its headers take 2.08 s at 4 kbit/s.
    let slow = DirectionSettings { rate: Some(4_000), ..delay_only() };
    let mut world = TcpWorld::new(1, slow, TCP);
    (0..3).for_each(|_| world.send(1_000));
    world.finish();
    assert_eq!(world.arrival_millis(), [2_130, 4_210, 6_290]);
    assert!(world.retransmissions.is_empty());
}

#[test]
fn a_big_item_is_cut_into_segments_and_arrives_with_its_last() {
    // 1,000 bytes and 40 of headers at 832 kbit/s: 10 ms a segment.
    let line = DirectionSettings { rate: Some(832_000), ..delay_only() };
    let mut world = TcpWorld::new(1, line.clone(), TCP);
    world.send(3_000);
    world.send(1);
    world.finish();
    assert_eq!(world.arrived[0], (0, millis(80)));
    assert!(world.arrived[1].1 > millis(80));
    // With room for two in the queue the other two are dropped, and go again one by one: the
    // first at the timeout, the last with its acknowledgement.
    let mut world = TcpWorld::new(1, DirectionSettings { queue: Some(2), ..line }, TCP);
    world.send(4_000);
    world.finish();
    // The second segment's acknowledgement starts the timer at 120 ms.
    assert_eq!(world.retransmissions, [(millis(320), 1_040), (millis(430), 1_040)]);
    assert_eq!(world.arrival_millis(), [490]);
}

#[test]
fn an_item_arrives_with_the_latest_of_its_segments() {
    let jittery = DirectionSettings { jitter: Span::from_millis(40), ..delay_only() };
    let mut world = TcpWorld::new(1, jittery, TCP);
    let (mut link, luck) = (world.link.clone(), Some(publisher_key(DrawKey::new(1), "meter")));
    let mut arrival =
        |segment| match link.segment_fate(Time::ZERO, luck, &publish(0), segment, 0, 1_040) {
            Fate::Arrives(arrival) => arrival.at,
            fate => panic!("{fate:?}"),
        };
    let arrivals = [0, 1, 2, 3, 4].map(&mut arrival);
    assert!(!arrivals.is_sorted());
    world.send(5_000);
    world.finish();
    assert_eq!(world.arrived, [(0, arrivals.into_iter().max().unwrap())]);
}

#[test]
fn segments_and_retransmissions_draw_independent_fates() {
    let mut link = TcpWorld::new(1, lossy(0.5), TCP).link;
    let mut lost = |segment, attempt| {
        let fate = link.segment_fate(Time::ZERO, None, &publish(0), segment, attempt, 100);
        matches!(fate, Fate::Lost(_))
    };
    let segments = (0..64).map(|segment| lost(segment, 0)).collect::<Vec<_>>();
    let attempts = (0..64).map(|attempt| lost(0, attempt)).collect::<Vec<_>>();
    assert_ne!(segments, attempts);
    for hits in [segments, attempts] {
        assert!((16..48).contains(&hits.iter().filter(|hit| **hit).count()), "{hits:?}");
    }
}

#[test]
fn a_first_segment_has_the_fate_of_its_datagram() {
    let mut jittery = lossy(0.3);
    jittery.jitter = Span::from_millis(20);
    let mut stream = TcpWorld::new(1, jittery.clone(), TCP).link;
    let mut datagrams = TcpWorld::new(1, jittery, TCP).link;
    for sequence in 0..1_000 {
        let now = millis(u64::from(sequence) * 100);
        let publisher_key = Some(publisher_key(DrawKey::new(1), "meter"));
        let segment = stream.segment_fate(now, publisher_key, &publish(sequence), 0, 0, 100);
        assert_eq!(segment, datagrams.fate(now, publisher_key, &publish(sequence), 100));
    }
}

#[test]
fn a_silently_dead_connection_is_given_up_at_the_user_timeout() {
    let mut world = TcpWorld::new(1, delay_only(), TCP);
    world.send(100);
    world.advance_to(millis(60));
    world.send(100);
    world.pipe.die_silently();
    world.advance_to(millis(1_000));
    world.send(100);
    world.finish();
    // The first had arrived, so its acknowledgement comes; the second is the oldest byte.
    assert_eq!(world.arrived, [(0, millis(50))]);
    assert_eq!(world.gave_up, Some(millis(60) + TCP.user_timeout));
    assert_eq!(world.retransmissions[0].0, millis(300));
    assert!(world.retransmissions.len() > 5 && !world.pipe.is_idle());
    assert_eq!(world.pipe.take_undelivered().collect::<Vec<_>>(), [1, 2]);
    assert!(world.pipe.is_idle());
    assert_eq!(world.pipe.next_wake(), Time::NEVER);
}

#[test]
fn the_silent_death_of_an_idle_connection_goes_unnoticed() {
    let mut world = TcpWorld::new(1, delay_only(), TCP);
    world.send(100);
    world.advance_to(millis(60));
    world.pipe.die_silently();
    world.finish();
    assert_eq!(world.gave_up, None);
    assert!(world.retransmissions.is_empty() && world.pipe.is_idle());
}

#[test]
fn a_partition_stops_one_direction_and_ends_with_the_faults() {
    let mut link = TcpWorld::new(1, delay_only(), TCP).link;
    let fates = |link: &mut LinkState| {
        [Direction::Up, Direction::Down].map(|way| {
            let name = PacketName { direction: way, ..publish(0) };
            let datagram = link.fate(Time::ZERO, None, &name, 100);
            assert_eq!(datagram, link.segment_fate(Time::ZERO, None, &name, 0, 0, 100));
            datagram
        })
    };
    let (lost, passes) =
        (Fate::Lost(crate::base::LossReason::Outage), Fate::arriving_at(millis(50)));
    link.set_partitioned(Direction::Up, true);
    assert_eq!(fates(&mut link), [lost, passes]);
    link.set_down(true);
    link.set_partitioned(Direction::Up, false);
    assert_eq!(fates(&mut link), [lost, lost]);
    link.set_down(false);
    link.set_partitioned(Direction::Down, true);
    assert_eq!(fates(&mut link), [passes, lost]);
    link.end_faults();
    assert_eq!(fates(&mut link), [passes, passes]);
}

#[test]
fn headers_and_tls_records_have_their_sizes() {
    let headers = [0, 1, 1_000, 1_001, 5_000].map(|bytes| header_bytes(&TCP, bytes));
    assert_eq!(headers, [40, 40, 40, 80, 200]);
    let tls = |version| Some(TlsSettings { version, resumption: false });
    assert_eq!(tls_bytes(None, 100), 0);
    for (version, record) in [(TlsVersion::V12, 29), (TlsVersion::V13, 22)] {
        let bytes = [0, 1, 16_384, 16_385].map(|bytes| tls_bytes(tls(version), bytes));
        assert_eq!(bytes, [record, record, record, 2 * record]);
    }
}
