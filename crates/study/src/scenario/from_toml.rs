//! Reading of types from parsed TOML, so that one pass reports everything that is wrong.
//!
//! Serde's own readers stop at the first error. Here a refused value is reported at once, in our
//! words and at its place, and the reading goes on: without it, with the default, or with a
//! stand-in where its absence would be reported as a second error.

use std::ops::Range;

use serde::de::Unexpected;
use toml::Spanned;
use toml::de::{DeFloat, DeInteger, DeTable, DeValue};
use toml::value::Datetime;

use super::diagnostic::{Diagnostic, Diagnostics, UNKNOWN_FIELD, nearest_name};
use super::problem::Problem;

/// The number of errors after which the rest would only be noise.
pub(super) const MAX_ERRORS: usize = 50;

/// Longer numbers are not repeated in a message.
const MAX_DIGITS: usize = 40;

/// A value of the file, and where it stands.
pub(super) struct Given<'a> {
    /// The field that holds it, or that holds its list.
    pub field: &'a str,
    /// Its bytes in the file.
    pub span: Range<usize>,
    /// The value.
    pub value: &'a DeValue<'a>,
}

/// A type that reads itself from a value of the file.
pub(super) trait FromToml: Sized {
    /// Reads the value. What is wrong with it goes to the reader; then there may be `None`.
    fn from_toml(given: &Given<'_>, reader: &mut Reader<'_>) -> Option<Self>;
}

/// Reads a whole file; what is wrong goes to `errors`. `None` if too little is left to look
/// further.
pub(super) fn read_root<T: FromToml>(
    root: Spanned<DeTable<'_>>,
    errors: &mut Diagnostics,
) -> Option<T> {
    let span = root.span();
    let root = DeValue::Table(root.into_inner());
    let mut reader = Reader { errors, error_count: 0, is_complete: true };
    let read = T::from_toml(&Given { field: "file", span, value: &root }, &mut reader)?;
    (reader.is_complete && reader.error_count < MAX_ERRORS).then_some(read)
}

/// Collects what is wrong with one file while its types read themselves.
pub(super) struct Reader<'e> {
    errors: &'e mut Diagnostics,
    error_count: usize,
    /// Whether all tables have the fields that they need.
    is_complete: bool,
}

impl Reader<'_> {
    /// Adds an error at a place, unless there are too many by now.
    pub(super) fn error(
        &mut self,
        span: &Range<usize>,
        title: impl Into<String>,
        label: impl Into<String>,
    ) -> Option<&mut Diagnostic> {
        if self.error_count >= MAX_ERRORS {
            return None;
        }
        self.error_count += 1;
        Some(self.errors.error(span, title, label))
    }

    /// Says what is wrong with a value.
    pub(super) fn refuse(&mut self, given: &Given<'_>, problem: Problem) {
        let title = format!("{} {}", given.field, problem.message);
        if let Some(error) = self.error(&given.span, title, problem.label) {
            error.help(problem.help);
        }
    }

    /// Says that a value is none of the kind that is wanted.
    pub(super) fn refuse_type(&mut self, given: &Given<'_>, wanted: &str) {
        let label = format!("this is {}", describe(given.value));
        self.refuse(given, Problem::new(format!("must be {wanted}"), label));
    }
}

/// A value in a few words: ``integer `3` ``.
fn describe(value: &DeValue<'_>) -> String {
    let kind = match value {
        DeValue::String(text) => Unexpected::Str(text),
        DeValue::Integer(_) => return format!("integer `{}`", number_text(value)),
        DeValue::Float(number) => Unexpected::Float(float(number)),
        DeValue::Boolean(is_true) => Unexpected::Bool(*is_true),
        DeValue::Datetime(_) => Unexpected::Other("date"),
        DeValue::Array(_) => Unexpected::Seq,
        DeValue::Table(_) => Unexpected::Map,
    };
    kind.to_string()
}

