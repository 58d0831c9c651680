//! What a ladder says in words.

use super::{Ladder, Mark, Row, Sign};
use crate::escape;
use crate::number::counted;
use qoslab_core::base::event::{Close, Dark, Hindrance, Loss};
use qoslab_core::base::name::{Kind, Node, Parts};
use qoslab_core::base::units::format_count;
use qoslab_core::mqtt::settings::Version;
use qoslab_guarantee::story;
use qoslab_sim::trial::Setup;
use qoslab_study::tape::{Cause, Flight, Scope};

/// What a ladder shows.
pub(super) fn title(scope: &Scope, setup: &Setup) -> String {
    let Some(route) = &scope.route else { return "the whole trial".to_owned() };
    let stream = &setup.streams[route.stream.index()];
    let (name, qos) = (escape::terminal(&stream.name), stream.qos);
    format!("message #{} of {name}, published with QoS {qos}", route.sequence)
}

/// The same with a capital letter.
pub(crate) fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// What a picture of a ladder shows, for who cannot see it.
pub(super) fn alt(ladder: &Ladder) -> String {
    let names: Vec<&str> = ladder.columns.iter().map(|column| column.name.as_str()).collect();
    let count =
        |wanted: &dyn Fn(&Row) -> bool| ladder.rows.iter().filter(|row| wanted(row)).count() as u64;
    let is_arrow = |row: &Row| matches!(row.mark, Mark::Arrow { .. });
    let lost = |row: &Row| matches!(row.mark, Mark::Arrow { arrives: None, .. });
    let delivered = |row: &Row| matches!(row.mark, Mark::At(_, Sign::Deliver));
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

/// A message: its number, and whose it is where several publish.
pub(super) fn message(message: &Parts, setup: &Setup, is_only_stream: bool) -> String {
    if is_only_stream {
        return format!("#{}", message.sequence);
    }
    let stream = &setup.streams[message.stream.index()].name;
    format!("{}#{}", escape::terminal(stream), message.sequence)
}

/// What a packet is: `PUBLISH #7 p12 DUP`.
pub(super) fn label(flight: &Flight, message: &str) -> String {
    let mut label = flight.name.kind.label().to_owned();
    if flight.message.is_some() {
        label.extend([" ", message]);
    }
    if flight.id != 0 {
        label += &format!(" p{}", flight.id);
    }
    if flight.is_dup() {
        label += " DUP";
    }
    label
}

/// What is to be said of a packet besides what its arrow shows.
pub(super) fn packet(flight: &Flight, version: Version, from: &str, to: &str) -> Vec<String> {
    let mut notes = Vec::new();
    if flight.name.kind == Kind::PubRel && flight.is_resend() {
        notes.push("sent again".to_owned());
    }
    if flight.name.kind == Kind::Reset && flight.ends.is_empty() {
        notes.push("refuses a connection".to_owned());
    }
    if flight.first & 1 != 0 && flight.name.kind == Kind::Publish {
        notes.push("RETAIN".to_owned());
    }
    match flight.session_present {
        _ if flight.lost().is_some() => {}
        _ if flight.reason != 0 && flight.name.kind == Kind::ConnAck => {
            notes.push(format!("refused: code {}", flight.reason));
        }
        Some(true) => notes.push("session resumed".to_owned()),
        Some(false) if version != Version::V31 => notes.push("new session".to_owned()),
        _ if flight.reason >= 0x80 => notes.push(format!("refused: code {:#x}", flight.reason)),
        _ => {}
    }
    if let Some(cause) = flight.lost() {
        notes.push(format!("lost: {}", lost(cause, from, to)));
    }
    notes
}

/// Why nobody read a packet.
pub(crate) fn lost(cause: Cause, from: &str, to: &str) -> String {
    match cause {
        Cause::Lost(Loss::Forced) => "a fault took it".to_owned(),
        Cause::Lost(loss) => story::cause(loss).to_owned(),
        Cause::Down => format!("{to} is down"),
        Cause::Closed(_, Close::Cut) => "its connection was cut".to_owned(),
        Cause::Closed(node, Close::Crash) => {
            format!("{} crashed", if is_sender(node, to) { from } else { to })
        }
        Cause::Closed(..) => "its connection had ended".to_owned(),
        Cause::Dark(Dark::NatForgot) => "a NAT had forgotten its connection".to_owned(),
        Cause::Dark(Dark::HalfOpen(_)) => "its connection was half-open".to_owned(),
        Cause::Unknown => format!("{to} does not know its connection"),
        Cause::UnderWay => "still on its way at the end".to_owned(),
    }
}

/// Whether the node is not the receiver of this name.
fn is_sender(node: Node, to: &str) -> bool {
    (node == Node::Broker) != (to == "broker")
}

/// That a connection ended at a node.
pub(super) fn closed(who: &str, whose: &str, why: Close) -> String {
    let own = usize::from(who == whose);
    story::closed_text(who, whose, why).replacen(&format!("{whose}'s"), "its", own)
}

/// That a connection died silently.
pub(super) fn dark(why: Dark, whose: &str, dead: &str) -> String {
    match why {
        Dark::NatForgot => format!("a NAT forgets {whose}'s connection, and nobody is told"),
        Dark::HalfOpen(_) => format!("{dead} loses the connection, and the other end is not told"),
    }
}

/// That a link stops or slows down.
pub(super) fn hindrance(whose: &str, how: Hindrance, is_over: bool) -> String {
    let over = if is_over { " is over" } else { "" };
    format!("{whose}'s {}{over}", story::hindrance(how))
}

/// Which nodes have no line.
pub(super) fn others(names: &[String], count: usize) -> String {
    let named = names.join(", ");
    let rest = match count - names.len() {
        0 => String::new(),
        more => format!(" and {} more", format_count(more as u64)),
    };
    format!("No room for {named}{rest}.")
}

/// How many rows are missing.
pub(super) fn more_rows(rows: u64, moments: u64) -> String {
    let rows = (rows > 0).then(|| counted(rows, "more row"));
    let moments = (moments > 0)
        .then(|| format!("{} that were not recorded", counted(moments, "more moment")));
    let both: Vec<String> = rows.into_iter().chain(moments).collect();
    format!("And {}.", both.join(", and "))
}

/// What befell a packet, in one sentence without its name.
pub(crate) fn fate(flight: &Flight, setup: &Setup) -> String {
    let name = |node| match node {
        Node::Broker => "broker",
        Node::Client(client) => &*setup.clients[client.index()].name,
    };
    let mut said = Vec::new();
    if flight.is_dup() {
        said.push("DUP".to_owned());
    } else if flight.is_resend() {
        said.push("sent again".to_owned());
    }
    match (flight.lost(), flight.reads().as_slice()) {
        (Some(cause), _) => {
            let why = lost(cause, name(flight.from()), name(flight.to()));
            said.push(format!("lost: {why}"));
        }
        (None, [first, second, ..]) => {
            let twice = "delivered twice by the network: arrives";
            said.push(format!("{twice} {first} and again {second}"));
        }
        (None, [only]) => said.push(format!("arrives {only}")),
        (None, []) => {}
    }
    said.join("; ")
}
