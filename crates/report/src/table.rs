//! The table of one scenario: one row for each published (and granted) QoS.

use super::describe::ScenarioProperties;
use super::number::percent_bound;
use super::point_summary::PointSummary;
use super::style::Style;
use super::{accounts, bill, describe, escape, labels};
use qoslab_core::base::units::format_count;
use qoslab_guarantee::DeliveryCounts;
use qoslab_study::scenario::Axis;
use qoslab_study::statistics::{to_f64, upper_bound_when_none};
use qoslab_study::{PointResult, ScenarioResult, Study, Verdict};

/// Layout of a table.
#[derive(Clone, Copy, Debug)]
pub struct TableLayout {
    /// Columns of the terminal.
    pub width: usize,
    /// Whether 95 % intervals are shown though they do not fit.
    pub verbose: bool,
    /// Colours.
    pub style: Style,
}

/// The header, the table and its notes.
#[must_use]
pub fn table(result: &ScenarioResult, layout: TableLayout) -> String {
    let of_point = |point| PointSummary::for_point(point).map(move |row| (point, row));
    let rows: Vec<(&PointResult, PointSummary)> = result.points.iter().flat_map(of_point).collect();
    let mut text = heading(result, layout);
    if rows.is_empty() {
        return text;
    }
    if result.is_delivery_untested() {
        text += &caveat(layout);
    }
    let lines: Vec<TableRow<'_>> =
        rows.iter().map(|(_, row)| TableRow { values: Vec::new(), row }).collect();
    text += &grid(&[], &lines, layout);
    text += &table_notes(result, &rows, layout.style);
    text
}

/// The maximum number of cells of a sweep that are printed; the files hold them all.
const MAX_CELLS: usize = 40;

/// The header and the table of a sweep: one row for each cell and QoS.
#[must_use]
pub fn sweep(study: &Study, layout: TableLayout) -> String {
    let Some(first) = study.cells.first() else { return String::new() };
    let mut text = heading(&first.result, layout);
    for axis in &study.axes {
        let [.., last] = axis.values.as_slice() else { continue };
        let (count, first) = (axis.values.len() as u64, &axis.values[0].text);
        let values = super::number::counted(count, "value");
        let line = format!("varies {}: {values} from {first} to {}", axis.path, last.text);
        text += &format!("  {}\n", layout.style.muted(&escape::terminal(&line)));
    }
    if study.is_delivery_untested() {
        text += &caveat(layout);
    }
    let shown = &study.cells[..study.cells.len().min(MAX_CELLS)];
    let rows: Vec<(usize, PointSummary)> = shown
        .iter()
        .enumerate()
        .flat_map(|(nth, cell)| cell.result.points.iter().map(move |point| (nth, point)))
        .flat_map(|(nth, point)| PointSummary::for_point(point).map(move |figures| (nth, figures)))
        .collect();
    // A cell's values stand once, before its first row.
    let is_first = |at: usize| at == 0 || rows[at - 1].0 != rows[at].0;
    let values = |at: usize| -> Vec<String> {
        let values = study.cells[rows[at].0].values.iter();
        values.map(|value| if is_first(at) { value.text.clone() } else { String::new() }).collect()
    };
    let lines: Vec<TableRow<'_>> = rows
        .iter()
        .enumerate()
        .map(|(at, (_, row))| TableRow { values: values(at), row })
        .collect();
    let fields: Vec<&str> = study.axes.iter().map(Axis::field).collect();
    text += &grid(&fields, &lines, layout);
    let left = (study.cells.len() - shown.len()) as u64;
    if left > 0 {
        text +=
            &format!("  and {} more: points.csv has all\n", super::number::counted(left, "cell"));
    }
    text + &sweep_accounts(study)
}

/// Where messages went that were not lost on the way, over all cells.
fn sweep_accounts(study: &Study) -> String {
    let rows = study.points().flat_map(|(_, point)| PointSummary::for_point(point));
    let totals: DeliveryCounts = rows.map(|row| row.totals).sum();
    let mut text = String::new();
    for line in accounts::lines_over_all(&totals) {
        for line in wrap(&format!("all cells: {line}"), 78) {
            text += &format!("  {line}\n");
        }
    }
    text
}

/// A row of a table, after the values of its cell.
struct TableRow<'a> {
    values: Vec<String>,
    row: &'a PointSummary,
}

fn heading(result: &ScenarioResult, layout: TableLayout) -> String {
    let scenario = &result.scenario;
    let mut text = format!("{}\n", layout.style.strong(&escape::terminal(&scenario.name)));
    for line in wrap(&escape::terminal(&scenario.about), layout.width.min(100) - 2) {
        text += &format!("  {line}\n");
    }
    if let Some(point) = scenario.points.first() {
        let ScenarioProperties { mqtt, transport, retry, endpoints } =
            describe::scenario_properties(scenario);
        let rules = format!("MQTT {mqtt}, {transport}, retry {retry}");
        let lines =
            [describe::workload_size(&point.setup), rules, escape::terminal(&endpoints).into()];
        for line in lines.iter().filter(|line| !line.is_empty()) {
            for line in wrap(line, layout.width.min(100) - 2) {
                text += &format!("  {}\n", layout.style.muted(&line));
            }
        }
    }
    if result.was_interrupted() {
        let (done, all) = (result.finished as u64, result.planned as u64);
        let line = format!("partial: {} of {} runs", format_count(done), format_count(all));
        text += &format!("  {}\n", layout.style.warning(&line));
    }
    text
}

