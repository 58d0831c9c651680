//! What luck decided can be written down, and then the same happens without luck.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use qoslab::engine::event::{Options, run, write_down};
use qoslab::scenario::trial::Trial;
use qoslab::scenario::{Scenario, find};
use rayon::prelude::*;

/// Seeds of each point; `QOSLAB_SEEDS` asks for more.
const SEEDS: u64 = 3;

fn seeds() -> u64 {
    std::env::var("QOSLAB_SEEDS").map_or(SEEDS, |seeds| seeds.parse().unwrap())
}

fn shipped() -> Vec<Scenario> {
    let files = find(Path::new("scenarios")).unwrap();
    files.iter().map(|file| Scenario::load(file).unwrap()).collect()
}

fn trace(trial: &Trial) -> u64 {
    run(trial, (), Options::<()>::default()).0.trace_hash
}

#[test]
fn a_trial_without_luck_repeats_the_one_that_was_written_down() {
    let scenarios = shipped();
    let points = scenarios
        .iter()
        .flat_map(|scenario| scenario.points.iter().map(move |point| (scenario, point)));
    let points: Vec<_> = points.collect();
    let differing: Vec<_> = points
        .par_iter()
        .flat_map(|(scenario, point)| {
            (0..seeds()).into_par_iter().map(move |n| (scenario, point, n))
        })
        .filter_map(|(scenario, point, n)| {
            let trial = point.trial(scenario.first_seed + n);
            let interrupt = AtomicBool::new(false);
            let still = write_down(&trial, Some(&interrupt)).unwrap();
            (trace(&trial) != trace(&still))
                .then(|| format!("{} {} seed {}", scenario.name, point.label(), trial.seed))
        })
        .collect();
    assert_eq!(differing, Vec::<String>::new());
}
