//! Counters of the interesting things, so that a scenario can demand that they happened.

use std::collections::BTreeMap;

use crate::base::event::{Arrival, Dropped, Event, Fate, Loss};
use crate::base::name::{Kind, Node};

/// How often the interesting things happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counters {
    pub(super) loss: u64,
    pub(super) duplicate: u64,
    pub(super) reorder: u64,
    pub(super) outage: u64,
    pub(super) burst: u64,
    pub(super) tail_drop: u64,
    pub(super) dup_resend: u64,
    pub(super) reconnect: u64,
    pub(super) session_resumed: u64,
    pub(super) takeover: u64,
    pub(super) retained: u64,
    pub(super) queue_overflow: u64,
    pub(super) give_up: u64,
    pub(super) offline_queued: u64,
    pub(super) unsubscribe: u64,
}

impl Counters {
    /// Counts what one event alone shows; what needs a history is counted by the ledger.
    #[inline]
    pub(super) fn count(&mut self, event: &Event<'_>) {
        match event {
            Event::Sent { record, fate, node, .. } => {
                self.fate(fate);
                match record.kind() {
                    Kind::Publish if record.dup() => self.dup_resend += 1,
                    Kind::UnsubAck if *node == Node::Broker => self.unsubscribe += 1,
                    _ => {}
                }
            }
            Event::Delivered { tag, .. } => {
                let copy = tag.parts().is_some_and(|parts| parts.is_retained_copy());
                self.retained += u64::from(copy);
            }
            Event::Refused { why, .. } | Event::Dropped { why, .. } => match why {
                Dropped::QueueFull => self.queue_overflow += 1,
                Dropped::GaveUp => self.give_up += 1,
                Dropped::Offline
                | Dropped::Rejected
                | Dropped::SessionEnded
                | Dropped::Expired
                | Dropped::TooLarge => {}
            },
            Event::OutageBegan { .. } => self.outage += 1,
            _ => {}
        }
    }

    #[inline]
    fn fate(&mut self, fate: &Fate) {
        match fate {
            Fate::Stream => {}
            Fate::Arrives(Arrival { again, overtakes, .. }) => {
                self.duplicate += u64::from(again.is_some());
                self.reorder += u64::from(*overtakes);
            }
            Fate::Lost(loss) => {
                self.loss += 1;
                self.burst += u64::from(*loss == Loss::Burst);
                self.tail_drop += u64::from(*loss == Loss::QueueFull);
            }
        }
    }

    /// The counters by the names that `sometimes` uses.
    pub(super) fn named(&self) -> BTreeMap<&'static str, u64> {
        BTreeMap::from([
            ("loss", self.loss),
            ("duplicate", self.duplicate),
            ("reorder", self.reorder),
            ("outage", self.outage),
            ("burst", self.burst),
            ("tail-drop", self.tail_drop),
            ("dup-resend", self.dup_resend),
            ("reconnect", self.reconnect),
            ("session-resumed", self.session_resumed),
            ("takeover", self.takeover),
            ("retained", self.retained),
            ("queue-overflow", self.queue_overflow),
            ("give-up", self.give_up),
            ("offline-queued", self.offline_queued),
            ("unsubscribe", self.unsubscribe),
        ])
    }
}
