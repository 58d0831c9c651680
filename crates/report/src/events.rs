//! One trial as raw events: one JSON object per line, in order.
//!
//! Every line has `time_ns`, nanoseconds since the trial began, and `event`; the other fields are
//! there where the event has them. Times are strings, as many readers keep numbers in 53 bits.

use serde::Serialize;

use super::ladder::wording;
use qoslab_core::base::{
    ClientIndex, CloseReason, Direction, Fate, Impairment, MessageId, Node, PacketKind, Phase,
    SilentDeathCause, Time,
};
use qoslab_guarantee::message_history;
use qoslab_sim::Setup;
use qoslab_study::{
    PacketEnd, RecordedEvent, RecordedEventKind as Kind, RecordedPacket, TrialRecording,
};

/// The events of a recording, one line each.
#[must_use]
pub fn lines(recording: &TrialRecording, setup: &Setup) -> String {
    recording
        .events
        .iter()
        .map(|moment| to_json_line(&EventLine::from_recorded(moment, recording, setup)))
        .collect()
}

fn to_json_line(event: &EventLine<'_>) -> String {
    serde_json::to_string(event).expect("plain structs always serialise") + "\n"
}

/// The object of a line.
#[derive(Default, Serialize)]
struct EventLine<'a> {
    time_ns: String,
    event: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    phase: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    connection: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    publisher: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sequence: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    qos: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retain: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
    #[serde(flatten)]
    packet: Option<PacketFields<'a>>,
}

/// The fields of a packet's line.
#[derive(Serialize)]
struct PacketFields<'a> {
    packet: String,
    kind: &'static str,
    from: &'a str,
    to: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dup: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<u8>,
    bytes: u32,
    /// For a packet that is sent: its fate.
    #[serde(skip_serializing_if = "Option::is_none")]
    fate: Option<&'static str>,
    /// The time when it is read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    arrives_ns: Vec<String>,
}

impl<'a> EventLine<'a> {
    fn from_recorded(
        recorded: &RecordedEvent,
        recording: &'a TrialRecording,
        setup: &'a Setup,
    ) -> Self {
        let name = |node| node_name(node, setup);
        let client = |client| name(Node::Client(client));
        let event = |event| Self { time_ns: nanos(recorded.at), event, ..Self::default() };
        let link = |what, whose: ClientIndex| Self { client: Some(client(whose)), ..event(what) };
        let node_of = |what, node| Self { node: Some(name(node)), ..event(what) };
        let end = |what, node, whose| Self { node: Some(name(node)), ..link(what, whose) };
        let message = |what, message: &MessageId| Self {
            publisher: Some(&setup.publishers[message.publisher.index()].name),
            sequence: Some(message.sequence),
            ..event(what)
        };
        let packet =
            |what, place: usize| packet_line(event(what), &recording.packets[place], setup);
        match &recorded.kind {
            Kind::Phase(it) => Self { phase: Some(phase_name(*it)), ..event("phase") },
            Kind::Submitted(it) => Self { qos: Some(it.qos as u8), ..message("submitted", it) },
            Kind::Completed(it) => message("completed", it),
            Kind::WillPublished(it) => message("will-published", it),
            Kind::Refused(it, why) => Self {
                why: Some(message_history::drop_text(*why).to_owned()),
                ..message("refused", it)
            },
            Kind::Sent(place) => packet("sent", *place),
            Kind::Arrived(place) => packet("arrived", *place),
            Kind::Discarded(place) => {
                let packet_record = &recording.packets[*place];
                Self {
                    why: discard_reason(packet_record, recorded.at, name),
                    ..packet("unread", *place)
                }
            }
            Kind::Delivered { client: whose, message: it, qos, retain } => Self {
                client: Some(client(*whose)),
                qos: Some(*qos as u8),
                retain: Some(*retain),
                ..message("delivered", it)
            },
            Kind::Dropped { client: whose, message: it, why } => Self {
                client: Some(client(*whose)),
                why: Some(message_history::drop_text(*why).to_owned()),
                ..message("dropped", it)
            },
            Kind::Opened { node, connection, client } => {
                Self { connection: Some(connection.0), ..end("opened", *node, *client) }
            }
            Kind::Closed { node, connection, client, why } => Self {
                connection: Some(connection.0),
                why: Some(close_reason(*why).to_owned()),
                ..end("closed", *node, *client)
            },
            Kind::SilentlyDied { connection, client, why } => Self {
                connection: Some(connection.0),
                why: Some(silent_death_reason(*why).to_owned()),
                ..link("went-dark", *client)
            },
            Kind::ImpairmentBegan(it, how) => {
                Self { why: Some(impairment_name(*how)), ..link("hampered", *it) }
            }
            Kind::ImpairmentEnded(it, how) => {
                Self { why: Some(impairment_name(*how)), ..link("unhampered", *it) }
            }
            Kind::OutageBegan(it) => link("outage-began", *it),
            Kind::OutageEnded(it) => link("outage-ended", *it),
            Kind::Crashed(node) => node_of("crashed", *node),
            Kind::Restarted(node) => node_of("restarted", *node),
            Kind::SessionExpired(it) => link("session-expired", *it),
            Kind::SocketFull { node, client } => end("socket-full", *node, *client),
        }
    }
}

