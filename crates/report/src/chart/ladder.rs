//! A ladder of packets: a line for each node, time downwards.
//!
//! Time is not to scale: each event has its own height, in order, and long intervals without events
//! are shown as breaks of the lines.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

use super::frame::{
    self, BOLD, Canvas, DrawResult, LegendKey, MARGIN, MUTED_TEXT, SMALL, WIDTH, hairline,
};
use super::palette::{BACKGROUND, INK, LOST, MUTED, RESENT};
use super::shapes::Dashed;
use super::{Chart, ChartText};
use crate::ladder::{Ladder, LadderColumn, LadderRow, RowShape, RowStyle, Symbol};
use qoslab_core::base::Time;

/// The room for times, left of the first line.
const TIME_COLUMN_WIDTH: i32 = 780;
/// The minimum and maximum distance from one line to the next.
const COLUMN_GAP_RANGE: (i32, i32) = (1_150, 2_250);
/// The least room for notes, right of the last line.
const NOTES_MIN_WIDTH: i32 = 1_900;
/// The height above the lines, for the names.
const HEADER_HEIGHT: i32 = 390;
/// The distance from one row to the next.
const ROW_HEIGHT: i32 = 280;
/// The minimum descent of an arrow, and how far a lost one gets.
const ARROW_DROP: i32 = 120;
/// The height of a long interval without events.
const BREAK_HEIGHT: i32 = 300;
/// An interval is long from this multiple of the usual distance on.
const LONG_GAP_FACTOR: u64 = 8;
const LEADING: i32 = 150;
/// The maximum number of lines of a note.
const NOTE_LINES: usize = 5;
/// Half the width of the shade over a node's line.
const SHADE_HALF_WIDTH: i32 = 70;

const DASHES: &str = "6 4";

/// The chart of a ladder.
#[must_use]
pub(crate) fn draw(words: ChartText, ladder: &Ladder) -> Chart {
    let layout = LadderLayout::new(ladder);
    let height = HEADER_HEIGHT + layout.end + MARGIN;
    frame::chart(words, &legend_keys(ladder), height, |paper| {
        let paper = paper.margin(0, 0, MARGIN, 0);
        draw_columns(&paper, ladder, &layout)?;
        for (nth, row) in ladder.rows.iter().enumerate() {
            draw_row(&paper, &layout, nth, row)?;
        }
        for (nth, row) in ladder.rows.iter().enumerate() {
            draw_row_text(&paper, ladder, &layout, nth, row)?;
        }
        Ok(())
    })
}

/// The layout: positions of all parts.
struct LadderLayout {
    /// The heights of rows.
    rows: Vec<i32>,
    /// The heights at which arrows arrive.
    arrivals: Vec<i32>,
    /// The breaks of the lines, with the times before and after each.
    breaks: Vec<(i32, Time, Time)>,
    /// The distance from one line to the next.
    gap: i32,
    columns: usize,
    end: i32,
}

/// An element with a height of its own: a row, or the arrival of an arrow.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct LayoutSlot {
    at: Time,
    /// At one time, what arrives comes before what follows from it.
    order: u8,
    row: usize,
}

impl LadderLayout {
    fn new(ladder: &Ladder) -> Self {
        let columns = ladder.columns.len();
        let room = WIDTH - 2 * MARGIN - TIME_COLUMN_WIDTH - NOTES_MIN_WIDTH;
        let between = i32::try_from(columns.saturating_sub(1).max(1)).unwrap_or(1);
        let gap = (room / between).clamp(COLUMN_GAP_RANGE.0, COLUMN_GAP_RANGE.1);
        let nothing = vec![0; ladder.rows.len()];
        let mut places = Self {
            rows: nothing.clone(),
            arrivals: nothing,
            breaks: Vec::new(),
            gap,
            columns,
            end: 0,
        };
        places.lay_out(ladder);
        places
    }

    fn lay_out(&mut self, ladder: &Ladder) {
        let slots = layout_slots(ladder);
        let long = median_time_gap(&slots).saturating_mul(LONG_GAP_FACTOR);
        let (mut y, mut free_from) = (HEADER_HEIGHT, HEADER_HEIGHT);
        let mut last: Option<LayoutSlot> = None;
        for slot in slots {
            let span = last.map_or(0, |last| slot.at.since(last.at).as_nanos());
            if let Some(last) = last.filter(|_| long > 0 && span > long) {
                y = y.max(free_from - ROW_HEIGHT) + BREAK_HEIGHT;
                self.breaks.push((y - BREAK_HEIGHT / 2, last.at, slot.at));
                free_from = free_from.max(y);
            }
            let follows = last.is_some_and(|last| last.order != 1 && last.at == slot.at);
            let step = if follows || last.is_none() { 0 } else { ARROW_DROP };
            let row = &ladder.rows[slot.row];
            if slot.order == 1 {
                y = (y + step).max(free_from);
                self.rows[slot.row] = y;
                let lines = i32::try_from(self.note_lines(row).len()).unwrap_or(1).max(1);
                free_from = y + ROW_HEIGHT + (lines - 1) * LEADING;
            } else {
                y = (y + step).max(self.rows[slot.row] + ARROW_DROP);
                self.arrivals[slot.row] = y;
            }
            last = Some(slot);
        }
        self.end = y.max(free_from) + ROW_HEIGHT / 2 - HEADER_HEIGHT;
    }

