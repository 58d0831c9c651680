//! Parts that the tables of the broker and of clients have in common.

use std::ops::Range;

use super::client::ClientTable;
use super::diagnostic::Diagnostics;
use super::file::{self, BrokerTable, RetryKeyword, ScenarioFile};
use super::keywords::StoreKeyword;
use super::quantities::Bytes;
use super::value::{BoundedInt, Located, TextOrTable};
use qoslab_core::base::Span;
use qoslab_core::base::units::format_span;
use qoslab_core::mqtt::{
    Quirk, QuirkSide, Quirks, ReceiverLimits, RetryRule, RetryTimer, StorePolicy, Version,
};

/// Equal endpoints: the broker, a client or a fleet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointGroup {
    /// `broker`, or the clients' name with `*` for the number in a fleet.
    pub name: String,
    /// The third-party implementation whose documented settings they have.
    pub profile: Option<String>,
    /// What they keep through a crash.
    pub store: StorePolicy,
    /// How they deviate from the standard.
    pub quirks: Quirks,
}

/// The groups of a file that was found right.
pub(super) fn endpoint_groups(file: &ScenarioFile) -> Vec<EndpointGroup> {
    // An invalid store or quirk was reported before.
    let mut ignored = Diagnostics::new("", "");
    let broker = &file.broker;
    let mut groups = vec![EndpointGroup {
        name: "broker".to_owned(),
        profile: broker.profile.as_ref().map(|given| given.value.clone()),
        store: read_store(&broker.store, &mut ignored),
        quirks: read_quirks(&broker.quirks, QuirkSide::Broker, &mut ignored),
    }];
    for client in file.client.iter().map(|client| &client.value) {
        groups.push(EndpointGroup {
            name: client.name.value.replace("{i}", "*"),
            profile: client.profile.as_ref().map(|given| given.value.clone()),
            store: read_store(&client.store, &mut ignored),
            quirks: read_quirks(&client.quirks, QuirkSide::Client, &mut ignored),
        });
    }
    groups
}

