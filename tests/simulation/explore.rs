//! The systematic search, on setups that are small enough to be searched in a test.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use qoslab::base::{QoS, Span};
use qoslab::guarantee::{Blame, Breach, Promise};
use qoslab::mqtt::{DeliverOn, Quirk, Quirks, StorePolicy};
use qoslab::scenario::{Expectations, Scenario, Setting};
use qoslab::sim::Setup;
use qoslab::study::ThreadPool;
use qoslab::study::explore::{
    Counterexample, ExploreReport, FaultKind, FaultOptions, InjectedFault, Search, SearchSpace,
};

mod effects;

const TCP: &str = "explore/two-hops";
const DATAGRAMS: &str = "explore/two-hops-datagrams";

/// The setup of a shipped scenario at one published QoS.
fn setup(file: &str, qos: QoS, settings: &[(&str, &str)]) -> Setup {
    let path = format!("{}/scenarios/{file}.toml", env!("CARGO_MANIFEST_DIR"));
    let setting = |(path, value): &(&str, &str)| Setting {
        path: (*path).to_owned(),
        value: (*value).to_owned(),
    };
    let settings: Vec<_> = settings.iter().map(setting).collect();
    let scenario = Scenario::load_with_settings(Path::new(&path), &settings)
        .unwrap_or_else(|wrong| panic!("{}", wrong.render(false)));
    let point = scenario.points.iter().find(|it| it.published == Some(qos));
    Setup::clone(&point.unwrap_or_else(|| panic!("{file} has no QoS {qos}")).setup)
}

fn with_quirk(mut setup: Setup, quirk: Quirk, blamed: Blame) -> Setup {
    let client = |name: &str| setup.clients.iter().position(|client| &*client.name == name);
    let hop = match blamed {
        Blame::Broker => &mut setup.broker.hop,
        Blame::Publisher => {
            let meter = client("meter").expect("a publisher");
            &mut setup.clients[meter].settings.hop
        }
        _ => {
            let app = client("app").expect("a subscriber");
            &mut setup.clients[app].settings.hop
        }
    };
    hop.quirks = hop.quirks.with(quirk);
    setup
}

fn search_space(setup: &Setup, messages: u32) -> SearchSpace {
    search_space_with(setup, messages, Span::from_secs(1), true)
}

fn search_space_with(
    setup: &Setup,
    messages: u32,
    down: Span,
    merge_equal_states: bool,
) -> SearchSpace {
    SearchSpace::new(
        setup,
        FaultOptions { kinds: FaultKind::ALL.to_vec(), crash_downtime: down },
        Some(messages),
        merge_equal_states,
    )
}

fn search(search_space: &SearchSpace, faults: usize) -> ExploreReport {
    search_on(search_space, faults, 2)
}

fn search_on(search_space: &SearchSpace, faults: usize, jobs: u16) -> ExploreReport {
    let pool = ThreadPool::new(Some(jobs)).expect("threads");
    let search = Search {
        space: search_space,
        expect: &Expectations::default(),
        faults,
        max_schedules: u64::MAX,
        pool: &pool,
        interrupt: &AtomicBool::new(false),
    };
    search.run(&()).expect("what is explored is what is run")
}

/// The faults of a counterexample, in words.
fn schedule_text(search_space: &SearchSpace, found: &Counterexample) -> Vec<String> {
    let told = |InjectedFault { packet, fault: alternative }: &InjectedFault| {
        format!("{alternative:?} at {}", search_space.setup().format_packet_name(packet))
    };
    found.schedule.iter().map(told).collect()
}

fn violations_of(found: &Counterexample) -> Vec<(Promise, Breach, Blame)> {
    found.outcome.violations.keys().map(|it| (it.promise, it.breach, it.blame)).collect()
}

// ---- proofs ----

#[test]
fn over_tcp_with_durable_stores_every_promise_holds_in_all_schedules_of_two_faults() {
    for qos in QoS::ALL {
        let report = search(&search_space(&setup(TCP, qos, &[]), 1), 2);
        assert!(report.is_proof(), "{qos}: {report:?}");
        assert!(report.schedules() > 900 && report.states() > 5_000, "{qos}: {report:?}");
    }
}

#[test]
fn two_messages_do_not_disturb_each_other() {
    let report = search(&search_space(&setup(TCP, QoS::ExactlyOnce, &[]), 2), 1);
    assert!(report.is_proof(), "{report:?}");
}

