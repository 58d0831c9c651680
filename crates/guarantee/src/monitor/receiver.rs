//! The receiver's half of a hop, judged by the ids that it holds, regardless of what its peer
//! meant; and all other answers that an endpoint owes.

use super::violation_log::{EventContext, ViolationLog, packet_id};
use crate::rules::Rule;
use qoslab_core::base::fingerprint::{Fingerprint, Fingerprinter, ranks};
use qoslab_core::base::{CloseReason, MessageTag, PacketBody, PacketKind, PacketMeta, QoS, Time};
use qoslab_core::impl_fingerprint;
use qoslab_core::mqtt::IdRing;

/// What one end receives on one link.
#[derive(Clone, Debug)]
pub(super) struct ReceiverMonitor {
    /// QoS 2 ids between PUBLISH and PUBREL.
    held_ids: IdRing<HeldId>,
    /// Answers that are owed, by kind and id. Most endpoints answer at once, so these are few.
    owed_answers: Vec<OwedAnswer>,
    arrivals: u32,
    /// Which arrival was answered last on this connection: by PUBACK, by PUBREC.
    last_answered: [u32; 2],
}

/// A QoS 2 id that a receiver holds.
#[derive(Clone, Copy, Debug)]
struct HeldId {
    tag: MessageTag,
    deliveries: u32,
}

impl_fingerprint! { struct HeldId { plain tag, deliveries; } }

/// An answer that an endpoint owes.
#[derive(Clone, Copy, Debug)]
struct OwedAnswer {
    tag: MessageTag,
    due_since: Time,
    kind: PacketKind,
    id: u16,
    owed_count: u32,
    /// Which arrival was the first to ask for it.
    arrival: u32,
    /// How many codes a SUBACK needs.
    codes: usize,
}

impl ReceiverMonitor {
    pub(super) const fn new() -> Self {
        Self {
            held_ids: IdRing::new(),
            owed_answers: Vec::new(),
            arrivals: 0,
            last_answered: [0; 2],
        }
    }

    /// A PUBLISH came. Gives the message that the receiver has reason to pass on because of it,
    /// by its own knowledge: one whose id it does not hold.
    #[inline]
    pub(super) fn on_publish(&mut self, now: Time, packet: &PacketMeta<'_>) -> Option<MessageTag> {
        match packet.qos() {
            Some(QoS::AtLeastOnce) => self.expect_answer(now, PacketKind::PubAck, packet),
            Some(QoS::ExactlyOnce) => {
                self.expect_answer(now, PacketKind::PubRec, packet);
                let id = packet_id(packet.id)?;
                if self.held_ids.contains(id) {
                    return None;
                }
                self.held_ids.insert(id, HeldId { tag: packet.tag, deliveries: 0 });
            }
            _ => {}
        }
        Some(packet.tag)
    }

    /// A PUBREL came. Gives the message that was held under its id.
    pub(super) fn on_pubrel(&mut self, now: Time, packet: &PacketMeta<'_>) -> Option<MessageTag> {
        self.expect_answer(now, PacketKind::PubComp, packet);
        self.held_message(packet.id)
    }

    /// A packet came that requires an answer of this kind.
    #[inline]
    pub(super) fn expect_answer(&mut self, now: Time, kind: PacketKind, packet: &PacketMeta<'_>) {
        self.arrivals += 1;
        let codes = match packet.body {
            PacketBody::Subscribe(requests) => requests.len(),
            _ => 0,
        };
        match self.find_owed(kind, packet.id) {
            Ok(place) => self.owed_answers[place].owed_count += 1,
            Err(place) => {
                let arrival = self.arrivals;
                let due = OwedAnswer {
                    tag: packet.tag,
                    due_since: now,
                    kind,
                    id: packet.id,
                    owed_count: 1,
                    arrival,
                    codes,
                };
                self.owed_answers.insert(place, due);
            }
        }
    }

    /// An answer was sent.
    #[inline]
    pub(super) fn on_answer(
        &mut self,
        context: EventContext,
        packet: &PacketMeta<'_>,
        log: &mut ViolationLog,
    ) {
        let kind = packet.kind();
        match self.find_owed(kind, packet.id) {
            Ok(nth) if self.owed_answers[nth].owed_count > 1 => {
                self.owed_answers[nth].owed_count -= 1;
            }
            Ok(nth) => {
                let due = self.owed_answers.remove(nth);
                self.check_order(context, &due, log);
                if let PacketBody::SubAck(codes) = packet.body
                    && codes.len() != due.codes
                {
                    log.report_endpoint(context, Rule::SubackIncomplete);
                }
            }
            Err(_) => self.report_unasked(context, packet, log),
        }
        // After PUBCOMP, or a PUBREC that refuses, the id is a new message's
        // [MQTT-4.3.3-12], [MQTT-4.3.3-9].
        let ends =
            kind == PacketKind::PubComp || kind == PacketKind::PubRec && packet.reason >= 0x80;
        if let Some(id) = packet_id(packet.id).filter(|_| ends) {
            self.held_ids.remove(id);
        }
    }

