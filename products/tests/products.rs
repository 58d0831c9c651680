//! Every product through every scenario of `scenarios/` that it can be tested by, in each place
//! that it can have there; qoslab's own endpoints have the others. What breaks is to be written down
//! in [`KNOWN`], and must break then. Until that is done these tests are run by hand:
//! `cargo test -p qoslab-products -- --ignored --nocapture`.

use std::path::Path;

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
const SCENARIOS: [Scenario; 19] = [
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
    scenario("13-overlapping-filters", &[BROKER]),
    in_v5("14-expiry", CLIENTS),
    scenario("15-long-round-trip", ALL),
    scenario("16-half-open", ALL),
    scenario("17-away", &[SUBSCRIBER, BROKER]),
    scenario("18-stall", ALL),
];

/// Product, version of MQTT, scenario and place of what was seen to break.
const KNOWN: &[(&str, &str, &str, &str)] = &[];

#[test]
#[ignore = "what breaks is not written down yet"]
fn rumqttc_v4_next() {
    every_scenario("rumqttc-v4-next");
}

#[test]
#[ignore = "what breaks is not written down yet"]
fn rumqttc_v5_next() {
    every_scenario("rumqttc-v5-next");
}

#[test]
#[ignore = "what breaks is not written down yet"]
fn mqrstt() {
    every_scenario("mqrstt");
}

#[test]
#[ignore = "what breaks is not written down yet"]
fn mqtt_endpoint_tokio() {
    every_scenario("mqtt-endpoint-tokio");
}

#[test]
#[ignore = "what breaks is not written down yet"]
fn mqtt5() {
    every_scenario("mqtt5");
}

#[test]
fn every_scenario_is_in_the_table() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort_unstable();
    assert_eq!(files, SCENARIOS.map(|scenario| format!("{}.toml", scenario.name)));
}

/// Runs the product through all that fits it, prints the table, and tells what differs from
/// [`KNOWN`].
fn every_scenario(name: &str) {
    let mut surprises = Vec::new();
    for product in PRODUCTS.iter().filter(|product| product.name == name) {
        for scenario in SCENARIOS.iter().filter(|it| !it.only_v5 || product.mqtt == "5.0") {
            for place in scenario.places.iter().filter(|place| fits(product, place)) {
                let tested = run(product, scenario, place);
                let known = KNOWN.contains(&(name, product.mqtt, scenario.name, place));
                let what = if tested.holds() { "holds" } else { "breaks" };
                println!("{name} {} {} {place}: {what}", product.mqtt, scenario.name);
                if known == tested.holds() {
                    surprises.push(tested);
                }
            }
        }
    }
    let is_known = surprises.is_empty();
    if let Some(tested) = surprises.into_iter().find(|tested| !tested.holds()) {
        tested.shrunk().assert_holds();
    }
    assert!(is_known, "what was known to break holds: see the table above");
}

fn fits(product: &Product, place: &str) -> bool {
    (product.role == Role::Broker) == (place == BROKER)
}

fn run(product: &Product, scenario: &Scenario, place: &str) -> Tested {
    let folder = env!("CARGO_MANIFEST_DIR");
    let mut test = Test::load(&format!("{folder}/scenarios/{}.toml", scenario.name));
    if product.role == Role::Broker {
        test = test.set("broker.store", "\"volatile\"");
    }
    product.put(test, place).run()
}
