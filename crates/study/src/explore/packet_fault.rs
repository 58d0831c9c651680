//! Faults that may happen to a packet, and the order in which they are tried.

use std::fmt;
use std::sync::Arc;

use qoslab_core::base::{Direction, Node, PacketName, PacketSubject, QoS, Span};
use qoslab_core::network::{IntervalDistribution, Transport};
use qoslab_sim::event::explore::{DelayRule, ReleaseWhen};
use qoslab_sim::{
    CrashPoint, FaultAction, FaultSetup, PacketAction, PeerVisibility, Setup, Trigger,
};

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FaultKind {
    /// A datagram is lost.
    Drop,
    /// A datagram arrives twice.
    Duplicate,
    /// A datagram arrives late.
    Delay,
    /// A TCP connection is cut.
    Cut,
    /// A node crashes and starts again.
    Crash,
}

impl FaultKind {
    /// All kinds, in order.
    pub const ALL: [Self; 5] = [Self::Drop, Self::Duplicate, Self::Delay, Self::Cut, Self::Crash];

    /// Its keyword.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Drop => "drop",
            Self::Duplicate => "duplicate",
            Self::Delay => "delay",
            Self::Cut => "cut",
            Self::Crash => "crash",
        }
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.label())
    }
}

/// The fault that happens to one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PacketFault {
    /// It is lost.
    Drop,
    /// It arrives twice, the second time right behind the first.
    Duplicate,
    /// It is late.
    Delay(ReleaseWhen),
    /// It arrives twice, the second time late: two faults in one packet.
    DelayedDuplicate(ReleaseWhen),
    /// The connection is cut, before the packet arrives or right after it did.
    Cut {
        /// Whether it arrives.
        after: bool,
    },
    /// Its receiver crashes in the work on it.
    CrashReceiver(CrashPoint),
    /// Its sender crashes instead of sending it: what led to it is stored.
    CrashSender,
}

/// A packet, and the fault that happens to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InjectedFault {
    /// The packet.
    pub packet: PacketName,
    /// The fault.
    pub fault: PacketFault,
}

const RELEASE_CONDITIONS: [ReleaseWhen; 3] =
    [ReleaseWhen::NextPacket, ReleaseWhen::HandshakeEnd, ReleaseWhen::Timeout];

const CRASH_POINTS: [CrashPoint; 3] =
    [CrashPoint::BeforeCommit, CrashPoint::AfterCommit, CrashPoint::BetweenSends];

/// The faults that are tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultOptions {
    /// The kinds of faults.
    pub kinds: Vec<FaultKind>,
    /// The time for which a crashed node is down.
    pub crash_downtime: Span,
}

impl FaultOptions {
    /// All faults that may happen to a packet and cost that many faults, 1 or 2, in the order in
    /// which they are tried.
    pub fn faults_for(&self, setup: &Setup, packet: &PacketName, cost: usize) -> Vec<PacketFault> {
        let client = &setup.clients[packet.client.index()];
        let is_datagram = matches!(client.link.transport, Transport::Datagram { .. });
        let waits = RELEASE_CONDITIONS
            .into_iter()
            .filter(|until| is_release_possible(*until, setup, packet));
        let mut all = Vec::new();
        if cost == 2 {
            all.extend(waits.filter(|_| is_datagram).map(PacketFault::DelayedDuplicate));
        } else {
            if is_datagram {
                all.extend([PacketFault::Drop, PacketFault::Duplicate]);
                all.extend(waits.map(PacketFault::Delay));
            } else {
                all.extend([false, true].map(|after| PacketFault::Cut { after }));
            }
            all.extend(CRASH_POINTS.map(PacketFault::CrashReceiver));
            all.push(PacketFault::CrashSender);
        }
        all.retain(|it| it.kinds().iter().all(|kind| self.kinds.contains(kind)));
        all
    }
}

/// A message of QoS 0 has no handshake, and neither has a control packet.
fn is_release_possible(until: ReleaseWhen, setup: &Setup, packet: &PacketName) -> bool {
    match (until, packet.subject) {
        (ReleaseWhen::HandshakeEnd, PacketSubject::Message { publisher: stream, .. }) => {
            setup.publishers[stream.index()].qos > QoS::AtMostOnce
        }
        (ReleaseWhen::HandshakeEnd, PacketSubject::Control { .. }) => false,
        (ReleaseWhen::NextPacket | ReleaseWhen::Timeout, _) => true,
    }
}

impl PacketFault {
    /// The number of faults that it counts for.
    #[must_use]
    pub const fn fault_count(self) -> usize {
        match self {
            Self::DelayedDuplicate(_) => 2,
            _ => 1,
        }
    }

    /// The kinds of faults that it consists of.
    #[must_use]
    pub const fn kinds(self) -> &'static [FaultKind] {
        match self {
            Self::Drop => &[FaultKind::Drop],
            Self::Duplicate => &[FaultKind::Duplicate],
            Self::Delay(_) => &[FaultKind::Delay],
            Self::DelayedDuplicate(_) => &[FaultKind::Duplicate, FaultKind::Delay],
            Self::Cut { .. } => &[FaultKind::Cut],
            Self::CrashReceiver(_) | Self::CrashSender => &[FaultKind::Crash],
        }
    }

    /// How it holds the packet back, if it does.
    #[must_use]
    pub const fn delay_rule(self) -> Option<DelayRule> {
        match self {
            Self::Delay(until) => Some(DelayRule { release_when: until, delays_copy: false }),
            Self::DelayedDuplicate(until) => {
                Some(DelayRule { release_when: until, delays_copy: true })
            }
            _ => None,
        }
    }
}

impl InjectedFault {
    /// Returns it as a fault of a trial. `delay`: by how much a packet that is held back is late.
    #[must_use]
    pub fn to_fault_setup(&self, menu: &FaultOptions, nth: usize, delay: Span) -> FaultSetup {
        let PacketName { client, direction: way, .. } = self.packet;
        let (sender, receiver) = match way {
            Direction::Up => (Node::Client(client), Node::Broker),
            Direction::Down => (Node::Broker, Node::Client(client)),
        };
        let crash = |node, point| FaultAction::Crash {
            node,
            down: IntervalDistribution::Fixed(menu.crash_downtime),
            peers: PeerVisibility::Close,
            point,
        };
        let action = match self.fault {
            PacketFault::Drop => FaultAction::Packet(PacketAction::Drop),
            PacketFault::Duplicate => {
                FaultAction::Packet(PacketAction::Duplicate { after: Span::ZERO })
            }
            PacketFault::Delay(_) => FaultAction::Packet(PacketAction::Delay { by: delay }),
            PacketFault::DelayedDuplicate(_) => {
                FaultAction::Packet(PacketAction::Duplicate { after: delay })
            }
            PacketFault::Cut { after } => FaultAction::Cut { client, after },
            PacketFault::CrashReceiver(point) => crash(receiver, point),
            PacketFault::CrashSender => crash(sender, CrashPoint::BetweenEvents),
        };
        let name = Arc::from(format!("explored-{}", nth + 1));
        FaultSetup { name, trigger: Trigger::NamedPacket(self.packet), action }
    }
}
