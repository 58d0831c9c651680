//! Charts: plain data in, SVG out. Every chart has the same look: a title that states the finding,
//! the fixed parameters below it, a light grid, lines of two pixels and one colour per QoS.
//!
//! plotters draws them, in the coordinates of an [`axis::ChartAxis`] of ours that lets nothing be
//! drawn beyond it, on a picture of ours that writes SVG with the font's true widths. Titles,
//! legends, the numbers on axes and the labels of lines are set here, where they never overlap.

use std::borrow::Cow;

pub(crate) mod axis;
pub(crate) mod bars;
pub(crate) mod font;
mod frame;
pub(crate) mod ladder;
pub(crate) mod lines;
pub(crate) mod map;
pub(crate) mod palette;
mod shapes;
pub(crate) mod stacks;
pub(crate) mod steps;
mod svg_backend;

/// A chart that is ready to be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chart {
    /// Its file name without an ending: `delivered`, `packets-by-type`.
    pub id: String,
    /// The finding, in one sentence.
    pub title: String,
    /// The alternative text: the axes, and each line's first and last numbers.
    pub alt: String,
    /// The explanation: how to read it, and what the band and the thin line are.
    pub caption: String,
    /// The picture: one `<svg>` element.
    pub svg: String,
}

/// The texts of a chart; texts of a scenario may be among them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ChartText {
    /// See [`Chart::id`]: letters, digits and hyphens.
    pub id: Cow<'static, str>,
    /// See [`Chart::title`].
    pub title: String,
    /// The fixed parameters.
    pub subtitle: String,
    /// See [`Chart::alt`].
    pub alt: String,
    /// See [`Chart::caption`].
    pub caption: String,
}

impl ChartText {
    /// The chart of these words and this picture.
    fn chart(self, svg: String) -> Chart {
        Chart {
            id: self.id.into_owned(),
            title: self.title,
            alt: self.alt,
            caption: self.caption,
            svg,
        }
    }
}
