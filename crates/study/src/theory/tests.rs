//! Theory against what is simulated, and the many ways in which it does not hold.

use super::*;
use crate::fixtures::{study, study_of};
use crate::result::{PointResult, QosRow};
use crate::scenario::Scenario;

/// No mean may be further from theory than this number of standard errors.
const Z_MAX: f64 = 4.5;

/// Mean and standard error of a number over trials agree with theory.
#[track_caller]
fn assert_mean_agrees(what: &str, values: &[f64], expected: f64) {
    #[expect(clippy::cast_precision_loss, reason = "a few trials")]
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let squares: f64 = values.iter().map(|value| (value - mean) * (value - mean)).sum();
    let error = (squares / (n - 1.0) / n).sqrt();
    let allowed = if error < 1e-12 { 1e-9 } else { Z_MAX * error };
    assert!((mean - expected).abs() <= allowed, "{what}: {mean} instead of {expected} ({error})");
}

#[expect(clippy::cast_precision_loss, reason = "a few units")]
fn assert_matches_theory(point: &PointResult, theory: &Theory, what: &str) {
    let qos = point.published.unwrap();
    let values = |of: fn(&QosRow) -> f64| point.rows(qos).map(of).collect::<Vec<_>>();
    let what = |name: &str| format!("QoS {qos} {what}: {name}");
    let share = |count: u64, row: &QosRow| count as f64 / row.counts.units as f64;
    let delivered: Vec<_> = point.rows(qos).map(|row| share(row.counts.delivered, row)).collect();
    assert_mean_agrees(&what("delivered"), &delivered, theory.delivered);
    let twice: Vec<_> = point.rows(qos).map(|row| share(row.counts.duplicated, row)).collect();
    assert_mean_agrees(&what("duplicated"), &twice, theory.duplicated);
    let extra: Vec<_> = point.rows(qos).map(|row| share(row.counts.extra_copies, row)).collect();
    assert_mean_agrees(&what("extra copies"), &extra, theory.extra_copies);
    let packets = values(|row| row.total_sent().packets as f64 / row.counts.messages as f64);
    assert_mean_agrees(&what("packets"), &packets, theory.packets);
    let means: Vec<_> =
        point.rows(qos).filter_map(|row| row.latency.mean).map(Span::as_secs_f64).collect();
    if let Some(latency) = theory.latency {
        assert_mean_agrees(&what("latency"), &means, latency);
    }
}

const LINKS: &str = r#"
    [[link]]
    between = ["sensor", "broker"]
    transport = "datagram"
    delay = "40ms"
    up = { loss = "UP" }
    down = { loss = "DOWN" }
    [[link]]
    between = ["app", "broker"]
    transport = "datagram"
    delay = "5ms"
    up = { loss = "BACK" }
    down = { loss = "ON" }
"#;

/// 30 trials of 300 messages, far enough apart; `more` goes into tables of the file.
fn scenario_text(granted: u8, links: &str, sensor: &str, more: &str) -> String {
    format!(
        r#"
        schema = 1
        name = "theory"
        deadline = "100h"
        seeds = {{ from = 1, count = 30 }}
        [[client]]
        name = "sensor"
        {sensor}
        [[client.publish]]
        topic = "t"
        qos = [0, 1, 2]
        count = 300
        every = "3s"
        [[client]]
        name = "app"
        [[client.subscribe]]
        filter = "t"
        qos = {granted}
        {links}
        {more}
        "#
    )
}

fn links_with_loss(up: &str, down: &str, on: &str, back: &str) -> String {
    LINKS.replace("UP", up).replace("DOWN", down).replace("ON", on).replace("BACK", back)
}

