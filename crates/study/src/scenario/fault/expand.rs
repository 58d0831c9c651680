//! Expansion of the faults of a file to those of a trial: one for each node that they apply to.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use super::action::{self, FaultTarget};
use super::{ActionTable, FaultTable, WhenTable, packet};
use crate::scenario::diagnostic::Diagnostics;
use crate::scenario::file::ScenarioFile;
use crate::scenario::keywords::ActionKeyword;
use crate::scenario::problem::Problem;
use crate::scenario::value::{Located, TextOrTable};
use qoslab_core::base::units::{format_count, format_span};
use qoslab_core::base::{ClientIndex, Direction, Node, Span, matches_pattern};
use qoslab_core::network::IntervalDistribution;
use qoslab_sim::{FaultAction, FaultSetup, PacketTrigger, Setup, Trigger};

/// The most faults of a trial; one line applies to as many nodes as its names fit.
const MAX_FAULTS: usize = 1_000_000;

/// Every fault of the file for the setups of all points, which differ in QoS only.
pub(in crate::scenario) fn expand(
    file: &ScenarioFile,
    setups: &[Setup],
    errors: &mut Diagnostics,
) -> Vec<FaultSetup> {
    let mut all = Vec::new();
    let mut places = Vec::new();
    for given in &file.fault {
        let table = &given.value;
        check_when(given, file.deadline.value.0, errors);
        for (trigger, target) in resolve_targets(given, setups, MAX_FAULTS - all.len(), errors) {
            match action::build_action(&table.action.value, target, &setups[0].clients) {
                Ok(action) => {
                    let name = fault_name(table, target.node, &setups[0]).into();
                    all.push(FaultSetup { name, trigger, action });
                    places.push(&table.action.span);
                }
                // The others of a fleet would be refused for the same.
                Err(problem) => {
                    add_problem(&problem, &table.action.span, errors);
                    break;
                }
            }
        }
    }
    number_duplicates(&mut all);
    // What came may have come to a node that was down, and done nothing.
    if file.schedule.is_none() {
        check_crashes(&all, &places, errors);
    }
    all
}

fn add_problem(problem: &Problem, span: &Range<usize>, errors: &mut Diagnostics) {
    errors
        .error(span, problem.message.as_str(), problem.label.as_str())
        .help(problem.help.as_str());
}

/// Whether it says when, once, and in time.
fn check_when(given: &Located<FaultTable>, deadline: Span, errors: &mut Diagnostics) {
    let table = &given.value;
    let given_triggers = [table.at.is_some(), table.every.is_some(), table.when.is_some()];
    if given_triggers.iter().filter(|said| **said).count() != 1 {
        let label =
            if given_triggers.contains(&true) { "several are said" } else { "none is said" };
        errors.error(&given.span, "a fault comes in one way", label).help(
            "write one of `at = \"4m\"`, `every = \"exp 5m\"` and `when = { packet = \"PUBREC\", \
             nth = 3, to = \"meter-7\" }`",
        );
    }
    let at = table.at.as_ref().map(|at| (at.value.0, &at.span));
    let first = table.every.as_ref().and_then(|every| match every.value.0 {
        IntervalDistribution::Fixed(span) | IntervalDistribution::Uniform(span, _) => {
            Some((span, &every.span))
        }
        IntervalDistribution::Exponential(_) => None,
    });
    for (time, span) in [at, first].into_iter().flatten().filter(|(time, _)| *time >= deadline) {
        let title = format!("this comes after the deadline of {}", format_span(deadline));
        let label = format!("this is {} after the start", format_span(time));
        errors.error(span, title, label).help("raise `deadline`, or let it come earlier");
    }
}

/// When it comes, and the nodes it applies to; empty where that is wrong, or more than there is
/// room for.
fn resolve_targets(
    given: &Located<FaultTable>,
    setups: &[Setup],
    room: usize,
    errors: &mut Diagnostics,
) -> Vec<(Trigger, FaultTarget)> {
    let table = &given.value;
    let trigger = match (&table.at, &table.every, &table.when) {
        (None, None, Some(when)) => return packet_targets(given, when, setups, room, errors),
        (Some(at), None, None) => Trigger::At(at.value.0),
        (None, Some(every), None) => Trigger::Every(every.value.0),
        _ => return Vec::new(),
    };
    let Some(on) = &table.on else {
        errors
            .error(&given.span, "a fault applies to a node or a link", "`on` is needed here")
            .help("write `on = \"broker\"`, or a client's name, with `*` for any letters");
        return Vec::new();
    };
    let nodes = matching_nodes(on, &setups[0], errors);
    if !check_room(given, nodes.len(), room, errors) {
        return Vec::new();
    }
    let target = |node| FaultTarget { node, packet: None };
    nodes.into_iter().map(|node| (trigger.clone(), target(node))).collect()
}

