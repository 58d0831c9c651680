//! The parts of all charts around their data: title and subtitle, legends, panels with their axes.
//! All lengths are tenths of a pixel.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

use plotters::coord::Shift;
use plotters::coord::ranged1d::ValueFormatter;
use plotters::coord::types::RangedCoordi32;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::axis::{AxisPosition, ChartAxis};
use super::font::{self, Weight};
use super::palette::{BACKGROUND, GRID, INK, MUTED};
use super::shapes::{Dashed, HatchPattern};
use super::svg_backend::SvgBackend;
use super::{Chart, ChartText};

/// A part of a picture. Its coordinates are counted from its own left upper corner.
pub(super) type Canvas = DrawingArea<SvgBackend, Shift>;
/// A part of a picture with an axis below it, on which plotters draws data, and on another one at
/// its left or, in rows, on tenths of a pixel from above.
pub(super) type Panel<Y = ChartAxis> = DrawingArea<SvgBackend, Cartesian2d<ChartAxis, Y>>;
/// Whether plotters has drawn something.
pub(super) type DrawResult = Result<(), DrawingAreaErrorKind<fmt::Error>>;

/// A chart's width.
pub(super) const WIDTH: i32 = 8_000;
/// The space around everything.
pub(super) const MARGIN: i32 = 160;
/// The room below a panel for the horizontal axis.
pub(super) const AXIS_HEIGHT: i32 = 440;
/// Numbers on axes and labels of lines.
pub(super) const SMALL: TextSetting =
    TextSetting { size: 120, weight: Weight::Regular, colour: INK };
/// Titles of panels.
pub(super) const BOLD: TextSetting =
    TextSetting { size: 120, weight: Weight::Semibold, colour: INK };
/// Subtitles and the titles of axes.
pub(super) const MUTED_TEXT: TextSetting =
    TextSetting { size: 120, weight: Weight::Regular, colour: MUTED };
const TITLE: TextSetting = TextSetting { size: 170, weight: Weight::Semibold, colour: INK };
/// The distance from one small line of text to the next.
pub(super) const LEADING: i32 = 170;

/// The style of a text.
#[derive(Clone, Copy, Debug)]
pub(super) struct TextSetting {
    size: u16,
    weight: Weight,
    colour: RGBColor,
}

impl TextSetting {
    /// The style for plotters; which side of the text is at its point.
    pub(super) fn to_text_style(self, h_pos: HPos, v_pos: VPos) -> TextStyle<'static> {
        let style = match self.weight {
            Weight::Regular => FontStyle::Normal,
            Weight::Semibold => FontStyle::Bold,
        };
        TextStyle {
            font: FontDesc::new(FontFamily::Name(font::FAMILY), self.size.into(), style),
            color: self.colour.to_backend_color(),
            pos: Pos::new(h_pos, v_pos),
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "no text is wider than the numbers go")]
    pub(super) fn width(self, text: &str) -> i32 {
        font::width(text, self.size.into(), self.weight).ceil() as i32
    }

    /// The height of a line.
    #[expect(clippy::cast_possible_truncation, reason = "a line is about as high as the font")]
    pub(super) fn height(self) -> i32 {
        font::height(self.size.into(), self.weight).ceil() as i32
    }

    /// The width of the widest of some texts; 0 for none.
    pub(super) fn widest<T: AsRef<str>>(self, texts: impl IntoIterator<Item = T>) -> i32 {
        texts.into_iter().map(|text| self.width(text.as_ref())).max().unwrap_or(0)
    }

    /// See [`font::shorten`].
    pub(super) fn shorten(self, text: &str, max_width: i32) -> String {
        font::shorten(text, self.size.into(), self.weight, max_width.into())
    }

    /// See [`font::wrap`].
    pub(super) fn wrap(self, text: &str, max_width: i32, max_lines: usize) -> Vec<String> {
        font::wrap(text, self.size.into(), self.weight, max_width.into(), max_lines)
    }

    /// The same in another colour.
    pub(super) const fn coloured(self, colour: RGBColor) -> Self {
        Self { colour, ..self }
    }
}

