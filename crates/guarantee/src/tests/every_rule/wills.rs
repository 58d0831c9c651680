//! Wills.

use super::super::rule_harness::{
    CONNECT_INFO, ConnectInfo, Wire, broken_rules, control, tcp_v5_facts, with_will,
};
use super::RuleCase;
use crate::rules::Rule;
use qoslab_core::base::{CloseReason, Node, PacketKind};

/// The rules of wills.
pub(super) const WILLS: [RuleCase; 3] = [
    (
        Rule::WillUnowed,
        |wire| {
            wire.connect_with(with_will(0), false);
            wire.up(control(PacketKind::Disconnect));
            wire.close(CloseReason::Peer);
            wire.publish_will();
        },
        |wire| {
            wire.connect_with(with_will(0), false);
            wire.cut();
            wire.publish_will();
            wire.wait(1);
        },
    ),
    (
        Rule::WillTooEarly,
        |wire| {
            wire.connect_with(with_will(10), false);
            wire.cut();
            wire.wait(9);
            wire.publish_will();
            wire.connect(true);
        },
        |wire| {
            wire.connect_with(with_will(10), false);
            wire.cut();
            wire.wait(10);
            wire.publish_will();
        },
    ),
    (
        Rule::WillNotPublished,
        |wire| {
            wire.connect_with(with_will(10), false);
            wire.cut();
            wire.wait(11);
            wire.connect(true);
        },
        |wire| {
            wire.connect_with(with_will(10), false);
            wire.cut();
            wire.wait(8);
            wire.connect(true);
            wire.wait(60);
            wire.cut();
        },
    ),
];

#[test]
fn a_will_that_never_comes_is_missed_at_the_end_too() {
    let found = broken_rules(tcp_v5_facts(), |wire| {
        wire.connect_with(with_will(0), false);
        wire.cut();
        wire.wait(1);
        wire.crash(Node::Client(super::super::SENSOR));
    });
    assert_eq!(found, [Rule::WillNotPublished]);
}

#[test]
fn a_will_that_is_due_as_its_client_comes_back_may_go_either_way() {
    let found = broken_rules(tcp_v5_facts(), |wire| {
        wire.connect_with(with_will(10), false);
        wire.cut();
        // Opening takes the tenth second.
        wire.wait(9);
        wire.connect_with(with_will(10), true);
    });
    assert_eq!(found, []);
}

#[test]
fn a_will_comes_once_for_each_connection() {
    let found = broken_rules(tcp_v5_facts(), |wire| {
        wire.connect_with(with_will(0), false);
        wire.cut();
        wire.publish_will();
        wire.publish_will();
    });
    assert_eq!(found, [Rule::WillUnowed]);
}

#[test]
fn a_disconnect_with_a_will_leaves_it_owed() {
    for publishes in [true, false] {
        let found = broken_rules(tcp_v5_facts(), |wire| {
            wire.connect_with(with_will(0), false);
            wire.up(control(PacketKind::Disconnect).refused());
            wire.close(CloseReason::Peer);
            if publishes {
                wire.publish_will();
            }
            wire.connect(true);
        });
        let expected = if publishes { vec![] } else { vec![Rule::WillNotPublished] };
        assert_eq!(found, expected);
    }
}

#[test]
fn a_will_is_delayed_no_longer_than_its_session_lives() {
    let short = ConnectInfo { session_expiry: 5, ..with_will(60) };
    let ends_early = |wire: &mut Wire| {
        wire.connect_with(short, false);
        wire.cut();
        wire.wait(5);
        wire.publish_will();
    };
    assert_eq!(broken_rules(tcp_v5_facts(), ends_early), []);
}

#[test]
fn after_a_crash_of_the_broker_a_will_may_come_or_not() {
    for publishes in [true, false] {
        let found = broken_rules(tcp_v5_facts(), |wire| {
            wire.connect_with(with_will(0), false);
            wire.crash(Node::Broker);
            if publishes {
                wire.publish_will();
            }
            wire.wait(100);
            wire.connect_with(CONNECT_INFO, true);
        });
        assert_eq!(found, []);
    }
}
