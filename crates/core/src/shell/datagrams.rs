//! Packets over datagrams: one in each.

use std::io;
use std::task::{Context, Poll, Waker};

use super::carrier::{Carrier, Gone, Limits, Marks};
use super::codec::Codec;
use crate::base::event::Close;
use crate::base::name::Transmission;
use crate::base::time::Span;
use crate::mqtt::packet::Packet;
use crate::mqtt::settings::Version;

/// Something that carries datagrams to and from one peer.
pub trait Datagram: 'static {
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
/// others are on their way: whoever needs an answer sends it again.
#[derive(Debug)]
pub struct Datagrams<D, M = ()> {
    socket: D,
    codec: Codec<M>,
}

impl<D: Datagram, M: Marks> Datagrams<D, M> {
    /// A client's connection in its version.
    pub const fn of_client(socket: D, version: Version, limits: Limits, marks: M) -> Self {
        Self { socket, codec: Codec::new(Some(version), limits, marks) }
    }

    /// A broker's connection; the first packet must be CONNECT, which says the version.
    pub const fn of_broker(socket: D, limits: Limits, marks: M) -> Self {
        Self { socket, codec: Codec::new(None, limits, marks) }
    }
}

impl<D: Datagram, M: Marks> Carrier for Datagrams<D, M> {
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Result<(Packet, Transmission), Gone>> {
        self.socket.poll_recv(cx).map(|received| {
            let datagram = received.map_err(|error| Gone::Failed(error.kind()))?;
            self.codec.admit(u32::try_from(datagram.len()).unwrap_or(u32::MAX))?;
            Ok(self.codec.read(&datagram)?)
        })
    }

    fn send(&mut self, packet: &Packet, transmission: Transmission) -> Result<(), Gone> {
        let datagram = self.codec.write(packet, transmission)?;
        // However it ends: what is not sent now is lost.
        let _ = self.socket.poll_send(&mut Context::from_waker(Waker::noop()), &datagram);
        Ok(())
    }

    fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Gone>> {
        Poll::Ready(Ok(()))
    }

    fn closes(&mut self, why: Close) {
        self.codec.marks.closes(why);
    }

    fn poll_close(&mut self, _: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }

    fn linger(&self) -> Span {
        Span::ZERO
    }
}
