//! The gate with trials made by hand.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::thread_pool::ThreadPool;

use super::fixtures::{broken_outcome, outcome, scenario, study};
use super::judge_trial::JudgeError;
use super::needs;
use super::plan::{Seeds, Selection, SelectionError, plan};
use super::result::{FailureCause, ScenarioResult, Verdict};
use super::trial_runner::TrialRunner;
use crate::scenario::Metric;
use qoslab_core::base::{Ending, QoS};
use qoslab_core::mqtt::Version;
use qoslab_guarantee::rules::Rule;
use qoslab_guarantee::{Blame, Outcome, RuleViolationKind};
use qoslab_sim::Trial;

type JudgeResult = Result<Outcome, JudgeError>;

fn run(
    expect: &[&str],
    jobs: u16,
    judge: impl Fn(&Trial) -> JudgeResult + Sync,
) -> Vec<ScenarioResult> {
    let pool = ThreadPool::new(Some(jobs)).unwrap();
    let scenarios = expect.iter().map(|expect| scenario(expect)).collect();
    let plans = plan(scenarios, &Selection::default()).unwrap();
    let runner = TrialRunner { pool: &pool, fail_fast: true, interrupt: &AtomicBool::new(false) };
    runner.run(plans, &judge, &())
}

fn verdict(expect: &str, judge: impl Fn(&Trial) -> JudgeResult + Sync) -> Verdict {
    run(&[expect], 1, judge).pop().unwrap().verdict
}

fn publishes(trial: &Trial, qos: QoS) -> bool {
    trial.setup.publishers[0].qos == qos
}

#[test]
fn any_number_of_jobs_gives_the_same_results_in_the_same_order() {
    let judge = |trial: &Trial| {
        Ok(if trial.seed.is_multiple_of(2) { broken_outcome(trial) } else { outcome(trial) })
    };
    let texts = [1, 2, 5].map(|jobs| format!("{:?}", run(&[""], jobs, judge)));
    assert_eq!(texts[0], texts[1]);
    assert_eq!(texts[0], texts[2]);
}

#[test]
fn a_scenario_holds_when_every_trial_does() {
    assert_eq!(verdict("", |trial| Ok(outcome(trial))), Verdict::Holds);
}

#[test]
fn one_broken_promise_breaks_the_scenario_and_stops_the_next() {
    let judge = |trial: &Trial| {
        Ok(if trial.seed == 4 && publishes(trial, QoS::ExactlyOnce) {
            broken_outcome(trial)
        } else {
            outcome(trial)
        })
    };
    let results = run(&["", ""], 2, judge);
    assert_eq!(results.len(), 1);
    assert_eq!(results[0].verdict, Verdict::Violated);
    assert_eq!(results[0].finished, 8);
    assert_eq!(results[0].points[1].failures[0].seed, 4);
}

#[test]
fn a_trial_that_did_not_drain_proves_nothing() {
    let judge = |trial: &Trial| Ok(Outcome { ending: Ending::Deadline, ..outcome(trial) });
    assert_eq!(verdict("", judge), Verdict::Inconclusive);
}

#[test]
fn a_panic_is_a_bug_and_the_other_trials_go_on() {
    let judge = |trial: &Trial| {
        assert!(trial.seed != 2, "slipped");
        Ok(broken_outcome(trial))
    };
    let result = run(&[""], 1, judge).pop().unwrap();
    assert_eq!(result.verdict, Verdict::Bug);
    assert_eq!(result.finished, 8);
    let cause = &result.points[0].failures[0].cause;
    assert!(matches!(cause, FailureCause::Panicked(message) if message.contains("slipped")));
}

#[test]
fn two_different_passes_are_not_deterministic() {
    let judge = |_: &Trial| Err(JudgeError::NotDeterministic { first: 1, second: 2 });
    assert_eq!(verdict("", judge), Verdict::NotDeterministic);
}

