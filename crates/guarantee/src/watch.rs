//! The first pass: the ledger, the metrics and the counters, for every event of a trial.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use super::counters::Counters;
use super::judge;
use super::ledger::Ledger;
use super::meter::Meter;
use super::patterns::Patterns;
use super::roster::Roster;
use super::sessions::Welcome;
use super::verdict::{Blame, Breach, Outcome, Promise, Violation};
use qoslab_core::base::ending::Ended;
use qoslab_core::base::event::{Close, Event, Observer, Phase, Record};
use qoslab_core::base::name::{ClientIndex, Connection, Hop, Kind, Node, StreamIndex, Subject};
use qoslab_core::base::time::Time;

/// Watches one trial with a byte for each message and a byte for each unit.
#[derive(Clone, Debug, Serialize)]
pub struct Watch {
    ledger: Ledger,
    // For statistics and reports: decides nothing.
    #[serde(skip)]
    meter: Meter,
    // For statistics and reports: decides nothing.
    #[serde(skip)]
    counters: Counters,
    // For statistics and reports: decides nothing.
    #[serde(skip)]
    patterns: Patterns,
    /// Whether packets, backlogs and counters still count: until the second calm begins.
    counting: bool,
}

/// One broken promise that has no blame yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Offender {
    /// Who published.
    pub stream: StreamIndex,
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
pub struct FirstPass {
    /// Everything but violations and findings.
    pub(super) outcome: Outcome,
    /// What was broken, by message.
    pub offenders: Vec<Offender>,
}

impl Watch {
    /// Nothing seen yet.
    #[must_use]
    pub fn new(roster: &Arc<Roster>) -> Self {
        Self {
            ledger: Ledger::new(roster),
            meter: Meter::new(roster),
            counters: Counters::default(),
            patterns: Patterns::new(roster.clients.len()),
            counting: true,
        }
    }

    /// Judges what was seen.
    #[must_use]
    pub fn finish(mut self, ended: &Ended) -> FirstPass {
        self.counters.offline_queued = self.ledger.offline_queued;
        self.counters.duplicate_suppressed = self.ledger.suppressed + self.patterns.suppressed;
        self.counters.id_wrap = self.patterns.id_wraps;
        self.counters.window_full = self.patterns.windows_full;
        let Meter { mut metrics, .. } = self.meter;
        let (offenders, excuses) = judge::judge(&self.ledger, ended.ending, &mut metrics);
        let outcome = Outcome {
            ending: ended.ending,
            ended_at: ended.at,
            events: ended.events,
            packets: ended.packets,
            trace_hash: ended.trace_hash,
            metrics,
            violations: BTreeMap::new(),
            findings: Vec::new(),
            rules: BTreeMap::new(),
            rule_findings: Vec::new(),
            excuses,
            sometimes: self.counters.named(),
        };
        FirstPass { outcome, offenders }
    }

    #[inline]
    fn sent(&mut self, now: Time, node: Node, connection: Connection, record: &Record<'_>) {
        if self.counting {
            self.meter.sent(now, node, record);
        }
        match (record.name.subject, node) {
            (Subject::Message { hop, .. }, _) => {
                if self.counting {
                    self.patterns.sent(now, node, record);
                }
                if record.kind() == Kind::Publish {
                    match hop {
                        Hop::First => self.ledger.sent_first(record),
                        Hop::Second => self.ledger.sent_onward(record),
                    }
                }
            }
            (Subject::Control { .. }, Node::Broker) => {
                self.ledger.answered(now, connection, record);
            }
            (Subject::Control { .. }, Node::Client(_)) => {}
        }
    }

    #[inline]
    fn arrived(&mut self, now: Time, node: Node, connection: Connection, record: &Record<'_>) {
        let client = record.name.client;
        if self.counting {
            self.meter.arrived(now, node, record);
        }
        if !self.ledger.links.is_open(node, client, connection) {
            return;
        }
        if self.counting {
            self.patterns.arrived(now, node, record, &self.ledger.roster);
        }
        match (record.name.subject, node) {
            (Subject::Message { hop: Hop::First, .. }, Node::Broker) => {
                self.ledger.reached_broker(now, record);
            }
            // A client lets pass what overtook its CONNACK.
            (Subject::Message { .. }, Node::Client(_)) => {
                if self.ledger.sessions[client.index()].accepted == Some(connection) {
                    self.ledger.reached_client(record);
                }
            }
            (Subject::Control { .. }, Node::Broker) => self.ledger.asked(record),
            (Subject::Control { .. }, Node::Client(_)) => {
                if let Some(welcome) = self.ledger.accepted(connection, record) {
                    self.welcomed(client, welcome);
                }
            }
            (Subject::Message { .. }, Node::Broker) => {}
        }
    }

