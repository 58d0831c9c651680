//! A trial: one scenario with every choice made.

use std::sync::Arc;

use crate::base::event::SubscriptionRequest;
use crate::base::name::ClientIndex;
use crate::base::qos::QoS;
use crate::base::time::Span;
use crate::mqtt::settings::{BrokerSettings, ClientSettings};
use crate::network::settings::{Interval, LinkSettings};

/// What an engine runs: a setup and the seed that decides the rest.
#[derive(Clone, Debug)]
pub struct Trial {
    /// Everything but luck; shared by all seeds of a point.
    pub setup: Arc<Setup>,
    /// The seed of all luck.
    pub seed: u64,
    /// The short name: a hash of the content, in 8 hexadecimal digits.
    pub name: String,
}

/// Everything of a trial but its luck.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The broker.
    pub broker: BrokerSettings,
    /// The clients, in the order of the file; a fleet is written out.
    pub clients: Vec<ClientSetup>,
    /// Who publishes what, in the order of the file.
    pub streams: Vec<StreamSetup>,
    /// When the trial is stopped though not quiescent, counted from its start.
    pub deadline: Span,
    /// After how many events the trial is stopped though not quiescent.
    pub max_events: u64,
    /// Whether every packet is encoded and decoded on its way.
    pub wire: bool,
    /// How the trial is judged.
    pub judge: JudgeSettings,
}

/// One client.
#[derive(Clone, Debug)]
pub struct ClientSetup {
    /// Its name, unique in the trial; luck is drawn by it.
    pub name: Arc<str>,
    /// The MQTT client.
    pub settings: ClientSettings,
    /// Its link to the broker.
    pub link: Arc<LinkSettings>,
    /// What it subscribes to.
    pub subscriptions: Vec<SubscriptionSetup>,
    /// When it is away, in order, without overlap.
    pub absences: Vec<Absence>,
}

/// One subscription of a client.
#[derive(Clone, Debug)]
pub struct SubscriptionSetup {
    /// What to ask for.
    pub request: SubscriptionRequest,
    /// When, after the start of the traffic; `None`: before the traffic starts.
    pub from: Option<Span>,
    /// When it unsubscribes, after the start of the traffic; `None`: never.
    pub until: Option<Span>,
}

/// A time in which a client has sent DISCONNECT and stays away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Absence {
    /// When it disconnects, after the start of the traffic.
    pub at: Span,
    /// How long it stays away.
    pub lasts: Span,
}

/// One publishing workload of one client.
#[derive(Clone, Debug)]
pub struct StreamSetup {
    /// Its name, unique in the trial: the client's, or `client/2` for its second workload.
    pub name: Arc<str>,
    /// Who publishes.
    pub client: ClientIndex,
    /// The topic name.
    pub topic: Arc<str>,
    /// With which QoS.
    pub qos: QoS,
    /// With which RETAIN flag.
    pub retain: bool,
    /// How many messages.
    pub count: u32,
    /// From one `publish()` to the next.
    pub every: Interval,
    /// The first `publish()` comes at a time drawn evenly from this span after the traffic starts.
    pub spread: Span,
    /// Payload lengths in bytes.
    pub payload: PayloadSize,
    /// Only the messages with these sequence numbers, ascending; `None` for all. The others are
    /// left out and nothing else moves.
    pub only: Option<Arc<[u32]>>,
}

/// Payload lengths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PayloadSize {
    /// Always so many bytes.
    Fixed(u32),
    /// Evenly between two lengths, both included.
    Uniform(u32, u32),
}

/// How a trial is judged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JudgeSettings {
    /// Whether the order of first copies is a promise too.
    pub order: bool,
    /// Whether a declared dropping policy excuses a message lost to a full queue.
    pub allow_queue_overflow: bool,
}
