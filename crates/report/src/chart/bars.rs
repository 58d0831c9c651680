//! Horizontal bars, one for each QoS, in groups below each other: what a run without axes found.

use plotters::coord::types::RangedCoordi32;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

use super::axis::Axis;
use super::elements::{Dashed, Hatch};
use super::frame::{self, Drawn, FOOT, MARGIN, Panel, Paper, SMALL, STRONG, times};
use super::lines::Measured;
use super::{Chart, Words, palette};
use qoslab_core::base::qos::QoS;

const ROW: i32 = 340;
const THICK: i32 = 200;
/// Above a group, for its title.
const HEAD: i32 = 260;

/// Bars on one axis.
#[derive(Clone, Debug)]
pub struct Bars {
    /// What the group shows.
    pub title: String,
    /// The axis.
    pub x: Axis,
    /// From above.
    pub bars: Vec<Bar>,
}

/// One bar.
#[derive(Clone, Debug)]
pub struct Bar {
    /// Before it.
    pub label: String,
    /// By which it has its colour.
    pub qos: QoS,
    /// How long it is.
    pub value: Measured,
    /// The 95 % interval.
    pub band: Option<(f64, f64)>,
    /// What theory says, as a thin line.
    pub theory: Option<f64>,
    /// The number in words, behind it.
    pub text: String,
}

/// The chart of some groups.
#[must_use]
pub fn draw(words: Words, groups: &[Bars]) -> Chart {
    let height = |group: &Bars| HEAD + times(group.bars.len(), ROW) + FOOT;
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

fn draw_group(part: &Paper, group: &Bars) -> Drawn {
    let title = STRONG.shorten(&group.title, frame::size(part).0 - MARGIN);
    part.draw_text(&title, &STRONG.at(HPos::Left, VPos::Bottom), (0, 140))?;
    let left = SMALL.widest(group.bars.iter().map(|bar| &bar.label)) + 100;
    let right = SMALL.widest(group.bars.iter().map(|bar| &bar.text)) + 120 + MARGIN;
    let panel = frame::rows(&part.margin(HEAD, FOOT, left, right), &group.x);
    frame::horizontal(&panel)?;
    let middles = (0..).map(|nth| nth * ROW + ROW / 2);
    group.bars.iter().zip(middles).try_for_each(|(bar, middle)| draw_bar(&panel, middle, bar))
}

fn draw_bar(panel: &Panel<RangedCoordi32>, middle: i32, bar: &Bar) -> Drawn {
    let (axis, ends) = (panel.as_coord_spec().x_spec(), panel.get_x_range());
    let colour = palette::qos(bar.qos);
    let (top, bottom) = (middle - THICK / 2, middle + THICK / 2);
    frame::row_texts(panel, middle, &bar.label, &bar.text)?;
    match bar.value {
        Measured::Value(value) => {
            if let Some(end) = axis.place(value) {
                let corners = [(ends.start, top), (end, bottom)];
                panel.draw(&Rectangle::new(corners, colour.filled()))?;
            }
        }
        Measured::Never => {
            let whole = [(ends.start, top), (ends.end, bottom)];
            panel.draw(&Hatch(whole, frame::thin(colour)))?;
        }
        Measured::Nothing => {}
    }
    if let Some((low, high)) = bar.band
        && let (Some(low), Some(high)) = (axis.nearest(low), axis.nearest(high))
    {
        let cap = |end| [(end, middle - 40), (end, middle + 40)];
        for line in [[(low, middle), (high, middle)], cap(low), cap(high)] {
            panel.draw(&PathElement::new(line, palette::INK.stroke_width(15)))?;
        }
    }
    if let Some(theory) = bar.theory.and_then(|theory| axis.place(theory)) {
        let line = vec![(theory, top - 40), (theory, bottom + 40)];
        panel.draw(&Dashed("3 2", line, palette::FAINT.stroke_width(15)))?;
    }
    Ok(())
}
