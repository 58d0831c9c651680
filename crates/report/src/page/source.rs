//! The scenario, verbatim, and what was set over it.

use maud::{Markup, html};

use super::scrollable;
use crate::escape;
use qoslab_study::Study;
use qoslab_study::scenario::Axis;

/// The section with the scenario's text.
pub(super) fn section(study: &Study) -> Markup {
    let Some(cell) = study.cells.first() else { return html! {} };
    let scenario = &cell.result.scenario;
    let values =
        |axis: &Axis| axis.values.iter().map(|it| it.text.as_str()).collect::<Vec<_>>().join(", ");
    let text = html! { pre { code { (escape::multiline(&scenario.source)) } } };
    let is_axis = |path: &str| study.axes.iter().any(|axis| axis.path == path);
    let settings = scenario.settings.iter().filter(|it| !is_axis(&it.path));
    let settings: Vec<_> = settings.map(|it| escape::multiline(&it.to_string())).collect();
    html! {
        section #scenario aria-labelledby="scenario-title" {
            h2 #scenario-title { "Scenario" }
            p { "As it stood in " code { (escape::multiline(&scenario.path)) } "." }
            @if !settings.is_empty() {
                p { "Set over the file:" }
                ul { @for setting in settings { li { code { "--set " (setting) } } } }
            }
            @if !study.axes.is_empty() {
                p { "Varied:" }
                ul { @for axis in &study.axes { li {
                    code { (axis.path) } ": "
                    (values(axis))
                } } }
            }
            (scrollable("The scenario's text", &text))
        }
    }
}
