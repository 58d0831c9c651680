//! Choices by hand-made numbers, and flips against the closed forms.

use std::sync::atomic::AtomicBool;

use super::*;
use crate::gate::Gate;
use crate::judge::judge_trial;
use crate::plan::Selection;
use crate::scenario::Scenario;
use crate::sweep::StudyPlan;
use crate::testing::{broken_outcome, outcome, scenario, study_of};
use qoslab_core::base::qos::QoS;
use qoslab_guarantee::verdict::Outcome;
use qoslab_sim::EventEngine;
use qoslab_sim::trial::Trial;

const LINE: &str = r#"
    schema = 1
    name = "line"
    seeds = { from = 1, count = 10 }
    [[client]]
    name = "sensor"
    max_inflight = 1000
    publish = [{ topic = "t", qos = [0, 1, 2], count = 400, every = "500ms", payload = "64B" }]
    [[client]]
    name = "dashboard"
    subscribe = [{ filter = "t", qos = 2 }]
    [[link]]
    between = ["sensor", "broker"]
    delay = "40ms"
    loss = "LOSS"
    [[link]]
    between = ["dashboard", "broker"]
    delay = "1ms"
"#;

fn wanted(needs: &[&str]) -> Wanted {
    let needs = needs.iter().map(|need| Need::parse(need).unwrap()).collect();
    Wanted { needs, objective: Objective::Packets }
}

fn run(plan: StudyPlan, judge: impl Fn(&Trial) -> Outcome + Sync) -> Study {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let gate = Gate { pool: &pool, fail_fast: false, interrupt: &AtomicBool::new(false) };
    let Ok(study) = gate.run_study(plan, &mut (), &|trial: &Trial| Ok(judge(trial)), &());
    study
}

fn by_hand(judge: impl Fn(&Trial) -> Outcome + Sync) -> Study {
    let cells = vec![(Vec::new(), scenario(""))];
    run(StudyPlan::new(Vec::new(), cells, &Selection::default()).unwrap(), judge)
}

/// The choice for a scenario, and where it flips along its one loss.
fn flips_of(text: &str, needs: &[&str]) -> (Option<QoS>, Flips) {
    let (study, wanted) = (study_of(text), wanted(needs));
    let choice = choose(&study, &wanted).unwrap();
    let simulate = |plan| {
        Ok(run(plan, |trial| judge_trial(&EventEngine, trial, &AtomicBool::new(false)).unwrap()))
    };
    let mut all = flips(&study, &choice, &wanted, &Selection::default(), simulate).unwrap();
    assert_eq!(all.len(), 1);
    (choice.best.map(|best| choice.options[best].qos), all.remove(0))
}

#[track_caller]
fn assert_flip(flip: Option<Flip>, at: f64, within: f64, choice: Option<QoS>) {
    let flip = flip.expect("the choice changes");
    assert!((flip.at - at).abs() <= within, "{} is not {at}", flip.at);
    assert_eq!(flip.choice.map(|level| level.qos), choice);
}

#[test]
fn a_tolerable_loss_flips_where_the_link_loses_as_much() {
    let (best, flips) = flips_of(&LINE.replace("LOSS", "0.5%"), &["lost <= 2%"]);
    assert_eq!((best, flips.means), (Some(QoS::AtMostOnce), Means::ClosedForm));
    assert_eq!(flips.below, None);
    assert_flip(flips.above, 2.0, 1e-5, Some(QoS::AtLeastOnce));
}

#[test]
fn a_deadline_flips_where_two_transmissions_are_no_longer_enough() {
    // All but p^2 come with the second transmission, so the 99 % quantile waits for the third
    // where p is above the root of 1 %.
    let needs = ["lost <= 0", "latency.p99 <= 1.5s"];
    let (best, flips) = flips_of(&LINE.replace("LOSS", "5%"), &needs);
    assert_eq!((best, flips.means), (Some(QoS::AtLeastOnce), Means::ClosedForm));
    assert_flip(flips.below, 0.0, 1e-5, Some(QoS::AtMostOnce));
    assert_flip(flips.above, 10.0, 1e-5, None);
}

#[test]
fn duplicates_flip_where_the_answers_are_lost_as_often() {
    let needs = ["lost <= 0", "duplicated <= 3%"];
    let (best, flips) = flips_of(&LINE.replace("LOSS", "1%"), &needs);
    assert_eq!(best, Some(QoS::AtLeastOnce));
    assert_flip(flips.above, 3.0, 1e-5, Some(QoS::ExactlyOnce));
}

#[test]
fn without_a_closed_form_trials_find_nearly_the_same() {
    let jittery =
        LINE.replace("LOSS", "1%").replace("\"40ms\"", "{ time = \"40ms\", jitter = \"1ms\" }");
    let (best, flips) = flips_of(&jittery, &["lost <= 5%"]);
    assert_eq!((best, flips.means), (Some(QoS::AtMostOnce), Means::Simulation { seeds: 10 }));
    assert_eq!(flips.below, None);
    assert_flip(flips.above, 5.0, 1.3, Some(QoS::AtLeastOnce));
}

#[test]
fn trials_that_lose_nothing_by_chance_do_not_move_the_flip_from_no_loss() {
    let jittery =
        LINE.replace("LOSS", "1%").replace("\"40ms\"", "{ time = \"40ms\", jitter = \"1ms\" }");
    let (best, flips) = flips_of(&jittery, &["lost <= 0"]);
    assert_eq!(best, Some(QoS::AtLeastOnce));
    assert_flip(flips.below, 0.0, 0.0, Some(QoS::AtMostOnce));
}

