//! Buffers that push back: what a socket takes, and what a reader that is behind holds up.

use super::*;

const UP: Direction = Direction::Up;

fn with_send_buffer(send_buffer: SocketBuffer) -> TcpSettings {
    with_sockets(TCP, SocketSettings { send_buffer, ..SocketSettings::LINUX })
}

fn with_receive_buffer(receive_buffer: SocketBuffer) -> TcpSettings {
    with_sockets(TCP, SocketSettings { receive_buffer, ..SocketSettings::LINUX })
}

/// How many messages of 1,000 B a connection takes whose link is down.
fn taken_by_a_dead_link(world: &mut World) -> usize {
    world.link.set_down(true);
    let tcp = world.tcp;
    let mut taken = 0;
    while !world.streams.is_full(UP, &tcp) {
        world.send(1_000);
        taken += 1;
    }
    taken
}

#[test]
fn a_socket_takes_what_its_buffer_holds_and_the_rest_of_a_message() {
    for (buffer, taken) in [
        (SocketBuffer::Autotuned, 66),
        (SocketBuffer::Bytes(5_760), 6),
        (SocketBuffer::Bytes(1_448), 2),
    ] {
        let mut world = World::new(1, &line(40, 0.0, None, None), with_send_buffer(buffer));
        assert_eq!(taken_by_a_dead_link(&mut world), taken, "{buffer:?}");
    }
}

#[test]
fn a_full_socket_is_writable_again_when_a_third_of_it_is_free() {
    let tcp = with_send_buffer(SocketBuffer::Bytes(9_000));
    // One message a second leaves the line.
    let mut world = World::new(1, &line(40, 0.0, Some(8 * 1_052), None), tcp);
    (0..9).for_each(|_| world.send(1_000));
    assert!(world.streams.is_full(UP, &tcp));
    world.streams.set_awaits_room(UP, true, &tcp);
    let writable_at = loop {
        if world.streams.is_writable(UP, &tcp) {
            break world.millis_since_start();
        }
        world.advance_to(world.streams.next_wake());
    };
    // The acknowledgement of the third comes two delays after it has left; it is at once, because
    // nothing is written the other way.
    assert!((3_000..4_200).contains(&writable_at), "{writable_at}");
    assert!(!world.streams.is_full(UP, &tcp));
}

#[test]
fn an_acknowledgement_wakes_whoever_waits_for_room() {
    let tcp = with_send_buffer(SocketBuffer::Bytes(1_448));
    let mut world = World::new(1, &line(40, 0.0, None, None), tcp);
    world.send(1_448);
    world.advance_to_millis(41);
    assert!(world.streams.is_full(UP, &tcp));
    assert!(!world.streams.is_writable(UP, &tcp));
    world.streams.set_awaits_room(UP, true, &tcp);
    while world.streams.next_wake() < Time::NEVER {
        assert!(!world.streams.is_writable(UP, &tcp));
        world.advance_to(world.streams.next_wake());
    }
    assert_eq!(world.millis_since_start(), 120, "a delayed acknowledgement");
    assert!(world.streams.is_writable(UP, &tcp));
}

#[test]
fn the_send_buffer_of_linux_grows_with_the_window() {
    let mut world = World::new(1, &line(40, 0.0, None, None), TCP);
    (0..1_000).for_each(|_| world.send(1_448));
    world.finish();
    // 1,000 segments without loss: the window has doubled to 320 at least.
    let taken = taken_by_a_dead_link(&mut world);
    assert!((1_280 * 1_448 / 1_000..4_300).contains(&taken), "{taken}");
}

#[test]
fn a_reader_that_is_behind_is_sent_64_kib() {
    let mut world = World::new(1, &line(40, 0.0, None, None), TCP);
    world.reads = false;
    (0..200).for_each(|_| world.send(1_000));
    world.advance_to_millis(60_000);
    // What came with the first flight was taken for read.
    let unread = world.streams.streams[0].receiver.next() - 200;
    assert!((65_536..=65_536 + 14_480).contains(&unread), "{unread}");
    assert!(!world.up().gave_up);
    world.reads = true;
    world.read();
    world.finish();
    assert_eq!(world.arrived.len(), 200);
}

#[test]
fn a_reader_that_keeps_up_is_never_what_a_transfer_waits_for() {
    let took = |tcp: TcpSettings| {
        let mut world = World::new(1, &line(100, 0.0, Some(50_000_000), None), tcp);
        (0..3_000).for_each(|_| world.send(1_000));
        world.finish();
        *world.arrival_millis().last().unwrap()
    };
    let unlimited = took(with_receive_buffer(SocketBuffer::Bytes(u32::MAX)));
    assert_eq!(took(TCP), unlimited);
    // A fixed buffer of 64 KiB lets no more than that go each round trip.
    assert!(took(with_receive_buffer(SocketBuffer::Bytes(65_536))) > 3 * unlimited);
}
