//! The blame for a broken promise, as `docs/model.md` says under "Whose fault".

use super::claims::RefutedClaim;
use super::event_log::EventLog;
use super::evidence::{Evidence, IdCollision, IdReleaseCause, NetworkDamage, StaleAck};
use super::evidence_recorder::order::{Passage, StreamOrder};
use super::first_pass::SuspectedViolation;
use super::monitor::RuleViolation;
use super::rules::{Rule, Strength};
use super::session_endings::SessionEndings;
use super::trial_facts::TrialFacts;
use super::verdict::{Blame, Breach};
use qoslab_core::base::units::format_span;
use qoslab_core::base::{ClientIndex, DropReason, Hop, Node, QoS, Time};
use qoslab_core::mqtt::{StorePolicy, Version};

/// The part to blame, the rule that it broke, and the reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BlameDecision {
    pub(super) blame: Blame,
    pub(super) rule: Option<CitedRule>,
    pub(super) reason: String,
}

/// A rule's id, and how binding it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CitedRule {
    pub(super) id: &'static str,
    pub(super) strength: Strength,
}

impl CitedRule {
    const fn must(id: &'static str) -> Self {
        Self { id, strength: Strength::Must }
    }
}

/// The facts that a judgement is based on.
#[derive(Clone, Copy, Debug)]
pub(super) struct BlameInput<'a> {
    pub(super) trial: &'a TrialFacts,
    pub(super) evidence: &'a Evidence,
    pub(super) suspect: &'a SuspectedViolation,
    /// What the broker, or the publisher, said in vain of why it let go of the message.
    pub(super) refuted_claim: Option<RefutedClaim>,
    pub(super) stream_order: &'a StreamOrder,
    pub(super) session_endings: &'a SessionEndings,
    pub(super) event_log: &'a EventLog,
}

/// Blames the first endpoint, in causal order, whose broken rule concerns the message; else one
/// that let go of it without a reason; else a full queue, if that is what dropped a lost message;
/// else a packet id by which it was taken for another; else a store that forgot it; else the
/// network, if it harmed a packet of that message on a datagram link; else another setting; else an
/// endpoint that did not do its part; else it stays unexplained.
pub(super) fn assign_blame(input: &BlameInput<'_>) -> BlameDecision {
    let BlameInput {
        trial: facts,
        evidence: case,
        suspect: offender,
        session_endings: endings,
        ..
    } = *input;
    broken_rule(input)
        .or_else(|| refuted_claim(input))
        .or_else(|| full_queue(facts, case, offender))
        .or_else(|| id_collision(facts, case, offender))
        .or_else(|| lost_state(input))
        .or_else(|| network_damage(facts, case, offender))
        .or_else(|| configured_limit(facts, case, offender, endings))
        .or_else(|| unnoticed_dead_connection(input))
        .or_else(|| missing_action(input))
        .or_else(|| wrong_order(input))
        .unwrap_or_else(|| unexplained(facts))
}

/// A bug in qoslab, where every endpoint is ours and without quirks.
fn unexplained(trial: &TrialFacts) -> BlameDecision {
    let reason = "no endpoint broke a rule, the network harmed none of its packets, and no setting \
                  explains it";
    let blame = trial.unexplained();
    let reason = if blame == Blame::UnexplainedOnPath {
        format!("{reason}; an endpoint on its way must have done it: please report this trial")
    } else {
        reason.to_owned()
    };
    BlameDecision { blame, rule: None, reason }
}

/// Messages keep their order in a byte stream: where they are out of order, the endpoint is to
/// blame that first sent or handed them on so. That the broker forwards them so is a rule with an
/// id.
fn wrong_order(input: &BlameInput<'_>) -> Option<BlameDecision> {
    let BlameInput { trial, suspect, stream_order, .. } = *input;
    let subscriber = suspect.subscriber.filter(|_| suspect.breach == Breach::Reordered)?;
    let message = (suspect.publisher, suspect.sequence);
    let publisher = trial.publishers[suspect.publisher.index()].client;
    let is_over_tcp = |client: ClientIndex| trial.clients[client.index()].over_tcp;
    let (blame, reason) = if stream_order.is_late(message, Passage::Came) {
        // A connection keeps the order, so it was sent so on the one on which it came.
        let again = if stream_order.is_late(message, Passage::Sent) { "" } else { " again" };
        let who = trial.client_name(publisher);
        let reason = format!("{who} sent it{again} after a later message");
        (is_over_tcp(publisher).then_some(Blame::Publisher)?, reason)
    } else {
        let is_ordered =
            !stream_order.is_forwarded_late(message, subscriber) && is_over_tcp(subscriber);
        let who = trial.client_name(subscriber);
        let (blame, reason) = if stream_order.came_late_to(message, subscriber) {
            (Blame::Broker, "broker sent it again after a later message".to_owned())
        } else {
            let reason = format!("{who} handed it to its application after a later message");
            (Blame::Subscriber, reason)
        };
        (is_ordered.then_some(blame)?, reason)
    };
    Some(BlameDecision { blame, rule: None, reason })
}

