//! Handling of outgoing messages when connections, sessions and endpoints end and come
//! back.

use std::cmp::Reverse;
use std::collections::VecDeque;
use std::mem;

use super::{InFlight, InFlightState, Outbound, Peer, QueuedMessage};
use crate::base::{DropReason, QoS, Time};
use crate::mqtt::packet::PacketId;
use crate::mqtt::quirks::Quirk;
use crate::mqtt::retry::TimerGeneration;
use crate::mqtt::session_context::SessionContext;
use crate::mqtt::settings::ReceiverLimits;

impl Outbound {
    /// A connection is up: everything unacknowledged again, in the original order and with the
    /// original ids [MQTT-4.4.0-1] [MQTT-4.6.0-1], then what waited. Also where the peer only says
    /// again that it is there, as over datagrams: then what was sent before on this connection
    /// keeps its place in the window.
    pub fn resume(&mut self, context: &mut SessionContext<'_>) {
        let quirks = context.settings.quirks;
        // The quirk: a quota that belongs to the session instead of the connection, so what is
        // sent again is counted twice [MQTT-4.9.0-1].
        if quirks.has(Quirk::QuotaNotReset) {
            self.lost_quota += self.in_flight.len();
        }
        // The quirk: only what was never sent is looked for when a session comes back.
        if quirks.has(Quirk::DropInflightOnResume) {
            self.clear_in_flight(context);
        }
        self.drop_expired(context);
        let entries = self.in_flight.iter_mut();
        let mut by_order: Vec<_> = entries.map(|(id, entry)| (entry.order, id)).collect();
        by_order.sort_unstable();
        // The quirk: in whatever order the store is iterated in.
        if quirks.has(Quirk::ResendUnordered) {
            by_order.sort_unstable_by_key(|&(_, id)| Reverse(id));
        }
        // The quirk: a loop that ends one too early.
        if quirks.has(Quirk::ResendAllButLast) {
            by_order.pop();
        }
        self.resend_queue.clear();
        // The quirk: the store is read beside what the application publishes.
        if quirks.has(Quirk::NewBeforeStored) {
            self.fill_window(context);
        }
        for (_, id) in by_order {
            let Some(id) = self.prepare_resume(context, id) else { continue };
            let needs_place = self.in_flight.get(id).is_some_and(InFlight::needs_window_place);
            if !needs_place || self.peer_window_used < self.peer.receive_maximum() {
                self.resend(context, id);
            } else {
                self.resend_queue.push_back(id);
            }
        }
        self.fill_window(context);
    }

    /// The connection is gone: nothing is sent again before [`Outbound::resume`].
    pub fn suspend(&mut self, context: &mut SessionContext<'_>) {
        self.drop_what_waits_for_socket(context);
        for (_, entry) in self.in_flight.iter_mut() {
            entry.timer = TimerGeneration::DISARMED;
        }
        self.request_ids.clear();
        self.resend_queue.clear();
        self.peer = Peer::new(ReceiverLimits::NONE);
    }

    /// The endpoint has crashed and starts again with what its store kept. How often each packet
    /// was sent is kept with it, so that what is sent again has DUP=1 [MQTT-3.3.1-1].
    pub fn restart(&mut self, context: &mut SessionContext<'_>) {
        self.suspend(context);
    }

    /// The session is gone, and what was in flight is kept: all of it begins anew.
    pub fn start_again(&mut self) {
        for (_, entry) in self.in_flight.iter_mut() {
            entry.start_again();
        }
    }

    /// The session is gone: what was in flight is forgotten.
    pub fn discard_in_flight(&mut self, context: &mut SessionContext<'_>) {
        let tags: Vec<_> = self.in_flight.iter_mut().map(|(_, entry)| entry.tag()).collect();
        self.clear_in_flight(context);
        self.lost_quota = 0;
        for tag in tags {
            context.report_dropped(tag, DropReason::SessionEnded);
        }
    }

