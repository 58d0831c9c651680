//! Counts of messages that endpoints let go, by reason.

use std::ops::AddAssign;

use serde::{Deserialize, Serialize};

use qoslab_core::base::DropReason;

/// Messages that endpoints let go without seeing them through, by their own reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DropCounts([u64; DropReason::ALL.len()]);

impl DropCounts {
    /// How many were let go for this reason.
    #[must_use]
    pub const fn count(&self, why: DropReason) -> u64 {
        self.0[why as usize]
    }

    /// Counts one.
    pub(crate) const fn record(&mut self, why: DropReason) {
        self.0[why as usize] += 1;
    }
}

impl AddAssign for DropCounts {
    fn add_assign(&mut self, other: Self) {
        for (count, more) in self.0.iter_mut().zip(other.0) {
            *count += more;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_a_count_of_its_own() {
        let mut counts = DropCounts::default();
        for (nth, why) in DropReason::ALL.into_iter().enumerate() {
            (0..=nth).for_each(|_| counts.record(why));
        }
        counts += counts;
        let seen = DropReason::ALL.map(|why| counts.count(why));
        assert_eq!(seen, [2, 4, 6, 8, 10, 12, 14, 16]);
    }
}
