//! Every pair of faults, at every two points between packets, over byte streams and with durable
//! stores: what each QoS promises holds, and nothing stays behind.

use super::mqtt_world::{Fault, MqttWorld, stream_broker, stream_client};
use crate::base::QoS::{self, AtLeastOnce, AtMostOnce, ExactlyOnce};
use crate::mqtt::endpoint::Endpoint;
use crate::mqtt::quirks::Quirk;
use crate::mqtt::settings::{ClientRequest, ClientSettings, DeliverOn, Version};

const FAULTS: [Fault; 7] = [
    Fault::Cut(0),
    Fault::Cut(1),
    Fault::HalfOpen(0),
    Fault::HalfOpen(1),
    Fault::BrokerCrash,
    Fault::ClientCrash(0),
    Fault::ClientCrash(1),
];
/// The messages of one trial, in order.
const MESSAGES: [QoS; 4] = [ExactlyOnce, AtLeastOnce, ExactlyOnce, AtMostOnce];

#[derive(Clone, Copy, Debug)]
struct EndpointConfig {
    version: Version,
    deliver_on: DeliverOn,
    quirk: Option<Quirk>,
}

/// Every setting that a pair of correct endpoints can have here.
fn correct_configs() -> impl Iterator<Item = EndpointConfig> {
    [Version::V31, Version::V311, Version::V5].into_iter().flat_map(|version| {
        [DeliverOn::Publish, DeliverOn::Release].map(|deliver_on| EndpointConfig {
            version,
            deliver_on,
            quirk: None,
        })
    })
}

/// Publishes everything under the faults, reconnects all, and returns what was delivered and
/// how many packets arrived since the last fault.
fn run(config: EndpointConfig, faults: &[(usize, Fault)]) -> (Vec<String>, usize) {
    let mut hop = stream_client("a").hop;
    hop.deliver_on = config.deliver_on;
    if let Some(quirk) = config.quirk {
        hop.quirks = quirk.into();
    }
    let settings = |name| ClientSettings { version: config.version, hop, ..stream_client(name) };
    let mut broker = stream_broker();
    broker.hop = hop;
    let mut world = MqttWorld::new(broker, vec![settings("a"), settings("b")]);
    world.subscribe(1, "t", ExactlyOnce);
    world.take_log();
    world.plan_faults(faults);
    for qos in MESSAGES {
        world.publish(0, qos);
    }
    let arrived = world.arrived();
    for client in [0, 1] {
        world.ask(client, ClientRequest::Reconnect);
    }
    for backlog in [world.broker().backlog(), world.client(0).backlog()] {
        assert_eq!((backlog.in_flight, backlog.queued), (0, 0), "{config:?} {faults:?}");
    }
    (world.deliveries(), arrived)
}

/// How often each message was delivered.
fn copies(delivered: &[String]) -> [usize; MESSAGES.len()] {
    std::array::from_fn(|n| {
        let copy = format!("1 #{} q{}", n + 1, MESSAGES[n]);
        delivered.iter().filter(|line| **line == copy).count()
    })
}

/// Whether every promise was kept.
fn keeps_promises(delivered: &[String]) -> bool {
    let copies = copies(delivered);
    let mut firsts: Vec<&String> = Vec::new();
    for line in delivered.iter().filter(|line| line.ends_with("q2")) {
        if !firsts.contains(&line) {
            firsts.push(line);
        }
    }
    delivered.len() == copies.iter().sum::<usize>()
        && firsts.is_sorted()
        && MESSAGES.into_iter().zip(copies).all(|(qos, copies)| match qos {
            AtMostOnce => copies <= 1,
            AtLeastOnce => copies >= 1,
            ExactlyOnce => copies == 1,
        })
}

/// Every trial with two faults, the second at most `reach` packets after the first.
fn fault_pairs(config: EndpointConfig, reach: usize) -> impl Iterator<Item = [(usize, Fault); 2]> {
    let (_, packets) = run(config, &[]);
    let at = move |within: usize| (0..=within).flat_map(|at| FAULTS.map(|fault| (at, fault)));
    at(packets).flat_map(move |first| at(reach).map(move |second| [first, second]))
}

#[test]
fn without_a_fault_every_message_is_delivered_once() {
    for make in correct_configs() {
        let (delivered, packets) = run(make, &[]);
        assert_eq!(copies(&delivered), [1; MESSAGES.len()], "{make:?}");
        assert_eq!(packets, 8 + 4 + 8 + 2, "{make:?}");
    }
}

#[test]
fn every_promise_is_kept_under_every_two_faults() {
    for make in correct_configs() {
        for faults in fault_pairs(make, 8) {
            let (delivered, _) = run(make, &faults);
            assert!(keeps_promises(&delivered), "{make:?} {faults:?}: {delivered:?}");
        }
    }
}

#[test]
fn some_two_faults_break_a_promise_of_each_endpoint_that_forgets() {
    for quirk in [
        Quirk::NoDedupe,
        Quirk::DedupeLostOnRestart,
        Quirk::DropInflightOnResume,
        Quirk::AckBeforeStore,
    ] {
        let make = EndpointConfig {
            version: Version::V311,
            deliver_on: DeliverOn::Publish,
            quirk: Some(quirk),
        };
        let broken = fault_pairs(make, 4).any(|faults| !keeps_promises(&run(make, &faults).0));
        assert!(broken, "{quirk:?}");
    }
}
