//! Shapes and texts on a chart. Coordinates are pixels, from the left and the top, rounded to a
//! tenth; whatever is not a finite number is not drawn.

use svg::Document;
use svg::node::Text as Letters;
use svg::node::element::{Circle, Description, Element, Path, Rectangle, Text, Title};

use super::font::{self, Weight};
use super::{Words, palette};
use crate::report::escape;

/// A point: x and y.
pub(super) type Point = (f64, f64);

/// A picture in the making.
pub(super) struct Canvas {
    height: f64,
    shapes: Vec<Element>,
}

/// A chart's width.
pub(super) const WIDTH: f64 = 800.0;

/// How a line is drawn.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stroke {
    pub(super) colour: &'static str,
    pub(super) width: f64,
    /// Lengths of dashes and gaps; empty for a whole line.
    pub(super) dash: &'static str,
}

/// How an area is filled.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fill {
    pub(super) colour: &'static str,
    pub(super) opacity: f64,
}

/// A rectangle.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Area {
    pub(super) left: f64,
    pub(super) top: f64,
    pub(super) right: f64,
    pub(super) bottom: f64,
}

/// Which end of a text is at its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// How a text is set.
#[derive(Clone, Copy, Debug)]
pub(super) struct Type {
    pub(super) size: f64,
    pub(super) weight: Weight,
    pub(super) colour: &'static str,
}

/// The marks by which points are told apart without colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    Dot,
    Square,
    Triangle,
}

impl Fill {
    pub(super) const fn of(colour: &'static str) -> Self {
        Self { colour, opacity: 1.0 }
    }
}

impl Stroke {
    pub(super) const fn of(colour: &'static str, width: f64) -> Self {
        Self { colour, width, dash: "" }
    }
}

impl Area {
    pub(super) const fn width(self) -> f64 {
        self.right - self.left
    }

    pub(super) const fn height(self) -> f64 {
        self.bottom - self.top
    }

    /// A point by its shares of the width from the left and of the height from the bottom.
    pub(super) fn at(self, across: f64, up: f64) -> Point {
        (self.left + across * self.width(), self.bottom - up * self.height())
    }
}

impl Type {
    pub(super) fn width(self, text: &str) -> f64 {
        font::width(text, self.size, self.weight)
    }
}

impl Canvas {
    pub(super) const fn new(height: f64) -> Self {
        Self { height, shapes: Vec::new() }
    }

    pub(super) fn line(&mut self, from: Point, to: Point, stroke: Stroke) {
        self.path(&[from, to], stroke);
    }

    /// A line through all the points.
    pub(super) fn path(&mut self, points: &[Point], stroke: Stroke) {
        let Some(path) = outline(points).filter(|_| points.len() > 1) else { return };
        let mut path = Path::new()
            .set("d", path)
            .set("fill", "none")
            .set("stroke", stroke.colour)
            .set("stroke-width", stroke.width)
            .set("stroke-linejoin", "round");
        if !stroke.dash.is_empty() {
            path = path.set("stroke-dasharray", stroke.dash);
        }
        self.shapes.push(path.into());
    }

    pub(super) fn polygon(&mut self, corners: &[Point], fill: Fill) {
        let Some(path) = outline(corners).filter(|_| corners.len() > 2) else { return };
        let path = Path::new().set("d", path + "Z").set("fill", fill.colour);
        self.shapes.push(opaque(path.into(), fill.opacity));
    }

    pub(super) fn rectangle(&mut self, area: Area, fill: Fill) {
        let sides = [area.left, area.top, area.width(), area.height()];
        if sides.iter().any(|side| !side.is_finite()) || area.width() < 0.0 || area.height() < 0.0 {
            return;
        }
        let rectangle = Rectangle::new()
            .set("x", tenths(area.left))
            .set("y", tenths(area.top))
            .set("width", tenths(area.width()))
            .set("height", tenths(area.height()))
            .set("fill", fill.colour);
        self.shapes.push(opaque(rectangle.into(), fill.opacity));
    }

