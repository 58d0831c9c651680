//! The state kept for a message and for a unit: one byte each.

use super::promise::{DeliveryTerms, delivery_terms};
use qoslab_core::base::QoS;
use qoslab_core::impl_fingerprint;

/// What a unit is owed so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(super) enum DeliveryState {
    /// No unit: the subscription was not live.
    NotSubscribed,
    /// The subscription was live when the message was submitted; the broker has not seen it.
    Submitted,
    /// As `Submitted`, but the subscription had ended when the message reached the broker.
    UnsubscribedInTransit,
    /// Live at some instant of the take window, not through all of it.
    MayDeliver,
    /// As `MustDeliver`, but an UNSUBSCRIBE came before the broker began to send it on: the broker
    /// may, and need not, still deliver it [MQTT-3.10.4-3].
    Withdrawn,
    /// Live when the message first reached the broker.
    MustDeliver,
    /// As `MustDeliver`, and the broker has no excuse any more: it let go of it without a reason,
    /// or let it wait though it might have sent it.
    NoExcuse,
    /// As `MustDeliver`, and the broker has begun to send it on.
    ForwardingStarted,
    /// Would be owed, but the subscriber refused it.
    Rejected,
    /// Would be owed, but the broker gave up after a declared number of transmissions.
    GaveUp,
    /// Would be owed, but a full queue dropped it, as declared.
    Overflowed,
    /// Would be owed, but it expired before the broker began to send it on.
    Expired,
    /// Would be owed, but it was larger than the subscriber takes.
    TooLarge,
    /// Would be owed to a group, but the session of the member that was to have it ended.
    MemberSessionEnded,
}

impl DeliveryState {
    const ALL: [Self; 14] = [
        Self::NotSubscribed,
        Self::Submitted,
        Self::UnsubscribedInTransit,
        Self::MayDeliver,
        Self::Withdrawn,
        Self::MustDeliver,
        Self::NoExcuse,
        Self::ForwardingStarted,
        Self::Rejected,
        Self::GaveUp,
        Self::Overflowed,
        Self::Expired,
        Self::TooLarge,
        Self::MemberSessionEnded,
    ];

    /// Whether a copy must come.
    pub(super) const fn is_owed(self) -> bool {
        matches!(self, Self::MustDeliver | Self::NoExcuse | Self::ForwardingStarted)
    }
}

/// One message and one subscriber: standing in bits 0 to 3, copies in bits 4 and 5 (3 means three
/// or more), the granted QoS in bits 6 and 7, where 3 means that it rose while the message was
/// taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct DeliveryUnit(u8);

impl_fingerprint! { struct DeliveryUnit(bits) { plain bits; } }

/// The bits of the granted QoS, all set.
const GRANT_RAISED: u8 = 0b1100_0000;

impl DeliveryUnit {
    /// What it is owed.
    pub(super) const fn state(self) -> DeliveryState {
        DeliveryState::ALL[(self.0 & 0b1111) as usize]
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
    pub(super) const fn set_state(&mut self, state: DeliveryState, granted: QoS) {
        let level = if self.is_grant_raised() { GRANT_RAISED } else { granted.number() << 6 };
        self.0 = self.0 & 0b0011_0000 | state as u8 | level;
    }

    /// Another subscription was granted a higher QoS before the message was acknowledged: a copy
    /// may come by either.
    pub(super) const fn mark_grant_raised(&mut self) {
        self.0 |= GRANT_RAISED;
    }

    /// What is promised for a message that was published with this QoS. Of one whose granted QoS
    /// rose meanwhile copies may be lost and repeated as by the lower one.
    pub(super) const fn terms(self, published: QoS) -> DeliveryTerms {
        if self.is_grant_raised() {
            return delivery_terms(QoS::AtLeastOnce, QoS::AtMostOnce);
        }
        delivery_terms(published, self.granted())
    }

    const fn is_grant_raised(self) -> bool {
        self.0 & GRANT_RAISED == GRANT_RAISED
    }
}

/// How a message's handshake with its publisher ended, if it did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum HandshakeEnd {
    /// The application never called `publish()` for it.
    NotSubmitted,
    /// The publisher still has it, for all that is known.
    Open,
    /// Successfully.
    Completed,
    /// The publisher's endpoint refused it.
    Refused,
    /// It was given up after a declared number of transmissions.
    GaveUp,
    /// The broker answered with a negative acknowledgement.
    Rejected,
    /// It expired at the publisher.
    Expired,
    /// It was larger than the broker takes.
    TooLarge,
}

impl HandshakeEnd {
    const ALL: [Self; 8] = [
        Self::NotSubmitted,
        Self::Open,
        Self::Completed,
        Self::Refused,
        Self::GaveUp,
        Self::Rejected,
        Self::Expired,
        Self::TooLarge,
    ];
}

/// What is known of a message on its first hop, in one byte: flags, and its end in the upper
/// three bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct MessageProgress(u8);

impl_fingerprint! { struct MessageProgress(bits) { plain bits; } }

impl MessageProgress {
    /// Its PUBLISH was sent at least once.
    pub(super) const SENT: u8 = 1;
    /// Its PUBLISH reached the broker, or it is a will that the broker published.
    pub(super) const REACHED_BROKER: u8 = 1 << 1;
    /// Its PUBREL reached the broker.
    pub(super) const PUBREL_REACHED_BROKER: u8 = 1 << 2;
    /// A successful acknowledgement reached the publisher.
    pub(super) const ACKNOWLEDGED: u8 = 1 << 3;
    /// The publisher's session was lost before the end of the handshake.
    pub(super) const SESSION_LOST: u8 = 1 << 4;

    /// Whether all of these bits are set.
    pub(super) const fn has_all(self, bits: u8) -> bool {
        self.0 & bits == bits
    }

    /// Sets bits.
    pub(super) const fn set(&mut self, bits: u8) {
        self.0 |= bits;
    }

    /// How its handshake ended.
    pub(super) const fn handshake_end(self) -> HandshakeEnd {
        HandshakeEnd::ALL[(self.0 >> 5) as usize]
    }

    /// Sets how it ended. The first end counts.
    pub(super) fn finish_handshake(&mut self, end: HandshakeEnd) {
        if matches!(self.handshake_end(), HandshakeEnd::NotSubmitted | HandshakeEnd::Open) {
            self.0 = self.0 & 0b1_1111 | (end as u8) << 5;
        }
    }

    /// Whether the publisher still owes it an end: accepted, and neither finished nor lost with its
    /// session.
    pub(super) fn is_open(self) -> bool {
        self.handshake_end() == HandshakeEnd::Open && !self.has_all(Self::SESSION_LOST)
    }
}
