use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use resvg::usvg::roxmltree::Document;

use super::*;
use crate::style::Style;
use qoslab_sim::EventEngine;
use qoslab_sim::trial::Trial;
use qoslab_study::judge::judge_trial;
use qoslab_study::scenario::{Scenario, find};
use qoslab_study::tape::{record, route};

fn trial(text: &str, point: usize, seed: u64) -> Trial {
    let scenario = Scenario::parse("test.toml", text).unwrap_or_else(|errors| panic!("{errors}"));
    scenario.points[point].trial(seed)
}

fn example(name: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scenarios/examples");
    std::fs::read_to_string(root.join(name)).unwrap()
}

fn whole(trial: &Trial, most: usize) -> Ladder {
    ladder(trial, &Scope::WHOLE, most)
}

fn ladder(trial: &Trial, scope: &Scope, most: usize) -> Ladder {
    let interrupt = AtomicBool::new(false);
    let outcome = judge_trial(&EventEngine, trial, &interrupt).unwrap();
    let judged = Judged { findings: &outcome.findings, rules: &outcome.rule_findings };
    Ladder::new(&record(&EventEngine, trial, scope, &interrupt), scope, &trial.setup, judged, most)
}

fn message(trial: &Trial, sequence: u32, to_the_end: bool) -> Ladder {
    let route =
        route(&EventEngine, trial, StreamIndex(0), sequence, &AtomicBool::new(false)).unwrap();
    let route = qoslab_study::tape::Route { to_the_end, ..route };
    ladder(trial, &Scope { route: Some(route), ..Scope::WHOLE }, MOST_ROWS)
}

#[test]
fn a_lost_puback_shows_its_cross_and_the_second_delivery() {
    insta::assert_snapshot!(text(
        &message(&trial(&example("lost-puback.toml"), 0, 1), 0, false),
        Style::PLAIN
    ));
}

#[test]
fn a_lost_pubrec_shows_its_cross_and_the_repeat() {
    insta::assert_snapshot!(text(
        &message(&trial(&example("lost-pubrec.toml"), 0, 1), 0, false),
        Style::PLAIN
    ));
}

#[test]
fn a_cut_takes_the_pubcomp_and_the_session_goes_on() {
    let trial = trial(&example("cut-before-pubcomp.toml"), 0, 1);
    insta::assert_snapshot!(text(&message(&trial, 0, false), Style::PLAIN));
}

#[test]
fn a_crash_shows_what_never_came() {
    let trial = trial(&example("broker-crash.toml"), 0, 1);
    insta::assert_snapshot!(text(&message(&trial, 0, true), Style::PLAIN));
}

#[test]
fn the_delivery_that_breaks_the_promise_is_marked_with_the_rule_and_its_packet() {
    let text = example("cut-before-pubcomp.toml").replace("PUBCOMP", "PUBREC");
    let text = text.split("[expect]").next().unwrap();
    let text = text.replace(
        "[[client]]\nname      = \"sensor\"",
        "[broker]\nquirks = [\"no_dedupe\"]\n[[client]]\nname      = \"sensor\"",
    );
    let ladder = message(&trial(&text, 0, 1), 0, false);
    let broken: Vec<&Row> = ladder.rows.iter().filter(|row| row.tone == Tone::Broken).collect();
    let delivered = |row: &&&Row| matches!(row.mark, Mark::At(2, Sign::Deliver));
    let deliveries: Vec<_> = broken.iter().filter(delivered).collect();
    assert_eq!(deliveries.len(), 1, "the first one was right: {broken:?}");
    assert_eq!(deliveries[0].note, "delivers #0 again: exactly-once broken");
    let arrow = broken.iter().find(|row| matches!(row.mark, Mark::Arrow { from: 1, to: 2, .. }));
    assert!(arrow.is_some(), "{broken:?}");
    let rule = broken.iter().find(|row| matches!(row.mark, Mark::At(1, Sign::Rule))).unwrap();
    assert!(rule.note.contains("[MQTT-4.3.3-2]"), "{}", rule.note);
}

/// Ladders of what ships: the first trial of each point.
#[test]
fn every_ladder_fits_its_terminal_and_its_picture() {
    let mut ladders = 0;
    for path in find(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scenarios")).unwrap() {
        let scenario = Scenario::load(&path).unwrap_or_else(|errors| panic!("{errors}"));
        let point = scenario.points.last().unwrap();
        let trial = point.trial(scenario.first_seed);
        let ladder = whole(&trial, 120);
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
    let ladder = whole(&trial(fleet, 0, 1), 50);
    assert_eq!(ladder.columns.len(), MOST_NODES);
    assert_eq!(ladder.rows.len(), 50);
    let [nodes, rows] = &ladder.left_out[..] else { panic!("{:?}", ladder.left_out) };
    assert!(nodes.starts_with("No room for ") && nodes.contains(" more"), "{nodes}");
    assert!(rows.starts_with("And ") && rows.ends_with(" more rows."), "{rows}");
}

#[test]
fn colours_are_the_only_difference_they_make() {
    let ladder = whole(&trial(&example("lost-pubrec.toml"), 0, 1), MOST_ROWS);
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
    let mut trial = trial(&example("lost-pubrec.toml"), 0, 1);
    let setup = Arc::make_mut(&mut trial.setup);
    setup.clients[0].name = "\u{1b}]0;x\u{7}<script>".into();
    setup.streams[0].name = "\u{1b}[2J&".into();
    let ladder = message(&trial, 0, false);
    assert!(!text(&ladder, Style::PLAIN).contains('\u{1b}'));
    let picture = svg(&ladder);
    assert!(!picture.contains('\u{1b}') && !picture.contains("<script"), "{picture}");
    assert!(Document::parse(&picture).is_ok());
}