    /// Slanting lines over an area.
    pub(super) fn hatch(&mut self, area: Area, stroke: Stroke) {
        const GAP: f64 = 6.0;
        let (width, height) = (area.width(), area.height());
        if !(width.is_finite() && height.is_finite()) {
            return;
        }
        let mut offset = GAP / 2.0;
        while offset < width + height {
            // Each line goes up to the right, from the left or lower side to the upper or right.
            let from = (area.left + (offset - height).max(0.0), area.top + offset.min(height));
            let to = (area.left + offset.min(width), area.top + (offset - width).max(0.0));
            self.line(from, to, stroke);
            offset += GAP;
        }
    }

    pub(super) fn mark(&mut self, (x, y): Point, mark: Mark, colour: &'static str) {
        let fill = Fill::of(colour);
        match mark {
            Mark::Dot if x.is_finite() && y.is_finite() => {
                let circle = Circle::new().set("cx", tenths(x)).set("cy", tenths(y)).set("r", 3.5);
                self.shapes.push(circle.set("fill", colour).into());
            }
            Mark::Dot => {}
            Mark::Square => {
                let (left, top, right, bottom) = (x - 3.2, y - 3.2, x + 3.2, y + 3.2);
                self.rectangle(Area { left, top, right, bottom }, fill);
            }
            Mark::Triangle => {
                self.polygon(&[(x, y - 4.5), (x + 4.3, y + 3.2), (x - 4.3, y + 3.2)], fill);
            }
        }
    }

    /// A text with its base line at a point; `escape` for text is done here.
    pub(super) fn text(&mut self, at: Point, anchor: Anchor, set: Type, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let mut element = Text::new(escape::terminal(text))
            .set("x", tenths(at.0))
            .set("y", tenths(at.1))
            .set("text-anchor", anchor)
            .set("font-size", set.size)
            .set("fill", set.colour);
        if set.weight == Weight::Semibold {
            element = element.set("font-weight", 600);
        }
        self.shapes.push(element.into());
    }

    /// The whole picture.
    pub(super) fn finish(self, words: &Words) -> String {
        let (title, desc) =
            (format!("chart-{}-title", words.id), format!("chart-{}-desc", words.id));
        let mut document = Document::new()
            .set("class", "chart")
            .set("role", "img")
            .set("viewBox", (0, 0, WIDTH, self.height))
            .set("font-family", font::FAMILY)
            .set("aria-labelledby", format!("{title} {desc}"))
            .add(Title::new(escape::terminal(&words.title)).set("id", title))
            .add(
                Description::new().set("id", desc).add(Letters::new(escape::terminal(&words.alt))),
            );
        let ground = Area { left: 0.0, top: 0.0, right: WIDTH, bottom: self.height };
        let mut below = Self::new(self.height);
        below.rectangle(ground, Fill::of(palette::GROUND));
        for shape in below.shapes.into_iter().chain(self.shapes) {
            document = document.add(shape);
        }
        document.to_string()
    }
}

/// The data of a path; `None` if a point of it is nowhere.
fn outline(points: &[Point]) -> Option<String> {
    let mut path = String::with_capacity(points.len() * 12);
    for (x, y) in points {
        if !(x.is_finite() && y.is_finite()) {
            return None;
        }
        path += if path.is_empty() { "M" } else { "L" };
        path += &format!("{} {}", tenths(*x), tenths(*y));
    }
    Some(path)
}

fn opaque(element: Element, opacity: f64) -> Element {
    let mut element = element;
    if opacity < 1.0 {
        element.get_attributes_mut().insert("fill-opacity".to_owned(), opacity.into());
    }
    element
}

/// A coordinate to a tenth of a pixel, never as `-0`.
fn tenths(coordinate: f64) -> f64 {
    (coordinate * 10.0).round() / 10.0 + 0.0
}
