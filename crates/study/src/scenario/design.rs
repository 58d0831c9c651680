//! A design of points as CSV, for `--points`: a column for each field, a row for each cell.

use super::axis::{Axis, AxisValue};
use super::problem::Problem;
use super::vary::{MAX_CELLS, too_many_cells};

/// Reads a design: the first row names fields by their paths, each further row has a value for
/// each, as a scenario file writes it. Lines that begin with `#` are passed over. The axes have
/// the values in the order in which they first come.
///
/// # Errors
/// If a column names no numeric field or stands there twice, a value is none, a row is too short,
/// too long or stands there twice, or there are none or too many.
pub fn parse_design(text: &str) -> Result<(Vec<Axis>, Vec<Vec<AxisValue>>), Problem> {
    let mut reader = csv::ReaderBuilder::new()
        .comment(Some(b'#'))
        .trim(csv::Trim::All)
        .from_reader(text.trim_start_matches('\u{feff}').as_bytes());
    let paths = reader.headers().map_err(|error| unreadable(&error))?.clone();
    let mut axes: Vec<Axis> = Vec::new();
    let mut cells: Vec<Vec<AxisValue>> = Vec::new();
    for row in reader.records() {
        let row = row.map_err(|error| unreadable(&error))?;
        let line = row.position().map_or(0, csv::Position::line);
        let mut cell = Vec::with_capacity(paths.len());
        for (nth, (path, text)) in paths.iter().zip(&row).enumerate() {
            let one =
                Axis::new(path, text).map_err(|problem| with_location(line, path, problem))?;
            let [value] = one.values.as_slice() else {
                let label = format!("`{text}` is more than one value");
                return Err(with_location(line, path, Problem::new("has a range in a row", label)));
            };
            match axes.get_mut(nth) {
                Some(axis) if !axis.values.contains(value) => axis.values.push(value.clone()),
                Some(_) => {}
                None => axes.push(one.clone()),
            }
            cell.push(value.clone());
        }
        if cells.contains(&cell) {
            let label = format!("line {line} says what a line before it says");
            return Err(Problem::new("has a row twice", label));
        }
        cells.push(cell);
        if cells.len() > MAX_CELLS {
            return Err(too_many_cells(cells.len()));
        }
    }
    for (nth, axis) in axes.iter().enumerate() {
        if axes[..nth].iter().any(|other| other.path == axis.path) {
            let label = format!("`{}` is the head of two columns", axis.path);
            return Err(Problem::new("has a column twice", label));
        }
    }
    if cells.is_empty() {
        return Err(Problem::new("has no rows", "there is nothing below the names of the columns")
            .help("write a field in the first line and values below: link.meter.loss, then 5%"));
    }
    Ok((axes, cells))
}

fn unreadable(error: &csv::Error) -> Problem {
    Problem::new("cannot be read as CSV", error.to_string())
}

/// The same problem, with its place.
fn with_location(line: u64, path: &str, problem: Problem) -> Problem {
    let label = format!("line {line}, column `{path}`: {}", problem.label);
    Problem { label, ..problem }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_cells_and_columns_are_axes() {
        let text =
            "\u{feff}link.meter.loss, client.meter.keep_alive\n# by hand\n5%,1m\n0%,5m\n5%,5m\n";
        let (axes, cells) = parse_design(text).unwrap();
        let texts = |values: &[AxisValue]| -> Vec<String> {
            values.iter().map(|value| value.text.clone()).collect()
        };
        assert_eq!(axes.len(), 2);
        assert_eq!(
            (axes[0].path.as_str(), texts(&axes[0].values)),
            ("link.meter.loss", vec!["5%".into(), "0%".into()])
        );
        let rows: Vec<_> = cells.iter().map(|cell| texts(cell).join(" ")).collect();
        assert_eq!(rows, ["5% 1m", "0% 5m", "5% 5m"]);
    }

    #[test]
    fn an_invalid_design_is_reported_with_its_line() {
        for (text, told) in [
            ("", "no rows"),
            ("link.meter.loss\n", "no rows"),
            ("link.meter.lose\n5%\n", "did you mean `loss`?"),
            ("link.meter.loss\n5%\nsome\n", "line 3"),
            ("link.meter.loss\n1%..5%:1%\n", "more than one value"),
            ("link.meter.loss\n5%\n5 %\n", "line 3 says"),
            ("link.meter.loss,link.meter.loss\n5%,5%\n", "two columns"),
            ("link.meter.loss\n5%,1m\n", "CSV"),
        ] {
            let problem = parse_design(text).unwrap_err();
            let all = format!("{} {} {}", problem.message, problem.label, problem.help);
            assert!(all.contains(told), "{text:?}: {all}");
        }
    }
}
