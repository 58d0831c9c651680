//! Single fates put in place of what would have been drawn: exact enumeration of loss patterns,
//! and runs that take away what the network did to one message. [Who decides a fate](super::fate).

use std::collections::BTreeMap;

use crate::base::{LossReason, PacketName, Span, Time};

/// Forced fate of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForcedFate {
    /// It is lost, and this is said to be why.
    Lost(LossReason),
    /// Nothing happens to it: one arrival, when the transmit queue and the mean delay bring it.
    Undisturbed,
    /// It arrives after a delay, and perhaps twice.
    Arrives {
        /// From the sending to the arrival.
        delay: Span,
        /// From the sending to the duplicate's arrival, if there is one; not before the first.
        duplicate_delay: Option<Span>,
    },
}

/// A caller that decides single fates. `()` decides none; a map decides by name; so does a closure:
///
/// ```
/// use qoslab_core::base::{PacketName, PacketSubject, Time};
/// use qoslab_core::network::{FateOverride, ForcedFate};
///
/// // A counterfactual: whatever the network does, message 7 is spared.
/// let spare = |_: Time, name: &PacketName, _: Time| match name.subject {
///     PacketSubject::Message { sequence: 7, .. } => Some(ForcedFate::Undisturbed),
///     _ => None,
/// };
/// # fn overrides(_: impl FateOverride) {}
/// # overrides(spare);
/// ```
pub trait FateOverride {
    /// The fate of the packet `name` sent at `now`; `None` leaves it to the link.
    /// `undisturbed_arrival` is when it would arrive if nothing happened to it. Neither resets nor
    /// segments of TCP are asked about.
    fn override_fate(
        &mut self,
        now: Time,
        name: &PacketName,
        undisturbed_arrival: Time,
    ) -> Option<ForcedFate>;
}

impl FateOverride for () {
    #[inline]
    fn override_fate(&mut self, _: Time, _: &PacketName, _: Time) -> Option<ForcedFate> {
        None
    }
}

impl FateOverride for BTreeMap<PacketName, ForcedFate> {
    fn override_fate(&mut self, _: Time, name: &PacketName, _: Time) -> Option<ForcedFate> {
        self.get(name).copied()
    }
}

impl<F: FnMut(Time, &PacketName, Time) -> Option<ForcedFate>> FateOverride for F {
    fn override_fate(&mut self, now: Time, name: &PacketName, plain: Time) -> Option<ForcedFate> {
        self(now, name, plain)
    }
}
