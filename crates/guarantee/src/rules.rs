//! The rules that the monitor knows, with their ids in both standards, and the page that lists
//! them: `docs/rules.md`.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use qoslab_core::base::Node;
use qoslab_core::mqtt::Version;

mod row;
mod second_pass;
mod table;
mod unchecked;

pub use table::ALL_RULES;
use table::RULE_TABLE;
pub use unchecked::UNCHECKED_RULES;

/// A rule that an endpoint can be seen to break at its own interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the table says of each what breaks it")]
pub enum Rule {
    ResendWithoutDup,
    FirstWithDup,
    FirstOfQosTwoWithDup,
    QosZeroWithDup,
    ReservedQos,
    ReleaseFlags,
    SubscribeFlags,
    UnsubscribeFlags,
    ReservedFlags,
    IdZero,
    IdOnQosZero,
    IdInUse,
    IdChanged,
    PublishAfterRelease,
    ReleaseMissing,
    ReleaseUnasked,
    PublishNotResent,
    ReleaseNotResent,
    ResendOutOfOrder,
    NewBeforeResend,
    ReleaseOutOfOrder,
    ReleaseResentOutOfOrder,
    ResentAlive,
    RefusedResent,
    ReceiveMaximumExceeded,
    TooLarge,
    ExpiredInFlight,
    OldStateAfterReset,
    OldStateAfterClean,
    SecondDelivery,
    PublishUnacknowledged,
    PublishUnrecorded,
    ReleaseUnanswered,
    AnswerUnasked,
    AckOutOfOrder,
    RecordOutOfOrder,
    ConnectNotFirst,
    SecondConnect,
    ConnAckNotFirst,
    SecondConnAck,
    ConnectUnanswered,
    PresentAfterClean,
    PresentWithoutSession,
    SessionLost,
    OldLeftOpen,
    SentAfterDisconnect,
    ClientSilent,
    SilenceIgnored,
    PingUnanswered,
    PingUnheeded,
    SubscribeUnanswered,
    SubackIncomplete,
    UnsubscribeUnanswered,
    RequestAnswerUnasked,
    RetainOnForward,
    RetainedWithoutFlag,
    RetainedUnwanted,
    ForwardedToItself,
    ExpiredForwarded,
    ExpiryNotReduced,
    WillUnowed,
    WillTooEarly,
    WillNotPublished,
    AboveGranted,
    BelowGranted,
    NotSubscribed,
    ForwardedOutOfOrder,
    RetainedNotReplaced,
    RetainedNotSent,
    NeverForwarded,
    NeverDelivered,
}

/// How binding a rule is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Strength {
    /// The standard says MUST: a trial in which it is broken is violated.
    Must,
    /// The standard says SHOULD: it is counted and shown, and breaks nothing.
    Should,
    /// No sentence of the standard says so, but the promise of the QoS does.
    Promise,
}

/// At whose interface a rule is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CheckedAt {
    /// What the sender's half of a hop sends, at a client or the broker.
    Sender,
    /// What the receiver's half of a hop answers and passes on.
    Receiver,
    /// What a client sends.
    Client,
    /// What the broker sends.
    Broker,
    /// What either sends.
    Either,
}

/// The place in one version of the standard that states a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Citation {
    /// This version has no such rule, so it is not checked there.
    NotInVersion,
    /// It is checked, but no numbered sentence says it.
    Unnumbered,
    /// In one sentence.
    Both(&'static str),
    /// In one for the client and another for the broker.
    Sides(&'static str, &'static str),
}

/// The description of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct RuleFacts {
    rule: Rule,
    name: &'static str,
    strength: Strength,
    checked_at: CheckedAt,
    /// Whether it is checked in MQTT 3.1, whose sentences have no numbers.
    in_v31: bool,
    v311: Citation,
    v5: Citation,
    /// Whether it needs a byte stream below it: datagrams may be lost, repeated and reordered.
    tcp_only: bool,
    /// Whether only a second pass sees it, for messages whose promise broke.
    second_pass: bool,
    description: &'static str,
}

impl Rule {
    /// The rule's id in the standard, for the node that broke it and the version it speaks;
    /// `None` where no numbered sentence says it, as in all of MQTT 3.1.
    #[must_use]
    pub fn id(self, version: Version, node: Node) -> Option<&'static str> {
        let cited = match version {
            Version::V31 => return None,
            Version::V311 => self.facts().v311,
            Version::V5 => self.facts().v5,
        };
        match cited {
            Citation::NotInVersion | Citation::Unnumbered => None,
            Citation::Both(id) => Some(id),
            Citation::Sides(client, broker) => {
                Some(if node == Node::Broker { broker } else { client })
            }
        }
    }

    /// Its name in scenario files and outputs, such as `resend-without-dup`.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.facts().name
    }

    /// How binding it is.
    #[must_use]
    pub fn strength(self) -> Strength {
        self.facts().strength
    }

    /// What an endpoint did that broke it, as the rest of a sentence after the endpoint's name.
    #[must_use]
    pub fn violation_phrase(self) -> &'static str {
        self.facts().description
    }

    /// Whether it holds in this version of the protocol, and over such a transport.
    pub(super) fn is_checked(self, version: Version, over_stream: bool) -> bool {
        let facts = self.facts();
        let known = match version {
            Version::V31 => facts.in_v31,
            Version::V311 => facts.v311 != Citation::NotInVersion,
            Version::V5 => facts.v5 != Citation::NotInVersion,
        };
        known && (over_stream || !facts.tcp_only)
    }

    /// Whether a text, as a scenario may write it, means this rule: its name or one of its ids.
    #[must_use]
    pub fn is_named(self, text: &str) -> bool {
        self.name() == text || self.ids().any(|id| id == text)
    }

    /// All its ids, in both standards.
    pub fn ids(self) -> impl Iterator<Item = &'static str> {
        let RuleFacts { v311, v5, .. } = *self.facts();
        [v311, v5]
            .into_iter()
            .flat_map(|cited| match cited {
                Citation::NotInVersion | Citation::Unnumbered => [None, None],
                Citation::Both(id) => [Some(id), None],
                Citation::Sides(client, broker) => [Some(client), Some(broker)],
            })
            .flatten()
    }

    fn facts(self) -> &'static RuleFacts {
        &RULE_TABLE[self as usize]
    }
}

