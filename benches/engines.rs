//! The two engines side by side: `cargo bench --bench engines`. Items are messages.
//!
//! Each case runs one trial on one core with all that `qoslab run` has: ledger, monitor, metrics,
//! trace hash.

use std::sync::atomic::AtomicBool;

use divan::Bencher;
use divan::counter::ItemsCount;
use qoslab::base::Ending;
use qoslab::scenario::Scenario;
use qoslab::sim::EngineKind;
use qoslab::study::judge_trial;

const ENGINES: [EngineKind; 2] = [EngineKind::Event, EngineKind::Turmoil];

fn main() {
    divan::main();
}

/// One publisher, one subscriber, 1,000 messages with QoS 1, ten a second, 5 % loss on each way.
#[divan::bench(args = ENGINES, sample_count = 3, sample_size = 1)]
fn a_thousand_messages(bencher: Bencher<'_, '_>, engine: EngineKind) {
    bench(
        bencher,
        engine,
        &BenchWorkload { publishers: 1, messages_each: 1_000, interval: "100ms" },
    );
}

/// 19 publishers and a subscriber for 60 virtual seconds, a message a second each.
#[divan::bench(args = ENGINES, sample_count = 3, sample_size = 1)]
fn twenty_clients_for_a_minute(bencher: Bencher<'_, '_>, engine: EngineKind) {
    bench(bencher, engine, &BenchWorkload { publishers: 19, messages_each: 60, interval: "1s" });
}

/// 999 publishers and a subscriber for 10 virtual seconds, a message every two seconds each; on
/// turmoil they are the tasks of one host.
#[divan::bench(args = ENGINES, sample_count = 1, sample_size = 1)]
fn a_thousand_clients_for_ten_seconds(bencher: Bencher<'_, '_>, engine: EngineKind) {
    bench(bencher, engine, &BenchWorkload { publishers: 999, messages_each: 5, interval: "2s" });
}

/// The published messages.
struct BenchWorkload {
    publishers: u32,
    /// The number of messages of each publisher.
    messages_each: u32,
    /// The interval from one to the next.
    interval: &'static str,
}

impl BenchWorkload {
    fn scenario(&self) -> Scenario {
        let Self { publishers, messages_each: each, interval: every } = self;
        let text = format!(
            r#"
schema = 1
name   = "bench"
seeds  = {{ from = 1, count = 1 }}
[broker]
max_inflight = 1000
max_queued   = 100000
[[client]]
name    = "sensor-{{i}}"
count   = {publishers}
publish = [{{ topic = "t", qos = 1, count = {each}, every = "{every}", spread = "{every}" }}]
[[client]]
name      = "dashboard"
subscribe = [{{ filter = "t", qos = 1 }}]
[[link]]
between = ["*", "broker"]
transport = "datagram"
delay   = "50ms"
loss    = "5%"
"#
        );
        Scenario::parse("bench.toml", &text).unwrap_or_else(|error| panic!("{error}"))
    }
}

fn bench(bencher: Bencher<'_, '_>, engine: EngineKind, workload: &BenchWorkload) {
    let scenario = workload.scenario();
    let trial = scenario.points[0].trial(1);
    let messages = workload.publishers * workload.messages_each;
    bencher.counter(ItemsCount::new(messages)).bench_local(|| {
        let outcome = judge_trial(&engine, &trial, &AtomicBool::new(false));
        let outcome = outcome.expect("a trial runs the same twice");
        assert_eq!(outcome.ending, Ending::Quiescent);
        assert!(outcome.violations.is_empty() && outcome.rule_violations.is_empty());
        outcome.packets
    });
}
