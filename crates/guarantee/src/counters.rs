//! Counters of notable events, so that a scenario can demand that they happened.

use std::collections::BTreeMap;

use qoslab_core::base::{
    Arrival, CloseReason, ConnectionNumber, DropReason, Event, Fate, Impairment, LossReason, Node,
    OverheadPurpose, PacketKind, SilentDeathCause,
};

/// The counters' names, which `sometimes` and the documents use.
pub const COUNTER_NAMES: [&str; 36] = [
    "loss",
    "drop",
    "duplicate",
    "reorder",
    "burst",
    "tail-drop",
    "outage",
    "partition",
    "stall",
    "slow",
    "cut",
    "half-open",
    "nat-forgot",
    "crash",
    "retransmission",
    "keep-alive-expired",
    "user-timeout",
    "reconnect",
    "session-resumed",
    "session-lost",
    "session-expired",
    "takeover",
    "will",
    "dup-resend",
    "pubrel-resent",
    "duplicate-suppressed",
    "give-up",
    "id-wrap",
    "window-full",
    "offline-queued",
    "queue-overflow",
    "socket-full",
    "message-expired",
    "too-large",
    "retained",
    "unsubscribe",
];

/// How often the notable events happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counters {
    loss: u64,
    duplicate: u64,
    reorder: u64,
    burst: u64,
    tail_drop: u64,
    outage: u64,
    partition: u64,
    stall: u64,
    slow: u64,
    cut: u64,
    half_open: u64,
    /// The connection of which the client's own end went last, and the other end was not notified.
    client_end_lost_on: Option<ConnectionNumber>,
    nat_forgot: u64,
    crash: u64,
    retransmission: u64,
    keep_alive_expired: u64,
    user_timeout: u64,
    pub(super) reconnect: u64,
    pub(super) session_resumed: u64,
    pub(super) session_lost: u64,
    session_expired: u64,
    pub(super) takeover: u64,
    will: u64,
    dup_resend: u64,
    pubrel_resent: u64,
    pub(super) duplicate_suppressed: u64,
    give_up: u64,
    pub(super) id_wrap: u64,
    pub(super) window_full: u64,
    pub(super) offline_queued: u64,
    queue_overflow: u64,
    socket_full: u64,
    message_expired: u64,
    too_large: u64,
    retained: u64,
    unsubscribe: u64,
}

impl Counters {
    /// Counts what one event alone shows; what needs a history is counted elsewhere.
    #[inline]
    pub(super) fn count(&mut self, event: &Event<'_>) {
        match event {
            Event::Sent { packet: record, fate, node, .. } => {
                self.count_fate(fate);
                match record.kind() {
                    PacketKind::Publish => self.dup_resend += u64::from(record.is_dup()),
                    PacketKind::PubRel => self.pubrel_resent += u64::from(record.is_resend()),
                    PacketKind::UnsubAck if *node == Node::Broker => self.unsubscribe += 1,
                    _ => {}
                }
            }
            Event::Delivered { tag, .. } => {
                let copy = tag.message_id().is_some_and(|message_id| message_id.is_retained_copy());
                self.retained += u64::from(copy);
            }
            Event::Refused { why, .. } | Event::Dropped { why, .. } => self.count_drop(*why),
            Event::OutageBegan { .. } => self.outage += 1,
            Event::Impaired { impairment: how, .. } => match how {
                Impairment::Partition(_) => self.partition += 1,
                Impairment::Stall => self.stall += 1,
                Impairment::Slow => self.slow += 1,
            },
            Event::DiedSilently { connection, why, .. } => {
                self.count_silent_death(*connection, *why);
            }
            Event::Closed { node, connection, why, .. } => {
                self.count_close(*node, *connection, *why);
            }
            Event::Crashed { .. } => self.crash += 1,
            Event::SocketFull { .. } => self.socket_full += 1,
            Event::Overhead { purpose: OverheadPurpose::Retransmission, segments, .. } => {
                self.retransmission += u64::from(*segments);
            }
            Event::WillPublished { .. } => self.will += 1,
            Event::SessionExpired { .. } => self.session_expired += 1,
            _ => {}
        }
    }

