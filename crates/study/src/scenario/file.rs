//! The scenario file as it is written: one struct a table, which is at once what is read, what
//! `check --show` writes, and what the JSON Schema says. Defaults stand here and nowhere else,
//! except those of links, which a preset may give. What is behind a struct says how it is read: a
//! test holds that to the schema.

#[cfg(feature = "studies")]
use schemars::JsonSchema;
use serde::Serialize;

use super::axis::Unit;
use super::client::ClientTable;
use super::fault::FaultTable;
use super::from_toml::read_table;
use super::keywords::{
    BlameKeyword, BreachKeyword, CongestionKeyword, DeliverOnKeyword, IdsKeyword, OnFullKeyword,
    OverlappingKeyword, PromiseKeyword, RepeatedPubrecKeyword, SignOfLifeKeyword, StoreKeyword,
    TlsKeyword, TransportKeyword, VersionKeyword,
};
use super::link::{DelayTable, DirectionTable, LossTable, ReorderTable};
use super::price::BytePrice;
use super::problem::Problem;
use super::quantities::{Bytes, Duration, IntervalValue, Percent, Rate};
use super::schedule_table::ScheduleTable;
use super::socket::SocketTable;
use super::swarm::SwarmTable;
use super::value::{BoundedInt, Located, TextOrTable, TextValue};
use qoslab_core::base::Span;

/// A qoslab scenario: clients, a broker, the network between them, and what is expected.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "studies", derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct ScenarioFile {
    /// The version of this format: 1.
    pub schema: Located<BoundedInt<1, 1>>,
    /// The scenario's name: letters, digits, `-`, `_` and `.`; results are kept under it.
    pub name: Located<String>,
    /// What it is about.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub about: String,
    /// The version of MQTT that clients speak.
    #[serde(default = "default_mqtt")]
    pub mqtt: Located<VersionKeyword>,
    /// When a trial is stopped though messages are still under way, in virtual time.
    #[serde(default = "default_deadline")]
    pub deadline: Located<Duration>,
    /// Which seeds, one trial each.
    #[serde(default)]
    pub seeds: SeedsTable,
    /// The broker.
    #[serde(default)]
    pub broker: BrokerTable,
    /// The clients.
    pub client: Vec<Located<ClientTable>>,
    /// The links; every client has exactly one, to the broker.
    #[serde(default)]
    pub link: Vec<Located<LinkTable>>,
    /// Faults of nodes, links and packets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fault: Vec<Located<FaultTable>>,
    /// Classes of faults that each seed switches on or off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub swarm: Option<Located<SwarmTable>>,
    /// What was drawn at random, in a file recorded from a trial.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<Located<ScheduleTable>>,
    /// What is expected beyond the promises.
    #[serde(default)]
    pub expect: ExpectTable,
    /// What `qoslab sweep` varies.
    #[serde(default, skip_serializing_if = "SweepTable::is_empty")]
    pub sweep: SweepTable,
}
read_table!(ScenarioFile {
    schema or "1", name, about = String::new(), mqtt = default_mqtt(),
    deadline = default_deadline(), seeds = SeedsTable::default(), broker = BrokerTable::default(),
    client, link = Vec::new(), fault = Vec::new(), swarm = None, schedule = None,
    expect = ExpectTable::default(), sweep = SweepTable::default(),
});

/// What a sweep varies.
#[derive(Clone, Debug, Default, Serialize)]
#[cfg_attr(feature = "studies", derive(JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub(super) struct SweepTable {
    /// An axis each: `"link.meter.loss=0%..30%:5%"` or `"client.meter.keep_alive=1m,5m,20m"`.
    pub vary: Vec<Located<String>>,
}
read_table!(SweepTable or default { vary });

impl SweepTable {
    const fn is_empty(&self) -> bool {
        self.vary.is_empty()
    }
}

