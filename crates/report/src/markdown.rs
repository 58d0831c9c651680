//! The tables as Markdown, for a pull request or a wiki.

use super::describe::Rules;
use super::figures::Figures;
use super::number::{measured, time};
use super::summary::rules;
use super::{comparison, describe, escape, words};
use qoslab_core::base::units::{format_count, format_share};
use qoslab_study::baseline::Comparison;
use qoslab_study::result::{ScenarioResult, Verdict};
use qoslab_study::scenario::MODEL;
use qoslab_study::statistics::Interval;

const HEADER: &str = "\
| QoS | delivered | 95 % | lost/run | dup/run | packets/msg | bytes/msg | overhead \
| p50 | p99 | max | gate |
|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---|
";

/// One section a scenario, each with what is different from an earlier run where one was given.
#[must_use]
pub fn document<'a>(
    results: impl IntoIterator<Item = (&'a ScenarioResult, Option<&'a Comparison>)>,
) -> String {
    let mut text = String::from("# qoslab run\n");
    for (result, baseline) in results {
        text.push('\n');
        text += &section(result);
        text += &baseline.map(comparison::markdown).unwrap_or_default();
    }
    text
}

fn section(result: &ScenarioResult) -> String {
    let scenario = &result.scenario;
    let Rules { mqtt, transport, retry, endpoints } = describe::rules(scenario);
    let mut text = format!(
        "## {}: {}\n\n{}\n\nMQTT {mqtt}, transport {transport}, retry {retry}, model {MODEL}, \
         {} of {} runs{}.\n\n",
        escape::markdown(&scenario.name),
        words::verdict(result.verdict),
        escape::markdown(&scenario.about),
        format_count(result.finished as u64),
        format_count(result.planned as u64),
        if result.is_partial() { ": interrupted, these results are partial" } else { "" },
    );
    if !endpoints.is_empty() {
        text += &format!("{}.\n\n", escape::markdown(&endpoints));
    }
    text += HEADER;
    for figures in result.points.iter().flat_map(Figures::of) {
        text += &row(&figures);
    }
    text.push('\n');
    for need in &result.needs {
        let told = need.worst.as_ref().map_or_else(
            || "could not be measured".to_owned(),
            |worst| format!("{} ({})", measured(&need.need, worst), escape::markdown(&worst.label)),
        );
        let met = match result.judged(need) {
            Some(Verdict::Holds) => "met",
            verdict => verdict.map_or("not judged in a narrowed run", words::verdict),
        };
        text += &format!("- need {}: {met}, {told}\n", escape::markdown(&need.need.text));
    }
    for (name, count) in &result.sometimes {
        text += &format!("- sometimes {}: {}\n", escape::markdown(name), format_count(*count));
    }
    for (expected, count) in &result.expected {
        text += &format!(
            "- expected break {}: {} seen. {}\n",
            escape::markdown(&words::expected(&expected.what)),
            format_count(*count),
            escape::markdown(&expected.why),
        );
    }
    for (known, count) in &result.known {
        text += &format!(
            "- known break {}: {}. {}\n",
            escape::markdown(&words::expected(&known.what)),
            escape::markdown(&words::known_seen(known, *count)),
            escape::markdown(&known.why),
        );
    }
    for (broken, count) in rules(result) {
        text += &format!("- broken: {}: {}\n", words::broken_rule(&broken), format_count(count));
    }
    text
}

fn row(figures: &Figures) -> String {
    let with = |interval: Interval, decimals: usize| {
        let half = (interval.high - interval.low) / 2.0;
        if half.is_finite() {
            format!("{:.decimals$} ±{half:.decimals$}", interval.value)
        } else {
            format!("{:.decimals$}", interval.value)
        }
    };
    let delivered = figures.delivered;
    let cells = [
        figures.name(),
        format_share(delivered.value, 1),
        format!("{} to {}", format_share(delivered.low, 2), format_share(delivered.high, 2)),
        with(figures.lost, 1),
        with(figures.duplicated, 1),
        with(figures.packets, 2),
        with(figures.bytes, 0),
        figures.overhead.map_or_else(|| "-".to_owned(), |overhead| with(overhead, 2)),
        time(figures.latency.p50),
        time(figures.latency.p99),
        time(figures.latency.max),
        words::gate(figures.verdict).to_owned(),
    ];
    format!("| {} |\n", cells.join(" | "))
}
