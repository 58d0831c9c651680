//! Luck belongs to names: what one changes in a scenario does not shift anybody else's.

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::{Line, watch};
use qoslab::base::event::{Event, Fate, Observer};
use qoslab::base::name::{Kind, PacketName, StreamIndex, Subject};
use qoslab::base::time::{Span, Time};
use qoslab::sim::trial::Trial;

/// What became of each packet of the first client's stream: the time it took, or its loss.
#[derive(Default)]
struct Fates(BTreeMap<PacketName, Option<Span>>);

impl Observer for Fates {
    fn observe(&mut self, now: Time, event: &Event<'_>) {
        let Event::Sent { record, fate, .. } = event else { return };
        let ours =
            |subject: Subject| matches!(subject, Subject::Message { stream: StreamIndex(0), .. });
        if !ours(record.name.subject) {
            return;
        }
        let took = match fate {
            Fate::Lost(_) | Fate::Stream => None,
            Fate::Arrives(arrival) => Some(arrival.at.since(now)),
        };
        self.0.insert(record.name, took);
    }
}

fn fates(trial: &Trial) -> BTreeMap<PacketName, Option<Span>> {
    watch(trial, Fates::default(), ()).1.0
}

const LINK: &str =
    "delay = { time = \"50ms\", jitter = \"20ms\", distribution = \"normal\" }\nloss = \"20%\"";

fn line(published: u8) -> Line<'static> {
    Line { published, count: 300, every: "100ms", first: LINK, second: LINK, ..Line::default() }
}

/// Both hold the same fate for every packet they share, and they share most.
fn assert_same_luck(
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
        let fates = fates(&line(published).trial(7));
        let lost = fates.into_iter().filter(|(_, took)| took.is_none());
        lost.filter_map(|(name, _)| match name.subject {
            Subject::Message { sequence, transmission, copy: 0, .. }
                if name.kind == Kind::Publish
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
fn adding_a_client_leaves_the_others_their_fates() {
    let text = line(2).text();
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
{LINK}
"
    );
    assert_same_luck(&fates(&common::trial(&text, 3)), &fates(&common::trial(&more, 3)));
}

#[test]
fn turning_duplication_on_leaves_the_originals_their_fates() {
    let plain = line(1);
    let doubled = format!("{LINK}\nduplicate = \"30%\"");
    let doubling = Line { first: &doubled, second: &doubled, ..line(1) };
    // A duplicate that comes first is the packet's first arrival: compare what is lost.
    let lost = |line: &Line<'_>| -> BTreeMap<_, _> {
        fates(&line.trial(3)).into_iter().map(|(name, took)| (name, took.is_none())).collect()
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
    let worse = Line { first: &more, second: &more, ..line(1) };
    let (few, many) = (fates(&line(1).trial(3)), fates(&worse.trial(3)));
    for (name, took) in few {
        if took.is_none()
            && let Some(also) = many.get(&name)
        {
            assert!(also.is_none(), "{name:?} was lost at 20 % and not at 40 %");
        }
    }
}

#[test]
fn removing_messages_leaves_the_others_their_fates_and_times() {
    let text = line(2).text();
    let some = text.replace("count = 300", "count = 300\nonly = [0, 7, 123, 299]");
    let (all, some) = (fates(&common::trial(&text, 3)), fates(&common::trial(&some, 3)));
    assert!(!some.is_empty());
    for (name, took) in some {
        assert_eq!(all.get(&name), Some(&took), "{name:?}");
    }
}
