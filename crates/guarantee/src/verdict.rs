//! The outcome of a trial: what was promised, what was broken, and which part is to blame.

use std::collections::BTreeMap;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use super::counters::COUNTER_NAMES;
use super::livelock::Livelock;
use super::metrics::Metrics;
use super::rules::{ALL_RULES, Rule, Strength};
use qoslab_core::base::{ClientIndex, Ending, Node, PublisherIndex, QoS, Time};
use qoslab_core::impl_fingerprint;
use qoslab_core::mqtt::Version;

/// The complete result of a finished trial.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Outcome {
    /// How it ended.
    pub ending: Ending,
    /// When, in virtual time.
    pub ended_at: Time,
    /// How many events the engine handled.
    pub events: u64,
    /// How many packets were sent, of every kind, in all phases.
    pub packets: u64,
    /// A hash over every event's time, class, packet name, fate and delivery.
    pub trace_hash: u64,
    /// What was measured.
    pub metrics: Metrics,
    /// What was broken, by promise, breach and blame.
    pub violations: BTreeMap<Violation, u64>,
    /// The first few violations in full, at most [`MAX_FINDINGS`] for each [`Violation`].
    pub findings: Vec<Finding>,
    /// Rules of the standard that endpoints were seen to break, whether or not a promise broke.
    pub rule_violations: BTreeMap<RuleViolationKind, u64>,
    /// The first few of them, at most [`MAX_FINDINGS`] for each [`RuleViolationKind`], by time.
    pub rule_findings: Vec<RuleFinding>,
    /// Units that were owed but for a reason that the scenario or the standard accepts.
    pub excuses: BTreeMap<Excuse, u64>,
    /// What it did in vain again and again; only where it came to a limit before its end.
    pub livelock: Option<Livelock>,
    /// How often the notable events happened, by the names that `sometimes` uses.
    #[serde(deserialize_with = "deserialize_counters")]
    pub counters: BTreeMap<&'static str, u64>,
}

/// One kind of broken rule, as it is counted, expected and reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RuleViolationKind {
    /// Which rule.
    pub rule: Rule,
    /// Who broke it: the publisher, the broker or the subscriber.
    pub blame: Blame,
    /// The version that was spoken, which decides how the rule is cited.
    pub version: Version,
}

/// One broken rule in full.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleFinding {
    /// The kind.
    pub kind: RuleViolationKind,
    /// The time; for what was never done, when it became due.
    pub at: Time,
    /// One plain sentence: who did what, and of which message.
    pub sentence: String,
}

impl RuleViolationKind {
    /// The rule's id in the version that was spoken, such as `MQTT-4.3.3-2`; `None` where no
    /// numbered sentence says it, as in all of MQTT 3.1.
    #[must_use]
    pub fn id(&self) -> Option<&'static str> {
        // Which client does not matter: ids differ by side alone.
        let node = match self.blame {
            Blame::Broker => Node::Broker,
            _ => Node::Client(ClientIndex(0)),
        };
        self.rule.id(self.version, node)
    }

    /// Whether it makes a trial violated.
    #[must_use]
    pub fn fails_trial(&self) -> bool {
        self.rule.strength() != Strength::Should
    }
}

/// How many findings of one [`Violation`] are kept in full.
pub const MAX_FINDINGS: usize = 3;

/// What was promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Promise {
    /// No duplicates (QoS 0).
    AtMostOnce,
    /// No losses (QoS 1).
    AtLeastOnce,
    /// Neither (QoS 2 published and granted).
    ExactlyOnce,
    /// Each accepted QoS 1 or 2 message is acknowledged in the end.
    Acknowledged,
    /// Only subscribers get copies, at no more than the granted QoS.
    OnlySubscribed,
    /// First copies come in the order of publishing.
    Ordered,
}

impl_fingerprint! { fieldless Promise }

/// How a promise was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Breach {
    /// Owed, and no copy came.
    Lost,
    /// More copies than one.
    Duplicated,
    /// A copy that was not owed, or one above the granted QoS.
    Unexpected,
    /// Accepted and never acknowledged.
    Stuck,
    /// Completed only when all clients reconnected.
    Stalled,
    /// Out of order.
    Reordered,
}

