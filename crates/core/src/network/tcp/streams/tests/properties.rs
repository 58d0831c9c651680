//! Random worlds: whatever happens, everything arrives once and in order.

use proptest::prelude::*;

use super::*;

/// An act of a random world.
#[derive(Clone, Debug)]
enum Step {
    Write(Direction, u32),
    Wait(u64),
    Down(bool),
    Reads(bool),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let direction = prop_oneof![Just(Direction::Up), Just(Direction::Down)];
    let step = prop_oneof![
        6 => (direction, 0..5_000_u32).prop_map(|(way, bytes)| Step::Write(way, bytes)),
        3 => (0..500_u64).prop_map(Step::Wait),
        1 => any::<bool>().prop_map(Step::Down),
        1 => any::<bool>().prop_map(Step::Reads),
    ];
    prop::collection::vec(step, 1..100)
}

proptest! {
    #[test]
    fn whatever_happens_every_item_arrives_once_and_in_order(
        seed: u64,
        loss in 0.0..0.5_f64,
        jitter in 0..100_u64,
        rate in prop::option::of((20_000..10_000_000_u64, prop::option::of(1..50_u32))),
        reno: bool,
        nodelay: bool,
        receive_buffer in prop::option::of(5_000..20_000_u32),
        steps in steps(),
    ) {
        let mut up = line(40, loss, rate.map(|(rate, _)| rate), rate.and_then(|(_, queue)| queue));
        up.jitter = Span::from_millis(jitter);
        let congestion =
            if reno { CongestionControl::Reno } else { CongestionControl::Cubic };
        let user_timeout = Span::LIMIT;
        let receive_buffer = receive_buffer.map_or(SocketBuffer::Autotuned, SocketBuffer::Bytes);
        let socket = SocketSettings { nodelay, receive_buffer, ..SocketSettings::LINUX };
        let tcp = with_sockets(TcpSettings { user_timeout, congestion, ..TCP }, socket);
        let mut world = World::new(seed, &up, tcp);
        let mut written = [Vec::new(), Vec::new()];
        for step in &steps {
            match step {
                Step::Write(way, bytes) => {
                    written[*way as usize].push(world.written);
                    world.write(*way, *bytes);
                }
                Step::Wait(wait) => world.advance_to(world.now + Span::from_millis(*wait)),
                Step::Down(down) => world.link.set_down(*down),
                Step::Reads(reads) => {
                    world.reads = *reads;
                    if *reads {
                        world.read();
                    }
                }
            }
        }
        world.link.set_down(false);
        world.reads = true;
        world.read();
        world.finish();
        for way in [Direction::Up, Direction::Down] {
            let own = &written[way as usize];
            let items = world.arrived.iter().map(|(item, _)| *item);
            let got: Vec<_> = items.filter(|item| own.contains(item)).collect();
            prop_assert_eq!(&got, own);
        }
        for way in [Direction::Up, Direction::Down] {
        prop_assert!(!world.activity[way].gave_up);
    }
    }
}
