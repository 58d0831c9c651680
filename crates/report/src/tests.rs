//! Whole outputs from results made by hand.

use std::sync::atomic::AtomicBool;

use qoslab_study::{ScenarioResult, Selection, Study, ThreadPool, TrialRunner, plan};

use super::style::Style;
use super::table::{TableLayout, sweep, table};
use super::{columns, failure, json, junit, markdown, summary};
use qoslab_core::base::QoS;
use qoslab_sim::Trial;
use qoslab_study::fixtures::{self, broken_outcome, outcome, scenario};

fn result(name: &str) -> ScenarioResult {
    let pool = ThreadPool::new(Some(1)).unwrap();
    let mut scenario = scenario("need = [\"qos2.latency.p99 <= 2s\", \"qos0.lost <= 5%\"]");
    scenario.name = name.to_owned();
    let plans = plan(vec![scenario], &Selection::default()).unwrap();
    let runner = TrialRunner { pool: &pool, fail_fast: true, interrupt: &AtomicBool::new(false) };
    let judge = |trial: &Trial| {
        let breaks = trial.seed == 3 && trial.setup.publishers[0].qos == QoS::ExactlyOnce;
        Ok(if breaks { broken_outcome(trial) } else { outcome(trial) })
    };
    runner.run(plans, &judge, &()).pop().unwrap()
}

#[test]
fn a_terminal_shows_table_needs_and_failures() {
    let result = result("by-hand");
    let layout = TableLayout { width: 80, verbose: false, style: Style::PLAIN };
    let text = table(&result, layout)
        + &summary::expectations(&result, Style::PLAIN)
        + &failure::failures(&result, "", Style::PLAIN)
        + &summary::run_count_sentence(std::slice::from_ref(&result));
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    insta::assert_snapshot!(text);
}

#[test]
fn what_must_never_happen_and_did_is_said_wherever_expectations_are() {
    let pool = ThreadPool::new(Some(1)).unwrap();
    let plans =
        plan(vec![scenario("never = [\"loss\", \"will\"]")], &Selection::default()).unwrap();
    let runner = TrialRunner { pool: &pool, fail_fast: true, interrupt: &AtomicBool::new(false) };
    let judge = |trial: &Trial| Ok(outcome(trial));
    let result = runner.run(plans, &judge, &()).pop().unwrap();
    let line = summary::scenario_line(&result);
    assert!(line.ends_with("loss happened, and must never"), "{line}");
    let text = summary::expectations(&result, Style::PLAIN);
    assert!(text.contains("✗ never: loss ") && text.contains(", will 0"), "{text}");
    let junit = String::from_utf8(junit::document(std::slice::from_ref(&result), "")).unwrap();
    assert!(junit.contains("never loss") && junit.contains("happened"), "{junit}");
}

#[test]
fn intervals_are_shown_where_they_fit_or_are_asked_for() {
    let result = result("by-hand");
    let text = |width, verbose| table(&result, TableLayout { width, verbose, style: Style::PLAIN });
    assert!(!text(80, false).contains('±'));
    assert!(text(160, false).contains('±'));
    assert_eq!(text(80, true).lines().last(), text(160, false).lines().last());
    insta::assert_snapshot!(text(160, false));
}

#[test]
fn files_hold_every_metric() {
    let results = [result("by-hand")];
    let study = Study::from_result(results[0].clone());
    insta::assert_snapshot!(
        "trials.csv",
        String::from_utf8(columns::trials(&study).csv()).unwrap()
    );
    insta::assert_snapshot!(
        "points.csv",
        String::from_utf8(columns::points(&[study]).csv()).unwrap()
    );
    insta::assert_snapshot!(
        "results.json",
        String::from_utf8(json::scenario_json(&results[0])).unwrap()
    );
    insta::assert_snapshot!("tables.md", markdown::document(results.iter().map(|it| (it, None))));
    insta::assert_snapshot!(
        "junit.xml",
        String::from_utf8(junit::document(&results, " --wire")).unwrap()
    );
}

#[test]
fn a_hostile_scenario_harms_no_output() {
    let result = result("=cmd|'/C calc'!A0\x1b]0;x\x07<b>");
    let layout = TableLayout { width: 80, verbose: true, style: Style::PLAIN };
    let terminal = table(&result, layout)
        + &failure::failures(&result, "", Style::PLAIN)
        + &summary::scenario_line(&result);
    assert!(terminal.chars().all(|char| char == '\n' || !char.is_control()), "{terminal:?}");
    let csv =
        String::from_utf8(columns::trials(&Study::from_result(result.clone())).csv()).unwrap();
    assert!(csv.lines().skip(1).all(|line| line.starts_with("'=cmd")), "{csv}");
    let results = [result];
    let xml = String::from_utf8(junit::document(&results, "")).unwrap();
    assert!(!xml.contains("<b>") && !xml.contains('\x1b'), "{xml}");
    let markdown = markdown::document(results.iter().map(|it| (it, None)));
    assert!(!markdown.contains("<b>") && markdown.contains(r"\|"), "{markdown}");
}

#[test]
fn a_sweep_is_a_table_with_a_column_for_each_axis() {
    let layout = TableLayout { width: 80, verbose: false, style: Style::PLAIN };
    let text = sweep(&fixtures::study(&[0, 10], &[1, 4]), layout);
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    insta::assert_snapshot!(text);
}

#[test]
fn a_sweep_is_json_with_the_settings_of_each_cell() {
    let bytes = json::study_json(&fixtures::study(&[0, 10], &[1]));
    let value: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(value["axes"][0]["values"], serde_json::json!([0.0, 10.0]));
    assert_eq!(value["cells"][1]["settings"]["link.sensor.loss"], "10%");
    assert_eq!(value["cells"][1]["result"]["points"][2]["qos"][0]["lost"], 0);
    let plain = Study::from_result(result("by-hand"));
    assert_eq!(json::study_json(&plain), json::scenario_json(&plain.cells[0].result));
}
