//! Energy use of a client's radio, by the time it spends in each of its states.
//!
//! Joules for each byte would be wrong by orders of magnitude: a radio pays for what it does
//! *around* a packet. It wakes up, which costs time and power; it sends or receives; it stays
//! connected for a while and listens, as more may come (the tail); it can be paged for a while;
//! then it sleeps. So ten packets in one second cost little more than one, and one ping every
//! minute may cost more than all messages: `docs/radio.md`.
//!
//! A [`Radio`] sees the packets of one client in the order of time, and keeps a few numbers
//! and no history.

use serde::{Deserialize, Serialize};

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

/// A state of a radio.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the fields of RadioSettings say what each is")]
pub enum RadioState {
    Transmit,
    Receive,
    Wake,
    Tail,
    Paging,
    Sleep,
}

impl RadioState {
    /// All of them, in the order of [`RadioUse::seconds`].
    pub const ALL: [Self; 6] =
        [Self::Transmit, Self::Receive, Self::Wake, Self::Tail, Self::Paging, Self::Sleep];

    /// Its name in reports.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Transmit => "transmit",
            Self::Receive => "receive",
            Self::Wake => "wake",
            Self::Tail => "tail",
            Self::Paging => "paging",
            Self::Sleep => "sleep",
        }
    }
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
    settings: RadioSettings,
    /// When its last packet was through; `None` before the first.
    idle_since: Option<Time>,
    /// Every moment before this one is counted. It may lie ahead: a packet takes its time.
    counted_until: Time,
    nanos: [u64; RadioState::ALL.len()],
    wakes: u64,
}

impl Radio {
    /// A radio that sleeps since the trial began.
    #[must_use]
    pub const fn new(settings: RadioSettings) -> Self {
        let nanos = [0; RadioState::ALL.len()];
        Self { settings, idle_since: None, counted_until: Time::ZERO, nanos, wakes: 0 }
    }

    /// Sends this number of bytes, as soon as it is done with what it does.
    pub fn send(&mut self, now: Time, bytes: u32) {
        self.transfer(now, RadioState::Transmit, airtime(bytes, self.settings.up));
    }

    /// Receives this number of bytes.
    pub fn receive(&mut self, now: Time, bytes: u32) {
        self.transfer(now, RadioState::Receive, airtime(bytes, self.settings.down));
    }

    /// Forgets what was counted so far, and no state: what counts begins now.
    pub fn reset_counters(&mut self, now: Time) {
        self.count_idle(now);
        self.nanos = [0; RadioState::ALL.len()];
        self.wakes = 0;
    }

    /// Returns its use up to `now`. A packet that was begun is counted to its end.
    #[must_use]
    pub fn usage(mut self, now: Time) -> RadioUse {
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

    fn transfer(&mut self, now: Time, state: RadioState, airtime: Span) {
        self.count_idle(now);
        if self.idle_since.is_none_or(|quiet| now > quiet + self.settings.tail) {
            self.wakes += 1;
            self.add_time(RadioState::Wake, self.settings.wake);
        }
        self.add_time(state, airtime);
        self.idle_since = Some(self.counted_until);
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

/// Seconds of a year of 365 days.
const SECONDS_PER_YEAR: f64 = 365.0 * 86_400.0;

/// Returns how long this number of bytes takes, rounded up to the nanosecond.
fn airtime(bytes: u32, rate: u64) -> Span {
    let nanos = (u128::from(bytes) * 8 * 1_000_000_000).div_ceil(u128::from(rate.max(1)));
    Span::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[expect(clippy::cast_precision_loss, reason = "a physical quantity of 15 digits at most")]
const fn to_f64(number: u64) -> f64 {
    number as f64
}

/// Energy use of radios, summed over clients and perhaps over trials.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RadioUse {
    /// The number of radios.
    pub clients: u64,
    /// The time they spent in each state, by [`RadioState::ALL`], in seconds.
    pub seconds: [f64; RadioState::ALL.len()],
    /// The energy they used in each state, in joules.
    pub joules: [f64; RadioState::ALL.len()],
    /// The number of times they woke up.
    pub wakes: u64,
    /// Their batteries, where they have some.
    pub battery: Option<BatteryDrain>,
}

/// The batteries of radios, and what empties them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BatteryDrain {
    /// Energy of the full batteries.
    pub joules: f64,
    /// The mean power of their radios, with what the batteries lose by themselves.
    pub watts: f64,
}

impl RadioUse {
    /// All energy.
    #[must_use]
    pub fn energy(&self) -> f64 {
        self.joules.iter().sum()
    }

    /// The mean power of one radio; `None` if no time passed.
    #[must_use]
    pub fn mean_watts_per_radio(&self) -> Option<f64> {
        let seconds: f64 = self.seconds.iter().sum();
        (seconds > 0.0).then(|| self.energy() / seconds)
    }

    /// How long the batteries last at this mean power, in years of 365 days; infinite if nothing
    /// empties them, `None` without a battery.
    #[must_use]
    pub fn battery_years(&self) -> Option<f64> {
        self.battery.map(|battery| battery.joules / battery.watts / SECONDS_PER_YEAR)
    }
}

impl std::ops::AddAssign for RadioUse {
    fn add_assign(&mut self, other: Self) {
        self.clients += other.clients;
        self.wakes += other.wakes;
        for (sum, one) in self.seconds.iter_mut().zip(other.seconds) {
            *sum += one;
        }
        for (sum, one) in self.joules.iter_mut().zip(other.joules) {
            *sum += one;
        }
        if let Some(one) = other.battery {
            let sum = self.battery.get_or_insert_default();
            sum.joules += one.joules;
            sum.watts += one.watts;
        }
    }
}

impl std::iter::Sum for RadioUse {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        let mut total = Self::default();
        all.for_each(|one| total += one);
        total
    }
}

#[cfg(test)]
mod tests;
