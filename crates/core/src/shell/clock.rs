//! The time as an endpoint sees it.

use std::future::{self, Future};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::base::Time;

/// The time as an endpoint sees it.
pub trait Clock: Clone + 'static {
    /// Now; it never goes back.
    fn now(&self) -> Time;

    /// Resolves at `at`, or some time after it; for [`Time::NEVER`] it never does.
    fn sleep_until(&self, at: Time) -> impl Future<Output = ()> + 'static;
}

/// tokio's clock, counted from [`TokioClock::start`]. Its timers round up to whole milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct TokioClock {
    zero: Instant,
}

impl TokioClock {
    /// A clock that shows [`Time::ZERO`] now.
    #[must_use]
    pub fn start() -> Self {
        Self { zero: Instant::now() }
    }
}

impl Clock for TokioClock {
    fn now(&self) -> Time {
        let nanos = self.zero.elapsed().as_nanos();
        Time::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    fn sleep_until(&self, at: Time) -> impl Future<Output = ()> + 'static {
        let deadline = self.zero + Duration::from_nanos(at.as_nanos());
        async move {
            if at == Time::NEVER {
                future::pending::<()>().await;
            } else {
                sleep_until(deadline).await;
            }
        }
    }
}
