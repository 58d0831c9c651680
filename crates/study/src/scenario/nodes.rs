//! Clients, fleets and their workloads, written out one by one and checked.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::check_client::{check_client, check_name};
use super::client::{ClientTable, PublishTable, SubscribeTable, WillTable};
use super::diagnostic::Diagnostics;
use super::file::ScenarioFile;
use super::keywords::SessionKeyword;
use super::links::LinksByName;
use super::socket::{SocketLinks, when_socket_full};
use super::value::{Located, QosSetting, TextOrTable};
use super::{endpoint, radio};
use qoslab_core::base::units::format_count;
use qoslab_core::base::{
    ClientIndex, MessageTag, PublisherIndex, QoS, RetainHandling, Span, SubscriptionOptions,
    SubscriptionRequest, Time,
};
use qoslab_core::mqtt::{
    Backoff, ClientSettings, HopSettings, Message, Payload, QuirkSide, RetryRule, StorePolicy,
    Version, Will,
};
use qoslab_core::network::radio::RadioSettings;
use qoslab_core::network::{IntervalDistribution, LinkSettings, Transport};
use qoslab_sim::{ClientSetup, OfflinePeriod, PayloadSize, PublisherSetup, SubscriptionSetup};

/// More clients than this do not fit one trial.
pub(super) const MAX_CLIENTS: u64 = 200_000;

/// How long an attempt to connect may take over a stream.
pub(super) const CONNECT_TIMEOUT: Span = Span::from_secs(30);

/// The nodes with the levels that still depend on the point.
#[derive(Clone, Debug, Default)]
pub(super) struct ExpandedNodes {
    /// Every client; where a level is an axis, a subscription asks for 0.
    pub clients: Vec<ClientSetup>,
    /// Every workload; where a level is an axis, it publishes with 0.
    pub publishers: Vec<PublisherSetup>,
    /// The published level of each stream.
    pub published_qos: Vec<QosSetting>,
    /// The level that each subscription of each client asks for.
    pub granted_qos: Vec<Vec<QosSetting>>,
    /// The link of each client, by its position in the file, and the price of a million bytes.
    links: Vec<(usize, Option<f64>)>,
}

/// Writes out every client of the file.
pub(super) fn expand_nodes(file: &ScenarioFile, errors: &mut Diagnostics) -> ExpandedNodes {
    let mut nodes = ExpandedNodes::default();
    let total: u64 = file.client.iter().map(|client| fleet_size(&client.value)).sum();
    if total > MAX_CLIENTS || file.client.is_empty() {
        let span = file.client.last().map_or(0..0, |client| client.value.name.span.clone());
        let (title, label) = if total == 0 {
            ("a scenario needs a client", "there is none".to_owned())
        } else {
            ("these are too many clients", format!("{} in all", format_count(total)))
        };
        errors.error(&span, title, label).help(format!("at most {}", format_count(MAX_CLIENTS)));
        return nodes;
    }
    let mut links = LinksByName::new(file, errors);
    let mut names: BTreeMap<Arc<str>, usize> = BTreeMap::new();
    let mut complete = true;
    for (position, client) in file.client.iter().enumerate() {
        let table = &client.value;
        if !check_name(table, file, errors) {
            complete = false;
            continue;
        }
        check_client(table, file, errors);
        let settings = client_settings(table, file.mqtt.value.into(), errors);
        let store = endpoint::read_store(&table.store, errors);
        let radio =
            table.radio.as_ref().map(|given| Arc::new(radio::radio_settings(given, errors)));
        let mut socket_links = SocketLinks::default();
        for number in 1..=fleet_size(table) {
            let name: Arc<str> = with_fleet_number(&table.name.value, number).into();
            if let Some(before) = names.insert(name.clone(), position) {
                let other = &file.client[before].value.name;
                let label = format!("`{}` also makes this name", other.value);
                let title = format!("two clients have the name `{name}`");
                errors.error(&table.name.span, title, label);
                complete = false;
                break;
            }
            let Some(link) = links.link_for(&name, &table.name.span, errors) else {
                complete = false;
                break;
            };
            nodes.links.push((link.number, link.price));
            let link = link.settings;
            let (own, broker) = (table.socket.as_ref(), file.broker.socket.as_ref());
            let link = socket_links.with_sockets(link, own, broker, errors);
            let settings = settings_for_transport(link.transport, table, &settings, name.clone());
            let radio = radio.clone();
            add_client(
                &mut nodes,
                table,
                number,
                ClientParts { name, settings, link, store, radio },
            );
        }
    }
    links.check_all_used(file, complete, errors);
    bill_devices(file, &mut nodes, errors);
    nodes
}

/// The settings that are a client's own, beside its table.
struct ClientParts {
    name: Arc<str>,
    settings: ClientSettings,
    link: Arc<LinkSettings>,
    store: StorePolicy,
    radio: Option<Arc<RadioSettings>>,
}

