//! Checks of the delivery guarantees: what was owed, what happened, and which part is to blame.
//!
//! Two observers do the work. [`FirstPassObserver`] sees the first pass of a trial: it
//! keeps a byte for each message and each unit, measures, and names the suspected violations.
//! [`EvidenceRecorder`] sees a second, identical pass if there are any, keeps
//! the evidence for them alone, and assigns the blame.

pub use self::backlog::{BacklogObserver, BacklogStep, BacklogTimeline, FaultInterval};
pub use self::counters::COUNTER_NAMES;
pub use self::drop_counts::DropCounts;
pub use self::evidence_recorder::EvidenceRecorder;
pub use self::first_pass::{FirstPassObserver, FirstPassResult, SuspectedViolation};
pub use self::livelock::{Livelock, LivelockObserver};
pub use self::metric_groups::{GroupMetrics, MetricGroup};
pub use self::metrics::{
    Bill, BytesByPurpose, DeliveryCounts, KindTraffic, LatencyHistogram, MESSAGE_KINDS, Metrics,
    PacketCount, QosMetrics,
};
pub use self::monitor::{ConformanceObserver, Monitor, RuleViolation};
pub use self::trial_facts::{ClientFacts, PublisherFacts, SubscriptionFacts, TrialFacts};
pub use self::verdict::{
    Blame, Breach, Excuse, Finding, HistoryLine, MAX_FINDINGS, Outcome, Promise, RuleFinding,
    RuleViolationKind, Violation,
};

mod acceptance;
mod backlog;
mod blame;
mod claims;
mod counters;
mod crashes;
mod deliveries;
mod delivery_unit;
mod drop_counts;
mod evaluation;
mod event_log;
mod evidence;
mod evidence_recorder;
mod findings;
mod first_chance;
mod first_pass;
mod ledger;
mod livelock;
pub mod message_history;
mod metric_groups;
mod metrics;
mod metrics_collector;
mod monitor;
mod not_subscribed;
mod open_connections;
mod pattern_counters;
mod promise;
mod queue_count;
mod retained;
pub mod rules;
mod session_clock;
mod session_endings;
mod sessions;
mod shared_subscriptions;
mod size_limits;
mod subscriptions;
#[cfg(test)]
mod tests;
mod trial_facts;
mod verdict;