/// A number's digits, if it is one, without those that no reader needs.
pub(super) fn number_text(number: &DeValue<'_>) -> String {
    let text = match number {
        DeValue::Integer(number) => {
            integer(number).map_or_else(|| number.to_string(), |number| number.to_string())
        }
        DeValue::Float(number) => float(number).to_string(),
        _ => String::new(),
    };
    text.get(..MAX_DIGITS).map_or_else(|| text.clone(), |start| format!("{start}..."))
}

/// A whole number, if it can be counted.
pub(super) fn integer(number: &DeInteger<'_>) -> Option<i64> {
    i64::from_str_radix(number.as_str(), number.radix()).ok()
}

/// A number with a point; it may be infinite, or none.
fn float(number: &DeFloat<'_>) -> f64 {
    number.as_str().parse().unwrap_or(f64::NAN)
}

/// One table on its way into its struct, field by field.
pub(super) struct TableReader<'a, 'r, 'e> {
    reader: &'r mut Reader<'e>,
    table: &'a DeTable<'a>,
    span: Range<usize>,
    /// The fields asked for so far.
    known: Vec<&'static str>,
    /// Those of them that are needed, and are not there.
    missing: Vec<&'static str>,
}

impl<'a, 'r, 'e> TableReader<'a, 'r, 'e> {
    /// The table that a value is; any other value is refused.
    pub(super) fn open(given: &Given<'a>, reader: &'r mut Reader<'e>) -> Option<Self> {
        let Some(table) = given.value.as_table() else {
            reader.refuse_type(given, "a table");
            return None;
        };
        let span = given.span.clone();
        Some(Self { reader, table, span, known: Vec::new(), missing: Vec::new() })
    }

    /// A field that must be there. `stand_in`, in TOML, takes the place of a refused value.
    pub(super) fn needed<T: FromToml>(
        &mut self,
        field: &'static str,
        stand_in: Option<&str>,
    ) -> Option<T> {
        let is_given = self.table.contains_key(field);
        let read = self.read(field, stand_in);
        if !is_given {
            self.missing.push(field);
        }
        self.reader.is_complete &= read.is_some();
        read
    }

    /// A field that may be left out.
    pub(super) fn optional<T: FromToml>(
        &mut self,
        field: &'static str,
        stand_in: Option<&str>,
        default: T,
    ) -> T {
        self.read(field, stand_in).unwrap_or(default)
    }

    fn read<T: FromToml>(&mut self, field: &'static str, stand_in: Option<&str>) -> Option<T> {
        self.known.push(field);
        let value = self.table.get(field)?;
        let (span, value) = (value.span(), value.get_ref());
        T::from_toml(&Given { field, span: span.clone(), value }, self.reader).or_else(|| {
            let stand_in = DeValue::parse(stand_in?).expect("stand-ins are TOML");
            T::from_toml(&Given { field, span, value: stand_in.get_ref() }, self.reader)
        })
    }

    /// Reports unknown fields, and a needed one that is not there: only the first, since often its
    /// whole section was forgotten. A misspelt field is not reported as missing too.
    pub(super) fn close(mut self) {
        for key in self.table.keys() {
            let name = key.get_ref().as_ref();
            if self.known.contains(&name) {
                continue;
            }
            let title = format!("there is no field `{name}` here");
            if let Some(error) = self.reader.error(&key.span(), title, UNKNOWN_FIELD) {
                error.suggest_name(name, &self.known);
                let meant = nearest_name(name, &self.known);
                self.missing.retain(|missing| Some(*missing) != meant);
            }
        }
        if let Some(name) = self.missing.first() {
            let (title, label) =
                (format!("the field `{name}` is missing"), format!("`{name}` is needed here"));
            let error = self.reader.error(&self.span, title, label);
            if let Some((error, help)) = error.zip(help_for_missing(name)) {
                error.help(help);
            }
        }
    }
}