impl Strength {
    /// `MUST`, `SHOULD` or `promise`.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Must => "MUST",
            Self::Should => "SHOULD",
            Self::Promise => "promise",
        }
    }
}

/// The page `docs/rules.md`.
#[must_use]
pub fn docs_page() -> String {
    let mut page = String::from(INTRODUCTION);
    for facts in &RULE_TABLE {
        let over = if facts.tcp_only { "tcp" } else { "both" };
        let pass = if facts.second_pass { ", second pass" } else { "" };
        let _ = writeln!(
            page,
            "| `{}` | {} | {} | {} | {} | ... {} | {}{pass} | {over} |",
            facts.name,
            if facts.in_v31 { "yes" } else { "-" },
            citation_cell(facts.v311),
            citation_cell(facts.v5),
            facts.strength.label(),
            facts.description,
            checked_at_text(facts.checked_at),
        );
    }
    page += UNCHECKED_INTRODUCTION;
    for (rule, why) in UNCHECKED_RULES {
        let _ = writeln!(page, "| {rule} | {why} |");
    }
    page
}

fn citation_cell(cited: Citation) -> String {
    match cited {
        Citation::NotInVersion => "-".to_owned(),
        Citation::Unnumbered => "unnumbered".to_owned(),
        Citation::Both(id) => format!("[{id}]"),
        Citation::Sides(client, broker) => format!("[{client}] client, [{broker}] broker"),
    }
}

const fn checked_at_text(at: CheckedAt) -> &'static str {
    match at {
        CheckedAt::Sender => "sender of a hop",
        CheckedAt::Receiver => "receiver of a hop",
        CheckedAt::Client => "client",
        CheckedAt::Broker => "broker",
        CheckedAt::Either => "either end",
    }
}

const INTRODUCTION: &str = "\
# The rules that the monitor checks

Every trial is watched packet by packet, at both ends of each connection. An endpoint is judged by
what crossed its own interface, and by nothing else: what it was told before it acted. A broken
MUST makes a trial violated (exit code 1) even where no promise broke, unless the scenario declares
it; a broken SHOULD is counted and shown. A scenario declares one so, by id or by name:

```toml
[[expect.broken]]
rule  = \"MQTT-3.3.1-1\"
blame = \"broker\"
why   = \"this broker never sets DUP\"
```

The sentences of MQTT 3.1 have no numbers: there a rule is known by its name alone. \"-\": the rule
is not in that version and not checked there; \"unnumbered\": the text says it without a number.
Rules \"over tcp\" are not checked over datagrams, which may be lost, repeated and reordered. Rules
of the \"second pass\" are looked for only where a promise broke, and explain why. `below-granted`
is one of them since a broker may send a copy for each filter: that no copy came at the right QoS is
seen at the end only.

Where a scenario declares a retry timer, `resent-alive` is not checked for that endpoint. Where a
store forgets (`volatile` or a snapshot), nothing that a crash made an endpoint forget counts as a
broken rule. Keep-alive times have a tolerance of 1 s.

| name | 3.1 | 3.1.1 | 5.0 | strength | what the endpoint did | checked at | over |
|---|---|---|---|---|---|---|---|
";

const UNCHECKED_INTRODUCTION: &str = "
# The rules of delivery that are not checked

| rule | why |
|---|---|
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_has_exactly_one_row_and_rows_stand_in_order() {
        for (nth, facts) in RULE_TABLE.iter().enumerate() {
            assert_eq!(facts.rule as usize, nth, "{:?}", facts.rule);
        }
        assert_eq!(Rule::NeverDelivered as usize + 1, RULE_TABLE.len());
    }

    #[test]
    fn names_are_different_and_ids_have_their_form() {
        let names: std::collections::BTreeSet<_> =
            ALL_RULES.iter().map(|rule| rule.name()).collect();
        assert_eq!(names.len(), ALL_RULES.len());
        for id in ALL_RULES.iter().flat_map(|rule| rule.ids()) {
            let parts = id.strip_prefix("MQTT-").and_then(|rest| rest.split_once('-'));
            let (section, number) = parts.expect("MQTT-section-number");
            assert_eq!(section.split('.').count(), 3, "{id}");
            let parts = section.split('.').chain([number]);
            assert!(parts.map(str::parse::<u8>).all(|part| part.is_ok()), "{id}");
        }
    }

    /// Run with `QOSLAB_UPDATE=1` to write the page.
    #[test]
    fn the_page_in_docs_is_the_table() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/rules.md");
        if std::env::var_os("QOSLAB_UPDATE").is_some() {
            std::fs::write(path, docs_page()).expect("docs is writable");
        }
        let written = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            written == docs_page(),
            "docs/rules.md is stale: run this test with QOSLAB_UPDATE=1"
        );
    }
}