impl_fingerprint! { fieldless Breach }

/// The part to blame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Blame {
    /// The publisher's endpoint broke a rule.
    Publisher,
    /// The broker's endpoint broke a rule.
    Broker,
    /// The subscriber's endpoint broke a rule.
    Subscriber,
    /// No endpoint did; the network lost, duplicated or reordered a packet of this message.
    Network,
    /// Neither; a setting such as a limit made it so.
    Configuration,
    /// Nothing explains it: a bug in qoslab.
    Unexplained,
    /// Nothing explains it, and an endpoint has quirks, or is somebody else's: it may have done it.
    UnexplainedOnPath,
}

/// One kind of broken promise, as it is counted, expected and reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Violation {
    /// What was promised.
    pub promise: Promise,
    /// How it was broken.
    pub breach: Breach,
    /// Whose fault it was.
    pub blame: Blame,
}

/// A rule's id in the standard. (Under a name of its own serde does not take it for text borrowed
/// from what is read.)
pub(crate) type RuleId = &'static str;

/// One broken promise in full.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Finding {
    /// The kind.
    pub violation: Violation,
    /// The rule that the blamed endpoint broke, such as `MQTT-4.3.3-2`; `None` if it is no
    /// endpoint's fault, or no single sentence of the standard says it.
    #[serde(deserialize_with = "deserialize_rule_id")]
    pub rule: Option<RuleId>,
    /// How binding that rule is; without one, the promise alone is.
    pub strength: Strength,
    /// One plain sentence: why the blame falls there.
    pub reason: String,
    /// Who published.
    pub publisher: PublisherIndex,
    /// Which message of that stream, from 0.
    pub sequence: u32,
    /// The published QoS.
    pub qos: QoS,
    /// The subscriber; `None` where only the publisher is concerned.
    pub subscriber: Option<ClientIndex>,
    /// When `publish()` was called.
    pub published: Time,
    /// When copies were delivered, the first few.
    pub deliveries: Vec<Time>,
    /// How many copies were delivered in all.
    pub copies: u32,
    /// The message's packets in order, one line each, as `time  who  what`.
    pub history: Vec<HistoryLine>,
}

/// One line of a message's history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryLine {
    /// The time.
    pub at: Time,
    /// What happened, in words, with node names.
    pub text: String,
}

/// The reason why a unit that would have been owed is not (`docs/model.md`, "What is owed").
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Excuse {
    /// The subscriber's session ended.
    SessionEnded,
    /// The receiver answered with a negative acknowledgement.
    Rejected,
    /// The sender gave up after its declared number of transmissions.
    GaveUp,
    /// A full queue dropped it, as the scenario declares and allows.
    QueueOverflow,
    /// It expired before its onward delivery began [MQTT-3.3.2-5].
    Expired,
    /// It was larger than its receiver's Maximum Packet Size [MQTT-3.1.2-25].
    TooLarge,
}

impl_fingerprint! { fieldless Excuse }

/// Counters as they were written: each has one of the known names.
fn deserialize_counters<'de, D: Deserializer<'de>>(
    from: D,
) -> Result<BTreeMap<&'static str, u64>, D::Error> {
    let named = BTreeMap::<String, u64>::deserialize(from)?;
    let known = |(name, count): (String, u64)| {
        let word = COUNTER_NAMES.into_iter().find(|word| *word == name);
        word.map(|word| (word, count)).ok_or_else(|| D::Error::custom("an unknown counter"))
    };
    named.into_iter().map(known).collect()
}

/// A rule's id as it was written: one of those that the rules have.
fn deserialize_rule_id<'de, D: Deserializer<'de>>(from: D) -> Result<Option<RuleId>, D::Error> {
    let Some(written) = Option::<String>::deserialize(from)? else { return Ok(None) };
    let known = ALL_RULES.iter().flat_map(|rule| rule.ids()).find(|id| *id == written);
    known.map(Some).ok_or_else(|| D::Error::custom("an unknown rule"))
}