#[test]
fn an_interruption_keeps_what_is_finished() {
    let pool = ThreadPool::new(Some(1)).unwrap();
    let plans = plan(vec![scenario("")], &Selection::default()).unwrap();
    let (interrupt, done) = (AtomicBool::new(false), AtomicUsize::new(0));
    let runner = TrialRunner { pool: &pool, fail_fast: true, interrupt: &interrupt };
    let judge = |trial: &Trial| {
        interrupt.store(done.fetch_add(1, Ordering::SeqCst) >= 2, Ordering::SeqCst);
        Ok(outcome(trial))
    };
    let result = runner.run(plans, &judge, &()).pop().unwrap();
    assert_eq!((result.finished, result.planned), (3, 8));
    assert_eq!(result.verdict, Verdict::Inconclusive);
}

#[test]
fn needs_are_judged_over_all_seeds() {
    let holds = |need: &str| {
        verdict(&format!("need = [\"{need}\"]"), |trial| Ok(outcome(trial))) == Verdict::Holds
    };
    // Seeds 1 to 4 lose 1, 2, 0, 1 of 10 at QoS 0.
    assert!(holds("qos0.lost <= 10%") && !holds("qos0.lost < 10%"));
    assert!(holds("qos0.lost <= 1") && !holds("lost < 1"));
    assert!(holds("qos2.lost <= 0"));
    assert!(holds("qos2.latency.p99 <= 29ms") && !holds("qos2.latency.p99 <= 28ms"));
    // One in ten never came, so the median is there and the 99th percentile is not.
    assert!(holds("qos0.latency.p50 <= 1s") && !holds("qos0.latency.p99 <= 1h"));
    assert!(holds("qos2.packets <= 1 x qos0") && !holds("qos2.packets < 1 x qos0"));
    assert!(holds("copies == 1") && !holds("copies > 1"));
    assert!(holds("in_flight <= 3") && !holds("in_flight < 3"));
}

#[test]
fn a_counter_that_stays_zero_proves_nothing() {
    let verdict = |name| verdict(&format!("sometimes = [\"{name}\"]"), |t| Ok(outcome(t)));
    assert_eq!(verdict("loss"), Verdict::Holds);
    assert_eq!(verdict("duplicate"), Verdict::Inconclusive);
}

#[test]
fn what_must_never_happen_and_did_fails() {
    let verdict = |name| verdict(&format!("never = [\"{name}\"]"), |t| Ok(outcome(t)));
    assert_eq!(verdict("loss"), Verdict::Violated);
    assert_eq!(verdict("will"), Verdict::Holds);
}

#[test]
fn a_declared_break_must_occur_and_excuses_no_other() {
    let expect = |blame| {
        format!(
            "[[expect.broken]]\npromise = \"exactly-once\"\nkind = \"duplicated\"\n\
             blame = \"{blame}\"\nwhy = \"known\""
        )
    };
    assert_eq!(verdict(&expect("broker"), |t| Ok(broken_outcome(t))), Verdict::Holds);
    assert_eq!(verdict(&expect("broker"), |t| Ok(outcome(t))), Verdict::Inconclusive);
    assert_eq!(verdict(&expect("network"), |t| Ok(broken_outcome(t))), Verdict::Violated);
}

#[test]
fn a_selection_narrows_qos_seeds_and_trials() {
    let select = |selection: Selection| {
        plan(vec![scenario("")], &selection).map(|plans| plans[0].trials.len())
    };
    let qos = vec![QoS::ExactlyOnce];
    assert_eq!(select(Selection { qos: qos.clone(), ..Selection::default() }), Ok(4));
    let seeds = Some(Seeds::Range { first: 9, count: 2 });
    assert_eq!(select(Selection { qos, seeds, ..Selection::default() }), Ok(2));

    let name = scenario("").points[1].trial(3).name;
    let trial = |name: &str| Selection { trial: Some(name.to_owned()), ..Selection::default() };
    assert_eq!(select(trial(&name)), Ok(1));
    assert_eq!(select(trial(&name.to_uppercase())), Ok(1));
    assert_eq!(select(trial("zz")), Err(SelectionError::UnknownTrial("zz".to_owned())));
    assert!(matches!(select(trial("")), Err(SelectionError::AmbiguousTrial { count: 8, .. })));
    let none = Selection { qos: vec![QoS::AtLeastOnce], ..Selection::default() };
    assert!(matches!(select(none), Err(SelectionError::Nothing(_))));
}