/// What to write for a needed field whose value is not plain from its name.
fn help_for_missing(field: &str) -> Option<&'static str> {
    match field {
        "schema" => Some("write `schema = 1`: the version of the format"),
        "transport" => Some(
            "write `transport = \"tcp\"` for MQTT as it is, in which loss costs time; or \
             `transport = \"datagram\"` for MQTT-SN and the textbook picture, in which each \
             packet may be lost",
        ),
        _ => None,
    }
}

/// Reads a table into a struct, field by field, in the order of the struct.
///
/// A field is needed, unless ` = DEFAULT` follows it; with `or default` behind the struct's name
/// each may be left out. `or "TOML"` is what stands in for a refused value, and `as "NAME"` what
/// the field is called in the file.
macro_rules! read_table {
    ($table:ident or default { $(
        $field:ident $(as $name:literal)? $(or $stand_in:literal)?
    ),+ $(,)? }) => {
        impl $crate::scenario::from_toml::FromToml for $table {
            fn from_toml(
                given: &$crate::scenario::from_toml::Given<'_>,
                reader: &mut $crate::scenario::from_toml::Reader<'_>,
            ) -> Option<Self> {
                let mut table = $crate::scenario::from_toml::TableReader::open(given, reader)?;
                let default = Self::default();
                let read = Self { $($field: table.optional(
                    read_table!(@name $field $($name)?),
                    read_table!(@stand_in $($stand_in)?),
                    default.$field,
                ),)+ };
                table.close();
                Some(read)
            }
        }
    };
    ($table:ident { $(
        $field:ident $(as $name:literal)? $(or $stand_in:literal)? $(= $default:expr)?
    ),+ $(,)? }) => {
        impl $crate::scenario::from_toml::FromToml for $table {
            fn from_toml(
                given: &$crate::scenario::from_toml::Given<'_>,
                reader: &mut $crate::scenario::from_toml::Reader<'_>,
            ) -> Option<Self> {
                let mut table = $crate::scenario::from_toml::TableReader::open(given, reader)?;
                $(let $field = read_table!(
                    @field table,
                    read_table!(@name $field $($name)?),
                    read_table!(@stand_in $($stand_in)?)
                    $(, $default)?
                );)+
                table.close();
                Some(Self { $($field: $field?,)+ })
            }
        }
    };
    (@field $table:ident, $name:expr, $stand_in:expr) => { $table.needed($name, $stand_in) };
    (@field $table:ident, $name:expr, $stand_in:expr, $default:expr) => {
        Some($table.optional($name, $stand_in, $default))
    };
    (@name $field:ident) => { stringify!($field) };
    (@name $field:ident $name:literal) => { $name };
    (@stand_in) => { None };
    (@stand_in $stand_in:literal) => { Some($stand_in) };
}
pub(super) use read_table;

/// Reads a table with one entry into the variant of that name.
macro_rules! read_entry {
    ($table:ident { $($name:literal => $variant:ident),+ $(,)? }) => {
        impl $crate::scenario::from_toml::FromToml for $table {
            fn from_toml(
                given: &$crate::scenario::from_toml::Given<'_>,
                reader: &mut $crate::scenario::from_toml::Reader<'_>,
            ) -> Option<Self> {
                let entry = $crate::scenario::from_toml::only_entry(given, &[$($name),+], reader)?;
                match entry.field {
                    $($name => FromToml::from_toml(&entry, reader).map(Self::$variant),)+
                    _ => None,
                }
            }
        }
    };
}
pub(super) use read_entry;

