//! The plotters backend that writes SVG.
//!
//! plotters counts in whole pixels; a pixel here is a tenth of one of the picture, so that nothing
//! is seen to be rounded. All lengths of charts are such tenths. plotters' own SVG rounds to whole
//! pixels, guesses how wide a text is, and has no dashes, title or description.

use std::fmt::{self, Display, Write};

use maud::Render;
use plotters::style::RGBColor;
use plotters_backend::text_anchor::{HPos, VPos};
use plotters_backend::{
    BackendColor, BackendCoord, BackendStyle, BackendTextStyle, DrawingBackend, DrawingErrorKind,
    FontStyle,
};

use super::font::{self, Weight};
use super::{ChartText, palette};
use crate::escape;

/// A picture under construction.
pub(super) struct SvgBackend {
    size: (u32, u32),
    /// Complete once it is presented.
    pub(super) svg: String,
}

type BackendResult = Result<(), DrawingErrorKind<fmt::Error>>;

impl SvgBackend {
    /// A picture with only its name and description. The size is in tenths of a pixel.
    pub(super) fn new(size: (u32, u32), words: &ChartText) -> Self {
        let (width, height) = (pixels(size.0), pixels(size.1));
        let (id, family) = (&words.id, font::FAMILY);
        let (title, desc) = (escape_text(&words.title), escape_text(&words.alt));
        let svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
             class=\"chart\" role=\"img\" aria-labelledby=\"chart-{id}-title chart-{id}-desc\" \
             font-family=\"{family}\">\n\
             <title id=\"chart-{id}-title\">{title}</title>\n\
             <desc id=\"chart-{id}-desc\">{desc}</desc>\n"
        );
        Self { size, svg }
    }

    /// A path with these dashes and gaps, in pixels; empty for a whole line.
    pub(super) fn draw_dashed(
        &mut self,
        path: impl IntoIterator<Item = BackendCoord>,
        style: &impl BackendStyle,
        dashes: &str,
    ) -> BackendResult {
        let Some(outline) = path_data(path, 2) else { return Ok(()) };
        let dashes = match dashes {
            "" => String::new(),
            dashes => format!(" stroke-dasharray=\"{dashes}\""),
        };
        self.element(format_args!("<path d=\"{outline}\"{}{dashes}/>", stroke_attributes(style)))
    }

    fn element(&mut self, element: impl Display) -> BackendResult {
        writeln!(self.svg, "{element}").map_err(DrawingErrorKind::DrawingError)
    }
}

impl DrawingBackend for SvgBackend {
    type ErrorType = fmt::Error;

    fn get_size(&self) -> (u32, u32) {
        self.size
    }

    fn ensure_prepared(&mut self) -> BackendResult {
        Ok(())
    }

    fn present(&mut self) -> BackendResult {
        self.element("</svg>")
    }

    fn draw_pixel(&mut self, (x, y): BackendCoord, color: BackendColor) -> BackendResult {
        self.draw_rect((x, y), (x + 1, y + 1), &color, true)
    }

    fn draw_line<S: BackendStyle>(
        &mut self,
        from: BackendCoord,
        to: BackendCoord,
        style: &S,
    ) -> BackendResult {
        self.draw_path([from, to], style)
    }

    fn draw_rect<S: BackendStyle>(
        &mut self,
        (left, top): BackendCoord,
        (right, bottom): BackendCoord,
        style: &S,
        fill: bool,
    ) -> BackendResult {
        if !fill {
            let round = [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)];
            return self.draw_path(round, style);
        }
        if left == right || top == bottom {
            return Ok(());
        }
        self.element(format_args!(
            "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"{}/>",
            pixels(left),
            pixels(top),
            pixels(right - left),
            pixels(bottom - top),
            colour_attribute("fill", style.color())
        ))
    }

    fn draw_path<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(
        &mut self,
        path: I,
        style: &S,
    ) -> BackendResult {
        self.draw_dashed(path, style, "")
    }

    fn draw_circle<S: BackendStyle>(
        &mut self,
        (x, y): BackendCoord,
        radius: u32,
        style: &S,
        fill: bool,
    ) -> BackendResult {
        let (x, y, radius) = (pixels(x), pixels(y), pixels(radius));
        let paint =
            if fill { colour_attribute("fill", style.color()) } else { stroke_attributes(style) };
        self.element(format_args!("<circle cx=\"{x}\" cy=\"{y}\" r=\"{radius}\"{paint}/>"))
    }

    fn fill_polygon<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(
        &mut self,
        corners: I,
        style: &S,
    ) -> BackendResult {
        let Some(outline) = path_data(corners, 3) else { return Ok(()) };
        let fill = colour_attribute("fill", style.color());
        self.element(format_args!("<path d=\"{outline}Z\"{fill}/>"))
    }

    /// A level text in the charts' font; the requested family is ignored. It hangs from its point,
    /// is centred on it or stands on it by its capitals. Where the font is not available, a
    /// replacement is scaled to the same width.
    fn draw_text<T: BackendTextStyle>(
        &mut self,
        text: &str,
        style: &T,
        (x, y): BackendCoord,
    ) -> BackendResult {
        if text.is_empty() {
            return Ok(());
        }
        let anchor = match style.anchor().h_pos {
            HPos::Left => "start",
            HPos::Center => "middle",
            HPos::Right => "end",
        };
        let drop = match style.anchor().v_pos {
            VPos::Top => 0.7,
            VPos::Center => 0.35,
            VPos::Bottom => 0.0,
        };
        let base_line = pixels((f64::from(y) + drop * style.size()).round());
        let (size, fill) = (pixels(style.size()), colour_attribute("fill", style.color()));
        let width = font::width(&escape::terminal(text), style.size(), font_weight(style));
        let (x, width) = (pixels(x), pixels(width.round()));
        let weight = match font_weight(style) {
            Weight::Regular => "",
            Weight::Semibold => " font-weight=\"600\"",
        };
        self.element(format_args!(
            "<text x=\"{x}\" y=\"{base_line}\" text-anchor=\"{anchor}\" font-size=\"{size}\"\
             {weight} textLength=\"{width}\" lengthAdjust=\"spacingAndGlyphs\"{fill}>{}</text>",
            escape_text(text)
        ))
    }
}

