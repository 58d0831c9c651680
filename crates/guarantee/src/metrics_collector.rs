//! The collector of metrics: packets, bytes and backlogs as they pass, and what the ledger says of
//! messages.

use std::sync::Arc;

use super::deliveries::{DeliveredCopy, Delivery};
use super::metrics::{Metrics, PacketCount};
use super::trial_facts::TrialFacts;
use qoslab_core::base::{
    ClientIndex, DropReason, MessageId, Node, OverheadPurpose, PacketKind, PacketMeta,
    PacketSubject, Time,
};

/// Fills [`Metrics`], except for what only the end of a trial shows.
#[derive(Clone, Debug)]
pub(super) struct MetricsCollector {
    trial: Arc<TrialFacts>,
    metrics: Metrics,
    /// In flight and queued, of the broker and then of each client.
    backlogs: Vec<[u32; 2]>,
    in_flight: u64,
    queued: u64,
    /// Faults that last: outages, impairments, crashed nodes.
    active_faults: u32,
    /// Bytes on each client's link since the traffic began.
    link_bytes: Vec<u64>,
    recovering_since: Option<Time>,
}

impl MetricsCollector {
    /// A collector before any event.
    pub(super) fn new(trial: &Arc<TrialFacts>) -> Self {
        Self {
            trial: Arc::clone(trial),
            metrics: Metrics::for_trial(trial),
            backlogs: vec![[0; 2]; trial.clients.len() + 1],
            in_flight: 0,
            queued: 0,
            active_faults: 0,
            link_bytes: vec![0; trial.clients.len()],
            recovering_since: None,
        }
    }

    /// What was measured.
    pub(super) fn into_metrics(mut self) -> Metrics {
        for (client, bytes) in self.trial.clients.iter().zip(&self.link_bytes) {
            if let Some(price) = client.billed {
                self.metrics.bill.bytes += bytes;
                self.metrics.bill.cost += to_f64(*bytes) / 1e6 * price;
            }
        }
        self.metrics
    }

    /// The traffic begins: what is billed counts from here on.
    pub(super) fn on_traffic_began(&mut self) {
        self.link_bytes.fill(0);
    }

    /// A message was handed to its publisher, or a will to the broker's subscribers.
    pub(super) fn on_submitted(&mut self, message_id: &MessageId) {
        for metrics in self.metrics.of_message(&self.trial, message_id.publisher) {
            metrics.counts.messages += 1;
        }
    }

    /// The publisher's endpoint refused a message or gave it up.
    pub(super) fn on_refused(&mut self, message_id: &MessageId, why: DropReason) {
        for metrics in self.metrics.of_message(&self.trial, message_id.publisher) {
            metrics.counts.refused += 1;
            metrics.counts.refused_by_reason.record(why);
        }
    }

    /// The broker let a client's copy go.
    pub(super) fn on_dropped(
        &mut self,
        client: ClientIndex,
        message_id: &MessageId,
        why: DropReason,
    ) {
        for metrics in self.metrics.of_unit(&self.trial, message_id.publisher, client) {
            metrics.counts.dropped_by_reason.record(why);
        }
    }

    /// The publisher's handshake ended well.
    #[inline]
    pub(super) fn on_completed(&mut self, now: Time, message_id: &MessageId) {
        for metrics in self.metrics.of_message(&self.trial, message_id.publisher) {
            metrics.completion.record(now.since(message_id.published));
        }
    }

    /// A client's endpoint delivered a message.
    #[inline]
    pub(super) fn on_delivered(
        &mut self,
        now: Time,
        client: ClientIndex,
        message_id: &MessageId,
        delivery: Delivery,
    ) {
        let latency = now.since(message_id.published);
        for metrics in self.metrics.of_unit(&self.trial, message_id.publisher, client) {
            match delivery.copy {
                Some(DeliveredCopy::First) => metrics.latency.record(latency),
                Some(DeliveredCopy::Extra) => metrics.counts.extra_copies += 1,
                None => {}
            }
            metrics.counts.reordered += u64::from(delivery.is_reordered);
            metrics.counts.unexpected += u64::from(delivery.is_unexpected);
        }
    }

