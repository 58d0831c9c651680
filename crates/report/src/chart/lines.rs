//! Lines against an axis, one for each QoS, in one panel or several side by side.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};
use plotters_backend::BackendCoord;

use super::axis::{AxisPosition, ChartAxis};
use super::frame::{self, AXIS_HEIGHT, BOLD, Canvas, DrawResult, Panel, SMALL};
use super::shapes::{Dashed, point_marker, step_line, triangle};
use super::{Chart, ChartText, palette};
use qoslab_core::base::QoS;

const HEIGHT: i32 = 2_700;
/// The height above a panel, for its title.
const TITLE_HEIGHT: i32 = 260;
/// The distance between the middles of two labels.
const LABEL_SPACING: i32 = 150;
/// With more points than this, a line is recognisable without marks.
const MAX_MARKED_POINTS: usize = 40;

/// One panel.
#[derive(Clone, Debug)]
pub(crate) struct LinePanel {
    /// The horizontal axis.
    pub x: ChartAxis,
    /// The vertical axis; its title stands above the panel.
    pub y: ChartAxis,
    /// The lines.
    pub lines: Vec<ChartLine>,
}

/// One line.
#[derive(Clone, Debug)]
pub(crate) struct ChartLine {
    /// The label at its end.
    pub label: String,
    /// The QoS that decides its colour, dashes and marks.
    pub qos: QoS,
    /// The measured values, from left to right.
    pub points: Vec<LinePoint>,
    /// The theoretical values, from left to right; empty without a closed form.
    pub theory: Vec<(f64, f64)>,
    /// Whether it stays level from each point to the next, as a distribution does; then it has no
    /// marks.
    pub is_step_line: bool,
}

/// One measured value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct LinePoint {
    /// The position on the horizontal axis.
    pub x: f64,
    /// The value.
    pub y: PlotValue,
    /// Its 95 % interval.
    pub band: Option<(f64, f64)>,
}

/// The measured value at one position.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum PlotValue {
    /// A finite value.
    Value(f64),
    /// Infinite time: never.
    Never,
    /// Nothing was measured.
    Missing,
}

impl PlotValue {
    /// The value, if there is one.
    #[must_use]
    pub(crate) const fn value(self) -> Option<f64> {
        match self {
            Self::Value(value) => Some(value),
            Self::Never | Self::Missing => None,
        }
    }
}

/// The chart of some panels, side by side.
#[must_use]
pub(crate) fn draw(words: ChartText, panels: &[LinePanel]) -> Chart {
    frame::chart(words, &[], TITLE_HEIGHT + HEIGHT + AXIS_HEIGHT, |canvas| {
        let parts = canvas.split_evenly((1, panels.len()));
        panels.iter().zip(parts).try_for_each(|(lines, part)| draw_panel(&part, lines))
    })
}

fn draw_panel(part: &Canvas, lines: &LinePanel) -> DrawResult {
    let right = SMALL.widest(lines.lines.iter().map(end_label)) + 220;
    let panel = frame::panel(
        &part.margin(TITLE_HEIGHT, AXIS_HEIGHT, frame::gutter(&lines.y), right),
        &lines.x,
        &lines.y,
    );
    let title = BOLD.shorten(&lines.y.title, frame::size(part).0 - right);
    part.draw_text(&title, &BOLD.to_text_style(HPos::Left, VPos::Bottom), (0, TITLE_HEIGHT - 100))?;
    frame::draw_y_axis(&panel, usize::MAX)?;
    frame::draw_x_axis(&panel)?;
    draw_lines(&panel, &lines.lines)
}

fn end_label(line: &ChartLine) -> String {
    match line.points.last().map(|last| last.y) {
        Some(PlotValue::Never) => format!("{}: never", line.label),
        _ => line.label.clone(),
    }
}

/// Bands lie lowest, then theory, then lines, so that no line is hidden; whole lines come before
/// broken ones for the same reason.
fn draw_lines(panel: &Panel, lines: &[ChartLine]) -> DrawResult {
    for line in lines {
        for run in measured_runs(&line.points) {
            draw_band(panel, line.qos, run)?;
        }
    }
    for line in lines {
        let theory: Vec<_> =
            line.theory.iter().filter_map(|it| frame::position(panel, *it)).collect();
        panel.draw(&PathElement::new(theory, frame::hairline(palette::MUTED)))?;
    }
    for line in lines.iter().rev() {
        draw_line(panel, line)?;
    }
    draw_labels(panel, lines)
}

