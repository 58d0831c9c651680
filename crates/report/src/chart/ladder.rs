//! A ladder of packets: a line for each node, time downwards.
//!
//! Time is not to scale: each thing that happens has its own height, in order, and where nothing
//! happens for long the lines are broken.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

use super::elements::Dashed;
use super::frame::{self, Drawn, Key, MARGIN, Paper, QUIET, SMALL, STRONG, WIDTH, thin};
use super::palette::{AGAIN, FAINT, GROUND, INK, LOST};
use super::{Chart, Words};
use crate::ladder::{Column, Ladder, Mark, Row, Sign, Tone};
use qoslab_core::base::time::Time;

/// The room for times, left of the first line.
const TIMES: i32 = 780;
/// The least and most from one line to the next.
const GAPS: (i32, i32) = (1_150, 2_250);
/// The least room for notes, right of the last line.
const NOTES: i32 = 1_900;
/// Above the lines, for the names.
const HEAD: i32 = 390;
/// From one row to the next.
const ROW: i32 = 280;
/// How far an arrow goes down at least, and how far a lost one gets.
const FALL: i32 = 120;
/// Where nothing happens for long.
const BREAK: i32 = 300;
/// So many times the usual distance is long.
const LONG: u64 = 8;
const LEADING: i32 = 150;
/// At most so many lines of a note.
const NOTE_LINES: usize = 5;
/// Half the width of the shade over a node's line.
const SHADE: i32 = 70;

const DASHES: &str = "6 4";

/// The chart of a ladder.
#[must_use]
pub fn draw(words: Words, ladder: &Ladder) -> Chart {
    let places = Places::of(ladder);
    let height = HEAD + places.end + MARGIN;
    frame::chart(words, &keys(ladder), height, |paper| {
        let paper = paper.margin(0, 0, MARGIN, 0);
        lines(&paper, ladder, &places)?;
        for (nth, row) in ladder.rows.iter().enumerate() {
            mark(&paper, &places, nth, row)?;
        }
        for (nth, row) in ladder.rows.iter().enumerate() {
            words_of(&paper, ladder, &places, nth, row)?;
        }
        Ok(())
    })
}

/// Where everything stands.
struct Places {
    /// The heights of rows.
    rows: Vec<i32>,
    /// The heights at which arrows arrive.
    arrivals: Vec<i32>,
    /// Where the lines are broken, and from when to when.
    breaks: Vec<(i32, Time, Time)>,
    /// From one line to the next.
    gap: i32,
    columns: usize,
    end: i32,
}

/// What has a height of its own: a row, or the arrival of an arrow.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Slot {
    at: Time,
    /// At one time, what arrives comes before what follows from it.
    order: u8,
    row: usize,
}

impl Places {
    fn of(ladder: &Ladder) -> Self {
        let columns = ladder.columns.len();
        let room = WIDTH - 2 * MARGIN - TIMES - NOTES;
        let between = i32::try_from(columns.saturating_sub(1).max(1)).unwrap_or(1);
        let gap = (room / between).clamp(GAPS.0, GAPS.1);
        let nothing = vec![0; ladder.rows.len()];
        let mut places = Self {
            rows: nothing.clone(),
            arrivals: nothing,
            breaks: Vec::new(),
            gap,
            columns,
            end: 0,
        };
        places.fill(ladder);
        places
    }

