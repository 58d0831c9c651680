//! Scenarios and outcomes made by hand, for the tests of this crate and of those above.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;

use super::judge_trial::judge_trial;
use super::plan::{Selection, plan};
use super::sweep::{Study, StudyCell};
use super::trial_runner::TrialRunner;
use crate::scenario::{Axis, AxisValue, Scenario, Unit};
use crate::thread_pool::ThreadPool;
use qoslab_core::base::{Ending, PublisherIndex, QoS, Span, Time};
use qoslab_guarantee::rules::Strength;
use qoslab_guarantee::{
    Blame, Breach, Finding, HistoryLine, KindTraffic, Metrics, Outcome, PacketCount, Promise,
    Violation,
};
use qoslab_sim::{EventEngine, Trial};

/// A violation that is not declared.
pub const UNDECLARED_VIOLATION: Violation =
    Violation { promise: Promise::ExactlyOnce, breach: Breach::Duplicated, blame: Blame::Broker };

/// Two points, QoS 0 and 2, of 10 messages with 100 bytes of payload, with four seeds from 1.
///
/// # Panics
/// If `expect` is no `[expect]`.
pub fn scenario(expect: &str) -> Scenario {
    let text = format!(
        r#"
        schema = 1
        name = "by-hand"
        about = "made by hand"
        seeds = {{ from = 1, count = 4 }}
        [[client]]
        name = "sensor"
        [[client.publish]]
        topic = "t"
        qos = [0, 2]
        count = 10
        every = "1s"
        payload = "100B"
        [[client]]
        name = "dashboard"
        [[client.subscribe]]
        filter = "t"
        qos = 2
        [[link]]
        between = ["*", "broker"]
        transport = "datagram"
        delay = "10ms"
        loss = "1%"
        duplicate = "1%"
        [expect]
        {expect}
        "#
    );
    Scenario::parse("by-hand.toml", &text).unwrap_or_else(|wrong| panic!("{}", wrong.render(false)))
}

/// An outcome with 10 units, of which the first `seed % 3` are lost at QoS 0 and none at QoS 2.
pub fn outcome(trial: &Trial) -> Outcome {
    let qos = trial.setup.publishers[0].qos;
    let lost = if qos == QoS::AtMostOnce { trial.seed % 3 } else { 0 };
    let mut metrics = Metrics::default();
    let level = &mut metrics.qos[qos.index()];
    level.counts.messages = 10;
    level.counts.units = 10;
    level.counts.delivered = 10 - lost;
    level.counts.lost = lost;
    for nth in 0..level.counts.delivered {
        level.latency.record(Span::from_millis(20 + nth));
        level.completion.record(Span::from_millis(40));
    }
    let first = PacketCount { packets: 10, bytes: 1_320 };
    let resent = PacketCount { packets: trial.seed, bytes: 132 * trial.seed };
    level.traffic[0][0] = KindTraffic { first, resent };
    level.traffic[1][0] = KindTraffic { first, resent: PacketCount::default() };
    metrics.in_flight_peak = 3;
    Outcome {
        ending: Ending::Quiescent,
        ended_at: Time::from_nanos(12_000_000_000),
        events: 100,
        packets: 40,
        trace_hash: trial.seed * 7,
        metrics,
        violations: BTreeMap::new(),
        findings: Vec::new(),
        rule_violations: BTreeMap::new(),
        rule_findings: Vec::new(),
        excuses: BTreeMap::new(),
        livelock: None,
        counters: BTreeMap::from([("loss", lost)]),
    }
}

