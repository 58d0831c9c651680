//! The sender's half of a hop, judged by the ids that it has in use *according to what it
//! received*.

use super::violation_log::{EventContext, ViolationLog, packet_id};
use crate::rules::Rule;
use qoslab_core::base::{CloseReason, DropReason, MessageTag, PacketKind, PacketMeta, QoS, Time};
use qoslab_core::impl_fingerprint;
use qoslab_core::mqtt::{IdRing, PacketId, Version};

mod fingerprint;

/// The greatest number of refused messages that are remembered.
const MAX_REFUSED: usize = 256;

/// What one end sends on one link.
#[derive(Clone, Debug)]
pub(super) struct SenderMonitor {
    exchanges: IdRing<OutgoingExchange>,
    /// Exchanges that must not go on.
    forbidden: Vec<ForbiddenExchange>,
    /// How many messages were sent for the first time.
    first_sends: u32,
    /// The place in the original order of what was resent last on this connection.
    last_resent_order: u32,
    /// How many PUBRECs came, and the last one that was answered by PUBREL on this connection.
    pubrecs_received: u32,
    last_released_pubrec: u32,
    /// The greatest place in the original order of what was released on this connection.
    last_released_order: u32,
    /// Open exchanges of which nothing was sent on this connection yet.
    awaiting_resend: u32,
    /// PUBRECs that are not answered by PUBREL yet.
    awaiting_pubrel: u32,
    pubrel_due_since: Time,
    /// Messages of QoS 1 and 2 sent on this connection and not yet acknowledged.
    unacknowledged: u32,
    /// The peer's Receive Maximum.
    pub(super) receive_maximum: u16,
    resumed_at: Time,
}

/// A message that a sender has under way.
#[derive(Clone, Copy, Debug)]
struct OutgoingExchange {
    tag: MessageTag,
    qos: QoS,
    /// PUBREL was sent for it.
    pubrel_sent: bool,
    /// An acknowledgement came that does not fit its state: some endpoints take it as the end.
    uncertain: bool,
    /// PUBREC came and PUBREL was not sent since.
    pubrel_due: bool,
    /// Something of it was sent on this connection.
    sent_on_connection: bool,
    /// Its PUBLISH was sent on this connection.
    in_window: bool,
    /// It was to be sent again, and a new one went before.
    is_overtaken: bool,
    /// Repeated PUBRECs that may each be answered by one more PUBREL.
    repeated_pubrecs: u8,
    /// Its place in the original order, from 1; 0 where that was not seen.
    send_order: u32,
    /// Which PUBREC was the first for it, from 1; 0 for none.
    pubrec_order: u32,
}

/// An exchange that must not go on.
#[derive(Clone, Copy, Debug)]
struct ForbiddenExchange {
    id: u16,
    tag: MessageTag,
    reason: ForbiddenReason,
}

impl_fingerprint! {
    struct ForbiddenExchange {
        plain id, tag, reason;
    }
}

/// Why an exchange must not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ForbiddenReason {
    /// The receiver refused it.
    Refused,
    /// The peer has no session.
    SessionLost,
    /// The session began with a clean start.
    CleanStart,
}

impl_fingerprint! { fieldless ForbiddenReason }

impl SenderMonitor {
    pub(super) const fn new() -> Self {
        Self {
            exchanges: IdRing::new(),
            forbidden: Vec::new(),
            first_sends: 0,
            last_resent_order: 0,
            pubrecs_received: 0,
            last_released_pubrec: 0,
            last_released_order: 0,
            awaiting_resend: 0,
            awaiting_pubrel: 0,
            pubrel_due_since: Time::ZERO,
            unacknowledged: 0,
            receive_maximum: u16::MAX,
            resumed_at: Time::ZERO,
        }
    }