#[test]
fn over_datagrams_at_least_once_holds_in_all_schedules_of_two_faults() {
    let report = search(&search_space(&setup(DATAGRAMS, QoS::AtLeastOnce, &[]), 1), 2);
    assert!(report.is_proof(), "{report:?}");
}

// ---- counterexamples ----

#[test]
fn over_datagrams_exactly_once_breaks_by_a_copy_that_outlives_its_handshake() {
    let search_space = search_space(&setup(DATAGRAMS, QoS::ExactlyOnce, &[]), 1);
    let one = search(&search_space, 1);
    assert!(one.is_proof(), "one fault is not enough: {one:?}");
    let report = search(&search_space, 2);
    let found = report.counterexample.expect("two are");
    assert_eq!(found.faults(), 2);
    let expected = [(Promise::ExactlyOnce, Breach::Duplicated, Blame::Network)];
    assert_eq!(violations_of(&found), expected, "{:?}", schedule_text(&search_space, &found));
}

#[test]
fn a_volatile_broker_breaks_what_it_has_acknowledged() {
    for (qos, promise) in
        [(QoS::AtLeastOnce, Promise::AtLeastOnce), (QoS::ExactlyOnce, Promise::ExactlyOnce)]
    {
        let setup = Setup { broker_store: StorePolicy::Volatile, ..setup(TCP, qos, &[]) };
        let search_space = search_space(&setup, 1);
        // One crash is not enough: what the broker has sent still arrives.
        let found = search(&search_space, 2).counterexample.expect("a crash loses a message");
        assert_eq!(found.faults(), 2, "{:?}", schedule_text(&search_space, &found));
        let crashes = found.schedule.iter().any(|it| it.fault.kinds() == [FaultKind::Crash]);
        assert!(crashes, "{:?}", schedule_text(&search_space, &found));
        assert!(
            violations_of(&found).iter().any(|it| it.0 == promise),
            "{:?}",
            violations_of(&found)
        );
    }
}

#[test]
fn an_endless_reconnecting_is_a_livelock() {
    let setup = setup(TCP, QoS::ExactlyOnce, &[]);
    let setup = with_quirk(setup, Quirk::DisconnectOnUnknownPubrel, Blame::Broker);
    let search_space = search_space(&setup, 1);
    let found = search(&search_space, 1).counterexample.expect("an unknown PUBREL is fatal");
    assert!(found.livelock, "{:?}", schedule_text(&search_space, &found));
}

/// The subscriber that ignores Session Present shows it by its second subscription, which comes
/// with the 45th message: that is why its row has that many.
///
/// A quirk, the endpoint that has it, the scenario, its settings, the number of messages, the
/// seconds for which a crashed node is down, and the number of faults of the smallest
/// counterexample.
type QuirkRow =
    (Quirk, Blame, &'static str, &'static [(&'static str, &'static str)], u32, u64, usize);

