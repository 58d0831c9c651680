//! The congestion window at work.

use super::*;
use crate::network::tcp::INITIAL_WINDOW;

const SMALL: TcpSettings = TcpSettings { mss: 1_000, headers: 40, ..TCP };
const RENO: TcpSettings = TcpSettings { congestion: CongestionControl::Reno, ..SMALL };

/// How many segments go at once.
fn window(world: &mut World) -> u32 {
    let before = world.up().segments;
    (0..500).for_each(|_| world.send(1_000));
    world.up().segments - before
}

#[test]
fn a_burst_waits_for_the_window_which_doubles_each_round_trip() {
    for tcp in [RENO, SMALL] {
        let mut world = World::new(1, &line(50, 0.0, None, None), tcp);
        (0..60).for_each(|_| world.send(1_000));
        world.finish();
        // 10 at once, 20 a round trip later, and the other 30 after that.
        let mut expected = vec![50; 10];
        expected.extend([150; 20]);
        expected.extend([250; 30]);
        assert_eq!(world.arrival_millis(), expected);
        assert_eq!(world.up().retransmissions, 0);
    }
}

#[test]
fn a_trickle_leaves_the_window_as_it_is() {
    let mut world = World::new(1, &line(50, 0.0, None, None), SMALL);
    for n in 0..500 {
        world.advance_to_millis(60 * n);
        world.send(1_000);
    }
    world.advance_to_millis(60 * 500 + 30);
    assert_eq!(window(&mut world), INITIAL_WINDOW - 1);
}

#[test]
fn an_idle_time_takes_the_window_back_to_the_initial_one() {
    let grown = |idle: u64| {
        let mut world = World::new(1, &line(50, 0.0, None, None), SMALL);
        window(&mut world);
        world.finish();
        // The last acknowledgement takes another 50 ms.
        let then = world.now + Span::from_millis(50);
        world.advance_to(then + Span::from_millis(idle));
        window(&mut world)
    };
    let whole = grown(10);
    assert!(whole > 40, "{whole}");
    // A timeout is 300 ms, and a round trip has passed since the last sending.
    assert_eq!(grown(350), whole / 2);
    assert_eq!(grown(5_000), INITIAL_WINDOW);
}

/// The acknowledgement of a flight says that all but one of it has arrived: half as much goes then.
#[test]
fn a_loss_among_many_leaves_half_the_window_for_the_next_round_trip() {
    let mut world = World::new(1, &line(50, 0.0, None, None), RENO);
    (0..9).for_each(|_| world.send(1_000));
    world.send_lost(1_000);
    (0..90).for_each(|_| world.send(1_000));
    // The tenth is missing when the other nine have let nine and nine more go.
    world.advance_to_millis(199);
    assert_eq!((world.up().segments, world.up().retransmissions), (10 + 18, 0));
    // One acknowledgement is for all 18: of half the window of 19 one is the tenth.
    world.advance_to_millis(201);
    assert_eq!((world.up().segments, world.up().retransmissions), (10 + 18 + 8, 1));
}

/// A window that collapses would leave the line idle.
#[test]
fn random_loss_leaves_a_window_that_theory_predicts() {
    // Mathis et al. 1997: segments a second = sqrt(3 / (2 p)) / rtt where each segment lets the
    // window grow; good to a fifth where timeouts are rare.
    let (loss, seconds) = (0.001, 2_000_u64);
    let mut lossy_up = World::new(5, &line(50, loss, None, None), RENO);
    let world = &mut lossy_up;
    let mut backlog = 0;
    for second in 1..=seconds {
        (backlog..1_000).for_each(|_| world.send(1_000));
        world.advance_to_millis(1_000 * second);
        backlog = world.written as usize - world.arrived.len();
    }
    let rate = f64::from(u32::try_from(world.arrived.len()).unwrap()) / 2_000.0;
    let theory = (1.5 / loss).sqrt() / 0.1;
    assert!((0.8..1.2).contains(&(rate / theory)), "{rate} a second, {theory} in theory");
}
