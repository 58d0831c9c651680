//! The sender's half of a hop.

use super::super::SENSOR;
use super::super::wire::{HELLO, Hello, message, publish};
use super::{Case, exchange, release_again, shake};
use crate::rules::Rule;
use qoslab_core::base::event::{Close, Dropped};
use qoslab_core::base::name::{
    Kind::{PubAck, PubComp, PubRec, PubRel},
    Node,
};

/// The rules of a sender.
pub(super) const SENDER: [Case; 16] = [
    (
        Rule::IdChanged,
        |wire| {
            wire.connect(false);
            wire.up_lost(publish(1, 1));
            wire.resume();
            wire.up(publish(1, 1).again().id(9));
            wire.down(message(PubAck, 9));
        },
        |wire| {
            wire.connect(false);
            exchange(wire, 1, 1);
            wire.resume();
            // The acknowledgement was lost in a crash of the sender: it begins again.
            wire.up(publish(1, 1).again().id(9));
            wire.down(message(PubAck, 9));
        },
    ),
    (
        Rule::PublishAfterRelease,
        |wire| {
            wire.connect(false);
            wire.up(publish(2, 1));
            wire.down(message(PubRec, 1));
            wire.up_lost(message(PubRel, 1));
            wire.resume();
            wire.up(publish(2, 1).again());
            shake(wire, 1);
        },
        |wire| {
            wire.connect(false);
            wire.up_lost(publish(2, 1));
            wire.resume();
            wire.up(publish(2, 1).again());
            shake(wire, 1);
        },
    ),
    (
        Rule::ReleaseMissing,
        |wire| {
            wire.connect(false);
            wire.up(publish(2, 1));
            wire.down(message(PubRec, 1));
        },
        |wire| {
            wire.connect(false);
            wire.up(publish(2, 1));
            wire.down(message(PubRec, 1).refused());
        },
    ),
    (
        Rule::ReleaseUnasked,
        |wire| {
            wire.connect(false);
            wire.up(publish(2, 1));
            wire.up_lost(message(PubRel, 1));
            wire.down(message(PubRec, 1));
            wire.up(message(PubRel, 1));
            wire.down(message(PubComp, 1));
        },
        |wire| {
            wire.connect(false);
            wire.up(publish(2, 1));
            wire.down(message(PubRec, 1));
            wire.crash(Node::Client(SENSOR));
            wire.close(Close::Crash);
            wire.connect(true);
            wire.up(message(PubRel, 1).again());
            wire.down(message(PubComp, 1));
        },
    ),
    (
        Rule::PublishNotResent,
        |wire| {
            wire.connect(false);
            wire.up_lost(publish(1, 1));
            wire.resume();
        },
        |wire| {
            wire.connect(false);
            wire.up_lost(publish(1, 1));
            wire.up_lost(publish(1, 2));
            wire.cut();
            wire.open();
            wire.hello(HELLO);
            // The other one waits for a place in a smaller window.
            wire.welcome_with(true, 1, u32::MAX);
            wire.up_lost(publish(1, 1).again());
            wire.cut();
        },
    ),
    (
        Rule::ReleaseNotResent,
        |wire| {
            wire.connect(false);
            wire.up(publish(2, 1));
            wire.down(message(PubRec, 1));
            wire.up_lost(message(PubRel, 1));
            wire.resume();
        },
        |wire| {
            wire.connect(false);
            wire.up(publish(2, 1));
            wire.down(message(PubRec, 1));
            wire.up_lost(message(PubRel, 1));
            wire.cut();
            wire.connect(true);
            wire.up(message(PubRel, 1).again());
            wire.down(message(PubComp, 1));
        },
    ),
    (
        Rule::ResendOutOfOrder,
        |wire| {
            wire.connect(false);
            wire.up_lost(publish(1, 1));
            wire.up_lost(publish(1, 2));
            wire.resume();
            for id in [2, 1] {
                wire.up(publish(1, id).again());
                wire.down(message(PubAck, id));
            }
        },
        |wire| {
            wire.connect(false);
            wire.up_lost(publish(1, 2));
            wire.up_lost(publish(1, 1));
            wire.resume();
            // By the order of sending, not of ids.
            for id in [2, 1] {
                wire.up(publish(1, id).again());
                wire.down(message(PubAck, id));
            }
        },
    ),
    (
        Rule::ReleaseOutOfOrder,
        |wire| {
            wire.connect(false);
            wire.up(publish(2, 1));
            wire.up(publish(2, 2));
            wire.down(message(PubRec, 1));
            wire.down(message(PubRec, 2));
            for id in [2, 1] {
                wire.up(message(PubRel, id));
                wire.down(message(PubComp, id));
            }
        },
        |wire| {
            wire.connect(false);
            wire.up(publish(2, 1));
            wire.up(publish(2, 2));
            for id in [1, 2] {
                wire.down(message(PubRec, id));
                wire.up(message(PubRel, id));
            }
            wire.down(message(PubComp, 1));
            wire.down(message(PubComp, 2));
        },
    ),
    (
        Rule::ReleaseResentOutOfOrder,
        |wire| release_again(wire, [1, 2], [2, 1]),
        |wire| release_again(wire, [1, 2], [1, 2]),
    ),
    (
        Rule::ResentAlive,
        |wire| {
            wire.connect(false);
            wire.up_lost(publish(1, 1));
            wire.up(publish(1, 1).again());
            wire.down(message(PubAck, 1));
        },
        |wire| {
            wire.connect(false);
            wire.up(publish(2, 1));
            wire.down(message(PubRec, 1));
            wire.up_lost(message(PubRel, 1));
            wire.resume();
            wire.up(message(PubRel, 1).again());
            wire.down(message(PubRec, 1));
            // Every PUBREC is answered.
            wire.up(message(PubRel, 1).again().again());
            wire.down(message(PubComp, 1));
            wire.down(message(PubComp, 1));
        },
    ),
    (
        Rule::RefusedResent,
        |wire| {
            wire.connect(false);
            wire.up(publish(1, 1));
            wire.down(message(PubAck, 1).refused());
            wire.resume();
            wire.up(publish(1, 1).again());
            wire.down(message(PubAck, 1));
        },
        |wire| {
            wire.connect(false);
            wire.up(publish(1, 1));
            wire.down(message(PubAck, 1).refused());
            exchange(wire, 1, 2);
        },
    ),
    (
        Rule::ReceiveMaximumExceeded,
        |wire| {
            wire.open();
            wire.hello(HELLO);
            wire.welcome_with(false, 1, u32::MAX);
            wire.up(publish(1, 1));
            wire.up(publish(2, 2));
            wire.down(message(PubAck, 1));
            shake(wire, 2);
        },
        |wire| {
            wire.open();
            wire.hello(HELLO);
            wire.welcome_with(false, 1, u32::MAX);
            exchange(wire, 1, 1);
            wire.up_lost(publish(1, 2));
            wire.cut();
            wire.open();
            wire.hello(HELLO);
            // A new connection counts anew.
            wire.welcome_with(true, 1, u32::MAX);
            wire.up(publish(1, 2).again());
            wire.up(publish(0, 0));
            wire.down(message(PubAck, 2));
            exchange(wire, 2, 3);
        },
    ),
    (
        Rule::TooLarge,
        |wire| {
            wire.open();
            wire.hello(HELLO);
            wire.welcome_with(false, u16::MAX, 100);
            wire.up(publish(0, 0).size(101));
        },
        |wire| {
            wire.open();
            wire.hello(Hello { max_packet_size: 50, ..HELLO });
            wire.welcome_with(false, u16::MAX, 100);
            wire.up(publish(0, 0).size(100));
        },
    ),
    (
        Rule::ExpiredInFlight,
        |wire| {
            wire.connect(false);
            wire.up(publish(2, 1));
            wire.down(message(PubRec, 1));
            wire.up_lost(message(PubRel, 1));
            wire.refused(message(PubRel, 1), Dropped::Expired);
        },
        |wire| {
            wire.connect(false);
            // It expired while it waited.
            wire.refused(message(PubRel, 1), Dropped::Expired);
        },
    ),
    (
        Rule::OldStateAfterReset,
        |wire| {
            wire.connect_as(Hello { session_expiry: 10, ..HELLO }, false);
            wire.up_lost(publish(1, 1));
            wire.cut();
            wire.wait(20);
            wire.connect(false);
            wire.up(publish(1, 1).again());
            wire.down(message(PubAck, 1));
        },
        |wire| {
            wire.connect_as(Hello { session_expiry: 10, ..HELLO }, false);
            wire.up_lost(publish(1, 1));
            wire.cut();
            wire.wait(20);
            wire.connect(false);
            // As a new message.
            exchange(wire, 1, 1);
        },
    ),
    (
        Rule::OldStateAfterClean,
        |wire| {
            wire.connect_as(Hello { clean: true, session_expiry: 0, ..HELLO }, false);
            wire.up_lost(publish(1, 1));
            wire.cut();
            wire.connect_as(Hello { clean: true, session_expiry: 0, ..HELLO }, false);
            wire.up(publish(1, 1).again());
            wire.down(message(PubAck, 1));
        },
        |wire| {
            wire.connect_as(Hello { clean: true, session_expiry: 0, ..HELLO }, false);
            wire.up_lost(publish(1, 1));
            wire.cut();
            wire.connect_as(Hello { clean: true, session_expiry: 0, ..HELLO }, false);
            exchange(wire, 1, 1);
        },
    ),
];