const QUIRKS: &[QuirkRow] = {
    use Blame::{Broker, Publisher, Subscriber};
    use Quirk::*;
    const ONE: &[(&str, &str)] =
        &[("broker.receive_maximum", "1"), ("client.app.receive_maximum", "1")];
    const FULL: &[(&str, &str)] = &[("broker.max_queued", "1")];
    &[
        (NoDedupe, Broker, "01-qos2-receiver-does-not-dedupe", &[], 1, 1, 1),
        (NoDedupe, Subscriber, "01-qos2-receiver-does-not-dedupe", &[], 1, 1, 1),
        (DedupeTtl, Broker, "02-dedupe-state-dropped-too-early", &[], 1, 10, 1),
        (DedupeTtl, Subscriber, "02-dedupe-state-dropped-too-early", &[], 1, 10, 1),
        (DedupeLostOnRestart, Broker, "02-dedupe-state-dropped-too-early", &[], 1, 1, 1),
        (DedupeLostOnRestart, Subscriber, "02-dedupe-state-dropped-too-early", &[], 1, 1, 1),
        (ReplayPublishAfterPubrel, Publisher, "03-publish-replayed-after-pubrel", &[], 1, 1, 1),
        (ReplayPublishAfterPubrel, Broker, "03-publish-replayed-after-pubrel", &[], 1, 1, 1),
        (DropOwedPubrel, Publisher, "04-owed-pubrel-never-resent", &[], 1, 1, 1),
        (DropOwedPubrel, Broker, "04-owed-pubrel-never-resent", &[], 1, 1, 1),
        (DisconnectOnUnknownPubrel, Broker, "05-unknown-pubrel-is-fatal", &[], 1, 1, 1),
        (DisconnectOnUnknownPubrel, Subscriber, "05-unknown-pubrel-is-fatal", &[], 1, 1, 1),
        (DropInflightOnResume, Publisher, "06-in-flight-lost-on-resume", &[], 1, 1, 1),
        (DropInflightOnResume, Broker, "06-in-flight-lost-on-resume", &[], 1, 1, 1),
        (DupNeverSet, Publisher, "07-dup-flag-wrong", &[], 1, 1, 1),
        (DupNeverSet, Broker, "07-dup-flag-wrong", &[], 1, 1, 1),
        (NewIdsOnResume, Publisher, "08-packet-ids-renumbered", &[], 1, 1, 1),
        (NewIdsOnResume, Broker, "08-packet-ids-renumbered", &[], 1, 1, 1),
        (QuotaNotReset, Publisher, "09-window-not-given-back", ONE, 2, 1, 1),
        (QuotaNotReset, Broker, "09-window-not-given-back", ONE, 2, 1, 1),
        (QuotaLeakOnErrorPubrec, Publisher, "09-window-not-given-back", ONE, 2, 1, 0),
        (ResendUnordered, Publisher, "10-resends-out-of-order", &[], 2, 1, 1),
        (ResendUnordered, Broker, "10-resends-out-of-order", &[], 2, 1, 1),
        (IgnoreSessionPresent, Publisher, "11-session-present-ignored", &[], 1, 10, 1),
        (IgnoreSessionPresent, Subscriber, "11-session-present-ignored", &[], 46, 10, 1),
        (AckThenDropOnFull, Broker, "12-acknowledgement-that-lies", FULL, 20, 1, 0),
        (AckBeforeStore, Broker, "12-acknowledgement-that-lies", &[], 1, 1, 1),
        (NoQosCap, Broker, "13-qos-of-overlapping-subscriptions", &[], 1, 1, 0),
        (OverlapMinQos, Broker, "13-qos-of-overlapping-subscriptions", &[], 1, 1, 1),
        (ExpireInflightQos2, Publisher, "14-expiry-in-flight", &[], 1, 10, 1),
        (ExpireInflightQos2, Broker, "14-expiry-in-flight", &[], 1, 10, 1),
        (TimerResend, Publisher, "15-timer-resend-on-live-connection", &[], 1, 1, 0),
        (TimerResend, Broker, "15-timer-resend-on-live-connection", &[], 1, 1, 0),
    ]
};

