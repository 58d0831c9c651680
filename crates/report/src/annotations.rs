//! Failures as GitHub's workflow commands: lines on standard output that become annotations at the
//! scenario's file (docs.github.com, "Workflow commands for GitHub Actions").

use super::escape::{workflow_message, workflow_property};
use super::number::{counted, format_measured};
use super::{failure, labels};
use qoslab_study::{Failure, FailureCause, PointResult, ScenarioResult, Verdict};

/// GitHub shows ten errors of a step and drops the rest.
const MAX_ERRORS: usize = 10;

/// A line for each point with failing trials, need that is not met, expectation that was not seen,
/// and known break that is gone; after ten of them, a notice of how many more there are. Empty if
/// nothing failed. `flags` as for [`failure::failures`]; with `is_lenient`, what proves nothing is
/// only a warning.
#[must_use]
pub fn annotations(results: &[ScenarioResult], flags: &str, is_lenient: bool) -> String {
    let each = results.iter().flat_map(|result| scenario_annotations(result, flags, is_lenient));
    let all: Vec<String> = each.collect();
    let mut text: String = all.iter().take(MAX_ERRORS).map(String::as_str).collect();
    if all.len() > MAX_ERRORS {
        let more = counted((all.len() - MAX_ERRORS) as u64, "more failure");
        text += &format!("::notice title=qoslab::{more}: see the log and the reports\n");
    }
    text
}

fn scenario_annotations(result: &ScenarioResult, flags: &str, is_lenient: bool) -> Vec<String> {
    let kind = |verdict| match verdict {
        Verdict::Inconclusive if is_lenient => "warning",
        _ => "error",
    };
    let missing = kind(Verdict::Inconclusive);
    let points = result.points.iter().filter_map(|point| {
        let failure = point.failures.first()?;
        let what = format!(
            "{} of {}: {}; reproduce: {}",
            point.trials.len() - point.verdict_count(Verdict::Holds),
            counted(point.trials.len() as u64, "run"),
            failure_summary(failure),
            failure::reproduce_command(&result.scenario, result.engine, failure, flags)
        );
        let title = title(result, &point.label);
        Some(annotate(kind(point.verdict()), result, workload_line(result, point), &title, &what))
    });
    let needs = result.needs.iter().filter_map(|need| {
        let verdict = result.need_verdict(need).filter(|verdict| *verdict != Verdict::Holds)?;
        let seen = need.worst.as_ref().map_or_else(
            || "could not be measured".to_owned(),
            |worst| format!("{} at {}", format_measured(&need.need, worst), worst.label),
        );
        let what = format!("need {}: {seen}", need.need.text);
        let line = line_of_text(result, &need.need.text);
        Some(annotate(kind(verdict), result, line, &title(result, "need"), &what))
    });
    let missed = |count: u64| result.occurrence_verdict(count) == Some(Verdict::Inconclusive);
    let sometimes = result.sometimes.iter().filter(move |(_, count)| missed(*count));
    let sometimes = sometimes.map(|(name, _)| {
        let what = format!("{name} never happened");
        annotate(missing, result, 1, &title(result, "sometimes"), &what)
    });
    let never = result.never.iter().filter(|(_, count)| *count > 0);
    let never = never.map(|(name, count)| {
        let what = format!("{name} must never happen, and did {}", counted(*count, "time"));
        annotate(kind(Verdict::Violated), result, 1, &title(result, "never"), &what)
    });
    let expected = result.expected.iter().filter(move |(_, count)| missed(*count));
    let expected = expected.map(|(it, _)| {
        let what = format!("expected break never happened: {}", labels::expected_break(&it.what));
        annotate(missing, result, 1, &title(result, "expected break"), &what)
    });
    let known = result.known.iter().filter(|(_, count)| !result.narrowed && *count == 0);
    let known = known.map(|(it, count)| {
        let what = format!(
            "{}: {}",
            labels::expected_break(&it.what),
            labels::known_break_status(it, *count)
        );
        annotate("notice", result, 1, &title(result, "known break"), &what)
    });
    points.chain(needs).chain(sometimes).chain(never).chain(expected).chain(known).collect()
}

