//! Failed trials: what was promised, what happened, and which component was at fault.

use maud::{Markup, PreEscaped, html};

use super::{cell_name, command_details, scrollable, verdict_badge};
use crate::commands::{quote_argument, spaced_engine_flag};
use crate::failure::{delivery_times, headline, not_drained_text, reproduce_command};
use crate::ladder::wording::capitalise;
use crate::ladder::{self, Ladder, MAX_ROWS};
use crate::number::counted;
use crate::{escape, labels, minimal_failure};
use qoslab_core::base::units::format_count;
use qoslab_guarantee::{Finding, RuleFinding};
use qoslab_sim::Setup;
use qoslab_study::{Failure, FailureCause, PointResult, ScenarioResult, Study, StudyCell};

/// The maximum number of failing trials that are shown.
const MAX_FAILURES: usize = 50;

/// The maximum number of lines of a message's history.
const MAX_EVENT_LINES: usize = 200;

/// The section about failing trials; empty without any.
pub(super) fn section(study: &Study) -> Markup {
    let all: Vec<(&StudyCell, &PointResult, &Failure)> = study
        .points()
        .flat_map(|(cell, point)| point.failures.iter().map(move |it| (cell, point, it)))
        .collect();
    html! {
        @if !all.is_empty() {
            section #failures aria-labelledby="failures-title" {
                h2 #failures-title { "Failures" }
                p { "The first few failing trials of each point, each with the command that \
                     runs it again." }
                @for (cell, point, failure) in all.iter().take(MAX_FAILURES) {
                    (failure_article(study, cell, point, failure))
                }
                @if all.len() > MAX_FAILURES {
                    p.note { "And " (counted((all.len() - MAX_FAILURES) as u64, "failing trial"))
                        " more; trials.csv lists them." }
                }
            }
        }
    }
}

fn failure_article(
    study: &Study,
    cell: &StudyCell,
    point: &PointResult,
    failure: &Failure,
) -> Markup {
    let ScenarioResult { scenario, engine, .. } = &cell.result;
    let engine = *engine;
    let setup = &*scenario.points[point.index].setup;
    html! {
        article.failure {
            h3 {
                (verdict_badge(failure.verdict)) " Trial " (failure.trial) ", seed " (failure.seed)
                ", " (point.label)
                @if !study.axes.is_empty() { ", " (cell_name(study, cell)) }
            }
            (cause_markup(failure, setup))
            (command_details(&reproduce_command(scenario, engine, failure, "")))
            @for (nth, own) in failure.minimal_failures.iter().enumerate() {
                p { (capitalise(&minimal_failure::shrink_sentence(own))) "." }
                (PreEscaped(ladder::svg(&Ladder {
                    id: format!("ladder-{}-{nth}", failure.trial),
                    ..minimal_failure::ladder(own, MAX_ROWS)
                })))
                @if let Some(folder) = &own.folder {
                    (command_details(&format!("qoslab replay {}", quote_argument(
                        &format!("{folder}/{}", minimal_failure::FAILURE_FILE)
                    ) + &spaced_engine_flag(engine))))
                }
            }
        }
    }
}

fn cause_markup(failure: &Failure, setup: &Setup) -> Markup {
    html! { @match &failure.cause {
        FailureCause::Broken { totals, findings, violations, rule_findings, rules } => {
            @for it in findings { (finding_markup(it, setup, failure.has_minimal_failure_for(it))) }
            @for it in rule_findings { (rule_markup(it)) }
            ul {
                @for (it, count) in violations { li {
                    (format_count(*count)) ": promise " (labels::promise_keyword(it.promise))
                    " broken (" (labels::breach_keyword(it.breach)) "), blame "
                    (labels::blame_keyword(it.blame))
                } }
                @for (broken, count) in rules { li {
                    (format_count(*count)) ": " (labels::broken_rule(broken))
                } }
            }
            p { "The run: " (format_count(totals.messages)) " published, "
                (format_count(totals.delivered)) " of " (format_count(totals.units))
                " delivered, " (format_count(totals.lost)) " lost, "
                (format_count(totals.duplicated)) " duplicated, "
                (format_count(totals.unexpected)) " unexpected, "
                (format_count(totals.stuck)) " stuck." }
        }
        FailureCause::NotDrained { ending, at, livelock } => p {
            (not_drained_text(*ending, *at, livelock.as_ref())) "."
        },
        FailureCause::NotDeterministic { first, second } => p {
            "The same trial gave the trace " (format!("{first:016x}")) ", then "
            (format!("{second:016x}")) "; this is a bug in qoslab."
        },
        FailureCause::Panicked(message) => p {
            "qoslab panicked: " (escape::multiline(message)) "; this is a bug in qoslab."
        },
    } }
}

fn finding_markup(finding: &Finding, setup: &Setup, has_ladder: bool) -> Markup {
    // A ladder shows the same more clearly.
    let story = if has_ladder { &[][..] } else { &finding.history[..] };
    html! {
        h4 { (headline(finding, setup)) }
        p { (delivery_times(finding)) "." }
        p { strong { "Blame: " (labels::blame_keyword(finding.violation.blame)) }
            @if let Some(rule) = finding.rule { ", " (finding.strength.label()) " [" (rule) "]" }
            ": " (escape::multiline(&finding.reason)) "." }
        @if !story.is_empty() {
            (scrollable("The message's history", &html! { table.story {
                caption { "What happened to the message." }
                thead { tr { th.number scope="col" { "time" } th scope="col" { "what" } } }
                tbody { @for line in story.iter().take(MAX_EVENT_LINES) { tr {
                    td.number { (line.at) }
                    td { (escape::multiline(&line.text)) }
                } } }
            } }))
        }
        @if story.len() > MAX_EVENT_LINES {
            p.note { "And " (counted((story.len() - MAX_EVENT_LINES) as u64, "line")) " more." }
        }
    }
}

fn rule_markup(finding: &RuleFinding) -> Markup {
    html! {
        h4 { (labels::broken_rule(&finding.kind)) }
        p { "At " (finding.at) ": " (escape::multiline(&finding.sentence)) "." }
    }
}
