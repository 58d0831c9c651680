//! Counters of notable events that take more than one event to see.

use std::collections::BTreeSet;

use super::trial_facts::TrialFacts;
use qoslab_core::base::{ClientIndex, Hop, Node, PacketKind, PacketMeta, PacketSubject, QoS, Time};

/// Remembers the last few events, and a few bytes for each client.
#[derive(Clone, Debug)]
pub(super) struct PatternCounters {
    /// The last packet id that the client, and the broker to it, gave to a message.
    last_ids: Vec<[u16; 2]>,
    /// An acknowledgement that made room in this sender's window at this instant.
    window_freed: Option<(Time, Node, ClientIndex)>,
    /// A QoS 2 PUBLISH that reached this client, which has not delivered it.
    undelivered: Option<ClientIndex>,
    /// By client that delivers on PUBREL, and packet id: what it holds.
    held_ids: BTreeSet<(ClientIndex, u16)>,
    /// A sender's packet id went from the highest back to a low one.
    pub(super) id_wraps: u64,
    /// A message that had waited for a place in the window was sent when there was one.
    pub(super) windows_full: u64,
    /// A QoS 2 message came to a subscriber again and was not delivered again.
    pub(super) duplicates_suppressed: u64,
}

impl PatternCounters {
    /// A counter before any event.
    pub(super) fn new(clients: usize) -> Self {
        Self {
            last_ids: vec![[0; 2]; clients],
            window_freed: None,
            undelivered: None,
            held_ids: BTreeSet::new(),
            id_wraps: 0,
            windows_full: 0,
            duplicates_suppressed: 0,
        }
    }

    /// A node sent a packet that belongs to a message.
    #[inline]
    pub(super) fn on_sent(&mut self, now: Time, node: Node, packet: &PacketMeta<'_>) {
        let client = packet.name.client;
        match packet.kind() {
            PacketKind::Publish if packet.id != 0 && !packet.is_resend() => {
                let side = usize::from(node == Node::Broker);
                let last = std::mem::replace(&mut self.last_ids[client.index()][side], packet.id);
                // SUBSCRIBE and UNSUBSCRIBE use ids too, and some are skipped.
                self.id_wraps += u64::from(last >= 0xC000 && packet.id < 0x4000);
                let waited = self.window_freed == Some((now, node, client));
                self.windows_full += u64::from(waited);
            }
            PacketKind::PubRec if self.undelivered == Some(client) && node != Node::Broker => {
                self.undelivered = None;
                self.duplicates_suppressed += 1;
            }
            _ => {}
        }
    }

    /// A packet that is read reached a node.
    #[inline]
    pub(super) fn on_arrived(
        &mut self,
        now: Time,
        node: Node,
        packet: &PacketMeta<'_>,
        trial: &TrialFacts,
    ) {
        let client = packet.name.client;
        self.window_freed = None;
        self.undelivered = None;
        match packet.kind() {
            PacketKind::PubAck | PacketKind::PubComp => {
                self.window_freed = Some((now, node, client));
            }
            PacketKind::PubRec if packet.reason >= 0x80 => {
                self.window_freed = Some((now, node, client));
            }
            PacketKind::Publish
                if is_second_hop(packet) && packet.qos() == Some(QoS::ExactlyOnce) =>
            {
                if !trial.clients[client.index()].delivers_on_pubrel {
                    self.undelivered = Some(client);
                } else if !self.held_ids.insert((client, packet.id)) {
                    self.duplicates_suppressed += 1;
                }
            }
            PacketKind::PubRel if is_second_hop(packet) => {
                self.held_ids.remove(&(client, packet.id));
            }
            _ => {}
        }
    }

    /// A message was published, or delivered: what follows is because of that.
    #[inline]
    pub(super) const fn clear_pending(&mut self) {
        self.window_freed = None;
        self.undelivered = None;
    }

    /// A client's session is gone, and what it held with it.
    pub(super) fn on_session_lost(&mut self, client: ClientIndex) {
        self.held_ids.retain(|(holder, _)| *holder != client);
    }
}

const fn is_second_hop(packet: &PacketMeta<'_>) -> bool {
    matches!(packet.name.subject, PacketSubject::Message { hop: Hop::Second, .. })
}
