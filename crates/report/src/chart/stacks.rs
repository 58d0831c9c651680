//! Amounts that add up, in layers: bars for a run without axes, and else an area against the axis
//! for each QoS, side by side.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

use super::axis::Axis;
use super::elements::{Dashed, Hatch};
use super::frame::{self, Drawn, FOOT, Key, LEADING, MARGIN, Paper, SMALL, STRONG, times};
use super::{Chart, Words, palette};

const HEIGHT: i32 = 2_500;
/// Above an area, for its name.
const HEAD: i32 = 300;
const ROW: i32 = 400;
const THICK: i32 = 260;
/// The widest name of a bar.
const NAME: i32 = 2_000;
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
    pub colour: RGBColor,
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
    let layers = stacks.layers.iter();
    let keys: Vec<_> = layers.map(|it| (Key::Fill(fill(it)), it.name.clone())).collect();
    let count = stacks.groups.len();
    let title = LEADING + 40;
    let body = match stacks.x {
        None => 80 + times(count, ROW) + FOOT,
        Some(_) => times(count.div_ceil(ACROSS), HEAD + HEIGHT + FOOT),
    };
    frame::chart(words, &keys, title + body, |paper| {
        let style = STRONG.at(HPos::Left, VPos::Bottom);
        paper.draw_text(&stacks.amount.title, &style, (0, 160))?;
        let rest = paper.margin(title, 0, 0, 0);
        match &stacks.x {
            None => bars(&rest, stacks),
            Some(x) => areas(&rest, stacks, x),
        }
    })
}

fn fill(layer: &Layer) -> ShapeStyle {
    layer.colour.mix(if layer.again { palette::TINT } else { 1.0 }).filled()
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

fn bars(paper: &Paper, stacks: &Stacks) -> Drawn {
    let names: Vec<_> =
        stacks.groups.iter().map(|group| SMALL.shorten(&group.label, NAME)).collect();
    let left = SMALL.widest(&names) + 100;
    let right = SMALL.widest(stacks.groups.iter().map(|group| &group.text)) + 120 + MARGIN;
    let amount = stacks.amount.clone().untitled();
    let panel = frame::rows(&paper.margin(80, FOOT, left, right), &amount);
    frame::horizontal(&panel)?;
    let middles = (0..).map(|nth| nth * ROW + ROW / 2);
    for ((group, name), middle) in stacks.groups.iter().zip(names).zip(middles) {
        frame::row_texts(&panel, middle, &name, &group.text)?;
        let Some((_, amounts)) = group.columns.first() else { continue };
        for (layer, pair) in stacks.layers.iter().zip(ends(amounts).windows(2)) {
            let (Some(left), Some(right)) = (amount.place(pair[0]), amount.place(pair[1])) else {
                continue;
            };
            let bar = [(left, middle - THICK / 2), (right, middle + THICK / 2)];
            panel.draw(&Rectangle::new(bar, fill(layer)))?;
            if layer.again {
                panel.draw(&Hatch(bar, layer.colour.stroke_width(8)))?;
            }
        }
    }
    Ok(())
}

fn areas(paper: &Paper, stacks: &Stacks, x: &Axis) -> Drawn {
    let count = stacks.groups.len();
    let parts = paper.split_evenly((count.div_ceil(ACROSS), count.min(ACROSS)));
    for (group, part) in stacks.groups.iter().zip(parts) {
        let area = part.margin(HEAD, FOOT, frame::gutter(&stacks.amount), MARGIN);
        let panel = frame::panel(&area, x, &stacks.amount);
        let name = SMALL.shorten(&group.label, frame::size(&area).0);
        area.draw_text(&name, &SMALL.at(HPos::Left, VPos::Bottom), (0, -100))?;
        frame::vertical(&panel, usize::MAX)?;
        frame::horizontal(&panel)?;
        let ends: Vec<_> = group.columns.iter().map(|(x, it)| (*x, ends(it))).collect();
        for (nth, layer) in stacks.layers.iter().enumerate() {
            let edge =
                |end: usize| ends.iter().filter_map(move |(x, it)| Some((*x, *it.get(end)?)));
            let placed = |end| edge(end).filter_map(|point| frame::place(&panel, point));
            let upper: Vec<_> = placed(nth + 1).collect();
            let lower: Vec<_> = placed(nth).collect();
            let corners: Vec<_> = upper.iter().chain(lower.iter().rev()).copied().collect();
            panel.draw(&Polygon::new(corners, fill(layer).color))?;
            // Where a layer has nothing, its edge would lie on another's.
            if layer.again && upper != lower {
                panel.draw(&Dashed("2 2", upper, frame::thin(layer.colour)))?;
            }
        }
    }
    Ok(())
}
