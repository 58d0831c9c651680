//! `JUnit` XML: one suite per scenario; one case per point, need and expectation. No times and no
//! dates: the same results give the same file.

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::failure::failures;
use super::style::Style;
use super::{describe, labels};
use qoslab_study::{PointResult, ScenarioResult, Verdict};

/// The whole document. `flags` as for [`failures`].
#[must_use]
#[expect(clippy::missing_panics_doc, reason = "memory takes every byte")]
pub fn document(results: &[ScenarioResult], flags: &str) -> Vec<u8> {
    let mut report = Report::new("qoslab");
    for result in results {
        report.add_test_suite(test_suite(result, flags));
    }
    let mut bytes = Vec::new();
    report.serialize(&mut bytes).expect("memory takes every byte");
    bytes
}

fn test_suite(result: &ScenarioResult, flags: &str) -> TestSuite {
    let scenario = &result.scenario;
    let rules = describe::scenario_properties(scenario);
    let mut suite = TestSuite::new(scenario.name.as_str());
    suite.add_property(("mqtt", rules.mqtt.as_str()));
    suite.add_property(("transport", rules.transport.as_str()));
    suite.add_property(("retry", rules.retry.as_str()));
    if !rules.endpoints.is_empty() {
        suite.add_property(("endpoints", rules.endpoints.as_str()));
    }
    suite.add_property(("model", qoslab_study::scenario::MODEL_VERSION.to_string().as_str()));
    for point in &result.points {
        suite.add_test_case(point_case(result, point, flags));
    }
    for need in &result.needs {
        let what = need.worst.as_ref().map_or_else(
            || "could not be measured".to_owned(),
            |worst| {
                format!("{} at {}", super::number::format_measured(&need.need, worst), worst.label)
            },
        );
        suite.add_test_case(test_case(
            &format!("need {}", need.need.text),
            result.need_verdict(need),
            &what,
        ));
    }
    for (name, count) in &result.sometimes {
        let verdict = result.occurrence_verdict(*count);
        suite.add_test_case(test_case(&format!("sometimes {name}"), verdict, "never happened"));
    }
    for (name, count) in &result.never {
        let verdict = Some(ScenarioResult::never_verdict(*count));
        suite.add_test_case(test_case(&format!("never {name}"), verdict, "happened"));
    }
    for (expected, count) in &result.expected {
        let verdict = result.occurrence_verdict(*count);
        let name = format!("expected break {}", labels::expected_break(&expected.what));
        suite.add_test_case(test_case(&name, verdict, "never happened"));
    }
    for (known, count) in &result.known {
        let name = format!("known break {}", labels::expected_break(&known.what));
        // A known break is not a success: most servers count a skipped case apart, with its
        // message.
        let mut status = TestCaseStatus::skipped();
        status.set_message(labels::known_break_status(known, *count));
        suite.add_test_case(TestCase::new(name, status));
    }
    if result.was_interrupted() {
        let what = format!("{} of {} runs finished", result.finished, result.planned);
        suite.add_test_case(test_case("all runs finished", Some(Verdict::Inconclusive), &what));
    }
    suite
}

fn point_case(result: &ScenarioResult, point: &PointResult, flags: &str) -> TestCase {
    let name = if point.label.is_empty() { "promises" } else { &point.label };
    let failed = point.trials.len() - point.verdict_count(Verdict::Holds);
    let what = format!("{failed} of {} runs", point.trials.len());
    let rules: Vec<String> = point.rules.keys().map(labels::broken_rule).collect();
    let what = if rules.is_empty() { what } else { format!("{what}; {}", rules.join("; ")) };
    let mut case = test_case(name, Some(point.verdict()), &what);
    case.set_classname(result.scenario.name.as_str());
    if failed > 0 {
        let only = ScenarioResult { points: vec![point.clone()], ..result.clone() };
        case.set_system_out(failures(&only, flags, Style::PLAIN));
    }
    case
}

/// A case; without a verdict it was skipped, as a narrowed run need not show it.
fn test_case(name: &str, verdict: Option<Verdict>, what: &str) -> TestCase {
    let failed = |kind| {
        let mut status = TestCaseStatus::non_success(kind);
        status.set_message(what).set_type(verdict.map(labels::verdict).unwrap_or_default());
        status
    };
    let status = match verdict {
        None => TestCaseStatus::skipped(),
        Some(Verdict::Holds) => TestCaseStatus::success(),
        Some(Verdict::Violated) => failed(NonSuccessKind::Failure),
        Some(Verdict::Inconclusive | Verdict::NotDeterministic | Verdict::Bug) => {
            failed(NonSuccessKind::Error)
        }
    };
    TestCase::new(name, status)
}
