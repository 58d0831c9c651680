//! Short descriptions of what was simulated, shown beside every number.

use std::collections::{BTreeMap, BTreeSet};

use super::number::counted;
use qoslab_core::mqtt::{Quirk, RetryRule, StorePolicy, Version};
use qoslab_core::network::{TlsSettings, TlsVersion, Transport};
use qoslab_sim::Setup;
use qoslab_study::scenario::{EndpointGroup, Scenario};

/// The transport of all links, such as `datagram (28 B headers)` or `tcp with TLS 1.3, resumed (40
/// B headers)`.
#[must_use]
pub(crate) fn transport(setup: &Setup) -> String {
    let all = setup.clients.iter().map(|client| match client.link.transport {
        Transport::Datagram { headers } => format!("datagram ({headers} B headers)"),
        Transport::Tcp(tcp) => {
            format!("tcp{} ({} B headers)", tcp.tls.map_or("", tls_text), tcp.headers)
        }
    });
    distinct(all)
}

const fn tls_text(tls: TlsSettings) -> &'static str {
    match (tls.version, tls.resumption) {
        (TlsVersion::V12, true) => " with TLS 1.2, resumed",
        (TlsVersion::V12, false) => " with TLS 1.2",
        (TlsVersion::V13, true) => " with TLS 1.3, resumed",
        (TlsVersion::V13, false) => " with TLS 1.3",
    }
}

/// The retry rule of all nodes that send messages, such as `timer 1 s`; where they differ, each
/// rule with its nodes. A client that only subscribes has no message to send again.
#[must_use]
pub(crate) fn retry(setup: &Setup) -> String {
    let broker = retry_text(setup.broker.hop.retry);
    let publishers: BTreeSet<usize> = setup.publishers.iter().map(|s| s.client.index()).collect();
    let publishers = distinct(
        publishers.into_iter().map(|client| retry_text(setup.clients[client].settings.hop.retry)),
    );
    if publishers.is_empty() || publishers == broker {
        broker
    } else {
        format!("{broker} (broker), {publishers} (publishers)")
    }
}

/// The size of a run: `500 messages a run, 3 clients`.
#[must_use]
pub(crate) fn workload_size(setup: &Setup) -> String {
    let messages = setup.publishers.iter().map(|stream| {
        stream.only_sequences.as_ref().map_or(u64::from(stream.count), |only| only.len() as u64)
    });
    let clients = setup.clients.len() as u64;
    format!("{} per run, {}", counted(messages.sum(), "message"), counted(clients, "client"))
}

/// Properties that hold for a whole scenario, as its points differ in QoS only. Empty without
/// points.
#[derive(Clone, Debug, Default)]
pub(crate) struct ScenarioProperties {
    /// The MQTT version of the clients, such as `3.1.1`.
    pub mqtt: String,
    /// See [`transport`].
    pub transport: String,
    /// See [`retry`].
    pub retry: String,
    /// See [`endpoint_differences`].
    pub endpoints: String,
}

/// The rules by which a scenario is simulated.
#[must_use]
pub(crate) fn scenario_properties(scenario: &Scenario) -> ScenarioProperties {
    let Some(point) = scenario.points.first() else { return ScenarioProperties::default() };
    let setup = &*point.setup;
    let versions =
        setup.clients.iter().map(|client| version_text(client.settings.version).to_owned());
    ScenarioProperties {
        mqtt: distinct(versions),
        transport: transport(setup),
        retry: retry(setup),
        endpoints: endpoint_differences(scenario),
    }
}

/// Differences from a correct endpoint that keeps everything: profiles, stores and quirks, such as
/// `broker: profile mosquitto-2.0, store volatile; meter-*: quirks no_dedupe`. Empty if there are
/// none.
#[must_use]
pub(crate) fn endpoint_differences(scenario: &Scenario) -> String {
    let deviating = scenario.groups.iter().filter_map(|group| {
        let own = deviations(group);
        (!own.is_empty()).then(|| format!("{}: {}", group.name, own.join(", ")))
    });
    deviating.collect::<Vec<_>>().join("; ")
}

fn deviations(group: &EndpointGroup) -> Vec<String> {
    let mut own = Vec::new();
    if let Some(profile) = &group.profile {
        own.push(format!("profile {profile}"));
    }
    match group.store {
        StorePolicy::Durable => {}
        StorePolicy::Snapshot(every) => own.push(format!("store snapshot every {every}")),
        StorePolicy::Volatile => own.push("store volatile".to_owned()),
    }
    let quirks: Vec<_> = group.quirks.iter().map(Quirk::label).collect();
    if !quirks.is_empty() {
        own.push(format!("quirks {}", quirks.join(" ")));
    }
    own
}

const fn version_text(version: Version) -> &'static str {
    match version {
        Version::V31 => "3.1",
        Version::V311 => "3.1.1",
        Version::V5 => "5.0",
    }
}

fn retry_text(retry: RetryRule) -> String {
    let RetryRule::Timer(timer) = retry else {
        return "reconnect".to_owned();
    };
    let mut text = format!("timer {}", timer.every);
    if timer.backoff > 1.0 {
        text += &format!(" x{}", timer.backoff);
    }
    if let Some(most) = timer.max_transmissions {
        text += &format!(", {most} transmissions");
    }
    text
}

/// Each different text once, the most frequent first.
fn distinct(all: impl Iterator<Item = String>) -> String {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for text in all {
        *counts.entry(text).or_default() += 1;
    }
    let mut texts: Vec<_> = counts.into_iter().collect();
    texts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let texts: Vec<_> = texts.into_iter().map(|(text, _)| text).collect();
    texts.join(" or ")
}

/// What stands above the numbers of runs that put no QoS to the test.
pub(crate) const DELIVERY_UNTESTED: &str = concat!(
    "No connection ended in these runs, and no queue was full, so they say nothing about ",
    "delivery: over TCP, messages are lost and repeated where connections end. Add what ends ",
    "them on your network, such as `outage` or `nat_idle` on a link (the presets lte-field and ",
    "nb-iot-field have both), or a [[fault]].",
);

#[cfg(test)]
mod tests {
    use super::*;

    const SCENARIO: &str = r#"
schema = 1
name = "deviant"
[broker]
profile = "mosquitto-2.0"
quirks = ["no_dedupe", "timer_resend"]
[[client]]
name = "meter-{i}"
count = 2
store = { snapshot = "30s" }
publish = [{ topic = "t", qos = 1, count = 3, every = "1s" }]
[[client]]
name = "dashboard"
retry = "2s"
subscribe = [{ filter = "t", qos = 1 }]
[[link]]
between = ["*", "broker"]
transport = "tcp"
delay = "20ms"
tls = { version = "1.2", resumption = false }
"#;

    #[test]
    fn only_deviations_from_a_correct_endpoint_are_listed() {
        let scenario = Scenario::parse("test.toml", SCENARIO).unwrap_or_else(|e| panic!("{e}"));
        let rules = scenario_properties(&scenario);
        assert_eq!(rules.transport, "tcp with TLS 1.2 (40 B headers)");
        assert_eq!(rules.retry, "reconnect");
        assert_eq!(
            rules.endpoints,
            "broker: profile mosquitto-2.0, store volatile, quirks no_dedupe timer_resend; \
             meter-*: store snapshot every 30 s"
        );
    }
}