fn packet_targets(
    given: &Located<FaultTable>,
    when: &Located<WhenTable>,
    setups: &[Setup],
    room: usize,
    errors: &mut Diagnostics,
) -> Vec<(Trigger, FaultTarget)> {
    let table = &given.value;
    if when.value.packet.value.contains(" / ") {
        return named_packet_target(given, when, setups, errors);
    }
    let (end, way) = match (&when.value.to, &when.value.from) {
        (Some(to), None) => (to, Direction::Down),
        (None, Some(from)) => (from, Direction::Up),
        _ => {
            errors
                .error(&when.span, "a packet goes one way", "`to` or `from` is needed, not both")
                .help(
                    "write `to` and a client for what the broker sends, `from` for what it is sent",
                );
            return Vec::new();
        }
    };
    if end.value == "broker" {
        errors
            .error(&end.span, "say which client", "the broker has a link to each")
            .help("write `to` and a client for what the broker sends, `from` for what it is sent");
        return Vec::new();
    }
    let kind = match packet::parse_kind(&when.value.packet.value, way) {
        Ok(kind) => kind,
        Err(problem) => {
            add_problem(&problem, &when.value.packet.span, errors);
            return Vec::new();
        }
    };
    let clients = matching_clients(end, &setups[0], errors);
    let possible = |client: &ClientIndex| packet::is_sendable(kind, way, *client, setups);
    if !clients.is_empty() && !clients.iter().any(possible) {
        let problem = packet::never_sent(kind, way, &end.value);
        add_problem(&problem, &when.value.packet.span, errors);
        return Vec::new();
    }
    let Some(on) = crashing_nodes(table, setups, errors) else { return Vec::new() };
    if !check_room(given, clients.len().saturating_mul(on.len().max(1)), room, errors) {
        return Vec::new();
    }
    let nth = when.value.nth.0;
    let trigger = |client| PacketTrigger { client, direction: way, kind, nth };
    let each = clients.into_iter().flat_map(|client| {
        let affected =
            if on.is_empty() { vec![default_node(table, client, way)] } else { on.clone() };
        affected.into_iter().map(move |node| (client, node))
    });
    each.map(|(client, node)| {
        let packet = Some(trigger(client));
        (Trigger::NthPacket(trigger(client)), FaultTarget { node, packet })
    })
    .collect()
}

/// At the one packet of a name.
fn named_packet_target(
    given: &Located<FaultTable>,
    when: &Located<WhenTable>,
    setups: &[Setup],
    errors: &mut Diagnostics,
) -> Vec<(Trigger, FaultTarget)> {
    let WhenTable { packet, nth, to, from } = &when.value;
    if nth.0 != 1 || to.is_some() || from.is_some() {
        errors
            .error(&when.span, "a packet's name says it all", "there is more beside it")
            .help("leave `nth`, `to` and `from` out");
    }
    let name = match setups[0].parse_packet_name(&packet.value) {
        Ok(name) => name,
        Err(wrong) => {
            errors.error(&packet.span, "this names no packet", wrong);
            return Vec::new();
        }
    };
    let Some(on) = crashing_nodes(&given.value, setups, errors) else { return Vec::new() };
    let default = [default_node(&given.value, name.client, name.direction)];
    let affected = if on.is_empty() { &default[..] } else { &on[..] };
    let (client, way, kind) = (name.client, name.direction, name.kind);
    let packet = Some(PacketTrigger { client, direction: way, kind, nth: 1 });
    let target = |node: &Node| FaultTarget { node: *node, packet };
    affected.iter().map(|node| (Trigger::NamedPacket(name), target(node))).collect()
}

/// Whether there is room for that many faults more; if there is none, reports it.
fn check_room(
    given: &Located<FaultTable>,
    count: usize,
    room: usize,
    errors: &mut Diagnostics,
) -> bool {
    if count <= room {
        return true;
    }
    let number = |count: usize| format_count(count as u64);
    let title = format!("a trial has at most {} faults", number(MAX_FAULTS));
    let label = match MAX_FAULTS - room {
        0 => format!("these are {}", number(count)),
        before => format!("these are {}, after {} before them", number(count), number(before)),
    };
    let help = if given.value.when.is_some() && given.value.on.is_some() {
        "`on` applies to each of its nodes at each client's packet: name one client, or leave `on` \
         out"
    } else {
        "name fewer clients, or let a `[swarm]` choose what goes wrong"
    };
    errors.error(&given.span, title, label).help(help);
    false
}

/// The nodes that crash at a packet of some client; empty for its receiver. `None` where that is
/// wrong.
fn crashing_nodes(
    table: &FaultTable,
    setups: &[Setup],
    errors: &mut Diagnostics,
) -> Option<Vec<Node>> {
    let Some(on) = &table.on else { return Some(Vec::new()) };
    if is_crash(table) {
        let nodes = matching_nodes(on, &setups[0], errors);
        return (!nodes.is_empty()).then_some(nodes);
    }
    errors
        .error(&on.span, "at a packet it is known whom a fault applies to", "whose link it is on")
        .help("leave `on` out; only a crash can be another's than the receiver's");
    None
}

const fn is_crash(table: &FaultTable) -> bool {
    matches!(
        table.action.value,
        TextOrTable::Text(ActionKeyword::Crash) | TextOrTable::Table(ActionTable::Crash(_))
    )
}

