//! The length of a queue that nobody outside can see, from what went in and what came out.

use qoslab_core::impl_fingerprint;

/// At least as many messages as really wait at a sender for a place in its window or for a
/// connection. Where it is above the limit the queue may have been full; where it is not, it
/// cannot have been.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct QueueCount {
    waiting: u32,
    /// A store brought an older queue back.
    is_unknown: bool,
}

impl_fingerprint! { struct QueueCount { plain waiting, is_unknown; } }

impl QueueCount {
    /// So many messages came that may have to wait.
    #[inline]
    pub(super) const fn add(&mut self, messages: u32) {
        self.waiting = self.waiting.saturating_add(messages);
    }

    /// A message was sent for the first time, or given up before.
    #[inline]
    pub(super) const fn remove(&mut self) {
        self.waiting = self.waiting.saturating_sub(1);
    }

    /// The session is over, or its store forgot everything.
    pub(super) const fn clear(&mut self) {
        *self = Self { waiting: 0, is_unknown: false };
    }

    /// A store brought an older queue back.
    pub(super) const fn mark_unknown(&mut self) {
        self.is_unknown = true;
    }

    /// Whether a queue of this length may have had no room for a message that it has counted.
    pub(super) const fn may_have_overflowed(self, limit: u32) -> bool {
        self.is_unknown || self.waiting > limit
    }

    /// Whether a queue of this length may have no room for so many more.
    pub(super) const fn may_lack_room_for(self, copies: u32, limit: u32) -> bool {
        self.is_unknown || self.waiting.saturating_add(copies) > limit
    }
}
