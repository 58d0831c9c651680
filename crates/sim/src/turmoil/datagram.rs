//! Datagrams of simulated hosts, each of them one packet. As with [`super::socket`], turmoil
//! carries the bytes and the simulation decides whether, when and how often they arrive.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::{Context, Poll};

use turmoil::net::UdpSocket;

use super::sim_context::{ConnectionEnd, PacketTag, SimContext};
use super::{BROKER_HOST, PORT};
use crate::event::remote::ReceivedItem;
use qoslab_core::base::CloseReason;
use qoslab_core::shell::DatagramSocket;

/// The socket that datagrams reach: at a client one per connection, at the broker one for all.
pub(super) struct DatagramIo {
    socket: UdpSocket,
    /// Datagrams that turmoil has delivered, by number, and their senders.
    received: RefCell<BTreeMap<u32, (Vec<u8>, SocketAddr)>>,
}

/// Number of datagrams kept for the case that the network repeats them.
const MAX_KEPT: usize = 1 << 16;
/// The largest datagram of IPv4, and the number in front.
const MAX_DATAGRAM: usize = 65_507;

impl DatagramIo {
    pub(super) async fn open(port: u16) -> io::Result<Rc<Self>> {
        let socket = UdpSocket::bind(("0.0.0.0", port)).await?;
        Ok(Rc::new(Self { socket, received: RefCell::default() }))
    }

    /// A datagram by its number, and from where it came.
    fn find_datagram(&self, serial: u32) -> Option<(Vec<u8>, SocketAddr)> {
        let mut received = self.received.borrow_mut();
        let mut bytes = vec![0; MAX_DATAGRAM];
        while let Ok((length, from)) = self.socket.try_recv_from(&mut bytes) {
            if let Some((serial, datagram)) = bytes[..length].split_first_chunk() {
                received.insert(u32::from_be_bytes(*serial), (datagram.to_vec(), from));
            }
            if received.len() > MAX_KEPT {
                received.pop_first();
            }
        }
        received.get(&serial).cloned()
    }
}

/// One end of a connection over datagrams.
pub(super) struct DatagramConnection {
    end: ConnectionEnd,
    datagram_io: Rc<DatagramIo>,
    /// Address of the other end; the broker knows it after the first datagram from there.
    peer: Option<SocketAddr>,
    /// The datagram that has come and that turmoil has not brought.
    awaited_serial: Option<u32>,
    is_closed: bool,
}

impl DatagramConnection {
    pub(super) const fn new(end: ConnectionEnd, datagram_io: Rc<DatagramIo>) -> Self {
        Self { end, datagram_io, peer: None, awaited_serial: None, is_closed: false }
    }
}

impl DatagramSocket for DatagramConnection {
    fn poll_recv(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Vec<u8>>> {
        let Some(sim_context) = SimContext::current() else { return Poll::Pending };
        let ConnectionEnd { connection, node } = self.end;
        if self.awaited_serial.is_none() {
            match sim_context.with(|sim| sim.poll_receive(node, connection, context)) {
                None => return Poll::Pending,
                Some(ReceivedItem::Closed(_)) => {
                    self.is_closed = true;
                    sim_context.remove_end(self.end);
                    return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
                }
                Some(ReceivedItem::Packet { serial, packet, transmission }) => {
                    sim_context.set_arrived(self.end, PacketTag { packet, transmission });
                    self.awaited_serial = Some(serial);
                }
            }
        }
        let datagram =
            self.awaited_serial.and_then(|serial| self.datagram_io.find_datagram(serial));
        let Some((datagram, from)) = datagram else {
            sim_context.wake_next_tick(context.waker());
            return Poll::Pending;
        };
        self.awaited_serial = None;
        self.peer = Some(from);
        Poll::Ready(Ok(datagram))
    }

    fn poll_send(&mut self, _: &mut Context<'_>, datagram: &[u8]) -> Poll<io::Result<()>> {
        let Some(sim_context) = SimContext::current() else { return Poll::Pending };
        let ConnectionEnd { connection, node } = self.end;
        let Some(PacketTag { packet, transmission }) = sim_context.pop_outgoing(self.end) else {
            return Poll::Ready(Err(io::ErrorKind::InvalidInput.into()));
        };
        let written =
            sim_context.with(|sim| sim.write_packet(node, connection, packet, transmission));
        let Some(serial) = written else { return Poll::Ready(Ok(())) };
        let frame = [&serial.to_be_bytes()[..], datagram].concat();
        let sent = match self.peer {
            Some(peer) => self.datagram_io.socket.try_send_to(&frame, peer),
            None => self.datagram_io.socket.try_send_to(&frame, (BROKER_HOST, PORT)),
        };
        Poll::Ready(sent.map(|_| ()))
    }
}

impl Drop for DatagramConnection {
    fn drop(&mut self) {
        if self.is_closed {
            return;
        }
        if let Some(sim_context) = SimContext::current() {
            let ConnectionEnd { connection, node } = self.end;
            sim_context.with(|sim| sim.close(node, connection, CloseReason::Requested));
            sim_context.remove_end(self.end);
        }
    }
}
