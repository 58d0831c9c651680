//! First bytes and packet ids.

use super::super::rule_harness::{control, message, publish};
use super::{DEFAULT_OPTIONS, RuleCase, exchange, finish_qos2};
use crate::rules::Rule;
use qoslab_core::base::PacketKind::{self, PubAck, PubComp, PubRec, PubRel};

/// The rules of a PUBLISH's and other packets' first bytes and ids.
pub(super) const FIRST_BYTES: [RuleCase; 12] = [
    (
        Rule::ResendWithoutDup,
        |wire| {
            wire.connect(false);
            wire.up_lost(publish(1, 1));
            wire.cut_and_resume();
            wire.up(publish(1, 1));
            wire.down(message(PubAck, 1));
        },
        |wire| {
            wire.connect(false);
            exchange(wire, 1, 1);
            wire.cut_and_resume();
            // The id again, of another message.
            wire.up(publish(1, 2).id(1));
            wire.down(message(PubAck, 1));
        },
    ),
    (
        Rule::FirstWithDup,
        |wire| {
            wire.connect(false);
            wire.up(publish(1, 1).flags(0b1010));
            wire.down(message(PubAck, 1));
        },
        |wire| {
            wire.connect(false);
            // The first sending died in a crash, before any observer saw it.
            wire.up(publish(1, 1).resent());
            wire.down(message(PubAck, 1));
        },
    ),
    (
        Rule::FirstOfQosTwoWithDup,
        |wire| {
            wire.connect(false);
            wire.up(publish(2, 1).flags(0b1100));
            finish_qos2(wire, 1);
        },
        |wire| {
            wire.connect(false);
            wire.up(publish(2, 1).resent());
            finish_qos2(wire, 1);
        },
    ),
    (
        Rule::QosZeroWithDup,
        |wire| {
            wire.connect(false);
            wire.up(publish(0, 0).flags(0b1000));
        },
        |wire| {
            wire.connect(false);
            wire.up(publish(0, 0));
            wire.up(publish(0, 0));
        },
    ),
    (
        Rule::ReservedQos,
        |wire| {
            wire.connect(false);
            wire.up(publish(3, 1));
        },
        |wire| {
            wire.connect(false);
            exchange(wire, 2, 1);
        },
    ),
    (
        Rule::ReleaseFlags,
        |wire| {
            wire.connect(false);
            wire.up(publish(2, 1));
            wire.down(message(PubRec, 1));
            wire.up(message(PubRel, 1).flags(0b1010));
            wire.down(message(PubComp, 1));
        },
        |wire| {
            wire.connect(false);
            exchange(wire, 2, 1);
        },
    ),
    (
        Rule::SubscribeFlags,
        |wire| {
            wire.connect(false);
            wire.up(control(PacketKind::Subscribe).id(1).flags(0));
            wire.down(control(PacketKind::SubAck).id(1).codes(0));
        },
        |wire| {
            wire.connect(false);
            wire.subscribe(1, &[DEFAULT_OPTIONS]);
            wire.down(control(PacketKind::SubAck).id(1));
        },
    ),
    (
        Rule::UnsubscribeFlags,
        |wire| {
            wire.connect(false);
            wire.up(control(PacketKind::Unsubscribe).id(1).flags(0b1010));
            wire.down(control(PacketKind::UnsubAck).id(1));
        },
        |wire| {
            wire.connect(false);
            wire.up(control(PacketKind::Unsubscribe).id(1));
            wire.down(control(PacketKind::UnsubAck).id(1));
        },
    ),
    (
        Rule::ReservedFlags,
        |wire| {
            wire.connect(false);
            wire.up(publish(1, 1));
            wire.down(message(PubAck, 1).flags(0b0010));
        },
        |wire| {
            wire.connect(false);
            wire.up(publish(0, 0).retain());
        },
    ),
    (
        Rule::IdZero,
        |wire| {
            wire.connect(false);
            wire.up_lost(publish(1, 1).id(0));
        },
        |wire| {
            wire.connect(false);
            wire.up(publish(0, 0));
        },
    ),
    (
        Rule::IdOnQosZero,
        |wire| {
            wire.connect(false);
            wire.up(publish(0, 1));
        },
        |wire| {
            wire.connect(false);
            exchange(wire, 1, 1);
        },
    ),
    (
        Rule::IdInUse,
        |wire| {
            wire.connect(false);
            wire.up(publish(1, 1));
            wire.up(publish(1, 2).id(1));
            wire.down(message(PubAck, 1));
            wire.down(message(PubAck, 1));
        },
        |wire| {
            wire.connect(false);
            exchange(wire, 1, 1);
            wire.up(publish(1, 2).id(1));
            wire.down(message(PubAck, 1));
        },
    ),
];
