//! Tests of whole links: above all, that no packet's random draws shift another's.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

use proptest::prelude::*;

use super::fate::Interventions;
use super::fate_override::{FateOverride, ForcedFate};
use super::link::{LinkKeys, LinkState, publisher_key};
use super::presets;
use super::settings::{
    DirectionSettings, Distribution, IntervalDistribution, LinkSettings, LossModel, OutageModel,
    ReorderRule,
};
use super::test_support::{assert_share, chance, plain_direction};
use crate::base::draw::{Chance, DrawKey};
use crate::base::{
    Arrival, ClientIndex, Direction, Fate, Hop, LossReason, PacketKind, PacketName, PacketSubject,
    PublisherIndex, Span, Time, Transmission,
};

const N: u32 = 20_000;
const BYTES: u32 = 100;

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

fn ping(nth: u32) -> PacketName {
    PacketName { kind: PacketKind::PingReq, subject: PacketSubject::Control { nth }, ..publish(0) }
}

const fn millis(millis: u32) -> Time {
    Time::from_nanos(millis as u64 * 1_000_000)
}

fn link(up: DirectionSettings) -> LinkState {
    let settings = LinkSettings::datagram(up, plain_direction());
    LinkState::new(Arc::new(settings), LinkKeys::new(DrawKey::new(1), "meter"))
}

/// The fate of a PUBLISH of 100 bytes, sent at as many milliseconds as its sequence number.
fn send(link: &mut LinkState, sequence: u32) -> Fate {
    let publisher_key = publisher_key(DrawKey::new(1), "meter");
    link.fate(millis(sequence), Some(publisher_key), &publish(sequence), BYTES)
}

fn send_with_override(
    link: &mut LinkState,
    fate_override: &mut dyn FateOverride,
    sequence: u32,
) -> Fate {
    let publisher_key = publisher_key(DrawKey::new(1), "meter");
    let interventions = Interventions { fault: None, fate_override: Some(fate_override) };
    link.fate_with(interventions, millis(sequence), Some(publisher_key), &publish(sequence), BYTES)
}

fn fates(up: DirectionSettings) -> Vec<Fate> {
    let mut link = link(up);
    link.start_bursts_and_outages(Time::ZERO);
    (0..N).map(|sequence| send(&mut link, sequence)).collect()
}

const fn arrival(fate: &Fate) -> Option<Arrival> {
    match fate {
        Fate::Arrives(arrival) => Some(*arrival),
        Fate::Lost(_) | Fate::Streamed => None,
    }
}

fn lost(fates: &[Fate]) -> Vec<bool> {
    fates.iter().map(|fate| arrival(fate).is_none()).collect()
}

/// A direction with loss, jitter and a line that is always busy: 100 bytes take 1.07 ms.
fn lossy_and_busy() -> DirectionSettings {
    DirectionSettings {
        jitter: Span::from_millis(10),
        distribution: Distribution::Normal,
        loss: LossModel::Random(chance(0.1)),
        rate: Some(750_000),
        ..DirectionSettings::delay_only(Span::from_millis(50))
    }
}

#[test]
fn duplication_leaves_every_other_fate_as_it_was() {
    let without = fates(lossy_and_busy());
    let with = fates(DirectionSettings { duplicate: chance(0.2), ..lossy_and_busy() });
    let mut doubled = 0;
    for (plain, fate) in without.iter().zip(&with) {
        match (arrival(plain), arrival(fate)) {
            (None, None) => {}
            (Some(plain), Some(Arrival { at, duplicate_at: Some(again), .. })) => {
                assert!(at <= again && (at == plain.at || again == plain.at));
                doubled += 1;
            }
            (Some(plain), Some(fate)) => assert_eq!(plain.at, fate.at),
            _ => panic!("{plain:?} became {fate:?}"),
        }
    }
    assert!(doubled > 0);
}

