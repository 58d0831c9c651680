//! What all charts have around their data: title and subtitle, legends, panels with their axes.

use super::Words;
use super::axis::Axis;
use super::canvas::{Anchor, Area, Canvas, Fill, Point, Stroke, Type, WIDTH};
use super::font::{Weight, shorten, wrap};
use super::palette::{FAINT, INK, MESH};

/// The space around everything.
pub(super) const MARGIN: f64 = 16.0;
/// Numbers on axes and labels of lines.
pub(super) const SMALL: Type = Type { size: 12.0, weight: Weight::Regular, colour: INK };
/// What a panel shows.
pub(super) const STRONG: Type = Type { size: 12.0, weight: Weight::Semibold, colour: INK };
/// Subtitles and the titles of axes.
pub(super) const QUIET: Type = Type { size: 12.0, weight: Weight::Regular, colour: FAINT };
const TITLE: Type = Type { size: 17.0, weight: Weight::Semibold, colour: INK };
/// From the middle of a small letter to its base line.
pub(super) const DROP: f64 = 4.2;
/// From one small line of text to the next.
pub(super) const LEADING: f64 = 17.0;

/// A canvas with title and subtitle and room below them for a body of this height; with it the
/// body's upper end.
pub(super) fn begin(words: &Words, body: f64) -> (Canvas, f64) {
    let room = WIDTH - 2.0 * MARGIN;
    let title = wrap(&words.title, TITLE.size, TITLE.weight, room, 2);
    let subtitle = wrap(&words.subtitle, QUIET.size, QUIET.weight, room, 2);
    let mut y = MARGIN + 3.0;
    let mut texts = Vec::new();
    for line in title {
        y += 22.0;
        texts.push((y - 7.0, TITLE, line));
    }
    for line in subtitle.into_iter().filter(|line| !line.is_empty()) {
        y += LEADING;
        texts.push((y - 6.0, QUIET, line));
    }
    let top = y + 10.0;
    let mut canvas = Canvas::new(top + body);
    for (y, set, line) in texts {
        canvas.text((MARGIN, y), Anchor::Start, set, &line);
    }
    (canvas, top)
}

/// What stands before a word of a legend.
#[derive(Clone, Copy)]
pub(super) enum Key {
    Fill(Fill),
    Hatch(Stroke),
    Line(Stroke),
}

/// One or more lines of keys with their words; returns the end of the last line.
pub(super) fn legend(canvas: &mut Canvas, top: f64, keys: &[(Key, String)]) -> f64 {
    let (mut x, mut y) = (MARGIN, top);
    for (key, word) in keys {
        let width = 24.0 + SMALL.width(word) + 16.0;
        if x > MARGIN && x + width > WIDTH {
            (x, y) = (MARGIN, y + LEADING);
        }
        let swatch = Area { left: x, top: y + 1.0, right: x + 16.0, bottom: y + 12.0 };
        match *key {
            Key::Fill(fill) => canvas.rectangle(swatch, fill),
            Key::Hatch(stroke) => canvas.hatch(swatch, stroke),
            Key::Line(stroke) => canvas.line((x, y + 6.5), (x + 16.0, y + 6.5), stroke),
        }
        canvas.text((x + 22.0, y + 11.0), Anchor::Start, SMALL, word);
        x += width;
    }
    y + LEADING
}

/// How many lines a legend takes.
pub(super) fn legend_height(keys: &[(Key, String)]) -> f64 {
    legend(&mut Canvas::new(0.0), 0.0, keys)
}

/// Two axes and the area between them.
#[derive(Clone, Copy)]
pub(super) struct Panel<'a> {
    pub(super) area: Area,
    pub(super) x: &'a Axis,
    pub(super) y: &'a Axis,
}

impl Panel<'_> {
    /// The place of a point; `None` off the axes.
    pub(super) fn place(&self, x: f64, y: f64) -> Option<Point> {
        Some(self.area.at(self.x.place(x)?, self.y.place(y)?))
    }

    /// The mesh, the numbers on both axes, and the titles: the vertical axis's stands above it,
    /// from `left` on.
    pub(super) fn draw(&self, canvas: &mut Canvas, left: f64, title: (Type, &str)) {
        let Area { top, right, .. } = self.area;
        let text = shorten(title.1, title.0.size, title.0.weight, right - left);
        canvas.text((left, top - 10.0), Anchor::Start, title.0, &text);
        for (up, text) in self.y.ticks() {
            let (x, y) = self.area.at(0.0, up);
            canvas.line((x, y), (right, y), Stroke::of(MESH, 1.0));
            canvas.text((x - 6.0, y + DROP), Anchor::End, SMALL, &text);
        }
        horizontal(canvas, self.area, self.x);
    }
}

/// The room for the numbers at the left of a panel.
pub(super) fn gutter(axis: &Axis) -> f64 {
    axis.ticks().map(|(_, text)| SMALL.width(&text)).fold(0.0, f64::max) + 8.0
}

/// The room below a panel for the horizontal axis.
pub(super) const FOOT: f64 = 44.0;

/// The mesh, the numbers and the title of a horizontal axis below an area.
pub(super) fn horizontal(canvas: &mut Canvas, area: Area, axis: &Axis) {
    let mut free_from = f64::NEG_INFINITY;
    for (across, text) in axis.ticks() {
        let (x, bottom) = area.at(across, 0.0);
        canvas.line((x, area.top), (x, bottom), Stroke::of(MESH, 1.0));
        let half = SMALL.width(&text) / 2.0;
        let x = x.min(WIDTH - half - 2.0);
        if x - half > free_from {
            canvas.text((x, bottom + 17.0), Anchor::Middle, SMALL, &text);
            free_from = x + half + 8.0;
        }
    }
    canvas.line((area.left, area.bottom), (area.right, area.bottom), Stroke::of(FAINT, 1.0));
    let title = shorten(&axis.title, QUIET.size, QUIET.weight, area.width());
    let middle = f64::midpoint(area.left, area.right);
    canvas.text((middle, area.bottom + 34.0), Anchor::Middle, QUIET, &title);
}

/// Moves the wished heights apart so that labels have `gap` between their middles and stay
/// between `top` and `bottom`, in their order from above.
pub(super) fn apart(wishes: &[f64], gap: f64, top: f64, bottom: f64) -> Vec<f64> {
    let mut order: Vec<usize> = (0..wishes.len()).collect();
    order.sort_by(|a, b| wishes[*a].total_cmp(&wishes[*b]));
    let mut heights = wishes.to_vec();
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
    fn labels_are_moved_apart_and_stay_inside() {
        assert_eq!(apart(&[50.0, 10.0], 15.0, 0.0, 100.0), [50.0, 10.0], "none is moved in vain");
        assert_eq!(apart(&[0.0, 0.0, 0.0], 15.0, 0.0, 100.0), [0.0, 15.0, 30.0]);
        assert_eq!(apart(&[100.0, 99.0], 15.0, 0.0, 100.0), [100.0, 85.0]);
    }
}
