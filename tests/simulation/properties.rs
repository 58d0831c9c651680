//! Properties that must hold on every network that does not reorder, whatever else it does.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::collections::{BTreeMap, BTreeSet};

use crate::common::{TwoHopScenario, run_and_count, run_observed};
use proptest::prelude::*;
use qoslab::base::{
    Direction, Ending, Event, Hop, MessageId, Node, Observer, PacketKind, PacketName,
    PacketSubject, QoS, Time,
};

/// A network that loses, duplicates and delays, but keeps the order of each direction.
#[derive(Clone, Debug)]
struct Network {
    seed: u64,
    delay_ms: u32,
    retry_ms: u32,
    backoff: bool,
    loss: [u32; 4],
    burst: bool,
    duplicate: u32,
    window: u32,
    count: u32,
    every_ms: u32,
    deliver_on_pubrel: bool,
    version: usize,
    published: u8,
    granted: u8,
}

fn network() -> impl Strategy<Value = Network> {
    let timing = (1..300_u32, 20..400_u32, any::<bool>());
    let impairments = (prop::array::uniform4(0..45_u32), any::<bool>(), 0..30_u32);
    let load = (1..40_u32, 1..50_u32, 1..200_u32);
    let choice = (any::<bool>(), 0..3_usize, 0..3_u8, 0..3_u8);
    (any::<u32>(), timing, impairments, load, choice).prop_map(
        |(
            seed,
            (delay_ms, retry_ms, backoff),
            (loss, burst, duplicate),
            (window, count, every_ms),
            (on_release, version, published, granted),
        )| Network {
            seed: u64::from(seed),
            delay_ms,
            retry_ms,
            backoff,
            loss,
            burst,
            duplicate,
            window,
            count,
            every_ms,
            deliver_on_pubrel: on_release,
            version,
            published,
            granted,
        },
    )
}

impl Network {
    fn text(&self) -> String {
        let Self { delay_ms, retry_ms, duplicate, window, .. } = self;
        let backoff = if self.backoff { "backoff = 1.5" } else { "" };
        let retry = if self.backoff {
            format!("retry = {{ every = \"{retry_ms}ms\", {backoff} }}")
        } else {
            format!("retry = \"{retry_ms}ms\"")
        };
        let deliver_on = if self.deliver_on_pubrel { "pubrel" } else { "publish" };
        let mqtt = ["3.1", "3.1.1", "5.0"][self.version];
        let link = |up: u32, down: u32| {
            let loss = |rate: u32| {
                if self.burst {
                    format!("{{ loss = {{ burst = {{ good = \"2s\", bad = \"{rate}ms\" }} }} }}")
                } else {
                    format!("{{ loss = \"{rate}%\" }}")
                }
            };
            let (up, down) = (loss(up.max(1)), loss(down.max(1)));
            format!(
                "delay = \"{delay_ms}ms\"\nduplicate = \"{duplicate}%\"\nup = {up}\ndown = {down}"
            )
        };
        // A retry timer below the round trip makes dozens of copies of a message on each hop: with
        // the default queue of 1,000 the broker would rightly drop some.
        let broker = format!("{retry}\nmax_queued = 1000000\ndeliver_on = \"{deliver_on}\"");
        let text = TwoHopScenario {
            published: self.published,
            granted: self.granted,
            count: self.count,
            every: &format!("{}ms", self.every_ms),
            broker: &broker,
            sensor: &retry,
            app: &format!("deliver_on = \"{deliver_on}\""),
            first: &link(self.loss[0], self.loss[1]),
            second: &link(self.loss[2], self.loss[3]),
        }
        .text();
        text.replace("max_inflight = 65535", &format!("max_inflight = {window}"))
            .replace("schema = 1", &format!("schema = 1\nmqtt = \"{mqtt}\""))
    }
}

/// Watches names, ids and levels of every packet.
#[derive(Default)]
struct NameAndIdChecker {
    names: BTreeSet<PacketName>,
    /// The exchange that holds each id, by sender's link, direction and packet id.
    in_flight: BTreeMap<(u32, Direction, u16), MessageId>,
    granted: u8,
    violations: Vec<String>,
}

