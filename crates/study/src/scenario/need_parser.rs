//! Reading bounds such as `qos2.latency.p99 <= 2s`.

use super::diagnostic::nearest_name;
use super::expect::{Bound, Comparison, Metric, Need, Statistic};
use super::problem::Problem;
use qoslab_core::base::{QoS, units};

/// The metrics that a need can name, without their statistics.
pub(super) const METRIC_NAMES: [&str; 18] = [
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
enum MetricKind {
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
        let (qos, metric, kind) = parse_subject(text[..at].trim())?;
        let bound = parse_bound(text[at + sign.len()..].trim(), kind)?;
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

fn parse_subject(text: &str) -> Result<(Option<QoS>, Metric, MetricKind), Problem> {
    let mut parts = text.split('.');
    let first = parts.next().unwrap_or_default();
    let qos = parse_qos(first)?;
    let name = if qos.is_some() { parts.next().unwrap_or_default() } else { first };
    let rest: Vec<_> = parts.collect();
    let statistic = rest.join(".");
    let (metric, kind) = match name {
        "delivered" => (Metric::Delivered, MetricKind::Units),
        "lost" => (Metric::Lost, MetricKind::Units),
        "duplicated" => (Metric::Duplicated, MetricKind::Units),
        "copies" => (Metric::Copies, MetricKind::Number),
        "unexpected" => (Metric::Unexpected, MetricKind::Units),
        "stuck" => (Metric::Stuck, MetricKind::Units),
        "reordered" => (Metric::Reordered, MetricKind::Units),
        "packets" => (Metric::Packets, MetricKind::Number),
        "bytes" => (Metric::Bytes, MetricKind::Number),
        "overhead" => (Metric::Overhead, MetricKind::Number),
        "latency" => (Metric::Latency(parse_statistic(&statistic)?), MetricKind::Time),
        "completion" => (Metric::Completion(parse_statistic(&statistic)?), MetricKind::Time),
        "in_flight" => (Metric::InFlight, MetricKind::Number),
        "queued" => (Metric::Queued, MetricKind::Number),
        "recovery" => (Metric::Recovery, MetricKind::Time),
        "energy" => (Metric::Energy, MetricKind::Energy),
        "power" => (Metric::Power, MetricKind::Power),
        "battery" => (Metric::Battery, MetricKind::Years),
        _ => {
            let help = nearest_name(name, &METRIC_NAMES).map_or_else(
                || format!("known: {}", METRIC_NAMES.join(", ")),
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

fn parse_qos(word: &str) -> Result<Option<QoS>, Problem> {
    let Some(number) = word.strip_prefix("qos") else { return Ok(None) };
    let level = number.parse().ok().and_then(QoS::from_number);
    level.map(Some).ok_or_else(|| {
        Problem::new("names no QoS", format!("there is no `{word}`"))
            .help("write qos0, qos1 or qos2")
    })
}

fn parse_statistic(text: &str) -> Result<Statistic, Problem> {
    let quantile = text.strip_prefix('p').and_then(|rank| rank.parse::<f64>().ok());
    match (text, quantile) {
        ("max", _) => Ok(Statistic::Max),
        ("mean", _) => Ok(Statistic::Mean),
        (_, Some(rank)) if rank > 0.0 && rank < 100.0 => Ok(Statistic::Quantile(rank / 100.0)),
        ("", _) => Err(Problem::new("names no statistic", "a time has many values")
            .help("write .p50, .p90, .p95, .p99, .p99.9, .max or .mean")),
        _ => Err(Problem::new("names no statistic", format!("there is no `{text}`"))
            .help("write .p50, .p90, .p95, .p99, .p99.9, .max or .mean")),
    }
}

fn parse_bound(text: &str, kind: MetricKind) -> Result<Bound, Problem> {
    if let Some((factor, other)) = text.split_once(" x ") {
        let Some(qos) = parse_qos(other.trim())? else {
            return Err(Problem::new("compares with no QoS", "after `x` comes a QoS")
                .help("write it as in \"qos1.bytes <= 1.35 x qos0\""));
        };
        return Ok(Bound::TimesOther(parse_number(factor.trim())?, qos));
    }
    let unit = |error: units::UnitError| Problem::from_unit_error(&error);
    match kind {
        MetricKind::Time => units::parse_span(text).map(Bound::Span).map_err(unit),
        MetricKind::Units if text.ends_with('%') => {
            let percent = units::parse_percent(text).map_err(unit)?;
            if percent > 100.0 {
                return Err(Problem::new("asks for more than 100 percent", "the bound is beyond"));
            }
            Ok(Bound::Share(percent / 100.0))
        }
        MetricKind::Energy => scaled_bound(units::parse_energy(text), 1e6),
        MetricKind::Power => scaled_bound(units::parse_power(text), 1e6),
        MetricKind::Years => match units::parse_span(text) {
            Ok(span) => Ok(Bound::Number(span.as_secs_f64() / SECONDS_PER_YEAR)),
            Err(_) => parse_number(text).map(Bound::Number),
        },
        MetricKind::Units | MetricKind::Number => parse_number(text).map(Bound::Number),
    }
}

/// Seconds of a year of 365 days.
const SECONDS_PER_YEAR: f64 = 365.0 * 86_400.0;

/// A quantity in another unit, with the number of its own units in each.
#[expect(clippy::cast_precision_loss, reason = "a bound of 15 digits at most")]
fn scaled_bound(quantity: Result<u64, units::UnitError>, each: f64) -> Result<Bound, Problem> {
    let number = quantity.map_err(|error| Problem::from_unit_error(&error))?;
    Ok(Bound::Number(number as f64 / each))
}

fn parse_number(text: &str) -> Result<f64, Problem> {
    match text.replace(',', "").parse::<f64>() {
        Ok(number) if number.is_finite() && number >= 0.0 => Ok(number),
        _ => Err(Problem::new("has no bound", format!("`{text}` is not a number"))),
    }
}
