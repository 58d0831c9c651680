//! The sender's half of a hop: QoS 0, 1 and 2 from the side that has the message.

mod in_flight;
mod peer;
mod queued_message;
mod resume;
mod socket;

use std::collections::VecDeque;

use self::in_flight::{InFlight, InFlightState};
use self::peer::Peer;
pub use self::queued_message::{QueuedMessage, SharedOrigin};
use super::ids::{IdAllocator, IdRing};
use super::packet::{Packet, PacketId, Publish, PublishAck, PublishLevel};
use super::quirks::Quirk;
use super::retry::TimerEntry;
use super::session_context::SessionContext;
use super::settings::{
    HopSettings, OnFull, ReceiverLimits, RepeatedPubrec, Version, WhenSocketFull,
};
use crate::base::{DropReason, QoS, Span, Time, Transmission};
use crate::impl_fingerprint;

/// Reason codes from here on refuse (MQTT 5.0, section 2.4).
const FIRST_FAILURE_REASON: u8 = 0x80;
/// 5.0's "Packet Identifier not found".
pub(super) const ID_NOT_FOUND: u8 = 0x92;
/// The echo of a PUBREL that answers a PUBREC of no known exchange, so that its name differs from
/// those of the exchange's own PUBRELs.
const UNKNOWN_PUBREC_INDEX: u8 = 2;
/// How long before its time a sender with the quirk drops what waits.
const QUIRK_EXPIRY_MARGIN: Span = Span::from_secs(20);
/// How many packet ids there are.
const PACKET_ID_COUNT: usize = 65_535;

/// One session's messages on their way out: the sender's half of a hop.
///
/// Written once: a client publishes through it, and a broker forwards through it, one for each
/// session. What is in flight is in one of two states, as in MQTT 3.1.1 section 4.3:
///
/// | state | sent | ends by | QoS |
/// |---|---|---|---|
/// | `Publish` | PUBLISH | PUBACK (QoS 1), PUBREC (QoS 2, on to `Release`) | 1, 2 |
/// | `Release` | PUBREL | PUBCOMP | 2 |
///
/// Whatever gets no answer is sent again by the retry rule, and by that alone: after a time
/// ([`RetryRule::Timer`](super::RetryRule::Timer)), or on reconnecting
/// ([`Outbound::resume`]).
#[derive(Clone, Debug)]
pub struct Outbound {
    in_flight: IdRing<InFlight>,
    /// What waits for a place in the window or for a connection, in order.
    send_queue: VecDeque<QueuedMessage>,
    /// Nothing that waits expires before this.
    next_expiry: Time,
    /// How many messages were sent on this connection and are unacknowledged: what the peer's
    /// Receive Maximum limits.
    peer_window_used: usize,
    /// What is in flight and was not yet sent again on this connection, in order: this peer's
    /// Receive Maximum is smaller than the last one's.
    resend_queue: VecDeque<PacketId>,
    ids: IdAllocator,
    /// Ids that SUBSCRIBE and UNSUBSCRIBE hold; they come from the same set [MQTT-2.3.1-2].
    request_ids: Vec<PacketId>,
    next_order: u64,
    /// How many PUBRECs of no known exchange were answered, which names the answers.
    unknown_pubrecs: u32,
    peer: Peer,
    /// Whether the connection's socket has no room.
    is_socket_full: bool,
    /// How many messages of QoS 0 wait: none may overtake them.
    queued_qos0: usize,
    /// Places in the window that quirks have lost for good.
    lost_quota: usize,
}

impl_fingerprint! {
    struct Outbound {
        plain send_queue, peer_window_used, resend_queue, ids, request_ids, peer, is_socket_full,
            lost_quota;
        with(in_flight::write_in_order) in_flight;
        future_only next_expiry;
        skip queued_qos0: "follows from what waits";
        skip next_order: "what is in flight is written in its order";
        skip unknown_pubrecs: "only gives names";
    }
}

