//! Builds the rows of a ladder from a recording.

use std::collections::{BTreeMap, BTreeSet};

use super::{LadderColumn, LadderRow, RowShape, RowStyle, Symbol, TrialFindings, wording};
use crate::escape;
use crate::labels::promise_keyword;
use qoslab_core::base::{
    ClientIndex, CloseReason, MessageId, Node, Phase, PublisherIndex, SilentDeathCause, Time,
};
use qoslab_core::network::Transport;
use qoslab_guarantee::{Breach, Finding, message_history};
use qoslab_sim::Setup;
use qoslab_study::{
    PacketEnd, RecordedEvent, RecordedEventKind as Kind, RecordedPacket, RecordingFilter,
    TrialRecording,
};

/// Identifies a copy: the subscriber, the stream and the message.
type CopyKey = (ClientIndex, PublisherIndex, u32);

struct RowBuilder<'a> {
    recording: &'a TrialRecording,
    setup: &'a Setup,
    findings: Vec<&'a Finding>,
    columns: &'a [LadderColumn],
    /// Whether it covers more than one message.
    is_whole_trial: bool,
    is_only_publisher: bool,
    copies: BTreeMap<CopyKey, u32>,
    rows: Vec<LadderRow>,
}

/// The rows, in order.
pub(super) fn rows(
    recording: &TrialRecording,
    scope: &RecordingFilter,
    setup: &Setup,
    trial_findings: TrialFindings<'_>,
    columns: &[LadderColumn],
) -> Vec<LadderRow> {
    let streams: BTreeSet<PublisherIndex> = recording
        .packets
        .iter()
        .filter_map(|it| it.message)
        .map(|message| message.publisher)
        .collect();
    let is_shown = |it: &&Finding| {
        let route = scope.route.as_ref();
        route.is_none_or(|route| (route.stream, route.sequence) == (it.publisher, it.sequence))
    };
    let mut rows = RowBuilder {
        recording,
        setup,
        findings: trial_findings.findings.iter().filter(is_shown).collect(),
        columns,
        is_whole_trial: scope.route.is_none(),
        is_only_publisher: streams.len() < 2,
        copies: BTreeMap::new(),
        rows: Vec::new(),
    };
    for (place, moment) in recording.events.iter().enumerate() {
        rows.add_event(place, moment.at, moment.kind);
    }
    rows.add_broken_rules(scope, trial_findings);
    rows.add_missing_deliveries(scope);
    rows.note_late_arrivals();
    rows.mark_violating_packets();
    rows.rows
}

