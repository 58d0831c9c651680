//! Shapes that plotters does not have.

use plotters::element::{Drawable, PointCollection};
use plotters::prelude::*;
use plotters_backend::{BackendCoord, DrawingErrorKind};

use super::palette;
use super::svg_backend::SvgBackend;
use qoslab_core::base::QoS;

/// A path with these dashes and gaps, in pixels; empty for a whole line. plotters' own dashes are a
/// line each, and cut with the platform's `hypot`.
pub(super) struct Dashed<C>(pub(super) &'static str, pub(super) Vec<C>, pub(super) ShapeStyle);

impl<'a, C> PointCollection<'a, C> for &'a Dashed<C> {
    type Point = &'a C;
    type IntoIter = &'a [C];

    fn point_iter(self) -> &'a [C] {
        &self.1
    }
}

impl<C> Drawable<SvgBackend> for Dashed<C> {
    fn draw<I: Iterator<Item = BackendCoord>>(
        &self,
        points: I,
        picture: &mut SvgBackend,
        _: (u32, u32),
    ) -> Result<(), DrawingErrorKind<<SvgBackend as DrawingBackend>::ErrorType>> {
        picture.draw_dashed(points, &self.2, self.0)
    }
}

/// Slanting lines over a rectangle between two corners.
pub(super) struct HatchPattern<C>(pub(super) [C; 2], pub(super) ShapeStyle);

impl<'a, C> PointCollection<'a, C> for &'a HatchPattern<C> {
    type Point = &'a C;
    type IntoIter = &'a [C];

    fn point_iter(self) -> &'a [C] {
        &self.0
    }
}

impl<C, DB: DrawingBackend> Drawable<DB> for HatchPattern<C> {
    fn draw<I: Iterator<Item = BackendCoord>>(
        &self,
        mut corners: I,
        backend: &mut DB,
        _: (u32, u32),
    ) -> Result<(), DrawingErrorKind<DB::ErrorType>> {
        const GAP: i32 = 60;
        let (Some(one), Some(other)) = (corners.next(), corners.next()) else { return Ok(()) };
        let (left, top) = (one.0.min(other.0), one.1.min(other.1));
        let (width, height) = ((one.0 - other.0).abs(), (one.1 - other.1).abs());
        let mut offset = GAP / 2;
        while offset < width + height {
            // Each line goes up to the right, from the left or lower side to the upper or right.
            let from = (left + (offset - height).max(0), top + offset.min(height));
            let to = (left + offset.min(width), top + (offset - width).max(0));
            backend.draw_line(from, to, &self.1)?;
            offset += GAP;
        }
        Ok(())
    }
}

/// The mark of a QoS's points, which distinguishes them without colours.
pub(super) fn point_marker<C: Clone + 'static>(
    qos: QoS,
    at: C,
) -> DynElement<'static, SvgBackend, C> {
    let colour = palette::qos(qos);
    match qos {
        QoS::AtMostOnce => Circle::new(at, 35, colour.filled()).into_dyn(),
        QoS::AtLeastOnce => {
            let square = Rectangle::new([(-32, -32), (32, 32)], colour.filled());
            (EmptyElement::at(at) + square).into_dyn()
        }
        QoS::ExactlyOnce => triangle(at, colour),
    }
}

/// A triangle made without the platform's `sin` and `cos`, which plotters' own uses.
pub(super) fn triangle<C: Clone + 'static>(
    at: C,
    colour: RGBColor,
) -> DynElement<'static, SvgBackend, C> {
    let corners = [(0, -45), (43, 32), (-43, 32)];
    (EmptyElement::at(at) + Polygon::new(corners, colour)).into_dyn()
}

/// The corners of a line that stays level up to each next point.
pub(super) fn step_line<X: Copy, Y: Copy>(points: &[(X, Y)]) -> Vec<(X, Y)> {
    let mut line: Vec<(X, Y)> = Vec::with_capacity(points.len() * 2);
    for point in points {
        line.extend(line.last().map(|last| (point.0, last.1)));
        line.push(*point);
    }
    line
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use super::*;
    use crate::chart::ChartText;

    /// The data of each path that an element adds to a picture.
    fn path_data<E>(element: &E) -> Vec<String>
    where
        for<'a> &'a E: PointCollection<'a, BackendCoord>,
        E: Drawable<SvgBackend>,
    {
        let picture = Rc::new(RefCell::new(SvgBackend::new((1_000, 1_000), &ChartText::default())));
        DrawingArea::from(&picture).draw(element).unwrap();
        let svg = &picture.borrow().svg;
        let data = svg.split(" d=\"").skip(1).filter_map(|rest| rest.split('"').next());
        data.map(str::to_owned).collect()
    }

    #[test]
    fn a_hatch_stays_within_its_corners() {
        let style = palette::INK.stroke_width(8);
        let lines = path_data(&HatchPattern([(200, 180), (100, 100)], style));
        assert_eq!(lines, ["M10 13L13 10", "M11 18L19 10", "M17 18L20 15"]);
        assert!(path_data(&HatchPattern([(5, 5), (5, 5)], style)).is_empty());
    }

    #[test]
    fn point_markers_differ_without_their_colours() {
        assert_eq!(
            path_data(&point_marker(QoS::ExactlyOnce, (100, 100))),
            ["M10 5.5L14.3 13.2L5.7 13.2Z"]
        );
        for other in [QoS::AtMostOnce, QoS::AtLeastOnce] {
            assert!(
                path_data(&point_marker(other, (100, 100))).is_empty(),
                "a circle and a rectangle"
            );
        }
    }

    #[test]
    fn a_step_line_stays_level_up_to_each_next_point() {
        assert_eq!(step_line(&[(0, 5), (2, 7), (3, 1)]), [(0, 5), (2, 5), (2, 7), (3, 7), (3, 1)]);
        assert_eq!(step_line::<i32, i32>(&[]), []);
    }
}
