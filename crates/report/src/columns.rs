//! Tables for programs: each column is its name with its unit, its meaning, and how a row fills it,
//! defined once. CSV, Parquet and the dictionary `docs/columns.md` are made from the same columns,
//! so they cannot disagree.

use std::borrow::Cow;

use ::csv::Writer;

use super::escape;
use qoslab_core::base::Span;

mod identity;
pub mod points;
pub mod trials;

#[cfg(test)]
mod dictionary;

pub use points::points;
pub use trials::trials;

/// A name, what it means, and how its value is found.
type ColumnSpec<F> = (&'static str, &'static str, F);

/// A table: its columns, and its rows in a fixed order.
#[derive(Debug)]
pub struct ColumnTable<'a, R> {
    /// The columns.
    pub columns: Vec<TableColumn<'a, R>>,
    /// The rows.
    pub rows: Vec<R>,
}

/// One column of rows `R`.
pub struct TableColumn<'a, R> {
    /// Its name, with its unit at the end.
    pub name: Cow<'static, str>,
    /// Its meaning.
    pub about: Cow<'static, str>,
    /// The type of its fields.
    pub kind: FieldKind,
    value: Box<dyn Fn(&R) -> FieldValue + 'a>,
}

/// The type of a column's fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldKind {
    /// A text.
    Text,
    /// A whole number.
    Whole,
    /// A number.
    Number,
    /// A time in seconds, `inf` for never.
    Time,
    /// `true` or `false`.
    Flag,
}

/// One field.
#[derive(Clone, Debug, PartialEq)]
pub enum FieldValue {
    /// There is no value.
    Empty,
    /// A text; one from a scenario is not escaped yet.
    Text(String),
    /// A whole number.
    Whole(u64),
    /// A number.
    Number(f64),
    /// A time.
    Time(Span),
    /// A time that never came.
    Never,
    /// `true` or `false`.
    Flag(bool),
}

impl<'a, R> TableColumn<'a, R> {
    /// A column whose fields `value` gives.
    pub fn new(
        kind: FieldKind,
        name: impl Into<Cow<'static, str>>,
        about: impl Into<Cow<'static, str>>,
        value: impl Fn(&R) -> FieldValue + 'a,
    ) -> Self {
        Self { name: name.into(), about: about.into(), kind, value: Box::new(value) }
    }

    /// The column's field of one row.
    #[must_use]
    pub fn field(&self, row: &R) -> FieldValue {
        (self.value)(row)
    }
}

impl<R> std::fmt::Debug for TableColumn<'_, R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Column").field("name", &self.name).finish_non_exhaustive()
    }
}

impl<R> ColumnTable<'_, R> {
    /// The table as CSV (RFC 4180). Times are in seconds with all nine digits, `inf` for never;
    /// an empty field is a value that there is not; a text never starts a formula.
    #[must_use]
    #[expect(clippy::missing_panics_doc, reason = "memory takes every byte")]
    pub fn csv(&self) -> Vec<u8> {
        let mut writer = Writer::from_writer(Vec::new());
        let header = self.columns.iter().map(|column| escape::csv(&column.name).into_owned());
        writer.write_record(header).expect("memory takes every byte");
        for row in &self.rows {
            let fields = self.columns.iter().map(|column| column.field(row).csv());
            writer.write_record(fields).expect("all rows are as long as the header");
        }
        writer.into_inner().expect("memory takes every byte")
    }
}

impl FieldValue {
    fn csv(&self) -> String {
        match self {
            Self::Empty => String::new(),
            Self::Text(text) => escape::csv(text).into_owned(),
            Self::Whole(number) => number.to_string(),
            // The shortest text that reads back as the same number.
            Self::Number(number) => number.to_string(),
            Self::Time(span) => {
                let nanos = span.as_nanos();
                format!("{}.{:09}", nanos / 1_000_000_000, nanos % 1_000_000_000)
            }
            Self::Never => "inf".to_owned(),
            Self::Flag(flag) => flag.to_string(),
        }
    }
}

impl From<u64> for FieldValue {
    fn from(number: u64) -> Self {
        Self::Whole(number)
    }
}

impl From<f64> for FieldValue {
    fn from(number: f64) -> Self {
        if number.is_finite() { Self::Number(number) } else { Self::Empty }
    }
}

impl From<bool> for FieldValue {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}

impl From<String> for FieldValue {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for FieldValue {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<Span> for FieldValue {
    fn from(span: Span) -> Self {
        Self::Time(span)
    }
}

impl<T: Into<Self>> From<Option<T>> for FieldValue {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Empty, Into::into)
    }
}
