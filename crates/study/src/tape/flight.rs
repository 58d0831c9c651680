//! A packet from its sending to its arrival.

use qoslab_core::base::event::{Close, Dark, Fate, Loss};
use qoslab_core::base::name::{Connection, Kind, Node, PacketName, Parts, Subject, Way};
use qoslab_core::base::time::Time;
use qoslab_core::mqtt::packet::Packet;

/// A packet that was sent, and what became of it.
#[derive(Clone, Debug)]
pub struct Flight {
    /// What it is.
    pub name: PacketName,
    /// The message that it carries or acknowledges.
    pub message: Option<Parts>,
    /// On which connection.
    pub connection: Connection,
    /// The first byte: type and flags.
    pub first: u8,
    /// The packet id; 0 where there is none.
    pub id: u16,
    /// The reason or return code; 0 where there is none.
    pub reason: u8,
    /// Bytes of the MQTT packet.
    pub bytes: u32,
    /// Of a CONNACK: Session Present.
    pub session_present: Option<bool>,
    /// The packet itself; `None` for a reset.
    pub packet: Option<Packet>,
    /// When it was sent.
    pub sent: Time,
    /// What the network decided when it was sent.
    pub fate: Fate,
    /// Where it ended and when: twice where the network doubled it, and not at all where it was
    /// lost on the way.
    pub ends: Vec<(Time, End)>,
}

/// How a packet ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Its receiver read it.
    Read,
    /// Nobody did.
    Unread(Cause),
}

/// Why nobody read a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The network lost it.
    Lost(Loss),
    /// Its receiver was down.
    Down,
    /// Its connection ended at this node.
    Closed(Node, Close),
    /// Its connection was dead, and its sender did not know.
    Dark(Dark),
    /// Its receiver does not have the connection.
    Unknown,
    /// It was still on its way when the trial ended.
    UnderWay,
}

impl Flight {
    /// Who sent it.
    #[must_use]
    pub const fn from(&self) -> Node {
        end(&self.name, self.name.way.reverse())
    }

    /// Whom it is for.
    #[must_use]
    pub const fn to(&self) -> Node {
        end(&self.name, self.name.way)
    }

    /// The DUP flag of a PUBLISH.
    #[must_use]
    pub fn is_dup(&self) -> bool {
        self.name.kind == Kind::Publish && self.first & 0b1000 != 0
    }

    /// Whether its sender had sent this PUBLISH or PUBREL before.
    #[must_use]
    pub fn is_resend(&self) -> bool {
        let again = match self.name.subject {
            Subject::Message { transmission, .. } => transmission.attempt > 0,
            Subject::Control { .. } => false,
        };
        again && matches!(self.name.kind, Kind::Publish | Kind::PubRel)
    }

    /// Why nobody read it, if nobody did.
    #[must_use]
    pub fn lost(&self) -> Option<Cause> {
        if let Fate::Lost(loss) = self.fate {
            return Some(Cause::Lost(loss));
        }
        if self.is_reset_that_came() {
            return None;
        }
        let mut unread = None;
        for (_, end) in &self.ends {
            match end {
                End::Read => return None,
                End::Unread(cause) => unread = Some(*cause),
            }
        }
        unread.or(Some(Cause::UnderWay))
    }

    /// When it was read.
    #[must_use]
    pub fn reads(&self) -> Vec<Time> {
        match self.fate {
            Fate::Arrives(arrival) if self.is_reset_that_came() => vec![arrival.at],
            _ => {
                let reads = self.ends.iter().filter(|(_, end)| *end == End::Read);
                reads.map(|(at, _)| *at).collect()
            }
        }
    }

    /// A reset that refuses a connection reaches an end that has none, and is not told as read.
    fn is_reset_that_came(&self) -> bool {
        let is_reset = self.name.kind == Kind::Reset && self.ends.is_empty();
        is_reset && matches!(self.fate, Fate::Arrives(_))
    }

    /// How many ends it has when none is to come any more.
    pub(super) const fn ends_due(&self) -> usize {
        match self.fate {
            Fate::Lost(_) => 0,
            Fate::Arrives(arrival) if arrival.again.is_some() => 2,
            Fate::Arrives(_) | Fate::Stream => 1,
        }
    }
}

/// The node at the end of a packet's link that this direction leads to.
const fn end(name: &PacketName, way: Way) -> Node {
    match way {
        Way::Up => Node::Broker,
        Way::Down => Node::Client(name.client),
    }
}
