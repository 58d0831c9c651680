//! Links: what becomes of each packet on its way, in the words of tc-netem(8).
//!
//! A link has two directions, and each is two things in a row:
//!
//! 1. the **line**, at its head: packets leave one after the other at `rate` and wait in a
//!    `queue`; one too many is dropped ([`mod@tx_queue`]);
//! 2. the **way** behind it, where a packet may be lost ([`loss`]), delayed ([`jitter`]),
//!    duplicated, or hurry ahead of others (reorder).
//!
//! What happens to a packet on the way never changes what the line does to others, and it is drawn
//! from the packet's name, not from a generator's state. So turning duplication or reordering on,
//! raising a loss rate or taking a message out leaves every other packet's fate as it was. Three
//! things do depend on the packets before, as their nature is: a queue, the chain of `gemodel`
//! and the `gap` of a reorder. The chain and the gap step once for each packet handed over,
//! whatever becomes of it, so that nothing but more or fewer packets can shift them.
//!
//! | where netem differs | netem | here |
//! |---|---|---|
//! | a lost packet | never enters the queue | has used the line: it is lost on the air |
//! | a duplicate | enters the queue, meets loss again | is made on the way, is not lost |
//! | a packet lost and duplicated | arrives once | is lost |
//! | a reordered packet | skips line and delay | skips the delay |
//! | delay and line | the delay runs while a packet waits | the delay follows the line |
//! | the counter of `gap` | packets that are not lost, and duplicates | every packet |
//!
//! Besides, a link may be down for a while ([`outage`]), or one of its directions (a partition);
//! what is on its way then still arrives. Streams ride on links too: [`mod@tcp`]. What packets
//! cost a client in energy is its [`mod@radio`]'s.
//! [`link::LinkState`] is the state of one link and the only way to all this. Who else may decide
//! what becomes of a packet, and in which order, is said in [`mod@fate`].

pub mod fate;
pub mod fate_override;
pub mod interval;
pub mod jitter;
pub mod link;
pub mod loss;
pub mod outage;
pub mod presets;
pub mod radio;
pub mod recorded_fates;
pub mod settings;
pub mod tcp;
#[cfg(test)]
mod test_support;
#[cfg(test)]
mod tests;
pub mod tx_queue;
