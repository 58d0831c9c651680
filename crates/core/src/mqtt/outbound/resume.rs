//! What becomes of messages on their way out when connections, sessions and endpoints end and come
//! back.

use std::cmp::Reverse;

use super::{InFlight, Outbound, Peer, State};
use crate::base::event::Dropped;
use crate::base::time::Time;
use crate::mqtt::host::Host;
use crate::mqtt::packet::PacketId;
use crate::mqtt::quirks::Quirk;
use crate::mqtt::retry::Stamp;
use crate::mqtt::settings::Limits;

impl Outbound {
    /// A connection is up: everything unacknowledged again, in the original order and with the
    /// original ids [MQTT-4.4.0-1] [MQTT-4.6.0-1], then what waited. Also where the peer only says
    /// again that it is there, as over datagrams: then what was sent before on this connection
    /// keeps its place in the window.
    pub(crate) fn resume(&mut self, host: &mut Host<'_>) {
        let quirks = host.settings.quirks;
        // The quirk: a quota that belongs to the session instead of the connection, so what is
        // sent again is counted twice [MQTT-4.9.0-1].
        if quirks.has(Quirk::QuotaNotReset) {
            self.leaked += self.in_flight.len();
        }
        // The quirk: only what was never sent is looked for when a session comes back.
        if quirks.has(Quirk::DropInflightOnResume) {
            self.forget_in_flight(host);
        }
        self.drop_expired(host);
        let entries = self.in_flight.iter_mut();
        let mut by_order: Vec<_> = entries.map(|(id, entry)| (entry.order, id)).collect();
        by_order.sort_unstable();
        // The quirk: in whatever order the store is iterated in.
        if quirks.has(Quirk::ResendUnordered) {
            by_order.sort_unstable_by_key(|&(_, id)| Reverse(id));
        }
        self.owed.clear();
        for (_, id) in by_order {
            let Some(id) = self.prepare(host, id) else { continue };
            let needs_place = self.in_flight.get(id).is_some_and(InFlight::needs_place);
            if !needs_place || self.placed < self.peer.receive_maximum() {
                self.resend(host, id);
            } else {
                self.owed.push_back(id);
            }
        }
        self.fill(host);
    }

    /// The connection is gone: nothing is sent again before [`Outbound::resume`].
    pub(crate) fn suspend(&mut self) {
        for (_, entry) in self.in_flight.iter_mut() {
            entry.timer = Stamp::DISARMED;
        }
        self.reserved.clear();
        self.owed.clear();
        self.peer = Peer::new(Limits::NONE);
    }

    /// The endpoint has crashed and starts again with what its store kept. How often each packet
    /// was sent is kept with it, so that what is sent again has DUP=1 [MQTT-3.3.1-1].
    pub(crate) fn restart(&mut self) {
        self.suspend();
    }

    /// The session is gone: what was in flight is forgotten.
    pub(crate) fn end_session(&mut self, host: &mut Host<'_>) {
        let tags: Vec<_> = self.in_flight.iter_mut().map(|(_, entry)| entry.tag()).collect();
        self.forget_in_flight(host);
        self.leaked = 0;
        for tag in tags {
            host.give_up(tag, Dropped::SessionEnded);
        }
    }

    /// The session is gone, and what waited for it with it.
    pub(crate) fn discard(&mut self, host: &mut Host<'_>) {
        self.end_session(host);
        while let Some(outgoing) = self.dequeue(host) {
            host.give_up(outgoing.message.tag, Dropped::SessionEnded);
        }
        self.next_expiry = Time::NEVER;
    }

    /// Sends what the window had no place for when the connection came.
    pub(super) fn resend_owed(&mut self, host: &mut Host<'_>) {
        while host.connection.is_some() && self.placed < self.peer.receive_maximum() {
            let Some(id) = self.owed.pop_front() else { return };
            self.resend(host, id);
        }
    }

    fn resend(&mut self, host: &mut Host<'_>, id: PacketId) {
        let Some(entry) = self.in_flight.get_mut(id) else { return };
        if entry.needs_place() {
            entry.placed = true;
            self.placed += 1;
        }
        entry.attempt += 1;
        entry.send(host, &mut self.peer, id);
    }

    /// Nothing was sent on this connection yet.
    pub(super) fn free_places(&mut self) {
        self.placed = 0;
        for (_, entry) in self.in_flight.iter_mut() {
            entry.placed = false;
        }
    }

    /// Makes an exchange ready to be resumed; returns its id, or `None` if it is over.
    fn prepare(&mut self, host: &mut Host<'_>, id: PacketId) -> Option<PacketId> {
        let quirks = host.settings.quirks;
        let entry = self.in_flight.get_mut(id)?;
        entry.transmissions = 0;
        if entry.expires_in_flight(host) {
            let entry = self.remove(host, id)?;
            host.give_up(entry.tag(), Dropped::Expired);
            return None;
        }
        // The quirk: with PUBREC the message is deleted, and what is left of it is not loaded.
        if entry.is_released() && quirks.has(Quirk::DropOwedPubrel) {
            let entry = self.remove(host, id)?;
            host.complete(entry.tag());
            return None;
        }
        entry.replay();
        if let State::Publish(outgoing) = &entry.state
            && self.peer.is_too_large(host, outgoing)
        {
            let entry = self.remove(host, id)?;
            host.give_up(entry.tag(), Dropped::TooLarge);
            return None;
        }
        // The quirk: each connection numbers what it sends anew.
        if quirks.has(Quirk::NewIdsOnResume) {
            return self.renumber(id);
        }
        Some(id)
    }

    /// Gives an exchange another id, where there is one.
    fn renumber(&mut self, id: PacketId) -> Option<PacketId> {
        let new = self.next_id(true).unwrap_or(id);
        let entry = self.in_flight.remove(id)?;
        self.in_flight.insert(new, entry);
        Some(new)
    }

    /// Forgets what is in flight, and tells nobody.
    fn forget_in_flight(&mut self, host: &mut Host<'_>) {
        host.outbox.in_flight -= self.tally();
        self.in_flight.clear();
        self.owed.clear();
        self.placed = 0;
    }

    #[expect(clippy::cast_possible_truncation, reason = "at most 65,535 ids are in use")]
    const fn tally(&self) -> u32 {
        self.in_flight.len() as u32
    }
}
