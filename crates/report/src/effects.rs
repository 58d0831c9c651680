//! What every single fault does to a message, as a table in Markdown.

use qoslab_core::base::name::{Hop, PacketName, Subject};
use qoslab_sim::event::explore::Until;
use qoslab_sim::trial::CrashPoint;
use qoslab_study::explore::{Alternative, Effect, Ground};

/// A table: a row for each fault, a column for each packet of the message.
#[must_use]
pub fn table(effects: &[Effect]) -> String {
    let mut packets: Vec<PacketName> = Vec::new();
    for effect in effects {
        if !packets.contains(&effect.chosen.packet) {
            packets.push(effect.chosen.packet);
        }
    }
    let heads: Vec<String> = packets.iter().map(head).collect();
    let mut text = format!("| fault | {} |\n", heads.join(" | "));
    text += &format!("|---|{}\n", "---|".repeat(packets.len()));
    for row in Ground::rows(effects) {
        let cell = |packet: &PacketName| {
            let such = |it: &&Effect| it.chosen.packet == *packet && it.chosen.alternative == row;
            effects.iter().find(such).map_or_else(String::new, cell)
        };
        let cells: Vec<String> = packets.iter().map(cell).collect();
        text += &format!("| {} | {} |\n", fault(row), cells.join(" | "));
    }
    text
}

/// `PUBREC 1`: the kind and the hop.
fn head(packet: &PacketName) -> String {
    let hop = match packet.subject {
        Subject::Message { hop: Hop::Second, .. } => 2,
        _ => 1,
    };
    format!("{} {hop}", packet.kind.label())
}

fn cell(effect: &Effect) -> String {
    let words = [
        (effect.lost, "lost"),
        (effect.duplicated, "twice"),
        (effect.delayed && !effect.lost, "late"),
    ];
    let told: Vec<_> = words.iter().filter(|(is_so, _)| *is_so).map(|(_, word)| *word).collect();
    match (told.join(", "), effect.broken) {
        (told, false) if told.is_empty() => "-".to_owned(),
        (told, true) if told.is_empty() => "**broken**".to_owned(),
        (told, true) => format!("**{told}**"),
        (told, false) => told,
    }
}

/// A fault in few words.
const fn fault(alternative: Alternative) -> &'static str {
    match alternative {
        Alternative::Drop => "is lost",
        Alternative::Duplicate => "arrives twice",
        Alternative::Delay(Until::NextPacket) => "comes after the next packet",
        Alternative::Delay(Until::HandshakeEnd) => "comes after its handshake",
        Alternative::Delay(Until::Timeout) => "comes after a timeout",
        Alternative::LateCopy(_) => "comes twice, the copy late",
        Alternative::Cut { after: false } => "cut before it arrives",
        Alternative::Cut { after: true } => "cut after it arrived",
        Alternative::CrashReceiver(CrashPoint::BeforeCommit) => "receiver crashes before storing",
        Alternative::CrashReceiver(CrashPoint::AfterCommit) => "receiver crashes before sending",
        Alternative::CrashReceiver(_) => "receiver crashes after sending one",
        Alternative::CrashSender => "sender crashes before sending",
    }
}
