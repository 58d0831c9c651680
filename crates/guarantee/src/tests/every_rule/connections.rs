//! Connections and sessions.

use super::super::wire::{HELLO, Hello, control, forward, publish};
use super::Case;
use crate::rules::Rule;
use qoslab_core::base::event::Close;
use qoslab_core::base::name::{Kind, Node};

/// The rules of connections and sessions.
pub(super) const CONNECTIONS: [Case; 14] = [
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
            wire.hello(HELLO);
            wire.cut();
        },
        |wire| {
            wire.connect(false);
            wire.resume();
        },
    ),
    (
        Rule::ConnAckNotFirst,
        |wire| {
            wire.open();
            wire.hello(HELLO);
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
            wire.welcome(false);
        },
        |wire| {
            wire.connect(false);
            wire.resume();
        },
    ),
    (
        Rule::ConnectUnanswered,
        |wire| {
            wire.open();
            wire.hello(HELLO);
        },
        |wire| {
            wire.open();
            wire.hello(HELLO);
            wire.cut();
        },
    ),
    (
        Rule::PresentAfterClean,
        |wire| {
            wire.connect(false);
            wire.cut();
            wire.connect_as(Hello { clean: true, ..HELLO }, true);
        },
        |wire| {
            wire.connect_as(Hello { clean: true, ..HELLO }, false);
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
            wire.connect_as(Hello { session_expiry: 100, ..HELLO }, false);
            wire.cut();
            wire.wait(90);
            wire.connect(false);
        },
        |wire| {
            wire.connect_as(Hello { session_expiry: 100, ..HELLO }, false);
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
            wire.hello(HELLO);
            wire.welcome(true);
            // In the same instant.
            wire.old_closes();
        },
    ),
    (
        Rule::SentAfterDisconnect,
        |wire| {
            wire.connect(false);
            wire.up(control(Kind::Disconnect));
            wire.up_lost(publish(0, 0));
        },
        |wire| {
            wire.connect(false);
            wire.up(publish(0, 0));
            wire.up(control(Kind::Disconnect));
            wire.close(Close::Asked);
            wire.connect(true);
        },
    ),
    (
        Rule::ClientSilent,
        |wire| {
            wire.connect_as(Hello { keep_alive: 10, ..HELLO }, false);
            wire.wait(12);
            wire.up(publish(0, 0));
        },
        |wire| {
            wire.connect_as(Hello { keep_alive: 10, ..HELLO }, false);
            wire.wait(10);
            wire.up(control(Kind::PingReq));
            wire.down(control(Kind::PingResp));
            wire.wait(10);
            wire.up(publish(0, 0));
        },
    ),
    (
        Rule::SilenceIgnored,
        |wire| {
            wire.connect_as(Hello { keep_alive: 10, ..HELLO }, false);
            // What the client sends is lost, and the broker does not mind.
            for _ in 0..2 {
                wire.wait(9);
                wire.up_lost(publish(0, 0));
            }
            wire.up(publish(0, 0));
        },
        |wire| {
            wire.connect_as(Hello { keep_alive: 10, ..HELLO }, false);
            wire.wait(9);
            wire.up_lost(publish(0, 0));
            wire.wait(5);
            wire.close(Close::KeepAlive);
        },
    ),
    (
        Rule::PingUnanswered,
        |wire| {
            wire.connect(false);
            wire.up(control(Kind::PingReq));
        },
        |wire| {
            wire.connect(false);
            wire.up(control(Kind::PingReq));
            wire.cut();
        },
    ),
    (
        Rule::PingUnheeded,
        |wire| {
            wire.connect_as(Hello { keep_alive: 10, ..HELLO }, false);
            for _ in 0..5 {
                wire.wait(7);
                wire.up_lost(control(Kind::PingReq));
                // The broker hears something else.
                wire.up(publish(0, 0));
            }
        },
        |wire| {
            wire.connect_as(Hello { keep_alive: 10, ..HELLO }, false);
            wire.wait(10);
            wire.up(control(Kind::PingReq));
            wire.down(control(Kind::PingResp));
            for _ in 0..3 {
                wire.wait(9);
                wire.up(publish(0, 0));
            }
        },
    ),
];
