//! Who is ready for the traffic to begin.

use serde::Serialize;

use crate::trial::Setup;
use qoslab_core::base::name::ClientIndex;
use qoslab_core::mqtt::packet::Packet;

/// Counts the clients that are not connected yet, or whose subscriptions are not acknowledged.
#[derive(Debug, Serialize)]
pub(super) struct Muster {
    missing: usize,
    clients: Vec<Attendance>,
}

#[derive(Debug, Serialize)]
struct Attendance {
    connected: bool,
    subscribed: bool,
    ready: bool,
    /// It leaves again of its own accord.
    on_demand: bool,
}

impl Muster {
    pub(super) fn new(setup: &Setup) -> Self {
        let clients = setup.clients.iter().map(|client| Attendance {
            connected: false,
            subscribed: client.subscriptions.iter().all(|it| it.from.is_some()),
            ready: false,
            on_demand: client.settings.on_demand,
        });
        Self { missing: setup.clients.len(), clients: clients.collect() }
    }

    /// A packet reached a client on an open connection.
    pub(super) fn arrived(&mut self, client: ClientIndex, packet: &Packet) {
        let attendance = &mut self.clients[client.index()];
        match packet {
            Packet::ConnAck(answer) => attendance.connected |= answer.code == 0,
            Packet::SubAck(_) => attendance.subscribed = true,
            _ => {}
        }
    }

    /// A client lost its connection, or left.
    pub(super) fn lost(&mut self, client: ClientIndex) {
        let attendance = &mut self.clients[client.index()];
        attendance.connected &= attendance.on_demand;
    }

    /// A client's endpoint has handled something; `armed`, if it still awaits an answer.
    pub(super) fn settled(&mut self, client: ClientIndex, armed: bool) {
        let Attendance { connected, subscribed, ready, .. } = &mut self.clients[client.index()];
        let is_ready = *connected && *subscribed && !armed;
        match (*ready, is_ready) {
            (false, true) => self.missing -= 1,
            (true, false) => self.missing += 1,
            _ => {}
        }
        *ready = is_ready;
    }

    /// Who is not.
    pub(super) fn missing(&self) -> Vec<ClientIndex> {
        let clients = (0..).map(ClientIndex).zip(&self.clients);
        clients.filter(|(_, it)| !it.ready).map(|(client, _)| client).collect()
    }

    pub(super) const fn is_complete(&self) -> bool {
        self.missing == 0
    }

    /// It is no longer needed.
    pub(super) fn dismiss(&mut self) {
        self.clients = Vec::new();
    }
}
