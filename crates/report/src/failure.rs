//! The failures of a scenario: what was promised, what happened, which component was at fault, and
//! the one-line command that reproduces it.

use std::collections::BTreeSet;

use super::number::counted;
use super::style::Style;
use super::table::{coloured_verdict, wrap};
use super::{commands, escape, labels, minimal_failure};
use qoslab_core::base::units::format_count;
use qoslab_core::base::{Ending, Time};
use qoslab_guarantee::{Breach, Finding, Livelock, RuleFinding, RuleViolationKind, Violation};
use qoslab_sim::{EngineKind, Setup};
use qoslab_study::scenario::Scenario;
use qoslab_study::{Failure, FailureCause, MAX_FAILURES, PointResult, ScenarioResult};

/// The maximum number of lines of a message's history that are printed.
const MAX_EVENT_LINES: usize = 40;

/// The kinds already reported in full: each kind is reported once; with `report_all`, each finding
/// is.
#[derive(Default)]
struct AlreadyReported {
    violations: BTreeSet<Violation>,
    rules: BTreeSet<RuleViolationKind>,
    report_all: bool,
}

impl AlreadyReported {
    fn record_new(
        &mut self,
        violation: impl Into<Option<Violation>>,
        rule: impl Into<Option<RuleViolationKind>>,
    ) -> bool {
        let new_violation = violation.into().is_some_and(|it| self.violations.insert(it));
        let new_rule = rule.into().is_some_and(|it| self.rules.insert(it));
        new_violation || new_rule || self.report_all
    }
}

/// All failures of a scenario; empty if there are none. `flags` are the options that change what a
/// trial is, as the user gave them. Each kind of violation is reported in full once; for a run of a
/// single trial, each finding is.
#[must_use]
pub fn failures(result: &ScenarioResult, flags: &str, style: Style) -> String {
    let mut text = String::new();
    let trials: usize = result.points.iter().flat_map(|point| point.verdicts.values()).sum();
    let mut already_reported =
        AlreadyReported { report_all: trials == 1, ..AlreadyReported::default() };
    for point in &result.points {
        for failure in &point.failures {
            text += &failure_block(result, point, failure, flags, style, &mut already_reported);
            text.push('\n');
        }
        let failed: usize = point.verdicts.values().sum::<usize>()
            - point.verdict_count(qoslab_study::Verdict::Holds);
        if failed > MAX_FAILURES {
            let more = counted((failed - point.failures.len()) as u64, "failing trial");
            text += &format!("  ... and {more} more of {}\n\n", point.label);
        }
    }
    text
}

fn failure_block(
    result: &ScenarioResult,
    point: &PointResult,
    failure: &Failure,
    flags: &str,
    style: Style,
    already_reported: &mut AlreadyReported,
) -> String {
    let mut text = format!(
        "{} {}  {}  trial {} (seed {})\n",
        coloured_verdict(failure.verdict, style),
        style.strong(&escape::terminal(&result.scenario.name)),
        point.label,
        failure.trial,
        failure.seed,
    );
    let setup = &*result.scenario.points[point.index].setup;
    text += &match &failure.cause {
        FailureCause::Broken { totals, findings, violations, rule_findings, rules } => {
            let findings =
                findings.iter().filter(|it| already_reported.record_new(it.violation, None));
            let mut text: String = findings
                .map(|it| finding_block(it, setup, !failure.has_minimal_failure_for(it), style))
                .collect();
            let findings =
                rule_findings.iter().filter(|it| already_reported.record_new(None, it.kind));
            text.extend(findings.map(|it| rule_block(it, style)));
            for (broken, count) in rules {
                text += &format!("  {}: {}\n", format_count(*count), labels::broken_rule(broken));
            }
            for (violation, count) in violations {
                text += &format!(
                    "  {}: promise {} broken ({}), blame {}\n",
                    format_count(*count),
                    labels::promise_keyword(violation.promise),
                    labels::breach_keyword(violation.breach),
                    labels::blame_keyword(violation.blame),
                );
            }
            text += &format!(
                "  run: {} published, {} of {} delivered, {} lost, {} duplicated,\n       \
                 {} unexpected, {} stuck\n",
                format_count(totals.messages),
                format_count(totals.delivered),
                format_count(totals.units),
                format_count(totals.lost),
                format_count(totals.duplicated),
                format_count(totals.unexpected),
                format_count(totals.stuck),
            );
            text
        }
        FailureCause::NotDrained { ending, at, livelock } => {
            indented(&not_drained_text(*ending, *at, livelock.as_ref()))
        }
        FailureCause::NotDeterministic { first, second } => format!(
            "  not deterministic: the same trial gave the trace {first:016x},\n  \
             then {second:016x}; this is a bug in qoslab\n"
        ),
        FailureCause::Panicked(message) => {
            format!("  qoslab panicked: {}\n  this is a bug in qoslab\n", escape::terminal(message))
        }
    };
    let ScenarioResult { scenario, engine, .. } = result;
    text += &format!("  reproduce: {}\n", reproduce_command(scenario, *engine, failure, flags));
    text.extend(
        failure.minimal_failures.iter().map(|it| minimal_failure::text(it, *engine, style)),
    );
    text
}

