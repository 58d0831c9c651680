//! Names of nodes, publishing streams and packets.
//!
//! A packet's name says what the packet *is*, not when it was sent or how many came before, so it
//! stays the same when other messages, clients or faults come and go. Fates are drawn by it.

use serde::{Deserialize, Serialize};

use super::fingerprint::{Fingerprint, Fingerprinter};
use super::qos::QoS;
use super::time::Time;
use crate::impl_fingerprint;

/// A client's position in the trial's list of clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ClientIndex(pub u32);

impl_fingerprint! { struct ClientIndex(number) { plain number; } }

/// One publishing workload of one client, by its position in the trial's list of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PublisherIndex(pub u32);

impl_fingerprint! { struct PublisherIndex(number) { plain number; } }

impl ClientIndex {
    /// The position as an index into a slice.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

impl PublisherIndex {
    /// The position as an index into a slice.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// One node of the simulated world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Node {
    /// The broker.
    Broker,
    /// A client.
    Client(ClientIndex),
}

impl_fingerprint! {
    enum Node {
        Broker,
        Client(client),
    }
}

/// A direction of a client's link, named as netem scripts and modems do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// From the client to the broker.
    Up,
    /// From the broker to the client.
    Down,
}

impl_fingerprint! { fieldless Direction }

impl Direction {
    /// The other direction.
    #[must_use]
    pub const fn reverse(self) -> Self {
        match self {
            Self::Up => Self::Down,
            Self::Down => Self::Up,
        }
    }
}

/// One of the two legs of a message's way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Hop {
    /// Publisher to broker.
    First,
    /// Broker to subscriber.
    Second,
}

impl_fingerprint! { fieldless Hop }

impl Hop {
    /// The hop as an index into arrays of one value a hop.
    #[must_use]
    pub const fn index(self) -> usize {
        match self {
            Self::First => 0,
            Self::Second => 1,
        }
    }
}

/// A transport connection, numbered over the whole trial; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionNumber(pub u32);

impl_fingerprint! { struct ConnectionNumber(number) { connection number; } }

/// A kind of packet; the discriminants are MQTT's control packet types. 0 is a transport reset, the
/// answer to a packet of an unknown connection. 15 would be AUTH, which is not modelled, and stands
/// for what a stream transport sends to open a connection: TCP's and TLS's handshakes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
#[expect(missing_docs, reason = "MQTT's own names")]
pub enum PacketKind {
    Reset = 0,
    Connect = 1,
    ConnAck = 2,
    Publish = 3,
    PubAck = 4,
    PubRec = 5,
    PubRel = 6,
    PubComp = 7,
    Subscribe = 8,
    SubAck = 9,
    Unsubscribe = 10,
    UnsubAck = 11,
    PingReq = 12,
    PingResp = 13,
    Disconnect = 14,
    Handshake = 15,
}

impl_fingerprint! { fieldless PacketKind }

impl PacketKind {
    /// Every kind, by its number.
    pub const ALL: [Self; 16] = [
        Self::Reset,
        Self::Connect,
        Self::ConnAck,
        Self::Publish,
        Self::PubAck,
        Self::PubRec,
        Self::PubRel,
        Self::PubComp,
        Self::Subscribe,
        Self::SubAck,
        Self::Unsubscribe,
        Self::UnsubAck,
        Self::PingReq,
        Self::PingResp,
        Self::Disconnect,
        Self::Handshake,
    ];

    /// The name as the MQTT standard writes it, such as `PUBREC`.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Reset => "RESET",
            Self::Connect => "CONNECT",
            Self::ConnAck => "CONNACK",
            Self::Publish => "PUBLISH",
            Self::PubAck => "PUBACK",
            Self::PubRec => "PUBREC",
            Self::PubRel => "PUBREL",
            Self::PubComp => "PUBCOMP",
            Self::Subscribe => "SUBSCRIBE",
            Self::SubAck => "SUBACK",
            Self::Unsubscribe => "UNSUBSCRIBE",
            Self::UnsubAck => "UNSUBACK",
            Self::PingReq => "PINGREQ",
            Self::PingResp => "PINGRESP",
            Self::Disconnect => "DISCONNECT",
            Self::Handshake => "HANDSHAKE",
        }
    }

    /// Whether this kind carries a message or takes part in its handshake.
    #[must_use]
    pub const fn carries_message(self) -> bool {
        matches!(self, Self::Publish | Self::PubAck | Self::PubRec | Self::PubRel | Self::PubComp)
    }
}

