//! The history of one message in lines of text.

use super::event_log::{EventLog, LoggedEvent};
use super::evidence::{Evidence, IdCollision, MessageEvent, StaleAck, receiving_node};
use super::trial_facts::TrialFacts;
use super::verdict::HistoryLine;
use qoslab_core::base::{
    Arrival, ClientIndex, CloseReason, Direction, DropReason, Fate, Hop, Impairment, LossReason,
    Node, PacketKind, SilentDeathCause, Time,
};

/// The greatest number of events of nodes and connections reported with one message.
const MAX_LINK_EVENTS: usize = 60;

/// Describes what happened to a message on its way from its publisher to one subscriber.
pub(super) fn history_lines(
    trial: &TrialFacts,
    evidence: &Evidence,
    publisher: ClientIndex,
    subscriber: Option<ClientIndex>,
    event_log: &EventLog,
) -> Vec<HistoryLine> {
    let mut lines: Vec<HistoryLine> = evidence
        .events
        .iter()
        .filter(|(_, act)| is_relevant(act, subscriber))
        .map(|(at, act)| HistoryLine { at: *at, text: message_event_text(trial, publisher, act) })
        .collect();
    for broken in &evidence.rule_violations {
        if broken.hop == Hop::First || Some(broken.link) == subscriber {
            let version = trial.clients[broken.link.index()].version;
            let id = broken.rule.id(version, broken.node);
            let who = node_name(trial, broken.node);
            let id = id.map(|id| format!(" [{id}]")).unwrap_or_default();
            let text = format!("{who} {}{id}", broken.rule.violation_phrase());
            lines.push(HistoryLine { at: broken.at, text });
        }
    }
    lines.extend(link_event_lines(trial, evidence, publisher, subscriber, event_log));
    lines.sort_by_key(|line| line.at);
    lines
}

/// Events of nodes and connections on the message's way. Over datagrams a connection carries
/// nothing that a packet's own fate does not show.
fn link_event_lines(
    trial: &TrialFacts,
    evidence: &Evidence,
    publisher: ClientIndex,
    subscriber: Option<ClientIndex>,
    event_log: &EventLog,
) -> Vec<HistoryLine> {
    let mut links = vec![publisher];
    links.extend(subscriber.filter(|client| *client != publisher));
    let any_over_tcp = links.iter().any(|link| trial.clients[link.index()].over_tcp);
    let published = evidence.published.map_or(Time::ZERO, |(_, at)| at);
    let events = event_log.events_since(published, &links).into_iter();
    let relevant = events.filter(|(_, link, moment)| match (link, moment) {
        (_, LoggedEvent::Crashed(_) | LoggedEvent::Restarted(_) | LoggedEvent::SessionExpired) => {
            true
        }
        (_, LoggedEvent::Closed(_, CloseReason::Requested | CloseReason::Crash)) => false,
        (Some(link), _) => trial.clients[link.index()].over_tcp,
        (None, _) => any_over_tcp,
    });
    relevant
        .take(MAX_LINK_EVENTS)
        .map(|(at, link, moment)| HistoryLine { at, text: link_event_text(trial, link, moment) })
        .collect()
}

fn link_event_text(trial: &TrialFacts, link: Option<ClientIndex>, event: LoggedEvent) -> String {
    let whose = link.map_or("broker", |client| trial.client_name(client));
    match event {
        LoggedEvent::Closed(node, why) => {
            connection_closed_text(node_name(trial, node), whose, why)
        }
        LoggedEvent::Connected { resumed: true } => {
            format!("{whose} is connected again, and its session goes on")
        }
        LoggedEvent::Connected { resumed: false } => {
            format!("{whose} is connected, with a new session")
        }
        LoggedEvent::DiedSilently(SilentDeathCause::NatTimeout) => {
            format!("a NAT forgets {whose}'s connection, and nobody is told")
        }
        LoggedEvent::DiedSilently(SilentDeathCause::HalfOpen(dead)) => {
            let dead = node_name(trial, dead);
            format!("{dead} loses {whose}'s connection, and the other end is not told")
        }
        LoggedEvent::Impaired(how) => format!("{whose}'s {}", impairment_text(how)),
        LoggedEvent::ImpairmentEnded(how) => format!("{whose}'s {} is over", impairment_text(how)),
        LoggedEvent::Crashed(node) => format!("{} crashes", node_name(trial, node)),
        LoggedEvent::Restarted(node) => format!("{} starts again", node_name(trial, node)),
        LoggedEvent::SessionExpired => format!("{whose}'s session expires at the broker"),
        LoggedEvent::ReconnectDrain => "every persistent session reconnects".to_owned(),
    }
}

/// That an end of a client's connection closed, in words.
#[must_use]
pub fn connection_closed_text(who: &str, whose: &str, why: CloseReason) -> String {
    let what = match why {
        CloseReason::Cut => return format!("{who} learns that {whose}'s connection is cut"),
        CloseReason::Requested => "as it wanted to",
        CloseReason::KeepAlive => "for it heard nothing for too long",
        CloseReason::TakenOver => "for a new one takes its place",
        CloseReason::Protocol => "for the other end broke the protocol",
        CloseReason::Peer => "for the other end did",
        CloseReason::Reset => "for the other end does not know it",
        CloseReason::UserTimeout => "for nothing got through for too long",
        CloseReason::Crash => "in a crash",
    };
    format!("{who} closes {whose}'s connection, {what}")
}

