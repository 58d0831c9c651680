//! Units: the one place that reads them and the one place that writes numbers for people.
//!
//! Three forms: `parse_...` reads what a user wrote, `write_...` gives back a text that parses to
//! exactly the same value, and `format_...` rounds for the eye.

use thiserror::Error;

use super::time::Span;

/// Quantity that a text with a unit measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantity {
    /// A length of time.
    Span,
    /// A share in percent.
    Percent,
    /// A length in bytes.
    Bytes,
    /// Bits a second.
    Rate,
    /// Nanowatts.
    Power,
    /// Microjoules.
    Energy,
}

/// Why a text is not a quantity; each says what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum UnitError {
    /// A number stands alone.
    #[error("`{number}` has no unit: write {}", quantity.examples(number))]
    NoUnit {
        /// The number as it was written.
        number: String,
        /// The expected quantity.
        quantity: Quantity,
    },
    /// The unit is none of this quantity's.
    #[error("`{unit}` is no unit of {}: use one of {}", quantity.noun(), quantity.unit_names())]
    UnknownUnit {
        /// The unit as it was written.
        unit: String,
        /// The expected quantity.
        quantity: Quantity,
    },
    /// There is no number where one should be.
    #[error("`{text}` is not {}: write it as in {}", quantity.noun(), quantity.examples("40"))]
    NoNumber {
        /// The text as it was written.
        text: String,
        /// The expected quantity.
        quantity: Quantity,
    },
    /// More than a scenario may name.
    #[error("`{text}` is too large: at most {}", quantity.limit_text())]
    TooLarge {
        /// The text as it was written.
        text: String,
        /// The expected quantity.
        quantity: Quantity,
    },
}

const TIME_UNITS: [(&str, u64); 10] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("min", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
    ("w", 7 * 86_400_000_000_000),
];
const BYTE_UNITS: [(&str, u64); 5] =
    [("B", 1), ("kB", 1_000), ("KB", 1_000), ("KiB", 1_024), ("MB", 1_000_000)];
const RATE_UNITS: [(&str, u64); 4] =
    [("bit/s", 1), ("kbit/s", 1_000), ("Mbit/s", 1_000_000), ("Gbit/s", 1_000_000_000)];
const POWER_UNITS: [(&str, u64); 5] =
    [("nW", 1), ("uW", 1_000), ("µW", 1_000), ("mW", 1_000_000), ("W", 1_000_000_000)];
const ENERGY_UNITS: [(&str, u64); 6] = [
    ("uJ", 1),
    ("µJ", 1),
    ("mJ", 1_000),
    ("J", 1_000_000),
    ("mWh", 3_600_000),
    ("Wh", 3_600_000_000),
];
/// Percent are read in millionths.
const PERCENT_UNITS: [(&str, u64); 1] = [("%", 1_000_000)];

/// The longest payload that MQTT can carry is below this (MQTT 3.1.1, section 2.2.3).
const BYTES_LIMIT: u64 = 268_435_455;
/// No link is faster than 10 Tbit/s.
const RATE_LIMIT: u64 = 10_000_000_000_000;
/// No device with a battery needs more than 1 kW, nor holds a thousand kilowatt hours.
const POWER_LIMIT: u64 = 1_000_000_000_000;
const ENERGY_LIMIT: u64 = 3_600_000_000_000_000;

