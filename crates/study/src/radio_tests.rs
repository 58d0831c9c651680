//! Energy through whole trials.

use std::sync::atomic::AtomicBool;

use super::judge_trial::judge_trial;
use super::plan::{Selection, plan};
use super::result::{PointResult, ScenarioResult};
use super::trial_runner::TrialRunner;
use crate::needs::{MetricValue, measure_metric};
use crate::scenario::{Metric, Scenario};
use crate::thread_pool::ThreadPool;
use qoslab_core::base::QoS;
use qoslab_sim::{EventEngine, Trial};

const TCP: &str = "transport = \"tcp\"";
const DATAGRAM: &str = "transport = \"datagram\"";
const LOSSY: &str = "transport = \"datagram\"\nloss = \"5%\"";

fn run(client: &str, link: &str) -> ScenarioResult {
    let text = format!(
        r#"
        schema = 1
        name = "energy"
        deadline = "4h"
        seeds = {{ from = 1, count = 2 }}
        [[client]]
        name = "meter"
        {client}
        [[client.publish]]
        topic = "t"
        qos = [0, 1, 2]
        count = 20
        every = "10m"
        [[client]]
        name = "dashboard"
        [[client.subscribe]]
        filter = "t"
        qos = 2
        [[link]]
        between = ["*", "broker"]
        delay = "200ms"
        {link}
        "#
    );
    let scenario = Scenario::parse("energy.toml", &text).unwrap_or_else(|e| panic!("{e}"));
    let pool = ThreadPool::new(Some(1)).unwrap();
    let plans = plan(vec![scenario], &Selection::default()).unwrap();
    let runner = TrialRunner { pool: &pool, fail_fast: false, interrupt: &AtomicBool::new(false) };
    let judge = |trial: &Trial| judge_trial(&EventEngine, trial, &AtomicBool::new(false));
    runner.run(plans, &judge, &()).remove(0)
}

fn measured(result: &ScenarioResult, qos: QoS, metric: Metric) -> Option<f64> {
    let point = result.points.iter().find(|point| point.published == Some(qos)).unwrap();
    measure_metric(point, qos, metric, false).map(MetricValue::number)
}

const BATTERY: &str = "radio = { preset = \"nb-iot\", battery = \"18Wh\" }";

#[test]
fn a_keep_alive_empties_a_battery_that_messages_do_not() {
    let quiet = run(BATTERY, TCP);
    let keep_alive = format!("{BATTERY}\nkeep_alive = \"30s\"");
    let pings = run(&keep_alive, TCP);
    let years = |result| measured(result, QoS::AtLeastOnce, Metric::Battery).unwrap();
    assert!(years(&quiet) > 3.0 * years(&pings), "{} and {}", years(&quiet), years(&pings));
}

#[test]
fn a_higher_level_costs_far_less_energy_than_packets() {
    let result = run(BATTERY, DATAGRAM);
    let of = |qos, metric| measured(&result, qos, metric).unwrap();
    let times = |metric| of(QoS::ExactlyOnce, metric) / of(QoS::AtMostOnce, metric);
    assert!(times(Metric::Packets) > 3.9, "{}", times(Metric::Packets));
    let energy = times(Metric::Energy);
    assert!((1.0..1.3).contains(&energy), "{energy}");
    let power = of(QoS::AtMostOnce, Metric::Power);
    assert!((2.0..5.0).contains(&power), "about two joules every ten minutes: {power} mW");
}

#[test]
fn without_a_radio_no_energy_is_known_and_with_one_the_trial_is_the_same() {
    let (with, without) = (run(BATTERY, LOSSY), run("", LOSSY));
    assert_eq!(measured(&without, QoS::AtMostOnce, Metric::Energy), None);
    let traces = |result: &ScenarioResult| -> Vec<u64> {
        result.points.iter().map(PointResult::trace_hash).collect()
    };
    assert_eq!(traces(&with), traces(&without));
}
