//! Whole files: what is read, what is refused, and how the refusal looks.

use proptest::prelude::*;

use super::*;
use qoslab_core::base::Span;
use qoslab_core::network::{LossModel, Transport};

mod connections;
mod disagreements;
mod documents;
mod errors;
mod faults;
mod needs;
mod reading;
mod schedules;
mod settings_and_axes;

/// A scenario with nothing in it that could be left out.
pub(super) const SMALL: &str = r#"
schema = 1
name = "small"
[[client]]
name = "sensor"
publish = [{ topic = "t", qos = [0, 1, 2], count = 3, every = "1s" }]
[[client]]
name = "dashboard"
subscribe = [{ filter = "t", qos = 2 }]
[[link]]
between = ["*", "broker"]
transport = "datagram"
delay = "20ms"
"#;

/// The same over tcp.
pub(super) fn over_tcp(text: &str) -> String {
    text.replace("transport = \"datagram\"", "transport = \"tcp\"")
}

fn parse(text: &str) -> Scenario {
    Scenario::parse("test.toml", text).unwrap_or_else(|errors| panic!("{errors}"))
}

fn shipped() -> Vec<Scenario> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let files = find_scenarios(&root.join("scenarios")).unwrap();
    files.iter().map(|file| Scenario::load(file).unwrap_or_else(|e| panic!("{e}"))).collect()
}

#[test]
fn every_shipped_scenario_is_valid_small_and_opens_with_a_comment() {
    let all = shipped();
    let names: Vec<_> = all.iter().map(|one| one.name.as_str()).collect();
    for wanted in [
        "clean-lan",
        "qos-matrix",
        "filters",
        "lossy-uplink",
        "bursty-cellular",
        "satellite",
        "narrowband",
        "ack-loss",
        "fleet",
        "early-timer",
        "reordering",
    ] {
        assert!(names.contains(&wanted), "{wanted} is missing");
    }
    for one in &all {
        assert!(one.source.starts_with("# "), "{} says nothing about itself", one.path);
        assert!(one.source.contains("Look for:"), "{} gives no hint", one.path);
        assert!(one.path.ends_with(&format!("{}.toml", one.name)), "{}", one.path);
        one.check_size(&SizeLimits::default(), 2).unwrap();
        let events = one.estimate(2).events;
        assert!(events < 6_000_000, "{} needs {events} events", one.name);
    }
}

#[test]
fn the_full_toml_is_valid_and_means_the_same() {
    let mut all = shipped();
    all.push(parse(SMALL));
    for one in all {
        let shown = one.to_full_toml();
        let again = Scenario::parse("shown.toml", &shown).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(again.points.len(), one.points.len());
        for (point, same) in one.points.iter().zip(&again.points) {
            assert_eq!(format!("{:?}", point.setup), format!("{:?}", same.setup), "{shown}");
            assert_eq!(point.trial(7).name, same.trial(7).name);
        }
        assert_eq!(format!("{:?}", one.expect), format!("{:?}", again.expect));
        assert_eq!(again.to_full_toml(), shown);
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "one snapshot of a whole file")]
fn every_assumed_default_is_shown() {
    insta::assert_snapshot!(parse(SMALL).to_full_toml(), @r#"
    schema = 1
    name = "small"
    mqtt = "3.1.1"
    deadline = "1h"
    seeds = { from = 1, count = 100 }

    [broker]
    store = "durable"
    retry = "1s"
    max_inflight = 20
    max_queued = 1000
    on_full = "drop-newest"
    queue_qos0 = false
    ids = "cyclic"
    deliver_on = "publish"
    repeated_pubrec = "answer"
    max_qos = 2
    sign_of_life = "packets"

    [[client]]
    name = "sensor"
    session = "persistent"
    store = "durable"
    connect = "always"
    reconnect = { min = "1s", max = "1m", jitter = true }
    resubscribe = true
    keep_alive = "0s"
    ping_on = "nothing-sent"
    sign_of_life = "packets"
    keep_outbox = false
    retry = "1s"
    ids = "cyclic"
    deliver_on = "publish"
    repeated_pubrec = "answer"
    max_inflight = 20
    offline = { qos0 = "drop", max = 1000, on_full = "drop-newest" }

    [[client.publish]]
    topic = "t"
    qos = [0, 1, 2]
    count = 3
    every = "1s"
    spread = "0s"
    payload = "64B"
    retain = false

    [[client]]
    name = "dashboard"
    session = "persistent"
    store = "durable"
    connect = "always"
    reconnect = { min = "1s", max = "1m", jitter = true }
    resubscribe = true
    keep_alive = "0s"
    ping_on = "nothing-sent"
    sign_of_life = "packets"
    keep_outbox = false
    retry = "1s"
    ids = "cyclic"
    deliver_on = "publish"
    repeated_pubrec = "answer"
    max_inflight = 20
    offline = { qos0 = "drop", max = 1000, on_full = "drop-newest" }

    [[client.subscribe]]
    filter = "t"
    qos = 2

    [[link]]
    between = ["*", "broker"]
    transport = "datagram"
    headers = "28B"
    delay = { time = "20ms", jitter = "0s", distribution = "uniform" }
    loss = "0%"
    duplicate = "0%"
    reorder = "0%"
    rate = "unlimited"

    [expect]
    order = false
    allow = []
    sometimes = []
    need = []
    "#);
}

/// Run with `QOSLAB_UPDATE=1` to write the schema anew.
#[test]
fn the_checked_in_schema_is_the_one_of_the_code() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/scenario.schema.json");
    if std::env::var_os("QOSLAB_UPDATE").is_some() {
        std::fs::write(&path, schema()).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap(), schema());
}

