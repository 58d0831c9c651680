use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use roxmltree::Document;

use super::*;
use crate::style::Style;
use qoslab_sim::{EventEngine, Trial};
use qoslab_study::scenario::{Scenario, find_scenarios};
use qoslab_study::{find_route, judge_trial, record_trial};

fn parse_trial(text: &str, point: usize, seed: u64) -> Trial {
    let scenario = Scenario::parse("test.toml", text).unwrap_or_else(|errors| panic!("{errors}"));
    scenario.points[point].trial(seed)
}

fn example_text(name: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scenarios/examples");
    std::fs::read_to_string(root.join(name)).unwrap()
}

fn whole_ladder(trial: &Trial, max_rows: usize) -> Ladder {
    ladder(trial, &RecordingFilter::WHOLE_TRIAL, max_rows)
}

fn ladder(trial: &Trial, scope: &RecordingFilter, max_rows: usize) -> Ladder {
    let interrupt = AtomicBool::new(false);
    let outcome = judge_trial(&EventEngine, trial, &interrupt).unwrap();
    let trial_findings =
        TrialFindings { findings: &outcome.findings, rules: &outcome.rule_findings };
    Ladder::new(
        &record_trial(&EventEngine, trial, scope, &interrupt),
        scope,
        &trial.setup,
        trial_findings,
        max_rows,
    )
}

fn message_ladder(trial: &Trial, sequence: u32, to_the_end: bool) -> Ladder {
    let route =
        find_route(&EventEngine, trial, PublisherIndex(0), sequence, &AtomicBool::new(false))
            .unwrap();
    let route = qoslab_study::MessageRoute { keeps_later_events: to_the_end, ..route };
    ladder(trial, &RecordingFilter { route: Some(route), ..RecordingFilter::WHOLE_TRIAL }, MAX_ROWS)
}

#[test]
fn a_lost_puback_shows_its_cross_and_the_second_delivery() {
    insta::assert_snapshot!(text(
        &message_ladder(&parse_trial(&example_text("lost-puback.toml"), 0, 1), 0, false),
        Style::PLAIN
    ));
}

#[test]
fn a_lost_pubrec_shows_its_cross_and_the_repeat() {
    insta::assert_snapshot!(text(
        &message_ladder(&parse_trial(&example_text("lost-pubrec.toml"), 0, 1), 0, false),
        Style::PLAIN
    ));
}

#[test]
fn a_cut_takes_the_pubcomp_and_the_session_goes_on() {
    let trial = parse_trial(&example_text("cut-before-pubcomp.toml"), 0, 1);
    insta::assert_snapshot!(text(&message_ladder(&trial, 0, false), Style::PLAIN));
}

#[test]
fn a_crash_shows_what_never_came() {
    let trial = parse_trial(&example_text("broker-crash.toml"), 0, 1);
    insta::assert_snapshot!(text(&message_ladder(&trial, 0, true), Style::PLAIN));
}

#[test]
fn the_delivery_that_breaks_the_promise_is_marked_with_the_rule_and_its_packet() {
    let text = example_text("cut-before-pubcomp.toml").replace("PUBCOMP", "PUBREC");
    let text = text.split("[expect]").next().unwrap();
    let text = text.replace(
        "[[client]]\nname      = \"sensor\"",
        "[broker]\nquirks = [\"no_dedupe\"]\n[[client]]\nname      = \"sensor\"",
    );
    let ladder = message_ladder(&parse_trial(&text, 0, 1), 0, false);
    let broken: Vec<&LadderRow> =
        ladder.rows.iter().filter(|row| row.row_style == RowStyle::Violation).collect();
    let delivered = |row: &&&LadderRow| matches!(row.shape, RowShape::AtNode(2, Symbol::Deliver));
    let deliveries: Vec<_> = broken.iter().filter(delivered).collect();
    assert_eq!(deliveries.len(), 1, "the first one was right: {broken:?}");
    assert_eq!(deliveries[0].note, "delivers #0 again: exactly-once broken");
    let arrow =
        broken.iter().find(|row| matches!(row.shape, RowShape::Arrow { from: 1, to: 2, .. }));
    assert!(arrow.is_some(), "{broken:?}");
    let rule = broken
        .iter()
        .find(|row| matches!(row.shape, RowShape::AtNode(1, Symbol::BrokenRule)))
        .unwrap();
    assert!(rule.note.contains("[MQTT-4.3.3-2]"), "{}", rule.note);
}

/// Ladders of the shipped scenarios: the first trial of each point.
#[test]
fn every_ladder_fits_its_terminal_and_its_picture() {
    let mut ladders = 0;
    for path in
        find_scenarios(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scenarios")).unwrap()
    {
        let scenario = Scenario::load(&path).unwrap_or_else(|errors| panic!("{errors}"));
        let point = scenario.points.last().unwrap();
        let trial = point.trial(scenario.first_seed);
        let ladder = whole_ladder(&trial, 120);
        let printed = text(&ladder, Style::PLAIN);
        for line in printed.lines() {
            assert!(line.chars().count() <= 80, "{}: {line}", path.display());
        }
        let picture = svg(&ladder);
        let document =
            Document::parse(&picture).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        assert!(document.descendants().filter(|it| it.has_tag_name("text")).count() > 10);
        assert!(!picture.contains("NaN"));
        assert!(ladder.rows.len() <= 120);
        ladders += 1;
    }
    assert!(ladders > 40, "{ladders}");
}

#[test]
fn many_nodes_and_rows_are_counted_where_they_are_left_out() {
    let fleet = include_str!("../../../../scenarios/fleet.toml");
    let ladder = whole_ladder(&parse_trial(fleet, 0, 1), 50);
    assert_eq!(ladder.columns.len(), MAX_NODES);
    assert_eq!(ladder.rows.len(), 50);
    let [nodes, rows] = &ladder.omitted[..] else { panic!("{:?}", ladder.omitted) };
    assert!(nodes.starts_with("No room for ") && nodes.contains(" more"), "{nodes}");
    assert!(rows.starts_with("And ") && rows.ends_with(" more rows."), "{rows}");
}

#[test]
fn colours_are_the_only_difference_they_make() {
    let ladder = whole_ladder(&parse_trial(&example_text("lost-pubrec.toml"), 0, 1), MAX_ROWS);
    let coloured = text(&ladder, Style { colour: true });
    let mut plain = String::new();
    for part in coloured.split('\u{1b}') {
        let after = part.split_once('m').filter(|_| part.starts_with('['));
        plain += after.map_or(part, |(_, after)| after);
    }
    let trimmed = |text: &str| text.lines().map(|it| it.trim_end().to_owned()).collect::<Vec<_>>();
    assert_eq!(trimmed(&plain), trimmed(&text(&ladder, Style::PLAIN)));
    assert_ne!(coloured, plain);
}

#[test]
fn names_cannot_reach_the_terminal_or_the_markup() {
    let mut trial = parse_trial(&example_text("lost-pubrec.toml"), 0, 1);
    let setup = Arc::make_mut(&mut trial.setup);
    setup.clients[0].name = "\u{1b}]0;x\u{7}<script>".into();
    setup.publishers[0].name = "\u{1b}[2J&".into();
    let ladder = message_ladder(&trial, 0, false);
    assert!(!text(&ladder, Style::PLAIN).contains('\u{1b}'));
    let picture = svg(&ladder);
    assert!(!picture.contains('\u{1b}') && !picture.contains("<script"), "{picture}");
    assert!(Document::parse(&picture).is_ok());
}
