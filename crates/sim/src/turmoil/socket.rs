//! Sockets of simulated hosts: turmoil carries the bytes, the simulation decides when they arrive.
//!
//! What is written is cut into packets. Each is reported to the simulation, which decides its fate
//! by its name as in the event engine; it goes out on a turmoil stream at once, behind the
//! number that it was given. The other end gives its bytes out when the simulation has brought the
//! packet there: later than turmoil by all that the link does, one packet at a time, or never.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::{fmt, io};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use turmoil::net::TcpStream;

use super::sim_context::{ConnectionEnd, PacketTag, SimContext};
use crate::event::remote::{ReceivedItem, WriteOutcome};
use crate::sut_error::SutErrorKind;
use qoslab_core::base::{CloseReason, Transmission};
use qoslab_core::mqtt::{Packet, wire};
use qoslab_core::shell::PacketNamer;

/// One end of a connection between a client and the broker. It may be used only on the host that
/// it was given to.
pub struct Socket {
    end: ConnectionEnd,
    /// Whether a system under test writes here, which does not name its packets.
    is_sut: bool,
    /// Whether nothing more is taken from its writer.
    is_muted: bool,
    /// `None` once nothing more can be read, as after a crash of the peer's host.
    stream: Option<TcpStream>,
    /// How many more ticks data sent before that may take; `None` while the peer is there.
    ticks_left: Option<u32>,
    /// Packets that turmoil has delivered, by number.
    received_frames: BTreeMap<u32, Vec<u8>>,
    /// Bytes that it has delivered of the next one.
    partial_frame: Vec<u8>,
    /// The packet that has come and that turmoil has not brought.
    awaited_serial: Option<u32>,
    /// Bytes left of the packet that is being read.
    unread_bytes: Vec<u8>,
    /// The part of a packet that was written.
    unsent_bytes: Vec<u8>,
    /// Why nothing more will come.
    close_reason: Option<CloseReason>,
}

/// The number and the length in front of each packet.
const HEADER: usize = 8;
/// turmoil delivers everything within this number of ticks.
const MAX_DELIVERY_TICKS: u32 = 3;
/// No system under test has reason to write larger packets: scenarios are of messages.
const MAX_FRAME: u32 = 16 << 20;

impl Socket {
    /// An end at a system under test.
    pub(super) const fn for_sut(end: ConnectionEnd, stream: Option<TcpStream>) -> Self {
        Self::new(end, stream, true)
    }

    /// An end at an endpoint of ours.
    pub(super) const fn for_endpoint(end: ConnectionEnd, stream: Option<TcpStream>) -> Self {
        Self::new(end, stream, false)
    }

    const fn new(end: ConnectionEnd, stream: Option<TcpStream>, is_sut: bool) -> Self {
        Self {
            end,
            is_sut,
            is_muted: false,
            stream,
            received_frames: BTreeMap::new(),
            partial_frame: Vec::new(),
            awaited_serial: None,
            ticks_left: None,
            unread_bytes: Vec::new(),
            unsent_bytes: Vec::new(),
            close_reason: None,
        }
    }

    // ---- writing ----

    /// Sends the packets that are whole.
    fn send_complete_packets(&mut self, sim_context: &SimContext) {
        while !self.is_muted && self.close_reason.is_none() {
            let complete = match wire::frame_len(&self.unsent_bytes) {
                Err(error) => return self.refuse_malformed(sim_context, error.to_string()),
                Ok(Some(length)) if length > MAX_FRAME => {
                    return self
                        .refuse_malformed(sim_context, format!("a packet of {length} bytes"));
                }
                Ok(length) => length.and_then(|length| self.unsent_bytes.get(..length as usize)),
            };
            let Some(frame) = complete.map(<[u8]>::to_vec) else { return };
            self.unsent_bytes.drain(..frame.len());
            self.send_frame(sim_context, &frame);
        }
    }

    fn send_frame(&mut self, sim_context: &SimContext, frame: &[u8]) {
        let ConnectionEnd { connection, node } = self.end;
        let serial = if self.is_sut {
            match sim_context.with(|sim| sim.write_frame(node, connection, frame)) {
                WriteOutcome::Carried(serial) => Some(serial),
                WriteOutcome::Discarded => None,
                WriteOutcome::Malformed => return self.close_with(CloseReason::Protocol),
                WriteOutcome::Muted => {
                    self.is_muted = true;
                    None
                }
            }
        } else {
            let Some(PacketTag { packet, transmission }) = sim_context.pop_outgoing(self.end)
            else {
                return;
            };
            sim_context.with(|sim| sim.write_packet(node, connection, packet, transmission))
        };
        if let (Some(serial), Some(stream), None) = (serial, &self.stream, self.ticks_left) {
            let length = u32::try_from(frame.len()).unwrap_or(u32::MAX);
            let framed = [&serial.to_be_bytes()[..], &length.to_be_bytes(), frame].concat();
            if stream.try_write(&framed).is_err() {
                // Its peer is gone; how it learns of that, the simulation says. What came before is
                // there to be read.
                self.ticks_left = Some(MAX_DELIVERY_TICKS);
            }
        }
    }

    /// The system under test wrote bytes that can be no packet.
    fn refuse_malformed(&mut self, sim_context: &SimContext, why: String) {
        sim_context
            .with(|sim| sim.report_sut_error(self.end.node, SutErrorKind::MalformedPacket(why)));
        self.close_with(CloseReason::Protocol);
    }

