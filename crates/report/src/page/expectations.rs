//! Needs, events that must occur at least once, and declared breaks.

use maud::{Markup, html};

use super::{cell_name, scrollable, verdict_badge};
use crate::{escape, labels, number, summary};
use qoslab_core::base::units::format_count;
use qoslab_guarantee::RuleViolationKind;
use qoslab_study::{NeedResult, ScenarioResult, Study, StudyCell, Verdict};

/// The maximum number of cells that are listed; the rest is in points.csv.
const MAX_CELLS: usize = 200;

/// The section about expectations; empty if the scenario expects nothing and no rule was broken.
pub(super) fn section(study: &Study) -> Markup {
    let cells: Vec<&StudyCell> =
        study.cells.iter().filter(|it| has_expectations(&it.result)).collect();
    html! {
        @if !cells.is_empty() {
            section #expectations aria-labelledby="expectations-title" {
                h2 #expectations-title { "Needs and expectations" }
                (scrollable("Needs and expectations", &table(study, &cells)))
                @if cells.len() > MAX_CELLS {
                    @let more = number::counted((cells.len() - MAX_CELLS) as u64, "cell");
                    p.note { "And " (more) " more." }
                }
            }
        }
    }
}

fn has_expectations(result: &ScenarioResult) -> bool {
    !expectation_rows(result).is_empty()
}

/// One line: the status, what was expected, what was seen.
type ExpectationRow = (Option<Verdict>, String, String);

fn table(study: &Study, cells: &[&StudyCell]) -> Markup {
    html! {
        table {
            caption { "What the scenario expects beyond the promises, and the rules that broke." }
            thead { tr {
                @if !study.axes.is_empty() { th scope="col" { "cell" } }
                th scope="col" { "stands" }
                th scope="col" { "expected" }
                th scope="col" { "seen" }
            } }
            tbody { @for cell in cells.iter().take(MAX_CELLS) {
                @for (verdict, expected, seen) in expectation_rows(&cell.result) { tr {
                    @if !study.axes.is_empty() { td { (cell_name(study, cell)) } }
                    td { @match verdict {
                        Some(verdict) => (verdict_badge(verdict)),
                        None => span.badge { "not judged" },
                    } }
                    th scope="row" { (escape::multiline(&expected)) }
                    td { (escape::multiline(&seen)) }
                } }
            } }
        }
    }
}

fn expectation_rows(result: &ScenarioResult) -> Vec<ExpectationRow> {
    let times = |count: u64| match count {
        0 => "never".to_owned(),
        _ => number::counted(count, "time"),
    };
    let needs = result.needs.iter().map(|need| {
        (result.need_verdict(need), format!("need {}", need.need.text), measured_text(need))
    });
    let sometimes = result.sometimes.iter().map(|(name, count)| {
        (result.occurrence_verdict(*count), format!("sometimes {name}"), times(*count))
    });
    let never = result.never.iter().map(|(name, count)| {
        (Some(ScenarioResult::never_verdict(*count)), format!("never {name}"), times(*count))
    });
    let expected = result.expected.iter().map(|(it, count)| {
        let what = format!("expected break: {}", labels::expected_break(&it.what));
        (result.occurrence_verdict(*count), what, format!("{}: {}", times(*count), it.why))
    });
    let known = result.known.iter().map(|(it, count)| {
        let what = format!("known break: {}", labels::expected_break(&it.what));
        let verdict = if *count == 0 { None } else { Some(Verdict::Holds) };
        (verdict, what, format!("{}. {}", labels::known_break_status(it, *count), it.why))
    });
    let declared = |broken: &RuleViolationKind| {
        result.scenario.expect.declared_breaks().any(|it| it.matches_rule_violation(broken))
    };
    let rules = summary::broken_rules(result).into_iter().map(|(broken, count)| {
        let bad = broken.fails_trial() && !declared(&broken);
        let verdict = if bad { Verdict::Violated } else { Verdict::Holds };
        let note = if bad { "broken rule" } else { "broken rule, no failure" };
        (Some(verdict), format!("{note}: {}", labels::broken_rule(&broken)), format_count(count))
    });
    needs.chain(sometimes).chain(never).chain(expected).chain(known).chain(rules).collect()
}

fn measured_text(need: &NeedResult) -> String {
    need.worst.as_ref().map_or_else(
        || "could not be measured".to_owned(),
        |worst| format!("{} at {}", number::format_measured(&need.need, worst), worst.label),
    )
}