fn caveat(layout: TableLayout) -> String {
    let lines = wrap(describe::DELIVERY_UNTESTED, layout.width.min(100) - 2).into_iter();
    lines.flat_map(|line| ["  ".to_owned(), layout.style.warning(&line), "\n".to_owned()]).collect()
}

/// A column's two header lines.
const HEADERS: [[&str; 2]; 13] = [
    ["", "QoS"],
    ["", "delivered"],
    ["", "lost"],
    ["", "dup"],
    ["packets", "/msg"],
    ["bytes", "/msg"],
    ["", "overhead"],
    ["", "p50"],
    ["", "p90"],
    ["", "p95"],
    ["", "p99"],
    ["", "p99.9"],
    ["", "max"],
];

/// The columns without which a table fits into 80 columns.
const WIDE_COLUMNS: [&str; 3] = ["p90", "p95", "p99.9"];

/// Lines of right-aligned columns. Headers need one space between them, values two, so that the
/// table fits into 80 columns.
fn grid(fields: &[&str], rows: &[TableRow<'_>], layout: TableLayout) -> String {
    let detail = TableDetail::that_fits(fields, rows, layout);
    let mut text = String::new();
    for line in lines(fields, rows, detail, layout.style) {
        text += line.trim_end();
        text.push('\n');
    }
    if detail <= TableDetail::Narrow {
        let headers = HEADERS.into_iter().filter(|it| !detail.shows(*it, !fields.is_empty()));
        let left_out: Vec<_> = headers.map(|header| header[1]).collect();
        let note = format!("({} and completion times: points.csv)", left_out.join(", "));
        text += &format!("  {}\n", layout.style.muted(&note));
    }
    text
}

/// How much a table shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum TableDetail {
    /// As `Narrow`, without the longest time, and in a sweep without overhead: where numbers are
    /// large or names long.
    Narrowest,
    /// What fits into 80 columns.
    Narrow,
    /// Every column.
    AllColumns,
    /// Every column, with the 95 % intervals.
    Intervals,
}