/// A range of seeds.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "studies", derive(JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub(super) struct SeedsTable {
    /// The first seed.
    pub from: BoundedInt<0, 4_000_000_000>,
    /// How many.
    pub count: BoundedInt<1, 1_000_000>,
}
read_table!(SeedsTable or default { from, count or "1" });

/// The broker's settings.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "studies", derive(JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub(super) struct BrokerTable {
    /// A real product, dated, whose documented settings are the defaults here:
    /// `docs/profiles.md`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<Located<String>>,
    /// What it keeps through a crash: `"durable"`, `"volatile"` or `{ snapshot = "30s" }`.
    pub store: Located<StoreSetting>,
    /// When it sends again what was not acknowledged: `"reconnect"` over tcp, `"1s"` over
    /// datagrams.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry: Option<Located<RetrySetting>>,
    /// Messages it may have unacknowledged with each client.
    pub max_inflight: BoundedInt<1, 65_535>,
    /// Messages that may wait for each client.
    pub max_queued: BoundedInt<1, 1_000_000_000>,
    /// What happens to one more.
    pub on_full: Located<OnFullKeyword>,
    /// Whether QoS 0 messages wait for a client that is away.
    pub queue_qos0: bool,
    /// Its TCP sockets; over tcp.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub socket: Option<Located<SocketTable>>,
    /// How packet ids are given out.
    pub ids: IdsKeyword,
    /// On which packet a QoS 2 message is passed on.
    pub deliver_on: DeliverOnKeyword,
    /// What it does when PUBREC comes again after its PUBREL.
    pub repeated_pubrec: RepeatedPubrecKeyword,
    /// The highest QoS that it grants.
    pub max_qos: BoundedInt<0, 2>,
    /// How many copies of a message a client gets by filters that overlap; one if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overlapping: Option<OverlappingKeyword>,
    /// Messages that a client may have unacknowledged with it (5.0); 65535 if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receive_maximum: Option<Located<BoundedInt<0, 65_535>>>,
    /// The largest packet it takes (5.0); no limit if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_packet_size: Option<Located<Bytes>>,
    /// Topic aliases that a client may use (5.0); none if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic_alias_maximum: Option<Located<BoundedInt<0, 65_535>>>,
    /// What it takes for a sign of life of a client: whole packets, or any bytes of one.
    pub sign_of_life: SignOfLifeKeyword,
    /// Topic filters to which nobody may publish.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub deny: Vec<Located<String>>,
    /// Deviations from the standard: `docs/quirks.md`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub quirks: Vec<Located<String>>,
}
read_table!(BrokerTable or default {
    profile, store, retry, max_inflight, max_queued, on_full, queue_qos0, socket, ids,
    deliver_on, repeated_pubrec, max_qos, overlapping, receive_maximum, max_packet_size,
    topic_alias_maximum, sign_of_life, deny, quirks,
});

/// What an endpoint keeps through a crash.
pub(super) type StoreSetting = TextOrTable<StoreKeyword, SnapshotTable>;

/// A store that is written now and then.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "studies", derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct SnapshotTable {
    /// How often.
    pub snapshot: Duration,
}
read_table!(SnapshotTable { snapshot });

