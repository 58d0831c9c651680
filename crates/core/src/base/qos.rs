//! The three levels of delivery that MQTT promises.

use std::fmt;

use crate::impl_fingerprint;
use serde::{Deserialize, Serialize};

/// An MQTT quality of service level (section 4.3 of both standards).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[repr(u8)]
pub enum QoS {
    /// QoS 0: sent once, never acknowledged, never resent.
    AtMostOnce = 0,
    /// QoS 1: resent until acknowledged by PUBACK.
    AtLeastOnce = 1,
    /// QoS 2: the four-packet handshake.
    ExactlyOnce = 2,
}

impl_fingerprint! { fieldless QoS }

impl QoS {
    /// All levels, from 0 to 2.
    pub const ALL: [Self; 3] = [Self::AtMostOnce, Self::AtLeastOnce, Self::ExactlyOnce];

    /// The level by its number; `None` above 2, as the protocol reserves 3.
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::AtMostOnce),
            1 => Some(Self::AtLeastOnce),
            2 => Some(Self::ExactlyOnce),
            _ => None,
        }
    }

    /// The level's number.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The level as an index into an array of three.
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for QoS {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.number().fmt(f)
    }
}
