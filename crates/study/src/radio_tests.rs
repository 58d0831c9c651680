//! Energy through whole trials.

use std::sync::atomic::AtomicBool;

use super::judge_trial::judge_trial;
use super::plan::{Selection, plan};
use super::result::ScenarioResult;
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
    result_of(&text)
}

fn result_of(text: &str) -> ScenarioResult {
    let scenario = Scenario::parse("energy.toml", text).unwrap_or_else(|e| panic!("{e}"));
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
fn without_a_radio_no_energy_is_known() {
    assert_eq!(measured(&run("", LOSSY), QoS::AtMostOnce, Metric::Energy), None);
}

/// One message of 100 B an hour over the radio of `nb-iot`, 800 ms each way: joules a message.
fn hourly(radio: &str, transport: &str, qos: QoS) -> f64 {
    let text = format!(
        r#"
        schema = 1
        name = "hourly"
        deadline = "60d"
        seeds = {{ from = 1, count = 1 }}
        [broker]
        retry = "reconnect"
        [[client]]
        name = "meter"
        radio = {radio}
        retry = "reconnect"
        [[client.publish]]
        topic = "t"
        qos = {qos}
        count = 1000
        every = "1h"
        payload = "100B"
        [[client]]
        name = "dashboard"
        [[client.subscribe]]
        filter = "t"
        qos = 0
        [[link]]
        between = ["meter", "broker"]
        {transport}
        delay = "800ms"
        up = {{ rate = "16kbit/s" }}
        down = {{ rate = "24kbit/s" }}
        [[link]]
        between = ["dashboard", "broker"]
        {transport}
        delay = "1ms"
        "#,
        qos = qos.number()
    );
    measured(&result_of(&text), qos, Metric::Energy).unwrap()
}

/// The sum by hand of `docs/radio.md`, for one hour: the radio wakes up, is awake until the last
/// packet is through, and then goes to sleep.
fn by_hand(awake_s: f64, up_bytes: f64, down_bytes: f64) -> f64 {
    let (wake_s, tail_s, paging_s) = (1.47, 12.0, 10.0);
    let (up_s, down_s) = (up_bytes * 8.0 / 16_000.0, down_bytes * 8.0 / 24_000.0);
    let listens_s = awake_s - up_s - down_s + tail_s;
    let sleeps_s = 3_600.0 - wake_s - awake_s - tail_s - paging_s;
    0.071 * wake_s
        + 0.545 * up_s
        + 0.090 * down_s
        + 0.113 * listens_s
        + 0.0048 * paging_s
        + 0.000_010 * sleeps_s
}

#[track_caller]
fn assert_within_a_thousandth(measured: f64, expected: f64) {
    // The tail of the last of 1,000 messages is cut off with its trial.
    let share = (measured - expected) / expected;
    assert!((-0.0011..0.0002).contains(&share), "{measured} J, by hand {expected} J");
}

#[test]
fn an_hourly_message_over_datagrams_costs_what_it_costs_by_hand() {
    let per_byte = |rate: f64| 8.0 / rate;
    let (up, down) = (per_byte(16_000.0), per_byte(24_000.0));
    let measured = |qos| hourly("\"nb-iot\"", DATAGRAM, qos);
    // PUBLISH 133 B, and 2 B more with a packet id; all others are 32 B; UDP's headers included.
    let zero = by_hand(133.0 * up, 133.0, 0.0);
    assert_within_a_thousandth(measured(QoS::AtMostOnce), zero);
    let round_trip = |bytes: f64| bytes * up + 0.8 + 32.0 * down + 0.8;
    // The answer arrives whole, and then takes its time at the radio's rate.
    let received = 32.0 * down;
    let one = by_hand(round_trip(135.0) + received, 135.0, 32.0);
    assert_within_a_thousandth(measured(QoS::AtLeastOnce), one);
    let two = by_hand(round_trip(135.0) + round_trip(32.0) + received, 167.0, 64.0);
    assert_within_a_thousandth(measured(QoS::ExactlyOnce), two);
    for (joules, shown) in [(zero, "1.580"), (one, "1.764"), (two, "1.954")] {
        assert_eq!(format!("{joules:.3}"), shown, "docs/radio.md");
    }
}

#[test]
fn over_tcp_an_acknowledgement_restarts_the_tail_and_qos_0_costs_nearly_what_qos_1_does() {
    let per_byte = |rate: f64| 8.0 / rate;
    let (up, down) = (per_byte(16_000.0), per_byte(24_000.0));
    let measured = |qos| hourly("\"nb-iot\"", TCP, qos);
    // PUBLISH 145 B, and 2 B more with a packet id; PUBACK 44 B; a bare acknowledgement 40 B, at
    // once after so long a pause.
    let zero = by_hand(145.0 * up + 0.8 + 40.0 * down + 0.8 + 40.0 * down, 145.0, 40.0);
    assert_within_a_thousandth(measured(QoS::AtMostOnce), zero);
    let answered = 147.0 * up + 0.8 + 44.0 * down + 0.8;
    let one = by_hand(answered + 44.0 * down + 40.0 * up, 187.0, 44.0);
    assert_within_a_thousandth(measured(QoS::AtLeastOnce), one);
    for (joules, shown) in [(zero, "1.767"), (one, "1.779")] {
        assert_eq!(format!("{joules:.3}"), shown, "docs/radio.md");
    }
}

#[test]
fn a_faster_wake_up_costs_less_at_each_level() {
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
        for transport in [DATAGRAM, TCP] {
            let joules = ["0s", "500ms", "1s", "1470ms", "3s"].map(|wake| {
                let radio = format!("{{ preset = \"nb-iot\", wake = \"{wake}\" }}");
                hourly(&radio, transport, qos)
            });
            assert!(joules.is_sorted(), "{transport}, {qos}: {joules:?}");
        }
    }
}
