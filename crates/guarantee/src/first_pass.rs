//! The first pass: the ledger, the metrics and the counters, for every event of a trial.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::claims::{FIRST_FAILURE_REASON, RefutedClaim};
use super::counters::Counters;
use super::evaluation;
use super::ledger::Ledger;
use super::metrics_collector::MetricsCollector;
use super::pattern_counters::PatternCounters;
use super::sessions::ConnackOutcome;
use super::trial_facts::TrialFacts;
use super::verdict::{Blame, Breach, Outcome, Promise, Violation};
use qoslab_core::base::{
    ClientIndex, CloseReason, ConnectionNumber, DropReason, Event, Hop, MessageTag, Node, Observer,
    PacketKind, PacketMeta, PacketSubject, Phase, PublisherIndex, QoS, RunSummary, Time,
};
use qoslab_core::impl_fingerprint;

/// Watches one trial with a byte for each message and a byte for each unit.
#[derive(Clone, Debug)]
pub struct FirstPassObserver {
    ledger: Ledger,
    collector: MetricsCollector,
    counters: Counters,
    patterns: PatternCounters,
    /// Whether packets, backlogs and counters still count: until the second calm begins.
    counting: bool,
}

impl_fingerprint! {
    struct FirstPassObserver {
        plain ledger, counting;
        skip collector, counters, patterns: "only for statistics and reports";
    }
}

/// One broken promise that has no blame yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SuspectedViolation {
    /// The publisher.
    pub publisher: PublisherIndex,
    /// Which message of that stream.
    pub sequence: u32,
    /// The subscriber; `None` where only the publisher is concerned.
    pub subscriber: Option<ClientIndex>,
    /// What was promised.
    pub promise: Promise,
    /// How it was broken.
    pub breach: Breach,
    /// The trial was stopped before it was quiescent, so this is only what it looks like: it
    /// counts if an endpoint is seen to have broken a rule, and else it is inconclusive.
    pub provisional: bool,
}

/// What the first pass found.
#[derive(Clone, Debug)]
pub struct FirstPassResult {
    /// Everything but violations and findings.
    pub(super) outcome: Outcome,
    /// What was broken, by message.
    pub suspects: Vec<SuspectedViolation>,
    /// The blame where no reason is looked for.
    pub(super) unexplained: Blame,
    /// What endpoints let go of without a reason.
    pub(super) refuted_claims: BTreeMap<(PublisherIndex, u32, Option<ClientIndex>), RefutedClaim>,
}

impl FirstPassObserver {
    /// An observer before any event.
    #[must_use]
    pub fn new(trial: &Arc<TrialFacts>) -> Self {
        Self {
            ledger: Ledger::new(trial),
            collector: MetricsCollector::new(trial),
            counters: Counters::default(),
            patterns: PatternCounters::new(trial.clients.len()),
            counting: true,
        }
    }

    /// Judges what was seen.
    #[must_use]
    pub fn finish(mut self, summary: &RunSummary) -> FirstPassResult {
        self.counters.duplicate_suppressed += self.patterns.duplicates_suppressed;
        self.counters.id_wrap = self.patterns.id_wraps;
        self.counters.window_full = self.patterns.windows_full;
        self.ledger.excuse_expired(summary.at);
        let mut metrics = self.collector.into_metrics();
        metrics.radio = summary.radio;
        let (suspects, excuses) = evaluation::evaluate(&self.ledger, summary.ending, &mut metrics);
        let outcome = Outcome {
            ending: summary.ending,
            ended_at: summary.at,
            events: summary.events,
            packets: summary.packets,
            trace_hash: summary.trace_hash,
            metrics,
            violations: BTreeMap::new(),
            findings: Vec::new(),
            rule_violations: BTreeMap::new(),
            rule_findings: Vec::new(),
            excuses,
            livelock: None,
            counters: self.counters.by_name(),
        };
        let unexplained = self.ledger.trial.unexplained();
        FirstPassResult {
            outcome,
            suspects,
            unexplained,
            refuted_claims: self.ledger.refuted_claims,
        }
    }