fn failure_summary(failure: &Failure) -> String {
    match &failure.cause {
        FailureCause::Broken { violations, rules, .. } => {
            let promises = violations.keys().map(|it| {
                let (promise, breach) =
                    (labels::promise_keyword(it.promise), labels::breach_keyword(it.breach));
                format!("{promise} {breach}, blame {}", labels::blame_keyword(it.blame))
            });
            promises.chain(rules.keys().map(labels::broken_rule)).collect::<Vec<_>>().join("; ")
        }
        FailureCause::NotDrained { ending, at, livelock } => {
            failure::not_drained_text(*ending, *at, livelock.as_ref())
        }
        FailureCause::NotDeterministic { .. } => "not deterministic, a bug in qoslab".to_owned(),
        FailureCause::Panicked(message) => format!("qoslab panicked: {message}"),
    }
}

fn title(result: &ScenarioResult, what: &str) -> String {
    format!("{}: {what}", result.scenario.name)
}

/// An annotation of a `kind` that GitHub knows: `error`, `warning` or `notice`.
fn annotate(
    kind: &str,
    result: &ScenarioResult,
    line: usize,
    title: &str,
    message: &str,
) -> String {
    format!(
        "::{kind} file={},line={line},title={}::{}\n",
        workflow_property(&result.scenario.path),
        workflow_property(title),
        workflow_message(message)
    )
}

/// The line of the first workload, from 1.
fn workload_line(result: &ScenarioResult, point: &PointResult) -> usize {
    let setup = &result.scenario.points[point.index].setup;
    let is_workload = |line: &str| line.contains("client.publish") || line.starts_with("publish");
    let lines = result.scenario.source.lines().position(|line| is_workload(line.trim_start()));
    lines.filter(|_| !setup.publishers.is_empty()).map_or(1, |at| at + 1)
}

/// The line in which a text stands, from 1; 1 if it is not found verbatim.
fn line_of_text(result: &ScenarioResult, text: &str) -> usize {
    result.scenario.source.lines().position(|line| line.contains(text)).map_or(1, |at| at + 1)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::*;
    use qoslab_sim::Trial;
    use qoslab_study::fixtures::{broken_outcome, scenario};
    use qoslab_study::{Selection, ThreadPool, TrialRunner, plan};

    fn violated_result(expect: &str, path: &str, name: &str) -> ScenarioResult {
        let mut scenario = scenario(expect);
        path.clone_into(&mut scenario.path);
        name.clone_into(&mut scenario.name);
        let pool = ThreadPool::new(Some(1)).unwrap();
        let plans = plan(vec![scenario], &Selection::default()).unwrap();
        let runner =
            TrialRunner { pool: &pool, fail_fast: true, interrupt: &AtomicBool::new(false) };
        runner.run(plans, &|trial: &Trial| Ok(broken_outcome(trial)), &()).remove(0)
    }

    #[test]
    fn a_failure_is_placed_at_its_workload_and_a_need_at_its_line() {
        let text = annotations(
            &[violated_result("need = [\"qos0.lost <= 5%\"]", "a.toml", "a")],
            " --wire",
            false,
        );
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 3, "{text}");
        let start = "::error file=a.toml,line=8,title=a%3A qos 0::4 of 4 runs: exactly-once \
                     duplicated, blame broker; reproduce: qoslab run a.toml --wire --trial ";
        assert!(lines[0].starts_with(start), "{text}");
        let need = "::error file=a.toml,line=26,title=a%3A need::need qos0.lost <= 5%25: 10.0 %25 \
                    at qos 0";
        assert_eq!(lines[2], need);
    }

    #[test]
    fn a_scenario_cannot_write_commands_of_its_own() {
        let hostile = "x,line=9::warning::y\n::error::z%0A\x1b[2J\u{202e}";
        let text = annotations(&[violated_result("", hostile, hostile)], "", false);
        assert!(text.lines().all(|line| line.starts_with("::error file=x%2Cline=9%3A%3A")));
        assert!(text.chars().all(|char| char == '\n' || !char.is_control()));
        assert!(!text.contains("%0A") && text.contains("%250A"), "{text}");
    }

    #[test]
    fn after_ten_errors_only_their_number_is_reported() {
        let results: Vec<_> = (0..7).map(|_| violated_result("", "a.toml", "a")).collect();
        let text = annotations(&results, "", false);
        assert_eq!(text.matches("::error ").count(), 10);
        assert!(
            text.ends_with("::notice title=qoslab::4 more failures: see the log and the reports\n")
        );
    }
}
