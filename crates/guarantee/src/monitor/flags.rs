//! The flags in a packet's first byte.

use super::violation_log::{EventContext, ViolationLog};
use crate::rules::Rule;
use qoslab_core::base::{PacketKind, PacketMeta};
use qoslab_core::mqtt::Version;

/// QoS 0 has no id and is never sent again.
pub(super) fn check_qos0(context: EventContext, packet: &PacketMeta<'_>, log: &mut ViolationLog) {
    if packet.is_dup() {
        log.report_sender(context, Rule::QosZeroWithDup, packet.tag);
    }
    if packet.id != 0 {
        log.report_sender(context, Rule::IdOnQosZero, packet.tag);
    }
}

/// The flags of all kinds but PUBLISH are reserved. MQTT 3.1 has a DUP flag there.
#[inline]
pub(super) fn check_flags(context: EventContext, packet: &PacketMeta<'_>, log: &mut ViolationLog) {
    let (expected, rule) = match packet.kind() {
        PacketKind::Publish => return,
        PacketKind::PubRel => (0b0010, Rule::ReleaseFlags),
        PacketKind::Subscribe => (0b0010, Rule::SubscribeFlags),
        PacketKind::Unsubscribe => (0b0010, Rule::UnsubscribeFlags),
        _ => (0, Rule::ReservedFlags),
    };
    let flags = packet.first_byte & 0b1111;
    if flags == expected {
        return;
    }
    if expected != 0 && flags & 0b0111 == expected && log.version(context) == Version::V31 {
        return;
    }
    match packet.kind() {
        PacketKind::PubRel => log.report_sender(context, rule, packet.tag),
        _ => log.report_endpoint(context, rule),
    }
}
