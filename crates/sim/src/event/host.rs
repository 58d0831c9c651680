//! An endpoint and the engine's state for it.

use super::queue::QueuedEvent;
use super::timeline::Timeline;
use qoslab_core::base::Time;
use qoslab_core::impl_fingerprint;
use qoslab_core::mqtt::{Backlog, Endpoint, StorePolicy};

/// One node: its endpoint, its one wake-up, its backlog when last asked, its storage.
pub(super) struct Host<E> {
    pub(super) endpoint: E,
    /// It has crashed and not started again.
    pub(super) is_down: bool,
    /// The contents of its storage, unless always equal to the endpoint.
    stored: Option<Box<E>>,
    /// The wake-up that counts; others in the queue are stale. It may come too early, because a
    /// timer that is put off is not worth an entry of its own.
    next_wakeup: Time,
    /// Whether a wake-up never comes too early: an explorer would take what it does not change for
    /// something that happened.
    has_exact_wakeups: bool,
    /// With [`Self::has_exact_wakeups`]: the wake-ups in the queue that are stale.
    stale_wakeups: Vec<Time>,
    backlog: Backlog,
}

impl_fingerprint! {
    struct Host<E> {
        plain endpoint, is_down, stored, next_wakeup, has_exact_wakeups, backlog;
        skip stale_wakeups: "stale wake-ups are left out of the queue too";
    }
}

/// Change in a [`Backlog`].
pub(super) struct BacklogChange {
    pub(super) before: Backlog,
    pub(super) after: Backlog,
}

impl<E: Endpoint + Clone> Host<E> {
    pub(super) fn new(endpoint: E, store: StorePolicy) -> Self {
        let stored = match store {
            StorePolicy::Durable => None,
            StorePolicy::Snapshot(_) | StorePolicy::Volatile => Some(Box::new(endpoint.clone())),
        };
        Self {
            endpoint,
            is_down: false,
            stored,
            next_wakeup: Time::NEVER,
            has_exact_wakeups: false,
            stale_wakeups: Vec::new(),
            backlog: Backlog::default(),
        }
    }

    /// From now on no wake-up comes too early.
    pub(super) const fn require_exact_wakeups(&mut self) {
        self.has_exact_wakeups = true;
    }

    /// The wake-ups in the queue that mean nothing.
    pub(super) fn stale_wakeups(&self) -> &[Time] {
        &self.stale_wakeups
    }

    /// Writes its storage, which keeps what there is now.
    pub(super) fn save(&mut self) {
        if !self.is_down {
            self.stored = Some(Box::new(self.endpoint.clone()));
        }
    }

    /// It crashes: what its storage does not hold is gone, and it waits for nothing.
    pub(super) fn crash(&mut self) -> BacklogChange {
        self.is_down = true;
        self.invalidate_wakeup();
        if let Some(stored) = &self.stored {
            self.endpoint = (**stored).clone();
        }
        let before = self.backlog;
        self.backlog.has_armed_timer = false;
        BacklogChange { before, after: self.backlog }
    }

    /// It starts again.
    pub(super) fn restart(&mut self, now: Time) {
        self.is_down = false;
        self.next_wakeup = Time::NEVER;
        self.endpoint.restart(now);
    }

    /// After the endpoint was drained: sees to its wake-up, under its number in the queue, and to
    /// its backlog.
    pub(super) fn sync_after_drain(
        &mut self,
        timeline: &mut Timeline,
        number: u32,
    ) -> Option<BacklogChange> {
        self.schedule_wakeup(timeline, number);
        let (before, after) = (self.backlog, self.endpoint.backlog());
        self.backlog = after;
        (before != after).then_some(BacklogChange { before, after })
    }

    /// Handles a wake-up: returns whether the endpoint is to be called.
    pub(super) fn take_wakeup(&mut self, timeline: &mut Timeline, number: u32) -> bool {
        let now = timeline.now;
        if let Some(index) = self.stale_wakeups.iter().position(|stale| *stale == now) {
            self.stale_wakeups.swap_remove(index);
            return false;
        }
        if self.is_down || self.next_wakeup != now {
            return false;
        }
        self.next_wakeup = Time::NEVER;
        if self.endpoint.next_timeout() <= now {
            return true;
        }
        self.schedule_wakeup(timeline, number);
        false
    }

    /// The wake-up that counts does not count any more, where that is kept track of.
    fn invalidate_wakeup(&mut self) {
        if self.has_exact_wakeups && self.next_wakeup != Time::NEVER {
            self.stale_wakeups.push(self.next_wakeup);
            self.next_wakeup = Time::NEVER;
        }
    }

    fn schedule_wakeup(&mut self, timeline: &mut Timeline, number: u32) {
        let due = self.endpoint.next_timeout();
        if due > self.next_wakeup {
            self.invalidate_wakeup();
        }
        if due < self.next_wakeup {
            self.invalidate_wakeup();
            self.next_wakeup = due.max(timeline.now);
            timeline.schedule(self.next_wakeup, QueuedEvent::NodeTimer(number));
        }
    }
}
