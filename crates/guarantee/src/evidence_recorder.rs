//! The second pass: runs the same trial again and keeps evidence for the suspected violations of
//! the first pass.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::blame::{BlameInput, assign_blame};
use super::claims::FIRST_FAILURE_REASON;
use super::event_log::EventLog;
use super::evidence::{Evidence, IdCollision, IdReleaseCause, MessageEvent, StaleAck};
use super::findings::{add_below_granted, add_missing_action, build_finding};
use super::first_pass::{FirstPassResult, SuspectedViolation};
use super::monitor::{Monitor, RuleViolation, message_key};
use super::rules::Rule;
use super::session_endings::SessionEndings;
use super::subscriptions::Subscriptions;
use super::trial_facts::TrialFacts;
use super::verdict::{Blame, Breach, MAX_FINDINGS, Outcome, Violation};
use qoslab_core::base::{
    ClientIndex, ConnectionNumber, Direction, DropReason, Event, Fate, Hop, MessageTag, Node,
    Observer, PacketBody, PacketKind, PacketMeta, PacketSubject, PublisherIndex, QoS, Time,
};
use qoslab_core::mqtt::StorePolicy;

mod forwarding;
pub(super) mod order;

use self::order::StreamOrder;

/// Keeps the evidence for the suspected messages of one trial; of the others, only what is in
/// flight.
#[derive(Clone, Debug)]
pub struct EvidenceRecorder {
    trial: Arc<TrialFacts>,
    monitor: Monitor,
    subscriptions: Subscriptions,
    evidence: BTreeMap<(PublisherIndex, u32), Evidence>,
    /// Packets of suspected messages in flight: when they arrive and which message they belong to.
    pending_arrivals: BTreeMap<(ClientIndex, Direction), Vec<PendingArrival>>,
    /// What senders gave up: the link on which, and the message.
    given_up: BTreeSet<(ClientIndex, PublisherIndex, u32)>,
    session_endings: SessionEndings,
    event_log: EventLog,
    stream_order: StreamOrder,
    /// By topic: the last message to be retained that came; `None` if that cleared the topic.
    latest_retained: BTreeMap<Arc<str>, Option<(PublisherIndex, u32)>>,
    /// Messages to be retained that came and wait for PUBREL, and whether they have a payload.
    unreleased_retained: BTreeMap<(PublisherIndex, u32), bool>,
}

/// A packet of a suspected message that is in flight.
#[derive(Clone, Copy, Debug)]
struct PendingArrival {
    arrives_at: Time,
    message: (PublisherIndex, u32),
    hop: Hop,
}

impl EvidenceRecorder {
    /// A recorder ready to watch the trial again.
    #[must_use]
    pub fn new(trial: &Arc<TrialFacts>, suspects: &[SuspectedViolation]) -> Self {
        let mut evidence = BTreeMap::<_, Evidence>::new();
        for suspect in suspects {
            let evidence = evidence.entry((suspect.publisher, suspect.sequence)).or_default();
            evidence.subscribers.extend(suspect.subscriber);
        }
        let reordered = suspects.iter().filter(|it| it.breach == Breach::Reordered);
        let reordered = reordered.map(|it| (it.publisher, it.sequence)).collect();
        let publishers = evidence.keys().map(|(stream, _)| trial.publishers[stream.index()].client);
        let subscribers =
            evidence.values().flat_map(|evidence| evidence.subscribers.iter().copied());
        let watched: BTreeSet<_> = publishers.chain(subscribers).collect();
        Self {
            trial: Arc::clone(trial),
            event_log: EventLog::new(watched),
            monitor: Monitor::new(trial),
            subscriptions: Subscriptions::new(trial),
            evidence,
            pending_arrivals: BTreeMap::new(),
            given_up: BTreeSet::new(),
            session_endings: SessionEndings::default(),
            stream_order: StreamOrder::new(reordered),
            latest_retained: BTreeMap::new(),
            unreleased_retained: BTreeMap::new(),
        }
    }

