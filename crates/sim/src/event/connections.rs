//! Connections: who believes them open.

use serde::Serialize;

use qoslab_core::base::draw::Key;
use qoslab_core::base::name::{ClientIndex, Connection, Node};
use qoslab_core::base::time::Span;
use qoslab_core::mqtt::settings::Backoff;

/// A pause doubles at most so often.
const MOST_DOUBLINGS: u32 = 20;

/// Every connection of the trial and what its two ends make of it. Over datagrams opening is local:
/// a client has a connection at once; over TCP it has it after the handshake. The broker has it
/// when its first CONNECT arrives.
#[derive(Debug, Default)]
pub(super) struct Connections {
    known: Vec<Ends>,
}

#[derive(Debug, Serialize)]
pub(super) struct Ends {
    client: ClientIndex,
    at_client: End,
    at_broker: End,
}

/// What one end makes of a connection. Once closed it stays closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) enum End {
    /// It has not heard of it.
    Unknown,
    Open,
    Closed,
}

impl Connections {
    /// A new connection, of which neither end has heard.
    pub(super) fn add(&mut self, client: ClientIndex) -> Connection {
        let number =
            u32::try_from(self.known.len()).expect("an event each, and so fewer than 2^32");
        self.known.push(Ends { client, at_client: End::Unknown, at_broker: End::Unknown });
        Connection(number)
    }

    /// What a node makes of a connection.
    pub(super) fn at(&mut self, node: Node, connection: Connection) -> &mut End {
        let ends = &mut self.known[connection.0 as usize];
        match node {
            Node::Broker => &mut ends.at_broker,
            Node::Client(_) => &mut ends.at_client,
        }
    }

    pub(super) fn is_open(&self, node: Node, connection: Connection) -> bool {
        let ends = &self.known[connection.0 as usize];
        let end = match node {
            Node::Broker => ends.at_broker,
            Node::Client(_) => ends.at_client,
        };
        end == End::Open
    }

    /// The connections that an end still has open, and those that something still travels on.
    pub(super) fn alive(&self, travelled: &[Connection]) -> Vec<(Connection, &Ends)> {
        let numbered = (0..).map(Connection).zip(&self.known);
        let alive = numbered.filter(|(connection, ends)| {
            ends.at_client == End::Open
                || ends.at_broker == End::Open
                || travelled.contains(connection)
        });
        alive.collect()
    }

    /// Whose link a connection is on.
    pub(super) fn client(&self, connection: Connection) -> ClientIndex {
        self.known[connection.0 as usize].client
    }
}

/// How long a client waits before it opens its `nth` connection when `attempt` of them have failed:
/// not at all, then the shortest pause and twice as long each time up to the longest, of which a
/// share from a half to all is drawn from the client's luck, so that a fleet does not come back in
/// step.
pub(super) fn pause(backoff: Backoff, luck: Key, attempt: u32, nth: u32) -> Span {
    if attempt == 0 {
        return Span::ZERO;
    }
    let doublings = (attempt - 1).min(MOST_DOUBLINGS);
    let longest = backoff.min.times(1 << doublings).min(backoff.max);
    let [word, ..] = luck.draw([attempt, nth, 0, 0]);
    let half = longest.as_nanos() / 2;
    let drawn = (u128::from(half) * u128::from(word)) >> 32;
    longest - Span::from_nanos(u64::try_from(drawn).unwrap_or(half))
}