    /// A PUBLISH with a packet id was sent.
    #[inline]
    pub(super) fn on_publish(
        &mut self,
        context: EventContext,
        packet: &PacketMeta<'_>,
        qos: QoS,
        log: &mut ViolationLog,
    ) {
        let Some(id) = packet_id(packet.id) else {
            log.report_sender(context, Rule::IdZero, packet.tag);
            return;
        };
        if let Some(old) = self.exchanges.get_mut(id) {
            if old.tag == packet.tag {
                self.on_resend(context, id, packet, log);
                return;
            }
            if !old.sent_on_connection {
                let tag = old.tag;
                let late = EventContext { at: self.resumed_at, ..context };
                log.report_sender(late, Rule::PublishNotResent, tag);
            } else if !old.uncertain {
                let tags = [packet.tag, old.tag];
                log.report_sender_of_two(context, Rule::IdInUse, tags);
            }
            self.remove_exchange(id);
        }
        let is_repeat = packet.is_dup() || packet.is_resend();
        if packet.is_dup() && !packet.is_resend() {
            let two = qos == QoS::ExactlyOnce;
            let rule = if two { Rule::FirstOfQosTwoWithDup } else { Rule::FirstWithDup };
            log.report_sender(context, rule, packet.tag);
        }
        if is_repeat || self.awaiting_resend > 0 || !self.forbidden.is_empty() {
            self.on_new_exchange(context, id, packet, log);
        }
        // A resend of what the sender was told is complete breaks no rule here: the id may have
        // been freed by a stale acknowledgement of another message.
        self.first_sends += 1;
        let exchange = OutgoingExchange {
            tag: packet.tag,
            qos,
            pubrel_sent: false,
            uncertain: false,
            pubrel_due: false,
            sent_on_connection: true,
            in_window: true,
            is_overtaken: false,
            repeated_pubrecs: 0,
            send_order: if packet.is_resend() { 0 } else { self.first_sends },
            pubrec_order: 0,
        };
        self.exchanges.insert(id, exchange);
        self.count_unacknowledged(context, packet.tag, log);
    }

    /// A PUBLISH was sent again under the id of its exchange.
    fn on_resend(
        &mut self,
        context: EventContext,
        id: PacketId,
        packet: &PacketMeta<'_>,
        log: &mut ViolationLog,
    ) {
        let Some(exchange) = self.exchanges.get_mut(id) else { return };
        if !packet.is_dup() {
            log.report_sender(context, Rule::ResendWithoutDup, packet.tag);
        }
        if exchange.pubrel_sent && !exchange.uncertain {
            log.report_sender(context, Rule::PublishAfterRelease, packet.tag);
        } else if exchange.sent_on_connection {
            if !log.resends_by_timer(context) {
                log.report_sender(context, Rule::ResentAlive, packet.tag);
            }
        } else if exchange.send_order != 0 {
            if exchange.send_order < self.last_resent_order {
                log.report_sender(context, Rule::ResendOutOfOrder, packet.tag);
            }
            self.last_resent_order = self.last_resent_order.max(exchange.send_order);
        }
        self.awaiting_resend -= u32::from(!exchange.sent_on_connection);
        exchange.sent_on_connection = true;
        if !exchange.in_window {
            exchange.in_window = true;
            self.count_unacknowledged(context, packet.tag, log);
        }
    }

    /// One more is unacknowledged on this connection.
    fn count_unacknowledged(
        &mut self,
        context: EventContext,
        tag: MessageTag,
        log: &mut ViolationLog,
    ) {
        self.unacknowledged += 1;
        if self.unacknowledged > u32::from(self.receive_maximum) {
            log.report_sender(context, Rule::ReceiveMaximumExceeded, tag);
        }
    }

    /// A message came under an id that was free: perhaps not for the first time.
    #[cold]
    fn on_new_exchange(
        &mut self,
        context: EventContext,
        id: PacketId,
        packet: &PacketMeta<'_>,
        log: &mut ViolationLog,
    ) {
        if packet.is_dup() || packet.is_resend() || self.awaiting_resend > 0 {
            let is_same =
                |it: &OutgoingExchange| it.tag == packet.tag && !it.pubrel_sent && !it.uncertain;
            let old = self.exchanges.iter_mut().find(|(_, exchange)| is_same(exchange));
            if let Some(old) = old.map(|(id, _)| id) {
                log.report_sender(context, Rule::IdChanged, packet.tag);
                self.remove_exchange(old);
            }
        }
        if !packet.is_dup() && !packet.is_resend() && self.awaiting_resend > 0 {
            for (_, overtaken) in self.exchanges.iter_mut() {
                let is_late = !overtaken.sent_on_connection
                    && !overtaken.pubrel_sent
                    && !overtaken.uncertain
                    && !overtaken.is_overtaken;
                if is_late {
                    overtaken.is_overtaken = true;
                    log.report_sender(context, Rule::NewBeforeResend, overtaken.tag);
                }
            }
        }
        let wrong = self.forbidden.iter().find(|over| match over.reason {
            ForbiddenReason::Refused => over.tag == packet.tag,
            ForbiddenReason::SessionLost | ForbiddenReason::CleanStart => {
                over.tag == packet.tag && over.id == id.get() && packet.is_dup()
            }
        });
        if let Some(over) = wrong {
            log.report_sender(context, over.reason.rule(), packet.tag);
        }
        self.forbidden.retain(|over| over.id != id.get());
    }

