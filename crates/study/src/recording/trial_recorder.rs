//! The observer that records.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::recorded_packet::{PacketEnd, PacketLossCause, RecordedPacket};
use super::{RecordedEvent, RecordedEventKind, RecordingFilter, TrialRecording};
use qoslab_core::base::{
    ClientIndex, ConnectionNumber, Event, Fate, MessageId, Node, Observer, PacketBody, PacketKind,
    PacketMeta, PacketName, Time,
};
use qoslab_core::mqtt::Packet;
use qoslab_sim::{PacketTap, RunSummary};

/// Holds the packet that is about to be reported as sent.
#[derive(Debug, Default)]
pub(super) struct SentPacketSlot(RefCell<Option<Packet>>);

impl PacketTap for SentPacketSlot {
    fn packet_sent(&self, packet: &Packet) {
        self.0.replace(Some(packet.clone()));
    }
}

/// Records what a filter selects.
pub(super) struct TrialRecorder {
    filter: RecordingFilter,
    slot: Rc<SentPacketSlot>,
    events: Vec<RecordedEvent>,
    packets: Vec<RecordedPacket>,
    earlier_connects: Vec<RecordedPacket>,
    omitted_events: u64,
    /// How many events there were when the message had its last one.
    events_up_to_last_of_message: usize,
    /// Whether the message was published.
    is_published: bool,
    /// The kept packets of which an end is to come.
    in_transit: BTreeMap<(ConnectionNumber, PacketName), usize>,
    /// What happened to connections, in order.
    connection_ends: BTreeMap<ConnectionNumber, Vec<(Time, PacketLossCause)>>,
    nodes_down: BTreeSet<Node>,
    /// Packets that were not read, with the place of that among their ends; the reason is seen
    /// later.
    unexplained_discards: Vec<(usize, usize)>,
}

/// The message or link that an event concerns, or every one.
#[derive(Clone, Copy)]
enum EventSubject {
    Message(MessageId),
    Link(ClientIndex),
    Everyone,
}

impl TrialRecorder {
    pub(super) fn new(scope: &RecordingFilter, slot: &Rc<SentPacketSlot>) -> Self {
        Self {
            filter: scope.clone(),
            slot: Rc::clone(slot),
            events: Vec::new(),
            packets: Vec::new(),
            earlier_connects: Vec::new(),
            omitted_events: 0,
            events_up_to_last_of_message: 0,
            is_published: false,
            in_transit: BTreeMap::new(),
            connection_ends: BTreeMap::new(),
            nodes_down: BTreeSet::new(),
            unexplained_discards: Vec::new(),
        }
    }

    pub(super) fn finish(mut self, ended: RunSummary) -> TrialRecording {
        for (flight, place) in std::mem::take(&mut self.unexplained_discards) {
            let (at, _) = self.packets[flight].ends[place];
            if self.packets[flight].ends[place].1
                == PacketEnd::Discarded(PacketLossCause::UnknownConnection)
            {
                let cause = self.loss_cause(&self.packets[flight], at);
                self.packets[flight].ends[place].1 = PacketEnd::Discarded(cause);
            }
        }
        if self.filter.route.as_ref().is_some_and(|route| !route.keeps_later_events) {
            self.events.truncate(self.events_up_to_last_of_message);
            let sent = self
                .events
                .iter()
                .filter(|moment| matches!(moment.kind, RecordedEventKind::Sent(_)));
            self.packets.truncate(sent.count());
        }
        let used: BTreeSet<_> = self.packets.iter().map(|flight| flight.connection).collect();
        self.earlier_connects.retain(|flight| used.contains(&flight.connection));
        let Self {
            events: moments,
            packets: flights,
            earlier_connects: context,
            omitted_events: left_out,
            ..
        } = self;
        TrialRecording {
            events: moments,
            packets: flights,
            earlier_connects: context,
            omitted_events: left_out,
            ended,
        }
    }

    /// Whether something is selected, and whether it is the message's own.
    fn selects(&self, now: Time, subject: EventSubject) -> Option<bool> {
        if now < self.filter.from || now > self.filter.until {
            return None;
        }
        let Some(route) = &self.filter.route else { return Some(false) };
        match subject {
            EventSubject::Message(parts) => {
                ((parts.publisher, parts.sequence) == route.message()).then_some(true)
            }
            EventSubject::Link(client) => {
                (self.is_published && route.links.contains(&client)).then_some(false)
            }
            EventSubject::Everyone => self.is_published.then_some(false),
        }
    }

