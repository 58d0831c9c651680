//! The scenario file as it is written: one struct a table, which is at once what is read, what
//! `check --show` writes, and what the JSON Schema says. Defaults stand here and nowhere else,
//! except those of links, which a preset may give.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::link::{DelayTable, Direction, LossTable, ReorderTable};
use super::problem::Problem;
use super::texts::{Bytes, Duration, Every, Payload, Percent, Rate};
use super::value::{Either, Given, Levels, Text, Whole};
use super::words::{
    BlameWord, BreachWord, DeliverOnWord, IdsWord, OnFullWord, PromiseWord, Qos0Word,
    RepeatedPubrecWord, SessionWord, TransportWord, VersionWord,
};
use crate::base::time::Span;

/// A qoslab scenario: clients, a broker, the network between them, and what is expected.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    /// The version of this format: 1.
    pub schema: Given<Whole<1, 1>>,
    /// The scenario's name: letters, digits, `-`, `_` and `.`; results are kept under it.
    pub name: Given<String>,
    /// What it is about.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub about: String,
    /// The version of MQTT that clients speak.
    #[serde(default = "default_mqtt")]
    pub mqtt: Given<VersionWord>,
    /// When a trial is stopped though messages are still under way, in virtual time.
    #[serde(default = "default_deadline")]
    pub deadline: Given<Duration>,
    /// Which seeds, one trial each.
    #[serde(default)]
    pub seeds: SeedsTable,
    /// The broker.
    #[serde(default)]
    pub broker: BrokerTable,
    /// The clients.
    pub client: Vec<Given<ClientTable>>,
    /// The links; every client has exactly one, to the broker.
    #[serde(default)]
    pub link: Vec<Given<LinkTable>>,
    /// What is expected beyond the promises.
    #[serde(default)]
    pub expect: ExpectTable,
}

/// A range of seeds.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct SeedsTable {
    /// The first seed.
    pub from: Whole<0, 4_000_000_000>,
    /// How many.
    pub count: Whole<1, 1_000_000>,
}

/// The broker's settings.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct BrokerTable {
    /// When it sends again what was not acknowledged.
    pub retry: Given<Retry>,
    /// Messages it may have unacknowledged with each client.
    pub max_inflight: Whole<1, 65_535>,
    /// Messages that may wait for each client.
    pub max_queued: Whole<1, 1_000_000_000>,
    /// What happens to one more.
    pub on_full: OnFullWord,
    /// Whether QoS 0 messages wait for a client that is away.
    pub queue_qos0: bool,
    /// How packet ids are given out.
    pub ids: IdsWord,
    /// On which packet a QoS 2 message is passed on.
    pub deliver_on: DeliverOnWord,
    /// What it does when PUBREC comes again after its PUBREL.
    pub repeated_pubrec: RepeatedPubrecWord,
    /// The highest QoS that it grants.
    pub max_qos: Whole<0, 2>,
}

/// A client, or a fleet of equal ones.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ClientTable {
    /// Its name; `{i}` stands for its number in the fleet, from 1.
    pub name: Given<String>,
    /// How many of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<Given<Whole<1, 1_000_000>>>,
    /// Whether the broker keeps its session while it is away.
    #[serde(default)]
    pub session: SessionWord,
    /// Pings after so long without a packet, in whole seconds; `0s` for never. It only costs bytes
    /// today: nobody closes a connection for a missing ping or answer.
    #[serde(default = "default_keep_alive")]
    pub keep_alive: Given<Duration>,
    /// When it sends again what was not acknowledged.
    #[serde(default = "default_retry")]
    pub retry: Given<Retry>,
    /// How packet ids are given out.
    #[serde(default)]
    pub ids: IdsWord,
    /// On which packet a QoS 2 message reaches the application.
    #[serde(default)]
    pub deliver_on: DeliverOnWord,
    /// What it does when PUBREC comes again after its PUBREL.
    #[serde(default)]
    pub repeated_pubrec: RepeatedPubrecWord,
    /// Messages it may have unacknowledged.
    #[serde(default = "default_inflight")]
    pub max_inflight: Whole<1, 65_535>,
    /// What it does with messages that cannot leave yet.
    #[serde(default)]
    pub offline: OfflineTable,
    /// When it disconnects and stays away, counted from the start of the traffic.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub away: Vec<Given<AwayTable>>,
    /// What it publishes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub publish: Vec<Given<PublishTable>>,
    /// What it subscribes to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subscribe: Vec<Given<SubscribeTable>>,
}

/// What a client does with messages that cannot leave yet.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct OfflineTable {
    /// Whether QoS 0 messages wait for a connection.
    pub qos0: Qos0Word,
    /// How many messages may wait.
    pub max: Whole<1, 1_000_000_000>,
    /// What happens to one more.
    pub on_full: OnFullWord,
}

/// A time in which a client is disconnected.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AwayTable {
    /// When it disconnects, after the start of the traffic.
    pub at: Given<Duration>,
    /// How long it stays away.
    pub lasts: Given<Duration>,
}

/// A workload.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PublishTable {
    /// The topic; `{i}` stands for the client's number.
    pub topic: Given<String>,
    /// The QoS; a list is an axis: one trial each.
    pub qos: Given<Levels>,
    /// How many messages.
    pub count: Given<Whole<1, 100_000_000>>,
    /// The time from one message to the next.
    pub every: Given<Every>,
    /// The first message comes at a time drawn evenly from this span.
    #[serde(default = "default_spread")]
    pub spread: Given<Duration>,
    /// How long the payloads are.
    #[serde(default = "default_payload")]
    pub payload: Given<Payload>,
    /// Whether the broker keeps the last message for later subscribers.
    #[serde(default)]
    pub retain: bool,
    /// Publish only the messages with these numbers, from 0; the others are left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only: Option<Given<Vec<u32>>>,
}

