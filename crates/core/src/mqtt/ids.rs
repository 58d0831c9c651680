//! Packet ids: who has which, and which comes next.

use std::collections::VecDeque;
use std::num::NonZeroU16;

use super::packet::PacketId;
use super::settings::IdPolicy;
use crate::base::fingerprint::{Fingerprint, Fingerprinter};
use crate::impl_fingerprint;

/// How many packet ids there are: 1 to 65,535.
const PACKET_ID_COUNT: u32 = 65_535;

/// Values by packet id, as a ring over the ids in use: constant time, no allocation once grown, and
/// as much memory as the ids in use lie apart, for that is little when ids are given out in turn.
#[derive(Clone, Debug)]
pub struct IdRing<T> {
    /// The values from the id `first` on, whose own is never `None`.
    slots: VecDeque<Option<T>>,
    first: PacketId,
    len: usize,
}

impl PacketId {
    /// The lowest id.
    pub const MIN: Self = Self(NonZeroU16::MIN);

    /// The id after this one; 1 follows 65,535.
    #[must_use]
    pub fn next(self) -> Self {
        self.0.checked_add(1).map_or(Self::MIN, Self)
    }

    /// The id's number.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0.get()
    }

    fn previous(self) -> Self {
        NonZeroU16::new(self.get() - 1).map_or(Self(NonZeroU16::MAX), Self)
    }

    /// How many steps of [`PacketId::next`] lead from `other` to this id.
    fn steps_after(self, other: Self) -> u32 {
        let (this, other) = (u32::from(self.get()), u32::from(other.get()));
        if this >= other { this - other } else { this + PACKET_ID_COUNT - other }
    }
}

impl<T> Default for IdRing<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> IdRing<T> {
    /// An empty ring.
    #[must_use]
    pub const fn new() -> Self {
        Self { slots: VecDeque::new(), first: PacketId::MIN, len: 0 }
    }

    /// How many ids have a value.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether no id has a value.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The value of an id.
    pub fn get(&self, id: PacketId) -> Option<&T> {
        self.slots.get(id.steps_after(self.first) as usize)?.as_ref()
    }

    /// The value of an id, to change it.
    pub fn get_mut(&mut self, id: PacketId) -> Option<&mut T> {
        self.slots.get_mut(id.steps_after(self.first) as usize)?.as_mut()
    }

    /// Whether an id has a value.
    pub fn contains(&self, id: PacketId) -> bool {
        self.get(id).is_some()
    }

    /// Puts a value; the one that was there before is returned.
    pub fn insert(&mut self, id: PacketId, value: T) -> Option<T> {
        if self.slots.is_empty() {
            self.first = id;
        }
        let mut steps = id.steps_after(self.first) as usize;
        let beyond = steps + 1 - self.slots.len().min(steps + 1);
        let before = PACKET_ID_COUNT as usize - steps;
        if beyond <= before {
            self.slots.extend((0..beyond).map(|_| None));
        } else {
            for _ in 0..before {
                self.slots.push_front(None);
                self.first = self.first.previous();
            }
            steps = 0;
        }
        let old = self.slots[steps].replace(value);
        self.len += usize::from(old.is_none());
        old
    }

    /// Takes out the value of an id.
    pub fn remove(&mut self, id: PacketId) -> Option<T> {
        let steps = id.steps_after(self.first) as usize;
        let value = self.slots.get_mut(steps)?.take()?;
        self.len -= 1;
        if self.len == 0 {
            self.slots.clear();
        }
        while let Some(None) = self.slots.front() {
            self.slots.pop_front();
            self.first = self.first.next();
        }
        Some(value)
    }

    /// Lets go of the values that are not to be kept.
    pub fn retain(&mut self, keep: impl Fn(&T) -> bool) {
        let mut id = self.first;
        for _ in 0..self.slots.len() {
            if self.get(id).is_some_and(|value| !keep(value)) {
                self.remove(id);
            }
            id = id.next();
        }
    }

    /// Takes out all values.
    pub fn clear(&mut self) {
        self.slots.clear();
        self.len = 0;
    }

