//! Horizontal bars, one for each QoS, in groups below each other: what a run without axes found.

use super::axis::Axis;
use super::canvas::{Anchor, Area, Canvas, Fill, Stroke, WIDTH};
use super::font::shorten;
use super::frame::{self, DROP, FOOT, MARGIN, SMALL, STRONG};
use super::lines::Measured;
use super::{Chart, Words, palette};
use crate::base::qos::QoS;

const ROW: f64 = 34.0;
const THICK: f64 = 20.0;
/// Above a group, for its title.
const HEAD: f64 = 26.0;

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
    let rows: usize = groups.iter().map(|group| group.bars.len()).sum();
    let body = float(groups.len()) * (HEAD + FOOT) + float(rows) * ROW;
    let (mut canvas, mut top) = frame::begin(&words, body);
    for group in groups {
        let title = shorten(&group.title, STRONG.size, STRONG.weight, WIDTH - 2.0 * MARGIN);
        canvas.text((MARGIN, top + 14.0), Anchor::Start, STRONG, &title);
        let widest = |of: fn(&Bar) -> &str| {
            group.bars.iter().map(|bar| SMALL.width(of(bar))).fold(0.0, f64::max)
        };
        let area = Area {
            left: MARGIN + widest(|bar| &bar.label) + 10.0,
            top: top + HEAD,
            right: WIDTH - MARGIN - widest(|bar| &bar.text) - 12.0,
            bottom: top + HEAD + float(group.bars.len()) * ROW,
        };
        frame::horizontal(&mut canvas, area, &group.x);
        for (nth, bar) in group.bars.iter().enumerate() {
            draw_bar(&mut canvas, area, area.top + (float(nth) + 0.5) * ROW, &group.x, bar);
        }
        top = area.bottom + FOOT;
    }
    let svg = canvas.finish(&words);
    words.chart(svg)
}

fn draw_bar(canvas: &mut Canvas, area: Area, middle: f64, axis: &Axis, bar: &Bar) {
    let colour = palette::qos(bar.qos);
    let across = |value: f64| axis.place(axis.clamp(value)).map(|share| area.at(share, 0.0).0);
    let (top, bottom) = (middle - THICK / 2.0, middle + THICK / 2.0);
    canvas.text((area.left - 8.0, middle + DROP), Anchor::End, SMALL, &bar.label);
    match bar.value {
        Measured::Value(value) => {
            if let Some(right) = axis.place(value).map(|share| area.at(share, 0.0).0) {
                canvas.rectangle(Area { left: area.left, top, right, bottom }, Fill::of(colour));
            }
        }
        Measured::Never => {
            let whole = Area { left: area.left, top, right: area.right, bottom };
            canvas.hatch(whole, Stroke::of(colour, 1.0));
        }
        Measured::Nothing => {}
    }
    if let Some((low, high)) = bar.band.and_then(|(low, high)| across(low).zip(across(high))) {
        let ink = Stroke::of(palette::INK, 1.5);
        canvas.line((low, middle), (high, middle), ink);
        canvas.line((low, middle - 4.0), (low, middle + 4.0), ink);
        canvas.line((high, middle - 4.0), (high, middle + 4.0), ink);
    }
    if let Some(share) = bar.theory.and_then(|theory| axis.place(theory)) {
        let x = area.at(share, 0.0).0;
        let thin = Stroke { colour: palette::FAINT, width: 1.5, dash: "3 2" };
        canvas.line((x, top - 4.0), (x, bottom + 4.0), thin);
    }
    canvas.text((area.right + 10.0, middle + DROP), Anchor::Start, SMALL, &bar.text);
}

#[expect(clippy::cast_precision_loss, reason = "a few rows")]
const fn float(count: usize) -> f64 {
    count as f64
}
