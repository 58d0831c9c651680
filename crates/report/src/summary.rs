//! The lines that say whether a scenario's own expectations hold, and the closing line.

use std::collections::BTreeMap;

use super::number::{self, counted, format_value};
use super::style::Style;
use super::{escape, labels};
use qoslab_core::base::units::format_count;
use qoslab_guarantee::RuleViolationKind;
use qoslab_study::{FailureCause, NeedResult, ScenarioResult, Verdict};

/// A line for each need, one each for `sometimes` and `never`, one for each expected break; empty
/// without any.
#[must_use]
pub fn expectations(result: &ScenarioResult, style: Style) -> String {
    let mut text = String::new();
    let texts = result.needs.iter().map(|need| need.need.text.chars().count());
    let width = texts.max().unwrap_or(0);
    for need in &result.needs {
        text += &need_line(result, need, width, style);
    }
    if !result.sometimes.is_empty() {
        let rarest = result.sometimes.iter().map(|(_, count)| *count).min().unwrap_or(0);
        let verdict = result.occurrence_verdict(rarest);
        let counts: Vec<String> = result
            .sometimes
            .iter()
            .map(|(name, count)| format!("{} {}", escape::terminal(name), format_count(*count)))
            .collect();
        let sign = verdict_sign(verdict, style);
        text += &format!("  {sign} sometimes: {}{}\n", counts.join(", "), not_judged_note(verdict));
    }
    if !result.never.is_empty() {
        let most = result.never.iter().map(|(_, count)| *count).max().unwrap_or(0);
        let words: Vec<String> = result
            .never
            .iter()
            .map(|(name, count)| format!("{} {}", escape::terminal(name), format_count(*count)))
            .collect();
        let sign = verdict_sign(Some(ScenarioResult::never_verdict(most)), style);
        text += &format!("  {sign} never: {}\n", words.join(", "));
    }
    for (expected, count) in &result.expected {
        let verdict = result.occurrence_verdict(*count);
        text += &format!(
            "  {} expected break: {}: {} seen{}\n      {}\n",
            verdict_sign(verdict, style),
            escape::terminal(&labels::expected_break(&expected.what)),
            if *count == 0 { "never".to_owned() } else { format_count(*count) },
            not_judged_note(verdict),
            style.muted(&escape::terminal(&expected.why)),
        );
    }
    for (known, count) in &result.known {
        text += &format!(
            "  {} known break: {}: {}\n      {}\n",
            if *count == 0 { style.warning("?") } else { style.muted("-") },
            escape::terminal(&labels::expected_break(&known.what)),
            escape::terminal(&labels::known_break_status(known, *count)),
            style.muted(&escape::terminal(&known.why)),
        );
    }
    for (broken, count) in broken_rules(result) {
        let declared =
            result.scenario.expect.declared_breaks().any(|it| it.matches_rule_violation(&broken));
        let bad = broken.fails_trial() && !declared;
        let sign = if bad { style.bad("✗") } else { style.muted("-") };
        let times = format_count(count);
        text += &format!("  {sign} broken: {}: {times}\n", labels::broken_rule(&broken));
    }
    let excused: Vec<String> = excuses(result)
        .into_iter()
        .map(|(word, count)| format!("{word} {}", format_count(count)))
        .collect();
    if !excused.is_empty() {
        text += &format!("  {} excused: {}\n", style.muted("-"), excused.join(", "));
    }
    text
}

fn need_line(result: &ScenarioResult, need: &NeedResult, width: usize, style: Style) -> String {
    let text = escape::terminal(&need.need.text);
    let verdict = result.need_verdict(need);
    let measured = match (&need.worst, verdict) {
        (Some(worst), _) => {
            // The bare values are aligned below each other, regardless of what follows them.
            let bare = format_value(worst.value).chars().count();
            let padding = " ".repeat(9_usize.saturating_sub(bare));
            format!("{padding}{}   {}", number::format_measured(&need.need, worst), worst.label)
        }
        (None, Some(_)) => "could not be measured".to_owned(),
        (None, None) => NOT_JUDGED.to_owned(),
    };
    format!("  {} {text:<width$}  {}\n", verdict_sign(verdict, style), measured.trim_end())
}

/// What stands in place of a verdict that a part of the scenario cannot give.
pub(super) const NOT_JUDGED: &str = "not judged: only a part was run";

fn not_judged_note(verdict: Option<Verdict>) -> String {
    if verdict.is_none() { format!(" ({NOT_JUDGED})") } else { String::new() }
}

