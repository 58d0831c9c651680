//! Charts: plain data in, SVG out.

/// A chart that is ready to be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chart {
    /// Its file name without an ending: `delivered`, `packets-by-type`.
    pub id: String,
    /// The finding, in one sentence.
    pub title: String,
    /// What it shows, for who cannot see it: the axes, and each line's first and last numbers.
    pub alt: String,
    /// How to read it, and what the band and the thin line are.
    pub caption: String,
    /// The picture: one `<svg>` element.
    pub svg: String,
}
