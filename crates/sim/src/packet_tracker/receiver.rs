//! The receiver's half of a hop as seen from outside: what arrived and is to be acknowledged.

use std::collections::{BTreeMap, VecDeque};

use super::sender::{FIRST_FAILURE_REASON, UNMATCHED};
use qoslab_core::base::{ConnectionNumber, MessageTag, PacketKind, QoS, Transmission};
use qoslab_core::mqtt::{PacketId, PublishAck, PublishLevel};

/// One session's messages on their way in.
#[derive(Default)]
pub(super) struct TrackedReceiver {
    /// By the kind and id of the acknowledgement: the arrivals that it may be for.
    unanswered: BTreeMap<(PacketKind, PacketId), VecDeque<TrackedArrival>>,
    /// Exchanges of QoS 1 not acknowledged, or of QoS 2 not released.
    open_exchanges: BTreeMap<PacketId, TrackedExchange>,
    /// How many acknowledgements answered no arrival, which names them.
    unmatched_acks: u32,
}

struct TrackedArrival {
    connection: ConnectionNumber,
    tag: MessageTag,
    transmission: Transmission,
}

#[derive(Clone, Copy)]
struct TrackedExchange {
    qos: QoS,
    tag: MessageTag,
    transmission: Transmission,
}

impl TrackedReceiver {
    /// A PUBLISH was read. Whether it is a new message: one of QoS 2 whose id is held is a repeat.
    pub(super) fn publish_read(
        &mut self,
        connection: ConnectionNumber,
        level: PublishLevel,
        tag: MessageTag,
        transmission: Transmission,
    ) -> bool {
        let Some(id) = level.id() else { return true };
        let qos = level.qos();
        let is_exactly_once = qos == QoS::ExactlyOnce;
        let ack_kind = if is_exactly_once { PacketKind::PubRec } else { PacketKind::PubAck };
        self.expect_ack(ack_kind, id, TrackedArrival { connection, tag, transmission });
        let is_open_qos2 =
            is_exactly_once && self.open_exchanges.get(&id).is_some_and(|it| it.qos == qos);
        if !is_open_qos2 {
            self.open_exchanges.insert(id, TrackedExchange { qos, tag, transmission });
        }
        !is_open_qos2
    }

    /// A PUBREL was read: which PUBLISH it releases, by its tag and number.
    pub(super) fn pubrel_read(
        &mut self,
        connection: ConnectionNumber,
        ack: &PublishAck,
        transmission: Transmission,
    ) -> Option<(MessageTag, Transmission)> {
        self.expect_ack(
            PacketKind::PubComp,
            ack.id,
            TrackedArrival { connection, tag: ack.tag, transmission },
        );
        let exchange =
            self.open_exchanges.get(&ack.id).filter(|it| it.qos == QoS::ExactlyOnce).copied()?;
        self.open_exchanges.remove(&ack.id);
        Some((exchange.tag, exchange.transmission))
    }

    /// An acknowledgement was written: its tag and number are those of what it answers.
    pub(super) fn ack_written(
        &mut self,
        kind: PacketKind,
        ack: &PublishAck,
    ) -> (MessageTag, Transmission) {
        let exchange = self.open_exchanges.get(&ack.id).copied();
        if kind == PacketKind::PubAck
            || ack.reason >= FIRST_FAILURE_REASON && kind == PacketKind::PubRec
        {
            self.open_exchanges.remove(&ack.id);
        }
        if let Some(arrival) = self.take_answered(kind, ack.id) {
            return (arrival.tag, arrival.transmission);
        }
        self.unmatched_acks += 1;
        let unmatched =
            Transmission { attempt: self.unmatched_acks - 1, duplicate_index: UNMATCHED };
        (exchange.map_or(MessageTag::NONE, |open| open.tag), unmatched)
    }

    /// The session is gone.
    pub(super) fn end_session(&mut self) {
        self.unanswered.clear();
        self.open_exchanges.clear();
    }

    fn expect_ack(&mut self, ack_kind: PacketKind, id: PacketId, arrival: TrackedArrival) {
        let arrivals = self.unanswered.entry((ack_kind, id)).or_default();
        // Only repeats can be owed an answer at the same time.
        arrivals.retain(|it| (it.connection, it.tag) == (arrival.connection, arrival.tag));
        arrivals.push_back(arrival);
    }

    fn take_answered(&mut self, kind: PacketKind, id: PacketId) -> Option<TrackedArrival> {
        let arrivals = self.unanswered.get_mut(&(kind, id))?;
        let arrival = arrivals.pop_front();
        if arrivals.is_empty() {
            self.unanswered.remove(&(kind, id));
        }
        arrival
    }
}
