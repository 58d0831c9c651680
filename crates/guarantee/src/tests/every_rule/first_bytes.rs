//! First bytes and packet ids.

use super::super::wire::{control, message, publish};
use super::{Case, PLAIN, exchange, shake};
use crate::rules::Rule;
use qoslab_core::base::name::Kind::{self, PubAck, PubComp, PubRec, PubRel};

/// The rules of a PUBLISH's and other packets' first bytes and ids.
pub(super) const FIRST_BYTES: [Case; 12] = [
    (
        Rule::ResendWithoutDup,
        |wire| {
            wire.connect(false);
            wire.up_lost(publish(1, 1));
            wire.resume();
            wire.up(publish(1, 1));
            wire.down(message(PubAck, 1));
        },
        |wire| {
            wire.connect(false);
            exchange(wire, 1, 1);
            wire.resume();
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
            // The first sending died in a crash, before anybody saw it.
            wire.up(publish(1, 1).again());
            wire.down(message(PubAck, 1));
        },
    ),
    (
        Rule::FirstOfQosTwoWithDup,
        |wire| {
            wire.connect(false);
            wire.up(publish(2, 1).flags(0b1100));
            shake(wire, 1);
        },
        |wire| {
            wire.connect(false);
            wire.up(publish(2, 1).again());
            shake(wire, 1);
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
            wire.up(control(Kind::Subscribe).id(1).flags(0));
            wire.down(control(Kind::SubAck).id(1).codes(0));
        },
        |wire| {
            wire.connect(false);
            wire.subscribe(1, &[PLAIN]);
            wire.down(control(Kind::SubAck).id(1));
        },
    ),
    (
        Rule::UnsubscribeFlags,
        |wire| {
            wire.connect(false);
            wire.up(control(Kind::Unsubscribe).id(1).flags(0b1010));
            wire.down(control(Kind::UnsubAck).id(1));
        },
        |wire| {
            wire.connect(false);
            wire.up(control(Kind::Unsubscribe).id(1));
            wire.down(control(Kind::UnsubAck).id(1));
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
