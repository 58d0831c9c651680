//! Many items at random: as late as theory says, and everything once and in order.

use proptest::prelude::*;

use super::*;
use crate::network::test_support::assert_mean;

/// The latencies in seconds of items a minute apart.
fn thin_stream_latencies(seed: u64, loss: f64, items: u32) -> Vec<f64> {
    let mut world = TcpWorld::new(seed, lossy(loss), TCP);
    for n in 0..items {
        world.advance_to(millis(60_000 * u64::from(n)));
        world.send(100);
    }
    world.finish();
    let sent = |n: u32| millis(60_000 * u64::from(n));
    world.arrived.iter().map(|(n, at)| at.since(sent(*n)).as_secs_f64()).collect()
}

#[test]
fn a_thin_stream_has_the_latency_that_theory_predicts() {
    for loss in [0.005, 0.01, 0.02, 0.05, 0.1, 0.15] {
        let latencies = thin_stream_latencies(7, loss, 40_000);
        assert_eq!(latencies.len(), 40_000);
        // k losses cost rto (2^k - 1), with probability (1-p) p^k: the moments are geometric
        // series with the ratios 2p and 4p. A minute's limit is out of reach.
        let rto = 0.2;
        let mean = rto * loss / (1.0 - 2.0 * loss);
        let squares = rto
            * rto
            * ((1.0 - loss) / (1.0 - 4.0 * loss) - 2.0 * (1.0 - loss) / (1.0 - 2.0 * loss) + 1.0);
        assert_mean(latencies, 0.05 + mean, (squares - mean * mean).sqrt());
    }
}

#[test]
fn a_lower_loss_never_delays_a_thin_stream() {
    let latencies = [0.0, 0.01, 0.05, 0.2, 0.4].map(|loss| thin_stream_latencies(3, loss, 2_000));
    for pair in latencies.windows(2) {
        assert!(pair[0].iter().zip(&pair[1]).all(|(low, high)| low <= high));
        assert_ne!(pair[0], pair[1]);
    }
}

/// An act of a random world.
#[derive(Clone, Debug)]
enum TcpStep {
    Send(u32),
    Wait(u64),
    Down(bool),
}

fn steps() -> impl Strategy<Value = Vec<TcpStep>> {
    let step = prop_oneof![
        6 => (0..5_000_u32).prop_map(TcpStep::Send),
        3 => (0..500_u64).prop_map(TcpStep::Wait),
        1 => any::<bool>().prop_map(TcpStep::Down),
    ];
    prop::collection::vec(step, 1..200)
}

proptest! {
    #[test]
    fn whatever_happens_every_item_arrives_once_and_in_order(
        seed: u64,
        loss in 0.0..0.6_f64,
        jitter in 0..100_u64,
        line in prop::option::of((20_000..10_000_000_u64, prop::option::of(1..50_u32))),
        rto_min in 1..1_000_u64,
        steps in steps(),
    ) {
        let up = DirectionSettings {
            jitter: Span::from_millis(jitter),
            rate: line.map(|(rate, _)| rate),
            queue: line.and_then(|(_, queue)| queue),
            ..lossy(loss)
        };
        let rto_min = Span::from_millis(rto_min);
        let tcp = TcpSettings { rto_min, user_timeout: Span::LIMIT, ..TCP };
        let run = |poll| {
            let mut world = TcpWorld::new(seed, up.clone(), tcp);
            world.needless_wake_interval = poll;
            let mut earliest = Vec::new();
            for step in &steps {
                match step {
                    TcpStep::Send(bytes) => {
                        earliest.push(world.now);
                        world.send(*bytes);
                    }
                    TcpStep::Wait(wait) => world.advance_to(world.now + Span::from_millis(*wait)),
                    TcpStep::Down(down) => world.link.set_down(*down),
                }
            }
            world.link.set_down(false);
            world.needless_wake_interval = None;
            world.finish();
            assert!(world.pipe.is_idle() && world.gave_up.is_none());
            let items = world.arrived.iter().map(|(item, _)| *item).collect::<Vec<_>>();
            assert_eq!(items, (0..world.sent).collect::<Vec<_>>());
            assert!(world.arrived.iter().zip(earliest).all(|((_, at), sent)| sent <= *at));
            assert!(world.arrived.is_sorted_by_key(|(_, at)| *at));
            (world.arrived, world.retransmissions)
        };
        // Nor does it matter how often it is woken.
        prop_assert_eq!(run(None), run(Some(Span::from_millis(7))));
    }

    #[test]
    fn what_never_arrived_is_drained_in_order(
        seed: u64, loss in 0.0..0.6_f64, dark: bool, steps in steps(), stop in 0..2_000_u64,
    ) {
        let mut world = TcpWorld::new(seed, lossy(loss), TCP);
        for step in &steps {
            match step {
                TcpStep::Send(bytes) => world.send(*bytes),
                TcpStep::Wait(wait) => world.advance_to(world.now + Span::from_millis(*wait)),
                TcpStep::Down(down) => world.link.set_down(*down),
            }
        }
        world.advance_to(world.now + Span::from_millis(stop));
        if dark {
            let before = world.arrived.len();
            world.pipe.die_silently();
            world.finish();
            prop_assert_eq!(world.arrived.len(), before);
            prop_assert_eq!(world.gave_up.is_some(), !world.pipe.is_idle());
        }
        let mut items = world.arrived.iter().map(|(item, _)| *item).collect::<Vec<_>>();
        items.extend(world.pipe.take_undelivered());
        prop_assert_eq!(items, (0..world.sent).collect::<Vec<_>>());
    }
}
