//! Expansion of a file that was found right to the points of its axes.

use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64;

use super::diagnostic::Diagnostics;
use super::file::{ExpectTable, ScenarioFile, SeedsTable, SweepTable};
use super::nodes::ExpandedNodes;
use super::schedule_table::{self, ScheduleTable};
use super::value::{Located, QosSetting};
use super::{MODEL_VERSION, Point, endpoint, fault, show, socket, swarm};
use qoslab_core::base::QoS;
use qoslab_core::mqtt::{BrokerSettings, HopSettings, QuirkSide, RetryRule, topics};
use qoslab_core::network::Transport;
use qoslab_sim::{JudgeSettings, Setup};

/// The number of events after which a trial is stopped in any case.
const MAX_EVENTS: u64 = 1_000_000_000;

/// All points in their fixed order: by published QoS, then by the QoS asked for.
pub(super) fn expand_points(
    file: &ScenarioFile,
    nodes: &ExpandedNodes,
    errors: &mut Diagnostics,
) -> Vec<Point> {
    let base = Setup {
        broker: broker_settings(file, nodes, errors),
        broker_store: endpoint::read_store(&file.broker.store, errors),
        clients: nodes.clients.clone(),
        publishers: nodes.publishers.clone(),
        faults: Vec::new(),
        deadline: file.deadline.value.0,
        max_events: MAX_EVENTS,
        wire: false,
        judge: JudgeSettings {
            order: file.expect.order.unwrap_or_default(),
            allow_queue_overflow: !file.expect.allow.is_empty(),
        },
        schedule: None,
        scopes: Vec::new(),
    };
    let published = axis_values(&nodes.published_qos.iter().collect::<Vec<_>>());
    let granted = axis_values(&nodes.granted_qos.iter().flatten().collect::<Vec<_>>());
    let levels = published.iter().flat_map(|one| granted.iter().map(move |two| (*one, *two)));
    let levels: Vec<_> = levels.collect();
    let mut setups: Vec<_> =
        levels.iter().map(|(publish, grant)| with_qos(&base, nodes, *publish, *grant)).collect();
    let faults = fault::expand(file, &setups, errors);
    for setup in &mut setups {
        setup.faults.clone_from(&faults);
    }
    if let Some(given) = &file.schedule {
        check_single_trial(file, given, setups.len(), errors);
        // Several points are reported already: only the first is read.
        for setup in setups.iter_mut().take(1) {
            let schedule = schedule_table::read_schedule(given, setup, errors);
            setup.schedule = Some(Arc::new(schedule));
        }
    }
    let swarm =
        file.swarm.as_ref().map(|given| Arc::new(swarm::check_swarm(given, &setups[0], errors)));
    let mut content = trial_content(file);
    let point = |((publish, granted), setup): ((Option<QoS>, Option<QoS>), Setup)| Point {
        published: publish.or_else(|| shared_qos(&setup)),
        granted,
        content_hash: content_hash(&mut content, file, publish, granted),
        setup: Arc::new(setup),
        swarm: swarm.clone(),
    };
    levels.into_iter().zip(setups).map(point).collect()
}

/// A schedule is one trial's.
fn check_single_trial(
    file: &ScenarioFile,
    given: &Located<ScheduleTable>,
    points: usize,
    errors: &mut Diagnostics,
) {
    let seeds = file.seeds.count.0;
    let several = [
        (points > 1, format!("the lists of QoS make {points} points of it"), "write one QoS each"),
        (seeds > 1, format!("there are {seeds} seeds"), "write `seeds = { count = 1 }`"),
        (file.swarm.is_some(), "the swarm would draw".to_owned(), "leave [swarm] out"),
    ];
    for (_, label, help) in several.into_iter().filter(|(is_so, ..)| *is_so) {
        errors.error(&given.span, "a schedule is of one trial", label).help(help);
    }
}

/// The setup with the levels of a point.
fn with_qos(
    base: &Setup,
    nodes: &ExpandedNodes,
    publish: Option<QoS>,
    grant: Option<QoS>,
) -> Setup {
    let mut setup = base.clone();
    for (stream, levels) in setup.publishers.iter_mut().zip(&nodes.published_qos) {
        stream.qos = qos_at_point(levels, publish);
    }
    for (client, levels) in setup.clients.iter_mut().zip(&nodes.granted_qos) {
        for (subscription, levels) in client.subscriptions.iter_mut().zip(levels) {
            subscription.request.qos = qos_at_point(levels, grant);
        }
    }
    setup
}

