//! Connections, and which ends consider them open.

use qoslab_core::base::draw::DrawKey;
use qoslab_core::base::{ClientIndex, ConnectionNumber, Node, Span};
use qoslab_core::impl_fingerprint;
use qoslab_core::mqtt::Backoff;

/// Every connection of the trial and its state at its two ends. Over datagrams opening is local:
/// a client has a connection at once; over TCP it has it after the handshake. The broker has it
/// when its first CONNECT arrives.
#[derive(Debug, Default)]
pub(super) struct Connections {
    all: Vec<ConnectionEnds>,
}

#[derive(Debug)]
pub(super) struct ConnectionEnds {
    client: ClientIndex,
    at_client: EndState,
    at_broker: EndState,
}

impl_fingerprint! {
    struct ConnectionEnds {
        plain client, at_client, at_broker;
    }
}

/// State of a connection at one end. Once closed it stays closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EndState {
    /// It has not heard of it.
    Unknown,
    Open,
    Closed,
}

impl_fingerprint! { fieldless EndState }

impl Connections {
    /// A new connection, of which neither end has heard.
    pub(super) fn create(&mut self, client: ClientIndex) -> ConnectionNumber {
        let number = u32::try_from(self.all.len()).expect("an event each, and so fewer than 2^32");
        self.all.push(ConnectionEnds {
            client,
            at_client: EndState::Unknown,
            at_broker: EndState::Unknown,
        });
        ConnectionNumber(number)
    }

    /// Returns the state of a connection at a node.
    #[inline]
    pub(super) fn end(&self, node: Node, connection: ConnectionNumber) -> EndState {
        let ends = &self.all[connection.0 as usize];
        match node {
            Node::Broker => ends.at_broker,
            Node::Client(_) => ends.at_client,
        }
    }

    /// As [`Self::end`], to be changed.
    pub(super) fn end_mut(&mut self, node: Node, connection: ConnectionNumber) -> &mut EndState {
        let ends = &mut self.all[connection.0 as usize];
        match node {
            Node::Broker => &mut ends.at_broker,
            Node::Client(_) => &mut ends.at_client,
        }
    }

    #[inline]
    pub(super) fn is_open(&self, node: Node, connection: ConnectionNumber) -> bool {
        self.end(node, connection) == EndState::Open
    }

    /// The connections that an end has open, and those with data in transit.
    pub(super) fn live(
        &self,
        in_transit: &[ConnectionNumber],
    ) -> Vec<(ConnectionNumber, &ConnectionEnds)> {
        let numbered = (0..).map(ConnectionNumber).zip(&self.all);
        let alive = numbered.filter(|(connection, ends)| {
            ends.at_client == EndState::Open
                || ends.at_broker == EndState::Open
                || in_transit.contains(connection)
        });
        alive.collect()
    }

    /// Returns the client whose link a connection is on.
    pub(super) fn client_of(&self, connection: ConnectionNumber) -> ClientIndex {
        self.all[connection.0 as usize].client
    }
}

/// How long a client waits before it opens its `nth` connection when `attempt` of them have failed:
/// not at all, then the shortest pause and twice as long each time up to the longest, of which a
/// share from a half to all is drawn at random with the client's key, so that a fleet does not come
/// back in step; without jitter all of it.
pub(super) fn backoff_delay(backoff: Backoff, draw_key: DrawKey, attempt: u32, nth: u32) -> Span {
    if attempt == 0 {
        return Span::ZERO;
    }
    let longest = backoff.max_pause(attempt);
    if !backoff.jitter {
        return longest;
    }
    let [word, ..] = draw_key.draw([attempt, nth, 0, 0]);
    let half = longest.as_nanos() / 2;
    let drawn = (u128::from(half) * u128::from(word)) >> 32;
    longest - Span::from_nanos(u64::try_from(drawn).unwrap_or(half))
}
