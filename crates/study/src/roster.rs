//! From a trial's setup to what the judge has to know of it.

use std::sync::Arc;

use qoslab_core::base::time::Span;
use qoslab_core::mqtt::settings::{ClientSettings, DeliverOn, HopSettings, OnFull, Retry, Version};
use qoslab_core::mqtt::topics::matches;
use qoslab_core::network::settings::Transport;
use qoslab_guarantee::roster::{ClientFacts, Roster, StreamFacts};
use qoslab_sim::trial::{PayloadSize, Setup};

/// The facts of a setup that the judge needs and events do not tell.
#[must_use]
pub fn roster(setup: &Setup) -> Arc<Roster> {
    let clients = setup.clients.iter().map(|client| ClientFacts {
        name: Arc::clone(&client.name),
        clean: ends_with_connection(&client.settings),
        version: client.settings.version,
        resends_by_timer: resends_by_timer(&client.settings.hop),
        delivers_on_release: client.settings.hop.deliver_on == DeliverOn::Release,
        over_stream: is_stream(client.link.transport),
        keep_alive: client.settings.keep_alive > Span::ZERO,
        store: client.store,
        radio: client.radio.clone(),
    });
    let streams = setup.streams.iter().map(|stream| StreamFacts {
        name: Arc::clone(&stream.name),
        client: stream.client,
        topic: Arc::clone(&stream.topic),
        qos: stream.qos,
        retain: stream.retain,
        count: stream.count,
        will: stream.will,
        empty: stream.payload == PayloadSize::Fixed(0),
        denied: setup.broker.deny.iter().any(|filter| matches(filter, &stream.topic)),
    });
    let hops = setup.clients.iter().map(|client| &client.settings.hop);
    Arc::new(Roster {
        clients: clients.collect(),
        streams: streams.collect(),
        order: setup.judge.order,
        allow_queue_overflow: setup.judge.allow_queue_overflow,
        gives_up: hops.chain([&setup.broker.hop]).any(gives_up),
        broker_resends_by_timer: resends_by_timer(&setup.broker.hop),
        broker_delivers_on_release: setup.broker.hop.deliver_on == DeliverOn::Release,
        broker_store: setup.broker_store,
        broker_refuses_on_full: setup.broker.hop.on_full == OnFull::Reject,
    })
}

/// A clean session does, and in 5.0 one whose expiry interval is 0.
const fn ends_with_connection(settings: &ClientSettings) -> bool {
    let at_once = matches!(settings.version, Version::V5) && settings.session_expiry == 0;
    settings.clean || at_once
}

const fn resends_by_timer(hop: &HopSettings) -> bool {
    matches!(hop.retry, Retry::Timer(_))
}

const fn gives_up(hop: &HopSettings) -> bool {
    match hop.retry {
        Retry::Timer(timer) => timer.max_transmissions.is_some(),
        Retry::Reconnect => false,
    }
}

const fn is_stream(transport: Transport) -> bool {
    match transport {
        Transport::Datagram { .. } => false,
        Transport::Tcp(_) => true,
    }
}
