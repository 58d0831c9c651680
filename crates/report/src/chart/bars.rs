//! Horizontal bars, one per QoS, in groups below each other: the results of a run without axes.

use plotters::coord::types::RangedCoordi32;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

use super::axis::ChartAxis;
use super::frame::{
    self, AXIS_HEIGHT, BOLD, Canvas, DrawResult, MARGIN, Panel, SMALL, scaled_length,
};
use super::lines::PlotValue;
use super::shapes::{Dashed, HatchPattern};
use super::{Chart, ChartText, palette};
use qoslab_core::base::QoS;

const ROW_HEIGHT: i32 = 340;
const BAR_HEIGHT: i32 = 200;
/// The height above a group, for its title.
const TITLE_HEIGHT: i32 = 260;

/// Bars on one axis.
#[derive(Clone, Debug)]
pub(crate) struct BarGroup {
    /// The title of the group.
    pub title: String,
    /// The axis.
    pub x: ChartAxis,
    /// The bars, from the top.
    pub bars: Vec<Bar>,
}

/// One bar.
#[derive(Clone, Debug)]
pub(crate) struct Bar {
    /// The label before it.
    pub label: String,
    /// The QoS that decides its colour.
    pub qos: QoS,
    /// Its length.
    pub value: PlotValue,
    /// The 95 % interval.
    pub band: Option<(f64, f64)>,
    /// The theoretical value, as a thin line.
    pub theory: Option<f64>,
    /// The number in words, behind it.
    pub text: String,
}

/// The chart of some groups.
#[must_use]
pub(crate) fn draw(words: ChartText, groups: &[BarGroup]) -> Chart {
    let height =
        |group: &BarGroup| TITLE_HEIGHT + scaled_length(group.bars.len(), ROW_HEIGHT) + AXIS_HEIGHT;
    frame::chart(words, &[], groups.iter().map(height).sum(), |paper| {
        let mut rest = paper.clone();
        for group in groups {
            let (part, below) = rest.split_vertically(height(group));
            draw_group(&part, group)?;
            rest = below;
        }
        Ok(())
    })
}

fn draw_group(part: &Canvas, group: &BarGroup) -> DrawResult {
    let title = BOLD.shorten(&group.title, frame::size(part).0 - MARGIN);
    part.draw_text(&title, &BOLD.to_text_style(HPos::Left, VPos::Bottom), (0, 140))?;
    let left = SMALL.widest(group.bars.iter().map(|bar| &bar.label)) + 100;
    let right = SMALL.widest(group.bars.iter().map(|bar| &bar.text)) + 120 + MARGIN;
    let panel = frame::row_panel(&part.margin(TITLE_HEIGHT, AXIS_HEIGHT, left, right), &group.x);
    frame::draw_x_axis(&panel)?;
    let middles = (0..).map(|nth| nth * ROW_HEIGHT + ROW_HEIGHT / 2);
    group.bars.iter().zip(middles).try_for_each(|(bar, middle)| draw_bar(&panel, middle, bar))
}

fn draw_bar(panel: &Panel<RangedCoordi32>, middle: i32, bar: &Bar) -> DrawResult {
    let (axis, ends) = (panel.as_coord_spec().x_spec(), panel.get_x_range());
    let colour = palette::qos(bar.qos);
    let (top, bottom) = (middle - BAR_HEIGHT / 2, middle + BAR_HEIGHT / 2);
    frame::row_texts(panel, middle, &bar.label, &bar.text)?;
    match bar.value {
        PlotValue::Value(value) => {
            if let Some(end) = axis.position(value) {
                let corners = [(ends.start, top), (end, bottom)];
                panel.draw(&Rectangle::new(corners, colour.filled()))?;
            }
        }
        PlotValue::Never => {
            let whole = [(ends.start, top), (ends.end, bottom)];
            panel.draw(&HatchPattern(whole, frame::hairline(colour)))?;
        }
        PlotValue::Missing => {}
    }
    if let Some((low, high)) = bar.band
        && let (Some(low), Some(high)) = (axis.clamped_position(low), axis.clamped_position(high))
    {
        let cap = |end| [(end, middle - 40), (end, middle + 40)];
        for line in [[(low, middle), (high, middle)], cap(low), cap(high)] {
            panel.draw(&PathElement::new(line, palette::INK.stroke_width(15)))?;
        }
    }
    if let Some(theory) = bar.theory.and_then(|theory| axis.position(theory)) {
        let line = vec![(theory, top - 40), (theory, bottom + 40)];
        panel.draw(&Dashed("3 2", line, palette::MUTED.stroke_width(15)))?;
    }
    Ok(())
}
