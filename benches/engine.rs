//! Speed of the event engine: `cargo bench --bench engine`. Items are simulated packets.
//!
//! Each case but `six_hundred_trials` runs on one core, with all that `qoslab run` has: ledger,
//! metrics, trace hash. The rows below a case count its allocations and its memory.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use divan::counter::ItemsCount;
use divan::{AllocProfiler, Bencher};
use qoslab::base::draw::Chance;
use qoslab::base::{ClientIndex, Ending, Node, QoS, Span, SubscriptionRequest};
use qoslab::guarantee::FirstPassObserver;
use qoslab::mqtt::{
    BrokerSettings, ClientSettings, DeliverOn, HopSettings, IdPolicy, OnFull, Quirks,
    RepeatedPubrec, RetryRule, RetryTimer, StorePolicy, WhenSocketFull,
};
use qoslab::network::{
    CongestionControl, DirectionSettings, Distribution, IntervalDistribution, LinkSettings,
    LossModel, SocketSettings, TcpSettings, Transport,
};
use qoslab::sim::Options;
use qoslab::sim::event::run;
use qoslab::sim::{
    ClientSetup, CrashPoint, EventEngine, FaultAction, FaultSetup, JudgeSettings, PayloadSize,
    PeerVisibility, PublisherSetup, Setup, SubscriptionSetup, Trial, Trigger,
};
use qoslab::study::{judge_trial, trial_facts};
use rayon::prelude::*;

/// Counts allocations and the most memory in use at a time.
#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

/// One publisher, one subscriber, 1,000 messages a second, 5 % loss each way on each hop, with the
/// ledger, the metrics and the trace hash that every `qoslab run` has.
#[divan::bench(args = QoS::ALL, sample_count = 3, sample_size = 1)]
fn two_million_messages(bencher: Bencher<'_, '_>, qos: QoS) {
    bench(bencher, &publisher_and_subscriber(qos, 2_000_000));
}

/// The same without the monitor: the difference is the monitor's cost.
#[divan::bench(args = QoS::ALL, sample_count = 3, sample_size = 1)]
fn two_million_messages_unmonitored(bencher: Bencher<'_, '_>, qos: QoS) {
    let trial = publisher_and_subscriber(qos, 2_000_000);
    let facts = trial_facts(&trial.setup);
    let run_once = || {
        let options = Options::default();
        let (ended, watch) = run(&trial, FirstPassObserver::new(&facts), options);
        assert!(watch.finish(&ended).suspects.is_empty());
        ended.packets
    };
    let packets = run_once();
    bencher.counter(ItemsCount::new(packets)).bench_local(run_once);
}

/// A million messages over TCP, where the same loss costs time and retransmissions.
#[divan::bench(args = QoS::ALL, sample_count = 3, sample_size = 1)]
fn a_million_messages_over_tcp(bencher: Bencher<'_, '_>, qos: QoS) {
    bench(bencher, &over_tcp(publisher_and_subscriber(qos, 1_000_000), 0.05));
}

/// 100,000 devices lose their connections when the broker restarts, and come back within a minute;
/// each publishes twice. 1 % loss.
#[divan::bench(sample_count = 1, sample_size = 1)]
fn hundred_thousand_reconnect(bencher: Bencher<'_, '_>) {
    let mut reconnects = over_tcp(many_publishers(100_000, 2), 0.01);
    let setup = Arc::make_mut(&mut reconnects.setup);
    setup.faults.push(FaultSetup {
        name: "restart".into(),
        trigger: Trigger::At(Span::from_secs(10)),
        action: FaultAction::Crash {
            node: Node::Broker,
            down: IntervalDistribution::Fixed(Span::from_secs(3)),
            peers: PeerVisibility::Close,
            point: CrashPoint::BetweenEvents,
        },
    });
    bench(bencher, &reconnects);
}

/// Five times as many messages, to compare the memory.
#[divan::bench(sample_count = 1, sample_size = 1)]
fn ten_million_messages(bencher: Bencher<'_, '_>) {
    bench(bencher, &publisher_and_subscriber(QoS::AtLeastOnce, 10_000_000));
}

/// 100,000 clients publish ten messages each within 100 s; one subscriber gets them all.
#[divan::bench(sample_count = 1, sample_size = 1)]
fn hundred_thousand_clients(bencher: Bencher<'_, '_>) {
    bench(bencher, &many_publishers(100_000, 10));
}

/// A typical gate: three levels of QoS, 200 seeds, 500 messages, on all cores. Items are trials.
#[divan::bench(sample_count = 5, sample_size = 1)]
fn six_hundred_trials(bencher: Bencher<'_, '_>) {
    let points: Vec<_> =
        QoS::ALL.into_iter().map(|qos| publisher_and_subscriber(qos, 500)).collect();
    let trials: Vec<_> = (1..=200)
        .flat_map(|seed| points.iter().map(move |point| Trial { seed, ..point.clone() }))
        .collect();
    let interrupt = AtomicBool::new(false);
    let run_once = || {
        let is_passing = |trial| {
            judge_trial(&EventEngine, trial, &interrupt)
                .is_ok_and(|it| it.violations.is_empty() && it.rule_violations.is_empty())
        };
        assert!(trials.par_iter().all(is_passing));
    };
    bencher.counter(ItemsCount::new(trials.len())).bench_local(run_once);
}

