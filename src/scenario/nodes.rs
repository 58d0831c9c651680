//! Clients, fleets and their workloads, written out one by one and checked.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use super::diagnostic::Diagnostics;
use super::file::{ClientTable, File, PublishTable, Retry, RetryWord, SubscribeTable};
use super::link;
use super::trial::{Absence, ClientSetup, PayloadSize, StreamSetup, SubscriptionSetup};
use super::value::{Either, Given, Levels};
use crate::base::event::{SubscriptionOptions, SubscriptionRequest};
use crate::base::name::ClientIndex;
use crate::base::qos::QoS;
use crate::base::time::Span;
use crate::base::units::{format_count, format_span};
use crate::mqtt::quirks::Quirks;
use crate::mqtt::settings::{ClientSettings, HopSettings, RetryTimer, Store, Version};
use crate::mqtt::topics;
use crate::network::settings::{Interval, LinkSettings};

/// More clients than this do not fit one trial.
const MOST_CLIENTS: u64 = 200_000;

/// The largest UDP payload over IPv4 (RFC 768, RFC 791).
const LARGEST_DATAGRAM: usize = 65_507;

/// PUBLISH without topic and payload, at most: first byte, length, topic length, packet id,
/// properties (MQTT 5.0, section 3.3).
const PUBLISH_FRAMING: usize = 10;

/// The nodes with the levels that still depend on the point.
#[derive(Clone, Debug, Default)]
pub(super) struct Nodes {
    /// Every client; where a level is an axis, a subscription asks for 0.
    pub clients: Vec<ClientSetup>,
    /// Every workload; where a level is an axis, it publishes with 0.
    pub streams: Vec<StreamSetup>,
    /// The published level of each stream.
    pub published: Vec<Levels>,
    /// The level that each subscription of each client asks for.
    pub granted: Vec<Vec<Levels>>,
}

/// When to send again, as endpoints want it.
pub(super) fn retry(
    given: &Given<Retry>,
    errors: &mut Diagnostics,
) -> crate::mqtt::settings::Retry {
    use crate::mqtt::settings::Retry as Rule;
    let timer = match &given.value {
        Either::Text(RetryWord::Reconnect) => return Rule::Reconnect,
        Either::Text(RetryWord::Every(every)) => {
            RetryTimer { every: *every, backoff: 1.0, max_transmissions: None }
        }
        Either::Table(table) => RetryTimer {
            every: table.every.0,
            backoff: table.backoff,
            max_transmissions: table.max.map(|max| max.0),
        },
    };
    if timer.every < Span::from_nanos(1_000) {
        errors.error(&given.span, "a retry must wait for some time", "less than 1 µs");
    }
    if !(1.0..=100.0).contains(&timer.backoff) {
        let label = format!("this is {}", timer.backoff);
        errors.error(&given.span, "backoff must be from 1 to 100", label);
    }
    Rule::Timer(timer)
}

/// Writes out every client of the file.
pub(super) fn expand(file: &File, errors: &mut Diagnostics) -> Nodes {
    let mut nodes = Nodes::default();
    let total: u64 = file.client.iter().map(|client| size(&client.value)).sum();
    if total > MOST_CLIENTS || file.client.is_empty() {
        let span = file.client.last().map_or(0..0, |client| client.value.name.span.clone());
        let (title, label) = if total == 0 {
            ("a scenario needs a client", "there is none".to_owned())
        } else {
            ("these are too many clients", format!("{} in all", format_count(total)))
        };
        errors.error(&span, title, label).help(format!("at most {}", format_count(MOST_CLIENTS)));
        return nodes;
    }
    let mut links = Links::new(file, errors);
    let mut names: BTreeMap<Arc<str>, usize> = BTreeMap::new();
    let mut complete = true;
    for (position, client) in file.client.iter().enumerate() {
        let table = &client.value;
        if !check_name(table, file, errors) {
            complete = false;
            continue;
        }
        check_client(table, file, errors);
        let settings = client_settings(table, file.mqtt.value.into(), errors);
        for number in 1..=size(table) {
            let name: Arc<str> = numbered(&table.name.value, number).into();
            if let Some(before) = names.insert(name.clone(), position) {
                let other = &file.client[before].value.name;
                let label = format!("`{}` also makes this name", other.value);
                let title = format!("two clients have the name `{name}`");
                errors.error(&table.name.span, title, label);
                complete = false;
                break;
            }
            let Some(link) = links.of(&name, &table.name.span, errors) else {
                complete = false;
                break;
            };
            let client_id = name.clone();
            let settings = ClientSettings { client_id, ..settings.clone() };
            add(&mut nodes, table, number, ClientNode { name, settings, link });
        }
    }
    links.check_used(file, complete, errors);
    nodes
}

