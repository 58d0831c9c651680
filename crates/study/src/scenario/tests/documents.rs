//! The pages that list what scenario files know are complete.

use super::super::need_parser::METRIC_NAMES;
use super::super::*;
use super::{SMALL, over_tcp};
use qoslab_core::mqtt::{Quirk, QuirkSide};

fn page(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name)
}

/// Run with `QOSLAB_UPDATE=1` to write the page anew.
#[test]
fn the_page_of_profiles_is_that_of_the_code() {
    let path = page("profiles.md");
    if std::env::var_os("QOSLAB_UPDATE").is_some() {
        std::fs::write(&path, profiles::to_markdown()).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap(), profiles::to_markdown());
}

#[test]
fn the_page_of_quirks_has_a_row_with_evidence_for_each_in_order_and_no_other() {
    let text = std::fs::read_to_string(page("quirks.md")).unwrap();
    let rows: Vec<Vec<&str>> = text
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect())
        .collect();
    let names: Vec<_> = rows.iter().map(|row| row[0].trim_matches('`')).collect();
    assert_eq!(names, Quirk::ALL.map(Quirk::label));
    for (row, quirk) in rows.iter().zip(Quirk::ALL) {
        let side = match quirk.side() {
            QuirkSide::Client => "client",
            QuirkSide::Broker => "broker",
            QuirkSide::Either => "either",
        };
        assert_eq!(row[1], side, "{row:?}");
        let evident = row[3].contains('#') || row[3].contains("reproduced");
        assert!(row.len() == 4 && evident, "{row:?}");
    }
}

#[test]
fn the_model_says_what_every_metric_is_and_no_other() {
    let text = std::fs::read_to_string(page("model.md")).unwrap();
    let (_, table) = text.split_once("| metric | meaning |").unwrap();
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    let names = rows.flat_map(|row| row.split('|').nth(1).unwrap().split(','));
    let names: Vec<_> = names.map(|name| name.trim().trim_matches('`')).collect();
    assert_eq!(names, METRIC_NAMES);
}

#[test]
fn every_profile_can_be_set_and_its_settings_are_those_that_are_simulated() {
    for profile in &profiles::ALL {
        for version in ["3.1.1", "5.0"] {
            let line = format!("profile = \"{}\"\n", profile.name);
            let text = SMALL
                .replace("name = \"small\"", &format!("name = \"small\"\nmqtt = \"{version}\""));
            let text = if profile.side == QuirkSide::Broker {
                text.replacen("[[client]]", &format!("[broker]\n{line}[[client]]"), 1)
            } else {
                text.replacen("[[client]]\n", &format!("[[client]]\n{line}"), 1)
            };
            let text = over_tcp(&text);
            let scenario = Scenario::parse("test.toml", &text).unwrap_or_else(|e| panic!("{e}"));
            let shown: toml::Table = scenario.to_full_toml().parse().unwrap();
            let node = if profile.side == QuirkSide::Broker {
                shown["broker"].as_table().unwrap()
            } else {
                shown["client"][0].as_table().unwrap()
            };
            for setting in profile.settings.iter().filter(|one| version == "5.0" || !one.is_v5_only)
            {
                let wanted: toml::Table = setting.scenario_line.parse().unwrap();
                let (field, wanted) = wanted.iter().next().unwrap();
                assert_same_setting(wanted, &node[field], setting.scenario_line);
            }
            let end = if profile.side == QuirkSide::Broker { "broker" } else { "sensor" };
            let group = scenario.groups.iter().find(|group| group.name == end).unwrap();
            assert_eq!(group.profile.as_deref(), Some(profile.name));
        }
    }
}

/// Whether what was asked for is what is shown, where times may be written otherwise.
fn assert_same_setting(wanted: &toml::Value, shown: &toml::Value, setting: &str) {
    use qoslab_core::base::units::parse_span;
    match (wanted, shown) {
        (toml::Value::Table(wanted), toml::Value::Table(shown)) => {
            for (field, wanted) in wanted {
                assert_same_setting(wanted, &shown[field], setting);
            }
        }
        (toml::Value::String(wanted), toml::Value::String(shown)) => {
            let same = parse_span(wanted).is_ok() && parse_span(wanted) == parse_span(shown);
            assert!(same || wanted == shown, "{setting}: {shown}");
        }
        _ => assert_eq!(wanted, shown, "{setting}"),
    }
}

#[test]
fn a_table_overrides_its_profile() {
    let text = SMALL.replacen(
        "[[client]]",
        "[broker]\nprofile = \"emqx-5.0\"\nmax_queued = 7\nretry = { every = \"2s\" }\n[[client]]",
        1,
    );
    let scenario = Scenario::parse("test.toml", &text).unwrap_or_else(|e| panic!("{e}"));
    let hop = scenario.points[0].setup.broker.hop;
    assert_eq!((hop.max_queued, hop.max_inflight), (7, 32));
    let shown = scenario.to_full_toml();
    assert!(shown.contains("retry = { every = \"2s\", backoff = 1.0 }"), "{shown}");
}