    fn fill(&mut self, ladder: &Ladder) {
        let slots = slots(ladder);
        let long = usual(&slots).saturating_mul(LONG);
        let (mut y, mut free_from) = (HEAD, HEAD);
        let mut last: Option<Slot> = None;
        for slot in slots {
            let span = last.map_or(0, |last| slot.at.since(last.at).as_nanos());
            if let Some(last) = last.filter(|_| long > 0 && span > long) {
                y = y.max(free_from - ROW) + BREAK;
                self.breaks.push((y - BREAK / 2, last.at, slot.at));
                free_from = free_from.max(y);
            }
            let follows = last.is_some_and(|last| last.order != 1 && last.at == slot.at);
            let step = if follows || last.is_none() { 0 } else { FALL };
            let row = &ladder.rows[slot.row];
            if slot.order == 1 {
                y = (y + step).max(free_from);
                self.rows[slot.row] = y;
                let lines = i32::try_from(self.note(row).len()).unwrap_or(1).max(1);
                free_from = y + ROW + (lines - 1) * LEADING;
            } else {
                y = (y + step).max(self.rows[slot.row] + FALL);
                self.arrivals[slot.row] = y;
            }
            last = Some(slot);
        }
        self.end = y.max(free_from) + ROW / 2 - HEAD;
    }

    const fn line(&self, column: usize) -> i32 {
        #[expect(clippy::cast_possible_wrap, clippy::cast_possible_truncation, reason = "a few")]
        let column = column as i32;
        TIMES + column * self.gap
    }

    const fn last_line(&self) -> i32 {
        self.line(self.columns.saturating_sub(1))
    }

    const fn notes(&self) -> i32 {
        self.last_line() + 200
    }

    fn note(&self, row: &Row) -> Vec<String> {
        // As for titles: another font may be wider.
        let room = (WIDTH - 2 * MARGIN - self.notes()) * 7 / 8;
        let lines = SMALL.wrap(&row.note, room, NOTE_LINES);
        lines.into_iter().filter(|line| !line.is_empty()).collect()
    }
}

fn slots(ladder: &Ladder) -> Vec<Slot> {
    let mut slots = Vec::new();
    for (nth, row) in ladder.rows.iter().enumerate() {
        slots.push(Slot { at: row.at, order: 1, row: nth });
        if let Mark::Arrow { arrives: Some(at), is_echo: false, .. } = row.mark {
            slots.push(Slot { at, order: if at > row.at { 0 } else { 2 }, row: nth });
        }
    }
    slots.sort_unstable();
    slots
}

/// The middle of the distances in time, in nanoseconds.
fn usual(slots: &[Slot]) -> u64 {
    let distances = slots.windows(2).map(|two| two[1].at.since(two[0].at).as_nanos());
    let mut distances: Vec<u64> = distances.filter(|nanos| *nanos > 0).collect();
    distances.sort_unstable();
    distances.get(distances.len() / 2).copied().unwrap_or(0)
}

// ---- the lines of nodes ----

fn lines(paper: &Paper, ladder: &Ladder, places: &Places) -> Drawn {
    let end = HEAD + places.end;
    for (nth, Column { name, .. }) in ladder.columns.iter().enumerate() {
        let x = places.line(nth);
        for (from, until) in troubles(ladder, places, nth) {
            let shade = FAINT.mix(0.22).filled();
            paper.draw(&Rectangle::new([(x - SHADE, from), (x + SHADE, until)], shade))?;
        }
        paper.draw(&PathElement::new([(x, HEAD - 150), (x, end)], INK.stroke_width(12)))?;
        let name = STRONG.shorten(name, places.gap - 100);
        paper.draw_text(&name, &STRONG.at(HPos::Center, VPos::Bottom), (x, HEAD - 200))?;
    }
    for (y, from, until) in &places.breaks {
        for nth in 0..ladder.columns.len() {
            let x = places.line(nth);
            let gap = [(x - 30, y - 60), (x + 30, y + 60)];
            paper.draw(&Rectangle::new(gap, GROUND.filled()))?;
            for shift in [-60, 60] {
                let stroke = [(x - 50, y + shift + 20), (x + 50, y + shift - 20)];
                paper.draw(&PathElement::new(stroke, thin(INK)))?;
            }
        }
        let text = format!("+{}", until.since(*from));
        paper.draw_text(&text, &QUIET.at(HPos::Right, VPos::Center), (TIMES - 160, *y))?;
    }
    Ok(())
}

