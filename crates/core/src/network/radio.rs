//! Energy use of a client's radio, by the time it spends in each of its states.
//!
//! Joules for each byte would be wrong by orders of magnitude: a radio pays for what it does
//! *around* a packet. It wakes up, which costs time and power; it sends or receives; it stays
//! connected for a while and listens, as more may come (the tail); it can be paged for a while;
//! then it sleeps. So ten packets in one second cost little more than one, and one ping every
//! minute may cost more than all messages: `docs/radio.md`.
//!
//! A packet waits for the radio too: what finds it asleep goes on when it has woken up. A [`Radio`]
//! is part of its client's link, sees the packets both ways in the order of time, and keeps a few
//! numbers and no history.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::base::radio_use::{BatteryDrain, RadioState, RadioUse, SECONDS_PER_YEAR};
use crate::base::{Span, Time};

pub mod presets;

/// A radio's powers, times and rates. Powers are in nanowatts, and include all that the radio
/// needs in that state.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RadioSettings {
    /// Power while it sends.
    pub transmit_nw: u64,
    /// Power while it receives.
    pub receive_nw: u64,
    /// Rate at which it sends, in bits a second; more than zero.
    pub up: u64,
    /// Rate at which it receives, in bits a second; more than zero.
    pub down: u64,
    /// Time from sleep to the first packet: random access, promotion, association.
    pub wake: Span,
    /// Power while it wakes up.
    pub wake_nw: u64,
    /// Time for which it stays connected after a packet: the RRC inactivity timer.
    pub tail: Span,
    /// Mean power meanwhile.
    pub tail_nw: u64,
    /// Time for which it can be paged after that, before it sleeps: the active timer T3324.
    pub paging: Span,
    /// Mean power meanwhile.
    pub paging_nw: u64,
    /// Power while it sleeps.
    pub sleep_nw: u64,
    /// How often it listens while it sleeps: a beacon's or a connection's interval; zero for
    /// never.
    pub listen_every: Span,
    /// How long it listens then, with [`Self::receive_nw`].
    pub listen: Span,
    /// Capacity of its battery when full, in microjoules, where it has one.
    pub battery_uj: Option<u64>,
    /// The share of the full battery that is lost in a year without any load.
    pub self_discharge: f64,
}

impl RadioSettings {
    /// The mean power in a state, in watts.
    #[must_use]
    pub fn state_watts(&self, state: RadioState) -> f64 {
        let nanowatts = match state {
            RadioState::Transmit => to_f64(self.transmit_nw),
            RadioState::Receive => to_f64(self.receive_nw),
            RadioState::Wake => to_f64(self.wake_nw),
            RadioState::Tail => to_f64(self.tail_nw),
            RadioState::Paging => to_f64(self.paging_nw),
            RadioState::Sleep => self.mean_sleep_power_nw(),
        };
        nanowatts / 1e9
    }

    /// The mean power while it sleeps and now and then listens, in nanowatts.
    fn mean_sleep_power_nw(&self) -> f64 {
        let floor = to_f64(self.sleep_nw);
        if self.listen_every == Span::ZERO {
            return floor;
        }
        let share = (self.listen.as_secs_f64() / self.listen_every.as_secs_f64()).min(1.0);
        floor + (to_f64(self.receive_nw) - floor) * share
    }
}

/// The radio of one client.
#[derive(Clone, Debug)]
pub struct Radio {
    settings: Arc<RadioSettings>,
    /// When its last packet was through; `None` before the first.
    idle_since: Option<Time>,
    /// Every moment before this one is counted. It may lie ahead: a packet takes its time.
    counted_until: Time,
    /// When it was, or will be, awake after it last woke up.
    awake_from: Time,
    /// While it can be reached, as far as is known by what was sent and is on its way down; `None`
    /// before the first packet.
    reachable: Option<Reachable>,
    /// The packets on their way down, by the time of their arrival.
    arriving: VecDeque<ArrivingPacket>,
    nanos: [u64; RadioState::ALL.len()],
    wakes: u64,
}

#[derive(Clone, Copy, Debug)]
struct Reachable {
    from: Time,
    until: Time,
}

#[derive(Clone, Copy, Debug)]
struct ArrivingPacket {
    /// When it would have arrived: a radio that is asleep begins to wake up for it.
    called: Time,
    /// When it arrives.
    at: Time,
    bytes: u32,
}

impl Radio {
    /// A radio that sleeps since the trial began.
    #[must_use]
    pub const fn new(settings: Arc<RadioSettings>) -> Self {
        Self {
            settings,
            idle_since: None,
            counted_until: Time::ZERO,
            awake_from: Time::ZERO,
            reachable: None,
            arriving: VecDeque::new(),
            nanos: [0; RadioState::ALL.len()],
            wakes: 0,
        }
    }