#[test]
fn lists_are_axes_and_points_are_ordered() {
    let text = SMALL.replace("qos = 2 ", "qos = [0, 2] ");
    let labels: Vec<_> = parse(&text).points.iter().map(Point::label).collect();
    assert_eq!(
        labels,
        [
            "qos 0, granted 0",
            "qos 0, granted 2",
            "qos 1, granted 0",
            "qos 1, granted 2",
            "qos 2, granted 0",
            "qos 2, granted 2"
        ]
    );
}

#[test]
fn narrowing_an_axis_or_renaming_keeps_the_names_of_trials() {
    let all = parse(SMALL);
    let one = parse(&SMALL.replace("[0, 1, 2]", "1").replace("small", "other"));
    assert_eq!(one.points.len(), 1);
    assert_eq!(one.points[0].trial(5).name, all.points[1].trial(5).name);
    assert_eq!(one.points[0].content_hash, all.points[1].content_hash);
}

#[test]
fn another_setting_or_seed_is_another_trial() {
    let name = |text: &str, seed| parse(text).points[0].trial(seed).name;
    let base = name(SMALL, 1);
    assert_eq!(base.len(), 8);
    assert_ne!(base, name(SMALL, 2));
    assert_ne!(base, name(&SMALL.replace("20ms", "21ms"), 1));
    assert_eq!(base, name(&format!("{SMALL}loss = \"0%\"\n"), 1));
}

#[test]
fn a_fleet_is_expanded() {
    let text = SMALL
        .replace("name = \"sensor\"", "name = \"s-{i}\"\ncount = 3")
        .replace("topic = \"t\"", "topic = \"t/{i}\"");
    let scenario = parse(&text);
    let setup = &scenario.points[0].setup;
    let names: Vec<_> = setup.clients.iter().map(|client| &*client.name).collect();
    assert_eq!(names, ["s-1", "s-2", "s-3", "dashboard"]);
    assert_eq!(&*setup.publishers[2].topic, "t/3");
    assert!(Arc::ptr_eq(&setup.clients[0].link, &setup.clients[2].link));
}

#[test]
fn a_direction_overrides_what_is_set_for_both() {
    let text = format!(
        "{SMALL}loss = \"2%\"\nrate = \"1Mbit/s\"\nheaders = \"48B\"\n\
         up = {{ loss = {{ gemodel = {{ p = \"1%\", r = \"10%\" }} }}, queue = 5 }}\n\
         down = {{ rate = \"unlimited\" }}\n"
    );
    let scenario = parse(&text);
    let link = &scenario.points[0].setup.clients[0].link;
    assert!(matches!(link.up.loss, LossModel::GilbertElliott { .. }));
    assert!(matches!(link.down.loss, LossModel::Random(_)));
    assert_eq!((link.up.rate, link.up.queue), (Some(1_000_000), Some(5)));
    assert_eq!((link.down.rate, link.down.queue), (None, None));
    assert_eq!(link.transport, Transport::Datagram { headers: 48 });
    assert_eq!(link.up.delay, Span::from_millis(20));
}

#[test]
fn an_estimate_is_near_the_closed_form_and_grows_with_the_fleet() {
    let text =
        SMALL.replace("count = 3", "count = 100").replace("\"20ms\"", "\"20ms\"\nloss = \"10%\"");
    let scenario = parse(&text);
    let packets: Vec<_> = scenario.points.iter().map(|point| point.estimate().packets).collect();
    // Closed forms, section 12, at p = 0.1: 2 hops take 2, 4.95 and 9.38 packets a message.
    for (estimate, exact) in packets.iter().zip([190, 495, 938]) {
        assert!((exact..exact * 3 / 2 + 50).contains(estimate), "{estimate} for {exact}");
    }
    let limits = SizeLimits { events: 100, memory: 1_000_000_000 };
    assert!(matches!(
        scenario.check_size(&limits, 1),
        Err(SizeLimitError::Events { limit: 100, .. })
    ));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn no_text_makes_the_reader_panic(text in "\\PC{0,200}") {
        let _ = Scenario::parse("x.toml", &text).map_err(|errors| errors.render(true));
    }

    /// Shipped files with a few lines broken reach deeper than noise does.
    #[test]
    fn no_damage_makes_the_reader_panic(
        which in 0..10_usize,
        damage in prop::collection::vec((0..4_000_usize, 0..6_usize, "[-0-9a-z\\[\\]{}\"%=,.*#\n]{0,6}"), 1..4),
    ) {
        let files = find_scenarios(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scenarios").as_path()).unwrap();
        let mut text: Vec<char> = std::fs::read_to_string(&files[which]).unwrap().chars().collect();
        for (at, length, new) in damage {
            let from = at.min(text.len());
            let to = (from + length).min(text.len());
            text.splice(from..to, new.chars());
        }
        let text: String = text.into_iter().collect();
        if let Err(errors) = Scenario::parse("x.toml", &text) {
            prop_assert!(!errors.errors.is_empty());
            prop_assert!(!errors.render(false).is_empty());
        }
    }
}
