//! All assumptions of a scenario that a reader needs to judge its numbers, in words.

use std::collections::BTreeMap;

use super::describe;
use super::number::counted;
use qoslab_core::base::units::{energy_literal, format_share, power_literal};
use qoslab_core::mqtt::StorePolicy;
use qoslab_core::network::radio::RadioSettings;
use qoslab_core::network::{
    DirectionSettings, IntervalDistribution, LinkSettings, LossModel, Transport,
};
use qoslab_sim::{ClientSetup, Setup, Trigger};
use qoslab_study::scenario::Scenario;

/// The maximum number of different links or kinds of session that are listed one by one.
const MAX_KINDS: usize = 12;

/// The assumptions, a name and a text each, in a fixed order.
#[must_use]
pub(crate) fn assumptions(scenario: &Scenario) -> Vec<(&'static str, Vec<String>)> {
    let Some(point) = scenario.points.first() else { return Vec::new() };
    let setup = &*point.setup;
    let rules = describe::scenario_properties(scenario);
    let stores: Vec<String> = scenario
        .groups
        .iter()
        .map(|group| format!("{}: {}", group.name, store(group.store)))
        .collect();
    let endpoints = match rules.endpoints.as_str() {
        "" => "correct endpoints, no profile, no quirk".to_owned(),
        told => told.to_owned(),
    };
    let all = [
        ("MQTT", vec![rules.mqtt]),
        ("Transport", vec![rules.transport]),
        ("Retry rule", vec![rules.retry]),
        ("Size", vec![describe::workload_size(setup)]),
        ("Sessions", grouped_by_text(setup, |client| Some(session(client)))),
        ("Stores", stores),
        ("Profiles and quirks", vec![endpoints]),
        ("Links", grouped_by_text(setup, |client| Some(link(&client.link)))),
        ("Radios", grouped_by_text(setup, |client| client.radio.as_deref().map(radio))),
        ("Faults", vec![faults(setup, point.swarm.is_some())]),
        ("Deadline", vec![format!("{} of virtual time", setup.deadline)]),
    ];
    all.into_iter().filter(|(_, lines)| !lines.is_empty()).collect()
}

/// One line for each distinct setting of the clients, with the clients that have it.
fn grouped_by_text(
    setup: &Setup,
    describe_client: impl Fn(&ClientSetup) -> Option<String>,
) -> Vec<String> {
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    let mut kinds: Vec<(String, &str, u64)> = Vec::new();
    for client in &setup.clients {
        let Some(text) = describe_client(client) else { continue };
        let at = *places.entry(text.clone()).or_insert(kinds.len());
        match kinds.get_mut(at) {
            Some((_, _, count)) => *count += 1,
            None => kinds.push((text, &client.name, 1)),
        }
    }
    let mut lines: Vec<String> = kinds
        .iter()
        .take(MAX_KINDS)
        .map(|(text, first, count)| match count {
            1 => format!("{first}: {text}"),
            _ => format!("{first} and {} like it: {text}", counted(count - 1, "client")),
        })
        .collect();
    if kinds.len() > MAX_KINDS {
        lines.push(format!("and {} more", counted((kinds.len() - MAX_KINDS) as u64, "kind")));
    }
    lines
}

fn session(client: &ClientSetup) -> String {
    let settings = &client.settings;
    let kind = if settings.clean { "clean session" } else { "persistent session" };
    let keep_alive = if settings.keep_alive.as_nanos() == 0 {
        "no keep alive".to_owned()
    } else {
        format!("keep alive {}", settings.keep_alive)
    };
    let window = counted(settings.hop.max_inflight.into(), "message");
    let queue = counted(settings.hop.max_queued.into(), "message");
    let mut text =
        format!("{kind}, {keep_alive}, {window} in flight at most, room for {queue} to wait");
    if !client.offline_periods.is_empty() {
        text += &format!(", away {}", counted(client.offline_periods.len() as u64, "time"));
    }
    text
}

fn store(store: StorePolicy) -> String {
    match store {
        StorePolicy::Durable => "durable".to_owned(),
        StorePolicy::Snapshot(every) => format!("snapshot every {every}"),
        StorePolicy::Volatile => "volatile".to_owned(),
    }
}

