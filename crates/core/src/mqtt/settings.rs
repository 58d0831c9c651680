//! Settings of an endpoint.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::packet::Message;
use super::quirks::Quirks;
use crate::base::{QoS, Span, SubscriptionRequest};
use crate::impl_fingerprint;

/// The version of the protocol that a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Version {
    /// MQTT 3.1 (IBM and Eurotech, 2010).
    V31,
    /// MQTT 3.1.1 (OASIS, 2014).
    V311,
    /// MQTT 5.0 (OASIS, 2019).
    V5,
}

impl_fingerprint! { fieldless Version }

/// Rule for sending an unacknowledged PUBLISH or PUBREL again.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RetryRule {
    /// After a time without an answer, as MQTT 3.1 and MQTT-SN do.
    Timer(RetryTimer),
    /// Only when the client connects again [MQTT-4.4.0-1].
    Reconnect,
}

/// The timer rule's numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RetryTimer {
    /// The time from the first transmission to the second.
    pub every: Span,
    /// Factor by which each further interval grows; 1 for a constant interval.
    pub backoff: f64,
    /// Limit of transmissions of one packet, the first included; then the sender gives up,
    /// one interval after the last. `None`: no limit.
    pub max_transmissions: Option<u32>,
}

/// Policy by which packet ids are given out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IdPolicy {
    /// The next one after the last given, round and round, skipping those in use.
    #[default]
    Cyclic,
    /// The lowest one not in use. Reuses an id while its last acknowledgement may still travel.
    LowestFree,
}

/// The time at which a receiver of QoS 2 hands on the message (MQTT 3.1.1, figure 4.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeliverOn {
    /// On the first PUBLISH; only the id is stored until PUBREL ("method B").
    #[default]
    Publish,
    /// On PUBREL; the message is stored until then ("method A").
    Release,
}

/// Reaction of a sender of QoS 2 to a PUBREC that comes again after it has sent PUBREL.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RepeatedPubrec {
    /// Sends PUBREL again at once [MQTT-4.3.3-4 of 5.0, MQTT-4.3.3-1 of 3.1.1].
    #[default]
    Answer,
    /// Nothing: its retry rule will repeat the PUBREL, as in a plain stop-and-wait exchange.
    Ignore,
}

/// Reaction of a full queue to one more message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnFull {
    /// Drops the one that came.
    #[default]
    DropNewest,
    /// Drops the one that has waited longest.
    DropOldest,
    /// Refuses the one that came, so that it stays with its sender: a client refuses its
    /// application's `publish()`; a broker whose subscriber's queue is full refuses the PUBLISH,
    /// by 0x97 in 5.0 and before that by closing the publisher's connection, and forwards it to
    /// no session. What it has acknowledged it queues at any length: a QoS 2 message between PUBREC
    /// and PUBREL has its place, even if a will or a new subscription has taken it since.
    Reject,
}

/// The copies of a message that a session gets by several filters that match (MQTT 3.1.1, section
/// 3.3.5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OverlappingFilters {
    /// One for all of them, at the highest QoS granted among them.
    #[default]
    Once,
    /// One for each of them, at its own QoS.
    Each,
}

/// Reaction to a QoS 0 message while the socket has no room. QoS 1 and 2 keep to their window, and
/// what is in it is written when there is room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenSocketFull {
    /// It waits in the queue, as far as that goes.
    #[default]
    Queue,
    /// It is dropped.
    Drop,
    /// At a client: the call of `publish()` waits as long as it has to, of any QoS, also for a
    /// place in the queue: nothing is dropped while the connection lasts.
    Wait,
}

/// What an endpoint takes for a sign of life, where it counts how long its peer was silent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SignOfLife {
    /// A whole packet, as the standard has it (MQTT 3.1.1, section 3.1.2.10).
    #[default]
    Packets,
    /// Any part of one too, so that a long PUBLISH on a slow line is none too long.
    Bytes,
}

/// When a client pings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PingRule {
    /// When it has sent nothing for its keep alive. A PINGRESP is due by a fixed time.
    #[default]
    NothingSent,
    /// When it has sent nothing or has received nothing for its keep alive. While it waits for
    /// PINGRESP, the connection ends when either has been so for the PINGRESP timeout.
    NothingSentOrReceived,
}

