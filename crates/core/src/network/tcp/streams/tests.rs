//! Connections on links of their own.

mod against_smoltcp;
mod buffers;
mod kernel;
mod properties;
mod rules;
mod windows;

use std::sync::Arc;

use super::*;
use crate::base::draw::DrawKey;
use crate::base::{PacketKind, PacketSubject, Span};
use crate::network::link::LinkKeys;
use crate::network::settings::{
    CongestionControl, DirectionSettings, LinkSettings, LossModel, SocketBuffer, SocketSettings,
    Transport,
};
use crate::network::tcp::activity::DirectionActivity;
use crate::network::test_support::chance;

const TCP: TcpSettings = TcpSettings {
    headers: 52,
    mss: 1_448,
    tls: None,
    rto_min: Span::from_millis(200),
    user_timeout: Span::from_secs(900),
    nat_idle: None,
    congestion: CongestionControl::Cubic,
    client: SocketSettings::LINUX,
    broker: SocketSettings::LINUX,
};

/// The same with the same socket at both ends.
const fn with_sockets(tcp: TcpSettings, socket: SocketSettings) -> TcpSettings {
    TcpSettings { client: socket, broker: socket, ..tcp }
}

/// With Nagle's algorithm at both ends.
const NAGLE: TcpSettings =
    with_sockets(TCP, SocketSettings { nodelay: false, ..SocketSettings::LINUX });

/// One connection on its link, which carries numbers.
struct World {
    link: LinkState,
    tcp: TcpSettings,
    streams: TcpStreams<u32>,
    start: Time,
    now: Time,
    arrived: Vec<(u32, Time)>,
    activity: TcpActivity,
    /// When something was sent again upwards.
    resent: Vec<u64>,
    written: u32,
    names: u32,
    /// Whether what arrives is read at once.
    reads: bool,
}

impl World {
    /// With the line in both directions. The round trip was measured so often, without loss, that
    /// its variation is nothing.
    fn new(seed: u64, line: &DirectionSettings, tcp: TcpSettings) -> Self {
        let calm = DirectionSettings::delay_only(line.delay);
        let mut world = Self {
            link: link(seed, &calm, tcp),
            tcp,
            streams: TcpStreams::new(),
            start: Time::ZERO,
            now: Time::ZERO,
            arrived: Vec::new(),
            activity: TcpActivity::default(),
            resent: Vec::new(),
            written: 0,
            names: 0,
            reads: true,
        };
        for _ in 0..200 {
            for direction in [Direction::Up, Direction::Down] {
                world.write(direction, 1);
                world.finish();
                // The last acknowledgement comes too.
                world.advance_to(world.now + Span::from_secs(1));
            }
        }
        let link = link(seed, line, tcp);
        let (arrived, activity) = (Vec::new(), TcpActivity::default());
        Self { link, start: world.now, arrived, activity, written: 0, ..world }
    }

    fn send(&mut self, bytes: u32) {
        self.write(Direction::Up, bytes);
    }

    /// Sends while the link is down.
    fn send_lost(&mut self, bytes: u32) {
        self.link.set_down(true);
        self.send(bytes);
        self.link.set_down(false);
    }

    fn write(&mut self, direction: Direction, bytes: u32) {
        let number = self.written;
        self.written += 1;
        self.write_number(direction, number, bytes);
    }

    fn write_number(&mut self, direction: Direction, value: u32, bytes: u32) {
        let subject = PacketSubject::Control { nth: self.names };
        self.names += 1;
        let kind = PacketKind::Publish;
        let name = PacketName { client: ClientIndex(0), direction, kind, subject };
        let item = StreamItem { value, bytes, name, publisher_key: None };
        let context = TcpContext { link: &mut self.link, tcp: &self.tcp, client: ClientIndex(0) };
        let activity = self.streams.write(self.now, context, item);
        self.count(activity);
    }

    fn count(&mut self, activity: TcpActivity) {
        if activity[Direction::Up].retransmissions > 0 {
            self.resent.push(self.millis_since_start());
        }
        for way in [Direction::Up, Direction::Down] {
            let (sum, one) = (&mut self.activity[way], &activity[way]);
            sum.segments += one.segments;
            sum.retransmissions += one.retransmissions;
            sum.retransmitted_bytes += one.retransmitted_bytes;
            sum.acknowledgements += one.acknowledgements;
            assert!(!(sum.gave_up && one.gave_up), "it is said once");
            sum.gave_up |= one.gave_up;
        }
    }

    fn up(&self) -> DirectionActivity {
        self.activity[Direction::Up]
    }

    fn millis_since_start(&self) -> u64 {
        self.now.since(self.start).as_nanos() / 1_000_000
    }

    /// Lets time pass until so long after the start.
    fn advance_to_millis(&mut self, millis: u64) {
        self.advance_to(self.start + Span::from_millis(millis));
    }

    fn advance_to(&mut self, until: Time) {
        loop {
            let next = self.streams.next_wake();
            if next > until || next == Time::NEVER {
                break;
            }
            self.now = self.now.max(next);
            let context =
                TcpContext { link: &mut self.link, tcp: &self.tcp, client: ClientIndex(0) };
            let activity = self.streams.wake(self.now, context);
            self.count(activity);
            if self.reads {
                self.read();
            }
        }
        if until < Time::NEVER {
            self.now = until;
        }
    }

    fn read(&mut self) {
        for direction in [Direction::Up, Direction::Down] {
            while let Some(item) = self.streams.pop_arrived(self.now, &self.tcp, direction) {
                self.arrived.push((item, self.now));
            }
        }
    }

    fn finish(&mut self) {
        self.advance_to(Time::NEVER);
    }

    fn arrival_millis(&self) -> Vec<u64> {
        let since = |at: Time| at.since(self.start).as_nanos() / 1_000_000;
        self.arrived.iter().map(|(_, at)| since(*at)).collect()
    }

    /// How late the numbers came that were written 100 ms apart, in milliseconds: the quantiles.
    fn trickle_quantiles(&self, first: u64) -> [u64; 4] {
        let sent = |number: u32| millis(first + 100 * u64::from(number));
        let messages = self.arrived.iter().filter(|(item, _)| *item < ANSWER);
        let mut late: Vec<_> =
            messages.map(|(n, at)| at.since(sent(*n)).as_nanos() / 1_000_000).collect();
        late.sort_unstable();
        [50, 90, 95, 99].map(|percent| late[late.len() * percent / 100])
    }
}

fn link(seed: u64, line: &DirectionSettings, tcp: TcpSettings) -> LinkState {
    let (up, down) = (line.clone(), line.clone());
    let settings = LinkSettings { transport: Transport::Tcp(tcp), up, down, outage: None };
    let mut link = LinkState::new(Arc::new(settings), LinkKeys::new(DrawKey::new(seed), "meter"));
    link.start_bursts_and_outages(Time::ZERO);
    link
}

/// An item that is an answer.
const ANSWER: u32 = u32::MAX;

const fn millis(millis: u64) -> Time {
    Time::from_nanos(millis * 1_000_000)
}

fn line(delay: u64, loss: f64, rate: Option<u64>, queue: Option<u32>) -> DirectionSettings {
    let loss = LossModel::Random(chance(loss));
    DirectionSettings {
        loss,
        rate,
        queue,
        ..DirectionSettings::delay_only(Span::from_millis(delay))
    }
}
