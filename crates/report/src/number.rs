//! Numbers that reports alone write; the rest is in `base::units`.

use qoslab_core::base::Span;
use qoslab_core::base::units::{format_count, format_share, trim_zeros};
use qoslab_study::scenario::{Bound, Need};
use qoslab_study::statistics::{ConfidenceInterval, to_f64};
use qoslab_study::{MetricValue, NeedMeasurement};

/// A share from 0 to 1 in percent as an upper bound: two significant digits, rounded up so that the
/// bound stays one, without trailing zeros: `0.003 %`, `1.5 %`, `12 %`.
#[must_use]
pub fn percent_bound(share: f64) -> String {
    let percent = share * 100.0;
    let (mut decimals, mut scale) = (0, 1.0);
    while percent * scale < 10.0 && decimals < 9 {
        decimals += 1;
        scale *= 10.0;
    }
    // What multiplying adds in the last places is no reason to go one up.
    let bound = (percent * scale * (1.0 - 1e-12)).ceil() / scale;
    format!("{} %", trim_zeros(&format!("{bound:.decimals$}")))
}

/// A time, or `never`: an event that did not occur has infinite time.
#[must_use]
pub fn format_time(span: Option<Span>) -> String {
    span.map_or_else(|| "never".to_owned(), |span| span.to_string())
}

/// A mean with half the width of its interval, where that is known: `4.12 ±0.03`.
#[must_use]
pub fn format_interval(interval: ConfidenceInterval, decimals: usize) -> String {
    let half = (interval.high - interval.low) / 2.0;
    if half.is_finite() {
        format!("{:.decimals$} ±{half:.decimals$}", interval.value)
    } else {
        format!("{:.decimals$}", interval.value)
    }
}

/// A measured value with its unit.
#[must_use]
pub fn format_value(value: MetricValue) -> String {
    match value {
        MetricValue::Number(number) if number >= 100.0 || number.fract().abs() < 1e-9 => {
            format!("{number:.0}")
        }
        MetricValue::Number(number) if number > 0.0 && number < 0.1 => format!("{number:.4}"),
        MetricValue::Number(number) => format!("{number:.2}"),
        MetricValue::Share(share) => format_share(share, 1),
        MetricValue::Seconds(seconds) if seconds.is_infinite() => "never".to_owned(),
        MetricValue::Seconds(seconds) => Span::from_secs_f64(seconds).to_string(),
    }
}

/// The value by which a need was judged, and its ratio to another QoS's value where the need
/// compares the two: `753 (3.50 x qos0)`.
#[must_use]
pub fn format_measured(need: &Need, worst: &NeedMeasurement) -> String {
    let text = format_value(worst.value);
    let Bound::TimesOther(factor, qos) = need.bound else { return text };
    let other = worst.bound / factor;
    let ratio = worst.value.number() / other;
    if other.is_nan() {
        text
    } else if ratio.is_finite() && other.is_finite() {
        format!("{text} ({} x qos{qos})", format_value(MetricValue::Number(ratio)))
    } else {
        format!("{text} (qos{qos}: {})", format_value(worst.value.with_number(other)))
    }
}

/// `30 of 200 (15.0 %)`; a share too small for its digits is left out.
#[must_use]
pub(crate) fn format_count_share(count: u64, whole: u64) -> String {
    let counts = format!("{} of {}", format_count(count), format_count(whole));
    let share = to_f64(count) / to_f64(whole);
    if share >= 0.0005 { format!("{counts} ({})", format_share(share, 1)) } else { counts }
}

/// `1 run`, `2 runs`.
#[must_use]
pub fn counted(number: u64, singular: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {singular}{plural}", format_count(number))
}

/// A number of any size with three digits that count.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "below 2^53")]
#[must_use]
pub(crate) fn format_amount(number: f64) -> String {
    if !number.is_finite() {
        return "-".to_owned();
    }
    if (1_000.0..1e15).contains(&number) {
        return format_count(number.round() as u64);
    }
    let (mut places, mut scale) = (2, number);
    while scale > 0.0 && scale < 1.0 && places < 15 {
        scale *= 10.0;
        places += 1;
    }
    let places = match number {
        100.0.. => 0,
        10.0.. => 1,
        _ => places,
    };
    format!("{number:.places$}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use qoslab_core::base::QoS;
    use qoslab_study::statistics::upper_bound_when_none as at_most;

    #[test]
    fn a_need_on_another_qos_shows_the_comparison() {
        let measured = |need: &str, value, bound| {
            let need = Need::parse(need).unwrap();
            format_measured(
                &need,
                &NeedMeasurement { label: String::new(), qos: QoS::ExactlyOnce, value, bound },
            )
        };
        let times = "qos2.bytes <= 3 x qos0";
        assert_eq!(measured(times, MetricValue::Number(753.0), 645.0), "753 (3.50 x qos0)");
        assert_eq!(measured(times, MetricValue::Number(753.0), 0.0), "753 (qos0: 0)");
        assert_eq!(measured("qos2.bytes <= 645", MetricValue::Number(753.0), 645.0), "753");
        let never = MetricValue::Seconds(f64::INFINITY);
        let text = measured("qos2.latency.p99 <= 2 x qos1", never, 0.5);
        assert_eq!(text, "never (qos1: 250 ms)");
        let text =
            measured("qos2.latency.p99 <= 2 x qos1", MetricValue::Seconds(1.0), f64::INFINITY);
        assert_eq!(text, "1 s (qos1: never)");
    }

    #[test]
    fn a_zero_shows_its_upper_bound() {
        assert_eq!(percent_bound(at_most(100_000)), "0.003 %");
        assert_eq!(percent_bound(at_most(100)), "3 %");
        assert_eq!(percent_bound(at_most(1)), "95 %");
        // 0.01497.. % and 0.1497.. %: down would be no bound.
        assert_eq!(percent_bound(at_most(20_000)), "0.015 %");
        assert_eq!(percent_bound(at_most(2_000)), "0.15 %");
        assert_eq!(percent_bound(0.0), "0 %");
    }
}