/// Packet ids that wrap round take 65,535 messages, which is too many for any search.
#[test]
fn every_quirk_but_one_has_a_least_counterexample_and_is_blamed() {
    let mut wrong = Vec::new();
    for &(quirk, whom, class, settings, messages, down, faults) in QUIRKS {
        let label = format!("{} on the {whom:?}", quirk.label());
        let qos = if class.starts_with("12") { QoS::AtLeastOnce } else { QoS::ExactlyOnce };
        let setup = with_quirk(setup(&format!("bugs/{class}"), qos, settings), quirk, whom);
        let search_space = search_space_with(&setup, messages, Span::from_secs(down), true);
        let report = search(&search_space, faults.max(1));
        let Some(found) = &report.counterexample else {
            wrong.push(format!("{label}: nothing breaks: {report:?}"));
            continue;
        };
        let violations = found.outcome.violations.keys().map(|it| it.blame);
        let blamed: Vec<_> =
            violations.chain(found.outcome.rule_violations.keys().map(|it| it.blame)).collect();
        let is_right = found.livelock || !blamed.is_empty() && blamed.iter().all(|it| *it == whom);
        if found.faults() != faults || !is_right {
            let told = schedule_text(&search_space, found);
            wrong.push(format!("{label}: {told:?}, blame {blamed:?}, {:?}", violations_of(found)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn without_its_quirk_no_bug_class_has_a_counterexample_of_one_fault() {
    let mut seen = Vec::new();
    for &(_, _, class, settings, messages, down, _) in QUIRKS {
        if seen.contains(&class) {
            continue;
        }
        seen.push(class);
        let qos = if class.starts_with("12") { QoS::AtLeastOnce } else { QoS::ExactlyOnce };
        let setup = setup(&format!("bugs/{class}"), qos, settings);
        let search_space = search_space_with(&setup, messages.min(2), Span::from_secs(down), true);
        let report = search(&search_space, 1);
        let found = report.counterexample.as_ref();
        let told = found.map(|found| (schedule_text(&search_space, found), violations_of(found)));
        assert!(report.is_proof(), "{class}: {told:?}");
    }
}

// ---- the search itself ----

/// Small search spaces of all kinds.
fn cases() -> Vec<(String, Setup)> {
    let mut cases = Vec::new();
    for qos in QoS::ALL {
        for file in [TCP, DATAGRAMS] {
            let plain = setup(file, qos, &[]);
            let mut volatile = Setup { broker_store: StorePolicy::Volatile, ..plain.clone() };
            volatile.clients[0].store = StorePolicy::Volatile;
            cases.push((format!("{file} {qos}"), plain));
            cases.push((format!("{file} {qos}, volatile"), volatile));
        }
    }
    let short =
        setup(DATAGRAMS, QoS::ExactlyOnce, &[("broker.retry", "1s"), ("client.meter.retry", "1s")]);
    cases.push(("a short timer".to_owned(), short));
    let mut release = setup(TCP, QoS::ExactlyOnce, &[]);
    release.broker.hop.deliver_on = DeliverOn::Release;
    cases.push(("delivery on PUBREL".to_owned(), release));
    for quirk in [Quirk::NoDedupe, Quirk::DropInflightOnResume, Quirk::DedupeLostOnRestart] {
        let mut setup = setup(TCP, QoS::ExactlyOnce, &[]);
        setup.broker.hop.quirks = Quirks::from(quirk);
        cases.push((format!("tcp with {}", quirk.label()), setup));
    }
    cases
}

#[test]
fn equal_states_may_be_left_out_and_the_answer_is_the_same() {
    for (name, setup) in cases() {
        let answer = |recognises| {
            let search_space = search_space_with(&setup, 1, Span::from_secs(1), recognises);
            let report = search(&search_space, 2);
            let found = report.counterexample.as_deref();
            let found = found.map(|it| (it.schedule.clone(), violations_of(it)));
            (report.is_proof(), found, report.schedules())
        };
        let (with, without) = (answer(true), answer(false));
        assert_eq!((with.0, &with.1), (without.0, &without.1), "{name}");
        // Some schedules are skipped, unless a counterexample comes too early.
        assert!(with.2 < without.2 || with.1.is_some(), "{name}: {} of {}", with.2, without.2);
    }
}

#[test]
fn the_answer_is_the_same_with_any_number_of_jobs() {
    let search_space = search_space(&setup(DATAGRAMS, QoS::ExactlyOnce, &[]), 1);
    let [one, three] = [1, 3].map(|jobs| search_on(&search_space, 2, jobs));
    assert_eq!(one.levels, three.levels);
    let chosen =
        |report: &ExploreReport| report.counterexample.as_ref().map(|it| it.schedule.clone());
    assert_eq!(chosen(&one), chosen(&three));
}

#[test]
fn too_many_schedules_are_refused_with_an_estimate() {
    let search_space = search_space(&setup(TCP, QoS::ExactlyOnce, &[]), 1);
    let pool = ThreadPool::new(Some(1)).expect("threads");
    let (expect, interrupt) = (Expectations::default(), AtomicBool::new(false));
    let limited = |max_schedules| {
        let (search_space, expect, interrupt, pool) = (&search_space, &expect, &interrupt, &pool);
        let search =
            Search { space: search_space, expect, faults: 5, max_schedules, pool, interrupt };
        search.run(&()).expect("it is refused, or right")
    };
    let report = limited(10_000);
    assert!(report.estimate.is_some_and(|estimate| estimate > 10_000), "{report:?}");
    assert!(report.schedules() < 10_000 && !report.is_proof());
}

#[test]
fn an_interrupt_ends_a_search_and_is_reported() {
    let search_space = search_space(&setup(TCP, QoS::ExactlyOnce, &[]), 1);
    let pool = ThreadPool::new(Some(1)).expect("threads");
    let (expect, interrupt) = (Expectations::default(), AtomicBool::new(true));
    let search = Search {
        space: &search_space,
        expect: &expect,
        faults: 3,
        max_schedules: u64::MAX,
        pool: &pool,
        interrupt: &interrupt,
    };
    let report = search.run(&()).expect("nothing is found");
    assert!(report.interrupted && !report.is_proof());
}

// ---- the page ----

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/explore.md");
const TABLES_MARKER: &str = "<!-- The tables are written by tests/simulation/explore.rs. -->\n";

/// Run with `QOSLAB_UPDATE=1` to write the tables anew.
#[test]
fn the_tables_on_the_page_are_what_every_single_fault_does() {
    let page = std::fs::read_to_string(PAGE).expect("docs/explore.md is shipped");
    let (prose, _) = page.split_once(TABLES_MARKER).expect("the page says where its tables begin");
    let fresh = format!("{prose}{TABLES_MARKER}{}", tables());
    if std::env::var_os("QOSLAB_UPDATE").is_some() {
        std::fs::write(PAGE, &fresh).expect("the page can be written");
    }
    assert!(page == fresh, "docs/explore.md is stale: run this test with QOSLAB_UPDATE=1");
}

fn tables() -> String {
    let mut text = String::new();
    let stores = [
        (DATAGRAMS, StorePolicy::Durable, "Datagrams, durable stores"),
        (TCP, StorePolicy::Durable, "TCP, durable stores"),
        (
            TCP,
            StorePolicy::Volatile,
            "TCP, a broker and a publisher that forget everything in a crash",
        ),
    ];
    for (file, store, title) in stores {
        for qos in QoS::ALL {
            let mut setup = setup(file, qos, &[]);
            setup.broker_store = store;
            setup.clients[0].store = store;
            let table = effects::table(&search_space(&setup, 1)).expect("each is what it is");
            let heading = format!("\n### {title}: QoS {qos}\n\n");
            text.extend([heading.as_str(), &table]);
        }
    }
    text
}

// ---- the command ----

fn explore(arguments: &[&str]) -> (Option<i32>, String) {
    let run = std::process::Command::new(env!("CARGO_BIN_EXE_qoslab"))
        .arg("explore")
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("the program runs");
    let told = String::from_utf8_lossy(&run.stdout).into_owned();
    (run.status.code(), told + &String::from_utf8_lossy(&run.stderr))
}

#[test]
fn a_proof_ends_with_a_sentence_that_says_what_was_searched() {
    let scenario = format!("scenarios/{TCP}.toml");
    let (code, told) =
        explore(&[&scenario, "--faults", "1", "--messages", "1", "--qos", "2", "--kinds", "cut"]);
    assert_eq!(code, Some(0), "{told}");
    let told = told.split_whitespace().collect::<Vec<_>>().join(" ");
    let sentence = "exactly-once holds for `two-hops` (QoS 2, tcp, durable store, 1 message, 2 \
                    hops) in all 29 schedules of at most 1 fault among cut at 14 packets";
    assert!(told.contains(sentence), "{told}");
    assert!(told.contains("assuming no random loss, fixed delays, keep alive off."), "{told}");
}

#[test]
fn a_counterexample_is_shown_with_its_packets_and_events() {
    let scenario = format!("scenarios/{DATAGRAMS}.toml");
    let kinds = "duplicate,delay";
    let (code, told) =
        explore(&[&scenario, "--faults", "2", "--messages", "1", "--qos", "2", "--kinds", kinds]);
    assert_eq!(code, Some(1), "{told}");
    for part in ["With 2 faults and no fewer", "PUBLISH", "exactly-once broken", "blame: network"] {
        assert!(told.contains(part), "no `{part}` in {told}");
    }
}

#[test]
fn an_impossible_search_is_refused_with_help() {
    let scenario = format!("scenarios/{TCP}.toml");
    let (code, told) = explore(&[&scenario, "--faults", "9", "--max-schedules", "2000"]);
    assert_eq!(code, Some(2), "{told}");
    assert!(told.contains("--max-schedules") && told.contains("--messages"), "{told}");
    let (code, told) = explore(&[&scenario, "--faults", "1", "--kinds", "flood"]);
    assert_eq!(code, Some(2), "{told}");
    assert!(told.contains("the kinds are drop, duplicate, delay, cut, crash"), "{told}");
}
