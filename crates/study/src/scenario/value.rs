//! How the values of a scenario file are read: where they stand, and the several forms they have.
//!
//! Each reads itself from TOML with a message that names the cure, writes itself back for
//! `qoslab check --show`, and describes itself for the JSON Schema.

#[cfg(feature = "studies")]
use std::borrow::Cow;
use std::ops::Range;

#[cfg(feature = "studies")]
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::ser::{Serialize, Serializer};
use toml::de::DeValue;

use super::axis::Unit;
use super::from_toml::{FromToml, Given, Reader, integer, number_text};
use super::problem::Problem;
use qoslab_core::base::{QoS, units};

/// A value and where it stands in the file; an assumed default stands nowhere, at 0..0.
#[derive(Clone, Debug, Default)]
pub(super) struct Located<T> {
    /// The value.
    pub value: T,
    /// Its bytes in the file.
    pub span: Range<usize>,
}

impl<T> Located<T> {
    /// A value that the file does not name.
    pub(super) const fn from_default(value: T) -> Self {
        Self { value, span: 0..0 }
    }

    /// Whether the file does not name it.
    pub(super) const fn is_from_default(&self) -> bool {
        self.span.end == 0
    }
}

impl<T: FromToml> FromToml for Located<T> {
    fn from_toml(given: &Given<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let value = T::from_toml(given, reader)?;
        Some(Self { value, span: given.span.clone() })
    }
}

impl<T: Serialize> Serialize for Located<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value.serialize(serializer)
    }
}

#[cfg(feature = "studies")]
impl<T: JsonSchema> JsonSchema for Located<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn schema_id() -> Cow<'static, str> {
        T::schema_id()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

/// A value that is written as one text.
pub(super) trait TextValue: Sized {
    /// What to write, for messages: `a time such as "40ms"`.
    const EXPECTED: &'static str;
    /// A regular expression for editors.
    #[cfg_attr(not(feature = "studies"), expect(dead_code, reason = "only the schema asks"))]
    const PATTERN: &'static str;
    /// What its number counts, if it can be a number alone; then a sweep can vary it.
    #[cfg_attr(not(feature = "studies"), expect(dead_code, reason = "only the schema asks"))]
    const UNIT: Option<Unit> = None;

    /// Reads the text.
    ///
    /// # Errors
    /// If it is not such a value.
    fn parse(text: &str) -> Result<Self, Problem>;

    /// Writes a text that reads as the same value.
    fn to_text(&self) -> String;
}

/// Reads a [`TextValue`]; a number says that its unit is missing.
pub(super) fn read_text<T: TextValue>(given: &Given<'_>, reader: &mut Reader<'_>) -> Option<T> {
    let read = match given.value {
        DeValue::String(text) => T::parse(text),
        DeValue::Integer(_) | DeValue::Float(_) => Err(missing_unit::<T>(given.value)),
        _ => {
            reader.refuse_type(given, T::EXPECTED);
            return None;
        }
    };
    read.map_err(|problem| reader.refuse(given, problem)).ok()
}

fn missing_unit<T: TextValue>(number: &DeValue<'_>) -> Problem {
    match T::parse(&number_text(number)) {
        Err(problem) => problem,
        Ok(_) => Problem::new("must be a text in quotes", "this is a number"),
    }
}

/// Gives a [`TextValue`] its place in TOML and in the schema.
macro_rules! impl_text_value {
    ($type:ty) => {
        impl $crate::scenario::from_toml::FromToml for $type {
            fn from_toml(
                given: &$crate::scenario::from_toml::Given<'_>,
                reader: &mut $crate::scenario::from_toml::Reader<'_>,
            ) -> Option<Self> {
                $crate::scenario::value::read_text(given, reader)
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.to_text())
            }
        }

        #[cfg(feature = "studies")]
        impl JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                text_schema::<Self>()
            }
        }
    };
}
pub(super) use impl_text_value;

/// The keyword of the schema that names a number's unit.
#[cfg(feature = "studies")]
pub(super) const UNIT_KEYWORD: &str = "x-unit";

/// The schema of a [`TextValue`].
#[cfg(feature = "studies")]
pub(super) fn text_schema<T: TextValue>() -> Schema {
    let mut schema =
        json_schema!({ "type": "string", "pattern": T::PATTERN, "description": T::EXPECTED });
    if let Some(unit) = T::UNIT {
        schema.insert(UNIT_KEYWORD.to_owned(), unit.name().into());
    }
    schema
}

