//! Settings and axes.

use super::super::axis::{Axis, Setting, Unit};
use super::super::{Scenario, combine_axes};

const TEXT: &str = r#"schema = 1
name = "varied"
[broker]
max_inflight = 20
[[client]]
name = "meter-{i}"
count = 2
publish = [{ topic = "t", qos = 1, count = 3, every = "1s" }]
[[client]]
name = "dashboard"
subscribe = [{ filter = "t", qos = 2 }]
[[link]]
between = ["meter-*", "broker"]
transport = "datagram"
delay = { time = "40ms", jitter = "5ms" }
loss = "1%"
[[link]]
between = ["dashboard", "broker"]
transport = "datagram"
delay = "1ms"
"#;

fn setting(path: &str, value: &str) -> Setting {
    Setting { path: path.to_owned(), value: value.to_owned() }
}

fn names(scenario: &Scenario) -> Vec<String> {
    scenario.points.iter().map(|point| point.trial(1).name).collect()
}

#[track_caller]
fn with_settings(settings: &[(&str, &str)]) -> Scenario {
    let settings: Vec<_> = settings.iter().map(|(path, value)| setting(path, value)).collect();
    Scenario::parse_with_settings("varied.toml", TEXT, &settings)
        .unwrap_or_else(|wrong| panic!("{wrong}"))
}

#[track_caller]
fn error_text(settings: &[(&str, &str)]) -> String {
    let settings: Vec<_> = settings.iter().map(|(path, value)| setting(path, value)).collect();
    Scenario::parse_with_settings("varied.toml", TEXT, &settings).unwrap_err().to_string()
}

#[test]
fn a_setting_is_the_same_as_writing_it_into_the_file() {
    for (path, value, old, new) in [
        ("link.meter.loss", "5%", "loss = \"1%\"", "loss = \"5%\""),
        ("link.meter-*.loss", "5%", "loss = \"1%\"", "loss = \"5%\""),
        ("broker.max_inflight", "7", "max_inflight = 20", "max_inflight = 7"),
        ("link.meter.delay", "80ms", "time = \"40ms\"", "time = \"80ms\""),
        ("link.meter.delay.jitter", "9ms", "jitter = \"5ms\"", "jitter = \"9ms\""),
        (
            "link.dashboard.delay.jitter",
            "0.5ms",
            "delay = \"1ms\"",
            "delay = { time = \"1ms\", jitter = \"0.5ms\" }",
        ),
        ("client.meter.publish.count", "9", "count = 3", "count = 9"),
        ("client.meter.publish.1.count", "9", "count = 3", "count = 9"),
        ("client.meter.publish.qos", "[0, 1, 2]", "qos = 1", "qos = [0, 1, 2]"),
        (
            "client.dashboard.session",
            "clean",
            "\"dashboard\"\n",
            "\"dashboard\"\nsession = \"clean\"\n",
        ),
        ("deadline", "2h", "name = \"varied\"", "name = \"varied\"\ndeadline = \"2h\""),
        (
            "link.meter.loss.burst",
            "{ good = \"9s\", bad = \"1s\" }",
            "loss = \"1%\"",
            "loss = { burst = { good = \"9s\", bad = \"1s\" } }",
        ),
    ] {
        let written = TEXT.replacen(old, new, 1);
        assert_ne!(written, TEXT, "{old}");
        let written = Scenario::parse("varied.toml", &written).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(names(&with_settings(&[(path, value)])), names(&written), "{path}");
    }
}

#[test]
fn setting_the_same_value_changes_no_trial() {
    let plain = names(&with_settings(&[]));
    assert_eq!(
        names(&with_settings(&[("link.meter.loss", "1%"), ("broker.max_inflight", "20")])),
        plain
    );
    assert_ne!(
        names(&with_settings(&[("link.*.loss", "1%")])),
        plain,
        "the dashboard's link has none"
    );
}

#[test]
fn errors_in_a_setting_are_shown_in_the_setting() {
    let text =
        error_text(&[("link.meter.loss", "120%"), ("link.metre.loss", "1%"), ("seeds.count", "3")]);
    insta::assert_snapshot!(text);
    let text =
        error_text(&[("client.meter.kep_alive", "5s"), ("client.meter.publish.2.count", "3")]);
    insta::assert_snapshot!("unknown_fields", text);
}

#[test]
fn an_error_within_a_set_value_is_shown_in_the_setting() {
    let text = error_text(&[("link.meter.loss", "{ burst = { god = \"9s\", bad = \"1s\" } }")]);
    assert!(text.contains("there is no field `god` here"), "{text}");
    assert!(text.contains("--> command line:1:23"), "{text}");
    assert!(!text.contains("varied.toml"), "{text}");
}

