//! Packets over a byte stream, separated by their fixed headers.

use std::collections::VecDeque;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::codec::Codec;
use super::packet_transport::{PacketNamer, PacketTransport, TransportClosed, TransportLimits};
use crate::base::{CloseReason, Span, Transmission};
use crate::mqtt::{Packet, Version, wire};

/// Number of bytes that are read at a time.
const READ_CHUNK: usize = 4096;

/// A connection over a byte stream. It never reads beyond the packet it waits for, so what is not
/// read yet pushes back on its sender; a stream whose reads are costly wants a
/// [`BufReader`](tokio::io::BufReader) around it.
#[derive(Debug)]
pub struct Framed<S, M = ()> {
    pub(super) stream: S,
    codec: Codec<M>,
    /// What came of the next packet.
    pub(super) frame: Vec<u8>,
    write_buffer: WriteBuffer,
    /// The task that polled last, to be woken when there is room for what is left of a `send`.
    waker: Waker,
}

impl<S, M: PacketNamer> Framed<S, M> {
    /// A client's connection in its version.
    pub fn of_client(stream: S, version: Version, limits: TransportLimits, hooks: M) -> Self {
        Self::new(stream, Codec::new(Some(version), limits, hooks))
    }

    /// A broker's connection; the first packet must be CONNECT, which says the version.
    pub fn of_broker(stream: S, limits: TransportLimits, hooks: M) -> Self {
        Self::new(stream, Codec::new(None, limits, hooks))
    }

    fn new(stream: S, codec: Codec<M>) -> Self {
        let waker = Waker::noop().clone();
        Self { stream, codec, frame: Vec::new(), write_buffer: WriteBuffer::default(), waker }
    }
}

impl<S, M> PacketTransport for Framed<S, M>
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
    M: PacketNamer,
{
    fn poll_receive(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(Packet, Transmission), TransportClosed>> {
        self.waker.clone_from(cx.waker());
        if self.write_buffer.unsent_bytes > self.codec.limits.pause_reading_above {
            return Poll::Pending;
        }
        ready!(self.poll_frame(cx))?;
        let read = self.codec.read(&self.frame);
        self.frame = Vec::new();
        Poll::Ready(Ok(read?))
    }

    fn send(&mut self, packet: &Packet, transmission: Transmission) -> Result<(), TransportClosed> {
        let unsent = self.write_buffer.unsent_bytes;
        if unsent > self.codec.limits.close_above {
            self.write_buffer.discard();
            return Err(TransportClosed::SlowReader { unsent });
        }
        self.write_buffer.push(self.codec.write(packet, transmission)?);
        let mut cx = Context::from_waker(&self.waker);
        if let Poll::Ready(Err(_)) = self.write_buffer.poll_write(&mut self.stream, &mut cx) {
            self.waker.wake_by_ref();
        }
        Ok(())
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TransportClosed>> {
        self.waker.clone_from(cx.waker());
        self.write_buffer.poll_write(&mut self.stream, cx).map_err(TransportClosed::Failed)
    }

    fn on_local_close(&mut self, why: CloseReason) {
        self.codec.hooks.on_local_close(why);
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if ready!(self.write_buffer.poll_write(&mut self.stream, cx)).is_ok() {
            // One that cannot be shut down is as gone as it can be.
            let _ = ready!(Pin::new(&mut self.stream).poll_shutdown(cx));
        }
        Poll::Ready(())
    }

    fn close_timeout(&self) -> Span {
        self.codec.limits.close_timeout
    }
}

impl<S: AsyncRead + Unpin, M: PacketNamer> Framed<S, M> {
    /// Reads until `frame` is one whole packet. Memory is taken for what came, not for what its
    /// header claims, and a packet that is too large is refused by its header.
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TransportClosed>> {
        loop {
            let whole = match wire::frame_len(&self.frame)? {
                // No packet is shorter than two bytes, and a length that goes on has one more.
                None => (self.frame.len() + 1).max(2),
                Some(bytes) => {
                    self.codec.check_size(bytes)?;
                    usize::try_from(bytes).expect("a frame's length fits into memory's")
                }
            };
            let missing = whole - self.frame.len();
            if missing == 0 {
                return Poll::Ready(Ok(()));
            }
            ready!(self.poll_read(cx, missing.min(READ_CHUNK)))?;
        }
    }

    /// Reads at most `max` more bytes.
    fn poll_read(&mut self, cx: &mut Context<'_>, max: usize) -> Poll<Result<(), TransportClosed>> {
        let mut chunk = [MaybeUninit::uninit(); READ_CHUNK];
        let mut read = ReadBuf::uninit(&mut chunk[..max]);
        if let Err(error) = ready!(Pin::new(&mut self.stream).poll_read(cx, &mut read)) {
            return Poll::Ready(Err(TransportClosed::Failed(error.kind())));
        }
        self.frame.extend(read.filled());
        Poll::Ready(match read.filled() {
            [] if self.frame.is_empty() => Err(TransportClosed::PeerClosed),
            [] => Err(TransportClosed::Failed(io::ErrorKind::UnexpectedEof)),
            _ => Ok(()),
        })
    }
}

/// Packets that wait to be written.
#[derive(Debug, Default)]
struct WriteBuffer {
    frames: VecDeque<Vec<u8>>,
    /// How much of the first is written.
    written: usize,
    /// Bytes of all that are not.
    unsent_bytes: usize,
    /// Why nothing can be written any more.
    failure: Option<io::ErrorKind>,
}

impl WriteBuffer {
    fn push(&mut self, frame: Vec<u8>) {
        if self.failure.is_none() {
            self.unsent_bytes += frame.len();
            self.frames.push_back(frame);
        }
    }

    fn discard(&mut self) {
        self.frames.clear();
        self.written = 0;
        self.unsent_bytes = 0;
    }

    /// Writes as much as there is room for. Once that fails it stays so.
    fn poll_write<S: AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), io::ErrorKind>> {
        if self.failure.is_none()
            && let Err(error) = ready!(self.poll_write_frames(stream, cx))
        {
            self.failure = Some(error.kind());
            self.discard();
        }
        Poll::Ready(self.failure.map_or(Ok(()), Err))
    }

    fn poll_write_frames<S: AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while let Some(frame) = self.frames.front() {
            let rest = &frame[self.written..];
            let written = ready!(Pin::new(&mut *stream).poll_write(cx, rest))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.unsent_bytes -= written;
            self.written += written;
            if self.written == frame.len() {
                self.frames.pop_front();
                self.written = 0;
            }
        }
        Pin::new(stream).poll_flush(cx)
    }
}
