//! Two stacks of smoltcp in virtual time, one at each end of a link of ours.

use std::collections::VecDeque;

use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{ChecksumCapabilities, Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::tcp::{self, Socket, SocketBuffer};
use smoltcp::time::Instant;
use smoltcp::wire::{HardwareAddress, IpAddress, IpCidr};

use super::{HEADERS, MSS};
use crate::base::{ClientIndex, Direction, Fate, Time};
use crate::network::link::LinkState;
use crate::network::settings::CongestionControl;

const PORT: u16 = 1_883;
/// Room for all that a test sends: neither writer nor window ever waits for it.
const BUFFER_BYTES: usize = 400_000;
/// Far more than any test needs, so that an endless one fails.
const MAX_STEPS: u32 = 1_000_000;

/// How a pair is set up.
#[derive(Clone, Copy, Debug)]
pub(super) struct PairSettings {
    pub(super) congestion: CongestionControl,
    /// Nagle's algorithm, at both ends.
    pub(super) nagle: bool,
}

/// A client and a broker with one connection, and the link between them.
///
/// The link decides each packet's fate by its number: [`LinkState::ack_fate`].
pub(super) struct SmolPair {
    ends: [End; 2],
    link: LinkState,
    /// Packets on their way up, and down, in order of their arrivals.
    under_way: [VecDeque<(Time, Vec<u8>)>; 2],
    pub(super) now: Time,
    /// How many packets the client sent.
    pub(super) sent: u32,
    /// How many bytes had come to the broker when.
    pub(super) arrived: Vec<(usize, Time)>,
}

struct End {
    interface: Interface,
    port: Port,
    sockets: SocketSet<'static>,
    socket: SocketHandle,
}

/// A network device: a packet that has come, and those that shall go.
#[derive(Default)]
struct Port {
    incoming: Option<Vec<u8>>,
    outgoing: Vec<Vec<u8>>,
}

struct Incoming(Vec<u8>);
struct Outgoing<'a>(&'a mut Vec<Vec<u8>>);

impl Device for Port {
    type RxToken<'a> = Incoming;
    type TxToken<'a> = Outgoing<'a>;

    fn receive(&mut self, _: Instant) -> Option<(Incoming, Outgoing<'_>)> {
        let packet = self.incoming.take()?;
        Some((Incoming(packet), Outgoing(&mut self.outgoing)))
    }

    fn transmit(&mut self, _: Instant) -> Option<Outgoing<'_>> {
        Some(Outgoing(&mut self.outgoing))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = (MSS + HEADERS) as usize;
        capabilities.checksum = ChecksumCapabilities::ignored();
        capabilities
    }
}

impl RxToken for Incoming {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, take: F) -> R {
        take(&self.0)
    }
}

impl TxToken for Outgoing<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, bytes: usize, fill: F) -> R {
        let mut packet = vec![0; bytes];
        let result = fill(&mut packet);
        self.0.push(packet);
        result
    }
}

impl End {
    fn new(address: IpAddress, settings: PairSettings) -> Self {
        let mut config = Config::new(HardwareAddress::Ip);
        config.random_seed = 1;
        let mut port = Port::default();
        let mut interface = Interface::new(config, &mut port, Instant::ZERO);
        interface.update_ip_addrs(|own| own.push(IpCidr::new(address, 24)).unwrap());
        let buffer = || SocketBuffer::new(vec![0; BUFFER_BYTES]);
        let mut socket = Socket::new(buffer(), buffer());
        socket.set_congestion_control(match settings.congestion {
            CongestionControl::Reno => tcp::CongestionControl::Reno,
            CongestionControl::Cubic => tcp::CongestionControl::Cubic,
        });
        socket.set_nagle_enabled(settings.nagle);
        // Each segment counts as one, so that the window doubles as ours does.
        socket.set_ack_delay(None);
        let mut sockets = SocketSet::new(Vec::new());
        let socket = sockets.add(socket);
        Self { interface, port, sockets, socket }
    }

    fn socket(&mut self) -> &mut Socket<'static> {
        self.sockets.get_mut(self.socket)
    }

    fn wakes_at(&mut self, now: Time) -> Time {
        let at = self.interface.poll_at(instant(now), &self.sockets);
        at.map_or(Time::NEVER, |at| {
            Time::from_nanos(u64::try_from(at.total_micros()).unwrap_or_default() * 1_000)
        })
    }

    fn receive(&mut self, now: Time, packet: Vec<u8>) {
        self.port.incoming = Some(packet);
        self.interface.poll_ingress_single(instant(now), &mut self.port, &mut self.sockets);
    }

    /// The application reads all there is: how many bytes.
    fn read(&mut self) -> usize {
        let mut read = 0;
        while self.socket().can_recv() {
            read += self.socket().recv(|bytes| (bytes.len(), bytes.len())).unwrap();
        }
        read
    }
}