fn value_texts(axis: &str) -> Vec<String> {
    let axis = Axis::parse(axis).unwrap_or_else(|problem| panic!("{problem:?}"));
    axis.values.into_iter().map(|value| value.text).collect()
}

#[test]
fn ranges_and_lists_have_exact_values() {
    assert_eq!(value_texts("link.meter.loss=0%..30%:10%"), ["0%", "10%", "20%", "30%"]);
    assert_eq!(value_texts("link.meter.loss=0%..0.3%:0.1%"), ["0%", "0.1%", "0.2%", "0.3%"]);
    assert_eq!(value_texts("client.meter.keep_alive=1m,5m,20m"), ["1m", "5m", "20m"]);
    assert_eq!(
        value_texts("client.meter.publish.payload=16B..1KiB:x4"),
        ["16B", "64B", "256B", "1KiB"]
    );
    assert_eq!(value_texts("broker.max_inflight=1,5..9:2"), ["1", "5", "7", "9"]);
    assert_eq!(value_texts("broker.retry.backoff=1..2:0.5"), ["1", "1.5", "2"]);
    // These may be left out of a file, which their schema says too.
    assert_eq!(value_texts("link.meter.nat_idle=90s,150s"), ["90s", "150s"]);
    assert_eq!(value_texts("broker.receive_maximum=1,20"), ["1", "20"]);
    assert_eq!(value_texts("link.meter.up.rate=64kbit/s,1Mbit/s"), ["64kbit/s", "1Mbit/s"]);
    let axis = Axis::parse("link.meter.delay=10ms,1.5s").unwrap();
    assert_eq!((axis.unit, axis.values[1].number), (Unit::Seconds, 1.5));
}

#[test]
fn an_invalid_axis_is_refused() {
    let wrong = [
        "link.meter.loss",
        "link.meter.los=1%",
        "client.meter.session=clean",
        "link.meter.loss=30%..0%:5%",
        "link.meter.loss=0%..30%:0%",
        "link.meter.loss=0%..30%",
        "link.meter.loss=0%..30%:x2",
        "link.meter.loss=0%..30%:0.001%",
        "link.meter.loss=5%,5%",
        "link.meter.loss=5",
        "link.meter.loss=",
        "broker.max_inflight=5%",
    ];
    let errors: Vec<String> = wrong
        .iter()
        .map(|text| {
            let problem = Axis::parse(text).unwrap_err();
            format!("{text}\n  {} | {} | {}", problem.message, problem.label, problem.help)
        })
        .collect();
    insta::assert_snapshot!(errors.join("\n"));
}

#[test]
fn cells_are_every_combination_with_the_last_axis_fastest() {
    let axes =
        ["link.meter.loss=0%,5%", "broker.max_inflight=1,2"].map(|t| Axis::parse(t).unwrap());
    let cells = combine_axes(&axes).unwrap();
    let texts: Vec<_> = cells.iter().map(|cell| [&*cell[0].text, &*cell[1].text]).collect();
    assert_eq!(texts, [["0%", "1"], ["0%", "2"], ["5%", "1"], ["5%", "2"]]);
    assert!(combine_axes(&[axes[0].clone(), axes[0].clone()]).is_err());
    let large = Axis::parse("broker.max_queued=1..1000:1").unwrap();
    let also = Axis::parse("broker.max_inflight=1..1000:1").unwrap();
    assert!(combine_axes(&[large, also]).is_err());
    assert_eq!(combine_axes(&[]).unwrap(), [Vec::new()]);
}

#[test]
fn a_sweep_in_the_file_changes_no_trial_and_is_checked() {
    let sweep = |axis: &str| format!("{TEXT}[sweep]\nvary = [\"{axis}\"]\n");
    let parsed = Scenario::parse("varied.toml", &sweep("link.meter.loss=0%,5%")).unwrap();
    assert_eq!(parsed.axes.len(), 1);
    assert_eq!(names(&parsed), names(&with_settings(&[])));
    let again = Scenario::parse("varied.toml", &parsed.to_full_toml()).unwrap();
    assert_eq!(again.axes, parsed.axes);
    let text = Scenario::parse("varied.toml", &sweep("link.meter.los=0%")).unwrap_err().to_string();
    assert!(text.contains("did you mean `loss`?"), "{text}");
}

#[test]
fn all_qos_levels_are_one_setting_per_publisher() {
    let scenario = with_settings(&[]);
    let settings = scenario.all_qos_settings();
    assert_eq!(settings, [setting("client.meter-{i}.publish.qos", "[0, 1, 2]")]);
    let every = scenario.with_settings(&settings).unwrap();
    assert_eq!(every.points.len(), 3);
    assert!(every.all_qos_settings().is_empty(), "it has the axis now");
    assert_eq!(names(&every)[1], names(&scenario)[0], "QoS 1 is the same trial");
}