/// From where to where a node was down, or its link was.
fn troubles(ladder: &Ladder, places: &Places, column: usize) -> Vec<(i32, i32)> {
    let mut found = Vec::new();
    let mut since = None;
    for (row, y) in ladder.rows.iter().zip(&places.rows) {
        let sign = match row.mark {
            Mark::At(at, sign) if at == column => sign,
            // A link's trouble is its client's: one of its ends is the broker.
            Mark::Between(one, other, sign)
                if [one, other].contains(&column) && !ladder.is_broker(column) =>
            {
                sign
            }
            _ => continue,
        };
        match sign {
            Sign::Crash | Sign::Down => since = since.or(Some(*y)),
            Sign::Restart | Sign::Up => found.extend(since.take().map(|from| (from, *y))),
            _ => {}
        }
    }
    found.extend(since.map(|from| (from, HEAD + places.end)));
    found
}

// ---- what happens ----

fn colour(tone: Tone) -> RGBColor {
    match tone {
        Tone::Plain | Tone::Good => INK,
        Tone::Again => AGAIN,
        Tone::Bad | Tone::Broken => LOST,
    }
}

fn mark(paper: &Paper, places: &Places, nth: usize, row: &Row) -> Drawn {
    let y = places.rows[nth];
    match &row.mark {
        Mark::Arrow { from, to, arrives, is_echo, .. } => {
            let (from, to) = (places.line(*from), places.line(*to));
            if *is_echo {
                // The copy was sent long ago: only its end is drawn.
                let start = (from + (to - from) * 2 / 3, y - FALL / 2);
                return arrow(paper, start, (to, y), row.tone, arrives.is_some());
            }
            if arrives.is_some() {
                let end = (to, places.arrivals[nth]);
                return arrow(paper, (from, y), end, row.tone, true);
            }
            let middle = (from + (to - from) * 11 / 20, y + FALL * 2 / 3);
            arrow(paper, (from, y), middle, row.tone, false)
        }
        Mark::At(column, sign) => sign_at(paper, (places.line(*column), y), *sign, row.tone),
        Mark::Between(from, to, sign) => {
            let (from, to) = (places.line(*from), places.line(*to));
            let stroke = colour(row.tone).stroke_width(12);
            paper.draw(&Dashed("3 3", vec![(from, y), (to, y)], stroke))?;
            if *sign == Sign::Cut {
                cross(paper, (from, y), 50)?;
                cross(paper, (to, y), 50)?;
            }
            Ok(())
        }
        Mark::Across => {
            let ends = vec![(places.line(0), y), (places.last_line(), y)];
            paper.draw(&Dashed("2 4", ends, thin(FAINT)))
        }
    }
}

