//! How the values of a scenario file are read: where they stand, and the several forms they have.
//!
//! Each reads itself from TOML with a message that names the cure, writes itself back for
//! `qoslab check --show`, and describes itself for the JSON Schema.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, Serializer};
use toml::Spanned;

use super::axis::Unit;
use super::problem::Problem;
use qoslab_core::base::qos::QoS;
use qoslab_core::base::units;

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

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Located<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<T>::deserialize(deserializer)?;
        let span = spanned.span();
        Ok(Self { value: spanned.into_inner(), span })
    }
}

impl<T: Serialize> Serialize for Located<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value.serialize(serializer)
    }
}

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
    const PATTERN: &'static str;
    /// What its number counts, if it can be a number alone; then a sweep can vary it.
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
pub(super) struct TextVisitor<T>(std::marker::PhantomData<T>);

impl<T> Default for TextVisitor<T> {
    fn default() -> Self {
        Self(std::marker::PhantomData)
    }
}

impl<T: TextValue> Visitor<'_> for TextVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::EXPECTED)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        T::parse(text).map_err(E::custom)
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<T, E> {
        Err(E::custom(missing_unit_problem::<T>(&number.to_string())))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<T, E> {
        Err(E::custom(missing_unit_problem::<T>(&number.to_string())))
    }
}

fn missing_unit_problem<T: TextValue>(number: &str) -> Problem {
    match T::parse(number) {
        Err(problem) => problem,
        Ok(_) => Problem::new("must be a text in quotes", "this is a number"),
    }
}

/// Gives a [`TextValue`] its place in TOML and in the schema.
macro_rules! impl_text_value {
    ($type:ty) => {
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any(TextVisitor::<Self>::default())
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.to_text())
            }
        }

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
pub(super) const UNIT_KEYWORD: &str = "x-unit";

/// The schema of a [`TextValue`].
pub(super) fn text_schema<T: TextValue>() -> Schema {
    let mut schema =
        json_schema!({ "type": "string", "pattern": T::PATTERN, "description": T::EXPECTED });
    if let Some(unit) = T::UNIT {
        schema.insert(UNIT_KEYWORD.to_owned(), unit.label().into());
    }
    schema
}

/// A whole number within bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BoundedInt<const MIN: u32, const MAX: u32>(pub u32);

struct BoundedIntVisitor<const MIN: u32, const MAX: u32>;

impl<const MIN: u32, const MAX: u32> Visitor<'_> for BoundedIntVisitor<MIN, MAX> {
    type Value = BoundedInt<MIN, MAX>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a whole number from {MIN} to {}", units::format_count(MAX.into()))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Self::Value, E> {
        match u32::try_from(number) {
            Ok(number) if (MIN..=MAX).contains(&number) => Ok(BoundedInt(number)),
            _ => Err(E::custom(Problem::new(
                format!("must be from {MIN} to {}", units::format_count(MAX.into())),
                format!("this is {number}"),
            ))),
        }
    }
}

impl<'de, const MIN: u32, const MAX: u32> Deserialize<'de> for BoundedInt<MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(BoundedIntVisitor::<MIN, MAX>)
    }
}

impl<const MIN: u32, const MAX: u32> Serialize for BoundedInt<MIN, MAX> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u32(self.0)
    }
}

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

struct QosSettingVisitor;

impl<'de> Visitor<'de> for QosSettingVisitor {
    type Value = QosSetting;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("0, 1 or 2, or a list of them such as [0, 1, 2]")
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<QosSetting, E> {
        parse_qos(number).map(QosSetting::Fixed)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<QosSetting, A::Error> {
        let mut levels = Vec::new();
        while let Some(number) = list.next_element::<i64>()? {
            levels.push(parse_qos(number)?);
        }
        let count = levels.len();
        levels.sort_unstable();
        levels.dedup();
        if levels.is_empty() || levels.len() < count {
            let label = if levels.is_empty() { "this is empty" } else { "one stands here twice" };
            return Err(de::Error::custom(Problem::new("must name each QoS once", label)));
        }
        Ok(QosSetting::Axis(levels))
    }
}

fn parse_qos<E: de::Error>(number: i64) -> Result<QoS, E> {
    let level = u8::try_from(number).ok().and_then(QoS::from_number);
    level.ok_or_else(|| {
        E::custom(Problem::new("must be 0, 1 or 2", format!("there is no QoS {number}")))
    })
}

impl<'de> Deserialize<'de> for QosSetting {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(QosSettingVisitor)
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

struct TextOrTableVisitor<T, M>(std::marker::PhantomData<(T, M)>);

impl<'de, T: TextValue, M: Deserialize<'de>> Visitor<'de> for TextOrTableVisitor<T, M> {
    type Value = TextOrTable<T, M>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, or a table", T::EXPECTED)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        TextVisitor::default().visit_str(text).map(TextOrTable::Text)
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Self::Value, E> {
        TextVisitor::default().visit_i64(number).map(TextOrTable::Text)
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Self::Value, E> {
        TextVisitor::default().visit_f64(number).map(TextOrTable::Text)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut table: A) -> Result<Self::Value, A::Error> {
        let read = M::deserialize(de::value::MapAccessDeserializer::new(&mut table))?;
        // Where one entry of several is wanted, serde leaves the others unread.
        if table.next_key::<de::IgnoredAny>()?.is_some() {
            let problem = Problem::new("must say one thing", "there are several entries");
            return Err(de::Error::custom(problem.help("leave all but one out")));
        }
        Ok(TextOrTable::Table(read))
    }
}

impl<'de, T: TextValue, M: Deserialize<'de>> Deserialize<'de> for TextOrTable<T, M> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextOrTableVisitor(std::marker::PhantomData))
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