/// When to send again, as endpoints want it.
pub(super) fn read_retry(
    given: &Located<file::RetrySetting>,
    errors: &mut Diagnostics,
) -> RetryRule {
    let timer = match &given.value {
        TextOrTable::Text(RetryKeyword::Reconnect) => return RetryRule::Reconnect,
        TextOrTable::Text(RetryKeyword::Every(every)) => {
            RetryTimer { every: *every, backoff: 1.0, max_transmissions: None }
        }
        TextOrTable::Table(table) => RetryTimer {
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
    RetryRule::Timer(timer)
}

/// Warns of a timer that the file, or a profile that it names, sets under 5.0. The default over
/// datagrams is no such choice: there nothing else could repair a loss.
pub(super) fn warn_of_timer(
    retry: &Located<file::RetrySetting>,
    profile: Option<&Located<String>>,
    version: Version,
    errors: &mut Diagnostics,
) {
    if version != Version::V5 || retry.value == TextOrTable::Text(RetryKeyword::Reconnect) {
        return;
    }
    let span =
        if retry.is_from_default() { profile.map(|one| &one.span) } else { Some(&retry.span) };
    if let Some(span) = span {
        errors
            .warn(span, "MQTT 5.0 forbids to send again by a timer", "it is simulated all the same")
            .help(
                "clients and servers must not resend messages but when a client reconnects \
                 [MQTT-4.4.0-1]: write `retry = \"reconnect\"`, or another version of MQTT",
            );
    }
}

/// What an endpoint keeps through a crash.
pub(super) fn read_store(
    given: &Located<file::StoreSetting>,
    errors: &mut Diagnostics,
) -> StorePolicy {
    match &given.value {
        TextOrTable::Text(StoreKeyword::Durable) => StorePolicy::Durable,
        TextOrTable::Text(StoreKeyword::Volatile) => StorePolicy::Volatile,
        TextOrTable::Table(table) => {
            if table.snapshot.0 < Span::from_millis(1) {
                errors
                    .error(&given.span, "a snapshot needs some time", "less than 1 ms")
                    .help("for a store that is never behind write \"durable\"");
            }
            StorePolicy::Snapshot(table.snapshot.0)
        }
    }
}

/// The quirks named, if they are known and can be set on this side.
pub(super) fn read_quirks(
    names: &[Located<String>],
    side: QuirkSide,
    errors: &mut Diagnostics,
) -> Quirks {
    let mut quirks = Quirks::NONE;
    let known: Vec<_> =
        Quirk::ALL.into_iter().filter(|quirk| applies_to(*quirk, side)).map(Quirk::label).collect();
    for name in names {
        match Quirk::ALL.into_iter().find(|quirk| quirk.label() == name.value) {
            Some(quirk) if applies_to(quirk, side) => quirks = quirks.with(quirk),
            Some(quirk) => {
                let whose = side_text(quirk.side());
                let title = format!("`{}` is a quirk of {whose}", name.value);
                errors
                    .error(&name.span, title, format!("this is {}", side_text(side)))
                    .help(format!("set it on {whose}"));
            }
            None => {
                let title = format!("there is no quirk `{}`", name.value);
                errors.error(&name.span, title, "unknown word").suggest_name(&name.value, &known);
            }
        }
    }
    quirks
}

fn applies_to(quirk: Quirk, side: QuirkSide) -> bool {
    quirk.side() == QuirkSide::Either || quirk.side() == side
}

const fn side_text(side: QuirkSide) -> &'static str {
    match side {
        QuirkSide::Client => "a client",
        QuirkSide::Broker => "the broker",
        QuirkSide::Either => "either end",
    }
}

/// What an endpoint says that it takes.
pub(super) struct AdvertisedLimits<'a> {
    receive_maximum: Option<&'a Located<BoundedInt<0, 65_535>>>,
    max_packet_size: Option<&'a Located<Bytes>>,
    topic_alias_maximum: Option<&'a Located<BoundedInt<0, 65_535>>>,
    /// Where the standard speaks of this end's values.
    sections: [&'static str; 2],
}

impl<'a> AdvertisedLimits<'a> {
    pub(super) fn of_client(table: &'a ClientTable) -> Self {
        Self {
            receive_maximum: table.receive_maximum.as_ref(),
            max_packet_size: table.max_packet_size.as_ref(),
            topic_alias_maximum: table.topic_alias_maximum.as_ref(),
            sections: ["3.1.2.11.3", "3.1.2.11.4"],
        }
    }

    pub(super) fn of_broker(table: &'a BrokerTable) -> Self {
        Self {
            receive_maximum: table.receive_maximum.as_ref(),
            max_packet_size: table.max_packet_size.as_ref(),
            topic_alias_maximum: table.topic_alias_maximum.as_ref(),
            sections: ["3.2.2.3.3", "3.2.2.3.6"],
        }
    }

    /// The limits, if the version has them and they may be so.
    pub(super) fn limits(&self, version: Version, errors: &mut Diagnostics) -> ReceiverLimits {
        let mut limits = ReceiverLimits::NONE;
        if let Some(given) = self.receive_maximum {
            require_v5("receive_maximum", &given.span, version, errors);
            limits.receive_maximum = u16::try_from(given.value.0).unwrap_or(u16::MAX);
            if given.value.0 == 0 {
                let help = "with 0 nothing could ever be sent: write 1 to 65535";
                refuse_zero("receive_maximum", self.sections[0], &given.span, errors, help);
            }
        }
        if let Some(given) = self.max_packet_size {
            require_v5("max_packet_size", &given.span, version, errors);
            limits.max_packet_size = given.value.0;
            if given.value.0 == 0 {
                let help = "leave it out for no limit";
                refuse_zero("max_packet_size", self.sections[1], &given.span, errors, help);
            }
        }
        if let Some(given) = self.topic_alias_maximum {
            require_v5("topic_alias_maximum", &given.span, version, errors);
            limits.topic_alias_maximum = u16::try_from(given.value.0).unwrap_or(u16::MAX);
        }
        limits
    }
}

fn refuse_zero(
    field: &str,
    section: &str,
    span: &Range<usize>,
    errors: &mut Diagnostics,
    help: &str,
) {
    let title = format!("{field} must not be 0");
    let label = format!("a Protocol Error (MQTT 5.0, section {section})");
    errors.error(span, title, label).help(help);
}

/// Refuses what only MQTT 5.0 has.
pub(super) fn require_v5(
    field: &str,
    span: &Range<usize>,
    version: Version,
    errors: &mut Diagnostics,
) {
    if version != Version::V5 {
        errors
            .error(span, format!("`{field}` needs MQTT 5.0"), "earlier versions do not have it")
            .help("write `mqtt = \"5.0\"`, or leave it out");
    }
}

/// Refuses a time that 5.0 cannot write: it counts whole seconds in four bytes.
pub(super) fn check_whole_seconds(
    field: &str,
    time: Span,
    span: &Range<usize>,
    errors: &mut Diagnostics,
) {
    let whole = time.as_nanos().is_multiple_of(1_000_000_000);
    if !whole || time >= Span::from_secs(u32::MAX.into()) {
        let title = format!("{field} must be whole seconds, less than 4294967295s");
        errors.error(span, title, format!("this is {}", format_span(time)));
    }
}

/// A time in the whole seconds that 5.0 counts.
pub(super) fn whole_seconds(time: Span) -> u32 {
    u32::try_from(time.as_nanos() / 1_000_000_000).unwrap_or(u32::MAX)
}
