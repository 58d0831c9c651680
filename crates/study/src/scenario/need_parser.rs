//! Reading bounds such as `qos2.latency.p99 <= 2s`.

use super::diagnostic::nearest_name;
use super::expect::{Bound, Comparison, Metric, Need, Statistic};
use super::problem::Problem;
use qoslab_core::base::{QoS, units};
use qoslab_core::mqtt::topics;
use qoslab_sim::MetricScope;

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
            .filter_map(|(sign, comparison)| Some((find_unquoted(text, sign)?, sign, *comparison)))
            .min_by_key(|(at, sign, _)| (*at, 2 - sign.len()));
        let Some((at, sign, comparison)) = place else {
            return Err(Problem::new("compares nothing", "there is no <=, >=, <, > or ==")
                .help("write it as in \"qos1.latency.p99 <= 2s\" or \"lost <= 0.1%\""));
        };
        let (qos, scope, rest) = parse_prefixes(text[..at].trim())?;
        let (metric, kind) = parse_metric(rest)?;
        if !scope.is_everything() && !metric.is_of_deliveries() {
            let label = format!("`{rest}` is not kept apart by client or topic");
            return Err(Problem::new("asks too much", label).help(
                "known there: delivered, lost, duplicated, copies, unexpected, stuck, reordered, \
                 latency, completion",
            ));
        }
        let bound = parse_bound(text[at + sign.len()..].trim(), kind)?;
        Ok(Self { text: text.to_owned(), qos, scope, metric, comparison, bound })
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

/// Where a sign stands outside of quotes.
fn find_unquoted(text: &str, sign: &str) -> Option<usize> {
    let is_outside = |at: usize| text[..at].matches('"').count().is_multiple_of(2);
    text.match_indices(sign).map(|(at, _)| at).find(|at| is_outside(*at))
}

/// The QoS, client and topic before a metric, each at most once and in any order, and what follows.
fn parse_prefixes(text: &str) -> Result<(Option<QoS>, MetricScope, &str), Problem> {
    let (mut qos, mut scope, mut rest) = (None, MetricScope::default(), text);
    loop {
        let (word, after) = rest.split_once('.').unwrap_or((rest, ""));
        let is_repeated = match word {
            "client" => {
                let (name, after) = parse_name("client", after)?;
                rest = after;
                scope.client.replace(name.into()).is_some()
            }
            "topic" => {
                let (filter, after) = parse_name("topic", after)?;
                if let Err(error) = topics::validate_filter(filter) {
                    return Err(Problem::new("names no topics", error.to_string()));
                }
                rest = after;
                scope.topic.replace(filter.into()).is_some()
            }
            _ => {
                let Some(level) = parse_qos(word)? else { return Ok((qos, scope, rest)) };
                rest = after;
                qos.replace(level).is_some()
            }
        };
        if is_repeated {
            let label = format!("`{word}` stands there twice");
            return Err(Problem::new("asks too much", label));
        }
    }
}

/// A name up to the next point, or in quotes, and what follows the point.
fn parse_name<'a>(word: &str, text: &'a str) -> Result<(&'a str, &'a str), Problem> {
    let (name, rest) = match text.strip_prefix('"') {
        Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
        None => text.split_at(text.find('.').unwrap_or(text.len())),
    };
    let example = match word {
        "client" => "client.dashboard.lost <= 0",
        _ => "topic.\"plant/+/temp\".latency.p99 <= 5s",
    };
    match rest.strip_prefix('.') {
        Some(rest) if !name.is_empty() => Ok((name, rest)),
        _ => Err(Problem::new(format!("names no {word}"), "a name and a metric are due")
            .help(format!("write it as in '{example}'"))),
    }
}

fn parse_metric(text: &str) -> Result<(Metric, MetricKind), Problem> {
    let (name, statistic) = text.split_once('.').unwrap_or((text, ""));
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
        "latency" => (Metric::Latency(parse_statistic(statistic)?), MetricKind::Time),
        "completion" => (Metric::Completion(parse_statistic(statistic)?), MetricKind::Time),
        "in_flight" => (Metric::InFlight, MetricKind::Number),
        "queued" => (Metric::Queued, MetricKind::Number),
        "recovery" => (Metric::Recovery, MetricKind::Time),
        "energy" => (Metric::Energy, MetricKind::Energy),
        "power" => (Metric::Power, MetricKind::Power),
        "battery" => (Metric::Battery, MetricKind::Years),
        _ => {
            let words = [&METRIC_NAMES[..], &["client", "topic"]].concat();
            let help = nearest_name(name, &words).map_or_else(
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
    Ok((metric, kind))
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