    /// Assigns the blame, counts the violations and explains them.
    #[must_use]
    pub fn into_outcome(mut self, first_pass: FirstPassResult) -> Outcome {
        self.monitor.finish();
        self.collect_violations();
        let FirstPassResult { mut outcome, suspects: offenders, refuted_claims, .. } = first_pass;
        for suspect in &offenders {
            let Some(evidence) = self.evidence.get_mut(&(suspect.publisher, suspect.sequence))
            else {
                continue;
            };
            let (trial, session_endings, event_log) =
                (&self.trial, &self.session_endings, &self.event_log);
            add_missing_action(trial, evidence, suspect, event_log);
            add_below_granted(trial, evidence, suspect, event_log);
            let key = (suspect.publisher, suspect.sequence, suspect.subscriber);
            let decision = assign_blame(&BlameInput {
                trial,
                evidence,
                suspect,
                refuted_claim: refuted_claims.get(&key).copied(),
                stream_order: &self.stream_order,
                session_endings,
                event_log,
            });
            let by_endpoint =
                matches!(decision.blame, Blame::Publisher | Blame::Broker | Blame::Subscriber);
            if suspect.provisional && !by_endpoint {
                continue;
            }
            let SuspectedViolation { promise, breach, .. } = *suspect;
            let violation = Violation { promise, breach, blame: decision.blame };
            let count = outcome.violations.entry(violation).or_default();
            *count += 1;
            if *count <= MAX_FINDINGS as u64 {
                let finding = build_finding(trial, evidence, suspect, decision, event_log);
                outcome.findings.push(finding);
            }
        }
        outcome
    }

    fn collect_violations(&mut self) {
        for broken in self.monitor.take_violations() {
            for key in [broken.message, broken.other_message].into_iter().flatten() {
                if let Some(evidence) = self.evidence.get_mut(&key) {
                    evidence.rule_violations.push(broken);
                }
            }
            // With a session that the broker forgets goes all that it has for it.
            if broken.rule == Rule::SessionLost {
                let broken = RuleViolation { hop: Hop::Second, ..broken };
                for evidence in self.evidence.values_mut().filter(|it| it.published.is_some()) {
                    if evidence.subscribers.contains(&broken.link) {
                        evidence.rule_violations.push(broken);
                    }
                }
            }
        }
    }

    fn on_sent(&mut self, now: Time, node: Node, packet: &PacketMeta<'_>, fate: &Fate) {
        self.track_reordering(now, packet, fate);
        let PacketSubject::Message { hop, .. } = packet.name.subject else {
            if node == Node::Broker {
                self.on_broker_answer(now, packet);
            }
            return;
        };
        let Some(key) = message_key(packet.tag) else { return };
        if packet.kind() == PacketKind::Publish {
            self.stream_order.on_sent(node, packet);
        }
        let Some(evidence) = self.evidence.get_mut(&key) else { return };
        evidence.on_sent(now, packet, hop, fate);
        let link = packet.name.client;
        match (hop, node) {
            (Hop::First, Node::Broker) => {
                let releases = self.trial.broker_delivers_on_pubrel;
                let takes_ownership = match packet.kind() {
                    PacketKind::PubAck => true,
                    PacketKind::PubRec => !releases,
                    PacketKind::PubComp => releases,
                    _ => false,
                };
                if takes_ownership && packet.reason < 0x80 && evidence.forward_causes > 0 {
                    evidence.broker_acknowledged_at.get_or_insert(now);
                }
            }
            (Hop::Second, Node::Broker) if packet.kind() == PacketKind::Publish => {
                self.on_forwarded(now, packet);
            }
            (Hop::Second, Node::Client(_))
                if matches!(packet.kind(), PacketKind::PubAck | PacketKind::PubComp) =>
            {
                let by_pubrel = packet.kind() == PacketKind::PubComp;
                evidence.second_hops.entry(link).or_default().on_answered(now, by_pubrel);
            }
            _ => {}
        }
    }