/// The same outcome with one message delivered twice.
pub fn broken_outcome(trial: &Trial) -> Outcome {
    let mut outcome = outcome(trial);
    outcome.violations.insert(UNDECLARED_VIOLATION, 1);
    outcome.findings.push(Finding {
        violation: UNDECLARED_VIOLATION,
        rule: Some("MQTT-4.3.3-2"),
        strength: Strength::Must,
        reason: "the broker forgot that packet id 12 was received".to_owned(),
        publisher: PublisherIndex(0),
        sequence: 7,
        qos: QoS::ExactlyOnce,
        subscriber: Some(qoslab_core::base::ClientIndex(1)),
        published: Time::from_nanos(8_000_000_000),
        deliveries: vec![Time::from_nanos(8_082_000_000), Time::from_nanos(9_263_000_000)],
        copies: 2,
        history: vec![HistoryLine {
            at: Time::from_nanos(8_041_000_000),
            text: "broker > sensor  PUBREC p12 \x1b[31mlost".to_owned(),
        }],
    });
    outcome
}

/// A study of real trials: 20 messages over one lossy hop and one clean hop, at QoS 0, 1 and 2
/// with three seeds. The loss is an axis; so is the retry timer, unless `retries` has one value.
pub fn study(losses: &[u32], retries: &[u32]) -> Study {
    let axis = |path: &str, unit, numbers: &[u32], sign: &str| Axis {
        path: path.to_owned(),
        unit,
        values: numbers.iter().map(|number| value(*number, sign)).collect(),
    };
    let mut axes = vec![axis("link.sensor.loss", Unit::Percent, losses, "%")];
    if retries.len() > 1 {
        axes.push(axis("client.sensor.retry", Unit::Seconds, retries, "s"));
    }
    let pairs = losses.iter().flat_map(|loss| retries.iter().map(move |retry| (*loss, *retry)));
    let cells = pairs.map(|(loss, retry)| {
        let values = [value(loss, "%"), value(retry, "s")].into_iter().take(axes.len()).collect();
        let mut scenario = swept_scenario(loss, retry);
        scenario.settings =
            axes.iter().zip(&values as &Vec<_>).map(|(axis, it)| axis.setting(it)).collect();
        run_cell(scenario, values)
    });
    Study { cells: cells.collect(), axes, timelines: Vec::new() }
}

/// A study without axes: all trials of one file.
///
/// # Panics
/// If the text is no scenario.
pub fn study_of(text: &str) -> Study {
    let scenario = Scenario::parse("study.toml", text);
    let scenario = scenario.unwrap_or_else(|wrong| panic!("{}", wrong.render(false)));
    Study { cells: vec![run_cell(scenario, Vec::new())], axes: Vec::new(), timelines: Vec::new() }
}

fn run_cell(scenario: Scenario, values: Vec<AxisValue>) -> StudyCell {
    let pool = ThreadPool::new(Some(1)).expect("a thread can be started");
    let plans = plan(vec![scenario], &Selection::default());
    let plans = plans.expect("all trials are selected");
    let runner = TrialRunner { pool: &pool, fail_fast: false, interrupt: &AtomicBool::new(false) };
    let judge = |trial: &Trial| judge_trial(&EventEngine, trial, &AtomicBool::new(false));
    StudyCell { values, result: runner.run(plans, &judge, &()).remove(0) }
}

fn value(number: u32, sign: &str) -> AxisValue {
    AxisValue { text: format!("{number}{sign}"), number: number.into() }
}

fn swept_scenario(loss: u32, retry: u32) -> Scenario {
    let text = format!(
        r#"
        schema = 1
        name = "swept"
        about = "one lossy hop, one clean hop"
        seeds = {{ from = 1, count = 3 }}
        [[client]]
        name = "sensor"
        retry = "{retry}s"
        [[client.publish]]
        topic = "t"
        qos = [0, 1, 2]
        count = 20
        every = "2s"
        payload = "64B"
        [[client]]
        name = "dashboard"
        [[client.subscribe]]
        filter = "t"
        qos = 2
        [[link]]
        between = ["sensor", "broker"]
        transport = "datagram"
        delay = "40ms"
        loss = "{loss}%"
        [[link]]
        between = ["dashboard", "broker"]
        transport = "datagram"
        delay = "1ms"
        [expect]
        need = ["lost <= 1%", "latency.p99 <= 10s"]
        "#
    );
    Scenario::parse("swept.toml", &text).unwrap_or_else(|wrong| panic!("{}", wrong.render(false)))
}
