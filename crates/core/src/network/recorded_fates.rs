//! Fates read from a script, and written into one.
//!
//! A link that plays a script draws nothing that matters: its settings are without luck, and
//! whatever is not in the script is plain, which is one arrival when the line and the mean delay
//! bring it. A link that records writes down what was not plain and not the doing of the line or
//! of an outage: those come again by themselves.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::fate_override::ForcedFate;
use crate::base::name::PacketName;

/// One sending of a piece of a packet: of all of it over datagrams, of one segment over TCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SendAttempt {
    /// The packet.
    pub packet: PacketName,
    /// Which segment of it, from 0.
    pub segment: u32,
    /// How often TCP had sent the segment before.
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

/// What a link reads and writes.
#[derive(Clone, Debug, Default)]
pub struct RecordedFates {
    /// The fates to be met; `None` where they are drawn.
    pub replay: Option<Arc<FateMap>>,
    /// Where fates that were met are written down.
    pub recording: Option<Vec<(SendAttempt, ForcedFate)>>,
}

impl RecordedFates {
    /// The fate that is written, if one is.
    #[inline]
    pub(super) fn replayed_fate(&self, sending: &SendAttempt) -> Option<ForcedFate> {
        self.replay.as_ref()?.get(sending).copied()
    }

    /// Writes down a fate; `None` for the plain one.
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
