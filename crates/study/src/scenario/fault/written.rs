//! From the faults of a trial back to those of a file.

use super::{CrashTable, Do, DoTable, FaultTable, PartitionTable, SlowTable, WhenTable, first};
use crate::scenario::texts::{Duration, Every};
use crate::scenario::value::{Either, Given, Whole};
use crate::scenario::words::{CrashPointWord, CutWord, DoWord, EndWord, PeersWord, WayWord};
use qoslab_core::base::event::Hindrance;
use qoslab_core::base::name::{Node, Way};
use qoslab_sim::trial::{Action, CrashPoint, FaultSetup, PacketAction, PeersSee, Setup, Trigger};

/// The table that stands for a fault of this setup.
pub(in crate::scenario) fn written(fault: &FaultSetup, setup: &Setup) -> FaultTable {
    let (mut at, mut every, mut when) = (None, None, None);
    match &fault.trigger {
        Trigger::At(after) => at = Some(Given::assumed(Duration(*after))),
        Trigger::Every(interval) => every = Some(Given::assumed(Every(*interval))),
        Trigger::Named(name) => when = Some(when_table(setup.packet_text(name), 1)),
        Trigger::Packet(packet) => {
            let client = setup.clients[packet.client.index()].name.as_ref().to_owned();
            let mut table = when_table(packet.kind.label().to_owned(), packet.nth);
            match packet.way {
                Way::Up => table.value.from = Some(Given::assumed(client)),
                Way::Down => table.value.to = Some(Given::assumed(client)),
            }
            when = Some(table);
        }
    }
    let victim = whom(&fault.action);
    // At a packet all but a crash befalls the packet's own link.
    let is_said =
        when.is_none() || matches!(fault.action, Action::Crash { point: CrashPoint::Idle, .. });
    let on = victim.filter(|_| is_said).map(|node| Given::assumed(name(node, setup)));
    FaultTable { at, every, when, on, action: Given::assumed(action(fault)) }
}

fn when_table(packet: String, nth: u32) -> Given<WhenTable> {
    let nth = if nth == 1 { first() } else { Whole(nth) };
    Given::assumed(WhenTable { packet: Given::assumed(packet), nth, to: None, from: None })
}

const fn whom(action: &Action) -> Option<Node> {
    match *action {
        Action::Packet(_) => None,
        Action::Cut { client, .. }
        | Action::HalfOpen { client, .. }
        | Action::Hamper { client, .. }
        | Action::Outage { client, .. } => Some(Node::Client(client)),
        Action::Crash { node, .. } => Some(node),
    }
}

fn name(node: Node, setup: &Setup) -> String {
    match node {
        Node::Broker => "broker".to_owned(),
        Node::Client(client) => setup.clients[client.index()].name.as_ref().to_owned(),
    }
}

fn action(fault: &FaultSetup) -> Do {
    let at_packet = matches!(fault.trigger, Trigger::Packet(_) | Trigger::Named(_));
    match fault.action {
        Action::Packet(PacketAction::Drop) => Either::Text(DoWord::Drop),
        Action::Packet(PacketAction::Duplicate { after }) => {
            Either::Table(DoTable::Duplicate(Duration(after)))
        }
        Action::Packet(PacketAction::Delay { by }) => Either::Table(DoTable::Delay(Duration(by))),
        Action::Cut { after: true, .. } => Either::Table(DoTable::Cut(CutWord::After)),
        Action::Cut { .. } if at_packet => Either::Table(DoTable::Cut(CutWord::Before)),
        Action::Cut { .. } => Either::Text(DoWord::Cut),
        Action::HalfOpen { dead, .. } => Either::Table(DoTable::HalfOpen(match dead {
            Node::Broker => EndWord::Broker,
            Node::Client(_) => EndWord::Client,
        })),
        Action::Hamper { how: Hindrance::Stall, lasts, .. } => {
            Either::Table(DoTable::Stall(Every(lasts)))
        }
        Action::Hamper { how: Hindrance::Partition(way), lasts, .. } => {
            let way = if way == Way::Up { WayWord::Up } else { WayWord::Down };
            Either::Table(DoTable::Partition(PartitionTable { lasts: Every(lasts), way }))
        }
        Action::Hamper { how: Hindrance::Slow, lasts, pace, .. } => {
            Either::Table(DoTable::Slow(SlowTable { pace: Duration(pace), lasts: Every(lasts) }))
        }
        Action::Outage { lasts, .. } => Either::Table(DoTable::Outage(Every(lasts))),
        Action::Crash { down, peers, point, .. } => Either::Table(DoTable::Crash(CrashTable {
            down: Every(down),
            peers: match peers {
                PeersSee::Close => PeersWord::Close,
                PeersSee::Reset => PeersWord::Reset,
                PeersSee::Silence => PeersWord::Silence,
            },
            point: match point {
                CrashPoint::Idle => None,
                CrashPoint::BeforeCommit => Some(CrashPointWord::BeforeCommit),
                CrashPoint::AfterCommit => Some(CrashPointWord::AfterCommit),
                CrashPoint::BetweenSends => Some(CrashPointWord::BetweenSends),
            },
        })),
    }
}
