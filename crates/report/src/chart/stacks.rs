//! Amounts that add up, in layers: bars for a run without axes, and else an area against the axis
//! for each QoS, side by side.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

use super::axis::ChartAxis;
use super::frame::{
    self, AXIS_HEIGHT, BOLD, Canvas, DrawResult, LEADING, LegendKey, MARGIN, SMALL, scaled_length,
};
use super::shapes::{Dashed, HatchPattern};
use super::{Chart, ChartText, palette};

const HEIGHT: i32 = 2_500;
/// The height above an area, for its name.
const TITLE_HEIGHT: i32 = 300;
const ROW_HEIGHT: i32 = 400;
const BAR_HEIGHT: i32 = 260;
/// The widest name of a bar.
const MAX_NAME_WIDTH: i32 = 2_000;
/// The number of panels side by side.
const PANELS_PER_ROW: usize = 3;

/// Stacks that share their layers and their scale.
#[derive(Clone, Debug)]
pub(crate) struct Stacks {
    /// The layers from below, or from the left.
    pub layers: Vec<Layer>,
    /// The axis of the areas: `None` for bars.
    pub x: Option<ChartAxis>,
    /// The amounts.
    pub amount: ChartAxis,
    /// One bar or one panel each.
    pub groups: Vec<StackGroup>,
}

/// One layer.
#[derive(Clone, Debug)]
pub(crate) struct Layer {
    /// Its name in the legend.
    pub name: String,
    /// Its colour.
    pub colour: RGBColor,
    /// Whether it has the lighter tint and the hatch, which stand for what is sent again.
    pub is_resend: bool,
}

/// One QoS or point.
#[derive(Clone, Debug)]
pub(crate) struct StackGroup {
    /// Its name.
    pub label: String,
    /// Places on the horizontal axis, 0 for bars, and the amount of each layer there.
    pub columns: Vec<(f64, Vec<f64>)>,
    /// The sum in words, behind a bar.
    pub text: String,
}

/// The chart of some stacks.
#[must_use]
pub(crate) fn draw(words: ChartText, stacks: &Stacks) -> Chart {
    let layers = stacks.layers.iter();
    let keys: Vec<_> =
        layers.map(|it| (LegendKey::Fill(layer_fill(it)), it.name.clone())).collect();
    let count = stacks.groups.len();
    let title = LEADING + 40;
    let body = match stacks.x {
        None => 80 + scaled_length(count, ROW_HEIGHT) + AXIS_HEIGHT,
        Some(_) => {
            scaled_length(count.div_ceil(PANELS_PER_ROW), TITLE_HEIGHT + HEIGHT + AXIS_HEIGHT)
        }
    };
    frame::chart(words, &keys, title + body, |paper| {
        let style = BOLD.to_text_style(HPos::Left, VPos::Bottom);
        paper.draw_text(&stacks.amount.title, &style, (0, 160))?;
        let rest = paper.margin(title, 0, 0, 0);
        match &stacks.x {
            None => draw_bars(&rest, stacks),
            Some(x) => draw_areas(&rest, stacks, x),
        }
    })
}

fn layer_fill(layer: &Layer) -> ShapeStyle {
    layer.colour.mix(if layer.is_resend { palette::TINT } else { 1.0 }).filled()
}

/// The ends of each layer: sums of all amounts up to it, with those of nothing below zero.
fn layer_ends(amounts: &[f64]) -> Vec<f64> {
    let mut sum = 0.0;
    let sums = amounts.iter().map(|amount| {
        sum += amount.max(0.0);
        sum
    });
    std::iter::once(0.0).chain(sums).collect()
}

fn draw_bars(canvas: &Canvas, stacks: &Stacks) -> DrawResult {
    let names: Vec<_> =
        stacks.groups.iter().map(|group| SMALL.shorten(&group.label, MAX_NAME_WIDTH)).collect();
    let left = SMALL.widest(&names) + 100;
    let right = SMALL.widest(stacks.groups.iter().map(|group| &group.text)) + 120 + MARGIN;
    let amount = stacks.amount.clone().untitled();
    let panel = frame::row_panel(&canvas.margin(80, AXIS_HEIGHT, left, right), &amount);
    frame::draw_x_axis(&panel)?;
    let middles = (0..).map(|nth| nth * ROW_HEIGHT + ROW_HEIGHT / 2);
    for ((group, name), middle) in stacks.groups.iter().zip(names).zip(middles) {
        frame::row_texts(&panel, middle, &name, &group.text)?;
        let Some((_, amounts)) = group.columns.first() else { continue };
        for (layer, pair) in stacks.layers.iter().zip(layer_ends(amounts).windows(2)) {
            let (Some(left), Some(right)) = (amount.position(pair[0]), amount.position(pair[1]))
            else {
                continue;
            };
            let bar = [(left, middle - BAR_HEIGHT / 2), (right, middle + BAR_HEIGHT / 2)];
            panel.draw(&Rectangle::new(bar, layer_fill(layer)))?;
            if layer.is_resend {
                panel.draw(&HatchPattern(bar, layer.colour.stroke_width(8)))?;
            }
        }
    }
    Ok(())
}

fn draw_areas(canvas: &Canvas, stacks: &Stacks, x: &ChartAxis) -> DrawResult {
    let count = stacks.groups.len();
    let parts = canvas.split_evenly((count.div_ceil(PANELS_PER_ROW), count.min(PANELS_PER_ROW)));
    for (group, part) in stacks.groups.iter().zip(parts) {
        let area = part.margin(TITLE_HEIGHT, AXIS_HEIGHT, frame::gutter(&stacks.amount), MARGIN);
        let panel = frame::panel(&area, x, &stacks.amount);
        let name = SMALL.shorten(&group.label, frame::size(&area).0);
        area.draw_text(&name, &SMALL.to_text_style(HPos::Left, VPos::Bottom), (0, -100))?;
        frame::draw_y_axis(&panel, usize::MAX)?;
        frame::draw_x_axis(&panel)?;
        let ends: Vec<_> = group.columns.iter().map(|(x, it)| (*x, layer_ends(it))).collect();
        for (nth, layer) in stacks.layers.iter().enumerate() {
            let edge =
                |end: usize| ends.iter().filter_map(move |(x, it)| Some((*x, *it.get(end)?)));
            let placed = |end| edge(end).filter_map(|point| frame::position(&panel, point));
            let upper: Vec<_> = placed(nth + 1).collect();
            let lower: Vec<_> = placed(nth).collect();
            let corners: Vec<_> = upper.iter().chain(lower.iter().rev()).copied().collect();
            panel.draw(&Polygon::new(corners, layer_fill(layer).color))?;
            // Where a layer has nothing, its edge would lie on another's.
            if layer.is_resend && upper != lower {
                panel.draw(&Dashed("2 2", upper, frame::hairline(layer.colour)))?;
            }
        }
    }
    Ok(())
}