    fn on_arrived(
        &mut self,
        now: Time,
        node: Node,
        connection: ConnectionNumber,
        packet: &PacketMeta<'_>,
    ) {
        let link = packet.name.client;
        let is_read = self.monitor.is_read(node, connection, packet);
        match packet.body {
            PacketBody::Subscribe(requests) if is_read => {
                self.subscriptions.on_subscribe(link, packet.id, requests);
            }
            PacketBody::Unsubscribe(filters) if is_read => {
                self.subscriptions.on_unsubscribe(link, packet.id, filters);
            }
            PacketBody::ConnAck { session_present, .. }
                if is_read && packet.reason == 0 && self.monitor.was_first_connack() =>
            {
                let resumed = self.trial.is_session_resumed(link, session_present);
                self.event_log.on_connack_received(now, link, resumed);
                if !resumed {
                    self.session_endings.on_session_began(now, node, link);
                }
            }
            _ => {}
        }
        let PacketSubject::Message { hop, .. } = packet.name.subject else { return };
        if !is_read {
            self.on_discarded(now, packet);
            return;
        }
        if !matches!(packet.kind(), PacketKind::Publish | PacketKind::PubRel) {
            self.check_stale_ack(now, hop, packet);
            if packet.reason >= FIRST_FAILURE_REASON
                && let Some(evidence) = self.evidence_of(packet.tag)
            {
                evidence.refusals.push((link, hop, packet.reason));
            }
            return;
        }
        if node == Node::Broker {
            self.on_retained_came(packet);
        }
        self.on_came_in_order(node, packet);
        let Some(key) = self.monitor.message_to_pass_on().and_then(message_key) else {
            self.check_id_collision(now, node, hop, packet);
            return;
        };
        let waits = self.waits_for_pubrel(key.0);
        let Some(evidence) = self.evidence.get_mut(&key) else { return };
        match (hop, node, packet.kind()) {
            (Hop::First, Node::Broker, PacketKind::Publish | PacketKind::PubRel) => {
                if waits != (packet.kind() == PacketKind::PubRel) {
                    return;
                }
                let stream = &self.trial.publishers[key.0.index()];
                let each = self.trial.sends_copy_for_each_filter;
                evidence.on_forward_cause(stream, &self.subscriptions, each);
            }
            (Hop::Second, Node::Client(_), PacketKind::Publish) => {
                evidence.second_hops.entry(link).or_default().received_as_new = true;
            }
            (Hop::Second, Node::Client(_), PacketKind::PubRel) => {
                evidence.second_hops.entry(link).or_default().released = true;
            }
            _ => {}
        }
    }

    /// Whether the broker passes a message of this stream on, and retains it, at its PUBREL.
    fn waits_for_pubrel(&self, publisher: PublisherIndex) -> bool {
        let qos2 = self.trial.publishers[publisher.index()].qos == QoS::ExactlyOnce;
        qos2 && self.trial.broker_delivers_on_pubrel
    }

    /// A PUBLISH came whose packet id the receiver holds, perhaps for another message.
    fn check_id_collision(&mut self, now: Time, node: Node, hop: Hop, packet: &PacketMeta<'_>) {
        let (link, id) = (packet.name.client, packet.id);
        let holder = self.monitor.held_message(node, link, id).and_then(message_key);
        let Some(other) = holder.filter(|_| packet.kind() == PacketKind::Publish) else { return };
        let sender = if hop == Hop::First { Node::Client(link) } else { Node::Broker };
        let freed = if self.given_up.contains(&(link, other.0, other.1)) {
            IdReleaseCause::GivenUp
        } else if self.event_log.state_lost_at(&self.trial, sender, Time::ZERO).is_some() {
            IdReleaseCause::Forgotten
        } else {
            IdReleaseCause::Acknowledged
        };
        let Some(evidence) = self.evidence_of(packet.tag) else { return };
        if message_key(packet.tag) != Some(other) && evidence.id_collision.is_none() {
            let collision =
                IdCollision { link, hop, id, other_message: other, release_cause: freed };
            evidence.id_collision = Some(collision);
            evidence.add_event(now, MessageEvent::IdCollision(collision));
        }
    }

