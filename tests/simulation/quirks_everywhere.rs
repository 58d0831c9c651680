//! Every quirk in the scenarios that were not written for it: whoever has it is the only one that
//! is blamed, and most quirks are found there too.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use crate::common::{finding_text, judge};
use qoslab::guarantee::{Blame, Outcome, RuleViolationKind};
use qoslab::mqtt::{Quirk, QuirkSide};
use qoslab::scenario::{Scenario, find_scenarios};
use qoslab::sim::{Setup, Trial};
use rayon::prelude::*;

/// The most events of a trial here, by their estimate.
const MAX_EVENTS: u64 = 200_000;

/// What only the scenarios of the bug classes see.
const NEEDS_ITS_CLASS: [Deviation; 6] = [
    (Quirk::DedupeLostOnRestart, true),
    (Quirk::IdWrapNoCheck, true),
    (Quirk::IdWrapNoCheck, false),
    (Quirk::AckThenDropOnFull, true),
    (Quirk::ExpireInflightQos2, true),
    (Quirk::ExpireInflightQos2, false),
];

/// One quirk on the broker, or on all clients.
type Deviation = (Quirk, bool);

/// What a trial found.
struct Judged<'t> {
    deviation: Deviation,
    scenario: &'t str,
    outcome: Outcome,
}

#[test]
fn whoever_has_a_quirk_is_the_only_one_that_is_blamed_in_any_scenario() {
    let trials = trials();
    let jobs: Vec<_> = deviations()
        .flat_map(|deviation| trials.iter().map(move |(name, trial)| (deviation, name, trial)))
        .collect();
    let judged: Vec<Judged<'_>> = jobs
        .into_par_iter()
        .map(|(deviation, name, trial)| {
            let outcome = judge(&with_quirk(trial, deviation));
            Judged { deviation, scenario: name, outcome }
        })
        .collect();
    let wrong: Vec<String> = judged.iter().filter_map(wrongly_blamed).collect();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), judged.len(), wrong.join("\n"));
    let is_found = |one: &&Judged<'_>| blames(&one.outcome).any(|it| is_of(one.deviation, it));
    let found: BTreeSet<Deviation> =
        judged.iter().filter(is_found).map(|one| one.deviation).collect();
    let expected = |one: &Deviation| found.contains(one) || NEEDS_ITS_CLASS.contains(one);
    let missed: Vec<_> = deviations().filter(|one| !expected(one)).map(name).collect();
    assert_eq!(missed, Vec::<String>::new(), "of {}", deviations().count());
}

fn name((quirk, on_broker): Deviation) -> String {
    format!("{} on the {}", quirk.label(), if on_broker { "broker" } else { "clients" })
}

fn deviations() -> impl Iterator<Item = Deviation> {
    let sides = |quirk: Quirk| match quirk.side() {
        QuirkSide::Broker => vec![true],
        QuirkSide::Client => vec![false],
        // No client of qoslab refuses a message, so no broker can lose a window slot by that.
        QuirkSide::Either if quirk == Quirk::QuotaLeakOnErrorPubrec => vec![false],
        QuirkSide::Either => vec![true, false],
    };
    Quirk::ALL
        .into_iter()
        .flat_map(move |quirk| sides(quirk).into_iter().map(move |on_broker| (quirk, on_broker)))
}

/// Trials of each point of each scenario that is not of a bug class, and not too long: the first,
/// or as many as `QOSLAB_SEEDS` says.
fn trials() -> Vec<(String, Trial)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let files = find_scenarios(&folder).expect("they are shipped");
    let seeds = std::env::var("QOSLAB_SEEDS").ok().and_then(|seeds| seeds.parse().ok());
    let seeds: u64 = seeds.unwrap_or(1);
    let mut trials = Vec::new();
    for file in files.iter().filter(|file| !file.starts_with(folder.join("bugs"))) {
        let scenario = Scenario::load(file).unwrap_or_else(|wrong| panic!("{wrong}"));
        let runs = u64::from(scenario.seed_count) * scenario.points.len() as u64;
        if scenario.estimate(1).events / runs > MAX_EVENTS {
            continue;
        }
        for seed in scenario.first_seed..scenario.first_seed + seeds {
            let points = scenario.points.iter();
            trials.extend(points.map(|point| (scenario.name.clone(), point.trial(seed))));
        }
    }
    assert!(trials.len() > 20, "only {} trials", trials.len());
    trials
}

fn with_quirk(trial: &Trial, (quirk, on_broker): Deviation) -> Trial {
    let mut setup = Setup::clone(&trial.setup);
    if on_broker {
        setup.broker.hop.quirks = setup.broker.hop.quirks.with(quirk);
    } else {
        for client in &mut setup.clients {
            let hop = &mut client.settings.hop;
            hop.quirks = hop.quirks.with(quirk);
        }
    }
    Trial { setup: Arc::new(setup), ..trial.clone() }
}

fn blames(outcome: &Outcome) -> impl Iterator<Item = Blame> {
    let promises = outcome.violations.keys().map(|violation| violation.blame);
    let rules = outcome.rule_violations.keys().filter(|it| RuleViolationKind::fails_trial(it));
    promises.chain(rules.map(|broken| broken.blame))
}

fn is_of((_, on_broker): Deviation, blame: Blame) -> bool {
    match blame {
        Blame::Broker => on_broker,
        Blame::Publisher | Blame::Subscriber => !on_broker,
        _ => false,
    }
}

/// A blame that is neither of the one with the quirk nor of the network or the configuration,
/// which scenarios declare.
fn wrongly_blamed(judged: &Judged<'_>) -> Option<String> {
    let Judged { deviation, scenario, outcome } = judged;
    let wrong = blames(outcome).find(|blame| {
        !is_of(*deviation, *blame) && !matches!(blame, Blame::Network | Blame::Configuration)
    })?;
    let finding = outcome.findings.iter().find(|finding| finding.violation.blame == wrong);
    let text = finding.map(finding_text).unwrap_or_default();
    Some(format!("{} in {scenario}: {wrong:?}\n{text}", name(*deviation)))
}