pub(super) fn fleet_size(client: &ClientTable) -> u64 {
    client.count.as_ref().map_or(1, |count| count.value.0.into())
}

/// A text with `{i}` replaced by the client's number in its fleet.
pub(super) fn with_fleet_number(text: &str, number: u64) -> String {
    text.replace("{i}", &number.to_string())
}

fn add_client(nodes: &mut ExpandedNodes, table: &ClientTable, number: u64, own: ClientParts) {
    let ClientParts { name, mut settings, link, store, radio } = own;
    let client = ClientIndex(u32::try_from(nodes.clients.len()).expect("MOST_CLIENTS is below"));
    for (nth, publish) in table.publish.iter().enumerate() {
        let stream: Arc<str> =
            if nth == 0 { name.clone() } else { format!("{name}/{}", nth + 1).into() };
        nodes.publishers.push(publisher_setup(&publish.value, stream, client, number));
        nodes.published_qos.push(publish.value.qos.value.clone());
    }
    if let Some(given) = &table.will {
        let place = u32::try_from(nodes.publishers.len()).expect("a file of 1 MB has fewer tables");
        let will = build_will(&given.value, PublisherIndex(place), number);
        nodes.publishers.push(will_publisher(&will, &name, client));
        nodes.published_qos.push(QosSetting::Fixed(will.qos));
        settings.will = Some(will);
    }
    nodes.granted_qos.push(table.subscribe.iter().map(|one| one.value.qos.value.clone()).collect());
    let subscriptions =
        table.subscribe.iter().map(|one| build_subscription(&one.value, number)).collect();
    let absences = offline_periods(table);
    nodes.clients.push(ClientSetup {
        name,
        settings,
        link,
        subscriptions,
        offline_periods: absences,
        store,
        radio,
        billed: None,
    });
}

/// Bills the devices on links with a price: those that publish, or all if none of a link's does.
/// Without any price those that publish are billed, at no price. A price of a link on which nobody
/// publishes or subscribes bills nothing, and is refused.
fn bill_devices(file: &ScenarioFile, nodes: &mut ExpandedNodes, errors: &mut Diagnostics) {
    let streams = nodes.publishers.iter().filter(|stream| !stream.is_will);
    let publishers: BTreeSet<usize> = streams.map(|stream| stream.client.index()).collect();
    let has_publisher: BTreeSet<usize> =
        publishers.iter().filter_map(|client| Some(nodes.links.get(*client)?.0)).collect();
    let has_price = nodes.links.iter().any(|(_, price)| price.is_some());
    let mut busy = has_publisher.clone();
    for (at, (client, (link, price))) in nodes.clients.iter_mut().zip(&nodes.links).enumerate() {
        let is_device = publishers.contains(&at) || (has_price && !has_publisher.contains(link));
        let price = if has_price { *price } else { Some(0.0) };
        client.billed = price.filter(|_| is_device);
        if !client.subscriptions.is_empty() {
            busy.insert(*link);
        }
    }
    for (_, link) in (0..).zip(&file.link).filter(|(at, _)| !busy.contains(at)) {
        if let Some(price) = link.value.price.as_ref().filter(|_| !nodes.clients.is_empty()) {
            let label = "nobody publishes or subscribes here";
            errors
                .error(&price.span, "nothing is billed on this link", label)
                .help("put the price on the link of the devices that publish");
        }
    }
}

fn publisher_setup(
    table: &PublishTable,
    name: Arc<str>,
    client: ClientIndex,
    number: u64,
) -> PublisherSetup {
    PublisherSetup {
        name,
        client,
        topic: with_fleet_number(&table.topic.value, number).into(),
        qos: fixed_qos(&table.qos.value),
        retain: table.retain,
        expiry: table.expiry.as_ref().map(|expiry| endpoint::whole_seconds(expiry.value.0)),
        is_will: false,
        count: table.count.value.0,
        every: table.every.value.0,
        spread: table.spread.value.0,
        payload: table.payload.value.0,
        only_sequences: table.only.as_ref().map(|only| only.value.clone().into()),
    }
}

fn build_will(table: &WillTable, stream: PublisherIndex, number: u64) -> Will {
    let qos = QoS::ALL[table.qos.0 as usize];
    Will {
        message: Message {
            topic: with_fleet_number(&table.topic.value, number).into(),
            payload: Payload::Filler(table.payload.value.0),
            tag: MessageTag::new(stream, 0, qos, Time::ZERO),
        },
        qos,
        retain: table.retain,
        delay: table.delay.as_ref().map_or(0, |delay| endpoint::whole_seconds(delay.value.0)),
    }
}