/// `✓`, `✗`, `?` for an inconclusive result, or `-` for what is not judged.
fn verdict_sign(verdict: Option<Verdict>, style: Style) -> String {
    match verdict {
        None => style.muted("-"),
        Some(Verdict::Holds) => style.good("✓"),
        Some(Verdict::Inconclusive) => style.warning("?"),
        Some(Verdict::Violated | Verdict::NotDeterministic | Verdict::Bug) => style.bad("✗"),
    }
}

/// Broken rules over all points, with their counts.
#[must_use]
pub fn broken_rules(result: &ScenarioResult) -> BTreeMap<RuleViolationKind, u64> {
    let mut sums = BTreeMap::new();
    for (broken, count) in result.points.iter().flat_map(|point| &point.rules) {
        *sums.entry(*broken).or_default() += count;
    }
    sums
}

/// Excuses over all points, with their counts.
#[must_use]
pub fn excuses(result: &ScenarioResult) -> BTreeMap<&'static str, u64> {
    let mut sums = BTreeMap::new();
    for (excuse, count) in result.points.iter().flat_map(|point| &point.excuses) {
        if *count > 0 {
            *sums.entry(labels::excuse(*excuse)).or_default() += count;
        }
    }
    sums
}

/// `2,400 runs: 2,397 passed, 3 inconclusive`.
#[must_use]
pub fn run_count_sentence(results: &[ScenarioResult]) -> String {
    let count = |verdict| -> usize {
        let points = results.iter().flat_map(|result| &result.points);
        points.map(|point| point.verdict_count(verdict)).sum()
    };
    let finished: usize = results.iter().map(|result| result.finished).sum();
    let parts = [
        (Verdict::Holds, "passed"),
        (Verdict::Violated, "failed"),
        (Verdict::Inconclusive, "inconclusive"),
        (Verdict::NotDeterministic, "not deterministic"),
        (Verdict::Bug, "hit a bug in qoslab"),
    ];
    let parts: Vec<String> = parts
        .into_iter()
        .filter(|(verdict, _)| count(*verdict) > 0 || *verdict == Verdict::Holds)
        .map(|(verdict, word)| format!("{} {word}", format_count(count(verdict) as u64)))
        .collect();
    format!("{}: {}", counted(finished as u64, "run"), parts.join(", "))
}

/// One line on a scenario: name, QoS, runs, and what is wrong.
#[must_use]
pub fn scenario_line(result: &ScenarioResult) -> String {
    let mut levels: Vec<String> = result
        .points
        .iter()
        .flat_map(|point| point.qos_levels().map(|qos| qos.to_string()))
        .collect();
    levels.sort();
    levels.dedup();
    let name = escape::terminal(&result.scenario.name).into_owned();
    let levels = format!("qos {}", levels.join(" "));
    format!("{name:<18} {levels:<10} {}", problem_text(result))
}

/// Whether each failure that is shown is a livelock.
fn has_livelock(result: &ScenarioResult) -> bool {
    result
        .points
        .iter()
        .flat_map(|point| &point.failures)
        .all(|failure| matches!(&failure.cause, FailureCause::NotDrained { livelock: Some(_), .. }))
}

fn problem_text(result: &ScenarioResult) -> String {
    let count =
        |verdict| -> usize { result.points.iter().map(|point| point.verdict_count(verdict)).sum() };
    let runs = counted(result.finished as u64, "run");
    let of = |count: usize, what: &str| format!("{} of {runs} {what}", format_count(count as u64));
    let unmet = result.needs.iter().filter(|need| need.verdict == Verdict::Violated).count();
    match result.verdict {
        Verdict::Holds => runs,
        Verdict::Bug => of(count(Verdict::Bug), "hit a bug in qoslab"),
        Verdict::NotDeterministic => of(count(Verdict::NotDeterministic), "not deterministic"),
        Verdict::Violated if count(Verdict::Violated) > 0 => {
            let promise = result.points.iter().any(|point| !point.violations.is_empty());
            of(count(Verdict::Violated), if promise { "broke a promise" } else { "broke a rule" })
        }
        Verdict::Violated if unmet == 0 => {
            let happened = result.never.iter().filter(|(_, count)| *count > 0);
            let words: Vec<_> = happened.map(|(name, _)| escape::terminal(name)).collect();
            format!("{runs}, {} happened, and must never", words.join(", "))
        }
        Verdict::Violated => format!("{runs}, {} not met", counted(unmet as u64, "need")),
        Verdict::Inconclusive if result.was_interrupted() => {
            format!("{runs} of {}, interrupted", format_count(result.planned as u64))
        }
        Verdict::Inconclusive if count(Verdict::Inconclusive) > 0 => {
            let what = if has_livelock(result) { "in a livelock" } else { "not drained" };
            of(count(Verdict::Inconclusive), what)
        }
        Verdict::Inconclusive => format!("{runs}, something expected never happened"),
    }
}
