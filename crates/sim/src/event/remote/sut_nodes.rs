//! Nodes under test: third-party systems that write bytes.
//!
//! A [`PacketTracker`] finds out the names of their packets. An act that has no place in a
//! trial, such as a panic or bytes that are no packet, is a [`SutError`].

use std::collections::{BTreeMap, BTreeSet};

use super::{ProxySimulation, SimHandle};
use crate::packet_tracker::{PacketTracker, PublishOutcome};
use crate::sut_error::{SutError, SutErrorKind};
use qoslab_core::base::{
    ClientIndex, ConnectionNumber, Ending, Event, MessageTag, Node, PacketKind, Phase, QoS, Span,
    Time, Transmission,
};
use qoslab_core::mqtt::{ClientRequest, Packet, Payload, wire};

/// A system that sends nothing but pings for this long has nothing left to do.
const IDLE_AFTER: Span = Span::from_secs(15);

/// Limit of packets that a node may write at one instant, and in a trial.
const MAX_PACKETS_PER_INSTANT: u32 = 20_000;
const MAX_PACKETS_PER_TRIAL: u64 = 100_000;

/// The nodes under test, and their state.
pub(super) struct SutNodes {
    nodes: BTreeSet<Node>,
    pub(super) tracker: PacketTracker,
    pub(super) errors: Vec<SutError>,
    /// The lengths of packets that are written otherwise than our own, by number.
    frame_lengths: BTreeMap<u32, u32>,
    /// The time of the last activity other than a ping.
    pub(super) last_activity: Time,
    /// How many packets each has written, at this instant and in all.
    packets_written: BTreeMap<Node, (Time, u32, u64)>,
}

/// Outcome of bytes that a node under test wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WriteOutcome {
    /// They are a packet, carried under this number.
    Carried(u32),
    /// They are a packet that goes nowhere.
    Discarded,
    /// They are no packet: the connection is closed.
    Malformed,
    /// It is to write nothing more.
    Muted,
}

impl SutNodes {
    pub(super) fn new(nodes: BTreeSet<Node>, tracker: PacketTracker) -> Self {
        Self {
            nodes,
            tracker,
            errors: Vec::new(),
            frame_lengths: BTreeMap::new(),
            last_activity: Time::ZERO,
            packets_written: BTreeMap::new(),
        }
    }

    pub(super) fn contains(&self, node: Node) -> bool {
        self.nodes.contains(&node)
    }

    /// Returns the length of a packet that was written otherwise than our own.
    pub(super) fn frame_length(&self, serial: u32) -> Option<u32> {
        self.frame_lengths.get(&serial).copied()
    }

    /// Whether it is long enough that nothing happened.
    pub(super) fn is_idle(&self, now: Time) -> bool {
        now.since(self.last_activity) >= IDLE_AFTER
    }

    pub(super) fn mark_activity(&mut self, now: Time, kind: PacketKind) {
        if !matches!(kind, PacketKind::PingReq | PacketKind::PingResp) {
            self.last_activity = now;
        }
    }

    /// A node writes one more packet; whether it may.
    fn count_packet(&mut self, node: Node, now: Time) -> bool {
        let (at, at_instant, all) = self.packets_written.entry(node).or_default();
        *at_instant = if *at == now { *at_instant + 1 } else { 1 };
        *at = now;
        *all += 1;
        *at_instant <= MAX_PACKETS_PER_INSTANT && *all <= MAX_PACKETS_PER_TRIAL
    }
}

impl ProxySimulation {
    /// These nodes are under test.
    pub(crate) fn set_under_test(&mut self, nodes: BTreeSet<Node>) {
        let tracker = PacketTracker::new(&self.setup);
        self.nodes.driver.sut_nodes = Some(SutNodes::new(nodes, tracker));
    }

    pub(super) fn sut_of(&mut self, node: Node) -> Option<&mut SutNodes> {
        self.nodes.driver.sut_nodes.as_mut().filter(|sut| sut.contains(node))
    }

    pub(crate) fn take_sut_errors(&mut self) -> Vec<SutError> {
        let sut = self.nodes.driver.sut_nodes.as_mut();
        sut.map(|sut| std::mem::take(&mut sut.errors)).unwrap_or_default()
    }

    pub(super) fn record_sut_error(&mut self, node: Node, kind: SutErrorKind) {
        let at = self.timeline.now;
        if let Some(sut) = self.sut_of(node) {
            sut.errors.push(SutError { node, at, kind });
        }
    }

