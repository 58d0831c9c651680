//! What is different from an earlier study.

use maud::{Markup, html};

use super::scrolling;
use crate::base::units::format_count;
use crate::report::escape;
use crate::report::number::{counted, value};
use crate::scenario::MODEL;
use crate::study::baseline::Comparison;
use crate::study::needs::Value;

/// At most so many points that differ are listed.
const MOST_ROWS: usize = 200;

/// The section about the baseline.
pub(super) fn section(comparison: &Comparison) -> Markup {
    html! {
        section #baseline aria-labelledby="baseline-title" {
            h2 #baseline-title { "Compared with " (escape::visible(&comparison.against)) }
            @if let Some(model) = comparison.other_model {
                p { "The earlier study is of model " (model) ", this one of model " (MODEL)
                    ": draws or semantics changed between them, so all may differ." }
            }
            p { (summary(comparison)) }
            @if !comparison.differences.is_empty() {
                (scrolling("Points that differ", &table(comparison)))
            }
        }
    }
}

fn summary(comparison: &Comparison) -> String {
    let same = counted(comparison.identical, "trial");
    if comparison.is_identical() {
        return format!("Identical (same trace hash): {same}.");
    }
    let differing = comparison.differences.iter().map(|it| it.trials).sum();
    let parts = [
        (comparison.identical, "identical (same trace hash)"),
        (differing, "different"),
        (comparison.added, "only here"),
        (comparison.missing, "only in the earlier study"),
    ];
    let parts = parts.iter().filter(|(count, _)| *count > 0);
    let parts: Vec<_> =
        parts.map(|(count, what)| format!("{} {what}", format_count(*count))).collect();
    if parts.is_empty() {
        "No trial is in either.".to_owned()
    } else {
        format!("Trials: {}.", parts.join(", "))
    }
}

fn table(comparison: &Comparison) -> Markup {
    let differences = &comparison.differences;
    html! {
        table {
            caption { "Points of which a trial differs, with metrics over the trials of both." }
            thead { tr {
                th scope="col" { "point" }
                th.number scope="col" { "trials" }
                th scope="col" { "metric: before, after" }
            } }
            tbody {
                @for one in differences.iter().take(MOST_ROWS) {
                    tr {
                        th scope="row" { (escape::visible(&one.point)) }
                        td.number { (format_count(one.trials)) }
                        td {
                            @if one.metrics.is_empty() { "the same metrics by another way" }
                            @for (nth, (metric, before, after)) in one.metrics.iter().enumerate() {
                                @if nth > 0 { br; }
                                (metric) ": " (bare(*before)) " → " (bare(*after))
                            }
                        }
                    }
                }
            }
        }
        @if differences.len() > MOST_ROWS {
            p.note { "And " (counted((differences.len() - MOST_ROWS) as u64, "point")) " more." }
        }
    }
}

fn bare(number: f64) -> String {
    if number.is_infinite() { "never".to_owned() } else { value(Value::Number(number)) }
}