impl Outbound {
    /// A sender with nothing in flight.
    pub const fn new(settings: &HopSettings) -> Self {
        Self {
            in_flight: IdRing::new(),
            send_queue: VecDeque::new(),
            next_expiry: Time::NEVER,
            peer_window_used: 0,
            resend_queue: VecDeque::new(),
            ids: IdAllocator::new(settings.ids),
            request_ids: Vec::new(),
            next_order: 0,
            unknown_pubrecs: 0,
            peer: Peer::new(ReceiverLimits::NONE),
            is_socket_full: false,
            queued_qos0: 0,
            lost_quota: 0,
        }
    }

    /// A new connection is up, and this is what its other end takes. Called before
    /// [`Outbound::resume`]: limits, topic aliases and places in the window live as long as their
    /// connection [MQTT-3.3.2-7] [MQTT-4.9.0-1].
    pub fn set_peer_limits(&mut self, limits: ReceiverLimits) {
        self.peer = Peer::new(limits);
        self.reset_peer_window();
    }

    /// Takes a message: sends it, lets it wait, or refuses it.
    pub fn publish(&mut self, context: &mut SessionContext<'_>, outgoing: QueuedMessage) {
        if outgoing.expires <= context.now {
            context.report_dropped(outgoing.message.tag, DropReason::Expired);
        } else if outgoing.qos == QoS::AtMostOnce {
            self.publish_qos0(context, outgoing);
        } else if self.send_queue.is_empty()
            && self.has_window_left(context)
            && !self.is_application_held_up(context)
        {
            self.send_first(context, outgoing);
        } else {
            self.enqueue(context, outgoing);
        }
    }

    /// How many messages more of QoS 1 or 2 there is room for, in the window and in the queue.
    pub fn free_slots(&mut self, context: &mut SessionContext<'_>) -> usize {
        let limit = context.settings.max_queued as usize;
        if self.send_queue.len() >= limit {
            self.drop_expired(context);
        }
        let at_once = if self.send_queue.is_empty() { self.window_left(context) } else { 0 };
        at_once + limit.saturating_sub(self.send_queue.len())
    }

    /// QoS 1 ends with PUBACK. Any other PUBACK is a stale one, and nothing waits for it.
    pub fn on_puback(&mut self, context: &mut SessionContext<'_>, ack: PublishAck) {
        if self.is_awaiting_ack(ack.id, QoS::AtLeastOnce) {
            self.finish(context, ack);
        }
    }

    /// QoS 2's middle: store the id instead of the message, and answer with PUBREL [MQTT-4.3.3-1].
    pub fn on_pubrec(&mut self, context: &mut SessionContext<'_>, ack: PublishAck) {
        if self.is_awaiting_ack(ack.id, QoS::ExactlyOnce) {
            if ack.reason >= FIRST_FAILURE_REASON {
                // [MQTT-4.4.0-2]: refused counts as acknowledged, and there is no PUBREL.
                self.finish(context, ack);
                return;
            }
            self.resend_queue.retain(|&owed| owed != ack.id);
            let Some(entry) = self.in_flight.get_mut(ack.id) else { return };
            entry.start_release(context.settings);
            if entry.is_expired_by_quirk(context) {
                self.abandon(context, ack.id, DropReason::Expired);
            } else {
                entry.send(context, &mut self.peer, ack.id);
            }
            return;
        }
        match self.in_flight.get_mut(ack.id) {
            // Every successful PUBREC is answered [MQTT-4.3.3-4], but the retry timer runs on.
            Some(entry) if entry.is_released() => {
                if context.settings.repeated_pubrec == RepeatedPubrec::Answer {
                    entry.attempt += 1;
                    entry.transmit(context, &mut self.peer, ack.id);
                }
            }
            // An id of another exchange: this PUBREC is stale, and a PUBREL would be a lie.
            Some(_) => {}
            None => self.answer_unknown_pubrec(context, ack),
        }
    }

    /// QoS 2 ends with PUBCOMP.
    pub fn on_pubcomp(&mut self, context: &mut SessionContext<'_>, ack: PublishAck) {
        if self.in_flight.get(ack.id).is_some_and(InFlight::is_released) {
            // 5.0's only failure here, ID_NOT_FOUND, still ends the exchange: the receiver has
            // nothing of it left.
            self.finish(context, PublishAck { reason: 0, ..ack });
        }
    }

