//! Every implementation through every scenario of `scenarios/` that it can be tested by, in each
//! place that it can have there; qoslab's own endpoints have the others. What comes of it is the
//! tables of `docs/interop.md`: write them anew with `QOSLAB_UPDATE=1 cargo test -p
//! qoslab-interop`. What held there must hold, and what broke must break. How often it does is not
//! compared, for some implementations have luck of their own.
//!
//! To see what is behind a cell, with the story of the first failure of each kind and its ladder:
//! `QOSLAB_SHOW="00-cuts app" cargo test -p qoslab-interop mqrstt -- --nocapture`.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use qoslab_interop::{IMPLEMENTATIONS, Implementation, Role};
use qoslab_report::labels;
use qoslab_testing::{Harness, HarnessReport, SutErrorKind, Verdict};

/// A scenario, and what of it an implementation can be asked.
struct ScenarioCase {
    name: &'static str,
    roles: &'static [&'static str],
    only_v5: bool,
}

const PUBLISHER: &str = "meter";
const SUBSCRIBER: &str = "app";
const BROKER: &str = "broker";
const ALL_ROLES: &[&str] = &[PUBLISHER, SUBSCRIBER, BROKER];
const CLIENT_ROLES: &[&str] = &[PUBLISHER, SUBSCRIBER];

