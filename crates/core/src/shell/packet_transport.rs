//! Packet transports: the contract between a connection and the shell.

use std::io;
use std::task::{Context, Poll};

use thiserror::Error;

use crate::base::{CloseReason, Span, Transmission};
use crate::mqtt::Packet;
use crate::mqtt::wire::WireError;

/// One connection as the shell sees it: whole packets, in the order of their sending.
pub trait PacketTransport: 'static {
    /// The next packet that came. While too much waits to be sent nothing is read; what ends that
    /// is [`PacketTransport::poll_flush`].
    ///
    /// # Errors
    /// If the connection is no more, or must not go on.
    fn poll_receive(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(Packet, Transmission), TransportClosed>>;

    /// Takes a packet to be sent, and writes it at once where there is room. What is left, and a
    /// transport that fails, is for [`PacketTransport::poll_flush`]: its last task is woken
    /// for it.
    ///
    /// # Errors
    /// If the packet cannot be written, or the peer reads too slowly.
    fn send(&mut self, packet: &Packet, transmission: Transmission) -> Result<(), TransportClosed>;

    /// Writes what is left.
    ///
    /// # Errors
    /// If the transport failed. What had come before may still be received.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TransportClosed>>;

    /// This side closes the connection; called once, before [`PacketTransport::poll_close`], not
    /// at all if the other side or the transport ended it.
    fn on_local_close(&mut self, why: CloseReason);

    /// Closes after what was sent, as far as that gets out.
    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<()>;

    /// How long [`PacketTransport::poll_close`] may take before the connection is dropped as it is.
    fn close_timeout(&self) -> Span;
}

/// Why a connection cannot go on.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TransportClosed {
    /// The peer closed it, between two packets.
    #[error("the peer closed the connection")]
    PeerClosed,
    /// The transport failed.
    #[error("the transport failed: {0}")]
    Failed(io::ErrorKind),
    /// What came is no packet that may come here, or what was to be sent cannot be said.
    #[error("a packet {0}")]
    Malformed(#[from] WireError),
    /// A packet is larger than [`TransportLimits::max_packet_size`].
    #[error("a packet of {bytes} bytes came, of {limit} at most")]
    TooLarge {
        /// Its length, fixed header included.
        bytes: u32,
        /// The limit.
        limit: u32,
    },
    /// More waits to be sent than [`TransportLimits::close_above`] allows.
    #[error("{unsent} bytes wait for a peer that does not read them")]
    SlowReader {
        /// The number of bytes not sent.
        unsent: usize,
    },
}

impl TransportClosed {
    /// Why this side closes the connection, where it is this side that does.
    pub(super) const fn close_reason(&self) -> Option<CloseReason> {
        match self {
            Self::PeerClosed | Self::Failed(_) => None,
            Self::Malformed(_) | Self::TooLarge { .. } => Some(CloseReason::Protocol),
            Self::SlowReader { .. } => Some(CloseReason::UserTimeout),
        }
    }
}

/// Resource limits of one connection. The defaults suit a broker of many small devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransportLimits {
    /// Largest packet that is read, fixed header included: what the endpoint says in 5.0 as
    /// its Maximum Packet Size, and holds to before that. By default 1 MiB.
    pub max_packet_size: u32,
    /// Topic aliases from 1 to this are kept: what the endpoint says in 5.0 as its Topic Alias
    /// Maximum. By default 0.
    pub topic_alias_maximum: u16,
    /// While more bytes than this wait to be sent, nothing is read. By default 64 KiB.
    pub pause_reading_above: usize,
    /// If more bytes than this wait when the next packet is to be sent, the connection is closed.
    /// By default 16 MiB.
    pub close_above: usize,
    /// Time that a closed connection may take for what is left to be sent. By default 10 s.
    pub close_timeout: Span,
}

impl Default for TransportLimits {
    fn default() -> Self {
        Self {
            max_packet_size: 1 << 20,
            topic_alias_maximum: 0,
            pause_reading_above: 64 << 10,
            close_above: 16 << 20,
            close_timeout: Span::from_secs(10),
        }
    }
}

/// Hooks that name packets, where names matter: in a simulation, but not on real sockets.
/// `()` names none.
pub trait PacketNamer: 'static {
    /// A packet was read: puts its tags in, and says which sending of it came.
    fn on_receive(&mut self, packet: &mut Packet) -> Transmission;

    /// A packet is about to be written. The next bytes that are written and were not yet announced
    /// are its own; each write is of one packet, or of what is left of one.
    fn on_send(&mut self, packet: &Packet, transmission: Transmission);

    /// This side closes the connection.
    fn on_local_close(&mut self, why: CloseReason);
}

impl PacketNamer for () {
    fn on_receive(&mut self, _: &mut Packet) -> Transmission {
        Transmission::default()
    }

    fn on_send(&mut self, _: &Packet, _: Transmission) {}

    fn on_local_close(&mut self, _: CloseReason) {}
}