    /// Keeps an event that is wanted, if there is room.
    fn record_event(&mut self, at: Time, what: RecordedEventKind, is_own: bool) -> bool {
        let has_room = self.events.len() < self.filter.max_events;
        if has_room {
            self.events.push(RecordedEvent { at, kind: what });
        } else {
            self.omitted_events += 1;
        }
        if is_own {
            self.events_up_to_last_of_message = self.events.len();
        }
        has_room
    }

    // ---- packets ----

    fn record_sent(
        &mut self,
        now: Time,
        connection: ConnectionNumber,
        record: &PacketMeta<'_>,
        fate: Fate,
    ) {
        let packet = self.slot.0.take();
        let kind = record.kind();
        let whose = record
            .tag
            .message_id()
            .map_or(EventSubject::Link(record.name.client), EventSubject::Message);
        let opens = matches!(kind, PacketKind::Connect | PacketKind::ConnAck);
        let is_noise = matches!(kind, PacketKind::PingReq | PacketKind::PingResp)
            && self.filter.route.is_some();
        let wanted = self.selects(now, whose).filter(|_| !is_noise);
        let is_earlier =
            now < self.filter.from || self.filter.route.is_some() && !self.is_published;
        if wanted.is_none()
            && !(opens && is_earlier && self.earlier_connects.len() < self.filter.max_events)
        {
            return;
        }
        let session_present = match record.body {
            PacketBody::ConnAck { session_present, .. } => Some(session_present),
            _ => None,
        };
        let flight = RecordedPacket {
            name: record.name,
            message: record.tag.message_id(),
            connection,
            first_byte: record.first_byte,
            packet_id: record.id,
            reason_code: record.reason,
            bytes: record.size.mqtt,
            session_present,
            packet,
            sent_at: now,
            fate,
            ends: Vec::new(),
        };
        let Some(is_own) = wanted else {
            self.earlier_connects.push(flight);
            return;
        };
        let place = self.packets.len();
        if self.record_event(now, RecordedEventKind::Sent(place), is_own) {
            if flight.expected_ends() > 0 {
                self.in_transit.insert((connection, record.name), place);
            }
            self.packets.push(flight);
        }
    }

    /// A packet came to an end; if it was kept, the end is recorded.
    fn record_end(
        &mut self,
        now: Time,
        connection: ConnectionNumber,
        record: &PacketMeta<'_>,
        is_read: bool,
    ) {
        let key = (connection, record.name);
        let Some(&place) = self.in_transit.get(&key) else { return };
        let flight = &mut self.packets[place];
        let what = if is_read {
            flight.ends.push((now, PacketEnd::Read));
            RecordedEventKind::Arrived(place)
        } else {
            self.unexplained_discards.push((place, flight.ends.len()));
            let is_down = self.nodes_down.contains(&flight.receiver());
            let cause = if is_down {
                PacketLossCause::ReceiverDown
            } else {
                PacketLossCause::UnknownConnection
            };
            flight.ends.push((now, PacketEnd::Discarded(cause)));
            RecordedEventKind::Discarded(place)
        };
        if flight.ends.len() >= flight.expected_ends() {
            self.in_transit.remove(&key);
        }
        let is_own = flight.message.is_some() && self.filter.route.is_some();
        self.record_event(now, what, is_own);
    }

    /// The reason why a packet was not read: what happened to its connection in the same instant,
    /// or before. Its receiver's end decides, and else its sender's.
    fn loss_cause(&self, flight: &RecordedPacket, at: Time) -> PacketLossCause {
        let ends = self.connection_ends.get(&flight.connection).map_or(&[][..], Vec::as_slice);
        let before = ends.iter().filter(|(ended, _)| *ended <= at).map(|(_, cause)| *cause);
        let closed_at = |node| {
            let is_there = |cause: &PacketLossCause| match cause {
                PacketLossCause::Closed(end, _) => *end == node,
                _ => false,
            };
            before.clone().find(is_there)
        };
        let dark = before.clone().find(|cause| matches!(cause, PacketLossCause::SilentlyDead(_)));
        let closed = || closed_at(flight.receiver()).or_else(|| closed_at(flight.sender()));
        dark.or_else(closed).unwrap_or(PacketLossCause::UnknownConnection)
    }

    // ---- all else ----

    fn record_other_event(&mut self, now: Time, event: &Event<'_>) {
        self.track_failures(now, event);
        let Some((whose, what)) = recorded_event(event) else { return };
        if let (
            Some(route),
            RecordedEventKind::Submitted(message) | RecordedEventKind::WillPublished(message),
        ) = (&self.filter.route, what)
        {
            self.is_published |= (message.publisher, message.sequence) == route.message();
        }
        if let Some(is_own) = self.selects(now, whose) {
            self.record_event(now, what, is_own);
        }
    }