const fn any_version(name: &'static str, roles: &'static [&'static str]) -> ScenarioCase {
    ScenarioCase { name, roles, only_v5: false }
}

const fn v5_only(name: &'static str, roles: &'static [&'static str]) -> ScenarioCase {
    ScenarioCase { name, roles, only_v5: true }
}

/// The broker under test keeps what it knows in memory, closes no topic to publishers, and lets
/// nothing expire in virtual time: scenarios about these are for clients.
const SCENARIOS: [ScenarioCase; 18] = [
    any_version("00-cuts", ALL_ROLES),
    any_version("01-lost-pubrec", ALL_ROLES),
    any_version("02-long-outage", ALL_ROLES),
    any_version("03-lost-pubcomp", ALL_ROLES),
    any_version("04-lost-pubrel", ALL_ROLES),
    any_version("06-lost-publish", ALL_ROLES),
    any_version("08-ids-in-use", ALL_ROLES),
    v5_only("09-receive-maximum", ALL_ROLES),
    v5_only("09-refused", &[PUBLISHER]),
    any_version("10-order", ALL_ROLES),
    v5_only("11-session-expired", CLIENT_ROLES),
    any_version("11-session-lost", ALL_ROLES),
    any_version("12-broker-crash", CLIENT_ROLES),
    v5_only("14-expiry", CLIENT_ROLES),
    any_version("15-long-round-trip", ALL_ROLES),
    any_version("16-half-open", ALL_ROLES),
    any_version("17-away", &[SUBSCRIBER, BROKER]),
    any_version("18-stall", ALL_ROLES),
];

#[test]
fn rumqttc_v4_next() {
    test_in_every_scenario("rumqttc-v4-next");
}

#[test]
fn rumqttc_v5_next() {
    test_in_every_scenario("rumqttc-v5-next");
}

#[test]
fn mqrstt() {
    test_in_every_scenario("mqrstt");
}

#[test]
fn mqtt_endpoint_tokio() {
    test_in_every_scenario("mqtt-endpoint-tokio");
}

#[test]
fn mqtt5() {
    test_in_every_scenario("mqtt5");
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

/// Runs an implementation in all versions and places through all that fits it, and holds its table
/// to what came of that; or shows what was asked for.
fn test_in_every_scenario(name: &str) {
    let shown = std::env::var("QOSLAB_SHOW").ok();
    let implementations =
        IMPLEMENTATIONS.iter().filter(|implementation| implementation.name == name);
    let columns: Vec<(&Implementation, &str)> = implementations
        .flat_map(|implementation| {
            roles(implementation).iter().map(move |it| (implementation, *it))
        })
        .collect();
    let mut table = table_head(&columns);
    for scenario in &SCENARIOS {
        let cells = columns.iter().map(|(implementation, place)| {
            let is_fit = scenario.roles.contains(place)
                && (!scenario.only_v5 || implementation.mqtt_version == "5.0");
            let trial = format!("{} {place}", scenario.name);
            match &shown {
                _ if !is_fit => String::new(),
                None => {
                    let tested = run(implementation, scenario, place);
                    let unsteady = tested.nondeterministic_trials().count();
                    if unsteady > 0 {
                        println!(
                            "{name} in {}, {trial}: {unsteady} not the same twice",
                            implementation.mqtt_version
                        );
                    }
                    table_cell(&tested)
                }
                Some(wanted) if trial.starts_with(wanted) => {
                    let tested = run(implementation, scenario, place).with_shrunk_failures();
                    println!(
                        "{name} in {}, {trial}: {}\n{tested}",
                        implementation.mqtt_version,
                        table_cell(&tested)
                    );
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
        check_table(name, &table);
    }
}

const fn roles(implementation: &Implementation) -> &'static [&'static str] {
    match implementation.role {
        Role::Client => CLIENT_ROLES,
        Role::Broker => &[BROKER],
    }
}

fn run(implementation: &Implementation, scenario: &ScenarioCase, role: &str) -> HarnessReport {
    let folder = env!("CARGO_MANIFEST_DIR");
    let test = Harness::load(format!("{folder}/scenarios/{}.toml", scenario.name));
    let test = match seeds() {
        Some(count) => test.seeds(1..=count),
        None => test,
    };
    implementation.install(test, role).run()
}

/// How many seeds `QOSLAB_INTEROP_SEEDS` asks for; `None` for those of the scenarios.
fn seeds() -> Option<u64> {
    std::env::var("QOSLAB_INTEROP_SEEDS").ok().map(|count| count.parse().unwrap())
}

fn table_head(columns: &[(&Implementation, &str)]) -> String {
    let titles = columns
        .iter()
        .map(|(implementation, place)| format!("{place}, {}", implementation.mqtt_version));
    let titles = titles.collect::<Vec<_>>().join(" | ");
    format!("| scenario | {titles} |\n|---|{}\n", "---|".repeat(columns.len()))
}

/// What came of a test: `holds`, or in how many trials what was broken: promises, rules by their
/// ids, and what no endpoint may do at all.
fn table_cell(report: &HarnessReport) -> String {
    let trials: Vec<_> = report.result().points.iter().flat_map(|it| &it.trials).collect();
    let sut_errors: BTreeSet<&str> = report.sut_errors().map(|(trial, _)| trial).collect();
    let failed = trials
        .iter()
        .filter(|row| row.verdict != Verdict::Holds || sut_errors.contains(&*row.name));
    if report.holds() {
        return "holds".to_owned();
    }
    let what = broken_guarantees(report).join(", ");
    format!("**{} of {}**: {what}", failed.count(), trials.len())
}

fn broken_guarantees(report: &HarnessReport) -> Vec<String> {
    let mut promises = BTreeMap::<_, u64>::new();
    let mut rules = BTreeMap::<_, u64>::new();
    for point in &report.result().points {
        for (violation, count) in &point.violations {
            *promises.entry(*violation).or_default() += count;
        }
        for (rule, count) in point.rules.iter().filter(|(rule, _)| rule.fails_trial()) {
            *rules.entry(*rule).or_default() += count;
        }
    }
    let promises = promises.into_iter().map(|(it, count)| {
        let (breach, promise) =
            (labels::breach_keyword(it.breach), labels::promise_keyword(it.promise));
        format!("{count} {breach} ({promise}, {})", labels::blame_keyword(it.blame))
    });
    let rules = rules.into_iter().map(|(it, count)| {
        let id = it.id().map_or_else(|| format!("{:?}", it.rule), |id| format!("[{id}]"));
        format!("{id} {count} times ({})", labels::blame_keyword(it.blame))
    });
    let sut_errors: BTreeSet<_> =
        report.sut_errors().map(|(_, sut_error)| error_word(&sut_error.kind)).collect();
    let sut_errors = sut_errors.into_iter().map(str::to_owned);
    let needs = report.result().needs.iter().filter(|need| need.verdict != Verdict::Holds);
    let needs = needs.map(|need| format!("`{}` is not met", need.need.text));
    let never = report.result().sometimes.iter().filter(|(_, count)| *count == 0);
    let never = never.map(|(what, _)| format!("never {what}"));
    promises.chain(rules).chain(sut_errors).chain(needs).chain(never).collect()
}

const fn error_word(kind: &SutErrorKind) -> &'static str {
    match kind {
        SutErrorKind::Panicked(_) => "panics",
        SutErrorKind::Exited(_) => "its code ends",
        SutErrorKind::NeverReady => "never ready",
        SutErrorKind::NotConnected => "does not come back",
        SutErrorKind::Flooded(_) => "floods",
        SutErrorKind::MalformedPacket(_) => "writes what is no packet",
        SutErrorKind::UnknownPayload => "delivers what nobody published",
        SutErrorKind::Hung => "hangs",
    }
}

/// Where a table ends.
const TABLE_END: &str = "<!-- to here -->";

/// One test at a time writes to the page.
static PAGE_LOCK: Mutex<()> = Mutex::new(());

/// Holds an implementation's table to what was found, or writes it.
fn check_table(name: &str, table: &str) {
    let begin = format!("<!-- {name}: written by interop/tests/implementations.rs -->\n");
    let _alone = PAGE_LOCK.lock().unwrap_or_else(PoisonError::into_inner);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/interop.md");
    let page = fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(&begin).unwrap();
    let (written, after) = rest.split_once(TABLE_END).unwrap();
    if std::env::var_os("QOSLAB_UPDATE").is_some() {
        fs::write(path, format!("{before}{begin}{table}{TABLE_END}{after}")).unwrap();
    } else if seeds().is_some() {
        let new = unexpected_breaks(written, table);
        assert!(new.is_empty(), "docs/interop.md says that these hold:\n{}", new.join("\n"));
    } else {
        assert_eq!(
            without_counts(written),
            without_counts(table),
            "docs/interop.md says otherwise: look with QOSLAB_SHOW, write with QOSLAB_UPDATE=1\n\
             {table}"
        );
    }
}

/// The cells that break where the page says that they hold. Fewer seeds may break less, and what
/// they never met is no break.
fn unexpected_breaks(written: &str, found: &str) -> Vec<String> {
    assert_eq!(written.lines().count(), found.lines().count(), "the tables have the same rows");
    let cells = |line: &str| line.split(" | ").map(str::to_owned).collect::<Vec<_>>();
    let is_break = |cell: &str| {
        let broken = cell.strip_prefix("**").and_then(|cell| cell.split_once("**: "));
        broken.is_some_and(|(_, what)| what.split(", ").any(|one| !one.starts_with("never ")))
    };
    let mut new = Vec::new();
    for (written, found) in written.lines().zip(found.lines()) {
        let (written, found) = (cells(written), cells(found));
        assert_eq!(written[0], found[0], "the tables have the same rows");
        let pairs = written.iter().zip(&found);
        new.extend(
            pairs
                .filter(|(written, found)| is_break(found) && !written.starts_with("**"))
                .map(|(_, cell)| format!("{}: {cell}", found[0])),
        );
    }
    new
}

/// A table with nothing in its cells but whether something broke.
fn without_counts(table: &str) -> String {
    let cell = |cell: &str| if cell.starts_with("**") { "breaks" } else { cell }.to_owned();
    let lines = table.lines().map(|line| {
        let cells = line.split(" | ").map(cell).collect::<Vec<_>>();
        cells.join(" | ")
    });
    lines.collect::<Vec<_>>().join("\n")
}
