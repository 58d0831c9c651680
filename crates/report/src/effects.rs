//! What every single fault does to a message, as a table in Markdown.

use qoslab_core::base::name::{Hop, PacketName, PacketSubject};
use qoslab_sim::event::explore::ReleaseWhen;
use qoslab_sim::trial::CrashPoint;
use qoslab_study::explore::{FaultEffect, PacketFault, SearchSpace};

/// A table: a row for each fault, a column for each packet of the message.
#[must_use]
pub fn table(effects: &[FaultEffect]) -> String {
    let mut packets: Vec<PacketName> = Vec::new();
    for effect in effects {
        if !packets.contains(&effect.fault.packet) {
            packets.push(effect.fault.packet);
        }
    }
    let heads: Vec<String> = packets.iter().map(column_heading).collect();
    let mut text = format!("| fault | {} |\n", heads.join(" | "));
    text += &format!("|---|{}\n", "---|".repeat(packets.len()));
    for row in SearchSpace::distinct_faults(effects) {
        let cell = |packet: &PacketName| {
            let such = |it: &&FaultEffect| it.fault.packet == *packet && it.fault.fault == row;
            effects.iter().find(such).map_or_else(String::new, effect_text)
        };
        let cells: Vec<String> = packets.iter().map(cell).collect();
        text += &format!("| {} | {} |\n", fault_text(row), cells.join(" | "));
    }
    text
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

/// A fault in few words.
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