    /// The client sends this number of bytes. Returns when they leave: at once, or when the radio
    /// is awake. Calls come in order of time.
    pub fn send(&mut self, now: Time, bytes: u32) -> Time {
        self.receive_arrived(now);
        if self.is_asleep(now) {
            self.wake_up(now);
        }
        self.count_idle(now);
        let leaves = now.max(self.awake_from);
        self.transfer(RadioState::Transmit, airtime(bytes, self.settings.up));
        self.extend_reachable(leaves, self.counted_until);
        leaves
    }

    /// This number of bytes would reach the client then. Returns when they do: a radio that is
    /// asleep is woken up first. Whether it is asleep is decided by what was sent until now, so
    /// that what the client sends meanwhile does not hasten them.
    pub fn receive(&mut self, arrives: Time, bytes: u32) -> Time {
        let (called, at) = match self.reachable {
            Some(Reachable { from, until }) if arrives <= until => {
                let at = arrives.max(from);
                (at, at)
            }
            _ => (arrives, arrives + self.settings.wake),
        };
        let through = at + airtime(bytes, self.settings.down);
        self.extend_reachable(if called < at { at } else { Time::ZERO }, through);
        let place = self.arriving.partition_point(|other| other.at <= at);
        self.arriving.insert(place, ArrivingPacket { called, at, bytes });
        at
    }

    /// Forgets what was counted so far, and no state: what counts begins now.
    pub fn reset_counters(&mut self, now: Time) {
        self.receive_arrived(now);
        self.count_idle(now);
        self.nanos = [0; RadioState::ALL.len()];
        self.wakes = 0;
    }

    /// Returns its use up to `now`. A packet that was begun is counted to its end.
    #[must_use]
    pub fn usage(mut self, now: Time) -> RadioUse {
        self.receive_arrived(now);
        self.count_idle(now);
        let seconds = self.nanos.map(|nanos| Span::from_nanos(nanos).as_secs_f64());
        let joules =
            RadioState::ALL.map(|state| seconds[state as usize] * self.settings.state_watts(state));
        let mut used = RadioUse { clients: 1, seconds, joules, wakes: self.wakes, battery: None };
        if let (Some(capacity), Some(watts)) =
            (self.settings.battery_uj, used.mean_watts_per_radio())
        {
            let capacity = to_f64(capacity) / 1e6;
            let lost = capacity * self.settings.self_discharge / SECONDS_PER_YEAR;
            used.battery = Some(BatteryDrain { joules: capacity, watts: watts + lost });
        }
        used
    }

    /// Counts what has arrived, or is about to and the radio wakes up for it.
    fn receive_arrived(&mut self, now: Time) {
        while let Some(&ArrivingPacket { called, at, bytes }) = self.arriving.front() {
            let begins = if self.is_asleep(called) { called } else { at };
            if begins > now {
                return;
            }
            self.arriving.pop_front();
            if self.is_asleep(begins) {
                self.wake_up(begins);
            }
            self.count_idle(at);
            self.transfer(RadioState::Receive, airtime(bytes, self.settings.down));
        }
    }

    fn is_asleep(&self, at: Time) -> bool {
        self.idle_since.is_none_or(|quiet| at > quiet + self.settings.tail)
    }

    fn wake_up(&mut self, at: Time) {
        self.count_idle(at);
        self.wakes += 1;
        self.add_time(RadioState::Wake, self.settings.wake);
        self.awake_from = self.counted_until;
    }

    fn transfer(&mut self, state: RadioState, airtime: Span) {
        self.add_time(state, airtime);
        self.idle_since = Some(self.counted_until);
    }

    /// It is awake from a time on, and something is through at another.
    fn extend_reachable(&mut self, from: Time, through: Time) {
        let until = through + self.settings.tail;
        let reachable = self.reachable.get_or_insert(Reachable { from, until });
        reachable.from = reachable.from.max(from);
        reachable.until = reachable.until.max(until);
    }

    /// Counts the time without packets up to `now`.
    fn count_idle(&mut self, now: Time) {
        if let Some(quiet) = self.idle_since {
            let released = quiet + self.settings.tail;
            self.count_idle_until(RadioState::Tail, released.min(now));
            self.count_idle_until(RadioState::Paging, (released + self.settings.paging).min(now));
        }
        self.count_idle_until(RadioState::Sleep, now);
    }

    fn count_idle_until(&mut self, state: RadioState, until: Time) {
        self.add_time(state, until.since(self.counted_until));
    }

    fn add_time(&mut self, state: RadioState, span: Span) {
        self.nanos[state as usize] += span.as_nanos();
        self.counted_until += span;
    }
}

/// Returns how long this number of bytes takes, rounded up to the nanosecond.
fn airtime(bytes: u32, rate: u64) -> Span {
    let nanos = (u128::from(bytes) * 8 * 1_000_000_000).div_ceil(u128::from(rate.max(1)));
    Span::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[expect(clippy::cast_precision_loss, reason = "a physical quantity of 15 digits at most")]
const fn to_f64(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests;
