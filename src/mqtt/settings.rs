//! What an endpoint can be set to do.

use std::sync::Arc;

use crate::base::event::SubscriptionRequest;
use crate::base::qos::QoS;
use crate::base::time::Span;

/// The version of the protocol that a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// MQTT 3.1 (IBM and Eurotech, 2010).
    V31,
    /// MQTT 3.1.1 (OASIS, 2014).
    V311,
    /// MQTT 5.0 (OASIS, 2019).
    V5,
}

/// When an unacknowledged PUBLISH or PUBREL is sent again.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Retry {
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
    /// What each further interval is multiplied by; 1 for a constant interval.
    pub backoff: f64,
    /// At most so many transmissions of one packet, the first included; then the sender gives up,
    /// one interval after the last. `None`: no limit.
    pub max_transmissions: Option<u32>,
}

/// How packet ids are given out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IdPolicy {
    /// The next one after the last given, round and round, skipping those in use.
    #[default]
    Cyclic,
    /// The lowest one not in use. Reuses an id while its last acknowledgement may still travel.
    LowestFree,
}

/// When a receiver of QoS 2 hands the message to whoever waits for it (MQTT 3.1.1, figure 4.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeliverOn {
    /// On the first PUBLISH; only the id is stored until PUBREL ("method B").
    #[default]
    Publish,
    /// On PUBREL; the message is stored until then ("method A").
    Release,
}

/// What a sender of QoS 2 does when PUBREC comes again after it has sent PUBREL.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RepeatedPubrec {
    /// Sends PUBREL again at once [MQTT-4.3.3-4 of 5.0, MQTT-4.3.3-1 of 3.1.1].
    #[default]
    Answer,
    /// Nothing: its retry rule will repeat the PUBREL, as in a plain stop-and-wait exchange.
    Ignore,
}

/// What a full queue does with one message more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnFull {
    /// Drops the one that came.
    #[default]
    DropNewest,
    /// Drops the one that has waited longest.
    DropOldest,
}

/// Settings of both halves of a hop at one endpoint.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HopSettings {
    /// When to send again.
    pub retry: Retry,
    /// How ids are given out.
    pub ids: IdPolicy,
    /// At most so many QoS 1 and 2 messages unacknowledged at a time, 1 to 65,535.
    pub max_inflight: u16,
    /// At most so many messages waiting, for a place in the window or for a connection.
    pub max_queued: u32,
    /// What happens to one more.
    pub on_full: OnFull,
    /// Whether QoS 0 messages wait for a connection too; else they are dropped without one.
    pub queue_qos0: bool,
    /// When a received QoS 2 message is delivered onward.
    pub deliver_on: DeliverOn,
    /// Whether a repeated PUBREC of a QoS 2 message on its way is answered at once.
    pub repeated_pubrec: RepeatedPubrec,
    /// Deviations from the standard.
    pub quirks: Quirks,
}

/// Named deviations from the standard, as real products have them, each one `if` in one place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quirks {
    /// A QoS 2 receiver delivers every PUBLISH, also one whose id it holds.
    pub no_dedupe: bool,
    /// A resent PUBLISH has DUP=0.
    pub dup_never_set: bool,
    /// The broker forwards at the published QoS, whatever was granted.
    pub no_qos_cap: bool,
    /// A PUBREL whose id is not held gets no answer.
    pub ignore_unknown_pubrel: bool,
    /// A packet id is given out though it is still in use.
    pub id_wrap_no_check: bool,
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
    /// A PINGREQ after so long without sending anything; zero turns it off. Whole seconds.
    pub keep_alive: Span,
    /// Over datagrams: CONNECT, SUBSCRIBE and UNSUBSCRIBE are sent again after so long without
    /// an answer. `None` over a reliable transport.
    pub request_retry: Option<Span>,
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
    /// Whether packets can be lost and repeated, so that a second CONNECT on a connection is the
    /// client's retry and not a protocol error [MQTT-3.1.0-2].
    pub datagram: bool,
}

/// What an application asks its client to do.
#[derive(Clone, Debug)]
pub enum Request {
    /// Connect, and stay connected.
    Connect,
    /// Send DISCONNECT and stay away.
    Disconnect,
    /// Drop the connection and connect again at once.
    Reconnect,
    /// Publish a message.
    Publish {
        /// What to publish; its tag names it in the answer.
        message: super::packet::Message,
        /// With which QoS.
        qos: QoS,
        /// With which RETAIN flag.
        retain: bool,
    },
    /// Subscribe to filters; done again by itself when a session was lost.
    Subscribe(Vec<SubscriptionRequest>),
    /// Unsubscribe from filters.
    Unsubscribe(Vec<Arc<str>>),
}
