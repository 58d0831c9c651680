//! A chart as PNG, for slides and messages that take no SVG.

use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::fontdb::Database;
use resvg::usvg::{self, Options, Tree};
use thiserror::Error;

use super::chart::font;

/// Pixels of the picture for each pixel of the chart.
const SCALE: f32 = 2.0;

/// Errors in drawing a PNG.
#[derive(Debug, Error)]
pub enum PngError {
    /// It cannot be read as SVG.
    #[error("read the picture: {0}")]
    Svg(#[from] usvg::Error),
    /// It has no size, or too large a one.
    #[error("draw a picture of {width} x {height} pixels")]
    Size {
        /// Pixels across.
        width: u32,
        /// Pixels down.
        height: u32,
    },
    /// It cannot be packed.
    #[error("pack the picture: {0}")]
    Pack(String),
}

/// Renders the picture as PNG with the charts' own font. Fonts of the machine are not used, so the
/// same chart gives the same pixels.
///
/// # Errors
/// If the text is no SVG, or its picture is too large for memory.
pub fn png(svg: &str) -> Result<Vec<u8>, PngError> {
    let mut fonts = Database::new();
    fonts.load_font_data(font::REGULAR.to_vec());
    fonts.load_font_data(font::SEMIBOLD.to_vec());
    let options =
        Options { fontdb: fonts.into(), font_family: "Inter".to_owned(), ..Options::default() };
    let tree = Tree::from_str(svg, &options)?;
    let size = tree.size().to_int_size();
    let scaled = size.scale_by(SCALE).unwrap_or(size);
    let (width, height) = (scaled.width(), scaled.height());
    let mut pixels = Pixmap::new(width, height).ok_or(PngError::Size { width, height })?;
    resvg::render(&tree, Transform::from_scale(SCALE, SCALE), &mut pixels.as_mut());
    pixels.encode_png().map_err(|error| PngError::Pack(error.to_string()))
}
