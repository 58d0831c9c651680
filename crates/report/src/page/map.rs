//! Map over two axes: the cheapest QoS that is sufficient, in each cell.

use maud::{Markup, html};

use super::{points::MAX_ROWS, qos_marker, scrollable};
use crate::charts::ChartOptions;
use crate::number::format_value;
use crate::{choice, commands, labels};
use qoslab_study::choose::{candidates, cheapest};
use qoslab_study::scenario::{Axis, Need};
use qoslab_study::{MetricValue, ScenarioResult, Study, StudyCell};

/// The section with the map; empty but for studies of two axes.
pub(super) fn section(study: &Study, options: &ChartOptions) -> Markup {
    let [down, across] = study.axes.as_slice() else { return html! {} };
    let fits = study.cells.len() <= MAX_ROWS;
    html! {
        section #map aria-labelledby="map-title" {
            h2 #map-title { "The cheapest QoS that is enough" }
            @if fits {
                p { "In each cell the QoS with the least "
                     (choice::objective_phrase(&options.objective))
                     " of those whose promises hold and whose needs are met, with the command \
                     that shows it again." }
                @let content = |cell: &StudyCell| cell_content(cell, options.needs(study), options);
                (scrollable("Map of the cheapest QoS", &table(study, down, across, content)))
            } @else {
                p { "The map has more cells than a page can hold; points.csv has them all." }
            }
        }
    }
}

fn table(
    study: &Study,
    down: &Axis,
    across: &Axis,
    content: impl Fn(&StudyCell) -> Markup,
) -> Markup {
    html! {
        table.map {
            caption { "Down: " code { (down.path) } ". Across: " code { (across.path) } "." }
            thead { tr {
                th scope="col" { (down.field()) " \\ " (across.field()) }
                @for value in &across.values { th scope="col" { (value.text) } }
            } }
            tbody { @for y in &down.values { tr {
                th scope="row" { (y.text) }
                @for x in &across.values {
                    td { @match study.cells.iter().find(|it| it.values.iter().eq([y, x])) {
                        Some(cell) => (content(cell)),
                        None => "not run",
                    } }
                }
            } } }
        }
    }
}

fn cell_content(cell: &StudyCell, needs: &[Need], options: &ChartOptions) -> Markup {
    let ScenarioResult { scenario, engine, .. } = &cell.result;
    let all = candidates(&cell.result, needs, &options.objective);
    html! {
        @match cheapest(&all).map(|best| &all[best]) {
            Some(best) => {
                @let levels = labels::qos_pair_text(best.qos, best.granted);
                strong { (qos_marker(best.qos)) "QoS " (levels) }
                " " span.range { (format_value(MetricValue::Number(best.cost.value))) }
                @let point = &cell.result.points[best.point];
                @let command = commands::point_run_command(&cell.result, point, best.qos);
                (super::command_details(&command))
            }
            None => {
                strong { "none" }
                (super::command_details(&commands::run_command(scenario, *engine, "")))
            }
        }
    }
}
