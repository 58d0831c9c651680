//! From a trial's setup to what the judge has to know of it.

use std::sync::Arc;

use crate::guarantee::roster::{ClientFacts, Roster, StreamFacts};
use crate::mqtt::settings::{DeliverOn, HopSettings, Retry, Store};
use crate::network::settings::Transport;
use crate::scenario::trial::Setup;

/// The facts of a setup that the judge needs and events do not tell.
#[must_use]
pub fn roster(setup: &Setup) -> Arc<Roster> {
    let clients = setup.clients.iter().map(|client| ClientFacts {
        name: Arc::clone(&client.name),
        clean: client.settings.clean,
        version: client.settings.version,
        resends_by_timer: resends_by_timer(&client.settings.hop),
        over_stream: is_reliable(client.link.transport),
        forgets: client.store != Store::Durable,
    });
    let streams = setup.streams.iter().map(|stream| StreamFacts {
        name: Arc::clone(&stream.name),
        client: stream.client,
        topic: Arc::clone(&stream.topic),
        qos: stream.qos,
        retain: stream.retain,
        count: stream.count,
    });
    let hops = setup.clients.iter().map(|client| &client.settings.hop);
    Arc::new(Roster {
        clients: clients.collect(),
        streams: streams.collect(),
        order: setup.judge.order,
        allow_queue_overflow: setup.judge.allow_queue_overflow,
        gives_up: hops.chain([&setup.broker.hop]).any(gives_up),
        broker_resends_by_timer: resends_by_timer(&setup.broker.hop),
        broker_forgets: setup.broker_store != Store::Durable,
        broker_delivers_on_release: setup.broker.hop.deliver_on == DeliverOn::Release,
        reliable: setup.clients.iter().all(|client| is_reliable(client.link.transport)),
    })
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

const fn is_reliable(transport: Transport) -> bool {
    match transport {
        Transport::Datagram { .. } => false,
        Transport::Tcp(_) => true,
    }
}
