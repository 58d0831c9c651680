//! A trial: one scenario with every choice made.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use qoslab_core::base::{
    ClientIndex, Direction, Impairment, Node, PacketKind, PacketName, QoS, Span,
    SubscriptionRequest,
};
use qoslab_core::mqtt::{BrokerSettings, ClientSettings, StorePolicy};
use qoslab_core::network::radio::RadioSettings;
use qoslab_core::network::{IntervalDistribution, LinkSettings};

use super::metric_scope::MetricScope;
use super::schedule::Schedule;
use qoslab_core::impl_fingerprint;

pub use qoslab_core::network::fate::PacketAction;

/// Input of an engine: a setup and the seed that decides the rest.
#[derive(Clone, Debug)]
pub struct Trial {
    /// Everything but the seed; shared by all seeds of a point.
    pub setup: Arc<Setup>,
    /// The seed of all random draws.
    pub seed: u64,
    /// The short name: a hash of the content, in 8 hexadecimal digits.
    pub name: String,
}

/// Everything in a trial but its seed.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The broker.
    pub broker: BrokerSettings,
    /// The part of its state that the broker keeps through a crash.
    pub broker_store: StorePolicy,
    /// The clients, in the order of the file; a fleet is written out.
    pub clients: Vec<ClientSetup>,
    /// The publishing workloads, in the order of the file.
    pub publishers: Vec<PublisherSetup>,
    /// Faults of nodes, links and packets.
    pub faults: Vec<FaultSetup>,
    /// When the trial is stopped though not quiescent, counted from its start.
    pub deadline: Span,
    /// After how many events the trial is stopped though not quiescent.
    pub max_events: u64,
    /// Whether every packet is encoded and decoded on its way.
    pub wire: bool,
    /// How the trial is judged.
    pub judge: JudgeSettings,
    /// Explicit choices in place of all random draws; `None` where the seed decides.
    pub schedule: Option<Arc<Schedule>>,
    /// Of what metrics are kept apart, none twice. It changes what is measured and nothing else.
    pub scopes: Vec<MetricScope>,
}

/// One client.
#[derive(Clone, Debug)]
pub struct ClientSetup {
    /// Its name, unique in the trial; random draws are keyed by it.
    pub name: Arc<str>,
    /// The MQTT client.
    pub settings: ClientSettings,
    /// Its link to the broker.
    pub link: Arc<LinkSettings>,
    /// Its subscriptions.
    pub subscriptions: Vec<SubscriptionSetup>,
    /// When it is away, in order, without overlap.
    pub offline_periods: Vec<OfflinePeriod>,
    /// The part of its state that it keeps through a crash.
    pub store: StorePolicy,
    /// Its radio, where it has one: packets wait until it is awake.
    pub radio: Option<Arc<RadioSettings>>,
    /// Whether the bytes on its link are billed, and the price of a million of them in the
    /// scenario's currency: zero where no link has a price.
    pub billed: Option<f64>,
}

/// One subscription of a client.
#[derive(Clone, Debug)]
pub struct SubscriptionSetup {
    /// The SUBSCRIBE request.
    pub request: SubscriptionRequest,
    /// When, after the start of the traffic; `None`: before the traffic starts.
    pub from: Option<Span>,
    /// When it unsubscribes, after the start of the traffic; `None`: never.
    pub until: Option<Span>,
}

/// A period in which a client has sent DISCONNECT and stays away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OfflinePeriod {
    /// When it disconnects, after the start of the traffic.
    pub at: Span,
    /// How long it stays away.
    pub lasts: Span,
}

/// One publishing workload of one client.
#[derive(Clone, Debug)]
pub struct PublisherSetup {
    /// Its name, unique in the trial: the client's, or `client/2` for its second workload.
    pub name: Arc<str>,
    /// The client that publishes.
    pub client: ClientIndex,
    /// The topic name.
    pub topic: Arc<str>,
    /// With which QoS.
    pub qos: QoS,
    /// With which RETAIN flag.
    pub retain: bool,
    /// 5.0's Message Expiry Interval in seconds.
    pub expiry: Option<u32>,
    /// Whether these are the wills of its client, one a connection, which the broker publishes.
    /// Such a stream has a `count` of 0.
    pub is_will: bool,
    /// The number of messages.
    pub count: u32,
    /// From one `publish()` to the next.
    pub every: IntervalDistribution,
    /// The first `publish()` comes at a time drawn evenly from this span after the traffic starts.
    pub spread: Span,
    /// Payload lengths in bytes.
    pub payload: PayloadSize,
    /// Only the messages with these sequence numbers, ascending; `None` for all. The others are
    /// left out and nothing else moves.
    pub only_sequences: Option<Arc<[u32]>>,
}

