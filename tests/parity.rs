//! Every shipped scenario that turmoil can carry, through both engines.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use qoslab::base::event::{Event, Observer};
use qoslab::base::name::{ClientIndex, StreamIndex};
use qoslab::base::time::{Span, Time};
use qoslab::engine::event::Options;
use qoslab::engine::{Engine, EventEngine, TurmoilEngine, turmoil};
use qoslab::guarantee::verdict::Outcome;
use qoslab::scenario::Scenario;
use qoslab::scenario::trial::Trial;
use qoslab::study::judge::judge_on;

fn scenarios() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|it| it == "toml") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// When each subscriber got each message, and when each publisher was done with it.
#[derive(Default)]
struct Units {
    delivered: BTreeMap<(ClientIndex, StreamIndex, u32), Vec<Time>>,
    completed: BTreeMap<(StreamIndex, u32), Time>,
}

impl Observer for Units {
    fn observe(&mut self, now: Time, event: &Event<'_>) {
        match event {
            Event::Delivered { client, tag, .. } => {
                let parts = tag.parts().unwrap();
                let unit = (*client, parts.stream, parts.sequence);
                self.delivered.entry(unit).or_default().push(now);
            }
            Event::Completed { tag } => {
                let parts = tag.parts().unwrap();
                self.completed.insert((parts.stream, parts.sequence), now);
            }
            _ => {}
        }
    }
}

struct Run {
    outcome: Outcome,
    units: Units,
}

fn play<E: Engine>(engine: &E, trial: &Trial) -> Run {
    let never = AtomicBool::new(false);
    let outcome = judge_on(engine, trial, &never).unwrap();
    let (_, units) = engine.run(trial, Units::default(), Options::until(&never));
    Run { outcome, units }
}

#[test]
fn both_engines_come_to_the_same() {
    let only = std::env::var("ONLY").unwrap_or_default();
    let seeds: u64 = std::env::var("SEEDS").ok().and_then(|it| it.parse().ok()).unwrap_or(1);
    for path in scenarios() {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if !name.contains(&only) {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let scenario = Scenario::parse(&name, &text).map_err(|e| e.to_string()).unwrap();
        for point in &scenario.points {
            for seed in 1..=seeds {
                let trial = point.trial(seed);
                let label = format!("{name} {} {seed}", point.label());
                if let Err(why) = turmoil::check(&trial.setup) {
                    eprintln!("SKIP {label}: {why}");
                    continue;
                }
                let began = std::time::Instant::now();
                let one = play(&EventEngine, &trial);
                let first = began.elapsed();
                let two = play(&TurmoilEngine, &trial);
                let second = began.elapsed() - first;
                let mut late: Vec<i64> = Vec::new();
                let mut copies = 0;
                for (unit, times) in &one.units.delivered {
                    if let Some(others) = two.units.delivered.get(unit) {
                        late.push(others[0].as_nanos() as i64 - times[0].as_nanos() as i64);
                        copies += usize::from(times.len() != others.len());
                    }
                }
                let sets: [BTreeSet<_>; 2] =
                    [&one, &two].map(|it| it.units.delivered.keys().copied().collect());
                let done: [BTreeSet<_>; 2] =
                    [&one, &two].map(|it| it.units.completed.keys().copied().collect());
                let missing = sets[0].symmetric_difference(&sets[1]).count();
                let undone = done[0].symmetric_difference(&done[1]).count();
                late.sort();
                let ms = |n: Option<&i64>| n.map_or(0.0, |n| *n as f64 / 1e6);
                let same = one.outcome.violations == two.outcome.violations
                    && one.outcome.rules == two.outcome.rules
                    && one.outcome.ending == two.outcome.ending;
                eprintln!(
                    "{} {label}: units {} missing {missing} undone {undone} copies {copies} late {:.2}..{:.2} ends {} {} | {first:.1?} {second:.1?} ev {} {}",
                    if same && missing == 0 && undone == 0 { "ok  " } else { "DIFF" },
                    sets[0].len(),
                    ms(late.first()),
                    ms(late.last()),
                    one.outcome.ended_at,
                    two.outcome.ended_at,
                    one.outcome.events,
                    two.outcome.events
                );
                if !same {
                    eprintln!(
                        "   {:?} {:?} {:?}",
                        one.outcome.ending, one.outcome.violations, one.outcome.rules
                    );
                    eprintln!(
                        "   {:?} {:?} {:?}",
                        two.outcome.ending, two.outcome.violations, two.outcome.rules
                    );
                    for finding in two.outcome.findings.iter().take(1) {
                        for line in &finding.story {
                            eprintln!("      {} {}", line.at, line.text);
                        }
                        eprintln!("      {}", finding.because);
                    }
                    for finding in two.outcome.rule_findings.iter().take(2) {
                        eprintln!("      {} {}", finding.at, finding.sentence);
                    }
                }
                let _ = Span::ZERO;
            }
        }
    }
}
