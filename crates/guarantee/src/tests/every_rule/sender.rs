//! The sender's half of a hop.

use super::super::SENSOR;
use super::super::rule_harness::{CONNECT_INFO, ConnectInfo, message, publish};
use super::{RuleCase, exchange, finish_qos2, resend_pubrels};
use crate::rules::Rule;
use qoslab_core::base::PacketKind::{PubAck, PubComp, PubRec, PubRel};
use qoslab_core::base::{CloseReason, DropReason, Node};

/// The rules of a sender.
pub(super) const SENDER: [RuleCase; 17] = [
    (
        Rule::IdChanged,
        |wire| {
            wire.connect(false);
            wire.up_lost(publish(1, 1));
            wire.cut_and_resume();
            wire.up(publish(1, 1).resent().id(9));
            wire.down(message(PubAck, 9));
        },
        |wire| {
            wire.connect(false);
            exchange(wire, 1, 1);
            wire.cut_and_resume();
            // The acknowledgement was lost in a crash of the sender: it begins again.
            wire.up(publish(1, 1).resent().id(9));
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
            wire.cut_and_resume();
            wire.up(publish(2, 1).resent());
            finish_qos2(wire, 1);
        },
        |wire| {
            wire.connect(false);
            wire.up_lost(publish(2, 1));
            wire.cut_and_resume();
            wire.up(publish(2, 1).resent());
            finish_qos2(wire, 1);
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
            wire.close(CloseReason::Crash);
            wire.connect(true);
            wire.up(message(PubRel, 1).resent());
            wire.down(message(PubComp, 1));
        },
    ),
    (
        Rule::PublishNotResent,
        |wire| {
            wire.connect(false);
            wire.up_lost(publish(1, 1));
            wire.cut_and_resume();
        },
        |wire| {
            wire.connect(false);
            wire.up_lost(publish(1, 1));
            wire.up_lost(publish(1, 2));
            wire.cut();
            wire.open();
            wire.send_connect(CONNECT_INFO);
            // The other one waits for a place in a smaller window.
            wire.send_connack_with(true, 1, u32::MAX);
            wire.up_lost(publish(1, 1).resent());
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
            wire.cut_and_resume();
        },
        |wire| {
            wire.connect(false);
            wire.up(publish(2, 1));
            wire.down(message(PubRec, 1));
            wire.up_lost(message(PubRel, 1));
            wire.cut();
            wire.connect(true);
            wire.up(message(PubRel, 1).resent());
            wire.down(message(PubComp, 1));
        },
    ),
    (
        Rule::ResendOutOfOrder,
        |wire| {
            wire.connect(false);
            wire.up_lost(publish(1, 1));
            wire.up_lost(publish(1, 2));
            wire.cut_and_resume();
            for id in [2, 1] {
                wire.up(publish(1, id).resent());
                wire.down(message(PubAck, id));
            }
        },
        |wire| {
            wire.connect(false);
            wire.up_lost(publish(1, 2));
            wire.up_lost(publish(1, 1));
            wire.cut_and_resume();
            // By the order of sending, not of ids.
            for id in [2, 1] {
                wire.up(publish(1, id).resent());
                wire.down(message(PubAck, id));
            }
        },
    ),
    (
        Rule::NewBeforeResend,
        |wire| {
            wire.connect(false);
            wire.up_lost(publish(1, 1));
            wire.cut_and_resume();
            wire.up(publish(1, 2));
            wire.down(message(PubAck, 2));
            wire.up(publish(1, 1).resent());
            wire.down(message(PubAck, 1));
        },
        |wire| {
            wire.connect(false);
            wire.up_lost(publish(1, 1));
            wire.cut_and_resume();
            wire.up(publish(1, 1).resent());
            wire.up(publish(1, 2));
            wire.down(message(PubAck, 1));
            wire.down(message(PubAck, 2));
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
        |wire| resend_pubrels(wire, [1, 2], [2, 1]),
        |wire| resend_pubrels(wire, [1, 2], [1, 2]),
    ),
    (
        Rule::ResentAlive,
        |wire| {
            wire.connect(false);
            wire.up_lost(publish(1, 1));
            wire.up(publish(1, 1).resent());
            wire.down(message(PubAck, 1));
        },
        |wire| {
            wire.connect(false);
            wire.up(publish(2, 1));
            wire.down(message(PubRec, 1));
            wire.up_lost(message(PubRel, 1));
            wire.cut_and_resume();
            wire.up(message(PubRel, 1).resent());
            wire.down(message(PubRec, 1));
            // Every PUBREC is answered.
            wire.up(message(PubRel, 1).resent().resent());
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
            wire.cut_and_resume();
            wire.up(publish(1, 1).resent());
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
            wire.send_connect(CONNECT_INFO);
            wire.send_connack_with(false, 1, u32::MAX);
            wire.up(publish(1, 1));
            wire.up(publish(2, 2));
            wire.down(message(PubAck, 1));
            finish_qos2(wire, 2);
        },
        |wire| {
            wire.open();
            wire.send_connect(CONNECT_INFO);
            wire.send_connack_with(false, 1, u32::MAX);
            exchange(wire, 1, 1);
            wire.up_lost(publish(1, 2));
            wire.cut();
            wire.open();
            wire.send_connect(CONNECT_INFO);
            // A new connection counts anew.
            wire.send_connack_with(true, 1, u32::MAX);
            wire.up(publish(1, 2).resent());
            wire.up(publish(0, 0));
            wire.down(message(PubAck, 2));
            exchange(wire, 2, 3);
        },
    ),
    (
        Rule::TooLarge,
        |wire| {
            wire.open();
            wire.send_connect(CONNECT_INFO);
            wire.send_connack_with(false, u16::MAX, 100);
            wire.up(publish(0, 0).size(101));
        },
        |wire| {
            wire.open();
            wire.send_connect(ConnectInfo { max_packet_size: 50, ..CONNECT_INFO });
            wire.send_connack_with(false, u16::MAX, 100);
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
            wire.refused(message(PubRel, 1), DropReason::Expired);
        },
        |wire| {
            wire.connect(false);
            // It expired while it waited.
            wire.refused(message(PubRel, 1), DropReason::Expired);
        },
    ),
    (
        Rule::OldStateAfterReset,
        |wire| {
            wire.connect_with(ConnectInfo { session_expiry: 10, ..CONNECT_INFO }, false);
            wire.up_lost(publish(1, 1));
            wire.cut();
            wire.wait(20);
            wire.connect(false);
            wire.up(publish(1, 1).resent());
            wire.down(message(PubAck, 1));
        },
        |wire| {
            wire.connect_with(ConnectInfo { session_expiry: 10, ..CONNECT_INFO }, false);
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
            wire.connect_with(
                ConnectInfo { clean: true, session_expiry: 0, ..CONNECT_INFO },
                false,
            );
            wire.up_lost(publish(1, 1));
            wire.cut();
            wire.connect_with(
                ConnectInfo { clean: true, session_expiry: 0, ..CONNECT_INFO },
                false,
            );
            wire.up(publish(1, 1).resent());
            wire.down(message(PubAck, 1));
        },
        |wire| {
            wire.connect_with(
                ConnectInfo { clean: true, session_expiry: 0, ..CONNECT_INFO },
                false,
            );
            wire.up_lost(publish(1, 1));
            wire.cut();
            wire.connect_with(
                ConnectInfo { clean: true, session_expiry: 0, ..CONNECT_INFO },
                false,
            );
            exchange(wire, 1, 1);
        },
    ),
];