impl Quantity {
    const fn units(self) -> &'static [(&'static str, u64)] {
        match self {
            Self::Span => &TIME_UNITS,
            Self::Percent => &PERCENT_UNITS,
            Self::Bytes => &BYTE_UNITS,
            Self::Rate => &RATE_UNITS,
            Self::Power => &POWER_UNITS,
            Self::Energy => &ENERGY_UNITS,
        }
    }

    const fn noun(self) -> &'static str {
        match self {
            Self::Span => "a time",
            Self::Percent => "a percentage",
            Self::Bytes => "a number of bytes",
            Self::Rate => "a rate",
            Self::Power => "a power",
            Self::Energy => "an energy",
        }
    }

    fn examples(self, number: &str) -> String {
        match self {
            Self::Span => format!("\"{number}ms\" or \"{number}s\""),
            Self::Percent => format!("\"{number}%\""),
            Self::Bytes => format!("\"{number}B\" or \"{number}KB\""),
            Self::Rate => format!("\"{number}kbit/s\" or \"{number}Mbit/s\""),
            Self::Power => format!("\"{number}mW\" or \"{number}W\""),
            Self::Energy => format!("\"{number}mJ\" or \"{number}mWh\""),
        }
    }

    fn unit_names(self) -> String {
        let names: Vec<_> = self.units().iter().map(|(name, _)| *name).collect();
        names.join(", ")
    }

    fn limit_text(self) -> String {
        match self {
            Self::Span => "100 years (36500d)".to_owned(),
            Self::Percent => "1,000,000%".to_owned(),
            Self::Bytes => format!("{} bytes", format_count(BYTES_LIMIT)),
            Self::Rate => rate_literal(RATE_LIMIT),
            Self::Power => power_literal(POWER_LIMIT),
            Self::Energy => energy_literal(ENERGY_LIMIT),
        }
    }

    const fn max_value(self) -> u64 {
        match self {
            Self::Span => Span::LIMIT.as_nanos(),
            Self::Percent => 1_000_000_000_000,
            Self::Bytes => BYTES_LIMIT,
            Self::Rate => RATE_LIMIT,
            Self::Power => POWER_LIMIT,
            Self::Energy => ENERGY_LIMIT,
        }
    }
}

/// Reads a time such as `40ms`, `1.5s`, `2m`, `1h 30m` or `3d`, rounded to the nanosecond.
///
/// # Errors
/// Without a number, without a unit, with a unit of another quantity, or above 100 years.
pub fn parse_span(text: &str) -> Result<Span, UnitError> {
    parse(text, Quantity::Span).map(Span::from_nanos)
}

/// Reads a percentage such as `2%` as the number before the sign, to a millionth. It may exceed
/// 100: whether that makes sense is the caller's question.
///
/// # Errors
/// Without a number, without the sign, or absurdly large.
#[expect(clippy::cast_precision_loss, reason = "at most 10^12, far below 2^53")]
pub fn parse_percent(text: &str) -> Result<f64, UnitError> {
    parse(text, Quantity::Percent).map(|millionths| millionths as f64 / 1e6)
}

/// Reads a length such as `64B` or `1.5KB` (1,500 bytes) or `1KiB` (1,024 bytes).
///
/// # Errors
/// Without a number, without a unit, with another quantity's unit, or above what MQTT can carry.
pub fn parse_bytes(text: &str) -> Result<u32, UnitError> {
    let bytes = parse(text, Quantity::Bytes)?;
    u32::try_from(bytes)
        .map_err(|_| UnitError::TooLarge { text: text.to_owned(), quantity: Quantity::Bytes })
}

/// Reads a rate such as `256kbit/s`, in bits a second.
///
/// # Errors
/// Without a number, without a unit, with a unit of another quantity, or above 10 Tbit/s.
pub fn parse_rate(text: &str) -> Result<u64, UnitError> {
    parse(text, Quantity::Rate)
}

/// Reads a quantity as a whole number of its smallest unit: nanoseconds, millionths of a percent,
/// bytes, bits a second.
///
/// # Errors
/// As of [`parse_span`] and the others.
pub fn parse_base_units(text: &str, quantity: Quantity) -> Result<u64, UnitError> {
    parse(text, quantity)
}

/// Writes what [`parse_base_units`] read: parses to the same value.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "at most 10^12, far below 2^53")]
pub fn base_units_literal(value: u64, quantity: Quantity) -> String {
    match quantity {
        Quantity::Span => span_literal(Span::from_nanos(value)),
        Quantity::Percent => percent_literal(value as f64 / 1e6),
        Quantity::Bytes => bytes_literal(value),
        Quantity::Rate => rate_literal(value),
        Quantity::Power => power_literal(value),
        Quantity::Energy => energy_literal(value),
    }
}

/// Reads a power such as `15mW` or `3.3uW`, in nanowatts.
///
/// # Errors
/// Without a number, without a unit, with a unit of another quantity, or above 1 kW.
pub fn parse_power(text: &str) -> Result<u64, UnitError> {
    parse(text, Quantity::Power)
}

/// Reads an energy such as `50mJ` or `5400mWh`, in microjoules.
///
/// # Errors
/// Without a number, without a unit, with another quantity's unit, or above 1,000 kilowatt hours.
pub fn parse_energy(text: &str) -> Result<u64, UnitError> {
    parse(text, Quantity::Energy)
}