/// The stretches of points that have a value.
fn measured_runs(points: &[LinePoint]) -> impl Iterator<Item = &[LinePoint]> {
    points.split(|point| point.y.value().is_none()).filter(|run| !run.is_empty())
}

fn draw_band(panel: &Panel, qos: QoS, run: &[LinePoint]) -> DrawResult {
    let axes = panel.as_coord_spec();
    let end = |of: fn((f64, f64)) -> f64| {
        run.iter().filter_map(move |point| {
            Some((
                axes.x_spec().position(point.x)?,
                axes.y_spec().clamped_position(of(point.band?))?,
            ))
        })
    };
    let lower: Vec<_> = end(|band| band.0).collect();
    let corners: Vec<_> = end(|band| band.1).chain(lower.into_iter().rev()).collect();
    panel.draw(&Polygon::new(corners, palette::qos(qos).mix(palette::BAND)))
}

/// The points of a run that have a place.
fn positions(panel: &Panel, run: &[LinePoint]) -> Vec<(AxisPosition, AxisPosition)> {
    run.iter().filter_map(|point| frame::position(panel, (point.x, point.y.value()?))).collect()
}

fn draw_line(panel: &Panel, line: &ChartLine) -> DrawResult {
    let colour = palette::qos(line.qos);
    for run in measured_runs(&line.points) {
        let placed = positions(panel, run);
        let corners = if line.is_step_line { step_line(&placed) } else { placed.clone() };
        let style = colour.stroke_width(20);
        panel.draw(&Dashed(palette::dash(line.qos), corners, style))?;
        if !line.is_step_line && placed.len() <= MAX_MARKED_POINTS {
            placed.iter().try_for_each(|point| panel.draw(&point_marker(line.qos, *point)))?;
        }
    }
    for pair in line.points.windows(2) {
        if let (Some(y), PlotValue::Never) = (pair[0].y.value(), pair[1].y)
            && let Some(from) = frame::position(panel, (pair[0].x, y))
            && let Some(next) = panel.as_coord_spec().x_spec().position(pair[1].x)
        {
            draw_never_arrow(panel, from, next, line.qos)?;
        }
    }
    Ok(())
}

/// The segment from the last finite value towards never, which ends half way to the next position.
fn draw_never_arrow(
    panel: &Panel,
    from: (AxisPosition, AxisPosition),
    next: AxisPosition,
    qos: QoS,
) -> DrawResult {
    let (colour, canvas) = (palette::qos(qos), panel.use_screen_coord());
    let from = panel.map_coordinate(&from);
    let (x, top) = panel.map_coordinate(&(next, panel.get_y_range().end));
    let tip = (i32::midpoint(from.0, x), top);
    canvas.draw(&Dashed("1 3", vec![from, tip], colour.stroke_width(15)))?;
    canvas.draw(&triangle((tip.0, top + 30), colour))
}

/// The end of a line; `None` if it has no points.
fn line_end(panel: &Panel, line: &ChartLine) -> Option<BackendCoord> {
    let place = match line.points.last()?.y {
        PlotValue::Never => (panel.get_x_range().end, panel.get_y_range().end),
        _ => *positions(panel, &line.points).last()?,
    };
    Some(panel.map_coordinate(&place))
}

/// Names the lines at their ends, apart from each other, each joined to its end by a thin line.
fn draw_labels(panel: &Panel, lines: &[ChartLine]) -> DrawResult {
    let (across, down) = panel.get_pixel_range();
    let canvas = panel.use_screen_coord();
    let ends: Vec<_> = lines.iter().map(|line| line_end(panel, line)).collect();
    let wanted_heights: Vec<i32> =
        ends.iter().map(|end| end.map_or(down.end, |(_, y)| y)).collect();
    let heights = frame::spread_labels(&wanted_heights, LABEL_SPACING, down.start + 20, down.end);
    for ((line, end), height) in lines.iter().zip(ends).zip(heights) {
        let beside = || EmptyElement::at((across.end, height));
        if let Some((x, y)) = end {
            let corners = [(x - across.end, y - height), (60, y - height), (140, 0)];
            let thin = palette::qos(line.qos).stroke_width(8);
            canvas.draw(&(beside() + PathElement::new(corners, thin)))?;
        }
        let name =
            Text::new(end_label(line), (170, 0), SMALL.to_text_style(HPos::Left, VPos::Center));
        canvas.draw(&(beside() + name))?;
    }
    Ok(())
}
