//! The contract between an endpoint and the engine that drives it.

use std::convert::Infallible;
use std::sync::Arc;

use super::packet::{Message, Packet};
use crate::base::{CloseReason, ConnectionNumber, DropReason, MessageTag, QoS, Time, Transmission};
use crate::impl_fingerprint;

/// A sans-IO MQTT node: no clock, no socket, no randomness of its own.
///
/// > Every call to [`Endpoint::handle`] is followed by calls to [`Endpoint::poll_output`] until it
/// > returns `None`; then [`Endpoint::next_timeout`] says when to come back with
/// > [`Input::Timeout`], unless something else happens first.
///
/// One `handle` is a transaction: its state change and its deliveries commit together, and its
/// sends follow. A crash may fall before the commit, after it and before the sends, or between two
/// sends; never between a delivery and the id that remembers it.
pub trait Endpoint {
    /// Requests that its application may make.
    type Request;

    /// Handles one thing that happened at `now`; `now` never goes back.
    fn handle(&mut self, now: Time, input: Input<Self::Request>);

    /// The next thing to do, in order; `None` when all is done.
    fn poll_output(&mut self) -> Option<Output>;

    /// When it wants [`Input::Timeout`]; [`Time::NEVER`] if only others can wake it. O(1).
    fn next_timeout(&self) -> Time;

    /// Returns its remaining work. O(1).
    fn backlog(&self) -> Backlog;

    /// It crashed and starts again at `now`, with what a durable store kept of it: all that
    /// belongs to its persistent sessions, and no connection, no timer, no output.
    fn restart(&mut self, now: Time);
}

/// An input of an endpoint.
#[derive(Clone, Debug)]
pub enum Input<R> {
    /// The transport opened a connection.
    Opened(ConnectionNumber),
    /// The transport closed a connection, or the peer does not know it. At a client also: the
    /// transport could not open it.
    Closed(ConnectionNumber),
    /// The socket of a connection has no room: a write would block. Nothing that was sent is
    /// lost, but what is sent from now on waits outside of it. [`Input::Writable`] follows.
    SocketFull(ConnectionNumber),
    /// The socket of a connection has room again. It comes as long as there is room and the
    /// endpoint answers by sending something.
    Writable(ConnectionNumber),
    /// Part of a packet arrived, and not yet all of it: a sign of life, to endpoints that
    /// [take it for one](super::SignOfLife::Bytes).
    PartOfPacket(ConnectionNumber),
    /// A packet arrived.
    Packet {
        /// On which connection.
        connection: ConnectionNumber,
        /// The packet.
        packet: Packet,
        /// The transmission of the packet that arrived, for the names of the answers.
        transmission: Transmission,
    },
    /// The application asks for something.
    Application(R),
    /// The time of [`Endpoint::next_timeout`] has come.
    Timeout,
}

impl Input<Infallible> {
    /// The same for an endpoint that has an application, of which this is not.
    #[must_use]
    pub fn with_application<R>(self) -> Input<R> {
        match self {
            Self::Opened(connection) => Input::Opened(connection),
            Self::Closed(connection) => Input::Closed(connection),
            Self::SocketFull(connection) => Input::SocketFull(connection),
            Self::Writable(connection) => Input::Writable(connection),
            Self::PartOfPacket(connection) => Input::PartOfPacket(connection),
            Self::Packet { connection, packet, transmission } => {
                Input::Packet { connection, packet, transmission }
            }
            Self::Application(never) => match never {},
            Self::Timeout => Input::Timeout,
        }
    }
}

/// An output of an endpoint: an action it wants done.
#[derive(Clone, Debug)]
pub enum Output {
    /// Send a packet.
    Send {
        /// On which connection.
        connection: ConnectionNumber,
        /// The packet.
        packet: Packet,
        /// The transmission of the packet.
        transmission: Transmission,
    },
    /// Hand a message to the application.
    Deliver {
        /// The message.
        message: Message,
        /// The QoS it came with.
        qos: QoS,
        /// The RETAIN flag it came with.
        retain: bool,
    },
    /// The application's `publish()` ended well.
    Complete(MessageTag),
    /// The application's `publish()` was refused or given up.
    Refuse {
        /// The tag of the message.
        tag: MessageTag,
        /// Why.
        why: DropReason,
    },
    /// The broker dropped a copy that a session waited for.
    Drop {
        /// The session's client id.
        client_id: Arc<str>,
        /// The tag of the message.
        tag: MessageTag,
        /// Why.
        why: DropReason,
    },
    /// Open a connection to the broker.
    Connect {
        /// Number of failed attempts since the last connection, for the engine's jitter.
        attempt: u32,
    },
    /// Close a connection, after what was sent on it.
    Close {
        /// The connection.
        connection: ConnectionNumber,
        /// Why: [`CloseReason::Requested`], [`CloseReason::KeepAlive`], [`CloseReason::TakenOver`]
        /// or [`CloseReason::Protocol`].
        why: CloseReason,
    },
    /// The broker publishes a will: reported before it is routed.
    Will(MessageTag),
    /// The broker ended a session whose expiry interval had passed.
    SessionExpired {
        /// The session's client id.
        client_id: Arc<str>,
    },
}

/// Remaining work of an endpoint, over all its sessions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// QoS 1 and 2 messages that await an acknowledgement.
    pub in_flight: u32,
    /// Messages that wait for a place in the window or for a connection.
    pub queued: u32,
    /// Whether a timer other than keep alive is armed: a retry, a request, a reconnect.
    pub has_armed_timer: bool,
}

impl_fingerprint! {
    struct Backlog {
        plain in_flight, queued, has_armed_timer;
    }
}
