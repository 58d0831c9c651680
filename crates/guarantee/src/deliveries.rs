//! What the ledger learns from copies that are delivered, and from those that the broker drops.

use super::ledger::Ledger;
use super::meter::Meter;
use super::unit::Standing;
use super::verdict::{Breach, Excuse, Promise};
use qoslab_core::base::event::{Dropped, Phase};
use qoslab_core::base::name::{ClientIndex, Parts, Tag};
use qoslab_core::base::qos::QoS;
use qoslab_core::base::time::Time;

impl Ledger {
    /// A client's endpoint delivered a message.
    #[inline]
    pub(super) fn delivered(
        &mut self,
        now: Time,
        client: ClientIndex,
        parts: &Parts,
        qos: QoS,
        meter: &mut Meter,
    ) {
        let ending = self.sessions[client.index()].ending;
        if parts.is_retained_copy() {
            if !self.retained.delivered(client, parts, qos) && !ending {
                self.unexpected(parts, client, meter);
            }
            return;
        }
        let found = self.streams[parts.stream.index()].find(client, parts.sequence);
        let own = found.filter(|(slot, index)| {
            let expired = !ending && slot.is_over(parts.sequence);
            !expired && slot.units[*index].standing() >= Standing::May
        });
        let Some((slot, index)) = own else {
            if !self.shared.delivered(now, client, parts, true, meter) {
                self.unexpected(parts, client, meter);
            }
            return;
        };
        let unit = &mut slot.units[index];
        let first = unit.copies() == 0;
        if !first && self.shared.delivered(now, client, parts, false, meter) {
            return;
        }
        let metrics = &mut meter.metrics.qos[parts.qos.index()];
        let above = qos > parts.qos.min(unit.granted());
        let must = matches!(unit.standing(), Standing::Must | Standing::Begun);
        let terms = unit.terms(parts.qos);
        unit.add_copy();
        let late = first && parts.sequence < slot.next[qos.index()];
        if first {
            slot.next[qos.index()] = slot.next[qos.index()].max(parts.sequence + 1);
            metrics.latency.record(now.since(parts.published));
        } else {
            metrics.counts.extra_copies += 1;
        }
        metrics.counts.reordered += u64::from(late);
        if above {
            self.unexpected(parts, client, meter);
        }
        // What the broker had already taken before this subscription comes again by a resend alone.
        if late && must && self.roster.order {
            self.see(parts, Some(client), Promise::Ordered, Breach::Reordered);
        }
        let owed_in_time = first && must && !terms.may_lose && self.has_stalled(parts);
        if owed_in_time && self.is_reliable(parts, client) {
            self.see(parts, Some(client), terms.promise, Breach::Stalled);
        }
    }

    /// The broker dropped a copy it owed.
    pub(super) fn dropped(&mut self, client: ClientIndex, tag: Tag, why: Dropped) {
        let Some(parts) = tag.parts() else { return };
        let excused = match why {
            Dropped::Rejected => Some((Standing::Rejected, Excuse::Rejected)),
            Dropped::GaveUp if self.roster.gives_up => Some((Standing::GaveUp, Excuse::GaveUp)),
            Dropped::QueueFull if self.roster.allow_queue_overflow => {
                Some((Standing::Overflowed, Excuse::QueueOverflow))
            }
            Dropped::Expired => Some((Standing::Expired, Excuse::Expired)),
            Dropped::TooLarge => Some((Standing::TooLarge, Excuse::TooLarge)),
            // The end of a session is seen by itself, and nothing else is an excuse.
            _ => None,
        };
        if parts.is_retained_copy() {
            if let Some((_, excuse)) = excused {
                self.retained.excuse(client, &parts, excuse);
            }
            return;
        }
        let may = |standing| match standing {
            Standing::Must => true,
            // What it has begun to send it must see through [MQTT-4.3.3-7].
            Standing::Begun => why != Dropped::Expired,
            _ => false,
        };
        let unit = self.streams[parts.stream.index()].unit_mut(client, parts.sequence);
        let standing = excused.map(|(standing, _)| standing);
        match (unit.filter(|unit| may(unit.standing())), standing) {
            (Some(unit), Some(standing)) => unit.stand(standing, unit.granted()),
            (Some(_), None) => {}
            (None, _) => self.shared.dropped(client, &parts, why, standing),
        }
    }

    /// Whether what happens to a message now only happens because everybody reconnects. A will may
    /// well be published then.
    fn has_stalled(&self, parts: &Parts) -> bool {
        self.phase == Phase::CalmTwo && parts.published < self.phase_began
    }

    fn unexpected(&mut self, parts: &Parts, client: ClientIndex, meter: &mut Meter) {
        meter.metrics.qos[parts.qos.index()].counts.unexpected += 1;
        self.see(parts, Some(client), Promise::OnlySubscribed, Breach::Unexpected);
    }

    /// Whether a message needs nobody to reconnect on its way to a client.
    fn is_reliable(&self, parts: &Parts, client: ClientIndex) -> bool {
        let publisher = self.roster.streams[parts.stream.index()].client;
        let unnoticed = [publisher, client].iter().any(|it| self.sessions[it.index()].unnoticed);
        self.roster.is_reliable_up(publisher) && self.roster.is_reliable_down(client) && !unnoticed
    }
}