    const fn column_x(&self, column: usize) -> i32 {
        #[expect(clippy::cast_possible_wrap, clippy::cast_possible_truncation, reason = "a few")]
        let column = column as i32;
        TIME_COLUMN_WIDTH + column * self.gap
    }

    const fn last_column_x(&self) -> i32 {
        self.column_x(self.columns.saturating_sub(1))
    }

    const fn notes_x(&self) -> i32 {
        self.last_column_x() + 200
    }

    fn note_lines(&self, row: &LadderRow) -> Vec<String> {
        // As for titles: another font may be wider.
        let room = (WIDTH - 2 * MARGIN - self.notes_x()) * 7 / 8;
        let lines = SMALL.wrap(&row.note, room, NOTE_LINES);
        lines.into_iter().filter(|line| !line.is_empty()).collect()
    }
}

fn layout_slots(ladder: &Ladder) -> Vec<LayoutSlot> {
    let mut slots = Vec::new();
    for (nth, row) in ladder.rows.iter().enumerate() {
        slots.push(LayoutSlot { at: row.at, order: 1, row: nth });
        if let RowShape::Arrow { arrives: Some(at), is_duplicate: false, .. } = row.shape {
            slots.push(LayoutSlot { at, order: if at > row.at { 0 } else { 2 }, row: nth });
        }
    }
    slots.sort_unstable();
    slots
}

/// The median of the distances in time, in nanoseconds.
fn median_time_gap(slots: &[LayoutSlot]) -> u64 {
    let distances = slots.windows(2).map(|two| two[1].at.since(two[0].at).as_nanos());
    let mut distances: Vec<u64> = distances.filter(|nanos| *nanos > 0).collect();
    distances.sort_unstable();
    distances.get(distances.len() / 2).copied().unwrap_or(0)
}

// ---- the lines of nodes ----

fn draw_columns(canvas: &Canvas, ladder: &Ladder, layout: &LadderLayout) -> DrawResult {
    let end = HEADER_HEIGHT + layout.end;
    for (nth, LadderColumn { name, .. }) in ladder.columns.iter().enumerate() {
        let x = layout.column_x(nth);
        for (from, until) in down_intervals(ladder, layout, nth) {
            let shade = MUTED.mix(0.22).filled();
            canvas.draw(&Rectangle::new(
                [(x - SHADE_HALF_WIDTH, from), (x + SHADE_HALF_WIDTH, until)],
                shade,
            ))?;
        }
        canvas
            .draw(&PathElement::new([(x, HEADER_HEIGHT - 150), (x, end)], INK.stroke_width(12)))?;
        let name = BOLD.shorten(name, layout.gap - 100);
        canvas.draw_text(
            &name,
            &BOLD.to_text_style(HPos::Center, VPos::Bottom),
            (x, HEADER_HEIGHT - 200),
        )?;
    }
    for (y, from, until) in &layout.breaks {
        for nth in 0..ladder.columns.len() {
            let x = layout.column_x(nth);
            let gap = [(x - 30, y - 60), (x + 30, y + 60)];
            canvas.draw(&Rectangle::new(gap, BACKGROUND.filled()))?;
            for shift in [-60, 60] {
                let stroke = [(x - 50, y + shift + 20), (x + 50, y + shift - 20)];
                canvas.draw(&PathElement::new(stroke, hairline(INK)))?;
            }
        }
        let text = format!("+{}", until.since(*from));
        canvas.draw_text(
            &text,
            &MUTED_TEXT.to_text_style(HPos::Right, VPos::Center),
            (TIME_COLUMN_WIDTH - 160, *y),
        )?;
    }
    Ok(())
}

