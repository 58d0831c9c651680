//! Reading bounds such as `qos2.latency.p99 <= 2s`.

use super::diagnostic::nearest;
use super::expect::{Bound, Comparison, Metric, Need, Statistic};
use super::problem::Problem;
use qoslab_core::base::qos::QoS;
use qoslab_core::base::units;

/// The metrics that a need can name, without their statistics.
pub const METRICS: [&str; 18] = [
    "delivered",
    "lost",
    "duplicated",
    "copies",
    "unexpected",
    "stuck",
    "reordered",
    "packets",
    "bytes",
    "overhead",
    "latency",
    "completion",
    "in_flight",
    "queued",
    "recovery",
    "energy",
    "power",
    "battery",
];

const COMPARISONS: [(&str, Comparison); 5] = [
    ("<=", Comparison::AtMost),
    (">=", Comparison::AtLeast),
    ("==", Comparison::Equal),
    ("<", Comparison::Less),
    (">", Comparison::Greater),
];

/// What kind of number a metric is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A count of units, or its share.
    Units,
    /// A plain number.
    Number,
    /// A length of time.
    Time,
    /// Joules, written with their unit.
    Energy,
    /// Milliwatts, written with their unit.
    Power,
    /// Years, written as a time or as a plain number.
    Years,
}

impl Need {
    /// Reads a need.
    ///
    /// # Errors
    /// If it names no metric, has no comparison, or its bound is of another kind than its metric.
    pub fn parse(text: &str) -> Result<Self, Problem> {
        let place = COMPARISONS
            .iter()
            .filter_map(|(sign, comparison)| Some((text.find(sign)?, sign, *comparison)))
            .min_by_key(|(at, sign, _)| (*at, 2 - sign.len()));
        let Some((at, sign, comparison)) = place else {
            return Err(Problem::new("compares nothing", "there is no <=, >=, <, > or ==")
                .help("write it as in \"qos1.latency.p99 <= 2s\" or \"lost <= 0.1%\""));
        };
        let (qos, metric, kind) = subject(text[..at].trim())?;
        let bound = bound(text[at + sign.len()..].trim(), kind)?;
        Ok(Self { text: text.to_owned(), qos, metric, comparison, bound })
    }
}

impl TryFrom<String> for Need {
    type Error = Problem;

    fn try_from(text: String) -> Result<Self, Problem> {
        Self::parse(&text)
    }
}

impl From<Need> for String {
    fn from(need: Need) -> Self {
        need.text
    }
}

fn subject(text: &str) -> Result<(Option<QoS>, Metric, Kind), Problem> {
    let mut parts = text.split('.');
    let first = parts.next().unwrap_or_default();
    let qos = level(first)?;
    let name = if qos.is_some() { parts.next().unwrap_or_default() } else { first };
    let rest: Vec<_> = parts.collect();
    let statistic = rest.join(".");
    let (metric, kind) = match name {
        "delivered" => (Metric::Delivered, Kind::Units),
        "lost" => (Metric::Lost, Kind::Units),
        "duplicated" => (Metric::Duplicated, Kind::Units),
        "copies" => (Metric::Copies, Kind::Number),
        "unexpected" => (Metric::Unexpected, Kind::Units),
        "stuck" => (Metric::Stuck, Kind::Units),
        "reordered" => (Metric::Reordered, Kind::Units),
        "packets" => (Metric::Packets, Kind::Number),
        "bytes" => (Metric::Bytes, Kind::Number),
        "overhead" => (Metric::Overhead, Kind::Number),
        "latency" => (Metric::Latency(read_statistic(&statistic)?), Kind::Time),
        "completion" => (Metric::Completion(read_statistic(&statistic)?), Kind::Time),
        "in_flight" => (Metric::InFlight, Kind::Number),
        "queued" => (Metric::Queued, Kind::Number),
        "recovery" => (Metric::Recovery, Kind::Time),
        "energy" => (Metric::Energy, Kind::Energy),
        "power" => (Metric::Power, Kind::Power),
        "battery" => (Metric::Battery, Kind::Years),
        _ => {
            let help = nearest(name, &METRICS).map_or_else(
                || format!("known: {}", METRICS.join(", ")),
                |one| format!("did you mean `{one}`?"),
            );
            return Err(
                Problem::new("names no metric", format!("there is no metric `{name}`")).help(help)
            );
        }
    };
    if !matches!(metric, Metric::Latency(_) | Metric::Completion(_)) && !statistic.is_empty() {
        return Err(Problem::new("asks too much", format!("`{name}` has no `{statistic}`")));
    }
    Ok((qos, metric, kind))
}