fn broken_rule(input: &BlameInput<'_>) -> Option<BlameDecision> {
    let BlameInput {
        trial: roster, evidence: case, suspect: offender, event_log: chronicle, ..
    } = *input;
    let published = case.published.map_or(Time::ZERO, |(_, at)| at);
    // The standard does not say that PUBRELs come again in order, nor that what comes again comes
    // before what is new, but messages come out of order if they do not.
    let is_cause = |rule: Rule| match rule {
        Rule::ReleaseResentOutOfOrder | Rule::NewBeforeResend => {
            offender.breach == Breach::Reordered
        }
        _ => rule.strength() != Strength::Should,
    };
    // The store is to blame for all that a node does because its store forgot the message.
    let is_at_fault = |broken: &RuleViolation| {
        let state_lost = chronicle.state_lost_since(roster, broken.node, published);
        is_cause(broken.rule) && state_lost.is_none_or(|at| at > broken.at)
    };
    let broken = case.first_violation(offender.subscriber, is_at_fault)?;
    let (blame, name) = match (broken.node, broken.hop) {
        (Node::Broker, _) => (Blame::Broker, "broker"),
        (Node::Client(client), Hop::First) => (Blame::Publisher, roster.client_name(client)),
        (Node::Client(client), Hop::Second) => (Blame::Subscriber, roster.client_name(client)),
    };
    let version = roster.clients[broken.link.index()].version;
    let strength = broken.rule.strength();
    let rule = broken.rule.id(version, broken.node).map(|id| CitedRule { id, strength });
    let because = format!("{name} {} at {}", broken.rule.violation_phrase(), broken.at);
    Some(BlameDecision { blame, rule, reason: because })
}

/// An endpoint let go of the message, and the reason that it gave is none.
fn refuted_claim(input: &BlameInput<'_>) -> Option<BlameDecision> {
    let BlameInput { trial, evidence, suspect, .. } = *input;
    let claim = input.refuted_claim?;
    if !matches!(suspect.breach, Breach::Lost | Breach::Stuck) {
        return None;
    }
    let publisher = trial.publishers[suspect.publisher.index()].client;
    let broker = (Blame::Broker, "broker");
    let ((blame, who), refused_by, link, hop) = if let Some(client) = suspect.subscriber {
        (broker, (Blame::Subscriber, trial.client_name(client)), client, Hop::Second)
    } else {
        ((Blame::Publisher, trial.client_name(publisher)), broker, publisher, Hop::First)
    };
    let refusal = evidence.refusals.iter().find(|it| (it.0, it.1) == (link, hop));
    if let (DropReason::Rejected, Some((_, _, code))) = (claim.why, refusal) {
        let (blame, who) = refused_by;
        let reason = format!(
            "{who} refused it with reason code 0x{code:02X}, which neither the scenario nor a full \
             queue gives it cause for"
        );
        return Some(BlameDecision { blame, rule: None, reason });
    }
    // The broker adds what it takes over to the state of each session that subscribes.
    let rule = (blame == Blame::Broker).then_some(CitedRule::must("MQTT-4.5.0-1"));
    let reason = format!("{who} let go of it at {}, {}", claim.at, refutation_text(claim));
    Some(BlameDecision { blame, rule, reason })
}

const fn refutation_text(claim: RefutedClaim) -> &'static str {
    match claim.why {
        DropReason::Expired if claim.was_held_back => {
            "once it had expired: nothing had kept it from sending it before"
        }
        DropReason::Expired => "as expired, and it had not expired",
        DropReason::QueueFull => "for a full queue, and the queue had room",
        DropReason::TooLarge => "as too large, and its receiver takes packets of that size",
        DropReason::Rejected => "as refused, and nobody had refused it in a way that MQTT knows",
        DropReason::GaveUp => "before it had sent it as often as it is set to",
        DropReason::SessionEnded => "with a session that had not ended",
        DropReason::Offline | DropReason::SocketFull => {
            "without a connection or room in its socket, for which it has to wait"
        }
    }
}

