//! The values of a scenario file: texts with units, and values that have several forms.
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

use super::problem::Problem;
use crate::base::time::Span;
use crate::base::units;
use crate::network::settings::Interval;

/// A value and where it stands in the file; an assumed default stands nowhere, at 0..0.
#[derive(Clone, Debug, Default)]
pub(super) struct Given<T> {
    /// The value.
    pub value: T,
    /// Its bytes in the file.
    pub span: Range<usize>,
}

impl<T> Given<T> {
    /// A value that the file does not name.
    pub(super) const fn assumed(value: T) -> Self {
        Self { value, span: 0..0 }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Given<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<T>::deserialize(deserializer)?;
        let span = spanned.span();
        Ok(Self { value: spanned.into_inner(), span })
    }
}

impl<T: Serialize> Serialize for Given<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value.serialize(serializer)
    }
}

impl<T: JsonSchema> JsonSchema for Given<T> {
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
pub(super) trait Text: Sized {
    /// What to write, for messages: `a time such as "40ms"`.
    const WANTED: &'static str;
    /// A regular expression for editors.
    const PATTERN: &'static str;

    /// Reads the text.
    ///
    /// # Errors
    /// If it is not such a value.
    fn read(text: &str) -> Result<Self, Problem>;

    /// Writes a text that reads as the same value.
    fn write(&self) -> String;
}

/// Reads a [`Text`]; a number says that its unit is missing.
pub(super) struct TextVisitor<T>(std::marker::PhantomData<T>);

impl<T> Default for TextVisitor<T> {
    fn default() -> Self {
        Self(std::marker::PhantomData)
    }
}

impl<T: Text> Visitor<'_> for TextVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::WANTED)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        T::read(text).map_err(E::custom)
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<T, E> {
        Err(E::custom(bare_number::<T>(&number.to_string())))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<T, E> {
        Err(E::custom(bare_number::<T>(&number.to_string())))
    }
}

fn bare_number<T: Text>(number: &str) -> Problem {
    match T::read(number) {
        Err(problem) => problem,
        Ok(_) => Problem::new("must be a text in quotes", "this is a number"),
    }
}

/// Gives a [`Text`] its place in TOML and in the schema.
macro_rules! text_value {
    ($type:ty) => {
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any(TextVisitor::<Self>::default())
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.write())
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
pub(super) use text_value;

/// The schema of a [`Text`].
pub(super) fn text_schema<T: Text>() -> Schema {
    json_schema!({ "type": "string", "pattern": T::PATTERN, "description": T::WANTED })
}

/// A length of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Duration(pub Span);

impl Text for Duration {
    const WANTED: &'static str = "a time such as \"40ms\", \"1.5s\", \"2m\", \"1h\" or \"3d\"";
    const PATTERN: &'static str = r"^\s*([0-9.]+\s*(ns|us|µs|ms|s|m|min|h|d|w)\s*)+$";

    fn read(text: &str) -> Result<Self, Problem> {
        units::parse_span(text).map(Self).map_err(|error| Problem::of_unit(&error))
    }

    fn write(&self) -> String {
        units::write_span(self.0)
    }
}
text_value!(Duration);

/// A share in percent, from 0 to 100.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Percent(pub f64);

impl Percent {
    /// The share from 0 to 1.
    pub(super) fn share(self) -> f64 {
        self.0 / 100.0
    }
}

impl Text for Percent {
    const WANTED: &'static str = "a percentage such as \"2%\"";
    const PATTERN: &'static str = r"^\s*[0-9.]+\s*%\s*$";

    fn read(text: &str) -> Result<Self, Problem> {
        let percent = units::parse_percent(text).map_err(|error| Problem::of_unit(&error))?;
        if percent > 100.0 {
            let label = format!("this is {percent} %");
            return Err(Problem::new("must be between 0 and 100 percent", label));
        }
        Ok(Self(percent))
    }

    fn write(&self) -> String {
        units::write_percent(self.0)
    }
}
text_value!(Percent);

/// A length in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bytes(pub u32);

impl Text for Bytes {
    const WANTED: &'static str = "a number of bytes such as \"64B\" or \"1.5KB\"";
    const PATTERN: &'static str = r"^\s*[0-9.]+\s*(B|kB|KB|KiB|MB)\s*$";

    fn read(text: &str) -> Result<Self, Problem> {
        units::parse_bytes(text).map(Self).map_err(|error| Problem::of_unit(&error))
    }

    fn write(&self) -> String {
        units::write_bytes(self.0.into())
    }
}
text_value!(Bytes);

/// A rate in bits a second; `None` for no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rate(pub Option<u64>);

impl Text for Rate {
    const WANTED: &'static str = "a rate such as \"256kbit/s\", or \"unlimited\"";
    const PATTERN: &'static str = r"^\s*([0-9.]+\s*(bit|kbit|Mbit|Gbit)/s|unlimited)\s*$";

    fn read(text: &str) -> Result<Self, Problem> {
        if text == "unlimited" {
            return Ok(Self(None));
        }
        match units::parse_rate(text).map_err(|error| Problem::of_unit(&error))? {
            0 => Err(Problem::new("must be more than zero", "nothing would ever leave")
                .help("write \"unlimited\" for no limit")),
            rate => Ok(Self(Some(rate))),
        }
    }

    fn write(&self) -> String {
        self.0.map_or_else(|| "unlimited".to_owned(), units::write_rate)
    }
}
text_value!(Rate);

/// A length of time that repeats: `"10s"`, `"uniform 5s..15s"` or `"exp 10s"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Every(pub Interval);

impl Text for Every {
    const WANTED: &'static str =
        "a time such as \"10s\", \"uniform 5s..15s\" (evenly) or \"exp 10s\" (at random)";
    const PATTERN: &'static str = r"^\s*(exp |uniform )?\s*[0-9.]+.*$";

    fn read(text: &str) -> Result<Self, Problem> {
        let span = |text: &str| match Duration::read(text)?.0 {
            Span::ZERO => Err(Problem::new("must be more than zero", "this is no time at all")),
            span => Ok(span),
        };
        let (word, rest) = text.trim().split_once(' ').unwrap_or(("", text));
        match word {
            "exp" => Ok(Self(Interval::Exponential(span(rest)?))),
            "uniform" => {
                let (low, high) = bounds(rest)?;
                let (low, high) = (Duration::read(low)?.0, span(high)?);
                if low > high {
                    return Err(Problem::new("goes from a longer time to a shorter", "swap these"));
                }
                Ok(Self(Interval::Uniform(low, high)))
            }
            _ => Ok(Self(Interval::Fixed(span(text)?))),
        }
    }

    fn write(&self) -> String {
        match self.0 {
            Interval::Fixed(span) => units::write_span(span),
            Interval::Uniform(low, high) => {
                format!("uniform {}..{}", units::write_span(low), units::write_span(high))
            }
            Interval::Exponential(mean) => format!("exp {}", units::write_span(mean)),
        }
    }
}
text_value!(Every);

fn bounds(text: &str) -> Result<(&str, &str), Problem> {
    text.split_once("..").ok_or_else(|| {
        Problem::new("needs two bounds", "there is no `..`")
            .help("write \"uniform 5..15\", each with its unit")
    })
}

/// Payload lengths: `"64B"` or `"uniform 20B..80B"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Payload(pub super::trial::PayloadSize);

impl Text for Payload {
    const WANTED: &'static str = "a length such as \"64B\" or \"uniform 20B..80B\"";
    const PATTERN: &'static str = r"^\s*(uniform )?\s*[0-9.]+.*B\s*$";

    fn read(text: &str) -> Result<Self, Problem> {
        use super::trial::PayloadSize;
        let Some(rest) = text.trim().strip_prefix("uniform ") else {
            return Ok(Self(PayloadSize::Fixed(Bytes::read(text)?.0)));
        };
        let (low, high) = bounds(rest)?;
        let (low, high) = (Bytes::read(low)?.0, Bytes::read(high)?.0);
        if low > high {
            return Err(Problem::new("goes from a longer length to a shorter", "swap these"));
        }
        Ok(Self(PayloadSize::Uniform(low, high)))
    }

    fn write(&self) -> String {
        use super::trial::PayloadSize;
        let bytes = |length: u32| units::write_bytes(length.into());
        match self.0 {
            PayloadSize::Fixed(length) => bytes(length),
            PayloadSize::Uniform(low, high) => format!("uniform {}..{}", bytes(low), bytes(high)),
        }
    }
}
text_value!(Payload);

/// A whole number within bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Whole<const MIN: u32, const MAX: u32>(pub u32);

struct WholeVisitor<const MIN: u32, const MAX: u32>;

impl<const MIN: u32, const MAX: u32> Visitor<'_> for WholeVisitor<MIN, MAX> {
    type Value = Whole<MIN, MAX>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a whole number from {MIN} to {}", units::format_count(MAX.into()))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Self::Value, E> {
        match u32::try_from(number) {
            Ok(number) if (MIN..=MAX).contains(&number) => Ok(Whole(number)),
            _ => Err(E::custom(Problem::new(
                format!("must be from {MIN} to {}", units::format_count(MAX.into())),
                format!("this is {number}"),
            ))),
        }
    }
}