    // ---- reading ----

    /// Sees to it that there is something to be read, unless nothing more will come.
    fn fill_unread(
        &mut self,
        sim_context: &SimContext,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let end = self.end;
        if self.awaited_serial.is_none() {
            match sim_context.with(|sim| sim.poll_receive(end.node, end.connection, context)) {
                None => return Poll::Pending,
                Some(ReceivedItem::Closed(why)) => {
                    self.close_reason = Some(why);
                    sim_context.remove_end(end);
                    return Poll::Ready(Ok(()));
                }
                Some(ReceivedItem::Packet { serial, packet, transmission }) => {
                    if !self.is_sut {
                        sim_context.set_arrived(end, PacketTag { packet, transmission });
                    }
                    self.awaited_serial = Some(serial);
                }
            }
        }
        self.take_awaited(sim_context, context)
    }

    /// Takes the packet that has come from what turmoil has brought. It brings everything within a
    /// tick or two, and a packet may come sooner: where it skips the delay, or by much jitter.
    fn take_awaited(
        &mut self,
        sim_context: &SimContext,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let Some(serial) = self.awaited_serial else { return Poll::Ready(Ok(())) };
        if !self.received_frames.contains_key(&serial) {
            self.read_stream(context);
        }
        let Some(bytes) = self.received_frames.remove(&serial) else {
            if self.stream.is_none() || self.ticks_left == Some(0) {
                return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
            }
            self.ticks_left = self.ticks_left.map(|ticks| ticks - 1);
            sim_context.wake_next_tick(context.waker());
            return Poll::Pending;
        };
        // Those before it were lost with what carried them.
        self.received_frames = self.received_frames.split_off(&serial);
        self.awaited_serial = None;
        self.unread_bytes = bytes;
        Poll::Ready(Ok(()))
    }

    /// Reads all that turmoil has brought.
    fn read_stream(&mut self, context: &mut Context<'_>) {
        let mut bytes = [0; 4096];
        while let Some(stream) = &mut self.stream {
            let mut buffer = ReadBuf::new(&mut bytes);
            match Pin::new(stream).poll_read(context, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                    self.partial_frame.extend_from_slice(buffer.filled());
                }
                Poll::Ready(_) => self.stream = None,
                Poll::Pending => break,
            }
        }
        while let Some((&[a, b, c, d, e, f, g, h], rest)) =
            self.partial_frame.split_first_chunk::<HEADER>()
        {
            let serial = u32::from_be_bytes([a, b, c, d]);
            let length = u32::from_be_bytes([e, f, g, h]) as usize;
            let Some(frame) = rest.get(..length) else { break };
            self.received_frames.insert(serial, frame.to_vec());
            self.partial_frame.drain(..HEADER + length);
        }
    }

    fn close_with(&mut self, why: CloseReason) {
        if self.close_reason.is_some() {
            return;
        }
        self.close_reason = Some(why);
        if let Some(sim_context) = SimContext::current() {
            sim_context.with(|sim| sim.close(self.end.node, self.end.connection, why));
            sim_context.remove_end(self.end);
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.unread_bytes.is_empty() && this.close_reason.is_none() {
            let Some(sim_context) = SimContext::current() else { return Poll::Pending };
            std::task::ready!(this.fill_unread(&sim_context, context))?;
        }
        if this.unread_bytes.is_empty() {
            return Poll::Ready(match this.close_reason {
                Some(
                    CloseReason::Cut
                    | CloseReason::Reset
                    | CloseReason::UserTimeout
                    | CloseReason::Crash,
                ) => Err(io::ErrorKind::ConnectionReset.into()),
                _ => Ok(()),
            });
        }
        let count = this.unread_bytes.len().min(buffer.remaining());
        buffer.put_slice(&this.unread_bytes[..count]);
        this.unread_bytes.drain(..count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.close_reason.is_some() {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let sim_context = SimContext::current().filter(|_| !this.is_muted);
        let Some(sim_context) = sim_context else { return Poll::Pending };
        this.unsent_bytes.extend_from_slice(bytes);
        this.send_complete_packets(&sim_context);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().close_with(CloseReason::Requested);
        Poll::Ready(Ok(()))
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.close_with(CloseReason::Requested);
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Socket").field("place", &self.end).finish_non_exhaustive()
    }
}

/// Names of packets of our own endpoints, which the endpoints give themselves.
pub(super) struct EndpointTags(ConnectionEnd);

impl EndpointTags {
    pub(super) const fn new(end: ConnectionEnd) -> Self {
        Self(end)
    }
}

impl PacketNamer for EndpointTags {
    fn on_receive(&mut self, packet: &mut Packet) -> Transmission {
        let tag = SimContext::current().and_then(|sim_context| sim_context.take_arrived(self.0));
        let Some(PacketTag { packet: sent, transmission }) = tag else {
            return Transmission::default();
        };
        wire::restore_untransmitted(packet, &sent);
        assert!(*packet == sent, "carried as {sent:?} and read as {packet:?}");
        transmission
    }

    fn on_send(&mut self, packet: &Packet, transmission: Transmission) {
        if let Some(sim_context) = SimContext::current() {
            sim_context.push_outgoing(self.0, PacketTag { packet: packet.clone(), transmission });
        }
    }

    fn on_local_close(&mut self, why: CloseReason) {
        if let Some(sim_context) = SimContext::current() {
            sim_context.with(|sim| sim.close(self.0.node, self.0.connection, why));
        }
    }
}