/// A subscription.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SubscribeTable {
    /// The topic filter; `{i}` stands for the client's number.
    pub filter: Given<String>,
    /// The QoS asked for; a list is an axis: one trial each.
    pub qos: Given<Levels>,
    /// When, after the start of the traffic; before the traffic if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Given<Duration>>,
    /// When it unsubscribes; never if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Given<Duration>>,
}

/// A link, or the equal links of a fleet. Words as in tc-netem(8).
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LinkTable {
    /// Which client, with `*` for any letters, and `"broker"`.
    pub between: Given<Vec<String>>,
    /// How packets are carried: each MQTT packet as a datagram of its own.
    #[serde(default)]
    pub transport: TransportWord,
    /// A known kind of network, from which the other fields differ.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preset: Option<Given<String>>,
    /// Bytes that the transport adds to each packet; 28 for UDP over IPv4.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub headers: Option<Bytes>,
    /// The delay, one way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay: Option<Given<Either<Duration, DelayTable>>>,
    /// The share of packets lost, each way, or what loses them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss: Option<Given<Either<Percent, LossTable>>>,
    /// The share of packets that arrive twice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duplicate: Option<Percent>,
    /// The share of packets that are sent on at once and so overtake others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reorder: Option<Given<Either<Percent, ReorderTable>>>,
    /// How fast bytes leave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<Rate>,
    /// How many packets may wait to leave; one more is dropped. Only with a rate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<Given<Whole<1, 1_000_000_000>>>,
    /// What is different from the client to the broker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub up: Option<Given<Direction>>,
    /// What is different from the broker to the client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub down: Option<Given<Direction>>,
    /// Times in which nothing gets through, either way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outage: Option<OutageTable>,
}

/// Times in which a link is down.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct OutageTable {
    /// From the end of one to the next.
    pub every: Every,
    /// How long one lasts.
    pub lasts: Every,
}

/// What is expected.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ExpectTable {
    /// Whether messages must arrive in order; off over datagrams, which may reorder.
    pub order: bool,
    /// Excuses that count: `"queue-overflow"`.
    pub allow: Vec<Given<String>>,
    /// What must happen at least once over all trials.
    pub sometimes: Vec<Given<String>>,
    /// Bounds that must hold, such as `"qos1.latency.p99 <= 2s"`.
    pub need: Vec<Given<String>>,
    /// Promises that are known to break, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub broken: Vec<Given<BrokenTable>>,
}

/// A promise that is known to break.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct BrokenTable {
    /// Which promise.
    pub promise: PromiseWord,
    /// How it breaks.
    pub kind: BreachWord,
    /// Whose fault it is.
    pub blame: BlameWord,
    /// Why it happens.
    pub why: String,
}

/// When an unacknowledged packet is sent again: `"reconnect"`, `"1s"`, or a table.
pub(super) type Retry = Either<RetryWord, RetryTable>;

/// The retry rule in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RetryWord {
    /// Only on a new connection.
    Reconnect,
    /// After a constant time.
    Every(Span),
}

/// The timer rule's numbers.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RetryTable {
    /// From the first transmission to the second.
    pub every: Duration,
    /// What each further interval is multiplied by, from 1 to 100.
    #[serde(default = "default_backoff")]
    pub backoff: f64,
    /// At most so many transmissions of one packet; no limit if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<Whole<1, 1_000_000>>,
}

impl Text for RetryWord {
    const WANTED: &'static str = "\"reconnect\" or a time such as \"1s\"";
    const PATTERN: &'static str = r"^(reconnect|\s*[0-9.]+.*)$";

    fn read(text: &str) -> Result<Self, Problem> {
        match text {
            "reconnect" => Ok(Self::Reconnect),
            _ => Duration::read(text).map(|every| Self::Every(every.0)).map_err(|problem| {
                let help = format!("{}, or \"reconnect\"", problem.help);
                problem.help(help)
            }),
        }
    }

    fn write(&self) -> String {
        match self {
            Self::Reconnect => "reconnect".to_owned(),
            Self::Every(span) => Duration(*span).write(),
        }
    }
}

const fn default_mqtt() -> Given<VersionWord> {
    Given::assumed(VersionWord::V311)
}

const fn default_deadline() -> Given<Duration> {
    Given::assumed(Duration(Span::from_secs(3_600)))
}

const fn default_keep_alive() -> Given<Duration> {
    Given::assumed(Duration(Span::ZERO))
}

const fn default_retry() -> Given<Retry> {
    Given::assumed(Either::Text(RetryWord::Every(Span::from_secs(1))))
}

const fn default_inflight() -> Whole<1, 65_535> {
    Whole(20)
}

const fn default_spread() -> Given<Duration> {
    Given::assumed(Duration(Span::ZERO))
}

const fn default_payload() -> Given<Payload> {
    Given::assumed(Payload(super::trial::PayloadSize::Fixed(64)))
}

const fn default_backoff() -> f64 {
    1.0
}

impl Default for SeedsTable {
    fn default() -> Self {
        Self { from: Whole(1), count: Whole(100) }
    }
}

impl Default for BrokerTable {
    fn default() -> Self {
        Self {
            retry: default_retry(),
            max_inflight: default_inflight(),
            max_queued: Whole(1_000),
            on_full: OnFullWord::default(),
            queue_qos0: false,
            ids: IdsWord::default(),
            deliver_on: DeliverOnWord::default(),
            repeated_pubrec: RepeatedPubrecWord::default(),
            max_qos: Whole(2),
        }
    }
}

impl Default for OfflineTable {
    fn default() -> Self {
        Self { qos0: Qos0Word::default(), max: Whole(1_000), on_full: OnFullWord::default() }
    }
}
