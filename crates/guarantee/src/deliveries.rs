//! What the ledger learns from copies that are delivered.

use super::delivery_unit::DeliveryState;
use super::ledger::Ledger;
use super::verdict::{Breach, Promise};
use qoslab_core::base::{ClientIndex, MessageId, Phase, QoS};

/// The classification of one delivery, as the ledger sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Delivery {
    /// Which copy of what was owed; `None` if nothing was, and for a retained message.
    pub(super) copy: Option<DeliveredCopy>,
    /// It is the first copy, and that of a later message came before.
    pub(super) is_reordered: bool,
    /// The client has no matching subscription, or none at this QoS.
    pub(super) is_unexpected: bool,
}

/// Which copy of a message a subscriber, or a group of them, got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DeliveredCopy {
    First,
    Extra,
}

impl DeliveredCopy {
    /// An extra copy, after that many earlier ones.
    pub(super) const fn after(copies: u8) -> Self {
        if copies == 0 { Self::First } else { Self::Extra }
    }
}

impl Ledger {
    /// A client's endpoint delivered a message.
    #[inline]
    pub(super) fn on_delivered(
        &mut self,
        client: ClientIndex,
        message_id: &MessageId,
        qos: QoS,
    ) -> Delivery {
        let ending = self.sessions[client.index()].ended_unknown_to_client;
        if message_id.is_retained_copy() {
            let is_unexpected = !self.retained.on_delivered(client, message_id, qos) && !ending;
            if is_unexpected {
                self.record_unexpected(message_id, client);
            }
            return Delivery { is_unexpected, ..Delivery::default() };
        }
        let found =
            self.publishers[message_id.publisher.index()].find_unit(client, message_id.sequence);
        let owed = found.filter(|(slot, index)| {
            let expired = !ending && slot.is_past_epoch(message_id.sequence);
            !expired && slot.units[*index].state() >= DeliveryState::MayDeliver
        });
        let Some((subscriber, index)) = owed else {
            let copy = self.shared.on_delivered(client, message_id, true);
            if copy.is_none() {
                self.record_unexpected(message_id, client);
            }
            return Delivery { copy, is_unexpected: copy.is_none(), ..Delivery::default() };
        };
        let unit = &mut subscriber.units[index];
        let copy = DeliveredCopy::after(unit.copies());
        let first = copy == DeliveredCopy::First;
        if !first && let Some(copy) = self.shared.on_delivered(client, message_id, false) {
            return Delivery { copy: Some(copy), ..Delivery::default() };
        }
        let is_above_granted = qos > message_id.qos.min(unit.granted());
        let is_owed = unit.state().is_owed();
        let terms = unit.terms(message_id.qos);
        unit.add_copy();
        if !self.overlaps.is_empty() {
            let key = (message_id.publisher, message_id.sequence, client);
            if let Some(overlap) = self.overlaps.get_mut(&key) {
                overlap.copies += 1;
            }
        }
        let late = first && message_id.sequence < subscriber.next_sequence[qos.index()];
        if first {
            subscriber.next_sequence[qos.index()] =
                subscriber.next_sequence[qos.index()].max(message_id.sequence + 1);
        }
        if is_above_granted {
            self.record_unexpected(message_id, client);
        }
        // What the broker had already taken before this subscription comes again by a resend alone.
        if late && is_owed && self.trial.promises_order {
            self.record_breach(message_id, Some(client), Promise::Ordered, Breach::Reordered);
        }
        let owed_in_time = first && is_owed && !terms.may_lose && self.is_stalled(message_id);
        if owed_in_time && self.needs_no_reconnect(message_id, client) {
            self.record_breach(message_id, Some(client), terms.promise, Breach::Stalled);
        }
        Delivery { copy: Some(copy), is_reordered: late, is_unexpected: is_above_granted }
    }

    /// Whether what happens to a message now happens only because all clients reconnect. A will may
    /// well be published then.
    fn is_stalled(&self, message_id: &MessageId) -> bool {
        self.phase == Phase::ReconnectDrain && message_id.published < self.phase_began
    }

    fn record_unexpected(&mut self, message_id: &MessageId, client: ClientIndex) {
        self.record_breach(message_id, Some(client), Promise::OnlySubscribed, Breach::Unexpected);
    }

    /// Whether a message can reach a client without any reconnection.
    fn needs_no_reconnect(&self, message_id: &MessageId, client: ClientIndex) -> bool {
        let publisher = self.trial.publishers[message_id.publisher.index()].client;
        let unnoticed =
            [publisher, client].iter().any(|it| self.sessions[it.index()].death_unnoticed);
        self.trial.publish_needs_no_reconnect(publisher)
            && self.trial.delivery_needs_no_reconnect(client)
            && !unnoticed
    }
}
