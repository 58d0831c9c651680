//! Sockets of simulated hosts: turmoil carries the bytes, and the simulation says when they come.
//!
//! What is written is cut into packets. Each is told to the simulation, which decides its fate by
//! its name as it would in the event engine, and goes out on a turmoil stream at once, behind the
//! number that it was given. The other end gives its bytes out when the simulation has brought the
//! packet there: later than turmoil by all that the link does, one packet at a time, or never.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use turmoil::net::TcpStream;

use super::scene::{Label, Place, Scene};
use crate::event::stage::{Fared, Taken};
use crate::mishap::MishapKind;
use qoslab_core::base::event::Close;
use qoslab_core::base::name::Transmission;
use qoslab_core::mqtt::packet::Packet;
use qoslab_core::mqtt::wire;
use qoslab_core::shell::Marks;

/// One end of a connection between a client and the broker. It may be used on the host only that
/// it was given to.
pub struct Socket {
    place: Place,
    /// Whether a product writes here, of whose packets nobody says what they are called.
    is_foreign: bool,
    /// Whether nothing more is taken from its writer.
    is_muted: bool,
    /// `None` once nothing more can be read, as after a crash of the peer's host.
    stream: Option<TcpStream>,
    /// How many ticks what was sent before that may still take; `None` while the peer is there.
    left: Option<u32>,
    /// What turmoil has brought, by number.
    brought: BTreeMap<u32, Vec<u8>>,
    /// What it has brought of the next one.
    half_brought: Vec<u8>,
    /// The packet that has come and that turmoil has not brought.
    awaited: Option<u32>,
    /// What is left of the packet that is being read.
    unread: Vec<u8>,
    /// The part of a packet that was written.
    unsent: Vec<u8>,
    /// Why nothing more will come.
    closed: Option<Close>,
}

/// The number and the length in front of each packet.
const HEADER: usize = 8;
/// turmoil brings everything within so many ticks.
const TICKS_TO_BRING: u32 = 3;
/// No product under test has reason to write larger packets: scenarios are of messages.
const LARGEST: u32 = 16 << 20;

impl Socket {
    /// An end at a product under test.
    pub(super) const fn foreign(place: Place, stream: Option<TcpStream>) -> Self {
        Self::at(place, stream, true)
    }

    /// An end at an endpoint of ours.
    pub(super) const fn own(place: Place, stream: Option<TcpStream>) -> Self {
        Self::at(place, stream, false)
    }

    const fn at(place: Place, stream: Option<TcpStream>, is_foreign: bool) -> Self {
        Self {
            place,
            is_foreign,
            is_muted: false,
            stream,
            brought: BTreeMap::new(),
            half_brought: Vec::new(),
            awaited: None,
            left: None,
            unread: Vec::new(),
            unsent: Vec::new(),
            closed: None,
        }
    }

    // ---- writing ----

    /// Sends the packets that are whole.
    fn send_whole(&mut self, scene: &Scene) {
        while !self.is_muted && self.closed.is_none() {
            let whole = match wire::frame_len(&self.unsent) {
                Err(error) => return self.refuse(scene, error.to_string()),
                Ok(Some(length)) if length > LARGEST => {
                    return self.refuse(scene, format!("a packet of {length} bytes"));
                }
                Ok(length) => length.and_then(|length| self.unsent.get(..length as usize)),
            };
            let Some(frame) = whole.map(<[u8]>::to_vec) else { return };
            self.unsent.drain(..frame.len());
            self.send(scene, &frame);
        }
    }

    fn send(&mut self, scene: &Scene, frame: &[u8]) {
        let Place { connection, node } = self.place;
        let serial = if self.is_foreign {
            match scene.with(|stage| stage.write_frame(node, connection, frame)) {
                Fared::Carried(serial) => Some(serial),
                Fared::Nowhere => None,
                Fared::Refused => return self.end(Close::Protocol),
                Fared::Muted => {
                    self.is_muted = true;
                    None
                }
            }
        } else {
            let Some(Label { packet, transmission }) = scene.leaving(self.place) else { return };
            scene.with(|stage| stage.write(node, connection, packet, transmission))
        };
        if let (Some(serial), Some(stream), None) = (serial, &self.stream, self.left) {
            let length = u32::try_from(frame.len()).unwrap_or(u32::MAX);
            let parcel = [&serial.to_be_bytes()[..], &length.to_be_bytes(), frame].concat();
            if stream.try_write(&parcel).is_err() {
                // Its peer is gone; how it learns of that, the simulation says. What came before is
                // still there to be read.
                self.left = Some(TICKS_TO_BRING);
            }
        }
    }

    /// What a product wrote can be no packet.
    fn refuse(&mut self, scene: &Scene, why: String) {
        scene.with(|stage| stage.mishap(self.place.node, MishapKind::Garbage(why)));
        self.end(Close::Protocol);
    }

