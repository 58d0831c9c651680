//! One direction of a connection.

use std::collections::VecDeque;
use std::ops::Range;

use crate::base::draw::DrawKey;
use crate::base::fingerprint::{Fingerprint, Fingerprinter};
use crate::base::{PacketName, Time};
use crate::impl_fingerprint;
use crate::network::recorded_fates::SendAttempt;
use crate::network::settings::TcpSettings;
use crate::network::tcp::receiver::{Acknowledgement, Receiver};
use crate::network::tcp::sender::Sender;

/// One direction: its sender at one end, its receiver at the other.
#[derive(Clone, Debug)]
pub(super) struct Stream<T> {
    pub(super) sender: Sender,
    pub(super) receiver: Receiver,
    /// What was written and not read, with where each ends.
    pub(super) items: VecDeque<(T, u64)>,
    /// The places of SYN and FIN: they have a number and no byte (RFC 9293, 3.4).
    pub(super) markers: Vec<u64>,
    /// What is not acknowledged begins where, and is of which packets.
    pub(super) names: VecDeque<StreamedName>,
    /// Segments, and acknowledgements of the other direction, under way this way; in order of
    /// their arrivals.
    pub(super) under_way: VecDeque<UnderWay>,
    pub(super) patience: Patience,
    /// Whether someone waits for room to write.
    pub(super) awaits_room: bool,
    /// The end of the last item that was read.
    pub(super) popped: u64,
    /// What of the next one was noticed.
    pub(super) noticed: u64,
}

/// Whether a sender still tries to get through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Patience {
    Tries,
    /// It has given up, and the caller does not know yet.
    IsOver,
    /// The caller knows.
    WasOver,
}

impl_fingerprint! { fieldless Patience }

/// Which packet begins at a place in a stream.
#[derive(Clone, Copy, Debug)]
pub(super) struct StreamedName {
    pub(super) start: u64,
    pub(super) name: PacketName,
    pub(super) publisher_key: Option<DrawKey>,
}

/// A segment on its way.
#[derive(Clone, Debug)]
pub(super) struct UnderWay {
    pub(super) at: Time,
    pub(super) sent: Time,
    pub(super) bytes: Range<u64>,
    pub(super) ack: Acknowledgement,
}

impl_fingerprint! { struct UnderWay { plain at, sent, bytes, ack; } }

impl<T: Fingerprint> Fingerprint for Stream<T> {
    /// Where nothing is lost and the window never fills, only what arrives counts, and when.
    fn fingerprint(&self, into: &mut Fingerprinter) {
        // Names only matter to random draws, and what was noticed of an item to keep alive, which
        // is off where states are compared.
        let Self { sender, receiver, items, markers, under_way, patience, awaits_room, .. } = self;
        let arrived = receiver.next();
        into.list(items.iter().map(|(item, end)| (item, end.saturating_sub(arrived))));
        let data = under_way.iter().filter(|segment| segment.bytes.end > arrived);
        into.plain(&data.map(|it| (it.at, it.bytes.end - arrived)).collect::<Vec<_>>());
        into.plain(&(*patience, *awaits_room));
        into.loss_recovery(&(sender, receiver, markers, under_way));
    }
}

impl<T> Stream<T> {
    pub(super) const fn new() -> Self {
        Self {
            sender: Sender::new(),
            receiver: Receiver::new(),
            items: VecDeque::new(),
            markers: Vec::new(),
            names: VecDeque::new(),
            under_way: VecDeque::new(),
            patience: Patience::Tries,
            awaits_room: false,
            popped: 0,
            noticed: 0,
        }
    }

    /// When the next segment arrives.
    #[inline]
    pub(super) fn arrives_at(&self) -> Time {
        self.under_way.front().map_or(Time::NEVER, |segment| segment.at)
    }

    /// When a timer expires: the sender's, or that of an acknowledgement.
    #[inline]
    pub(super) fn timer(&self, tcp: &TcpSettings) -> Time {
        let tries = self.patience == Patience::Tries;
        let sender = if tries { self.sender.next_due(tcp) } else { Time::NEVER };
        sender.min(self.receiver.acks_at())
    }

    /// When something is due that shows. If this stream's sender has sent all it has, and an
    /// acknowledgement is under way that all of it has arrived, neither that nor its timers, which
    /// are then off, do.
    pub(super) fn due_that_shows(&self, other: &Self, tcp: &TcpSettings) -> Time {
        if self.patience == Patience::IsOver {
            return Time::ZERO;
        }
        let settles = |stream: &Self, segment: &UnderWay| {
            !stream.awaits_room
                && segment.bytes.is_empty()
                && stream.sender.is_settled_by(&segment.ack)
        };
        let arrival = self.under_way.iter().find(|segment| !settles(other, segment));
        let arrival = arrival.map_or(Time::NEVER, |segment| segment.at);
        let is_settled = other.under_way.front().is_some_and(|segment| settles(self, segment));
        let timer = if is_settled { self.receiver.acks_at() } else { self.timer(tcp) };
        arrival.min(timer)
    }

    #[inline]
    pub(super) fn has_arrived(&self) -> bool {
        self.items.front().is_some_and(|(_, end)| *end <= self.receiver.next())
    }

    pub(super) fn on_acknowledgement(
        &mut self,
        now: Time,
        ack: &Acknowledgement,
        tcp: &TcpSettings,
    ) {
        self.sender.on_acknowledgement(now, ack, tcp);
        let unacked = self.sender.unacked();
        while self.names.get(1).is_some_and(|next| next.start <= unacked) {
            self.names.pop_front();
        }
    }

    /// The name of a segment that begins there, and the key of its draws.
    pub(super) fn sending(&self, start: u64, attempt: u32) -> (SendAttempt, Option<DrawKey>) {
        let after = self.names.partition_point(|name| name.start <= start);
        let StreamedName { start: first, name, publisher_key } = self.names[after - 1];
        let offset = u32::try_from(start - first).unwrap_or(u32::MAX);
        (SendAttempt { packet: name, offset, attempt }, publisher_key)
    }

    /// How many bytes a part of the stream has: its numbers without those of SYN and FIN.
    pub(super) fn byte_count(&self, part: Range<u64>) -> u32 {
        let markers = self.markers.iter().filter(|place| part.contains(*place)).count() as u64;
        u32::try_from(part.end - part.start - markers).unwrap_or(u32::MAX)
    }
}
