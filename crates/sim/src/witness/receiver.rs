//! The receiver's half of a hop as seen from outside: what arrived and is to be acknowledged.

use std::collections::{BTreeMap, VecDeque};

use super::sender::{FAILURE, STRAY};
use qoslab_core::base::name::{Connection, Kind, Tag, Transmission};
use qoslab_core::base::qos::QoS;
use qoslab_core::mqtt::packet::{Ack, Level, PacketId};

/// One session's messages on their way in.
#[derive(Default)]
pub(super) struct Receiver {
    /// By the kind and id of the acknowledgement: the arrivals that it may be for.
    owed: BTreeMap<(Kind, PacketId), VecDeque<Arrival>>,
    /// What has arrived of QoS 1 and is not acknowledged, or of QoS 2 and not released.
    open: BTreeMap<PacketId, Open>,
    /// How many acknowledgements answered no arrival, which names them.
    strays: u32,
}

struct Arrival {
    connection: Connection,
    tag: Tag,
    transmission: Transmission,
}

#[derive(Clone, Copy)]
struct Open {
    qos: QoS,
    tag: Tag,
    transmission: Transmission,
}

impl Receiver {
    /// A PUBLISH was read. Whether it is a new message: one of QoS 2 whose id is held is a repeat.
    pub(super) fn publish(
        &mut self,
        connection: Connection,
        level: Level,
        tag: Tag,
        transmission: Transmission,
    ) -> bool {
        let Some(id) = level.id() else { return true };
        let qos = level.qos();
        let is_exactly_once = qos == QoS::ExactlyOnce;
        let answer = if is_exactly_once { Kind::PubRec } else { Kind::PubAck };
        self.owe(answer, id, Arrival { connection, tag, transmission });
        let is_held = is_exactly_once && self.open.get(&id).is_some_and(|it| it.qos == qos);
        if !is_held {
            self.open.insert(id, Open { qos, tag, transmission });
        }
        !is_held
    }

    /// A PUBREL was read: which PUBLISH it releases, by its tag and number.
    pub(super) fn release(
        &mut self,
        connection: Connection,
        ack: &Ack,
        transmission: Transmission,
    ) -> Option<(Tag, Transmission)> {
        self.owe(Kind::PubComp, ack.id, Arrival { connection, tag: ack.tag, transmission });
        let open = self.open.get(&ack.id).filter(|it| it.qos == QoS::ExactlyOnce).copied()?;
        self.open.remove(&ack.id);
        Some((open.tag, open.transmission))
    }

    /// An acknowledgement was written: its tag and number are those of what it answers.
    pub(super) fn answer(&mut self, kind: Kind, ack: &Ack) -> (Tag, Transmission) {
        let open = self.open.get(&ack.id).copied();
        if kind == Kind::PubAck || ack.reason >= FAILURE && kind == Kind::PubRec {
            self.open.remove(&ack.id);
        }
        if let Some(arrival) = self.answered(kind, ack.id) {
            return (arrival.tag, arrival.transmission);
        }
        self.strays += 1;
        let stray = Transmission { attempt: self.strays - 1, echo: STRAY };
        (open.map_or(Tag::NONE, |open| open.tag), stray)
    }

    /// The session is gone.
    pub(super) fn end_session(&mut self) {
        self.owed.clear();
        self.open.clear();
    }

    fn owe(&mut self, answer: Kind, id: PacketId, arrival: Arrival) {
        let owed = self.owed.entry((answer, id)).or_default();
        // Only repeats can be owed an answer at the same time.
        owed.retain(|it| (it.connection, it.tag) == (arrival.connection, arrival.tag));
        owed.push_back(arrival);
    }

    fn answered(&mut self, kind: Kind, id: PacketId) -> Option<Arrival> {
        let owed = self.owed.get_mut(&(kind, id))?;
        let arrival = owed.pop_front();
        if owed.is_empty() {
            self.owed.remove(&(kind, id));
        }
        arrival
    }
}