/// The symbol before an entry of a legend.
#[derive(Clone, Copy)]
pub(super) enum LegendKey {
    Fill(ShapeStyle),
    Hatched(ShapeStyle),
    Line(ShapeStyle, &'static str),
}

/// The chart of these words: title, subtitle and legend, and below them a body of this height, up
/// to the right edge of the picture, as it is drawn by `draw`.
pub(super) fn chart(
    words: ChartText,
    legend_entries: &[(LegendKey, String)],
    height: i32,
    draw: impl FnOnce(&Canvas) -> DrawResult,
) -> Chart {
    let (titles, top) = title_lines(&words);
    let (places, legend) = legend_positions(legend_entries);
    let size = (WIDTH.unsigned_abs(), (top + legend + height).unsigned_abs());
    let picture = Rc::new(RefCell::new(SvgBackend::new(size, &words)));
    let paint = || -> DrawResult {
        let whole = Canvas::from(&picture);
        whole.fill(&BACKGROUND)?;
        for (set, y, line) in &titles {
            whole.draw_text(line, &set.to_text_style(HPos::Left, VPos::Bottom), (MARGIN, *y))?;
        }
        for ((key, word), (x, y)) in legend_entries.iter().zip(places) {
            draw_key(&whole, (MARGIN + x, top + y), *key, word)?;
        }
        draw(&whole.margin(top + legend, 0, MARGIN, 0))?;
        whole.present()
    };
    paint().expect("memory takes every shape, and no shape is drawn within another");
    let svg = std::mem::take(&mut picture.borrow_mut().svg);
    words.chart(svg)
}

/// The lines of title and subtitle with their heights, and where they end.
fn title_lines(words: &ChartText) -> (Vec<(TextSetting, i32, String)>, i32) {
    // Some programs know no `textLength`, and set a wider font where ours is not at hand.
    let room = (WIDTH - 2 * MARGIN) * 7 / 8;
    let mut y = MARGIN + 30;
    let mut lines = Vec::new();
    for line in TITLE.wrap(&words.title, room, 2) {
        y += 220;
        lines.push((TITLE, y - 70, line));
    }
    for line in
        MUTED_TEXT.wrap(&words.subtitle, room, 2).into_iter().filter(|line| !line.is_empty())
    {
        y += LEADING;
        lines.push((MUTED_TEXT, y - 60, line));
    }
    (lines, y + 100)
}

/// The positions of a legend's keys, and their total height.
fn legend_positions(keys: &[(LegendKey, String)]) -> (Vec<(i32, i32)>, i32) {
    let (mut x, mut y) = (0, 0);
    let place = |(_, word): &(LegendKey, String)| {
        let width = 240 + SMALL.width(word) + 160;
        if x > 0 && x + width > WIDTH - MARGIN {
            (x, y) = (0, y + LEADING);
        }
        x += width;
        (x - width, y)
    };
    let places: Vec<_> = keys.iter().map(place).collect();
    (places, if keys.is_empty() { 0 } else { y + LEADING })
}

fn draw_key(canvas: &Canvas, (x, y): (i32, i32), key: LegendKey, word: &str) -> DrawResult {
    let swatch = [(x, y + 10), (x + 160, y + 120)];
    match key {
        LegendKey::Fill(fill) => canvas.draw(&Rectangle::new(swatch, fill))?,
        LegendKey::Hatched(stroke) => canvas.draw(&HatchPattern(swatch, stroke))?,
        LegendKey::Line(stroke, dashes) => {
            canvas.draw(&Dashed(dashes, vec![(x, y + 65), (x + 160, y + 65)], stroke))?;
        }
    }
    canvas.draw_text(word, &SMALL.to_text_style(HPos::Left, VPos::Center), (x + 220, y + 67))
}

/// Two axes on a part of a picture.
pub(super) fn panel(part: &Canvas, x: &ChartAxis, y: &ChartAxis) -> Panel {
    let (across, down) = part.get_pixel_range();
    part.apply_coord_spec(Cartesian2d::new(x.clone(), y.clone(), (across, down.end..down.start)))
}

/// The place of a point; `None` off the axes.
pub(super) fn position(panel: &Panel, (x, y): (f64, f64)) -> Option<(AxisPosition, AxisPosition)> {
    let axes = panel.as_coord_spec();
    Some((axes.x_spec().position(x)?, axes.y_spec().position(y)?))
}

/// An axis below a part of a picture that holds rows.
pub(super) fn row_panel(part: &Canvas, x: &ChartAxis) -> Panel<RangedCoordi32> {
    let (across, down) = part.get_pixel_range();
    let height = down.end - down.start;
    part.apply_coord_spec(Cartesian2d::new(x.clone(), height..0, (across, down.end..down.start)))
}

/// The labels on both sides of a row.
pub(super) fn row_texts(
    panel: &Panel<RangedCoordi32>,
    middle: i32,
    left_text: &str,
    right_text: &str,
) -> DrawResult {
    let canvas = panel.strip_coord_spec();
    let (width, _) = size(&canvas);
    canvas.draw_text(left_text, &SMALL.to_text_style(HPos::Right, VPos::Center), (-80, middle))?;
    canvas.draw_text(
        right_text,
        &SMALL.to_text_style(HPos::Left, VPos::Center),
        (width + 100, middle),
    )
}

/// The room for the numbers at the left of a panel.
pub(super) fn gutter(axis: &ChartAxis) -> i32 {
    let numbers = axis.key_points(usize::MAX);
    numbers.iter().map(|place| SMALL.width(&axis.format_ext(place))).max().unwrap_or(0) + 80
}

/// The mesh of the vertical axis with its numbers, of which there are not more than `max_width`.
///
/// This and [`draw_x_axis`] stand in for plotters' `configure_mesh`, which lets numbers overlap and
/// leave the picture, turns the vertical axis's title, and draws the lines of both axes or of none.
pub(super) fn draw_y_axis(panel: &Panel, max_labels: usize) -> DrawResult {
    let (axis, ends) = (panel.as_coord_spec().y_spec(), panel.get_x_range());
    for place in axis.key_points(max_labels) {
        panel.draw(&PathElement::new([(ends.start, place), (ends.end, place)], hairline(GRID)))?;
        let style = SMALL.to_text_style(HPos::Right, VPos::Center);
        let number = Text::new(axis.format_ext(&place), (-60, 0), style);
        panel.draw(&(EmptyElement::at((ends.start, place)) + number))?;
    }
    Ok(())
}

/// The mesh of the horizontal axis with as many numbers as there is room for, its line and its
/// title.
pub(super) fn draw_x_axis<Y: Ranged<ValueType: Copy>>(panel: &Panel<Y>) -> DrawResult {
    draw_x_grid(panel)?;
    let (axis, floor) = (panel.as_coord_spec().x_spec(), panel.get_y_range().start);
    let mut free_from = i32::MIN;
    for place in axis.key_points(usize::MAX) {
        let text = axis.format_ext(&place);
        let half = SMALL.width(&text) / 2;
        let (x, _) = panel.map_coordinate(&(place, floor));
        let shift = (WIDTH - 20 - half - x).min(0);
        if x + shift - half > free_from {
            let number =
                Text::new(text, (shift, 170), SMALL.to_text_style(HPos::Center, VPos::Bottom));
            panel.draw(&(EmptyElement::at((place, floor)) + number))?;
            free_from = x + shift + half + 80;
        }
    }
    draw_x_title(&panel.strip_coord_spec(), &axis.title)
}

/// The mesh of the horizontal axis and its line, without numbers and title.
pub(super) fn draw_x_grid<Y: Ranged<ValueType: Copy>>(panel: &Panel<Y>) -> DrawResult {
    let (across, up) = (panel.get_x_range(), panel.get_y_range());
    for place in panel.as_coord_spec().x_spec().key_points(usize::MAX) {
        panel.draw(&PathElement::new([(place, up.start), (place, up.end)], hairline(GRID)))?;
    }
    let line = [(across.start, up.start), (across.end, up.start)];
    panel.draw(&PathElement::new(line, hairline(MUTED)))
}

/// The title of a horizontal axis.
pub(super) fn draw_x_title(area: &Canvas, title: &str) -> DrawResult {
    let (width, height) = size(area);
    let style = MUTED_TEXT.to_text_style(HPos::Center, VPos::Bottom);
    area.draw_text(&MUTED_TEXT.shorten(title, width), &style, (width / 2, height + 340))
}

/// The width and height of a part.
pub(super) fn size(part: &Canvas) -> (i32, i32) {
    let (width, height) = part.dim_in_pixel();
    (width.cast_signed(), height.cast_signed())
}

/// A line of a pixel.
pub(super) fn hairline(colour: RGBColor) -> ShapeStyle {
    colour.stroke_width(10)
}

/// A multiple of a length.
pub(super) fn scaled_length(count: usize, length: i32) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX).saturating_mul(length)
}

/// Moves the requested heights apart so that labels have `gap` between their middles and stay
/// between `top` and `bottom`, in their order from above.
pub(super) fn spread_labels(wanted_heights: &[i32], gap: i32, top: i32, bottom: i32) -> Vec<i32> {
    let mut order: Vec<usize> = (0..wanted_heights.len()).collect();
    order.sort_by_key(|place| wanted_heights[*place]);
    let mut heights = wanted_heights.to_vec();
    let mut least = top;
    for place in &order {
        heights[*place] = heights[*place].max(least);
        least = heights[*place] + gap;
    }
    let mut most = bottom;
    for place in order.iter().rev() {
        heights[*place] = heights[*place].min(most);
        most = heights[*place] - gap;
    }
    heights
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_spread_and_stay_inside() {
        assert_eq!(spread_labels(&[50, 10], 15, 0, 100), [50, 10], "none is moved in vain");
        assert_eq!(spread_labels(&[0, 0, 0], 15, 0, 100), [0, 15, 30]);
        assert_eq!(spread_labels(&[100, 99], 15, 0, 100), [100, 85]);
    }
}
