//! What a message costs beside its own packets, and a device in a month.

use crate::number::format_amount;
use qoslab_guarantee::BytesByPurpose;
use qoslab_study::scenario::{Metric, Scenario};
use qoslab_study::{MetricValue, PointResult, ScenarioResult, measure_metric, statistics};

/// Purposes of bytes that belong to no message, as the notes call them.
const BESIDE_MESSAGES: [(&str, &str); 3] = [
    ("keep_alive", "keep alive"),
    ("connecting", "connecting"),
    ("tcp_acknowledgements", "TCP's acknowledgements"),
];

/// The notes on a point: bytes beside those of the messages, and what a device sends, receives and
/// pays in a month, and how long its battery lasts.
pub(crate) fn notes(result: &ScenarioResult, point: &PointResult) -> Vec<String> {
    let beside = beside_messages(point);
    let month = month_texts(&result.scenario, point).map(|(megabytes, cost)| {
        let cost = cost.map(|cost| format!(" for {cost}")).unwrap_or_default();
        format!("{megabytes} a device and month{cost}")
    });
    let battery = battery_years(point).map(|years| format!("battery {}", years_text(years)));
    let month = month.into_iter().chain(battery).reduce(|month, battery| month + "; " + &battery);
    beside.into_iter().chain(month).collect()
}

/// What a device sends and receives in a month, and what that costs where there is a price.
pub(crate) fn month_texts(
    scenario: &Scenario,
    point: &PointResult,
) -> Option<(String, Option<String>)> {
    let bill = point.monthly_bill()?;
    let cost = bill.cost.zip(scenario.currency.as_deref());
    let cost = cost.map(|(cost, currency)| format!("{} {currency}", format_amount(cost)));
    Some((megabytes_text(bill.megabytes.value), cost))
}

/// How many years the batteries of a point's radios last; `None` without a battery.
pub(crate) fn battery_years(point: &PointResult) -> Option<f64> {
    let qos = point.qos_levels().next()?;
    measure_metric(point, qos, Metric::Battery, false).map(MetricValue::number)
}

/// Years with three digits, or days: `4.25 years`, `26.2 days`.
pub(crate) fn years_text(years: f64) -> String {
    if years < 1.0 {
        format!("{} days", format_amount(years * 365.0))
    } else {
        format!("{} years", format_amount(years))
    }
}

fn beside_messages(point: &PointResult) -> Option<String> {
    let all = point.bytes_by_purpose()?;
    let named = BytesByPurpose::PURPOSES.iter().zip(all).filter_map(|((name, ..), bytes)| {
        let (_, label) = BESIDE_MESSAGES.iter().find(|(purpose, _)| purpose == name)?;
        (bytes >= 0.5).then(|| format!("{bytes:.0} B {label}"))
    });
    let again = statistics::tcp_resends_per_message(point);
    let again = (again >= 0.5).then(|| format!("{again:.0} B that TCP sends again"));
    let named: Vec<String> = named.chain(again).collect();
    (!named.is_empty()).then(|| format!("plus, for each message, {}", named.join(", ")))
}

/// Megabytes with three digits, in the unit that suits: `13.7 MB`.
fn megabytes_text(megabytes: f64) -> String {
    let (factor, unit) = match megabytes {
        mb if mb >= 1e3 => (1e-3, "GB"),
        mb if mb >= 1.0 => (1.0, "MB"),
        _ => (1e3, "kB"),
    };
    format!("{} {unit}", format_amount(megabytes * factor))
}
