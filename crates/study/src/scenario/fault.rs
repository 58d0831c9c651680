//! The faults of a scenario file as they are written.

#[cfg(feature = "studies")]
use schemars::JsonSchema;
use serde::Serialize;

use super::from_toml::{FromToml, read_entry, read_table};
use super::keywords::{
    ActionKeyword, CrashPointKeyword, CutKeyword, DirectionKeyword, EndKeyword, PeersKeyword,
};
use super::quantities::{Duration, IntervalValue};
use super::value::{BoundedInt, Located, TextOrTable};
use qoslab_core::base::Span;
use qoslab_core::network::IntervalDistribution;

mod action;
mod expand;
mod packet;
mod table;

pub(super) use expand::expand;
pub(super) use table::fault_table;

/// A fault: when it comes, whom it concerns, and what it does.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "studies", derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct FaultTable {
    /// Once, so long after the start of the traffic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Located<Duration>>,
    /// Again and again, so long after one another, while the traffic lasts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<Located<IntervalValue>>,
    /// At a packet, from the first CONNECT on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<Located<WhenTable>>,
    /// The client, with `*` for any letters, or `"broker"`. At a packet it applies to the link that
    /// the packet is on, and a crash its receiver.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on: Option<Located<String>>,
    /// What it does.
    #[serde(rename = "do")]
    pub action: Located<ActionSetting>,
}
read_table!(FaultTable {
    at = None, every or "'1s'" = None, when = None, on = None,
    action as "do" or "{ outage = '1s' }",
});

/// A packet, by what it is and how many of its kind went that way before.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "studies", derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct WhenTable {
    /// Its kind, such as `"PUBREC"`; or the whole name of one packet, such as
    /// `"sensor#7 / broker / 0 / PUBREC / 0"`, and then nothing else.
    pub packet: Located<String>,
    /// Which of them on that link, from 1, counted from the start of the trial; resends count.
    #[serde(default = "default_nth", skip_serializing_if = "is_default_nth")]
    pub nth: BoundedInt<1, 1_000_000_000>,
    /// The client that the broker sends it to, with `*` for any letters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Located<String>>,
    /// The client that sends it to the broker, with `*` for any letters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Located<String>>,
}
read_table!(WhenTable { packet or "'CONNECT'", nth = default_nth(), to = None, from = None });

/// What a fault does, in a word or with more to say.
pub(super) type ActionSetting = TextOrTable<ActionKeyword, ActionTable>;

/// What a fault does, with its settings.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "studies", derive(JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub(super) enum ActionTable {
    /// Cuts the connection before or after the packet (tcp).
    Cut(CutKeyword),
    /// The packet arrives so much later (datagram).
    Delay(Duration),
    /// The packet arrives again, so much later (datagram).
    Duplicate(Duration),
    /// This end forgets the connection, and the other is not told (tcp).
    HalfOpen(EndKeyword),
    /// For so long nothing gets through, and comes later (tcp).
    Stall(IntervalValue),
    /// For a while nothing gets through one way or both, and is lost.
    Partition(PartitionTable),
    /// For so long nothing gets through either way, and is lost.
    Outage(IntervalValue),
    /// The node crashes, and starts again with what its store kept.
    Crash(CrashTable),
    /// The client reads slowly for a while (tcp).
    Slow(SlowTable),
}
read_entry!(ActionTable {
    "cut" => Cut, "delay" => Delay, "duplicate" => Duplicate, "half-open" => HalfOpen,
    "stall" => Stall, "partition" => Partition, "outage" => Outage, "crash" => Crash,
    "slow" => Slow,
});

/// How one direction of a link, or both, goes dead.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "studies", derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct PartitionTable {
    /// How long.
    pub lasts: IntervalValue,
    /// Which way.
    #[serde(default)]
    pub way: DirectionKeyword,
}
read_table!(PartitionTable { lasts or "'1s'", way = DirectionKeyword::default() });

/// How a node crashes.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "studies", derive(JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub(super) struct CrashTable {
    /// How long it is down.
    pub down: IntervalValue,
    /// What the other ends of its connections see.
    pub peers: PeersKeyword,
    /// Where in its work on the packet; only with `when`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub point: Option<CrashPointKeyword>,
}
read_table!(CrashTable or default { down, peers, point });

/// How a client reads slowly.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "studies", derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct SlowTable {
    /// It reads at most one packet in this time.
    pub pace: Duration,
    /// How long.
    pub lasts: IntervalValue,
}
read_table!(SlowTable { pace or "'1s'", lasts or "'1s'" });

impl Default for CrashTable {
    fn default() -> Self {
        let down = IntervalValue(IntervalDistribution::Fixed(Span::from_secs(3)));
        Self { down, peers: PeersKeyword::default(), point: None }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
fn is_default_nth(nth: &BoundedInt<1, 1_000_000_000>) -> bool {
    *nth == default_nth()
}

const fn default_nth() -> BoundedInt<1, 1_000_000_000> {
    BoundedInt(1)
}