impl RowBuilder<'_> {
    fn push(&mut self, at: Time, mark: RowShape, note: impl Into<String>, row_style: RowStyle) {
        self.rows.push(LadderRow { at, shape: mark, note: note.into(), row_style });
    }

    fn column(&self, node: Node) -> Option<usize> {
        self.columns.iter().position(|column| column.node == node)
    }

    fn name(&self, node: Node) -> String {
        match node {
            Node::Broker => "broker".to_owned(),
            Node::Client(client) => {
                escape::terminal(&self.setup.clients[client.index()].name).into_owned()
            }
        }
    }

    fn message_name(&self, message: &MessageId) -> String {
        wording::message_name(message, self.setup, self.is_only_publisher)
    }

    fn publisher_node(&self, message: &MessageId) -> Node {
        Node::Client(self.setup.publishers[message.publisher.index()].client)
    }

    /// A sign at a node that has a line.
    fn push_at_node(
        &mut self,
        at: Time,
        node: Node,
        symbol: Symbol,
        note: String,
        row_style: RowStyle,
    ) {
        if let Some(column) = self.column(node) {
            self.push(at, RowShape::AtNode(column, symbol), note, row_style);
        }
    }

    /// A sign on the way between a client and the broker.
    fn push_between(
        &mut self,
        at: Time,
        client: ClientIndex,
        symbol: Symbol,
        note: String,
        row_style: RowStyle,
    ) {
        let ends = [Node::Client(client), Node::Broker].map(|node| self.column(node));
        if let [Some(one), Some(other)] = ends {
            self.push(
                at,
                RowShape::BetweenNodes(one.min(other), one.max(other), symbol),
                note,
                row_style,
            );
        }
    }

    fn add_event(&mut self, place: usize, at: Time, event: Kind) {
        match event {
            Kind::Phase(phase) => self.add_phase(at, phase),
            Kind::Submitted(it) => {
                let note = format!("publishes {}, QoS {}", self.message_name(&it), it.qos);
                self.push_at_node(
                    at,
                    self.publisher_node(&it),
                    Symbol::Publish,
                    note,
                    RowStyle::Normal,
                );
            }
            Kind::WillPublished(it) => {
                let whose = self.name(self.publisher_node(&it));
                let note = format!("publishes the will of {whose}, {}", self.message_name(&it));
                self.push_at_node(at, Node::Broker, Symbol::Publish, note, RowStyle::Normal);
            }
            Kind::Completed(it) => {
                let note = format!("{} is complete", self.message_name(&it));
                self.push_at_node(
                    at,
                    self.publisher_node(&it),
                    Symbol::Complete,
                    note,
                    RowStyle::Delivery,
                );
            }
            Kind::Refused(it, why) => {
                let note = format!(
                    "lets go of {}: {}",
                    self.message_name(&it),
                    message_history::drop_text(why)
                );
                self.push_at_node(
                    at,
                    self.publisher_node(&it),
                    Symbol::MessageGone,
                    note,
                    RowStyle::LossOrFault,
                );
            }
            Kind::Dropped { client, message, why } => {
                let (whose, what) = (self.name(Node::Client(client)), self.message_name(&message));
                let note = format!("drops {what} for {whose}: {}", message_history::drop_text(why));
                self.push_at_node(
                    at,
                    Node::Broker,
                    Symbol::MessageGone,
                    note,
                    RowStyle::LossOrFault,
                );
            }
            Kind::Sent(flight) => self.add_sent(flight),
            Kind::Arrived(flight) | Kind::Discarded(flight) => {
                self.add_duplicate_arrival(at, flight);
            }
            Kind::Delivered { client, message, .. } => {
                self.add_delivery(at, client, &message);
            }
            Kind::Closed { node, client, why, .. } => {
                self.add_close(place, at, (node, client), why);
            }
            Kind::SilentlyDied { client, why, .. } => {
                self.add_silent_death(at, client, why);
            }
            event => self.add_link_or_node_event(at, event),
        }
    }

    fn add_link_or_node_event(&mut self, at: Time, event: Kind) {
        match event {
            Kind::ImpairmentBegan(client, how) => {
                let note = wording::impairment_text(&self.name(Node::Client(client)), how, false);
                self.push_between(at, client, Symbol::LinkDown, note, RowStyle::LossOrFault);
            }
            Kind::ImpairmentEnded(client, how) => {
                let note = wording::impairment_text(&self.name(Node::Client(client)), how, true);
                self.push_between(at, client, Symbol::LinkUp, note, RowStyle::Normal);
            }
            Kind::OutageBegan(client) => {
                let note = format!("{}'s link goes down", self.name(Node::Client(client)));
                self.push_between(at, client, Symbol::LinkDown, note, RowStyle::LossOrFault);
            }
            Kind::OutageEnded(client) => {
                let note = format!("{}'s link is up again", self.name(Node::Client(client)));
                self.push_between(at, client, Symbol::LinkUp, note, RowStyle::Normal);
            }
            Kind::Crashed(node) => {
                let note = format!("{} crashes", self.name(node));
                self.push_at_node(at, node, Symbol::Crash, note, RowStyle::LossOrFault);
            }
            Kind::Restarted(node) => {
                let note = format!("{} starts again", self.name(node));
                self.push_at_node(at, node, Symbol::Restart, note, RowStyle::Normal);
            }
            Kind::SessionExpired(client) => {
                let note = format!("{}'s session expires", self.name(Node::Client(client)));
                self.push_at_node(
                    at,
                    Node::Broker,
                    Symbol::MessageGone,
                    note,
                    RowStyle::LossOrFault,
                );
            }
            Kind::SocketFull { node, client } => {
                let peer = if node == Node::Broker { Node::Client(client) } else { Node::Broker };
                let note = format!("{}'s socket to {} is full", self.name(node), self.name(peer));
                self.push_at_node(at, node, Symbol::LinkDown, note, RowStyle::Normal);
            }
            // The CONNECT that follows shows an opened connection; the others have rows of their
            // own, above.
            Kind::Opened { .. }
            | Kind::Phase(_)
            | Kind::Submitted(_)
            | Kind::WillPublished(_)
            | Kind::Completed(_)
            | Kind::Refused(..)
            | Kind::Dropped { .. }
            | Kind::Sent(_)
            | Kind::Arrived(_)
            | Kind::Discarded(_)
            | Kind::Delivered { .. }
            | Kind::Closed { .. }
            | Kind::SilentlyDied { .. } => {}
        }
    }

    fn add_phase(&mut self, at: Time, phase: Phase) {
        let note = match phase {
            Phase::ReconnectDrain => "every persistent session reconnects",
            Phase::Traffic if self.is_whole_trial => "traffic begins",
            Phase::Drain if self.is_whole_trial => "nothing more is published",
            _ => return,
        };
        self.push(at, RowShape::AllNodes, note, RowStyle::Normal);
    }

    // ---- packets ----

    fn packet_arrow(
        &self,
        flight: &RecordedPacket,
        arrives: Option<Time>,
        is_duplicate: bool,
    ) -> Option<RowShape> {
        let (from, to) = (self.column(flight.sender())?, self.column(flight.receiver())?);
        let message = flight.message.map_or_else(String::new, |it| self.message_name(&it));
        Some(RowShape::Arrow {
            from,
            to,
            label: wording::packet_label(flight, &message),
            arrives,
            is_duplicate,
        })
    }

    fn add_sent(&mut self, place: usize) {
        let flight = &self.recording.packets[place];
        let lost = flight.loss_cause().is_some();
        let read = flight.read_times().first().copied();
        let Some(mark) = self.packet_arrow(flight, read, false) else { return };
        let version = self.setup.clients[flight.name.client.index()].settings.version;
        let (from, to) = (self.name(flight.sender()), self.name(flight.receiver()));
        let note = wording::packet_notes(flight, version, &from, &to).join("; ");
        let tone = if lost {
            RowStyle::LossOrFault
        } else if flight.is_dup() || flight.is_resend() {
            RowStyle::Repeat
        } else {
            RowStyle::Normal
        };
        self.push(flight.sent_at, mark, note, tone);
    }

    /// The second arrival of a packet that the network doubled.
    fn add_duplicate_arrival(&mut self, at: Time, place: usize) {
        let flight = &self.recording.packets[place];
        let [first, (second, end)] = flight.ends.as_slice() else { return };
        let is_second = *second == at && (first.0 < at || *end == PacketEnd::Read);
        if !is_second {
            return;
        }
        let is_read = *end == PacketEnd::Read;
        let Some(mark) = self.packet_arrow(flight, is_read.then_some(at), true) else { return };
        let note = "the network's second copy arrives";
        let note = if is_read { note.to_owned() } else { format!("{note}, and nobody reads it") };
        self.push(at, mark, note, RowStyle::Repeat);
    }

    /// Adds a row for a packet's arrival if other rows come between its sending and its arrival.
    fn note_late_arrivals(&mut self) {
        let times: Vec<Time> = self.rows.iter().map(|row| row.at).collect();
        for row in &mut self.rows {
            let RowShape::Arrow { arrives: Some(arrives), is_duplicate: false, .. } = row.shape
            else {
                continue;
            };
            let later = times.partition_point(|at| *at <= row.at);
            if times.get(later).is_some_and(|next| *next < arrives) {
                let arrives = format!("arrives {arrives}");
                let parts = [row.note.as_str(), &arrives];
                let parts: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
                row.note = parts.join("; ");
            }
        }
    }

    /// Marks the packet that brought a delivery which broke a promise.
    fn mark_violating_packets(&mut self) {
        let broke = self.rows.iter().filter(|row| row.row_style == RowStyle::Violation);
        let broke: BTreeSet<(Time, usize)> = broke
            .filter_map(|row| match row.shape {
                RowShape::AtNode(column, Symbol::Deliver) => Some((row.at, column)),
                _ => None,
            })
            .collect();
        for row in &mut self.rows {
            if let RowShape::Arrow { to, arrives: Some(at), .. } = row.shape
                && broke.contains(&(at, to))
            {
                row.row_style = RowStyle::Violation;
            }
        }
    }

    // ---- deliveries ----

    fn add_delivery(&mut self, at: Time, client: ClientIndex, message: &MessageId) {
        let copies = self.copies.entry((client, message.publisher, message.sequence)).or_default();
        *copies += 1;
        let is_first = *copies == 1;
        let finding = self.findings.iter().find(|it| {
            let is_his = (it.publisher, it.sequence) == (message.publisher, message.sequence);
            let breaks = match it.violation.breach {
                Breach::Duplicated => it.deliveries.first().is_some_and(|first| *first < at),
                Breach::Unexpected => it.deliveries.contains(&at),
                Breach::Reordered => it.deliveries.first() == Some(&at),
                Breach::Lost | Breach::Stuck | Breach::Stalled => false,
            };
            is_his && it.subscriber == Some(client) && breaks
        });
        let again = if is_first { "" } else { " again" };
        let mut note = format!("delivers {}{again}", self.message_name(message));
        let mut tone = if is_first { RowStyle::Delivery } else { RowStyle::Repeat };
        if let Some(finding) = finding {
            note += &format!(": {} broken", promise_keyword(finding.violation.promise));
            tone = RowStyle::Violation;
        }
        self.push_at_node(at, Node::Client(client), Symbol::Deliver, note, tone);
    }

    /// Deliveries that were owed and did not come, at the end.
    fn add_missing_deliveries(&mut self, scope: &RecordingFilter) {
        let at = self.recording.ended.at;
        if at > scope.until {
            return;
        }
        for finding in self.findings.clone() {
            let stream = &self.setup.publishers[finding.publisher.index()];
            let subscriber = finding.subscriber.map(Node::Client);
            let (node, what) = match finding.violation.breach {
                Breach::Lost => (subscriber, "never came"),
                Breach::Stuck => (None, "was never acknowledged"),
                Breach::Stalled => (subscriber, "came or ended only when everybody reconnected"),
                Breach::Duplicated | Breach::Unexpected | Breach::Reordered => continue,
            };
            let name = escape::terminal(&stream.name);
            let message = if self.is_only_publisher {
                format!("#{}", finding.sequence)
            } else {
                format!("{name}#{}", finding.sequence)
            };
            let note =
                format!("{message} {what}: {} broken", promise_keyword(finding.violation.promise));
            let node = node.unwrap_or(Node::Client(stream.client));
            self.push_at_node(at, node, Symbol::MessageGone, note, RowStyle::Violation);
        }
    }

    // ---- connections ----

    /// Connections over datagrams add nothing to what each packet's own fate shows.
    fn is_tcp(&self, client: ClientIndex) -> bool {
        let transport = self.setup.clients[client.index()].link.transport;
        matches!(transport, Transport::Tcp(_))
    }

    fn add_close(&mut self, place: usize, at: Time, end: (Node, ClientIndex), why: CloseReason) {
        let (node, client) = end;
        if !self.is_tcp(client)
            || matches!(why, CloseReason::Requested | CloseReason::Peer | CloseReason::Crash)
        {
            return;
        }
        // A cut affects both ends at once, and is shown once.
        let is_end = |what: &Kind| {
            let whose = match what {
                Kind::Closed { client, why: CloseReason::Cut, .. }
                | Kind::SilentlyDied { client, .. } => Some(*client),
                _ => None,
            };
            whose == Some(client)
        };
        let now = |moment: &&RecordedEvent| moment.at == at;
        let (before, after) =
            (&self.recording.events[..place], &self.recording.events[place + 1..]);
        let is_cut = why == CloseReason::Cut;
        if is_cut && before.iter().rev().take_while(now).any(|it| is_end(&it.kind)) {
            return;
        }
        let whose = self.name(Node::Client(client));
        if is_cut && after.iter().take_while(now).any(|it| is_end(&it.kind)) {
            let note = format!("{whose}'s connection is cut");
            self.push_between(at, client, Symbol::ConnectionEnd, note, RowStyle::LossOrFault);
        } else {
            let note = wording::close_text(&self.name(node), &whose, why);
            self.push_at_node(at, node, Symbol::ConnectionEnd, note, RowStyle::LossOrFault);
        }
    }

    fn add_silent_death(&mut self, at: Time, client: ClientIndex, why: SilentDeathCause) {
        let whose = self.name(Node::Client(client));
        let dead = match why {
            SilentDeathCause::HalfOpen(node) => self.name(node),
            SilentDeathCause::NatTimeout => String::new(),
        };
        self.push_between(
            at,
            client,
            Symbol::ConnectionEnd,
            wording::silent_death_text(why, &whose, &dead),
            RowStyle::LossOrFault,
        );
    }

    // ---- rules ----

    /// Broken rules of the standard: for one message, those in its history.
    fn add_broken_rules(&mut self, scope: &RecordingFilter, trial_findings: TrialFindings<'_>) {
        let mut broken: Vec<(Time, String)> = Vec::new();
        if scope.route.is_none() {
            broken.extend(trial_findings.rules.iter().map(|it| (it.at, it.sentence.clone())));
        } else {
            let lines = self.findings.iter().flat_map(|finding| &finding.history);
            let rules = lines.filter(|line| line.text.contains("[MQTT"));
            broken.extend(rules.map(|line| (line.at, line.text.clone())));
        }
        broken.retain(|(at, _)| (scope.from..=scope.until).contains(at));
        broken.dedup();
        for (at, text) in broken {
            let says = |column: &LadderColumn| text.starts_with(&column.name);
            let Some(column) = self.columns.iter().position(says) else { continue };
            let mark = RowShape::AtNode(column, Symbol::BrokenRule);
            let row = LadderRow {
                at,
                shape: mark,
                note: escape::terminal(&text).into_owned(),
                row_style: RowStyle::Violation,
            };
            let place = self.rows.partition_point(|other| other.at <= at);
            self.rows.insert(place, row);
        }
    }
}
