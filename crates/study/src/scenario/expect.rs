//! What a scenario expects beyond the promises.

use serde::{Deserialize, Serialize};

use super::known_bugs::Day;
use qoslab_core::base::{QoS, Span};
use qoslab_guarantee::{Blame, RuleViolationKind, Violation};
use qoslab_sim::MetricScope;

/// The words that `sometimes` and `never` know: counters of what makes a scenario interesting.
pub(super) use qoslab_guarantee::COUNTER_NAMES as SOMETIMES;

/// The `[expect]` table, checked.
#[derive(Clone, Debug, Default)]
pub struct Expectations {
    /// Bounds on metrics; each must be met.
    pub needs: Vec<Need>,
    /// Counters that must not be zero, summed over all trials.
    pub sometimes: Vec<String>,
    /// Counters that must be zero, summed over all trials.
    pub never: Vec<String>,
    /// Violations and broken rules that must occur, and are then no failure.
    pub broken: Vec<ExpectedBreak>,
    /// Those that a gate knows: no failure either, and they need not occur.
    pub known: Vec<KnownBreak>,
}

/// A violation or a broken rule that is known and explained.
#[derive(Clone, Debug)]
pub struct ExpectedBreak {
    /// Which.
    pub what: BreakTarget,
    /// Why it happens, for readers of the report.
    pub why: String,
}

/// A bug that a gate knows, until some day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownBreak {
    /// What breaks.
    pub what: BreakTarget,
    /// Why it happens, for readers of the report.
    pub why: String,
    /// Where the bug is followed.
    pub url: String,
    /// The last day on which it is known.
    pub expires: Day,
}

/// What is known to break.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BreakTarget {
    /// A promise.
    Promise(Violation),
    /// A rule of the standard.
    Rule(ExpectedRule),
}

/// A rule that is known to be broken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExpectedRule {
    /// Its id, such as `MQTT-3.3.1-1`, or its name, as `docs/rules.md` lists them.
    pub rule: String,
    /// Who breaks it.
    pub blame: Blame,
}

impl Expectations {
    /// What may break without a failure.
    pub fn declared_breaks(&self) -> impl Iterator<Item = &BreakTarget> {
        let expected = self.broken.iter().map(|it| &it.what);
        expected.chain(self.known.iter().map(|it| &it.what))
    }
}

impl BreakTarget {
    /// Whether it is this broken promise.
    #[must_use]
    pub fn matches_violation(&self, violation: Violation) -> bool {
        matches!(self, Self::Promise(known) if *known == violation)
    }

    /// Whether it is this broken rule.
    #[must_use]
    pub fn matches_rule_violation(&self, broken: &RuleViolationKind) -> bool {
        matches!(self, Self::Rule(known) if known.matches(broken))
    }
}

impl ExpectedRule {
    /// Whether this is what was broken.
    #[must_use]
    pub fn matches(&self, broken: &RuleViolationKind) -> bool {
        let called = broken.id() == Some(&self.rule) || broken.rule.name() == self.rule;
        called && broken.blame == self.blame
    }
}

/// A bound such as `qos2.latency.p99 <= 2s`. It is stored as it was written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Need {
    /// As it was written.
    pub text: String,
    /// Of the messages published with this QoS; `None`: of each QoS that the trials have.
    pub qos: Option<QoS>,
    /// Of the messages of these clients and topics.
    pub scope: MetricScope,
    /// What is bounded.
    pub metric: Metric,
    /// How it is compared.
    pub comparison: Comparison,
    /// With what.
    pub bound: Bound,
}

/// A number that a need can bound, taken over all seeds of a point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Metric {
    /// Share of units with a copy, or count with a plain number.
    Delivered,
    /// Units without a copy.
    Lost,
    /// Units with more copies than one.
    Duplicated,
    /// Copies of each unit delivered: 1 without duplicates.
    Copies,
    /// Deliveries without a subscription.
    Unexpected,
    /// Messages never acknowledged.
    Stuck,
    /// First copies out of order.
    Reordered,
    /// Message packets (PUBLISH to PUBCOMP, resends included) for each message published.
    Packets,
    /// Their wire bytes for each message published.
    Bytes,
    /// Wire bytes of message packets for each payload byte delivered once.
    Overhead,
    /// From `publish()` to the first delivery.
    Latency(Statistic),
    /// From `publish()` to the end of the publisher's handshake.
    Completion(Statistic),
    /// Peak of messages in flight, the worst seed's.
    InFlight,
    /// Peak of messages queued, the worst seed's.
    Queued,
    /// From the last fault to an empty backlog, the worst seed's.
    Recovery,
    /// Joules that the clients' radios used, for each message published.
    Energy,
    /// The mean power of one radio, in milliwatts.
    Power,
    /// How long the radios' batteries last at their mean power, in years.
    Battery,
}

impl Metric {
    /// Whether it is about what was delivered and when, and can be kept apart by client and topic.
    #[must_use]
    pub const fn is_of_deliveries(self) -> bool {
        matches!(
            self,
            Self::Delivered
                | Self::Lost
                | Self::Duplicated
                | Self::Copies
                | Self::Unexpected
                | Self::Stuck
                | Self::Reordered
                | Self::Latency(_)
                | Self::Completion(_)
        )
    }

    /// Whether it is about radios, and known only where clients have some.
    #[must_use]
    pub const fn is_of_radios(self) -> bool {
        matches!(self, Self::Energy | Self::Power | Self::Battery)
    }
}

/// Which number of a distribution of times.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Statistic {
    /// A quantile, as a share from 0 to 1: `p99` is 0.99, `p99.9` is 0.999.
    Quantile(f64),
    /// The largest.
    Max,
    /// The mean over what was delivered.
    Mean,
}

/// How a metric is compared with its bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the signs' own names")]
pub enum Comparison {
    Less,
    AtMost,
    AtLeast,
    Greater,
    Equal,
}

/// What a metric is compared with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bound {
    /// A plain number: a count, or a number for each message.
    Number(f64),
    /// A share from 0 to 1, written in percent.
    Share(f64),
    /// A length of time.
    Span(Span),
    /// That many times the same metric at another QoS: `1.35 x qos0`.
    TimesOther(f64, QoS),
}