/// A whole number within bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BoundedInt<const MIN: u32, const MAX: u32>(pub u32);

impl<const MIN: u32, const MAX: u32> FromToml for BoundedInt<MIN, MAX> {
    fn from_toml(given: &Given<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let range = format!("from {MIN} to {}", units::format_count(MAX.into()));
        let Some(number) = given.value.as_integer() else {
            reader.refuse_type(given, &format!("a whole number {range}"));
            return None;
        };
        let number = integer(number).and_then(|number| u32::try_from(number).ok());
        let number = number.filter(|number| (MIN..=MAX).contains(number));
        if number.is_none() {
            let label = format!("this is {}", number_text(given.value));
            reader.refuse(given, Problem::new(format!("must be {range}"), label));
        }
        number.map(Self)
    }
}

impl<const MIN: u32, const MAX: u32> Serialize for BoundedInt<MIN, MAX> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u32(self.0)
    }
}

#[cfg(feature = "studies")]
impl<const MIN: u32, const MAX: u32> JsonSchema for BoundedInt<MIN, MAX> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("WholeFrom{MIN}To{MAX}").into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": MIN, "maximum": MAX })
    }
}

/// One QoS, or a list of them: then an axis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum QosSetting {
    /// The same in every trial.
    Fixed(QoS),
    /// One trial each, ascending.
    Axis(Vec<QoS>),
}

impl FromToml for QosSetting {
    fn from_toml(given: &Given<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        match given.value {
            DeValue::Integer(_) => QoS::from_toml(given, reader).map(Self::Fixed),
            DeValue::Array(list) => {
                let mut levels = Vec::<QoS>::from_toml(given, reader)?;
                if levels.len() < list.len() {
                    return None;
                }
                levels.sort_unstable();
                levels.dedup();
                if levels.is_empty() || levels.len() < list.len() {
                    let label =
                        if levels.is_empty() { "this is empty" } else { "one stands here twice" };
                    reader.refuse(given, Problem::new("must name each QoS once", label));
                    return None;
                }
                Some(Self::Axis(levels))
            }
            _ => {
                reader.refuse_type(given, "0, 1 or 2, or a list of them such as [0, 1, 2]");
                None
            }
        }
    }
}

impl FromToml for QoS {
    fn from_toml(given: &Given<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let Some(number) = given.value.as_integer() else {
            reader.refuse_type(given, "0, 1 or 2");
            return None;
        };
        let level = integer(number).and_then(|number| u8::try_from(number).ok());
        let level = level.and_then(Self::from_number);
        if level.is_none() {
            let label = format!("there is no QoS {}", number_text(given.value));
            reader.refuse(given, Problem::new("must be 0, 1 or 2", label));
        }
        level
    }
}

impl Serialize for QosSetting {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Fixed(qos) => serializer.serialize_u8(qos.number()),
            Self::Axis(list) => serializer.collect_seq(list.iter().map(|qos| qos.number())),
        }
    }
}

#[cfg(feature = "studies")]
impl JsonSchema for QosSetting {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "QoS".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [
            { "type": "integer", "minimum": 0, "maximum": 2 },
            { "type": "array", "items": { "type": "integer", "minimum": 0, "maximum": 2 },
              "minItems": 1, "uniqueItems": true, "description": "an axis: one trial each" },
        ] })
    }
}

/// A value in one text, or in a table that says more.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum TextOrTable<T, M> {
    /// As a text.
    Text(T),
    /// As a table.
    Table(M),
}

impl<T: TextValue, M: FromToml> FromToml for TextOrTable<T, M> {
    fn from_toml(given: &Given<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        match given.value {
            DeValue::Table(_) => M::from_toml(given, reader).map(Self::Table),
            DeValue::String(_) | DeValue::Integer(_) | DeValue::Float(_) => {
                read_text(given, reader).map(Self::Text)
            }
            _ => {
                reader.refuse_type(given, &format!("{}, or a table", T::EXPECTED));
                None
            }
        }
    }
}

impl<T: TextValue, M: Serialize> Serialize for TextOrTable<T, M> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => serializer.serialize_str(&text.to_text()),
            Self::Table(table) => table.serialize(serializer),
        }
    }
}

#[cfg(feature = "studies")]
impl<T: TextValue, M: JsonSchema> JsonSchema for TextOrTable<T, M> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("TextOr{}", M::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [text_schema::<T>(), generator.subschema_for::<M>()] })
    }
}