/// The only entry of a table, which must have one of the known names.
pub(super) fn only_entry<'a>(
    given: &Given<'a>,
    known: &[&str],
    reader: &mut Reader<'_>,
) -> Option<Given<'a>> {
    let Some(table) = given.value.as_table() else {
        reader.refuse_type(given, "a table");
        return None;
    };
    if table.is_empty() {
        let problem = Problem::new("must say one thing", "this is not one known word or entry");
        let help = format!("write it as in `{} = {{ WORD = .. }}`, with one word", given.field);
        reader.refuse(given, problem.help(help));
    }
    let mut entries = Vec::new();
    for (key, value) in table {
        let name = key.get_ref().as_ref();
        if known.contains(&name) {
            entries.push(Given { field: name, span: value.span(), value: value.get_ref() });
        } else if let Some(error) =
            reader.error(&key.span(), format!("there is no `{name}` here"), "unknown word")
        {
            error.suggest_name(name, known);
        }
    }
    if entries.len() > 1 {
        let problem = Problem::new("must say one thing", "there are several entries");
        reader.refuse(given, problem.help("leave all but one out"));
        return None;
    }
    entries.pop()
}

/// Reads a word into the variant that it stands for.
macro_rules! read_word {
    ($keyword:ident { $($variant:ident = $word:literal),+ $(,)? }) => {
        impl $crate::scenario::from_toml::FromToml for $keyword {
            fn from_toml(
                given: &$crate::scenario::from_toml::Given<'_>,
                reader: &mut $crate::scenario::from_toml::Reader<'_>,
            ) -> Option<Self> {
                match $crate::scenario::from_toml::known_word(given, &[$($word),+], reader)? {
                    $($word => Some(Self::$variant),)+
                    _ => None,
                }
            }
        }
    };
}
pub(super) use read_word;

/// The text of a value, which must be one of the known words.
pub(super) fn known_word<'a>(
    given: &Given<'a>,
    known: &[&str],
    reader: &mut Reader<'_>,
) -> Option<&'a str> {
    let Some(word) = given.value.as_str() else {
        let problem = Problem::new("must be one of its known words, in quotes", "this is no text");
        reader.refuse(given, problem);
        return None;
    };
    if known.contains(&word) {
        return Some(word);
    }
    let title = format!("{} cannot be `{word}`", given.field);
    if let Some(error) = reader.error(&given.span, title, "unknown word") {
        error.suggest_name(word, known);
    }
    None
}

impl<T: FromToml> FromToml for Option<T> {
    fn from_toml(given: &Given<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        T::from_toml(given, reader).map(Some)
    }
}

/// Items that are refused are left out.
impl<T: FromToml> FromToml for Vec<T> {
    fn from_toml(given: &Given<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let Some(list) = given.value.as_array() else {
            reader.refuse_type(given, "a list");
            return None;
        };
        let item = |item: &Spanned<DeValue<'_>>| {
            let (span, value) = (item.span(), item.get_ref());
            T::from_toml(&Given { field: given.field, span, value }, reader)
        };
        Some(list.iter().filter_map(item).collect())
    }
}

impl FromToml for String {
    fn from_toml(given: &Given<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let text = given.value.as_str();
        if text.is_none() {
            reader.refuse_type(given, "a text in quotes");
        }
        text.map(str::to_owned)
    }
}

impl FromToml for bool {
    fn from_toml(given: &Given<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let is_true = given.value.as_bool();
        if is_true.is_none() {
            reader.refuse_type(given, "a boolean");
        }
        is_true
    }
}

impl FromToml for u32 {
    fn from_toml(given: &Given<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let number = given.value.as_integer().and_then(integer);
        let number = number.and_then(|number| Self::try_from(number).ok());
        if number.is_none() {
            reader.refuse_type(given, "a whole number from 0 to 4,294,967,295");
        }
        number
    }
}

impl FromToml for f64 {
    fn from_toml(given: &Given<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let number = match given.value {
            DeValue::Integer(_) => number_text(given.value).parse().ok(),
            DeValue::Float(number) => Some(float(number)),
            _ => None,
        };
        if number.is_none() {
            reader.refuse_type(given, "a number");
        }
        number
    }
}

impl FromToml for Datetime {
    fn from_toml(given: &Given<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let date = given.value.as_datetime();
        if date.is_none() {
            reader.refuse_type(given, "a TOML datetime");
        }
        date.copied()
    }
}
