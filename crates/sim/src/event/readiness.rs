//! Readiness barrier before the traffic begins.

use crate::trial::Setup;
use qoslab_core::base::ClientIndex;
use qoslab_core::impl_fingerprint;
use qoslab_core::mqtt::Packet;

/// Counts the clients that are not connected yet, or whose subscriptions are not acknowledged.
#[derive(Debug)]
pub(super) struct Readiness {
    not_ready_count: usize,
    clients: Vec<ClientReadiness>,
}

impl_fingerprint! {
    struct Readiness {
        plain not_ready_count, clients;
    }
}

#[derive(Debug)]
struct ClientReadiness {
    connected: bool,
    subscribed: bool,
    ready: bool,
    /// It leaves again of its own accord.
    is_on_demand: bool,
}

impl_fingerprint! {
    struct ClientReadiness {
        plain connected, subscribed, ready, is_on_demand;
    }
}

impl Readiness {
    pub(super) fn new(setup: &Setup) -> Self {
        let clients = setup.clients.iter().map(|client| ClientReadiness {
            connected: false,
            subscribed: client.subscriptions.iter().all(|it| it.from.is_some()),
            ready: false,
            is_on_demand: client.settings.on_demand,
        });
        Self { not_ready_count: setup.clients.len(), clients: clients.collect() }
    }

    /// A packet reached a client on an open connection.
    pub(super) fn packet_arrived(&mut self, client: ClientIndex, packet: &Packet) {
        let state = &mut self.clients[client.index()];
        match packet {
            Packet::ConnAck(answer) => state.connected |= answer.code == 0,
            Packet::SubAck(_) => state.subscribed = true,
            _ => {}
        }
    }

    /// A client lost its connection, or left.
    pub(super) fn connection_lost(&mut self, client: ClientIndex) {
        let state = &mut self.clients[client.index()];
        state.connected &= state.is_on_demand;
    }

    /// A client's endpoint has handled an input; `has_timer`, if it awaits an answer.
    pub(super) fn update(&mut self, client: ClientIndex, has_timer: bool) {
        let ClientReadiness { connected, subscribed, ready, .. } =
            &mut self.clients[client.index()];
        let is_ready = *connected && *subscribed && !has_timer;
        match (*ready, is_ready) {
            (false, true) => self.not_ready_count -= 1,
            (true, false) => self.not_ready_count += 1,
            _ => {}
        }
        *ready = is_ready;
    }

    /// The clients that are not ready.
    #[cfg(feature = "turmoil")]
    pub(super) fn not_ready(&self) -> Vec<ClientIndex> {
        let clients = (0..).map(ClientIndex).zip(&self.clients);
        clients.filter(|(_, it)| !it.ready).map(|(client, _)| client).collect()
    }

    pub(super) const fn is_all_ready(&self) -> bool {
        self.not_ready_count == 0
    }

    /// It is no longer needed.
    pub(super) fn clear(&mut self) {
        self.clients = Vec::new();
    }
}
