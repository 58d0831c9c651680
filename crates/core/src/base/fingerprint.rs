//! Fingerprints of states: 128 bits that are equal where all that follows is equal.
//!
//! Whatever is part of a state implements [`Fingerprint`], nearly always by
//! [`impl_fingerprint!`](crate::impl_fingerprint), which takes a type apart without `..` and names
//! for each field how it counts. So a field that is added does not compile until a developer has
//! decided.
//!
//! | encoding | of | what counts |
//! |---|---|---|
//! | [`plain`] | anything | all of it; a [`Time`] counts from now on, and never stays never |
//! | [`future_only`] | an instant that only matters while it is to come | the past as now |
//! | [`compared_with_now`] | an instant that is only compared with now | whether it is past |
//! | [`published`] | when a message was published | all or nothing, by an option |
//! | [`attempt`] | how often something was sent | whether it was |
//! | [`transmissions`] | the same, by the retry rule's count | all or nothing, by an option |
//! | [`loss_recovery`] | what only matters once segments are lost | all or nothing, by an option |
//! | [`connection`], [`copy`], [`timer_generation`] | a name | where it is first seen |
//! | `with(function)` | anything | what the function writes |
//! | `skip` | anything | nothing, for the reason that stands beside it |
//!
//! To count too much makes two states differ that are alike, and costs time; to count too little
//! makes a false proof. So in doubt it counts.
//!
//! [`plain`]: Fingerprinter::plain
//! [`future_only`]: Fingerprinter::future_only
//! [`compared_with_now`]: Fingerprinter::compared_with_now
//! [`published`]: Fingerprinter::published
//! [`attempt`]: Fingerprinter::attempt
//! [`transmissions`]: Fingerprinter::transmissions
//! [`loss_recovery`]: Fingerprinter::loss_recovery
//! [`connection`]: Fingerprinter::connection
//! [`copy`]: Fingerprinter::copy
//! [`timer_generation`]: Fingerprinter::timer_generation

use xxhash_rust::xxh3::xxh3_128;

use super::time::Time;

mod implementations;
mod macros;
#[cfg(test)]
mod tests;

/// A part of a state.
pub trait Fingerprint {
    /// Writes what counts of it.
    fn fingerprint(&self, into: &mut Fingerprinter);
}

/// The parts of a state that matter in a trial.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FingerprintOptions {
    /// The retry rule counts transmissions: it has a limit, or its pauses grow.
    pub transmissions: bool,
    /// Segments may get lost, so that what a sender has measured may matter in what follows.
    pub loss_recovery: bool,
    /// There are wills, of which it is asked when they were published.
    pub published: bool,
}

/// The writer of fingerprints. It reuses its buffers from one state to the next.
#[derive(Clone, Debug, Default)]
pub struct Fingerprinter {
    options: FingerprintOptions,
    now: Time,
    bytes: Vec<u8>,
    connections: Vec<u64>,
    copies: Vec<u64>,
    timer_generations: Vec<u64>,
}

impl Fingerprinter {
    /// For the states of one trial.
    #[must_use]
    pub fn new(options: FingerprintOptions) -> Self {
        Self { options, ..Self::default() }
    }

    /// The fingerprint of a state at `now`.
    pub fn fingerprint_of<T: Fingerprint + ?Sized>(&mut self, now: Time, state: &T) -> u128 {
        self.now = now;
        self.bytes.clear();
        self.connections.clear();
        self.copies.clear();
        self.timer_generations.clear();
        state.fingerprint(self);
        xxh3_128(&self.bytes)
    }

    /// Counts all of a value.
    pub fn plain<T: Fingerprint + ?Sized>(&mut self, value: &T) {
        value.fingerprint(self);
    }

    /// Counts the items of a list, and how many there are.
    pub fn list<T: Fingerprint>(&mut self, items: impl ExactSizeIterator<Item = T>) {
        self.plain(&items.len());
        items.for_each(|item| self.plain(&item));
    }

    /// Counts an instant that only matters while it is to come.
    pub fn future_only(&mut self, time: &Time) {
        self.plain(&(*time).max(self.now));
    }

    /// Counts an instant that is only compared with the present one.
    pub fn compared_with_now(&mut self, time: &Time) {
        self.plain(&(*time >= self.now));
    }

    /// Counts when a message was published.
    pub fn published(&mut self, time: &Time) {
        if self.options.published {
            self.plain(time);
        }
    }

    /// Counts whether something was sent before.
    pub fn attempt(&mut self, attempt: &u32) {
        self.plain(&(*attempt > 0));
    }

    /// Counts how often something was sent by the retry rule's count.
    pub fn transmissions(&mut self, transmissions: &u32) {
        if self.options.transmissions {
            self.plain(transmissions);
        }
    }

    /// Counts what matters after the loss of a segment alone.
    pub fn loss_recovery<T: Fingerprint>(&mut self, value: &T) {
        if self.options.loss_recovery {
            self.plain(value);
        }
    }

    /// Counts which connection a number names.
    pub fn connection(&mut self, number: &u32) {
        let index = first_seen_index(&mut self.connections, u64::from(*number));
        self.plain(&index);
    }

    /// Counts which copy of a message a number names, and of which kind.
    pub fn copy(&mut self, number: &u32) {
        let index = first_seen_index(&mut self.copies, u64::from(*number & !COPY_KIND));
        self.plain(&(index, *number & COPY_KIND != 0));
    }

    /// Counts which timer a number names; 0 is none.
    pub fn timer_generation(&mut self, number: &u64) {
        let timer = (*number > 0).then(|| first_seen_index(&mut self.timer_generations, *number));
        self.plain(&timer);
    }

    fn time(&mut self, time: Time) {
        let nanos = time.as_nanos();
        // The past wraps round to high numbers, which no span of a trial reaches.
        let from_now = nanos.wrapping_sub(self.now.as_nanos());
        self.plain(if time == Time::NEVER { &nanos } else { &from_now });
    }

    fn write(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }
}

/// The bit of a copy's number that says which kind of copy it is.
const COPY_KIND: u32 = 1 << 31;

/// The place of a number among those seen, to which it is added.
fn first_seen_index(seen: &mut Vec<u64>, number: u64) -> usize {
    seen.iter().position(|other| *other == number).unwrap_or_else(|| {
        seen.push(number);
        seen.len() - 1
    })
}

/// Ranks numbers that are only compared with each other and with 0.
pub fn ranks(numbers: impl Iterator<Item = u32>) -> impl Fn(u32) -> usize {
    let mut all: Vec<u32> = numbers.chain([0]).collect();
    all.sort_unstable();
    all.dedup();
    move |number| all.partition_point(|other| *other < number)
}
