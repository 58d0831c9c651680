//! Amounts that add up, in layers: bars for a run without axes, and else an area against the axis
//! for each QoS, side by side.

use super::axis::Axis;
use super::canvas::{Anchor, Area, Canvas, Fill, Point, Stroke, WIDTH};
use super::font::shorten;
use super::frame::{self, DROP, FOOT, Key, LEADING, MARGIN, Panel, SMALL, STRONG};
use super::{Chart, Words, palette};

const HEIGHT: f64 = 250.0;
const ROW: f64 = 40.0;
const THICK: f64 = 26.0;
/// So many panels stand side by side.
const ACROSS: usize = 3;

/// Stacks that share their layers and their scale.
#[derive(Clone, Debug)]
pub struct Stacks {
    /// The layers from below, or from the left.
    pub layers: Vec<Layer>,
    /// What is stacked on: `None` for bars.
    pub x: Option<Axis>,
    /// The amounts.
    pub amount: Axis,
    /// One bar or one panel each.
    pub groups: Vec<Group>,
}

/// One layer.
#[derive(Clone, Debug)]
pub struct Layer {
    /// Its name in the legend.
    pub name: String,
    /// Its colour.
    pub colour: &'static str,
    /// Whether it has the lighter tint and the hatch, which stand for what is sent again.
    pub again: bool,
}

/// One QoS or point.
#[derive(Clone, Debug)]
pub struct Group {
    /// Its name.
    pub label: String,
    /// Places on the horizontal axis, 0 for bars, and the amount of each layer there.
    pub columns: Vec<(f64, Vec<f64>)>,
    /// The sum in words, behind a bar.
    pub text: String,
}

/// The chart of some stacks.
#[must_use]
pub fn draw(words: Words, stacks: &Stacks) -> Chart {
    let keys: Vec<_> =
        stacks.layers.iter().map(|layer| (Key::Fill(fill(layer)), layer.name.clone())).collect();
    let rows = stacks.groups.len();
    let body = match stacks.x {
        None => float(rows) * ROW + FOOT + 12.0,
        Some(_) => float(rows.div_ceil(ACROSS)) * (HEIGHT + 30.0 + FOOT),
    };
    let note = LEADING + 4.0;
    let (mut canvas, top) = frame::begin(&words, frame::legend_height(&keys) + note + body);
    let top = frame::legend(&mut canvas, top, &keys);
    let title = &stacks.amount.title;
    canvas.text((MARGIN, top + 16.0), Anchor::Start, STRONG, title);
    match &stacks.x {
        None => bars(&mut canvas, top + note + 8.0, stacks),
        Some(x) => areas(&mut canvas, top + note, stacks, x),
    }
    let svg = canvas.finish(&words);
    words.chart(svg)
}

const fn fill(layer: &Layer) -> Fill {
    let opacity = if layer.again { palette::TINT } else { 1.0 };
    Fill { colour: layer.colour, opacity }
}

/// The ends of each layer: sums of all amounts up to it, with those of nothing below zero.
fn ends(amounts: &[f64]) -> Vec<f64> {
    let mut sum = 0.0;
    let sums = amounts.iter().map(|amount| {
        sum += amount.max(0.0);
        sum
    });
    std::iter::once(0.0).chain(sums).collect()
}

fn bars(canvas: &mut Canvas, top: f64, stacks: &Stacks) {
    let widest = |of: fn(&Group) -> &str| {
        let shown = stacks.groups.iter().map(|group| SMALL.width(of(group)).min(200.0));
        shown.fold(0.0, f64::max)
    };
    let area = Area {
        left: MARGIN + widest(|group| &group.label) + 10.0,
        top,
        right: WIDTH - MARGIN - widest(|group| &group.text) - 12.0,
        bottom: top + float(stacks.groups.len()) * ROW,
    };
    frame::horizontal(canvas, area, &stacks.amount.clone().untitled());
    for (nth, group) in stacks.groups.iter().enumerate() {
        let middle = top + (float(nth) + 0.5) * ROW;
        let label = shorten(&group.label, SMALL.size, SMALL.weight, 200.0);
        canvas.text((area.left - 8.0, middle + DROP), Anchor::End, SMALL, &label);
        canvas.text((area.right + 10.0, middle + DROP), Anchor::Start, SMALL, &group.text);
        let Some((_, amounts)) = group.columns.first() else { continue };
        for (layer, pair) in stacks.layers.iter().zip(ends(amounts).windows(2)) {
            let across = |end: f64| stacks.amount.place(end).map(|share| area.at(share, 0.0).0);
            let Some((left, right)) = across(pair[0]).zip(across(pair[1])) else { continue };
            let (top, bottom) = (middle - THICK / 2.0, middle + THICK / 2.0);
            let bar = Area { left, top, right, bottom };
            if right - left > 0.05 {
                canvas.rectangle(bar, fill(layer));
                if layer.again {
                    canvas.hatch(bar, Stroke::of(layer.colour, 0.75));
                }
            }
        }
    }
}

fn areas(canvas: &mut Canvas, top: f64, stacks: &Stacks, x: &Axis) {
    let width = (WIDTH - MARGIN) / float(stacks.groups.len().clamp(1, ACROSS));
    for (nth, group) in stacks.groups.iter().enumerate() {
        let left = MARGIN + float(nth % ACROSS) * width;
        let top = top + float(nth / ACROSS) * (HEIGHT + 30.0 + FOOT) + 30.0;
        let area = Area {
            left: left + frame::gutter(&stacks.amount),
            top,
            right: left + width - MARGIN,
            bottom: top + HEIGHT,
        };
        let panel = Panel { area, x, y: &stacks.amount };
        panel.draw(canvas, area.left, (SMALL, &group.label));
        let ends: Vec<_> = group.columns.iter().map(|(x, it)| (*x, ends(it))).collect();
        for (nth, layer) in stacks.layers.iter().enumerate() {
            let edge = |end: usize| ends.iter().filter_map(move |(x, it)| panel.place(*x, it[end]));
            let (lower, upper): (Vec<Point>, Vec<Point>) =
                (edge(nth).collect(), edge(nth + 1).collect());
            let corners: Vec<Point> =
                upper.iter().copied().chain(lower.into_iter().rev()).collect();
            canvas.polygon(&corners, fill(layer));
            if layer.again {
                canvas.path(&upper, Stroke { colour: layer.colour, width: 1.0, dash: "2 2" });
            }
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a few rows")]
const fn float(count: usize) -> f64 {
    count as f64
}
