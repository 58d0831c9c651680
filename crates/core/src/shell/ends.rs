//! Where connections come from.

use std::future::Future;
use std::io;

use super::carrier::Carrier;
use super::clock::Clock;
use crate::mqtt::settings::Backoff;

/// How a client gets its connections.
pub trait Dial {
    /// What it gets.
    type Carrier: Carrier;

    /// Opens a connection when `attempt` of them have failed, and pauses first as it sees fit. A
    /// dial that is not wanted any more is dropped.
    fn dial(&mut self, attempt: u32) -> impl Future<Output = io::Result<Self::Carrier>> + 'static;
}

/// How a broker gets its connections.
pub trait Accept {
    /// What it gets.
    type Carrier: Carrier;

    /// The next connection. Dropped before its end it loses none.
    ///
    /// # Errors
    /// If none will come any more.
    fn accept(&mut self) -> impl Future<Output = io::Result<Self::Carrier>>;
}

/// Dials by a function, after the longest pause of a back-off: no jitter is drawn.
#[derive(Clone, Debug)]
pub struct Dialler<F, K> {
    /// Begins to open a connection; nothing may happen before what it returns is polled.
    pub open: F,
    /// The pauses.
    pub backoff: Backoff,
    /// What they are measured by.
    pub clock: K,
}

impl<F, O, C, K> Dial for Dialler<F, K>
where
    F: FnMut() -> O,
    O: Future<Output = io::Result<C>> + 'static,
    C: Carrier,
    K: Clock,
{
    type Carrier = C;

    fn dial(&mut self, attempt: u32) -> impl Future<Output = io::Result<C>> + 'static {
        let pause = self.clock.sleep_until(self.clock.now() + self.backoff.longest(attempt));
        let opening = (self.open)();
        async move {
            pause.await;
            opening.await
        }
    }
}
