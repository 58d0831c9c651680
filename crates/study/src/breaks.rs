//! What was broken in a trial, and whether the scenario declares it.

use std::collections::BTreeMap;

use super::result::{Cause, Verdict};
use crate::scenario::expect::{Expect, Expected};
use qoslab_core::base::ending::Ending;
use qoslab_guarantee::verdict::{Blame, Outcome, RuleBreak, Violation};

/// Whether a broken promise is declared.
pub(super) fn is_expected(expect: &Expect, violation: Violation) -> bool {
    expect.declared().any(|it| it.is_promise(violation))
}

/// Whether a broken rule is declared.
pub(super) fn is_expected_rule(expect: &Expect, broken: RuleBreak) -> bool {
    expect.declared().any(|it| it.is_rule(&broken))
}

/// How often what a scenario expects was seen at a point.
pub(super) fn count(
    expected: &Expected,
    violations: &BTreeMap<Violation, u64>,
    rules: &BTreeMap<RuleBreak, u64>,
) -> u64 {
    match expected {
        Expected::Promise(violation) => violations.get(violation).copied().unwrap_or(0),
        Expected::Rule(known) => {
            rules.iter().filter(|(broken, _)| known.is(broken)).map(|(_, n)| n).sum()
        }
    }
}

/// How a trial stands: a broken promise or a broken MUST that nobody declared is a violation.
pub(super) fn verdict_of(outcome: &Outcome, expect: &Expect) -> Verdict {
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
    let is_violation = |broken: &RuleBreak| broken.is_violation();
    let rules = outcome.rules.keys().filter(|broken| is_violation(broken)).map(|broken| {
        if is_expected_rule(expect, *broken) { Verdict::Holds } else { Verdict::Violated }
    });
    promises.chain(rules).fold(drained, Verdict::max)
}

/// What went wrong in a trial that does not hold.
pub(super) fn cause_of(outcome: Outcome, expect: &Expect) -> Cause {
    let is_undeclared =
        |broken: &RuleBreak| broken.is_violation() && !is_expected_rule(expect, *broken);
    let (mut violations, mut rules) = (outcome.violations, outcome.rules);
    violations.retain(|violation, count| *count > 0 && !is_expected(expect, *violation));
    rules.retain(|broken, _| is_undeclared(broken));
    if violations.is_empty() && rules.is_empty() {
        return Cause::NotDrained { ending: outcome.ending, at: outcome.ended_at };
    }
    let (mut findings, mut rule_findings) = (outcome.findings, outcome.rule_findings);
    findings.retain(|finding| !is_expected(expect, finding.violation));
    rule_findings.retain(|finding| is_undeclared(&finding.broken));
    let totals = outcome.metrics.qos.iter().map(|qos| qos.counts).sum();
    Cause::Broken { totals, findings, violations, rule_findings, rules }
}
