//! The log in which broken rules are recorded.

use std::num::NonZeroU16;
use std::sync::Arc;

use crate::rules::Rule;
use crate::trial_facts::{ClientFacts, TrialFacts};
use qoslab_core::base::{ClientIndex, Hop, MessageTag, Node, PublisherIndex, Time};
use qoslab_core::mqtt::{PacketId, Version};

/// A rule that an endpoint broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RuleViolation {
    /// The time; for an answer that never came, when it became due.
    pub at: Time,
    /// The endpoint that broke it.
    pub node: Node,
    /// The client whose link it is.
    pub link: ClientIndex,
    /// The hop of the message; where it concerns none, the hop that the client is for.
    pub hop: Hop,
    /// The rule.
    pub rule: Rule,
    /// The message it concerns, if it is one that is watched.
    pub message: Option<(PublisherIndex, u32)>,
    /// A second message it concerns: the one that used the id before.
    pub other_message: Option<(PublisherIndex, u32)>,
}

/// What is broken, and what decides whether it is.
#[derive(Clone, Debug)]
pub(super) struct ViolationLog {
    pub(super) trial: Arc<TrialFacts>,
    pub(super) violations: Vec<RuleViolation>,
}

/// The endpoint that is judged, the time, and the link.
#[derive(Clone, Copy, Debug)]
pub(super) struct EventContext {
    pub(super) at: Time,
    pub(super) node: Node,
    pub(super) link: ClientIndex,
}

impl ViolationLog {
    /// The facts of the client on whose link something happens.
    pub(super) fn client(&self, context: EventContext) -> &ClientFacts {
        &self.trial.clients[context.link.index()]
    }

    pub(super) fn version(&self, context: EventContext) -> Version {
        self.client(context).version
    }

    /// Whether the scenario lets this endpoint send again after a time.
    pub(super) fn resends_by_timer(&self, context: EventContext) -> bool {
        match context.node {
            Node::Broker => self.trial.broker_resends_by_timer,
            Node::Client(_) => self.client(context).resends_by_timer,
        }
    }

    /// The sender's half of a hop broke a rule.
    #[cold]
    pub(super) fn report_sender(&mut self, context: EventContext, rule: Rule, tag: MessageTag) {
        let hop = if context.node == Node::Broker { Hop::Second } else { Hop::First };
        self.report(context, hop, rule, [message_key(tag), None]);
    }

    /// The receiver's half of a hop broke a rule.
    #[cold]
    pub(super) fn report_receiver(&mut self, context: EventContext, rule: Rule, tag: MessageTag) {
        let hop = if context.node == Node::Broker { Hop::First } else { Hop::Second };
        self.report(context, hop, rule, [message_key(tag), None]);
    }

    /// A rule was broken that concerns no message.
    #[cold]
    pub(super) fn report_endpoint(&mut self, context: EventContext, rule: Rule) {
        let publishes = self.trial.publishers.iter().any(|stream| stream.client == context.link);
        let hop = if publishes { Hop::First } else { Hop::Second };
        self.report(context, hop, rule, [None; 2]);
    }

    /// The broker did wrong by a will. Of a broker under test it is not known when it published
    /// one: that is seen where a subscriber gets it.
    #[cold]
    pub(super) fn report_will(&mut self, context: EventContext, rule: Rule, at: Time) {
        if !self.trial.is_under_test {
            self.report_endpoint(EventContext { at, ..context }, rule);
        }
    }

    /// A rule was broken that concerns two messages.
    #[cold]
    pub(super) fn report_sender_of_two(
        &mut self,
        context: EventContext,
        rule: Rule,
        tags: [MessageTag; 2],
    ) {
        let hop = if context.node == Node::Broker { Hop::Second } else { Hop::First };
        self.report(context, hop, rule, tags.map(message_key));
    }

    /// Records it, if the version has such a rule and the transport lets it be judged.
    fn report(
        &mut self,
        context: EventContext,
        hop: Hop,
        rule: Rule,
        [message, other]: [Option<(PublisherIndex, u32)>; 2],
    ) {
        let ClientFacts { version, over_tcp: over_stream, .. } = *self.client(context);
        if rule.is_checked(version, over_stream) {
            let EventContext { at, node, link, .. } = context;
            self.violations.push(RuleViolation {
                at,
                node,
                link,
                hop,
                rule,
                message,
                other_message: other,
            });
        }
    }
}

/// The message of a mark.
pub(crate) fn message_key(tag: MessageTag) -> Option<(PublisherIndex, u32)> {
    tag.message_id().map(|message_id| (message_id.publisher, message_id.sequence))
}

/// A packet id as it was on the wire; `None` for 0, which is none.
pub(super) fn packet_id(id: u16) -> Option<PacketId> {
    NonZeroU16::new(id).map(PacketId)
}