    /// A PUBREL was sent.
    #[inline]
    pub(super) fn on_pubrel(
        &mut self,
        context: EventContext,
        packet: &PacketMeta<'_>,
        log: &mut ViolationLog,
    ) {
        let Some(id) = packet_id(packet.id) else { return };
        let Some(exchange) = self.exchanges.get_mut(id) else {
            if !self.forbidden.is_empty() {
                let over = self.forbidden.iter().find(|over| over.id == packet.id);
                if let Some(over) = over.filter(|over| over.reason != ForbiddenReason::Refused) {
                    log.report_sender(context, over.reason.rule(), packet.tag);
                }
            }
            return;
        };
        if exchange.qos != QoS::ExactlyOnce {
            return;
        }
        let is_late = exchange.pubrec_order < self.last_released_pubrec;
        if exchange.pubrel_due && is_late {
            log.report_sender(context, Rule::ReleaseOutOfOrder, packet.tag);
        } else if !exchange.sent_on_connection
            && is_late
            && (1..self.last_released_order).contains(&exchange.send_order)
        {
            // It may go by the order of the messages as well as by that of the PUBRECs.
            log.report_sender(context, Rule::ReleaseResentOutOfOrder, packet.tag);
        }
        if exchange.pubrel_due || !exchange.sent_on_connection {
            self.last_released_pubrec = self.last_released_pubrec.max(exchange.pubrec_order);
            self.last_released_order = self.last_released_order.max(exchange.send_order);
        }
        if exchange.pubrel_due {
            exchange.pubrel_due = false;
            self.awaiting_pubrel -= 1;
        } else if exchange.pubrel_sent && exchange.sent_on_connection {
            if exchange.repeated_pubrecs > 0 {
                exchange.repeated_pubrecs -= 1;
            } else if !log.resends_by_timer(context) {
                log.report_sender(context, Rule::ResentAlive, packet.tag);
            }
        } else if exchange.pubrec_order == 0 && !exchange.uncertain && !exchange.pubrel_sent {
            log.report_sender(context, Rule::ReleaseUnasked, packet.tag);
        }
        exchange.pubrel_sent = true;
        self.awaiting_resend -= u32::from(!exchange.sent_on_connection);
        exchange.sent_on_connection = true;
    }

    /// PUBACK, PUBREC or PUBCOMP came. Gives the message that the sender took on, or took as done,
    /// because of it: it goes by the packet id alone, whatever message the receiver meant.
    #[inline]
    pub(super) fn on_acknowledgement(
        &mut self,
        now: Time,
        packet: &PacketMeta<'_>,
    ) -> Option<MessageTag> {
        let id = packet_id(packet.id)?;
        if !self.forbidden.is_empty() {
            // A stray PUBREC may be answered by PUBREL.
            self.forbidden
                .retain(|over| over.id != packet.id || over.reason == ForbiddenReason::Refused);
        }
        let exchange = self.exchanges.get_mut(id)?;
        let refused = packet.reason >= 0x80;
        let ends = match (packet.kind(), exchange.qos) {
            (PacketKind::PubAck, QoS::AtLeastOnce) => true,
            (PacketKind::PubRec, QoS::ExactlyOnce) if !exchange.pubrel_sent => {
                if !refused && !exchange.pubrel_due {
                    self.pubrecs_received += 1;
                    exchange.pubrec_order = self.pubrecs_received;
                    exchange.pubrel_due = true;
                    self.awaiting_pubrel += 1;
                    self.pubrel_due_since = now;
                }
                if !refused {
                    return Some(exchange.tag);
                }
                true
            }
            (PacketKind::PubRec, QoS::ExactlyOnce) => {
                exchange.repeated_pubrecs = exchange.repeated_pubrecs.saturating_add(1);
                false
            }
            (PacketKind::PubComp, QoS::ExactlyOnce) if exchange.pubrel_sent => true,
            _ => {
                exchange.uncertain = true;
                false
            }
        };
        if !ends {
            return None;
        }
        let tag = exchange.tag;
        if refused && packet.kind() != PacketKind::PubComp {
            self.forbidden.truncate(MAX_REFUSED);
            self.forbidden.insert(
                0,
                ForbiddenExchange { id: packet.id, tag, reason: ForbiddenReason::Refused },
            );
        }
        self.remove_exchange(id);
        Some(tag)
    }

