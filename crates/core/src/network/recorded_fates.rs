//! Fates read from a schedule, and recorded for one. [Who decides a fate](super::fate).

use std::collections::BTreeMap;
use std::sync::Arc;

use super::fate_override::ForcedFate;
use crate::base::{ClientIndex, Direction, PacketName};

/// What meets one fate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FateKey {
    /// One sending of a packet, or over TCP of a segment.
    Sending(SendAttempt),
    /// A segment without data.
    Ack(AckName),
}

/// One sending: of a packet over datagrams, of a segment over TCP. A segment is named by the packet
/// of which its first byte is, whatever follows in it, so that it keeps its name when other
/// messages are left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SendAttempt {
    /// The packet.
    pub packet: PacketName,
    /// How many bytes of the packet, with TLS's around it, come before.
    pub offset: u32,
    /// The number of times that TCP had sent the segment before.
    pub attempt: u32,
}

/// The name of a segment without data: an acknowledgement, or a question whether there is room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AckName {
    /// On whose link it is.
    pub client: ClientIndex,
    /// In which direction it goes.
    pub direction: Direction,
    /// How many of them went this way before.
    pub nth: u32,
}

impl SendAttempt {
    /// The only sending of a datagram, and the first of a packet's first segment.
    #[must_use]
    pub const fn first(packet: PacketName) -> Self {
        Self { packet, offset: 0, attempt: 0 }
    }
}

/// Fates by what met them.
pub type FateMap = BTreeMap<FateKey, ForcedFate>;

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
    pub recording: Option<Vec<(FateKey, ForcedFate)>>,
}

impl RecordedFates {
    /// The fate that the schedule has, if it has one.
    #[inline]
    pub(super) fn replayed_fate(&self, key: &FateKey) -> Option<ForcedFate> {
        self.replay.as_ref()?.get(key).copied()
    }

    /// Records a fate; `None` is the undisturbed one.
    #[inline]
    pub(super) fn record_fate(&mut self, key: FateKey, fate: impl FnOnce() -> Option<ForcedFate>) {
        if let Some(record) = &mut self.recording {
            record.extend(fate().map(|fate| (key, fate)));
        }
    }
}
