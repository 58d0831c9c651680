//! Events of a trial, as reported to observers.

use std::cell::RefCell;
use std::rc::Rc;

use super::name::{ClientIndex, ConnectionNumber, Direction, MessageTag, Node};
use super::qos::QoS;
use super::time::Time;
use crate::impl_fingerprint;

pub use super::packet_meta::{
    PacketBody, PacketMeta, PacketSize, RetainHandling, SubscriptionOptions, SubscriptionRequest,
};

/// Watches a trial. Observers are composed as tuples and cost nothing where absent: `()` is one.
pub trait Observer {
    /// Called for every event, in order.
    fn observe(&mut self, now: Time, event: &Event<'_>);
}

impl Observer for () {
    fn observe(&mut self, _: Time, _: &Event<'_>) {}
}

impl<O: Observer> Observer for &mut O {
    fn observe(&mut self, now: Time, event: &Event<'_>) {
        (**self).observe(now, event);
    }
}

impl<O: Observer + ?Sized> Observer for Rc<RefCell<O>> {
    fn observe(&mut self, now: Time, event: &Event<'_>) {
        self.borrow_mut().observe(now, event);
    }
}

impl<A: Observer, B: Observer> Observer for (A, B) {
    fn observe(&mut self, now: Time, event: &Event<'_>) {
        self.0.observe(now, event);
        self.1.observe(now, event);
    }
}

impl<A: Observer, B: Observer, C: Observer> Observer for (A, B, C) {
    fn observe(&mut self, now: Time, event: &Event<'_>) {
        self.0.observe(now, event);
        self.1.observe(now, event);
        self.2.observe(now, event);
    }
}

impl<O: Observer> Observer for Option<O> {
    fn observe(&mut self, now: Time, event: &Event<'_>) {
        if let Some(observer) = self {
            observer.observe(now, event);
        }
    }
}

/// One thing that happened.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// The trial entered a phase.
    Phase(Phase),
    /// An application called `publish()`; the message is `tag`'s.
    Submitted {
        /// The message.
        tag: MessageTag,
    },
    /// The publisher's endpoint did not take the message, or gave it up before the end.
    Refused {
        /// The message.
        tag: MessageTag,
        /// Why.
        why: DropReason,
    },
    /// The publisher's handshake ended well: sent (QoS 0), PUBACK, or PUBCOMP.
    Completed {
        /// The message.
        tag: MessageTag,
    },
    /// A node handed a packet to the network, which decided its fate there and then.
    Sent {
        /// The node that sent it.
        node: Node,
        /// On which connection.
        connection: ConnectionNumber,
        /// The packet.
        packet: &'a PacketMeta<'a>,
        /// Its fate.
        fate: &'a Fate,
    },
    /// A packet reached a node, before the node's endpoint handles it.
    Arrived {
        /// The node that receives it.
        node: Node,
        /// On which connection.
        connection: ConnectionNumber,
        /// The packet.
        packet: &'a PacketMeta<'a>,
    },
    /// A packet that no node will ever read: it reached a node that does not have its connection
    /// open, or its connection ended while it was on its way.
    Discarded {
        /// Whom it was for.
        node: Node,
        /// On which connection.
        connection: ConnectionNumber,
        /// The packet.
        packet: &'a PacketMeta<'a>,
    },
    /// A client's endpoint delivered a message to its application.
    Delivered {
        /// The subscriber.
        client: ClientIndex,
        /// The message.
        tag: MessageTag,
        /// The QoS of the PUBLISH it came in.
        qos: QoS,
        /// The PUBLISH's RETAIN flag.
        retain: bool,
    },
    /// The broker dropped a copy it owed to a subscriber.
    Dropped {
        /// The subscriber.
        client: ClientIndex,
        /// The message.
        tag: MessageTag,
        /// Why.
        why: DropReason,
    },
    /// The transport opened a connection at a node.
    Opened {
        /// The node.
        node: Node,
        /// The connection.
        connection: ConnectionNumber,
        /// The client whose link it is on.
        client: ClientIndex,
    },
    /// A node closed a connection, or learnt that it is gone.
    Closed {
        /// The node.
        node: Node,
        /// The connection.
        connection: ConnectionNumber,
        /// The client whose link it is on.
        client: ClientIndex,
        /// Why.
        why: CloseReason,
    },
    /// TCP sent something of its own: to open or close a connection, what was lost again,
    /// acknowledgements, the headers of what had waited.
    Overhead {
        /// On whose link.
        client: ClientIndex,
        /// In which direction.
        direction: Direction,
        /// The purpose of the bytes.
        purpose: OverheadPurpose,
        /// How many segments went at once.
        segments: u32,
        /// The number of bytes on the wire, all headers included.
        bytes: u32,
    },
    /// What a node has written fills its socket: the rest waits outside of it, or is dropped.
    SocketFull {
        /// The node.
        node: Node,
        /// The client whose link it is on.
        client: ClientIndex,
    },
    /// A connection died without either end being notified: whatever is sent on it vanishes.
    DiedSilently {
        /// The connection.
        connection: ConnectionNumber,
        /// The client whose link it is on.
        client: ClientIndex,
        /// Why.
        why: SilentDeathCause,
    },
    /// A client's link, or one direction of it, stopped or slowed down by a fault.
    Impaired {
        /// The client whose link it is.
        client: ClientIndex,
        /// How.
        impairment: Impairment,
    },
    /// The end of what [`Event::Impaired`] reported.
    ImpairmentEnded {
        /// The client whose link it is.
        client: ClientIndex,
        /// The impairment.
        impairment: Impairment,
    },
    /// A node crashed: only what its store kept is left.
    Crashed {
        /// The node.
        node: Node,
    },
    /// A node that had crashed is back.
    Restarted {
        /// The node.
        node: Node,
    },
    /// The broker published a client's will.
    WillPublished {
        /// The will's message.
        tag: MessageTag,
    },
    /// The broker ended a session whose expiry interval had passed.
    SessionExpired {
        /// The client whose session it is.
        client: ClientIndex,
    },
    /// A client's link went down by an outage.
    OutageBegan {
        /// The client whose link it is.
        client: ClientIndex,
    },
    /// A client's link came up again.
    OutageEnded {
        /// The client whose link it is.
        client: ClientIndex,
    },
    /// Remaining work of an endpoint after it handled an input. Reported when it changed.
    Backlog {
        /// The node.
        node: Node,
        /// Messages that await an acknowledgement, over all its sessions.
        in_flight: u32,
        /// Messages that wait for a place in the window or for a connection.
        queued: u32,
    },
}

/// The phases of a trial (`docs/model.md`, "Phases of a trial").
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// Clients connect and subscribe; none publishes yet.
    Connecting,
    /// The workload runs, with faults.
    Traffic,
    /// "Calm 1" in results: faults have ended; only disconnected nodes connect again.
    Drain,
    /// "Calm 2" in results: every persistent session reconnects once.
    ReconnectDrain,
    /// Nothing more can happen, or a limit was reached.
    Over,
}