/// A will is no workload: the broker publishes it, and the number of times is not known.
fn will_publisher(will: &Will, client_name: &str, client: ClientIndex) -> PublisherSetup {
    PublisherSetup {
        name: format!("{client_name}/will").into(),
        client,
        topic: will.message.topic.clone(),
        qos: will.qos,
        retain: will.retain,
        expiry: None,
        is_will: true,
        count: 0,
        every: IntervalDistribution::Fixed(Span::from_secs(1)),
        spread: Span::ZERO,
        payload: PayloadSize::Fixed(will.message.payload.len()),
        only_sequences: None,
    }
}

fn build_subscription(table: &SubscribeTable, number: u64) -> SubscriptionSetup {
    let filter = with_fleet_number(&table.filter.value, number).into();
    let on = |given: &Option<Located<bool>>| given.as_ref().is_some_and(|given| given.value);
    SubscriptionSetup {
        request: SubscriptionRequest {
            filter,
            qos: fixed_qos(&table.qos.value),
            options: SubscriptionOptions {
                no_local: on(&table.no_local),
                retain_as_published: on(&table.retain_as_published),
                retain_handling: table
                    .retain_handling
                    .as_ref()
                    .map_or_else(RetainHandling::default, |given| given.value.into()),
                identifier: table.identifier.as_ref().map_or(0, |given| given.value.0),
            },
        },
        from: table.at.as_ref().map(|at| at.value.0),
        until: table.until.as_ref().map(|until| until.value.0),
    }
}

fn fixed_qos(levels: &QosSetting) -> QoS {
    match levels {
        QosSetting::Fixed(qos) => *qos,
        QosSetting::Axis(_) => QoS::AtMostOnce,
    }
}

fn offline_periods(table: &ClientTable) -> Vec<OfflinePeriod> {
    let mut absences: Vec<_> = table
        .away
        .iter()
        .map(|away| OfflinePeriod { at: away.value.at.value.0, lasts: away.value.lasts.value.0 })
        .collect();
    absences.sort_by_key(|absence| absence.at);
    absences
}

/// The settings of every client of the table, still without a client id and a transport.
fn client_settings(
    table: &ClientTable,
    version: Version,
    errors: &mut Diagnostics,
) -> ClientSettings {
    let retry = table.retry.as_ref().map_or(RetryRule::Reconnect, |given| {
        endpoint::warn_of_timer(given, table.profile.as_ref(), version, errors);
        endpoint::read_retry(given, errors)
    });
    let session_expiry = match &table.session.value {
        TextOrTable::Text(_) => u32::MAX,
        TextOrTable::Table(table) => endpoint::whole_seconds(table.expiry.0),
    };
    let reconnect = &table.reconnect.value;
    ClientSettings {
        version,
        clean: table.session.value == TextOrTable::Text(SessionKeyword::Clean),
        session_expiry,
        keep_alive: table.keep_alive.value.0,
        ping_rule: table.ping_on.into(),
        ping_timeout: table.ping_timeout.as_ref().map(|given| given.value.0),
        sign_of_life: table.sign_of_life.value.into(),
        reconnect: Backoff { min: reconnect.min.0, max: reconnect.max.0, jitter: reconnect.jitter },
        on_demand: table.connect.value.into(),
        resubscribe: table.resubscribe,
        limits: endpoint::AdvertisedLimits::of_client(table).limits(version, errors),
        hop: HopSettings {
            retry,
            ids: table.ids.into(),
            max_inflight: u16::try_from(table.max_inflight.0).unwrap_or(u16::MAX),
            max_queued: table.offline.max.0,
            on_full: table.offline.on_full.value.into(),
            queue_qos0: table.offline.qos0.into(),
            when_socket_full: when_socket_full(table.socket.as_ref()),
            keep_outbox: table.keep_outbox,
            deliver_on: table.deliver_on.into(),
            repeated_pubrec: table.repeated_pubrec.into(),
            quirks: endpoint::read_quirks(&table.quirks, QuirkSide::Client, errors),
        },
        ..ClientSettings::new("".into())
    }
}

/// The settings of one client, by its transport: over datagrams requests are repeated, over a
/// stream they are waited for.
fn settings_for_transport(
    transport: Transport,
    table: &ClientTable,
    settings: &ClientSettings,
    client_id: Arc<str>,
) -> ClientSettings {
    let (request_retry, connect_timeout) = match (transport, settings.hop.retry) {
        (Transport::Tcp(_), _) => {
            let given = table.connect_timeout.as_ref().map(|given| given.value.0);
            (None, Some(given.unwrap_or(CONNECT_TIMEOUT)))
        }
        (Transport::Datagram { .. }, RetryRule::Timer(timer)) => (Some(timer.every), None),
        (Transport::Datagram { .. }, RetryRule::Reconnect) => (Some(Span::from_secs(1)), None),
    };
    ClientSettings { client_id, request_retry, connect_timeout, ..settings.clone() }
}
