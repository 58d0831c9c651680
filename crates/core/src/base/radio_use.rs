//! What radios used: time and energy by their states.

use serde::{Deserialize, Serialize};

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

/// Seconds of a year of 365 days.
pub const SECONDS_PER_YEAR: f64 = 365.0 * 86_400.0;

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
    /// The sum over radios, or over trials; `None` without any.
    pub fn total(all: impl Iterator<Item = Self>) -> Option<Self> {
        all.reduce(|mut sum, one| {
            sum += one;
            sum
        })
    }

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
