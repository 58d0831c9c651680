//! Checks of a client's table as a whole.

use std::ops::Range;

use super::client::{ClientTable, PublishTable, SubscribeTable, WillTable};
use super::diagnostic::Diagnostics;
use super::endpoint::{check_whole_seconds, require_v5};
use super::file::{LinkTable, ScenarioFile};
use super::keywords::{PingOnKeyword, SignOfLifeKeyword, TransportKeyword};
use super::nodes::{fleet_size, with_fleet_number};
use super::value::{Located, TextOrTable};
use qoslab_core::base::Span;
use qoslab_core::base::units::{format_count, format_span};
use qoslab_core::mqtt::wire::MAX_REMAINING_LENGTH;
use qoslab_core::mqtt::{Version, topics};
use qoslab_core::network::IntervalDistribution;
use qoslab_sim::PayloadSize;

/// The largest UDP payload over IPv4 (RFC 768, RFC 791).
const LARGEST_DATAGRAM: usize = 65_507;

/// PUBLISH without topic and payload, at most: first byte, length, topic length, packet id,
/// properties (MQTT 5.0, section 3.3).
const PUBLISH_FRAMING: usize = 10;

/// Whether the name can be used at all.
pub(super) fn check_name(
    table: &ClientTable,
    file: &ScenarioFile,
    errors: &mut Diagnostics,
) -> bool {
    let name = &table.name;
    let plain = name.value.replace("{i}", "1");
    let fleet = fleet_size(table) > 1;
    if name.value.is_empty() || plain.chars().any(|c| !is_name_char(c)) || plain == "broker" {
        let label = if plain == "broker" { "this is the broker's" } else { "not a name" };
        errors
            .error(&name.span, "a client needs a name of its own", label)
            .help("use letters, digits, `-`, `_` and `.`, and `{i}` for the number in a fleet");
        return false;
    }
    if fleet && !name.value.contains("{i}") {
        let label = format!("{} clients would share it", format_count(fleet_size(table)));
        errors
            .error(&name.span, "a fleet needs `{i}` in its name", label)
            .help(format!("write `{}-{{i}}`", name.value));
        return false;
    }
    let longest = with_fleet_number(&name.value, fleet_size(table)).len();
    if Version::from(file.mqtt.value) == Version::V31 && longest > 23 {
        errors.error(&name.span, "MQTT 3.1 allows client ids of 23 characters", "this is longer");
    }
    true
}

/// The letters of names: harmless in terminals, file names and reports.
pub(super) fn is_name_char(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '-' | '_' | '.')
}

pub(super) fn check_client(table: &ClientTable, file: &ScenarioFile, errors: &mut Diagnostics) {
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
    check_ping_timeout(table, errors);
    check_sign_of_life(table, errors);
    check_session(table, file.mqtt.value.into(), errors);
    check_absences(table, file.deadline.value.0, errors);
    for publish in &table.publish {
        check_publish(&publish.value, table, file, errors);
    }
    for subscribe in &table.subscribe {
        check_subscribe(&subscribe.value, table, file, errors);
    }
    if let Some(will) = &table.will {
        check_will(&will.value, table, file, errors);
    }
}

/// A client that pings because it has sent nothing waits for its PINGRESP, whatever else comes.
fn check_sign_of_life(table: &ClientTable, errors: &mut Diagnostics) {
    let given = &table.sign_of_life;
    let is_useless = given.value == SignOfLifeKeyword::Bytes
        && table.ping_on == PingOnKeyword::Sent
        && !given.is_from_default();
    if is_useless {
        errors
            .warn(&given.span, "this changes nothing here", "it pings when it has sent nothing")
            .help("write `ping_on = \"nothing-sent-or-received\"` too, or leave it out");
    }
}

/// A PINGRESP that comes late ends nothing if the broker was quicker.
fn check_ping_timeout(table: &ClientTable, errors: &mut Diagnostics) {
    let Some(given) = &table.ping_timeout else { return };
    let (timeout, keep_alive) = (given.value.0, table.keep_alive.value.0);
    if timeout == Span::ZERO {
        let title = "ping_timeout must be more than zero";
        errors.error(&given.span, title, "no PINGRESP could be in time");
    } else if keep_alive == Span::ZERO {
        errors
            .error(&given.span, "`ping_timeout` needs a `keep_alive`", "this client never pings")
            .help("write `keep_alive = \"60s\"`, or leave this out");
    } else if timeout > keep_alive {
        let label = format!("the keep alive is {}", format_span(keep_alive));
        let late = format_span(keep_alive + timeout);
        errors
            .warn(&given.span, "this waits for a PINGRESP longer than the keep alive", label)
            .help(format!(
                "a dead connection is found out after up to {late}: that is for packets which take \
                 long on a slow line, and hold PINGRESP up"
            ));
    }
}

/// Checks which settings of a client's sessions and connections go together.
fn check_session(table: &ClientTable, version: Version, errors: &mut Diagnostics) {
    if let TextOrTable::Table(session) = &table.session.value {
        let (expiry, span) = (session.expiry.0, &table.session.span);
        require_v5("expiry", span, version, errors);
        check_whole_seconds("expiry", expiry, span, errors);
        if expiry == Span::ZERO {
            errors
                .error(span, "this session ends with its connection", "it expires at once")
                .help("write `session = \"clean\"`");
        }
    }
    let reconnect = &table.reconnect;
    if reconnect.value.min.0 == Span::ZERO || reconnect.value.min.0 > reconnect.value.max.0 {
        errors
            .error(&reconnect.span, "the first pause must be between zero and the longest", "")
            .help("write it as in `reconnect = { min = \"1s\", max = \"60s\" }`");
    }
    if let Some(timeout) = table.connect_timeout.as_ref().filter(|one| one.value.0 == Span::ZERO) {
        let title = "connect_timeout must be more than zero";
        errors.error(&timeout.span, title, "no attempt could succeed");
    }
    if let Some(away) = table.away.first().filter(|_| table.connect.value.into()) {
        errors
            .error(
                &away.span,
                "a client that connects per report is away by itself",
                "and here too",
            )
            .help("leave `away` out, or write `connect = \"always\"`");
    }
}

