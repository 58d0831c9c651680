//! A ladder for a terminal of 80 columns.

use super::{Ladder, LadderRow, RowShape, RowStyle, Symbol};
use crate::style::Style;
use crate::table::wrap;

const WIDTH: usize = 80;
/// Margin before the times.
const INDENT: usize = 2;
/// The width of an arrow besides its label: a space on both sides, a shaft and a head.
const ARROW_EXTRA_WIDTH: usize = 6;
/// The minimum width for notes beside the lines; with less room they stand below them.
const MIN_NOTE_WIDTH: usize = 16;

/// The ladder as lines of text, none wider than 80 columns.
#[must_use]
pub fn text(ladder: &Ladder, style: Style) -> String {
    let layout = TextLayout::new(ladder);
    let mut text = format!("  {}\n\n", style.strong(&ladder.title));
    text += &layout.header(ladder, style);
    let mut down = vec![false; ladder.columns.len()];
    for row in &ladder.rows {
        text += &layout.row(row, &mut down, style);
    }
    for sentence in &ladder.omitted {
        for line in wrap(sentence, WIDTH - INDENT) {
            text += &format!("  {}\n", style.muted(&line));
        }
    }
    text
}

/// The layout: positions of all parts.
struct TextLayout {
    /// The width of the times.
    times: usize,
    /// The distance between the lines of two nodes.
    gap: usize,
    columns: usize,
}

/// A character and its style.
#[derive(Clone, Copy)]
struct TextCell(char, CellColour);

#[derive(Clone, Copy, PartialEq, Eq)]
enum CellColour {
    Plain,
    Faint,
    Good,
    Warning,
    Error,
}

impl TextLayout {
    fn new(ladder: &Ladder) -> Self {
        let width = |text: &str| text.chars().count();
        let times = ladder.rows.iter().map(|row| width(&time_text(row))).max().unwrap_or(0).max(5);
        let columns = ladder.columns.len();
        let labels = ladder.rows.iter().map(|row| match &row.shape {
            RowShape::Arrow { label, .. } => width(label),
            _ => 0,
        });
        let names = ladder.columns.iter().map(|column| width(&column.name));
        let wanted = labels.max().unwrap_or(0).max(names.max().unwrap_or(0)) + ARROW_EXTRA_WIDTH;
        let room = WIDTH - INDENT - times - 3;
        let most = (room / columns.saturating_sub(1).max(1)).saturating_sub(1);
        Self { times, gap: wanted.min(most), columns }
    }

    /// The column of a node's line.
    const fn column_x(&self, column: usize) -> usize {
        INDENT + self.times + 2 + column * (self.gap + 1)
    }

    /// The column where the notes begin; `None` where they stand below.
    const fn notes_column(&self) -> Option<usize> {
        let from = self.column_x(self.columns.saturating_sub(1)) + 3;
        if from + MIN_NOTE_WIDTH <= WIDTH { Some(from) } else { None }
    }

    fn header(&self, ladder: &Ladder, style: Style) -> String {
        let mut line =
            format!("{:indent$}{:>times$}", "", "t/s", indent = INDENT, times = self.times);
        for (nth, column) in ladder.columns.iter().enumerate() {
            let name = shorten(&column.name, self.gap.saturating_sub(1));
            let half = if nth == 0 { 0 } else { name.chars().count() / 2 };
            let last = WIDTH.saturating_sub(name.chars().count());
            let from = (self.column_x(nth) - half).min(last);
            let gap = from.saturating_sub(line.chars().count());
            line.extend(std::iter::repeat_n(' ', gap));
            line += &name;
        }
        format!("{}\n", style.strong(&line))
    }

    fn row(&self, row: &LadderRow, down: &mut [bool], style: Style) -> String {
        let mut cells = self.column_lines(down);
        let mut note = row.note.clone();
        match &row.shape {
            RowShape::Arrow { from, to, label, arrives, is_duplicate: is_echo } => {
                let label = if label.chars().count() + ARROW_EXTRA_WIDTH > self.gap {
                    note = if note.is_empty() { label.clone() } else { format!("{label}: {note}") };
                    label.split(' ').next().unwrap_or_default()
                } else {
                    label
                };
                let ends = (self.column_x(*from), self.column_x(*to));
                draw_arrow(
                    &mut cells,
                    ends,
                    label,
                    (arrives.is_some(), *is_echo),
                    cell_colour(row.row_style),
                );
            }
            RowShape::AtNode(column, sign) => {
                let place = self.column_x(*column);
                cells[place] = TextCell(symbol_char(*sign), cell_colour(row.row_style));
                if row.row_style == RowStyle::Violation && *sign == Symbol::Deliver {
                    cells[place + 1] = TextCell('✗', CellColour::Error);
                }
                down[*column] = match sign {
                    Symbol::Crash => true,
                    Symbol::Restart => false,
                    _ => down[*column],
                };
            }
            RowShape::BetweenNodes(from, to, sign) => {
                let (from, to) = (self.column_x(*from), self.column_x(*to));
                cells[from + 1..to].fill(TextCell('╌', cell_colour(row.row_style)));
                if *sign == Symbol::ConnectionEnd {
                    cells[from] = TextCell('╳', CellColour::Error);
                    cells[to] = TextCell('╳', CellColour::Error);
                }
            }
            RowShape::AllNodes => {
                let (from, to) = (self.column_x(0), self.column_x(self.columns.saturating_sub(1)));
                cells[from..=to].fill(TextCell('┄', CellColour::Faint));
            }
        }
        let time = format!(
            "{:indent$}{:>times$}",
            "",
            time_text(row),
            indent = INDENT,
            times = self.times
        );
        let lines =
            [style.muted(&time), render_cells(&cells[time.chars().count()..], style)].concat();
        self.with_note(&lines, &note, down, row.row_style, style)
    }

