//! Lines against an axis, one for each QoS, in one panel or several side by side.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};
use plotters_backend::BackendCoord;

use super::axis::{Axis, Place};
use super::elements::{Dashed, mark, stairs, triangle};
use super::frame::{self, Drawn, FOOT, Panel, Paper, SMALL, STRONG};
use super::{Chart, Words, palette};
use qoslab_core::base::qos::QoS;

const HEIGHT: i32 = 2_700;
/// Above a panel, for its title.
const HEAD: i32 = 260;
/// Between the middles of two labels.
const GAP: i32 = 150;
/// With more points than this, a line is told by itself and needs no marks.
const MOST_MARKS: usize = 40;

/// One panel.
#[derive(Clone, Debug)]
pub struct Lines {
    /// The horizontal axis.
    pub x: Axis,
    /// The vertical axis; its title stands above the panel.
    pub y: Axis,
    /// The lines.
    pub lines: Vec<Line>,
}

/// One line.
#[derive(Clone, Debug)]
pub struct Line {
    /// What stands at its end.
    pub label: String,
    /// By which it has its colour, dashes and marks.
    pub qos: QoS,
    /// What was measured, from left to right.
    pub points: Vec<Sample>,
    /// What theory says, from left to right; empty without a closed form.
    pub theory: Vec<(f64, f64)>,
    /// Whether it stays level from each point to the next, as a distribution does; then it has no
    /// marks.
    pub stairs: bool,
}

/// One measured value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// Where on the horizontal axis.
    pub x: f64,
    /// The value.
    pub y: Measured,
    /// Its 95 % interval.
    pub band: Option<(f64, f64)>,
}

/// What was measured at one place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Measured {
    /// This.
    Value(f64),
    /// It takes for ever.
    Never,
    /// Nothing was measured.
    Nothing,
}

impl Measured {
    /// The value, if there is one.
    #[must_use]
    pub const fn value(self) -> Option<f64> {
        match self {
            Self::Value(value) => Some(value),
            Self::Never | Self::Nothing => None,
        }
    }
}

/// The chart of some panels, side by side.
#[must_use]
pub fn draw(words: Words, panels: &[Lines]) -> Chart {
    frame::chart(words, &[], HEAD + HEIGHT + FOOT, |paper| {
        let parts = paper.split_evenly((1, panels.len()));
        panels.iter().zip(parts).try_for_each(|(lines, part)| draw_panel(&part, lines))
    })
}

fn draw_panel(part: &Paper, lines: &Lines) -> Drawn {
    let right = SMALL.widest(lines.lines.iter().map(end_label)) + 220;
    let panel =
        frame::panel(&part.margin(HEAD, FOOT, frame::gutter(&lines.y), right), &lines.x, &lines.y);
    let title = STRONG.shorten(&lines.y.title, frame::size(part).0 - right);
    part.draw_text(&title, &STRONG.at(HPos::Left, VPos::Bottom), (0, HEAD - 100))?;
    frame::vertical(&panel, usize::MAX)?;
    frame::horizontal(&panel)?;
    fill(&panel, &lines.lines)
}

fn end_label(line: &Line) -> String {
    match line.points.last().map(|last| last.y) {
        Some(Measured::Never) => format!("{}: never", line.label),
        _ => line.label.clone(),
    }
}

/// Bands lie lowest, then theory, then lines, so that no line is hidden; whole lines come before
/// broken ones for the same reason.
fn fill(panel: &Panel, lines: &[Line]) -> Drawn {
    for line in lines {
        for run in runs(&line.points) {
            band(panel, line.qos, run)?;
        }
    }
    for line in lines {
        let theory: Vec<_> = line.theory.iter().filter_map(|it| frame::place(panel, *it)).collect();
        panel.draw(&PathElement::new(theory, frame::thin(palette::FAINT)))?;
    }
    for line in lines.iter().rev() {
        draw_line(panel, line)?;
    }
    label(panel, lines)
}