/// A copy that a full queue dropped would have come but for the queue, regardless of what the
/// network did to its other packets.
fn full_queue(
    trial: &TrialFacts,
    evidence: &Evidence,
    suspect: &SuspectedViolation,
) -> Option<BlameDecision> {
    let dropped = suspect.breach == Breach::Lost
        && evidence.was_dropped(suspect.subscriber, DropReason::QueueFull);
    let not_refused = suspect.subscriber.is_some_and(|it| evidence.not_refused.contains(&it));
    if dropped && not_refused && trial.broker_refuses_on_full {
        // It is set to refuse such a message, and took it over all the same.
        let because = "broker acknowledged it and dropped it because a queue was full".to_owned();
        return Some(BlameDecision {
            blame: Blame::Broker,
            rule: Some(CitedRule::must("MQTT-4.5.0-1")),
            reason: because,
        });
    }
    dropped.then(|| BlameDecision {
        blame: Blame::Configuration,
        rule: None,
        reason: "a full queue dropped it: max_queued is too small for this load".to_owned(),
    })
}

/// A QoS 2 message that its receiver took for another was not passed on, regardless of what the
/// network did to its own packets. Senders that keep the rules free an id early for two reasons
/// only: they gave up, or an acknowledgement came that belonged to an older message of the same id.
fn id_collision(
    trial: &TrialFacts,
    evidence: &Evidence,
    suspect: &SuspectedViolation,
) -> Option<BlameDecision> {
    let concerns = |it: &IdCollision| it.hop == Hop::First || Some(it.link) == suspect.subscriber;
    let collision =
        evidence.id_collision.filter(concerns).filter(|_| suspect.breach == Breach::Lost)?;
    let (stream, sequence) = collision.other_message;
    let other = format!("{} #{sequence}", trial.publishers[stream.index()].name);
    let id = collision.id;
    let (blame, why) = match collision.release_cause {
        IdReleaseCause::GivenUp => {
            (Blame::Configuration, "the sender had given that one up after the set transmissions")
        }
        IdReleaseCause::Forgotten => {
            (Blame::Configuration, "the sender's store had forgotten that one in a crash")
        }
        // A byte stream brings no acknowledgement late or twice.
        IdReleaseCause::Acknowledged if trial.clients[collision.link.index()].over_tcp => {
            return None;
        }
        IdReleaseCause::Acknowledged => (
            Blame::Network,
            "a late or repeated acknowledgement had freed the id at the sender only",
        ),
    };
    let because = format!("its packet id {id} was still held for {other}: {why}");
    Some(BlameDecision { blame, rule: None, reason: because })
}

/// A store that forgets is no excuse, and no endpoint's fault either: it is set to be so.
fn lost_state(input: &BlameInput<'_>) -> Option<BlameDecision> {
    let BlameInput {
        trial: roster, evidence: case, suspect: offender, event_log: chronicle, ..
    } = *input;
    let publisher = Node::Client(roster.publishers[offender.publisher.index()].client);
    let published = case.published.map_or(Time::ZERO, |(_, at)| at);
    let subscriber = offender.subscriber.map(Node::Client);
    let deliveries = offender.subscriber.and_then(|client| case.deliveries.get(&client));
    // What an acknowledged message was lost by is not its publisher.
    let publisher = (offender.breach != Breach::Lost).then_some(publisher);
    let nodes = [Some(Node::Broker), publisher, subscriber].into_iter().flatten();
    // A client that forgot its session sends it away later, and with it what came meanwhile.
    let session_discarded = offender.breach == Breach::Lost
        && case.was_dropped(offender.subscriber, DropReason::SessionEnded);
    let crashes = nodes.filter_map(|node| {
        let since =
            if session_discarded && Some(node) == subscriber { Time::ZERO } else { published };
        Some((chronicle.state_lost_at(roster, node, since)?, node))
    });
    let in_time = |(at, _): &(Time, Node)| {
        offender.breach != Breach::Duplicated || deliveries.is_some_and(|got| *at <= got.last)
    };
    let (_, node) = crashes.filter(in_time).min_by_key(|(at, _)| *at)?;
    let who = match node {
        Node::Broker => "the broker",
        Node::Client(client) => roster.client_name(client),
    };
    let store = match roster.store_policy(node) {
        StorePolicy::Durable => return None,
        StorePolicy::Volatile => "\"volatile\"".to_owned(),
        StorePolicy::Snapshot(every) => {
            format!("{{ snapshot = \"{}\" }}", format_span(every).replace(' ', ""))
        }
    };
    let because = format!("{who}'s store forgets in a crash: store = {store}");
    Some(BlameDecision { blame: Blame::Configuration, rule: None, reason: because })
}

