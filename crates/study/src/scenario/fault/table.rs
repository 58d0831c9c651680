//! Conversion of the faults of a trial back to those of a file.

use super::{
    ActionSetting, ActionTable, CrashTable, FaultTable, PartitionTable, SlowTable, WhenTable,
    default_nth,
};
use crate::scenario::keywords::{
    ActionKeyword, CrashPointKeyword, CutKeyword, DirectionKeyword, EndKeyword, PeersKeyword,
};
use crate::scenario::quantities::{Duration, IntervalValue};
use crate::scenario::value::{BoundedInt, Located, TextOrTable};
use qoslab_core::base::{Direction, Impairment, Node};
use qoslab_sim::{
    CrashPoint, FaultAction, FaultSetup, PacketAction, PeerVisibility, Setup, Trigger,
};

/// The table that stands for a fault of this setup.
pub(in crate::scenario) fn fault_table(fault: &FaultSetup, setup: &Setup) -> FaultTable {
    let (mut at, mut every, mut when) = (None, None, None);
    match &fault.trigger {
        Trigger::At(after) => at = Some(Located::from_default(Duration(*after))),
        Trigger::Every(interval) => every = Some(Located::from_default(IntervalValue(*interval))),
        Trigger::NamedPacket(name) => when = Some(when_table(setup.format_packet_name(name), 1)),
        Trigger::NthPacket(packet) => {
            let client = setup.clients[packet.client.index()].name.as_ref().to_owned();
            let mut table = when_table(packet.kind.label().to_owned(), packet.nth);
            match packet.direction {
                Direction::Up => table.value.from = Some(Located::from_default(client)),
                Direction::Down => table.value.to = Some(Located::from_default(client)),
            }
            when = Some(table);
        }
    }
    let victim = fault_node(&fault.action);
    // At a packet every fault but a crash applies to the packet's own link.
    let is_said = when.is_none()
        || matches!(fault.action, FaultAction::Crash { point: CrashPoint::BetweenEvents, .. });
    let on = victim.filter(|_| is_said).map(|node| Located::from_default(node_name(node, setup)));
    FaultTable { at, every, when, on, action: Located::from_default(action_table(fault)) }
}

fn when_table(packet: String, nth: u32) -> Located<WhenTable> {
    let nth = if nth == 1 { default_nth() } else { BoundedInt(nth) };
    Located::from_default(WhenTable {
        packet: Located::from_default(packet),
        nth,
        to: None,
        from: None,
    })
}

const fn fault_node(action: &FaultAction) -> Option<Node> {
    match *action {
        FaultAction::Packet(_) => None,
        FaultAction::Cut { client, .. }
        | FaultAction::HalfOpen { client, .. }
        | FaultAction::Impair { client, .. }
        | FaultAction::Outage { client, .. } => Some(Node::Client(client)),
        FaultAction::Crash { node, .. } => Some(node),
    }
}

fn node_name(node: Node, setup: &Setup) -> String {
    match node {
        Node::Broker => "broker".to_owned(),
        Node::Client(client) => setup.clients[client.index()].name.as_ref().to_owned(),
    }
}

fn action_table(fault: &FaultSetup) -> ActionSetting {
    let at_packet = matches!(fault.trigger, Trigger::NthPacket(_) | Trigger::NamedPacket(_));
    match fault.action {
        FaultAction::Packet(PacketAction::Drop) => TextOrTable::Text(ActionKeyword::Drop),
        FaultAction::Packet(PacketAction::Duplicate { after }) => {
            TextOrTable::Table(ActionTable::Duplicate(Duration(after)))
        }
        FaultAction::Packet(PacketAction::Delay { by }) => {
            TextOrTable::Table(ActionTable::Delay(Duration(by)))
        }
        FaultAction::Cut { after: true, .. } => {
            TextOrTable::Table(ActionTable::Cut(CutKeyword::After))
        }
        FaultAction::Cut { .. } if at_packet => {
            TextOrTable::Table(ActionTable::Cut(CutKeyword::Before))
        }
        FaultAction::Cut { .. } => TextOrTable::Text(ActionKeyword::Cut),
        FaultAction::HalfOpen { dead_node: dead, .. } => {
            TextOrTable::Table(ActionTable::HalfOpen(match dead {
                Node::Broker => EndKeyword::Broker,
                Node::Client(_) => EndKeyword::Client,
            }))
        }
        FaultAction::Impair { impairment: Impairment::Stall, lasts, .. } => {
            TextOrTable::Table(ActionTable::Stall(IntervalValue(lasts)))
        }
        FaultAction::Impair { impairment: Impairment::Partition(way), lasts, .. } => {
            let way =
                if way == Direction::Up { DirectionKeyword::Up } else { DirectionKeyword::Down };
            TextOrTable::Table(ActionTable::Partition(PartitionTable {
                lasts: IntervalValue(lasts),
                way,
            }))
        }
        FaultAction::Impair {
            impairment: Impairment::Slow, lasts, read_interval: pace, ..
        } => TextOrTable::Table(ActionTable::Slow(SlowTable {
            pace: Duration(pace),
            lasts: IntervalValue(lasts),
        })),
        FaultAction::Outage { lasts, .. } => {
            TextOrTable::Table(ActionTable::Outage(IntervalValue(lasts)))
        }
        FaultAction::Crash { down, peers, point, .. } => {
            TextOrTable::Table(ActionTable::Crash(CrashTable {
                down: IntervalValue(down),
                peers: match peers {
                    PeerVisibility::Close => PeersKeyword::Close,
                    PeerVisibility::Reset => PeersKeyword::Reset,
                    PeerVisibility::Silence => PeersKeyword::Silence,
                },
                point: match point {
                    CrashPoint::BetweenEvents => None,
                    CrashPoint::BeforeCommit => Some(CrashPointKeyword::BeforeCommit),
                    CrashPoint::AfterCommit => Some(CrashPointKeyword::AfterCommit),
                    CrashPoint::BetweenSends => Some(CrashPointKeyword::BetweenSends),
                },
            }))
        }
    }
}
