//! Texts of a ladder.

#[cfg(feature = "html")]
use super::{Ladder, LadderRow, RowShape, Symbol};
use crate::escape;
use crate::number::counted;
use qoslab_core::base::units::format_count;
use qoslab_core::base::{
    CloseReason, Impairment, LossReason, MessageId, Node, PacketKind, SilentDeathCause,
};
use qoslab_core::mqtt::Version;
use qoslab_guarantee::message_history;
use qoslab_sim::Setup;
use qoslab_study::{PacketLossCause, RecordedPacket, RecordingFilter};

/// The title of a ladder.
pub(super) fn title(scope: &RecordingFilter, setup: &Setup) -> String {
    let Some(route) = &scope.route else { return "the whole trial".to_owned() };
    let stream = &setup.publishers[route.stream.index()];
    let (name, qos) = (escape::terminal(&stream.name), stream.qos);
    format!("message #{} of {name}, published with QoS {qos}", route.sequence)
}

/// The same text with a capital first letter.
#[cfg(feature = "html")]
pub(crate) fn capitalise(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// The alternative text of a ladder's picture, for readers who cannot see it.
#[cfg(feature = "html")]
pub(super) fn alt_text(ladder: &Ladder) -> String {
    let names: Vec<&str> = ladder.columns.iter().map(|column| column.name.as_str()).collect();
    let count = |wanted: &dyn Fn(&LadderRow) -> bool| {
        ladder.rows.iter().filter(|row| wanted(row)).count() as u64
    };
    let is_arrow = |row: &LadderRow| matches!(row.shape, RowShape::Arrow { .. });
    let lost = |row: &LadderRow| matches!(row.shape, RowShape::Arrow { arrives: None, .. });
    let delivered = |row: &LadderRow| matches!(row.shape, RowShape::AtNode(_, Symbol::Deliver));
    format!(
        "A ladder of {}: {}, {} lost; {}.",
        names.join(", "),
        counted(count(&is_arrow), "packet"),
        format_count(count(&lost)),
        if count(&delivered) == 1 {
            "1 delivery".to_owned()
        } else {
            format!("{} deliveries", format_count(count(&delivered)))
        },
    )
}

/// A message: its number, and its publisher where there are several.
pub(super) fn message_name(message: &MessageId, setup: &Setup, is_only_publisher: bool) -> String {
    if is_only_publisher {
        return format!("#{}", message.sequence);
    }
    let stream = &setup.publishers[message.publisher.index()].name;
    format!("{}#{}", escape::terminal(stream), message.sequence)
}

/// The label of a packet: `PUBLISH #7 p12 DUP`.
pub(super) fn packet_label(recorded: &RecordedPacket, message: &str) -> String {
    let mut label = recorded.name.kind.label().to_owned();
    if recorded.message.is_some() {
        label.extend([" ", message]);
    }
    if recorded.packet_id != 0 {
        label += &format!(" p{}", recorded.packet_id);
    }
    if recorded.is_dup() {
        label += " DUP";
    }
    label
}

/// The note on a packet, besides what its arrow shows.
pub(super) fn packet_notes(
    recorded: &RecordedPacket,
    version: Version,
    from: &str,
    to: &str,
) -> Vec<String> {
    let mut notes = Vec::new();
    if recorded.name.kind == PacketKind::PubRel && recorded.is_resend() {
        notes.push("sent again".to_owned());
    }
    if recorded.name.kind == PacketKind::Reset && recorded.ends.is_empty() {
        notes.push("refuses a connection".to_owned());
    }
    if recorded.first_byte & 1 != 0 && recorded.name.kind == PacketKind::Publish {
        notes.push("RETAIN".to_owned());
    }
    match recorded.session_present {
        _ if recorded.loss_cause().is_some() => {}
        _ if recorded.reason_code != 0 && recorded.name.kind == PacketKind::ConnAck => {
            notes.push(format!("refused: code {}", recorded.reason_code));
        }
        Some(true) => notes.push("session resumed".to_owned()),
        Some(false) if version != Version::V31 => notes.push("new session".to_owned()),
        _ if recorded.reason_code >= 0x80 => {
            notes.push(format!("refused: code {:#x}", recorded.reason_code));
        }
        _ => {}
    }
    if let Some(cause) = recorded.loss_cause() {
        notes.push(format!("lost: {}", loss_reason(cause, from, to)));
    }
    notes
}

/// The reason why a packet was not read.
pub(crate) fn loss_reason(cause: PacketLossCause, from: &str, to: &str) -> String {
    match cause {
        PacketLossCause::Network(LossReason::Forced) => "a fault took it".to_owned(),
        PacketLossCause::Network(loss) => message_history::loss_text(loss).to_owned(),
        PacketLossCause::ReceiverDown => format!("{to} is down"),
        PacketLossCause::Closed(_, CloseReason::Cut) => "its connection was cut".to_owned(),
        PacketLossCause::Closed(node, CloseReason::Crash) => {
            format!("{} crashed", if is_sender(node, to) { from } else { to })
        }
        PacketLossCause::Closed(..) => "its connection had ended".to_owned(),
        PacketLossCause::SilentlyDead(SilentDeathCause::NatTimeout) => {
            "a NAT had forgotten its connection".to_owned()
        }
        PacketLossCause::SilentlyDead(SilentDeathCause::HalfOpen(_)) => {
            "its connection was half-open".to_owned()
        }
        PacketLossCause::UnknownConnection => format!("{to} does not know its connection"),
        PacketLossCause::InTransit => "still on its way at the end".to_owned(),
    }
}

/// Whether the node is not the receiver of this name.
fn is_sender(node: Node, to: &str) -> bool {
    (node == Node::Broker) != (to == "broker")
}

/// Text: a connection ended at a node.
pub(super) fn close_text(who: &str, whose: &str, why: CloseReason) -> String {
    let own = usize::from(who == whose);
    message_history::connection_closed_text(who, whose, why).replacen(
        &format!("{whose}'s"),
        "its",
        own,
    )
}

/// Text: a connection died silently.
pub(super) fn silent_death_text(why: SilentDeathCause, whose: &str, dead: &str) -> String {
    match why {
        SilentDeathCause::NatTimeout => {
            format!("a NAT forgets {whose}'s connection, and nobody is told")
        }
        SilentDeathCause::HalfOpen(_) => {
            format!("{dead} loses the connection, and the other end is not told")
        }
    }
}

/// Text: a link stops or slows down.
pub(super) fn impairment_text(whose: &str, impairment: Impairment, is_over: bool) -> String {
    let over = if is_over { " is over" } else { "" };
    format!("{whose}'s {}{over}", message_history::impairment_text(impairment))
}

/// Text: the nodes that have no line.
pub(super) fn omitted_nodes_text(names: &[String], count: usize) -> String {
    let named = names.join(", ");
    let rest = match count - names.len() {
        0 => String::new(),
        more => format!(" and {} more", format_count(more as u64)),
    };
    format!("No room for {named}{rest}.")
}

/// Text: the number of omitted rows.
pub(super) fn omitted_rows_text(rows: u64, events: u64) -> String {
    let rows = (rows > 0).then(|| counted(rows, "more row"));
    let moments =
        (events > 0).then(|| format!("{} that were not recorded", counted(events, "more moment")));
    let both: Vec<String> = rows.into_iter().chain(moments).collect();
    format!("And {}.", both.join(", and "))
}

/// What happened to a packet, in one sentence without its name.
#[cfg(feature = "files")]
pub(crate) fn fate_text(recorded: &RecordedPacket, setup: &Setup) -> String {
    let name = |node| match node {
        Node::Broker => "broker",
        Node::Client(client) => &*setup.clients[client.index()].name,
    };
    let mut parts = Vec::new();
    if recorded.is_dup() {
        parts.push("DUP".to_owned());
    } else if recorded.is_resend() {
        parts.push("sent again".to_owned());
    }
    match (recorded.loss_cause(), recorded.read_times().as_slice()) {
        (Some(cause), _) => {
            let why = loss_reason(cause, name(recorded.sender()), name(recorded.receiver()));
            parts.push(format!("lost: {why}"));
        }
        (None, [first, second, ..]) => {
            let twice = "delivered twice by the network: arrives";
            parts.push(format!("{twice} {first} and again {second}"));
        }
        (None, [only]) => parts.push(format!("arrives {only}")),
        (None, []) => {}
    }
    parts.join("; ")
}