/// The intervals in which a node or its link was down.
fn down_intervals(ladder: &Ladder, layout: &LadderLayout, column: usize) -> Vec<(i32, i32)> {
    let mut found = Vec::new();
    let mut since = None;
    for (row, y) in ladder.rows.iter().zip(&layout.rows) {
        let sign = match row.shape {
            RowShape::AtNode(at, sign) if at == column => sign,
            // A link's fault is shown at its client: one of its ends is the broker.
            RowShape::BetweenNodes(one, other, sign)
                if [one, other].contains(&column) && !ladder.is_broker(column) =>
            {
                sign
            }
            _ => continue,
        };
        match sign {
            Symbol::Crash | Symbol::LinkDown => since = since.or(Some(*y)),
            Symbol::Restart | Symbol::LinkUp => found.extend(since.take().map(|from| (from, *y))),
            _ => {}
        }
    }
    found.extend(since.map(|from| (from, HEADER_HEIGHT + layout.end)));
    found
}

// ---- what happens ----

fn row_colour(row_style: RowStyle) -> RGBColor {
    match row_style {
        RowStyle::Normal | RowStyle::Delivery => INK,
        RowStyle::Repeat => RESENT,
        RowStyle::LossOrFault | RowStyle::Violation => LOST,
    }
}

fn draw_row(canvas: &Canvas, layout: &LadderLayout, nth: usize, row: &LadderRow) -> DrawResult {
    let y = layout.rows[nth];
    match &row.shape {
        RowShape::Arrow { from, to, arrives, is_duplicate: is_echo, .. } => {
            let (from, to) = (layout.column_x(*from), layout.column_x(*to));
            if *is_echo {
                // The copy was sent long ago: only its end is drawn.
                let start = (from + (to - from) * 2 / 3, y - ARROW_DROP / 2);
                return draw_arrow(canvas, start, (to, y), row.row_style, arrives.is_some());
            }
            if arrives.is_some() {
                let end = (to, layout.arrivals[nth]);
                return draw_arrow(canvas, (from, y), end, row.row_style, true);
            }
            let middle = (from + (to - from) * 11 / 20, y + ARROW_DROP * 2 / 3);
            draw_arrow(canvas, (from, y), middle, row.row_style, false)
        }
        RowShape::AtNode(column, sign) => {
            draw_symbol(canvas, (layout.column_x(*column), y), *sign, row.row_style)
        }
        RowShape::BetweenNodes(from, to, sign) => {
            let (from, to) = (layout.column_x(*from), layout.column_x(*to));
            let stroke = row_colour(row.row_style).stroke_width(12);
            canvas.draw(&Dashed("3 3", vec![(from, y), (to, y)], stroke))?;
            if *sign == Symbol::ConnectionEnd {
                draw_cross(canvas, (from, y), 50)?;
                draw_cross(canvas, (to, y), 50)?;
            }
            Ok(())
        }
        RowShape::AllNodes => {
            let ends = vec![(layout.column_x(0), y), (layout.last_column_x(), y)];
            canvas.draw(&Dashed("2 4", ends, hairline(MUTED)))
        }
    }
}

/// An arrow with a head; one that does not arrive is dashed and ends in a cross.
fn draw_arrow(
    canvas: &Canvas,
    from: (i32, i32),
    to: (i32, i32),
    row_style: RowStyle,
    arrives: bool,
) -> DrawResult {
    let width = match row_style {
        RowStyle::Violation => 32,
        RowStyle::Repeat | RowStyle::LossOrFault => 18,
        RowStyle::Normal | RowStyle::Delivery => 13,
    };
    let stroke = row_colour(row_style).stroke_width(width);
    let dashes = if arrives { "" } else { DASHES };
    canvas.draw(&Dashed(dashes, vec![from, to], stroke))?;
    if !arrives {
        return draw_cross(canvas, to, 60);
    }
    let (across, down) = (f64::from(to.0 - from.0), f64::from(to.1 - from.1));
    let length = (across * across + down * down).sqrt().max(1.0);
    let (across, down) = (across / length, down / length);
    let (long, half) = (110.0, 38.0);
    #[expect(clippy::cast_possible_truncation, reason = "a place in the picture")]
    let corner = |side: f64| {
        let x = f64::from(to.0) - long * across - side * half * down;
        let y = f64::from(to.1) - long * down + side * half * across;
        (x.round() as i32, y.round() as i32)
    };
    canvas.draw(&Polygon::new([to, corner(1.0), corner(-1.0)], row_colour(row_style)))
}

fn draw_cross(canvas: &Canvas, (x, y): (i32, i32), half: i32) -> DrawResult {
    let stroke = LOST.stroke_width(20);
    canvas.draw(&PathElement::new([(x - half, y - half), (x + half, y + half)], stroke))?;
    canvas.draw(&PathElement::new([(x - half, y + half), (x + half, y - half)], stroke))
}

