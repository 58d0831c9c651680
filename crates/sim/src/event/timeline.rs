//! The clock of a trial, its future events, and its phase.

use super::queue::{EventQueue, QueuedEvent};
use crate::trial::Setup;
use qoslab_core::base::{Phase, Span, Time};
use qoslab_core::impl_fingerprint;

/// The clock, the queue of events and the phase of a running trial.
pub(super) struct Timeline {
    /// The time of the event that is being handled.
    pub(super) now: Time,
    pub(super) phase: Phase,
    /// When the traffic began; zero before.
    pub(super) traffic_start: Time,
    deadline: Time,
    queue: EventQueue,
    /// When the traffic begins at the earliest, and whether an event waits for that.
    earliest_traffic_start: Time,
    is_traffic_start_queued: bool,
}

impl_fingerprint! {
    struct Timeline {
        plain phase;
        skip queue: "counts without what is stale in it";
        skip traffic_start: "counts where anything is planned by it";
        skip earliest_traffic_start, is_traffic_start_queued: "an event in the queue waits for it";
        skip now: "all instants count from it";
        skip deadline: "a trial that reaches it has no verdict, and the search says so";
    }
}

impl Timeline {
    pub(super) fn new(setup: &Setup) -> Self {
        let schedule = setup.schedule.as_ref();
        Self {
            now: Time::ZERO,
            phase: Phase::Connecting,
            traffic_start: Time::ZERO,
            deadline: Time::ZERO + setup.deadline,
            queue: EventQueue::default(),
            earliest_traffic_start: schedule.map_or(Time::ZERO, |it| it.traffic_start),
            is_traffic_start_queued: false,
        }
    }

    #[inline]
    pub(super) fn schedule(&mut self, at: Time, event: QueuedEvent) {
        self.queue.push(at, event);
    }

    #[inline]
    pub(super) fn schedule_after(&mut self, delay: Span, event: QueuedEvent) {
        self.schedule(self.now + delay, event);
    }

    #[inline]
    pub(super) fn schedule_now(&mut self, event: QueuedEvent) {
        self.schedule(self.now, event);
    }

    /// The next event until the deadline, whose time it is now.
    #[inline]
    pub(super) fn next_event(&mut self) -> Option<QueuedEvent> {
        let (now, event) = self.queue.pop_until(self.deadline)?;
        self.now = now;
        Some(event)
    }

    /// Time goes on to the deadline.
    pub(super) const fn advance_to_deadline(&mut self) {
        self.now = self.deadline;
    }

    /// Whether the queue can take no more.
    pub(super) const fn is_exhausted(&self) -> bool {
        self.queue.is_exhausted()
    }

    /// Returns all events to come, in order.
    pub(super) fn sorted_events(&self) -> impl Iterator<Item = (Time, QueuedEvent)> {
        self.queue.sorted_events()
    }

    /// Returns the time since the traffic began.
    pub(super) fn since_traffic_start(&self) -> Span {
        self.now.since(self.traffic_start)
    }

    /// Whether it is time for the traffic to begin. If not, an event sees to it that this is asked
    /// again.
    pub(super) fn is_traffic_due(&mut self) -> bool {
        let is_due = self.now >= self.earliest_traffic_start;
        if !is_due && !self.is_traffic_start_queued {
            self.is_traffic_start_queued = true;
            self.schedule(self.earliest_traffic_start, QueuedEvent::TrafficStart);
        }
        is_due
    }
}

/// For engines that let time go on in steps of their own.
#[cfg(feature = "turmoil")]
impl Timeline {
    /// The next event until a time, or until the deadline, whose time it is now.
    pub(super) fn next_event_until(&mut self, until: Time) -> Option<QueuedEvent> {
        let (now, event) = self.queue.pop_until(until.min(self.deadline))?;
        self.now = now;
        Some(event)
    }

    /// Time goes on, at most to the deadline; whether that has come.
    pub(super) fn advance_to(&mut self, until: Time) -> bool {
        self.now = until.min(self.deadline);
        until >= self.deadline
    }

    /// Returns the time of the next event; at the latest the deadline.
    pub(super) fn next_event_time(&self) -> Time {
        self.queue.next_event_time().min(self.deadline)
    }
}
