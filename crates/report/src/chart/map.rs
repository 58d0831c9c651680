//! A grid over two axes: the chosen QoS in each cell.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

use super::frame::{self, AXIS_HEIGHT, BOLD, Canvas, DrawResult, LegendKey, MARGIN, SMALL, WIDTH};
use super::shapes::{HatchPattern, point_marker};
use super::{Chart, ChartText, palette};
use qoslab_core::base::QoS;

const HEIGHT: i32 = 3_000;
/// The height above the grid, for the title of its rows.
const TITLE_HEIGHT: i32 = 260;
/// The widest names of a row and of a column.
const MAX_ROW_NAME_WIDTH: i32 = 1_600;
const MAX_COLUMN_NAME_WIDTH: i32 = 1_200;
/// The opacity of a cell, so that text can be read on it.
const TINT: f64 = 0.45;

/// The grid.
#[derive(Clone, Debug)]
pub(crate) struct ChoiceMap {
    /// The title of the columns.
    pub x_title: String,
    /// The title of the rows.
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
pub(crate) fn draw(words: ChartText, map: &ChoiceMap) -> Chart {
    frame::chart(words, &legend_keys(), TITLE_HEIGHT + HEIGHT + AXIS_HEIGHT, |paper| {
        let title = BOLD.shorten(&map.y_title, frame::size(paper).0 - MARGIN);
        paper.draw_text(
            &title,
            &BOLD.to_text_style(HPos::Left, VPos::Bottom),
            (0, TITLE_HEIGHT - 100),
        )?;
        let names: Vec<_> =
            map.rows.iter().map(|name| SMALL.shorten(name, MAX_ROW_NAME_WIDTH)).collect();
        let left = SMALL.widest(&names) + 80;
        let grid = paper.margin(TITLE_HEIGHT, AXIS_HEIGHT, left, MARGIN);
        let parts = grid.split_evenly((map.rows.len(), map.columns.len()));
        // plotters begins at the top.
        let rows: Vec<&[Canvas]> = parts.chunks(map.columns.len().max(1)).rev().collect();
        for (row, parts) in rows.iter().enumerate() {
            for (column, part) in parts.iter().enumerate() {
                draw_cell(part, map.cells[column][row].as_ref())?;
            }
        }
        name_rows(&rows, &names)?;
        name_columns(rows.first().copied().unwrap_or_default(), &map.columns)?;
        frame::draw_x_title(&grid, &map.x_title)
    })
}

fn legend_keys() -> Vec<(LegendKey, String)> {
    let level = |qos| (LegendKey::Fill(palette::qos(qos).mix(TINT).filled()), format!("QoS {qos}"));
    let none = (LegendKey::Hatched(hatch_style()), "none meets all needs".to_owned());
    QoS::ALL.map(level).into_iter().chain([none]).collect()
}

fn hatch_style() -> ShapeStyle {
    palette::MUTED.stroke_width(8)
}

fn draw_cell(cell: &Canvas, choice: Option<&(QoS, String)>) -> DrawResult {
    let (width, height) = frame::size(cell);
    // A gap between cells, unless they are too small for one.
    let slit = if width.min(height) > 80 { 10 } else { 0 };
    let inner = cell.margin(slit, slit, slit, slit);
    let (width, height) = frame::size(&inner);
    let Some((qos, number)) = choice else {
        return inner.draw(&HatchPattern([(0, 0), (width, height)], hatch_style()));
    };
    inner.fill(&palette::qos(*qos).mix(TINT))?;
    let (x, y) = (width / 2, height / 2);
    let (bold, plain) = (
        BOLD.to_text_style(HPos::Center, VPos::Center),
        SMALL.to_text_style(HPos::Center, VPos::Center),
    );
    let (name, digit) = (format!("QoS {qos}"), qos.to_string());
    let (wide, high) = (BOLD.width(&name).max(SMALL.width(number)), BOLD.height());
    if wide + 60 <= width && 2 * high + 60 <= height {
        inner.draw_text(&name, &bold, (x, y - 80))?;
        inner.draw_text(number, &plain, (x, y + 80))
    } else if high <= height && BOLD.width(&digit) + 60 <= width {
        inner.draw_text(&digit, &bold, (x, y))
    } else if width.min(height) > 90 {
        inner.draw(&point_marker(*qos, (x, y)))
    } else {
        Ok(())
    }
}

/// Names as many columns, below the lowest cells, as there is room for.
fn name_columns(cells: &[Canvas], names: &[String]) -> DrawResult {
    let mut free_from = i32::MIN;
    for (cell, name) in cells.iter().zip(names) {
        let name = SMALL.shorten(name, MAX_COLUMN_NAME_WIDTH);
        let ((width, height), half) = (frame::size(cell), SMALL.width(&name) / 2);
        let x = cell.get_base_pixel().0 + width / 2;
        if x - half > free_from && x + half < WIDTH {
            let style = SMALL.to_text_style(HPos::Center, VPos::Bottom);
            cell.draw_text(&name, &style, (width / 2, height + 170))?;
            free_from = x + half + 80;
        }
    }
    Ok(())
}

/// Names as many rows, before the first cells, as there is room for.
fn name_rows(rows: &[&[Canvas]], names: &[String]) -> DrawResult {
    let mut free_below = i32::MAX;
    for (cell, name) in rows.iter().filter_map(|row| row.first()).zip(names) {
        let middle = frame::size(cell).1 / 2;
        let y = cell.get_base_pixel().1 + middle;
        if y < free_below {
            cell.draw_text(name, &SMALL.to_text_style(HPos::Right, VPos::Center), (-60, middle))?;
            free_below = y - 150;
        }
    }
    Ok(())
}
