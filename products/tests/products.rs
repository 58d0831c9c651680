//! Every product through every scenario of `scenarios/` that it can be tested by, in each place
//! that it can have there; qoslab's own endpoints have the others. What comes of it is the tables
//! of `docs/products.md`: write them anew with `QOSLAB_UPDATE=1 cargo test -p qoslab-products`.
//! What held there must hold, and what broke must break. How often it does is not compared, for
//! some products have luck of their own.
//!
//! To see what is behind a cell, with the story of the first failure of each kind and its ladder:
//! `QOSLAB_SHOW="00-cuts app" cargo test -p qoslab-products mqrstt -- --nocapture`.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use qoslab::report::words;
use qoslab::sim::mishap::MishapKind;
use qoslab::study::result::Verdict;
use qoslab::testing::{Test, Tested};
use qoslab_products::{PRODUCTS, Product, Role};

/// A scenario, and what of it a product can be asked.
struct Scenario {
    name: &'static str,
    places: &'static [&'static str],
    only_v5: bool,
}

const PUBLISHER: &str = "meter";
const SUBSCRIBER: &str = "app";
const BROKER: &str = "broker";
const ALL: &[&str] = &[PUBLISHER, SUBSCRIBER, BROKER];
const CLIENTS: &[&str] = &[PUBLISHER, SUBSCRIBER];

const fn scenario(name: &'static str, places: &'static [&'static str]) -> Scenario {
    Scenario { name, places, only_v5: false }
}

const fn in_v5(name: &'static str, places: &'static [&'static str]) -> Scenario {
    Scenario { name, places, only_v5: true }
}

/// The broker under test keeps what it knows in memory, closes no topic to publishers, and lets
/// nothing expire in virtual time: scenarios about these are for clients.
const SCENARIOS: [Scenario; 18] = [
    scenario("00-cuts", ALL),
    scenario("01-lost-pubrec", ALL),
    scenario("02-long-outage", ALL),
    scenario("03-lost-pubcomp", ALL),
    scenario("04-lost-pubrel", ALL),
    scenario("06-lost-publish", ALL),
    scenario("08-ids-in-use", ALL),
    in_v5("09-receive-maximum", ALL),
    in_v5("09-refused", &[PUBLISHER]),
    scenario("10-order", ALL),
    in_v5("11-session-expired", CLIENTS),
    scenario("11-session-lost", ALL),
    scenario("12-broker-crash", CLIENTS),
    in_v5("14-expiry", CLIENTS),
    scenario("15-long-round-trip", ALL),
    scenario("16-half-open", ALL),
    scenario("17-away", &[SUBSCRIBER, BROKER]),
    scenario("18-stall", ALL),
];

#[test]
fn rumqttc_v4_next() {
    in_every_scenario("rumqttc-v4-next");
}

#[test]
fn rumqttc_v5_next() {
    in_every_scenario("rumqttc-v5-next");
}

#[test]
fn mqrstt() {
    in_every_scenario("mqrstt");
}

#[test]
fn mqtt_endpoint_tokio() {
    in_every_scenario("mqtt-endpoint-tokio");
}

#[test]
fn mqtt5() {
    in_every_scenario("mqtt5");
}

#[test]
fn every_scenario_is_in_the_tables() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort_unstable();
    assert_eq!(files, SCENARIOS.map(|scenario| format!("{}.toml", scenario.name)));
}

/// Runs a product in all versions and places through all that fits it, and holds its table to what
/// came of that; or shows what was asked for.
fn in_every_scenario(name: &str) {
    let shown = std::env::var("QOSLAB_SHOW").ok();
    let products = PRODUCTS.iter().filter(|product| product.name == name);
    let columns: Vec<(&Product, &str)> =
        products.flat_map(|product| places(product).iter().map(move |it| (product, *it))).collect();
    let mut table = head(&columns);
    for scenario in &SCENARIOS {
        let cells = columns.iter().map(|(product, place)| {
            let is_fit =
                scenario.places.contains(place) && (!scenario.only_v5 || product.mqtt == "5.0");
            let trial = format!("{} {place}", scenario.name);
            match &shown {
                _ if !is_fit => String::new(),
                None => {
                    let tested = run(product, scenario, place);
                    let unsteady = tested.unsteady().count();
                    if unsteady > 0 {
                        println!(
                            "{name} in {}, {trial}: {unsteady} not the same twice",
                            product.mqtt
                        );
                    }
                    cell(&tested)
                }
                Some(wanted) if trial.starts_with(wanted) => {
                    let tested = run(product, scenario, place).shrunk();
                    println!("{name} in {}, {trial}: {}\n{tested}", product.mqtt, cell(&tested));
                    String::new()
                }
                Some(_) => String::new(),
            }
        });
        let cells: Vec<String> = cells.collect();
        if cells.iter().any(|cell| !cell.is_empty()) {
            writeln!(table, "| {} | {} |", scenario.name, cells.join(" | ")).unwrap();
        }
    }
    if shown.is_none() {
        hold(name, &table);
    }
}

const fn places(product: &Product) -> &'static [&'static str] {
    match product.role {
        Role::Client => CLIENTS,
        Role::Broker => &[BROKER],
    }
}