/// A link, or the equal links of a fleet. Words as in tc-netem(8).
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "studies", derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct LinkTable {
    /// Which client, with `*` for any letters, and `"broker"`.
    pub between: Located<Vec<String>>,
    /// How packets are carried: each MQTT packet as a datagram of its own, or each connection as
    /// an ordered stream of bytes, in which a lost segment costs time.
    pub transport: Located<TransportKeyword>,
    /// A known kind of network, from which the other fields differ.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preset: Option<Located<String>>,
    /// Bytes that the transport adds to each packet or segment over IPv4 without options: 28 with
    /// UDP, 40 with TCP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub headers: Option<Bytes>,
    /// The most bytes of MQTT and TLS in one segment, from 1 to 65495; over tcp.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mss: Option<Located<BoundedInt<1, 65_495>>>,
    /// TLS: `"1.2"`, `"1.3"` or `{ version = "1.3", resumption = false }`; over tcp.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Located<TextOrTable<TlsKeyword, TlsTable>>>,
    /// By how much the time until an unacknowledged segment is sent again is above the round trip,
    /// at the least: 200 ms if not given, as in Linux; RFC 6298 has 1 s for all of that time; over
    /// tcp.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rto_min: Option<Located<Duration>>,
    /// How long a sent byte may stay unacknowledged before its sender gives the connection up.
    /// 924.6 s if not given: what Linux's `tcp_retries2` of 15 comes to with `rto_min` at 200 ms
    /// (tcp(7)); over tcp.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_timeout: Option<Located<Duration>>,
    /// A connection on which nothing was sent for so long is forgotten by a NAT on its way; never
    /// if not given; over tcp.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nat_idle: Option<Located<Duration>>,
    /// The congestion control of both senders: `"cubic"` (RFC 9438; Linux, macOS, Windows), or
    /// `"reno"` (RFC 5681; lwIP and most small stacks); cubic if not given; over tcp.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub congestion: Option<Located<CongestionKeyword>>,
    /// The delay, one way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay: Option<Located<TextOrTable<Duration, DelayTable>>>,
    /// The share of packets lost, each way, or what loses them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss: Option<Located<TextOrTable<Percent, LossTable>>>,
    /// The share of packets that arrive twice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duplicate: Option<Located<Percent>>,
    /// The share of packets that are sent on at once and so overtake others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reorder: Option<Located<TextOrTable<Percent, ReorderTable>>>,
    /// How fast bytes leave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<Rate>,
    /// How many packets may wait to leave; one more is dropped. Only with a rate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<Located<BoundedInt<1, 1_000_000_000>>>,
    /// What is different from the client to the broker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub up: Option<Located<DirectionTable>>,
    /// What is different from the broker to the client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub down: Option<Located<DirectionTable>>,
    /// Times in which nothing gets through, either way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outage: Option<OutageTable>,
    /// What bytes cost on it, such as `"0.40EUR/MB"`. Devices that publish are billed, or all of
    /// the link's if none of them publishes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Located<BytePrice>>,
}
read_table!(LinkTable {
    between, transport or "'tcp'", preset = None, headers = None, mss = None, tls = None,
    rto_min = None, user_timeout = None, nat_idle = None, congestion = None,
    delay or "'1s'" = None, loss = None, duplicate = None, reorder = None, rate = None,
    queue = None, up = None, down = None,
    outage = None, price = None,
});

/// TLS, in full.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "studies", derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct TlsTable {
    /// Which version.
    pub version: TlsKeyword,
    /// Whether a client resumes its TLS session when it connects again.
    #[serde(default = "default_true")]
    pub resumption: bool,
}
read_table!(TlsTable { version or "'1.3'", resumption = default_true() });

/// Times in which a link is down.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "studies", derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct OutageTable {
    /// From the end of one to the next.
    pub every: IntervalValue,
    /// How long one lasts.
    pub lasts: IntervalValue,
}
read_table!(OutageTable { every or "'1s'", lasts or "'1s'" });

/// What is expected.
#[derive(Clone, Debug, Default, Serialize)]
#[cfg_attr(feature = "studies", derive(JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub(super) struct ExpectTable {
    /// Whether messages must arrive in order: by default where all links are tcp.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order: Option<bool>,
    /// Excuses that count: `"queue-overflow"`.
    pub allow: Vec<Located<String>>,
    /// What must happen at least once over all trials.
    pub sometimes: Vec<Located<String>>,
    /// What must never happen, by the words of `sometimes`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub never: Vec<Located<String>>,
    /// Bounds that must hold, such as `"qos1.latency.p99 <= 2s"` or `"client.dashboard.lost <= 0"`.
    pub need: Vec<Located<String>>,
    /// Promises and rules that are known to break, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub broken: Vec<Located<BrokenTable>>,
}
read_table!(ExpectTable or default { order, allow, sometimes, never, need, broken });

