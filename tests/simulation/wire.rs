//! Shipped scenarios with every packet encoded and decoded, in each version of MQTT.

use std::path::Path;

use crate::common::run_observed;
use qoslab::scenario::{Scenario, find_scenarios};

#[test]
fn trials_run_the_same_when_every_packet_is_written_and_read() {
    let files = find_scenarios(Path::new("scenarios")).expect("scenarios are shipped");
    for file in files {
        let text = std::fs::read_to_string(&file).expect("a scenario can be read");
        // A scenario that sets its version uses features that only this version has.
        let has_version = text.lines().any(|line| line.starts_with("mqtt"));
        let versions = ["", "mqtt = \"3.1\"", "mqtt = \"3.1.1\"", "mqtt = \"5.0\""];
        for version in if has_version { &versions[..1] } else { &versions[1..] } {
            let text = format!("{version}\n{text}");
            let scenario =
                Scenario::parse("test.toml", &text).unwrap_or_else(|wrong| panic!("{wrong}"));
            for point in &scenario.points {
                let plain = point.trial(1);
                let mut written = plain.clone();
                let mut setup = (*written.setup).clone();
                setup.wire = true;
                written.setup = setup.into();
                let hash = |trial| run_observed(trial, (), ()).0.trace_hash;
                assert_eq!(hash(&plain), hash(&written), "{} {version}", file.display());
            }
        }
    }
}