impl<'de, const MIN: u32, const MAX: u32> Deserialize<'de> for Whole<MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(WholeVisitor::<MIN, MAX>)
    }
}

impl<const MIN: u32, const MAX: u32> Serialize for Whole<MIN, MAX> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u32(self.0)
    }
}

impl<const MIN: u32, const MAX: u32> JsonSchema for Whole<MIN, MAX> {
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
pub(super) enum Levels {
    /// The same in every trial.
    One(crate::base::qos::QoS),
    /// One trial each, ascending.
    Axis(Vec<crate::base::qos::QoS>),
}

struct LevelsVisitor;

impl<'de> Visitor<'de> for LevelsVisitor {
    type Value = Levels;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("0, 1 or 2, or a list of them such as [0, 1, 2]")
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Levels, E> {
        level(number).map(Levels::One)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Levels, A::Error> {
        let mut levels = Vec::new();
        while let Some(number) = list.next_element::<i64>()? {
            levels.push(level(number)?);
        }
        let count = levels.len();
        levels.sort_unstable();
        levels.dedup();
        if levels.is_empty() || levels.len() < count {
            let label = if levels.is_empty() { "this is empty" } else { "one stands here twice" };
            return Err(de::Error::custom(Problem::new("must name each QoS once", label)));
        }
        Ok(Levels::Axis(levels))
    }
}

fn level<E: de::Error>(number: i64) -> Result<crate::base::qos::QoS, E> {
    let level = u8::try_from(number).ok().and_then(crate::base::qos::QoS::from_number);
    level.ok_or_else(|| {
        E::custom(Problem::new("must be 0, 1 or 2", format!("there is no QoS {number}")))
    })
}

impl<'de> Deserialize<'de> for Levels {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(LevelsVisitor)
    }
}

impl Serialize for Levels {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::One(qos) => serializer.serialize_u8(qos.number()),
            Self::Axis(list) => serializer.collect_seq(list.iter().map(|qos| qos.number())),
        }
    }
}