    fn check_order(&mut self, context: EventContext, due: &OwedAnswer, log: &mut ViolationLog) {
        let (nth, rule) = match due.kind {
            PacketKind::PubAck => (0, Rule::AckOutOfOrder),
            PacketKind::PubRec => (1, Rule::RecordOutOfOrder),
            _ => return,
        };
        if due.arrival < self.last_answered[nth] {
            log.report_receiver(context, rule, due.tag);
        }
        self.last_answered[nth] = self.last_answered[nth].max(due.arrival);
    }

    #[cold]
    fn report_unasked(
        &self,
        context: EventContext,
        packet: &PacketMeta<'_>,
        log: &mut ViolationLog,
    ) {
        match packet.kind() {
            // Repeating a PUBREC for an id that is held does no harm; some brokers do so when a
            // client comes back.
            PacketKind::PubRec if self.held_message(packet.id).is_some() => {}
            PacketKind::PubAck | PacketKind::PubRec | PacketKind::PubComp => {
                log.report_receiver(context, Rule::AnswerUnasked, packet.tag);
            }
            PacketKind::SubAck | PacketKind::UnsubAck => {
                log.report_endpoint(context, Rule::RequestAnswerUnasked);
            }
            _ => {}
        }
    }

    /// The endpoint passed a message on because of a packet with this id, unless it holds another
    /// id for it: some read several packets before they pass any message on.
    pub(super) fn on_delivered(
        &mut self,
        context: EventContext,
        id: u16,
        tag: MessageTag,
        log: &mut ViolationLog,
    ) {
        let id = if self.held_message(id) == Some(tag) {
            packet_id(id)
        } else {
            let held_for_message = self.held_ids.iter().find(|(_, held)| held.tag == tag);
            held_for_message.map(|(id, _)| id).or_else(|| packet_id(id))
        };
        let Some(held) = id.and_then(|id| self.held_ids.get_mut(id)) else { return };
        held.deliveries += 1;
        if held.deliveries > 1 {
            log.report_receiver(context, Rule::SecondDelivery, tag);
        }
    }

    /// The message for which an id is held.
    pub(super) fn held_message(&self, id: u16) -> Option<MessageTag> {
        self.held_ids.get(packet_id(id)?).map(|held| held.tag)
    }

    /// The connection is gone. It may have closed before the endpoint could answer once, but not
    /// while it left repeats unanswered; and no PUBREL is a reason to close it.
    pub(super) fn on_closed(
        &mut self,
        context: EventContext,
        why: CloseReason,
        log: &mut ViolationLog,
    ) {
        for due in self.owed_answers.drain(..) {
            let refused = due.kind == PacketKind::PubComp && why == CloseReason::Protocol;
            if due.owed_count > 1 || refused {
                due.report_unanswered(context, log);
            }
        }
        self.last_answered = [0; 2];
    }

    /// The trial is over: what was not answered by now never will be.
    pub(super) fn report_all_unanswered(&mut self, context: EventContext, log: &mut ViolationLog) {
        for due in self.owed_answers.drain(..) {
            due.report_unanswered(context, log);
        }
    }

    /// The session is over.
    pub(super) fn forget_session(&mut self) {
        self.held_ids.clear();
    }

    fn find_owed(&self, kind: PacketKind, id: u16) -> Result<usize, usize> {
        self.owed_answers.binary_search_by_key(&(kind, id), |due| (due.kind, due.id))
    }
}

impl Fingerprint for ReceiverMonitor {
    /// The numbers of arrivals are ranked: they would grow for ever.
    fn fingerprint(&self, into: &mut Fingerprinter) {
        let Self {
            held_ids,
            owed_answers,
            last_answered,
            // All that arrives from now on comes after all that was answered.
            arrivals: _,
        } = self;
        let rank = ranks(owed_answers.iter().map(|due| due.arrival));
        let owed_before =
            |answered: u32| owed_answers.iter().filter(|due| due.arrival < answered).count();
        let ranked = owed_answers.iter().map(|due| {
            let OwedAnswer {
                tag,
                kind,
                id,
                owed_count,
                arrival,
                codes,
                // Only for reports.
                due_since: _,
            } = due;
            (tag, kind, id, owed_count, rank(*arrival), codes)
        });
        into.plain(&(held_ids, ranked.collect::<Vec<_>>(), last_answered.map(owed_before)));
    }
}

impl OwedAnswer {
    fn report_unanswered(&self, context: EventContext, log: &mut ViolationLog) {
        let context = EventContext { at: self.due_since, ..context };
        let rule = match self.kind {
            PacketKind::PubAck => Rule::PublishUnacknowledged,
            PacketKind::PubRec => Rule::PublishUnrecorded,
            PacketKind::PubComp => Rule::ReleaseUnanswered,
            PacketKind::SubAck => return log.report_endpoint(context, Rule::SubscribeUnanswered),
            PacketKind::UnsubAck => {
                return log.report_endpoint(context, Rule::UnsubscribeUnanswered);
            }
            PacketKind::PingResp => return log.report_endpoint(context, Rule::PingUnanswered),
            _ => return log.report_endpoint(context, Rule::ConnectUnanswered),
        };
        log.report_receiver(context, rule, self.tag);
    }
}
