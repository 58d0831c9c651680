//! The first pass's view of the monitor: which rules were broken how often, and the first few.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Serialize, Serializer};

use super::{Break, Monitor};
use crate::roster::Roster;
use crate::verdict::{Blame, MAX_FINDINGS, Outcome, RuleBreak, RuleFinding};
use qoslab_core::base::event::{Event, Observer};
use qoslab_core::base::name::{Hop, Node};
use qoslab_core::base::time::Time;

/// Counts broken rules, so that a trial in which one is broken a million times stays small.
#[derive(Clone, Debug, Serialize)]
pub struct Conformance {
    monitor: Monitor,
    // The same in all states of a trial.
    #[serde(skip)]
    roster: Arc<Roster>,
    #[serde(serialize_with = "any_violation")]
    counts: BTreeMap<RuleBreak, u64>,
    // For statistics and reports: decides nothing.
    #[serde(skip)]
    findings: Vec<RuleFinding>,
}

/// How often a rule was broken is for the report: what is still to come depends on none of it.
fn any_violation<S: Serializer>(
    counts: &BTreeMap<RuleBreak, u64>,
    to: S,
) -> Result<S::Ok, S::Error> {
    counts.keys().any(RuleBreak::is_violation).serialize(to)
}

impl Conformance {
    /// Nothing seen yet.
    #[must_use]
    pub fn new(roster: &Arc<Roster>) -> Self {
        Self {
            monitor: Monitor::new(roster),
            roster: Arc::clone(roster),
            counts: BTreeMap::new(),
            findings: Vec::new(),
        }
    }

    /// Adds what was found to what the promises say of the trial.
    pub fn conclude(mut self, outcome: &mut Outcome) {
        self.monitor.finish();
        self.file();
        outcome.rules = self.counts;
        outcome.rule_findings = self.findings;
        outcome.rule_findings.sort_by_key(|finding| finding.at);
    }

    #[cold]
    fn file(&mut self) {
        for broken in self.monitor.take_breaks() {
            let Break { at, node, link, hop, rule, message, .. } = broken;
            let (blame, name) = match (node, hop) {
                (Node::Broker, _) => (Blame::Broker, "broker"),
                (Node::Client(client), Hop::First) => (Blame::Publisher, self.roster.name(client)),
                (Node::Client(client), Hop::Second) => {
                    (Blame::Subscriber, self.roster.name(client))
                }
            };
            let version = self.roster.clients[link.index()].version;
            let rule_break = RuleBreak { rule, blame, version };
            let count = self.counts.entry(rule_break).or_default();
            *count += 1;
            if *count > MAX_FINDINGS as u64 {
                continue;
            }
            let place = match node {
                Node::Broker => format!(", on the link of {}", self.roster.name(link)),
                Node::Client(_) => String::new(),
            };
            let what = message.map_or_else(String::new, |(stream, sequence)| {
                format!(": message #{sequence} of {}", self.roster.streams[stream.index()].name)
            });
            let sentence = format!("{name} {}{place}{what}", rule.says());
            self.findings.push(RuleFinding { broken: rule_break, at, sentence });
        }
    }
}

impl Observer for Conformance {
    #[inline]
    fn observe(&mut self, now: Time, event: &Event<'_>) {
        self.monitor.observe(now, event);
        if !self.monitor.book.breaks.is_empty() {
            self.file();
        }
    }
}
