//! One trial as raw events: a JSON object a line, in order.
//!
//! Every line has `time_ns`, nanoseconds since the trial began, and `event`; the other fields are
//! there where the event has them. Times are strings, as many readers keep numbers in 53 bits.

#![expect(clippy::struct_field_names, reason = "field names are the file's")]

use serde::Serialize;

use super::ladder::words;
use qoslab_core::base::event::{Close, Dark, Fate, Hindrance, Phase};
use qoslab_core::base::name::{ClientIndex, Kind, Node, Parts, Way};
use qoslab_core::base::time::Time;
use qoslab_guarantee::story;
use qoslab_sim::trial::Setup;
use qoslab_study::tape::{Cause, End, Flight, Moment, Tape, What};

/// The moments of a tape, a line each.
#[must_use]
pub fn lines(tape: &Tape, setup: &Setup) -> String {
    tape.moments.iter().map(|moment| line(&Event::of(moment, tape, setup))).collect()
}

fn line(event: &Event<'_>) -> String {
    serde_json::to_string(event).expect("plain structs always serialise") + "\n"
}

/// The object of a line.
#[derive(Default, Serialize)]
struct Event<'a> {
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
    packet: Option<Packet<'a>>,
}

/// What a packet's line says of it.
#[derive(Serialize)]
struct Packet<'a> {
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
    /// Of a packet that is sent: what becomes of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    fate: Option<&'static str>,
    /// When it is read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    arrives_ns: Vec<String>,
}

impl<'a> Event<'a> {
    fn of(moment: &Moment, tape: &'a Tape, setup: &'a Setup) -> Self {
        let name = |node| name(node, setup);
        let client = |client| name(Node::Client(client));
        let event = |event| Self { time_ns: nanos(moment.at), event, ..Self::default() };
        let link = |what, whose: ClientIndex| Self { client: Some(client(whose)), ..event(what) };
        let node_of = |what, node| Self { node: Some(name(node)), ..event(what) };
        let message = |what, message: &Parts| Self {
            publisher: Some(&setup.streams[message.stream.index()].name),
            sequence: Some(message.sequence),
            ..event(what)
        };
        let packet = |what, place: usize| of_packet(event(what), &tape.flights[place], setup);
        match &moment.what {
            What::Phase(it) => Self { phase: Some(phase(*it)), ..event("phase") },
            What::Submitted(it) => Self { qos: Some(it.qos as u8), ..message("submitted", it) },
            What::Completed(it) => message("completed", it),
            What::WillPublished(it) => message("will-published", it),
            What::Refused(it, why) => {
                Self { why: Some(story::reason(*why).to_owned()), ..message("refused", it) }
            }
            What::Sent(place) => packet("sent", *place),
            What::Arrived(place) => packet("arrived", *place),
            What::Unread(place) => {
                let flight = &tape.flights[*place];
                let unread = flight.ends.iter().find_map(|(at, end)| match end {
                    End::Unread(cause) if *at == moment.at => Some(*cause),
                    _ => None,
                });
                let (from, to) = (name(flight.from()), name(flight.to()));
                let why = unread.map(|cause: Cause| words::lost(cause, from, to));
                Self { why, ..packet("unread", *place) }
            }
            What::Delivered { client: whose, message: it, qos, retain } => Self {
                client: Some(client(*whose)),
                qos: Some(*qos as u8),
                retain: Some(*retain),
                ..message("delivered", it)
            },
            What::Dropped { client: whose, message: it, why } => Self {
                client: Some(client(*whose)),
                why: Some(story::reason(*why).to_owned()),
                ..message("dropped", it)
            },
            What::Opened { node, connection, client } => Self {
                node: Some(name(*node)),
                connection: Some(connection.0),
                ..link("opened", *client)
            },
            What::Closed { node, connection, client, why } => Self {
                node: Some(name(*node)),
                connection: Some(connection.0),
                why: Some(close(*why).to_owned()),
                ..link("closed", *client)
            },
            What::WentDark { connection, client, why } => Self {
                connection: Some(connection.0),
                why: Some(dark(*why).to_owned()),
                ..link("went-dark", *client)
            },
            What::Hampered(it, how) => Self { why: Some(hampered(*how)), ..link("hampered", *it) },
            What::Unhampered(it, how) => {
                Self { why: Some(hampered(*how)), ..link("unhampered", *it) }
            }
            What::OutageBegan(it) => link("outage-began", *it),
            What::OutageEnded(it) => link("outage-ended", *it),
            What::Crashed(node) => node_of("crashed", *node),
            What::Restarted(node) => node_of("restarted", *node),
            What::SessionExpired(it) => link("session-expired", *it),
        }
    }
}

fn of_packet<'a>(event: Event<'a>, flight: &Flight, setup: &'a Setup) -> Event<'a> {
    let is_publish = flight.name.kind == Kind::Publish;
    let is_sent = event.event == "sent";
    let reads = if is_sent { flight.reads() } else { Vec::new() };
    let fate = match flight.fate {
        Fate::Lost(_) => "lost",
        Fate::Arrives(_) => "datagram",
        Fate::Stream => "stream",
    };
    let (from, to) = (name(flight.from(), setup), name(flight.to(), setup));
    let lost = flight.lost().filter(|_| is_sent).map(|cause| words::lost(cause, from, to));
    let packet = Packet {
        packet: setup.packet_text(&flight.name),
        kind: flight.name.kind.label(),
        from,
        to,
        id: (flight.id != 0).then_some(flight.id),
        dup: is_publish.then(|| flight.is_dup()),
        reason: (flight.reason != 0).then_some(flight.reason),
        bytes: flight.bytes,
        fate: is_sent.then_some(fate),
        arrives_ns: reads.into_iter().map(nanos).collect(),
    };
    Event {
        connection: Some(flight.connection.0),
        publisher: flight.message.map(|it| &*setup.streams[it.stream.index()].name),
        sequence: flight.message.map(|it| it.sequence),
        qos: is_publish.then_some(flight.first >> 1 & 0b11),
        retain: is_publish.then_some(flight.first & 1 != 0),
        why: lost,
        packet: Some(packet),
        ..event
    }
}

fn nanos(at: Time) -> String {
    at.as_nanos().to_string()
}

fn name(node: Node, setup: &Setup) -> &str {
    match node {
        Node::Broker => "broker",
        Node::Client(client) => &setup.clients[client.index()].name,
    }
}

const fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Connecting => "connecting",
        Phase::Traffic => "traffic",
        Phase::CalmOne => "calm-1",
        Phase::CalmTwo => "calm-2",
        Phase::Over => "over",
    }
}

const fn close(why: Close) -> &'static str {
    match why {
        Close::Asked => "asked",
        Close::KeepAlive => "keep-alive",
        Close::TakenOver => "taken-over",
        Close::Protocol => "protocol",
        Close::Peer => "peer",
        Close::Reset => "reset",
        Close::Cut => "cut",
        Close::UserTimeout => "user-timeout",
        Close::Crash => "crash",
    }
}

const fn dark(why: Dark) -> &'static str {
    match why {
        Dark::HalfOpen(_) => "half-open",
        Dark::NatForgot => "nat-forgot",
    }
}

fn hampered(how: Hindrance) -> String {
    let text = match how {
        Hindrance::Partition(Way::Up) => "partition-up",
        Hindrance::Partition(Way::Down) => "partition-down",
        Hindrance::Stall => "stall",
        Hindrance::Slow => "slow",
    };
    text.to_owned()
}
