//! What the ledger learns from crashes, from sessions that expire, and from wills.
//!
//! A store that forgets is no excuse: whatever was owed before the crash stays owed, in the same
//! epoch, until the session ends for a better reason. Copies that come again count as copies.

use super::ledger::Ledger;
use super::meter::Meter;
use super::retained::Retainable;
use super::shared::group_of;
use super::unit::{End, Progress};
use qoslab_core::base::name::{ClientIndex, Node, Parts, StreamIndex, Tag};
use qoslab_core::base::qos::QoS;
use qoslab_core::base::time::Time;
use qoslab_core::mqtt::settings::Store;

impl Ledger {
    /// A node crashed. Its connections are gone, and what its store does not keep.
    pub(super) fn crashed(&mut self, node: Node) {
        match node {
            Node::Broker => {
                for n in 0..self.sessions.len() {
                    let client = client_index(n);
                    self.lost_connection(node, client);
                }
                self.broker_crashed();
            }
            Node::Client(client) => {
                self.lost_connection(node, client);
                if self.roster.clients[client.index()].clean {
                    self.publisher_lost_all(client);
                }
                self.sessions[client.index()].forgotten_by_client = self.roster.forgets(node);
            }
        }
    }

    /// The broker sent a CONNACK that carries a session on, or does not.
    pub(super) fn welcomed(&mut self, client: ClientIndex, carries_on: bool) {
        let session = &mut self.sessions[client.index()];
        let by_broker = std::mem::take(&mut session.forgotten_by_broker);
        if carries_on {
            if by_broker {
                self.set_sure(client, true);
                self.shared.trust(client);
            }
        } else if by_broker || session.forgotten_by_client {
            self.forget_subscriptions(client);
        } else {
            self.epoch_ended(client);
        }
    }

    /// The broker ended a session whose expiry interval had passed.
    pub(super) fn expired(&mut self, client: ClientIndex) {
        self.epoch_ended(client);
        // The client may never learn of it: the CONNACK that says so can be lost.
        self.publisher_lost_session(client);
        self.sessions[client.index()].forgotten_by_client = false;
    }

    /// Everybody reconnects: notes who still believes in a connection that is dead.
    pub(super) fn calm_two(&mut self) {
        for n in 0..self.sessions.len() {
            let client = client_index(n);
            let believed = self.sessions[n].dark.filter(|_| self.roster.clients[n].keep_alive);
            let mut ends = [Node::Broker, Node::Client(client)].into_iter();
            self.sessions[n].unnoticed =
                believed.is_some_and(|dark| ends.any(|end| self.links.is_open(end, client, dark)));
        }
    }

    /// The broker published a will: it has taken it at this instant, and nobody awaits an
    /// acknowledgement.
    pub(super) fn willed(&mut self, tag: Tag, meter: &mut Meter) {
        let Some(parts) = tag.parts() else { return };
        meter.metrics.qos[parts.qos.index()].counts.messages += 1;
        self.submitted(&parts);
        self.taken(&parts);
        let stream = &mut self.streams[parts.stream.index()];
        if let Some(progress) = stream.messages.get_mut(parts.sequence as usize) {
            progress.set(Progress::ACKNOWLEDGED);
            progress.finish(End::Completed);
        }
        self.retain_will(&parts);
    }

    fn retain_will(&mut self, parts: &Parts) {
        let facts = &self.roster.streams[parts.stream.index()];
        if facts.retain && !facts.denied {
            let (empty, expires) = (facts.empty, Time::NEVER);
            self.retained.stored(&facts.topic, &Retainable { parts: *parts, empty, expires });
        }
    }

    fn lost_connection(&mut self, node: Node, client: ClientIndex) {
        if let Some(connection) = self.links.current(node, client) {
            self.closed(node, client, connection);
        }
    }

    fn broker_crashed(&mut self) {
        // Whether these were stored before it crashed, nobody was told.
        for (client, filter, asked) in self.subscriptions.crashed() {
            if group_of(&filter).is_some() {
                self.shared.doubt();
                continue;
            }
            for stream in self.subscriptions.streams(&filter) {
                self.doubt(client, stream, asked);
            }
        }
        let store = self.roster.broker_store;
        if store == Store::Durable {
            return;
        }
        self.retaining.clear();
        self.shared.doubt();
        self.retained.forgotten(store == Store::Volatile);
        for n in 0..self.sessions.len() {
            let client = client_index(n);
            if self.sessions[n].answered.is_some() {
                self.sessions[n].forgotten_by_broker = true;
            }
            if store == Store::Volatile {
                self.forget_subscriptions(client);
            } else {
                self.set_sure(client, false);
            }
        }
    }

    /// A session is gone at the broker though it ought to be there: nothing new is owed to it until
    /// the client has subscribed again.
    fn forget_subscriptions(&mut self, client: ClientIndex) {
        self.subscriptions.forget(client);
        self.shared.forgot(client);
        for stream in &self.sessions[client.index()].subscribed {
            if let Some(slot) = self.streams[stream.index()].existing_slot(client) {
                slot.granted = None;
                slot.sure = true;
            }
        }
    }

    /// A subscription was asked for, or its end, and the broker crashed before it answered.
    fn doubt(&mut self, client: ClientIndex, stream: StreamIndex, asked: Option<QoS>) {
        let slot = self.open_slot(client, stream);
        slot.granted = slot.granted.max(asked);
        slot.sure = false;
    }

    fn set_sure(&mut self, client: ClientIndex, sure: bool) {
        for stream in &self.sessions[client.index()].subscribed {
            if let Some(slot) = self.streams[stream.index()].existing_slot(client) {
                slot.sure = sure;
            }
        }
    }

    /// A clean session ended by a crash, and what waited for a place in the window with it.
    fn publisher_lost_all(&mut self, client: ClientIndex) {
        for stream in &self.sessions[client.index()].publishes {
            let stream = &mut self.streams[stream.index()];
            for progress in &mut stream.messages[stream.unfinished as usize..] {
                if progress.is_open() {
                    progress.set(Progress::SESSION_LOST);
                }
            }
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "clients are numbered by u32")]
const fn client_index(n: usize) -> ClientIndex {
    ClientIndex(n as u32)
}