    fn welcomed(&mut self, client: ClientIndex, welcome: Welcome) {
        if welcome != Welcome::Resumed {
            self.patterns.forgot(client);
        }
        if self.counting {
            self.counters.session_resumed += u64::from(welcome == Welcome::Resumed);
            self.counters.session_lost += u64::from(welcome == Welcome::Lost);
        }
    }

    fn opened(&mut self, node: Node, client: ClientIndex, connection: Connection) {
        let session = &self.ledger.sessions[client.index()];
        let again = matches!(node, Node::Client(_)) && session.accepted.is_some();
        let replaced = self.ledger.links.opened(node, client, connection).is_some();
        if self.counting {
            self.counters.reconnect += u64::from(again);
            self.counters.takeover += u64::from(replaced && node == Node::Broker);
        }
    }

    fn phase(&mut self, now: Time, phase: Phase) {
        self.ledger.phase = phase;
        self.ledger.phase_began = now;
        if phase == Phase::CalmTwo {
            self.ledger.calm_two();
        }
        if phase == Phase::Traffic {
            self.meter.traffic_began(now);
        }
        if self.counting && phase >= Phase::CalmTwo {
            self.meter.settle(now);
        }
        self.counting = phase < Phase::CalmTwo;
    }
}

impl Observer for Watch {
    #[inline]
    fn observe(&mut self, now: Time, event: &Event<'_>) {
        if self.counting {
            self.counters.count(event);
        }
        match *event {
            Event::Sent { node, connection, record, .. } => {
                self.sent(now, node, connection, record);
            }
            Event::Arrived { node, connection, record } => {
                self.arrived(now, node, connection, record);
            }
            Event::Delivered { client, tag, qos, .. } => {
                self.patterns.interrupted();
                if let Some(parts) = tag.parts() {
                    self.ledger.delivered(now, client, &parts, qos, &mut self.meter);
                }
            }
            Event::Submitted { tag } => {
                self.patterns.interrupted();
                if let Some(parts) = tag.parts() {
                    self.meter.metrics.qos[parts.qos.index()].counts.messages += 1;
                    self.ledger.submitted(&parts);
                }
            }
            Event::Completed { tag } => self.ledger.completed(now, tag, &mut self.meter),
            Event::Refused { tag, why } => {
                if let Some(parts) = tag.parts() {
                    self.meter.metrics.qos[parts.qos.index()].counts.refused += 1;
                }
                self.ledger.refused(tag, why);
            }
            Event::Dropped { client, tag, why } => self.ledger.dropped(client, tag, why),
            Event::Opened { node, connection, client } => self.opened(node, client, connection),
            Event::Closed { node, connection, client, why } => {
                self.ledger.closed(node, client, connection);
                if why == Close::Cut {
                    self.meter.fault_struck(now);
                }
            }
            Event::Phase(phase) => self.phase(now, phase),
            Event::Backlog { node, in_flight, queued } => {
                if self.counting {
                    self.meter.backlog(now, node, in_flight, queued);
                }
            }
            Event::Unread { .. } => {}
            Event::Overhead { client, way, purpose, bytes } => {
                if self.counting {
                    self.meter.overhead(now, (client, way), purpose, bytes);
                }
            }
            Event::WillPublished { tag } => {
                self.patterns.interrupted();
                self.ledger.willed(tag, &mut self.meter);
            }
            Event::SessionExpired { client } => self.ledger.expired(client),
            Event::Crashed { node } => {
                self.ledger.crashed(node);
                self.meter.fault_began();
            }
            Event::WentDark { connection, client, .. } => {
                self.ledger.sessions[client.index()].dark = Some(connection);
                self.meter.fault_struck(now);
            }
            Event::OutageBegan { .. } | Event::Hampered { .. } => self.meter.fault_began(),
            Event::OutageEnded { .. } | Event::Unhampered { .. } | Event::Restarted { .. } => {
                self.meter.fault_ended(now);
            }
        }
    }
}

impl FirstPass {
    /// The outcome of a trial whose second pass is not needed or not wanted. What was broken, if
    /// anything, is counted as [`Blame::Unexplained`], since nobody looked for a reason;
    /// provisional offenders do not count.
    #[must_use]
    pub fn into_outcome(mut self) -> Outcome {
        for offender in self.offenders.iter().filter(|offender| !offender.provisional) {
            let Offender { promise, breach, .. } = *offender;
            let violation = Violation { promise, breach, blame: Blame::Unexplained };
            *self.outcome.violations.entry(violation).or_default() += 1;
        }
        self.outcome
    }
}
