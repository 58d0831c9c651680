//! The facts about a trial that the judge has to know before it begins.

use std::sync::Arc;

use super::metric_groups::MetricGroup;
use super::verdict::Blame;
use qoslab_core::base::{ClientIndex, Node, QoS};
use qoslab_core::mqtt::{StorePolicy, Version};

/// The participants of a trial, and how it is judged: the facts that events do not report.
#[derive(Clone, Debug, Default)]
pub struct TrialFacts {
    /// The clients, by [`ClientIndex`].
    pub clients: Vec<ClientFacts>,
    /// The publishing workloads, by [`qoslab_core::base::PublisherIndex`].
    pub publishers: Vec<PublisherFacts>,
    /// Clients and topics of which metrics are kept apart.
    pub groups: Vec<MetricGroup>,
    /// Whether the order of first copies is a promise too.
    pub promises_order: bool,
    /// Whether a message lost to a full queue is excused, because the scenario declares a
    /// dropping policy and allows it.
    pub allow_queue_overflow: bool,
    /// After how many transmissions of a packet the broker is set to give up; `None`: never.
    pub broker_max_transmissions: Option<u32>,
    /// How many messages may wait at the broker for one subscriber.
    pub broker_max_queued: u32,
    /// Whether the broker sends again after a time, on the same connection.
    pub broker_resends_by_timer: bool,
    /// Whether bytes of a packet that is still arriving count for the broker's keep alive: then
    /// packets do not show for how long it heard nothing.
    pub broker_hears_bytes: bool,
    /// Whether the broker forwards a QoS 2 message on PUBREL and not on PUBLISH.
    pub broker_delivers_on_pubrel: bool,
    /// What the broker keeps through a crash.
    pub broker_store: StorePolicy,
    /// Whether the broker refuses a message for which a subscriber's queue has no room, so that it
    /// never drops one that it has acknowledged.
    pub broker_refuses_on_full: bool,
    /// Whether the broker sends one copy for each filter of a client that matches, at that filter's
    /// QoS, and not one for all.
    pub sends_copy_for_each_filter: bool,
    /// Whether an endpoint is somebody else's, under test.
    pub is_under_test: bool,
    /// Whether an endpoint has quirks.
    pub has_quirks: bool,
}

/// The facts about one client that the judge has to know.
#[derive(Clone, Debug)]
pub struct ClientFacts {
    /// Its name.
    pub name: Arc<str>,
    /// Whether its session ends with its connection: a clean session, or one of 5.0 without an
    /// expiry interval.
    pub clean_session: bool,
    /// The protocol version it speaks, which decides how rules are cited.
    pub version: Version,
    /// Whether it sends again after a time, on the same connection.
    pub resends_by_timer: bool,
    /// Whether it delivers a QoS 2 message on PUBREL and not on PUBLISH.
    pub delivers_on_pubrel: bool,
    /// Whether its link is a byte stream, which loses nothing but with its connection.
    pub over_tcp: bool,
    /// Whether it notices by PINGREQ that a connection has died.
    pub keep_alive: bool,
    /// What it keeps through a crash.
    pub store: StorePolicy,
    /// Whether the bytes on its link are billed, and the price of a million of them.
    pub billed: Option<f64>,
    /// After how many transmissions of a packet it is set to give up; `None`: never.
    pub max_transmissions: Option<u32>,
    /// How many messages of its own may wait.
    pub max_queued: u32,
    /// The subscriptions that it means to have.
    pub subscriptions: Vec<SubscriptionFacts>,
}

/// A subscription that a client means to have, whether or not the broker has it.
#[derive(Clone, Debug)]
pub struct SubscriptionFacts {
    /// The filter, of a shared subscription with its group.
    pub filter: Arc<str>,
    /// Whether it leaves out what the client itself publishes.
    pub no_local: bool,
}

/// The facts about one publishing workload that the judge has to know.
#[derive(Clone, Debug)]
pub struct PublisherFacts {
    /// Its name.
    pub name: Arc<str>,
    /// The publishing client.
    pub client: ClientIndex,
    /// The topic name.
    pub topic: Arc<str>,
    /// The QoS of its messages.
    pub qos: QoS,
    /// The RETAIN flag of its messages.
    pub retain: bool,
    /// The greatest number of messages.
    pub count: u32,
    /// The Message Expiry Interval of its messages in seconds (5.0); `None`: they never expire.
    pub expiry: Option<u32>,
    /// The length of the longest payload in bytes.
    pub max_payload: u32,
    /// Whether these are its client's wills, which the broker publishes.
    pub will: bool,
    /// Whether the broker is set to let no client publish to the topic.
    pub publish_denied: bool,
}

impl TrialFacts {
    /// A client's name.
    #[must_use]
    pub fn client_name(&self, client: ClientIndex) -> &str {
        &self.clients[client.index()].name
    }

    /// Whether a CONNACK that accepts a client carries its session on. MQTT 3.1 has no Session
    /// Present flag: there, a session lives as long as the client asks for it.
    #[must_use]
    pub fn is_session_resumed(&self, client: ClientIndex, session_present: bool) -> bool {
        let ClientFacts { clean_session: clean, version, .. } = self.clients[client.index()];
        if version == Version::V31 { !clean } else { session_present }
    }

    /// After how many transmissions of a packet a node is set to give up; `None`: never.
    #[must_use]
    pub fn max_transmissions(&self, node: Node) -> Option<u32> {
        match node {
            Node::Broker => self.broker_max_transmissions,
            Node::Client(client) => self.clients[client.index()].max_transmissions,
        }
    }

    /// Whether any node is set to give up after a number of transmissions.
    #[must_use]
    pub fn limits_transmissions(&self) -> bool {
        self.broker_max_transmissions.is_some()
            || self.clients.iter().any(|client| client.max_transmissions.is_some())
    }

    /// The blame for what nothing explains: it is a bug in qoslab only where every endpoint is ours
    /// and without quirks.
    #[must_use]
    pub const fn unexplained(&self) -> Blame {
        if self.is_under_test || self.has_quirks {
            Blame::UnexplainedOnPath
        } else {
            Blame::Unexplained
        }
    }

    /// What a node keeps through a crash.
    #[must_use]
    pub fn store_policy(&self, node: Node) -> StorePolicy {
        match node {
            Node::Broker => self.broker_store,
            Node::Client(client) => self.clients[client.index()].store,
        }
    }

    /// Whether a node loses what it has acknowledged, or still has to send, when it crashes.
    #[must_use]
    pub fn loses_state_in_crash(&self, node: Node) -> bool {
        self.store_policy(node) != StorePolicy::Durable
    }

    /// Whether what a client publishes completes without a reconnection: over a byte stream a
    /// correct client needs no timer for that.
    #[must_use]
    pub fn publish_needs_no_reconnect(&self, client: ClientIndex) -> bool {
        let ClientFacts { over_tcp: over_stream, resends_by_timer, .. } =
            self.clients[client.index()];
        over_stream && !resends_by_timer
    }

    /// Whether the broker's copies for a client also complete without a reconnection.
    #[must_use]
    pub fn delivery_needs_no_reconnect(&self, client: ClientIndex) -> bool {
        self.clients[client.index()].over_tcp && !self.broker_resends_by_timer
    }
}
