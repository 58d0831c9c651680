//! Endpoints that keep every rule are never accused: random scenarios over every version, both
//! transports and all classes of faults, in which no promise may break and no rule may be reported.
//! `docs/swarm.md` holds the result of a hundred thousand of them.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::path::Path;
use std::sync::atomic::AtomicBool;

use qoslab::base::Ending;
use qoslab::scenario::{BreakTarget, Scenario, find_scenarios};
use qoslab::sim::EventEngine;
use qoslab::study::judge_trial;

/// The number of trials of each file; the documented command runs more.
const SEEDS: u64 = 40;

fn swarms() -> Vec<Scenario> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/swarm");
    let files = find_scenarios(&folder).unwrap();
    files.iter().map(|file| Scenario::load(file).unwrap_or_else(|e| panic!("{e}"))).collect()
}

/// Over datagrams QoS 0 is delivered twice though no endpoint is at fault.
fn is_declared(scenario: &Scenario, broken: &BreakTarget) -> bool {
    scenario.expect.broken.iter().any(|declared| declared.what == *broken)
}

#[test]
fn no_swarm_over_correct_endpoints_breaks_a_promise_or_a_rule() {
    let all = swarms();
    assert!(all.len() >= 8);
    for one in &all {
        for point in &one.points {
            for seed in 1_000_000..1_000_000 + SEEDS {
                let trial = point.trial(seed);
                let outcome = judge_trial(&EventEngine, &trial, &AtomicBool::new(false)).unwrap();
                let which = format!("{} --trial {}", one.path, trial.name);
                assert_eq!(outcome.ending, Ending::Quiescent, "{which}");
                let broken = outcome.violations.keys().copied().map(BreakTarget::Promise);
                let alarms: Vec<_> = broken.filter(|it| !is_declared(one, it)).collect();
                assert!(alarms.is_empty(), "{which}: {alarms:?}");
                assert!(
                    outcome.rule_violations.is_empty(),
                    "{which}: {:?}",
                    outcome.rule_violations
                );
            }
        }
    }
}
