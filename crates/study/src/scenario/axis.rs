//! Axes of a sweep: numeric fields of the file, each named by its path, and their values.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One field of a scenario file set to another value, as `--set` does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    /// The field, by the names of what holds it: `link.meter.loss`, `broker.max_inflight`.
    pub path: String,
    /// The value as a scenario file writes it, without quotes: `5%`, `40ms`, `20`.
    pub value: String,
}

/// As `--set` takes it: `link.meter.loss=5%`.
impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.path, self.value)
    }
}

/// A numeric field and the values that it takes, one after the other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Axis {
    /// The field: `link.meter.loss`.
    pub path: String,
    /// The unit of the numbers.
    pub unit: Unit,
    /// The values in the order given; at least one, none twice.
    pub values: Vec<AxisValue>,
}

/// One value of an axis.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AxisValue {
    /// As a scenario file writes it: `5%`.
    pub text: String,
    /// The number in the axis's [`Unit`]: 5.
    pub number: f64,
}

/// The unit of an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Unit {
    /// A plain number, such as `max_inflight`.
    Plain,
    /// Percent.
    Percent,
    /// Seconds.
    Seconds,
    /// Bytes.
    Bytes,
    /// Bits a second.
    BitsPerSecond,
    /// Watts.
    Watts,
    /// Joules.
    Joules,
}

impl Axis {
    /// The path without the name of what holds the field: `loss`, `outage.every`.
    #[must_use]
    pub fn field(&self) -> &str {
        let (kind, rest) = self.path.split_once('.').unwrap_or(("", &self.path));
        let is_named = matches!(kind, "client" | "link" | "fault");
        rest.split_once('.').filter(|_| is_named).map_or(rest, |(_, field)| field)
    }

    /// The field set to one of the values.
    #[must_use]
    pub fn setting(&self, value: &AxisValue) -> Setting {
        Setting { path: self.path.clone(), value: value.text.clone() }
    }
}

impl Unit {
    /// All units.
    pub const ALL: [Self; 7] = [
        Self::Plain,
        Self::Percent,
        Self::Seconds,
        Self::Bytes,
        Self::BitsPerSecond,
        Self::Watts,
        Self::Joules,
    ];

    /// The unit's name: `percent`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plain => "number",
            Self::Percent => "percent",
            Self::Seconds => "seconds",
            Self::Bytes => "bytes",
            Self::BitsPerSecond => "bits a second",
            Self::Watts => "watts",
            Self::Joules => "joules",
        }
    }

    /// The unit as it stands behind a number on an axis: `%`, `s`; empty for a plain number.
    #[must_use]
    pub const fn symbol(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Percent => "%",
            Self::Seconds => "s",
            Self::Bytes => "B",
            Self::BitsPerSecond => "bit/s",
            Self::Watts => "W",
            Self::Joules => "J",
        }
    }

    /// The ending of a column's name in CSV: `_percent`, `_s`; empty for a plain number.
    #[must_use]
    pub const fn column_suffix(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Percent => "_percent",
            Self::Seconds => "_s",
            Self::Bytes => "_bytes",
            Self::BitsPerSecond => "_bit_per_s",
            Self::Watts => "_w",
            Self::Joules => "_j",
        }
    }
}
