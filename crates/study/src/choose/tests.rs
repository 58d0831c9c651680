//! Choices by hand-made numbers, and flips against the closed forms.

use std::convert::Infallible;
use std::sync::atomic::AtomicBool;

use super::*;
use crate::fixtures::{broken_outcome, outcome, scenario, study_of};
use crate::judge_trial::judge_trial;
use crate::plan::Selection;
use crate::scenario::Scenario;
use crate::statistics::to_f64;
use crate::sweep::StudyPlan;
use crate::thread_pool::ThreadPool;
use crate::trial_runner::TrialRunner;
use qoslab_core::base::QoS;
use qoslab_guarantee::Outcome;
use qoslab_sim::{EventEngine, Trial};

const LINE_SCENARIO: &str = r#"
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
    transport = "datagram"
    delay = "40ms"
    loss = "LOSS"
    [[link]]
    between = ["dashboard", "broker"]
    transport = "datagram"
    delay = "1ms"
"#;

fn criteria(needs: &[&str]) -> ChoiceCriteria {
    let needs = needs.iter().map(|need| Need::parse(need).unwrap()).collect();
    ChoiceCriteria { needs, objective: Objective::Packets }
}

fn run(plan: StudyPlan, judge: impl Fn(&Trial) -> Outcome + Sync) -> Study {
    let pool = ThreadPool::new(Some(1)).unwrap();
    let runner = TrialRunner { pool: &pool, fail_fast: false, interrupt: &AtomicBool::new(false) };
    let Ok(study) = runner.run_study(plan, &mut (), &|trial: &Trial| Ok(judge(trial)), &());
    study
}

fn study_with_outcomes(judge: impl Fn(&Trial) -> Outcome + Sync) -> Study {
    let cells = vec![(Vec::new(), scenario(""))];
    run(StudyPlan::new(Vec::new(), cells, &Selection::default()).unwrap(), judge)
}

/// The choice for a scenario, and where it flips along its one loss.
fn crossovers_of(text: &str, needs: &[&str]) -> (Option<QoS>, Crossovers) {
    let (best, mut all) = all_crossovers_of(text, needs);
    assert_eq!(all.len(), 1);
    (best, all.remove(0))
}

/// The choice for a scenario, and where it flips along each field.
fn all_crossovers_of(text: &str, needs: &[&str]) -> (Option<QoS>, Vec<Crossovers>) {
    let (study, wanted) = (study_of(text), criteria(needs));
    let choice = choose(&study, &wanted).unwrap();
    let simulate = |plan| {
        Ok::<_, Infallible>(run(plan, |trial| {
            judge_trial(&EventEngine, trial, &AtomicBool::new(false)).unwrap()
        }))
    };
    let all = find_crossovers(&study, &choice, &wanted, &Selection::default(), simulate).unwrap();
    (choice.best.map(|best| choice.options[best].qos), all)
}

#[track_caller]
fn assert_crossover(flip: Option<Crossover>, at: f64, within: f64, choice: Option<QoS>) {
    let flip = flip.expect("the choice changes");
    assert!((flip.at - at).abs() <= within, "{} is not {at}", flip.at);
    assert_eq!(flip.choice.map(|level| level.qos), choice);
}

#[test]
fn the_choice_changes_where_link_loss_reaches_the_tolerated_loss() {
    let (best, flips) = crossovers_of(&LINE_SCENARIO.replace("LOSS", "0.5%"), &["lost <= 2%"]);
    assert_eq!((best, flips.method), (Some(QoS::AtMostOnce), SearchMethod::ClosedForm));
    assert_eq!(flips.below, None);
    assert_crossover(flips.above, 2.0, 1e-5, Some(QoS::AtLeastOnce));
}

#[test]
fn the_choice_changes_where_two_transmissions_miss_the_deadline() {
    // All but p^2 come with the second transmission, so the 99 % quantile waits for the third
    // where p is above the root of 1 %.
    let needs = ["lost <= 0", "latency.p99 <= 1.5s"];
    let (best, flips) = crossovers_of(&LINE_SCENARIO.replace("LOSS", "5%"), &needs);
    assert_eq!((best, flips.method), (Some(QoS::AtLeastOnce), SearchMethod::ClosedForm));
    assert_crossover(flips.below, 0.0, 1e-5, Some(QoS::AtMostOnce));
    assert_crossover(flips.above, 10.0, 1e-5, None);
}