/// What is a client's own, beside its table.
struct ClientNode {
    name: Arc<str>,
    settings: ClientSettings,
    link: Arc<LinkSettings>,
}

fn size(client: &ClientTable) -> u64 {
    client.count.as_ref().map_or(1, |count| count.value.0.into())
}

/// A text with `{i}` replaced by the client's number in its fleet.
fn numbered(text: &str, number: u64) -> String {
    text.replace("{i}", &number.to_string())
}

fn add(nodes: &mut Nodes, table: &ClientTable, number: u64, own: ClientNode) {
    let ClientNode { name, settings, link } = own;
    let client = ClientIndex(u32::try_from(nodes.clients.len()).expect("MOST_CLIENTS is below"));
    for (nth, publish) in table.publish.iter().enumerate() {
        let stream: Arc<str> =
            if nth == 0 { name.clone() } else { format!("{name}/{}", nth + 1).into() };
        nodes.streams.push(stream_setup(&publish.value, stream, client, number));
        nodes.published.push(publish.value.qos.value.clone());
    }
    nodes.granted.push(table.subscribe.iter().map(|one| one.value.qos.value.clone()).collect());
    let subscriptions =
        table.subscribe.iter().map(|one| subscription(&one.value, number)).collect();
    let absences = absences(table);
    nodes.clients.push(ClientSetup {
        name,
        settings,
        link,
        subscriptions,
        absences,
        store: Store::Durable,
    });
}

fn stream_setup(
    table: &PublishTable,
    name: Arc<str>,
    client: ClientIndex,
    number: u64,
) -> StreamSetup {
    StreamSetup {
        name,
        client,
        topic: numbered(&table.topic.value, number).into(),
        qos: fixed(&table.qos.value),
        retain: table.retain,
        expiry: None,
        will: false,
        count: table.count.value.0,
        every: table.every.value.0,
        spread: table.spread.value.0,
        payload: table.payload.value.0,
        only: table.only.as_ref().map(|only| only.value.clone().into()),
    }
}

fn subscription(table: &SubscribeTable, number: u64) -> SubscriptionSetup {
    let filter = numbered(&table.filter.value, number).into();
    SubscriptionSetup {
        request: SubscriptionRequest {
            filter,
            qos: fixed(&table.qos.value),
            options: SubscriptionOptions::default(),
        },
        from: table.at.as_ref().map(|at| at.value.0),
        until: table.until.as_ref().map(|until| until.value.0),
    }
}

fn fixed(levels: &Levels) -> QoS {
    match levels {
        Levels::One(qos) => *qos,
        Levels::Axis(_) => QoS::AtMostOnce,
    }
}

fn absences(table: &ClientTable) -> Vec<Absence> {
    let mut absences: Vec<_> = table
        .away
        .iter()
        .map(|away| Absence { at: away.value.at.value.0, lasts: away.value.lasts.value.0 })
        .collect();
    absences.sort_by_key(|absence| absence.at);
    absences
}

/// The settings of every client of the table, still without a client id.
fn client_settings(
    table: &ClientTable,
    version: Version,
    errors: &mut Diagnostics,
) -> ClientSettings {
    let retry = retry(&table.retry, errors);
    let request_retry = match retry {
        crate::mqtt::settings::Retry::Timer(timer) => timer.every,
        crate::mqtt::settings::Retry::Reconnect => Span::from_secs(1),
    };
    ClientSettings {
        version,
        clean: table.session.into(),
        keep_alive: table.keep_alive.value.0,
        request_retry: Some(request_retry),
        hop: HopSettings {
            retry,
            ids: table.ids.into(),
            max_inflight: u16::try_from(table.max_inflight.0).unwrap_or(u16::MAX),
            max_queued: table.offline.max.0,
            on_full: table.offline.on_full.into(),
            queue_qos0: table.offline.qos0.into(),
            deliver_on: table.deliver_on.into(),
            repeated_pubrec: table.repeated_pubrec.into(),
            quirks: Quirks::NONE,
        },
        ..ClientSettings::new("".into())
    }
}