/// Settings of both halves of a hop at one endpoint.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HopSettings {
    /// Rule for sending again.
    pub retry: RetryRule,
    /// Policy for packet ids.
    pub ids: IdPolicy,
    /// Limit of unacknowledged QoS 1 and 2 messages at a time, 1 to 65,535.
    pub max_inflight: u16,
    /// Limit of messages waiting for a place in the window or for a connection.
    pub max_queued: u32,
    /// Reaction to one more message.
    pub on_full: OnFull,
    /// Whether QoS 0 messages wait for a connection too; else they are dropped without one.
    pub queue_qos0: bool,
    /// Reaction to a message while the socket has no room.
    pub when_socket_full: WhenSocketFull,
    /// Whether a client keeps what is unacknowledged when the broker kept no session, and sends it
    /// again: QoS 2 from its PUBLISH on.
    pub keep_outbox: bool,
    /// The time at which a received QoS 2 message is delivered onward.
    pub deliver_on: DeliverOn,
    /// Whether a repeated PUBREC of a QoS 2 message on its way is answered at once.
    pub repeated_pubrec: RepeatedPubrec,
    /// Deviations from the standard.
    pub quirks: Quirks,
}

/// How a client comes back to a broker that it cannot reach: after `min`, and twice as long each
/// time up to `max`, of which a share from a half to all is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The longest first pause.
    pub min: Span,
    /// The longest pause of all.
    pub max: Span,
    /// Whether a share of each pause is drawn; if not, all of it is waited for.
    pub jitter: bool,
}

impl Backoff {
    /// The longest pause before the next attempt when `attempt` of them have failed; none before
    /// the first.
    #[must_use]
    pub fn max_pause(self, attempt: u32) -> Span {
        match attempt {
            0 => Span::ZERO,
            // 2^36 s are beyond `Span::LIMIT`.
            _ => self.min.times(1 << (attempt - 1).min(36)).min(self.max),
        }
    }
}

/// The part of an endpoint's state that its storage keeps through a crash.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StorePolicy {
    /// All that a finished `handle` has changed.
    #[default]
    Durable,
    /// What there was when it was last written, each so often.
    Snapshot(Span),
    /// Nothing.
    Volatile,
}

/// A message that the broker publishes when a client's connection ends without DISCONNECT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Will {
    /// The message.
    pub message: Message,
    /// With which QoS.
    pub qos: QoS,
    /// With which RETAIN flag.
    pub retain: bool,
    /// 5.0's Will Delay Interval in seconds; 0 for none.
    pub delay: u32,
}

impl_fingerprint! { struct Will { plain message, qos, retain, delay; } }

/// Limits of what an endpoint is willing to take, as 5.0's CONNECT and CONNACK state them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceiverLimits {
    /// Limit of unacknowledged QoS 1 and 2 messages at a time, 1 to 65,535 (the default).
    pub receive_maximum: u16,
    /// Largest packet in bytes, at least 1; `u32::MAX` for no limit.
    pub max_packet_size: u32,
    /// Topic aliases from 1 to this; 0 for none.
    pub topic_alias_maximum: u16,
}

impl_fingerprint! {
    struct ReceiverLimits {
        plain receive_maximum, max_packet_size, topic_alias_maximum;
    }
}

impl ReceiverLimits {
    /// Limits that hold where none are stated.
    pub const NONE: Self =
        Self { receive_maximum: u16::MAX, max_packet_size: u32::MAX, topic_alias_maximum: 0 };
}

/// Settings of a client.
#[derive(Clone, Debug, PartialEq)]
pub struct ClientSettings {
    /// The client id it connects with.
    pub client_id: Arc<str>,
    /// The protocol version it speaks.
    pub version: Version,
    /// Clean Session, or Clean Start with a session that ends with the connection.
    pub clean: bool,
    /// 5.0's Session Expiry Interval in seconds; `u32::MAX` for never. Outside 5.0, and where
    /// `clean` is set, it means nothing.
    pub session_expiry: u32,
    /// Sends a PINGREQ after this time of silence, by its `ping_rule`; zero turns it off. Whole
    /// seconds.
    pub keep_alive: Span,
    /// What silence makes it ping.
    pub ping_rule: PingRule,
    /// A PINGRESP that takes as long closes the connection; as long as the keep alive if not
    /// given.
    pub ping_timeout: Option<Span>,
    /// What it takes for a sign of life.
    pub sign_of_life: SignOfLife,
    /// Over datagrams: CONNECT, SUBSCRIBE and UNSUBSCRIBE are sent again after this time without
    /// an answer. `None` over a reliable transport.
    pub request_retry: Option<Span>,
    /// How long a connection may take to open, and then its CONNACK to come, before it tries
    /// again. `None` over datagrams, where CONNECT is repeated instead.
    pub connect_timeout: Option<Span>,
    /// How it comes back after a connection was lost.
    pub reconnect: Backoff,
    /// Connects only while it has something to send, as a device that reports and sleeps. Asked
    /// to connect, it connects once, to have its session. QoS 0 waits for the connection too,
    /// whatever `hop.queue_qos0` says.
    pub on_demand: bool,
    /// Whether it subscribes again when the broker kept no session.
    pub resubscribe: bool,
    /// Its will.
    pub will: Option<Will>,
    /// Limits that it announces to the broker (5.0).
    pub limits: ReceiverLimits,
    /// Both halves of its hops.
    pub hop: HopSettings,
}

