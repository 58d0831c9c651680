//! The results of many trials of a scenario, small enough to keep.

use std::collections::BTreeMap;

use xxhash_rust::xxh3::xxh3_64_with_seed;

pub use super::group_result::GroupResult;
pub(crate) use super::minimal_failures::MinimalFailure;
use super::needs::NeedResult;
pub use super::quantiles::Quantiles;
use super::shrink::BrokenGuarantee;
use super::statistics::to_f64;
use super::verdicts::{failure_cause, is_expected, trial_verdict};
use crate::bill::{BillingFacts, MonthlyBill};
use crate::scenario::{Expectations, ExpectedBreak, KnownBreak, Scenario};
use qoslab_core::base::radio_use::RadioUse;
use qoslab_core::base::{Ending, PacketKind, QoS, Span, Time};
use qoslab_guarantee::{
    Bill, BytesByPurpose, DeliveryCounts, Excuse, Finding, KindTraffic, LatencyHistogram, Livelock,
    MESSAGE_KINDS, Outcome, PacketCount, QosMetrics, RuleFinding, RuleViolationKind, Violation,
};
use qoslab_sim::{EngineKind, PayloadSize, Setup};

/// The verdict on a trial, a point or a scenario; the worst of many is the greatest. The order is
/// the precedence of the exit codes 0, 3, 1, 5, 70.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// Every promise and need holds.
    #[default]
    Holds,
    /// Nothing is proved: not drained, or something expected never happened.
    Inconclusive,
    /// A promise or a MUST of the standard is broken, or a need not met.
    Violated,
    /// The same trial gave another trace the second time.
    NotDeterministic,
    /// A bug in qoslab: a panic, or a violation that nothing explains.
    Bug,
}

/// The greatest number of failing trials of a point that are kept in full.
pub const MAX_FAILURES: usize = 3;

/// The complete result of one scenario.
#[derive(Clone, Debug)]
pub struct ScenarioResult {
    /// The scenario.
    pub scenario: Scenario,
    /// The engine that ran its trials.
    pub engine: EngineKind,
    /// How many trials were to run.
    pub planned: usize,
    /// How many did; fewer after an interruption.
    pub finished: usize,
    /// Whether only a part of the scenario was asked for: then a need, `sometimes` or expected
    /// break that it cannot show is not judged.
    pub narrowed: bool,
    /// The points that were to run, in the scenario's order.
    pub points: Vec<PointResult>,
    /// The needs, in the scenario's order, each judged over all points.
    pub needs: Vec<NeedResult>,
    /// Counters that must not be zero, with their sums.
    pub sometimes: Vec<(String, u64)>,
    /// Counters that must be zero, with their sums.
    pub never: Vec<(String, u64)>,
    /// Breaks that must occur, with how often they did.
    pub expected: Vec<(ExpectedBreak, u64)>,
    /// Breaks that the gate knows, with how often they occurred.
    pub known: Vec<(KnownBreak, u64)>,
    /// The verdict over all of it.
    pub verdict: Verdict,
}

/// All seeds of one point, folded.
#[derive(Clone, Debug)]
pub struct PointResult {
    /// The position in [`Scenario::points`].
    pub index: usize,
    /// The point's name for people, such as `qos 2`.
    pub label: String,
    /// The published QoS where it is one.
    pub published: Option<QoS>,
    /// The granted QoS where it is an axis.
    pub granted: Option<QoS>,
    /// One row a trial, by seed.
    pub trials: Vec<TrialRow>,
    /// Times over all seeds, by published QoS.
    pub times: [MergedTimes; 3],
    /// What was broken, over all seeds, expected or not.
    pub violations: BTreeMap<Violation, u64>,
    /// Rules that were broken, over all seeds, expected or not.
    pub rules: BTreeMap<RuleViolationKind, u64>,
    /// What was excused, over all seeds.
    pub excuses: BTreeMap<Excuse, u64>,
    /// Counters, over all seeds.
    pub sometimes: BTreeMap<&'static str, u64>,
    /// What is kept apart, by the name of the group.
    pub groups: BTreeMap<String, GroupResult>,
    /// The first few failing trials in full, at most [`MAX_FAILURES`].
    pub failures: Vec<Failure>,
    /// The number of trials with each verdict.
    pub verdicts: BTreeMap<Verdict, usize>,
    /// The mean payload of a message in bytes, by published QoS.
    payload_mean: [f64; 3],
    billing: BillingFacts,
}

