//! The rules that the monitor knows, with their ids in both standards, and the page that lists
//! them: `docs/rules.md`.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use qoslab_core::base::name::Node;
use qoslab_core::mqtt::settings::Version;

mod table;
mod unchecked;

pub use table::ALL;
use table::TABLE;
pub use unchecked::UNCHECKED;

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
    AboveGranted,
    BelowGranted,
    NotSubscribed,
    NeverForwarded,
    NeverDelivered,
}

/// How binding a rule is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
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
enum At {
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

/// Where one version of the standard says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cited {
    /// This version has no such rule, so it is not checked there.
    Nowhere,
    /// It is checked, but no numbered sentence says it.
    Unnumbered,
    /// In one sentence.
    Both(&'static str),
    /// In one for the client and another for the broker.
    Sides(&'static str, &'static str),
}

/// What is written about a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Facts {
    rule: Rule,
    name: &'static str,
    strength: Strength,
    at: At,
    /// Whether it is checked in MQTT 3.1, whose sentences have no numbers.
    v31: bool,
    v311: Cited,
    v5: Cited,
    /// Whether it needs a byte stream below it: datagrams may be lost, repeated and reordered.
    stream: bool,
    /// Whether only a second pass sees it, for messages whose promise broke.
    second_pass: bool,
    says: &'static str,
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
            Cited::Nowhere | Cited::Unnumbered => None,
            Cited::Both(id) => Some(id),
            Cited::Sides(client, broker) => {
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
    pub fn says(self) -> &'static str {
        self.facts().says
    }

    /// Whether it holds in this version of the protocol, and over such a transport.
    pub(super) fn is_checked(self, version: Version, over_stream: bool) -> bool {
        let facts = self.facts();
        let known = match version {
            Version::V31 => facts.v31,
            Version::V311 => facts.v311 != Cited::Nowhere,
            Version::V5 => facts.v5 != Cited::Nowhere,
        };
        known && (over_stream || !facts.stream)
    }

    /// Whether a text, as a scenario may write it, means this rule: its name or one of its ids.
    #[must_use]
    pub fn is_called(self, text: &str) -> bool {
        self.name() == text || self.ids().any(|id| id == text)
    }

    /// All its ids, in both standards.
    pub fn ids(self) -> impl Iterator<Item = &'static str> {
        let Facts { v311, v5, .. } = *self.facts();
        [v311, v5]
            .into_iter()
            .flat_map(|cited| match cited {
                Cited::Nowhere | Cited::Unnumbered => [None, None],
                Cited::Both(id) => [Some(id), None],
                Cited::Sides(client, broker) => [Some(client), Some(broker)],
            })
            .flatten()
    }

    fn facts(self) -> &'static Facts {
        &TABLE[self as usize]
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
pub fn page() -> String {
    let mut page = String::from(INTRODUCTION);
    for facts in &TABLE {
        let over = if facts.stream { "tcp" } else { "both" };
        let pass = if facts.second_pass { ", second pass" } else { "" };
        let _ = writeln!(
            page,
            "| `{}` | {} | {} | {} | {} | ... {} | {}{pass} | {over} |",
            facts.name,
            if facts.v31 { "yes" } else { "-" },
            cell(facts.v311),
            cell(facts.v5),
            facts.strength.label(),
            facts.says,
            place(facts.at),
        );
    }
    page += UNCHECKED_INTRODUCTION;
    for (rule, why) in UNCHECKED {
        let _ = writeln!(page, "| {rule} | {why} |");
    }
    page
}

fn cell(cited: Cited) -> String {
    match cited {
        Cited::Nowhere => "-".to_owned(),
        Cited::Unnumbered => "unnumbered".to_owned(),
        Cited::Both(id) => format!("[{id}]"),
        Cited::Sides(client, broker) => format!("[{client}] client, [{broker}] broker"),
    }
}

const fn place(at: At) -> &'static str {
    match at {
        At::Sender => "sender of a hop",
        At::Receiver => "receiver of a hop",
        At::Client => "client",
        At::Broker => "broker",
        At::Either => "either end",
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
        for (nth, facts) in TABLE.iter().enumerate() {
            assert_eq!(facts.rule as usize, nth, "{:?}", facts.rule);
        }
        assert_eq!(Rule::NeverDelivered as usize + 1, TABLE.len());
    }

    #[test]
    fn names_are_different_and_ids_have_their_form() {
        let names: std::collections::BTreeSet<_> = ALL.iter().map(|rule| rule.name()).collect();
        assert_eq!(names.len(), ALL.len());
        for id in ALL.iter().flat_map(|rule| rule.ids()) {
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
            std::fs::write(path, page()).expect("docs is writable");
        }
        let written = std::fs::read_to_string(path).unwrap_or_default();
        assert!(written == page(), "docs/rules.md is stale: run this test with QOSLAB_UPDATE=1");
    }
}
