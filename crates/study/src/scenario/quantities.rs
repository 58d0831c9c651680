//! The texts with units: times, percentages, lengths, rates, and intervals that are drawn.

#[cfg(feature = "studies")]
use std::borrow::Cow;

#[cfg(feature = "studies")]
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Serialize, Serializer};

use super::axis::Unit;
use super::problem::Problem;
#[cfg(feature = "studies")]
use super::value::text_schema;
use super::value::{TextValue, impl_text_value};
use qoslab_core::base::{Span, units};
use qoslab_core::network::IntervalDistribution;
use qoslab_sim::PayloadSize;

/// A length of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Duration(pub Span);

impl TextValue for Duration {
    const EXPECTED: &'static str = "a time such as \"40ms\", \"1.5s\", \"2m\", \"1h\" or \"3d\"";
    const PATTERN: &'static str = r"^\s*([0-9.]+\s*(ns|us|µs|ms|s|m|min|h|d|w)\s*)+$";
    const UNIT: Option<Unit> = Some(Unit::Seconds);

    fn parse(text: &str) -> Result<Self, Problem> {
        units::parse_span(text).map(Self).map_err(|error| Problem::from_unit_error(&error))
    }

    fn to_text(&self) -> String {
        units::span_literal(self.0)
    }
}
impl_text_value!(Duration);

/// A share in percent, from 0 to 100.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Percent(pub f64);

impl Percent {
    /// The share from 0 to 1.
    pub(super) fn share(self) -> f64 {
        self.0 / 100.0
    }
}

impl TextValue for Percent {
    const EXPECTED: &'static str = "a percentage such as \"2%\"";
    const PATTERN: &'static str = r"^\s*[0-9.]+\s*%\s*$";
    const UNIT: Option<Unit> = Some(Unit::Percent);

    fn parse(text: &str) -> Result<Self, Problem> {
        let percent =
            units::parse_percent(text).map_err(|error| Problem::from_unit_error(&error))?;
        if percent > 100.0 {
            let label = format!("this is {percent} %");
            return Err(Problem::new("must be between 0 and 100 percent", label));
        }
        Ok(Self(percent))
    }

    fn to_text(&self) -> String {
        units::percent_literal(self.0)
    }
}
impl_text_value!(Percent);

/// A length in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bytes(pub u32);

impl TextValue for Bytes {
    const EXPECTED: &'static str = "a number of bytes such as \"64B\" or \"1.5KB\"";
    const PATTERN: &'static str = r"^\s*[0-9.]+\s*(B|kB|KB|KiB|MB)\s*$";
    const UNIT: Option<Unit> = Some(Unit::Bytes);

    fn parse(text: &str) -> Result<Self, Problem> {
        units::parse_bytes(text).map(Self).map_err(|error| Problem::from_unit_error(&error))
    }

    fn to_text(&self) -> String {
        units::bytes_literal(self.0.into())
    }
}
impl_text_value!(Bytes);

/// The size of a socket's buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BufferSize {
    Linux,
    EspIdf,
    Lwip,
    Bytes(u32),
}

impl TextValue for BufferSize {
    const EXPECTED: &'static str = "\"linux\", \"esp-idf\", \"lwip\" or bytes such as \"5.7kB\"";
    const PATTERN: &'static str = r"^\s*([0-9.]+\s*(B|kB|KB|KiB|MB)|linux|esp-idf|lwip)\s*$";
    const UNIT: Option<Unit> = Some(Unit::Bytes);

    fn parse(text: &str) -> Result<Self, Problem> {
        match text {
            "linux" => Ok(Self::Linux),
            "esp-idf" => Ok(Self::EspIdf),
            "lwip" => Ok(Self::Lwip),
            _ => Bytes::parse(text).map(|bytes| Self::Bytes(bytes.0)).map_err(|problem| {
                if text.starts_with(|c: char| c.is_ascii_digit()) {
                    return problem;
                }
                Problem::new("is not a known buffer", "not a known system")
                    .help(format!("write {}", Self::EXPECTED))
            }),
        }
    }

    fn to_text(&self) -> String {
        match self {
            Self::Linux => "linux".to_owned(),
            Self::EspIdf => "esp-idf".to_owned(),
            Self::Lwip => "lwip".to_owned(),
            Self::Bytes(bytes) => Bytes(*bytes).to_text(),
        }
    }
}
impl_text_value!(BufferSize);