fn network_damage(
    trial: &TrialFacts,
    evidence: &Evidence,
    suspect: &SuspectedViolation,
) -> Option<BlameDecision> {
    let publisher = trial.publishers[suspect.publisher.index()].client;
    // A byte stream loses nothing but with its connection, and resuming makes good for that, but
    // for QoS 0.
    let is_unprotected = evidence.published.is_some_and(|(qos, _)| qos == QoS::AtMostOnce);
    let counts = |link: ClientIndex| is_unprotected || !trial.clients[link.index()].over_tcp;
    let damage = evidence.damage_on_path(publisher, suspect.subscriber, counts);
    damage.has_any().then(|| {
        let because = stale_ack(trial, evidence, suspect, damage).unwrap_or_else(|| {
            format!(
                "{}, and the network {} of its packets",
                rules_kept_text(trial, suspect),
                describe_damage(damage)
            )
        });
        BlameDecision { blame: Blame::Network, rule: None, reason: because }
    })
}

/// A sender stopped too early: what it took for this message's acknowledgement was another's.
fn stale_ack(
    trial: &TrialFacts,
    evidence: &Evidence,
    suspect: &SuspectedViolation,
    damage: NetworkDamage,
) -> Option<String> {
    let concerns = |it: &StaleAck| it.hop == Hop::First || Some(it.link) == suspect.subscriber;
    let StaleAck { kind, other_message: (stream, sequence), .. } =
        evidence.stale_ack.filter(concerns)?;
    let stream = &trial.publishers[stream.index()].name;
    (suspect.breach == Breach::Lost && damage.lost + damage.discarded > 0).then(|| {
        format!(
            "its PUBLISH was lost, and a late {} of {stream} #{sequence} with the same packet id \
             was taken for its own",
            kind.label(),
        )
    })
}

/// MQTT 5.0 allows resends only on a new connection, and a datagram link cannot do without them.
fn rules_kept_text(trial: &TrialFacts, suspect: &SuspectedViolation) -> &'static str {
    let publisher = trial.publishers[suspect.publisher.index()].client;
    let forbids = |client: ClientIndex| trial.clients[client.index()].version == Version::V5;
    let by_publisher = trial.clients[publisher.index()].resends_by_timer && forbids(publisher);
    let by_broker = trial.broker_resends_by_timer && suspect.subscriber.is_some_and(forbids);
    if by_publisher || by_broker {
        "every endpoint kept the rules, but for the retry timer that the scenario sets, which MQTT \
         5.0 forbids [MQTT-4.4.0-1]"
    } else {
        "every endpoint kept the rules"
    }
}

fn configured_limit(
    trial: &TrialFacts,
    evidence: &Evidence,
    suspect: &SuspectedViolation,
    session_endings: &SessionEndings,
) -> Option<BlameDecision> {
    let publisher = trial.publishers[suspect.publisher.index()].client;
    let published = evidence.published.map_or(Time::ZERO, |(_, at)| at);
    let ended = |client: ClientIndex| {
        trial.clients[client.index()].clean_session
            && session_endings.has_ended_since(client, published)
    };
    let because = if evidence.was_dropped(suspect.subscriber, DropReason::QueueFull) {
        "a full queue dropped it"
    } else if evidence.was_dropped(suspect.subscriber, DropReason::GaveUp) {
        "its sender gave it up after the set number of transmissions"
    } else if evidence.was_dropped(suspect.subscriber, DropReason::Offline) {
        "its receiver was not connected, and such messages are set not to wait"
    } else if evidence.was_dropped(suspect.subscriber, DropReason::SocketFull) {
        "the socket had no room for it while the connection lasted"
    } else if ended(publisher) || suspect.subscriber.is_some_and(ended) {
        "a session is set to end with its connection, and did"
    } else {
        return None;
    };
    let because = because.to_owned();
    Some(BlameDecision { blame: Blame::Configuration, rule: None, reason: because })
}

/// A connection died silently, and nothing was set to detect it: an end believed in it until it was
/// too late for the message.
fn unnoticed_dead_connection(input: &BlameInput<'_>) -> Option<BlameDecision> {
    let BlameInput {
        trial: roster, evidence: case, suspect: offender, event_log: chronicle, ..
    } = *input;
    let publisher = roster.publishers[offender.publisher.index()].client;
    let published = case.published.map_or(Time::ZERO, |(_, at)| at);
    let deadline = action_deadline(offender, chronicle)?;
    let missed_death = |client: &ClientIndex| {
        let has_keep_alive = roster.clients[client.index()].keep_alive;
        !has_keep_alive && chronicle.was_death_unnoticed(*client, published, deadline)
    };
    let mut links = [Some(publisher), offender.subscriber].into_iter().flatten();
    let client = links.find(missed_death)?;
    let because = format!(
        "a connection of {} died silently and it has no keep alive by which to notice",
        roster.client_name(client),
    );
    Some(BlameDecision { blame: Blame::Configuration, rule: None, reason: because })
}