/// A promise or a rule that is known to break: `promise` and `kind`, or `rule`.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "studies", derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct BrokenTable {
    /// Which promise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promise: Option<PromiseKeyword>,
    /// How it breaks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<BreachKeyword>,
    /// Which rule of the standard, by its id or name in docs/rules.md.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// Whose fault it is.
    pub blame: BlameKeyword,
    /// Why it happens.
    pub why: String,
}
read_table!(BrokenTable {
    promise or "'exactly-once'" = None, kind or "'duplicated'" = None, rule = None, blame, why,
});

/// When an unacknowledged packet is sent again: `"reconnect"`, `"1s"`, or a table.
pub(super) type RetrySetting = TextOrTable<RetryKeyword, RetryTable>;

/// The retry rule in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RetryKeyword {
    /// Only on a new connection.
    Reconnect,
    /// After a constant time.
    Every(Span),
}

/// The timer rule's numbers.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "studies", derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct RetryTable {
    /// From the first transmission to the second.
    pub every: Duration,
    /// What each further interval is multiplied by, from 1 to 100.
    #[serde(default = "default_backoff")]
    pub backoff: f64,
    /// At most so many transmissions of one packet; no limit if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<BoundedInt<1, 1_000_000>>,
}
read_table!(RetryTable { every or "'1s'", backoff = default_backoff(), max = None });

impl TextValue for RetryKeyword {
    const EXPECTED: &'static str = "\"reconnect\" or a time such as \"1s\"";
    const PATTERN: &'static str = r"^(reconnect|\s*[0-9.]+.*)$";
    const UNIT: Option<Unit> = Some(Unit::Seconds);

    fn parse(text: &str) -> Result<Self, Problem> {
        match text {
            "reconnect" => Ok(Self::Reconnect),
            _ => Duration::parse(text).map(|every| Self::Every(every.0)).map_err(|problem| {
                let help = format!("{}, or \"reconnect\"", problem.help);
                problem.help(help)
            }),
        }
    }

    fn to_text(&self) -> String {
        match self {
            Self::Reconnect => "reconnect".to_owned(),
            Self::Every(span) => Duration(*span).to_text(),
        }
    }
}

const fn default_mqtt() -> Located<VersionKeyword> {
    Located::from_default(VersionKeyword::V311)
}

const fn default_deadline() -> Located<Duration> {
    Located::from_default(Duration(Span::from_secs(3_600)))
}

pub(super) const fn default_store() -> Located<StoreSetting> {
    Located::from_default(TextOrTable::Text(StoreKeyword::Durable))
}

pub(super) const fn default_inflight() -> BoundedInt<1, 65_535> {
    BoundedInt(20)
}

const fn default_true() -> bool {
    true
}

const fn default_backoff() -> f64 {
    1.0
}

impl Default for SeedsTable {
    fn default() -> Self {
        Self { from: BoundedInt(1), count: BoundedInt(100) }
    }
}

impl Default for BrokerTable {
    fn default() -> Self {
        Self {
            profile: None,
            store: default_store(),
            retry: None,
            max_inflight: default_inflight(),
            max_queued: BoundedInt(1_000),
            on_full: Located::from_default(OnFullKeyword::default()),
            queue_qos0: false,
            socket: None,
            sign_of_life: SignOfLifeKeyword::default(),
            ids: IdsKeyword::default(),
            deliver_on: DeliverOnKeyword::default(),
            repeated_pubrec: RepeatedPubrecKeyword::default(),
            max_qos: BoundedInt(2),
            overlapping: None,
            receive_maximum: None,
            max_packet_size: None,
            topic_alias_maximum: None,
            deny: Vec::new(),
            quirks: Vec::new(),
        }
    }
}