#[test]
fn reordering_leaves_every_other_fate_as_it_was() {
    let without = fates(lossy_and_busy());
    let reorder = Some(ReorderRule { chance: chance(0.25), gap: 3 });
    let with = fates(DirectionSettings { reorder, ..lossy_and_busy() });
    let moved =
        without.iter().zip(&with).filter(|(plain, fate)| match (arrival(plain), arrival(fate)) {
            (None, None) => false,
            (Some(plain), Some(fate)) => plain.at != fate.at,
            _ => panic!("{plain:?} became {fate:?}"),
        });
    // After each that goes ahead two may not and the third may with 1/4: one in 6 goes ahead, of
    // which a tenth is lost.
    let moved = u32::try_from(moved.count()).expect("there are N at most");
    assert!((N * 14 / 100..N * 16 / 100).contains(&moved), "{moved}");
}

#[test]
fn a_higher_loss_rate_loses_the_same_packets_and_more() {
    let low = fates(lossy_and_busy());
    let high =
        fates(DirectionSettings { loss: LossModel::Random(chance(0.3)), ..lossy_and_busy() });
    for (low, high) in low.iter().zip(&high) {
        // A packet that survives arrives when it did: lost packets have used the line too.
        if let Some(survivor) = arrival(high) {
            assert_eq!(arrival(low).map(|low| low.at), Some(survivor.at));
        }
    }
    assert_share(&lost(&low), 0.1, 1.0);
    assert_share(&lost(&high), 0.3, 1.0);
}

#[test]
fn more_packets_leave_every_other_fate_as_it_was() {
    let settings = DirectionSettings {
        rate: None,
        duplicate: chance(0.1),
        reorder: Some(ReorderRule { chance: chance(0.1), gap: 1 }),
        ..lossy_and_busy()
    };
    let alone = fates(settings.clone());
    let mut link = link(settings);
    let other = publisher_key(DrawKey::new(1), "meter/2");
    for (sequence, plain) in (0..N).zip(alone) {
        let now = millis(sequence);
        let _ = link.fate(now, Some(other), &publish(sequence), BYTES);
        let _ = link.fate(now, None, &ping(sequence), BYTES);
        let fate = send(&mut link, sequence);
        let times = |fate| arrival(&fate).map(|arrival| (arrival.at, arrival.duplicate_at));
        assert_eq!(times(fate), times(plain));
    }
}

#[test]
fn gemodel_is_shifted_by_nothing_but_packets() {
    let loss = LossModel::GilbertElliott {
        p: chance(0.05),
        r: chance(0.2),
        loss_bad: Chance::ALWAYS,
        loss_good: Chance::NEVER,
    };
    let plain = fates(DirectionSettings { loss, ..lossy_and_busy() });
    let reorder = Some(ReorderRule { chance: chance(0.5), gap: 2 });
    let queue = Some(1);
    let mut busy = link(DirectionSettings {
        loss,
        reorder,
        queue,
        duplicate: chance(0.5),
        rate: Some(700_000),
        ..lossy_and_busy()
    });
    let mut fewer = link(DirectionSettings { loss, ..lossy_and_busy() });
    let mut differ = 0;
    for (sequence, plain) in (0..N).zip(plain) {
        busy.set_down((1_000..2_000).contains(&sequence));
        let fate = send(&mut busy, sequence);
        if matches!(plain, Fate::Lost(_)) {
            assert!(matches!(fate, Fate::Lost(_)));
        } else if let Fate::Lost(loss) = fate {
            assert!(matches!(loss, LossReason::Outage | LossReason::QueueFull));
        }
        // It is a chain over packets: leave every second out and the others meet other bursts.
        if sequence % 2 == 0 {
            let fate = send(&mut fewer, sequence);
            differ += u32::from(arrival(&fate).is_some() != arrival(&plain).is_some());
        }
    }
    assert!(differ > 0);
}