/// The times of one published QoS, merged over seeds.
#[derive(Clone, Debug, Default)]
pub struct MergedTimes {
    /// From `publish()` to the first delivery.
    pub latency: LatencyHistogram,
    /// From `publish()` to the end of the publisher's handshake.
    pub completion: LatencyHistogram,
}

/// One trial, without what is merged.
#[derive(Clone, Debug)]
pub struct TrialRow {
    /// Its name.
    pub name: String,
    /// Its seed.
    pub seed: u64,
    /// Its verdict.
    pub verdict: Verdict,
    /// What the engine and the ledger said; `None` where the trial crashed.
    pub summary: Option<TrialSummary>,
    /// One for each published QoS that had messages.
    pub qos: Vec<QosRow>,
}

/// Facts of a whole trial.
#[derive(Clone, Debug)]
pub struct TrialSummary {
    /// How it ended.
    pub ending: Ending,
    /// When, in virtual time.
    pub ended_at: Time,
    /// Events the engine handled.
    pub events: u64,
    /// Packets sent, of every kind, in all phases.
    pub packets: u64,
    /// The hash of its trace.
    pub trace_hash: u64,
    /// Control packets that belong to no message, by [`PacketKind`]'s number.
    pub control: [PacketCount; PacketKind::ALL.len()],
    /// Wire bytes by purpose.
    pub bytes: BytesByPurpose,
    /// The most messages in flight at one time.
    pub in_flight_peak: u64,
    /// The most messages queued at one time.
    pub queued_peak: u64,
    /// From the last fault to an empty backlog.
    pub recovery: Option<Span>,
    /// What the clients' radios used; `None` if no client has one.
    pub radio: Option<RadioUse>,
    /// What the billed devices sent and received since the traffic began.
    pub bill: Bill,
    /// How many promises were broken as declared.
    pub breaks_expected: u64,
    /// How many promises were broken otherwise.
    pub breaks_unexpected: u64,
    /// How many rules of the standard were broken, declared or not, whatever their strength.
    pub rules_broken: u64,
    /// Units that were excused.
    pub excused: u64,
}

/// What one trial measured of one published QoS.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "the words are documented at QosMetrics")]
pub struct QosRow {
    pub qos: QoS,
    pub counts: DeliveryCounts,
    /// Bytes: delivered units times the mean payload, which is exact where all payloads of this
    /// QoS have one length.
    pub delivered_payload: f64,
    pub latency: Quantiles,
    pub completion: Quantiles,
    pub traffic: [[KindTraffic; MESSAGE_KINDS.len()]; 2],
}

/// A trial that failed.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The trial's name.
    pub trial: String,
    /// Its seed.
    pub seed: u64,
    /// Its verdict.
    pub verdict: Verdict,
    /// What went wrong.
    pub cause: FailureCause,
    /// The minimal failures in which the same goes wrong, where they were looked for: of the first
    /// failure of each kind.
    pub minimal_failures: Vec<MinimalFailure>,
}

impl Failure {
    /// Whether a minimal failure shows the same violation as a finding.
    #[must_use]
    pub fn has_minimal_failure_for(&self, finding: &Finding) -> bool {
        let bug = BrokenGuarantee::Promise(finding.violation);
        self.minimal_failures.iter().any(|story| story.shrunk.broken == bug)
    }
}

/// What went wrong in a trial.
#[derive(Clone, Debug)]
pub enum FailureCause {
    /// Promises or rules were broken; those that were not declared.
    Broken {
        /// The sums over all published QoS.
        totals: Box<DeliveryCounts>,
        /// The first few in full.
        findings: Vec<Finding>,
        /// How many there were of each kind.
        violations: BTreeMap<Violation, u64>,
        /// The first few broken rules in full.
        rule_findings: Vec<RuleFinding>,
        /// How many there were of each: of every MUST that was broken.
        rules: BTreeMap<RuleViolationKind, u64>,
    },
    /// It did not drain.
    NotDrained {
        /// How it ended.
        ending: Ending,
        /// The time.
        at: Time,
        /// What it did in vain again and again, if it did.
        livelock: Option<Livelock>,
    },
    /// The second pass gave another trace.
    NotDeterministic {
        /// The hash of the first pass.
        first: u64,
        /// The hash of the second.
        second: u64,
    },
    /// qoslab panicked, with this message.
    Panicked(String),
}

/// The result of one trial: its outcome, or the reason why it has none.
#[derive(Debug)]
pub enum TrialResult {
    /// It ran to an end.
    Finished(Box<Outcome>),
    /// The two passes differ: the hashes of their traces.
    NotDeterministic(u64, u64),
    /// It panicked, with this message.
    Panicked(String),
    /// The user interrupted it; it counts for nothing.
    Interrupted,
}

