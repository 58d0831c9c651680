//! Times at which sessions ended, as both ends of a link saw it.

use std::collections::BTreeMap;

use qoslab_core::base::{ClientIndex, Node, Time};

/// When the last session of each client ended at each end; `None` while the first one lives.
#[derive(Clone, Debug, Default)]
pub(super) struct SessionEndings {
    last_end: BTreeMap<(ClientIndex, Node), Option<Time>>,
}

impl SessionEndings {
    /// A session began at one end. If there was one before, that one is over.
    pub(super) fn on_session_began(&mut self, now: Time, node: Node, client: ClientIndex) {
        self.last_end.entry((client, node)).and_modify(|last| *last = Some(now)).or_insert(None);
    }

    /// A session ended with its connection.
    pub(super) fn on_session_ended(&mut self, now: Time, node: Node, client: ClientIndex) {
        self.last_end.insert((client, node), Some(now));
    }

    /// Whether a session of this client ended at either end, not before a time.
    pub(super) fn has_ended_since(&self, client: ClientIndex, time: Time) -> bool {
        [Node::Broker, Node::Client(client)]
            .iter()
            .filter_map(|node| *self.last_end.get(&(client, *node))?)
            .any(|last| last >= time)
    }
}