    fn remove_exchange(&mut self, id: PacketId) {
        let Some(exchange) = self.exchanges.remove(id) else { return };
        self.awaiting_resend -= u32::from(!exchange.sent_on_connection);
        self.awaiting_pubrel -= u32::from(exchange.pubrel_due);
        self.unacknowledged -= u32::from(exchange.in_window);
    }

    /// The sender let go of a message: its id is free. What it says of a session's end is for its
    /// peer to see.
    pub(super) fn on_dropped(
        &mut self,
        context: EventContext,
        tag: MessageTag,
        why: DropReason,
        log: &mut ViolationLog,
    ) {
        if why == DropReason::SessionEnded {
            return;
        }
        let found = self.exchanges.iter_mut().find(|(_, exchange)| exchange.tag == tag);
        let Some((id, qos)) = found.map(|(id, exchange)| (id, exchange.qos)) else { return };
        if why == DropReason::Expired && qos == QoS::ExactlyOnce {
            log.report_sender(context, Rule::ExpiredInFlight, tag);
        }
        self.remove_exchange(id);
    }

    /// The session goes on, on a new connection or, over datagrams, once more on the same.
    pub(super) fn on_session_resumed(&mut self, now: Time, is_new_connection: bool) {
        for (_, exchange) in self.exchanges.iter_mut() {
            exchange.sent_on_connection = false;
            exchange.is_overtaken = false;
            exchange.in_window &= !is_new_connection;
            exchange.repeated_pubrecs = 0;
        }
        if is_new_connection {
            self.unacknowledged = 0;
        }
        self.awaiting_resend = u32::try_from(self.exchanges.len()).unwrap_or(u32::MAX);
        self.last_resent_order = 0;
        self.last_released_pubrec = 0;
        self.last_released_order = 0;
        self.resumed_at = now;
    }

    /// The connection is gone, or the trial is over: what was not done by now was left undone.
    /// A crash may come between any two packets, and the network may cut at the very first.
    pub(super) fn on_closed(
        &mut self,
        context: EventContext,
        why: Option<CloseReason>,
        log: &mut ViolationLog,
    ) {
        let crashed = why == Some(CloseReason::Crash);
        let is_over = why.is_none();
        if self.awaiting_pubrel > 0 {
            let overdue = !crashed && (is_over || context.at > self.pubrel_due_since);
            for (_, exchange) in
                self.exchanges.iter_mut().filter(|(_, exchange)| exchange.pubrel_due)
            {
                exchange.pubrel_due = false;
                if overdue {
                    let since = EventContext { at: self.pubrel_due_since, ..context };
                    log.report_sender(since, Rule::ReleaseMissing, exchange.tag);
                }
            }
            self.awaiting_pubrel = 0;
        }
        if std::mem::take(&mut self.awaiting_resend) == 0 {
            return;
        }
        let overdue = !crashed && (is_over || context.at > self.resumed_at);
        // What waits for a place in the window waits by right.
        let is_full = log.version(context) == Version::V5
            && self.unacknowledged >= u32::from(self.receive_maximum);
        let late = EventContext { at: self.resumed_at, ..context };
        for (_, exchange) in
            self.exchanges.iter_mut().filter(|(_, exchange)| !exchange.sent_on_connection)
        {
            exchange.sent_on_connection = true;
            if exchange.uncertain || !overdue {
                continue;
            }
            if exchange.pubrel_sent || exchange.pubrec_order > 0 {
                log.report_sender(late, Rule::ReleaseNotResent, exchange.tag);
            } else if !is_full {
                log.report_sender(late, Rule::PublishNotResent, exchange.tag);
            }
        }
    }

    /// The session is over; `None` where it cannot be known what was in it.
    pub(super) fn forget_session(&mut self, reason: Option<ForbiddenReason>) {
        if reason.is_none() || !self.exchanges.is_empty() {
            self.forbidden.clear();
        }
        if let Some(because) = reason {
            let open = self.exchanges.iter_mut();
            let over = open.map(|(id, it)| ForbiddenExchange {
                id: id.get(),
                tag: it.tag,
                reason: because,
            });
            self.forbidden.extend(over);
        }
        self.exchanges.clear();
        self.awaiting_resend = 0;
        self.awaiting_pubrel = 0;
        self.unacknowledged = 0;
    }
}

impl ForbiddenReason {
    const fn rule(self) -> Rule {
        match self {
            Self::Refused => Rule::RefusedResent,
            Self::SessionLost => Rule::OldStateAfterReset,
            Self::CleanStart => Rule::OldStateAfterClean,
        }
    }
}
