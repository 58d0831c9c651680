//! The first pass's view of the monitor: which rules were broken how often, and the first few.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Serialize, Serializer};

use super::{Monitor, RuleViolation};
use crate::trial_facts::TrialFacts;
use crate::verdict::{Blame, MAX_FINDINGS, Outcome, RuleFinding, RuleViolationKind};
use qoslab_core::base::event::{Event, Observer};
use qoslab_core::base::name::{Hop, Node};
use qoslab_core::base::time::Time;

/// Counts broken rules, so that a trial in which one is broken a million times stays small.
#[derive(Clone, Debug, Serialize)]
pub struct Conformance {
    monitor: Monitor,
    // The same in all states of a trial.
    #[serde(skip)]
    trial: Arc<TrialFacts>,
    #[serde(serialize_with = "serialize_any_violation")]
    counts: BTreeMap<RuleViolationKind, u64>,
    // For statistics and reports: decides nothing.
    #[serde(skip)]
    findings: Vec<RuleFinding>,
}

/// How often a rule was broken is for the report: what is still to come depends on none of it.
fn serialize_any_violation<S: Serializer>(
    counts: &BTreeMap<RuleViolationKind, u64>,
    to: S,
) -> Result<S::Ok, S::Error> {
    counts.keys().any(RuleViolationKind::is_violation).serialize(to)
}

impl Conformance {
    /// Nothing seen yet.
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
            let sentence = format!("{name} {}{place}{what}", rule.description());
            self.findings.push(RuleFinding { kind: rule_break, at, sentence });
        }
    }
}

impl Observer for Conformance {
    #[inline]
    fn observe(&mut self, now: Time, event: &Event<'_>) {
        self.monitor.observe(now, event);
        if !self.monitor.log.violations.is_empty() {
            self.record_violations();
        }
    }
}
