//! Cost of deciding one packet's fate, and of carrying one over a stream.

use std::sync::Arc;

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use qoslab::base::draw::{Chance, DrawKey};
use qoslab::base::{
    ClientIndex, Direction, Hop, PacketKind, PacketName, PacketSubject, PublisherIndex, Span, Time,
    Transmission,
};
use qoslab::network::tcp::{StreamItem, TcpContext, TcpStreams};
use qoslab::network::{
    CongestionControl, DirectionSettings, Distribution, LinkKeys, LinkSettings, LinkState,
    LossModel, SocketSettings, TcpSettings, presets, publisher_key,
};

const PACKETS: u32 = 10_000;

fn main() {
    divan::main();
}

/// Random loss and a constant delay: the simplest network with both.
#[divan::bench]
fn loss_and_delay(bencher: Bencher<'_, '_>) {
    bench(bencher, &lossy());
}

#[divan::bench]
fn loss_and_normal_jitter(bencher: Bencher<'_, '_>) {
    let mut settings = lossy();
    settings.up.jitter = Span::from_millis(5);
    settings.up.distribution = Distribution::Normal;
    bench(bencher, &settings);
}

#[divan::bench]
fn gilbert_elliott(bencher: Bencher<'_, '_>) {
    let mut settings = lossy();
    settings.up.loss = LossModel::GilbertElliott {
        p: Chance::from_share(0.02),
        r: Chance::from_share(0.25),
        loss_bad: Chance::ALWAYS,
        loss_good: Chance::NEVER,
    };
    bench(bencher, &settings);
}

#[divan::bench(args = presets::ALL.map(|preset| preset.name))]
fn preset(bencher: Bencher<'_, '_>, name: &str) {
    let preset = presets::by_name(name).expect("the name is from the list");
    bench(bencher, &(preset.settings)());
}

fn lossy() -> LinkSettings {
    let direction = DirectionSettings {
        loss: LossModel::Random(Chance::from_share(0.05)),
        ..DirectionSettings::delay_only(Span::from_millis(50))
    };
    LinkSettings::datagram(direction.clone(), direction)
}

/// Packets of 100 bytes a millisecond apart.
fn bench(bencher: Bencher<'_, '_>, settings: &LinkSettings) {
    let root = DrawKey::new(1);
    let stream = publisher_key(root, "client");
    bencher
        .counter(ItemsCount::new(PACKETS))
        .with_inputs(|| {
            let keys = LinkKeys::new(root, "client");
            let mut link = LinkState::new(Arc::new(settings.clone()), keys);
            link.start_bursts_and_outages(Time::ZERO);
            link
        })
        .bench_local_refs(|link| {
            for sequence in 0..PACKETS {
                let now = Time::ZERO + Span::from_millis(u64::from(sequence));
                black_box(link.fate(now, Some(stream), &black_box(name(sequence)), 100));
            }
        });
}

/// Packets of 100 bytes, a segment each and a millisecond apart, over TCP with a loss in percent.
#[divan::bench(args = [0, 2])]
fn tcp(bencher: Bencher<'_, '_>, percent: u32) {
    let mut settings = lossy();
    settings.up.loss = LossModel::Random(Chance::from_share(f64::from(percent) / 100.0));
    let root = DrawKey::new(1);
    let stream = publisher_key(root, "client");
    bencher
        .counter(ItemsCount::new(PACKETS))
        .with_inputs(|| {
            let keys = LinkKeys::new(root, "client");
            let mut link = LinkState::new(Arc::new(settings.clone()), keys);
            link.start_bursts_and_outages(Time::ZERO);
            (link, TcpStreams::<[u64; 16]>::new())
        })
        .bench_local_refs(|(link, streams)| {
            let mut now = Time::ZERO;
            for sequence in 0..PACKETS {
                let context = TcpContext { link, tcp: &TCP, client: ClientIndex(0) };
                let (value, name) = (black_box([0; 16]), name(sequence));
                let publisher_key = Some(stream);
                streams.write(now, context, StreamItem { value, bytes: 100, name, publisher_key });
                now += Span::from_millis(1);
                drain_until(link, streams, now);
            }
            drain_until(link, streams, Time::NEVER);
            assert_eq!(streams.items(Direction::Up).count(), 0);
        });
}

const TCP: TcpSettings = TcpSettings {
    headers: 40,
    mss: 1_460,
    tls: None,
    rto_min: Span::from_millis(200),
    user_timeout: Span::from_secs(600),
    nat_idle: None,
    congestion: CongestionControl::Cubic,
    client: SocketSettings::LINUX,
    broker: SocketSettings::LINUX,
};

/// Runs the due work of a connection up to `until`.
fn drain_until<T>(link: &mut LinkState, streams: &mut TcpStreams<T>, until: Time) {
    while streams.next_wake() < until {
        let now = streams.next_wake();
        black_box(streams.wake(now, TcpContext { link, tcp: &TCP, client: ClientIndex(0) }));
        while let Some(item) = streams.pop_arrived(now, &TCP, Direction::Up) {
            black_box(item);
        }
    }
}

fn name(sequence: u32) -> PacketName {
    PacketName {
        client: ClientIndex(0),
        direction: Direction::Up,
        kind: PacketKind::Publish,
        subject: PacketSubject::Message {
            publisher: PublisherIndex(0),
            sequence,
            hop: Hop::First,
            copy: 0,
            transmission: Transmission::default(),
        },
    }
}
