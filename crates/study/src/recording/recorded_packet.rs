//! The record of a packet from its sending to its arrival.

use qoslab_core::base::{
    CloseReason, ConnectionNumber, Direction, Fate, LossReason, MessageId, Node, PacketKind,
    PacketName, PacketSubject, SilentDeathCause, Time,
};
use qoslab_core::mqtt::Packet;

/// A packet that was sent, and its fate.
#[derive(Clone, Debug)]
pub struct RecordedPacket {
    /// The packet's kind.
    pub name: PacketName,
    /// The message that it carries or acknowledges.
    pub message: Option<MessageId>,
    /// The connection.
    pub connection: ConnectionNumber,
    /// The first byte: type and flags.
    pub first_byte: u8,
    /// The packet id; 0 where there is none.
    pub packet_id: u16,
    /// The reason or return code; 0 where there is none.
    pub reason_code: u8,
    /// Bytes of the MQTT packet.
    pub bytes: u32,
    /// Of a CONNACK: Session Present.
    pub session_present: Option<bool>,
    /// The packet itself; `None` for a reset.
    pub packet: Option<Packet>,
    /// When it was sent.
    pub sent_at: Time,
    /// The network's decision when it was sent.
    pub fate: Fate,
    /// Where it ended and when: twice where the network doubled it, and not at all where it was
    /// lost on the way.
    pub ends: Vec<(Time, PacketEnd)>,
}

/// The end of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PacketEnd {
    /// Its receiver read it.
    Read,
    /// It was not read.
    Discarded(PacketLossCause),
}

/// The reason why a packet was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PacketLossCause {
    /// The network lost it.
    Network(LossReason),
    /// Its receiver was down.
    ReceiverDown,
    /// Its connection ended at this node.
    Closed(Node, CloseReason),
    /// Its connection was dead, and its sender did not know.
    SilentlyDead(SilentDeathCause),
    /// Its receiver does not have the connection.
    UnknownConnection,
    /// It was still in flight when the trial ended.
    InTransit,
}

impl RecordedPacket {
    /// The sender.
    #[must_use]
    pub const fn sender(&self) -> Node {
        end_node(&self.name, self.name.direction.reverse())
    }

    /// The receiver.
    #[must_use]
    pub const fn receiver(&self) -> Node {
        end_node(&self.name, self.name.direction)
    }

    /// The DUP flag of a PUBLISH.
    #[must_use]
    pub fn is_dup(&self) -> bool {
        self.name.kind == PacketKind::Publish && self.first_byte & 0b1000 != 0
    }

    /// Whether its sender had sent this PUBLISH or PUBREL before.
    #[must_use]
    pub fn is_resend(&self) -> bool {
        let again = match self.name.subject {
            PacketSubject::Message { transmission, .. } => transmission.attempt > 0,
            PacketSubject::Control { .. } => false,
        };
        again && matches!(self.name.kind, PacketKind::Publish | PacketKind::PubRel)
    }

    /// The reason why it was not read, if it was not.
    #[must_use]
    pub fn loss_cause(&self) -> Option<PacketLossCause> {
        if let Fate::Lost(loss) = self.fate {
            return Some(PacketLossCause::Network(loss));
        }
        if self.is_arrived_reset() {
            return None;
        }
        let mut unread = None;
        for (_, end) in &self.ends {
            match end {
                PacketEnd::Read => return None,
                PacketEnd::Discarded(cause) => unread = Some(*cause),
            }
        }
        unread.or(Some(PacketLossCause::InTransit))
    }

    /// When it was read.
    #[must_use]
    pub fn read_times(&self) -> Vec<Time> {
        match self.fate {
            Fate::Arrives(arrival) if self.is_arrived_reset() => vec![arrival.at],
            _ => {
                let reads = self.ends.iter().filter(|(_, end)| *end == PacketEnd::Read);
                reads.map(|(at, _)| *at).collect()
            }
        }
    }

    /// A reset that refuses a connection reaches an end that has none, and is not reported as read.
    fn is_arrived_reset(&self) -> bool {
        let is_reset = self.name.kind == PacketKind::Reset && self.ends.is_empty();
        is_reset && matches!(self.fate, Fate::Arrives(_))
    }

    /// How many ends it has when none is to come any more.
    pub(super) const fn expected_ends(&self) -> usize {
        match self.fate {
            Fate::Lost(_) => 0,
            Fate::Arrives(arrival) if arrival.duplicate_at.is_some() => 2,
            Fate::Arrives(_) | Fate::Streamed => 1,
        }
    }
}

/// The node at the end of a packet's link that this direction leads to.
const fn end_node(name: &PacketName, way: Direction) -> Node {
    match way {
        Direction::Up => Node::Broker,
        Direction::Down => Node::Client(name.client),
    }
}