/// The reason why a packet that arrived was not read.
fn discard_reason<'a>(
    packet: &RecordedPacket,
    at: Time,
    name: impl Fn(Node) -> &'a str,
) -> Option<String> {
    let cause = packet.ends.iter().find_map(|(ended_at, end)| match end {
        PacketEnd::Discarded(cause) if *ended_at == at => Some(*cause),
        _ => None,
    })?;
    Some(wording::loss_reason(cause, name(packet.sender()), name(packet.receiver())))
}

fn packet_line<'a>(
    event: EventLine<'a>,
    recorded: &RecordedPacket,
    setup: &'a Setup,
) -> EventLine<'a> {
    let is_publish = recorded.name.kind == PacketKind::Publish;
    let is_sent = event.event == "sent";
    let reads = if is_sent { recorded.read_times() } else { Vec::new() };
    let fate = match recorded.fate {
        Fate::Lost(_) => "lost",
        Fate::Arrives(_) => "datagram",
        Fate::Streamed => "stream",
    };
    let (from, to) = (node_name(recorded.sender(), setup), node_name(recorded.receiver(), setup));
    let lost = recorded
        .loss_cause()
        .filter(|_| is_sent)
        .map(|cause| wording::loss_reason(cause, from, to));
    let packet = PacketFields {
        packet: setup.format_packet_name(&recorded.name),
        kind: recorded.name.kind.label(),
        from,
        to,
        id: (recorded.packet_id != 0).then_some(recorded.packet_id),
        dup: is_publish.then(|| recorded.is_dup()),
        reason: (recorded.reason_code != 0).then_some(recorded.reason_code),
        bytes: recorded.bytes,
        fate: is_sent.then_some(fate),
        arrives_ns: reads.into_iter().map(nanos).collect(),
    };
    EventLine {
        connection: Some(recorded.connection.0),
        publisher: recorded.message.map(|it| &*setup.publishers[it.publisher.index()].name),
        sequence: recorded.message.map(|it| it.sequence),
        qos: is_publish.then_some(recorded.first_byte >> 1 & 0b11),
        retain: is_publish.then_some(recorded.first_byte & 1 != 0),
        why: lost,
        packet: Some(packet),
        ..event
    }
}

fn nanos(at: Time) -> String {
    at.as_nanos().to_string()
}

fn node_name(node: Node, setup: &Setup) -> &str {
    match node {
        Node::Broker => "broker",
        Node::Client(client) => &setup.clients[client.index()].name,
    }
}

const fn phase_name(phase: Phase) -> &'static str {
    match phase {
        Phase::Connecting => "connecting",
        Phase::Traffic => "traffic",
        Phase::Drain => "calm-1",
        Phase::ReconnectDrain => "calm-2",
        Phase::Over => "over",
    }
}

const fn close_reason(why: CloseReason) -> &'static str {
    match why {
        CloseReason::Requested => "asked",
        CloseReason::KeepAlive => "keep-alive",
        CloseReason::TakenOver => "taken-over",
        CloseReason::Protocol => "protocol",
        CloseReason::Peer => "peer",
        CloseReason::Reset => "reset",
        CloseReason::Cut => "cut",
        CloseReason::UserTimeout => "user-timeout",
        CloseReason::Crash => "crash",
    }
}

const fn silent_death_reason(why: SilentDeathCause) -> &'static str {
    match why {
        SilentDeathCause::HalfOpen(_) => "half-open",
        SilentDeathCause::NatTimeout => "nat-forgot",
    }
}

fn impairment_name(impairment: Impairment) -> String {
    let text = match impairment {
        Impairment::Partition(Direction::Up) => "partition-up",
        Impairment::Partition(Direction::Down) => "partition-down",
        Impairment::Stall => "stall",
        Impairment::Slow => "slow",
    };
    text.to_owned()
}