fn link(link: &LinkSettings) -> String {
    let (up, down) = (direction(&link.up), direction(&link.down));
    let mut text =
        if up == down { format!("{up} each way") } else { format!("{up} up; {down} down") };
    if let Some(outage) = link.outage {
        let (every, lasts) = (interval(outage.every), interval(outage.lasts));
        text += &format!("; outages every {every} for {lasts}");
    }
    if let Transport::Tcp(tcp) = link.transport {
        text += &format!("; TCP gives up after {}", tcp.user_timeout);
        if let Some(idle) = tcp.nat_idle {
            text += &format!("; a NAT forgets after {idle}");
        }
    }
    text
}

/// The main parameters of the energy model; `qoslab check --show` prints all of them.
fn radio(radio: &RadioSettings) -> String {
    let mut text = format!(
        "transmits with {}, receives with {}, {} for {} after a packet, sleeps with {}",
        power_literal(radio.transmit_nw),
        power_literal(radio.receive_nw),
        power_literal(radio.tail_nw),
        radio.tail,
        power_literal(radio.sleep_nw)
    );
    if let Some(battery) = radio.battery_uj {
        text += &format!(", a battery of {}", energy_literal(battery));
    }
    text
}

fn direction(settings: &DirectionSettings) -> String {
    let mut parts = vec![format!("delay {}", settings.delay)];
    if settings.jitter.as_nanos() > 0 {
        parts[0] += &format!(" ± {}", settings.jitter);
    }
    parts.push(loss(&settings.loss));
    if settings.duplicate.is_possible() {
        parts.push(format!("{} duplicated", format_share(settings.duplicate.share(), 1)));
    }
    if let Some(reorder) = settings.reorder {
        parts.push(format!("{} reordered", format_share(reorder.chance.share(), 1)));
    }
    if let Some(rate) = settings.rate {
        parts.push(qoslab_core::base::units::rate_literal(rate));
    }
    if let Some(queue) = settings.queue {
        parts.push(format!("a queue of {}", counted(queue.into(), "packet")));
    }
    parts.join(", ")
}

fn loss(loss: &LossModel) -> String {
    match loss {
        LossModel::Random(chance) if !chance.is_possible() => "no loss".to_owned(),
        LossModel::Random(chance) => format!("{} lost", format_share(chance.share(), 1)),
        LossModel::GilbertElliott { loss_bad, loss_good, .. } => format!(
            "{} lost while bad and {} while good (Gilbert-Elliott)",
            format_share(loss_bad.share(), 1),
            format_share(loss_good.share(), 1)
        ),
        LossModel::Burst { good, bad, loss_bad, loss_good } => format!(
            "{} lost in bad times (mean {bad}) and {} in good ones (mean {good})",
            format_share(loss_bad.share(), 1),
            format_share(loss_good.share(), 1)
        ),
    }
}

fn faults(setup: &Setup, swarm: bool) -> String {
    let count = |of: fn(&Trigger) -> bool| {
        setup.faults.iter().filter(|fault| of(&fault.trigger)).count() as u64
    };
    let once = count(|trigger| matches!(trigger, Trigger::At(_)));
    let again = count(|trigger| matches!(trigger, Trigger::Every(_)));
    let packets =
        count(|trigger| matches!(trigger, Trigger::NthPacket(_) | Trigger::NamedPacket(_)));
    let kinds = [(once, "at a time"), (again, "again and again"), (packets, "at a packet")];
    let kinds = kinds.iter().filter(|(count, _)| *count > 0);
    let mut parts: Vec<String> = kinds.map(|(count, when)| format!("{count} {when}")).collect();
    if swarm {
        parts.push("classes that each seed switches on or off".to_owned());
    }
    if parts.is_empty() { "none".to_owned() } else { parts.join(", ") }
}

fn interval(interval: IntervalDistribution) -> String {
    match interval {
        IntervalDistribution::Fixed(span) => span.to_string(),
        IntervalDistribution::Uniform(least, most) => format!("{least} to {most}"),
        IntervalDistribution::Exponential(mean) => format!("{mean} (mean)"),
    }
}