    /// A retry timer fired: send again, or give up at the limit.
    pub fn on_retry_timer(&mut self, context: &mut SessionContext<'_>, timer_entry: &TimerEntry) {
        let Some(entry) = self.in_flight.get_mut(timer_entry.id) else { return };
        if entry.timer != timer_entry.generation {
            return;
        }
        if context.outbox.timers.is_exhausted(entry.transmissions) {
            self.abandon(context, timer_entry.id, DropReason::GaveUp);
        } else if self.is_socket_full {
            // One copy waits to be written already; the next would only lie behind it.
            entry.wait_again(context, timer_entry.id);
        } else {
            entry.attempt += 1;
            entry.send(context, &mut self.peer, timer_entry.id);
        }
    }

    /// An id for a SUBSCRIBE or UNSUBSCRIBE; `None` if all are in use.
    pub fn reserve_id(&mut self) -> Option<PacketId> {
        let id = self.next_id(true)?;
        self.request_ids.push(id);
        Some(id)
    }

    /// The SUBACK or UNSUBACK came: its id is free, also for what waits.
    pub fn free_id(&mut self, context: &mut SessionContext<'_>, id: PacketId) {
        self.request_ids.retain(|&reserved| reserved != id);
        self.fill_window(context);
    }

    /// Whether a timer is valid: not rearmed or disarmed since it was armed.
    pub fn is_live_timer(&self, timer_entry: &TimerEntry) -> bool {
        self.in_flight
            .get(timer_entry.id)
            .is_some_and(|entry| entry.timer == timer_entry.generation)
    }

    /// QoS 0: sent and forgotten [MQTT-4.3.1-1].
    fn publish_qos0(&mut self, context: &mut SessionContext<'_>, outgoing: QueuedMessage) {
        let HopSettings { queue_qos0, when_socket_full, .. } = *context.settings;
        let tag = outgoing.message.tag;
        let waits_for_connection =
            queue_qos0 && (context.connection.is_none() || !self.send_queue.is_empty());
        // One that waits must not be overtaken by the next.
        if waits_for_connection || self.queued_qos0 > 0 {
            self.enqueue(context, outgoing);
        } else if context.connection.is_none() {
            context.report_dropped(tag, DropReason::Offline);
        } else if !self.is_socket_full {
            self.send_qos0(context, outgoing);
        } else if when_socket_full == WhenSocketFull::Drop {
            context.report_dropped(tag, DropReason::SocketFull);
        } else {
            self.enqueue(context, outgoing);
        }
    }

    /// Whether the application waits as long as it has to, instead of having messages dropped.
    fn may_hold_up_application(context: &SessionContext<'_>) -> bool {
        context.settings.when_socket_full == WhenSocketFull::Wait && context.connection.is_some()
    }

    /// Whether the application is held up because the socket has no room.
    fn is_application_held_up(&self, context: &SessionContext<'_>) -> bool {
        self.is_socket_full && Self::may_hold_up_application(context)
    }

    fn send_qos0(&mut self, context: &mut SessionContext<'_>, outgoing: QueuedMessage) {
        let Some(connection) = context.connection else { return };
        let tag = outgoing.message.tag;
        if self.peer.is_too_large(context, &outgoing) {
            context.report_dropped(tag, DropReason::TooLarge);
            return;
        }
        let packet = Packet::Publish(Publish {
            level: PublishLevel::AtMostOnce,
            dup: false,
            retain: outgoing.retain,
            properties: self.peer.properties(context, &outgoing),
            message: outgoing.message,
        });
        context.outbox.send(connection, packet, Transmission::default());
        context.report_complete(tag);
    }

