//! Checks of needs: whether there is what they bound, and whether they can be met together.

use super::diagnostic::{Diagnostics, nearest_name};
use super::expect::{Bound, Metric, Need};
use super::nodes::ExpandedNodes;
use super::problem::Problem;
use super::satisfiable;
use super::subscribers::without_share_name;
use super::value::{Located, QosSetting};
use qoslab_core::base::{QoS, matches_pattern};
use qoslab_core::mqtt::topics::matches;
use qoslab_sim::Setup;

/// The most names that are listed where none is near.
const MAX_LISTED: usize = 8;

/// Reads needs and checks each by itself and beside those before it.
pub(super) fn read_needs(
    given: &[Located<String>],
    nodes: &ExpandedNodes,
    setups: &[&Setup],
    errors: &mut Diagnostics,
) -> Vec<Need> {
    let mut needs: Vec<Need> = Vec::with_capacity(given.len());
    for need in given {
        match Need::parse(&need.value) {
            Ok(read) => {
                check_need(&read, need, nodes, errors);
                if let Err(problem) = check_scope(&read, setups) {
                    errors.error(&need.span, problem.message, problem.label).help(problem.help);
                }
                check_satisfiable(&read, &needs, need, errors);
                needs.push(read);
            }
            Err(problem) => {
                errors
                    .error(&need.span, format!("the need {}", problem.message), problem.label)
                    .help(problem.help);
            }
        }
    }
    needs
}

/// Whether the clients and topics that a need names exist, and have messages.
///
/// # Errors
/// Says which do not, and which name is the nearest.
pub(super) fn check_scope(need: &Need, setups: &[&Setup]) -> Result<(), Problem> {
    let Some(setup) = setups.first().filter(|_| !need.scope.is_everything()) else { return Ok(()) };
    if let Some(pattern) = &need.scope.client
        && !setup.clients.iter().any(|client| matches_pattern(pattern, &client.name))
    {
        let names: Vec<&str> = setup.clients.iter().map(|client| &*client.name).collect();
        let title = format!("there is no client `{pattern}`");
        return Err(Problem::new(title, "so this need can never be judged")
            .help(suggestion(pattern, &names)));
    }
    if let Some(filter) = &need.scope.topic
        && !setup.publishers.iter().any(|stream| matches(filter, &stream.topic))
    {
        let topics: Vec<&str> = setup.publishers.iter().map(|stream| &*stream.topic).collect();
        let title = format!("nobody publishes to `{filter}`");
        return Err(Problem::new(title, "so this need can never be judged")
            .help(suggestion(filter, &topics)));
    }
    if !setups.iter().any(|setup| has_messages(need, setup)) {
        let title = format!("`{}` has no messages", need.scope);
        return Err(Problem::new(title, "so this need can never be judged")
            .help("the client publishes nothing there, and subscribes to nothing of it"));
    }
    Ok(())
}

/// The nearest name, or all if they are few.
fn suggestion(name: &str, known: &[&str]) -> String {
    let mut listed = known.to_vec();
    listed.sort_unstable();
    listed.dedup();
    match nearest_name(name, &listed) {
        Some(one) => format!("did you mean `{one}`?"),
        None if listed.len() > MAX_LISTED => {
            format!("known here: {} and more", listed[..MAX_LISTED].join(", "))
        }
        None => format!("known here: {}", listed.join(", ")),
    }
}

/// Whether a message is published within the need's scope, by its clients or for them.
fn has_messages(need: &Need, setup: &Setup) -> bool {
    let is_client = |name: &str| {
        need.scope.client.as_ref().is_none_or(|pattern| matches_pattern(pattern, name))
    };
    let is_subscribed = |topic: &str| {
        setup.clients.iter().filter(|client| is_client(&client.name)).any(|client| {
            let filters = client.subscriptions.iter().map(|it| &*it.request.filter);
            filters.map(without_share_name).any(|filter| matches(filter, topic))
        })
    };
    setup.publishers.iter().any(|stream| {
        let filter = need.scope.topic.as_ref();
        filter.is_none_or(|filter| matches(filter, &stream.topic))
            && (is_client(&setup.clients[stream.client.index()].name)
                || is_subscribed(&stream.topic))
    })
}

fn check_satisfiable(
    need: &Need,
    before: &[Need],
    given: &Located<String>,
    errors: &mut Diagnostics,
) {
    if !satisfiable::can_be_met(need) {
        let label = "there is no such value";
        errors.error(&given.span, "the need can never be met", label);
    }
    if let Some(other) = before.iter().find(|other| satisfiable::contradict(need, other)) {
        let label = format!("no value meets `{}` too", other.text);
        errors.error(&given.span, "two needs contradict each other", label);
    }
}

fn check_need(
    need: &Need,
    given: &Located<String>,
    nodes: &ExpandedNodes,
    errors: &mut Diagnostics,
) {
    let has = |qos: QoS| {
        nodes.published_qos.iter().any(|levels| match levels {
            QosSetting::Fixed(one) => *one == qos,
            QosSetting::Axis(list) => list.contains(&qos),
        })
    };
    let other = match need.bound {
        Bound::TimesOther(_, qos) => Some(qos),
        _ => None,
    };
    for qos in [need.qos, other].into_iter().flatten().filter(|qos| !has(*qos)) {
        let title = format!("no trial publishes with QoS {qos}");
        errors.error(&given.span, title, "so this need can never be judged");
    }
    check_radios(need, given, nodes, errors);
}

/// Energy is known only of radios, and how long a battery lasts only where there is one.
fn check_radios(
    need: &Need,
    given: &Located<String>,
    nodes: &ExpandedNodes,
    errors: &mut Diagnostics,
) {
    let mut radios = nodes.clients.iter().filter_map(|client| client.radio.as_ref()).peekable();
    if need.metric.is_of_radios() && radios.peek().is_none() {
        errors
            .error(&given.span, "no client has a radio", "so its energy is not known")
            .help("add `radio = \"nb-iot\"` or another to a client: docs/radio.md");
    } else if need.metric == Metric::Battery && radios.all(|radio| radio.battery_uj.is_none()) {
        errors
            .error(&given.span, "no radio has a battery", "so nothing can run down")
            .help("write it as in `radio = { preset = \"nb-iot\", battery = \"5400mWh\" }`");
    }
}