#[test]
fn the_choice_changes_where_lost_acknowledgements_duplicate_too_often() {
    let needs = ["lost <= 0", "duplicated <= 3%"];
    let (best, flips) = crossovers_of(&LINE_SCENARIO.replace("LOSS", "1%"), &needs);
    assert_eq!(best, Some(QoS::AtLeastOnce));
    assert_crossover(flips.above, 3.0, 1e-5, Some(QoS::ExactlyOnce));
}

#[test]
fn the_choice_changes_where_a_burst_does_not_fit_the_socket() {
    let burst = r#"
        schema = 1
        name = "burst"
        seeds = { from = 1, count = 2 }
        [[client]]
        name = "logger"
        socket = { when_full = "drop" }
        max_inflight = 100
        publish = [{ topic = "t", qos = [0, 1], count = 100, every = "10ms", payload = "500B" }]
        [[client]]
        name = "dashboard"
        subscribe = [{ filter = "t", qos = 1 }]
        [[link]]
        between = ["logger", "broker"]
        transport = "tcp"
        delay = "20ms"
        rate = "100kbit/s"
        [[link]]
        between = ["dashboard", "broker"]
        transport = "tcp"
        delay = "1ms"
    "#;
    let (best, all) = all_crossovers_of(burst, &["lost <= 0"]);
    assert_eq!(best, Some(QoS::AtMostOnce));
    // What breaks connections was looked for too, and changes nothing here.
    let flips = all.iter().find(|it| it.path == "client.logger.socket.send_buffer").unwrap();
    assert_eq!((all.len(), flips.unit, flips.above), (3, CrossoverUnit::Bytes, None));
    // By hand: 100 messages of 506 B in 0.99 s, of which 12.5 kB a second go, a fourteenth of them
    // headers, and are acknowledged 40 ms later. The search comes to within 3 kB.
    let waiting = 100.0 * 506.0 - (0.99 - 0.04) * 12_500.0 * 13.0 / 14.0;
    assert_crossover(flips.below, waiting, 6_000.0, Some(QoS::AtLeastOnce));
}

#[test]
fn without_a_closed_form_trials_find_nearly_the_same() {
    let jittery = LINE_SCENARIO
        .replace("LOSS", "1%")
        .replace("\"40ms\"", "{ time = \"40ms\", jitter = \"1ms\" }");
    let (best, flips) = crossovers_of(&jittery, &["lost <= 5%"]);
    assert_eq!(
        (best, flips.method),
        (Some(QoS::AtMostOnce), SearchMethod::Simulation { seeds: 10 })
    );
    assert_eq!(flips.below, None);
    assert_crossover(flips.above, 5.0, 1.3, Some(QoS::AtLeastOnce));
}

#[test]
fn trials_without_a_loss_do_not_move_the_crossover_from_zero_loss() {
    let jittery = LINE_SCENARIO
        .replace("LOSS", "1%")
        .replace("\"40ms\"", "{ time = \"40ms\", jitter = \"1ms\" }");
    let (best, flips) = crossovers_of(&jittery, &["lost <= 0"]);
    assert_eq!(best, Some(QoS::AtLeastOnce));
    assert_crossover(flips.below, 0.0, 0.0, Some(QoS::AtMostOnce));
}

#[test]
fn an_option_that_breaks_its_promise_is_not_chosen() {
    let wanted = criteria(&["lost <= 50%"]);
    let sound = choose(&study_with_outcomes(outcome), &wanted).unwrap();
    assert_eq!(sound.best, Some(0));
    let broken = choose(&study_with_outcomes(broken_outcome), &wanted).unwrap();
    assert_eq!(broken.best, None);
    assert!(broken.reasons[0].contains("breaks a promise or a rule"), "{:?}", broken.reasons);
}

#[test]
fn an_undecided_need_names_the_seeds_that_would_decide_it() {
    // 4 of 40 units are lost at QoS 0, by 1, 2, 0 and 1 a run.
    let doubt = |need: &str| {
        let choice = choose(&study_with_outcomes(outcome), &criteria(&[need])).unwrap();
        choice.options[0].needs[0].confidence
    };
    let open = doubt("lost <= 9%");
    assert!(matches!(open, Confidence::Undecided { seeds: Some(100..), .. }), "{open:?}");
    assert!(matches!(doubt("lost <= 10%"), Confidence::Undecided { seeds: None, .. }));
    assert!(matches!(doubt("lost <= 60%"), Confidence::Settled(_)));
    // At QoS 2 none of 40 is lost, which proves what the rule of three says, nearly.
    let choice = choose(&study_with_outcomes(outcome), &criteria(&["lost <= 0"])).unwrap();
    let Confidence::NoneSeen(40, most) = choice.options[1].needs[0].confidence else { panic!() };
    assert!((most - 0.0722).abs() < 1e-4, "{most}");
}