#[test]
fn what_breaks_its_promise_is_not_chosen() {
    let wanted = wanted(&["lost <= 50%"]);
    let sound = choose(&by_hand(outcome), &wanted).unwrap();
    assert_eq!(sound.best, Some(0));
    let broken = choose(&by_hand(broken_outcome), &wanted).unwrap();
    assert_eq!(broken.best, None);
    assert!(broken.reasons[0].contains("breaks a promise or a rule"), "{:?}", broken.reasons);
}

#[test]
fn what_is_not_settled_says_how_many_seeds_would_tell() {
    // 4 of 40 units are lost at QoS 0, by 1, 2, 0 and 1 a run.
    let doubt = |need: &str| {
        let choice = choose(&by_hand(outcome), &wanted(&[need])).unwrap();
        choice.options[0].needs[0].doubt
    };
    let open = doubt("lost <= 9%");
    assert!(matches!(open, Doubt::Undecided { seeds: Some(100..), .. }), "{open:?}");
    assert!(matches!(doubt("lost <= 10%"), Doubt::Undecided { seeds: None, .. }));
    assert!(matches!(doubt("lost <= 60%"), Doubt::Settled(_)));
    // At QoS 2 none of 40 is lost, which proves what the rule of three says, nearly.
    let choice = choose(&by_hand(outcome), &wanted(&["lost <= 0"])).unwrap();
    let Doubt::NoneOf(40, most) = choice.options[1].needs[0].doubt else { panic!() };
    assert!((most - 0.0722).abs() < 1e-4, "{most}");
}

#[test]
fn costs_that_the_runs_do_not_tell_apart_are_said_to_be_open() {
    // By turns QoS 0 resends 4 packets more for its 10 messages and QoS 2 5 more: the differences
    // are -0.4 and 0.5, their mean is 0.05 +- 0.827, and (0.827 / 0.05)^2 x 4 seeds are 1,094.
    let uneven = |trial: &Trial| {
        let mut outcome = outcome(trial);
        let is_even = trial.seed.is_multiple_of(2);
        let more = match trial.setup.streams[0].qos {
            QoS::AtMostOnce => u64::from(!is_even) * 4,
            _ => u64::from(is_even) * 5,
        };
        for level in outcome.metrics.qos.iter_mut().filter(|it| it.counts.messages > 0) {
            level.traffic[0][0].resent.packets += more;
        }
        outcome
    };
    let choice = choose(&by_hand(uneven), &wanted(&["lost <= 50%"])).unwrap();
    assert_eq!(choice.best, Some(0));
    assert_eq!(choice.rival, Some(Rival { option: 1, seeds: Some(1_100) }));
    // The same in every run is settled: the lower level is taken.
    let same = choose(&by_hand(outcome), &wanted(&["lost <= 50%"])).unwrap();
    assert_eq!((same.best, same.rival), (Some(0), None));
}

#[test]
fn needs_that_nothing_can_decide_are_refused() {
    let scenario = Scenario::parse("line.toml", &LINE.replace("LOSS", "1%")).unwrap();
    let refused = |needs: &[&str]| wanted(needs).check(&scenario).unwrap_err();
    assert_eq!(refused(&[]), ChooseError::NoNeed);
    let one = ChooseError::OneLevel("qos1.lost <= 0".to_owned(), "lost <= 0".to_owned());
    assert_eq!(refused(&["qos1.lost <= 0"]), one);
    for impossible in ["lost < 0", "delivered > 100%"] {
        assert_eq!(refused(&[impossible]), ChooseError::Impossible(impossible.to_owned()));
    }
    for (a, b) in [
        ("lost <= 1%", "lost >= 5%"),
        ("lost <= 0", "lost >= 1%"),
        ("packets < 4", "packets >= 4"),
        ("latency.p99 <= 1s", "latency.p99 > 2s"),
    ] {
        assert_eq!(refused(&[a, b]), ChooseError::Contradiction(a.to_owned(), b.to_owned()));
    }
    assert_eq!(refused(&["energy <= 1J"]), ChooseError::NoRadio);
    for fine in [&["lost <= 1%", "lost >= 0"][..], &["packets <= 4", "packets >= 4"]] {
        assert_eq!(wanted(fine).check(&scenario), Ok(()));
    }
}

#[test]
fn a_price_makes_a_message_and_a_month_of_the_same_bytes() {
    let text = LINE.replace("LOSS", "1%");
    let study = study_of(&text);
    let money = Money { per_megabyte: 0.4, currency: "EUR".to_owned(), fleet: Some(5_000) };
    let by = |objective| {
        let wanted = Wanted { objective, ..wanted(&["lost <= 0"]) };
        choose(&study, &wanted).unwrap()
    };
    let (bytes, euros) = (by(Objective::Bytes), by(Objective::Money(money)));
    for (bytes, euros) in bytes.options.iter().zip(&euros.options) {
        assert!((euros.cost.value - bytes.cost.value * 0.4e-6).abs() < 1e-15);
        let month = euros.month.unwrap();
        // Two messages a second for 30 days, from each of 5,000 devices.
        let all = euros.cost.value * 2.0 * 30.0 * 86_400.0 * 5_000.0;
        assert!((month.cost - all).abs() < all * 1e-12);
        assert_eq!(month.devices, 5_000);
    }
}
