//! The charts' font, and how wide it sets a text.

use std::sync::LazyLock;

use ttf_parser::Face;

use crate::escape;

/// The font's family, with its replacements where it is not available.
pub(crate) const FAMILY: &str = "Inter, 'Helvetica Neue', Arial, sans-serif";
/// Weight 400, as an OpenType file; its licence stands beside it.
pub(crate) const REGULAR: &[u8] = include_bytes!("font/Inter-Regular.otf");
/// Weight 600, as an OpenType file; its licence stands beside it.
pub(crate) const SEMIBOLD: &[u8] = include_bytes!("font/Inter-SemiBold.otf");

/// The two weights that charts use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weight {
    /// 400.
    Regular,
    /// 600.
    Semibold,
}

/// The width of a text in this font, in the unit of `size`. A letter that the font does not have
/// counts as wide as the size, which none that may stand in for it exceeds.
#[must_use]
pub(crate) fn width(text: &str, size: f64, weight: Weight) -> f64 {
    let face = face_of(weight);
    let advance = |char: char| face.glyph_hor_advance(face.glyph_index(char)?);
    let advance = |char: char| advance(char).map(|units| em_share(units, face.units_per_em()));
    text.chars().map(|char| advance(char).unwrap_or(1.0)).sum::<f64>() * size
}

/// The height of a line of text, from its highest to its lowest letters, in the unit of `size`.
#[must_use]
pub(crate) fn height(size: f64, weight: Weight) -> f64 {
    let face = face_of(weight);
    let scale = 1.0 / f32::from(face.units_per_em());
    f64::from(f32::from(face.ascender()) * scale - f32::from(face.descender()) * scale) * size
}

/// Font units as a share of the font's size: in 65,536ths, by a factor that is rounded first, as
/// `FreeType` scales widths (`FT_MulDiv` in `ftadvanc.c`).
fn em_share(units: u16, units_per_em: u16) -> f64 {
    let units_per_em = u64::from(units_per_em);
    let factor = ((64 << 16) + units_per_em / 2) / units_per_em;
    let share = (u64::from(units) * factor + 32) / 64;
    // No letter is 65,536 times as wide as high.
    f64::from(u32::try_from(share).unwrap_or(u32::MAX)) / 65_536.0
}

fn face_of(weight: Weight) -> &'static Face<'static> {
    static REGULAR_FACE: LazyLock<Face<'static>> = LazyLock::new(|| parse_face(REGULAR));
    static SEMIBOLD_FACE: LazyLock<Face<'static>> = LazyLock::new(|| parse_face(SEMIBOLD));
    match weight {
        Weight::Regular => &REGULAR_FACE,
        Weight::Semibold => &SEMIBOLD_FACE,
    }
}

fn parse_face(bytes: &'static [u8]) -> Face<'static> {
    Face::parse(bytes, 0).expect("the font of this repository can be read")
}

/// The text, or as much of its beginning as fits before an ellipsis; control characters are
/// written out, as they will be drawn.
#[must_use]
pub(crate) fn shorten(text: &str, size: f64, weight: Weight, max_width: f64) -> String {
    let text = escape::terminal(text);
    if width(&text, size, weight) <= max_width {
        return text.into_owned();
    }
    let mut short: String = text.chars().take(400).collect();
    while !short.is_empty() && width(&short, size, weight) + size > max_width {
        short.pop();
    }
    format!("{}…", short.trim_end())
}

/// Breaks the text at spaces into lines of at most this width. Text that exceeds the given number
/// of lines is cut at an ellipsis.
#[must_use]
pub(crate) fn wrap(
    text: &str,
    size: f64,
    weight: Weight,
    max_width: f64,
    max_lines: usize,
) -> Vec<String> {
    let mut finished_lines: Vec<String> = Vec::new();
    let mut line = String::new();
    // A number and its unit stay together, for the space between them does not break.
    for word in escape::terminal(text).split(' ').filter(|word| !word.is_empty()) {
        let longer = if line.is_empty() { word.to_owned() } else { format!("{line} {word}") };
        let is_last = finished_lines.len() + 1 >= max_lines;
        if is_last || line.is_empty() || width(&longer, size, weight) <= max_width {
            line = longer;
        } else {
            finished_lines.push(std::mem::replace(&mut line, word.to_owned()));
        }
    }
    finished_lines.push(line);
    finished_lines.iter().map(|line| shorten(line, size, weight, max_width)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_font_has_every_letter_that_charts_use() {
        for (bytes, name) in [(REGULAR, "regular"), (SEMIBOLD, "semibold")] {
            let face = parse_face(bytes);
            for char in (' '..='~').chain("±µ×–≥≤·…°²∞→".chars()) {
                assert!(face.glyph_index(char).is_some(), "{name} has no {char}");
            }
        }
    }

    #[test]
    fn a_text_is_as_wide_as_its_letters() {
        let wide = width("WWWW", 10.0, Weight::Regular);
        assert!(wide > 2.0 * width("iiii", 10.0, Weight::Regular));
        assert!((width("WWWW", 20.0, Weight::Regular) - 2.0 * wide).abs() < 1e-9);
        assert!(width("loss", 10.0, Weight::Semibold) > width("loss", 10.0, Weight::Regular));
        assert!((width("µ", 10.0, Weight::Regular) - 10.0).abs() > 1.0, "not guessed");
    }

    #[test]
    fn a_long_text_is_cut_where_it_no_longer_fits() {
        let cut = shorten(&"x".repeat(1_000), 12.0, Weight::Regular, 100.0);
        assert!(cut.ends_with('…') && cut.len() > 10);
        assert!(width(&cut, 12.0, Weight::Regular) <= 100.0);
        assert_eq!(shorten("short", 12.0, Weight::Regular, 100.0), "short");
    }

    #[test]
    fn a_text_breaks_at_spaces_and_ends_in_time() {
        let lines = wrap(&"word ".repeat(100), 12.0, Weight::Regular, 100.0, 2);
        assert_eq!(lines.len(), 2);
        assert!(lines.iter().all(|line| width(line, 12.0, Weight::Regular) <= 100.0));
        assert!(!lines[0].ends_with('…') && lines[1].ends_with('…'));
    }
}
