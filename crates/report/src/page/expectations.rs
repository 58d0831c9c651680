//! Needs, what must happen at least once, and breaks that are declared.

use maud::{Markup, html};

use super::{badge, cell_name, scrolling};
use crate::{escape, number, summary, words};
use qoslab_core::base::units::format_count;
use qoslab_guarantee::verdict::RuleBreak;
use qoslab_study::needs::NeedResult;
use qoslab_study::result::{ScenarioResult, Verdict};
use qoslab_study::sweep::{Cell, Study};

/// At most so many cells are listed; the rest is in points.csv.
const MOST_CELLS: usize = 200;

/// The section about what the scenario expects; empty if it expects nothing and no rule broke.
pub(super) fn section(study: &Study) -> Markup {
    let told: Vec<&Cell> = study.cells.iter().filter(|it| has_any(&it.result)).collect();
    html! {
        @if !told.is_empty() {
            section #expectations aria-labelledby="expectations-title" {
                h2 #expectations-title { "Needs and expectations" }
                (scrolling("Needs and expectations", &table(study, &told)))
                @if told.len() > MOST_CELLS {
                    @let more = number::counted((told.len() - MOST_CELLS) as u64, "cell");
                    p.note { "And " (more) " more." }
                }
            }
        }
    }
}

fn has_any(result: &ScenarioResult) -> bool {
    !lines(result).is_empty()
}

/// One line: how it stands, what was expected, what was seen.
type Line = (Option<Verdict>, String, String);

fn table(study: &Study, cells: &[&Cell]) -> Markup {
    html! {
        table {
            caption { "What the scenario expects beyond the promises, and the rules that broke." }
            thead { tr {
                @if !study.axes.is_empty() { th scope="col" { "cell" } }
                th scope="col" { "stands" }
                th scope="col" { "expected" }
                th scope="col" { "seen" }
            } }
            tbody { @for cell in cells.iter().take(MOST_CELLS) {
                @for (verdict, expected, seen) in lines(&cell.result) { tr {
                    @if !study.axes.is_empty() { td { (cell_name(study, cell)) } }
                    td { @match verdict {
                        Some(verdict) => (badge(verdict)),
                        None => span.badge { "not judged" },
                    } }
                    th scope="row" { (escape::visible(&expected)) }
                    td { (escape::visible(&seen)) }
                } }
            } }
        }
    }
}

fn lines(result: &ScenarioResult) -> Vec<Line> {
    let times = |count: u64| match count {
        0 => "never".to_owned(),
        _ => number::counted(count, "time"),
    };
    let needs = result
        .needs
        .iter()
        .map(|need| (result.judged(need), format!("need {}", need.need.text), seen(need)));
    let sometimes = result
        .sometimes
        .iter()
        .map(|(name, count)| (result.happened(*count), format!("sometimes {name}"), times(*count)));
    let expected = result.expected.iter().map(|(it, count)| {
        let what = format!("expected break: {}", words::expected(&it.what));
        (result.happened(*count), what, format!("{}: {}", times(*count), it.why))
    });
    let known = result.known.iter().map(|(it, count)| {
        let what = format!("known break: {}", words::expected(&it.what));
        let verdict = if *count == 0 { None } else { Some(Verdict::Holds) };
        (verdict, what, format!("{}. {}", words::known_seen(it, *count), it.why))
    });
    let declared =
        |broken: &RuleBreak| result.scenario.expect.declared().any(|it| it.is_rule(broken));
    let rules = summary::rules(result).into_iter().map(|(broken, count)| {
        let bad = broken.is_violation() && !declared(&broken);
        let verdict = if bad { Verdict::Violated } else { Verdict::Holds };
        let note = if bad { "broken rule" } else { "broken rule, no failure" };
        (Some(verdict), format!("{note}: {}", words::broken_rule(&broken)), format_count(count))
    });
    needs.chain(sometimes).chain(expected).chain(known).chain(rules).collect()
}

fn seen(need: &NeedResult) -> String {
    need.worst.as_ref().map_or_else(
        || "could not be measured".to_owned(),
        |worst| format!("{} at {}", number::measured(&need.need, worst), worst.label),
    )
}
