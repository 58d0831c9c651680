//! The assumptions behind the numbers.

use maud::{Markup, html};

use super::cell_name;
use crate::assumptions::assumptions;
use crate::escape;
use qoslab_study::{Study, StudyCell};

/// The section with all that the numbers rest on.
pub(super) fn section(study: &Study, middle: &StudyCell) -> Markup {
    html! {
        section #assumed aria-labelledby="assumed-title" {
            h2 #assumed-title { "What was assumed" }
            @if !study.axes.is_empty() { p.note { "At " (cell_name(study, middle)) "." } }
            dl.assumed {
                @for (name, lines) in assumptions(&middle.result.scenario) {
                    dt { (name) }
                    @for line in lines { dd { (escape::multiline(&line)) } }
                }
            }
        }
    }
}
