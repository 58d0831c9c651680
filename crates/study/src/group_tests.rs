//! Needs by client and by topic, through whole trials.

use std::convert::Infallible;
use std::sync::atomic::AtomicBool;

use super::judge_trial::judge_trial;
use super::plan::{Plan, Selection, plan};
use super::result::{ScenarioResult, Verdict};
use super::sweep::StudyPlan;
use super::trial_key::TrialKey;
use super::trial_runner::{OutcomeCache, TrialRunner};
use crate::scenario::Scenario;
use crate::thread_pool::ThreadPool;
use qoslab_guarantee::Outcome;
use qoslab_sim::{EventEngine, Trial};

/// A dashboard on a clean link that reads all, and a display that loses a third of one topic.
const TWO_READERS: &str = r#"
schema = 1
name = "two-readers"
seeds = { from = 1, count = 3 }
[[client]]
name = "sensor"
[[client.publish]]
topic = "plant/a"
qos = 0
count = 40
every = "1s"
[[client.publish]]
topic = "plant/b"
qos = 1
count = 10
every = "1s"
[[client]]
name = "dashboard"
[[client.subscribe]]
filter = "plant/#"
qos = 1
[[client]]
name = "display-1"
[[client.subscribe]]
filter = "plant/a"
qos = 0
[[link]]
between = ["sensor", "broker"]
transport = "datagram"
delay = "10ms"
[[link]]
between = ["dashboard", "broker"]
transport = "datagram"
delay = "10ms"
[[link]]
between = ["display-*", "broker"]
transport = "datagram"
delay = "500ms"
loss = "33%"
"#;

fn plan_with(needs: &str) -> Plan {
    let text = format!("{TWO_READERS}[expect]\nneed = [{needs}]\n");
    let scenario = Scenario::parse("readers.toml", &text).unwrap_or_else(|e| panic!("{e}"));
    plan(vec![scenario], &Selection::default()).unwrap().remove(0)
}

fn run_with(needs: &str, cache: &mut impl OutcomeCache<Error = Infallible>) -> ScenarioResult {
    let pool = ThreadPool::new(Some(1)).unwrap();
    let runner = TrialRunner { pool: &pool, fail_fast: false, interrupt: &AtomicBool::new(false) };
    let judge = |trial: &Trial| judge_trial(&EventEngine, trial, &AtomicBool::new(false));
    let Ok(mut study) =
        runner.run_study(StudyPlan::from_plan(plan_with(needs)), cache, &judge, &());
    study.cells.remove(0).result
}

fn holds(need: &str) -> bool {
    let result = run_with(&format!("'{need}'"), &mut ());
    assert!(result.needs[0].worst.is_some(), "{need} was not measured");
    result.needs[0].verdict == Verdict::Holds
}

#[test]
fn a_need_by_client_is_about_what_that_client_gets_and_sends() {
    assert!(holds("client.dashboard.lost <= 0"));
    assert!(holds("client.display-1.lost >= 20%") && holds("client.display-*.lost <= 50%"));
    // Of all 90 units a trial, those of the display are lost.
    assert!(holds("client.sensor.qos0.lost >= 10%") && holds("qos1.client.sensor.lost <= 0"));
    assert!(holds("client.display-1.latency.p50 >= 500ms"));
    assert!(holds("client.dashboard.latency.p99.9 <= 30ms"));
    assert!(holds("client.sensor.qos1.completion.p99 <= 30ms"));
}

#[test]
fn a_need_by_topic_is_about_the_messages_of_that_topic() {
    assert!(holds("topic.\"plant/b\".lost <= 0") && holds("topic.plant/+.qos0.lost >= 10%"));
    assert!(holds("client.dashboard.topic.\"plant/a\".delivered == 40"));
}

/// An outcome of a run in which nothing was kept apart.
struct Earlier(Outcome);

impl OutcomeCache for Earlier {
    type Error = Infallible;

    fn fetch(&mut self, _: TrialKey) -> Result<Option<Outcome>, Infallible> {
        Ok(Some(self.0.clone()))
    }

    fn insert(&mut self, _: &[(TrialKey, &Outcome)]) -> Result<(), Infallible> {
        Ok(())
    }
}

#[test]
fn a_stored_outcome_without_the_client_of_a_need_is_simulated_again() {
    let plan = plan_with("");
    let trial = plan.trial(plan.trials[0]);
    let outcome = judge_trial(&EventEngine, &trial, &AtomicBool::new(false)).unwrap();
    assert!(outcome.metrics.groups.is_empty(), "nobody asked");
    let hash = outcome.trace_hash;
    let mut cache = Earlier(outcome);
    let hashes = |result: &ScenarioResult| -> Vec<u64> {
        let trials = &result.points[0].trials;
        trials.iter().map(|trial| trial.summary.as_ref().unwrap().trace_hash).collect()
    };
    assert_eq!(hashes(&run_with("", &mut cache)), [hash; 3]);
    let again = run_with("'client.dashboard.lost <= 0'", &mut cache);
    assert_ne!(hashes(&again), [hash; 3]);
    assert_eq!(again.verdict, Verdict::Holds);
}