/// Which transmission of a packet this is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Transmission {
    /// The number of earlier sendings of it. An answer takes the number of what it answers.
    pub attempt: u32,
    /// For an answer: which of the network's copies it answers, 0 for the original and 1 for the
    /// other. A PUBREL that belongs to no exchange any more has 2, with a count of its own as
    /// `attempt`, and the copies of its answer 2 and 3. So has an answer to nothing that arrived,
    /// as a third-party implementation may send it.
    pub duplicate_index: u8,
}

impl_fingerprint! {
    struct Transmission {
        plain duplicate_index;
        attempt attempt;
    }
}

/// The mark that travels beside a message and its acknowledgements. Endpoints carry it and cannot
/// read it: only observers, the network and the engine open it with [`MessageTag::message_id`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageTag(MessageId);

impl_fingerprint! { struct MessageTag(message_id) { plain message_id; } }

/// Content of a [`MessageTag`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId {
    /// The stream that published it.
    pub publisher: PublisherIndex,
    /// The number of the message in that stream, from 0.
    pub sequence: u32,
    /// The number of the broker's forwarding; 0 on the first hop. See [`MessageTag::forwarded`].
    pub copy: u32,
    /// The QoS the application published with.
    pub qos: QoS,
    /// The time at which the application called `publish()`.
    pub published: Time,
}

impl_fingerprint! {
    struct MessageId {
        plain publisher, sequence, qos;
        copy copy;
        published published;
    }
}

impl MessageTag {
    /// The mark of a packet that belongs to no message, or to no message that is observed.
    pub const NONE: Self = Self(MessageId {
        publisher: PublisherIndex(u32::MAX),
        sequence: u32::MAX,
        copy: 0,
        qos: QoS::AtMostOnce,
        published: Time::ZERO,
    });

    /// Marks a message as it is handed to its publisher.
    #[must_use]
    pub const fn new(publisher: PublisherIndex, sequence: u32, qos: QoS, published: Time) -> Self {
        Self(MessageId { publisher, sequence, copy: 0, qos, published })
    }

    /// The mark of what a broker forwards because of an arrival: each arrival of one message
    /// makes a copy of its own, named by the transmission that brought it.
    #[must_use]
    pub const fn forwarded(self, arrival: Transmission) -> Self {
        let copy = (arrival.attempt << 1 | arrival.duplicate_index as u32 & 1)
            & !MessageId::RETAINED_COPY_FLAG;
        Self(MessageId { copy, ..self.0 })
    }

    /// The mark of one more copy for the same subscriber because of the same arrival: `nth` others
    /// come before it.
    #[must_use]
    pub const fn for_further_copy(self, nth: u32) -> Self {
        let copy = self.0.copy | nth << MessageId::FURTHER_COPY_SHIFT;
        Self(MessageId { copy: copy & !MessageId::RETAINED_COPY_FLAG, ..self.0 })
    }

    /// The mark of a retained message sent in answer to the `nth` filter that a session asked for.
    #[must_use]
    pub const fn for_retained(self, nth: u32) -> Self {
        Self(MessageId { copy: nth | MessageId::RETAINED_COPY_FLAG, ..self.0 })
    }

    /// The mark of the will of a client's `nth` connection, from 0.
    #[must_use]
    pub const fn for_will_of_connection(self, nth: u32) -> Self {
        Self(MessageId { sequence: nth, ..self.0 })
    }

    /// The same mark in a trial where its stream has another place.
    #[must_use]
    pub fn map_publisher(self, map: impl FnOnce(PublisherIndex) -> PublisherIndex) -> Self {
        Self(MessageId { publisher: map(self.0.publisher), ..self.0 })
    }