    /// The values, in the ring's order.
    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.slots.iter().flatten()
    }

    /// All ids in use, in the ring's order.
    pub fn iter(&self) -> impl Iterator<Item = (PacketId, &T)> {
        let ids = std::iter::successors(Some(self.first), |id| Some(id.next()));
        ids.zip(&self.slots).filter_map(|(id, slot)| slot.as_ref().map(|value| (id, value)))
    }

    /// All ids in use, in the ring's order, to change their values.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (PacketId, &mut T)> {
        let mut id = self.first;
        self.slots.iter_mut().filter_map(move |slot| {
            let this = id;
            id = id.next();
            slot.as_mut().map(|value| (this, value))
        })
    }
}

impl<T: Fingerprint> Fingerprint for IdRing<T> {
    fn fingerprint(&self, into: &mut Fingerprinter) {
        // What is in the slots is written by id, wherever the ring begins.
        let Self { slots: _, first: _, len } = self;
        into.plain(len);
        self.iter().for_each(|entry| into.plain(&entry));
    }
}

/// Allocates packet ids.
#[derive(Clone, Copy, Debug)]
pub(crate) struct IdAllocator {
    policy: IdPolicy,
    /// Where the search for the next one starts.
    next: PacketId,
}

impl_fingerprint! {
    struct IdAllocator {
        plain next;
        skip policy: "the same in all states of a trial";
    }
}

impl IdAllocator {
    pub(crate) const fn new(policy: IdPolicy) -> Self {
        Self { policy, next: PacketId::MIN }
    }

    /// An id that is not `in_use` [MQTT-2.3.1-2]; `None` if all are.
    pub(crate) fn allocate(&mut self, in_use: impl Fn(PacketId) -> bool) -> Option<PacketId> {
        let start = match self.policy {
            IdPolicy::Cyclic => self.next,
            IdPolicy::LowestFree => PacketId::MIN,
        };
        let mut id = start;
        while in_use(id) {
            id = id.next();
            if id == start {
                return None;
            }
        }
        self.next = id.next();
        Some(id)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn id(number: u16) -> PacketId {
        PacketId(NonZeroU16::new(number).expect("tests use ids from 1"))
    }

    proptest! {
        #[test]
        fn a_ring_is_a_map(
            start in 1..=u16::MAX,
            steps in prop::collection::vec((0..60_u16, any::<bool>()), 1..200),
        ) {
            let mut ring = IdRing::new();
            let mut map = BTreeMap::new();
            for (n, (offset, put)) in steps.into_iter().enumerate() {
                let id = (0..offset).fold(id(start), |id, _| id.next());
                if put {
                    prop_assert_eq!(ring.insert(id, n), map.insert(id, n));
                } else {
                    prop_assert_eq!(ring.remove(id), map.remove(&id));
                }
                prop_assert_eq!(ring.len(), map.len());
                prop_assert_eq!(ring.get(id), map.get(&id));
                prop_assert_eq!(ring.iter_mut().count(), map.len());
                prop_assert!(ring.iter_mut().all(|(id, value)| map.get(&id) == Some(value)));
            }
        }
    }

    #[test]
    fn a_ring_holds_every_id_at_once() {
        let mut ring = IdRing::new();
        for number in 1..=u16::MAX {
            assert_eq!(ring.insert(id(number), number), None);
        }
        assert_eq!(ring.len(), 65_535);
        assert_eq!(ring.get(id(65_535)), Some(&65_535));
    }

    #[test]
    fn cyclic_ids_go_round_and_skip_those_in_use() {
        let mut ids = IdAllocator::new(IdPolicy::Cyclic);
        assert_eq!(ids.allocate(|_| false), Some(id(1)));
        assert_eq!(ids.allocate(|other| other == id(2)), Some(id(3)));
        ids.next = id(65_535);
        assert_eq!(ids.allocate(|_| false), Some(id(65_535)));
        assert_eq!(ids.allocate(|other| other == id(1)), Some(id(2)));
        assert_eq!(ids.allocate(|_| true), None);
    }

    #[test]
    fn lowest_free_ids_come_back_at_once() {
        let mut ids = IdAllocator::new(IdPolicy::LowestFree);
        assert_eq!(ids.allocate(|_| false), Some(id(1)));
        assert_eq!(ids.allocate(|_| false), Some(id(1)));
        assert_eq!(ids.allocate(|other| other == id(1)), Some(id(2)));
    }
}