impl Observer for NameAndIdChecker {
    fn observe(&mut self, now: Time, event: &Event<'_>) {
        match event {
            Event::Sent { packet: record, node, .. } => {
                if !self.names.insert(record.name) {
                    self.violations.push(format!("{now}: {:?} sent twice", record.name));
                }
                if record.kind() != PacketKind::Publish {
                    return;
                }
                let parts = record.tag.message_id().unwrap();
                let hop = match record.name.subject {
                    PacketSubject::Message { hop, .. } => hop,
                    PacketSubject::Control { .. } => panic!("a PUBLISH is a message's"),
                };
                assert_eq!(hop == Hop::Second, *node == Node::Broker);
                let qos = record.qos().unwrap();
                if hop == Hop::Second && qos.number() > parts.qos.number().min(self.granted) {
                    self.violations.push(format!("{now}: {parts:?} forwarded at {qos}"));
                }
                if qos != QoS::AtMostOnce {
                    let key = (record.name.client.0, record.name.direction, record.id);
                    let holder = *self.in_flight.entry(key).or_insert(parts);
                    if holder != parts {
                        self.violations.push(format!("{now}: {parts:?} takes {holder:?}'s id"));
                    }
                }
            }
            Event::Arrived { packet: record, .. }
                if matches!(record.kind(), PacketKind::PubAck | PacketKind::PubComp) =>
            {
                let key = (record.name.client.0, record.name.direction.reverse(), record.id);
                let ends = |holder: &MessageId| Some(*holder) == record.tag.message_id();
                if self.in_flight.get(&key).is_some_and(ends) {
                    self.in_flight.remove(&key);
                }
            }
            _ => {}
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn without_reordering_each_level_keeps_its_promise(network in network()) {
        each_level_keeps_its_promise(&network)?;
    }

    #[test]
    fn names_are_unique_ids_unshared_and_no_forward_exceeds_its_grant(network in network()) {
        let trial = crate::common::trial(&network.text(), network.seed);
        let checker = NameAndIdChecker { granted: network.granted, ..NameAndIdChecker::default() };
        let (_, checker) = run_observed(&trial, checker, ());
        prop_assert!(checker.violations.is_empty(), "{:#?}", checker.violations);
        prop_assert!(checker.names.len() >= network.count as usize);
    }

    #[test]
    fn names_are_unique_even_where_packets_overtake_and_retained_copies_come(
        network in network(),
        clean in any::<bool>(),
    ) {
        let session = if clean { "clean" } else { "persistent" };
        let text = network.text()
            .replace(
                &format!("delay = \"{}ms\"", network.delay_ms),
                &format!(
                    "delay = {{ time = \"{0}ms\", jitter = \"{0}ms\" }}\nreorder = \"5%\"",
                    network.delay_ms,
                ),
            )
            .replace("topic = \"t\"", "topic = \"t\"\nretain = true")
            .replace("name = \"app\"", &format!("name = \"app\"\nsession = \"{session}\""))
            .replace("[[link]]\nbetween = [\"sensor\"", "[[client.subscribe]]
filter = \"+\"
qos = 2
[[client.subscribe]]
filter = \"#\"
qos = 1
at = \"1s\"
[[link]]
between = [\"sensor\"");
        let trial = crate::common::trial(&text, network.seed);
        let checker = NameAndIdChecker { granted: 2, ..NameAndIdChecker::default() };
        let (_, checker) = run_observed(&trial, checker, ());
        let twice = checker.violations.iter().filter(|complaint| complaint.contains("twice"));
        prop_assert_eq!(twice.count(), 0, "{:#?}", checker.violations);
    }
}

/// More copies wait for the second hop than the broker's default queue holds.
#[test]
fn a_retry_timer_far_below_the_round_trip_breaks_no_promise() {
    let network = Network {
        seed: 1_552_766_733,
        delay_ms: 210,
        retry_ms: 20,
        backoff: false,
        loss: [0; 4],
        burst: false,
        duplicate: 25,
        window: 2,
        count: 43,
        every_ms: 121,
        deliver_on_pubrel: false,
        version: 0,
        published: 1,
        granted: 1,
    };
    each_level_keeps_its_promise(&network).unwrap();
}

fn each_level_keeps_its_promise(network: &Network) -> Result<(), TestCaseError> {
    let trial = crate::common::trial(&network.text(), network.seed);
    let (ended, tally) = run_and_count(&trial);
    prop_assert_eq!(ended.ending, Ending::Quiescent);
    prop_assert_eq!(tally.messages.len(), network.count as usize);
    for message in &tally.messages {
        match (network.published, network.granted) {
            (2, 2) => prop_assert_eq!(message.copies, 1),
            (1 | 2, 1 | 2) => prop_assert!(message.copies >= 1),
            (0 | 2, _) if network.duplicate == 0 => prop_assert!(message.copies <= 1),
            _ => {}
        }
        if network.published > 0 {
            prop_assert!(message.completion.is_some());
        }
    }
    Ok(())
}
