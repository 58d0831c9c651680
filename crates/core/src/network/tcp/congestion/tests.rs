//! How a window grows, and what it makes of losses. Bytes are counted in whole segments.

use super::*;

const fn millis(millis: u64) -> Time {
    Time::from_nanos(millis * 1_000_000)
}

/// The use of a full window.
const fn all_of(segments: u32) -> WindowUse {
    WindowUse { in_flight: segments, unacked_segments: segments, first_unacked: 0, next_unsent: 0 }
}

/// A window that was the limit of its sender, with so many segments acknowledged one by one.
fn grown(control: CongestionControl, segments: u32) -> CongestionWindow {
    let mut window = CongestionWindow::new();
    acknowledge(&mut window, control, 1..=u64::from(segments - INITIAL_WINDOW), millis(100));
    assert_eq!(window.segments(), segments);
    window
}

/// Acknowledges these segments at a time, while the window is full.
fn acknowledge(
    window: &mut CongestionWindow,
    control: CongestionControl,
    numbers: std::ops::RangeInclusive<u64>,
    now: Time,
) {
    for number in numbers {
        window.on_use(all_of(window.segments()));
        let in_flight = window.segments() - 1;
        let next_unsent = number + u64::from(in_flight) + 1;
        let first_unacked = number + 1;
        let round_trip = Some(Span::from_millis(100));
        let is_safe = true;
        let ack = Acknowledged { now, first_unacked, next_unsent, in_flight, is_safe, round_trip };
        window.on_acknowledged(control, ack);
    }
}

#[test]
fn reno_halves_its_window_after_a_loss_and_adds_one_each_round_trip() {
    let mut window = grown(CongestionControl::Reno, 40);
    window.on_loss(CongestionControl::Reno, 70, 36, 3);
    assert!(window.is_recovering());
    acknowledge(&mut window, CongestionControl::Reno, 71..=71, millis(200));
    assert!(!window.is_recovering());
    for expected in 20..30_u32 {
        assert_eq!(window.segments(), expected);
        let next = 100 * u64::from(expected);
        let round = next..=next + u64::from(expected) - 1;
        acknowledge(&mut window, CongestionControl::Reno, round, millis(300));
    }
}

#[test]
fn one_acknowledgement_of_many_lets_as_many_go_up_to_the_halved_window() {
    let after = |delivered| {
        let mut window = grown(CongestionControl::Reno, 80);
        window.on_loss(CongestionControl::Reno, 150, 0, delivered);
        window.segments()
    };
    assert_eq!([1, 3, 39, 79].map(after), [1, 3, 39, 40]);
}

#[test]
fn cubic_keeps_seven_tenths_and_is_back_where_it_was_after_its_k_seconds() {
    let mut window = grown(CongestionControl::Cubic, 1_000);
    window.on_loss(CongestionControl::Cubic, 2_000, 990, 3);
    acknowledge(&mut window, CongestionControl::Cubic, 2_001..=2_001, millis(0));
    assert_eq!(window.segments(), 700);
    // K = cbrt(1000 * 0.3 / 0.4) = 9.09 s. Ten round trips of 100 ms a second, whole windows.
    let mut number = 2_002;
    let mut at = Vec::new();
    for round in 0..100_u64 {
        let last = number + u64::from(window.segments());
        acknowledge(&mut window, CongestionControl::Cubic, number..=last, millis(100 * round));
        number = last + 1;
        at.push(window.segments());
    }
    // RFC 9438: W(t) = 0.4 (t - K)^3 + 1000, for which W(5) = 973.
    assert!((965..=982).contains(&at[48]), "{at:?}");
    assert!((995..=1_002).contains(&at[91]), "{at:?}");
    assert!(at.is_sorted(), "{at:?}");
}

#[test]
fn hystart_ends_slow_start_when_round_trips_grow_and_leaves_reno_alone() {
    for (control, ends) in [(CongestionControl::Cubic, true), (CongestionControl::Reno, false)] {
        let mut window = grown(control, 20);
        for number in 1_000..1_020_u64 {
            window.on_use(all_of(window.segments()));
            let ack = Acknowledged {
                now: millis(300),
                first_unacked: number + 1,
                next_unsent: 1_100,
                in_flight: window.segments() - 1,
                is_safe: true,
                round_trip: Some(Span::from_millis(130)),
            };
            window.on_acknowledged(control, ack);
        }
        assert_eq!(window.segments() < 30, ends, "{control:?}: {}", window.segments());
    }
}

#[test]
fn a_window_that_was_full_may_grow_until_the_next_round() {
    let mut window = CongestionWindow::new();
    window.threshold = 5;
    let used = |in_flight, first_unacked| WindowUse {
        in_flight,
        unacked_segments: in_flight,
        first_unacked,
        next_unsent: 20,
    };
    window.on_use(used(10, 10));
    window.on_use(used(6, 15));
    assert!(window.is_limit);
    window.on_use(used(6, 20));
    assert!(!window.is_limit);
}