#[test]
fn simulated_studies_agree_with_theory() {
    let cases = [
        (2, links_with_loss("0%", "0%", "0%", "0%")),
        (2, links_with_loss("5%", "5%", "0%", "0%")),
        (2, links_with_loss("20%", "10%", "0%", "0%")),
        (2, links_with_loss("0%", "0%", "10%", "20%")),
        (2, links_with_loss("15%", "15%", "5%", "10%")),
        (1, links_with_loss("10%", "20%", "10%", "20%")),
        (0, links_with_loss("10%", "20%", "10%", "20%")),
    ];
    for (granted, links) in cases {
        let study = study_of(&scenario_text(granted, &links, "", ""));
        for (cell, point) in study.points() {
            let qos = point.published.unwrap();
            let theory = theory(&cell.result.scenario.points[point.index], qos).unwrap();
            assert_matches_theory(point, &theory, &format!("granted {granted} {links}"));
            let times = &point.times[qos.index()];
            let units = point.rows(qos).map(|row| row.counts.units).sum();
            if let Some(expected) = theory.quantile(0.5) {
                let median = times.latency.quantile(0.5, units).map(Span::as_secs_f64);
                assert!((median.unwrap() - expected).abs() < 1e-3 * expected, "{links} {qos}");
            }
        }
    }
}

#[test]
fn tcp_without_faults_loses_and_repeats_nothing() {
    let links = "[[link]]\nbetween = [\"*\", \"broker\"]\ntransport = \"tcp\"\ndelay = \"20ms\"
        loss = \"1%\"";
    let study = study_of(&scenario_text(2, links, "", ""));
    for (cell, point) in study.points() {
        let qos = point.published.unwrap();
        let theory = theory(&cell.result.scenario.points[point.index], qos).unwrap();
        assert_matches_theory(point, &theory, "tcp");
    }
}

#[test]
fn the_fixture_study_has_theory_in_every_cell() {
    let study = study(&[0, 10], &[1]);
    assert!(study.points().all(|(cell, point)| {
        theory(&cell.result.scenario.points[point.index], point.published.unwrap()).is_some()
    }));
}

#[track_caller]
fn assert_no_theory(text: &str, qos: QoS) {
    let scenario = Scenario::parse("t.toml", text).unwrap_or_else(|wrong| panic!("{wrong}"));
    let point = scenario.points.iter().find(|point| point.published == Some(qos)).unwrap();
    assert_eq!(theory(point, qos), None, "{text}");
}

#[test]
fn theory_is_none_where_an_assumption_does_not_hold() {
    let lossy = links_with_loss("5%", "5%", "0%", "0%");
    let link = |more: &str| lossy.replacen("delay = \"40ms\"", more, 1);
    let qos = QoS::AtLeastOnce;
    for more in [
        "delay = { time = \"40ms\", jitter = \"5ms\" }",
        "delay = \"40ms\"\noutage = { every = \"60s\", lasts = \"5s\" }",
        "delay = \"40ms\"\nrate = \"10kbit/s\"",
        "delay = \"40ms\"\nduplicate = \"1%\"",
        "delay = \"600ms\"",
    ] {
        assert_no_theory(&scenario_text(2, &link(more), "", ""), qos);
    }
    for sensor in [
        "max_inflight = 5",
        "retry = { every = \"1s\", backoff = 2 }",
        "retry = { every = \"1s\", max = 3 }",
        "keep_alive = \"60s\"",
        "away = [{ at = \"60s\", lasts = \"5s\" }]",
    ] {
        assert_no_theory(&scenario_text(2, &lossy, sensor, ""), qos);
    }
    let fault = "[[fault]]\nat = \"60s\"\non = \"broker\"\ndo = { crash = { down = \"3s\" } }";
    assert_no_theory(&scenario_text(2, &lossy, "", fault), qos);
    let second = "[[client]]\nname = \"other\"\n[[client.subscribe]]\nfilter = \"#\"\nqos = 0
        [[link]]\nbetween = [\"other\", \"broker\"]\ntransport = \"datagram\"\ndelay = \"1ms\"";
    assert_no_theory(&scenario_text(2, &lossy, "", second), qos);
    assert_no_theory(&scenario_text(2, &lossy, "", "[broker]\nquirks = [\"no_dedupe\"]"), qos);
}
