//! What a connection does beside what it was asked for.

use std::ops::{Index, IndexMut};

use crate::base::Direction;

/// What a call put on the link, upwards and downwards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpActivity([DirectionActivity; 2]);

/// What a call put on the link in one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DirectionActivity {
    /// Segments that were sent for the first time.
    pub segments: u32,
    /// Segments that were sent again.
    pub retransmissions: u32,
    /// Their bytes on the wire, all headers included.
    pub retransmitted_bytes: u32,
    /// Segments without data: acknowledgements, and questions whether there is room.
    pub acknowledgements: u32,
    /// Whether the sender gave the connection up: the user timeout has passed. Said once, when the
    /// connection is woken.
    pub gave_up: bool,
}

impl Index<Direction> for TcpActivity {
    type Output = DirectionActivity;

    fn index(&self, direction: Direction) -> &DirectionActivity {
        &self.0[direction as usize]
    }
}

impl IndexMut<Direction> for TcpActivity {
    fn index_mut(&mut self, direction: Direction) -> &mut DirectionActivity {
        &mut self.0[direction as usize]
    }
}

impl TcpActivity {
    /// Whether nothing was put on the link, and no sender gave up.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
