//! Over two axes: the cheapest QoS that is enough, in each cell.

use maud::{Markup, html};

use super::{marker, points::MOST_ROWS, scrolling};
use crate::base::qos::QoS;
use crate::report::commands;
use crate::report::figures::Figures;
use crate::scenario::axis::Axis;
use crate::study::result::PointResult;
use crate::study::sweep::{Cell, Study};

/// The section with the map; empty but for studies of two axes.
pub(super) fn section(study: &Study) -> Markup {
    let [down, across] = study.axes.as_slice() else { return html! {} };
    let fits = study.cells.len() <= MOST_ROWS;
    html! {
        section #map aria-labelledby="map-title" {
            h2 #map-title { "The cheapest QoS that is enough" }
            @if fits {
                p { "In each cell the QoS with the fewest bytes a message of those whose promises \
                     hold and whose needs are met, with the command that shows it again." }
                (scrolling("Map of the cheapest QoS", &table(study, down, across)))
            } @else {
                p { "The map has more cells than a page can hold; points.csv has them all." }
            }
        }
    }
}

fn table(study: &Study, down: &Axis, across: &Axis) -> Markup {
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

fn content(cell: &Cell) -> Markup {
    let scenario = &cell.result.scenario;
    html! {
        @match cheapest(cell) {
            Some((point, qos, figures)) => {
                strong { (marker(qos)) "QoS " (figures.name()) }
                " " span.range { (format!("{:.0} bytes", figures.bytes.value)) }
                (super::command(&commands::point(scenario, point, qos)))
            }
            None => {
                strong { "none" }
                (super::command(&commands::run(scenario, "")))
            }
        }
    }
}

/// The point and QoS of a cell that is enough with the fewest bytes a message; of equals the
/// lowest.
fn cheapest(cell: &Cell) -> Option<(&PointResult, QoS, Figures)> {
    let all = cell.result.points.iter().flat_map(|point| {
        Figures::of(point).map(move |figures| (point, figures.published, figures))
    });
    all.filter(|(point, qos, _)| cell.result.suffices(point, *qos))
        .min_by(|(.., a), (.., b)| a.bytes.value.total_cmp(&b.bytes.value))
}