    fn enqueue(&mut self, context: &mut SessionContext<'_>, outgoing: QueuedMessage) {
        let limit = context.settings.max_queued as usize;
        if self.send_queue.len() >= limit {
            self.drop_expired(context);
        }
        let is_accepted = outgoing.is_accepted && outgoing.qos != QoS::AtMostOnce
            || Self::may_hold_up_application(context);
        if self.send_queue.len() >= limit && !is_accepted {
            let newest = outgoing.message.tag;
            let oldest = match context.settings.on_full {
                OnFull::DropNewest | OnFull::Reject => None,
                OnFull::DropOldest => self.dequeue(context),
            };
            let Some(oldest) = oldest else {
                context.report_dropped(newest, DropReason::QueueFull);
                return;
            };
            context.report_dropped(oldest.message.tag, DropReason::QueueFull);
        }
        self.next_expiry = self.next_expiry.min(outgoing.expires);
        self.queued_qos0 += usize::from(outgoing.qos == QoS::AtMostOnce);
        self.send_queue.push_back(outgoing);
        context.outbox.queued += 1;
    }

    fn dequeue(&mut self, context: &mut SessionContext<'_>) -> Option<QueuedMessage> {
        // The quirk: a list that is filled and emptied at the same end.
        let outgoing = if context.settings.quirks.has(Quirk::QueueUnordered) {
            self.send_queue.pop_back()?
        } else {
            self.send_queue.pop_front()?
        };
        self.queued_qos0 -= usize::from(outgoing.qos == QoS::AtMostOnce);
        context.outbox.queued -= 1;
        Some(outgoing)
    }

    /// Drops what waits and has expired: nothing of it was sent yet [MQTT-3.3.2-5].
    fn drop_expired(&mut self, context: &mut SessionContext<'_>) {
        let now = expiry_horizon(context);
        if now < self.next_expiry {
            return;
        }
        self.drop_queued(context, DropReason::Expired, |it| it.expires <= now);
        let expiries = self.send_queue.iter().map(|outgoing| outgoing.expires);
        self.next_expiry = expiries.min().unwrap_or(Time::NEVER);
    }

    /// Drops what waits and is to be dropped, in order.
    fn drop_queued(
        &mut self,
        context: &mut SessionContext<'_>,
        why: DropReason,
        is_dropped: impl Fn(&QueuedMessage) -> bool,
    ) {
        self.send_queue.retain(|outgoing| {
            let stays = !is_dropped(outgoing);
            if !stays {
                self.queued_qos0 -= usize::from(outgoing.qos == QoS::AtMostOnce);
                context.outbox.queued -= 1;
                context.report_dropped(outgoing.message.tag, why);
            }
            stays
        });
    }

    /// Sends what is owed and then what waits, as far as the window and the socket allow.
    fn fill_window(&mut self, context: &mut SessionContext<'_>) {
        self.resend_from_queue(context);
        while self.take_from_queue(context) {}
    }

    /// Sends the first message that waits, or drops it if it has expired; whether there was one
    /// that might go.
    fn take_from_queue(&mut self, context: &mut SessionContext<'_>) -> bool {
        let Some(first) = self.send_queue.front() else { return false };
        let may_go = match first.qos {
            QoS::AtMostOnce => context.connection.is_some() && !self.is_socket_full,
            _ => self.has_window_left(context) && !self.is_application_held_up(context),
        };
        if !may_go {
            return false;
        }
        let Some(outgoing) = self.dequeue(context) else { return false };
        if outgoing.expires <= expiry_horizon(context) {
            context.report_dropped(outgoing.message.tag, DropReason::Expired);
        } else if outgoing.qos == QoS::AtMostOnce {
            self.send_qos0(context, outgoing);
        } else {
            self.send_first(context, outgoing);
        }
        true
    }

    #[inline]
    fn has_window_left(&self, context: &SessionContext<'_>) -> bool {
        self.window_left(context) > 0
    }

    /// How many messages more can be sent now.
    #[inline]
    fn window_left(&self, context: &SessionContext<'_>) -> usize {
        if context.connection.is_none() || !self.resend_queue.is_empty() {
            return 0;
        }
        let in_flight = self.in_flight.len();
        let own_window =
            usize::from(context.settings.max_inflight).saturating_sub(in_flight + self.lost_quota);
        let peer_window =
            self.peer.receive_maximum().saturating_sub(self.peer_window_used + self.lost_quota);
        own_window
            .min(peer_window)
            .min(PACKET_ID_COUNT.saturating_sub(in_flight + self.request_ids.len()))
    }

