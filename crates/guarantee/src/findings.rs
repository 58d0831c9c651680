//! What is said of one broken promise.

use super::blame::Judgement;
use super::chronicle::Chronicle;
use super::evidence::{Case, Onward};
use super::monitor::Break;
use super::roster::Roster;
use super::rules::Rule;
use super::story;
use super::verdict::{Breach, Finding, Violation};
use super::watch::Offender;
use qoslab_core::base::name::{Hop, Node};
use qoslab_core::base::time::Time;

/// One broken promise in full.
pub(super) fn explain(
    roster: &Roster,
    case: &Case,
    offender: &Offender,
    judgement: Judgement,
    chronicle: &Chronicle,
) -> Finding {
    let stream = &roster.streams[offender.stream.index()];
    let (qos, at) = case.published.unwrap_or((stream.qos, Time::ZERO));
    let deliveries = offender.subscriber.and_then(|client| case.deliveries.get(&client));
    let Offender { promise, breach, .. } = *offender;
    Finding {
        violation: Violation { promise, breach, blame: judgement.blame },
        rule: judgement.rule,
        because: judgement.because,
        stream: offender.stream,
        sequence: offender.sequence,
        qos,
        subscriber: offender.subscriber,
        published: at,
        deliveries: deliveries.map(|it| it.times.clone()).unwrap_or_default(),
        copies: deliveries.map_or(0, |it| it.copies),
        story: story::tell(roster, case, stream.client, offender.subscriber, chronicle),
    }
}

/// What an endpoint ought to have done and never did is seen only at the end.
///
/// What a node's store forgot in a crash is no deed that it left undone.
pub(super) fn note_missing_deed(
    roster: &Roster,
    case: &mut Case,
    offender: &Offender,
    chronicle: &Chronicle,
) {
    let (Some(link), Breach::Lost) = (offender.subscriber, offender.breach) else {
        return;
    };
    let onward = case.onward.get(&link).copied().unwrap_or_default();
    let dropped = case.dropped.iter().any(|(client, _)| *client == Some(link));
    let ignored = onward.sent == 0 && !onward.retained && !dropped;
    let published = case.published.map_or(Time::ZERO, |(_, at)| at);
    let forgot = [Node::Broker, Node::Client(link)]
        .into_iter()
        .any(|node| chronicle.forgot(roster, node, published).is_some());
    let (at, node, rule) = match (case.accepted, onward.acknowledged) {
        // Of a live and a retained copy, one may have come.
        (_, Some(at)) if onward.taken && !case.deliveries.contains_key(&link) => {
            (at, Node::Client(link), Rule::NeverDelivered)
        }
        // A broker that was stopped early might still have sent it.
        (Some(at), _) if ignored && !offender.provisional && !forgot => {
            (at, Node::Broker, Rule::NeverForwarded)
        }
        _ => return,
    };
    let message = Some((offender.stream, offender.sequence));
    let hop = Hop::Second;
    case.breaks.push(Break { at, node, link, hop, rule, message, other: None });
}

/// Notes that the broker sent its best copy below what was granted. It may send one copy a filter,
/// each at its filter's QoS.
pub(super) fn note_low_copies(
    roster: &Roster,
    case: &mut Case,
    offender: &Offender,
    chronicle: &Chronicle,
) {
    let Some(link) = offender.subscriber else { return };
    let Some(Onward { best: Some((best, at)), least: Some(least), .. }) =
        case.onward.get(&link).copied()
    else {
        return;
    };
    let Some((published, since)) = case.published else { return };
    if best < least.min(published) && chronicle.forgot(roster, Node::Broker, since).is_none() {
        let (node, hop, rule) = (Node::Broker, Hop::Second, Rule::BelowGranted);
        let message = Some((offender.stream, offender.sequence));
        case.breaks.push(Break { at, node, link, hop, rule, message, other: None });
    }
}
