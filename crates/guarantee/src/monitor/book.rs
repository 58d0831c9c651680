//! Where broken rules are written down.

use std::num::NonZeroU16;
use std::sync::Arc;

use crate::roster::{ClientFacts, Roster};
use crate::rules::Rule;
use qoslab_core::base::name::{ClientIndex, Hop, Node, StreamIndex, Tag};
use qoslab_core::base::time::Time;
use qoslab_core::mqtt::packet::PacketId;
use qoslab_core::mqtt::settings::Version;

/// A rule that an endpoint broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Break {
    /// When; for an answer that never came, when it became due.
    pub at: Time,
    /// Who.
    pub node: Node,
    /// On whose link.
    pub link: ClientIndex,
    /// On which hop of the message; where it concerns none, the hop that the client is for.
    pub hop: Hop,
    /// Which rule.
    pub rule: Rule,
    /// The message it concerns, if it is one that is watched.
    pub message: Option<(StreamIndex, u32)>,
    /// A second message it concerns: the one that used the id before.
    pub other: Option<(StreamIndex, u32)>,
}

/// What is broken, and what decides whether it is.
#[derive(Clone, Debug)]
pub(super) struct Book {
    pub(super) roster: Arc<Roster>,
    pub(super) breaks: Vec<Break>,
}

/// Who does what is judged, when, and on whose link.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) at: Time,
    pub(super) node: Node,
    pub(super) link: ClientIndex,
}

impl Book {
    /// The facts of the client on whose link something happens.
    pub(super) fn client(&self, place: Place) -> &ClientFacts {
        &self.roster.clients[place.link.index()]
    }

    pub(super) fn version(&self, place: Place) -> Version {
        self.client(place).version
    }

    /// Whether the scenario lets this endpoint send again after a time.
    pub(super) fn resends_by_timer(&self, place: Place) -> bool {
        match place.node {
            Node::Broker => self.roster.broker_resends_by_timer,
            Node::Client(_) => self.client(place).resends_by_timer,
        }
    }

    /// The sender's half of a hop broke a rule.
    #[cold]
    pub(super) fn by_sender(&mut self, place: Place, rule: Rule, tag: Tag) {
        let hop = if place.node == Node::Broker { Hop::Second } else { Hop::First };
        self.report(place, hop, rule, [message(tag), None]);
    }

    /// The receiver's half of a hop broke a rule.
    #[cold]
    pub(super) fn by_receiver(&mut self, place: Place, rule: Rule, tag: Tag) {
        let hop = if place.node == Node::Broker { Hop::First } else { Hop::Second };
        self.report(place, hop, rule, [message(tag), None]);
    }

    /// A rule was broken that concerns no message.
    #[cold]
    pub(super) fn by_peer(&mut self, place: Place, rule: Rule) {
        let publishes = self.roster.streams.iter().any(|stream| stream.client == place.link);
        let hop = if publishes { Hop::First } else { Hop::Second };
        self.report(place, hop, rule, [None; 2]);
    }

    /// A rule was broken that concerns two messages.
    #[cold]
    pub(super) fn by_sender_of_two(&mut self, place: Place, rule: Rule, tags: [Tag; 2]) {
        let hop = if place.node == Node::Broker { Hop::Second } else { Hop::First };
        self.report(place, hop, rule, tags.map(message));
    }

    /// Writes it down, if the version has such a rule and the transport lets it be judged.
    fn report(
        &mut self,
        place: Place,
        hop: Hop,
        rule: Rule,
        [message, other]: [Option<(StreamIndex, u32)>; 2],
    ) {
        let ClientFacts { version, over_stream, .. } = *self.client(place);
        if rule.is_checked(version, over_stream) {
            let Place { at, node, link, .. } = place;
            self.breaks.push(Break { at, node, link, hop, rule, message, other });
        }
    }
}

/// The message of a mark.
pub(crate) fn message(tag: Tag) -> Option<(StreamIndex, u32)> {
    tag.parts().map(|parts| (parts.stream, parts.sequence))
}

/// A packet id as it was on the wire; `None` for 0, which is none.
pub(super) fn packet_id(id: u16) -> Option<PacketId> {
    NonZeroU16::new(id).map(PacketId)
}
