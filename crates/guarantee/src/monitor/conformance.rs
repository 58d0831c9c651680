//! The first pass's view of the monitor: which rules were broken how often, and the first few.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Monitor, RuleViolation};
use crate::trial_facts::TrialFacts;
use crate::verdict::{Blame, MAX_FINDINGS, Outcome, RuleFinding, RuleViolationKind};
use qoslab_core::base::fingerprint::Fingerprinter;
use qoslab_core::base::{Event, Hop, Node, Observer, Time};
use qoslab_core::impl_fingerprint;

/// Counts broken rules, so that a trial in which one is broken a million times stays small.
#[derive(Clone, Debug)]
pub struct ConformanceObserver {
    monitor: Monitor,
    trial: Arc<TrialFacts>,
    counts: BTreeMap<RuleViolationKind, u64>,
    findings: Vec<RuleFinding>,
}

impl_fingerprint! {
    struct ConformanceObserver {
        plain monitor;
        with(write_any_violation) counts;
        skip trial: "the same in all states of a trial";
        skip findings: "only for statistics and reports";
    }
}

/// Writes whether any rule was broken. How often is for the report only: the rest of the trial does
/// not depend on it.
fn write_any_violation(counts: &BTreeMap<RuleViolationKind, u64>, into: &mut Fingerprinter) {
    into.plain(&counts.keys().any(RuleViolationKind::fails_trial));
}

impl ConformanceObserver {
    /// A view before any event.
    #[must_use]
    pub fn new(trial: &Arc<TrialFacts>) -> Self {
        Self {
            monitor: Monitor::new(trial),
            trial: Arc::clone(trial),
            counts: BTreeMap::new(),
            findings: Vec::new(),
        }
    }

    /// Adds what was found to what the promises say of the trial.
    pub fn add_to_outcome(mut self, outcome: &mut Outcome) {
        self.monitor.finish();
        self.record_violations();
        outcome.rule_violations = self.counts;
        outcome.rule_findings = self.findings;
        outcome.rule_findings.sort_by_key(|finding| finding.at);
    }

    #[cold]
    fn record_violations(&mut self) {
        for broken in self.monitor.take_violations() {
            let RuleViolation { at, node, link, hop, rule, message, .. } = broken;
            let (blame, name) = match (node, hop) {
                (Node::Broker, _) => (Blame::Broker, "broker"),
                (Node::Client(client), Hop::First) => {
                    (Blame::Publisher, self.trial.client_name(client))
                }
                (Node::Client(client), Hop::Second) => {
                    (Blame::Subscriber, self.trial.client_name(client))
                }
            };
            let version = self.trial.clients[link.index()].version;
            let rule_break = RuleViolationKind { rule, blame, version };
            let count = self.counts.entry(rule_break).or_default();
            *count += 1;
            if *count > MAX_FINDINGS as u64 {
                continue;
            }
            let place = match node {
                Node::Broker => format!(", on the link of {}", self.trial.client_name(link)),
                Node::Client(_) => String::new(),
            };
            let what = message.map_or_else(String::new, |(stream, sequence)| {
                format!(": message #{sequence} of {}", self.trial.publishers[stream.index()].name)
            });
            let sentence = format!("{name} {}{place}{what}", rule.violation_phrase());
            self.findings.push(RuleFinding { kind: rule_break, at, sentence });
        }
    }
}

impl Observer for ConformanceObserver {
    #[inline]
    fn observe(&mut self, now: Time, event: &Event<'_>) {
        self.monitor.observe(now, event);
        if !self.monitor.log.violations.is_empty() {
            self.record_violations();
        }
    }
}
