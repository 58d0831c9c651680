//! How the nodes of a simulation are driven: called at once, or elsewhere.

use std::collections::VecDeque;
use std::convert::Infallible;

use super::links::PacketInFlight;
use qoslab_core::base::{ClientIndex, CloseReason, ConnectionNumber, Node, Time};
use qoslab_core::mqtt::{Broker, Client, ClientRequest, Endpoint, Message};

/// Interface between a simulation and its nodes. Every method but the types has a default, which is
/// right for endpoints that the simulation calls itself.
pub(crate) trait NodeDriver {
    /// A client, as the simulation knows it.
    type Client: Endpoint<Request = ClientRequest> + Clone;
    /// The broker, as the simulation knows it.
    type Broker: Endpoint<Request = Infallible> + Clone;

    /// Whether endpoints are told of their sockets: that one is full, has room again, or has part
    /// of a packet. Otherwise sockets take all, and whole packets are all that is known.
    const IS_TOLD_OF_SOCKETS: bool;

    // ---- what reaches a node ----

    /// A packet reached a node. Gives it back if the node handles it at once.
    #[inline]
    fn accept_packet(&mut self, _: Node, packet: PacketInFlight) -> Option<PacketInFlight> {
        Some(packet)
    }

    /// The end of an open connection reached a node; whether the node learns of it later.
    #[inline]
    fn accept_close(&mut self, _: Node, _: ConnectionNumber, _: CloseReason) -> bool {
        false
    }

    /// A node's end of a connection is gone: the packets that it had not taken yet.
    #[inline]
    fn close_end(&mut self, _: Node, _: ConnectionNumber) -> VecDeque<PacketInFlight> {
        VecDeque::new()
    }

    /// Queues a command for a node's host.
    #[inline]
    fn push_host_command(&mut self, _: HostCommand) {}

    // ---- systems under test ----

    /// Whether a node is a system under test.
    #[inline]
    fn is_sut(&self, _: Node) -> bool {
        false
    }

    /// Whether nothing waits for a node, and no system under test is at work.
    #[inline]
    fn is_idle(&self, _: Time) -> bool {
        true
    }

    /// A client begins to open a connection.
    #[inline]
    fn connect_started(&mut self, _: Time, _: ClientIndex) {}

    /// A client has its connection.
    #[inline]
    fn connection_opened(&mut self, _: Time) {}

    /// A message as it is published: with a payload by which it is known, where that is needed.
    #[inline]
    fn identified(&self, message: Message) -> Message {
        message
    }

    /// The number of the packet that is being written.
    #[inline]
    fn packet_number(&self) -> u32 {
        0
    }

    /// How long a packet is, where its writer encodes it otherwise than we do.
    #[inline]
    fn frame_length(&self, _: u32) -> Option<u32> {
        None
    }
}

/// The driver of the event engine: it calls our own endpoints at once, and has no state.
#[derive(Clone, Copy, Debug)]
pub(super) struct DirectDriver;

impl NodeDriver for DirectDriver {
    type Client = Client;
    type Broker = Broker;

    const IS_TOLD_OF_SOCKETS: bool = true;
}

/// Work to be done on a node where it is driven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HostCommand {
    /// It crashed: what its storage does not hold is gone.
    Crash(Node),
    /// It starts again.
    Restart(Node),
    /// Its storage is written.
    Save(Node),
}
