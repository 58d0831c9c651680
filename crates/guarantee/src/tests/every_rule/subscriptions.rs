//! Subscriptions and what they bring.

use super::super::rule_harness::{control, forward, publish};
use super::{DEFAULT_OPTIONS, RuleCase};
use crate::rules::Rule;
use qoslab_core::base::{PacketKind, RetainHandling, SubscriptionOptions};

/// The rules of subscriptions and of what they bring.
pub(super) const SUBSCRIPTIONS: [RuleCase; 9] = [
    (
        Rule::SubscribeUnanswered,
        |wire| {
            wire.connect(false);
            wire.subscribe(1, &[DEFAULT_OPTIONS]);
        },
        |wire| {
            wire.connect(false);
            wire.subscribe(1, &[DEFAULT_OPTIONS]);
            wire.cut();
        },
    ),
    (
        Rule::SubackIncomplete,
        |wire| {
            wire.connect(false);
            wire.subscribe(1, &[DEFAULT_OPTIONS, DEFAULT_OPTIONS]);
            wire.down(control(PacketKind::SubAck).id(1).codes(1));
        },
        |wire| {
            wire.connect(false);
            wire.subscribe(1, &[DEFAULT_OPTIONS, DEFAULT_OPTIONS]);
            wire.down(control(PacketKind::SubAck).id(1).codes(2));
        },
    ),
    (
        Rule::UnsubscribeUnanswered,
        |wire| {
            wire.connect(false);
            wire.up(control(PacketKind::Unsubscribe).id(1));
        },
        |wire| {
            wire.connect(false);
            wire.up(control(PacketKind::Unsubscribe).id(1));
            wire.cut();
        },
    ),
    (
        Rule::RequestAnswerUnasked,
        |wire| {
            wire.connect(false);
            wire.down(control(PacketKind::UnsubAck).id(7));
        },
        |wire| {
            wire.connect(false);
            wire.up(control(PacketKind::Unsubscribe).id(7));
            wire.down(control(PacketKind::UnsubAck).id(7));
        },
    ),
    (
        Rule::RetainOnForward,
        |wire| {
            wire.connect(false);
            wire.down(forward(0, 1).retain());
        },
        |wire| {
            wire.connect(false);
            wire.subscribe(
                1,
                &[SubscriptionOptions { retain_as_published: true, ..DEFAULT_OPTIONS }],
            );
            wire.down(control(PacketKind::SubAck).id(1));
            wire.down(forward(0, 1).retain());
        },
    ),
    (
        Rule::RetainedUnwanted,
        |wire| {
            let never = RetainHandling::DoNotSend;
            wire.connect(false);
            wire.subscribe(1, &[SubscriptionOptions { retain_handling: never, ..DEFAULT_OPTIONS }]);
            wire.down(control(PacketKind::SubAck).id(1));
            wire.down(forward(0, 1).retained(true));
        },
        |wire| {
            let new = RetainHandling::SendIfNew;
            wire.connect(false);
            wire.subscribe(1, &[SubscriptionOptions { retain_handling: new, ..DEFAULT_OPTIONS }]);
            wire.down(control(PacketKind::SubAck).id(1));
            wire.down(forward(0, 1).retained(true));
        },
    ),
    (
        Rule::ForwardedToItself,
        |wire| {
            wire.connect(false);
            wire.subscribe(1, &[SubscriptionOptions { no_local: true, ..DEFAULT_OPTIONS }]);
            wire.down(control(PacketKind::SubAck).id(1));
            wire.down(publish(0, 0));
        },
        |wire| {
            wire.connect(false);
            wire.subscribe(1, &[SubscriptionOptions { no_local: true, ..DEFAULT_OPTIONS }]);
            wire.down(control(PacketKind::SubAck).id(1));
            wire.down(forward(0, 1));
        },
    ),
    (
        Rule::ExpiredForwarded,
        |wire| {
            wire.connect(false);
            wire.up(publish(0, 0).expiry(10));
            wire.wait(12);
            wire.down(publish(0, 0).expiry(1));
        },
        |wire| {
            wire.connect(false);
            wire.up(publish(0, 0).expiry(10));
            wire.wait(9);
            wire.down(publish(0, 0).expiry(1));
        },
    ),
    (
        Rule::ExpiryNotReduced,
        |wire| {
            wire.connect(false);
            wire.up(publish(0, 0).expiry(10));
            wire.wait(5);
            wire.down(publish(0, 0).expiry(10));
        },
        |wire| {
            wire.connect(false);
            wire.up(publish(0, 0).expiry(10));
            wire.wait(5);
            wire.down(publish(0, 0).expiry(5));
        },
    ),
];
