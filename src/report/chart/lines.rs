//! Lines against an axis, one for each QoS, in one panel or several side by side.

use super::axis::Axis;
use super::canvas::{Anchor, Area, Canvas, Fill, Mark, Point, Stroke, WIDTH};
use super::frame::{self, DROP, FOOT, MARGIN, Panel, SMALL, STRONG};
use super::{Chart, Words, palette};
use crate::base::qos::QoS;

const HEIGHT: f64 = 270.0;
/// Between the middles of two labels.
const GAP: f64 = 15.0;
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
    pub theory: Vec<Point>,
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
    let (mut canvas, top) = frame::begin(&words, HEIGHT + 26.0 + FOOT);
    let width = (WIDTH - MARGIN) / float(panels.len().max(1));
    for (nth, lines) in panels.iter().enumerate() {
        let left = MARGIN + float(nth) * width;
        let labels = lines.lines.iter().map(|line| SMALL.width(&end_label(line)));
        let area = Area {
            left: left + frame::gutter(&lines.y),
            top: top + 26.0,
            right: left + width - labels.fold(0.0, f64::max) - 22.0,
            bottom: top + 26.0 + HEIGHT,
        };
        let panel = Panel { area, x: &lines.x, y: &lines.y };
        panel.draw(&mut canvas, left, (STRONG, &lines.y.title));
        fill(&mut canvas, &panel, &lines.lines);
    }
    let svg = canvas.finish(&words);
    words.chart(svg)
}

#[expect(clippy::cast_precision_loss, reason = "a few panels")]
const fn float(count: usize) -> f64 {
    count as f64
}

fn end_label(line: &Line) -> String {
    match line.points.last().map(|last| last.y) {
        Some(Measured::Never) => format!("{}: never", line.label),
        _ => line.label.clone(),
    }
}

/// The mark of a QoS's points.
pub(super) const fn mark_of(qos: QoS) -> Mark {
    match qos {
        QoS::AtMostOnce => Mark::Dot,
        QoS::AtLeastOnce => Mark::Square,
        QoS::ExactlyOnce => Mark::Triangle,
    }
}

/// Bands lie lowest, then theory, then lines, so that no line is hidden; whole lines come before
/// broken ones for the same reason.
fn fill(canvas: &mut Canvas, panel: &Panel<'_>, lines: &[Line]) {
    for line in lines {
        for run in runs(&line.points) {
            band(canvas, panel, line.qos, run);
        }
    }
    for line in lines {
        let theory = line.theory.iter().filter_map(|(x, y)| panel.place(*x, *y));
        let theory: Vec<Point> = theory.collect();
        canvas.path(&theory, Stroke::of(palette::FAINT, 1.0));
    }
    let mut ends = Vec::new();
    for line in lines.iter().rev() {
        ends.push(draw_line(canvas, panel, line));
    }
    ends.reverse();
    label(canvas, panel, lines, &ends);
}

/// The stretches of points that have a value.
fn runs(points: &[Sample]) -> impl Iterator<Item = &[Sample]> {
    points.split(|point| point.y.value().is_none()).filter(|run| !run.is_empty())
}

fn band(canvas: &mut Canvas, panel: &Panel<'_>, qos: QoS, run: &[Sample]) {
    let end = |of: fn((f64, f64)) -> f64| {
        let ends = run.iter().filter_map(move |point| Some((point.x, of(point.band?))));
        ends.filter_map(|(x, y)| panel.place(x, panel.y.clamp(y)))
    };
    let upper: Vec<Point> = end(|band| band.1).collect();
    let lower: Vec<Point> = end(|band| band.0).collect();
    let corners: Vec<Point> = upper.into_iter().chain(lower.into_iter().rev()).collect();
    canvas.polygon(&corners, Fill { colour: palette::qos(qos), opacity: palette::BAND });
}

/// Draws a line and returns where it ends; `None` if it is nowhere.
fn draw_line(canvas: &mut Canvas, panel: &Panel<'_>, line: &Line) -> Option<Point> {
    let colour = palette::qos(line.qos);
    let stroke = Stroke { colour, width: 2.0, dash: palette::dash(line.qos) };
    let mut end = None;
    for run in runs(&line.points) {
        let placed = run.iter().filter_map(|point| panel.place(point.x, point.y.value()?));
        let placed: Vec<Point> = placed.collect();
        let path = if line.stairs { stairs(&placed) } else { placed.clone() };
        canvas.path(&path, stroke);
        if !line.stairs && (placed.len() <= MOST_MARKS || placed.len() == 1) {
            for point in &placed {
                canvas.mark(*point, mark_of(line.qos), colour);
            }
        }
        end = placed.last().copied().or(end);
    }
    for pair in line.points.windows(2) {
        if let (Some(y), Measured::Never) = (pair[0].y.value(), pair[1].y)
            && let (Some(from), Some(across)) =
                (panel.place(pair[0].x, y), panel.x.place(pair[1].x))
        {
            let to = (f64::midpoint(from.0, panel.area.at(across, 0.0).0), panel.area.top);
            arrow(canvas, from, to, colour);
        }
    }
    match line.points.last().map(|last| last.y) {
        Some(Measured::Never) => Some((panel.area.right, panel.area.top)),
        _ => end,
    }
}

/// From a last finite value towards never.
fn arrow(canvas: &mut Canvas, from: Point, to: Point, colour: &'static str) {
    canvas.line(from, to, Stroke { colour, width: 1.5, dash: "1 3" });
    canvas.mark((to.0, to.1 + 3.0), Mark::Triangle, colour);
}

/// The corners of a line that stays level up to each next point.
fn stairs(points: &[Point]) -> Vec<Point> {
    let mut corners = Vec::with_capacity(points.len() * 2);
    for (nth, point) in points.iter().enumerate() {
        if nth > 0 {
            corners.push((point.0, points[nth - 1].1));
        }
        corners.push(*point);
    }
    corners
}

/// Names the lines at their ends, apart from each other, each joined to its end by a thin line.
fn label(canvas: &mut Canvas, panel: &Panel<'_>, lines: &[Line], ends: &[Option<Point>]) {
    let Area { top, right, bottom, .. } = panel.area;
    let wishes: Vec<f64> = ends.iter().map(|end| end.map_or(bottom, |(_, y)| y)).collect();
    let heights = frame::apart(&wishes, GAP, top + 2.0, bottom);
    for ((line, end), height) in lines.iter().zip(ends).zip(heights) {
        let colour = palette::qos(line.qos);
        if let Some(end) = end {
            canvas.line(*end, (right + 6.0, end.1), Stroke::of(colour, 0.75));
            canvas.line((right + 6.0, end.1), (right + 14.0, height), Stroke::of(colour, 0.75));
        }
        canvas.text((right + 17.0, height + DROP), Anchor::Start, SMALL, &end_label(line));
    }
}
