//! One deadline for each session of a broker, and which of them comes next.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::Time;
use crate::impl_fingerprint;

/// Deadlines of one kind: at most one a session, and nothing kept for a session without one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Deadlines {
    by_time: BTreeSet<(Time, u32)>,
    by_session: BTreeMap<u32, Time>,
}

impl_fingerprint! {
    struct Deadlines {
        plain by_time;
        skip by_session: "follows from the rest";
    }
}

impl Deadlines {
    /// Sets a session's deadline, in place of the one it had.
    pub(crate) fn set(&mut self, session: u32, at: Time) {
        if let Some(before) = self.by_session.insert(session, at) {
            self.by_time.remove(&(before, session));
        }
        self.by_time.insert((at, session));
    }

    /// The session has no deadline any more.
    pub(crate) fn clear(&mut self, session: u32) {
        if let Some(before) = self.by_session.remove(&session) {
            self.by_time.remove(&(before, session));
        }
    }

    /// Takes the earliest deadline that has come, those of one instant in the order of sessions.
    pub(crate) fn pop_due(&mut self, now: Time) -> Option<u32> {
        let &(at, session) = self.by_time.first()?;
        if at > now {
            return None;
        }
        self.clear(session);
        Some(session)
    }

    /// The earliest deadline; [`Time::NEVER`] if there is none.
    pub(crate) fn next(&self) -> Time {
        self.by_time.first().map_or(Time::NEVER, |&(at, _)| at)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.by_time.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Span;

    fn at(secs: u64) -> Time {
        Time::ZERO + Span::from_secs(secs)
    }

    #[test]
    fn deadlines_come_in_the_order_of_time_and_a_session_has_one() {
        let mut deadlines = Deadlines::default();
        for (session, secs) in [(7, 3), (2, 5), (1, 3), (2, 1), (9, 2)] {
            deadlines.set(session, at(secs));
        }
        deadlines.clear(9);
        assert_eq!(deadlines.next(), at(1));
        let due: Vec<_> = std::iter::from_fn(|| deadlines.pop_due(at(3))).collect();
        assert_eq!(due, [2, 1, 7]);
        assert!(deadlines.is_empty());
        assert_eq!(deadlines.next(), Time::NEVER);
    }

    #[test]
    fn a_deadline_does_not_come_early() {
        let mut deadlines = Deadlines::default();
        deadlines.set(0, at(2));
        assert_eq!(deadlines.pop_due(at(1)), None);
        assert_eq!(deadlines.pop_due(at(2)), Some(0));
    }
}
