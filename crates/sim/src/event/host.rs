//! An endpoint and what the engine remembers of it.

use serde::Serialize;

use super::queue::{Happening, Queue};
use qoslab_core::base::time::Time;
use qoslab_core::mqtt::endpoint::{Backlog, Endpoint};
use qoslab_core::mqtt::settings::Store;

/// One node: its endpoint, its one wake-up, its backlog when last asked, its storage.
#[derive(Serialize)]
pub(super) struct Host<E> {
    pub(super) endpoint: E,
    /// It has crashed and not started again.
    pub(super) is_down: bool,
    /// What its storage holds, unless it is always what the endpoint holds.
    kept: Option<Box<E>>,
    /// The wake-up that counts; others in the queue are stale. It may come too early, because a
    /// timer that is put off is not worth an entry of its own.
    wake: Time,
    /// Whether a wake-up never comes too early: an explorer would take what it does not change for
    /// something that happened.
    is_exact: bool,
    /// With [`Self::is_exact`]: the wake-ups in the queue that are stale.
    // What is stale is left out of the queue too.
    #[serde(skip)]
    stale: Vec<Time>,
    backlog: Backlog,
}

/// What changed in a [`Backlog`].
pub(super) struct Change {
    pub(super) before: Backlog,
    pub(super) after: Backlog,
}

impl<E: Endpoint + Clone> Host<E> {
    pub(super) fn new(endpoint: E, store: Store) -> Self {
        let kept = match store {
            Store::Durable => None,
            Store::Snapshot(_) | Store::Volatile => Some(Box::new(endpoint.clone())),
        };
        Self {
            endpoint,
            is_down: false,
            kept,
            wake: Time::NEVER,
            is_exact: false,
            stale: Vec::new(),
            backlog: Backlog::default(),
        }
    }

    /// From now on no wake-up comes too early.
    pub(super) const fn be_exact(&mut self) {
        self.is_exact = true;
    }

    /// The wake-ups in the queue that mean nothing.
    pub(super) fn stale(&self) -> &[Time] {
        &self.stale
    }

    /// Writes its storage, which keeps what there is now.
    pub(super) fn save(&mut self) {
        if !self.is_down {
            self.kept = Some(Box::new(self.endpoint.clone()));
        }
    }

    /// It crashes: what its storage does not hold is gone, and it waits for nothing.
    pub(super) fn crash(&mut self) -> Change {
        self.is_down = true;
        self.put_off();
        if let Some(kept) = &self.kept {
            self.endpoint = (**kept).clone();
        }
        let before = self.backlog;
        self.backlog.armed = false;
        Change { before, after: self.backlog }
    }

    /// It starts again.
    pub(super) fn restart(&mut self, now: Time) {
        self.is_down = false;
        self.wake = Time::NEVER;
        self.endpoint.restart(now);
    }

    /// After the endpoint was drained: sees to its wake-up, under its number in the queue, and to
    /// its backlog.
    pub(super) fn settle(&mut self, now: Time, queue: &mut Queue, number: u32) -> Option<Change> {
        self.set_wake(now, queue, number);
        let (before, after) = (self.backlog, self.endpoint.backlog());
        self.backlog = after;
        (before != after).then_some(Change { before, after })
    }

    /// A wake-up came: whether the endpoint is to be told.
    pub(super) fn woke(&mut self, now: Time, queue: &mut Queue, number: u32) -> bool {
        if let Some(place) = self.stale.iter().position(|stale| *stale == now) {
            self.stale.swap_remove(place);
            return false;
        }
        if self.is_down || self.wake != now {
            return false;
        }
        self.wake = Time::NEVER;
        if self.endpoint.next_timeout() <= now {
            return true;
        }
        self.set_wake(now, queue, number);
        false
    }

    /// The wake-up that counts does not count any more, where that is kept track of.
    fn put_off(&mut self) {
        if self.is_exact && self.wake != Time::NEVER {
            self.stale.push(self.wake);
            self.wake = Time::NEVER;
        }
    }

    fn set_wake(&mut self, now: Time, queue: &mut Queue, number: u32) {
        let due = self.endpoint.next_timeout();
        if due > self.wake {
            self.put_off();
        }
        if due < self.wake {
            self.put_off();
            self.wake = due.max(now);
            queue.push(self.wake, Happening::Wake(number));
        }
    }
}
