//! Which filters of `scenarios/filters.toml` bring which topics, against a table made by hand.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::common::run_observed;
use qoslab::base::{Event, Observer, Time};
use qoslab::scenario::Scenario;
use qoslab::sim::Trial;

/// Section 4.7 of both standards, by hand: what each client's filter matches.
const BY_HAND: [(&str, &[&str]); 10] = [
    ("parent", &["t", "t/", "t/a", "t//a"]),
    ("child", &["t/", "t/a"]),
    ("empty-middle", &["t//a"]),
    ("one-level", &["t"]),
    ("two-levels", &["t/", "t/a", "/t"]),
    ("empty-first", &["/t"]),
    ("last-level", &["/t"]),
    ("everything", &["t", "t/", "t/a", "t//a", "/t"]),
    ("own", &["$own", "$own/t"]),
    ("own-child", &["$own/t"]),
];

/// The topics that came to each client.
struct Topics<'t> {
    trial: &'t Trial,
    came: BTreeMap<String, BTreeSet<String>>,
}

impl Observer for Topics<'_> {
    fn observe(&mut self, _now: Time, event: &Event<'_>) {
        let Event::Delivered { client, tag, .. } = event else { return };
        let Some(message) = tag.message_id() else { return };
        let setup = &self.trial.setup;
        let topic = setup.publishers[message.publisher.index()].topic.to_string();
        let name = setup.clients[client.index()].name.to_string();
        self.came.entry(name).or_default().insert(topic);
    }
}

#[test]
fn each_filter_brings_what_section_4_7_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/filters.toml");
    let scenario = Scenario::load(&path).unwrap_or_else(|error| panic!("{error}"));
    let by_hand: BTreeMap<String, BTreeSet<String>> = BY_HAND
        .iter()
        .map(|(name, topics)| {
            ((*name).to_owned(), topics.iter().map(|topic| (*topic).to_owned()).collect())
        })
        .collect();
    for point in &scenario.points {
        let trial = point.trial(1);
        let topics = Topics { trial: &trial, came: BTreeMap::new() };
        let (_, Topics { came, .. }) = run_observed(&trial, topics, ());
        assert_eq!(came, by_hand);
    }
}
