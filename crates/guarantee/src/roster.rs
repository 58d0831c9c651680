//! What the judge has to know of a trial before it begins.

use std::sync::Arc;

use qoslab_core::base::name::{ClientIndex, Node};
use qoslab_core::base::qos::QoS;
use qoslab_core::mqtt::settings::{Store, Version};
use qoslab_core::network::radio::RadioSettings;

/// Who takes part in a trial, and how it is judged: the facts that events do not tell.
#[derive(Clone, Debug, Default)]
pub struct Roster {
    /// The clients, by [`ClientIndex`].
    pub clients: Vec<ClientFacts>,
    /// The publishing workloads, by [`qoslab_core::base::name::StreamIndex`].
    pub streams: Vec<StreamFacts>,
    /// Whether the order of first copies is a promise too.
    pub order: bool,
    /// Whether a message lost to a full queue is excused, because the scenario declares a
    /// dropping policy and allows it.
    pub allow_queue_overflow: bool,
    /// Whether a limit of transmissions is declared, so that giving up is excused.
    pub gives_up: bool,
    /// Whether the broker sends again after a time, on the same connection.
    pub broker_resends_by_timer: bool,
    /// Whether the broker forwards a QoS 2 message on PUBREL and not on PUBLISH.
    pub broker_delivers_on_release: bool,
    /// What the broker keeps through a crash.
    pub broker_store: Store,
    /// Whether the broker refuses a message for which a subscriber's queue has no room, so that it
    /// never drops one that it has acknowledged.
    pub broker_refuses_on_full: bool,
}

/// What the judge has to know of one client.
#[derive(Clone, Debug)]
pub struct ClientFacts {
    /// Its name.
    pub name: Arc<str>,
    /// Whether its session ends with its connection: a clean session, or one of 5.0 without an
    /// expiry interval.
    pub clean: bool,
    /// The protocol version it speaks, which decides how rules are cited.
    pub version: Version,
    /// Whether it sends again after a time, on the same connection.
    pub resends_by_timer: bool,
    /// Whether it delivers a QoS 2 message on PUBREL and not on PUBLISH.
    pub delivers_on_release: bool,
    /// Whether its link is a byte stream, which loses nothing but with its connection.
    pub over_stream: bool,
    /// Whether it notices by PINGREQ that a connection has died.
    pub keep_alive: bool,
    /// What it keeps through a crash.
    pub store: Store,
    /// Its radio, where its energy is asked for.
    pub radio: Option<Arc<RadioSettings>>,
}

/// What the judge has to know of one publishing workload.
#[derive(Clone, Debug)]
pub struct StreamFacts {
    /// Its name.
    pub name: Arc<str>,
    /// Who publishes.
    pub client: ClientIndex,
    /// The topic name.
    pub topic: Arc<str>,
    /// With which QoS.
    pub qos: QoS,
    /// With which RETAIN flag.
    pub retain: bool,
    /// How many messages at most.
    pub count: u32,
    /// Whether these are its client's wills, which the broker publishes.
    pub will: bool,
    /// Whether the payloads are empty, so that a retained one clears its topic.
    pub empty: bool,
    /// Whether the broker is set to let nobody publish to the topic.
    pub denied: bool,
}

impl Roster {
    /// A client's name.
    #[must_use]
    pub fn name(&self, client: ClientIndex) -> &str {
        &self.clients[client.index()].name
    }

    /// Whether a CONNACK that accepts a client carries its session on. MQTT 3.1 has no Session
    /// Present flag: there, a session lives as long as the client asks for it.
    #[must_use]
    pub fn carries_on(&self, client: ClientIndex, session_present: bool) -> bool {
        let ClientFacts { clean, version, .. } = self.clients[client.index()];
        if version == Version::V31 { !clean } else { session_present }
    }

    /// What a node keeps through a crash.
    #[must_use]
    pub fn store(&self, node: Node) -> Store {
        match node {
            Node::Broker => self.broker_store,
            Node::Client(client) => self.clients[client.index()].store,
        }
    }

    /// Whether a node loses what it has acknowledged, or still has to send, when it crashes.
    #[must_use]
    pub fn forgets(&self, node: Node) -> bool {
        self.store(node) != Store::Durable
    }

    /// Whether what a client publishes completes without anybody reconnecting: over a byte stream
    /// a correct client needs no timer for that.
    #[must_use]
    pub fn is_reliable_up(&self, client: ClientIndex) -> bool {
        let ClientFacts { over_stream, resends_by_timer, .. } = self.clients[client.index()];
        over_stream && !resends_by_timer
    }

    /// Whether the broker's copies for a client are so, too.
    #[must_use]
    pub fn is_reliable_down(&self, client: ClientIndex) -> bool {
        self.clients[client.index()].over_stream && !self.broker_resends_by_timer
    }
}