fn check_subscribe(
    subscribe: &SubscribeTable,
    table: &ClientTable,
    file: &ScenarioFile,
    errors: &mut Diagnostics,
) {
    let filter = &subscribe.filter;
    if let Err(error) = topics::validate_filter(&with_fleet_number(&filter.value, 1)) {
        let title = format!("the topic filter {error}");
        errors.error(&filter.span, title, "not a topic filter");
    }
    check_fleet_number(filter, table, errors);
    let shared = topics::split_shared(&filter.value).is_some();
    let version = file.mqtt.value.into();
    let options = [
        ("no_local", subscribe.no_local.as_ref().map(|one| &one.span)),
        ("retain_as_published", subscribe.retain_as_published.as_ref().map(|one| &one.span)),
        ("retain_handling", subscribe.retain_handling.as_ref().map(|one| &one.span)),
        ("identifier", subscribe.identifier.as_ref().map(|one| &one.span)),
    ];
    for (field, span) in options {
        if let Some(span) = span {
            require_v5(field, span, version, errors);
        }
    }
    if let Some(given) = subscribe.no_local.as_ref().filter(|given| given.value && shared) {
        errors
            .error(&given.span, "a shared subscription cannot have `no_local`", "a Protocol Error")
            .help("see [MQTT-3.8.3-4]");
    }
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

fn check_will(
    will: &WillTable,
    table: &ClientTable,
    file: &ScenarioFile,
    errors: &mut Diagnostics,
) {
    if let Err(error) =
        topics::validate_topic(&with_fleet_number(&will.topic.value, fleet_size(table)))
    {
        errors.error(&will.topic.span, format!("the topic {error}"), "not a topic name");
    }
    check_fleet_number(&will.topic, table, errors);
    if let Some(delay) = &will.delay {
        require_v5("delay", &delay.span, file.mqtt.value.into(), errors);
        check_whole_seconds("delay", delay.value.0, &delay.span, errors);
    }
    // The length of a will's payload is written in two bytes (MQTT 3.1.1, section 3.1.3.3).
    if will.payload.value.0 > 65_535 {
        let label = format!("this has {} bytes", format_count(will.payload.value.0.into()));
        errors.error(&will.payload.span, "a will can have 65,535 bytes", label);
    }
}

fn check_fleet_number(text: &Located<String>, table: &ClientTable, errors: &mut Diagnostics) {
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
    file: &ScenarioFile,
    errors: &mut Diagnostics,
) {
    let topic = with_fleet_number(&table.topic.value, fleet_size(client));
    if let Err(error) = topics::validate_topic(&topic) {
        errors.error(&table.topic.span, format!("the topic {error}"), "not a topic name");
    }
    check_fleet_number(&table.topic, client, errors);
    let count = table.count.value.0;
    if let Some(only) = &table.only {
        let ascending = only.value.windows(2).all(|pair| pair[0] < pair[1]);
        if !ascending {
            errors.error(&only.span, "`only` needs ascending numbers", "each message once");
        }
        if let Some(beyond) = only.value.iter().find(|number| **number >= count) {
            let label = format!("there is no message {beyond}");
            let title = format!("`only` can name messages from 0 to {}", count - 1);
            errors.error(&only.span, title, label);
        }
    }
    let mean = match table.every.value.0 {
        IntervalDistribution::Fixed(span) | IntervalDistribution::Exponential(span) => span,
        IntervalDistribution::Uniform(low, high) => {
            Span::from_nanos(low.as_nanos() / 2 + high.as_nanos() / 2)
        }
    };
    let lasts = mean.times(u64::from(count) - 1) + table.spread.value.0;
    check_deadline(lasts, &table.every.span, file.deadline.value.0, errors);
    if let Some(expiry) = &table.expiry {
        require_v5("expiry", &expiry.span, file.mqtt.value.into(), errors);
        check_whole_seconds("expiry", expiry.value.0, &expiry.span, errors);
    }
    check_length(table, &topic, file, errors);
}

/// Whether the longest message fits the transport.
fn check_length(table: &PublishTable, topic: &str, file: &ScenarioFile, errors: &mut Diagnostics) {
    let (PayloadSize::Fixed(longest) | PayloadSize::Uniform(_, longest)) = table.payload.value.0;
    let datagram = |link: &LinkTable| link.transport.value == TransportKeyword::Datagram;
    let (carrier, most) = if file.link.iter().any(|link| datagram(&link.value)) {
        ("datagram", LARGEST_DATAGRAM)
    } else {
        ("packet", MAX_REMAINING_LENGTH as usize)
    };
    if topic.len() + longest as usize + PUBLISH_FRAMING > most {
        let title = format!("the message does not fit a {carrier}");
        let label = format!("up to {} bytes", format_count(longest.into()));
        errors
            .error(&table.payload.span, title, label)
            .help(format!("a PUBLISH can have {} bytes in all", format_count(most as u64)));
    }
}