#[test]
fn clients_directions_publishers_and_seeds_draw_independent_fates() {
    let half = DirectionSettings { loss: LossModel::Random(chance(0.5)), ..plain_direction() };
    let settings = Arc::new(LinkSettings::datagram(half.clone(), half));
    let losses = |seed: u64, client: &str, stream: &str, direction: Direction| {
        let root = DrawKey::new(seed);
        let mut link = LinkState::new(Arc::clone(&settings), LinkKeys::new(root, client));
        let publisher_key = publisher_key(root, stream);
        (0..64)
            .map(|sequence| {
                let name = PacketName { direction, ..publish(sequence) };
                link.fate(Time::ZERO, Some(publisher_key), &name, BYTES)
            })
            .collect::<Vec<_>>()
    };
    let all = [
        losses(1, "a", "a", Direction::Up),
        losses(2, "a", "a", Direction::Up),
        losses(1, "b", "a", Direction::Up),
        losses(1, "a", "b", Direction::Up),
        losses(1, "a", "a", Direction::Down),
    ];
    for (i, one) in all.iter().enumerate() {
        assert!(all[i + 1..].iter().all(|other| one != other), "{i}");
    }
}

#[test]
fn duplicates_have_their_share_of_what_is_not_lost() {
    let fates = fates(DirectionSettings { duplicate: chance(0.2), ..lossy_and_busy() });
    let doubled = fates.iter().filter_map(arrival).map(|arrival| arrival.duplicate_at.is_some());
    assert_share(&doubled.collect::<Vec<_>>(), 0.2, 1.0);
}

#[test]
fn with_certain_reorder_one_packet_of_each_gap_is_sent_ahead() {
    let fates = fates(DirectionSettings {
        reorder: Some(ReorderRule { chance: Chance::ALWAYS, gap: 5 }),
        ..DirectionSettings::delay_only(Span::from_millis(10))
    });
    for (sequence, fate) in (0..N).zip(fates) {
        let now = millis(sequence);
        let ahead = sequence % 5 == 4;
        let at = if ahead { now } else { now + Span::from_millis(10) };
        assert_eq!(fate, Fate::Arrives(Arrival { at, duplicate_at: None, overtakes: ahead }));
    }
}

#[test]
fn the_delay_follows_the_line_and_a_full_queue_drops() {
    // 100 bytes at 400 kbit/s take 2 ms; one packet comes each millisecond.
    let mut link = link(DirectionSettings {
        rate: Some(400_000),
        queue: Some(2),
        ..DirectionSettings::delay_only(Span::from_millis(10))
    });
    let got = [0; 5].map({
        let mut sequence = 0;
        move |_| {
            let fate = send(&mut link, sequence);
            sequence += 1;
            fate
        }
    });
    let expected = [
        Fate::arriving_at(millis(12)),
        Fate::arriving_at(millis(14)),
        Fate::arriving_at(millis(16)),
        Fate::Lost(LossReason::QueueFull),
        Fate::arriving_at(millis(18)),
    ];
    assert_eq!(got, expected);
}

#[test]
fn a_link_that_is_down_loses_everything_but_resets() {
    let mut settings = LinkSettings::datagram(plain_direction(), plain_direction());
    settings.outage = Some(OutageModel {
        every: IntervalDistribution::Fixed(Span::from_millis(1)),
        lasts: IntervalDistribution::Fixed(Span::from_millis(2)),
    });
    let keys = LinkKeys::new(DrawKey::new(1), "meter");
    let mut link = LinkState::new(Arc::new(settings), keys);
    assert_eq!(link.next_outage(), None);
    link.start_bursts_and_outages(Time::ZERO);
    assert_eq!(link.next_outage(), Some((millis(1), millis(3))));
    link.set_down(true);
    assert!(link.is_down());
    assert_eq!(send(&mut link, 1), Fate::Lost(LossReason::Outage));
    let reset = PacketName { kind: PacketKind::Reset, ..ping(0) };
    assert_eq!(link.fate(millis(2), None, &reset, 28), Fate::arriving_at(millis(2)));
    link.end_faults();
    assert_eq!(send(&mut link, 2), Fate::arriving_at(millis(2)));
    assert_eq!(link.next_outage(), None);
}

