//! Differences from an earlier study, in words: for a terminal and for Markdown.

use super::escape;
use super::number::{counted, format_value};
use super::style::Style;
use super::table::wrap;
use qoslab_core::base::units::format_count;
use qoslab_study::MetricValue;
use qoslab_study::baseline::{BaselineComparison, PointDifference};
use qoslab_study::scenario::MODEL_VERSION;

/// The maximum number of differing points that are shown, and of metrics for each.
const MAX_POINTS: usize = 10;
const MAX_METRICS: usize = 4;

/// The lines for a terminal.
#[must_use]
pub fn text(comparison: &BaselineComparison, style: Style) -> String {
    let sign = if comparison.is_identical() { style.good("✓") } else { style.warning("≠") };
    let against = escape::terminal(&comparison.baseline_path);
    let mut text = format!("  {sign} baseline {against}:\n");
    let mut paragraph = |said: &str| {
        for line in wrap(&escape::terminal(said), 74) {
            text += &format!("      {line}\n");
        }
    };
    paragraph(&summary(comparison));
    let other_model = comparison.baseline_model.map(other_model_text);
    other_model.into_iter().chain(point_lines(comparison)).for_each(|line| paragraph(&line));
    text
}

/// The lines for Markdown.
#[must_use]
pub fn markdown(comparison: &BaselineComparison) -> String {
    let against = escape::markdown(&comparison.baseline_path);
    let mut text = format!("- baseline {against}: {}", summary(comparison));
    text.extend(comparison.baseline_model.map(|model| format!(" {}", other_model_text(model))));
    text.push('\n');
    for line in point_lines(comparison) {
        text += &format!("  - {}\n", escape::markdown(&line));
    }
    text
}

/// The numbers of trials that are the same and that differ.
#[must_use]
pub fn summary(comparison: &BaselineComparison) -> String {
    let same = counted(comparison.identical, "trial");
    if comparison.is_identical() {
        return format!("Identical (same trace hash): {same}.");
    }
    let differing = comparison.differences.iter().map(|it| it.trials).sum();
    let parts = [
        (comparison.identical, "identical (same trace hash)"),
        (differing, "different"),
        (comparison.added, "only here"),
        (comparison.missing, "only in the earlier study"),
    ];
    let parts = parts.iter().filter(|(count, _)| *count > 0);
    let parts: Vec<_> =
        parts.map(|(count, what)| format!("{} {what}", format_count(*count))).collect();
    if parts.is_empty() {
        "No trial is in either.".to_owned()
    } else {
        format!("Trials: {}.", parts.join(", "))
    }
}

/// Text: the earlier study is of another model.
#[must_use]
pub fn other_model_text(model: u32) -> String {
    format!(
        "The earlier study is of model {model}, this one of model {MODEL_VERSION}: draws or \
         semantics changed between them, so all may differ."
    )
}

/// One metric of a point: `qos1.lost: 0 → 0.02`.
#[must_use]
pub fn metric_text((name, before, now): &(String, f64, f64)) -> String {
    format!("{name}: {} → {}", format_metric(*before), format_metric(*now))
}

fn point_lines(comparison: &BaselineComparison) -> impl Iterator<Item = String> {
    let all = &comparison.differences;
    let more = all.len().saturating_sub(MAX_POINTS);
    let more = (more > 0).then(|| format!("and {}", counted(more as u64, "more point")));
    all.iter().take(MAX_POINTS).map(point_line).chain(more)
}

fn point_line(difference: &PointDifference) -> String {
    let PointDifference { point, trials, metrics } = difference;
    let mut parts: Vec<String> = metrics.iter().take(MAX_METRICS).map(metric_text).collect();
    if metrics.len() > MAX_METRICS {
        parts.push(format!("and {} more", metrics.len() - MAX_METRICS));
    }
    if parts.is_empty() {
        parts.push("the same metrics by another way".to_owned());
    }
    format!("{point}: {}: {}", counted(*trials, "trial"), parts.join(", "))
}

fn format_metric(number: f64) -> String {
    if number.is_infinite() {
        "never".to_owned()
    } else {
        format_value(MetricValue::Number(number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn comparison(differences: Vec<PointDifference>) -> BaselineComparison {
        let against = "old\x1b[2J".to_owned();
        BaselineComparison {
            baseline_path: against,
            identical: 3,
            differences,
            ..BaselineComparison::default()
        }
    }

    #[test]
    fn equal_studies_are_reported_as_identical() {
        let text = text(&comparison(Vec::new()), Style::PLAIN);
        let expected =
            "  ✓ baseline old\\u{1b}[2J:\n      Identical (same trace hash): 3 trials.\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn a_difference_is_reported_with_its_numbers_and_within_its_columns() {
        let metrics = (0..6).map(|nth| (format!("qos1.m{nth}"), 0.0, f64::INFINITY)).collect();
        let one = PointDifference { point: "loss 5%, qos 1".to_owned(), trials: 2, metrics };
        let text = text(&comparison(vec![one; 12]), Style::PLAIN);
        assert!(text.contains("qos1.m0: 0 → never") && text.contains("and 2 more"), "{text}");
        assert!(text.contains("and 2 more points"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        assert!(!text.contains('\x1b'));
    }
}