impl TableDetail {
    /// The most that fits into the terminal, or all that there is if it is asked for.
    fn that_fits(fields: &[&str], rows: &[TableRow<'_>], layout: TableLayout) -> Self {
        let fits =
            |detail: &Self| widest(&lines(fields, rows, *detail, Style::PLAIN)) <= layout.width;
        match [Self::Intervals, Self::AllColumns, Self::Narrow].into_iter().find(fits) {
            _ if layout.verbose => Self::Intervals,
            detail => detail.unwrap_or(Self::Narrowest),
        }
    }

    /// Whether it shows a column. The longest time makes room for the values that a sweep varies.
    fn shows(self, header: [&str; 2], is_sweep: bool) -> bool {
        let is_narrowest = self == Self::Narrowest;
        let hidden = match header[1] {
            "max" => is_sweep || is_narrowest,
            "overhead" => is_sweep && is_narrowest,
            name => WIDE_COLUMNS.contains(&name),
        };
        self > Self::Narrow || !hidden
    }
}

fn lines(fields: &[&str], rows: &[TableRow<'_>], detail: TableDetail, style: Style) -> Vec<String> {
    let headers: Vec<[&str; 2]> = fields.iter().map(|field| ["", *field]).chain(HEADERS).collect();
    let intervals = detail == TableDetail::Intervals;
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|line| line.values.iter().cloned().chain(cells(line.row, intervals)).collect())
        .collect();
    let is_shown: Vec<bool> = headers
        .iter()
        .enumerate()
        .map(|(nth, header)| nth < fields.len() || detail.shows(*header, !fields.is_empty()))
        .collect();
    let widths: Vec<usize> = headers
        .iter()
        .enumerate()
        .map(|(column, header)| {
            let header = header.iter().map(|text| text.len() + 1).max().unwrap_or(0);
            let values = cells.iter().map(|row| row[column].chars().count() + 2).max().unwrap_or(0);
            header.max(values)
        })
        .collect();
    let line = |cells: &[&str]| {
        let shown = cells.iter().zip(&widths).zip(&is_shown).filter(|(_, is_shown)| **is_shown);
        let padded = shown.map(|((cell, width), _)| format!("{cell:>width$}"));
        format!(" {}", padded.collect::<String>())
    };
    let header = |nth: usize| line(&headers.iter().map(|header| header[nth]).collect::<Vec<_>>());
    let mut lines = vec![style.muted(&header(0)), style.muted(&(header(1) + "  gate"))];
    lines.extend(rows.iter().zip(&cells).map(|(row, cells)| {
        let cells: Vec<&str> = cells.iter().map(String::as_str).collect();
        format!("{}  {}", line(&cells), coloured_verdict(row.row.verdict, style))
    }));
    lines
}

fn cells(row: &PointSummary, intervals: bool) -> Vec<String> {
    let mut delivered = row.delivered_text();
    if intervals && row.totals.units > 0 {
        let (low, high) = (row.delivered.low * 100.0, row.delivered.high * 100.0);
        delivered += &format!(" ({low:.2}..{high:.2})");
    }
    [row.name(), delivered].into_iter().chain(row.table_cells(intervals)).collect()
}

fn widest(lines: &[String]) -> usize {
    lines.iter().map(|line| line.chars().count()).max().unwrap_or(0)
}

/// A verdict in its colour.
#[must_use]
pub fn coloured_verdict(verdict: Verdict, style: Style) -> String {
    let word = labels::verdict_mark(verdict);
    match verdict {
        Verdict::Holds => style.good(word),
        Verdict::Inconclusive => style.warning(word),
        Verdict::Violated | Verdict::NotDeterministic | Verdict::Bug => style.bad(word),
    }
}

/// Notes on the meaning of the numbers, and how much their zeros prove.
fn table_notes(
    result: &ScenarioResult,
    rows: &[(&PointResult, PointSummary)],
    style: Style,
) -> String {
    let runs = rows.iter().map(|(_, row)| row.runs).max().unwrap_or(0);
    let over = super::number::counted(runs, "seed");
    let mut legend = vec![format!("mean per run over {over}")];
    if rows.iter().any(|(_, row)| row.granted.is_some()) {
        legend.push("QoS published/granted".to_owned());
    }
    legend.push("overhead: bytes sent per payload byte delivered".to_owned());
    let mut text = String::new();
    for line in wrap(&format!("({})", legend.join("; ")), 78) {
        text += &format!("  {}\n", style.muted(&line));
    }
    for (at, (point, row)) in rows.iter().enumerate() {
        let mut name = format!("QoS {:<3}", row.name());
        let setup = &result.scenario.points[point.index].setup;
        let accounts = accounts::lines(&row.totals, setup, row.published);
        // What belongs to a whole point stands at its first row.
        let is_first = at == 0 || rows[at - 1].0.index != point.index;
        let bill = if is_first { bill::notes(result, point) } else { Vec::new() };
        for fact in row_notes(row).into_iter().chain(accounts).chain(bill) {
            for line in wrap(&fact, 80 - "  ".len() * 2 - name.len()) {
                text += &format!("  {name}  {line}\n");
                name = " ".repeat(name.len());
            }
        }
    }
    text
}

/// Notes that the columns cannot show: how much a zero proves, as it never stands alone, and the
/// number of copies of a duplicated unit.
fn row_notes(row: &PointSummary) -> Vec<String> {
    let totals = &row.totals;
    if totals.units == 0 {
        return Vec::new();
    }
    let units = format_count(totals.units);
    let bound = percent_bound(upper_bound_when_none(totals.units));
    let zeros = match (totals.lost, totals.duplicated) {
        (0, 0) => Some("lost, 0 duplicated"),
        (0, _) => Some("lost"),
        (_, 0) => Some("duplicated"),
        _ => None,
    };
    let zeros = zeros.map(|zeros| format!("0 of {units} {zeros} (at most {bound} at 95 %)"));
    let copies = (totals.duplicated > 0).then(|| {
        let duplicated = format_count(totals.duplicated);
        format!("{duplicated} of {units} duplicated, {:.1} copies each", copies_each(row))
    });
    zeros.into_iter().chain(copies).collect()
}

fn copies_each(row: &PointSummary) -> f64 {
    1.0 + to_f64(row.totals.extra_copies) / to_f64(row.totals.duplicated)
}

/// Breaks text at spaces into lines of at most `width` characters; a longer word stands alone. A
/// number is not parted from the unit or noun that follows it.
#[must_use]
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut chunks: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match chunks.last_mut() {
            Some(chunk) if chunk.ends_with(|char: char| char.is_ascii_digit()) => {
                chunk.push(' ');
                chunk.push_str(word);
            }
            _ => chunks.push(word.to_owned()),
        }
    }
    let mut lines: Vec<String> = Vec::new();
    for chunk in chunks {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + chunk.chars().count() <= width => {
                line.push(' ');
                line.push_str(&chunk);
            }
            _ => lines.push(chunk),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::wrap;

    #[test]
    fn a_number_stays_with_its_unit() {
        assert_eq!(wrap("retry timer 1 s", 13), ["retry timer", "1 s"]);
        assert_eq!(wrap("retry timer 1 s", 15), ["retry timer 1 s"]);
        assert_eq!(wrap("averylongword a b", 4), ["averylongword", "a b"]);
    }
}