fn level(word: &str) -> Result<Option<QoS>, Problem> {
    let Some(number) = word.strip_prefix("qos") else { return Ok(None) };
    let level = number.parse().ok().and_then(QoS::from_number);
    level.map(Some).ok_or_else(|| {
        Problem::new("names no QoS", format!("there is no `{word}`"))
            .help("write qos0, qos1 or qos2")
    })
}

fn read_statistic(text: &str) -> Result<Statistic, Problem> {
    let quantile = text.strip_prefix('p').and_then(|rank| rank.parse::<f64>().ok());
    match (text, quantile) {
        ("max", _) => Ok(Statistic::Max),
        ("mean", _) => Ok(Statistic::Mean),
        (_, Some(rank)) if rank > 0.0 && rank < 100.0 => Ok(Statistic::Quantile(rank / 100.0)),
        ("", _) => Err(Problem::new("names no statistic", "a time has many values")
            .help("write .p50, .p99, .p99.9, .max or .mean")),
        _ => Err(Problem::new("names no statistic", format!("there is no `{text}`"))
            .help("write .p50, .p99, .p99.9, .max or .mean")),
    }
}

fn bound(text: &str, kind: Kind) -> Result<Bound, Problem> {
    if let Some((factor, other)) = text.split_once(" x ") {
        let Some(qos) = level(other.trim())? else {
            return Err(Problem::new("compares with no QoS", "after `x` comes a QoS")
                .help("write it as in \"qos1.bytes <= 1.35 x qos0\""));
        };
        return Ok(Bound::Times(number(factor.trim())?, qos));
    }
    let unit = |error: units::UnitError| Problem::of_unit(&error);
    match kind {
        Kind::Time => units::parse_span(text).map(Bound::Span).map_err(unit),
        Kind::Units if text.ends_with('%') => {
            let percent = units::parse_percent(text).map_err(unit)?;
            if percent > 100.0 {
                return Err(Problem::new("asks for more than 100 percent", "the bound is beyond"));
            }
            Ok(Bound::Share(percent / 100.0))
        }
        Kind::Energy => scaled(units::parse_energy(text), 1e6),
        Kind::Power => scaled(units::parse_power(text), 1e6),
        Kind::Years => match units::parse_span(text) {
            Ok(span) => Ok(Bound::Number(span.as_secs_f64() / YEAR)),
            Err(_) => number(text).map(Bound::Number),
        },
        Kind::Units | Kind::Number => number(text).map(Bound::Number),
    }
}

/// Seconds of a year of 365 days.
const YEAR: f64 = 365.0 * 86_400.0;

/// A quantity in another unit, so many of its own units each.
#[expect(clippy::cast_precision_loss, reason = "a bound of 15 digits at most")]
fn scaled(quantity: Result<u64, units::UnitError>, each: f64) -> Result<Bound, Problem> {
    let number = quantity.map_err(|error| Problem::of_unit(&error))?;
    Ok(Bound::Number(number as f64 / each))
}

fn number(text: &str) -> Result<f64, Problem> {
    match text.replace(',', "").parse::<f64>() {
        Ok(number) if number.is_finite() && number >= 0.0 => Ok(number),
        _ => Err(Problem::new("has no bound", format!("`{text}` is not a number"))),
    }
}