/// On a byte stream, and where nothing happened to datagrams, every message gets through if both
/// ends do their part: the endpoint that had it last and did not send it on, or again, is to blame.
fn missing_action(input: &BlameInput<'_>) -> Option<BlameDecision> {
    let BlameInput {
        trial: roster, evidence: case, suspect: offender, event_log: chronicle, ..
    } = *input;
    if offender.provisional {
        // It might still have come.
        return None;
    }
    let publisher = roster.publishers[offender.publisher.index()].client;
    let deadline = action_deadline(offender, chronicle)?;
    // Where the first hop was not done by then, that came first.
    let stuck_on_first_hop =
        case.completed_at.is_none_or(|at| at >= deadline) && offender.breach != Breach::Lost;
    let (client, hop) = match offender.subscriber {
        Some(subscriber) if !stuck_on_first_hop => (subscriber, Hop::Second),
        _ => (publisher, Hop::First),
    };
    let (blame, who) = match hop {
        Hop::First => (Blame::Publisher, roster.client_name(client)),
        Hop::Second => (Blame::Broker, "broker"),
    };
    if hop == Hop::Second && case.forward_causes == 0 {
        let who = roster.client_name(publisher);
        let because = format!("{who} took it as done before broker had to pass it on");
        return Some(BlameDecision { blame: Blame::Publisher, rule: None, reason: because });
    }
    let second_hop = offender.subscriber.and_then(|it| case.second_hops.get(&it));
    if hop == Hop::Second && second_hop.is_some_and(|it| it.released_by_wrong_id) {
        let held_by = roster.client_name(client);
        let because = format!("{who} released it by a packet id that {held_by} did not hold");
        return Some(BlameDecision { blame, rule: None, reason: because });
    }
    let over_tcp = roster.clients[client.index()].over_tcp;
    let by_timer = match hop {
        Hop::First => roster.clients[client.index()].resends_by_timer,
        Hop::Second => roster.broker_resends_by_timer,
    };
    if !over_tcp && !by_timer {
        return None;
    }
    let connack_at = match hop {
        Hop::First => chronicle.connack_received_before(client, deadline),
        Hop::Second => chronicle.connack_sent_before(client, deadline),
    };
    let (rule, because) = match (case.last_sent(client, hop, deadline), connack_at) {
        (Some(_), _) if case.was_dropped(offender.subscriber, DropReason::Expired) => {
            ("MQTT-4.3.3-7", format!("{who} let it expire though it had begun to send it"))
        }
        (None, _) if offender.breach == Breach::Stalled => {
            let because = format!("{who} held it back until everybody reconnected");
            return Some(BlameDecision { blame, rule: None, reason: because });
        }
        (None, _) => {
            let because = format!("{who} never sent it");
            return Some(BlameDecision { blame, rule: None, reason: because });
        }
        (Some(sent), Some(welcome)) if sent < welcome => {
            ("MQTT-4.4.0-1", format!("{who} did not send it again on the connection of {welcome}"))
        }
        (Some(sent), _) if !over_tcp => {
            let because = format!("{who} did not send it again after {sent}, as it is set to");
            return Some(BlameDecision { blame, rule: None, reason: because });
        }
        _ => return None,
    };
    Some(BlameDecision { blame, rule: Some(CitedRule::must(rule)), reason: because })
}

/// When it was too late for what was not done; `None` where too many things were not done.
fn action_deadline(suspect: &SuspectedViolation, event_log: &EventLog) -> Option<Time> {
    match suspect.breach {
        Breach::Stalled => event_log.reconnect_drain_at(),
        Breach::Lost | Breach::Stuck => Some(Time::NEVER),
        Breach::Duplicated | Breach::Unexpected | Breach::Reordered => None,
    }
}

/// `lost 2 and reordered 1`.
fn describe_damage(damage: NetworkDamage) -> String {
    let parts = [
        ("lost", damage.lost + damage.discarded),
        ("duplicated", damage.duplicated),
        ("reordered", damage.reordered),
    ];
    let parts: Vec<String> = parts
        .iter()
        .filter(|(_, count)| *count > 0)
        .map(|(word, count)| format!("{word} {count}"))
        .collect();
    parts.join(" and ")
}
