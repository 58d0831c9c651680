//! What may befall a packet, and in which order it is tried.

use std::fmt;
use std::sync::Arc;

use qoslab_core::base::name::{Node, PacketName, Subject, Way};
use qoslab_core::base::qos::QoS;
use qoslab_core::base::time::Span;
use qoslab_core::network::settings::{Interval, Transport};
use qoslab_sim::event::explore::{Hold, Until};
use qoslab_sim::trial::{Action, CrashPoint, FaultSetup, PacketAction, PeersSee, Setup, Trigger};

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
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

impl Kind {
    /// All kinds, in order.
    pub const ALL: [Self; 5] = [Self::Drop, Self::Duplicate, Self::Delay, Self::Cut, Self::Crash];

    /// Its word.
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

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.label())
    }
}

/// What befalls one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alternative {
    /// It is lost.
    Drop,
    /// It arrives twice, the second time right behind the first.
    Duplicate,
    /// It is late.
    Delay(Until),
    /// It arrives twice, the second time late: two faults in one packet.
    LateCopy(Until),
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

/// A packet, and what befalls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chosen {
    /// The packet.
    pub packet: PacketName,
    /// What befalls it.
    pub alternative: Alternative,
}

const UNTIL: [Until; 3] = [Until::NextPacket, Until::HandshakeEnd, Until::Timeout];

const POINTS: [CrashPoint; 3] =
    [CrashPoint::BeforeCommit, CrashPoint::AfterCommit, CrashPoint::BetweenSends];

/// What is tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Menu {
    /// Which kinds of faults.
    pub kinds: Vec<Kind>,
    /// How long a crashed node is down.
    pub down: Span,
}

impl Menu {
    /// All that may befall a packet that costs so many faults, 1 or 2, in the order in which it
    /// is tried.
    pub fn of(&self, setup: &Setup, packet: &PacketName, cost: usize) -> Vec<Alternative> {
        let client = &setup.clients[packet.client.index()];
        let is_datagram = matches!(client.link.transport, Transport::Datagram { .. });
        let waits = UNTIL.into_iter().filter(|until| is_possible(*until, setup, packet));
        let mut all = Vec::new();
        if cost == 2 {
            all.extend(waits.filter(|_| is_datagram).map(Alternative::LateCopy));
        } else {
            if is_datagram {
                all.extend([Alternative::Drop, Alternative::Duplicate]);
                all.extend(waits.map(Alternative::Delay));
            } else {
                all.extend([false, true].map(|after| Alternative::Cut { after }));
            }
            all.extend(POINTS.map(Alternative::CrashReceiver));
            all.push(Alternative::CrashSender);
        }
        all.retain(|it| it.kinds().iter().all(|kind| self.kinds.contains(kind)));
        all
    }
}

/// A message of QoS 0 has no handshake, and neither has a control packet.
fn is_possible(until: Until, setup: &Setup, packet: &PacketName) -> bool {
    match (until, packet.subject) {
        (Until::HandshakeEnd, Subject::Message { stream, .. }) => {
            setup.streams[stream.index()].qos > QoS::AtMostOnce
        }
        (Until::HandshakeEnd, Subject::Control { .. }) => false,
        (Until::NextPacket | Until::Timeout, _) => true,
    }
}

impl Alternative {
    /// How many faults it is.
    #[must_use]
    pub const fn cost(self) -> usize {
        match self {
            Self::LateCopy(_) => 2,
            _ => 1,
        }
    }

    /// Which kinds of faults it is.
    #[must_use]
    pub const fn kinds(self) -> &'static [Kind] {
        match self {
            Self::Drop => &[Kind::Drop],
            Self::Duplicate => &[Kind::Duplicate],
            Self::Delay(_) => &[Kind::Delay],
            Self::LateCopy(_) => &[Kind::Duplicate, Kind::Delay],
            Self::Cut { .. } => &[Kind::Cut],
            Self::CrashReceiver(_) | Self::CrashSender => &[Kind::Crash],
        }
    }

    /// How it holds the packet back, if it does.
    #[must_use]
    pub const fn hold(self) -> Option<Hold> {
        match self {
            Self::Delay(until) => Some(Hold { until, copy: false }),
            Self::LateCopy(until) => Some(Hold { until, copy: true }),
            _ => None,
        }
    }
}

impl Chosen {
    /// As a fault of a trial. `late`: by how much a packet that is held back is late.
    #[must_use]
    pub fn fault(&self, menu: &Menu, nth: usize, late: Span) -> FaultSetup {
        let PacketName { client, way, .. } = self.packet;
        let (sender, receiver) = match way {
            Way::Up => (Node::Client(client), Node::Broker),
            Way::Down => (Node::Broker, Node::Client(client)),
        };
        let crash = |node, point| Action::Crash {
            node,
            down: Interval::Fixed(menu.down),
            peers: PeersSee::Close,
            point,
        };
        let action = match self.alternative {
            Alternative::Drop => Action::Packet(PacketAction::Drop),
            Alternative::Duplicate => Action::Packet(PacketAction::Duplicate { after: Span::ZERO }),
            Alternative::Delay(_) => Action::Packet(PacketAction::Delay { by: late }),
            Alternative::LateCopy(_) => Action::Packet(PacketAction::Duplicate { after: late }),
            Alternative::Cut { after } => Action::Cut { client, after },
            Alternative::CrashReceiver(point) => crash(receiver, point),
            Alternative::CrashSender => crash(sender, CrashPoint::Idle),
        };
        let name = Arc::from(format!("explored-{}", nth + 1));
        FaultSetup { name, trigger: Trigger::Named(self.packet), action }
    }
}
