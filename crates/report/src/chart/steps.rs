//! How something went over time, with what befell it shaded: panels below each other on one axis
//! of time.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

use super::axis::{Axis, Kind, Place, Range};
use super::elements::{Dashed, stairs};
use super::frame::{self, Drawn, FOOT, Key, MARGIN, Panel, Paper, STRONG, times};
use super::{Chart, Words, palette};
use qoslab_core::base::qos::QoS;

const HEIGHT: i32 = 960;
/// Above a panel, for its title.
const HEAD: i32 = 300;
/// What strikes at once is shown so wide.
const STRIKE: i32 = 20;
/// How opaque what is in flight is.
const IN_FLIGHT: f64 = 0.6;

/// One panel.
#[derive(Clone, Debug)]
pub struct Steps {
    /// Above it.
    pub title: String,
    /// By which it has its colour.
    pub qos: QoS,
    /// From when, in seconds: in flight, and queued.
    pub steps: Vec<(f64, f64, f64)>,
    /// From when until when, in seconds, and what.
    pub troubles: Vec<(f64, f64, String)>,
    /// When it ends, in seconds.
    pub end: f64,
}

/// The chart of some panels.
#[must_use]
pub fn draw(words: Words, panels: &[Steps]) -> Chart {
    let ends = panels.iter().map(|panel| panel.end);
    let x = Axis::covering("time", Kind::Seconds, Range::Tight, ends.chain([0.0]));
    let most = panels.iter().flat_map(|panel| &panel.steps).map(|step| step.1.max(step.2));
    let y = Axis::covering("messages", Kind::Plain, Range::FromZero, most.chain([0.0]));
    let body = times(panels.len(), HEAD + HEIGHT) + FOOT;
    frame::chart(words, &keys(panels), body, |paper| {
        let parts = paper.margin(0, FOOT, 0, 0).split_evenly((panels.len(), 1));
        for (nth, (steps, part)) in panels.iter().zip(parts).enumerate() {
            let style = STRONG.at(HPos::Left, VPos::Bottom);
            part.draw_text(&steps.title, &style, (0, HEAD - 100))?;
            let area = part.margin(HEAD, 0, frame::gutter(&y), 2 * MARGIN);
            let panel = frame::panel(&area, &x, &y);
            frame::vertical(&panel, 6)?;
            // Time is written below the last panel only.
            if nth + 1 == panels.len() {
                frame::horizontal(&panel)?;
            } else {
                frame::floor(&panel)?;
            }
            shade(&panel, steps)?;
            fill(&panel, steps)?;
        }
        Ok(())
    })
}

fn keys(panels: &[Steps]) -> Vec<(Key, String)> {
    let in_flight = Key::Fill(palette::FAINT.mix(IN_FLIGHT).filled());
    let (queued, dashes) = queued();
    let mut keys = vec![
        (in_flight, "in flight (in the QoS's colour)".to_owned()),
        (Key::Line(queued, dashes), "queued".to_owned()),
    ];
    let mut words: Vec<&str> =
        panels.iter().flat_map(|panel| &panel.troubles).map(|trouble| &*trouble.2).collect();
    words.sort_unstable();
    words.dedup();
    if !words.is_empty() {
        keys.push((Key::Fill(shadow().filled()), words.join(", ")));
    }
    keys
}

fn shadow() -> RGBAColor {
    palette::FAINT.mix(0.22)
}

fn queued() -> (ShapeStyle, &'static str) {
    (palette::INK.stroke_width(15), "3 2")
}

fn shade(panel: &Panel, steps: &Steps) -> Drawn {
    let (axis, ends) = (panel.as_coord_spec().x_spec(), panel.get_y_range());
    let paper: Paper = panel.use_screen_coord();
    for (from, until, _) in &steps.troubles {
        let (Some(from), Some(until)) = (axis.nearest(*from), axis.nearest(*until)) else {
            continue;
        };
        let (left, top) = panel.map_coordinate(&(from, ends.end));
        let (right, bottom) = panel.map_coordinate(&(until, ends.start));
        let right = right.max(left + STRIKE);
        paper.draw(&Rectangle::new([(left, top), (right, bottom)], shadow().filled()))?;
    }
    Ok(())
}

fn fill(panel: &Panel, steps: &Steps) -> Drawn {
    let in_flight = line(panel, steps, |step| step.1);
    let colour = palette::qos(steps.qos);
    let floor = panel.get_y_range().start;
    let area = AreaSeries::new(in_flight, floor, colour.mix(IN_FLIGHT));
    for element in area.border_style(frame::thin(colour)) {
        panel.draw(&element)?;
    }
    if steps.steps.iter().any(|step| step.2 > 0.0) {
        let (style, dashes) = queued();
        panel.draw(&Dashed(dashes, line(panel, steps, |step| step.2), style))?;
    }
    Ok(())
}

/// The corners of a line that keeps its last height up to the end.
fn line(panel: &Panel, steps: &Steps, of: fn(&(f64, f64, f64)) -> f64) -> Vec<(Place, Place)> {
    let last = steps.steps.last().map(|step| (steps.end, of(step)));
    let points = steps.steps.iter().map(|step| (step.0, of(step))).chain(last);
    let placed: Vec<_> = points.filter_map(|point| frame::place(panel, point)).collect();
    stairs(&placed)
}