    /// First transmission of a QoS 1 or 2 message: an unused id, DUP=0 [MQTT-4.3.2-1].
    fn send_first(&mut self, context: &mut SessionContext<'_>, outgoing: QueuedMessage) {
        if self.peer.is_too_large(context, &outgoing) {
            context.report_dropped(outgoing.message.tag, DropReason::TooLarge);
            return;
        }
        // The quirk: a counter of 16 bits that wraps round into what is still unacknowledged.
        let id = self.next_id(!context.settings.quirks.has(Quirk::IdWrapNoCheck));
        let id = id.expect("whoever launches has seen that there is room");
        let mut entry = InFlight::new(outgoing, self.next_order);
        self.next_order += 1;
        self.peer_window_used += 1;
        entry.is_in_peer_window = true;
        entry.send(context, &mut self.peer, id);
        match self.in_flight.insert(id, entry) {
            None => context.outbox.in_flight += 1,
            Some(overwritten) => {
                self.peer_window_used -= usize::from(overwritten.is_in_peer_window);
            }
        }
    }

    fn next_id(&mut self, skip_used: bool) -> Option<PacketId> {
        let (in_flight, reserved) = (&self.in_flight, &self.request_ids);
        self.ids.allocate(|id| skip_used && (in_flight.contains(id) || reserved.contains(&id)))
    }

    /// Answers a PUBREC of an exchange that is over here, so that the receiver may forget it too.
    fn answer_unknown_pubrec(&mut self, context: &mut SessionContext<'_>, ack: PublishAck) {
        let Some(connection) = context.connection else { return };
        if ack.reason >= FIRST_FAILURE_REASON {
            return;
        }
        let reason = if context.version == Version::V5 { ID_NOT_FOUND } else { 0 };
        let packet = Packet::PubRel(PublishAck { reason, ..ack });
        context.outbox.send(
            connection,
            packet,
            Transmission { attempt: self.unknown_pubrecs, duplicate_index: UNKNOWN_PUBREC_INDEX },
        );
        self.unknown_pubrecs += 1;
    }

    fn is_awaiting_ack(&self, id: PacketId, wanted: QoS) -> bool {
        let Some(entry) = self.in_flight.get(id) else { return false };
        matches!(&entry.state, InFlightState::Publish(outgoing) if outgoing.qos == wanted)
    }

    /// The exchange is over: the id is free, and there is room for the next.
    fn finish(&mut self, context: &mut SessionContext<'_>, ack: PublishAck) {
        let Some(entry) = self.remove(context, ack.id) else { return };
        if ack.reason >= FIRST_FAILURE_REASON {
            // The quirk: the place is given back where the exchange ends well, and only there.
            if context.settings.quirks.has(Quirk::QuotaLeakOnErrorPubrec) {
                self.lost_quota += 1;
            }
            context.report_dropped(entry.tag(), DropReason::Rejected);
        } else {
            context.report_complete(entry.tag());
        }
        self.fill_window(context);
    }

    /// The exchange is given up.
    fn abandon(&mut self, context: &mut SessionContext<'_>, id: PacketId, why: DropReason) {
        let Some(entry) = self.remove(context, id) else { return };
        context.report_dropped(entry.tag(), why);
        self.fill_window(context);
    }

    fn remove(&mut self, context: &mut SessionContext<'_>, id: PacketId) -> Option<InFlight> {
        let entry = self.in_flight.remove(id)?;
        context.outbox.in_flight -= 1;
        self.peer_window_used -= usize::from(entry.is_in_peer_window);
        self.resend_queue.retain(|&owed| owed != id);
        Some(entry)
    }
}

/// What expires by then is dropped from the queue: by now.
fn expiry_horizon(context: &SessionContext<'_>) -> Time {
    // The quirk: a clock that is ahead, or a margin for the way.
    if context.settings.quirks.has(Quirk::EarlyExpiry) {
        context.now + QUIRK_EXPIRY_MARGIN
    } else {
        context.now
    }
}
