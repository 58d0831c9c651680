//! Over two axes: the cheapest QoS that is enough, in each cell.

use maud::{Markup, html};

use super::{marker, points::MOST_ROWS, scrolling};
use crate::charts::ChartOptions;
use crate::number::value;
use crate::{commands, words};
use qoslab_study::choose::{candidates, cheapest};
use qoslab_study::needs::Value;
use qoslab_study::result::ScenarioResult;
use qoslab_study::scenario::axis::Axis;
use qoslab_study::scenario::expect::Need;
use qoslab_study::sweep::{Cell, Study};

/// The section with the map; empty but for studies of two axes.
pub(super) fn section(study: &Study, options: &ChartOptions) -> Markup {
    let [down, across] = study.axes.as_slice() else { return html! {} };
    let fits = study.cells.len() <= MOST_ROWS;
    html! {
        section #map aria-labelledby="map-title" {
            h2 #map-title { "The cheapest QoS that is enough" }
            @if fits {
                p { "In each cell the QoS with the least " (words::least(&options.objective))
                     " of those whose promises hold and whose needs are met, with the command \
                     that shows it again." }
                @let content = |cell: &Cell| content(cell, options.needs(study), options);
                (scrolling("Map of the cheapest QoS", &table(study, down, across, content)))
            } @else {
                p { "The map has more cells than a page can hold; points.csv has them all." }
            }
        }
    }
}

fn table(study: &Study, down: &Axis, across: &Axis, content: impl Fn(&Cell) -> Markup) -> Markup {
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

fn content(cell: &Cell, needs: &[Need], options: &ChartOptions) -> Markup {
    let ScenarioResult { scenario, engine, .. } = &cell.result;
    let all = candidates(&cell.result, needs, &options.objective);
    html! {
        @match cheapest(&all).map(|best| &all[best]) {
            Some(best) => {
                strong { (marker(best.qos)) "QoS " (words::level(best.qos, best.granted)) }
                " " span.range { (value(Value::Number(best.cost.value))) }
                @let point = &cell.result.points[best.point];
                (super::command(&commands::point(&cell.result, point, best.qos)))
            }
            None => {
                strong { "none" }
                (super::command(&commands::run(scenario, *engine, "")))
            }
        }
    }
}