fn draw_symbol(
    canvas: &Canvas,
    (x, y): (i32, i32),
    symbol: Symbol,
    row_style: RowStyle,
) -> DrawResult {
    let colour = row_colour(row_style);
    match symbol {
        Symbol::Publish => canvas.draw(&Circle::new((x, y), 45, colour.filled())),
        Symbol::Deliver => {
            let half = if row_style == RowStyle::Violation { 75 } else { 55 };
            let corners = [(x - half, y - half), (x + half, y + half)];
            canvas.draw(&Rectangle::new(corners, colour.filled()))
        }
        Symbol::Complete => {
            let tick = [(x - 55, y), (x - 15, y + 45), (x + 60, y - 55)];
            canvas.draw(&PathElement::new(tick, colour.stroke_width(22)))
        }
        Symbol::Restart => {
            canvas.draw(&Circle::new((x, y), 50, BACKGROUND.filled()))?;
            canvas.draw(&Circle::new((x, y), 50, colour.stroke_width(15)))
        }
        Symbol::BrokenRule => {
            let corners = [(x, y - 70), (x + 65, y + 50), (x - 65, y + 50)];
            canvas.draw(&Polygon::new(corners, colour))
        }
        Symbol::MessageGone | Symbol::ConnectionEnd | Symbol::Crash | Symbol::LinkDown => {
            draw_cross(canvas, (x, y), 60)
        }
        Symbol::LinkUp => canvas.draw(&Circle::new((x, y), 30, colour.filled())),
    }
}

// ---- words ----

/// The time of a row, the label of its arrow, and its note.
fn draw_row_text(
    canvas: &Canvas,
    ladder: &Ladder,
    layout: &LadderLayout,
    nth: usize,
    row: &LadderRow,
) -> DrawResult {
    let y = layout.rows[nth];
    if nth == 0 || ladder.rows[nth - 1].at != row.at {
        let style = MUTED_TEXT.to_text_style(HPos::Right, VPos::Center);
        canvas.draw_text(&row.at.to_string(), &style, (TIME_COLUMN_WIDTH - 160, y))?;
    }
    if let RowShape::Arrow { from, to, label, is_duplicate: is_echo, .. } = &row.shape
        && !is_echo
    {
        let (left, x) = (from < to, layout.column_x(*from));
        let (x, side) = if left { (x + 110, HPos::Left) } else { (x - 110, HPos::Right) };
        let width = SMALL.width(label);
        let from = if left { x } else { x - width };
        let corners = [(from - 20, y - 135), (from + width + 20, y - 15)];
        canvas.draw(&Rectangle::new(corners, BACKGROUND.mix(0.85).filled()))?;
        let style = SMALL.coloured(row_colour(row.row_style)).to_text_style(side, VPos::Bottom);
        canvas.draw_text(label, &style, (x, y - 25))?;
    }
    let set = match row.row_style {
        RowStyle::Violation => BOLD.coloured(LOST),
        RowStyle::LossOrFault => SMALL.coloured(LOST),
        _ => SMALL,
    };
    let mut line_y = y;
    for line in layout.note_lines(row) {
        let style = set.to_text_style(HPos::Left, VPos::Center);
        canvas.draw_text(&line, &style, (layout.notes_x(), line_y))?;
        line_y += LEADING;
    }
    Ok(())
}

/// The legend: the entries that occur in the ladder.
fn legend_keys(ladder: &Ladder) -> Vec<(LegendKey, String)> {
    let has = |wanted: &dyn Fn(&LadderRow) -> bool| ladder.rows.iter().any(wanted);
    let is_arrow = |row: &LadderRow| matches!(row.shape, RowShape::Arrow { .. });
    let is_shaded = |row: &LadderRow| match row.shape {
        RowShape::AtNode(_, sign) | RowShape::BetweenNodes(_, _, sign) => {
            matches!(sign, Symbol::Crash | Symbol::LinkDown)
        }
        _ => false,
    };
    let lost = LegendKey::Line(LOST.stroke_width(18), DASHES);
    let again = LegendKey::Line(RESENT.stroke_width(18), "");
    let broke = LegendKey::Line(LOST.stroke_width(32), "");
    let down = LegendKey::Fill(MUTED.mix(0.22).filled());
    let all: [(LegendKey, &str, bool); 4] = [
        (lost, "lost", has(&|row| is_arrow(row) && row.row_style == RowStyle::LossOrFault)),
        (again, "sent or delivered again", has(&|row| row.row_style == RowStyle::Repeat)),
        (
            broke,
            "broke a promise",
            has(&|row| is_arrow(row) && row.row_style == RowStyle::Violation),
        ),
        (down, "down", has(&is_shaded)),
    ];
    let wanted = all.into_iter().filter(|(.., is_there)| *is_there);
    wanted.map(|(key, word, _)| (key, word.to_owned())).collect()
}
