//! Effects of every single fault on a message, as a table in Markdown.

use qoslab::base::{Hop, PacketName, PacketSubject, Span, Transmission};
use qoslab::guarantee::{DeliveryCounts, Outcome, RuleViolationKind};
use qoslab::sim::CrashPoint;
use qoslab::sim::event::explore::ReleaseWhen;
use qoslab::study::explore::{
    Counterexample, ExploreResult, InjectedFault, PacketFault, SearchSpace,
};

/// The effect of one fault at one packet on the messages.
struct FaultEffect {
    fault: InjectedFault,
    /// A message was never delivered.
    lost: bool,
    /// A message was delivered twice or more.
    duplicated: bool,
    /// A message was delivered later than without the fault.
    delayed: bool,
    /// A promise or a rule is broken.
    broken: bool,
}

/// A table: a row for each fault, a column for each packet of the message.
pub(super) fn table(search_space: &SearchSpace) -> ExploreResult<String> {
    let effects = effects(search_space)?;
    let mut packets: Vec<PacketName> = Vec::new();
    for effect in &effects {
        if !packets.contains(&effect.fault.packet) {
            packets.push(effect.fault.packet);
        }
    }
    let heads: Vec<String> = packets.iter().map(column_heading).collect();
    let mut text = format!("| fault | {} |\n", heads.join(" | "));
    text.extend(["|---|", &"---|".repeat(packets.len()), "\n"]);
    for row in distinct_faults(&effects) {
        let cell = |packet: &PacketName| {
            let such = |it: &&FaultEffect| it.fault.packet == *packet && it.fault.fault == row;
            effects.iter().find(such).map_or_else(String::new, effect_text)
        };
        let cells: Vec<String> = packets.iter().map(cell).collect();
        text.extend(["| ", fault_text(row), " | ", &cells.join(" | "), " |\n"]);
    }
    Ok(text)
}

/// Every single fault at a packet of a message, sent for the first time, in order.
fn effects(search_space: &SearchSpace) -> ExploreResult<Vec<FaultEffect>> {
    let outcome = |schedule| {
        Counterexample::replay_and_judge(search_space, schedule, false)
            .map(|confirmed| confirmed.outcome)
    };
    let plain = outcome(Vec::new())?;
    let options = search_space.fault_options();
    let mut effects = Vec::new();
    for packet in search_space.fault_free_packets().into_iter().filter(is_first_transmission) {
        for fault in options.faults_for(search_space.setup(), &packet, 1) {
            let fault = InjectedFault { packet, fault };
            effects.push(effect(&plain, fault, &outcome(vec![fault])?));
        }
    }
    Ok(effects)
}

fn effect(plain: &Outcome, fault: InjectedFault, outcome: &Outcome) -> FaultEffect {
    let DeliveryCounts { lost, duplicated, .. } = counts(outcome);
    FaultEffect {
        fault,
        lost: lost > 0,
        duplicated: duplicated > 0,
        delayed: max_latency(outcome) > max_latency(plain),
        broken: !outcome.violations.is_empty()
            || outcome.rule_violations.keys().any(RuleViolationKind::fails_trial),
    }
}

/// The faults that were tried at single packets, in order.
fn distinct_faults(effects: &[FaultEffect]) -> Vec<PacketFault> {
    let mut rows: Vec<PacketFault> = Vec::new();
    for effect in effects {
        if !rows.contains(&effect.fault.fault) {
            rows.push(effect.fault.fault);
        }
    }
    rows
}

fn is_first_transmission(name: &PacketName) -> bool {
    matches!(
        name.subject,
        PacketSubject::Message {
            transmission: Transmission { attempt: 0, duplicate_index: 0 },
            ..
        }
    )
}

fn counts(outcome: &Outcome) -> DeliveryCounts {
    outcome.metrics.qos.iter().map(|qos| qos.counts).sum()
}

/// The longest time to a first delivery, of those that occurred.
fn max_latency(outcome: &Outcome) -> Option<Span> {
    let all = outcome.metrics.qos.iter().map(|qos| &qos.latency);
    all.filter_map(|latency| latency.quantile(1.0, latency.count())).max()
}

/// `PUBREC 1`: the kind and the hop.
fn column_heading(packet: &PacketName) -> String {
    let hop = match packet.subject {
        PacketSubject::Message { hop: Hop::Second, .. } => 2,
        _ => 1,
    };
    format!("{} {hop}", packet.kind.label())
}

fn effect_text(effect: &FaultEffect) -> String {
    let words = [
        (effect.lost, "lost"),
        (effect.duplicated, "twice"),
        (effect.delayed && !effect.lost, "late"),
    ];
    let outcomes: Vec<_> =
        words.iter().filter(|(is_so, _)| *is_so).map(|(_, word)| *word).collect();
    match (outcomes.join(", "), effect.broken) {
        (told, false) if told.is_empty() => "-".to_owned(),
        (told, true) if told.is_empty() => "**broken**".to_owned(),
        (told, true) => format!("**{told}**"),
        (told, false) => told,
    }
}

/// A short description of a fault.
const fn fault_text(alternative: PacketFault) -> &'static str {
    match alternative {
        PacketFault::Drop => "is lost",
        PacketFault::Duplicate => "arrives twice",
        PacketFault::Delay(ReleaseWhen::NextPacket) => "comes after the next packet",
        PacketFault::Delay(ReleaseWhen::HandshakeEnd) => "comes after its handshake",
        PacketFault::Delay(ReleaseWhen::Timeout) => "comes after a timeout",
        PacketFault::DelayedDuplicate(_) => "comes twice, the copy late",
        PacketFault::Cut { after: false } => "cut before it arrives",
        PacketFault::Cut { after: true } => "cut after it arrived",
        PacketFault::CrashReceiver(CrashPoint::BeforeCommit) => "receiver crashes before storing",
        PacketFault::CrashReceiver(CrashPoint::AfterCommit) => "receiver crashes before sending",
        PacketFault::CrashReceiver(_) => "receiver crashes after sending one",
        PacketFault::CrashSender => "sender crashes before sending",
    }
}