impl_fingerprint! { fieldless Phase }

/// Why an endpoint let go of a message it did not see through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DropReason {
    /// The offline or in-flight queue was full.
    QueueFull,
    /// QoS 0 while there was no connection.
    Offline,
    /// QoS 0 while the socket had no room.
    SocketFull,
    /// The limit of transmissions was reached.
    GaveUp,
    /// The receiver refused it with a reason code of 0x80 or more.
    Rejected,
    /// The session that held it ended.
    SessionEnded,
    /// It expired before it was first sent on.
    Expired,
    /// It is larger than the receiver's Maximum Packet Size.
    TooLarge,
}

impl DropReason {
    /// All reasons, in their order.
    pub const ALL: [Self; 8] = [
        Self::QueueFull,
        Self::Offline,
        Self::SocketFull,
        Self::GaveUp,
        Self::Rejected,
        Self::SessionEnded,
        Self::Expired,
        Self::TooLarge,
    ];
}

/// Why a connection closed at a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CloseReason {
    /// The node's endpoint wanted it: after DISCONNECT, a refusal, or to connect anew.
    Requested,
    /// The node's endpoint heard nothing for too long.
    KeepAlive,
    /// Another connection of the same client replaced it.
    TakenOver,
    /// The peer broke the protocol.
    Protocol,
    /// The peer closed it.
    Peer,
    /// A reset came: the peer does not know it.
    Reset,
    /// A fault cut it.
    Cut,
    /// The transport gave up sending what was not acknowledged.
    UserTimeout,
    /// The node crashed.
    Crash,
}

/// Bytes that TCP sends of its own accord.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OverheadPurpose {
    /// To open or close a connection: TCP's handshake and TLS's, and the end of a stream.
    Handshake,
    /// A segment, again.
    Retransmission,
    /// A segment without data: an acknowledgement that no data took along, or a question whether
    /// the receiver has room.
    Acknowledgement,
    /// The headers of a segment that went later than what it carries was written.
    LateSegment,
}

/// Why a connection died silently.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SilentDeathCause {
    /// This end is gone and has forgotten the connection; the other one does not know.
    HalfOpen(Node),
    /// A NAT on the way forgot it, because nothing was sent for too long.
    NatTimeout,
}

/// A fault that lasts for a while and leaves connections open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Impairment {
    /// Nothing gets through in this direction, and it is lost.
    Partition(Direction),
    /// Nothing gets through in either direction, and nothing is lost: it comes later.
    Stall,
    /// The client reads slowly.
    Slow,
}

impl_fingerprint! {
    enum Impairment {
        Partition(direction),
        Stall,
        Slow,
    }
}

/// The network's treatment of one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It never arrives.
    Lost(LossReason),
    /// It arrives once or twice.
    Arrives(Arrival),
    /// It went into a byte stream: it arrives once and in order, unless its connection ends first.
    Streamed,
}

impl Fate {
    /// The plain fate: one arrival, in order.
    #[must_use]
    pub const fn arriving_at(at: Time) -> Self {
        Self::Arrives(Arrival { at, duplicate_at: None, overtakes: false })
    }
}

/// Arrival times of a packet that is not lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// The time at which it arrives.
    pub at: Time,
    /// The time at which the network's duplicate of it arrives.
    pub duplicate_at: Option<Time>,
    /// Whether it arrives before a packet that was sent before it in the same direction.
    pub overtakes: bool,
}

/// Why a packet never arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LossReason {
    /// By the link's rate of random loss.
    Random,
    /// In a burst: by `gemodel` or `burst`.
    Burst,
    /// The link was down.
    Outage,
    /// The link's queue was full: tail drop.
    QueueFull,
    /// By an explicit fault or schedule.
    Forced,
}
