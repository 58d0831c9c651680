//! Helpers of several tests: trials from short scenario texts, an observer that counts.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::sync::atomic::AtomicBool;

use qoslab::base::{
    Event, Hop, MessageId, Node, Observer, PacketKind, PacketMeta, PacketSubject, PublisherIndex,
    Span, Time,
};
use qoslab::guarantee::{Finding, HistoryLine, Outcome};
use qoslab::network::FateOverride;
use qoslab::scenario::Scenario;
use qoslab::sim::event::run_with_override;
use qoslab::sim::{EventEngine, RunSummary, Trial};
use qoslab::study::judge_trial;

/// One publisher `sensor` with its own link, and a subscriber `app` on a perfect one.
pub(crate) struct TwoHopScenario<'a> {
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

impl Default for TwoHopScenario<'_> {
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

impl TwoHopScenario<'_> {
    pub(crate) fn text(&self) -> String {
        let Self { published, granted, count, every, broker, sensor, app, first, second } = self;
        let [first, second] = [first, second].map(|keys| over_datagrams_unless_said(keys));
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

/// The keys of a link, over datagrams where they do not say what carries it.
fn over_datagrams_unless_said(keys: &str) -> String {
    if keys.contains("transport") {
        return keys.to_owned();
    }
    format!("transport = \"datagram\"\n{keys}")
}

/// The only point of a scenario text, with a seed.
pub(crate) fn trial(text: &str, seed: u64) -> Trial {
    let scenario = Scenario::parse("test.toml", text).unwrap_or_else(|errors| {
        panic!("the test's scenario is wrong: {errors}\n{text}");
    });
    assert_eq!(scenario.points.len(), 1);
    scenario.points[0].trial(seed)
}

/// The verdict on a trial.
pub(crate) fn judge(trial: &Trial) -> Outcome {
    judge_trial(&EventEngine, trial, &AtomicBool::new(false))
        .expect("both passes are the same trial")
}

/// A finding in full, for a failure's message.
pub(crate) fn finding_text(finding: &Finding) -> String {
    let line = |line: &HistoryLine| format!("{}  {}\n", line.at, line.text);
    finding.history.iter().map(line).collect::<String>() + &finding.reason
}

/// Runs a trial under an observer.
pub(crate) fn run_observed<O: Observer>(
    trial: &Trial,
    observer: O,
    mut fate_override: impl FateOverride,
) -> (RunSummary, O) {
    run_with_override(trial, observer, &mut fate_override)
}

/// Runs a trial and counts the outcomes of its first stream.
pub(crate) fn run_and_count(trial: &Trial) -> (RunSummary, MessageCounts) {
    run_observed(trial, MessageCounts::default(), ())
}

/// Counts by message of the trial's first stream.
#[derive(Clone, Debug, Default)]
pub(crate) struct MessageCounts {
    pub(crate) messages: Vec<MessageCount>,
    pub(crate) refused: u64,
}

/// The counts of one message.
#[derive(Clone, Debug, Default)]
pub(crate) struct MessageCount {
    /// Packets by hop and kind, from PUBLISH to PUBCOMP.
    pub(crate) packets: [[u32; 5]; 2],
    /// `PUBLISH`es and `PUBREL`s that reached the broker.
    pub(crate) reached_broker: [u32; 2],
    pub(crate) copies: u32,
    pub(crate) latency: Option<Span>,
    pub(crate) completion: Option<Span>,
}

impl MessageCount {
    /// Message packets on both hops.
    pub(crate) fn all_packets(&self) -> u32 {
        self.packets.iter().flatten().sum()
    }
}

fn message_entry<'t>(
    tally: &'t mut MessageCounts,
    parts: &MessageId,
) -> Option<&'t mut MessageCount> {
    if parts.publisher != PublisherIndex(0) {
        return None;
    }
    let wanted = parts.sequence as usize + 1;
    if tally.messages.len() < wanted {
        tally.messages.resize_with(wanted, MessageCount::default);
    }
    Some(&mut tally.messages[wanted - 1])
}

const fn kind_index(kind: PacketKind) -> usize {
    kind as usize - PacketKind::Publish as usize
}

fn packet_hop(record: &PacketMeta<'_>) -> Hop {
    match record.name.subject {
        PacketSubject::Message { hop, .. } => hop,
        PacketSubject::Control { .. } => panic!("a control packet has no hop"),
    }
}

impl Observer for MessageCounts {
    fn observe(&mut self, now: Time, event: &Event<'_>) {
        match event {
            Event::Sent { packet: record, .. } => {
                let Some(parts) = record.tag.message_id() else { return };
                let Some(message) = message_entry(self, &parts) else { return };
                message.packets[packet_hop(record) as usize][kind_index(record.kind())] += 1;
            }
            Event::Arrived { node: Node::Broker, packet: record, .. } => {
                let Some(parts) = record.tag.message_id() else { return };
                let Some(message) = message_entry(self, &parts) else { return };
                match record.kind() {
                    PacketKind::Publish => message.reached_broker[0] += 1,
                    PacketKind::PubRel => message.reached_broker[1] += 1,
                    _ => {}
                }
            }
            Event::Submitted { tag } => {
                let parts = tag.message_id().unwrap();
                message_entry(self, &parts);
            }
            Event::Delivered { tag, .. } => {
                let parts = tag.message_id().unwrap();
                let Some(message) = message_entry(self, &parts) else { return };
                message.copies += 1;
                message.latency.get_or_insert(now.since(parts.published));
            }
            Event::Completed { tag } => {
                let parts = tag.message_id().unwrap();
                let Some(message) = message_entry(self, &parts) else { return };
                message.completion = Some(now.since(parts.published));
            }
            Event::Refused { .. } => self.refused += 1,
            _ => {}
        }
    }
}
