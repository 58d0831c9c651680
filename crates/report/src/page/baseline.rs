//! Differences from an earlier study.

use maud::{Markup, html};

use super::scrollable;
use crate::number::counted;
use crate::{comparison, escape};
use qoslab_core::base::units::format_count;
use qoslab_study::baseline::BaselineComparison;

/// The maximum number of differing points that are listed.
const MAX_ROWS: usize = 200;

/// The section about the baseline.
pub(super) fn section(comparison: &BaselineComparison) -> Markup {
    html! {
        section #baseline aria-labelledby="baseline-title" {
            h2 #baseline-title { "Compared with " (escape::multiline(&comparison.baseline_path)) }
            @if let Some(model) = comparison.baseline_model {
                p { (comparison::other_model_text(model)) }
            }
            p { (comparison::summary(comparison)) }
            @if !comparison.differences.is_empty() {
                (scrollable("Points that differ", &table(comparison)))
            }
        }
    }
}

fn table(comparison: &BaselineComparison) -> Markup {
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
                @for one in differences.iter().take(MAX_ROWS) {
                    tr {
                        th scope="row" { (escape::multiline(&one.point)) }
                        td.number { (format_count(one.trials)) }
                        td {
                            @if one.metrics.is_empty() { "the same metrics by another way" }
                            @for (nth, metric) in one.metrics.iter().enumerate() {
                                @if nth > 0 { br; }
                                (comparison::metric_text(metric))
                            }
                        }
                    }
                }
            }
        }
        @if differences.len() > MAX_ROWS {
            p.note { "And " (counted((differences.len() - MAX_ROWS) as u64, "point")) " more." }
        }
    }
}
