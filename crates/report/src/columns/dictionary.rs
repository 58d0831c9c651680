//! `docs/columns.md`: the meaning of each column, generated from the columns themselves.

use std::fmt::Write as _;

use super::{FieldKind, TableColumn, points, trials};
use qoslab_study::fixtures;

const INTRODUCTION: &str = "\
# The columns of `trials.csv` and `points.csv`

Units stand at the ends of the names. A time is in seconds, `inf` where it never came; an empty
field is a value that there is not. A text from a scenario that a spreadsheet would take for a
formula begins with an apostrophe. `parameter_` columns are there for each axis of a sweep; here
it is `link.sensor.loss`. `qoslab sweep --export-parquet` writes the same columns as Parquet, with
empty fields as null and `inf` as infinity.
";

fn kind_name(kind: FieldKind) -> &'static str {
    match kind {
        FieldKind::Text => "text",
        FieldKind::Whole => "whole number",
        FieldKind::Number => "number",
        FieldKind::Time => "seconds",
        FieldKind::Flag => "true or false",
    }
}

fn section<R>(page: &mut String, heading: &str, columns: &[TableColumn<'_, R>]) {
    let _ = write!(page, "\n## {heading}\n\n| column | is | meaning |\n|---|---|---|\n");
    for column in columns {
        let _ =
            writeln!(page, "| `{}` | {} | {} |", column.name, kind_name(column.kind), column.about);
    }
}

/// Run with `QOSLAB_UPDATE=1` to write the page.
#[test]
fn the_dictionary_names_every_column() {
    let study = fixtures::study(&[5], &[1]);
    let (points, trials) = (points(std::slice::from_ref(&study)), trials(&study));
    let mut page = INTRODUCTION.to_owned();
    section(&mut page, "`points.csv`: a row for each point and published QoS", &points.columns);
    section(&mut page, "`trials.csv`: a row for each trial and published QoS", &trials.columns);
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/columns.md");
    if std::env::var_os("QOSLAB_UPDATE").is_some() {
        std::fs::write(path, &page).expect("docs is writable");
    }
    let written = std::fs::read_to_string(path).unwrap_or_default();
    assert!(written == page, "docs/columns.md is stale: run this test with QOSLAB_UPDATE=1");
}
