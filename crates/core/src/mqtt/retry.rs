//! The timer rule: when a packet without an answer is sent again.

use std::collections::VecDeque;

use super::packet::PacketId;
use super::quirks::Quirk;
use super::settings::{HopSettings, RetryRule, RetryTimer};
use crate::base::fingerprint::{Fingerprint, Fingerprinter};
use crate::base::{Span, Time};
use crate::impl_fingerprint;

/// The timer of a sender that repeats on a live connection though it must not.
const TIMER_RESEND_RULE: RetryTimer =
    RetryTimer { every: Span::from_secs(1), backoff: 1.0, max_transmissions: None };

/// Retry timers of all sessions of one endpoint.
///
/// All packets that were sent equally often wait equally long, so their deadlines come in the
/// order of arming: a queue for each number of transmissions replaces a heap. An answered packet's
/// timer stays in its queue until it gets to the front; [`RetryTimers::prune`] keeps the fronts
/// alive, so the next deadline is known without a search.
#[derive(Clone, Debug)]
pub struct RetryTimers {
    rule: Option<RetryTimer>,
    /// By the number of transmissions, less one; without backoff all share the first.
    queues: Vec<VecDeque<TimerEntry>>,
    /// How long each queue waits.
    intervals: Vec<Span>,
    generation: u64,
}

/// One timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimerEntry {
    /// The time at which it fires.
    pub deadline: Time,
    /// Number of the session at the endpoint; 0 at a client.
    pub session: u32,
    /// The packet id of the exchange that it belongs to.
    pub id: PacketId,
    /// Identifies this arming: rearming or disarming the timer changes it.
    pub generation: TimerGeneration,
}

impl_fingerprint! {
    struct TimerEntry {
        plain deadline, session, id, generation;
    }
}

/// The name of one arming.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimerGeneration(u64);

impl_fingerprint! { struct TimerGeneration(number) { timer_generation number; } }

impl TimerGeneration {
    /// Of a packet whose timer is not armed.
    pub const DISARMED: Self = Self(0);
}

impl RetryTimers {
    /// No timers yet, by the retry rule of a hop.
    pub const fn new(settings: &HopSettings) -> Self {
        let rule = match settings.retry {
            RetryRule::Timer(timer) => Some(timer),
            // The quirk: what MQTT 3.1 had for connections that lose packets is done on one that
            // loses none [MQTT-4.4.0-1 of 5.0], where it only makes copies.
            RetryRule::Reconnect if settings.quirks.has(Quirk::TimerResend) => {
                Some(TIMER_RESEND_RULE)
            }
            RetryRule::Reconnect => None,
        };
        Self { rule, queues: Vec::new(), intervals: Vec::new(), generation: 0 }
    }

    /// Arms the timer after the `transmissions`-th sending of a packet, from 1.
    pub fn arm(
        &mut self,
        now: Time,
        session: u32,
        id: PacketId,
        transmissions: u32,
    ) -> TimerGeneration {
        let Some(rule) = self.rule else { return TimerGeneration::DISARMED };
        let queue = self.queue_for(rule, transmissions);
        self.generation += 1;
        let stamp = TimerGeneration(self.generation);
        let deadline = now + self.intervals[queue];
        self.queues[queue].push_back(TimerEntry { deadline, session, id, generation: stamp });
        stamp
    }

    /// Whether a packet that was sent so often is given up instead of sent again.
    pub fn is_exhausted(&self, transmissions: u32) -> bool {
        let limit = self.rule.and_then(|rule| rule.max_transmissions);
        limit.is_some_and(|limit| transmissions >= limit)
    }

    /// The earliest deadline.
    pub fn next_deadline(&self) -> Time {
        let fronts = self.queues.iter().filter_map(VecDeque::front);
        fronts.map(|armed| armed.deadline).min().unwrap_or(Time::NEVER)
    }