    #[inline]
    fn count_fate(&mut self, fate: &Fate) {
        match fate {
            Fate::Streamed => {}
            Fate::Arrives(Arrival { duplicate_at: again, overtakes, .. }) => {
                self.duplicate += u64::from(again.is_some());
                self.reorder += u64::from(*overtakes);
            }
            Fate::Lost(loss) => {
                self.loss += 1;
                self.burst += u64::from(*loss == LossReason::Burst);
                self.tail_drop += u64::from(*loss == LossReason::QueueFull);
            }
        }
    }

    const fn count_drop(&mut self, why: DropReason) {
        match why {
            DropReason::QueueFull => self.queue_overflow += 1,
            DropReason::GaveUp => self.give_up += 1,
            DropReason::Expired => self.message_expired += 1,
            DropReason::TooLarge => self.too_large += 1,
            DropReason::Offline
            | DropReason::SocketFull
            | DropReason::Rejected
            | DropReason::SessionEnded => {}
        }
    }

    fn count_silent_death(&mut self, connection: ConnectionNumber, why: SilentDeathCause) {
        match why {
            SilentDeathCause::HalfOpen(dead) => {
                self.half_open += 1;
                if dead != Node::Broker {
                    self.client_end_lost_on = Some(connection);
                }
            }
            SilentDeathCause::NatTimeout => self.nat_forgot += 1,
        }
    }

    fn count_close(&mut self, node: Node, connection: ConnectionNumber, why: CloseReason) {
        match why {
            // A client whose own end is gone is notified that it was cut, too.
            CloseReason::Cut => {
                let at_client = node != Node::Broker && self.client_end_lost_on != Some(connection);
                self.cut += u64::from(at_client);
            }
            CloseReason::KeepAlive => self.keep_alive_expired += 1,
            CloseReason::UserTimeout => self.user_timeout += 1,
            CloseReason::Requested
            | CloseReason::TakenOver
            | CloseReason::Protocol
            | CloseReason::Peer
            | CloseReason::Reset
            | CloseReason::Crash => {}
        }
    }

    /// The counters by the names that `sometimes` uses.
    pub(super) fn by_name(&self) -> BTreeMap<&'static str, u64> {
        BTreeMap::from([
            ("loss", self.loss),
            ("drop", self.loss),
            ("duplicate", self.duplicate),
            ("reorder", self.reorder),
            ("burst", self.burst),
            ("tail-drop", self.tail_drop),
            ("outage", self.outage),
            ("partition", self.partition),
            ("stall", self.stall),
            ("slow", self.slow),
            ("cut", self.cut),
            ("half-open", self.half_open),
            ("nat-forgot", self.nat_forgot),
            ("crash", self.crash),
            ("retransmission", self.retransmission),
            ("keep-alive-expired", self.keep_alive_expired),
            ("user-timeout", self.user_timeout),
            ("reconnect", self.reconnect),
            ("session-resumed", self.session_resumed),
            ("session-lost", self.session_lost),
            ("session-expired", self.session_expired),
            ("takeover", self.takeover),
            ("will", self.will),
            ("dup-resend", self.dup_resend),
            ("pubrel-resent", self.pubrel_resent),
            ("duplicate-suppressed", self.duplicate_suppressed),
            ("give-up", self.give_up),
            ("id-wrap", self.id_wrap),
            ("window-full", self.window_full),
            ("offline-queued", self.offline_queued),
            ("queue-overflow", self.queue_overflow),
            ("socket-full", self.socket_full),
            ("message-expired", self.message_expired),
            ("too-large", self.too_large),
            ("retained", self.retained),
            ("unsubscribe", self.unsubscribe),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_counter_has_its_name_and_its_row_in_the_model() {
        let named: Vec<_> = Counters::default().by_name().into_keys().collect();
        let mut words = COUNTER_NAMES.to_vec();
        words.sort_unstable();
        assert_eq!(named, words);
        let model = include_str!("../../../docs/model.md");
        let (_, table) = model.split_once("| word | what happened |").expect("the table of words");
        let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
        let rows: Vec<_> = rows.filter_map(|line| line.split('`').nth(1)).collect();
        assert_eq!(rows, COUNTER_NAMES);
    }
}