    /// An acknowledgement came, perhaps of another message than its receiver takes it for.
    fn check_stale_ack(&mut self, now: Time, hop: Hop, packet: &PacketMeta<'_>) {
        let (link, id, kind) = (packet.name.client, packet.id, packet.kind());
        let Some(other) = message_key(packet.tag) else { return };
        let Some(key) = self.monitor.acknowledged_message().and_then(message_key) else { return };
        if key != other
            && let Some(evidence) = self.evidence.get_mut(&key)
            && evidence.stale_ack.is_none()
        {
            let stale_ack = StaleAck { link, hop, id, kind, other_message: other };
            evidence.stale_ack = Some(stale_ack);
            evidence.add_event(now, MessageEvent::StaleAck(stale_ack));
        }
    }

    /// An endpoint let go of a message: the broker of a client's copy, or the publisher itself.
    fn on_dropped(
        &mut self,
        now: Time,
        client: Option<ClientIndex>,
        tag: MessageTag,
        why: DropReason,
    ) {
        if let (DropReason::GaveUp, Some((stream, sequence))) = (why, message_key(tag)) {
            let link = client.unwrap_or(self.trial.publishers[stream.index()].client);
            self.given_up.insert((link, stream, sequence));
        }
        let refusable = tag.message_id().is_some_and(|message_id| {
            !message_id.is_retained_copy()
                && !self.trial.publishers[message_id.publisher.index()].will
        });
        if let Some(evidence) = self.evidence_of(tag) {
            if refusable && why == DropReason::QueueFull {
                evidence.not_refused.extend(client);
            }
            let is_retained = tag.message_id().is_some_and(|it| it.is_retained_copy());
            if let Some(client) = client.filter(|_| is_retained) {
                evidence.second_hops.entry(client).or_default().dropped_retained = true;
            }
            evidence.dropped.push((client, why));
            evidence.add_event(now, MessageEvent::Dropped { client, why });
        }
    }

    /// A packet was read by no endpoint: it died with its connection, so the network lost it.
    fn on_discarded(&mut self, now: Time, packet: &PacketMeta<'_>) {
        let PacketSubject::Message { hop, .. } = packet.name.subject else { return };
        let (link, direction) = (packet.name.client, packet.name.direction);
        if let Some(evidence) = self.evidence_of(packet.tag) {
            evidence.damage.entry((link, hop)).or_default().discarded += 1;
            evidence.add_event(
                now,
                MessageEvent::Discarded { link, direction, hop, kind: packet.kind() },
            );
        }
    }

    /// The broker published a will: it has reason to forward it, and has taken it over.
    fn on_will_published(&mut self, now: Time, tag: MessageTag) {
        let Some(message_id) = tag.message_id() else { return };
        let message = (message_id.publisher, message_id.sequence);
        let facts = &self.trial.publishers[message_id.publisher.index()];
        if facts.retain && !facts.publish_denied {
            let is_kept = facts.max_payload > 0;
            self.latest_retained.insert(Arc::clone(&facts.topic), is_kept.then_some(message));
        }
        let Some(evidence) = self.evidence.get_mut(&message) else { return };
        evidence.published = Some((message_id.qos, now));
        evidence.broker_acknowledged_at = Some(now);
        let stream = &self.trial.publishers[message_id.publisher.index()];
        let each = self.trial.sends_copy_for_each_filter;
        evidence.on_forward_cause(stream, &self.subscriptions, each);
        evidence.add_event(now, MessageEvent::WillPublished);
    }