    /// Takes the earliest timer that is due, those of one instant in the order of arming.
    pub fn pop_due(&mut self, now: Time) -> Option<TimerEntry> {
        let fronts = self.queues.iter_mut().filter(|queue| !queue.is_empty());
        let earliest = fronts.min_by_key(|queue| (queue[0].deadline, queue[0].generation))?;
        if earliest[0].deadline > now {
            return None;
        }
        earliest.pop_front()
    }

    /// Disarms all.
    pub fn clear(&mut self) {
        for queue in &mut self.queues {
            queue.clear();
        }
    }

    /// Drops obsolete timers from the front.
    pub fn prune(&mut self, is_live: impl Fn(&TimerEntry) -> bool) {
        for queue in &mut self.queues {
            while queue.front().is_some_and(|armed| !is_live(armed)) {
                queue.pop_front();
            }
        }
    }

    /// The queue of packets that were sent so often, made if it is the first such.
    fn queue_for(&mut self, rule: RetryTimer, transmissions: u32) -> usize {
        let constant = rule.backoff <= 1.0;
        let wanted = if constant { 0 } else { transmissions.saturating_sub(1) as usize };
        while self.queues.len() <= wanted {
            let interval = match self.intervals.last() {
                None => rule.every,
                // Once the interval cannot grow any more, the last queue serves all that follow.
                Some(&last) if last >= Span::LIMIT => return self.queues.len() - 1,
                Some(last) => Span::from_secs_f64(last.as_secs_f64() * rule.backoff),
            };
            self.intervals.push(interval.min(Span::LIMIT));
            self.queues.push(VecDeque::new());
        }
        wanted
    }
}

impl Fingerprint for RetryTimers {
    /// The timers in the order in which they fire, each with its queue. The rule and its intervals
    /// are the same in all states of a trial, and the latest generation only names what follows.
    fn fingerprint(&self, into: &mut Fingerprinter) {
        let Self { rule: _, queues, intervals: _, generation: _ } = self;
        let numbered = queues.iter().enumerate();
        let mut all: Vec<_> =
            numbered.flat_map(|(n, queue)| queue.iter().map(move |armed| (armed, n))).collect();
        all.sort_unstable_by_key(|(armed, _)| (armed.deadline, armed.generation));
        into.plain(&all);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timers(backoff: f64) -> RetryTimers {
        let every = Span::from_secs(1);
        let retry = RetryRule::Timer(RetryTimer { every, backoff, max_transmissions: Some(3) });
        RetryTimers::new(&HopSettings { retry, ..HopSettings::default() })
    }

    fn at(secs: u64) -> Time {
        Time::ZERO + Span::from_secs(secs)
    }

    #[test]
    fn backoff_multiplies_each_interval() {
        let mut timers = timers(2.0);
        for (transmissions, deadline) in [(3, 4), (1, 1), (2, 2)] {
            timers.arm(Time::ZERO, 0, PacketId::MIN, transmissions);
            assert!(timers.queues.iter().flatten().any(|armed| armed.deadline == at(deadline)));
        }
        let due: Vec<_> = std::iter::from_fn(|| timers.pop_due(at(9))).collect();
        assert_eq!(due.iter().map(|due| due.deadline).collect::<Vec<_>>(), [at(1), at(2), at(4)]);
    }

    #[test]
    fn an_interval_grows_no_further_than_the_clock_allows() {
        let mut timers = timers(2.0);
        timers.arm(Time::ZERO, 0, PacketId::MIN, 10_000);
        assert_eq!(timers.next_deadline(), Time::ZERO + Span::LIMIT);
        assert!(timers.queues.len() < 64);
    }

    #[test]
    fn pruning_leaves_the_earliest_live_timer_in_front() {
        let mut timers = timers(1.0);
        timers.arm(at(0), 0, PacketId::MIN, 1);
        let second = timers.arm(at(1), 0, PacketId::MIN, 1);
        timers.prune(|armed| armed.generation == second);
        assert_eq!(timers.next_deadline(), at(2));
        assert_eq!(timers.pop_due(at(1)), None);
    }

    #[test]
    fn the_limit_counts_transmissions_and_not_retries() {
        let timers = timers(1.0);
        assert!(!timers.is_exhausted(2) && timers.is_exhausted(3));
    }
}
