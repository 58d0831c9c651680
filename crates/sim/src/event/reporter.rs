//! Reports the events of a trial to all its observers.

use super::queue::EventClass;
use crate::trace::TraceHash;
use qoslab_core::base::radio_use::RadioUse;
use qoslab_core::base::{Ending, Event, Observer, RunSummary, Time};
use qoslab_core::impl_fingerprint;

/// The trace hash, the caller's observer, and the counts of what happened.
pub(super) struct Reporter<O> {
    trace: TraceHash,
    pub(super) observer: O,
    pub(super) events: u64,
    pub(super) packets: u64,
    /// What the radios used up to the end of the first calm, once that has come.
    pub(super) radio: Option<RadioUse>,
}

impl_fingerprint! {
    struct Reporter<O> {
        plain observer;
        skip events: "a trial that reaches its limit has no verdict, and the search says so";
        skip trace, packets, radio: "only for reports";
    }
}

impl<O: Observer> Reporter<O> {
    pub(super) fn new(observer: O) -> Self {
        Self { trace: TraceHash::new(), observer, events: 0, packets: 0, radio: None }
    }

    #[inline]
    pub(super) fn notify(&mut self, now: Time, event: &Event<'_>) {
        self.trace.observe(now, event);
        self.observer.observe(now, event);
    }

    /// The trial starts, which counts as no event.
    pub(super) fn record_start(&mut self, now: Time) {
        self.trace.record_dispatch(now, EventClass::Application as u8);
    }

    /// An event that is not stale is handled.
    #[inline]
    pub(super) fn count_dispatch(&mut self, now: Time, class: EventClass) {
        self.events += 1;
        self.trace.record_dispatch(now, class as u8);
    }

    /// The trial is over.
    pub(super) fn finish(self, ending: Ending, at: Time) -> (RunSummary, O) {
        let Self { trace, observer, events, packets, radio } = self;
        let trace_hash = trace.finish();
        (RunSummary { ending, at, events, packets, trace_hash, radio }, observer)
    }
}
