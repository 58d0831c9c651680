//! The clients of a scenario file as they are written.

#[cfg(feature = "studies")]
use schemars::JsonSchema;
use serde::Serialize;

use super::file::{RetrySetting, StoreSetting, default_inflight, default_store};
use super::from_toml::read_table;
use super::keywords::{
    ConnectKeyword, DeliverOnKeyword, IdsKeyword, OnFullKeyword, PingOnKeyword, Qos0Keyword,
    RepeatedPubrecKeyword, RetainHandlingKeyword, SessionKeyword, SignOfLifeKeyword,
};
use super::quantities::{Bytes, Duration, IntervalValue, PayloadLength};
use super::radio::{RadioKeyword, RadioTable};
use super::socket::SocketTable;
use super::value::{BoundedInt, Located, QosSetting, TextOrTable};
use qoslab_core::base::Span;
use qoslab_sim::PayloadSize;

/// A client, or a fleet of equal ones.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "studies", derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct ClientTable {
    /// Its name; `{i}` stands for its number in the fleet, from 1.
    pub name: Located<String>,
    /// How many of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<Located<BoundedInt<1, 1_000_000>>>,
    /// A real product, dated, whose documented settings are the defaults here:
    /// `docs/profiles.md`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<Located<String>>,
    /// Whether the broker keeps its session while it is away: `"persistent"`, `"clean"` or, in
    /// 5.0, `{ expiry = "10m" }`.
    #[serde(default = "default_session")]
    pub session: Located<SessionSetting>,
    /// What it keeps through a crash: `"durable"`, `"volatile"` or `{ snapshot = "30s" }`.
    #[serde(default = "default_store")]
    pub store: Located<StoreSetting>,
    /// Its radio, if its energy is asked for: `"lte-m"`, `"nb-iot"`, `"wifi"`, `"ble"` or a table,
    /// as in `docs/radio.md`. What finds it asleep waits until it has woken up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub radio: Option<Located<TextOrTable<RadioKeyword, RadioTable>>>,
    /// When it is connected.
    #[serde(default)]
    pub connect: Located<ConnectKeyword>,
    /// How long an attempt to connect may take; 30 s over tcp. Over datagrams CONNECT is repeated
    /// instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connect_timeout: Option<Located<Duration>>,
    /// How it comes back after a connection was lost.
    #[serde(default)]
    pub reconnect: Located<ReconnectTable>,
    /// Whether it subscribes again when the broker kept no session.
    #[serde(default = "default_true")]
    pub resubscribe: bool,
    /// Pings after so long in silence, in whole seconds; `0s` for never. The broker closes the
    /// connection after one and a half times as long without a packet.
    #[serde(default = "default_keep_alive")]
    pub keep_alive: Located<Duration>,
    /// What silence makes it ping: that it has sent nothing, or that it has sent nothing or
    /// received nothing.
    #[serde(default)]
    pub ping_on: PingOnKeyword,
    /// How long it waits for PINGRESP before it closes the connection; as long as `keep_alive` if
    /// not given; over tcp.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ping_timeout: Option<Located<Duration>>,
    /// What it takes for a sign of life of the broker: whole packets, or any bytes of one. It
    /// matters where it pings because it has received nothing.
    #[serde(default)]
    pub sign_of_life: Located<SignOfLifeKeyword>,
    /// Whether it keeps what is unacknowledged when the broker kept no session, and sends it again
    /// in the new one.
    #[serde(default)]
    pub keep_outbox: bool,
    /// When it sends again what was not acknowledged: `"reconnect"` over tcp, `"1s"` over
    /// datagrams.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Located<RetrySetting>>,
    /// How packet ids are given out.
    #[serde(default)]
    pub ids: IdsKeyword,
    /// On which packet a QoS 2 message reaches the application.
    #[serde(default)]
    pub deliver_on: DeliverOnKeyword,
    /// What it does when PUBREC comes again after its PUBREL.
    #[serde(default)]
    pub repeated_pubrec: RepeatedPubrecKeyword,
    /// Messages it may have unacknowledged.
    #[serde(default = "default_inflight")]
    pub max_inflight: BoundedInt<1, 65_535>,
    /// What it does with messages that cannot leave yet.
    #[serde(default)]
    pub offline: OfflineTable,
    /// Its TCP socket; over tcp.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub socket: Option<Located<SocketTable>>,
    /// Messages that the broker may have unacknowledged with it (5.0); 65535 if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receive_maximum: Option<Located<BoundedInt<0, 65_535>>>,
    /// The largest packet it takes (5.0); no limit if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_packet_size: Option<Located<Bytes>>,
    /// Topic aliases that the broker may use (5.0); none if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic_alias_maximum: Option<Located<BoundedInt<0, 65_535>>>,
    /// Deviations from the standard: `docs/quirks.md`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub quirks: Vec<Located<String>>,
    /// What the broker publishes when its connection ends without DISCONNECT.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub will: Option<Located<WillTable>>,
    /// When it disconnects and stays away, counted from the start of the traffic.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub away: Vec<Located<AwayTable>>,
    /// What it publishes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub publish: Vec<Located<PublishTable>>,
    /// What it subscribes to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subscribe: Vec<Located<SubscribeTable>>,
}
read_table!(ClientTable {
    name, count or "1" = None, profile = None, session = default_session(), store = default_store(),
    radio = None, connect = Located::default(), connect_timeout = None,
    reconnect = Located::default(), resubscribe = default_true(),
    keep_alive = default_keep_alive(), ping_on = PingOnKeyword::default(), ping_timeout = None,
    sign_of_life = Located::default(), keep_outbox = false, retry = None,
    ids = IdsKeyword::default(),
    deliver_on = DeliverOnKeyword::default(), repeated_pubrec = RepeatedPubrecKeyword::default(),
    max_inflight = default_inflight(), offline = OfflineTable::default(), socket = None,
    receive_maximum = None, max_packet_size = None, topic_alias_maximum = None,
    quirks = Vec::new(), will = None, away = Vec::new(), publish = Vec::new(),
    subscribe = Vec::new(),
});