    #[inline]
    fn on_sent(
        &mut self,
        now: Time,
        node: Node,
        connection: ConnectionNumber,
        packet: &PacketMeta<'_>,
    ) {
        if self.counting {
            self.collector.on_sent(packet);
        }
        match (packet.name.subject, node) {
            (PacketSubject::Message { hop, .. }, _) => {
                if self.counting {
                    self.patterns.on_sent(now, node, packet);
                }
                if packet.kind() == PacketKind::Publish {
                    match hop {
                        Hop::First => self.ledger.on_sent_by_publisher(packet),
                        Hop::Second => self.ledger.on_sent_by_broker(now, packet),
                    }
                } else if packet.kind() == PacketKind::PubRel && packet.is_resend() {
                    self.ledger.count_retransmission(hop, packet);
                }
            }
            (PacketSubject::Control { .. }, Node::Broker) => {
                self.ledger.on_broker_answer(now, connection, packet);
            }
            (PacketSubject::Control { .. }, Node::Client(_)) => {}
        }
    }

    #[inline]
    fn on_arrived(
        &mut self,
        now: Time,
        node: Node,
        connection: ConnectionNumber,
        packet: &PacketMeta<'_>,
    ) {
        let client = packet.name.client;
        if !self.ledger.open_connections.is_open(node, client, connection) {
            return;
        }
        if self.counting {
            self.patterns.on_arrived(now, node, packet, &self.ledger.trial);
        }
        match (packet.name.subject, node) {
            (PacketSubject::Message { hop: Hop::First, .. }, Node::Broker) => {
                let acceptance = self.ledger.on_reached_broker(now, packet);
                self.counters.offline_queued += acceptance.copies_waiting;
                self.counters.duplicate_suppressed += u64::from(acceptance.is_suppressed_duplicate);
            }
            // A client lets pass what overtook its CONNACK.
            (PacketSubject::Message { .. }, Node::Client(_)) => {
                if self.ledger.sessions[client.index()].connack_received_on == Some(connection) {
                    self.ledger.on_ack_reached_publisher(packet);
                }
            }
            (PacketSubject::Control { .. }, Node::Broker) => {
                self.ledger.on_request(packet);
            }
            (PacketSubject::Control { .. }, Node::Client(_)) => {
                if let Some(outcome) = self.ledger.on_connack_received(now, connection, packet) {
                    self.on_connack(client, outcome);
                }
            }
            (PacketSubject::Message { .. }, Node::Broker) => {
                self.ledger.on_second_hop_ack(now, packet);
                if packet.reason >= FIRST_FAILURE_REASON {
                    self.ledger.on_refused_by_subscriber(now, packet);
                }
            }
        }
    }

    #[inline]
    fn on_submitted(&mut self, tag: MessageTag) {
        self.patterns.clear_pending();
        if let Some(message_id) = tag.message_id() {
            self.collector.on_submitted(&message_id);
            self.counters.offline_queued += u64::from(self.ledger.on_submitted(&message_id));
        }
    }

    #[inline]
    fn on_delivered(&mut self, now: Time, client: ClientIndex, tag: MessageTag, qos: QoS) {
        self.patterns.clear_pending();
        if let Some(message_id) = tag.message_id() {
            let delivery = self.ledger.on_delivered(client, &message_id, qos);
            self.collector.on_delivered(now, client, &message_id, delivery);
        }
    }

    fn on_refused(&mut self, now: Time, tag: MessageTag, why: DropReason) {
        if let Some(message_id) = tag.message_id() {
            self.collector.on_refused(&message_id, why);
        }
        self.ledger.on_refused(now, tag, why);
    }

    fn on_dropped(&mut self, now: Time, client: ClientIndex, tag: MessageTag, why: DropReason) {
        if let Some(message_id) = tag.message_id() {
            self.collector.on_dropped(client, &message_id, why);
        }
        self.ledger.on_dropped(now, client, tag, why);
    }

    fn on_will_published(&mut self, tag: MessageTag) {
        self.patterns.clear_pending();
        if let Some(message_id) = tag.message_id() {
            if self.counting {
                self.collector.on_submitted(&message_id);
            }
            self.counters.offline_queued += self.ledger.on_will_published(&message_id);
        }
    }

    fn on_connack(&mut self, client: ClientIndex, outcome: ConnackOutcome) {
        if outcome != ConnackOutcome::Resumed {
            self.patterns.on_session_lost(client);
        }
        if self.counting {
            self.counters.session_resumed += u64::from(outcome == ConnackOutcome::Resumed);
            self.counters.session_lost += u64::from(outcome == ConnackOutcome::Lost);
        }
    }

