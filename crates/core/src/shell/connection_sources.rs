//! Sources of connections.

use std::future::Future;
use std::io;

use super::clock::Clock;
use super::packet_transport::PacketTransport;
use crate::mqtt::Backoff;

/// A client's source of connections.
pub trait Dial {
    /// The transport of its connections.
    type Transport: PacketTransport;

    /// Opens a connection when `attempt` of them have failed, and pauses first as it sees fit. A
    /// dial that is not wanted any more is dropped.
    fn dial(&mut self, attempt: u32)
    -> impl Future<Output = io::Result<Self::Transport>> + 'static;
}

/// A broker's source of connections.
pub trait Accept {
    /// The transport of its connections.
    type Transport: PacketTransport;

    /// The next connection. Dropped before its end it loses none.
    ///
    /// # Errors
    /// If none will come any more.
    fn accept(&mut self) -> impl Future<Output = io::Result<Self::Transport>>;
}

/// Dials by a function, after the longest pause of a back-off: no jitter is drawn.
#[derive(Clone, Debug)]
pub struct BackoffDialler<F, K> {
    /// Begins to open a connection; nothing may happen before what it returns is polled.
    pub open: F,
    /// The pauses.
    pub backoff: Backoff,
    /// The clock that measures them.
    pub clock: K,
}

impl<F, O, C, K> Dial for BackoffDialler<F, K>
where
    F: FnMut() -> O,
    O: Future<Output = io::Result<C>> + 'static,
    C: PacketTransport,
    K: Clock,
{
    type Transport = C;

    fn dial(&mut self, attempt: u32) -> impl Future<Output = io::Result<C>> + 'static {
        let pause = self.clock.sleep_until(self.clock.now() + self.backoff.max_pause(attempt));
        let opening = (self.open)();
        async move {
            pause.await;
            opening.await
        }
    }
}