    /// The trial is over: who kept it from its end.
    pub(super) fn attribute_ending(&mut self, ending: Ending) {
        if ending == Ending::EventLimit {
            let written = self.nodes.driver.sut_nodes.iter().flat_map(|sut| &sut.packets_written);
            let busiest = written.max_by_key(|(_, (_, _, all))| *all);
            if let Some((&node, &(_, _, all))) = busiest {
                self.record_sut_error(node, SutErrorKind::Flooded(all));
            }
        }
        if ending == Ending::Deadline && self.timeline.phase != Phase::Connecting {
            for client in self.nodes.client_indices() {
                if self.nodes.is_missing_connection(client, &self.network.connections) {
                    self.record_sut_error(Node::Client(client), SutErrorKind::NotConnected);
                }
            }
        }
        if self.timeline.phase != Phase::Connecting {
            return;
        }
        let not_ready = self.nodes.readiness.not_ready();
        for &client in &not_ready {
            self.record_sut_error(Node::Client(client), SutErrorKind::NeverReady);
        }
        if not_ready.len() == self.setup.clients.len() {
            self.record_sut_error(Node::Broker, SutErrorKind::NeverReady);
        }
    }

    /// A node under test takes what its application asks for.
    pub(super) fn request_taken(&mut self, client: ClientIndex, request: &ClientRequest) {
        let now = self.timeline.now;
        let Some(sut) = self.sut_of(Node::Client(client)) else { return };
        sut.last_activity = now;
        if let ClientRequest::Publish { message, .. } = request {
            sut.tracker.message_submitted(message.tag);
        }
    }

    /// A node under test took a packet.
    pub(super) fn track_read(
        &mut self,
        node: Node,
        connection: ConnectionNumber,
        packet: &Packet,
        transmission: Transmission,
    ) {
        let (now, client) = (self.timeline.now, self.network.connections.client_of(connection));
        let Some(sut) = self.sut_of(node) else { return };
        sut.mark_activity(now, packet.kind());
        let ended = sut.tracker.packet_read(node, client, connection, packet, transmission);
        self.notify_publish_outcome(ended);
        if self.timeline.phase == Phase::Connecting
            && let Node::Client(client) = node
        {
            self.nodes.readiness.update(client, false);
        }
    }

    fn notify_publish_outcome(&mut self, outcome: Option<PublishOutcome>) {
        match outcome {
            None => {}
            Some(PublishOutcome::Completed(tag)) => {
                self.notify_observers(&Event::Completed { tag });
            }
            Some(PublishOutcome::Refused(tag, why)) => {
                self.notify_observers(&Event::Refused { tag, why });
            }
        }
    }

    pub(super) fn write_sut_frame(
        &mut self,
        node: Node,
        connection: ConnectionNumber,
        frame: &[u8],
    ) -> WriteOutcome {
        if !self.network.connections.is_open(node, connection) {
            return WriteOutcome::Discarded;
        }
        let (now, client) = (self.timeline.now, self.network.connections.client_of(connection));
        self.reporter.events += 1;
        let version = self.network.link(client).version;
        let decoded = wire::decode_lenient(frame, version);
        let number = self.nodes.driver.packets_written + 1;
        let Some(sut) = self.sut_of(node) else { return WriteOutcome::Discarded };
        if !sut.count_packet(node, now) {
            let all = sut.packets_written.get(&node).map_or(0, |(_, _, all)| *all);
            self.record_sut_error(node, SutErrorKind::Flooded(all));
            return WriteOutcome::Muted;
        }
        let mut packet = match decoded {
            Ok(packet) => packet,
            Err(error) => {
                self.record_sut_error(node, SutErrorKind::MalformedPacket(error.to_string()));
                return WriteOutcome::Malformed;
            }
        };
        sut.mark_activity(now, packet.kind());
        let will = will_payload(&mut packet).cloned();
        let written = sut.tracker.packet_written(now, node, client, connection, &mut packet);
        // What is carried are the system's own bytes.
        if let (Some(payload), Some(original)) = (will_payload(&mut packet), will) {
            *payload = original;
        }
        let encoded_length = packet.encoded_len(version);
        let length = u32::try_from(frame.len()).unwrap_or(u32::MAX);
        if encoded_length != length {
            sut.frame_lengths.insert(number, length);
        }
        let serial = SimHandle::write_packet(self, node, connection, packet, written.transmission);
        self.notify_publish_outcome(written.publish_outcome);
        serial.map_or(WriteOutcome::Discarded, WriteOutcome::Carried)
    }

    pub(super) fn deliver_payload(
        &mut self,
        client: ClientIndex,
        payload: &[u8],
        qos: QoS,
        retain: bool,
    ) {
        let (now, node) = (self.timeline.now, Node::Client(client));
        if self.nodes.is_down(node) {
            return;
        }
        let Some(sut) = self.sut_of(node) else { return };
        sut.last_activity = now;
        match sut.tracker.payload_delivered(client, payload, retain) {
            Some(tag) if tag != MessageTag::NONE => {
                self.notify_observers(&Event::Delivered { client, tag, qos, retain });
            }
            _ => self.record_sut_error(node, SutErrorKind::UnknownPayload),
        }
    }
}

fn will_payload(packet: &mut Packet) -> Option<&mut Payload> {
    let Packet::Connect(connect) = packet else { return None };
    connect.will.as_mut().map(|will| &mut will.message.payload)
}