    /// A node crashed: what its store does not keep is neither an act nor an omission of the node.
    fn on_crashed(&mut self, now: Time, node: Node) {
        if let Node::Client(client) = node {
            self.on_connection_ended(now, node, client);
        } else {
            for n in (0..).map(ClientIndex).take(self.trial.clients.len()) {
                self.on_connection_ended(now, node, n);
            }
        }
        if !self.trial.loses_state_in_crash(node) {
            return;
        }
        if self.trial.store_policy(node) == StorePolicy::Volatile && node == Node::Broker {
            for n in (0..).map(ClientIndex).take(self.trial.clients.len()) {
                self.subscriptions.forget_client(n);
            }
        }
        for onward in
            self.evidence.values_mut().flat_map(|evidence| evidence.second_hops.iter_mut())
        {
            match node {
                Node::Broker => onward.1.sent = 0,
                Node::Client(client) => onward.1.received_as_new &= *onward.0 != client,
            }
        }
    }

    /// A clean session ends with its connection.
    fn on_connection_ended(&mut self, now: Time, node: Node, client: ClientIndex) {
        if self.trial.clients[client.index()].clean_session
            && !self.monitor.is_connected(node, client)
        {
            self.session_endings.on_session_ended(now, node, client);
            if node == Node::Broker {
                self.subscriptions.forget_client(client);
            }
        }
    }

    /// Watches for packets that overtake those of suspected messages.
    fn track_reordering(&mut self, now: Time, packet: &PacketMeta<'_>, fate: &Fate) {
        let Fate::Arrives(arrival) = fate else { return };
        let own_key = message_key(packet.tag).filter(|whose| self.evidence.contains_key(whose));
        let link = (packet.name.client, packet.name.direction);
        if own_key.is_none() && !self.pending_arrivals.contains_key(&link) {
            return;
        }
        let pending = self.pending_arrivals.entry(link).or_default();
        pending.retain(|it| it.arrives_at > now);
        for late in pending.iter().filter(|it| it.arrives_at > arrival.at) {
            if let Some(evidence) = self.evidence.get_mut(&late.message) {
                evidence.damage.entry((link.0, late.hop)).or_default().reordered += 1;
            }
        }
        let PacketSubject::Message { hop, .. } = packet.name.subject else { return };
        if let Some(message) = own_key {
            let arrivals = std::iter::once(arrival.at).chain(arrival.duplicate_at);
            pending.extend(arrivals.map(|arrives| PendingArrival {
                arrives_at: arrives,
                message,
                hop,
            }));
        }
    }

    fn evidence_of(&mut self, tag: MessageTag) -> Option<&mut Evidence> {
        self.evidence.get_mut(&message_key(tag)?)
    }
}

impl Observer for EvidenceRecorder {
    fn observe(&mut self, now: Time, event: &Event<'_>) {
        self.monitor.observe(now, event);
        self.event_log.record(now, event);
        match *event {
            Event::Sent { node, packet: record, fate, .. } => self.on_sent(now, node, record, fate),
            Event::Arrived { node, connection, packet: record } => {
                self.on_arrived(now, node, connection, record);
            }
            Event::Discarded { packet: record, .. } => self.on_discarded(now, record),
            Event::Submitted { tag } => {
                if let (Some(message_id), Some(evidence)) =
                    (tag.message_id(), self.evidence_of(tag))
                {
                    evidence.published = Some((message_id.qos, now));
                    evidence.add_event(now, MessageEvent::Published);
                }
            }
            Event::Completed { tag } => {
                if let Some(evidence) = self.evidence_of(tag) {
                    evidence.completed_at.get_or_insert(now);
                    evidence.add_event(now, MessageEvent::Completed);
                }
            }
            Event::Delivered { client, tag, .. } => {
                if let Some(evidence) = self.evidence_of(tag) {
                    evidence.on_delivered(now, client);
                }
            }
            Event::Refused { tag, why } => self.on_dropped(now, None, tag, why),
            Event::Dropped { client, tag, why } => self.on_dropped(now, Some(client), tag, why),
            Event::WillPublished { tag } => self.on_will_published(now, tag),
            Event::Closed { node, client, .. } => self.on_connection_ended(now, node, client),
            Event::Crashed { node } => self.on_crashed(now, node),
            Event::SessionExpired { client } => {
                self.session_endings.on_session_ended(now, Node::Broker, client);
                self.subscriptions.forget_client(client);
            }
            _ => {}
        }
        self.collect_violations();
    }
}
