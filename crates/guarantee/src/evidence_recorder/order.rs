//! The order in which the messages of a stream were sent, came and were forwarded, where an
//! application got some of them out of order.

use std::collections::{BTreeMap, BTreeSet};

use super::{EvidenceRecorder, message_key};
use qoslab_core::base::{
    ClientIndex, MessageId, Node, PacketKind, PacketMeta, PublisherIndex, QoS,
};

/// An interface that the messages of a stream cross one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Passage {
    /// The publisher sends them.
    Sent,
    /// They come to the broker, by their PUBRELs where those let them pass on.
    Came,
    /// The broker sends them to a subscriber with this QoS.
    Forwarded(ClientIndex, QoS),
    /// They come to a subscriber with this QoS, or their PUBRELs do.
    CameTo(ClientIndex, Option<QoS>),
}

impl Passage {
    /// The subscriber that the broker sends them to.
    const fn subscriber(self) -> Option<ClientIndex> {
        match self {
            Self::Sent | Self::Came => None,
            Self::Forwarded(client, _) | Self::CameTo(client, _) => Some(client),
        }
    }
}

impl EvidenceRecorder {
    /// A PUBLISH or PUBREL was read.
    pub(super) fn on_came_in_order(&mut self, node: Node, packet: &PacketMeta<'_>) {
        let Some((publisher, _)) = message_key(packet.tag) else { return };
        let is_pubrel = packet.kind() == PacketKind::PubRel;
        match node {
            Node::Client(client) => {
                self.stream_order.on_passed(packet, Passage::CameTo(client, packet.qos()));
            }
            Node::Broker if is_pubrel == self.waits_for_pubrel(publisher) => {
                self.stream_order.on_passed(packet, Passage::Came);
            }
            Node::Broker => {}
        }
    }
}

/// The streams of which messages are suspected, and how far each has passed where.
#[derive(Clone, Debug, Default)]
pub(crate) struct StreamOrder {
    watched: BTreeSet<PublisherIndex>,
    /// The sequence number after the highest that has passed.
    next: BTreeMap<(PublisherIndex, Passage), u32>,
    /// What has passed late, and what has passed at all of what is suspected.
    late: BTreeSet<(PublisherIndex, u32, Passage)>,
    passed: BTreeSet<(PublisherIndex, u32, Passage)>,
    suspected: BTreeSet<(PublisherIndex, u32)>,
}

impl StreamOrder {
    /// Watches the streams of these messages.
    pub(crate) fn new(suspected: BTreeSet<(PublisherIndex, u32)>) -> Self {
        let watched = suspected.iter().map(|(publisher, _)| *publisher).collect();
        Self { watched, suspected, ..Self::default() }
    }

    /// A PUBLISH was sent, on either hop.
    pub(crate) fn on_sent(&mut self, node: Node, packet: &PacketMeta<'_>) {
        let passage = match (node, packet.qos()) {
            (Node::Client(_), _) => Passage::Sent,
            (Node::Broker, Some(qos)) => Passage::Forwarded(packet.name.client, qos),
            (Node::Broker, None) => return,
        };
        self.on_passed(packet, passage);
    }

    fn on_passed(&mut self, packet: &PacketMeta<'_>, passage: Passage) {
        let Some(message_id) = packet.tag.message_id() else { return };
        let MessageId { publisher, sequence, .. } = message_id;
        if !self.watched.contains(&publisher) || message_id.is_retained_copy() {
            return;
        }
        let next = self.next.entry((publisher, passage)).or_default();
        let is_late = sequence + 1 < *next;
        *next = (*next).max(sequence + 1);
        let is_first = self.suspected.contains(&(publisher, sequence))
            && self.passed.insert((publisher, sequence, passage));
        if is_first && is_late {
            self.late.insert((publisher, sequence, passage));
        }
    }

    /// A subscriber's session is a new one.
    pub(crate) fn on_session_began(&mut self, client: ClientIndex) {
        self.next.retain(|(_, passage), _| passage.subscriber() != Some(client));
    }

    /// Whether a message passed for the first time after a later one.
    pub(crate) fn is_late(&self, message: (PublisherIndex, u32), passage: Passage) -> bool {
        self.late.contains(&(message.0, message.1, passage))
    }

    /// Whether the broker began to send a message to a subscriber after a later one of the same
    /// QoS.
    pub(crate) fn is_forwarded_late(
        &self,
        message: (PublisherIndex, u32),
        client: ClientIndex,
    ) -> bool {
        QoS::ALL.into_iter().any(|qos| self.is_late(message, Passage::Forwarded(client, qos)))
    }

    /// Whether a message came to a subscriber after a later one of the same QoS, or its PUBREL
    /// after that of a later one.
    pub(crate) fn came_late_to(&self, message: (PublisherIndex, u32), client: ClientIndex) -> bool {
        let all = QoS::ALL.into_iter().map(Some).chain([None]);
        all.into_iter().any(|qos| self.is_late(message, Passage::CameTo(client, qos)))
    }
}
