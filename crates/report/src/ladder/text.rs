//! A ladder for a terminal of 80 columns.

use super::{Ladder, Mark, Row, Sign, Tone};
use crate::style::Style;
use crate::table::wrap;

const WIDTH: usize = 80;
/// Before the times.
const INDENT: usize = 2;
/// What an arrow needs besides its label: a space on both sides, a shaft and a head.
const ARROW: usize = 6;
/// Notes that have less room beside the lines stand below them.
const LEAST_NOTE: usize = 16;

/// The ladder as lines of text, none wider than 80 columns.
#[must_use]
pub fn text(ladder: &Ladder, style: Style) -> String {
    let layout = Layout::of(ladder);
    let mut text = format!("  {}\n\n", style.strong(&ladder.title));
    text += &layout.header(ladder, style);
    let mut down = vec![false; ladder.columns.len()];
    for row in &ladder.rows {
        text += &layout.row(row, &mut down, style);
    }
    for sentence in &ladder.left_out {
        for line in wrap(sentence, WIDTH - INDENT) {
            text += &format!("  {}\n", style.faint(&line));
        }
    }
    text
}

/// Where everything stands.
struct Layout {
    /// How wide times are.
    times: usize,
    /// Between the lines of two nodes.
    gap: usize,
    columns: usize,
}

/// A character and how it is painted.
#[derive(Clone, Copy)]
struct Cell(char, Paint);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Paint {
    Plain,
    Faint,
    Good,
    Again,
    Bad,
}

impl Layout {
    fn of(ladder: &Ladder) -> Self {
        let width = |text: &str| text.chars().count();
        let times = ladder.rows.iter().map(|row| width(&time(row))).max().unwrap_or(0).max(5);
        let columns = ladder.columns.len();
        let labels = ladder.rows.iter().map(|row| match &row.mark {
            Mark::Arrow { label, .. } => width(label),
            _ => 0,
        });
        let names = ladder.columns.iter().map(|column| width(&column.name));
        let wanted = labels.max().unwrap_or(0).max(names.max().unwrap_or(0)) + ARROW;
        let room = WIDTH - INDENT - times - 3;
        let most = (room / columns.saturating_sub(1).max(1)).saturating_sub(1);
        Self { times, gap: wanted.min(most), columns }
    }

    /// Where a node's line is.
    const fn line(&self, column: usize) -> usize {
        INDENT + self.times + 2 + column * (self.gap + 1)
    }

    /// Where the notes begin; `None` where they stand below.
    const fn notes(&self) -> Option<usize> {
        let from = self.line(self.columns.saturating_sub(1)) + 3;
        if from + LEAST_NOTE <= WIDTH { Some(from) } else { None }
    }

    fn header(&self, ladder: &Ladder, style: Style) -> String {
        let mut line =
            format!("{:indent$}{:>times$}", "", "t/s", indent = INDENT, times = self.times);
        for (nth, column) in ladder.columns.iter().enumerate() {
            let name = shorten(&column.name, self.gap.saturating_sub(1));
            let half = if nth == 0 { 0 } else { name.chars().count() / 2 };
            let last = WIDTH.saturating_sub(name.chars().count());
            let from = (self.line(nth) - half).min(last);
            let gap = from.saturating_sub(line.chars().count());
            line.extend(std::iter::repeat_n(' ', gap));
            line += &name;
        }
        format!("{}\n", style.strong(&line))
    }

    fn row(&self, row: &Row, down: &mut [bool], style: Style) -> String {
        let mut cells = self.lines(down);
        let mut note = row.note.clone();
        match &row.mark {
            Mark::Arrow { from, to, label, arrives, is_echo } => {
                let label = if label.chars().count() + ARROW > self.gap {
                    note = if note.is_empty() { label.clone() } else { format!("{label}: {note}") };
                    label.split(' ').next().unwrap_or_default()
                } else {
                    label
                };
                let ends = (self.line(*from), self.line(*to));
                arrow(&mut cells, ends, label, (arrives.is_some(), *is_echo), paint(row.tone));
            }
            Mark::At(column, sign) => {
                let place = self.line(*column);
                cells[place] = Cell(character(*sign), paint(row.tone));
                if row.tone == Tone::Broken && *sign == Sign::Deliver {
                    cells[place + 1] = Cell('✗', Paint::Bad);
                }
                down[*column] = match sign {
                    Sign::Crash => true,
                    Sign::Restart => false,
                    _ => down[*column],
                };
            }
            Mark::Between(from, to, sign) => {
                let (from, to) = (self.line(*from), self.line(*to));
                cells[from + 1..to].fill(Cell('╌', paint(row.tone)));
                if *sign == Sign::Cut {
                    cells[from] = Cell('╳', Paint::Bad);
                    cells[to] = Cell('╳', Paint::Bad);
                }
            }
            Mark::Across => {
                let (from, to) = (self.line(0), self.line(self.columns.saturating_sub(1)));
                cells[from..=to].fill(Cell('┄', Paint::Faint));
            }
        }
        let time =
            format!("{:indent$}{:>times$}", "", time(row), indent = INDENT, times = self.times);
        let lines = [style.faint(&time), painted(&cells[time.chars().count()..], style)].concat();
        self.noted(&lines, &note, down, row.tone, style)
    }

