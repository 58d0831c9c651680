//! Values over time, with the faults shaded: panels below each other on one time axis.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

use super::axis::{AxisPosition, AxisRange, ChartAxis, NumberFormat};
use super::frame::{
    self, AXIS_HEIGHT, BOLD, Canvas, DrawResult, LegendKey, MARGIN, Panel, scaled_length,
};
use super::shapes::{Dashed, step_line};
use super::{Chart, ChartText, palette};
use qoslab_core::base::QoS;

const HEIGHT: i32 = 960;
/// The height above a panel, for its title.
const TITLE_HEIGHT: i32 = 300;
/// The width at which an instantaneous fault is shown.
const MIN_FAULT_WIDTH: i32 = 20;
/// The opacity of what is in flight.
const IN_FLIGHT: f64 = 0.6;

/// One panel.
#[derive(Clone, Debug)]
pub(crate) struct StepPanel {
    /// The title above it.
    pub title: String,
    /// The QoS that decides its colour.
    pub qos: QoS,
    /// The steps: start time in seconds, in flight, and queued.
    pub steps: Vec<(f64, f64, f64)>,
    /// The faults: start and end in seconds, and the kind.
    pub faults: Vec<(f64, f64, String)>,
    /// The end time in seconds.
    pub end: f64,
}

/// The chart of some panels.
#[must_use]
pub(crate) fn draw(words: ChartText, panels: &[StepPanel]) -> Chart {
    let ends = panels.iter().map(|panel| panel.end);
    let x = ChartAxis::covering("time", NumberFormat::Seconds, AxisRange::Tight, ends.chain([0.0]));
    let most = panels.iter().flat_map(|panel| &panel.steps).map(|step| step.1.max(step.2));
    let y = ChartAxis::covering(
        "messages",
        NumberFormat::Plain,
        AxisRange::FromZero,
        most.chain([0.0]),
    );
    let body = scaled_length(panels.len(), TITLE_HEIGHT + HEIGHT) + AXIS_HEIGHT;
    frame::chart(words, &legend_keys(panels), body, |canvas| {
        let parts = canvas.margin(0, AXIS_HEIGHT, 0, 0).split_evenly((panels.len(), 1));
        for (nth, (steps, part)) in panels.iter().zip(parts).enumerate() {
            let style = BOLD.to_text_style(HPos::Left, VPos::Bottom);
            part.draw_text(&steps.title, &style, (0, TITLE_HEIGHT - 100))?;
            let area = part.margin(TITLE_HEIGHT, 0, frame::gutter(&y), 2 * MARGIN);
            let panel = frame::panel(&area, &x, &y);
            frame::draw_y_axis(&panel, 6)?;
            // Time is written below the last panel only.
            if nth + 1 == panels.len() {
                frame::draw_x_axis(&panel)?;
            } else {
                frame::draw_x_grid(&panel)?;
            }
            draw_faults(&panel, steps)?;
            draw_steps(&panel, steps)?;
        }
        Ok(())
    })
}

fn legend_keys(panels: &[StepPanel]) -> Vec<(LegendKey, String)> {
    let in_flight = LegendKey::Fill(palette::MUTED.mix(IN_FLIGHT).filled());
    let (queued, dashes) = queued_style();
    let mut keys = vec![
        (in_flight, "in flight (in the QoS's colour)".to_owned()),
        (LegendKey::Line(queued, dashes), "queued".to_owned()),
    ];
    let mut words: Vec<&str> =
        panels.iter().flat_map(|panel| &panel.faults).map(|trouble| &*trouble.2).collect();
    words.sort_unstable();
    words.dedup();
    if !words.is_empty() {
        keys.push((LegendKey::Fill(fault_shade().filled()), words.join(", ")));
    }
    keys
}

fn fault_shade() -> RGBAColor {
    palette::MUTED.mix(0.22)
}

fn queued_style() -> (ShapeStyle, &'static str) {
    (palette::INK.stroke_width(15), "3 2")
}

fn draw_faults(panel: &Panel, steps: &StepPanel) -> DrawResult {
    let (axis, ends) = (panel.as_coord_spec().x_spec(), panel.get_y_range());
    let canvas: Canvas = panel.use_screen_coord();
    for (from, until, _) in &steps.faults {
        let (Some(from), Some(until)) =
            (axis.clamped_position(*from), axis.clamped_position(*until))
        else {
            continue;
        };
        let (left, top) = panel.map_coordinate(&(from, ends.end));
        let (right, bottom) = panel.map_coordinate(&(until, ends.start));
        let right = right.max(left + MIN_FAULT_WIDTH);
        canvas.draw(&Rectangle::new([(left, top), (right, bottom)], fault_shade().filled()))?;
    }
    Ok(())
}

fn draw_steps(panel: &Panel, steps: &StepPanel) -> DrawResult {
    let in_flight = step_positions(panel, steps, |step| step.1);
    let colour = palette::qos(steps.qos);
    let floor = panel.get_y_range().start;
    let area = AreaSeries::new(in_flight, floor, colour.mix(IN_FLIGHT));
    for element in area.border_style(frame::hairline(colour)) {
        panel.draw(&element)?;
    }
    if steps.steps.iter().any(|step| step.2 > 0.0) {
        let (style, dashes) = queued_style();
        panel.draw(&Dashed(dashes, step_positions(panel, steps, |step| step.2), style))?;
    }
    Ok(())
}

/// The corners of a line that keeps its last height up to the end.
fn step_positions(
    panel: &Panel,
    steps: &StepPanel,
    height: fn(&(f64, f64, f64)) -> f64,
) -> Vec<(AxisPosition, AxisPosition)> {
    let last = steps.steps.last().map(|step| (steps.end, height(step)));
    let points = steps.steps.iter().map(|step| (step.0, height(step))).chain(last);
    let placed: Vec<_> = points.filter_map(|point| frame::position(panel, point)).collect();
    step_line(&placed)
}
