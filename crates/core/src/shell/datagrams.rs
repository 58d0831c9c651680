//! Packets over datagrams: one in each.

use std::io;
use std::task::{Context, Poll, Waker};

use super::codec::Codec;
use super::packet_transport::{PacketNamer, PacketTransport, TransportClosed, TransportLimits};
use crate::base::{CloseReason, Span, Transmission};
use crate::mqtt::{Packet, Version};

/// Transport that carries datagrams to and from one peer.
pub trait DatagramSocket: 'static {
    /// The next datagram that came.
    ///
    /// # Errors
    /// If no more will come: the connection is gone.
    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Vec<u8>>>;

    /// Sends one; pending if there is no room for it now.
    ///
    /// # Errors
    /// If it cannot be sent. That may be for this one alone: the connection goes on.
    fn poll_send(&mut self, cx: &mut Context<'_>, datagram: &[u8]) -> Poll<io::Result<()>>;
}

/// A connection over datagrams, each of them one packet. One for which there is no room is lost, as
/// others are on their way: a sender that needs an answer sends it again.
#[derive(Debug)]
pub struct DatagramTransport<D, M = ()> {
    socket: D,
    codec: Codec<M>,
}

impl<D: DatagramSocket, M: PacketNamer> DatagramTransport<D, M> {
    /// A client's connection in its version.
    pub const fn of_client(socket: D, version: Version, limits: TransportLimits, hooks: M) -> Self {
        Self { socket, codec: Codec::new(Some(version), limits, hooks) }
    }

    /// A broker's connection; the first packet must be CONNECT, which says the version.
    pub const fn of_broker(socket: D, limits: TransportLimits, hooks: M) -> Self {
        Self { socket, codec: Codec::new(None, limits, hooks) }
    }
}

impl<D: DatagramSocket, M: PacketNamer> PacketTransport for DatagramTransport<D, M> {
    fn poll_receive(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(Packet, Transmission), TransportClosed>> {
        self.socket.poll_recv(cx).map(|received| {
            let datagram = received.map_err(|error| TransportClosed::Failed(error.kind()))?;
            self.codec.check_size(u32::try_from(datagram.len()).unwrap_or(u32::MAX))?;
            Ok(self.codec.read(&datagram)?)
        })
    }

    fn send(&mut self, packet: &Packet, transmission: Transmission) -> Result<(), TransportClosed> {
        let datagram = self.codec.write(packet, transmission)?;
        // However it ends: what is not sent now is lost.
        let _ = self.socket.poll_send(&mut Context::from_waker(Waker::noop()), &datagram);
        Ok(())
    }

    fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<Result<(), TransportClosed>> {
        Poll::Ready(Ok(()))
    }

    fn on_local_close(&mut self, why: CloseReason) {
        self.codec.hooks.on_local_close(why);
    }

    fn poll_close(&mut self, _: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }

    fn close_timeout(&self) -> Span {
        Span::ZERO
    }
}
