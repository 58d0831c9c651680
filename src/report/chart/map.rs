//! A grid over two axes: which QoS is the choice in each cell.

use super::canvas::{Anchor, Area, Canvas, Fill, Stroke, Type, WIDTH};
use super::font::{Weight, shorten};
use super::frame::{self, DROP, Key, MARGIN, QUIET, SMALL, STRONG};
use super::lines::mark_of;
use super::{Chart, Words, palette};
use crate::base::qos::QoS;

const HEIGHT: f64 = 300.0;
const FOOT: f64 = 44.0;
/// How opaque a cell is, so that ink can be read on it.
const TINT: f64 = 0.45;
const CELL: Type = Type { size: 12.0, weight: Weight::Semibold, colour: palette::INK };

/// The grid.
#[derive(Clone, Debug)]
pub struct Map {
    /// What the columns are.
    pub x_title: String,
    /// What the rows are.
    pub y_title: String,
    /// The columns, from the left.
    pub columns: Vec<String>,
    /// The rows, from below.
    pub rows: Vec<String>,
    /// The cells, by column and then by row: the choice and its number in words; `None` where
    /// nothing can be chosen.
    pub cells: Vec<Vec<Option<(QoS, String)>>>,
}

/// The chart of a grid.
#[must_use]
pub fn draw(words: Words, map: &Map) -> Chart {
    let keys = keys();
    let body = frame::legend_height(&keys) + 26.0 + HEIGHT + FOOT;
    let (mut canvas, top) = frame::begin(&words, body);
    let top = frame::legend(&mut canvas, top, &keys) + 26.0;
    let labels = map.rows.iter().map(|row| SMALL.width(row).min(160.0));
    let left = MARGIN + labels.fold(0.0, f64::max) + 8.0;
    let area = Area { left, top, right: WIDTH - MARGIN, bottom: top + HEIGHT };
    let title = shorten(&map.y_title, STRONG.size, STRONG.weight, WIDTH - 2.0 * MARGIN);
    canvas.text((MARGIN, top - 10.0), Anchor::Start, STRONG, &title);
    for (column, cells) in map.cells.iter().enumerate() {
        for (row, cell) in cells.iter().enumerate() {
            draw_cell(&mut canvas, place(area, map, column, row), cell.as_ref());
        }
    }
    name_columns(&mut canvas, area, map);
    name_rows(&mut canvas, area, map);
    let svg = canvas.finish(&words);
    words.chart(svg)
}

fn keys() -> Vec<(Key, String)> {
    let levels = QoS::ALL.map(|qos| {
        let fill = Fill { colour: palette::qos(qos), opacity: TINT };
        (Key::Fill(fill), format!("QoS {qos}"))
    });
    let none = (Key::Hatch(Stroke::of(palette::FAINT, 0.75)), "none meets all needs".to_owned());
    levels.into_iter().chain([none]).collect()
}

fn place(area: Area, map: &Map, column: usize, row: usize) -> Area {
    let (columns, rows) = (float(map.columns.len().max(1)), float(map.rows.len().max(1)));
    let (left, bottom) = area.at(float(column) / columns, float(row) / rows);
    let (right, top) = area.at(float(column + 1) / columns, float(row + 1) / rows);
    Area { left, top, right, bottom }
}

fn draw_cell(canvas: &mut Canvas, cell: Area, choice: Option<&(QoS, String)>) {
    // A slit between cells, unless they are too small for one.
    let slit = if cell.width().min(cell.height()) > 8.0 { 1.0 } else { 0.0 };
    let (left, top) = (cell.left + slit, cell.top + slit);
    let inner = Area { left, top, right: cell.right - slit, bottom: cell.bottom - slit };
    let Some((qos, number)) = choice else {
        canvas.hatch(inner, Stroke::of(palette::FAINT, 0.75));
        return;
    };
    let colour = palette::qos(*qos);
    canvas.rectangle(inner, Fill { colour, opacity: TINT });
    let (x, y) = inner.at(0.5, 0.5);
    let fits = |text: &str, height: f64| {
        CELL.width(text) + 6.0 <= inner.width() && height <= inner.height()
    };
    let name = format!("QoS {qos}");
    if fits(&name, 36.0) && SMALL.width(number) + 6.0 <= inner.width() {
        canvas.text((x, y - 4.0), Anchor::Middle, CELL, &name);
        canvas.text((x, y + 12.0), Anchor::Middle, SMALL, number);
    } else if fits(&qos.to_string(), 15.0) {
        canvas.text((x, y + DROP), Anchor::Middle, CELL, &qos.to_string());
    } else if inner.width().min(inner.height()) > 9.0 {
        canvas.mark((x, y), mark_of(*qos), colour);
    }
}

fn name_columns(canvas: &mut Canvas, area: Area, map: &Map) {
    let mut free_from = f64::NEG_INFINITY;
    for (column, name) in map.columns.iter().enumerate() {
        let cell = place(area, map, column, 0);
        let name = shorten(name, SMALL.size, SMALL.weight, 120.0);
        let (x, half) = (f64::midpoint(cell.left, cell.right), SMALL.width(&name) / 2.0);
        if x - half > free_from && x + half < WIDTH {
            canvas.text((x, area.bottom + 17.0), Anchor::Middle, SMALL, &name);
            free_from = x + half + 8.0;
        }
    }
    let title = shorten(&map.x_title, QUIET.size, QUIET.weight, area.width());
    let middle = f64::midpoint(area.left, area.right);
    canvas.text((middle, area.bottom + 34.0), Anchor::Middle, QUIET, &title);
}

fn name_rows(canvas: &mut Canvas, area: Area, map: &Map) {
    let mut free_below = f64::INFINITY;
    for (row, name) in map.rows.iter().enumerate() {
        let cell = place(area, map, 0, row);
        let y = f64::midpoint(cell.top, cell.bottom) + DROP;
        if y < free_below {
            let name = shorten(name, SMALL.size, SMALL.weight, 160.0);
            canvas.text((area.left - 6.0, y), Anchor::End, SMALL, &name);
            free_below = y - 15.0;
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a few cells")]
const fn float(count: usize) -> f64 {
    count as f64
}