#[test]
fn a_reset_is_never_lost_and_takes_no_queue_place() {
    let mut link = link(DirectionSettings {
        loss: LossModel::Random(Chance::ALWAYS),
        duplicate: Chance::ALWAYS,
        rate: Some(1),
        queue: Some(1),
        ..DirectionSettings::delay_only(Span::from_millis(5))
    });
    for nth in 0..3 {
        let reset = PacketName { kind: PacketKind::Reset, ..ping(nth) };
        assert_eq!(link.fate(millis(1), None, &reset, 28), Fate::arriving_at(millis(6)));
    }
}

#[test]
fn an_overridden_fate_shifts_no_other() {
    let settings = DirectionSettings {
        queue: Some(3),
        rate: Some(900_000),
        loss: LossModel::GilbertElliott {
            p: chance(0.1),
            r: chance(0.3),
            loss_bad: Chance::ALWAYS,
            loss_good: Chance::NEVER,
        },
        reorder: Some(ReorderRule { chance: chance(0.3), gap: 4 }),
        ..lossy_and_busy()
    };
    let plain = fates(settings.clone());
    let mut link = link(settings);
    let forced =
        ForcedFate::Arrives { delay: Span::ZERO, duplicate_delay: Some(Span::from_millis(1)) };
    let mut fate_override = (0..N)
        .step_by(7)
        .map(|n| {
            (publish(n), if n % 2 == 0 { ForcedFate::Lost(LossReason::Forced) } else { forced })
        })
        .collect::<BTreeMap<_, _>>();
    for (sequence, plain) in (0..N).zip(plain) {
        let fate = send_with_override(&mut link, &mut fate_override, sequence);
        match fate_override.get(&publish(sequence)) {
            None => assert_eq!(
                arrival(&fate).map(|fate| fate.at),
                arrival(&plain).map(|plain| plain.at)
            ),
            Some(ForcedFate::Lost(_)) => assert_eq!(fate, Fate::Lost(LossReason::Forced)),
            Some(_) => {
                let got = arrival(&fate).expect("it was forced to arrive");
                assert_eq!(
                    (got.at, got.duplicate_at),
                    (millis(sequence), Some(millis(sequence + 1)))
                );
            }
        }
    }
}

#[test]
fn a_packet_that_arrives_before_a_late_duplicate_overtakes_it() {
    let mut link = link(DirectionSettings::delay_only(Span::from_millis(10)));
    let doubled = ForcedFate::Arrives {
        delay: Span::from_millis(1),
        duplicate_delay: Some(Span::from_millis(20)),
    };
    let mut fate_override = BTreeMap::from([(publish(0), doubled)]);
    let overtakes = [0, 9, 10].map(|sequence| {
        arrival(&send_with_override(&mut link, &mut fate_override, sequence))
            .map(|arrival| arrival.overtakes)
    });
    assert_eq!(overtakes, [Some(false), Some(true), Some(false)]);
}

#[test]
fn a_packet_forced_to_the_undisturbed_fate_arrives_undisturbed() {
    let mut link = link(DirectionSettings {
        loss: LossModel::Random(Chance::ALWAYS),
        duplicate: Chance::ALWAYS,
        rate: Some(800_000),
        ..lossy_and_busy()
    });
    let mut spare = |_: Time, name: &PacketName, _: Time| {
        (*name == publish(3)).then_some(ForcedFate::Undisturbed)
    };
    assert_eq!(send_with_override(&mut link, &mut spare, 2), Fate::Lost(LossReason::Random));
    // 1 ms for 800 bits, then 50 ms.
    assert_eq!(send_with_override(&mut link, &mut spare, 3), Fate::arriving_at(millis(54)));
}

