//! The loop that carries packets from one end of a link to the other.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;
use qoslab_core::base::{Direction, Fate, Time};
use qoslab_core::network::LinkState;
use qoslab_guarantee::LatencyHistogram;
use tappers::Tun;

use super::departures::{Departure, Departures};
use crate::Clock;

/// How long it may take until a request to stop is seen.
const MAX_WAIT: Duration = Duration::from_millis(50);
/// The largest IP packet.
const MAX_PACKET: usize = 65_535;

/// What a link carried.
#[derive(Clone, Debug, Default)]
pub struct CarriedPackets {
    /// Packets handed over, by [`Direction`].
    pub sent: [u64; 2],
    /// Packets that did not arrive, by [`Direction`].
    pub lost: [u64; 2],
    /// How long after it was due each packet was handed to the kernel.
    pub lateness: LatencyHistogram,
}

/// Both ends of a link, and what is in transit.
pub(super) struct Carrier {
    /// The ends at which packets of each [`Direction`] enter.
    ends: [Tun; 2],
    link: LinkState,
    clock: Clock,
    stop: Arc<AtomicBool>,
    departures: Departures,
    carried: CarriedPackets,
}

impl Carrier {
    pub(super) fn new(
        up: Tun,
        down: Tun,
        link: LinkState,
        clock: Clock,
        stop: Arc<AtomicBool>,
    ) -> Self {
        let (departures, carried) = (Departures::default(), CarriedPackets::default());
        Self { ends: [up, down], link, clock, stop, departures, carried }
    }

    /// Carries packets until it is told to stop.
    pub(super) fn run(mut self) -> io::Result<CarriedPackets> {
        let mut buffer = vec![0; MAX_PACKET];
        while !self.stop.load(Ordering::SeqCst) {
            for direction in [Direction::Up, Direction::Down] {
                self.receive(direction, &mut buffer)?;
            }
            let now = self.clock.now();
            while let Some(departure) = self.departures.pop_due(now) {
                self.deliver(&departure)?;
            }
            self.wait()?;
        }
        Ok(self.carried)
    }

    /// Takes all packets that have been sent in a direction.
    fn receive(&mut self, direction: Direction, buffer: &mut [u8]) -> io::Result<()> {
        loop {
            let length = match self.ends[direction as usize].recv(buffer) {
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            let (now, packet) = (self.clock.now(), &buffer[..length]);
            self.carried.sent[direction as usize] += 1;
            let bytes = u32::try_from(length).expect("a packet fits into the buffer");
            match self.link.ip_packet_fate(now, direction, bytes) {
                Fate::Arrives(arrival) => self.departures.push(arrival.at, direction, packet),
                Fate::Lost(_) | Fate::Streamed => self.carried.lost[direction as usize] += 1,
            }
        }
    }

    /// Hands a packet to the kernel at the other end.
    fn deliver(&mut self, departure: &Departure) -> io::Result<()> {
        let end = &self.ends[departure.direction.reverse() as usize];
        end.send(&departure.packet)?;
        self.carried.lateness.record(self.clock.now().since(departure.due));
        Ok(())
    }

    /// Waits until a packet comes in or is due.
    fn wait(&self) -> io::Result<()> {
        let due = self.departures.next_due().unwrap_or(Time::NEVER);
        let timeout = TimeSpec::from_duration(self.clock.until(due).min(MAX_WAIT));
        let mut ends = self.ends.each_ref().map(|end| PollFd::new(end.as_fd(), PollFlags::POLLIN));
        match ppoll(&mut ends, Some(timeout), None) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}
