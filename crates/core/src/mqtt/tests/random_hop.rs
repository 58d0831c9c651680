//! Random lives of one correct hop over a stream: connections break at any packet, endpoints crash
//! with durable stores, limits change, messages expire.

use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::hop_world::HopWorld;
use crate::base::QoS;
use crate::mqtt::settings::{DeliverOn, HopSettings, ReceiverLimits, Version};

#[derive(Clone, Debug)]
enum HopStep {
    Publish { qos: QoS, expires: Option<u64> },
    Wait(u64),
    Break { after: u32 },
    Connect { how: ConnectionEnding, limits: ReceiverLimits, breaks_after: Option<u32> },
}

#[derive(Clone, Copy, Debug)]
enum ConnectionEnding {
    Cut,
    SenderCrash,
    ReceiverCrash,
}

const ENDINGS: [ConnectionEnding; 3] =
    [ConnectionEnding::Cut, ConnectionEnding::SenderCrash, ConnectionEnding::ReceiverCrash];

fn step() -> impl Strategy<Value = HopStep> {
    let expires = prop::option::weighted(0.3, 1..4_u64);
    let window = prop_oneof![1..4_u16, Just(u16::MAX)];
    let limits = (window, 0..2_u16).prop_map(|(receive_maximum, topic_alias_maximum)| {
        ReceiverLimits { receive_maximum, topic_alias_maximum, ..ReceiverLimits::NONE }
    });
    prop_oneof![
        4 => (select(&QoS::ALL[..]), expires)
            .prop_map(|(qos, expires)| HopStep::Publish { qos, expires }),
        1 => (1..3_u64).prop_map(HopStep::Wait),
        1 => (0..9_u32).prop_map(|after| HopStep::Break { after }),
        2 => (select(&ENDINGS[..]), limits, prop::option::of(0..9_u32))
            .prop_map(|(how, limits, breaks_after)| HopStep::Connect { how, limits, breaks_after }),
    ]
}

/// Facts found in a stream of log lines.
#[derive(Default)]
struct HopHistory {
    delivered: BTreeMap<u32, (QoS, u32)>,
    /// First copies of QoS 1 and 2, as they came.
    order: Vec<u32>,
    ended: BTreeMap<u32, String>,
    /// Ids whose exchange the sender has not seen the end of.
    in_use: BTreeSet<String>,
}

impl HopHistory {
    /// Reads what was said on one connection.
    fn read(&mut self, log: &[String], limits: ReceiverLimits) {
        let mut unacknowledged = BTreeSet::new();
        for line in log {
            let words: Vec<_> = line.split(' ').collect();
            let number = || words[1].trim_start_matches('#').parse::<u32>().unwrap();
            let arrived = !line.ends_with("LOST");
            match words[..] {
                [">", "PUBLISH", _, qos, id, ..] if qos != "q0" => {
                    unacknowledged.insert(id.to_owned());
                    let is_new = self.in_use.insert(id.to_owned());
                    assert_eq!(is_new, !words.contains(&"dup"), "DUP and ids: {line}");
                }
                ["<", "PUBACK" | "PUBCOMP", id, ..] if arrived => {
                    unacknowledged.remove(id);
                    self.in_use.remove(id);
                }
                ["deliver", _, qos] => {
                    let qos = QoS::from_number(qos[1..].parse().unwrap()).unwrap();
                    let (_, copies) = self.delivered.entry(number()).or_insert((qos, 0));
                    *copies += 1;
                    if *copies == 1 && qos != QoS::AtMostOnce {
                        self.order.push(number());
                    }
                }
                ["complete" | "refuse", ..] => {
                    assert_eq!(self.ended.insert(number(), line.clone()), None, "ended twice");
                }
                _ => {}
            }
            assert!(unacknowledged.len() <= usize::from(limits.receive_maximum), "{log:?}");
        }
    }

    fn copies(&self, message: u32) -> u32 {
        self.delivered.get(&message).map_or(0, |(_, copies)| *copies)
    }
}

fn run_history(hop: &mut HopWorld, steps: Vec<HopStep>) -> (HopHistory, Vec<QoS>) {
    let mut seen = HopHistory::default();
    let mut published = Vec::new();
    let final_reconnect = HopStep::Connect {
        how: ConnectionEnding::Cut,
        limits: ReceiverLimits::NONE,
        breaks_after: None,
    };
    for step in steps.into_iter().chain([final_reconnect]) {
        match step {
            HopStep::Publish { qos, expires } => {
                published.push(qos);
                match expires {
                    Some(secs) => hop.publish_expiring(qos, secs),
                    None => hop.publish(qos),
                }
            }
            HopStep::Wait(secs) => hop.wait(secs),
            // What is broken stays so until the next connection.
            HopStep::Break { after } => {
                hop.breaks_after.get_or_insert(after);
            }
            HopStep::Connect { how, limits, breaks_after } => {
                match how {
                    ConnectionEnding::Cut => hop.disconnect(),
                    ConnectionEnding::SenderCrash => hop.crash_sender(),
                    ConnectionEnding::ReceiverCrash => hop.crash_receiver(),
                }
                seen.read(&hop.take_log(), hop.limits);
                hop.limits = limits;
                hop.breaks_after = breaks_after;
                hop.connect();
            }
        }
    }
    seen.read(&hop.take_log(), hop.limits);
    (seen, published)
}

proptest! {
    #[test]
    fn a_correct_hop_keeps_its_promises_under_any_history(
        steps in vec(step(), 1..40),
        window in 1..5_u16,
        deliver_on in select(&[DeliverOn::Publish, DeliverOn::Release][..]),
    ) {
        let sending = HopSettings { max_inflight: window, ..HopSettings::default() };
        let receiving = HopSettings { deliver_on, ..HopSettings::default() };
        let mut hop = HopWorld::new(Version::V5, sending, receiving);
        let (seen, published) = run_history(&mut hop, steps);
        for (message, qos) in (1..).zip(published) {
            let copies = seen.copies(message);
            let end = seen.ended.get(&message).map_or("", String::as_str);
            let expired = end.ends_with("Expired");
            prop_assert!(expired || end.starts_with("complete"), "#{message}: {end:?}");
            match qos {
                _ if expired => prop_assert_eq!(copies, 0),
                QoS::AtMostOnce => prop_assert!(copies <= 1),
                QoS::AtLeastOnce => prop_assert!(copies >= 1),
                QoS::ExactlyOnce => prop_assert_eq!(copies, 1),
            }
        }
        if deliver_on == DeliverOn::Publish {
            prop_assert!(seen.order.is_sorted(), "{:?}", seen.order);
        }
        prop_assert_eq!(hop.backlog(), (0, 0));
    }
}