/// The stretches of points that have a value.
fn runs(points: &[Sample]) -> impl Iterator<Item = &[Sample]> {
    points.split(|point| point.y.value().is_none()).filter(|run| !run.is_empty())
}

fn band(panel: &Panel, qos: QoS, run: &[Sample]) -> Drawn {
    let axes = panel.as_coord_spec();
    let end = |of: fn((f64, f64)) -> f64| {
        run.iter().filter_map(move |point| {
            Some((axes.x_spec().place(point.x)?, axes.y_spec().nearest(of(point.band?))?))
        })
    };
    let lower: Vec<_> = end(|band| band.0).collect();
    let corners: Vec<_> = end(|band| band.1).chain(lower.into_iter().rev()).collect();
    panel.draw(&Polygon::new(corners, palette::qos(qos).mix(palette::BAND)))
}

/// The points of a run that have a place.
fn placed(panel: &Panel, run: &[Sample]) -> Vec<(Place, Place)> {
    run.iter().filter_map(|point| frame::place(panel, (point.x, point.y.value()?))).collect()
}

fn draw_line(panel: &Panel, line: &Line) -> Drawn {
    let colour = palette::qos(line.qos);
    for run in runs(&line.points) {
        let placed = placed(panel, run);
        let corners = if line.stairs { stairs(&placed) } else { placed.clone() };
        let style = colour.stroke_width(20);
        panel.draw(&Dashed(palette::dash(line.qos), corners, style))?;
        if !line.stairs && placed.len() <= MOST_MARKS {
            placed.iter().try_for_each(|point| panel.draw(&mark(line.qos, *point)))?;
        }
    }
    for pair in line.points.windows(2) {
        if let (Some(y), Measured::Never) = (pair[0].y.value(), pair[1].y)
            && let Some(from) = frame::place(panel, (pair[0].x, y))
            && let Some(next) = panel.as_coord_spec().x_spec().place(pair[1].x)
        {
            arrow(panel, from, next, line.qos)?;
        }
    }
    Ok(())
}

/// From a last finite value towards never, which is half the way to the next place.
fn arrow(panel: &Panel, from: (Place, Place), next: Place, qos: QoS) -> Drawn {
    let (colour, paper) = (palette::qos(qos), panel.use_screen_coord());
    let from = panel.map_coordinate(&from);
    let (x, top) = panel.map_coordinate(&(next, panel.get_y_range().end));
    let tip = (i32::midpoint(from.0, x), top);
    paper.draw(&Dashed("1 3", vec![from, tip], colour.stroke_width(15)))?;
    paper.draw(&triangle((tip.0, top + 30), colour))
}

/// Where a line ends; `None` if it is nowhere.
fn end(panel: &Panel, line: &Line) -> Option<BackendCoord> {
    let place = match line.points.last()?.y {
        Measured::Never => (panel.get_x_range().end, panel.get_y_range().end),
        _ => *placed(panel, &line.points).last()?,
    };
    Some(panel.map_coordinate(&place))
}

/// Names the lines at their ends, apart from each other, each joined to its end by a thin line.
fn label(panel: &Panel, lines: &[Line]) -> Drawn {
    let (across, down) = panel.get_pixel_range();
    let paper = panel.use_screen_coord();
    let ends: Vec<_> = lines.iter().map(|line| end(panel, line)).collect();
    let wishes: Vec<i32> = ends.iter().map(|end| end.map_or(down.end, |(_, y)| y)).collect();
    let heights = frame::apart(&wishes, GAP, down.start + 20, down.end);
    for ((line, end), height) in lines.iter().zip(ends).zip(heights) {
        let beside = || EmptyElement::at((across.end, height));
        if let Some((x, y)) = end {
            let corners = [(x - across.end, y - height), (60, y - height), (140, 0)];
            let thin = palette::qos(line.qos).stroke_width(8);
            paper.draw(&(beside() + PathElement::new(corners, thin)))?;
        }
        let name = Text::new(end_label(line), (170, 0), SMALL.at(HPos::Left, VPos::Center));
        paper.draw(&(beside() + name))?;
    }
    Ok(())
}
