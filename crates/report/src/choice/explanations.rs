//! Requirements that no QoS can meet, and the rules behind the numbers, where the scenario and its
//! needs concern them.

use crate::describe;
use qoslab_core::base::{Node, QoS};
use qoslab_core::mqtt::{RetryRule, StorePolicy};
use qoslab_core::network::{DirectionSettings, LinkSettings, LossModel, Transport};
use qoslab_sim::{ClientSetup, FaultAction, Setup};
use qoslab_study::Study;
use qoslab_study::choose::Choice;
use qoslab_study::scenario::{Metric, Need};

/// The maximum number of sentences; more would not be read.
const MAX_EXPLANATIONS: usize = 2;

/// The sentences that apply to the scenario's facts, the most important first.
pub(super) fn explanations(study: &Study, choice: &Choice) -> Vec<String> {
    let at = &choice.options[choice.best.unwrap_or(0)];
    let result = &study.cells[at.cell].result;
    let setup = &*result.scenario.points[result.points[at.point].index].setup;
    let facts = ScenarioFacts {
        setup,
        best: choice.best.map(|best| choice.options[best].qos),
        is_loss_limited: any_need_about(&choice.needs, |it| {
            matches!(it, Metric::Delivered | Metric::Lost | Metric::Stuck)
        }),
        is_duplication_limited: any_need_about(&choice.needs, |it| {
            matches!(it, Metric::Duplicated | Metric::Copies)
        }),
    };
    let all: [fn(&ScenarioFacts) -> Option<String>; 7] = [
        broker_without_durable_store,
        away_with_clean_session,
        qos_downgraded,
        application_side_effects,
        acknowledged_per_hop,
        loss_over_tcp,
        retry_rule,
    ];
    all.iter().filter_map(|lesson| lesson(&facts)).take(MAX_EXPLANATIONS).collect()
}

fn any_need_about(needs: &[Need], is_about: fn(Metric) -> bool) -> bool {
    needs.iter().any(|need| is_about(need.metric))
}

/// The facts from which the sentences are made.
struct ScenarioFacts<'a> {
    setup: &'a Setup,
    best: Option<QoS>,
    /// Whether a need is about what is lost.
    is_loss_limited: bool,
    /// Whether a need is about what comes more than once.
    is_duplication_limited: bool,
}

impl ScenarioFacts<'_> {
    fn subscribers(&self) -> impl Iterator<Item = &ClientSetup> {
        self.setup.clients.iter().filter(|client| !client.subscriptions.is_empty())
    }

    fn has_crash(&self, who: Node) -> bool {
        let is_crash = |action: &FaultAction| match action {
            FaultAction::Crash { node, .. } => *node == who,
            _ => false,
        };
        self.setup.faults.iter().any(|fault| is_crash(&fault.action))
    }
}

fn broker_without_durable_store(facts: &ScenarioFacts<'_>) -> Option<String> {
    let keeps = match facts.setup.broker_store {
        StorePolicy::Durable => return None,
        StorePolicy::Snapshot(every) => format!("only what was written every {every}"),
        StorePolicy::Volatile => "nothing".to_owned(),
    };
    facts.has_crash(Node::Broker).then(|| {
        format!(
            "No QoS survives a broker that forgets: this one keeps {keeps} through its crash, and \
             what it has acknowledged is sent by nobody again. Give it a durable store."
        )
    })
}

fn away_with_clean_session(facts: &ScenarioFacts<'_>) -> Option<String> {
    let setup = facts.setup;
    let is_away = |client: &&ClientSetup| {
        let place = setup.clients.iter().position(|it| it.name == client.name);
        let own = |action: &FaultAction| match action {
            FaultAction::Cut { client, .. }
            | FaultAction::HalfOpen { client, .. }
            | FaultAction::Outage { client, .. }
            | FaultAction::Crash { node: Node::Client(client), .. } => {
                Some(client.index()) == place
            }
            FaultAction::Packet(_) | FaultAction::Impair { .. } | FaultAction::Crash { .. } => {
                false
            }
        };
        !client.offline_periods.is_empty()
            || client.link.outage.is_some()
            || setup.faults.iter().any(|fault| own(&fault.action))
    };
    let client = facts.subscribers().find(|it| it.settings.clean && is_away(it))?;
    facts.is_loss_limited.then(|| {
        format!(
            "While `{}` is away nothing waits for it at any QoS: its session is clean and ends \
             with the connection. Make it persistent.",
            client.name
        )
    })
}