/// Payload lengths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PayloadSize {
    /// Always this number of bytes.
    Fixed(u32),
    /// Evenly between two lengths, both included.
    Uniform(u32, u32),
}

impl PayloadSize {
    /// The mean length in bytes, rounded down.
    #[must_use]
    pub const fn mean(self) -> u32 {
        match self {
            Self::Fixed(len) => len,
            Self::Uniform(low, high) => low / 2 + high / 2,
        }
    }

    /// The greatest length in bytes.
    #[must_use]
    pub const fn max(self) -> u32 {
        match self {
            Self::Fixed(len) => len,
            Self::Uniform(_, high) => high,
        }
    }
}

/// One fault.
#[derive(Clone, Debug, PartialEq)]
pub struct FaultSetup {
    /// Its name, unique in the trial; its random times are keyed by it.
    pub name: Arc<str>,
    /// The condition for it to occur.
    pub trigger: Trigger,
    /// Its effect.
    pub action: FaultAction,
}

/// The condition for a fault to occur.
#[derive(Clone, Debug, PartialEq)]
pub enum Trigger {
    /// Once, at this time after the start of the traffic.
    At(Span),
    /// Again and again, from the start of the traffic until the first calm.
    Every(IntervalDistribution),
    /// When a packet is sent.
    NthPacket(PacketTrigger),
    /// When the packet of this name is sent.
    NamedPacket(PacketName),
}

/// One packet of one link, by its kind and the number of such packets that went that way before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PacketTrigger {
    /// On whose link.
    pub client: ClientIndex,
    /// In which direction.
    pub direction: Direction,
    /// Of which kind.
    pub kind: PacketKind,
    /// Its ordinal, from 1, counted from the start of the trial; resends count.
    pub nth: u32,
}

/// The effect of a fault.
#[derive(Clone, Debug, PartialEq)]
pub enum FaultAction {
    /// The packet that triggers it meets another fate; over datagrams only.
    Packet(PacketAction),
    /// A client's connection is cut: both ends learn at once, and what is under way is lost.
    /// At a packet, `after` says whether that packet still arrives; the cut then follows at once.
    Cut {
        /// The client whose connection it is.
        client: ClientIndex,
        /// Whether the triggering packet arrives first.
        after: bool,
    },
    /// One end of a client's connection forgets it, and the other end is not notified.
    HalfOpen {
        /// The client whose connection it is.
        client: ClientIndex,
        /// The end that forgets it: the client or the broker.
        dead_node: Node,
    },
    /// A link, or one direction of it, or a reader, is impaired for a while.
    Impair {
        /// The client whose link it is.
        client: ClientIndex,
        /// How.
        impairment: Impairment,
        /// Its duration.
        lasts: IntervalDistribution,
        /// With [`Impairment::Slow`]: at most one packet is read in this time.
        read_interval: Span,
    },
    /// A link is down in both directions for a while.
    Outage {
        /// The client.
        client: ClientIndex,
        /// Its duration.
        lasts: IntervalDistribution,
    },
    /// A node crashes, and starts again with what its store kept.
    Crash {
        /// The node.
        node: Node,
        /// How long it is down.
        down: IntervalDistribution,
        /// Effect on the other ends of its connections.
        peers: PeerVisibility,
        /// Where in the work on the triggering packet; at a time, always
        /// [`CrashPoint::BetweenEvents`].
        point: CrashPoint,
    },
}

impl_fingerprint! {
    enum FaultAction {
        Packet(action),
        Cut { client, after },
        HalfOpen { client, dead_node },
        Impair { client, impairment, lasts, read_interval },
        Outage { client, lasts },
        Crash { node, down, peers, point },
    }
}

/// What the peers of a crashed node observe.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PeerVisibility {
    /// Their connections are closed one delay later: its process died.
    #[default]
    Close,
    /// Their connections are reset one delay later, and what was under way is lost.
    Reset,
    /// Nothing: it lost its power.
    Silence,
}

impl_fingerprint! { fieldless PeerVisibility }

/// The point at which a crash falls. One `handle` is a transaction: never between a delivery and
/// the id that remembers it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CrashPoint {
    /// Between two events.
    #[default]
    BetweenEvents,
    /// The packet has arrived, and nothing that follows from it is stored.
    BeforeCommit,
    /// What follows from it is stored, and nothing is sent.
    AfterCommit,
    /// What follows from it is stored, and of what is to be sent the first packet is.
    BetweenSends,
}

impl_fingerprint! { fieldless CrashPoint }

/// The rule by which a trial is judged.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct JudgeSettings {
    /// Whether the order of first copies is a promise too.
    pub order: bool,
    /// Whether a declared dropping policy excuses a message lost to a full queue.
    pub allow_queue_overflow: bool,
}
