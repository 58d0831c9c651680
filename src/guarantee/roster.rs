//! What the judge has to know of a trial before it begins.

use std::sync::Arc;

use crate::base::name::ClientIndex;
use crate::base::qos::QoS;
use crate::mqtt::settings::Version;

/// Who takes part in a trial, and how it is judged: the facts that events do not tell.
#[derive(Clone, Debug, Default)]
pub struct Roster {
    /// The clients, by [`ClientIndex`].
    pub clients: Vec<ClientFacts>,
    /// The publishing workloads, by [`crate::base::name::StreamIndex`].
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
    /// Whether the broker's store may forget in a crash: all but a durable one.
    pub broker_forgets: bool,
    /// Whether the broker forwards a QoS 2 message on PUBREL and not on PUBLISH.
    pub broker_delivers_on_release: bool,
    /// Whether the transport is ordered and reliable, so that what completes only when everybody
    /// reconnects was stalled.
    pub reliable: bool,
}

/// What the judge has to know of one client.
#[derive(Clone, Debug)]
pub struct ClientFacts {
    /// Its name.
    pub name: Arc<str>,
    /// Whether its session ends with its connection.
    pub clean: bool,
    /// The protocol version it speaks, which decides how rules are cited.
    pub version: Version,
    /// Whether it sends again after a time, on the same connection.
    pub resends_by_timer: bool,
    /// Whether its link carries an ordered stream of bytes, and not datagrams.
    pub over_stream: bool,
    /// Whether its store may forget in a crash: all but a durable one.
    pub forgets: bool,
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
}
