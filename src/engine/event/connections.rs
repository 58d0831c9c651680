//! Connections over datagrams: who believes them open.

use crate::base::draw::Key;
use crate::base::name::{ClientIndex, Connection, Node};
use crate::base::time::Span;

/// The longest a client waits before it tries to connect again, jitter apart.
const LONGEST_PAUSE: Span = Span::from_secs(60);

/// Every connection of the trial and what its two ends make of it. Opening is local: a client has
/// a connection at once, and the broker when its first CONNECT arrives.
#[derive(Debug, Default)]
pub(super) struct Connections {
    known: Vec<Ends>,
}

#[derive(Debug)]
struct Ends {
    client: ClientIndex,
    at_client: End,
    at_broker: End,
}

/// What one end makes of a connection. Once closed it stays closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// It has not heard of it.
    Unknown,
    Open,
    Closed,
}

impl Connections {
    /// A new connection that is open at its client.
    pub(super) fn open(&mut self, client: ClientIndex) -> Connection {
        let number =
            u32::try_from(self.known.len()).expect("an event each, and so fewer than 2^32");
        self.known.push(Ends { client, at_client: End::Open, at_broker: End::Unknown });
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

    /// Whose link a connection is on.
    pub(super) fn client(&self, connection: Connection) -> ClientIndex {
        self.known[connection.0 as usize].client
    }
}

/// How long a client waits before it opens a connection when `attempt` of them have failed: not
/// at all, then 1 s and twice as long each time up to 60 s, of which a share from a half to all is
/// drawn from the client's luck, so that a fleet does not come back in step.
pub(super) fn pause(luck: Key, attempt: u32) -> Span {
    if attempt == 0 {
        return Span::ZERO;
    }
    let doublings = (attempt - 1).min(6);
    let longest = Span::from_secs(1 << doublings).min(LONGEST_PAUSE);
    let [word, ..] = luck.draw([attempt, 0, 0, 0]);
    // 26 bits of luck are enough, and leave room for 60 * 10^9 ns.
    let share = (1 << 26) + u64::from(word >> 6);
    Span::from_nanos((longest.as_nanos() * share) >> 27)
}