    /// Takes out what a shared subscription's other members may get once this session is gone, in
    /// order: QoS 1 that is unacknowledged, and what was never sent. QoS 2 that was must go to
    /// nobody else (MQTT 5.0, section 4.8.2).
    pub fn take_shared(&mut self, context: &mut SessionContext<'_>) -> Vec<QueuedMessage> {
        let may_go = |entry: &InFlight| match &entry.state {
            InFlightState::Publish(outgoing) => {
                outgoing.qos == QoS::AtLeastOnce && outgoing.shared.is_some()
            }
            InFlightState::Release { .. } => false,
        };
        let entries = self.in_flight.iter_mut().filter(|(_, entry)| may_go(entry));
        let mut ids: Vec<_> = entries.map(|(id, entry)| (entry.order, id)).collect();
        ids.sort_unstable();
        let mut taken = Vec::new();
        for (_, id) in ids {
            if let Some(InFlight { state: InFlightState::Publish(outgoing), .. }) =
                self.remove(context, id)
            {
                taken.push(outgoing);
            }
        }
        let (shared, others) =
            mem::take(&mut self.send_queue).into_iter().partition(|it| it.shared.is_some());
        let shared: VecDeque<QueuedMessage> = shared;
        self.send_queue = others;
        for outgoing in shared {
            self.queued_qos0 -= usize::from(outgoing.qos == QoS::AtMostOnce);
            context.outbox.queued -= 1;
            taken.push(outgoing);
        }
        taken
    }

    /// The session is gone, and what waited for it with it.
    pub fn discard_in_flight_and_queued(&mut self, context: &mut SessionContext<'_>) {
        self.discard_in_flight(context);
        while let Some(outgoing) = self.dequeue(context) {
            context.report_dropped(outgoing.message.tag, DropReason::SessionEnded);
        }
        self.next_expiry = Time::NEVER;
    }

    /// Sends what the window had no place for when the connection came.
    pub(super) fn resend_from_queue(&mut self, context: &mut SessionContext<'_>) {
        while context.connection.is_some() && self.peer_window_used < self.peer.receive_maximum() {
            let Some(id) = self.resend_queue.pop_front() else { return };
            self.resend(context, id);
        }
    }

    fn resend(&mut self, context: &mut SessionContext<'_>, id: PacketId) {
        let Some(entry) = self.in_flight.get_mut(id) else { return };
        if entry.needs_window_place() {
            entry.is_in_peer_window = true;
            self.peer_window_used += 1;
        }
        entry.attempt += 1;
        entry.send(context, &mut self.peer, id);
    }

    /// Nothing was sent on this connection yet.
    pub(super) fn reset_peer_window(&mut self) {
        self.peer_window_used = 0;
        for (_, entry) in self.in_flight.iter_mut() {
            entry.is_in_peer_window = false;
        }
    }

    /// Makes an exchange ready to be resumed; returns its id, or `None` if it is over.
    fn prepare_resume(
        &mut self,
        context: &mut SessionContext<'_>,
        id: PacketId,
    ) -> Option<PacketId> {
        let quirks = context.settings.quirks;
        let entry = self.in_flight.get_mut(id)?;
        entry.transmissions = 0;
        if entry.is_expired_by_quirk(context) {
            let entry = self.remove(context, id)?;
            context.report_dropped(entry.tag(), DropReason::Expired);
            return None;
        }
        // The quirk: with PUBREC the message is deleted, and what is left of it is not loaded.
        if entry.is_released() && quirks.has(Quirk::DropOwedPubrel) {
            let entry = self.remove(context, id)?;
            context.report_complete(entry.tag());
            return None;
        }
        if quirks.has(Quirk::ReplayPublishAfterPubrel) {
            entry.return_to_publish();
        }
        if let InFlightState::Publish(outgoing) = &entry.state
            && self.peer.is_too_large(context, outgoing)
        {
            let entry = self.remove(context, id)?;
            context.report_dropped(entry.tag(), DropReason::TooLarge);
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

    /// Forgets what is in flight, without reporting it.
    fn clear_in_flight(&mut self, context: &mut SessionContext<'_>) {
        context.outbox.in_flight -= self.in_flight_count();
        self.in_flight.clear();
        self.resend_queue.clear();
        self.peer_window_used = 0;
    }

    #[expect(clippy::cast_possible_truncation, reason = "at most 65,535 ids are in use")]
    const fn in_flight_count(&self) -> u32 {
        self.in_flight.len() as u32
    }
}
