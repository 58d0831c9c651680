//! Verdicts on trials: what was broken, and whether the scenario declares it.

use std::collections::BTreeMap;

use super::result::{FailureCause, Verdict};
use crate::scenario::{BreakTarget, Expectations};
use qoslab_core::base::Ending;
use qoslab_guarantee::{Blame, Outcome, RuleViolationKind, Violation};

/// Whether a broken promise is declared.
pub(super) fn is_expected(expect: &Expectations, violation: Violation) -> bool {
    expect.declared_breaks().any(|it| it.matches_violation(violation))
}

/// Whether a broken rule is declared.
pub(super) fn is_expected_rule(expect: &Expectations, broken: RuleViolationKind) -> bool {
    expect.declared_breaks().any(|it| it.matches_rule_violation(&broken))
}

/// How often what a scenario expects was seen at a point.
pub(super) fn occurrences(
    expected: &BreakTarget,
    violations: &BTreeMap<Violation, u64>,
    rules: &BTreeMap<RuleViolationKind, u64>,
) -> u64 {
    match expected {
        BreakTarget::Promise(violation) => violations.get(violation).copied().unwrap_or(0),
        BreakTarget::Rule(known) => {
            rules.iter().filter(|(broken, _)| known.matches(broken)).map(|(_, n)| n).sum()
        }
    }
}

/// The verdict on a trial: an undeclared broken promise or broken MUST is a violation.
pub(super) fn trial_verdict(outcome: &Outcome, expect: &Expectations) -> Verdict {
    let drained = match outcome.ending {
        Ending::Quiescent => Verdict::Holds,
        Ending::Deadline | Ending::EventLimit | Ending::Interrupted => Verdict::Inconclusive,
    };
    let promises =
        outcome.violations.iter().filter(|(_, count)| **count > 0).map(|(violation, _)| {
            match violation.blame {
                Blame::Unexplained => Verdict::Bug,
                _ if is_expected(expect, *violation) => Verdict::Holds,
                _ => Verdict::Violated,
            }
        });
    let is_violation = |broken: &RuleViolationKind| broken.fails_trial();
    let rules =
        outcome.rule_violations.keys().filter(|broken| is_violation(broken)).map(|broken| {
            if is_expected_rule(expect, *broken) { Verdict::Holds } else { Verdict::Violated }
        });
    promises.chain(rules).fold(drained, Verdict::max)
}

/// What went wrong in a trial that does not hold.
pub(super) fn failure_cause(outcome: Outcome, expect: &Expectations) -> FailureCause {
    let is_undeclared =
        |broken: &RuleViolationKind| broken.fails_trial() && !is_expected_rule(expect, *broken);
    let (mut violations, mut rules) = (outcome.violations, outcome.rule_violations);
    violations.retain(|violation, count| *count > 0 && !is_expected(expect, *violation));
    rules.retain(|broken, _| is_undeclared(broken));
    if violations.is_empty() && rules.is_empty() {
        let Outcome { ending, ended_at: at, livelock, .. } = outcome;
        return FailureCause::NotDrained { ending, at, livelock };
    }
    let (mut findings, mut rule_findings) = (outcome.findings, outcome.rule_findings);
    findings.retain(|finding| !is_expected(expect, finding.violation));
    rule_findings.retain(|finding| is_undeclared(&finding.kind));
    let totals = Box::new(outcome.metrics.qos.iter().map(|qos| qos.counts).sum());
    FailureCause::Broken { totals, findings, violations, rule_findings, rules }
}
