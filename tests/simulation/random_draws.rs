//! Random draws are keyed by names: a change in a scenario does not shift the draws of others.

use std::collections::{BTreeMap, BTreeSet};

use crate::common::{TwoHopScenario, run_observed};
use qoslab::base::{
    Event, Fate, Observer, PacketKind, PacketName, PacketSubject, PublisherIndex, Span, Time,
};
use qoslab::sim::Trial;

/// The fate of each packet of the first client's stream: the time it took, or its loss.
#[derive(Default)]
struct PacketFates(BTreeMap<PacketName, Option<Span>>);

impl Observer for PacketFates {
    fn observe(&mut self, now: Time, event: &Event<'_>) {
        let Event::Sent { packet: record, fate, .. } = event else { return };
        let ours = |subject: PacketSubject| {
            matches!(subject, PacketSubject::Message { publisher: PublisherIndex(0), .. })
        };
        if !ours(record.name.subject) {
            return;
        }
        let took = match fate {
            Fate::Lost(_) | Fate::Streamed => None,
            Fate::Arrives(arrival) => Some(arrival.at.since(now)),
        };
        self.0.insert(record.name, took);
    }
}

fn packet_fates(trial: &Trial) -> BTreeMap<PacketName, Option<Span>> {
    run_observed(trial, PacketFates::default(), ()).1.0
}

const LINK: &str =
    "delay = { time = \"50ms\", jitter = \"20ms\", distribution = \"normal\" }\nloss = \"20%\"";

fn two_hop_scenario(published: u8) -> TwoHopScenario<'static> {
    TwoHopScenario {
        published,
        count: 300,
        every: "100ms",
        first: LINK,
        second: LINK,
        ..TwoHopScenario::default()
    }
}

/// Asserts that both have the same fate for every packet they share, and that they share most.
fn assert_same_draws(
    one: &BTreeMap<PacketName, Option<Span>>,
    other: &BTreeMap<PacketName, Option<Span>>,
) {
    let shared: Vec<_> = one.keys().filter(|name| other.contains_key(name)).collect();
    assert!(shared.len() * 2 > one.len().min(other.len()), "{} shared", shared.len());
    for name in shared {
        assert_eq!(one[name], other[name], "{name:?}");
    }
}

#[test]
fn every_qos_loses_the_same_first_publishes() {
    let lost = |published| -> BTreeSet<u32> {
        let fates = packet_fates(&two_hop_scenario(published).trial(7));
        let lost = fates.into_iter().filter(|(_, took)| took.is_none());
        lost.filter_map(|(name, _)| match name.subject {
            PacketSubject::Message { sequence, transmission, copy: 0, .. }
                if name.kind == PacketKind::Publish
                    && transmission.attempt == 0
                    && name.client.0 == 0 =>
            {
                Some(sequence)
            }
            _ => None,
        })
        .collect()
    };
    let (zero, one, two) = (lost(0), lost(1), lost(2));
    assert!((30..90).contains(&zero.len()), "{}", zero.len());
    assert_eq!(zero, one);
    assert_eq!(zero, two);
}

#[test]
fn adding_a_client_does_not_change_other_fates() {
    let text = two_hop_scenario(2).text();
    let more = format!(
        "{text}
[[client]]
name = \"another\"
[[client.publish]]
topic = \"t\"
qos = 1
count = 50
every = \"70ms\"
payload = \"10B\"
[[link]]
between = [\"another\", \"broker\"]
transport = \"datagram\"
{LINK}
"
    );
    assert_same_draws(
        &packet_fates(&crate::common::trial(&text, 3)),
        &packet_fates(&crate::common::trial(&more, 3)),
    );
}

#[test]
fn duplication_does_not_change_the_fates_of_originals() {
    let plain = two_hop_scenario(1);
    let doubled = format!("{LINK}\nduplicate = \"30%\"");
    let doubling = TwoHopScenario { first: &doubled, second: &doubled, ..two_hop_scenario(1) };
    // A duplicate that comes first is the packet's first arrival: compare what is lost.
    let lost = |line: &TwoHopScenario<'_>| -> BTreeMap<_, _> {
        packet_fates(&line.trial(3))
            .into_iter()
            .map(|(name, took)| (name, took.is_none()))
            .collect()
    };
    let (plain, doubled) = (lost(&plain), lost(&doubling));
    let shared: Vec<_> = plain.keys().filter(|name| doubled.contains_key(name)).collect();
    assert!(shared.len() > 1_000, "{}", shared.len());
    for name in shared {
        assert_eq!(plain[name], doubled[name], "{name:?}");
    }
}

#[test]
fn raising_the_loss_only_adds_losses() {
    let more = LINK.replace("20%", "40%");
    let worse = TwoHopScenario { first: &more, second: &more, ..two_hop_scenario(1) };
    let (few, many) = (packet_fates(&two_hop_scenario(1).trial(3)), packet_fates(&worse.trial(3)));
    for (name, took) in few {
        if took.is_none()
            && let Some(also) = many.get(&name)
        {
            assert!(also.is_none(), "{name:?} was lost at 20 % and not at 40 %");
        }
    }
}

#[test]
fn removing_messages_does_not_change_other_fates_and_times() {
    let text = two_hop_scenario(2).text();
    let some = text.replace("count = 300", "count = 300\nonly = [0, 7, 123, 299]");
    let (all, some) = (
        packet_fates(&crate::common::trial(&text, 3)),
        packet_fates(&crate::common::trial(&some, 3)),
    );
    assert!(!some.is_empty());
    for (name, took) in some {
        assert_eq!(all.get(&name), Some(&took), "{name:?}");
    }
}