    /// A packet was handed to the network.
    #[inline]
    pub(super) fn on_sent(&mut self, packet: &PacketMeta<'_>) {
        let wire = u64::from(packet.wire_bytes());
        self.link_bytes[packet.name.client.index()] += wire;
        let kind = packet.kind();
        let (Some(message_id), PacketSubject::Message { hop, .. }) =
            (packet.tag.message_id(), packet.name.subject)
        else {
            count_packet(&mut self.metrics.control[kind as usize], wire);
            match kind {
                PacketKind::PingReq | PacketKind::PingResp => self.metrics.bytes.keep_alive += wire,
                _ => self.metrics.bytes.connecting += wire,
            }
            return;
        };
        let resend = packet.is_resend();
        // Message kinds are numbered 3 to 7, and listed in that order.
        let column = (kind as usize).wrapping_sub(PacketKind::Publish as usize);
        let traffic = &mut self.metrics.qos[message_id.qos.index()].traffic[hop.index()];
        if let Some(cell) = traffic.get_mut(column) {
            count_packet(if resend { &mut cell.resent } else { &mut cell.first }, wire);
        }
        let bytes = &mut self.metrics.bytes;
        if resend {
            bytes.resends += wire;
        } else if kind == PacketKind::Publish {
            let payload = u64::from(packet.size.payload);
            bytes.payload += payload;
            bytes.framing += wire - payload;
        } else {
            bytes.acknowledgements += wire;
        }
    }

    /// A node's backlog changed.
    pub(super) fn on_backlog(&mut self, now: Time, node: Node, in_flight: u32, queued: u32) {
        let place = match node {
            Node::Broker => 0,
            Node::Client(client) => client.index() + 1,
        };
        let [old_in_flight, old_queued] =
            std::mem::replace(&mut self.backlogs[place], [in_flight, queued]);
        self.in_flight = self.in_flight + u64::from(in_flight) - u64::from(old_in_flight);
        self.queued = self.queued + u64::from(queued) - u64::from(old_queued);
        self.metrics.in_flight_peak = self.metrics.in_flight_peak.max(self.in_flight);
        self.metrics.queued_peak = self.metrics.queued_peak.max(self.queued);
        self.check_recovery(now);
    }

    /// A stream transport sent something of its own.
    pub(super) fn on_overhead(
        &mut self,
        client: ClientIndex,
        purpose: OverheadPurpose,
        (segments, bytes): (u32, u32),
    ) {
        let wire = u64::from(bytes);
        self.link_bytes[client.index()] += wire;
        match purpose {
            OverheadPurpose::Handshake => {
                let count = &mut self.metrics.control[PacketKind::Handshake as usize];
                count.packets += u64::from(segments);
                count.bytes += wire;
                self.metrics.bytes.connecting += wire;
            }
            OverheadPurpose::Retransmission => self.metrics.bytes.resends += wire,
            OverheadPurpose::Acknowledgement => self.metrics.bytes.tcp_acknowledgements += wire,
            OverheadPurpose::LateSegment => self.metrics.bytes.framing += wire,
        }
    }

    /// A fault began that lasts.
    pub(super) const fn on_fault_began(&mut self) {
        self.active_faults += 1;
        self.recovering_since = None;
        self.metrics.recovery = None;
    }

    /// A fault came and was over at once.
    pub(super) fn on_instant_fault(&mut self, now: Time) {
        self.on_fault_began();
        self.on_fault_ended(now);
    }

    /// A fault is over. Recovery counts from the end of the last one.
    pub(super) fn on_fault_ended(&mut self, now: Time) {
        self.active_faults = self.active_faults.saturating_sub(1);
        if self.active_faults == 0 {
            self.recovering_since = Some(now);
            self.check_recovery(now);
        }
    }

    fn check_recovery(&mut self, now: Time) {
        if self.in_flight + self.queued > 0 {
            return;
        }
        if let Some(since) = self.recovering_since.take() {
            self.metrics.recovery = Some(now.since(since));
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "bytes of one trial are below 2^53")]
const fn to_f64(bytes: u64) -> f64 {
    bytes as f64
}

const fn count_packet(count: &mut PacketCount, wire_bytes: u64) {
    count.packets += 1;
    count.bytes += wire_bytes;
}
