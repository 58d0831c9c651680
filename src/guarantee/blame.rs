//! Whose fault a broken promise was, as `docs/model.md` says under "Whose fault".

use super::endings::Endings;
use super::evidence::{Case, Harm, Misled, Mistaken};
use super::roster::Roster;
use super::verdict::{Blame, Breach};
use super::watch::Offender;
use crate::base::event::Dropped;
use crate::base::name::{ClientIndex, Hop, Node};
use crate::base::time::Time;
use crate::mqtt::settings::Version;

/// Who is to blame, by which rule, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Judgement {
    pub(super) blame: Blame,
    pub(super) rule: Option<&'static str>,
    pub(super) because: String,
}

/// Blames the first endpoint, in causal order, whose broken rule concerns the message; else a
/// full queue, if that is what dropped a lost message; else the network, if it lost, duplicated or
/// reordered a packet of that message; else a setting; else nobody knows.
pub(super) fn blame(
    roster: &Roster,
    case: &Case,
    offender: &Offender,
    endings: &Endings,
) -> Judgement {
    by_endpoint(roster, case, offender)
        .or_else(|| by_queue(case, offender))
        .or_else(|| by_mistake(roster, case, offender))
        .or_else(|| by_network(roster, case, offender))
        .or_else(|| by_setting(roster, case, offender, endings))
        .unwrap_or_else(|| Judgement {
            blame: Blame::Unexplained,
            rule: None,
            because: "no endpoint broke a rule, the network harmed none of its packets, and no \
                      setting explains it"
                .to_owned(),
        })
}

fn by_endpoint(roster: &Roster, case: &Case, offender: &Offender) -> Option<Judgement> {
    let broken = case.first_break(offender.subscriber)?;
    let (blame, name) = match (broken.node, broken.hop) {
        (Node::Broker, _) => (Blame::Broker, "broker"),
        (Node::Client(client), Hop::First) => (Blame::Publisher, roster.name(client)),
        (Node::Client(client), Hop::Second) => (Blame::Subscriber, roster.name(client)),
    };
    let version = roster.clients[broken.link.index()].version;
    let id = broken.rule.id(version, broken.node);
    let because = format!("{name} {} at {}", broken.rule.says(), broken.at);
    Some(Judgement { blame, rule: id, because })
}

/// A copy that a full queue dropped would have come but for the queue, whatever the network did
/// to its other packets.
fn by_queue(case: &Case, offender: &Offender) -> Option<Judgement> {
    let dropped =
        offender.breach == Breach::Lost && case.let_go(offender.subscriber, Dropped::QueueFull);
    dropped.then(|| Judgement {
        blame: Blame::Configuration,
        rule: None,
        because: "a full queue dropped it: max_queued is too small for this load".to_owned(),
    })
}

/// A QoS 2 message that its receiver took for another was not passed on, whatever the network did
/// to its own packets. Senders that keep the rules free an id early for two reasons only: they gave
/// up, or an acknowledgement came that belonged to an older message of the same id.
fn by_mistake(roster: &Roster, case: &Case, offender: &Offender) -> Option<Judgement> {
    let concerns = |it: &Mistaken| it.hop == Hop::First || Some(it.link) == offender.subscriber;
    let mistaken = case.mistaken.filter(concerns).filter(|_| offender.breach == Breach::Lost)?;
    let (stream, sequence) = mistaken.other;
    let other = format!("{} #{sequence}", roster.streams[stream.index()].name);
    let id = mistaken.id;
    let (blame, why) = if mistaken.given_up {
        (Blame::Configuration, "the sender had given that one up after the set transmissions")
    } else {
        (Blame::Network, "a late or repeated acknowledgement had freed the id at the sender only")
    };
    let because = format!("its packet id {id} was still held for {other}: {why}");
    Some(Judgement { blame, rule: None, because })
}

fn by_network(roster: &Roster, case: &Case, offender: &Offender) -> Option<Judgement> {
    let publisher = roster.streams[offender.stream.index()].client;
    let harm = case.harm_on_way(publisher, offender.subscriber);
    harm.any().then(|| {
        let because = by_acknowledgement(roster, case, offender, harm).unwrap_or_else(|| {
            format!("{}, and the network {} of its packets", kept(roster, offender), describe(harm))
        });
        Judgement { blame: Blame::Network, rule: None, because }
    })
}

/// A sender stopped too early: what it took for this message's acknowledgement was another's.
fn by_acknowledgement(
    roster: &Roster,
    case: &Case,
    offender: &Offender,
    harm: Harm,
) -> Option<String> {
    let concerns = |it: &Misled| it.hop == Hop::First || Some(it.link) == offender.subscriber;
    let Misled { kind, other: (stream, sequence), .. } = case.misled.filter(concerns)?;
    let stream = &roster.streams[stream.index()].name;
    (offender.breach == Breach::Lost && harm.lost > 0).then(|| {
        format!(
            "its PUBLISH was lost, and a late {} of {stream} #{sequence} with the same packet id \
             was taken for its own",
            kind.label(),
        )
    })
}

/// MQTT 5.0 lets nobody send again but on a new connection, and a datagram link cannot do without.
fn kept(roster: &Roster, offender: &Offender) -> &'static str {
    let publisher = roster.streams[offender.stream.index()].client;
    let forbids = |client: ClientIndex| roster.clients[client.index()].version == Version::V5;
    let by_publisher = roster.clients[publisher.index()].resends_by_timer && forbids(publisher);
    let by_broker = roster.broker_resends_by_timer && offender.subscriber.is_some_and(forbids);
    if by_publisher || by_broker {
        "every endpoint kept the rules, but for the retry timer that the scenario sets, which MQTT \
         5.0 forbids [MQTT-4.4.0-1]"
    } else {
        "every endpoint kept the rules"
    }
}

fn by_setting(
    roster: &Roster,
    case: &Case,
    offender: &Offender,
    endings: &Endings,
) -> Option<Judgement> {
    let publisher = roster.streams[offender.stream.index()].client;
    let published = case.published.map_or(Time::ZERO, |(_, at)| at);
    let ended = |client: ClientIndex| {
        roster.clients[client.index()].clean && endings.is_since(client, published)
    };
    let because = if case.let_go(offender.subscriber, Dropped::QueueFull) {
        "a full queue dropped it"
    } else if case.let_go(offender.subscriber, Dropped::GaveUp) {
        "its sender gave it up after the set number of transmissions"
    } else if case.let_go(offender.subscriber, Dropped::Offline) {
        "its receiver was not connected, and such messages are set not to wait"
    } else if ended(publisher) || offender.subscriber.is_some_and(ended) {
        "a session is set to end with its connection, and did"
    } else {
        return None;
    };
    let because = because.to_owned();
    Some(Judgement { blame: Blame::Configuration, rule: None, because })
}

/// `lost 2 and reordered 1`.
fn describe(harm: Harm) -> String {
    let parts =
        [("lost", harm.lost), ("duplicated", harm.duplicated), ("reordered", harm.reordered)];
    let parts: Vec<String> = parts
        .iter()
        .filter(|(_, count)| *count > 0)
        .map(|(word, count)| format!("{word} {count}"))
        .collect();
    parts.join(" and ")
}
