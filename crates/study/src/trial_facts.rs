//! Facts about a trial that the judge needs, derived from its setup.

use std::sync::Arc;

use qoslab_core::base::{Span, matches_pattern};
use qoslab_core::mqtt::topics::matches;
use qoslab_core::mqtt::{
    ClientSettings, DeliverOn, HopSettings, OnFull, OverlappingFilters, Quirks, RetryRule,
    SignOfLife, Version,
};
use qoslab_core::network::Transport;
use qoslab_guarantee::{ClientFacts, MetricGroup, PublisherFacts, SubscriptionFacts, TrialFacts};
use qoslab_sim::{MetricScope, PublisherSetup, Setup};

/// The facts of a setup that the judge needs and events do not report.
#[must_use]
pub fn trial_facts(setup: &Setup) -> Arc<TrialFacts> {
    let clients = setup.clients.iter().map(|client| ClientFacts {
        name: Arc::clone(&client.name),
        clean_session: ends_with_connection(&client.settings),
        version: client.settings.version,
        resends_by_timer: resends_by_timer(&client.settings.hop),
        delivers_on_pubrel: client.settings.hop.deliver_on == DeliverOn::Release,
        over_tcp: is_stream(client.link.transport),
        keep_alive: client.settings.keep_alive > Span::ZERO,
        store: client.store,
        billed: client.billed,
        max_transmissions: max_transmissions(&client.settings.hop),
        max_queued: client.settings.hop.max_queued,
        subscriptions: client
            .subscriptions
            .iter()
            .map(|subscription| SubscriptionFacts {
                filter: Arc::clone(&subscription.request.filter),
                no_local: subscription.request.options.no_local,
            })
            .collect(),
    });
    let streams = setup.publishers.iter().map(|stream| PublisherFacts {
        name: Arc::clone(&stream.name),
        client: stream.client,
        topic: Arc::clone(&stream.topic),
        qos: stream.qos,
        retain: stream.retain,
        count: stream.count,
        expiry: stream
            .expiry
            .filter(|_| setup.clients[stream.client.index()].settings.version == Version::V5),
        max_payload: stream.payload.max(),
        will: stream.is_will,
        publish_denied: setup
            .broker
            .denied_filters
            .iter()
            .any(|filter| matches(filter, &stream.topic)),
    });
    let hops = setup.clients.iter().map(|client| &client.settings.hop);
    Arc::new(TrialFacts {
        clients: clients.collect(),
        publishers: streams.collect(),
        groups: setup.scopes.iter().map(|scope| metric_group(scope, setup)).collect(),
        promises_order: setup.judge.order,
        allow_queue_overflow: setup.judge.allow_queue_overflow,
        broker_max_transmissions: max_transmissions(&setup.broker.hop),
        broker_max_queued: setup.broker.hop.max_queued,
        broker_resends_by_timer: resends_by_timer(&setup.broker.hop),
        broker_hears_bytes: setup.broker.sign_of_life == SignOfLife::Bytes,
        broker_delivers_on_pubrel: setup.broker.hop.deliver_on == DeliverOn::Release,
        broker_store: setup.broker_store,
        broker_refuses_on_full: setup.broker.hop.on_full == OnFull::Reject,
        sends_copy_for_each_filter: setup.broker.overlapping == OverlappingFilters::Each,
        is_under_test: false,
        has_quirks: hops.chain([&setup.broker.hop]).any(|hop| hop.quirks != Quirks::NONE),
    })
}

/// The topics and clients of a scope.
fn metric_group(scope: &MetricScope, setup: &Setup) -> MetricGroup {
    let has_topic = |stream: &PublisherSetup| {
        scope.topic.as_ref().is_none_or(|filter| matches(filter, &stream.topic))
    };
    MetricGroup {
        name: scope.to_string().into(),
        topics: setup.publishers.iter().map(has_topic).collect(),
        clients: scope.client.as_ref().map(|pattern| {
            setup.clients.iter().map(|client| matches_pattern(pattern, &client.name)).collect()
        }),
    }
}

/// A clean session does, and in 5.0 one whose expiry interval is 0.
const fn ends_with_connection(settings: &ClientSettings) -> bool {
    let at_once = matches!(settings.version, Version::V5) && settings.session_expiry == 0;
    settings.clean || at_once
}

const fn resends_by_timer(hop: &HopSettings) -> bool {
    matches!(hop.retry, RetryRule::Timer(_))
}

const fn max_transmissions(hop: &HopSettings) -> Option<u32> {
    match hop.retry {
        RetryRule::Timer(timer) => timer.max_transmissions,
        RetryRule::Reconnect => None,
    }
}

const fn is_stream(transport: Transport) -> bool {
    match transport {
        Transport::Datagram { .. } => false,
        Transport::Tcp(_) => true,
    }
}