fn bench(bencher: Bencher<'_, '_>, trial: &Trial) {
    let interrupt = AtomicBool::new(false);
    let run_once = || {
        let outcome =
            judge_trial(&EventEngine, trial, &interrupt).expect("a trial runs the same twice");
        assert_eq!(outcome.ending, Ending::Quiescent);
        assert!(outcome.rule_violations.is_empty());
        outcome.packets
    };
    let packets = run_once();
    bencher.counter(ItemsCount::new(packets)).bench_local(run_once);
}

fn publisher_and_subscriber(qos: QoS, messages: u32) -> Trial {
    let clients = vec![client("publisher", None), client("subscriber", Some(qos))];
    let every = IntervalDistribution::Fixed(Span::from_millis(1));
    trial(clients, vec![publisher(0, qos, messages, every, Span::ZERO)])
}

fn many_publishers(size: u32, messages: u32) -> Trial {
    let publishers = (0..size).map(|n| client(&format!("meter-{n}"), None));
    let clients = publishers.chain([client("dashboard", Some(QoS::AtLeastOnce))]).collect();
    let every = IntervalDistribution::Exponential(Span::from_secs(10));
    let spread = Span::from_secs(10);
    let streams =
        (0..size).map(|n| publisher(n, QoS::AtLeastOnce, messages, every, spread)).collect();
    trial(clients, streams)
}

/// The same trial over TCP, with another loss and without retry timers.
fn over_tcp(mut trial: Trial, loss: f64) -> Trial {
    let setup = Arc::make_mut(&mut trial.setup);
    let hop = HopSettings { retry: RetryRule::Reconnect, ..hop() };
    setup.broker.hop = hop;
    setup.broker.datagram = false;
    for client in &mut setup.clients {
        client.settings.request_retry = None;
        client.settings.connect_timeout = Some(Span::from_secs(30));
        client.settings.hop = hop;
        let link = Arc::make_mut(&mut client.link);
        link.transport = Transport::Tcp(TcpSettings {
            headers: 40,
            mss: 1460,
            tls: None,
            rto_min: Span::from_millis(200),
            user_timeout: Span::from_secs(900),
            nat_idle: None,
            congestion: CongestionControl::Cubic,
            client: SocketSettings::LINUX,
            broker: SocketSettings::LINUX,
        });
        for direction in [&mut link.up, &mut link.down] {
            direction.loss = LossModel::Random(Chance::from_share(loss));
        }
    }
    trial
}

fn trial(clients: Vec<ClientSetup>, streams: Vec<PublisherSetup>) -> Trial {
    let setup = Setup {
        broker: BrokerSettings {
            hop: hop(),
            max_qos: QoS::ExactlyOnce,
            datagram: true,
            ..BrokerSettings::default()
        },
        clients,
        publishers: streams,
        deadline: Span::from_secs(24 * 3600),
        broker_store: StorePolicy::Durable,
        faults: Vec::new(),
        max_events: u64::MAX,
        wire: false,
        judge: JudgeSettings::default(),
        schedule: None,
        scopes: Vec::new(),
    };
    Trial { setup: Arc::new(setup), seed: 1, name: "bench".into() }
}

fn hop() -> HopSettings {
    let timer = RetryTimer { every: Span::from_secs(1), backoff: 1.0, max_transmissions: None };
    HopSettings {
        retry: RetryRule::Timer(timer),
        ids: IdPolicy::Cyclic,
        max_inflight: 20_000,
        max_queued: 1_000_000,
        on_full: OnFull::DropNewest,
        queue_qos0: false,
        when_socket_full: WhenSocketFull::Queue,
        keep_outbox: false,
        deliver_on: DeliverOn::Publish,
        repeated_pubrec: RepeatedPubrec::Answer,
        quirks: Quirks::NONE,
    }
}

fn client(name: &str, subscribes: Option<QoS>) -> ClientSetup {
    let direction = DirectionSettings {
        delay: Span::from_millis(50),
        jitter: Span::ZERO,
        distribution: Distribution::Uniform,
        loss: LossModel::Random(Chance::from_share(0.05)),
        duplicate: Chance::NEVER,
        reorder: None,
        rate: None,
        queue: None,
    };
    let transport = Transport::Datagram { headers: 28 };
    let link = LinkSettings { transport, up: direction.clone(), down: direction, outage: None };
    let request = |qos| SubscriptionRequest::new("#".into(), qos);
    let subscription = |qos| SubscriptionSetup { request: request(qos), from: None, until: None };
    ClientSetup {
        name: name.into(),
        settings: ClientSettings {
            request_retry: Some(Span::from_secs(1)),
            connect_timeout: None,
            hop: hop(),
            ..ClientSettings::new(name.into())
        },
        link: Arc::new(link),
        subscriptions: subscribes.map(subscription).into_iter().collect(),
        offline_periods: Vec::new(),
        store: StorePolicy::Durable,
        radio: None,
        billed: None,
    }
}

fn publisher(
    client: u32,
    qos: QoS,
    count: u32,
    every: IntervalDistribution,
    spread: Span,
) -> PublisherSetup {
    PublisherSetup {
        name: format!("stream-{client}").into(),
        client: ClientIndex(client),
        topic: "plant/temperature".into(),
        qos,
        retain: false,
        count,
        every,
        spread,
        payload: PayloadSize::Fixed(64),
        only_sequences: None,
        expiry: None,
        is_will: false,
    }
}