/// An arrow with a head; one that does not arrive is dashed and ends in a cross.
fn arrow(paper: &Paper, from: (i32, i32), to: (i32, i32), tone: Tone, arrives: bool) -> Drawn {
    let width = match tone {
        Tone::Broken => 32,
        Tone::Again | Tone::Bad => 18,
        Tone::Plain | Tone::Good => 13,
    };
    let stroke = colour(tone).stroke_width(width);
    let dashes = if arrives { "" } else { DASHES };
    paper.draw(&Dashed(dashes, vec![from, to], stroke))?;
    if !arrives {
        return cross(paper, to, 60);
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
    paper.draw(&Polygon::new([to, corner(1.0), corner(-1.0)], colour(tone)))
}

fn cross(paper: &Paper, (x, y): (i32, i32), half: i32) -> Drawn {
    let stroke = LOST.stroke_width(20);
    paper.draw(&PathElement::new([(x - half, y - half), (x + half, y + half)], stroke))?;
    paper.draw(&PathElement::new([(x - half, y + half), (x + half, y - half)], stroke))
}

fn sign_at(paper: &Paper, (x, y): (i32, i32), sign: Sign, tone: Tone) -> Drawn {
    let colour = colour(tone);
    match sign {
        Sign::Publish => paper.draw(&Circle::new((x, y), 45, colour.filled())),
        Sign::Deliver => {
            let half = if tone == Tone::Broken { 75 } else { 55 };
            let corners = [(x - half, y - half), (x + half, y + half)];
            paper.draw(&Rectangle::new(corners, colour.filled()))
        }
        Sign::Complete => {
            let tick = [(x - 55, y), (x - 15, y + 45), (x + 60, y - 55)];
            paper.draw(&PathElement::new(tick, colour.stroke_width(22)))
        }
        Sign::Restart => {
            paper.draw(&Circle::new((x, y), 50, GROUND.filled()))?;
            paper.draw(&Circle::new((x, y), 50, colour.stroke_width(15)))
        }
        Sign::Rule => {
            let corners = [(x, y - 70), (x + 65, y + 50), (x - 65, y + 50)];
            paper.draw(&Polygon::new(corners, colour))
        }
        Sign::Gone | Sign::Cut | Sign::Crash | Sign::Down => cross(paper, (x, y), 60),
        Sign::Up => paper.draw(&Circle::new((x, y), 30, colour.filled())),
    }
}

// ---- words ----

/// The time of a row, the label of its arrow, and its note.
fn words_of(paper: &Paper, ladder: &Ladder, places: &Places, nth: usize, row: &Row) -> Drawn {
    let y = places.rows[nth];
    if nth == 0 || ladder.rows[nth - 1].at != row.at {
        let style = QUIET.at(HPos::Right, VPos::Center);
        paper.draw_text(&row.at.to_string(), &style, (TIMES - 160, y))?;
    }
    if let Mark::Arrow { from, to, label, is_echo, .. } = &row.mark
        && !is_echo
    {
        let (left, x) = (from < to, places.line(*from));
        let (x, side) = if left { (x + 110, HPos::Left) } else { (x - 110, HPos::Right) };
        let width = SMALL.width(label);
        let from = if left { x } else { x - width };
        let corners = [(from - 20, y - 135), (from + width + 20, y - 15)];
        paper.draw(&Rectangle::new(corners, GROUND.mix(0.85).filled()))?;
        let style = SMALL.coloured(colour(row.tone)).at(side, VPos::Bottom);
        paper.draw_text(label, &style, (x, y - 25))?;
    }
    let set = match row.tone {
        Tone::Broken => STRONG.coloured(LOST),
        Tone::Bad => SMALL.coloured(LOST),
        _ => SMALL,
    };
    let mut line_y = y;
    for line in places.note(row) {
        let style = set.at(HPos::Left, VPos::Center);
        paper.draw_text(&line, &style, (places.notes(), line_y))?;
        line_y += LEADING;
    }
    Ok(())
}

/// The legend: what of it the ladder has.
fn keys(ladder: &Ladder) -> Vec<(Key, String)> {
    let has = |wanted: &dyn Fn(&Row) -> bool| ladder.rows.iter().any(wanted);
    let is_arrow = |row: &Row| matches!(row.mark, Mark::Arrow { .. });
    let is_shaded = |row: &Row| match row.mark {
        Mark::At(_, sign) | Mark::Between(_, _, sign) => matches!(sign, Sign::Crash | Sign::Down),
        _ => false,
    };
    let lost = Key::Line(LOST.stroke_width(18), DASHES);
    let again = Key::Line(AGAIN.stroke_width(18), "");
    let broke = Key::Line(LOST.stroke_width(32), "");
    let down = Key::Fill(FAINT.mix(0.22).filled());
    let all: [(Key, &str, bool); 4] = [
        (lost, "lost", has(&|row| is_arrow(row) && row.tone == Tone::Bad)),
        (again, "sent or delivered again", has(&|row| row.tone == Tone::Again)),
        (broke, "broke a promise", has(&|row| is_arrow(row) && row.tone == Tone::Broken)),
        (down, "down", has(&is_shaded)),
    ];
    let wanted = all.into_iter().filter(|(.., is_there)| *is_there);
    wanted.map(|(key, word, _)| (key, word.to_owned())).collect()
}
