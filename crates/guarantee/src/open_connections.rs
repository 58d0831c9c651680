//! The connections that are open at each end.

use qoslab_core::base::{ClientIndex, ConnectionNumber, Node};
use qoslab_core::impl_fingerprint;

/// For each client, the connection that is open at its end and at the broker's, if any.
#[derive(Clone, Debug)]
pub(super) struct OpenConnections {
    ends: Vec<[Option<ConnectionNumber>; 2]>,
}

impl_fingerprint! { struct OpenConnections { plain ends; } }

impl OpenConnections {
    /// No open connections.
    pub(super) fn new(clients: usize) -> Self {
        Self { ends: vec![[None; 2]; clients] }
    }

    /// A connection opened; gives the one that was open there until now.
    pub(super) fn on_opened(
        &mut self,
        node: Node,
        client: ClientIndex,
        connection: ConnectionNumber,
    ) -> Option<ConnectionNumber> {
        self.end_mut(node, client).replace(connection)
    }

    /// A connection closed; says whether it was the current one.
    pub(super) fn on_closed(
        &mut self,
        node: Node,
        client: ClientIndex,
        connection: ConnectionNumber,
    ) -> bool {
        let end = self.end_mut(node, client);
        let current = *end == Some(connection);
        if current {
            *end = None;
        }
        current
    }

    /// Whether a packet of this connection is read at this end: an end that closed a connection,
    /// or never opened it, answers with a reset.
    pub(super) fn is_open(
        &self,
        node: Node,
        client: ClientIndex,
        connection: ConnectionNumber,
    ) -> bool {
        self.ends[client.index()][Self::end_index(node)] == Some(connection)
    }

    /// Whether any connection is open at this end.
    pub(super) fn is_connected(&self, node: Node, client: ClientIndex) -> bool {
        self.ends[client.index()][Self::end_index(node)].is_some()
    }

    /// The connection that is open at this end.
    pub(super) fn current(&self, node: Node, client: ClientIndex) -> Option<ConnectionNumber> {
        self.ends[client.index()][Self::end_index(node)]
    }

    fn end_mut(&mut self, node: Node, client: ClientIndex) -> &mut Option<ConnectionNumber> {
        &mut self.ends[client.index()][Self::end_index(node)]
    }

    const fn end_index(node: Node) -> usize {
        match node {
            Node::Broker => 0,
            Node::Client(_) => 1,
        }
    }
}