impl JsonSchema for Levels {
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
pub(super) enum Either<T, M> {
    /// As a text.
    Text(T),
    /// As a table.
    Table(M),
}

struct EitherVisitor<T, M>(std::marker::PhantomData<(T, M)>);

impl<'de, T: Text, M: Deserialize<'de>> Visitor<'de> for EitherVisitor<T, M> {
    type Value = Either<T, M>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, or a table", T::WANTED)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        TextVisitor::default().visit_str(text).map(Either::Text)
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Self::Value, E> {
        TextVisitor::default().visit_i64(number).map(Either::Text)
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Self::Value, E> {
        TextVisitor::default().visit_f64(number).map(Either::Text)
    }

    fn visit_map<A: MapAccess<'de>>(self, table: A) -> Result<Self::Value, A::Error> {
        M::deserialize(de::value::MapAccessDeserializer::new(table)).map(Either::Table)
    }
}

impl<'de, T: Text, M: Deserialize<'de>> Deserialize<'de> for Either<T, M> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(EitherVisitor(std::marker::PhantomData))
    }
}

impl<T: Text, M: Serialize> Serialize for Either<T, M> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => serializer.serialize_str(&text.write()),
            Self::Table(table) => table.serialize(serializer),
        }
    }
}

impl<T: Text, M: JsonSchema> JsonSchema for Either<T, M> {
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
