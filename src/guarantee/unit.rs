//! What is kept of a message and of a unit: one byte each.

use crate::base::qos::QoS;

/// What a unit is owed so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(super) enum Standing {
    /// No unit: the subscription was not live.
    None,
    /// The subscription was live when the message was submitted; the broker has not seen it.
    Submitted,
    /// As `Submitted`, but the subscription had ended when the message reached the broker.
    TooLate,
    /// Live at some instant of the take window, not through all of it.
    May,
    /// As `Must`, but an UNSUBSCRIBE came before the broker began to send it on: the broker may,
    /// and need not, still deliver it [MQTT-3.10.4-3].
    Withdrawn,
    /// Live when the message first reached the broker.
    Must,
    /// As `Must`, and the broker has begun to send it on.
    Begun,
    /// Would be owed, but the subscriber refused it.
    Rejected,
    /// Would be owed, but the broker gave up after a declared number of transmissions.
    GaveUp,
    /// Would be owed, but a full queue dropped it, as declared.
    Overflowed,
}

impl Standing {
    const ALL: [Self; 10] = [
        Self::None,
        Self::Submitted,
        Self::TooLate,
        Self::May,
        Self::Withdrawn,
        Self::Must,
        Self::Begun,
        Self::Rejected,
        Self::GaveUp,
        Self::Overflowed,
    ];
}

/// One message and one subscriber: standing in bits 0 to 3, copies in bits 4 and 5 (3 means three
/// or more), the highest granted QoS that a copy may have come by in bits 6 and 7.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Unit(u8);

impl Unit {
    /// What it is owed.
    pub(super) const fn standing(self) -> Standing {
        Standing::ALL[(self.0 & 0b1111) as usize]
    }

    /// The highest granted QoS while it was taken.
    pub(super) const fn granted(self) -> QoS {
        match self.0 >> 6 {
            0 => QoS::AtMostOnce,
            1 => QoS::AtLeastOnce,
            _ => QoS::ExactlyOnce,
        }
    }

    /// How many copies were delivered; 3 means three or more.
    pub(super) const fn copies(self) -> u8 {
        self.0 >> 4 & 0b11
    }

    /// Counts a copy.
    pub(super) const fn add_copy(&mut self) {
        if self.copies() < 3 {
            self.0 += 1 << 4;
        }
    }

    /// Changes what it is owed, and keeps its copies.
    pub(super) const fn stand(&mut self, standing: Standing, granted: QoS) {
        self.0 = self.0 & 0b0011_0000 | standing as u8 | granted.number() << 6;
    }
}

/// What is known of a message on its first hop, in one byte.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Progress(u8);

impl Progress {
    /// The application called `publish()`.
    pub(super) const SUBMITTED: u8 = 1;
    /// Its PUBLISH was sent at least once.
    pub(super) const SENT: u8 = 1 << 1;
    /// Its PUBLISH reached the broker.
    pub(super) const TAKEN: u8 = 1 << 2;
    /// A successful acknowledgement reached the publisher.
    pub(super) const ACKNOWLEDGED: u8 = 1 << 3;
    /// The publisher's handshake ended well.
    pub(super) const COMPLETED: u8 = 1 << 4;
    /// The publisher's endpoint refused it or gave it up.
    pub(super) const REFUSED: u8 = 1 << 5;
    /// The publisher's session was lost before the end of the handshake.
    pub(super) const SESSION_LOST: u8 = 1 << 6;
    /// It was given up after a declared number of transmissions.
    pub(super) const GAVE_UP: u8 = 1 << 7;

    /// Whether all of these bits are set.
    pub(super) const fn is(self, bits: u8) -> bool {
        self.0 & bits == bits
    }

    /// Whether one of these bits is set.
    pub(super) const fn any(self, bits: u8) -> bool {
        self.0 & bits != 0
    }

    /// Sets bits.
    pub(super) const fn set(&mut self, bits: u8) {
        self.0 |= bits;
    }
}