/// Fates of the first packets under each loss model: a change here is a new model version.
#[test]
fn the_same_seed_gives_the_same_losses_in_every_version() {
    let ge = |p, r, loss_bad| LossModel::GilbertElliott {
        p: chance(p),
        r: chance(r),
        loss_bad: chance(loss_bad),
        loss_good: chance(0.01),
    };
    let burst = |good, bad| LossModel::Burst {
        good: Span::from_millis(good),
        bad: Span::from_millis(bad),
        loss_bad: chance(0.9),
        loss_good: chance(0.01),
    };
    let models = [
        ("random 5 %", LossModel::Random(chance(0.05))),
        ("random 20 %", LossModel::Random(chance(0.2))),
        ("gemodel 5 % 30 %", ge(0.05, 0.3, 1.0)),
        ("gemodel 10 % 20 % 50 %", ge(0.1, 0.2, 0.5)),
        ("burst 20 ms 5 ms", burst(20, 5)),
        ("burst 50 ms 20 ms", burst(50, 20)),
    ];
    let mut table = String::new();
    for (name, loss) in models {
        let jitter = Span::from_millis(1);
        let fates = fates(DirectionSettings { loss, jitter, rate: None, ..lossy_and_busy() });
        let row = fates.iter().take(60).map(|fate| match fate {
            Fate::Lost(LossReason::Burst) => 'B',
            Fate::Lost(_) => 'x',
            Fate::Arrives(Arrival { overtakes: true, .. }) => '<',
            Fate::Arrives(_) | Fate::Streamed => '.',
        });
        writeln!(table, "{name:<23}{}", row.collect::<String>()).expect("a string takes it");
    }
    insta::assert_snapshot!(table, @r"
    random 5 %             ...<<.<......<..<...<.<<.<.<.xx...<..<....<......<.......<..
    random 20 %            ...x<.<....xx<.x....xx.x.<.<.xx...<x.<x...<..x..x........<x.
    gemodel 5 % 30 %       ...<<.<......<..<...<.<<.<.<.x....<..<....<B....BB.......<..
    gemodel 10 % 20 % 50 % ...<<.<BBB..B<..<...BB.B.<.<.x....<..<B..B......BB.......BB.
    burst 20 ms 5 ms       ..B<..<......<..<...<.<<.<.<.x....<..<....<......<..B.BB.<..
    burst 50 ms 20 ms      ...<<BBBBB...<..<...<.<<.<.<.x....<..<....<......<.......<..
    ");
}

/// What a real system sends has no name that a draw could be keyed by.
#[test]
fn an_ip_packet_meets_the_draws_of_its_number_in_its_direction() {
    let lossy = DirectionSettings { loss: LossModel::Random(chance(0.2)), ..plain_direction() };
    let losses = |spacing: u32| -> Vec<bool> {
        let mut link = link(lossy.clone());
        let mut next = |n| link.ip_packet_fate(millis(n * spacing), Direction::Up, BYTES);
        (0..N).map(|n| matches!(next(n), Fate::Lost(_))).collect()
    };
    assert_share(&losses(1), 0.2, 1.0);
    assert_eq!(losses(1), losses(7));
}

proptest! {
    #[test]
    fn nothing_arrives_before_it_was_sent_and_fates_are_deterministic(
        preset in 0..presets::ALL.len(),
        seed: u64,
        gaps in prop::collection::vec(0..200_u32, 1..200),
    ) {
        let settings = Arc::new((presets::ALL[preset].settings)());
        let run = || {
            let root = DrawKey::new(seed);
            let mut link = LinkState::new(Arc::clone(&settings), LinkKeys::new(root, "meter"));
            link.start_bursts_and_outages(Time::ZERO);
            let (mut now, mut latest, mut fates) = (Time::ZERO, Time::ZERO, Vec::new());
            for (sequence, gap) in (0..).zip(&gaps) {
                now += Span::from_millis(u64::from(*gap));
                let fate = link.fate(now, Some(publisher_key(root, "meter")), &publish(sequence), BYTES);
                if let Some(Arrival { at, duplicate_at, overtakes }) = arrival(&fate) {
                    assert!(now < at && duplicate_at.is_none_or(|second| at <= second));
                    assert_eq!(overtakes, at < latest);
                    latest = latest.max(duplicate_at.unwrap_or(at));
                }
                fates.push(fate);
            }
            fates
        };
        prop_assert_eq!(run(), run());
    }
}
