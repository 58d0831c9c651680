//! Random draws can be recorded as a schedule, and replaying it gives the same trial without them.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use qoslab::scenario::{Scenario, find_scenarios};
use qoslab::sim::Options;
use qoslab::sim::event::run;
use qoslab::sim::{EventEngine, Trial, make_deterministic};
use rayon::prelude::*;

/// Seeds of each point; `QOSLAB_SEEDS` asks for more.
const SEEDS: u64 = 3;

fn seeds() -> u64 {
    std::env::var("QOSLAB_SEEDS").map_or(SEEDS, |seeds| seeds.parse().expect("a number of seeds"))
}

fn shipped() -> Vec<Scenario> {
    let files = find_scenarios(Path::new("scenarios")).expect("scenarios are shipped");
    files.iter().map(|file| Scenario::load(file).expect("shipped ones are right")).collect()
}

fn trace(trial: &Trial) -> u64 {
    run(trial, (), Options::default()).0.trace_hash
}

#[test]
fn the_file_that_stands_for_a_trial_is_read_as_the_same_trial() {
    for scenario in shipped().iter().filter(|it| it.points[0].setup.clients.len() < 20) {
        let point = scenario.points.last().unwrap();
        let trial = point.trial(scenario.first_seed);
        let Some(still) = make_deterministic(&EventEngine, &trial, None) else { unreachable!() };
        let text = scenario.to_trial_file(&still);
        let read = Scenario::parse("failure.toml", &text)
            .unwrap_or_else(|wrong| panic!("{}: {}", scenario.name, wrong.render(false)));
        let again = read.points[0].trial(read.first_seed);
        assert_eq!(trace(&again), trace(&trial), "{}", scenario.name);
    }
}

#[test]
fn a_recorded_schedule_repeats_the_trial_without_random_draws() {
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
            let deterministic = make_deterministic(&EventEngine, &trial, Some(&interrupt)).unwrap();
            (trace(&trial) != trace(&deterministic))
                .then(|| format!("{} {} seed {}", scenario.name, point.label(), trial.seed))
        })
        .collect();
    assert_eq!(differing, Vec::<String>::new());
}

/// Two clients on links of their own, with these faults.
fn with_faults(faults: &str) -> Scenario {
    let text = format!(
        r#"
schema = 1
name = "faults"
[[client]]
name = "meter"
publish = [{{ topic = "t", qos = 1, count = 30, every = "1s" }}]
[[client]]
name = "app"
subscribe = [{{ filter = "t", qos = 1 }}]
[[link]]
between = ["*", "broker"]
transport = "tcp"
delay = "20ms"
{faults}
"#
    );
    Scenario::parse("faults.toml", &text).unwrap_or_else(|wrong| panic!("{}", wrong.render(false)))
}

/// The file that stands for a trial gives the same trial.
fn assert_written_down(scenario: &Scenario) {
    let trial = scenario.points[0].trial(1);
    let Some(still) = make_deterministic(&EventEngine, &trial, None) else { unreachable!() };
    let text = scenario.to_trial_file(&still);
    let read = Scenario::parse("failure.toml", &text)
        .unwrap_or_else(|wrong| panic!("{}\n{text}", wrong.render(false)));
    let again = read.points[0].trial(read.first_seed);
    assert_eq!(trace(&again), trace(&trial), "{text}");
}

#[test]
fn a_fault_that_is_drawn_to_last_no_time_can_be_written_down() {
    assert_written_down(&with_faults(
        "[[fault]]\nevery = \"5s\"\non = \"meter\"\ndo = { stall = \"exp 1ns\" }",
    ));
}

#[test]
fn faults_at_one_instant_are_written_down_in_the_order_in_which_they_came() {
    assert_written_down(&with_faults(
        "[[fault]]\nevery = \"uniform 5s..5s\"\non = \"meter\"\ndo = \"cut\"\n\
         [[fault]]\nat = \"5s\"\non = \"meter\"\ndo = { half-open = \"client\" }\n\
         [[fault]]\nat = \"10s\"\non = \"meter\"\ndo = { half-open = \"broker\" }",
    ));
}