const fn default_node(table: &FaultTable, client: ClientIndex, direction: Direction) -> Node {
    match direction {
        Direction::Up if is_crash(table) => Node::Broker,
        Direction::Up | Direction::Down => Node::Client(client),
    }
}

fn matching_nodes(on: &Located<String>, setup: &Setup, errors: &mut Diagnostics) -> Vec<Node> {
    if on.value == "broker" {
        return vec![Node::Broker];
    }
    matching_clients(on, setup, errors).into_iter().map(Node::Client).collect()
}

/// The clients whose names fit; if there are none, reports it.
fn matching_clients(
    pattern: &Located<String>,
    setup: &Setup,
    errors: &mut Diagnostics,
) -> Vec<ClientIndex> {
    let numbered = (0..).map(ClientIndex).zip(&setup.clients);
    let fitting = numbered.filter(|(_, client)| matches_pattern(&pattern.value, &client.name));
    let found: Vec<_> = fitting.map(|(index, _)| index).collect();
    if found.is_empty() {
        // More names than these would suggest nothing.
        let names = setup.clients.iter().take(1_000).map(|client| &*client.name);
        let names: Vec<_> = names.chain(["broker"]).collect();
        let title = format!("there is no client `{}`", pattern.value);
        let diagnostic = errors.error(&pattern.span, title, "nobody has such a name");
        if names.len() <= 20 {
            diagnostic.suggest_name(&pattern.value, &names);
        } else if let Some(one) = crate::scenario::diagnostic::nearest_name(&pattern.value, &names)
        {
            diagnostic.help(format!("did you mean `{one}`?"));
        }
    }
    found
}

/// What it does and to whom: stable when other faults come and go.
fn fault_name(table: &FaultTable, node: Node, setup: &Setup) -> String {
    let verb = match &table.action.value {
        TextOrTable::Text(ActionKeyword::Cut) | TextOrTable::Table(ActionTable::Cut(_)) => "cut",
        TextOrTable::Text(ActionKeyword::Drop) => "drop",
        TextOrTable::Text(ActionKeyword::Crash) | TextOrTable::Table(ActionTable::Crash(_)) => {
            "crash"
        }
        TextOrTable::Table(ActionTable::Delay(_)) => "delay",
        TextOrTable::Table(ActionTable::Duplicate(_)) => "duplicate",
        TextOrTable::Table(ActionTable::HalfOpen(_)) => "half-open",
        TextOrTable::Table(ActionTable::Stall(_)) => "stall",
        TextOrTable::Table(ActionTable::Partition(_)) => "partition",
        TextOrTable::Table(ActionTable::Outage(_)) => "outage",
        TextOrTable::Table(ActionTable::Slow(_)) => "slow",
    };
    let whose = match node {
        Node::Broker => "broker",
        Node::Client(client) => &setup.clients[client.index()].name,
    };
    format!("{verb} {whose}")
}

/// Numbers those of one name.
fn number_duplicates(faults: &mut [FaultSetup]) {
    let mut seen: BTreeMap<Arc<str>, u32> = BTreeMap::new();
    for fault in faults {
        let count = seen.entry(fault.name.clone()).or_insert(0);
        *count += 1;
        if *count > 1 {
            fault.name = format!("{}/{count}", fault.name).into();
        }
    }
}

/// A node that is down cannot crash.
fn check_crashes(faults: &[FaultSetup], places: &[&Range<usize>], errors: &mut Diagnostics) {
    let mut crashes: Vec<(Node, Span, Span, &Range<usize>)> = Vec::new();
    for (fault, place) in faults.iter().zip(places) {
        let FaultAction::Crash { node, down, .. } = fault.action else { continue };
        let down = longest_duration(down);
        match fault.trigger {
            Trigger::At(at) => crashes.push((node, at, at + down, place)),
            Trigger::Every(IntervalDistribution::Fixed(every)) if every <= down => {
                let label = format!("it would still be down, for {}", format_span(down));
                errors
                    .error(place, "a node that is down cannot crash again", label)
                    .help(format!("make `every` longer than {}", format_span(down)));
            }
            Trigger::Every(_) | Trigger::NthPacket(_) | Trigger::NamedPacket(_) => {}
        }
    }
    crashes.sort_by_key(|(node, at, _, place)| (*node, *at, place.start));
    for pair in crashes.windows(2) {
        let ((node, at, back, _), (other, again, _, place)) = (pair[0], pair[1]);
        if node == other && again < back {
            let label = format!(
                "it crashed at {} and is down until {}",
                format_span(at),
                format_span(back)
            );
            errors
                .error(place, "two crashes of one node overlap", label)
                .help(format!("let it crash again after {}", format_span(back)));
        }
    }
}

/// The longest, or the mean where there is no longest.
const fn longest_duration(interval: IntervalDistribution) -> Span {
    match interval {
        IntervalDistribution::Fixed(span)
        | IntervalDistribution::Uniform(_, span)
        | IntervalDistribution::Exponential(span) => span,
    }
}
