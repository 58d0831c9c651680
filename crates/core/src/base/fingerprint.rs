//! The fingerprint of a state: 128 bits that are the same where all that follows is the same.
//!
//! What a state is made of derives [`Serialize`], so that whatever is not left out on purpose is
//! part of it. A few things are written not as they are but as far as they matter, by the name of
//! a newtype; any other serializer sees the plain number:
//!
//! | name | what | how |
//! |---|---|---|
//! | `Time` | an instant | from now on, never stays never |
//! | [`future_only`] | an instant that only matters while it is to come | the same, the past as now |
//! | [`compared_with_now`] | an instant that is only compared with now | whether it is now |
//! | [`published`] | when a message was published | left out, unless [`FingerprintOptions::published`] |
//! | [`attempt`] | how often something was sent | whether it was |
//! | [`transmissions`] | the same, for the retry rule | left out, unless it counts them |
//! | [`name_only`] | what only gives names | left out |
//! | [`loss_recovery`] | what only lost segments wake | left out, unless some may get lost |
//! | `Connection`, [`copy`], `TimerGeneration` | what is only compared for equality | by first sight |
//!
//! To write too much makes two states differ that are alike and costs time; to write too little
//! would be an error. So in doubt it is written.

use serde::{Serialize, Serializer};
use xxhash_rust::xxh3::xxh3_128;

use super::time::Time;

mod serializer;

/// What of a state matters in a trial.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FingerprintOptions {
    /// The retry rule counts transmissions: it has a limit, or its pauses grow.
    pub transmissions: bool,
    /// Segments may get lost, so that what a sender has measured may tell in what follows.
    pub loss_recovery: bool,
    /// There are wills, of which it is asked when they were published.
    pub published: bool,
}

/// Takes fingerprints. It keeps its room from one to the next.
#[derive(Clone, Debug, Default)]
pub struct Fingerprinter {
    options: FingerprintOptions,
    now: Time,
    bytes: Vec<u8>,
    next_encoding: Encoding,
    connections: Vec<u64>,
    copies: Vec<u64>,
    timer_generations: Vec<u64>,
}

/// How the next number is to be understood.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Encoding {
    #[default]
    Plain,
    Time,
    FutureOnly,
    ComparedWithNow,
    Attempt,
    Connection,
    Copy,
    TimerGeneration,
}

impl Fingerprinter {
    /// For the states of one trial.
    #[must_use]
    pub fn new(matters: FingerprintOptions) -> Self {
        Self { options: matters, ..Self::default() }
    }

    /// The fingerprint of a state at `now`.
    ///
    /// # Panics
    /// If the state's [`Serialize`] fails, as no derived one does.
    pub fn fingerprint<T: Serialize + ?Sized>(&mut self, now: Time, state: &T) -> u128 {
        self.now = now;
        self.bytes.clear();
        self.connections.clear();
        self.copies.clear();
        self.timer_generations.clear();
        state.serialize(&mut *self).expect("nothing that is written here can fail");
        xxh3_128(&self.bytes)
    }

