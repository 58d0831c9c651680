//! Fates read from a schedule, and recorded for one. [Who decides a fate](super::fate).

use std::collections::BTreeMap;
use std::sync::Arc;

use super::fate_override::ForcedFate;
use crate::base::PacketName;

/// One sending of a piece of a packet: of all of it over datagrams, of one segment over TCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SendAttempt {
    /// The packet.
    pub packet: PacketName,
    /// Index of the segment in it, from 0.
    pub segment: u32,
    /// The number of times that TCP had sent the segment before.
    pub attempt: u32,
}

impl SendAttempt {
    /// The only sending of a datagram, and the first of a packet's first segment.
    #[must_use]
    pub const fn first(packet: PacketName) -> Self {
        Self { packet, segment: 0, attempt: 0 }
    }
}

/// Fates by what met them.
pub type FateMap = BTreeMap<SendAttempt, ForcedFate>;

/// The fates that a link replays and records.
///
/// A link that replays a schedule draws nothing that matters: its settings leave nothing to chance,
/// and whatever is not in the schedule is undisturbed, which is one arrival when the transmit queue
/// and the mean delay bring it. A link that records leaves out what is undisturbed, and what the
/// queue or an outage did: that comes again by itself.
#[derive(Clone, Debug, Default)]
pub struct RecordedFates {
    /// The fates to replay; `None` where they are drawn.
    pub replay: Option<Arc<FateMap>>,
    /// The recorded fates, while they are recorded.
    pub recording: Option<Vec<(SendAttempt, ForcedFate)>>,
}

impl RecordedFates {
    /// The fate that the schedule has for a sending, if it has one.
    #[inline]
    pub(super) fn replayed_fate(&self, sending: &SendAttempt) -> Option<ForcedFate> {
        self.replay.as_ref()?.get(sending).copied()
    }

    /// Records a fate; `None` is the undisturbed one.
    #[inline]
    pub(super) fn record_fate(
        &mut self,
        sending: SendAttempt,
        fate: impl FnOnce() -> Option<ForcedFate>,
    ) {
        if let Some(record) = &mut self.recording {
            record.extend(fate().map(|fate| (sending, fate)));
        }
    }
}
