//! Whose fault a broken promise was, as `docs/model.md` says under "Whose fault".

use super::chronicle::Chronicle;
use super::endings::Endings;
use super::evidence::{Case, Freed, Harm, Misled, Mistaken};
use super::monitor::Break;
use super::roster::Roster;
use super::rules::{Rule, Strength};
use super::verdict::{Blame, Breach};
use super::watch::Offender;
use qoslab_core::base::event::Dropped;
use qoslab_core::base::name::{ClientIndex, Hop, Node};
use qoslab_core::base::qos::QoS;
use qoslab_core::base::time::Time;
use qoslab_core::base::units::format_span;
use qoslab_core::mqtt::settings::{Store, Version};

/// Who is to blame, by which rule, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Judgement {
    pub(super) blame: Blame,
    pub(super) rule: Option<&'static str>,
    pub(super) because: String,
}

/// What a judgement stands on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts<'a> {
    pub(super) roster: &'a Roster,
    pub(super) case: &'a Case,
    pub(super) offender: &'a Offender,
    pub(super) endings: &'a Endings,
    pub(super) chronicle: &'a Chronicle,
}

/// Blames the first endpoint, in causal order, whose broken rule concerns the message; else a
/// full queue, if that is what dropped a lost message; else a store that forgot it, or its packet
/// id; else the network, if it harmed a packet of that message on a datagram link; else another
/// setting; else an endpoint that did not do its part on a byte stream; else nobody knows.
pub(super) fn blame(facts: &Facts<'_>) -> Judgement {
    let Facts { roster, case, offender, endings, .. } = *facts;
    by_endpoint(facts)
        .or_else(|| by_queue(roster, case, offender))
        .or_else(|| by_mistake(roster, case, offender))
        .or_else(|| by_store(facts))
        .or_else(|| by_network(roster, case, offender))
        .or_else(|| by_setting(roster, case, offender, endings))
        .or_else(|| by_silence(facts))
        .or_else(|| by_omission(facts))
        .unwrap_or_else(|| Judgement {
            blame: Blame::Unexplained,
            rule: None,
            because: "no endpoint broke a rule, the network harmed none of its packets, and no \
                      setting explains it"
                .to_owned(),
        })
}