/// All findings of one outcome in full, with or without the messages' histories.
#[cfg(feature = "files")]
pub(super) fn findings(
    outcome: &qoslab_guarantee::Outcome,
    setup: &Setup,
    with_stories: bool,
    style: Style,
) -> String {
    let promises =
        outcome.findings.iter().map(|finding| finding_block(finding, setup, with_stories, style));
    let musts = outcome.rule_findings.iter().filter(|it| it.kind.fails_trial());
    promises.chain(musts.map(|finding| rule_block(finding, style))).collect()
}

/// One broken rule: its strength and id, when, and one sentence.
fn rule_block(finding: &RuleFinding, style: Style) -> String {
    let RuleFinding { kind: broken, at, sentence } = finding;
    let id = broken.id().map(|id| format!(" [{id}]")).unwrap_or_default();
    let title = format!("{}{id} broken: {}", broken.rule.strength().label(), broken.rule.name());
    let mut text = format!("\n  {}\n", style.strong(&title));
    let line = format!("at {at}, blame {}: {sentence}", labels::blame_keyword(broken.blame));
    for line in wrap(&escape::terminal(&line), 76) {
        text += &format!("    {line}\n");
    }
    text.push('\n');
    text
}

/// Lines of a terminal, two columns in.
fn indented(text: &str) -> String {
    wrap(text, 78).into_iter().flat_map(|line| ["  ".to_owned(), line, "\n".to_owned()]).collect()
}

/// Why a trial did not come to its end, and what to do about it, in one line.
pub(super) fn not_drained_text(ending: Ending, at: Time, livelock: Option<&Livelock>) -> String {
    let (limit, advice) = match ending {
        Ending::EventLimit => ("the limit of events", "raise it with --max-events"),
        _ => ("the deadline", "raise `deadline` in the scenario"),
    };
    match livelock {
        None => format!(
            "not drained: {limit} came at {at} with work left; nothing is proved ({advice})"
        ),
        Some(livelock) => {
            let sentence = escape::terminal(&livelock.sentence);
            format!(
                "livelock: {sentence}. So {limit} came at {at} with work left, and a higher one \
                 would not help"
            )
        }
    }
}

fn finding_block(finding: &Finding, setup: &Setup, with_story: bool, style: Style) -> String {
    let mut text = format!("\n  {}\n", style.strong(&headline(finding, setup)));
    let rule = finding
        .rule
        .map(|rule| format!(", {} [{rule}]", finding.strength.label()))
        .unwrap_or_default();
    let blame = labels::blame_keyword(finding.violation.blame);
    text += &format!("    {}\n", delivery_times(finding));
    let because = escape::terminal(&finding.reason);
    for line in wrap(&format!("blame: {blame}{rule}: {because}"), 76) {
        text += &format!("    {line}\n");
    }
    if !with_story {
        return text + "\n";
    }
    if !finding.history.is_empty() {
        text += &format!("\n    {}\n", style.muted("      t/s"));
    }
    for line in finding.history.iter().take(MAX_EVENT_LINES) {
        let at = line.at.to_string();
        text += &format!("    {:>9}  {}\n", at.trim_end_matches('s'), escape::terminal(&line.text));
    }
    if finding.history.len() > MAX_EVENT_LINES {
        let more = counted((finding.history.len() - MAX_EVENT_LINES) as u64, "line");
        text += &format!("               ... {more} more\n");
    }
    text.push('\n');
    text
}

pub(super) fn headline(finding: &Finding, setup: &Setup) -> String {
    let publisher =
        setup.publishers.get(finding.publisher.index()).map_or("?", |stream| &stream.name);
    let message = format!("message #{} of `{}`", finding.sequence, escape::terminal(publisher));
    let subscriber = finding
        .subscriber
        .and_then(|client| setup.clients.get(client.index()))
        .map(|client| format!(" to `{}`", escape::terminal(&client.name)))
        .unwrap_or_default();
    let what = match finding.violation.breach {
        Breach::Lost => format!("never delivered{subscriber}"),
        Breach::Duplicated => {
            let often = match finding.copies {
                2 => "twice".to_owned(),
                copies => format!("{} times", format_count(u64::from(copies))),
            };
            format!("delivered {often}{subscriber}")
        }
        Breach::Unexpected => format!("delivered{subscriber}, which it was not meant for"),
        Breach::Stuck => "accepted and never acknowledged".to_owned(),
        Breach::Stalled => format!("not complete{subscriber} until everybody reconnected"),
        Breach::Reordered => format!("delivered{subscriber} after a later one"),
    };
    format!("{} broken: {message} {what}", labels::promise_keyword(finding.violation.promise))
}

pub(super) fn delivery_times(finding: &Finding) -> String {
    let published = format!("published at {} with QoS {}", finding.published, finding.qos);
    match finding.deliveries.as_slice() {
        [] => published,
        [only] => format!("{published}, delivered at {only}"),
        [first, rest @ ..] => {
            let again: Vec<String> = rest.iter().map(ToString::to_string).collect();
            format!("{published}, first delivered at {first}, again at {}", again.join(", "))
        }
    }
}

/// The command that runs one trial again, on the engine on which it failed.
#[must_use]
pub fn reproduce_command(
    scenario: &Scenario,
    engine: EngineKind,
    failure: &Failure,
    flags: &str,
) -> String {
    let last = scenario.first_seed.saturating_add(u64::from(scenario.seed_count));
    let own = (scenario.first_seed..last).contains(&failure.seed);
    let seed = if own { String::new() } else { format!(" --seed {}", failure.seed) };
    commands::run_command(scenario, engine, &format!("{seed}{flags} --trial {}", failure.trial))
}