    /// A line of nodes with its note beside or below it.
    fn with_note(
        &self,
        line: &str,
        note: &str,
        down: &[bool],
        row_style: RowStyle,
        style: Style,
    ) -> String {
        let said = |text: &str| match row_style {
            RowStyle::Violation => style.bad(text),
            _ => text.to_owned(),
        };
        let Some(from) = self.notes_column() else {
            let mut text = format!("{}\n", line.trim_end());
            let from = self.column_x(0) + 2;
            for part in wrap_hard(note, WIDTH - from) {
                text += &format!("{:from$}{}\n", "", said(&part));
            }
            return text;
        };
        let mut text = String::new();
        let parts = wrap_hard(note, WIDTH - from);
        for nth in 0..parts.len().max(1) {
            let more = render_cells(&self.column_lines(down), style);
            let line = if nth == 0 { line } else { &more };
            match parts.get(nth) {
                Some(part) => text += &format!("{line}{}\n", said(part)),
                None => text += &format!("{}\n", line.trim_end()),
            }
        }
        text
    }

    /// The lines of all nodes, up to where the notes begin.
    fn column_lines(&self, down: &[bool]) -> Vec<TextCell> {
        let mut cells = vec![
            TextCell(' ', CellColour::Plain);
            self.column_x(self.columns.saturating_sub(1)) + 3
        ];
        for (column, down) in down.iter().enumerate() {
            cells[self.column_x(column)] =
                TextCell(if *down { '┊' } else { '│' }, CellColour::Faint);
        }
        cells
    }
}

/// An arrow from one line to another; one that never arrives ends in a cross on its way.
fn draw_arrow(
    cells: &mut [TextCell],
    (from, to): (usize, usize),
    label: &str,
    (arrives, is_duplicate): (bool, bool),
    paint: CellColour,
) {
    let length = label.chars().count();
    let stroke = TextCell(if is_duplicate { '╌' } else { '─' }, paint);
    let (shaft, head, text) = if from < to {
        (from + length + 3..to - 1, to - 1, from + 2)
    } else {
        (to + 2..from - length - 2, to + 1, from - 1 - length)
    };
    for (nth, char) in label.chars().enumerate() {
        cells[text + nth] = TextCell(char, paint);
    }
    if arrives {
        cells[shaft].fill(stroke);
        cells[head] = TextCell(if from < to { '▶' } else { '◀' }, paint);
        return;
    }
    let middle = shaft.start + shaft.len() / 2;
    let flown = if from < to { shaft.start..middle } else { middle + 1..shaft.end };
    cells[flown].fill(stroke);
    cells[middle] = TextCell('✗', paint);
}

fn time_text(row: &LadderRow) -> String {
    row.at.to_string().trim_end_matches('s').to_owned()
}

const fn symbol_char(symbol: Symbol) -> char {
    match symbol {
        Symbol::Publish => '●',
        Symbol::Deliver => '■',
        Symbol::Complete => '✓',
        Symbol::MessageGone => '✗',
        Symbol::ConnectionEnd | Symbol::Crash => '╳',
        Symbol::Restart => '○',
        Symbol::LinkDown | Symbol::LinkUp => '╌',
        Symbol::BrokenRule => '!',
    }
}

const fn cell_colour(row_style: RowStyle) -> CellColour {
    match row_style {
        RowStyle::Normal => CellColour::Plain,
        RowStyle::Delivery => CellColour::Good,
        RowStyle::Repeat => CellColour::Warning,
        RowStyle::LossOrFault | RowStyle::Violation => CellColour::Error,
    }
}

/// Cells as text; those painted alike share their escape sequences.
fn render_cells(cells: &[TextCell], style: Style) -> String {
    let runs = cells.chunk_by(|one, next| one.1 == next.1);
    runs.map(|run| {
        let text: String = run.iter().map(|cell| cell.0).collect();
        match run[0].1 {
            CellColour::Plain => text,
            CellColour::Faint => style.muted(&text),
            CellColour::Good => style.good(&text),
            CellColour::Warning => style.warning(&text),
            CellColour::Error => style.bad(&text),
        }
    })
    .collect()
}

/// A text in lines of at most this width; words that are longer are broken.
fn wrap_hard(text: &str, width: usize) -> Vec<String> {
    let lines = wrap(text, width);
    let broken = lines.iter().flat_map(|line| {
        let chars: Vec<char> = line.chars().collect();
        chars.chunks(width).map(|part| part.iter().collect()).collect::<Vec<String>>()
    });
    broken.collect()
}

fn shorten(text: &str, max_width: usize) -> String {
    if text.chars().count() <= max_width {
        return text.to_owned();
    }
    text.chars().take(max_width.saturating_sub(1)).chain(['…']).collect()
}