fn by_endpoint(facts: &Facts<'_>) -> Option<Judgement> {
    let Facts { roster, case, offender, chronicle, .. } = *facts;
    let published = case.published.map_or(Time::ZERO, |(_, at)| at);
    // The standard does not say that PUBRELs come again in order, but messages come out of order
    // if they do not.
    let is_cause = |rule: Rule| match rule {
        Rule::ReleaseResentOutOfOrder => offender.breach == Breach::Reordered,
        _ => rule.strength() != Strength::Should,
    };
    // Whatever a node does because its store forgot the message, the store is to blame for.
    let knew = |broken: &Break| {
        let forgot = chronicle.forgot_since(roster, broken.node, published);
        is_cause(broken.rule) && forgot.is_none_or(|at| at > broken.at)
    };
    let broken = case.first_break(offender.subscriber, knew)?;
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
fn by_queue(roster: &Roster, case: &Case, offender: &Offender) -> Option<Judgement> {
    let dropped =
        offender.breach == Breach::Lost && case.let_go(offender.subscriber, Dropped::QueueFull);
    let not_refused = offender.subscriber.is_some_and(|it| case.not_refused.contains(&it));
    if dropped && not_refused && roster.broker_refuses_on_full {
        // It is set to refuse such a message, and took it over all the same.
        let because = "broker acknowledged it and dropped it because a queue was full".to_owned();
        return Some(Judgement { blame: Blame::Broker, rule: Some("MQTT-4.5.0-1"), because });
    }
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
    let (blame, why) = match mistaken.freed {
        Freed::GivenUp => {
            (Blame::Configuration, "the sender had given that one up after the set transmissions")
        }
        Freed::Forgotten => {
            (Blame::Configuration, "the sender's store had forgotten that one in a crash")
        }
        // A byte stream brings no acknowledgement late or twice.
        Freed::Acknowledged if roster.clients[mistaken.link.index()].over_stream => return None,
        Freed::Acknowledged => (
            Blame::Network,
            "a late or repeated acknowledgement had freed the id at the sender only",
        ),
    };
    let because = format!("its packet id {id} was still held for {other}: {why}");
    Some(Judgement { blame, rule: None, because })
}

/// A store that forgets is no excuse, and no endpoint's fault either: it is set to be so.
fn by_store(facts: &Facts<'_>) -> Option<Judgement> {
    let Facts { roster, case, offender, chronicle, .. } = *facts;
    let publisher = Node::Client(roster.streams[offender.stream.index()].client);
    let published = case.published.map_or(Time::ZERO, |(_, at)| at);
    let subscriber = offender.subscriber.map(Node::Client);
    let got = offender.subscriber.and_then(|client| case.deliveries.get(&client));
    // What an acknowledged message was lost by is not its publisher.
    let publisher = (offender.breach != Breach::Lost).then_some(publisher);
    let nodes = [Some(Node::Broker), publisher, subscriber].into_iter().flatten();
    // A client that forgot its session sends it away later, and with it what came meanwhile.
    let sent_away =
        offender.breach == Breach::Lost && case.let_go(offender.subscriber, Dropped::SessionEnded);
    let crashes = nodes.filter_map(|node| {
        let since = if sent_away && Some(node) == subscriber { Time::ZERO } else { published };
        Some((chronicle.forgot(roster, node, since)?, node))
    });
    let in_time = |(at, _): &(Time, Node)| {
        offender.breach != Breach::Duplicated || got.is_some_and(|got| *at <= got.last)
    };
    let (_, node) = crashes.filter(in_time).min_by_key(|(at, _)| *at)?;
    let who = match node {
        Node::Broker => "the broker",
        Node::Client(client) => roster.name(client),
    };
    let store = match roster.store(node) {
        Store::Durable => return None,
        Store::Volatile => "\"volatile\"".to_owned(),
        Store::Snapshot(every) => {
            format!("{{ snapshot = \"{}\" }}", format_span(every).replace(' ', ""))
        }
    };
    let because = format!("{who}'s store forgets in a crash: store = {store}");
    Some(Judgement { blame: Blame::Configuration, rule: None, because })
}

fn by_network(roster: &Roster, case: &Case, offender: &Offender) -> Option<Judgement> {
    let publisher = roster.streams[offender.stream.index()].client;
    // A byte stream loses nothing but with its connection, and resuming makes good for that, but
    // for QoS 0.
    let unsafe_at = case.published.is_some_and(|(qos, _)| qos == QoS::AtMostOnce);
    let counts = |link: ClientIndex| unsafe_at || !roster.clients[link.index()].over_stream;
    let harm = case.harm_on_way(publisher, offender.subscriber, counts);
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
    (offender.breach == Breach::Lost && harm.lost + harm.cut > 0).then(|| {
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

/// A connection died without a word, and nothing was set to find out: an end believed in it until
/// it was too late for the message.
fn by_silence(facts: &Facts<'_>) -> Option<Judgement> {
    let Facts { roster, case, offender, chronicle, .. } = *facts;
    let publisher = roster.streams[offender.stream.index()].client;
    let published = case.published.map_or(Time::ZERO, |(_, at)| at);
    let end = too_late(offender, chronicle)?;
    let is_deaf = |client: &ClientIndex| {
        let has_keep_alive = roster.clients[client.index()].keep_alive;
        !has_keep_alive && chronicle.believed(*client, published, end)
    };
    let mut links = [Some(publisher), offender.subscriber].into_iter().flatten();
    let client = links.find(is_deaf)?;
    let because = format!(
        "a connection of {} died silently and it has no keep alive by which to notice",
        roster.name(client),
    );
    Some(Judgement { blame: Blame::Configuration, rule: None, because })
}

/// On a byte stream every message gets through if both ends do their part: whoever had it last and
/// did not send it on, or again, is to blame.
fn by_omission(facts: &Facts<'_>) -> Option<Judgement> {
    let Facts { roster, case, offender, chronicle, .. } = *facts;
    if offender.provisional {
        // It might still have come.
        return None;
    }
    let publisher = roster.streams[offender.stream.index()].client;
    let end = too_late(offender, chronicle)?;
    // Where the first hop was not done by then, that came first.
    let waits_up = case.completed.is_none_or(|at| at >= end) && offender.breach != Breach::Lost;
    let (client, hop) = match offender.subscriber {
        Some(subscriber) if !waits_up => (subscriber, Hop::Second),
        _ => (publisher, Hop::First),
    };
    let (blame, who) = match hop {
        Hop::First => (Blame::Publisher, roster.name(client)),
        Hop::Second => (Blame::Broker, "broker"),
    };
    if !roster.clients[client.index()].over_stream {
        return None;
    }
    let welcome = match hop {
        Hop::First => chronicle.welcome_before(client, end),
        Hop::Second => chronicle.accepted_before(client, end),
    };
    let (rule, because) = match (case.last_sent(client, hop, end), welcome) {
        _ if case.let_go(offender.subscriber, Dropped::Expired) => {
            ("MQTT-4.3.3-7", format!("{who} let it expire though it had begun to send it"))
        }
        (None, _) if offender.breach == Breach::Stalled => {
            let because = format!("{who} held it back until everybody reconnected");
            return Some(Judgement { blame, rule: None, because });
        }
        (None, _) => {
            let because = format!("{who} never sent it");
            return Some(Judgement { blame, rule: None, because });
        }
        (Some(sent), Some(welcome)) if sent < welcome => {
            ("MQTT-4.4.0-1", format!("{who} did not send it again on the connection of {welcome}"))
        }
        _ => return None,
    };
    Some(Judgement { blame, rule: Some(rule), because })
}

/// When it was too late for what was not done; `None` where too much was.
fn too_late(offender: &Offender, chronicle: &Chronicle) -> Option<Time> {
    match offender.breach {
        Breach::Stalled => chronicle.calm_two(),
        Breach::Lost | Breach::Stuck => Some(Time::NEVER),
        Breach::Duplicated | Breach::Unexpected | Breach::Reordered => None,
    }
}

/// `lost 2 and reordered 1`.
fn describe(harm: Harm) -> String {
    let parts = [
        ("lost", harm.lost + harm.cut),
        ("duplicated", harm.duplicated),
        ("reordered", harm.reordered),
    ];
    let parts: Vec<String> = parts
        .iter()
        .filter(|(_, count)| *count > 0)
        .map(|(word, count)| format!("{word} {count}"))
        .collect();
    parts.join(" and ")
}