/// The impairment in words, to follow the name of its owner.
#[must_use]
pub const fn impairment_text(how: Impairment) -> &'static str {
    match how {
        Impairment::Partition(Direction::Up) => "partition up",
        Impairment::Partition(Direction::Down) => "partition down",
        Impairment::Stall => "stall",
        Impairment::Slow => "slow reading",
    }
}

fn is_relevant(event: &MessageEvent, subscriber: Option<ClientIndex>) -> bool {
    match event {
        MessageEvent::Published | MessageEvent::WillPublished | MessageEvent::Completed => true,
        MessageEvent::Sent { link, hop, .. }
        | MessageEvent::Discarded { link, hop, .. }
        | MessageEvent::IdCollision(IdCollision { link, hop, .. })
        | MessageEvent::StaleAck(StaleAck { link, hop, .. }) => {
            *hop == Hop::First || Some(*link) == subscriber
        }
        MessageEvent::Delivered { client } => Some(*client) == subscriber,
        MessageEvent::Dropped { client, .. } => client.is_none() || *client == subscriber,
    }
}

fn message_event_text(trial: &TrialFacts, publisher: ClientIndex, event: &MessageEvent) -> String {
    match *event {
        MessageEvent::Published => format!("{} publishes", trial.client_name(publisher)),
        MessageEvent::WillPublished => {
            format!("broker publishes the will of {}", trial.client_name(publisher))
        }
        MessageEvent::Completed => format!("{} has completed it", trial.client_name(publisher)),
        MessageEvent::Sent { link, direction: way, first_byte: first, id, kind, fate, .. } => {
            let (from, to) = from_and_to(trial, link, way);
            format!("{from} -> {to}: {}, {}", packet_text(kind, first, id), fate_text(fate))
        }
        MessageEvent::Discarded { link, direction: way, kind, .. } => {
            let (_, to) = from_and_to(trial, link, way);
            format!("{to} does not read a {}: its connection is not open", kind.label())
        }
        MessageEvent::IdCollision(IdCollision { link, hop, id, other_message: other, .. }) => {
            let node = if hop == Hop::First { Node::Broker } else { Node::Client(link) };
            let (who, stream) = (node_name(trial, node), &trial.publishers[other.0.index()].name);
            format!("{who} still holds id {id} for {stream} #{} and takes it for that", other.1)
        }
        MessageEvent::StaleAck(StaleAck { id, kind, other_message: other, .. }) => {
            let (label, stream) = (kind.label(), &trial.publishers[other.0.index()].name);
            let ends = if kind == PacketKind::PubRec { "is taken for its own" } else { "ends it" };
            format!("{label} id {id}, for {stream} #{}, {ends}", other.1)
        }
        MessageEvent::Delivered { client } => format!("{} delivers it", trial.client_name(client)),
        MessageEvent::Dropped { client: None, why } => {
            format!("{} lets go of it: {}", trial.client_name(publisher), drop_text(why))
        }
        MessageEvent::Dropped { client: Some(client), why } => {
            format!("broker drops the copy for {}: {}", trial.client_name(client), drop_text(why))
        }
    }
}

fn from_and_to(trial: &TrialFacts, link: ClientIndex, direction: Direction) -> (&str, &str) {
    let (from, to) = (receiving_node(link, direction.reverse()), receiving_node(link, direction));
    (node_name(trial, from), node_name(trial, to))
}

fn node_name(trial: &TrialFacts, node: Node) -> &str {
    match node {
        Node::Broker => "broker",
        Node::Client(client) => trial.client_name(client),
    }
}

fn packet_text(kind: PacketKind, first_byte: u8, id: u16) -> String {
    let id = if id == 0 { String::new() } else { format!(" id {id}") };
    if kind != PacketKind::Publish {
        return format!("{}{id}", kind.label());
    }
    let qos = first_byte >> 1 & 0b11;
    let dup = if first_byte & 0b1000 != 0 { " DUP" } else { "" };
    let retain = if first_byte & 1 != 0 { " RETAIN" } else { "" };
    format!("PUBLISH QoS {qos}{dup}{retain}{id}")
}

fn fate_text(fate: Fate) -> String {
    match fate {
        Fate::Lost(loss) => format!("lost: {}", loss_text(loss)),
        Fate::Streamed => "into the stream".to_owned(),
        Fate::Arrives(Arrival { at, duplicate_at: again, overtakes }) => {
            let again = again.map(|at| format!(" and again at {at}")).unwrap_or_default();
            let overtakes = if overtakes { ", overtaking" } else { "" };
            format!("arrives at {at}{again}{overtakes}")
        }
    }
}

/// Why the network lost a packet, in words.
#[must_use]
pub const fn loss_text(loss: LossReason) -> &'static str {
    match loss {
        LossReason::Random => "random loss",
        LossReason::Burst => "a burst of loss",
        LossReason::Outage => "the link is down",
        LossReason::QueueFull => "the link's queue is full",
        LossReason::Forced => "forced",
    }
}

/// Why an endpoint let go of a message, in words.
#[must_use]
pub const fn drop_text(why: DropReason) -> &'static str {
    match why {
        DropReason::QueueFull => "its queue is full",
        DropReason::Offline => "no connection, and such messages do not wait",
        DropReason::SocketFull => "the socket had no room for it",
        DropReason::GaveUp => "the limit of transmissions is reached",
        DropReason::Rejected => "it was refused",
        DropReason::SessionEnded => "the session ended",
        DropReason::Expired => "it has expired",
        DropReason::TooLarge => "it is larger than the receiver takes",
    }
}
