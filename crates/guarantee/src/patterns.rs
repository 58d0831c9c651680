//! Interesting things that take more than one event to see.

use std::collections::BTreeSet;

use super::roster::Roster;
use qoslab_core::base::event::Record;
use qoslab_core::base::name::{ClientIndex, Hop, Kind, Node, Subject};
use qoslab_core::base::qos::QoS;
use qoslab_core::base::time::Time;

/// Remembers the last few events, and a few bytes for each client.
#[derive(Clone, Debug)]
pub(super) struct Patterns {
    /// The last packet id that the client, and the broker to it, gave to a message.
    last_ids: Vec<[u16; 2]>,
    /// An acknowledgement that made room in this sender's window at this instant.
    made_room: Option<(Time, Node, ClientIndex)>,
    /// A QoS 2 PUBLISH that reached this client, which has not delivered it.
    undelivered: Option<ClientIndex>,
    /// By client that delivers on PUBREL, and packet id: what it holds.
    held: BTreeSet<(ClientIndex, u16)>,
    /// A sender's packet id went from the highest back to a low one.
    pub(super) id_wraps: u64,
    /// A message that had waited for a place in the window was sent when there was one.
    pub(super) windows_full: u64,
    /// A QoS 2 message came to a subscriber again and was not delivered again.
    pub(super) suppressed: u64,
}

impl Patterns {
    /// Nothing seen yet.
    pub(super) fn new(clients: usize) -> Self {
        Self {
            last_ids: vec![[0; 2]; clients],
            made_room: None,
            undelivered: None,
            held: BTreeSet::new(),
            id_wraps: 0,
            windows_full: 0,
            suppressed: 0,
        }
    }

    /// A node sent a packet that belongs to a message.
    #[inline]
    pub(super) fn sent(&mut self, now: Time, node: Node, record: &Record<'_>) {
        let client = record.name.client;
        match record.kind() {
            Kind::Publish if record.id != 0 && !record.is_resend() => {
                let side = usize::from(node == Node::Broker);
                let last = std::mem::replace(&mut self.last_ids[client.index()][side], record.id);
                // SUBSCRIBE and UNSUBSCRIBE use ids too, and some are skipped.
                self.id_wraps += u64::from(last >= 0xC000 && record.id < 0x4000);
                let waited = self.made_room == Some((now, node, client));
                self.windows_full += u64::from(waited);
            }
            Kind::PubRec if self.undelivered == Some(client) && node != Node::Broker => {
                self.undelivered = None;
                self.suppressed += 1;
            }
            _ => {}
        }
    }

    /// A packet that is read reached a node.
    #[inline]
    pub(super) fn arrived(&mut self, now: Time, node: Node, record: &Record<'_>, roster: &Roster) {
        let client = record.name.client;
        self.made_room = None;
        self.undelivered = None;
        match record.kind() {
            Kind::PubAck | Kind::PubComp => self.made_room = Some((now, node, client)),
            Kind::PubRec if record.reason >= 0x80 => self.made_room = Some((now, node, client)),
            Kind::Publish if is_onward(record) && record.qos() == Some(QoS::ExactlyOnce) => {
                if !roster.clients[client.index()].delivers_on_release {
                    self.undelivered = Some(client);
                } else if !self.held.insert((client, record.id)) {
                    self.suppressed += 1;
                }
            }
            Kind::PubRel if is_onward(record) => {
                self.held.remove(&(client, record.id));
            }
            _ => {}
        }
    }

    /// A message was published, or delivered: what follows is because of that.
    #[inline]
    pub(super) const fn interrupted(&mut self) {
        self.made_room = None;
        self.undelivered = None;
    }

    /// A client's session is gone, and what it held with it.
    pub(super) fn forgot(&mut self, client: ClientIndex) {
        self.held.retain(|(holder, _)| *holder != client);
    }
}

const fn is_onward(record: &Record<'_>) -> bool {
    matches!(record.name.subject, Subject::Message { hop: Hop::Second, .. })
}
