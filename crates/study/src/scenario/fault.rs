//! The faults of a scenario file as they are written.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::texts::{Duration, Every};
use super::value::{Either, Given, Whole};
use super::words::{CrashPointWord, CutWord, DoWord, EndWord, PeersWord, WayWord};
use qoslab_core::base::time::Span;
use qoslab_core::network::settings::Interval;

mod action;
mod expand;
mod packet;
mod written;

pub(super) use expand::expand;
pub(super) use written::written;

/// A fault: when it comes, whom it befalls, and what it does.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct FaultTable {
    /// Once, so long after the start of the traffic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Given<Duration>>,
    /// Again and again, so long after one another, while the traffic lasts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<Given<Every>>,
    /// At a packet, from the first CONNECT on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<Given<WhenTable>>,
    /// The client, with `*` for any letters, or `"broker"`. At a packet it befalls the link that
    /// the packet is on, and a crash its receiver.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on: Option<Given<String>>,
    /// What it does.
    #[serde(rename = "do")]
    pub action: Given<Do>,
}

/// A packet, by what it is and how many of its kind went that way before.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct WhenTable {
    /// Its kind, such as `"PUBREC"`; or the whole name of one packet, such as
    /// `"sensor#7 / broker / 0 / PUBREC / 0"`, and then nothing else.
    pub packet: Given<String>,
    /// Which of them on that link, from 1, counted from the start of the trial; resends count.
    #[serde(default = "first", skip_serializing_if = "is_first")]
    pub nth: Whole<1, 1_000_000_000>,
    /// The client that the broker sends it to, with `*` for any letters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Given<String>>,
    /// The client that sends it to the broker, with `*` for any letters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Given<String>>,
}

/// What a fault does, in a word or with more to say.
pub(super) type Do = Either<DoWord, DoTable>;

/// What a fault does, with its settings.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum DoTable {
    /// Cuts the connection before or after the packet (tcp).
    Cut(CutWord),
    /// The packet arrives so much later (datagram).
    Delay(Duration),
    /// The packet arrives again, so much later (datagram).
    Duplicate(Duration),
    /// This end forgets the connection, and the other is not told (tcp).
    HalfOpen(EndWord),
    /// For so long nothing gets through, and comes later (tcp).
    Stall(Every),
    /// For a while nothing gets through one way or both, and is lost.
    Partition(PartitionTable),
    /// For so long nothing gets through either way, and is lost.
    Outage(Every),
    /// The node crashes, and starts again with what its store kept.
    Crash(CrashTable),
    /// The client reads slowly for a while (tcp).
    Slow(SlowTable),
}

/// How one direction of a link, or both, goes dead.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PartitionTable {
    /// How long.
    pub lasts: Every,
    /// Which way.
    #[serde(default)]
    pub way: WayWord,
}

/// How a node crashes.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct CrashTable {
    /// How long it is down.
    pub down: Every,
    /// What the other ends of its connections see.
    pub peers: PeersWord,
    /// Where in its work on the packet; only with `when`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub point: Option<CrashPointWord>,
}

/// How a client reads slowly.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SlowTable {
    /// It reads at most one packet in this time.
    pub pace: Duration,
    /// How long.
    pub lasts: Every,
}

impl Default for CrashTable {
    fn default() -> Self {
        let down = Every(Interval::Fixed(Span::from_secs(3)));
        Self { down, peers: PeersWord::default(), point: None }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
fn is_first(nth: &Whole<1, 1_000_000_000>) -> bool {
    *nth == first()
}

const fn first() -> Whole<1, 1_000_000_000> {
    Whole(1)
}
