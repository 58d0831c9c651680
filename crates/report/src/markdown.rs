//! The tables as Markdown, for a pull request or a wiki.

use super::describe::ScenarioProperties;
use super::number::format_measured;
use super::point_summary::PointSummary;
use super::summary::broken_rules;
use super::{accounts, comparison, describe, escape, labels, summary};
use qoslab_core::base::units::{format_count, format_share};
use qoslab_study::baseline::BaselineComparison;
use qoslab_study::scenario::MODEL_VERSION;
use qoslab_study::{ScenarioResult, Verdict};

const HEADER: &str = "\
| QoS | delivered | 95 % | lost/run | dup/run | packets/msg | bytes/msg | overhead \
| p50 | p90 | p95 | p99 | p99.9 | max | gate |
|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---|
";

/// One section a scenario, each with what is different from an earlier run where one was given.
#[must_use]
pub fn document<'a>(
    results: impl IntoIterator<Item = (&'a ScenarioResult, Option<&'a BaselineComparison>)>,
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
    let ScenarioProperties { mqtt, transport, retry, endpoints } =
        describe::scenario_properties(scenario);
    let mut text = format!(
        "## {}: {}\n\n{}\n\nMQTT {mqtt}, transport {transport}, retry {retry}, \
         model {MODEL_VERSION}, {} of {} runs{}.\n\n",
        escape::markdown(&scenario.name),
        labels::verdict(result.verdict),
        escape::markdown(&scenario.about),
        format_count(result.finished as u64),
        format_count(result.planned as u64),
        if result.was_interrupted() { ": interrupted, these results are partial" } else { "" },
    );
    if !endpoints.is_empty() {
        text += &format!("{}.\n\n", escape::markdown(&endpoints));
    }
    text += HEADER;
    for figures in result.points.iter().flat_map(PointSummary::for_point) {
        text += &row(&figures);
    }
    text.push('\n');
    for figures in result.points.iter().flat_map(PointSummary::for_point) {
        let setup = &scenario.points[figures.point].setup;
        for line in accounts::lines(&figures.totals, setup, figures.published) {
            text += &format!("- QoS {}: {line}\n", figures.name());
        }
    }
    for need in &result.needs {
        let measured_text = need.worst.as_ref().map_or_else(
            || "could not be measured".to_owned(),
            |worst| {
                format!(
                    "{} ({})",
                    format_measured(&need.need, worst),
                    escape::markdown(&worst.label)
                )
            },
        );
        let met = match result.need_verdict(need) {
            Some(Verdict::Holds) => "met",
            verdict => verdict.map_or(summary::NOT_JUDGED, labels::verdict),
        };
        text += &format!("- need {}: {met}, {measured_text}\n", escape::markdown(&need.need.text));
    }
    for (name, count) in &result.sometimes {
        text += &format!("- sometimes {}: {}\n", escape::markdown(name), format_count(*count));
    }
    for (name, count) in &result.never {
        text += &format!("- never {}: {}\n", escape::markdown(name), format_count(*count));
    }
    for (expected, count) in &result.expected {
        text += &format!(
            "- expected break {}: {} seen. {}\n",
            escape::markdown(&labels::expected_break(&expected.what)),
            format_count(*count),
            escape::markdown(&expected.why),
        );
    }
    for (known, count) in &result.known {
        text += &format!(
            "- known break {}: {}. {}\n",
            escape::markdown(&labels::expected_break(&known.what)),
            escape::markdown(&labels::known_break_status(known, *count)),
            escape::markdown(&known.why),
        );
    }
    for (broken, count) in broken_rules(result) {
        text += &format!("- broken: {}: {}\n", labels::broken_rule(&broken), format_count(count));
    }
    text
}

fn row(figures: &PointSummary) -> String {
    let delivered = figures.delivered;
    let cells = [
        figures.name(),
        figures.delivered_text(),
        format!("{} to {}", format_share(delivered.low, 2), format_share(delivered.high, 2)),
        figures.table_cells(true).join(" | "),
        labels::verdict_mark(figures.verdict).to_owned(),
    ];
    format!("| {} |\n", cells.join(" | "))
}
