//! What deciding one packet's fate costs.

use std::sync::Arc;

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use qoslab::base::draw::{Chance, Key};
use qoslab::base::name::{ClientIndex, Hop, Kind, PacketName, StreamIndex};
use qoslab::base::name::{Subject, Transmission, Way};
use qoslab::base::time::{Span, Time};
use qoslab::network::link::{LinkKeys, LinkState, origin};
use qoslab::network::presets;
use qoslab::network::settings::{DirectionSettings, Distribution, LinkSettings, LossModel};

const PACKETS: u32 = 10_000;

fn main() {
    divan::main();
}

/// Random loss and a constant delay: the plainest network that is one.
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

#[divan::bench(args = presets::ALL.map(|(name, _)| name))]
fn preset(bencher: Bencher<'_, '_>, name: &str) {
    bench(bencher, &presets::by_name(name).expect("the name is from the list"));
}

fn lossy() -> LinkSettings {
    let way = DirectionSettings {
        loss: LossModel::Random(Chance::from_share(0.05)),
        ..DirectionSettings::clean(Span::from_millis(50))
    };
    LinkSettings::datagram(way.clone(), way)
}

/// Packets of 100 bytes a millisecond apart.
fn bench(bencher: Bencher<'_, '_>, settings: &LinkSettings) {
    let root = Key::new(1);
    let stream = origin(root, "client");
    bencher
        .counter(ItemsCount::new(PACKETS))
        .with_inputs(|| {
            let keys = LinkKeys::new(root, "client");
            let mut link = LinkState::new(Arc::new(settings.clone()), keys);
            link.traffic_began(Time::ZERO);
            link
        })
        .bench_local_refs(|link| {
            for sequence in 0..PACKETS {
                let now = Time::ZERO + Span::from_millis(u64::from(sequence));
                black_box(link.fate(now, Some(stream), &black_box(name(sequence)), 100));
            }
        });
}

fn name(sequence: u32) -> PacketName {
    PacketName {
        client: ClientIndex(0),
        way: Way::Up,
        kind: Kind::Publish,
        subject: Subject::Message {
            stream: StreamIndex(0),
            sequence,
            hop: Hop::First,
            copy: 0,
            transmission: Transmission::default(),
        },
    }
}