    fn on_opened(&mut self, node: Node, client: ClientIndex, connection: ConnectionNumber) {
        let session = &self.ledger.sessions[client.index()];
        let is_reconnect = matches!(node, Node::Client(_)) && session.connack_received_on.is_some();
        let replaced = self.ledger.open_connections.on_opened(node, client, connection).is_some();
        if self.counting {
            self.counters.reconnect += u64::from(is_reconnect);
            self.counters.takeover += u64::from(replaced && node == Node::Broker);
        }
    }

    fn on_phase(&mut self, now: Time, phase: Phase) {
        self.ledger.phase = phase;
        self.ledger.phase_began = now;
        if phase == Phase::ReconnectDrain {
            self.ledger.on_reconnect_drain();
        }
        if phase == Phase::Traffic {
            self.collector.on_traffic_began();
        }
        self.counting = phase < Phase::ReconnectDrain;
    }
}

impl Observer for FirstPassObserver {
    #[inline]
    fn observe(&mut self, now: Time, event: &Event<'_>) {
        if now > self.ledger.next_session_deadline {
            self.ledger.end_expired_sessions(now);
        }
        if self.counting {
            self.counters.count(event);
        }
        match *event {
            Event::Sent { node, connection, packet: record, .. } => {
                self.on_sent(now, node, connection, record);
            }
            Event::Arrived { node, connection, packet: record } => {
                self.on_arrived(now, node, connection, record);
            }
            Event::Delivered { client, tag, qos, .. } => self.on_delivered(now, client, tag, qos),
            Event::Submitted { tag } => self.on_submitted(tag),
            Event::Completed { tag } => {
                if let Some(message_id) = self.ledger.on_completed(tag) {
                    self.collector.on_completed(now, &message_id);
                }
            }
            Event::Refused { tag, why } => self.on_refused(now, tag, why),
            Event::Dropped { client, tag, why } => self.on_dropped(now, client, tag, why),
            Event::Opened { node, connection, client } => self.on_opened(node, client, connection),
            Event::Closed { node, connection, client, why } => {
                self.ledger.on_connection_closed(now, node, client, connection, why);
                if why == CloseReason::Cut {
                    self.collector.on_instant_fault(now);
                }
            }
            Event::Phase(phase) => self.on_phase(now, phase),
            Event::Backlog { node, in_flight, queued } => {
                if self.counting {
                    self.collector.on_backlog(now, node, in_flight, queued);
                }
            }
            Event::SocketFull { node: Node::Broker, client } => {
                self.ledger.on_window_closed(now, client, true);
            }
            Event::Discarded { .. } | Event::SocketFull { .. } => {}
            Event::Overhead { client, purpose, segments, bytes, .. } => {
                if self.counting {
                    self.collector.on_overhead(client, purpose, (segments, bytes));
                }
            }
            Event::WillPublished { tag } => self.on_will_published(tag),
            Event::SessionExpired { client } => self.ledger.on_session_expired(now, client),
            Event::Crashed { node } => {
                self.ledger.on_crashed(now, node);
                self.collector.on_fault_began();
            }
            Event::DiedSilently { connection, client, .. } => {
                self.ledger.sessions[client.index()].silently_dead = Some(connection);
                self.collector.on_instant_fault(now);
            }
            Event::OutageBegan { .. } | Event::Impaired { .. } => self.collector.on_fault_began(),
            Event::OutageEnded { .. } | Event::ImpairmentEnded { .. } => {
                self.collector.on_fault_ended(now);
            }
            Event::Restarted { node } => {
                if node == Node::Broker {
                    self.ledger.on_broker_restarted(now);
                }
                self.collector.on_fault_ended(now);
            }
        }
    }
}

impl FirstPassResult {
    /// The outcome of a trial whose second pass is not needed or not wanted. What was broken, if
    /// anything, is counted as unexplained, since no reason was looked for; provisional
    /// suspected violations do not count.
    #[must_use]
    pub fn into_unexplained_outcome(mut self) -> Outcome {
        for suspect in self.suspects.iter().filter(|suspect| !suspect.provisional) {
            let SuspectedViolation { promise, breach, .. } = *suspect;
            let violation = Violation { promise, breach, blame: self.unexplained };
            *self.outcome.violations.entry(violation).or_default() += 1;
        }
        self.outcome
    }
}