    fn write(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    fn write_length(&mut self, length: usize) {
        self.write(&(length as u64).to_le_bytes());
    }

    fn write_number(&mut self, number: u64) {
        let now = self.now.as_nanos();
        let encoding = std::mem::take(&mut self.next_encoding);
        let encoded = match encoding {
            Encoding::Plain => number,
            Encoding::Time | Encoding::FutureOnly if number == Time::NEVER.as_nanos() => number,
            // The past wraps round to high numbers, which no span of a trial reaches.
            Encoding::Time => number.wrapping_sub(now),
            Encoding::FutureOnly => number.saturating_sub(now),
            Encoding::ComparedWithNow => u64::from(number >= now),
            Encoding::Attempt => number.min(1),
            Encoding::Connection => first_seen_index(&mut self.connections, number),
            Encoding::Copy => {
                let kind = number & COPY_KIND;
                first_seen_index(&mut self.copies, number & !COPY_KIND) | kind
            }
            // 0 is none.
            Encoding::TimerGeneration if number == 0 => 0,
            Encoding::TimerGeneration => 1 + first_seen_index(&mut self.timer_generations, number),
        };
        self.write(&encoded.to_le_bytes());
    }
}

/// The bit of a copy's number that says which kind of copy it is.
const COPY_KIND: u64 = 1 << 31;

/// The place of a number among those seen, to which it is added.
fn first_seen_index(seen: &mut Vec<u64>, number: u64) -> u64 {
    let index = seen.iter().position(|it| *it == number).unwrap_or_else(|| {
        seen.push(number);
        seen.len() - 1
    });
    index as u64
}

macro_rules! define_encodings {
    ($($(#[$about:meta])* $name:ident($type:ty) = $mark:literal;)+) => {$(
        $(#[$about])*
        ///
        /// # Errors
        /// What the serializer says.
        pub fn $name<S: Serializer>(value: &$type, to: S) -> Result<S::Ok, S::Error> {
            to.serialize_newtype_struct($mark, value)
        }
    )+};
}

define_encodings! {
    /// An instant that only matters while it is to come.
    future_only(Time) = "Due";
    /// An instant that is only compared with the present one.
    compared_with_now(Time) = "Since";
    /// When a message was published.
    published(Time) = "Published";
    /// How often something was sent before: only whether it was is seen.
    attempt(u32) = "Attempt";
    /// How often something was sent by the retry rule's count.
    transmissions(u32) = "Transmissions";
    /// A number that gives names and nothing else.
    name_only(u32) = "Nth";
    /// Which copy something is.
    copy(u32) = "Copy";
}

/// What only the loss of a segment makes tell in what follows.
///
/// # Errors
/// What the serializer says.
pub fn loss_recovery<T: Serialize, S: Serializer>(value: &T, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_newtype_struct("History", value)
}

/// An instant that is only compared with the present one, where it is not a field of its own.
pub struct ComparedWithNow(pub Time);

impl Serialize for ComparedWithNow {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        compared_with_now(&self.0, to)
    }
}

/// Ranks numbers that are only compared with each other and with 0.
pub fn ranks(numbers: impl Iterator<Item = u32>) -> impl Fn(u32) -> usize {
    let mut all: Vec<u32> = numbers.chain([0]).collect();
    all.sort_unstable();
    all.dedup();
    move |number| all.partition_point(|it| *it < number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::name::Connection;
    use crate::base::time::Span;

    #[derive(Serialize)]
    struct State {
        next: Time,
        #[serde(serialize_with = "future_only")]
        free: Time,
        #[serde(serialize_with = "compared_with_now")]
        resumed: Time,
        open: Vec<Connection>,
        #[serde(serialize_with = "attempt")]
        attempt: u32,
        #[serde(serialize_with = "loss_recovery")]
        measured: Option<Span>,
    }

    fn state(shift: u64) -> State {
        let at = |nanos: u64| Time::from_nanos(shift + nanos);
        State {
            next: at(20),
            free: at(3),
            resumed: at(4),
            open: [7, 2, 7].map(|n| Connection(n + u32::try_from(shift).unwrap())).to_vec(),
            attempt: 1,
            measured: None,
        }
    }

    fn fingerprint_of(shift: u64, state: &State) -> u128 {
        Fingerprinter::new(FingerprintOptions::default())
            .fingerprint(Time::from_nanos(shift + 10), state)
    }

    #[test]
    fn a_state_is_the_same_later_and_on_other_connections() {
        assert_eq!(fingerprint_of(0, &state(0)), fingerprint_of(1_000, &state(1_000)));
    }

    #[test]
    fn what_matters_makes_another_state() {
        let plain = fingerprint_of(0, &state(0));
        let others = [
            State { next: Time::from_nanos(21), ..state(0) },
            State { next: Time::NEVER, ..state(0) },
            State { free: Time::from_nanos(11), ..state(0) },
            State { resumed: Time::from_nanos(10), ..state(0) },
            State { open: vec![Connection(7), Connection(2), Connection(2)], ..state(0) },
            State { attempt: 0, ..state(0) },
        ];
        assert!(others.iter().all(|other| fingerprint_of(0, other) != plain));
    }

    #[test]
    fn what_does_not_matter_makes_no_other_state() {
        let plain = fingerprint_of(0, &state(0));
        let others = [
            State { free: Time::from_nanos(9), ..state(0) },
            State { resumed: Time::from_nanos(9), ..state(0) },
            State { open: vec![Connection(1), Connection(9), Connection(1)], ..state(0) },
            State { attempt: 2, ..state(0) },
            State { measured: Some(Span::from_secs(1)), ..state(0) },
        ];
        assert!(others.iter().all(|other| fingerprint_of(0, other) == plain));
        let mut all = Fingerprinter::new(FingerprintOptions {
            loss_recovery: true,
            ..FingerprintOptions::default()
        });
        let now = Time::from_nanos(10);
        assert_ne!(all.fingerprint(now, &others[4]), all.fingerprint(now, &state(0)));
    }

    #[test]
    fn ranks_keep_the_order_and_nothing_else() {
        let rank = ranks([9, 3, 9].into_iter());
        assert_eq!([0, 3, 9].map(&rank), [0, 1, 2]);
        assert_eq!(ranks([0, 7].into_iter())(7), 1);
    }
}