/// Reads a sum of numbers with units, such as `1h 30m`.
fn parse(text: &str, quantity: Quantity) -> Result<u64, UnitError> {
    let no_number = || UnitError::NoNumber { text: text.to_owned(), quantity };
    let too_large = || UnitError::TooLarge { text: text.to_owned(), quantity };
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(no_number());
    }
    let mut sum: u64 = 0;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, after) = rest.split_at(end);
        let (mantissa, divisor) = parse_decimal(number).ok_or_else(no_number)?;
        let after = after.trim_start();
        let end = after
            .find(|c: char| c.is_ascii_digit() || c.is_whitespace() || c == '.' || c == '-')
            .unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        if unit.is_empty() {
            return Err(UnitError::NoUnit { number: number.to_owned(), quantity });
        }
        let factor = quantity.units().iter().find(|(name, _)| *name == unit);
        let Some((_, factor)) = factor else {
            return Err(UnitError::UnknownUnit { unit: unit.to_owned(), quantity });
        };
        let value = mantissa.saturating_mul(u128::from(*factor)).saturating_add(divisor / 2);
        let value = u64::try_from(value / divisor).map_err(|_| too_large())?;
        sum = sum.saturating_add(value);
        if sum > quantity.max_value() {
            return Err(too_large());
        }
        rest = after.trim_start();
    }
    Ok(sum)
}

/// A decimal number as a whole number and the power of ten that divides it.
fn parse_decimal(number: &str) -> Option<(u128, u128)> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = whole.len() + fraction.len();
    if digits == 0 || digits > 19 || fraction.contains('.') {
        return None;
    }
    let mantissa = format!("{whole}{fraction}").parse().ok()?;
    let places = u32::try_from(fraction.len()).ok()?;
    Some((mantissa, 10_u128.pow(places)))
}

/// A time in the largest unit that divides it, or as a fraction where that unit is small: parses
/// to the same value.
#[must_use]
pub fn span_literal(span: Span) -> String {
    if span == Span::ZERO {
        return "0s".to_owned();
    }
    let nanos = span.as_nanos();
    // What is no whole number of a small unit is easier to read as a fraction of a large one.
    for (unit, name, digits) in [(1_000_000_000, "s", 9), (1_000_000, "ms", 6)] {
        if nanos >= unit && !nanos.is_multiple_of(1_000_000) {
            let fraction = format!("{:0digits$}", nanos % unit);
            return format!("{}.{}{name}", nanos / unit, fraction.trim_end_matches('0'));
        }
    }
    write_in_units(nanos, &[5, 7, 8].map(|n| TIME_UNITS[n]), &[4, 3, 1, 0].map(|n| TIME_UNITS[n]))
}

/// A length in bytes: parses to the same value.
#[must_use]
pub fn bytes_literal(bytes: u64) -> String {
    // What is whole in KiB and not in KB was meant so.
    let coarse = if bytes.is_multiple_of(1_000) { &[] } else { &BYTE_UNITS[3..4] };
    write_in_units(bytes, coarse, &[4, 2, 0].map(|n| BYTE_UNITS[n]))
}

/// A rate: parses to the same value.
#[must_use]
pub fn rate_literal(bits: u64) -> String {
    write_in_units(bits, &[], &[3, 2, 1, 0].map(|n| RATE_UNITS[n]))
}

/// A power in nanowatts: parses to the same value.
#[must_use]
pub fn power_literal(nanowatts: u64) -> String {
    write_in_units(nanowatts, &[], &[4, 3, 2, 0].map(|n| POWER_UNITS[n]))
}

/// An energy in microjoules: parses to the same value.
#[must_use]
pub fn energy_literal(microjoules: u64) -> String {
    write_in_units(microjoules, &ENERGY_UNITS[4..], &[3, 2, 1].map(|n| ENERGY_UNITS[n]))
}

/// A percentage as it was parsed: parses to the same value.
#[must_use]
pub fn percent_literal(percent: f64) -> String {
    format!("{percent}%")
}

/// Prefers a coarse unit that divides the value, then the largest unit with at most three places.
fn write_in_units(value: u64, coarse: &[(&str, u64)], fine: &[(&str, u64)]) -> String {
    let divides = |unit: &&(&str, u64)| value > 0 && value.is_multiple_of(unit.1);
    if let Some((name, factor)) = coarse.iter().rev().find(divides) {
        return format!("{}{name}", value / factor);
    }
    for (name, factor) in fine {
        let step = (factor / 1000).max(1);
        if value >= *factor && value.is_multiple_of(step) {
            let text = format!("{}.{:03}", value / factor, value % factor / step);
            let plain = if *factor < 1000 { value.to_string() } else { text };
            return format!("{}{name}", trim_zeros(&plain));
        }
    }
    format!("{value}{}", fine.last().map_or("", |(name, _)| name))
}

