//! One message's life in lines of text.

use super::chronicle::{Chronicle, Moment};
use super::evidence::{Act, Case, Misled, Mistaken, receiver};
use super::roster::Roster;
use super::verdict::StoryLine;
use qoslab_core::base::event::{Arrival, Close, Dark, Dropped, Fate, Hindrance, Loss};
use qoslab_core::base::name::{ClientIndex, Hop, Kind, Node, Way};
use qoslab_core::base::time::Time;

/// At most so many moments of nodes and connections are told with one message.
const MAX_MOMENTS: usize = 60;

/// Tells what happened to a message on its way from its publisher to one subscriber.
pub(super) fn tell(
    roster: &Roster,
    case: &Case,
    publisher: ClientIndex,
    subscriber: Option<ClientIndex>,
    chronicle: &Chronicle,
) -> Vec<StoryLine> {
    let mut lines: Vec<StoryLine> = case
        .acts
        .iter()
        .filter(|(_, act)| concerns(act, subscriber))
        .map(|(at, act)| StoryLine { at: *at, text: text(roster, publisher, act) })
        .collect();
    for broken in &case.breaks {
        if broken.hop == Hop::First || Some(broken.link) == subscriber {
            let version = roster.clients[broken.link.index()].version;
            let id = broken.rule.id(version, broken.node);
            let who = name(roster, broken.node);
            let id = id.map(|id| format!(" [{id}]")).unwrap_or_default();
            let text = format!("{who} {}{id}", broken.rule.says());
            lines.push(StoryLine { at: broken.at, text });
        }
    }
    lines.extend(meanwhile(roster, case, publisher, subscriber, chronicle));
    lines.sort_by_key(|line| line.at);
    lines
}

/// What befell the nodes and connections on the message's way. Over datagrams a connection carries
/// nothing that a packet's own fate does not tell.
fn meanwhile(
    roster: &Roster,
    case: &Case,
    publisher: ClientIndex,
    subscriber: Option<ClientIndex>,
    chronicle: &Chronicle,
) -> Vec<StoryLine> {
    let mut links = vec![publisher];
    links.extend(subscriber.filter(|client| *client != publisher));
    let over_streams = links.iter().any(|link| roster.clients[link.index()].over_stream);
    let published = case.published.map_or(Time::ZERO, |(_, at)| at);
    let moments = chronicle.since(published, &links).into_iter();
    let told = moments.filter(|(_, link, moment)| match (link, moment) {
        (_, Moment::Crashed(_) | Moment::Restarted(_) | Moment::Expired) => true,
        (_, Moment::Closed(_, Close::Asked | Close::Crash)) => false,
        (Some(link), _) => roster.clients[link.index()].over_stream,
        (None, _) => over_streams,
    });
    told.take(MAX_MOMENTS)
        .map(|(at, link, moment)| StoryLine { at, text: moment_text(roster, link, moment) })
        .collect()
}

fn moment_text(roster: &Roster, link: Option<ClientIndex>, moment: Moment) -> String {
    let whose = link.map_or("broker", |client| roster.name(client));
    match moment {
        Moment::Closed(node, why) => closed_text(name(roster, node), whose, why),
        Moment::Welcomed { resumed: true } => {
            format!("{whose} is connected again, and its session goes on")
        }
        Moment::Welcomed { resumed: false } => format!("{whose} is connected, with a new session"),
        Moment::WentDark(Dark::NatForgot) => {
            format!("a NAT forgets {whose}'s connection, and nobody is told")
        }
        Moment::WentDark(Dark::HalfOpen(dead)) => {
            let dead = name(roster, dead);
            format!("{dead} loses {whose}'s connection, and the other end is not told")
        }
        Moment::Hampered(how) => format!("{whose}'s {}", hindrance(how)),
        Moment::Unhampered(how) => format!("{whose}'s {} is over", hindrance(how)),
        Moment::Crashed(node) => format!("{} crashes", name(roster, node)),
        Moment::Restarted(node) => format!("{} starts again", name(roster, node)),
        Moment::Expired => format!("{whose}'s session expires at the broker"),
        Moment::CalmTwo => "every persistent session reconnects".to_owned(),
    }
}

/// That an end of a client's connection closed, in words.
#[must_use]
pub fn closed_text(who: &str, whose: &str, why: Close) -> String {
    let what = match why {
        Close::Cut => return format!("{who} learns that {whose}'s connection is cut"),
        Close::Asked => "as it wanted to",
        Close::KeepAlive => "for it heard nothing for too long",
        Close::TakenOver => "for a new one takes its place",
        Close::Protocol => "for the other end broke the protocol",
        Close::Peer => "for the other end did",
        Close::Reset => "for the other end does not know it",
        Close::UserTimeout => "for nothing got through for too long",
        Close::Crash => "in a crash",
    };
    format!("{who} closes {whose}'s connection, {what}")
}