/// Whether the name can be used at all.
fn check_name(table: &ClientTable, file: &File, errors: &mut Diagnostics) -> bool {
    let name = &table.name;
    let plain = name.value.replace("{i}", "1");
    let fleet = size(table) > 1;
    if name.value.is_empty() || plain.chars().any(|c| !is_name_letter(c)) || plain == "broker" {
        let label = if plain == "broker" { "this is the broker's" } else { "not a name" };
        errors
            .error(&name.span, "a client needs a name of its own", label)
            .help("use letters, digits, `-`, `_` and `.`, and `{i}` for the number in a fleet");
        return false;
    }
    if fleet && !name.value.contains("{i}") {
        let label = format!("{} clients would share it", format_count(size(table)));
        errors
            .error(&name.span, "a fleet needs `{i}` in its name", label)
            .help(format!("write `{}-{{i}}`", name.value));
        return false;
    }
    let longest = numbered(&name.value, size(table)).len();
    if Version::from(file.mqtt.value) == Version::V31 && longest > 23 {
        errors.error(&name.span, "MQTT 3.1 allows client ids of 23 characters", "this is longer");
    }
    true
}

/// The letters of names: harmless in terminals, file names and reports.
pub(super) fn is_name_letter(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '-' | '_' | '.')
}

fn check_client(table: &ClientTable, file: &File, errors: &mut Diagnostics) {
    let keep_alive = &table.keep_alive;
    let nanos = keep_alive.value.0.as_nanos();
    if !nanos.is_multiple_of(1_000_000_000) || nanos / 1_000_000_000 > 65_535 {
        errors
            .error(
                &keep_alive.span,
                "keep_alive must be whole seconds, at most 65535s",
                "this cannot be written in a CONNECT",
            )
            .help("see MQTT 3.1.1, section 3.1.2.10");
    }
    check_absences(table, file.deadline.value.0, errors);
    for publish in &table.publish {
        check_publish(&publish.value, table, file.deadline.value.0, errors);
    }
    for subscribe in &table.subscribe {
        let subscribe = &subscribe.value;
        if let Err(error) = topics::validate_filter(&numbered(&subscribe.filter.value, 1)) {
            let title = format!("the topic filter {error}");
            errors.error(&subscribe.filter.span, title, "not a topic filter");
        }
        check_number(&subscribe.filter, table, errors);
        if let Some(until) = &subscribe.until {
            let from = subscribe.at.as_ref().map_or(Span::ZERO, |at| at.value.0);
            if until.value.0 <= from {
                let label = format!("it subscribes at {}", format_span(from));
                errors.error(&until.span, "unsubscribes before it subscribes", label);
            }
        }
        for time in [&subscribe.at, &subscribe.until].into_iter().flatten() {
            check_deadline(time.value.0, &time.span, file.deadline.value.0, errors);
        }
    }
}

fn check_number(text: &Given<String>, table: &ClientTable, errors: &mut Diagnostics) {
    if text.value.contains("{i}") && table.count.is_none() {
        errors
            .error(&text.span, "`{i}` needs a fleet", "this client has no number")
            .help("add `count` to the client, or write the text without `{i}`");
    }
}

fn check_absences(table: &ClientTable, deadline: Span, errors: &mut Diagnostics) {
    let mut order: Vec<_> = table.away.iter().collect();
    order.sort_by_key(|away| away.value.at.value.0);
    for away in &order {
        if away.value.lasts.value.0 == Span::ZERO {
            let span = &away.value.lasts.span;
            errors.error(span, "an absence must last", "this is no time at all");
        }
        let back = away.value.at.value.0 + away.value.lasts.value.0;
        check_deadline(back, &away.value.at.span, deadline, errors);
    }
    for pair in order.windows(2) {
        let back = pair[0].value.at.value.0 + pair[0].value.lasts.value.0;
        if pair[1].value.at.value.0 < back {
            let label = format!("still away since {}", format_span(pair[0].value.at.value.0));
            errors.error(&pair[1].value.at.span, "two absences overlap", label);
        }
    }
}

fn check_deadline(time: Span, span: &Range<usize>, deadline: Span, errors: &mut Diagnostics) {
    if time >= deadline {
        let label = format!("this is {} after the start", format_span(time));
        let title = format!("this comes after the deadline of {}", format_span(deadline));
        errors.error(span, title, label).help("raise `deadline`");
    }
}