impl PointResult {
    /// A point of which no trial has run yet.
    #[must_use]
    pub fn new(scenario: &Scenario, index: usize) -> Self {
        let point = &scenario.points[index];
        Self {
            index,
            label: point.label(),
            published: point.published,
            granted: point.granted,
            trials: Vec::new(),
            times: Default::default(),
            violations: BTreeMap::new(),
            rules: BTreeMap::new(),
            excuses: BTreeMap::new(),
            sometimes: BTreeMap::new(),
            groups: BTreeMap::new(),
            failures: Vec::new(),
            verdicts: BTreeMap::new(),
            payload_mean: QoS::ALL.map(|qos| mean_payload(&point.setup, qos)),
            billing: BillingFacts::new(&point.setup),
        }
    }

    /// Adds the next trial, in the order of seeds.
    pub fn add_trial(
        &mut self,
        name: String,
        seed: u64,
        result: TrialResult,
        expect: &Expectations,
    ) {
        let row = match result {
            TrialResult::Interrupted => return,
            TrialResult::Finished(outcome) => self.add_outcome(name, seed, *outcome, expect),
            TrialResult::NotDeterministic(first, second) => {
                let cause = FailureCause::NotDeterministic { first, second };
                self.add_without_outcome(name, seed, Verdict::NotDeterministic, cause)
            }
            TrialResult::Panicked(message) => {
                self.add_without_outcome(name, seed, Verdict::Bug, FailureCause::Panicked(message))
            }
        };
        *self.verdicts.entry(row.verdict).or_default() += 1;
        self.trials.push(row);
    }

    /// The worst verdict of its trials; without any, nothing is proved.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        self.verdicts.keys().copied().max().unwrap_or(Verdict::Inconclusive)
    }

    /// One hash over the trace hashes of its trials, in the order of seeds.
    #[must_use]
    pub fn trace_hash(&self) -> u64 {
        let facts = self.trials.iter().filter_map(|trial| trial.summary.as_ref());
        facts.fold(0, |hash, facts| xxh3_64_with_seed(&facts.trace_hash.to_le_bytes(), hash))
    }

    /// How many of its trials have this verdict.
    #[must_use]
    pub fn verdict_count(&self, verdict: Verdict) -> usize {
        self.verdicts.get(&verdict).copied().unwrap_or(0)
    }

    /// The rows of one published QoS, by seed.
    pub fn rows(&self, qos: QoS) -> impl Iterator<Item = &QosRow> {
        self.trials.iter().flat_map(|trial| &trial.qos).filter(move |row| row.qos == qos)
    }

    /// Wire bytes of each of [`BytesByPurpose::PURPOSES`] for each message published, over all
    /// trials; `None` without messages. They belong to whole trials, with all their levels.
    #[must_use]
    pub fn bytes_by_purpose(&self) -> Option<[f64; BytesByPurpose::PURPOSES.len()]> {
        let facts = || self.trials.iter().filter_map(|trial| trial.summary.as_ref());
        let rows = self.trials.iter().flat_map(|trial| &trial.qos);
        let messages: u64 = rows.map(|row| row.counts.messages).sum();
        let bytes =
            |of: fn(&BytesByPurpose) -> u64| -> u64 { facts().map(|it| of(&it.bytes)).sum() };
        (messages > 0)
            .then(|| BytesByPurpose::PURPOSES.map(|(.., of)| to_f64(bytes(of)) / to_f64(messages)))
    }

    /// What a billed device sends and receives in a month; `None` if nothing is billed, nothing
    /// was published, or the publishers have no rate.
    #[must_use]
    pub fn monthly_bill(&self) -> Option<MonthlyBill> {
        self.billing.monthly_bill(&self.trials)
    }

    /// The published QoS that had messages, ascending.
    pub fn qos_levels(&self) -> impl Iterator<Item = QoS> {
        QoS::ALL.into_iter().filter(|qos| self.rows(*qos).next().is_some())
    }

    fn add_without_outcome(
        &mut self,
        name: String,
        seed: u64,
        verdict: Verdict,
        cause: FailureCause,
    ) -> TrialRow {
        self.insert_failure(Failure {
            trial: name.clone(),
            seed,
            verdict,
            cause,
            minimal_failures: Vec::new(),
        });
        TrialRow { name, seed, verdict, summary: None, qos: Vec::new() }
    }

    fn add_outcome(
        &mut self,
        name: String,
        seed: u64,
        outcome: Outcome,
        expect: &Expectations,
    ) -> TrialRow {
        let verdict = trial_verdict(&outcome, expect);
        let row = TrialRow {
            name,
            seed,
            verdict,
            summary: Some(TrialSummary::new(&outcome, expect)),
            qos: QoS::ALL
                .into_iter()
                .filter(|qos| outcome.metrics.qos[qos.index()].counts.messages > 0)
                .map(|qos| {
                    let payload = self.payload_mean[qos.index()];
                    QosRow::new(qos, &outcome.metrics.qos[qos.index()], payload)
                })
                .collect(),
        };
        for (times, metrics) in self.times.iter_mut().zip(&outcome.metrics.qos) {
            times.latency.merge(&metrics.latency);
            times.completion.merge(&metrics.completion);
        }
        for group in &outcome.metrics.groups {
            self.groups.entry(group.name.clone()).or_default().add(group);
        }
        add_counts(&mut self.violations, &outcome.violations);
        add_counts(&mut self.rules, &outcome.rule_violations);
        add_counts(&mut self.excuses, &outcome.excuses);
        add_counts(&mut self.sometimes, &outcome.counters);
        if verdict != Verdict::Holds {
            let cause = failure_cause(outcome, expect);
            let (trial, stories) = (row.name.clone(), Vec::new());
            self.insert_failure(Failure { trial, seed, verdict, cause, minimal_failures: stories });
        }
        row
    }

    /// Keeps the first few failures, the worst verdict first.
    fn insert_failure(&mut self, failure: Failure) {
        let at = self.failures.partition_point(|kept| kept.verdict >= failure.verdict);
        self.failures.insert(at, failure);
        self.failures.truncate(MAX_FAILURES);
    }
}