/// plotters knows no weights between these.
fn font_weight(style: &impl BackendTextStyle) -> Weight {
    match style.style() {
        FontStyle::Bold => Weight::Semibold,
        FontStyle::Normal | FontStyle::Oblique | FontStyle::Italic => Weight::Regular,
    }
}

/// A text of any origin as SVG takes it.
fn escape_text(text: &str) -> String {
    escape::terminal(text).render().into_string()
}

fn pixels(tenths: impl Into<f64>) -> f64 {
    tenths.into() / 10.0
}

/// The style of a line.
fn stroke_attributes(style: &impl BackendStyle) -> String {
    let (colour, width) = (colour_attribute("stroke", style.color()), pixels(style.stroke_width()));
    format!(" fill=\"none\"{colour} stroke-width=\"{width}\" stroke-linejoin=\"round\"")
}

/// ` fill="#4C72B0" fill-opacity="0.18"`, with a colour as an attribute, for a page may recolour
/// it.
fn colour_attribute(
    what: &str,
    BackendColor { rgb: (red, green, blue), alpha }: BackendColor,
) -> String {
    let colour = palette::hex(RGBColor(red, green, blue));
    let opacity = if alpha < 1.0 { format!(" {what}-opacity=\"{alpha}\"") } else { String::new() };
    format!(" {what}=\"{colour}\"{opacity}")
}

/// The data of a path; `None` if it has fewer different points in a row than this.
fn path_data(points: impl IntoIterator<Item = BackendCoord>, min_points: usize) -> Option<String> {
    let mut points: Vec<BackendCoord> = points.into_iter().collect();
    points.dedup();
    let mut path = String::with_capacity(points.len() * 12);
    for (x, y) in &points {
        let command = if path.is_empty() { 'M' } else { 'L' };
        write!(path, "{command}{} {}", pixels(*x), pixels(*y)).ok()?;
    }
    (points.len() >= min_points).then_some(path)
}

#[cfg(test)]
mod tests {
    use plotters::style::{Color, FontDesc, FontFamily, ShapeStyle, TextStyle};
    use plotters_backend::text_anchor::Pos;

    use super::*;

    /// The lines that some shapes add to a picture.
    fn drawn_lines(shapes: impl FnOnce(&mut SvgBackend) -> BackendResult) -> Vec<String> {
        let mut picture = SvgBackend::new((8_000, 4_005), &ChartText::default());
        let before = picture.svg.len();
        shapes(&mut picture).unwrap();
        picture.svg[before..].lines().map(str::to_owned).collect()
    }

    fn blue_stroke(width: u32) -> ShapeStyle {
        Color::stroke_width(&palette::QOS[0], width)
    }