fn check_publish(
    table: &PublishTable,
    client: &ClientTable,
    deadline: Span,
    errors: &mut Diagnostics,
) {
    let topic = numbered(&table.topic.value, size(client));
    if let Err(error) = topics::validate_topic(&topic) {
        errors.error(&table.topic.span, format!("the topic {error}"), "not a topic name");
    }
    check_number(&table.topic, client, errors);
    let count = table.count.value.0;
    if let Some(only) = &table.only {
        let ascending = only.value.windows(2).all(|pair| pair[0] < pair[1]);
        if !ascending || only.value.is_empty() {
            errors.error(&only.span, "`only` needs ascending numbers", "each message once");
        }
        if let Some(beyond) = only.value.iter().find(|number| **number >= count) {
            let label = format!("there is no message {beyond}");
            let title = format!("`only` can name messages from 0 to {}", count - 1);
            errors.error(&only.span, title, label);
        }
    }
    let mean = match table.every.value.0 {
        Interval::Fixed(span) | Interval::Exponential(span) => span,
        Interval::Uniform(low, high) => Span::from_nanos(low.as_nanos() / 2 + high.as_nanos() / 2),
    };
    let lasts = mean.times(u64::from(count) - 1) + table.spread.value.0;
    check_deadline(lasts, &table.every.span, deadline, errors);
    let (PayloadSize::Fixed(longest) | PayloadSize::Uniform(_, longest)) = table.payload.value.0;
    if topic.len() + longest as usize + PUBLISH_FRAMING > LARGEST_DATAGRAM {
        let title = "the message does not fit a datagram";
        errors
            .error(
                &table.payload.span,
                title,
                format!("up to {} bytes", format_count(longest.into())),
            )
            .help(format!(
                "a PUBLISH can have {} bytes in all",
                format_count(LARGEST_DATAGRAM as u64)
            ));
    }
}

/// The links by the names they are for.
struct Links {
    list: Vec<LinkEntry>,
}

struct LinkEntry {
    pattern: String,
    settings: Arc<LinkSettings>,
    line: usize,
    span: Range<usize>,
    used: bool,
}

impl Links {
    fn new(file: &File, errors: &mut Diagnostics) -> Self {
        let mut list = Vec::new();
        for link in &file.link {
            let between = &link.value.between;
            let settings = Arc::new(link::settings(&link.value, errors));
            let pattern = match between.value.as_slice() {
                [client, broker] | [broker, client] if broker == "broker" => client.clone(),
                _ => {
                    errors
                        .error(&between.span, "a link is between a client and the broker", "")
                        .help("write it as in `between = [\"sensor-*\", \"broker\"]`");
                    continue;
                }
            };
            let line =
                errors.source[..between.span.start.min(errors.source.len())].matches('\n').count()
                    + 1;
            list.push(LinkEntry {
                pattern,
                settings,
                line,
                span: between.span.clone(),
                used: false,
            });
        }
        Self { list }
    }

    fn of(
        &mut self,
        name: &str,
        span: &Range<usize>,
        errors: &mut Diagnostics,
    ) -> Option<Arc<LinkSettings>> {
        let mut found: Option<(usize, Arc<LinkSettings>)> = None;
        for link in self.list.iter_mut().filter(|link| matches_name(&link.pattern, name)) {
            link.used = true;
            if let Some((line, _)) = found {
                let label = format!("the one at line {line} is for it too");
                errors.error(&link.span, format!("`{name}` has two links"), label);
                return None;
            }
            found = Some((link.line, link.settings.clone()));
        }
        if found.is_none() {
            errors
                .error(span, format!("`{name}` has no link"), "it could reach nobody")
                .help(format!("add a [[link]] with `between = [\"{name}\", \"broker\"]`"));
        }
        found.map(|(_, settings)| settings)
    }

    /// A link that no client uses is told; where clients were refused it may be theirs, unless
    /// no client at all has such a name.
    fn check_used(&self, file: &File, complete: bool, errors: &mut Diagnostics) {
        let names = file.client.iter().map(|client| client.value.name.value.replace("{i}", "*"));
        let names: Vec<_> = names.collect();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        for link in self.list.iter().filter(|link| !link.used) {
            let may_be = |name: &&str| name.contains('*') || matches_name(&link.pattern, name);
            if complete || !names.iter().any(may_be) {
                let title = format!("there is no client `{}`", link.pattern);
                errors.error(&link.span, title, "a link to nobody").suggest(&link.pattern, &names);
            }
        }
    }
}

/// Whether a name fits a pattern in which `*` stands for any letters.
fn matches_name(pattern: &str, name: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(mut name) = name.strip_prefix(head) else { return false };
    let mut parts: Vec<_> = rest.split('*').collect();
    let tail = parts.pop().unwrap_or_default();
    // Taking each part at its first place leaves the most for those that follow.
    for part in parts {
        let Some(at) = name.find(part) else { return false };
        name = &name[at + part.len()..];
    }
    name.ends_with(tail)
}