/// What a client does with messages that cannot leave yet.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "studies", derive(JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub(super) struct OfflineTable {
    /// Whether QoS 0 messages wait for a connection.
    pub qos0: Qos0Keyword,
    /// How many messages may wait.
    pub max: BoundedInt<1, 1_000_000_000>,
    /// What happens to one more.
    pub on_full: Located<OnFullKeyword>,
}
read_table!(OfflineTable or default { qos0, max, on_full });

/// A time in which a client is disconnected.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "studies", derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct AwayTable {
    /// When it disconnects, after the start of the traffic.
    pub at: Located<Duration>,
    /// How long it stays away.
    pub lasts: Located<Duration>,
}
read_table!(AwayTable { at, lasts or "'1s'" });

/// A workload.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "studies", derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct PublishTable {
    /// The topic; `{i}` stands for the client's number.
    pub topic: Located<String>,
    /// The QoS; a list is an axis: one trial each.
    pub qos: Located<QosSetting>,
    /// How many messages.
    pub count: Located<BoundedInt<1, 100_000_000>>,
    /// The time from one message to the next.
    pub every: Located<IntervalValue>,
    /// The first message comes at a time drawn evenly from this span.
    #[serde(default = "default_spread")]
    pub spread: Located<Duration>,
    /// How long the payloads are.
    #[serde(default = "default_payload")]
    pub payload: Located<PayloadLength>,
    /// Whether the broker keeps the last message for later subscribers.
    #[serde(default)]
    pub retain: bool,
    /// How long a message is worth delivering (5.0), in whole seconds; for ever if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expiry: Option<Located<Duration>>,
    /// Publish only the messages with these numbers, from 0; the others are left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only: Option<Located<Vec<u32>>>,
}
read_table!(PublishTable {
    topic, qos, count or "1", every or "'1s'", spread = default_spread(),
    payload = default_payload(), retain = false, expiry = None, only = None,
});

/// A subscription.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "studies", derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct SubscribeTable {
    /// The topic filter; `{i}` stands for the client's number.
    pub filter: Located<String>,
    /// The QoS asked for; a list is an axis: one trial each.
    pub qos: Located<QosSetting>,
    /// Do not send the client's own messages back to it (5.0).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_local: Option<Located<bool>>,
    /// Keep the RETAIN flag as it was published (5.0).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retain_as_published: Option<Located<bool>>,
    /// When retained messages answer the SUBSCRIBE (5.0).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retain_handling: Option<Located<RetainHandlingKeyword>>,
    /// The Subscription Identifier (5.0).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identifier: Option<Located<BoundedInt<1, 268_435_455>>>,
    /// When, after the start of the traffic; before the traffic if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Located<Duration>>,
    /// When it unsubscribes; never if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Located<Duration>>,
}
read_table!(SubscribeTable {
    filter, qos, no_local = None, retain_as_published = None, retain_handling = None,
    identifier = None, at = None, until = None,
});

/// Whether the broker keeps a session, and how long.
pub(super) type SessionSetting = TextOrTable<SessionKeyword, ExpiryTable>;

/// A session that ends some time after its connection.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "studies", derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct ExpiryTable {
    /// How long after, in whole seconds.
    pub expiry: Duration,
}
read_table!(ExpiryTable { expiry });

/// The pauses between attempts to connect.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "studies", derive(JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub(super) struct ReconnectTable {
    /// The first; each further one is twice as long.
    pub min: Duration,
    /// The longest.
    pub max: Duration,
    /// Whether a share from a half to all of each is drawn; if not, all of it is waited for.
    pub jitter: bool,
}
read_table!(ReconnectTable or default { min, max, jitter });

/// A will: the messages `CLIENT/will`, one a connection.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "studies", derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct WillTable {
    /// The topic; `{i}` stands for the client's number.
    pub topic: Located<String>,
    /// The QoS.
    pub qos: BoundedInt<0, 2>,
    /// How long its payload is.
    #[serde(default = "default_will_payload")]
    pub payload: Located<Bytes>,
    /// Whether the broker keeps it for later subscribers.
    #[serde(default)]
    pub retain: bool,
    /// How long after the connection it is published, if the client is not back by then (5.0); in
    /// whole seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay: Option<Located<Duration>>,
}
read_table!(WillTable {
    topic, qos, payload = default_will_payload(), retain = false, delay = None,
});

const fn default_session() -> Located<SessionSetting> {
    Located::from_default(TextOrTable::Text(SessionKeyword::Persistent))
}

const fn default_keep_alive() -> Located<Duration> {
    Located::from_default(Duration(Span::ZERO))
}

const fn default_spread() -> Located<Duration> {
    Located::from_default(Duration(Span::ZERO))
}

const fn default_payload() -> Located<PayloadLength> {
    Located::from_default(PayloadLength(PayloadSize::Fixed(64)))
}

const fn default_will_payload() -> Located<Bytes> {
    Located::from_default(Bytes(64))
}

const fn default_true() -> bool {
    true
}

impl Default for OfflineTable {
    fn default() -> Self {
        let on_full = Located::from_default(OnFullKeyword::default());
        Self { qos0: Qos0Keyword::default(), max: BoundedInt(1_000), on_full }
    }
}

impl Default for ReconnectTable {
    fn default() -> Self {
        Self { min: Duration(Span::from_secs(1)), max: Duration(Span::from_secs(60)), jitter: true }
    }
}