fn run(product: &Product, scenario: &Scenario, place: &str) -> Tested {
    let folder = env!("CARGO_MANIFEST_DIR");
    let test = Test::load(format!("{folder}/scenarios/{}.toml", scenario.name));
    product.put(test, place).run()
}

fn head(columns: &[(&Product, &str)]) -> String {
    let titles = columns.iter().map(|(product, place)| format!("{place}, {}", product.mqtt));
    let titles = titles.collect::<Vec<_>>().join(" | ");
    format!("| scenario | {titles} |\n|---|{}\n", "---|".repeat(columns.len()))
}

/// What came of a test: `holds`, or in how many trials what was broken: promises, rules by their
/// ids, and what no endpoint may do at all.
fn cell(tested: &Tested) -> String {
    let trials: Vec<_> = tested.result().points.iter().flat_map(|it| &it.trials).collect();
    let mishaps: BTreeSet<&str> = tested.mishaps().map(|(trial, _)| trial).collect();
    let failed =
        trials.iter().filter(|row| row.verdict != Verdict::Holds || mishaps.contains(&*row.name));
    if tested.holds() {
        return "holds".to_owned();
    }
    let what = broken(tested).join(", ");
    format!("**{} of {}**: {what}", failed.count(), trials.len())
}

fn broken(tested: &Tested) -> Vec<String> {
    let mut promises = BTreeMap::<_, u64>::new();
    let mut rules = BTreeMap::<_, u64>::new();
    for point in &tested.result().points {
        for (violation, count) in &point.violations {
            *promises.entry(*violation).or_default() += count;
        }
        for (rule, count) in point.rules.iter().filter(|(rule, _)| rule.is_violation()) {
            *rules.entry(*rule).or_default() += count;
        }
    }
    let promises = promises.into_iter().map(|(it, count)| {
        let (breach, promise) = (words::breach(it.breach), words::promise(it.promise));
        format!("{count} {breach} ({promise}, {})", words::blame(it.blame))
    });
    let rules = rules.into_iter().map(|(it, count)| {
        let id = it.id().map_or_else(|| format!("{:?}", it.rule), |id| format!("[{id}]"));
        format!("{id} {count} times ({})", words::blame(it.blame))
    });
    let mishaps: BTreeSet<_> = tested.mishaps().map(|(_, mishap)| word(&mishap.what)).collect();
    let mishaps = mishaps.into_iter().map(str::to_owned);
    let needs = tested.result().needs.iter().filter(|need| need.verdict != Verdict::Holds);
    let needs = needs.map(|need| format!("`{}` is not met", need.need.text));
    let never = tested.result().sometimes.iter().filter(|(_, count)| *count == 0);
    let never = never.map(|(what, _)| format!("never {what}"));
    promises.chain(rules).chain(mishaps).chain(needs).chain(never).collect()
}

const fn word(kind: &MishapKind) -> &'static str {
    match kind {
        MishapKind::Panicked(_) => "panics",
        MishapKind::Ended(_) => "its code ends",
        MishapKind::NeverReady => "never ready",
        MishapKind::Away => "does not come back",
        MishapKind::Flooded(_) => "floods",
        MishapKind::Garbage(_) => "writes what is no packet",
        MishapKind::Invented => "delivers what nobody published",
        MishapKind::Hung => "hangs",
    }
}

/// Where a table ends.
const END: &str = "<!-- to here -->";

/// One test at a time writes to the page.
static PAGE: Mutex<()> = Mutex::new(());

/// Holds a product's table to what was found, or writes it.
fn hold(name: &str, table: &str) {
    let begin = format!("<!-- {name}: written by products/tests/products.rs -->\n");
    let _alone = PAGE.lock().unwrap_or_else(PoisonError::into_inner);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/products.md");
    let page = fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(&begin).unwrap();
    let (written, after) = rest.split_once(END).unwrap();
    if std::env::var_os("QOSLAB_UPDATE").is_some() {
        fs::write(path, format!("{before}{begin}{table}{END}{after}")).unwrap();
    } else {
        assert_eq!(
            outline(written),
            outline(table),
            "docs/products.md says otherwise: look with QOSLAB_SHOW, write with QOSLAB_UPDATE=1\n\
             {table}"
        );
    }
}

/// A table with nothing in its cells but whether something broke.
fn outline(table: &str) -> String {
    let cell = |cell: &str| if cell.starts_with("**") { "breaks" } else { cell }.to_owned();
    let lines = table.lines().map(|line| {
        let cells = line.split(" | ").map(cell).collect::<Vec<_>>();
        cells.join(" | ")
    });
    lines.collect::<Vec<_>>().join("\n")
}