    fn text_style(size: f64, style: FontStyle, h_pos: HPos, v_pos: VPos) -> TextStyle<'static> {
        TextStyle {
            font: FontDesc::new(FontFamily::Name("any"), size, style),
            color: palette::INK.to_backend_color(),
            pos: Pos::new(h_pos, v_pos),
        }
    }

    #[test]
    fn lines_keep_the_tenths_of_their_pixels() {
        let stroke = "fill=\"none\" stroke=\"#4C72B0\" stroke-width=\"1.5\" \
                      stroke-linejoin=\"round\"";
        let lines = drawn_lines(|picture| {
            picture.draw_line((0, 5), (123, -7), &blue_stroke(15))?;
            picture.draw_path([(0, 0), (1, 10), (1, 10), (25, 0)], &blue_stroke(15))?;
            picture.draw_dashed([(0, 0), (10, 0)], &blue_stroke(15), "9 4")?;
            picture.draw_rect((0, 0), (10, 20), &blue_stroke(15), false)?;
            picture.draw_circle((5, 6), 35, &blue_stroke(15), false)
        });
        assert_eq!(
            lines,
            [
                format!("<path d=\"M0 0.5L12.3 -0.7\" {stroke}/>"),
                format!("<path d=\"M0 0L0.1 1L2.5 0\" {stroke}/>"),
                format!("<path d=\"M0 0L1 0\" {stroke} stroke-dasharray=\"9 4\"/>"),
                format!("<path d=\"M0 0L1 0L1 2L0 2L0 0\" {stroke}/>"),
                format!("<circle cx=\"0.5\" cy=\"0.6\" r=\"3.5\" {stroke}/>"),
            ]
        );
    }

    #[test]
    fn areas_have_their_colour_and_opacity_as_attributes() {
        let tint = palette::QOS[1].mix(0.18);
        let lines = drawn_lines(|picture| {
            picture.draw_rect((10, 20), (35, 40), &palette::QOS[1], true)?;
            picture.fill_polygon([(0, 0), (10, 0), (5, 5)], &tint)?;
            picture.draw_circle((5, 6), 35, &palette::QOS[1], true)?;
            picture.draw_pixel((3, 4), tint.to_backend_color())
        });
        assert_eq!(
            lines,
            [
                "<rect x=\"1\" y=\"2\" width=\"2.5\" height=\"2\" fill=\"#DD8452\"/>",
                "<path d=\"M0 0L1 0L0.5 0.5Z\" fill=\"#DD8452\" fill-opacity=\"0.18\"/>",
                "<circle cx=\"0.5\" cy=\"0.6\" r=\"3.5\" fill=\"#DD8452\"/>",
                "<rect x=\"0.3\" y=\"0.4\" width=\"0.1\" height=\"0.1\" fill=\"#DD8452\" \
             fill-opacity=\"0.18\"/>",
            ]
        );
    }

    #[test]
    fn shapes_without_extent_are_not_drawn() {
        let lines = drawn_lines(|picture| {
            picture.draw_path([], &blue_stroke(10))?;
            picture.draw_path([(1, 1), (1, 1)], &blue_stroke(10))?;
            picture.draw_rect((10, 10), (10, 30), &blue_stroke(10), true)?;
            picture.fill_polygon([(0, 0), (10, 0), (10, 0)], &blue_stroke(10))
        });
        assert!(lines.is_empty(), "{lines:?}");
    }

    #[test]
    fn texts_stand_at_their_points_and_stay_text() {
        let lines = drawn_lines(|picture| {
            let small = text_style(120.0, FontStyle::Normal, HPos::Right, VPos::Center);
            picture.draw_text("a<b & \u{1b}c", &small, (100, 200))?;
            let large = text_style(170.0, FontStyle::Bold, HPos::Center, VPos::Bottom);
            picture.draw_text("t", &large, (5, 7))?;
            picture.draw_text("", &large, (5, 7))
        });
        let wide = |text, size, weight| {
            let width = pixels(font::width(text, size, weight).round());
            format!("textLength=\"{width}\" lengthAdjust=\"spacingAndGlyphs\"")
        };
        let small = wide("a<b & \\u{1b}c", 120.0, Weight::Regular);
        let large = wide("t", 170.0, Weight::Semibold);
        assert_eq!(
            lines,
            [
                format!(
                    "<text x=\"10\" y=\"24.2\" text-anchor=\"end\" font-size=\"12\" {small} \
                 fill=\"#1F2328\">a&lt;b &amp; \\u{{1b}}c</text>"
                ),
                format!(
                    "<text x=\"0.5\" y=\"0.7\" text-anchor=\"middle\" font-size=\"17\" \
                 font-weight=\"600\" {large} fill=\"#1F2328\">t</text>"
                ),
            ]
        );
    }

    #[test]
    fn a_picture_has_a_name_and_a_description() {
        let words = ChartText {
            id: "delivered".into(),
            title: "5 < 6".to_owned(),
            alt: "\"all\"".to_owned(),
            ..ChartText::default()
        };
        let mut picture = SvgBackend::new((8_000, 4_005), &words);
        picture.present().unwrap();
        let document = roxmltree::Document::parse(&picture.svg).unwrap();
        let root = document.root_element();
        assert_eq!(root.attribute("viewBox"), Some("0 0 800 400.5"));
        let labels = "chart-delivered-title chart-delivered-desc";
        assert_eq!(root.attribute("aria-labelledby"), Some(labels));
        let texts: Vec<_> = root
            .children()
            .filter(roxmltree::Node::is_element)
            .filter_map(|node| node.text())
            .collect();
        assert_eq!(texts, ["5 < 6", "\"all\""]);
    }
}