    // ---- reading ----

    /// Sees to it that there is something to be read, unless nothing more will come.
    fn fill(&mut self, scene: &Scene, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let place = self.place;
        if self.awaited.is_none() {
            match scene.with(|stage| stage.take(place.node, place.connection, context)) {
                None => return Poll::Pending,
                Some(Taken::Closed(why)) => {
                    self.closed = Some(why);
                    scene.forget(place);
                    return Poll::Ready(Ok(()));
                }
                Some(Taken::Packet { serial, packet, transmission }) => {
                    if !self.is_foreign {
                        scene.arrives(place, Label { packet, transmission });
                    }
                    self.awaited = Some(serial);
                }
            }
        }
        self.fetch(scene, context)
    }

    /// Takes the packet that has come from what turmoil has brought. It brings everything within a
    /// tick or two, and a packet may come sooner: where it skips the delay, or by much jitter.
    fn fetch(&mut self, scene: &Scene, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(serial) = self.awaited else { return Poll::Ready(Ok(())) };
        if !self.brought.contains_key(&serial) {
            self.pump(context);
        }
        let Some(bytes) = self.brought.remove(&serial) else {
            if self.stream.is_none() || self.left == Some(0) {
                return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
            }
            self.left = self.left.map(|ticks| ticks - 1);
            scene.wake_next_tick(context.waker());
            return Poll::Pending;
        };
        // Those before it were lost with what carried them.
        self.brought = self.brought.split_off(&serial);
        self.awaited = None;
        self.unread = bytes;
        Poll::Ready(Ok(()))
    }

    /// Reads all that turmoil has brought.
    fn pump(&mut self, context: &mut Context<'_>) {
        let mut bytes = [0; 4096];
        while let Some(stream) = &mut self.stream {
            let mut buffer = ReadBuf::new(&mut bytes);
            match Pin::new(stream).poll_read(context, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                    self.half_brought.extend_from_slice(buffer.filled());
                }
                Poll::Ready(_) => self.stream = None,
                Poll::Pending => break,
            }
        }
        while let Some((&[a, b, c, d, e, f, g, h], rest)) =
            self.half_brought.split_first_chunk::<HEADER>()
        {
            let serial = u32::from_be_bytes([a, b, c, d]);
            let length = u32::from_be_bytes([e, f, g, h]) as usize;
            let Some(frame) = rest.get(..length) else { break };
            self.brought.insert(serial, frame.to_vec());
            self.half_brought.drain(..HEADER + length);
        }
    }

    fn end(&mut self, why: Close) {
        if self.closed.is_some() {
            return;
        }
        self.closed = Some(why);
        if let Some(scene) = Scene::current() {
            scene.with(|stage| stage.close(self.place.node, self.place.connection, why));
            scene.forget(self.place);
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
        if this.unread.is_empty() && this.closed.is_none() {
            let Some(scene) = Scene::current() else { return Poll::Pending };
            std::task::ready!(this.fill(&scene, context))?;
        }
        if this.unread.is_empty() {
            return Poll::Ready(match this.closed {
                Some(Close::Cut | Close::Reset | Close::UserTimeout | Close::Crash) => {
                    Err(io::ErrorKind::ConnectionReset.into())
                }
                _ => Ok(()),
            });
        }
        let count = this.unread.len().min(buffer.remaining());
        buffer.put_slice(&this.unread[..count]);
        this.unread.drain(..count);
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
        if this.closed.is_some() {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let scene = Scene::current().filter(|_| !this.is_muted);
        let Some(scene) = scene else { return Poll::Pending };
        this.unsent.extend_from_slice(bytes);
        this.send_whole(&scene);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().end(Close::Asked);
        Poll::Ready(Ok(()))
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.end(Close::Asked);
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Socket").field("place", &self.place).finish_non_exhaustive()
    }
}

/// What packets of our own endpoints are called: they say so themselves.
pub(super) struct Names(Place);

impl Names {
    pub(super) const fn new(place: Place) -> Self {
        Self(place)
    }
}

impl Marks for Names {
    fn arrived(&mut self, packet: &mut Packet) -> Transmission {
        let label = Scene::current().and_then(|scene| scene.arrived(self.0));
        let Some(Label { packet: sent, transmission }) = label else {
            return Transmission::default();
        };
        wire::restore(packet, &sent);
        assert!(*packet == sent, "carried as {sent:?} and read as {packet:?}");
        transmission
    }

    fn leaves(&mut self, packet: &Packet, transmission: Transmission) {
        if let Some(scene) = Scene::current() {
            scene.leaves(self.0, Label { packet: packet.clone(), transmission });
        }
    }

    fn closes(&mut self, why: Close) {
        if let Some(scene) = Scene::current() {
            scene.with(|stage| stage.close(self.0.node, self.0.connection, why));
        }
    }
}