    /// A line of nodes with its note beside or below it.
    fn noted(&self, line: &str, note: &str, down: &[bool], tone: Tone, style: Style) -> String {
        let said = |text: &str| match tone {
            Tone::Broken => style.bad(text),
            _ => text.to_owned(),
        };
        let Some(from) = self.notes() else {
            let mut text = format!("{}\n", line.trim_end());
            let from = self.line(0) + 2;
            for part in broken(note, WIDTH - from) {
                text += &format!("{:from$}{}\n", "", said(&part));
            }
            return text;
        };
        let mut text = String::new();
        let parts = broken(note, WIDTH - from);
        for nth in 0..parts.len().max(1) {
            let more = painted(&self.lines(down), style);
            let line = if nth == 0 { line } else { &more };
            match parts.get(nth) {
                Some(part) => text += &format!("{line}{}\n", said(part)),
                None => text += &format!("{}\n", line.trim_end()),
            }
        }
        text
    }

    /// The lines of all nodes, up to where the notes begin.
    fn lines(&self, down: &[bool]) -> Vec<Cell> {
        let mut cells =
            vec![Cell(' ', Paint::Plain); self.line(self.columns.saturating_sub(1)) + 3];
        for (column, down) in down.iter().enumerate() {
            cells[self.line(column)] = Cell(if *down { '┊' } else { '│' }, Paint::Faint);
        }
        cells
    }
}

/// An arrow from one line to another; one that never arrives ends in a cross on its way.
fn arrow(
    cells: &mut [Cell],
    (from, to): (usize, usize),
    label: &str,
    (arrives, is_echo): (bool, bool),
    paint: Paint,
) {
    let length = label.chars().count();
    let stroke = Cell(if is_echo { '╌' } else { '─' }, paint);
    let (shaft, head, text) = if from < to {
        (from + length + 3..to - 1, to - 1, from + 2)
    } else {
        (to + 2..from - length - 2, to + 1, from - 1 - length)
    };
    for (nth, char) in label.chars().enumerate() {
        cells[text + nth] = Cell(char, paint);
    }
    if arrives {
        cells[shaft].fill(stroke);
        cells[head] = Cell(if from < to { '▶' } else { '◀' }, paint);
        return;
    }
    let middle = shaft.start + shaft.len() / 2;
    let flown = if from < to { shaft.start..middle } else { middle + 1..shaft.end };
    cells[flown].fill(stroke);
    cells[middle] = Cell('✗', paint);
}

fn time(row: &Row) -> String {
    row.at.to_string().trim_end_matches('s').to_owned()
}

const fn character(sign: Sign) -> char {
    match sign {
        Sign::Publish => '●',
        Sign::Deliver => '■',
        Sign::Complete => '✓',
        Sign::Gone => '✗',
        Sign::Cut | Sign::Crash => '╳',
        Sign::Restart => '○',
        Sign::Down | Sign::Up => '╌',
        Sign::Rule => '!',
    }
}

const fn paint(tone: Tone) -> Paint {
    match tone {
        Tone::Plain => Paint::Plain,
        Tone::Good => Paint::Good,
        Tone::Again => Paint::Again,
        Tone::Bad | Tone::Broken => Paint::Bad,
    }
}

/// Cells as text; those painted alike share their escape sequences.
fn painted(cells: &[Cell], style: Style) -> String {
    let runs = cells.chunk_by(|one, next| one.1 == next.1);
    runs.map(|run| {
        let text: String = run.iter().map(|cell| cell.0).collect();
        match run[0].1 {
            Paint::Plain => text,
            Paint::Faint => style.faint(&text),
            Paint::Good => style.good(&text),
            Paint::Again => style.doubtful(&text),
            Paint::Bad => style.bad(&text),
        }
    })
    .collect()
}

/// A text in lines of at most this width; words that are longer are broken.
fn broken(text: &str, width: usize) -> Vec<String> {
    let lines = wrap(text, width);
    let broken = lines.iter().flat_map(|line| {
        let chars: Vec<char> = line.chars().collect();
        chars.chunks(width).map(|part| part.iter().collect()).collect::<Vec<String>>()
    });
    broken.collect()
}

fn shorten(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}
