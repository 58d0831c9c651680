//! Datagrams of simulated hosts, each of them one packet. As with [`super::socket`], turmoil
//! carries the bytes and the simulation says when they come, if they do, and how often.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::{Context, Poll};

use turmoil::net::UdpSocket;

use super::scene::{Label, Place, Scene};
use super::{BROKER_HOST, PORT};
use crate::event::stage::Taken;
use qoslab_core::base::event::Close;
use qoslab_core::shell::Datagram;

/// Where datagrams come to: at a client one for each connection, at the broker one for all.
pub(super) struct Post {
    socket: UdpSocket,
    /// What turmoil has brought, by number, and from where.
    brought: RefCell<BTreeMap<u32, (Vec<u8>, SocketAddr)>>,
}

/// So many are kept for the case that the network repeats them.
const KEPT: usize = 1 << 16;
/// The largest datagram of IPv4, and the number in front.
const LARGEST: usize = 65_507;

impl Post {
    pub(super) async fn open(port: u16) -> io::Result<Rc<Self>> {
        let socket = UdpSocket::bind(("0.0.0.0", port)).await?;
        Ok(Rc::new(Self { socket, brought: RefCell::default() }))
    }

    /// A datagram by its number, and from where it came.
    fn fetch(&self, serial: u32) -> Option<(Vec<u8>, SocketAddr)> {
        let mut brought = self.brought.borrow_mut();
        let mut bytes = vec![0; LARGEST];
        while let Ok((length, from)) = self.socket.try_recv_from(&mut bytes) {
            if let Some((serial, datagram)) = bytes[..length].split_first_chunk() {
                brought.insert(u32::from_be_bytes(*serial), (datagram.to_vec(), from));
            }
            if brought.len() > KEPT {
                brought.pop_first();
            }
        }
        brought.get(&serial).cloned()
    }
}

/// One end of a connection over datagrams.
pub(super) struct DatagramEnd {
    place: Place,
    post: Rc<Post>,
    /// Where the other end is; the broker knows once it has heard from there.
    peer: Option<SocketAddr>,
    /// The datagram that has come and that turmoil has not brought.
    awaited: Option<u32>,
    is_closed: bool,
}

impl DatagramEnd {
    pub(super) const fn new(place: Place, post: Rc<Post>) -> Self {
        Self { place, post, peer: None, awaited: None, is_closed: false }
    }
}

impl Datagram for DatagramEnd {
    fn poll_recv(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Vec<u8>>> {
        let Some(scene) = Scene::current() else { return Poll::Pending };
        let Place { connection, node } = self.place;
        if self.awaited.is_none() {
            match scene.with(|stage| stage.take(node, connection, context)) {
                None => return Poll::Pending,
                Some(Taken::Closed(_)) => {
                    self.is_closed = true;
                    scene.forget(self.place);
                    return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
                }
                Some(Taken::Packet { serial, packet, transmission }) => {
                    scene.arrives(self.place, Label { packet, transmission });
                    self.awaited = Some(serial);
                }
            }
        }
        let datagram = self.awaited.and_then(|serial| self.post.fetch(serial));
        let Some((datagram, from)) = datagram else {
            scene.wake_next_tick(context.waker());
            return Poll::Pending;
        };
        self.awaited = None;
        self.peer = Some(from);
        Poll::Ready(Ok(datagram))
    }

    fn poll_send(&mut self, _: &mut Context<'_>, datagram: &[u8]) -> Poll<io::Result<()>> {
        let Some(scene) = Scene::current() else { return Poll::Pending };
        let Place { connection, node } = self.place;
        let Some(Label { packet, transmission }) = scene.leaving(self.place) else {
            return Poll::Ready(Err(io::ErrorKind::InvalidInput.into()));
        };
        let written = scene.with(|stage| stage.write(node, connection, packet, transmission));
        let Some(serial) = written else { return Poll::Ready(Ok(())) };
        let parcel = [&serial.to_be_bytes()[..], datagram].concat();
        let sent = match self.peer {
            Some(peer) => self.post.socket.try_send_to(&parcel, peer),
            None => self.post.socket.try_send_to(&parcel, (BROKER_HOST, PORT)),
        };
        Poll::Ready(sent.map(|_| ()))
    }
}

impl Drop for DatagramEnd {
    fn drop(&mut self) {
        if self.is_closed {
            return;
        }
        if let Some(scene) = Scene::current() {
            let Place { connection, node } = self.place;
            scene.with(|stage| stage.close(node, connection, Close::Asked));
            scene.forget(self.place);
        }
    }
}
