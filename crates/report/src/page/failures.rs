//! Trials that failed: what was promised, what happened, whose fault it was.

use maud::{Markup, PreEscaped, html};

use super::{badge, cell_name, command, scrolling};
use crate::commands::{argument, on_engine};
use crate::failure::{headline, not_drained, reproduce, times};
use crate::ladder::words::capital;
use crate::ladder::{self, Ladder, MOST_ROWS};
use crate::number::counted;
use crate::{escape, story, words};
use qoslab_core::base::units::format_count;
use qoslab_guarantee::verdict::{Finding, RuleFinding};
use qoslab_sim::trial::Setup;
use qoslab_study::result::{Cause, Failure, PointResult, ScenarioResult};
use qoslab_study::sweep::{Cell, Study};

/// At most so many failing trials are told.
const MOST_FAILURES: usize = 50;

/// At most so many lines of a message's story.
const MOST_LINES: usize = 200;

/// The section about failing trials; empty without any.
pub(super) fn section(study: &Study) -> Markup {
    let all: Vec<(&Cell, &PointResult, &Failure)> = study
        .points()
        .flat_map(|(cell, point)| point.failures.iter().map(move |it| (cell, point, it)))
        .collect();
    html! {
        @if !all.is_empty() {
            section #failures aria-labelledby="failures-title" {
                h2 #failures-title { "Failures" }
                p { "The first few failing trials of each point, each with the command that \
                     runs it again." }
                @for (cell, point, failure) in all.iter().take(MOST_FAILURES) {
                    (article(study, cell, point, failure))
                }
                @if all.len() > MOST_FAILURES {
                    p.note { "And " (counted((all.len() - MOST_FAILURES) as u64, "failing trial"))
                        " more; trials.csv lists them." }
                }
            }
        }
    }
}

fn article(study: &Study, cell: &Cell, point: &PointResult, failure: &Failure) -> Markup {
    let ScenarioResult { scenario, engine, .. } = &cell.result;
    let engine = *engine;
    let setup = &*scenario.points[point.index].setup;
    html! {
        article.failure {
            h3 {
                (badge(failure.verdict)) " Trial " (failure.trial) ", seed " (failure.seed) ", "
                (point.label)
                @if !study.axes.is_empty() { ", " (cell_name(study, cell)) }
            }
            (cause(failure, setup))
            (command(&reproduce(scenario, engine, failure, "")))
            @for (nth, own) in failure.stories.iter().enumerate() {
                p { (capital(&story::sentence(own))) "." }
                (PreEscaped(ladder::svg(&Ladder {
                    id: format!("ladder-{}-{nth}", failure.trial),
                    ..story::ladder(own, MOST_ROWS)
                })))
                @if let Some(folder) = &own.folder {
                    (command(&format!("qoslab replay {}", argument(
                        &format!("{folder}/{}", story::FAILURE)
                    ) + &on_engine(engine))))
                }
            }
        }
    }
}

fn cause(failure: &Failure, setup: &Setup) -> Markup {
    html! { @match &failure.cause {
        Cause::Broken { totals, findings, violations, rule_findings, rules } => {
            @for it in findings { (finding(it, setup, failure.has_ladder(it))) }
            @for it in rule_findings { (rule(it)) }
            ul {
                @for (it, count) in violations { li {
                    (format_count(*count)) ": promise " (words::promise(it.promise)) " broken ("
                    (words::breach(it.breach)) "), blame " (words::blame(it.blame))
                } }
                @for (broken, count) in rules { li {
                    (format_count(*count)) ": " (words::broken_rule(broken))
                } }
            }
            p { "The run: " (format_count(totals.messages)) " published, "
                (format_count(totals.delivered)) " of " (format_count(totals.units))
                " delivered, " (format_count(totals.lost)) " lost, "
                (format_count(totals.duplicated)) " duplicated, "
                (format_count(totals.unexpected)) " unexpected, "
                (format_count(totals.stuck)) " stuck." }
        }
        Cause::NotDrained { ending, at } => p { (not_drained(*ending, *at).trim()) },
        Cause::NotDeterministic { first, second } => p {
            "The same trial gave the trace " (format!("{first:016x}")) ", then "
            (format!("{second:016x}")) "; this is a bug in qoslab."
        },
        Cause::Panicked(message) => p {
            "qoslab panicked: " (escape::visible(message)) "; this is a bug in qoslab."
        },
    } }
}

fn finding(finding: &Finding, setup: &Setup, has_ladder: bool) -> Markup {
    // A ladder tells the same better.
    let story = if has_ladder { &[][..] } else { &finding.story[..] };
    html! {
        h4 { (headline(finding, setup)) }
        p { (times(finding)) "." }
        p { strong { "Blame: " (words::blame(finding.violation.blame)) }
            @if let Some(rule) = finding.rule { ", MUST [" (rule) "]" }
            ": " (escape::visible(&finding.because)) "." }
        @if !story.is_empty() {
            (scrolling("The message's story", &html! { table.story {
                caption { "What happened to the message." }
                thead { tr { th.number scope="col" { "time" } th scope="col" { "what" } } }
                tbody { @for line in story.iter().take(MOST_LINES) { tr {
                    td.number { (line.at) }
                    td { (escape::visible(&line.text)) }
                } } }
            } }))
        }
        @if story.len() > MOST_LINES {
            p.note { "And " (counted((story.len() - MOST_LINES) as u64, "line")) " more." }
        }
    }
}

fn rule(finding: &RuleFinding) -> Markup {
    html! {
        h4 { (words::broken_rule(&finding.broken)) }
        p { "At " (finding.at) ": " (escape::visible(&finding.sentence)) "." }
    }
}
