//! Connections and sessions.

use super::super::rule_harness::{CONNECT_INFO, ConnectInfo, control, forward, publish};
use super::RuleCase;
use crate::rules::Rule;
use qoslab_core::base::{CloseReason, Node, PacketKind};

/// The rules of connections and sessions.
pub(super) const CONNECTIONS: [RuleCase; 14] = [
    (
        Rule::ConnectNotFirst,
        |wire| {
            wire.open();
            wire.up_lost(publish(0, 0));
        },
        |wire| wire.connect(false),
    ),
    (
        Rule::SecondConnect,
        |wire| {
            wire.connect(false);
            wire.send_connect(CONNECT_INFO);
            wire.cut();
        },
        |wire| {
            wire.connect(false);
            wire.cut_and_resume();
        },
    ),
    (
        Rule::ConnAckNotFirst,
        |wire| {
            wire.open();
            wire.send_connect(CONNECT_INFO);
            wire.down(forward(0, 1));
            wire.cut();
        },
        |wire| {
            wire.connect(false);
            wire.down(forward(0, 1));
        },
    ),
    (
        Rule::SecondConnAck,
        |wire| {
            wire.connect(false);
            wire.send_connack(false);
        },
        |wire| {
            wire.connect(false);
            wire.cut_and_resume();
        },
    ),
    (
        Rule::ConnectUnanswered,
        |wire| {
            wire.open();
            wire.send_connect(CONNECT_INFO);
        },
        |wire| {
            wire.open();
            wire.send_connect(CONNECT_INFO);
            wire.cut();
        },
    ),
    (
        Rule::PresentAfterClean,
        |wire| {
            wire.connect(false);
            wire.cut();
            wire.connect_with(ConnectInfo { clean: true, ..CONNECT_INFO }, true);
        },
        |wire| {
            wire.connect_with(ConnectInfo { clean: true, ..CONNECT_INFO }, false);
            wire.cut();
            // A clean start begins a session that may be kept.
            wire.connect(true);
        },
    ),
    (
        Rule::PresentWithoutSession,
        |wire| wire.connect(true),
        |wire| {
            wire.connect(false);
            wire.crash(Node::Broker);
            wire.connect(true);
        },
    ),
    (
        Rule::SessionLost,
        |wire| {
            wire.connect_with(ConnectInfo { session_expiry: 100, ..CONNECT_INFO }, false);
            wire.cut();
            wire.wait(90);
            wire.connect(false);
        },
        |wire| {
            wire.connect_with(ConnectInfo { session_expiry: 100, ..CONNECT_INFO }, false);
            wire.cut();
            wire.wait(110);
            wire.connect(false);
        },
    ),
    (
        Rule::OldLeftOpen,
        |wire| {
            wire.connect(false);
            wire.connect(true);
        },
        |wire| {
            wire.connect(false);
            wire.open();
            wire.send_connect(CONNECT_INFO);
            wire.send_connack(true);
            // In the same instant.
            wire.close_old_connection();
        },
    ),
    (
        Rule::SentAfterDisconnect,
        |wire| {
            wire.connect(false);
            wire.up(control(PacketKind::Disconnect));
            wire.up_lost(publish(0, 0));
        },
        |wire| {
            wire.connect(false);
            wire.up(publish(0, 0));
            wire.up(control(PacketKind::Disconnect));
            wire.close(CloseReason::Requested);
            wire.connect(true);
        },
    ),
    (
        Rule::ClientSilent,
        |wire| {
            wire.connect_with(ConnectInfo { keep_alive: 10, ..CONNECT_INFO }, false);
            wire.wait(12);
            wire.up(publish(0, 0));
        },
        |wire| {
            wire.connect_with(ConnectInfo { keep_alive: 10, ..CONNECT_INFO }, false);
            wire.wait(10);
            wire.up(control(PacketKind::PingReq));
            wire.down(control(PacketKind::PingResp));
            wire.wait(10);
            wire.up(publish(0, 0));
        },
    ),
    (
        Rule::SilenceIgnored,
        |wire| {
            wire.connect_with(ConnectInfo { keep_alive: 10, ..CONNECT_INFO }, false);
            // What the client sends is lost, and the broker does not mind.
            for _ in 0..2 {
                wire.wait(9);
                wire.up_lost(publish(0, 0));
            }
            wire.up(publish(0, 0));
        },
        |wire| {
            wire.connect_with(ConnectInfo { keep_alive: 10, ..CONNECT_INFO }, false);
            wire.wait(9);
            wire.up_lost(publish(0, 0));
            wire.wait(5);
            wire.close(CloseReason::KeepAlive);
        },
    ),
    (
        Rule::PingUnanswered,
        |wire| {
            wire.connect(false);
            wire.up(control(PacketKind::PingReq));
        },
        |wire| {
            wire.connect(false);
            wire.up(control(PacketKind::PingReq));
            wire.cut();
        },
    ),
    (
        Rule::PingUnheeded,
        |wire| {
            wire.connect_with(ConnectInfo { keep_alive: 10, ..CONNECT_INFO }, false);
            for _ in 0..5 {
                wire.wait(7);
                wire.up_lost(control(PacketKind::PingReq));
                // The broker hears something else.
                wire.up(publish(0, 0));
            }
        },
        |wire| {
            wire.connect_with(ConnectInfo { keep_alive: 10, ..CONNECT_INFO }, false);
            wire.wait(10);
            wire.up(control(PacketKind::PingReq));
            wire.down(control(PacketKind::PingResp));
            for _ in 0..3 {
                wire.wait(9);
                wire.up(publish(0, 0));
            }
        },
    ),
];
