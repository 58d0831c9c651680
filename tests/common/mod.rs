//! What several tests share: trials from short scenario texts, an observer that counts, and what
//! is in a folder of results.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]
#![allow(dead_code, clippy::allow_attributes, reason = "each test uses a part of it")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use qoslab::base::event::{Event, Observer, Record};
use qoslab::base::name::{Hop, Kind, Node, Parts, StreamIndex, Subject};
use qoslab::base::time::{Span, Time};
use qoslab::network::overrule::Overrule;
use qoslab::scenario::Scenario;
use qoslab::sim::event::{Ended, Options, run};
use qoslab::sim::trial::Trial;

/// One publisher `sensor` with its own link, and a subscriber `app` on a perfect one.
pub(crate) struct Line<'a> {
    pub(crate) published: u8,
    pub(crate) granted: u8,
    pub(crate) count: u32,
    pub(crate) every: &'a str,
    /// Further keys of `[broker]`.
    pub(crate) broker: &'a str,
    /// Further keys of the publisher.
    pub(crate) sensor: &'a str,
    /// Further keys of the subscriber.
    pub(crate) app: &'a str,
    /// Keys of the publisher's link.
    pub(crate) first: &'a str,
    /// Keys of the subscriber's link.
    pub(crate) second: &'a str,
}

impl Default for Line<'_> {
    fn default() -> Self {
        Self {
            published: 1,
            granted: 2,
            count: 1,
            every: "1s",
            broker: "retry = \"1s\"",
            sensor: "",
            app: "",
            first: "delay = \"50ms\"",
            second: "delay = \"1us\"",
        }
    }
}

impl Line<'_> {
    pub(crate) fn text(&self) -> String {
        let Self { published, granted, count, every, broker, sensor, app, first, second } = self;
        format!(
            r#"
schema = 1
name = "line"
deadline = "100d"
[broker]
max_inflight = 65535
{broker}
[[client]]
name = "sensor"
max_inflight = 65535
{sensor}
[[client.publish]]
topic = "t"
qos = {published}
count = {count}
every = "{every}"
payload = "64B"
[[client]]
name = "app"
{app}
[[client.subscribe]]
filter = "t"
qos = {granted}
[[link]]
between = ["sensor", "broker"]
{first}
[[link]]
between = ["app", "broker"]
{second}
"#
        )
    }

    pub(crate) fn trial(&self, seed: u64) -> Trial {
        trial(&self.text(), seed)
    }
}

/// The only point of a scenario text, with a seed.
pub(crate) fn trial(text: &str, seed: u64) -> Trial {
    let scenario = Scenario::parse("test.toml", text).unwrap_or_else(|errors| {
        panic!("the test's scenario is wrong: {errors}\n{text}");
    });
    assert_eq!(scenario.points.len(), 1);
    scenario.points[0].trial(seed)
}

/// Runs a trial under an observer.
pub(crate) fn watch<O: Observer, R: Overrule>(
    trial: &Trial,
    observer: O,
    overrule: R,
) -> (Ended, O) {
    run(trial, observer, Options::under(overrule))
}

/// Runs a trial and counts what became of its first stream.
pub(crate) fn count(trial: &Trial) -> (Ended, Tally) {
    watch(trial, Tally::default(), ())
}

/// Counts by message of the trial's first stream.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) messages: Vec<Message>,
    pub(crate) refused: u64,
    pub(crate) unacknowledged: u64,
}

/// What became of one message.
#[derive(Clone, Debug, Default)]
pub(crate) struct Message {
    /// Packets by hop and kind, from PUBLISH to PUBCOMP.
    pub(crate) packets: [[u32; 5]; 2],
    /// `PUBLISH`es and `PUBREL`s that reached the broker.
    pub(crate) reached_broker: [u32; 2],
    pub(crate) copies: u32,
    pub(crate) latency: Option<Span>,
    pub(crate) completion: Option<Span>,
}

impl Message {
    /// Message packets on both hops.
    pub(crate) fn all_packets(&self) -> u32 {
        self.packets.iter().flatten().sum()
    }
}

fn message<'t>(tally: &'t mut Tally, parts: &Parts) -> Option<&'t mut Message> {
    if parts.stream != StreamIndex(0) {
        return None;
    }
    let wanted = parts.sequence as usize + 1;
    if tally.messages.len() < wanted {
        tally.messages.resize_with(wanted, Message::default);
    }
    Some(&mut tally.messages[wanted - 1])
}

const fn place(kind: Kind) -> usize {
    kind as usize - Kind::Publish as usize
}

fn hop(record: &Record<'_>) -> Hop {
    match record.name.subject {
        Subject::Message { hop, .. } => hop,
        Subject::Control { .. } => panic!("a control packet has no hop"),
    }
}

impl Observer for Tally {
    fn observe(&mut self, now: Time, event: &Event<'_>) {
        match event {
            Event::Sent { record, .. } => {
                let Some(parts) = record.tag.parts() else { return };
                let Some(message) = message(self, &parts) else { return };
                message.packets[hop(record) as usize][place(record.kind())] += 1;
            }
            Event::Arrived { node: Node::Broker, record, .. } => {
                let Some(parts) = record.tag.parts() else { return };
                let Some(message) = message(self, &parts) else { return };
                match record.kind() {
                    Kind::Publish => message.reached_broker[0] += 1,
                    Kind::PubRel => message.reached_broker[1] += 1,
                    _ => {}
                }
            }
            Event::Submitted { tag } => {
                let parts = tag.parts().unwrap();
                message(self, &parts);
            }
            Event::Delivered { tag, .. } => {
                let parts = tag.parts().unwrap();
                let Some(message) = message(self, &parts) else { return };
                message.copies += 1;
                message.latency.get_or_insert(now.since(parts.published));
            }
            Event::Completed { tag } => {
                let parts = tag.parts().unwrap();
                let Some(message) = message(self, &parts) else { return };
                message.completion = Some(now.since(parts.published));
            }
            Event::Refused { .. } => self.refused += 1,
            _ => {}
        }
    }
}

/// Every file in and below a results folder, by its path there.
pub(crate) fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = PathBuf::from(path.file_name().unwrap());
        if path.is_dir() {
            found.extend(files(&path).into_iter().map(|(below, file)| (name.join(below), file)));
        } else {
            found.insert(name, fs::read(&path).unwrap());
        }
    }
    found
}
