//! The receiver's half of a hop.

use super::super::rule_harness::{PacketSpec, Wire, forward, message, publish};
use super::{RuleCase, exchange, finish_qos2};
use crate::rules::Rule;
use qoslab_core::base::CloseReason;
use qoslab_core::base::PacketKind::{self, PubAck, PubComp, PubRec, PubRel};

/// The rules of a receiver.
pub(super) const RECEIVER: [RuleCase; 7] = [
    (
        Rule::SecondDelivery,
        |wire| {
            wire.connect(false);
            for spec in [forward(2, 1), forward(2, 1).resent()] {
                wire.down(spec);
                wire.delivered(spec);
                wire.up_lost(answer_to_forward(PubRec));
                wire.cut_and_resume();
            }
            finish_second_hop(wire);
        },
        |wire| {
            wire.connect(false);
            wire.down(forward(2, 1));
            wire.delivered(forward(2, 1));
            wire.up_lost(answer_to_forward(PubRec));
            wire.cut_and_resume();
            finish_second_hop(wire);
        },
    ),
    (
        Rule::PublishUnacknowledged,
        |wire| {
            wire.connect(false);
            wire.up(publish(1, 1));
        },
        |wire| {
            wire.connect(false);
            wire.up(publish(1, 1));
            // The connection went before it could answer.
            wire.cut();
        },
    ),
    (
        Rule::PublishUnrecorded,
        |wire| {
            wire.connect(false);
            wire.up(publish(2, 1));
        },
        |wire| {
            wire.connect(false);
            exchange(wire, 2, 1);
        },
    ),
    (
        Rule::ReleaseUnanswered,
        |wire| {
            wire.connect(false);
            wire.up(publish(2, 1));
            wire.down(message(PubRec, 1));
            wire.up(message(PubRel, 1));
            wire.close(CloseReason::Protocol);
        },
        |wire| {
            wire.connect(false);
            wire.up(publish(2, 1));
            wire.down(message(PubRec, 1));
            wire.up(message(PubRel, 1));
            wire.cut();
            wire.connect(true);
            // The receiver knows nothing of it any more, and answers all the same.
            wire.up(message(PubRel, 1).resent());
            wire.down(message(PubComp, 1).refused());
        },
    ),
    (
        Rule::AnswerUnasked,
        |wire| {
            wire.connect(false);
            exchange(wire, 1, 1);
            wire.down(message(PubAck, 1));
        },
        |wire| {
            wire.connect(false);
            wire.up(publish(2, 1));
            wire.down(message(PubRec, 1));
            // A repeat for an id that is held does no harm.
            wire.down(message(PubRec, 1));
            wire.up(message(PubRel, 1));
            wire.down(message(PubComp, 1));
        },
    ),
    (
        Rule::AckOutOfOrder,
        |wire| {
            wire.connect(false);
            wire.up(publish(1, 1));
            wire.up(publish(1, 2));
            wire.down(message(PubAck, 2));
            wire.down(message(PubAck, 1));
        },
        |wire| {
            wire.connect(false);
            wire.up(publish(2, 1));
            wire.up(publish(1, 2));
            // Other kinds have an order of their own.
            wire.down(message(PubAck, 2));
            finish_qos2(wire, 1);
        },
    ),
    (
        Rule::RecordOutOfOrder,
        |wire| {
            wire.connect(false);
            wire.up(publish(2, 1));
            wire.up(publish(2, 2));
            finish_qos2(wire, 2);
            finish_qos2(wire, 1);
        },
        |wire| {
            wire.connect(false);
            wire.up(publish(2, 1));
            wire.up(publish(2, 2));
            finish_qos2(wire, 1);
            finish_qos2(wire, 2);
        },
    ),
];

/// The subscriber's answer to `forward(2, 1)`.
fn answer_to_forward(kind: PacketKind) -> PacketSpec {
    forward(2, 1).kind(kind)
}

/// The second hop of `forward(2, 1)`, from a resend on.
fn finish_second_hop(wire: &mut Wire) {
    wire.down(forward(2, 1).resent());
    wire.up(answer_to_forward(PubRec));
    wire.down(answer_to_forward(PubRel));
    wire.up(answer_to_forward(PubComp));
}