/// The mean payload of the messages published with one QoS, by the scenario's own numbers.
fn mean_payload(setup: &Setup, qos: QoS) -> f64 {
    let streams = || setup.publishers.iter().filter(|stream| stream.qos == qos);
    let messages: f64 = streams().map(|stream| f64::from(stream.count)).sum();
    let bytes = streams().map(|stream| {
        let mean = match stream.payload {
            PayloadSize::Fixed(bytes) => f64::from(bytes),
            PayloadSize::Uniform(least, most) => f64::midpoint(f64::from(least), f64::from(most)),
        };
        mean * f64::from(stream.count)
    });
    if messages > 0.0 { bytes.sum::<f64>() / messages } else { 0.0 }
}

fn add_counts<K: Ord + Copy>(sums: &mut BTreeMap<K, u64>, counts: &BTreeMap<K, u64>) {
    for (key, count) in counts {
        *sums.entry(*key).or_default() += count;
    }
}

impl TrialSummary {
    fn new(outcome: &Outcome, expect: &Expectations) -> Self {
        let breaks = |expected: bool| {
            let all = outcome.violations.iter();
            all.filter(|(it, _)| is_expected(expect, **it) == expected).map(|(_, n)| n).sum()
        };
        Self {
            ending: outcome.ending,
            ended_at: outcome.ended_at,
            events: outcome.events,
            packets: outcome.packets,
            trace_hash: outcome.trace_hash,
            control: outcome.metrics.control,
            bytes: outcome.metrics.bytes,
            in_flight_peak: outcome.metrics.in_flight_peak,
            queued_peak: outcome.metrics.queued_peak,
            recovery: outcome.metrics.recovery,
            radio: outcome.metrics.radio,
            bill: outcome.metrics.bill,
            breaks_expected: breaks(true),
            breaks_unexpected: breaks(false),
            rules_broken: outcome.rule_violations.values().sum(),
            excused: outcome.excuses.values().sum(),
        }
    }
}

impl QosRow {
    fn new(qos: QoS, metrics: &QosMetrics, payload_mean: f64) -> Self {
        Self {
            qos,
            counts: metrics.counts,
            delivered_payload: to_f64(metrics.counts.delivered) * payload_mean,
            latency: Quantiles::new(&metrics.latency, metrics.counts.units),
            completion: Quantiles::new(&metrics.completion, metrics.counts.messages),
            traffic: metrics.traffic,
        }
    }

    /// Packets and bytes on both hops, resends included.
    #[must_use]
    pub fn total_sent(&self) -> PacketCount {
        let kinds = self.traffic.iter().flatten();
        kinds.flat_map(|kind| [kind.first, kind.resent]).fold(
            PacketCount::default(),
            |sum, count| PacketCount {
                packets: sum.packets + count.packets,
                bytes: sum.bytes + count.bytes,
            },
        )
    }
}