    /// The mark of a will that the broker publishes at `now`.
    #[must_use]
    pub const fn with_published_at(self, now: Time) -> Self {
        Self(MessageId { published: now, ..self.0 })
    }

    /// Returns the mark's content; `None` for [`MessageTag::NONE`].
    #[must_use]
    pub const fn message_id(self) -> Option<MessageId> {
        if self.0.publisher.0 == u32::MAX { None } else { Some(self.0) }
    }
}

impl MessageId {
    /// From this bit of [`MessageId::copy`] on stands which of several copies for one subscriber
    /// it is, by one arrival.
    const FURTHER_COPY_SHIFT: u32 = 16;

    /// Set in [`MessageId::copy`] when the broker sent a retained message in answer to a SUBSCRIBE.
    pub const RETAINED_COPY_FLAG: u32 = 1 << 31;

    /// Whether this copy was sent because of a SUBSCRIBE, with RETAIN=1.
    #[must_use]
    pub const fn is_retained_copy(&self) -> bool {
        self.copy & Self::RETAINED_COPY_FLAG != 0
    }
}

/// The name of a packet. Two packets of a trial never share a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PacketName {
    /// The client on whose link it travels.
    pub client: ClientIndex,
    /// The direction it travels.
    pub direction: Direction,
    /// Its kind.
    pub kind: PacketKind,
    /// The subject of the packet.
    pub subject: PacketSubject,
}

impl_fingerprint! {
    struct PacketName {
        plain client, direction, kind, subject;
    }
}

/// The subject of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PacketSubject {
    /// One message: `publisher#sequence / hop / copy / kind / attempt`.
    Message {
        /// The stream that published it.
        publisher: PublisherIndex,
        /// The number of the message in that stream, from 0.
        sequence: u32,
        /// On which hop.
        hop: Hop,
        /// The number of the forwarding; 0 on the first hop.
        copy: u32,
        /// The transmission of the packet.
        transmission: Transmission,
    },
    /// The connection: `client / kind / nth`.
    Control {
        /// The number of packets of that kind that went that way on this client's link before.
        nth: u32,
    },
}

impl Fingerprint for PacketSubject {
    fn fingerprint(&self, into: &mut Fingerprinter) {
        match self {
            Self::Message { publisher, sequence, hop, copy, transmission } => {
                into.plain(&(true, publisher, sequence, hop, transmission));
                into.copy(copy);
            }
            // Its number gives a name alone.
            Self::Control { nth: _ } => into.plain(&false),
        }
    }
}

impl PacketName {
    /// The counter that names this packet's draws; see [`super::draw::DrawKey::draw`]. `purpose`
    /// separates independent decisions about one packet, below 2^16.
    #[must_use]
    pub const fn draw_counter(&self, purpose: u16) -> [u32; 4] {
        let low = self.kind as u32 | (purpose as u32) << 16;
        match self.subject {
            PacketSubject::Message { sequence, copy, transmission, .. } => [
                sequence,
                transmission.attempt,
                copy,
                low | (transmission.duplicate_index as u32) << 8,
            ],
            PacketSubject::Control { nth } => [nth, 0, 0, low],
        }
    }
}

/// Whether a client's name fits a pattern in which `*` stands for any letters.
#[must_use]
pub fn matches_pattern(pattern: &str, name: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(mut name) = name.strip_prefix(head) else { return false };
    let mut parts: Vec<_> = rest.split('*').collect();
    let tail = parts.pop().unwrap_or_default();
    // Taking each part at its first place leaves the most for those that follow.
    for part in parts {
        let Some(at) = name.find(part) else { return false };
        name = &name[at + part.len()..];
    }
    name.ends_with(tail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_letters() {
        let cases = [
            ("meter-*", "meter-12", true),
            ("meter-*", "meter", false),
            ("*", "anything", true),
            ("app", "app", true),
            ("app", "apps", false),
            ("a*c*e", "abcde", true),
            ("a*c*e", "abde", false),
        ];
        for (pattern, name, matches) in cases {
            assert_eq!(matches_pattern(pattern, name), matches, "{pattern} {name}");
        }
    }
}