/// A rate in bits a second; `None` for no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rate(pub Option<u64>);

impl TextValue for Rate {
    const EXPECTED: &'static str = "a rate such as \"256kbit/s\", or \"unlimited\"";
    const PATTERN: &'static str = r"^\s*([0-9.]+\s*(bit|kbit|Mbit|Gbit)/s|unlimited)\s*$";
    const UNIT: Option<Unit> = Some(Unit::BitsPerSecond);

    fn parse(text: &str) -> Result<Self, Problem> {
        if text == "unlimited" {
            return Ok(Self(None));
        }
        match units::parse_rate(text).map_err(|error| Problem::from_unit_error(&error))? {
            0 => Err(Problem::new("must be more than zero", "nothing would ever leave")
                .help("write \"unlimited\" for no limit")),
            rate => Ok(Self(Some(rate))),
        }
    }

    fn to_text(&self) -> String {
        self.0.map_or_else(|| "unlimited".to_owned(), units::rate_literal)
    }
}
impl_text_value!(Rate);

/// A length of time that repeats: `"10s"`, `"uniform 5s..15s"` or `"exp 10s"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct IntervalValue(pub IntervalDistribution);

impl TextValue for IntervalValue {
    const EXPECTED: &'static str =
        "a time such as \"10s\", \"uniform 5s..15s\" (evenly) or \"exp 10s\" (at random)";
    const PATTERN: &'static str = r"^\s*(exp |uniform )?\s*[0-9.]+.*$";
    const UNIT: Option<Unit> = Some(Unit::Seconds);

    fn parse(text: &str) -> Result<Self, Problem> {
        let span = |text: &str| match Duration::parse(text)?.0 {
            Span::ZERO => Err(Problem::new("must be more than zero", "this is no time at all")),
            span => Ok(span),
        };
        let (word, rest) = text.trim().split_once(' ').unwrap_or(("", text));
        match word {
            "exp" => Ok(Self(IntervalDistribution::Exponential(span(rest)?))),
            "uniform" => {
                let (low, high) = split_range(rest)?;
                let (low, high) = (Duration::parse(low)?.0, span(high)?);
                if low > high {
                    return Err(Problem::new("goes from a longer time to a shorter", "swap these"));
                }
                Ok(Self(IntervalDistribution::Uniform(low, high)))
            }
            _ => Ok(Self(IntervalDistribution::Fixed(span(text)?))),
        }
    }

    fn to_text(&self) -> String {
        match self.0 {
            IntervalDistribution::Fixed(span) => units::span_literal(span),
            IntervalDistribution::Uniform(low, high) => {
                format!("uniform {}..{}", units::span_literal(low), units::span_literal(high))
            }
            IntervalDistribution::Exponential(mean) => format!("exp {}", units::span_literal(mean)),
        }
    }
}
impl_text_value!(IntervalValue);

fn split_range(text: &str) -> Result<(&str, &str), Problem> {
    text.split_once("..").ok_or_else(|| {
        Problem::new("needs two bounds", "there is no `..`")
            .help("write \"uniform 5..15\", each with its unit")
    })
}

/// Payload lengths: `"64B"` or `"uniform 20B..80B"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PayloadLength(pub PayloadSize);

impl TextValue for PayloadLength {
    const EXPECTED: &'static str = "a length such as \"64B\" or \"uniform 20B..80B\"";
    const PATTERN: &'static str = r"^\s*(uniform )?\s*[0-9.]+.*B\s*$";
    const UNIT: Option<Unit> = Some(Unit::Bytes);

    fn parse(text: &str) -> Result<Self, Problem> {
        let Some(rest) = text.trim().strip_prefix("uniform ") else {
            return Ok(Self(PayloadSize::Fixed(Bytes::parse(text)?.0)));
        };
        let (low, high) = split_range(rest)?;
        let (low, high) = (Bytes::parse(low)?.0, Bytes::parse(high)?.0);
        if low > high {
            return Err(Problem::new("goes from a longer length to a shorter", "swap these"));
        }
        Ok(Self(PayloadSize::Uniform(low, high)))
    }

    fn to_text(&self) -> String {
        let bytes = |length: u32| units::bytes_literal(length.into());
        match self.0 {
            PayloadSize::Fixed(length) => bytes(length),
            PayloadSize::Uniform(low, high) => format!("uniform {}..{}", bytes(low), bytes(high)),
        }
    }
}
impl_text_value!(PayloadLength);
