//! Findings: the full report of one broken promise.

use super::blame::BlameDecision;
use super::event_log::EventLog;
use super::evidence::{Evidence, SecondHop};
use super::first_pass::SuspectedViolation;
use super::message_history;
use super::monitor::RuleViolation;
use super::rules::{Rule, Strength};
use super::trial_facts::TrialFacts;
use super::verdict::{Breach, Finding, Violation};
use qoslab_core::base::{Hop, Node, Time};

/// One broken promise in full.
pub(super) fn build_finding(
    trial: &TrialFacts,
    evidence: &Evidence,
    suspect: &SuspectedViolation,
    decision: BlameDecision,
    event_log: &EventLog,
) -> Finding {
    let publisher = &trial.publishers[suspect.publisher.index()];
    let (qos, at) = evidence.published.unwrap_or((publisher.qos, Time::ZERO));
    let deliveries = suspect.subscriber.and_then(|client| evidence.deliveries.get(&client));
    let SuspectedViolation { promise, breach, .. } = *suspect;
    Finding {
        violation: Violation { promise, breach, blame: decision.blame },
        rule: decision.rule.map(|rule| rule.id),
        strength: decision.rule.map_or(Strength::Promise, |rule| rule.strength),
        reason: decision.reason,
        publisher: suspect.publisher,
        sequence: suspect.sequence,
        qos,
        subscriber: suspect.subscriber,
        published: at,
        deliveries: deliveries.map(|it| it.times.clone()).unwrap_or_default(),
        copies: deliveries.map_or(0, |it| it.copies),
        history: message_history::history_lines(
            trial,
            evidence,
            publisher.client,
            suspect.subscriber,
            event_log,
        ),
    }
}

/// An endpoint's omission of a required act is seen only at the end.
///
/// What a node's store forgot in a crash does not count as such an omission.
pub(super) fn add_missing_action(
    trial: &TrialFacts,
    evidence: &mut Evidence,
    suspect: &SuspectedViolation,
    event_log: &EventLog,
) {
    let (Some(link), Breach::Lost) = (suspect.subscriber, suspect.breach) else {
        return;
    };
    let second_hop = evidence.second_hops.get(&link).copied().unwrap_or_default();
    let dropped = evidence.dropped.iter().any(|(client, _)| *client == Some(link));
    let ignored = second_hop.sent == 0 && !second_hop.sent_retained && !dropped;
    let published = evidence.published.map_or(Time::ZERO, |(_, at)| at);
    let has_lost_state = [Node::Broker, Node::Client(link)]
        .into_iter()
        .any(|node| event_log.state_lost_at(trial, node, published).is_some());
    let (at, node, rule) = match (evidence.broker_acknowledged_at, second_hop.acknowledged) {
        // Of a live and a retained copy, one may have come.
        (_, Some(at)) if second_hop.received_as_new && !evidence.deliveries.contains_key(&link) => {
            (at, Node::Client(link), Rule::NeverDelivered)
        }
        _ if is_retained_copy_missing(&second_hop) && !suspect.provisional && !has_lost_state => {
            let at = second_hop.retained_owed_at.unwrap_or(published);
            (at, Node::Broker, Rule::RetainedNotSent)
        }
        // A broker that was stopped early might still have sent it.
        (Some(at), _) if ignored && !suspect.provisional && !has_lost_state => {
            (at, Node::Broker, Rule::NeverForwarded)
        }
        _ => return,
    };
    let message = Some((suspect.publisher, suspect.sequence));
    let hop = Hop::Second;
    evidence.rule_violations.push(RuleViolation {
        at,
        node,
        link,
        hop,
        rule,
        message,
        other_message: None,
    });
}

/// Whether a SUBSCRIBE was owed the message as a retained one, and it was not sent so.
const fn is_retained_copy_missing(second_hop: &SecondHop) -> bool {
    let SecondHop { sent_retained, dropped_retained, .. } = *second_hop;
    second_hop.retained_owed_at.is_some() && !sent_retained && !dropped_retained
}

/// Notes that the broker sent its best copy below what was granted. It may send one copy a filter,
/// each at its filter's QoS.
pub(super) fn add_below_granted(
    trial: &TrialFacts,
    evidence: &mut Evidence,
    suspect: &SuspectedViolation,
    event_log: &EventLog,
) {
    let Some(link) = suspect.subscriber else { return };
    let Some(SecondHop { highest_sent: Some((best, at)), lowest_granted: Some(least), .. }) =
        evidence.second_hops.get(&link).copied()
    else {
        return;
    };
    let Some((published, since)) = evidence.published else { return };
    if best < least.min(published) && event_log.state_lost_at(trial, Node::Broker, since).is_none()
    {
        let (node, hop, rule) = (Node::Broker, Hop::Second, Rule::BelowGranted);
        let message = Some((suspect.publisher, suspect.sequence));
        evidence.rule_violations.push(RuleViolation {
            at,
            node,
            link,
            hop,
            rule,
            message,
            other_message: None,
        });
    }
}
