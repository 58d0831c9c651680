//! How something went over time, with what befell it shaded: panels below each other on one axis
//! of time.

use super::axis::{Axis, Kind, Range};
use super::canvas::{Anchor, Area, Canvas, Fill, Point, Stroke, WIDTH};
use super::frame::{self, FOOT, Key, MARGIN, Panel, SMALL, STRONG};
use super::{Chart, Words, palette};
use crate::base::qos::QoS;

const HEIGHT: f64 = 96.0;
const HEAD: f64 = 30.0;
/// What strikes at once is shown so wide.
const STRIKE: f64 = 2.0;

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
    let keys = keys(panels);
    let body = float(panels.len()) * (HEIGHT + HEAD) + FOOT;
    let (mut canvas, top) = frame::begin(&words, frame::legend_height(&keys) + body);
    let mut top = frame::legend(&mut canvas, top, &keys);
    let ends = panels.iter().map(|panel| panel.end);
    let x = Axis::covering("time", Kind::Seconds, Range::Tight, ends.chain([0.0]));
    let most = panels.iter().flat_map(|panel| &panel.steps).map(|step| step.1.max(step.2));
    let y = Axis::covering("messages", Kind::Plain, Range::FromZero, most.chain([0.0]));
    let left = MARGIN + frame::gutter(&y);
    for (nth, steps) in panels.iter().enumerate() {
        let is_last = nth + 1 == panels.len();
        let (upper, right) = (top + HEAD, WIDTH - 2.0 * MARGIN);
        let area = Area { left, top: upper, right, bottom: upper + HEIGHT };
        shade(&mut canvas, area, &x, steps);
        mesh(&mut canvas, &Panel { area, x: &x, y: &y }, is_last);
        canvas.text((MARGIN, area.top - 10.0), Anchor::Start, STRONG, &steps.title);
        fill(&mut canvas, &Panel { area, x: &x, y: &y }, steps);
        top = area.bottom;
    }
    let svg = canvas.finish(&words);
    words.chart(svg)
}

fn keys(panels: &[Steps]) -> Vec<(Key, String)> {
    let ink = palette::INK;
    let in_flight = Key::Fill(Fill { colour: palette::FAINT, opacity: 0.6 });
    let queued = Key::Line(Stroke { colour: ink, width: 1.5, dash: "3 2" });
    let mut keys = vec![
        (in_flight, "in flight (in the QoS's colour)".to_owned()),
        (queued, "queued".to_owned()),
    ];
    let mut words: Vec<&str> =
        panels.iter().flat_map(|panel| &panel.troubles).map(|trouble| &*trouble.2).collect();
    words.sort_unstable();
    words.dedup();
    if !words.is_empty() {
        keys.push((Key::Fill(SHADE), words.join(", ")));
    }
    keys
}

const SHADE: Fill = Fill { colour: palette::FAINT, opacity: 0.22 };

fn shade(canvas: &mut Canvas, area: Area, x: &Axis, steps: &Steps) {
    for (from, until, _) in &steps.troubles {
        let across = |time: f64| x.place(x.clamp(time)).map(|share| area.at(share, 0.0).0);
        let Some((left, right)) = across(*from).zip(across(*until)) else { continue };
        let right = right.max(left + STRIKE).min(area.right);
        canvas.rectangle(Area { left, right, ..area }, SHADE);
    }
}

/// The mesh; time is written below the last panel only.
fn mesh(canvas: &mut Canvas, panel: &Panel<'_>, with_time: bool) {
    let area = panel.area;
    for (up, text) in panel.y.ticks().step_by(2) {
        let (x, y) = area.at(0.0, up);
        canvas.line((x, y), (area.right, y), Stroke::of(palette::MESH, 1.0));
        canvas.text((x - 6.0, y + frame::DROP), Anchor::End, SMALL, &text);
    }
    if with_time {
        frame::horizontal(canvas, area, panel.x);
    } else {
        let (from, to) = ((area.left, area.bottom), (area.right, area.bottom));
        canvas.line(from, to, Stroke::of(palette::FAINT, 1.0));
    }
}

fn fill(canvas: &mut Canvas, panel: &Panel<'_>, steps: &Steps) {
    let line = |of: fn(&(f64, f64, f64)) -> f64| {
        let mut corners: Vec<Point> = Vec::new();
        for step in &steps.steps {
            let Some(place) = panel.place(step.0, of(step)) else { continue };
            if let Some(last) = corners.last() {
                corners.push((place.0, last.1));
            }
            corners.push(place);
        }
        let end = corners.last().and_then(|last| Some((panel.place(steps.end, 0.0)?.0, last.1)));
        corners.extend(end);
        corners
    };
    let in_flight = line(|step| step.1);
    let floor = panel.area.bottom;
    if let (Some(first), Some(last)) = (in_flight.first(), in_flight.last()) {
        let (from, to) = ((first.0, floor), (last.0, floor));
        let corners: Vec<_> =
            [from].into_iter().chain(in_flight.iter().copied()).chain([to]).collect();
        let colour = palette::qos(steps.qos);
        canvas.polygon(&corners, Fill { colour, opacity: 0.6 });
        canvas.path(&in_flight, Stroke::of(colour, 1.0));
    }
    if steps.steps.iter().any(|step| step.2 > 0.0) {
        let queued = Stroke { colour: palette::INK, width: 1.5, dash: "3 2" };
        canvas.path(&line(|step| step.2), queued);
    }
}

#[expect(clippy::cast_precision_loss, reason = "a few panels")]
const fn float(count: usize) -> f64 {
    count as f64
}