    /// Remembers what happened to connections and nodes, by which lost packets are explained.
    fn track_failures(&mut self, now: Time, event: &Event<'_>) {
        match *event {
            Event::Closed { node, connection, why, .. } => {
                self.connection_ends
                    .entry(connection)
                    .or_default()
                    .push((now, PacketLossCause::Closed(node, why)));
            }
            Event::DiedSilently { connection, why, .. } => {
                self.connection_ends
                    .entry(connection)
                    .or_default()
                    .push((now, PacketLossCause::SilentlyDead(why)));
            }
            Event::Crashed { node } => {
                self.nodes_down.insert(node);
            }
            Event::Restarted { node } => {
                self.nodes_down.remove(&node);
            }
            _ => {}
        }
    }
}

/// The record of an event that is not about a packet.
fn recorded_event(event: &Event<'_>) -> Option<(EventSubject, RecordedEventKind)> {
    let link = |node| match node {
        Node::Broker => EventSubject::Everyone,
        Node::Client(client) => EventSubject::Link(client),
    };
    Some(match *event {
        Event::Phase(phase) => (EventSubject::Everyone, RecordedEventKind::Phase(phase)),
        Event::Submitted { tag } => message_event(tag.message_id()?, RecordedEventKind::Submitted),
        Event::Completed { tag } => message_event(tag.message_id()?, RecordedEventKind::Completed),
        Event::WillPublished { tag } => {
            message_event(tag.message_id()?, RecordedEventKind::WillPublished)
        }
        Event::Refused { tag, why } => {
            message_event(tag.message_id()?, |it| RecordedEventKind::Refused(it, why))
        }
        Event::Delivered { client, tag, qos, retain } => {
            message_event(tag.message_id()?, |message| RecordedEventKind::Delivered {
                client,
                message,
                qos,
                retain,
            })
        }
        Event::Dropped { client, tag, why } => message_event(tag.message_id()?, |message| {
            RecordedEventKind::Dropped { client, message, why }
        }),
        Event::Opened { node, connection, client } => {
            (EventSubject::Link(client), RecordedEventKind::Opened { node, connection, client })
        }
        Event::Closed { node, connection, client, why } => (
            EventSubject::Link(client),
            RecordedEventKind::Closed { node, connection, client, why },
        ),
        Event::DiedSilently { connection, client, why } => (
            EventSubject::Link(client),
            RecordedEventKind::SilentlyDied { connection, client, why },
        ),
        Event::Impaired { client, impairment: how } => {
            (EventSubject::Link(client), RecordedEventKind::ImpairmentBegan(client, how))
        }
        Event::ImpairmentEnded { client, impairment: how } => {
            (EventSubject::Link(client), RecordedEventKind::ImpairmentEnded(client, how))
        }
        Event::OutageBegan { client } => {
            (EventSubject::Link(client), RecordedEventKind::OutageBegan(client))
        }
        Event::OutageEnded { client } => {
            (EventSubject::Link(client), RecordedEventKind::OutageEnded(client))
        }
        Event::Crashed { node } => (link(node), RecordedEventKind::Crashed(node)),
        Event::Restarted { node } => (link(node), RecordedEventKind::Restarted(node)),
        Event::SessionExpired { client } => {
            (EventSubject::Link(client), RecordedEventKind::SessionExpired(client))
        }
        Event::SocketFull { node, client } => {
            (EventSubject::Link(client), RecordedEventKind::SocketFull { node, client })
        }
        Event::Sent { .. }
        | Event::Arrived { .. }
        | Event::Discarded { .. }
        | Event::Overhead { .. }
        | Event::Backlog { .. } => return None,
    })
}

fn message_event(
    message: MessageId,
    what: impl FnOnce(MessageId) -> RecordedEventKind,
) -> (EventSubject, RecordedEventKind) {
    (EventSubject::Message(message), what(message))
}

impl Observer for TrialRecorder {
    fn observe(&mut self, now: Time, event: &Event<'_>) {
        match *event {
            Event::Sent { connection, packet: record, fate, .. } => {
                self.record_sent(now, connection, record, *fate);
            }
            Event::Arrived { connection, packet: record, .. } => {
                self.record_end(now, connection, record, true);
            }
            Event::Discarded { connection, packet: record, .. } => {
                self.record_end(now, connection, record, false);
            }
            _ => self.record_other_event(now, event),
        }
    }
}