/// A decimal number without the zeros at the end of its fraction: `4.30` is `4.3`.
#[must_use]
pub fn trim_zeros(number: &str) -> &str {
    if number.contains('.') { number.trim_end_matches('0').trim_end_matches('.') } else { number }
}

/// A time for people: `350 ns`, `41 ms`, `1.3 s`, `2m 5s`, `1h 30m`, `3d 4h`. Rounded.
#[must_use]
pub fn format_span(span: Span) -> String {
    let nanos = span.as_nanos();
    let tenths = |factor: u64| divide_rounded(nanos, factor / 10);
    match nanos {
        0 => "0 s".to_owned(),
        1..1_000 => format!("{nanos} ns"),
        1_000..999_500 => format!("{} µs", divide_rounded(nanos, 1_000)),
        999_500..9_950_000 => format!("{} ms", format_tenths(tenths(1_000_000))),
        9_950_000..999_500_000 => format!("{} ms", divide_rounded(nanos, 1_000_000)),
        999_500_000..9_950_000_000 => format!("{} s", format_tenths(tenths(1_000_000_000))),
        9_950_000_000..59_500_000_000 => format!("{} s", divide_rounded(nanos, 1_000_000_000)),
        _ => {
            let seconds = divide_rounded(nanos, 1_000_000_000);
            if seconds < 3_600 {
                format_two_units(seconds, (60, "m"), (1, "s"))
            } else if divide_rounded(seconds, 60) < 24 * 60 {
                format_two_units(divide_rounded(seconds, 60) * 60, (3_600, "h"), (60, "m"))
            } else {
                format_two_units(
                    divide_rounded(seconds, 3_600) * 3_600,
                    (86_400, "d"),
                    (3_600, "h"),
                )
            }
        }
    }
}

const fn divide_rounded(value: u64, unit: u64) -> u64 {
    value.saturating_add(unit / 2) / unit
}

fn format_tenths(tenths: u64) -> String {
    if tenths.is_multiple_of(10) {
        (tenths / 10).to_string()
    } else {
        format!("{}.{}", tenths / 10, tenths % 10)
    }
}

fn format_two_units(
    seconds: u64,
    (large, large_name): (u64, &str),
    (small, name): (u64, &str),
) -> String {
    let rest = seconds % large / small;
    if rest == 0 {
        format!("{}{large_name}", seconds / large)
    } else {
        format!("{}{large_name} {rest}{name}", seconds / large)
    }
}

/// A count for people, with commas: `100,000`.
#[must_use]
pub fn format_count(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (position, digit) in digits.char_indices() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A share from 0 to 1 as a percentage with `places` decimals: `95.1 %`. A share that is neither
/// 0 nor 1 never reads as `0.0 %` or `100.0 %`: it reads as `<0.1 %` or `>99.9 %`.
#[must_use]
pub fn format_share(share: f64, places: usize) -> String {
    let percent = share * 100.0;
    let text = format!("{percent:.places$}");
    let smallest = (0..places).fold(1.0, |step, _| step / 10.0);
    if share > 0.0 && text == format!("{:.places$}", 0.0) {
        return format!("<{smallest:.places$} %");
    }
    if share < 1.0 && text == format!("{:.places$}", 100.0) {
        return format!(">{:.places$} %", 100.0 - smallest);
    }
    format!("{text} %")
}

/// Bytes for people: `640 B`, `1.5 kB`, `12 MB`. Rounded; powers of 1,000.
#[must_use]
pub fn format_bytes(bytes: u64) -> String {
    let (mut factor, mut unit) = (1, "B");
    for larger in ["kB", "MB", "GB", "TB"] {
        // 999.5 and more would round to 1000 of the smaller unit.
        if divide_rounded(bytes, factor) < 1000 {
            break;
        }
        (factor, unit) = (factor * 1000, larger);
    }
    if factor == 1 {
        return format!("{bytes} {unit}");
    }
    let tenths = divide_rounded(bytes, factor / 10);
    let number = if tenths < 100 {
        format_tenths(tenths)
    } else {
        divide_rounded(bytes, factor).to_string()
    };
    format!("{number} {unit}")
}

#[cfg(test)]
mod tests;