/// A hindrance, after whose it is.
#[must_use]
pub const fn hindrance(how: Hindrance) -> &'static str {
    match how {
        Hindrance::Partition(Way::Up) => "partition up",
        Hindrance::Partition(Way::Down) => "partition down",
        Hindrance::Stall => "stall",
        Hindrance::Slow => "slow reading",
    }
}

fn concerns(act: &Act, subscriber: Option<ClientIndex>) -> bool {
    match act {
        Act::Published | Act::Willed | Act::Completed => true,
        Act::Sent { link, hop, .. }
        | Act::Stale { link, hop, .. }
        | Act::Mistaken(Mistaken { link, hop, .. })
        | Act::Misled(Misled { link, hop, .. }) => *hop == Hop::First || Some(*link) == subscriber,
        Act::Delivered { client } => Some(*client) == subscriber,
        Act::LetGo { client, .. } => client.is_none() || *client == subscriber,
    }
}

fn text(roster: &Roster, publisher: ClientIndex, act: &Act) -> String {
    match *act {
        Act::Published => format!("{} publishes", roster.name(publisher)),
        Act::Willed => format!("broker publishes the will of {}", roster.name(publisher)),
        Act::Completed => format!("{} has completed it", roster.name(publisher)),
        Act::Sent { link, way, first, id, kind, fate, .. } => {
            let (from, to) = ends(roster, link, way);
            format!("{from} -> {to}: {}, {}", packet(kind, first, id), fate_text(fate))
        }
        Act::Stale { link, way, kind, .. } => {
            let (_, to) = ends(roster, link, way);
            format!("{to} does not read a {}: its connection is not open", kind.label())
        }
        Act::Mistaken(Mistaken { link, hop, id, other, .. }) => {
            let node = if hop == Hop::First { Node::Broker } else { Node::Client(link) };
            let (who, stream) = (name(roster, node), &roster.streams[other.0.index()].name);
            format!("{who} still holds id {id} for {stream} #{} and takes it for that", other.1)
        }
        Act::Misled(Misled { id, kind, other, .. }) => {
            let (label, stream) = (kind.label(), &roster.streams[other.0.index()].name);
            let ends = if kind == Kind::PubRec { "is taken for its own" } else { "ends it" };
            format!("{label} id {id}, for {stream} #{}, {ends}", other.1)
        }
        Act::Delivered { client } => format!("{} delivers it", roster.name(client)),
        Act::LetGo { client: None, why } => {
            format!("{} lets go of it: {}", roster.name(publisher), reason(why))
        }
        Act::LetGo { client: Some(client), why } => {
            format!("broker drops the copy for {}: {}", roster.name(client), reason(why))
        }
    }
}

fn ends(roster: &Roster, link: ClientIndex, way: Way) -> (&str, &str) {
    let (from, to) = (receiver(link, way.reverse()), receiver(link, way));
    (name(roster, from), name(roster, to))
}

fn name(roster: &Roster, node: Node) -> &str {
    match node {
        Node::Broker => "broker",
        Node::Client(client) => roster.name(client),
    }
}

fn packet(kind: Kind, first: u8, id: u16) -> String {
    let id = if id == 0 { String::new() } else { format!(" id {id}") };
    if kind != Kind::Publish {
        return format!("{}{id}", kind.label());
    }
    let qos = first >> 1 & 0b11;
    let dup = if first & 0b1000 != 0 { " DUP" } else { "" };
    let retain = if first & 1 != 0 { " RETAIN" } else { "" };
    format!("PUBLISH QoS {qos}{dup}{retain}{id}")
}

fn fate_text(fate: Fate) -> String {
    match fate {
        Fate::Lost(loss) => format!("lost: {}", cause(loss)),
        Fate::Stream => "into the stream".to_owned(),
        Fate::Arrives(Arrival { at, again, overtakes }) => {
            let again = again.map(|at| format!(" and again at {at}")).unwrap_or_default();
            let overtakes = if overtakes { ", overtaking" } else { "" };
            format!("arrives at {at}{again}{overtakes}")
        }
    }
}

/// Why the network lost a packet, in words.
#[must_use]
pub const fn cause(loss: Loss) -> &'static str {
    match loss {
        Loss::Random => "random loss",
        Loss::Burst => "a burst of loss",
        Loss::Outage => "the link is down",
        Loss::QueueFull => "the link's queue is full",
        Loss::Forced => "forced",
    }
}

/// Why an endpoint let go of a message, in words.
#[must_use]
pub const fn reason(why: Dropped) -> &'static str {
    match why {
        Dropped::QueueFull => "its queue is full",
        Dropped::Offline => "no connection, and such messages do not wait",
        Dropped::GaveUp => "the limit of transmissions is reached",
        Dropped::Rejected => "it was refused",
        Dropped::SessionEnded => "the session ended",
        Dropped::Expired => "it has expired",
        Dropped::TooLarge => "it is larger than the receiver takes",
    }
}