/// Settings of the broker.
#[derive(Clone, Debug, PartialEq)]
pub struct BrokerSettings {
    /// Both halves of its hops; the same for every session.
    pub hop: HopSettings,
    /// The highest QoS it grants to a subscription.
    pub max_qos: QoS,
    /// The copies that a session gets by several matching filters.
    pub overlapping: OverlappingFilters,
    /// What it takes for a sign of life.
    pub sign_of_life: SignOfLife,
    /// Whether packets can be lost and repeated, so that a second CONNECT on a connection is the
    /// client's retry and not a protocol error [MQTT-3.1.0-2].
    pub datagram: bool,
    /// Limits that it announces to clients (5.0).
    pub limits: ReceiverLimits,
    /// Topic filters to which no client may publish: refused with 0x87 in 5.0, and before that
    /// acknowledged and dropped (MQTT 3.1.1, section 3.3.5).
    pub denied_filters: Vec<Arc<str>>,
}

impl Default for HopSettings {
    /// Usual settings of real brokers: resending on reconnect, 20 in flight, 1,000 queued.
    fn default() -> Self {
        Self {
            retry: RetryRule::Reconnect,
            ids: IdPolicy::default(),
            max_inflight: 20,
            max_queued: 1_000,
            on_full: OnFull::default(),
            queue_qos0: false,
            when_socket_full: WhenSocketFull::default(),
            keep_outbox: false,
            deliver_on: DeliverOn::default(),
            repeated_pubrec: RepeatedPubrec::default(),
            quirks: Quirks::NONE,
        }
    }
}

impl Default for BrokerSettings {
    fn default() -> Self {
        Self {
            hop: HopSettings::default(),
            max_qos: QoS::ExactlyOnce,
            overlapping: OverlappingFilters::default(),
            sign_of_life: SignOfLife::default(),
            datagram: false,
            limits: ReceiverLimits::NONE,
            denied_filters: Vec::new(),
        }
    }
}

impl ClientSettings {
    /// A client of MQTT 3.1.1 with a persistent session, over a stream transport.
    #[must_use]
    pub fn new(client_id: Arc<str>) -> Self {
        Self {
            client_id,
            version: Version::V311,
            clean: false,
            session_expiry: u32::MAX,
            keep_alive: Span::ZERO,
            ping_rule: PingRule::default(),
            ping_timeout: None,
            sign_of_life: SignOfLife::default(),
            request_retry: None,
            connect_timeout: Some(Span::from_secs(30)),
            reconnect: Backoff { min: Span::from_secs(1), max: Span::from_secs(60), jitter: true },
            on_demand: false,
            resubscribe: true,
            will: None,
            limits: ReceiverLimits::NONE,
            hop: HopSettings::default(),
        }
    }
}

/// Request of an application to its client.
#[derive(Clone, Debug)]
pub enum ClientRequest {
    /// Connect, and stay connected.
    Connect,
    /// Send DISCONNECT and stay away.
    Disconnect,
    /// Drop the connection and connect again at once.
    Reconnect,
    /// Publish a message.
    Publish {
        /// The message to publish; its tag names it in the answer.
        message: Message,
        /// With which QoS.
        qos: QoS,
        /// With which RETAIN flag.
        retain: bool,
        /// 5.0's Message Expiry Interval in seconds.
        expiry: Option<u32>,
    },
    /// Subscribe to filters; done again by itself when a session was lost.
    Subscribe(Vec<SubscriptionRequest>),
    /// Unsubscribe from filters.
    Unsubscribe(Vec<Arc<str>>),
}

impl_fingerprint! {
    enum ClientRequest {
        Connect,
        Disconnect,
        Reconnect,
        Publish { message, qos, retain, expiry },
        Subscribe(requests),
        Unsubscribe(filters),
    }
}
