//! Names of verdicts and other results, spelled the same in every output.

use qoslab_core::base::units::format_count;
use qoslab_core::base::{Ending, QoS};
use qoslab_guarantee::{Blame, Breach, Excuse, Promise, RuleViolationKind};
use qoslab_study::Verdict;
use qoslab_study::scenario::{BreakTarget, KnownBreak};

/// A published QoS: `2`, or with the granted one where that is an axis: `2/1`.
#[must_use]
pub fn qos_pair_text(published: QoS, granted: Option<QoS>) -> String {
    match granted {
        None => published.to_string(),
        Some(granted) => format!("{published}/{granted}"),
    }
}

/// The verdict in results: a word.
#[must_use]
pub const fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Holds => "holds",
        Verdict::Inconclusive => "inconclusive",
        Verdict::Violated => "violated",
        Verdict::NotDeterministic => "not-deterministic",
        Verdict::Bug => "bug",
    }
}

/// The verdict as a mark in a table or before a scenario.
#[must_use]
pub const fn verdict_mark(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Holds => "PASS",
        Verdict::Inconclusive => "INCONCL",
        Verdict::Violated => "FAIL",
        Verdict::NotDeterministic => "DIFFERS",
        Verdict::Bug => "BUG",
    }
}

/// A promise, as scenarios write it.
#[must_use]
pub const fn promise_keyword(promise: Promise) -> &'static str {
    match promise {
        Promise::AtMostOnce => "at-most-once",
        Promise::AtLeastOnce => "at-least-once",
        Promise::ExactlyOnce => "exactly-once",
        Promise::Acknowledged => "acknowledged",
        Promise::OnlySubscribed => "only-subscribed",
        Promise::Ordered => "ordered",
    }
}

/// A kind of breach, as scenarios write it.
#[must_use]
pub const fn breach_keyword(breach: Breach) -> &'static str {
    match breach {
        Breach::Lost => "lost",
        Breach::Duplicated => "duplicated",
        Breach::Unexpected => "unexpected",
        Breach::Stuck => "stuck",
        Breach::Stalled => "stalled",
        Breach::Reordered => "reordered",
    }
}

/// The component to blame, as scenarios write it.
#[must_use]
pub const fn blame_keyword(blame: Blame) -> &'static str {
    match blame {
        Blame::Publisher => "publisher",
        Blame::Broker => "broker",
        Blame::Subscriber => "subscriber",
        Blame::Network => "network",
        Blame::Configuration => "configuration",
        Blame::Unexplained => "unexplained",
        Blame::UnexplainedOnPath => "unexplained on this path",
    }
}

/// An excuse.
#[must_use]
pub const fn excuse(excuse: Excuse) -> &'static str {
    match excuse {
        Excuse::SessionEnded => "session-ended",
        Excuse::Rejected => "rejected",
        Excuse::GaveUp => "gave-up",
        Excuse::QueueOverflow => "queue-overflow",
        Excuse::Expired => "expired",
        Excuse::TooLarge => "too-large",
    }
}

/// The break that a scenario expects: `exactly-once duplicated, blame network`, or `MQTT-3.3.1-1,
/// blame broker`.
#[must_use]
pub fn expected_break(expected: &BreakTarget) -> String {
    match expected {
        BreakTarget::Promise(violation) => format!(
            "{} {}, blame {}",
            promise_keyword(violation.promise),
            breach_keyword(violation.breach),
            blame_keyword(violation.blame)
        ),
        BreakTarget::Rule(known) => format!("{}, blame {}", known.rule, blame_keyword(known.blame)),
    }
}

/// The status of a break that a gate knows: `12 seen, known until 2027-03-01: URL`.
#[must_use]
pub fn known_break_status(known: &KnownBreak, count: u64) -> String {
    let KnownBreak { url, expires, .. } = known;
    if count == 0 {
        format!("not seen: take it out of the list if that lasts, {url}")
    } else {
        format!("{} seen, known until {expires}: {url}", format_count(count))
    }
}

/// A broken rule: `MUST MQTT-3.3.1-1 resend-without-dup, blame broker`.
#[must_use]
pub fn broken_rule(broken: &RuleViolationKind) -> String {
    let id = broken.id().map(|id| format!("{id} ")).unwrap_or_default();
    let (strength, name) = (broken.rule.strength().label(), broken.rule.name());
    format!("{strength} {id}{name}, blame {}", blame_keyword(broken.blame))
}

/// The name of a trial's end.
#[must_use]
pub const fn ending(ending: Ending) -> &'static str {
    match ending {
        Ending::Quiescent => "quiescent",
        Ending::Deadline => "deadline",
        Ending::EventLimit => "event-limit",
        Ending::Interrupted => "interrupted",
    }
}