impl SmolPair {
    /// A connection over a link that is calm. Before anything is counted it carries 8 segments:
    /// the window of 2 has grown by one with each, and is 10 as ours is at first.
    pub(super) fn new(calm: LinkState, settings: PairSettings) -> Self {
        let addresses = [1, 2].map(|last| IpAddress::v4(10, 0, 0, last));
        let [mut client, mut broker] = addresses.map(|address| End::new(address, settings));
        broker.socket().listen(PORT).unwrap();
        let (context, socket) = (client.interface.context(), client.socket);
        let connecting = client.sockets.get_mut::<Socket<'_>>(socket);
        connecting.connect(context, (addresses[1], PORT), 50_000).unwrap();
        let mut pair = Self {
            ends: [client, broker],
            link: calm,
            under_way: [VecDeque::new(), VecDeque::new()],
            now: Time::ZERO,
            sent: 0,
            arrived: Vec::new(),
        };
        pair.send_packets();
        pair.advance_to(Time::from_nanos(10_000_000_000));
        pair.send(8 * MSS);
        pair.advance_to(Time::from_nanos(100_000_000_000));
        assert_eq!(pair.arrived.last().unwrap().0, 8 * MSS as usize);
        pair
    }

    /// From now on packets meet this link, and all is counted anew.
    pub(super) fn start(&mut self, link: LinkState) {
        self.link = link;
        (self.sent, self.arrived) = (0, Vec::new());
    }

    pub(super) fn set_down(&mut self, is_down: bool) {
        self.link.set_down(is_down);
    }

    /// The client writes.
    pub(super) fn send(&mut self, bytes: u32) {
        let bytes = vec![0; bytes as usize];
        let written = self.ends[0].socket().send_slice(&bytes).unwrap();
        assert_eq!(written, bytes.len(), "the buffer has room");
        self.send_packets();
    }

    /// When so many bytes had come.
    pub(super) fn arrival_of(&self, bytes: usize) -> Option<Time> {
        let after = self.arrived.partition_point(|(sum, _)| *sum < bytes);
        self.arrived.get(after).map(|(_, at)| *at)
    }

    /// Lets time pass until so many bytes have come.
    pub(super) fn advance_until_arrived(&mut self, bytes: usize) -> Time {
        for _ in 0..MAX_STEPS {
            if let Some(at) = self.arrival_of(bytes) {
                return at;
            }
            let next = self.next_step();
            self.step(next);
        }
        panic!("{bytes} bytes never arrive: {:?}", self.arrived.last());
    }

    pub(super) fn advance_to(&mut self, until: Time) {
        for _ in 0..MAX_STEPS {
            let next = self.next_step();
            if next > until {
                self.now = until;
                return;
            }
            self.step(next);
        }
        panic!("something is always due at {:?}", self.now);
    }

    fn next_step(&mut self) -> Time {
        let now = self.now;
        let timers = self.ends.iter_mut().map(|end| end.wakes_at(now));
        let timer = timers.min().unwrap_or(Time::NEVER);
        let arrivals = self.under_way.iter().filter_map(|queue| queue.front());
        arrivals.map(|(at, _)| *at).fold(timer, Time::min).max(now)
    }

    /// Does what is due then: what arrives is read at once, and before anything is sent.
    fn step(&mut self, at: Time) {
        assert!(at < Time::NEVER, "nothing is due any more");
        self.now = at;
        for direction in [Direction::Up, Direction::Down] {
            let queue = &mut self.under_way[direction as usize];
            let Some((_, packet)) = queue.pop_front_if(|(arrives, _)| *arrives <= at) else {
                continue;
            };
            let receiver = &mut self.ends[direction.reverse() as usize];
            receiver.receive(at, packet);
            let read = receiver.read();
            if read > 0 {
                let before = self.arrived.last().map_or(0, |(sum, _)| *sum);
                self.arrived.push((before + read, at));
            }
        }
        self.send_packets();
    }

    fn send_packets(&mut self) {
        let Self { ends, link, under_way, now, sent, .. } = self;
        for (end, direction) in ends.iter_mut().zip([Direction::Up, Direction::Down]) {
            end.interface.poll_egress(instant(*now), &mut end.port, &mut end.sockets);
            for packet in end.port.outgoing.drain(..) {
                *sent += u32::from(direction == Direction::Up);
                let bytes = u32::try_from(packet.len()).unwrap();
                let fate = link.ack_fate(*now, ClientIndex(0), direction, bytes);
                if let Fate::Arrives(arrival) = fate {
                    under_way[direction as usize].push_back((arrival.at, packet));
                }
            }
        }
    }
}

fn instant(at: Time) -> Instant {
    let micros = at.as_nanos() / 1_000;
    Instant::from_micros(i64::try_from(micros).unwrap())
}