#[test]
fn indistinguishable_costs_are_reported_as_a_close_alternative() {
    // By turns QoS 0 resends 4 packets more for its 10 messages and QoS 2 5 more: the differences
    // are -0.4 and 0.5, their mean is 0.05 +- 0.827, and (0.827 / 0.05)^2 x 4 seeds are 1,094.
    let uneven = |trial: &Trial| {
        let mut outcome = outcome(trial);
        let is_even = trial.seed.is_multiple_of(2);
        let more = match trial.setup.publishers[0].qos {
            QoS::AtMostOnce => u64::from(!is_even) * 4,
            _ => u64::from(is_even) * 5,
        };
        for level in outcome.metrics.qos.iter_mut().filter(|it| it.counts.messages > 0) {
            level.traffic[0][0].resent.packets += more;
        }
        outcome
    };
    let choice = choose(&study_with_outcomes(uneven), &criteria(&["lost <= 50%"])).unwrap();
    assert_eq!(choice.best, Some(0));
    assert_eq!(choice.close_alternative, Some(CloseAlternative { option: 1, seeds: Some(1_100) }));
    // The same in every run is settled: the lower level is taken.
    let same = choose(&study_with_outcomes(outcome), &criteria(&["lost <= 50%"])).unwrap();
    assert_eq!((same.best, same.close_alternative), (Some(0), None));
}

#[test]
fn needs_that_nothing_can_decide_are_refused() {
    let scenario = Scenario::parse("line.toml", &LINE_SCENARIO.replace("LOSS", "1%")).unwrap();
    let refused = |needs: &[&str]| criteria(needs).check(&scenario).unwrap_err();
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
        assert_eq!(criteria(fine).check(&scenario), Ok(()));
    }
}

#[test]
fn only_what_devices_send_and_receive_is_billed() {
    let scenario = Scenario::parse("line.toml", &LINE_SCENARIO.replace("LOSS", "1%")).unwrap();
    let chosen = |link: Option<&str>, fleet| {
        let priced =
            scenario.with_settings(&scenario.price_settings(link, "0.40EUR/MB").unwrap()).unwrap();
        let plan =
            StudyPlan::new(Vec::new(), vec![(Vec::new(), priced.clone())], &Selection::default());
        let study = run(plan.unwrap(), |trial| {
            judge_trial(&EventEngine, trial, &AtomicBool::new(false)).unwrap()
        });
        let objective = Objective::Money { fleet };
        let wanted = ChoiceCriteria { objective, ..criteria(&["lost <= 0"]) };
        wanted.check(&priced).unwrap();
        (choose(&study, &wanted).unwrap(), study)
    };
    let (device, study) = chosen(None, Some(5_000));
    for option in &device.options {
        // QoS 0: PUBLISH alone on the sensor's link. The dashboard's link costs nothing.
        let month = option.monthly_cost.unwrap();
        // Two messages a second for 30 days, from each of 5,000 devices.
        let all = option.cost.value * 2.0 * 30.0 * 86_400.0 * 5_000.0;
        assert!((month.cost - all).abs() < all * 1e-9, "{month:?} and {all}");
        assert_eq!(month.devices, 5_000);
        let point = &study.cells[0].result.points[option.point];
        let first_hop: u64 = point
            .trials
            .iter()
            .flat_map(|trial| &trial.qos)
            .map(|row| {
                row.traffic[0].iter().map(|kind| kind.first.bytes + kind.resent.bytes).sum::<u64>()
            })
            .sum();
        let messages: u64 =
            point.trials.iter().flat_map(|trial| &trial.qos).map(|row| row.counts.messages).sum();
        let by_hand = to_f64(first_hop) / to_f64(messages) * 0.4e-6;
        assert!((option.cost.value - by_hand).abs() < by_hand * 1e-9, "{}", option.cost.value);
    }
    // A link without a publisher is billed where it is named.
    let (dashboard, _) = chosen(Some("dashboard"), None);
    assert_eq!(dashboard.options[0].monthly_cost.unwrap().devices, 1);
    let unpriced =
        ChoiceCriteria { objective: Objective::Money { fleet: None }, ..criteria(&["lost <= 0"]) };
    assert_eq!(unpriced.check(&scenario), Err(ChooseError::NoPrice));
}