#[test]
fn a_narrowed_run_judges_promises_and_not_what_only_the_whole_can_show() {
    let expect = "sometimes = [\"duplicate\"]\nneed = [\"qos0.lost <= 50%\", \"lost <= 50%\"]";
    let narrowed = |selection: Selection, judge: fn(&Trial) -> JudgeResult| {
        let pool = ThreadPool::new(Some(1)).unwrap();
        let plans = plan(vec![scenario(expect)], &selection).unwrap();
        let runner =
            TrialRunner { pool: &pool, fail_fast: true, interrupt: &AtomicBool::new(false) };
        runner.run(plans, &judge, &()).pop().unwrap().verdict
    };
    let trial = scenario(expect).points[1].trial(3).name;
    let seeds = Some(Seeds::Range { first: 3, count: 1 });
    let selections = [
        Selection { trial: Some(trial), ..Selection::default() },
        Selection { qos: vec![QoS::ExactlyOnce], ..Selection::default() },
        Selection { seeds, one_seed: true, ..Selection::default() },
    ];
    for selection in selections {
        assert_eq!(narrowed(selection.clone(), |t| Ok(outcome(t))), Verdict::Holds);
        assert_eq!(narrowed(selection, |t| Ok(broken_outcome(t))), Verdict::Violated);
    }
    let other_seeds = Selection { seeds, ..Selection::default() };
    assert_eq!(narrowed(other_seeds, |t| Ok(outcome(t))), Verdict::Inconclusive);
}

#[test]
fn more_trials_than_memory_holds_are_refused() {
    let seeds = Some(Seeds::Count(u32::MAX));
    let refused = plan(vec![scenario("")], &Selection { seeds, ..Selection::default() });
    assert!(matches!(refused, Err(SelectionError::TooMany { .. })));
}

#[test]
fn a_broken_must_is_a_violation_unless_it_is_declared_and_a_broken_should_is_none() {
    let with = |rule: Rule| {
        move |trial: &Trial| {
            let broken = RuleViolationKind { rule, blame: Blame::Broker, version: Version::V311 };
            Ok(Outcome { rule_violations: BTreeMap::from([(broken, 3)]), ..outcome(trial) })
        }
    };
    let declared = |rule: &str| {
        format!("[[expect.broken]]\nrule = \"{rule}\"\nblame = \"broker\"\nwhy = \"it is so\"")
    };
    let must = with(Rule::ResendWithoutDup);
    assert_eq!(verdict("", must), Verdict::Violated);
    assert_eq!(verdict(&declared("MQTT-3.3.1-1"), must), Verdict::Holds);
    assert_eq!(verdict(&declared("resend-without-dup"), must), Verdict::Holds);
    assert_eq!(verdict(&declared("MQTT-3.3.1-2"), must), Verdict::Violated);
    assert_eq!(verdict("", with(Rule::PingUnheeded)), Verdict::Holds);
    assert_eq!(verdict(&declared("MQTT-3.3.1-1"), |t| Ok(outcome(t))), Verdict::Inconclusive);
}

#[test]
fn a_higher_loss_costs_more_packets_in_a_study() {
    let study = study(&[0, 20], &[1]);
    let packets = |cell: usize, qos| {
        needs::measure_metric(
            &study.cells[cell].result.points[qos],
            QoS::ALL[qos],
            Metric::Packets,
            false,
        )
    };
    assert_eq!(packets(0, 1), Some(needs::MetricValue::Number(4.0)));
    assert_eq!(packets(0, 2), Some(needs::MetricValue::Number(8.0)));
    assert!(packets(1, 1).unwrap().number() > 4.5);
    assert!(packets(1, 2).unwrap().number() > 9.0);
    assert_eq!(study.points().count(), 6);
}