fn qos_downgraded(facts: &ScenarioFacts<'_>) -> Option<String> {
    let best = facts.best?;
    let all = facts
        .subscribers()
        .flat_map(|client| client.subscriptions.iter().map(move |it| (client, it.request.qos)));
    let granted = all.map(|(client, asked)| (client, asked.min(facts.setup.broker.max_qos)));
    let (client, granted) = granted.min_by_key(|(_, granted)| *granted)?;
    (granted < best).then(|| {
        format!(
            "Published at QoS {best}, it comes to `{}` at QoS {granted}: a message is received \
             with the lower of the published and the granted QoS.",
            client.name
        )
    })
}

fn application_side_effects(facts: &ScenarioFacts<'_>) -> Option<String> {
    let is_exact = facts.is_duplication_limited && facts.best == Some(QoS::ExactlyOnce);
    is_exact.then(|| {
        "QoS 2 hands each message to the client once; it does not see what the application does \
         with it. One that crashes after it acted and before it noted so acts twice: note the \
         message with its effect, in one transaction."
            .to_owned()
    })
}

fn acknowledged_per_hop(facts: &ScenarioFacts<'_>) -> Option<String> {
    let acknowledged = facts.best.is_some_and(|best| best > QoS::AtMostOnce);
    let second = facts.subscribers().find(|client| {
        !client.offline_periods.is_empty() || client.link.outage.is_some() || has_loss(&client.link)
    })?;
    let answer = if facts.best == Some(QoS::ExactlyOnce) { "PUBCOMP" } else { "PUBACK" };
    (acknowledged && facts.is_loss_limited).then(|| {
        format!(
            "Each hop has its own handshake: {answer} tells the publisher that the broker has the \
             message, and nothing of `{}`, which may still wait for it.",
            second.name
        )
    })
}

fn loss_over_tcp(facts: &ScenarioFacts<'_>) -> Option<String> {
    let mut clients = facts.setup.clients.iter();
    let client = clients.find(|client| {
        matches!(client.link.transport, Transport::Tcp(_)) && has_loss(&client.link)
    })?;
    let again = match (facts.best, facts.setup.broker.hop.retry) {
        (Some(QoS::AtLeastOnce | QoS::ExactlyOnce), RetryRule::Reconnect) => {
            ", after which what is unacknowledged is sent again"
        }
        _ => "",
    };
    facts.is_loss_limited.then(|| {
        format!(
            "Over tcp the loss on the link of `{}` costs time and no message: only a connection \
             that ends loses any{again}.",
            client.name
        )
    })
}

fn retry_rule(facts: &ScenarioFacts<'_>) -> Option<String> {
    let mut clients = facts.setup.clients.iter();
    let is_lossy = clients.any(|client| {
        matches!(client.link.transport, Transport::Datagram { .. }) && has_loss(&client.link)
    });
    let best = facts.best.filter(|best| *best > QoS::AtMostOnce && is_lossy)?;
    let twice = match best {
        QoS::AtLeastOnce => ", and where only the PUBACK was lost the message comes twice",
        QoS::AtMostOnce | QoS::ExactlyOnce => "",
    };
    Some(format!(
        "Retry rule: {}. What was lost is sent again by it, so such a message is late{twice}.",
        describe::retry(facts.setup)
    ))
}

fn has_loss(link: &LinkSettings) -> bool {
    let lossy = |direction: &DirectionSettings| match direction.loss {
        LossModel::Random(chance) => chance.is_possible(),
        LossModel::GilbertElliott { .. } | LossModel::Burst { .. } => true,
    };
    lossy(&link.up) || lossy(&link.down)
}
