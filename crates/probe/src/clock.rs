//! The real time, in the simulator's unit.

#![expect(clippy::disallowed_types, clippy::disallowed_methods, reason = "real systems, real time")]

use std::thread;
use std::time::{Duration, Instant};

use qoslab_core::base::{Span, Time};

/// Clock that shows the real time since it was started. Copies show the same.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    started: Instant,
}

impl Clock {
    /// A clock that starts now.
    #[must_use]
    pub fn start() -> Self {
        Self { started: Instant::now() }
    }

    /// The time now.
    #[must_use]
    #[expect(clippy::missing_panics_doc, reason = "only after centuries")]
    pub fn now(self) -> Time {
        let nanos = self.started.elapsed().as_nanos();
        Time::from_nanos(u64::try_from(nanos).expect("64 bits hold 584 years of nanoseconds"))
    }

    /// How long it is until a time; zero if that has passed.
    #[must_use]
    pub fn until(self, time: Time) -> Duration {
        Duration::from_nanos(time.since(self.now()).as_nanos())
    }

    /// Waits until a time, and some 50 microseconds more: what Linux allows itself.
    pub fn sleep_until(self, time: Time) {
        thread::sleep(self.until(time));
    }

    /// Waits that long.
    pub fn sleep(self, span: Span) {
        self.sleep_until(self.now() + span);
    }
}