/// The values of an axis; one without a value if there is none.
fn axis_values(all: &[&QosSetting]) -> Vec<Option<QoS>> {
    let list = all.iter().find_map(|levels| match levels {
        QosSetting::Axis(list) => Some(list),
        QosSetting::Fixed(_) => None,
    });
    list.map_or_else(|| vec![None], |list| list.iter().map(|qos| Some(*qos)).collect())
}

fn qos_at_point(levels: &QosSetting, point: Option<QoS>) -> QoS {
    match levels {
        QosSetting::Fixed(qos) => *qos,
        QosSetting::Axis(list) => point.unwrap_or(list[0]),
    }
}

/// The QoS that all workloads publish with; wills are none.
fn shared_qos(setup: &Setup) -> Option<QoS> {
    let mut levels =
        setup.publishers.iter().filter(|stream| !stream.is_will).map(|stream| stream.qos);
    let first = levels.next()?;
    levels.all(|qos| qos == first).then_some(first)
}

fn broker_settings(
    file: &ScenarioFile,
    nodes: &ExpandedNodes,
    errors: &mut Diagnostics,
) -> BrokerSettings {
    let table = &file.broker;
    let version = file.mqtt.value.into();
    let retry = table.retry.as_ref().map_or(RetryRule::Reconnect, |given| {
        endpoint::warn_of_timer(given, table.profile.as_ref(), version, errors);
        endpoint::read_retry(given, errors)
    });
    for filter in &table.deny {
        if let Err(error) = topics::validate_filter(&filter.value) {
            let title = format!("the topic filter {error}");
            errors.error(&filter.span, title, "not a topic filter");
        }
    }
    if let Some(table) = &table.socket {
        socket::check_broker_socket(&table.value, errors);
        let segments = nodes.clients.iter().filter_map(|client| match client.link.transport {
            Transport::Tcp(tcp) => Some(tcp.mss),
            Transport::Datagram { .. } => None,
        });
        table.value.check_buffers(segments.max().unwrap_or(0), errors);
    }
    let mut links = nodes.clients.iter().map(|client| client.link.transport);
    BrokerSettings {
        hop: HopSettings {
            retry,
            ids: table.ids.into(),
            max_inflight: u16::try_from(table.max_inflight.0).unwrap_or(u16::MAX),
            max_queued: table.max_queued.0,
            on_full: table.on_full.value.into(),
            queue_qos0: table.queue_qos0,
            when_socket_full: socket::when_socket_full(table.socket.as_ref()),
            keep_outbox: false,
            deliver_on: table.deliver_on.into(),
            repeated_pubrec: table.repeated_pubrec.into(),
            quirks: endpoint::read_quirks(&table.quirks, QuirkSide::Broker, errors),
        },
        sign_of_life: table.sign_of_life.into(),
        max_qos: QoS::ALL[table.max_qos.0.min(2) as usize],
        overlapping: table.overlapping.unwrap_or_default().into(),
        datagram: links.any(|transport| matches!(transport, Transport::Datagram { .. })),
        limits: endpoint::AdvertisedLimits::of_broker(table).limits(version, errors),
        denied_filters: table.deny.iter().map(|filter| filter.value.as_str().into()).collect(),
    }
}

/// What decides the trials of a file, besides their seeds: the file with every default written
/// out, without what is only said about it. So renaming a scenario, raising its seeds or narrowing
/// an axis leaves the names of its trials alone.
fn trial_content(file: &ScenarioFile) -> ScenarioFile {
    let mut file = show::with_presets_written_out(file.clone());
    file.name = Located::default();
    file.about = String::new();
    file.seeds = SeedsTable::default();
    file.expect = ExpectTable::default();
    file.sweep = SweepTable::default();
    file
}

/// A hash of what decides the trials of a point: the content of `file`, with the point's levels in
/// place of its axes.
fn content_hash(
    content: &mut ScenarioFile,
    file: &ScenarioFile,
    published: Option<QoS>,
    granted: Option<QoS>,
) -> u64 {
    for (client, given) in content.client.iter_mut().zip(&file.client) {
        for (publish, given) in client.value.publish.iter_mut().zip(&given.value.publish) {
            let qos = qos_at_point(&given.value.qos.value, published);
            publish.value.qos.value = QosSetting::Fixed(qos);
        }
        for (subscribe, given) in client.value.subscribe.iter_mut().zip(&given.value.subscribe) {
            let qos = qos_at_point(&given.value.qos.value, granted);
            subscribe.value.qos.value = QosSetting::Fixed(qos);
        }
    }
    let text = show::write_toml(content);
    xxh3_64(format!("model {MODEL_VERSION}\n{text}").as_bytes())
}
