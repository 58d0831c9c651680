//! Links: what becomes of each packet in transit, in the words of tc-netem(8).
//!
//! A link has two directions, and each is two things in a row:
//!
//! 1. the **transmit queue**, at its head: packets leave one after the other at `rate` and wait in
//!    a `queue`; one too many is dropped;
//! 2. the **path** behind it, where a packet may be lost ([`LossModel`]), delayed
//!    ([`Distribution`]), duplicated, or sent ahead of others ([`ReorderRule`]).
//!
//! What happens to a packet on the path never changes what the queue does to others, and it is
//! drawn from the packet's name, not from a generator's state. So turning duplication or reordering
//! on, raising a loss rate or taking a message out leaves every other packet's fate as it was.
//! Three things do depend on the packets before, as their nature is: a queue, the chain of
//! `gemodel` and the `gap` of a reorder. The chain and the gap step once for each packet handed
//! over, whatever becomes of it, so that nothing but more or fewer packets can shift them.
//!
//! | where netem differs | netem | here |
//! |---|---|---|
//! | a lost packet | never enters the queue | has used the rate: it is lost on the path |
//! | a duplicate | enters the queue, meets loss again | is made on the path, is not lost |
//! | a packet lost and duplicated | arrives once | is lost |
//! | a reordered packet | skips queue and delay | skips the delay |
//! | delay and rate | the delay runs while a packet waits | the delay follows the queue |
//! | the counter of `gap` | packets that are not lost, and duplicates | every packet |
//!
//! Besides, a link may be down for a while ([`OutageModel`]), or one of its directions (a
//! partition); what is in transit then still arrives. Streams ride on links too: [`mod@tcp`]. What
//! packets cost a client in energy is its [`mod@radio`]'s. [`LinkState`] is the state of one link
//! and the only way to all this. Who else may decide what becomes of a packet, and in which order,
//! is said in [`mod@fate`].

pub use self::fate_override::{FateOverride, ForcedFate};
pub use self::link::{LinkKeys, LinkState, publisher_key};
pub use self::recorded_fates::{AckName, FateKey, FateMap, RecordedFates, SendAttempt};
pub use self::settings::{
    CongestionControl, DirectionSettings, Distribution, IntervalDistribution, LinkSettings,
    LossModel, OutageModel, ReorderRule, SocketBuffer, SocketSettings, TcpSettings, TlsSettings,
    TlsVersion, Transport,
};

pub mod fate;
mod fate_override;
mod interval;
mod jitter;
mod link;
mod loss;
mod outage;
pub mod presets;
pub mod radio;
mod recorded_fates;
mod settings;
pub mod tcp;
#[cfg(test)]
mod test_support;
#[cfg(test)]
mod tests;
mod tx_queue;
